//! Walks through one answer as it comes: hands each record out, keeps the few values by which further pages are found, passes the rest.

use std::io::Read;

use super::scan::{ScanError, Scanner};
use super::syntax::{Parser, unescape};
use crate::source::SourceError;
use crate::text;

/// The most bytes of a value that pages are found by.
const WANTED_BYTES_MAX: usize = 64 * 1024;

/// How many members of an answer a message names.
const NAMES_MAX: usize = 20;

/// What is looked for in an answer.
#[derive(Debug)]
pub(super) struct Sought {
    /// Where the records are; `None` is the answer itself or its only list.
    pub records: Option<Vec<String>>,
    /// The values that are kept.
    pub values: Vec<Vec<String>>,
}

/// Why an answer could not be walked through.
#[derive(Debug)]
pub(super) enum WalkError {
    /// It is no JSON, or reading it failed.
    Scan(ScanError),
    /// It is JSON, and not what was asked for.
    Shape {
        /// What is wrong: a lower-case fragment.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A record could not be taken.
    Record(SourceError),
}

impl From<ScanError> for WalkError {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

/// Takes records.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), SourceError>;

/// Walks through a document; returns the texts of the values that are kept.
pub(super) fn document<R: Read>(scanner: &mut Scanner<R>, sought: &Sought, take: Take<'_>) -> Result<Vec<Option<String>>, WalkError> {
    let values = vec![None; sought.values.len()];
    let mut walk =
        Walk { scanner, sought, take, values, path: Vec::new(), found: None, is_null: false, tells_errors: false, members: Vec::new() };
    walk.value()?;
    if walk.scanner.peek_value()?.is_some() {
        return Err(walk.scanner.wrong("the end of the document").into());
    }
    walk.judge()?;
    Ok(walk.values)
}

struct Walk<'a, R> {
    scanner: &'a mut Scanner<R>,
    sought: &'a Sought,
    take: Take<'a>,
    values: Vec<Option<String>>,
    path: Vec<String>,
    /// Where records were found.
    found: Option<Vec<String>>,
    /// Whether null stands in the place of the records.
    is_null: bool,
    /// Whether the answer has a member `error` or `errors` that says something.
    tells_errors: bool,
    /// Members of the answer, for messages.
    members: Vec<String>,
}

impl<R: Read> Walk<'_, R> {
    fn value(&mut self) -> Result<(), WalkError> {
        let first = self.scanner.peek_value()?.ok_or(ScanError::Cut)?;
        let is_records = match &self.sought.records {
            Some(records) => *records == self.path,
            None => first == b'[' && self.path.len() < 2,
        };
        if is_records {
            return self.records(first);
        }
        let is_above = |wanted: &Vec<String>| wanted.len() > self.path.len() && wanted.starts_with(&self.path);
        let is_default_root = self.sought.records.is_none() && self.path.is_empty();
        let is_entered = is_default_root || self.sought.records.iter().chain(&self.sought.values).any(is_above);
        if first == b'{' && is_entered {
            return self.object();
        }
        let places: Vec<usize> = (0..self.values.len()).filter(|place| self.sought.values[*place] == self.path).collect();
        if places.is_empty() {
            return Ok(self.scanner.pass()?);
        }
        let raw = self.scanner.value()?;
        let is_right = Parser::new(raw).value(0).is_ok_and(|whole| whole.len() == raw.len());
        let kept = std::str::from_utf8(raw).ok().filter(|text| is_right && text.len() <= WANTED_BYTES_MAX).map(str::to_owned);
        let kept = kept.ok_or_else(|| {
            shape(format!("{} is no JSON value of at most 64 KiB", self.path.join(".")), "look at pagination: its path must name one value")
        })?;
        for place in places {
            self.values[place] = Some(kept.clone());
        }
        Ok(())
    }

    fn object(&mut self) -> Result<(), WalkError> {
        self.scanner.take();
        if self.scanner.peek_value()? == Some(b'}') {
            self.scanner.take();
            return Ok(());
        }
        loop {
            let key = self.key()?;
            self.scanner.expect(b':', "a colon")?;
            if self.path.is_empty() && self.members.len() < NAMES_MAX {
                self.members.push(key.clone());
            }
            let is_of_errors = self.path.is_empty() && ["error", "errors"].iter().any(|name| key.eq_ignore_ascii_case(name));
            self.path.push(key);
            if is_of_errors && !self.is_sought() {
                self.errors()?
            } else {
                self.value()?
            }
            self.path.pop();
            match self.scanner.peek_value()? {
                Some(b',') => self.scanner.take(),
                Some(b'}') => {
                    self.scanner.take();
                    return Ok(());
                }
                Some(_) => return Err(self.scanner.wrong("a comma or }").into()),
                None => return Err(ScanError::Cut.into()),
            }
        }
    }

