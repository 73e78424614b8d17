//! Tokens by the client credentials grant (RFC 6749, 4.4). The client's secret goes to the token server alone: redirects aren't followed.

use std::io::Read as _;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::auth::{form_encoded, token_basic};
use super::client::HttpClient;
use super::failure::{self, Failure};
use super::{body, wire};
use crate::plan::api::{ClientStyle, Oauth2};
use crate::secret::Secret;

/// The longest answer of a token server.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How long before its end a token is renewed, unless a tenth of its life is less.
const MARGIN: Duration = Duration::from_secs(60);

/// A token and its end.
#[derive(Debug)]
pub(super) struct Token {
    pub value: Secret,
    /// When it is no longer used; without it, when a server refuses it.
    pub until: Option<Instant>,
}

impl Token {
    /// Whether it is still used.
    pub fn is_good(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What token servers answer (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

/// Fetches a token.
///
/// # Errors
/// A token server that isn't reached, or refuses.
pub(super) fn fetch(http: &HttpClient, oauth2: &Oauth2) -> Result<Token, Failure> {
    let url =
        Url::parse(&oauth2.token_url).map_err(|error| Failure::new("invalid_url", format!("token_url is not a URL: {error}"), None))?;
    let what = format!("POST {}", http.credentials.shown(&url));
    http.guard.check_name(&url).map_err(|reason| Failure::new("forbidden_address", format!("{what}: {reason}"), None))?;
    let mut request = http.client.post(url.clone()).header(ACCEPT, "application/json");
    request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(oauth2));
    if oauth2.style == ClientStyle::Basic {
        let header = token_basic(&http.client, &url, oauth2);
        let value = header.and_then(|header| HeaderValue::from_str(header.expose()).ok());
        request = request.header(AUTHORIZATION, value.ok_or_else(|| invalid(&what, "client_id or client_secret can't be sent"))?);
    }
    let response = request.send().map_err(|error| {
        let wire::Reason { code, text, hint, is_transient } = wire::why(&error);
        let mut failure = Failure::new(code, format!("{what}: {}", http.credentials.mask(&text)), hint);
        failure.error.is_transient = is_transient;
        failure
    })?;
    if !response.status().is_success() {
        let mut failure = failure::of_status(response, &what, &http.credentials, &http.timing);
        failure.status = None;
        if failure.error.hint.is_none() || !failure.error.is_transient {
            failure.error.hint = Some("check token_url, client_id, client_secret and scope of the connection".to_owned());
        }
        return Err(failure);
    }
    let mut bytes = Vec::new();
    let body = body::open(response, http.policy, &what)?;
    body.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).map_err(body::read_failure)?;
    read(&bytes, &what, (http.timing.elapsed)())
}

fn form(oauth2: &Oauth2) -> String {
    let mut pairs = vec![("grant_type", "client_credentials")];
    pairs.extend(oauth2.scope.as_deref().map(|scope| ("scope", scope)));
    pairs.extend(oauth2.audience.as_deref().map(|audience| ("audience", audience)));
    if oauth2.style == ClientStyle::Body {
        pairs.extend([("client_id", oauth2.client_id.as_str()), ("client_secret", oauth2.client_secret.0.expose())]);
    }
    form_encoded(&pairs)
}

/// Reads an answer; nothing of it is shown, since it may hold a token.
fn read(bytes: &[u8], what: &str, now: Instant) -> Result<Token, Failure> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| invalid(what, "the token server answered something else than JSON"))?;
    let value = answer.access_token.filter(|token| !token.is_empty()).ok_or_else(|| invalid(what, "the answer has no access_token"))?;
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(invalid(what, "the token is no bearer token, which is the only kind that is known"));
    }
    // A number by the standard; some servers write it as text.
    let seconds = answer.expires_in.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let until = life.and_then(|life| now.checked_add(life - MARGIN.min(life / 10)));
    Ok(Token { value: Secret::new(value), until })
}

fn invalid(what: &str, reason: &str) -> Failure {
    Failure::new("invalid_token", format!("{what}: {reason}"), Some("check token_url of the connection"))
}
