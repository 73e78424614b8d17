//! A connection as the destination uses it: statements, transactions that are all or nothing, errors with a way out.
//!
//! Each step of a load is one transaction and keeps nothing in the session, so that a pooler in transaction mode may stand in front of
//! the server: parameters go with unnamed statements, what is set is set for the transaction, and no lock outlives it.

use std::time::Duration;

use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Error, Row, SimpleQueryMessage};

use super::types::quoted;
use crate::connect::postgres as server;
use crate::destination::DestinationError;
pub(super) use crate::destination::failure::{Outcome, refusal};
use crate::plan::postgresql::PostgresConnection;

/// What each transaction is given beside what every one has: a lock that someone holds is given up soon, so that our waiting never queues
/// all others; the server notices within seconds that a killed worker is gone (PostgreSQL 14 and later, on systems that can tell).
///
/// Comparing many columns takes longer to compile than to do.
///
/// A role may have other defaults: a policy would hide some rows, and a lock that others wait behind must not be ours for long.
const SETTINGS: &str = "SET LOCAL row_security = off; SET LOCAL lock_timeout = '5s'; SET LOCAL client_min_messages = 'error'; \
     SELECT CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL AND version() ~* 'linux|darwin|apple|bsd' \
     THEN set_config('client_connection_check_interval', '2s', true) END, \
     CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', true) END, \
     CASE WHEN current_setting('jit', true) IS NOT NULL THEN set_config('jit', 'off', true) END";

/// How often a publish that meets a lock tries again, and the pause between: about three minutes with the lock's own patience.
const TRIES_MAX: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// How often a lost server is asked for the fate of a commit: a restart takes some seconds.
const RECONNECTS_MAX: u32 = 30;

/// An open connection with the schema that the tables stand in.
pub(super) struct Session {
    plan: PostgresConnection,
    pub client: Client,
    place: String,
    /// The schema of the targets.
    pub schema: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.place)
    }
}

const STANDBY: &str = "the server is a standby or takes no changes: let the connection name the primary";

/// Turns what the server says into an error of ours; `what` is what was attempted, on what.
pub(super) fn failed(what: impl std::fmt::Display) -> impl FnOnce(Error) -> DestinationError {
    move |error| {
        let known = DestinationError::from(server::failure(&what.to_string(), &error));
        let (code, hint) = match error.code() {
            Some(state) if *state == SqlState::DISK_FULL => ("disk_full", "make room on the server's disk; the tables are as they were"),
            Some(state) if *state == SqlState::READ_ONLY_SQL_TRANSACTION => ("read_only", STANDBY),
            Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE && known.message.contains("row-level security") => (
                "not_permitted",
                "the table has policies that would hide rows from the load: load it as its owner, or as a role with BYPASSRLS",
            ),
            Some(state)
                if *state == SqlState::INSUFFICIENT_PRIVILEGE
                    && ["loads", "files"].iter().any(|table| known.message.contains(&format!("table _etlsched_{table}"))) =>
            {
                (
                    "not_permitted",
                    "another role made the bookkeeping: GRANT SELECT, INSERT, UPDATE, DELETE ON _etlsched_loads, _etlsched_files TO this one",
                )
            }
            Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => {
                ("not_permitted", "the role needs CREATE and USAGE on the schema, and must own the tables that it loads")
            }
            Some(state) if *state == SqlState::DEPENDENT_OBJECTS_STILL_EXIST => {
                ("dependents", "set publish: replace, which keeps the table and all that depends on it")
            }
            Some(state) if state.code().starts_with("23") && known.message.contains("_etlsched_key_") => {
                ("constraint", "a load by a key made this index: DROP INDEX it where the rows go by that key no longer")
            }
            Some(state) if state.code().starts_with("23") => ("constraint", "the table has a rule of its own that the rows break"),
            _ => return known,
        };
        DestinationError { code, hint: Some(hint.to_owned()), is_transient: false, ..known }
    }
}

/// Whether what failed for a lock is worth another try; pauses before it, so that others have their turn.
pub(super) fn is_worth_another_try(error: &DestinationError, tries: u32) -> bool {
    let is_worth = tries < TRIES_MAX && matches!(error.code, "locked" | "conflict");
    if is_worth {
        std::thread::sleep(PAUSE);
    }
    is_worth
}

