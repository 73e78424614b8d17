//! Publishing: the one transaction that makes a load visible, with its bookkeeping.

use super::evolve;
use super::guards::{self, Guards};
use super::likeness::{Keys, Likeness};
use super::session::{Outcome, Session, failed, is_worth_another_try, refusal};
use super::staging::{Staging, drop_table};
use super::table::{Durability, LiveTable, create_sql};
use super::types::{declaration, listed, quoted, sortable};
use super::{bookkeeping, merge};
use crate::batch::Schema;
use crate::destination::evolution::{Layout, OldRows};
use crate::destination::failure::target_changed;
use crate::destination::keys::known_column;
use crate::destination::ownership::refuse_foreign;
use crate::destination::window::{Condition, bounded};
use crate::destination::{Committed, DestinationError, Disposition, LoadRecord, PublishRequest, empty_load};
use crate::run::{Counts, CursorValue};

/// Makes the staged rows visible, or leaves everything as it was.
pub(super) fn publish(staging: &mut Staging<'_>, request: &PublishRequest) -> Outcome<Committed> {
    let folded = match staging.request.disposition.fold().cloned() {
        Some(fold) => merge::fold(staging, &fold)?,
        None => 0,
    };
    staging.rows -= folded;
    complete(staging)?;
    let mut tries = 0;
    loop {
        staging.session.begin()?;
        // A lock that somebody holds, a deadlock that we lost: nothing was committed, and the rows are still staged.
        let error = match prepare(staging, request, folded).and_then(|committed| commit(staging, committed)) {
            Ok(committed) => return Ok(committed),
            Err(error) => error,
        };
        staging.session.roll_back();
        tries += 1;
        if !is_worth_another_try(&error, tries) {
            return Err(error);
        }
    }
}

