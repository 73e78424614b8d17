//! What was told and is forgotten with time, since nothing will say that its trouble is over.

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::rows;
use super::schema::told;

/// Kinds that are forgotten with time: causes that come once.
const PASSING: [&str; 3] = ["missed", "deadline", "schema_change"];

/// The kind of files, which is forgotten where nobody finds them bad any more, and no host is left to find them good.
const OF_FILES: &str = "invalid";

/// What stands, behind the sources of something that was told, before the instant at which it was last found so.
pub const SEEN: &str = "@";

/// Returns when what was told was last found so, where that is remembered.
fn last_seen(sources: &str) -> Option<NaiveDateTime> {
    let at = rows::names(sources).pop()?.strip_prefix(SEEN)?.parse::<DateTime<Utc>>().ok()?;
    Some(at.naive_utc())
}

/// Returns the jobs and causes of files of which nothing was heard since an instant.
fn old_files(connection: &mut StoreConnection, before: NaiveDateTime) -> QueryResult<Vec<(String, String)>> {
    let old = told::table.filter(told::kind.eq(OF_FILES)).filter(told::told_at.lt(before));
    let rows: Vec<(String, String, String)> = old.select((told::job, told::cause, told::sources)).load(connection)?;
    let is_unseen = |sources: &str| last_seen(sources).is_none_or(|at| at < before);
    Ok(rows.into_iter().filter(|(.., sources)| is_unseen(sources)).map(|(job, cause, _)| (job, cause)).collect())
}

/// Whether there is anything that [`prune`] would forget.
pub(super) fn has_old(connection: &mut StoreConnection, before: NaiveDateTime) -> QueryResult<bool> {
    let old = told::table.filter(told::kind.eq_any(PASSING)).filter(told::told_at.lt(before));
    let is_there: bool = diesel::select(diesel::dsl::exists(old)).get_result(connection)?;
    Ok(is_there || !old_files(connection, before)?.is_empty())
}

/// Forgets what was told before an instant; what is to be told again once its trouble is over is kept until then, and so is a file that is
/// still found bad.
pub(super) fn prune(connection: &mut StoreConnection, before: NaiveDateTime) -> QueryResult<()> {
    let old = told::table.filter(told::kind.eq_any(PASSING)).filter(told::told_at.lt(before));
    diesel::delete(old).execute(connection)?;
    for (job, cause) in old_files(connection, before)? {
        diesel::delete(told::table.find((job, OF_FILES, cause))).execute(connection)?;
    }
    Ok(())
}
