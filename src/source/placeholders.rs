//! Finds the placeholders of a query, `:last_sync` and its like, by its dialect's lexical rules. Strings, quoted names, comments, `::`,
//! `:=` and `12:30` hold none. Pure: what stands in their places, and how values travel, is the caller's.

/// What a query may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// The greatest value below the lower bound, in the cursor column's own step.
    LastSync,
    /// The closed lower bound of the cursor column.
    LowerBound,
    /// When the run was due; the run's start where no slot started it.
    Slot,
    /// When the run began.
    RunStarted,
}

impl Placeholder {
    pub(super) const ALL: [Self; 4] = [Self::LastSync, Self::LowerBound, Self::Slot, Self::RunStarted];

    /// Returns its name, without the colon.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LastSync => "last_sync",
            Self::LowerBound => "lower_bound",
            Self::Slot => "slot",
            Self::RunStarted => "run_started",
        }
    }

    /// Whether it is a value of the cursor column's type; else an instant.
    pub(super) fn is_bound(self) -> bool {
        matches!(self, Self::LastSync | Self::LowerBound)
    }
}

/// Where a backslash inside of quotes takes the next sign with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backslash {
    /// In strings behind an `E`.
    BehindE,
    /// In every string, in single or double quotes.
    Always,
    /// In strings in single quotes; double ones quote names.
    InSingleQuotes,
    /// Nowhere.
    Never,
}

/// What sets one dialect's words apart from another's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    backslash: Backslash,
    has_dollar_quotes: bool,
    has_backquotes: bool,
    has_hash_comments: bool,
    has_nested_comments: bool,
    /// Whether names stand in square brackets.
    has_brackets: bool,
    /// Whether `q'[...]'` is a string, with a delimiter of the writer's choice.
    has_q_quotes: bool,
    /// Whether `--` begins a comment only before a space.
    is_dash_spaced: bool,
}

/// PostgreSQL 15, "4.1. Lexical Structure", with standard_conforming_strings.
pub(super) const POSTGRESQL: Dialect = Dialect {
    backslash: Backslash::BehindE,
    has_dollar_quotes: true,
    has_backquotes: false,
    has_hash_comments: false,
    has_nested_comments: true,
    has_brackets: false,
    has_q_quotes: false,
    is_dash_spaced: false,
};

/// ISO 9075-2, "5 Lexical elements": what databases have in common.
pub(super) const STANDARD: Dialect = Dialect {
    backslash: Backslash::Never,
    has_dollar_quotes: false,
    has_backquotes: true,
    has_hash_comments: false,
    has_nested_comments: false,
    has_brackets: false,
    has_q_quotes: false,
    is_dash_spaced: false,
};

/// Transact-SQL ("Constants", "Database identifiers", "Slash star (block comment)" of SQL Server 2022).
pub(super) const SQLSERVER: Dialect = Dialect { has_backquotes: false, has_nested_comments: true, has_brackets: true, ..STANDARD };

/// Oracle's SQL (SQL Language Reference 19c, "Text Literals", "Comments").
pub(super) const ORACLE: Dialect = Dialect { has_backquotes: false, has_q_quotes: true, ..STANDARD };

/// MySQL 8.0, "9.1 Literal Values" and "9.7 Comments"; MariaDB is the same. For sessions without the modes of [`mysql`].
const MYSQL: Dialect = Dialect {
    backslash: Backslash::Always,
    has_dollar_quotes: false,
    has_backquotes: true,
    has_hash_comments: true,
    has_nested_comments: false,
    has_brackets: false,
    has_q_quotes: false,
    is_dash_spaced: true,
};

/// Returns MySQL's dialect in a session of some `sql_mode` (MySQL 8.0, "5.1.11 Server SQL Modes").
pub(super) fn mysql(sql_mode: &str) -> Dialect {
    let has = |name: &str| sql_mode.split(',').any(|mode| mode.eq_ignore_ascii_case(name));
    let backslash = match (has("NO_BACKSLASH_ESCAPES"), has("ANSI_QUOTES")) {
        (true, _) => Backslash::Never,
        (false, true) => Backslash::InSingleQuotes,
        (false, false) => Backslash::Always,
    };
    Dialect { backslash, ..MYSQL }
}

