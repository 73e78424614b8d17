//! What the end of a run is told with: what stands in the store when it is closed goes to whoever decides, and what that one says goes
//! into the outbox, in the same transaction. What was told is remembered until its trouble is over.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::connection::{Connection, TransactionManager};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::Value;

use super::connection::{Store, naive};
use super::error::{self, StateError};
use super::failing::{self, FailingSources};
use super::jobs::JobStatus;
use super::outbox::{Letter, NewLetter, SEVERAL_JOBS};
use super::progress::write_events;
use super::queue;
use super::records::{EventRecord, RunDetail, RunRecord};
use super::rows::{self, RunRow};
use super::runs::run_with_tail;
use super::schema::{jobs, outbox as outbox_rows, runs, slots, told};
use crate::plan::Level;

/// The channel of pings, which say how a job stands and tell people nothing.
pub(super) const PINGS: &str = "healthcheck";

/// What is told of rejected rows; the failure of the run that rejected them tells it too.
const REJECTED: &str = "rejected_rows";

/// How many lines of the execution log are told.
const LINES_TOLD: i64 = 20;

/// How many of the job's last runs are told.
const RUNS_TOLD: i64 = 14;

/// A run that is being closed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedRun {
    /// The run as it ended, with the last lines of its log.
    pub detail: RunDetail,
    /// When its slot was due.
    pub slot_at: Option<DateTime<Utc>>,
    /// The job's last runs that have ended, the newest first, this one among them.
    pub last_runs: Vec<RunRecord>,
    /// What is remembered as told about the job.
    pub told: Vec<Told>,
    /// The job's status before.
    pub status_before: JobStatus,
    /// And after.
    pub status_after: JobStatus,
    /// When it was written last.
    pub status_changed_at: DateTime<Utc>,
    /// Runs in a row that count towards `failure_threshold`.
    pub consecutive_failures: u64,
    /// The sources of the job that fail after it.
    pub sources_failing: FailingSources,
    /// When it is told.
    pub now: DateTime<Utc>,
}

/// Something that was told about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it was about.
    pub kind: String,
    /// What tells it from others of its kind.
    pub cause: String,
    /// The sources that it concerned.
    pub sources: Vec<String>,
    /// When it was told last.
    pub at: DateTime<Utc>,
}

/// What follows from the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tidings {
    /// Who is told what.
    pub letters: Vec<NewLetter>,
    /// What is remembered.
    pub told: Vec<Told>,
    /// Kinds and causes that are over.
    pub over: Vec<(String, String)>,
    /// A line for the run's log, where nobody is told that it failed: why.
    pub silence: Option<String>,
}

/// What follows from a look at the jobs. Each part is with the job that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookTidings {
    /// Who is told what: of several jobs in one letter with [`SEVERAL_JOBS`].
    pub letters: Vec<(String, NewLetter)>,
    /// What is remembered.
    pub told: Vec<(String, Told)>,
    /// What is over.
    pub over: Vec<(String, Told)>,
}

impl LookTidings {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.told.is_empty() && self.over.is_empty()
    }
}

/// Decides what follows from a look, by what is remembered as told; may be asked again, where a transaction has to be begun anew.
pub type Decide<'a> = &'a dyn Fn(&[(String, Told)]) -> LookTidings;

/// Decides what follows from the end of a run; may be asked again for the same run, where a transaction has to be begun anew.
pub type Teller = Box<dyn Fn(&ClosedRun) -> Tidings + Send>;

/// The one that a store asks; none tells nobody.
#[derive(Default)]
pub(super) struct TellerSlot(Option<Teller>);

impl fmt::Debug for TellerSlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Teller" } else { "None" })
    }
}

/// A job's status around a run's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) before: JobStatus,
    pub(super) after: JobStatus,
}

/// The teller of a transaction that closes a run, which may be begun several times.
pub(super) struct Telling<'a> {
    teller: &'a TellerSlot,
    /// How often what it said met a row that is there.
    clashes: Cell<u32>,
}

type Transactions = <StoreConnection as Connection>::TransactionManager;

/// How often a row that is there is taken for one that another host wrote meanwhile.
const CLASHES_MAX: u32 = 3;

