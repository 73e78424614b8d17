//! `tables`: a source of several streams, each with its own target.

use std::process::Stdio;

use super::{change_settings, own_database, run, schema, sql, workspace};
use crate::etl::Etl;
use crate::servers::{self, postgresql, psql};

/// A job `load` of the one source `shop` with these tables; `{s}` stands for the schema.
fn shop(schema: &str, tables: &str, keys: &str) -> Etl {
    let etl = workspace(postgresql(), "", "");
    let source = format!("  - name: shop\n    connection: erp\n    tables: {tables}\n{keys}");
    etl.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n{source}").replace("{s}", schema));
    etl
}

/// Three tables, a view, a partitioned table, a child, and what no glob takes.
const SHOP: &str = "CREATE TABLE {s}.ord_items (id int PRIMARY KEY, t text); INSERT INTO {s}.ord_items VALUES (1, 'a'), (2, 'b');
    CREATE TABLE {s}.ord_parts (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
    CREATE TABLE {s}.ord_parts_1 PARTITION OF {s}.ord_parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
    CREATE TABLE {s}.ord_parts_1_1 PARTITION OF {s}.ord_parts_1 FOR VALUES FROM (0) TO (10);
    CREATE TABLE {s}.ord_parts_2 PARTITION OF {s}.ord_parts FOR VALUES FROM (10) TO (20);
    INSERT INTO {s}.ord_parts VALUES (5, 'p'), (15, 'q');
    CREATE VIEW {s}.ord_view AS SELECT 7 AS seven; CREATE MATERIALIZED VIEW {s}.ord_mat AS SELECT 8 AS eight;
    CREATE TABLE {s}.ord_parent (id int); CREATE TABLE {s}.ord_child (more text) INHERITS ({s}.ord_parent);
    INSERT INTO {s}.ord_parent VALUES (1); INSERT INTO {s}.ord_child VALUES (2, 'm');
    CREATE TABLE {s}._etlsched_loads (x int); CREATE TABLE {s}.other (x int); CREATE INDEX ord_index ON {s}.other (x); CREATE SEQUENCE {s}.ord_seq;";

#[test]
fn each_table_that_a_glob_finds_is_a_stream_with_its_own_target() {
    let schema = schema(SHOP);
    let etl = shop(&schema, "[\"{s}.ord_*\"]", "");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    let streams = result["runs"][0]["sources"][0]["streams"].as_array().unwrap_or_else(|| panic!("{result:#}"));
    let names: Vec<String> =
        streams.iter().map(|stream| format!("{} -> {}", stream["name"].as_str().unwrap(), stream["target"].as_str().unwrap())).collect();
    let expected = ["ord_child", "ord_items", "ord_mat", "ord_parent", "ord_parts", "ord_view"];
    assert_eq!(names, expected.map(|name| format!("{schema}.{name} -> {name}")));
    let warehouse = etl.warehouse();
    assert_eq!(warehouse.rows("SELECT * FROM ord_items ORDER BY id"), ["1|a", "2|b"]);
    assert_eq!(warehouse.rows("SELECT * FROM ord_parts ORDER BY id"), ["5|p", "15|q"]);
    assert_eq!(warehouse.rows("SELECT * FROM ord_parent ORDER BY id"), ["1", "2"]);
    assert_eq!(warehouse.rows("SELECT * FROM ord_child"), ["2|m"]);
    assert_eq!(warehouse.rows("SELECT seven, eight FROM ord_view, ord_mat"), ["7|8"]);
    assert_eq!(warehouse.value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'ord%'"), "6");
    // A partition is read where it is named.
    let etl = shop(&schema, "[\"{s}.ord_parts_2\", \"{s}.ord_items\"]", "    columns: {exclude: [t]}\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM ord_parts_2"), ["15"]);
    assert_eq!(etl.warehouse().rows("SELECT * FROM ord_items ORDER BY id"), ["1", "2"]);
}

#[test]
fn names_without_a_schema_go_by_the_search_path() {
    let (database, etl) = own_database(
        "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.a AS SELECT 1 AS n; CREATE TABLE two.a AS SELECT 2 AS n;
         CREATE TABLE one.a2 AS SELECT 3 AS n; CREATE TABLE public.hidden AS SELECT 4 AS n",
        "",
    );
    psql(postgresql(), "postgres", &format!("ALTER DATABASE {database} SET search_path = two, one"));
    etl.write(
        "jobs/load.yaml",
        "schedule_type: manual\ntable_prefix: raw_\ndata_sources: [{name: shop, connection: erp, tables: \"a*\"}]\n",
    );
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT raw_a.n, raw_a2.n FROM raw_a, raw_a2"), ["2|3"]);
    // Another table than the one that was loaded is another stream: it takes nobody's rows in silence.
    psql(postgresql(), "postgres", &format!("ALTER DATABASE {database} SET search_path = one"));
    run(&etl)
        .exits(3)
        .mentions("state reset load --source shop --take-over")
        .mentions("two.a is not among the source's tables any more; table raw_a stays");
    assert_eq!(etl.warehouse().rows("SELECT raw_a.n, raw_a2.n FROM raw_a, raw_a2"), ["2|3"]);
}

#[test]
fn what_can_not_be_is_refused_with_the_way_out() {
    let schema = schema("CREATE TABLE {s}.orders (id int); CREATE TABLE {s}.\"Orders\" (id int); CREATE TABLE {s}.items (id int)");
    let invalid = |tables: &str, keys: &str, message: &str| {
        shop(&schema, tables, keys).run(&["validate"]).exits(4).mentions(message);
    };
    invalid("[]", "", "tables names no table");
    invalid("[\"\"]", "", "tables");
    invalid("[\"{s}.\"]", "", "can't be a table");
    invalid("[\"{s}.items\"]", "    target: t\n", "target beside tables");
    invalid("[\"{s}.items\"]", "    table: x\n", "together");
    invalid("[\"_etlsched_loads\"]", "", "_etlsched_loads can't be a target");
    invalid("[\"{s}.items\"]", "    etl_config: {mode: incremental}\n", "incremental without a cursor column or a key");
    invalid("[\"{s}.items\"]", "  - {connection: erp, table: public.items}\n", "two sources have the target items");
    let unnamed = shop(&schema, "[x]", "");
    unnamed.write("jobs/load.yaml", "data_sources: [{connection: erp, tables: [x]}]\n");
    unnamed.run(&["validate"]).exits(4).mentions("a source with tables needs a name");
    let failed = |tables: &str, message: &str, hint: &str| {
        let etl = shop(&schema, tables, "");
        etl.run(&["validate"]).exits(0);
        for arguments in
            [vec!["run", "load"], vec!["source", "test", "load"], vec!["source", "schema", "load"], vec!["validate", "--online"]]
        {
            let ended = etl.run(&arguments);
            assert_ne!(ended.code, Some(0), "{arguments:?}");
            ended.mentions(&message.replace("{s}", &schema)).mentions(&hint.replace("{s}", &schema));
        }
    };
    failed("[\"{s}.item\"]", "source shop: there is no table {s}.item in 127.0.0.1:", "did you mean {s}.items?");
    failed("[\"{s}.items\", \"{s}.z*\"]", "source shop: no table matches {s}.z* in 127.0.0.1:", "its tables are ");
    failed("[\"{s}.*\"]", "{s}.Orders and {s}.orders would be loaded into one table", "a source of its own, with another target");
}

#[test]
fn a_stream_that_fails_leaves_the_others_published_and_fails_the_source() {
    let schema = schema(
        "CREATE TABLE {s}.a AS SELECT 1 AS id; CREATE VIEW {s}.b AS SELECT 1 / (id - 1) AS id FROM {s}.a; CREATE TABLE {s}.c AS SELECT 3 AS id",
    );
    let etl = shop(&schema, "[\"{s}.*\"]", "    expect: {min_rows: 1, not_null: [id]}\n");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(3).json();
    let source = &result["runs"][0]["sources"][0];
    assert_eq!(source["status"], "failed", "{result:#}");
    assert!(source["error"]["message"].as_str().is_some_and(|message| message.contains(&format!("table {schema}.b"))), "{source:#}");
    assert_eq!(etl.warehouse().rows("SELECT a.id, c.id FROM a, c"), ["1|3"]);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), "0");
    let log = etl.run(&["logs", "--run", "last"]).exits(0).stdout;
    assert!(log.contains("division by zero") && log.contains(&format!("{schema}.c")), "{log}");
    // The checks are made of each table.
    sql(&schema, "DROP VIEW {s}.b; CREATE TABLE {s}.b (id int)");
    run(&etl).exits(3).mentions("table b: 1 check failed: min_rows");
    sql(&schema, "INSERT INTO {s}.b VALUES (2)");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT a.id, b.id, c.id FROM a, b, c"), ["1|2|3"]);
}

