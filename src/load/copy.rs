//! Copies rows: a thread reads, the caller's thread writes, a bounded channel between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::Fault;
use super::cast::Cast;
use super::rejects::Rejects;
use super::voice::{LOOK, PROGRESS, Stop, Voice};
use super::window::{Inside, Tracker};
use crate::batch::text::cell_text;
use crate::batch::{BATCHES_IN_FLIGHT, RecordBatch, Schema};
use crate::destination::{InvalidValue, Load};
use crate::plan::{Event, Level, NullCursor, OnInvalidValue};
use crate::run::FileRecord;
use crate::source::{KEYLESS, Read, Reader, RejectedRow, SourceError};
use arrow_array::Array;

/// How many batches wait in the channel: one more is in the reader's hands and one in the writer's.
const WAITING_MAX: usize = BATCHES_IN_FLIGHT - 2;

/// What the reader's thread hands over.
enum Handed {
    Batch(RecordBatch),
    Rejected(RejectedRow),
    Restart { reason: String, schema: Schema },
    End { files: Vec<FileRecord>, changed_files: Vec<String> },
    Log(Vec<(Level, String)>),
    Failed(SourceError),
}

/// Bytes taken from the source and in all (`u64::MAX`: unknown), as the reader's thread sees them.
#[derive(Debug, Default)]
struct Bytes {
    taken: AtomicU64,
    total: AtomicU64,
}

/// Where the rows go.
pub(super) trait Sink {
    /// Takes rows of the load's schema; returns how many were kept and which values can't be held.
    fn write(&mut self, batch: &RecordBatch) -> Result<crate::destination::Written, Fault>;
    /// Lets others have their turn.
    fn pause(&mut self) -> Result<(), Fault>;
    /// Begins again with other columns; returns those that batches must have now.
    fn restart(&mut self, schema: &Schema) -> Result<Schema, Fault>;
}

impl Sink for dyn Load + '_ {
    fn write(&mut self, batch: &RecordBatch) -> Result<crate::destination::Written, Fault> {
        Ok(Load::write(self, batch)?)
    }

    fn pause(&mut self) -> Result<(), Fault> {
        Ok(Load::pause(self)?)
    }

    fn restart(&mut self, schema: &Schema) -> Result<Schema, Fault> {
        Load::restart(self, schema)?;
        Ok(Load::schema(self).clone())
    }
}

/// How rows are copied.
pub(super) struct Copy<'a> {
    pub stream: &'a str,
    pub voice: &'a Voice,
    pub stop: &'a Stop,
    pub rejects: &'a mut Rejects,
    /// Makes the tracker of the cursor column for a schema, where there is such a column.
    pub tracker: &'a dyn Fn(&Schema) -> Result<Option<Tracker>, Fault>,
    /// Makes what tells rows within the bounds from others, for the reader's schema.
    pub inside: &'a dyn Fn(&Schema) -> Result<Option<Inside>, Fault>,
    pub null_cursor: NullCursor,
    /// Columns that must have a value: a row without one can't be told from others.
    pub key: &'a [String],
    pub invalid_values: OnInvalidValue,
    /// The most rows that are read.
    pub rows_max: Option<u64>,
}

/// What was copied.
#[derive(Debug)]
pub(super) struct Copied {
    pub rows: u64,
    pub skipped: u64,
    pub rows_read: u64,
    pub values_nulled: u64,
    pub bytes: u64,
    pub tracker: Option<Tracker>,
    pub files: Vec<FileRecord>,
    pub changed_files: Vec<String>,
    pub schema: Schema,
}

