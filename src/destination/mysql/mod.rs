//! MySQL and MariaDB databases as destinations.
//!
//! A load stages its rows, a batch a statement, then publishes. Reads nothing of sources. The bookkeeping tables `_etlsched_loads` and
//! `_etlsched_files` stand in the target's database.
//!
//! Every statement that defines a table commits by itself here. A full load into a table that a copy of its definition can replace is
//! published by one RENAME, announced before and settled after it ([`pending`]). Everything else (a merge, a window, rows that are added,
//! a table with triggers, foreign keys, partitions, AUTO_INCREMENT or history) is one InnoDB transaction with the bookkeeping; columns
//! that are new or wider come before it, in steps that leave old values as they are.

mod alter;
mod bookkeeping;
mod checks;
mod copying;
mod evolve;
mod invalid;
mod mend;
mod merge;
mod pending;
mod publish;
mod records;
mod rehearse;
mod sending;
mod session;
mod staging;
mod statements;
mod swap;
mod table;
mod types;
mod window;

#[cfg(test)]
#[cfg(unix)]
mod lost_tests;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use self::session::{Outcome, Session, refusal};
use self::table::LiveTable;
use self::types::Dialect;
use super::{Access, Destination, InvalidValue, Load, LoadRecord, LoadRequest, Mended, Rehearsal};
use crate::batch::RecordBatch;
use crate::plan::mysql::MysqlDestinationPlan;
use crate::plan::{MendPlan, Owner};
use crate::run::FileRecord;

/// An open MySQL or MariaDB database.
#[derive(Debug)]
pub(super) struct Mysql {
    session: Session,
    access: Access,
}

impl Mysql {
    /// Connects.
    ///
    /// # Errors
    /// Whatever keeps the server from being reached; a database that isn't there; a server that is too old.
    pub(super) fn open(name: &str, plan: &MysqlDestinationPlan, schema: Option<&str>, access: Access) -> Outcome<Self> {
        Ok(Self { session: Session::open(name, plan, schema)?, access })
    }
}

impl Destination for Mysql {
    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>> {
        records::record(&mut self.session, target)
    }

    fn records(&mut self, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
        records::records(&mut self.session, workspace_id, job)
    }

    fn files(&mut self, target: &str) -> Outcome<Vec<FileRecord>> {
        records::files(&mut self.session, target)
    }

    fn has_table(&mut self, target: &str) -> Outcome<bool> {
        Ok(LiveTable::read(&mut self.session, target)?.is_some())
    }

    fn rows(&mut self, target: &str) -> Outcome<u64> {
        let Some(live) = LiveTable::read(&mut self.session, target)? else { return Ok(0) };
        let name = self.session.table(&live.name);
        self.session.count(&name)
    }

    fn admit(&mut self, target: &str, owner: &Owner) -> Outcome<()> {
        let live = LiveTable::read(&mut self.session, target)?;
        staging::admit(&mut self.session, target, owner, live.as_ref()).map(|_| ())
    }

    fn begin(&mut self, request: &LoadRequest) -> Outcome<Box<dyn Load + '_>> {
        if self.access == Access::Read {
            return Err(refusal("not_permitted", "the destination is open for reading only", "open it for loads"));
        }
        Ok(Box::new(staging::Staging::begin(&mut self.session, request)?))
    }

    fn statements(&mut self, request: &LoadRequest) -> Outcome<Vec<String>> {
        let session = &mut self.session;
        let (live, _, layout) = staging::look(session, request)?;
        statements::statements(session, request, &staging::name(&request.target, &request.run, 0), live.as_ref(), &layout)
    }

    fn mend(&mut self, plan: &MendPlan) -> Outcome<Mended> {
        mend::mend(&mut self.session, plan)
    }
}

/// Begins a load without effect.
pub(super) fn rehearse(
    name: &str,
    plan: &MysqlDestinationPlan,
    schema: Option<&str>,
    request: &LoadRequest,
) -> Outcome<Box<dyn Rehearsal>> {
    Ok(Box::new(rehearse::Trial::begin(Session::open(name, plan, schema)?, request)?))
}

/// Returns the values of a batch that neither engine can hold, by row.
pub(super) fn invalid_values(batch: &RecordBatch) -> Vec<InvalidValue> {
    invalid::find(batch, &[], Dialect::MariaDb)
}
