//! The begin of a run: lease, run row and sources in one transaction.

use super::backends::StoreConnection;
use diesel::prelude::*;

use super::audit::{self, Actor};
use super::connection::{Store, naive};
use super::error::StateError;
use super::leases::{self, Clocks, Holder, Lease, Moment, Probe};
use super::records::RunSummary;
use super::rows::SummaryChanges;
use super::runs::open_statuses;
use super::schema::{jobs, run_sources, runs};
use crate::run::{RunStatus, SourceStatus, Trigger};

/// A run that wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// UUID v7.
    pub run_id: String,
    /// A registered job.
    pub job: String,
    /// What starts it.
    pub trigger: Trigger,
    /// The slot's key, where a slot starts it.
    pub slot: Option<String>,
    /// This host.
    pub host: String,
    /// This process.
    pub pid: u32,
    /// When this process began, in the system's words.
    pub process_start: String,
    /// The user who starts it.
    pub user: String,
    /// The version of etlsched.
    pub version: String,
    /// The sources, in the job's order.
    pub sources: Vec<String>,
}

/// Whether a run has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It holds the lease, and its row is written.
    Started,
    /// A living run holds the lease; nothing was written.
    Held(Box<Lease>),
    /// A dead run is not closed yet: [`Store::dead_runs`], then [`Store::close_dead_run`], then begin again. Nothing was written.
    Unrepaired,
}

impl Store {
    /// Takes the job's lease and writes the run with its sources, or nothing.
    ///
    /// # Errors
    /// The store can't be written, or the job isn't registered.
    pub fn begin_run(&mut self, run: &NewRun, now: &Moment, probe: Probe<'_>) -> Result<Begun, StateError> {
        self.write_in_turn(|connection| {
            let clocks = Clocks::read(connection, now)?;
            match leases::of_job(connection, &run.job)? {
                // It was committed, and the answer lost.
                Some(lease) if lease.run_id == run.run_id => return Ok(Begun::Started),
                Some(lease) if !lease.is_dead(&clocks, probe) => return Ok(Begun::Held(Box::new(lease))),
                Some(_) | None => {}
            }
            if has_open_run(connection, &run.job)? {
                return Ok(Begun::Unrepaired);
            }
            write_run(connection, run, now)?;
            Ok(Begun::Started)
        })
    }

    /// Writes a run that was refused because another one goes on, as failed and over. It takes no lease, counts towards nothing, and
    /// leaves the job's last run as it is.
    ///
    /// # Errors
    /// The store can't be written, or the job isn't registered.
    pub fn write_refused_run(&mut self, run: &NewRun, exit_code: u8, message: &str, now: &Moment) -> Result<(), StateError> {
        self.write_telling(|connection, telling| {
            let written = runs::table.find(&run.run_id);
            if diesel::select(diesel::dsl::exists(written)).get_result(connection)? {
                return Ok(());
            }
            write_refused(connection, run, exit_code, message, now)?;
            telling.tell(connection, &run.run_id, None, now.at).map(drop)
        })
    }

    /// Notes that the first worker of a run is at work.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn mark_running(&mut self, run_id: &str) -> Result<(), StateError> {
        self.write(|connection| {
            let begun = runs::table.find(run_id).filter(runs::status.eq(RunStatus::Started.as_str()));
            let changed = diesel::update(begun).set(runs::status.eq(RunStatus::Running.as_str())).execute(connection)?;
            if changed == 1 {
                let last = jobs::table.filter(jobs::last_run_id.eq(run_id));
                diesel::update(last).set(jobs::last_run_status.eq(RunStatus::Running.as_str())).execute(connection)?;
            }
            Ok(())
        })
    }
}

/// Writes a run that is over from the start.
pub(super) fn write_refused(connection: &mut StoreConnection, run: &NewRun, exit_code: u8, message: &str, now: &Moment) -> QueryResult<()> {
    write_row(connection, run, now, RunStatus::Failed, SourceStatus::Skipped)?;
    let summary = RunSummary { sources_skipped: run.sources.clone(), error_message: Some(message.to_owned()), ..RunSummary::default() };
    let end = (runs::execution_time_seconds.eq(0.0), runs::exit_code.eq(i64::from(exit_code)), SummaryChanges::of(&summary));
    diesel::update(runs::table.find(&run.run_id)).set(end).execute(connection)?;
    audit_run(connection, run, "refused", now)
}

pub(super) fn has_open_run(connection: &mut StoreConnection, job: &str) -> QueryResult<bool> {
    let rows = runs::table.filter(runs::job.eq(job)).filter(runs::status.eq_any(open_statuses()));
    diesel::select(diesel::dsl::exists(rows)).get_result(connection)
}

/// Takes the lease and writes the run with its sources.
pub(super) fn write_run(connection: &mut StoreConnection, run: &NewRun, now: &Moment) -> QueryResult<()> {
    write_row(connection, run, now, RunStatus::Started, SourceStatus::Waiting)?;
    let NewRun { run_id, job, host, pid, process_start, .. } = run;
    leases::take(connection, &Holder { job, run_id, host, pid: *pid, process_start }, now)?;
    let last = (jobs::last_run_id.eq(run_id), jobs::last_run_at.eq(naive(now.at)), jobs::last_run_status.eq(RunStatus::Started.as_str()));
    diesel::update(jobs::table.find(job)).set(last).execute(connection)?;
    audit_run(connection, run, run.trigger.as_str(), now)
}

fn audit_run(connection: &mut StoreConnection, run: &NewRun, details: &str, now: &Moment) -> QueryResult<()> {
    let by = Actor { user: run.user.clone(), host: run.host.clone() };
    audit::write(connection, &by, "run", Some(&run.job), Some(&run.run_id), Some(details), now.at)
}

/// Writes a run with its sources; one that is over from the start ends when it began.
fn write_row(
    connection: &mut StoreConnection,
    run: &NewRun,
    now: &Moment,
    status: RunStatus,
    source_status: SourceStatus,
) -> QueryResult<()> {
    let NewRun { run_id, job, trigger, slot, host, pid, process_start, user, version, sources } = run;
    let row = (
        runs::id.eq(run_id),
        runs::job.eq(job),
        runs::status.eq(status.as_str()),
        runs::completed_at.eq((!status.is_open()).then(|| naive(now.at))),
        runs::triggered_by.eq(trigger.as_str()),
        runs::slot.eq(slot),
        runs::started_at.eq(naive(now.at)),
        runs::host.eq(host),
        runs::pid.eq(i64::from(*pid)),
        runs::process_start.eq(process_start),
        runs::username.eq(user),
        runs::version.eq(version),
    );
    diesel::insert_into(runs::table).values(row).execute(connection)?;
    for (position, source) in (0_i64..).zip(sources) {
        let row = (
            run_sources::run_id.eq(run_id),
            run_sources::source.eq(source),
            run_sources::position.eq(position),
            run_sources::status.eq(source_status.as_str()),
        );
        diesel::insert_into(run_sources::table).values(row).execute(connection)?;
    }
    Ok(())
}
