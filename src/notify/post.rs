//! A POST to somebody's URL. The URL is a secret: errors name its host alone. Redirects are not followed; the addresses of cloud metadata
//! services and link-local ones are refused, as for sources.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Url, redirect};

use super::channel::SendError;
use crate::clock;
use crate::connect::http::guard::Guard;
use crate::connect::http::{Headers, Wiring, retry_after, why};
use crate::secret::Masker;
use crate::text::{printable, shortened};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 2048;

/// Sends a body; returns the beginning of the answer.
///
/// # Errors
/// It wasn't taken: [`SendError::Permanent`] where the other side will never take it.
pub(super) fn post(url: &str, content_type: &'static str, body: Vec<u8>, limit: Duration) -> Result<String, SendError> {
    let url = Url::parse(url).map_err(|_| SendError::permanent("it is no web address"))?;
    let host = host(&url);
    let (sender, receiver) = mpsc::channel();
    // A thread of its own: neither a name that is looked up nor an answer that drips holds us longer. It ends by its own limits.
    std::thread::spawn(move || sender.send(exchange(&url, content_type, body, limit)));
    receiver
        .recv_timeout(limit)
        .unwrap_or_else(|_| Err(SendError::temporary(format!("{host}: no answer within {} s", limit.as_secs_f64().ceil()))))
}

/// Returns a URL's host and port, as messages name it.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn exchange(url: &Url, content_type: &'static str, body: Vec<u8>, limit: Duration) -> Result<String, SendError> {
    let host = host(url);
    let guard = Guard::new(false);
    let refused = |reason: &str| SendError::permanent(format!("{host}: {}", reason.split(';').next().unwrap_or_default()));
    guard.check_name(url).map_err(|reason| refused(&reason))?;
    let connect_timeout = CONNECT_MAX.min(limit / 2);
    let wiring = Wiring {
        guard,
        redirects: redirect::Policy::none(),
        connect_timeout,
        read_timeout: limit.saturating_sub(connect_timeout),
        sslrootcert: None,
    };
    let client = wiring.client().map_err(|error| SendError::temporary(format!("{host}: {}", error.message)))?;
    let begin = Instant::now();
    let answer = client.post(url.clone()).header(CONTENT_TYPE, content_type).body(body).send().map_err(|error| {
        let reason = why(&error);
        match reason.code {
            "forbidden_address" => refused(&reason.text),
            "invalid_url" => SendError::permanent(format!("{host}: {}", reason.text)),
            "tls" => SendError::temporary(format!("{host}: {}; its certificate is not trusted on this machine", reason.text)),
            _ => SendError::temporary(format!("{host}: {}", reason.text)),
        }
    })?;
    let status = answer.status().as_u16();
    let headers = Headers::from(answer.headers());
    let said = beginning(answer, begin + limit);
    let shown = shown(&said, url);
    match status {
        200..300 => Ok(said),
        300..400 => Err(SendError::permanent(format!("{host}: HTTP {status}: it leads elsewhere; give the address that it leads to"))),
        408 | 425 | 429 | 500.. => {
            let message = format!("{host}: HTTP {status}{shown}");
            Err(SendError::Temporary { message, retry_after: retry_after(&headers, clock::now()) })
        }
        _ => Err(SendError::permanent(format!("{host}: HTTP {status}{shown}"))),
    }
}

/// Reads the beginning of an answer, as far as it comes in time.
fn beginning(answer: impl std::io::Read, until: Instant) -> String {
    let mut answer = answer.take(ANSWER_BYTES_MAX);
    let mut bytes = Vec::new();
    let mut part = [0; 512];
    while Instant::now() < until {
        match answer.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns what was answered as a part of a message: it may repeat the URL, or what stands in it, as it is or decoded.
fn shown(said: &str, url: &Url) -> String {
    let whole = [url.as_str(), url.path().trim_matches('/'), url.query().unwrap_or_default(), url.password().unwrap_or_default()];
    let segments = url.path_segments().into_iter().flatten();
    let values = url.query().into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
    let parts = segments.chain(values).flat_map(|part| [part.to_owned(), decoded(part)]).filter(|part| part.len() >= 4);
    let masker = Masker::new(whole.into_iter().map(str::to_owned).chain(parts));
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { String::new() } else { format!(": {}", shortened(&printable(&masker.mask(&words)), 200)) }
}

/// Returns a part of a URL with its %XX read.
fn decoded(part: &str) -> String {
    let of = format!("_={}", part.replace('+', "%2B"));
    Url::parse(&format!("http://_/?{of}"))
        .ok()
        .and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned()))
        .unwrap_or_default()
}
