//! The HTTP client below everything: TLS, resolver, timeouts, and what its errors mean.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::redirect;

use super::guard::{self, Guard};
use crate::connect::{ConnectError, tls};
use crate::text;

/// The most headers of an answer; all of them together may have 400 KiB, which is hyper's own limit.
const HEADERS_MAX: usize = 200;

/// How a client reaches servers.
#[derive(Debug)]
pub struct Wiring<'a> {
    /// What may be reached.
    pub guard: Guard,
    /// What becomes of redirects.
    pub redirects: redirect::Policy,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the head of an answer, and each read of its body, may take.
    pub read_timeout: Duration,
    /// Certificates that are trusted beside those of the system.
    pub sslrootcert: Option<&'a Path>,
}

impl Wiring<'_> {
    /// Makes a client. It hands bodies over as they were sent, compressed or not, so that their length can be compared with what was declared.
    ///
    /// # Errors
    /// A file of certificates that can't be read.
    pub fn client(self) -> Result<Client, ConnectError> {
        let made =
            |code, message, hint: &str| ConnectError { code, message, hint: Some(hint.to_owned()), is_transient: false, retry_after: None };
        let tls = tls::web(self.sslrootcert).map_err(|reason| made("tls", reason, "check sslrootcert of the connection"))?;
        Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(self.guard))
            .redirect(self.redirects)
            .referer(false)
            .gzip(false)
            .http1_max_headers(HEADERS_MAX)
            // Retries are counted and logged by whoever asks.
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .timeout(self.read_timeout)
            .user_agent(concat!("etlsched/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| made("http", why(&error).text, "check the proxy that the environment names"))
    }
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable word for scripts.
    pub code: &'static str,
    /// What happened, without the URL.
    pub text: String,
    /// What to do next.
    pub hint: Option<&'static str>,
    /// Whether trying again may help.
    pub is_transient: bool,
}

/// Tells why a request got no answer.
pub fn why(error: &reqwest::Error) -> Reason {
    let mut causes = Vec::new();
    let mut is_tls = false;
    let mut cause = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        is_tls |= is_of_tls(inner);
        cause = inner.source();
    }
    let last = causes.last().cloned().unwrap_or_else(|| "failed".to_owned());
    let reason = |code, hint, is_transient| Reason { code, text: text::printable(&last).into_owned(), hint, is_transient };
    let is_garbage = |cause: &String| ["invalid HTTP", "message head is too large"].iter().any(|text| cause.contains(text));
    if causes.iter().any(|cause| guard::is_refusal(cause)) {
        reason("forbidden_address", None, false)
    } else if error.is_redirect() {
        reason("redirect", None, false)
    } else if error.is_builder() {
        reason("invalid_url", None, false)
    } else if error.is_timeout() {
        Reason { text: "timed out".to_owned(), ..reason("timeout", None, true) }
    } else if is_tls {
        reason("tls", Some("give the certificate of its issuer as sslrootcert, or have the server's mended"), false)
    } else if error.is_connect() {
        reason("unreachable", Some("check the host and the port, and that nothing between keeps them apart"), true)
    } else if causes.iter().any(is_garbage) {
        reason("invalid_answer", Some("what answers there is no web server, or its headers are too large"), false)
    } else {
        reason("disconnected", None, true)
    }
}

/// Whether an error is one of TLS; errors of input and output hide the ones that they wrap from the chain of causes.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_of_tls(wrapped))
}