/// Gives the staging table the indexes and keys of the table whose place it takes, while nobody waits for it.
fn complete(staging: &mut Staging<'_>) -> Outcome<()> {
    let statements = staging.shape.complete_sql(&staging.session.table(&staging.table));
    if statements.is_empty() {
        return Ok(());
    }
    let Staging { session, request, .. } = staging;
    session.in_transaction(|session| statements.iter().try_for_each(|sql| execute(session, &request.target, sql).map(|_| ())))
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
    let live = locked(staging)?;
    let is_acquainted = staging.previous.as_ref().is_some_and(LoadRecord::is_acquainted);
    let is_full = matches!(staging.request.disposition, Disposition::Full { .. });
    // Nobody waits behind the lock of a swap until a large table is counted, nor for a count that takes longer than merging a few rows:
    // what others brought or took is seen where the rows that go are deleted one by one.
    let known = staging.previous.as_ref().and_then(|previous| previous.rows_in_target);
    let before = match (&live, known) {
        (Some(_), Some(known)) if staging.shape.is_swap && staging.rows > 0 => known,
        (Some(live), _) if is_full || !is_acquainted => {
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
    let live = match live {
        Some(live) => live,
        None => {
            let sql = create_target_sql(&staging.session.table(&target), &staging.layout);
            execute(staging.session, &target, &sql)?;
            LiveTable::read(staging.session, &target)?.ok_or_else(|| target_changed(&target))?
        }
    };
    let counts = fill(staging, &live, before)?;
    if let (Some(known), false) = (known, is_full) {
        return Ok((counts, (known + counts.added).saturating_sub(counts.deleted)));
    }
    let name = staging.session.table(&live.name);
    Ok((counts, staging.session.count(&name)?))
}

/// Brings the staged rows into a table that stays.
fn fill(staging: &mut Staging<'_>, live: &LiveTable, before: u64) -> Outcome<Counts> {
    let guards = Guards::read(staging.session, live)?;
    let mut counts = Counts::default();
    match staging.request.disposition.clone() {
        Disposition::Merge(fold) => {
            alter(staging, live)?;
            demand(staging)?;
            guards.refuse_blurred_key(live, &fold.key)?;
            let foretold = guards.foretell(staging, live, &fold.key)?;
            merge::merge(staging, live, &fold.key, &mut counts)?;
            guards.refuse_other_counts(live, &counts, foretold)?;
        }
        Disposition::Full { .. } if !guards.is_referenced() => {
            // Deleted before the columns change: the rows that go needn't fit the new types.
            counts.deleted = delete(staging.session, live, None)?;
            guards.refuse_left_rows(live, before, counts.deleted)?;
            alter(staging, live)?;
            counts.added = insert(staging, live)?;
        }
        Disposition::Full { .. } => {
            alter(staging, live)?;
            (counts.deleted, counts.added) = replace(staging, live, &guards, None)?;
        }
        Disposition::Window { column, from, until } => {
            alter(staging, live)?;
            let (batch, staged) = (&staging.layout.batch, staging.session.table(&staging.table));
            let condition = window(staging.session, batch, &live.name, &staged, &column, from.as_ref(), until.as_ref())?;
            (counts.deleted, counts.added) = replace(staging, live, &guards, condition.as_ref())?;
        }
        Disposition::Append => {
            alter(staging, live)?;
            counts.added = insert(staging, live)?;
        }
    }
    Ok(counts)
}

/// Replaces the rows that meet a condition by the staged ones; returns how many went and came.
fn replace(staging: &mut Staging<'_>, live: &LiveTable, guards: &Guards, condition: Option<&Condition<String>>) -> Outcome<(u64, u64)> {
    if guards.is_none() {
        return Ok((delete(staging.session, live, condition)?, insert(staging, live)?));
    }
    let name = staging.session.table(&live.name);
    let inside = match condition {
        Some(condition) => counted(staging.session, &name, condition)?,
        None => staging.session.count(&name)?,
    };
    if inside > 0 {
        guards.refuse_cascades(staging.session, live, condition.is_some())?;
    }
    if !guards.is_referenced() {
        let deleted = delete(staging.session, live, condition)?;
        guards.refuse_left_rows(live, inside, deleted)?;
        return Ok((deleted, insert(staging, live)?));
    }
    // In one statement: a row that others refer to is looked for at its end only, when it is there again.
    let sql = replace_sql(&name, &staging.session.table(&staging.table), &staging.layout, condition);
    let values = condition.map(Condition::parameters).unwrap_or_default();
    let added = staging.session.execute(&sql, &values).map_err(failed(format_args!("replacing the rows of {}", live.name)))?;
    whole(staging, live, added)?;
    Ok((inside, added))
}

/// Keeps others off the target, and looks whether it is still what the load was made for.
///
/// The strongest lock that the publish needs is taken at once: who raises it later may meet a user in a deadlock who has read the table
/// and wants to write it.
fn locked(staging: &mut Staging<'_>) -> Outcome<Option<LiveTable>> {
    let target = staging.request.target.clone();
    if let Some(live) = &staging.live {
        let name = staging.session.table(&live.name);
        let changes = !evolve::alter_sql(&name, &staging.layout).is_empty();
        // EXCLUSIVE lets others read, and keeps off who locks single rows too.
        let mode = if staging.shape.is_swap || changes { "ACCESS EXCLUSIVE" } else { "EXCLUSIVE" };
        let locked = staging.session.run(&format!("LOCK TABLE {name} IN {mode} MODE"));
        locked.map_err(failed(format_args!("publishing table {target}: locking it")))?;
    }
    let live = LiveTable::read(staging.session, &target)?;
    if live == staging.live { Ok(live) } else { Err(target_changed(&target)) }
}

/// Gives the table's place to the staging table.
fn swap(staging: &mut Staging<'_>, live: Option<&LiveTable>) -> Outcome<()> {
    let target = staging.request.target.clone();
    let likeness = match (live, &staging.shape.likeness) {
        (Some(live), Some(made)) => {
            let keys = Keys::of(&staging.request.disposition);
            let now = Likeness::read(staging.session, live, &staging.table, &staging.layout.filled(), keys)?;
            Some(now.filter(|now| made.still_holds(now)).ok_or_else(|| target_changed(&target))?)
        }
        _ => None,
    };
    let statements = swap_sql(staging.session, live, &target, &staging.table, likeness.as_ref());
    statements.iter().try_for_each(|sql| execute(staging.session, &target, sql).map(|_| ()))
}

/// Returns what gives a table's place to its successor.
pub(super) fn swap_sql(
    session: &Session,
    live: Option<&LiveTable>,
    target: &str,
    successor: &str,
    likeness: Option<&Likeness>,
) -> Vec<String> {
    let mut list: Vec<String> = likeness.iter().flat_map(|likeness| likeness.give.iter().cloned()).collect();
    list.extend(live.map(|live| format!("DROP TABLE {}", session.table(&live.name))));
    list.extend(likeness.iter().flat_map(|likeness| likeness.name.iter().cloned()));
    let name = live.map_or(target, |live| &live.name);
    list.push(format!("ALTER TABLE {} RENAME TO {}", session.table(successor), quoted(name)));
    list
}

/// Brings a table that stays to the load's columns.
fn alter(staging: &mut Staging<'_>, live: &LiveTable) -> Outcome<()> {
    let statements = evolve::alter_sql(&staging.session.table(&live.name), &staging.layout);
    let disposition = &staging.request.disposition;
    if !evolve::there(live, staging.session, OldRows::of(disposition)).still_fits(&staging.layout)? {
        return Err(target_changed(&live.name));
    }
    statements.iter().try_for_each(|sql| evolve::altered(staging.session.run(sql), &format!("publishing table {}: `{sql}`", live.name)))
}

/// Returns what makes a target that isn't there; `name` is SQL.
pub(super) fn create_target_sql(name: &str, layout: &Layout) -> String {
    create_sql(name, Durability::Logged, super::table::of_types(&layout.columns))
}

/// Demands that the staging table still has its rows: a crash of the server empties it.
fn demand(staging: &mut Staging<'_>) -> Outcome<()> {
    let staged = staging.session.table(&staging.table);
    let (found, rows) = (staging.session.count(&staged)?, staging.rows);
    if found == rows {
        return Ok(());
    }
    let message = format!("table {}: {rows} rows were staged and {found} are there", staging.request.target);
    Err(DestinationError { is_transient: true, ..refusal("rows_lost", message, "run the job again") })
}

/// Demands that all staged rows came into the target.
fn whole(staging: &mut Staging<'_>, live: &LiveTable, added: u64) -> Outcome<()> {
    if added == staging.rows {
        return Ok(());
    }
    demand(staging)?;
    Err(guards::left_out(live, staging.rows, added))
}

fn insert(staging: &mut Staging<'_>, live: &LiveTable) -> Outcome<u64> {
    let sql = insert_sql(&staging.session.table(&live.name), &staging.session.table(&staging.table), &staging.layout);
    let added = execute(staging.session, &live.name, &sql)?;
    whole(staging, live, added)?;
    Ok(added)
}

/// Returns what replaces rows of the target by the staged ones in one statement; both names are SQL.
pub(super) fn replace_sql(name: &str, staged: &str, layout: &Layout, condition: Option<&Condition<String>>) -> String {
    let condition = condition.map_or_else(String::new, |condition| format!(" WHERE {}", condition.sql));
    // The count makes the deletion come first.
    format!(
        "WITH gone AS (DELETE FROM {name}{condition} RETURNING 1) {} WHERE (SELECT count(*) FROM gone) >= 0",
        insert_sql(name, staged, layout)
    )
}

/// Returns what brings all staged rows into the target; both names are SQL.
pub(super) fn insert_sql(name: &str, staged: &str, layout: &Layout) -> String {
    let columns = listed("", layout.batch.columns.iter().map(|column| column.name.as_str()));
    format!("INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {staged}")
}

/// Returns how many rows of a table meet a condition; `table` is SQL.
pub(super) fn counted(session: &mut Session, table: &str, condition: &Condition<String>) -> Outcome<u64> {
    let rows = session.rows(&format!("SELECT count(*) FROM {table} WHERE {}", condition.sql), &condition.parameters());
    let rows = rows.map_err(failed(format_args!("counting the rows of {table} in the window")))?;
    Ok(rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()).unwrap_or(0))
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
) -> Outcome<Option<Condition<String>>> {
    let Some(condition) = bounds(batch, target, column, from, until)? else { return Ok(None) };
    let name = quoted(&known_column(batch, target, column)?.name);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {staged} WHERE {name} IS NULL LIMIT 1) AS without");
    let nulls = session.number(&sql).map_err(failed(format_args!("looking for rows of {target} without {column}")))?;
    Ok(Some(if nulls > 0 { condition.or_null(&name) } else { condition }))
}

/// Returns the condition of a window's bounds; `None` where there are none.
pub(super) fn bounds(
    batch: &Schema,
    target: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition<String>>> {
    let Some(found) = bounded(batch, target, column, from, until)? else { return Ok(None) };
    let plain = quoted(&found.name);
    let name = sortable(&plain, found.column_type);
    Ok(Some(Condition::between(from, until, |operator, bound, place| {
        let is_plain = name == plain;
        let value = if is_plain { format!("${place}::{}", declaration(found.column_type)) } else { format!("rtrim(${place}, 'Z')") };
        (format!("{name} {operator} {value}"), bound.text.clone())
    })))
}

fn delete(session: &mut Session, live: &LiveTable, condition: Option<&Condition<String>>) -> Outcome<u64> {
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
