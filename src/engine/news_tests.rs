//! What is news and what isn't, as a table of cases.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::notify::Cause;
use crate::run::{Counts, Trigger};
use crate::state::{FailingSources, RunDetail, RunRecord, RunSummary, SourceRecord};

const ACTIVE: JobStatus = JobStatus::Active;
const ERROR: JobStatus = JobStatus::Error;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn told(kind: Kind, cause: &str, minutes: i64) -> Told {
    Told { kind: kind.as_str().to_owned(), cause: cause.to_owned(), sources: vec!["a".to_owned()], at: at(minutes) }
}

fn source(name: &str, status: SourceStatus, rejected: u64) -> SourceRecord {
    SourceRecord { status, counts: Counts { rejected, ..Counts::default() }, ..SourceRecord::waiting(name) }
}

/// The end, at minute 0, of a run of sources a and b whose job was enabled a thousand days ago.
fn ended(status: RunStatus) -> ClosedRun {
    let is_good = status == RunStatus::Success;
    let of_a = if is_good { SourceStatus::Success } else { SourceStatus::Failed };
    let run = RunRecord {
        id: "r1".to_owned(),
        job: "sales".to_owned(),
        status,
        trigger: Trigger::Schedule,
        slot: None,
        started_at: at(-1),
        completed_at: Some(at(0)),
        duration_seconds: Some(60.0),
        exit_code: Some(u8::from(!is_good)),
        summary: RunSummary { sources_processed: if is_good { vec!["a".into(), "b".into()] } else { vec![] }, ..RunSummary::default() },
        is_interrupted: false,
        host: "h".to_owned(),
        pid: 1,
        process_start: "1".to_owned(),
        user: "etl".to_owned(),
        version: "1".to_owned(),
    };
    let sources = vec![source("a", of_a, 0), source("b", of_a, 0)];
    ClosedRun {
        detail: RunDetail { run, sources, streams: Vec::new(), events: Vec::new() },
        slot_at: None,
        last_runs: Vec::new(),
        told: Vec::new(),
        status_before: ACTIVE,
        status_after: ACTIVE,
        status_changed_at: at(-1_440_000),
        consecutive_failures: u64::from(!is_good),
        sources_failing: if is_good { FailingSources::new() } else { [("a".to_owned(), 1), ("b".to_owned(), 1)].into() },
        now: at(0),
    }
}

fn rules(on_success: bool, repeat: Repeat) -> Notifications {
    use Kind::{Deadline, Disabled, Missed, Recovery, RejectedRows, SchemaChange};
    Notifications {
        on_failure: true,
        on_success,
        on: [Recovery, Disabled, Missed, SchemaChange, RejectedRows, Deadline].into_iter().collect(),
        repeat,
        ..Notifications::default()
    }
}

fn judged(run: &ClosedRun, rules: &Notifications, causes: &[&str], changes: &[&str]) -> News {
    let causes: Vec<Found> = causes
        .iter()
        .map(|key| {
            let cause = Cause {
                sources: vec!["a".to_owned()],
                host: None,
                code: (*key).to_owned(),
                message: "m".to_owned(),
                hint: None,
                attempts: 1,
            };
            Found { cause, keys: vec![((*key).to_owned(), vec!["a".to_owned()])] }
        })
        .collect();
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    let sources = ["a".to_owned(), "b".to_owned()];
    let zone = Zone::parse("Europe/Berlin").unwrap();
    news(&Judged { run, rules, zone, failure_threshold: 5, sources: &sources, causes: &causes, changes: &changes })
}

#[track_caller]
fn check(run: &ClosedRun, rules: &Notifications, causes: &[&str], kinds: &[Kind]) {
    assert_eq!(judged(run, rules, causes, &[]).kinds, kinds, "{:?}", run.told);
}

#[test]
fn a_failure_is_told_once_and_a_new_cause_again() {
    let first = rules(false, Repeat::First);
    let run = |told| ClosedRun { told, ..ended(RunStatus::Failed) };
    check(&run(vec![]), &first, &["down"], &[Kind::Failure]);
    check(&run(vec![told(Kind::Failure, "down", -15)]), &first, &["down"], &[]);
    check(&run(vec![told(Kind::Failure, "down", -15)]), &first, &["login"], &[Kind::Failure]);
    check(&run(vec![told(Kind::Failure, "down", -15)]), &first, &["down", "login"], &[Kind::Failure]);
    let both = vec![told(Kind::Failure, "down", -15), told(Kind::Failure, "login", -30)];
    check(&run(both), &first, &["login"], &[]);
    // A kind's memory is its own.
    check(&run(vec![told(Kind::RejectedRows, "down", -15)]), &first, &["down"], &[Kind::Failure]);
    check(&ClosedRun { told: vec![], ..ended(RunStatus::Timeout) }, &first, &["timeout"], &[Kind::Failure]);
}

