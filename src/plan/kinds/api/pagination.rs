//! How pages follow each other, as files say it.

use super::super::key::{Default, Kind, Level, Part, Status::Works, key};
use super::super::{Tree, Wrong};
use super::wrong;
use crate::plan::api::{ApiBody, ApiFormat, ApiMethod, Pagination, path_keys};

/// A number of a page or a record.
const NUMBER: Kind = Kind::Int(0, i64::MAX);
/// A size of a page.
const SIZE: Kind = Kind::Int(1, 1_000_000);

pub(super) static LEVEL: Level = Level::new(
    "pagination",
    &[Part::Keys(&[
        key("none", Kind::Map(&NONE), Works, Default::None, "There is one page, whatever the connection says"),
        key("link_header", Kind::Map(&LINK_HEADER), Works, Default::None, "By the Link header (RFC 8288)"),
        key("next_url", Kind::Map(&NEXT_URL), Works, Default::None, "By a URL in the answer"),
        key("cursor", Kind::Map(&CURSOR), Works, Default::None, "By a value of the answer that the next request gives back"),
        key("page", Kind::Map(&PAGE), Works, Default::None, "By a page's number"),
        key("offset", Kind::Map(&OFFSET), Works, Default::None, "By a record's number"),
    ])],
);

static NONE: Level = Level::new("pagination none", &[]);

static LINK_HEADER: Level =
    Level::new("pagination link_header", &[Part::Keys(&[key("rel", Kind::Text, Works, Default::Text("next"), "The relation")])]);

static NEXT_URL: Level = Level::new(
    "pagination next_url",
    &[Part::Keys(&[key("path", Kind::Text, Works, Default::None, "Where the URL stands in the answer")])],
);

static CURSOR: Level = Level::new(
    "pagination cursor",
    &[Part::Keys(&[
        key("path", Kind::Text, Works, Default::None, "Where the cursor stands in the answer"),
        key("record_key", Kind::Text, Works, Default::None, "Its key in the last record, where it doesn't stand in the answer"),
        key(
            "param",
            Kind::Text,
            Works,
            Default::None,
            "The parameter that gives it back; of a POST's JSON body by a pointer such as /after",
        ),
        key("has_more", Kind::Text, Works, Default::None, "Where the answer says whether there is more"),
    ])],
);

static PAGE: Level = Level::new(
    "pagination page",
    &[Part::Keys(&[
        key("param", Kind::Text, Works, Default::Text("page"), "The parameter of the number"),
        key("start", NUMBER, Works, Default::Int(1), "The first page's number"),
        key("size_param", Kind::Text, Works, Default::None, "The parameter of the page's size"),
        key("size", SIZE, Works, Default::None, "The page's size"),
        key("total_pages", Kind::Text, Works, Default::None, "Where the answer says how many pages there are"),
        key("has_more", Kind::Text, Works, Default::None, "Where the answer says whether there is more"),
    ])],
);

static OFFSET: Level = Level::new(
    "pagination offset",
    &[Part::Keys(&[
        key("param", Kind::Text, Works, Default::Text("offset"), "The parameter of the number"),
        key("start", NUMBER, Works, Default::Int(0), "The first record's number"),
        key("limit_param", Kind::Text, Works, Default::None, "The parameter of the page's size"),
        key("limit", SIZE, Works, Default::None, "The page's size"),
        key("total", Kind::Text, Works, Default::None, "Where the answer says how many records there are"),
        key("has_more", Kind::Text, Works, Default::None, "Where the answer says whether there is more"),
    ])],
);

