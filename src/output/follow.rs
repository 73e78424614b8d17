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
    job: Option<usize>,
    /// The user's zone.
    zone: Zone,
    /// A narrow terminal has no room for these.
    has_rows: bool,
    has_trigger: bool,
}

const STATUS: usize = "interrupted".len();
const STARTED: usize = "2026-11-23 23:18:11".len();
const ID: usize = 13;

/// A run without job, rows and trigger: its columns and what stands between them.
const LEAST: usize = ID + 2 + STATUS + 2 + STARTED + 2 + TOOK;
const TOOK: usize = 7;
const ROWS: usize = 11;
const TRIGGER: usize = "schedule".len();
/// So wide at least are jobs.
const JOB_MIN: usize = 8;

impl Columns {
    /// Chooses what a terminal of this width has room for, `job` wide at most; all of it without one.
    pub fn new(job: Option<usize>, zone: Zone, width: Option<u16>) -> Self {
        let room = width.map_or(usize::MAX, usize::from);
        let jobs = job.map_or(0, |job| job + 2);
        let has_rows = LEAST + jobs + 2 + ROWS <= room;
        let has_trigger = has_rows && LEAST + jobs + 2 + ROWS + 2 + TRIGGER <= room;
        let job = job.map(|job| job.min(room.saturating_sub(LEAST + 2)).max(JOB_MIN.min(job)));
        Self { job, zone, has_rows, has_trigger }
    }

    /// Returns the header; `now` tells the zone's abbreviation.
    pub fn header(&self, now: DateTime<Utc>) -> String {
        let job = self.job.map(|width| format!("{}  ", padded("Job", width))).unwrap_or_default();
        let started = padded(&format!("Started ({})", abbreviation([now], self.zone)), STARTED);
        let rest = self.rest("Rows", "Trigger");
        format!("{}  {job}{}  {started}  {:>TOOK$}{rest}", padded("Run", ID), padded("Status", STATUS), "Took")
    }

    fn rest(&self, rows: &str, trigger: &str) -> String {
        let rows = if self.has_rows { format!("  {rows:>ROWS$}") } else { String::new() };
        if self.has_trigger { format!("{rows}  {trigger}") } else { rows }
    }

    /// Returns a run as a line.
    pub fn line(&self, view: &RunView<'_>) -> String {
        let run = view.run;
        let job = self.job.map(|width| format!("{}  ", padded(&printable(&run.job), width))).unwrap_or_default();
        let word = view.word();
        let status = format!("{}{}", table::painted(word), " ".repeat(STATUS.saturating_sub(columns(word))));
        let took = view.duration_seconds().map_or_else(|| "-".to_owned(), span);
        let rest = self.rest(&grouped(run.summary.totals.processed), run.trigger.as_str());
        let started = padded(&local(run.started_at, self.zone), STARTED);
        format!("{}  {job}{status}  {started}  {took:>TOOK$}{rest}", padded(short_id(&run.id), ID))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(job: Option<usize>, width: Option<u16>, expected: &str) {
        let now = "2026-11-24T02:00:00Z".parse().unwrap();
        let header = Columns::new(job, Zone::UTC, width).header(now);
        assert_eq!(header, expected);
        assert!(width.is_none_or(|width| columns(&header) <= usize::from(width)), "{header}");
    }

    #[test]
    fn a_narrow_terminal_has_the_columns_for_which_it_has_room() {
        let whole = "Run            Job                       Status       Started (UTC)           Took         Rows  Trigger";
        check(Some(24), None, whole);
        check(Some(24), Some(200), whole);
        check(Some(24), Some(100), "Run            Job                       Status       Started (UTC)           Took         Rows");
        check(Some(24), Some(80), "Run            Job                     Status       Started (UTC)           Took");
        check(Some(5), Some(80), "Run            Job    Status       Started (UTC)           Took         Rows");
        check(None, Some(80), "Run            Status       Started (UTC)           Took         Rows  Trigger");
    }
}
