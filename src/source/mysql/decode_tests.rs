use super::*;
use crate::batch::text::cell_text;
use crate::batch::{BatchBuilder, Column, Schema};

/// Returns the text of what a column of a type holds after a value was appended; `None` where it doesn't fit.
fn held(column_type: ColumnType, wire: Wire, value: &Value) -> Option<String> {
    let mut batch = BatchBuilder::new(&Schema::new(vec![Column::new("c", column_type)]), 1);
    append(&mut batch.columns[0], wire, value).ok()?;
    batch.end_row(1);
    cell_text(&batch.finish().expect("a row"), 0, 0)
}

#[track_caller]
fn check(column_type: ColumnType, wire: Wire, value: Value, expected: Option<&str>) {
    assert_eq!(held(column_type, wire, &value).as_deref(), expected, "{column_type} of {value:?}");
}

fn bytes(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

#[test]
fn decimals_keep_every_digit() {
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    check(decimal(5, 2), Wire::Decimal, bytes("-999.99"), Some("-999.99"));
    check(decimal(5, 2), Wire::Decimal, bytes("0.05"), Some("0.05"));
    check(decimal(5, 2), Wire::Decimal, bytes("00001.50"), Some("1.50"));
    check(decimal(4, 2), Wire::Decimal, bytes("999.99"), None);
    check(decimal(5, 3), Wire::Decimal, bytes("1.5"), Some("1.500"));
    check(decimal(5, 1), Wire::Decimal, bytes("1.55"), None);
    check(decimal(18, 0), Wire::Decimal, bytes("999999999999999999"), Some("999999999999999999"));
    check(decimal(20, 0), Wire::Decimal, bytes("-99999999999999999999"), Some("-99999999999999999999"));
    let most = format!("{}.{}", "9".repeat(35), "9".repeat(30));
    check(decimal(65, 30), Wire::Decimal, bytes(&most), Some(&most));
    check(ColumnType::Text, Wire::Decimal, bytes(&most), Some(&most));
    check(ColumnType::Float64, Wire::Decimal, bytes("1.50"), Some("1.5"));
}

#[test]
fn what_is_no_date_fits_no_date() {
    let date = |year, month, day| Value::Date(year, month, day, 0, 0, 0, 0);
    check(ColumnType::Date, Wire::Date, date(9999, 12, 31), Some("9999-12-31"));
    check(ColumnType::Date, Wire::Date, date(0, 1, 1), Some("0000-01-01"));
    for (year, month, day) in [(0, 0, 0), (2024, 0, 0), (2024, 2, 0), (2024, 2, 30), (2023, 2, 29), (2024, 13, 1)] {
        check(ColumnType::Date, Wire::Date, date(year, month, day), None);
        check(ColumnType::Timestamp, Wire::Datetime, date(year, month, day), None);
        check(ColumnType::TimestampUtc, Wire::Timestamp, date(year, month, day), None);
    }
    let moment = Value::Date(2026, 10, 25, 0, 30, 0, 1);
    check(ColumnType::Timestamp, Wire::Datetime, moment.clone(), Some("2026-10-25T00:30:00.000001"));
    check(ColumnType::TimestampUtc, Wire::Datetime, moment.clone(), Some("2026-10-25T00:30:00.000001Z"));
    check(ColumnType::TimestampUtc, Wire::Timestamp, moment.clone(), Some("2026-10-25T00:30:00.000001Z"));
    check(ColumnType::Text, Wire::Timestamp, moment, Some("2026-10-25T00:30:00.000001Z"));
    assert_eq!(shown(Wire::Date, &date(2024, 0, 0)), "2024-00-00");
    assert_eq!(shown(Wire::Datetime, &date(0, 0, 0)), "0000-00-00 00:00:00");
}

#[test]
fn a_span_is_text_and_a_time_of_day_where_it_is_one() {
    let wire = |decimals| Wire::Time { decimals };
    check(ColumnType::Text, wire(0), Value::Time(true, 34, 22, 59, 59, 0), Some("-838:59:59"));
    check(ColumnType::Text, wire(3), Value::Time(false, 0, 1, 2, 3, 450_000), Some("01:02:03.450"));
    check(ColumnType::Text, wire(6), Value::Time(true, 0, 0, 0, 0, 1), Some("-00:00:00.000001"));
    check(ColumnType::Time, wire(6), Value::Time(false, 0, 23, 59, 59, 999_999), Some("23:59:59.999999"));
    check(ColumnType::Time, wire(0), Value::Time(false, 1, 0, 0, 0, 0), None);
    check(ColumnType::Time, wire(0), Value::Time(true, 0, 1, 0, 0, 0), None);
}

#[test]
fn numbers_are_never_bent() {
    check(ColumnType::UInt64, Wire::Integer, Value::UInt(u64::MAX), Some("18446744073709551615"));
    check(ColumnType::UInt64, Wire::Integer, Value::Int(7), Some("7"));
    check(ColumnType::Int64, Wire::Integer, Value::Int(i64::MIN), Some("-9223372036854775808"));
    check(ColumnType::Boolean, Wire::Integer, Value::Int(1), Some("true"));
    check(ColumnType::Boolean, Wire::Integer, Value::Int(2), None);
    check(ColumnType::Int16, Wire::Integer, Value::Int(40_000), None);
    check(ColumnType::Text, Wire::Float, Value::Float(0.1), Some("0.1"));
    check(ColumnType::Float32, Wire::Float, Value::Float(0.1), Some("0.1"));
    check(ColumnType::Boolean, Wire::Bit, Value::Bytes(vec![1]), Some("true"));
    check(ColumnType::UInt64, Wire::Bit, Value::Bytes(vec![255; 8]), Some("18446744073709551615"));
    check(ColumnType::Int16, Wire::Bit, Value::Bytes(vec![1, 2]), Some("258"));
}

#[test]
fn text_is_whole_or_refused() {
    check(ColumnType::Text, Wire::Text, bytes("a☃😀"), Some("a☃😀"));
    check(ColumnType::Text, Wire::Text, bytes(""), Some(""));
    check(ColumnType::Text, Wire::Text, bytes("a\0b"), None);
    check(ColumnType::Text, Wire::Text, Value::Bytes(vec![0xff]), None);
    check(ColumnType::Json, Wire::Json, bytes("{\"a\":1}"), Some("{\"a\":1}"));
    check(ColumnType::Json, Wire::Text, bytes("{"), None);
    check(ColumnType::Binary, Wire::Binary, Value::Bytes(vec![0, 255]), Some("\\x00ff"));
    check(ColumnType::Int32, Wire::Text, bytes("12"), Some("12"));
}
