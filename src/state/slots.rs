//! Slots: which one is due, its claim together with lease and run row, and what becomes of it.

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::begin::{self, NewRun};
use super::connection::{Store, naive};
use super::error::StateError;
use super::jobs::JobStatus;
use super::leases::{self, Clocks, Lease, Moment, Probe};
use super::schema::{jobs, run_sources, run_streams, runs, slots};
use crate::exit_code;
use crate::run::due::{Decision, Facts, OnOverlap, Rules, SlotRecord, SlotStatus, Start};
use crate::run::{RunStatus, SourceStatus, Trigger};
use crate::schedule::Slot;

/// How many earlier runs are looked at for slots that fell into them.
const RUNS_LOOKED_AT: i64 = 500;

/// No run is taken to be longer: one whose process died under a clock that was set ahead ended years later, by that clock.
const RUN_LENGTH_MAX: TimeDelta = TimeDelta::days(7);

/// Which slot is asked for.
#[derive(Debug, Clone, Copy)]
pub struct SlotOrder<'a> {
    /// What the job's file says.
    pub rules: Rules<'a>,
    /// The present instant by the clock that slots go by.
    pub now: DateTime<Utc>,
}

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing is to be started; what nobody started in time is written down.
    NotDue,
    /// The slot is claimed, the lease taken, the run row written.
    Started(Box<Claimed>),
    /// A living run holds the lease, and `on_overlap` is wait: nothing was written.
    Held(Box<Lease>, Slot),
    /// A living run holds the lease: the slot is skipped.
    Skipped(Box<Lease>),
    /// A living run holds the lease: the slot has failed, and so has this run.
    Refused(Box<Lease>),
    /// A dead run is not closed yet; nothing was written.
    Unrepaired,
}

/// A slot that a run has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Under which key.
    pub key: String,
    /// When it is due.
    pub at: DateTime<Utc>,
    /// Whether it is on time.
    pub trigger: Trigger,
    /// What interrupted runs of the slot have published; `None` where it was never claimed before.
    pub published: Option<Published>,
}

/// What earlier runs of a slot have published, as their logs say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Sources that are done.
    pub sources: Vec<String>,
    /// Source and stream.
    pub streams: Vec<(String, String)>,
}

impl From<RunStatus> for SlotStatus {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Success => Self::Done,
            RunStatus::Started | RunStatus::Running => Self::Running,
            RunStatus::Failed | RunStatus::Cancelled | RunStatus::Timeout => Self::Failed,
        }
    }
}

impl Store {
    /// Whether a slot of a job is to be started or to be written off; reads only. The job is noticed: [`Store::notice_job`].
    ///
    /// # Errors
    /// The store can't be read.
    pub fn has_due_slot(&mut self, job: &str, order: &SlotOrder<'_>) -> Result<bool, StateError> {
        self.read(|connection| Ok(!decide(connection, job, order)?.is_idle()))
    }

    /// Finds the slot that is due, claims it, takes the lease and writes the run, with what is written off: all or nothing.
    /// `run` names neither slot nor trigger yet.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn begin_slot(&mut self, run: &NewRun, order: &SlotOrder<'_>, now: &Moment, probe: Probe<'_>) -> Result<Claim, StateError> {
        self.write_telling(|connection, telling| {
            if let Some(claimed) = own_claim(connection, run)? {
                return Ok(Claim::Started(Box::new(claimed)));
            }
            let clocks = Clocks::read(connection, now)?;
            let decision = decide(connection, &run.job, order)?;
            let Some(start) = &decision.start else {
                write_off(connection, &run.job, &decision, order.now)?;
                return Ok(Claim::NotDue);
            };
            match leases::of_job(connection, &run.job)? {
                Some(lease) if !lease.is_dead(&clocks, probe) => {
                    let claim = overlap(connection, run, order, &decision, Box::new(lease), now)?;
                    if let Claim::Refused(_) = claim {
                        telling.tell(connection, &run.run_id, None, now.at)?;
                    }
                    Ok(claim)
                }
                _ if begin::has_open_run(connection, &run.job)? => Ok(Claim::Unrepaired),
                _ => {
                    write_off(connection, &run.job, &decision, order.now)?;
                    claim(connection, run, start, order.now, now)
                }
            }
        })
    }

    /// Writes a slot down as skipped, where nothing else became of it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn skip_slot(&mut self, job: &str, slot: &Slot, slot_now: DateTime<Utc>) -> Result<(), StateError> {
        let record = unclaimed(slot, SlotStatus::Skipped, slot_now);
        self.write(|connection| {
            let known = slots::table.find((job, &record.key));
            let is_known: bool = diesel::select(diesel::dsl::exists(known)).get_result(connection)?;
            if is_known { Ok(()) } else { write(connection, job, &record) }
        })
    }

    /// Returns the slots, of any job, that were written off as missed since an instant, with the job of each, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn missed_slots(&mut self, since: DateTime<Utc>) -> Result<Vec<(String, SlotRecord)>, StateError> {
        self.read(|connection| {
            // In words, since SQLite uses a partial index for literals alone.
            let missed = slots::table.filter(sql::<Bool>("status = 'missed'")).filter(slots::updated_at.ge(naive(since)));
            let rows: Vec<(String, SlotRow)> =
                missed.order((slots::due_at, slots::job)).select((slots::job, SlotRow::as_select())).load(connection)?;
            let (names, rows): (Vec<String>, Vec<SlotRow>) = rows.into_iter().unzip();
            Ok(names.into_iter().zip(load(rows)?).collect())
        })
    }

    /// Returns the last slots of a job that something became of, the newest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn slots(&mut self, job: &str, count: i64) -> Result<Vec<SlotRecord>, StateError> {
        self.read(|connection| {
            let newest = slots::table.filter(slots::job.eq(job)).order((slots::due_at.desc(), slots::slot.desc())).limit(count);
            load(newest.select(SlotRow::as_select()).load(connection)?)
        })
    }
}

