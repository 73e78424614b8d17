//! One pass over a result: row sets into batches. A value that is longer than its place, or than its column's type allows, ends the pass; the
//! next one has room for it. Nothing is cut.

use std::sync::mpsc::SyncSender;

use crate::batch::{BatchBuilder, Misfit, RecordBatch};
use crate::connect::odbc::{OdbcError, Session, Statement};
use crate::plan::OnInvalidValue;
use crate::source::columns::Hasher;
use crate::source::nulled::Nulled;
use crate::source::threaded::{Handed, Item};
use crate::source::{Moments, Read, RejectedRow, SourceError};
use crate::text;

use super::describe::{self, Described};
use super::dialect::Dialect;
use super::lane::{self, Lane, Taken};
use super::query::{Bounds, Query};
use super::rowset::{Cell, RowSet, TextForm};
use super::types::{Mapping, Wire};
use super::{decode, streamed};

/// Batches are so many times smaller than others: the places of row sets and the driver itself are memory that no other source takes.
const SHARES: usize = 8;

/// All that the thread needs.
pub(super) struct Work {
    pub source: String,
    /// What rows are of, for messages.
    pub label: String,
    pub form: TextForm,
    pub dialect: Box<dyn Dialect>,
    pub described: Described,
    pub bounds: Option<Bounds>,
    pub moments: Moments,
    pub lanes: Vec<Lane>,
    pub hasher: Option<Hasher>,
    pub invalid_values: OnInvalidValue,
    pub nulled: Nulled,
    pub batch_rows_max: usize,
}

/// Why a pass ended before the rows did.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    By(SourceError),
    /// A column needs another form than it had.
    Again {
        reason: String,
        lane: usize,
        change: Change,
    },
}

/// What a column needs.
enum Change {
    /// Room for a value of so many bytes, where that is known.
    Room(Option<usize>),
    /// Another type: text.
    Text,
}

/// Rows on their way.
struct Flow<'a> {
    sender: &'a SyncSender<Item>,
    batch: BatchBuilder,
    number: u64,
    bytes: u64,
    /// Whether anything was handed over.
    is_begun: bool,
}

impl Flow<'_> {
    fn send(&mut self, read: Read) -> Result<(), Ended> {
        self.is_begun = true;
        self.sender.send(Ok((Handed::Read(read), self.bytes))).map_err(|_| Ended::Unheard)
    }

    fn hand_over(&mut self, batch: Option<RecordBatch>) -> Result<(), Ended> {
        batch.map_or(Ok(()), |batch| self.send(Read::Batch(batch)))
    }
}

impl Work {
    pub fn run(mut self, session: Session, sender: &SyncSender<Item>) {
        // Where nobody listens any more, nobody needs to know.
        if let Some(last) = self.passes(&session, sender) {
            let _ = sender.send(last);
        }
    }

    /// Makes passes until one reaches the end of the rows; returns what is said last.
    fn passes(&mut self, session: &Session, sender: &SyncSender<Item>) -> Option<Item> {
        loop {
            let mut flow = Flow {
                sender,
                batch: BatchBuilder::new(&lane::schema(&self.lanes), self.batch_rows_max).smaller(SHARES),
                number: 0,
                bytes: 0,
                is_begun: false,
            };
            let ended = self.pass(session, &mut flow);
            let (is_begun, bytes) = (flow.is_begun, flow.bytes);
            match ended {
                // A connection that was lost unseen is seen now.
                Ok(()) => {
                    return Some(
                        session
                            .connection
                            .roll_back()
                            .map_err(|error| self.failed(session, &error))
                            .map(|()| (Handed::Read(Read::End), bytes)),
                    );
                }
                Err(Ended::Unheard) => return None,
                Err(Ended::By(error)) => return Some(Err(error)),
                Err(Ended::Again { reason, lane, change }) => {
                    let is_typed = matches!(change, Change::Text);
                    match change {
                        Change::Room(bytes) => self.lanes[lane].widen(bytes),
                        Change::Text => self.lanes[lane].mapping.column_type = crate::batch::ColumnType::Text,
                    }
                    self.nulled.forget();
                    if is_begun || is_typed {
                        let again = Handed::Again { reason, schema: lane::schema(&self.lanes) };
                        sender.send(Ok((again, 0))).ok()?;
                    }
                }
            }
        }
    }

