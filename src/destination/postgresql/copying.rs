//! COPY BINARY: batches as the bytes that PostgreSQL takes (<https://www.postgresql.org/docs/15/sql-copy.html>, "Binary Format").
//!
//! Numbers are big-endian; days and microseconds count from 2000-01-01. What PostgreSQL has no type for goes as its text.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::batch::text::write_cell;
use crate::batch::{ColumnType, Schema};
use crate::destination::InvalidValue;
use crate::plan::OnInvalidValue;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// The signature, no flags, no extension.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// A tuple of -1 fields: the end.
pub(super) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// How many bytes go to the server at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Encodes the rows of a batch that can be loaded and hands the bytes on in large pieces; returns how many rows they are. What begins a
/// copy and what ends it is not among them.
///
/// With `numbered_from` each row ends with its number, so that the later of two rows can be told.
///
/// # Errors
/// Those of `send`.
pub(super) fn encode<E>(
    batch: &RecordBatch,
    schema: &Schema,
    invalid: &[InvalidValue],
    policy: OnInvalidValue,
    numbered_from: Option<u64>,
    mut send: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<u64, E> {
    let cells: Vec<Cells<'_>> =
        batch.columns().iter().zip(&schema.columns).map(|(array, column)| Cells::of(array.as_ref(), column.column_type)).collect();
    let fields = i16::try_from(cells.len() + usize::from(numbered_from.is_some())).unwrap_or(i16::MAX).to_be_bytes();
    let room = BUFFER_BYTES + BUFFER_BYTES / 4;
    let mut out = Vec::with_capacity(room);
    let mut invalid = invalid.iter().peekable();
    let mut rows = 0;
    for row in 0..batch.num_rows() {
        let start = out.len();
        out.extend_from_slice(&fields);
        let mut is_left_out = false;
        for (place, cells) in cells.iter().enumerate() {
            let mut is_invalid = false;
            while invalid.next_if(|value| value.row == row && value.column == place).is_some() {
                is_invalid = true;
            }
            if is_invalid {
                is_left_out |= policy != OnInvalidValue::Null;
                put_null(&mut out);
            } else {
                cells.put(&mut out, row);
            }
        }
        if is_left_out {
            out.truncate(start);
            continue;
        }
        if let Some(first) = numbered_from {
            put(&mut out, (first + rows).to_be_bytes());
        }
        rows += 1;
        if out.len() >= BUFFER_BYTES {
            send(std::mem::replace(&mut out, Vec::with_capacity(room)))?;
        }
    }
    if !out.is_empty() {
        send(out)?;
    }
    Ok(rows)
}

/// A column of a batch, seen as what its values are sent as.
enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u32),
    WideDecimal(&'a PrimitiveArray<Decimal256Type>, u32),
    Text(&'a StringArray),
    Json(&'a StringArray),
    Binary(&'a BinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    /// What PostgreSQL has no type for: nanoseconds.
    AsText(&'a dyn Array),
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array, column_type: ColumnType) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt64 => Self::UInt64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), scale.unsigned_abs().into()),
            DataType::Decimal256(_, scale) => Self::WideDecimal(array.as_primitive(), scale.unsigned_abs().into()),
            DataType::Utf8 if column_type == ColumnType::Json => Self::Json(array.as_string()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::FixedSizeBinary(16) => Self::Uuid(array.as_fixed_size_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Timestamp(array.as_primitive()),
            _ => Self::AsText(array),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(array) => array.is_null(row),
            Self::Int16(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::UInt64(array) => array.is_null(row),
            Self::Float32(array) => array.is_null(row),
            Self::Float64(array) => array.is_null(row),
            Self::Decimal(array, _) => array.is_null(row),
            Self::WideDecimal(array, _) => array.is_null(row),
            Self::Text(array) | Self::Json(array) => array.is_null(row),
            Self::Binary(array) => array.is_null(row),
            Self::Uuid(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::AsText(array) => array.is_null(row),
        }
    }

    fn put(&self, out: &mut Vec<u8>, row: usize) {
        if self.is_null(row) {
            return put_null(out);
        }
        match self {
            Self::Boolean(array) => put(out, [u8::from(array.value(row))]),
            Self::Int16(array) => put(out, array.value(row).to_be_bytes()),
            Self::Int32(array) => put(out, array.value(row).to_be_bytes()),
            Self::Int64(array) => put(out, array.value(row).to_be_bytes()),
            Self::UInt64(array) => put_decimal(out, false, array.value(row).into(), 0),
            Self::Float32(array) => put(out, array.value(row).to_be_bytes()),
            Self::Float64(array) => put(out, array.value(row).to_be_bytes()),
            Self::Decimal(array, scale) => put_decimal(out, array.value(row) < 0, array.value(row).unsigned_abs(), *scale),
            Self::WideDecimal(array, scale) => put_digits(out, &array.value(row).to_string(), *scale),
            Self::Text(array) => put_bytes(out, &[], array.value(row).as_bytes()),
            // jsonb's version, then its text.
            Self::Json(array) => put_bytes(out, &[1], array.value(row).as_bytes()),
            Self::Binary(array) => put_bytes(out, &[], array.value(row)),
            Self::Uuid(array) => put_bytes(out, &[], array.value(row)),
            Self::Date(array) => put(out, (array.value(row) - EPOCH_DAYS).to_be_bytes()),
            Self::Time(array) => put(out, array.value(row).to_be_bytes()),
            Self::Timestamp(array) => put(out, (array.value(row) - EPOCH_MICROS).to_be_bytes()),
            Self::AsText(array) => {
                let place = out.len();
                out.extend_from_slice(&[0; 4]);
                write_cell(out, *array, row);
                let length = length_of(out.len() - place - 4);
                out[place..place + 4].copy_from_slice(&length);
            }
        }
    }
}

fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&length_of(N));
    out.extend_from_slice(&bytes);
}

fn put_bytes(out: &mut Vec<u8>, before: &[u8], bytes: &[u8]) {
    out.extend_from_slice(&length_of(before.len() + bytes.len()));
    out.extend_from_slice(before);
    out.extend_from_slice(bytes);
}

/// A value of a batch is far below 2 GiB: arrays of texts have 32-bit offsets.
fn length_of(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

/// The most groups of four digits that a decimal has: 76 digits, split at the point.
const GROUPS_MAX: usize = 21;

/// Appends a numeric: groups of four digits, so that the point stands between two of them.
fn put_decimal(out: &mut Vec<u8>, is_negative: bool, value: u128, scale: u32) {
    let power = 10_u128.pow(scale.min(38));
    let (mut whole, mut fraction) = (value / power, value % power);
    // From the last group to the first.
    let mut groups = [0_u16; GROUPS_MAX];
    let mut count = 0;
    let mut push = |group: u16| {
        groups[count] = group;
        count += 1;
    };
    let rest = scale % 4;
    if rest != 0 {
        let part = 10_u128.pow(rest);
        push((fraction % part) as u16 * 10_u16.pow(4 - rest));
        fraction /= part;
    }
    for _ in 0..scale / 4 {
        push((fraction % 10_000) as u16);
        fraction /= 10_000;
    }
    let mut whole_groups = 0;
    while whole != 0 {
        push((whole % 10_000) as u16);
        whole /= 10_000;
        whole_groups += 1;
    }
    put_groups(out, is_negative, &groups[..count], whole_groups, scale);
}

/// Appends a numeric of more than 38 digits, written without a point.
fn put_digits(out: &mut Vec<u8>, text: &str, scale: u32) {
    let digits = text.trim_start_matches('-').as_bytes();
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale as usize));
    let missing = (scale as usize).saturating_sub(fraction.len());
    let mut padded: Vec<u8> = std::iter::repeat_n(b'0', missing).chain(fraction.iter().copied()).collect();
    padded.resize((scale as usize).div_ceil(4) * 4, b'0');
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let mut groups: Vec<u16> = padded.rchunks(4).map(number).collect();
    let before = groups.len();
    groups.extend(whole.rchunks(4).map(number));
    while groups.len() > before && groups.last() == Some(&0) {
        groups.pop();
    }
    put_groups(out, text.starts_with('-'), &groups, groups.len() - before, scale);
}

