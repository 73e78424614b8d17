//! Words put into lines of a width, as terminals count it. Data can neither steer the terminal nor make a line longer.

use unicode_width::UnicodeWidthChar;

use crate::text::{printable, shortened};

/// The width of what people read in mails: that of a terminal since 1978, and what mail clients show without a bar to scroll.
pub const COLUMNS: usize = 80;

/// Returns how many columns a text takes on a terminal; at most, since some sequences are drawn as one.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Returns a text in lines of at most `width` columns: the first begins at `indent`, the others at `hang`. Line ends of the text are
/// spaces, what steers terminals is escaped, words that are too long are broken, and what is beyond `characters_max` is cut.
pub fn wrapped(text: &str, (indent, hang): (usize, usize), width: usize, characters_max: usize) -> String {
    let text = shortened(text, characters_max);
    let mut lines = Lines { text: " ".repeat(indent), used: indent, is_fresh: true, hang, width };
    // Escapes are longer than what they stand for.
    let mut left = characters_max;
    for word in text.split_whitespace() {
        let word = printable(word);
        lines.add(&shortened(&word, left), 1, Long::Broken);
        left = left.saturating_sub(word.chars().count());
        if left == 0 {
            break;
        }
    }
    lines.text
}

/// As [`wrapped`], and what can be typed stays in one line, however long: a terminal breaks it by itself, and it can be copied. That are
/// paths, what stands in backquotes, and a command of ours behind a colon or at the beginning, up to a semicolon. Nothing is cut, and words
/// in a line keep their distance.
pub fn wrapped_whole(text: &str, (indent, hang): (usize, usize), width: usize) -> String {
    let mut lines = Lines { text: " ".repeat(indent), used: indent, is_fresh: true, hang, width };
    for Piece { gap, text } in pieces(text) {
        let long = if text.contains(['/', ' ']) { Long::Whole } else { Long::Broken };
        lines.add(&printable(&text), gap, long);
    }
    lines.text
}

/// A word, or several that are typed together.
struct Piece {
    /// How many spaces stand before it.
    gap: usize,
    text: String,
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut gap = 0;
    let mut words = text.split(char::is_whitespace);
    while let Some(word) = words.next() {
        if word.is_empty() {
            gap += 1;
            continue;
        }
        let is_quoted = word.matches('`').count() % 2 == 1 && words.clone().any(|word| word.contains('`'));
        let is_command = word == "etlsched" && pieces.last().is_none_or(|piece| piece.text.ends_with(':'));
        let mut text = word.to_owned();
        let mut is_whole = !is_quoted && !is_command;
        while !is_whole && let Some(word) = words.next() {
            text.push(' ');
            text.push_str(word);
            is_whole = if is_quoted { word.contains('`') } else { word.ends_with(';') };
        }
        pieces.push(Piece { gap, text });
        gap = 1;
    }
    pieces
}

/// What becomes of a word for which a line has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Long {
    Broken,
    Whole,
}

struct Lines {
    text: String,
    used: usize,
    /// Nothing stands in the line yet.
    is_fresh: bool,
    hang: usize,
    width: usize,
}

impl Lines {
    /// Adds a word behind so many spaces, or at the beginning of the next line.
    fn add(&mut self, word: &str, gap: usize, long_word: Long) {
        let long = columns(word);
        let gap = if self.is_fresh { 0 } else { gap };
        let fits_below = long_word == Long::Whole || self.hang + long <= self.width.max(self.hang + 1);
        if self.used + gap + long > self.width && !self.is_fresh && fits_below {
            self.begin();
        } else if gap > 0 && self.used + gap < self.width {
            self.text.push_str(&" ".repeat(gap));
            self.used += gap;
        } else if gap > 0 {
            self.begin();
        }
        if long_word == Long::Whole {
            self.text.push_str(word);
            self.used += long;
            self.is_fresh = false;
            return;
        }
        for character in word.chars() {
            let long = columns_of(character);
            if self.used + long > self.width && !self.is_fresh {
                self.begin();
            }
            self.text.push(character);
            self.used += long;
            self.is_fresh = false;
        }
    }

    fn begin(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
        self.text.push_str(&" ".repeat(self.hang));
        self.used = self.hang;
        self.is_fresh = true;
    }
}

