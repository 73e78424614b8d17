//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use super::bookkeeping;
use super::session::{Outcome, Session};
use super::staging::drop_table;
use super::table::{LiveTable, names_in};
use super::{pending, records};
use crate::destination::ownership::{self, Books};
use crate::destination::{LoadRecord, Mended, staging_names};
use crate::plan::{MendAction, MendPlan, Owner};

impl Books for Session {
    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>> {
        records::record(self, target)
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

/// Does what a plan says; what stands in the bookkeeping in one transaction.
pub(super) fn mend(session: &mut Session, plan: &MendPlan) -> Outcome<Mended> {
    match &plan.action {
        MendAction::DropStaging { dead_runs } => drop_staging(session, dead_runs),
        MendAction::Reset { targets } => {
            settle_all(session, targets.iter().map(String::as_str))?;
            session.in_transaction(|session| ownership::reset(session, plan, targets))
        }
        MendAction::TakeOver { owners } => {
            ownership::refuse_other_jobs(plan, owners)?;
            bookkeeping::make_tables(session)?;
            settle_all(session, owners.iter().map(|(target, _)| target.as_str()))?;
            session.in_transaction(|session| ownership::take_over(session, owners))
        }
    }
}

/// Drops the staging tables of dead runs, and of no other.
fn drop_staging(session: &mut Session, dead_runs: &[String]) -> Outcome<Mended> {
    if bookkeeping::has_tables(session)? {
        // A dead run's table that stands aside may be all that is left of its target.
        for target in bookkeeping::targets(session)? {
            if let Some(pending) = bookkeeping::pending(session, &target)?
                && dead_runs.contains(&pending.published.run_id)
            {
                pending::settle(session, &target)?;
            }
        }
    }
    let dropped = staging_names::of_dead_runs(names_in(session, "_etlsched_")?, dead_runs);
    dropped.iter().try_for_each(|name| drop_table(session, name))?;
    Ok(Mended { dropped, changed: Vec::new() })
}

/// Drops every staging table of a target, however old its run: whoever has raised the fence is the only one who may publish, so that
/// all others are dead or have lost. What was pending is settled.
pub(super) fn drop_older_staging(session: &mut Session, target: &str) -> Outcome<()> {
    let targets = bookkeeping::targets(session)?.into_iter().map(|other| other.to_lowercase());
    let Some(prefix) = staging_names::prefix(&target.to_lowercase(), targets) else { return Ok(()) };
    names_in(session, &prefix)?.iter().try_for_each(|name| drop_table(session, name))
}

/// Settles what dead runs left pending for targets.
fn settle_all<'a>(session: &mut Session, targets: impl Iterator<Item = &'a str>) -> Outcome<()> {
    if !bookkeeping::has_tables(session)? {
        return Ok(());
    }
    for target in targets {
        pending::settle(session, target)?;
    }
    Ok(())
}