impl Telling<'_> {
    /// Asks what follows from the end of a run and writes it down. A run is closed also where the store refuses that for what it says:
    /// then nothing of it is written, the run's log tells so, and why is returned.
    pub(super) fn tell(
        &self,
        connection: &mut StoreConnection,
        run_id: &str,
        standing: Option<Standing>,
        now: DateTime<Utc>,
    ) -> QueryResult<Option<String>> {
        let Some(teller) = &self.teller.0 else { return Ok(None) };
        let Some(run) = ended(connection, run_id, standing, now)? else { return Ok(None) };
        let tidings = teller(&run);
        if tidings == Tidings::default() {
            return Ok(None);
        }
        let job = &run.detail.run.job;
        Transactions::begin_transaction(connection)?;
        let written = write_down(connection, job, run_id, &tidings, now).and_then(|()| Transactions::commit_transaction(connection));
        let Err(error) = written else { return Ok(None) };
        // What undoing says adds nothing: where SQLite has given up the whole transaction, there is no savepoint any more.
        let undone = Transactions::rollback_transaction(connection);
        if undone.is_err() || !self.is_refused(&error, connection) {
            return Err(error);
        }
        let message = format!("nobody is told how this run ended, because the state store refuses what was to be sent: {error}");
        let event = EventRecord { at: now, level: Level::Warn, source: None, stream: None, message };
        write_events(connection, run_id, std::slice::from_ref(&event))?;
        Ok(Some(event.message))
    }

    /// Whether another try would meet the same. In a file nobody else writes meanwhile.
    fn is_refused(&self, error: &DieselError, connection: &StoreConnection) -> bool {
        let is_clash = matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _));
        self.clashes.set(self.clashes.get() + u32::from(is_clash));
        let may_pass = is_clash && matches!(connection, StoreConnection::Server(_)) && self.clashes.get() <= CLASHES_MAX;
        error::is_refusal(error) && !may_pass
    }
}

fn write_down(connection: &mut StoreConnection, job: &str, run_id: &str, tidings: &Tidings, now: DateTime<Utc>) -> QueryResult<()> {
    let Tidings { letters, told, over, silence } = tidings;
    for (kind, cause) in over {
        diesel::delete(told::table.find((job, kind, cause))).execute(connection)?;
    }
    told.iter().try_for_each(|told| remember(connection, job, told))?;
    if let Some(message) = silence {
        let event = EventRecord { at: now, level: Level::Info, source: None, stream: None, message: message.clone() };
        write_events(connection, run_id, std::slice::from_ref(&event))?;
    }
    queue::put(connection, job, Some(run_id), letters, now)
}

fn ended(connection: &mut StoreConnection, run_id: &str, standing: Option<Standing>, now: DateTime<Utc>) -> QueryResult<Option<ClosedRun>> {
    let Some(detail) = run_with_tail(connection, run_id, LINES_TOLD)? else { return Ok(None) };
    let job = &detail.run.job;
    let newest = runs::table.filter(runs::job.eq(job)).filter(runs::completed_at.is_not_null());
    let newest = newest.order((runs::started_at.desc(), runs::id.desc())).limit(RUNS_TOLD);
    let last_runs = newest.select(RunRow::as_select()).load(connection)?.into_iter().map(RunRecord::from).collect();
    let columns = (jobs::status, jobs::status_changed_at, jobs::consecutive_failures);
    let (status, changed_at, failures): (String, NaiveDateTime, i64) = jobs::table.find(job).select(columns).first(connection)?;
    let status = JobStatus::parse(&status).expect("held by a CHECK of the table");
    let sources_failing = failing::read(connection, job)?;
    let standing = standing.unwrap_or(Standing { before: status, after: status });
    let slot_at: Option<NaiveDateTime> = match &detail.run.slot {
        Some(key) => slots::table.find((job, key)).select(slots::due_at).first(connection).optional()?,
        None => None,
    };
    Ok(Some(ClosedRun {
        slot_at: slot_at.map(|at| at.and_utc()),
        last_runs,
        told: told_about(connection, job)?,
        status_before: standing.before,
        status_after: standing.after,
        status_changed_at: changed_at.and_utc(),
        consecutive_failures: failures.unsigned_abs(),
        sources_failing,
        now,
        detail,
    }))
}

