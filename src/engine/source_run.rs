//! What is known of one source in a run, from what its worker says. Refuses what no honest worker says. Pure.

use std::time::Instant;

use crate::plan::{Event, StreamResult, WorkerError};
use crate::process::Usage;
use crate::run::{Counts, SourceStatus};

use super::policy::StopReason;
use super::stream_run::{Answered, StreamReport};
use super::workers::{self, Ending};

/// The most streams of a source.
const STREAMS_MAX: usize = 10_000;

/// A source in a run.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// How it ended, or that it hasn't.
    pub status: SourceStatus,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Its streams, once the worker has named them.
    pub streams: Vec<StreamReport>,
    /// Why it was not refreshed.
    pub error: Option<WorkerError>,
    /// From the start of its worker to its end.
    pub duration_seconds: f64,
    /// What its worker used.
    pub usage: Usage,
    is_declared: bool,
    finished: Option<Option<WorkerError>>,
    fault: Option<WorkerError>,
    is_killed: bool,
    is_left_behind: bool,
}

#[cfg(test)]
impl SourceReport {
    /// Makes a source as it ended, for the tests of those who show it: with a stream of its own name, unless it was skipped.
    pub fn ended(name: &str, status: SourceStatus, seconds: f64, published: Result<Counts, WorkerError>) -> Self {
        let mut stream = StreamReport::new(name.to_owned(), name.to_owned(), 1);
        (stream.status, stream.seconds) = (status, Some(seconds));
        match &published {
            Ok(counts) => {
                stream.rows = counts.processed();
                stream.result = Some(StreamResult {
                    stream: name.to_owned(),
                    target: name.to_owned(),
                    mode: crate::plan::Mode::Full,
                    counts: *counts,
                    reject_reasons: Vec::new(),
                    rows_in_target: counts.added,
                    bytes_read: 1000,
                    cursor: None,
                    is_cursor_held: false,
                    version: 1,
                    schema: crate::batch::Schema::default(),
                    schema_changes: Vec::new(),
                    statements: Vec::new(),
                });
            }
            Err(error) => stream.error = Some(error.clone()),
        }
        let usage = Usage { cpu_seconds: seconds, peak_memory_mb: 45.6 };
        let streams = if status == SourceStatus::Skipped { Vec::new() } else { vec![stream] };
        Self { status, streams, error: published.err(), duration_seconds: seconds, usage, ..Self::new(name) }
    }
}

/// What follows from an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that needs anyone.
    None,
    /// The streams are known.
    Declared,
    /// A stream is in another phase.
    Phase,
    /// A stream waits for its answer.
    Ready(usize),
    /// A stream is published.
    Published(usize),
    /// A stream is not published.
    Failed(usize),
}

