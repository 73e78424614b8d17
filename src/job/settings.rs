//! etlsched.yaml as a checked tree, and how maps of settings come together. Opens nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use super::fields::{self, Use};
use super::keys::{self, Level};
use super::notifications;
use super::positions::{self, Entry, Node, Origin, Value};
use super::problem::{Problem, Severity};
use super::report::{Report, Text};
use super::variables::{self, Environment};
use crate::text::nearest;

/// etlsched.yaml, checked, with everything that jobs take from it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// The file's text.
    pub text: Text,
    /// Its tree: a map.
    pub tree: Node,
    /// The variables of the process and of `.env`.
    pub environment: Environment,
    /// `ETLSCHED_TIMEZONE`, checked.
    pub zone_override: Option<crate::zone::Zone>,
    /// The names of the variables that the file uses, and whether one of them has no value. Each job asks for them.
    variables: Vec<String>,
    is_variable_missing: bool,
}

/// Keys of a job that can't be the default of all.
const NOT_DEFAULTS: &[&str] = &["name", "data_sources"];

impl Settings {
    /// Checks the text of etlsched.yaml; an absent file is an empty text. Returns warnings beside the settings.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(root: PathBuf, text: Text, environment: Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let none = Text::default();
        let mut report = Report::new(&none, &text);
        let tree = tree(Origin::Workspace, &text, &environment, &mut report).unwrap_or_else(|| Node::map(Origin::Workspace));
        fields::check(&tree, &keys::WORKSPACE, Use::Used, &mut report);
        for entry in tree.get("defaults").map(Node::entries).unwrap_or_default() {
            if NOT_DEFAULTS.contains(&entry.key.as_str()) {
                report.error(entry.place, format!("{} can't be the default of all jobs", entry.key), "write it in each job".to_owned());
            }
        }
        for entry in tree.get("connections").map(Node::entries).unwrap_or_default() {
            if matches!(entry.node.value, Value::Map(_)) && entry.node.get("type").is_none() {
                let hint = format!("add type: one of {}", keys::connection_types().join(", "));
                report.error(entry.place, format!("connection {} has no type", entry.key), hint);
            }
        }
        notifications::check_smtp(&tree, &root, &mut report);
        let zone_override = match environment.get("ETLSCHED_TIMEZONE").filter(|zone| !zone.is_empty()) {
            None => None,
            Some(name) => match crate::zone::Zone::parse(name) {
                Ok(zone) => Some(zone),
                Err(near) => {
                    let place = positions::Place { origin: Origin::Workspace, line: 0, column: 0 };
                    let hint = near.map(|name| format!("did you mean {name}?"));
                    report.error(place, format!("ETLSCHED_TIMEZONE: {name:?} is not a time zone"), hint);
                    None
                }
            },
        };
        let has_errors = report.has_errors();
        let problems = report.finish();
        if has_errors {
            return Err(problems);
        }
        let (variables, is_variable_missing) = (names(&tree), is_missing(&tree));
        Ok((Self { root, text, tree, environment, zone_override, variables, is_variable_missing }, problems))
    }

    /// As [`Settings::load`], for a text that has problems: returns what of it has none, the keys at its top in whose lines no error stands.
    /// For telling people of the problems, never for runs.
    ///
    /// # Errors
    /// It has no problems, can't be parsed, or names a state store that can't be known.
    pub fn good_parts_of(root: PathBuf, text: Text, environment: Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let Err(problems) = Self::load(root.clone(), text.clone(), environment.clone()) else { return Err(Vec::new()) };
        Self::good_parts(root, text, environment, &problems).map(|settings| (settings, Vec::new())).ok_or(problems)
    }

    fn good_parts(root: PathBuf, text: Text, environment: Environment, problems: &[Problem]) -> Option<Self> {
        let none = Text::default();
        let mut tree = tree(Origin::Workspace, &text, &environment, &mut Report::new(&none, &text))?;
        // Those of the whole file: none of their values is shown.
        let variables = names(&tree);
        let Value::Map(entries) = &mut tree.value else { return None };
        let begins: Vec<usize> = entries.iter().map(|entry| entry.place.line).collect();
        let is_bad = |from: usize, to: usize| {
            let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error && problem.file == text.path);
            errors.any(|problem| problem.line == 0 || (from..to).contains(&problem.line))
        };
        let mut ends = begins.iter().skip(1).copied().chain([usize::MAX]);
        let before = entries.clone();
        let had_state = entries.iter().any(|entry| entry.key == "state");
        // What shares a line with an error can't be told from it.
        entries.retain(|entry| !is_bad(entry.place.line, ends.next().unwrap_or(usize::MAX).max(entry.place.line + 1)));
        if had_state && tree.get("state").is_none() {
            return None;
        }
        let meant_state = |entry: &Entry| keys::WORKSPACE.key(&entry.key).is_none() && nearest(&entry.key, ["state"]).is_some();
        if before.iter().any(meant_state) {
            return None;
        }
        let zone_override = environment.get("ETLSCHED_TIMEZONE").and_then(|zone| crate::zone::Zone::parse(zone).ok());
        let is_variable_missing = is_missing(&tree);
        Some(Self { root, text, tree, environment, zone_override, variables, is_variable_missing })
    }

    /// Returns the names of the variables that the file uses.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Whether one of them has no value.
    pub fn is_variable_missing(&self) -> bool {
        self.is_variable_missing
    }
}

