//! How far a cursor may go so that no commit comes later with an earlier value: what the engines' lists of transactions mean. Pure.
//!
//! **An instant** is stamped no earlier than the start of its transaction: the oldest start in the list is the limit, or the server's clock.
//! **Anything else** (numbers, dates, times without a zone) says nothing of when it was written: the greatest value that was there *before* the
//! list was asked is the limit where nobody else writes; else the cursor stays. A time that is yet to come, by the server's wall clock and in
//! UTC, is nobody's stamp and never the limit.

use crate::batch::ColumnType;
use crate::plan::Level;
use crate::run::CursorValue;
use crate::run::cursor::Rounding;

use super::Limit;

/// What a list says. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    /// The earliest start of another transaction that may write, in UTC; `None` where there is none.
    pub oldest: Option<i64>,
    /// The server's clock in UTC, at the listing.
    pub clock: i64,
    /// What the wall shows at the server, counted likewise.
    pub wall: i64,
}

const OPEN: &str = "other transactions are open that may still commit earlier values: the cursor stays where it is";

/// Returns the limit of an instant.
pub(super) fn of_instant(listing: Listing, column_type: ColumnType) -> Limit {
    let micros = i128::from(listing.oldest.unwrap_or(listing.clock).min(listing.clock));
    let is_fine = matches!(column_type, ColumnType::TimestampNanos | ColumnType::TimestampNanosUtc);
    Limit { value: CursorValue::at(column_type, if is_fine { micros * 1000 } else { micros }), note: None }
}

/// Returns the limit of anything else by the greatest value that was there before the list.
pub(super) fn of_value(listing: Listing, column_type: ColumnType, greatest: Option<CursorValue>) -> Limit {
    let least = CursorValue::least(column_type);
    if listing.oldest.is_some() {
        return Limit { value: least, note: Some((Level::Info, OPEN.to_owned())) };
    }
    // Of an empty table nothing may be taken that comes between here and the snapshot.
    let Some(greatest) = greatest else { return Limit { value: least, note: None } };
    let now = CursorValue::at(ColumnType::Timestamp, i128::from(listing.clock.max(listing.wall)));
    let now = now.and_then(|now| now.position_in(column_type, Rounding::Down)).and_then(|now| CursorValue::at(column_type, now));
    let value = now.filter(|now| now.position() < greatest.position()).unwrap_or(greatest);
    Limit { value: Some(value), note: None }
}

/// Makes a cursor's value of a server's text, as the rows' own values are written.
pub(super) fn value_of(column_type: ColumnType, text: &str) -> Option<CursorValue> {
    let text = text.trim();
    // Of a moment that is declared a date, the day.
    let text = if column_type == ColumnType::Date { text.get(..10).unwrap_or(text) } else { text };
    let value = CursorValue { column_type, text: text.replace(' ', "T") };
    value.position().and_then(|position| CursorValue::at(column_type, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2013-01-01 05:00:00 in UTC, 06:00 on the wall.
    const CLOCK: i64 = 1_357_016_400_000_000;
    const NOW: Listing = Listing { oldest: None, clock: CLOCK, wall: CLOCK + 3_600_000_000 };
    const WRITTEN: Listing = Listing { oldest: Some(CLOCK - 5_000_000), ..NOW };

    fn text(limit: Limit) -> Option<String> {
        limit.value.map(|value| value.text)
    }

    #[test]
    fn an_instant_goes_to_the_oldest_start() {
        assert_eq!(text(of_instant(NOW, ColumnType::TimestampUtc)).as_deref(), Some("2013-01-01T05:00:00Z"));
        assert_eq!(text(of_instant(WRITTEN, ColumnType::TimestampNanosUtc)).as_deref(), Some("2013-01-01T04:59:55Z"));
    }

    #[test]
    fn a_number_moves_only_where_nobody_writes() {
        let seven = || CursorValue::at(ColumnType::Int64, 7);
        assert_eq!(text(of_value(NOW, ColumnType::Int64, seven())).as_deref(), Some("7"));
        let stays = of_value(WRITTEN, ColumnType::Int64, seven());
        assert!(stays.note.is_some());
        assert_eq!(text(stays), Some(i64::MIN.to_string()));
    }

    #[test]
    fn a_time_that_is_yet_to_come_never_is_the_cursor() {
        let of = |given: &str| text(of_value(NOW, ColumnType::TimestampNanos, value_of(ColumnType::TimestampNanos, given)));
        assert_eq!(of("2200-01-01 00:00:00").as_deref(), Some("2013-01-01T06:00:00"));
        assert_eq!(of("2013-01-01 05:59:59.1234567").as_deref(), Some("2013-01-01T05:59:59.123456700"));
    }
}
