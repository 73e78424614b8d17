//! Holds a tree to the tables of keys: unknown keys, wrong types, values out of range. All of them, never only the first.

use crate::schedule;
use crate::text::{nearest, printable, shortened};

use super::keys::{self, Key, Kind, Level, Status};
use super::misnamed;
use super::positions::{Entry, Node, Scalar, ScalarKind, Value, resolve};
use super::report::Report;
use super::values;

/// Whether keys that don't work in this version are problems here, or only where a job uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// They are problems.
    Used,
    /// A declaration that no job may use.
    Declared,
}

/// Checks a map of a level and everything in it.
pub fn check(node: &Node, level: &'static Level, usage: Use, report: &mut Report<'_>) {
    let Value::Map(entries) = &node.value else {
        if !node.is_null() {
            report.error(node.place, format!("{} is a map of keys, not {}", level.name, sort(node)), None);
        }
        return;
    };
    for entry in entries {
        if report.is_full() {
            return; // whatever comes is not listed
        }
        match level.key(&entry.key) {
            None => unknown(entry, level, report),
            Some(_) if entry.node.is_null() => {}
            Some(key) => {
                if usage == Use::Used {
                    status(entry, key, report);
                }
                value(&entry.node, key.name, key.kind, usage, report);
            }
        }
    }
}

/// Adds what the status of the keys of a declared map means now that a job uses it.
pub fn check_status(node: &Node, level: &'static Level, report: &mut Report<'_>) {
    for entry in node.entries() {
        if let Some(key) = level.key(&entry.key)
            && !entry.node.is_null()
        {
            status(entry, key, report);
            if let Kind::Map(inner) = key.kind {
                check_status(&entry.node, inner, report);
            }
        }
    }
}

fn status(entry: &Entry, key: &Key, report: &mut Report<'_>) {
    match key.status {
        Status::Works | Status::Schedule => {}
        Status::NotYet => report.error(entry.place, format!("{} is not in this version", key.name), "remove it".to_owned()),
    }
}

fn unknown(entry: &Entry, level: &'static Level, report: &mut Report<'_>) {
    if entry.key.starts_with('\0') {
        return; // a key that is no scalar: said by the parser
    }
    let shown = shortened(&entry.key, 60);
    let hint = misnamed::meant(&entry.key, level)
        .or_else(|| near(&entry.key, level.keys().iter().map(|key| key.name)).map(|name| format!("did you mean {name}?")))
        .unwrap_or_else(|| format!("`etlsched json-schema {}` lists the keys", document(level)));
    report.error(entry.place, format!("unknown key {shown} in {}", level.name), hint);
}

fn document(level: &'static Level) -> &'static str {
    if matches!(level.name, "a connection" | "smtp" | "etlsched.yaml") { "workspace" } else { "job" }
}

/// How many names are looked at for "did you mean".
const CANDIDATES_MAX: usize = 100;

/// Returns the name that was meant, unless the text is too long to be one.
pub fn near<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() <= 64 { nearest(given, names.into_iter().take(CANDIDATES_MAX)) } else { None }
}

/// Returns of what sort a value is: where a map is expected it may be a URL with its password.
fn sort(node: &Node) -> &'static str {
    match &node.value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => "nothing",
            ScalarKind::Bool(_) | ScalarKind::Int(_) | ScalarKind::Float(_) | ScalarKind::Text => "a value",
        },
    }
}

/// Returns what a value is, in words, without showing secrets.
pub fn what(node: &Node) -> String {
    match &node.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => "nothing".to_owned(),
            ScalarKind::Bool(_) | ScalarKind::Int(_) | ScalarKind::Float(_) => shortened(scalar.shown(), 40).into_owned(),
            ScalarKind::Text => format!("\"{}\"", printable(&shortened(scalar.shown(), 40))),
        },
    }
}

/// Reports a value that is not what its key takes.
pub fn wrong(node: &Node, name: &str, expected: &str, hint: Option<String>, report: &mut Report<'_>) {
    report.error(node.place, format!("{name}: expected {expected}, not {}", what(node)), hint);
}

/// Returns what a scalar means; one whose text came out of variables is resolved as if it stood there plain.
pub fn meaning(scalar: &Scalar) -> ScalarKind {
    if scalar.template.is_some() { resolve(&scalar.text) } else { scalar.kind }
}

