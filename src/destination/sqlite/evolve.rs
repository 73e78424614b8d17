//! What a load makes of the target's columns: which are added, which widen, which are gone, and what is refused.

use super::failure::{Outcome, refusal};
use super::table::{LiveColumn, LiveTable};
use super::types::{Affinity, affinity, conversion};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::{SchemaChange, SchemaPolicy};

/// Whether the rows that are in the target stay, so that a changed column must take them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldRows {
    Stay,
    Go,
}

/// The target's columns after a load, and which of them the load fills.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Every column that the target will have, generated ones apart: those that are there, in their order, then the new ones.
    pub columns: Vec<Column>,
    /// The columns of the batches, under the target's spelling and types, in the batches' order.
    pub batch: Schema,
    /// What changes.
    pub changes: Vec<SchemaChange>,
}

impl Layout {
    /// Returns the columns to add to a table that is there.
    pub(super) fn added(&self) -> impl Iterator<Item = &Column> {
        self.changes.iter().filter_map(|change| match change {
            SchemaChange::Added { column, .. } => self.columns.iter().find(|candidate| candidate.name == *column),
            SchemaChange::Widened { .. } | SchemaChange::Gone { .. } => None,
        })
    }

    /// Returns the SQL of the widened value of a column, where the values that are there are stored otherwise.
    pub(super) fn conversion_of(&self, name: &str, quoted: &str) -> Option<String> {
        self.changes.iter().find_map(|change| match change {
            SchemaChange::Widened { column, from, to } if column == name => conversion(quoted, *from, *to),
            _ => None,
        })
    }

    /// Whether a column that is there must be stored otherwise.
    pub(super) fn needs_rebuild(&self) -> bool {
        self.changes.iter().any(|change| match change {
            SchemaChange::Widened { from, to, .. } => affinity(*from) != affinity(*to) || conversion("c", *from, *to).is_some(),
            _ => false,
        })
    }
}

/// Decides what becomes of the target's columns.
///
/// # Errors
/// `schema_clash` for names that SQLite can't tell apart and types that don't fit; `schema_frozen` for any change under `freeze`.
pub(super) fn layout(
    target: &str,
    live: Option<&LiveTable>,
    published: Option<&Schema>,
    new: &Schema,
    old_rows: OldRows,
    policy: SchemaPolicy,
) -> Outcome<Layout> {
    refuse_twins(target, new)?;
    let Some(live) = live else {
        return Ok(Layout { columns: new.columns.clone(), batch: new.clone(), changes: Vec::new() });
    };
    let mut changes = Vec::new();
    let mut batch = Vec::with_capacity(new.columns.len());
    for column in &new.columns {
        let Some(there) = live.column(&column.name) else {
            changes.push(SchemaChange::Added { column: column.name.clone(), to: column.column_type });
            batch.push(column.clone());
            continue;
        };
        let (before, after) = fitted(target, there, published_type(published, there), column.column_type, old_rows)?;
        if before != after {
            changes.push(SchemaChange::Widened { column: there.name.clone(), from: before, to: after });
        }
        batch.push(Column::new(there.name.clone(), after));
    }
    let batch = Schema::new(batch);
    for column in published.iter().flat_map(|schema| &schema.columns) {
        let is_there = live.column(&column.name).is_some();
        if is_there && !new.columns.iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            changes.push(SchemaChange::Gone { column: column.name.clone() });
        }
    }
    if policy == SchemaPolicy::Freeze && !changes.is_empty() {
        return Err(frozen(target, &changes));
    }
    Ok(Layout { columns: all_columns(live, published, &batch), batch, changes })
}

fn all_columns(live: &LiveTable, published: Option<&Schema>, batch: &Schema) -> Vec<Column> {
    let filled = |name: &str| batch.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let mut columns: Vec<Column> = live
        .columns
        .iter()
        .filter(|column| !column.is_generated)
        .map(|column| match filled(&column.name) {
            Some(column) => column.clone(),
            None => Column::new(column.name.clone(), published_type(published, column).unwrap_or_else(|| derived(column.affinity()))),
        })
        .collect();
    columns.extend(batch.columns.iter().filter(|column| live.column(&column.name).is_none()).cloned());
    columns
}

