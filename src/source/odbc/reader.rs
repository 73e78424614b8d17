//! Reads a result into batches, on a thread of its own, which owns the connection: what waits is bounded by batches.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::batch::Schema;
use crate::connect::odbc::Session;
use crate::plan::odbc::OdbcSourcePlan;
use crate::plan::{ColumnRules, Level};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::columns::{Hasher, layout};
use crate::source::nulled::Nulled;
use crate::source::{Read, ReadRequest, Reader, SourceError};

use super::dialect::Dialect;
use super::lane::{self, Lane};
use super::pass::{Handed, Item, Work};
use super::{describe, query};

/// Takes what the reading thread hands over.
pub(super) struct OdbcReader {
    schema: Schema,
    /// What begins with the first read: whoever asks for columns alone makes the server send nothing.
    pending: Option<(Work, Session, SyncSender<Item>)>,
    items: Receiver<Item>,
    bytes: u64,
    is_done: bool,
    nulled: Nulled,
    log: Vec<(Level, String)>,
}

impl std::fmt::Debug for OdbcReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "OdbcReader({:?})", self.schema)
    }
}

/// What a reader is made of.
pub(super) struct Opening<'a> {
    pub session: Session,
    pub dialect: Box<dyn Dialect>,
    pub source: &'a str,
    pub plan: &'a OdbcSourcePlan,
    pub rules: &'a ColumnRules,
    pub hash_key: Option<&'a Secret>,
    /// What the log is told first.
    pub log: Vec<(Level, String)>,
}

impl OdbcReader {
    /// Finds columns and types, and gets ready to read.
    pub fn open(opening: Opening<'_>, request: &ReadRequest<'_>) -> Result<Self, SourceError> {
        let Opening { session, dialect, source, plan, rules, hash_key, mut log } = opening;
        let described = describe::describe(&session, &*dialect, source, plan)?;
        let columns = layout(source, &described.names, rules, hash_key)?;
        let bounds = query::bounds(source, &*dialect, &described, rules, request)?;
        let expected = |name: &str| {
            let schema = request.expected?;
            schema.position(name).map(|place| schema.columns[place].column_type)
        };
        let lanes: Vec<Lane> = columns
            .iter()
            .map(|column| {
                let place = described.names.iter().position(|name| *name == column.source).expect("the layout is of these names");
                Lane::new(column, dialect.mapping(&described.facts[place]), expected(&column.name))
            })
            .collect();
        log.extend(lane::as_text(&lanes));
        let schema = lane::schema(&lanes);
        let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
        let nulled = Nulled::default();
        let work = Work {
            source: source.to_owned(),
            label: plan.table.clone().unwrap_or_else(|| source.to_owned()),
            form: super::text_form(&session),
            dialect,
            described,
            bounds,
            moments: request.moments,
            lanes,
            hasher,
            invalid_values: request.options.invalid_values,
            nulled: nulled.clone(),
            batch_rows_max: request.options.batch_size,
        };
        let (sender, items) = sync_channel(1);
        Ok(Self { schema, pending: Some((work, session, sender)), items, bytes: 0, is_done: false, nulled, log })
    }
}

impl Reader for OdbcReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        if self.is_done {
            return Ok(Read::End);
        }
        if let Some((work, session, sender)) = self.pending.take() {
            std::thread::Builder::new()
                .name("odbc source".to_owned())
                .spawn(move || work.run(session, &sender))
                .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        }
        let received =
            self.items.recv().map_err(|_| SourceError::new("internal", "the thread that reads the source ended without saying why"))?;
        let (handed, bytes) = received?;
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
