//! The variables that have no value: where each stands, and what to do about it.

use std::collections::{HashMap, HashSet};

use crate::plan::kinds::{Kind, Level};

use super::positions::{Node, Place, Value};
use super::problem::Problem;
use super::report::Report;
use super::resolved::is_secret;

/// How many variables without a value are listed: each is looked up in the text for its line.
const MISSING_MAX: usize = 100;

/// What may stand in place of a variable whose value is a secret. A default may not: it would be the secret, in a file that is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instead {
    /// `{file: PATH}` or `{command: [..]}`.
    Fetched,
    /// Nothing.
    Nothing,
}

/// Returns the variables without a value in some values, which stand somewhere in the trees given with their keys.
pub fn variables(nodes: &[&Node], trees: &[(&Node, &'static Level)], report: &Report<'_>) -> Vec<Problem> {
    let mut secrets = None;
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for node in nodes {
        node.walk(&mut |node| {
            let template = node.as_scalar().and_then(|scalar| scalar.template.as_ref());
            for name in template.map(|template| &template.missing).into_iter().flatten() {
                if problems.len() < MISSING_MAX && seen.insert((node.place, name.clone())) {
                    let secrets = secrets.get_or_insert_with(|| secrets_of(trees));
                    let hint = hint(name, secrets.get(&node.place).copied());
                    problems.push(report.unset(node.place, format!("the variable {name} is not set"), hint));
                }
            }
        });
    }
    problems
}

fn hint(name: &str, secret: Option<Instead>) -> String {
    let set = format!("set {name} in the environment or in .env");
    match secret {
        None => format!("{set}, or write ${{{name}:-default}}"),
        Some(Instead::Nothing) => set,
        Some(Instead::Fetched) => format!("{set}, or write {{file: PATH}} or {{command: [PROGRAM, ARGUMENT]}} in its place"),
    }
}

fn secrets_of(trees: &[(&Node, &'static Level)]) -> HashMap<Place, Instead> {
    let mut found = HashMap::new();
    trees.iter().for_each(|(tree, level)| of_level(tree, level, &mut found));
    found
}

fn of_level(node: &Node, level: &'static Level, found: &mut HashMap<Place, Instead>) {
    for entry in node.entries() {
        let mut all = |instead| {
            entry.node.walk(&mut |inner| {
                found.insert(inner.place, instead);
            });
        };
        match level.key(&entry.key).map(|key| key.kind) {
            Some(Kind::Secret | Kind::Urls) => all(Instead::Fetched),
            Some(Kind::Map(inner)) => of_level(&entry.node, inner, found),
            Some(Kind::List(inner)) => {
                if let Value::List(items) = &entry.node.value {
                    items.iter().for_each(|item| of_level(item, inner, found));
                }
            }
            Some(Kind::MapOf(inner)) => entry.node.entries().iter().for_each(|entry| of_level(&entry.node, inner, found)),
            // A URL with a login, which must be known before anything is fetched.
            _ if entry.key == "state" => all(Instead::Nothing),
            _ => {
                for carried in entry.node.entries().iter().filter(|carried| is_secret(&carried.key, &entry.key)) {
                    found.insert(carried.node.place, Instead::Nothing);
                }
            }
        }
    }
}
