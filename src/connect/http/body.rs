//! The body of an answer: decompressed, and ended where it is too large, too slow, cut or damaged. Every end but the true one is an error.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::blocking::Response;
use reqwest::header::CONTENT_ENCODING;

use super::retry::Policy;
use crate::connect::ConnectError;
use crate::text;

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Opens the body of an answer. `what` was asked, for errors.
///
/// # Errors
/// A compression that isn't known; whatever keeps the first bytes away.
pub(super) fn open(response: Response, policy: Policy, what: &str) -> Result<Box<dyn Read + Send>, ConnectError> {
    let encodings = encodings(&response);
    let received = Arc::new(AtomicU64::new(0));
    let wire = Wire { response, received: Arc::clone(&received), spent: Duration::ZERO, policy, what: what.to_owned() };
    let mut wire = BufReader::with_capacity(BLOCK_BYTES, wire);
    let start = wire.fill_buf().map_err(read_failure)?;
    let is_zlib = start.first().is_some_and(|first| first & 0x0f == 8);
    let decoded: Box<dyn Read + Send> = match encodings.as_slice() {
        // What is empty isn't compressed either.
        _ if start.is_empty() => Box::new(io::empty()),
        [] => Box::new(wire),
        [one] => match one.as_str() {
            "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(wire)),
            // Servers send both forms under that name (RFC 9110, 8.4.1.2).
            "deflate" if is_zlib => Box::new(ZlibDecoder::new(wire)),
            "deflate" => Box::new(DeflateDecoder::new(wire)),
            other => return Err(unknown_encoding(what, other)),
        },
        several => return Err(unknown_encoding(what, &several.join(", "))),
    };
    Ok(Box::new(Limited { decoded, received, produced: 0, policy, what: what.to_owned() }))
}

/// Reads the beginning of a body, so that errors in it come now, while the answer can be asked for again.
///
/// # Errors
/// As of reading the body.
pub(super) fn begun(mut body: Box<dyn Read + Send>, bytes: usize) -> Result<Box<dyn Read + Send>, ConnectError> {
    let mut start = Vec::new();
    body.by_ref().take(bytes as u64).read_to_end(&mut start).map_err(read_failure)?;
    let is_whole = start.len() < bytes;
    let start = io::Cursor::new(start);
    Ok(if is_whole { Box::new(start) } else { Box::new(start.chain(body)) })
}

/// Returns what an error of a body means.
pub fn read_failure(error: io::Error) -> ConnectError {
    let is_known = error.get_ref().is_some_and(|inner| inner.is::<ConnectError>());
    if !is_known {
        let message = format!("read an answer: {}", text::printable(&error.to_string()));
        return ConnectError { code: "cut_short", message, hint: None, is_transient: true, retry_after: None };
    }
    let inner = error.into_inner().and_then(|inner| inner.downcast::<ConnectError>().ok());
    *inner.expect("it was looked at")
}

fn encodings(response: &Response) -> Vec<String> {
    let values = response.headers().get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let words = values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase());
    words.filter(|word| !word.is_empty() && word != "identity").collect()
}

fn unknown_encoding(what: &str, encoding: &str) -> ConnectError {
    ConnectError {
        code: "invalid_answer",
        message: format!("{what}: the answer is compressed as {}, which was not asked for", text::printable(encoding)),
        hint: Some("give a header Accept-Encoding: identity".to_owned()),
        is_transient: false,
        retry_after: None,
    }
}

fn failed(code: &'static str, message: String, hint: Option<&str>, is_transient: bool) -> io::Error {
    io::Error::other(ConnectError { code, message, hint: hint.map(str::to_owned), is_transient, retry_after: None })
}

/// The bytes as they come.
struct Wire {
    response: Response,
    received: Arc<AtomicU64>,
    /// How long was waited for them; what the reader does in between doesn't count.
    spent: Duration,
    policy: Policy,
    what: String,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let length = self.response.read(buffer).map_err(|error| self.cut(&error))?;
        self.spent += start.elapsed();
        let received = self.received.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
        let allowed = self.policy.answer_time + Duration::from_secs(received / self.policy.bytes_per_second_min.max(1));
        if length > 0 && self.spent > allowed {
            let message = format!("{}: the answer drips: {} bytes in {} s", self.what, text::grouped(received), self.spent.as_secs());
            return Err(failed("timeout", message, Some("ask for smaller pages"), true));
        }
        Ok(length)
    }
}

impl Wire {
    fn cut(&self, error: &io::Error) -> io::Error {
        let received = text::grouped(self.received.load(Ordering::Relaxed));
        let mut cause: &dyn std::error::Error = error;
        let mut is_timeout = false;
        if let Some(inner) = error.get_ref() {
            is_timeout = inner.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout);
            cause = inner;
        }
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = if is_timeout { "nothing more came in time".to_owned() } else { text::printable(&cause.to_string()).into_owned() };
        failed("cut_short", format!("{}: the answer was cut after {received} bytes: {reason}", self.what), None, true)
    }
}

/// The bytes decompressed.
struct Limited {
    decoded: Box<dyn Read + Send>,
    received: Arc<AtomicU64>,
    produced: u64,
    policy: Policy,
    what: String,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.decoded.read(buffer).map_err(|error| self.damaged(error))?;
        self.produced += length as u64;
        let Policy { body_bytes_max, ratio_bytes_min, ratio_max, .. } = self.policy;
        if self.produced > body_bytes_max {
            let message = format!("{}: the answer has more than {} bytes", self.what, text::grouped(body_bytes_max));
            return Err(failed("too_large", message, Some("ask for smaller pages"), false));
        }
        let received = self.received.load(Ordering::Relaxed);
        if self.produced > ratio_bytes_min && self.produced / received.max(1) > ratio_max {
            let (received, produced) = (text::grouped(received), text::grouped(self.produced));
            let message = format!("{}: {received} bytes became more than {produced}: that is no data", self.what);
            return Err(failed("too_large", message, Some("give a header Accept-Encoding: identity if it is"), false));
        }
        Ok(length)
    }
}

impl Limited {
    fn damaged(&self, error: io::Error) -> io::Error {
        if error.get_ref().is_some_and(|inner| inner.is::<ConnectError>()) {
            return error;
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return failed("cut_short", format!("{}: the compressed answer ends too early", self.what), None, true);
        }
        let message = format!("{}: the answer can't be decompressed: {}", self.what, text::printable(&error.to_string()));
        failed("invalid_answer", message, Some("give a header Accept-Encoding: identity"), false)
    }
}
