//! Casts batches up to the types that a target already has. Only to wider types: every value stays what it was.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};

use crate::batch::text::write_cell;
use crate::batch::{ColumnType, RecordBatch, Schema};
use crate::destination::InvalidValue;

const INEXACT: &str = "the whole number has more digits than the column's floating-point type holds exactly";
const TOO_LARGE: &str = "the value lies outside of what the column's type holds";

/// How the columns of one schema become those of another; made once for each read.
#[derive(Debug)]
pub(super) struct Cast {
    from: Vec<ColumnType>,
    to: Schema,
    is_needed: bool,
}

impl Cast {
    /// Makes the cast from the columns of a reader to those of a load, place by place.
    pub(super) fn new(from: &Schema, to: &Schema) -> Self {
        let is_needed = from != to;
        Self { from: from.columns.iter().map(|column| column.column_type).collect(), to: to.clone(), is_needed }
    }

    /// Casts a batch; values that don't fit after all are NULL in it and listed.
    pub(super) fn apply(&self, batch: RecordBatch) -> Result<(RecordBatch, Vec<InvalidValue>), String> {
        if !self.is_needed {
            return Ok((batch, Vec::new()));
        }
        let mut invalid = Vec::new();
        let mut columns = Vec::with_capacity(self.from.len());
        for (column, (from, to)) in self.from.iter().zip(&self.to.columns).enumerate() {
            let mut misfit = |row, reason| invalid.push(InvalidValue { row, column, reason });
            columns.push(cast(batch.column(column), *from, to.column_type, &mut misfit)?);
        }
        invalid.sort_by_key(|value| (value.row, value.column));
        let batch = RecordBatch::try_new(self.to.arrow(), columns).map_err(|error| error.to_string())?;
        Ok((batch, invalid))
    }
}

fn cast(array: &ArrayRef, from: ColumnType, to: ColumnType, misfit: &mut dyn FnMut(usize, &'static str)) -> Result<ArrayRef, String> {
    use ColumnType::*;
    let array_ref = array.as_ref();
    Ok(match (from, to) {
        _ if from.data_type() == to.data_type() => Arc::clone(array),
        (_, Text) => text(array_ref),
        (Int16, Int32) => convert::<Int16Type, Int32Type>(array_ref, |value| Ok(i32::from(value)), misfit),
        (Int16, Int64) => convert::<Int16Type, Int64Type>(array_ref, |value| Ok(i64::from(value)), misfit),
        (Int32, Int64) => convert::<Int32Type, Int64Type>(array_ref, |value| Ok(i64::from(value)), misfit),
        (Int16, Float32) => convert::<Int16Type, Float32Type>(array_ref, |value| Ok(f32::from(value)), misfit),
        (Int16, Float64) => convert::<Int16Type, Float64Type>(array_ref, |value| Ok(f64::from(value)), misfit),
        (Int32, Float64) => convert::<Int32Type, Float64Type>(array_ref, |value| Ok(f64::from(value)), misfit),
        (Int64, Float64) => convert::<Int64Type, Float64Type>(array_ref, exact_double, misfit),
        (Float32, Float64) => convert::<Float32Type, Float64Type>(array_ref, |value| Ok(f64::from(value)), misfit),
        (Date, Timestamp) => {
            convert::<Date32Type, TimestampMicrosecondType>(array_ref, |days| Ok(i64::from(days) * 86_400_000_000), misfit)
        }
        (Date, TimestampNanos) => {
            convert::<Date32Type, TimestampNanosecondType>(array_ref, |days| scaled(i64::from(days), 86_400_000_000_000), misfit)
        }
        (Timestamp, TimestampNanos) => {
            convert::<TimestampMicrosecondType, TimestampNanosecondType>(array_ref, |micros| scaled(micros, 1000), misfit)
        }
        (TimestampUtc, TimestampNanosUtc) => {
            let nanos = |micros| scaled(micros, 1000);
            let array = convert::<TimestampMicrosecondType, TimestampNanosecondType>(array_ref, nanos, misfit);
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone("UTC"))
        }
        (Time, TimeNanos) => convert::<Time64MicrosecondType, Time64NanosecondType>(array_ref, |micros| scaled(micros, 1000), misfit),
        (_, Decimal { precision: precision @ 1..=38, scale }) => {
            let decimals = match from {
                Int16 => convert::<Int16Type, Decimal128Type>(array_ref, |value| shifted(i128::from(value), scale), misfit),
                Int32 => convert::<Int32Type, Decimal128Type>(array_ref, |value| shifted(i128::from(value), scale), misfit),
                Int64 => convert::<Int64Type, Decimal128Type>(array_ref, |value| shifted(i128::from(value), scale), misfit),
                UInt64 => convert::<UInt64Type, Decimal128Type>(array_ref, |value| shifted(i128::from(value), scale), misfit),
                Decimal { precision: 1..=38, scale: before } => {
                    convert::<Decimal128Type, Decimal128Type>(array_ref, |value| shifted(value, scale - before), misfit)
                }
                _ => return Err(format!("{from} can't be cast to {to}")),
            };
            let decimals = decimals.as_primitive::<Decimal128Type>().clone().with_precision_and_scale(precision, scale);
            Arc::new(decimals.map_err(|error| error.to_string())?)
        }
        _ => return Err(format!("{from} can't be cast to {to}")),
    })
}

