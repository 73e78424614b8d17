//! Delimited text, described.

use std::path::Path;

use super::key::{Default, Key, Kind, Status::Works, key};
use super::{Example, Given, Map, SourceType, Wrong, below};
use crate::plan::load::{CsvPlan, Encoding, SourceKind};
use crate::secret::Masker;
use crate::text::{is_http, shortened};

/// How long connecting may take where nothing is said.
const CONNECT_TIMEOUT_SECONDS: i64 = 15;

/// The words of `encoding`.
const ENCODINGS: &[&str] = &["auto", "utf-8", "utf-16", "utf-16le", "utf-16be", "windows-1252", "latin-1"];

pub(super) static SOURCE: SourceType = SourceType {
    name: "csv",
    title: "CSV",
    nouns: "files",
    needs_connection: false,
    places: &["path"],
    keys: &[
        key("path", Kind::Text, Works, Default::None, "A CSV file, a glob of files, or an http(s) URL; .gz and .zst are decompressed"),
        key("null_values", Kind::Scalars, Works, Default::None, "Unquoted values of the file that are NULL"),
        key("delimiter", Kind::Character, Works, Default::Depends("sniffed"), "The character between fields"),
        key("quote", Kind::Character, Works, Default::Text("\""), "The quote character"),
        key("header", Kind::Bool, Works, Default::Depends("sniffed"), "Whether the first row holds names"),
        key(
            "encoding",
            Kind::Word(ENCODINGS),
            Works,
            Default::Text("auto"),
            "The text encoding; auto is by byte order mark, else UTF-8, or UTF-16 by its zero bytes",
        ),
    ],
    connection_keys: CONNECTION_KEYS,
    example: Example { connection: None, source: "{path: data/prices.csv}" },
    has_schemas: false,
    is_files: true,
    config_keys: &["sample_rows"],
    plan,
};

const CONNECTION_KEYS: &[Key] = &[
    key("connect_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(CONNECT_TIMEOUT_SECONDS), "How long connecting may take"),
    key("allow_link_local", Kind::Bool, Works, Default::Bool(false), "Whether link-local and cloud metadata addresses may be fetched from"),
];

fn plan(given: &dyn Given) -> Result<SourceKind, Wrong> {
    let wrong = |key, message| Wrong { key, message, hint: None };
    let path = given.text(Map::Source, "path").ok_or_else(|| wrong("path", "path is no text".to_owned()))?;
    let shown = given.shown(Map::Source, "path");
    let path = if is_http(path) {
        path.to_owned()
    } else if path.contains("://") && !path.contains("${") {
        return Err(wrong("path", format!("path: {} is not a file and not an http(s) URL", shortened(shown, 60))));
    } else {
        given.files(path)
    };
    let character = |key| given.text(Map::Source, key).and_then(|text| text.chars().next());
    let (delimiter, quote) = (character("delimiter"), character("quote"));
    if delimiter.is_some() && delimiter == Some(quote.unwrap_or('"')) {
        return Err(wrong("delimiter", "delimiter and quote are the same character".to_owned()));
    }
    let seconds = given.int(Map::Connection, "connect_timeout_seconds").unwrap_or(CONNECT_TIMEOUT_SECONDS);
    Ok(SourceKind::Csv(CsvPlan {
        path,
        path_secrets: given.values(Map::Source, "path"),
        delimiter,
        quote,
        header: given.boolean(Map::Source, "header"),
        encoding: match given.text(Map::Source, "encoding") {
            Some("utf-8") => Encoding::Utf8,
            Some("utf-16") => Encoding::Utf16,
            Some("utf-16le") => Encoding::Utf16Le,
            Some("utf-16be") => Encoding::Utf16Be,
            Some("windows-1252") => Encoding::Windows1252,
            Some("latin-1") => Encoding::Latin1,
            _ => Encoding::Auto,
        },
        null_values: given.texts(Map::Source, "null_values").or_else(|| given.texts(Map::Config, "null_values")),
        connect_timeout_seconds: u64::try_from(seconds).unwrap_or(1),
        allow_link_local: given.boolean(Map::Connection, "allow_link_local").unwrap_or(false),
    }))
}

pub(super) fn place(plan: &CsvPlan, root: &Path, masker: &Masker) -> String {
    without_login(&below(Path::new(&masker.mask(&plan.path)), root))
}

/// Returns a URL without `user:password@` and without its query, which may hold a token; a path as it is.
pub fn without_login(path: &str) -> String {
    let Some((scheme, rest)) = path.split_once("://") else { return path.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let tail = tail.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{tail}")
}

/// Returns host and port of a web address.
pub(super) fn authority(url: &str) -> Option<String> {
    let bare = without_login(url);
    let (_, rest) = bare.split_once("://")?;
    rest.split('/').next().filter(|host| !host.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_s_server_is_its_host_and_port() {
        let servers = ["https://a:b@x.org/p?t=s@y", "http://x.org:8080?t=s", "/data/x.csv", "http:///x"].map(authority);
        assert_eq!(servers, [Some("x.org".to_owned()), Some("x.org:8080".to_owned()), None, None]);
    }

    #[test]
    fn a_url_is_shown_without_login_and_query() {
        let shown = ["https://a:b@x.org/p/f.csv?token=s#f", "http://x.org?t=s", "/data/a@b?.csv", "https://u@x.org"].map(without_login);
        assert_eq!(shown, ["https://x.org/p/f.csv", "http://x.org", "/data/a@b?.csv", "https://x.org"]);
    }
}
