//! Publishing: the one transaction that makes a load visible, with its bookkeeping.

use super::evolve::{Layout, There};
use super::session::{Outcome, Session, failed, is_worth_another_try, refusal};
use super::staging::{Staging, drop_table, old_rows, refuse_foreign};
use super::table::{Durability, LiveTable, create_sql};
use super::types::{conversion, declaration, listed, quoted, sortable};
use super::{bookkeeping, merge};
use crate::batch::{Column, ColumnType, Schema};
use crate::destination::{Committed, DestinationError, Disposition, LoadRecord, PublishRequest, empty_load};
use crate::run::{Counts, CursorValue};

/// Makes the staged rows visible, or leaves everything as it was.
pub(super) fn publish(staging: &mut Staging<'_>, request: &PublishRequest) -> Outcome<Committed> {
    let folded = match staging.request.disposition.clone() {
        Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } => merge::fold(staging, &fold)?,
        Disposition::Full { fold: None, .. } | Disposition::Window { .. } | Disposition::Append => 0,
    };
    staging.rows -= folded;
    let mut tries = 0;
    loop {
        staging.session.begin()?;
        let error = match prepare(staging, request, folded) {
            Ok(committed) => return commit(staging, committed),
            Err(error) => error,
        };
        staging.session.roll_back();
        tries += 1;
        if !is_worth_another_try(&error, tries) {
            return Err(error);
        }
    }
}

/// Does everything but the commit.
fn prepare(staging: &mut Staging<'_>, request: &PublishRequest, folded: u64) -> Outcome<Committed> {
    let target = staging.request.target.clone();
    let (fence, rows) = (staging.fence.clone(), staging.rows);
    let Staging { session, request: load, layout, .. } = staging;
    // The fence first: a run that has lost it doesn't touch a row.
    let version = bookkeeping::publish(session, &target, &fence, &load.run, request, rows, &layout.batch)?;
    bookkeeping::write_files(session, &target, &fence.run_id, request)?;
    let (mut counts, rows_in_target) = apply(staging, request)?;
    counts = Counts { folded, skipped: request.skipped, rejected: request.rejected, ..counts };
    bookkeeping::write_counts(staging.session, &target, &counts, rows_in_target)?;
    drop_table(staging.session, &staging.table)?;
    Ok(Committed { counts, rows_in_target, version, schema_changes: staging.layout.changes.clone() })
}

/// Commits; where the connection is lost before the answer, the target's row tells what became of it.
fn commit(staging: &mut Staging<'_>, committed: Committed) -> Outcome<Committed> {
    let Err(error) = staging.session.commit() else { return Ok(committed) };
    let is_lost = staging.session.is_lost();
    let error = failed(format_args!("committing the load of {}", staging.request.target))(error);
    if !is_lost {
        return Err(error);
    }
    staging.session.reconnect()?;
    let version = bookkeeping::published_by(staging.session, &staging.request.target, &staging.fence)?;
    if version == Some(committed.version) { Ok(committed) } else { Err(error) }
}

fn apply(staging: &mut Staging<'_>, request: &PublishRequest) -> Outcome<(Counts, u64)> {
    let target = staging.request.target.clone();
    let disposition = staging.request.disposition.clone();
    let live = locked(staging)?;
    let is_acquainted = staging.previous.as_ref().is_some_and(LoadRecord::is_acquainted);
    let is_full = matches!(disposition, Disposition::Full { .. });
    let before = match &live {
        Some(live) if is_full || !is_acquainted => {
            let name = staging.session.table(&live.name);
            staging.session.count(&name)?
        }
        _ => 0,
    };
    if !is_acquainted {
        // Rows that someone put there while this first load ran.
        refuse_foreign(&target, before, &staging.request.owner)?;
    }
    if is_full && staging.rows == 0 && before > 0 && !request.allow_empty {
        return Err(empty_load(&target, before));
    }
    if staging.shape.is_swap {
        swap(staging, live.as_ref())?;
        return Ok((Counts { added: staging.rows, deleted: before, ..Counts::default() }, staging.rows));
    }
    let mut counts = Counts::default();
    let live = match live {
        Some(live) => {
            if is_full {
                // First, so that the rows that go needn't fit the new types.
                counts.deleted = delete(staging.session, &live, None)?;
            }
            alter(staging, &live)?;
            live
        }
        None => {
            let sql = create_target_sql(&staging.session.table(&target), &staging.layout);
            execute(staging.session, &target, &sql)?;
            LiveTable::read(staging.session, &target)?.ok_or_else(|| target_changed(&target))?
        }
    };
    match &disposition {
        Disposition::Merge(fold) => {
            demand(staging.session, &target, &staging.table, staging.rows)?;
            merge::merge(staging, &live, &fold.key, &mut counts)?;
        }
        Disposition::Window { column, from, until } => {
            let staged = staging.session.table(&staging.table);
            let condition = window(staging.session, &staging.layout.batch, &target, &staged, column, from.as_ref(), until.as_ref())?;
            counts.deleted = delete(staging.session, &live, condition.as_ref())?;
            counts.added = insert(staging, &live)?;
        }
        Disposition::Full { .. } | Disposition::Append => counts.added = insert(staging, &live)?,
    }
    let name = staging.session.table(&live.name);
    Ok((counts, staging.session.count(&name)?))
}

