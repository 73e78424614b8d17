//! Fetches a URL into a file without a name. http and https only; nothing is sent to hosts that the URL doesn't lead to.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{StatusCode, Url, redirect};

use crate::plan::CsvPlan;
use crate::source::SourceError;
use crate::text;

use super::invalid;

/// How long the answer, and each read of its body, may take; the whole is limited by the run's `timeout_minutes`.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;
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
    refuse_literal(&url, plan.allow_link_local).map_err(|reason| refused(&url, &reason))?;
    Ok(url)
}

/// Fetches a URL whole.
pub(super) fn fetch(plan: &CsvPlan) -> Result<Fetched, SourceError> {
    let url = parse(plan)?;
    let client = client(plan).map_err(|error| failed(&url, &error))?;
    let response = client.get(url.clone()).send().map_err(|error| failed(&url, &error))?;
    let response = require_success(&url, response)?;
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
    let response = client(plan).and_then(|client| client.get(url.clone()).send()).map_err(|error| failed(&url, &error))?;
    let response = require_success(&url, response)?;
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

fn client(plan: &CsvPlan) -> Result<Client, reqwest::Error> {
    let allow_link_local = plan.allow_link_local;
    let policy = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error(format!("more than {REDIRECTS_MAX} redirects"));
        }
        if !matches!(attempt.url().scheme(), "http" | "https") {
            return attempt.error("a redirect leads to a scheme that is neither http nor https");
        }
        if attempt.previous().last().is_some_and(|from| from.scheme() == "https") && attempt.url().scheme() == "http" {
            return attempt.error("a redirect leads from https to http");
        }
        match refuse_literal(attempt.url(), allow_link_local) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    Client::builder()
        .tls_backend_preconfigured(tls())
        .dns_resolver(Arc::new(Guard { allow_link_local }))
        .redirect(policy)
        .referer(false)
        // The bytes as stored: their number is compared with Content-Length.
        .gzip(false)
        .connect_timeout(Duration::from_secs(plan.connect_timeout_seconds.max(1)))
        .timeout(READ_TIMEOUT)
        .user_agent(concat!("etlsched/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Resolves names and refuses forbidden addresses, so that what was checked is what is connected to.
#[derive(Debug)]
struct Guard {
    allow_link_local: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_link_local = self.allow_link_local;
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = (name.as_str(), 0).to_socket_addrs()?.collect();
            if let Some(address) = addresses.iter().find(|address| !allow_link_local && is_forbidden(address.ip())) {
                return Err(forbidden(address.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn refuse_literal(url: &Url, allow_link_local: bool) -> Result<(), String> {
    let host = url.host_str().ok_or("the URL has no host")?;
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) if !allow_link_local && is_forbidden(address) => Err(forbidden(address)),
        _ => Ok(()),
    }
}

fn forbidden(address: IpAddr) -> String {
    format!("{address} is a link-local or cloud metadata address; allow_link_local: true allows it")
}

/// Link-local addresses, and those where clouds hand out credentials (AWS, Alibaba, Azure).
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == Ipv4Addr::new(100, 100, 100, 200) || v4 == Ipv4Addr::new(168, 63, 129, 16),
        IpAddr::V6(v6) => {
            let is_mapped = v6.to_ipv4().is_some_and(|v4| is_forbidden(IpAddr::V4(v4)));
            is_mapped || v6.is_unicast_link_local() || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
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

/// Makes an error of what reqwest reports, with its causes, without the URL's secrets.
fn failed(url: &Url, error: &reqwest::Error) -> SourceError {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    let reason = if error.is_timeout() { "timed out".to_owned() } else { causes.last().cloned().unwrap_or_else(|| "failed".to_owned()) };
    let is_refused = causes.iter().any(|cause| cause.contains("allow_link_local"));
    if is_refused {
        return refused(url, &reason);
    }
    let is_transient = !error.is_redirect() && !error.is_builder();
    SourceError {
        code: "http",
        message: format!("fetch {}: {}", identity(url), text::printable(&reason)),
        hint: None,
        is_transient,
        retry_after: None,
    }
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
