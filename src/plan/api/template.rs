//! Texts of requests that name what is known only when they are made: `{last_sync}`, `{lower_bound}`, `{slot}`, `{run_started}`,
//! `{parent.KEY}`; with a form behind a colon (`{last_sync:unix}`) and, for the first two, a value for the first run behind a bar
//! (`{lower_bound|0}`).

use crate::text;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// A value to be put in.
    Hole(Hole),
}

/// A value to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Which.
    pub what: What,
    /// How it is written.
    pub form: Form,
    /// What stands for it in a first run.
    pub first: Option<String>,
}

/// What a text may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The greatest value below the lower bound, in the cursor column's own step.
    LastSync,
    /// The closed lower bound of the cursor column.
    LowerBound,
    /// When the run was due; its start where no slot started it.
    Slot,
    /// When the run began.
    RunStarted,
    /// A value of the parent's record.
    Parent(String),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is; times by RFC 3339, in UTC where they are instants.
    Plain,
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    Unix,
    /// Whole milliseconds since then, rounded down.
    UnixMs,
    /// The day, YYYY-MM-DD.
    Date,
}

/// What becomes of braces around a word that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// An error: they are misspelt.
    Refused,
    /// They are text: bodies are full of braces.
    Kept,
}

const NAMES: [(&str, What); 4] =
    [("last_sync", What::LastSync), ("lower_bound", What::LowerBound), ("slot", What::Slot), ("run_started", What::RunStarted)];
const FORMS: [(&str, Form); 3] = [("unix", Form::Unix), ("unix_ms", Form::UnixMs), ("date", Form::Date)];

/// Takes a text apart.
///
/// # Errors
/// Braces around a word that is none of ours, a form that isn't known: a lower-case fragment.
pub fn pieces(text: &str, unknown: Unknown) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        plain.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        let word = inner.find('}').map(|end| &inner[..end]).filter(|word| is_word(word));
        match word.map(|word| (word, hole(word, unknown))) {
            Some((word, Ok(Some(hole)))) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Hole(hole));
                rest = &inner[word.len() + 1..];
            }
            Some((_, Err(error))) => return Err(error),
            Some((_, Ok(None))) | None => {
                plain.push('{');
                rest = inner;
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn is_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && !word.contains(['{', '"', '\n', ' '])
}

/// Returns the value that the text between braces names; `None` where it is text.
fn hole(word: &str, unknown: Unknown) -> Result<Option<Hole>, String> {
    let (body, first) = word.split_once('|').map_or((word, None), |(body, first)| (body, Some(first.to_owned())));
    let (name, form) = body.split_once(':').map_or((body, None), |(name, form)| (name, Some(form)));
    let what = match name.strip_prefix("parent.") {
        Some(key) => Some(What::Parent(key.to_owned())),
        None => NAMES.iter().find(|(own, _)| *own == name).map(|(_, what)| what.clone()),
    };
    let Some(what) = what else {
        if unknown == Unknown::Kept {
            return Ok(None);
        }
        let near = text::nearest(name, NAMES.iter().map(|(name, _)| *name));
        let hint = near.map_or_else(
            || "it may name last_sync, lower_bound, slot, run_started or parent.KEY".to_owned(),
            |near| format!("did you mean {{{near}}}?"),
        );
        return Err(format!("{{{}}} is nothing that is known: {hint}", text::shortened(name, 60)));
    };
    let form = match form {
        None => Form::Plain,
        Some(_) if matches!(what, What::Parent(_)) => return Err(format!("{{{name}}} has no forms")),
        Some(given) => {
            let known = FORMS.iter().find(|(name, _)| *name == given).map(|(_, form)| *form);
            known.ok_or_else(|| format!("{{{}}}: the forms are unix, unix_ms and date", text::shortened(body, 60)))?
        }
    };
    if first.is_some() && !matches!(what, What::LastSync | What::LowerBound) {
        return Err(format!("{{{name}}} is the same in a first run: only last_sync and lower_bound have a value behind a bar"));
    }
    Ok(Some(Hole { what, form, first }))
}

/// Returns the keys of the parent that a text names.
pub fn parent_keys(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Hole(Hole { what: What::Parent(key), .. }) => Some(key.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(what: What, form: Form, first: Option<&str>) -> Piece {
        Piece::Hole(Hole { what, form, first: first.map(str::to_owned) })
    }

    #[test]
    fn values_are_found_between_braces() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let found = pieces("a/{parent.user.id}?since={last_sync:unix}&x={lower_bound|0}{", Unknown::Refused).unwrap();
        let expected = [
            text("a/"),
            hole(What::Parent("user.id".to_owned()), Form::Plain, None),
            text("?since="),
            hole(What::LastSync, Form::Unix, None),
            text("&x="),
            hole(What::LowerBound, Form::Plain, Some("0")),
            text("{"),
        ];
        assert_eq!(found, expected);
        assert_eq!(pieces("{\"a\": 1}", Unknown::Refused).unwrap(), [text("{\"a\": 1}")]);
        assert_eq!(pieces("{viewer{id}}", Unknown::Kept).unwrap(), [text("{viewer{id}}")]);
        assert_eq!(pieces("", Unknown::Kept).unwrap(), []);
    }

    #[test]
    fn words_that_are_none_of_ours_are_refused() {
        for (given, expected) in [
            ("{lastsync}", "did you mean {last_sync}?"),
            ("{id}", "it may name last_sync"),
            ("{slot:iso}", "the forms are unix, unix_ms and date"),
            ("{slot|0}", "only last_sync and lower_bound"),
            ("{parent.id:unix}", "no forms"),
        ] {
            let message = pieces(given, Unknown::Refused).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
