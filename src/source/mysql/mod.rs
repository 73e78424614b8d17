//! A table, view or query of a MySQL or MariaDB database, read by a prepared statement out of one read-only, consistent snapshot.

mod catalogue;
#[cfg(test)]
#[cfg(unix)]
pub(super) mod conformance;
mod decode;
mod describe;
mod geometry;
mod late;
mod query;
mod reader;
mod types;

use mysql::prelude::Queryable as _;

use crate::batch::ColumnType;
use crate::connect::mysql::Session;
use crate::plan::mysql::MysqlSourcePlan;
use crate::plan::{ColumnRules, Level, SourcePlan};
use crate::run::CursorValue;
use crate::secret::Secret;
use crate::source::columns::loaded_key;
use crate::text;

use super::{ReadRequest, Reader, Source, SourceError, Stream, demand_one_place};

/// What the session has. CHAR is not filled with blanks that nobody wrote; a lock that is held for longer is an error that says so; text
/// comes as the UTF-8 that has every character.
const SETTINGS: &str = "SET NAMES utf8mb4, SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', ''), \
     SESSION lock_wait_timeout = 60";

/// Every statement sees one snapshot of the tables that have one, and can't write.
const BEGIN: [&str; 2] = ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"];

/// A MySQL or MariaDB source.
#[derive(Debug)]
pub(super) struct MysqlSource {
    name: String,
    plan: MysqlSourcePlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
    /// What the next reader has for the log.
    notes: Vec<(Level, String)>,
}

impl MysqlSource {
    /// Checks what can be checked without reading.
    pub fn new(plan: &SourcePlan, mysql: &MysqlSourcePlan) -> Result<Self, SourceError> {
        demand_one_place(&plan.name, [mysql.table.is_some(), !mysql.tables.is_empty(), mysql.custom_sql.is_some()])?;
        let (rules, hash_key) = (plan.columns.clone(), plan.hash_key.clone());
        Ok(Self { name: plan.name.clone(), plan: mysql.clone(), rules, hash_key, notes: Vec::new() })
    }

    /// Returns what one stream reads, and what it is called in messages.
    fn of(&self, stream: &Stream) -> (String, MysqlSourcePlan) {
        if self.plan.tables.is_empty() {
            return (self.name.clone(), self.plan.clone());
        }
        let plan = MysqlSourcePlan { table: Some(stream.name.clone()), tables: Vec::new(), ..self.plan.clone() };
        (format!("{}, table {}", self.name, text::printable(&stream.name)), plan)
    }

    /// Returns the streams of the tables that the catalogue has.
    fn streams(&self, session: &mut Session) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() {
            return Ok(vec![Stream::only(&self.name)]);
        }
        let listed = catalogue::listed(session, &self.name, &self.plan.connection.database)?;
        Stream::matching(&self.name, &self.plan.tables, &listed, &session.place)
    }

    fn connect(&self) -> Result<Session, SourceError> {
        let mut session = Session::open_to_read(&self.plan.connection)?;
        self.say(&mut session, SETTINGS)?;
        Ok(session)
    }

    /// Connects and takes the snapshot.
    fn begin(&self) -> Result<Session, SourceError> {
        let mut session = self.connect()?;
        for statement in BEGIN {
            self.say(&mut session, statement)?;
        }
        Ok(session)
    }

    fn say(&self, session: &mut Session, statement: &str) -> Result<(), SourceError> {
        session.conn.query_drop(statement).map_err(|error| describe::failed(session, &self.name, &error))
    }
}

impl Source for MysqlSource {
    fn test(&mut self) -> Result<String, SourceError> {
        let mut session = self.begin()?;
        let streams = self.streams(&mut session)?;
        let mut columns = 0;
        for stream in &streams {
            let (name, plan) = self.of(stream);
            columns += describe::describe(&mut session, &name, &plan, &self.rules)?.names.len() as u64;
        }
        let version: Option<String> =
            session.conn.query_first("SELECT version()").map_err(|error| describe::failed(&session, &self.name, &error))?;
        let product = if session.is_mariadb { "MariaDB" } else { "MySQL" };
        let tables = if self.plan.tables.is_empty() { String::new() } else { text::count(streams.len() as u64, "table") + ", " };
        let columns = text::count(columns, "column");
        Ok(text::printable(&format!("{product} {} at {}: {tables}{columns}", version.unwrap_or_default(), session.place)).into_owned())
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() { Ok(vec![Stream::only(&self.name)]) } else { self.streams(&mut self.begin()?) }
    }

    fn primary_key(&mut self, stream: &Stream) -> Result<Vec<String>, SourceError> {
        let (name, plan) = self.of(stream);
        if plan.table.is_none() {
            return Ok(Vec::new());
        }
        let mut session = self.begin()?;
        let described = describe::describe(&mut session, &name, &plan, &self.rules)?;
        let Some(table) = &described.table else { return Ok(Vec::new()) };
        let key = catalogue::primary_key(&mut session, &name, table)?;
        let is_there = key.iter().all(|name| described.names.contains(name));
        Ok(if is_there { loaded_key(&self.rules, &key) } else { Vec::new() })
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        let session = self.begin()?;
        let notes = std::mem::take(&mut self.notes);
        let (name, plan) = self.of(request.stream);
        Ok(Box::new(reader::open(session, &name, &plan, &self.rules, self.hash_key.as_ref(), request, notes)?))
    }

    fn safe_cursor(&mut self, stream: &Stream, column: &str) -> Result<Option<CursorValue>, SourceError> {
        let (name, plan) = self.of(stream);
        let mut session = self.connect()?;
        let described = describe::describe(&mut session, &name, &plan, &self.rules)?;
        let cursor = query::cursor(&name, &described, &self.rules, column)?;
        let late::Limit { value, note } = late::limit(&mut session, &name, &described, &cursor)?;
        // Of the stream before, where that was not opened, nothing is told here.
        self.notes = note.map(|(level, note)| (level, note.to_owned())).into_iter().collect();
        Ok(value)
    }

    fn cursor_type(&mut self, stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        let (name, plan) = self.of(stream);
        let mut session = self.begin()?;
        let described = describe::describe(&mut session, &name, &plan, &self.rules)?;
        Ok(Some(query::cursor(&name, &described, &self.rules, column)?.column_type))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