/// Returns the text with each placeholder replaced by what is made of it, and those that were found: each of them, in their order.
pub(super) fn replaced(sql: &str, dialect: &Dialect, mut replacement: impl FnMut(Placeholder) -> String) -> (String, Vec<Placeholder>) {
    let mut out = String::with_capacity(sql.len());
    let mut found = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        if let Some(placeholder) = placeholder(rest, &out) {
            out.push_str(&replacement(placeholder));
            found.push(placeholder);
            rest = &rest[1 + placeholder.name().len()..];
            continue;
        }
        let (passed, after) = rest.split_at(unit_length(rest, &out, dialect));
        out.push_str(passed);
        rest = after;
    }
    (out, found)
}

/// Returns the placeholder that a text begins with; `before` is what stands before it.
fn placeholder(text: &str, before: &str) -> Option<Placeholder> {
    let word = text.strip_prefix(':').filter(|_| !before.ends_with(is_word))?;
    let word = &word[..word.find(|sign| !is_word(sign)).unwrap_or(word.len())];
    Placeholder::ALL.into_iter().find(|placeholder| placeholder.name() == word)
}

/// Returns the length of what a text begins with: a string, a comment, a sign.
fn unit_length(text: &str, before: &str, dialect: &Dialect) -> usize {
    let is_escaped = match dialect.backslash {
        Backslash::BehindE => ends_with_word(before, "e"),
        Backslash::Always | Backslash::InSingleQuotes => true,
        Backslash::Never => false,
    };
    match text.chars().next() {
        Some('\'') => quoted_length(text, '\'', is_escaped),
        Some('"') => quoted_length(text, '"', dialect.backslash == Backslash::Always),
        Some('`') if dialect.has_backquotes => quoted_length(text, '`', false),
        Some('[') if dialect.has_brackets => quoted_length(text, ']', false),
        Some('q' | 'Q') if dialect.has_q_quotes && is_q_quote(text, before) => q_quoted_length(text),
        Some('$') if dialect.has_dollar_quotes && !before.ends_with(is_word) => dollar_length(text).unwrap_or(1),
        Some('-') if is_dash_comment(text, dialect) => line_length(text),
        Some('#') if dialect.has_hash_comments => line_length(text),
        Some('/') if text.starts_with("/*") => comment_length(text, dialect.has_nested_comments),
        Some(':') if text.starts_with("::") || text.starts_with(":=") => 2,
        first => first.map_or(0, char::len_utf8),
    }
}

/// Whether a text begins with `q'`; before it may stand the `n` of a national string.
fn is_q_quote(text: &str, before: &str) -> bool {
    text[1..].starts_with('\'') && (!before.ends_with(is_word) || ends_with_word(before, "n"))
}

fn q_quoted_length(text: &str) -> usize {
    let Some(opening) = text[2..].chars().next() else { return text.len() };
    let closing = match opening {
        '[' => ']',
        '{' => '}',
        '(' => ')',
        '<' => '>',
        other => other,
    };
    let start = 2 + opening.len_utf8();
    let end = [closing, '\''].iter().collect::<String>();
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

fn is_dash_comment(text: &str, dialect: &Dialect) -> bool {
    let Some(comment) = text.strip_prefix("--") else { return false };
    !dialect.is_dash_spaced || comment.chars().next().is_none_or(|sign| sign.is_whitespace() || sign.is_control())
}

fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_' || sign == '$'
}

/// Whether a text ends with a word in any case.
fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(start) = text.len().checked_sub(word.len()) else { return false };
    text.is_char_boundary(start) && text[start..].eq_ignore_ascii_case(word) && !text[..start].ends_with(is_word)
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

