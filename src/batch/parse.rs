//! Reads values from text, exactly or not at all. Inference and loading use these same functions, so they can't disagree. Pure.

use arrow_buffer::i256;

use super::calendar::{DAY_SECONDS, days_from_civil, days_in_month};

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// Every decimal of so many significant digits comes back from a double unchanged (`DBL_DIG`, C11 5.2.4.2.2).
const DOUBLE_DIGITS: usize = 15;

/// The longest text that can be a number of any type here; longer ones are not looked at.
const NUMBER_BYTES_MAX: usize = 400;

/// A moment as a text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00, of UTC where `is_utc`, else of the wall clock.
    pub seconds: i64,
    /// The fraction of the second.
    pub nanos: u32,
    /// How many decimals the text has.
    pub decimals: usize,
    /// Whether the text has an offset.
    pub is_utc: bool,
}

impl Moment {
    /// Returns microseconds since the epoch; `None` where digits would be lost.
    pub fn micros(self) -> Option<i64> {
        self.nanos.is_multiple_of(1000).then(|| self.seconds * 1_000_000 + i64::from(self.nanos / 1000))
    }

    /// Returns nanoseconds since the epoch; `None` outside of 1677-09-21 to 2262-04-11.
    pub fn nanos(self) -> Option<i64> {
        i64::try_from(i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)).ok()
    }
}

/// Reads `true` or `false` in any case.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text.len() {
        4 if text.eq_ignore_ascii_case(b"true") => Some(true),
        5 if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// Reads a whole number as it would be written back: no plus sign, no leading zero, no `-0`.
#[inline]
pub fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut magnitude: u64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits are below 2^64.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if is_negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads a whole number of a declared column: a plus sign and leading zeros are taken too.
pub fn declared_integer(text: &[u8]) -> Option<i64> {
    integer(text).or_else(|| plain_digits(text)?.parse().ok())
}

/// Reads an unsigned whole number of a declared column: a plus sign and leading zeros are taken too.
pub fn declared_unsigned(text: &[u8]) -> Option<u64> {
    plain_digits(text)?.parse().ok()
}

fn plain_digits(text: &[u8]) -> Option<&str> {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let is_plain = !digits.is_empty() && text.len() <= NUMBER_BYTES_MAX && digits.iter().all(u8::is_ascii_digit);
    if is_plain { std::str::from_utf8(text).ok() } else { None }
}

/// Reads a number that a double gives back with the very digits of the text, written with as many (at most 17, `DBL_DECIMAL_DIG`) or as
/// few as it needs; leading zeros and a plus sign make it no number.
#[inline]
pub fn double(text: &[u8]) -> Option<f64> {
    if let Some(value) = short_double(text) {
        return Some(value);
    }
    let number = Number::read(text)?;
    if number.is_padded || number.has_plus {
        return None;
    }
    number.double(text)
}

/// Reads what most numbers are: at most [`DOUBLE_DIGITS`] digits, perhaps a minus sign and a point. `None` says nothing about the rest.
#[inline]
fn short_double(text: &[u8]) -> Option<f64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > DOUBLE_DIGITS {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut point = digits.len();
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if *byte == b'.' && point == digits.len() && at + 1 < digits.len() {
            point = at;
        } else {
            return None;
        }
    }
    if point > 1 && digits[0] == b'0' {
        return None;
    }
    // Both are exact doubles, so one rounding: the nearest double (Clinger 1990).
    let value = mantissa as f64 / TENS[(digits.len() - point).saturating_sub(1)];
    Some(if is_negative { -value } else { value })
}

/// Reads a number of a declared double column: a plus sign and leading zeros are taken too.
pub fn declared_double(text: &[u8]) -> Option<f64> {
    Number::read(text)?.double(text)
}

/// Reads a number of a declared single precision column, by the rules of [`declared_double`] (9 digits).
pub fn declared_single(text: &[u8]) -> Option<f32> {
    let number = Number::read(text)?;
    let value: f32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let shown = format!("{value:e}");
    let is_exact = number.equals(shown.as_bytes(), text)
        || (number.significant <= 9 && number.equals(format!("{value:.*e}", number.significant.saturating_sub(1)).as_bytes(), text));
    is_exact.then_some(value)
}

