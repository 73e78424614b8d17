//! The load to come: a bar an hour, drawn here, and a table of the same.

use std::fmt::Write as _;

use chrono::TimeDelta;

use super::escape::html as escaped;
use super::{Frame, words};
use crate::engine::survey::Survey;
use crate::output::measure::span;
use crate::schedule::forecast::Hour;
use crate::text::{count, grouped};

/// Overlaps beyond are counted.
const OVERLAPS_SHOWN: usize = 10;

/// Jobs of an overlap beyond are counted.
const NAMES_SHOWN: usize = 6;

/// Of the drawing, in its own units; it is stretched to the page's width.
const HEIGHT: i64 = 100;

/// Returns the load to come.
pub(super) fn coming(survey: &Survey, frame: &Frame) -> String {
    let mut text = "<section id=\"coming\" aria-labelledby=\"coming-title\">\n<h2 id=\"coming-title\">Coming load</h2>\n".to_owned();
    let hours = &survey.coming.forecast.hours;
    let starts: u64 = hours.iter().map(|hour| hour.starts).sum();
    let Some(busiest) = hours.iter().max_by_key(|hour| hour.busy).filter(|_| starts > 0) else {
        let _ = writeln!(text, "<p class=\"calm\">No schedule starts a run within {} h.</p>\n</section>", frame.hours_ahead);
        return text;
    };
    let zone = frame.zone;
    let _ = writeln!(
        text,
        "<p>{} within {} h, each reckoned with the median time of its job's good runs. The busiest hour is {}: {}, {} of runs, at most {} at once.</p>",
        count(starts, "run"),
        frame.hours_ahead,
        words::clock(busiest.at, zone),
        count(busiest.starts, "start"),
        seconds(busiest.busy),
        grouped(busiest.most_at_once)
    );
    if survey.coming.unknown > 0 {
        let _ = writeln!(
            text,
            "<p class=\"note\">{} had no good run in the span: a minute each is reckoned with.</p>",
            count(survey.coming.unknown, "job")
        );
    }
    text.push_str(&bars(hours, busiest.busy, frame));
    text.push_str(&notes(survey, frame));
    text.push_str(&table(hours, frame));
    text.push_str("</section>\n");
    text
}

fn seconds(time: TimeDelta) -> String {
    span(time.as_seconds_f64())
}

/// Bars as high as the hour is busy; a mark over those in which more than one run goes at once.
fn bars(hours: &[Hour], most: TimeDelta, frame: &Frame) -> String {
    let most = most.num_milliseconds().max(1);
    let width = hours.len() * 10;
    let mut text = format!(
        "<figure><svg class=\"bars\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Busy time of each hour; the table below has the numbers\">"
    );
    for (place, hour) in hours.iter().enumerate().filter(|(_, hour)| hour.most_at_once > 0) {
        let height = (hour.busy.num_milliseconds() * (HEIGHT - 6) / most).max(2);
        let class = if hour.most_at_once > 1 { "many" } else { "one" };
        let title = format!(
            "{}: {}, {} of runs, at most {} at once",
            words::clock(hour.at, frame.zone),
            count(hour.starts, "start"),
            seconds(hour.busy),
            grouped(hour.most_at_once)
        );
        let _ = write!(
            text,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"8\" height=\"{height}\"><title>{}</title></rect>",
            place * 10 + 1,
            HEIGHT - height,
            escaped(&title)
        );
    }
    text.push_str("</svg>\n<div class=\"scale\" aria-hidden=\"true\">");
    let marks = [0, hours.len() / 4, hours.len() / 2, hours.len() * 3 / 4];
    for hour in marks.iter().filter_map(|place| hours.get(*place)) {
        let _ = write!(text, "<span>{}</span>", hour.at.with_timezone(&frame.zone).format("%a %H:%M"));
    }
    text.push_str("</div>\n<figcaption><span class=\"key one\">one run at a time</span> <span class=\"key many\">several at once</span></figcaption></figure>\n");
    text
}

fn notes(survey: &Survey, frame: &Frame) -> String {
    let forecast = &survey.coming.forecast;
    let mut text = String::new();
    if !forecast.overruns.is_empty() {
        let _ = writeln!(text, "<p class=\"warn\">Due again before a run of it ends: {}</p>", escaped(&names(&forecast.overruns)));
    }
    if forecast.overlaps.is_empty() {
        return text;
    }
    let _ = write!(
        text,
        "<details><summary>Jobs that run at once ({})</summary>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Jobs</th><th scope=\"col\" class=\"n\">Times</th><th scope=\"col\" class=\"n\">Together</th><th scope=\"col\">First</th></tr></thead><tbody>\n",
        grouped(forecast.overlaps.len() as u64)
    );
    for overlap in forecast.overlaps.iter().take(OVERLAPS_SHOWN) {
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escaped(&names(&overlap.jobs)),
            grouped(overlap.times),
            seconds(overlap.shared),
            words::clock(overlap.first_at, frame.zone)
        );
    }
    text.push_str("</tbody></table></div>\n<p>A stagger that parts them: <code>etlsched plan</code></p></details>\n");
    text
}

fn names(jobs: &[String]) -> String {
    let shown = jobs.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if jobs.len() > NAMES_SHOWN { format!("{shown} and {} more", jobs.len() - NAMES_SHOWN) } else { shown }
}

fn table(hours: &[Hour], frame: &Frame) -> String {
    let mut text = "<details><summary>Hour by hour</summary>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Hour</th><th scope=\"col\" class=\"n\">Starts</th><th scope=\"col\" class=\"n\">Busy</th><th scope=\"col\" class=\"n\">At once</th></tr></thead><tbody>\n".to_owned();
    for hour in hours.iter().filter(|hour| hour.most_at_once > 0) {
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            words::clock(hour.at, frame.zone),
            grouped(hour.starts),
            seconds(hour.busy),
            grouped(hour.most_at_once)
        );
    }
    text.push_str("</tbody></table></div></details>\n");
    text
}
