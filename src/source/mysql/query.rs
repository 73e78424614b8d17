//! The statement that a read runs: identifiers are quoted, values are its parameters.

use mysql::{Statement, Value};

use super::describe::{self, Described};
use super::placeholders::Placeholder;
use super::types::{Comparable, ServerType, Wire};
use crate::batch::ColumnType;
use crate::connect::mysql::{Session, quoted};
use crate::plan::{ColumnRules, Window};
use crate::run::CursorValue;
use crate::source::{ReadRequest, SourceError};
use crate::text;

/// The rows that are asked for, by the cursor column.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The source's name of the cursor column.
    pub column: String,
    pub comparable: Comparable,
    /// Whether the column has to be cast to be compared.
    is_cast: bool,
    /// The column's type here.
    pub column_type: ColumnType,
    /// Whether the server keeps it as an instant.
    pub is_instant: bool,
    lower: Option<CursorValue>,
    window: Option<Window>,
}

/// Takes the cursor column and its bounds from what is asked.
///
/// # Errors
/// A column that isn't there, or whose type can't be compared.
pub(super) fn bounds(
    source: &str,
    described: &Described,
    rules: &ColumnRules,
    request: &ReadRequest<'_>,
) -> Result<Option<Bounds>, SourceError> {
    let Some(given) = &request.options.timestamp_column else { return Ok(None) };
    let cursor = cursor(source, described, rules, given)?;
    Ok(Some(Bounds { lower: request.lower_bound.cloned(), window: request.options.window.clone(), ..cursor }))
}

/// Returns what is known of a cursor column by its name in the job; without bounds.
pub(super) fn cursor(source: &str, described: &Described, rules: &ColumnRules, given: &str) -> Result<Bounds, SourceError> {
    // The job may use the target's name of a renamed column.
    let column = rules.rename.iter().find(|(_, to)| to == given).map_or(given, |(from, _)| from);
    let Some(place) = described.names.iter().position(|name| name == column) else {
        let error = SourceError::new("unknown_column", format!("source {source}: there is no column {given} for timestamp_column"));
        return Err(match text::nearest(given, described.names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint(format!("its columns are {}", text::shortened(&described.names.join(", "), 500))),
        });
    };
    let declared = rules.types.iter().find(|(name, _)| name == column).map(|(_, declared)| *declared);
    let own = described.types[place].mapping();
    let column_type = declared.unwrap_or(own.column_type);
    let Some((comparable, is_cast)) = compared(own.wire, column_type) else {
        let message = format!(
            "source {source}: timestamp_column {given} is {column_type}; a cursor is a timestamp, a date or a number that only grows"
        );
        return Err(SourceError::new("bad_cursor", message).hint(format!("declare {given} under columns.types, or name another column")));
    };
    let is_instant = own.wire == Wire::Timestamp && column_type == ColumnType::TimestampUtc;
    Ok(Bounds { column: column.to_owned(), comparable, is_cast, column_type, is_instant, lower: None, window: None })
}

/// Returns how a column is compared, and whether it has to be cast: texts that are no numbers are cast to 0 and would get lost.
fn compared(wire: Wire, column_type: ColumnType) -> Option<(Comparable, bool)> {
    let comparable = Comparable::of(column_type)?;
    let is_own = match (wire, comparable) {
        (Wire::Integer | Wire::Bit, Comparable::Integer)
        | (Wire::Decimal, Comparable::Decimal { .. })
        | (Wire::Date, Comparable::Date)
        | (Wire::Datetime | Wire::Timestamp, Comparable::Datetime) => true,
        (Wire::Integer | Wire::Bit | Wire::Decimal, Comparable::Integer | Comparable::Decimal { .. })
        | (Wire::Text | Wire::Date | Wire::Datetime | Wire::Timestamp, Comparable::Date | Comparable::Datetime) => false,
        _ => return None,
    };
    Some((comparable, !is_own))
}

/// What `:last_sync` and `:lower_bound` are on the first run, where they are times.
const EPOCH: i128 = 0;

impl Bounds {
    /// Returns the column as it is compared.
    pub fn expression(&self) -> String {
        let column = quoted(&self.column);
        if self.is_cast { self.comparable.cast(&column) } else { column }
    }

    /// Returns the value of `:lower_bound`: on the first run 1970, or the least value of the type.
    fn lower_value(&self, source: &str) -> Result<CursorValue, SourceError> {
        let since = self.window.as_ref().and_then(|window| window.since);
        let position = match (&self.lower, since) {
            (Some(lower), None) => return Ok(lower.clone()),
            (_, Some(since)) => CursorValue::position_of(self.column_type, since).unwrap_or(EPOCH),
            (None, None) if self.comparable.is_time() => EPOCH,
            (None, None) => return Ok(least(self.column_type)),
        };
        CursorValue::at(self.column_type, position).ok_or_else(|| self.without_step(source))
    }

