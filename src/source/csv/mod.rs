//! Delimited text: files, globs of files and URLs, compressed or not.
//!
//! `input` and `fetch` find files, `decode` makes UTF-8 of their bytes, `splitter` makes records, `sniff` and `shape` find out how they are
//! laid out, `reader` makes batches. A row is loaded exactly, or rejected with its place and reason.

#[cfg(test)]
pub(super) mod conformance;
mod decode;
pub(super) mod delimited;
mod fetch;
mod input;
mod known;
mod nulls;
mod reader;
mod shape;
mod sniff;
mod splitter;

use crate::plan::{ColumnRules, CsvPlan, SourcePlan};
use crate::secret::Secret;
use crate::text;

use super::{ReadRequest, Reader, Source, SourceError, Stream};

/// How much of a rejected row is kept (64 KiB).
pub(super) const RAW_BYTES_MAX: usize = 64 * 1024;

/// A CSV source.
#[derive(Debug)]
pub(super) struct CsvSource {
    name: String,
    plan: CsvPlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
}

impl CsvSource {
    /// Checks what can be checked without reading.
    pub fn new(plan: &SourcePlan, csv: &CsvPlan) -> Result<Self, SourceError> {
        for (key, value) in [("delimiter", csv.delimiter), ("quote", csv.quote)] {
            if let Some(value) = value.filter(|value| !value.is_ascii() || matches!(value, '\n' | '\r' | '\0')) {
                return Err(invalid(
                    "invalid",
                    format!("source {}: {key} {value:?} is not one ASCII character that may part fields", plan.name),
                ));
            }
        }
        if csv.delimiter == Some(csv.quote.unwrap_or('"')) {
            return Err(invalid("invalid", format!("source {}: delimiter and quote are the same", plan.name)));
        }
        if fetch::is_url(&csv.path) {
            fetch::parse(csv)?;
        }
        Ok(Self { name: plan.name.clone(), plan: csv.clone(), rules: plan.columns.clone(), hash_key: plan.hash_key.clone() })
    }
}

impl Source for CsvSource {
    fn test(&mut self) -> Result<String, SourceError> {
        if fetch::is_url(&self.plan.path) {
            return fetch::test(&self.plan);
        }
        let files = input::locate(&self.plan)?;
        for file in &files {
            file.open(self.plan.encoding)?;
        }
        let bytes = files.iter().map(input::InputFile::size).sum();
        Ok(format!("{}, {}", text::count(files.len() as u64, "file"), size(bytes)))
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        Ok(vec![Stream::only(&self.name)])
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(reader::CsvReader::open(&self.name, &self.plan, &self.rules, self.hash_key.as_ref(), request)?))
    }

    fn is_files(&self) -> bool {
        true
    }
}

fn invalid(code: &'static str, message: String) -> SourceError {
    SourceError::new(code, message)
}

/// Returns a number of bytes as people read it: "812 bytes", "5.1 MB".
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => text::count(bytes, "byte"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
