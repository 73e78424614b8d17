//! Values as drivers write them, into columns. Pure.

use std::io::Write as _;

use super::rowset::TextForm;
use super::types::Wire;
use crate::batch::calendar::{DAY_SECONDS, civil_from_days, days_from_civil, days_in_month};
use crate::batch::text::{write_date, write_hex, write_timestamp_micros, write_timestamp_nanos, write_uuid};
use crate::batch::{ColumnBuilder, ColumnType, Misfit};

/// Appends a value that is not NULL; returns the bytes that it takes.
///
/// # Errors
/// A value that the column's type doesn't hold: a date that is none, a number with other digits, NUL or half a character in a text.
#[inline]
pub(super) fn append(
    builder: &mut ColumnBuilder,
    wire: Wire,
    form: TextForm,
    value: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<usize, Misfit> {
    use ColumnType::{Binary, Boolean, Date, Decimal, Float32, Float64, Int16, Int32, Int64, Text, Timestamp, TimestampNanos};
    use ColumnType::{TimestampNanosUtc, TimestampUtc};
    let column_type = builder.column_type();
    match (wire, column_type) {
        (Wire::Text, Text) => match form {
            TextForm::Wide => {
                scratch.clear();
                narrow(value, scratch)?;
                builder.append_utf8(scratch)
            }
            TextForm::Utf8 => builder.append_utf8(checked(value)?),
        },
        (Wire::Integer, Int16 | Int32 | Int64 | Boolean) => builder.append_units(integer(value)?),
        (Wire::Bit, Boolean) => builder.append_units(i64::from(value.first() != Some(&0))),
        (Wire::Single, Float32) => builder.append_f32(f32::from_ne_bytes(array(value)?)),
        (Wire::Double, Float64) => builder.append_f64(f64::from_ne_bytes(array(value)?)),
        (Wire::Binary, Binary) => builder.append_bytes(value),
        (Wire::Ascii, Decimal { precision: precision @ ..=18, scale }) => match units(value, scale) {
            Some(units) if units.unsigned_abs() < 10_u64.pow(u32::from(precision)) => builder.append_decimal(i128::from(units)),
            _ => builder.append_text(checked(trimmed(value))?),
        },
        (Wire::Date, Date) => builder.append_units(i64::from(date(value)?)),
        (Wire::Timestamp, Timestamp | TimestampUtc) | (Wire::Instant, TimestampUtc) => {
            let (seconds, nanos) = moment(value)?;
            let micros = nanos.is_multiple_of(1000).then_some(i64::from(nanos / 1000)).ok_or(Misfit)?;
            builder.append_units(seconds * 1_000_000 + micros)
        }
        (Wire::Timestamp, TimestampNanos | TimestampNanosUtc) | (Wire::Instant, TimestampNanosUtc) => {
            let (seconds, nanos) = moment(value)?;
            let units = seconds.checked_mul(1_000_000_000).and_then(|units| units.checked_add(i64::from(nanos)));
            builder.append_units(units.ok_or(Misfit)?)
        }
        (Wire::Guid, ColumnType::Uuid) => builder.append_uuid(uuid(value)?),
        (Wire::Ascii, _) => builder.append_text(checked(if column_type == Text { value } else { trimmed(value) })?),
        _ => {
            scratch.clear();
            write(scratch, wire, form, value)?;
            builder.append_text(checked(scratch)?)
        }
    }
}

/// Returns bytes that are text: NUL is what no destination's text holds.
#[inline]
fn checked(bytes: &[u8]) -> Result<&[u8], Misfit> {
    if std::str::from_utf8(bytes).is_ok() && memchr::memchr(0, bytes).is_none() { Ok(bytes) } else { Err(Misfit) }
}

/// Returns a number's text without the blanks that some drivers put around it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Appends UTF-16 as UTF-8.
///
/// # Errors
/// Half a pair of surrogates, NUL, half a unit.
#[inline]
fn narrow(value: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let pairs = value.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Misfit);
    }
    out.reserve(value.len() / 2 * 3);
    let mut units = pairs.map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
    while let Some(unit) = units.next() {
        match unit {
            0 => return Err(Misfit),
            #[allow(clippy::cast_possible_truncation, reason = "below 128")]
            1..=0x7f => out.push(unit as u8),
            0xd800..=0xdbff => {
                let low = units.next().filter(|unit| (0xdc00..=0xdfff).contains(unit)).ok_or(Misfit)?;
                let scalar = 0x1_0000 + ((u32::from(unit) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                push(out, scalar)?;
            }
            0xdc00..=0xdfff => return Err(Misfit),
            _ => push(out, u32::from(unit))?,
        }
    }
    Ok(())
}

#[inline]
fn push(out: &mut Vec<u8>, scalar: u32) -> Result<(), Misfit> {
    let sign = char::from_u32(scalar).ok_or(Misfit)?;
    out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], Misfit> {
    value.get(..N).and_then(|bytes| bytes.try_into().ok()).ok_or(Misfit)
}

fn integer(value: &[u8]) -> Result<i64, Misfit> {
    Ok(i64::from_ne_bytes(array(value)?))
}

/// Returns a decimal in units of 10^-scale, where it has at most 18 digits and no more decimals than the scale, as most have.
#[inline]
fn units(text: &[u8], scale: i8) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut units, mut count, mut decimals): (i64, usize, Option<i8>) = (0, 0, None);
    for byte in digits {
        if *byte == b'.' && decimals.is_none() {
            decimals = Some(0);
            continue;
        }
        let digit = byte.wrapping_sub(b'0');
        count += 1;
        if digit > 9 || count > 18 {
            return None;
        }
        units = units * 10 + i64::from(digit);
        decimals = decimals.map(|decimals| decimals + 1);
    }
    let missing = u32::try_from(scale - decimals.unwrap_or(0)).ok()?;
    if count == 0 || count + usize::try_from(missing).ok()? > 18 {
        return None;
    }
    units *= 10_i64.pow(missing);
    Some(if is_negative { -units } else { units })
}

