//! Which texts of a file are NULL: the declared ones, else an empty field and, in columns of numbers and times, the usual words.

use crate::plan::Level;
use crate::source::columns::OutputColumn;
use crate::text;

/// What programs write for a missing value: R, spreadsheets, SQL dumps (MySQL's `\N`), Python. Taken for NULL where nothing is declared,
/// and only in a column whose other values are no text: there it can't be a value.
const USUAL_WORDS: [&str; 9] = ["NA", "N/A", "n/a", "#N/A", "NULL", "null", "Null", "None", "\\N"];

/// Which unquoted texts are NULL.
#[derive(Debug, Clone)]
pub(super) struct NullTexts {
    texts: Vec<Vec<u8>>,
    /// One bit for each length below 64 that a text has.
    lengths: u64,
    is_declared: bool,
}

impl NullTexts {
    /// Takes the declared texts; the empty one where nothing is declared.
    pub fn new(declared: Option<&[String]>) -> Self {
        let texts: Vec<Vec<u8>> =
            declared.map_or_else(|| vec![Vec::new()], |texts| texts.iter().map(|text| text.clone().into_bytes()).collect());
        let lengths = texts.iter().fold(0, |bits, text| bits | 1_u64 << text.len().min(63));
        Self { texts, lengths, is_declared: declared.is_some() }
    }

    /// Whether an unquoted text is NULL in every column.
    #[inline]
    pub fn holds(&self, text: &[u8]) -> bool {
        self.lengths >> text.len().min(63) & 1 == 1 && self.texts.iter().any(|null| null == text)
    }

    /// Returns the usual word that an unquoted text is, where nothing is declared.
    #[inline]
    pub fn usual_word(&self, text: &[u8]) -> Option<&'static str> {
        if self.is_declared || !(2..=4).contains(&text.len()) {
            return None;
        }
        USUAL_WORDS.into_iter().find(|word| word.as_bytes() == text)
    }
}

/// How many values of each column became NULL though they were not empty.
#[derive(Debug)]
pub(super) struct Nulled {
    /// Values that their type can't hold (`invalid_values: null`).
    invalid: Vec<u64>,
    /// Usual words, with the first that was met.
    words: Vec<Option<(&'static str, u64)>>,
}

impl Nulled {
    /// Begins with none.
    pub fn new(columns: usize) -> Self {
        Self { invalid: vec![0; columns], words: vec![None; columns] }
    }

    /// Counts a value that its type can't hold.
    pub fn count_invalid(&mut self, column: usize) {
        self.invalid[column] += 1;
    }

    /// Counts a usual word.
    pub fn count_word(&mut self, column: usize, word: &'static str) {
        self.words[column].get_or_insert((word, 0)).1 += 1;
    }

    /// Returns what there is to say at the end.
    pub fn log(&self, source: &str, columns: &[OutputColumn]) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        for (column, (invalid, word)) in columns.iter().zip(self.invalid.iter().zip(&self.words)) {
            if *invalid > 0 {
                let values = text::count(*invalid, "value");
                let what = format!("{source}: column {}: {values} that its type can't hold loaded as NULL", column.source);
                lines.push((Level::Warn, what));
            }
            if let Some((word, count)) = word {
                let values = text::count(*count, "value");
                let what = format!("{source}: column {}: {values} such as {word} taken for NULL; null_values settles it", column.source);
                lines.push((Level::Warn, what));
            }
        }
        lines
    }
}
