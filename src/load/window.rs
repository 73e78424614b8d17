//! What an incremental load reads, and how far the cursor goes.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use chrono::{DateTime, Utc};

use super::Fault;
use crate::batch::{ColumnType, RecordBatch, Schema};
use crate::destination::{Disposition, Fold, LoadRecord};
use crate::plan::{ColumnRules, LoadOptions, Lookback, Mode, NullCursor};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;

/// What a load does, as far as it is known before its source is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approach {
    /// As it is really done: a first incremental load is full.
    pub mode: Mode,
    /// What becomes of the target.
    pub disposition: Disposition,
    /// The closed lower bound of what is read.
    pub lower_bound: Option<CursorValue>,
    /// The open upper bound of what is read.
    pub upper_bound: Option<CursorValue>,
    /// The column whose greatest value is published as the cursor, by its name in the target.
    pub cursor_column: Option<String>,
    /// The cursor published before.
    pub cursor_before: Option<CursorValue>,
    /// What a NULL in it means.
    pub null_cursor: NullCursor,
    /// Whether somebody asked for this window alone.
    pub is_backfill: bool,
}

impl Approach {
    /// Returns the columns of the key by which rows are merged or folded.
    pub(super) fn key(&self) -> &[String] {
        match &self.disposition {
            Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } => &fold.key,
            Disposition::Full { fold: None, .. } | Disposition::Window { .. } | Disposition::Append => &[],
        }
    }

    /// Whether a row beyond the bounds must not be loaded: it stands in the target already, and would stand there twice.
    pub(super) fn is_exact(&self) -> bool {
        self.is_backfill || matches!(self.disposition, Disposition::Window { .. })
    }

    /// Returns the cursor to publish: it never goes back. `None` leaves it as it is.
    pub(super) fn cursor(&self, tracker: Option<&Tracker>) -> Option<CursorValue> {
        let cursor = tracker?.cursor(self.cursor_before.as_ref())?;
        if self.is_backfill {
            // What lies between the cursor and a window beyond it was not read, and the next run must read it.
            let before = self.cursor_before.as_ref()?.moved_to(cursor.column_type)?.position();
            let since = self.lower_bound.as_ref().map(|bound| bound.position_in(cursor.column_type, Rounding::Up));
            if since.is_some_and(|since| since > before) {
                return None;
            }
        }
        Some(cursor)
    }
}

/// What is known of the source and the target.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub record: Option<&'a LoadRecord>,
    pub has_table: bool,
    pub is_files: bool,
    pub key: Vec<String>,
    /// The cursor column by its name in the target.
    pub cursor_column: Option<String>,
    /// The ends of the window that was asked for.
    pub window: Option<(Option<CursorValue>, Option<CursorValue>)>,
    /// Whether the source tells what may be committed late, or nothing is.
    pub is_told: bool,
}

/// The lookback in minutes where the source can't list open transactions (loading.md, "The cursor").
const LOOKBACK_MINUTES: u32 = 60;

/// Returns the cursor column's name in the target: the job may use either. A full load has one where rows of a key are folded by it.
///
/// # Errors
/// A column that is not loaded as it is.
pub(super) fn cursor_column(options: &LoadOptions, rules: &ColumnRules) -> Result<Option<String>, Fault> {
    let is_wanted = options.mode == Mode::Incremental || !options.primary_key.is_empty();
    let Some(given) = options.timestamp_column.as_ref().filter(|_| is_wanted) else { return Ok(None) };
    let renamed = rules.rename.iter().find(|(from, to)| from == given || to == given);
    let source = renamed.map_or(given, |(from, _)| from);
    let problem = if rules.hash.contains(source) {
        "is hashed, and hashes have no order"
    } else if rules.exclude.contains(source) || (!rules.select.is_empty() && !rules.select.contains(source)) {
        "is not among the columns that are loaded"
    } else {
        return Ok(Some(renamed.map_or(given, |(_, to)| to).clone()));
    };
    Err(Fault::new("bad_cursor", format!("timestamp_column {given} {problem}")).hint("look at columns, or name another column"))
}

