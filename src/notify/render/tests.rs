//! What mails say, and that nothing in them is more than text.

use proptest::prelude::*;

use super::*;
use crate::notify::message::{Kind, NO_VALUE, SourceFacts};
use crate::run::{RunStatus, SourceStatus};
use crate::text::is_steering;

#[test]
fn a_failure_says_what_failed_why_and_what_to_do() {
    let rendered = render(&samples::failure());
    assert_eq!(rendered.subject, "[etlsched] Daily sales failed: orders");
    let expected = "\
Daily sales failed
==================

1 of 3 sources was not refreshed. The others are fresh.

Why
---
orders (at db1.example.com:5432):
  connecting to db1.example.com:5432: connection refused
  What to do: check that the server runs and that host and port of its
  connection are right
  (unreachable, 4 attempts)

Commands
--------
Read the whole log:
    etlsched -C /srv/etl logs --run 00000000-0000-7000-8000-000000000000
Load what failed again:
    etlsched -C /srv/etl run daily_sales --retry-failed

Sources
-------
  source       status       rows     took
  orders       failed          0   1m 32s
      attempt 4
  order_lines  success    26,115     12 s
      120 added, 31 updated
  customers    success    26,115     12 s
      120 added, 31 updated

Last runs, the latest at the end
--------------------------------
  + + + t + + + + + + + + + x
  (+ success, t timeout, x failed)

Details
-------
  Job       daily_sales
  Started   Sun 2026-11-29 06:10 CET, by its schedule
  Ended     Sun 2026-11-29 06:13 CET, failed, exit 3
  Took      3m 05s
  Schedule  Daily at 06:10 (Europe/Paris)
  Next run  Mon 2026-11-30 06:10 CET
  Host      etl1

The end of the log
------------------
  2026-11-29 06:10:00 CET info  run started
  2026-11-29 06:12:35 CET info  orders: attempt 4 of 4
  2026-11-29 06:12:37 CET warn  orders: connecting to db1.example.com:5432:
  connection refused
  2026-11-29 06:13:05 CET error run failed

-- 
Told by etlsched on etl1 at Sun 2026-11-29 06:13 CET.
Who is told of what stands in jobs/daily_sales.yaml, else under defaults in
etlsched.yaml: notification_emails, notify_on, notify_repeat.
";
    assert_eq!(rendered.text, expected);
}

#[test]
fn every_kind_says_what_it_is_about_in_its_subject() {
    let subjects: Vec<String> = Kind::ALL.into_iter().map(|kind| render(&samples::of(kind)).subject).collect();
    let expected = [
        "[etlsched] Daily sales failed: orders",
        "[etlsched] Daily sales succeeded: 78,345 rows",
        "[etlsched] Daily sales works again",
        "[etlsched] Daily sales was put into error: its schedule no longer starts it",
        "[etlsched] Daily sales failed and is about to be put into error: 3 of 3 sources",
        "[etlsched] Daily sales missed 3 runs",
        "[etlsched] Daily sales missed its deadline",
        "[etlsched] Daily sales: columns changed",
        "[etlsched] Daily sales: 51 rows rejected",
        "[etlsched] daily_sales can't run: its file has errors",
    ];
    assert_eq!(subjects, expected);
}

#[track_caller]
fn says(kind: Kind, expected: &[&str]) {
    let rendered = render(&samples::of(kind));
    let flat = rendered.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in expected {
        assert!(flat.contains(words), "{kind:?}: {words:?}\n{}", rendered.text);
    }
}

