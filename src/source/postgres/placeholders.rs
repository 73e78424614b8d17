//! Finds `:last_sync` and `:lower_bound` in the text of a query, by the server's lexical rules (PostgreSQL 15, "4.1. Lexical Structure").
//! Strings, quoted names, comments, `::` and `12:30` hold none. Pure.

/// The settings that carry the values: a placeholder becomes a call, so that no value is ever part of the text.
const SETTINGS: [(&str, &str); 2] = [("last_sync", LAST_SYNC), ("lower_bound", LOWER_BOUND)];
pub(super) const LAST_SYNC: &str = "etlsched.last_sync";
pub(super) const LOWER_BOUND: &str = "etlsched.lower_bound";

/// Returns the text with each placeholder replaced by what is made of its setting, and the settings that it names.
pub(super) fn replaced(sql: &str, replacement: impl Fn(&str) -> String) -> (String, Vec<&'static str>) {
    let mut out = String::with_capacity(sql.len());
    let mut named = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => {
                let is_escaped = ends_with_word(&out, "e");
                quoted_length(rest, '\'', is_escaped)
            }
            '"' => quoted_length(rest, '"', false),
            '$' if !out.ends_with(is_word) => dollar_length(rest).unwrap_or(1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment_length(rest),
            ':' if rest.starts_with("::") || rest.starts_with(":=") => 2,
            ':' if !out.ends_with(is_word) => {
                let word: &str = &rest[1..1 + rest[1..].find(|sign| !is_word(sign)).unwrap_or(rest.len() - 1)];
                if let Some((_, setting)) = SETTINGS.iter().find(|(name, _)| *name == word) {
                    out.push_str(&replacement(setting));
                    if !named.contains(setting) {
                        named.push(*setting);
                    }
                    rest = &rest[1 + word.len()..];
                    continue;
                }
                1
            }
            _ => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    (out, named)
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

fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
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
    fn check(sql: &str, expected: &str) {
        assert_eq!(replaced(sql, |setting| format!("<{setting}>")).0, expected);
    }

    #[test]
    fn placeholders_are_words_of_the_query_itself() {
        check("a > :last_sync AND b>=:lower_bound", "a > <etlsched.last_sync> AND b>=<etlsched.lower_bound>");
        check(":last_sync::timestamptz", "<etlsched.last_sync>::timestamptz");
        check("(:last_sync)", "(<etlsched.last_sync>)");
        assert_eq!(replaced(":lower_bound :lower_bound", |_| String::new()).1, [LOWER_BOUND]);
    }

    #[test]
    fn what_only_looks_like_a_placeholder_stays() {
        for sql in [
            "':last_sync'",
            "'it''s :last_sync'",
            "E'\\' :last_sync'",
            "\":last_sync\"",
            "$$ :last_sync $$",
            "$tag$ $ $$ :last_sync $tag$",
            "-- :last_sync",
            "/* /* */ :last_sync */ 1",
            "a::last_sync",
            "x[1:last_sync]",
            "'12:30'",
            ":last_synced",
            ":slot",
            "'open :last_sync",
        ] {
            check(sql, sql);
        }
        check("-- x\n:last_sync", "-- x\n<etlsched.last_sync>");
        check("'\\' :last_sync", "'\\' <etlsched.last_sync>");
        check("$1 :last_sync", "$1 <etlsched.last_sync>");
    }
}
