//! Finds delimiter and header from the first rows of a file. Never decides what was declared.

use crate::batch::ColumnType;
use crate::batch::infer::classify;

use super::splitter::{Dialect, Found, Splitter};

/// How much of a file is looked at.
pub(super) const SAMPLE_BYTES: usize = 64 * 1024;

/// How many records are looked at.
const RECORDS_MAX: usize = 200;

/// The delimiters that are tried, in order of preference where all else is equal.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The first part of a file's text, and whether it is all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'a> {
    pub text: &'a [u8],
    pub is_whole: bool,
}

/// Returns the delimiter that parts the most records into the same number of fields, at least two; a comma where none does.
///
/// Where semicolon and comma both do so everywhere, the commas are those of decimals.
pub(super) fn delimiter(sample: Sample<'_>, quote: u8) -> u8 {
    let mut best = (b',', 0.0, 0);
    for delimiter in DELIMITERS {
        let (share, fields) = consistency(&records(sample, Dialect { delimiter, quote }));
        let is_better = (share, fields) > (best.1, best.2) || (share >= 1.0 && delimiter == b';' && best.0 == b',');
        if fields >= 2 && is_better {
            best = (delimiter, share, fields);
        }
    }
    best.0
}

/// Returns the share of records with the commonest number of fields, and that number. A first record with another number halves it.
fn consistency(records: &[Vec<String>]) -> (f64, usize) {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for record in records {
        match counts.iter_mut().find(|(fields, _)| *fields == record.len()) {
            Some((_, count)) => *count += 1,
            None => counts.push((record.len(), 1)),
        }
    }
    let Some((fields, count)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return (0.0, 0) };
    let share = count as f64 / records.len() as f64;
    if records[0].len() == fields { (share, fields) } else { (share / 2.0, fields) }
}

/// Whether the first record holds names: texts, none empty, none twice, and none that reads like a number or a date, nor like a
/// boolean above booleans.
pub(super) fn has_header(sample: Sample<'_>, dialect: Dialect) -> bool {
    let records = records(sample, dialect);
    let Some((first, rest)) = records.split_first() else { return true };
    let below = |column: usize| rest.iter().filter_map(move |record| record.get(column)).filter(|field| !field.is_empty());
    let is_plain = |column: usize| {
        let field = &first[column];
        match classify(field.as_bytes()) {
            _ if field.trim().is_empty() => true,
            ColumnType::Text => true,
            // A column may be named "true", but not one of booleans.
            ColumnType::Boolean => below(column).any(|field| classify(field.as_bytes()) != ColumnType::Boolean),
            _ => false,
        }
    };
    if !(0..first.len()).all(is_plain) {
        return false;
    }
    // A column of numbers under a text is proof enough, whatever the other names are.
    let is_typed_below =
        |column: usize| below(column).next().is_some() && below(column).all(|field| classify(field.as_bytes()) != ColumnType::Text);
    let has_proof = (0..first.len()).any(|column| !first[column].is_empty() && is_typed_below(column));
    let mut names: Vec<String> = first.iter().map(|name| name.trim().to_lowercase()).collect();
    names.sort();
    has_proof || (names.iter().all(|name| !name.is_empty()) && names.windows(2).all(|pair| pair[0] != pair[1]))
}

fn records(sample: Sample<'_>, dialect: Dialect) -> Vec<Vec<String>> {
    let mut splitter = Splitter::new(sample.text, dialect);
    let mut records = Vec::new();
    let mut scratch = Vec::new();
    while records.len() < RECORDS_MAX {
        match splitter.advance() {
            Ok(Found::Record) => {}
            // An empty record is as unlike the others as can be.
            Ok(Found::Flawed(_)) => {
                records.push(Vec::new());
                continue;
            }
            _ => break,
        }
        let mut record = Vec::with_capacity(splitter.len());
        for index in 0..splitter.len() {
            let (field, is_quoted) = splitter.field(index, &mut scratch);
            if !is_quoted && field.contains(&dialect.quote) {
                // A quote in the middle of a field: it was parted at the wrong place.
                record.clear();
                break;
            }
            record.push(String::from_utf8_lossy(field).into_owned());
        }
        records.push(record);
    }
    // The last one may be cut.
    if !sample.is_whole && records.len() > 1 && records.len() < RECORDS_MAX {
        records.pop();
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: char, is_header: bool) {
        let sample = Sample { text: text.as_bytes(), is_whole: true };
        let found = delimiter(sample, b'"');
        assert_eq!(char::from(found), expected);
        assert_eq!(has_header(sample, Dialect { delimiter: found, quote: b'"' }), is_header);
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_even_rows() {
        check("id,name\n1,x\n2,y\n", ',', true);
        check("id;price\n1;2,5\n2;3,5\n", ';', true);
        check("1;2,5\n2;3,5\n", ';', false);
        check("id\tnote\n1\ta, b\n2\tc\n", '\t', true);
        check("1|a,b|x\n2|c|y\n", '|', false);
        check("id,\"a;b;c\"\n1,\"x;y;z\"\n", ',', true);
        check("name\nAnn\nBob\n", ',', true);
    }

    #[test]
    fn a_header_is_told_from_data() {
        check("2013-01-01,5\n2013-01-02,6\n", ',', false);
        check("a,a\n1,2\n", ',', true);
        check("x,x\ny,y\n", ',', false);
        check("id,name\n", ',', true);
        check("true,a\nfalse,b\n", ',', false);
        check("id,true,False\n1,x,5\n2,y,6\n", ',', true);
        check("id,true\n", ',', false);
    }
}
