//! What an answer that is none means: its status and the beginning of its body, without secrets.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use std::io::Read as _;

use super::auth::Credentials;
use super::retry::{self, Policy, Timing};
use super::{Headers, body};
use crate::connect::ConnectError;
use crate::text;

/// How much of an error's body is shown.
const BODY_CHARACTERS_MAX: usize = 500;
/// How much of it is read, so that a secret that is cut by the limit is known as one.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Why a request has no answer that counts.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: ConnectError,
    /// The status, where there was one.
    pub status: Option<u16>,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self { error, status: None }
    }
}

impl Failure {
    /// Makes a failure that trying again does not help.
    pub fn new(code: &'static str, message: String, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { error: ConnectError { code, message, hint, is_transient: false, retry_after: None }, status: None }
    }
}

/// Whether an answer with this status is the answer. 202 says that it comes later: it has no records, and to load none is to lose all.
pub(super) fn is_answer(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 201 | 203 | 204 | 206)
}

/// Makes a failure of an answer with another status.
pub(super) fn of_status(response: Response, what: &str, credentials: &Credentials, timing: &Timing) -> Failure {
    let status = response.status();
    let headers = Headers::from(response.headers());
    let is_limited = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::FORBIDDEN && retry::is_exhausted(&headers);
    let is_transient = is_limited || matches!(status.as_u16(), 202 | 408 | 425 | 500 | 502 | 503 | 504);
    let retry_after = if is_transient { retry::asked(&headers, (timing.now)()) } else { None };
    let (code, hint) = match status.as_u16() {
        _ if is_limited => ("rate_limited", Some("give the connection a rate_limit that is below the server's")),
        202 => ("not_ready", Some("the server prepares the answer; ask for it later")),
        401 => ("unauthorized", Some("check auth of the connection")),
        403 => ("forbidden", Some("give the credentials the right to read this")),
        404 | 410 => ("not_found", Some("check base_url and endpoint")),
        300..=399 => ("redirect", Some("give the URL that it leads to as base_url")),
        _ => ("http_status", None),
    };
    let message = format!("{what}: the server answered {status}{}", said(response, what, credentials));
    let hint = hint.map(str::to_owned);
    Failure { error: ConnectError { code, message, hint, is_transient, retry_after }, status: Some(status.as_u16()) }
}

/// Returns ": " and the beginning of a body, without secrets and control characters.
fn said(response: Response, what: &str, credentials: &Credentials) -> String {
    let policy = Policy { answer_time: Duration::from_secs(10), ..Policy::default() };
    let mut bytes = Vec::new();
    if let Ok(body) = body::open(response, policy, what) {
        // What came before an error is shown too.
        let _ = body.take(BODY_BYTES_MAX).read_to_end(&mut bytes);
    }
    let masked = credentials.mask(String::from_utf8_lossy(&bytes).trim());
    let shown = text::shortened(&masked, BODY_CHARACTERS_MAX);
    if shown.is_empty() { String::new() } else { format!(": {}", text::printable(&shown)) }
}