#[test]
fn every_kind_says_what_to_do_about_it() {
    says(Kind::Success, &["All 3 sources were refreshed: 78,345 rows in 3m 05s."]);
    says(
        Kind::Recovery,
        &["Before that, the run of Sat 2026-11-28 06:10 CET failed: connecting to db1.example.com:5432: connection refused."],
    );
    says(
        Kind::Disabled,
        &[
            "5 runs in a row refreshed nothing, so its schedule no longer starts it",
            "etlsched -C /srv/etl enable daily_sales",
            "None of its 3 sources",
        ],
    );
    says(Kind::DisabledSoon, &["4 runs in a row refreshed nothing. One more (failure_threshold is 5)", "run daily_sales --retry-failed"]);
    says(Kind::Missed, &["Missed ------ Thu 2026-11-26 06:13 CET", "etlsched -C /srv/etl schedule status"]);
    says(Kind::Deadline, &["Due --- Sun 2026-11-29 04:13 CET", "etlsched -C /srv/etl run daily_sales"]);
    says(Kind::Deadline, &["Its data should be fresh by Sun 2026-11-29 05:13 CET", "Deadline Sun 2026-11-29 05:13 CET"]);
    says(Kind::SchemaChange, &["orders: column discount added (decimal(12,2))"]);
    says(Kind::RejectedRows, &["17 rejected", "rejected rows: .etlsched/rejects/orders.csv"]);
    says(
        Kind::RejectedRows,
        &[
            "Reasons ------- orders: 15 rows: column total does not fit decimal(12,2) (the first: orders.csv, row 1204, column total: \"n/a\" does not",
        ],
    );
    says(
        Kind::Invalid,
        &[
            "Its schedule starts nothing until the file is good.",
            "jobs/daily_sales.yaml, line 4: hour: expected a whole number from 0 to 23 What to do: write hour: 2",
            "etlsched -C /srv/etl validate daily_sales",
            "Who is told of what stands under defaults in etlsched.yaml",
        ],
    );
}

