//! One run in full, as `logs --run` shows it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::logs::{RunView, object};
use super::measure::{abbreviation, bytes, local, local_clock, span, utc};
use super::table::{Align, Rows, terminal_width};
use super::wrap::{fitted, labelled};
use crate::plan::{Level, Mode};
use crate::run::{Counts, SourceStatus};
use crate::state::{EventRecord, RecordedError, RunDetail, SourceRecord, StreamRecord};
use crate::text::{count, grouped, printable, printable_lines};
use crate::zone::Zone;

/// Returns a run as an object: the run, its sources with their streams, its execution log.
pub fn json(detail: &RunDetail, view: &RunView<'_>) -> Value {
    let sources: Vec<Value> = detail.sources.iter().map(|source| source_object(detail, source, view)).collect();
    let events: Vec<Value> = detail.events.iter().map(event_object).collect();
    let mut run = object(view);
    run["error_details"] = detail.run.summary.error_details.clone().into();
    run["sources"] = sources.into();
    run["execution_log"] = events.into();
    json!({"success": true, "log": run})
}

fn source_object(detail: &RunDetail, source: &SourceRecord, view: &RunView<'_>) -> Value {
    let streams = detail.streams.iter().filter(|stream| stream.source == source.source);
    let streams: Vec<Value> = streams.map(|stream| stream_object(stream, view)).collect();
    let mut value = counts_object(&source.counts);
    value["name"] = source.source.clone().into();
    value["status"] = view.status_of(source.status).as_str().into();
    value["attempt"] = source.attempt.into();
    value["bytes_read"] = source.bytes_read.into();
    value["duration_seconds"] = source.duration_seconds.into();
    value["cpu_time_seconds"] = source.cpu_seconds.into();
    value["peak_memory_usage_mb"] = source.peak_memory_mb.into();
    value["rejects_path"] = source.rejects_path.clone().into();
    value["error"] = source.error.as_ref().map(error_object).into();
    value["streams"] = streams.into();
    value
}

fn stream_object(stream: &StreamRecord, view: &RunView<'_>) -> Value {
    let mut value = counts_object(&stream.counts);
    value["name"] = stream.stream.clone().into();
    value["target"] = stream.target.clone().into();
    value["status"] = view.status_of(stream.status).as_str().into();
    value["attempt"] = stream.attempt.into();
    value["mode"] = stream.mode.clone().into();
    value["rows_in_target"] = stream.rows_in_target.into();
    value["bytes_read"] = stream.bytes_read.into();
    value["duration_seconds"] = stream.duration_seconds.into();
    value["cursor"] = stream.cursor.clone().into();
    value["schema_changes"] = serde_json::from_str(&stream.schema_changes).unwrap_or(Value::Null);
    value["error"] = stream.error.as_ref().map(error_object).into();
    value
}

fn counts_object(counts: &Counts) -> Value {
    json!({
        "records_processed": counts.processed(),
        "records_added": counts.added,
        "records_updated": counts.updated,
        "records_unchanged": counts.unchanged,
        "records_folded": counts.folded,
        "records_skipped": counts.skipped,
        "records_rejected": counts.rejected,
        "records_deleted": counts.deleted,
    })
}

fn error_object(error: &RecordedError) -> Value {
    json!({"code": error.code, "message": error.message, "hint": error.hint})
}

fn event_object(event: &EventRecord) -> Value {
    json!({"at": utc(event.at), "level": event.level, "source": event.source, "stream": event.stream, "message": event.message})
}

/// Returns a run as text for people.
pub fn text(detail: &RunDetail, view: &RunView<'_>, zone: Zone) -> String {
    text_within(detail, view, zone, terminal_width())
}

fn text_within(detail: &RunDetail, view: &RunView<'_>, zone: Zone, width: Option<u16>) -> String {
    let mut text = head(detail, view, zone, width);
    let _ = write!(text, "\n{}\n", sources(detail, view).leaving_rest_to("-o json").text_within(width));
    if has_telling_streams(detail) {
        let _ = write!(text, "\n{}\n", streams(detail, view).leaving_rest_to("-o json").text_within(width));
    }
    text.push_str(&fitted(&below(detail, zone), 2, width));
    text
}

