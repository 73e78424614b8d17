//! Which rows of a table a window holds, as a condition of SQL.

use super::failure::{Outcome, refusal};
use crate::batch::{Column, Schema};
use crate::run::CursorValue;

/// A condition with its bound values.
pub(super) struct Condition<V> {
    pub sql: String,
    pub values: Vec<V>,
}

/// Returns the column of a window; `None` where it has no bounds.
pub(super) fn bounded<'a>(
    batch: &'a Schema,
    target: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<&'a Column>> {
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    let found = batch.columns.iter().find(|candidate| candidate.name.eq_ignore_ascii_case(column));
    found.map(Some).ok_or_else(|| {
        let message = format!("table {target}: column {column} of the window is not among the columns");
        refusal("no_such_column", message, "look at timestamp_column and columns.rename")
    })
}

impl<V> Condition<V> {
    /// Makes it of the bounds: `part` returns the comparison by an operator with a bound, whose value is the so manyth, and that value.
    pub(super) fn between(
        from: Option<&CursorValue>,
        until: Option<&CursorValue>,
        mut part: impl FnMut(&str, &CursorValue, usize) -> (String, V),
    ) -> Self {
        let bounds = [(">=", from), ("<", until)].into_iter().filter_map(|(operator, bound)| Some((operator, bound?)));
        let (parts, values): (Vec<String>, Vec<V>) =
            bounds.enumerate().map(|(place, (operator, bound))| part(operator, bound, place + 1)).unzip();
        Self { sql: format!("({})", parts.join(" AND ")), values }
    }

    /// Lets rows without a value in; `name` is SQL.
    pub(super) fn or_null(self, name: &str) -> Self {
        Self { sql: format!("({} OR {name} IS NULL)", self.sql), values: self.values }
    }
}

impl Condition<String> {
    /// Returns the values as texts.
    pub(super) fn parameters(&self) -> Vec<Option<&str>> {
        self.values.iter().map(|value| Some(value.as_str())).collect()
    }
}