/// Decides how a stream is loaded.
///
/// # Errors
/// An incremental load without a cursor column or a key.
pub(super) fn approach(options: &LoadOptions, facts: Facts<'_>) -> Result<Approach, Fault> {
    let Facts { record, has_table, is_files, key, cursor_column, window, is_told } = facts;
    // A row without a mode was reset: what it published doesn't count any more.
    let published = record.filter(|record| record.version > 0 && record.mode.is_some());
    let is_incremental = options.mode == Mode::Incremental;
    let fold = (!key.is_empty()).then(|| Fold { key, newest_by: cursor_column.clone() });
    let is_first = published.is_none() || !has_table || options.is_full_refresh;
    if !is_incremental || (is_first && window.is_none()) {
        // A full load folds by the job's own key; one of the source's catalogue is unique there already.
        let fold = fold.filter(|_| is_incremental || !options.primary_key.is_empty());
        return Ok(Approach {
            mode: Mode::Full,
            disposition: Disposition::Full { publish: options.publish, fold },
            lower_bound: None,
            upper_bound: None,
            cursor_column: cursor_column.filter(|_| is_incremental),
            cursor_before: None,
            null_cursor: options.null_cursor.unwrap_or(NullCursor::Include),
            is_backfill: false,
        });
    }
    // What was published into a table that is gone says nothing of the one that is made now.
    let cursor_before = published.filter(|_| !is_first).and_then(|record| record.cursor.clone());
    let is_backfill = window.is_some();
    let (lower_bound, upper_bound) = match (window, &cursor_before) {
        (Some(window), _) => window,
        (None, Some(cursor)) if !is_files => (behind(cursor, &options.lookback, is_told)?, None),
        (None, _) => (None, None),
    };
    let disposition = match (fold, &cursor_column) {
        (Some(fold), _) => Disposition::Merge(fold),
        (None, _) if is_files => Disposition::Append,
        (None, Some(column)) => Disposition::Window { column: column.clone(), from: lower_bound.clone(), until: upper_bound.clone() },
        (None, None) => {
            return Err(Fault::new("no_cursor", "an incremental load needs a timestamp_column or a primary_key")
                .hint("set one of them, or mode: full"));
        }
    };
    // Every row of a file is read, whatever its cursor says.
    let null_cursor = options.null_cursor.unwrap_or(if is_files { NullCursor::Include } else { NullCursor::Skip });
    Ok(Approach { mode: Mode::Incremental, disposition, lower_bound, upper_bound, cursor_column, cursor_before, null_cursor, is_backfill })
}

/// Returns the closed lower bound: the cursor less the lookback; `None` where that is less than every value.
fn behind(cursor: &CursorValue, lookback: &Lookback, is_told: bool) -> Result<Option<CursorValue>, Fault> {
    let steps = match lookback {
        Lookback::Minutes(minutes) => {
            let minutes = minutes.unwrap_or(if is_told { 0 } else { LOOKBACK_MINUTES });
            CursorValue::steps_of_minutes(cursor.column_type, minutes).unwrap_or(0)
        }
        Lookback::Value(value) => {
            let scale = if let ColumnType::Decimal { scale, .. } = cursor.column_type { scale } else { 0 };
            i128::from(*value).saturating_mul(10_i128.saturating_pow(u32::try_from(scale).unwrap_or(0)))
        }
    };
    let Some(position) = cursor.position() else {
        let message = format!("the published cursor {:?} is no {}", cursor.text, cursor.column_type);
        return Err(Fault::new("bad_cursor", message).hint("load once with --full-refresh"));
    };
    let least = CursorValue::least(cursor.column_type).and_then(|least| least.position());
    let bound = position.checked_sub(steps).filter(|bound| least.is_none_or(|least| *bound >= least));
    Ok(bound.and_then(|bound| CursorValue::at(cursor.column_type, bound)))
}

/// Tells which rows lie within the bounds of a load.
#[derive(Debug)]
pub(super) struct Inside {
    column: usize,
    column_type: ColumnType,
    from: Option<i128>,
    until: Option<i128>,
    has_nulls: bool,
}

