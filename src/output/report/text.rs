//! The report for the terminal: how the jobs stand, and what wants somebody.

use std::fmt::Write as _;

use super::matters::{Matter, matters};
use super::{Frame, words};
use crate::engine::survey::{Standing, Survey};
use crate::output::check::{Said, said_within};
use crate::output::measure::{abbreviation, span};
use crate::output::table::{Align, Rows, terminal_width};
use crate::output::wrap::labelled;
use crate::output::{Tone, at_terminal};
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
        let _ = write!(text, "\nAttention\n{}\n", attention(&matters, terminal_width()));
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
    let said = |standing: Standing, number: u64| match standing {
        Standing::Broken => count(number, standing.as_str()),
        _ => format!("{} {}", grouped(number), standing.as_str()),
    };
    let standings: Vec<String> = words::counts(survey).into_iter().map(|(standing, number)| said(standing, number as u64)).collect();
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

fn attention(matters: &[Matter], width: Option<u16>) -> String {
    let shown: Vec<Said<'_>> = matters.iter().take(MATTERS_SHOWN).map(said).collect();
    said_within(&shown, width)
}

fn said(matter: &Matter) -> Said<'_> {
    Said {
        word: matter.word,
        tone: if matter.class == "late" { Tone::Yellow } else { Tone::Red },
        job: matter.job.as_deref().unwrap_or("-"),
        reason: &matter.reason,
        remedy: &matter.command,
    }
}

fn causes(survey: &Survey) -> Rows {
    let columns = [("Times", Align::Right), ("Code", Align::Left), ("Message", Align::Left), ("Jobs", Align::Left)];
    let mut rows = Rows::new(columns).giving_way(&["Jobs"], "Message");
    for cause in words::by_times(survey).into_iter().take(CAUSES_SHOWN) {
        rows.push(vec![grouped(cause.times), cause.code.clone(), cause.message.clone(), words::jobs(cause)]);
    }
    rows
}