fn convert<From: ArrowPrimitiveType, To: ArrowPrimitiveType>(
    array: &dyn Array,
    convert: impl Fn(From::Native) -> Result<To::Native, &'static str>,
    misfit: &mut dyn FnMut(usize, &'static str),
) -> ArrayRef {
    let values = array.as_primitive::<From>().iter().enumerate().map(|(row, value)| match value.map(&convert)? {
        Ok(value) => Some(value),
        Err(reason) => {
            misfit(row, reason);
            None
        }
    });
    Arc::new(PrimitiveArray::<To>::from_iter(values))
}

/// 2^53: up to it every whole number is a double.
fn exact_double(value: i64) -> Result<f64, &'static str> {
    if value.unsigned_abs() <= 1 << 53 { Ok(value as f64) } else { Err(INEXACT) }
}

fn scaled(value: i64, by: i64) -> Result<i64, &'static str> {
    value.checked_mul(by).ok_or(TOO_LARGE)
}

fn shifted(value: i128, digits: i8) -> Result<i128, &'static str> {
    let power = 10_i128.checked_pow(u32::try_from(digits).unwrap_or(0)).ok_or(TOO_LARGE)?;
    value.checked_mul(power).ok_or(TOO_LARGE)
}

fn text(array: &dyn Array) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        bytes.clear();
        if write_cell(&mut bytes, array, row) {
            builder.append_value(String::from_utf8_lossy(&bytes));
        } else {
            builder.append_null();
        }
    }
    Arc::new(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Column;
    use crate::batch::text::cell_text;
    use arrow_array::{Date32Array, Int64Array};

    #[track_caller]
    fn check(array: ArrayRef, from: ColumnType, to: ColumnType, texts: &[Option<&str>], misfits: usize) {
        let schema = |column_type| Schema::new(vec![Column::new("c", column_type)]);
        let batch = RecordBatch::try_new(schema(from).arrow(), vec![array]).unwrap();
        let (batch, invalid) = Cast::new(&schema(from), &schema(to)).apply(batch).unwrap();
        let found: Vec<Option<String>> = (0..batch.num_rows()).map(|row| cell_text(&batch, 0, row)).collect();
        assert_eq!(found, texts.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(invalid.len(), misfits);
    }

    #[test]
    fn whole_numbers_become_wider_types_exactly() {
        let numbers = || Arc::new(Int64Array::from(vec![Some(-7), None, Some((1 << 53) + 1)]));
        check(numbers(), ColumnType::Int64, ColumnType::Text, &[Some("-7"), None, Some("9007199254740993")], 0);
        check(numbers(), ColumnType::Int64, ColumnType::Float64, &[Some("-7.0"), None, None], 1);
        let decimal = ColumnType::Decimal { precision: 21, scale: 2 };
        check(numbers(), ColumnType::Int64, decimal, &[Some("-7.00"), None, Some("9007199254740993.00")], 0);
    }

    #[test]
    fn dates_become_timestamps_at_midnight() {
        let dates = || Arc::new(Date32Array::from(vec![-1]));
        check(dates(), ColumnType::Date, ColumnType::Timestamp, &[Some("1969-12-31T00:00:00")], 0);
        check(dates(), ColumnType::Date, ColumnType::Text, &[Some("1969-12-31")], 0);
    }
}
