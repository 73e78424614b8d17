//! Which sources of a job fail: those that the last run of each did not refresh, and how many runs in a row that was so. A run of some
//! sources alone says nothing of the others. Pure, but for one column.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::backends::StoreConnection;
use super::schema::jobs;
use crate::run::SourceStatus;

/// Runs in a row that did not refresh a source, by its name, counted since the job's status was changed; one that was refreshed is not there.
pub type FailingSources = BTreeMap<String, u64>;

/// The column where no source fails.
pub(super) const NONE: &str = "{}";

/// What the end of a run says of a job's sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    /// How each source of the run ended.
    pub(super) sources: &'a [(&'a str, SourceStatus)],
    /// The sources of the job that the run left out: they are as they were.
    pub(super) left_out: &'a [&'a str],
    /// Whether what was not refreshed counts: not where the run was cancelled or interrupted.
    pub(super) is_counted: bool,
}

/// Returns which sources fail after a run; one that the job doesn't have any more is forgotten.
pub(super) fn after(before: &FailingSources, ends: Ends<'_>) -> FailingSources {
    let known = |name: &str| before.get(name).copied();
    let left_out = ends.left_out.iter().filter_map(|name| Some(((*name).to_owned(), known(name)?)));
    let own = ends.sources.iter().filter_map(|(name, status)| {
        let runs = match status {
            SourceStatus::Success => None,
            _ if ends.is_counted => Some(known(name).unwrap_or(0) + 1),
            _ => known(name),
        };
        Some(((*name).to_owned(), runs?))
    });
    left_out.chain(own).collect()
}

/// Whether a source failed that the job doesn't have any more: it may have another name now, and was not refreshed under it.
pub(super) fn is_any_unknown(before: &FailingSources, sources: &[(&str, SourceStatus)], left_out: &[&str]) -> bool {
    before.keys().any(|name| sources.iter().all(|(own, _)| own != name) && !left_out.contains(&name.as_str()))
}

pub(super) fn read(connection: &mut StoreConnection, job: &str) -> QueryResult<FailingSources> {
    let text: String = jobs::table.find(job).select(jobs::sources_failing).first(connection)?;
    Ok(of_text(&text))
}

pub(super) fn write(connection: &mut StoreConnection, job: &str, failing: &FailingSources) -> QueryResult<()> {
    diesel::update(jobs::table.find(job)).set(jobs::sources_failing.eq(text(failing))).execute(connection).map(drop)
}

/// Returns what stands in the column.
pub(super) fn text(failing: &FailingSources) -> String {
    serde_json::to_string(failing).expect("names and numbers are JSON")
}

/// Reads the column back.
pub(super) fn of_text(text: &str) -> FailingSources {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use SourceStatus::{Cancelled, Failed, Skipped, Success, Timeout};

    fn failing(pairs: &[(&str, u64)]) -> FailingSources {
        pairs.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect()
    }

    #[track_caller]
    fn check(before: &[(&str, u64)], sources: &[(&str, SourceStatus)], left_out: &[&str], is_counted: bool, expected: &[(&str, u64)]) {
        assert_eq!(after(&failing(before), Ends { sources, left_out, is_counted }), failing(expected));
    }

    #[test]
    fn a_source_fails_until_a_run_refreshes_it() {
        check(&[], &[("a", Success), ("b", Failed)], &[], true, &[("b", 1)]);
        check(&[("b", 1)], &[("a", Success), ("b", Timeout)], &[], true, &[("b", 2)]);
        check(&[("b", 2)], &[("a", Skipped), ("b", Success)], &[], true, &[("a", 1)]);
    }

    #[test]
    fn what_a_run_left_out_is_as_it_was() {
        check(&[("b", 2)], &[("a", Success)], &["b", "c"], true, &[("b", 2)]);
        check(&[("b", 2), ("c", 1)], &[("b", Success)], &["a", "c"], true, &[("c", 1)]);
    }

    #[test]
    fn a_run_that_was_cancelled_counts_what_it_refreshed_alone() {
        check(&[("a", 1), ("b", 2)], &[("a", Success), ("b", Cancelled), ("c", Cancelled)], &[], false, &[("b", 2)]);
    }

    #[test]
    fn a_source_that_the_job_has_no_more_is_forgotten() {
        check(&[("old", 7)], &[("a", Success)], &[], true, &[]);
    }
}
