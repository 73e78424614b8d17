//! An open store: its transactions, and how they are tried again on a server. Knows no table but the workspace's.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::connection::{AnsiTransactionManager, Connection, TransactionManager};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::backends::StoreConnection;
use super::error::StateError;
use super::keepsake::Keepsake;
use super::location::{Place, StateLocation};
use super::schema::workspace;
use super::server::{self, Purpose, Turn};
use super::telling::TellerSlot;
use super::{file, migrations};

/// How long a server is tried that went away, or that others' transactions keep from taking ours.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long is waited between two tries, at most.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// How often a row that another host wrote meanwhile is looked at again: a rule of the tables that is broken stays broken.
const CLASHES_MAX: u32 = 5;

/// The state store of a workspace: jobs, runs, leases, the audit trail.
pub struct Store {
    pub(super) connection: StoreConnection,
    location: StateLocation,
    /// The server is a standby: it can only be read.
    is_standby: bool,
    patience: Duration,
    /// The server was waited for in vain: whoever asks next waits less, since a run has its own limits to keep.
    is_away: bool,
    /// Where the workspace's id is kept beside the store.
    pub(super) keepsake: Option<Keepsake>,
    /// Says what follows from the ends of runs.
    pub(super) teller: TellerSlot,
}

/// How long a server is waited for that was waited for in vain before.
const PATIENCE_SPENT: Duration = Duration::from_secs(1);

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Store({})", self.place())
    }
}

/// What is to be done in a transaction.
pub(super) type Work<'a, T> = &'a mut dyn FnMut(&mut StoreConnection) -> QueryResult<T>;

impl Store {
    /// Opens the store, made when absent (a file 0600, its `.etlsched` folder 0700), and brings its tables up to date.
    ///
    /// # Errors
    /// It can't be reached or written; it is no store, damaged, or made by a newer etlsched; a pooler that parts sessions is between.
    pub fn open(location: &StateLocation) -> Result<Self, StateError> {
        Self::open_asking(location, None, &mut |_| Ok(()))
    }

