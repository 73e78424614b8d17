//! Batches as what the server takes: lines of LOAD DATA (fields parted by tabs, `\` before what would be read otherwise), or values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::batch::text::{write_cell, write_date, write_time_micros, write_timestamp_micros};
use crate::destination::InvalidValue;
use crate::plan::OnInvalidValue;

/// What of a batch is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub batch: &'a RecordBatch,
    pub invalid: &'a [InvalidValue],
    pub policy: OnInvalidValue,
    /// Each row ends with its number, beginning here, so that the later of two rows can be told.
    pub numbered_from: Option<u64>,
}

/// Returns the lines of the rows that can be loaded, and how many they are.
pub(super) fn lines(rows: &Rows<'_>) -> (Vec<u8>, u64) {
    let cells = cells(rows.batch);
    let mut out = Vec::with_capacity(rows.batch.get_array_memory_size() + rows.batch.num_rows() * cells.len() * 4);
    let count = each(rows, &cells, |fields, number| {
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                out.push(b'\t');
            }
            match field {
                Some((cells, row)) => cells.put_escaped(&mut out, *row),
                None => out.extend_from_slice(b"\\N"),
            }
        }
        if let Some(number) = number {
            if !fields.is_empty() {
                out.push(b'\t');
            }
            put_number(&mut out, number, false);
        }
        out.push(b'\n');
    });
    (out, count)
}

/// Hands each row that can be loaded to `take` as values; returns how many they are.
pub(super) fn values(rows: &Rows<'_>, mut take: impl FnMut(Vec<Option<Vec<u8>>>)) -> u64 {
    let cells = cells(rows.batch);
    each(rows, &cells, |fields, number| {
        let mut values: Vec<Option<Vec<u8>>> = Vec::with_capacity(fields.len() + 1);
        values.extend(fields.iter().map(|field| {
            field.map(|(cells, row)| {
                let mut value = Vec::new();
                cells.put(&mut value, row);
                value
            })
        }));
        values.extend(number.map(|number| Some(number.to_string().into_bytes())));
        take(values);
    })
}

/// A field: its column and row; `None` is NULL.
type Field<'a, 'b> = Option<(&'b Cells<'a>, usize)>;

fn each<'a, 'b>(rows: &Rows<'_>, cells: &'b [Cells<'a>], mut take: impl FnMut(&[Field<'a, 'b>], Option<u64>)) -> u64 {
    let mut invalid = rows.invalid.iter().peekable();
    let mut fields: Vec<Field<'a, 'b>> = Vec::with_capacity(cells.len());
    let mut count = 0;
    for row in 0..rows.batch.num_rows() {
        let mut is_left_out = false;
        fields.clear();
        for (place, cells) in cells.iter().enumerate() {
            let mut is_invalid = false;
            while invalid.next_if(|value| value.row == row && value.column == place).is_some() {
                is_invalid = true;
            }
            is_left_out |= is_invalid && rows.policy != OnInvalidValue::Null;
            fields.push((!is_invalid && !cells.is_null(row)).then_some((cells, row)));
        }
        if !is_left_out {
            take(&fields, rows.numbered_from.map(|first| first + count));
            count += 1;
        }
    }
    count
}

fn cells(batch: &RecordBatch) -> Vec<Cells<'_>> {
    batch.columns().iter().map(|array| Cells::of(array.as_ref())).collect()
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
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    /// Decimals, UUIDs, nanoseconds: texts of digits and signs.
    AsText(&'a dyn Array),
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt64 => Self::UInt64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
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
            Self::Text(array) => array.is_null(row),
            Self::Binary(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::AsText(array) => array.is_null(row),
        }
    }

    fn put(&self, out: &mut Vec<u8>, row: usize) {
        use std::io::Write as _;
        // Writing to a Vec can't fail.
        match self {
            Self::Boolean(array) => out.push(b'0' + u8::from(array.value(row))),
            Self::Int16(array) => put_number(out, array.value(row).unsigned_abs().into(), array.value(row) < 0),
            Self::Int32(array) => put_number(out, array.value(row).unsigned_abs().into(), array.value(row) < 0),
            Self::Int64(array) => put_number(out, array.value(row).unsigned_abs(), array.value(row) < 0),
            Self::UInt64(array) => put_number(out, array.value(row), false),
            // As a double: the server reads a double and rounds it, which must not happen to a text of fewer digits.
            Self::Float32(array) => _ = write!(out, "{:?}", f64::from(array.value(row))),
            Self::Float64(array) => _ = write!(out, "{:?}", array.value(row)),
            Self::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Self::Binary(array) => out.extend_from_slice(array.value(row)),
            Self::Date(array) => write_date(out, array.value(row)),
            Self::Time(array) => write_time_micros(out, array.value(row)),
            Self::Timestamp(array) => write_timestamp_micros(out, array.value(row), false),
            Self::AsText(array) => _ = write_cell(out, *array, row),
        }
    }

    fn put_escaped(&self, out: &mut Vec<u8>, row: usize) {
        match self {
            Self::Text(array) => escape(out, array.value(row).as_bytes()),
            Self::Binary(array) => escape(out, array.value(row)),
            _ => self.put(out, row),
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64, is_negative: bool) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends bytes so that the server reads them back as they are.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut start = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let letter = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            0 => b'0',
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..place]);
        out.extend_from_slice(&[b'\\', letter]);
        start = place + 1;
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Int64Array, UInt64Array};

    use super::*;
    use crate::batch::{Column, ColumnType, Schema};

    #[test]
    fn rows_are_lines_of_escaped_fields() {
        let types = [ColumnType::Int64, ColumnType::UInt64, ColumnType::Float32, ColumnType::Text, ColumnType::Binary];
        let schema = Schema::new(types.iter().map(|known| Column::new(known.to_string(), *known)).collect());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![i64::MIN, 0, 7])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)])),
            Arc::new(Float32Array::from(vec![0.1, -0.0, 1.0])),
            Arc::new(StringArray::from(vec!["a\tb\\N\n", "", "x"])),
            Arc::new(BinaryArray::from(vec![&[0_u8, 255, 92][..], b"", b"y"])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        let invalid = [InvalidValue { row: 1, column: 3, reason: "" }];
        let mut rows = Rows { batch: &batch, invalid: &[], policy: OnInvalidValue::Reject, numbered_from: None };
        let first = b"-9223372036854775808\t18446744073709551615\t0.10000000149011612\ta\\tb\\\\N\\n\t\\0\xff\\\\\n".as_slice();
        assert_eq!(lines(&rows), ([first, b"0\t\\N\t-0.0\t\t\n7\t0\t1.0\tx\ty\n"].concat(), 3));
        rows.invalid = &invalid;
        rows.numbered_from = Some(5);
        let (text, count) = lines(&rows);
        assert_eq!((count, text.ends_with(b"\t5\n7\t0\t1.0\tx\ty\t6\n")), (2, true));
        rows.policy = OnInvalidValue::Null;
        let mut all = Vec::new();
        assert_eq!(values(&rows, |row| all.push(row)), 3);
        assert_eq!(all[1], [Some(b"0".to_vec()), None, Some(b"-0.0".to_vec()), None, Some(Vec::new()), Some(b"6".to_vec())]);
    }
}
