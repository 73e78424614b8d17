//! The runs as data for the page's script: numbers as differences, one letter a run. A hundred runs of a job take about 1,700 bytes.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::Frame;
use super::escape::json as quoted;
use super::summary::class;
use super::tables::STREAMS_MAX;
use crate::engine::survey::{JobSurvey, Outcome, Survey};
use crate::output::logs::short_id;
use crate::run::Trigger;
use crate::run::due::SlotStatus;
use crate::text::shortened;

/// A name is cut behind so many characters.
const NAME_SHOWN: usize = 120;

/// A cause in a row of a table is cut behind so many characters.
const CAUSE_SHOWN: usize = 200;

/// Returns the data: one JSON object, in which no markup can be.
pub(super) fn data(survey: &Survey, frame: &Frame) -> String {
    let base = survey.since.timestamp();
    let mut text = format!("{{\"now\":{},\"since\":{base},\"until\":{}", survey.now.timestamp(), survey.until.timestamp());
    list(&mut text, "zone", zone(survey, frame));
    list(&mut text, "outcomes", Outcome::ALL.iter().map(|outcome| quoted(outcome.as_str())));
    list(&mut text, "triggers", Trigger::ALL.iter().map(|trigger| quoted(&trigger.as_str().replace('_', " "))));
    let cause = |code: &str, message: &str| quoted(&shortened(&format!("{code}: {message}"), CAUSE_SHOWN));
    list(&mut text, "causes", survey.causes.iter().map(|each| cause(&each.code, &each.message)));
    let mut streams_left = STREAMS_MAX;
    let jobs = survey.jobs.iter().map(|one| {
        let text = job(one, base, survey.now, streams_left);
        streams_left = streams_left.saturating_sub(one.streams.len());
        text
    });
    list(&mut text, "jobs", jobs);
    text.push('}');
    text
}

fn list(text: &mut String, name: &str, items: impl IntoIterator<Item = String>) {
    let _ = write!(text, ",\"{name}\":[");
    let mut is_first = true;
    for item in items {
        if !std::mem::take(&mut is_first) {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
}

/// The user's zone as this program knows it, so that page and terminal show the same times: from when on, seconds east, abbreviation.
fn zone(survey: &Survey, frame: &Frame) -> Vec<String> {
    // A last success may lie long before the span.
    let oldest = survey.jobs.iter().filter_map(|job| job.last_success_at).chain([survey.since]).min().unwrap_or(survey.since);
    let segments = frame.zone.segments(oldest.timestamp(), survey.until.timestamp() + 1);
    let item = |segment: &crate::zone::Segment| {
        let name = DateTime::from_timestamp(segment.start, 0).map(|at| at.with_timezone(&frame.zone).format("%Z").to_string());
        format!("[{},{},{}]", segment.start, segment.offset, quoted(&name.unwrap_or_default()))
    };
    segments.iter().map(item).collect()
}

fn name(text: &str) -> String {
    quoted(&shortened(text, NAME_SHOWN))
}

fn job(job: &JobSurvey, base: i64, now: DateTime<Utc>, streams_max: usize) -> String {
    let mut text =
        format!("{{\"id\":{},\"state\":{},\"class\":\"{}\"", quoted(&job.id), quoted(job.standing.as_str()), class(job.standing));
    if job.name != job.id {
        let _ = write!(text, ",\"name\":{}", name(&job.name));
    }
    if !job.schedule.is_empty() {
        let zone = job.zone.map(|zone| format!(" ({})", zone.name())).unwrap_or_default();
        let _ = write!(text, ",\"schedule\":{}", quoted(&format!("{}{zone}", job.schedule)));
    }
    let times = [("last", job.last_run_at), ("good", job.last_success_at), ("overdue", job.overdue_since())];
    for (name, at) in times.iter().filter_map(|(name, at)| Some((name, (*at)?))) {
        let _ = write!(text, ",\"{name}\":{}", at.timestamp());
    }
    runs(&mut text, job, base);
    if !job.slots.is_empty() {
        let mut before = base;
        let items = job.slots.iter().map(|slot| {
            let ahead = slot.due_at.timestamp() - std::mem::replace(&mut before, slot.due_at.timestamp());
            format!("{ahead},{},{}", u8::from(slot.status == SlotStatus::Skipped), slot.slot_count)
        });
        list(&mut text, "slots", items.collect::<Vec<_>>());
    }
    if !job.next.is_empty() {
        list(&mut text, "next", next(&job.next, now));
    }
    if !job.streams.is_empty() {
        let items = job.streams.iter().take(streams_max).map(|stream| {
            let published = stream.published_at.map_or_else(|| "null".to_owned(), |at| at.timestamp().to_string());
            let (source, stream_name, target) = (name(&stream.source), name(&stream.stream), name(&stream.target));
            format!("[{source},{stream_name},{target},{},{published}]", stream.tried_at.timestamp())
        });
        list(&mut text, "streams", items);
    }
    text.push('}');
    text
}

/// Seconds between begins, tenths of seconds, rows, and a letter for outcome and trigger.
fn runs(text: &mut String, job: &JobSurvey, base: i64) {
    let lane = &job.lane;
    if lane.is_empty() {
        return;
    }
    let mut before = base;
    let starts = lane.started_at.iter().map(|at| (at.timestamp() - std::mem::replace(&mut before, at.timestamp())).to_string());
    list(text, "starts", starts.collect::<Vec<_>>());
    list(text, "tenths", lane.seconds.iter().map(|seconds| ((seconds * 10.0).round() as u64).to_string()));
    list(text, "rows", lane.rows.iter().map(u64::to_string));
    let letters: String = lane.outcomes.iter().zip(&lane.triggers).map(|(outcome, trigger)| letter(*outcome, *trigger)).collect();
    let _ = write!(text, ",\"kinds\":\"{letters}\"");
    if !lane.failed.is_empty() {
        list(text, "failed", lane.failed.iter().map(|(_, cause)| cause.map_or_else(|| "-1".to_owned(), |cause| cause.to_string())));
        list(text, "ids", lane.failed_ids.iter().map(|(place, id)| format!("{place},{}", quoted(short_id(id)))));
    }
}

fn letter(outcome: Outcome, trigger: Trigger) -> char {
    let outcome = Outcome::ALL.iter().position(|each| *each == outcome).unwrap_or(0);
    let trigger = Trigger::ALL.iter().position(|each| *each == trigger).unwrap_or(0);
    u8::try_from(outcome * Trigger::ALL.len() + trigger).map_or('A', |place| char::from(b'A' + place))
}

/// Slots to come, as distances and how often each comes in a row: a day of one every quarter of an hour is two numbers.
fn next(slots: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<String> {
    let mut before = now.timestamp();
    let mut found: Vec<(i64, u64)> = Vec::new();
    for slot in slots {
        let ahead = slot.timestamp() - std::mem::replace(&mut before, slot.timestamp());
        match found.last_mut() {
            Some((last, times)) if *last == ahead => *times += 1,
            _ => found.push((ahead, 1)),
        }
    }
    found.into_iter().map(|(ahead, times)| format!("{ahead},{times}")).collect()
}
