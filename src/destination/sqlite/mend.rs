//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::failure::{Outcome, failed, refusal};
use super::staging::{drop_table, run_mark, target_hash};
use super::table::LiveTable;
use super::{Sqlite, bookkeeping, lock, publish};
use crate::destination::{LoadRecord, Mended};
use crate::plan::{MendAction, MendPlan, Owner};

/// Does what a plan says, in one transaction.
pub(super) fn mend(destination: &Sqlite, plan: &MendPlan) -> Outcome<Mended> {
    let connection = &destination.connection;
    let mended = match &plan.action {
        MendAction::DropStaging { dead_runs } => drop_staging(connection, dead_runs)?,
        MendAction::Reset { targets } => reset(connection, plan, targets)?,
        MendAction::TakeOver { owners } => take_over(connection, plan, owners)?,
    };
    if destination.is_wal && mended != Mended::default() {
        destination.checkpoint("TRUNCATE");
    }
    Ok(mended)
}

/// Drops the staging tables of dead runs, and of no other.
fn drop_staging(connection: &Connection, dead_runs: &[String]) -> Outcome<Mended> {
    let marks: BTreeSet<String> = dead_runs.iter().map(|run_id| run_mark(run_id)).collect();
    let names = tables_like(connection, "_etlsched_")?;
    let is_dead = |name: &String| name.split('_').nth(3).is_some_and(|mark| marks.contains(mark));
    let dropped: Vec<String> = names.into_iter().filter(is_dead).collect();
    if !dropped.is_empty() {
        lock::in_transaction(connection, || dropped.iter().try_for_each(|name| drop_table(connection, name)))?;
    }
    Ok(Mended { dropped, changed: Vec::new() })
}

/// Drops every staging table of a target, however old its run: whoever has raised the fence is the only one who may publish, so that
/// all others are dead or have lost. Inside the transaction that raised it.
pub(super) fn drop_older_staging(connection: &Connection, target: &str) -> Outcome<()> {
    let hash = target_hash(target);
    let twin =
        bookkeeping::targets(connection)?.into_iter().any(|other| !other.eq_ignore_ascii_case(target) && target_hash(&other) == hash);
    if twin {
        // Two names with one mark: the tables can't be told apart, and the other target's load may be under way.
        return Ok(());
    }
    tables_like(connection, &format!("_etlsched_{hash}_"))?.iter().try_for_each(|name| drop_table(connection, name))
}

/// Returns the tables whose names begin so, in any case.
pub(super) fn tables_like(connection: &Connection, prefix: &str) -> Outcome<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(substr(name, 1, length(?1))) = lower(?1) ORDER BY name";
        connection.prepare(sql)?.query_map([prefix], |row| row.get(0))?.collect()
    };
    read().map_err(failed("looking for staging tables"))
}

fn reset(connection: &Connection, plan: &MendPlan, targets: &[String]) -> Outcome<Mended> {
    lock::in_transaction(connection, || {
        let mut changed = Vec::new();
        for target in targets {
            let record = bookkeeping::record(connection, target)?;
            let own = |owner: &Owner| owner.workspace_id == plan.workspace_id && owner.job == plan.job;
            if let Some(record) = record.filter(|record| own(&record.owner)) {
                bookkeeping::forget(connection, &record.target, &record.owner)?;
                changed.push(record.target);
            }
        }
        Ok(Mended { dropped: Vec::new(), changed })
    })
}

fn take_over(connection: &Connection, plan: &MendPlan, owners: &[(String, Owner)]) -> Outcome<Mended> {
    if let Some((target, owner)) = owners.iter().find(|(_, owner)| owner.workspace_id != plan.workspace_id || owner.job != plan.job) {
        let message = format!("table {target} can't be given to job {}, which isn't the one that asks for it", owner.job);
        return Err(refusal("owner_clash", message, "a job takes tables over for its own sources only"));
    }
    lock::in_transaction(connection, || {
        let mut changed = Vec::new();
        for (target, owner) in owners {
            let record = bookkeeping::record(connection, target)?;
            let is_acquainted = record.as_ref().is_some_and(LoadRecord::is_acquainted);
            let foreign = if is_acquainted { None } else { LiveTable::read(connection, target)? };
            if let Some(record) = record.as_ref().filter(|record| record.owner != *owner) {
                bookkeeping::forget(connection, &record.target, owner)?;
                changed.push(record.target.clone());
            }
            if let Some(live) = foreign {
                let rows = publish::count(connection, &live.name)?;
                bookkeeping::make_acquainted(connection, &live.name, owner, rows)?;
                if record.is_none_or(|record| record.owner == *owner) {
                    changed.push(live.name);
                }
            }
        }
        Ok(Mended { dropped: Vec::new(), changed })
    })
}
