//! Finds the values that PostgreSQL can't hold: NUL in text, years before 4713 BC or after those of its types, JSON that jsonb refuses.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_schema::{DataType, TimeUnit};

use crate::destination::InvalidValue;
use crate::destination::unholdable::{by_row, each, is_json, is_longer, texts};

/// 4714-11-24 BC to 5874897-12-31, in days since 1970-01-01 (PostgreSQL 15, table 8.9).
const DAYS: std::ops::RangeInclusive<i32> = -2_440_588..=2_145_042_905;

/// 4714-11-24 BC, in microseconds since 1970-01-01 (the same table); its last one, 294276-12-31, lies behind what 64 bits hold so.
const MICROS_MIN: i64 = -210_866_803_200_000_000;

const YEAR: &str = "the year lies outside of what PostgreSQL's type holds";
const NUL: &str = "the text holds a NUL character";
const LENGTH: &str = "the text is longer than the target's column";
const JSON: &str = "the text is no JSON that jsonb holds";

/// Returns the values of a batch that PostgreSQL can't hold, by row.
pub(super) fn find(batch: &RecordBatch) -> Vec<InvalidValue> {
    by_row(batch, |column, array, add| match array.data_type() {
        DataType::Date32 => each::<Date32Type>(array, |value| !DAYS.contains(&value), |row| add(row, YEAR)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType>(array, |value| value < MICROS_MIN, |row| add(row, YEAR));
        }
        DataType::Utf8 if is_json(batch, column) => texts(array.as_string(), |text| !is_jsonb(text), |row| add(row, JSON)),
        DataType::Utf8 if array.as_string::<i32>().value_data().contains(&0) => {
            texts(array.as_string(), |text| text.contains('\0'), |row| add(row, NUL));
        }
        _ => {}
    })
}

/// Returns the texts of a batch that are longer than the column that they go to: a server cuts blanks at their ends without a word.
/// `limits` are in characters, by the column's place.
pub(super) fn too_long(batch: &RecordBatch, limits: impl Iterator<Item = (usize, usize)>) -> Vec<InvalidValue> {
    let mut found = Vec::new();
    for (column, limit) in limits {
        if let Some(array) = batch.column(column).as_string_opt::<i32>() {
            texts(array, |text| is_longer(text, limit), |row| found.push(InvalidValue { row, column, reason: LENGTH }));
        }
    }
    found
}

/// jsonb holds any JSON but `\u0000`, which is text with a NUL.
fn is_jsonb(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && !has_escaped_nul(text)
}

fn has_escaped_nul(text: &str) -> bool {
    text.match_indices("\\u0000").any(|(place, _)| {
        let before = text.as_bytes()[..place].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Date32Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::batch::{Column, ColumnType, Schema};

    #[test]
    fn what_the_server_would_refuse_is_found_by_row_and_column() {
        let schema = Schema::new(vec![
            Column::new("d", ColumnType::Date),
            Column::new("at", ColumnType::Timestamp),
            Column::new("t", ColumnType::Text),
            Column::new("j", ColumnType::Json),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from(vec![Some(i32::MAX), Some(0), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(i64::MAX), Some(i64::MIN)])),
            Arc::new(StringArray::from(vec![Some("a"), Some("b\0"), None])),
            Arc::new(StringArray::from(vec![Some("{"), Some(r#""\\u0000""#), Some(r#"["\u0000"]"#)])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        let found: Vec<(usize, usize, &str)> = find(&batch).into_iter().map(|value| (value.row, value.column, value.reason)).collect();
        assert_eq!(found, [(0, 0, YEAR), (0, 3, JSON), (1, 2, NUL), (2, 1, YEAR), (2, 3, JSON)]);
    }
}