#[test]
fn a_failure_of_which_nobody_is_told_says_why() {
    let silence = |told, rules: &Notifications| judged(&ClosedRun { told, ..ended(RunStatus::Failed) }, rules, &["down"], &[]).silence;
    let known = vec![told(Kind::Failure, "down", -15)];
    let again = "nobody was told of the failure again: the same was told at 2026-11-18 11:51:40 CET (notify_repeat: ";
    assert_eq!(silence(known.clone(), &rules(false, Repeat::First)), Some(format!("{again}first)")));
    assert_eq!(silence(known.clone(), &rules(false, Repeat::Daily)), Some(format!("{again}daily)")));
    assert_eq!((silence(known.clone(), &rules(false, Repeat::All)), silence(vec![], &rules(false, Repeat::First))), (None, None));
    let nobody = Notifications { on_failure: false, ..rules(false, Repeat::First) };
    assert_eq!(silence(known, &nobody).as_deref(), Some("nobody was told of the failure: notify_on_failure is false"));
}

#[test]
fn what_was_told_before_somebody_enabled_the_job_is_told_again() {
    let run = ClosedRun { told: vec![told(Kind::Failure, "down", -15)], status_changed_at: at(-10), ..ended(RunStatus::Failed) };
    check(&run, &rules(false, Repeat::First), &["down"], &[Kind::Failure]);
}

#[test]
fn all_tells_each_failure_and_daily_one_a_day_of_the_job_s_zone() {
    // at(0) is 12:06 in Berlin.
    let run = |minutes| ClosedRun { told: vec![told(Kind::Failure, "down", minutes)], ..ended(RunStatus::Failed) };
    check(&run(-15), &rules(false, Repeat::All), &["down"], &[Kind::Failure]);
    check(&run(-12 * 60), &rules(false, Repeat::Daily), &["down"], &[]);
    check(&run(-13 * 60), &rules(false, Repeat::Daily), &["down"], &[Kind::Failure]);
    check(&run(-24 * 60 + 1), &rules(false, Repeat::Daily), &["down"], &[Kind::Failure]);
    check(&run(-15), &rules(false, Repeat::Daily), &["login"], &[Kind::Failure]);
}

#[test]
fn a_success_after_failures_that_were_told_is_a_recovery() {
    let first = rules(false, Repeat::First);
    let run = ClosedRun { told: vec![told(Kind::Failure, "down", -15)], ..ended(RunStatus::Success) };
    check(&ended(RunStatus::Success), &first, &[], &[]);
    check(&ended(RunStatus::Success), &rules(true, Repeat::First), &[], &[Kind::Success]);
    let found = judged(&run, &rules(true, Repeat::First), &[], &[]);
    assert_eq!(found.kinds, [Kind::Recovery], "it says that the run was good");
    assert_eq!(found.over, [("failure".to_owned(), "down".to_owned())]);
    let silent = Notifications { on: std::collections::BTreeSet::new(), ..first };
    let found = judged(&run, &silent, &[], &[]);
    assert_eq!((found.kinds, found.over.len()), (vec![], 1), "nobody wants to know, but the next failure is news");
}

#[test]
fn a_success_of_other_sources_is_no_recovery() {
    let mut run = ClosedRun { told: vec![told(Kind::Failure, "down", -15)], ..ended(RunStatus::Success) };
    run.sources_failing = [("a".to_owned(), 1)].into();
    run.detail.sources.remove(0);
    run.detail.run.summary.sources_processed = vec!["b".to_owned()];
    assert_eq!(judged(&run, &rules(false, Repeat::First), &[], &[]), News::default());
    run.detail.sources = vec![source("a", SourceStatus::Success, 0)];
    run.sources_failing.clear();
    run.detail.run.summary.sources_processed = vec!["a".to_owned()];
    check(&run, &rules(false, Repeat::First), &[], &[Kind::Recovery]);
    run.sources_failing = [("b".to_owned(), 1)].into();
    assert_eq!(judged(&run, &rules(false, Repeat::First), &[], &[]), News::default(), "another one fails");
}

/// A good run of source b, after others of some sources refreshed what was told of a.
fn good_in_parts(cause: &str) -> ClosedRun {
    let mut run = ClosedRun { told: vec![told(Kind::Failure, cause, -15)], ..ended(RunStatus::Success) };
    run.detail.sources.remove(0);
    run.detail.run.summary.sources_processed = vec!["b".to_owned()];
    run
}

#[test]
fn a_job_whose_sources_were_refreshed_one_by_one_works_again_after_the_last_of_them() {
    let first = rules(false, Repeat::First);
    check(&good_in_parts("down"), &first, &[], &[Kind::Recovery]);
    check(&good_in_parts("interrupted of a"), &first, &[], &[]);
    check(&ClosedRun { status_changed_at: at(-10), ..good_in_parts("down") }, &first, &[], &[]);
}

