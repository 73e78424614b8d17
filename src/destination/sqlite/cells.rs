//! The values of a batch as SQLite takes them: numbers as they are, texts where they lie, other types written as text first.

use std::ffi::c_int;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};
use arrow_schema::DataType;
use rusqlite::ffi;

use crate::batch::text::{write_cell, write_date};
use crate::destination::InvalidValue;
use crate::plan::OnInvalidValue;

/// The most days between the first and the last date of a batch for which their texts are written once each, not once a row.
const DAYS_MAX: usize = 40_000;

/// Bytes of `YYYY-MM-DD`.
const DAY_BYTES: usize = 10;

/// The rows of one batch.
pub(super) struct Rows<'a> {
    pub columns: Vec<Cells<'a>>,
    pub count: usize,
    /// Rows that are not shown, where there are such.
    left_out: Option<Vec<bool>>,
}

/// The values of one column of one batch, as SQLite takes them.
enum Values<'a> {
    Boolean(&'a BooleanBuffer),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Text {
        offsets: &'a [i32],
        bytes: &'a [u8],
    },
    Blob {
        offsets: &'a [i32],
        bytes: &'a [u8],
    },
    /// Written as text for this batch.
    Written {
        offsets: Vec<usize>,
        bytes: Vec<u8>,
    },
    /// Days since the epoch, and the text of every day from the first one on.
    Days {
        days: &'a [i32],
        first: i32,
        texts: Vec<u8>,
    },
}

/// A column of a batch.
pub(super) struct Cells<'a> {
    values: Values<'a>,
    nulls: Option<NullBuffer>,
}

impl<'a> Rows<'a> {
    /// Takes the rows of a batch, without those that hold invalid values (or with NULL in their place).
    pub(super) fn of(batch: &'a RecordBatch, invalid: &[InvalidValue], on_invalid: OnInvalidValue) -> Self {
        let mut rows = Self { columns: batch.columns().iter().map(cells).collect(), count: batch.num_rows(), left_out: None };
        rows.set_aside(invalid, on_invalid);
        rows
    }

    /// Leaves rows with invalid values out, or puts NULL in the values' place.
    fn set_aside(&mut self, invalid: &[InvalidValue], on_invalid: OnInvalidValue) {
        if on_invalid != OnInvalidValue::Null {
            if !invalid.is_empty() {
                let mut left_out = vec![false; self.count];
                invalid.iter().for_each(|value| left_out[value.row] = true);
                self.left_out = Some(left_out);
            }
            return;
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            if invalid.iter().any(|value| value.column == index) {
                let mut valid = BooleanBufferBuilder::new(self.count);
                match &column.nulls {
                    Some(nulls) => valid.append_buffer(nulls.inner()),
                    None => valid.append_n(self.count, true),
                }
                invalid.iter().filter(|value| value.column == index).for_each(|value| valid.set_bit(value.row, false));
                column.nulls = Some(NullBuffer::new(valid.finish()));
            }
        }
    }

    /// Returns the first row from a place on that is shown.
    #[inline]
    pub(super) fn shown_from(&self, mut row: usize) -> usize {
        if let Some(left_out) = &self.left_out {
            while row < self.count && left_out[row] {
                row += 1;
            }
        }
        row
    }
}

impl Cells<'_> {
    /// Hands a value to SQLite; nothing handed over is NULL.
    ///
    /// # Safety
    /// The context is that of a running `xColumn`, and `self` outlives the statement's run.
    #[inline]
    pub(super) unsafe fn give(&self, context: *mut ffi::sqlite3_context, row: usize) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return;
        }
        // SAFETY: the caller's promise; slices are bounds-checked.
        unsafe {
            match &self.values {
                Values::Boolean(values) => ffi::sqlite3_result_int(context, c_int::from(values.value(row))),
                Values::Int16(values) => ffi::sqlite3_result_int(context, c_int::from(values[row])),
                Values::Int32(values) => ffi::sqlite3_result_int(context, values[row]),
                Values::Int64(values) => ffi::sqlite3_result_int64(context, values[row]),
                Values::Float32(values) => ffi::sqlite3_result_double(context, f64::from(values[row])),
                Values::Float64(values) => ffi::sqlite3_result_double(context, values[row]),
                Values::Text { offsets, bytes } => give_text(context, &bytes[offsets[row] as usize..offsets[row + 1] as usize]),
                Values::Written { offsets, bytes } => give_text(context, &bytes[offsets[row]..offsets[row + 1]]),
                Values::Days { days, first, texts } => {
                    let start = (days[row] - first) as usize * DAY_BYTES;
                    give_text(context, &texts[start..start + DAY_BYTES]);
                }
                Values::Blob { offsets, bytes } => {
                    let bytes = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                    ffi::sqlite3_result_blob64(context, bytes.as_ptr().cast(), bytes.len() as u64, ffi::SQLITE_STATIC());
                }
            }
        }
    }
}

/// # Safety
/// As for [`Cells::give`].
#[inline]
unsafe fn give_text(context: *mut ffi::sqlite3_context, text: &[u8]) {
    // SAFETY: the caller's promise. A slice's pointer is never null, so an empty text stays an empty text. No batch's buffer reaches 2 GiB,
    // its offsets being of 32 bits; for a longer one SQLite itself would say "too big".
    match c_int::try_from(text.len()) {
        Ok(length) => unsafe { ffi::sqlite3_result_text(context, text.as_ptr().cast(), length, ffi::SQLITE_STATIC()) },
        Err(_) => unsafe { ffi::sqlite3_result_error_toobig(context) },
    }
}

fn cells(array: &ArrayRef) -> Cells<'_> {
    let values = match array.data_type() {
        DataType::Boolean => Values::Boolean(array.as_boolean().values()),
        DataType::Int16 => Values::Int16(array.as_primitive::<Int16Type>().values()),
        DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
        DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
        DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values()),
        DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values()),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            Values::Text { offsets: texts.value_offsets(), bytes: texts.value_data() }
        }
        DataType::Binary => {
            let blobs = array.as_binary::<i32>();
            Values::Blob { offsets: blobs.value_offsets(), bytes: blobs.value_data() }
        }
        DataType::Date32 => days(array),
        _ => written(array.as_ref()),
    };
    Cells { values, nulls: array.nulls().cloned() }
}

/// Dates lie close together, as a rule: each day's text is written once.
fn days(array: &ArrayRef) -> Values<'_> {
    let days: &[i32] = array.as_primitive::<Date32Type>().values();
    let first = days.iter().copied().min().unwrap_or(0);
    let last = days.iter().copied().max().unwrap_or(0);
    let span = i64::from(last) - i64::from(first) + 1;
    if span > DAYS_MAX as i64 || span > days.len() as i64 {
        return written(array.as_ref());
    }
    let mut texts = Vec::with_capacity(span as usize * DAY_BYTES);
    (first..=last).for_each(|day| write_date(&mut texts, day));
    // Years of more or fewer than four digits are written otherwise, and have no place here.
    if texts.len() == span as usize * DAY_BYTES { Values::Days { days, first, texts } } else { written(array.as_ref()) }
}

fn written(array: &dyn Array) -> Values<'static> {
    let mut bytes = Vec::with_capacity(array.len() * 12);
    let mut offsets = Vec::with_capacity(array.len() + 1);
    offsets.push(0);
    for row in 0..array.len() {
        write_cell(&mut bytes, array, row);
        offsets.push(bytes.len());
    }
    Values::Written { offsets, bytes }
}
