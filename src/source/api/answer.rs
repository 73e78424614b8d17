//! Reads one answer: its records one after another, and what of it leads to the next page.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::pages::PageSeen;
use super::scan::{ScanError, Scanner, VALUE_BYTES_MAX};
use super::syntax::{DEPTH_MAX, Kind, Parser};
use super::walk::{self, Sought, WalkError};
use crate::connect::http::{HttpClient, HttpResponse, read_failure};
use crate::plan::api::ApiFormat;
use crate::source::SourceError;
use crate::source::csv::delimited::{self, Table};
use crate::text;

/// How much of an answer is looked at before it is read.
const HEAD_BYTES: usize = 64 * 1024;

/// How much of an answer that is not understood is shown, in characters.
const SHOWN_MAX: usize = 500;

/// What takes the records of an answer.
pub(super) trait Records {
    /// Takes a JSON value; of NDJSON, one that is none is a bad row.
    fn json(&mut self, raw: &[u8], format: ApiFormat) -> Result<(), SourceError>;
    /// Takes the names of delimited text.
    fn header(&mut self, names: &[String]) -> Result<(), SourceError>;
    /// Takes a row of delimited text: its fields, `None` for NULL, or what is wrong with it.
    fn fields(&mut self, fields: Result<&[Option<Vec<u8>>], String>, raw: &[u8]) -> Result<(), SourceError>;
}

/// How an answer is read.
#[derive(Debug)]
pub(super) struct Reading {
    pub format: ApiFormat,
    pub sought: Sought,
    /// The key of the last record whose value leads to the next page.
    pub record_key: Option<Vec<String>>,
    /// Whether the records are hashed.
    pub is_hashed: bool,
}

/// Counts what passes.
struct Counted<'a, R> {
    input: R,
    bytes: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        *self.bytes += length as u64;
        Ok(length)
    }
}

/// What was seen of the records of an answer.
struct Watch<'a> {
    reading: &'a Reading,
    records: u64,
    hash: Sha256,
    last: Vec<u8>,
}

impl Watch<'_> {
    fn note(&mut self, raw: &[u8]) {
        self.records += 1;
        if self.reading.is_hashed {
            self.hash.update(raw);
            self.hash.update(b"\n");
        }
        if self.reading.record_key.is_some() {
            self.last.clear();
            self.last.extend_from_slice(raw);
        }
    }
}

/// Reads an answer to its end; `place` names it in errors.
pub(super) fn read(
    response: HttpResponse,
    reading: &Reading,
    records: &mut dyn Records,
    bytes: &mut u64,
    client: &HttpClient,
) -> Result<PageSeen, SourceError> {
    let HttpResponse { url, status, headers, body } = response;
    let place = client.shown(&url);
    let mut body = Counted { input: body, bytes };
    let mut head = Vec::new();
    body.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(read_failure)?;
    let start = head.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
    let is_whole = head.len() < HEAD_BYTES;
    let failure = Failure { place: &place, head: &head[start..], client };
    let mut watch = Watch { reading, records: 0, hash: Sha256::new(), last: Vec::new() };
    let input = io::Cursor::new(&head[start..]).chain(body);
    let is_empty = head[start..].trim_ascii().is_empty() && is_whole;
    let values = match reading.format {
        // 204 means that there is nothing (RFC 9110, 15.3.5).
        ApiFormat::Json if is_empty && status == 204 => vec![None; reading.sought.values.len()],
        ApiFormat::Json => {
            let mut take = |raw: &[u8]| {
                watch.note(raw);
                records.json(raw, ApiFormat::Json)
            };
            walk::document(&mut Scanner::new(input), &reading.sought, &mut take).map_err(|error| failure.walk(error))?
        }
        ApiFormat::Ndjson => lines(input, &mut watch, records, &failure)?,
        ApiFormat::Csv => table(input, is_whole, &mut watch, records, &failure)?,
    };
    let last_record_value = reading.record_key.as_ref().and_then(|keys| member(&watch.last, keys)).map(|(_, text)| text.to_owned());
    Ok(PageSeen { url, headers, records: watch.records, values, last_record_value, digest: watch.hash.finalize().into() })
}

fn lines(
    input: impl Read,
    watch: &mut Watch<'_>,
    records: &mut dyn Records,
    failure: &Failure<'_>,
) -> Result<Vec<Option<String>>, SourceError> {
    failure.refuse_markup("NDJSON")?;
    let mut scanner = Scanner::new(input);
    while let Some((line, is_ended)) = scanner.line().map_err(|error| failure.scan(error))? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut parser = Parser::new(line);
        if !is_ended && (parser.value(0).is_err() || parser.end().is_err()) {
            return Err(failure.scan(ScanError::Cut));
        }
        watch.note(line);
        records.json(line.trim_ascii(), ApiFormat::Ndjson)?;
    }
    Ok(vec![None; watch.reading.sought.values.len()])
}

