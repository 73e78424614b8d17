//! Reads a copy into batches, on a thread of its own, which owns the connection: what waits is bounded by batches.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::batch::{BatchBuilder, Column, ColumnBuilder, ColumnType, Misfit, RecordBatch, Schema};
use crate::connect::ConnectError;
use crate::connect::postgres::{Session, failure};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level, OnInvalidValue};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::{Read, ReadRequest, Reader, RejectedRow, SourceError};
use crate::text;

use super::decode::{self, HEADER_BYTES, Next};
use super::query::{self, Query};
use super::types::{Asked, Mapping, Wire};

/// What the thread hands over: rows, and the bytes taken so far.
type Item = Result<(Read, u64), SourceError>;

/// Takes what the reading thread hands over.
pub(super) struct PostgresReader {
    schema: Schema,
    /// What begins with the first read: whoever asks for columns alone makes the server send nothing.
    pending: Option<(Work, Session, SyncSender<Item>)>,
    items: Receiver<Item>,
    bytes: u64,
    is_done: bool,
    log: Vec<(Level, String)>,
}

impl std::fmt::Debug for PostgresReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PostgresReader({:?})", self.schema)
    }
}

/// All that the thread needs.
struct Work {
    source: String,
    /// What rows are of, for messages.
    label: String,
    query: Query,
    columns: Vec<OutputColumn>,
    mappings: Vec<Mapping>,
    schema: Schema,
    hasher: Option<Hasher>,
    invalid_values: OnInvalidValue,
    batch_rows_max: usize,
}

impl PostgresReader {
    /// Finds columns and types, and starts to read.
    pub fn open(
        mut session: Session,
        source: &str,
        plan: &PostgresSourcePlan,
        rules: &ColumnRules,
        hash_key: Option<&Secret>,
        request: &ReadRequest<'_>,
        mut log: Vec<(Level, String)>,
    ) -> Result<Self, SourceError> {
        let described = query::describe(&mut session, source, plan)?;
        let columns = layout(source, &described.names, rules, hash_key)?;
        let bounds = query::bounds(source, &described, rules, request)?;
        let mapping = |column: &OutputColumn| {
            let place = described.names.iter().position(|name| *name == column.source).expect("the layout is of these names");
            let server_type = described.types[place];
            match column.declared {
                _ if column.is_hashed => hashed(server_type.mapping()),
                Some(declared) => server_type.declared(declared),
                None => server_type.mapping(),
            }
        };
        let mappings: Vec<Mapping> = columns.iter().map(mapping).collect();
        let asked: Vec<(String, Mapping)> = columns.iter().map(|column| column.source.clone()).zip(mappings.iter().copied()).collect();
        let query = query::bounded(source, &described.base, &asked, bounds.as_ref(), request.moments)?;
        query::settle(&mut session, source, &query)?;
        let fields = columns.iter().zip(&mappings).map(|(column, mapping)| Column::new(&column.name, mapping.column_type));
        let schema = Schema::new(fields.collect());
        let as_text: Vec<&str> = asked
            .iter()
            .zip(&columns)
            .filter(|((_, mapping), column)| mapping.asked != Asked::Plain && mapping.column_type == ColumnType::Text && !column.is_hashed)
            .map(|((name, _), _)| name.as_str())
            .collect();
        if !as_text.is_empty() {
            log.push((
                Level::Info,
                text::printable(&format!("read as the text that PostgreSQL writes: {}", as_text.join(", "))).into_owned(),
            ));
        }
        let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
        let work = Work {
            source: source.to_owned(),
            label: plan.table.clone().unwrap_or_else(|| source.to_owned()),
            query,
            columns,
            mappings,
            schema: schema.clone(),
            hasher,
            invalid_values: request.options.invalid_values,
            batch_rows_max: request.options.batch_size,
        };
        let (sender, items) = sync_channel(1);
        Ok(Self { schema, pending: Some((work, session, sender)), items, bytes: 0, is_done: false, log })
    }
}

