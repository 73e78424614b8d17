//! How requests show who asks, and how many there may be, as files say it.

use super::super::key::{Default, Kind, Level, Part, Status::Works, key};
use super::super::{Given, Map, Tree, Wrong};
use super::wrong;
use crate::plan::api::{ApiAuth, ClientStyle, KeyPlace, Oauth2, RateLimit, Token};
use crate::secret::Secret;
use crate::text::is_http;

pub(super) static LEVEL: Level = Level::new(
    "auth",
    &[Part::Keys(&[
        key("bearer", Kind::Secret, Works, Default::None, "A token, sent as Authorization: Bearer"),
        key("basic", Kind::Map(&BASIC), Works, Default::None, "A user and a password"),
        key("api_key", Kind::Map(&API_KEY), Works, Default::None, "A key in a header or in the query"),
        key("oauth2", Kind::Map(&OAUTH2), Works, Default::None, "A token that is fetched with a client's own credentials"),
    ])],
);

static BASIC: Level = Level::new(
    "auth basic",
    &[Part::Keys(&[
        key("user", Kind::Text, Works, Default::None, "The user"),
        key("password", Kind::Secret, Works, Default::None, "The password"),
    ])],
);

static API_KEY: Level = Level::new(
    "auth api_key",
    &[Part::Keys(&[
        key("header", Kind::Text, Works, Default::None, "The header that carries the key"),
        key("query", Kind::Text, Works, Default::None, "The parameter of the query that carries it"),
        key("value", Kind::Secret, Works, Default::None, "The key"),
    ])],
);

static OAUTH2: Level = Level::new(
    "auth oauth2",
    &[Part::Keys(&[
        key("token_url", Kind::Text, Works, Default::None, "Where tokens are asked for"),
        key("client_id", Kind::Text, Works, Default::None, "The client"),
        key("client_secret", Kind::Secret, Works, Default::None, "Its secret"),
        key("scope", Kind::Text, Works, Default::None, "What the token may be used for"),
        key("audience", Kind::Text, Works, Default::None, "Whom the token is for"),
        key(
            "style",
            Kind::Word(&["basic", "body"]),
            Works,
            Default::Text("basic"),
            "Whether the client shows itself by HTTP Basic or in the body",
        ),
    ])],
);

/// Reads `auth` of a connection.
pub(super) fn read(given: &dyn Given) -> Result<ApiAuth, Wrong> {
    let Some(tree) = given.tree(Map::Connection, "auth") else { return Ok(ApiAuth::None) };
    let Tree::Map(forms) = &tree else {
        return Err(wrong(
            "connection",
            "auth of its connection is no map",
            Some("write auth: {bearer: \"${TOKEN}\"}, {basic: ..}, {api_key: ..} or {oauth2: ..}"),
        ));
    };
    let secret = |path: &[&str]| given.secret_at(Map::Connection, "auth", path);
    let needed = |what: &str, hint| wrong("connection", format!("auth of its connection has no {what}"), Some(hint));
    let [(form, of_form)] = forms.as_slice() else {
        return Err(wrong(
            "connection",
            "auth of its connection must have one form",
            Some("keep one of bearer, basic, api_key and oauth2"),
        ));
    };
    let text = |key: &str| of_form.get(key).and_then(Tree::text).map(str::to_owned);
    Ok(match form.as_str() {
        "bearer" => ApiAuth::Bearer(token(secret(&["bearer"])?, "token", "write auth: {bearer: \"${TOKEN}\"}")?),
        "basic" => {
            let user = text("user").ok_or_else(|| needed("user", "write auth: {basic: {user: .., password: ..}}"))?;
            ApiAuth::Basic { user, password: secret(&["basic", "password"])? }
        }
        "api_key" => {
            let hint = "write auth: {api_key: {header: X-Api-Key, value: \"${KEY}\"}}, or query in place of header";
            let (name, place) = match (text("header"), text("query")) {
                (Some(name), None) => (name, KeyPlace::Header),
                (None, Some(name)) => (name, KeyPlace::Query),
                _ => return Err(needed("one header or query that carries the api_key", hint)),
            };
            ApiAuth::ApiKey { name, value: token(secret(&["api_key", "value"])?, "value of the api_key", hint)?, place }
        }
        "oauth2" => {
            let hint = "write auth: {oauth2: {token_url: .., client_id: .., client_secret: ..}}";
            let token_url = text("token_url").ok_or_else(|| needed("token_url", hint))?;
            if !is_http(&token_url) && !token_url.contains("${") {
                return Err(needed("http(s) URL in token_url", hint));
            }
            ApiAuth::Oauth2(Oauth2 {
                token_url,
                client_id: text("client_id").ok_or_else(|| needed("client_id", hint))?,
                client_secret: token(secret(&["oauth2", "client_secret"])?, "client_secret", hint)?,
                scope: text("scope"),
                audience: text("audience"),
                style: if text("style").as_deref() == Some("body") { ClientStyle::Body } else { ClientStyle::Basic },
            })
        }
        _ => return Ok(ApiAuth::None),
    })
}

fn token(secret: Option<Secret>, what: &str, hint: &'static str) -> Result<Token, Wrong> {
    secret.map(Token).ok_or_else(|| wrong("connection", format!("auth of its connection has no {what}"), Some(hint)))
}

/// Reads `10/s`, `600/min`, `1000/h` or `{requests: 10, seconds: 1}`.
pub(super) fn rate_limit(tree: &Tree) -> Result<RateLimit, Wrong> {
    let whole = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u32>().ok()).filter(|number| *number > 0);
    let limit = match tree {
        Tree::Map(entries) if entries.iter().all(|(key, _)| matches!(key.as_str(), "requests" | "seconds")) => {
            let seconds = tree.get("seconds").map_or(Some(1), |seconds| whole(seconds.text()));
            whole(tree.get("requests").and_then(Tree::text)).zip(seconds)
        }
        Tree::Text(text) => text.split_once('/').and_then(|(requests, span)| {
            let seconds = match span.trim() {
                "s" | "sec" | "second" => 1,
                "m" | "min" | "minute" => 60,
                "h" | "hour" => 3600,
                "d" | "day" => 86_400,
                _ => return None,
            };
            whole(Some(requests)).map(|requests| (requests, seconds))
        }),
        _ => None,
    };
    let (requests, seconds) = limit.ok_or_else(|| {
        wrong(
            "connection",
            "rate_limit of its connection is no number of requests in a time",
            Some("write 10/s, 600/min or {requests: 10, seconds: 1}"),
        )
    })?;
    Ok(RateLimit { requests, seconds })
}
