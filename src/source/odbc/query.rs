//! The statement that a read runs: identifiers are quoted, values are its parameters.

use super::describe::Described;
use super::dialect::{Bound, Dialect};
use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter};
use crate::plan::ColumnRules;
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::cursor_column::{self, CursorColumn, bad_cursor};
use crate::source::placeholders::{self, Placeholder};
use crate::source::{Moments, ReadRequest, SourceError};

/// A cursor column.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// The source's name of it.
    pub column: String,
    /// The column as it is compared.
    pub expression: String,
    /// Its type here.
    pub column_type: ColumnType,
    /// What the driver says of it.
    pub facts: ColumnFacts,
}

/// The rows that are asked for, by the cursor column.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    cursor: Cursor,
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
    dialect: &dyn Dialect,
    described: &Described,
    rules: &ColumnRules,
    request: &ReadRequest<'_>,
) -> Result<Option<Bounds>, SourceError> {
    let Some(given) = &request.options.timestamp_column else { return Ok(None) };
    let ReadRequest { lower_bound, upper_bound, is_exact, is_without_nulls, .. } = *request;
    let cursor = cursor(source, dialect, described, rules, given)?;
    Ok(Some(Bounds { cursor, lower: lower_bound.cloned(), upper: upper_bound.cloned(), is_exact, is_without_nulls }))
}

/// Returns what is known of a cursor column by its name in the job.
///
/// # Errors
/// As for [`bounds`].
pub(super) fn cursor(
    source: &str,
    dialect: &dyn Dialect,
    described: &Described,
    rules: &ColumnRules,
    given: &str,
) -> Result<Cursor, SourceError> {
    let CursorColumn { name, place, declared } = cursor_column::find(source, &described.names, rules, given)?;
    let facts = &described.facts[place];
    let column_type = declared.unwrap_or(dialect.mapping(facts).column_type);
    let Some(expression) = dialect.comparable(&dialect.quoted(name), facts, column_type) else {
        return Err(bad_cursor(source, given, column_type));
    };
    Ok(Cursor { column: name.to_owned(), expression, column_type, facts: facts.clone() })
}

impl Bounds {
    /// Returns the bounds of a read that has none.
    pub fn open(cursor: &Cursor) -> Self {
        Self { cursor: cursor.clone(), lower: None, upper: None, is_exact: false, is_without_nulls: false }
    }
}

/// What `:last_sync` and `:lower_bound` are on the first run, where they are times.
const EPOCH: i128 = 0;

impl Bounds {
    fn is_time(&self) -> bool {
        use ColumnType::{Date, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
        matches!(self.cursor.column_type, Date | Timestamp | TimestampUtc | TimestampNanos | TimestampNanosUtc)
    }

    /// Returns the value of `:lower_bound`: on the first run 1970, or the least value of the type.
    fn lower_value(&self, source: &str) -> Result<CursorValue, SourceError> {
        let value = match &self.lower {
            Some(lower) => Some(lower.clone()),
            None if self.is_time() => CursorValue::at(self.cursor.column_type, EPOCH),
            None => CursorValue::least(self.cursor.column_type),
        };
        value.ok_or_else(|| self.without_step(source))
    }

    /// Returns the value of `:last_sync`: the greatest below the lower bound, in the column's own step.
    fn below(&self, source: &str) -> Result<CursorValue, SourceError> {
        let lower = self.lower_value(source)?;
        if self.lower.is_none() && !self.is_time() {
            // Nothing lies below the least value.
            return Ok(lower);
        }
        let below = lower.position().and_then(|position| CursorValue::at(lower.column_type, position - 1));
        below.ok_or_else(|| self.without_step(source))
    }

    fn without_step(&self, source: &str) -> SourceError {
        let message = format!("source {source}: {} has no step, so that there is no greatest value below its bound", self.cursor.column);
        SourceError::new("invalid_sql", message).hint("use >= :lower_bound in custom_sql")
    }

    fn bound(&self, source: &str, dialect: &dyn Dialect, value: &CursorValue, rounding: Rounding) -> Result<Bound, SourceError> {
        dialect.bound_for(value, &self.cursor.facts, rounding).ok_or_else(|| {
            let message = format!("source {source}: {} can't be compared with {}", self.cursor.column, value.text);
            SourceError::new("bad_cursor", message).hint("name another column as timestamp_column")
        })
    }
}

/// A statement that reads rows, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub sql: String,
    pub parameters: Vec<Parameter>,
}

/// Makes the statement that reads some expressions of the rows within bounds.
///
/// # Errors
/// `:last_sync` where the column's type has no step.
pub(super) fn rows(
    source: &str,
    dialect: &dyn Dialect,
    described: &Described,
    expressions: &str,
    bounds: Option<&Bounds>,
    moments: Moments,
) -> Result<Query, SourceError> {
    let epoch = chrono::DateTime::UNIX_EPOCH;
    let value = |placeholder: Placeholder| match (placeholder, bounds) {
        (Placeholder::Slot, _) => Ok(dialect.moment(moments.slot)),
        (Placeholder::RunStarted, _) => Ok(dialect.moment(moments.run_started)),
        (_, None) => Ok(dialect.moment(epoch)),
        (Placeholder::LastSync, Some(bounds)) => bounds.bound(source, dialect, &bounds.below(source)?, Rounding::Down),
        (Placeholder::LowerBound, Some(bounds)) => bounds.bound(source, dialect, &bounds.lower_value(source)?, Rounding::Up),
    };
    let mut parameters = Vec::new();
    let mut fault = None;
    let (from, named) = placeholders::replaced(&described.from, dialect.lexical(), |placeholder| match value(placeholder) {
        Ok(Bound { sql, parameter }) => {
            parameters.push(parameter);
            sql
        }
        Err(error) => {
            fault = Some(error);
            String::new()
        }
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let mut conditions = Vec::new();
    if let Some(bounds) = bounds {
        let column = &bounds.cursor.expression;
        // NULLs are counted by whoever reads, unless they are in no case asked for.
        let nulls = |condition: String| if bounds.is_without_nulls { condition } else { format!("({condition} OR {column} IS NULL)") };
        let is_filtered = bounds.is_exact || !named.iter().any(|placeholder| placeholder.is_bound());
        let lower = bounds.lower.as_ref().filter(|_| is_filtered).map(|lower| (">=", lower));
        let upper = bounds.upper.as_ref().map(|upper| ("<", upper));
        for (sign, value) in lower.into_iter().chain(upper) {
            let Bound { sql, parameter } = bounds.bound(source, dialect, value, Rounding::Up)?;
            conditions.push(nulls(format!("{column} {sign} {sql}")));
            parameters.push(parameter);
        }
    }
    // The table's own condition stands in the text already.
    let glue = if described.is_filtered { "AND" } else { "WHERE" };
    let filter = if conditions.is_empty() { String::new() } else { format!(" {glue} {}", conditions.join(" AND ")) };
    Ok(Query { sql: format!("SELECT {expressions} FROM {from}{filter}"), parameters })
}