    /// As [`Store::open`]; the workspace's id is kept in its private folder too, and a store that is made takes the one kept there.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_kept(location: &StateLocation, private_folder: &Path) -> Result<Self, StateError> {
        Self::open_asking(location, Some(private_folder), &mut |_| Ok(()))
    }

    /// Opens the store; `question` is what will be asked first, so that a server answers it together with what opening asks.
    pub(super) fn open_asking(location: &StateLocation, private_folder: Option<&Path>, question: Work<'_, ()>) -> Result<Self, StateError> {
        if let StateLocation::Sqlite(path) = location {
            file::make(path)?;
        }
        let mut store = Self::connect(location, question)?;
        store.keepsake = private_folder.map(Keepsake::of);
        migrations::apply(&mut store)?;
        Ok(store)
    }

    /// Opens the store if there is one: commands that only read never make it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(location: &StateLocation) -> Result<Option<Self>, StateError> {
        if let StateLocation::Sqlite(path) = location {
            return if file::exists(path)? { Self::open(location).map(Some) } else { Ok(None) };
        }
        let mut store = Self::connect(location, &mut |_| Ok(()))?;
        if !migrations::has_any(&mut store)? {
            return Ok(None);
        }
        migrations::apply(&mut store)?;
        Ok(Some(store))
    }

    fn connect(location: &StateLocation, question: Work<'_, ()>) -> Result<Self, StateError> {
        let (connection, is_standby) = match location {
            StateLocation::Sqlite(path) => (StoreConnection::Sqlite(file::open(path)?), false),
            StateLocation::Postgresql(plan) => {
                let mut questions = |connection: &mut StoreConnection| {
                    let _ = migrations::versions(connection);
                    question(connection)
                };
                server::open(plan, PATIENCE, &mut questions)?
            }
        };
        Ok(Self::over(connection, location, is_standby, PATIENCE))
    }

    /// Makes a store of a connection that is open.
    pub(super) fn over(connection: StoreConnection, location: &StateLocation, is_standby: bool, patience: Duration) -> Self {
        Self { connection, location: location.clone(), is_standby, patience, is_away: false, keepsake: None, teller: TellerSlot::default() }
    }

    /// Whether the server takes no writes.
    pub(super) fn is_standby(&self) -> bool {
        self.is_standby
    }

    /// Returns the workspace's UUID and leaves no trace: no file beside the store, no migration. `None` where there is no store yet, or
    /// none that can be read: then it is the one that is kept in the workspace's private folder.
    pub fn peek_workspace_id(location: &StateLocation, private_folder: &Path) -> Option<String> {
        Self::peek_own_id(location).or_else(|| Keepsake::of(private_folder).read())
    }

    fn peek_own_id(location: &StateLocation) -> Option<String> {
        let mut connection = match location {
            StateLocation::Sqlite(path) => file::peek(path).map(StoreConnection::Sqlite),
            StateLocation::Postgresql(_) => None,
        };
        match &mut connection {
            Some(connection) => workspace::table.select(workspace::id).first(connection).ok(),
            None => Self::open_existing(location).ok().flatten()?.workspace_id().ok(),
        }
    }

    /// Returns the UUID that was made with the store; targets remember by it which workspace owns them.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn workspace_id(&mut self) -> Result<String, StateError> {
        let id: String = self.read(|connection| workspace::table.select(workspace::id).first(connection))?;
        // Asked before each run, so this is where a file that is absent or another store's is written.
        if let Some(keepsake) = &self.keepsake {
            keepsake.write(&id);
        }
        Ok(id)
    }

    /// Returns how messages name the store: without a login.
    pub fn place(&self) -> Place {
        self.location.place()
    }

    /// Sets how long another process's transaction, or a server that is away, is waited for from now on.
    ///
    /// # Errors
    /// The store is not usable at all.
    pub fn set_patience(&mut self, patience: Duration) -> Result<(), StateError> {
        self.patience = patience.min(PATIENCE);
        match &mut self.connection {
            StoreConnection::Sqlite(connection) => {
                file::set_patience(connection, patience).map_err(|error| StateError::of(error, &self.location.place()))
            }
            StoreConnection::Server(_) => Ok(()),
        }
    }

    /// Runs statements that belong together, so that no other process comes between them. On a server they may be run again, from the
    /// beginning, where another host's transaction or a lost connection kept them from being committed: what was committed without an
    /// answer is then found, so `work` must know its own rows.
    pub(super) fn write<T>(&mut self, mut work: impl FnMut(&mut StoreConnection) -> QueryResult<T>) -> Result<T, StateError> {
        self.write_for(Purpose::Write, &mut work)
    }

    /// As [`Store::write`], for what many do at one instant.
    pub(super) fn write_in_turn<T>(&mut self, mut work: impl FnMut(&mut StoreConnection) -> QueryResult<T>) -> Result<T, StateError> {
        self.write_for(Purpose::WriteInTurn, &mut work)
    }

    fn write_for<T>(&mut self, purpose: Purpose, work: Work<'_, T>) -> Result<T, StateError> {
        if self.is_standby {
            return Err(StateError::ReadOnly { place: self.place() });
        }
        self.transact(purpose, work)
    }

    /// Runs queries over one state of the store.
    pub(super) fn read<T>(&mut self, mut work: impl FnMut(&mut StoreConnection) -> QueryResult<T>) -> Result<T, StateError> {
        self.transact(Purpose::Read, &mut work)
    }

    /// Runs the transaction until it is through, fails for good, or the patience ends.
    pub(super) fn transact<T>(&mut self, purpose: Purpose, work: Work<'_, T>) -> Result<T, StateError> {
        let began = Instant::now();
        let patience = if self.is_away { self.patience.min(PATIENCE_SPENT) } else { self.patience };
        let (mut tries, mut clashes, mut turn) = (0, 0, Turn::first(purpose, patience));
        loop {
            tries += 1;
            let error = match self.try_once(purpose, turn, work, patience.saturating_sub(began.elapsed())) {
                Ok(value) => {
                    self.is_away = false;
                    return Ok(value);
                }
                Err(error) => error,
            };
            let is_worthwhile = match &error {
                Trouble::Unreachable(StateError::Server { error, .. }) => error.is_transient,
                Trouble::Unreachable(_) => false,
                Trouble::Database(error) => {
                    clashes += u32::from(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)));
                    let may_pass = may_pass(error, clashes) || turn.was_in_vain(error);
                    may_pass && matches!(self.connection, StoreConnection::Server(_))
                }
            };
            if !is_worthwhile || began.elapsed() >= patience {
                self.is_away = is_worthwhile;
                return Err(match error {
                    Trouble::Unreachable(error) => error,
                    Trouble::Database(error) => StateError::of(error, &self.place()),
                });
            }
            turn = match &error {
                Trouble::Database(error) if purpose != Purpose::Read => Turn::after(error, patience.saturating_sub(began.elapsed())),
                Trouble::Database(_) | Trouble::Unreachable(_) => Turn::Free,
            };
            if turn == Turn::Free {
                std::thread::sleep(pause(tries));
            }
        }
    }

    fn try_once<T>(&mut self, purpose: Purpose, turn: Turn, work: Work<'_, T>, patience: Duration) -> Result<T, Trouble> {
        let patience = patience.max(Duration::from_millis(500));
        if let (StoreConnection::Server(server), StateLocation::Postgresql(plan)) = (&mut self.connection, &self.location)
            && (server.client().is_over() || AnsiTransactionManager::is_broken_transaction_manager(server))
        {
            let (connection, is_standby) = server::open(plan, patience, &mut |_| Ok(())).map_err(Trouble::Unreachable)?;
            self.connection = connection;
            self.is_standby = is_standby;
        }
        match &mut self.connection {
            StoreConnection::Sqlite(connection) if purpose == Purpose::Read => AnsiTransactionManager::begin_transaction(connection)?,
            StoreConnection::Sqlite(connection) => AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")?,
            StoreConnection::Server(server) => {
                server.client().set_patience(patience);
                server::begin(server, purpose, turn)?;
            }
        }
        let result = work(&mut self.connection);
        match result {
            Ok(value) => {
                <StoreConnection as Connection>::TransactionManager::commit_transaction(&mut self.connection)?;
                Ok(value)
            }
            Err(error) => {
                // Where this fails too, the connection is given up at its next use.
                let _ = <StoreConnection as Connection>::TransactionManager::rollback_transaction(&mut self.connection);
                Err(Trouble::Database(error))
            }
        }
    }
}

/// Why a try failed.
enum Trouble {
    /// The server is not there any more.
    Unreachable(StateError),
    Database(DieselError),
}

impl From<DieselError> for Trouble {
    fn from(error: DieselError) -> Self {
        Self::Database(error)
    }
}

/// Whether the same may go well in a moment.
fn may_pass(error: &DieselError, clashes: u32) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::ClosedConnection, _) => true,
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => clashes < CLASHES_MAX,
        DieselError::RollbackErrorOnCommit { commit_error, .. } => may_pass(commit_error, clashes),
        DieselError::BrokenTransactionManager => true,
        _ => false,
    }
}

/// Returns how long to wait before the next try: longer each time, by chance, so that hosts part.
fn pause(tries: u32) -> Duration {
    let longest = Duration::from_millis(10).saturating_mul(1 << tries.min(6)).min(PAUSE_MAX);
    longest.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0)
}

/// Returns the time as the stores hold it: UTC without a zone, cut to microseconds.
pub(super) fn naive(time: DateTime<Utc>) -> NaiveDateTime {
    time.naive_utc()
}
