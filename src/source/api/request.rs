//! Makes the first request of a resource of what its plan says: values are put into its texts, each encoded for where it stands.

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Url;

use super::syntax::{Parser, unescape};
use crate::batch::ColumnType;
use crate::connect::http::HttpRequest;
use crate::plan::api::template::{Form, Hole, Piece, Unknown, What, pieces};
use crate::plan::api::{ApiBody, ApiConnection, ApiSourcePlan};
use crate::run::CursorValue;
use crate::source::{Moments, SourceError};

/// What may be put into texts.
#[derive(Debug, Clone)]
pub(super) struct Values<'a> {
    /// The closed lower bound of the cursor column; `None` in a first run.
    pub lower_bound: Option<&'a CursorValue>,
    /// The declared type of the cursor column.
    pub cursor_type: Option<ColumnType>,
    pub moments: Moments,
    /// The keys of the parent's record with their values.
    pub parent: &'a [(String, String)],
}

/// Where a value is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Url,
    Text,
}

/// Returns the first request of a resource.
pub(super) fn request(plan: &ApiSourcePlan, values: &Values<'_>) -> Result<HttpRequest, SourceError> {
    let endpoint = filled("endpoint", &plan.endpoint, values, Place::Url, Unknown::Refused)?;
    let mut url = url(&plan.connection, &endpoint)?;
    if !plan.params.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, value) in &plan.params {
            let value = filled(&format!("params.{name}"), value, values, Place::Text, Unknown::Refused)?;
            query.append_pair(name, &value);
        }
    }
    let mut headers = Vec::with_capacity(plan.headers.len());
    for (name, value) in &plan.headers {
        let value = filled(&format!("headers.{name}"), value, values, Place::Text, Unknown::Refused)?;
        if value.contains(['\r', '\n', '\0']) {
            return Err(invalid(format!("headers.{name}: its value would have a line break in it")));
        }
        headers.push((name.clone(), value));
    }
    let body = match &plan.body {
        None => None,
        Some(ApiBody::Text(text)) => Some(ApiBody::Text(filled("body", text, values, Place::Text, Unknown::Kept)?)),
        Some(ApiBody::Json(text)) => Some(ApiBody::Json(json(text, values)?)),
    };
    Ok(HttpRequest { method: plan.method, url, headers, body })
}

/// Returns the URL of an endpoint, which lies below `base_url` or is a whole URL of the same origin.
pub(super) fn url(connection: &ApiConnection, endpoint: &str) -> Result<Url, SourceError> {
    let base = &connection.base_url;
    let parse = |text: &str| Url::parse(text).map_err(|error| invalid(format!("endpoint and base_url make no URL: {error}")));
    let is_whole =
        ["http://", "https://"].iter().any(|scheme| endpoint.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)));
    if is_whole {
        let (url, base) = (parse(endpoint)?, parse(base)?);
        if url.origin() != base.origin() {
            let error = invalid(format!(
                "endpoint leads to {}, and base_url to {}",
                url.origin().ascii_serialization(),
                base.origin().ascii_serialization()
            ));
            return Err(error.hint("make a connection for each host"));
        }
        return Ok(url);
    }
    let (base, base_query) = base.split_once('?').unwrap_or((base, ""));
    let mut text = base.to_owned();
    if !endpoint.is_empty() {
        let is_query = endpoint.starts_with('?');
        if !is_query && !text.ends_with('/') {
            text.push('/');
        }
        text.push_str(endpoint.trim_start_matches('/'));
    }
    if !base_query.is_empty() {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(base_query);
    }
    parse(&text)
}

fn filled(key: &str, text: &str, values: &Values<'_>, place: Place, unknown: Unknown) -> Result<String, SourceError> {
    let wrong = |message: String| invalid(format!("{key}: {message}"));
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text, unknown).map_err(wrong)? {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Hole(hole) => {
                let value = value(&hole, values).map_err(wrong)?;
                if place == Place::Text {
                    out.push_str(&value);
                } else if value == "." || value == ".." || value.is_empty() {
                    return Err(wrong(format!("{value:?} can't be a part of a path")));
                } else {
                    encode(&value, &mut out);
                }
            }
        }
    }
    Ok(out)
}

