//! Finds the narrowest type that holds every text of a column, exactly. Pure.

use super::ColumnType;
use super::parse;

/// Returns the narrowest type that a text is a value of: a boolean, a whole or other number, a date, a time, a timestamp, else text.
#[inline]
pub fn classify(text: &[u8]) -> ColumnType {
    use ColumnType::{Boolean, Date, Float64, Int64, Text};
    let (Some(first), Some(last)) = (text.first(), text.last()) else { return Text };
    match first {
        b'0'..=b'9' | b'-' | b'.' => {
            if parse::integer(text).is_some() {
                Int64
            } else if last.is_ascii_digit() && parse::double(text).is_some() {
                Float64
            } else if parse::date(text).is_some() {
                Date
            } else {
                classify_time(text)
            }
        }
        b't' | b'T' | b'f' | b'F' if parse::boolean(text).is_some() => Boolean,
        _ => Text,
    }
}

fn classify_time(text: &[u8]) -> ColumnType {
    use ColumnType::{Text, Time, TimeNanos, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    if let Some((_, _, decimals)) = parse::time(text) {
        return if decimals > 6 { TimeNanos } else { Time };
    }
    match parse::timestamp(text) {
        Some(moment) if moment.decimals <= 6 => {
            if moment.is_utc {
                TimestampUtc
            } else {
                Timestamp
            }
        }
        Some(moment) if moment.nanos().is_some() => {
            if moment.is_utc {
                TimestampNanosUtc
            } else {
                TimestampNanos
            }
        }
        _ => Text,
    }
}

/// What is known of a column's type after some of its texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inference {
    column_type: Option<ColumnType>,
    /// A whole number that a double doesn't hold was among them.
    is_beyond_double: bool,
    /// A moment that nanoseconds in 64 bits don't reach was among them.
    is_beyond_nanos: bool,
}

impl Inference {
    /// Takes one more text that isn't NULL.
    #[inline]
    pub fn observe(&mut self, text: &[u8]) {
        if self.column_type == Some(ColumnType::Text) {
            return;
        }
        self.observe_as(classify(text), text);
    }

    /// Takes one more text that is known to be text: a number or a boolean in it stays text, a date or a time is one.
    #[inline]
    pub fn observe_string(&mut self, text: &[u8]) {
        if self.column_type == Some(ColumnType::Text) {
            return;
        }
        let class = match text.first() {
            Some(b'0'..=b'9') if text.len() >= 8 && matches!(text[2], b':') || text.get(4) == Some(&b'-') => match parse::date(text) {
                Some(_) => ColumnType::Date,
                None => classify_time(text),
            },
            _ => ColumnType::Text,
        };
        self.observe_as(class, text);
    }

    /// Takes one more JSON value that is no scalar.
    pub fn observe_json(&mut self) {
        if self.column_type != Some(ColumnType::Text) {
            self.observe_as(ColumnType::Json, b"");
        }
    }

    /// Returns the type of what was seen; `None` where nothing was.
    pub fn seen(&self) -> Option<ColumnType> {
        self.column_type
    }

    fn observe_as(&mut self, class: ColumnType, text: &[u8]) {
        self.note_bounds(class, text);
        let merged = self.merged(class);
        self.column_type = Some(merged);
    }

    /// Returns the type; text where every value is NULL.
    pub fn column_type(&self) -> ColumnType {
        self.column_type.unwrap_or(ColumnType::Text)
    }

    /// Returns the type; where every value is NULL, the one that was expected, made as wide as inference would have it.
    pub fn column_type_or(&self, expected: Option<ColumnType>) -> ColumnType {
        use ColumnType::*;
        let inferable = |expected: ColumnType| match expected {
            Int16 | Int32 => Some(Int64),
            Float32 => Some(Float64),
            Boolean | Int64 | Float64 | Date | Time | TimeNanos | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc => {
                Some(expected)
            }
            // Types that only a declaration gives read texts by other rules than inference does.
            UInt64 | Decimal { .. } | Text | Binary | Json | Uuid => None,
        };
        self.column_type.or_else(|| expected.and_then(inferable)).unwrap_or(Text)
    }

    fn note_bounds(&mut self, class: ColumnType, text: &[u8]) {
        use ColumnType::{Date, Int64, Timestamp, TimestampUtc};
        match class {
            Int64 if text.len() > 15 => self.is_beyond_double |= parse::double(text).is_none(),
            Date | Timestamp | TimestampUtc => {
                self.is_beyond_nanos |= parse::timestamp_or_date(text).and_then(parse::Moment::nanos).is_none();
            }
            _ => {}
        }
    }

    fn merged(&self, class: ColumnType) -> ColumnType {
        use ColumnType::{Float64, Int64, Text, TimestampNanos, TimestampNanosUtc};
        let merged = match (self.column_type, class) {
            (None, class) => class,
            // Each whole number so far was looked at, which the types alone don't tell.
            (Some(Int64), Float64) | (Some(Float64), Int64) => Float64,
            (Some(before), class) => before.widened(class).unwrap_or(Text),
        };
        match merged {
            Float64 if self.is_beyond_double => Text,
            TimestampNanos | TimestampNanosUtc if self.is_beyond_nanos => Text,
            merged => merged,
        }
    }
}