/// Keeps other writers off the target, and looks whether it is still what the load was made for.
fn locked(staging: &mut Staging<'_>) -> Outcome<Option<LiveTable>> {
    let target = staging.request.target.clone();
    if let Some(live) = &staging.live {
        let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", staging.session.table(&live.name));
        staging.session.run(&sql).map_err(failed(format_args!("publishing table {target}: locking it")))?;
    }
    let live = LiveTable::read(staging.session, &target)?;
    let is_plain = match &live {
        Some(live) if staging.shape.is_swap => live.is_plain(staging.session)?,
        _ => true,
    };
    if live != staging.live || !is_plain {
        return Err(target_changed(&target));
    }
    Ok(live)
}

/// Gives the table's place to the staging table.
fn swap(staging: &mut Staging<'_>, live: Option<&LiveTable>) -> Outcome<()> {
    let successor = LiveTable::read(staging.session, &staging.table)?.ok_or_else(|| target_changed(&staging.request.target))?;
    let statements = swap_sql(staging.session, live, &staging.request.target, &successor)?;
    statements.iter().try_for_each(|sql| execute(staging.session, &staging.request.target, sql).map(|_| ()))
}

/// Returns what gives a table's place to its successor.
fn swap_sql(session: &mut Session, live: Option<&LiveTable>, target: &str, successor: &LiveTable) -> Outcome<Vec<String>> {
    let mut list = match live {
        Some(live) => live.kept_sql(session, successor)?,
        None => Vec::new(),
    };
    list.extend(rename_sql(session, live, target, &successor.name));
    Ok(list)
}

/// Returns what gives a table's name to another table.
pub(super) fn rename_sql(session: &Session, live: Option<&LiveTable>, target: &str, successor: &str) -> Vec<String> {
    let name = live.map_or(target, |live| &live.name);
    let drop = live.map(|live| format!("DROP TABLE {}", session.table(&live.name)));
    drop.into_iter().chain([format!("ALTER TABLE {} RENAME TO {}", session.table(successor), quoted(name))]).collect()
}

/// Brings a table that stays to the load's columns.
fn alter(staging: &mut Staging<'_>, live: &LiveTable) -> Outcome<()> {
    let statements = alter_sql(&staging.session.table(&live.name), &staging.layout);
    let disposition = &staging.request.disposition;
    let mut there = There { table: live, session: staging.session, old_rows: old_rows(disposition) };
    if !there.still_fits(&staging.layout)? {
        return Err(target_changed(&live.name));
    }
    for sql in statements {
        staging.session.run(&sql).map_err(|error| {
            let is_used = error.code().is_some_and(|state| state.code() == "0A000");
            let error = failed(format_args!("publishing table {}: `{sql}`", live.name))(error);
            let hint = "change the column by hand with all that depends on it, or give the source another target";
            if is_used { DestinationError { code: "schema_clash", hint: Some(hint.to_owned()), ..error } } else { error }
        })?;
    }
    Ok(())
}

/// Returns what brings a table that stays to the load's columns; `name` is SQL.
pub(super) fn alter_sql(name: &str, layout: &Layout) -> Vec<String> {
    let widened = layout.redeclared().into_iter().filter(|(_, from, to)| declaration(*from) != declaration(*to));
    let widen = |(column, from, to): (&str, ColumnType, ColumnType)| {
        let column = quoted(column);
        format!("ALTER TABLE {name} ALTER COLUMN {column} TYPE {} USING {}", declaration(to), conversion(&column, from, to))
    };
    let add = |column: &Column| format!("ALTER TABLE {name} ADD COLUMN {} {}", quoted(&column.name), declaration(column.column_type));
    widened.map(widen).chain(layout.added().map(add)).collect()
}

/// Returns what makes a target that isn't there; `name` is SQL.
pub(super) fn create_target_sql(name: &str, layout: &Layout) -> String {
    create_sql(name, Durability::Logged, super::table::of_types(&layout.columns))
}

