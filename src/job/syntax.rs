//! What the YAML parser says, in words that help.

use saphyr_parser::ScanError;
use serde_json::error::Category;

use super::positions::{Fault, Origin, Place};

/// Returns a syntax error with its place and a remedy where one is known.
pub fn fault(origin: Origin, text: &str, error: &ScanError) -> Fault {
    let line = error.marker().line().max(1);
    let column = error.marker().col() + 1;
    let place = Place { origin, line, column };
    let line_text = text.lines().nth(line - 1).unwrap_or_default();
    if let Some(fault) = of_json(origin, text) {
        return fault;
    }
    let info = error.info();
    if info.contains("recursion limit") {
        let message = format!("more than {} lists and maps in each other", super::positions::DEPTH_MAX);
        return Fault { place, message, hint: Some("a job file needs six".to_owned()) };
    }
    let hint = hint(info, line_text, text, line);
    Fault { place, message: format!("invalid YAML: {}", reason(info, line_text)), hint }
}

/// Returns what is wrong with a text that was meant as JSON: its keys have quotes.
fn of_json(origin: Origin, text: &str) -> Option<Fault> {
    let inner = text.trim_start().strip_prefix('{')?.trim_start();
    if !inner.is_empty() && !inner.starts_with('"') {
        return None;
    }
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    let place = Place { origin, line: error.line().max(1), column: error.column().max(1) };
    let told = error.to_string();
    let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
    let (message, hint) = match error.classify() {
        Category::Eof => ("the JSON ends in the middle".to_owned(), "it was cut short: give the whole document"),
        _ => {
            (format!("invalid JSON: {reason}"), "quotes stand around every key and text, a comma between entries, and none behind the last")
        }
    };
    Some(Fault { place, message, hint: Some(hint.to_owned()) })
}

fn reason(info: &str, line_text: &str) -> String {
    if has_bare_star(line_text) && (info.contains("alias") || info.contains("anchor")) {
        return "a value that begins with * is an alias".to_owned();
    }
    info.to_owned()
}

fn hint(info: &str, line_text: &str, text: &str, line: usize) -> Option<String> {
    if has_bare_star(line_text) && (info.contains("alias") || info.contains("anchor")) {
        let value = line_text.split_once(':').map_or("* * * * *", |(_, value)| value.trim());
        return Some(format!("quote it: \"{}\"", crate::text::shortened(value, 60)));
    }
    let is_tabbed =
        |line_text: &str| line_text.chars().take_while(|character| character.is_whitespace()).any(|character| character == '\t');
    if info.contains("tabs ") || is_tabbed(line_text) || text.lines().nth(line.saturating_sub(2)).is_some_and(is_tabbed) {
        return Some("indent with spaces: YAML allows no tabs there".to_owned());
    }
    if info.contains("unknown escape") || info.contains("escape character") {
        return Some("in double quotes \\ begins an escape: write single quotes, or / in paths".to_owned());
    }
    if line_text.contains(":\t") {
        return Some("write a space after the colon, not a tab".to_owned());
    }
    let value = line_text.split_once(": ").map(|(_, value)| value.trim_start()).unwrap_or_default();
    if value.starts_with(['@', '`', '%', '&', '!', '*']) {
        return Some("quote the value: it begins with a character that YAML keeps for itself".to_owned());
    }
    if value.contains(": ") || info.contains("mapping values") {
        return Some("quote a value that has a colon and a space in it, and see that the indentation is right".to_owned());
    }
    if info.contains("quoted") || info.contains("expected ',' or") || info.contains("end of stream") || info.contains("EOF") {
        return Some("a quote, [ or { is not closed".to_owned());
    }
    Some("see that keys of one map are indented alike, and that brackets and quotes are closed".to_owned())
}

/// Whether the line has an unquoted value that begins with `*`.
fn has_bare_star(line_text: &str) -> bool {
    line_text.split_once(':').is_some_and(|(_, value)| value.trim_start().starts_with('*')) || line_text.trim_start().starts_with("- *")
}

#[cfg(test)]
mod tests {
    use super::super::positions;
    use super::*;

    #[track_caller]
    fn check(text: &str, line: usize, column: usize, message: &str, hint: &str) {
        let (node, faults) = positions::parse(Origin::Job, text);
        assert_eq!(node, None, "{text}");
        let Place { origin: _, line: at_line, column: at_column } = faults[0].place;
        let told = (at_line, at_column, faults[0].message.as_str(), faults[0].hint.as_deref().unwrap_or_default());
        assert_eq!(told, (line, column, message, hint), "{text}");
    }

    #[test]
    fn json_is_told_as_json() {
        let (ends, whole) = ("the JSON ends in the middle", "it was cut short: give the whole document");
        check("{\n  \"name\": \"Sales\",\n  \"data_sou", 3, 11, ends, whole);
        check("{\"name\": \"Sales\", \"data_sources\": [{\"path\": \"a.csv\"}", 1, 52, ends, whole);
        check("{", 1, 1, ends, whole);
        let rules = "quotes stand around every key and text, a comma between entries, and none behind the last";
        check("{\"name\": \"Sales\"\n \"hour\": 2}", 2, 2, "invalid JSON: expected `,` or `}`", rules);
    }

    #[test]
    fn yaml_in_brackets_is_told_as_yaml() {
        check(
            "{name: Sales, tags: [a",
            2,
            1,
            "invalid YAML: while parsing a flow sequence, expected ',' or ']'",
            "a quote, [ or { is not closed",
        );
    }
}