fn value(node: &Node, name: &str, kind: Kind, usage: Use, report: &mut Report<'_>) {
    if node.as_scalar().is_some_and(Scalar::is_missing) {
        return; // what it will be is not known yet
    }
    match kind {
        Kind::Any => {}
        Kind::Text => expect_text(node, name, report),
        Kind::Prose if matches!(node.as_scalar(), Some(Scalar { kind: ScalarKind::Text, .. })) => {}
        Kind::Prose => wrong(node, name, "text", Some("put it in quotes".to_owned()), report),
        Kind::Bool => boolean(node, name, report),
        Kind::Int(min, max) => integer(node, name, min, max, report),
        Kind::Number(min, max) => number(node, name, min, max, report),
        Kind::ConnectionType => word(node, name, &keys::connection_types(), report),
        Kind::Word(words) => word(node, name, words, report),
        Kind::Words(words) => list(node, name, report, |item, report| word(item, name, words, report)),
        Kind::Texts => texts(node, name, report),
        Kind::Scalars => list(node, name, report, |item, report| {
            if item.as_scalar().is_none() {
                wrong(item, name, "a plain value", None, report);
            }
        }),
        Kind::Character => character(node, name, report),
        Kind::TextMap => {
            map(node, name, report, |entry, report| expect_text(&entry.node, &format!("{name}.{}", shortened(&entry.key, 60)), report))
        }
        Kind::Params => map(node, name, report, |entry, report| {
            let name = format!("{name}.{}", shortened(&entry.key, 60));
            if matches!(entry.node.value, Value::Map(_)) {
                return wrong(&entry.node, &name, "a plain value", None, report);
            }
            list(&entry.node, &name, report, |item, report| {
                if item.as_scalar().is_none() {
                    wrong(item, &name, "a plain value", None, report);
                }
            });
        }),
        Kind::TypeMap => values::column_types(node, name, report),
        Kind::Secret => secret(node, name, report),
        Kind::Zone => values::zone(node, name, report),
        Kind::Weekdays => values::days(node, name, report, |text| schedule::parse_weekday(text).map(|_| ())),
        Kind::MonthDays => values::days(node, name, report, |text| schedule::parse_month_day(text).map(|_| ())),
        Kind::Clock => values::clock(node, name, report),
        Kind::Cron => values::cron_line(node, name, report),
        Kind::Emails => list(node, name, report, |item, report| values::email(item, name, report)),
        Kind::Mailbox => values::mailbox(node, name, report),
        Kind::Urls => urls(node, name, report),
        Kind::Map(level) => check(node, level, usage, report),
        Kind::List(level) => match &node.value {
            Value::List(items) => items.iter().for_each(|item| check(item, level, usage, report)),
            Value::Scalar(_) | Value::Map(_) => wrong(node, name, "a list", Some("begin each item with `- `".to_owned()), report),
        },
        Kind::MapOf(level) => map(node, name, report, |entry, report| {
            if entry.key.trim().is_empty() || entry.key.chars().any(char::is_control) {
                report.error(entry.place, format!("{name}: a name can't be empty"), None);
            }
            check(&entry.node, level, Use::Declared, report);
        }),
    }
}

fn expect_text(node: &Node, name: &str, report: &mut Report<'_>) {
    let _ = text(node, name, report);
}

/// Returns a value's text; anything else, and emptiness, is reported.
pub fn text<'a>(node: &'a Node, name: &str, report: &mut Report<'_>) -> Option<&'a str> {
    match node.as_scalar() {
        Some(scalar) if scalar.kind == ScalarKind::Text => {
            if scalar.text.trim().is_empty() {
                report.error(node.place, format!("{name} is empty"), None);
                None
            } else if scalar.text.contains('\0') {
                report.error(node.place, format!("{name} has a NUL character in it"), None);
                None
            } else {
                Some(&scalar.text)
            }
        }
        Some(_) => {
            wrong(node, name, "text", Some("put it in quotes".to_owned()), report);
            None
        }
        None => {
            wrong(node, name, "text", None, report);
            None
        }
    }
}

fn boolean(node: &Node, name: &str, report: &mut Report<'_>) {
    let scalar = node.as_scalar();
    if scalar.is_some_and(|scalar| matches!(meaning(scalar), ScalarKind::Bool(_))) {
        return;
    }
    let hint = match scalar.map(|scalar| scalar.text.to_lowercase()).as_deref() {
        Some("yes" | "on" | "y" | "true" | "1") => Some("write true".to_owned()),
        Some("no" | "off" | "n" | "false" | "0") => Some("write false".to_owned()),
        _ => None,
    };
    wrong(node, name, "true or false", hint, report);
}

fn integer(node: &Node, name: &str, min: i64, max: i64, report: &mut Report<'_>) {
    match node.as_scalar().map(meaning) {
        Some(ScalarKind::Int(number)) if (min..=max).contains(&number) => {}
        Some(ScalarKind::Int(number)) if max == i64::MAX => report.error(node.place, format!("{name}: {number} is less than {min}"), None),
        Some(ScalarKind::Int(number)) => report.error(node.place, format!("{name}: {number} is not between {min} and {max}"), None),
        _ => {
            let plain = node
                .as_scalar()
                .filter(|scalar| matches!(resolve(&scalar.text), ScalarKind::Int(_)))
                .map(|scalar| scalar.shown().to_owned());
            wrong(node, name, "a whole number", plain.map(|text| format!("write {text} without quotes")), report);
        }
    }
}

