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
use crate::plan::{LoadOptions, Lookback, Mode, NullCursor};
use crate::run::CursorValue;

/// What a load does, as far as it is known before its source is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approach {
    /// As it is really done: a first incremental load is full.
    pub mode: Mode,
    /// What becomes of the target.
    pub disposition: Disposition,
    /// The closed lower bound of what is read.
    pub lower_bound: Option<CursorValue>,
    /// The column whose greatest value is published as the cursor.
    pub cursor_column: Option<String>,
    /// The cursor published before.
    pub cursor_before: Option<CursorValue>,
    /// What a NULL in it means.
    pub null_cursor: NullCursor,
}

impl Approach {
    /// Returns the columns of the key by which rows are merged or folded.
    pub(super) fn key(&self) -> &[String] {
        match &self.disposition {
            Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } => &fold.key,
            Disposition::Full { fold: None, .. } | Disposition::Window { .. } | Disposition::Append => &[],
        }
    }
}

/// What is known of the source and the target.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub record: Option<&'a LoadRecord>,
    pub has_table: bool,
    pub is_files: bool,
    pub key: Vec<String>,
}

/// The lookback in minutes where the source can't list open transactions (loading.md, "The cursor").
const LOOKBACK_MINUTES: u32 = 60;

/// Decides how a stream is loaded.
///
/// # Errors
/// An incremental load without a cursor column or a key.
pub(super) fn approach(options: &LoadOptions, facts: Facts<'_>) -> Result<Approach, Fault> {
    let Facts { record, has_table, is_files, key } = facts;
    if options.window.is_some() {
        return Err(Fault::new("not_in_this_version", "loading one window (--since, --until) is not in this version"));
    }
    // A row without a mode was reset: what it published doesn't count any more.
    let published = record.filter(|record| record.version > 0 && record.mode.is_some());
    let is_incremental = options.mode == Mode::Incremental;
    let fold = (!key.is_empty()).then(|| Fold { key, newest_by: options.timestamp_column.clone() });
    let is_first = published.is_none() || !has_table || options.is_full_refresh;
    if !is_incremental || is_first {
        // A full load folds by the job's own key; one of the source's catalogue is unique there already.
        let fold = fold.filter(|_| is_incremental || !options.primary_key.is_empty());
        return Ok(Approach {
            mode: Mode::Full,
            disposition: Disposition::Full { publish: options.publish, fold },
            lower_bound: None,
            cursor_column: options.timestamp_column.clone().filter(|_| is_incremental),
            cursor_before: None,
            null_cursor: options.null_cursor.unwrap_or(NullCursor::Include),
        });
    }
    let cursor_before = published.and_then(|record| record.cursor.clone());
    let lower_bound = match &cursor_before {
        Some(cursor) if !is_files => Some(behind(cursor, &options.lookback)?),
        _ => None,
    };
    let disposition = match (fold, &options.timestamp_column) {
        (Some(fold), _) => Disposition::Merge(fold),
        (None, _) if is_files => Disposition::Append,
        (None, Some(column)) => Disposition::Window { column: column.clone(), from: lower_bound.clone(), until: None },
        (None, None) => {
            return Err(Fault::new("no_cursor", "an incremental load needs a timestamp_column or a primary_key")
                .hint("set one of them, or mode: full"));
        }
    };
    // Every row of a file is read, whatever its cursor says.
    let null_cursor = options.null_cursor.unwrap_or(if is_files { NullCursor::Include } else { NullCursor::Skip });
    let cursor_column = options.timestamp_column.clone();
    Ok(Approach { mode: Mode::Incremental, disposition, lower_bound, cursor_column, cursor_before, null_cursor })
}

/// Returns the closed lower bound: the cursor less the lookback.
fn behind(cursor: &CursorValue, lookback: &Lookback) -> Result<CursorValue, Fault> {
    let steps = match lookback {
        Lookback::Minutes(minutes) => CursorValue::steps_of_minutes(cursor.column_type, minutes.unwrap_or(LOOKBACK_MINUTES)).unwrap_or(0),
        Lookback::Value(value) => {
            let scale = if let ColumnType::Decimal { scale, .. } = cursor.column_type { scale } else { 0 };
            i128::from(*value) * 10_i128.pow(u32::try_from(scale).unwrap_or(0))
        }
    };
    let bound = cursor.position().and_then(|position| {
        // A lookback beyond the type's least value reads from that least value on.
        CursorValue::at(cursor.column_type, position - steps).or_else(|| CursorValue::at(cursor.column_type, 0))
    });
    bound.ok_or_else(|| {
        let message = format!("the published cursor {:?} is no {}", cursor.text, cursor.column_type);
        Fault::new("bad_cursor", message).hint("load once with --full-refresh")
    })
}