fn dollar_length(text: &str) -> Option<usize> {
    let tag = &text[..text[1..].find('$')? + 2];
    let name = &tag[1..tag.len() - 1];
    let is_tag = name.chars().all(|sign| is_word(sign) && sign != '$') && !name.starts_with(|sign: char| sign.is_ascii_digit());
    is_tag.then(|| text[tag.len()..].find(tag).map_or(text.len(), |at| at + 2 * tag.len()))
}

fn comment_length(text: &str, is_nested: bool) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") && (is_nested || depth == 0) {
            depth += 1;
            2
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: &Dialect, sql: &str, expected: &str) {
        assert_eq!(replaced(sql, dialect, |placeholder| format!("<{}>", placeholder.name())).0, expected);
    }

    #[track_caller]
    fn stays(dialect: &Dialect, sql: &str) {
        check(dialect, sql, sql);
    }

    #[test]
    fn placeholders_are_words_of_the_query_itself() {
        for dialect in [&POSTGRESQL, &MYSQL] {
            check(dialect, "a > :last_sync AND b>=:lower_bound", "a > <last_sync> AND b>=<lower_bound>");
            check(dialect, "(:slot,:run_started)", "(<slot>,<run_started>)");
            check(dialect, "-- x\n:last_sync", "-- x\n<last_sync>");
            check(dialect, "/* x */:last_sync", "/* x */<last_sync>");
        }
        check(&POSTGRESQL, ":last_sync::timestamptz", "<last_sync>::timestamptz");
        let (sql, found) = replaced(":lower_bound :slot :lower_bound", &MYSQL, |_| "?".to_owned());
        assert_eq!((sql.as_str(), found), ("? ? ?", vec![Placeholder::LowerBound, Placeholder::Slot, Placeholder::LowerBound]));
    }

    #[test]
    fn what_only_looks_like_a_placeholder_stays() {
        for dialect in [&POSTGRESQL, &MYSQL] {
            for sql in [
                "':last_sync'",
                "'it''s :last_sync'",
                "\":last_sync\"",
                "-- :last_sync",
                "/* :last_sync */ 1",
                "/* open :last_sync",
                "a::last_sync",
                "x[1:last_sync]",
                "'12:30'",
                "12:30",
                "@a:=1",
                ":last_synced",
                ":slots",
                "'open :last_sync",
                "ü:last_sync",
            ] {
                stays(dialect, sql);
            }
        }
    }

    #[test]
    fn each_dialect_quotes_and_comments_in_its_own_way() {
        for sql in ["E'\\' :last_sync'", "$$ :last_sync $$", "$tag$ $ $$ :last_sync $tag$", "/* /* */ :last_sync */ 1"] {
            stays(&POSTGRESQL, sql);
        }
        check(&POSTGRESQL, "'\\' :last_sync", "'\\' <last_sync>");
        check(&POSTGRESQL, "$1 :last_sync", "$1 <last_sync>");
        check(&POSTGRESQL, "a # :last_sync", "a # <last_sync>");
        check(&POSTGRESQL, "1--:last_sync\n:slot", "1--:last_sync\n<slot>");
        for sql in ["'\\' :last_sync'", "\"\\\" :last_sync\"", "`:last_sync`", "`a``:last_sync`", "# :last_sync", "--\t:last_sync", "--"] {
            stays(&MYSQL, sql);
        }
        // 1 - (-5): no comment begins without a space.
        check(&MYSQL, "1--:last_sync", "1--<last_sync>");
        check(&MYSQL, "/* /* */ :last_sync */", "/* /* */ <last_sync> */");
        check(&MYSQL, "`\\` :last_sync", "`\\` <last_sync>");
        check(&MYSQL, "$$ :last_sync $$", "$$ <last_sync> $$");
    }

    #[test]
    fn the_modes_of_a_mysql_session_change_what_a_string_is() {
        check(&mysql("STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES"), "'\\' :last_sync", "'\\' <last_sync>");
        check(&mysql("ansi_quotes"), "\"\\\" :last_sync '\\' :slot'", "\"\\\" <last_sync> '\\' :slot'");
        stays(&mysql(""), "\"\\\" :last_sync\"");
    }
}