impl Copy<'_> {
    /// Copies every row of a reader whose load takes batches of `target`.
    pub(super) fn run(mut self, reader: Box<dyn Reader>, target: Schema, sink: &mut (impl Sink + ?Sized)) -> Result<Copied, Fault> {
        let schema = reader.schema().clone();
        let bytes = Arc::new(Bytes::default());
        let (sender, handed) = sync_channel(WAITING_MAX);
        let thread = {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || read(reader, &sender, &bytes))
        };
        let key = self.key_places(&target)?;
        let copied = Copied::new(schema.clone(), (self.tracker)(&target)?);
        let inside = (self.inside)(&schema)?;
        let mut work = Work { cast: Cast::new(&schema, &target), inside, key, copied, said: Instant::now() };
        let result = self.write(&handed, &bytes, &mut work, sink);
        // A reader that still waits for its source is left behind: the process ends soon, and only its own end could wake it.
        drop(handed);
        match result {
            Ok(()) => {
                work.copied.bytes = bytes.taken.load(Ordering::Relaxed);
                Ok(work.copied)
            }
            Err(Ended::InSilence) => Err(ended(thread)),
            Err(Ended::By(fault)) => Err(fault),
        }
    }

    /// Writes what is handed over; [`Ended::InSilence`] where the reader's thread is gone without a word.
    fn write(&mut self, handed: &Receiver<Handed>, bytes: &Bytes, work: &mut Work, sink: &mut (impl Sink + ?Sized)) -> Result<(), Ended> {
        loop {
            if self.stop.is_raised() {
                return Err(Fault::cancelled().into());
            }
            let next = match handed.recv_timeout(LOOK) {
                Ok(next) => next,
                Err(RecvTimeoutError::Disconnected) => return Err(Ended::InSilence),
                Err(RecvTimeoutError::Timeout) => {
                    sink.pause()?;
                    self.progress(bytes, work);
                    continue;
                }
            };
            match next {
                Handed::Batch(batch) => {
                    self.batch(batch, work, sink)?;
                    self.progress(bytes, work);
                    if self.rows_max.is_some_and(|max| work.copied.rows_read >= max) {
                        return Ok(());
                    }
                }
                Handed::Rejected(row) => {
                    work.copied.rows_read += 1;
                    self.rejects.add(row)?;
                }
                Handed::Restart { reason, schema } => {
                    self.voice.log(Level::Info, self.stream, reason);
                    let target = sink.restart(&schema)?;
                    self.rejects.restart().map_err(|error| Fault::new("io", format!("beginning the reject file anew: {error}")))?;
                    work.cast = Cast::new(&schema, &target);
                    work.inside = (self.inside)(&schema)?;
                    work.key = self.key_places(&target)?;
                    work.copied = Copied::new(schema, (self.tracker)(&target)?);
                }
                Handed::Log(lines) => {
                    for (level, message) in lines {
                        self.voice.log(level, self.stream, message);
                    }
                }
                Handed::End { files, changed_files } => {
                    (work.copied.files, work.copied.changed_files) = (files, changed_files);
                    return Ok(());
                }
                Handed::Failed(error) => return Err(Fault::from(error).into()),
            }
        }
    }

    /// Writes the rows of a batch that are within the bounds; the others were not asked for.
    fn batch(&mut self, batch: RecordBatch, work: &mut Work, sink: &mut (impl Sink + ?Sized)) -> Result<(), Fault> {
        let Some(inside) = work.inside.as_ref().and_then(|inside| inside.rows(&batch)) else { return self.rows(batch, work, sink) };
        runs(&inside).into_iter().try_for_each(|(start, length)| self.rows(batch.slice(start, length), work, sink))
    }

    fn rows(&mut self, mut batch: RecordBatch, work: &mut Work, sink: &mut (impl Sink + ?Sized)) -> Result<(), Fault> {
        if let Some(max) = self.rows_max {
            let left = usize::try_from(max.saturating_sub(work.copied.rows_read)).unwrap_or(usize::MAX);
            batch = batch.slice(0, left.min(batch.num_rows()));
        }
        let rows_before = work.copied.rows_read;
        work.copied.rows_read += batch.num_rows() as u64;
        let raw = batch.clone();
        let (batch, misfits) = work.cast.apply(batch).map_err(|error| Fault::new("internal", format!("casting a batch: {error}")))?;
        let mut keep = vec![true; batch.num_rows()];
        self.set_aside(&misfits, &raw, rows_before, &mut keep, work)?;
        self.keyless(&batch, &raw, rows_before, &mut keep, work)?;
        let nulls = work.copied.tracker.as_mut().and_then(|tracker| tracker.follow(&batch));
        if let Some(nulls) = nulls {
            self.nulls(&nulls, rows_before, &mut keep, work)?;
        }
        for (start, length) in runs(&keep) {
            let part = batch.slice(start, length);
            let written = sink.write(&part)?;
            work.copied.rows += written.rows;
            let mut kept = vec![true; length];
            self.set_aside(&written.invalid, &raw.slice(start, length), rows_before + start as u64, &mut kept, work)?;
        }
        Ok(())
    }

    /// Does with values that can't be held what the job says: their rows are marked as not to be kept, and rejected.
    fn set_aside(
        &mut self,
        invalid: &[InvalidValue],
        raw: &RecordBatch,
        rows_before: u64,
        keep: &mut [bool],
        work: &mut Work,
    ) -> Result<(), Fault> {
        for value in invalid {
            if self.invalid_values == OnInvalidValue::Null {
                work.copied.values_nulled += 1;
                continue;
            }
            let column = raw.schema().field(value.column).name().clone();
            let position = format!("row {} of the rows read", rows_before + value.row as u64 + 1);
            if self.invalid_values == OnInvalidValue::Fail {
                let fault = Fault::new("invalid_data", format!("{position}, column {column}: {}", value.reason));
                return Err(fault.hint("correct the row, or set invalid_values: null or reject"));
            }
            if std::mem::replace(&mut keep[value.row], false) {
                self.rejects.add(RejectedRow {
                    position,
                    column: Some(column),
                    reason: value.reason.to_owned(),
                    raw: joined(raw, value.row),
                })?;
            }
        }
        Ok(())
    }

    /// Finds the key's columns.
    fn key_places(&self, schema: &Schema) -> Result<Vec<usize>, Fault> {
        let place = |name: &String| {
            schema.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
                let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
                let fault = Fault::new("no_such_column", format!("primary_key names column {name}, which the source doesn't have"));
                fault.hint(format!("its columns are {}", names.join(", ")))
            })
        };
        self.key.iter().map(place).collect()
    }

    /// Rejects rows without a value in the key.
    fn keyless(&mut self, batch: &RecordBatch, raw: &RecordBatch, rows_before: u64, keep: &mut [bool], work: &Work) -> Result<(), Fault> {
        for place in &work.key {
            let array = batch.column(*place);
            if array.null_count() == 0 {
                continue;
            }
            for row in (0..batch.num_rows()).filter(|row| array.is_null(*row)) {
                if std::mem::replace(&mut keep[row], false) {
                    self.rejects.add(RejectedRow {
                        position: format!("row {} of the rows read", rows_before + row as u64 + 1),
                        column: Some(raw.schema().field(*place).name().clone()),
                        reason: KEYLESS.to_owned(),
                        raw: joined(raw, row),
                    })?;
                }
            }
        }
        Ok(())
    }

    fn nulls(&mut self, nulls: &[bool], rows_before: u64, keep: &mut [bool], work: &mut Work) -> Result<(), Fault> {
        match self.null_cursor {
            NullCursor::Include => {}
            NullCursor::Skip => {
                for (keep, is_null) in keep.iter_mut().zip(nulls) {
                    if *is_null && std::mem::replace(keep, false) {
                        work.copied.skipped += 1;
                    }
                }
            }
            NullCursor::Fail => {
                let row = nulls.iter().position(|is_null| *is_null).unwrap_or(0) as u64;
                let fault =
                    Fault::new("null_cursor", format!("row {} of the rows read has no value in the cursor column", rows_before + row + 1));
                return Err(fault.hint("correct the source, or set null_cursor: include or skip"));
            }
        }
        Ok(())
    }

    fn progress(&self, bytes: &Bytes, work: &mut Work) {
        if work.said.elapsed() < PROGRESS {
            return;
        }
        work.said = Instant::now();
        let total = bytes.total.load(Ordering::Relaxed);
        self.voice.say(&Event::Progress {
            stream: self.stream.to_owned(),
            rows: work.copied.rows,
            bytes: bytes.taken.load(Ordering::Relaxed),
            bytes_total: (total != u64::MAX && total != 0).then_some(total),
        });
    }
}

