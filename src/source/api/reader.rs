//! Reads a resource: fetches all of it first, so that the types of its columns are known, then makes batches.

use chrono::DateTime;

use super::flat::{Flat, Form};
use super::gather::Gather;
use super::request::Values;
use super::spool::{Rows, Spooled};
use super::take::{Taker, counted};
use crate::batch::{BatchBuilder, Column, ColumnBuilder, ColumnType, Misfit, Schema, parse};
use crate::plan::api::ApiSourcePlan;
use crate::plan::{ColumnRules, Level, OnInvalidValue};
use crate::run::FileRecord;
use crate::run::cursor::Rounding;
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::{Moments, Read, ReadRequest, Reader, RejectedRow, SourceError};
use crate::text;

/// How many records are looked at for the type of one column.
const SEEN_MAX: u64 = 100;

/// Reads the rows of a resource that was fetched.
#[derive(Debug)]
pub(super) struct ApiReader {
    columns: Vec<OutputColumn>,
    /// For each column, its place among those that were seen.
    places: Vec<Option<usize>>,
    schema: Schema,
    batch: BatchBuilder,
    rows: Rows,
    /// The values of the present row by the places of columns: row, form, start, end.
    slots: Vec<(u64, Form, usize, usize)>,
    row: u64,
    hasher: Option<Hasher>,
    invalid_values: OnInvalidValue,
    bound: Option<Bound>,
    left_out: u64,
    nulled: u64,
    bytes: u64,
    is_done: bool,
    log: Vec<(Level, String)>,
}

/// Rows with a lesser value were not asked for.
#[derive(Debug)]
struct Bound {
    place: usize,
    column_type: ColumnType,
    from: i128,
}

impl ApiReader {
    /// Fetches everything that a request asks for.
    pub fn open(
        source: &str,
        plan: &ApiSourcePlan,
        rules: &ColumnRules,
        hash_key: Option<&Secret>,
        request: &ReadRequest<'_>,
    ) -> Result<Self, SourceError> {
        let (taker, gather) = fetched(plan, rules, request, None)?;
        let mut log: Vec<(Level, String)> = gather.log.iter().map(|line| (Level::Info, line.clone())).collect();
        let Taker { mut flat, spool, nulled, .. } = taker;
        let is_empty = spool.rows() == 0;
        log.push((Level::Info, format!("{} on {}", counted(spool.rows()), text::count(gather.pages, "page"))));
        let expected = expected(request, rules);
        let names = names(&mut flat, &expected, rules, &mut log, is_empty);
        if names.is_empty() {
            let message = format!("source {source}: there is no record, and nothing tells its columns");
            return Err(SourceError::new("invalid_data", message).hint("declare them under columns.types"));
        }
        let columns = layout(source, &names, rules, hash_key)?;
        let places: Vec<Option<usize>> = columns.iter().map(|column| flat.place(&column.source)).collect();
        let types = columns.iter().zip(&places).map(|(column, place)| {
            let before = expected.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.source)).map(|(_, before)| *before);
            match (column.declared, place) {
                _ if column.is_hashed => ColumnType::Text,
                (Some(declared), _) => declared,
                (None, Some(place)) => flat.column_type(*place, before),
                (None, None) => before.unwrap_or(ColumnType::Text),
            }
        });
        let schema = Schema::new(columns.iter().zip(types).map(|(column, column_type)| Column::new(&column.name, column_type)).collect());
        Ok(Self {
            bound: bound(request, &columns, &places, &schema)?,
            batch: BatchBuilder::new(&schema, request.options.batch_size),
            slots: vec![(0, Form::Bare, 0, 0); flat.columns().len()],
            rows: spool.finish()?,
            row: 0,
            hasher: columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten(),
            invalid_values: request.options.invalid_values,
            left_out: 0,
            nulled,
            bytes: gather.bytes,
            is_done: false,
            columns,
            places,
            schema,
            log,
        })
    }

    /// Appends the present row; a row that can't be loaded is told.
    fn take_row(&mut self) -> Result<Option<RejectedRow>, SourceError> {
        self.row += 1;
        self.rows.place(&mut self.slots, self.row);
        if self.is_left_out() {
            self.left_out += 1;
            return Ok(None);
        }
        let mut bytes = 0;
        for (index, place) in self.places.iter().enumerate() {
            let builder = &mut self.batch.columns[index];
            let slot = place.map(|place| self.slots[place]).filter(|slot| slot.0 == self.row);
            let Some((_, form, start, end)) = slot else {
                bytes += builder.append_null();
                continue;
            };
            let value = self.rows.text(start, end);
            let column = &self.columns[index];
            let appended = match &self.hasher {
                Some(hasher) if column.is_hashed => builder.append_text(hasher.hash(value).as_bytes()),
                _ => append(builder, column.declared.is_some(), form, value),
            };
            if let Ok(length) = appended {
                bytes += length;
                continue;
            }
            let shown = text::shortened(&String::from_utf8_lossy(&value[..value.len().min(400)]), 60).into_owned();
            let reason = format!("\"{}\" does not fit {}", text::printable(&shown), builder.column_type());
            match self.invalid_values {
                OnInvalidValue::Null => {
                    bytes += builder.append_null();
                    self.nulled += 1;
                }
                OnInvalidValue::Reject => {
                    let raw = String::from_utf8_lossy(self.rows.raw()).into_owned();
                    let (position, column) = (self.rows.position(), Some(column.source.clone()));
                    self.batch.undo_row();
                    return Ok(Some(RejectedRow { position, column, reason, raw }));
                }
                OnInvalidValue::Fail => {
                    let message = format!("{}, column {}: {reason}", self.rows.position(), column.source);
                    return Err(
                        SourceError::new("invalid_data", message).hint(format!("declare {}: text under columns.types", column.source))
                    );
                }
            }
        }
        self.batch.end_row(bytes);
        Ok(None)
    }

    /// Whether the present row lies before what was asked for.
    fn is_left_out(&self) -> bool {
        let Some(Bound { place, column_type, from }) = &self.bound else { return false };
        let (row, _, start, end) = self.slots[*place];
        row == self.row && position(*column_type, self.rows.text(start, end)).is_some_and(|position| position < *from)
    }

    fn end(&mut self) {
        self.is_done = true;
        if self.left_out > 0 {
            let line = format!("{} from before the cursor came and were left out", counted(self.left_out));
            self.log.push((Level::Info, line));
        }
        if self.nulled > 0 {
            let values = text::count(self.nulled, "value");
            self.log.push((Level::Warn, format!("{values} that no type of their columns holds became NULL (invalid_values: null)")));
        }
    }
}

