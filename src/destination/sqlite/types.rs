//! How columns are declared in SQLite, and how names and values are written and compared.

use std::cmp::Ordering;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;

use crate::batch::ColumnType;

/// SQLite's column affinities (<https://www.sqlite.org/datatype3.html>, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Real,
    Text,
    Blob,
    Numeric,
}

impl Affinity {
    /// Returns the affinity of a column by its declared type, by SQLite's five rules in their order.
    pub(super) fn of_declaration(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || upper.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// Returns the declaration of a column type. Everything that isn't an integer, a float or bytes is TEXT: NUMERIC would bend '1.10'.
pub(super) fn declaration(column_type: ColumnType) -> &'static str {
    use ColumnType::*;
    match column_type {
        Boolean | Int16 | Int32 | Int64 => "INTEGER",
        Float32 | Float64 => "REAL",
        Binary => "BLOB",
        UInt64
        | Decimal { .. }
        | Text
        | Date
        | Time
        | TimeNanos
        | Timestamp
        | TimestampNanos
        | TimestampUtc
        | TimestampNanosUtc
        | Json
        | Uuid => "TEXT",
    }
}

/// Returns the affinity under which values of a type are stored.
pub(super) fn affinity(column_type: ColumnType) -> Affinity {
    Affinity::of_declaration(declaration(column_type))
}

/// Returns a name as SQL: quoted always, so that a name is never SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns names as SQL, parted by commas, each behind `prefix`.
pub(super) fn listed<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("{prefix}{}", quoted(name))).collect::<Vec<_>>().join(", ")
}

/// Returns the order in which the stored values of a type sort as the values do.
pub(super) fn collation(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::UInt64 | ColumnType::Decimal { .. } => " COLLATE _etlsched_decimal",
        ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc => " COLLATE _etlsched_instant",
        _ => "",
    }
}

/// Returns the SQL of a stored value of one type as a value of a wider one; `None` where it is stored alike.
pub(super) fn conversion(column: &str, from: ColumnType, to: ColumnType) -> Option<String> {
    use ColumnType::*;
    let zeros = |from_scale: i8, to_scale: i8| -> String {
        let missing = "0".repeat(usize::try_from(to_scale - from_scale).unwrap_or(0));
        if from_scale == 0 && !missing.is_empty() { format!(".{missing}") } else { missing }
    };
    match (from, to) {
        (Boolean, Text) => Some(format!("CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CAST({column} AS TEXT) END")),
        (Int16 | Int32 | Int64, UInt64 | Text) => Some(format!("CAST({column} AS TEXT)")),
        (Int16 | Int32 | Int64, Float32 | Float64) => Some(format!("CAST({column} AS REAL)")),
        (Int16 | Int32 | Int64 | UInt64, Decimal { scale, .. }) => Some(format!("CAST({column} AS TEXT) || '{}'", zeros(0, scale))),
        (Decimal { scale: from, .. }, Decimal { scale: to, .. }) if from != to => Some(format!("{column} || '{}'", zeros(from, to))),
        (Float32 | Float64, Text) => Some(format!("_etlsched_float_text({column}, {})", i32::from(from == Float32))),
        (Date, Timestamp | TimestampNanos) => Some(format!("{column} || 'T00:00:00'")),
        (Timestamp, TimestampNanos) | (Time, TimeNanos) => {
            Some(format!("CASE WHEN instr({column}, '.') THEN {column} || '000' ELSE {column} END"))
        }
        (TimestampUtc, TimestampNanosUtc) => {
            Some(format!("CASE WHEN instr({column}, '.') THEN rtrim({column}, 'Z') || '000Z' ELSE {column} END"))
        }
        _ => None,
    }
}

/// Gives a connection the orders of [`collation`] and the functions of [`conversion`].
///
/// # Errors
/// SQLite's own.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("_etlsched_decimal", compare_decimals)?;
    connection.create_collation("_etlsched_instant", |left, right| left.trim_end_matches('Z').cmp(right.trim_end_matches('Z')))?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("_etlsched_float_text", 2, flags, |context| {
        let is_single = context.get::<i64>(1)? == 1;
        Ok(match context.get::<Value>(0)? {
            Value::Real(number) if is_single => Value::Text(format!("{:?}", number as f32)),
            Value::Real(number) => Value::Text(format!("{number:?}")),
            other => other,
        })
    })
}

/// Compares canonical decimals of one scale: no leading zeros, no plus sign.
fn compare_decimals(left: &str, right: &str) -> Ordering {
    let by_size = |left: &str, right: &str| left.len().cmp(&right.len()).then_with(|| left.cmp(right));
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => by_size(left, right),
        (Some(left), Some(right)) => by_size(right, left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}
