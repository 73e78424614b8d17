//! Reads a result into batches, on a thread of its own.

use std::sync::mpsc::SyncSender;

use mysql::prelude::Queryable as _;
use mysql::{Error, Params, Row, Value};

use crate::batch::{BatchBuilder, Column, ColumnBuilder, ColumnType, Misfit, RecordBatch, Schema};
use crate::connect::mysql::{Canceller, Session, failure};
use crate::plan::mysql::MysqlSourcePlan;
use crate::plan::{ColumnRules, Level, OnInvalidValue};
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::nulled::Nulled;
use crate::source::threaded::{Handed, Item, ThreadedReader};
use crate::source::{BATCH_SHARES, Read, ReadRequest, RejectedRow, SourceError};
use crate::text;

use super::query::Prepared;
use super::types::{Mapping, ServerType, Wire};
use super::{decode, describe, query};

/// All that the thread needs.
struct Work {
    source: String,
    /// What rows are of, for messages.
    label: String,
    place: String,
    prepared: Prepared,
    columns: Vec<OutputColumn>,
    mappings: Vec<Mapping>,
    schema: Schema,
    hasher: Option<Hasher>,
    invalid_values: OnInvalidValue,
    nulled: Nulled,
    batch_rows_max: usize,
}

/// Finds columns and types, and gets ready to read.
pub(super) fn open(
    mut session: Session,
    source: &str,
    plan: &MysqlSourcePlan,
    rules: &ColumnRules,
    hash_key: Option<&Secret>,
    request: &ReadRequest<'_>,
    mut log: Vec<(Level, String)>,
) -> Result<ThreadedReader, SourceError> {
    let described = describe::describe(&mut session, source, plan, rules)?;
    let columns = layout(source, &described.names, rules, hash_key)?;
    let bounds = query::bounds(source, &described, rules, request)?;
    let names: Vec<&str> = columns.iter().map(|column| column.source.as_str()).collect();
    let prepared = query::prepared(&mut session, source, &described, &names, bounds.as_ref(), request.moments)?;
    let mapping = |(column, server_type): (&OutputColumn, &ServerType)| match column.declared {
        _ if column.is_hashed => server_type.declared(ColumnType::Text),
        Some(declared) => server_type.declared(declared),
        None => server_type.mapping(),
    };
    let mappings: Vec<Mapping> = columns.iter().zip(&prepared.types).map(mapping).collect();
    let fields = columns.iter().zip(&mappings).map(|(column, mapping)| Column::new(&column.name, mapping.column_type));
    let schema = Schema::new(fields.collect());
    log.extend(as_text(&columns, &mappings));
    if let Some(engine) = described.engine_without_snapshot(&mut session, source)? {
        let note = format!("{engine} tables are in no snapshot: rows that are written while they are read may be half there");
        log.push((Level::Warn, text::printable(&note).into_owned()));
    }
    let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
    let nulled = Nulled::default();
    let work = Work {
        source: source.to_owned(),
        label: plan.table.clone().unwrap_or_else(|| source.to_owned()),
        place: session.place.clone(),
        prepared,
        columns,
        mappings,
        schema: schema.clone(),
        hasher,
        invalid_values: request.options.invalid_values,
        nulled: nulled.clone(),
        batch_rows_max: request.options.batch_size,
    };
    Ok(ThreadedReader::new("mysql source", schema, nulled, log, move |sender| work.run(session, sender)))
}

