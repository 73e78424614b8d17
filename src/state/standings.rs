//! How every job stands, in a few queries however many there are: what monitoring asks for.

use std::collections::HashMap;

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamp};

use super::connection::{Store, naive};
use super::error::StateError;
use super::jobs::{JobRecord, JobRow};
use super::records::RecordTotals;
use super::schema::{jobs, runs};
use super::slots::{Counting, span};
use crate::run::RunStatus;
use crate::run::due::{SlotRecord, SlotStatus};

// SQLite takes the tables of a CROSS JOIN in their order: job by job by the index, and never every slot that was ever written
// (50 ms in place of 1.8 s for 1,000 jobs with 280 slots each). PostgreSQL asks what is MATERIALIZED once a job, not once a slot (0.3 s in
// place of 15 s).

/// The newest settled record of each job, and later ones: those of slots that are not due yet, or written by a clock that was ahead.
const NEWEST_SLOTS: &str = "WITH newest AS MATERIALIZED (SELECT j.id AS job, COALESCE((SELECT max(n.due_at) FROM slots n WHERE n.job = j.id \
     AND n.due_at <= $1 AND (n.status NOT IN ('missed', 'skipped') OR n.updated_at <= $1)), $1) AS due_at FROM jobs j) \
     SELECT s.job, s.slot, s.due_at, s.status, s.run_id, s.claim_count, s.slot_count, s.updated_at \
     FROM newest CROSS JOIN slots s WHERE s.job = newest.job AND s.due_at >= newest.due_at";

/// The newest slot of each job whose run succeeded.
const DONE_SLOTS: &str = "SELECT j.id AS job, (SELECT max(d.due_at) FROM slots d WHERE d.job = j.id AND d.due_at <= $1 \
     AND d.status = 'done') AS due_at FROM jobs j";

/// Slots that nobody started, due since an instant: by their own index, since they are few, and in no order, for which SQLite would go
/// through all others. None was written off before it was due.
const MISSED_SLOTS: &str = "SELECT s.job, s.slot, s.due_at, s.status, s.run_id, s.claim_count, s.slot_count, s.updated_at \
     FROM slots s WHERE s.status = 'missed' AND s.updated_at >= $1 AND s.due_at >= $1";

/// The run of each job that was begun last of those that ended.
const ENDED_RUNS: &str = "SELECT r.job, r.status, r.completed_at, r.execution_time_seconds, r.total_records_processed, \
     r.total_records_added, r.total_records_updated, r.total_records_deleted, r.total_records_rejected \
     FROM jobs j JOIN runs r ON r.id = (SELECT e.id FROM runs e WHERE e.job = j.id AND e.completed_at IS NOT NULL \
     ORDER BY e.started_at DESC, e.id DESC LIMIT 1)";

/// How a job stands.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStanding {
    /// The job.
    pub record: JobRecord,
    /// Of the schedule fields that were noticed last.
    pub schedule_fingerprint: String,
    /// Since when its slots count; `None` while it isn't active, and before any scheduler or person asked for its slots.
    pub counted_since: Option<DateTime<Utc>>,
    /// Runs that were cancelled, ever.
    pub cancelled_count: u64,
    /// The newest settled record of a slot that is due, and later ones.
    pub slots: Vec<SlotRecord>,
    /// The newest slot whose run succeeded.
    pub done_slot_at: Option<DateTime<Utc>>,
    /// Slots that nobody started, due since the instant asked for, oldest first.
    pub missed: Vec<SlotRecord>,
}

/// How the run of a job went that ended last.
#[derive(Debug, Clone, PartialEq)]
pub struct LastEnd {
    /// Success, failed, cancelled or timeout.
    pub status: RunStatus,
    /// When it ended.
    pub completed_at: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Its rows.
    pub totals: RecordTotals,
}

#[derive(QueryableByName)]
struct JobSlot {
    #[diesel(sql_type = Text)]
    job: String,
    #[diesel(sql_type = Text)]
    slot: String,
    #[diesel(sql_type = Timestamp)]
    due_at: NaiveDateTime,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    run_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    claim_count: i64,
    #[diesel(sql_type = BigInt)]
    slot_count: i64,
    #[diesel(sql_type = Timestamp)]
    updated_at: NaiveDateTime,
}

#[derive(QueryableByName)]
struct DoneSlot {
    #[diesel(sql_type = Text)]
    job: String,
    #[diesel(sql_type = Nullable<Timestamp>)]
    due_at: Option<NaiveDateTime>,
}

#[derive(QueryableByName)]
struct EndedRow {
    #[diesel(sql_type = Text)]
    job: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Timestamp)]
    completed_at: NaiveDateTime,
    #[diesel(sql_type = Nullable<Double>)]
    execution_time_seconds: Option<f64>,
    #[diesel(sql_type = BigInt)]
    total_records_processed: i64,
    #[diesel(sql_type = BigInt)]
    total_records_added: i64,
    #[diesel(sql_type = BigInt)]
    total_records_updated: i64,
    #[diesel(sql_type = BigInt)]
    total_records_deleted: i64,
    #[diesel(sql_type = BigInt)]
    total_records_rejected: i64,
}