impl Inside {
    /// Begins to look at the rows of a schema; `None` where every row is within the bounds.
    ///
    /// # Errors
    /// Bounds that say nothing of the column as it is now.
    pub(super) fn new(approach: &Approach, schema: &Schema) -> Result<Option<Self>, Fault> {
        let Approach { lower_bound, upper_bound, cursor_column, is_backfill, .. } = approach;
        let Some(column) = cursor_column.as_ref().filter(|_| approach.is_exact()) else { return Ok(None) };
        let (place, column_type) = find(column, schema)?;
        let position = |bound: &Option<CursorValue>| match bound {
            None => Ok(None),
            Some(bound) => bound.position_in(column_type, Rounding::Up).map(Some).ok_or_else(|| {
                let message =
                    format!("timestamp_column {column} is {column_type}, and the bound {:?} is {}", bound.text, bound.column_type);
                Fault::new("bad_cursor", message).hint("load once with --full-refresh")
            }),
        };
        let (from, until) = (position(lower_bound)?, position(upper_bound)?);
        Ok(Some(Self { column: place, column_type, from, until, has_nulls: !is_backfill }))
    }

    /// Returns which rows of a batch are within the bounds, where some are not.
    pub(super) fn rows(&self, batch: &RecordBatch) -> Option<Vec<bool>> {
        let mut inside = Vec::with_capacity(batch.num_rows());
        each(batch.column(self.column).as_ref(), self.column_type, |value| {
            inside.push(value.map_or(self.has_nulls, |value| {
                self.from.is_none_or(|from| value >= from) && self.until.is_none_or(|until| value < until)
            }));
        });
        inside.contains(&false).then_some(inside)
    }
}

/// Returns the place and type of the cursor column.
fn find(column: &str, schema: &Schema) -> Result<(usize, ColumnType), Fault> {
    let place = schema.columns.iter().position(|candidate| candidate.name.eq_ignore_ascii_case(column));
    let Some(place) = place else {
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        let fault = Fault::new("no_such_column", format!("timestamp_column {column} is not a column of the source"));
        return Err(fault.hint(format!("its columns are {}", names.join(", "))));
    };
    let column_type = schema.columns[place].column_type;
    if CursorValue::is_possible(column_type) { Ok((place, column_type)) } else { Err(no_cursor(column, column_type)) }
}

/// Says that a column of a type can't be a cursor.
pub(super) fn no_cursor(column: &str, column_type: ColumnType) -> Fault {
    let message = format!("timestamp_column {column} is {column_type}; a cursor is a timestamp, a date or a number that only grows");
    Fault::new("bad_cursor", message).hint(format!("declare {column} under columns.types, or name another column"))
}

/// Shows each value of a cursor column by its position.
fn each(array: &dyn Array, column_type: ColumnType, mut look: impl FnMut(Option<i128>)) {
    use ColumnType::*;
    fn of<T: ArrowPrimitiveType>(array: &dyn Array, position: impl Fn(T::Native) -> i128, look: &mut impl FnMut(Option<i128>)) {
        array.as_primitive::<T>().iter().for_each(|value| look(value.map(&position)));
    }
    match column_type {
        Int16 => of::<Int16Type>(array, i128::from, &mut look),
        Int32 => of::<Int32Type>(array, i128::from, &mut look),
        Int64 => of::<Int64Type>(array, i128::from, &mut look),
        UInt64 => of::<UInt64Type>(array, i128::from, &mut look),
        Decimal { .. } => of::<Decimal128Type>(array, |value| value, &mut look),
        Date => of::<Date32Type>(array, i128::from, &mut look),
        Timestamp | TimestampUtc => of::<TimestampMicrosecondType>(array, i128::from, &mut look),
        TimestampNanos | TimestampNanosUtc => of::<TimestampNanosecondType>(array, i128::from, &mut look),
        _ => {}
    }
}

/// How far the clock of a source may be ahead of ours before a warning says that a value is yet to come.
const CLOCKS_APART: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Follows the cursor column through the batches of a load.
#[derive(Debug)]
pub(super) struct Tracker {
    column: usize,
    column_type: ColumnType,
    /// Values above it are loaded but never become the cursor.
    limit: Option<i128>,
    /// Whether the source sets that limit, because earlier values may still be committed.
    is_of_commits: bool,
    greatest: Option<i128>,
    /// The greatest value of all rows.
    greatest_read: Option<i128>,
    /// Values above it are yet to come by any clock.
    future: Option<i128>,
    /// Rows whose value lies above the limit.
    pub rows_beyond: u64,
    /// Those among them that are yet to come.
    pub rows_future: u64,
    /// Rows without a value.
    pub rows_null: u64,
}

