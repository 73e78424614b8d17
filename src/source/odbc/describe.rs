//! Finds out what is read: the columns of a table, view or query, as the driver describes the result of no rows.

use std::collections::HashSet;

use crate::connect::odbc::{ColumnFacts, OdbcError, Parameter, Session};
use crate::plan::odbc::{Engine, OdbcSourcePlan};
use crate::plan::tables::{self, Listed, Unmatched};
use crate::source::SourceError;
use crate::source::placeholders;

use super::dialect::{Dialect, Table};

/// What is read, as the driver describes it.
#[derive(Debug)]
pub(super) struct Described {
    /// What follows FROM, with the condition of `where`; placeholders as written.
    pub from: String,
    /// Whether `from` ends with a condition.
    pub is_filtered: bool,
    pub names: Vec<String>,
    pub facts: Vec<ColumnFacts>,
    /// The table, where one is named.
    pub table: Option<Table>,
}

/// Finds out what is read.
///
/// # Errors
/// No such table, no query, two columns of one name.
pub(super) fn describe(session: &Session, dialect: &dyn Dialect, source: &str, plan: &OdbcSourcePlan) -> Result<Described, SourceError> {
    let table = plan.table.as_ref().map(|given| dialect.table(given));
    let (from, is_filtered) = match &table {
        Some(table) => {
            let filter = plan.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE ({filter}\n)"));
            (format!("{}{filter}", dialect.qualified(table)), plan.filter.is_some())
        }
        None => (query(source, plan.custom_sql.as_deref().unwrap_or_default())?, false),
    };
    let mut facts = facts(session, dialect, &from, is_filtered).map_err(|error| {
        let error: SourceError = failed(session, source, &error);
        match &plan.table {
            // Drivers have many words for it. Servers with numbers of their own have one, and hide tables that may not be read.
            Some(given) if !error.is_transient && (session.engine == Engine::Other || error.code == "not_found") => {
                missing(session, dialect, source, given).unwrap_or(error)
            }
            _ => error,
        }
    })?;
    if facts.is_empty() {
        let error = SourceError::new("invalid_sql", format!("source {source}: what is read has no columns"));
        return Err(error.hint("write a SELECT in custom_sql"));
    }
    dialect.refine(session, source, table.as_ref(), &mut facts)?;
    let names: Vec<String> = facts.iter().map(|facts| facts.name.clone()).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
        let what = if twice.is_empty() { "two columns have no name".to_owned() } else { format!("two columns are named {twice}") };
        let error = SourceError::new("invalid_sql", format!("source {source}: {what}"));
        return Err(error.hint("name them apart with AS in custom_sql"));
    }
    Ok(Described { from, is_filtered, names, facts, table })
}

/// Asks for the columns of a result of no rows.
fn facts(session: &Session, dialect: &dyn Dialect, from: &str, is_filtered: bool) -> Result<Vec<ColumnFacts>, OdbcError> {
    let glue = if is_filtered { "AND" } else { "WHERE" };
    let (sql, named) = placeholders::replaced(&format!("SELECT * FROM {from} {glue} 1 = 0"), dialect.lexical(), |_| "?".to_owned());
    let mut statement = session.connection.statement()?;
    statement.query(&sql, &vec![Parameter::Null; named.len()])?;
    statement.columns()
}

fn query(source: &str, sql: &str) -> Result<String, SourceError> {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    if sql.is_empty() {
        return Err(SourceError::new("invalid_sql", format!("source {source}: custom_sql is empty")).hint("write a SELECT"));
    }
    Ok(format!("(\n{sql}\n) etlsched"))
}

/// Makes the error for a table that isn't there, with the one that was probably meant; `None` where it is there.
fn missing(session: &Session, dialect: &dyn Dialect, source: &str, given: &str) -> Option<SourceError> {
    // The transaction of the statement that failed may take no other.
    let _ = session.connection.roll_back();
    let listed = dialect.tables(session, source).ok()?;
    let Table { schema, name } = dialect.table(given);
    let is_it = |table: &Listed| table.name == name && schema.as_ref().is_none_or(|schema| *schema == table.schema);
    if listed.iter().any(is_it) {
        return None;
    }
    let own = Listed { schema: schema.unwrap_or_default(), name, is_in_path: true, is_by_name_only: false };
    let unmatched = match tables::no_table(&own.written(), &listed) {
        Unmatched::NoTable { near, tables, .. } => Unmatched::NoTable { table: given.to_owned(), near, tables },
        other => other,
    };
    Some(SourceError::unmatched(source, &unmatched, &session.place))
}

/// Makes an error of what a call reports.
pub(super) fn failed(session: &Session, source: &str, error: &OdbcError) -> SourceError {
    session.failure(&format!("read source {source}"), error).into()
}
