//! The page as text: what stands in it without a script, and what hostile names become.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::engine::survey::{BrokenFile, Cause, Coming, JobSurvey, Lane, Outcome, Standing, Survey};
use crate::run::Trigger;
use crate::run::due::SlotStatus;
use crate::schedule::forecast::{Forecast, Hour, Overlap};
use crate::state::{SlotMark, StreamMark};

const HOSTILE: &str = "</script><!--<img src=x onerror=alert(1)>\"'&\u{202e}\u{2028}";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn frame() -> Frame {
    Frame {
        workspace: "/srv/etl".to_owned(),
        host: "db1".to_owned(),
        zone: Zone::parse("Europe/Berlin").unwrap(),
        made_at: at("2026-11-24T12:00:00Z"),
        hours_ahead: 24,
    }
}

/// Four runs of one job, the last of which failed.
fn sample(text: &str) -> Survey {
    let lane = Lane {
        started_at: [1, 2, 3, 4].map(|hour| at("2026-11-24T00:00:00Z") + TimeDelta::hours(hour)).to_vec(),
        seconds: vec![1.5, 61.0, 2.0, 0.3],
        rows: vec![10, 1_000, 20, 0],
        outcomes: vec![Outcome::Success, Outcome::Success, Outcome::Success, Outcome::Failed],
        triggers: vec![Trigger::Schedule, Trigger::CatchUp, Trigger::Manual, Trigger::Ci],
        rejected: 3,
        failed: vec![(3, Some(0))],
        failed_ids: vec![(3, "01932f3c-5a1e-7abc-8def-0123456789ab".to_owned())],
        last_error: Some(text.to_owned()),
    };
    let missed = |hour: u32, times| SlotMark {
        job: "sales".to_owned(),
        due_at: at("2026-11-23T00:00:00Z") + TimeDelta::hours(hour.into()),
        status: SlotStatus::Missed,
        slot_count: times,
    };
    let stream = StreamMark {
        job: "sales".to_owned(),
        source: text.to_owned(),
        stream: text.to_owned(),
        target: text.to_owned(),
        tried_at: at("2026-11-24T04:00:00Z"),
        published_at: Some(at("2026-11-24T03:00:02Z")),
    };
    let job = JobSurvey {
        id: "sales".to_owned(),
        name: text.to_owned(),
        schedule: "Hourly at minute 0".to_owned(),
        zone: Some(Zone::UTC),
        standing: Standing::Failing,
        last_run_at: Some(at("2026-11-24T04:00:00Z")),
        last_success_at: Some(at("2026-11-24T03:00:02Z")),
        health: None,
        next: [13, 14, 16].map(|hour| at("2026-11-24T00:00:00Z") + TimeDelta::hours(hour)).to_vec(),
        lane,
        slots: vec![missed(1, 40), missed(2, 1)],
        streams: vec![stream],
    };
    let cause = Cause {
        code: "refused".to_owned(),
        message: text.to_owned(),
        hint: Some(text.to_owned()),
        times: 1,
        jobs: vec!["sales".to_owned()],
        job_count: 1,
        first_at: at("2026-11-24T04:00:00Z"),
        last_at: at("2026-11-24T04:00:00Z"),
        last_run_id: "01932f3c-5a1e-7abc-8def-0123456789ab".to_owned(),
    };
    let hour = Hour { at: at("2026-11-24T13:00:00Z"), starts: 1, busy: TimeDelta::seconds(2), most_at_once: 1 };
    let overlap = Overlap {
        jobs: vec![text.to_owned(), "b".to_owned()],
        first_at: at("2026-11-24T13:00:00Z"),
        times: 2,
        shared: TimeDelta::seconds(9),
    };
    let forecast = Forecast { hours: vec![hour], overlaps: vec![overlap], overruns: vec![text.to_owned()], shared: TimeDelta::seconds(9) };
    Survey {
        now: at("2026-11-24T12:00:00Z"),
        since: at("2026-11-23T00:00:00Z"),
        asked_since: None,
        until: at("2026-11-25T12:00:00Z"),
        jobs: vec![job],
        broken: vec![BrokenFile { job: text.to_owned(), file: text.to_owned(), is_setting: false, errors: 2 }],
        causes: vec![cause],
        other_failures: 2,
        coming: Coming { forecast, unknown: 0 },
    }
}

fn data_of(page: &str) -> serde_json::Value {
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    serde_json::from_str(&page[start..end]).unwrap()
}

#[test]
fn hostile_text_is_text_everywhere() {
    let mut frame = frame();
    (frame.workspace, frame.host) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    let page = html(&sample(HOSTILE), &frame);
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{2028}'));
    assert_eq!(page.matches("</script>").count(), 2, "one ends the data, one the script");
    assert_eq!(page.matches("<!--").count(), 1, "the mark alone");
    assert_eq!(data_of(&page)["jobs"][0]["name"], crate::text::printable(HOSTILE).as_ref());
}