/// Returns the line for the log that says which columns are text here and something else there.
fn as_text(columns: &[OutputColumn], mappings: &[Mapping]) -> Option<(Level, String)> {
    let is_other = |(column, mapping): &(&OutputColumn, &Mapping)| {
        mapping.column_type == ColumnType::Text && !matches!(mapping.wire, Wire::Text | Wire::Null) && !column.is_hashed
    };
    let names: Vec<&str> = columns.iter().zip(mappings).filter(is_other).map(|(column, _)| column.source.as_str()).collect();
    let line = format!("read as text: {}", names.join(", "));
    (!names.is_empty()).then(|| (Level::Info, text::printable(&line).into_owned()))
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
            Ok(Pass::Done(bytes)) => match session.conn.query_drop("COMMIT") {
                Ok(()) => Ok((Handed::Read(Read::End), bytes)),
                Err(error) => Err(self.failed(&error)),
            },
            Ok(Pass::Unheard) => return,
            Err(error) => Err(error),
        };
        // Where nobody listens any more, nobody needs to know.
        let _ = sender.send(last);
    }

    fn pass(&self, session: &mut Session, sender: &SyncSender<Item>) -> Result<Pass, SourceError> {
        let Session { conn, canceller, .. } = session;
        let Prepared { statement, parameters, types } = &self.prepared;
        let parameters = if parameters.is_empty() { Params::Empty } else { Params::Positional(parameters.clone()) };
        let mut result = conn.exec_iter(statement, parameters).map_err(|error| self.failed(&error))?;
        let columns = result.columns();
        let is_same = |(column, known): (&mysql::Column, &ServerType)| ServerType::of(column, known.special).comes_as(known);
        let is_as_told = columns.as_ref().len() == types.len() && columns.as_ref().iter().zip(types).all(is_same);
        let pass = if is_as_told { self.rows(&mut result, sender) } else { Err(self.changed()) };
        if !matches!(pass, Ok(Pass::Done(_))) {
            // The end of the result would wait until the server has sent every row, and would hide what it says then.
            abandon(canceller);
        }
        pass
    }

    /// Takes rows to the true end of the result: the server's end mark, and only that, ends the iteration without an error.
    fn rows(&self, result: &mut dyn Iterator<Item = mysql::Result<Row>>, sender: &SyncSender<Item>) -> Result<Pass, SourceError> {
        let mut batch = BatchBuilder::new(&self.schema, self.batch_rows_max).smaller(BATCH_SHARES);
        let (mut number, mut bytes) = (0, 0);
        for row in result {
            let row = row.map_err(|error| self.failed(&error))?;
            number += 1;
            let taken = self.take_row(&row, number, &mut batch, &mut bytes)?;
            if !hand_over(taken, &mut batch, bytes, sender) {
                return Ok(Pass::Unheard);
            }
        }
        let is_heard = batch.finish().is_none_or(|batch| send(sender, batch, bytes));
        Ok(if is_heard { Pass::Done(bytes) } else { Pass::Unheard })
    }

    fn take_row(&self, row: &Row, number: u64, batch: &mut BatchBuilder, total: &mut u64) -> Result<Taken, SourceError> {
        let mut bytes = 0;
        for (index, mapping) in self.mappings.iter().enumerate() {
            let builder = &mut batch.columns[index];
            let value = row.as_ref(index).unwrap_or(&Value::NULL);
            if *value == Value::NULL {
                bytes += builder.append_null();
                continue;
            }
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
                    return self.misfit(row, number, index, value).map(Taken::Rejected);
                }
            }
        }
        batch.end_row(bytes);
        *total += bytes as u64;
        Ok(Taken::Loaded)
    }

    /// Tells which value doesn't fit: as a rejected row, or as the load's failure.
    fn misfit(&self, row: &Row, number: u64, index: usize, value: &Value) -> Result<RejectedRow, SourceError> {
        let Column { column_type, .. } = &self.schema.columns[index];
        let column = &self.columns[index];
        let shown = if column.is_hashed {
            "a hashed value".to_owned()
        } else {
            text::printable(&text::shortened(&decode::shown(self.mappings[index].wire, value), 60)).into_owned()
        };
        let (position, reason) = (format!("{}, row {number}", self.label), format!("{shown} does not fit {column_type}"));
        if self.invalid_values == OnInvalidValue::Fail {
            return Err(SourceError::misfit(&position, &column.source, &reason));
        }
        let cell = |(place, (mapping, column)): (usize, (&Mapping, &OutputColumn))| match row.as_ref(place) {
            None | Some(Value::NULL) => String::new(),
            Some(_) if column.is_hashed => "(hashed)".to_owned(),
            Some(value) => decode::shown(mapping.wire, value),
        };
        let raw = self.mappings.iter().zip(&self.columns).enumerate().map(cell).collect::<Vec<_>>().join(",");
        Ok(RejectedRow { position, column: Some(column.source.clone()), reason, raw })
    }

    fn failed(&self, error: &Error) -> SourceError {
        failure(&format!("read source {} on {}", self.source, self.place), error).into()
    }

    /// The error for columns that are others than when the statement was prepared.
    fn changed(&self) -> SourceError {
        let message = format!("read source {} on {}: its columns were changed just now", self.source, self.place);
        SourceError { code: "conflict", message, hint: None, is_transient: true, retry_after: None }
    }
}

/// Ends the statement whose rows nobody takes any more.
fn abandon(canceller: &Canceller) {
    canceller.cancel();
}

/// Hands over what is ready; returns whether anybody listens.
fn hand_over(taken: Taken, batch: &mut BatchBuilder, bytes: u64, sender: &SyncSender<Item>) -> bool {
    match taken {
        Taken::Loaded if batch.is_full() => batch.finish().is_none_or(|batch| send(sender, batch, bytes)),
        Taken::Loaded => true,
        Taken::Rejected(row) => sender.send(Ok((Handed::Read(Read::Rejected(row)), bytes))).is_ok(),
    }
}

fn send(sender: &SyncSender<Item>, batch: RecordBatch, bytes: u64) -> bool {
    sender.send(Ok((Handed::Read(Read::Batch(batch)), bytes))).is_ok()
}

fn append_hashed(builder: &mut ColumnBuilder, hasher: &Hasher, wire: Wire, value: &Value) -> Result<usize, Misfit> {
    let hash = match (wire, value) {
        (Wire::Text | Wire::Json | Wire::Binary | Wire::Decimal | Wire::Uuid, Value::Bytes(bytes)) => hasher.hash(bytes),
        _ => hasher.hash(decode::shown(wire, value).as_bytes()),
    };
    builder.append_text(hash.as_bytes())
}