/// Returns a text as it fits a terminal of this width: a line that is too long goes on in the next one, below its beginning and `hang`
/// further in; what can be typed stays whole. Without a width it stays as it is, and so do lines with colours, which whoever coloured them has fitted.
pub fn fitted(text: &str, hang: usize, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else { return text.to_owned() };
    let fit = |line: &str| {
        if columns(line) <= width || line.contains('\u{1b}') {
            return line.to_owned();
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        wrapped_whole(line.trim_start_matches(' '), (indent, indent + hang), width)
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

/// Returns a value behind its label, each of its lines at `indent`, fitted to a terminal of this width; with a line end.
pub fn labelled(label: &str, value: &str, indent: usize, width: Option<u16>) -> String {
    let width = width.map_or(usize::MAX, |width| usize::from(width).max(indent + VALUE_MIN));
    let mut text = String::new();
    let mut head = format!("{label:<indent$}");
    for line in value.split('\n') {
        if columns(&head) + columns(line) <= width {
            text.push_str(&format!("{head}{line}\n"));
        } else {
            text.push_str(&format!("{head}{}\n", &wrapped_whole(line, (indent, indent), width)[indent..]));
        }
        head = " ".repeat(indent);
    }
    text
}

/// So much room stays for a value behind its label, however narrow the terminal.
const VALUE_MIN: usize = 10;

/// Returns a text cut to so many columns, with "…" where something was cut.
pub fn cut(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += columns_of(character);
        if used > columns_max.saturating_sub(1) {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, width: usize, expected: &str) {
        let found = wrapped(text, (0, 2), width, 1000);
        assert_eq!(found, expected);
        assert!(found.lines().all(|line| columns(line) <= width), "{found:?}");
    }

    #[test]
    fn words_stand_in_lines_of_the_width_and_long_ones_are_broken() {
        check("open the file that is there", 12, "open the\n  file that\n  is there");
        check("a 0123456789abcdef b", 10, "a 01234567\n  89abcdef\n  b");
        check("x 01234567", 10, "x 01234567");
        check("x 012345678", 10, "x 01234567\n  8");
        check("a line\r\nend\tand  more", 40, "a line end and more");
        check("", 10, "");
    }

    #[test]
    fn only_lines_that_are_too_long_are_fitted_and_nothing_is_lost() {
        let text = "short  as it is\n  a line that is too long\n\u{1b}[1mcoloured and longer than all\u{1b}[0m\n";
        let expected = "short  as it is\n  a line that is\n    too long\n\u{1b}[1mcoloured and longer than all\u{1b}[0m\n";
        assert_eq!(fitted(text, 2, Some(16)), expected);
        assert_eq!(fitted(text, 2, None), text);
        assert_eq!(labelled("About", "one two\nthree", 8, None), "About   one two\n        three\n");
        assert_eq!(
            labelled("About", "one two three four\n表表表表表表", 8, Some(18)),
            "About   one two\n        three four\n        表表表表表\n        表\n"
        );
        assert_eq!(labelled("About", "", 8, Some(18)), "About   \n");
        assert_eq!(labelled("About", "0123456789abc", 8, Some(4)), "About   0123456789\n        abc\n");
    }

    #[test]
    fn what_can_be_typed_stays_in_one_line() {
        let check = |text: &str, expected: &str| assert_eq!(wrapped_whole(text, (0, 2), 24), expected);
        check("etlsched logs sales; then: etlsched enable sales", "etlsched logs sales;\n  then:\n  etlsched enable sales");
        check("hint: see: etlsched state reset sales --take-over", "hint: see:\n  etlsched state reset sales --take-over");
        check("mend it; `etlsched json-schema job` lists the keys", "mend it;\n  `etlsched json-schema job`\n  lists the keys");
        check(
            "open /srv/warehouse/data/orders/of/november.csv: no such file",
            "open\n  /srv/warehouse/data/orders/of/november.csv:\n  no such file",
        );
        check("one ` is no quotation of any length", "one ` is no quotation of\n  any length");
        check("15:44  info   far\u{1b}: 0123456789abcdefghijkl", "15:44  info   far\\u{1b}:\n  0123456789abcdefghijkl");
        check("what etlsched does is none that is typed", "what etlsched does is\n  none that is typed");
    }

    #[test]
    fn wide_characters_take_two_columns_and_steering_ones_are_escaped() {
        check("表表表 表表", 8, "表表表\n  表表");
        check("表表表表表", 6, "表表表\n  表表");
        check("a\u{1b}[2J\u{202e}b", 40, "a\\u{1b}[2J\\u{202e}b");
        assert_eq!((columns("表a"), cut("表表表", 5), cut("abc", 3)), (3, "表表…".to_owned(), "abc".to_owned()));
    }

    #[test]
    fn a_megabyte_is_cut_and_so_is_what_escapes_make_of_it() {
        let found = wrapped(&"\u{1b}".repeat(1000), (0, 0), 80, 200);
        assert_eq!((found.lines().count(), found.chars().count()), (3, 202));
        let found = wrapped(&"x".repeat(1 << 20), (0, 0), 80, 200);
        assert!(found.chars().count() <= 203 && found.ends_with('…'), "{}", found.len());
    }
}
