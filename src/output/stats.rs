//! What the runs of a span amount to, as `stats` shows it: what needs attention first.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::measure::{abbreviation, local, span};
use super::spark::{Blocks, sparkline};
use super::stats_data::{JobStats, SourceStats};
use super::table::{Align, Rows, terminal_width};
use super::wrap::labelled;
use crate::state::ErrorTally;
use crate::text::{count, grouped, percent_shown, printable};
use crate::zone::Zone;

/// How many durations a table shows, and the page of one job.
const BLOCKS_IN_TABLE: usize = 16;
const BLOCKS_OF_JOB: usize = 60;

/// The span that is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its beginning.
    pub since: DateTime<Utc>,
    /// Its end: now.
    pub until: DateTime<Utc>,
}

impl Period {
    /// Returns its length.
    pub fn length(self) -> TimeDelta {
        self.until - self.since
    }

    /// Returns the span of equal length before it.
    pub fn before(self) -> Self {
        Self { since: self.since.checked_sub_signed(self.length()).unwrap_or(DateTime::<Utc>::MIN_UTC), until: self.since }
    }

    fn in_words(self, zone: Zone) -> String {
        let begin = format!("{} {}", local(self.since, zone), abbreviation([self.since], zone));
        format!("since {begin}, compared with the {} before", length(self.length()))
    }
}

/// Returns a length in words: `30 days`, `12 hours`, or a span to two units.
fn length(length: TimeDelta) -> String {
    let (hours, rest) = (length.num_hours(), length - TimeDelta::hours(length.num_hours()));
    match u64::try_from(hours) {
        Ok(24) if rest.is_zero() => "day".to_owned(),
        Ok(hours @ 1..) if rest.is_zero() && hours % 24 == 0 => count(hours / 24, "day"),
        Ok(1) if rest.is_zero() => "hour".to_owned(),
        Ok(hours @ 1..) if rest.is_zero() && hours < 48 => count(hours, "hour"),
        _ => span(length.as_seconds_f64()),
    }
}

/// Returns what stands above the tables.
pub fn period_line(period: Period, zone: Zone) -> String {
    format!("Runs begun {}", period.in_words(zone))
}

