//! A run while it goes on: bars at a terminal, log lines away from one, nothing but errors with `--quiet`. All on stderr.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::clock;
use crate::engine::{Notice, Observer, SourceReport, StreamReport};
use crate::plan::{Level, WorkerError};
use crate::run::SourceStatus;
use crate::secret::Masker;
use crate::text::{count, grouped, printable};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One event a line, key=value
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Shows a run while it goes on.
#[derive(Debug)]
pub struct Progress {
    view: View,
    is_verbose: bool,
    job: String,
    run: Option<String>,
    is_dry_run: bool,
    masker: Masker,
}

#[derive(Debug)]
enum View {
    /// The block about what failed, at the end, is all.
    Nothing,
    Lines(LogFormat),
    Bars(Bars),
}

impl Progress {
    /// Chooses how a run is shown: nothing with `--quiet`, bars at a terminal (unless a log format is asked for), else lines.
    pub fn new(job: &str, is_quiet: bool, verbose: u8, log_format: Option<LogFormat>, is_dry_run: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let view = match log_format {
            _ if is_quiet => View::Nothing,
            None if is_terminal => View::Bars(Bars::default()),
            format => View::Lines(format.unwrap_or_default()),
        };
        Self { view, is_verbose: verbose > 0, job: job.to_owned(), run: None, is_dry_run, masker: Masker::default() }
    }

    /// Takes what is not to be shown: known once the job is read.
    pub fn hide(&mut self, masker: Masker) {
        self.masker = masker;
    }

    /// Takes the bars away: what follows begins on a line of its own, and the result says it all again.
    pub fn finish(&mut self) {
        if let View::Bars(bars) = &self.view {
            let _ = bars.multi.clear();
        }
    }

    fn line(&self, format: LogFormat, level: Level, event: &str, fields: &[(&str, Value)]) {
        super::note(&line(format, &Stamp { at: clock::now(), level, event, job: &self.job, run: self.run.as_deref() }, fields));
    }
}

impl Observer for Progress {
    fn notice(&mut self, notice: &Notice<'_>) {
        if let Notice::RunStarted { run_id, .. } = notice {
            self.run = Some((*run_id).to_owned());
        }
        match &mut self.view {
            View::Nothing => {}
            View::Bars(bars) => bars.notice(notice, self.is_verbose, &self.masker),
            View::Lines(format) => {
                let format = *format;
                if let Some((level, event, mut fields)) = told(notice, self.is_verbose, self.is_dry_run) {
                    mask(&mut fields, &self.masker);
                    self.line(format, level, event, &fields);
                }
            }
        }
    }
}

/// Fields that say what a job file says.
const TEXTS: [&str; 5] = ["source", "stream", "target", "message", "error"];

fn mask(fields: &mut [(&str, Value)], masker: &Masker) {
    for (_, value) in fields.iter_mut().filter(|(key, _)| TEXTS.contains(key)) {
        if let Value::String(text) = value {
            *text = masker.mask(text);
        }
    }
}

type Told<'a> = (Level, &'static str, Vec<(&'a str, Value)>);

/// Returns what a notice is as a log line, where it is one.
fn told<'a>(notice: &'a Notice<'_>, is_verbose: bool, is_dry_run: bool) -> Option<Told<'a>> {
    Some(match notice {
        Notice::RunStarted { sources, .. } => (Level::Info, "run_started", vec![("sources", json!(sources.len()))]),
        Notice::Settled { run_id, finding } => {
            (Level::Warn, "dead_run_settled", vec![("dead_run", json!(run_id)), ("message", json!(finding))])
        }
        Notice::Waiting { held_by } => (Level::Info, "waiting_for_lease", vec![("held_by", json!(held_by))]),
        Notice::SourceStarted { source } => (Level::Info, "source_started", vec![("source", json!(source.name))]),
        Notice::Progress { source, stream } if is_verbose => (Level::Info, "progress", progress_fields(source, stream)),
        Notice::Progress { .. } => return None,
        Notice::Log { level, source, stream, message } => {
            if *level == Level::Info && !is_verbose {
                return None;
            }
            let mut fields = Vec::new();
            fields.extend(source.map(|source| ("source", json!(source))));
            fields.extend(stream.map(|stream| ("stream", json!(stream))));
            fields.push(("message", json!(message)));
            (*level, "log", fields)
        }
        Notice::StreamEnded { source, stream } => stream_told(source, stream, is_dry_run),
        Notice::SourceEnded { source } => source_told(source),
        Notice::SourcePaused { source, error, delay, attempts_max } => {
            (Level::Warn, "retry", paused_fields(source, error, *delay, *attempts_max))
        }
        Notice::Stopping { reason } => (Level::Warn, "stopping", vec![("message", json!(reason.message()))]),
    })
}

fn progress_fields<'a>(source: &SourceReport, stream: &StreamReport) -> Vec<(&'a str, Value)> {
    let mut fields = vec![
        ("source", json!(source.name)),
        ("stream", json!(stream.name)),
        ("phase", json!(stream.phase.map(|phase| phase.as_str()))),
        ("rows", json!(stream.rows)),
        ("bytes", json!(stream.bytes.0)),
    ];
    fields.extend(stream.bytes.1.map(|total| ("bytes_total", json!(total))));
    fields
}

