//! Publishing: into a table that stays, in one transaction with its bookkeeping; or by a RENAME (see [`swap`]).

use super::bookkeeping::{self, Published};
use super::session::{Outcome, Session, failed, is_worth_another_try, refusal};
use super::staging::{Staging, drop_table};
use super::table::LiveTable;
use super::types::listed;
use super::window;
use super::{alter, merge, swap};
use crate::destination::evolution::Layout;
use crate::destination::failure::{fence_lost, target_changed};
use crate::destination::keys::known_key;
use crate::destination::ownership::refuse_foreign;
use crate::destination::window::Condition;
use crate::destination::{Committed, DestinationError, Disposition, LoadRecord, PublishRequest, empty_load};
use crate::run::Counts;

/// Makes the staged rows visible, or leaves everything as it was.
pub(super) fn publish(staging: &mut Staging<'_>, request: &PublishRequest) -> Outcome<Committed> {
    let folded = match staging.request.disposition.fold().cloned() {
        Some(fold) => merge::fold(staging, &fold)?,
        None => 0,
    };
    staging.rows -= folded;
    if staging.shape.is_swap {
        return swap::publish(staging, request, folded);
    }
    let live = altered(staging)?;
    let mut tries = 0;
    loop {
        staging.session.begin()?;
        let error = match prepare(staging, &live, request, folded) {
            Ok(committed) => return commit(staging, committed),
            Err(error) => error,
        };
        staging.session.roll_back();
        tries += 1;
        if staging.session.is_lost() || !is_worth_another_try(&error, tries) {
            return Err(error);
        }
    }
}

/// Brings the target's columns and its key to what the load needs: DDL commits by itself, so it can't wait for the transaction.
fn altered(staging: &mut Staging<'_>) -> Outcome<LiveTable> {
    let target = staging.request.target.clone();
    // A run that has lost changes no columns.
    if !bookkeeping::is_held(staging.session, &target, &staging.fence)? {
        return Err(fence_lost(&target));
    }
    let live = unchanged(staging)?.ok_or_else(|| target_changed(&target))?;
    alter::alter(staging.session, &live, &staging.layout)?;
    if let Disposition::Merge(fold) = &staging.request.disposition {
        let key = known_key(&staging.layout.batch, &target, &fold.key)?;
        merge::make_key_index(staging.session, &live.name, &staging.layout, &key)?;
    }
    LiveTable::read(staging.session, &target)?.ok_or_else(|| target_changed(&target))
}

/// Returns the target, which must be what the load was made for.
pub(super) fn unchanged(staging: &mut Staging<'_>) -> Outcome<Option<LiveTable>> {
    let live = LiveTable::read(staging.session, &staging.request.target)?;
    if live == staging.live { Ok(live) } else { Err(target_changed(&staging.request.target)) }
}

/// Does everything but the commit.
fn prepare(staging: &mut Staging<'_>, live: &LiveTable, request: &PublishRequest, folded: u64) -> Outcome<Committed> {
    let target = staging.request.target.clone();
    // The fence first: a run that has lost it doesn't touch a row.
    let version = bookkeeping::held(staging.session, &target, &staging.fence)? + 1;
    // From the first use on the table stays what it is until the end of the transaction.
    let touch = format!("SELECT 1 FROM {} LIMIT 0", staging.session.table(&live.name));
    staging.session.query(&touch).map_err(failed(format_args!("publishing table {target}")))?;
    if LiveTable::read(staging.session, &target)?.as_ref() != Some(live) {
        return Err(target_changed(&target));
    }
    let counts = apply(staging, live, request)?;
    let counts = Counts { folded, skipped: request.skipped, rejected: request.rejected, ..counts };
    let name = staging.session.table(&live.name);
    let rows_in_target = staging.session.count(&name)?;
    let published = Published::of(&staging.fence, &staging.request.run, request, staging.rows, &staging.layout.batch);
    let published = Published { version, counts, rows_in_target, ..published };
    bookkeeping::publish(staging.session, &target, &published, &request.files, request.replace_files)?;
    Ok(Committed { counts, rows_in_target, version, schema_changes: staging.layout.changes.clone() })
}

