//! Who may load a table: who is admitted, what a fresh start forgets, how a table gets another owner.

use super::failure::{Outcome, refusal};
use super::record::foreign_table;
use super::{LoadRecord, Mended};
use crate::plan::{MendPlan, Owner};

/// An engine's bookkeeping and tables.
pub(super) trait Books {
    /// Returns the target's bookkeeping row.
    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>>;

    /// Makes the next load a first one, of this owner.
    fn forget(&mut self, target: &str, owner: &Owner) -> Outcome<()>;

    /// Lets this owner replace the rows of a table that no load brought.
    fn make_acquainted(&mut self, target: &str, owner: &Owner, rows: u64) -> Outcome<()>;

    /// Returns the name of a table as it is spelled there; `None` where there is none.
    fn spelling(&mut self, target: &str) -> Outcome<Option<String>>;

    /// Returns how many rows a table has.
    fn count(&mut self, name: &str) -> Outcome<u64>;
}

/// Returns the target's bookkeeping row, where this owner may load it. `live` is the name of the table that is there.
///
/// # Errors
/// `owner_clash`; `foreign_table` where the table has rows that no load brought and nobody took over.
pub(super) fn admit(books: &mut impl Books, target: &str, owner: &Owner, live: Option<&str>) -> Outcome<Option<LoadRecord>> {
    let record = books.record(target)?;
    if let Some(record) = &record {
        record.refuse_other_owner(owner)?;
    }
    if let Some(live) = live.filter(|_| !record.as_ref().is_some_and(LoadRecord::is_acquainted)) {
        refuse_foreign(live, books.count(live)?, owner)?;
    }
    Ok(record)
}

/// Refuses rows that no load brought.
pub(super) fn refuse_foreign(target: &str, rows: u64, owner: &Owner) -> Outcome<()> {
    if rows > 0 { Err(foreign_table(target, rows, owner)) } else { Ok(()) }
}

/// Forgets what was loaded into those of the targets that the plan's job loads. Inside a transaction.
pub(super) fn reset(books: &mut impl Books, plan: &MendPlan, targets: &[String]) -> Outcome<Mended> {
    let mut changed = Vec::new();
    for target in targets {
        if let Some(record) = books.record(target)?.filter(|record| is_of(plan, &record.owner)) {
            books.forget(&record.target, &record.owner)?;
            changed.push(record.target);
        }
    }
    Ok(Mended { dropped: Vec::new(), changed })
}

/// Refuses to give tables to other jobs than the plan's.
pub(super) fn refuse_other_jobs(plan: &MendPlan, owners: &[(String, Owner)]) -> Outcome<()> {
    let Some((target, owner)) = owners.iter().find(|(_, owner)| !is_of(plan, owner)) else { return Ok(()) };
    let message = format!("table {target} can't be given to job {}, which isn't the one that asks for it", owner.job);
    Err(refusal("owner_clash", message, "a job takes tables over for its own sources only"))
}

fn is_of(plan: &MendPlan, owner: &Owner) -> bool {
    owner.workspace_id == plan.workspace_id && owner.job == plan.job
}

/// Gives tables to owners, with the rows that no load brought. Inside a transaction.
pub(super) fn take_over(books: &mut impl Books, owners: &[(String, Owner)]) -> Outcome<Mended> {
    let mut changed = Vec::new();
    for (target, owner) in owners {
        let record = books.record(target)?;
        let is_acquainted = record.as_ref().is_some_and(LoadRecord::is_acquainted);
        let foreign = if is_acquainted { None } else { books.spelling(target)? };
        if let Some(record) = record.as_ref().filter(|record| record.owner != *owner) {
            books.forget(&record.target, owner)?;
            changed.push(record.target.clone());
        }
        if let Some(live) = foreign {
            let rows = books.count(&live)?;
            books.make_acquainted(&live, owner, rows)?;
            if record.is_none_or(|record| record.owner == *owner) {
                changed.push(live);
            }
        }
    }
    Ok(Mended { dropped: Vec::new(), changed })
}
