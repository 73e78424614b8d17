//! The columns that are read: what becomes of each, and whether its values have places in a row set or are streamed one by one.

use super::describe::Described;
use super::dialect::Dialect;
use super::query::{self, Bounds, Query};
use super::rowset::is_fixed;
use super::types::{BOUND_LENGTH_MAX, Mapping, Wire};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::Level;
use crate::source::columns::OutputColumn;
use crate::source::{Moments, SourceError};
use crate::text;

/// The length of a place for values whose length nobody knows: most are shorter, and the first that is longer tells.
const UNKNOWN_LENGTH: usize = 255;

/// How the values of a column are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// In places of so many characters or bytes.
    Placed(usize),
    /// One by one.
    Streamed,
}

/// A column that is read.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub column: OutputColumn,
    pub mapping: Mapping,
    pub taken: Taken,
}

impl Lane {
    /// Decides what becomes of a column; `expected` is its type as it was published before.
    pub fn new(column: &OutputColumn, own: Mapping, expected: Option<ColumnType>) -> Self {
        let column_type = match column.declared {
            _ if column.is_hashed => ColumnType::Text,
            Some(declared) => declared,
            // Once a value was there that its type doesn't hold.
            None if expected == Some(ColumnType::Text) && may_be_text(own.column_type) => ColumnType::Text,
            None => own.column_type,
        };
        let is_instant = own.wire == Wire::Timestamp && matches!(own.column_type, ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc);
        let mapping = Mapping { column_type, wire: if is_instant { Wire::Instant } else { own.wire }, ..own };
        Self { column: column.clone(), mapping, taken: Taken::Placed(own.length.unwrap_or(UNKNOWN_LENGTH)) }
    }

    /// Gives the column room for a value that was longer than its place; `bytes` is its length, where the driver tells.
    pub fn widen(&mut self, bytes: Option<usize>) {
        let Taken::Placed(length) = self.taken else { return };
        // A byte is at most a character; what is longer than it was said to be may be longer still.
        let needed = bytes.unwrap_or(length * 4).max(length * 2);
        self.taken = if needed <= BOUND_LENGTH_MAX && !is_fixed(self.mapping.wire) { Taken::Placed(needed) } else { Taken::Streamed };
    }

    /// Whether a value that doesn't fit makes the column text: a number or a moment that is exact, and that its type doesn't hold.
    pub fn becomes_text(&self, value: &str) -> bool {
        let is_number = || {
            let digits = value.trim().trim_start_matches(['-', '+']);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        // What is no moment is shown with a blank.
        let is_moment = || matches!(self.mapping.wire, Wire::Timestamp | Wire::Instant) && !value.contains(' ');
        let is_own = self.column.declared.is_none() && !self.column.is_hashed;
        is_own
            && match self.mapping.column_type {
                ColumnType::Decimal { .. } => is_number(),
                ColumnType::Timestamp | ColumnType::TimestampNanos | ColumnType::TimestampUtc | ColumnType::TimestampNanosUtc => {
                    is_moment()
                }
                _ => false,
            }
    }
}

/// Whether values may come that a type doesn't hold though the driver names it: digits of a NUMBER, moments beyond nanoseconds of 64 bits.
fn may_be_text(column_type: ColumnType) -> bool {
    use ColumnType::{Decimal, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    matches!(column_type, Decimal { .. } | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc)
}

/// Returns the columns of the batches.
pub(super) fn schema(lanes: &[Lane]) -> Schema {
    Schema::new(lanes.iter().map(|lane| Column::new(&lane.column.name, lane.mapping.column_type)).collect())
}

/// Returns the lanes' places in the order in which they are selected: those that are streamed come last, since drivers hand streamed values over
/// only behind what has a place.
pub(super) fn order(lanes: &[Lane]) -> Vec<usize> {
    let is_streamed = |index: &usize| lanes[*index].taken == Taken::Streamed;
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    order.sort_by_key(is_streamed);
    order
}

/// Makes the statement that reads lanes in an order.
///
/// # Errors
/// As for [`query::rows`].
pub(super) fn statement(
    source: &str,
    dialect: &dyn Dialect,
    described: &Described,
    lanes: &[Lane],
    order: &[usize],
    bounds: Option<&Bounds>,
    moments: Moments,
) -> Result<Query, SourceError> {
    let expression = |index: &usize| {
        let Lane { column, mapping, .. } = &lanes[*index];
        let quoted = dialect.quoted(&column.source);
        mapping.cast.map_or(quoted.clone(), |cast| format!("{} AS {quoted}", cast(&quoted)))
    };
    let expressions: Vec<String> = order.iter().map(expression).collect();
    query::rows(source, dialect, described, &expressions.join(", "), bounds, moments)
}

/// Returns the line for the log that says which columns are text here and something else there.
pub(super) fn as_text(lanes: &[Lane]) -> Option<(Level, String)> {
    let is_other = |lane: &&Lane| {
        let Lane { column, mapping, .. } = lane;
        mapping.column_type == ColumnType::Text && !column.is_hashed && (mapping.is_as_text || mapping.wire != Wire::Text)
    };
    let names: Vec<&str> = lanes.iter().filter(is_other).map(|lane| lane.column.source.as_str()).collect();
    let line = format!("read as text: {}", names.join(", "));
    (!names.is_empty()).then(|| (Level::Info, text::printable(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(own: Mapping, expected: Option<ColumnType>) -> Lane {
        let column = OutputColumn { source: "c".to_owned(), name: "c".to_owned(), declared: None, is_hashed: false };
        Lane::new(&column, own, expected)
    }

    #[test]
    fn a_place_grows_until_the_column_is_streamed() {
        let mut lane = lane(Mapping::sized(ColumnType::Text, Wire::Text, Some(10)), None);
        assert_eq!(lane.taken, Taken::Placed(10));
        lane.widen(Some(12));
        assert_eq!(lane.taken, Taken::Placed(20));
        lane.widen(None);
        assert_eq!(lane.taken, Taken::Placed(80));
        lane.widen(Some(7000));
        assert_eq!(lane.taken, Taken::Placed(7000));
        lane.widen(None);
        assert_eq!(lane.taken, Taken::Streamed);
    }

    #[test]
    fn a_number_beyond_its_type_makes_the_column_text_and_nonsense_does_not() {
        let decimal = ColumnType::Decimal { precision: 28, scale: 6 };
        let own = Mapping::sized(decimal, Wire::Ascii, Some(31));
        assert!(lane(own, None).becomes_text("-1.1234567"));
        assert!(!lane(own, None).becomes_text("NaN"));
        assert_eq!(lane(own, Some(ColumnType::Text)).mapping.column_type, ColumnType::Text);
        assert_eq!(lane(own, Some(decimal)).mapping.column_type, decimal);
    }
}