fn words_of(message: &Message) -> String {
    render(message).text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn rejected_rows_of_a_run_that_failed_are_told_of_what_was_loaded() {
    let all = "were kept aside; all others are loaded. Reasons";
    assert!(words_of(&samples::of(Kind::RejectedRows)).contains(all));
    let mut message = samples::of(Kind::RejectedRows);
    message.sources[0].status = SourceStatus::Failed;
    message.sources[1].records_rejected = 0;
    message.run.as_mut().unwrap().status = RunStatus::Failed;
    let expected = "were kept aside; all others of customers are loaded. The run failed. 1 of 3 sources was not refreshed. The others are fresh. \
                    Reasons ------- order_lines: 15 rows: ";
    let words = words_of(&message);
    assert!(words.starts_with("Daily sales: 17 rows rejected ="), "{words}");
    assert!(words.contains(expected), "{words}");
}

#[test]
fn of_many_missed_slots_the_latest_are_named_and_the_first() {
    let mut message = samples::of(Kind::Missed);
    message.slot_count = 40;
    message.slots_since = Some("2026-11-20T05:00:00Z".parse().unwrap());
    let words = words_of(&message);
    assert!(words.contains("06:13 CET and 37 before them, since Fri 2026-11-20 06:00 CET Commands"), "{words}");
}

#[test]
fn a_good_file_that_lacks_a_value_is_not_said_to_have_errors() {
    let mut message = samples::of(Kind::Invalid);
    let cause = &mut message.causes[0];
    (cause.code, cause.message) = (NO_VALUE.to_owned(), "the variable SHOP_PASSWORD is not set".to_owned());
    assert_eq!(render(&message).subject, "[etlsched] daily_sales can't run: the variable SHOP_PASSWORD is not set");
    let words = words_of(&message);
    assert!(words.contains("until its runs have what is missing; its file is good.") && !words.contains("has errors"), "{words}");
    assert!(words.contains("Who is told of what stands in jobs/daily_sales.yaml"), "{words}");
    let mut several = samples::broken(3);
    for (lacking, expected) in [(3, "variables or secrets have no value"), (1, "errors in files, variables or secrets without a value")] {
        several.roundup.as_mut().unwrap().lacking_count = lacking;
        assert_eq!(render(&several).subject, format!("[etlsched] 3 jobs can't run: {expected}"));
    }
}

#[test]
fn several_jobs_that_missed_their_slots_are_one_mail_with_a_line_each() {
    let rendered = render(&samples::several(4));
    assert_eq!(rendered.subject, "[etlsched] 4 jobs missed runs or their deadlines");
    let expected = "\
4 jobs missed runs or their deadlines
=====================================

These times passed and nothing started the jobs: the host was off, or its
scheduler doesn't run or doesn't know them.

Where a deadline stands, no run has succeeded since the slot before it, and
the data should have been fresh by then.

Jobs
----
  - Daily sales (job_000): 4 runs, Thu 2026-11-26 02:00 CET to Sun
    2026-11-29 02:00 CET
  - job_001: 4 runs, Thu 2026-11-26 02:00 CET to Sun 2026-11-29 02:00 CET
  - job_002: 4 runs, Thu 2026-11-26 02:00 CET to Sun 2026-11-29 02:00 CET;
    deadline Sun 2026-11-29 06:00 CET
  - job_003: deadline Sun 2026-11-29 06:00 CET

Commands
--------
See whether the scheduler has them:
    etlsched -C /srv/etl schedule status
See how all jobs stand:
    etlsched -C /srv/etl check
Run every job that is due:
    etlsched -C /srv/etl run --due

Details
-------
  Host      etl1

-- 
Told by etlsched on etl1 at Sun 2026-11-29 06:13 CET.
Who is told of what stands in the jobs' files and under defaults in
etlsched.yaml: notification_emails, notify_on, notify_repeat.
";
    assert_eq!(rendered.text, expected);
}

#[test]
fn a_thousand_jobs_are_told_by_their_number_and_the_first_of_them() {
    let mut message = samples::several(1000);
    message.roundup.as_mut().unwrap().deadline_count = 0;
    let rendered = render(&message);
    assert_eq!(rendered.subject, "[etlsched] 1,000 jobs missed 3,996 runs");
    for part in [&rendered.text, &rendered.html] {
        assert!(part.contains("job_039") && !part.contains("job_040") && part.contains("and 960 jobs more"), "{part}");
    }
    assert!(rendered.html.len() < 60_000, "{}", rendered.html.len());
    message.roundup.as_mut().unwrap().missed_count = 0;
    assert_eq!(render(&message).subject, "[etlsched] 1,000 jobs missed their deadlines");
    let broken = render(&samples::broken(12));
    assert_eq!(broken.subject, "[etlsched] 12 jobs can't run: their files have errors");
    assert!(broken.text.contains("  - job_011: jobs/job_011.yaml, line 4: hour: expected a whole number from 0"), "{}", broken.text);
    assert!(broken.text.contains("etlsched -C /srv/etl validate\n"), "{}", broken.text);
}

#[test]
fn a_run_of_some_sources_speaks_of_these_alone() {
    let mut message = samples::failure();
    message.sources.truncate(1);
    message.source_count = Some(3);
    let words = words_of(&message);
    assert!(words.contains("orders, 1 of its 3 sources, was not refreshed: its tables hold what its last good run left."), "{words}");
    let mut message = samples::recovery();
    message.sources.truncate(2);
    message.source_count = Some(3);
    let expected = "orders, order_lines, 2 of its 3 sources, were refreshed: 52,230 rows in 3m 05s. None of its sources fails any more. \
                    Before that, the run of Sun 2026-11-29 06:10 CET failed: connecting to db1.example.com:5432: connection refused.";
    let words = words_of(&message);
    assert!(words.contains(expected), "{words}");
    let mut message = samples::failure();
    message.source_count = Some(5);
    let words = words_of(&message);
    assert!(words.contains("1 of 3 sources was not refreshed. The others are fresh. The run was of 3 of its 5 sources. Why"), "{words}");
}

#[test]
fn tables_of_a_source_that_failed_are_told_where_they_are_fresh() {
    let mut message = samples::of(Kind::Failure);
    message.sources.truncate(1);
    let source = &mut message.sources[0];
    (source.tables_in_all, source.tables_refreshed) = (3, vec!["a".to_owned(), "b".to_owned()]);
    let words = words_of(&message);
    let lead =
        "Its source was not refreshed. 2 of its 3 tables are fresh all the same (a, b); what the others hold is of the last good run.";
    assert!(words.contains(lead) && words.contains("attempt 4, 2 of 3 tables refreshed"), "{words}");
}

#[test]
fn a_failure_says_which_rows_were_kept_aside_and_why() {
    let mut message = samples::of(Kind::Failure);
    let rejected = samples::of(Kind::RejectedRows).sources.remove(1);
    message.sources[1] = rejected;
    let words = words_of(&message);
    let lead = "1 of 3 sources was not refreshed. The others are fresh. 17 rows of order_lines could not be loaded and were kept aside.";
    assert!(words.contains(lead) && words.contains("Reasons ------- order_lines: 15 rows: column total does not fit"), "{words}");
}

#[test]
fn an_alarm_that_comes_after_its_all_clear_says_so_first() {
    let message = Message { works_since: Some("2026-11-29T06:00:00Z".parse().unwrap()), ..samples::of(Kind::Failure) };
    let expected = "Daily sales failed ================== This message is late: it could not be sent before. Since Sun 2026-11-29 07:00 CET \
                    the job works again, as a message before this one said. 1 of 3 sources";
    assert!(words_of(&message).contains(expected), "{}", words_of(&message));
}

#[test]
fn what_an_older_version_left_in_the_outbox_is_read() {
    let body = serde_json::to_value(samples::of(Kind::RejectedRows)).unwrap();
    let mut old = body.clone();
    for source in old["sources"].as_array_mut().unwrap() {
        source.as_object_mut().unwrap().remove("reject_reasons");
    }
    assert!(body.get("roundup").is_none(), "what is about one job says no more than before");
    let read: Message = serde_json::from_value(old).unwrap();
    assert_eq!((read.roundup, read.sources[0].reject_reasons.len()), (None, 0));
    assert_eq!(serde_json::from_value::<Message>(body).unwrap(), samples::of(Kind::RejectedRows));
    let several = samples::several(3);
    assert_eq!(serde_json::from_str::<Message>(&serde_json::to_string(&several).unwrap()).unwrap(), several);
}

#[test]
fn a_success_tells_loaded_rows_from_rejected_ones_and_a_table_made_anew_from_changes() {
    let mut message = samples::success();
    message.sources.truncate(1);
    let source = &mut message.sources[0];
    (source.records_processed, source.records_rejected, source.records_left_out) = (10, 6, 1);
    (source.records_added, source.records_updated, source.records_deleted, source.is_replaced) = (3, 0, 3, true);
    let rendered = render(&message);
    assert_eq!(rendered.subject, "[etlsched] Daily sales succeeded: 3 rows loaded, 6 rejected");
    let words = words_of(&message);
    assert!(words.contains("Its source was refreshed: 3 rows loaded, 6 rejected in 3m 05s."), "{words}");
    assert!(words.contains(" orders success 10 12 s table replaced: 3 rows in place of 3, 6 rejected "), "{words}");
    message.sources[0].table_count = 2;
    assert!(words_of(&message).contains(" tables replaced: 3 rows in place of 3"));
    message.sources[0].records_deleted = 0;
    assert!(words_of(&message).contains(" 3 added, 6 rejected "), "the first load replaces nothing");
}

#[test]
fn names_of_wide_characters_leave_the_columns_of_a_table_where_they_are() {
    let mut message = samples::success();
    message.sources[0].name = "売上明細".to_owned();
    let text = render(&message).text;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("  success  ")).collect();
    assert_eq!(
        lines,
        [
            "  売上明細     success    26,115     12 s",
            "  order_lines  success    26,115     12 s",
            "  customers    success    26,115     12 s"
        ]
    );
}

