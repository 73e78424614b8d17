//! diesel's connection to PostgreSQL over the client that sources use: no libpq, TLS as everywhere, and an end to every waiting.
//!
//! Why not diesel-async: its blocking wrapper can't stand in `#[derive(MultiConnection)]`, by which one set of queries serves both back ends,
//! and it neither limits how long an answer is waited for nor can do without prepared statements, which cost a round trip each.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, DynInstrumentation, Instrumentation, LoadConnection,
    MultiConnectionHelper, SimpleConnection,
};
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata, PgValue, TypeOidLookup};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{Query, QueryBuilder as _, QueryFragment, QueryId};
use diesel::result::{ConnectionError, ConnectionResult, DatabaseErrorInformation, DatabaseErrorKind, Error, QueryResult};
use diesel::row::{Field, PartialRow, Row as DieselRow, RowIndex, RowSealed};
use postgres::types::{FromSql, Type};
use postgres::{Row, SimpleQueryMessage};

use crate::connect::ConnectError;
use crate::connect::postgres::Session;
use crate::connect::postgres::timed::{Client, Failure, Raw, ends_session};

/// The column by which the first statement of a transaction tells whether it is in the session that was opened.
pub(super) const SESSION_COLUMN: &str = "etlsched_session";

/// What `details()` of an error says where the connection is shared with others by a pooler.
pub(super) const POOLED: &str = "pooled";

/// A connection to the store's server.
pub struct ServerConnection {
    session: Session<Client>,
    /// What this session was named when it was opened.
    pub(super) name: String,
    transactions: AnsiTransactionManager,
    instrumentation: DynInstrumentation,
    ahead: Ahead,
}

/// A statement as the server takes it.
#[derive(Debug, Clone, PartialEq)]
struct Statement {
    sql: String,
    parameters: Vec<(Raw, Type)>,
}

/// Statements that are sent in one go, before who asks them takes their answers.
#[derive(Debug, Default)]
struct Ahead {
    is_noting_down: bool,
    noted: Vec<Statement>,
    answered: VecDeque<(Statement, Result<Answer, Failure>)>,
}

/// Rows, and how many a statement changed.
type Answer = (Vec<Row>, u64);

impl std::fmt::Debug for ServerConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ServerConnection({})", self.session.place)
    }
}

impl ServerConnection {
    pub(super) fn new(session: Session<Client>, name: String) -> Self {
        let (transactions, instrumentation) = (AnsiTransactionManager::default(), DynInstrumentation::none());
        Self { session, name, transactions, instrumentation, ahead: Ahead::default() }
    }

    /// The client behind it.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.session.client
    }

    /// Begins a transaction by the statements given.
    pub(super) fn begin(&mut self, sql: &str) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, sql)
    }

    /// Begins or ends to note statements down in place of running them; meanwhile none has a row. Afterwards they are sent in one go, at the
    /// first one that is run, and answered one by one as they are run in the same order. Whoever runs another one gets a fresh answer, and
    /// the others are forgotten.
    pub(super) fn note_down(&mut self, is_noting_down: bool) {
        self.ahead.is_noting_down = is_noting_down;
    }

    fn answer(&mut self, statement: Statement) -> QueryResult<Answer> {
        if self.ahead.is_noting_down {
            self.ahead.noted.push(statement);
            return Ok((Vec::new(), 0));
        }
        let noted = std::mem::take(&mut self.ahead.noted);
        if noted.first() == Some(&statement) {
            let sent = noted.iter().map(|noted| (noted.sql.as_str(), noted.parameters.clone())).collect();
            let answers = self.session.client.run_together(sent);
            self.ahead.answered = noted.into_iter().zip(answers).collect();
        }
        let answer = match self.ahead.answered.pop_front() {
            Some((asked, answer)) if asked == statement => answer,
            Some(_) | None => {
                self.ahead.answered.clear();
                self.session.client.run(&statement.sql, statement.parameters)
            }
        };
        answer.map_err(|failure| of(&failure))
    }

    fn run<T: QueryFragment<Pg>>(&mut self, query: &T) -> QueryResult<Answer> {
        let mut builder = PgQueryBuilder::default();
        query.to_sql(&mut builder, &Pg)?;
        let mut binds = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut binds, &mut NoLookup, &Pg)?;
        let mut parameters = Vec::with_capacity(binds.binds.len());
        for (kind, bytes) in binds.metadata.iter().zip(binds.binds) {
            let oid = kind.oid().map_err(|error| Error::SerializationError(Box::new(error)))?;
            let kind = Type::from_oid(oid).ok_or_else(|| Error::SerializationError(format!("no type has the oid {oid}").into()))?;
            parameters.push((Raw(bytes.map(|bytes| storable(&kind, bytes))), kind));
        }
        self.answer(Statement { sql: builder.finish(), parameters })
    }
}

/// Texts of PostgreSQL have no NUL; it is written as its visible sign.
fn storable(kind: &Type, bytes: Vec<u8>) -> Vec<u8> {
    let is_text = [Type::TEXT, Type::VARCHAR, Type::TEXT_ARRAY].contains(kind);
    if !is_text || *kind == Type::TEXT_ARRAY || !bytes.contains(&0) {
        return bytes;
    }
    String::from_utf8_lossy(&bytes).replace('\0', "\u{2400}").into_bytes()
}

/// What a server said, as diesel carries it: `details()` is its code.
#[derive(Debug)]
struct Said {
    error: ConnectError,
    state: String,
}

