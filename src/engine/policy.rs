//! How a run ended, by how its sources ended and by what stopped it. Pure.

use std::time::Duration;

use crate::exit_code;
use crate::process::StopSignal;
use crate::run::{RunStatus, SourceStatus};
use crate::state::LEASE_LOST_AFTER;
use crate::text::count;

/// What ended a run before its sources did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT or SIGTERM.
    Signal(StopSignal),
    /// `etlsched cancel`.
    Requested,
    /// The run's time limit.
    Timeout(Duration),
    /// The lease could not be renewed: another run may begin, so this one must not publish.
    LeaseLost(String),
    /// It was not renewed for so long that it is lost, though no other run has begun yet: the process or its machine was stopped.
    LeaseLapsed(Duration),
    /// The state store can't be written any more.
    StoreFailed(String),
    /// The destination can't tell what interrupted runs of the slot have published.
    Unsettled(String),
}

impl StopReason {
    /// Returns what a source that it ended is, in the log.
    pub fn source_status(&self) -> SourceStatus {
        match self {
            Self::Signal(_) | Self::Requested => SourceStatus::Cancelled,
            Self::Timeout(_) => SourceStatus::Timeout,
            Self::LeaseLost(_) | Self::LeaseLapsed(_) | Self::StoreFailed(_) | Self::Unsettled(_) => SourceStatus::Failed,
        }
    }

    /// Returns the stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signal(_) | Self::Requested => "cancelled",
            Self::Timeout(_) => "timeout",
            Self::LeaseLost(_) | Self::LeaseLapsed(_) => "lease_lost",
            Self::StoreFailed(_) => "state",
            Self::Unsettled(_) => "unsettled",
        }
    }

    /// Returns what happened, in words.
    pub fn message(&self) -> String {
        match self {
            Self::Signal(StopSignal::Interrupt) => "cancelled by SIGINT (Ctrl-C)".to_owned(),
            Self::Signal(StopSignal::Terminate) => "cancelled by SIGTERM".to_owned(),
            Self::Requested => "cancelled by etlsched cancel".to_owned(),
            Self::Timeout(limit) => format!("the run's time limit of {} passed", duration_words(*limit)),
            Self::LeaseLost(why) => format!("the run lost its lease: {why}"),
            Self::LeaseLapsed(age) => format!(
                "interrupted: the run lost its lease, which was not renewed for {} s ({} s at most): its process was stopped, or its machine was asleep",
                age.as_secs(),
                LEASE_LOST_AFTER.as_secs()
            ),
            Self::StoreFailed(why) => format!("the state store could not be written: {why}"),
            Self::Unsettled(why) => {
                format!("an earlier run of this slot was interrupted, and the destination can't tell what it published: {why}")
            }
        }
    }
}

fn duration_words(limit: Duration) -> String {
    let seconds = limit.as_secs();
    if seconds > 0 && seconds.is_multiple_of(60) { count(seconds / 60, "minute") } else { format!("{} s", limit.as_secs_f64()) }
}

/// Returns a run's status and exit code. `sources` are those that the run was to refresh; of one that failed some tables may have been
/// published all the same.
pub fn outcome(sources: &[SourceStatus], has_published_some: bool, stop: Option<&StopReason>) -> (RunStatus, u8) {
    let refreshed = sources.iter().filter(|status| **status == SourceStatus::Success).count();
    let failed = if refreshed > 0 || has_published_some { exit_code::PARTLY_FAILED } else { exit_code::FAILED };
    match stop {
        // A run whose log can't be closed is never called good, whatever it published.
        Some(StopReason::StoreFailed(_)) => (RunStatus::Failed, exit_code::FAILED),
        // What came too late changes nothing.
        _ if refreshed == sources.len() => (RunStatus::Success, exit_code::DONE),
        Some(StopReason::Signal(signal)) => (RunStatus::Cancelled, signal.exit_code()),
        Some(StopReason::Requested) => (RunStatus::Cancelled, exit_code::TERMINATED),
        Some(StopReason::Timeout(_)) => (RunStatus::Timeout, exit_code::TIMEOUT),
        Some(StopReason::LeaseLost(_) | StopReason::LeaseLapsed(_) | StopReason::Unsettled(_)) | None => (RunStatus::Failed, failed),
    }
}

/// Returns the exit code of several jobs: their common one, else 3.
pub fn common_exit_code(codes: &[u8]) -> u8 {
    match codes {
        [] => exit_code::DONE,
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ => exit_code::PARTLY_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SourceStatus::{Cancelled, Failed, Skipped, Success, Timeout};

    #[test]
    fn the_outcome_of_a_run_follows_from_its_sources_and_its_stop() {
        let interrupt = StopReason::Signal(StopSignal::Interrupt);
        let terminate = StopReason::Signal(StopSignal::Terminate);
        let limit = StopReason::Timeout(Duration::from_secs(60));
        let lost = StopReason::LeaseLost("gone".to_owned());
        let lapsed = StopReason::LeaseLapsed(Duration::from_secs(61));
        let store = StopReason::StoreFailed("disk full".to_owned());
        let cases: &[(&[SourceStatus], Option<&StopReason>, RunStatus, u8)] = &[
            (&[Success, Success], None, RunStatus::Success, 0),
            (&[Failed, Failed], None, RunStatus::Failed, 1),
            (&[Success, Failed], None, RunStatus::Failed, 3),
            (&[Success, Skipped], None, RunStatus::Failed, 3),
            (&[Success, Cancelled], Some(&interrupt), RunStatus::Cancelled, 130),
            (&[Skipped, Cancelled], Some(&terminate), RunStatus::Cancelled, 143),
            (&[Cancelled], Some(&StopReason::Requested), RunStatus::Cancelled, 143),
            (&[Success, Success], Some(&interrupt), RunStatus::Success, 0),
            (&[Timeout, Skipped], Some(&limit), RunStatus::Timeout, 124),
            (&[Success, Timeout], Some(&limit), RunStatus::Timeout, 124),
            (&[Failed], Some(&lost), RunStatus::Failed, 1),
            (&[Success, Failed], Some(&lost), RunStatus::Failed, 3),
            (&[Failed], Some(&lapsed), RunStatus::Failed, 1),
            (&[Success], Some(&lapsed), RunStatus::Success, 0),
            (&[Success], Some(&store), RunStatus::Failed, 1),
        ];
        for (sources, stop, status, code) in cases {
            assert_eq!(outcome(sources, false, *stop), (*status, *code), "{sources:?} {stop:?}");
        }
        assert_eq!(outcome(&[Failed], true, None), (RunStatus::Failed, 3), "a table of the source was published");
    }

    #[test]
    fn several_jobs_share_an_exit_code_or_end_with_3() {
        for (codes, common) in [(&[0_u8, 0][..], 0), (&[1, 1], 1), (&[0, 1], 3), (&[4, 0], 3), (&[4], 4), (&[124, 124], 124)] {
            assert_eq!(common_exit_code(codes), common, "{codes:?}");
        }
    }
}
