use chrono::{TimeZone as _, Utc};

use super::*;

fn bounds(lower: Option<&str>) -> Bounds {
    Bounds {
        column: "at".to_owned(),
        comparable: "timestamptz",
        is_cast: false,
        column_type: ColumnType::TimestampUtc,
        lower: lower.map(|text| CursorValue { column_type: ColumnType::TimestampUtc, text: text.to_owned() }),
        window: None,
    }
}

#[test]
fn a_lower_bound_is_closed_bound_and_lets_nulls_through() {
    let columns = [
        ("id".to_owned(), ServerType { oid: 20, modifier: -1 }.mapping()),
        ("net\"".to_owned(), ServerType { oid: 869, modifier: -1 }.mapping()),
        ("span".to_owned(), ServerType { oid: 1186, modifier: -1 }.mapping()),
    ];
    let query = bounded("s", "SELECT * FROM \"t\"", &columns, Some(&bounds(Some("2026-01-01T00:00:00.000001Z")))).unwrap();
    let expected = "SELECT \"id\", nullif(concat(\"net\"\"\"), ''), \"span\"::text FROM (\nSELECT * FROM \"t\"\n) AS etlsched \
         WHERE (\"at\" >= (current_setting('etlsched.lower_bound')::timestamptz) OR \"at\" IS NULL)";
    assert_eq!(query.sql, expected);
    assert_eq!(query.settings, [(LOWER_BOUND, "2026-01-01T00:00:00.000001Z".to_owned())]);
}

#[test]
fn placeholders_carry_the_bound_and_the_value_below_it() {
    let read = |sql: &str, lower| rows("s", sql, "*", Some(&bounds(lower))).unwrap().settings;
    assert_eq!(read("SELECT :last_sync", Some("2026-01-01T00:00:00Z")), [(LAST_SYNC, "2025-12-31T23:59:59.999999Z".to_owned())]);
    assert_eq!(read("SELECT :lower_bound", Some("2026-01-01T00:00:00Z")), [(LOWER_BOUND, "2026-01-01T00:00:00Z".to_owned())]);
    assert_eq!(read("SELECT :last_sync", None), [(LAST_SYNC, "1969-12-31T23:59:59.999999Z".to_owned())]);
    let number = Bounds { comparable: "int4", column_type: ColumnType::Int32, ..bounds(None) };
    let least = rows("s", "SELECT :last_sync", "*", Some(&number)).unwrap();
    assert_eq!(least.settings, [(LAST_SYNC, "-2147483648".to_owned())]);
    assert!(least.sql.contains("(current_setting('etlsched.last_sync')::int4)"), "{}", least.sql);
}

#[test]
fn a_window_is_closed_below_and_open_above() {
    let day = |day| Some(Utc.with_ymd_and_hms(2026, 1, day, 0, 0, 0).unwrap());
    let window = Bounds { window: Some(Window { since: day(1), until: day(2) }), ..bounds(None) };
    let query = rows("s", "SELECT 1", "*", Some(&window)).unwrap();
    let filter =
        "WHERE \"at\" >= (current_setting('etlsched.since')::timestamptz) AND \"at\" < (current_setting('etlsched.until')::timestamptz)";
    assert!(query.sql.ends_with(filter), "{}", query.sql);
    assert_eq!(query.settings, [(SINCE, "2026-01-01T00:00:00Z".to_owned()), (UNTIL, "2026-01-02T00:00:00Z".to_owned())]);
    let number = Bounds { comparable: "int8", ..window };
    assert!(rows("s", "SELECT 1", "*", Some(&number)).unwrap_err().to_string().contains("need dates or timestamps"));
}
