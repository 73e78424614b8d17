//! Keeps rows in a file without a name until all of them are there and their types are known: memory stays the same however many come.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use super::flat::Form;
use crate::source::{RejectedRow, SourceError};

/// How much is written or read at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// What is taken out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spooled {
    /// A row: its values are in the buffer.
    Row,
    /// A row that can't be loaded.
    Rejected(RejectedRow),
    /// The end.
    End,
}

/// Rows on their way into the file.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    row: Vec<u8>,
    rows: u64,
}

const ROW: u8 = 0;
const PAGE: u8 = 1;
const REJECTED: u8 = 2;

impl Spool {
    /// Makes the file, in the system's folder for them.
    pub fn new() -> Result<Self, SourceError> {
        let file = tempfile::tempfile().map_err(|error| failed(&error))?;
        Ok(Self { file: BufWriter::with_capacity(BLOCK_BYTES, file), row: Vec::new(), rows: 0 })
    }

    /// Returns how many rows were put in, rejected ones among them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Says of which page the rows that follow are.
    pub fn page(&mut self, label: &str) -> Result<(), SourceError> {
        self.frame(PAGE, label.as_bytes(), &[])
    }

    /// Puts a row in; `raw` is the record as it came, where a reject file may want it.
    pub fn row<'a>(&mut self, cells: impl Iterator<Item = (usize, Form, &'a [u8])>, raw: &[u8]) -> Result<(), SourceError> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        for (column, form, text) in cells {
            number(&mut row, (column as u64) << 2 | form as u64);
            number(&mut row, text.len() as u64);
            row.extend_from_slice(text);
        }
        self.rows += 1;
        let put = self.frame(ROW, &row, raw);
        self.row = row;
        put
    }

    /// Puts a row in that can't be loaded.
    pub fn rejected(&mut self, rejected: &RejectedRow) -> Result<(), SourceError> {
        let RejectedRow { position, column, reason, raw } = rejected;
        let text = serde_json::json!([position, column, reason, raw]).to_string();
        self.rows += 1;
        self.frame(REJECTED, text.as_bytes(), &[])
    }

    fn frame(&mut self, kind: u8, payload: &[u8], raw: &[u8]) -> Result<(), SourceError> {
        let mut head = [kind, 0, 0, 0, 0, 0, 0, 0, 0];
        // Values have at most 16 MiB, and a record is one of them.
        head[1..5].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        head[5..9].copy_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes());
        let put = self.file.write_all(&head).and_then(|()| self.file.write_all(payload)).and_then(|()| self.file.write_all(raw));
        put.map_err(|error| failed(&error))
    }

    /// Begins to take out what was put in.
    pub fn finish(self) -> Result<Rows, SourceError> {
        let mut file = self.file.into_inner().map_err(|error| failed(error.error()))?;
        file.seek(SeekFrom::Start(0)).map_err(|error| failed(&error))?;
        Ok(Rows { file: BufReader::with_capacity(BLOCK_BYTES, file), payload: Vec::new(), cells: 0, page: String::new(), record: 0 })
    }
}

/// Rows on their way out of the file.
#[derive(Debug)]
pub(super) struct Rows {
    file: BufReader<File>,
    payload: Vec<u8>,
    cells: usize,
    page: String,
    record: u64,
}

impl Rows {
    /// Takes the next row out.
    pub fn take(&mut self) -> Result<Spooled, SourceError> {
        loop {
            let mut head = [0; 9];
            match self.file.read(&mut head[..1]) {
                Ok(0) => return Ok(Spooled::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(&error)),
            }
            self.file.read_exact(&mut head[1..]).map_err(|error| failed(&error))?;
            let length = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            self.cells = length(1);
            self.payload.resize(length(1) + length(5), 0);
            self.file.read_exact(&mut self.payload).map_err(|error| failed(&error))?;
            match head[0] {
                PAGE => {
                    self.page = String::from_utf8_lossy(&self.payload).into_owned();
                    self.record = 0;
                }
                REJECTED => {
                    self.record += 1;
                    let (position, column, reason, raw) =
                        serde_json::from_slice(&self.payload).map_err(|error| failed(&io::Error::other(error)))?;
                    return Ok(Spooled::Rejected(RejectedRow { position, column, reason, raw }));
                }
                _ => {
                    self.record += 1;
                    return Ok(Spooled::Row);
                }
            }
        }
    }