/// Why copying ended before the end.
enum Ended {
    By(Fault),
    /// The reader's thread panicked.
    InSilence,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::By(fault)
    }
}

/// What changes while rows are copied.
struct Work {
    cast: Cast,
    inside: Option<Inside>,
    /// The places of the key's columns.
    key: Vec<usize>,
    copied: Copied,
    said: Instant,
}

impl Copied {
    fn new(schema: Schema, tracker: Option<Tracker>) -> Self {
        let (files, changed_files) = (Vec::new(), Vec::new());
        Self { rows: 0, skipped: 0, rows_read: 0, values_nulled: 0, bytes: 0, tracker, files, changed_files, schema }
    }
}

/// The reader's thread: reads until the end, or until nobody takes the rows.
fn read(mut reader: Box<dyn Reader>, sender: &SyncSender<Handed>, bytes: &Bytes) {
    loop {
        let next = reader.read();
        let (taken, total) = reader.bytes();
        bytes.taken.store(taken, Ordering::Relaxed);
        bytes.total.store(total.unwrap_or(u64::MAX), Ordering::Relaxed);
        let log = reader.take_log();
        if !log.is_empty() && sender.send(Handed::Log(log)).is_err() {
            return;
        }
        let handed = match next {
            Ok(Read::Batch(batch)) => Handed::Batch(batch),
            Ok(Read::Rejected(row)) => Handed::Rejected(row),
            Ok(Read::Restart { reason }) => Handed::Restart { reason, schema: reader.schema().clone() },
            Ok(Read::End) => Handed::End { files: reader.files(), changed_files: reader.changed_files() },
            Err(error) => Handed::Failed(error),
        };
        let is_last = matches!(handed, Handed::End { .. } | Handed::Failed(_));
        if sender.send(handed).is_err() || is_last {
            return;
        }
    }
}

fn ended(thread: JoinHandle<()>) -> Fault {
    let panic = thread.join().err();
    let text = panic
        .as_ref()
        .and_then(|panic| panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()));
    Fault::new("internal", format!("a fault of etlsched itself while reading: {}", text.unwrap_or("the reader ended without a word")))
}

/// Returns the stretches of rows to keep: first row and length of each.
fn runs(keep: &[bool]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut row = 0;
    for stretch in keep.chunk_by(|left, right| left == right) {
        if stretch[0] {
            runs.push((row, stretch.len()));
        }
        row += stretch.len();
    }
    runs
}

/// Returns a row as text, values parted by commas, for the reject file.
fn joined(batch: &RecordBatch, row: usize) -> String {
    let cells: Vec<String> = (0..batch.num_columns()).map(|column| cell_text(batch, column, row).unwrap_or_default()).collect();
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let written = writer.write_record(&cells).ok().and_then(|()| writer.into_inner().ok());
    written.map(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()).unwrap_or_else(|| cells.join(","))
}
