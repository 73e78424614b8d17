//! The statement that a read runs: identifiers are quoted, values are its parameters.

use mysql::{Statement, Value};

use super::describe::{self, Described};
use super::types::{Comparable, ServerType, Wire};
use crate::batch::ColumnType;
use crate::connect::mysql::{Session, quoted};
use crate::plan::ColumnRules;
use crate::run::CursorValue;
use crate::source::cursor_column::{self, CursorColumn, bad_cursor};
use crate::source::placeholders::{self, Placeholder};
use crate::source::{Moments, ReadRequest, SourceError};

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
    upper: Option<CursorValue>,
    /// Whether a query that names placeholders is filtered from outside too.
    is_exact: bool,
    is_without_nulls: bool,
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
    let ReadRequest { lower_bound, upper_bound, is_exact, is_without_nulls, .. } = *request;
    let (lower, upper) = (lower_bound.cloned(), upper_bound.cloned());
    Ok(Some(Bounds { lower, upper, is_exact, is_without_nulls, ..cursor(source, described, rules, given)? }))
}

/// Returns what is known of a cursor column by its name in the job; without bounds.
pub(super) fn cursor(source: &str, described: &Described, rules: &ColumnRules, given: &str) -> Result<Bounds, SourceError> {
    let CursorColumn { name, place, declared } = cursor_column::find(source, &described.names, rules, given)?;
    let own = described.types[place].mapping();
    let column_type = declared.unwrap_or(own.column_type);
    let Some((comparable, is_cast)) = compared(own.wire, column_type) else {
        return Err(bad_cursor(source, given, column_type));
    };
    let is_instant = own.wire == Wire::Timestamp && column_type == ColumnType::TimestampUtc;
    Ok(Bounds {
        column: name.to_owned(),
        comparable,
        is_cast,
        column_type,
        is_instant,
        lower: None,
        upper: None,
        is_exact: false,
        is_without_nulls: false,
    })
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
        let value = match &self.lower {
            Some(lower) => Some(lower.clone()),
            None if self.comparable.is_time() => CursorValue::at(self.column_type, EPOCH),
            None => CursorValue::least(self.column_type),
        };
        value.ok_or_else(|| self.without_step(source))
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
        // The type of a parameter alone is not known before its value is.
        match self.comparable {
            Comparable::Integer if self.column_type == ColumnType::UInt64 => "CAST(? AS UNSIGNED)".to_owned(),
            Comparable::Integer => "CAST(? AS SIGNED)".to_owned(),
            _ => self.comparable.cast("?"),
        }
    }
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

/// Makes the statement that reads some expressions of the rows within bounds; without moments they are the present.
///
/// # Errors
/// `:last_sync` where the column's type has no step.
pub(super) fn rows(
    source: &str,
    described: &Described,
    expressions: &str,
    bounds: Option<&Bounds>,
    moments: Option<Moments>,
) -> Result<Query, SourceError> {
    let moment = Comparable::Datetime.cast("?");
    let typed = bounds.map_or_else(|| moment.clone(), Bounds::parameter);
    let (from, named) =
        placeholders::replaced(&described.from, &described.dialect, |placeholder| match (placeholder.is_bound(), moments) {
            (true, _) => typed.clone(),
            (false, Some(_)) => moment.clone(),
            (false, None) => "NOW(6)".to_owned(),
        });
    let mut parameters = Vec::new();
    for placeholder in &named {
        parameters.push(match (placeholder, bounds) {
            (Placeholder::Slot | Placeholder::RunStarted, _) => {
                let Some(moments) = moments else { continue };
                let at = if *placeholder == Placeholder::Slot { moments.slot } else { moments.run_started };
                Value::Bytes(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string().into_bytes())
            }
            (_, None) => Value::Bytes(b"1970-01-01 00:00:00".to_vec()),
            (Placeholder::LastSync, Some(bounds)) => bound(&bounds.below(source)?),
            (Placeholder::LowerBound, Some(bounds)) => bound(&bounds.lower_value(source)?),
        });
    }
    let mut conditions = Vec::new();
    if let Some(bounds) = bounds {
        let (column, typed) = (bounds.expression(), bounds.parameter());
        // NULLs are counted by whoever reads, unless they are in no case asked for.
        let nulls = |condition: String| if bounds.is_without_nulls { condition } else { format!("({condition} OR {column} IS NULL)") };
        let is_filtered = bounds.is_exact || !named.iter().any(|placeholder| placeholder.is_bound());
        if let Some(lower) = bounds.lower.as_ref().filter(|_| is_filtered) {
            conditions.push(nulls(format!("{column} >= {typed}")));
            parameters.push(bound(lower));
        }
        if let Some(upper) = &bounds.upper {
            conditions.push(nulls(format!("{column} < {typed}")));
            parameters.push(bound(upper));
        }
    }
    // The table's own condition stands in the text already.
    let glue = if described.is_filtered { "AND" } else { "WHERE" };
    let filter = if conditions.is_empty() { String::new() } else { format!(" {glue} {}", conditions.join(" AND ")) };
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
    described: &Described,
    columns: &[&str],
    bounds: Option<&Bounds>,
    moments: Moments,
) -> Result<Prepared, SourceError> {
    let expressions: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let Query { sql, parameters } = rows(source, described, &expressions.join(", "), bounds, Some(moments))?;
    let statement = describe::prepare(session, &sql, parameters.len()).map_err(|refused| refused.told(session, source))?;
    let types = described.server_types(&statement);
    Ok(Prepared { statement, parameters, types })
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