fn told_about(connection: &mut StoreConnection, job: &str) -> QueryResult<Vec<Told>> {
    type Columns = (String, String, String, NaiveDateTime);
    let own = told::table.filter(told::job.eq(job)).order((told::kind, told::cause));
    let rows: Vec<Columns> = own.select((told::kind, told::cause, told::sources, told::told_at)).load(connection)?;
    let told = |(kind, cause, sources, at): Columns| Told { kind, cause, sources: rows::names(&sources), at: at.and_utc() };
    Ok(rows.into_iter().map(told).collect())
}

fn remember(connection: &mut StoreConnection, job: &str, told: &Told) -> QueryResult<()> {
    let Told { kind, cause, sources, at } = told;
    let changes = (told::sources.eq(rows::list(sources)), told::told_at.eq(naive(*at)));
    if diesel::update(told::table.find((job, kind, cause))).set(changes).execute(connection)? == 0 {
        note(connection, job, told)?;
    }
    Ok(())
}

/// Remembers what is not remembered yet.
fn note(connection: &mut StoreConnection, job: &str, told: &Told) -> QueryResult<()> {
    let Told { kind, cause, sources, at } = told;
    let key = (told::job.eq(job), told::kind.eq(kind), told::cause.eq(cause));
    let rest = (told::sources.eq(rows::list(sources)), told::told_at.eq(naive(*at)));
    diesel::insert_into(told::table).values((key, rest)).execute(connection).map(drop)
}

fn told_of(connection: &mut StoreConnection, kinds: &[&str]) -> QueryResult<Vec<(String, Told)>> {
    type Columns = (String, String, String, String, NaiveDateTime);
    let columns = (told::job, told::kind, told::cause, told::sources, told::told_at);
    let rows: Vec<Columns> = told::table.filter(told::kind.eq_any(kinds)).select(columns).load(connection)?;
    let told = |(job, kind, cause, sources, at): Columns| (job, Told { kind, cause, sources: rows::names(&sources), at: at.and_utc() });
    Ok(rows.into_iter().map(told).collect())
}

impl Store {
    /// As [`Store::write_in_turn`], for work that closes a run: it may ask the teller.
    pub(super) fn write_telling<T>(
        &mut self,
        mut work: impl FnMut(&mut StoreConnection, &Telling<'_>) -> QueryResult<T>,
    ) -> Result<T, StateError> {
        let teller = std::mem::take(&mut self.teller);
        let telling = Telling { teller: &teller, clashes: Cell::new(0) };
        let result = self.write_in_turn(|connection| work(connection, &telling));
        self.teller = teller;
        result
    }

    /// Sets who decides what follows from the end of a run: everything that closes one asks, in the transaction that closes it.
    pub fn tell_by(&mut self, teller: Teller) {
        self.teller = TellerSlot(Some(teller));
    }

    /// Returns what is remembered as told of these kinds, with the job of each.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn told(&mut self, kinds: &[&str]) -> Result<Vec<(String, Told)>, StateError> {
        self.read(|connection| told_of(connection, kinds))
    }

