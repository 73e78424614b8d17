//! Values as the driver hands them over, into columns. Pure.

use mysql::Value;

use super::geometry;
use super::types::Wire;
use crate::batch::calendar::{days_from_civil, days_in_month};
use crate::batch::text::{write_date, write_hex, write_timestamp_micros};
use crate::batch::{ColumnBuilder, ColumnType, Misfit};

const DAY_MICROS: i64 = 86_400_000_000;

/// Appends a value that is not NULL; returns the bytes that it takes.
///
/// # Errors
/// A value that the column's type doesn't hold: a date that is none, a span of time that is no time of day, NUL in a text.
#[inline]
pub(super) fn append(builder: &mut ColumnBuilder, wire: Wire, value: &Value) -> Result<usize, Misfit> {
    let column_type = builder.column_type();
    match (wire, value) {
        (Wire::Integer, Value::Int(number)) => match column_type {
            ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Boolean => builder.append_units(*number),
            _ => builder.append_i64(*number),
        },
        (Wire::Text, Value::Bytes(bytes)) => {
            let text = checked(bytes)?;
            if column_type == ColumnType::Text { builder.append_utf8(text) } else { builder.append_text(text) }
        }
        (Wire::Decimal, Value::Bytes(bytes)) => match column_type {
            ColumnType::Decimal { precision: ..=38, scale } => match units(bytes, scale) {
                Some(units) if precision_holds(column_type, units) => builder.append_decimal(i128::from(units)),
                _ => builder.append_text(bytes),
            },
            _ => builder.append_text(bytes),
        },
        (Wire::Float, Value::Float(number)) if column_type == ColumnType::Float32 => builder.append_f32(*number),
        (Wire::Double, Value::Double(number)) if column_type == ColumnType::Float64 => builder.append_f64(*number),
        (Wire::Binary, Value::Bytes(bytes)) if column_type == ColumnType::Binary => builder.append_bytes(bytes),
        (Wire::Json, Value::Bytes(bytes)) if column_type == ColumnType::Json => builder.append_text(checked(bytes)?),
        (Wire::Bit, Value::Bytes(bytes)) => append_bits(builder, bytes),
        (Wire::Date, Value::Date(year, month, day, ..)) if column_type == ColumnType::Date => {
            builder.append_units(i64::from(days(*year, *month, *day).ok_or(Misfit)?))
        }
        (Wire::Datetime, Value::Date(..)) if matches!(column_type, ColumnType::Timestamp | ColumnType::TimestampUtc) => {
            builder.append_units(micros(value).ok_or(Misfit)?)
        }
        (Wire::Timestamp, Value::Date(..)) if column_type == ColumnType::TimestampUtc => builder.append_units(micros(value).ok_or(Misfit)?),
        (Wire::Time { .. }, Value::Time(false, 0, hours, minutes, seconds, micros)) if column_type == ColumnType::Time => {
            let seconds = i64::from(*hours) * 3600 + i64::from(*minutes) * 60 + i64::from(*seconds);
            builder.append_units(seconds * 1_000_000 + i64::from(*micros))
        }
        (Wire::Geometry, Value::Bytes(bytes)) if column_type == ColumnType::Binary => builder.append_bytes(bytes),
        _ => {
            // What is no date has a text, which a column that is declared as text holds and one of dates doesn't.
            let mut text = Vec::with_capacity(64);
            write(&mut text, wire, value);
            builder.append_text(checked(&text)?)
        }
    }
}

/// Returns bytes that are text: NUL is what no destination's text holds.
#[inline]
fn checked(bytes: &[u8]) -> Result<&[u8], Misfit> {
    if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) { Ok(bytes) } else { Err(Misfit) }
}

fn append_bits(builder: &mut ColumnBuilder, bytes: &[u8]) -> Result<usize, Misfit> {
    let number = bits(bytes).ok_or(Misfit)?;
    match (builder.column_type(), i64::try_from(number)) {
        (ColumnType::Boolean | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64, Ok(number)) => builder.append_units(number),
        _ => builder.append_text(number.to_string().as_bytes()),
    }
}