/// Returns what stands below the tables: errors, where rejected rows are, the execution log.
fn below(detail: &RunDetail, zone: Zone) -> String {
    let mut text = String::new();
    for line in errors(detail) {
        let _ = write!(text, "\n{line}");
    }
    let rejects: Vec<&SourceRecord> = detail.sources.iter().filter(|source| source.rejects_path.is_some()).collect();
    if !rejects.is_empty() {
        text.push_str("\nRejected rows\n");
        for source in rejects {
            let path = source.rejects_path.as_deref().unwrap_or_default();
            let rejected = count(source.counts.rejected, "row");
            let _ = writeln!(text, "  {}: {rejected} in {}", printable(&source.source), printable(path));
        }
    }
    if !detail.events.is_empty() {
        let zone_name = abbreviation(detail.events.iter().map(|event| event.at), zone);
        let _ = writeln!(text, "\nExecution log ({zone_name})");
        for event in &detail.events {
            let _ = writeln!(text, "{}", event_line(event, zone));
        }
    }
    text
}

fn head(detail: &RunDetail, view: &RunView<'_>, zone: Zone, width: Option<u16>) -> String {
    let run = view.run;
    let mut lines = vec![("Run", run.id.clone()), ("Job", run.job.clone())];
    let code = run.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    lines.push(("Status", format!("{}{code}", view.word())));
    let shown = |time| format!("{} {}", local(time, zone), abbreviation([time], zone));
    lines.push(("Started", shown(run.started_at)));
    if let Some(completed_at) = run.completed_at {
        lines.push(("Ended", shown(completed_at)));
    }
    lines.extend(view.duration_seconds().map(|seconds| ("Took", span(seconds))));
    let slot = run.slot.as_ref().map(|slot| format!(" for slot {slot}")).unwrap_or_default();
    let by = format!("{}{slot}, by {} on {} (process {}), etlsched {}", run.trigger.as_str(), run.user, run.host, run.pid, run.version);
    lines.push(("Trigger", by));
    lines.push(("Rows", totals(detail, view)));
    lines.extend(resources(view).map(|text| ("Resources", text)));
    // What a source or a stream said stands below, with what to do.
    let messages = || {
        detail
            .sources
            .iter()
            .filter_map(|source| source.error.as_ref())
            .chain(detail.streams.iter().filter_map(|stream| stream.error.as_ref()))
    };
    let is_said_below = |error: &str| messages().any(|said| error.contains(&said.message));
    lines.extend(view.error().filter(|error| !is_said_below(error)).map(|error| ("Error", error.to_owned())));
    lines.into_iter().map(|(label, value)| labelled(label, &printable_lines(&value), 11, width)).collect()
}

fn totals(detail: &RunDetail, view: &RunView<'_>) -> String {
    let totals = view.run.summary.totals;
    let mut text = format!("{} processed", grouped(totals.processed));
    let changes = [(totals.added, "added"), (totals.updated, "updated"), (totals.deleted, "deleted")];
    // Tables that were made anew have added and deleted all their rows, though none of them may differ.
    let loaded = || detail.streams.iter().filter(|stream| stream.status == SourceStatus::Success);
    let is_replaced = totals.deleted > 0 && loaded().all(|stream| stream.mode.as_deref() == Some(Mode::Full.as_str()));
    if is_replaced {
        let tables = if loaded().count() == 1 { "table" } else { "tables" };
        let _ = write!(text, ", {tables} replaced: {} in place of {}", count(totals.added, "row"), grouped(totals.deleted));
    }
    for (number, word) in changes.into_iter().filter(|_| !is_replaced).chain([(totals.rejected, "rejected")]) {
        if number > 0 {
            let _ = write!(text, ", {} {word}", grouped(number));
        }
    }
    text
}

