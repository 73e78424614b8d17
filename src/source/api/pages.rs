//! Which page comes next, and which was the last. Sends nothing: it is told what was seen of a page, and makes the next request.
//!
//! A page that is overlooked is data that is lost, and one that comes twice is data that is doubled: where an answer contradicts itself, or
//! pages go round in circles, the load fails.

use std::collections::HashSet;

use reqwest::Url;

use super::{link, parameter};
use crate::connect::http::{Headers, HttpRequest};
use crate::plan::api::{ApiBody, Pagination};
use crate::source::SourceError;

/// The most pages where the plan doesn't say.
const PAGES_MAX: u64 = 1_000_000;
/// How many pages without records may follow each other: filters behind cursors make such pages, and so do endless ones.
const EMPTY_PAGES_MAX: u64 = 1_000;
/// How many pages of equal content in a row are a circle.
const EQUAL_PAGES_MAX: u64 = 3;
/// How many pages in a row whose contents all came before are a circle.
const KNOWN_PAGES_MAX: u64 = 10;

/// What was seen of a page.
#[derive(Debug, Clone)]
pub(super) struct PageSeen {
    /// The URL that answered, behind redirects.
    pub url: Url,
    /// The headers of the answer.
    pub headers: Headers,
    /// How many records it has.
    pub records: u64,
    /// The JSON texts at the paths of [`Pager::wanted`], in their order; `None` where there is nothing.
    pub values: Vec<Option<String>>,
    /// The JSON text of `record_key` in the last record.
    pub last_record_value: Option<String>,
    /// A hash of the records.
    pub digest: [u8; 32],
}

/// Makes the requests of a resource, page by page.
#[derive(Debug)]
pub(super) struct Pager {
    pagination: Pagination,
    first: HttpRequest,
    pages_max: u64,
    /// Pages that were seen.
    pages: u64,
    records: u64,
    /// The page's number or the record's offset of the last request.
    position: u64,
    /// Whether a page was as long as was asked: the server keeps to the size. Until then a shorter page may be what the server cuts to.
    is_size_kept: bool,
    is_probe: bool,
    empty_pages: u64,
    known_pages: u64,
    equal_pages: u64,
    last_digest: Option<[u8; 32]>,
    asked: HashSet<u128>,
    digests: HashSet<u128>,
}

impl Pager {
    /// Begins with the first request, to which the parameters of the first page are added.
    pub fn new(pagination: &Pagination, mut first: HttpRequest, max_pages: Option<u64>) -> Result<Self, SourceError> {
        let mut position = 0;
        if let Pagination::Page { param, start, size_param, size, .. }
        | Pagination::Offset { param, start, limit_param: size_param, limit: size, .. } = pagination
        {
            position = *start;
            set(&mut first, param, &start.to_string())?;
            if let (Some(size_param), Some(size)) = (size_param, size) {
                set(&mut first, size_param, &size.to_string())?;
            }
        }
        let pages_max = max_pages.unwrap_or(PAGES_MAX);
        let asked = HashSet::from([mark(&first)]);
        Ok(Self {
            pagination: pagination.clone(),
            first,
            pages_max,
            pages: 0,
            records: 0,
            position,
            is_size_kept: false,
            is_probe: false,
            empty_pages: 0,
            known_pages: 0,
            equal_pages: 0,
            last_digest: None,
            asked,
            digests: HashSet::new(),
        })
    }

    /// Returns the paths in an answer whose JSON text is wanted.
    pub fn wanted(&self) -> Vec<String> {
        let paths = match &self.pagination {
            Pagination::None | Pagination::LinkHeader { .. } => [None, None],
            Pagination::NextUrl { path } => [Some(path), None],
            Pagination::Cursor { path, has_more, .. } => [path.as_ref(), has_more.as_ref()],
            Pagination::Page { total_pages: total, has_more, .. } | Pagination::Offset { total, has_more, .. } => {
                [total.as_ref(), has_more.as_ref()]
            }
        };
        paths.into_iter().flatten().cloned().collect()
    }

    /// Returns the request of the first page.
    pub fn first(&self) -> HttpRequest {
        self.first.clone()
    }

    /// Whether nothing leads beyond the first page.
    pub fn is_single(&self) -> bool {
        matches!(self.pagination, Pagination::None)
    }

    /// Whether the last request was made only to be sure that the page before it was the last: servers that answer it with 404 mean so.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Returns the request of the next page; `None` where the page was the last.
    pub fn next(&mut self, seen: &PageSeen) -> Result<Option<HttpRequest>, SourceError> {
        self.pages += 1;
        self.records += seen.records;
        self.note_content(seen)?;
        let next = self.following(seen)?;
        let Some(request) = next else { return Ok(None) };
        if self.pages >= self.pages_max {
            let message = format!("{}: there are more than {} pages", shown(&seen.url), self.pages_max);
            return Err(SourceError::new("max_pages", message).hint("raise max_pages, or ask for larger pages"));
        }
        if !self.asked.insert(mark(&request)) {
            let reason = format!("page {} leads to a request that was made before", self.pages);
            return Err(circle(seen, &reason));
        }
        Ok(Some(request))
    }

