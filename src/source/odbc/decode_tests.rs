//! Values as drivers write them.

use super::*;
use crate::batch::text::cell_text;
use crate::batch::{BatchBuilder, Column, Schema};

/// Appends one value and returns its text in the batch; `None` where it doesn't fit.
fn appended(column_type: ColumnType, wire: Wire, form: TextForm, value: &[u8]) -> Option<String> {
    let mut batch = BatchBuilder::new(&Schema::new(vec![Column::new("c", column_type)]), 1);
    let bytes = append(&mut batch.columns[0], wire, form, value, &mut Vec::new()).ok()?;
    batch.end_row(bytes);
    cell_text(&batch.finish()?, 0, 0)
}

#[track_caller]
fn check(column_type: ColumnType, wire: Wire, value: &[u8], expected: Option<&str>) {
    assert_eq!(appended(column_type, wire, TextForm::Wide, value).as_deref(), expected, "{column_type} of {wire:?}");
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_ne_bytes).collect()
}

fn units(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_ne_bytes()).collect()
}

#[test]
fn text_of_every_width_is_kept_and_half_a_character_is_none() {
    for text in ["", "abc", "é", "☃", "😀", "a😀b☃", "\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}"] {
        check(ColumnType::Text, Wire::Text, &wide(text), Some(text));
        assert_eq!(appended(ColumnType::Text, Wire::Text, TextForm::Utf8, text.as_bytes()).as_deref(), Some(text));
    }
    for broken in [&[0xd83d][..], &[0xde00], &[0xd83d, 0x61], &[0x61, 0xd83d], &[0xde00, 0xd83d], &[0x61, 0, 0x62]] {
        check(ColumnType::Text, Wire::Text, &units(broken), None);
    }
    check(ColumnType::Text, Wire::Text, &[0x61], None);
    for broken in [&b"\xf0\x9f\x98"[..], b"\xff", b"a\0b", b"\xed\xa0\x80"] {
        assert_eq!(appended(ColumnType::Text, Wire::Text, TextForm::Utf8, broken), None);
    }
    assert_eq!(shown(Wire::Text, TextForm::Wide, &units(&[0x61, 0xd83d])), "a\u{fffd}");
}

#[test]
fn decimals_are_exact() {
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let ascii = |column_type, text: &str, expected| check(column_type, Wire::Ascii, text.as_bytes(), expected);
    ascii(decimal(10, 2), "12.5", Some("12.50"));
    ascii(decimal(10, 2), "-.5", Some("-0.50"));
    ascii(decimal(10, 2), " 12.50 ", Some("12.50"));
    ascii(decimal(10, 2), "99999999.99", Some("99999999.99"));
    ascii(decimal(10, 2), "100000000.00", None);
    ascii(decimal(10, 2), "0.001", None);
    ascii(decimal(10, 2), "1e2", Some("100.00"));
    ascii(decimal(10, 2), "NaN", None);
    ascii(decimal(10, 2), "", None);
    ascii(decimal(10, 2), "-", None);
    ascii(decimal(38, 10), "-9999999999999999999999999999.9999999999", Some("-9999999999999999999999999999.9999999999"));
    ascii(ColumnType::UInt64, "18446744073709551615", Some("18446744073709551615"));
    ascii(ColumnType::Text, "1.10", Some("1.10"));
}

fn date(year: i16, month: u16, day: u16) -> Vec<u8> {
    [year.to_ne_bytes(), month.to_ne_bytes(), day.to_ne_bytes()].concat()
}

fn at(year: i16, month: u16, day: u16, clock: [u16; 3], nanos: u32) -> Vec<u8> {
    let mut bytes = date(year, month, day);
    bytes.extend(clock.iter().flat_map(|part| part.to_ne_bytes()));
    bytes.extend(nanos.to_ne_bytes());
    bytes
}

#[test]
fn dates_and_moments_keep_every_digit_or_are_refused() {
    check(ColumnType::Date, Wire::Date, &date(2024, 2, 29), Some("2024-02-29"));
    check(ColumnType::Date, Wire::Date, &date(2023, 2, 29), None);
    check(ColumnType::Date, Wire::Date, &date(0, 0, 0), None);
    check(ColumnType::Text, Wire::Date, &date(0, 0, 0), Some("0000-00-00"));
    let last = at(9999, 12, 31, [23, 59, 59], 999_999_900);
    check(ColumnType::Timestamp, Wire::Timestamp, &at(2024, 2, 29, [23, 59, 58], 123_456_000), Some("2024-02-29T23:59:58.123456"));
    check(ColumnType::TimestampUtc, Wire::Timestamp, &at(1, 1, 1, [0, 0, 0], 0), Some("0001-01-01T00:00:00Z"));
    check(ColumnType::Timestamp, Wire::Timestamp, &last, None);
    check(ColumnType::TimestampNanos, Wire::Timestamp, &at(2024, 1, 1, [0, 0, 0], 100), Some("2024-01-01T00:00:00.000000100"));
    check(ColumnType::TimestampNanos, Wire::Timestamp, &last, None);
    check(ColumnType::Text, Wire::Timestamp, &last, Some("9999-12-31T23:59:59.999999900"));
    check(ColumnType::Text, Wire::Instant, &last, Some("9999-12-31T23:59:59.999999900Z"));
    check(ColumnType::TimestampNanosUtc, Wire::Instant, &last, None);
    check(ColumnType::TimestampUtc, Wire::Instant, &at(2024, 1, 1, [0, 0, 0], 1000), Some("2024-01-01T00:00:00.000001Z"));
    check(ColumnType::Timestamp, Wire::Timestamp, &at(2024, 1, 1, [24, 0, 0], 0), None);
}

#[test]
fn numbers_and_uuids_come_in_the_machine_s_own_form() {
    check(ColumnType::Int64, Wire::Integer, &i64::MIN.to_ne_bytes(), Some("-9223372036854775808"));
    check(ColumnType::Int16, Wire::Integer, &40_000_i64.to_ne_bytes(), None);
    check(ColumnType::Text, Wire::Integer, &7_i64.to_ne_bytes(), Some("7"));
    check(ColumnType::Boolean, Wire::Bit, &[1], Some("true"));
    check(ColumnType::Float64, Wire::Double, &0.1_f64.to_ne_bytes(), Some("0.1"));
    let mut guid = 0x0011_2233_u32.to_ne_bytes().to_vec();
    guid.extend(0x4455_u16.to_ne_bytes());
    guid.extend(0x6677_u16.to_ne_bytes());
    guid.extend([0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
    check(ColumnType::Uuid, Wire::Guid, &guid, Some("00112233-4455-6677-8899-aabbccddeeff"));
    check(ColumnType::Text, Wire::Guid, &guid, Some("00112233-4455-6677-8899-aabbccddeeff"));
}
