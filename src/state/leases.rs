//! The lease: the right to run a job now. One row a job, held by one process, lost when it isn't renewed.

use std::fmt;
use std::time::Duration;

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::audit::{self, Actor};
use super::connection::{Store, naive};
use super::error::StateError;
use super::schema::leases;
use super::server;
use crate::clock::BootTime;
use crate::process::Liveness;

/// How often a run renews its lease.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(10);

/// How old an unrenewed lease is when it is lost: five renewals may fail.
pub const LEASE_LOST_AFTER: Duration = Duration::from_secs(60);

/// One reading of both clocks: the wall's for the log, the boot's for the age of leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// UTC, cut to microseconds.
    pub at: DateTime<Utc>,
    /// Never goes back.
    pub boot: BootTime,
}

/// Says whether the process `pid` that began at `start` on `host` still runs; [`crate::process::liveness`] outside tests.
pub type Probe<'a> = &'a dyn Fn(&str, u32, &str) -> Liveness;

/// The clocks by which a lease is judged: those of this host, and the server's where the store is on one.
pub(super) struct Clocks<'a> {
    here: &'a Moment,
    /// Since 1970.
    server: Option<Duration>,
}

impl<'a> Clocks<'a> {
    pub(super) fn read(connection: &mut StoreConnection, here: &'a Moment) -> QueryResult<Self> {
        Ok(Self { here, server: server::clock(connection)? })
    }
}

/// A lease as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: String,
    /// The run that holds it.
    pub run_id: String,
    /// The host of its process.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When that process began, in the system's words.
    pub process_start: String,
    /// Of the boot in which its process runs.
    pub boot_id: String,
    /// By that boot's clock; by the server's where the store is on one.
    pub renewed_boot: Duration,
    /// By the wall clock of its host.
    pub renewed_at: DateTime<Utc>,
    /// What its run does, as JSON.
    pub progress: String,
    /// Who asked it to stop, and when.
    pub cancel_requested: Option<(String, DateTime<Utc>)>,
}

impl Lease {
    /// Whether the run that holds it is dead: its process is gone, its host was started anew, or it wasn't renewed for 60 s.
    pub(super) fn is_dead(&self, now: &Clocks<'_>, probe: Probe<'_>) -> bool {
        let liveness = probe(&self.host, self.pid, &self.process_start);
        let is_same_boot = self.is_of(now.here);
        // On a server's store another machine may have this one's name: only of this boot can it be said that its process is gone.
        let is_gone = liveness == Liveness::Gone && (is_same_boot || now.server.is_none());
        let is_rebooted = liveness == Liveness::Alive && !is_same_boot && now.server.is_none();
        is_gone || is_rebooted || self.age(now) > LEASE_LOST_AFTER
    }

    /// Returns how long ago it was renewed.
    fn age(&self, now: &Clocks<'_>) -> Duration {
        match now.server {
            Some(server) => server.saturating_sub(self.renewed_boot),
            None if self.is_of(now.here) => now.here.boot.elapsed.saturating_sub(self.renewed_boot),
            // Another machine on the same file: only the wall clock is common.
            None => (now.here.at - self.renewed_at).to_std().unwrap_or_default(),
        }
    }

    /// Whether it was renewed in the boot that goes on here.
    fn is_of(&self, here: &Moment) -> bool {
        self.boot_id == here.boot.boot_id
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_id, pid, host, renewed_at, .. } = self;
        write!(formatter, "run {run_id} (process {pid} on {host}, last renewed {})", renewed_at.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// What a renewal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The run holds the lease for as long again.
    Held {
        /// Who asked the run to stop.
        cancel_requested_by: Option<String>,
    },
    /// The lease was lost before this renewal came, though nobody has taken it yet: it stays lost. The run publishes nothing more and ends.
    Lapsed {
        /// How long ago it was renewed.
        age: Duration,
    },
    /// Another run has taken it. The run publishes nothing more and ends.
    Taken,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = leases)]
pub(super) struct LeaseRow {
    job: String,
    run_id: String,
    host: String,
    pid: i64,
    process_start: String,
    boot_id: String,
    renewed_boot_micros: i64,
    renewed_at: NaiveDateTime,
    progress: String,
    cancel_requested_at: Option<NaiveDateTime>,
    cancel_requested_by: Option<String>,
}

impl From<LeaseRow> for Lease {
    fn from(row: LeaseRow) -> Self {
        let LeaseRow { job, run_id, host, pid, process_start, boot_id, renewed_boot_micros, renewed_at, progress, .. } = row;
        Self {
            job,
            run_id,
            host,
            pid: u32::try_from(pid).unwrap_or(0),
            process_start,
            boot_id,
            renewed_boot: Duration::from_micros(renewed_boot_micros.unsigned_abs()),
            renewed_at: renewed_at.and_utc(),
            progress,
            cancel_requested: row.cancel_requested_by.zip(row.cancel_requested_at.map(|at| at.and_utc())),
        }
    }
}

