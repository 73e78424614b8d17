//! SQLite files as destinations: the embedded warehouse and files of others.
//!
//! A load stages its rows in chunks (so that loads side by side take turns), then publishes in one short transaction. Reads
//! nothing of sources. The bookkeeping tables `_etlsched_loads` and `_etlsched_files` stand in the same file and change in
//! the same transaction as the rows.
//!
//! Durability: chunks, and the fence before them, are committed with `synchronous=NORMAL`, never with OFF. In WAL mode NORMAL loses
//! the last commits at a power cut but never their order: a commit syncs nothing, each frame's checksum covers all frames before it,
//! and recovery ends at the first that doesn't fit. The publish is committed with FULL, which syncs the whole log and so every chunk
//! still in it. Chunks that a checkpoint has copied before are safe too: under NORMAL it syncs the log before it writes to the file,
//! and the file before the log may begin anew, whose new header is synced as well. (With OFF it would do neither: frames that never
//! reached the disk would be half copied, the log begun anew over them, and a publish with FULL couldn't bring them back.) So a publish
//! that is there has all its rows, and before it a power cut loses no more than staged rows. In files without WAL, where NORMAL may
//! damage the file, FULL holds throughout; no other program can leave WAL mode while we hold the file open.

mod bind;
mod bookkeeping;
mod cells;
mod checks;
mod copying;
mod evolve;
mod failure;
mod file;
mod invalid;
mod lock;
mod mend;
mod merge;
mod publish;
mod rehearse;
mod rewrite;
mod staging;
mod statements;
mod table;
mod types;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use self::failure::{Outcome, failed, refusal};
use self::table::LiveTable;
use super::evolution::{self, Layout};
use super::{Access, Destination, Disposition, InvalidValue, Load, LoadRecord, LoadRequest, Mended, Rehearsal};
use crate::batch::RecordBatch;
use crate::plan::{MendPlan, Owner, Publish};
use crate::run::FileRecord;

/// An open SQLite file.
#[derive(Debug)]
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    access: Access,
    /// Whether chunks may be committed without a sync.
    is_wal: bool,
}

impl Sqlite {
    /// Opens a file; makes it for [`Access::Write`] (0600, its folder 0700).
    ///
    /// # Errors
    /// What the system or SQLite says.
    pub(super) fn open(name: &str, path: &Path, access: Access) -> Outcome<Option<Self>> {
        let Some(connection) = file::open(name, path, access)? else { return Ok(None) };
        types::register(&connection).map_err(failed(format_args!("opening {}", path.display())))?;
        let mode: String = connection
            .query_row("SELECT journal_mode FROM pragma_journal_mode", [], |row| row.get(0))
            .map_err(failed(format_args!("destination {name}: opening {}", path.display())))?;
        let is_wal = mode.eq_ignore_ascii_case("wal");
        Ok(Some(Self { connection, path: path.to_owned(), access, is_wal }))
    }

    /// Sets how a commit is synced: chunks as far as order needs it, publishes to the disk.
    fn sync_chunks(&self) -> Outcome<()> {
        let level = if self.is_wal { "NORMAL" } else { "FULL" };
        self.connection.pragma_update(None, "synchronous", level).map_err(failed("setting synchronous"))
    }

    fn sync_publish(&self) -> Outcome<()> {
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(failed("setting synchronous"))
    }

    /// Copies the log into the file; returns whether all of it was. `TRUNCATE` and `RESTART` give up at once while someone reads: the next one does it.
    fn checkpoint(&self, kind: &str) -> bool {
        let sql = format!("PRAGMA wal_checkpoint({kind})");
        let is_busy = lock::at_once(&self.connection, || self.connection.query_row(&sql, [], |row| row.get::<_, bool>(0)));
        is_busy.is_ok_and(|is_busy| !is_busy)
    }
}

impl Destination for Sqlite {
    fn attend(&mut self, tell: Box<dyn Fn(String)>) {
        lock::tell_waits(tell);
    }

    fn record(&mut self, target: &str) -> Outcome<Option<LoadRecord>> {
        bookkeeping::record(&self.connection, target)
    }

    fn records(&mut self, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
        bookkeeping::records(&self.connection, workspace_id, job)
    }

    fn files(&mut self, target: &str) -> Outcome<Vec<FileRecord>> {
        bookkeeping::files(&self.connection, target)
    }

    fn has_table(&mut self, target: &str) -> Outcome<bool> {
        Ok(LiveTable::read(&self.connection, target)?.is_some())
    }

    fn rows(&mut self, target: &str) -> Outcome<u64> {
        LiveTable::read(&self.connection, target)?.map_or(Ok(0), |live| publish::count(&self.connection, &live.name))
    }

    fn admit(&mut self, target: &str, owner: &Owner) -> Outcome<()> {
        let live = LiveTable::read(&self.connection, target)?;
        staging::admit(&self.connection, target, owner, live.as_ref()).map(|_| ())
    }

    fn begin(&mut self, request: &LoadRequest) -> Outcome<Box<dyn Load + '_>> {
        if self.access == Access::Read {
            return Err(refusal("not_permitted", format!("{} is open for reading only", self.path.display()), "open it for loads"));
        }
        Ok(Box::new(staging::Staging::begin(self, request)?))
    }

    fn statements(&mut self, request: &LoadRequest) -> Outcome<Vec<String>> {
        staging::refuse_name(&request.target)?;
        let live = LiveTable::read(&self.connection, &request.target)?;
        staging::admit(&self.connection, &request.target, &request.owner, live.as_ref())?;
        let layout = staging::layout_of(&self.connection, request, &request.schema, live.as_ref())?;
        statements(request, live.as_ref().map(|live| (&self.connection, live)), &layout)
    }

    fn mend(&mut self, plan: &MendPlan) -> Outcome<Mended> {
        mend::mend(self, plan)
    }
}

/// Returns the statements of a load into a file that isn't there.
///
/// # Errors
/// A name or columns that SQLite doesn't take.
pub(super) fn statements_for_new(request: &LoadRequest) -> Outcome<Vec<String>> {
    staging::refuse_name(&request.target)?;
    let layout = evolution::layout::<evolve::Live<'_>>(request, None, None, &request.schema)?;
    statements(request, None, &layout)
}

/// Begins a load without effect.
pub(super) fn rehearse(name: &str, path: &Path, request: &LoadRequest) -> Outcome<Box<dyn Rehearsal>> {
    Ok(Box::new(rehearse::Trial::begin(name, path, request)?))
}

/// Returns the values of a batch that SQLite can't hold, by row.
pub(super) fn invalid_values(batch: &RecordBatch) -> Vec<InvalidValue> {
    invalid::find(batch)
}

fn statements(request: &LoadRequest, there: Option<(&Connection, &LiveTable)>, layout: &Layout) -> Outcome<Vec<String>> {
    statements::statements(request, &staging::name(&request.target, &request.run, 0), there, layout)
}

/// Whether the staged rows take the table's place by a rename: a table that is nothing but columns, or none.
fn is_swap(disposition: &Disposition, live: Option<&LiveTable>) -> bool {
    matches!(disposition, Disposition::Full { publish: Publish::Swap, .. }) && live.is_none_or(LiveTable::is_plain)
}
