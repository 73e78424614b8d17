//! Sends a request until it is answered: the pace, the redirects, the tries.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url, redirect};

use super::auth::Credentials;
use super::failure::{self, Failure};
use super::guard::{self, Guard};
use super::oauth::{self, Token};
use super::retry::{Pace, Policy, Timing};
use super::wire::{self, Wiring};
use super::{Headers, HttpRequest, HttpResponse, body, method_name};
use crate::connect::ConnectError;
use crate::plan::api::{ApiAuth, ApiBody, ApiConnection, ApiMethod};
use crate::text;

/// Headers that the client alone writes.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];

/// A web server that is asked, with its credentials and its pace.
pub struct HttpClient {
    pub(super) client: Client,
    pub(super) guard: Guard,
    pub(super) credentials: Credentials,
    pub(super) policy: Policy,
    pub(super) timing: Timing,
    auth: ApiAuth,
    token: Option<Token>,
    pace: Option<Pace>,
    /// Hosts whose addresses were looked at.
    looked_at: HashSet<String>,
    log: Vec<String>,
    /// How often, and how long, the pace made requests wait since the log was taken.
    paced: (u64, Duration),
    /// Raised where nothing more is to be asked.
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("HttpClient")
    }
}

impl HttpClient {
    /// Makes a client of what a connection says. Nothing is sent yet.
    ///
    /// # Errors
    /// A `base_url` that is no http(s) URL, has a user, or leads to a forbidden address; certificates that can't be read.
    pub fn open(connection: &ApiConnection) -> Result<Self, ConnectError> {
        Self::with(connection, Guard::new(connection.allow_link_local), Policy::default(), Timing::default())
    }

    pub(super) fn with(connection: &ApiConnection, guard: Guard, policy: Policy, timing: Timing) -> Result<Self, ConnectError> {
        let refused = |code, message: String, hint: &str| Failure::new(code, message, Some(hint)).error;
        let base = Url::parse(&connection.base_url)
            .map_err(|error| refused("invalid_url", format!("base_url is not a URL: {error}"), "write it as https://host/path"))?;
        if !base.username().is_empty() || base.password().is_some() {
            let message = "base_url holds a user or a password".to_owned();
            return Err(refused("invalid_url", message, "write them under auth: {basic: {user: .., password: ..}}"));
        }
        let wiring = Wiring {
            guard,
            redirects: redirect::Policy::none(),
            connect_timeout: Duration::from_secs(connection.connect_timeout_seconds.max(1)),
            read_timeout: Duration::from_secs(connection.read_timeout_seconds.max(1)),
            sslrootcert: connection.sslrootcert.as_deref(),
        };
        let client = wiring.client()?;
        let credentials = Credentials::new(connection, base.clone(), &client);
        guard.check(&base).map_err(|reason| refused_url(&format!("base_url {}", credentials.shown(&base)), &reason).error)?;
        Ok(Self {
            client,
            guard,
            credentials,
            policy,
            timing,
            auth: connection.auth.clone(),
            token: None,
            pace: connection.rate_limit.map(Pace::new),
            looked_at: HashSet::new(),
            log: Vec::new(),
            paced: (0, Duration::ZERO),
            stop: Arc::default(),
        })
    }

    /// Ends what it does, also in the midst of a wait or of an answer that comes, once a flag is raised.
    pub fn stop_by(&mut self, flag: Arc<AtomicBool>) {
        self.stop = flag;
    }

    /// Hands answers over as they come, for whoever looks at their beginnings: one that is cut is not asked for again.
    pub fn hand_over_early(&mut self) {
        self.policy.is_whole = false;
    }

    /// Fails where nothing more is to be asked.
    ///
    /// # Errors
    /// The flag of [`HttpClient::stop_by`] is raised.
    pub fn go_on(&self) -> Result<(), ConnectError> {
        body::go_on(&self.stop)
    }

