//! PostgreSQL databases as destinations.
//!
//! A load stages its rows by COPY BINARY in one transaction that makes the staging table, then publishes in another one. Reads nothing
//! of sources. The bookkeeping tables `_etlsched_loads` and `_etlsched_files` stand in the target's schema and change in the same transaction as the rows.
//!
//! A full load takes the target's place by a rename, with everything that the target has of its own (`likeness`), which is made on the
//! staging table. A table that more hangs on (views, triggers, foreign keys, policies, partitions, publications, and whatever the catalogue
//! notes that these queries don't know) stays itself: its rows are deleted and the new ones inserted, in one transaction. Never TRUNCATE,
//! which empties the table for readers with an older snapshot, fires no triggers of rows, and is refused where others refer to it.
//!
//! Durability: the staging table is committed with `synchronous_commit = off`, the publish with what the server has set. A commit that
//! waits for the disk waits for all of the log before it, and so for the staged rows. A crash in between loses the staging table with its
//! rows, or empties one that is unlogged because it doesn't become the target: the publish counts what it moves.

mod bookkeeping;
mod checks;
mod copying;
mod evolve;
mod filling;
mod guards;
mod invalid;
mod likeness;
mod mend;
mod merge;
mod publish;
mod rehearse;
mod session;
mod staging;
mod statements;
mod table;
mod types;

#[cfg(test)]
#[cfg(unix)]
mod lock_tests;
#[cfg(test)]
#[cfg(unix)]
mod lost_tests;
#[cfg(test)]
#[cfg(unix)]
mod role_tests;
#[cfg(test)]
#[cfg(unix)]
mod table_tests;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use self::session::{Outcome, Session, refusal};
use self::table::LiveTable;
use super::{Access, Destination, InvalidValue, Load, LoadRecord, LoadRequest, Mended, Rehearsal};
use crate::batch::RecordBatch;
use crate::plan::postgresql::PostgresConnection;
use crate::plan::{MendPlan, Owner};
use crate::run::FileRecord;

/// An open PostgreSQL database.
#[derive(Debug)]
pub(super) struct Postgres {
    session: Session,
    access: Access,
}

impl Postgres {
    /// Connects.
    ///
    /// # Errors
    /// Whatever keeps the server from being reached; a schema that isn't there.
    pub(super) fn open(name: &str, connection: &PostgresConnection, schema: Option<&str>, access: Access) -> Outcome<Self> {
        Ok(Self { session: Session::open(name, connection, schema)?, access })
    }
}

impl Destination for Postgres {
    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>> {
        match bookkeeping::settled(&mut self.session, target) {
            // Who only looks is content with what stands there after minutes.
            Err(error) if self.access == Access::Read && error.code == "locked" => bookkeeping::record(&mut self.session, target),
            settled => settled,
        }
    }

    fn records(&mut self, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
        bookkeeping::settled_records(&mut self.session, workspace_id, job)
    }

    fn files(&mut self, target: &str) -> Outcome<Vec<FileRecord>> {
        bookkeeping::files(&mut self.session, target)
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
        staging::refuse_name(&request.target)?;
        let session = &mut self.session;
        let live = LiveTable::read(session, &request.target)?;
        staging::admit(session, &request.target, &request.owner, live.as_ref())?;
        let layout = staging::layout_of(session, request, &request.schema, live.as_ref())?;
        statements::statements(session, request, &staging::name(&request.target, &request.run, 0), live.as_ref(), &layout)
    }

    fn mend(&mut self, plan: &MendPlan) -> Outcome<Mended> {
        mend::mend(&mut self.session, plan)
    }
}

/// Begins a load without effect.
pub(super) fn rehearse(
    name: &str,
    connection: &PostgresConnection,
    schema: Option<&str>,
    request: &LoadRequest,
) -> Outcome<Box<dyn Rehearsal>> {
    Ok(Box::new(rehearse::Trial::begin(Session::open(name, connection, schema)?, request)?))
}

/// Returns the values of a batch that PostgreSQL can't hold, by row.
pub(super) fn invalid_values(batch: &RecordBatch) -> Vec<InvalidValue> {
    invalid::find(batch)
}
