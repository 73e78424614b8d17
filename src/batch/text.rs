//! The one text of a value: for the preview, for cursors, and for engines that keep a type as text. Pure.
//!
//! Texts: `2013-01-01`, `05:00:00`, `2013-01-01T05:00:00`, `2013-01-01T05:00:00Z` for instants. A fraction stands only where it
//! isn't zero, with all six digits (nine for nanoseconds), so that texts without their `Z` sort as their values do.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};

use super::calendar::{DAY_SECONDS, civil_from_days};

/// Two digits for each number below 100.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Returns the text of a cell; `None` is NULL.
///
/// # Panics
/// Where row or column is outside the batch.
pub fn cell_text(batch: &RecordBatch, column: usize, row: usize) -> Option<String> {
    let mut bytes = Vec::new();
    let has_value = write_cell(&mut bytes, batch.column(column).as_ref(), row);
    has_value.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Appends the text of an array's value; returns `false`, with nothing appended, for NULL.
///
/// Booleans are `true` and `false`, bytes are `\x` and hex digits.
///
/// # Panics
/// Where the row is outside the array, or the array's type is none of [`ColumnType`](super::ColumnType).
pub fn write_cell(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> bool {
    use std::io::Write as _;
    if array.is_null(row) {
        return false;
    }
    // Writing to a Vec can't fail.
    match array.data_type() {
        DataType::Boolean => out.extend_from_slice(if array.as_boolean().value(row) { b"true" } else { b"false" }),
        DataType::Int16 => _ = write!(out, "{}", array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => _ = write!(out, "{}", array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => _ = write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => _ = write!(out, "{}", array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => _ = write!(out, "{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => _ = write!(out, "{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => write_decimal128(out, array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Decimal256(_, scale) => write_decimal256(out, array.as_primitive::<Decimal256Type>().value(row), *scale),
        DataType::Utf8 => out.extend_from_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => write_hex(out, array.as_binary::<i32>().value(row)),
        DataType::Date32 => write_date(out, array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => write_time_micros(out, array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Time64(_) => write_time_nanos(out, array.as_primitive::<Time64NanosecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            write_timestamp_micros(out, array.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some());
        }
        DataType::Timestamp(_, zone) => {
            write_timestamp_nanos(out, array.as_primitive::<TimestampNanosecondType>().value(row), zone.is_some());
        }
        DataType::FixedSizeBinary(16) => write_uuid(out, array.as_fixed_size_binary().value(row)),
        other => unreachable!("no column type is {other}"),
    }
    true
}

/// Appends `YYYY-MM-DD`; years outside 0 to 9999 have a sign and at least four digits, as ISO 8601 expands them.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    write_day(out, i64::from(days));
}

/// Appends `HH:MM:SS` with six decimals where they aren't zero.
pub fn write_time_micros(out: &mut Vec<u8>, micros: i64) {
    write_clock(out, micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000), 6);
}

/// Appends `HH:MM:SS` with nine decimals where they aren't zero.
pub fn write_time_nanos(out: &mut Vec<u8>, nanos: i64) {
    write_clock(out, nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000), 9);
}

/// Appends a timestamp in microseconds since the epoch, with `Z` where it is an instant.
pub fn write_timestamp_micros(out: &mut Vec<u8>, micros: i64, utc: bool) {
    write_timestamp(out, micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000), 6, utc);
}

/// Appends a timestamp whose microseconds since the epoch may be too many for 64 bits: its seconds, and microseconds within one.
pub fn write_timestamp_seconds(out: &mut Vec<u8>, seconds: i64, micros: i64, utc: bool) {
    write_timestamp(out, seconds, micros, 6, utc);
}

/// Appends a timestamp in nanoseconds since the epoch, with `Z` where it is an instant.
pub fn write_timestamp_nanos(out: &mut Vec<u8>, nanos: i64, utc: bool) {
    write_timestamp(out, nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000), 9, utc);
}

/// Appends a decimal with exactly `scale` digits behind the point.
pub fn write_decimal128(out: &mut Vec<u8>, value: i128, scale: i8) {
    write_decimal(out, value < 0, &value.unsigned_abs().to_string(), scale);
}

/// Appends a decimal with exactly `scale` digits behind the point.
pub fn write_decimal256(out: &mut Vec<u8>, value: i256, scale: i8) {
    let digits = value.to_string();
    write_decimal(out, digits.starts_with('-'), digits.trim_start_matches('-'), scale);
}

/// Appends a UUID's sixteen bytes as lower-case digits in groups of 8-4-4-4-12 (RFC 9562).
pub fn write_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hex_byte(out, *byte);
    }
}

/// Appends `\x` and the bytes as hex digits, as PostgreSQL writes a bytea.
pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        write_hex_byte(out, *byte);
    }
}

fn write_hex_byte(out: &mut Vec<u8>, byte: u8) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

fn write_timestamp(out: &mut Vec<u8>, seconds: i64, fraction: i64, digits: usize, utc: bool) {
    write_day(out, seconds.div_euclid(DAY_SECONDS));
    out.push(b'T');
    write_clock(out, seconds.rem_euclid(DAY_SECONDS), fraction, digits);
    if utc {
        out.push(b'Z');
    }
}

fn write_day(out: &mut Vec<u8>, days: i64) {
    use std::io::Write as _;
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        let (century, rest) = ((year / 100) as usize, (year % 100) as usize);
        let mut text = *b"0000-00-00";
        text[0..2].copy_from_slice(&PAIRS[century * 2..][..2]);
        text[2..4].copy_from_slice(&PAIRS[rest * 2..][..2]);
        text[5..7].copy_from_slice(&PAIRS[month as usize * 2..][..2]);
        text[8..10].copy_from_slice(&PAIRS[day as usize * 2..][..2]);
        out.extend_from_slice(&text);
    } else {
        let sign = if year < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs());
    }
}

