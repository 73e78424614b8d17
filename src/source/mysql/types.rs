//! What each MySQL type is here, and how its values come over the wire (MySQL 8.0, "Binary Protocol Resultset Row"). Pure.
//!
//! A type is decided once a column, by what the server says of the prepared statement and, where that is not enough (UUID, INET and JSON
//! of MariaDB), by its catalogue. TINYINT(1) is a number from -128 to 127, as BOOLEAN is only another word for it; TIME is a span from
//! -838:59:59 to 838:59:59 and no time of day: it comes as the text that the server writes.

use mysql::consts::{ColumnFlags, ColumnType as Code};

use crate::batch::ColumnType;

/// How the values of a column come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// A whole number of up to 64 bits, signed or not.
    Integer,
    /// Big-endian bytes that are a number.
    Bit,
    Float,
    Double,
    /// The digits of a decimal.
    Decimal,
    /// Text, which the server has converted to UTF-8.
    Text,
    /// Text that is JSON, as the server has checked.
    Json,
    Uuid,
    Binary,
    Date,
    /// A wall clock without a zone.
    Datetime,
    /// An instant, in UTC as the session is.
    Timestamp,
    /// A span of time, with so many decimals.
    Time {
        decimals: u8,
    },
    /// An SRID and WKB.
    Geometry,
    /// Nothing but NULL.
    Null,
}

/// What the catalogue adds to what a statement says of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Special {
    #[default]
    None,
    /// MariaDB's UUID comes as text.
    Uuid,
    /// MariaDB's JSON is text that a constraint checks.
    Json,
}

/// A type of a statement's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerType {
    pub code: Code,
    pub is_unsigned: bool,
    /// In bytes, or in digits.
    pub length: u32,
    pub decimals: u8,
    pub is_binary: bool,
    pub special: Special,
}

/// What becomes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    pub column_type: ColumnType,
    pub wire: Wire,
}

/// The character set "binary" (MySQL 8.0, information_schema.collations).
const BINARY_SET: u16 = 63;

impl ServerType {
    /// Takes what a statement says of a column.
    pub fn of(column: &mysql::Column, special: Special) -> Self {
        Self {
            code: column.column_type(),
            is_unsigned: column.flags().contains(ColumnFlags::UNSIGNED_FLAG),
            length: column.column_length(),
            decimals: column.decimals(),
            is_binary: column.character_set() == BINARY_SET,
            special,
        }
    }

    /// Returns what becomes of a column of this type where nothing is declared.
    pub fn mapping(self) -> Mapping {
        let of = |column_type, wire| Mapping { column_type, wire };
        let integer = |signed, unsigned| of(if self.is_unsigned { unsigned } else { signed }, Wire::Integer);
        match self.code {
            Code::MYSQL_TYPE_TINY => integer(ColumnType::Int16, ColumnType::Int16),
            Code::MYSQL_TYPE_YEAR => of(ColumnType::Int16, Wire::Integer),
            Code::MYSQL_TYPE_SHORT => integer(ColumnType::Int16, ColumnType::Int32),
            Code::MYSQL_TYPE_INT24 => integer(ColumnType::Int32, ColumnType::Int32),
            Code::MYSQL_TYPE_LONG => integer(ColumnType::Int32, ColumnType::Int64),
            Code::MYSQL_TYPE_LONGLONG => integer(ColumnType::Int64, ColumnType::UInt64),
            Code::MYSQL_TYPE_BIT => of(bits(self.length), Wire::Bit),
            Code::MYSQL_TYPE_FLOAT => of(ColumnType::Float32, Wire::Float),
            Code::MYSQL_TYPE_DOUBLE => of(ColumnType::Float64, Wire::Double),
            Code::MYSQL_TYPE_DECIMAL | Code::MYSQL_TYPE_NEWDECIMAL => of(self.decimal(), Wire::Decimal),
            Code::MYSQL_TYPE_DATE | Code::MYSQL_TYPE_NEWDATE => of(ColumnType::Date, Wire::Date),
            Code::MYSQL_TYPE_DATETIME | Code::MYSQL_TYPE_DATETIME2 => of(ColumnType::Timestamp, Wire::Datetime),
            Code::MYSQL_TYPE_TIMESTAMP | Code::MYSQL_TYPE_TIMESTAMP2 => of(ColumnType::TimestampUtc, Wire::Timestamp),
            Code::MYSQL_TYPE_TIME | Code::MYSQL_TYPE_TIME2 => {
                of(ColumnType::Text, Wire::Time { decimals: if self.decimals > 6 { 6 } else { self.decimals } })
            }
            Code::MYSQL_TYPE_JSON => of(ColumnType::Json, Wire::Json),
            Code::MYSQL_TYPE_GEOMETRY => of(ColumnType::Text, Wire::Geometry),
            Code::MYSQL_TYPE_NULL => of(ColumnType::Text, Wire::Null),
            _ if self.special == Special::Uuid => of(ColumnType::Uuid, Wire::Uuid),
            _ if self.special == Special::Json => of(ColumnType::Json, Wire::Json),
            Code::MYSQL_TYPE_VECTOR => of(ColumnType::Binary, Wire::Binary),
            _ if self.is_binary => of(ColumnType::Binary, Wire::Binary),
            _ => of(ColumnType::Text, Wire::Text),
        }
    }

