//! Statements: running them, their parameters, what their columns are, and their rows.

use std::mem::ManuallyDrop;

use odbc_api::handles::{ColumnDescription, SqlResult, SqlText, Statement as _, StatementImpl};
use odbc_api::sys::{
    CDataType, Desc, IS_POINTER, Len, NO_TOTAL, NULL_DATA, Pointer, SQLColAttributeW, SQLSetStmtAttrW, StatementAttribute,
};

use super::call::{self, Diagnostic, OdbcError, Outcome, checked, guarded, told, until_nul, value};
use super::parameter::{Bound, Parameter};
use super::place::Place;

/// The most bytes of a value of a catalogue, and of anything that is read whole.
const SMALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest name of a column, in UTF-16 units, that is taken at the first try.
const NAME_UNITS: usize = 1024;

/// A statement of a connection.
#[derive(Debug)]
pub struct Statement<'connection> {
    /// Freed by our own `drop`: odbc-api's panics where a driver refuses.
    handle: ManuallyDrop<StatementImpl<'connection>>,
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
    pub(super) fn new(handle: StatementImpl<'connection>) -> Self {
        Self { handle: ManuallyDrop::new(handle), bound: Vec::new() }
    }

    /// Calls a function with the handle.
    fn call(
        &mut self,
        function: &'static str,
        call: impl FnOnce(&mut StatementImpl<'connection>) -> SqlResult<()>,
    ) -> Result<Outcome, OdbcError> {
        let answer = guarded(function, || call(&mut self.handle));
        checked(answer, function, &*self.handle).map(|(outcome, _)| outcome)
    }

    /// Prepares a statement, whose values stand as `?`.
    ///
    /// # Errors
    /// What the driver or the server reports; many report it only when the statement runs.
    pub fn prepare(&mut self, sql: &str) -> Result<(), OdbcError> {
        let text = SqlText::new(sql);
        self.call("SQLPrepare", |handle| handle.prepare(&text)).map(|_| ())
    }

    /// Returns how many values a prepared statement wants.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn parameters(&mut self) -> Result<usize, OdbcError> {
        let answer = guarded("SQLNumParams", || self.handle.num_params());
        value(answer, "SQLNumParams", &*self.handle).map(usize::from)
    }

    /// Binds values to the `?` of a statement, in their order.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn bind(&mut self, parameters: &[Parameter]) -> Result<(), OdbcError> {
        self.bound = parameters.iter().map(Bound::new).collect();
        let Self { handle, bound } = self;
        for (number, bound) in (1..=u16::MAX).zip(bound) {
            // SAFETY: the bytes and their length stay where they are until the statement is bound anew or dropped: both are on the heap.
            let answer = guarded("SQLBindParameter", || unsafe { handle.bind_input_parameter(number, bound) });
            checked(answer, "SQLBindParameter", &**handle)?;
        }
        Ok(())
    }

    /// Runs what was prepared.
    ///
    /// # Errors
    /// What the driver or the server reports.
    pub fn execute(&mut self) -> Result<(), OdbcError> {
        // SAFETY: what is bound lives as long as the statement.
        self.call("SQLExecute", |handle| unsafe { handle.execute() }).map(|_| ())
    }

    /// Runs a statement without values.
    ///
    /// # Errors
    /// What the driver or the server reports.
    pub fn run(&mut self, sql: &str) -> Result<(), OdbcError> {
        let text = SqlText::new(sql);
        // SAFETY: nothing is bound that doesn't live.
        self.call("SQLExecDirect", |handle| unsafe { handle.exec_direct(&text) }).map(|_| ())
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
        // A pattern that finds everything finds nothing in psqlODBC 13: null pointers do, which is what odbc-api makes of an empty text.
        let none = SqlText::new("");
        self.call("SQLTables", |handle| handle.tables(&none, &none, &none, &none)).map(|_| ())
    }

    /// Lists the columns of a table's key: catalogue, schema, table, column, place.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn primary_keys(&mut self, catalogue: Option<&str>, schema: Option<&str>, table: &str) -> Result<(), OdbcError> {
        let (catalogue, schema, table) = (catalogue.map(SqlText::new), schema.map(SqlText::new), SqlText::new(table));
        self.call("SQLPrimaryKeys", |handle| handle.primary_keys(catalogue.as_ref(), schema.as_ref(), &table)).map(|_| ())
    }

    /// Returns what the driver says of the columns of a prepared or running statement; none where it is no query.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn columns(&mut self) -> Result<Vec<ColumnFacts>, OdbcError> {
        (1..=self.width()?).map(|number| self.column(number)).collect()
    }

    /// Returns how many columns there are.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn width(&mut self) -> Result<u16, OdbcError> {
        let answer = guarded("SQLNumResultCols", || self.handle.num_result_cols());
        value(answer, "SQLNumResultCols", &*self.handle).map(|count| u16::try_from(count).unwrap_or_default())
    }

    fn column(&mut self, number: u16) -> Result<ColumnFacts, OdbcError> {
        let mut told = ColumnDescription { name: Vec::with_capacity(NAME_UNITS), ..ColumnDescription::default() };
        if self.call("SQLDescribeCol", |handle| handle.describe_col(number, &mut told))? == Outcome::NoData {
            return Err(OdbcError::own("SQLDescribeCol", format!("the driver describes no column {number}")));
        }
        // A driver that has nothing to say of signs, or something else than yes and no, says nothing.
        let is_unsigned = matches!(
            guarded("SQLColAttribute", || self.handle.is_unsigned_column(number)),
            Ok(SqlResult::Success(true) | SqlResult::SuccessWithInfo(true))
        );
        let data_type = told.data_type;
        Ok(ColumnFacts {
            name: until_nul(&told.name),
            sql_type: data_type.data_type().0,
            size: data_type.column_size().map_or(0, std::num::NonZeroUsize::get),
            digits: data_type.decimal_digits(),
            is_unsigned,
            type_name: self.type_name(number),
        })
    }

    /// Returns the name of a column's type, for which odbc-api has no call; empty where the driver doesn't tell.
    fn type_name(&self, number: u16) -> String {
        let mut text = [0_u16; 256];
        let (mut value, mut length): (Len, i16) = (0, 0);
        let place = text.as_mut_ptr().cast();
        // SAFETY: the handle is alive, and the buffer has the length that is told, in bytes.
        let code = unsafe { SQLColAttributeW(self.handle.as_sys(), number, Desc::TypeName, place, 512, &raw mut length, &raw mut value) };
        if told(code, "SQLColAttribute").is_err() { String::new() } else { until_nul(&text) }
    }

    /// Says how many rows a row set has, and where the driver writes how many it has taken, and of each how it went.
    ///
    /// # Safety
    /// The places must live until the statement is dropped, and what is bound to columns must have room for as many rows.
    ///
    /// # Errors
    /// What the driver reports.
    pub unsafe fn set_rows(&mut self, fetched: &mut usize, statuses: &mut [u16]) -> Result<(), OdbcError> {
        let function = "SQLSetStmtAttr";
        // SAFETY: the caller's promise.
        self.call(function, |handle| unsafe { handle.set_row_array_size(statuses.len()) })?;
        // SAFETY: the caller's promise.
        self.call(function, |handle| unsafe { handle.set_num_rows_fetched(fetched) })?;
        let place: Pointer = statuses.as_mut_ptr().cast();
        // SAFETY: the caller's promise. odbc-api has no call for a row's status, without which a row that could not be read is not seen.
        let code = unsafe { SQLSetStmtAttrW(self.handle.as_sys(), StatementAttribute::RowStatusPtr, place, IS_POINTER) };
        self.call(function, |_| told(code, function)).map(|_| ())
    }

    /// Binds the place of a column's values.
    ///
    /// # Safety
    /// Values and indicators must have room for the rows of a row set, and live until the statement is dropped.
    ///
    /// # Errors
    /// What the driver reports.
    pub unsafe fn bind_column(&mut self, number: u16, place: &mut Place<'_>) -> Result<(), OdbcError> {
        // SAFETY: the caller's promise.
        self.call("SQLBindCol", |handle| unsafe { handle.bind_col(number, place) }).map(|_| ())
    }

    /// Ends the result.
    pub fn end(&mut self) {
        // A statement without a result has none to close.
        let _ = guarded("SQLCloseCursor", || self.handle.close_cursor());
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
        self.call("SQLFetch", |handle| unsafe { handle.fetch() })
    }

    /// Returns those records of a call that succeeded with notes which are errors: behind any number of notes.
    pub fn errors(&self) -> Vec<Diagnostic> {
        call::errors(&*self.handle)
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
        let mut place = Place::one(c_type, buffer, &mut indicator);
        let outcome = self.call("SQLGetData", |handle| handle.get_data(number, &mut place))?;
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
        let columns = self.width()?;
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
        // SAFETY: nobody uses the handle any more.
        let _ = guarded("SQLFreeHandle", || unsafe { ManuallyDrop::drop(&mut self.handle) });
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
