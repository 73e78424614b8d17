//! The two databases of a store behind one connection, for which every query is written once.

use diesel::sqlite::SqliteConnection;

use super::postgresql::ServerConnection;

/// A connection to either.
// A process has one.
#[allow(clippy::large_enum_variant)]
#[derive(diesel::MultiConnection)]
pub enum StoreConnection {
    /// A file.
    Sqlite(SqliteConnection),
    /// A server.
    Server(ServerConnection),
}
