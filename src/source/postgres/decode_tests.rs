use super::*;
use crate::batch::text::cell_text;
use crate::batch::{BatchBuilder, Column, Schema};

/// Returns the text of what a column of a type holds after a value was appended; `None` where it doesn't fit.
fn decoded(column_type: ColumnType, wire: Wire, value: &[u8]) -> Option<String> {
    let mut batch = BatchBuilder::new(&Schema::new(vec![Column::new("c", column_type)]), 10);
    let bytes = append(&mut batch.columns[0], wire, value).ok()?;
    batch.end_row(bytes);
    cell_text(&batch.finish().unwrap(), 0, 0)
}

#[track_caller]
fn check(column_type: ColumnType, wire: Wire, value: &[u8], expected: Option<&str>) {
    assert_eq!(decoded(column_type, wire, value).as_deref(), expected, "{wire:?} {value:?} as {column_type}");
}

/// The bytes are those that PostgreSQL 15 sends.
#[test]
fn values_are_decoded_as_the_server_writes_them() {
    check(ColumnType::Boolean, Wire::Bool, &[1], Some("true"));
    check(ColumnType::Int16, Wire::Int2, &[0x80, 0x00], Some("-32768"));
    check(ColumnType::Int32, Wire::Int4, &[0x7f, 0xff, 0xff, 0xff], Some("2147483647"));
    check(ColumnType::Int64, Wire::Int8, &[0x80, 0, 0, 0, 0, 0, 0, 0], Some("-9223372036854775808"));
    check(ColumnType::Int64, Wire::Oid, &[0xff, 0xff, 0xff, 0xff], Some("4294967295"));
    check(ColumnType::Float32, Wire::Float4, &[0x3d, 0xcc, 0xcc, 0xcd], Some("0.1"));
    check(ColumnType::Float64, Wire::Float8, &[0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], Some("0.1"));
    check(ColumnType::Text, Wire::Text, "naïve ☃".as_bytes(), Some("naïve ☃"));
    check(ColumnType::Json, Wire::Jsonb, b"\x01{\"a\": 1}", Some("{\"a\": 1}"));
    check(ColumnType::Binary, Wire::Bytea, &[0, 255], Some("\\x00ff"));
    check(ColumnType::Date, Wire::Date, &[0, 0, 0, 0], Some("2000-01-01"));
    // 1969-12-31
    check(ColumnType::Date, Wire::Date, &(-10_958_i32).to_be_bytes(), Some("1969-12-31"));
    check(ColumnType::Time, Wire::Time, &86_399_999_999_i64.to_be_bytes(), Some("23:59:59.999999"));
    check(ColumnType::Timestamp, Wire::Timestamp, &(-1_i64).to_be_bytes(), Some("1999-12-31T23:59:59.999999"));
    check(ColumnType::TimestampUtc, Wire::TimestampTz, &1_i64.to_be_bytes(), Some("2000-01-01T00:00:00.000001Z"));
    check(ColumnType::Uuid, Wire::Uuid, &[0xab; 16], Some("abababab-abab-abab-abab-abababababab"));
}

/// Digits, weight, sign, scale, then the digits.
fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
    let count = u16::try_from(digits.len()).unwrap();
    let head = [count, weight.cast_unsigned(), sign, scale];
    head.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect()
}

