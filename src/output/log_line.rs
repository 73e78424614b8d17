//! Log lines: one event a line, as key=value or as a JSON object with the same keys. Writes nothing.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::plan::Level;
use crate::secret::Masker;
use crate::text::{printable, shortened};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One event a line, key=value
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// The longest value: a line stays one that an editor opens, whatever a server answered.
const VALUE_MAX: usize = 4000;

/// Fields that say what a job file or a server says.
const TEXTS: [&str; 7] = ["source", "stream", "target", "message", "error", "hint", "place"];

/// Something to be logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// How grave it is.
    pub level: Level,
    /// What happened: a stable word.
    pub event: &'static str,
    /// What is known of it; null is left out.
    pub fields: Vec<(&'static str, Value)>,
}

impl Entry {
    /// Hides secrets in what a job file or a server says; words of ours stay: a variable may well be `success`.
    #[must_use]
    pub fn masked(mut self, masker: &Masker) -> Self {
        for (_, value) in self.fields.iter_mut().filter(|(key, _)| TEXTS.contains(key)) {
            if let Value::String(text) = value {
                *text = masker.mask(text);
            }
        }
        self
    }
}

/// What every log line begins with.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// When it was logged.
    pub at: DateTime<Utc>,
    /// The job, where it concerns one.
    pub job: Option<&'a str>,
    /// The run, where there is one.
    pub run: Option<&'a str>,
}

/// Returns an entry as a line, without its end.
pub fn line(format: LogFormat, stamp: &Stamp<'_>, entry: &Entry) -> String {
    let Stamp { at, job, run } = stamp;
    let level = match entry.level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let head = [("at", json!(at)), ("level", json!(level)), ("event", json!(entry.event)), ("job", json!(job)), ("run", json!(run))];
    let all = head.iter().chain(&entry.fields).filter(|(_, value)| !value.is_null());
    match format {
        LogFormat::Json => {
            let object = all.map(|(key, value)| ((*key).to_owned(), short(value)));
            Value::Object(object.collect()).to_string()
        }
        LogFormat::Text => {
            let mut text = String::new();
            for (key, value) in all {
                let gap = if text.is_empty() { "" } else { " " };
                let _ = write!(text, "{gap}{key}={}", plain(value));
            }
            text
        }
    }
}

fn short(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(shortened(text, VALUE_MAX).into_owned()),
        other => other.clone(),
    }
}

/// Returns a value as `key=value` shows it: words bare, everything else quoted and escaped as in Rust, so that a text can't add a key.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let text = shortened(text, VALUE_MAX);
            let clean = printable(&text);
            let is_special = |character: char| character.is_whitespace() || matches!(character, '"' | '=' | '\\');
            if !clean.is_empty() && !clean.chars().any(is_special) {
                return clean.into_owned();
            }
            // Backslashes first: those of the escapes stay single.
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{}\"", printable(&escaped))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: LogFormat, fields: Vec<(&'static str, Value)>) -> String {
        let at = DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant");
        line(format, &Stamp { at, job: Some("flights"), run: Some("r1") }, &Entry { level: Level::Warn, event: "log", fields })
    }

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let head = "at=2026-11-18T11:06:40.000Z level=warn event=log job=flights run=r1 message=";
        assert_eq!(shown(LogFormat::Text, vec![("message", json!(message)), ("rows", json!(7))]), format!("{head}{expected} rows=7"));
    }

    #[test]
    fn a_text_can_neither_add_a_key_nor_a_line_nor_an_escape() {
        check("a b=\"c\"\n\u{1b}[2J level=error", "\"a b=\\\"c\\\"\\n\\u{1b}[2J level=error\"");
        check("x\\\" level=error", "\"x\\\\\\\" level=error\"");
        check("C:\\data", "\"C:\\\\data\"");
        check("", "\"\"");
        check("word", "word");
        check("\u{202e}x\u{2028}y", "\"\\u{202e}x\\u{2028}y\"");
        check(&"x".repeat(5000), &format!("{}…", "x".repeat(3999)));
    }

    #[test]
    fn a_json_line_is_one_object_with_the_same_keys_and_without_empty_fields() {
        let text = shown(LogFormat::Json, vec![("message", json!("a\nb")), ("stream", Value::Null)]);
        assert_eq!(
            text,
            "{\"at\":\"2026-11-18T11:06:40.000Z\",\"level\":\"warn\",\"event\":\"log\",\"job\":\"flights\",\"run\":\"r1\",\"message\":\"a\\nb\"}"
        );
    }

    #[test]
    fn secrets_are_hidden_in_what_files_and_servers_say_and_words_of_ours_stay() {
        let fields = vec![("source", json!("of success")), ("rows", json!(7)), ("status", json!("success"))];
        let masked = Entry { level: Level::Info, event: "log", fields }.masked(&Masker::new(["success".to_owned()]));
        assert_eq!(masked.fields, [("source", json!("of ***")), ("rows", json!(7)), ("status", json!("success"))]);
    }
}
