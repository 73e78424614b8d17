//! What drivers say of tables: names and keys.

use crate::connect::odbc::{OdbcError, Session, Statement};
use crate::plan::tables::Listed;
use crate::source::SourceError;

use super::dialect::Table;

/// Schemas whose tables are found without them, where the driver doesn't say which those are.
const IN_PATH: [&str; 3] = ["public", "dbo", "main"];

/// Schemas of servers' own tables, in lower case.
const OF_SYSTEM: [&str; 7] = ["information_schema", "pg_catalog", "pg_toast", "sys", "mysql", "performance_schema", "syscat"];

fn failed(session: &Session, source: &str, error: &OdbcError) -> SourceError {
    session.failure(&format!("read source {source}"), error).into()
}

/// Runs a query and returns its rows as text.
///
/// # Errors
/// What the server reports.
pub(super) fn rows(
    session: &Session,
    source: &str,
    ask: impl FnOnce(&mut Statement<'_>) -> Result<(), OdbcError>,
) -> Result<Vec<Vec<Option<String>>>, SourceError> {
    let rows = || {
        let mut statement = session.connection.statement()?;
        ask(&mut statement)?;
        statement.rows()
    };
    rows().map_err(|error| failed(session, source, &error))
}

/// Lists tables and views by SQLTables.
///
/// # Errors
/// What the driver reports.
pub(super) fn tables(session: &Session, source: &str) -> Result<Vec<Listed>, SourceError> {
    let rows = rows(session, source, |statement| statement.tables())?;
    let user = session.connection.text(odbc_sys::InfoType::UserName).unwrap_or_default();
    let listed = rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let (catalogue, schema, name, kind) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?.to_uppercase());
        if !(kind.contains("TABLE") || kind.contains("VIEW") || kind.contains("SYNONYM") || kind.contains("ALIAS")) {
            return None;
        }
        // A database takes the place of a schema where there are none.
        let is_catalogue = schema.is_empty();
        let schema = if is_catalogue { catalogue } else { schema };
        let is_in_path = is_catalogue || IN_PATH.contains(&schema.to_lowercase().as_str()) || schema.eq_ignore_ascii_case(&user);
        let is_by_name_only = kind.contains("SYSTEM") || OF_SYSTEM.contains(&schema.to_lowercase().as_str());
        Some(Listed { schema, name, is_in_path, is_by_name_only })
    });
    Ok(listed.collect())
}

/// Returns the columns of a table's primary key by SQLPrimaryKeys, in its order; none where the driver doesn't know.
///
/// # Errors
/// What the driver reports.
pub(super) fn primary_key(session: &Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
    let ask = |catalogue: Option<&str>, schema: Option<&str>| {
        let mut statement = session.connection.statement()?;
        statement.primary_keys(catalogue, schema, &table.name)?;
        statement.rows()
    };
    let schema = table.schema.as_deref();
    let mut found = ask(None, schema);
    // Where a database takes the place of a schema, a driver finds nothing, or says that it has no schemas.
    if schema.is_some() && found.as_ref().map_or(true, Vec::is_empty) {
        found = ask(schema, None);
    }
    // A driver without that function has no keys to tell.
    let rows = match found {
        Err(error) if error.records.iter().any(|record| ["IM001", "HYC00"].contains(&record.state.as_str())) => Vec::new(),
        other => other.map_err(|error| failed(session, source, &error))?,
    };
    let mut places: Vec<(u32, String)> = Vec::new();
    for row in rows {
        let [_, _, _, Some(column), Some(place), ..] = row.as_slice() else { continue };
        places.push((place.trim().parse().unwrap_or(u32::MAX), column.clone()));
    }
    places.sort();
    Ok(places.into_iter().map(|(_, column)| column).collect())
}
