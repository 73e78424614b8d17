//! Builds record batches from texts and values, a column at a time, within rows and bytes. Pure.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer, i256};

use super::{BATCH_BYTES_MAX, ColumnType, Schema, batch_bytes, parse};

mod natives;

/// A text or value that a column's type doesn't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

/// The values of one column of a batch that is being built.
#[derive(Debug)]
pub struct ColumnBuilder {
    column_type: ColumnType,
    values: Values,
    validity: NullBufferBuilder,
}

/// Values by the way Arrow keeps them.
#[derive(Debug)]
enum Values {
    Boolean(BooleanBufferBuilder),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal128(Vec<i128>),
    Decimal256(Vec<i256>),
    Bytes { ends: Vec<i32>, bytes: Vec<u8> },
    Uuid(Vec<u8>),
}

impl ColumnBuilder {
    /// Makes an empty column with room for some rows.
    pub fn new(column_type: ColumnType, rows: usize) -> Self {
        use ColumnType::*;
        let values = match column_type {
            Boolean => Values::Boolean(BooleanBufferBuilder::new(rows)),
            Int16 => Values::Int16(Vec::with_capacity(rows)),
            Int32 | Date => Values::Int32(Vec::with_capacity(rows)),
            Int64 | Time | TimeNanos | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc => {
                Values::Int64(Vec::with_capacity(rows))
            }
            UInt64 => Values::UInt64(Vec::with_capacity(rows)),
            Float32 => Values::Float32(Vec::with_capacity(rows)),
            Float64 => Values::Float64(Vec::with_capacity(rows)),
            Decimal { precision, .. } if precision <= 38 => Values::Decimal128(Vec::with_capacity(rows)),
            Decimal { .. } => Values::Decimal256(Vec::with_capacity(rows)),
            Text | Json | Binary => Values::Bytes { ends: vec![0], bytes: Vec::new() },
            Uuid => Values::Uuid(Vec::with_capacity(rows * 16)),
        };
        Self { column_type, values, validity: NullBufferBuilder::new(rows) }
    }

    /// Returns how many rows it holds.
    pub fn len(&self) -> usize {
        self.validity.len()
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the last row has no value.
    #[inline]
    pub fn is_last_null(&self) -> bool {
        self.len().checked_sub(1).is_some_and(|last| !self.validity.is_valid(last))
    }

    /// Returns its type.
    pub fn column_type(&self) -> ColumnType {
        self.column_type
    }

    /// Appends the value that a text (valid UTF-8, without NUL) stands for; returns the bytes it takes.
    ///
    /// # Errors
    /// [`Misfit`], with nothing appended, where the type doesn't hold exactly this value.
    #[inline]
    pub fn append_text(&mut self, text: &[u8]) -> Result<usize, Misfit> {
        let size = self.push_text(text).ok_or(Misfit)?;
        self.validity.append_non_null();
        Ok(size)
    }

    /// Appends a text to a column whose type was inferred: as [`ColumnBuilder::append_text`], but a number must be written as
    /// inference reads it, for `007` in a column of whole numbers is no whole number.
    ///
    /// # Errors
    /// [`Misfit`], with nothing appended, where inference would not have taken the text for this type.
    #[inline]
    pub fn append_inferred(&mut self, text: &[u8]) -> Result<usize, Misfit> {
        match (&mut self.values, self.column_type) {
            (Values::Int64(values), ColumnType::Int64) => values.push(parse::integer(text).ok_or(Misfit)?),
            (Values::Float64(values), _) => values.push(parse::double(text).ok_or(Misfit)?),
            _ => return self.append_text(text),
        }
        self.validity.append_non_null();
        Ok(self.width())
    }

    #[inline]
    fn push_text(&mut self, text: &[u8]) -> Option<usize> {
        use ColumnType::*;
        match (&mut self.values, self.column_type) {
            (Values::Bytes { ends, bytes }, column_type) => {
                match column_type {
                    Binary => bytes.extend_from_slice(&parse::hex(text)?),
                    Json if !parse::is_json(text) => return None,
                    _ => bytes.extend_from_slice(text),
                }
                ends.push(end_of(bytes)?);
                return Some(4 + text.len());
            }
            (Values::Int64(values), column_type) => values.push(match column_type {
                Int64 => parse::integer(text).or_else(|| parse::declared_integer(text))?,
                Time | TimeNanos => time_units(column_type, text)?,
                _ => timestamp_units(column_type, text)?,
            }),
            (Values::Float64(values), _) => values.push(parse::double(text).or_else(|| parse::declared_double(text))?),
            (Values::Int32(values), Date) => values.push(parse::date(text)?),
            (Values::Int32(values), _) => values.push(i32::try_from(parse::declared_integer(text)?).ok()?),
            (Values::Int16(values), _) => values.push(i16::try_from(parse::declared_integer(text)?).ok()?),
            (Values::UInt64(values), _) => values.push(parse::declared_unsigned(text)?),
            (Values::Boolean(values), _) => values.append(parse::boolean(text)?),
            (Values::Float32(values), _) => values.push(parse::declared_single(text)?),
            (Values::Decimal128(values), Decimal { precision, scale }) => values.push(parse::decimal(text, precision, scale)?.to_i128()?),
            (Values::Decimal256(values), Decimal { precision, scale }) => values.push(parse::decimal(text, precision, scale)?),
            (Values::Uuid(values), _) => values.extend_from_slice(&parse::uuid(text)?),
            (Values::Decimal128(_) | Values::Decimal256(_), _) => return None,
        }
        Some(self.width())
    }

    /// Appends a whole number to a column of whole or other numbers, of booleans (0 and 1), or of text; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_i64(&mut self, value: i64) -> Result<usize, Misfit> {
        match (&mut self.values, self.column_type) {
            (Values::Int64(values), ColumnType::Int64) => values.push(value),
            (Values::Boolean(values), _) if value == 0 || value == 1 => values.append(value == 1),
            (Values::Boolean(_), _) => return Err(Misfit),
            _ => return self.append_text(value.to_string().as_bytes()),
        }
        self.validity.append_non_null();
        Ok(self.width())
    }

