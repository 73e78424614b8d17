//! Jobs as the store knows them: when first seen, status, counters, last run. Their definitions are in files.

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::audit::{self, Actor};
use super::connection::{Store, naive};
use super::error::StateError;
use super::failing::{self, FailingSources};
use super::noticed::{self, Attention};
use super::schema::jobs;
use super::telling;
use crate::run::RunStatus;
use crate::text::percent;

/// Whether a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It runs when it is due.
    Active,
    /// It was disabled.
    Inactive,
    /// Too many of its runs failed; people were told.
    Error,
    /// It was paused, maybe until some time.
    Paused,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::Error, Self::Paused];

    /// Returns the word that the store, tables and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Error => "error",
            Self::Paused => "paused",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A job as its file says it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The stem of its file.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Of what it says.
    pub fingerprint: String,
    /// Of its schedule fields.
    pub schedule_fingerprint: String,
    /// The user who registers it, and owns it if nobody does.
    pub owner: String,
    /// The host where that user does so.
    pub host: String,
}

/// A job as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The stem of its file.
    pub id: String,
    /// The first user who registered it.
    pub owner: String,
    /// When it was registered.
    pub first_seen_at: DateTime<Utc>,
    /// As it was written; [`JobRecord::status_at`] knows that a pause may be over.
    pub status: JobStatus,
    /// When the status was last written.
    pub status_changed_at: DateTime<Utc>,
    /// The end of a pause that has one.
    pub paused_until: Option<DateTime<Utc>>,
    /// Runs in a row that count towards `failure_threshold`.
    pub consecutive_failures: u64,
    /// Runs that succeeded, ever.
    pub success_count: u64,
    /// Runs that failed or ran out of time, ever.
    pub failure_count: u64,
    /// The run begun last.
    pub last_run: Option<LastRun>,
    /// When every source was last refreshed.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The sources that the last run of each did not refresh.
    pub sources_failing: FailingSources,
}

/// The run of a job that was begun last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// Its id.
    pub id: String,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How it ended, or that it hasn't.
    pub status: RunStatus,
}

impl JobRecord {
    /// Returns the status at an instant: a pause ends by itself.
    pub fn status_at(&self, now: DateTime<Utc>) -> JobStatus {
        match self.paused_until {
            Some(until) if self.status == JobStatus::Paused && until <= now => JobStatus::Active,
            _ => self.status,
        }
    }

    /// Returns how many of a hundred runs succeeded, of those that succeeded, failed or ran out of time.
    pub fn success_rate(&self) -> Option<f64> {
        percent(self.success_count, self.success_count + self.failure_count)
    }
}

/// What becomes of a job's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewStatus {
    /// `enable` and `resume`.
    Active,
    /// `disable`.
    Inactive,
    /// `pause`, maybe until some time.
    Paused(Option<DateTime<Utc>>),
}

impl NewStatus {
    fn parts(self) -> (JobStatus, Option<DateTime<Utc>>) {
        match self {
            Self::Active => (JobStatus::Active, None),
            Self::Inactive => (JobStatus::Inactive, None),
            Self::Paused(until) => (JobStatus::Paused, until),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub(super) struct JobRow {
    id: String,
    owner: String,
    first_seen_at: NaiveDateTime,
    status: String,
    status_changed_at: NaiveDateTime,
    paused_until: Option<NaiveDateTime>,
    consecutive_failures: i64,
    success_count: i64,
    failure_count: i64,
    last_run_id: Option<String>,
    last_run_at: Option<NaiveDateTime>,
    last_run_status: Option<String>,
    last_success_at: Option<NaiveDateTime>,
    sources_failing: String,
}

impl From<JobRow> for JobRecord {
    fn from(row: JobRow) -> Self {
        let last_status = row.last_run_status.as_deref().and_then(RunStatus::parse);
        let last_run = match (row.last_run_id, row.last_run_at, last_status) {
            (Some(id), Some(at), Some(status)) => Some(LastRun { id, at: at.and_utc(), status }),
            _ => None,
        };
        Self {
            id: row.id,
            owner: row.owner,
            first_seen_at: row.first_seen_at.and_utc(),
            status: JobStatus::parse(&row.status).expect("held by a CHECK of the table"),
            status_changed_at: row.status_changed_at.and_utc(),
            paused_until: row.paused_until.map(|at| at.and_utc()),
            consecutive_failures: row.consecutive_failures.unsigned_abs(),
            success_count: row.success_count.unsigned_abs(),
            failure_count: row.failure_count.unsigned_abs(),
            last_run,
            last_success_at: row.last_success_at.map(|at| at.and_utc()),
            sources_failing: failing::of_text(&row.sources_failing),
        }
    }
}

impl Store {
    /// Makes a job known, or notes what its file says now; the first user to do so owns it. Returns it as the store knows it.
    /// Its slots don't count yet: [`Store::notice_job`].
    ///
    /// # Errors
    /// The store can't be written.
    pub fn register_job(&mut self, job: &NewJob, now: DateTime<Utc>) -> Result<JobRecord, StateError> {
        self.write(|connection| {
            register(connection, job, naive(now))?;
            Ok(record(connection, &job.id)?.expect("registered above"))
        })
    }

    /// Returns a job, if it was ever registered.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StateError> {
        self.read(|connection| record(connection, id))
    }

    /// Returns every job that was ever registered, by id.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn jobs(&mut self) -> Result<Vec<JobRecord>, StateError> {
        self.read(|connection| {
            let rows = jobs::table.order(jobs::id).select(JobRow::as_select()).load(connection)?;
            Ok(rows.into_iter().map(JobRecord::from).collect())
        })
    }

    /// Registers jobs and sets their status, all or none, with a line each in the audit trail where something changes.
    /// A new start: the count of failures in a row begins again, and slots count from `slot_now`. Returns the jobs as they were before.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn set_status(
        &mut self,
        new_jobs: &[NewJob],
        status: NewStatus,
        by: &Actor,
        slot_now: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<JobRecord>, StateError> {
        self.write(|connection| {
            let mut before = Vec::with_capacity(new_jobs.len());
            for job in new_jobs {
                let is_active = status == NewStatus::Active;
                if is_active {
                    noticed::notice(connection, job, Attention::Active, naive(slot_now))?;
                } else {
                    register(connection, job, naive(now))?;
                }
                let old = record(connection, &job.id)?.expect("registered above");
                change_status(connection, &old, status, by, slot_now, now)?;
                before.push(old);
            }
            Ok(before)
        })
    }
}

impl Store {
    /// Forgets how a job stood that is deleted, with a line in the audit trail: one that is made anew under its id is active, has nothing to
    /// recover from, and its slots count from when it is noticed. Its log and its owner stay.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn forget_job(&mut self, id: &str, by: &Actor, details: &str, now: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|connection| {
            let changes = (
                jobs::status.eq(JobStatus::Active.as_str()),
                jobs::paused_until.eq(None::<NaiveDateTime>),
                jobs::status_changed_at.eq(naive(now)),
                jobs::consecutive_failures.eq(0),
                jobs::sources_failing.eq(failing::NONE),
                jobs::active_since.eq(None::<NaiveDateTime>),
            );
            diesel::update(jobs::table.find(id)).set(changes).execute(connection)?;
            telling::forget(connection, id)?;
            audit::write(connection, by, "delete", Some(id), None, Some(details), now)
        })
    }
}

