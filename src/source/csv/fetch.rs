//! Fetches a URL into a file without a name. http and https only; nothing is sent to hosts that the URL doesn't lead to.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::{StatusCode, Url, redirect};

use crate::connect::http::guard::{self, Guard};
use crate::connect::http::{self, Reason, Wiring};
use crate::plan::CsvPlan;
use crate::source::SourceError;
use crate::text;

use super::invalid;

/// How long the answer, and each read of its body, may take; the whole is limited by the run's `timeout_minutes`.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes that are fetched (16 GiB).
const BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// How much of an error's body is shown.
const BODY_CHARACTERS_MAX: usize = 500;

/// A file that was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub file: File,
    pub size: u64,
    /// The URL without user, password, fragment and the values of its query.
    pub identity: String,
    /// The last part of its path.
    pub name: String,
}

/// Whether a path is a URL: it has a scheme of two letters or more (a drive has one).
pub(super) fn is_url(path: &str) -> bool {
    path.split_once("://")
        .is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '+'))
}

/// Checks a URL without fetching it.
pub(super) fn parse(plan: &CsvPlan) -> Result<Url, SourceError> {
    let url = Url::parse(&plan.path).map_err(|error| invalid("invalid_url", format!("the path is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("invalid_url", format!("{}: only http and https are fetched", identity(&url))));
    }
    Guard::new(plan.allow_link_local).check(&url).map_err(|reason| refused(&url, &reason))?;
    Ok(url)
}

/// Fetches a URL whole.
pub(super) fn fetch(plan: &CsvPlan) -> Result<Fetched, SourceError> {
    let url = parse(plan)?;
    let response = ask(plan, &url)?;
    let declared = response.content_length();
    if declared.is_some_and(|bytes| bytes > BYTES_MAX) {
        return Err(too_large(&url));
    }
    let (file, size) = spool(&url, response)?;
    if declared.is_some_and(|bytes| bytes != size) {
        let message = format!("fetch {}: {size} bytes arrived of {}", identity(&url), declared.unwrap_or(0));
        return Err(SourceError { code: "cut_short", message, hint: None, is_transient: true, retry_after: None });
    }
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).filter(|name| !name.is_empty());
    Ok(Fetched { file, size, name: name.unwrap_or("data").to_owned(), identity: identity(&url) })
}

/// Asks for a URL and reads nothing but the answer's head.
pub(super) fn test(plan: &CsvPlan) -> Result<String, SourceError> {
    let url = parse(plan)?;
    let response = ask(plan, &url)?;
    Ok(match response.content_length() {
        Some(bytes) => format!("1 file, {}", super::size(bytes)),
        None => "1 file of unknown size".to_owned(),
    })
}

/// Returns a URL that can be shown and kept: its query, which may hold a token, is replaced by a hash.
pub(super) fn identity(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    let query = url.query().map(|query| format!("?{}", &blake3::hash(query.as_bytes()).to_hex()[..16]));
    shown.set_query(None);
    format!("{shown}{}", query.unwrap_or_default())
}

fn client(plan: &CsvPlan) -> Result<Client, SourceError> {
    let guard = Guard::new(plan.allow_link_local);
    let policy = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > guard::REDIRECTS_MAX {
            return attempt.error(format!("more than {} redirects", guard::REDIRECTS_MAX));
        }
        let refusal = attempt.previous().last().map_or(Ok(()), |from| guard.check_redirect(from, attempt.url()));
        match refusal {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    let wiring = Wiring {
        guard,
        redirects: policy,
        connect_timeout: Duration::from_secs(plan.connect_timeout_seconds.max(1)),
        read_timeout: READ_TIMEOUT,
        sslrootcert: None,
    };
    Ok(wiring.client()?)
}

/// Asks for a URL and returns the head of its answer.
fn ask(plan: &CsvPlan, url: &Url) -> Result<Response, SourceError> {
    Guard::new(plan.allow_link_local).check_name(url).map_err(|reason| refused(url, &reason))?;
    let response = client(plan)?.get(url.clone()).send().map_err(|error| failed(url, &error))?;
    require_success(url, response)
}

fn require_success(url: &Url, response: Response) -> Result<Response, SourceError> {
    let status = response.status();
    if status.is_success() {
        if status != StatusCode::OK {
            return Err(invalid("http_status", format!("fetch {}: the server answered {status}, not 200", identity(url))));
        }
        return Ok(response);
    }
    let mut body = Vec::new();
    let _ = response.take(4 * BODY_CHARACTERS_MAX as u64).read_to_end(&mut body);
    let body = String::from_utf8_lossy(&body);
    let body = text::shortened(body.trim(), BODY_CHARACTERS_MAX);
    let shown = if body.is_empty() { String::new() } else { format!(": {}", text::printable(&body)) };
    let is_transient = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    let code = if matches!(status.as_u16(), 404 | 410) { "not_found" } else { "http_status" };
    Err(SourceError {
        code,
        message: format!("fetch {}: the server answered {status}{shown}", identity(url)),
        hint: None,
        is_transient,
        retry_after: None,
    })
}

fn spool(url: &Url, mut response: Response) -> Result<(File, u64), SourceError> {
    let local = |error: std::io::Error| SourceError {
        code: "io",
        message: format!("keep what {} sends: {error}", identity(url)),
        hint: Some("it is kept in the system's folder for temporary files".to_owned()),
        is_transient: true,
        retry_after: None,
    };
    let mut file = tempfile::tempfile().map_err(local)?;
    let mut size = 0;
    let mut block = vec![0; 256 * 1024];
    loop {
        let length = response.read(&mut block).map_err(|error| SourceError {
            code: "cut_short",
            message: format!("fetch {}: cut after {size} bytes: {error}", identity(url)),
            hint: None,
            is_transient: true,
            retry_after: None,
        })?;
        if length == 0 {
            break;
        }
        size += length as u64;
        if size > BYTES_MAX {
            return Err(too_large(url));
        }
        file.write_all(&block[..length]).map_err(local)?;
    }
    file.rewind().map_err(local)?;
    Ok((file, size))
}

fn too_large(url: &Url) -> SourceError {
    invalid("too_large", format!("fetch {}: more than 16 GiB", identity(url))).hint("fetch it by other means and load the file")
}

fn refused(url: &Url, reason: &str) -> SourceError {
    invalid("forbidden_address", format!("fetch {}: {reason}", identity(url)))
}

/// Makes an error of what reqwest reports, without the URL's secrets.
fn failed(url: &Url, error: &reqwest::Error) -> SourceError {
    let Reason { code, text, hint, is_transient } = http::why(error);
    let message = format!("fetch {}: {text}", identity(url));
    SourceError { code, message, hint: hint.map(str::to_owned), is_transient, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Encoding;
    use std::net::TcpListener;

    fn plan(path: &str) -> CsvPlan {
        CsvPlan {
            path: path.to_owned(),
            path_secrets: Vec::new(),
            delimiter: None,
            quote: None,
            header: None,
            encoding: Encoding::Auto,
            null_values: None,
            connect_timeout_seconds: 5,
            allow_link_local: false,
        }
    }

    /// Serves each answer once, in order, on a port of its own; `{port}` in an answer is that port.
    fn serve(answers: &[&str]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Vec<String> = answers.iter().map(|answer| answer.replace("{port}", &port.to_string())).collect();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    #[test]
    fn a_url_is_fetched_whole_through_redirects() {
        let port = serve(&[
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/b.csv\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nid\n1\n2\n\n",
        ]);
        let fetched = fetch(&plan(&format!("http://u:secret@127.0.0.1:{port}/a.csv?token=abc"))).unwrap();
        let mut file = fetched.file;
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fetched.size, fetched.name.as_str()), ("id\n1\n2\n\n", 8, "a.csv"));
        assert!(!fetched.identity.contains("secret") && !fetched.identity.contains("abc"), "{}", fetched.identity);
    }

    #[test]
    fn a_short_or_refused_answer_is_an_error() {
        let port = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nid\n1\n",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ]);
        let url = format!("http://127.0.0.1:{port}/a.csv");
        let short = fetch(&plan(&url)).unwrap_err();
        assert_eq!((short.code, short.is_transient), ("cut_short", true), "{short}");
        let busy = fetch(&plan(&url)).unwrap_err();
        assert_eq!(busy.to_string(), format!("fetch {url}: the server answered 503 Service Unavailable: busy"));
        assert!(busy.is_transient);
        let gone = fetch(&plan(&url)).unwrap_err();
        assert_eq!((gone.code, gone.is_transient), ("not_found", false));
    }

    #[test]
    fn a_secret_in_the_path_of_a_url_is_neither_kept_nor_shown() {
        let port = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nid\n1\n"]);
        let secret = crate::secret::Secret::new("to ken/77");
        let plan = CsvPlan { path_secrets: vec![secret], ..plan(&format!("http://127.0.0.1:{port}/to%20ken/77/a.csv")) };
        let files = super::super::input::locate(&plan).unwrap();
        let start = format!("http://127.0.0.1:{port}/***/a.csv#");
        assert!(files[0].identity.starts_with(&start), "{}", files[0].identity);
    }

    #[test]
    fn metadata_addresses_are_refused_directly_and_behind_a_redirect() {
        for url in ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://0xA9FEA9FE/"] {
            assert_eq!(fetch(&plan(url)).unwrap_err().code, "forbidden_address", "{url}");
        }
        let port = serve(&["HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]);
        assert_eq!(fetch(&plan(&format!("http://127.0.0.1:{port}/"))).unwrap_err().code, "forbidden_address");
        assert_eq!(fetch(&plan("ftp://example.com/a.csv")).unwrap_err().code, "invalid_url");
    }
}
