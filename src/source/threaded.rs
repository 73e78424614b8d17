//! A reader of what a thread of its own reads, which owns the connection: what waits is bounded by batches.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::nulled::Nulled;
use super::{Read, Reader, SourceError};
use crate::batch::Schema;
use crate::plan::Level;
use crate::run::FileRecord;

/// What the thread hands over: rows, or the news that it begins again; and the bytes taken so far.
pub(super) type Item = Result<(Handed, u64), SourceError>;

/// See [`Item`].
pub(super) enum Handed {
    Read(Read),
    /// Everything begins again, with these columns.
    Again {
        reason: String,
        schema: Schema,
    },
}

/// What the thread does.
type Work = Box<dyn FnOnce(&SyncSender<Item>) + Send>;

/// Takes what the reading thread hands over.
pub(super) struct ThreadedReader {
    schema: Schema,
    thread: &'static str,
    /// What begins with the first read: whoever asks for columns alone makes the server send nothing.
    pending: Option<(Work, SyncSender<Item>)>,
    items: Receiver<Item>,
    bytes: u64,
    is_done: bool,
    nulled: Nulled,
    log: Vec<(Level, String)>,
}

impl ThreadedReader {
    /// Gets ready: `work` runs on a thread of that name.
    pub(super) fn new(
        thread: &'static str,
        schema: Schema,
        nulled: Nulled,
        log: Vec<(Level, String)>,
        work: impl FnOnce(&SyncSender<Item>) + Send + 'static,
    ) -> Self {
        let (sender, items) = sync_channel(1);
        Self { schema, thread, pending: Some((Box::new(work), sender)), items, bytes: 0, is_done: false, nulled, log }
    }
}

impl Reader for ThreadedReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        if self.is_done {
            return Ok(Read::End);
        }
        if let Some((work, sender)) = self.pending.take() {
            std::thread::Builder::new()
                .name(self.thread.to_owned())
                .spawn(move || work(&sender))
                .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        }
        let (handed, bytes) = self.items.recv().map_err(|_| silent())??;
        self.bytes = bytes;
        let read = match handed {
            Handed::Read(read) => read,
            Handed::Again { reason, schema } => {
                self.schema = schema;
                Read::Restart { reason }
            }
        };
        self.is_done = matches!(read, Read::End);
        self.log.extend(self.nulled.line().filter(|_| self.is_done));
        Ok(read)
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (self.bytes, None)
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

/// Says that a thread is gone that should have said why.
pub(super) fn silent() -> SourceError {
    SourceError::new("internal", "the thread that reads the source ended without saying why")
}
