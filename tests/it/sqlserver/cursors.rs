//! Incremental loads: the cursor at its column's own steps, placeholders, commits that come late.

use super::*;

const INCREMENTAL: &str = "    etl_config: {mode: incremental, timestamp_column: at}\n";

/// How many rows each of two runs took, the second after more rows came.
#[track_caller]
fn records(etl: &Etl) -> u64 {
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    result["runs"][0]["records_processed"].as_u64().unwrap_or_else(|| panic!("no count in {result}"))
}

#[test]
fn a_cursor_moves_by_100_ns() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at DATETIME2(7));
         INSERT INTO dbo.t VALUES (1, '2024-02-29 23:59:59.1234566'), (2, '2024-02-29 23:59:59.1234567')",
    );
    let etl = of_table(&server, INCREMENTAL);
    assert_eq!(records(&etl), 2);
    // One of the same 100 ns, one of the next, one of those before, which is not asked for any more.
    server.sql(
        "INSERT INTO dbo.t VALUES (3, '2024-02-29 23:59:59.1234567'), (4, '2024-02-29 23:59:59.1234568'), (5, '2024-02-29 23:59:59.1234565')",
    );
    assert_eq!(records(&etl), 3);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3", "4"]);
    let log = server.said();
    assert!(log.contains("[at] >= CAST(@P1 AS datetime2(7))") && log.contains("'2024-02-29T23:59:59.1234567'"), "{log}");
}

#[test]
fn placeholders_are_bound_in_the_column_s_own_steps() {
    let check = |declared: &str, values: [&str; 3], expected: &str| {
        let setup = "CREATE TABLE dbo.t (id INT NOT NULL, at TYPE); INSERT INTO dbo.t VALUES (1, 'A'), (2, 'B')";
        let server = sqlserver(&setup.replace("TYPE", declared).replace("'A'", values[0]).replace("'B'", values[1]));
        let source = "    name: s\n    target: t\n    primary_key: [id]\n    custom_sql: \"SELECT [id], [at] FROM [dbo].[t] WHERE [at] > :last_sync\"\n";
        let etl = workspace(&server, "", &format!("{source}{INCREMENTAL}"));
        assert_eq!(records(&etl), 2, "{declared}");
        server.sql(&format!("INSERT INTO dbo.t VALUES (3, {}), (4, {})", values[1], values[2]));
        // Those that equal the greatest value, and the later one.
        assert_eq!(records(&etl), 3, "{declared}: {}", server.said());
        assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3", "4"], "{declared}");
        assert!(server.said().contains(expected), "{declared}: {}", server.said());
    };
    check(
        "DATETIME2(7)",
        ["'2024-01-01 00:00:00.0000001'", "'2024-01-01 00:00:00.0000002'", "'2024-01-01 00:00:00.0000003'"],
        "2024-01-01T00:00:00.0000001'",
    );
    check("DATETIME", ["'2024-01-01 00:00:00.993'", "'2024-01-01 00:00:00.997'", "'2024-01-01 00:00:01.000'"], "2024-01-01T00:00:00.993'");
    check("DATE", ["'2024-01-01'", "'2024-01-02'", "'2024-01-03'"], "2024-01-01'");
    check("INT", ["1", "2", "3"], "");
}

#[test]
fn a_rowversion_goes_to_the_least_that_is_open() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at ROWVERSION);
         INSERT INTO dbo.t VALUES (1, 0x0000000000000101), (2, 0x0000000000000103)",
    );
    let etl = of_table(&server, INCREMENTAL);
    // 0x102 belongs to a transaction that is open.
    server.faults(r#"{"min_active_rowversion": 258}"#);
    assert_eq!(records(&etl), 2);
    server.sql("INSERT INTO dbo.t VALUES (3, 0x0000000000000102)");
    server.faults("{}");
    records(&etl);
    assert_eq!(etl.warehouse().rows("SELECT id, at FROM t ORDER BY id"), ["1|257", "2|259", "3|258"]);
    let log = server.said();
    assert!(log.contains("CAST([at] AS bigint) >= @P1"), "{log}");
}

#[test]
fn the_key_of_a_table_of_dbo_is_found_by_a_login_with_another_schema() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at DATETIME2(7)); INSERT INTO dbo.t VALUES (1, '2024-01-01 10:00:00.0000000')",
    );
    for (table, schema) in [("t", "reports"), ("dbo.t", "reports"), ("t", "dbo")] {
        server.faults(&format!(r#"{{"default_schema": "{schema}"}}"#));
        let etl = workspace(&server, "", &format!("    table: {table}\n    target: t\n{INCREMENTAL}"));
        assert_eq!(records(&etl), 1);
        server.sql("UPDATE dbo.t SET at = '2024-01-02 10:00:00.0000000'");
        assert_eq!(records(&etl), 1);
        // Merged by its key; without one the row would be there as it was, too.
        assert_eq!(etl.warehouse().rows("SELECT id, at FROM t").len(), 1, "{table} for a login of {schema}: {}", server.said());
        server.sql("UPDATE dbo.t SET at = '2024-01-01 10:00:00.0000000'");
    }
}

#[test]
fn a_transaction_that_is_open_holds_the_cursor_back() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at DATETIME2(7)); INSERT INTO dbo.t VALUES (1, '2024-01-01 10:00:00.0000000')",
    );
    let etl = of_table(&server, INCREMENTAL);
    server.faults(r#"{"transactions": [[99, 77, "2024-01-01 09:00:00.000", 1]]}"#);
    assert_eq!(records(&etl), 1);
    // Committed late, with an earlier stamp than one that was read.
    server.sql("INSERT INTO dbo.t VALUES (2, '2024-01-01 09:59:00.0000000')");
    server.faults("{}");
    records(&etl);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2"]);
    // With nobody at work the cursor moves, and the next run takes the greatest value alone.
    assert_eq!(records(&etl), 1);
}

#[test]
fn an_instant_goes_to_the_oldest_start() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at DATETIMEOFFSET(7));
         INSERT INTO dbo.t VALUES (1, '2024-01-01 07:00:00.0000000 +00:00'), (2, '2024-01-01 10:00:00.0000000 +00:00')",
    );
    let etl = of_table(&server, INCREMENTAL);
    // 10:30 on the server's wall is 09:30 in UTC, and an hour is taken off.
    server.faults(r#"{"transactions": [[99, 77, "2024-01-01 10:30:00.000", 1]]}"#);
    assert_eq!(records(&etl), 2);
    // The next window begins at the greatest value that lies before 08:30.
    records(&etl);
    let log = server.said();
    assert!(log.contains("CAST(@P1 AS datetimeoffset(7))") && log.contains("'2024-01-01T07:00:00.0000000+00:00'"), "{log}");
}

#[test]
fn a_login_that_may_not_see_transactions_is_told_once() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT NOT NULL PRIMARY KEY, at DATETIME2(7)); INSERT INTO dbo.t VALUES (1, '2024-01-01 10:00:00.0000000')",
    );
    for faults in [r#"{"deny": ["VIEW SERVER STATE"]}"#, r#"{"updateability": "READ_ONLY"}"#] {
        server.faults(faults);
        let etl = of_table(&server, INCREMENTAL);
        let told = said(&etl.run(&["run", "load", "-v"]).exits(0));
        assert!(told.contains("rows that are committed late may be missed"), "{told}");
    }
}