#[test]
fn a_recovery_says_at_least_only_where_the_strip_is_full_of_failures() {
    let recovered = |failures: usize| {
        let mut message = samples::recovery();
        let (good, bad) = (message.strip[13].clone(), message.strip[12].clone());
        message.sources.truncate(2);
        message.strip = std::iter::repeat_n(bad, failures).chain([good]).collect();
        render(&message).text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(recovered(1).contains("Both sources were refreshed: 52,230 rows in 3m 05s. Before that, the run of "));
    assert!(recovered(4).contains("Before that, 4 runs in a row failed, since "));
    assert!(recovered(13).contains("Before that, at least 13 runs in a row failed, since "));
}

#[test]
fn the_sample_of_a_job_with_one_source_failed_as_a_whole() {
    let codes = [1, 2].map(|count| {
        let mut setting = samples::setting("2026-11-29T05:13:05Z");
        setting.sources.truncate(count);
        crate::notify::sample::sample(Kind::Failure, &setting).run.map(|run| run.exit_code)
    });
    assert_eq!(codes, [Some(1), Some(3)]);
}

#[test]
fn commands_in_hints_name_the_workspace_as_those_below_do() {
    let hinted = |hint: &str| {
        let mut message = samples::failure();
        message.causes[0].hint = Some(hint.to_owned());
        render(&message).text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = hinted("take it over: etlsched state reset half --source a; or see `etlsched logs`, a fault of etlsched itself");
    let expected =
        "take it over: etlsched -C /srv/etl state reset half --source a; or see `etlsched -C /srv/etl logs`, a fault of etlsched itself";
    assert!(text.contains(expected), "{text}");
    assert!(hinted("etlsched run a --force").contains("What to do: etlsched -C /srv/etl run a --force"));
}

#[test]
fn a_test_says_so_first() {
    let message = Message { is_test: true, ..samples::failure() };
    let rendered = render(&message);
    assert_eq!(rendered.subject, "[etlsched] TEST: Daily sales failed: orders");
    assert!(rendered.text.starts_with("This is a test: nothing happened.\n"));
    assert!(rendered.html.find("This is a test:").unwrap() < rendered.html.find("<h1").unwrap());
}

#[test]
fn a_mail_of_five_hundred_sources_stays_small_and_shows_those_that_failed() {
    let mut message = samples::failure();
    let good = message.sources[1].clone();
    let named = |number: usize| SourceFacts { name: format!("source_{number}_{}", "x".repeat(200)), ..good.clone() };
    message.sources = (0..500).map(named).collect();
    message.sources[477].status = SourceStatus::Failed;
    message.causes = vec![message.causes[0].clone(); 100];
    for cause in &mut message.causes {
        cause.message = "<&\"' ".repeat(100_000);
        cause.sources = message.sources.iter().map(|source| source.name.clone()).collect();
    }
    message.log_tail = vec!["<".repeat(10_000); 20];
    let rendered = render(&message);
    assert!(rendered.text.len() < 60_000 && rendered.html.len() < 250_000, "{} {}", rendered.text.len(), rendered.html.len());
    for part in [&rendered.text, &rendered.html] {
        assert!(part.contains("source_477_") && part.contains("and 460 more: 460 success") && part.contains("and 92 causes more"));
    }
    message.causes.truncate(1);
    message.causes[0].message = "refused".to_owned();
    message.log_tail.clear();
    let length = render(&message).html.len();
    assert!(length < 100_000, "webmailers cut what is longer than 102 kB: {length}");
}

#[test]
fn a_folder_with_spaces_is_one_word_of_a_command() {
    let message = Message { workspace: "/srv/my etl's; rm -rf".to_owned(), ..samples::failure() };
    let expected = if cfg!(windows) { "-C \"/srv/my etl's; rm -rf\" run" } else { r"-C '/srv/my etl'\''s; rm -rf' run" };
    assert!(render(&message).text.contains(expected));
}

/// A text that means harm, or merely is as data are.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "\r\nBcc: a@b.example\r\n\r\n",
        "<script>alert(1)</script>",
        "\" onmouseover=\"x",
        "' style='x",
        "&lt;b&gt;",
        "</table></td>",
        "<!--",
        "-->",
        "\u{1b}[31m\u{7}",
        "\u{202e}gpj.exe",
        "\0",
        "\u{2028}",
        "=?utf-8?q?x?=",
        "ünïcödé ☃ 数据",
        "\u{e0041}",
        "${HOME}",
        "`rm -rf /`",
        "\n-- \n",
        "]]>",
        "{{x}}",
    ]);
    prop::collection::vec(prop_oneof![parts.prop_map(str::to_owned), any::<String>()], 0..6).prop_map(|parts| parts.concat())
}

