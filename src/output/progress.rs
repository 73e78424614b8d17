//! A run while it goes on: bars at a terminal, log lines away from one, nothing but errors with `--quiet`. All on stderr.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use super::log_events;
use super::log_file::LogFile;
use super::log_line::{self, Entry, LogFormat, Stamp};
use super::table::note_width;
use super::wrap::{columns, cut, fitted};
use crate::clock;
use crate::engine::{Notice, Observer, RunReport, SourceReport, StreamReport};
use crate::error::Failure;
use crate::plan::Level;
use crate::secret::Masker;
use crate::text::{count, grouped, printable};

/// How a run is told while it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// Standard error is for what failed.
    pub is_quiet: bool,
    /// Lines in this format on standard error, at a terminal too.
    pub lines: Option<LogFormat>,
    /// Progress and the steps of sources too.
    pub is_verbose: bool,
    /// Whether nothing is written anywhere.
    pub is_dry_run: bool,
    /// Where lines go in any case.
    pub file: Option<&'a LogFile>,
}

/// Shows a run while it goes on.
#[derive(Debug)]
pub struct Progress<'a> {
    view: View,
    manner: Manner<'a>,
    job: String,
    run: Option<String>,
    masker: Masker,
}

#[derive(Debug)]
enum View {
    /// The block about what failed, at the end, is all.
    Nothing,
    Lines(LogFormat),
    Bars(Bars),
}

impl<'a> Progress<'a> {
    /// Chooses how a run is shown: nothing with `--quiet`, bars at a terminal (unless lines are asked for), else lines.
    pub fn new(job: &str, manner: Manner<'a>) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let view = match manner.lines {
            _ if manner.is_quiet => View::Nothing,
            None if is_terminal => View::Bars(Bars::default()),
            format => View::Lines(format.unwrap_or_default()),
        };
        Self { view, manner, job: job.to_owned(), run: None, masker: Masker::default() }
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

    /// Takes how the run ended.
    pub fn ended(&self, report: &RunReport) {
        self.log(log_events::of_report(report));
    }

    /// Takes why there was no run; people are told by whoever called for it.
    pub fn refused(&self, failure: &Failure) {
        self.log_to_file(&log_events::of_failure("run_refused", failure).masked(&self.masker));
    }

    fn log(&self, entry: Entry) {
        let entry = entry.masked(&self.masker);
        if let View::Lines(format) = self.view {
            super::note(&log_line::line(format, &self.stamp(), &entry));
        }
        self.log_to_file(&entry);
    }

    fn log_to_file(&self, entry: &Entry) {
        if let Some(file) = self.manner.file.filter(|_| entry.event != "progress") {
            file.add(&self.stamp(), entry);
        }
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp { at: clock::now(), job: Some(&self.job), run: self.run.as_deref() }
    }
}

impl Observer for Progress<'_> {
    fn notice(&mut self, notice: &Notice<'_>) {
        if let Notice::RunStarted { run_id, .. } = notice {
            self.run = Some((*run_id).to_owned());
        }
        if let View::Bars(bars) = &mut self.view {
            bars.notice(notice, self.manner.is_verbose, &self.masker);
        }
        if (matches!(self.view, View::Lines(_)) || self.manner.file.is_some())
            && let Some(entry) = log_events::of_notice(notice, self.manner.is_verbose, self.manner.is_dry_run)
        {
            self.log(entry);
        }
    }
}

/// So many columns of the screen a source's name takes before its bar.
const NAME_MAX: usize = 30;

/// A bar for each source.
#[derive(Debug, Default)]
struct Bars {
    multi: MultiProgress,
    bars: HashMap<String, ProgressBar>,
    width: usize,
}

impl Bars {
    fn notice(&mut self, notice: &Notice<'_>, is_verbose: bool, masker: &Masker) {
        let shown = |name: &str| cut(&printable(&masker.mask(name)), NAME_MAX);
        match notice {
            Notice::RunStarted { sources, .. } => {
                self.bars.clear();
                self.width = sources.iter().map(|source| columns(&shown(&source.name))).max().unwrap_or(0);
            }
            // Tried again, it goes on in the line that it has.
            Notice::SourceStarted { source } if self.bars.contains_key(&source.name) => {}
            Notice::SourceStarted { source } => {
                let bar = self.multi.add(ProgressBar::no_length().with_style(spinner_style()));
                let name = shown(&source.name);
                bar.set_prefix(format!("{name}{}", " ".repeat(self.width.saturating_sub(columns(&name)))));
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
        let _ = self.multi.println(fitted(&printable(text), 2, note_width()));
    }

    fn progress(&self, source: &SourceReport, stream: &StreamReport, masker: &Masker) {
        let Some(bar) = self.bars.get(&source.name) else { return };
        let (bytes, total) = stream.bytes;
        match total {
            Some(total) if total > 0 => {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(bar_style(bar_columns(note_width())));
                }
                bar.set_position(bytes.min(total));
            }
            _ => bar.set_position(bytes),
        }
        let phase = stream.phase.map_or("starting", |phase| phase.as_str());
        let name = if stream.name == source.name { String::new() } else { format!("{}: ", printable(&masker.mask(&stream.name))) };
        let mut parts = vec![format!("{name}{phase}"), count(stream.rows, "row")];
        parts.extend(stream.rows_per_second().map(|speed| format!("{} rows/s", grouped(speed.round() as u64))));
        parts.push(HumanBytes(bytes).to_string());
        let room =
            note_width().map_or(usize::MAX, |width| usize::from(width).saturating_sub(self.width + bar_columns(Some(width)) + BESIDE_BAR));
        bar.set_message(with_room(&parts, room));
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

fn bar_style(columns: usize) -> ProgressStyle {
    style(&format!("{{prefix}} {{bar:{columns}}} {{percent:>3}}% {{elapsed:>4}} {{wide_msg}}")).progress_chars("=> ")
}

/// What stands beside a name, a bar and the words: the share, the time and spaces.
const BESIDE_BAR: usize = 1 + 1 + 4 + 1 + 4 + 1;

/// Returns how wide bars are: words have more to say where a terminal is narrow.
fn bar_columns(width: Option<u16>) -> usize {
    if width.is_some_and(|width| width < 120) { 10 } else { 20 }
}

/// Returns as many parts as there is room for, none of them cut; the first one always.
fn with_room(parts: &[String], room: usize) -> String {
    let mut text = parts.first().cloned().unwrap_or_default();
    for part in parts.iter().skip(1) {
        if columns(&text) + 2 + columns(part) > room {
            break;
        }
        text.push_str(", ");
        text.push_str(part);
    }
    text
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

    #[test]
    fn what_has_no_room_behind_a_bar_is_left_out_and_never_cut() {
        let parts = ["loading", "393,216 rows", "58,021 rows/s", "16.21 MiB"].map(str::to_owned);
        for (room, expected) in [
            (usize::MAX, "loading, 393,216 rows, 58,021 rows/s, 16.21 MiB"),
            (47, "loading, 393,216 rows, 58,021 rows/s, 16.21 MiB"),
            (46, "loading, 393,216 rows, 58,021 rows/s"),
            (35, "loading, 393,216 rows"),
            (20, "loading"),
            (3, "loading"),
        ] {
            assert_eq!(with_room(&parts, room), expected, "{room}");
        }
    }
}
