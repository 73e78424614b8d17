//! What a load makes of the target's columns: which are added, which widen, which are gone, and what is refused. These rules are those
//! of every engine; what an engine's columns hold is said by its [`Engine`].

use super::failure::{Outcome, refusal};
use super::{DestinationError, Disposition, LoadRequest};
use crate::batch::ColumnType::{Binary, Float32, Float64, Int64, Text};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::{SchemaChange, SchemaPolicy};
use crate::text::grouped;

/// 2^53: up to it every whole number is a double.
const EXACT_MAX: i64 = 1 << 53;

/// Whether the rows that are in the target stay, so that a changed column must take them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldRows {
    Stay,
    Go,
}

impl OldRows {
    /// A full load leaves none.
    pub(super) fn of(disposition: &Disposition) -> Self {
        if matches!(disposition, Disposition::Full { .. }) { Self::Go } else { Self::Stay }
    }
}

/// A column of a table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveColumn {
    pub name: String,
    /// Its type as SQL, as the engine's catalogue spells it: `character varying(20)`, `bigint unsigned`, `varchar(20) COLLATE utf8mb4_bin`.
    pub declared: String,
    /// Computed by the table; never written.
    pub is_generated: bool,
}

/// What names and tables an engine takes.
#[derive(Debug)]
pub(super) struct Rules {
    /// The engine's name in messages.
    pub engine: &'static str,
    /// The most columns of a table.
    pub columns_max: usize,
    /// What names are to the engine that differ in their case alone, as the end of a sentence.
    pub twins: &'static str,
    /// Returns what a column's name has, where one has it not.
    pub name_fault: fn(&str) -> Option<String>,
}

/// A table that is there, as its engine sees it.
pub(super) trait Engine {
    const RULES: Rules;

    /// Whether a row meets a condition on a column.
    fn has(&mut self, column: &LiveColumn, condition: &str) -> Outcome<bool>;

    /// Returns the type of ours that a declaration is; `None` for a type that isn't ours.
    fn own_type(&self, declared: &str) -> Option<ColumnType>;

    /// Whether a declaration is the one of a type.
    fn is_declaration(&self, declared: &str, column_type: ColumnType) -> bool;

    /// Whether a column of a type that isn't ours keeps values of a type as they are.
    fn keeps(&self, declared: &str, new: ColumnType) -> bool;

    /// Whether a column that was published with a type is still declared so that it has that type.
    fn is_still(&self, declared: &str, published: ColumnType) -> bool;

    /// Whether an empty text column can be declared as another type.
    fn can_settle(&self, column: &LiveColumn, new: ColumnType) -> bool {
        let _ = (column, new);
        true
    }
}

/// The table that is there, and what becomes of its rows.
pub(super) struct There<'a, E> {
    pub columns: &'a [LiveColumn],
    pub engine: E,
    pub old_rows: OldRows,
}

impl<'a, E: Engine> There<'a, E> {
    fn column(&self, name: &str) -> Option<&'a LiveColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether some value of a column would not stay what it is as a double.
    fn has_inexact(&mut self, column: &LiveColumn) -> Outcome<bool> {
        self.engine.has(column, &format!("NOT BETWEEN -{EXACT_MAX} AND {EXACT_MAX}"))
    }