/// Who takes a lease.
pub(super) struct Holder<'a> {
    pub(super) job: &'a str,
    pub(super) run_id: &'a str,
    pub(super) host: &'a str,
    pub(super) pid: u32,
    pub(super) process_start: &'a str,
}

/// Writes the lease of a new run, in place of a dead one.
pub(super) fn take(connection: &mut StoreConnection, holder: &Holder<'_>, now: &Moment) -> QueryResult<()> {
    let renewed_boot = server::clock(connection)?.unwrap_or(now.boot.elapsed);
    let row = LeaseRow {
        job: holder.job.to_owned(),
        run_id: holder.run_id.to_owned(),
        host: holder.host.to_owned(),
        pid: i64::from(holder.pid),
        process_start: holder.process_start.to_owned(),
        boot_id: now.boot.boot_id.clone(),
        renewed_boot_micros: micros(renewed_boot),
        renewed_at: naive(now.at),
        progress: "{}".to_owned(),
        cancel_requested_at: None,
        cancel_requested_by: None,
    };
    diesel::delete(leases::table.find(holder.job)).execute(connection)?;
    diesel::insert_into(leases::table).values(row).execute(connection).map(drop)
}

/// Returns the lease of a job.
pub(super) fn of_job(connection: &mut StoreConnection, job: &str) -> QueryResult<Option<Lease>> {
    let row = leases::table.find(job).select(LeaseRow::as_select()).first(connection).optional()?;
    Ok(row.map(Lease::from))
}

/// Returns every lease, by job.
pub(super) fn all(connection: &mut StoreConnection) -> QueryResult<Vec<Lease>> {
    let rows = leases::table.order(leases::job).select(LeaseRow::as_select()).load(connection)?;
    Ok(rows.into_iter().map(Lease::from).collect())
}

/// Whether a run holds its job's lease.
pub(super) fn is_held(connection: &mut StoreConnection, run_id: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(leases::table.filter(leases::run_id.eq(run_id)))).get_result(connection)
}

/// Gives a run's lease up.
pub(super) fn release(connection: &mut StoreConnection, run_id: &str) -> QueryResult<()> {
    diesel::delete(leases::table.filter(leases::run_id.eq(run_id))).execute(connection).map(drop)
}

fn micros(reading: Duration) -> i64 {
    i64::try_from(reading.as_micros()).unwrap_or(i64::MAX)
}

impl Store {
    /// Renews a run's lease and writes what the run does (a JSON object). A lease that is older than its life, or that another run took, can't
    /// be renewed: nothing is written.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn renew_lease(&mut self, run_id: &str, progress: &str, now: &Moment) -> Result<Renewal, StateError> {
        self.write(|connection| {
            let own = leases::table.filter(leases::run_id.eq(run_id));
            let Some(lease) = own.select(LeaseRow::as_select()).first(connection).optional()?.map(Lease::from) else {
                return Ok(Renewal::Taken);
            };
            let clocks = Clocks::read(connection, now)?;
            let age = lease.age(&clocks);
            if age > LEASE_LOST_AFTER {
                return Ok(Renewal::Lapsed { age });
            }
            let changes = (
                leases::boot_id.eq(&now.boot.boot_id),
                leases::renewed_boot_micros.eq(micros(clocks.server.unwrap_or(now.boot.elapsed))),
                leases::renewed_at.eq(naive(now.at)),
                leases::progress.eq(progress),
            );
            diesel::update(own).set(changes).execute(connection)?;
            Ok(Renewal::Held { cancel_requested_by: lease.cancel_requested.map(|(by, _)| by) })
        })
    }

    /// Returns every lease, dead ones too, by job.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn leases(&mut self) -> Result<Vec<Lease>, StateError> {
        self.read(all)
    }

    /// Returns a job's lease, a dead one too.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn lease(&mut self, job: &str) -> Result<Option<Lease>, StateError> {
        self.read(|connection| of_job(connection, job))
    }

    /// Returns a job's lease where its run lives.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn living_lease(&mut self, job: &str, now: &Moment, probe: Probe<'_>) -> Result<Option<Lease>, StateError> {
        self.read(|connection| {
            let clocks = Clocks::read(connection, now)?;
            Ok(of_job(connection, job)?.filter(|lease| !lease.is_dead(&clocks, probe)))
        })
    }

    /// Asks a run to stop, with a line in the audit trail; its process sees it at its next renewal. Returns whether the
    /// run holds a lease.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn request_cancel(&mut self, run_id: &str, by: &Actor, at: DateTime<Utc>) -> Result<bool, StateError> {
        self.write(|connection| {
            let own = leases::table.filter(leases::run_id.eq(run_id));
            let Some(job) = own.select(leases::job).first::<String>(connection).optional()? else { return Ok(false) };
            let changes = (leases::cancel_requested_by.eq(&by.user), leases::cancel_requested_at.eq(naive(at)));
            diesel::update(own).set(changes).execute(connection)?;
            audit::write(connection, by, "cancel", Some(&job), Some(run_id), None, at)?;
            Ok(true)
        })
    }
}
