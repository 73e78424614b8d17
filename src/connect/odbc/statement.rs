//! Statements: running them, their parameters, what their columns are, and their rows.

use std::marker::PhantomData;

use odbc_sys::{
    CDataType, Desc, FreeStmtOption, HStmt, HandleType, IS_UINTEGER, Len, NO_TOTAL, NULL_DATA, Nullability, ParamType, Pointer, SQLBindCol,
    SQLBindParameter, SQLColAttributeW, SQLDescribeColW, SQLExecDirectW, SQLExecute, SQLFetch, SQLFreeHandle, SQLFreeStmt, SQLGetData,
    SQLNumParams, SQLNumResultCols, SQLPrepareW, SQLPrimaryKeysW, SQLSetStmtAttrW, SQLTablesW, SqlDataType, SqlReturn, StatementAttribute,
};

use super::handle::{Connection, OdbcError, Outcome, checked, wide};
use super::parameter::{Bound, Parameter};

/// The most bytes of a value of a catalogue, and of anything that is read whole.
const SMALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A statement of a connection.
#[derive(Debug)]
pub struct Statement<'connection> {
    handle: HStmt,
    connection: PhantomData<&'connection Connection>,
    /// What the driver reads when the statement runs.
    bound: Vec<Bound>,
}

/// What a driver says of a column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its SQL type (SQL_VARCHAR = 12, ...).
    pub sql_type: i16,
    /// Its size: characters, digits or bytes; 0 where the driver doesn't know.
    pub size: usize,
    /// Digits behind the point, of numbers and of seconds.
    pub digits: i16,
    /// Whether it holds no negative numbers.
    pub is_unsigned: bool,
    /// The type's name at the server; empty where the driver doesn't tell.
    pub type_name: String,
}

/// Part of a value as [`Statement::get_data`] hands it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    Null,
    /// The value, or its last part: so many bytes.
    Last(usize),
    /// So many bytes, and more is to come.
    Part(usize),
    /// There is nothing more.
    Over,
}

impl<'connection> Statement<'connection> {
    pub(super) fn new(handle: HStmt) -> Self {
        Self { handle, connection: PhantomData, bound: Vec::new() }
    }

    fn checked(&self, code: SqlReturn, function: &'static str) -> Result<Outcome, OdbcError> {
        checked(code, function, HandleType::Stmt, self.handle.as_handle())
    }

    /// Prepares a statement, whose values stand as `?`.
    ///
    /// # Errors
    /// What the driver or the server reports; many report it only when the statement runs.
    pub fn prepare(&mut self, sql: &str) -> Result<(), OdbcError> {
        let text = wide(sql);
        let length = length(&text)?;
        // SAFETY: the text has the length that is told.
        let code = unsafe { SQLPrepareW(self.handle, text.as_ptr(), length) };
        self.checked(code, "SQLPrepare").map(|_| ())
    }

    /// Returns how many values a prepared statement wants.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn parameters(&self) -> Result<usize, OdbcError> {
        let mut count = 0_i16;
        // SAFETY: the pointer takes the number.
        let code = unsafe { SQLNumParams(self.handle, &raw mut count) };
        self.checked(code, "SQLNumParams")?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Binds values to the `?` of a statement, in their order.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn bind(&mut self, parameters: &[Parameter]) -> Result<(), OdbcError> {
        self.bound = parameters.iter().map(Bound::new).collect();
        for (index, bound) in self.bound.iter_mut().enumerate() {
            let number = u16::try_from(index + 1).unwrap_or(u16::MAX);
            let Bound { c_type, sql_type, size, digits, bytes, length } = bound;
            let bytes_length = Len::try_from(bytes.len()).unwrap_or(Len::MAX);
            // SAFETY: the bytes and their length stay where they are until the statement is bound anew or dropped: both are on the heap.
            let code = unsafe {
                SQLBindParameter(
                    self.handle,
                    number,
                    ParamType::Input,
                    *c_type,
                    *sql_type,
                    *size,
                    *digits,
                    bytes.as_mut_ptr().cast(),
                    bytes_length,
                    &raw mut **length,
                )
            };
            checked(code, "SQLBindParameter", HandleType::Stmt, self.handle.as_handle())?;
        }
        Ok(())
    }

