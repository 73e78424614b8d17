//! Takes the records of all pages: makes rows of them, and keeps these until their types are known.

use super::answer::Records;
use super::flat::{Flat, Flaw, Form};
use super::spool::{Spool, position};
use crate::plan::OnInvalidValue;
use crate::plan::api::ApiFormat;
use crate::source::{RejectedRow, SourceError};
use crate::text;

/// How much of a record that can't be loaded is kept (64 KiB).
const RAW_BYTES_MAX: usize = 64 * 1024;

/// The error that ends reading where as many records as were asked for are there.
pub(super) const ENOUGH: &str = "enough";

/// Records on their way into the spool.
#[derive(Debug)]
pub(super) struct Taker {
    pub flat: Flat,
    pub spool: Spool,
    /// Values that every record has beside its own: those of its parent.
    fixed: Vec<(usize, Form, String)>,
    invalid_values: OnInvalidValue,
    /// Whether records are kept as they came too, for the reject file.
    has_raw: bool,
    rows_max: Option<u64>,
    page: String,
    record: u64,
    header: Vec<usize>,
    /// How many values became NULL because their type can't hold them.
    pub nulled: u64,
}

impl Taker {
    /// Begins without records.
    pub fn new(flat: Flat, invalid_values: OnInvalidValue, has_raw: bool, rows_max: Option<u64>) -> Result<Self, SourceError> {
        Ok(Self {
            flat,
            spool: Spool::new()?,
            fixed: Vec::new(),
            invalid_values,
            has_raw,
            rows_max,
            page: String::new(),
            record: 0,
            header: Vec::new(),
            nulled: 0,
        })
    }

    /// Says of which page the records that follow are.
    pub fn page(&mut self, label: String) -> Result<(), SourceError> {
        self.spool.page(&label)?;
        (self.page, self.record) = (label, 0);
        Ok(())
    }

    /// Says which values the records that follow have beside their own.
    pub fn fix(&mut self, values: Vec<(String, Form, String)>) -> Result<(), SourceError> {
        let fixed = values.into_iter().map(|(name, form, text)| Ok((self.flat.column(&name).ok_or_else(too_many_columns)?, form, text)));
        self.fixed = fixed.collect::<Result<_, SourceError>>()?;
        Ok(())
    }

    /// Begins a record.
    fn begin(&mut self) -> Result<(), SourceError> {
        if self.rows_max.is_some_and(|max| self.spool.rows() >= max) {
            return Err(SourceError::new(ENOUGH, "enough records are there"));
        }
        self.record += 1;
        self.flat.begin();
        Ok(())
    }

    /// Ends a record whose values are in the row, or that can't be one.
    fn end(&mut self, made: Result<(), Flaw>, raw: &[u8], is_line: bool) -> Result<(), SourceError> {
        let flaw = match made {
            Ok(()) => return self.row(raw),
            Err(flaw) => flaw,
        };
        let reason = match flaw {
            Flaw::Columns => return Err(too_many_columns()),
            Flaw::Wrong(wrong) if !is_line => {
                let message = format!("{}: not JSON: byte {} of the record: expected {}", self.position(), wrong.at + 1, wrong.expected);
                return Err(SourceError::new("not_json", message));
            }
            Flaw::Bytes if !is_line => {
                return Err(SourceError::new("not_json", format!("{}: bytes that are no UTF-8", self.position())));
            }
            Flaw::Wrong(wrong) => format!("it is no JSON: byte {}: expected {}", wrong.at + 1, wrong.expected),
            Flaw::Bytes => "there are bytes that are no UTF-8".to_owned(),
            Flaw::Twice(name) => return self.reject(Some(name), "it has two values for this column".to_owned(), raw),
            Flaw::Surrogate(name) => return self.reject(Some(name), "there is half a character (a surrogate alone)".to_owned(), raw),
        };
        self.reject(None, reason, raw)
    }

    fn row(&mut self, raw: &[u8]) -> Result<(), SourceError> {
        // A NUL can only come out of an escape.
        let nul = self.flat.cells(raw).find(|(_, _, text)| text.contains(&0)).map(|(column, _, _)| column);
        if let Some(column) = nul {
            let name = self.flat.columns()[column].name.clone();
            let reason = "its value has a NUL character".to_owned();
            match self.invalid_values {
                OnInvalidValue::Null => {
                    self.nulled += 1;
                    self.flat.clear(column);
                    return self.row(raw);
                }
                OnInvalidValue::Reject => return self.reject(Some(name), reason, raw),
                OnInvalidValue::Fail => {
                    let message = format!("{}, column {name}: {reason}", self.position());
                    return Err(SourceError::new("invalid_data", message).hint("correct it, or set invalid_values: null or reject"));
                }
            }
        }
        self.flat.end(raw);
        self.spool.row(self.flat.cells(raw), if self.has_raw { &raw[..raw.len().min(RAW_BYTES_MAX)] } else { &[] })
    }

    fn reject(&mut self, column: Option<String>, reason: String, raw: &[u8]) -> Result<(), SourceError> {
        let raw = String::from_utf8_lossy(&raw[..raw.len().min(RAW_BYTES_MAX)]).into_owned();
        self.spool.rejected(&RejectedRow { position: self.position(), column, reason, raw })
    }

    fn position(&self) -> String {
        position(&self.page, self.record)
    }

    fn add_fixed(&mut self) -> Result<(), Flaw> {
        self.fixed.iter().try_for_each(|(column, form, text)| self.flat.add(*column, *form, text.as_bytes()))
    }
}

impl Records for Taker {
    fn json(&mut self, raw: &[u8], format: ApiFormat) -> Result<(), SourceError> {
        self.begin()?;
        let made = self.add_fixed().and_then(|()| self.flat.record(raw));
        self.end(made, raw, format == ApiFormat::Ndjson)
    }

    fn header(&mut self, names: &[String]) -> Result<(), SourceError> {
        self.header = names.iter().map(|name| self.flat.column(name).ok_or_else(too_many_columns)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn fields(&mut self, fields: Result<&[Option<Vec<u8>>], String>, raw: &[u8]) -> Result<(), SourceError> {
        self.begin()?;
        let fields = match fields {
            Ok(fields) => fields,
            Err(reason) => return self.reject(None, reason, raw),
        };
        let columns = self.header.clone();
        let mut made = self.add_fixed();
        for (column, field) in columns.iter().zip(fields) {
            made = made.and_then(|()| match field {
                Some(text) => self.flat.add(*column, Form::Bare, text),
                None => self.flat.add_null(*column),
            });
        }
        self.end(made, raw, true)
    }
}

fn too_many_columns() -> SourceError {
    SourceError::new("invalid_data", "the records have more than 10,000 different keys".to_owned())
        .hint("keys that are values make a column each: set flatten_depth: 0, or name what is wanted in columns.select")
}

/// Names how many records there are.
pub(super) fn counted(records: u64) -> String {
    text::count(records, "record")
}
