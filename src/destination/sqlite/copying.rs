//! Copying the log into the file while the next chunk is written: a thread of its own, with a connection of its own.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

/// The copying that is under way, if any. It ends before this is dropped.
#[derive(Debug, Default)]
pub(super) struct Copying {
    thread: Option<JoinHandle<()>>,
}

impl Copying {
    /// Begins to copy what is committed, unless copying is under way.
    ///
    /// What can't be copied now stays in the log, for the next time: nothing is lost by a failure here.
    pub(super) fn begin(&mut self, path: &Path) {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.end();
        let path = path.to_owned();
        self.thread = std::thread::Builder::new().spawn(move || _ = copy(path)).ok();
    }

    /// Waits for its end: a checkpoint that wants the log for itself would give up at once.
    pub(super) fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is no fault of the load: the log is copied later.
            let _ = thread.join();
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.end();
    }
}

/// A checkpoint that neither waits for readers nor keeps writers waiting; it syncs the log first and the file last.
fn copy(path: PathBuf) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
