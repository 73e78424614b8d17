//! What the supervisor tells whoever watches a run. Everything in it is free of secrets.

use std::time::Duration;

use crate::plan::{Level, WorkerError};

use super::policy::StopReason;
use super::source_run::SourceReport;
use super::stream_run::StreamReport;

/// Watches a run; must not wait.
pub trait Observer {
    /// Takes a notice.
    fn notice(&mut self, notice: &Notice<'_>);
}

/// Something that happened in a run.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The run may begin: it holds the lease and is in the log (a dry run is in neither).
    RunStarted {
        /// The job.
        job: &'a str,
        /// The run's id.
        run_id: &'a str,
        /// The sources that it will refresh, in order.
        sources: &'a [SourceReport],
    },
    /// An earlier run whose process had died was settled.
    Settled {
        /// The earlier run.
        run_id: &'a str,
        /// What was found, in words.
        finding: &'a str,
    },
    /// Another run of the job holds the lease; this one waits for it.
    Waiting {
        /// Who holds it, in words.
        held_by: &'a str,
    },
    /// A source's worker was started.
    SourceStarted {
        /// The source.
        source: &'a SourceReport,
    },
    /// A stream is further, or in another phase.
    Progress {
        /// Its source.
        source: &'a SourceReport,
        /// The stream.
        stream: &'a StreamReport,
    },
    /// A line for the execution log.
    Log {
        /// How grave it is.
        level: Level,
        /// The source, where it concerns one.
        source: Option<&'a str>,
        /// The stream, where it concerns one.
        stream: Option<&'a str>,
        /// The text.
        message: &'a str,
    },
    /// A stream has ended.
    StreamEnded {
        /// Its source.
        source: &'a SourceReport,
        /// The stream.
        stream: &'a StreamReport,
    },
    /// A source has ended.
    SourceEnded {
        /// The source.
        source: &'a SourceReport,
    },
    /// A source failed in a way that may pass, and is tried again after a while.
    SourcePaused {
        /// The source, as its last attempt ended.
        source: &'a SourceReport,
        /// Why it failed.
        error: &'a WorkerError,
        /// How long until its next attempt.
        delay: Duration,
        /// How many attempts there are at most.
        attempts_max: u32,
    },
    /// The run is being stopped.
    Stopping {
        /// Why.
        reason: &'a StopReason,
    },
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Observer for Unwatched {
    fn notice(&mut self, _notice: &Notice<'_>) {}
}
