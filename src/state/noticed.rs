//! Since when a job's slots count: the moments at which the gate, an installed entry or a person who enables it first saw the job, its
//! present schedule, or its return to activity.

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::connection::{Store, naive};
use super::error::StateError;
use super::jobs::{self as records, JobRecord, JobStatus, NewJob};
use super::schema::{jobs, slots};

/// What a job's file says about its activity when it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// It may be due.
    Active,
    /// `is_active: false`
    Inactive,
}

/// What noticing looks at.
#[derive(Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub(super) struct Seen {
    file: String,
    fingerprint: String,
    schedule_fingerprint: String,
    schedule_noticed_at: NaiveDateTime,
    active_since: Option<NaiveDateTime>,
}

impl Seen {
    /// Whether there is anything to write down. A time of noticing that lies ahead is of a clock that was wrong then: it would silence
    /// the job until then.
    pub(super) fn is_news(&self, job: &NewJob, attention: Attention, now: NaiveDateTime) -> bool {
        let is_active_known = match attention {
            Attention::Active => self.active_since.is_some_and(|since| since <= now),
            Attention::Inactive => self.active_since.is_none(),
        };
        self.file != job.file
            || self.fingerprint != job.fingerprint
            || self.schedule_fingerprint != job.schedule_fingerprint
            || self.schedule_noticed_at > now
            || !is_active_known
    }
}

impl Store {
    /// Makes a job known and lets its slots count from `slot_now` where it, its present schedule or its return to activity is new; writes
    /// nothing where nothing is. Returns it as the store knows it.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn notice_job(&mut self, job: &NewJob, attention: Attention, slot_now: DateTime<Utc>) -> Result<JobRecord, StateError> {
        let now = naive(slot_now);
        let known = self.read(|connection| match seen(connection, &job.id)? {
            Some(seen) if !seen.is_news(job, attention, now) => records::record(connection, &job.id),
            _ => Ok(None),
        })?;
        if let Some(record) = known {
            return Ok(record);
        }
        self.write(|connection| {
            notice(connection, job, attention, now)?;
            Ok(records::record(connection, &job.id)?.expect("noticed above"))
        })
    }
}

fn seen(connection: &mut StoreConnection, id: &str) -> QueryResult<Option<Seen>> {
    jobs::table.find(id).select(Seen::as_select()).first(connection).optional()
}

/// Writes down what is new about a job.
pub(super) fn notice(connection: &mut StoreConnection, job: &NewJob, attention: Attention, now: NaiveDateTime) -> QueryResult<()> {
    records::register(connection, job, now)?;
    let Some(seen) = seen(connection, &job.id)? else { return Ok(()) };
    let row = jobs::table.find(&job.id);
    let is_edited = seen.schedule_fingerprint != job.schedule_fingerprint;
    if is_edited {
        rename_slots(connection, &job.id, &seen.schedule_fingerprint)?;
        diesel::update(row).set(jobs::schedule_fingerprint.eq(&job.schedule_fingerprint)).execute(connection)?;
    }
    if is_edited || seen.schedule_noticed_at > now {
        diesel::update(row).set(jobs::schedule_noticed_at.eq(now)).execute(connection)?;
    }
    let active_since = match (attention, seen.active_since) {
        (Attention::Inactive, _) => None,
        (Attention::Active, Some(since)) if since <= now => Some(since),
        (Attention::Active, _) => Some(now),
    };
    if active_since != seen.active_since {
        diesel::update(row).set(jobs::active_since.eq(active_since)).execute(connection)?;
    }
    Ok(())
}

/// Gives slots of an earlier schedule another key: 02:30 in Berlin and 02:30 in New York are two slots. Both are still known by the
/// instant at which they were due.
fn rename_slots(connection: &mut StoreConnection, job: &str, old_fingerprint: &str) -> QueryResult<()> {
    let mark: String = old_fingerprint.chars().take(8).collect();
    let of_present = slots::table.filter(slots::job.eq(job)).filter(sql::<Bool>("slot NOT LIKE '%/%'"));
    // A schedule that comes back may have left the same key before.
    let taken = sql::<Bool>("NOT EXISTS (SELECT 1 FROM slots AS other WHERE other.job = slots.job AND other.slot = slots.slot || '/' || ")
        .bind::<Text, _>(mark.clone())
        .sql(")");
    let renamed = slots::slot.eq(slots::slot.concat(format!("/{mark}")));
    diesel::update(of_present.filter(taken)).set(renamed).execute(connection).map(drop)
}

impl JobRecord {
    /// Whether the gate may start the job: its file doesn't forbid it, and its status at an instant allows it.
    pub fn is_gate_open(&self, attention: Attention, now: DateTime<Utc>) -> bool {
        attention == Attention::Active && self.status_at(now) == JobStatus::Active
    }
}
