//! Collects the problems of a job's files: never stops at the first, never grows without end, never shows a secret.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::text::shortened;

use super::keys;
use super::positions::{Fault, Origin, Place};
use super::problem::{Matter, Problem, Severity};

/// How many problems of one file are kept: a file of a million wrong keys is one mistake.
const PROBLEMS_MAX: usize = 100;
/// How much of a line is shown.
const LINE_CHARACTERS_MAX: usize = 200;

/// A file's text with the path that messages show.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The path as shown.
    pub path: PathBuf,
    /// The text.
    pub text: String,
}

impl Text {
    /// Makes a problem of this file.
    pub fn problem(&self, severity: Severity, place: Place, message: String, hint: Option<String>) -> Problem {
        let line_text = match place.line {
            0 => String::new(),
            line => masked_line(&shortened(self.text.lines().nth(line - 1).unwrap_or_default(), LINE_CHARACTERS_MAX)),
        };
        let Place { line, column, .. } = place;
        Problem { file: self.path.clone(), line, column, line_text, severity, matter: Matter::Definition, message, hint }
    }

    /// Makes an error of a fault.
    pub fn fault(&self, fault: Fault) -> Problem {
        self.problem(Severity::Error, fault.place, fault.message, fault.hint)
    }
}

/// The problems of a job so far, and the texts that they point into.
#[derive(Debug)]
pub struct Report<'a> {
    /// The job's file.
    pub job: &'a Text,
    /// etlsched.yaml.
    pub workspace: &'a Text,
    /// What was found.
    pub problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    /// Begins without problems.
    pub fn new(job: &'a Text, workspace: &'a Text) -> Self {
        Self { job, workspace, problems: Vec::new() }
    }

    /// Adds an error.
    pub fn error(&mut self, place: Place, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Error, place, message.into(), hint.into());
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: Place, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Warning, place, message.into(), hint.into());
    }

    /// Makes a problem of a variable without a value, without adding it.
    pub fn unset(&self, place: Place, message: String, hint: String) -> Problem {
        Problem { matter: Matter::Variable, ..self.text(place.origin).problem(Severity::Error, place, message, Some(hint)) }
    }

    /// Whether nothing more is kept: looking for hints would be wasted.
    pub fn is_full(&self) -> bool {
        self.problems.len() > PROBLEMS_MAX
    }

    /// Whether there are errors.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the problems in the order of files and lines.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by(|left, right| (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column)));
        self.problems
    }

    fn add(&mut self, severity: Severity, place: Place, message: String, hint: Option<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(self.text(place.origin).problem(severity, place, message, hint));
        } else if self.problems.len() == PROBLEMS_MAX {
            let nowhere = Place { line: 0, column: 0, ..place };
            let message = format!("more than {PROBLEMS_MAX} problems: the rest are not listed");
            self.problems.push(self.text(place.origin).problem(Severity::Error, nowhere, message, None));
        }
    }

    fn text(&self, origin: Origin) -> &'a Text {
        match origin {
            Origin::Workspace => self.workspace,
            Origin::Job | Origin::Environment | Origin::BuiltIn => self.job,
        }
    }
}

/// Words in keys whose values are not shown, right or wrongly spelt.
const SECRET_WORDS: &[&str] =
    &["pass", "pwd", "secret", "token", "hash_key", "api_key", "apikey", "api-key", "bearer", "authorization", "cookie"];

/// Returns a line with the literal values of secret keys and the passwords of URLs hidden; `${NAME}` stays.
///
/// For lines that may have mistakes: a secret whose colon was forgotten is hidden too.
pub fn masked_line(line: &str) -> String {
    masked_without_colon(line).unwrap_or_else(|| masked_values(line))
}

/// As [`masked_line`], for lines without mistakes.
pub fn masked_values(line: &str) -> String {
    let line = masked_urls(line);
    let mut masked = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon + 1);
        masked.push_str(before);
        rest = after;
        let key = before[..colon].rsplit(['{', ',', ' ', '-', '[']).next().unwrap_or_default().to_lowercase();
        let spaces = rest.len() - rest.trim_start().len();
        let value = &rest[spaces..];
        let key = key.trim_matches(['"', '\'']);
        let is_key = key.chars().all(|character| character.is_alphanumeric() || character == '_');
        if is_key && is_secret(key) && !value.starts_with('{') {
            let value_end = value_end(value);
            if value_end > 0 && !value[..value_end].contains("${") {
                masked.push_str(&rest[..spaces]);
                masked.push_str(crate::secret::MASK);
                rest = &value[value_end..];
            }
        }
        if let Some(login) = rest.strip_prefix("//")
            && let Some((at, _)) = login.char_indices().find(|(_, character)| matches!(character, '@' | ' ' | ',' | '/' | '"'))
            && login[at..].starts_with('@')
            && let Some((user, password)) = login[..at].split_once(':')
            && !password.contains("${")
        {
            masked.push_str(&format!("//{user}:{}", crate::secret::MASK));
            rest = &login[at..];
        }
    }
    masked.push_str(rest);
    masked
}

