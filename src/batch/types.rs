//! The types that a column may have on its way, how each is an Arrow type, and which type two of them widen to.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// What a value of a column is. Destinations map it by the table in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ColumnType {
    /// true or false
    Boolean,
    /// 16 bits, signed
    Int16,
    /// 32 bits, signed
    Int32,
    /// 64 bits, signed
    Int64,
    /// 64 bits, unsigned
    UInt64,
    /// IEEE 754, 32 bits
    Float32,
    /// IEEE 754, 64 bits
    Float64,
    /// Exact decimals of up to 38 digits (`Decimal128`), or up to 76 (`Decimal256`).
    Decimal {
        /// Digits in all, 1 to 76.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: i8,
    },
    /// Unicode text
    Text,
    /// Bytes
    Binary,
    /// Days since 1970-01-01, proleptic Gregorian
    Date,
    /// Microseconds since midnight
    Time,
    /// Nanoseconds since midnight
    TimeNanos,
    /// Microseconds since 1970-01-01T00:00:00 of a wall clock without a zone
    Timestamp,
    /// Nanoseconds of a wall clock without a zone
    TimestampNanos,
    /// Microseconds since the Unix epoch, an instant
    TimestampUtc,
    /// Nanoseconds since the Unix epoch, an instant
    TimestampNanosUtc,
    /// Text that is JSON (extension `arrow.json`)
    Json,
    /// 16 bytes (extension `arrow.uuid`)
    Uuid,
}

/// The key under which Arrow keeps the name of an extension type (Arrow columnar format, "Extension Types").
const EXTENSION: &str = "ARROW:extension:name";

impl ColumnType {
    /// Returns the type's Arrow data type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } if precision <= 38 => DataType::Decimal128(precision, scale),
            Self::Decimal { precision, scale } => DataType::Decimal256(precision, scale),
            Self::Text | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::TimeNanos => DataType::Time64(TimeUnit::Nanosecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::TimestampNanosUtc => DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC"))),
            Self::Uuid => DataType::FixedSizeBinary(16),
        }
    }

    /// Returns the type that holds every value of both, exactly; text holds every value of every type but `Binary`.
    ///
    /// `None` where there is none: binary beside anything else.
    pub fn widened(self, other: Self) -> Option<Self> {
        use ColumnType::*;
        if self == other {
            return Some(self);
        }
        let (narrow, wide) = if self.rank() <= other.rank() { (self, other) } else { (other, self) };
        Some(match (narrow, wide) {
            (Binary, _) | (_, Binary) => return None,
            (Int16 | Int32, Int32 | Int64) => wide,
            (Int16, Float32) => Float32,
            (Int16 | Int32 | Float32, Float64) => Float64,
            (Int16 | Int32 | Int64 | UInt64, Decimal { precision, scale }) => with_integer_digits(narrow, precision, scale)?,
            (Int16 | Int32 | Int64, UInt64) => Decimal { precision: 20, scale: 0 },
            (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
                let scale = s.max(t);
                let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
                match u8::try_from(whole + i16::from(scale)) {
                    Ok(precision) if precision <= 76 => Decimal { precision, scale },
                    _ => Text,
                }
            }
            (Date, Timestamp) => Timestamp,
            (Date | Timestamp, TimestampNanos) => TimestampNanos,
            (TimestampUtc, TimestampNanosUtc) => TimestampNanosUtc,
            (Time, TimeNanos) => TimeNanos,
            _ => Text,
        })
    }

    /// Whether every value of `other` is a value of this type, so that a table's column may stay as it is.
    pub fn holds(self, other: Self) -> bool {
        self.widened(other) == Some(self)
    }

    fn rank(self) -> u8 {
        use ColumnType::*;
        match self {
            Boolean => 0,
            Int16 => 1,
            Int32 => 2,
            Int64 => 3,
            UInt64 => 4,
            Float32 => 5,
            Float64 => 6,
            Decimal { .. } => 7,
            Date => 8,
            Time => 9,
            TimeNanos => 10,
            Timestamp => 11,
            TimestampNanos => 12,
            TimestampUtc => 13,
            TimestampNanosUtc => 14,
            Uuid => 15,
            Json => 16,
            Text => 17,
            Binary => 18,
        }
    }

    /// Reads a type as a job file writes it: `integer`, `decimal(18,4)`, `timestamp_utc` and the SQL names people expect.
    ///
    /// # Errors
    /// A text that says which names there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        if let Some(arguments) = lower.strip_prefix("decimal").or_else(|| lower.strip_prefix("numeric")) {
            return parse_decimal(arguments.trim()).ok_or_else(|| {
                format!("{text:?} is not a decimal type; write decimal(precision,scale), precision 1 to 76, scale 0 to precision")
            });
        }
        NAMES
            .iter()
            .find(|(name, _)| *name == lower)
            .map(|(_, column_type)| *column_type)
            .ok_or_else(|| format!("{text:?} is not a column type; the types are {}", Self::names().join(", ")))
    }

    /// Returns the canonical names that [`ColumnType::parse`] knows, for help and schemas.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        let mut seen = Vec::new();
        for (name, column_type) in NAMES {
            if !seen.contains(column_type) {
                seen.push(*column_type);
                names.push(name);
            }
        }
        names.push("decimal(p,s)");
        names
    }
}

