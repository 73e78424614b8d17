//! Values that an engine can't hold, found by row and column.

use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, StringArray, cast::AsArray as _};

use super::InvalidValue;

/// How Arrow marks texts that are JSON.
const EXTENSION: &str = "ARROW:extension:name";

/// Takes the row of a value that can't be held, and why it can't.
pub(super) type Add<'a> = &'a mut dyn FnMut(usize, &'static str);

/// Returns what `look` finds in the columns of a batch, by row.
pub(super) fn by_row(batch: &RecordBatch, mut look: impl FnMut(usize, &dyn Array, Add<'_>)) -> Vec<InvalidValue> {
    let mut found = Vec::new();
    for (column, array) in batch.columns().iter().enumerate() {
        look(column, array.as_ref(), &mut |row, reason| found.push(InvalidValue { row, column, reason }));
    }
    found.sort_by_key(|value| (value.row, value.column));
    found
}

/// Whether a column's texts are JSON.
pub(super) fn is_json(batch: &RecordBatch, column: usize) -> bool {
    batch.schema_ref().field(column).metadata().get(EXTENSION).is_some_and(|name| name == "arrow.json")
}

/// Calls `add` with the rows of numbers that can't be held.
pub(super) fn each<T: ArrowPrimitiveType>(array: &dyn Array, is_invalid: impl Fn(T::Native) -> bool, mut add: impl FnMut(usize)) {
    let values = array.as_primitive::<T>().values();
    // One quick pass over the values decides whether the rows must be looked at at all.
    if values.iter().any(|value| is_invalid(*value)) {
        for (row, value) in values.iter().enumerate() {
            if array.is_valid(row) && is_invalid(*value) {
                add(row);
            }
        }
    }
}

/// Calls `add` with the rows of texts that can't be held.
pub(super) fn texts(texts: &StringArray, is_invalid: impl Fn(&str) -> bool, mut add: impl FnMut(usize)) {
    for row in 0..texts.len() {
        if texts.is_valid(row) && is_invalid(texts.value(row)) {
            add(row);
        }
    }
}

/// Whether a text is too long for a place of so many characters.
pub(super) fn is_longer(text: &str, characters_max: usize) -> bool {
    text.len() > characters_max && text.chars().count() > characters_max
}
