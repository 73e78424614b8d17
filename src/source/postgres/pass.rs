//! One pass over a copy, on a thread of its own: rows into batches.

use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use crate::batch::{BatchBuilder, Column, ColumnBuilder, Misfit, RecordBatch, Schema};
use crate::connect::postgres::{ReadingSession as Session, failure};
use crate::plan::OnInvalidValue;
use crate::source::columns::{Hasher, OutputColumn};
use crate::source::nulled::Nulled;
use crate::source::{BATCH_SHARES, Read, RejectedRow, SourceError};
use crate::text;

use super::decode::{self, HEADER_BYTES, Next};
use super::query::Query;
use super::types::{Mapping, Wire};

/// What a thread hands over: the number of its part, rows, and the bytes taken so far.
pub(super) type Item = (usize, Result<(Read, u64), SourceError>);

/// A part of the rows, read by a thread of its own: all of them where there is one.
pub(super) struct Part {
    pub session: Session,
    pub query: Query,
    /// What rows are of, for messages.
    pub label: String,
}

/// Where a thread hands over what it reads.
pub(super) struct Outlet {
    pub part: usize,
    pub sender: SyncSender<Item>,
    /// Held while statements are cancelled.
    pub gate: Arc<Mutex<()>>,
}

impl Outlet {
    /// Hands over what was read; returns whether anybody listens.
    fn send(&self, item: Result<(Read, u64), SourceError>) -> bool {
        self.sender.send((self.part, item)).is_ok()
    }
}

/// All that the threads share.
pub(super) struct Work {
    pub source: String,
    /// How many there are.
    pub parts: usize,
    pub columns: Vec<OutputColumn>,
    pub mappings: Vec<Mapping>,
    pub schema: Schema,
    pub hasher: Option<Hasher>,
    pub invalid_values: OnInvalidValue,
    pub nulled: Nulled,
    pub batch_rows_max: usize,
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
    /// Reads a part to its end.
    pub(super) fn run(&self, mut part: Part, outlet: &Outlet) {
        let last = match self.pass(&mut part, outlet) {
            Ok(Pass::Done(bytes)) => match part.session.client.batch_execute("COMMIT") {
                Ok(()) => Ok((Read::End, bytes)),
                Err(error) => Err(self.failed(&part.session.place, &error)),
            },
            // Whoever listens no more has the statement cancelled, which PgBouncer 1.18 doesn't survive where the client is gone before.
            Ok(Pass::Unheard) => return drop(outlet.gate.lock()),
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
        let batch = BatchBuilder::new(&self.schema, self.batch_rows_max).one_of(self.parts).smaller(BATCH_SHARES);
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
            return Err(SourceError { code: "disconnected", message, hint: None, is_transient: true, retry_after: None });
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
                Err(Misfit) if self.invalid_values == OnInvalidValue::Null => {
                    bytes += batch.columns[index].append_null();
                    self.nulled.count();
                }
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
            return Err(SourceError::misfit(&position, &column.source, &reason));
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
