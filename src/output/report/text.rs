//! The report for the terminal: how the jobs stand, and what wants somebody.

use std::fmt::Write as _;

use super::matters::{Matter, matters};
use super::{Frame, words};
use crate::engine::survey::Survey;
use crate::output::at_terminal;
use crate::output::measure::{abbreviation, span};
use crate::output::table::{Align, Rows, terminal_width};
use crate::output::wrap::labelled;
use crate::text::{count, grouped};

/// Matters, and causes, beyond are counted.
const MATTERS_SHOWN: usize = 20;
const CAUSES_SHOWN: usize = 5;

/// Returns the summary for people.
pub fn text(survey: &Survey, frame: &Frame) -> String {
    let zone = frame.zone;
    let zone_name = abbreviation([survey.since, survey.now], zone);
    let mut text = format!("{}\n\n", at_terminal(&words::headline(survey), 2));
    for (label, value) in figures(survey, frame, &zone_name) {
        text.push_str(&labelled(label, &value, LABELS, terminal_width()));
    }
    let matters = matters(survey, zone);
    if !matters.is_empty() {
        let _ = write!(text, "\nAttention\n{}\n", attention(&matters).text());
        more(&mut text, matters.len(), MATTERS_SHOWN);
    }
    if !survey.causes.is_empty() {
        let _ = write!(text, "\nFailures by cause\n{}\n", causes(survey).text());
        more(&mut text, survey.causes.len(), CAUSES_SHOWN);
    }
    text
}

/// The column in which figures stand.
const LABELS: usize = 8;

/// Returns the figures above the tables, each with its label.
fn figures(survey: &Survey, frame: &Frame, zone_name: &str) -> Vec<(&'static str, String)> {
    let standings: Vec<String> =
        words::counts(survey).iter().map(|(standing, count)| format!("{} {}", grouped(*count as u64), standing.as_str())).collect();
    let (ended, good) = survey.ended();
    let mut figures = vec![
        ("Jobs", standings.join(", ")),
        ("Runs", format!("{} of {} good", words::share(good, ended), count(ended, "run"))),
        ("Slots", format!("{} missed", grouped(words::missed(survey)))),
        ("Span", format!("{} ({zone_name})", words::span(survey, frame.zone))),
    ];
    let ahead = survey.coming.forecast.hours.iter().max_by_key(|hour| hour.busy).filter(|hour| hour.starts > 0 || hour.most_at_once > 0);
    if let Some(hour) = ahead {
        let starts: u64 = survey.coming.forecast.hours.iter().map(|hour| hour.starts).sum();
        let (busiest, busy) = (words::clock(hour.at, frame.zone), span(hour.busy.as_seconds_f64()));
        let starts = count(starts, "run");
        figures.push(("Ahead", format!("{starts} within {} h; the busiest hour is {busiest} with {busy} of runs", frame.hours_ahead)));
    }
    figures
}

fn more(text: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(text, "and {} more; all of them with: etlsched report --output json", all - shown);
    }
}

fn attention(matters: &[Matter]) -> Rows {
    let columns = [("Job", Align::Left), ("State", Align::Left), ("Reason", Align::Left), ("Type", Align::Left)];
    let mut rows = Rows::new(columns).giving_way(&[], "Reason");
    for matter in matters.iter().take(MATTERS_SHOWN) {
        rows.push(vec![
            matter.job.clone().unwrap_or_else(|| "-".to_owned()),
            matter.word.to_owned(),
            matter.reason.clone(),
            matter.command.clone(),
        ]);
    }
    rows
}

fn causes(survey: &Survey) -> Rows {
    let columns = [("Times", Align::Right), ("Code", Align::Left), ("Message", Align::Left), ("Jobs", Align::Left)];
    let mut rows = Rows::new(columns).giving_way(&["Jobs"], "Message");
    for cause in words::by_times(survey).into_iter().take(CAUSES_SHOWN) {
        rows.push(vec![grouped(cause.times), cause.code.clone(), cause.message.clone(), words::jobs(cause)]);
    }
    rows
}