/// Returns what becomes of a column whose values are hashed: the text of the value, or the bytes themselves.
fn hashed(mapping: Mapping) -> Mapping {
    match (mapping.wire, mapping.asked) {
        (Wire::Bytea | Wire::Text, _) | (_, Asked::Numeric) => Mapping { column_type: ColumnType::Text, ..mapping },
        _ => Mapping { column_type: ColumnType::Text, wire: Wire::Text, asked: Asked::Cast },
    }
}

impl Reader for PostgresReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        if self.is_done {
            return Ok(Read::End);
        }
        if let Some((work, session, sender)) = self.pending.take() {
            std::thread::Builder::new()
                .name("postgresql source".to_owned())
                .spawn(move || work.run(session, &sender))
                .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        }
        let received =
            self.items.recv().map_err(|_| SourceError::new("internal", "the thread that reads the source ended without saying why"))?;
        let (read, bytes) = received?;
        self.bytes = bytes;
        self.is_done = matches!(read, Read::End);
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

/// What became of a row.
enum Taken {
    Loaded,
    Rejected(RejectedRow),
}

/// How a pass over the rows ended.
enum Pass {
    Done(u64),
    /// Nobody listens any more.
    Unheard,
}

impl Work {
    fn run(self, mut session: Session, sender: &SyncSender<Item>) {
        let last = match self.pass(&mut session, sender) {
            Ok(Pass::Done(bytes)) => match session.client.batch_execute("COMMIT") {
                Ok(()) => Ok((Read::End, bytes)),
                Err(error) => Err(self.failed(&session.place, &error)),
            },
            Ok(Pass::Unheard) => {
                // The connection's own end would wait until the server has sent every row.
                return session.canceller.cancel();
            }
            Err(error) => {
                session.canceller.cancel();
                Err(error)
            }
        };
        // Where nobody listens any more, nobody needs to know.
        let _ = sender.send(last);
    }

    fn pass(&self, session: &mut Session, sender: &SyncSender<Item>) -> Result<Pass, SourceError> {
        let Session { client, place, .. } = session;
        let sql = format!("COPY ({}\n) TO STDOUT (FORMAT binary)", self.query.sql);
        let mut copy = client.copy_out(&sql).map_err(|error| self.failed(place, &error))?;
        let mut batch = BatchBuilder::new(&self.schema, self.batch_rows_max);
        let (mut number, mut bytes) = (0, 0);
        // Part of a row, until the rest of it comes: the server sends a message a row, but doesn't promise it.
        let mut part: Vec<u8> = Vec::new();
        let mut is_begun = false;
        let mut is_ended = false;
        loop {
            let chunk = copy.fill_buf().map_err(|error| self.broken(place, &error))?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len();
            bytes += length as u64;
            let mut rest: &[u8] = chunk;
            if !part.is_empty() {
                part.extend_from_slice(chunk);
                rest = &part;
            }
            if !is_begun && rest.len() >= HEADER_BYTES {
                let (header, rows) = rest.split_at(HEADER_BYTES);
                if !decode::is_header(header) {
                    return Err(self.malformed(place));
                }
                rest = rows;
                is_begun = true;
            }
            while is_begun && !is_ended {
                match decode::next(rest, self.mappings.len()).map_err(|()| self.malformed(place))? {
                    Next::Row(length) => {
                        number += 1;
                        let taken = self.take_row(&rest[2..length], number, &mut batch)?;
                        rest = &rest[length..];
                        if !self.hand_over(taken, &mut batch, bytes, sender) {
                            return Ok(Pass::Unheard);
                        }
                    }
                    Next::End => is_ended = true,
                    Next::Part => break,
                }
            }
            part = if is_ended || rest.is_empty() { Vec::new() } else { rest.to_vec() };
            copy.consume(length);
        }
        if !is_ended {
            let message = format!("read source {} on {place}: the rows end before their end mark", self.source);
            return Err(SourceError { code: "disconnected", message, hint: None, is_transient: true });
        }
        let is_heard = batch.finish().is_none_or(|batch| send(sender, batch, bytes));
        Ok(if is_heard { Pass::Done(bytes) } else { Pass::Unheard })
    }

