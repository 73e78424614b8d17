//! The hot path: one prepared INSERT, values bound straight from Arrow's buffers. The only unsafe code of the destination.
//!
//! What to do with a column is decided once for each batch; types that SQLite keeps as text are written into one buffer first.

use std::ffi::{CString, c_int};
use std::ptr;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use rusqlite::{Connection, Error, ffi};

use crate::batch::text::write_cell;
use crate::destination::InvalidValue;
use crate::plan::OnInvalidValue;

/// A prepared INSERT. It must be dropped before its connection is; [`super::staging::Staging`] sees to that.
#[derive(Debug)]
pub(super) struct Insert {
    database: *mut ffi::sqlite3,
    statement: *mut ffi::sqlite3_stmt,
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
}

struct Cells<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

impl Insert {
    /// Prepares an INSERT with one parameter a column.
    ///
    /// # Errors
    /// SQLite's own.
    pub(super) fn prepare(connection: &Connection, sql: &str) -> Result<Self, Error> {
        let text = CString::new(sql)?;
        let mut statement = ptr::null_mut();
        // SAFETY: the handle is that of an open connection; `text` ends in NUL and lives through the call; -1 reads up to it.
        let (database, code) = unsafe {
            let database = connection.handle();
            let flags = ffi::SQLITE_PREPARE_PERSISTENT;
            (database, ffi::sqlite3_prepare_v3(database, text.as_ptr(), -1, flags, &raw mut statement, ptr::null_mut()))
        };
        let insert = Self { database, statement };
        if code == ffi::SQLITE_OK { Ok(insert) } else { Err(insert.error(code)) }
    }

    /// Inserts the rows of a batch, without those that hold invalid values (or with NULL in their place); returns how many.
    ///
    /// # Errors
    /// SQLite's own; the transaction must be rolled back then.
    pub(super) fn write(&mut self, batch: &RecordBatch, invalid: &[InvalidValue], on_invalid: OnInvalidValue) -> Result<u64, Error> {
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(cells).collect();
        let mut invalid = invalid.iter().peekable();
        let mut rows = 0;
        for row in 0..batch.num_rows() {
            let mut is_left_out = false;
            self.bind(&columns, row)?;
            while let Some(value) = invalid.next_if(|value| value.row == row) {
                if on_invalid == OnInvalidValue::Null {
                    // SAFETY: `statement` is prepared and not running; the index is that of a column of the batch.
                    let code = unsafe { ffi::sqlite3_bind_null(self.statement, parameter(value.column)) };
                    self.expect(code, ffi::SQLITE_OK)?;
                } else {
                    is_left_out = true;
                }
            }
            if !is_left_out {
                self.step()?;
                rows += 1;
            }
        }
        // The batch's buffers end with this call: nothing may point to them any longer.
        // SAFETY: `statement` is prepared and was reset after its last step.
        unsafe { ffi::sqlite3_clear_bindings(self.statement) };
        Ok(rows)
    }

    #[inline]
    fn bind(&self, columns: &[Cells<'_>], row: usize) -> Result<(), Error> {
        for (index, column) in columns.iter().enumerate() {
            let statement = self.statement;
            let parameter = parameter(index);
            // SAFETY: `statement` is prepared and not running. Texts and blobs are bound without a copy: they lie in the batch or in
            // `columns`, which outlive every step of this batch, and `write` clears the bindings at its end; on an error the
            // statement is never stepped again without binding every parameter anew. Slices are bounds-checked.
            let code = unsafe {
                if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    ffi::sqlite3_bind_null(statement, parameter)
                } else {
                    match &column.values {
                        Values::Boolean(values) => ffi::sqlite3_bind_int(statement, parameter, c_int::from(values.value(row))),
                        Values::Int16(values) => ffi::sqlite3_bind_int(statement, parameter, c_int::from(values[row])),
                        Values::Int32(values) => ffi::sqlite3_bind_int(statement, parameter, values[row]),
                        Values::Int64(values) => ffi::sqlite3_bind_int64(statement, parameter, values[row]),
                        Values::Float32(values) => ffi::sqlite3_bind_double(statement, parameter, f64::from(values[row])),
                        Values::Float64(values) => ffi::sqlite3_bind_double(statement, parameter, values[row]),
                        Values::Text { offsets, bytes } => {
                            bind_text(statement, parameter, &bytes[offsets[row] as usize..offsets[row + 1] as usize])
                        }
                        Values::Written { offsets, bytes } => bind_text(statement, parameter, &bytes[offsets[row]..offsets[row + 1]]),
                        Values::Blob { offsets, bytes } => {
                            bind_blob(statement, parameter, &bytes[offsets[row] as usize..offsets[row + 1] as usize])
                        }
                    }
                }
            };
            self.expect(code, ffi::SQLITE_OK)?;
        }
        Ok(())
    }

    #[inline]
    fn step(&self) -> Result<(), Error> {
        // SAFETY: `statement` is prepared and every parameter is bound to memory that outlives this call.
        let code = unsafe { ffi::sqlite3_step(self.statement) };
        if code != ffi::SQLITE_DONE {
            let error = self.error(code);
            // SAFETY: as above.
            unsafe { ffi::sqlite3_reset(self.statement) };
            return Err(error);
        }
        // SAFETY: as above.
        let code = unsafe { ffi::sqlite3_reset(self.statement) };
        self.expect(code, ffi::SQLITE_OK)
    }

    #[inline]
    fn expect(&self, code: c_int, good: c_int) -> Result<(), Error> {
        if code == good { Ok(()) } else { Err(self.error(code)) }
    }

    fn error(&self, code: c_int) -> Error {
        // SAFETY: `database` is open; the message is copied before the next call.
        let (code, message) = unsafe {
            let message = std::ffi::CStr::from_ptr(ffi::sqlite3_errmsg(self.database));
            (ffi::sqlite3_extended_errcode(self.database).max(code), message.to_string_lossy().into_owned())
        };
        Error::SqliteFailure(ffi::Error::new(code), Some(message))
    }
}

impl Drop for Insert {
    fn drop(&mut self) {
        // SAFETY: prepared once, finalized once; a null statement is a no-op (sqlite3_finalize's documentation).
        unsafe { ffi::sqlite3_finalize(self.statement) };
    }
}

fn parameter(column: usize) -> c_int {
    c_int::try_from(column + 1).unwrap_or(c_int::MAX)
}

/// # Safety
/// `text` outlives the statement's next step, or the binding is replaced before it.
#[inline]
unsafe fn bind_text(statement: *mut ffi::sqlite3_stmt, parameter: c_int, text: &[u8]) -> c_int {
    let Ok(length) = c_int::try_from(text.len()) else { return ffi::SQLITE_TOOBIG };
    // SAFETY: the caller's promise. A slice's pointer is never null, so an empty text stays an empty text.
    unsafe { ffi::sqlite3_bind_text(statement, parameter, text.as_ptr().cast(), length, ffi::SQLITE_STATIC()) }
}

/// # Safety
/// As for [`bind_text`].
#[inline]
unsafe fn bind_blob(statement: *mut ffi::sqlite3_stmt, parameter: c_int, bytes: &[u8]) -> c_int {
    let Ok(length) = c_int::try_from(bytes.len()) else { return ffi::SQLITE_TOOBIG };
    // SAFETY: the caller's promise.
    unsafe { ffi::sqlite3_bind_blob(statement, parameter, bytes.as_ptr().cast(), length, ffi::SQLITE_STATIC()) }
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
        _ => written(array.as_ref()),
    };
    Cells { values, nulls: array.nulls() }
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