fn paused_fields<'a>(source: &SourceReport, error: &WorkerError, delay: Duration, attempts_max: u32) -> Vec<(&'a str, Value)> {
    vec![
        ("source", json!(source.name)),
        ("attempt", json!(source.attempt)),
        ("attempts_max", json!(attempts_max)),
        ("delay_ms", json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))),
        ("code", json!(error.code)),
        ("error", json!(error.message)),
    ]
}

fn stream_told<'a>(source: &SourceReport, stream: &StreamReport, is_dry_run: bool) -> Told<'a> {
    let mut fields = vec![("source", json!(source.name)), ("stream", json!(stream.name)), ("target", json!(stream.target))];
    let counts = stream.counts();
    if let Some(error) = &stream.error {
        fields.push(("error", json!(error.message)));
        return (Level::Error, "stream_failed", fields);
    }
    fields.push(("rows", json!(counts.processed())));
    fields.push(("added", json!(counts.added)));
    fields.push(("updated", json!(counts.updated)));
    fields.push(("deleted", json!(counts.deleted)));
    fields.push(("rejected", json!(counts.rejected)));
    let event = if is_dry_run { "stream_checked" } else { "stream_published" };
    (if counts.rejected > 0 { Level::Warn } else { Level::Info }, event, fields)
}

fn source_told<'a>(source: &SourceReport) -> Told<'a> {
    let mut fields = vec![("source", json!(source.name)), ("status", json!(source.status.as_str()))];
    fields.push(("rows", json!(source.counts().processed())));
    fields.push(("ms", json!((source.duration_seconds * 1000.0).round() as u64)));
    fields.push(("peak_memory_mb", json!(source.usage.peak_memory_mb.round() as u64)));
    fields.extend(source.error.as_ref().map(|error| ("error", json!(error.message))));
    let level = match source.status {
        SourceStatus::Success => Level::Info,
        SourceStatus::Skipped => Level::Warn,
        _ => Level::Error,
    };
    (level, "source_finished", fields)
}

/// What every log line begins with.
struct Stamp<'a> {
    at: chrono::DateTime<chrono::Utc>,
    level: Level,
    event: &'a str,
    job: &'a str,
    run: Option<&'a str>,
}

fn line(format: LogFormat, stamp: &Stamp<'_>, fields: &[(&str, Value)]) -> String {
    let Stamp { at, level, event, job, run } = stamp;
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let mut all = vec![("event", json!(event)), ("job", json!(job))];
    all.extend(run.map(|run| ("run", json!(run))));
    all.extend(fields.iter().filter(|(_, value)| !value.is_null()).cloned());
    match format {
        LogFormat::Json => {
            let mut object = serde_json::Map::new();
            object.insert("at".to_owned(), json!(at));
            object.insert("level".to_owned(), json!(level));
            object.extend(all.into_iter().map(|(key, value)| (key.to_owned(), value)));
            Value::Object(object).to_string()
        }
        LogFormat::Text => {
            let mut text = format!("{at} {level}");
            for (key, value) in all {
                let _ = write!(text, " {key}={}", plain(&value));
            }
            text
        }
    }
}

/// Returns a value as `key=value` shows it: words bare, everything else quoted, so that a text can't add a key.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let clean = printable(text);
            let is_word =
                !clean.is_empty() && clean.chars().all(|character| !character.is_whitespace() && !matches!(character, '"' | '=' | '\\'));
            if is_word { clean.into_owned() } else { format!("\"{}\"", clean.replace('"', "\\\"")) }
        }
        other => other.to_string(),
    }
}

/// A bar for each source.
#[derive(Debug, Default)]
struct Bars {
    multi: MultiProgress,
    bars: HashMap<String, ProgressBar>,
    width: usize,
}

