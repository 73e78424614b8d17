//! The client against servers that are slow, rude or mean.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::retry::{Policy, Timing};
use super::*;
use crate::connect::ConnectError;
use crate::connect::servers::http::{HttpServer, Response, script, serve, serve_tls};
use crate::plan::api::{ApiAuth, ApiConnection, ClientStyle, KeyPlace, Oauth2, RateLimit, Token};
use crate::secret::Secret;

mod auth;
mod bodies;
mod redirects;
mod retries;

fn connection(base_url: &str) -> ApiConnection {
    ApiConnection {
        base_url: base_url.to_owned(),
        secrets: Vec::new(),
        auth: ApiAuth::None,
        connect_timeout_seconds: 5,
        read_timeout_seconds: 1,
        rate_limit: None,
        allow_link_local: false,
        sslrootcert: None,
    }
}

fn with_auth(base_url: &str, auth: ApiAuth) -> ApiConnection {
    ApiConnection { auth, ..connection(base_url) }
}

fn bearer(base_url: &str) -> ApiConnection {
    with_auth(base_url, ApiAuth::Bearer(Token(Secret::new("tok-SECRET-77"))))
}

/// A client whose waits are noted and not waited.
struct Bench {
    client: HttpClient,
    waits: Arc<Mutex<Vec<Duration>>>,
}

fn bench(connection: &ApiConnection, policy: Policy) -> Bench {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let slept = Arc::new(AtomicU64::new(0));
    let (noted, clock, start) = (Arc::clone(&waits), Arc::clone(&slept), Instant::now());
    let timing = Timing {
        sleep: Box::new(move |wait: Duration| {
            noted.lock().unwrap().push(wait);
            slept.fetch_add(wait.as_millis() as u64, Ordering::Relaxed);
        }),
        elapsed: Box::new(move || start + Duration::from_millis(clock.load(Ordering::Relaxed))),
        now: Box::new(|| "2026-10-21T07:28:00Z".parse().unwrap()),
        chance: Box::new(|| 1.0),
    };
    Bench { client: HttpClient::with(connection, Guard::new(false), policy, timing).unwrap(), waits }
}

impl Bench {
    fn new(connection: &ApiConnection) -> Self {
        bench(connection, Policy::default())
    }

    fn seconds_waited(&self) -> Vec<u64> {
        self.waits.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    fn get(&mut self, url: &str) -> Result<HttpResponse, ConnectError> {
        self.client.send(&get(url))
    }

    fn text(&mut self, url: &str) -> Result<String, ConnectError> {
        let mut text = String::new();
        self.get(url)?.body.read_to_string(&mut text).map_err(read_failure)?;
        Ok(text)
    }
}

fn get(url: &str) -> HttpRequest {
    HttpRequest { method: ApiMethod::Get, url: Url::parse(url).unwrap(), headers: Vec::new(), body: None }
}

fn post(url: &str, body: &str) -> HttpRequest {
    HttpRequest { method: ApiMethod::Post, body: Some(ApiBody::Json(body.to_owned())), ..get(url) }
}

/// Fails if a text that people or other origins see has the token.
#[track_caller]
fn has_no_secret(text: &str) {
    assert!(!text.contains("SECRET"), "{text}");
}

/// Returns the headers that a server saw in its last request, as one text.
fn last_seen(server: &HttpServer) -> String {
    let seen = server.seen();
    let request = seen.last().expect("a request");
    format!("{} {} {:?} {}", request.method, request.target, request.headers, request.body)
}