#[test]
fn keys_and_cursors_are_each_tables_own() {
    let setup = "CREATE TABLE orders (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE lines (order_id int, line int, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (order_id, line));
         INSERT INTO orders VALUES (1); INSERT INTO lines VALUES (1, 1), (1, 2)";
    let (database, etl) = own_database(setup, "");
    let config = "etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}";
    etl.write(
        "jobs/load.yaml",
        format!("schedule_type: manual\ndata_sources: [{{name: shop, connection: erp, tables: [\"public.*\"], {config}}}]\n"),
    );
    run(&etl).exits(0);
    psql(postgresql(), &database, "INSERT INTO orders VALUES (2); UPDATE lines SET at = now() WHERE line = 2");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    let streams = &result["runs"][0]["sources"][0]["streams"];
    let counts = |place: usize| (streams[place]["records_added"].as_u64(), streams[place]["records_updated"].as_u64());
    assert_eq!((counts(0), counts(1)), ((Some(0), Some(1)), (Some(1), Some(0))), "{result:#}");
    assert_eq!(etl.warehouse().rows("SELECT id FROM orders ORDER BY id"), ["1", "2"]);
    assert_eq!(etl.warehouse().rows("SELECT order_id, line FROM lines ORDER BY 2"), ["1|1", "1|2"]);
    let shown = etl.run(&["state", "show", "load", "-o", "csv"]).exits(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() == 3 && lines[1].contains("public.lines,lines,20") && lines[2].contains("public.orders,orders,20"), "{shown}");
    etl.run(&["state", "reset", "load", "--source", "shop", "-y"]).exits(0).mentions("reset 2 tables of source shop: lines, orders");
    // Without what the others have, one stream fails, by name.
    psql(postgresql(), &database, "CREATE TABLE notes (id int PRIMARY KEY)");
    run(&etl).exits(3).mentions("table public.notes: there is no column at for timestamp_column");
    assert_eq!(etl.warehouse().rows("SELECT count(*) FROM orders"), ["2"]);
    let keyed = "primary_key: [order_id]";
    etl.write(
        "jobs/load.yaml",
        format!("schedule_type: manual\ndata_sources: [{{name: shop, connection: erp, tables: [lines, orders], {keyed}}}]\n"),
    );
    run(&etl).exits(3).mentions("primary_key names column order_id, which the source doesn't have");
}