impl Bars {
    fn notice(&mut self, notice: &Notice<'_>, is_verbose: bool, masker: &Masker) {
        let shown = |name: &str| crate::text::shortened(&printable(&masker.mask(name)), 30).into_owned();
        match notice {
            Notice::RunStarted { sources, .. } => {
                self.bars.clear();
                self.width = sources.iter().map(|source| shown(&source.name).chars().count()).max().unwrap_or(0);
            }
            // Tried again, it goes on in the line that it has.
            Notice::SourceStarted { source } if self.bars.contains_key(&source.name) => {}
            Notice::SourceStarted { source } => {
                let bar = self.multi.add(ProgressBar::no_length().with_style(spinner_style()));
                bar.set_prefix(format!("{:<width$}", shown(&source.name), width = self.width));
                bar.enable_steady_tick(Duration::from_millis(120));
                self.bars.insert(source.name.clone(), bar);
            }
            Notice::Progress { source, stream } => self.progress(source, stream, masker),
            Notice::SourceEnded { source } => self.end(source),
            Notice::SourcePaused { source, error, delay, attempts_max } => {
                let again = format!("again in {:.0} s (attempt {} of {attempts_max})", delay.as_secs_f64(), source.attempt + 1);
                let text = masker.mask(&error.message);
                self.say(&format!("{}: {text}; {again}", shown(&source.name)));
                if let Some(bar) = self.bars.get(&source.name) {
                    bar.set_style(spinner_style());
                    bar.set_message(format!("waiting, {again}"));
                }
            }
            Notice::Log { level: Level::Info, .. } if !is_verbose => {}
            Notice::Log { source, message, .. } => self.say(&masker.mask(&format!("{}: {message}", source.unwrap_or("run")))),
            Notice::Settled { run_id, finding } => self.say(&format!("earlier run {run_id}: {finding}")),
            Notice::Waiting { held_by } => self.say(&format!("waiting for {held_by}")),
            Notice::Stopping { reason } => self.say(&format!("stopping: {}", reason.message())),
            Notice::StreamEnded { .. } => {}
        }
    }

    fn say(&self, text: &str) {
        let _ = self.multi.println(printable(text));
    }

    fn progress(&self, source: &SourceReport, stream: &StreamReport, masker: &Masker) {
        let Some(bar) = self.bars.get(&source.name) else { return };
        let (bytes, total) = stream.bytes;
        match total {
            Some(total) if total > 0 => {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(bar_style());
                }
                bar.set_position(bytes.min(total));
            }
            _ => bar.set_position(bytes),
        }
        let phase = stream.phase.map_or("starting", |phase| phase.as_str());
        let speed = stream.rows_per_second().map(|speed| format!(", {} rows/s", grouped(speed.round() as u64))).unwrap_or_default();
        let name = if stream.name == source.name { String::new() } else { format!("{}: ", printable(&masker.mask(&stream.name))) };
        bar.set_message(format!("{name}{phase}, {}{speed}, {}", count(stream.rows, "row"), HumanBytes(bytes)));
    }

    fn end(&mut self, source: &SourceReport) {
        let Some(bar) = self.bars.remove(&source.name) else { return };
        bar.set_style(done_style());
        bar.finish_with_message(format!("{}, {}", source.status.as_str(), count(source.counts().processed(), "row")));
    }
}

fn spinner_style() -> ProgressStyle {
    style("{prefix} {spinner} {elapsed:>4} {wide_msg}")
}

fn bar_style() -> ProgressStyle {
    style("{prefix} {bar:20} {percent:>3}% {elapsed:>4} {wide_msg}").progress_chars("=> ")
}

fn done_style() -> ProgressStyle {
    style("{prefix} {elapsed:>4} {wide_msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constants of this file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: LogFormat, fields: &[(&str, Value)]) -> String {
        let at = chrono::DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant");
        line(format, &Stamp { at, level: Level::Warn, event: "log", job: "flights", run: Some("r1") }, fields)
    }

    #[test]
    fn a_text_can_neither_add_a_key_nor_a_line_nor_an_escape() {
        let text = shown(LogFormat::Text, &[("message", json!("a b=\"c\"\n\u{1b}[2J level=error")), ("rows", json!(7))]);
        assert_eq!(
            text,
            "2026-11-18T11:06:40.000Z warn event=log job=flights run=r1 message=\"a b=\\\"c\\\"\\n\\u{1b}[2J level=error\" rows=7"
        );
    }

    #[test]
    fn a_json_line_is_one_object_without_empty_fields() {
        let text = shown(LogFormat::Json, &[("message", json!("a\nb")), ("stream", Value::Null)]);
        let value: Value = serde_json::from_str(&text).expect("one object");
        assert_eq!(text.lines().count(), 1);
        assert_eq!(value["message"], "a\nb");
        assert_eq!(value["level"], "warn");
        assert!(value.get("stream").is_none());
    }
}
