//! Servers that fail amid the rows, hang or are gone: nothing is published, and the error says what to do.

use super::*;

const ROWS: &str = "CREATE TABLE dbo.t (id INT, pad NVARCHAR(200)); INSERT INTO dbo.t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL \
     SELECT i + 1 FROM c WHERE i < 20000) SELECT i, 'row ' || i FROM c";

/// Runs a job whose target holds an old row; returns the error of the source as JSON.
#[track_caller]
fn failed(server: &SqlServer, faults: &str) -> serde_json::Value {
    let etl = of_table(server, "");
    server.faults("{}");
    run(&etl).exits(0);
    server.faults(faults);
    let ended = etl.run(&["run", "load", "-o", "json"]);
    assert_eq!(ended.code, Some(1), "{faults}: {}", said(&ended));
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "20000", "{faults}");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new(), "{faults}");
    let error = ended.json()["runs"][0]["sources"][0]["error"].clone();
    assert!(error.is_object(), "{}", ended.stdout);
    error
}

#[test]
fn errors_amid_the_rows_are_told_apart() {
    let server = sqlserver(ROWS);
    let check = |faults: &str, code: &str, is_transient: bool| {
        let error = failed(&server, faults);
        assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some(code), Some(is_transient)), "{faults}: {error}");
    };
    check(
        r#"{"error_after_rows": [15000, 1205, 13, "Transaction was deadlocked on lock resources with another process"]}"#,
        "conflict",
        true,
    );
    check(r#"{"error_after_rows": [0, 1222, 16, "Lock request time out period exceeded."]}"#, "locked", true);
    check(r#"{"error_after_rows": [15000, 8115, 16, "Arithmetic overflow error"]}"#, "invalid_data", false);
    check(r#"{"error_after_rows": [15000, 40501, 20, "The service is currently busy."]}"#, "unreachable", true);
    check(
        r#"{"errors": [["FROM [dbo].[t]", 229, 14, "The SELECT permission was denied on the object 't'."]]}"#,
        "permission_denied",
        false,
    );
    check(r#"{"cut_after_rows": 15000}"#, "disconnected", true);
    check(r#"{"reset_after_rows": 15000}"#, "disconnected", true);
}

#[test]
fn a_server_that_is_killed_amid_the_rows_leaves_the_old_table() {
    let server = sqlserver(ROWS);
    let etl = of_table(&server, "    etl_config: {batch_size: 100}\n");
    run(&etl).exits(0);
    server.faults(r#"{"delay_row_ms": 1}"#);
    let at_work = etl.start("load");
    server.kill();
    let (code, told) = at_work.end();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("read source") && told.contains("127.0.0.1:"), "{told}");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "20000");
}

#[test]
fn a_hanging_server_is_left_by_whoever_stops_the_run() {
    let server = sqlserver(ROWS);
    let etl = of_table(&server, "    etl_config: {batch_size: 100}\n");
    server.faults(r#"{"hang_after_rows": 5000, "is_deaf": true}"#);
    let at_work = etl.start("load");
    let kill = std::process::Command::new("kill").args(["-TERM", &at_work.id().to_string()]).status().expect("kill starts");
    assert!(kill.success());
    assert_eq!(at_work.end().0, Some(143));
}

#[test]
fn a_black_hole_ends_at_the_job_s_limit_whatever_the_driver_does() {
    let server = sqlserver(ROWS);
    let etl = of_table(&server, "etl_config: {timeout_minutes: 1}\n");
    server.faults(r#"{"hang_before_rows": true, "is_deaf": true}"#);
    let start = std::time::Instant::now();
    let ended = run(&etl);
    assert_ne!(ended.code, Some(0));
    assert!(said(&ended).contains("1 min") || said(&ended).contains("limit"), "{}", said(&ended));
    assert!(start.elapsed().as_secs() < 90, "{:?}", start.elapsed());
}

#[test]
fn what_is_not_there_is_named() {
    let server = sqlserver("CREATE TABLE dbo.orders (id INT)");
    let check = |source: &str, expected: &[&str]| {
        let ended = run(&workspace(&server, "", source));
        assert_eq!(ended.code, Some(1), "{}", said(&ended));
        for text in expected {
            assert!(said(&ended).contains(text), "{source}: {text:?} should be in:\n{}", said(&ended));
        }
    };
    check("    table: dbo.ordes\n", &["there is no table dbo.ordes", "did you mean dbo.orders?"]);
    check("    custom_sql: SELECT idd FROM orders\n    name: s\n", &["Invalid column name 'idd'"]);
    check("    custom_sql: SELECT id FROM nowhere\n    name: s\n", &["Invalid object name 'nowhere'"]);
}
