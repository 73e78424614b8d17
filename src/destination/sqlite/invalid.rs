//! Finds the values that SQLite can't hold: NaN (it would become NULL), NUL in text, years outside 0000 to 9999.
//! Infinities are held; the sign of a zero is not (-0.0 is stored as 0.0, its equal).

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_schema::{DataType, TimeUnit};

use crate::destination::InvalidValue;
use crate::destination::unholdable::{by_row, each, texts};

/// 0000-01-01 and 9999-12-31 in days since 1970-01-01.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

const NOT_A_NUMBER: &str = "NaN is no value that SQLite can hold";
const YEAR: &str = "the year is not within 0000 and 9999";
const NUL: &str = "the text holds a NUL character";

/// Returns the values of a batch that SQLite can't hold, by row.
pub(super) fn find(batch: &RecordBatch) -> Vec<InvalidValue> {
    by_row(batch, |_, array, add| match array.data_type() {
        DataType::Float32 => each::<Float32Type>(array, |value| value.is_nan(), |row| add(row, NOT_A_NUMBER)),
        DataType::Float64 => each::<Float64Type>(array, |value| value.is_nan(), |row| add(row, NOT_A_NUMBER)),
        DataType::Date32 => each::<Date32Type>(array, |value| !DAYS.contains(&i64::from(value)), |row| add(row, YEAR)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let is_outside = |micros: i64| !DAYS.contains(&micros.div_euclid(86_400_000_000));
            each::<TimestampMicrosecondType>(array, is_outside, |row| add(row, YEAR));
        }
        DataType::Timestamp(_, _) => {
            let is_outside = |nanos: i64| !DAYS.contains(&nanos.div_euclid(86_400_000_000_000));
            each::<TimestampNanosecondType>(array, is_outside, |row| add(row, YEAR));
        }
        DataType::Utf8 if array.as_string::<i32>().value_data().contains(&0) => {
            texts(array.as_string(), |text| text.contains('\0'), |row| add(row, NUL));
        }
        _ => {}
    })
}
