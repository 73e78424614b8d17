//! Finds where the values of a JSON text (RFC 8259) begin and end while it is read: no more of it is kept than one value that is asked for.

use std::io::Read;

use super::syntax::DEPTH_MAX;

/// The most bytes of a value that is kept whole (16 MiB): memory is bounded whatever an answer holds.
pub(super) const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much is read at a time.
const BLOCK_BYTES: usize = 128 * 1024;

/// Why a text can't be read on.
#[derive(Debug)]
pub(super) enum ScanError {
    /// Reading failed.
    Io(std::io::Error),
    /// The text ends in the midst of a value.
    Cut,
    /// At this byte something else was expected.
    Syntax(u64, &'static str),
    /// Lists and objects stand deeper in each other than [`DEPTH_MAX`].
    Deep,
    /// A value that must be kept is longer than [`VALUE_BYTES_MAX`].
    Long,
}

/// A text that is being read.
#[derive(Debug)]
pub(super) struct Scanner<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// From here on bytes are kept.
    mark: Option<usize>,
    /// How many bytes stood before the buffer.
    before: u64,
}

impl<R: Read> Scanner<R> {
    /// Begins to read.
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BLOCK_BYTES], at: 0, end: 0, mark: None, before: 0 }
    }

    /// Returns how many bytes were taken.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Returns the next byte without taking it; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Result<Option<u8>, ScanError> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    /// Returns the next byte behind white space without taking it.
    #[inline]
    pub fn peek_value(&mut self) -> Result<Option<u8>, ScanError> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    /// Takes the byte that was looked at.
    pub fn take(&mut self) {
        self.at += 1;
    }

    /// Takes a byte behind white space, which must be this one.
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ScanError> {
        match self.peek_value()? {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.wrong(what)),
            None => Err(ScanError::Cut),
        }
    }

    /// Returns the error of the present place.
    pub fn wrong(&self, what: &'static str) -> ScanError {
        ScanError::Syntax(self.offset(), what)
    }

    /// Takes a value and returns its text. Its brackets and quotes match; whether it is right is for its reader to say.
    pub fn value(&mut self) -> Result<&[u8], ScanError> {
        self.peek_value()?;
        self.mark = Some(self.at);
        let passed = self.pass();
        let start = self.mark.take().unwrap_or(self.at);
        passed?;
        Ok(&self.buffer[start..self.at])
    }

    /// Takes a value of any length without keeping it.
    pub fn pass(&mut self) -> Result<(), ScanError> {
        match self.peek_value()? {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => self.container(),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.word(),
            Some(_) => Err(self.wrong("a value")),
            None => Err(ScanError::Cut),
        }
    }

    /// Takes a line without its end; `None` behind the last. Whether an end of line stood behind it is told beside.
    pub fn line(&mut self) -> Result<Option<(&[u8], bool)>, ScanError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        self.mark = Some(self.at);
        let is_ended = loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.at..self.end]) {
                self.at += length;
                break true;
            }
            self.at = self.end;
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break false,
                Err(error) => {
                    self.mark = None;
                    return Err(error);
                }
            }
        };
        let (start, end) = (self.mark.take().unwrap_or(self.at), self.at);
        self.at += usize::from(is_ended);
        Ok(Some((&self.buffer[start..end], is_ended)))
    }

    fn word(&mut self) -> Result<(), ScanError> {
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'+') = self.peek()? {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        loop {
            match memchr::memchr2(b'"', b'\\', &self.buffer[self.at..self.end]) {
                None => {
                    self.at = self.end;
                    self.more()?;
                }
                Some(length) => {
                    self.at += length + 1;
                    if self.buffer[self.at - 1] == b'"' {
                        return Ok(());
                    }
                    self.more_if_needed()?;
                    self.at += 1;
                }
            }
        }
    }

    fn container(&mut self) -> Result<(), ScanError> {
        // One bit a level: 1 is an object.
        let (mut kinds, mut depth) = (0_u128, 0_usize);
        loop {
            self.more_if_needed()?;
            let rest = &self.buffer[self.at..self.end];
            let Some(length) = rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')) else {
                self.at = self.end;
                continue;
            };
            self.at += length;
            match self.buffer[self.at] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                open @ (b'{' | b'[') => {
                    if depth == DEPTH_MAX {
                        return Err(ScanError::Deep);
                    }
                    kinds = kinds << 1 | u128::from(open == b'{');
                    depth += 1;
                }
                close => {
                    if (kinds & 1 == 1) != (close == b'}') {
                        return Err(self.wrong("the bracket that closes what is open"));
                    }
                    kinds >>= 1;
                    depth -= 1;
                }
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn more_if_needed(&mut self) -> Result<(), ScanError> {
        if self.at == self.end { self.more() } else { Ok(()) }
    }

    fn more(&mut self) -> Result<(), ScanError> {
        if self.fill()? { Ok(()) } else { Err(ScanError::Cut) }
    }

    /// Reads more behind what is kept; `false` at the end.
    fn fill(&mut self) -> Result<bool, ScanError> {
        let keep = self.mark.unwrap_or(self.at);
        if keep > 0 {
            self.buffer.copy_within(keep..self.end, 0);
            self.before += keep as u64;
            self.at -= keep;
            self.end -= keep;
            self.mark = self.mark.map(|_| 0);
        }
        if self.end == self.buffer.len() {
            if self.buffer.len() >= VALUE_BYTES_MAX {
                return Err(ScanError::Long);
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(length) => {
                    self.end += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ScanError::Io(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, so that every place of a text is the end of a buffer once.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn values_are_found_wherever_the_buffer_ends() {
        let text = br#" {"a":"}\"]","b":[1,{"c":"\\"}]} "x\\" -1.5e3 null [] "#;
        let expected = [r#"{"a":"}\"]","b":[1,{"c":"\\"}]}"#, r#""x\\""#, "-1.5e3", "null", "[]"];
        let mut scanner = Scanner::new(Drip(text));
        for value in expected {
            assert_eq!(scanner.value().unwrap(), value.as_bytes());
        }
        assert_eq!(scanner.peek_value().unwrap(), None);
        assert!(matches!(scanner.value(), Err(ScanError::Cut)));
    }

    #[test]
    fn what_is_cut_deep_or_wrong_is_told() {
        for text in ["{\"a\":", "[1,2", "\"abc", "\"a\\", "[\"]"] {
            assert!(matches!(Scanner::new(text.as_bytes()).pass(), Err(ScanError::Cut)), "{text}");
        }
        for text in ["[}", "{]", "<html>", "}", "[{]}"] {
            assert!(matches!(Scanner::new(text.as_bytes()).pass(), Err(ScanError::Syntax(..))), "{text}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert!(matches!(Scanner::new(deep.as_bytes()).pass(), Err(ScanError::Deep)));
        let whole = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(Scanner::new(whole.as_bytes()).pass().is_ok());
    }

    #[test]
    fn a_value_that_is_kept_has_a_greatest_length_and_one_that_is_passed_has_none() {
        let text = || Read::chain(&b"\""[..], std::io::repeat(b'x').take(VALUE_BYTES_MAX as u64 + 1)).chain(&b"\""[..]);
        assert!(matches!(Scanner::new(text()).value(), Err(ScanError::Long)));
        assert!(Scanner::new(text()).pass().is_ok());
    }

    #[test]
    fn lines_are_told_with_their_ends() {
        let mut scanner = Scanner::new(Drip(b"{}\n\nab"));
        let mut lines = Vec::new();
        while let Some((line, is_ended)) = scanner.line().unwrap() {
            lines.push((String::from_utf8(line.to_vec()).unwrap(), is_ended));
        }
        assert_eq!(lines, [("{}".to_owned(), true), (String::new(), true), ("ab".to_owned(), false)]);
    }
}
