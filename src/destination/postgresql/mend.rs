//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use super::bookkeeping;
use super::session::{Outcome, Session, failed};
use super::staging::drop_table;
use super::table::LiveTable;
use crate::destination::ownership::{self, Books};
use crate::destination::{LoadRecord, Mended, staging_names};
use crate::plan::{MendAction, MendPlan, Owner};

impl Books for Session {
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
        let table = self.table(name);
        Session::count(self, &table)
    }
}

/// Does what a plan says, in one transaction.
pub(super) fn mend(session: &mut Session, plan: &MendPlan) -> Outcome<Mended> {
    match &plan.action {
        MendAction::DropStaging { dead_runs } => drop_staging(session, dead_runs),
        MendAction::Reset { targets } => session.in_transaction(|session| ownership::reset(session, plan, targets)),
        MendAction::TakeOver { owners } => {
            ownership::refuse_other_jobs(plan, owners)?;
            session.in_transaction(|session| ownership::take_over(session, owners))
        }
    }
}

/// Drops the staging tables of dead runs, and of no other.
fn drop_staging(session: &mut Session, dead_runs: &[String]) -> Outcome<Mended> {
    let dropped = staging_names::of_dead_runs(tables_like(session, "_etlsched_")?, dead_runs);
    if !dropped.is_empty() {
        session.in_transaction(|session| dropped.iter().try_for_each(|name| drop_table(session, name)))?;
    }
    Ok(Mended { dropped, changed: Vec::new() })
}

/// Drops every staging table of a target, however old its run: whoever has raised the fence is the only one who may publish, so that
/// all others are dead or have lost. Inside the transaction that raised it.
pub(super) fn drop_older_staging(session: &mut Session, target: &str) -> Outcome<()> {
    let targets = bookkeeping::targets(session)?.into_iter().map(|other| other.to_lowercase());
    let Some(prefix) = staging_names::prefix(&target.to_lowercase(), targets) else { return Ok(()) };
    tables_like(session, &prefix)?.iter().try_for_each(|name| drop_table(session, name))
}

/// Returns the tables of the schema whose names begin so.
pub(super) fn tables_like(session: &mut Session, prefix: &str) -> Outcome<Vec<String>> {
    let schema = session.schema.clone();
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relkind = 'r' AND starts_with(c.relname::text, $2) ORDER BY 1";
    let rows = session.rows(sql, &[Some(&schema), Some(prefix)]).map_err(failed("looking for staging tables"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