/// The parts of a decimal number's text.
#[derive(Debug, Clone, Copy)]
struct Number {
    is_negative: bool,
    has_plus: bool,
    /// A leading zero that isn't the only digit before the point.
    is_padded: bool,
    /// The first 19 digits of the mantissa, leading zeros left out.
    mantissa: u64,
    /// Digits from the first to the last that isn't zero.
    significant: usize,
    /// Digits from the first that isn't zero.
    digits: usize,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Number {
    /// Reads `-?digits?(.digits)?([eE][+-]?digits)?` with at least one digit, and one behind a point.
    #[inline]
    fn read(text: &[u8]) -> Option<Self> {
        if text.len() > NUMBER_BYTES_MAX {
            return None;
        }
        let is_negative = text.first() == Some(&b'-');
        let has_plus = text.first() == Some(&b'+');
        let start = usize::from(is_negative || has_plus);
        let mut at = start;
        let (mut mantissa, mut digits, mut significant) = (0_u64, 0_usize, 0_usize);
        let mut take = |byte: u8| {
            if digits > 0 || byte != b'0' {
                digits += 1;
                if digits <= 19 {
                    mantissa = mantissa * 10 + u64::from(byte - b'0');
                }
                if byte != b'0' {
                    significant = digits;
                }
            }
        };
        while at < text.len() && text[at].is_ascii_digit() {
            take(text[at]);
            at += 1;
        }
        let whole = at - start;
        let mut decimals = 0;
        if text.get(at) == Some(&b'.') {
            let from = at + 1;
            at = from;
            while at < text.len() && text[at].is_ascii_digit() {
                take(text[at]);
                at += 1;
            }
            decimals = at - from;
            if decimals == 0 {
                return None;
            }
        }
        if whole + decimals == 0 {
            return None;
        }
        let mut exponent = -(decimals as i64);
        if matches!(text.get(at), Some(b'e' | b'E')) {
            let (written, length) = read_exponent(&text[at + 1..])?;
            exponent += written;
            at += 1 + length;
        }
        let is_padded = whole > 1 && text[start] == b'0';
        (at == text.len()).then_some(Self { is_negative, has_plus, is_padded, mantissa, significant, digits, exponent })
    }

    #[inline]
    fn double(&self, text: &[u8]) -> Option<f64> {
        if self.significant == 0 {
            return Some(if self.is_negative { -0.0 } else { 0.0 });
        }
        if self.digits <= DOUBLE_DIGITS && (-22..=22).contains(&self.exponent) {
            // Both are exact doubles, so one rounding: the nearest double (Clinger 1990).
            let power = TENS[self.exponent.unsigned_abs() as usize];
            let value = if self.exponent < 0 { self.mantissa as f64 / power } else { self.mantissa as f64 * power };
            return Some(if self.is_negative { -value } else { value });
        }
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        if !value.is_finite() || value == 0.0 {
            return None;
        }
        if self.significant <= DOUBLE_DIGITS && value.is_normal() {
            return Some(value);
        }
        let mut buffer = [0; 40];
        let is_exact = self.equals(shown(&mut buffer, format_args!("{value:e}")), text)
            || (self.significant <= 17 && {
                let places = self.significant - 1;
                self.equals(shown(&mut buffer, format_args!("{value:.places$e}")), text)
            });
        is_exact.then_some(value)
    }

    /// Whether another text of a number has the same digits at the same powers of ten.
    fn equals(&self, other_text: &[u8], text: &[u8]) -> bool {
        let Some(other) = Self::read(other_text) else { return false };
        let last = |number: &Self| number.exponent + (number.digits - number.significant) as i64;
        (self.significant == 0 && other.significant == 0)
            || (self.is_negative == other.is_negative
                && self.significant == other.significant
                && last(self) == last(&other)
                && significant_digits(text).take(self.significant).eq(significant_digits(other_text).take(self.significant)))
    }
}

fn significant_digits(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().copied().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0')
}

fn shown<'a>(buffer: &'a mut [u8; 40], arguments: std::fmt::Arguments<'_>) -> &'a [u8] {
    use std::io::Write as _;
    let mut rest = &mut buffer[..];
    let length = if rest.write_fmt(arguments).is_ok() { 40 - rest.len() } else { 0 };
    &buffer[..length]
}

/// Reads the digits of an exponent to the end of the number; returns it and its length.
fn read_exponent(text: &[u8]) -> Option<(i64, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative || text.first() == Some(&b'+'));
    let length = text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 6 {
        return None;
    }
    let value = text[start..start + length].iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
    Some((if is_negative { -value } else { value }, start + length))
}

