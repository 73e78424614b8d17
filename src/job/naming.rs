//! What sources and their tables are called.

use crate::plan::tables::{Pattern, target_fault};
use crate::text::{is_http, is_steering, printable, shortened};

use super::positions::{Node, Place, ScalarKind};
use super::report::Report;
use super::settings::{set, texts};
use super::sources::places;

/// Whether a path is a pattern of files.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Settles the name of a source and puts it into its map.
pub fn name(node: &mut Node, has_schemas: bool, report: &mut Report<'_>) -> Option<String> {
    let (name, place) = match node.get("name").and_then(|node| Some((node.as_scalar()?.text.clone(), node.place))) {
        Some(given) => given,
        None if node.get("name").is_some() => return None,
        None => {
            let entry = places().find_map(|key| node.entry(key))?;
            let text = match entry.key.as_str() {
                "tables" => "",
                _ => entry.node.as_scalar()?.text.as_str(),
            };
            let derived = match entry.key.as_str() {
                "path" if is_glob(text) && !is_http(text) => None,
                "path" => Some(stem(text)),
                "endpoint" => endpoint_name(text),
                "custom_sql" | "tables" => None,
                "table" if has_schemas && !text.contains('"') => {
                    text.split_once('.').map(|(_, table)| table).or(Some(text)).map(str::to_owned)
                }
                _ => Some(text.to_owned()),
            };
            let Some(derived) = derived else {
                let what = if entry.key == "path" { "a pattern of files" } else { entry.key.as_str() };
                report.error(entry.place, format!("a source with {what} needs a name"), "add name".to_owned());
                return None;
            };
            (derived, entry.node.place)
        }
    };
    let is_bad = |character: char| is_steering(character) || matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if name.trim().is_empty()
        || name.len() > 100
        || name.chars().any(is_bad)
        || name.chars().all(|character| character == '.')
        || name.trim() != name
    {
        let hint = "add a name of at most 100 bytes (letters beyond a to z take 2 to 4) without / \\ : * ? \" < > |".to_owned();
        report.error(place, format!("\"{}\" can't be the name of a source", printable(&shortened(&name, 60))), hint);
        return None;
    }
    if node.get("name").is_none() {
        set(node, "name", Node { place, ..Node::scalar(place.origin, name.clone(), ScalarKind::Text) });
    }
    Some(name)
}

/// Returns the last part of an endpoint: `/v2/leads.json?page=1` is `leads`. `None` where that is a value of the run.
fn endpoint_name(endpoint: &str) -> Option<String> {
    let path = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let name = stem(path.split(['?', '#']).next().unwrap_or_default().trim_matches('/'));
    (!name.is_empty() && !name.contains('{')).then_some(name)
}

/// Returns the stem of a file's or URL's last part: `data/flights.csv.gz` is `flights`.
fn stem(path: &str) -> String {
    let path = if is_http(path) { path.split(['?', '#']).next().unwrap_or(path) } else { path };
    let mut stem = path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(path);
    for ending in [".gz", ".zst"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    match stem.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => stem.to_owned(),
    }
}

/// The targets of a source, with where they come from.
pub struct Targets {
    /// That of a source with one stream.
    pub only: Option<String>,
    /// Those that are known before the source is asked: of a source with several streams, those of its tables that have no glob.
    pub known: Vec<(String, Place)>,
}

/// Settles the targets of a source; that of a source with one stream is put into its map.
pub fn targets(node: &mut Node, name: &str, prefix: &str, report: &mut Report<'_>) -> Targets {
    let given = node.get("target").and_then(|node| Some((node.as_scalar()?.text.clone(), node.place)));
    if let Some(tables) = node.get("tables").filter(|tables| !tables.is_null()) {
        if let Some((_, place)) = given {
            let hint = "remove it: each table is loaded into one of its own name, behind table_prefix; or make a source for each table";
            report.error(place, "target beside tables", hint.to_owned());
        }
        let names = texts(node, "tables").unwrap_or_default();
        let known = names.iter().filter_map(|text| Pattern::parse(text).ok()?.table());
        return Targets { only: None, known: known.map(|table| (format!("{prefix}{table}"), tables.place)).collect() };
    }
    let (target, place) = given.unwrap_or_else(|| {
        let place = node.get("name").map_or(node.place, |name| name.place);
        let target = format!("{prefix}{name}");
        set(node, "target", Node { place, ..Node::scalar(place.origin, target.clone(), ScalarKind::Text) });
        (target, place)
    });
    Targets { only: Some(target.clone()), known: vec![(target, place)] }
}

/// Reports a name that no table can have.
pub fn check_target(target: &str, place: Place, report: &mut Report<'_>) {
    if let Some((message, hint)) = target_fault(target) {
        report.error(place, message, hint.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_stem() {
        let cases = [
            ("data/flights.csv", "flights"),
            ("data/flights.csv.gz", "flights"),
            ("C:\\data\\flights.2013.csv.zst", "flights.2013"),
            ("https://example.com/a/b.csv?token=1#x", "b"),
            ("plain", "plain"),
            (".hidden", ".hidden"),
        ];
        for (path, expected) in cases {
            assert_eq!(stem(path), expected, "{path}");
        }
    }
}