#[test]
fn numbers_keep_every_digit() {
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let text = ColumnType::Text;
    // 1234567.89
    let number = numeric(1, 0, 2, &[123, 4567, 8900]);
    check(decimal(12, 2), Wire::Numeric, &number, Some("1234567.89"));
    check(text, Wire::Numeric, &number, Some("1234567.89"));
    check(decimal(12, 4), Wire::Numeric, &number, Some("1234567.8900"));
    check(decimal(8, 2), Wire::Numeric, &number, None);
    check(decimal(12, 1), Wire::Numeric, &number, None);
    // -0.0001, 0, 0.00, 10000, 1e-10 with more zeros behind it
    check(decimal(9, 4), Wire::Numeric, &numeric(-1, 0x4000, 4, &[1]), Some("-0.0001"));
    check(text, Wire::Numeric, &numeric(0, 0, 0, &[]), Some("0"));
    check(text, Wire::Numeric, &numeric(0, 0, 2, &[]), Some("0.00"));
    check(decimal(9, 2), Wire::Numeric, &numeric(0, 0, 2, &[]), Some("0.00"));
    check(text, Wire::Numeric, &numeric(1, 0, 0, &[1]), Some("10000"));
    check(text, Wire::Numeric, &numeric(-3, 0, 12, &[100]), Some("0.000000000100"));
    // 38 nines, ten of them behind the point: more than 128 bits on the way
    let nines: Vec<u16> = [vec![9999; 9], vec![9900]].concat();
    let expected = "9999999999999999999999999999.9999999999";
    check(decimal(38, 10), Wire::Numeric, &numeric(6, 0, 10, &nines), Some(expected));
    check(text, Wire::Numeric, &numeric(6, 0, 10, &nines), Some(expected));
    check(decimal(76, 10), Wire::Numeric, &numeric(6, 0, 10, &nines), Some(expected));
}

#[test]
fn what_no_value_is_does_not_fit() {
    check(ColumnType::Decimal { precision: 9, scale: 2 }, Wire::Numeric, &numeric(0, 0xc000, 0, &[]), None);
    check(ColumnType::Text, Wire::Numeric, &numeric(0, 0xc000, 0, &[]), Some("NaN"));
    check(ColumnType::Text, Wire::Numeric, &numeric(0, 0xf000, 0, &[]), Some("-Infinity"));
    check(ColumnType::Date, Wire::Date, &i32::MAX.to_be_bytes(), None);
    check(ColumnType::Timestamp, Wire::Timestamp, &i64::MIN.to_be_bytes(), None);
    // 294276-12-31 23:59:59.999999, beyond 64 bits of microseconds since 1970
    check(ColumnType::TimestampUtc, Wire::TimestampTz, &9_223_371_331_199_999_999_i64.to_be_bytes(), None);
    check(ColumnType::Time, Wire::Time, &86_400_000_000_i64.to_be_bytes(), None);
    check(ColumnType::Text, Wire::Text, &[0xff], None);
    check(ColumnType::Int32, Wire::Int4, &[0; 3], None);
    let told = [
        shown(Wire::Date, &i32::MIN.to_be_bytes()),
        shown(Wire::TimestampTz, &i64::MAX.to_be_bytes()),
        shown(Wire::Time, &86_400_000_000_i64.to_be_bytes()),
        shown(Wire::TimestampTz, &9_223_371_331_199_999_999_i64.to_be_bytes()),
        shown(Wire::Timestamp, &9_223_371_331_200_000_000_i64.to_be_bytes()),
        shown(Wire::Numeric, &numeric(0, 0xd000, 0, &[])),
        shown(Wire::Bytea, &[1, 2]),
        shown(Wire::Int4, &7_i32.to_be_bytes()),
    ];
    let expected =
        ["-infinity", "infinity", "24:00:00", "+294276-12-31T23:59:59.999999Z", "+294277-01-01T00:00:00", "Infinity", "\\x0102", "7"];
    assert_eq!(told, expected);
}

#[test]
fn rows_are_found_whole_in_part_and_ended() {
    let row = [&[0, 2][..], &[0, 0, 0, 1, b'x'], &[255; 4]].concat();
    assert_eq!(next(&row, 2), Ok(Next::Row(11)));
    for length in 0..row.len() {
        assert_eq!(next(&row[..length], 2), Ok(Next::Part), "{length} bytes");
    }
    assert_eq!(next(&[255, 255], 2), Ok(Next::End));
    assert_eq!(next(&row, 3), Err(()));
    let mut rest = &row[2..];
    assert_eq!((field(&mut rest), field(&mut rest), rest.len()), (Some(&b"x"[..]), None, 0));
    assert!(is_header(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"));
    assert!(!is_header(b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0"));
}
