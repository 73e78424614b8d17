use chrono::{TimeZone as _, Utc};

use super::*;

const LAST_SYNC: &str = "etlsched.last_sync";
const LOWER_BOUND: &str = "etlsched.lower_bound";

fn moments() -> Moments {
    let at = |hour| Utc.with_ymd_and_hms(2026, 1, 1, hour, 0, 0).unwrap();
    Moments { slot: at(6), run_started: at(7) }
}

fn bounds(lower: Option<&str>) -> Bounds {
    Bounds {
        column: "at".to_owned(),
        comparable: "timestamptz",
        is_cast: false,
        column_type: ColumnType::TimestampUtc,
        lower: lower.map(|text| CursorValue { column_type: ColumnType::TimestampUtc, text: text.to_owned() }),
        upper: None,
        is_exact: false,
        is_without_nulls: false,
    }
}

#[test]
fn a_lower_bound_is_closed_bound_and_lets_nulls_through() {
    let columns = [
        ("id".to_owned(), ServerType { oid: 20, modifier: -1 }.mapping()),
        ("net\"".to_owned(), ServerType { oid: 869, modifier: -1 }.mapping()),
        ("span".to_owned(), ServerType { oid: 1186, modifier: -1 }.mapping()),
    ];
    let query = bounded("s", "SELECT * FROM \"t\"", &columns, Some(&bounds(Some("2026-01-01T00:00:00.000001Z"))), moments()).unwrap();
    let expected = "SELECT \"id\", nullif(concat(\"net\"\"\"), ''), \"span\"::text FROM (\nSELECT * FROM \"t\"\n) AS etlsched \
         WHERE (\"at\" >= (current_setting('etlsched.from')::timestamptz) OR \"at\" IS NULL)";
    assert_eq!(query.sql, expected);
    assert_eq!(query.settings, [(FROM, "2026-01-01T00:00:00.000001Z".to_owned())]);
}

#[test]
fn placeholders_carry_the_bound_and_the_value_below_it() {
    let read = |sql: &str, lower| rows("s", sql, "*", Some(&bounds(lower)), Some(moments())).unwrap().settings;
    assert_eq!(read("SELECT :last_sync", Some("2026-01-01T00:00:00Z")), [(LAST_SYNC, "2025-12-31T23:59:59.999999Z".to_owned())]);
    assert_eq!(read("SELECT :lower_bound", Some("2026-01-01T00:00:00Z")), [(LOWER_BOUND, "2026-01-01T00:00:00Z".to_owned())]);
    assert_eq!(read("SELECT :last_sync", None), [(LAST_SYNC, "1969-12-31T23:59:59.999999Z".to_owned())]);
    let number = Bounds { comparable: "int4", column_type: ColumnType::Int32, ..bounds(None) };
    let least = rows("s", "SELECT :last_sync", "*", Some(&number), Some(moments())).unwrap();
    assert_eq!(least.settings, [(LAST_SYNC, "-2147483648".to_owned())]);
    assert!(least.sql.contains("(current_setting('etlsched.last_sync')::int4)"), "{}", least.sql);
}

#[test]
fn a_window_is_closed_below_and_open_above() {
    let value = |text: &str| Some(CursorValue { column_type: ColumnType::TimestampUtc, text: text.to_owned() });
    let (lower, upper) = (value("2026-01-01T00:00:00Z"), value("2026-01-02T00:00:00Z"));
    let window = Bounds { lower, upper, is_exact: true, is_without_nulls: true, ..bounds(None) };
    let filter =
        "WHERE \"at\" >= (current_setting('etlsched.from')::timestamptz) AND \"at\" < (current_setting('etlsched.until')::timestamptz)";
    let ends = [(FROM, "2026-01-01T00:00:00Z".to_owned()), (UNTIL, "2026-01-02T00:00:00Z".to_owned())];
    let query = rows("s", "SELECT 1", "*", Some(&window), Some(moments())).unwrap();
    assert!(query.sql.ends_with(filter), "{}", query.sql);
    assert_eq!(query.settings, ends);
    // A query with placeholders of its own may give more.
    let query = rows("s", "SELECT :last_sync", "*", Some(&window), Some(moments())).unwrap();
    assert!(query.sql.ends_with(filter), "{}", query.sql);
    assert_eq!(query.settings, [&[(LAST_SYNC, "2025-12-31T23:59:59.999999Z".to_owned())][..], &ends].concat());
}

#[test]
fn the_instants_of_the_run_are_bound_and_filter_nothing_by_themselves() {
    let query = rows("s", "SELECT :run_started, :slot, :slot", "*", Some(&bounds(Some("2026-01-01T00:00:00Z"))), Some(moments())).unwrap();
    let expected = [
        ("etlsched.slot", "2026-01-01T06:00:00.000000Z".to_owned()),
        ("etlsched.run_started", "2026-01-01T07:00:00.000000Z".to_owned()),
        (FROM, "2026-01-01T00:00:00Z".to_owned()),
    ];
    assert_eq!(query.settings, expected);
    assert!(
        query
            .sql
            .contains("SELECT (current_setting('etlsched.run_started')::timestamptz), (current_setting('etlsched.slot')::timestamptz)")
    );
    let present = rows("s", "SELECT :slot", "*", None, None).unwrap();
    assert_eq!((present.sql.contains("SELECT (clock_timestamp())"), present.settings.is_empty()), (true, true));
}
