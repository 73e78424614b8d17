//! A table's own SQL with other types for some of its columns: keys, defaults and checks stay as they are written. Runs nothing.

use super::table::LiveTable;
use super::types::quoted;

/// Words that end a column's type (<https://www.sqlite.org/syntax/column-constraint.html>).
const AFTER_TYPE: [&str; 11] =
    ["CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"];

/// Words that begin a rule of the whole table.
const TABLE_RULES: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

/// Returns the SQL of a table like another one, under another name and with other types for the columns that are named.
///
/// `None` where something would be lost: a counter (AUTOINCREMENT), or SQL that isn't understood.
pub(super) fn retyped(live: &LiveTable, name: &str, types: &[(&str, &str)]) -> Option<String> {
    let tokens = tokens(&live.sql)?;
    if tokens.iter().any(|token| token.is_word(&["AUTOINCREMENT"])) {
        return None;
    }
    let open = tokens.iter().position(|token| token.text == "(")?;
    let mut sql = format!("CREATE TABLE {} ", quoted(name));
    let mut copied = tokens[open].start;
    let mut changed = 0;
    let mut at = open + 1;
    while at < tokens.len() && !tokens[at].is_word(&TABLE_RULES) {
        let end = definition_end(&tokens, at)?;
        let column = tokens[at].unquoted();
        if let Some((_, declared)) = types.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column)) {
            let behind_type = type_end(&tokens, at + 1, end);
            sql.push_str(&live.sql[copied..tokens[at].end()]);
            sql.push(' ');
            sql.push_str(declared);
            copied = tokens[behind_type - 1].end();
            changed += 1;
        }
        if tokens[end].text == ")" {
            break;
        }
        at = end + 1;
    }
    sql.push_str(&live.sql[copied..]);
    (changed == types.len()).then_some(sql)
}

/// Returns the place of the comma or parenthesis that ends a definition.
fn definition_end(tokens: &[Token<'_>], from: usize) -> Option<usize> {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "(" => depth += 1,
            ")" | "," if depth == 0 => return Some(place),
            ")" => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the place behind the type that begins here; the same place where there is none.
fn type_end(tokens: &[Token<'_>], from: usize, end: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().take(end).skip(from) {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if depth == 0 && token.is_word(&AFTER_TYPE) => return place,
            _ => {}
        }
    }
    end
}

/// A part of SQL: a name, a word, a quoted text, or one other character.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    start: usize,
    text: &'a str,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| word.eq_ignore_ascii_case(self.text))
    }

    fn unquoted(&self) -> String {
        let inner = || &self.text[1..self.text.len() - 1];
        match self.text.as_bytes()[0] {
            b'[' => inner().to_owned(),
            quote @ (b'"' | b'`' | b'\'') => {
                let quote = char::from(quote).to_string();
                inner().replace(&quote.repeat(2), &quote)
            }
            _ => self.text.to_owned(),
        }
    }
}

/// Parts SQL into tokens, without spaces and comments; `None` where a quote stays open.
fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < sql.len() {
        let rest = &sql[start..];
        let first = rest.chars().next()?;
        let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii();
        let length = match first {
            _ if first.is_whitespace() => first.len_utf8(),
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' | '`' | '\'' => quoted_length(rest, first)?,
            '[' => rest.find(']')? + 1,
            _ if is_name(first) => rest.find(|character| !is_name(character)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let text = &rest[..length];
        if !first.is_whitespace() && !text.starts_with("--") && !text.starts_with("/*") {
            found.push(Token { start, text });
        }
        start += length;
    }
    Some(found)
}

/// Returns the length of a text with its quotes; a quote in it is doubled.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut from = 1;
    loop {
        let close = from + rest[from..].find(quote)?;
        if !rest[close + 1..].starts_with(quote) {
            return Some(close + 1);
        }
        from = close + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, types: &[(&str, &str)], expected: Option<&str>) {
        let live = LiveTable { name: "t".to_owned(), sql: sql.to_owned(), columns: Vec::new() };
        assert_eq!(retyped(&live, "new", types).as_deref(), expected);
    }

    #[test]
    fn a_type_is_replaced_and_all_else_stays() {
        check(
            "CREATE TABLE \"t (\" (id INTEGER PRIMARY KEY, [p] numeric (10, 2) NOT NULL DEFAULT (1,2), \"q\"\"x\" DEFAULT ')', CHECK (p > 0)) STRICT",
            &[("P", "REAL"), ("q\"x", "TEXT")],
            Some(
                "CREATE TABLE \"new\" (id INTEGER PRIMARY KEY, [p] REAL NOT NULL DEFAULT (1,2), \"q\"\"x\" TEXT DEFAULT ')', CHECK (p > 0)) STRICT",
            ),
        );
        check(
            "create table t(a int, -- b int, ' in a comment\n b /* ( */ integer default 'integer')",
            &[("b", "TEXT")],
            Some("CREATE TABLE \"new\" (a int, -- b int, ' in a comment\n b TEXT default 'integer')"),
        );
    }

    #[test]
    fn what_would_be_lost_or_is_not_there_is_refused() {
        check("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER)", &[("n", "REAL")], None);
        check("CREATE TABLE t (id INTEGER, CHECK (n > 1))", &[("CHECK", "REAL")], None);
        check("CREATE TABLE t (id INTEGER", &[("id", "REAL")], None);
        check("", &[("id", "REAL")], None);
    }
}
