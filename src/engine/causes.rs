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
    let failed = detail.sources.iter().filter(|source| !matches!(source.status, SourceStatus::Success | SourceStatus::Skipped));
    let failures = failed.filter_map(|source| {
        let kind = job.sources.iter().find(|spec| spec.name == source.source).map(|spec| &spec.kind);
        let server = kind.and_then(|kind| kind.server(masker));
        Some(Failure { source: &source.source, server, error: source.error.as_ref()?, attempts: source.attempt })
    });
    let mut causes = grouped(failures);
    if causes.is_empty() {
        causes.push(whole(detail));
    }
    causes.into_iter().map(|cause| Found { keys: keys(&cause), cause }).collect()
}

/// A source that was not refreshed.
struct Failure<'a> {
    source: &'a str,
    server: Option<String>,
    error: &'a RecordedError,
    attempts: u32,
}

fn grouped<'a>(failures: impl Iterator<Item = Failure<'a>>) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    for Failure { source, server, error, attempts } in failures {
        let host = server.filter(|server| is_named(error, server));
        match causes.iter_mut().find(|cause| is_same(cause, error, host.as_deref())) {
            Some(cause) => {
                cause.sources.push(source.to_owned());
                cause.attempts = cause.attempts.max(attempts);
                if cause.host != host {
                    cause.host = None;
                }
            }
            None => causes.push(Cause {
                sources: vec![source.to_owned()],
                host,
                code: error.code.clone(),
                message: error.message.clone(),
                hint: error.hint.clone(),
                attempts,
            }),
        }
    }
    causes
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
        Some(host) if OF_SERVERS.contains(&code.as_str()) => vec![(format!("{code} at {host}"), sources.clone())],
        _ if sources.is_empty() => vec![(code.clone(), Vec::new())],
        _ => sources.iter().map(|source| (format!("{code} of {source}"), vec![source.clone()])).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups failures of (source, server, code, message); shows each cause as `sources @host code` with its keys.
    fn shown(failures: &[(&str, Option<&str>, &str, &str)]) -> Vec<String> {
        let errors: Vec<RecordedError> = failures
            .iter()
            .map(|(_, _, code, message)| RecordedError { code: (*code).to_owned(), message: (*message).to_owned(), hint: None })
            .collect();
        let failures = failures.iter().zip(&errors).map(|((source, server, ..), error)| Failure {
            source,
            server: server.map(str::to_owned),
            error,
            attempts: 1,
        });
        let cause = |cause: &Cause| {
            let keys: Vec<String> = keys(cause).into_iter().map(|(key, _)| key).collect();
            format!("{} @{}: {}", cause.sources.join("+"), cause.host.as_deref().unwrap_or("-"), keys.join(", "))
        };
        grouped(failures).iter().map(cause).collect()
    }

    const DB1: Option<&str> = Some("db1:5432");

    #[test]
    fn sources_that_are_down_on_one_server_are_one_cause() {
        let down = |source| (source, DB1, "unreachable", "connecting to db1:5432: refused");
        assert_eq!(shown(&[down("a"), down("b")]), ["a+b @db1:5432: unreachable at db1:5432"]);
        let other = ("c", Some("db2:5432"), "unreachable", "connecting to db2:5432: refused");
        assert_eq!(shown(&[down("a"), other]), ["a @db1:5432: unreachable at db1:5432", "c @db2:5432: unreachable at db2:5432"]);
        let slow = ("b", DB1, "timeout", "db1 didn't answer in time");
        assert_eq!(shown(&[down("a"), slow]), ["a @db1:5432: unreachable at db1:5432", "b @db1:5432: timeout at db1:5432"]);
    }

    #[test]
    fn what_concerns_a_table_is_a_cause_of_its_own() {
        let absent = |source, message| (source, DB1, "not_found", message);
        let found = shown(&[absent("a", "db1 has no table a"), absent("b", "db1 has no table b")]);
        assert_eq!(found, ["a @db1:5432: not_found of a", "b @db1:5432: not_found of b"]);
        let found = shown(&[absent("a", "no table a"), absent("b", "no table b")]);
        assert_eq!(found, ["a @-: not_found of a", "b @-: not_found of b"]);
    }

    #[test]
    fn a_destination_that_is_down_is_one_cause_and_no_source_s_server_is_blamed() {
        let down = |source, server| (source, server, "unreachable", "connecting to dwh:5432: refused");
        assert_eq!(
            shown(&[down("a", DB1), down("b", Some("db2:5432")), down("c", None)]),
            ["a+b+c @-: unreachable of a, unreachable of b, unreachable of c"]
        );
    }
}
