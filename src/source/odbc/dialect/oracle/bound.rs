//! Values of cursors as Oracle takes them: texts with the format that they are read by, so that no session's settings count. Pure.

use chrono::{DateTime, Utc};

use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::odbc::dialect::Bound;

use super::types;

const MOMENT: &str = "TO_TIMESTAMP(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9')";
const INSTANT: &str = "TO_TIMESTAMP_TZ(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9TZH:TZM')";
const DATE: &str = "TO_DATE(?, 'YYYY-MM-DD\"T\"HH24:MI:SS')";

/// Returns a value; for a column of DATE with whole seconds, since an index of that column is not used for anything finer.
pub(super) fn bound(value: &CursorValue, facts: Option<&ColumnFacts>, rounding: Rounding) -> Option<Bound> {
    use ColumnType::{Date, Decimal, Int16, Int32, Int64, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc, UInt64};
    let ascii = |sql: &str, text: String| Some(Bound { sql: sql.to_owned(), parameter: Parameter::Ascii(text) });
    let number = |precision, scale| {
        // No integers of 64 bits: digits.
        let parameter = Parameter::Decimal { text: value.text.clone(), precision, scale };
        Some(Bound { sql: "?".to_owned(), parameter })
    };
    match value.column_type {
        Int16 | Int32 | Int64 => number(19, 0),
        UInt64 => number(20, 0),
        Decimal { precision, scale } => number(precision, scale),
        Date => ascii(DATE, format!("{}T00:00:00", value.text)),
        Timestamp | TimestampNanos if facts.is_some_and(types::is_date) => ascii(DATE, second(value, rounding)?),
        Timestamp | TimestampNanos => ascii(MOMENT, fine(&value.text)),
        TimestampUtc | TimestampNanosUtc => ascii(INSTANT, format!("{}+00:00", fine(value.text.trim_end_matches('Z')))),
        _ => None,
    }
}

/// Returns an instant in UTC.
pub(super) fn moment(instant: DateTime<Utc>) -> Bound {
    Bound { sql: MOMENT.to_owned(), parameter: Parameter::Ascii(instant.format("%Y-%m-%dT%H:%M:%S%.9f").to_string()) }
}

/// Returns a moment with all nine digits, as the format wants them.
fn fine(text: &str) -> String {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<9}")
}

fn second(value: &CursorValue, rounding: Rounding) -> Option<String> {
    let is_fine = value.column_type == ColumnType::TimestampNanos;
    let (position, steps) = (value.position()?, if is_fine { 1_000_000_000 } else { 1_000_000 });
    let seconds = if rounding == Rounding::Down { position.div_euclid(steps) } else { -(-position).div_euclid(steps) };
    let at = DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)?;
    Some(at.format("%Y-%m-%dT%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(column_type: ColumnType, text: &str, type_name: &str, rounding: Rounding, sql: &str, expected: &str) {
        let facts =
            ColumnFacts { name: "C".to_owned(), sql_type: 93, size: 26, digits: 6, is_unsigned: false, type_name: type_name.to_owned() };
        let value = CursorValue { column_type, text: text.to_owned() };
        let expected = Bound { sql: sql.to_owned(), parameter: Parameter::Ascii(expected.to_owned()) };
        assert_eq!(bound(&value, Some(&facts), rounding), Some(expected));
    }

    #[test]
    fn nine_digits_are_kept_and_a_date_has_whole_seconds() {
        use ColumnType::{Timestamp, TimestampNanos, TimestampUtc};
        let (up, down) = (Rounding::Up, Rounding::Down);
        check(TimestampNanos, "2024-02-29T23:59:59.123456789", "TIMESTAMP(9)", up, MOMENT, "2024-02-29T23:59:59.123456789");
        check(Timestamp, "2024-02-29T23:59:59", "TIMESTAMP(6)", up, MOMENT, "2024-02-29T23:59:59.000000000");
        check(TimestampUtc, "2024-02-29T23:59:59.5Z", "TIMESTAMP(6) WITH TIME ZONE", up, INSTANT, "2024-02-29T23:59:59.500000000+00:00");
        check(Timestamp, "2024-02-29T23:59:59", "DATE", up, DATE, "2024-02-29T23:59:59");
        check(Timestamp, "2024-02-29T23:59:58.999999", "DATE", down, DATE, "2024-02-29T23:59:58");
        check(Timestamp, "2024-02-29T23:59:58.000001", "DATE", up, DATE, "2024-02-29T23:59:59");
    }
}
