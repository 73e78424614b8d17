//! The run log as the run writes it: sources, streams, lines, lease. Lines are written together; a store that fails is noted once.
//! A dry run has a journal without a store: it writes nothing anywhere.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::plan::{Level, StreamResult};
use crate::run::{RunStatus, SourceStatus};
use crate::state::{
    Closed, EndPolicy, EventRecord, Moment, Place, Renewal, RunEnd, RunSummary, SourceRecord, StateError, Store, StreamRecord,
};

use super::policy::StopReason;
use super::source_run::SourceReport;
use super::stream_run::StreamReport;

/// So many lines are written at once at the latest.
const LINES_TOGETHER_MAX: usize = 200;

/// So long at least is another process's transaction waited for: ours take milliseconds.
const PATIENCE_MIN: Duration = Duration::from_millis(500);

/// How long beyond its limit a run may wait to write its end: many that reach theirs together wait for each other.
const END_TIME: Duration = Duration::from_secs(8);

/// Returns both clocks' readings.
pub(super) fn moment() -> Moment {
    Moment { at: clock::now(), boot: clock::boot_time() }
}

/// The store of a run, shared with the thread that renews its lease.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    store: Arc<Mutex<Store>>,
    /// The store's file, where it is one, as it was opened: SQLite goes on writing without a word into a file that was deleted.
    path: Option<PathBuf>,
    file: Option<FileMark>,
    pub(super) run_id: String,
    /// When the run's time is over.
    deadline: Option<Instant>,
    progress: Arc<Mutex<String>>,
}

/// What tells a file from another one at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileMark(u64, u64);

#[cfg(unix)]
fn mark(path: &std::path::Path) -> Option<FileMark> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| FileMark(metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn mark(path: &std::path::Path) -> Option<FileMark> {
    std::fs::metadata(path).ok().map(|_| FileMark(0, 0))
}

impl Ledger {
    pub(super) fn new(store: Store, path: Option<PathBuf>, run_id: String, deadline: Option<Instant>) -> Self {
        let file = path.as_deref().and_then(mark);
        Self { store: Arc::new(Mutex::new(store)), path, file, run_id, deadline, progress: Arc::new(Mutex::new("{}".to_owned())) }
    }

    /// Returns the store for the run's end, for which there is time beyond the limit: all but two of the ten seconds that a run may take more.
    fn store_for_end(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store();
        if let Some(deadline) = self.deadline {
            let left = (deadline + END_TIME).saturating_duration_since(Instant::now());
            let _ = store.set_patience(left.max(PATIENCE_MIN));
        }
        store
    }

    /// Returns the store. Whoever else holds the file is waited for until the run's time is over, and then hardly any longer, so that
    /// a store that is locked doesn't keep the run beyond its limit.
    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(deadline) = self.deadline {
            // Where this fails the next statement does too, and says why.
            let _ = store.set_patience(deadline.saturating_duration_since(Instant::now()).max(PATIENCE_MIN));
        }
        store
    }

    fn check_file(&self) -> Result<(), StateError> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.file.is_some() && mark(path) == self.file {
            return Ok(());
        }
        let reason = "its file was deleted or replaced while the run was under way".to_owned();
        Err(StateError::Unreachable { place: Place::File(path.clone()), reason })
    }

    /// Renews the lease with the progress as last shown; `Ok(Some)` where the run has to stop.
    pub(super) fn renew(&self) -> Result<Option<StopReason>, StateError> {
        self.check_file()?;
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let renewal = self.store().renew_lease(&self.run_id, &progress, &moment())?;
        Ok(match renewal {
            Renewal::Held { cancel_requested_by } => cancel_requested_by.map(|_| StopReason::Requested),
            Renewal::Lapsed { age } => Some(StopReason::LeaseLapsed(age)),
            Renewal::Taken => Some(StopReason::LeaseLost("another run of this job has taken it".to_owned())),
        })
    }
}

/// For how many runs a cursor may stay where it is, though there are greater values, before that is told.
const HELD_RUNS_MAX: u64 = 10;

/// What a run writes down.
#[derive(Debug)]
pub(super) struct Journal {
    ledger: Option<Ledger>,
    lines: Vec<EventRecord>,
    failure: Option<String>,
    /// After a failure only the closing is tried: every other write would wait for the same lock or disk again.
    is_broken: bool,
    rejects: Vec<PathBuf>,
    is_running: bool,
}