/// Reads a decimal as a whole number of units of the last place; `None` where it has more digits than `precision` and `scale` hold.
pub fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i256> {
    let number = Number::read(text)?;
    if number.significant == 0 {
        return Some(i256::ZERO);
    }
    // The power of ten of the last digit that isn't zero, in units of the last place.
    let shift = number.exponent + (number.digits - number.significant) as i64 + i64::from(scale);
    if shift < 0 || shift + number.significant as i64 > i64::from(precision) {
        return None;
    }
    let zeros = std::iter::repeat_n(b'0', usize::try_from(shift).ok()?);
    let mut value = i256::ZERO;
    if number.significant as i64 + shift <= 38 {
        let units = significant_digits(text)
            .take(number.significant)
            .chain(zeros)
            .fold(0_i128, |units, digit| units * 10 + i128::from(digit - b'0'));
        value = i256::from_i128(units);
    } else {
        let ten = i256::from_i128(10);
        for digit in significant_digits(text).take(number.significant).chain(zeros) {
            value = value.checked_mul(ten)?.checked_add(i256::from_i128(i128::from(digit - b'0')))?;
        }
    }
    Some(if number.is_negative { value.wrapping_neg() } else { value })
}

/// Reads `YYYY-MM-DD`, years 0001 to 9999, as days since 1970-01-01.
#[inline]
pub fn date(text: &[u8]) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (year, month, day) = (pair(y1, y2)? * 100 + pair(y3, y4)?, pair(m1, m2)?, pair(d1, d2)?);
    let is_valid = year >= 1 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year as i32, month);
    is_valid.then(|| days_from_civil(year as i32, month, day))
}

/// Reads `HH:MM:SS` with up to nine decimals: seconds, nanoseconds, decimals.
pub fn time(text: &[u8]) -> Option<(i64, u32, usize)> {
    let (seconds, nanos, decimals, rest) = clock(text)?;
    (rest.is_empty() && text.len() >= 8).then_some((seconds, nanos, decimals))
}

/// Reads a date, `T` or a space, `HH:MM`, `HH:MM:SS` or that with up to nine decimals, and an offset: `Z`, `+HH`, `+HHMM`, `+HH:MM` or ` UTC`.
///
/// The moment lies in the years 0001 to 9999, in UTC where there is an offset.
#[inline]
pub fn timestamp(text: &[u8]) -> Option<Moment> {
    if text.len() < 16 || !matches!(text[10], b'T' | b' ') {
        return None;
    }
    let days = date(&text[..10])?;
    let (seconds, nanos, decimals, rest) = clock(&text[11..])?;
    let offset = if rest.is_empty() { None } else { Some(offset(rest)?) };
    let moment =
        Moment { seconds: i64::from(days) * DAY_SECONDS + seconds - offset.unwrap_or(0), nanos, decimals, is_utc: offset.is_some() };
    // 0001-01-01T00:00:00 to 9999-12-31T23:59:59
    (-62_135_596_800..=253_402_300_799).contains(&moment.seconds).then_some(moment)
}

/// Reads a timestamp, or a date as its midnight, for a column of timestamps without zone.
pub fn timestamp_or_date(text: &[u8]) -> Option<Moment> {
    match date(text) {
        Some(days) => Some(Moment { seconds: i64::from(days) * DAY_SECONDS, nanos: 0, decimals: 0, is_utc: false }),
        None => timestamp(text),
    }
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Reads a time of day; returns seconds, nanoseconds, decimals, and what follows.
#[inline]
fn clock(text: &[u8]) -> Option<(i64, u32, usize, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (pair(*s1, *s2)?, rest),
        [b':', ..] => return None,
        rest => return (hour < 24 && minute < 60).then_some((i64::from(hour * 3600 + minute * 60), 0, 0, rest)),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    let [b'.', digits @ ..] = rest else { return Some((seconds, 0, 0, rest)) };
    let decimals = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if decimals == 0 || decimals > 9 {
        return None;
    }
    let fraction = digits[..decimals].iter().fold(0_u32, |value, byte| value * 10 + u32::from(byte - b'0'));
    Some((seconds, fraction * 10_u32.pow(9 - decimals as u32), decimals, &digits[decimals..]))
}

/// Reads an offset as seconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        b"Z" | b" UTC" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match *digits {
        [h1, h2] => (pair(h1, h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Reads `\x` and hex digits.
pub fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some((hex_digit(pair[0])? << 4) | hex_digit(pair[1])?)).collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Reads a UUID: 32 hex digits, with hyphens, braces or `urn:uuid:` or without.
pub fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    uuid::Uuid::try_parse_ascii(text).ok().map(uuid::Uuid::into_bytes)
}

/// Whether a text is one JSON value (nesting at most 128 deep).
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}
