//! The key by which rows are folded and merged, as every engine takes it.

use super::DestinationError;
use super::failure::{Outcome, refusal};
use crate::batch::{Column, Schema};
use crate::text::count;

/// Returns the key under the target's spelling.
pub(super) fn known_key(batch: &Schema, target: &str, key: &[String]) -> Outcome<Vec<String>> {
    key.iter().map(|name| known_column(batch, target, name).map(|column| column.name.clone())).collect()
}

/// Returns a column of the load, by its name in any case.
pub(super) fn known_column<'a>(batch: &'a Schema, target: &str, name: &str) -> Outcome<&'a Column> {
    batch.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let columns: Vec<&str> = batch.columns.iter().map(|column| column.name.as_str()).collect();
        let message = format!("table {target}: the source has no column {name}");
        refusal("no_such_column", message, format!("its columns are {}", columns.join(", ")))
    })
}

/// Refuses rows without a value in a column of the key; `nulls` counts them.
pub(super) fn refuse_nulls(target: &str, key: &[String], mut nulls: impl FnMut(&str) -> Outcome<u64>) -> Outcome<()> {
    for column in key {
        let rows = nulls(column)?;
        if rows > 0 {
            let message = format!("table {target}: {} without a value in key column {column}", count(rows, "row"));
            return Err(refusal("null_key", message, "name a primary_key whose columns always have a value"));
        }
    }
    Ok(())
}

/// Says that a table has rows with equal keys, so that no unique index can be made.
pub(super) fn duplicate_key(table: &str, key: &[String]) -> DestinationError {
    refusal(
        "duplicate_key",
        format!("table {table} holds several rows with one key ({}), so that nothing can be merged into it", key.join(", ")),
        "name a primary_key that is unique, or load once with --full-refresh",
    )
}
