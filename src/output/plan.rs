//! The coming load, as `plan` shows it.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::measure::{abbreviation, span, utc};
use super::table::{Align, Rows, terminal_width};
use super::wrap::{fitted, wrapped};
use crate::schedule::forecast::Forecast;
use crate::text::{count, printable};
use crate::zone::Zone;

/// What is foretold.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The jobs that it is made of, with what is known of their runs.
    pub jobs: Vec<PlannedJob>,
    /// As the schedules are.
    pub forecast: Forecast,
    /// Changes that part the runs, and the time shared that is left with them.
    pub stagger: Vec<Change>,
    /// With the changes.
    pub shared_after: TimeDelta,
}

/// A job with how long its runs took.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// Its id.
    pub id: String,
    /// How many runs the duration is the median of.
    pub runs: u64,
    /// What is reckoned with.
    pub duration: TimeDelta,
}

/// Another `minute` for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The job.
    pub job: String,
    /// Its file, as the user would type it.
    pub file: String,
    /// The line of `minute:` in it, where it stands there.
    pub line: Option<usize>,
    /// As it is.
    pub from: u8,
    /// As it is proposed.
    pub to: u8,
}

/// Overlaps beyond are counted, not listed.
const OVERLAPS_SHOWN: usize = 20;
/// Names beyond are counted.
const NAMES_SHOWN: usize = 8;

/// Returns the plan for people, times in the user's zone.
pub fn text(plan: &Plan, zone: Zone) -> String {
    text_within(plan, zone, terminal_width())
}

fn text_within(plan: &Plan, zone: Zone, width: Option<u16>) -> String {
    let lines = |text: &str| width.map_or_else(|| text.to_owned(), |width| wrapped(text, (0, 0), width.into(), usize::MAX));
    let clock = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let zone_name = abbreviation([plan.from, plan.until], zone);
    let head = format!(
        "Load from {} to {} ({zone_name}), from the schedules of {} and the median time of past runs",
        clock(plan.from),
        clock(plan.until),
        count(plan.jobs.len() as u64, "job")
    );
    let mut out = format!("{}\n\n", lines(&head));
    out.push_str(&hours(plan, zone, &zone_name).text_within(width));
    out.push('\n');
    let unknown: Vec<&str> = plan.jobs.iter().filter(|job| job.runs == 0).map(|job| job.id.as_str()).collect();
    if !unknown.is_empty() {
        let words = format!("no run of {} has succeeded yet: a minute each is reckoned with", names(&unknown));
        let _ = writeln!(out, "\n{}", lines(&words));
    }
    for job in &plan.forecast.overruns {
        let _ = writeln!(out, "\n{}: due again before a run of it ends", printable(job));
    }
    overlaps(plan, zone, &zone_name, width, &mut out);
    stagger(plan, &mut out);
    fitted(&out, 2, width)
}

fn hours(plan: &Plan, zone: Zone, zone_name: &str) -> Rows {
    let hour = format!("Hour ({zone_name})");
    let mut rows = Rows::new([
        (hour.as_str(), Align::Left),
        ("Starts", Align::Right),
        ("Busy", Align::Right),
        ("Most at once", Align::Right),
        ("Load", Align::Left),
    ])
    .giving_way(&["Load"], hour.as_str());
    let most = plan.forecast.hours.iter().map(|hour| hour.busy).max().unwrap_or_default().num_milliseconds().max(1);
    for hour in plan.forecast.hours.iter().filter(|hour| hour.most_at_once > 0) {
        let width = (hour.busy.num_milliseconds() * 30 + most - 1) / most;
        rows.push(vec![
            hour.at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
            hour.starts.to_string(),
            span(seconds(hour.busy)),
            hour.most_at_once.to_string(),
            "#".repeat(usize::try_from(width).unwrap_or(0)),
        ]);
    }
    rows
}

fn overlaps(plan: &Plan, zone: Zone, zone_name: &str, width: Option<u16>, out: &mut String) {
    let found = &plan.forecast.overlaps;
    if found.is_empty() {
        out.push_str("\nno two jobs run at once\n");
        return;
    }
    let first = format!("First ({zone_name})");
    let mut rows =
        Rows::new([("Run at once", Align::Left), ("Times", Align::Right), ("Together", Align::Right), (first.as_str(), Align::Left)])
            .giving_way(&[], "Run at once");
    for overlap in found.iter().take(OVERLAPS_SHOWN) {
        let jobs: Vec<&str> = overlap.jobs.iter().map(String::as_str).collect();
        rows.push(vec![
            names(&jobs),
            overlap.times.to_string(),
            span(seconds(overlap.shared)),
            overlap.first_at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        ]);
    }
    out.push('\n');
    out.push_str(&rows.text_within(width));
    out.push('\n');
    if found.len() > OVERLAPS_SHOWN {
        let _ = writeln!(out, "and {} more; all of them with: etlsched plan --output json", found.len() - OVERLAPS_SHOWN);
    }
}

