//! Stores for tests, on both back ends: what one keeps the other keeps.

use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::*;
use crate::connect::servers;
use crate::plan::postgresql::{PostgresConnection, SslMode};
use crate::secret::Secret;

/// Where a test's store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackEnd {
    Sqlite,
    Postgresql,
}

/// Makes a test of each function for each back end.
macro_rules! on_both_back_ends {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(super::BackEnd::Sqlite); })*
        }
        mod on_postgresql {
            $(#[test] fn $name() { super::$name(super::BackEnd::Postgresql); })*
        }
    };
}
pub(super) use on_both_back_ends;

/// A place for a store of its own, gone when this is dropped.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: TempDir,
    pub(super) location: StateLocation,
    database: Option<String>,
}

impl Home {
    pub(super) fn new(back_end: BackEnd) -> Self {
        let folder = TempDir::new().unwrap();
        if back_end == BackEnd::Sqlite {
            let location = StateLocation::Sqlite(folder.path().join("state.db"));
            return Self { folder, location, database: None };
        }
        let server = server();
        let database = format!("state_{}", uuid::Uuid::new_v4().simple());
        servers::psql(server, "postgres", &format!("CREATE DATABASE {database}"));
        let location = StateLocation::Postgresql(Box::new(plan(server, &database)));
        Self { folder, location, database: Some(database) }
    }

    pub(super) fn open(&self) -> Store {
        Store::open(&self.location).unwrap()
    }

    /// Runs SQL beside the store.
    pub(super) fn sql(&self, sql: &str) {
        match (&self.location, &self.database) {
            (_, Some(database)) => drop(servers::psql(server(), database, sql)),
            (StateLocation::Sqlite(path), None) => rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap(),
            (StateLocation::Postgresql(_), None) => unreachable!("a server's store has a database"),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(database) = &self.database {
            servers::psql(server(), "postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
        }
    }
}

/// The server of these tests: on the one that others share, a load that was left amid its rows keeps DROP DATABASE waiting for ever.
pub(super) fn server() -> &'static servers::Server {
    static SERVER: OnceLock<servers::Server> = OnceLock::new();
    SERVER.get_or_init(|| servers::own_postgresql(&[]))
}

/// How the tests' server is reached.
pub(super) fn plan(server: &servers::Server, database: &str) -> PostgresConnection {
    PostgresConnection {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        database: database.to_owned(),
        user: "etl".to_owned(),
        password: Some(Secret::new(servers::PASSWORD.to_owned())),
        sslmode: SslMode::Prefer,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        connect_timeout_seconds: 15,
    }
}

/// A file as a store's place.
pub(super) fn file(path: impl Into<PathBuf>) -> StateLocation {
    StateLocation::Sqlite(path.into())
}
