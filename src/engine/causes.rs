//! Why a run failed, one entry a cause: sources that are down on the same server with the same error are one. Pure.

use crate::exit_code;
use crate::job::Job;
use crate::notify::Cause;
use crate::run::{RunStatus, SourceStatus};
use crate::secret::Masker;
use crate::state::{RecordedError, RunDetail};

/// Errors that concern a server rather than what is read of it: on one host they have one cause, though the texts differ.
const OF_SERVERS: [&str; 9] =
    ["disconnected", "login_failed", "no_driver", "rate_limited", "read_only", "server_short", "timeout", "tls", "unreachable"];

/// A cause and what it is remembered by: words that stay the same while the trouble does, each with the sources that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) cause: Cause,
    pub(super) keys: Vec<(String, Vec<String>)>,
}

/// Returns why a run of a job failed; nothing where it didn't.
pub(super) fn found(job: &Job, detail: &RunDetail, masker: &Masker) -> Vec<Found> {
    let run = &detail.run;
    if !matches!(run.status, RunStatus::Failed | RunStatus::Timeout) {
        return Vec::new();
    }
    let mut causes: Vec<Cause> = Vec::new();
    let failed = detail.sources.iter().filter(|source| !matches!(source.status, SourceStatus::Success | SourceStatus::Skipped));
    for source in failed {
        let Some(error) = &source.error else { continue };
        let kind = job.sources.iter().find(|spec| spec.name == source.source).map(|spec| &spec.kind);
        let host = kind.and_then(|kind| kind.server(masker)).filter(|server| is_named(error, server));
        match causes.iter_mut().find(|cause| is_same(cause, error, host.as_deref())) {
            Some(cause) => {
                cause.sources.push(source.source.clone());
                cause.attempts = cause.attempts.max(source.attempt);
                if cause.host != host {
                    cause.host = None;
                }
            }
            None => causes.push(Cause {
                sources: vec![source.source.clone()],
                host,
                code: error.code.clone(),
                message: error.message.clone(),
                hint: error.hint.clone(),
                attempts: source.attempt,
            }),
        }
    }
    if causes.is_empty() {
        causes.push(whole(detail));
    }
    causes.into_iter().map(|cause| Found { keys: keys(&cause), cause }).collect()
}

/// Whether an error tells of the source's own server: the destination's errors have other hosts, or none.
fn is_named(error: &RecordedError, server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    error.message.contains(host)
}

fn is_same(cause: &Cause, error: &RecordedError, host: Option<&str>) -> bool {
    let is_of_server = OF_SERVERS.contains(&error.code.as_str()) && host.is_some() && cause.host.as_deref() == host;
    cause.code == error.code && (is_of_server || cause.message == error.message)
}

/// The cause of a run that failed as a whole, before any of its sources did.
fn whole(detail: &RunDetail) -> Cause {
    let run = &detail.run;
    let code = match run.status {
        RunStatus::Timeout => "timeout",
        _ if run.is_interrupted => "interrupted",
        _ if run.exit_code == Some(exit_code::OVERLAP) => "overlap",
        _ => "failed",
    };
    Cause {
        sources: Vec::new(),
        host: None,
        code: code.to_owned(),
        message: run.summary.error_message.clone().unwrap_or_else(|| "the run failed".to_owned()),
        hint: None,
        attempts: 1,
    }
}

/// What a cause is remembered by. Not its text: that holds values, times and numbers that differ from run to run.
fn keys(cause: &Cause) -> Vec<(String, Vec<String>)> {
    let Cause { sources, host, code, .. } = cause;
    match host {
        Some(host) => vec![(format!("{code} at {host}"), sources.clone())],
        None if sources.is_empty() => vec![(code.clone(), Vec::new())],
        None => sources.iter().map(|source| (format!("{code} of {source}"), vec![source.clone()])).collect(),
    }
}
