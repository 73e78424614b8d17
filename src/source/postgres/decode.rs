//! Values as COPY BINARY writes them (PostgreSQL 15, COPY, "Binary Format"; the `send` functions of each type), into columns. Pure.

use super::types::Wire;
use crate::batch::text::{write_date, write_hex, write_time_micros, write_timestamp_micros, write_timestamp_seconds, write_uuid};
use crate::batch::{ColumnBuilder, ColumnType, Misfit};

/// 2000-01-01 in days and microseconds since 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// What begins a copy: eleven bytes of signature, four of flags, four of an extension's length.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
pub(super) const HEADER_BYTES: usize = 19;

/// Returns whether a copy's first bytes are those that this reads.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    // No flags (bit 16 would mean OIDs) and no extension.
    bytes.len() == HEADER_BYTES && bytes.starts_with(SIGNATURE) && bytes[SIGNATURE.len()..] == [0; 8]
}

/// What stands at the beginning of some bytes of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A row of so many bytes.
    Row(usize),
    /// The end.
    End,
    /// Part of a row.
    Part,
}

/// Looks at the beginning of a copy's bytes.
///
/// # Errors
/// Bytes that are no row of so many columns.
#[inline]
pub(super) fn next(bytes: &[u8], columns: usize) -> Result<Next, ()> {
    let Some(count) = bytes.first_chunk::<2>() else { return Ok(Next::Part) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Next::End);
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(());
    }
    let mut at = 2;
    for _ in 0..columns {
        let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(Next::Part) };
        let length = i32::from_be_bytes(*length);
        at += 4;
        if length >= 0 {
            at += length.unsigned_abs() as usize;
        } else if length != -1 {
            return Err(());
        }
    }
    Ok(if at <= bytes.len() { Next::Row(at) } else { Next::Part })
}

/// Takes the next field of a row that [`next`] found whole.
#[inline]
pub(super) fn field<'a>(row: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = row.split_first_chunk::<4>().expect("the row is whole");
    let length = i32::from_be_bytes(*length);
    if length < 0 {
        *row = rest;
        return None;
    }
    let (value, rest) = rest.split_at(length.unsigned_abs() as usize);
    *row = rest;
    Some(value)
}

/// Appends a value; returns the bytes that it takes.
///
/// # Errors
/// A value that the column's type doesn't hold: infinity, NaN in a decimal, 24:00, text that is not UTF-8.
#[inline]
pub(super) fn append(builder: &mut ColumnBuilder, wire: Wire, value: &[u8]) -> Result<usize, Misfit> {
    match wire {
        Wire::Text => {
            if std::str::from_utf8(value).is_err() {
                return Err(Misfit);
            }
            match builder.column_type() {
                // The server has checked it.
                ColumnType::Text | ColumnType::Json => builder.append_utf8(value),
                _ => builder.append_text(value),
            }
        }
        Wire::Jsonb => match value {
            [1, json @ ..] if std::str::from_utf8(json).is_ok() => builder.append_utf8(json),
            _ => Err(Misfit),
        },
        Wire::Bytea => builder.append_bytes(value),
        Wire::Float4 => builder.append_f32(f32::from_be_bytes(fixed(value)?)),
        Wire::Float8 => builder.append_f64(f64::from_be_bytes(fixed(value)?)),
        Wire::Numeric => append_numeric(builder, value),
        Wire::Uuid => builder.append_uuid(fixed(value)?),
        _ => builder.append_units(units(wire, value)?),
    }
}