/// Returns the type that was published for a column, unless someone has changed the column since.
fn published_type(published: Option<&Schema>, there: &LiveColumn) -> Option<ColumnType> {
    let column = published?.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&there.name))?;
    (affinity(column.column_type) == there.affinity()).then_some(column.column_type)
}

/// Returns the column's type before and after the load.
fn fitted(
    target: &str,
    there: &LiveColumn,
    published: Option<ColumnType>,
    new: ColumnType,
    old_rows: OldRows,
) -> Outcome<(ColumnType, ColumnType)> {
    let clash = |before: &str| {
        refusal(
            "schema_clash",
            format!("column {} of table {target} is {before}; the source now has {new}, which doesn't fit", there.name),
            format!(
                "declare {}: {before} under columns.types, give the source another target, or drop the table to have it made anew",
                there.name
            ),
        )
    };
    if there.is_generated {
        return Err(clash("computed by the table"));
    }
    let before = match published {
        Some(published) => published,
        None if is_kept_exactly(there.affinity(), new) => return Ok((new, new)),
        None if there.affinity() == Affinity::Numeric => return Err(clash(&there.declared)),
        None => derived(there.affinity()),
    };
    match joined(before, new, old_rows) {
        Some(after) => Ok((before, after)),
        None => Err(clash(&before.to_string())),
    }
}

/// Whether a column of an affinity stores values of a type as they are.
fn is_kept_exactly(affinity_there: Affinity, new: ColumnType) -> bool {
    use ColumnType::*;
    match affinity_there {
        Affinity::Blob => true,
        Affinity::Numeric => matches!(
            new,
            Boolean | Int16 | Int32 | Int64 | Date | Time | TimeNanos | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc
        ),
        other => affinity(new) == other,
    }
}

fn derived(affinity: Affinity) -> ColumnType {
    match affinity {
        Affinity::Integer => ColumnType::Int64,
        Affinity::Real => ColumnType::Float64,
        Affinity::Text | Affinity::Numeric => ColumnType::Text,
        Affinity::Blob => ColumnType::Binary,
    }
}

/// Returns the type that the column has after the load; `None` where the two clash.
///
/// Text takes anything where one of the two is text already, but two types never become text because they differ.
/// Whole numbers and floats meet as floats: rows that don't fit one exactly are rejected, and a column of old rows isn't turned.
fn joined(before: ColumnType, new: ColumnType, old_rows: OldRows) -> Option<ColumnType> {
    use ColumnType::*;
    match (before, new) {
        (Float64, Int64) => return Some(Float64),
        (Int64, Float64) if old_rows == OldRows::Go => return Some(Float64),
        _ => {}
    }
    let wide = before.widened(new)?;
    let is_widening = wide == before || wide == new || !matches!(wide, Text);
    is_widening.then_some(wide)
}

fn refuse_twins(target: &str, new: &Schema) -> Outcome<()> {
    if new.columns.is_empty() {
        return Err(refusal(
            "no_columns",
            format!("table {target} would have no columns"),
            "look at `columns.select` and `columns.exclude`",
        ));
    }
    for (index, column) in new.columns.iter().enumerate() {
        if let Some(twin) = new.columns[..index].iter().find(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(refusal(
                "schema_clash",
                format!("columns {} and {} of table {target} are one name in SQLite", twin.name, column.name),
                "rename or exclude one of them under `columns`",
            ));
        }
    }
    Ok(())
}

fn frozen(target: &str, changes: &[SchemaChange]) -> crate::destination::DestinationError {
    let list: Vec<String> = changes
        .iter()
        .map(|change| match change {
            SchemaChange::Added { column, to } => format!("{column} ({to}) is new"),
            SchemaChange::Widened { column, from, to } => format!("{column} is {to}, was {from}"),
            SchemaChange::Gone { column } => format!("{column} is gone"),
        })
        .collect();
    refusal(
        "schema_frozen",
        format!("schema_change is freeze and the columns for table {target} changed: {}", list.join("; ")),
        "set schema_change: evolve, or list the columns under columns.select and columns.types",
    )
}
