//! Reads a JSON value that lies whole in memory (RFC 8259), strictly: places of its parts, never a copy. Numbers keep their text.

/// How deep lists and objects may stand in each other.
pub(super) const DEPTH_MAX: usize = 128;

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The byte at which it is.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// A value's kind, by which its text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    List,
    Object,
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parser<'a> {
    pub raw: &'a [u8],
    pub at: usize,
}

/// A string: its text between the quotes, and whether there are escapes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quoted<'a> {
    pub inner: &'a [u8],
    pub has_escapes: bool,
}

impl<'a> Parser<'a> {
    /// Begins at a text's first byte.
    pub fn new(raw: &'a [u8]) -> Self {
        Self { raw, at: 0 }
    }

    fn wrong(&self, expected: &'static str) -> Wrong {
        Wrong { at: self.at, expected }
    }

    /// Returns the next byte that is no white space, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.raw.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes a byte that must be this one.
    #[inline]
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Wrong> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong(what))
        }
    }

    /// Asserts that nothing follows.
    pub fn end(&mut self) -> Result<(), Wrong> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong("the end")) }
    }

    /// Returns the kind of the value that begins here.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, Wrong> {
        match self.peek() {
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    /// Takes a string.
    #[inline]
    pub fn string(&mut self) -> Result<Quoted<'a>, Wrong> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            let rest = &self.raw[self.at..];
            let length = rest.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
            let Some(length) = length else {
                self.at = self.raw.len();
                return Err(self.wrong("the end of a string"));
            };
            self.at += length;
            match self.raw[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(Quoted { inner: &self.raw[start..self.at - 1], has_escapes });
                }
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(self.wrong("a string without control characters")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        let digits = match self.raw.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.wrong("an escape")),
        };
        let hex = self.raw.get(self.at + 2..self.at + 2 + digits);
        if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return Err(self.wrong("four hex digits"));
        }
        self.at += 2 + digits;
        Ok(())
    }

    /// Takes a scalar that is no string; returns its text.
    #[inline]
    pub fn scalar(&mut self, kind: Kind) -> Result<&'a [u8], Wrong> {
        let start = self.at;
        if kind == Kind::Number {
            self.number()?;
            return Ok(&self.raw[start..self.at]);
        }
        for word in [&b"true"[..], b"false", b"null"] {
            if self.raw[start..].starts_with(word) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(self.wrong("true, false or null"))
    }

    fn digits(&mut self) -> Result<(), Wrong> {
        let length = self.raw[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += length;
        if length == 0 { Err(self.wrong("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Wrong> {
        if self.raw.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.raw.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.raw.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.raw.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.raw.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Takes any value; returns its text.
    pub fn value(&mut self, depth: usize) -> Result<&'a [u8], Wrong> {
        let kind = self.kind()?;
        let start = self.at;
        match kind {
            Kind::String => {
                self.string()?;
            }
            Kind::Object => self.members(|parser, _| parser.value(depth + 1).map(|_| ()), depth)?,
            Kind::List => self.items(depth)?,
            Kind::Null | Kind::Boolean | Kind::Number => {
                self.scalar(kind)?;
            }
        }
        Ok(&self.raw[start..self.at])
    }

    /// Takes an object, its members' values by `each`.
    pub fn members<E: From<Wrong>>(&mut self, mut each: impl FnMut(&mut Self, Quoted<'a>) -> Result<(), E>, depth: usize) -> Result<(), E> {
        self.expect(b'{', "an object")?;
        self.deeper(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "a colon")?;
            each(self, key)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("a comma or }").into()),
            }
            self.peek();
        }
    }

    fn items(&mut self, depth: usize) -> Result<(), Wrong> {
        self.expect(b'[', "a list")?;
        self.deeper(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("a comma or ]")),
            }
        }
    }

    fn deeper(&self, depth: usize) -> Result<(), Wrong> {
        if depth < DEPTH_MAX { Ok(()) } else { Err(self.wrong("fewer lists and objects in each other")) }
    }
}

/// Appends the text that a string stands for; `false` where a surrogate stands alone in it, which is no text.
pub(super) fn unescape(inner: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let mut length = 2;
        let character = match rest[at + 1] {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (unit, low) = (unit(&rest[at..]), unit(rest.get(at + 6..).unwrap_or_default()));
                let pair = [unit, low].map(Option::unwrap_or_default);
                let is_pair = (0xd800..0xdc00).contains(&pair[0]) && (0xdc00..0xe000).contains(&pair[1]);
                length = if is_pair { 12 } else { 6 };
                match char::decode_utf16(pair).next() {
                    Some(Ok(character)) => character,
                    _ => return false,
                }
            }
            other => char::from(other),
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    true
}

/// Returns the code unit of `\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.strip_prefix(b"\\u")?.get(..4)?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        let mut parser = Parser::new(text.as_bytes());
        parser.value(0).is_ok() && parser.end().is_ok()
    }

    #[test]
    fn it_takes_what_json_is_and_nothing_else() {
        for text in ["{}", "[]", "0", "-0", "1.5E+3", "\"\\u00e9\\n\"", " [1, {\"a\": null}, true] ", "\"\"", "1e5"] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "tru",
            "nul",
            "'a'",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "\"a\tb\"",
            "NaN",
            "1 2",
            "--1",
            "-",
        ] {
            assert!(!is_json(text), "{text}");
        }
        assert!(is_json(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX))));
        assert!(!is_json(&format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1))));
    }

    #[test]
    fn escapes_become_text_and_surrogates_alone_do_not() {
        let text = |inner: &str| {
            let mut out = Vec::new();
            unescape(inner.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(text(r#"a\"\\\/\b\f\n\r\tb"#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tb"));
        assert_eq!(text(r"\u00e9\u2603\ud83d\ude00x\u0000").as_deref(), Some("é☃😀x\0"));
        for alone in [r"\ud83d", r"\ud83dx", r"\ude00", r"\ud83d\u0041", r"\ud83d\ud83d"] {
            assert_eq!(text(alone), None, "{alone}");
        }
    }
}