    /// Whether this place, or one in it, was asked for.
    fn is_sought(&self) -> bool {
        self.sought.records.iter().chain(&self.sought.values).any(|wanted| wanted.starts_with(&self.path))
    }

    /// Passes what a server says of errors; a list of these is never taken for the records.
    fn errors(&mut self) -> Result<(), WalkError> {
        let raw = self.scanner.value()?;
        let said: Vec<u8> = raw.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        self.tells_errors |= !matches!(said.as_slice(), b"null" | b"false" | b"0" | b"\"\"" | b"[]" | b"{}");
        Ok(())
    }

    fn key(&mut self) -> Result<String, WalkError> {
        if self.scanner.peek_value()?.is_some_and(|first| first != b'"') {
            return Err(self.scanner.wrong("a key in quotes").into());
        }
        let at = self.scanner.offset();
        let raw = self.scanner.value()?;
        let mut text = Vec::new();
        let is_text = Parser::new(raw).string().is_ok_and(|quoted| unescape(quoted.inner, &mut text));
        let key = if is_text { String::from_utf8(text).ok() } else { None };
        key.ok_or_else(|| ScanError::Syntax(at, "a key").into())
    }

    fn records(&mut self, first: u8) -> Result<(), WalkError> {
        if let Some(before) = &self.found {
            let (before, here) = (before.join("."), self.path.join("."));
            return Err(if before == here {
                shape(format!("{here} stands twice in the answer"), "the records must stand in one place")
            } else {
                shape(
                    format!("the answer has several lists: {before} and {here}"),
                    &format!("say which one holds the records: records: {before}, or records: {here}"),
                )
            });
        }
        self.found = Some(self.path.clone());
        match first {
            b'[' => self.list(),
            b'{' => self.record(),
            b'n' => {
                self.is_null = true;
                Ok(self.scanner.pass()?)
            }
            _ => {
                let place = if self.path.is_empty() { "the answer".to_owned() } else { self.path.join(".") };
                Err(shape(format!("{place} is no list of records"), "look at records: it names a list, or an object that is one record"))
            }
        }
    }

    fn list(&mut self) -> Result<(), WalkError> {
        self.scanner.take();
        if self.scanner.peek_value()? == Some(b']') {
            self.scanner.take();
            return Ok(());
        }
        loop {
            self.record()?;
            match self.scanner.peek_value()? {
                Some(b',') => self.scanner.take(),
                Some(b']') => {
                    self.scanner.take();
                    return Ok(());
                }
                Some(_) => return Err(self.scanner.wrong("a comma or ]").into()),
                None => return Err(ScanError::Cut.into()),
            }
        }
    }

    fn record(&mut self) -> Result<(), WalkError> {
        let raw = self.scanner.value()?;
        (self.take)(raw).map_err(WalkError::Record)
    }

    /// Asserts that there was a place of records.
    fn judge(&self) -> Result<(), WalkError> {
        if self.tells_errors && (self.is_null || self.found.is_none() || self.sought.records.is_none()) {
            return Err(shape(
                "the answer tells of errors".to_owned(),
                "look at what the server says; where that is no failure, say under records where the records are",
            ));
        }
        if self.found.is_some() {
            return Ok(());
        }
        let members = if self.members.is_empty() {
            "it has no member".to_owned()
        } else {
            format!("its members are {}", text::printable(&text::shortened(&self.members.join(", "), 300)))
        };
        Err(match &self.sought.records {
            Some(records) => shape(
                format!("the answer has nothing at {}: {members}", records.join(".")),
                "look at records: a path of keys such as data.items, or a JSON pointer such as /data/items",
            ),
            None => shape(
                format!("the answer is no list and has none: {members}"),
                "say where the records are, such as records: data.items; records: \"\" takes the answer itself as one record",
            ),
        })
    }
}

