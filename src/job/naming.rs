//! What sources and their tables are called.

use crate::text::{is_http, is_steering, printable, shortened};

use super::positions::{Node, Place, ScalarKind};
use super::report::Report;
use super::settings::set;
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
            let text = entry.node.as_scalar()?.text.as_str();
            let derived = match entry.key.as_str() {
                "path" if is_glob(text) && !is_http(text) => None,
                "path" => Some(stem(text)),
                "custom_sql" => None,
                "table" if has_schemas && !text.contains('"') => {
                    text.split_once('.').map(|(_, table)| table).or(Some(text)).map(str::to_owned)
                }
                _ => Some(text.to_owned()),
            };
            let Some(derived) = derived else {
                let what = if entry.key == "path" { "a pattern of files" } else { "custom_sql" };
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
        let hint = "add a name of at most 100 characters without / \\ : * ? \" < > |".to_owned();
        report.error(place, format!("\"{}\" can't be the name of a source", printable(&shortened(&name, 60))), hint);
        return None;
    }
    if node.get("name").is_none() {
        set(node, "name", Node { place, ..Node::scalar(place.origin, name.clone(), ScalarKind::Text) });
    }
    Some(name)
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

/// Settles the target of a source and puts it into its map.
pub fn target(node: &mut Node, name: &str, prefix: &str) -> (String, Place) {
    if let Some((target, place)) = node.get("target").and_then(|node| Some((node.as_scalar()?.text.clone(), node.place))) {
        return (target, place);
    }
    let place = node.get("name").map_or(node.place, |name| name.place);
    let target = format!("{prefix}{name}");
    set(node, "target", Node { place, ..Node::scalar(place.origin, target.clone(), ScalarKind::Text) });
    (target, place)
}

/// Reports a name that no table can have.
pub fn check_target(target: &str, place: Place, report: &mut Report<'_>) {
    let lower = target.to_lowercase();
    let shown = shortened(target, 60);
    if lower.starts_with("_etlsched_") || lower.starts_with("sqlite_") {
        let hint = "names that begin with _etlsched_ and sqlite_ are kept: choose another target".to_owned();
        report.error(place, format!("{shown} can't be a target"), hint);
    } else if target.trim().is_empty() || target.chars().any(is_steering) || target.len() > 128 {
        report.error(
            place,
            format!("\"{}\" can't be a target", printable(&shown)),
            "a target has 1 to 128 printable characters".to_owned(),
        );
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