/// Commits; where the connection is lost before the answer, the target's row tells what became of it.
fn commit(staging: &mut Staging<'_>, committed: Committed) -> Outcome<Committed> {
    if let Err(error) = staging.session.commit() {
        let error = failed(format_args!("committing the load of {}", staging.request.target))(error);
        if !staging.session.is_lost() {
            staging.session.roll_back();
            return Err(error);
        }
        staging.session.reconnect()?;
        let version = bookkeeping::published_by(staging.session, &staging.request.target, &staging.fence)?;
        if version != Some(committed.version) {
            return Err(error);
        }
    }
    // The load is done, whatever becomes of its staging table: the next one drops what is left.
    let _ = drop_table(staging.session, &staging.table);
    Ok(committed)
}

fn apply(staging: &mut Staging<'_>, live: &LiveTable, request: &PublishRequest) -> Outcome<Counts> {
    let target = staging.request.target.clone();
    let disposition = staging.request.disposition.clone();
    let name = staging.session.table(&live.name);
    let is_full = matches!(disposition, Disposition::Full { .. });
    refuse_unexpected(staging, &name, request, is_full)?;
    let mut counts = Counts::default();
    match &disposition {
        Disposition::Merge(fold) => merge::merge(staging, live, &fold.key, &mut counts)?,
        Disposition::Window { column, from, until } => {
            let staged = staging.session.table(&staging.table);
            let condition =
                window::window(staging.session, &staging.layout.batch, &target, &staged, column, from.as_ref(), until.as_ref())?;
            counts.deleted = delete(staging.session, live, condition.as_ref())?;
            counts.added = insert(staging, live)?;
        }
        Disposition::Full { .. } => {
            counts.deleted = delete(staging.session, live, None)?;
            counts.added = insert(staging, live)?;
        }
        Disposition::Append => counts.added = insert(staging, live)?,
    }
    Ok(counts)
}

/// Refuses rows that someone put there while this first load ran, and an empty load in place of rows; returns how many rows there are
/// where it matters. `name` is SQL.
pub(super) fn refuse_unexpected(staging: &mut Staging<'_>, name: &str, request: &PublishRequest, is_full: bool) -> Outcome<u64> {
    let is_acquainted = staging.previous.as_ref().is_some_and(LoadRecord::is_acquainted);
    if is_acquainted && !is_full {
        return Ok(0);
    }
    let before = staging.session.count(name)?;
    if !is_acquainted {
        refuse_foreign(&staging.request.target, before, &staging.request.owner)?;
    }
    if is_full && staging.rows == 0 && before > 0 && !request.allow_empty {
        return Err(empty_load(&staging.request.target, before));
    }
    Ok(before)
}

fn lost(target: &str, rows: u64, found: u64) -> DestinationError {
    let message = format!("table {target}: {rows} rows were staged and {found} could be published");
    refusal("rows_lost", message, "run the job again; if it stays so, look for triggers of the table that leave rows out")
}

fn insert(staging: &mut Staging<'_>, live: &LiveTable) -> Outcome<u64> {
    let sql = insert_sql(&staging.session.table(&live.name), &staging.session.table(&staging.table), &staging.layout);
    let added = staging.session.run_unbent(&format!("publishing table {}", live.name), &sql)?;
    if added == staging.rows { Ok(added) } else { Err(lost(&live.name, staging.rows, added)) }
}

/// Returns what brings all staged rows into the target; both names are SQL.
pub(super) fn insert_sql(name: &str, staged: &str, layout: &Layout) -> String {
    let columns = listed("", layout.batch.columns.iter().map(|column| column.name.as_str()));
    format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {staged}")
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
