//! A connection as the destination uses it: statements, transactions that are all or nothing, errors with a way out.
//!
//! What a session must have is set by us, whatever the server's defaults: strict values, UTC, locks that are given up soon.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql::prelude::Queryable as _;
use mysql::{Conn, Error, LocalInfileHandler, Params, Value};

use super::types::{Dialect, quoted};
use crate::connect::mysql as server;
use crate::destination::DestinationError;
pub(super) use crate::destination::failure::{Outcome, refusal};
use crate::plan::mysql::{Infile, MysqlDestinationPlan};

/// Values that don't fit are errors; 0 stays 0 in an AUTO_INCREMENT column; a lock that someone holds is given up soon, so that our
/// waiting never queues all others; key values sort by all of their bytes (3072 at most; the default is 1024).
const SETTINGS: [&str; 3] = [
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO,\
     NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 5, innodb_lock_wait_timeout = 5, sql_safe_updates = 0, sql_auto_is_null = 0, \
     sql_notes = 1, max_error_count = 64, max_sort_length = 16384",
    // Rows that a merge didn't find stay away until its end: gap locks, which READ COMMITTED doesn't take.
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION TRANSACTION READ WRITE",
];

/// Settings that some accounts may not change; both engines have them so by default.
const WISHES: [&str; 1] = ["SET SESSION innodb_strict_mode = ON"];

/// How often a step that meets a lock tries again, and the pause between: about three minutes with the lock's own patience.
const TRIES_MAX: u32 = 30;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_000 });

/// How often a lost server is asked for the fate of a commit: a restart takes some seconds.
const RECONNECTS_MAX: u32 = if cfg!(test) { 2 } else { 30 };

/// A row as texts.
pub(super) type Row = Vec<Option<String>>;

/// What the server may ask for as a local file: our own rows, and only while they are offered.
type Offered = Arc<Mutex<Option<Vec<u8>>>>;

/// How rows go to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// LOAD DATA LOCAL INFILE.
    Infile,
    /// INSERT of many rows.
    Insert,
}

/// An open connection with the database that the tables stand in.
pub(super) struct Session {
    plan: MysqlDestinationPlan,
    conn: Conn,
    place: String,
    offered: Offered,
    is_lost: bool,
    pub dialect: Dialect,
    /// The database of the targets.
    pub schema: String,
    pub way: Way,
    /// The most bytes of a statement.
    pub packet_bytes_max: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.place)
    }
}

/// Turns what the server says into an error of ours; `what` is what was attempted, on what.
pub(super) fn failed(what: impl std::fmt::Display) -> impl FnOnce(Error) -> DestinationError {
    move |error| {
        let known = DestinationError::from(server::failure(&what.to_string(), &error));
        let (code, hint) = match number(&error) {
            Some(1021 | 1030 | 1114) => ("disk_full", "make room on the server's disk; the tables are as they were"),
            Some(1044 | 1142 | 1143 | 1227 | 1370) => {
                ("not_permitted", "the account needs SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER and INDEX on the database")
            }
            Some(number) if is_rule(number) => ("constraint", "the table has a rule of its own that the rows break"),
            _ => return known,
        };
        DestinationError { code, hint: Some(hint.to_owned()), is_transient: false, ..known }
    }
}

/// Whether the server says that a row breaks a key, a check, NOT NULL, a foreign key or what a trigger demands.
pub(super) fn is_rule(number: u16) -> bool {
    matches!(number, 1048 | 1062 | 1169 | 1216 | 1217 | 1263 | 1364 | 1451 | 1452 | 1557 | 1586 | 1644 | 3819 | 4025)
}

