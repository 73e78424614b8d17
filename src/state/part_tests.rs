//! What runs of some sources do to their job's standing, on both back ends.

use chrono::{DateTime, Utc};

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::tests::{alive, at, end, gone, job, moment, new_run};
use super::*;
use crate::run::{RunStatus, SourceStatus};

const POLICY: EndPolicy =
    EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 9000, slot_now: DateTime::UNIX_EPOCH };

on_both_back_ends!(
    a_run_that_leaves_sources_out_renews_the_last_success_only_where_it_makes_the_job_whole,
    a_killed_run_of_some_sources_is_none_of_the_job,
);

/// Lets a run of the two sources, of which some are not to be refreshed, begin and end.
fn run(store: &mut Store, number: u64, ends: &[(&str, SourceStatus)], left_out: &[&str]) {
    let id = format!("r{number}");
    store.register_job(&job("sales"), at(0)).unwrap();
    let sources: Vec<String> = ends.iter().map(|(name, _)| (*name).to_owned()).collect();
    let begun = store.begin_run(&NewRun { sources, ..new_run(&id) }, &moment(number * 10), &alive).unwrap();
    assert_eq!(begun, Begun::Started);
    let is_good = ends.iter().all(|(_, status)| *status == SourceStatus::Success);
    let record = |(name, status): &(&str, SourceStatus)| SourceRecord { status: *status, ..SourceRecord::waiting(*name) };
    let done = RunEnd {
        left_out: left_out.iter().map(|name| (*name).to_owned()).collect(),
        sources: ends.iter().map(record).collect(),
        ..end(&id, if is_good { RunStatus::Success } else { RunStatus::Failed })
    };
    store.close_run(&done, POLICY, at(number * 10 + 1)).unwrap();
}

fn standing(store: &mut Store) -> (Option<DateTime<Utc>>, Vec<String>) {
    let record = store.job("sales").unwrap().unwrap();
    (record.last_success_at, record.sources_failing.keys().cloned().collect())
}

fn a_run_that_leaves_sources_out_renews_the_last_success_only_where_it_makes_the_job_whole(back_end: BackEnd) {
    use SourceStatus::{Failed, Success};
    let home = Home::new(back_end);
    let mut store = home.open();
    run(&mut store, 1, &[("orders", Success), ("customers", Success)], &[]);
    run(&mut store, 2, &[("orders", Success)], &["customers"]);
    assert_eq!(standing(&mut store), (Some(at(11)), Vec::new()), "customers are as old as they were");
    run(&mut store, 3, &[("orders", Failed), ("customers", Success)], &[]);
    run(&mut store, 4, &[("customers", Success)], &["orders"]);
    assert_eq!(standing(&mut store), (Some(at(11)), vec!["orders".to_owned()]));
    run(&mut store, 5, &[("orders", Success)], &["customers"]);
    assert_eq!(standing(&mut store), (Some(at(51)), Vec::new()));
}

fn a_killed_run_of_some_sources_is_none_of_the_job(back_end: BackEnd) {
    use SourceStatus::{Failed, Success};
    let home = Home::new(back_end);
    let mut store = home.open();
    run(&mut store, 1, &[("orders", Success), ("customers", Failed)], &[]);
    store.begin_run(&NewRun { sources: vec!["orders".to_owned()], ..new_run("r2") }, &moment(20), &alive).unwrap();
    let mut dead = store.dead_runs("sales", &moment(21), &gone).unwrap().remove(0);
    dead.left_out = vec!["customers".to_owned()];
    assert!(store.close_dead_run(&dead, &DeadEnd::Success, &moment(21), &gone).unwrap());
    assert_eq!(standing(&mut store), (None, vec!["customers".to_owned()]));
    let Found::One(detail) = store.run("r2").unwrap() else { panic!("r2 is in the log") };
    assert_eq!((detail.run.status, detail.run.summary.sources_skipped), (RunStatus::Success, vec!["customers".to_owned()]));
}