    /// Tells what no run's end tells: decides by what is remembered as told of these kinds, and writes what follows, in one transaction. Of
    /// many processes that look at the same time one tells. Returns how many letters that are.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn tell_by_look(&mut self, kinds: &[&str], now: DateTime<Utc>, decide: Decide<'_>) -> Result<usize, StateError> {
        self.write(|connection| {
            let known = told_of(connection, kinds)?;
            let LookTidings { letters, told, over } = decide(&known);
            for (job, Told { kind, cause, .. }) in &over {
                diesel::delete(told::table.find((job, kind, cause))).execute(connection)?;
            }
            let keys: HashSet<_> = known.iter().chain(&over).map(|(job, told)| (job, &told.kind, &told.cause)).collect();
            for (job, one) in &told {
                // There may be thousands after a host was off: what is new needs no look.
                if keys.contains(&(job, &one.kind, &one.cause)) { remember(connection, job, one)? } else { note(connection, job, one)? }
            }
            letters.iter().try_for_each(|(job, letter)| queue::put(connection, job, None, std::slice::from_ref(letter), now))?;
            Ok(letters.len())
        })
    }

    /// Forgets what a letter told that was given up, as far as nobody else heard of it by a letter that was written with it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn forget_told_of(&mut self, letter: &Letter) -> Result<(), StateError> {
        type Columns = (String, String, String, NaiveDateTime);
        let Letter { job, kind, created_at, body, .. } = letter;
        let jobs = if job == SEVERAL_JOBS { jobs_named(body) } else { vec![job.clone()] };
        let is_about_all = jobs.iter().any(|job| job == SEVERAL_JOBS);
        self.write(|connection| {
            let heard = heard_with(connection, *created_at)?;
            let of_kinds = told::table.filter(told::kind.eq_any(kinds_told(job, kind)));
            let rows: Vec<Columns> = of_kinds.select((told::job, told::kind, told::cause, told::told_at)).load(connection)?;
            for (of, kind, cause, at) in rows {
                // What several letters told was remembered when they were written.
                let was_then = at == naive(*created_at);
                let is_beside_it = kind == REJECTED && letter.kind != REJECTED;
                let is_named = jobs.contains(&of) && (was_then || (job != SEVERAL_JOBS && !is_beside_it));
                if (is_named || (is_about_all && was_then)) && !heard.iter().any(|heard| heard.is_of(&of, &kind)) {
                    diesel::delete(told::table.find((of, kind, cause))).execute(connection)?;
                }
            }
            Ok(())
        })
    }
}

/// Returns the kinds of what is remembered as told by a letter.
fn kinds_told<'a>(job: &str, kind: &'a str) -> Vec<&'a str> {
    match kind {
        // A job's way to `error` is remembered by its failures.
        "disabled" | "disabled_soon" => vec!["failure", "disabled_soon", REJECTED],
        // It says too which rows were rejected.
        "failure" => vec!["failure", REJECTED],
        // One letter tells several jobs' missed slots and deadlines.
        "missed" if job == SEVERAL_JOBS => vec!["missed", "deadline"],
        kind => vec![kind],
    }
}

/// Returns the jobs that a letter about several names, as its body has them, and [`SEVERAL_JOBS`] where there are more that it doesn't name.
pub(super) fn jobs_named(body: &str) -> Vec<String> {
    let roundup = serde_json::from_str::<Value>(body).ok().and_then(|message| message.get("roundup").cloned()).unwrap_or_default();
    let listed = roundup.get("jobs").and_then(Value::as_array).into_iter().flatten();
    let mut jobs: Vec<String> = listed.filter_map(|job| job.get("id")?.as_str().map(str::to_owned)).collect();
    if roundup.get("job_count").and_then(Value::as_u64).is_none_or(|count| count > jobs.len() as u64) {
        jobs.push(SEVERAL_JOBS.to_owned());
    }
    jobs
}

/// What somebody heard.
struct Heard {
    jobs: Vec<String>,
    job: String,
    kind: String,
}

impl Heard {
    fn is_of(&self, job: &str, kind: &str) -> bool {
        self.jobs.iter().any(|heard| heard == job || heard == SEVERAL_JOBS) && kinds_told(&self.job, &self.kind).contains(&kind)
    }
}

/// Returns what people heard by letters that were written at an instant.
fn heard_with(connection: &mut StoreConnection, written_at: DateTime<Utc>) -> QueryResult<Vec<Heard>> {
    let sent = outbox_rows::table.filter(outbox_rows::created_at.eq(naive(written_at))).filter(outbox_rows::sent_at.is_not_null());
    let sent = sent.filter(outbox_rows::channel.ne(PINGS));
    let rows: Vec<(String, String, String)> = sent.select((outbox_rows::job, outbox_rows::kind, outbox_rows::body)).load(connection)?;
    let heard = |(job, kind, body): (String, String, String)| {
        let jobs = if job == SEVERAL_JOBS { rows::names(&body) } else { vec![job.clone()] };
        Heard { jobs, job, kind }
    };
    Ok(rows.into_iter().map(heard).collect())
}

/// Forgets what was told about a job: one that is deleted and made anew begins anew.
pub(super) fn forget(connection: &mut StoreConnection, job: &str) -> QueryResult<()> {
    diesel::delete(told::table.filter(told::job.eq(job))).execute(connection).map(drop)
}
