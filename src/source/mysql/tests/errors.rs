//! What keeps rows from being read, each with what to do.

use super::*;
use crate::connect::servers::PASSWORD;
use crate::connect::servers::mariadb::{crash_mariadb, own_mariadb};

#[test]
fn what_is_not_there_is_told_with_the_nearest() {
    let mut case = Case::new("CREATE TABLE orders_of_this_test (id int)");
    let database = case.plan.connection.database.clone();
    let told = |table: &str| {
        let mut plan = case.plan.clone();
        plan.table = Some(table.to_owned());
        let case = Case { plan, ..Case::sql("etl", "") };
        case.refused()
    };
    let (code, text) = told("Orders_of_this_test");
    assert_eq!(code, "not_found");
    assert!(text.starts_with("source s: there is no table Orders_of_this_test in 127.0.0.1:"), "{text}");
    assert!(text.ends_with(&format!("did you mean {database}.orders_of_this_test?")), "{text}");
    assert_eq!(told("no_such_database.t").0, "not_found");
    case.plan.table = Some("orders_of_this_test".to_owned());
    case.options.timestamp_column = Some("idd".to_owned());
    assert!(case.refused().1.ends_with("did you mean id?"));
    let (code, text) = Case::sql(&database, "SELECT nothing FROM orders_of_this_test").refused();
    assert_eq!(code, "unknown_column", "{text}");
    assert_eq!(Case::sql(&database, "SELECT 1 FROM nothing").refused().0, "not_found");
}

#[test]
fn rights_that_are_missing_are_told() {
    let case = Case::new("CREATE TABLE t (id int, secret int); CREATE TABLE u (id int)");
    let database = case.plan.connection.database.clone();
    let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
    let user = format!("u_{database}");
    mariadb_root(mariadb(), &format!("CREATE USER {user}@'%' IDENTIFIED BY '{password}'; GRANT SELECT (id) ON {database}.t TO {user}@'%'"));
    let with = |table: Option<&str>, sql: Option<&str>| {
        let mut case = Case::on(mariadb(), &database, table, sql);
        case.plan.connection.user = user.clone();
        case
    };
    check(&with(None, Some("SELECT id FROM t")), "id integer", &[]);
    for case in [with(Some("t"), None), with(Some("u"), None), with(None, Some("SELECT secret FROM t"))] {
        let (code, text) = case.refused();
        assert_eq!(code, "permission_denied", "{text}");
        assert!(text.contains("grant the account"), "{text}");
    }
    // Without PROCESS nobody tells of late commits.
    let mut source = with(None, Some("SELECT id FROM t")).source();
    assert_eq!(source.safe_cursor(&stream(), "id").unwrap(), None);
}

/// A million rows that take a while.
fn slow(server: &Server) -> (Case, Box<dyn Reader>) {
    let case = Case::on(server, "etl", None, Some("SELECT seq AS id, repeat('x', 1000) AS t FROM seq_1_to_1000000"));
    let mut reader = case.open().unwrap();
    assert!(matches!(reader.read().unwrap(), Read::Batch(_)));
    (case, reader)
}

fn end(mut reader: Box<dyn Reader>) -> SourceError {
    loop {
        match reader.read() {
            Ok(Read::Batch(_)) => {}
            Ok(other) => panic!("a read that was cut ends with {other:?}"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_statement_that_is_ended_is_never_the_end_of_the_rows() {
    let server = own_mariadb(&[]);
    let running = "SELECT id FROM information_schema.processlist WHERE user = 'etl' AND info LIKE 'SELECT %'";
    let (_, reader) = slow(&server);
    mariadb_root(&server, &format!("KILL QUERY {}", mariadb_root(&server, running)));
    assert_eq!(end(reader).code, "statement_cancelled");
    let (_, reader) = slow(&server);
    mariadb_root(&server, &format!("KILL {}", mariadb_root(&server, running)));
    let error = end(reader);
    assert!(error.is_transient, "{error:?}");
    assert_eq!(error.code, "disconnected");
    let (case, reader) = slow(&server);
    crash_mariadb(&server, &[]);
    let error = end(reader);
    assert!(error.code == "disconnected" && error.is_transient, "{error:?}");
    // Whoever leaves early ends the statement.
    let mut reader = case.open().unwrap();
    assert!(matches!(reader.read().unwrap(), Read::Batch(_)));
    drop(reader);
    crate::connect::servers::wait_until("the statement ends", || mariadb_root(&server, running).is_empty());
}

#[test]
fn a_table_that_is_changed_amid_the_snapshot_may_be_read_again() {
    let case = Case::new("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    for change in ["ALTER TABLE t FORCE", "TRUNCATE TABLE t", "DROP TABLE t; CREATE TABLE t (id int)"] {
        let reader = case.open().unwrap();
        mariadb_root(mariadb(), &format!("USE {}; {change}", case.plan.connection.database));
        let error = end(reader);
        assert!(error.is_transient && error.code == "conflict", "{change}: {error:?}");
    }
    check(&case, "id integer", &[]);
}

#[test]
fn a_server_that_shuts_down_amid_the_rows_may_be_asked_again() {
    let server = own_mariadb(&[]);
    let (_, reader) = slow(&server);
    mariadb_root(&server, "SHUTDOWN");
    let error = end(reader);
    assert!(error.is_transient, "{error:?}");
}

#[test]
fn a_value_that_can_not_be_read_on_ends_the_read_at_once() {
    let mut case = Case::sql("etl", "SELECT seq AS id, IF(seq = 10, 'x', '2026-01-01') AS d FROM seq_1_to_3000000");
    case.rules.types = vec![("d".to_owned(), ColumnType::Date)];
    case.options.invalid_values = OnInvalidValue::Fail;
    let started = std::time::Instant::now();
    assert_eq!(case.refused().0, "invalid_data");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}