fn stagger(plan: &Plan, out: &mut String) {
    if plan.forecast.overlaps.is_empty() {
        return;
    }
    if plan.stagger.is_empty() {
        out.push_str("\nno other minutes would part them\n");
        return;
    }
    let left = if plan.shared_after.is_zero() { "no".to_owned() } else { format!("{} of", span(seconds(plan.shared_after))) };
    let _ = writeln!(out, "\nThese minutes leave {left} shared time instead of {}:\n", span(seconds(plan.forecast.shared)));
    for change in &plan.stagger {
        let line = change.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(out, "{}{line}", printable(&change.file));
        if change.line.is_some() || change.from != 0 {
            let _ = writeln!(out, "-minute: {}", change.from);
        }
        let _ = writeln!(out, "+minute: {}", change.to);
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1000.0
}

fn names(jobs: &[&str]) -> String {
    let mut text = jobs.iter().take(NAMES_SHOWN).map(|job| printable(job).into_owned()).collect::<Vec<_>>().join(", ");
    if jobs.len() > NAMES_SHOWN {
        let _ = write!(text, " and {} more", jobs.len() - NAMES_SHOWN);
    }
    text
}

/// Returns the hours as rows for scripts.
pub fn csv(plan: &Plan) -> Rows {
    let mut rows = Rows::new(["at", "starts", "busy_seconds", "most_at_once"].map(|name| (name, Align::Left)));
    for hour in &plan.forecast.hours {
        rows.push(vec![utc(hour.at), hour.starts.to_string(), seconds(hour.busy).to_string(), hour.most_at_once.to_string()]);
    }
    rows
}

/// Returns the plan for scripts.
pub fn json(plan: &Plan) -> Value {
    let jobs = plan.jobs.iter().map(|job| json!({"id": job.id, "runs": job.runs, "duration_seconds": seconds(job.duration)}));
    let hours = plan.forecast.hours.iter().map(
        |hour| json!({"at": utc(hour.at), "starts": hour.starts, "busy_seconds": seconds(hour.busy), "most_at_once": hour.most_at_once}),
    );
    let overlaps = plan.forecast.overlaps.iter().map(|overlap| {
        json!({"jobs": overlap.jobs, "first_at": utc(overlap.first_at), "times": overlap.times, "shared_seconds": seconds(overlap.shared)})
    });
    let stagger = plan.stagger.iter().map(
        |change| json!({"job": change.job, "file": change.file, "line": change.line, "minute_from": change.from, "minute_to": change.to}),
    );
    json!({
        "success": true,
        "from": utc(plan.from),
        "until": utc(plan.until),
        "jobs": jobs.collect::<Vec<_>>(),
        "hours": hours.collect::<Vec<_>>(),
        "overlaps": overlaps.collect::<Vec<_>>(),
        "overruns": plan.forecast.overruns,
        "stagger": stagger.collect::<Vec<_>>(),
        "shared_seconds": seconds(plan.forecast.shared),
        "shared_seconds_after": seconds(plan.shared_after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::forecast::{Hour, Overlap};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn sample() -> Plan {
        let hour = |text: &str, starts, minutes, most| Hour { at: at(text), starts, busy: TimeDelta::minutes(minutes), most_at_once: most };
        let overlap = Overlap {
            jobs: vec!["flights".to_owned(), "sales".to_owned()],
            first_at: at("2026-11-24T05:00:00Z"),
            times: 1,
            shared: TimeDelta::minutes(5),
        };
        Plan {
            from: at("2026-11-24T04:00:00Z"),
            until: at("2026-11-24T07:00:00Z"),
            jobs: vec![
                PlannedJob { id: "flights".to_owned(), runs: 20, duration: TimeDelta::minutes(5) },
                PlannedJob { id: "sales".to_owned(), runs: 0, duration: TimeDelta::minutes(1) },
            ],
            forecast: Forecast {
                hours: vec![
                    hour("2026-11-24T04:00:00Z", 0, 0, 0),
                    hour("2026-11-24T05:00:00Z", 2, 6, 2),
                    hour("2026-11-24T06:00:00Z", 1, 2, 1),
                ],
                overlaps: vec![overlap],
                overruns: vec!["slow".to_owned()],
                shared: TimeDelta::minutes(1),
            },
            stagger: vec![Change { job: "sales".to_owned(), file: "jobs/sales.yaml".to_owned(), line: Some(4), from: 0, to: 5 }],
            shared_after: TimeDelta::zero(),
        }
    }

    #[test]
    fn a_plan_shows_hours_overlaps_and_a_stagger() {
        let expected = "\
Load from 2026-11-24 05:00 to 2026-11-24 08:00 (CET), from the schedules of 2 jobs and the median time of past runs

Hour (CET)        Starts    Busy  Most at once  Load
2026-11-24 06:00       2  6m 00s             2  ##############################
2026-11-24 07:00       1  2m 00s             1  ##########

no run of sales has succeeded yet: a minute each is reckoned with

slow: due again before a run of it ends

Run at once     Times  Together  First (CET)
flights, sales      1    5m 00s  2026-11-24 06:00

These minutes leave no shared time instead of 1m 00s:

jobs/sales.yaml:4
-minute: 0
+minute: 5
";
        assert_eq!(text(&sample(), Zone::parse("Europe/Berlin").unwrap()), expected);
    }

    #[test]
    fn in_a_narrow_terminal_lines_end_at_words() {
        let text = text_within(&sample(), Zone::UTC, Some(80));
        assert!(text.starts_with("Load from 2026-11-24 04:00 to 2026-11-24 07:00 (UTC), from the schedules of 2\njobs and"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn jobs_that_are_never_together_need_no_stagger() {
        let mut plan = sample();
        (plan.forecast.overlaps, plan.stagger, plan.forecast.overruns) = (Vec::new(), Vec::new(), Vec::new());
        let text = text(&plan, Zone::UTC);
        assert!(text.ends_with("reckoned with\n\nno two jobs run at once\n"), "{text}");
    }

    #[test]
    fn names_from_files_can_not_steer_the_terminal() {
        let mut plan = sample();
        plan.stagger[0].file = "jobs/\u{1b}[31m.yaml".to_owned();
        assert!(!text(&plan, Zone::UTC).contains('\u{1b}'));
    }
}