/// Returns all jobs as a table.
pub fn table(jobs: &[JobStats], blocks: Blocks) -> Rows {
    let mut rows = Rows::new([
        ("Job", Align::Left),
        ("Runs", Align::Right),
        ("Good", Align::Right),
        ("Failed", Align::Right),
        ("Stopped", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("Max", Align::Right),
        ("Trend", Align::Right),
        ("Rows", Align::Right),
        ("Memory", Align::Right),
        ("Durations", Align::Left),
        ("Attention", Align::Left),
    ])
    .giving_way(&["Memory", "Max", "Stopped", "Rows", "p95", "Trend", "Durations"], "Job");
    for job in jobs {
        let spread = |pick: fn(&crate::run::Spread) -> f64| job.spread.as_ref().map_or_else(|| "-".to_owned(), |spread| span(pick(spread)));
        rows.push(vec![
            job.named(),
            grouped(job.runs()),
            job.success_rate().map_or_else(|| "-".to_owned(), percent_shown),
            grouped(job.ends.failed + job.ends.timeout + job.ends.interrupted),
            grouped(job.ends.cancelled),
            spread(|spread| spread.p50),
            spread(|spread| spread.p95),
            spread(|spread| spread.max),
            job.duration_change().map_or_else(|| "-".to_owned(), change),
            grouped(job.rows),
            job.peak_memory_mb.map_or_else(|| "-".to_owned(), |megabytes| format!("{megabytes:.0} MB")),
            sparkline(last(&job.durations, BLOCKS_IN_TABLE), blocks),
            job.attention().join(", "),
        ]);
    }
    rows
}

fn last(durations: &[f64], count: usize) -> &[f64] {
    &durations[durations.len().saturating_sub(count)..]
}

/// Returns a change as `+12 %`.
fn change(ratio: f64) -> String {
    format!("{:+.0} %", (ratio - 1.0) * 100.0)
}

/// Returns one job as text.
pub fn text(job: &JobStats, sources: &[SourceStats], errors: &[ErrorTally], period: Period, zone: Zone, blocks: Blocks) -> String {
    let mut lines = vec![("Job", printable(&job.named()).into_owned()), ("Runs begun", period.in_words(zone)), ("Runs", ends(job))];
    let before = job.before.as_ref();
    if let Some(good) = job.success_rate() {
        let before = before.and_then(|before| before.success_rate).map(|good| format!(" (before: {good:.1} %)")).unwrap_or_default();
        lines.push(("Success", format!("{good:.1} % of {}{before}", count(job.ends.counted(), "run"))));
    }
    if let Some(spread) = &job.spread {
        let before = match (before.and_then(|before| before.spread), job.duration_change()) {
            (Some(before), Some(ratio)) => format!(" (before: p50 {}, {})", span(before.p50), change(ratio)),
            _ => String::new(),
        };
        lines.push(("Took", format!("p50 {}, p95 {}, at most {}{before}", span(spread.p50), span(spread.p95), span(spread.max))));
        let shown = last(&job.durations, BLOCKS_OF_JOB);
        lines.push(("Durations", sparkline(shown, blocks)));
        let successes = if shown.len() == 1 { "success" } else { "successes" };
        lines.push(("", format!("of the last {} {successes}, the oldest first", grouped(shown.len() as u64))));
    }
    lines.push(("Rows", rows_of(job)));
    if job.retries > 0 {
        lines.push(("Retries", grouped(job.retries)));
    }
    lines.extend(job.peak_memory_mb.map(|megabytes| ("Memory", format!("{megabytes:.0} MiB at most"))));
    let attention = job.attention();
    if !attention.is_empty() {
        lines.push(("Attention", attention.join(", ")));
    }
    let width = terminal_width();
    let mut text: String = lines.into_iter().map(|(label, value)| labelled(label, &value, 12, width)).collect();
    if !sources.is_empty() {
        let _ = write!(text, "\n{}\n", source_table(sources).leaving_rest_to("-o json").text());
    }
    if !errors.is_empty() {
        let _ = write!(text, "\n{}\n", error_table(errors, zone).text());
    }
    text.truncate(text.trim_end().len());
    text
}

fn ends(job: &JobStats) -> String {
    let ends = &job.ends;
    let partly = if ends.partly > 0 { format!(" ({} in part)", grouped(ends.partly)) } else { String::new() };
    let parts = [
        (ends.success, "success", ""),
        (ends.failed, "failed", partly.as_str()),
        (ends.timeout, "timeout", ""),
        (ends.interrupted, "interrupted", ""),
        (ends.cancelled, "cancelled", ""),
        (ends.open, "running", ""),
    ];
    let words: Vec<String> =
        parts.iter().filter(|(number, ..)| *number > 0).map(|(number, word, more)| format!("{} {word}{more}", grouped(*number))).collect();
    if words.is_empty() { "none".to_owned() } else { format!("{}: {}", grouped(job.runs()), words.join(", ")) }
}

fn rows_of(job: &JobStats) -> String {
    let mut text = grouped(job.rows);
    if let Some(mean) = job.rows_per_run() {
        let _ = write!(text, ", {} a run", grouped(mean.round() as u64));
    }
    if let Some(before) = job.before.as_ref().and_then(|before| before.rows_per_run) {
        let _ = write!(text, " (before: {} a run)", grouped(before.round() as u64));
    }
    if job.rejected > 0 {
        let _ = write!(text, ", {} rejected", grouped(job.rejected));
    }
    text
}

fn source_table(sources: &[SourceStats]) -> Rows {
    let mut rows = Rows::new([
        ("Source", Align::Left),
        ("Runs", Align::Right),
        ("Good", Align::Right),
        ("Failed", Align::Right),
        ("Retries", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("Max", Align::Right),
        ("Slowest run", Align::Left),
        ("Rows", Align::Right),
        ("Rejected", Align::Right),
        ("Memory", Align::Right),
    ])
    .giving_way(&["Memory", "Rejected", "Slowest run", "Rows", "p95"], "Source");
    for source in sources {
        let spread =
            |pick: fn(&crate::run::Spread) -> f64| source.spread.as_ref().map_or_else(|| "-".to_owned(), |spread| span(pick(spread)));
        rows.push(vec![
            source.name.clone(),
            grouped(source.attempted()),
            source.success_rate().map_or_else(|| "-".to_owned(), percent_shown),
            grouped(source.failed),
            grouped(source.retries),
            spread(|spread| spread.p50),
            spread(|spread| spread.p95),
            spread(|spread| spread.max),
            source.slowest_run.as_deref().map_or("-", super::logs::short_id).to_owned(),
            grouped(source.rows),
            grouped(source.rejected),
            source.peak_memory_mb.map_or_else(|| "-".to_owned(), |megabytes| format!("{megabytes:.0} MB")),
        ]);
    }
    rows
}

fn error_table(errors: &[ErrorTally], zone: Zone) -> Rows {
    let last = format!("Last ({})", abbreviation(errors.iter().map(|error| error.last_started_at), zone));
    let columns = [("Source", Align::Left), ("Error", Align::Left), ("Runs", Align::Right), (last.as_str(), Align::Left)];
    let mut rows = Rows::new(columns).giving_way(&[], "Source");
    for error in errors {
        rows.push(vec![error.source.clone(), error.code.clone(), grouped(error.runs), local(error.last_started_at, zone)]);
    }
    rows
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
