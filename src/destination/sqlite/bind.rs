//! The hot path: a batch as a table that SQLite reads, so that one `INSERT ... SELECT` stages it. With `cells.rs` the only unsafe code of the destination.
//!
//! One statement a batch, not one a row: SQLite opens the staging table once and appends. What to do with a column is decided once for each
//! batch; types that SQLite keeps as text are written into one buffer first. Texts are handed over where they lie in Arrow's buffers.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use arrow_array::RecordBatch;
use rusqlite::{Connection, Error, ffi};

use super::cells::Rows;
use crate::destination::InvalidValue;
use crate::plan::OnInvalidValue;

/// The name under which a connection reads the batch. Nothing of it is in the file.
const TABLE: &str = "_etlsched_batch";

/// A prepared INSERT. It must be dropped before its connection is; [`super::staging::Staging`] sees to that.
#[derive(Debug)]
pub(super) struct Insert {
    database: *mut ffi::sqlite3,
    statement: *mut ffi::sqlite3_stmt,
    /// Owned by SQLite, as the client data of the module [`TABLE`], until the module is removed.
    feed: *mut Feed,
}

/// What the table [`TABLE`] shows.
struct Feed {
    columns: usize,
    /// Null but while a statement runs.
    rows: *const Rows<'static>,
}

impl Insert {
    /// Prepares an INSERT of so many columns; `sql` is everything before the SELECT.
    ///
    /// # Errors
    /// SQLite's own.
    pub(super) fn prepare(connection: &Connection, sql: &str, columns: usize) -> Result<Self, Error> {
        let text = CString::new(format!("{sql} SELECT * FROM {TABLE}"))?;
        let name = CString::new(TABLE)?;
        let feed = Box::into_raw(Box::new(Feed { columns, rows: ptr::null() }));
        // SAFETY: the handle is that of an open connection; MODULE is static; SQLite takes the feed over and frees it by `free_feed` when
        // the module is removed or replaced, and also where this call fails.
        let (database, code) = unsafe {
            let database = connection.handle();
            (database, ffi::sqlite3_create_module_v2(database, name.as_ptr(), &raw const MODULE, feed.cast(), Some(free_feed)))
        };
        let mut insert = Self { database, statement: ptr::null_mut(), feed };
        insert.expect(code, ffi::SQLITE_OK)?;
        // SAFETY: as above; `text` ends in NUL and lives through the call; -1 reads up to it.
        let code = unsafe {
            let flags = ffi::SQLITE_PREPARE_PERSISTENT;
            ffi::sqlite3_prepare_v3(database, text.as_ptr(), -1, flags, &raw mut insert.statement, ptr::null_mut())
        };
        insert.expect(code, ffi::SQLITE_OK)?;
        Ok(insert)
    }

    /// Inserts the rows of a batch, without those that hold invalid values (or with NULL in their place); returns how many.
    ///
    /// # Errors
    /// SQLite's own; the transaction must be rolled back then.
    pub(super) fn write(&mut self, batch: &RecordBatch, invalid: &[InvalidValue], on_invalid: OnInvalidValue) -> Result<u64, Error> {
        let rows = Rows::of(batch, invalid, on_invalid);
        // SAFETY: the feed lives as long as the module, which is removed in `drop` only. `rows` outlives the statement's run: the
        // statement is reset, which closes the cursor, and the pointer taken back before this function ends.
        let result = unsafe {
            (*self.feed).rows = (&raw const rows).cast();
            let result = self.run();
            ffi::sqlite3_reset(self.statement);
            (*self.feed).rows = ptr::null();
            result
        };
        // SAFETY: `database` is open.
        result.map(|()| u64::try_from(unsafe { ffi::sqlite3_changes64(self.database) }).unwrap_or(0))
    }

