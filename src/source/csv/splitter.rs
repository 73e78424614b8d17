//! Splits decoded text into records and fields (RFC 4180): offsets only, nothing is copied or allocated for a field.
//!
//! Records end with LF, CRLF or CR, the last one also with the end of the data; blank lines are skipped. A quote is special at the
//! beginning of a field only. What RFC 4180 doesn't allow is told ([`Flaw`]), never mended.

use std::io::{self, Read};

/// The most bytes of one record (16 MiB): memory is bounded whatever a file holds.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most bytes that are passed over in search of the end of a record that is too long.
const SKIPPED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The most fields of a record that are kept: more than any file may have columns, so that a row of delimiters costs no memory.
const FIELDS_MAX: usize = 20_000;

/// How much is read at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// The bytes that part fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
}

/// A field of the present record.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: u32,
    end: u32,
    kind: FieldKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    Plain,
    Quoted,
    /// Quoted, with doubled quotes inside.
    Doubled,
}

/// What is wrong with the shape of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Text between a closing quote and the next delimiter.
    TextAfterQuote,
    /// More bytes than [`RECORD_BYTES_MAX`].
    TooLong,
}

/// What was found where a record was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A record; its fields can be asked for.
    Record,
    /// A record whose fields are not to be trusted.
    Flawed(Flaw),
    /// A quote opens in this record and the data ends before it closes. Whatever follows the quote is in doubt.
    OpenQuote,
    /// The end of the data.
    End,
}

/// How a scan from the beginning of a record ended.
enum Scan {
    /// The record, without and with its line end.
    Whole { content: usize, consumed: usize, is_flawed: bool },
    /// The buffer ended first.
    Cut { in_quotes: bool },
}

/// Splits one file.
pub(super) struct Splitter<R> {
    input: R,
    dialect: Dialect,
    buffer: Vec<u8>,
    /// Where the bytes that were read end.
    filled: usize,
    /// Where the next record begins.
    next: usize,
    is_ended: bool,
    fields: Vec<Field>,
    /// The present record without its line end.
    record: (usize, usize),
    /// Lines before the next record.
    lines: u64,
    record_line: u64,
}

impl<R> std::fmt::Debug for Splitter<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Splitter({:?}, line {})", self.dialect, self.record_line)
    }
}

impl<R: Read> Splitter<R> {
    /// Begins at the first byte.
    pub fn new(input: R, dialect: Dialect) -> Self {
        Self {
            input,
            dialect,
            buffer: Vec::new(),
            filled: 0,
            next: 0,
            is_ended: false,
            fields: Vec::new(),
            record: (0, 0),
            lines: 0,
            record_line: 0,
        }
    }

    /// Gives the input back, for what it knows.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// Does something with the input, at the end.
    pub fn finish_input<T>(&mut self, finish: impl FnOnce(&mut R) -> T) -> T {
        finish(&mut self.input)
    }

    /// Returns how many fields the present record has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns the line (from 1) on which the present record begins.
    pub fn line(&self) -> u64 {
        self.record_line
    }

    /// Returns the present record as it stands in the data, without its line end.
    pub fn raw(&self) -> &[u8] {
        &self.buffer[self.record.0..self.record.1]
    }

