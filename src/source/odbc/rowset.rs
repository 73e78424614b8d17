//! The places of a row set: as many rows as fit into some bytes, a place for each value of each column, and an indicator beside each.
//!
//! Nothing is taken from a place whose indicator doesn't say that all of the value is there: drivers cut what is too long with a note, without
//! one, or with a length that nobody knows (FreeTDS: only the indicator tells).

use odbc_sys::{CDataType, Len, NO_TOTAL, NULL_DATA, Pointer, StatementAttribute};

use super::types::{Mapping, Wire};
use crate::connect::odbc::{OdbcError, Outcome, Statement};

/// The most bytes of the places of a row set.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// The most rows of one: more make nothing faster.
pub(super) const ROWS_MAX: usize = 4096;

/// Bytes of a character at most: UTF-8, and two units of UTF-16.
const CHARACTER_BYTES: usize = 4;

/// SQL_ROW_ERROR
const ROW_ERROR: u16 = 5;

/// How text comes from a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    /// UTF-16 (SQL_C_WCHAR).
    Wide,
    /// UTF-8 (SQL_C_CHAR).
    Utf8,
}

/// A value in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    Value(&'a [u8]),
    /// Not all of it is there; its bytes, where the driver tells.
    Cut(Option<usize>),
    /// The driver says what nobody can understand.
    Odd(Len),
}

/// Returns the type by which a driver is asked for values, the bytes of a value, and those of its end mark.
pub(super) fn place(mapping: &Mapping, length: usize, form: TextForm) -> (CDataType, usize, usize) {
    match mapping.wire {
        Wire::Integer => (CDataType::SBigInt, 8, 0),
        Wire::Bit => (CDataType::Bit, 1, 0),
        Wire::Single => (CDataType::Float, 4, 0),
        Wire::Double => (CDataType::Double, 8, 0),
        Wire::Date => (CDataType::TypeDate, size_of::<odbc_sys::Date>(), 0),
        Wire::Timestamp | Wire::Instant => (CDataType::TypeTimestamp, size_of::<odbc_sys::Timestamp>(), 0),
        Wire::Guid => (CDataType::Guid, 16, 0),
        Wire::Ascii => (CDataType::Char, length + 1, 1),
        Wire::Binary => (CDataType::Binary, length.max(1), 0),
        Wire::Text => match form {
            TextForm::Wide => (CDataType::WChar, length * CHARACTER_BYTES + 2, 2),
            TextForm::Utf8 => (CDataType::Char, length * CHARACTER_BYTES + 1, 1),
        },
    }
}

/// Whether values of a column have all the same number of bytes.
pub(super) fn is_fixed(wire: Wire) -> bool {
    !matches!(wire, Wire::Ascii | Wire::Text | Wire::Binary)
}

/// The places of one column.
#[derive(Debug)]
struct Places {
    c_type: CDataType,
    /// Bytes from one place to the next.
    width: usize,
    end_mark: usize,
    is_fixed: bool,
    /// On the heap and aligned to eight bytes.
    values: Vec<u64>,
    indicators: Vec<Len>,
}

/// What a driver writes beside the values.
#[derive(Debug)]
struct Header {
    fetched: usize,
    statuses: Vec<u16>,
}

/// The places of a row set.
#[derive(Debug)]
pub(super) struct RowSet {
    rows_max: usize,
    columns: Vec<Places>,
    header: Box<Header>,
}

impl RowSet {
    /// Makes places for columns of some lengths, in characters or bytes.
    pub fn new(columns: &[(Mapping, usize)], form: TextForm, rows_max: usize) -> Self {
        let widths = columns.iter().map(|(mapping, length)| place(mapping, *length, form).1 + size_of::<Len>());
        let rows_max = (BYTES_MAX / widths.sum::<usize>().max(1)).clamp(1, rows_max.clamp(1, ROWS_MAX));
        let places = |(mapping, length): &(Mapping, usize)| {
            let (c_type, width, end_mark) = place(mapping, *length, form);
            let words = (width * rows_max).div_ceil(8);
            Places { c_type, width, end_mark, is_fixed: is_fixed(mapping.wire), values: vec![0; words], indicators: vec![0; rows_max] }
        };
        let header = Box::new(Header { fetched: 0, statuses: vec![0; rows_max] });
        Self { rows_max, columns: columns.iter().map(places).collect(), header }
    }