/// Returns a value of fixed width in its column's own units.
#[inline]
fn units(wire: Wire, value: &[u8]) -> Result<i64, Misfit> {
    Ok(match wire {
        Wire::Bool => i64::from(fixed::<1>(value)?[0]),
        Wire::Int2 => i64::from(i16::from_be_bytes(fixed(value)?)),
        Wire::Int4 => i64::from(i32::from_be_bytes(fixed(value)?)),
        Wire::Int8 => i64::from_be_bytes(fixed(value)?),
        Wire::Oid => i64::from(u32::from_be_bytes(fixed(value)?)),
        Wire::Date => match i32::from_be_bytes(fixed(value)?) {
            i32::MIN | i32::MAX => return Err(Misfit),
            days => i64::from(days.checked_add(EPOCH_DAYS).ok_or(Misfit)?),
        },
        Wire::Time => match i64::from_be_bytes(fixed(value)?) {
            micros @ 0..DAY_MICROS => micros,
            _ => return Err(Misfit),
        },
        Wire::Timestamp | Wire::TimestampTz => match i64::from_be_bytes(fixed(value)?) {
            i64::MIN | i64::MAX => return Err(Misfit),
            micros => micros.checked_add(EPOCH_MICROS).ok_or(Misfit)?,
        },
        Wire::Float4 | Wire::Float8 | Wire::Numeric | Wire::Text | Wire::Bytea | Wire::Jsonb | Wire::Uuid => return Err(Misfit),
    })
}

#[inline]
fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Misfit> {
    value.try_into().map_err(|_| Misfit)
}

/// A numeric: base-10000 digits, the first of which stands for 10000^weight.
struct Numeric<'a> {
    digits: &'a [u8],
    weight: i16,
    is_negative: bool,
    scale: u16,
}

/// The signs of numbers that are none.
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