impl SourceReport {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: SourceStatus::Waiting,
            attempt: 1,
            streams: Vec::new(),
            error: None,
            duration_seconds: 0.0,
            usage: Usage::default(),
            is_declared: false,
            finished: None,
            fault: None,
            is_killed: false,
            is_left_behind: false,
        }
    }

    /// Returns what became of its rows.
    pub fn counts(&self) -> Counts {
        self.streams.iter().fold(Counts::default(), |mut sum, stream| {
            sum += stream.counts();
            sum
        })
    }

    /// Whether its worker came to a bad end and may have left something in the destination.
    pub(super) fn is_killed(&self) -> bool {
        self.is_killed
    }

    /// Whether its worker could not be ended: the kernel holds it.
    pub(super) fn is_left_behind(&self) -> bool {
        self.is_left_behind
    }

    /// Takes an event in; log lines are the caller's.
    ///
    /// # Errors
    /// What is wrong with it: the worker is then not to be trusted any further.
    pub(super) fn accept(&mut self, event: Event) -> Result<Effect, String> {
        if self.finished.is_some() {
            return Err("an event after its last".to_owned());
        }
        match event {
            Event::Streams { streams } => self.declare(streams),
            Event::Phase { stream, phase } => {
                let index = self.open_stream(&stream)?;
                self.streams[index].status = SourceStatus::Running;
                self.streams[index].phase = Some(phase);
                self.streams[index].began.get_or_insert_with(Instant::now);
                Ok(Effect::Phase)
            }
            Event::Progress { stream, rows, bytes, bytes_total } => {
                let index = self.open_stream(&stream)?;
                self.streams[index].rows = rows;
                self.streams[index].bytes = (bytes, bytes_total);
                Ok(Effect::None)
            }
            Event::Log { .. } => Ok(Effect::None),
            Event::Ready { stream } => {
                let index = self.open_stream(&stream)?;
                if self.streams[index].answer != Answered::Nothing {
                    return Err(format!("a second ready of stream {stream:?}"));
                }
                Ok(Effect::Ready(index))
            }
            Event::Published(result) => self.publish(result),
            Event::StreamFailed { stream, error, rejected } => {
                let index = self.open_stream(&stream)?;
                self.streams[index].error = Some(error);
                self.streams[index].rejected = rejected;
                self.streams[index].end(SourceStatus::Failed);
                Ok(Effect::Failed(index))
            }
            Event::Answered { .. } => Err("an answer that nobody asked for".to_owned()),
            Event::Finished { error } => {
                self.finished = Some(error);
                Ok(Effect::None)
            }
        }
    }

    fn declare(&mut self, streams: Vec<(String, String)>) -> Result<Effect, String> {
        if self.is_declared {
            return Err("its streams a second time".to_owned());
        }
        if streams.len() > STREAMS_MAX {
            return Err(format!("{} streams; a source has at most {STREAMS_MAX}", streams.len()));
        }
        let names: std::collections::BTreeSet<&String> = streams.iter().map(|(name, _)| name).collect();
        if names.len() != streams.len() {
            return Err("one stream twice".to_owned());
        }
        self.is_declared = true;
        self.take_streams(streams);
        Ok(Effect::Declared)
    }

    /// Notes which of its streams an earlier run of the slot has published: its worker leaves them out.
    pub(super) fn leave_out(&mut self, names: &[String]) {
        for stream in self.streams.iter_mut().filter(|stream| names.contains(&stream.name)) {
            stream.is_published_before = true;
            stream.status = SourceStatus::Skipped;
        }
    }

    fn publish(&mut self, result: StreamResult) -> Result<Effect, String> {
        let index = self.open_stream(&result.stream)?;
        if self.streams[index].answer == Answered::Drop {
            return Err(format!("stream {:?} as published, which it was told to drop", result.stream));
        }
        self.settle_published(index, result);
        Ok(Effect::Published(index))
    }

    fn open_stream(&self, name: &str) -> Result<usize, String> {
        let index = self.streams.iter().position(|stream| stream.name == name);
        let index = index.ok_or_else(|| format!("stream {name:?}, which it had not named"))?;
        if self.streams[index].is_settled() { Err(format!("stream {name:?} after its end")) } else { Ok(index) }
    }

    /// Notes that a stream may publish: from now on only the worker or the destination knows whether it has.
    pub(super) fn allow(&mut self, index: usize) {
        self.streams[index].answer = Answered::Publish;
    }

    /// Notes that a stream must not publish.
    pub(super) fn refuse(&mut self, index: usize) {
        self.streams[index].answer = Answered::Drop;
    }

    /// Notes why the worker was ended, in place of what it says itself.
    pub(super) fn blame(&mut self, fault: WorkerError) {
        self.fault.get_or_insert(fault);
    }

    /// Returns the streams that were allowed to publish and of which nothing was heard since: the destination must be asked.
    pub(super) fn unsettled(&self) -> Vec<usize> {
        (0..self.streams.len())
            .filter(|index| self.streams[*index].answer == Answered::Publish && !self.streams[*index].is_settled())
            .collect()
    }

    /// Notes a publish that the worker or the destination tells of.
    pub(super) fn settle_published(&mut self, index: usize, result: StreamResult) {
        let stream = &mut self.streams[index];
        stream.rows = result.counts.processed();
        stream.bytes.0 = stream.bytes.0.max(result.bytes_read);
        stream.end(SourceStatus::Success);
        stream.result = Some(result);
    }

    /// Settles how the source and each of its streams ended, once its worker is gone and every publish is settled.
    /// Returns a warning where all was published though the worker came to no good end.
    pub(super) fn conclude(&mut self, ending: &Ending, stop: Option<&StopReason>) -> Option<String> {
        self.add_usage(ending);
        self.is_left_behind = ending.process.is_none() && ending.not_started.is_none();
        let is_clean = ending.process.is_some_and(|ended| ended.exit.is_done());
        self.is_killed |= !is_clean && ending.process.is_some();
        let failure = match (&self.fault, &self.finished) {
            (Some(fault), _) => Some(fault.clone()),
            (None, Some(Some(error))) => Some(error.clone()),
            (None, Some(None)) if is_clean => None,
            (None, _) => Some(workers::crashed(ending)),
        };
        let was_stopped =
            failure.as_ref().is_some_and(|error| ["cancelled", "worker_crashed", "driver_crashed"].contains(&error.code.as_str()));
        let failure = match stop {
            Some(stop) if was_stopped || failure.is_none() => Some(stopped(stop)),
            _ => failure,
        };
        self.conclude_streams(failure.as_ref(), stop);
        let all_published = !self.streams.is_empty() && self.streams.iter().all(StreamReport::is_published);
        // A cancel that came behind the last publish changes nothing.
        let said_error = matches!(&self.finished, Some(Some(error)) if error.code != "cancelled");
        if all_published && !said_error {
            self.status = SourceStatus::Success;
            let fault = self.fault.clone().or_else(|| (!is_clean).then(|| workers::crashed(ending)));
            return fault.map(|fault| fault.message);
        }
        let error = self.streams.iter().find_map(|stream| stream.error.clone()).or(failure).unwrap_or_else(|| incomplete(self));
        self.status = match stop {
            Some(stop) if error.code == stop.code() => stop.source_status(),
            _ => SourceStatus::Failed,
        };
        self.error = Some(error);
        None
    }

    fn conclude_streams(&mut self, failure: Option<&WorkerError>, stop: Option<&StopReason>) {
        for stream in &mut self.streams {
            if let (Some(stop), Some(error)) = (stop, &mut stream.error)
                && (error.code == "cancelled" || stream.answer == Answered::Drop)
            {
                *error = stopped(stop);
                stream.status = stop.source_status();
            }
            if stream.is_settled() {
                continue;
            }
            if stream.status == SourceStatus::Waiting {
                stream.status = SourceStatus::Skipped;
                continue;
            }
            let error = failure.cloned().unwrap_or_else(|| unsaid(&stream.name));
            stream.end(match stop {
                Some(stop) if error.code == stop.code() => stop.source_status(),
                _ => SourceStatus::Failed,
            });
            stream.error = Some(error);
        }
    }

    /// Forgets what the worker of an attempt said.
    pub(super) fn forget_worker(&mut self) {
        (self.is_declared, self.finished, self.fault) = (false, None, None);
    }

    /// Settles a source whose worker was never started.
    pub(super) fn skip(&mut self) {
        self.status = SourceStatus::Skipped;
    }
}

