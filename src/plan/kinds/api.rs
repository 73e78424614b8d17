//! REST APIs, described.

use super::key::{Default, Key, Kind, Level, Part, Status::Works, key};
use super::{Example, Given, Map, SourceType, Tree, Wrong, docs};
use crate::plan::api::template::{Piece, Unknown, parent_keys, pieces};
use crate::plan::api::{ApiBody, ApiConnection, ApiFormat, ApiMethod, ApiSourcePlan, ForEach, path_keys};
use crate::plan::load::SourceKind;
use crate::secret::Masker;
use crate::text::is_http;

mod auth;
mod pagination;

/// How long connecting may take where nothing is said.
const CONNECT_TIMEOUT_SECONDS: i64 = 15;
/// How long an answer may keep silent where nothing is said.
const READ_TIMEOUT_SECONDS: i64 = 60;
/// To which depth objects become columns where nothing is said.
const FLATTEN_DEPTH: i64 = 1;
/// The most pages.
const PAGES_MAX: i64 = 1_000_000;

pub(super) static SOURCE: SourceType = SourceType {
    name: "api",
    title: "REST API",
    nouns: "APIs",
    needs_connection: true,
    places: &["endpoint"],
    keys: &KEYS,
    connection_keys: CONNECTION_KEYS,
    example: Example {
        connection: Some(
            "leads: {type: api, base_url: \"https://api.example.com/v2\", auth: {bearer: \"${LEADS_TOKEN}\"}, pagination: {link_header: {}}}",
        ),
        source: "{connection: leads, endpoint: /leads, primary_key: [id]}",
    },
    has_schemas: false,
    is_files: false,
    config_keys: &["sample_rows", "flatten_depth"],
    plan,
};

/// How many of [`KEYS`] a parent has too.
const OF_PARENTS: usize = 9;

static KEYS: [Key; 10] = [
    key(
        "endpoint",
        Kind::Text,
        Works,
        Default::None,
        "A path below the connection's base_url; may name {last_sync}, {lower_bound}, {slot}, {run_started}",
    ),
    key("method", Kind::Word(&["GET", "POST"]), Works, Default::Text("GET"), "The method of an API's request"),
    key("params", Kind::Params, Works, Default::None, "Parameters of the query; values may name what endpoint may"),
    key("headers", Kind::TextMap, Works, Default::None, "Headers of an API's request; values may name what endpoint may"),
    key("body", Kind::Any, Works, Default::None, "The body of a POST: text, or a map or list that is sent as JSON"),
    key(
        "records",
        Kind::Prose,
        Works,
        Default::Depends("the answer, or its only list"),
        "Where the records stand in an answer: data.items, or /data/items",
    ),
    key("format", Kind::Word(&["json", "ndjson", "csv"]), Works, Default::Text("json"), "What an API answers with"),
    key(
        "pagination",
        Kind::Map(&pagination::LEVEL),
        Works,
        Default::Depends("that of the connection, else one page"),
        "How an API's pages follow each other",
    ),
    key("max_pages", Kind::Int(1, PAGES_MAX), Works, Default::Int(PAGES_MAX), "The most pages; a load with more of them fails"),
    key(
        "for_each",
        Kind::Map(&FOR_EACH),
        Works,
        Default::None,
        "Another endpoint: each of its records makes a request, which may name {parent.KEY}",
    ),
];

static FOR_EACH: Level = Level::new(
    "for_each",
    &[
        Part::Keys(KEYS.split_at(OF_PARENTS).0),
        Part::Keys(&[key(
            "keys",
            Kind::Texts,
            Works,
            Default::Depends("those that {parent.KEY} names"),
            "Keys of the parent that become columns parent__KEY",
        )]),
    ],
);

