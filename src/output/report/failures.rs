//! The failures of the page, by what caused them.

use std::fmt::Write as _;

use super::escape::html as escaped;
use super::{Frame, words};
use crate::engine::survey::{Cause, Survey};
use crate::output::logs::short_id;
use crate::text::count;

/// Causes beyond are folded away.
const OPEN: usize = 10;

/// Returns the failures.
pub(super) fn failures(survey: &Survey, frame: &Frame) -> String {
    let mut text =
        "<section id=\"failures\" aria-labelledby=\"failures-title\">\n<h2 id=\"failures-title\">Failures by cause</h2>\n".to_owned();
    let causes = words::by_times(survey);
    if causes.is_empty() {
        text.push_str("<p class=\"calm\">None: no run of this span failed.</p>\n</section>\n");
        return text;
    }
    let most = causes.iter().map(|cause| cause.times).max().unwrap_or(1);
    let (open, folded) = causes.split_at(causes.len().min(OPEN));
    text.push_str(&list(open, most, frame));
    if !folded.is_empty() {
        let _ = write!(
            text,
            "<details><summary>{} more</summary>\n{}</details>\n",
            count(folded.len() as u64, "cause"),
            list(folded, most, frame)
        );
    }
    if survey.other_failures > 0 {
        let _ = writeln!(text, "<p>and {} of other causes</p>", count(survey.other_failures, "failure"));
    }
    text.push_str("</section>\n");
    text
}

fn list(causes: &[&Cause], most: u64, frame: &Frame) -> String {
    let mut text = "<ul class=\"causes\">\n".to_owned();
    for cause in causes {
        text.push_str(&one(cause, most, frame));
    }
    text.push_str("</ul>\n");
    text
}

fn one(cause: &Cause, most: u64, frame: &Frame) -> String {
    let zone = frame.zone;
    let when = if cause.times == 1 {
        format!("At {}", words::clock(cause.last_at, zone))
    } else {
        format!("From {} to {}", words::clock(cause.first_at, zone), words::clock(cause.last_at, zone))
    };
    let hint = cause.hint.as_deref().map(|hint| format!("<p class=\"hint\">{}</p>", escaped(hint))).unwrap_or_default();
    // The least is still seen.
    let width = (cause.times * 100 / most.max(1)).max(2);
    format!(
        "<li><p><span class=\"badge bad\">{}</span> <b>{}</b></p>\
         <svg class=\"share\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"back\" width=\"100\" height=\"4\"/>\
         <rect class=\"bad\" width=\"{width}\" height=\"4\"/></svg>\
         <p class=\"message\">{}</p>{hint}<p class=\"where\">{}: {}. {when}. <code>etlsched logs --run {}</code></p></li>\n",
        escaped(&cause.code),
        count(cause.times, "failure"),
        escaped(&cause.message),
        count(cause.job_count, "job"),
        escaped(&words::jobs(cause)),
        escaped(short_id(&cause.last_run_id))
    )
}