    /// Convicts pages that repeat what came before, however new their URLs are.
    fn note_content(&mut self, seen: &PageSeen) -> Result<(), SourceError> {
        if seen.records == 0 {
            self.empty_pages += 1;
            if self.empty_pages >= EMPTY_PAGES_MAX {
                return Err(circle(seen, &format!("{EMPTY_PAGES_MAX} pages in a row have no records")));
            }
            return Ok(());
        }
        self.empty_pages = 0;
        let is_equal = self.last_digest.replace(seen.digest) == Some(seen.digest);
        self.equal_pages = if is_equal { self.equal_pages + 1 } else { 1 };
        self.known_pages = if self.digests.insert(short(&seen.digest)) { 0 } else { self.known_pages + 1 };
        if self.equal_pages >= EQUAL_PAGES_MAX {
            return Err(circle(seen, &format!("{EQUAL_PAGES_MAX} pages in a row have equal records")));
        }
        if self.known_pages >= KNOWN_PAGES_MAX {
            return Err(circle(seen, &format!("{KNOWN_PAGES_MAX} pages in a row have records of earlier pages")));
        }
        Ok(())
    }

    fn following(&mut self, seen: &PageSeen) -> Result<Option<HttpRequest>, SourceError> {
        match self.pagination.clone() {
            Pagination::None => Ok(None),
            Pagination::LinkHeader { rel } => self.linked(seen, &rel),
            Pagination::NextUrl { path } => match seen.values.first().and_then(Option::as_deref).filter(|json| !is_nothing(json)) {
                None => Ok(None),
                Some(json) => {
                    let is_text = json.trim_start().starts_with('"');
                    let target = is_text.then(|| parameter::plain(json)).and_then(Result::ok);
                    let target = target.ok_or_else(|| contradiction(seen, &format!("{path} holds no URL")))?;
                    self.led_to(seen, &target).map(Some)
                }
            },
            Pagination::Cursor { path, param, has_more, .. } => self.continued(seen, path.is_some(), &param, has_more.as_deref()),
            Pagination::Page { param, size, total_pages, has_more, .. } => {
                let number = self.position;
                self.position = number.saturating_add(1);
                let pages = self.pages;
                self.counted(seen, &param, size, total_pages.as_deref(), has_more.as_deref(), pages)
            }
            Pagination::Offset { param, start, limit, total, has_more, .. } => {
                self.position = self.position.saturating_add(seen.records);
                // A load may begin behind the first record; a first record is 0 or 1.
                let reached = if start <= 1 { self.records } else { self.position };
                self.counted(seen, &param, limit, total.as_deref(), has_more.as_deref(), reached)
            }
        }
    }

    fn linked(&self, seen: &PageSeen, rel: &str) -> Result<Option<HttpRequest>, SourceError> {
        let mut targets = Vec::new();
        for header in seen.headers.all("link") {
            targets.extend(link::targets(header, rel).map_err(|reason| contradiction(seen, &format!("header Link: {reason}")))?);
        }
        targets.dedup();
        match targets.as_slice() {
            [] => Ok(None),
            [target] => self.led_to(seen, target).map(Some),
            _ => Err(contradiction(seen, &format!("header Link has several targets of {rel}"))),
        }
    }