#[test]
fn every_command_shows_each_stream() {
    let schema = schema("CREATE TABLE {s}.a AS SELECT 1 AS id, 'x'::text AS t; CREATE TABLE {s}.b AS SELECT 2.50::numeric(5,2) AS total");
    let etl = shop(&schema, "[\"{s}.*\"]", "");
    etl.run(&["source", "list"]).exits(0).mentions(&format!("etl: {schema}.*"));
    etl.run(&["source", "test", "load"]).exits(0).mentions("2 tables, 3 columns");
    let preview = etl.run(&["source", "preview", "load"]).exits(0);
    assert!(preview.stdout.contains("2.50") && preview.stdout.contains('x'), "{}", preview.stdout);
    preview.mentions(&format!("shop: {schema}.b"));
    let described = etl.run(&["source", "schema", "load"]).exits(0).stdout;
    assert!(described.contains("decimal(5,2)") && described.contains(&format!("{schema}.a")), "{described}");
    etl.run(&["validate", "--online"]).exits(0);
    let dry = etl.run(&["run", "load", "--dry-run"]).exits(0);
    dry.mentions(&format!("{schema}.a")).mentions(&format!("{schema}.b"));
    assert!(!etl.path(".etlsched/warehouse.db").exists());
    run(&etl).exits(0);
    let shown = etl.run(&["show", "load"]).exits(0).stdout;
    assert!(shown.contains(&format!("{schema}.*")) && shown.contains(&format!("{schema}.b")), "{shown}");
    // One that can't be read keeps no other from being told.
    sql(&schema, "CREATE TABLE {s}.c (\"A\" int, a int)");
    for action in ["schema", "preview"] {
        let told = etl.run(&["source", action, "load"]).exits(1);
        assert!(told.stdout.contains("total"), "{}", told.stdout);
        told.mentions(&format!("table {schema}.c: two columns are named a"));
        let json = etl.run(&["source", action, "load", "-o", "json"]).exits(1).json();
        assert_eq!(
            (&json["success"], &json["sources"][0]["streams"][2]["error"]["code"]),
            (&false.into(), &"invalid_sql".into()),
            "{json:#}"
        );
    }
}

