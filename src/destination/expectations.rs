//! What a job expects of staged rows, asked of any engine and told in the same words.

use super::failure::{Outcome, refusal};
use super::{DestinationError, LoadRecord};
use crate::batch::Schema;
use crate::plan::Expect;
use crate::text::{count, grouped};

/// How many wrong rows of `expect.sql` are counted.
pub(super) const WRONG_ROWS_MAX: usize = 1000;

/// What is known of staged rows without looking at them.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    pub target: &'a str,
    pub columns: &'a Schema,
    pub rows: u64,
    /// The load before.
    pub previous: Option<&'a LoadRecord>,
}

/// What an engine looks up in staged rows.
pub(super) trait Look {
    /// Returns how many rows have no value in a column.
    fn nulls(&mut self, column: &str) -> Outcome<u64>;

    /// Returns how many values of the columns together are there more than once.
    fn duplicates(&mut self, columns: &[&str]) -> Outcome<u64>;

    /// Runs the job's own query, which can't write; `None` for no rows, of which [`WRONG_ROWS_MAX`] are counted.
    fn wrong_rows(&mut self, sql: &str) -> Outcome<Option<WrongRows>>;
}

/// What a job's own query returned.
#[derive(Debug)]
pub(super) struct WrongRows {
    pub count: usize,
    /// The values of the first, for people.
    pub first: Vec<String>,
}

/// Runs what the job expects; returns what failed.
pub(super) fn unmet(staged: &Staged<'_>, look: &mut impl Look, expect: &Expect) -> Outcome<Vec<String>> {
    let Expect { min_rows, max_rows, max_row_drop_percent, not_null, unique, sql } = expect;
    let rows = staged.rows;
    let mut failures = Vec::new();
    if let Some(min) = min_rows.filter(|min| rows < *min) {
        failures.push(format!("min_rows: {}, expected at least {}", count(rows, "row"), grouped(min)));
    }
    if let Some(max) = max_rows.filter(|max| rows > *max) {
        failures.push(format!("max_rows: {}, expected at most {}", count(rows, "row"), grouped(max)));
    }
    if let (Some(percent), Some(previous)) = (max_row_drop_percent, staged.previous)
        && previous.version > 0
        && (rows as f64) < previous.rows as f64 * (1.0 - percent / 100.0)
    {
        failures.push(format!(
            "max_row_drop_percent: {}, {} at the last load, expected at most {percent} % fewer",
            count(rows, "row"),
            grouped(previous.rows)
        ));
    }
    for column in not_null {
        let column = staged.column(column)?;
        let nulls = look.nulls(column)?;
        failures.extend((nulls > 0).then(|| format!("not_null: column {column} is NULL in {}", count(nulls, "row"))));
    }
    if !unique.is_empty() {
        let columns: Vec<&str> = unique.iter().map(|column| staged.column(column)).collect::<Outcome<_>>()?;
        let values = look.duplicates(&columns)?;
        failures.extend((values > 0).then(|| format!("unique: {} of {} more than once", count(values, "value"), columns.join(", "))));
    }
    if let Some(sql) = sql {
        failures.extend(look.wrong_rows(sql)?.map(|wrong| {
            let more = if wrong.count == WRONG_ROWS_MAX { " or more" } else { "" };
            let (rows, first) = (count(wrong.count as u64, "row"), wrong.first.join(", "));
            format!("sql: {rows}{more} returned, expected none; the first: {first}")
        }));
    }
    Ok(failures)
}

impl Staged<'_> {
    /// Returns a column under the target's spelling: an engine might take an unknown name in quotes for a text.
    fn column(&self, name: &str) -> Outcome<&str> {
        let found = self.columns.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        found.map(|column| column.name.as_str()).ok_or_else(|| {
            let message = format!("the checks of table {} name column {name}, which the source doesn't have", self.target);
            refusal("no_such_column", message, "look at `expect` and columns.rename")
        })
    }
}

/// Says why the job's own query can't be run; the server may have repeated it with `staged`, our name for the rows.
pub(super) fn bad_check(message: &str, staged: &str) -> DestinationError {
    let hint = "a check is one SELECT that returns the rows that are wrong; {table} in it stands for the loaded rows";
    refusal("bad_check", message.replace(staged, "{table}"), hint)
}