    /// Runs what was prepared.
    ///
    /// # Errors
    /// What the driver or the server reports.
    pub fn execute(&mut self) -> Result<(), OdbcError> {
        // SAFETY: what is bound lives as long as the statement.
        let code = unsafe { SQLExecute(self.handle) };
        self.checked(code, "SQLExecute").map(|_| ())
    }

    /// Runs a statement without values.
    ///
    /// # Errors
    /// What the driver or the server reports.
    pub fn run(&mut self, sql: &str) -> Result<(), OdbcError> {
        let text = wide(sql);
        let length = length(&text)?;
        // SAFETY: the text has the length that is told, and nothing is bound that doesn't live.
        let code = unsafe { SQLExecDirectW(self.handle, text.as_ptr(), length) };
        self.checked(code, "SQLExecDirect").map(|_| ())
    }

    /// Prepares, binds and runs a statement.
    ///
    /// # Errors
    /// What the driver or the server reports.
    pub fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<(), OdbcError> {
        if parameters.is_empty() {
            return self.run(sql);
        }
        self.prepare(sql)?;
        self.bind(parameters)?;
        self.execute()
    }

    /// Lists tables and views: catalogue, schema, name, type.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn tables(&mut self) -> Result<(), OdbcError> {
        // A pattern that finds everything finds nothing in psqlODBC 13: null pointers do.
        let none = std::ptr::null();
        // SAFETY: there are no texts; a null pointer asks for anything.
        let code = unsafe { SQLTablesW(self.handle, none, 0, none, 0, none, 0, none, 0) };
        self.checked(code, "SQLTables").map(|_| ())
    }

    /// Lists the columns of a table's key: catalogue, schema, table, column, place.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn primary_keys(&mut self, catalogue: Option<&str>, schema: Option<&str>, table: &str) -> Result<(), OdbcError> {
        let [catalogue, schema] = [catalogue, schema].map(|text| text.map(wide));
        let pointer = |text: &Option<Vec<u16>>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        let units = |text: &Option<Vec<u16>>| text.as_ref().map_or(0, |text| small(text));
        let table = wide(table);
        // SAFETY: each text has the length that is told.
        let code = unsafe {
            SQLPrimaryKeysW(
                self.handle,
                pointer(&catalogue),
                units(&catalogue),
                pointer(&schema),
                units(&schema),
                table.as_ptr(),
                small(&table),
            )
        };
        self.checked(code, "SQLPrimaryKeys").map(|_| ())
    }

    /// Returns what the driver says of the columns of a prepared or running statement; none where it is no query.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn columns(&self) -> Result<Vec<ColumnFacts>, OdbcError> {
        let mut count = 0_i16;
        // SAFETY: the pointer takes the number.
        let code = unsafe { SQLNumResultCols(self.handle, &raw mut count) };
        self.checked(code, "SQLNumResultCols")?;
        (1..=u16::try_from(count).unwrap_or_default()).map(|number| self.column(number)).collect()
    }

    fn column(&self, number: u16) -> Result<ColumnFacts, OdbcError> {
        let mut name = vec![0_u16; 1024];
        let (mut length, mut sql_type, mut size, mut digits) = (0_i16, SqlDataType::UNKNOWN_TYPE, 0_usize, 0_i16);
        let mut nullable = Nullability::UNKNOWN;
        // SAFETY: the buffer has the length that is told, each pointer takes what it is for.
        let code = unsafe {
            SQLDescribeColW(
                self.handle,
                number,
                name.as_mut_ptr(),
                1024,
                &raw mut length,
                &raw mut sql_type,
                &raw mut size,
                &raw mut digits,
                &raw mut nullable,
            )
        };
        self.checked(code, "SQLDescribeCol")?;
        let end = name.iter().position(|unit| *unit == 0).unwrap_or(name.len());
        Ok(ColumnFacts {
            name: String::from_utf16_lossy(&name[..end]),
            sql_type: sql_type.0,
            size,
            digits,
            is_unsigned: self.number_of(number, Desc::Unsigned) == Some(1),
            type_name: self.text_of(number, Desc::TypeName),
        })
    }

    /// Returns an attribute of a column; `None` where the driver doesn't tell.
    fn number_of(&self, number: u16, what: Desc) -> Option<Len> {
        let (mut value, mut length): (Len, i16) = (0, 0);
        // SAFETY: the pointer takes a number; there is no buffer for a text.
        let code = unsafe { SQLColAttributeW(self.handle, number, what, std::ptr::null_mut(), 0, &raw mut length, &raw mut value) };
        self.checked(code, "SQLColAttribute").ok().map(|_| value)
    }

    fn text_of(&self, number: u16, what: Desc) -> String {
        let mut text = [0_u16; 256];
        let (mut value, mut length): (Len, i16) = (0, 0);
        // SAFETY: the buffer has the length that is told, in bytes.
        let code = unsafe { SQLColAttributeW(self.handle, number, what, text.as_mut_ptr().cast(), 512, &raw mut length, &raw mut value) };
        if self.checked(code, "SQLColAttribute").is_err() {
            return String::new();
        }
        let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
        String::from_utf16_lossy(&text[..end])
    }

    /// Sets an attribute whose value is a number.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn set(&mut self, attribute: StatementAttribute, value: usize) -> Result<(), OdbcError> {
        // SAFETY: the value is a number.
        let code = unsafe { SQLSetStmtAttrW(self.handle, attribute, value as Pointer, IS_UINTEGER) };
        self.checked(code, "SQLSetStmtAttr").map(|_| ())
    }

    /// Sets an attribute whose value is a place that the driver writes to.
    ///
    /// # Safety
    /// The place must live until the statement is dropped or the attribute set anew.
    ///
    /// # Errors
    /// What the driver reports.
    pub unsafe fn set_place(&mut self, attribute: StatementAttribute, place: Pointer) -> Result<(), OdbcError> {
        // SAFETY: the caller's promise.
        let code = unsafe { SQLSetStmtAttrW(self.handle, attribute, place, odbc_sys::IS_POINTER) };
        self.checked(code, "SQLSetStmtAttr").map(|_| ())
    }

    /// Binds the place of a column's values.
    ///
    /// # Safety
    /// Values and indicators must have room for the rows of a row set, and live until the columns are unbound or the statement dropped.
    ///
    /// # Errors
    /// What the driver reports.
    pub unsafe fn bind_column(
        &mut self,
        number: u16,
        c_type: CDataType,
        values: Pointer,
        width: usize,
        indicators: *mut Len,
    ) -> Result<(), OdbcError> {
        let width = Len::try_from(width).unwrap_or(Len::MAX);
        // SAFETY: the caller's promise.
        let code = unsafe { SQLBindCol(self.handle, number, c_type, values, width, indicators) };
        self.checked(code, "SQLBindCol").map(|_| ())
    }

    /// Unbinds all columns and ends the result.
    pub fn end(&mut self) {
        for option in [FreeStmtOption::Close, FreeStmtOption::Unbind] {
            // SAFETY: the handle is alive.
            let _ = unsafe { SQLFreeStmt(self.handle, option) };
        }
    }

    /// Takes the next row set.
    ///
    /// # Safety
    /// What is bound must live.
    ///
    /// # Errors
    /// What the driver reports: an error in mid-stream is never the end.
    pub unsafe fn fetch(&mut self) -> Result<Outcome, OdbcError> {
        // SAFETY: the caller's promise.
        let code = unsafe { SQLFetch(self.handle) };
        self.checked(code, "SQLFetch")
    }

    /// Returns those records of a call that succeeded with notes which are errors: behind any number of notes.
    pub fn errors(&self) -> Vec<super::handle::Diagnostic> {
        super::handle::errors(HandleType::Stmt, self.handle.as_handle())
    }

    /// Takes the next part of a value of the present row. A text's end mark has its place in the buffer and is not counted.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn get_data(&mut self, number: u16, c_type: CDataType, buffer: &mut [u8]) -> Result<Piece, OdbcError> {
        let end_mark = match c_type {
            CDataType::WChar => 2,
            CDataType::Char => 1,
            _ => 0,
        };
        let tail = buffer.len().saturating_sub(TAIL_BYTES);
        buffer[tail..].fill(UNTOUCHED);
        let mut indicator: Len = 0;
        let room = Len::try_from(buffer.len()).unwrap_or(Len::MAX);
        // SAFETY: the buffer has the length that is told.
        let code = unsafe { SQLGetData(self.handle, number, c_type, buffer.as_mut_ptr().cast(), room, &raw mut indicator) };
        let outcome = self.checked(code, "SQLGetData")?;
        let usable = buffer.len() - end_mark;
        Ok(match (outcome, indicator) {
            (Outcome::NoData, _) => Piece::Over,
            (_, NULL_DATA) => Piece::Null,
            (_, NO_TOTAL) => Piece::Part(part_length(buffer, end_mark)),
            (_, length) => match usize::try_from(length) {
                Ok(length) if length <= usable => Piece::Last(length),
                Ok(_) => Piece::Part(part_length(buffer, end_mark)),
                Err(_) => return Err(OdbcError::own("SQLGetData", format!("the driver tells a length of {length}"))),
            },
        })
    }

    /// Returns all rows of a small result, as text.
    ///
    /// # Errors
    /// What the driver reports; a value of more than 16 MiB.
    pub fn rows(&mut self) -> Result<Vec<Vec<Option<String>>>, OdbcError> {
        let columns = u16::try_from(self.columns()?.len()).unwrap_or_default();
        let mut rows = Vec::new();
        // SAFETY: nothing is bound.
        while unsafe { self.fetch() }? != Outcome::NoData {
            let row: Result<Vec<_>, OdbcError> = (1..=columns).map(|number| self.text(number)).collect();
            rows.push(row?);
        }
        Ok(rows)
    }

    fn text(&mut self, number: u16) -> Result<Option<String>, OdbcError> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut buffer = [0_u8; 4096];
        loop {
            match self.get_data(number, CDataType::WChar, &mut buffer)? {
                Piece::Null => return Ok(None),
                Piece::Over => break,
                Piece::Last(length) => {
                    bytes.extend_from_slice(&buffer[..length]);
                    break;
                }
                Piece::Part(length) => bytes.extend_from_slice(&buffer[..length]),
            }
            if bytes.len() > SMALL_BYTES_MAX {
                return Err(OdbcError::own("SQLGetData", "a value is longer than 16 MiB"));
            }
        }
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
        Ok(Some(String::from_utf16_lossy(&units)))
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is alive and nobody else has it.
        let _ = unsafe { SQLFreeHandle(HandleType::Stmt, self.handle.as_handle()) };
    }
}

