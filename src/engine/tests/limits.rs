//! Workers that take more than they are allowed to.

use super::*;

/// Takes memory until it is stopped.
const GREEDY: &str = r#"streams greedy; exec awk 'BEGIN { while (1) { i++; held[i] = sprintf("%01000d", i) } }'"#;

#[test]
fn the_largest_worker_is_ended_at_the_memory_limit_and_the_others_go_on() {
    let slow = "streams good; sleep 1; ready good; published good; finished";
    let mut bench = Bench::new(&[("greedy", GREEDY), ("good", slow)]);
    bench.job.limits.memory_limit_mb = 200;
    bench.job.retry = Retry { max_retries: 3, delay_seconds: 0, delay_max_seconds: 1 };
    let report = bench.run();
    assert_eq!((statuses(&report), report.exit_code), (vec![Failed, Success], 3));
    let error = report.sources[0].error.clone().expect("it says why");
    assert_eq!((error.code.as_str(), error.is_transient, report.sources[0].attempt), ("memory_limit", false, 1));
    let figures: Vec<u64> = error.message.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [largest, all, limit] = figures[..] else { panic!("{}", error.message) };
    assert!(limit == 200 && all >= 200 && largest > 100 && largest <= all && all < 1500, "{}", error.message);
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    let recorded = logged.sources[0].error.clone().expect("it is in the log");
    assert_eq!((recorded.code.as_str(), recorded.message), ("memory_limit", error.message));
    assert!(logged.sources[0].peak_memory_mb.is_some_and(|peak| peak > 100.0), "{:?}", logged.sources[0]);
}

#[test]
fn workers_are_told_to_make_smaller_batches_before_the_limit_is_reached() {
    let body = r#"streams a; phase a; (exec awk 'BEGIN { for (i = 0; i < 150000; i++) held[i] = sprintf("%01000d", i); system("sleep 2") }') &
IFS= read -r word; printf '%s' "$word" > "$dir/word"; wait; ready a; published a; finished"#;
    let mut bench = Bench::new(&[("a", body)]);
    // The worker holds 166 MiB: more than four fifths, less than all.
    bench.job.limits.memory_limit_mb = 200;
    let report = bench.run();
    assert_eq!((bench.said("word").as_str(), statuses(&report)), ("\"shrink\"", vec![Success]));
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    assert!(logged.events.iter().any(|event| event.message.contains("of the 200 MiB that memory_limit_mb allows")), "{:?}", logged.events);
}

#[test]
fn workers_give_way_as_the_job_says() {
    let mut bench = Bench::new(&[("a", r#"nice > "$dir/nice"; load a"#)]);
    bench.run();
    let own: u8 = bench.said("nice").trim().parse().expect("a number");
    bench.job.limits.cpu_nice = 5;
    assert_eq!(statuses(&bench.run()), [Success]);
    assert_eq!(bench.said("nice").trim(), (own + 5).min(19).to_string());
}
