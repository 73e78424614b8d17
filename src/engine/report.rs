//! What a run amounts to, for whoever started it and for the log.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::job::DataSource;
use crate::plan::WorkerError;
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};
use crate::state::{JobStatus, RunSummary};

use super::policy::StopReason;
use super::source_run::SourceReport;

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Its id in the log; a dry run has none.
    pub run_id: Option<String>,
    /// The job.
    pub job: String,
    /// What started it.
    pub trigger: Trigger,
    /// The key of the slot that it claimed.
    pub slot: Option<String>,
    /// How it ended.
    pub status: RunStatus,
    /// What the process ends with.
    pub exit_code: u8,
    /// Whether nothing was written anywhere.
    pub is_dry_run: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: DateTime<Utc>,
    /// How long it took, by a clock that never goes back.
    pub duration_seconds: f64,
    /// Its sources, in the job's order.
    pub sources: Vec<SourceReport>,
    /// The reject file of each source, there only where rows were rejected.
    pub rejects: Vec<PathBuf>,
    /// What ended the run before its sources did.
    pub error: Option<WorkerError>,
    /// The job's status before and after, where the run changed it.
    pub job_status: Option<(JobStatus, JobStatus)>,
}

impl RunReport {
    /// Returns how many attempts there were beyond the first of each source.
    pub fn retry_count(&self) -> u32 {
        retry_count(&self.sources)
    }

    /// Returns the reject file of a source, where it rejected rows.
    pub fn rejects_of(&self, index: usize) -> Option<&PathBuf> {
        let source = self.sources.get(index)?;
        if source.counts().rejected > 0 { self.rejects.get(index) } else { None }
    }
}

fn retry_count(sources: &[SourceReport]) -> u32 {
    sources.iter().map(|source| source.attempt.saturating_sub(1)).sum()
}

/// Sums a run up for the log. Sources of the job that the run was not to refresh count as skipped.
pub(super) fn summary(
    sources: &[SourceReport],
    job_sources: &[DataSource],
    stop: Option<&StopReason>,
    status: RunStatus,
    parallel_max: usize,
) -> RunSummary {
    let named = |wanted: &dyn Fn(SourceStatus) -> bool| -> Vec<String> {
        sources.iter().filter(|source| wanted(source.status)).map(|source| source.name.clone()).collect()
    };
    let mut skipped = named(&|status| matches!(status, SourceStatus::Skipped | SourceStatus::Waiting));
    let is_chosen = |name: &str| sources.iter().any(|source| source.name == name);
    skipped.extend(job_sources.iter().filter(|source| !is_chosen(&source.name)).map(|source| source.name.clone()));
    let counts = sources.iter().fold(Counts::default(), |mut sum, source| {
        sum += source.counts();
        sum
    });
    let details: Vec<String> = sources.iter().flat_map(errors_of).collect();
    let message = match (status, stop) {
        (RunStatus::Success, _) => None,
        (_, Some(stop)) => Some(stop.message()),
        (_, None) => details.first().cloned(),
    };
    RunSummary {
        sources_processed: named(&|status| status == SourceStatus::Success),
        sources_failed: named(&|status| matches!(status, SourceStatus::Failed | SourceStatus::Cancelled | SourceStatus::Timeout)),
        sources_skipped: skipped,
        totals: counts.into(),
        bytes_read: sources.iter().flat_map(|source| &source.streams).map(|stream| stream.bytes.0).sum(),
        retry_count: retry_count(sources),
        peak_memory_mb: peak_memory_mb(sources, parallel_max),
        cpu_seconds: Some(sources.iter().map(|source| source.usage.cpu_seconds).sum()),
        error_message: message,
        error_details: (!details.is_empty()).then(|| details.join("\n")),
    }
}

/// The most that the workers can have held at once: the sum of the greatest peaks of as many as ran side by side.
fn peak_memory_mb(sources: &[SourceReport], parallel_max: usize) -> Option<f64> {
    let mut peaks: Vec<f64> = sources.iter().map(|source| source.usage.peak_memory_mb).filter(|peak| *peak > 0.0).collect();
    peaks.sort_by(|left, right| right.total_cmp(left));
    (!peaks.is_empty()).then(|| peaks.iter().take(parallel_max.max(1)).sum())
}

/// Returns each error of a source, with its place.
fn errors_of(source: &SourceReport) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for stream in &source.streams {
        if let Some(error) = &stream.error {
            let place = if stream.name == source.name { String::new() } else { format!(", stream {}", stream.name) };
            errors.push(format!("source {}{place}: {}", source.name, error.message));
        }
    }
    if let (Some(error), true) = (&source.error, errors.is_empty()) {
        errors.push(format!("source {}: {}", source.name, error.message));
    }
    errors
}
