//! Which rows of a table a window holds.

use super::session::{Outcome, Session, failed, refusal};
use super::table::cell;
use super::types::{quoted, sortable};
use crate::batch::{ColumnType, Schema};
use crate::destination::keys::known_column;
use crate::destination::window::{Condition, bounded};
use crate::run::CursorValue;

/// Returns how many rows of a table meet a condition; `table` is SQL.
pub(super) fn counted(session: &mut Session, table: &str, condition: &Condition<String>) -> Outcome<u64> {
    let rows = session.rows(&format!("SELECT count(*) FROM {table} WHERE {}", condition.sql), &condition.parameters());
    let rows = rows.map_err(failed(format_args!("counting the rows of {table} in the window")))?;
    Ok(rows.first().and_then(|row| cell(row, 0).parse().ok()).unwrap_or(0))
}

/// Returns which rows the window holds. Rows without a value belong to it when the load brings such rows again.
pub(super) fn window(
    session: &mut Session,
    batch: &Schema,
    target: &str,
    staged: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition<String>>> {
    let Some(condition) = bounds(batch, target, column, from, until)? else { return Ok(None) };
    let name = quoted(&known_column(batch, target, column)?.name);
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {staged} WHERE {name} IS NULL)");
    let nulls = session.number(&sql).map_err(failed(format_args!("looking for rows of {target} without {column}")))?;
    Ok(Some(if nulls > 0 { condition.or_null(&name) } else { condition }))
}

/// Returns the condition of a window's bounds; `None` where there are none.
pub(super) fn bounds(
    batch: &Schema,
    target: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition<String>>> {
    let Some(found) = bounded(batch, target, column, from, until)? else { return Ok(None) };
    let Some(value) = bound(found.column_type) else {
        let message = format!("table {target}: column {column} is {} and kept as text, which doesn't sort as it does", found.column_type);
        return Err(refusal("bad_cursor", message, "choose another timestamp_column, or mode: full"));
    };
    let name = sortable(&quoted(&found.name), found.column_type);
    Ok(Some(Condition::between(from, until, |operator, bound, _| {
        (format!("{name} {operator} {value}"), bound.text.trim_end_matches('Z').to_owned())
    })))
}

/// Returns the SQL of a bound text as a value of a type, so that nothing is compared as text or as a double that isn't one.
fn bound(column_type: ColumnType) -> Option<String> {
    use ColumnType::*;
    Some(match column_type {
        Int16 | Int32 | Int64 => "CAST(? AS SIGNED)".to_owned(),
        UInt64 => "CAST(? AS UNSIGNED)".to_owned(),
        Float32 | Float64 => "CAST(? AS DOUBLE)".to_owned(),
        Decimal { precision, scale } if precision <= 65 && scale <= 30 => format!("CAST(? AS DECIMAL({precision},{scale}))"),
        Decimal { .. } => return None,
        Date => "CAST(? AS DATE)".to_owned(),
        Time => "CAST(? AS TIME(6))".to_owned(),
        Timestamp | TimestampUtc => "CAST(? AS DATETIME(6))".to_owned(),
        _ => "?".to_owned(),
    })
}
