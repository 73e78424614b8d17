//! A job as it holds: every setting as YAML with the place that it comes from, secrets masked.

use std::path::Path;

use crate::secret::MASK;
use crate::text::printable;

use super::load::Loaded;
use super::positions::{Entry, Node, Origin, Scalar, ScalarKind, Value, resolve};
use super::report::masked_values;
use super::settings::Settings;

/// Keys whose literal values are secret: URLs that let everybody post who knows them.
const SECRET_KEYS: &[&str] = &["healthcheck_url", "webhooks", "password", "hash_key", "bearer", "client_secret"];

/// Maps of what requests to APIs carry, in which a name tells whether its value is secret.
const CARRIERS: &[&str] = &["headers", "params"];

/// Words in names of headers and parameters whose values are secret.
const CARRIED_SECRETS: &[&str] = &["auth", "cookie", "credential", "key", "pass", "secret", "session", "sig", "token"];

/// Returns the resolved job as lines of YAML, each with its origin, which is empty for what has none of its own.
pub fn lines(loaded: &Loaded, settings: &Settings, job_path: &Path) -> Vec<(String, String)> {
    let mut printer =
        Printer { job: job_path.display().to_string(), workspace: settings.text.path.display().to_string(), lines: Vec::new() };
    printer.map(loaded.tree.entries(), 0, None, "");
    printer.lines.into_iter().map(|(line, origin)| (masked_values(&printable(&line)), printable(&origin).into_owned())).collect()
}

/// A setting of a resolved job: a plain value, or a list of plain ones.
#[derive(Debug)]
pub struct Setting {
    /// Where it stands: `data_sources[0].etl_config.mode`.
    pub key: String,
    /// What holds; variables as the file has them, secrets masked.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub origin: String,
}

/// Returns the resolved job for scripts: what [`lines`] says for people.
pub fn settings(loaded: &Loaded, settings: &Settings, job_path: &Path) -> Vec<Setting> {
    let printer = Printer { job: job_path.display().to_string(), workspace: settings.text.path.display().to_string(), lines: Vec::new() };
    let mut found = Vec::new();
    printer.settings(&loaded.tree, "", ("", ""), &mut found);
    found
}

struct Printer {
    job: String,
    workspace: String,
    lines: Vec<(String, String)>,
}

