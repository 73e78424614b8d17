//! Small helpers for text that people read. Knows nothing of terminals' widths or of colours.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns "1 row", "2 rows", "1,458 rows": the number grouped by thousands, the noun with an s unless the number is 1.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Returns a number grouped by thousands with commas: 26,115.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a span of time: `0.4 s`, `12 s`, `3m 05s`, `1h 02m`, `2d 03h`.
pub fn span(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {:02}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Returns the text with control characters, bidirectional overrides and other invisible steering written as escapes,
/// so that data can't move a terminal's cursor, set its colours or turn its reading order. Newlines become `\n`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            _ if is_steering(character) => {
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(character));
            }
            _ => clean.push(character),
        }
    }
    Cow::Owned(clean)
}

/// As [`printable`], but line ends stay, for texts of several lines.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Whether a character steers terminals or the reading order instead of being read.
pub fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether a text is an http(s) URL with a host.
pub fn is_http(url: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &url[scheme.len()..]))
        .is_some_and(|rest| {
            !rest.is_empty()
                && !rest.starts_with('/')
                && !url.contains(|character: char| character.is_whitespace() || character.is_control())
        })
}

/// Returns the text cut to `characters_max`, with "…" where something was cut.
pub fn shortened(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.chars().take(characters_max.saturating_sub(1)).chain(std::iter::once('…')).collect()),
    }
}

/// Returns the candidate that is most like `given`, for "did you mean", if one is like enough.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&given, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(given.chars().count().max(candidate.chars().count()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns how many of a hundred, to a tenth: never 100 where one is lacking, nor 0 where there is one.
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| {
        let tenths = (part as f64 * 1000.0 / whole as f64).round() / 10.0;
        if part == 0 || part == whole { tenths } else { tenths.clamp(0.1, 99.9) }
    })
}

/// Shows what [`percent`] returned: a tenth only where the whole number would say all or none.
pub fn percent_shown(percent: f64) -> String {
    let is_near_an_end = (percent > 99.0 && percent < 100.0) || (percent > 0.0 && percent < 1.0);
    if is_near_an_end { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_never_said_to_be() {
        let cases = [(0, 0), (0, 7), (7, 7), (2, 11), (99_999, 100_000), (1, 100_000)].map(|(part, whole)| percent(part, whole));
        assert_eq!(cases, [None, Some(0.0), Some(100.0), Some(18.2), Some(99.9), Some(0.1)]);
        assert_eq!([0.0, 0.1, 18.2, 99.9, 100.0].map(percent_shown), ["0 %", "0.1 %", "18 %", "99.9 %", "100 %"]);
    }

    #[test]
    fn counts_are_grouped_and_take_an_s() {
        assert_eq!([count(0, "row"), count(1, "row"), count(26115, "row")], ["0 rows", "1 row", "26,115 rows"]);
    }

    #[test]
    fn escapes_never_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{202e}"), "a\\u{1b}[31mb\\nc\\u{202e}");
        assert_eq!(printable("naïve ☃"), "naïve ☃");
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("shedule_type", ["schedule_type", "timezone"]), Some("schedule_type"));
        assert_eq!(nearest("colour", ["schedule_type", "timezone"]), None);
    }
}
