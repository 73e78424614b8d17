//! What a load makes of the target's columns: which are added, which widen, which are gone, and what is refused.

use super::session::{Outcome, Session, failed, refusal};
use super::table::{LiveColumn, LiveTable, derived};
use super::types::{Dialect, NAME_CHARACTERS_MAX, key_lengths, length_of, quoted};
use crate::batch::ColumnType::{Binary, Float32, Float64, Int64, Json, Text};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::{SchemaChange, SchemaPolicy};
use crate::text::grouped;

/// Whether the rows that are in the target stay, so that a changed column must take them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldRows {
    Stay,
    Go,
}

/// The table that is there, and what becomes of its rows.
pub(super) struct There<'a> {
    pub table: &'a LiveTable,
    pub session: &'a mut Session,
    pub old_rows: OldRows,
}

impl There<'_> {
    /// Whether a row meets a condition on a column.
    fn has(&mut self, column: &LiveColumn, condition: &str) -> Outcome<bool> {
        let (table, name) = (self.session.table(&self.table.name), quoted(&column.name));
        let found = self.session.number(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {name} {condition})"));
        let found = found.map_err(failed(format_args!("looking at the values of {}.{}", self.table.name, column.name)))?;
        Ok(found > 0)
    }

    /// Whether some value of a column would not stay what it is as a double.
    fn has_inexact(&mut self, column: &LiveColumn) -> Outcome<bool> {
        self.has(column, &format!("NOT BETWEEN -{EXACT_MAX} AND {EXACT_MAX}"))
    }
}

/// The most columns of a table (InnoDB: 1017), one of which may number staged rows.
const COLUMNS_MAX: usize = 1016;

/// 2^53: up to it every whole number is a double.
const EXACT_MAX: i64 = 1 << 53;

/// The target's columns after a load, and which of them the load fills.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Every column that the target will have, generated ones apart: those that are there, in their order, then the new ones.
    pub columns: Vec<Column>,
    /// The columns of the batches, under the target's spelling and types, in the batches' order.
    pub batch: Schema,
    /// What changes.
    pub changes: Vec<SchemaChange>,
    /// The columns of the key, where there is one: an index has to take them.
    pub key: Vec<String>,
}

impl Layout {
    /// Returns how a column is declared that no table has yet.
    pub(super) fn fresh(&self, dialect: Dialect, column: &Column) -> String {
        let is_key = |name: &str| self.key.iter().any(|key| key.eq_ignore_ascii_case(name));
        let plain = dialect.declaration(column.column_type);
        if !is_key(&column.name) {
            return plain;
        }
        let types: Vec<ColumnType> =
            self.batch.columns.iter().filter(|column| is_key(&column.name)).map(|column| column.column_type).collect();
        let (characters, bytes) = key_lengths(&types, dialect);
        match column.column_type {
            Binary => format!("varbinary({bytes})"),
            other if dialect.is_text(other) || other == Json => format!("varchar({characters}) COLLATE {}", dialect.collation()),
            _ => plain,
        }
    }

    /// Returns how long the values of each column of the batches may be, where it isn't as long as anybody likes.
    pub(super) fn limits(&self, dialect: Dialect, live: Option<&LiveTable>) -> Vec<Option<usize>> {
        let limit = |column: &Column| {
            let there = live.and_then(|live| live.column(&column.name)).and_then(|there| length_of(&there.declared));
            let own = length_of(&self.fresh(dialect, column));
            there.into_iter().chain(own).min()
        };
        self.batch.columns.iter().map(limit).collect()
    }

    /// Returns the columns to add to a table that is there.
    pub(super) fn added(&self) -> impl Iterator<Item = &Column> {
        self.changes.iter().filter_map(|change| match change {
            SchemaChange::Added { column, .. } => self.columns.iter().find(|candidate| candidate.name == *column),
            _ => None,
        })
    }

    /// Returns the columns that are declared otherwise from now on: name, type before, type from now on.
    pub(super) fn redeclared(&self) -> Vec<(&str, ColumnType, ColumnType)> {
        let changed = self.changes.iter().filter_map(|change| match change {
            SchemaChange::Widened { column, from, to } | SchemaChange::Settled { column, from, to } => Some((column.as_str(), *from, *to)),
            SchemaChange::Added { .. } | SchemaChange::Gone { .. } => None,
        });
        changed.collect()
    }
}

