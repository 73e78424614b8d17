//! Finds `:last_sync` and `:lower_bound` in the text of a query, by the server's lexical rules (MySQL 8.0, "9.1 Literal Values", "9.7
//! Comments"). Strings, quoted names, comments, `:=` and `12:30` hold none. Pure.

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    LastSync,
    LowerBound,
}

/// The words of placeholders.
const WORDS: [(&str, Placeholder); 2] = [("last_sync", Placeholder::LastSync), ("lower_bound", Placeholder::LowerBound)];

/// How the session reads texts (MySQL 8.0, "5.1.11 Server SQL Modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lexis {
    /// `"` quotes names.
    pub is_ansi_quotes: bool,
    /// A backslash in a string is only that.
    pub is_backslash_plain: bool,
}

impl Lexis {
    /// Takes the modes of a session.
    pub fn of(sql_mode: &str) -> Self {
        let has = |name: &str| sql_mode.split(',').any(|mode| mode.eq_ignore_ascii_case(name));
        Self { is_ansi_quotes: has("ANSI_QUOTES"), is_backslash_plain: has("NO_BACKSLASH_ESCAPES") }
    }

    /// Returns the text with each placeholder replaced, and the placeholders in the order in which they stand.
    pub fn replaced(self, sql: &str, replacement: impl Fn(Placeholder) -> String) -> (String, Vec<Placeholder>) {
        let mut out = String::with_capacity(sql.len());
        let mut named = Vec::new();
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            if first == ':' && !rest.starts_with(":=") && !out.ends_with(is_word) {
                let word = &rest[1..1 + rest[1..].find(|sign| !is_word(sign)).unwrap_or(rest.len() - 1)];
                if let Some((_, placeholder)) = WORDS.iter().find(|(name, _)| *name == word) {
                    out.push_str(&replacement(*placeholder));
                    named.push(*placeholder);
                    rest = &rest[1 + word.len()..];
                    continue;
                }
            }
            let length = self.length(rest, first);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        (out, named)
    }

    /// Returns the length of what begins a text: a string, a quoted name, a comment, or one sign.
    fn length(self, rest: &str, first: char) -> usize {
        match first {
            '\'' => quoted_length(rest, '\'', !self.is_backslash_plain),
            '"' => quoted_length(rest, '"', !self.is_backslash_plain && !self.is_ansi_quotes),
            '`' => quoted_length(rest, '`', false),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            // Two hyphens begin a comment only before white space, a control character or the end.
            '-' if rest.starts_with("--") && rest[2..].chars().next().is_none_or(|sign| sign.is_whitespace() || sign.is_control()) => {
                rest.find('\n').unwrap_or(rest.len())
            }
            // What stands in /*! */ is no comment for the server: only its beginning is passed over.
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => 3,
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |at| at + 4),
            _ => first.len_utf8(),
        }
    }
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_' || sign == '$'
}

fn quoted_length(text: &str, quote: char, is_escaped: bool) -> usize {
    let mut is_behind_backslash = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if is_behind_backslash => is_behind_backslash = false,
            '\\' if is_escaped => is_behind_backslash = true,
            // A doubled quote ends one string and begins the next, which is the same here.
            _ if sign == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        check_in(Lexis::default(), sql, expected);
    }

    #[track_caller]
    fn check_in(lexis: Lexis, sql: &str, expected: &str) {
        assert_eq!(lexis.replaced(sql, |placeholder| format!("<{placeholder:?}>")).0, expected);
    }

    #[test]
    fn placeholders_are_words_of_the_query_itself() {
        check("a > :last_sync AND b>=:lower_bound", "a > <LastSync> AND b>=<LowerBound>");
        check("(:last_sync)", "(<LastSync>)");
        let (_, named) = Lexis::default().replaced(":lower_bound :last_sync :lower_bound", |_| String::new());
        assert_eq!(named, [Placeholder::LowerBound, Placeholder::LastSync, Placeholder::LowerBound]);
    }

    #[test]
    fn what_only_looks_like_a_placeholder_stays() {
        for sql in [
            "':last_sync'",
            "'it''s :last_sync'",
            "'\\' :last_sync'",
            "\"\\\" :last_sync\"",
            "`:last_sync`",
            "`a``:last_sync`",
            "-- :last_sync",
            "--\t:last_sync",
            "# :last_sync",
            "/* :last_sync */ 1",
            "@a:=last_sync",
            "'12:30'",
            ":last_synced",
            ":slot",
            "'open :last_sync",
        ] {
            check(sql, sql);
        }
        check("-- x\n:last_sync", "-- x\n<LastSync>");
        check("1--:last_sync", "1--<LastSync>");
        check("/* /* */ :last_sync", "/* /* */ <LastSync>");
        check("/*!50000 :last_sync */", "/*!50000 <LastSync> */");
    }

    #[test]
    fn the_servers_modes_change_what_a_string_is() {
        let plain = Lexis::of("STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES");
        check_in(plain, "'\\' :last_sync", "'\\' <LastSync>");
        let ansi = Lexis::of("ansi_quotes");
        check_in(ansi, "\"\\\" :last_sync '\\' :last_sync'", "\"\\\" <LastSync> '\\' :last_sync'");
        assert_eq!(Lexis::of(""), Lexis::default());
    }
}