fn resources(view: &RunView<'_>) -> Option<String> {
    let summary = &view.run.summary;
    let mut parts = Vec::new();
    parts.extend(summary.cpu_seconds.map(|seconds| format!("{} of processor time", span(seconds))));
    parts.extend(summary.peak_memory_mb.map(|megabytes| format!("{megabytes:.0} MiB of memory at most")));
    if summary.bytes_read > 0 {
        parts.push(format!("{} read", bytes(summary.bytes_read)));
    }
    if summary.retry_count > 0 {
        parts.push(if summary.retry_count == 1 { "1 retry".to_owned() } else { format!("{} retries", summary.retry_count) });
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

const COUNTS: [(&str, Align); 5] =
    [("Rows", Align::Right), ("Added", Align::Right), ("Updated", Align::Right), ("Unchanged", Align::Right), ("Rejected", Align::Right)];

fn count_cells(counts: &Counts) -> impl Iterator<Item = String> {
    [counts.processed(), counts.added, counts.updated, counts.unchanged, counts.rejected].into_iter().map(grouped)
}

fn sources(detail: &RunDetail, view: &RunView<'_>) -> Rows {
    let columns = [("Source", Align::Left), ("Status", Align::Left)].into_iter().chain(COUNTS);
    let mut rows = Rows::new(columns.chain([("Took", Align::Right), ("Try", Align::Right)]))
        .giving_way(&["Unchanged", "Updated", "Added", "Try"], "Source");
    for source in &detail.sources {
        let mut cells = vec![source.source.clone(), view.word_of(source.status).to_owned()];
        cells.extend(count_cells(&source.counts));
        cells.push(source.duration_seconds.map_or_else(|| "-".to_owned(), span));
        cells.push(if source.attempt == 0 { "-".to_owned() } else { source.attempt.to_string() });
        rows.push(cells);
    }
    rows
}

/// Whether the streams tell more than the sources do: their targets have other names, or a source has several.
fn has_telling_streams(detail: &RunDetail) -> bool {
    detail.streams.iter().any(|stream| stream.target != stream.source || stream.stream != stream.source || stream.cursor.is_some())
}

fn streams(detail: &RunDetail, view: &RunView<'_>) -> Rows {
    let columns = [("Stream", Align::Left), ("Target", Align::Left), ("Status", Align::Left), ("Mode", Align::Left)];
    let columns = columns.into_iter().chain(COUNTS).chain([("In target", Align::Right), ("Cursor", Align::Left)]);
    let mut rows = Rows::new(columns).giving_way(&["Mode", "Unchanged", "Updated", "Added", "In target", "Rejected", "Target"], "Stream");
    for stream in &detail.streams {
        let name = if stream.stream == stream.source { stream.source.clone() } else { format!("{}/{}", stream.source, stream.stream) };
        let mode = stream.mode.clone().unwrap_or_else(|| "-".to_owned());
        let mut cells = vec![name, stream.target.clone(), view.word_of(stream.status).to_owned(), mode];
        cells.extend(count_cells(&stream.counts));
        cells.push(stream.rows_in_target.map_or_else(|| "-".to_owned(), grouped));
        cells.push(stream.cursor.clone().unwrap_or_else(|| "-".to_owned()));
        rows.push(cells);
    }
    rows
}

/// Returns each error with its source, and its stream where that is another name; what a stream said isn't said again by its source.
fn errors(detail: &RunDetail) -> Vec<String> {
    let of_streams = detail.streams.iter().filter_map(|stream| stream.error.as_ref().map(|error| (stream, error)));
    let mut lines = Vec::new();
    let mut said = Vec::new();
    for (stream, error) in of_streams {
        said.push((&stream.source, &error.message));
        let place =
            if stream.stream == stream.source { stream.source.clone() } else { format!("{}, stream {}", stream.source, stream.stream) };
        lines.push(error_lines(&place, error));
    }
    for source in &detail.sources {
        if let Some(error) = &source.error
            && !said.iter().any(|(name, message)| **name == source.source && error.message.contains(message.as_str()))
        {
            lines.push(error_lines(&source.source, error));
        }
    }
    lines
}

fn error_lines(place: &str, error: &RecordedError) -> String {
    let mut text = format!("error: {}: {}\n", printable(place), printable_lines(&error.message));
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "hint: {}", printable_lines(hint));
    }
    text
}

fn event_line(event: &EventRecord, zone: Zone) -> String {
    let level = match event.level {
        Level::Info => "info ",
        Level::Warn => "warn ",
        Level::Error => "error",
    };
    format!("  {}  {level}  {}{}", local_clock(event.at, zone), printable(&place_of(event)), printable(&event.message))
}

/// Returns what a line of the execution log concerns: `source: `, `source/stream: ` or nothing.
pub(super) fn place_of(event: &EventRecord) -> String {
    match (&event.source, &event.stream) {
        (Some(source), Some(stream)) if source != stream => format!("{source}/{stream}: "),
        (Some(source), _) => format!("{source}: "),
        (None, _) => String::new(),
    }
}
