//! What the server's catalogue says of tables: names, keys, engines, and types that a statement doesn't tell.

use std::collections::HashMap;

use mysql::prelude::Queryable as _;

use super::types::Special;
use crate::connect::mysql::{Session, quoted};
use crate::plan::tables::{self, Listed, Unmatched};
use crate::source::SourceError;

/// A table or view by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub database: String,
    pub name: String,
}

impl Table {
    /// Parts `table` or `database.table`; quotes hold dots together.
    pub fn parse(text: &str, database: &str) -> Self {
        let mut first = None;
        let mut last = String::new();
        let mut quote = None;
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            match (sign, quote) {
                (sign, Some(open)) if sign == open && signs.peek() == Some(&open) => {
                    signs.next();
                    last.push(sign);
                }
                (sign, Some(open)) if sign == open => quote = None,
                ('`' | '"', None) if last.is_empty() => quote = Some(sign),
                ('.', None) if first.is_none() => first = Some(std::mem::take(&mut last)),
                _ => last.push(sign),
            }
        }
        Self { database: first.unwrap_or_else(|| database.to_owned()), name: last }
    }

    /// Returns the name in quotes.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.name))
    }

    fn parameters(&self) -> (&str, &str) {
        (&self.database, &self.name)
    }
}

fn failed(session: &Session, source: &str, error: &mysql::Error) -> SourceError {
    session.failure(&format!("read source {source}"), error).into()
}

/// Lists the tables and views that the account sees. Those of the system are found by their names alone.
///
/// # Errors
/// What the server reports.
pub(super) fn listed(session: &mut Session, source: &str, database: &str) -> Result<Vec<Listed>, SourceError> {
    let sql = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE <> 'SEQUENCE'";
    let rows: Vec<(String, String)> = session.conn.query(sql).map_err(|error| failed(session, source, &error))?;
    let listed = |(schema, name): (String, String)| Listed {
        is_in_path: schema == database,
        is_by_name_only: ["information_schema", "mysql", "performance_schema", "sys"].contains(&schema.as_str()),
        schema,
        name,
    };
    Ok(rows.into_iter().map(listed).collect())
}

/// Makes the error for a table that isn't there, with the one that was probably meant.
pub(super) fn missing(session: &mut Session, source: &str, table: &Table, given: &str, database: &str) -> SourceError {
    match listed(session, source, database) {
        Ok(listed) => {
            // A name without a database means one of this database alone.
            let own = Listed { schema: table.database.clone(), name: table.name.clone(), is_in_path: true, is_by_name_only: false };
            let unmatched = match tables::no_table(&own.written(), &listed) {
                Unmatched::NoTable { near, tables, .. } => Unmatched::NoTable { table: given.to_owned(), near, tables },
                other => other,
            };
            SourceError::unmatched(source, &unmatched, &session.place)
        }
        Err(error) => error,
    }
}

/// Returns the columns of a table's primary key, in its order.
///
/// # Errors
/// What the server reports.
pub(super) fn primary_key(session: &mut Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
    let sql = "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY' \
         ORDER BY SEQ_IN_INDEX";
    session.conn.exec(sql, table.parameters()).map_err(|error| failed(session, source, &error))
}

/// Returns the columns of a table that `*` leaves out.
///
/// # Errors
/// What the server reports.
pub(super) fn invisible(session: &mut Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
    let sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND EXTRA LIKE '%INVISIBLE%'";
    session.conn.exec(sql, table.parameters()).map_err(|error| failed(session, source, &error))
}

/// Returns the name of a table's engine where its rows are in no snapshot; `None` for views and transactional engines.
///
/// # Errors
/// What the server reports.
pub(super) fn engine_without_snapshot(session: &mut Session, source: &str, table: &Table) -> Result<Option<String>, SourceError> {
    let sql = "SELECT t.ENGINE FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
         WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ? AND e.TRANSACTIONS = 'NO'";
    session.conn.exec_first(sql, table.parameters()).map_err(|error| failed(session, source, &error))
}

/// Returns the name of a table's engine where its writers may be in no list of this server: those of InnoDB are in one, those of the others
/// named here write with each statement.
///
/// # Errors
/// What the server reports.
pub(super) fn engine_unlisted(session: &mut Session, source: &str, table: &Table) -> Result<Option<String>, SourceError> {
    let sql = "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND ENGINE IS NOT NULL \
         AND ENGINE NOT IN ('InnoDB', 'MyISAM', 'MRG_MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE', 'SEQUENCE')";
    session.conn.exec_first(sql, table.parameters()).map_err(|error| failed(session, source, &error))
}

/// Returns what must be known of a table's columns beside what a statement says of them.
///
/// # Errors
/// What the server reports.
pub(super) fn specials(session: &mut Session, source: &str, table: &Table) -> Result<HashMap<String, Special>, SourceError> {
    let sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND DATA_TYPE = 'uuid'";
    let uuids: Vec<String> = session.conn.exec(sql, table.parameters()).map_err(|error| failed(session, source, &error))?;
    let mut specials: HashMap<String, Special> = uuids.into_iter().map(|name| (name, Special::Uuid)).collect();
    // JSON is another word for LONGTEXT CHECK (json_valid(...)), by exactly this text (MariaDB 10.11, "JSON Data Type").
    let sql = "SELECT CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? AND LEVEL = 'Column'";
    // Servers before 10.2.22 have no such table.
    let checks: Vec<(String, String)> = session.conn.exec(sql, table.parameters()).unwrap_or_default();
    for (name, clause) in checks {
        if clause == format!("json_valid({})", quoted(&name)) {
            specials.insert(name, Special::Json);
        }
    }
    Ok(specials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_parted_at_the_dot_outside_of_quotes() {
        let check = |text: &str, database: &str, name: &str| {
            let expected = Table { database: database.to_owned(), name: name.to_owned() };
            assert_eq!(Table::parse(text, "own"), expected, "{text}");
        };
        check("orders", "own", "orders");
        check("shop.Orders", "shop", "Orders");
        check("`a.b`.`c``d`", "a.b", "c`d");
        check("\"a.b\".c", "a.b", "c");
        check("a.b.c", "a", "b.c");
        assert_eq!(Table::parse("a`b", "o`n").quoted(), "`o``n`.`a``b`");
    }
}
