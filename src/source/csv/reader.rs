//! Reads the files of a source one after another into batches.

use std::sync::atomic::Ordering;

use crate::batch::{BatchBuilder, Column, ColumnType, Inference, Schema};
use crate::plan::{ColumnRules, CsvPlan, Level, OnInvalidValue};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::{KEYLESS, Read, ReadRequest, Reader, RejectedRow, SourceError};
use crate::text;

use super::decode::Decoded;
use super::input::{self, InputFile};
use super::known::leave_out_known;
use super::nulls::{NullTexts, Nulled};
use super::shape::{self, RowFlaw, Shape};
use super::splitter::{Flaw, Found, RECORD_BYTES_MAX, Splitter};
use super::{RAW_BYTES_MAX, invalid};
use crate::source::columns::{Hasher, OutputColumn, layout};

/// How many rows of each file behind the first are looked at to infer types.
const SAMPLE_ROWS_OF_OTHERS: u64 = 1_000;

/// How many files behind the first are looked at to infer types.
const SAMPLE_FILES_MAX: usize = 100;

/// Reads the files of a source.
#[derive(Debug)]
pub(super) struct CsvReader {
    source: String,
    plan: CsvPlan,
    nulls: NullTexts,
    /// The columns as published before.
    expected: Schema,
    invalid_values: OnInvalidValue,
    batch_rows_max: usize,
    files: Vec<InputFile>,
    shapes: Vec<Shape>,
    columns: Vec<OutputColumn>,
    /// The columns that must have a value.
    key: Vec<usize>,
    hasher: Option<Hasher>,
    schema: Schema,
    batch: BatchBuilder,
    current: Option<Current>,
    next_file: usize,
    bytes_done: u64,
    nulled: Nulled,
    has_restarted: bool,
    is_done: bool,
    is_nothing_new: bool,
    changed: Vec<String>,
    log: Vec<(Level, String)>,
}

/// The file that is being read.
#[derive(Debug)]
struct Current {
    index: usize,
    splitter: Splitter<Decoded>,
    /// The present record, from 1 behind the header.
    row: u64,
    is_header: bool,
    scratch: Vec<u8>,
}

/// What became of a row.
enum Taken {
    Loaded,
    Rejected(RejectedRow),
    /// A value doesn't fit the inferred type of a column.
    Misfit {
        column: usize,
        value: String,
    },
}

impl CsvReader {
    /// Finds the files, their columns and types.
    pub fn open(
        source: &str,
        plan: &CsvPlan,
        rules: &ColumnRules,
        hash_key: Option<&Secret>,
        request: &ReadRequest<'_>,
    ) -> Result<Self, SourceError> {
        let mut log = Vec::new();
        let mut files = input::locate(plan)?;
        let (is_nothing_new, changed) = leave_out_known(&mut files, request, &mut log)?;
        let mut shapes = shape::shapes(&files, plan, &mut log)?;
        let columns = layout(source, &shape::all_names(&shapes), rules, hash_key)?;
        shape::place(&mut shapes, &files, &columns, &mut log);
        let nulls = NullTexts::new(plan.null_values.as_deref());
        let expected = request.expected.cloned().unwrap_or_default();
        let inferences = sample(&files, &shapes, plan, &nulls, &columns, request.options.sample_rows)?;
        let types = shape::types(&columns, &inferences, &expected);
        let schema = schema(&columns, &types);
        let batch = BatchBuilder::new(&schema, request.options.batch_size);
        Ok(Self {
            source: source.to_owned(),
            plan: plan.clone(),
            nulls,
            expected,
            invalid_values: request.options.invalid_values,
            batch_rows_max: request.options.batch_size,
            nulled: Nulled::new(columns.len()),
            files,
            shapes,
            hasher: columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten(),
            key: (0..columns.len()).filter(|index| request.options.is_key(&columns[*index].name)).collect(),
            columns,
            schema,
            batch,
            current: None,
            next_file: 0,
            bytes_done: 0,
            has_restarted: false,
            is_done: is_nothing_new,
            is_nothing_new,
            changed,
            log,
        })
    }

    /// Opens the next file; `false` where there is none.
    fn open_next(&mut self) -> Result<bool, SourceError> {
        let index = self.next_file;
        let Some(file) = self.files.get(index) else { return Ok(false) };
        let shape = &self.shapes[index];
        let splitter = Splitter::new(file.open(self.plan.encoding)?, shape.dialect);
        self.current = Some(Current { index, splitter, row: 0, is_header: shape.has_header, scratch: Vec::new() });
        self.next_file += 1;
        Ok(true)
    }