impl DatabaseErrorInformation for Said {
    fn message(&self) -> &str {
        &self.error.message
    }

    fn details(&self) -> Option<&str> {
        Some(&self.state)
    }

    fn hint(&self) -> Option<&str> {
        self.error.hint.as_deref()
    }

    fn table_name(&self) -> Option<&str> {
        None
    }

    fn column_name(&self) -> Option<&str> {
        None
    }

    fn constraint_name(&self) -> Option<&str> {
        None
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}

/// Makes diesel's error of a failure; which store it is stands before it at the end.
fn of(failure: &Failure) -> Error {
    let error = failure.told("");
    let message = error.message.trim_start_matches(": ").to_owned();
    told(ConnectError { message, ..error }, failure.state())
}

/// Makes diesel's error of one of ours.
fn told(error: ConnectError, state: Option<&str>) -> Error {
    let kind = match state {
        None => DatabaseErrorKind::ClosedConnection,
        Some("40001" | "40P01") => DatabaseErrorKind::SerializationFailure,
        Some("23505") => DatabaseErrorKind::UniqueViolation,
        Some("23503") => DatabaseErrorKind::ForeignKeyViolation,
        Some("25006") => DatabaseErrorKind::ReadOnlyTransaction,
        Some(state) if ends_session(state) => DatabaseErrorKind::ClosedConnection,
        Some(_) => DatabaseErrorKind::Unknown,
    };
    Error::DatabaseError(kind, Box::new(Said { error, state: state.unwrap_or_default().to_owned() }))
}

/// Says that the session isn't this process's alone.
fn pooled() -> Error {
    let error = ConnectError { code: "pooled", message: String::new(), hint: None, is_transient: false, retry_after: None };
    Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(Said { error, state: POOLED.to_owned() }))
}

impl SimpleConnection for ServerConnection {
    fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.ahead = Ahead::default();
        let answer = self.session.client.batch(sql).map_err(|failure| of(&failure))?;
        for message in answer {
            if let SimpleQueryMessage::Row(row) = message
                && row.columns().first().is_some_and(|column| column.name() == SESSION_COLUMN)
                && row.get(0) != Some(self.name.as_str())
            {
                return Err(pooled());
            }
        }
        Ok(())
    }
}

impl ConnectionSealed for ServerConnection {}

impl Connection for ServerConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("a server is reached by its parts, not by a URL".to_owned()))
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<usize> {
        let (_, count) = self.run(source)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut *self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = instrumentation.into();
    }

    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}

impl LoadConnection for ServerConnection {
    type Cursor<'conn, 'query> = std::vec::IntoIter<QueryResult<ServerRow>>;
    type Row<'conn, 'query> = ServerRow;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: diesel::expression::QueryMetadata<T::SqlType>,
    {
        let (rows, _) = self.run(&source)?;
        let rows: Vec<QueryResult<ServerRow>> = rows.into_iter().map(|row| Ok(ServerRow(row))).collect();
        Ok(rows.into_iter())
    }
}

impl MigrationConnection for ServerConnection {
    fn setup(&mut self) -> QueryResult<usize> {
        self.batch_execute(CREATE_MIGRATIONS_TABLE).map(|()| 0)
    }
}

impl MultiConnectionHelper for ServerConnection {
    fn to_any<'a>(lookup: &mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup) -> &mut (dyn std::any::Any + 'a) {
        lookup.as_any()
    }

    fn from_any(lookup: &mut dyn std::any::Any) -> Option<&mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<NoLookup>().map(|lookup| lookup as &mut dyn PgMetadataLookup)
    }
}

/// The store has no types but the server's own.
struct NoLookup;

impl PgMetadataLookup for NoLookup {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }

    fn as_any<'a>(&mut self) -> &mut (dyn std::any::Any + 'a)
    where
        Self: 'a,
    {
        self
    }
}

/// A row that the server sent.
#[derive(Debug)]
pub struct ServerRow(Row);

impl RowSealed for ServerRow {}

impl<'a> DieselRow<'a, Pg> for ServerRow {
    type Field<'b>
        = ServerField<'b>
    where
        Self: 'b,
        'a: 'b;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.0.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        let index = self.idx(index)?;
        let Value(value) = self.0.get(index);
        Some(ServerField { name: self.0.columns()[index].name(), value })
    }

    fn partial_row(&self, range: std::ops::Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for ServerRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.0.len()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for ServerRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        self.0.columns().iter().position(|column| column.name() == name)
    }
}

/// A value of a row.
#[derive(Debug)]
pub struct ServerField<'a> {
    name: &'a str,
    value: Option<(&'a [u8], Oid)>,
}

impl<'a> Field<'a, Pg> for ServerField<'a> {
    fn field_name(&self) -> Option<&str> {
        Some(self.name)
    }

    fn value(&self) -> Option<PgValue<'_>> {
        self.value.as_ref().map(|(bytes, oid)| PgValue::new(bytes, oid))
    }
}

#[derive(Debug, Clone, Copy)]
struct Oid(NonZeroU32);

impl TypeOidLookup for Oid {
    fn lookup(&self) -> NonZeroU32 {
        self.0
    }
}

struct Value<'a>(Option<(&'a [u8], Oid)>);

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let oid = NonZeroU32::new(kind.oid()).ok_or("a value without a type")?;
        Ok(Self(Some((bytes, Oid(oid)))))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
