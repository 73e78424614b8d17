//! Finds out what is read: the columns of a table, view or query and their types, as the server prepares it.

use std::collections::{HashMap, HashSet};

use mysql::prelude::Queryable as _;
use mysql::{Error, Statement};
use mysql_common::named_params::ParsedNamedParams;

use super::catalogue::{self, Table};
use super::types::{ServerType, Special, Wire};
use crate::connect::mysql::{Session, quoted};
use crate::plan::ColumnRules;
use crate::plan::mysql::MysqlSourcePlan;
use crate::source::SourceError;
use crate::source::placeholders::{self, Dialect};

/// What is read, as the server describes it.
#[derive(Debug)]
pub(super) struct Described {
    /// What follows FROM, with the condition of `where`; placeholders as written.
    pub from: String,
    /// Whether `from` ends with a condition.
    pub is_filtered: bool,
    pub names: Vec<String>,
    pub types: Vec<ServerType>,
    /// The table, where one is named.
    pub table: Option<Table>,
    pub dialect: Dialect,
    /// The tables that columns come from.
    tables: Vec<Table>,
    /// What the catalogue says of columns, by their names.
    specials: HashMap<String, Special>,
}

/// Errors of the server for a table or database that isn't there.
const NO_TABLE: [u16; 3] = [1146, 1049, 1109];

/// Finds out what is read.
///
/// # Errors
/// No such table, no query, two columns of one name.
pub(super) fn describe(session: &mut Session, source: &str, plan: &MysqlSourcePlan, rules: &ColumnRules) -> Result<Described, SourceError> {
    let mode: Option<String> = session.conn.query_first("SELECT @@SESSION.sql_mode").map_err(|error| failed(session, source, &error))?;
    let dialect = placeholders::mysql(&mode.unwrap_or_default());
    let table = plan.table.as_ref().map(|given| Table::parse(given, &plan.connection.database));
    let Asked { from, own, statement } = match &table {
        Some(table) => of_table(session, source, plan, rules, table, &dialect)?,
        None => of_query(session, source, plan.custom_sql.as_deref().unwrap_or_default(), &dialect)?,
    };
    let names: Vec<String> = statement.columns().iter().map(|column| column.name_str().into_owned()).collect();
    if names.is_empty() {
        return Err(SourceError::new("invalid_sql", format!("source {source}: what is read has no columns")));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
        let error = SourceError::new("invalid_sql", format!("source {source}: two columns are named {twice}"));
        return Err(error.hint("name them apart with AS in custom_sql"));
    }
    let specials = specials(session, source, &own)?;
    let is_filtered = plan.filter.is_some() && table.is_some();
    let mut described = Described { from, is_filtered, names, types: Vec::new(), table, dialect, tables: tables_of(&own), specials };
    described.types = described.server_types(&statement);
    Ok(described)
}

impl Described {
    /// Returns the types of a statement's columns, with what the catalogue says of them.
    pub fn server_types(&self, statement: &Statement) -> Vec<ServerType> {
        let special = |column: &mysql::Column| self.specials.get(column.name_str().as_ref()).copied().unwrap_or_default();
        statement.columns().iter().map(|column| ServerType::of(column, special(column))).collect()
    }