    /// Ends the present file: exactly the bytes that were found must have been read.
    fn close_current(&mut self) -> Result<(), SourceError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let file = &mut self.files[current.index];
        file.close(current.splitter.input())?;
        self.bytes_done += file.size();
        Ok(())
    }

    /// Reads the present file until a batch is full, something must be told, or the file ends (`None`).
    fn read_current(&mut self) -> Result<Option<Read>, SourceError> {
        loop {
            let Some(current) = &mut self.current else { return Ok(None) };
            let file = &self.files[current.index];
            let found = current.splitter.advance().map_err(|error| file.read_error(&error))?;
            if found == Found::End {
                self.close_current()?;
                return Ok(None);
            }
            if std::mem::take(&mut current.is_header) {
                continue;
            }
            current.row += 1;
            let taken = match found {
                Found::Record => self.take_row()?,
                Found::Flawed(flaw) => Taken::Rejected(self.rejected(None, flaw_text(flaw))),
                Found::OpenQuote | Found::End => Taken::Rejected(self.open_quote()?),
            };
            match taken {
                Taken::Loaded if self.batch.is_full() => return Ok(self.batch.finish().map(Read::Batch)),
                Taken::Loaded => {}
                Taken::Rejected(row) => return Ok(Some(Read::Rejected(row))),
                Taken::Misfit { column, value } => return self.restart(column, &value).map(Some),
            }
        }
    }

    /// Appends the present record to the batch.
    fn take_row(&mut self) -> Result<Taken, SourceError> {
        let Some(current) = &mut self.current else { return Ok(Taken::Loaded) };
        let shape = &self.shapes[current.index];
        let has_nul = match shape::check_row(&current.splitter, shape) {
            Ok(has_nul) => has_nul,
            Err(flaw) => return Ok(Taken::Rejected(self.rejected(None, row_flaw_text(&flaw)))),
        };
        let mut bytes = 0;
        for (index, field) in shape.fields.iter().enumerate() {
            let builder = &mut self.batch.columns[index];
            let Some(field) = *field else {
                bytes += builder.append_null();
                continue;
            };
            let (value, is_quoted) = current.splitter.field(field, &mut current.scratch);
            if !is_quoted && self.nulls.holds(value) {
                bytes += builder.append_null();
                continue;
            }
            let column = &self.columns[index];
            let is_nul = has_nul && value.contains(&0);
            let appended = match &self.hasher {
                _ if is_nul => Err(crate::batch::Misfit),
                Some(hasher) if column.is_hashed => builder.append_text(hasher.hash(value).as_bytes()),
                _ if column.declared.is_none() => builder.append_inferred(value),
                _ => builder.append_text(value),
            };
            if let Ok(length) = appended {
                bytes += length;
                continue;
            }
            if let (false, None, Some(word)) = (is_quoted, column.declared, self.nulls.usual_word(value)) {
                bytes += builder.append_null();
                self.nulled.count_word(index, word);
                continue;
            }
            let value = if column.is_hashed { "a hashed value".to_owned() } else { shown(value) };
            if column.declared.is_none() && !is_nul {
                return Ok(Taken::Misfit { column: index, value });
            }
            let reason =
                if is_nul { format!("{value} has a NUL character") } else { format!("{value} does not fit {}", builder.column_type()) };
            match self.invalid_values {
                OnInvalidValue::Null => {
                    bytes += builder.append_null();
                    self.nulled.count_invalid(index);
                }
                OnInvalidValue::Reject => {
                    self.batch.undo_row();
                    return Ok(Taken::Rejected(self.rejected(Some(index), reason)));
                }
                OnInvalidValue::Fail => {
                    let message = format!("{}, column {}: {reason}", self.position(), column.source);
                    return Err(invalid("invalid_data", message).hint(format!("declare {}: text under columns.types", column.source)));
                }
            }
        }
        if let Some(index) = self.key.iter().find(|index| self.batch.columns[**index].is_last_null()) {
            self.batch.undo_row();
            return Ok(Taken::Rejected(self.rejected(Some(*index), KEYLESS.to_owned())));
        }
        self.batch.end_row(bytes);
        Ok(Taken::Loaded)
    }

    /// Names the present row: file, row behind the header, line.
    fn position(&self) -> String {
        self.current.as_ref().map_or_else(String::new, |current| {
            format!("{}, row {} (line {})", self.files[current.index].name, current.row, current.splitter.line())
        })
    }

    fn rejected(&self, column: Option<usize>, reason: String) -> RejectedRow {
        let raw = self.current.as_ref().map_or_else(String::new, |current| escaped(current.splitter.raw()));
        RejectedRow { position: self.position(), column: column.map(|index| self.columns[index].source.clone()), reason, raw }
    }

    /// A quote that opens on the last line spoils that row; one that opens before has swallowed rows, which must not pass as one bad row.
    fn open_quote(&self) -> Result<RejectedRow, SourceError> {
        let raw = self.current.as_ref().map_or(&[][..], |current| current.splitter.raw());
        let is_last_line = memchr::memchr2(b'\n', b'\r', raw.trim_ascii_end()).is_none() && raw.len() < RAW_BYTES_MAX;
        if is_last_line {
            return Ok(self.rejected(None, "a quote opens and never closes".to_owned()));
        }
        let message = format!("{}: a quote opens in this row and never closes; the rows behind it can't be told apart", self.position());
        Err(invalid("invalid_data", message).hint("mend the row, or set quote to a character that the file doesn't use"))
    }

    /// Reads everything to the end for its types, and begins again with wider ones.
    fn restart(&mut self, column: usize, value: &str) -> Result<Read, SourceError> {
        let position = self.position();
        let before = self.schema.columns[column].column_type;
        let name = self.columns[column].source.clone();
        let inconsistent = || SourceError {
            code: "file_changed",
            message: format!("{position}, column {name}: {value} does not fit {before}, though the whole file was looked at"),
            hint: Some("it changed while being read; write it under another name and rename it when it is complete".to_owned()),
            is_transient: true,
            retry_after: None,
        };
        if self.has_restarted {
            return Err(inconsistent());
        }
        let mut inferences = shape::inferences(&self.columns);
        for (file, shape) in self.files.iter_mut().zip(&self.shapes) {
            let mut splitter = shape::observe(file, shape, &self.plan, &self.nulls, u64::MAX, &mut inferences)?;
            splitter.finish_input(Decoded::exhaust).map_err(|error| file.read_error(&error))?;
            file.close(splitter.input())?;
        }
        let types = shape::types(&self.columns, &inferences, &self.expected);
        if types[column] == before {
            return Err(inconsistent());
        }
        self.schema = schema(&self.columns, &types);
        self.batch = BatchBuilder::new(&self.schema, self.batch_rows_max);
        self.current = None;
        self.next_file = 0;
        self.bytes_done = 0;
        self.nulled = Nulled::new(self.columns.len());
        self.has_restarted = true;
        Ok(Read::Restart { reason: format!("{position}, column {name}: {value} is not a {before}; the column is {} now", types[column]) })
    }
}

