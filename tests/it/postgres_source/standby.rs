//! A hot standby as the source.

use super::workspace;
use crate::servers::{self, psql};

#[test]
fn a_standby_is_read_in_parts_and_warns_that_it_can_not_tell_of_late_commits() {
    let primary = servers::own_postgresql(&[]);
    let setup = "CREATE TABLE t AS SELECT g AS id, now() AS at, repeat('x', 50) AS pad FROM generate_series(1, 5000) AS g;
         ALTER TABLE t ADD PRIMARY KEY (id); ANALYZE t; CREATE TABLE numbers AS SELECT 1::bigint AS at";
    psql(&primary, "etl", setup);
    let standby = servers::standby(&primary);
    let keys = "    table: t\n    partitions: 3\n    etl_config: {mode: incremental, timestamp_column: at}\n";
    let etl = workspace(&standby, "", keys);
    let rule = "the server is a standby, which does not tell which transactions are open";
    etl.run(&["run", "load", "-v"]).exits(0).mentions(rule);
    assert_eq!(etl.warehouse().rows("SELECT count(*), count(DISTINCT id) FROM t"), ["5000|5000"]);
    // A row that was stamped before the last one that was read is found by the lookback of an hour.
    psql(&primary, "etl", "INSERT INTO t VALUES (0, now() - interval '50 min'), (5001, now())");
    servers::wait_until("the standby has the row", || psql(&standby, "etl", "SELECT count(*) FROM t") == "5002");
    etl.run(&["run", "load", "-v"]).exits(0).mentions(rule);
    assert_eq!(etl.warehouse().rows("SELECT count(*), count(DISTINCT id), min(id) FROM t"), ["5002|5002|0"]);
    // A full load has no cursor that could miss anything.
    let full = workspace(&standby, "", "    table: t\n").run(&["run", "load", "-v"]).exits(0);
    assert!(!full.stderr.contains("standby"), "{}", full.stderr);
    let numbers = workspace(&standby, "", "    table: numbers\n    etl_config: {mode: incremental, timestamp_column: at}\n");
    numbers.run(&["run", "load", "-v"]).exits(0).mentions(rule);
    assert_eq!(numbers.warehouse().rows("SELECT at FROM t"), ["1"]);
}