fn table(
    input: impl Read,
    is_whole: bool,
    watch: &mut Watch<'_>,
    records: &mut dyn Records,
    failure: &Failure<'_>,
) -> Result<Vec<Option<String>>, SourceError> {
    failure.refuse_markup("CSV")?;
    let mut table = Table::new(input, delimited::delimiter(failure.head, is_whole));
    let Some(names) = table.names().map_err(|reason| failure.csv(reason))? else {
        return Ok(vec![None; watch.reading.sought.values.len()]);
    };
    records.header(&names)?;
    while let Some(row) = table.next(names.len()).map_err(|reason| failure.csv(reason))? {
        watch.note(row.raw);
        records.fields(row.fields, row.raw)?;
    }
    Ok(vec![None; watch.reading.sought.values.len()])
}

/// Returns a member of a record by its keys: its kind and its text.
pub(super) fn member<'a>(raw: &'a [u8], keys: &[String]) -> Option<(Kind, &'a str)> {
    let mut parser = Parser::new(raw);
    let kind = parser.kind().ok()?;
    let Some((first, rest)) = keys.split_first() else {
        return Some((kind, std::str::from_utf8(parser.value(0).ok()?).ok()?));
    };
    if kind != Kind::Object {
        return None;
    }
    let mut found = None;
    let passed: Result<(), super::syntax::Wrong> = parser.members(
        |parser, key| {
            let mut name = Vec::new();
            super::syntax::unescape(key.inner, &mut name);
            parser.peek();
            let text = parser.value(1)?;
            if name == first.as_bytes() {
                found = Some(text);
            }
            Ok(())
        },
        0,
    );
    passed.ok()?;
    member(found?, rest)
}

/// Tells what is wrong with an answer.
struct Failure<'a> {
    place: &'a str,
    head: &'a [u8],
    client: &'a HttpClient,
}

impl Failure<'_> {
    /// Returns how the answer begins, without secrets.
    fn beginning(&self) -> String {
        let head = String::from_utf8_lossy(&self.head[..self.head.len().min(4 * SHOWN_MAX)]);
        let shown: String = self.client.mask(head.trim()).chars().take(SHOWN_MAX).collect();
        if shown.is_empty() { "it is empty".to_owned() } else { format!("it begins: {}", text::printable(&shown)) }
    }

    fn error(&self, code: &'static str, what: &str) -> SourceError {
        SourceError::new(code, format!("{}: {what}", self.place))
    }

    fn refuse_markup(&self, format: &str) -> Result<(), SourceError> {
        if !self.head.trim_ascii_start().starts_with(b"<") {
            return Ok(());
        }
        Err(self
            .error("not_json", &format!("the answer is not {format}; {}", self.beginning()))
            .hint("look at endpoint, base_url and auth"))
    }

    fn csv(&self, reason: Result<String, io::Error>) -> SourceError {
        match reason {
            Ok(reason) => self.error("invalid_data", &reason),
            Err(error) => read_failure(error).into(),
        }
    }

    fn walk(&self, error: WalkError) -> SourceError {
        match error {
            WalkError::Record(error) => error,
            WalkError::Scan(error) => self.scan(error),
            WalkError::Shape { message, hint } => self.error("unknown_records", &format!("{message}; {}", self.beginning())).hint(hint),
        }
    }

    fn scan(&self, error: ScanError) -> SourceError {
        match error {
            ScanError::Io(error) => read_failure(error).into(),
            ScanError::Cut if self.head.trim_ascii().is_empty() => {
                self.error("not_json", "the answer is empty").hint("look at endpoint and format")
            }
            ScanError::Cut => SourceError { is_transient: true, ..self.error("cut_short", "the answer ends in the midst of its JSON") },
            ScanError::Syntax(at, expected) => {
                let what = format!("the answer is not JSON: byte {}: expected {expected}; {}", at + 1, self.beginning());
                self.error("not_json", &what).hint("look at endpoint, base_url, auth and format")
            }
            ScanError::Deep => self.error("invalid_data", &format!("lists and objects stand more than {DEPTH_MAX} deep in each other")),
            ScanError::Long => {
                let what = format!("one record or value is longer than {} MiB", VALUE_BYTES_MAX / 1024 / 1024);
                self.error("invalid_data", &what).hint("look at records: it must name the list, not what holds it")
            }
        }
    }
}