/// Parses a text, replaces its variables, reports what is wrong; `None` where nothing can be said about its keys.
pub fn tree(origin: Origin, text: &Text, environment: &Environment, report: &mut Report<'_>) -> Option<Node> {
    let (node, mut faults) = positions::parse(origin, &text.text);
    let node = node.map(|mut node| {
        variables::substitute(&mut node, environment, &mut faults);
        node
    });
    for fault in faults {
        report.error(fault.place, fault.message, fault.hint);
    }
    node
}

/// Returns the variables used in a tree, each once.
pub fn names(node: &Node) -> Vec<String> {
    let mut names = BTreeSet::new();
    node.walk(&mut |node| {
        for name in node.as_scalar().and_then(|scalar| scalar.template.as_ref()).map(|template| &template.names).into_iter().flatten() {
            if !names.contains(name) {
                names.insert(name.clone());
            }
        }
    });
    names.into_iter().collect()
}

/// Whether a variable used in a tree has no value.
pub fn is_missing(node: &Node) -> bool {
    let mut is_missing = false;
    node.walk(&mut |node| is_missing |= node.as_scalar().is_some_and(positions::Scalar::is_missing));
    is_missing
}

/// Puts one tree over another: maps come together key by key, anything else replaces; null is as if not there.
pub fn merged(base: &Node, over: &Node) -> Node {
    let (Value::Map(below), Value::Map(above)) = (&base.value, &over.value) else {
        return if over.is_null() { base.clone() } else { over.clone() };
    };
    // By maps of keys: a hostile file may have tens of thousands on both sides.
    let given: HashMap<&str, &Entry> =
        above.iter().filter(|entry| !entry.node.is_null()).map(|entry| (entry.key.as_str(), entry)).collect();
    let known: HashSet<&str> = below.iter().map(|entry| entry.key.as_str()).collect();
    let mut entries: Vec<Entry> = below
        .iter()
        .map(|entry| match given.get(entry.key.as_str()) {
            None => entry.clone(),
            Some(other) => Entry { key: entry.key.clone(), place: other.place, node: merged(&entry.node, &other.node) },
        })
        .collect();
    entries.extend(above.iter().filter(|entry| !known.contains(entry.key.as_str())).cloned());
    Node { place: over.place, value: Value::Map(entries) }
}

/// Returns the map with the keys of a level in the table's order: those given, else the built-in default where `fill` says so.
pub fn filled(node: Node, level: &'static Level, fill: impl Fn(&str) -> bool) -> Node {
    let keys = level.keys();
    let mut given: Vec<Option<Entry>> = vec![None; keys.len()];
    if let Value::Map(entries) = node.value {
        for entry in entries.into_iter().filter(|entry| !entry.node.is_null()) {
            if let Some(place) = level.place(&entry.key) {
                given[place].get_or_insert(entry);
            }
        }
    }
    let or_built_in = |(given, key): (Option<Entry>, &&keys::Key)| {
        given.or_else(|| {
            let node = built_in(key).filter(|_| fill(key.name))?;
            Some(Entry { key: key.name.to_owned(), place: node.place, node })
        })
    };
    let entries = given.into_iter().zip(keys).filter_map(or_built_in).collect();
    Node { place: node.place, value: Value::Map(entries) }
}

