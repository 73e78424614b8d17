//! Credentials: where they go, and what of a request never leaves its origin.

use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::AUTHORIZATION;

use crate::plan::api::{ApiAuth, ApiConnection, KeyPlace, Oauth2};
use crate::secret::{MASK, Masker, Secret};

/// Headers that other origins may see: none of them says who asks.
const PLAIN_HEADERS: [&str; 5] = ["accept", "accept-language", "content-type", "content-language", "user-agent"];

/// What a connection knows and nobody else may learn.
pub(super) struct Credentials {
    auth: ApiAuth,
    base: Url,
    /// The values of the connection's variables.
    variables: Vec<Secret>,
    /// What hides them and all other secrets in every spelling that an answer or an error may have.
    masker: Masker,
    /// The Authorization header, where there is one.
    header: Option<Secret>,
    /// That of the requests for tokens.
    token_header: Option<Secret>,
}

impl Credentials {
    /// Takes what a connection says.
    pub fn new(connection: &ApiConnection, base: Url, client: &Client) -> Self {
        let auth = connection.auth.clone();
        let header = match &auth {
            ApiAuth::Bearer(token) => Some(Secret::new(format!("Bearer {}", token.0.expose()))),
            ApiAuth::Basic { user, password } => basic(client, &base, user, password.as_ref().map_or("", Secret::expose)),
            ApiAuth::None | ApiAuth::ApiKey { .. } | ApiAuth::Oauth2(_) => None,
        };
        let token_header = match &auth {
            ApiAuth::Oauth2(oauth2) => token_basic(client, &base, oauth2),
            _ => None,
        };
        let variables = connection.secrets.clone();
        let mut credentials = Self { auth, base, variables, masker: Masker::default(), header, token_header };
        credentials.remember(None);
        credentials
    }

    /// Takes a token that was fetched, and hides it from now on.
    pub fn take_token(&mut self, token: &Secret) {
        self.header = Some(Secret::new(format!("Bearer {}", token.expose())));
        self.remember(Some(token));
    }

    fn remember(&mut self, token: Option<&Secret>) {
        let mut known = self.keys();
        known.extend(token.map(|token| token.expose().to_owned()));
        known.extend(self.variables.iter().map(|secret| secret.expose().to_owned()));
        // Of "Basic dXNlcjpwdw==" the part that is the secret.
        let headers = [&self.header, &self.token_header].into_iter().flatten();
        known.extend(headers.filter_map(|header| header.expose().split_once(' ')).map(|(_, value)| value.to_owned()));
        self.masker = Masker::new(known.iter().flat_map(|value| spellings(value)));
    }

    /// Returns the secrets that show who asks.
    fn keys(&self) -> Vec<String> {
        match &self.auth {
            ApiAuth::None => Vec::new(),
            ApiAuth::Bearer(token) | ApiAuth::ApiKey { value: token, .. } => vec![token.0.expose().to_owned()],
            ApiAuth::Basic { password, .. } => password.iter().map(|password| password.expose().to_owned()).collect(),
            ApiAuth::Oauth2(oauth2) => vec![oauth2.client_secret.0.expose().to_owned()],
        }
    }

    /// Whether a URL is of the origin that gets the credentials.
    pub fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Returns the headers of a request that a URL's origin may see, with those of the credentials.
    pub fn headers(&self, url: &Url, given: &[(String, String)]) -> Vec<(String, String)> {
        if !self.is_home(url) {
            let is_plain = |name: &str| PLAIN_HEADERS.iter().any(|plain| plain.eq_ignore_ascii_case(name));
            let is_free = |value: &str| self.masker.mask(value) == value;
            return given.iter().filter(|(name, value)| is_plain(name) && is_free(value)).cloned().collect();
        }
        let mut own: Vec<(String, String)> = Vec::new();
        if let Some(header) = &self.header {
            own.push(("Authorization".to_owned(), header.expose().to_owned()));
        }
        if let ApiAuth::ApiKey { name, value, place: KeyPlace::Header } = &self.auth {
            own.push((name.clone(), value.0.expose().to_owned()));
        }
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut headers: Vec<(String, String)> = given.iter().filter(|(name, _)| !is_own(name)).cloned().collect();
        headers.extend(own);
        headers
    }

    /// Returns a URL as it is sent: with the key in its query, where that is its place.
    pub fn sent(&self, url: &Url) -> Url {
        match &self.auth {
            ApiAuth::ApiKey { name, value, place: KeyPlace::Query } if self.is_home(url) => with_parameter(url, name, value.0.expose()),
            _ => url.clone(),
        }
    }

