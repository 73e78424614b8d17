//! Reads a copy into batches, on a thread of its own, which owns the connection: what waits is bounded by batches.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::batch::{BatchBuilder, Column, ColumnBuilder, ColumnType, Misfit, RecordBatch, Schema};
use crate::connect::postgres::{Canceller, ReadingSession as Session, failure};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level, OnInvalidValue};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::{Read, ReadRequest, Reader, RejectedRow, SourceError};
use crate::text;

use super::decode::{self, HEADER_BYTES, Next};
use super::parts::{self, Range};
use super::query::{self, Described, Query};
use super::types::{Asked, Mapping, Wire};

/// What a thread hands over: the number of its part, rows, and the bytes taken so far.
type Item = (usize, Result<(Read, u64), SourceError>);

/// Takes what the reading threads hand over, one for each part of the rows.
pub(super) struct PostgresReader {
    schema: Schema,
    /// What begins with the first read: whoever asks for columns alone makes the server send nothing.
    pending: Option<(Work, Vec<Part>)>,
    items: Option<Receiver<Item>>,
    /// The bytes that each part has taken.
    bytes: Vec<u64>,
    /// What ends the parts that are still read.
    cancellers: Vec<Option<Canceller>>,
    log: Vec<(Level, String)>,
}

/// A part of the rows, read by a thread of its own: all of them where there is one.
struct Part {
    session: Session,
    query: Query,
    /// What rows are of, for messages.
    label: String,
}

/// Where a thread hands over what it reads.
struct Outlet {
    part: usize,
    sender: SyncSender<Item>,
}

impl Outlet {
    /// Hands over what was read; returns whether anybody listens.
    fn send(&self, item: Result<(Read, u64), SourceError>) -> bool {
        self.sender.send((self.part, item)).is_ok()
    }
}

impl std::fmt::Debug for PostgresReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PostgresReader({:?})", self.schema)
    }
}

/// All that the threads share.
struct Work {
    source: String,
    /// How many there are.
    parts: usize,
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
        query::forget(&mut session, source)?;
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
        let parts = of_rows(session, source, plan, &described, &mut log, |base| {
            query::bounded(source, base, &asked, bounds.as_ref(), request.moments)
        })?;
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
            parts: parts.len(),
            columns,
            mappings,
            schema: schema.clone(),
            hasher,
            invalid_values: request.options.invalid_values,
            batch_rows_max: request.options.batch_size,
        };
        let bytes = vec![0; parts.len()];
        Ok(Self { schema, pending: Some((work, parts)), items: None, bytes, cancellers: Vec::new(), log })
    }

    /// Begins to read every part.
    fn begin(&mut self) -> Result<(), SourceError> {
        let Some((work, parts)) = self.pending.take() else { return Ok(()) };
        // One place for all: what waits doesn't grow with the parts.
        let (sender, items) = sync_channel(1);
        let work = Arc::new(work);
        for (number, part) in parts.into_iter().enumerate() {
            let (work, outlet) = (Arc::clone(&work), Outlet { part: number, sender: sender.clone() });
            self.cancellers.push(Some(part.session.canceller.clone()));
            std::thread::Builder::new()
                .name("postgresql source".to_owned())
                .spawn(move || work.run(part, &outlet))
                .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        }
        self.items = Some(items);
        Ok(())
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
        self.begin()?;
        loop {
            let Some(items) = self.items.as_ref().filter(|_| self.cancellers.iter().any(Option::is_some)) else { return Ok(Read::End) };
            let silent = |_| SourceError::new("internal", "a thread that reads the source ended without saying why");
            let (part, received) = items.recv().map_err(silent)?;
            let (read, bytes) = received?;
            self.bytes[part] = bytes;
            match read {
                Read::End => self.cancellers[part] = None,
                read => return Ok(read),
            }
        }
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (self.bytes.iter().sum(), None)
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

impl Drop for PostgresReader {
    /// Ends what the server still does for any part: nobody waits for it any more.
    fn drop(&mut self) {
        self.items = None;
        self.cancellers.iter().flatten().for_each(Canceller::cancel);
    }
}

/// Parts the rows as the plan says, each with a session of its own; `query` makes a part's statement of its base.
fn of_rows(
    mut session: Session,
    source: &str,
    plan: &PostgresSourcePlan,
    described: &Described,
    log: &mut Vec<(Level, String)>,
    query: impl Fn(&str) -> Result<Query, SourceError>,
) -> Result<Vec<Part>, SourceError> {
    let label = plan.table.clone().unwrap_or_else(|| source.to_owned());
    let Some(table) = described.table.as_ref().filter(|_| plan.partitions > 1) else {
        let query = query(&described.base)?;
        query::settle(&mut session, source, &query)?;
        return Ok(vec![Part { session, query, label }]);
    };
    let ranges = parts::opened(session, source, plan, table, log)?;
    let count = ranges.len();
    let part = |(number, (mut session, range)): (usize, (Session, Range))| {
        let mut query = query(&query::of_table(table, plan.filter.as_deref(), Some(&range.condition)))?;
        query.settings.extend(range.settings);
        query::settle(&mut session, source, &query)?;
        Ok(Part { session, query, label: format!("{label}, part {} of {count}", number + 1) })
    };
    ranges.into_iter().enumerate().map(part).collect()
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

/// Why a pass is broken off.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    By(SourceError),
}

/// The rows of a pass, as far as they have come.
struct Rows<'a> {
    work: &'a Work,
    place: &'a str,
    label: &'a str,
    outlet: &'a Outlet,
    batch: BatchBuilder,
    number: u64,
    bytes: u64,
    is_begun: bool,
    is_ended: bool,
}

