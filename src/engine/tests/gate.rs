//! Runs of slots that were claimed before: what was published for a slot is not published again.

use super::*;
use crate::clock::SlotClock;
use crate::run::due::{Rules, SlotStatus};
use crate::state::{Attention, Claim, SlotOrder};

const KEY: &str = "2026-11-24T01:00:00Z";

/// A source with two streams, of which it loads those that it wasn't told to leave out.
const TWO: &str = r#"
say '{"event":"streams","streams":[["a1","a1"],["a2","a2"]]}'
case "$order" in
*'"published_streams":["a1"]'*) ;;
*) phase a1; ready a1; published a1 ;;
esac
phase a2; ready a2; if [ "$answer" = '"publish"' ]; then published a2; else failed a2 dropped 'told to drop'; fi
finished
"#;

/// A bench whose slot was claimed by a process that is gone.
fn interrupted(sources: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(sources);
    bench.job.schedule = Schedule::Interval { every_minutes: 60, minute: 0 };
    bench.options.is_scheduled = true;
    let slot_now = "2026-11-24T01:00:00Z".parse().expect("an instant");
    bench.options.clock = SlotClock::set_to(Some(slot_now));
    let mut store = bench.store();
    let job = NewJob {
        id: "bench".to_owned(),
        file: bench.job.file.display().to_string(),
        fingerprint: bench.job.fingerprint.clone(),
        schedule_fingerprint: bench.job.schedule_fingerprint.clone(),
        owner: process::user_name(),
        host: process::host_name(),
    };
    store.notice_job(&job, Attention::Active, slot_now).expect("the store can be written");
    let process::Identity { pid, start } = process::own();
    let run = NewRun {
        run_id: "0193-dead".to_owned(),
        job: "bench".to_owned(),
        trigger: Trigger::Manual,
        slot: None,
        host: process::host_name(),
        pid,
        process_start: format!("9{start}"),
        user: process::user_name(),
        version: "0".to_owned(),
        sources: bench.job.sources.iter().map(|source| source.name.clone()).collect(),
    };
    let rules = Rules { schedule: &bench.job.schedule, zone: Zone::UTC, lateness: bench.job.lateness, on_overlap: OnOverlap::Skip };
    let order = SlotOrder { rules, now: slot_now };
    let claim = store.begin_slot(&run, &order, &journal::moment(), &process::liveness).expect("the store can be written");
    assert!(matches!(claim, Claim::Started(_)), "{claim:?}");
    drop(store);
    bench
}

fn slot(bench: &Bench) -> (SlotStatus, u32) {
    let slots = bench.store().slots("bench", 10).expect("the store can be read");
    assert_eq!((slots.len(), slots[0].key.as_str()), (1, KEY));
    (slots[0].status, slots[0].claims)
}

#[test]
fn what_the_destination_holds_of_a_slot_is_left_out_when_the_slot_is_run_again() {
    let bench = interrupted(&[("a", TWO)]);
    // Published by a process that died before its log said so, and read by nobody since.
    let record = format!(
        r#"{{"records":[{{"target":"a1","job":"bench","source":"a","stream":"a1","version":4,"run_id":"0193-other","slot":"{KEY}","mode":"full","cursor":null,"rows":5,"schema":[],"committed_at":null}}],"exists":true}}"#
    );
    fs::write(bench.file("inspect"), record).expect("the folder is writable");
    let report = bench.run();
    assert_eq!((report.exit_code, report.trigger, report.slot.as_deref()), (0, Trigger::Schedule, Some(KEY)));
    let streams: Vec<SourceStatus> = report.sources[0].streams.iter().map(|stream| stream.status).collect();
    assert_eq!(streams, [Skipped, Success]);
    assert!(bench.said("answer-a1").is_empty(), "a1 was loaded again");
    assert_eq!(slot(&bench), (SlotStatus::Done, 2));
}

#[test]
fn nothing_is_published_while_the_destination_can_t_tell_what_was() {
    let bench = interrupted(&[("a", TWO)]);
    fs::write(bench.file("inspect"), "no JSON").expect("the folder is writable");
    let report = bench.run();
    assert_eq!((report.status, report.exit_code), (RunStatus::Failed, 1));
    assert!(report.error.as_ref().is_some_and(|error| error.code == "unsettled"), "{:?}", report.error);
    assert!(!bench.said("answer-a2").contains("publish"));
    assert_eq!(slot(&bench), (SlotStatus::Failed, 2));
}

#[test]
fn a_slot_that_is_done_is_not_due_and_a_run_by_hand_claims_none() {
    let mut bench = interrupted(&[("a", "load a")]);
    assert_eq!(bench.run().exit_code, 0);
    let refused = bench.refused();
    assert_eq!((refused.exit_code(), refused.code()), (0, "not_due"));
    bench.options.is_scheduled = false;
    let report = bench.run();
    assert_eq!((report.exit_code, report.slot), (0, None));
    assert_eq!(slot(&bench), (SlotStatus::Done, 2));
}
