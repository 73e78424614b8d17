//! The jobs and the freshness of their data: places for the script, and tables for browsers that run none.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::escape::html as escaped;
use super::summary::badge;
use super::{Frame, words};
use crate::engine::survey::{JobSurvey, Outcome, Survey};
use crate::output::measure::span;
use crate::text::grouped;

/// So many tables are on a page.
pub(super) const STREAMS_MAX: usize = 5_000;

/// So many of them in the page for browsers without scripts.
const STREAMS_SHOWN: usize = 1_000;

/// Returns the jobs.
pub(super) fn jobs(survey: &Survey, frame: &Frame) -> String {
    let mut text = "<section id=\"jobs\" aria-labelledby=\"jobs-title\" tabindex=\"-1\">\n<h2 id=\"jobs-title\">Jobs and runs</h2>\n\
                    <div id=\"jobs-view\"></div>\n<noscript>\n<div class=\"scroll\"><table><thead><tr>"
        .to_owned();
    let columns = [
        ("Job", ""),
        ("State", ""),
        ("Schedule", ""),
        ("Last run", ""),
        ("Last success", ""),
        ("Next", ""),
        ("Runs", "n"),
        ("Failed", "n"),
        ("Good", "n"),
        ("Takes", "n"),
        ("Rows", "n"),
    ];
    for (name, class) in columns {
        let _ = write!(text, "<th scope=\"col\" class=\"{class}\">{name}</th>");
    }
    text.push_str("</tr></thead><tbody>\n");
    for job in &survey.jobs {
        text.push_str(&job_row(job, frame));
    }
    text.push_str("</tbody></table></div>\n</noscript>\n</section>\n");
    text
}

fn job_row(job: &JobSurvey, frame: &Frame) -> String {
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), |at| words::clock(at, frame.zone));
    let lane = &job.lane;
    let (good, failed) = (lane.count(Outcome::Success), lane.failures());
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        escaped(&job.id),
        badge(job.standing),
        escaped(&job.schedule),
        time(job.last_run_at),
        time(job.last_success_at),
        time(job.next.first().copied()),
        grouped(lane.started_at.len() as u64),
        grouped(failed),
        words::share(good, good + failed),
        lane.median_seconds().map_or_else(|| "-".to_owned(), span),
        grouped(lane.rows_read())
    )
}

/// Returns how fresh the data of each stream is.
pub(super) fn freshness(survey: &Survey, frame: &Frame) -> String {
    let mut text = "<section id=\"freshness\" aria-labelledby=\"freshness-title\">\n<h2 id=\"freshness-title\">Freshness of data</h2>\n\
                    <p>When each table was last brought up to date, against the schedule of its job.</p>\n<div id=\"fresh-view\"></div>\n\
                    <noscript>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Job</th><th scope=\"col\">Table</th>\
                    <th scope=\"col\">Its job is</th><th scope=\"col\">Last success</th><th scope=\"col\">Age</th><th scope=\"col\">Overdue since</th></tr></thead><tbody>\n"
        .to_owned();
    let streams = survey.jobs.iter().flat_map(|job| rows_of(job).into_iter().map(move |row| (job, row)));
    for (job, (table, at)) in streams.take(STREAMS_SHOWN) {
        let age = at.map_or_else(|| "-".to_owned(), |at| words::rough((survey.now - at).num_seconds()));
        let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), |at| words::clock(at, frame.zone));
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{age}</td><td>{}</td></tr>",
            escaped(&job.id),
            escaped(&table),
            badge(job.standing),
            time(at),
            time(job.overdue_since())
        );
    }
    text.push_str("</tbody></table></div>\n</noscript>\n");
    let all: usize = survey.jobs.iter().map(|job| job.streams.len()).sum();
    if all > STREAMS_MAX {
        let left = grouped((all - STREAMS_MAX) as u64);
        let _ = writeln!(text, "<p class=\"note\">{left} more tables are not on this page: <code>etlsched report --output json</code></p>");
    }
    text.push_str("</section>\n");
    text
}

/// A job without streams in the span has one row of its own.
fn rows_of(job: &JobSurvey) -> Vec<(String, Option<DateTime<Utc>>)> {
    if job.streams.is_empty() {
        return vec![("-".to_owned(), job.last_success_at)];
    }
    job.streams.iter().map(|stream| (stream.target.clone(), stream.published_at)).collect()
}