impl Reader for ApiReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        while !self.is_done {
            match self.rows.take()? {
                Spooled::Rejected(row) => return Ok(Read::Rejected(row)),
                Spooled::Row => {
                    if let Some(rejected) = self.take_row()? {
                        return Ok(Read::Rejected(rejected));
                    }
                    if self.batch.is_full() {
                        return Ok(self.batch.finish().map_or(Read::End, Read::Batch));
                    }
                }
                Spooled::End => {
                    self.end();
                    if let Some(batch) = self.batch.finish() {
                        return Ok(Read::Batch(batch));
                    }
                }
            }
        }
        Ok(Read::End)
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (self.bytes, Some(self.bytes))
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

/// Fetches what a request asks for, or so many pages of it.
pub(super) fn fetched(
    plan: &ApiSourcePlan,
    rules: &ColumnRules,
    request: &ReadRequest<'_>,
    pages_max: Option<u64>,
) -> Result<(Taker, Gather), SourceError> {
    let flat = Flat::new(plan.flatten_depth, &rules.select, &rules.exclude);
    let has_raw = !rules.types.is_empty();
    let mut taker = Taker::new(flat, request.options.invalid_values, has_raw, request.rows_max)?;
    let mut gather = Gather::open(plan, pages_max)?;
    gather.run(plan, &values(rules, request), &mut taker)?;
    Ok((taker, gather))
}

/// Returns the type of a column, by its name in the source or in the target, as the first page shows it.
///
/// # Errors
/// A page that can't be read, or that doesn't show the column.
pub(super) fn seen(plan: &ApiSourcePlan, rules: &ColumnRules, column: &str) -> Result<ColumnType, SourceError> {
    let epoch = DateTime::UNIX_EPOCH;
    let moments = Moments { slot: epoch, run_started: epoch };
    let mut taker = Taker::new(Flat::new(plan.flatten_depth, &[], &[]), OnInvalidValue::Null, false, Some(SEEN_MAX))?;
    Gather::open(plan, Some(1))?.run(plan, &Values { lower_bound: None, cursor_type: None, moments, parent: &[] }, &mut taker)?;
    let renamed = rules.rename.iter().find(|(_, to)| to.eq_ignore_ascii_case(column)).map_or(column, |(from, _)| from);
    let found = taker.flat.place(renamed).and_then(|place| taker.flat.columns()[place].inference.seen());
    found.ok_or_else(|| {
        SourceError::new("no_such_column", format!("timestamp_column {column} has no value on the first page"))
            .hint("declare its type under columns.types")
    })
}

/// Returns what texts of requests may name.
pub(super) fn values<'a>(rules: &ColumnRules, request: &ReadRequest<'a>) -> Values<'a> {
    let cursor = request.options.timestamp_column.as_deref();
    let cursor_type = cursor.and_then(|cursor| declared(rules, cursor));
    Values { lower_bound: request.lower_bound, cursor_type, moments: request.moments, parent: &[] }
}