/// What happens to a due slot while another run goes on.
fn overlap(
    connection: &mut StoreConnection,
    run: &NewRun,
    order: &SlotOrder<'_>,
    decision: &Decision,
    lease: Box<Lease>,
    now: &Moment,
) -> QueryResult<Claim> {
    let Some(start) = &decision.start else { return Ok(Claim::NotDue) };
    // `catch_up: all` starts the oldest first; it is the latest that falls into the other run.
    let latest = order.rules.latest(order.now).unwrap_or(start.slot);
    if order.rules.on_overlap == OnOverlap::Wait {
        return Ok(Claim::Held(lease, latest));
    }
    write_off(connection, &run.job, decision, order.now)?;
    let claimed = slots::table.find((&run.job, latest.key())).filter(slots::claim_count.gt(0));
    // An interrupted slot is due again when the other run is over.
    if start.claims > 0 || diesel::select(diesel::dsl::exists(claimed)).get_result(connection)? {
        return Ok(Claim::Skipped(lease));
    }
    if order.rules.on_overlap == OnOverlap::Skip {
        write(connection, &run.job, &unclaimed(&latest, SlotStatus::Skipped, order.now))?;
        return Ok(Claim::Skipped(lease));
    }
    let refused = NewRun { slot: Some(latest.key()), trigger: start.trigger, ..run.clone() };
    let message = format!("{lease} holds the lease, and on_overlap is fail");
    begin::write_refused(connection, &refused, exit_code::OVERLAP, &message, now)?;
    let record = SlotRecord { run_id: Some(run.run_id.clone()), claims: 1, ..unclaimed(&latest, SlotStatus::Failed, order.now) };
    write(connection, &run.job, &record)?;
    Ok(Claim::Refused(lease))
}

fn claim(connection: &mut StoreConnection, run: &NewRun, start: &Start, slot_now: DateTime<Utc>, now: &Moment) -> QueryResult<Claim> {
    let Start { slot, key, claims, trigger } = start;
    let published = if *claims > 0 { Some(published(connection, &run.job, key)?) } else { None };
    let record = SlotRecord {
        key: key.clone(),
        run_id: Some(run.run_id.clone()),
        claims: claims + 1,
        ..unclaimed(slot, SlotStatus::Running, slot_now)
    };
    write(connection, &run.job, &record)?;
    let run = NewRun { slot: Some(key.clone()), trigger: *trigger, ..run.clone() };
    begin::write_run(connection, &run, now)?;
    let done = published.iter().flat_map(|published| &published.sources);
    for source in done {
        let row = run_sources::table.find((&run.run_id, source));
        diesel::update(row).set(run_sources::status.eq(SourceStatus::Skipped.as_str())).execute(connection)?;
    }
    Ok(Claim::Started(Box::new(Claimed { key: key.clone(), at: slot.at, trigger: *trigger, published })))
}