    /// Appends a double to a column of doubles or of text; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_f64(&mut self, value: f64) -> Result<usize, Misfit> {
        match &mut self.values {
            Values::Float64(values) => values.push(value),
            _ => return self.append_text(format!("{value:?}").as_bytes()),
        }
        self.validity.append_non_null();
        Ok(self.width())
    }

    /// Appends bytes to a column of binary; returns the bytes they take.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_bytes(&mut self, value: &[u8]) -> Result<usize, Misfit> {
        match (&mut self.values, self.column_type) {
            (Values::Bytes { ends, bytes }, ColumnType::Binary) => {
                bytes.extend_from_slice(value);
                ends.push(end_of(bytes).ok_or(Misfit)?);
            }
            _ => return Err(Misfit),
        }
        self.validity.append_non_null();
        Ok(4 + value.len())
    }

    /// Appends NULL; returns the bytes it takes.
    #[inline]
    pub fn append_null(&mut self) -> usize {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::UInt64(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal128(values) => values.push(0),
            Values::Decimal256(values) => values.push(i256::ZERO),
            Values::Bytes { ends, .. } => ends.push(ends[ends.len() - 1]),
            Values::Uuid(values) => values.extend_from_slice(&[0; 16]),
        }
        self.validity.append_null();
        self.width()
    }

    /// Takes back every row from a place on.
    pub fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        self.validity.truncate(rows);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int16(values) => values.truncate(rows),
            Values::Int32(values) => values.truncate(rows),
            Values::Int64(values) => values.truncate(rows),
            Values::UInt64(values) => values.truncate(rows),
            Values::Float32(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal128(values) => values.truncate(rows),
            Values::Decimal256(values) => values.truncate(rows),
            Values::Bytes { ends, bytes } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends[rows] as usize);
            }
            Values::Uuid(values) => values.truncate(rows * 16),
        }
    }

    /// Bytes of a value of fixed width; of a text, its offset.
    fn width(&self) -> usize {
        match &self.values {
            Values::Boolean(_) => 1,
            Values::Int16(_) => 2,
            Values::Int32(_) | Values::Float32(_) | Values::Bytes { .. } => 4,
            Values::Int64(_) | Values::UInt64(_) | Values::Float64(_) => 8,
            Values::Decimal128(_) | Values::Uuid(_) => 16,
            Values::Decimal256(_) => 32,
        }
    }

    /// Hands the rows out as an array and begins anew, with room for as many.
    fn finish(&mut self) -> ArrayRef {
        let nulls = self.validity.finish();
        let column_type = self.column_type;
        let is_nanos = matches!(column_type, ColumnType::TimeNanos | ColumnType::TimestampNanos | ColumnType::TimestampNanosUtc);
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int16(values) => primitive::<Int16Type>(values, nulls, column_type),
            Values::Int32(values) if column_type == ColumnType::Date => primitive::<Date32Type>(values, nulls, column_type),
            Values::Int32(values) => primitive::<Int32Type>(values, nulls, column_type),
            Values::Int64(values) => match column_type {
                ColumnType::Int64 => primitive::<Int64Type>(values, nulls, column_type),
                ColumnType::Time => primitive::<Time64MicrosecondType>(values, nulls, column_type),
                ColumnType::TimeNanos => primitive::<Time64NanosecondType>(values, nulls, column_type),
                _ if is_nanos => primitive::<TimestampNanosecondType>(values, nulls, column_type),
                _ => primitive::<TimestampMicrosecondType>(values, nulls, column_type),
            },
            Values::UInt64(values) => primitive::<UInt64Type>(values, nulls, column_type),
            Values::Float32(values) => primitive::<Float32Type>(values, nulls, column_type),
            Values::Float64(values) => primitive::<Float64Type>(values, nulls, column_type),
            Values::Decimal128(values) => primitive::<Decimal128Type>(values, nulls, column_type),
            Values::Decimal256(values) => primitive::<Decimal256Type>(values, nulls, column_type),
            Values::Bytes { ends, bytes } => {
                let rooms = (ends.len(), bytes.len() + bytes.len() / 16);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, Vec::with_capacity(rooms.0))));
                ends.push(0);
                let data = Buffer::from_vec(std::mem::replace(bytes, Vec::with_capacity(rooms.1)));
                if column_type == ColumnType::Binary {
                    Arc::new(BinaryArray::new(offsets, data, nulls))
                } else {
                    Arc::new(StringArray::new(offsets, data, nulls))
                }
            }
            Values::Uuid(values) => {
                let room = values.len();
                let data = Buffer::from_vec(std::mem::replace(values, Vec::with_capacity(room)));
                Arc::new(FixedSizeBinaryArray::new(16, data, nulls))
            }
        }
    }
}