/// Returns the declared type of a column that is called by its name in the source or in the target.
pub(super) fn declared(rules: &ColumnRules, column: &str) -> Option<ColumnType> {
    let renamed = rules.rename.iter().find(|(_, to)| to.eq_ignore_ascii_case(column)).map_or(column, |(from, _)| from);
    rules.types.iter().find(|(name, _)| name.eq_ignore_ascii_case(renamed)).map(|(_, declared)| *declared)
}

/// Returns the columns as published before, by their names in the source.
fn expected(request: &ReadRequest<'_>, rules: &ColumnRules) -> Vec<(String, ColumnType)> {
    let columns = request.expected.map(|schema| schema.columns.as_slice()).unwrap_or_default();
    let name = |column: &Column| {
        let renamed = rules.rename.iter().find(|(_, to)| to.eq_ignore_ascii_case(&column.name));
        renamed.map_or_else(|| column.name.clone(), |(from, _)| from.clone())
    };
    columns.iter().map(|column| (name(column), column.column_type)).collect()
}

/// Returns the names of all columns: those of the records, those that the job names, those that were published before.
fn names(
    flat: &mut Flat,
    expected: &[(String, ColumnType)],
    rules: &ColumnRules,
    log: &mut Vec<(Level, String)>,
    is_empty: bool,
) -> Vec<String> {
    let ColumnRules { select, exclude, types, rename, hash } = rules;
    let before: Vec<String> = expected.iter().map(|(name, _)| name.clone()).collect();
    let settled = flat.settle(&before);
    let mut names: Vec<String> = settled.iter().map(|place| flat.columns()[*place].name.clone()).collect();
    let mut known: std::collections::HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let said =
        select.iter().chain(exclude).chain(types.iter().map(|(name, _)| name)).chain(rename.iter().map(|(name, _)| name)).chain(hash);
    let mut unseen: Vec<String> = Vec::new();
    for name in said {
        if known.insert(name.to_lowercase()) {
            if !exclude.contains(name) {
                unseen.push(name.clone());
            }
            // A column that the job excludes is written as the records have it, where they have it.
            names.push(name.clone());
        }
    }
    if !unseen.is_empty() && !is_empty {
        log.push((Level::Warn, format!("no record has {}: NULL", text::shortened(&unseen.join(", "), 300))));
    }
    names.extend(before.into_iter().filter(|name| known.insert(name.to_lowercase())));
    names
}

fn append(builder: &mut ColumnBuilder, is_declared: bool, form: Form, value: &[u8]) -> Result<usize, Misfit> {
    match (builder.column_type(), form) {
        // In a column of JSON a text is a JSON text.
        (ColumnType::Json, Form::Text) => {
            let quoted = serde_json::Value::from(String::from_utf8_lossy(value)).to_string();
            builder.append_text(quoted.as_bytes())
        }
        (_, Form::Bare) if !is_declared => builder.append_inferred(value),
        _ => builder.append_text(value),
    }
}

fn bound(
    request: &ReadRequest<'_>,
    columns: &[OutputColumn],
    places: &[Option<usize>],
    schema: &Schema,
) -> Result<Option<Bound>, SourceError> {
    let (Some(bound), Some(cursor)) = (request.lower_bound, request.options.timestamp_column.as_deref()) else { return Ok(None) };
    let is_cursor = |column: &OutputColumn| [&column.name, &column.source].iter().any(|name| name.eq_ignore_ascii_case(cursor));
    let Some(index) = columns.iter().position(is_cursor) else { return Ok(None) };
    let (Some(place), column_type) = (places[index], schema.columns[index].column_type) else { return Ok(None) };
    match bound.position_in(column_type, Rounding::Up) {
        Some(from) => Ok(Some(Bound { place, column_type, from })),
        None => {
            let message = format!("timestamp_column {cursor} is {column_type}, and the cursor {:?} is {}", bound.text, bound.column_type);
            Err(SourceError::new("bad_cursor", message).hint("load once with --full-refresh"))
        }
    }
}

/// Returns the position of a text in a type that can be a cursor, as [`crate::run::CursorValue::position`] counts.
fn position(column_type: ColumnType, text: &[u8]) -> Option<i128> {
    use ColumnType::*;
    match column_type {
        Int16 | Int32 | Int64 => parse::declared_integer(text).map(i128::from),
        UInt64 => parse::declared_unsigned(text).map(i128::from),
        Decimal { precision, scale } => parse::decimal(text, precision, scale)?.to_i128(),
        Date => parse::date(text).map(i128::from),
        Timestamp => parse::timestamp_or_date(text)?.micros().map(i128::from),
        TimestampUtc => parse::timestamp(text)?.micros().map(i128::from),
        TimestampNanos => parse::timestamp_or_date(text)?.nanos().map(i128::from),
        TimestampNanosUtc => parse::timestamp(text)?.nanos().map(i128::from),
        _ => None,
    }
}
