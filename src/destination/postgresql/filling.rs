//! The one transaction that fills a staging table: it makes the table, copies into it and commits, on a connection and a thread of its
//! own, so that rows are encoded while those before them are sent. Until it commits nobody sees the table.
//!
//! Rows come frozen (COPY, "FREEZE") unless some of them may be folded: whoever sees the table sees them, also a reader whose snapshot is older, and nobody who reads
//! them first has to write hint bits or visibility maps.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::copying::{HEADER, TRAILER};
use super::evolve;
use super::session::{Outcome, Session, failed, refusal};
use crate::destination::DestinationError;

/// How many pieces of some 64 KiB wait to be sent.
const WAITING_MAX: usize = 4;

/// How many bytes go by one COPY: only its end tells of an error, and nobody should have to wait for that of the table.
const COPY_BYTES: usize = 32 << 20;

/// Rows on their way.
#[derive(Debug)]
pub(super) struct Filling {
    pieces: SyncSender<Piece>,
    thread: JoinHandle<Outcome<u64>>,
    what: String,
}

enum Piece {
    /// Rows as COPY takes them, without what begins and ends a copy.
    Rows(Vec<u8>),
    /// There are no more: commit. A channel that is closed without it means that nothing shall remain.
    End,
}

impl Filling {
    /// Starts to fill: `create` makes the table, `copy` takes its rows. `what` is done, for messages.
    ///
    /// # Errors
    /// Whatever keeps the server from being reached.
    pub(super) fn begin(session: &Session, create: Vec<String>, copy: String, what: &str) -> Outcome<Self> {
        let session = session.another()?;
        let (pieces, waiting) = sync_channel(WAITING_MAX);
        let own = what.to_owned();
        let thread = std::thread::Builder::new()
            .name("postgresql staging".to_owned())
            .spawn(move || fill(session, &create, &copy, &waiting, &own))
            .map_err(|error| refusal("io", format!("{what}: start a thread: {error}"), "look at the limits of this user's processes"))?;
        Ok(Self { pieces, thread, what: what.to_owned() })
    }

    /// Hands on rows as COPY takes them.
    ///
    /// # Errors
    /// Nobody takes them any more: [`Filling::ended`] tells why.
    pub(super) fn send(&self, rows: Vec<u8>) -> Result<(), ()> {
        self.pieces.send(Piece::Rows(rows)).map_err(|_| ())
    }

    /// Commits; returns how many rows the server took.
    ///
    /// # Errors
    /// What kept the rows from being staged: there is no table then.
    pub(super) fn finish(self) -> Outcome<u64> {
        // Whether anybody takes it is seen by how the thread ends.
        let _ = self.pieces.send(Piece::End);
        self.joined()
    }

    /// Returns why rows are not taken any more.
    pub(super) fn ended(self) -> DestinationError {
        let what = self.what.clone();
        let silent = || refusal("internal", format!("{what}: the rows were not taken, and nobody said why"), "run the job again");
        self.joined().map_or_else(|error| error, |_| silent())
    }

    /// Rolls back.
    pub(super) fn abandon(self) {
        drop(self.pieces);
        let _ = self.thread.join();
    }

    fn joined(self) -> Outcome<u64> {
        drop(self.pieces);
        let panicked = || refusal("internal", format!("{}: a fault of etlsched itself", self.what), "report it");
        self.thread.join().unwrap_or_else(|_| Err(panicked()))
    }
}

/// The thread: everything from BEGIN to COMMIT.
fn fill(mut session: Session, create: &[String], copy: &str, pieces: &Receiver<Piece>, what: &str) -> Outcome<u64> {
    session.begin()?;
    // The publish waits for the disk, and with it for everything that was written before it.
    session.run("SET LOCAL synchronous_commit = off").map_err(failed(what))?;
    create.iter().try_for_each(|sql| evolve::altered(session.run(sql), what))?;
    let mut rows = 0;
    loop {
        let (taken, next) = copy_some(&mut session, copy, pieces, what)?;
        rows += taken;
        match next {
            Next::More => {}
            Next::End => break,
        }
    }
    session.commit().map_err(failed(what))?;
    Ok(rows)
}

/// What comes after a COPY.
enum Next {
    More,
    End,
}

/// Sends pieces by one COPY; returns how many rows the server took.
fn copy_some(session: &mut Session, copy: &str, pieces: &Receiver<Piece>, what: &str) -> Outcome<(u64, Next)> {
    let mut writer = session.client.copy_in(copy).map_err(failed(what))?;
    let mut sent = writer.write_all(HEADER);
    let mut bytes = 0;
    let mut next = Next::More;
    while sent.is_ok() && bytes < COPY_BYTES {
        match pieces.recv() {
            Ok(Piece::Rows(rows)) => {
                bytes += rows.len();
                sent = writer.write_all(&rows);
            }
            Ok(Piece::End) => {
                next = Next::End;
                break;
            }
            // The copy is dropped with its writer, and the transaction with its session.
            Err(_) => return Err(refusal("cancelled", format!("{what}: given up"), "run the job again")),
        }
    }
    let sent = sent.and_then(|()| writer.write_all(&TRAILER));
    // Why the server took no more is told by the end of the COPY.
    let taken = writer.finish().map_err(failed(what))?;
    match sent {
        Ok(()) => Ok((taken, next)),
        Err(error) => {
            Err(DestinationError { is_transient: true, ..refusal("disconnected", format!("{what}: {error}"), "run the job again") })
        }
    }
}