    /// Whether a URL would tell a secret to another origin: one of `auth` anywhere in it, or a variable's value as one of its query.
    pub fn would_tell(&self, url: &Url) -> bool {
        if self.is_home(url) {
            return false;
        }
        let decoded: Vec<String> = url.query_pairs().flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect();
        let keys = Masker::new(self.keys().iter().flat_map(|value| spellings(value)));
        let is_key = |text: &str| keys.mask(text) != text;
        let is_variable = |text: &String| text.chars().count() >= 4 && self.variables.iter().any(|secret| secret.expose() == text);
        is_key(url.as_str()) || decoded.iter().any(|text| is_key(text) || is_variable(text))
    }

    /// Replaces every known secret in a text.
    pub fn mask(&self, text: &str) -> String {
        self.masker.mask(text)
    }

    /// Returns a URL for people: without user, fragment, the values of its query, and secrets.
    pub fn shown(&self, url: &Url) -> String {
        let mut shown = url.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        shown.set_query(None);
        let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}=…")).collect();
        let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
        crate::text::printable(&self.mask(&format!("{shown}{query}"))).into_owned()
    }
}

/// Returns the Authorization header of HTTP Basic (RFC 7617).
pub(super) fn basic(client: &Client, url: &Url, user: &str, password: &str) -> Option<Secret> {
    let request = client.get(url.clone()).basic_auth(user, Some(password)).build().ok()?;
    request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(Secret::new)
}

/// Returns the Authorization header by which a client shows itself to the token server: both are form-encoded first (RFC 6749, 2.3.1).
pub(super) fn token_basic(client: &Client, url: &Url, oauth2: &Oauth2) -> Option<Secret> {
    let encoded = |value: &str| form_encoded(&[("", value)]).trim_start_matches('=').to_owned();
    basic(client, url, &encoded(&oauth2.client_id), &encoded(oauth2.client_secret.0.expose()))
}

/// Returns a text as `application/x-www-form-urlencoded` spells it.
pub(super) fn form_encoded(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").expect("a URL");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Returns a URL with a parameter of its query set to a value, wherever it stood; all others stay as they are spelled.
pub fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let is_other = |pair: &&str| {
        let mut probe = url.clone();
        probe.set_query(Some(pair));
        !pair.is_empty() && probe.query_pairs().next().is_none_or(|(own, _)| own != name)
    };
    let kept: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    // A space as %20: not every server knows that + is one.
    let own = form_encoded(&[(name, value)]).replace('+', "%20");
    let mut changed = url.clone();
    changed.set_query(Some(&kept.into_iter().chain([own.as_str()]).collect::<Vec<_>>().join("&")));
    changed
}

/// Returns a secret as texts may spell it: as it is, in forms, in paths and in JSON.
fn spellings(secret: &str) -> Vec<String> {
    if secret.is_empty() || secret == MASK {
        return Vec::new();
    }
    let form = form_encoded(&[("", secret)]).trim_start_matches('=').to_owned();
    let mut path = Url::parse("http://path/").expect("a URL");
    path.set_path(secret);
    let json = serde_json::Value::from(secret).to_string();
    let percent = form.replace('+', "%20");
    let path = path.path().trim_start_matches('/').to_owned();
    // Some keep the slash where others write it in percent digits.
    let slashed = percent.replace("%2F", "/");
    let lower = [&form, &percent, &path, &slashed].map(|text| with_small_digits(text));
    let json = json[1..json.len() - 1].to_owned();
    let ascii = in_ascii(&json);
    // PHP escapes slashes.
    let escaped = [&json, &ascii].map(|text| text.replace('/', "\\/"));
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let apostrophes = ["&#39;", "&#x27;", "&apos;"].map(|sign| html.replace('\'', sign));
    let plain = [secret.to_owned(), percent, form, path, slashed, json, ascii, html];
    plain.into_iter().chain(lower).chain(escaped).chain(apostrophes).collect()
}

/// Returns a JSON text with `\uXXXX` for what is not ASCII.
fn in_ascii(json: &str) -> String {
    let mut units = [0; 2];
    let mut written = String::new();
    for sign in json.chars() {
        if sign.is_ascii() {
            written.push(sign);
        } else {
            sign.encode_utf16(&mut units).iter().for_each(|unit| written += &format!("\\u{unit:04x}"));
        }
    }
    written
}

/// Returns a text with the digits of its percent signs in small letters, as some servers spell them.
fn with_small_digits(text: &str) -> String {
    let mut parts = text.split('%');
    let mut small = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..2).unwrap_or(part);
        small += &format!("%{}{}", digits.to_ascii_lowercase(), &part[digits.len()..]);
    }
    small
}