pub(super) fn record(connection: &mut StoreConnection, id: &str) -> QueryResult<Option<JobRecord>> {
    let row = jobs::table.find(id).select(JobRow::as_select()).first(connection).optional()?;
    Ok(row.map(JobRecord::from))
}

/// Without `active_since` nobody has asked for its slots yet: a run by hand doesn't.
pub(super) fn register(connection: &mut StoreConnection, job: &NewJob, now: NaiveDateTime) -> QueryResult<()> {
    let NewJob { id, file, fingerprint, schedule_fingerprint, owner, host } = job;
    let known: Option<(String, String)> = jobs::table.find(id).select((jobs::file, jobs::fingerprint)).first(connection).optional()?;
    let Some((old_file, old_fingerprint)) = known else {
        let row = (
            jobs::id.eq(id),
            jobs::file.eq(file),
            jobs::fingerprint.eq(fingerprint),
            jobs::schedule_fingerprint.eq(schedule_fingerprint),
            jobs::owner.eq(owner),
            jobs::first_seen_at.eq(now),
            jobs::schedule_noticed_at.eq(now),
            jobs::status.eq(JobStatus::Active.as_str()),
            jobs::status_changed_at.eq(now),
        );
        return diesel::insert_into(jobs::table).values(row).execute(connection).map(drop);
    };
    if old_file != *file || old_fingerprint != *fingerprint {
        let changes = (jobs::file.eq(file), jobs::fingerprint.eq(fingerprint));
        diesel::update(jobs::table.find(id)).set(changes).execute(connection)?;
    }
    if old_fingerprint != *fingerprint {
        let by = Actor { user: owner.clone(), host: host.clone() };
        audit::write_edit(connection, &by, id, &old_fingerprint, fingerprint)?;
    }
    Ok(())
}

fn change_status(
    connection: &mut StoreConnection,
    old: &JobRecord,
    status: NewStatus,
    by: &Actor,
    slot_now: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (status, paused_until) = status.parts();
    if old.status == status && old.paused_until == paused_until {
        return Ok(());
    }
    // The counts begin anew; what was not refreshed is not refreshed by that.
    let failing = old.sources_failing.keys().map(|name| (name.clone(), 0)).collect();
    let changes = (
        jobs::status.eq(status.as_str()),
        jobs::paused_until.eq(paused_until.map(naive)),
        jobs::status_changed_at.eq(naive(now)),
        jobs::consecutive_failures.eq(0),
        jobs::sources_failing.eq(failing::text(&failing)),
    );
    diesel::update(jobs::table.find(&old.id)).set(changes).execute(connection)?;
    if status == JobStatus::Active {
        // A pause that was over let its job be due from then on.
        let since = old.paused_until.filter(|until| old.status == JobStatus::Paused && *until <= slot_now).unwrap_or(slot_now);
        diesel::update(jobs::table.find(&old.id)).set(jobs::active_since.eq(naive(since))).execute(connection)?;
    }
    let until = paused_until.map(|until| format!(" until {}", until.to_rfc3339())).unwrap_or_default();
    let details = format!("{} -> {}{until}", old.status.as_str(), status.as_str());
    audit::write(connection, by, status_action(old.status, status), Some(&old.id), None, Some(&details), now)
}

fn status_action(old: JobStatus, new: JobStatus) -> &'static str {
    match (old, new) {
        (JobStatus::Paused, JobStatus::Active) => "resume",
        (_, JobStatus::Active) => "enable",
        (_, JobStatus::Inactive) => "disable",
        (_, JobStatus::Paused) => "pause",
        (_, JobStatus::Error) => "error",
    }
}