/// Every name of every type without arguments; a type's first name is the one printed.
const NAMES: &[(&str, ColumnType)] = &[
    ("boolean", ColumnType::Boolean),
    ("bool", ColumnType::Boolean),
    ("smallint", ColumnType::Int16),
    ("int16", ColumnType::Int16),
    ("integer", ColumnType::Int32),
    ("int", ColumnType::Int32),
    ("int32", ColumnType::Int32),
    ("bigint", ColumnType::Int64),
    ("int64", ColumnType::Int64),
    ("unsigned", ColumnType::UInt64),
    ("uint64", ColumnType::UInt64),
    ("real", ColumnType::Float32),
    ("float32", ColumnType::Float32),
    ("double", ColumnType::Float64),
    ("float", ColumnType::Float64),
    ("float64", ColumnType::Float64),
    ("text", ColumnType::Text),
    ("string", ColumnType::Text),
    ("varchar", ColumnType::Text),
    ("binary", ColumnType::Binary),
    ("date", ColumnType::Date),
    ("time", ColumnType::Time),
    ("time_ns", ColumnType::TimeNanos),
    ("timestamp", ColumnType::Timestamp),
    ("datetime", ColumnType::Timestamp),
    ("timestamp_ns", ColumnType::TimestampNanos),
    ("timestamp_utc", ColumnType::TimestampUtc),
    ("timestamptz", ColumnType::TimestampUtc),
    ("timestamp_ns_utc", ColumnType::TimestampNanosUtc),
    ("json", ColumnType::Json),
    ("uuid", ColumnType::Uuid),
];

fn parse_decimal(arguments: &str) -> Option<ColumnType> {
    let (precision, scale) =
        arguments.strip_prefix('(')?.strip_suffix(')')?.split_once(',').unwrap_or((arguments.strip_prefix('(')?.strip_suffix(')')?, "0"));
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let is_valid = (1..=76).contains(&precision) && scale >= 0 && i16::from(scale) <= i16::from(precision);
    is_valid.then_some(ColumnType::Decimal { precision, scale })
}

fn with_integer_digits(integer: ColumnType, precision: u8, scale: i8) -> Option<ColumnType> {
    let digits = match integer {
        ColumnType::Int16 => 5,
        ColumnType::Int32 => 10,
        ColumnType::Int64 => 19,
        _ => 20,
    };
    let precision = i16::from(precision).max(digits + i16::from(scale));
    match u8::try_from(precision) {
        Ok(precision) if precision <= 76 => Some(ColumnType::Decimal { precision, scale }),
        _ => Some(ColumnType::Text),
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Decimal { precision, scale } = self {
            return write!(formatter, "decimal({precision},{scale})");
        }
        let name = NAMES.iter().find(|(_, column_type)| column_type == self).map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// A column: its name and the type of its values. Every column may hold NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, as the source gives it after `rename`.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

impl Column {
    /// Makes a column.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type }
    }
}

/// The columns of a stream or a table, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    /// The columns, in order; names are unique.
    pub columns: Vec<Column>,
}

impl Schema {
    /// Makes a schema of columns.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns }
    }

    /// Returns the place of a column by its exact name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the Arrow schema: every field nullable, JSON and UUID marked as extension types.
    pub fn arrow(&self) -> Arc<arrow_schema::Schema> {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| {
                let field = Field::new(&column.name, column.column_type.data_type(), true);
                match column.column_type {
                    ColumnType::Json => field.with_metadata(HashMap::from([(EXTENSION.to_owned(), "arrow.json".to_owned())])),
                    ColumnType::Uuid => field.with_metadata(HashMap::from([(EXTENSION.to_owned(), "arrow.uuid".to_owned())])),
                    _ => field,
                }
            })
            .collect();
        Arc::new(arrow_schema::Schema::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_printed() {
        for (_, column_type) in NAMES {
            assert_eq!(ColumnType::parse(&column_type.to_string()), Ok(*column_type));
        }
        let decimal = ColumnType::Decimal { precision: 18, scale: 4 };
        assert_eq!(ColumnType::parse(" Decimal(18, 4)"), Ok(decimal));
        assert!(ColumnType::parse("decimal(4,18)").is_err());
        assert!(ColumnType::parse("decimal").is_err());
        assert!(ColumnType::parse("integr").is_err());
    }

    #[test]
    fn widening_never_loses_a_value() {
        use ColumnType::*;
        let check = |left: ColumnType, right: ColumnType, wide: Option<ColumnType>| {
            assert_eq!(left.widened(right), wide, "{left} and {right}");
            assert_eq!(right.widened(left), wide, "{right} and {left}");
        };
        check(Int16, Int64, Some(Int64));
        check(Int64, Float64, Some(Text));
        check(Int32, Float64, Some(Float64));
        check(Int64, UInt64, Some(Decimal { precision: 20, scale: 0 }));
        check(Int64, Decimal { precision: 5, scale: 2 }, Some(Decimal { precision: 21, scale: 2 }));
        check(Date, Timestamp, Some(Timestamp));
        check(Timestamp, TimestampUtc, Some(Text));
        check(Boolean, Int32, Some(Text));
        check(Binary, Text, None);
        assert!(Int64.holds(Int32) && !Int32.holds(Int64) && Text.holds(Json));
    }
}