impl<'a> Numeric<'a> {
    /// Reads a number; the word for it where it is none.
    fn read(value: &'a [u8]) -> Result<Result<Self, &'static str>, Misfit> {
        let (head, digits) = value.split_first_chunk::<8>().ok_or(Misfit)?;
        let part = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let (count, weight, sign, scale) = (part(0), i16::from_be_bytes([head[2], head[3]]), part(4), part(6));
        let word = match sign {
            0 | 0x4000 => None,
            NOT_A_NUMBER => Some("NaN"),
            INFINITY => Some("Infinity"),
            MINUS_INFINITY => Some("-Infinity"),
            _ => return Err(Misfit),
        };
        if let Some(word) = word {
            return Ok(Err(word));
        }
        if digits.len() != usize::from(count) * 2 {
            return Err(Misfit);
        }
        Ok(Ok(Self { digits, weight, is_negative: sign == 0x4000, scale }))
    }

    fn digits(&self) -> impl Iterator<Item = u16> {
        self.digits.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// Returns the number in units of 10^-scale, where 128 bits hold it on the way.
    fn units(&self, scale: i8) -> Option<i128> {
        let mut units: i128 = 0;
        for digit in self.digits() {
            units = units.checked_mul(10_000)?.checked_add(i128::from(digit))?;
        }
        let last = 4 * (i32::from(self.weight) - i32::try_from(self.digits.len() / 2).ok()? + 1);
        let exponent = last + i32::from(scale);
        let power = 10_i128.checked_pow(exponent.unsigned_abs());
        let units = match (units, exponent) {
            (0, _) => 0,
            (units, 0..) => units.checked_mul(power?)?,
            (units, _) => {
                let power = power?;
                if units % power != 0 {
                    return None;
                }
                units / power
            }
        };
        Some(if self.is_negative { -units } else { units })
    }

    /// Writes the number with exactly its own digits behind the point.
    fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        if self.is_negative {
            out.push(b'-');
        }
        let digit = |place: i32| -> u16 {
            let index = i32::from(self.weight) - place;
            usize::try_from(index).ok().and_then(|index| self.digits().nth(index)).unwrap_or(0)
        };
        // Writing to a Vec can't fail.
        if self.weight < 0 {
            out.push(b'0');
        } else {
            _ = write!(out, "{}", digit(i32::from(self.weight)));
            for place in (0..i32::from(self.weight)).rev() {
                _ = write!(out, "{:04}", digit(place));
            }
        }
        if self.scale > 0 {
            out.push(b'.');
            let end = out.len() + usize::from(self.scale);
            let mut place = -1;
            while out.len() < end {
                _ = write!(out, "{:04}", digit(place));
                place -= 1;
            }
            out.truncate(end);
        }
    }
}

fn append_numeric(builder: &mut ColumnBuilder, value: &[u8]) -> Result<usize, Misfit> {
    let number = match Numeric::read(value)? {
        Ok(number) => number,
        Err(word) => return builder.append_text(word.as_bytes()),
    };
    if let ColumnType::Decimal { precision: precision @ ..=38, scale } = builder.column_type()
        && let Some(units) = number.units(scale)
        && units.unsigned_abs() < 10_u128.pow(u32::from(precision))
    {
        return builder.append_decimal(units);
    }
    let mut text = Vec::with_capacity(48);
    number.write(&mut text);
    builder.append_text(&text)
}

/// Returns a value as people know it, for messages and the reject file.
pub(super) fn shown(wire: Wire, value: &[u8]) -> String {
    let mut out = Vec::new();
    let is_written = match wire {
        Wire::Bool => {
            out.extend_from_slice(if value == [1] { b"true" } else { b"false" });
            true
        }
        Wire::Float4 => fixed(value).map(|value| out.extend(f32::from_be_bytes(value).to_string().bytes())).is_ok(),
        Wire::Float8 => fixed(value).map(|value| out.extend(f64::from_be_bytes(value).to_string().bytes())).is_ok(),
        Wire::Numeric => match Numeric::read(value) {
            Ok(Ok(number)) => {
                number.write(&mut out);
                true
            }
            Ok(Err(word)) => {
                out.extend_from_slice(word.as_bytes());
                true
            }
            Err(Misfit) => false,
        },
        Wire::Text => {
            out.extend_from_slice(value);
            true
        }
        Wire::Jsonb => {
            out.extend_from_slice(value.get(1..).unwrap_or_default());
            true
        }
        Wire::Uuid => {
            write_uuid(&mut out, value);
            true
        }
        Wire::Bytea => false,
        Wire::Date if matches!(fixed(value).map(i32::from_be_bytes), Ok(i32::MIN | i32::MAX)) => infinity(value, &mut out),
        Wire::Timestamp | Wire::TimestampTz if matches!(fixed(value).map(i64::from_be_bytes), Ok(i64::MIN | i64::MAX)) => {
            infinity(value, &mut out)
        }
        // The last thirty years of the server's type are beyond 64 bits of microseconds since 1970.
        Wire::Timestamp | Wire::TimestampTz if units(wire, value).is_err() => fixed(value).map(i64::from_be_bytes).is_ok_and(|micros| {
            let seconds = micros.div_euclid(1_000_000) + EPOCH_MICROS / 1_000_000;
            write_timestamp_seconds(&mut out, seconds, micros.rem_euclid(1_000_000), wire == Wire::TimestampTz);
            true
        }),
        Wire::Time if fixed(value).map(i64::from_be_bytes) == Ok(DAY_MICROS) => {
            out.extend_from_slice(b"24:00:00");
            true
        }
        _ => match units(wire, value) {
            Ok(units) => {
                write_units(wire, units, &mut out);
                true
            }
            Err(Misfit) => false,
        },
    };
    if !is_written {
        out.clear();
        write_hex(&mut out, value);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn infinity(value: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(if value[0] & 0x80 == 0 { b"infinity" } else { b"-infinity" });
    true
}

fn write_units(wire: Wire, units: i64, out: &mut Vec<u8>) {
    match wire {
        Wire::Date => write_date(out, i32::try_from(units).unwrap_or(i32::MAX)),
        Wire::Time => write_time_micros(out, units),
        Wire::Timestamp => write_timestamp_micros(out, units, false),
        Wire::TimestampTz => write_timestamp_micros(out, units, true),
        _ => out.extend_from_slice(units.to_string().as_bytes()),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
