//! The gate's look at a job: one statement over the job, its latest slots and what waits to be sent, so that a call that finds nothing to do
//! costs one round trip where the store is on a server. What may be due is decided by [`Store::begin_slot`], never here.

use std::path::Path;

use diesel::dsl::{max, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::backends::StoreConnection;
use super::connection::{Store, naive};
use super::error::StateError;
use super::jobs::{JobRecord, JobRow, NewJob};
use super::location::StateLocation;
use super::noticed::{Attention, Seen};
use super::schema::{jobs, slots};
use super::slots::{Counting, SlotOrder, SlotRow, load, written_off};
use crate::run::due::Facts;
use crate::schedule::Slot;

diesel::alias!(slots as newer: Newer);

/// Asks whether anything waits to be told to people: whoever finds that must not be kept from coming again.
const IS_SOMETHING_TO_TELL: &str = "EXISTS (SELECT 1 FROM outbox WHERE closed_at IS NULL)";

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing is to be done.
    Idle {
        /// The latest slot, where nothing can come to be done before the next one, whatever other hosts do.
        settled: Option<Slot>,
    },
    /// Something is to be done, or may be.
    Unclear,
}

type Found = (Seen, JobRow, Counting, Option<SlotRow>, bool);

/// What the gate looks for: the job as its file says it, and its rules.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    /// The job.
    pub job: &'a NewJob,
    /// Whether its file allows it to run.
    pub attention: Attention,
    /// Its rules, and the present instant.
    pub order: SlotOrder<'a>,
}

impl Store {
    /// Opens the store, made when absent, for a look: on a server its answer comes with those that opening asks for.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_for_look(location: &StateLocation, private_folder: &Path, glance: &Glance<'_>) -> Result<Self, StateError> {
        let Some(latest) = glance.order.rules.latest(glance.order.now) else {
            return Self::open_kept(location, private_folder);
        };
        Self::open_asking(location, Some(private_folder), &mut |connection| find(connection, glance, &latest).map(drop))
    }

    /// Looks whether a job has anything to be done; writes nothing. What the store can't tell this way is unclear, and why is told by
    /// whoever goes the whole way.
    pub fn look(&mut self, glance: &Glance<'_>) -> Look {
        let Some(latest) = glance.order.rules.latest(glance.order.now) else { return Look::Unclear };
        match find(&mut self.connection, glance, &latest) {
            Ok(found) => judge(found, glance, &latest),
            Err(_) => Look::Unclear,
        }
    }
}

/// A single statement needs no transaction to see one state of the store.
fn find(connection: &mut StoreConnection, glance: &Glance<'_>, latest: &Slot) -> QueryResult<Vec<Found>> {
    let Glance { job, order: SlotOrder { rules, now }, .. } = glance;
    let (id, now_naive) = (job.id.as_str(), naive(*now));
    let reach = rules.reach(*now).map_or(latest.at, |reach| reach.min(latest.at));
    let is_settled = newer.field(slots::status).ne_all(written_off()).or(newer.field(slots::updated_at).le(now_naive));
    let newest = newer
        .filter(newer.field(slots::job).eq(id))
        .filter(newer.field(slots::due_at).le(now_naive))
        .filter(is_settled)
        .select(max(newer.field(slots::due_at)));
    let is_reached = slots::due_at.ge(naive(reach)).and(slots::due_at.le(now_naive));
    let is_asked = slots::slot.eq(latest.key()).or(is_reached).or(slots::due_at.nullable().eq(newest.single_value()));
    jobs::table
        .left_join(slots::table.on(slots::job.eq(jobs::id).and(is_asked)))
        .filter(jobs::id.eq(id))
        .order(slots::due_at.desc())
        .select((
            Seen::as_select(),
            JobRow::as_select(),
            Counting::as_select(),
            Option::<SlotRow>::as_select(),
            sql::<Bool>(IS_SOMETHING_TO_TELL),
        ))
        .load(connection)
}

fn judge(found: Vec<Found>, glance: &Glance<'_>, latest: &Slot) -> Look {
    let Glance { job, attention, order: SlotOrder { rules, now } } = *glance;
    let (mut known, mut rows) = (None, Vec::new());
    for (seen, record, counting, slot, is_telling) in found {
        rows.extend(slot);
        known = Some((seen, JobRecord::from(record), counting, is_telling));
    }
    let Some((seen, record, counting, is_telling)) = known else { return Look::Unclear };
    let Ok(records) = load(rows) else { return Look::Unclear };
    if seen.is_news(job, attention, naive(now)) {
        return Look::Unclear;
    }
    if !record.is_gate_open(attention, now) {
        return Look::Idle { settled: None };
    }
    let is_run_open = record.last_run.as_ref().is_some_and(|run| run.status.is_open());
    let Some(counted_since) = counting.since(now) else { return Look::Unclear };
    let facts = Facts { counted_since, records, runs: Vec::new() };
    // Runs tell skipped slots from missed ones; where no slot is open they change nothing.
    if is_run_open || !rules.decide(&facts, now).is_idle() {
        return Look::Unclear;
    }
    let is_over = rules.is_over(&facts.records, latest, now);
    Look::Idle { settled: (is_over && !is_telling).then_some(*latest) }
}