impl Reader for CsvReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        while !self.is_done {
            if self.current.is_none() && !self.open_next()? {
                self.is_done = true;
                self.log.extend(self.nulled.log(&self.source, &self.columns));
                if let Some(batch) = self.batch.finish() {
                    return Ok(Read::Batch(batch));
                }
                break;
            }
            if let Some(read) = self.read_current()? {
                return Ok(read);
            }
        }
        Ok(Read::End)
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        let current = self.current.as_ref().map_or(0, |current| current.splitter.input().stored().bytes.load(Ordering::Relaxed));
        let total = if self.is_nothing_new { 0 } else { self.files.iter().map(InputFile::size).sum() };
        (self.bytes_done + current, Some(total))
    }

    fn files(&self) -> Vec<FileRecord> {
        if self.is_nothing_new || !self.is_done {
            return Vec::new();
        }
        self.files.iter().filter_map(InputFile::record).collect()
    }

    fn is_nothing_new(&self) -> bool {
        self.is_nothing_new
    }

    fn changed_files(&self) -> Vec<String> {
        self.changed.clone()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

fn sample(
    files: &[InputFile],
    shapes: &[Shape],
    plan: &CsvPlan,
    nulls: &NullTexts,
    columns: &[OutputColumn],
    sample_rows: usize,
) -> Result<Vec<Option<Inference>>, SourceError> {
    let mut inferences = shape::inferences(columns);
    let with_rows = files.iter().zip(shapes).filter(|(_, shape)| !shape.names.is_empty());
    for (place, (file, shape)) in with_rows.take(1 + SAMPLE_FILES_MAX).enumerate() {
        let rows = sample_rows.max(1) as u64;
        let rows = if place == 0 { rows } else { rows.min(SAMPLE_ROWS_OF_OTHERS) };
        shape::observe(file, shape, plan, nulls, rows, &mut inferences)?;
    }
    Ok(inferences)
}

fn schema(columns: &[OutputColumn], types: &[ColumnType]) -> Schema {
    Schema::new(columns.iter().zip(types).map(|(column, column_type)| Column::new(&column.name, *column_type)).collect())
}

fn flaw_text(flaw: Flaw) -> String {
    match flaw {
        Flaw::TextAfterQuote => "there is text between a closing quote and the next delimiter".to_owned(),
        Flaw::TooLong => format!("the row is longer than {} MiB", RECORD_BYTES_MAX / 1024 / 1024),
    }
}

fn row_flaw_text(flaw: &RowFlaw) -> String {
    match flaw {
        RowFlaw::Fields(found, expected) => format!("{} where {expected} are expected", text::count(*found as u64, "field")),
        RowFlaw::Encoding => "there are bytes that are not valid in the file's encoding".to_owned(),
    }
}

/// Returns a value for a message: quoted, short, without control characters.
fn shown(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(&value[..value.len().min(400)]);
    format!("\"{}\"", text::printable(&text::shortened(&value, 60)))
}

/// Returns a row as text, cut to [`RAW_BYTES_MAX`], bytes that are no text as `\xNN`.
fn escaped(raw: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for chunk in raw[..raw.len().min(RAW_BYTES_MAX)].utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