#[test]
fn tables_of_a_role_without_rights_fail_by_name_and_are_not_left_out() {
    let schema = schema("CREATE TABLE {s}.a AS SELECT 1 AS id; CREATE TABLE {s}.b AS SELECT 2 AS id");
    sql(&schema, "CREATE ROLE {s} LOGIN PASSWORD 'pw-of-nobody'; GRANT USAGE ON SCHEMA {s} TO {s}; GRANT SELECT ON {s}.b TO {s}");
    let etl = shop(&schema, "[\"{s}.*\"]", "");
    change_settings(&etl, "user: etl, password: \"${PG_PASSWORD}\"", &format!("user: {schema}, password: pw-of-nobody"));
    run(&etl)
        .exits(3)
        .mentions(&format!("table {schema}.a on "))
        .mentions("permission denied for table a")
        .mentions("grant the role what it needs: SELECT")
        .mentions("failed")
        .mentions("0 of 1 source refreshed");
    assert_eq!(etl.warehouse().rows("SELECT id FROM b"), ["2"]);
}

#[test]
fn a_table_that_is_gone_when_its_turn_comes_fails_alone() {
    // The first table's rows come so slowly that the second is gone meanwhile.
    let schema = schema(
        "CREATE VIEW {s}.a AS SELECT g AS id, repeat('x', 1000) AS pad, pg_sleep(0.0005)::text FROM generate_series(1, 20000) AS g;
         CREATE TABLE {s}.b AS SELECT 2 AS id; CREATE TABLE {s}.c AS SELECT 3 AS id",
    );
    let etl = shop(&schema, "[\"{s}.*\"]", "");
    let at_work = etl.start("load");
    sql(&schema, "DROP TABLE {s}.b");
    let (code, said) = at_work.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("table {schema}.b: there is no table {schema}.b")), "{said}");
    assert_eq!(etl.warehouse().rows("SELECT count(*), c.id FROM a, c"), ["20000|3"]);
}

