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
            Int16 | Int32 | Int64 => text = i64::try_from(position).ok()?.to_string().into_bytes(),
            UInt64 => text = u64::try_from(position).ok()?.to_string().into_bytes(),
            Decimal { precision: 1..=38, scale } => write_decimal128(&mut text, position, scale),
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

    /// Whether a type can be a cursor.
    pub fn is_possible(column_type: ColumnType) -> bool {
        Self::at(column_type, 0).is_some()
    }
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
    fn texts_and_wrong_values_have_no_position() {
        assert_eq!(CursorValue::at(ColumnType::Text, 0), None);
        assert_eq!(CursorValue::at(ColumnType::Int16, i128::MAX), None);
        assert_eq!(CursorValue { column_type: ColumnType::Date, text: "yesterday".to_owned() }.position(), None);
        let wrong_scale = CursorValue { column_type: ColumnType::Decimal { precision: 9, scale: 2 }, text: "1.5".to_owned() };
        assert_eq!(wrong_scale.position(), None);
    }
}
