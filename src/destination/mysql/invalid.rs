//! Finds the values that MySQL can't hold: years outside of 1 to 9999, NaN and infinity, JSON that its type refuses, keys that no index takes.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, Time64MicrosecondType, TimestampMicrosecondType};
use arrow_array::{Array as _, BinaryArray, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

use super::types::Dialect;
use crate::destination::InvalidValue;
use crate::destination::unholdable::{by_row, each, is_json, is_longer, texts};

/// 0001-01-01 to 9999-12-31, in days since 1970-01-01 (MySQL 8.0, "11.2.2 The DATE, DATETIME, and TIMESTAMP Types"; years below 1000
/// come out as they went in, the year 0 is none of the calendar).
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

/// The same in microseconds.
const MICROS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A day in microseconds: what a time of the day has.
const TIMES: std::ops::RangeInclusive<i64> = 0..=86_400_000_000;

/// How deep JSON may be nested (MariaDB 10.11: 31, seen; MySQL: 100).
const DEPTH_MAX: usize = 31;

const YEAR: &str = "the year lies outside of what MySQL's type holds";
const TIME: &str = "the time lies outside of a day";
const NUMBER: &str = "MySQL has no NaN and no infinity";
const JSON: &str = "the text is no JSON that MySQL holds";
const LONG: &str = "the value is longer than the column or its key takes";

/// Returns the values of a batch that MySQL can't hold, by row. `limits` is how long the values of each column may be: characters of
/// texts, bytes of others.
pub(super) fn find(batch: &RecordBatch, limits: &[Option<usize>], dialect: Dialect) -> Vec<InvalidValue> {
    by_row(batch, |column, array, add| {
        let limit = limits.get(column).copied().flatten();
        match array.data_type() {
            DataType::Date32 => each::<Date32Type>(array, |value| !DAYS.contains(&value), |row| add(row, YEAR)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                each::<TimestampMicrosecondType>(array, |value| !MICROS.contains(&value), |row| add(row, YEAR));
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                each::<Time64MicrosecondType>(array, |value| !TIMES.contains(&value), |row| add(row, TIME));
            }
            DataType::Float32 => each::<Float32Type>(array, |value| !value.is_finite(), |row| add(row, NUMBER)),
            DataType::Float64 => each::<Float64Type>(array, |value| !value.is_finite(), |row| add(row, NUMBER)),
            DataType::Utf8 if is_json(batch, column) => texts(array.as_string(), |text| !is_json_of(text, dialect), |row| add(row, JSON)),
            DataType::Utf8 => {
                if let Some(limit) = limit {
                    texts(array.as_string(), |text| is_longer(text, limit), |row| add(row, LONG));
                }
            }
            DataType::Binary => {
                if let Some(limit) = limit {
                    bytes(array.as_binary(), limit, |row| add(row, LONG));
                }
            }
            _ => {}
        }
    })
}

fn bytes(values: &BinaryArray, limit: usize, mut add: impl FnMut(usize)) {
    for row in 0..values.len() {
        if values.is_valid(row) && values.value(row).len() > limit {
            add(row);
        }
    }
}

/// MariaDB keeps the text; MySQL keeps numbers as 64-bit integers or doubles, and would round others.
fn is_json_of(text: &str, dialect: Dialect) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        && depth(text) <= DEPTH_MAX
        && (dialect == Dialect::MariaDb || numbers(text).all(is_exact))
}

/// Returns how deep valid JSON is nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    outside_of_texts(text, |byte| match byte {
        b'[' | b'{' => {
            depth += 1;
            deepest = deepest.max(depth);
        }
        b']' | b'}' => depth = depth.saturating_sub(1),
        _ => {}
    });
    deepest
}

/// Calls `see` with each byte of JSON that isn't in a text.
fn outside_of_texts(text: &str, mut see: impl FnMut(u8)) {
    let (mut is_inside, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'"' => is_inside = !is_inside,
            _ if !is_inside => see(byte),
            _ => {}
        }
    }
}

/// Returns the numbers of valid JSON as written.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    let mut plain = String::new();
    outside_of_texts(text, |byte| plain.push(if byte.is_ascii_digit() || b"+-.eE".contains(&byte) { char::from(byte) } else { ' ' }));
    let is_number = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    plain.split_whitespace().filter(|word| is_number(word)).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether a number is a 64-bit integer, or one of at most 15 digits that a double holds as written.
fn is_exact(number: String) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let is_finite = number.parse::<f64>().is_ok_and(|value| value.is_finite() && (value == 0.0 || value.is_normal()));
    digits.trim_start_matches('0').len() <= 15 && is_finite
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Date32Array, Float64Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::batch::{Column, ColumnType, Schema};

    #[test]
    fn what_the_server_would_refuse_or_bend_is_found_by_row_and_column() {
        let schema = Schema::new(vec![
            Column::new("d", ColumnType::Date),
            Column::new("at", ColumnType::Timestamp),
            Column::new("f", ColumnType::Float64),
            Column::new("j", ColumnType::Json),
            Column::new("k", ColumnType::Text),
        ]);
        let deep = "[".repeat(32) + &"]".repeat(32);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from(vec![Some(i32::MAX), Some(0), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(i64::MAX), Some(i64::MIN)])),
            Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(-0.0), Some(f64::INFINITY)])),
            Arc::new(StringArray::from(vec![Some("{"), Some(r#"["[[", 1]"#), Some(deep.as_str())])),
            Arc::new(StringArray::from(vec![Some("äöü"), Some("äöüß"), None])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        let limits = [None, None, None, None, Some(3)];
        let found = find(&batch, &limits, Dialect::MariaDb);
        let found: Vec<(usize, usize, &str)> = found.into_iter().map(|value| (value.row, value.column, value.reason)).collect();
        assert_eq!(
            found,
            [(0, 0, YEAR), (0, 2, NUMBER), (0, 3, JSON), (1, 1, YEAR), (1, 4, LONG), (2, 1, YEAR), (2, 2, NUMBER), (2, 3, JSON)]
        );
    }

    #[test]
    fn json_numbers_that_mysql_would_round_are_told() {
        for text in ["18446744073709551615", r#"{"a": -1.5e3, "b": "1.10000000000000000001"}"#, "[0, 0.1, true]"] {
            assert!(is_json_of(text, Dialect::Mysql), "{text}");
        }
        for text in ["18446744073709551616", "[1.10000000000000000001]", "1e999"] {
            assert!(!is_json_of(text, Dialect::Mysql), "{text}");
        }
        assert!(is_json_of("[1.10000000000000000001]", Dialect::MariaDb));
    }
}
