//! A table as it stands in the file: its columns, its own SQL, what hangs on it.

use rusqlite::{Connection, OptionalExtension};

use super::failure::{Outcome, failed, refusal};
use super::types::{declaration, quoted};
use crate::batch::Column;
use crate::destination::evolution::LiveColumn;

/// A table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveTable {
    /// Its name as it is written in the file.
    pub name: String,
    pub sql: String,
    pub columns: Vec<LiveColumn>,
}

impl LiveTable {
    /// Reads the table of that name; `None` where there is none.
    ///
    /// # Errors
    /// A view or a virtual table of that name.
    pub(super) fn read(connection: &Connection, target: &str) -> Outcome<Option<Self>> {
        let found = connection
            .query_row(
                "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view', 'index')",
                [target],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
            )
            .optional()
            .map_err(failed(format_args!("reading table {target}")))?;
        let Some((kind, name, sql)) = found else { return Ok(None) };
        let is_virtual = sql.trim_start().get(..14).is_some_and(|start| start.eq_ignore_ascii_case("create virtual"));
        if kind != "table" || is_virtual {
            let kind = if is_virtual {
                "a virtual table"
            } else if kind == "view" {
                "a view"
            } else {
                "an index"
            };
            return Err(refusal("target_not_a_table", format!("{name} is {kind}, not a table"), "give the source another `target`"));
        }
        let columns = read_columns(connection, &name).map_err(failed(format_args!("reading the columns of {name}")))?;
        Ok(Some(Self { name, sql, columns }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether the table is nothing but names and types: another table may take its place and nothing of it is lost.
    ///
    /// Keys, NOT NULL, UNIQUE, CHECK, DEFAULT, COLLATE, generated columns, STRICT, WITHOUT ROWID make its SQL differ from ours.
    pub(super) fn is_plain(&self) -> bool {
        let ours = self.columns.iter().map(|column| format!("{} {}", quoted(&column.name), column.declared)).collect::<Vec<_>>().join(",");
        let is_known = |column: &LiveColumn| matches!(column.declared.as_str(), "INTEGER" | "REAL" | "TEXT" | "BLOB");
        self.columns.iter().all(is_known) && without_space(column_list(&self.sql)) == without_space(&format!("({ours})"))
    }
}

/// Returns the SQL that makes a table of columns.
pub(super) fn create_sql(name: &str, columns: &[Column]) -> String {
    let list: Vec<String> = columns.iter().map(|column| format!("{} {}", quoted(&column.name), declaration(column.column_type))).collect();
    format!("CREATE TABLE {} ({})", quoted(name), list.join(", "))
}

fn read_columns(connection: &Connection, name: &str) -> rusqlite::Result<Vec<LiveColumn>> {
    let mut statement = connection.prepare("SELECT name, type, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let columns = statement
        .query_map([name], |row| Ok(LiveColumn { name: row.get(0)?, declared: row.get(1)?, is_generated: row.get::<_, i64>(2)? >= 2 }))?;
    columns.collect()
}

/// Returns what follows the table's name: everything from the first parenthesis outside quotes.
fn column_list(sql: &str) -> &str {
    let mut quote = None;
    for (index, byte) in sql.bytes().enumerate() {
        match quote {
            Some(end) if byte == end => quote = None,
            Some(_) => {}
            None if byte == b'(' => return &sql[index..],
            None if matches!(byte, b'"' | b'`' | b'\'') => quote = Some(byte),
            None if byte == b'[' => quote = Some(b']'),
            None => {}
        }
    }
    ""
}

fn without_space(sql: &str) -> String {
    let mut is_quoted = false;
    sql.chars()
        .filter(|character| {
            is_quoted ^= *character == '"';
            is_quoted || !character.is_whitespace()
        })
        .collect()
}