    /// Returns a field's bytes and whether it was quoted; `scratch` holds them where quotes had to be undoubled.
    #[inline]
    pub fn field<'a>(&'a self, index: usize, scratch: &'a mut Vec<u8>) -> (&'a [u8], bool) {
        let field = self.fields[index];
        let bytes = &self.buffer[self.record.0 + field.start as usize..self.record.0 + field.end as usize];
        if field.kind != FieldKind::Doubled {
            return (bytes, field.kind == FieldKind::Quoted);
        }
        scratch.clear();
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(self.dialect.quote, rest) {
            scratch.extend_from_slice(&rest[..=at]);
            rest = &rest[(at + 2).min(rest.len())..];
        }
        scratch.extend_from_slice(rest);
        (scratch, true)
    }

    /// Goes to the next record.
    ///
    /// # Errors
    /// Whatever the input reports.
    pub fn advance(&mut self) -> io::Result<Found> {
        self.skip_blank_lines()?;
        if self.next == self.filled {
            return Ok(Found::End);
        }
        self.record_line = self.lines + 1;
        loop {
            match self.scan() {
                Scan::Whole { content, consumed, is_flawed } => {
                    let start = self.next;
                    self.record = (start, content);
                    self.next = consumed;
                    self.count_lines(start, content);
                    if content - start > RECORD_BYTES_MAX {
                        self.fields.clear();
                        self.record = (start, start + super::RAW_BYTES_MAX);
                        return Ok(Found::Flawed(Flaw::TooLong));
                    }
                    return Ok(if is_flawed { Found::Flawed(Flaw::TextAfterQuote) } else { Found::Record });
                }
                Scan::Cut { in_quotes } if self.is_ended => {
                    debug_assert!(in_quotes, "an ended buffer cuts nothing but an open quote");
                    self.record = (self.next, self.filled);
                    self.next = self.filled;
                    return Ok(Found::OpenQuote);
                }
                Scan::Cut { .. } if self.filled - self.next > RECORD_BYTES_MAX => return self.skip_record(),
                Scan::Cut { .. } => self.fill()?,
            }
        }
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            while self.next < self.filled {
                match self.buffer[self.next] {
                    b'\n' => self.lines += 1,
                    // The LF of a CRLF counts; a CR alone does too, but not before its LF was looked for.
                    b'\r' if self.next + 1 < self.filled || self.is_ended => {
                        self.lines += u64::from(self.buffer.get(self.next + 1).filter(|_| self.next + 1 < self.filled) != Some(&b'\n'));
                    }
                    b'\r' => break,
                    _ => return Ok(()),
                }
                self.next += 1;
            }
            if self.is_ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Counts the line ends that belong to the record: its own, and those in its quotes.
    fn count_lines(&mut self, start: usize, content: usize) {
        self.lines += u64::from(self.next > content);
        if self.fields.iter().any(|field| field.kind != FieldKind::Plain) {
            let bytes = &self.buffer[start..content];
            self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
    }

    /// Finds the fields and the end of the record at `next`.
    #[inline]
    fn scan(&mut self) -> Scan {
        let base = self.next;
        let bytes = &self.buffer[base..self.filled];
        let Dialect { delimiter, quote } = self.dialect;
        self.fields.clear();
        let mut at = 0;
        let mut is_flawed = false;
        loop {
            let mut kind = FieldKind::Plain;
            let mut start = at;
            let mut end = None;
            if bytes.get(at) == Some(&quote) {
                kind = FieldKind::Quoted;
                start = at + 1;
                at = start;
                loop {
                    let Some(found) = memchr::memchr(quote, &bytes[at..]) else { return Scan::Cut { in_quotes: true } };
                    at += found + 1;
                    if bytes.get(at) == Some(&quote) {
                        kind = FieldKind::Doubled;
                        at += 1;
                    } else if at == bytes.len() && !self.is_ended {
                        // The next byte tells whether this quote closes.
                        return Scan::Cut { in_quotes: true };
                    } else {
                        break;
                    }
                }
                end = Some(at - 1);
            }
            let after = at;
            let Some(found) = find_end(&bytes[at..], delimiter) else {
                if !self.is_ended {
                    return Scan::Cut { in_quotes: false };
                }
                is_flawed |= end.is_some() && after != bytes.len();
                self.fields.push(Field { start: start as u32, end: end.unwrap_or(bytes.len()) as u32, kind });
                return Scan::Whole { content: self.filled, consumed: self.filled, is_flawed };
            };
            at += found;
            is_flawed |= end.is_some() && found > 0;
            if self.fields.len() < FIELDS_MAX {
                self.fields.push(Field { start: start as u32, end: end.unwrap_or(at) as u32, kind });
            }
            match bytes[at] {
                b'\n' => return Scan::Whole { content: base + at, consumed: base + at + 1, is_flawed },
                b'\r' if delimiter != b'\r' => {
                    if at + 1 == bytes.len() && !self.is_ended {
                        return Scan::Cut { in_quotes: false };
                    }
                    let length = if bytes.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
                    return Scan::Whole { content: base + at, consumed: base + at + length, is_flawed };
                }
                _ => at += 1,
            }
        }
    }

    /// Reads more behind what is there; what is done with makes room first.
    fn fill(&mut self) -> io::Result<()> {
        if self.next > 0 {
            self.buffer.copy_within(self.next..self.filled, 0);
            self.filled -= self.next;
            self.next = 0;
        }
        // A long record doubles the block, so that it is scanned a few times only.
        let wanted = BLOCK_BYTES.max(self.filled);
        if self.buffer.len() < self.filled + wanted {
            self.buffer.resize(self.filled + wanted, 0);
        }
        let end = self.filled + wanted;
        while self.filled < end {
            match self.input.read(&mut self.buffer[self.filled..end]) {
                Ok(0) => {
                    self.is_ended = true;
                    break;
                }
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Passes over a record that is too long, keeping nothing but its beginning.
    fn skip_record(&mut self) -> io::Result<Found> {
        let Dialect { delimiter, quote } = self.dialect;
        let kept = super::RAW_BYTES_MAX.min(self.filled - self.next);
        let beginning = self.buffer[self.next..self.next + kept].to_vec();
        let (mut is_field_start, mut in_quotes, mut is_closing) = (true, false, false);
        let mut skipped: u64 = 0;
        'search: loop {
            while self.next < self.filled {
                let byte = self.buffer[self.next];
                if in_quotes && !(is_closing && byte != quote) {
                    is_closing = byte == quote && !is_closing;
                    self.lines += u64::from(byte == b'\n');
                } else {
                    is_closing = false;
                    if byte == b'\n' || byte == b'\r' {
                        break 'search;
                    }
                    in_quotes = is_field_start && byte == quote;
                    is_field_start = byte == delimiter;
                }
                self.next += 1;
                skipped += 1;
            }
            if self.is_ended || skipped > SKIPPED_BYTES_MAX {
                if in_quotes && !is_closing || !self.is_ended {
                    self.keep_raw(&beginning);
                    return Ok(Found::OpenQuote);
                }
                break;
            }
            self.fill()?;
        }
        // The line end itself is left to the search for the next record.
        self.keep_raw(&beginning);
        Ok(Found::Flawed(Flaw::TooLong))
    }

    /// Puts the beginning of a skipped record where [`Splitter::raw`] finds it, and gives the memory back.
    fn keep_raw(&mut self, beginning: &[u8]) {
        let rest = self.buffer[self.next..self.filled].to_vec();
        self.buffer = [beginning, &rest].concat();
        self.record = (0, beginning.len());
        self.next = beginning.len();
        self.filled = self.buffer.len();
        self.fields.clear();
    }
}

/// Finds the next delimiter or line end. Fields are short, as a rule: eight bytes at a time beat a search made for long stretches.
#[inline(always)]
fn find_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const WORDS: usize = 4;
    // The high bit of each byte that is zero, exact for the lowest such byte (Anderson, "Bit Twiddling Hacks").
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let every = |byte: u8| u64::from(byte) * ONES;
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words.iter().take(WORDS) {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ every(delimiter)) | zeros(word ^ every(b'\n')) | zeros(word ^ every(b'\r'));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr::memchr3(delimiter, b'\n', b'\r', &bytes[at..]).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"' };

    /// Hands out a few bytes at a time, so that every cut is met.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    type Records = Vec<Vec<Vec<u8>>>;

    fn split(text: &[u8]) -> (Records, Vec<(Found, u64)>) {
        let mut splitter = Splitter::new(Dripping(text, 7), COMMA);
        let (mut records, mut flaws, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match splitter.advance().unwrap() {
                Found::End => return (records, flaws),
                Found::Record => {}
                flaw => flaws.push((flaw, splitter.line())),
            }
            records.push((0..splitter.len()).map(|index| splitter.field(index, &mut scratch).0.to_vec()).collect());
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&[&str]]) {
        let (records, flaws) = split(text.as_bytes());
        let records: Vec<Vec<&str>> =
            records.iter().map(|record| record.iter().map(|field| std::str::from_utf8(field).unwrap()).collect()).collect();
        assert_eq!(records, expected);
        assert_eq!(flaws, []);
    }

    proptest! {
        #[test]
        fn the_end_of_a_field_is_the_first_delimiter_or_line_end(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x08_u8..0x0f, 0x2b_u8..0x2e], 0..70)) {
            let first = bytes.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r'));
            prop_assert_eq!(find_end(&bytes, b','), first);
        }
    }

    #[test]
    fn rfc_4180_is_read() {
        check("a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n", &[&["a", "b"], &["1", "x, \"y\"\nz"]]);
        check("a\rb\r\rc", &[&["a"], &["b"], &["c"]]);
        check("\n\n,\n\"\"\n", &[&["", ""], &[""]]);
        check("a\"b,c\"", &[&["a\"b", "c\""]]);
        check("", &[]);
    }

    #[test]
    fn flaws_are_told_with_their_line() {
        assert_eq!(split(b"a,b\n\"x\ny\"z,1\n2,3\n\n\"open").1, [(Found::Flawed(Flaw::TextAfterQuote), 2), (Found::OpenQuote, 6)]);
    }

    #[test]
    fn a_record_without_end_costs_no_more_than_its_limit() {
        let mut text = b"a,b\n".to_vec();
        for (opening, closing) in [(&b"\""[..], &b"\nx\""[..]), (b"", b"")] {
            text.extend_from_slice(opening);
            text.resize(text.len() + RECORD_BYTES_MAX + 10, b'x');
            text.extend_from_slice(closing);
            text.extend_from_slice(b",1\n2,3\n");
        }
        let mut splitter = Splitter::new(&text[..], COMMA);
        let mut found = Vec::new();
        loop {
            let next = splitter.advance().unwrap();
            if next == Found::End {
                break;
            }
            assert!(splitter.raw().len() <= super::super::RAW_BYTES_MAX);
            found.push((next, splitter.line()));
        }
        let too_long = Found::Flawed(Flaw::TooLong);
        assert_eq!(found, [(Found::Record, 1), (too_long, 2), (Found::Record, 4), (too_long, 5), (Found::Record, 6)]);
    }

    #[test]
    fn a_row_of_delimiters_costs_no_memory() {
        let text = b",".repeat(1_000_000);
        let mut splitter = Splitter::new(&text[..], COMMA);
        assert_eq!(splitter.advance().unwrap(), Found::Record);
        assert_eq!((splitter.len(), splitter.raw().len()), (FIELDS_MAX + 1, 1_000_000));
    }

    proptest! {
        #[test]
        fn records_are_those_of_the_csv_crate(text in "[ab,\"\r\n]{0,60}") {
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let expected: Records = reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect();
            let (records, flaws) = split(text.as_bytes());
            // What RFC 4180 forbids is split into the same records; only the fields of those are no fields.
            prop_assert_eq!(records.len(), expected.len());
            if flaws.is_empty() {
                prop_assert_eq!(records, expected);
            }
        }
    }
}
