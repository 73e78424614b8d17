//! A store looked at as it is, for `doctor`: no file is made, no migration applied, no row written.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::sqlite::SqliteConnection;

use super::backends::StoreConnection;
use super::connection::Store;
use super::error::StateError;
use super::location::StateLocation;
use super::server;
use super::{file, migrations};

/// The most lines of what SQLite finds wrong that are kept.
const FINDINGS_MAX: usize = 5;

/// A store that was looked at.
#[derive(Debug)]
pub enum Examined {
    /// There is none yet.
    Absent,
    /// Its tables are those of an older etlsched, which lack so many migrations; the next command that writes brings them up to date.
    Older(Store, usize),
    /// It is as this etlsched has it.
    Current(Store),
}

/// What a server says of a store's connection.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerFacts {
    /// Its version: `17.6`.
    pub version: String,
    /// Whether the connection is encrypted; `None` where it goes through a socket of this host, or the server doesn't say.
    pub is_encrypted: Option<bool>,
    /// By how much its clock is ahead of this host's, to half of the round trip.
    pub clock_ahead: TimeDelta,
    /// How long a question and its answer took.
    pub round_trip: Duration,
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Nullable<Bool>)]
    is_encrypted: Option<bool>,
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

#[derive(QueryableByName)]
struct MayWrite {
    #[diesel(sql_type = Bool)]
    may_write: bool,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Flaw {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

/// Returns the version of the SQLite that is built in.
pub fn sqlite_version() -> String {
    let asked = SqliteConnection::establish(":memory:")
        .ok()
        .and_then(|mut connection| diesel::sql_query("SELECT sqlite_version() AS line").get_result::<Line>(&mut connection).ok());
    asked.map_or_else(|| "unknown".to_owned(), |said| said.line)
}

impl Store {
    /// Looks at a store; waits for a server and for others' transactions `patience` at most.
    ///
    /// # Errors
    /// It can't be reached or read, is no store, was made by a newer etlsched, or stands behind a pooler that parts sessions.
    pub fn examine(location: &StateLocation, patience: Duration) -> Result<Examined, StateError> {
        let (connection, is_standby) = match location {
            StateLocation::Sqlite(path) if !file::exists(path)? => return Ok(Examined::Absent),
            StateLocation::Sqlite(path) => (StoreConnection::Sqlite(file::open_as_it_is(path)?), false),
            StateLocation::Postgresql(plan) => server::open(plan, patience, &mut |_| Ok(()))?,
        };
        let mut store = Self::over(connection, location, is_standby, patience);
        store.set_patience(patience)?;
        Ok(match migrations::lacking(&mut store)? {
            None => Examined::Absent,
            Some(0) => Examined::Current(store),
            Some(lacking) => Examined::Older(store, lacking),
        })
    }

    /// Finds out whether the store takes writes, and writes nothing: the right to write is taken and given back.
    ///
    /// # Errors
    /// It takes none, or another process holds it.
    pub fn check_writable(&mut self) -> Result<(), StateError> {
        let place = self.place();
        let read_only = || StateError::ReadOnly { place: place.clone() };
        if self.is_standby() {
            return Err(read_only());
        }
        match &mut self.connection {
            StoreConnection::Sqlite(connection) => {
                connection.batch_execute("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| StateError::of(error, &place))
            }
            StoreConnection::Server(_) => {
                let ask = "SELECT has_table_privilege('runs', 'INSERT') AND has_table_privilege('runs', 'UPDATE') \
                     AND has_table_privilege('leases', 'DELETE') AS may_write";
                let said: MayWrite = self.read(|connection| diesel::sql_query(ask).get_result(connection))?;
                if said.may_write { Ok(()) } else { Err(read_only()) }
            }
        }
    }

    /// Returns what the server says of itself and of this connection; `None` where the store is a file. `now` reads this host's clock.
    ///
    /// # Errors
    /// It can't be asked.
    pub fn server_facts(&mut self, now: fn() -> DateTime<Utc>) -> Result<Option<ServerFacts>, StateError> {
        if matches!(self.connection, StoreConnection::Sqlite(_)) {
            return Ok(None);
        }
        let ask = "SELECT current_setting('server_version') AS version, \
             CASE WHEN inet_server_addr() IS NULL THEN NULL ELSE (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) END \
             AS is_encrypted, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";
        let mut round_trip = Duration::ZERO;
        let mut between = now();
        let said: Said = self.read(|connection| {
            let (before, began) = (now(), Instant::now());
            let said = diesel::sql_query(ask).get_result(connection)?;
            round_trip = began.elapsed();
            between = before + round_trip / 2;
            Ok(said)
        })?;
        let clock_ahead = DateTime::from_timestamp_micros(said.micros).map_or(TimeDelta::zero(), |there| there - between);
        let version = said.version.split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Some(ServerFacts { version, is_encrypted: said.is_encrypted, clock_ahead, round_trip }))
    }

    /// Returns how the file keeps what isn't yet in it (`wal`); `None` where the store is on a server.
    ///
    /// # Errors
    /// It can't be read.
    pub fn journal_mode(&mut self) -> Result<Option<String>, StateError> {
        let place = self.place();
        let StoreConnection::Sqlite(connection) = &mut self.connection else { return Ok(None) };
        let ask = diesel::sql_query("SELECT journal_mode AS line FROM pragma_journal_mode");
        let said: Line = ask.get_result(connection).map_err(|error| StateError::of(error, &place))?;
        Ok(Some(said.line))
    }

    /// Returns what SQLite finds wrong with the file as a whole (`PRAGMA quick_check`), a few lines at most; none where it is sound, or where
    /// the store is on a server. It reads the whole file.
    ///
    /// # Errors
    /// It can't be read.
    pub fn flaws(&mut self) -> Result<Vec<String>, StateError> {
        let place = self.place();
        let StoreConnection::Sqlite(connection) = &mut self.connection else { return Ok(Vec::new()) };
        // Not as a table-valued function: that takes the number for the name of a table.
        let ask = diesel::sql_query(format!("PRAGMA quick_check({FINDINGS_MAX})"));
        let said: Vec<Flaw> = ask.load(connection).map_err(|error| StateError::of(error, &place))?;
        Ok(said.into_iter().map(|flaw| flaw.quick_check).filter(|flaw| flaw != "ok").collect())
    }
}
