//! Fetches every page of a resource, and of the resource's parents where it has them. Keeps no page and no record.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::answer::{self, Reading, Records};
use super::flat::Form;
use super::pages::Pager;
use super::request::{self, Values};
use super::syntax::{Kind, Parser, unescape};
use super::take::{ENOUGH, Taker, enough};
use super::walk::Sought;
use crate::connect::http::{HttpClient, HttpRequest};
use crate::plan::api::{ApiFormat, ApiSourcePlan, ForEach, Pagination, path_keys};
use crate::source::{Attendant, SourceError};
use crate::text;

/// Fetches the pages of a resource.
#[derive(Debug)]
pub(super) struct Gather {
    client: HttpClient,
    /// The most pages that are fetched of each resource, for a look at it.
    pages_max: Option<u64>,
    attendant: Attendant,
    /// How many bytes came.
    pub bytes: u64,
    /// How many pages came.
    pub pages: u64,
    /// Lines for the log.
    pub log: Vec<String>,
}

impl Gather {
    /// Makes a client; nothing is sent yet.
    pub fn open(plan: &ApiSourcePlan, pages_max: Option<u64>, attendant: &Attendant) -> Result<Self, SourceError> {
        let mut client = HttpClient::open(&plan.connection)?;
        client.stop_by(Arc::clone(&attendant.stop));
        if pages_max.is_some() {
            client.hand_over_early();
        }
        Ok(Self { client, pages_max, attendant: attendant.clone(), bytes: 0, pages: 0, log: Vec::new() })
    }

    /// Fetches all pages, of each parent where there are some. Ends early where enough records are there.
    pub fn run(&mut self, plan: &ApiSourcePlan, values: &Values<'_>, taker: &mut Taker) -> Result<(), SourceError> {
        if taker.is_limited() {
            self.client.hand_over_early();
        }
        let gathered = match &plan.for_each {
            None => self.resource(plan, values, "", taker),
            Some(for_each) => self.each(plan, for_each, values, taker),
        };
        self.log.extend(self.client.take_log());
        match gathered {
            Err(error) if error.code == ENOUGH => Ok(()),
            other => other,
        }
    }

    /// Sends one request and returns its status with how many records came.
    pub fn look(&mut self, plan: &ApiSourcePlan, values: &Values<'_>) -> Result<(u16, u64), SourceError> {
        let resource = plan.for_each.as_ref().map_or(plan, |for_each| &for_each.parent);
        let pager = pager(resource, values)?;
        let response = self.client.send(&pager.first())?;
        let status = response.status;
        let mut counting = Counting(0);
        answer::read(response, &reading(resource, &pager)?, &mut counting, &mut self.bytes, &self.client)?;
        Ok((status, counting.0))
    }

