//! Merging by a key: set-based, with exact counts.
//!
//! A key column without a value names no row, so such rows fail the load with a message.

use rusqlite::Connection;

use super::failure::{Outcome, failed, refusal};
use super::publish::{count, execute};
use super::staging::Staging;
use super::types::{collation, listed, quoted};
use super::{checks, lock};
use crate::batch::Schema;
use crate::destination::evolution::Layout;
use crate::destination::keys::{duplicate_key, known_column, known_key, refuse_nulls};
use crate::destination::{Fold, staging_names};
use crate::run::Counts;

/// Leaves one staged row of each key: the one with the greatest `newest_by`, then the later one. Returns how many went.
///
/// The sorting happens in a temporary table, before and outside of the publish: it holds no lock on the file.
pub(super) fn fold(staging: &Staging<'_>, fold: &Fold) -> Outcome<u64> {
    let key = known_key(&staging.layout.batch, &staging.request.target, &fold.key)?;
    let connection = &staging.destination.connection;
    let what = format!("folding rows of {} with equal keys", staging.request.target);
    refuse_keyless(staging, &key)?;
    let rowid = checks::rowid_name(&staging.layout)?;
    let staged = format!("main.{}", quoted(&staging.table));
    let folded = fold_sql(&staging.layout.batch, &staging.request.target, &staged, rowid, fold)?;
    let sql = format!("DROP TABLE IF EXISTS temp._etlsched_folded; CREATE TEMP TABLE _etlsched_folded AS {folded}");
    connection.execute_batch(&sql).map_err(failed(&what))?;
    let folded = count(connection, "_etlsched_folded")?;
    if folded > 0 {
        lock::in_transaction(connection, || {
            let sql = format!("DELETE FROM main.{} WHERE {rowid} IN (SELECT id FROM temp._etlsched_folded)", quoted(&staging.table));
            connection.execute(&sql, []).map_err(failed(&what))
        })?;
    }
    connection.execute_batch("DROP TABLE temp._etlsched_folded").map_err(failed(&what))?;
    Ok(folded)
}

/// Returns the SELECT of the staged rows, by their number, that give way to another one of their key.
pub(super) fn fold_sql(batch: &Schema, target: &str, staged: &str, rowid: &str, fold: &Fold) -> Outcome<String> {
    let key = known_key(batch, target, &fold.key)?;
    let newest = match &fold.newest_by {
        Some(name) => {
            let column = known_column(batch, target, name)?;
            format!("{}{} DESC NULLS LAST, ", quoted(&column.name), collation(column.column_type))
        }
        None => String::new(),
    };
    let key = listed("", key.iter().map(String::as_str));
    Ok(format!(
        "SELECT id FROM (SELECT {rowid} AS id, row_number() OVER (PARTITION BY {key} ORDER BY {newest}{rowid} DESC) AS place FROM {staged}) \
         WHERE place > 1"
    ))
}

/// Merges the staged rows, one of each key, into the table. Inside the publish.
pub(super) fn merge(staging: &Staging<'_>, name: &str, key: &[String], counts: &mut Counts) -> Outcome<()> {
    let connection = &staging.destination.connection;
    let key = known_key(&staging.layout.batch, &staging.request.target, key)?;
    make_key_index(connection, &staging.request.target, name, &key)?;
    let [update, insert] = merge_sql(&quoted(name), &quoted(&staging.table), &staging.layout, &key);
    counts.updated = match update {
        Some(update) => execute(connection, name, &update)?,
        None => 0,
    };
    counts.added = execute(connection, name, &insert.expect("every merge inserts"))?;
    let staged = count(connection, &staging.table)?;
    let Some(unchanged) = staged.checked_sub(counts.added + counts.updated) else {
        return Err(refusal("not_exact", format!("merging into {name}: more rows changed than came"), "look for triggers on the table"));
    };
    counts.unchanged = unchanged;
    Ok(())
}

/// Returns the statements of a merge, for people.
pub(super) fn statements(name: &str, staged: &str, layout: &Layout, key: &[String]) -> Vec<String> {
    merge_sql(name, staged, layout, key).into_iter().flatten().collect()
}