/// Returns a JSON text with values put into its strings; all else stays to the byte.
fn json(text: &str, values: &Values<'_>) -> Result<String, SourceError> {
    let mut out = String::with_capacity(text.len());
    let mut parser = Parser::new(text.as_bytes());
    let broken = || invalid("body is no JSON".to_owned());
    while let Some(length) = memchr::memchr(b'"', &text.as_bytes()[parser.at..]) {
        out.push_str(&text[parser.at..parser.at + length]);
        parser.at += length;
        let start = parser.at;
        let quoted = parser.string().map_err(|_| broken())?;
        let mut plain = Vec::new();
        let is_text = unescape(quoted.inner, &mut plain);
        let plain = String::from_utf8(plain).ok().filter(|_| is_text).ok_or_else(broken)?;
        let put = filled("body", &plain, values, Place::Text, Unknown::Kept)?;
        if put == plain {
            out.push_str(&text[start..parser.at]);
        } else {
            out.push_str(&serde_json::Value::from(put).to_string());
        }
    }
    out.push_str(&text[parser.at..]);
    Ok(out)
}

/// Appends a value for any place of a URL: everything but the unreserved characters (RFC 3986, 2.3) as `%XX`.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn value(hole: &Hole, values: &Values<'_>) -> Result<String, String> {
    match &hole.what {
        What::Slot => instant(values.moments.slot, hole.form),
        What::RunStarted => instant(values.moments.run_started, hole.form),
        What::Parent(key) => {
            let found = values.parent.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone());
            found.ok_or_else(|| format!("{{parent.{key}}} without for_each"))
        }
        What::LowerBound => match values.lower_bound {
            Some(bound) => bound_text(bound, hole.form),
            None => first(hole, values),
        },
        What::LastSync => match values.lower_bound {
            Some(bound) => {
                let below = bound.position().and_then(|position| CursorValue::at(bound.column_type, position.checked_sub(1)?));
                bound_text(below.as_ref().unwrap_or(bound), hole.form)
            }
            None => first(hole, values),
        },
    }
}

/// Returns what stands for the bound in a first run: 1970-01-01T00:00:00Z, or the least number where the column is declared as one.
fn first(hole: &Hole, values: &Values<'_>) -> Result<String, String> {
    if let Some(first) = &hole.first {
        return Ok(first.clone());
    }
    let epoch = |column_type| CursorValue::position_of(column_type, DateTime::UNIX_EPOCH).and_then(|at| CursorValue::at(column_type, at));
    match values.cursor_type {
        Some(column_type) => match epoch(column_type).or_else(|| CursorValue::least(column_type)) {
            Some(value) => bound_text(&value, hole.form),
            None => Err(format!("timestamp_column is declared as {column_type}, which has no order")),
        },
        None => instant(DateTime::UNIX_EPOCH, hole.form),
    }
}

fn instant(instant: DateTime<Utc>, form: Form) -> Result<String, String> {
    Ok(match form {
        Form::Plain => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Form::Unix => instant.timestamp().to_string(),
        Form::UnixMs => instant.timestamp_millis().to_string(),
        Form::Date => instant.format("%Y-%m-%d").to_string(),
    })
}

fn bound_text(bound: &CursorValue, form: Form) -> Result<String, String> {
    if form == Form::Plain {
        return Ok(bound.text.clone());
    }
    use crate::run::cursor::Rounding;
    let nanos = bound.position_in(ColumnType::TimestampNanosUtc, Rounding::Down);
    match (nanos, form) {
        (Some(nanos), Form::Unix) => Ok(nanos.div_euclid(1_000_000_000).to_string()),
        (Some(nanos), Form::UnixMs) => Ok(nanos.div_euclid(1_000_000).to_string()),
        (Some(_), _) => Ok(bound.text.chars().take(10).collect()),
        // A number is what the API itself counts by.
        (None, Form::Date) => Err(format!("the cursor is a number ({}), which is no date", bound.text)),
        (None, _) => Ok(bound.text.clone()),
    }
}

fn invalid(message: String) -> SourceError {
    SourceError::new("invalid", message)
}
