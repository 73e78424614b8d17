//! Columns of a table that stays: added, widened, their old values rewritten. Each step commits by itself, leaves every old value what
//! it was, and can be done again after a kill.

use super::session::{Outcome, Session, refusal};
use super::table::LiveTable;
use super::types::{Dialect, quoted};
use crate::batch::ColumnType;
use crate::destination::DestinationError;
use crate::destination::evolution::Layout;

/// The column in which rewritten values wait for their place. What a kill left of it is dropped.
pub(super) const WAITING: &str = "_etlsched_new";

/// Returns what adds and widens the columns of a table, as parts of ALTER TABLE. Values that need to be rewritten are not looked at.
pub(super) fn column_changes(dialect: Dialect, live: &LiveTable, layout: &Layout) -> Vec<String> {
    let widened = layout.redeclared().into_iter().filter_map(|(column, from, to)| widening(dialect, live, layout, column, from, to));
    let added = layout.added().map(|column| format!("ADD COLUMN {} {}", quoted(&column.name), layout.fresh(dialect, column)));
    widened.chain(added).collect()
}

fn widening(dialect: Dialect, live: &LiveTable, layout: &Layout, column: &str, from: ColumnType, to: ColumnType) -> Option<String> {
    let declared = layout.fresh(dialect, layout.batch.columns.iter().find(|candidate| candidate.name == column)?);
    let is_same = dialect.declaration(from) == dialect.declaration(to);
    (!is_same).then(|| format!("MODIFY COLUMN {} {declared} {}", quoted(column), live.attributes(column)))
}

/// Returns the statements that bring a table to the load's columns; `name` is SQL.
pub(super) fn statements(dialect: Dialect, name: &str, live: &LiveTable, layout: &Layout) -> Vec<String> {
    let is_rewritten = |from, to| dialect.rewritten("", from, to).is_some();
    let mut list = Vec::new();
    let mut parts = Vec::new();
    for (column, from, to) in layout.redeclared() {
        if is_rewritten(from, to) {
            list.extend(rewriting(dialect, name, live, layout, column, from, to));
        } else {
            parts.extend(widening(dialect, live, layout, column, from, to));
        }
    }
    parts.extend(layout.added().map(|column| format!("ADD COLUMN {} {}", quoted(&column.name), layout.fresh(dialect, column))));
    if !parts.is_empty() {
        list.push(format!("ALTER TABLE {name} {}", parts.join(", ")));
    }
    list
}

/// The old values stay where they are until the new ones are complete; one ALTER then puts the new column in place of the old.
fn rewriting(
    dialect: Dialect,
    name: &str,
    live: &LiveTable,
    layout: &Layout,
    column: &str,
    from: ColumnType,
    to: ColumnType,
) -> Vec<String> {
    let Some(found) = layout.batch.columns.iter().find(|candidate| candidate.name == column) else { return Vec::new() };
    let (old, new, declared) = (quoted(column), quoted(WAITING), layout.fresh(dialect, found));
    let value = dialect.rewritten(&old, from, to).unwrap_or_else(|| old.clone());
    vec![
        format!("ALTER TABLE {name} ADD COLUMN {new} {declared} AFTER {old}"),
        format!("UPDATE {name} SET {new} = {value}"),
        format!("ALTER TABLE {name} DROP COLUMN {old}, CHANGE COLUMN {new} {old} {declared} {}", live.attributes(column)),
    ]
}

/// Brings a table that stays to the load's columns.
pub(super) fn alter(session: &mut Session, live: &LiveTable, layout: &Layout) -> Outcome<()> {
    let (dialect, name) = (session.dialect, session.table(&live.name));
    if live.definition.contains(&quoted(WAITING)) {
        session.define(&format!("altering table {}", live.name), &format!("ALTER TABLE {name} DROP COLUMN {}", quoted(WAITING)))?;
    }
    for (column, from, to) in layout.redeclared() {
        if dialect.rewritten("", from, to).is_some() {
            refuse_entangled(session, live, column, to)?;
        }
    }
    for sql in statements(dialect, &name, live, layout) {
        let what = format!("altering table {}: `{sql}`", live.name);
        session.define(&what, &sql).map_err(|error| explained(error, &live.name))?;
    }
    Ok(())
}

/// Refuses to rewrite a column that the table uses elsewhere, or rows whose change the table answers.
fn refuse_entangled(session: &mut Session, live: &LiveTable, column: &str, to: ColumnType) -> Outcome<()> {
    let has_triggers = live.may_have_triggers(session)?;
    let has_others = live.definition.to_uppercase().contains(" ON UPDATE ") || live.columns.iter().any(|column| column.is_generated);
    if !(has_triggers || has_others || live.is_indexed(column)) {
        return Ok(());
    }
    let message =
        format!("column {column} of table {} would become {to}, and the table has an index, a trigger or a computed column", live.name);
    Err(refusal("schema_clash", message, "change the column by hand with all that depends on it, or give the source another target"))
}

/// Tells what to do where the server refuses to change a column.
pub(super) fn explained(error: DestinationError, target: &str) -> DestinationError {
    if error.is_transient || matches!(error.code, "not_permitted" | "disk_full" | "locked" | "conflict" | "disconnected") {
        return error;
    }
    let hint = format!("change the columns of {target} by hand with all that depends on them, or give the source another target");
    DestinationError { code: "schema_clash", hint: Some(hint), ..error }
}