const CONNECTION_KEYS: &[Key] = &[
    key("base_url", Kind::Text, Works, Default::None, "Where an API's endpoints begin"),
    key("auth", Kind::Map(&auth::LEVEL), Works, Default::None, "How an API knows us: bearer, basic, api_key or oauth2"),
    key("headers", Kind::TextMap, Works, Default::None, "Headers of every request"),
    key("pagination", Kind::Map(&pagination::LEVEL), Works, Default::None, "How an API's pages follow each other"),
    key("rate_limit", Kind::Any, Works, Default::None, "The most requests: 10/s, 600/min, or {requests: 10, seconds: 1}"),
    key("connect_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(CONNECT_TIMEOUT_SECONDS), "How long connecting may take"),
    key("read_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(READ_TIMEOUT_SECONDS), "How long an answer may keep silent"),
    key("allow_link_local", Kind::Bool, Works, Default::Bool(false), "Whether link-local and cloud metadata addresses may be fetched from"),
    key("sslrootcert", Kind::Text, Works, Default::None, docs::SSLROOTCERT),
];

/// Makes an error of a key.
fn wrong(key: &'static str, message: impl Into<String>, hint: Option<&'static str>) -> Wrong {
    Wrong { key, message: message.into(), hint }
}

fn plan(given: &dyn Given) -> Result<SourceKind, Wrong> {
    let connection = connection(given)?;
    let depth = given.int(Map::Config, "flatten_depth").unwrap_or(FLATTEN_DEPTH);
    let shared = Shared {
        headers: texts(given.tree(Map::Connection, "headers")),
        pagination: given.tree(Map::Connection, "pagination"),
        flatten_depth: u32::try_from(depth).unwrap_or(1),
        connection,
    };
    let mut plan = resource(&|key| given.tree(Map::Source, key), &shared, Rank::Source)?;
    let named = named_parents(&plan)?;
    match given.tree(Map::Source, "for_each") {
        Some(tree) => plan.for_each = Some(Box::new(for_each(&tree, &shared, named)?)),
        None if named.is_empty() => {}
        None => {
            let message = format!("{{parent.{}}} without for_each", named[0]);
            return Err(wrong("endpoint", message, Some("add for_each: {endpoint: ...}, whose records make one request each")));
        }
    }
    Ok(SourceKind::Api(Box::new(plan)))
}

/// What all resources of a source share.
struct Shared {
    connection: ApiConnection,
    headers: Vec<(String, String)>,
    pagination: Option<Tree>,
    flatten_depth: u32,
}

fn connection(given: &dyn Given) -> Result<ApiConnection, Wrong> {
    let base_url = given.text(Map::Connection, "base_url").unwrap_or_default().to_owned();
    if base_url.is_empty() {
        return Err(wrong("connection", "its connection has no base_url", Some("add base_url: https://host/path")));
    }
    if !is_http(&base_url) && !base_url.contains("${") {
        return Err(wrong("connection", "base_url of its connection is no http(s) URL", Some("write it as https://host/path")));
    }
    if is_http(&base_url) && super::without_login(&base_url).len() < base_url.split(['?', '#']).next().unwrap_or_default().len() {
        return Err(wrong(
            "connection",
            "base_url of its connection has a login in it",
            Some("write it under auth: {basic: {user: .., password: ..}}"),
        ));
    }
    let seconds = |key, default| u64::try_from(given.int(Map::Connection, key).unwrap_or(default)).unwrap_or(1);
    let of_connection = ["base_url", "headers", "auth"].into_iter().flat_map(|key| given.variables(Map::Connection, key));
    let of_source = ["endpoint", "params", "headers", "body", "for_each"].into_iter().flat_map(|key| given.variables(Map::Source, key));
    Ok(ApiConnection {
        secrets: of_connection.chain(of_source).collect(),
        auth: auth::read(given)?,
        connect_timeout_seconds: seconds("connect_timeout_seconds", CONNECT_TIMEOUT_SECONDS),
        read_timeout_seconds: seconds("read_timeout_seconds", READ_TIMEOUT_SECONDS),
        rate_limit: given.tree(Map::Connection, "rate_limit").map(|tree| auth::rate_limit(&tree)).transpose()?,
        allow_link_local: given.boolean(Map::Connection, "allow_link_local").unwrap_or(false),
        sslrootcert: given.text(Map::Connection, "sslrootcert").map(|path| given.file(path)),
        base_url,
    })
}

/// Whether a resource is the source itself or its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Source,
    Parent,
}

fn resource(get: &dyn Fn(&str) -> Option<Tree>, shared: &Shared, rank: Rank) -> Result<ApiSourcePlan, Wrong> {
    let at = |key: &'static str| if rank == Rank::Parent { "for_each" } else { key };
    let text = |key: &str| get(key).and_then(|tree| tree.text().map(str::to_owned));
    let endpoint = text("endpoint").ok_or_else(|| wrong(at("endpoint"), "for_each needs an endpoint", None))?;
    same_host(&endpoint, &shared.connection).map_err(|(message, hint)| wrong(at("endpoint"), message, Some(hint)))?;
    let method = if text("method").as_deref() == Some("POST") { ApiMethod::Post } else { ApiMethod::Get };
    let body = get("body").map(|tree| body(&tree));
    if body.is_some() && method == ApiMethod::Get {
        return Err(wrong(at("body"), "body without method: POST", Some("add method: POST, or use params")));
    }
    let records = text("records");
    if let Some(Err(message)) = records.as_deref().map(path_keys) {
        return Err(wrong(at("records"), format!("records: {message}"), None));
    }
    let format = match text("format").as_deref() {
        Some("ndjson") => ApiFormat::Ndjson,
        Some("csv") => ApiFormat::Csv,
        _ => ApiFormat::Json,
    };
    if records.is_some() && format != ApiFormat::Json {
        return Err(wrong(at("records"), "records is what only JSON answers have", Some("remove it, or set format: json")));
    }
    let pagination = get("pagination").or_else(|| shared.pagination.clone());
    let pagination = pagination.map(|tree| pagination::read(&tree, at("pagination"))).transpose()?.unwrap_or_default();
    pagination::fits(&pagination, format, method, body.as_ref()).map_err(|(message, hint)| wrong(at("pagination"), message, Some(hint)))?;
    let mut headers = texts(get("headers"));
    for (name, value) in &shared.headers {
        if headers.iter().all(|(own, _)| !own.eq_ignore_ascii_case(name)) {
            headers.insert(0, (name.clone(), value.clone()));
        }
    }
    if let Some((name, _)) = headers.iter().find(|(name, _)| !is_token(name)) {
        return Err(wrong(at("headers"), format!("{name:?} is no name of a header"), None));
    }
    let plan = ApiSourcePlan {
        connection: shared.connection.clone(),
        endpoint,
        method,
        params: texts(get("params")),
        headers,
        body,
        records,
        format,
        pagination,
        max_pages: get("max_pages").and_then(|tree| tree.text()?.parse().ok()),
        flatten_depth: shared.flatten_depth,
        for_each: None,
    };
    if rank == Rank::Parent && !named_parents(&plan)?.is_empty() {
        return Err(wrong(
            "for_each",
            "a parent has no parent of its own",
            Some("name {parent.KEY} in the source's own endpoint, params, headers or body"),
        ));
    }
    named_parents(&plan)?;
    Ok(plan)
}

fn for_each(tree: &Tree, shared: &Shared, mut keys: Vec<String>) -> Result<ForEach, Wrong> {
    let parent = resource(&|key| tree.get(key).cloned(), shared, Rank::Parent)?;
    if keys.is_empty() {
        return Err(wrong(
            "for_each",
            "no {parent.KEY} is named, so every request would be the same",
            Some("name it in endpoint, params or body: /users/{parent.id}/orders"),
        ));
    }
    let more = match tree.get("keys") {
        Some(Tree::List(items)) => items.iter().filter_map(Tree::text).map(str::to_owned).collect(),
        Some(one) => one.text().map(str::to_owned).into_iter().collect(),
        None => Vec::new(),
    };
    keys.extend(more.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<String>>());
    for key in &keys {
        path_keys(key).map_err(|message| wrong("for_each", format!("parent.{key}: {message}"), None))?;
    }
    Ok(ForEach { parent, keys })
}

/// Returns the keys of the parent that a resource names; each text is looked at.
fn named_parents(plan: &ApiSourcePlan) -> Result<Vec<String>, Wrong> {
    let mut texts = vec![("endpoint", plan.endpoint.as_str(), Unknown::Refused)];
    texts.extend(plan.params.iter().map(|(_, value)| ("params", value.as_str(), Unknown::Refused)));
    texts.extend(plan.headers.iter().map(|(_, value)| ("headers", value.as_str(), Unknown::Refused)));
    if let Some(ApiBody::Json(text) | ApiBody::Text(text)) = &plan.body {
        texts.push(("body", text, Unknown::Kept));
    }
    let mut keys: Vec<String> = Vec::new();
    for (key, text, unknown) in texts {
        let pieces: Vec<Piece> = pieces(text, unknown).map_err(|message| wrong(key, format!("{key}: {message}"), None))?;
        for parent in parent_keys(&pieces) {
            if !keys.iter().any(|known| known == parent) {
                keys.push(parent.to_owned());
            }
        }
    }
    Ok(keys)
}

/// Asserts that an endpoint that is a whole URL is one of the connection's host.
fn same_host(endpoint: &str, connection: &ApiConnection) -> Result<(), (String, &'static str)> {
    if !endpoint.contains("://") || !is_http(&connection.base_url) {
        return Ok(());
    }
    if !is_http(endpoint) {
        // A URL may stand in a query.
        let is_path = endpoint.split("://").next().is_some_and(|head| head.contains(['/', '?']));
        return if is_path {
            Ok(())
        } else {
            Err(("endpoint is neither a path nor an http(s) URL".to_owned(), "write a path below base_url, such as /v2/leads"))
        };
    }
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        (scheme.to_ascii_lowercase(), rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase())
    };
    if origin(endpoint) == origin(&connection.base_url) {
        return Ok(());
    }
    Err(("endpoint is a URL of another host than base_url".to_owned(), "write a path below base_url, or make a connection for each host"))
}

/// RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Returns a map's texts; a list stands for its name several times.
fn texts(tree: Option<Tree>) -> Vec<(String, String)> {
    let Some(Tree::Map(entries)) = tree else { return Vec::new() };
    let mut texts = Vec::new();
    for (name, value) in entries {
        match value {
            Tree::List(items) => texts.extend(items.iter().filter_map(Tree::text).map(|text| (name.clone(), text.to_owned()))),
            one => texts.extend(one.text().map(|text| (name, text.to_owned()))),
        }
    }
    texts
}

fn body(tree: &Tree) -> ApiBody {
    match tree {
        Tree::Text(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && text.trim_start().starts_with(['{', '[']) => {
            ApiBody::Json(text.clone())
        }
        Tree::Text(text) => ApiBody::Text(text.clone()),
        other => ApiBody::Json(other.json()),
    }
}

pub(super) fn place(plan: &ApiSourcePlan, masker: &Masker) -> String {
    let base = plan.connection.base_url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let whole = if is_http(&plan.endpoint) { plan.endpoint.clone() } else { format!("{base}/{}", plan.endpoint.trim_start_matches('/')) };
    let own = Masker::new(plan.connection.secrets.iter().map(|secret| secret.expose().to_owned()));
    super::without_login(&masker.mask(&own.mask(&whole)))
}