#[test]
fn the_data_are_differences_and_letters() {
    let data = data_of(&html(&sample("plain"), &frame()));
    let job = &data["jobs"][0];
    assert_eq!(job["starts"], serde_json::json!([90_000, 3_600, 3_600, 3_600]));
    assert_eq!(job["tenths"], serde_json::json!([15, 610, 20, 3]));
    assert_eq!((&job["kinds"], &job["failed"]), (&serde_json::json!("ABCH"), &serde_json::json!([0])));
    assert_eq!(job["slots"], serde_json::json!([3_600, 0, 40, 3_600, 0, 1]));
    assert_eq!(job["next"], serde_json::json!([3_600, 2, 7_200, 1]));
    assert_eq!(data["zone"], serde_json::json!([[1_795_392_000, 3_600, "CET"]]));
}

#[test]
fn a_browser_without_scripts_gets_tables() {
    let page = html(&sample("plain"), &frame());
    assert!(page.contains("<h2 id=\"headline\">2 of 2 jobs need attention</h2>"), "{page}");
    for text in [
        "the run of 2026-11-24 05:00 failed: plain",
        "<tr><th scope=\"row\">sales</th><td><span class=\"badge bad\">failing</span></td><td>Hourly at minute 0</td><td>2026-11-24 05:00</td>",
        "<td class=\"n\">4</td><td class=\"n\">1</td><td class=\"n\">75 %</td><td class=\"n\">2.0 s</td><td class=\"n\">1,030</td>",
        "<p class=\"message\">plain</p><p class=\"hint\">plain</p>",
        "and 2 failures of other causes",
        "Due again before a run of it ends: plain",
    ] {
        assert!(page.contains(text), "no {text:?} in\n{}", &page[..page.find("id=\"data\"").unwrap()]);
    }
}

#[test]
fn the_summary_of_the_terminal_can_not_be_steered() {
    let text = text(&sample("a\u{1b}[31mb\u{202e}"), &frame());
    assert!(text.contains("a\\u{1b}[31mb\\u{202e}") && !text.contains('\u{1b}'), "{text}");
    assert!(
        text.starts_with("2 of 2 jobs need attention\n\nJobs    0 ok, 0 running, 0 late, 1 failing, 0 in error, 1 broken file, 0 paused\n"),
        "{text}"
    );
}

#[test]
fn the_headline_agrees_with_the_list_and_counts_no_job_without_a_file() {
    let said = |standing, rejected, gone: usize| {
        let mut survey = sample("plain");
        survey.broken.clear();
        survey.jobs[0].standing = standing;
        survey.jobs[0].slots.clear();
        survey.jobs[0].lane.rejected = rejected;
        let former = JobSurvey { id: "former".to_owned(), standing: Standing::Gone, ..survey.jobs[0].clone() };
        survey.jobs.extend(std::iter::repeat_n(former, gone));
        let text = text(&survey, &frame());
        (text.lines().next().unwrap_or_default().to_owned(), text.contains("\nAttention\n"))
    };
    assert_eq!(said(Standing::Ok, 0, 0), ("The job needs no attention".to_owned(), false));
    let marked = "The job needs no attention, and has missed slots or rejected rows; 3 more have no file";
    assert_eq!(said(Standing::Ok, 12, 3), (marked.to_owned(), true));
    assert_eq!(said(Standing::Late, 12, 0), ("1 of 1 job needs attention".to_owned(), true));
    assert_eq!(said(Standing::Gone, 12, 0), ("There are no jobs any more; 1 more has no file".to_owned(), false));
}

#[test]
fn jobs_that_need_attention_and_jobs_that_stand_well_add_up() {
    let mut survey = sample("plain");
    survey.broken.clear();
    survey.jobs[0].slots.clear();
    let job = |id: &str, standing, rejected| {
        let mut job = JobSurvey { id: id.to_owned(), standing, ..survey.jobs[0].clone() };
        job.lane.rejected = rejected;
        job
    };
    survey.jobs = vec![job("a", Standing::Late, 3), job("b", Standing::Ok, 3), job("c", Standing::Ok, 0), job("d", Standing::Paused, 1)];
    let shown = |survey: &Survey| text(survey, &frame()).lines().take(3).collect::<Vec<_>>().join("\n");
    let jobs = "Jobs    2 ok, 0 running, 1 late, 0 in error, 1 paused";
    assert_eq!(shown(&survey), format!("1 of 4 jobs needs attention; 2 more have missed slots or rejected rows\n\n{jobs}"));
    survey.jobs.truncate(3);
    survey.jobs[0].standing = Standing::Ok;
    survey.jobs[1].lane.rejected = 0;
    assert!(shown(&survey).starts_with("None of 3 jobs needs attention; 1 has missed slots or rejected rows\n"), "{}", shown(&survey));
}

#[test]
fn an_empty_workspace_has_a_page_too() {
    let mut survey = sample("");
    (survey.jobs, survey.broken, survey.causes, survey.coming) = (Vec::new(), Vec::new(), Vec::new(), Coming::default());
    survey.other_failures = 0;
    let page = html(&survey, &frame());
    assert!(page.contains("There are no jobs yet") && page.contains("None: no run of this span failed"));
    assert!(text(&survey, &frame()).starts_with("There are no jobs yet\n"));
}