    /// Takes the next rows; returns how many there are, 0 at the true end.
    ///
    /// # Errors
    /// What the driver reports, of the call or of one of its rows.
    pub fn fetch(&mut self, statement: &mut Statement<'_>) -> Result<usize, OdbcError> {
        let Header { fetched, statuses } = &mut *self.header;
        *fetched = 0;
        statuses.fill(0);
        // SAFETY: `bind` bound nothing but what this row set holds, and the caller keeps both.
        let outcome = unsafe { statement.fetch() }?;
        if outcome == Outcome::NoData {
            return Ok(0);
        }
        let Header { fetched, statuses } = &*self.header;
        // A driver that doesn't tell how many rows it has taken has taken one, since it knows nothing of more.
        let rows = if *fetched == 0 && self.rows_max == 1 { 1 } else { *fetched };
        if rows == 0 || rows > self.rows_max {
            let message = format!("the driver tells of {rows} rows where {} have a place", self.rows_max);
            return Err(OdbcError { function: "SQLFetch", records: vec![own(message)] });
        }
        // FreeTDS reports an error amid the rows as a note on those that came before it, and after them the end.
        let errors = if outcome == Outcome::Noted { statement.errors() } else { Vec::new() };
        if !errors.is_empty() {
            return Err(OdbcError { function: "SQLFetch", records: errors });
        }
        // It also calls a row an error in which a value had no room: the indicators tell those.
        let is_unread = |row: &usize| statuses[*row] == ROW_ERROR && !self.is_cut(*row);
        if (0..rows).any(|row| is_unread(&row)) {
            let records = vec![own("the driver could not read a row and doesn't say why".to_owned())];
            return Err(OdbcError { function: "SQLFetch", records });
        }
        Ok(rows)
    }

    /// Whether a value of a row had no room in its place.
    fn is_cut(&self, row: usize) -> bool {
        (0..self.columns.len()).any(|column| matches!(self.cell(column, row), Cell::Cut(_)))
    }

    /// Binds the places to the first columns of a statement that runs.
    ///
    /// # Safety
    /// The row set must live until the statement is dropped.
    ///
    /// # Errors
    /// What the driver reports.
    pub unsafe fn bind(&mut self, statement: &mut Statement<'_>) -> Result<(), OdbcError> {
        // Before the statement ran, some drivers would have opened a server's cursor for it.
        statement.set(StatementAttribute::RowArraySize, self.rows_max)?;
        let Header { fetched, statuses } = &mut *self.header;
        // SAFETY: the header is on the heap, and lives as the caller promises.
        unsafe {
            statement.set_place(StatementAttribute::RowsFetchedPtr, (&raw mut *fetched).cast())?;
            statement.set_place(StatementAttribute::RowStatusPtr, statuses.as_mut_ptr().cast())?;
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let number = u16::try_from(index + 1).unwrap_or(u16::MAX);
            let values: Pointer = column.values.as_mut_ptr().cast();
            // SAFETY: the places have room for the rows, are on the heap, and live as the caller promises.
            unsafe { statement.bind_column(number, column.c_type, values, column.width, column.indicators.as_mut_ptr())? };
        }
        Ok(())
    }

    /// Returns the value of a column in a row that was fetched.
    #[inline]
    pub fn cell(&self, column: usize, row: usize) -> Cell<'_> {
        let places = &self.columns[column];
        let indicator = places.indicators[row];
        if indicator == NULL_DATA {
            return Cell::Null;
        }
        let start = row * places.width;
        if places.is_fixed {
            return Cell::Value(&places.bytes()[start..start + places.width]);
        }
        match usize::try_from(indicator) {
            Ok(length) if length <= places.width - places.end_mark => Cell::Value(&places.bytes()[start..start + length]),
            Ok(length) => Cell::Cut(Some(length)),
            Err(_) if indicator == NO_TOTAL => Cell::Cut(None),
            Err(_) => Cell::Odd(indicator),
        }
    }
}

impl Places {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: words are bytes, eight each, and any bytes are bytes.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr().cast(), self.values.len() * 8) }
    }
}

fn own(message: String) -> crate::connect::odbc::Diagnostic {
    crate::connect::odbc::Diagnostic { state: "HY000".to_owned(), native: 0, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ColumnType;

    #[test]
    fn rows_are_as_many_as_their_bytes_allow() {
        let text = Mapping::sized(ColumnType::Text, Wire::Text, Some(8000));
        let rows = |columns: &[(Mapping, usize)], most| RowSet::new(columns, TextForm::Wide, most).rows_max;
        assert_eq!(rows(&[(text, 8000)], 65_536), 32);
        assert_eq!(rows(&[(Mapping::fixed(ColumnType::Int64, Wire::Integer), 0)], 65_536), ROWS_MAX);
        assert_eq!(rows(&[(Mapping::fixed(ColumnType::Int64, Wire::Integer), 0)], 3), 3);
        assert_eq!(rows(&[(text, 8_000_000)], 100), 1);
        assert_eq!(rows(&[], 100), 100);
    }

    #[test]
    fn a_value_is_taken_only_where_its_indicator_says_that_it_is_whole() {
        let text = Mapping::sized(ColumnType::Text, Wire::Text, Some(1));
        let mut set = RowSet::new(&[(text, 1)], TextForm::Wide, 5);
        set.columns[0].indicators = vec![4, 5, NO_TOTAL, NULL_DATA, -7];
        let cells: Vec<Cell<'_>> = (0..5).map(|row| set.cell(0, row)).collect();
        assert_eq!(cells, [Cell::Value(&[0; 4]), Cell::Cut(Some(5)), Cell::Cut(None), Cell::Null, Cell::Odd(-7)]);
    }
}