    /// Hands over what is ready; returns whether anybody listens.
    fn hand_over(&self, taken: Taken, batch: &mut BatchBuilder, bytes: u64, sender: &SyncSender<Item>) -> bool {
        match taken {
            Taken::Loaded if batch.is_full() => batch.finish().is_none_or(|batch| send(sender, batch, bytes)),
            Taken::Loaded => true,
            Taken::Rejected(row) => sender.send(Ok((Read::Rejected(row), bytes))).is_ok(),
        }
    }

    fn take_row(&self, row: &[u8], number: u64, batch: &mut BatchBuilder) -> Result<Taken, SourceError> {
        let mut rest = row;
        let mut bytes = 0;
        for (index, mapping) in self.mappings.iter().enumerate() {
            let value = decode::field(&mut rest);
            let builder = &mut batch.columns[index];
            let Some(value) = value else {
                bytes += builder.append_null();
                continue;
            };
            let is_hashed = self.columns[index].is_hashed;
            let appended = match self.hasher.as_ref().filter(|_| is_hashed) {
                Some(hasher) => append_hashed(builder, hasher, mapping.wire, value),
                None => decode::append(builder, mapping.wire, value),
            };
            match appended {
                Ok(length) => bytes += length,
                Err(Misfit) if self.invalid_values == OnInvalidValue::Null => bytes += batch.columns[index].append_null(),
                Err(Misfit) => {
                    batch.undo_row();
                    return self.misfit(row, number, index, value).map(Taken::Rejected);
                }
            }
        }
        batch.end_row(bytes);
        Ok(Taken::Loaded)
    }

    /// Tells which value doesn't fit: as a rejected row, or as the load's failure.
    fn misfit(&self, row: &[u8], number: u64, index: usize, value: &[u8]) -> Result<RejectedRow, SourceError> {
        let Column { column_type, .. } = &self.schema.columns[index];
        let column = &self.columns[index];
        let shown = if column.is_hashed {
            "a hashed value".to_owned()
        } else {
            let value = decode::shown(self.mappings[index].wire, &value[..value.len().min(4000)]);
            text::printable(&text::shortened(&value, 60)).into_owned()
        };
        let (position, reason) = (format!("{}, row {number}", self.label), format!("{shown} does not fit {column_type}"));
        if self.invalid_values == OnInvalidValue::Fail {
            let error = SourceError::new("invalid_data", format!("{position}, column {}: {reason}", column.source));
            return Err(error.hint(format!("declare {}: text under columns.types, or set invalid_values: null or reject", column.source)));
        }
        let mut rest = row;
        let cells = self.mappings.iter().zip(&self.columns).map(|(mapping, column)| match decode::field(&mut rest) {
            Some(_) if column.is_hashed => "(hashed)".to_owned(),
            Some(value) => decode::shown(mapping.wire, value),
            None => String::new(),
        });
        let raw = cells.collect::<Vec<_>>().join(",");
        Ok(RejectedRow { position, column: Some(column.source.clone()), reason, raw })
    }

    fn failed(&self, place: &str, error: &postgres::Error) -> SourceError {
        failure(&format!("read source {} on {place}", self.source), error).into()
    }

    /// Makes an error of what ended a copy.
    fn broken(&self, place: &str, error: &std::io::Error) -> SourceError {
        match error.get_ref().and_then(|error| error.downcast_ref::<postgres::Error>()) {
            Some(error) => self.failed(place, error),
            None => {
                let message = format!("read source {} on {place}: {error}", self.source);
                ConnectError { code: "disconnected", message, hint: None, is_transient: true }.into()
            }
        }
    }

    fn malformed(&self, place: &str) -> SourceError {
        SourceError::new("invalid_data", format!("read source {} on {place}: the rows are not what COPY BINARY writes", self.source))
    }
}

fn send(sender: &SyncSender<Item>, batch: RecordBatch, bytes: u64) -> bool {
    sender.send(Ok((Read::Batch(batch), bytes))).is_ok()
}

fn append_hashed(builder: &mut ColumnBuilder, hasher: &Hasher, wire: Wire, value: &[u8]) -> Result<usize, Misfit> {
    let hash = match wire {
        Wire::Numeric => hasher.hash(decode::shown(wire, value).as_bytes()),
        _ => hasher.hash(value),
    };
    builder.append_text(hash.as_bytes())
}