    fn run(&self) -> Result<(), Error> {
        // SAFETY: `statement` is prepared; what it reads outlives this call (see `write`).
        let code = unsafe { ffi::sqlite3_step(self.statement) };
        self.expect(code, ffi::SQLITE_DONE)
    }

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
        // SAFETY: prepared once, finalized once; a null statement is a no-op (sqlite3_finalize's documentation). A null module removes
        // the one of that name, and with it the feed.
        unsafe {
            ffi::sqlite3_finalize(self.statement);
            if let Ok(name) = CString::new(TABLE) {
                ffi::sqlite3_create_module_v2(self.database, name.as_ptr(), ptr::null(), ptr::null_mut(), None);
            }
        }
    }
}

/// The table, as SQLite allocates and frees it through [`connect`] and [`disconnect`].
#[repr(C)]
struct Table {
    base: ffi::sqlite3_vtab,
    feed: *const Feed,
}

/// A place in the table.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    rows: *const Rows<'static>,
    row: usize,
}

/// A table that is there without being created, to be read from its first to its last row (<https://www.sqlite.org/vtab.html>, 2.1.2).
static MODULE: ffi::sqlite3_module = ffi::sqlite3_module {
    iVersion: 0,
    xCreate: None,
    xConnect: Some(connect),
    xBestIndex: Some(best_index),
    xDisconnect: Some(disconnect),
    xDestroy: None,
    xOpen: Some(open),
    xClose: Some(close),
    xFilter: Some(filter),
    xNext: Some(next),
    xEof: Some(eof),
    xColumn: Some(column),
    xRowid: Some(rowid),
    xUpdate: None,
    xBegin: None,
    xSync: None,
    xCommit: None,
    xRollback: None,
    xFindFunction: None,
    xRename: None,
    xSavepoint: None,
    xRelease: None,
    xRollbackTo: None,
    xShadowName: None,
    xIntegrity: None,
};

// SAFETY of all that follow: SQLite calls them with what the ones before gave it, each table and cursor made once and freed once, in this
// order: connect, open, filter, (eof, column, next)*, close, disconnect, and last `free_feed`.

unsafe extern "C" fn free_feed(feed: *mut c_void) {
    // SAFETY: made by `Insert::prepare`.
    drop(unsafe { Box::from_raw(feed.cast::<Feed>()) });
}

unsafe extern "C" fn connect(
    database: *mut ffi::sqlite3,
    feed: *mut c_void,
    _: c_int,
    _: *const *const c_char,
    table: *mut *mut ffi::sqlite3_vtab,
    _: *mut *mut c_char,
) -> c_int {
    let feed = feed.cast::<Feed>().cast_const();
    // SAFETY: the feed lives as long as the module.
    let names: Vec<String> = (0..unsafe { (*feed).columns }).map(|index| format!("c{index}")).collect();
    let Ok(sql) = CString::new(format!("CREATE TABLE x({})", names.join(","))) else { return ffi::SQLITE_ERROR };
    // SAFETY: SQLite's own handle; the text lives through the call.
    let code = unsafe { ffi::sqlite3_declare_vtab(database, sql.as_ptr()) };
    if code == ffi::SQLITE_OK {
        let base = ffi::sqlite3_vtab { pModule: ptr::null(), nRef: 0, zErrMsg: ptr::null_mut() };
        // SAFETY: `table` is SQLite's place for the result; `base` is the first field of a `repr(C)` struct.
        unsafe { *table = Box::into_raw(Box::new(Table { base, feed })).cast() };
    }
    code
}

