//! Bounds of the cursor column, and placeholders.

use super::*;

fn rows(database: &str, name: &str, lower: (&str, &str)) -> Vec<String> {
    Case::sql(database, &format!("SELECT {name} FROM t")).since(name, Some(lower)).read().unwrap().lines
}

#[test]
fn a_lower_bound_holds_for_every_sortable_type() {
    let database = database(
        "CREATE TABLE t (i1 tinyint, u1 tinyint unsigned, i2 smallint, i4 int, u4 int unsigned, i8 bigint, u8 bigint unsigned, y year, n decimal(38,4),
           d date, dt datetime(6), ts timestamp(6) NULL, dt0 datetime, bits bit(20));
         INSERT INTO t SELECT seq, seq, seq, seq, seq + 4294967290, seq + 9223372036854775800, seq + 18446744073709551610, 2000 + seq, seq,
           '2026-01-01' + INTERVAL seq DAY, '2026-01-01' + INTERVAL seq MICROSECOND, '2026-01-01' + INTERVAL seq MICROSECOND,
           '2026-01-01' + INTERVAL seq SECOND, seq FROM seq_1_to_3;
         INSERT INTO t (i1) VALUES (NULL)",
    );
    let check = |name: &str, type_name: &str, lower: &str, expected: &[&str]| {
        assert_eq!(rows(&database, name, (type_name, lower)), expected, "{name}");
    };
    for name in ["i1", "u1", "i2"] {
        check(name, "smallint", "2", &["2", "3", "NULL"]);
    }
    check("i4", "integer", "3", &["3", "NULL"]);
    check("u4", "bigint", "4294967292", &["4294967292", "4294967293", "NULL"]);
    check("i8", "bigint", "9223372036854775803", &["9223372036854775803", "NULL"]);
    check("u8", "uint64", "18446744073709551612", &["18446744073709551612", "18446744073709551613", "NULL"]);
    check("y", "smallint", "2002", &["2002", "2003", "NULL"]);
    check("n", "decimal(38,4)", "2.0001", &["3.0000", "NULL"]);
    check("d", "date", "2026-01-03", &["2026-01-03", "2026-01-04", "NULL"]);
    check("dt", "timestamp", "2026-01-01T00:00:00.000002", &["2026-01-01T00:00:00.000002", "2026-01-01T00:00:00.000003", "NULL"]);
    check("ts", "timestamp_utc", "2026-01-01T00:00:00.000003Z", &["2026-01-01T00:00:00.000003Z", "NULL"]);
    check("dt0", "timestamp", "2026-01-01T00:00:02", &["2026-01-01T00:00:02", "2026-01-01T00:00:03", "NULL"]);
    check("bits", "integer", "3", &["3", "NULL"]);
}

#[test]
fn a_window_is_closed_below_open_above_and_without_nulls() {
    let database =
        database("CREATE TABLE t (at timestamp(6) NULL); INSERT INTO t VALUES (NULL), ('2026-01-01'), ('2026-01-02'), ('2026-01-03')");
    let mut case = Case::on(mariadb(), &database, Some("t"), None).since("at", Some(("timestamp_utc", "2026-01-01T00:00:00Z")));
    case.upper = Some(CursorValue { column_type: ColumnType::TimestampUtc, text: "2026-01-03T00:00:00Z".to_owned() });
    check(&case, "at timestamp_utc", &["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]);
    case.plan.filter = Some("at < '2026-01-02' OR 1 = 0".to_owned());
    check(&case, "at timestamp_utc", &["2026-01-01T00:00:00Z"]);
}

#[test]
fn a_declared_type_is_compared_as_that() {
    let database = database(
        "CREATE TABLE t (id int, day varchar(20), at datetime, n decimal(5,1)); INSERT INTO t VALUES (1, '2026-01-01', '2026-01-01', 1),
           (2, '2026-01-02', '2026-01-02', 2.5), (3, 'never', NULL, NULL)",
    );
    let mut case = Case::on(mariadb(), &database, Some("t"), None).since("day", Some(("date", "2026-01-02")));
    case.rules.types = vec![("day".to_owned(), ColumnType::Date), ("at".to_owned(), ColumnType::TimestampUtc)];
    let outcome = case.read().unwrap();
    assert_eq!(outcome.lines, ["2|2026-01-02|2026-01-02T00:00:00Z|2.5"]);
    assert_eq!(outcome.rejected, ["day: never does not fit date [3,never,,]"]);
    case.options.timestamp_column = Some("at".to_owned());
    case.lower = Some(CursorValue { column_type: ColumnType::TimestampUtc, text: "2026-01-02T00:00:00Z".to_owned() });
    assert_eq!(case.read().unwrap().lines, ["2|2026-01-02|2026-01-02T00:00:00Z|2.5"]);
    case.rules.types = vec![("day".to_owned(), ColumnType::Int64)];
    case.options.timestamp_column = Some("day".to_owned());
    let (code, text) = case.refused();
    assert_eq!(code, "bad_cursor", "{text}");
}

#[test]
fn placeholders_are_bound_in_a_query() {
    let database = database(
        "CREATE TABLE t (id int, at timestamp NULL, n bigint unsigned); INSERT INTO t SELECT seq, '2026-01-01' + INTERVAL seq HOUR, seq FROM seq_1_to_3",
    );
    let case = |sql: &str, column: &str, lower| Case::sql(&database, sql).since(column, lower);
    let at = Some(("timestamp_utc", "2026-01-01T02:00:00Z"));
    let hours = ["2|2026-01-01T02:00:00Z", "3|2026-01-01T03:00:00Z"];
    check(&case("SELECT id, at FROM t WHERE at > :last_sync;", "at", at), "id integer, at timestamp_utc", &hours);
    check(&case("SELECT id FROM t WHERE id >= :lower_bound -- ':last_sync'", "id", Some(("integer", "3"))), "id integer", &["3"]);
    check(&case("SELECT id FROM t WHERE id > :last_sync", "id", None), "id integer", &["1", "2", "3"]);
    check(&case("SELECT n FROM t WHERE n > :last_sync OR n = :lower_bound", "n", Some(("uint64", "3"))), "n unsigned", &["3"]);
    check(
        &case(
            "SELECT id, :slot AS slot, '1:x' AS t, `n` AS ':y?' FROM t WHERE at < :run_started AND id > :last_sync",
            "id",
            Some(("integer", "3")),
        ),
        "id integer, slot timestamp, t text, :y? unsigned",
        &["3|2026-01-02T03:04:05|1:x|3"],
    );
    check(
        &case("SELECT id, :lower_bound AS b, :last_sync + 1 AS l FROM t WHERE id > :last_sync", "id", Some(("integer", "3"))),
        "id integer, b integer, l integer",
        &["3|3|3"],
    );
    let refused = |sql: &str| Case::sql(&database, sql).refused();
    let (code, text) = refused("DELETE FROM t");
    assert!(code == "permission_denied" && text.contains("READ ONLY"), "{text}");
    for sql in ["SELECT 1; DROP TABLE t", "SELECT 1) AS x -- ", "SELECT * FROM t WHERE id = ?", "SHOW TABLES", "SELECT :nothing", ""] {
        let (code, text) = refused(sql);
        assert_eq!(code, "invalid_sql", "{sql}: {text}");
    }
    assert!(refused("SELECT 1 AS a, 2 AS \"A\"").1.contains("A"));
    assert_eq!(mariadb_root(mariadb(), &format!("SELECT count(*) FROM {database}.t")), "3");
}
