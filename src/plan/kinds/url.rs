//! Database servers, named by a URL or by the keys of a connection. The URL is `scheme://user:password@host:port/database?key=value`;
//! messages never hold any of it.

use super::{Given, Map, Wrong, wrong};
use crate::secret::Secret;

/// What a URL says.
#[derive(Debug, Default)]
pub(super) struct ServerUrl {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// What stands behind the question mark.
    pub parameters: Vec<(String, String)>,
}

impl ServerUrl {
    /// Takes a URL of one of some schemes apart.
    ///
    /// # Errors
    /// Another scheme, a port that is none, a `%` that is none: a lower-case fragment.
    pub(super) fn parse(url: &str, schemes: &[&str]) -> Result<Self, String> {
        let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)?.strip_prefix("://"));
        let rest = rest.ok_or_else(|| format!("it does not begin with {}://", schemes[0]))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or_default()),
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        let port = if port.is_empty() { None } else { Some(port.parse().map_err(|_| "its port is no port")?) };
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((key.to_owned(), given(value)?.unwrap_or_default()));
        }
        Ok(Self {
            host: given(host)?,
            port,
            database: given(database)?,
            user: given(user)?,
            password: password.map(given).transpose()?.flatten().map(Secret::new),
            parameters,
        })
    }
}

/// Keys that a URL says already.
const IN_URL: [&str; 5] = ["host", "port", "database", "user", "password"];

/// What is known of a server, by its URL or by keys.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub sslmode: Option<String>,
    pub sslrootcert: Option<String>,
    pub sslcert: Option<String>,
    pub sslkey: Option<String>,
}

impl Parts {
    /// Takes what the files say. `of_url` takes a URL apart, `hint` tells how one is written; without a URL each of the `needed` keys must be
    /// there, or people are told its hint. What concerns TLS may stand beside a URL, and goes before it.
    ///
    /// # Errors
    /// A URL that is none, a URL beside its parts, no such key.
    pub(super) fn of(
        given: &dyn Given,
        of_url: impl Fn(&str) -> Result<Self, String>,
        hint: &'static str,
        needed: &[(&'static str, &'static str)],
    ) -> Result<Self, Wrong> {
        let text = |key| given.text(Map::Connection, key).map(str::to_owned);
        let url = given.secret(Map::Connection, "url")?;
        let mut parts = match &url {
            Some(url) if is_settled(given, url) => of_url(url.expose()).map_err(|message| wrong("url", message, hint))?,
            _ => Self::default(),
        };
        if url.is_some() {
            if let Some(key) = IN_URL.into_iter().find(|key| given.has(Map::Connection, key)) {
                return Err(wrong(key, format!("{key} beside url"), "keep one of them"));
            }
        } else {
            parts.host = text("host");
            parts.port = given.int(Map::Connection, "port").and_then(|port| u16::try_from(port).ok());
            parts.database = text("database");
            parts.user = text("user");
            parts.password = given.secret(Map::Connection, "password")?;
            if let Some((key, hint)) = needed.iter().find(|(key, _)| text(key).is_none()) {
                return Err(wrong(key, format!("no {key}"), hint));
            }
        }
        for (part, key) in [
            (&mut parts.sslmode, "sslmode"),
            (&mut parts.sslrootcert, "sslrootcert"),
            (&mut parts.sslcert, "sslcert"),
            (&mut parts.sslkey, "sslkey"),
        ] {
            *part = text(key).or(part.take());
        }
        Ok(parts)
    }
}

/// Whether a connection's URL is known: neither left out for a listing nor in want of a variable.
fn is_settled(given: &dyn Given, url: &Secret) -> bool {
    !url.expose().is_empty() && (!url.expose().contains("${") || given.shown(Map::Connection, "url") != url.expose())
}

/// Returns a part, `None` where it is empty.
fn given(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    decoded(text).map(Some).ok_or_else(|| "a % in it is not followed by two hex digits".to_owned())
}

/// Returns a text with its `%XX` replaced.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
