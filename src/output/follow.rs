//! Runs one by one as they end, and lines of the execution log as they come: what `logs --follow` prints.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::logs::{RunView, short_id};
use super::measure::{abbreviation, local, local_clock, span, utc};
use super::run::place_of;
use super::table;
use super::wrap::columns;
use crate::plan::Level;
use crate::state::EventRecord;
use crate::text::{grouped, printable};
use crate::zone::Zone;

/// Columns that are known before the runs are: what comes may be longer and then moves the rest of its line.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// That of jobs; none where all runs are of one.
    pub job: Option<usize>,
    /// The user's zone.
    pub zone: Zone,
}

const STATUS: usize = "interrupted".len();
const STARTED: usize = "2026-11-23 23:18:11".len();
const ID: usize = 13;

impl Columns {
    /// Returns the header; `now` tells the zone's abbreviation.
    pub fn header(&self, now: DateTime<Utc>) -> String {
        let job = self.job.map(|width| format!("{}  ", padded("Job", width))).unwrap_or_default();
        let started = padded(&format!("Started ({})", abbreviation([now], self.zone)), STARTED);
        format!("{}  {job}{}  {started}  {:>7}  {:>11}  Trigger", padded("Run", ID), padded("Status", STATUS), "Took", "Rows")
    }

    /// Returns a run as a line.
    pub fn line(&self, view: &RunView<'_>) -> String {
        let run = view.run;
        let job = self.job.map(|width| format!("{}  ", padded(&printable(&run.job), width))).unwrap_or_default();
        let word = view.word();
        let status = format!("{}{}", table::painted(word), " ".repeat(STATUS.saturating_sub(columns(word))));
        let took = view.duration_seconds().map_or_else(|| "-".to_owned(), span);
        let rows = grouped(run.summary.totals.processed);
        let started = padded(&local(run.started_at, self.zone), STARTED);
        format!("{}  {job}{status}  {started}  {took:>7}  {rows:>11}  {}", padded(short_id(&run.id), ID), run.trigger.as_str())
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Returns a line of a run's execution log: its run first where several are followed.
pub fn event_line(run_id: Option<&str>, event: &EventRecord, zone: Zone) -> String {
    let level = match event.level {
        Level::Info => "info ",
        Level::Warn => "warn ",
        Level::Error => "error",
    };
    let run = run_id.map(|id| format!("{}  ", short_id(id))).unwrap_or_default();
    let place = place_of(event);
    format!("{run}{}  {}  {}{}", local_clock(event.at, zone), table::painted(level), printable(&place), printable(&event.message))
}

/// Returns a line of an execution log as an object.
pub fn event_object(job: &str, run_id: &str, event: &EventRecord) -> Value {
    let EventRecord { at, level, source, stream, message } = event;
    json!({"run": run_id, "job": job, "at": utc(*at), "level": level, "source": source, "stream": stream, "message": message})
}
