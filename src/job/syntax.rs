//! What the YAML parser says, in words that help.

use saphyr_parser::ScanError;
use serde_json::error::Category;

use super::positions::{Fault, Origin, Place};
use super::report::masked_line;
use crate::text::shortened;

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
    if let Some((bracket, line, column)) = unclosed(text).filter(|_| is_of_brackets(info)) {
        let (closing, what) = if bracket == '[' { (']', "list") } else { ('}', "map") };
        let message = format!("invalid YAML: this {bracket} is never closed");
        return Fault { place: Place { origin, line, column }, message, hint: Some(format!("write {closing} where the {what} ends")) };
    }
    if let Some((key, line)) = without_colon(info, text, line) {
        let column = text.lines().nth(line - 1).map_or(1, |line| line.chars().take_while(|each| matches!(each, ' ' | '-')).count() + 1);
        // The value is not shown: without its colon nothing tells whether it is a secret.
        let (word, value) = key.split_once(' ').unwrap_or((key, ""));
        let message = format!("invalid YAML: no colon stands behind {}", shortened(word, 60));
        let hint = format!("write {}:{}", shortened(word, 60), if value.trim().is_empty() { "" } else { " ..." });
        return Fault { place: Place { origin, line, column }, message, hint: Some(hint) };
    }
    if let Some((word, line)) = without_space(info, text, line) {
        let column = text.lines().nth(line - 1).map_or(1, |line| line.chars().take_while(|each| matches!(each, ' ' | '-')).count() + 1);
        let message = format!("invalid YAML: no space stands behind the colon of {}", shortened(word, 60));
        let hint = format!("write {}: ...", shortened(word, 60));
        return Fault { place: Place { origin, line, column }, message, hint: Some(hint) };
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
        if masked_line(line_text) != line_text {
            return Some("quote it".to_owned());
        }
        return Some(format!("quote it: \"{}\"", shortened(value, 60)));
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

/// Whether an error is one of those that a bracket which was left open ends in.
fn is_of_brackets(info: &str) -> bool {
    info.contains("flow") || info.contains("illegal placement")
}

/// Returns the bracket that is left open, with its line and column; of several, the innermost in the first one's line.
fn unclosed(text: &str) -> Option<(char, usize, usize)> {
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut quote = None;
    for (index, line) in text.lines().enumerate() {
        // Whether a value may begin here, and whether one may behind the next space.
        let (mut is_fresh, mut is_next, mut before) = (true, false, ' ');
        let mut characters = line.chars().enumerate();
        while let Some((column, character)) = characters.next() {
            if let Some(end) = quote {
                match character {
                    '\\' if end == '"' => drop(characters.next()),
                    _ if character == end => quote = None,
                    _ => {}
                }
                continue;
            }
            match character {
                '#' if before.is_whitespace() => break,
                '"' | '\'' if is_fresh => quote = Some(character),
                '[' | '{' if is_fresh || !open.is_empty() => open.push((character, index + 1, column + 1)),
                ']' | '}' if !open.is_empty() => match (open.pop(), character) {
                    (Some(('[', ..)), ']') | (Some(('{', ..)), '}') | (None, _) => {}
                    (mismatched, _) => return mismatched,
                },
                _ => {}
            }
            let is_flow = !open.is_empty() && matches!(character, '[' | '{' | ',');
            is_fresh = is_flow || (character.is_whitespace() && (is_fresh || is_next));
            is_next = character == ':' || (character == '-' && before.is_whitespace());
            before = character;
        }
    }
    let line = open.first()?.1;
    open.into_iter().take_while(|(_, at, _)| *at == line).last()
}

/// Returns what stands where a key should, with the number of its line, above a line at which the parser missed a colon.
fn without_colon<'a>(info: &str, text: &'a str, line: usize) -> Option<(&'a str, usize)> {
    let content = |line: &'a str| line.split_once(" #").map_or(line, |(content, _)| content).trim_end();
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let above = text.lines().enumerate().take(line - 1).filter(|(_, line)| !is_blank(line));
    let above: Vec<(usize, &str)> = above.map(|(index, line)| (index + 1, content(line))).collect();
    let (&(number, found), before) = above.split_last()?;
    let key = found.trim_start().trim_start_matches("- ").trim_start();
    let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic()) && !key.contains(':');
    if info.contains("simple key expect ':'") {
        return is_key.then_some((key, number));
    }
    // Elsewhere a text that goes on from the line before looks alike: only a word alone is a key, right under another key or beside one.
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_alone = key.chars().all(|each| each.is_ascii_alphanumeric() || each == '_');
    let goes_on = before.last().is_some_and(|(_, before)| indent(before) < indent(found) && !before.ends_with(':'));
    let is_other = text.lines().nth(line - 1).is_some_and(|line| line.matches(": ").count() > 1);
    (info.contains("mapping values") && is_key && is_alone && !goes_on && !is_other).then_some((key, number))
}