fn number(node: &Node, name: &str, min: f64, max: f64, report: &mut Report<'_>) {
    match number_of(node) {
        Some(number) if (min..=max).contains(&number) => {}
        Some(_) => report.error(node.place, format!("{name}: {} is not between {min} and {max}", what(node)), None),
        None => wrong(node, name, "a number", None, report),
    }
}

/// Returns a number, whole or not.
pub fn number_of(node: &Node) -> Option<f64> {
    match node.as_scalar().map(meaning)? {
        ScalarKind::Int(number) => Some(number as f64),
        ScalarKind::Float(number) => Some(number),
        ScalarKind::Null | ScalarKind::Bool(_) | ScalarKind::Text => None,
    }
}

fn word(node: &Node, name: &str, words: &[&str], report: &mut Report<'_>) {
    let Some(scalar) = node.as_scalar() else { return wrong(node, name, &format!("one of {}", words.join(", ")), None, report) };
    if scalar.is_missing() || words.contains(&scalar.text.as_str()) {
        return;
    }
    let hint = near(&scalar.text, words.iter().copied()).map(|word| format!("did you mean {word}?"));
    wrong(node, name, &format!("one of {}", words.join(", ")), hint, report);
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    }
}

/// Calls `item` for each item of a list; one value stands for a list of one.
pub fn list(node: &Node, name: &str, report: &mut Report<'_>, mut item: impl FnMut(&Node, &mut Report<'_>)) {
    if matches!(node.value, Value::Map(_)) {
        return wrong(node, name, "a list", None, report);
    }
    for each in items(node) {
        if report.is_full() {
            return;
        }
        if !each.as_scalar().is_some_and(Scalar::is_missing) {
            item(each, report);
        }
    }
}

fn texts(node: &Node, name: &str, report: &mut Report<'_>) {
    let mut seen = std::collections::HashSet::new();
    list(node, name, report, |item, report| {
        if let Some(text) = text(item, name, report)
            && !seen.insert(text.to_owned())
        {
            report.error(item.place, format!("{name}: {} stands twice", what(item)), None);
        }
    });
}

/// Calls `entry` for each entry of a map.
pub fn map(node: &Node, name: &str, report: &mut Report<'_>, mut entry: impl FnMut(&Entry, &mut Report<'_>)) {
    match &node.value {
        Value::Map(entries) => {
            for each in entries.iter().filter(|each| !each.key.starts_with('\0')) {
                if report.is_full() {
                    return;
                }
                entry(each, report);
            }
        }
        Value::Scalar(_) | Value::List(_) => report.error(node.place, format!("{name}: expected a map, not {}", sort(node)), None),
    }
}

fn character(node: &Node, name: &str, report: &mut Report<'_>) {
    let is_one = node.as_scalar().is_some_and(|scalar| {
        let mut characters = scalar.text.chars();
        matches!((characters.next(), characters.next()), (Some(character), None) if character.is_ascii() && !matches!(character, '\n' | '\r' | '\0'))
    });
    if !is_one {
        wrong(node, name, "one ASCII character", Some("in double quotes \"\\t\" is a tab".to_owned()), report);
    }
}

/// Checks URLs that are secrets: each is text, or comes out of a file or a command.
fn urls(node: &Node, name: &str, report: &mut Report<'_>) {
    for item in items(node) {
        if report.is_full() {
            return;
        }
        match &item.value {
            Value::Scalar(scalar) if scalar.is_missing() => {}
            Value::Scalar(_) => values::url(item, name, report),
            Value::List(_) | Value::Map(_) => secret(item, name, report),
        }
    }
}

fn secret(node: &Node, name: &str, report: &mut Report<'_>) {
    let hint = "write \"${NAME}\", {file: PATH} or {command: [PROGRAM, ARGUMENT]}".to_owned();
    match &node.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Text && !scalar.text.is_empty() => {}
        // The value itself is never shown: it may be a secret.
        Value::Scalar(_) => report.error(node.place, format!("{name}: expected text"), Some("put it in quotes".to_owned())),
        Value::List(_) => report.error(node.place, format!("{name}: expected a secret, not a list"), Some(hint)),
        Value::Map(entries) => match entries.as_slice() {
            [entry] if entry.key == "file" => expect_text(&entry.node, &format!("{name}.file"), report),
            [entry] if entry.key == "command" => match &entry.node.value {
                Value::List(words) if !words.is_empty() => {
                    words.iter().for_each(|word| expect_text(word, &format!("{name}.command"), report))
                }
                _ => report.error(entry.node.place, format!("{name}.command: expected a list: the program and its arguments"), Some(hint)),
            },
            _ => report.error(node.place, format!("{name}: expected either file or command"), Some(hint)),
        },
    }
}