    /// Sends a request and returns its answer, once its head is there. Asks again where that may help, with waits in between.
    ///
    /// # Errors
    /// No answer, or one with another status than those of [`HttpResponse`]; a redirect that isn't followed.
    pub fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, ConnectError> {
        let mut waited = Duration::ZERO;
        let mut is_renewed = false;
        let mut tries = 1;
        loop {
            let failure = match self.ask(request) {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if failure.status == Some(401) && self.token.is_some() && !is_renewed {
                is_renewed = true;
                self.token = None;
                self.log.push(format!("{}; a new token is fetched", failure.error.message));
                continue;
            }
            let mut error = failure.error;
            if !error.is_transient || tries >= self.policy.tries {
                if tries > 1 {
                    error.message += &format!(" ({tries} requests in one attempt)");
                }
                return Err(error);
            }
            let wait = self.policy.wait(tries, error.retry_after, (self.timing.chance)());
            if wait > self.policy.retry_after_max || waited + wait > self.policy.waits_max {
                error.message += &format!(" (asks to wait {} s)", text::grouped(wait.as_secs()));
                error.retry_after = Some(wait);
                return Err(error);
            }
            tries += 1;
            let seconds = wait.as_secs_f64();
            self.log.push(format!("{}; asked again after {seconds:.1} s, request {tries} of {}", error.message, self.policy.tries));
            (self.timing.sleep)(wait, &self.stop);
            waited += wait;
        }
    }

    /// Takes the lines about tries and waits, for the execution log.
    pub fn take_log(&mut self) -> Vec<String> {
        let (times, waited) = std::mem::take(&mut self.paced);
        if times > 0 {
            let before = text::count(times, "request");
            self.log.push(format!("rate_limit: waited {:.1} s in all before {before}", waited.as_secs_f64()));
        }
        std::mem::take(&mut self.log)
    }

    /// Returns a URL for people: without user, fragment, the values of its query, and secrets.
    pub fn shown(&self, url: &Url) -> String {
        self.credentials.shown(url)
    }

    /// Replaces every secret of the connection in a text.
    pub fn mask(&self, text: &str) -> String {
        self.credentials.mask(text)
    }

    fn authorize(&mut self) -> Result<(), Failure> {
        let ApiAuth::Oauth2(oauth2) = &self.auth else { return Ok(()) };
        let now = (self.timing.elapsed)();
        if self.token.as_ref().is_some_and(|token| token.is_good(now)) {
            return Ok(());
        }
        let token = oauth::fetch(self, oauth2)?;
        self.credentials.take_token(&token.value);
        self.token = Some(token);
        Ok(())
    }

    /// Sends a request and follows its redirects.
    fn ask(&mut self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let mut url = bare(request.url.clone());
        let mut hops = 0;
        loop {
            let what = format!("{} {}", method_name(request.method), self.credentials.shown(&url));
            self.look_at(&url).map_err(|reason| refused_url(&what, &reason))?;
            self.keep_pace();
            self.go_on()?;
            if self.credentials.is_home(&url) {
                // Behind the wait, which may outlast a token.
                self.authorize()?;
            }
            let response = self.exchange(request, &url, &what)?;
            let status = response.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) || !response.headers().contains_key(LOCATION) {
                return self.answer(response, url, &what);
            }
            hops += 1;
            if hops > guard::REDIRECTS_MAX {
                let message = format!("{what}: more than {} redirects", guard::REDIRECTS_MAX);
                return Err(Failure::new("redirect", message, Some("check base_url and endpoint")));
            }
            url = self.next_hop(request, &url, &response).map_err(|reason| {
                let hint = if guard::is_refusal(&reason) { None } else { Some("give the URL that it leads to as base_url") };
                let code = if guard::is_refusal(&reason) { "forbidden_address" } else { "redirect" };
                Failure::new(code, format!("{what}: {reason}"), hint)
            })?;
        }
    }

    fn look_at(&mut self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default();
        if self.looked_at.contains(host) {
            return self.guard.check(url);
        }
        self.guard.check_name(url)?;
        self.looked_at.insert(host.to_owned());
        Ok(())
    }