fn merge_sql(name: &str, staged: &str, layout: &Layout, key: &[String]) -> [Option<String>; 2] {
    let columns: Vec<&str> = layout.batch.columns.iter().map(|column| column.name.as_str()).collect();
    let is_key = |column: &&str| key.iter().any(|name| name.eq_ignore_ascii_case(column));
    let values: Vec<String> = columns.iter().filter(|column| !is_key(column)).map(|column| quoted(column)).collect();
    let same_key: Vec<String> = key.iter().map(|column| format!("{name}.{0} = staged.{0}", quoted(column))).collect();
    let same_key = same_key.join(" AND ");
    let update = (!values.is_empty()).then(|| {
        let set: Vec<String> = values.iter().map(|column| format!("{column} = staged.{column}")).collect();
        let differs: Vec<String> = values.iter().map(|column| format!("{name}.{column} IS NOT staged.{column}")).collect();
        format!("UPDATE {name} SET {} FROM {staged} AS staged WHERE {same_key} AND ({})", set.join(", "), differs.join(" OR "))
    });
    let list = listed("", columns.iter().copied());
    let taken = listed("staged.", columns.iter().copied());
    let insert = format!(
        "INSERT INTO {name} ({list}) SELECT {taken} FROM {staged} AS staged WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {same_key})"
    );
    [update, Some(insert)]
}

/// Sees to a unique index on the key: without it a merge would take the square of the rows, and its counts would not be exact.
fn make_key_index(connection: &Connection, target: &str, name: &str, key: &[String]) -> Outcome<()> {
    for sql in key_index_sql(connection, target, name, key)? {
        match connection.execute_batch(&sql) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                return Err(duplicate_key(name, key));
            }
            result => result.map_err(failed(format_args!("indexing the key of {name}")))?,
        }
    }
    Ok(())
}

/// Returns what makes the unique index on the key; nothing where there is one.
pub(super) fn key_index_sql(connection: &Connection, target: &str, name: &str, key: &[String]) -> Outcome<Vec<String>> {
    if has_unique_index(connection, name, key).map_err(failed(format_args!("reading the indexes of {name}")))? {
        return Ok(Vec::new());
    }
    let is_taken =
        |index: &str| connection.query_row("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE", [index], |_| Ok(())).is_ok();
    let index = format!("_etlsched_key_{}", staging_names::hash(&target.to_ascii_lowercase()));
    let former = is_taken(&index).then(|| format!("DROP INDEX {}", quoted(&index)));
    let list = listed("", key.iter().map(String::as_str));
    let make = format!("CREATE UNIQUE INDEX {} ON {} ({list})", quoted(&index), quoted(name));
    Ok(former.into_iter().chain([make]).collect())
}

fn has_unique_index(connection: &Connection, table: &str, key: &[String]) -> rusqlite::Result<bool> {
    let is_key = |columns: &[String]| {
        columns.len() == key.len() && key.iter().all(|name| columns.iter().any(|column| column.eq_ignore_ascii_case(name)))
    };
    let texts = |sql: &str, of: &str| -> rusqlite::Result<Vec<String>> {
        connection.prepare(sql)?.query_map([of], |row| Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default()))?.collect()
    };
    if is_key(&texts("SELECT name FROM pragma_table_info(?1) WHERE pk > 0", table)?) {
        return Ok(true);
    }
    for index in texts("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND partial = 0", table)? {
        if is_key(&texts("SELECT name FROM pragma_index_info(?1)", &index)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses staged rows without a value in a column of the key.
fn refuse_keyless(staging: &Staging<'_>, key: &[String]) -> Outcome<()> {
    let target = &staging.request.target;
    refuse_nulls(target, key, |column| {
        let sql = format!("SELECT count(*) FROM {} WHERE {} IS NULL", quoted(&staging.table), quoted(column));
        let rows = staging.destination.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let rows = rows.map_err(failed(format_args!("looking for NULL in the key of {target}")))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    })
}