/// Returns a key right above a line at which the parser missed one, where nothing parts its colon from the value.
fn without_space<'a>(info: &str, text: &'a str, line: usize) -> Option<(&'a str, usize)> {
    if !info.contains("mapping values") && !info.contains("simple key") {
        return None;
    }
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let above = text.lines().enumerate().take(line - 1).filter(|(_, line)| !is_blank(line)).last();
    let (index, found) = above?;
    let (word, value) = found.trim_start().trim_start_matches("- ").trim_start().split_once(':')?;
    let is_key = !word.is_empty() && word.chars().all(|each| each.is_ascii_alphanumeric() || each == '_');
    let is_stuck = value.starts_with(|first: char| !first.is_whitespace() && first != '/');
    (is_key && is_stuck && !value.contains(": ")).then_some((word, index + 1))
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
    fn a_bracket_that_is_never_closed_is_told_where_it_opens() {
        let (list, map) = ("write ] where the list ends", "write } where the map ends");
        check("{name: Sales, tags: [a", 1, 21, "invalid YAML: this [ is never closed", list);
        let job = "name: x\ndata_sources:\n  - path: \"a[.csv\" # [\n    primary_key: [id\n    columns: {types: {x: y}}\n";
        check(job, 4, 18, "invalid YAML: this [ is never closed", list);
        check("a: {x: 1\nb: 2\n", 1, 4, "invalid YAML: this { is never closed", map);
        check("a: [{x: 1]\nb: 2\n", 1, 5, "invalid YAML: this { is never closed", map);
        let quote = "a quote, [ or { is not closed";
        check("a: [x, \"y]\nb: 2\n", 1, 8, "invalid YAML: while scanning a quoted scalar, found unexpected end of stream", quote);
    }

    #[test]
    fn a_key_without_its_colon_is_told_where_it_stands() {
        check("name: x\nsmtp # here\n\n  url: x\n", 2, 1, "invalid YAML: no colon stands behind smtp", "write smtp:");
        check("name: x\nhour 6\nminute: 2\n", 2, 1, "invalid YAML: no colon stands behind hour", "write hour: ...");
        check("name: x\npassword hunter22\nhour: 2\n", 2, 1, "invalid YAML: no colon stands behind password", "write password: ...");
        check(
            "name: x\nschedule_type:15min\nminute: 2\n",
            2,
            1,
            "invalid YAML: no space stands behind the colon of schedule_type",
            "write schedule_type: ...",
        );
        check("data_sources\n  - path: a.csv\n", 1, 1, "invalid YAML: no colon stands behind data_sources", "write data_sources:");
        check("a:\n  - columns\n    c: 1\n", 2, 5, "invalid YAML: no colon stands behind columns", "write columns:");
        let (reason, hint) = (
            "invalid YAML: mapping values are not allowed in this context",
            "quote a value that has a colon and a space in it, and see that the indentation is right",
        );
        check("description: some text\n  more\nname: x: y\n", 3, 8, reason, hint);
        check("description: some text\n  more\n  and: y\n", 3, 6, reason, hint);
    }
}