    fn pass(&self, session: &Session, flow: &mut Flow<'_>) -> Result<(), Ended> {
        let order = lane::order(&self.lanes);
        let statement =
            lane::statement(&self.source, &*self.dialect, &self.described, &self.lanes, &order, self.bounds.as_ref(), self.moments);
        let Query { sql, parameters } = statement.map_err(Ended::By)?;
        let failed = |error: OdbcError| Ended::By(self.failed(session, &error));
        let placed = |index: &usize| match self.lanes[*index].taken {
            Taken::Placed(length) => Some((self.lanes[*index].mapping, length)),
            Taken::Streamed => None,
        };
        let places: Vec<(Mapping, usize)> = order.iter().filter_map(placed).collect();
        let rows_max = if places.len() == order.len() { self.batch_rows_max } else { 1 };
        // Declared before the statement, which is dropped first.
        let mut set = RowSet::new(&places, self.form, rows_max);
        let mut statement = session.connection.statement().map_err(failed)?;
        statement.query(&sql, &parameters).map_err(failed)?;
        if usize::from(statement.width().map_err(failed)?) != order.len() {
            return Err(Ended::By(self.changed(session)));
        }
        // SAFETY: the row set was made before the statement and lives longer.
        unsafe { set.bind(&mut statement) }.map_err(failed)?;
        let mut row = Row { work: self, order: &order, places: places.len(), values: vec![Vec::new(); order.len()], scratch: Vec::new() };
        loop {
            let rows = set.fetch(&mut statement).map_err(failed)?;
            if rows == 0 {
                let rest = flow.batch.finish();
                return flow.hand_over(rest);
            }
            for number in 0..rows {
                row.take(session, &mut statement, &set, number, flow)?;
            }
        }
    }

    fn failed(&self, session: &Session, error: &OdbcError) -> SourceError {
        describe::failed(session, &self.source, error)
    }

    /// The error for columns that are others than when they were described.
    fn changed(&self, session: &Session) -> SourceError {
        let message = format!("read source {} on {}: its columns were changed just now", self.source, session.place);
        SourceError { code: "conflict", message, hint: None, is_transient: true, retry_after: None }
    }
}

/// Takes rows, one after the other.
struct Row<'a> {
    work: &'a Work,
    order: &'a [usize],
    /// How many of them have places.
    places: usize,
    /// The streamed values of a row, by their place in the order; kept for their memory.
    values: Vec<Vec<u8>>,
    scratch: Vec<u8>,
}

/// A value that is there, or not.
type Value<'a> = Option<&'a [u8]>;

