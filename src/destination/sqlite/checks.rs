//! Checks on staged rows: the count that must be right, and what the job expects.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::failure::{Outcome, failed, refusal};
use super::staging::Staging;
use super::types::{listed, quoted};
use crate::destination::evolution::Layout;
use crate::plan::Expect;
use crate::text::{count, grouped, shortened};

/// Returns how many rows a staging table holds. Its rows are numbered from 1 by SQLite and none is ever deleted before
/// the publish, so the first and the last number tell, without reading the whole table.
pub(super) fn staged_rows(connection: &Connection, table: &str, layout: &Layout) -> Outcome<u64> {
    let rowid = rowid_name(layout)?;
    let sql = format!("SELECT coalesce((SELECT max({rowid}) FROM {0}) - (SELECT min({rowid}) FROM {0}) + 1, 0)", quoted(table));
    let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(failed(format_args!("counting the rows of {table}")))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Returns a name of SQLite's row number that no column hides.
///
/// # Errors
/// All three are columns.
pub(super) fn rowid_name(layout: &Layout) -> Outcome<&'static str> {
    let is_free = |name: &&&str| !layout.columns.iter().chain(&layout.batch.columns).any(|column| column.name.eq_ignore_ascii_case(name));
    let name = ["rowid", "_rowid_", "oid"].iter().find(is_free).copied();
    name.ok_or_else(|| {
        refusal("schema_clash", "columns rowid, _rowid_ and oid can't all be in one table", "rename one under columns.rename")
    })
}

/// Runs what the job expects; returns what failed.
pub(super) fn run(staging: &Staging<'_>, expect: &Expect) -> Outcome<Vec<String>> {
    let Expect { min_rows, max_rows, max_row_drop_percent, not_null, unique, sql } = expect;
    let rows = staging.rows;
    let mut failures = Vec::new();
    if let Some(min) = min_rows.filter(|min| rows < *min) {
        failures.push(format!("min_rows: {}, expected at least {}", count(rows, "row"), grouped(min)));
    }
    if let Some(max) = max_rows.filter(|max| rows > *max) {
        failures.push(format!("max_rows: {}, expected at most {}", count(rows, "row"), grouped(max)));
    }
    if let (Some(percent), Some(previous)) = (max_row_drop_percent, &staging.previous)
        && previous.version > 0
        && (rows as f64) < previous.rows as f64 * (1.0 - percent / 100.0)
    {
        failures.push(format!(
            "max_row_drop_percent: {}, {} at the last load, expected at most {percent} % fewer",
            count(rows, "row"),
            grouped(previous.rows)
        ));
    }
    for column in not_null {
        failures.extend(nulls(staging, column)?);
    }
    if !unique.is_empty() {
        failures.extend(duplicates(staging, unique)?);
    }
    if let Some(sql) = sql {
        failures.extend(returned(staging, sql)?);
    }
    Ok(failures)
}

fn nulls(staging: &Staging<'_>, column: &str) -> Outcome<Option<String>> {
    let column = known(staging, column)?;
    let sql = format!("SELECT count(*) FROM {} WHERE {} IS NULL", quoted(&staging.table), quoted(column));
    let rows = number(staging, &sql)?;
    Ok((rows > 0).then(|| format!("not_null: column {column} is NULL in {}", count(rows, "row"))))
}

fn duplicates(staging: &Staging<'_>, columns: &[String]) -> Outcome<Option<String>> {
    let columns: Vec<&str> = columns.iter().map(|column| known(staging, column)).collect::<Outcome<_>>()?;
    let list = listed("", columns.iter().copied());
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} GROUP BY {list} HAVING count(*) > 1)", quoted(&staging.table));
    let groups = number(staging, &sql)?;
    Ok((groups > 0).then(|| format!("unique: {} of {} more than once", count(groups, "value"), columns.join(", "))))
}

fn returned(staging: &Staging<'_>, sql: &str) -> Outcome<Option<String>> {
    let connection = &staging.destination.connection;
    let what = || format!("the check `expect.sql` of {}", staging.request.target);
    let staged = quoted(&staging.table);
    let hint = "a check is one SELECT that returns the rows that are wrong; {table} in it stands for the loaded rows";
    let mut statement = connection.prepare(&sql.replace("{table}", &staged)).map_err(|error| {
        // SQLite repeats the statement: as it was written, not with our name for the rows.
        refusal("bad_check", format!("{}: {}", what(), error.to_string().replace(&staged, "{table}")), hint)
    })?;
    if !statement.readonly() {
        return Err(refusal("bad_check", format!("{} writes", what()), hint));
    }
    let columns = statement.column_count();
    let mut rows = statement.query([]).map_err(failed(what()))?;
    let Some(row) = rows.next().map_err(failed(what()))? else { return Ok(None) };
    let first = (0..columns).map(|column| shown(row, column)).collect::<Vec<_>>().join(", ");
    let mut found = 1;
    while found < 1000 && rows.next().map_err(failed(what()))?.is_some() {
        found += 1;
    }
    let more = if found == 1000 { " or more" } else { "" };
    Ok(Some(format!("sql: {}{more} returned, expected none; the first: {first}", count(found, "row"))))
}

fn shown(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Real(number)) => format!("{number:?}"),
        Ok(ValueRef::Text(text)) => shortened(&String::from_utf8_lossy(text), 60).into_owned(),
        Ok(ValueRef::Blob(bytes)) => format!("{} bytes", bytes.len()),
        Ok(ValueRef::Null) | Err(_) => "NULL".to_owned(),
    }
}

fn number(staging: &Staging<'_>, sql: &str) -> Outcome<u64> {
    let number: i64 = staging
        .destination
        .connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(failed(format_args!("checking the rows for {}", staging.request.target)))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// Returns a column under the target's spelling: SQLite would take an unknown name in quotes for a text.
fn known<'a>(staging: &'a Staging<'_>, name: &str) -> Outcome<&'a str> {
    let mut columns = staging.layout.batch.columns.iter();
    match columns.find(|column| column.name.eq_ignore_ascii_case(name)) {
        Some(column) => Ok(&column.name),
        None => {
            let message = format!("the checks of table {} name column {name}, which the source doesn't have", staging.request.target);
            Err(refusal("no_such_column", message, "look at `expect` and columns.rename"))
        }
    }
}
