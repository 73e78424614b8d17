//! Forgets old runs and slots; the last ones of a job are kept however old they are.

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::connection::naive;
use super::schema::{runs, slots};

/// How many runs of a job are never forgotten.
pub(super) const RUNS_KEPT: i64 = 20;

/// Deletes the runs of a job that ended before an instant, with their sources, streams and events, but not its last 20.
pub(super) fn prune(connection: &mut StoreConnection, job: &str, before: NaiveDateTime) -> QueryResult<()> {
    let newest = runs::table.filter(runs::job.eq(job)).order((runs::started_at.desc(), runs::id.desc()));
    let kept: Vec<String> = newest.select(runs::id).limit(RUNS_KEPT).load(connection)?;
    let old = runs::table.filter(runs::job.eq(job)).filter(runs::completed_at.lt(before)).filter(runs::id.ne_all(kept));
    diesel::delete(old).execute(connection).map(drop)
}

/// So long are slots kept: beyond what `catch_up` and the report of missed slots look back (366 days).
const SLOTS_KEPT_DAYS: i64 = 400;

/// How many slots of a job are never forgotten, whatever the clock says: one that is set to 2030 by mistake must not set claims free.
const SLOTS_KEPT: i64 = 10_000;

/// Deletes the slots of a job that are old by the clock and far behind the newest.
pub(super) fn prune_slots(connection: &mut StoreConnection, job: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let own = slots::table.filter(slots::job.eq(job));
    let newest = own.order(slots::due_at.desc()).select(slots::due_at).offset(SLOTS_KEPT);
    let Some(beyond) = newest.first::<NaiveDateTime>(connection).optional()? else { return Ok(()) };
    let before = beyond.min(naive(now - TimeDelta::days(SLOTS_KEPT_DAYS)));
    diesel::delete(own.filter(slots::due_at.lt(before))).execute(connection).map(drop)
}