#[test]
fn a_slot_that_was_interrupted_takes_only_the_streams_that_were_not_published() {
    let schema = schema(
        "CREATE TABLE {s}.a AS SELECT 1 AS id;
         CREATE VIEW {s}.b AS SELECT g AS id, pg_sleep(0.01)::text FROM generate_series(1, 50000) AS g; CREATE TABLE {s}.c AS SELECT 3 AS id",
    );
    let etl = shop(&schema, "[\"{s}.*\"]", "");
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", job.replace("schedule_type: manual", "schedule_type: hourly\nminute: 0"));
    let mut command = etl.command(&["run", "load", "--scheduled"]);
    let mut child = command.env("ETLSCHED_NOW", "2026-11-24T01:00:00Z").stderr(Stdio::null()).spawn().expect("it starts");
    let reads = format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%{schema}\".\"b\"%' AND state = 'active'");
    servers::wait_until("the second table is read", || psql(postgresql(), "etl", &reads) == "1");
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    sql(&schema, "INSERT INTO {s}.a VALUES (2); DROP VIEW {s}.b; CREATE TABLE {s}.b AS SELECT 2 AS id");
    let mut again = etl.command(&["run", "load", "--scheduled"]);
    let ended = again.env("ETLSCHED_NOW", "2026-11-24T01:20:00Z").output().expect("it starts");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(etl.warehouse().rows("SELECT a.id, b.id, c.id FROM a, b, c"), ["1|2|3"], "the first table was not read again");
    let log = etl.run(&["logs", "--run", "last"]).exits(0);
    assert!(log.stdout.contains("skipped") && log.stdout.contains("success"), "{}", log.stdout);
}

#[test]
fn tables_of_a_sqlite_file_are_streams_too() {
    let etl = Etl::new().file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n");
    let connection = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    let setup = "CREATE TABLE orders (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO orders VALUES (1, '2026-01-01T00:00:00Z');
         CREATE TABLE lines (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO lines VALUES (7, '2026-01-01T00:00:00Z');
         CREATE VIEW \"the.view\" AS SELECT 3 AS id, '2026-01-01T00:00:00Z' AS at; CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT)";
    connection.execute_batch(setup).expect("the tables");
    let keys = "columns: {types: {at: timestamp_utc}}, etl_config: {mode: incremental, timestamp_column: at}";
    etl.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources: [{{name: s, connection: shop, tables: \"*\", {keys}}}]\n"));
    run(&etl).exits(0);
    connection.execute_batch("INSERT INTO lines VALUES (8, '2026-01-02T00:00:00Z')").expect("a row");
    run(&etl).exits(0);
    let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM lines), (SELECT id FROM \"the.view\"), (SELECT count(*) FROM numbered)";
    assert_eq!(etl.warehouse().rows(counts), ["1|2|3|0"]);
    assert_eq!(etl.warehouse().rows("SELECT stream FROM _etlsched_loads ORDER BY 1"), ["\"the.view\"", "lines", "numbered", "orders"]);
    etl.write("jobs/load.yaml", "schedule_type: manual\ndata_sources: [{name: s, connection: shop, tables: [ordrs]}]\n");
    run(&etl).exits(1).mentions("source s: there is no table ordrs in ").mentions("did you mean orders?");
}

#[test]
fn names_of_tables_never_steer_a_terminal() {
    let schema = schema(
        "CREATE TABLE {s}.\"a\u{1b}[31mred\" AS SELECT 1 AS id; CREATE TABLE {s}.\"b\u{202e}c\" AS SELECT 1 AS id; CREATE TABLE {s}.d AS SELECT 4 AS id",
    );
    let etl = shop(&schema, "[\"{s}.*\"]", "");
    let commands: [&[&str]; 6] = [
        &["run", "load", "-v"],
        &["source", "schema", "load"],
        &["source", "preview", "load"],
        &["logs", "--run", "last"],
        &["state", "show", "load"],
        &["show", "load"],
    ];
    for arguments in commands {
        let ended = etl.run(arguments);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {said:?}");
    }
    assert_eq!(etl.warehouse().value("SELECT id FROM d"), "4");
    run(&etl).exits(3).mentions("can't be a target");
}
