use super::*;

#[test]
fn values_are_parameters_of_their_own_type() {
    let value = |column_type, text: &str| bound(&CursorValue { column_type, text: text.to_owned() });
    assert_eq!(value(ColumnType::Int64, "-7"), Value::Int(-7));
    assert_eq!(value(ColumnType::UInt64, "18446744073709551615"), Value::UInt(u64::MAX));
    let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
    assert_eq!(value(ColumnType::Decimal { precision: 20, scale: 1 }, "1.5"), bytes("1.5"));
    assert_eq!(value(ColumnType::TimestampUtc, "2026-01-02T03:04:05.000001Z"), bytes("2026-01-02 03:04:05.000001"));
}

#[test]
fn a_text_is_compared_as_a_date_and_never_as_a_number() {
    assert_eq!(compared(Wire::Text, ColumnType::Date), Some((Comparable::Date, true)));
    assert_eq!(compared(Wire::Text, ColumnType::Int64), None);
    assert_eq!(compared(Wire::Timestamp, ColumnType::TimestampUtc), Some((Comparable::Datetime, false)));
    assert_eq!(compared(Wire::Integer, ColumnType::UInt64), Some((Comparable::Integer, false)));
    assert_eq!(compared(Wire::Double, ColumnType::Float64), None);
    assert_eq!(compared(Wire::Time { decimals: 0 }, ColumnType::Text), None);
}