/// Follows the cursor column through the batches of a load.
#[derive(Debug)]
pub(super) struct Tracker {
    column: usize,
    column_type: ColumnType,
    /// Values above it are loaded but never become the cursor.
    limit: Option<i128>,
    greatest: Option<i128>,
    /// Rows whose value lies above the limit.
    pub rows_beyond: u64,
    /// Rows without a value.
    pub rows_null: u64,
}

impl Tracker {
    /// Begins to follow a column.
    ///
    /// # Errors
    /// No such column, or one whose type can't be a cursor.
    pub(super) fn new(column: &str, schema: &Schema, started_at: DateTime<Utc>, safe: Option<&CursorValue>) -> Result<Self, Fault> {
        let place = schema.columns.iter().position(|candidate| candidate.name.eq_ignore_ascii_case(column));
        let Some(place) = place else {
            let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
            let fault = Fault::new("no_such_column", format!("timestamp_column {column} is not a column of the source"));
            return Err(fault.hint(format!("its columns are {}", names.join(", "))));
        };
        let column_type = schema.columns[place].column_type;
        if !CursorValue::is_possible(column_type) {
            let message =
                format!("timestamp_column {column} is {column_type}; a cursor is a timestamp, a date or a number that only grows");
            return Err(Fault::new("bad_cursor", message).hint(format!("declare {column} under columns.types, or name another column")));
        }
        // A wall clock without a zone may be up to 14 hours ahead of UTC (Kiritimati).
        let is_instant = matches!(column_type, ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc);
        let ahead = if is_instant { chrono::TimeDelta::zero() } else { chrono::TimeDelta::hours(14) };
        let clock = CursorValue::position_of(column_type, started_at + ahead);
        let safe = safe.filter(|safe| safe.column_type == column_type).and_then(CursorValue::position);
        let limit = safe.or(clock);
        Ok(Self { column: place, column_type, limit, greatest: None, rows_beyond: 0, rows_null: 0 })
    }

    /// Looks at a batch; returns which rows have no value, where there are such rows.
    pub(super) fn follow(&mut self, batch: &RecordBatch) -> Option<Vec<bool>> {
        use ColumnType::*;
        let array = batch.column(self.column).as_ref();
        match self.column_type {
            Int16 => self.values::<Int16Type>(array, i128::from),
            Int32 => self.values::<Int32Type>(array, i128::from),
            Int64 => self.values::<Int64Type>(array, i128::from),
            UInt64 => self.values::<UInt64Type>(array, i128::from),
            Decimal { .. } => self.values::<Decimal128Type>(array, |value| value),
            Date => self.values::<Date32Type>(array, i128::from),
            Timestamp | TimestampUtc => self.values::<TimestampMicrosecondType>(array, i128::from),
            TimestampNanos | TimestampNanosUtc => self.values::<TimestampNanosecondType>(array, i128::from),
            _ => {}
        }
        self.rows_null += array.null_count() as u64;
        (array.null_count() > 0).then(|| (0..array.len()).map(|row| array.is_null(row)).collect())
    }

    fn values<T: ArrowPrimitiveType>(&mut self, array: &dyn Array, position: impl Fn(T::Native) -> i128) {
        let mut greatest = self.greatest;
        let mut beyond = 0;
        for value in array.as_primitive::<T>().iter().flatten() {
            let value = position(value);
            if self.limit.is_some_and(|limit| value > limit) {
                beyond += 1;
            } else if greatest.is_none_or(|greatest| value > greatest) {
                greatest = Some(value);
            }
        }
        self.greatest = greatest;
        self.rows_beyond += beyond;
    }

    /// Returns the cursor to publish: it never goes back. `None` leaves it as it is.
    pub(super) fn cursor(&self, before: Option<&CursorValue>) -> Option<CursorValue> {
        let before = before.filter(|before| before.column_type == self.column_type).and_then(CursorValue::position);
        let greatest = self.greatest.filter(|greatest| before.is_none_or(|before| *greatest > before))?;
        CursorValue::at(self.column_type, greatest)
    }
}