    /// Returns the first request with another URL: method, headers and body stay. The client keeps credentials from other origins.
    fn led_to(&self, seen: &PageSeen, target: &str) -> Result<HttpRequest, SourceError> {
        let fail = |reason: &str| contradiction(seen, &format!("the URL of the next page {reason}"));
        let mut url = seen.url.join(target.trim()).map_err(|error| fail(&format!("can't be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fail("is neither http nor https"));
        }
        if seen.url.scheme() == "https" && url.scheme() == "http" {
            // Servers behind a proxy that does TLS write http where they mean https; asking by https is never less safe.
            let is_same = url.host_str() == seen.url.host_str() && url.port().is_none() && seen.url.port().is_none();
            if !is_same || url.set_scheme("https").is_err() {
                return Err(fail("leads from https to http"));
            }
        }
        url.set_fragment(None);
        Ok(HttpRequest { url, ..self.first.clone() })
    }

    fn continued(
        &self,
        seen: &PageSeen,
        is_in_answer: bool,
        param: &str,
        has_more: Option<&str>,
    ) -> Result<Option<HttpRequest>, SourceError> {
        let more = match has_more {
            Some(path) => yes_or_no(seen, path, seen.values.get(usize::from(is_in_answer)))?,
            None => None,
        };
        if more == Some(false) {
            return Ok(None);
        }
        let cursor = if is_in_answer { seen.values.first().and_then(Option::as_deref) } else { seen.last_record_value.as_deref() };
        match cursor.filter(|json| !is_nothing(json)) {
            Some(json) => {
                let mut request = self.first.clone();
                set(&mut request, param, json)?;
                Ok(Some(request))
            }
            None if more == Some(true) => Err(contradiction(seen, "there is more, but no cursor leads to it")),
            None if !is_in_answer && seen.records > 0 => Err(contradiction(seen, "the last record has no value for the cursor")),
            None => Ok(None),
        }
    }

    /// Returns the request at the next position. `reached` is how many pages or records were seen, which `total` counts too.
    fn counted(
        &mut self,
        seen: &PageSeen,
        param: &str,
        size: Option<u64>,
        total: Option<&str>,
        has_more: Option<&str>,
        reached: u64,
    ) -> Result<Option<HttpRequest>, SourceError> {
        self.is_probe = false;
        let more = match has_more {
            Some(path) => yes_or_no(seen, path, seen.values.get(usize::from(total.is_some())))?,
            None => None,
        };
        let counted = match total {
            Some(path) => number(seen, path, seen.values.first())?,
            None => None,
        };
        self.is_size_kept |= size.is_some_and(|size| seen.records >= size);
        let is_last = match (more, counted) {
            (Some(more), _) => !more,
            (None, Some(total)) if reached < total && seen.records == 0 => {
                let message = format!("a page without records, though {total} are said to be there and {reached} were read");
                return Err(contradiction(seen, &message).hint("leave the total out of pagination if it is an estimate"));
            }
            (None, Some(total)) if self.pages == 1 && seen.records > 0 && reached > total => {
                let message = format!("{total} are said to be there, and the first page is more");
                return Err(contradiction(seen, &message).hint("leave the total out of pagination if it counts something else"));
            }
            (None, Some(total)) => reached >= total,
            (None, None) => seen.records == 0 || self.is_size_kept && size.is_some_and(|size| seen.records < size),
        };
        if is_last {
            return Ok(None);
        }
        self.is_probe = more.is_none() && counted.is_none();
        let mut request = self.first.clone();
        set(&mut request, param, &self.position.to_string())?;
        Ok(Some(request))
    }
}

fn set(request: &mut HttpRequest, param: &str, json: &str) -> Result<(), SourceError> {
    parameter::set(request, param, json).map_err(|reason| {
        SourceError::new("invalid_pagination", format!("pagination: parameter {reason}")).hint("check pagination and body of the source")
    })
}

/// Whether a JSON text says that nothing follows.
fn is_nothing(json: &str) -> bool {
    matches!(json.trim(), "null" | "\"\"" | "false")
}

fn yes_or_no(seen: &PageSeen, path: &str, value: Option<&Option<String>>) -> Result<Option<bool>, SourceError> {
    match value.and_then(Option::as_deref).map(str::trim) {
        None | Some("null") => Ok(None),
        Some("true" | "\"true\"" | "1") => Ok(Some(true)),
        Some("false" | "\"false\"" | "0") => Ok(Some(false)),
        Some(_) => Err(contradiction(seen, &format!("{path} is neither true nor false"))),
    }
}

fn number(seen: &PageSeen, path: &str, value: Option<&Option<String>>) -> Result<Option<u64>, SourceError> {
    match value.and_then(Option::as_deref).map(|json| json.trim().trim_matches('"')) {
        None | Some("null") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| contradiction(seen, &format!("{path} is no number"))),
    }
}

/// Returns a mark of a request: of its URL and its body.
fn mark(request: &HttpRequest) -> u128 {
    let body = match &request.body {
        None => "",
        Some(ApiBody::Json(text) | ApiBody::Text(text)) => text.as_str(),
    };
    short(blake3::Hasher::new().update(request.url.as_str().as_bytes()).update(b"\0").update(body.as_bytes()).finalize().as_bytes())
}

fn short(digest: &[u8; 32]) -> u128 {
    digest[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn circle(seen: &PageSeen, reason: &str) -> SourceError {
    let message = format!("{}: the pages go round in circles: {reason}", shown(&seen.url));
    SourceError::new("pagination_loop", message).hint("check pagination: the server may not know its parameter")
}

fn contradiction(seen: &PageSeen, reason: &str) -> SourceError {
    SourceError::new("invalid_answer", format!("{}: {reason}", shown(&seen.url))).hint("check pagination of the source")
}

/// Returns where a page came from: the path may hold a secret that only the client knows, the host doesn't.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
