//! Asking web servers: what may be asked, with which credentials, how often, and how long an answer may take. Knows nothing of records.
//!
//! Credentials and every header that may hold one go to the origin (scheme, host, port) of `base_url` alone, however a request got there;
//! OAuth2 secrets go to the token server alone. Nothing of a URL's query, of a secret or of a token is in an error or in the log.

mod auth;
mod body;
mod client;
mod failure;
pub mod guard;
mod oauth;
mod retry;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod wire;

use std::io::Read;

use reqwest::Url;
use reqwest::header::HeaderMap;

pub use auth::with_parameter;
pub use body::read_failure;
pub use client::HttpClient;
pub use retry::asked as retry_after;
pub use wire::{Reason, Wiring, why};

use crate::plan::api::{ApiBody, ApiMethod};

/// What is asked.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: ApiMethod,
    /// The whole URL; what it says of a user and a fragment isn't sent.
    pub url: Url,
    /// Headers, without those of the connection's `auth`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<ApiBody>,
}

/// Headers and bodies may hold secrets.
impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HttpRequest({} {})", method_name(self.method), self.url.path())
    }
}

/// What was answered, with a status that says that it is the answer: 200, 201, 203, 204 or 206.
pub struct HttpResponse {
    /// The URL that answered, behind redirects; without what `auth` adds to it.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, decompressed and limited; what its errors mean is told by [`read_failure`].
    pub body: Box<dyn Read + Send>,
}

impl std::fmt::Debug for HttpResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HttpResponse({} of {})", self.status, self.url.path())
    }
}

/// The headers of an answer, in their order. Bytes that are no UTF-8 are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Takes names and values.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// Returns the first value of a header, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Returns every value of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        Self(map.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect())
    }
}

/// Returns a method as requests spell it.
pub fn method_name(method: ApiMethod) -> &'static str {
    match method {
        ApiMethod::Get => "GET",
        ApiMethod::Post => "POST",
    }
}