    /// Returns where a redirect leads, if it may be followed.
    fn next_hop(&self, request: &HttpRequest, from: &Url, response: &Response) -> Result<Url, String> {
        let location = response.headers().get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let to = from.join(&location.unwrap_or_default()).map_err(|error| format!("a redirect leads nowhere: {error}"))?;
        let to = bare(to);
        self.guard.check_redirect(from, &to)?;
        let status = response.status();
        let is_changed = matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER);
        if is_changed && (request.method == ApiMethod::Post || request.body.is_some()) {
            return Err(format!("{status} leads to {} and would drop the body", self.credentials.shown(&to)));
        }
        if request.body.is_some() && !self.credentials.is_home(&to) {
            return Err(format!("a redirect would send the body to another origin, {}", self.credentials.shown(&to)));
        }
        if self.credentials.would_tell(&to) {
            return Err(format!("a redirect would tell a secret to another origin, {}", self.credentials.shown(&to)));
        }
        Ok(to)
    }

    /// Sends a request to one URL.
    fn exchange(&mut self, request: &HttpRequest, url: &Url, what: &str) -> Result<Response, Failure> {
        if self.credentials.would_tell(url) || request.body.is_some() && !self.credentials.is_home(url) {
            let message = format!("{what}: the request would tell the connection's secrets to another origin than base_url");
            return Err(Failure::new("foreign_origin", message, Some("use a connection whose base_url is there")));
        }
        let built = self.build(request, url, what)?;
        let answered = self.client.execute(built);
        if let Some(pace) = &mut self.pace {
            pace.note((self.timing.elapsed)());
        }
        answered.map_err(|error| {
            let wire::Reason { code, text, hint, is_transient } = wire::why(&error);
            let mut failure = Failure::new(code, format!("{what}: {}", self.credentials.mask(&text)), hint);
            failure.error.is_transient = is_transient;
            failure
        })
    }

    fn keep_pace(&mut self) {
        let Some(pace) = &self.pace else { return };
        let wait = pace.wait((self.timing.elapsed)());
        if !wait.is_zero() {
            self.paced = (self.paced.0 + 1, self.paced.1 + wait);
            (self.timing.sleep)(wait, &self.stop);
        }
    }

    fn build(&self, request: &HttpRequest, url: &Url, what: &str) -> Result<reqwest::blocking::Request, Failure> {
        let method = match request.method {
            ApiMethod::Get => Method::GET,
            ApiMethod::Post => Method::POST,
        };
        let mut built = reqwest::blocking::Request::new(method, self.credentials.sent(url));
        for (name, value) in self.credentials.headers(url, &request.headers) {
            let shown = text::printable(&name).into_owned();
            let invalid =
                |reason: &str| Failure::new("invalid_header", format!("{what}: header {shown} {reason}"), Some("check headers and auth"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("has a name that can't be sent"))?;
            if OWN_HEADERS.contains(&key.as_str()) {
                return Err(invalid("is written by the client alone"));
            }
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid("has a value that can't be sent"))?;
            value.set_sensitive(true);
            built.headers_mut().append(key, value);
        }
        let headers = built.headers_mut();
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip, deflate"));
        if let Some(body) = &request.body {
            let text = match body {
                ApiBody::Json(text) => {
                    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                    text
                }
                ApiBody::Text(text) => text,
            };
            *built.body_mut() = Some(text.clone().into());
        }
        Ok(built)
    }

    fn answer(&self, response: Response, url: Url, what: &str) -> Result<HttpResponse, Failure> {
        let status = response.status();
        if !failure::is_answer(status) {
            let mut failure = failure::of_status(response, what, &self.credentials, &self.timing);
            if matches!(failure.status, Some(401 | 403)) && !failure.error.is_transient && !self.credentials.is_home(&url) {
                let hint = "credentials go to the origin of base_url alone; give the URL that answered as base_url if it is yours";
                failure.error.hint = Some(hint.to_owned());
                // A new token wouldn't be sent there either.
                failure.status = None;
            }
            return Err(failure);
        }
        let headers = Headers::from(response.headers());
        let body = body::open(response, self.policy, what)?;
        let body = if self.policy.is_whole { body::whole(body, self.policy.held_bytes_max, &self.stop)? } else { body };
        Ok(HttpResponse { url, status: status.as_u16(), headers, body })
    }
}

/// Returns a URL without what says who asks, and without what isn't sent.
fn bare(mut url: Url) -> Url {
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

fn refused_url(what: &str, reason: &str) -> Failure {
    let code = if guard::is_refusal(reason) { "forbidden_address" } else { "invalid_url" };
    Failure::new(code, format!("{what}: {reason}"), None)
}