fn short(value: &[u8], at: usize) -> Result<u16, Misfit> {
    value.get(2 * at..).and_then(|rest| array(rest).ok()).map(u16::from_ne_bytes).ok_or(Misfit)
}

/// Returns year, month and day of a DATE_STRUCT, or of what begins as one.
fn civil(value: &[u8]) -> Result<(i32, u32, u32), Misfit> {
    let year = i32::from(i16::from_ne_bytes(array(value)?));
    Ok((year, u32::from(short(value, 1)?), u32::from(short(value, 2)?)))
}

fn date(value: &[u8]) -> Result<i32, Misfit> {
    let (year, month, day) = civil(value)?;
    let is_date = (1..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if is_date { Ok(days_from_civil(year, month, day)) } else { Err(Misfit) }
}

/// Returns hour, minute and second, from a place on.
fn clock(value: &[u8], at: usize) -> Result<(u16, u16, u16), Misfit> {
    Ok((short(value, at)?, short(value, at + 1)?, short(value, at + 2)?))
}

/// Returns seconds since 1970 and nanoseconds of a TIMESTAMP_STRUCT.
fn moment(value: &[u8]) -> Result<(i64, u32), Misfit> {
    let days = i64::from(date(value)?);
    let (hour, minute, second) = clock(value, 3)?;
    let nanos = u32::from_ne_bytes(array(value.get(12..).ok_or(Misfit)?)?);
    if hour > 23 || minute > 59 || second > 59 || nanos > 999_999_999 {
        return Err(Misfit);
    }
    Ok((days * DAY_SECONDS + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second), nanos))
}

/// Returns the bytes of a UUID from a SQLGUID, whose first three numbers are in the machine's order.
fn uuid(value: &[u8]) -> Result<[u8; 16], Misfit> {
    let value: [u8; 16] = array(value)?;
    let first = u32::from_ne_bytes(array(&value)?);
    let (second, third) = (short(&value, 2)?, short(&value, 3)?);
    let mut tail = [0; 8];
    tail.copy_from_slice(&value[8..]);
    Ok(*::uuid::Uuid::from_fields(first, second, third, &tail).as_bytes())
}

/// Returns a value as people know it, for messages and the reject file.
pub(super) fn shown(wire: Wire, form: TextForm, value: &[u8]) -> String {
    let mut out = Vec::new();
    if write(&mut out, wire, form, value).is_err() {
        out.clear();
        match (wire, form) {
            (Wire::Text, TextForm::Wide) => {
                let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
                out.extend_from_slice(String::from_utf16_lossy(&units).as_bytes());
            }
            _ => write_hex(&mut out, value),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends a value's text, which a column of another type reads.
///
/// # Errors
/// What has no text.
pub(super) fn write(out: &mut Vec<u8>, wire: Wire, form: TextForm, value: &[u8]) -> Result<(), Misfit> {
    // Writing to a Vec can't fail.
    match wire {
        Wire::Integer => _ = write!(out, "{}", integer(value)?),
        Wire::Bit => out.push(if value.first() == Some(&0) { b'0' } else { b'1' }),
        Wire::Single => _ = write!(out, "{:?}", f32::from_ne_bytes(array(value)?)),
        Wire::Double => _ = write!(out, "{:?}", f64::from_ne_bytes(array(value)?)),
        Wire::Ascii => out.extend_from_slice(value),
        Wire::Text if form == TextForm::Wide => narrow(value, out)?,
        Wire::Text => out.extend_from_slice(value),
        Wire::Binary => write_hex(out, value),
        Wire::Guid => write_uuid(out, &uuid(value)?),
        Wire::Date => match date(value) {
            Ok(days) => write_date(out, days),
            Err(Misfit) => {
                let (year, month, day) = civil(value)?;
                _ = write!(out, "{year:04}-{month:02}-{day:02}");
            }
        },
        Wire::Timestamp | Wire::Instant => write_moment(out, value, wire == Wire::Instant)?,
    }
    Ok(())
}

/// Appends the text of a TIMESTAMP_STRUCT; of one that is no moment too.
fn write_moment(out: &mut Vec<u8>, value: &[u8], is_utc: bool) -> Result<(), Misfit> {
    let Ok((seconds, nanos)) = moment(value) else {
        let ((year, month, day), (hour, minute, second)) = (civil(value)?, clock(value, 3)?);
        // Writing to a Vec can't fail.
        _ = write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        return Ok(());
    };
    if nanos.is_multiple_of(1000) {
        write_timestamp_micros(out, seconds * 1_000_000 + i64::from(nanos / 1000), is_utc);
        return Ok(());
    }
    match seconds.checked_mul(1_000_000_000).and_then(|units| units.checked_add(i64::from(nanos))) {
        Some(units) => write_timestamp_nanos(out, units, is_utc),
        None => {
            let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
            let (hour, minute, second) = clock(value, 3)?;
            let zone = if is_utc { "Z" } else { "" };
            _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}{zone}");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
