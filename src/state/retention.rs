//! Forgets old runs; the last ones of a job are kept however old they are.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::schema::runs;

/// How many runs of a job are never forgotten.
pub(super) const RUNS_KEPT: i64 = 20;

/// Deletes the runs of a job that ended before an instant, with their sources, streams and events, but not its last 20.
pub(super) fn prune(connection: &mut SqliteConnection, job: &str, before: NaiveDateTime) -> QueryResult<()> {
    let newest = runs::table.filter(runs::job.eq(job)).order((runs::started_at.desc(), runs::id.desc()));
    let kept: Vec<String> = newest.select(runs::id).limit(RUNS_KEPT).load(connection)?;
    let old = runs::table.filter(runs::job.eq(job)).filter(runs::completed_at.lt(before)).filter(runs::id.ne_all(kept));
    diesel::delete(old).execute(connection).map(drop)
}
