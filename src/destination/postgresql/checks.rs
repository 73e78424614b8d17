//! Checks on staged rows: what the job expects, as PostgreSQL looks it up.

use postgres::SimpleQueryMessage;

use super::session::{Outcome, Session, failed};
use super::staging::Staging;
use super::types::{listed, quoted};
use crate::destination::expectations::{Look, Staged, WRONG_ROWS_MAX, WrongRows, bad_check, unmet};
use crate::plan::Expect;
use crate::text::shortened;

/// The staging table.
struct Rows<'a> {
    session: &'a mut Session,
    /// Its name as SQL.
    table: String,
    target: &'a str,
}

/// Runs what the job expects; returns what failed.
pub(super) fn run(staging: &mut Staging<'_>, expect: &Expect) -> Outcome<Vec<String>> {
    let Staging { session, request, previous, layout, table, rows, .. } = staging;
    let (target, table) = (request.target.as_str(), session.table(table));
    let staged = Staged { target, columns: &layout.batch, rows: *rows, previous: previous.as_ref() };
    unmet(&staged, &mut Rows { session, table, target }, expect)
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
        let (table, list) = (&self.table, listed("", columns.iter().copied()));
        self.number(&format!("SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {list} HAVING count(*) > 1) AS twice"))
    }

    /// In a transaction that can't write.
    fn wrong_rows(&mut self, sql: &str) -> Outcome<Option<WrongRows>> {
        let query = sql.replace("{table}", &self.table);
        let query = format!("SELECT * FROM ({}) AS wrong LIMIT {WRONG_ROWS_MAX}", query.trim().trim_end_matches(';'));
        self.session.begin()?;
        let answer = self.session.run("SET TRANSACTION READ ONLY").and_then(|_| self.session.client.simple_query(&query));
        self.session.roll_back();
        let messages = answer.map_err(|error| {
            let error = failed(format_args!("the check `expect.sql` of {}", self.target))(error);
            bad_check(&error.message, &self.table)
        })?;
        let rows: Vec<_> =
            messages.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }).collect();
        Ok(rows.first().map(|first| {
            let shown = |column: usize| first.get(column).map_or_else(|| "NULL".to_owned(), |text| shortened(text, 60).into_owned());
            WrongRows { count: rows.len(), first: (0..first.len()).map(shown).collect() }
        }))
    }
}