/// Returns what a run has claimed already: the commit went through and its answer was lost.
fn own_claim(connection: &mut StoreConnection, run: &NewRun) -> QueryResult<Option<Claimed>> {
    let StoreConnection::Server(_) = connection else { return Ok(None) };
    let own = slots::table.filter(slots::job.eq(&run.job)).filter(slots::run_id.eq(&run.run_id));
    let Some(record) = load(own.select(SlotRow::as_select()).load(connection)?)?.pop() else { return Ok(None) };
    if record.status != SlotStatus::Running {
        return Ok(None);
    }
    let trigger: String = runs::table.find(&run.run_id).select(runs::triggered_by).first(connection)?;
    let trigger = Trigger::parse(&trigger).expect("held by a CHECK of the table");
    let published = if record.claims > 1 { Some(published(connection, &run.job, &record.key)?) } else { None };
    Ok(Some(Claimed { key: record.key, at: record.due_at, trigger, published }))
}

fn published(connection: &mut StoreConnection, job: &str, key: &str) -> QueryResult<Published> {
    let of_slot = runs::table.filter(runs::job.eq(job)).filter(runs::slot.eq(key)).select(runs::id);
    let ids: Vec<String> = of_slot.load(connection)?;
    let success = SourceStatus::Success.as_str();
    let sources = run_sources::table.filter(run_sources::run_id.eq_any(&ids)).filter(run_sources::status.eq(success));
    let streams = run_streams::table.filter(run_streams::run_id.eq_any(&ids)).filter(run_streams::status.eq(success));
    Ok(Published {
        sources: sources.select(run_sources::source).distinct().load(connection)?,
        streams: streams.select((run_streams::source, run_streams::stream)).distinct().load(connection)?,
    })
}

fn decide(connection: &mut StoreConnection, job: &str, order: &SlotOrder<'_>) -> QueryResult<Decision> {
    let SlotOrder { rules, now } = order;
    let (Some(counted_since), Some(latest)) = (counted_since(connection, job, *now)?, rules.latest(*now)) else {
        return Ok(Decision::default());
    };
    let records = records(connection, job, rules, &latest, *now)?;
    let facts = Facts { counted_since, records, runs: Vec::new() };
    let decision = rules.decide(&facts, *now);
    if decision.is_idle() {
        return Ok(decision);
    }
    let runs = spans(connection, job, *now)?;
    Ok(rules.decide(&Facts { runs, ..facts }, *now))
}

/// Returns since when the job's slots count; `None` while it isn't active.
fn counted_since(connection: &mut StoreConnection, job: &str, now: DateTime<Utc>) -> QueryResult<Option<DateTime<Utc>>> {
    let row: Option<Counting> = jobs::table.find(job).select(Counting::as_select()).first(connection).optional()?;
    Ok(row.and_then(|row| row.since(now)))
}

/// What says since when a job's slots count.
#[derive(Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub(super) struct Counting {
    status: String,
    paused_until: Option<NaiveDateTime>,
    schedule_noticed_at: NaiveDateTime,
    active_since: Option<NaiveDateTime>,
}

impl Counting {
    /// Returns since when; `None` while the job isn't active.
    pub(super) fn since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let since = self.schedule_noticed_at.max(self.active_since?);
        let since = match JobStatus::parse(&self.status) {
            Some(JobStatus::Active) => Some(since),
            Some(JobStatus::Paused) => self.paused_until.filter(|until| *until <= naive(now)).map(|until| since.max(until)),
            _ => None,
        };
        since.map(|since| since.and_utc())
    }
}

/// The statuses of slots that nobody claimed.
pub(super) fn written_off() -> [&'static str; 2] {
    [SlotStatus::Missed.as_str(), SlotStatus::Skipped.as_str()]
}

/// Returns the records that the decision needs, as [`Facts::records`] says.
fn records(
    connection: &mut StoreConnection,
    job: &str,
    rules: &Rules<'_>,
    latest: &Slot,
    now: DateTime<Utc>,
) -> QueryResult<Vec<SlotRecord>> {
    let own = slots::table.filter(slots::job.eq(job));
    let is_settled = slots::status.ne_all(written_off()).or(slots::updated_at.le(naive(now)));
    let newest = own.filter(slots::due_at.le(naive(now))).filter(is_settled).order(slots::due_at.desc()).limit(1);
    let mut rows: Vec<SlotRow> = newest.select(SlotRow::as_select()).load(connection)?;
    let of_latest = own.filter(slots::slot.eq(latest.key())).select(SlotRow::as_select());
    rows.extend(of_latest.load(connection)?);
    if let Some(reach) = rules.reach(now) {
        let due = own.filter(slots::due_at.ge(naive(reach))).filter(slots::due_at.le(naive(now)));
        rows.extend(due.select(SlotRow::as_select()).load(connection)?);
    }
    load(rows)
}

