//! What each PostgreSQL type is here, and how its values come over the wire. Pure.
//!
//! A type whose binary form is decoded exactly has its own column type; every other one is asked for as the text that its output
//! function writes, which is exact by definition.

use crate::batch::ColumnType;

/// How the values of a column come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    /// Unsigned, 32 bits.
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Text, as it is.
    Text,
    /// Bytes.
    Bytea,
    /// Text behind a byte of version.
    Jsonb,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
}

/// How the server is asked for a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// As they are.
    Plain,
    /// As text.
    Cast,
    /// As their output function writes them, where the cast to text is another one.
    Output,
    /// As numeric.
    Numeric,
}

/// A type of a query's column: its OID (domains are resolved by the server) and its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerType {
    pub oid: u32,
    pub modifier: i32,
}

/// What becomes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    pub column_type: ColumnType,
    pub wire: Wire,
    pub asked: Asked,
}

impl ServerType {
    /// Returns what becomes of a column of this type where nothing is declared.
    pub fn mapping(self) -> Mapping {
        let plain = |column_type, wire| Mapping { column_type, wire, asked: Asked::Plain };
        let text = |asked| Mapping { column_type: ColumnType::Text, wire: Wire::Text, asked };
        // pg_type.dat; these numbers are fixed for all versions.
        match self.oid {
            16 => plain(ColumnType::Boolean, Wire::Bool),
            17 => plain(ColumnType::Binary, Wire::Bytea),
            20 => plain(ColumnType::Int64, Wire::Int8),
            21 => plain(ColumnType::Int16, Wire::Int2),
            23 => plain(ColumnType::Int32, Wire::Int4),
            26 => plain(ColumnType::Int64, Wire::Oid),
            19 | 25 | 1042 | 1043 => plain(ColumnType::Text, Wire::Text),
            114 => plain(ColumnType::Json, Wire::Text),
            700 => plain(ColumnType::Float32, Wire::Float4),
            701 => plain(ColumnType::Float64, Wire::Float8),
            // The text of money depends on the server's locale; as a number it doesn't. 64 bits of cents have 19 digits.
            790 => Mapping { column_type: ColumnType::Decimal { precision: 19, scale: 2 }, wire: Wire::Numeric, asked: Asked::Numeric },
            1082 => plain(ColumnType::Date, Wire::Date),
            1083 => plain(ColumnType::Time, Wire::Time),
            1114 => plain(ColumnType::Timestamp, Wire::Timestamp),
            1184 => plain(ColumnType::TimestampUtc, Wire::TimestampTz),
            1700 => plain(self.decimal(), Wire::Numeric),
            2950 => plain(ColumnType::Uuid, Wire::Uuid),
            3802 => plain(ColumnType::Json, Wire::Jsonb),
            // The cast of inet to text always writes the mask, its output function only where it says something.
            869 => text(Asked::Output),
            _ => text(Asked::Cast),
        }
    }

    /// Returns what becomes of a column that is declared to be of another type: its text is read as that.
    pub fn declared(self, column_type: ColumnType) -> Mapping {
        let own = self.mapping();
        if own.column_type == column_type {
            return own;
        }
        let asked = if own.asked == Asked::Plain { Asked::Cast } else { own.asked };
        let wire = if asked == Asked::Numeric { Wire::Numeric } else { Wire::Text };
        Mapping { column_type, wire, asked }
    }

    /// Returns the decimal of a numeric's modifier; text where there is none, or more digits than a decimal here has.
    fn decimal(self) -> ColumnType {
        // ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ; the scale is signed since PostgreSQL 15 (numeric.c).
        let Some(modifier) = self.modifier.checked_sub(4).filter(|modifier| *modifier >= 0) else { return ColumnType::Text };
        let precision = modifier >> 16;
        let scale = ((modifier & 0x7ff) ^ 1024) - 1024;
        let (precision, scale) = if scale < 0 { (precision - scale, 0) } else { (precision.max(scale), scale) };
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(precision @ 1..=76), Ok(scale)) => ColumnType::Decimal { precision, scale },
            _ => ColumnType::Text,
        }
    }
}

/// Returns the PostgreSQL type as which values of a cursor column are compared.
pub(super) fn comparable(column_type: ColumnType) -> Option<&'static str> {
    use ColumnType::*;
    Some(match column_type {
        Int16 | Int32 | Int64 | UInt64 | Decimal { .. } => "numeric",
        Date => "date",
        Timestamp | TimestampNanos => "timestamp",
        TimestampUtc | TimestampNanosUtc => "timestamptz",
        _ => return None,
    })
}

/// Returns the name of a cursor column's own type, so that an index on the column serves the comparison.
pub(super) fn own_name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        20 => "int8",
        21 => "int2",
        23 => "int4",
        26 => "oid",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => "numeric",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_the_decimal_of_its_modifier() {
        let check = |precision: i32, scale: i32, expected| {
            let modifier = ((precision << 16) | (scale & 0x7ff)) + 4;
            assert_eq!(ServerType { oid: 1700, modifier }.mapping().column_type, expected, "numeric({precision},{scale})");
        };
        check(12, 2, ColumnType::Decimal { precision: 12, scale: 2 });
        check(38, 0, ColumnType::Decimal { precision: 38, scale: 0 });
        check(76, 76, ColumnType::Decimal { precision: 76, scale: 76 });
        check(3, -2, ColumnType::Decimal { precision: 5, scale: 0 });
        check(2, 4, ColumnType::Decimal { precision: 4, scale: 4 });
        check(77, 0, ColumnType::Text);
        check(1000, 1000, ColumnType::Text);
        assert_eq!(ServerType { oid: 1700, modifier: -1 }.mapping().column_type, ColumnType::Text);
    }

    #[test]
    fn what_has_no_type_here_is_asked_for_as_text() {
        let asked = |oid| ServerType { oid, modifier: -1 }.mapping();
        // int4[], tsrange, interval, xml, an enum
        for oid in [1007, 3908, 1186, 142, 16_999] {
            assert_eq!(asked(oid), Mapping { column_type: ColumnType::Text, wire: Wire::Text, asked: Asked::Cast });
        }
        assert_eq!(asked(869).asked, Asked::Output);
        let declared = ServerType { oid: 23, modifier: -1 }.declared(ColumnType::Text);
        assert_eq!(declared, Mapping { column_type: ColumnType::Text, wire: Wire::Text, asked: Asked::Cast });
    }
}
