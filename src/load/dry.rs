//! Where the rows of a dry run go: nowhere, but they are looked at on their way.

use arrow_array::Array;

use super::Fault;
use super::copy::Sink;
use crate::batch::{RecordBatch, Schema};
use crate::destination::{self, LoadRecord, Rehearsal, Written};
use crate::plan::{DestinationKind, Expect, OnInvalidValue};
use crate::text::{count, grouped};

/// Keeps no row, and counts what the checks ask for.
#[derive(Debug)]
pub(super) struct Nowhere<'a> {
    /// What would become of the rows.
    pub rehearsal: Box<dyn Rehearsal>,
    kind: &'a DestinationKind,
    invalid_values: OnInvalidValue,
    expect: &'a Expect,
    schema: Schema,
    rows: u64,
    /// NULLs of each column of `expect.not_null`.
    nulls: Vec<u64>,
}

impl<'a> Nowhere<'a> {
    /// Begins with no rows.
    ///
    /// # Errors
    /// A check that names no column of the source.
    pub(super) fn new(
        rehearsal: Box<dyn Rehearsal>,
        kind: &'a DestinationKind,
        invalid_values: OnInvalidValue,
        expect: &'a Expect,
    ) -> Result<Self, Fault> {
        let schema = rehearsal.schema().clone();
        require_columns(&schema, expect)?;
        Ok(Self { rehearsal, kind, invalid_values, expect, schema, rows: 0, nulls: vec![0; expect.not_null.len()] })
    }

    /// Returns which checks failed, and which could not be made. `is_whole`: the source was read to its end.
    pub(super) fn judge(&self, previous: Option<&LoadRecord>, is_whole: bool) -> (Vec<String>, Vec<&'static str>) {
        let Expect { min_rows, max_rows, max_row_drop_percent, not_null, unique, sql } = self.expect;
        let rows = count(self.rows, "row");
        let mut failures = Vec::new();
        let mut unmade = Vec::new();
        if let Some(min) = min_rows.filter(|min| is_whole && self.rows < *min) {
            failures.push(format!("min_rows: {rows}, expected at least {}", grouped(min)));
        }
        if let Some(max) = max_rows.filter(|max| self.rows > *max) {
            failures.push(format!("max_rows: {rows}, expected at most {}", grouped(max)));
        }
        if let (Some(percent), Some(previous)) = (max_row_drop_percent, previous)
            && is_whole
            && previous.version > 0
            && (self.rows as f64) < previous.rows as f64 * (1.0 - percent / 100.0)
        {
            let before = grouped(previous.rows);
            failures.push(format!("max_row_drop_percent: {rows}, {before} at the last load, expected at most {percent} % fewer"));
        }
        for (name, nulls) in not_null.iter().zip(&self.nulls).filter(|(_, nulls)| **nulls > 0) {
            failures.push(format!("not_null: column {name} is NULL in {}", count(*nulls, "row")));
        }
        let unseen = [("min_rows", min_rows.is_some()), ("max_row_drop_percent", max_row_drop_percent.is_some())];
        unmade.extend(unseen.into_iter().filter(|(_, is_asked)| *is_asked && !is_whole).map(|(name, _)| name));
        let staged = [("unique", !unique.is_empty()), ("sql", sql.is_some())];
        unmade.extend(staged.into_iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| name));
        (failures, unmade)
    }
}

impl Sink for Nowhere<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<Written, Fault> {
        let invalid = self.rehearsal.unfit(batch, destination::invalid_values(self.kind, batch));
        self.rehearsal.take(batch, &invalid)?;
        let is_nulled = self.invalid_values == OnInvalidValue::Null;
        let mut is_left_out = vec![false; batch.num_rows()];
        if !is_nulled {
            invalid.iter().for_each(|value| is_left_out[value.row] = true);
        }
        for (nulls, name) in self.nulls.iter_mut().zip(&self.expect.not_null) {
            let Some(column) = place(&self.schema, name) else { continue };
            let array = batch.column(column);
            let empty = (0..batch.num_rows()).filter(|row| array.is_null(*row) && !is_left_out[*row]).count();
            let nulled = invalid.iter().filter(|value| is_nulled && value.column == column).count();
            *nulls += (empty + nulled) as u64;
        }
        let rows = is_left_out.iter().filter(|is_left_out| !**is_left_out).count() as u64;
        self.rows += rows;
        Ok(Written { rows, invalid })
    }

    fn pause(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn restart(&mut self, schema: &Schema) -> Result<Schema, Fault> {
        self.rehearsal.restart(schema)?;
        self.schema = self.rehearsal.schema().clone();
        require_columns(&self.schema, self.expect)?;
        (self.rows, self.nulls) = (0, vec![0; self.expect.not_null.len()]);
        Ok(self.schema.clone())
    }
}

/// Refuses checks that name no column of the source.
fn require_columns(schema: &Schema, expect: &Expect) -> Result<(), Fault> {
    match expect.not_null.iter().chain(&expect.unique).find(|name| place(schema, name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let fault = Fault::new("no_such_column", format!("the checks name column {name}, which the source doesn't have"));
            Err(fault.hint("look at `expect` and columns.rename"))
        }
    }
}

fn place(schema: &Schema, name: &str) -> Option<usize> {
    schema.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
}