fn target_changed(target: &str) -> DestinationError {
    let message = format!("table {target} was altered while the load ran");
    DestinationError { is_transient: true, ..refusal("target_changed", message, "the next attempt sees it as it is now") }
}

/// Demands that the staging table still has its rows: a crash of the server empties it.
fn demand(session: &mut Session, target: &str, staging: &str, rows: u64) -> Outcome<()> {
    let name = session.table(staging);
    let staged = session.count(&name)?;
    if staged == rows { Ok(()) } else { Err(lost(target, rows, staged)) }
}

fn lost(target: &str, rows: u64, found: u64) -> DestinationError {
    let message = format!("table {target}: {rows} rows were staged and {found} could be published");
    let hint = "run the job again; if it stays so, look for triggers and rules of the table that leave rows out";
    DestinationError { is_transient: true, ..refusal("rows_lost", message, hint) }
}

fn insert(staging: &mut Staging<'_>, live: &LiveTable) -> Outcome<u64> {
    let sql = insert_sql(&staging.session.table(&live.name), &staging.session.table(&staging.table), &staging.layout);
    let added = execute(staging.session, &live.name, &sql)?;
    if added == staging.rows { Ok(added) } else { Err(lost(&live.name, staging.rows, added)) }
}

/// Returns what brings all staged rows into the target; both names are SQL.
pub(super) fn insert_sql(name: &str, staged: &str, layout: &Layout) -> String {
    let columns = listed("", layout.batch.columns.iter().map(|column| column.name.as_str()));
    format!("INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {staged}")
}

/// A condition with its bound values.
pub(super) struct Condition {
    pub sql: String,
    pub values: Vec<String>,
}

impl Condition {
    fn parameters(&self) -> Vec<Option<&str>> {
        self.values.iter().map(|value| Some(value.as_str())).collect()
    }

    /// Returns how many rows of a table meet it; `table` is SQL.
    pub(super) fn count(&self, session: &mut Session, table: &str) -> Outcome<u64> {
        let rows = session.rows(&format!("SELECT count(*) FROM {table} WHERE {}", self.sql), &self.parameters());
        let rows = rows.map_err(failed(format_args!("counting the rows of {table} in the window")))?;
        Ok(rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()).unwrap_or(0))
    }
}

/// Returns which rows the window holds. Rows without a value belong to it when the load brings such rows again.
pub(super) fn window(
    session: &mut Session,
    batch: &Schema,
    target: &str,
    staged: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition>> {
    let Some(mut condition) = bounds(batch, target, column, from, until)? else { return Ok(None) };
    let name = batch.columns.iter().find(|known| known.name.eq_ignore_ascii_case(column)).map_or(column, |known| &known.name);
    let name = quoted(name);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {staged} WHERE {name} IS NULL LIMIT 1) AS without");
    let nulls = session.number(&sql).map_err(failed(format_args!("looking for rows of {target} without {column}")))?;
    if nulls > 0 {
        condition.sql = format!("({} OR {name} IS NULL)", condition.sql);
    }
    Ok(Some(condition))
}

/// Returns the condition of a window's bounds; `None` where there are none.
pub(super) fn bounds(
    batch: &Schema,
    target: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition>> {
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    let Some(found) = batch.columns.iter().find(|candidate| candidate.name.eq_ignore_ascii_case(column)) else {
        let message = format!("table {target}: column {column} of the window is not among the columns");
        return Err(refusal("no_such_column", message, "look at timestamp_column and columns.rename"));
    };
    let plain = quoted(&found.name);
    let name = sortable(&plain, found.column_type);
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for (operator, bound) in [(">=", from), ("<", until)] {
        if let Some(bound) = bound {
            values.push(bound.text.clone());
            let value = format!("${}", values.len());
            let value = if name == plain { format!("{value}::{}", declaration(found.column_type)) } else { format!("rtrim({value}, 'Z')") };
            parts.push(format!("{name} {operator} {value}"));
        }
    }
    Ok(Some(Condition { sql: format!("({})", parts.join(" AND ")), values }))
}

fn delete(session: &mut Session, live: &LiveTable, condition: Option<&Condition>) -> Outcome<u64> {
    let name = session.table(&live.name);
    let what = format!("deleting the old rows of {}", live.name);
    match condition {
        None => session.run(&format!("DELETE FROM {name}")).map_err(failed(what)),
        Some(condition) => {
            session.execute(&format!("DELETE FROM {name} WHERE {}", condition.sql), &condition.parameters()).map_err(failed(what))
        }
    }
}

/// Runs a statement of a publish; returns how many rows it changed.
pub(super) fn execute(session: &mut Session, target: &str, sql: &str) -> Outcome<u64> {
    session.run(sql).map_err(failed(format_args!("publishing table {target}")))
}