/// The error of what a stop ended.
pub(super) fn stopped(stop: &StopReason) -> WorkerError {
    let hint = match stop {
        StopReason::Timeout(_) => Some("raise timeout_minutes under etl_config, or load less at a time"),
        StopReason::LeaseLost(_) => Some("another run of this job may have begun: see etlsched status"),
        StopReason::LeaseLapsed(_) => {
            Some("nothing more was published; the slot of a scheduled run is due again, a run by hand is to be started again")
        }
        StopReason::StoreFailed(_) => Some("make room or repair the state store; the next run settles this one"),
        StopReason::Unsettled(_) => Some("see that the destination can be reached, then run the job by hand"),
        StopReason::Signal(_) | StopReason::Requested => None,
    };
    WorkerError { is_transient: false, ..WorkerError::new(stop.code(), stop.message(), hint) }
}

fn incomplete(source: &SourceReport) -> WorkerError {
    let message = if source.streams.is_empty() {
        "its worker found nothing to load".to_owned()
    } else {
        let left: Vec<&str> = source.streams.iter().filter(|stream| !stream.is_settled()).map(|stream| stream.name.as_str()).collect();
        format!("its worker ended without a word on {}", left.join(", "))
    };
    WorkerError::new("incomplete", message, None)
}

fn unsaid(stream: &str) -> WorkerError {
    WorkerError::new("incomplete", format!("its worker ended without a word on stream {stream}"), None)
}
