//! What becomes of a column: its type here, how its values come over the wire, and what stands for it in the select list. Pure.

use crate::batch::ColumnType;
use crate::connect::odbc::ColumnFacts;

/// How the values of a column come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// A whole number of up to 64 bits (SQL_C_SBIGINT).
    Integer,
    /// 0 or 1 (SQL_C_BIT).
    Bit,
    /// SQL_C_FLOAT
    Single,
    /// SQL_C_DOUBLE
    Double,
    /// Text of ASCII characters that the driver or the server writes (SQL_C_CHAR): numbers, times, and what is cast to such text.
    Ascii,
    /// Text (SQL_C_WCHAR, or SQL_C_CHAR in UTF-8 where the driver keeps to that).
    Text,
    /// Bytes (SQL_C_BINARY).
    Binary,
    /// SQL_C_TYPE_DATE
    Date,
    /// SQL_C_TYPE_TIMESTAMP: a wall clock's moment, or an instant where the column is one.
    Timestamp,
    /// As [`Wire::Timestamp`], of a column that is an instant, whatever it is declared as.
    Instant,
    /// SQL_C_GUID
    Guid,
}

/// What becomes of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping {
    pub column_type: ColumnType,
    pub wire: Wire,
    /// The most characters of a text or bytes of a binary; `None` where there is no limit, or a high one: such values are streamed.
    pub length: Option<usize>,
    /// What stands for the column in the select list, made of its quoted name; `None`: the column itself.
    pub cast: Option<fn(&str) -> String>,
    /// Whether the text that is loaded stands for something else, which the log says once.
    pub is_as_text: bool,
}

impl Mapping {
    /// Makes what values of fixed width become.
    pub const fn fixed(column_type: ColumnType, wire: Wire) -> Self {
        Self { column_type, wire, length: Some(0), cast: None, is_as_text: false }
    }

    /// Makes what texts and bytes become.
    pub const fn sized(column_type: ColumnType, wire: Wire, length: Option<usize>) -> Self {
        Self { column_type, wire, length, cast: None, is_as_text: false }
    }

    /// Adds what stands for the column in the select list.
    #[must_use]
    pub const fn cast(self, cast: fn(&str) -> String) -> Self {
        Self { cast: Some(cast), ..self }
    }

    /// Marks what is loaded as text and is something else.
    #[must_use]
    pub const fn as_text(self) -> Self {
        Self { is_as_text: true, ..self }
    }
}

/// SQL types by their numbers ("SQL Data Types", Microsoft's ODBC reference), those of drivers among them.
pub(super) mod code {
    pub const CHAR: i16 = 1;
    pub const NUMERIC: i16 = 2;
    pub const DECIMAL: i16 = 3;
    pub const INTEGER: i16 = 4;
    pub const SMALLINT: i16 = 5;
    pub const FLOAT: i16 = 6;
    pub const REAL: i16 = 7;
    pub const DOUBLE: i16 = 8;
    pub const VARCHAR: i16 = 12;
    pub const DATE: i16 = 91;
    pub const TIME: i16 = 92;
    pub const TIMESTAMP: i16 = 93;
    pub const LONGVARCHAR: i16 = -1;
    pub const BINARY: i16 = -2;
    pub const VARBINARY: i16 = -3;
    pub const LONGVARBINARY: i16 = -4;
    pub const BIGINT: i16 = -5;
    pub const TINYINT: i16 = -6;
    pub const BIT: i16 = -7;
    pub const WCHAR: i16 = -8;
    pub const WVARCHAR: i16 = -9;
    pub const WLONGVARCHAR: i16 = -10;
    pub const GUID: i16 = -11;
    /// The date, time and moment of ODBC 2.
    pub const DATE_2: i16 = 9;
    pub const TIME_2: i16 = 10;
    pub const TIMESTAMP_2: i16 = 11;
}

/// The most characters of a text, or bytes of a binary, that has a place in a row set; longer ones are streamed.
pub(super) const BOUND_LENGTH_MAX: usize = 8000;

/// The longest text of a number, a time or a moment that drivers write.
const ASCII_LENGTH: usize = 64;

/// Returns the length of a column as it has a place in a row set; `None` where it is not known, or too long for one.
pub(super) fn bound_length(size: usize) -> Option<usize> {
    (1..=BOUND_LENGTH_MAX).contains(&size).then_some(size)
}

/// Returns a decimal of so many digits; text where that can't be one.
pub(super) fn decimal(precision: usize, scale: i16) -> Mapping {
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=76), Ok(scale)) if scale >= 0 && i16::from(scale) <= i16::from(precision) => {
            // A sign, a point and a zero before it.
            Mapping::sized(ColumnType::Decimal { precision, scale }, Wire::Ascii, Some(usize::from(precision) + 3))
        }
        _ => Mapping::sized(ColumnType::Text, Wire::Ascii, Some(256)).as_text(),
    }
}

/// Returns what becomes of a column by what ODBC alone says of it, where nothing is known of the engine.
pub(super) fn standard(facts: &ColumnFacts) -> Mapping {
    use ColumnType::{Binary, Boolean, Date, Float32, Float64, Int16, Int32, Int64, Text, Time, Timestamp, TimestampNanos, UInt64, Uuid};
    let length = bound_length(facts.size);
    match facts.sql_type {
        code::BIT => Mapping::fixed(Boolean, Wire::Bit),
        code::TINYINT => Mapping::fixed(Int16, Wire::Integer),
        code::SMALLINT => Mapping::fixed(if facts.is_unsigned { Int32 } else { Int16 }, Wire::Integer),
        code::INTEGER => Mapping::fixed(if facts.is_unsigned { Int64 } else { Int32 }, Wire::Integer),
        code::BIGINT if facts.is_unsigned => Mapping::sized(UInt64, Wire::Ascii, Some(20)),
        code::BIGINT => Mapping::fixed(Int64, Wire::Integer),
        code::REAL => Mapping::fixed(Float32, Wire::Single),
        code::FLOAT | code::DOUBLE => Mapping::fixed(Float64, Wire::Double),
        code::NUMERIC | code::DECIMAL => decimal(facts.size, facts.digits),
        code::DATE | code::DATE_2 => Mapping::fixed(Date, Wire::Date),
        // SQL_C_TYPE_TIME has no fraction.
        code::TIME | code::TIME_2 => Mapping::sized(Time, Wire::Ascii, Some(ASCII_LENGTH)),
        code::TIMESTAMP | code::TIMESTAMP_2 if facts.digits > 6 => Mapping::fixed(TimestampNanos, Wire::Timestamp),
        code::TIMESTAMP | code::TIMESTAMP_2 => Mapping::fixed(Timestamp, Wire::Timestamp),
        code::GUID => Mapping::fixed(Uuid, Wire::Guid),
        code::BINARY | code::VARBINARY | code::LONGVARBINARY => Mapping::sized(Binary, Wire::Binary, length),
        code::CHAR | code::VARCHAR | code::LONGVARCHAR | code::WCHAR | code::WVARCHAR | code::WLONGVARCHAR => {
            Mapping::sized(Text, Wire::Text, length)
        }
        _ => Mapping::sized(Text, Wire::Text, length).as_text(),
    }
}