/// Reads `pagination`; `at` is the key that is at fault.
pub(super) fn read(tree: &Tree, at: &'static str) -> Result<Pagination, Wrong> {
    let Tree::Map(forms) = tree else { return Ok(Pagination::None) };
    let [(form, of_form)] = forms.as_slice() else {
        let names: Vec<&str> = forms.iter().map(|(name, _)| name.as_str()).collect();
        let message =
            if names.is_empty() { "pagination has no form".to_owned() } else { format!("pagination has {} together", names.join(" and ")) };
        return Err(wrong(at, message, Some("keep one of link_header, next_url, cursor, page, offset and none")));
    };
    let text = |key: &str| of_form.get(key).and_then(Tree::text).map(str::to_owned);
    let number = |key: &str| text(key).and_then(|text| text.parse::<u64>().ok());
    let path = |key: &str| match text(key) {
        Some(path) => {
            path_keys(&path).map(|_| Some(path.clone())).map_err(|message| wrong(at, format!("pagination.{form}.{key}: {message}"), None))
        }
        None => Ok(None),
    };
    let needed = |key: &str, hint| wrong(at, format!("pagination.{form} has no {key}"), Some(hint));
    Ok(match form.as_str() {
        "link_header" => Pagination::LinkHeader { rel: text("rel").unwrap_or_else(|| "next".to_owned()) },
        "next_url" => Pagination::NextUrl { path: path("path")?.ok_or_else(|| needed("path", "write next_url: {path: links.next}"))? },
        "cursor" => {
            let hint = "write cursor: {path: next_cursor, param: cursor}, or record_key in place of path";
            let (in_answer, record_key) = (path("path")?, path("record_key")?);
            match (&in_answer, &record_key) {
                (None, None) => return Err(needed("path or record_key", hint)),
                (Some(_), Some(_)) => return Err(wrong(at, "pagination.cursor has path and record_key together", Some(hint))),
                _ => {}
            }
            let param = text("param").ok_or_else(|| needed("param", hint))?;
            Pagination::Cursor { path: in_answer, record_key, param, has_more: path("has_more")? }
        }
        "page" => Pagination::Page {
            param: text("param").unwrap_or_else(|| "page".to_owned()),
            start: number("start").unwrap_or(1),
            size_param: text("size_param"),
            size: number("size"),
            total_pages: path("total_pages")?,
            has_more: path("has_more")?,
        },
        "offset" => Pagination::Offset {
            param: text("param").unwrap_or_else(|| "offset".to_owned()),
            start: number("start").unwrap_or(0),
            limit_param: text("limit_param"),
            limit: number("limit"),
            total: path("total")?,
            has_more: path("has_more")?,
        },
        _ => Pagination::None,
    })
}

/// Asserts that answers of a format, and requests of a method, can be paged like this.
pub(super) fn fits(
    pagination: &Pagination,
    format: ApiFormat,
    method: ApiMethod,
    body: Option<&ApiBody>,
) -> Result<(), (String, &'static str)> {
    let (paths, param) = match pagination {
        Pagination::None | Pagination::LinkHeader { .. } => (false, None),
        Pagination::NextUrl { .. } => (true, None),
        Pagination::Cursor { path, record_key: _, param, has_more } => (path.is_some() || has_more.is_some(), Some(param)),
        Pagination::Page { param, total_pages, has_more, .. } => (total_pages.is_some() || has_more.is_some(), Some(param)),
        Pagination::Offset { param, total, has_more, .. } => (total.is_some() || has_more.is_some(), Some(param)),
    };
    if paths && format != ApiFormat::Json {
        return Err(("pagination looks into the answer, which is no JSON document".to_owned(), "use link_header, page or offset"));
    }
    if format == ApiFormat::Csv && matches!(pagination, Pagination::Cursor { .. }) {
        return Err(("pagination by cursor needs JSON".to_owned(), "use link_header, page or offset"));
    }
    if param.is_some_and(|param| param.starts_with('/')) && !(method == ApiMethod::Post && matches!(body, Some(ApiBody::Json(_)))) {
        return Err((
            "pagination puts its parameter into a JSON body, and there is none".to_owned(),
            "add method: POST and body, or name a parameter of the query",
        ));
    }
    Ok(())
}