/// Loads rows of a statement that is written for both databases, with a time as its first parameter or none.
macro_rules! load {
    ($connection:expr, $sql:expr, $($bind:expr)?) => {
        match $connection {
            StoreConnection::Sqlite(file) => diesel::sql_query($sql)$(.bind::<Timestamp, _>($bind))?.load(file),
            StoreConnection::Server(server) => diesel::sql_query($sql)$(.bind::<Timestamp, _>($bind))?.load(server),
        }
    };
}

impl Store {
    /// Returns how every job stands, by id: at an instant by the clock that slots go by, with the slots missed since another.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn standings(&mut self, slot_now: DateTime<Utc>, missed_since: DateTime<Utc>) -> Result<Vec<JobStanding>, StateError> {
        type Columns = (JobRow, Counting, String, i64);
        self.read(|connection| {
            let columns = (JobRow::as_select(), Counting::as_select(), jobs::schedule_fingerprint, jobs::cancelled_count);
            let rows: Vec<Columns> = jobs::table.order(jobs::id).select(columns).load(connection)?;
            let newest: Vec<JobSlot> = load!(connection, NEWEST_SLOTS, naive(slot_now))?;
            let done: Vec<DoneSlot> = load!(connection, DONE_SLOTS, naive(slot_now))?;
            let mut missed: Vec<JobSlot> = load!(connection, MISSED_SLOTS, naive(missed_since))?;
            missed.sort_by_key(|slot| slot.due_at);
            let mut newest = by_job(newest);
            let mut missed = by_job(missed);
            let mut done: HashMap<String, Option<NaiveDateTime>> = done.into_iter().map(|row| (row.job, row.due_at)).collect();
            let standing = |(row, counting, schedule_fingerprint, cancelled): Columns| {
                let record = JobRecord::from(row);
                JobStanding {
                    schedule_fingerprint,
                    counted_since: counting.since(slot_now),
                    cancelled_count: cancelled.unsigned_abs(),
                    slots: newest.remove(&record.id).unwrap_or_default(),
                    done_slot_at: done.remove(&record.id).flatten().map(|at| at.and_utc()),
                    missed: missed.remove(&record.id).unwrap_or_default(),
                    record,
                }
            };
            Ok(rows.into_iter().map(standing).collect())
        })
    }

    /// Returns begin and end of the run of each job during which a slot of it fell due, where there is one; an open run ends now.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn runs_over(&mut self, slots: &[(&str, DateTime<Utc>)], now: DateTime<Utc>) -> Result<Vec<Option<Span>>, StateError> {
        type Columns = (NaiveDateTime, Option<NaiveDateTime>, Option<f64>);
        self.read(|connection| {
            let mut found = Vec::with_capacity(slots.len());
            for (job, at) in slots {
                let before = runs::table.filter(runs::job.eq(job)).filter(runs::started_at.le(naive(*at)));
                let newest = before.order((runs::started_at.desc(), runs::id.desc()));
                let columns = (runs::started_at, runs::completed_at, runs::execution_time_seconds);
                let run: Option<Columns> = newest.select(columns).first(connection).optional()?;
                found.push(run.map(|run| span(run, now)).filter(|(begin, end)| (*begin..*end).contains(at)));
            }
            Ok(found)
        })
    }

    /// Returns how the run of each job went that was begun last of those that ended.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn ended_runs(&mut self) -> Result<HashMap<String, LastEnd>, StateError> {
        self.read(|connection| {
            let rows: Vec<EndedRow> = load!(connection, ENDED_RUNS,)?;
            Ok(rows.into_iter().map(|row| (row.job.clone(), LastEnd::from(row))).collect())
        })
    }
}

/// Begin and end of a run.
type Span = (DateTime<Utc>, DateTime<Utc>);

fn by_job(rows: Vec<JobSlot>) -> HashMap<String, Vec<SlotRecord>> {
    let mut found: HashMap<String, Vec<SlotRecord>> = HashMap::new();
    for row in rows {
        let record = SlotRecord {
            key: row.slot,
            due_at: row.due_at.and_utc(),
            status: SlotStatus::parse(&row.status).expect("held by a CHECK of the table"),
            run_id: row.run_id,
            claims: u32::try_from(row.claim_count).unwrap_or(u32::MAX),
            slot_count: row.slot_count.unsigned_abs(),
            updated_at: row.updated_at.and_utc(),
        };
        found.entry(row.job).or_default().push(record);
    }
    found
}

impl From<EndedRow> for LastEnd {
    fn from(row: EndedRow) -> Self {
        Self {
            status: RunStatus::parse(&row.status).expect("held by a CHECK of the table"),
            completed_at: row.completed_at.and_utc(),
            duration_seconds: row.execution_time_seconds,
            totals: RecordTotals {
                processed: row.total_records_processed.unsigned_abs(),
                added: row.total_records_added.unsigned_abs(),
                updated: row.total_records_updated.unsigned_abs(),
                deleted: row.total_records_deleted.unsigned_abs(),
                rejected: row.total_records_rejected.unsigned_abs(),
            },
        }
    }
}
