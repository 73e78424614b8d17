//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::failure::{Outcome, failed, refusal};
use super::staging::{drop_table, run_mark};
use super::{Sqlite, bookkeeping, lock};
use crate::destination::Mended;
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
            if let Some(record) = bookkeeping::record(connection, target)?.filter(|record| record.owner != *owner) {
                bookkeeping::forget(connection, &record.target, owner)?;
                changed.push(record.target);
            }
        }
        Ok(Mended { dropped: Vec::new(), changed })
    })
}