fn end_of(bytes: &[u8]) -> Option<i32> {
    i32::try_from(bytes.len()).ok()
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>, column_type: ColumnType) -> ArrayRef {
    let room = values.len();
    let values = std::mem::replace(values, Vec::with_capacity(room));
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(column_type.data_type()))
}

fn time_units(column_type: ColumnType, text: &[u8]) -> Option<i64> {
    let (seconds, nanos, _) = parse::time(text)?;
    if column_type == ColumnType::TimeNanos {
        return Some(seconds * 1_000_000_000 + i64::from(nanos));
    }
    nanos.is_multiple_of(1000).then(|| seconds * 1_000_000 + i64::from(nanos / 1000))
}

#[inline]
fn timestamp_units(column_type: ColumnType, text: &[u8]) -> Option<i64> {
    let is_utc = matches!(column_type, ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc);
    let moment = if is_utc { parse::timestamp(text)? } else { parse::timestamp_or_date(text)? };
    if moment.is_utc != is_utc {
        return None;
    }
    if matches!(column_type, ColumnType::Timestamp | ColumnType::TimestampUtc) { moment.micros() } else { moment.nanos() }
}

/// A batch that is being built, row by row.
///
/// A row is begun by appending to [`columns`](BatchBuilder::columns) and ended with [`end_row`](BatchBuilder::end_row), or taken back with
/// [`undo_row`](BatchBuilder::undo_row).
#[derive(Debug)]
pub struct BatchBuilder {
    schema: Arc<arrow_schema::Schema>,
    /// The columns, in the schema's order.
    pub columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
    /// The same as of the last batch, where memory runs short.
    bytes_now: usize,
}

impl BatchBuilder {
    /// Makes an empty batch that is full at so many rows, or at [`BATCH_BYTES_MAX`].
    pub fn new(schema: &Schema, rows_max: usize) -> Self {
        let rows_max = rows_max.max(1);
        // Room for a small batch at first: a job of one row shouldn't ask for megabytes.
        let columns = schema.columns.iter().map(|column| ColumnBuilder::new(column.column_type, rows_max.min(1024))).collect();
        Self {
            schema: schema.arrow(),
            columns,
            rows: 0,
            bytes: 0,
            rows_max,
            bytes_max: BATCH_BYTES_MAX,
            bytes_now: batch_bytes(BATCH_BYTES_MAX),
        }
    }

    /// Makes it one of several that are built side by side and together hold what one would.
    #[must_use]
    pub fn one_of(self, count: usize) -> Self {
        let count = count.max(1);
        let bytes_max = self.bytes_max / count;
        Self { rows_max: (self.rows_max / count).max(1), bytes_max, bytes_now: batch_bytes(bytes_max), ..self }
    }

    /// Makes it full at so many times fewer bytes.
    #[must_use]
    pub fn smaller(self, by: usize) -> Self {
        let bytes_max = self.bytes_max / by.max(1);
        Self { bytes_max, bytes_now: batch_bytes(bytes_max), ..self }
    }

    /// Ends a row whose values take so many bytes.
    #[inline]
    pub fn end_row(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    /// Takes back what was appended since the last row ended.
    pub fn undo_row(&mut self) {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
    }

    /// Returns the rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it must be handed out before the next row.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= self.bytes_now
    }

    /// Hands the rows out and begins anew; `None` where there are none.
    pub fn finish(&mut self) -> Option<RecordBatch> {
        if self.rows == 0 {
            return None;
        }
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .expect("each column has the schema's type and a value a row");
        self.bytes_now = batch_bytes(self.bytes_max);
        self.rows = 0;
        self.bytes = 0;
        Some(batch)
    }
}
