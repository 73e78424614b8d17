//! Brings a store's tables up to date, and refuses one that a newer etlsched has changed.

use chrono::DateTime;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use uuid::Uuid;

use super::backends::StoreConnection;
use super::connection::{Store, naive};
use super::error::StateError;
use super::keepsake::Keepsake;
use super::schema::workspace;
use super::server::{self, Purpose};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Those that only make queries faster: where one can't be applied now, since a dump holds the table or the role doesn't own it, work goes on
/// and a later command tries it again.
const INDEXES_ONLY: [&str; 1] = ["20261129000003"];

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Whether the store has tables.
///
/// # Errors
/// It can't be read.
pub(super) fn has_any(store: &mut Store) -> Result<bool, StateError> {
    Ok(!applied(store)?.is_empty())
}

/// Returns how many migrations the store lacks; `None` where it has none at all.
///
/// # Errors
/// It can't be read, or was made by a newer etlsched.
pub(super) fn lacking(store: &mut Store) -> Result<Option<usize>, StateError> {
    let (known, found) = (known(), applied(store)?);
    refuse_newer(store, &known, &found)?;
    Ok((!found.is_empty()).then(|| known.iter().filter(|version| !found.contains(version)).count()))
}

/// Applies what the store doesn't have yet.
///
/// # Errors
/// It can't be written, or was made by a newer etlsched.
pub(super) fn apply(store: &mut Store) -> Result<(), StateError> {
    let known = known();
    let found = applied(store)?;
    refuse_newer(store, &known, &found)?;
    let lacking: Vec<&String> = known.iter().filter(|version| !found.contains(version)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let may_wait =
        matches!(store.connection, StoreConnection::Server(_)) && lacking.iter().all(|version| INDEXES_ONLY.contains(&version.as_str()));
    let mut failure = None;
    let kept = store.keepsake.as_ref().and_then(Keepsake::read);
    let result = store.transact(Purpose::Migrate, &mut |connection| {
        if let Err(error) = connection.run_pending_migrations(MIGRATIONS) {
            failure = Some(error.to_string());
            return Err(DieselError::RollbackTransaction);
        }
        if let StoreConnection::Server(server) = connection {
            server.batch_execute(server::ORDER_BY_BYTES)?;
        }
        name_workspace(connection, kept.as_deref())
    });
    match (result, failure) {
        (Ok(()), _) => {
            let found = applied(store)?;
            refuse_newer(store, &known, &found)?;
            if store.keepsake.is_some() {
                store.workspace_id()?;
            }
            Ok(())
        }
        (Err(_), Some(_)) if may_wait => Ok(()),
        (Err(_), Some(reason)) => Err(StateError::of_message(reason, store.place())),
        (Err(error), None) => Err(error),
    }
}

/// Returns the versions of the migrations that the store has; none where it is new. In no transaction: it is the first question of every
/// command, and each round trip counts.
fn applied(store: &mut Store) -> Result<Vec<String>, StateError> {
    match versions(&mut store.connection) {
        Ok(versions) => Ok(versions),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(StateError::of(error, &store.place())),
    }
}

/// Asks for the versions of the migrations that a store has.
pub(super) fn versions(connection: &mut StoreConnection) -> QueryResult<Vec<String>> {
    let ask = diesel::sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version");
    Ok(ask.load::<Applied>(connection)?.into_iter().map(|row| row.version).collect())
}

/// Whether an error says that the table isn't there.
fn is_absent(error: &DieselError) -> bool {
    let DieselError::DatabaseError(_, said) = error else { return false };
    said.details() == Some(server::UNDEFINED_TABLE) || said.message().contains("no such table")
}

fn refuse_newer(store: &Store, known: &[String], applied: &[String]) -> Result<(), StateError> {
    match applied.iter().find(|version| !known.contains(version)) {
        Some(version) => Err(StateError::Newer { place: store.place(), migration: version.clone() }),
        None => Ok(()),
    }
}

fn known() -> Vec<String> {
    let migrations: Vec<Box<dyn Migration<Sqlite>>> = MIGRATIONS.migrations().expect("embedded when etlsched was built");
    migrations.iter().map(|migration| MigrationVersion::as_owned(&migration.name().version()).to_string()).collect()
}

/// Gives a new store its UUID: the one that was kept when an earlier store was lost, else one of its own. The time of a store's making is for people only, so the id's own clock serves.
fn name_workspace(connection: &mut StoreConnection, kept: Option<&str>) -> QueryResult<()> {
    let is_named: i64 = workspace::table.count().get_result(connection)?;
    if is_named == 0 {
        let id = Uuid::now_v7();
        let made_at = id.get_timestamp().and_then(|stamp| {
            let (seconds, nanoseconds) = stamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
        });
        let made_at = naive(made_at.unwrap_or_default());
        let row = (workspace::id.eq(kept.map_or_else(|| id.to_string(), str::to_owned)), workspace::created_at.eq(made_at));
        diesel::insert_into(workspace::table).values(row).execute(connection)?;
    }
    Ok(())
}