/// Returns the server's number of an error.
pub(super) fn number(error: &Error) -> Option<u16> {
    match error {
        Error::MySqlError(error) => Some(error.code),
        _ => None,
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
    /// Connects; the tables stand in `schema`, else in the connection's database.
    pub(super) fn open(name: &str, plan: &MysqlDestinationPlan, schema: Option<&str>) -> Outcome<Self> {
        let offered = Offered::default();
        let opened = connect(plan, &offered)?;
        let dialect = if opened.is_mariadb { Dialect::MariaDb } else { Dialect::Mysql };
        let schema = schema.unwrap_or(&plan.connection.database).to_owned();
        let server::Session { conn, place, .. } = opened;
        let plan = plan.clone();
        let mut session = Self { plan, conn, place, offered, is_lost: false, dialect, schema, way: Way::Insert, packet_bytes_max: 0 };
        session.settle(name)?;
        Ok(session)
    }

    /// Learns what the server has, and refuses one that lacks what loads need.
    fn settle(&mut self, name: &str) -> Outcome<()> {
        let what = format!("destination {name}: looking around on {}", self.place);
        let found = self.query("SELECT @@local_infile, @@max_allowed_packet").map_err(failed(&what))?;
        let text = |place: usize| found.first().and_then(|row| row.get(place)?.clone()).unwrap_or_default();
        let is_allowed = text(0) == "1" && self.plan.infile == Infile::Auto;
        self.way = if is_allowed { Way::Infile } else { Way::Insert };
        self.packet_bytes_max = text(1).parse().unwrap_or(1 << 20);
        let (schema, collation) = (self.schema.clone(), self.dialect.collation());
        let sql = "SELECT (SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?), \
             (SELECT count(*) FROM information_schema.collations WHERE collation_name = ?)";
        let found = self.rows(sql, &[Some(&schema), Some(collation)]).map_err(failed(&what))?;
        let is_there = |place: usize| found.first().and_then(|row| row.get(place)?.clone()).is_some_and(|count| count != "0");
        if !is_there(0) {
            let message = format!("destination {name}: there is no database {schema} on {}", self.place);
            return Err(refusal("no_such_schema", message, format!("make it: CREATE DATABASE {}", quoted(&schema))));
        }
        if !is_there(1) {
            let message = format!("destination {name}: the server on {} has no collation {collation}", self.place);
            return Err(refusal("server_too_old", message, "loads need MySQL 8.0.17, MariaDB 10.2.2 or later"));
        }
        Ok(())
    }

    /// Whether the job's files keep rows from going by LOAD DATA.
    pub(super) fn is_infile_off(&self) -> bool {
        self.plan.infile == Infile::Off
    }

    /// Returns a table of the database as SQL.
    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }

    fn noted<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            // The server ends the connection itself with these (it shuts down, or someone killed it).
            self.is_lost |= number(error).is_none_or(|number| matches!(number, 1053 | 1077 | 1079 | 1927 | 2006 | 2013 | 4031));
        }
        result
    }

    /// Runs a query without parameters, all of its rows.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        let answer = self.conn.query::<mysql::Row, _>(sql);
        self.noted(answer).map(|rows| rows.into_iter().map(texts).collect())
    }

    /// Runs a query; its parameters are texts.
    pub(super) fn rows(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<Vec<Row>, Error> {
        let answer = self.conn.exec::<mysql::Row, _, _>(sql, bound(parameters));
        self.noted(answer).map(|rows| rows.into_iter().map(texts).collect())
    }

    /// Runs a statement with texts as parameters; returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<u64, Error> {
        self.execute_values(sql, bound(parameters))
    }

    /// As [`Session::execute`], with any parameters.
    pub(super) fn execute_values(&mut self, sql: &str, parameters: Params) -> Result<u64, Error> {
        let answer = self.conn.exec_drop(sql, parameters).map(|()| self.conn.affected_rows());
        self.noted(answer)
    }

    /// Runs one statement without parameters that returns no rows; returns how many rows it changed.
    pub(super) fn run(&mut self, sql: &str) -> Result<u64, Error> {
        let answer = self.conn.query_drop(sql).map(|()| self.conn.affected_rows());
        self.noted(answer)
    }

    /// Runs a statement that moves rows, and refuses it where the server says that it bent any of them; returns how many it changed.
    pub(super) fn run_unbent(&mut self, what: &str, sql: &str) -> Outcome<u64> {
        let rows = self.run(sql).map_err(failed(what))?;
        self.refuse_warnings(what)?;
        Ok(rows)
    }

    /// Refuses what the last statement bent or left out. It is to be rolled back, or its table dropped.
    pub(super) fn refuse_warnings(&mut self, what: &str) -> Outcome<()> {
        if self.conn.warnings() == 0 {
            return Ok(());
        }
        let warnings = self.query("SHOW WARNINGS LIMIT 3").map_err(failed(what))?;
        let cell = |row: &Row, place: usize| row.get(place).cloned().flatten().unwrap_or_default();
        let told: Vec<String> = warnings.iter().map(|row| format!("{} ({})", cell(row, 2), cell(row, 1))).collect();
        let is_rule = warnings.first().and_then(|row| cell(row, 1).parse().ok()).is_some_and(is_rule);
        let code = if is_rule { "constraint" } else { "invalid_data" };
        let hint = "the table holds these values otherwise, or has a rule of its own that they break; nothing of this load is visible";
        Err(refusal(code, format!("{what}: {}", crate::text::printable(&told.join("; "))), hint))
    }

    /// Sends bytes as the local file that `sql` asks for; returns how many rows the server took.
    pub(super) fn load(&mut self, sql: &str, bytes: Vec<u8>) -> Result<u64, Error> {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        let answer = self.run(sql);
        // What the server didn't ask for it must not get by another statement.
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer
    }

    /// Returns the first number of a query's first row; 0 for none.
    pub(super) fn number(&mut self, sql: &str) -> Result<u64, Error> {
        let rows = self.query(sql)?;
        Ok(rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0))
    }

    /// Returns how many rows a table has; `table` is SQL.
    pub(super) fn count(&mut self, table: &str) -> Outcome<u64> {
        self.number(&format!("SELECT count(*) FROM {table}")).map_err(failed(format_args!("counting the rows of {table}")))
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> Outcome<()> {
        self.run("START TRANSACTION").map(|_| ()).map_err(failed(format_args!("beginning a transaction on {}", self.place)))
    }

    /// Rolls back what is open; a lost connection has done so already.
    pub(super) fn roll_back(&mut self) {
        if !self.is_lost {
            let _ = self.run("ROLLBACK");
        }
    }

    /// Commits.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.run("COMMIT").map(|_| ())
    }

    /// Does `work` in a transaction: all of it, or nothing. A lock that isn't given up is asked for again and again.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub(super) fn in_transaction<T>(&mut self, mut work: impl FnMut(&mut Self) -> Outcome<T>) -> Outcome<T> {
        self.patiently(|session| {
            session.begin()?;
            let error = match work(session) {
                Ok(value) => match session.commit() {
                    Ok(()) => return Ok(value),
                    Err(error) => failed(format_args!("committing on {}", session.place))(error),
                },
                Err(error) => error,
            };
            session.roll_back();
            Err(error)
        })
    }

    /// Does `work`, again and again while a lock isn't given up.
    pub(super) fn patiently<T>(&mut self, mut work: impl FnMut(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let mut tries = 0;
        loop {
            let error = match work(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tries += 1;
            if self.is_lost || !is_worth_another_try(&error, tries) {
                return Err(error);
            }
        }
    }

    /// Runs a statement that commits by itself; a lock that isn't given up is asked for again and again.
    pub(super) fn define(&mut self, what: &str, sql: &str) -> Outcome<()> {
        self.patiently(|session| session.run(sql).map(|_| ()).map_err(failed(what)))
    }

    /// Connects anew after the connection was lost, in the middle of a restart too.
    pub(super) fn reconnect(&mut self) -> Outcome<()> {
        let mut tries = 0;
        loop {
            match connect(&self.plan, &self.offered) {
                Ok(opened) => {
                    self.conn = opened.conn;
                    self.is_lost = false;
                    return Ok(());
                }
                Err(error) if error.is_transient && tries < RECONNECTS_MAX => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the connection is gone, so that nobody knows what became of a commit.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }
}

fn connect(plan: &MysqlDestinationPlan, offered: &Offered) -> Outcome<server::Session> {
    let offered = Arc::clone(offered);
    let handler = LocalInfileHandler::new(move |_, writer| {
        let bytes = offered.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The server names a file; whatever the name, it gets our rows or nothing.
        let bytes = bytes.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::PermissionDenied, "the server asked for a file"))?;
        writer.write_all(&bytes)
    });
    let mut opened = server::Session::open_with(&plan.connection, Some(handler))?;
    let what = format!("settling the session on {}", opened.place);
    for sql in SETTINGS {
        opened.conn.query_drop(sql).map_err(failed(&what))?;
    }
    for wish in WISHES {
        // Strictness of InnoDB is the default of both engines; MySQL lets few accounts set it.
        let _ = opened.conn.query_drop(wish);
    }
    Ok(opened)
}

fn bound(parameters: &[Option<&str>]) -> Params {
    if parameters.is_empty() {
        return Params::Empty;
    }
    Params::Positional(parameters.iter().map(|value| value.map_or(Value::NULL, |text| Value::Bytes(text.as_bytes().to_vec()))).collect())
}

fn texts(row: mysql::Row) -> Row {
    row.unwrap().into_iter().map(text).collect()
}

fn text(value: Value) -> Option<String> {
    Some(match value {
        Value::NULL => return None,
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        // Our own tables keep instants as texts: nothing here reads others.
        other => other.as_sql(true),
    })
}