/// Decides what becomes of the target's columns.
///
/// # Errors
/// `schema_clash` for names that differ in their case alone and types that don't fit; `schema_frozen` for any change under `freeze`.
pub(super) fn layout(
    target: &str,
    there: Option<There<'_>>,
    published: Option<&Schema>,
    new: &Schema,
    key: &[String],
    policy: SchemaPolicy,
) -> Outcome<Layout> {
    refuse_twins(target, new)?;
    let key = key.to_vec();
    let Some(mut live) = there else {
        return Ok(Layout { columns: new.columns.clone(), batch: new.clone(), changes: Vec::new(), key });
    };
    let dialect = live.session.dialect;
    let mut changes = Vec::new();
    let mut batch = Vec::with_capacity(new.columns.len());
    for column in &new.columns {
        let Some(there) = live.table.column(&column.name) else {
            changes.push(SchemaChange::Added { column: column.name.clone(), to: column.column_type });
            batch.push(column.clone());
            continue;
        };
        let before = published_type(dialect, published, there);
        if policy == SchemaPolicy::Evolve && is_unsettled(&mut live, there, before, column.column_type)? {
            changes.push(SchemaChange::Settled { column: there.name.clone(), from: Text, to: column.column_type });
            batch.push(Column::new(there.name.clone(), column.column_type));
            continue;
        }
        let (before, after) = fitted(target, &mut live, there, before, column.column_type)?;
        if before != after {
            changes.push(SchemaChange::Widened { column: there.name.clone(), from: before, to: after });
        }
        batch.push(Column::new(there.name.clone(), after));
    }
    let batch = Schema::new(batch);
    for column in published.iter().flat_map(|schema| &schema.columns) {
        let is_there = live.table.column(&column.name).is_some();
        if is_there && !new.columns.iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            changes.push(SchemaChange::Gone { column: column.name.clone() });
        }
    }
    if policy == SchemaPolicy::Freeze && !changes.is_empty() {
        return Err(frozen(target, &changes));
    }
    Ok(Layout { columns: all_columns(dialect, live.table, published, &batch), batch, changes, key })
}

fn all_columns(dialect: Dialect, live: &LiveTable, published: Option<&Schema>, batch: &Schema) -> Vec<Column> {
    let filled = |name: &str| batch.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let mut columns: Vec<Column> = live
        .columns
        .iter()
        .filter(|column| !column.is_generated)
        .map(|column| match filled(&column.name) {
            Some(column) => column.clone(),
            None => Column::new(
                column.name.clone(),
                published_type(dialect, published, column).unwrap_or_else(|| derived(dialect, &column.declared)),
            ),
        })
        .collect();
    columns.extend(batch.columns.iter().filter(|column| live.column(&column.name).is_none()).cloned());
    columns
}

/// Returns the type that was published for a column, unless someone has changed the column since.
fn published_type(dialect: Dialect, published: Option<&Schema>, there: &LiveColumn) -> Option<ColumnType> {
    let column = published?.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&there.name))?;
    let is_own =
        dialect.of_declaration(&there.declared).is_some_and(|own| dialect.declaration(own) == dialect.declaration(column.column_type));
    (is_own || dialect.keeps(&there.declared, column.column_type)).then_some(column.column_type)
}

/// Whether a column of ours was text for want of values, and still has none: it takes the type of the first that are seen.
fn is_unsettled(live: &mut There<'_>, column: &LiveColumn, published: Option<ColumnType>, new: ColumnType) -> Outcome<bool> {
    Ok(published == Some(Text) && new != Text && !live.has(column, "IS NOT NULL")?)
}