/// How many bytes at the end of a buffer show whether the driver has written them.
const TAIL_BYTES: usize = 4;

/// No byte of UTF-8, and as a unit of UTF-16 no character.
const UNTOUCHED: u8 = 0xff;

/// Returns how many bytes of a value are in a buffer that it has filled: a driver that parts no character leaves up to three free behind the end
/// mark.
fn part_length(buffer: &[u8], end_mark: usize) -> usize {
    if end_mark == 0 {
        return buffer.len();
    }
    let is_mark = |at: usize| buffer[at..at + end_mark].iter().all(|byte| *byte == 0);
    let is_free = |at: usize| buffer[at..].iter().all(|byte| *byte == UNTOUCHED);
    let start = buffer.len().saturating_sub(TAIL_BYTES);
    let mut marks = (start..=buffer.len() - end_mark).step_by(end_mark);
    marks.find(|at| is_mark(*at) && is_free(*at + end_mark)).unwrap_or(buffer.len() - end_mark)
}

fn length(text: &[u16]) -> Result<i32, OdbcError> {
    i32::try_from(text.len()).map_err(|_| OdbcError::own("SQLPrepare", "the statement is too long"))
}

fn small(text: &[u16]) -> i16 {
    i16::try_from(text.len()).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_at_its_end_mark() {
        assert_eq!(part_length(&[1, 2, 3, 4, 5, 6, 7, 8], 0), 8);
        assert_eq!(part_length(&[1, 2, 3, 4, 5, 6, 7, 0], 1), 7);
        assert_eq!(part_length(&[1, 2, 3, 4, 5, 0, 0xff, 0xff], 1), 5);
        // A NUL that is part of the text, and then the end mark.
        assert_eq!(part_length(&[1, 2, 3, 4, 0, 0, 0, 0], 1), 7);
        assert_eq!(part_length(&[1, 2, 3, 4, 5, 6, 0, 0], 2), 6);
        assert_eq!(part_length(&[1, 2, 3, 4, 0, 0, 0xff, 0xff], 2), 4);
        assert_eq!(part_length(&[1, 2, 3, 4, 0, 0, 0, 0], 2), 6);
    }
}
