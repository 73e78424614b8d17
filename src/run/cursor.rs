//! The cursor: how far an incremental source has been read.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::batch::ColumnType;
use crate::batch::text::{write_date, write_decimal128, write_timestamp_micros, write_timestamp_nanos};

/// A value of the cursor column, at the column's full precision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorValue {
    /// The column's type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The value as the destination's text mapping writes it: digits, `YYYY-MM-DD`, ISO 8601 with up to nine decimals.
    pub text: String,
}

impl CursorValue {
    /// Returns the value at a position: a count of the type's own steps (1, 1 day, 1 us, 1 ns, 1 in the last decimal) from zero
    /// or 1970-01-01. `None` for types that can't be a cursor and positions that the type doesn't reach.
    pub fn at(column_type: ColumnType, position: i128) -> Option<Self> {
        use ColumnType::*;
        let mut text = Vec::new();
        match column_type {
            Int16 => text = i16::try_from(position).ok()?.to_string().into_bytes(),
            Int32 => text = i32::try_from(position).ok()?.to_string().into_bytes(),
            Int64 => text = i64::try_from(position).ok()?.to_string().into_bytes(),
            UInt64 => text = u64::try_from(position).ok()?.to_string().into_bytes(),
            Decimal { precision: precision @ 1..=38, scale } => {
                if position.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
                    return None;
                }
                write_decimal128(&mut text, position, scale);
            }
            Date => write_date(&mut text, i32::try_from(position).ok()?),
            Timestamp | TimestampUtc => write_timestamp_micros(&mut text, i64::try_from(position).ok()?, column_type == TimestampUtc),
            TimestampNanos | TimestampNanosUtc => {
                write_timestamp_nanos(&mut text, i64::try_from(position).ok()?, column_type == TimestampNanosUtc);
            }
            _ => return None,
        }
        Some(Self { column_type, text: String::from_utf8(text).ok()? })
    }

    /// Returns the value's position, as [`CursorValue::at`] counts; `None` where the text is no value of the type.
    pub fn position(&self) -> Option<i128> {
        use ColumnType::*;
        match self.column_type {
            Int16 | Int32 | Int64 | UInt64 => self.text.parse().ok(),
            Decimal { precision: 1..=38, scale } => decimal_position(&self.text, usize::try_from(scale).ok()?),
            Date => {
                let date: NaiveDate = self.text.parse().ok()?;
                Some(i128::from((date - NaiveDate::default()).num_days()))
            }
            Timestamp | TimestampUtc => Some(nanoseconds(&self.text)?.div_euclid(1000)),
            TimestampNanos | TimestampNanosUtc => nanoseconds(&self.text),
            _ => None,
        }
    }

    /// Returns the steps of a type in a minute, for types of time; a day is one step, and any part of it counts as one.
    pub fn steps_of_minutes(column_type: ColumnType, minutes: u32) -> Option<i128> {
        use ColumnType::*;
        let minutes = i128::from(minutes);
        match column_type {
            Date => Some((minutes + 1439) / 1440),
            Timestamp | TimestampUtc => Some(minutes * 60_000_000),
            TimestampNanos | TimestampNanosUtc => Some(minutes * 60_000_000_000),
            _ => None,
        }
    }

    /// Returns the position of an instant in a type of time; `None` for numbers.
    pub fn position_of(column_type: ColumnType, instant: DateTime<Utc>) -> Option<i128> {
        use ColumnType::*;
        let micros = i128::from(instant.timestamp_micros());
        match column_type {
            Date => Some(micros.div_euclid(86_400_000_000)),
            Timestamp | TimestampUtc => Some(micros),
            TimestampNanos | TimestampNanosUtc => Some(micros * 1000),
            _ => None,
        }
    }

    /// Returns the value at so many nanoseconds since 1970; `None` where the type doesn't hold it exactly.
    pub fn of_nanos(column_type: ColumnType, nanos: i128) -> Option<Self> {
        let step = nanos_of_step(column_type)?;
        (nanos.rem_euclid(step) == 0).then(|| Self::at(column_type, nanos.div_euclid(step))).flatten()
    }

    /// Returns the same value in another type: that of the column once it was widened, say. `None` where that type doesn't hold it exactly.
    pub fn moved_to(&self, column_type: ColumnType) -> Option<Self> {
        let position = self.position_in(column_type, Rounding::Exact)?;
        Self::at(column_type, position)
    }

    /// Returns the value's position as another type counts, rounded to its steps; `None` where it is no value, or one is a number and
    /// the other a time.
    pub fn position_in(&self, column_type: ColumnType, rounding: Rounding) -> Option<i128> {
        match (nanos_of_step(self.column_type), nanos_of_step(column_type)) {
            (Some(own), Some(step)) => rounding.divided(self.position()?.checked_mul(own)?, step),
            (None, None) => {
                let (digits, scale) = digits(&self.text)?;
                let wanted = if let ColumnType::Decimal { scale, .. } = column_type { u32::try_from(scale).ok()? } else { 0 };
                match wanted.checked_sub(scale) {
                    Some(more) => digits.checked_mul(10_i128.checked_pow(more)?),
                    None => rounding.divided(digits, 10_i128.checked_pow(scale - wanted)?),
                }
            }
            _ => None,
        }
    }

    /// Returns the least value of a type that every reader of text knows: no cursor lies below it.
    pub fn least(column_type: ColumnType) -> Option<Self> {
        use ColumnType::*;
        let position = match column_type {
            Int16 => i128::from(i16::MIN),
            Int32 => i128::from(i32::MIN),
            Int64 => i128::from(i64::MIN),
            UInt64 => 0,
            Decimal { precision: precision @ 1..=38, .. } => 1 - 10_i128.pow(u32::from(precision)),
            // 0001-01-01
            Date => -719_162,
            Timestamp | TimestampUtc => -62_135_596_800_000_000,
            TimestampNanos | TimestampNanosUtc => i128::from(i64::MIN),
            _ => return None,
        };
        Self::at(column_type, position)
    }

    /// Whether a type can be a cursor.
    pub fn is_possible(column_type: ColumnType) -> bool {
        Self::at(column_type, 0).is_some()
    }
}