impl Journal {
    /// One that writes into a store; `rejects` are the reject files of the sources, in order.
    pub(super) fn new(ledger: Ledger, rejects: Vec<PathBuf>) -> Self {
        Self { ledger: Some(ledger), lines: Vec::new(), failure: None, is_broken: false, rejects, is_running: false }
    }

    /// One that writes nothing.
    pub(super) fn nowhere() -> Self {
        Self { ledger: None, lines: Vec::new(), failure: None, is_broken: false, rejects: Vec::new(), is_running: false }
    }

    /// Returns why the store can't be written any more, once.
    pub(super) fn failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Adds a line to the execution log.
    pub(super) fn log(&mut self, level: Level, source: Option<&str>, stream: Option<&str>, message: &str) {
        if self.ledger.is_none() {
            return;
        }
        let (source, stream) = (source.map(str::to_owned), stream.map(str::to_owned));
        self.lines.push(EventRecord { at: clock::now(), level, source, stream, message: message.to_owned() });
        if self.lines.len() >= LINES_TOGETHER_MAX {
            self.flush();
        }
    }

    /// Writes the lines that wait.
    pub(super) fn flush(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.write(|store, run_id| store.add_events(run_id, &lines));
        }
    }

    fn write(&mut self, work: impl FnOnce(&mut Store, &str) -> Result<(), StateError>) {
        let Some(ledger) = self.ledger.as_ref().filter(|_| !self.is_broken) else { return };
        if let Err(error) = work(&mut ledger.store(), &ledger.run_id) {
            self.failure.get_or_insert(error.to_string());
            self.is_broken = true;
        }
    }

    /// Notes how a source stands.
    pub(super) fn source_changed(&mut self, index: usize, source: &SourceReport) {
        let Some(rejects) = self.rejects.get(index) else { return };
        let record = source_record(source, rejects);
        let is_first = !std::mem::replace(&mut self.is_running, true);
        self.write(|store, run_id| {
            if is_first {
                store.mark_running(run_id)?;
            }
            store.update_source(run_id, &record)
        });
    }

    /// Writes the streams of a source before the first of them begins: repair asks for their targets.
    pub(super) fn streams_declared(&mut self, source: &SourceReport) {
        let streams: Vec<(String, String)> = source.streams.iter().map(|stream| (stream.name.clone(), stream.target.clone())).collect();
        // A later attempt begins anew what the one before left open: so does repair, should this process die.
        let again: Vec<StreamRecord> = source.streams_again().map(|stream| stream_record(source, stream)).collect();
        self.write(|store, run_id| {
            store.streams_begun(run_id, &source.name, &streams)?;
            again.iter().try_for_each(|record| store.update_stream(run_id, record))
        });
    }

    /// Notes how a stream ended.
    pub(super) fn stream_ended(&mut self, source: &SourceReport, stream: usize) {
        let record = stream_record(source, &source.streams[stream]);
        self.write(|store, run_id| store.update_stream(run_id, &record));
    }

    /// Returns what people must know of a cursor that others keep where it is, where that has been so for many runs.
    pub(super) fn held_cursor(&mut self, job: &str, source: &str, result: &StreamResult) -> Option<String> {
        if !result.is_cursor_held {
            return None;
        }
        let mut cursors = Vec::new();
        self.write(|store, _| {
            cursors = store.last_cursors(job, source, &result.stream, HELD_RUNS_MAX + 1)?;
            Ok(())
        });
        // One of the runs brought it there.
        let equal = cursors.iter().take_while(|cursor| Some(*cursor) == cursors.first()).count() as u64;
        let place = result.cursor.as_ref().map_or("no value", |cursor| cursor.text.as_str());
        (equal > HELD_RUNS_MAX).then(|| {
            format!(
                "the cursor has stayed at {place} for {HELD_RUNS_MAX} runs or more, because transactions are open at the source each time: \
                 what is newer is read again and again (look for one that nobody ends, in PostgreSQL: pg_stat_activity, pg_prepared_xacts)"
            )
        })
    }

    /// Shows `status` what the run does: written with the next renewal.
    pub(super) fn show_progress(&mut self, sources: &[SourceReport]) {
        let Some(ledger) = &self.ledger else { return };
        let running: Vec<_> = sources.iter().filter(|source| source.status == SourceStatus::Running).map(progress_of).collect();
        let done = sources.iter().filter(|source| source.status == SourceStatus::Success).count();
        let text = serde_json::json!({"sources_total": sources.len(), "sources_done": done, "sources": running}).to_string();
        *ledger.progress.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Renews the lease here and now.
    ///
    /// # Errors
    /// Why the run must stop.
    pub(super) fn renew(&mut self) -> Result<(), StopReason> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        match ledger.renew() {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(reason),
            Err(error) => Err(StopReason::StoreFailed(error.to_string())),
        }
    }

    /// Closes the run: one transaction for its row, sources, streams, last lines, the job's counters and the lease.
    ///
    /// # Errors
    /// Why it could not be closed; the next run of the job settles it.
    pub(super) fn close(&mut self, end: Closing<'_>, policy: EndPolicy) -> Result<Option<Closed>, StopReason> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        let Closing { status, exit_code, duration_seconds, is_interrupted, sources, left_out, summary } = end;
        let end = RunEnd {
            run_id: ledger.run_id.clone(),
            status,
            exit_code,
            duration_seconds,
            is_interrupted,
            summary,
            left_out,
            sources: sources.iter().zip(&self.rejects).map(|(source, rejects)| source_record(source, rejects)).collect(),
            streams: sources.iter().flat_map(|source| source.streams.iter().map(|stream| stream_record(source, stream))).collect(),
            events: std::mem::take(&mut self.lines),
        };
        let failed = |error: StateError| StopReason::StoreFailed(error.to_string());
        ledger.check_file().map_err(failed)?;
        match ledger.store_for_end().close_run(&end, policy, clock::now()).map_err(failed)? {
            Closed::LeaseLost => Err(StopReason::LeaseLost("another run of this job has taken it and closed this one".to_owned())),
            done @ Closed::Done { .. } => Ok(Some(done)),
        }
    }
}