    /// Whether a table that is read has an engine whose writers are in no list of the server.
    ///
    /// # Errors
    /// What the server reports.
    pub fn has_unlisted_writers(&self, session: &mut Session, source: &str) -> Result<bool, SourceError> {
        for table in &self.tables {
            if catalogue::engine_unlisted(session, source, table)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the name of an engine of the tables that are read whose rows are in no snapshot.
    ///
    /// # Errors
    /// What the server reports.
    pub fn engine_without_snapshot(&self, session: &mut Session, source: &str) -> Result<Option<String>, SourceError> {
        for table in &self.tables {
            if let Some(engine) = catalogue::engine_without_snapshot(session, source, table)? {
                return Ok(Some(engine));
            }
        }
        Ok(None)
    }
}

/// Returns the tables that a statement's columns come from, each once.
fn tables_of(statement: &Statement) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for column in statement.columns().iter().filter(|column| !column.org_table_ref().is_empty()) {
        let table = Table { database: column.schema_str().into_owned(), name: column.org_table_str().into_owned() };
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables
}

/// Returns what the catalogue says of the columns that are a table's own, by their names.
fn specials(session: &mut Session, source: &str, statement: &Statement) -> Result<HashMap<String, Special>, SourceError> {
    let mut tables: HashMap<(String, String), HashMap<String, Special>> = HashMap::new();
    let mut specials = HashMap::new();
    for column in statement.columns().iter().filter(|column| !column.org_table_ref().is_empty()) {
        let may_be_special = matches!(ServerType::of(column, Special::None).mapping().wire, Wire::Text | Wire::Binary);
        if !session.is_mariadb || !may_be_special {
            continue;
        }
        let table = Table { database: column.schema_str().into_owned(), name: column.org_table_str().into_owned() };
        let key = (table.database.clone(), table.name.clone());
        if !tables.contains_key(&key) {
            tables.insert(key.clone(), catalogue::specials(session, source, &table)?);
        }
        if let Some(special) = tables[&key].get(column.org_name_str().as_ref()) {
            specials.insert(column.name_str().into_owned(), *special);
        }
    }
    Ok(specials)
}

/// What is asked for.
struct Asked {
    /// What follows FROM.
    from: String,
    /// The statement that knows the tables which columns come from: as a subquery a query forgets them.
    own: Statement,
    /// The one that reads every column.
    statement: Statement,
}

fn of_table(
    session: &mut Session,
    source: &str,
    plan: &MysqlSourcePlan,
    rules: &ColumnRules,
    table: &Table,
    dialect: &Dialect,
) -> Result<Asked, SourceError> {
    let filter = plan.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE ({filter}\n)"));
    let from = format!("{}{filter}", table.quoted());
    let statement = match probe(session, dialect, &format!("SELECT * FROM {from}")) {
        Err(Refused::Server(Error::MySqlError(error))) if NO_TABLE.contains(&error.code) => {
            return Err(catalogue::missing(session, source, table, plan.table.as_deref().unwrap_or_default(), &plan.connection.database));
        }
        other => other.map_err(|refused| refused.told(session, source))?,
    };
    let hidden = catalogue::invisible(session, source, table)?;
    let wanted: Vec<String> = hidden.iter().filter(|name| is_named(rules, name)).map(|name| quoted(name)).collect();
    if wanted.is_empty() {
        return Ok(Asked { from, own: statement.clone(), statement });
    }
    let list = format!("{}.*, {}", quoted(&table.name), wanted.join(", "));
    let statement = probe(session, dialect, &format!("SELECT {list} FROM {from}")).map_err(|refused| refused.told(session, source))?;
    Ok(Asked { from, own: statement.clone(), statement })
}

fn of_query(session: &mut Session, source: &str, sql: &str, dialect: &Dialect) -> Result<Asked, SourceError> {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    // What is no query by itself must not become one inside of another.
    if sql.is_empty() {
        return Err(SourceError::new("invalid_sql", format!("source {source}: custom_sql is empty")).hint("write a SELECT"));
    }
    let own = probe(session, dialect, sql).map_err(|refused| refused.told(session, source))?;
    if own.columns().is_empty() {
        let error = SourceError::new("invalid_sql", format!("source {source}: custom_sql is no query"));
        return Err(error.hint("write a SELECT"));
    }
    let from = format!("(\n{sql}\n) AS etlsched");
    let statement = probe(session, dialect, &format!("SELECT * FROM {from}")).map_err(|refused| refused.told(session, source))?;
    Ok(Asked { from, own, statement })
}

/// Whether the job asks for a column by its name.
fn is_named(rules: &ColumnRules, name: &String) -> bool {
    let ColumnRules { select, exclude: _, types, rename, hash } = rules;
    select.contains(name)
        || hash.contains(name)
        || types.iter().any(|(typed, _)| typed == name)
        || rename.iter().any(|(renamed, _)| renamed == name)
}

/// Why a statement was not prepared.
#[derive(Debug)]
pub(super) enum Refused {
    Server(Error),
    /// A parameter that is none of ours.
    Parameter,
}

impl Refused {
    /// Makes an error of it.
    pub fn told(self, session: &Session, source: &str) -> SourceError {
        match self {
            Self::Server(error) => failed(session, source, &error),
            Self::Parameter => {
                let message = format!(
                    "source {source}: the statement has a parameter that is none of :last_sync, :lower_bound, :slot and :run_started"
                );
                SourceError::new("invalid_sql", message).hint("write values into custom_sql or where; a ? or :name is no value")
            }
        }
    }
}

fn probe(session: &mut Session, dialect: &Dialect, sql: &str) -> Result<Statement, Refused> {
    let (sql, named) = placeholders::replaced(sql, dialect, |_| "?".to_owned());
    prepare(session, &sql, named.len())
}

/// Prepares a statement with so many parameters.
pub(super) fn prepare(session: &mut Session, sql: &str, parameters: usize) -> Result<Statement, Refused> {
    // The driver has parameters with names of its own, by lexical rules of its own: a statement in which it sees one would be changed.
    let is_as_written = ParsedNamedParams::parse(sql.as_bytes()).is_ok_and(|parsed| parsed.params().is_empty());
    if !is_as_written {
        return Err(Refused::Parameter);
    }
    let statement = session.conn.prep(sql).map_err(Refused::Server)?;
    if statement.params().len() != parameters {
        return Err(Refused::Parameter);
    }
    Ok(statement)
}

/// Makes an error of what the server or the connection reports.
pub(super) fn failed(session: &Session, source: &str, error: &Error) -> SourceError {
    session.failure(&format!("read source {source}"), error).into()
}