impl Row<'_> {
    fn take(
        &mut self,
        session: &Session,
        statement: &mut Statement<'_>,
        set: &RowSet,
        row: usize,
        flow: &mut Flow<'_>,
    ) -> Result<(), Ended> {
        flow.number += 1;
        let mut is_null = Vec::new();
        for place in self.places..self.order.len() {
            is_null.push(!self.stream(session, statement, place)?);
        }
        let mut bytes = 0;
        for place in 0..self.order.len() {
            let index = self.order[place];
            let lane = &self.work.lanes[index];
            let value = match place.checked_sub(self.places) {
                Some(streamed) => (!is_null[streamed]).then_some(self.values[place].as_slice()),
                None => self.placed(session, set, place, row, flow.number)?,
            };
            let builder = &mut flow.batch.columns[index];
            let Some(value) = value else {
                bytes += builder.append_null();
                continue;
            };
            let Mapping { wire, .. } = lane.mapping;
            let form = self.work.form;
            let appended = match self.work.hasher.as_ref().filter(|_| lane.column.is_hashed) {
                Some(hasher) => builder.append_text(hasher.hash(decode::shown(wire, form, value).as_bytes()).as_bytes()),
                None => decode::append(builder, wire, form, value, &mut self.scratch),
            };
            match appended {
                Ok(length) => bytes += length,
                Err(Misfit) => {
                    let shown = decode::shown(wire, form, value);
                    if lane.becomes_text(&shown) {
                        let reason = format!(
                            "column {}, row {}: {shown} is more than {} holds; the column is read as text",
                            lane.column.source, flow.number, lane.mapping.column_type
                        );
                        return Err(Ended::Again { reason: text::printable(&reason).into_owned(), lane: index, change: Change::Text });
                    }
                    if self.work.invalid_values == OnInvalidValue::Null {
                        bytes += builder.append_null();
                        self.work.nulled.count();
                        continue;
                    }
                    flow.batch.undo_row();
                    let value_of = |place: usize| match place.checked_sub(self.places) {
                        Some(streamed) => (!is_null[streamed]).then_some(self.values[place].as_slice()),
                        None => match set.cell(place, row) {
                            Cell::Value(value) => Some(value),
                            Cell::Null | Cell::Cut(_) | Cell::Odd(_) => None,
                        },
                    };
                    let rejected = self.misfit(flow.number, index, &shown, value_of).map_err(Ended::By)?;
                    return flow.send(Read::Rejected(rejected));
                }
            }
        }
        flow.batch.end_row(bytes);
        flow.bytes += bytes as u64;
        if flow.batch.is_full() {
            let batch = flow.batch.finish();
            return flow.hand_over(batch);
        }
        Ok(())
    }

    /// Takes a streamed value; returns whether there is one.
    fn stream(&mut self, session: &Session, statement: &mut Statement<'_>, place: usize) -> Result<bool, Ended> {
        let lane = &self.work.lanes[self.order[place]];
        let number = u16::try_from(place + 1).unwrap_or(u16::MAX);
        let (c_type, ..) = super::rowset::place(&lane.mapping, 0, self.work.form);
        let value = &mut self.values[place];
        streamed::take(statement, number, c_type, value).map_err(|error| Ended::By(self.work.failed(session, &error)))
    }

    /// Returns a value that has a place.
    fn placed<'a>(&self, session: &Session, set: &'a RowSet, place: usize, row: usize, number: u64) -> Result<Value<'a>, Ended> {
        let index = self.order[place];
        let column = &self.work.lanes[index].column.source;
        match set.cell(place, row) {
            Cell::Null => Ok(None),
            Cell::Value(value) => Ok(Some(value)),
            Cell::Cut(bytes) => {
                let reason = format!("column {column}, row {number}: a value is longer than the driver says that they are");
                Err(Ended::Again { reason: text::printable(&reason).into_owned(), lane: index, change: Change::Room(bytes) })
            }
            Cell::Odd(indicator) => {
                let message = format!(
                    "read source {} on {}: the driver tells a length of {indicator} in column {column}, row {number}",
                    self.work.source, session.place
                );
                Err(Ended::By(SourceError::new("database", message).hint("another driver, or another version of it, may do better")))
            }
        }
    }

    /// Tells which value doesn't fit: as a rejected row, or as the load's failure.
    fn misfit<'a>(
        &self,
        number: u64,
        index: usize,
        shown: &str,
        value_of: impl Fn(usize) -> Value<'a>,
    ) -> Result<RejectedRow, SourceError> {
        let lane = &self.work.lanes[index];
        let column = &lane.column;
        let shown = if column.is_hashed { "a hashed value".to_owned() } else { text::printable(&text::shortened(shown, 60)).into_owned() };
        let is_text = lane.mapping.wire == Wire::Text && lane.mapping.column_type == crate::batch::ColumnType::Text;
        let why = if is_text { "is not valid text".to_owned() } else { format!("does not fit {}", lane.mapping.column_type) };
        let (position, reason) = (format!("{}, row {number}", self.work.label), format!("{shown} {why}"));
        if self.work.invalid_values == OnInvalidValue::Fail {
            return Err(SourceError::misfit(&position, &column.source, &reason));
        }
        let mut cells = vec![String::new(); self.order.len()];
        for (place, index) in self.order.iter().enumerate() {
            let Lane { column, mapping, .. } = &self.work.lanes[*index];
            if let Some(value) = value_of(place) {
                cells[*index] = if column.is_hashed { "(hashed)".to_owned() } else { decode::shown(mapping.wire, self.work.form, value) };
            }
        }
        Ok(RejectedRow { position, column: Some(column.source.clone()), reason, raw: cells.join(",") })
    }
}
