//! Checks on staged rows: the count that must be right, and what the job expects.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::failure::{Outcome, failed, refusal};
use super::staging::Staging;
use super::types::{listed, quoted};
use crate::destination::evolution::Layout;
use crate::destination::expectations::{Look, Staged, WRONG_ROWS_MAX, WrongRows, bad_check, unmet};
use crate::plan::Expect;
use crate::text::shortened;

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

/// The staging table.
struct Rows<'a> {
    connection: &'a Connection,
    /// Its name as SQL.
    table: String,
    target: &'a str,
}

/// Runs what the job expects; returns what failed.
pub(super) fn run(staging: &Staging<'_>, expect: &Expect) -> Outcome<Vec<String>> {
    let Staging { destination, request, previous, layout, table, rows, .. } = staging;
    let staged = Staged { target: &request.target, columns: &layout.batch, rows: *rows, previous: previous.as_ref() };
    let mut rows = Rows { connection: &destination.connection, table: quoted(table), target: &request.target };
    unmet(&staged, &mut rows, expect)
}

impl Rows<'_> {
    fn number(&self, sql: &str) -> Outcome<u64> {
        let number = self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let number = number.map_err(failed(format_args!("checking the rows for {}", self.target)))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

impl Look for Rows<'_> {
    fn nulls(&mut self, column: &str) -> Outcome<u64> {
        self.number(&format!("SELECT count(*) FROM {} WHERE {} IS NULL", self.table, quoted(column)))
    }

    fn duplicates(&mut self, columns: &[&str]) -> Outcome<u64> {
        let (table, list) = (&self.table, listed("", columns.iter().copied()));
        self.number(&format!("SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {list} HAVING count(*) > 1)"))
    }

    fn wrong_rows(&mut self, sql: &str) -> Outcome<Option<WrongRows>> {
        let what = || format!("the check `expect.sql` of {}", self.target);
        let statement = self.connection.prepare(&sql.replace("{table}", &self.table));
        let mut statement = statement.map_err(|error| bad_check(&format!("{}: {error}", what()), &self.table))?;
        if !statement.readonly() {
            return Err(bad_check(&format!("{} writes", what()), &self.table));
        }
        let columns = statement.column_count();
        let mut rows = statement.query([]).map_err(failed(what()))?;
        let Some(row) = rows.next().map_err(failed(what()))? else { return Ok(None) };
        let first = (0..columns).map(|column| shown(row, column)).collect();
        let mut count = 1;
        while count < WRONG_ROWS_MAX && rows.next().map_err(failed(what()))?.is_some() {
            count += 1;
        }
        Ok(Some(WrongRows { count, first }))
    }
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