    fn resource(&mut self, plan: &ApiSourcePlan, values: &Values<'_>, prefix: &str, taker: &mut Taker) -> Result<(), SourceError> {
        let mut pages = Pages::new(plan, values, prefix)?;
        loop {
            let has_more = self.page(&mut pages, taker)?;
            (self.attendant.tell)(taker.spool.rows(), self.bytes);
            if taker.is_full() {
                return Err(enough());
            }
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Fetches the next page of a resource; returns whether another one follows.
    fn page(&mut self, pages: &mut Pages<'_>, sink: &mut dyn Sink) -> Result<bool, SourceError> {
        let Some(response) = self.answer(&pages.request, &pages.pager)? else { return Ok(false) };
        pages.count += 1;
        sink.begin_page(format!("{}page {}", pages.prefix, pages.count))?;
        let seen = answer::read(response, &pages.reading, sink.records(), &mut self.bytes, &self.client)?;
        self.pages += 1;
        if self.pages_max.is_some_and(|max| pages.count >= max) {
            return Ok(false);
        }
        let next = pages.pager.next(&seen)?;
        Ok(next.map(|next| pages.request = next).is_some())
    }

    /// Returns an answer; `None` where a server says that there is no page behind the last one.
    fn answer(&mut self, request: &HttpRequest, pager: &Pager) -> Result<Option<crate::connect::http::HttpResponse>, SourceError> {
        match self.client.send(request) {
            // Nobody asked for a part: some servers say so where they have cut the answer to a page.
            Ok(response) if response.status == 206 && pager.is_single() => {
                let message = format!("{}: the server answered 206 Partial Content: there is more", self.client.shown(&response.url));
                Err(SourceError::new("invalid_answer", message).hint("say under pagination how the rest is found"))
            }
            Ok(response) => Ok(Some(response)),
            Err(error) if pager.is_probe() && error.code == "not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches the parents, then what belongs to each: a listing that is read to its end at once is least likely to change on the way. Where
    /// few rows are looked at, what belongs to the parents of a page comes before the next page.
    fn each(&mut self, plan: &ApiSourcePlan, for_each: &ForEach, values: &Values<'_>, taker: &mut Taker) -> Result<(), SourceError> {
        let ForEach { parent, keys } = for_each;
        let mut parents = Parents::new(keys)?;
        let mut pages = Pages::new(parent, values, "parent, ")?;
        let mut has_more = true;
        while has_more {
            has_more = self.page(&mut pages, &mut parents)?;
            (self.attendant.tell)(taker.spool.rows(), self.bytes);
            if !has_more || taker.is_limited() {
                self.children(plan, keys, parents.take()?, values, taker)?;
            }
        }
        self.log.push(format!("{} of the parent", text::count(parents.count, "record")));
        if parents.twice > 0 {
            self.log.push(format!("{} of the parent came before and were left out", text::count(parents.twice, "record")));
        }
        Ok(())
    }

    fn children(
        &mut self,
        plan: &ApiSourcePlan,
        keys: &[String],
        mut parents: BufReader<File>,
        values: &Values<'_>,
        taker: &mut Taker,
    ) -> Result<(), SourceError> {
        let mut line = String::new();
        loop {
            line.clear();
            if parents.read_line(&mut line).map_err(|error| failed(&error))? == 0 {
                return Ok(());
            }
            let found: Vec<(bool, String)> = serde_json::from_str(&line).map_err(|error| failed(&error.into()))?;
            let own: Vec<(String, String)> = keys.iter().cloned().zip(found.iter().map(|(_, text)| text.clone())).collect();
            let columns = keys.iter().zip(&found).map(|(key, (is_text, text))| {
                let form = if *is_text { Form::Text } else { Form::Bare };
                Ok((format!("parent__{}", path_of(key)?.join("__")), form, text.clone()))
            });
            taker.fix(columns.collect::<Result<_, SourceError>>()?)?;
            let shown: Vec<String> = own.iter().map(|(key, value)| format!("{key} {}", text::shortened(value, 60))).collect();
            let prefix = format!("parent {}, ", shown.join(" "));
            self.resource(plan, &Values { parent: &own, ..values.clone() }, &prefix, taker).map_err(|error| match error.code {
                ENOUGH => error,
                _ => SourceError { message: format!("parent {}: {}", text::printable(&shown.join(" ")), error.message), ..error },
            })?;
        }
    }
}

/// The pages of a resource, as far as they were fetched.
struct Pages<'a> {
    pager: Pager,
    reading: Reading,
    /// What is asked next.
    request: HttpRequest,
    count: u64,
    /// What a page is called by before its number.
    prefix: &'a str,
}

impl<'a> Pages<'a> {
    fn new(plan: &ApiSourcePlan, values: &Values<'_>, prefix: &'a str) -> Result<Self, SourceError> {
        let pager = pager(plan, values)?;
        let reading = reading(plan, &pager)?;
        Ok(Self { request: pager.first(), pager, reading, count: 0, prefix })
    }
}

fn pager(plan: &ApiSourcePlan, values: &Values<'_>) -> Result<Pager, SourceError> {
    Pager::new(&plan.pagination, request::request(plan, values)?, plan.max_pages)
}

fn reading(plan: &ApiSourcePlan, pager: &Pager) -> Result<Reading, SourceError> {
    let records = plan.records.as_deref().map(path_of).transpose()?;
    let values = pager.wanted().iter().map(|path| path_of(path)).collect::<Result<_, _>>()?;
    let record_key = match &plan.pagination {
        Pagination::Cursor { path: None, record_key: Some(key), .. } => Some(path_of(key)?),
        _ => None,
    };
    let is_hashed = plan.pagination != Pagination::None;
    Ok(Reading { format: plan.format, sought: Sought { records, values }, record_key, is_hashed })
}

fn path_of(path: &str) -> Result<Vec<String>, SourceError> {
    path_keys(path).map_err(|message| SourceError::new("invalid", format!("path {path:?}: {message}")))
}

/// What takes the pages of a resource.
trait Sink {
    fn begin_page(&mut self, label: String) -> Result<(), SourceError>;
    fn records(&mut self) -> &mut dyn Records;
}

impl Sink for Taker {
    fn begin_page(&mut self, label: String) -> Result<(), SourceError> {
        self.page(label)
    }

    fn records(&mut self) -> &mut dyn Records {
        self
    }
}

/// Counts records.
struct Counting(u64);

impl Records for Counting {
    fn json(&mut self, _: &[u8], _: ApiFormat) -> Result<(), SourceError> {
        self.0 += 1;
        Ok(())
    }

    fn header(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn fields(&mut self, _: Result<&[Option<Vec<u8>>], String>, _: &[u8]) -> Result<(), SourceError> {
        self.0 += 1;
        Ok(())
    }
}

/// The keys of the parent's records, kept in a file without a name: a line each, once.
struct Parents<'a> {
    keys: &'a [String],
    paths: Vec<Vec<String>>,
    file: BufWriter<File>,
    known: HashSet<[u8; 16]>,
    header: Vec<String>,
    page: String,
    record: u64,
    count: u64,
    twice: u64,
}

impl<'a> Parents<'a> {
    fn new(keys: &'a [String]) -> Result<Self, SourceError> {
        let paths = keys.iter().map(|key| path_of(key)).collect::<Result<_, _>>()?;
        let file = BufWriter::new(tempfile::tempfile().map_err(|error| failed(&error))?);
        Ok(Self { keys, paths, file, known: HashSet::new(), header: Vec::new(), page: String::new(), record: 0, count: 0, twice: 0 })
    }

    fn put(&mut self, found: Vec<Option<(bool, String)>>) -> Result<(), SourceError> {
        self.record += 1;
        if let Some(missing) = found.iter().position(Option::is_none) {
            let message = format!("{}, record {}: no text or number at key {}", self.page, self.record, self.keys[missing]);
            return Err(SourceError::new("invalid_data", message).hint("look at for_each and at the keys that {parent.KEY} names"));
        }
        let line = serde_json::json!(found).to_string();
        let digest: [u8; 32] = Sha256::digest(line.as_bytes()).into();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        if !self.known.insert(short) {
            self.twice += 1;
            return Ok(());
        }
        self.count += 1;
        writeln!(self.file, "{line}").map_err(|error| failed(&error))
    }

    /// Takes those that came since the last time.
    fn take(&mut self) -> Result<BufReader<File>, SourceError> {
        let next = BufWriter::new(tempfile::tempfile().map_err(|error| failed(&error))?);
        let mut file = std::mem::replace(&mut self.file, next).into_inner().map_err(|error| failed(error.error()))?;
        file.seek(SeekFrom::Start(0)).map_err(|error| failed(&error))?;
        Ok(BufReader::new(file))
    }
}

impl Sink for Parents<'_> {
    fn begin_page(&mut self, label: String) -> Result<(), SourceError> {
        (self.page, self.record) = (label, 0);
        Ok(())
    }

    fn records(&mut self) -> &mut dyn Records {
        self
    }
}

impl Records for Parents<'_> {
    fn json(&mut self, raw: &[u8], _: ApiFormat) -> Result<(), SourceError> {
        let mut parser = Parser::new(raw);
        if parser.value(0).and_then(|_| parser.end()).is_err() {
            return Err(SourceError::new("not_json", format!("{}, record {}: not JSON", self.page, self.record + 1)));
        }
        let found = self.paths.iter().map(|keys| {
            let (kind, text) = answer::member(raw, keys)?;
            match kind {
                Kind::Number | Kind::Boolean => Some((false, text.to_owned())),
                Kind::String => {
                    let mut out = Vec::new();
                    let is_text = unescape(text.get(1..text.len() - 1)?.as_bytes(), &mut out);
                    String::from_utf8(out).ok().filter(|text| is_text && !text.contains('\0')).map(|text| (true, text))
                }
                Kind::Null | Kind::List | Kind::Object => None,
            }
        });
        self.put(found.collect())
    }

    fn header(&mut self, names: &[String]) -> Result<(), SourceError> {
        self.header = names.to_vec();
        Ok(())
    }

    fn fields(&mut self, fields: Result<&[Option<Vec<u8>>], String>, _: &[u8]) -> Result<(), SourceError> {
        let fields = fields.map_err(|reason| SourceError::new("invalid_data", format!("{}: {reason}", self.page)))?;
        let value = |key: &String| {
            let place = self.header.iter().position(|name| name == key)?;
            String::from_utf8(fields.get(place)?.clone()?).ok().map(|text| (false, text))
        };
        self.put(self.keys.iter().map(value).collect())
    }
}

fn failed(error: &std::io::Error) -> SourceError {
    SourceError::new("io", format!("keeping the parents of an API in the system's folder for temporary files: {error}"))
        .hint("make room there, or set TMPDIR to a folder with more of it")
}