/// Takes the tags out of a document, and returns what stands in them and the text between them.
fn parted(html: &str) -> (Vec<String>, String) {
    let (mut tags, mut text) = (Vec::new(), String::new());
    for part in html.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').expect("every tag ends");
        tags.push(tag.to_owned());
        text.push_str(rest);
    }
    (tags, text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_told_is_text_and_nothing_else(words in prop::collection::vec(hostile(), 9), kind in prop::sample::select(Kind::ALL.to_vec())) {
        let mut plain = if kind == Kind::Missed { samples::several(3) } else { samples::of(kind) };
        for source in plain.sources.iter_mut().filter(|source| source.status == SourceStatus::Failed) {
            (source.tables_in_all, source.tables_refreshed) = (3, vec!["t".to_owned()]);
        }
        plain.roundup.iter_mut().flat_map(|roundup| &mut roundup.jobs).for_each(|job| job.problem = Some("p".to_owned()));
        let mut message = plain.clone();
        for job in message.roundup.iter_mut().flat_map(|roundup| &mut roundup.jobs) {
            job.id = format!("i{}", words[1]);
            job.name = words[8].clone();
            job.problem = Some(format!("p{}", words[6]));
        }
        message.job.name = format!("n{}", words[0]);
        message.job.id = format!("i{}", words[1]);
        message.host = words[2].clone();
        message.workspace = words[3].clone();
        if !message.job.schedule.is_empty() {
            message.job.schedule = format!("s{}", words[4]);
        }
        for cause in &mut message.causes {
            cause.message = words[5].clone();
            cause.hint = Some(format!("h{}", words[6]));
            cause.code = words[7].clone();
            cause.sources = vec![words[8].clone()];
            cause.host = Some(words[0].clone());
        }
        for source in &mut message.sources {
            source.name = words[8].clone();
            source.tables_refreshed.iter_mut().for_each(|table| *table = words[4].clone());
            source.rejects_path = source.rejects_path.as_ref().map(|_| words[3].clone());
            for reason in &mut source.reject_reasons {
                reason.what = words[5].clone();
                reason.first = words[7].clone();
            }
        }
        message.schema_changes.iter_mut().for_each(|change| *change = words[5].clone());
        message.last_error.iter_mut().for_each(|error| *error = words[1].clone());
        message.log_tail.iter_mut().for_each(|line| *line = words[6].clone());
        let (rendered, usual) = (render(&message), render(&plain));
        for text in [&rendered.subject, &rendered.text, &rendered.html] {
            prop_assert!(!text.chars().any(|character| is_steering(character) && character != '\n'), "{text:?}");
        }
        prop_assert!(!rendered.subject.contains('\n'));
        let ((tags, _), (usual_tags, _)) = (parted(&rendered.html), parted(&usual.html));
        prop_assert_eq!(&tags, &usual_tags, "data made a tag or an attribute");
        // Every line of ours begins where ours do: data stand behind an indentation or a label.
        let titles = |text: &str| text.lines().filter(|line| line.chars().all(|character| character == '-') && !line.is_empty()).count();
        prop_assert_eq!(titles(&rendered.text), titles(&usual.text));
    }
}
