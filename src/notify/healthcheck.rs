//! Pings of a URL that somebody watches: it raises an alarm where they stay away. By the convention of Healthchecks.io: `URL/start`,
//! `URL`, `URL/fail`, each by POST with the end of the log (<https://healthchecks.io/docs/http_api/>).

use std::time::Duration;

use reqwest::Url;

use super::channel::SendError;
use super::post::{host, post};

/// The most bytes of a ping.
const BODY_BYTES_MAX: usize = 10_000;

/// What a ping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A run began: `URL/start`.
    Start,
    /// It refreshed everything: `URL`.
    Success,
    /// It didn't: `URL/fail`.
    Fail,
}

/// Pings a URL; of the body the last 10,000 bytes are sent.
///
/// # Errors
/// The ping wasn't taken. The text names the host alone.
pub fn ping(url: &str, signal: Signal, body: &str, timeout: Duration) -> Result<(), SendError> {
    let url = Url::parse(url).map_err(|_| SendError::permanent("healthcheck_url is no web address"))?;
    let url = signalled(url, signal);
    let host = host(&url);
    let answer = post(url.as_str(), "text/plain; charset=utf-8", tail(body).as_bytes().to_vec(), timeout)?;
    // Its answers to pings that it doesn't count have status 200 too.
    if answer.contains("(not found)") {
        return Err(SendError::permanent(format!("{host}: it knows no such check")));
    }
    if answer.contains("(rate limited)") {
        return Err(SendError::temporary(format!("{host}: it counts no more pings for now")));
    }
    Ok(())
}

/// Returns the URL for a signal: its query stays.
fn signalled(mut url: Url, signal: Signal) -> Url {
    let word = match signal {
        Signal::Start => "start",
        Signal::Success => return url,
        Signal::Fail => "fail",
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(word);
    }
    url
}

/// Returns the end of a text, whole characters, whole lines where there are several.
fn tail(text: &str) -> &str {
    let Some(start) = text.len().checked_sub(BODY_BYTES_MAX) else { return text };
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let tail = &text[start..];
    match tail.split_once('\n') {
        Some((_, rest)) if !rest.is_empty() && start > 0 && !text[..start].ends_with('\n') => rest,
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_goes_behind_the_path_and_the_query_stays() {
        let url = |text: &str, signal| signalled(Url::parse(text).unwrap(), signal).to_string();
        assert_eq!(url("https://hc-ping.com/abc", Signal::Start), "https://hc-ping.com/abc/start");
        assert_eq!(url("https://hc-ping.com/abc/", Signal::Fail), "https://hc-ping.com/abc/fail");
        assert_eq!(url("https://hc-ping.com/abc?create=1", Signal::Fail), "https://hc-ping.com/abc/fail?create=1");
        assert_eq!(url("https://hc-ping.com/abc?rid=1", Signal::Success), "https://hc-ping.com/abc?rid=1");
    }

    #[test]
    fn a_long_log_is_cut_to_its_last_whole_lines() {
        assert_eq!(tail("short"), "short");
        let long = format!("{}\nlast ü", "ü".repeat(BODY_BYTES_MAX));
        assert_eq!(tail(&long), "last ü");
        let one_line = "ü".repeat(BODY_BYTES_MAX);
        assert_eq!(tail(&one_line).len(), BODY_BYTES_MAX);
    }

    #[cfg(unix)]
    #[test]
    fn a_ping_is_a_post_with_the_log() {
        use crate::connect::servers::http::{Response, script};
        let server = script(vec![Response::new(200, "OK"), Response::new(404, "not found")]);
        ping(&server.url("/abc?x=1"), Signal::Fail, "line 1\nline 2", Duration::from_secs(5)).unwrap();
        let seen = &server.seen()[0];
        assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body.as_str()), ("POST", "/abc/fail?x=1", "line 1\nline 2"));
        let error = ping(&server.url("/abc"), Signal::Start, "", Duration::from_secs(5)).unwrap_err();
        assert!(!error.is_temporary() && error.message().contains("HTTP 404"), "{error:?}");
    }
}