impl Tracker {
    /// Begins to follow a column.
    ///
    /// # Errors
    /// No such column, or one whose type can't be a cursor.
    pub(super) fn new(column: &str, schema: &Schema, started_at: DateTime<Utc>, safe: Option<&CursorValue>) -> Result<Self, Fault> {
        let (place, column_type) = find(column, schema)?;
        // A wall clock without a zone may be up to 14 hours ahead of UTC (Kiritimati).
        let is_instant = matches!(column_type, ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc);
        let ahead = if is_instant { chrono::TimeDelta::zero() } else { chrono::TimeDelta::hours(14) };
        let clock = CursorValue::position_of(column_type, started_at + ahead);
        // A source's clock may be ahead of ours, and rows come while a run goes on.
        let future = CursorValue::position_of(column_type, started_at + ahead + CLOCKS_APART);
        // A limit that can't be understood lets nothing pass.
        let safe = safe.map(|safe| safe.position_in(column_type, Rounding::Down).unwrap_or(i128::MIN));
        let (greatest, greatest_read, rows_beyond, rows_future, rows_null) = (None, None, 0, 0, 0);
        let (limit, is_of_commits) = (safe.or(clock), safe.is_some());
        let future = if is_of_commits { future } else { clock };
        let column = place;
        Ok(Self { column, column_type, limit, is_of_commits, greatest, greatest_read, future, rows_beyond, rows_future, rows_null })
    }

    /// Looks at a batch; returns which rows have no value, where there are such rows.
    pub(super) fn follow(&mut self, batch: &RecordBatch) -> Option<Vec<bool>> {
        let array = batch.column(self.column).as_ref();
        let (mut greatest, mut greatest_read, mut beyond, mut future) = (self.greatest, self.greatest_read, 0, 0);
        each(array, self.column_type, |value| {
            let Some(value) = value else { return };
            greatest_read = greatest_read.max(Some(value));
            if self.limit.is_some_and(|limit| value > limit) {
                beyond += 1;
                future += u64::from(self.future.is_some_and(|now| value > now));
            } else {
                greatest = greatest.max(Some(value));
            }
        });
        (self.greatest, self.greatest_read) = (greatest, greatest_read);
        self.rows_beyond += beyond;
        self.rows_future += future;
        self.rows_null += array.null_count() as u64;
        (array.null_count() > 0).then(|| (0..array.len()).map(|row| array.is_null(row)).collect())
    }

    /// Returns the greatest value that may be the cursor, where it is greater than the one before.
    fn cursor(&self, before: Option<&CursorValue>) -> Option<CursorValue> {
        let before = before.and_then(|before| before.position_in(self.column_type, Rounding::Down));
        let greatest = self.greatest.filter(|greatest| before.is_none_or(|before| *greatest > before))?;
        CursorValue::at(self.column_type, greatest)
    }

    /// Returns what a full load publishes where no value of it may be the cursor: nothing, unless the old cursor lies beyond every row. It is
    /// of a source that was set back then, whose next rows would be missed.
    pub(super) fn set_back(&self, old: Option<&CursorValue>) -> Option<CursorValue> {
        let old = old?.position_in(self.column_type, Rounding::Down);
        (self.greatest_read < old).then(|| CursorValue::least(self.column_type)).flatten()
    }

    /// Whether the cursor stays though there are greater values, because others may still commit earlier ones.
    pub(super) fn is_held(&self, before: Option<&CursorValue>) -> bool {
        let before = before.and_then(|before| before.position_in(self.column_type, Rounding::Down));
        self.is_of_commits
            && self.cursor_moves_not(before)
            && self.greatest_read.is_some_and(|read| before.is_none_or(|before| read > before))
    }

    fn cursor_moves_not(&self, before: Option<i128>) -> bool {
        self.greatest.is_none_or(|greatest| before.is_some_and(|before| greatest <= before))
    }
}