/// Returns the column's type before and after the load.
fn fitted(
    target: &str,
    live: &mut There<'_>,
    there: &LiveColumn,
    published: Option<ColumnType>,
    new: ColumnType,
) -> Outcome<(ColumnType, ColumnType)> {
    let (name, dialect) = (&there.name, live.session.dialect);
    let clash = |before: &str, hint: String| {
        let message = format!("column {name} of table {target} is {before}; the source now has {new}, which doesn't fit");
        refusal("schema_clash", message, hint)
    };
    let other_ways = "give the source another target, or drop the table to have it made anew";
    if there.is_generated {
        return Err(clash("computed by the table", format!("leave {name} out by columns.exclude, or {other_ways}")));
    }
    // A type that isn't ours keeps what it holds exactly, and is never turned into another one.
    let is_foreign = dialect.of_declaration(&there.declared).is_none();
    if is_foreign && dialect.keeps(&there.declared, new) {
        return Ok((new, new));
    }
    if is_foreign {
        return Err(clash(&there.declared, format!("declare {name} otherwise under columns.types, or {other_ways}")));
    }
    let before = published.unwrap_or_else(|| derived(dialect, &there.declared));
    if published.is_none() && dialect.declaration(new) == there.declared {
        return Ok((new, new));
    }
    let after = match joined(before, new) {
        Joined::Type(after) => after,
        Joined::DoubleIfExact => {
            let is_exact = live.old_rows == OldRows::Go || !live.has_inexact(there)?;
            if is_exact { Float64 } else { Text }
        }
        Joined::Clash if before == Binary || new == Binary => {
            return Err(clash(&before.to_string(), other_ways.into()));
        }
        Joined::Clash => {
            let hint = format!("declare {name}: text under columns.types, which turns the column into text, {other_ways}");
            return Err(clash(&before.to_string(), hint));
        }
    };
    Ok((before, after))
}

/// What two types come to.
enum Joined {
    Type(ColumnType),
    /// Whole numbers meet floats: floats, where every old number is one exactly, else text.
    DoubleIfExact,
    Clash,
}

/// Returns what the column is after the load. Text takes anything where one of the two is text already, but two types that have nothing
/// in common never become text because they differ. Numbers do at the end: the next load may bring more of them.
fn joined(before: ColumnType, new: ColumnType) -> Joined {
    match (before, new) {
        // New whole numbers that a double doesn't hold exactly are rejected: a column of floats isn't turned for one.
        (Float64, Int64) => return Joined::Type(Float64),
        (Int64, Float32 | Float64) => return Joined::DoubleIfExact,
        _ => {}
    }
    match before.widened(new) {
        Some(wide) if wide == before || wide == new || wide != Text => Joined::Type(wide),
        _ => Joined::Clash,
    }
}

fn refuse_twins(target: &str, new: &Schema) -> Outcome<()> {
    if new.columns.is_empty() {
        return Err(refusal(
            "no_columns",
            format!("table {target} would have no columns"),
            "look at `columns.select` and `columns.exclude`",
        ));
    }
    if new.columns.len() > COLUMNS_MAX {
        let (columns, max) = (grouped(new.columns.len() as u64), grouped(COLUMNS_MAX as u64));
        let message = format!("table {target}: {columns} are too many columns, MySQL holds at most {max}");
        return Err(refusal(
            "too_many_columns",
            message,
            "choose those to load under columns.select, or leave some out by columns.exclude",
        ));
    }
    for name in new.columns.iter().map(|column| &column.name) {
        if !is_name(name) {
            let message = format!(
                "table {target}: {name:?} can't be the name of a column, which has 1 to {NAME_CHARACTERS_MAX} characters below U+10000, no space at its end"
            );
            return Err(refusal("bad_name", message, "give it another name under columns.rename"));
        }
    }
    for (index, column) in new.columns.iter().enumerate() {
        if let Some(twin) = new.columns[..index].iter().find(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(refusal(
                "schema_clash",
                format!("columns {} and {} of table {target} differ in their case alone", twin.name, column.name),
                "rename or exclude one of them under `columns`",
            ));
        }
    }
    Ok(())
}

/// Whether the engine keeps a name as it is (MySQL 8.0, "9.2 Schema Object Names").
pub(super) fn is_name(name: &str) -> bool {
    let is_kept = |character: char| character != '\0' && u32::from(character) < 0x1_0000;
    !name.is_empty() && !name.ends_with(' ') && name.chars().count() <= NAME_CHARACTERS_MAX && name.chars().all(is_kept)
}

fn frozen(target: &str, changes: &[SchemaChange]) -> crate::destination::DestinationError {
    let list: Vec<String> = changes
        .iter()
        .map(|change| match change {
            SchemaChange::Added { column, to } => format!("{column} ({to}) is new"),
            SchemaChange::Widened { column, from, to } | SchemaChange::Settled { column, from, to } => {
                format!("{column} is {to}, was {from}")
            }
            SchemaChange::Gone { column } => format!("{column} is gone"),
        })
        .collect();
    refusal(
        "schema_frozen",
        format!("schema_change is freeze and the columns for table {target} changed: {}", list.join("; ")),
        "set schema_change: evolve, or list the columns under columns.select and columns.types",
    )
}