    /// Returns what becomes of a column that is declared to be of another type.
    pub fn declared(self, column_type: ColumnType) -> Mapping {
        Mapping { column_type, wire: self.mapping().wire }
    }

    /// Whether values of this type, which a statement has that runs, can be decoded as those of the type that it was prepared with: a number
    /// among its parameters may have made it narrower.
    pub fn comes_as(self, prepared: &Self) -> bool {
        match (self.mapping().wire, prepared.mapping().wire) {
            (Wire::Time { decimals }, Wire::Time { decimals: known }) => decimals <= known,
            (own, known) => own == known,
        }
    }

    /// Returns the decimal of a length in characters, of which a sign and a point are part (`my_decimal.h`,
    /// `my_decimal_length_to_precision`).
    fn decimal(self) -> ColumnType {
        let scale = u32::from(self.decimals);
        let signs = u32::from(scale > 0) + u32::from(!self.is_unsigned);
        let precision = self.length.saturating_sub(signs).max(scale).max(1);
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision @ 1..=76), Ok(scale)) => ColumnType::Decimal { precision, scale },
            _ => ColumnType::Text,
        }
    }
}

/// Returns the narrowest type of a number of so many bits.
fn bits(length: u32) -> ColumnType {
    match length {
        0..=1 => ColumnType::Boolean,
        2..=15 => ColumnType::Int16,
        16..=31 => ColumnType::Int32,
        32..=63 => ColumnType::Int64,
        _ => ColumnType::UInt64,
    }
}

/// How the server compares a cursor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparable {
    Integer,
    Decimal { scale: i8 },
    Date,
    Datetime,
}

impl Comparable {
    /// Returns how values of a cursor column are compared.
    pub fn of(column_type: ColumnType) -> Option<Self> {
        use ColumnType::{Date, Decimal, Int16, Int32, Int64, Timestamp, TimestampUtc, UInt64};
        Some(match column_type {
            Int16 | Int32 | Int64 | UInt64 => Self::Integer,
            // A cursor has at most 38 digits.
            Decimal { precision: ..=38, scale } => Self::Decimal { scale },
            Date => Self::Date,
            Timestamp | TimestampUtc => Self::Datetime,
            _ => return None,
        })
    }

    /// Returns an expression as this type.
    pub fn cast(self, expression: &str) -> String {
        match self {
            Self::Integer => format!("CAST({expression} AS DECIMAL(65,0))"),
            Self::Decimal { scale } => format!("CAST({expression} AS DECIMAL(65,{scale}))"),
            Self::Date => format!("CAST({expression} AS DATE)"),
            Self::Datetime => format!("CAST({expression} AS DATETIME(6))"),
        }
    }

    /// Whether it is a date or a moment.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Datetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_type(code: Code, length: u32, decimals: u8) -> ServerType {
        ServerType { code, is_unsigned: false, length, decimals, is_binary: true, special: Special::None }
    }

    #[test]
    fn a_decimal_is_that_of_its_length() {
        let check = |length, decimals, is_unsigned, expected| {
            let server_type = ServerType { is_unsigned, ..server_type(Code::MYSQL_TYPE_NEWDECIMAL, length, decimals) };
            assert_eq!(server_type.mapping().column_type, expected, "{length}, {decimals}, {is_unsigned}");
        };
        check(7, 2, false, ColumnType::Decimal { precision: 5, scale: 2 });
        check(6, 2, true, ColumnType::Decimal { precision: 5, scale: 2 });
        check(6, 0, false, ColumnType::Decimal { precision: 5, scale: 0 });
        check(67, 30, false, ColumnType::Decimal { precision: 65, scale: 30 });
        check(4, 2, false, ColumnType::Decimal { precision: 2, scale: 2 });
        check(100, 2, false, ColumnType::Text);
    }

    #[test]
    fn an_unsigned_number_has_a_type_that_holds_it() {
        let mapped = |code| ServerType { is_unsigned: true, ..server_type(code, 1, 0) }.mapping().column_type;
        let codes =
            [Code::MYSQL_TYPE_TINY, Code::MYSQL_TYPE_SHORT, Code::MYSQL_TYPE_INT24, Code::MYSQL_TYPE_LONG, Code::MYSQL_TYPE_LONGLONG];
        let expected = [ColumnType::Int16, ColumnType::Int32, ColumnType::Int32, ColumnType::Int64, ColumnType::UInt64];
        assert_eq!(codes.map(mapped), expected);
        let bit = |length| server_type(Code::MYSQL_TYPE_BIT, length, 0).mapping().column_type;
        let expected = [ColumnType::Boolean, ColumnType::Int16, ColumnType::Int32, ColumnType::Int64, ColumnType::UInt64];
        assert_eq!([1, 15, 16, 63, 64].map(bit), expected);
    }

    #[test]
    fn text_is_told_from_bytes_by_its_character_set() {
        let bytes = server_type(Code::MYSQL_TYPE_BLOB, 0, 0);
        assert_eq!(bytes.mapping().column_type, ColumnType::Binary);
        let text = ServerType { is_binary: false, ..bytes };
        assert_eq!(text.mapping().column_type, ColumnType::Text);
        assert_eq!(ServerType { special: Special::Json, ..text }.mapping().column_type, ColumnType::Json);
    }
}