fn write_clock(out: &mut Vec<u8>, seconds: i64, fraction: i64, digits: usize) {
    let seconds = seconds as usize;
    let mut text = *b"00:00:00";
    text[0..2].copy_from_slice(&PAIRS[seconds / 3600 % 100 * 2..][..2]);
    text[3..5].copy_from_slice(&PAIRS[seconds / 60 % 60 * 2..][..2]);
    text[6..8].copy_from_slice(&PAIRS[seconds % 60 * 2..][..2]);
    out.extend_from_slice(&text);
    if fraction != 0 {
        let mut text = *b".000000000";
        let mut rest = fraction;
        for place in text[1..=digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&text[..=digits]);
    }
}

fn write_decimal(out: &mut Vec<u8>, is_negative: bool, digits: &str, scale: i8) {
    let scale = usize::try_from(scale).unwrap_or(0);
    if is_negative {
        out.push(b'-');
    }
    if digits.len() > scale {
        out.extend_from_slice(&digits.as_bytes()[..digits.len() - scale]);
    } else {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits.as_bytes()[digits.len().saturating_sub(scale)..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        check(|out| write_date(out, 0), "1970-01-01");
        check(|out| write_date(out, -1), "1969-12-31");
        check(|out| write_date(out, 2_932_896), "9999-12-31");
        check(|out| write_date(out, 2_932_897), "+10000-01-01");
        check(|out| write_date(out, -719_529), "-0001-12-31");
        check(|out| write_time_micros(out, 86_399_000_001), "23:59:59.000001");
        check(|out| write_time_nanos(out, 1), "00:00:00.000000001");
        check(|out| write_timestamp_micros(out, 1_357_016_400_000_000, true), "2013-01-01T05:00:00Z");
        check(|out| write_timestamp_micros(out, -1, false), "1969-12-31T23:59:59.999999");
        check(|out| write_timestamp_micros(out, 500_000, true), "1970-01-01T00:00:00.500000Z");
        check(|out| write_timestamp_nanos(out, 500_000_000, false), "1970-01-01T00:00:00.500000000");
        check(|out| write_timestamp_micros(out, i64::MIN, false), "-290308-12-21T19:59:05.224192");
    }

    #[test]
    fn decimals_keep_their_scale() {
        check(|out| write_decimal128(out, 110, 2), "1.10");
        check(|out| write_decimal128(out, -5, 3), "-0.005");
        check(|out| write_decimal128(out, 7, 0), "7");
        check(|out| write_decimal128(out, i128::MIN, 0), "-170141183460469231731687303715884105728");
        check(|out| write_decimal256(out, i256::from_i128(-12_345), 4), "-1.2345");
        check(|out| write_decimal256(out, i256::from_i128(0), 2), "0.00");
    }

    #[test]
    fn bytes_and_uuids_are_hex() {
        check(|out| write_hex(out, &[0, 255, 16]), "\\x00ff10");
        check(|out| write_uuid(out, &[0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