impl Rows<'_> {
    /// Takes the rows that are whole; returns how many bytes are left at the end.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Ended> {
        let Self { work, place, label, outlet, batch, .. } = self;
        let malformed = || Ended::By(work.malformed(place));
        let mut rest = bytes;
        if !self.is_begun && rest.len() >= HEADER_BYTES {
            let (header, rows) = rest.split_at(HEADER_BYTES);
            if !decode::is_header(header) {
                return Err(malformed());
            }
            rest = rows;
            self.is_begun = true;
        }
        while self.is_begun && !self.is_ended {
            match decode::next(rest, work.mappings.len()).map_err(|()| malformed())? {
                Next::Row(length) => {
                    self.number += 1;
                    let taken = work.take_row(label, &rest[2..length], self.number, batch).map_err(Ended::By)?;
                    rest = &rest[length..];
                    if !work.hand_over(taken, batch, self.bytes, outlet) {
                        return Err(Ended::Unheard);
                    }
                }
                Next::End => self.is_ended = true,
                Next::Part => break,
            }
        }
        Ok(if self.is_ended { 0 } else { rest.len() })
    }
}

impl Work {
    fn run(&self, mut part: Part, outlet: &Outlet) {
        let last = match self.pass(&mut part, outlet) {
            Ok(Pass::Done(bytes)) => match part.session.client.batch_execute("COMMIT") {
                Ok(()) => Ok((Read::End, bytes)),
                Err(error) => Err(self.failed(&part.session.place, &error)),
            },
            Ok(Pass::Unheard) => {
                // The connection's own end would wait until the server has sent every row.
                return part.session.canceller.cancel();
            }
            Err(error) => {
                part.session.canceller.cancel();
                Err(error)
            }
        };
        // Where nobody listens any more, nobody needs to know.
        let _ = outlet.send(last);
    }

