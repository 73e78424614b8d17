//! The audit trail: who changed or started what, when and from where. Rows are only ever added.

use super::backends::StoreConnection;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{Store, naive};
use super::error::StateError;
use super::schema::audit;

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of the system's user.
    pub user: String,
    /// The host.
    pub host: String,
}

impl Store {
    /// Adds a line to the trail about something done outside of the store.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn note(&mut self, by: &Actor, action: &str, job: &str, details: Option<&str>, at: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|connection| write(connection, by, action, Some(job), None, details, at))
    }
}

impl Store {
    /// As [`Store::note`], a line for each job, all or none.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn note_all(
        &mut self,
        by: &Actor,
        action: &str,
        jobs: &[&str],
        details: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<(), StateError> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.write(|connection| jobs.iter().try_for_each(|job| write(connection, by, action, Some(job), None, details, at)))
    }
}

/// Adds a line to the trail, in the transaction of what it tells of.
pub(super) fn write(
    connection: &mut StoreConnection,
    by: &Actor,
    action: &str,
    job: Option<&str>,
    run_id: Option<&str>,
    details: Option<&str>,
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let row = (
        audit::id.eq(Uuid::now_v7().to_string()),
        audit::at.eq(naive(at)),
        audit::username.eq(&by.user),
        audit::host.eq(&by.host),
        audit::action.eq(action),
        audit::job.eq(job),
        audit::run_id.eq(run_id),
        audit::details.eq(details),
    );
    diesel::insert_into(audit::table).values(row).execute(connection).map(drop)
}

/// Adds that a job's definition is another one than when it was last looked at. Who edited it isn't known: `by` noticed. Slots may go by
/// a clock that was set, so the time is the row's own.
pub(super) fn write_edit(connection: &mut StoreConnection, by: &Actor, job: &str, old: &str, new: &str) -> QueryResult<()> {
    let short = |fingerprint: &str| fingerprint.chars().take(8).collect::<String>();
    let details = format!("noticed: definition {} -> {}", short(old), short(new));
    write(connection, by, "edit", Some(job), None, Some(&details), time_of(Uuid::now_v7()))
}

/// Returns the time that an id of version 7 was made at.
fn time_of(id: Uuid) -> DateTime<Utc> {
    let (seconds, nanoseconds) = id.get_timestamp().map(|stamp| stamp.to_unix()).unwrap_or_default();
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanoseconds)).unwrap_or_default()
}