unsafe extern "C" fn best_index(_: *mut ffi::sqlite3_vtab, _: *mut ffi::sqlite3_index_info) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn disconnect(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: made by `connect`.
    drop(unsafe { Box::from_raw(table.cast::<Table>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn open(table: *mut ffi::sqlite3_vtab, cursor: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
    let base = ffi::sqlite3_vtab_cursor { pVtab: table };
    // SAFETY: made by `connect`; `cursor` is SQLite's place for the result.
    unsafe {
        let rows = (*(*table.cast::<Table>()).feed).rows;
        if rows.is_null() {
            return ffi::SQLITE_MISUSE;
        }
        *cursor = Box::into_raw(Box::new(Cursor { base, rows, row: 0 })).cast();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`.
    drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn filter(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    _: c_int,
    _: *const c_char,
    _: c_int,
    _: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: made by `open`; the rows outlive the statement's run.
    unsafe {
        let cursor = &mut *cursor.cast::<Cursor>();
        cursor.row = (*cursor.rows).shown_from(0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn next(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: as for `filter`.
    unsafe {
        let cursor = &mut *cursor.cast::<Cursor>();
        cursor.row = (*cursor.rows).shown_from(cursor.row + 1);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: as for `filter`.
    unsafe {
        let cursor = &*cursor.cast::<Cursor>();
        c_int::from(cursor.row >= (*cursor.rows).count)
    }
}

unsafe extern "C" fn column(cursor: *mut ffi::sqlite3_vtab_cursor, context: *mut ffi::sqlite3_context, index: c_int) -> c_int {
    // SAFETY: as for `filter`; texts stay where they are until the statement is reset.
    unsafe {
        let cursor = &*cursor.cast::<Cursor>();
        let rows = &*cursor.rows;
        rows.columns[index as usize].give(context, cursor.row);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, rowid: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: as for `filter`; `rowid` is SQLite's place for the result.
    unsafe { *rowid = (*cursor.cast::<Cursor>()).row as i64 };
    ffi::SQLITE_OK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Column, ColumnType, Schema};
    use arrow_array::{ArrayRef, Date32Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn near_and_far_dates_nulls_and_invalid_rows_are_staged_as_they_are() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (day TEXT, name TEXT)").unwrap();
        let schema = Schema::new(vec![Column::new("day", ColumnType::Date), Column::new("name", ColumnType::Text)]);
        let batch = |days: Vec<Option<i32>>, names: Vec<Option<&str>>| {
            let columns: [ArrayRef; 2] = [Arc::new(Date32Array::from(days)), Arc::new(StringArray::from(names))];
            RecordBatch::try_new(schema.arrow(), columns.to_vec()).unwrap()
        };
        let near = batch(vec![Some(1), None, Some(0), Some(2)], vec![Some("a"), Some(""), None, Some("d")]);
        let far = batch(vec![Some(-719_528), Some(2_932_896)], vec![Some("e"), Some("f")]);
        let invalid = |row, column| InvalidValue { row, column, reason: "a test" };
        let mut insert = Insert::prepare(&connection, "INSERT INTO t (day, name)", 2).unwrap();
        assert_eq!(insert.write(&near, &[], OnInvalidValue::Fail).unwrap(), 4);
        assert_eq!(insert.write(&far, &[], OnInvalidValue::Fail).unwrap(), 2);
        assert_eq!(insert.write(&near, &[invalid(0, 0), invalid(3, 1)], OnInvalidValue::Reject).unwrap(), 2);
        assert_eq!(insert.write(&near, &[invalid(0, 1), invalid(2, 0)], OnInvalidValue::Null).unwrap(), 4);
        drop(insert);
        let mut statement = connection.prepare("SELECT quote(day) || ' ' || quote(name) FROM t ORDER BY rowid").unwrap();
        let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let expected = [
            "'1970-01-02' 'a'",
            "NULL ''",
            "'1970-01-01' NULL",
            "'1970-01-03' 'd'",
            "'0000-01-01' 'e'",
            "'9999-12-31' 'f'",
            "NULL ''",
            "'1970-01-01' NULL",
            "'1970-01-02' NULL",
            "NULL ''",
            "NULL NULL",
            "'1970-01-03' 'd'",
        ];
        assert_eq!(rows, expected);
        assert!(connection.prepare("SELECT * FROM _etlsched_batch").is_err());
    }
}