    /// Returns the value of `:last_sync`: the greatest below the lower bound, in the column's own step.
    fn below(&self, source: &str) -> Result<CursorValue, SourceError> {
        let lower = self.lower_value(source)?;
        if self.lower.is_none() && !self.comparable.is_time() {
            // Nothing lies below the least value.
            return Ok(lower);
        }
        let below = lower.position().and_then(|position| CursorValue::at(lower.column_type, position - 1));
        below.ok_or_else(|| self.without_step(source))
    }

    fn without_step(&self, source: &str) -> SourceError {
        let message = format!("source {source}: {} has no step, so that there is no greatest value below its bound", self.column);
        SourceError::new("invalid_sql", message).hint("use >= :lower_bound in custom_sql")
    }

    /// Returns what stands for a value in the statement.
    fn parameter(&self) -> String {
        if self.comparable == Comparable::Integer { "?".to_owned() } else { self.comparable.cast("?") }
    }
}

/// Returns the least value of a cursor's type: no row lies below it.
pub(super) fn least(column_type: ColumnType) -> CursorValue {
    use ColumnType::{Date, Decimal, Int16, Int32, Int64, UInt64};
    let position = match column_type {
        Int16 => i128::from(i16::MIN),
        Int32 => i128::from(i32::MIN),
        Int64 => i128::from(i64::MIN),
        UInt64 => 0,
        Decimal { .. } => -(10_i128.pow(38) - 1),
        // 0001-01-01
        Date => -719_162,
        _ => -62_135_596_800_000_000,
    };
    CursorValue::at(column_type, position).expect("every type of a cursor has a least value")
}

/// Returns a cursor's value as a parameter of [`Bounds::parameter`].
fn bound(value: &CursorValue) -> Value {
    if let Ok(number) = value.text.parse::<i64>() {
        return Value::Int(number);
    }
    match value.text.parse::<u64>() {
        Ok(number) => Value::UInt(number),
        Err(_) => Value::Bytes(value.text.trim_end_matches('Z').replace('T', " ").into_bytes()),
    }
}

/// A statement that reads rows, and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub sql: String,
    pub parameters: Vec<Value>,
}

/// Makes the statement that reads some expressions of the rows within bounds.
///
/// # Errors
/// `:last_sync` where the column's type has no step.
pub(super) fn rows(source: &str, described: &Described, expressions: &str, bounds: Option<&Bounds>) -> Result<Query, SourceError> {
    let typed = bounds.map_or_else(|| Comparable::Datetime.cast("?"), Bounds::parameter);
    let (from, named) = described.lexis.replaced(&described.from, |_| typed.clone());
    let mut parameters = Vec::new();
    for placeholder in &named {
        parameters.push(match (placeholder, bounds) {
            (_, None) => Value::Bytes(b"1970-01-01 00:00:00".to_vec()),
            (Placeholder::LastSync, Some(bounds)) => bound(&bounds.below(source)?),
            (Placeholder::LowerBound, Some(bounds)) => bound(&bounds.lower_value(source)?),
        });
    }
    let mut conditions = Vec::new();
    if let Some(bounds) = bounds {
        let (column, typed) = (bounds.expression(), bounds.parameter());
        if let Some(window) = &bounds.window {
            for (instant, sign) in [(window.since, ">="), (window.until, "<")] {
                let Some(instant) = instant else { continue };
                let position = CursorValue::position_of(bounds.column_type, instant);
                let value = position.and_then(|position| CursorValue::at(bounds.column_type, position)).ok_or_else(|| {
                    let message =
                        format!("source {source}: --since and --until need dates or timestamps, and {} is a number", bounds.column);
                    SourceError::new("invalid", message)
                })?;
                conditions.push(format!("{column} {sign} {typed}"));
                parameters.push(bound(&value));
            }
        } else if let Some(lower) = bounds.lower.as_ref().filter(|_| named.is_empty()) {
            // NULLs are counted by whoever reads.
            conditions.push(format!("({column} >= {typed} OR {column} IS NULL)"));
            parameters.push(bound(lower));
        }
    }
    // The table's own condition stands in the text already.
    let is_filtered = described.is_filtered;
    let filter = match (conditions.is_empty(), is_filtered) {
        (true, _) => String::new(),
        (false, true) => format!(" AND {}", conditions.join(" AND ")),
        (false, false) => format!(" WHERE {}", conditions.join(" AND ")),
    };
    Ok(Query { sql: format!("SELECT {expressions} FROM {from}{filter}"), parameters })
}

/// A statement that is ready to run.
#[derive(Debug)]
pub(super) struct Prepared {
    pub statement: Statement,
    pub parameters: Vec<Value>,
    pub types: Vec<ServerType>,
}

/// Prepares the statement that reads some columns of the rows within bounds.
///
/// # Errors
/// What the server reports.
pub(super) fn prepared(
    session: &mut Session,
    source: &str,
    described: &mut Described,
    columns: &[&str],
    bounds: Option<&Bounds>,
) -> Result<Prepared, SourceError> {
    let expressions: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let Query { sql, parameters } = rows(source, described, &expressions.join(", "), bounds)?;
    let statement = describe::prepare(session, &sql, parameters.len()).map_err(|refused| refused.told(session, source))?;
    let types = described.server_types(session, source, &statement)?;
    Ok(Prepared { statement, parameters, types })
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
