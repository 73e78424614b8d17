//! Delimited text that comes from elsewhere than a file: its names and rows, by the rules of files.

use std::io::{self, Read};

use super::RAW_BYTES_MAX;
use super::sniff::{self, Sample};
use super::splitter::{Dialect, Flaw, Found, Splitter};
use crate::source::columns::whole_names;
use crate::text;

/// Returns what parts the fields of a text that begins like this.
pub(crate) fn delimiter(head: &[u8], is_whole: bool) -> u8 {
    sniff::delimiter(Sample { text: head, is_whole }, b'"')
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// Its fields, `None` for NULL; or what is wrong with it.
    pub fields: Result<&'a [Option<Vec<u8>>], String>,
    /// As it came, cut to what is kept of a row that can't be loaded.
    pub raw: &'a [u8],
}

/// Why rows can't be read on: what is wrong with them, or the error of reading.
pub(crate) type Broken = Result<String, io::Error>;

/// A text with names in its first row.
#[derive(Debug)]
pub(crate) struct Table<R> {
    splitter: Splitter<R>,
    fields: Vec<Option<Vec<u8>>>,
    scratch: Vec<u8>,
}

impl<R: Read> Table<R> {
    /// Begins to read.
    pub fn new(input: R, delimiter: u8) -> Self {
        Self { splitter: Splitter::new(input, Dialect { delimiter, quote: b'"' }), fields: Vec::new(), scratch: Vec::new() }
    }

    /// Returns the names; `None` where the text is empty.
    pub fn names(&mut self) -> Result<Option<Vec<String>>, Broken> {
        match self.splitter.advance().map_err(Err)? {
            Found::End => return Ok(None),
            Found::Record => {}
            Found::Flawed(_) | Found::OpenQuote => return Err(Ok("the first row can't be split into fields".to_owned())),
        }
        let mut given = Vec::new();
        for index in 0..self.splitter.len() {
            let name = String::from_utf8(self.splitter.field(index, &mut self.scratch).0.to_vec());
            given.push(
                name.ok()
                    .filter(|name| !name.contains('\0'))
                    .ok_or_else(|| Ok(format!("the name of column {} is not UTF-8", index + 1)))?,
            );
        }
        Ok(Some(whole_names(&given).0))
    }

    /// Returns the next row of so many fields; `None` at the end.
    pub fn next(&mut self, expected: usize) -> Result<Option<Row<'_>>, Broken> {
        let found = self.splitter.advance().map_err(Err)?;
        let flaw = match found {
            Found::End => return Ok(None),
            Found::OpenQuote => return Err(Ok("a quote opens and never closes".to_owned())),
            Found::Flawed(Flaw::TextAfterQuote) => Some("there is text between a closing quote and the next delimiter".to_owned()),
            Found::Flawed(Flaw::TooLong) => Some("the row is too long".to_owned()),
            Found::Record if std::str::from_utf8(self.splitter.raw()).is_err() => Some("there are bytes that are not UTF-8".to_owned()),
            Found::Record if self.splitter.len() != expected => {
                Some(format!("{} where {expected} are expected", text::count(self.splitter.len() as u64, "field")))
            }
            Found::Record => None,
        };
        let raw = self.splitter.raw();
        let raw = &raw[..raw.len().min(RAW_BYTES_MAX)];
        if let Some(flaw) = flaw {
            return Ok(Some(Row { fields: Err(flaw), raw }));
        }
        self.fields.clear();
        for index in 0..self.splitter.len() {
            let (field, is_quoted) = self.splitter.field(index, &mut self.scratch);
            self.fields.push((is_quoted || !field.is_empty()).then(|| field.to_vec()));
        }
        Ok(Some(Row { fields: Ok(&self.fields), raw }))
    }
}