/// Hides what stands behind the name of a secret whose colon was forgotten.
fn masked_without_colon(line: &str) -> Option<String> {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let end = start + line[start..].find(' ')?;
    let (word, value) = (&line[start..end], line[end..].trim());
    let is_word = word.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    let is_meant = is_word && !value.is_empty() && !value.starts_with(['#', ':']) && !value.contains("${");
    (is_meant && is_secret(&word.to_lowercase())).then(|| format!("{} {}", &line[..end], crate::secret::MASK))
}

/// What the names of keys begin with whose URLs are secrets. Each line of each job is searched for them.
static URL_KEYS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new("webhook"), Finder::new("healthcheck")]);

/// Hides the literal values of keys whose URLs are secrets, and of items of lists that are nothing but a URL, which may belong to them.
fn masked_urls(line: &str) -> String {
    let start = line.len() - line.trim_start_matches([' ', '-', '"', '\'']).len();
    let is_item = line[..start].contains('-') && line[start..].split_once("://").is_some_and(|(scheme, _)| !scheme.contains([':', ' ']));
    if is_item && !line.contains("${") {
        let scheme = line[start..].find("://").map_or(start, |at| start + at + 3);
        return format!("{}{}", &line[..scheme], crate::secret::MASK);
    }
    let lower = line.to_ascii_lowercase();
    let value = URL_KEYS.iter().find_map(|word| {
        let key = word.find(lower.as_bytes())?;
        let colon = key + lower[key..].find(':')?;
        // A key, not a word of a value.
        lower[key..colon].chars().all(|character| character.is_ascii_alphanumeric() || "_\"'".contains(character)).then_some(colon + 1)
    });
    let Some(value) = value else { return line.to_owned() };
    let (key, value) = line.split_at(value);
    let is_plain = !value.trim().is_empty() && !value.trim_start().starts_with('{');
    // What names a variable, or is hidden already, stays.
    if is_plain && !value.contains("${") && !value.contains(crate::secret::MASK) {
        format!("{key} {}", crate::secret::MASK)
    } else {
        line.to_owned()
    }
}

/// The keys that there are and that name no secret: nearly all that each line of each job is asked for.
static PLAIN_KEYS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| keys::names().filter(|name| !has_secret_word(name)).collect());

/// Whether a key names a secret, rightly or wrongly spelt.
fn is_secret(key: &str) -> bool {
    if PLAIN_KEYS.contains(key) {
        return false;
    }
    has_secret_word(key) || ((5..=20).contains(&key.len()) && crate::text::nearest(key, ["password", "hash_key"]).is_some())
}

fn has_secret_word(key: &str) -> bool {
    // `value` is that of an api_key.
    key == "value" || SECRET_WORDS.iter().any(|word| key.contains(word))
}

fn value_end(value: &str) -> usize {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
        _ => value.find([',', '}', '#']).unwrap_or(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(masked_line(line), expected);
    }

    #[test]
    fn lines_are_shown_without_secrets() {
        check("  erp: {type: postgresql, password: hunter22, hots: db1}", "  erp: {type: postgresql, password: ***, hots: db1}");
        check("pasword: \"a, b\" # x", "pasword: *** # x");
        check("password: \"${ERP}\"", "password: \"${ERP}\"");
        check("url: postgresql://etl:hunter22@db1/erp", "url: postgresql://etl:***@db1/erp");
        check("state: \"postgresql://etl:${PASSWORD}@db1:5432/x\"", "state: \"postgresql://etl:${PASSWORD}@db1:5432/x\"");
        check("auth: {bearer: abc}", "auth: {bearer: ***}");
        check("auth: {api_key: {header: X-Key, value: abc}}", "auth: {api_key: {header: X-Key, value: ***}}");
        check("headers: {Authorization: Bearer abc, Accept: text/csv}", "headers: {Authorization: ***, Accept: text/csv}");
        check("password: {file: /run/x}", "password: {file: /run/x}");
        check("name: plain", "name: plain");
        check("    password hunter22", "    password ***");
        check("  - name password", "  - name password");
        check("  passed by hand", "  passed ***");
        check("webhooks: [\"https://hooks.example/a\", \"https://hooks.example/b\"]", "webhooks: ***");
        check("webhooks: [\"${HOOK}\"]", "webhooks: [\"${HOOK}\"]");
        check("- {name: webhook_events, path: a.csv}", "- {name: webhook_events, path: a.csv}");
        check("healthcheck_url: \"***\"", "healthcheck_url: \"***\"");
        check("defaults: {healthcheck_url: https://hc.example/a}", "defaults: {healthcheck_url: ***");
        check("  - \"htps://hooks.example/a\"", "  - \"htps://***");
        check("  - path: https://files.example/a.csv", "  - path: https://files.example/a.csv");
    }
}