fn shape(message: String, hint: &str) -> WalkError {
    WalkError::Shape { message, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::api::path_keys;

    /// Returns the records, and the values that are kept; or what is wrong.
    fn walk(text: &str, records: Option<&str>, values: &[&str]) -> Result<(Vec<String>, Vec<Option<String>>), String> {
        let keys = |path: &str| path_keys(path).unwrap();
        let sought = Sought { records: records.map(keys), values: values.iter().map(|path| keys(path)).collect() };
        let mut found = Vec::new();
        let mut take = |raw: &[u8]| {
            found.push(String::from_utf8(raw.to_vec()).unwrap());
            Ok(())
        };
        let values = document(&mut Scanner::new(text.as_bytes()), &sought, &mut take).map_err(|error| match error {
            WalkError::Shape { message, .. } => message,
            other => format!("{other:?}"),
        })?;
        Ok((found, values))
    }

    #[track_caller]
    fn check(text: &str, records: Option<&str>, expected: &[&str]) {
        assert_eq!(walk(text, records, &[]).unwrap().0, expected, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, records: Option<&str>, expected: &str) {
        let message = walk(text, records, &[]).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn records_are_found_where_they_are_said_to_be() {
        check(r#"[{"a":1}, {"a":2}]"#, None, &[r#"{"a":1}"#, r#"{"a":2}"#]);
        check(r#"{"total":1,"items":[{"a":1}],"page":{"list":[1]}}"#, None, &[r#"{"a":1}"#]);
        check(r#"{"data":{"items":[1, "x"],"more":[2]}}"#, Some("data.items"), &["1", "\"x\""]);
        check(r#"{"data":{"items":[]}}"#, Some("/data/items"), &[]);
        check(r#"{"items":null}"#, Some("items"), &[]);
        check(r#"{"a.b":[1]}"#, Some("\"a.b\""), &["1"]);
        check(r#"{"items":{"id":1}}"#, Some("items"), &[r#"{"id":1}"#]);
        check(r#"{"id":1,"tags":[1]}"#, Some(""), &[r#"{"id":1,"tags":[1]}"#]);
    }

    #[test]
    fn answers_without_a_clear_place_of_records_are_refused() {
        refused(r#"{"items":[1],"more":[2]}"#, None, "several lists: items and more");
        refused(r#"{"items":[1],"items":[2]}"#, Some("items"), "stands twice");
        refused(r#"{"message":"no","code":7}"#, None, "no list and has none: its members are message, code");
        refused(r#"{"data":{"rows":[1]}}"#, Some("data.items"), "nothing at data.items: its members are data");
        refused(r#"{"items":7}"#, Some("items"), "items is no list");
        refused("{}", None, "it has no member");
    }

    #[test]
    fn errors_in_an_answer_are_never_the_end_of_the_records_nor_records() {
        for answer in [
            r#"{"data":null,"errors":[{"message":"timeout"}]}"#,
            r#"{"errors":[{"message":"timeout"}],"data":null}"#,
            r#"{"error":{"code":1},"data":null}"#,
        ] {
            refused(answer, Some("data"), "the answer tells of errors");
        }
        refused(r#"{"errors":[{"message":"x"}]}"#, None, "the answer tells of errors");
        refused(r#"{"items":[1],"errors":[2]}"#, None, "the answer tells of errors");
        check(r#"{"items":[1],"errors":[ ],"error":null}"#, None, &["1"]);
        check(r#"{"data":null,"errors":[]}"#, Some("data"), &[]);
        check(r#"{"data":[1],"errors":["a field is old"]}"#, Some("data"), &["1"]);
        check(r#"{"errors":[{"id":1}]}"#, Some("errors"), &[r#"{"id":1}"#]);
    }

    #[test]
    fn documents_that_are_cut_or_wrong_are_refused() {
        for cut in [r#"[{"a":1}, {"a":2}"#, r#"{"items":[1]"#, r#"[{"a":1"#, "[", r#"{"a"#, "", r#"{"items":[1,"#] {
            refused(cut, None, "Cut");
        }
        for wrong in ["[1] x", "[1 2]", "{\"a\" 1}", "{a:1}", "<html>", "[1,]"] {
            refused(wrong, None, "Syntax");
        }
    }

    #[test]
    fn values_for_the_next_page_are_kept_wherever_they_stand() {
        let text = r#"{"meta":{"next":"a\"b","n":{"x":1}},"items":[1],"has_more":true,"total":12345678901234567890}"#;
        let (records, values) = walk(text, Some("items"), &["meta.next", "has_more", "total", "gone", "meta.n.x"]).unwrap();
        assert_eq!(records, ["1"]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(values, [some("\"a\\\"b\""), some("true"), some("12345678901234567890"), None, some("1")]);
    }
}
