//! A REST API as plans name it: how it is reached, and what of it is read.

pub mod template;

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, exposed_list, exposed_option};

/// How an API is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiConnection {
    /// The URL before every endpoint, http or https.
    pub base_url: String,
    /// The values of variables in it and in headers, params and bodies: never shown.
    #[serde(serialize_with = "exposed_list::serialize")]
    pub secrets: Vec<Secret>,
    /// How requests show who asks; sent to the host of `base_url` alone.
    pub auth: ApiAuth,
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
    /// How long an answer's head, and each read of its body, may take.
    pub read_timeout_seconds: u64,
    /// The most requests in a span of time.
    pub rate_limit: Option<RateLimit>,
    /// Whether link-local and cloud metadata addresses may be fetched from.
    pub allow_link_local: bool,
    /// The file of certificates that are trusted beside those of the system.
    pub sslrootcert: Option<std::path::PathBuf>,
}

/// How requests show who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiAuth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN` (RFC 6750, 2.1).
    Bearer(Token),
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        #[serde(serialize_with = "exposed_option::serialize")]
        password: Option<Secret>,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// The header's or the parameter's name.
        name: String,
        /// The key.
        value: Token,
        /// Where it goes.
        place: KeyPlace,
    },
    /// A token fetched with a client's own credentials (RFC 6749, 4.4).
    Oauth2(Oauth2),
}

/// A secret text that requests carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(#[serde(serialize_with = "crate::secret::exposed::serialize")] pub Secret);

/// Where an API key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// A header.
    #[default]
    Header,
    /// The query of the URL.
    Query,
}

/// The client credentials grant (RFC 6749, 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oauth2 {
    /// Where tokens are asked for, http or https.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Token,
    /// What the token may be used for, where the server asks.
    pub scope: Option<String>,
    /// Whom the token is for, where the server asks.
    pub audience: Option<String>,
    /// How the client shows itself to the token server (RFC 6749, 2.3.1).
    pub style: ClientStyle,
}

/// How a client shows itself to the token server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientStyle {
    /// By HTTP Basic, which every server must know.
    #[default]
    Basic,
    /// By parameters in the body.
    Body,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// The most requests.
    pub requests: u32,
    /// In this span.
    pub seconds: u32,
}

/// A resource of an API as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiSourcePlan {
    /// Where it is.
    pub connection: ApiConnection,
    /// Path, and perhaps query, below `base_url`; may name `{last_sync}`, `{lower_bound}`, `{slot}`, `{run_started}`, and `{parent.KEY}` with `for_each`.
    pub endpoint: String,
    /// The method.
    pub method: ApiMethod,
    /// Parameters of the query, in their order; values may name what `endpoint` may.
    pub params: Vec<(String, String)>,
    /// Headers, those of the connection first; values may name the same.
    pub headers: Vec<(String, String)>,
    /// The body: text as it stands, or a JSON document as text; string values may name the same.
    pub body: Option<ApiBody>,
    /// Where the records stand in an answer: a JSON pointer or a dotted path; without it the answer itself, or its only array.
    pub records: Option<String>,
    /// What answers are.
    pub format: ApiFormat,
    /// How further pages are found.
    pub pagination: Pagination,
    /// The most pages of a run: beyond them the load fails, unless the plan says that the rest is not wanted.
    pub max_pages: Option<u64>,
    /// To which depth objects become columns.
    pub flatten_depth: u32,
    /// Another endpoint of the same API, whose records each make one request.
    pub for_each: Option<Box<ForEach>>,
}

/// A method that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApiMethod {
    /// GET
    #[default]
    Get,
    /// POST, for searches that take a body
    Post,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiBody {
    /// A JSON document, sent as `application/json`.
    Json(String),
    /// Text, sent with the `Content-Type` that `headers` give.
    Text(String),
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFormat {
    /// One JSON document.
    #[default]
    Json,
    /// A JSON document a line.
    Ndjson,
    /// Delimited text with a header.
    Csv,
}

/// How further pages are found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pagination {
    /// There is one page.
    #[default]
    None,
    /// By the `Link` header (RFC 8288).
    LinkHeader {
        /// The relation.
        rel: String,
    },
    /// By a URL in the answer (`@odata.nextLink`, `links.next`); relative ones are resolved against the page's.
    NextUrl {
        /// Its path in the answer.
        path: String,
    },
    /// By a value of the answer that the next request gives back.
    Cursor {
        /// Its path in the answer; without it the value of `record_key` in the last record (Stripe's `starting_after`).
        path: Option<String>,
        /// The key in the last record, where `path` is not given.
        record_key: Option<String>,
        /// The parameter of the next request: of the query, or of a POST's JSON body by a JSON pointer that begins with `/`.
        param: String,
        /// The path of a boolean that says whether there is more; without it an absent, null or empty cursor ends.
        has_more: Option<String>,
    },
    /// By a page's number.
    Page {
        /// The parameter of the number.
        param: String,
        /// The first page's number.
        start: u64,
        /// The parameter of the page's size.
        size_param: Option<String>,
        /// The page's size; a shorter page is the last where given.
        size: Option<u64>,
        /// The path of the number of pages.
        total_pages: Option<String>,
        /// The path of a boolean that says whether there is more.
        has_more: Option<String>,
    },
    /// By a record's number.
    Offset {
        /// The parameter of the number.
        param: String,
        /// The first record's number.
        start: u64,
        /// The parameter of the page's size.
        limit_param: Option<String>,
        /// The page's size; a shorter page is the last where given.
        limit: Option<u64>,
        /// The path of the number of records.
        total: Option<String>,
        /// The path of a boolean that says whether there is more.
        has_more: Option<String>,
    },
}

/// A parent endpoint: each of its records makes one request of the source, with pages of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForEach {
    /// The parent's endpoint, read as any other.
    pub parent: ApiSourcePlan,
    /// Keys of the parent's records that `{parent.KEY}` names; each also becomes a column `parent__KEY`.
    pub keys: Vec<String>,
}

/// Returns the keys of a path in an answer: of a JSON pointer (RFC 6901) where it begins with `/`, else of keys with dots between them, of
/// which one that holds dots stands in double quotes. An empty path is the answer itself.
///
/// # Errors
/// What is wrong with it: a lower-case fragment.
pub fn path_keys(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(pointer) = path.strip_prefix('/') {
        return Ok(pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect());
    }
    let path = path.strip_prefix("$.").unwrap_or(path);
    let mut keys = Vec::new();
    let mut rest = path;
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote that opens and never closes")?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if key.is_empty() || key.contains(['[', ']', '*']) {
            return Err("expected keys with dots between them, such as data.items, or a JSON pointer, such as /data/items".to_owned());
        }
        keys.push(key.to_owned());
        rest = match after.strip_prefix('.') {
            Some(rest) => rest,
            None if after.is_empty() => return Ok(keys),
            None => return Err("a key in quotes ends at a dot or the end".to_owned()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_pointers_or_keys_with_dots() {
        let keys = |path: &str| path_keys(path).map(|keys| keys.join("|"));
        assert_eq!(keys(""), Ok(String::new()));
        assert_eq!(keys("data.items"), Ok("data|items".to_owned()));
        assert_eq!(keys("/data/a~1b~0c/0"), Ok("data|a/b~c|0".to_owned()));
        assert_eq!(keys("\"@odata.nextLink\""), Ok("@odata.nextLink".to_owned()));
        assert_eq!(keys("a.\"b.c\".d"), Ok("a|b.c|d".to_owned()));
        for wrong in ["a..b", ".a", "a.", "a[0]", "items[*]", "\"a", "\"a\"b"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }
}
