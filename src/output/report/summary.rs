//! The head of the page: how the jobs stand, in numbers, and what wants somebody.

use std::fmt::Write as _;

use super::escape::html as escaped;
use super::matters::{Matter, matters};
use super::{Frame, words};
use crate::engine::survey::{Outcome, Standing, Survey};
use crate::text::{count, grouped};

/// Matters beyond are folded away.
const MATTERS_OPEN: usize = 12;

/// Matters beyond are counted.
const MATTERS_SHOWN: usize = 300;

/// Returns a standing as a badge: a shape and a word, so that no colour is needed.
pub(super) fn badge(standing: Standing) -> String {
    mark(class(standing), standing.as_str())
}

fn mark(class: &str, word: &str) -> String {
    format!("<span class=\"badge {class}\">{word}</span>")
}

/// Returns the style class of a standing.
pub(super) fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::InError | Standing::Stuck | Standing::Failing | Standing::Broken => "bad",
        Standing::Late => "late",
        Standing::Running => "run",
        Standing::Ok => "good",
        Standing::Paused | Standing::Inactive | Standing::New | Standing::Gone => "idle",
    }
}

/// Returns the headline and the numbers.
pub(super) fn summary(survey: &Survey, frame: &Frame) -> String {
    let mut text = format!("<section id=\"summary\" aria-labelledby=\"headline\">\n<h2 id=\"headline\">{}</h2>\n", words::headline(survey));
    text.push_str("<ul class=\"tiles\">");
    for (standing, number) in words::counts(survey) {
        let quiet = if number == 0 { " zero" } else { "" };
        let (class, number) = (class(standing), grouped(number as u64));
        let _ = write!(
            text,
            "<li class=\"tile {class}{quiet}\"><b>{number}</b> <span class=\"badge {class}\">{}</span></li>",
            standing.as_str()
        );
    }
    text.push_str("</ul>\n<dl class=\"figures\">");
    let (ended, good) = survey.ended();
    let lanes = || survey.jobs.iter().map(|job| &job.lane);
    let rows: u64 = lanes().map(|lane| lane.rows_read()).sum();
    let cancelled: u64 = lanes().map(|lane| lane.count(Outcome::Cancelled)).sum();
    let starts: u64 = survey.coming.forecast.hours.iter().map(|hour| hour.starts).sum();
    let figures = [
        ("Good runs", words::share(good, ended), format!("{} of {}", grouped(good), count(ended, "run"))),
        ("Failed runs", grouped(ended - good), if cancelled > 0 { format!("and {} cancelled", grouped(cancelled)) } else { String::new() }),
        ("Missed slots", grouped(words::missed(survey)), String::new()),
        ("Rows read", grouped(rows), String::new()),
        ("To come", grouped(starts), format!("within {} h", frame.hours_ahead)),
    ];
    for (name, value, note) in figures {
        let _ = write!(text, "<div><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>");
    }
    text.push_str("</dl>\n</section>\n");
    text
}

/// Returns what wants somebody, with what to type.
pub(super) fn attention(survey: &Survey, frame: &Frame) -> String {
    let mut text =
        "<section id=\"attention\" aria-labelledby=\"attention-title\">\n<h2 id=\"attention-title\">Needs attention</h2>\n".to_owned();
    let matters = matters(survey, frame.zone);
    if matters.is_empty() {
        text.push_str("<p class=\"calm\">Nothing: no job is late, stuck, failing or in error.</p>\n</section>\n");
        return text;
    }
    let (open, folded) = matters.split_at(matters.len().min(MATTERS_OPEN));
    text.push_str(&list(open));
    if !folded.is_empty() {
        let shown = &folded[..folded.len().min(MATTERS_SHOWN)];
        let _ = write!(text, "<details><summary>{} more</summary>\n{}", grouped(folded.len() as u64), list(shown));
        if folded.len() > shown.len() {
            let _ = writeln!(
                text,
                "<p>and {} more; all of them with <code>etlsched report --output json</code></p>",
                grouped((folded.len() - shown.len()) as u64)
            );
        }
        text.push_str("</details>\n");
    }
    text.push_str("</section>\n");
    text
}

/// Each command in a piece of its own, so that one can be selected: `A; then: B`.
fn commands(text: &str) -> String {
    let parts = text.split("; ").map(|part| match part.split_once(": ") {
        Some((word, command)) => format!("{} <code>{}</code>", escaped(word), escaped(command)),
        None => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn list(matters: &[Matter]) -> String {
    let mut text = "<ul class=\"matters\">\n".to_owned();
    for matter in matters {
        let name = matter.job.as_deref().map(|job| format!("<b>{}</b>", escaped(job))).unwrap_or_default();
        let reason = escaped(&matter.reason);
        let _ = writeln!(
            text,
            "<li>{} {name} <span class=\"reason\">{reason}</span> <span class=\"type\">{}</span></li>",
            mark(matter.class, matter.word),
            commands(&matter.command)
        );
    }
    text.push_str("</ul>\n");
    text
}
