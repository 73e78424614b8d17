//! Forgets old runs and slots; the last ones of a job are kept however old they are.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::connection::naive;
use super::schema::{runs, slots};

/// How many runs of a job are never forgotten.
pub(super) const RUNS_KEPT: i64 = 20;

/// Deletes the runs of a job that ended before an instant, with their sources, streams and events, but not its last 20.
pub(super) fn prune(connection: &mut SqliteConnection, job: &str, before: NaiveDateTime) -> QueryResult<()> {
    let newest = runs::table.filter(runs::job.eq(job)).order((runs::started_at.desc(), runs::id.desc()));
    let kept: Vec<String> = newest.select(runs::id).limit(RUNS_KEPT).load(connection)?;
    let old = runs::table.filter(runs::job.eq(job)).filter(runs::completed_at.lt(before)).filter(runs::id.ne_all(kept));
    diesel::delete(old).execute(connection).map(drop)
}

/// So long are slots kept: beyond what `catch_up` and the report of missed slots look back (366 days).
const SLOTS_KEPT_DAYS: i64 = 400;

/// Deletes the old slots of a job, but not its last 20: the latest one must stay claimed, however long ago it was.
pub(super) fn prune_slots(connection: &mut SqliteConnection, job: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let before = naive(now - TimeDelta::days(SLOTS_KEPT_DAYS));
    let own = slots::table.filter(slots::job.eq(job));
    let oldest: Option<NaiveDateTime> = own.order(slots::due_at).select(slots::due_at).first(connection).optional()?;
    if oldest.is_none_or(|oldest| oldest >= before) {
        return Ok(());
    }
    let kept = own.filter(slots::due_at.le(naive(now))).order(slots::due_at.desc()).select(slots::slot).limit(RUNS_KEPT);
    let kept: Vec<String> = kept.load(connection)?;
    diesel::delete(own.filter(slots::due_at.lt(before)).filter(slots::slot.ne_all(kept))).execute(connection).map(drop)
}