/// How a run ended, for [`Journal::close`].
pub(super) struct Closing<'a> {
    pub(super) status: RunStatus,
    pub(super) exit_code: u8,
    pub(super) duration_seconds: f64,
    /// Its lease lapsed before it had published everything.
    pub(super) is_interrupted: bool,
    pub(super) sources: &'a [SourceReport],
    /// The sources of the job that it was not to refresh.
    pub(super) left_out: Vec<String>,
    pub(super) summary: RunSummary,
}

fn source_record(source: &SourceReport, rejects: &std::path::Path) -> SourceRecord {
    let counts = source.counts();
    let is_over = !matches!(source.status, SourceStatus::Waiting | SourceStatus::Running | SourceStatus::Skipped);
    SourceRecord {
        source: source.name.clone(),
        status: source.status,
        attempt: if source.status == SourceStatus::Skipped { 0 } else { source.attempt },
        counts,
        bytes_read: source.streams.iter().map(|stream| stream.bytes.0).sum(),
        duration_seconds: is_over.then_some(source.duration_seconds),
        cpu_seconds: is_over.then_some(source.usage.cpu_seconds),
        peak_memory_mb: is_over.then_some(source.usage.peak_memory_mb),
        rejects_path: (counts.rejected > 0).then(|| rejects.display().to_string()),
        error: source.error.clone().map(Into::into),
    }
}

fn stream_record(source: &SourceReport, stream: &StreamReport) -> StreamRecord {
    let result = stream.result.as_ref();
    StreamRecord {
        source: source.name.clone(),
        stream: stream.name.clone(),
        target: stream.target.clone(),
        status: stream.status,
        attempt: stream.attempt,
        mode: result.map(|result| result.mode.as_str().to_owned()),
        counts: stream.counts(),
        rows_in_target: result.map(|result| result.rows_in_target),
        bytes_read: stream.bytes.0,
        duration_seconds: stream.duration_seconds(),
        load_version: result.map(|result| result.version),
        cursor: result.and_then(|result| result.cursor.as_ref()).map(|cursor| cursor.text.clone()),
        schema_changes: result
            .map_or_else(|| "[]".to_owned(), |result| serde_json::to_string(&result.schema_changes).expect("plain data with string keys")),
        error: stream.error.clone().map(Into::into),
    }
}

/// One source in the progress that `status` shows.
fn progress_of(source: &SourceReport) -> serde_json::Value {
    let stream = source.streams.iter().find(|stream| stream.status == SourceStatus::Running);
    serde_json::json!({
        "source": source.name,
        "attempt": source.attempt,
        "stream": stream.map(|stream| &stream.name),
        "phase": stream.and_then(|stream| stream.phase).map(|phase| phase.as_str()),
        "rows": stream.map(|stream| stream.rows),
        "bytes": stream.map(|stream| stream.bytes.0),
        "bytes_total": stream.and_then(|stream| stream.bytes.1),
        "rows_per_second": stream.and_then(StreamReport::rows_per_second),
    })
}