/// Returns begin and end of the last runs.
fn spans(connection: &mut StoreConnection, job: &str, now: DateTime<Utc>) -> QueryResult<Vec<(DateTime<Utc>, DateTime<Utc>)>> {
    type Columns = (NaiveDateTime, Option<NaiveDateTime>, Option<f64>);
    let newest = runs::table.filter(runs::job.eq(job)).order((runs::started_at.desc(), runs::id.desc())).limit(RUNS_LOOKED_AT);
    let rows: Vec<Columns> = newest.select((runs::started_at, runs::completed_at, runs::execution_time_seconds)).load(connection)?;
    Ok(rows.into_iter().map(|row| span(row, now)).collect())
}

/// Returns begin and end of a run. How long it took is known by a clock that never steps; its end by the wall clock is not.
pub(super) fn span(
    (started_at, completed_at, seconds): (NaiveDateTime, Option<NaiveDateTime>, Option<f64>),
    now: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let begin = started_at.and_utc();
    let took = seconds.map_or(TimeDelta::zero(), |seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64));
    (begin, if completed_at.is_none() { now } else { begin + took.min(RUN_LENGTH_MAX) })
}

fn write_off(connection: &mut StoreConnection, job: &str, decision: &Decision, now: DateTime<Utc>) -> QueryResult<()> {
    for (slot, status) in &decision.written_off {
        write(connection, job, &unclaimed(slot, *status, now))?;
    }
    if let Some((slot, slot_count)) = &decision.rest {
        write(connection, job, &SlotRecord { slot_count: *slot_count, ..unclaimed(slot, SlotStatus::Missed, now) })?;
    }
    Ok(())
}

/// Ends the slot that a run has claimed.
pub(super) fn settle(connection: &mut StoreConnection, run_id: &str, status: SlotStatus, at: DateTime<Utc>) -> QueryResult<()> {
    let key: Option<(String, Option<String>)> = runs::table.find(run_id).select((runs::job, runs::slot)).first(connection).optional()?;
    let Some((job, Some(_))) = key else { return Ok(()) };
    // By the run: an edit of the schedule may have given the slot another key.
    let running = slots::table.filter(slots::job.eq(job)).filter(slots::run_id.eq(run_id));
    let running = running.filter(slots::status.eq(SlotStatus::Running.as_str()));
    let changes = (slots::status.eq(status.as_str()), slots::updated_at.eq(naive(at)));
    diesel::update(running).set(changes).execute(connection).map(drop)
}

fn unclaimed(slot: &Slot, status: SlotStatus, now: DateTime<Utc>) -> SlotRecord {
    SlotRecord { key: slot.key(), due_at: slot.at, status, run_id: None, claims: 0, slot_count: 1, updated_at: now }
}

/// Writes a slot, in place of what a clock that was ahead wrote.
fn write(connection: &mut StoreConnection, job: &str, record: &SlotRecord) -> QueryResult<()> {
    let row = SlotRow::from(record);
    if diesel::update(slots::table.find((job, &record.key))).set(&row).execute(connection)? == 0 {
        diesel::insert_into(slots::table).values((slots::job.eq(job), &row)).execute(connection)?;
    }
    Ok(())
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = slots, treat_none_as_null = true)]
pub(super) struct SlotRow {
    slot: String,
    due_at: NaiveDateTime,
    status: String,
    run_id: Option<String>,
    claim_count: i64,
    slot_count: i64,
    updated_at: NaiveDateTime,
}

impl From<&SlotRecord> for SlotRow {
    fn from(record: &SlotRecord) -> Self {
        let SlotRecord { key, due_at, status, run_id, claims, slot_count, updated_at } = record;
        Self {
            slot: key.clone(),
            due_at: naive(*due_at),
            status: status.as_str().to_owned(),
            run_id: run_id.clone(),
            claim_count: i64::from(*claims),
            slot_count: i64::try_from(*slot_count).unwrap_or(i64::MAX),
            updated_at: naive(*updated_at),
        }
    }
}

pub(super) fn load(rows: Vec<SlotRow>) -> QueryResult<Vec<SlotRecord>> {
    let record = |row: SlotRow| SlotRecord {
        key: row.slot,
        due_at: row.due_at.and_utc(),
        status: SlotStatus::parse(&row.status).expect("held by a CHECK of the table"),
        run_id: row.run_id,
        claims: u32::try_from(row.claim_count).unwrap_or(u32::MAX),
        slot_count: row.slot_count.unsigned_abs(),
        updated_at: row.updated_at.and_utc(),
    };
    Ok(rows.into_iter().map(record).collect())
}
