//! Turns: how several loads write into one file side by side without failing.
//!
//! SQLite has one writer at a time. A load stages in chunks, each in a transaction of its own, and asks for the next turn here.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode};

use super::failure::{Outcome, failed};
use crate::process::{self, Holder};

/// How long SQLite itself waits for a lock inside a statement: a reader of a file without WAL meets the moment of a commit.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often a turn is asked for: shorter than the gap that a chunk's checkpoint leaves, so that turns alternate.
const POLL: Duration = Duration::from_millis(3);

/// How many times a turn is asked for: about ten minutes. A publish that rewrites a large table may hold the file for a minute.
const POLLS_MAX: u32 = 200_000;

/// What is done meanwhile.
const WAITING: &str = "waiting for the turn to write";

/// After so many polls who waits says what for: about five seconds.
const POLLS_SILENT: u32 = 1_500;

/// Hears what a thread waits for.
type Tell = Box<dyn Fn(String)>;

thread_local! {
    /// Who is told what this thread waits for.
    static TELL: RefCell<Option<Tell>> = const { RefCell::new(None) };
}

/// From now on `tell` hears of long waits of this thread.
pub(super) fn tell_waits(tell: Tell) {
    TELL.set(Some(tell));
}

/// Returns who holds the file's lock, as far as the system tells.
fn holder(connection: &Connection) -> Option<Holder> {
    process::database_writer(Path::new(connection.path()?))
}

/// Says whom a writer waits for.
fn waits_for(connection: &Connection) -> String {
    let holder = holder(connection).map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
    connection.path().map_or_else(|| format!("{holder} holds the lock"), |path| format!("{holder} holds the lock on {path}"))
}

/// Begins a writing transaction, when it is this connection's turn.
///
/// # Errors
/// `busy`, transient, when another program has held the file for ten minutes; SQLite's own.
pub(super) fn begin(connection: &Connection) -> Outcome<()> {
    patiently(connection, "BEGIN IMMEDIATE").map_err(|error| {
        let what = if is_busy(&error) { format!("{WAITING}: {}", waits_for(connection)) } else { WAITING.to_owned() };
        failed(what)(error)
    })
}

/// Commits. In a file without WAL a reader may hold the commit up for a while.
///
/// # Errors
/// SQLite's own; the transaction is rolled back then.
pub(super) fn commit(connection: &Connection) -> Outcome<()> {
    let result = patiently(connection, "COMMIT");
    if result.is_err() {
        roll_back(connection);
    }
    result.map_err(failed("committing"))
}

/// Rolls back what is open, if something is.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // A failure here leaves the transaction to the connection's end, which rolls it back too.
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// Runs a statement again and again while the file is locked. Who waits holds no lock; where the system says that it does, the system once
/// failed to release it: that ends with the process alone, so that the wait ends as `busy`, and another process tries again.
///
/// # Errors
/// SQLite's own.
pub(super) fn patiently(connection: &Connection, sql: &str) -> Result<(), Error> {
    at_once(connection, || {
        let mut polls = 0;
        loop {
            match connection.execute_batch(sql) {
                Err(error) if is_busy(&error) && polls < POLLS_MAX => {
                    polls += 1;
                    if polls == POLLS_SILENT {
                        if holder(connection).is_some_and(|holder| holder.is_this_process()) {
                            return Err(error);
                        }
                        TELL.with_borrow(|tell| tell.iter().for_each(|tell| tell(format!("{WAITING}: {}", waits_for(connection)))));
                    }
                    std::thread::sleep(POLL);
                }
                result => return result,
            }
        }
    })
}

/// Does `work` without SQLite's own waiting, whose pauses grow to 100 ms: too long to meet the gap between two chunks.
pub(super) fn at_once<T>(connection: &Connection, work: impl FnOnce() -> T) -> T {
    // Setting the timeout of an open connection can't fail.
    let _ = connection.busy_timeout(Duration::ZERO);
    let result = work();
    let _ = connection.busy_timeout(PATIENCE);
    result
}

/// Does `work` in a writing transaction: all of it, or nothing.
///
/// # Errors
/// Those of `work`, of the turn and of the commit.
pub(super) fn in_transaction<T>(connection: &Connection, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    begin(connection)?;
    match work() {
        Ok(value) => commit(connection).map(|()| value),
        Err(error) => {
            roll_back(connection);
            Err(error)
        }
    }
}

fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