fn built_in(key: &keys::Key) -> Option<Node> {
    use super::keys::Default;
    use super::positions::ScalarKind;
    let scalar = |text: String, kind| Some(Node::scalar(Origin::BuiltIn, text, kind));
    match key.default {
        Default::None | Default::Depends(_) => None,
        Default::Int(number) => scalar(number.to_string(), ScalarKind::Int(number)),
        Default::Bool(is) => scalar(is.to_string(), ScalarKind::Bool(is)),
        Default::Text(text) => scalar(text.to_owned(), ScalarKind::Text),
        Default::Texts(texts) => {
            let items = texts.iter().map(|text| Node::scalar(Origin::BuiltIn, *text, ScalarKind::Text)).collect();
            Some(Node { place: Node::map(Origin::BuiltIn).place, value: Value::List(items) })
        }
    }
}

/// Sets a key of a map.
pub fn set(node: &mut Node, key: &str, value: Node) {
    if let Value::Map(entries) = &mut node.value {
        let place = value.place;
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => (entry.place, entry.node) = (place, value),
            None => entries.push(Entry { key: key.to_owned(), place, node: value }),
        }
    }
}

/// Takes a key's value out of a map; one that is null is as if not there.
pub fn take(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|entry| entry.key == key && !entry.node.is_null())?;
    Some(entries.remove(at).node)
}

/// Removes a key of a map.
pub fn unset(node: &mut Node, key: &str) {
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|entry| entry.key != key);
    }
}

/// Returns a key's text.
pub fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    Some(node.get(key)?.as_scalar()?.text.as_str())
}

/// Returns a key's whole number.
pub fn int(node: &Node, key: &str) -> Option<i64> {
    match fields::meaning(node.get(key)?.as_scalar()?) {
        positions::ScalarKind::Int(number) => Some(number),
        _ => None,
    }
}

/// Returns a key's boolean.
pub fn boolean(node: &Node, key: &str) -> Option<bool> {
    match fields::meaning(node.get(key)?.as_scalar()?) {
        positions::ScalarKind::Bool(is) => Some(is),
        _ => None,
    }
}

/// Returns a key's list of texts; one text is a list of one.
pub fn texts(node: &Node, key: &str) -> Option<Vec<String>> {
    let list = node.get(key)?;
    let items = match &list.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(list),
    };
    Some(items.iter().filter_map(Node::as_scalar).map(|scalar| scalar.text.clone()).collect())
}

/// Returns a key's map of texts.
pub fn text_map(node: &Node, key: &str) -> Vec<(String, String)> {
    let entries = node.get(key).map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.as_scalar()?.text.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(origin: Origin, text: &str) -> Node {
        positions::parse(origin, text).0.unwrap()
    }

    #[test]
    fn maps_merge_key_by_key_and_lists_replace() {
        let base = parse(Origin::Workspace, "a: 1\nm: {x: 1, y: 2}\nl: [1, 2]\nn: 5\n");
        let over = parse(Origin::Job, "m: {y: 3, z: 4}\nl: [9]\nn: null\nq: 7\n");
        let merged = merged(&base, &over);
        let inner = merged.get("m").unwrap();
        assert_eq!(
            [int(&merged, "a"), int(inner, "x"), int(inner, "y"), int(inner, "z"), int(&merged, "n"), int(&merged, "q")],
            [1, 1, 3, 4, 5, 7].map(Some)
        );
        assert_eq!(texts(&merged, "l"), Some(vec!["9".to_owned()]));
        assert_eq!((inner.get("x").unwrap().place.origin, inner.get("y").unwrap().place.origin), (Origin::Workspace, Origin::Job));
    }
}