impl Printer {
    /// Prints a map; `first` is what stands before its first key in place of the indentation.
    /// `within` is the key whose value it is.
    fn map(&mut self, entries: &[Entry], indent: usize, first: Option<String>, within: &str) {
        let mut first = first;
        for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
            let start = first.take().unwrap_or_else(|| " ".repeat(indent));
            self.value(&format!("{start}{}:", plain_or_quoted(&entry.key)), &entry.node, indent, &entry.key, is_secret(&entry.key, within));
        }
    }

    fn value(&mut self, start: &str, node: &Node, indent: usize, key: &str, is_secret: bool) {
        match &node.value {
            Value::Scalar(scalar) => {
                let shown = scalar_text(scalar, is_secret);
                self.lines.push((format!("{start} {shown}"), self.origin(node)));
            }
            Value::List(items) if items.is_empty() => self.lines.push((format!("{start} []"), self.origin(node))),
            Value::List(items) if items.iter().all(|item| item.as_scalar().is_some()) => {
                let texts: Vec<String> = items.iter().filter_map(Node::as_scalar).map(|scalar| scalar_text(scalar, is_secret)).collect();
                self.lines.push((format!("{start} [{}]", texts.join(", ")), self.origin(node)));
            }
            Value::List(items) => {
                self.lines.push((start.to_owned(), String::new()));
                for item in items {
                    let dash = format!("{}- ", " ".repeat(indent + 2));
                    match &item.value {
                        Value::Map(entries) => self.map(entries, indent + 4, Some(dash), key),
                        Value::Scalar(_) | Value::List(_) => self.value(dash.trim_end(), item, indent + 2, key, is_secret),
                    }
                }
            }
            Value::Map(entries) if entries.is_empty() => self.lines.push((format!("{start} {{}}"), self.origin(node))),
            Value::Map(entries) => {
                self.lines.push((start.to_owned(), String::new()));
                self.map(entries, indent + 2, None, key);
            }
        }
    }

    /// Adds the settings of a value at a place; `key` is its key, `within` the one around it.
    fn settings(&self, node: &Node, at: &str, (key, within): (&str, &str), found: &mut Vec<Setting>) {
        let plain = |node: &Node| node.as_scalar().map(|scalar| plain_value(scalar, key, is_secret(key, within)));
        let value = match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
                    let at = if at.is_empty() { entry.key.clone() } else { format!("{at}.{}", entry.key) };
                    self.settings(&entry.node, &at, (&entry.key, key), found);
                }
                return;
            }
            Value::Map(_) => serde_json::json!({}),
            Value::List(items) => match items.iter().map(plain).collect::<Option<Vec<_>>>() {
                Some(values) => values.into(),
                None => {
                    for (index, item) in items.iter().enumerate() {
                        self.settings(item, &format!("{at}[{index}]"), (key, within), found);
                    }
                    return;
                }
            },
            Value::Scalar(_) => plain(node).unwrap_or_default(),
        };
        found.push(Setting { key: at.to_owned(), value, origin: self.origin(node) });
    }

    fn origin(&self, node: &Node) -> String {
        let place = match node.place.origin {
            Origin::BuiltIn => "built-in".to_owned(),
            Origin::Environment => "environment: ETLSCHED_TIMEZONE".to_owned(),
            Origin::Job => format!("{}:{}", self.job, node.place.line),
            Origin::Workspace => format!("{}:{}", self.workspace, node.place.line),
        };
        match node.as_scalar().and_then(|scalar| scalar.template.as_ref()) {
            Some(template) if !template.missing.is_empty() => format!("{place}; not set: {}", template.missing.join(", ")),
            Some(_) => format!("{place}; environment"),
            None => place,
        }
    }
}

/// Whether the literal value of a key is secret.
pub fn is_secret(key: &str, within: &str) -> bool {
    let name = key.to_lowercase();
    SECRET_KEYS.contains(&key) || (CARRIERS.contains(&within) && CARRIED_SECRETS.iter().any(|word| name.contains(word)))
}

/// Returns a scalar as YAML; where variables stood in it, as written in the file.
fn scalar_text(scalar: &Scalar, is_secret: bool) -> String {
    match scalar.kind {
        ScalarKind::Text if is_secret && scalar.template.is_none() => format!("\"{MASK}\""),
        ScalarKind::Text => plain_or_quoted(scalar.shown()),
        ScalarKind::Null => "null".to_owned(),
        ScalarKind::Bool(_) | ScalarKind::Int(_) | ScalarKind::Float(_) => scalar.text.clone(),
    }
}

/// Returns a scalar for scripts, masked as its line would be.
fn plain_value(scalar: &Scalar, key: &str, is_secret: bool) -> serde_json::Value {
    match scalar.kind {
        ScalarKind::Text if is_secret && scalar.template.is_none() => MASK.into(),
        ScalarKind::Text => {
            let before = format!("{key}: ");
            let line = masked_values(&format!("{before}{}", scalar.shown()));
            line.strip_prefix(&before).unwrap_or(MASK).into()
        }
        ScalarKind::Null => serde_json::Value::Null,
        ScalarKind::Bool(value) => value.into(),
        ScalarKind::Int(value) => value.into(),
        ScalarKind::Float(value) => value.into(),
    }
}

/// Returns a text as YAML reads it back: plain where that is safe everywhere, else in double quotes.
pub fn plain_or_quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | ' ' | '@' | '(' | ')');
    let is_safe = text.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '_' | '/' | '.'))
        && text.chars().all(is_plain)
        && !text.ends_with(' ')
        && resolve(text) == ScalarKind::Text
        // YAML 1.1 readers take these for booleans.
        && !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
    if is_safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
