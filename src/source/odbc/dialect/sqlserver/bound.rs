//! Values of cursors as SQL Server takes them: as text that is cast, so that no digit depends on a driver. Pure.

use chrono::{DateTime, Utc};

use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::odbc::dialect::Bound;
use crate::source::odbc::values;

use super::types;

/// Nanoseconds of the finest step that any type has.
const STEP: i128 = 100;
/// Steps of DATETIME in a second.
const TICKS: i128 = 300;
const SECOND: i128 = 1_000_000_000;

/// Returns a value; of a time as the type that holds it exactly.
pub(super) fn bound(value: &CursorValue, facts: Option<&ColumnFacts>, rounding: Rounding) -> Option<Bound> {
    use ColumnType::{Date, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    let cast = |text: String, declared: &str| Some(Bound { sql: format!("CAST(? AS {declared})"), parameter: Parameter::Ascii(text) });
    match value.column_type {
        Date => cast(value.text.clone(), "date"),
        Timestamp | TimestampNanos if facts.is_some_and(types::is_datetime) => cast(tick(nanos(value)?, rounding)?, "datetime"),
        Timestamp | TimestampNanos => cast(written(value, rounding)?, "datetime2(7)"),
        TimestampUtc | TimestampNanosUtc => cast(format!("{}+00:00", written(value, rounding)?), "datetimeoffset(7)"),
        _ => Some(Bound { sql: "?".to_owned(), parameter: values::parameter(value)? }),
    }
}

/// Returns an instant in UTC.
pub(super) fn moment(instant: DateTime<Utc>) -> Bound {
    let text = instant.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    Bound { sql: "CAST(? AS datetime2(7))".to_owned(), parameter: Parameter::Ascii(text) }
}

fn nanos(value: &CursorValue) -> Option<i128> {
    let steps = value.position()?;
    let is_fine = matches!(value.column_type, ColumnType::TimestampNanos | ColumnType::TimestampNanosUtc);
    Some(if is_fine { steps } else { steps * 1000 })
}

/// Returns a moment with the seven digits that DATETIME2 has.
fn written(value: &CursorValue, rounding: Rounding) -> Option<String> {
    let nanos = nanos(value)?;
    let steps = if rounding == Rounding::Down { nanos.div_euclid(STEP) } else { -(-nanos).div_euclid(STEP) };
    let (seconds, rest) = ((steps * STEP).div_euclid(SECOND), (steps * STEP).rem_euclid(SECOND));
    let at = DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)?;
    Some(format!("{}.{:07}", at.format("%Y-%m-%dT%H:%M:%S"), rest / STEP))
}

/// Returns the moment of a step of DATETIME, with the three digits that are written for it.
fn tick(nanos: i128, rounding: Rounding) -> Option<String> {
    // What is loaded has three digits, which lie up to 1/600 s from the step that they stand for.
    let shown = |tick: i128| (tick * 1000 + TICKS / 2).div_euclid(TICKS) * 1_000_000;
    let near = (nanos * TICKS).div_euclid(SECOND);
    let candidates = [near - 1, near, near + 1, near + 2];
    let tick = match rounding {
        Rounding::Down => candidates.into_iter().rev().find(|tick| shown(*tick) <= nanos)?,
        _ => candidates.into_iter().find(|tick| shown(*tick) >= nanos)?,
    };
    let millis = shown(tick) / 1_000_000;
    let at = DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)?;
    // The type begins with the year 1753.
    let least = DateTime::from_timestamp(-6_847_804_800, 0)?;
    Some(at.max(least).format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(column_type: ColumnType, text: &str) -> CursorValue {
        CursorValue { column_type, text: text.to_owned() }
    }

    fn datetime() -> ColumnFacts {
        ColumnFacts { name: "d".to_owned(), sql_type: 93, size: 23, digits: 3, is_unsigned: false, type_name: "datetime".to_owned() }
    }

    #[track_caller]
    fn check(value: &CursorValue, facts: Option<&ColumnFacts>, rounding: Rounding, sql: &str, text: &str) {
        let expected = Bound { sql: sql.to_owned(), parameter: Parameter::Ascii(text.to_owned()) };
        assert_eq!(bound(value, facts, rounding), Some(expected));
    }

    #[test]
    fn seven_digits_are_kept_and_the_value_below_is_100_ns_less() {
        let at = |text| value(ColumnType::TimestampNanos, text);
        let cast = "CAST(? AS datetime2(7))";
        check(&at("2024-02-29T23:59:59.123456700"), None, Rounding::Up, cast, "2024-02-29T23:59:59.1234567");
        check(&at("2024-02-29T23:59:59.123456699"), None, Rounding::Down, cast, "2024-02-29T23:59:59.1234566");
        check(&at("2024-02-29T23:59:59.999999950"), None, Rounding::Up, cast, "2024-03-01T00:00:00.0000000");
        check(&at("1969-12-31T23:59:59.999999950"), None, Rounding::Down, cast, "1969-12-31T23:59:59.9999999");
        let utc = value(ColumnType::TimestampUtc, "2024-02-29T23:59:59.5Z");
        check(&utc, None, Rounding::Up, "CAST(? AS datetimeoffset(7))", "2024-02-29T23:59:59.5000000+00:00");
    }

    #[test]
    fn datetime_goes_by_its_steps_of_a_300th() {
        let datetime = datetime();
        let check = |text: &str, rounding, expected: &str| {
            check(&value(ColumnType::Timestamp, text), Some(&datetime), rounding, "CAST(? AS datetime)", expected);
        };
        check("2024-02-29T23:59:59.997", Rounding::Up, "2024-02-29T23:59:59.997");
        check("2024-02-29T23:59:59.997", Rounding::Down, "2024-02-29T23:59:59.997");
        check("2024-02-29T23:59:59.996999", Rounding::Down, "2024-02-29T23:59:59.993");
        check("2024-02-29T23:59:59.998", Rounding::Up, "2024-03-01T00:00:00.000");
        check("2024-02-29T23:59:59.003", Rounding::Up, "2024-02-29T23:59:59.003");
        check("2024-02-29T23:59:59.002999", Rounding::Down, "2024-02-29T23:59:59.000");
        check("0001-01-01T00:00:00", Rounding::Up, "1753-01-01T00:00:00.000");
    }
}
