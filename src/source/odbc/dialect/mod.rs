//! What sets one engine apart from another, for whoever reads it through ODBC.

mod late;
mod oracle;
mod other;
mod sqlserver;
mod views;

use chrono::{DateTime, Utc};

use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter, Session};
use crate::plan::Level;
use crate::plan::odbc::Engine;
use crate::plan::tables::{self, Listed};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::SourceError;
use crate::source::placeholders;

use super::catalogue;
use super::describe::Described;
use super::query::Cursor;
use super::types::Mapping;

/// A table or view by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::odbc) struct Table {
    /// Its schema, or the database where that takes its place; `None` where its name alone finds it.
    pub schema: Option<String>,
    pub name: String,
}

/// A value for a statement: what stands for it there, and the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::odbc) struct Bound {
    /// `?`, alone or in a cast.
    pub sql: String,
    pub parameter: Parameter,
}

/// How far a cursor may go so that no commit comes later with an earlier value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::source::odbc) struct Limit {
    /// `None`: the engine doesn't tell.
    pub value: Option<CursorValue>,
    /// What people must know of it.
    pub note: Option<(Level, String)>,
}

/// What an engine's statements look like, and what its catalogue and its types are.
pub(in crate::source::odbc) trait Dialect: std::fmt::Debug + Send + Sync {
    /// Where strings, names and comments begin and end.
    fn lexical(&self) -> &placeholders::Dialect;

    /// Returns an identifier in quotes.
    fn quoted(&self, name: &str) -> String;

    /// Reads `table` or `schema.table` as a job says it; double quotes hold dots together.
    fn table(&self, given: &str) -> Table {
        let (schema, name) = tables::parts(given);
        Table { schema, name }
    }

    /// Returns a table's name in quotes.
    fn qualified(&self, table: &Table) -> String {
        match &table.schema {
            Some(schema) => format!("{}.{}", self.quoted(schema), self.quoted(&table.name)),
            None => self.quoted(&table.name),
        }
    }

    /// Statements that are said first in each session, before a transaction begins: formats, locks, zones.
    fn opening(&self) -> &[&str] {
        &[]
    }

    /// Takes the snapshot that everything is read from, where the engine has one; returns what people must know of it.
    ///
    /// # Errors
    /// What the server reports.
    fn begin(&self, _session: &Session, _source: &str) -> Result<Vec<(Level, String)>, SourceError> {
        Ok(Vec::new())
    }

    /// Puts what the catalogue says of a table's columns into what the driver says of them.
    ///
    /// # Errors
    /// What the server reports.
    fn refine(&self, _session: &Session, _source: &str, _table: Option<&Table>, _facts: &mut [ColumnFacts]) -> Result<(), SourceError> {
        Ok(())
    }

    /// Lists the tables and views that the login sees.
    ///
    /// # Errors
    /// What the server reports.
    fn tables(&self, session: &Session, source: &str) -> Result<Vec<Listed>, SourceError> {
        catalogue::tables(session, source)
    }

    /// Returns the columns of a table's primary key, in its order.
    ///
    /// # Errors
    /// What the server reports.
    fn primary_key(&self, session: &Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
        catalogue::primary_key(session, source, table)
    }

    /// Returns what becomes of a column where nothing is declared.
    fn mapping(&self, facts: &ColumnFacts) -> Mapping;

    /// Returns a value of a cursor column as statements take it, at its full precision; `None` where the type can't be compared.
    fn bound(&self, value: &CursorValue) -> Option<Bound>;

    /// As [`Dialect::bound`], for a column whose own steps are coarser or finer than those of its type here. Rows at or above a value, or below it,
    /// are the same as those of the step above (`Up`); those above the value are those above the step below (`Down`).
    fn bound_for(&self, value: &CursorValue, _facts: &ColumnFacts, _rounding: Rounding) -> Option<Bound> {
        self.bound(value)
    }

    /// Returns an instant as statements take it where no cursor column says a type: `:slot` and `:run_started`.
    fn moment(&self, instant: DateTime<Utc>) -> Bound;

    /// Returns a column as it is compared with values of its type here; `None` where it can't be.
    fn comparable(&self, quoted: &str, facts: &ColumnFacts, column_type: ColumnType) -> Option<String>;

    /// Finds how far a cursor may go. Asked in a session of its own, before the one that reads begins.
    ///
    /// # Errors
    /// What the server reports.
    fn limit(&self, _session: &Session, _source: &str, _described: &Described, _cursor: &Cursor) -> Result<Limit, SourceError> {
        Ok(Limit::default())
    }

    /// Returns what `source test` says beside the server's product and version: what it was tested against, what it lacks.
    fn remark(&self) -> Option<&'static str> {
        None
    }
}

/// Returns the dialect of a session.
pub(in crate::source::odbc) fn of(session: &Session) -> Box<dyn Dialect> {
    match session.engine {
        Engine::SqlServer => Box::new(sqlserver::SqlServer),
        Engine::Oracle => Box::new(oracle::Oracle),
        Engine::Other => Box::new(other::Other::new(session)),
    }
}