#[test]
fn the_message_of_a_failure_says_too_which_rows_were_rejected() {
    let mut run = ended(RunStatus::Failed);
    run.detail.sources[1] = source("b", SourceStatus::Success, 3);
    let found = judged(&run, &rules(false, Repeat::First), &["down"], &[]);
    let told_of: Vec<(&str, &str)> = found.told.iter().map(|told| (told.kind.as_str(), told.cause.as_str())).collect();
    assert_eq!((found.kinds, told_of), (vec![Kind::Failure], vec![("failure", "down"), ("rejected_rows", "b")]));
    let known = ClosedRun { told: vec![told(Kind::Failure, "down", -15)], ..run };
    check(&known, &rules(false, Repeat::First), &["down"], &[Kind::RejectedRows]);
}

#[test]
fn the_run_that_disables_a_job_says_so_in_place_of_the_failure() {
    let first = rules(false, Repeat::First);
    let known = vec![told(Kind::Failure, "down", -15)];
    let run = ClosedRun {
        told: known.clone(),
        status_after: ERROR,
        status_changed_at: at(0),
        consecutive_failures: 5,
        ..ended(RunStatus::Failed)
    };
    check(&run, &first, &["down"], &[Kind::Disabled]);
    let after = ClosedRun { status_before: ERROR, consecutive_failures: 6, ..run.clone() };
    let after = ClosedRun { told: vec![told(Kind::Failure, "down", 0)], now: at(15), ..after };
    check(&after, &first, &["down"], &[]);
    let on = [Kind::Recovery].into_iter().collect();
    check(&run, &Notifications { on, ..first.clone() }, &["down"], &[]);
    let nobody = Notifications { on_failure: false, ..first };
    check(&run, &nobody, &["down"], &[Kind::Disabled]);
}

#[test]
fn the_run_before_the_one_that_would_disable_a_job_warns_once() {
    let first = rules(false, Repeat::First);
    let known = vec![told(Kind::Failure, "down", -15)];
    let run = ClosedRun { told: known, consecutive_failures: 4, ..ended(RunStatus::Failed) };
    let found = judged(&run, &first, &["down"], &[]);
    assert_eq!(found.kinds, [Kind::DisabledSoon]);
    let told_of: Vec<(&str, &str)> = found.told.iter().map(|told| (told.kind.as_str(), told.cause.as_str())).collect();
    assert_eq!(told_of, [("failure", "down"), ("disabled_soon", "")]);
    // A refused run in between leaves the count as it is.
    check(&ClosedRun { told: found.told, now: at(5), ..run.clone() }, &first, &["down"], &[]);
    check(&ClosedRun { consecutive_failures: 3, ..run.clone() }, &first, &["down"], &[]);
    check(&ClosedRun { consecutive_failures: 0, ..run }, &first, &["down"], &[]);
}

#[test]
fn nobody_is_told_of_a_cancelled_run() {
    let run = ClosedRun { told: vec![told(Kind::Failure, "down", -15)], ..ended(RunStatus::Cancelled) };
    assert_eq!(judged(&run, &rules(true, Repeat::All), &["down"], &["t: column x was added"]), News::default());
}

#[test]
fn rejected_rows_are_told_once_until_a_delivery_is_clean() {
    let first = rules(false, Repeat::First);
    let mut run = ended(RunStatus::Success);
    run.detail.sources = vec![source("a", SourceStatus::Success, 3), source("b", SourceStatus::Success, 0)];
    let found = judged(&run, &first, &[], &[]);
    assert_eq!((found.kinds.clone(), found.told[0].cause.as_str(), found.told.len()), (vec![Kind::RejectedRows], "a", 1));
    run.told = found.told;
    check(&run, &first, &[], &[]);
    check(&run, &rules(false, Repeat::All), &[], &[Kind::RejectedRows]);
    run.detail.sources[1].counts.rejected = 1;
    check(&run, &first, &[], &[Kind::RejectedRows]);
    run.detail.sources[0].counts.rejected = 0;
    assert_eq!(judged(&run, &first, &[], &[]).over, [("rejected_rows".to_owned(), "a".to_owned())]);
    // Of a source that failed the failure tells.
    run.detail.sources = vec![source("a", SourceStatus::Failed, 9)];
    run.told.clear();
    check(&run, &first, &[], &[]);
}

#[test]
fn a_change_of_columns_is_told_once_in_thirty_days() {
    let first = rules(true, Repeat::First);
    let change = ["t: column x was added (int64)"];
    let kinds = |told| judged(&ClosedRun { told, ..ended(RunStatus::Success) }, &first, &[], &change).kinds;
    assert_eq!(kinds(vec![]), [Kind::Success, Kind::SchemaChange]);
    assert_eq!(kinds(vec![told(Kind::SchemaChange, change[0], -60)]), [Kind::Success]);
    assert_eq!(kinds(vec![told(Kind::SchemaChange, change[0], -31 * 1440)]), [Kind::Success, Kind::SchemaChange]);
    assert_eq!(kinds(vec![told(Kind::SchemaChange, "t: column y was added", -60)]), [Kind::Success, Kind::SchemaChange]);
}
