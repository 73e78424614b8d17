//! Putting the bookkeeping in order: what dead runs left, fresh starts, other owners.

use std::collections::BTreeSet;

use super::bookkeeping;
use super::session::{Outcome, Session, refusal};
use super::staging::{drop_table, run_mark, target_hash};
use super::table::{LiveTable, names_in};
use super::{pending, records};
use crate::destination::{LoadRecord, Mended};
use crate::plan::{MendAction, MendPlan, Owner};

/// Does what a plan says; what stands in the bookkeeping in one transaction.
pub(super) fn mend(session: &mut Session, plan: &MendPlan) -> Outcome<Mended> {
    match &plan.action {
        MendAction::DropStaging { dead_runs } => drop_staging(session, dead_runs),
        MendAction::Reset { targets } => reset(session, plan, targets),
        MendAction::TakeOver { owners } => take_over(session, plan, owners),
    }
}

/// Drops the staging tables of dead runs, and of no other.
fn drop_staging(session: &mut Session, dead_runs: &[String]) -> Outcome<Mended> {
    let marks: BTreeSet<String> = dead_runs.iter().map(|run_id| run_mark(run_id)).collect();
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
    let names = names_in(session, "_etlsched_")?;
    let is_dead = |name: &String| name.split('_').nth(3).is_some_and(|mark| marks.contains(mark));
    let dropped: Vec<String> = names.into_iter().filter(is_dead).collect();
    dropped.iter().try_for_each(|name| drop_table(session, name))?;
    Ok(Mended { dropped, changed: Vec::new() })
}

/// Drops every staging table of a target, however old its run: whoever has raised the fence is the only one who may publish, so that
/// all others are dead or have lost. What was pending is settled.
pub(super) fn drop_older_staging(session: &mut Session, target: &str) -> Outcome<()> {
    let hash = target_hash(target);
    let is_other = |other: &String| other.to_lowercase() != target.to_lowercase();
    let twin = bookkeeping::targets(session)?.iter().any(|other| is_other(other) && target_hash(other) == hash);
    if twin {
        // Two names with one mark: the tables can't be told apart, and the other target's load may be under way.
        return Ok(());
    }
    names_in(session, &format!("_etlsched_{hash}_"))?.iter().try_for_each(|name| drop_table(session, name))
}

fn reset(session: &mut Session, plan: &MendPlan, targets: &[String]) -> Outcome<Mended> {
    settle_all(session, targets.iter().map(String::as_str))?;
    session.in_transaction(|session| {
        let mut changed = Vec::new();
        for target in targets {
            let record = records::record(session, target)?;
            let own = |owner: &Owner| owner.workspace_id == plan.workspace_id && owner.job == plan.job;
            if let Some(record) = record.filter(|record| own(&record.owner)) {
                bookkeeping::forget(session, &record.target, &record.owner)?;
                changed.push(record.target);
            }
        }
        Ok(Mended { dropped: Vec::new(), changed })
    })
}

fn take_over(session: &mut Session, plan: &MendPlan, owners: &[(String, Owner)]) -> Outcome<Mended> {
    if let Some((target, owner)) = owners.iter().find(|(_, owner)| owner.workspace_id != plan.workspace_id || owner.job != plan.job) {
        let message = format!("table {target} can't be given to job {}, which isn't the one that asks for it", owner.job);
        return Err(refusal("owner_clash", message, "a job takes tables over for its own sources only"));
    }
    bookkeeping::make_tables(session)?;
    settle_all(session, owners.iter().map(|(target, _)| target.as_str()))?;
    session.in_transaction(|session| {
        let mut changed = Vec::new();
        for (target, owner) in owners {
            let record = records::record(session, target)?;
            let is_acquainted = record.as_ref().is_some_and(LoadRecord::is_acquainted);
            let foreign = if is_acquainted { None } else { LiveTable::read(session, target)? };
            if let Some(record) = record.as_ref().filter(|record| record.owner != *owner) {
                bookkeeping::forget(session, &record.target, owner)?;
                changed.push(record.target.clone());
            }
            if let Some(live) = foreign {
                let table = session.table(&live.name);
                let rows = session.count(&table)?;
                bookkeeping::make_acquainted(session, &live.name, owner, rows)?;
                if record.is_none_or(|record| record.owner == *owner) {
                    changed.push(live.name);
                }
            }
        }
        Ok(Mended { dropped: Vec::new(), changed })
    })
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