impl Session {
    /// Connects; the schema is the given one, else the first of the login's search path.
    pub(super) fn open(name: &str, plan: &PostgresConnection, schema: Option<&str>) -> Outcome<Self> {
        let opened = server::Session::open(plan)?;
        let mut session = Self { plan: plan.clone(), client: opened.client, place: opened.place, schema: String::new() };
        let what = format!("destination {name}: looking for the schema on {}", session.place);
        let found = match schema {
            Some(schema) => session.rows("SELECT nspname::text FROM pg_namespace WHERE nspname = $1", &[Some(schema)]),
            None => session.rows("SELECT current_schema()::text", &[]),
        };
        let found = found.map_err(failed(&what))?.first().and_then(|row| row.get::<_, Option<String>>(0));
        session.schema = found.ok_or_else(|| match schema {
            Some(schema) => {
                let message = format!("destination {name}: there is no schema {schema} on {}", session.place);
                refusal("no_such_schema", message, format!("make it: CREATE SCHEMA {}", quoted(schema)))
            }
            None => {
                let message = format!("destination {name}: the login's search_path names no schema on {}", session.place);
                refusal("no_such_schema", message, "set schema: on the connection or the job")
            }
        })?;
        Ok(session)
    }

    /// Opens another connection to the same place.
    pub(super) fn another(&self) -> Outcome<Self> {
        let opened = server::Session::open(&self.plan)?;
        let Self { plan, place, schema, .. } = self;
        Ok(Self { plan: plan.clone(), client: opened.client, place: place.clone(), schema: schema.clone() })
    }

    /// Returns a table of the schema as SQL.
    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }

    /// Runs a query; its parameters are texts.
    pub(super) fn rows(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<Vec<Row>, Error> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = parameters.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        self.client.query_typed(sql, &typed)
    }

    /// Runs a statement with texts as parameters; returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<u64, Error> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = parameters.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        self.client.execute_typed(sql, &typed)
    }

    /// Runs a statement without parameters; returns how many rows it changed.
    pub(super) fn run(&mut self, sql: &str) -> Result<u64, Error> {
        let messages = self.client.simple_query(sql)?;
        let counts = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        });
        Ok(counts.unwrap_or(0))
    }

    /// Returns the first number of a query's first row; 0 for none.
    pub(super) fn number(&mut self, sql: &str) -> Result<u64, Error> {
        let rows = self.rows(sql, &[])?;
        Ok(rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()).unwrap_or(0))
    }

    /// Returns how many rows a table has; `table` is SQL.
    pub(super) fn count(&mut self, table: &str) -> Outcome<u64> {
        self.number(&format!("SELECT count(*) FROM {table}")).map_err(failed(format_args!("counting the rows of {table}")))
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> Outcome<()> {
        // A role may have other defaults: a snapshot that is older than the locks would count rows that are gone.
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {}; {SETTINGS}", server::local_settings());
        self.client.batch_execute(&sql).map_err(|error| {
            // What a standby says to READ WRITE.
            let is_standby = error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED);
            let error = failed(format_args!("beginning a transaction on {}", self.place))(error);
            if is_standby { DestinationError { code: "read_only", hint: Some(STANDBY.to_owned()), ..error } } else { error }
        })
    }

    /// Rolls back what is open; a lost connection has done so already.
    pub(super) fn roll_back(&mut self) {
        let _ = self.client.batch_execute("ROLLBACK");
    }

    /// Does `work` in a transaction: all of it, or nothing. A lock that isn't given up is asked for again and again.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub(super) fn in_transaction<T>(&mut self, mut work: impl FnMut(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let mut tries = 0;
        loop {
            self.begin()?;
            let error = match work(self) {
                Ok(value) => return self.commit().map(|()| value).map_err(failed(format_args!("committing on {}", self.place))),
                Err(error) => error,
            };
            self.roll_back();
            tries += 1;
            if !is_worth_another_try(&error, tries) {
                return Err(error);
            }
        }
    }

    /// Commits. A server that answers ROLLBACK has not committed, which no caller may take for success.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.client.batch_execute("COMMIT")
    }

    /// Connects anew after the connection was lost, in the middle of a restart too.
    pub(super) fn reconnect(&mut self) -> Outcome<()> {
        let mut tries = 0;
        loop {
            match server::Session::open(&self.plan) {
                Ok(opened) => {
                    self.client = opened.client;
                    return Ok(());
                }
                Err(error) if error.is_transient && tries < RECONNECTS_MAX => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the connection is gone, so that nobody knows what became of a commit.
    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }
}
