//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use rusqlite::Connection;

use super::failure::{Outcome, failed};
use super::staging::drop_table;
use super::table::LiveTable;
use super::{Sqlite, bookkeeping, lock, publish};
use crate::destination::ownership::{self, Books};
use crate::destination::{LoadRecord, Mended, staging_names};
use crate::plan::{MendAction, MendPlan, Owner};

impl Books for &Connection {
    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>> {
        bookkeeping::record(self, target)
    }

    fn forget(&mut self, target: &str, owner: &Owner) -> Outcome<()> {
        bookkeeping::forget(self, target, owner)
    }

    fn make_acquainted(&mut self, target: &str, owner: &Owner, rows: u64) -> Outcome<()> {
        bookkeeping::make_acquainted(self, target, owner, rows)
    }

    fn spelling(&mut self, target: &str) -> Outcome<Option<String>> {
        Ok(LiveTable::read(self, target)?.map(|live| live.name))
    }

    fn count(&mut self, name: &str) -> Outcome<u64> {
        publish::count(self, name)
    }
}

/// Does what a plan says, in one transaction.
pub(super) fn mend(destination: &Sqlite, plan: &MendPlan) -> Outcome<Mended> {
    let mut connection = &destination.connection;
    let mended = match &plan.action {
        MendAction::DropStaging { dead_runs } => drop_staging(connection, dead_runs)?,
        MendAction::Reset { targets } => lock::in_transaction(connection, || ownership::reset(&mut connection, plan, targets))?,
        MendAction::TakeOver { owners } => {
            ownership::refuse_other_jobs(plan, owners)?;
            lock::in_transaction(connection, || ownership::take_over(&mut connection, owners))?
        }
    };
    if destination.is_wal && mended != Mended::default() {
        destination.checkpoint("TRUNCATE");
    }
    Ok(mended)
}

/// Drops the staging tables of dead runs, and of no other.
fn drop_staging(connection: &Connection, dead_runs: &[String]) -> Outcome<Mended> {
    let dropped = staging_names::of_dead_runs(tables_like(connection, "_etlsched_")?, dead_runs);
    if !dropped.is_empty() {
        lock::in_transaction(connection, || dropped.iter().try_for_each(|name| drop_table(connection, name)))?;
    }
    Ok(Mended { dropped, changed: Vec::new() })
}

/// Drops every staging table of a target, however old its run: whoever has raised the fence is the only one who may publish, so that
/// all others are dead or have lost. Inside the transaction that raised it.
pub(super) fn drop_older_staging(connection: &Connection, target: &str) -> Outcome<()> {
    let targets = bookkeeping::targets(connection)?.into_iter().map(|other| other.to_ascii_lowercase());
    let Some(prefix) = staging_names::prefix(&target.to_ascii_lowercase(), targets) else { return Ok(()) };
    tables_like(connection, &prefix)?.iter().try_for_each(|name| drop_table(connection, name))
}

/// Returns the tables whose names begin so, in any case.
pub(super) fn tables_like(connection: &Connection, prefix: &str) -> Outcome<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(substr(name, 1, length(?1))) = lower(?1) ORDER BY name";
        connection.prepare(sql)?.query_map([prefix], |row| row.get(0))?.collect()
    };
    read().map_err(failed("looking for staging tables"))
}