    /// Returns where the present row came from.
    pub fn position(&self) -> String {
        position(&self.page, self.record)
    }

    /// Returns the present row as it came; empty where it was not kept.
    pub fn raw(&self) -> &[u8] {
        &self.payload[self.cells..]
    }

    /// Notes where the values of the present row lie, by their columns, with the row's number.
    pub fn place(&self, slots: &mut [(u64, Form, usize, usize)], row: u64) {
        let mut rest = &self.payload[..self.cells];
        while let Some((column, form, text)) = take_cell(&mut rest) {
            let end = self.cells - rest.len();
            slots[column] = (row, form, end - text.len(), end);
        }
    }

    /// Returns a value of the present row.
    pub fn text(&self, start: usize, end: usize) -> &[u8] {
        &self.payload[start..end]
    }
}

/// Names a record: "page 3, record 17".
pub(super) fn position(page: &str, record: u64) -> String {
    format!("{page}, record {record}")
}

/// Takes the next value of a row.
#[inline]
fn take_cell<'a>(bytes: &mut &'a [u8]) -> Option<(usize, Form, &'a [u8])> {
    if bytes.is_empty() {
        return None;
    }
    let head = take_number(bytes)?;
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let form = [Form::Bare, Form::Text, Form::Json, Form::Empty][(head & 3) as usize];
    Some((usize::try_from(head >> 2).ok()?, form, text))
}

/// Writes a number, 7 bits a byte, the least ones first.
#[inline]
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 127) << shift;
        if *first < 128 {
            return Some(value);
        }
        shift += 7;
    }
}

fn failed(error: &io::Error) -> SourceError {
    SourceError::new("io", format!("keeping the records of an API in the system's folder for temporary files: {error}"))
        .hint("make room there, or set TMPDIR to a folder with more of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_were_put_in() {
        let mut spool = Spool::new().unwrap();
        let long = vec![b'x'; 300_000];
        let rejected =
            RejectedRow { position: "page 1, record 2".to_owned(), column: None, reason: "r\"".to_owned(), raw: "[1".to_owned() };
        spool.page("page 1").unwrap();
        spool.row([(0, Form::Bare, &b"1"[..]), (200, Form::Text, &b""[..])].into_iter(), b"{}").unwrap();
        spool.rejected(&rejected).unwrap();
        spool.page("page 2").unwrap();
        spool.row([(9_999, Form::Json, &long[..]), (1, Form::Empty, &b"{}"[..])].into_iter(), b"").unwrap();
        assert_eq!(spool.rows(), 3);
        let mut rows = spool.finish().unwrap();
        assert_eq!(rows.take().unwrap(), Spooled::Row);
        assert_eq!((rows.position().as_str(), rows.raw()), ("page 1, record 1", &b"{}"[..]));
        let mut slots = vec![(0, Form::Bare, 0, 0); 10_000];
        rows.place(&mut slots, 1);
        assert_eq!((slots[0].1, rows.text(slots[0].2, slots[0].3)), (Form::Bare, &b"1"[..]));
        assert_eq!((slots[200].0, slots[200].1, rows.text(slots[200].2, slots[200].3)), (1, Form::Text, &b""[..]));
        assert_eq!(rows.take().unwrap(), Spooled::Rejected(rejected));
        assert_eq!(rows.take().unwrap(), Spooled::Row);
        assert_eq!(rows.position(), "page 2, record 1");
        rows.place(&mut slots, 3);
        assert_eq!((slots[9_999].1, slots[9_999].3 - slots[9_999].2), (Form::Json, 300_000));
        assert_eq!((slots[1].0, slots[1].1, rows.text(slots[1].2, slots[1].3)), (3, Form::Empty, &b"{}"[..]));
        assert_eq!(slots[0].0, 1);
        assert_eq!(rows.take().unwrap(), Spooled::End);
    }
}
