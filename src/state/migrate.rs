//! Copies a store in a file into an empty one on a server: every row or none.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::audit::{self, Actor};
use super::backends::StoreConnection;
use super::connection::Store;
use super::error::StateError;
use super::leases::{self, Clocks, Moment, Probe};
use super::server::Purpose;

/// How many rows go in one statement.
const ROWS_TOGETHER: usize = 500;

/// A table and how many rows of it were copied.
pub type Copied = (String, u64);

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Store {
    /// Copies every row of this store, a file, into another one on a server, whose tables are empty, and adds a line to the trail there. The
    /// workspace's id goes along. While it is copied nothing begins in this store.
    ///
    /// # Errors
    /// A run goes on, the other store isn't empty, either can't be used: nothing was copied then.
    pub fn copy_into(&mut self, target: &mut Self, by: &Actor, now: &Moment, probe: Probe<'_>) -> Result<Vec<Copied>, StateError> {
        let (place, target_place) = (self.place(), target.place());
        let details = format!("{place} -> {target_place}");
        self.write(|source| {
            let clocks = Clocks::read(source, now)?;
            if let Some(lease) = leases::all(source)?.into_iter().find(|lease| !lease.is_dead(&clocks, probe)) {
                return Ok(Err(StateError::InUse { place: place.clone(), job: lease.job, run_id: lease.run_id }));
            }
            let tables = tables(source)?;
            let mut full = None;
            let copied = target.transact(Purpose::Write, &mut |target| {
                full = filled(target, &tables)?;
                if full.is_some() {
                    return Err(DieselError::RollbackTransaction);
                }
                diesel::sql_query("DELETE FROM workspace").execute(target)?;
                let copied = tables.iter().map(|table| Ok((table.clone(), copy(source, target, table)?))).collect::<QueryResult<_>>()?;
                audit::write(target, by, "state migrate", None, None, Some(&details), now.at)?;
                Ok(copied)
            });
            Ok(match full.take() {
                Some(table) => Err(StateError::NotEmpty { place: target_place.clone(), table }),
                None => copied,
            })
        })?
    }
}

/// Returns the store's tables in the order in which they were made: what a table refers to comes before it.
fn tables(source: &mut StoreConnection) -> QueryResult<Vec<String>> {
    let own = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> '__diesel_schema_migrations' \
               ORDER BY rowid";
    Ok(diesel::sql_query(own).load::<Name>(source)?.into_iter().map(|table| table.name).collect())
}

/// Returns a table with rows, beside that of the workspace, which a new store has.
fn filled(target: &mut StoreConnection, tables: &[String]) -> QueryResult<Option<String>> {
    for table in tables.iter().filter(|table| *table != "workspace") {
        if count(target, table)? > 0 {
            return Ok(Some(table.clone()));
        }
    }
    Ok(None)
}

fn count(connection: &mut StoreConnection, table: &str) -> QueryResult<i64> {
    Ok(diesel::sql_query(format!("SELECT count(*) AS count FROM {table}")).get_result::<Count>(connection)?.count)
}

/// Copies a table; returns how many rows it has.
fn copy(source: &mut StoreConnection, target: &mut StoreConnection, table: &str) -> QueryResult<u64> {
    let columns: Vec<Column> =
        diesel::sql_query(format!("SELECT name, type AS kind FROM pragma_table_info('{table}') ORDER BY cid")).load(source)?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let pairs: Vec<String> = columns.iter().map(pair).collect();
    let page = format!(
        "SELECT rowid AS number, json_object({}) AS line FROM {table} WHERE rowid > $1 ORDER BY rowid LIMIT {ROWS_TOGETHER}",
        pairs.join(", ")
    );
    let insert = format!("INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, $1::json)");
    let mut last = -1;
    loop {
        let lines: Vec<Line> = diesel::sql_query(page.as_str()).bind::<BigInt, _>(last).load(source)?;
        let Some(newest) = lines.last() else { break };
        last = newest.number;
        let rows = lines.iter().map(|line| storable(&line.line)).collect::<QueryResult<Vec<Value>>>()?;
        diesel::sql_query(insert.as_str()).bind::<Text, _>(Value::Array(rows).to_string()).execute(target)?;
    }
    let (read, written) = (count(source, table)?, count(target, table)?);
    if read != written {
        return Err(DieselError::QueryBuilderError(format!("of {read} rows of {table}, {written} arrived").into()));
    }
    Ok(written.unsigned_abs())
}

/// Returns a column as a pair of a JSON object. Doubles go as text of 17 digits, of which every one comes back the same.
fn pair(Column { name, kind }: &Column) -> String {
    match kind.as_str() {
        "DOUBLE PRECISION" => format!("'{name}', CASE WHEN {name} IS NULL THEN NULL ELSE printf('%!.17g', {name}) END"),
        _ => format!("'{name}', {name}"),
    }
}

/// Reads a row; texts of PostgreSQL have no NUL, so it becomes its visible sign.
fn storable(line: &str) -> QueryResult<Value> {
    let mut row: Value = serde_json::from_str(line).map_err(|error| DieselError::DeserializationError(Box::new(error)))?;
    for value in row.as_object_mut().into_iter().flat_map(|row| row.values_mut()) {
        if let Value::String(text) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{2400}");
        }
    }
    Ok(row)
}