/// Appends a numeric's groups, which stand from the last to the first.
fn put_groups(out: &mut Vec<u8>, is_negative: bool, groups: &[u16], whole_groups: usize, scale: u32) {
    let mut weight = whole_groups as i16 - 1;
    let first = groups.iter().rposition(|group| *group != 0);
    let last = groups.iter().position(|group| *group != 0);
    let kept = match (first, last) {
        (Some(first), Some(last)) => {
            weight -= (groups.len() - 1 - first) as i16;
            &groups[last..=first]
        }
        _ => {
            weight = 0;
            &[]
        }
    };
    let sign: u16 = if is_negative && !kept.is_empty() { 0x4000 } else { 0 };
    out.extend_from_slice(&length_of(8 + kept.len() * 2));
    out.extend_from_slice(&(kept.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(scale as u16).to_be_bytes());
    for group in kept.iter().rev() {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray,
        TimestampNanosecondArray,
    };

    use super::*;
    use crate::batch::Column;

    #[track_caller]
    fn check(column_type: ColumnType, array: impl Array + 'static, field: &[u8]) {
        let schema = Schema::new(vec![Column::new("c", column_type)]);
        let batch = RecordBatch::try_new(schema.arrow(), vec![Arc::new(array) as ArrayRef]).unwrap();
        let mut sent = Vec::new();
        let rows = encode(&batch, &schema, &[], OnInvalidValue::Reject, None, |bytes| {
            sent.extend(bytes);
            Ok::<(), ()>(())
        });
        assert_eq!(rows, Ok(1));
        assert_eq!(&sent[..2], b"\0\x01");
        assert_eq!(&sent[2..], field, "{column_type}");
    }

    #[test]
    fn values_are_sent_as_the_server_reads_them() {
        check(ColumnType::Boolean, BooleanArray::from(vec![true]), &[0, 0, 0, 1, 1]);
        check(ColumnType::Int64, Int64Array::from(vec![-2]), &[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 254]);
        check(ColumnType::Int64, Int64Array::from(vec![None]), &[255, 255, 255, 255]);
        check(ColumnType::Text, StringArray::from(vec!["é"]), &[0, 0, 0, 2, 0xc3, 0xa9]);
        check(ColumnType::Json, StringArray::from(vec!["{}"]), &[0, 0, 0, 3, 1, b'{', b'}']);
        check(ColumnType::Binary, BinaryArray::from(vec![&[0_u8, 255][..]]), &[0, 0, 0, 2, 0, 255]);
        check(ColumnType::Date, Date32Array::from(vec![10_958]), &[0, 0, 0, 4, 0, 0, 0, 1]);
        check(ColumnType::Timestamp, TimestampMicrosecondArray::from(vec![946_684_800_000_001]), &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        let nanos = TimestampNanosecondArray::from(vec![1]);
        check(ColumnType::TimestampNanos, nanos, b"\0\0\0\x1d1970-01-01T00:00:00.000000001");
    }

    #[track_caller]
    fn check_decimal(value: i128, scale: i8, field: &[u16]) {
        let column_type = ColumnType::Decimal { precision: 38, scale };
        let array = || Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap();
        let mut bytes = length_of(field.len() * 2).to_vec();
        bytes.extend(field.iter().flat_map(|word| word.to_be_bytes()));
        check(column_type, array(), &bytes);
        let mut wide = Vec::new();
        put_digits(&mut wide, &value.to_string(), scale.unsigned_abs().into());
        assert_eq!(wide, bytes, "{value} as more than 38 digits");
    }

    /// Count, weight, sign, scale, groups (PostgreSQL's `numeric_send`).
    #[test]
    fn decimals_are_groups_of_four_digits() {
        check_decimal(0, 2, &[0, 0, 0, 2]);
        check_decimal(110, 2, &[2, 0, 0, 2, 1, 1000]);
        check_decimal(-5, 3, &[1, 0xffff, 0x4000, 3, 50]);
        check_decimal(123_456_789, 0, &[3, 2, 0, 0, 1, 2345, 6789]);
        check_decimal(100_000_000, 0, &[1, 2, 0, 0, 1]);
        check_decimal(1, 10, &[1, 0xfffd, 0, 10, 100]);
        check_decimal(
            99_999_999_999_999_999_999_999_999_999_999_999_999,
            38,
            &[10, 0xffff, 0, 38, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900],
        );
    }

    #[test]
    fn rows_that_cannot_be_held_are_left_out_or_sent_as_null() {
        let schema = Schema::new(vec![Column::new("c", ColumnType::Int64)]);
        let batch = RecordBatch::try_new(schema.arrow(), vec![Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef]).unwrap();
        let invalid = [InvalidValue { row: 1, column: 0, reason: "" }];
        let sent = |policy| {
            let mut sent = Vec::new();
            let rows = encode(&batch, &schema, &invalid, policy, Some(7), |bytes| {
                sent.extend(bytes);
                Ok::<(), ()>(())
            });
            (rows.unwrap(), sent.len())
        };
        assert_eq!(sent(OnInvalidValue::Reject), (2, 2 * 26));
        assert_eq!(sent(OnInvalidValue::Null), (3, 2 * 26 + 18));
    }
}