    fn pass(&self, part: &mut Part, outlet: &Outlet) -> Result<Pass, SourceError> {
        let Part { session: Session { client, place, .. }, query, label } = part;
        let sql = format!("COPY ({}\n) TO STDOUT (FORMAT binary)", query.sql);
        let batch = BatchBuilder::new(&self.schema, self.batch_rows_max).one_of(self.parts);
        let mut rows = Rows { work: self, place, label, outlet, batch, number: 0, bytes: 0, is_begun: false, is_ended: false };
        // Part of a row, until the rest of it comes: the server sends a message a row, but doesn't promise it.
        let mut part: Vec<u8> = Vec::new();
        let broken_off = client.copy_out(&sql, |piece| {
            rows.bytes += piece.len() as u64;
            let rest = if part.is_empty() {
                rows.take(piece)
            } else {
                part.extend_from_slice(piece);
                rows.take(&part)
            };
            match rest {
                Ok(0) => part.clear(),
                Ok(rest) => {
                    let all = if part.is_empty() { piece } else { &part };
                    part = all[all.len() - rest..].to_vec();
                }
                Err(ended) => return ControlFlow::Break(ended),
            }
            ControlFlow::Continue(())
        });
        match broken_off.map_err(|error| self.failed(place, &error))? {
            Some(Ended::Unheard) => return Ok(Pass::Unheard),
            Some(Ended::By(error)) => return Err(error),
            None => {}
        }
        let Rows { mut batch, bytes, is_ended, .. } = rows;
        if !is_ended {
            let message = format!("read source {} on {place}: the rows end before their end mark", self.source);
            return Err(SourceError { code: "disconnected", message, hint: None, is_transient: true });
        }
        let is_heard = batch.finish().is_none_or(|batch| send(outlet, batch, bytes));
        Ok(if is_heard { Pass::Done(bytes) } else { Pass::Unheard })
    }

    /// Hands over what is ready; returns whether anybody listens.
    fn hand_over(&self, taken: Taken, batch: &mut BatchBuilder, bytes: u64, outlet: &Outlet) -> bool {
        match taken {
            Taken::Loaded if batch.is_full() => batch.finish().is_none_or(|batch| send(outlet, batch, bytes)),
            Taken::Loaded => true,
            Taken::Rejected(row) => outlet.send(Ok((Read::Rejected(row), bytes))),
        }
    }

    fn take_row(&self, label: &str, row: &[u8], number: u64, batch: &mut BatchBuilder) -> Result<Taken, SourceError> {
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
                    return self.misfit(label, row, number, index, value).map(Taken::Rejected);
                }
            }
        }
        batch.end_row(bytes);
        Ok(Taken::Loaded)
    }

    /// Tells which value doesn't fit: as a rejected row, or as the load's failure.
    fn misfit(&self, label: &str, row: &[u8], number: u64, index: usize, value: &[u8]) -> Result<RejectedRow, SourceError> {
        let Column { column_type, .. } = &self.schema.columns[index];
        let column = &self.columns[index];
        let shown = if column.is_hashed {
            "a hashed value".to_owned()
        } else {
            let value = decode::shown(self.mappings[index].wire, &value[..value.len().min(4000)]);
            text::printable(&text::shortened(&value, 60)).into_owned()
        };
        let is_broken = matches!(self.mappings[index].wire, Wire::Text | Wire::Jsonb) && std::str::from_utf8(value).is_err();
        let why = if is_broken {
            "is not valid UTF-8 (convert_from in custom_sql reads other encodings)".to_owned()
        } else {
            format!("does not fit {column_type}")
        };
        let (position, reason) = (format!("{label}, row {number}"), format!("{shown} {why}"));
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

    fn malformed(&self, place: &str) -> SourceError {
        SourceError::new("invalid_data", format!("read source {} on {place}: the rows are not what COPY BINARY writes", self.source))
    }
}

fn send(outlet: &Outlet, batch: RecordBatch, bytes: u64) -> bool {
    outlet.send(Ok((Read::Batch(batch), bytes)))
}

fn append_hashed(builder: &mut ColumnBuilder, hasher: &Hasher, wire: Wire, value: &[u8]) -> Result<usize, Misfit> {
    let hash = match wire {
        Wire::Numeric => hasher.hash(decode::shown(wire, value).as_bytes()),
        _ => hasher.hash(value),
    };
    builder.append_text(hash.as_bytes())
}