    /// Whether every value of the columns that change is still one that may change so.
    pub(super) fn still_fits(&mut self, layout: &Layout) -> Outcome<bool> {
        for change in &layout.changes {
            let (column, is_settled) = match change {
                SchemaChange::Settled { column, .. } => (column, true),
                SchemaChange::Widened { column, from: Int64, to: Float64 } => (column, false),
                _ => continue,
            };
            let Some(column) = self.column(column) else { return Ok(false) };
            let is_unfit = if is_settled { self.engine.has(column, "IS NOT NULL")? } else { self.has_inexact(column)? };
            if is_unfit && self.old_rows == OldRows::Stay {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the type that was published for a column, unless someone has changed the column since.
    fn published_type(&self, published: Option<&Schema>, there: &LiveColumn) -> Option<ColumnType> {
        let column = published?.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&there.name))?;
        self.engine.is_still(&there.declared, column.column_type).then_some(column.column_type)
    }

    /// Whether a column of ours was text for want of values, and still has none: it takes the type of the first that are seen.
    fn is_unsettled(&mut self, column: &LiveColumn, published: Option<ColumnType>, new: ColumnType) -> Outcome<bool> {
        let is_candidate = published == Some(Text) && new != Text;
        Ok(is_candidate && !self.engine.has(column, "IS NOT NULL")? && self.engine.can_settle(column, new))
    }

    /// Returns the column's type before and after the load.
    fn fitted(
        &mut self,
        target: &str,
        there: &LiveColumn,
        published: Option<ColumnType>,
        new: ColumnType,
    ) -> Outcome<(ColumnType, ColumnType)> {
        let name = &there.name;
        let clash = |before: &str, hint: String| {
            let message = format!("column {name} of table {target} is {before}; the source now has {new}, which doesn't fit");
            refusal("schema_clash", message, hint)
        };
        let other_ways = "give the source another target, or drop the table to have it made anew";
        if there.is_generated {
            return Err(clash("computed by the table", format!("leave {name} out by columns.exclude, or {other_ways}")));
        }
        let before = match self.engine.own_type(&there.declared) {
            // A type that isn't ours keeps what it holds exactly, and is never turned into another one.
            None if self.engine.keeps(&there.declared, new) => return Ok((new, new)),
            None => return Err(clash(&there.declared, format!("declare {name} otherwise under columns.types, or {other_ways}"))),
            Some(_) if published.is_none() && self.engine.is_declaration(&there.declared, new) => return Ok((new, new)),
            Some(own) => published.unwrap_or(own),
        };
        let after = match joined(before, new) {
            Joined::Type(after) => after,
            Joined::DoubleIfExact => {
                let is_exact = self.old_rows == OldRows::Go || !self.has_inexact(there)?;
                if is_exact { Float64 } else { Text }
            }
            Joined::Clash if before == Binary || new == Binary => return Err(clash(&before.to_string(), other_ways.into())),
            Joined::Clash => {
                let hint = format!("declare {name}: text under columns.types, which turns the column into text, {other_ways}");
                return Err(clash(&before.to_string(), hint));
            }
        };
        Ok((before, after))
    }

    /// Returns every column that the target will have.
    fn all_columns(&self, published: Option<&Schema>, batch: &Schema) -> Vec<Column> {
        let filled = |name: &str| batch.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        // A column that no load brought has its own type, else is text.
        let own =
            |column: &LiveColumn| self.published_type(published, column).or_else(|| self.engine.own_type(&column.declared)).unwrap_or(Text);
        let there = self.columns.iter().filter(|column| !column.is_generated);
        let kept = there.map(|column| filled(&column.name).cloned().unwrap_or_else(|| Column::new(column.name.clone(), own(column))));
        kept.chain(batch.columns.iter().filter(|column| self.column(&column.name).is_none()).cloned()).collect()
    }
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
    /// The columns of the key by which rows are folded or merged, where there is one.
    pub key: Vec<String>,
}

impl Layout {
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

/// Decides what becomes of the target's columns. `published` are those of the last load, `new` those of this one.
///
/// # Errors
/// `schema_clash` for names that differ in their case alone and types that don't fit; `schema_frozen` for any change under `freeze`.
pub(super) fn layout<E: Engine>(
    request: &LoadRequest,
    there: Option<There<'_, E>>,
    published: Option<&Schema>,
    new: &Schema,
) -> Outcome<Layout> {
    let (target, policy) = (request.target.as_str(), request.schema_policy);
    let key = request.disposition.fold().map(|fold| fold.key.clone()).unwrap_or_default();
    refuse_columns(target, new, &E::RULES)?;
    let Some(mut live) = there else {
        return Ok(Layout { columns: new.columns.clone(), batch: new.clone(), changes: Vec::new(), key });
    };
    let mut changes = Vec::new();
    let mut batch = Vec::with_capacity(new.columns.len());
    for column in &new.columns {
        let Some(there) = live.column(&column.name) else {
            changes.push(SchemaChange::Added { column: column.name.clone(), to: column.column_type });
            batch.push(column.clone());
            continue;
        };
        let before = live.published_type(published, there);
        if policy == SchemaPolicy::Evolve && live.is_unsettled(there, before, column.column_type)? {
            changes.push(SchemaChange::Settled { column: there.name.clone(), from: Text, to: column.column_type });
            batch.push(Column::new(there.name.clone(), column.column_type));
            continue;
        }
        let (before, after) = live.fitted(target, there, before, column.column_type)?;
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
    Ok(Layout { columns: live.all_columns(published, &batch), batch, changes, key })
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

/// Refuses columns that no table of the engine can have.
fn refuse_columns(target: &str, new: &Schema, rules: &Rules) -> Outcome<()> {
    let Rules { engine, columns_max, twins, name_fault } = rules;
    if new.columns.is_empty() {
        return Err(refusal(
            "no_columns",
            format!("table {target} would have no columns"),
            "look at `columns.select` and `columns.exclude`",
        ));
    }
    if new.columns.len() > *columns_max {
        let (columns, max) = (grouped(new.columns.len() as u64), grouped(*columns_max as u64));
        let message = format!("table {target}: {columns} are too many columns, {engine} holds at most {max}");
        return Err(refusal(
            "too_many_columns",
            message,
            "choose those to load under columns.select, or leave some out by columns.exclude",
        ));
    }
    for name in new.columns.iter().map(|column| &column.name) {
        if let Some(fault) = name_fault(name) {
            let message = format!("table {target}: {name:?} can't be the name of a column, which has {fault}");
            return Err(refusal("bad_name", message, "give it another name under columns.rename"));
        }
    }
    for (index, column) in new.columns.iter().enumerate() {
        if let Some(twin) = new.columns[..index].iter().find(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(refusal(
                "schema_clash",
                format!("columns {} and {} of table {target} {twins}", twin.name, column.name),
                "rename or exclude one of them under `columns`",
            ));
        }
    }
    Ok(())
}

fn frozen(target: &str, changes: &[SchemaChange]) -> DestinationError {
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
