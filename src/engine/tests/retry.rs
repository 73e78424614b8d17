//! Sources that are tried again, with workers that say what they are told to.

use super::*;
use crate::plan::Level;

/// Fails in a way that passes, until its third attempt.
const THIRD: &str = r#"
printf x >> "$dir/begun-a"
streams a
if [ "$(wc -c < "$dir/begun-a")" -lt 3 ]; then failed a unreachable 'no answer from hunter22' true; finished; fi
ready a; published a; finished
"#;

/// Fails each time in a way that passes.
const NEVER: &str = r#"printf x >> "$dir/begun-a"; streams a; failed a unreachable 'connection refused' true; finished"#;

fn retrying(sources: &[(&str, &str)], max_retries: u32, delay_seconds: u32) -> Bench {
    let mut bench = Bench::new(sources);
    bench.job.retry = Retry { max_retries, delay_seconds, delay_max_seconds: 600 };
    bench
}

fn id(report: &RunReport) -> &str {
    report.run_id.as_deref().expect("it has an id")
}

#[test]
fn an_error_that_passes_is_tried_again_by_a_new_worker_each_time_and_logged_with_its_reason() {
    let bench = retrying(&[("a", THIRD), ("b", "load b")], 3, 0);
    let mut told = Vec::new();
    let report = bench.watched(|notice| {
        if let Notice::SourcePaused { source, error, delay, attempts_max } = notice {
            told.push((source.attempt, error.code.clone(), *delay, *attempts_max));
        }
    });
    assert_eq!((statuses(&report), report.exit_code), (vec![Success, Success], 0));
    let one = |attempt| (attempt, "unreachable".to_owned(), Duration::ZERO, 4);
    assert_eq!(told, [one(1), one(2)]);
    assert_eq!((report.sources[0].attempt, bench.said("begun-a").as_str()), (3, "xxx"));
    let logged = bench.logged(id(&report));
    assert_eq!((logged.run.summary.retry_count, logged.sources[0].attempt, logged.streams[0].attempt), (2, 3, 3));
    assert_eq!((logged.sources[0].error.clone(), logged.streams[0].error.clone()), (None, None));
    let lines: Vec<&str> = logged.events.iter().map(|event| event.message.as_str()).filter(|text| text.starts_with("attempt")).collect();
    assert_eq!(
        lines,
        [
            "attempt 1 of 4 failed (unreachable): no answer from ***; the next one begins in 0.0 s",
            "attempt 2 begins",
            "attempt 2 of 4 failed (unreachable): no answer from ***; the next one begins in 0.0 s",
            "attempt 3 begins",
        ]
    );
}

#[test]
fn an_error_that_does_not_pass_is_never_tried_again() {
    for body in [
        r#"printf x >> "$dir/begun-a"; streams a; failed a login_failed 'password refused'; finished"#,
        r#"printf x >> "$dir/begun-a"; streams a; kill -ABRT $$"#,
        r#"printf x >> "$dir/begun-a"; streams a; exit 3"#,
        r#"printf x >> "$dir/begun-a"; streams a; echo nonsense; sleep 10"#,
    ] {
        let bench = retrying(&[("a", body)], 3, 0);
        let report = bench.run();
        assert_eq!((statuses(&report), bench.said("begun-a").as_str()), (vec![Failed], "x"), "{body}");
        assert_eq!(bench.logged(id(&report)).run.summary.retry_count, 0);
    }
}

#[test]
fn there_are_max_retries_more_attempts_and_then_the_source_has_failed() {
    for (max_retries, begun) in [(0, "x"), (2, "xxx")] {
        let bench = retrying(&[("a", NEVER)], max_retries, 0);
        let report = bench.run();
        assert_eq!((statuses(&report), report.exit_code, bench.said("begun-a").as_str()), (vec![Failed], 1, begun));
        assert_eq!(message(&report, 0), "connection refused");
        let logged = bench.logged(id(&report));
        assert_eq!(logged.run.summary.retry_count, max_retries);
        let reason = match max_retries {
            0 => "failed (unreachable): connection refused",
            _ => "attempt 3 of 3 failed, the last (unreachable): connection refused",
        };
        let errors = logged.events.iter().filter(|event| event.level == Level::Error);
        let errors: Vec<(Option<&str>, &str)> = errors.map(|event| (event.source.as_deref(), event.message.as_str())).collect();
        assert_eq!(errors, [(Some("a"), reason)]);
    }
}

#[test]
fn a_dry_run_tries_once() {
    let mut bench = retrying(&[("a", NEVER)], 3, 0);
    bench.options.dry_run = Some(DryRun { limit: None });
    assert_eq!((statuses(&bench.run()), bench.said("begun-a").as_str()), (vec![Failed], "x"));
}

#[test]
fn a_source_that_can_not_begin_at_all_is_tried_again_too() {
    let body = r#"printf x >> "$dir/begun-a"
if [ "$(wc -c < "$dir/begun-a")" -lt 2 ]; then
    say '{"event":"finished","error":{"code":"disconnected","message":"the server starts up","hint":null,"is_transient":true}}'; exit 0
fi
load a"#;
    let report = retrying(&[("a", body)], 1, 0).run();
    assert_eq!((statuses(&report), report.sources[0].attempt), (vec![Success], 2));
}

