//! A table, view or query that an ODBC driver reaches, read in row sets out of one transaction that is always rolled back.

mod catalogue;
#[cfg(test)]
#[cfg(unix)]
pub(super) mod conformance;
mod decode;
mod describe;
mod dialect;
mod lane;
mod pass;
mod query;
mod reader;
mod rowset;
mod streamed;
mod types;
mod values;

use crate::batch::ColumnType;
use crate::connect::odbc::Session;
use crate::plan::odbc::OdbcSourcePlan;
use crate::plan::tables;
use crate::plan::{ColumnRules, Level, SourcePlan};
use crate::run::CursorValue;
use crate::secret::Secret;
use crate::source::columns::loaded_key;
use crate::text;

use self::dialect::Dialect;
use super::{ReadRequest, Reader, Source, SourceError, Stream, demand_one_place};

/// An ODBC source.
#[derive(Debug)]
pub(super) struct OdbcSource {
    name: String,
    plan: OdbcSourcePlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
    /// What the next reader has for the log.
    notes: Vec<(Level, String)>,
}

/// A session and the words that it understands.
#[derive(Debug)]
struct Reached {
    session: Session,
    dialect: Box<dyn Dialect>,
}

impl OdbcSource {
    /// Checks what can be checked without reading.
    pub fn new(plan: &SourcePlan, odbc: &OdbcSourcePlan) -> Result<Self, SourceError> {
        demand_one_place(&plan.name, [odbc.table.is_some(), !odbc.tables.is_empty(), odbc.custom_sql.is_some()])?;
        let (rules, hash_key) = (plan.columns.clone(), plan.hash_key.clone());
        Ok(Self { name: plan.name.clone(), plan: odbc.clone(), rules, hash_key, notes: Vec::new() })
    }

    /// Returns what one stream reads, and what it is called in messages.
    fn of(&self, stream: &Stream) -> (String, OdbcSourcePlan) {
        if self.plan.tables.is_empty() {
            return (self.name.clone(), self.plan.clone());
        }
        // What the catalogue lists is meant as it stands there, also where plain names would be folded.
        let (schema, name) = tables::parts(&stream.name);
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let table = schema.iter().chain([&name]).map(|name| quoted(name)).collect::<Vec<_>>().join(".");
        let plan = OdbcSourcePlan { table: Some(table), tables: Vec::new(), ..self.plan.clone() };
        (format!("{}, table {}", self.name, text::printable(&stream.name)), plan)
    }

    /// Returns the streams of the tables that the catalogue has.
    fn streams(&self, reached: &Reached) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() {
            return Ok(vec![Stream::only(&self.name)]);
        }
        let listed = reached.dialect.tables(&reached.session, &self.name)?;
        Stream::matching(&self.name, &self.plan.tables, &listed, &reached.session.place)
    }

    fn connect(&self) -> Result<Reached, SourceError> {
        let mut session = Session::open(&self.plan.connection)?;
        let dialect = dialect::of(&session);
        for sql in dialect.opening() {
            let said = session.connection.statement().and_then(|mut statement| statement.run(sql));
            said.map_err(|error| describe::failed(&session, &self.name, &error))?;
        }
        let begun = session.begin();
        begun.map_err(|error| describe::failed(&session, &self.name, &error))?;
        Ok(Reached { session, dialect })
    }

    /// Connects and takes the snapshot, where there is one; returns what people must know of it.
    fn begin(&self) -> Result<(Reached, Vec<(Level, String)>), SourceError> {
        let reached = self.connect()?;
        let notes = reached.dialect.begin(&reached.session, &self.name)?;
        Ok((reached, notes))
    }
}

/// Returns how text comes in a session.
fn text_form(session: &Session) -> rowset::TextForm {
    if session.facts.is_utf8 { rowset::TextForm::Utf8 } else { rowset::TextForm::Wide }
}

impl Source for OdbcSource {
    fn test(&mut self) -> Result<String, SourceError> {
        let (reached, _) = self.begin()?;
        let streams = self.streams(&reached)?;
        let Reached { session, dialect } = &reached;
        let mut columns = 0;
        for stream in &streams {
            let (name, plan) = self.of(stream);
            columns += describe::describe(session, &**dialect, &name, &plan)?.names.len() as u64;
        }
        let facts = &session.facts;
        let tables = if self.plan.tables.is_empty() { String::new() } else { text::count(streams.len() as u64, "table") + ", " };
        let remark = dialect.remark().map_or_else(String::new, |remark| format!("; {remark}"));
        let line = format!(
            "{} {} at {} through {}: {tables}{}{remark}",
            facts.product,
            facts.version,
            session.place,
            facts.driver,
            text::count(columns, "column")
        );
        Ok(text::printable(&line).into_owned())
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() { Ok(vec![Stream::only(&self.name)]) } else { self.streams(&self.begin()?.0) }
    }

    fn primary_key(&mut self, stream: &Stream) -> Result<Vec<String>, SourceError> {
        let (name, plan) = self.of(stream);
        if plan.table.is_none() {
            return Ok(Vec::new());
        }
        let (Reached { session, dialect }, _) = self.begin()?;
        let described = describe::describe(&session, &*dialect, &name, &plan)?;
        let Some(table) = &described.table else { return Ok(Vec::new()) };
        let key = dialect.primary_key(&session, &name, table)?;
        let is_there = key.iter().all(|name| described.names.contains(name));
        Ok(if is_there { loaded_key(&self.rules, &key) } else { Vec::new() })
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        let (Reached { session, dialect }, more) = self.begin()?;
        let mut log = std::mem::take(&mut self.notes);
        log.extend(more);
        let (name, plan) = self.of(request.stream);
        let (rules, hash_key) = (&self.rules, self.hash_key.as_ref());
        let opening = reader::Opening { session, dialect, source: &name, plan: &plan, rules, hash_key, log };
        Ok(Box::new(reader::open(opening, request)?))
    }

    fn safe_cursor(&mut self, stream: &Stream, column: &str) -> Result<Option<CursorValue>, SourceError> {
        let (name, plan) = self.of(stream);
        // In a snapshot where there is one: whoever writes now would keep the greatest value from being read.
        let (Reached { session, dialect }, _) = self.begin()?;
        let described = describe::describe(&session, &*dialect, &name, &plan)?;
        let cursor = query::cursor(&name, &*dialect, &described, &self.rules, column)?;
        let dialect::Limit { value, note } = dialect.limit(&session, &name, &described, &cursor)?;
        // Of the stream before, where that was not opened, nothing is told here.
        self.notes = note.into_iter().collect();
        Ok(value)
    }

    fn cursor_type(&mut self, stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        let (name, plan) = self.of(stream);
        let (Reached { session, dialect }, _) = self.begin()?;
        let described = describe::describe(&session, &*dialect, &name, &plan)?;
        Ok(Some(query::cursor(&name, &*dialect, &described, &self.rules, column)?.column_type))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
