//! Checks on staged rows: what the job expects, as MySQL looks it up.

use super::session::{Outcome, Session, failed};
use super::staging::Staging;
use super::types::{literal, quoted};
use crate::batch::{ColumnType, Schema};
use crate::destination::expectations::{Look, Staged, WRONG_ROWS_MAX, WrongRows, bad_check, unmet};
use crate::plan::Expect;
use crate::text::shortened;

/// The staging table.
struct Rows<'a> {
    session: &'a mut Session,
    /// Its name as SQL.
    table: String,
    columns: &'a Schema,
    target: &'a str,
}

/// Runs what the job expects; returns what failed.
pub(super) fn run(staging: &mut Staging<'_>, expect: &Expect) -> Outcome<Vec<String>> {
    let Staging { session, request, previous, layout, table, rows, .. } = staging;
    let (target, table, columns) = (request.target.as_str(), session.table(table), &layout.batch);
    let staged = Staged { target, columns, rows: *rows, previous: previous.as_ref() };
    unmet(&staged, &mut Rows { session, table, columns, target }, expect)
}

impl Rows<'_> {
    fn number(&mut self, sql: &str) -> Outcome<u64> {
        self.session.number(sql).map_err(failed(format_args!("checking the rows for {}", self.target)))
    }
}

impl Look for Rows<'_> {
    fn nulls(&mut self, column: &str) -> Outcome<u64> {
        self.number(&format!("SELECT count(*) FROM {} WHERE {} IS NULL", self.table, quoted(column)))
    }

    fn duplicates(&mut self, columns: &[&str]) -> Outcome<u64> {
        // Long texts are compared by their hashes: a sort looks at their beginnings alone.
        let is_long = |name: &str| self.columns.columns.iter().any(|column| column.name == name && is_long(column.column_type));
        let list: Vec<String> =
            columns.iter().map(|name| if is_long(name) { format!("SHA2({}, 256)", quoted(name)) } else { quoted(name) }).collect();
        let (table, list) = (&self.table, list.join(", "));
        self.number(&format!("SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {list} HAVING count(*) > 1) AS twice"))
    }

    /// In a transaction that can't write.
    fn wrong_rows(&mut self, sql: &str) -> Outcome<Option<WrongRows>> {
        let query = sql.replace("{table}", &self.table);
        let query = format!("SELECT * FROM ({}) AS wrong LIMIT {WRONG_ROWS_MAX}", query.trim().trim_end_matches(';'));
        // A prepared statement is one statement, whatever stands in it.
        let prepare = format!("PREPARE _etlsched_check FROM {}", literal(&query));
        let answer = self.session.run("START TRANSACTION READ ONLY").and_then(|_| self.session.run(&prepare));
        let answer = answer.and_then(|_| self.session.query("EXECUTE _etlsched_check"));
        self.session.roll_back();
        let rows = answer.map_err(|error| {
            let error = failed(format_args!("the check `expect.sql` of {}", self.target))(error);
            bad_check(&error.message, &self.table)
        })?;
        let shown = |cell: &Option<String>| cell.as_ref().map_or_else(|| "NULL".to_owned(), |text| shortened(text, 60).into_owned());
        Ok(rows.first().map(|first| WrongRows { count: rows.len(), first: first.iter().map(shown).collect() }))
    }
}

/// Whether a type's values may be longer than what a sort looks at.
fn is_long(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Text | ColumnType::Json | ColumnType::Binary)
}