#[test]
fn an_attempt_takes_only_the_streams_that_no_attempt_before_has_settled() {
    // Published, refused for good, and passing: only the third is left for the second attempt.
    let body = r#"
printf '%s\n' "$order" | sed 's/.*"published_streams":\(\[[^]]*\]\).*/\1/' >> "$dir/left-out"
say '{"event":"streams","streams":[["a1","a1"],["a2","a2"],["a3","a3"]]}'
case "$order" in
*'"attempt":1'*)
    phase a1; ready a1; published a1
    phase a2; failed a2 check_failed 'too few rows'
    phase a3; failed a3 conflict deadlock true ;;
*) phase a3; ready a3; published a3 ;;
esac
finished
"#;
    let bench = retrying(&[("a", body)], 3, 0);
    let report = bench.run();
    assert_eq!(bench.said("left-out"), "[]\n[\"a1\",\"a2\"]\n");
    assert_eq!((statuses(&report), message(&report, 0)), (vec![Failed], "too few rows"));
    let logged = bench.logged(id(&report));
    let streams: Vec<_> = logged.streams.iter().map(|stream| (stream.stream.as_str(), stream.status, stream.attempt)).collect();
    assert_eq!(streams, [("a1", Success, 1), ("a2", Failed, 1), ("a3", Success, 2)]);
    assert_eq!((logged.run.summary.totals.added, logged.run.summary.retry_count), (6, 1));
}

#[test]
fn a_stop_or_the_time_limit_ends_a_wait_at_once() {
    for (timeout, status, exit_code, words) in [
        (None, Cancelled, 130, "cancelled by SIGINT (Ctrl-C), while it waited to be tried again; attempt 1 had failed: connection refused"),
        (Some(700), Timeout, 124, "the run's time limit of 0.7 s passed, while it waited to be tried again"),
    ] {
        let mut bench = retrying(&[("a", NEVER)], 3, 100_000);
        // Any delay but one of no length: the jitter is full.
        bench.job.retry.delay_max_seconds = 86_400;
        bench.options.timeout = timeout.map(Duration::from_millis);
        let began = Instant::now();
        let report = bench.watched(|notice| {
            if timeout.is_none() && matches!(notice, Notice::SourcePaused { .. }) {
                bench.stop.request(StopSignal::Interrupt);
            }
        });
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!((statuses(&report), report.exit_code, bench.said("begun-a").as_str()), (vec![status], exit_code, "x"));
        assert!(message(&report, 0).starts_with(words), "{}", message(&report, 0));
    }
}

#[test]
fn a_run_that_lost_its_lease_begins_no_further_attempt() {
    let bench = retrying(&[("a", NEVER)], 3, 0);
    let report = bench.watched(|notice| {
        if let Notice::SourcePaused { .. } = notice {
            let thief = rusqlite::Connection::open(bench.state_path()).expect("the store is there");
            thief.execute("DELETE FROM leases", []).expect("it can be written");
        }
    });
    assert_eq!((statuses(&report), report.exit_code, bench.said("begun-a").as_str()), (vec![Failed], 1, "x"));
    assert!(message(&report, 0).contains("lost its lease"), "{}", message(&report, 0));
}

/// Asks for a rest of so many seconds, once.
fn asking(seconds: u64) -> String {
    let error =
        format!(r#"{{"code":"http_status","message":"503","hint":null,"is_transient":true,"retry_after":{{"secs":{seconds},"nanos":0}}}}"#);
    format!(
        r#"printf x >> "$dir/begun-a"
if [ "$(wc -c < "$dir/begun-a")" -lt 2 ]; then say '{{"event":"finished","error":{error}}}'; exit 0; fi
load a"#
    )
}

#[test]
fn the_other_side_is_left_alone_for_as_long_as_it_asks() {
    let bench = retrying(&[("a", &asking(1))], 3, 0);
    let began = Instant::now();
    let report = bench.run();
    assert_eq!(statuses(&report), [Success]);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_rest_beyond_the_time_limit_is_not_waited_for() {
    let bench = retrying(&[("a", &asking(7200))], 3, 0);
    let report = bench.run();
    assert_eq!((statuses(&report), message(&report, 0), report.exit_code), (vec![Failed], "503", 1));
    let logged = bench.logged(id(&report));
    assert!(logged.events.iter().any(|event| event.message.contains("asks for 7200 s")), "{:?}", logged.events);
}

#[test]
fn a_source_that_waits_leaves_its_room_to_others() {
    let mut bench = retrying(&[("a", &asking(1)), ("b", "load b")], 3, 0);
    bench.job.is_parallel = false;
    let mut ended = Vec::new();
    let report = bench.watched(|notice| {
        if let Notice::SourceEnded { source } = notice {
            ended.push(source.name.clone());
        }
    });
    assert_eq!((statuses(&report), ended), (vec![Success, Success], vec!["b".to_owned(), "a".to_owned()]));
}

#[test]
fn what_every_attempt_used_is_added_up() {
    let body = r#"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; printf x >> "$dir/begun-a"; streams a
if [ "$(wc -c < "$dir/begun-a")" -lt 2 ]; then failed a locked 'held' true; finished; fi
ready a; published a; finished"#;
    let once = Bench::new(&[("a", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; load a")]).run().sources[0].usage.cpu_seconds;
    let report = retrying(&[("a", body)], 1, 0).run();
    assert_eq!(report.sources[0].attempt, 2);
    assert!(report.sources[0].usage.cpu_seconds > 1.2 * once, "{} of {once}", report.sources[0].usage.cpu_seconds);
}