/// What becomes of a value between two steps of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// It is none of the type.
    Exact,
    /// The step below.
    Down,
    /// The step above.
    Up,
}

impl Rounding {
    fn divided(self, value: i128, step: i128) -> Option<i128> {
        let (down, is_exact) = (value.div_euclid(step), value.rem_euclid(step) == 0);
        match self {
            Self::Exact => is_exact.then_some(down),
            Self::Down => Some(down),
            Self::Up => Some(if is_exact { down } else { down + 1 }),
        }
    }
}

/// Returns the nanoseconds of a step, for types of time.
fn nanos_of_step(column_type: ColumnType) -> Option<i128> {
    use ColumnType::*;
    match column_type {
        Date => Some(86_400_000_000_000),
        Timestamp | TimestampUtc => Some(1000),
        TimestampNanos | TimestampNanosUtc => Some(1),
        _ => None,
    }
}

/// Returns a number's digits with its sign, and how many of them are decimals.
fn digits(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    Some((format!("{whole}{fraction}").parse().ok()?, u32::try_from(fraction.len()).ok()?))
}

fn nanoseconds(text: &str) -> Option<i128> {
    let time = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc();
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

fn decimal_position(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    (fraction.len() == scale).then(|| format!("{whole}{fraction}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(column_type: ColumnType, position: i128, text: &str) {
        let value = CursorValue { column_type, text: text.to_owned() };
        assert_eq!(CursorValue::at(column_type, position), Some(value.clone()));
        assert_eq!(value.position(), Some(position));
    }

    #[test]
    fn positions_and_texts_are_one() {
        use ColumnType::*;
        check(Int64, i128::from(i64::MIN), "-9223372036854775808");
        check(UInt64, i128::from(u64::MAX), "18446744073709551615");
        check(Decimal { precision: 10, scale: 2 }, -5, "-0.05");
        check(Date, -1, "1969-12-31");
        check(Timestamp, -1, "1969-12-31T23:59:59.999999");
        check(TimestampUtc, 1_357_016_400_000_000, "2013-01-01T05:00:00Z");
        check(TimestampNanosUtc, 1, "1970-01-01T00:00:00.000000001Z");
    }

    #[test]
    fn a_value_is_understood_after_its_column_was_widened() {
        use ColumnType::*;
        let moved = |column_type, text: &str, to| CursorValue { column_type, text: text.to_owned() }.moved_to(to).map(|value| value.text);
        let decimal = |precision, scale| Decimal { precision, scale };
        assert_eq!(moved(Int32, "-7", Int64).as_deref(), Some("-7"));
        assert_eq!(moved(Int64, "7", decimal(38, 2)).as_deref(), Some("7.00"));
        assert_eq!(moved(decimal(10, 2), "-1.50", decimal(12, 4)).as_deref(), Some("-1.5000"));
        assert_eq!(moved(decimal(12, 4), "1.5000", decimal(10, 1)).as_deref(), Some("1.5"));
        assert_eq!(moved(decimal(12, 4), "1.5001", decimal(10, 1)), None);
        assert_eq!(moved(Date, "2026-01-31", Timestamp).as_deref(), Some("2026-01-31T00:00:00"));
        assert_eq!(moved(Timestamp, "2026-01-31T00:00:00.000001", TimestampNanos).as_deref(), Some("2026-01-31T00:00:00.000001000"));
        assert_eq!(moved(Timestamp, "2026-01-31T00:00:00.000001", Date), None);
        assert_eq!(moved(Int64, "40000", Int16), None);
        assert_eq!(moved(Int64, "1", Date), None);
        let rounded =
            |to, rounding| CursorValue { column_type: Timestamp, text: "1969-12-31T12:00:00".to_owned() }.position_in(to, rounding);
        assert_eq!((rounded(Date, Rounding::Down), rounded(Date, Rounding::Up)), (Some(-1), Some(0)));
    }

    #[test]
    fn the_least_value_of_a_type_is_one_of_it() {
        use ColumnType::*;
        let decimal = Decimal { precision: 38, scale: 2 };
        for column_type in [Int16, Int32, Int64, UInt64, decimal, Date, Timestamp, TimestampUtc, TimestampNanos, TimestampNanosUtc] {
            let least = CursorValue::least(column_type).unwrap();
            assert!(least.position().is_some_and(|position| position < 1), "{least:?}");
        }
    }

    #[test]
    fn texts_and_wrong_values_have_no_position() {
        assert_eq!(CursorValue::at(ColumnType::Text, 0), None);
        assert_eq!(CursorValue::at(ColumnType::Int16, i128::MAX), None);
        assert_eq!(CursorValue { column_type: ColumnType::Date, text: "yesterday".to_owned() }.position(), None);
        let wrong_scale = CursorValue { column_type: ColumnType::Decimal { precision: 9, scale: 2 }, text: "1.5".to_owned() };
        assert_eq!(wrong_scale.position(), None);
    }
}