fn bits(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Returns a decimal in units of 10^-scale, where it is written with exactly so many decimals and at most 18 digits, as most are.
#[inline]
fn units(text: &[u8], scale: i8) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = match scale {
        0 => (digits, &[][..]),
        _ => {
            let (whole, fraction) = digits.split_at(digits.len().checked_sub(scale + 1)?);
            (whole, fraction.strip_prefix(b".")?)
        }
    };
    if whole.is_empty() || whole.len() + fraction.len() > 18 {
        return None;
    }
    let mut units: i64 = 0;
    for byte in whole.iter().chain(fraction) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        units = units * 10 + i64::from(digit);
    }
    Some(if is_negative { -units } else { units })
}

fn precision_holds(column_type: ColumnType, units: i64) -> bool {
    match column_type {
        ColumnType::Decimal { precision: precision @ ..=18, .. } => units.unsigned_abs() < 10_u64.pow(u32::from(precision)),
        _ => true,
    }
}

/// Returns the days since 1970-01-01 of a date that is one: neither 0000-00-00 nor 2024-02-31.
fn days(year: u16, month: u8, day: u8) -> Option<i32> {
    let (year, month, day) = (i32::from(year), u32::from(month), u32::from(day));
    let is_date = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    is_date.then(|| days_from_civil(year, month, day))
}

fn micros(value: &Value) -> Option<i64> {
    let Value::Date(year, month, day, hour, minute, second, micros) = value else { return None };
    let seconds = i64::from(*hour) * 3600 + i64::from(*minute) * 60 + i64::from(*second);
    Some(i64::from(days(*year, *month, *day)?) * DAY_MICROS + seconds * 1_000_000 + i64::from(*micros))
}

/// Returns a value as people know it, for messages and the reject file.
pub(super) fn shown(wire: Wire, value: &Value) -> String {
    let mut out = Vec::new();
    write(&mut out, wire, value);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends a value's text, which a column of another type reads.
pub(super) fn write(out: &mut Vec<u8>, wire: Wire, value: &Value) {
    use std::io::Write as _;
    // Writing to a Vec can't fail.
    match (wire, value) {
        (_, Value::NULL) => {}
        (_, Value::Int(number)) => _ = write!(out, "{number}"),
        (_, Value::UInt(number)) => _ = write!(out, "{number}"),
        (_, Value::Float(number)) if is_plain(f64::from(*number)) => _ = write!(out, "{number}"),
        (_, Value::Float(number)) => _ = write!(out, "{number:e}"),
        (_, Value::Double(number)) if is_plain(*number) => _ = write!(out, "{number}"),
        (_, Value::Double(number)) => _ = write!(out, "{number:e}"),
        (Wire::Bit, Value::Bytes(bytes)) => match bits(bytes) {
            Some(number) => _ = write!(out, "{number}"),
            None => write_hex(out, bytes),
        },
        (Wire::Binary, Value::Bytes(bytes)) => write_hex(out, bytes),
        (Wire::Geometry, Value::Bytes(bytes)) => {
            let start = out.len();
            if geometry::write(out, bytes).is_none() {
                out.truncate(start);
                write_hex(out, bytes);
            }
        }
        (_, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Wire::Date, Value::Date(year, month, day, ..)) => match days(*year, *month, *day) {
            Some(days) => write_date(out, days),
            None => _ = write!(out, "{year:04}-{month:02}-{day:02}"),
        },
        (_, Value::Date(year, month, day, hour, minute, second, micro)) => match micros(value) {
            Some(micros) => write_timestamp_micros(out, micros, wire == Wire::Timestamp),
            None => {
                _ = write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
                if *micro != 0 {
                    _ = write!(out, ".{micro:06}");
                }
            }
        },
        (_, Value::Time(is_negative, days, hours, minutes, seconds, micros)) => {
            let sign = if *is_negative { "-" } else { "" };
            _ = write!(out, "{sign}{:02}:{minutes:02}:{seconds:02}", days * 24 + u32::from(*hours));
            let decimals = if let Wire::Time { decimals } = wire { usize::from(decimals) } else { 6 };
            if decimals > 0 {
                let fraction = format!("{micros:06}");
                _ = write!(out, ".{}", &fraction[..decimals.min(6)]);
            }
        }
    }
}

/// Whether a number is written without an exponent.
fn is_plain(number: f64) -> bool {
    number == 0.0 || (1e-5..1e16).contains(&number.abs())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
