//! One stream from its opening to its publish.

use std::sync::mpsc::Receiver;

use super::Fault;
use super::copy::{Copied, Copy};
use super::dry::Nowhere;
use super::rejects::Rejects;
use super::tell::tell;
use super::voice::{Stop, Voice, await_publish};
use super::window::{Approach, Facts, Inside, Tracker, approach, cursor_column, no_cursor};
use crate::batch::Schema;
use crate::clock;
use crate::destination::{Destination, Disposition, Load, LoadRecord, LoadRequest, PublishRequest};
use crate::plan::tables::target_fault;
use crate::plan::{Answer, Event, Level, LoadPlan, Mode, Owner, Phase, RunRef, StreamResult};
use crate::run::{Counts, CursorValue};
use crate::source::{Moments, ReadRequest, Reader, Source, Stream};
use crate::text::count;

/// What the streams of one load share.
pub(super) struct Session<'a> {
    pub plan: &'a LoadPlan,
    pub source: &'a mut dyn Source,
    /// `None` in a dry run towards a file that isn't there yet.
    pub destination: Option<&'a mut dyn Destination>,
    pub voice: &'a Voice,
    pub answers: &'a Receiver<Answer>,
    pub stop: &'a Stop,
}

/// A stream's failure, with how many rows were rejected.
#[derive(Debug)]
pub(super) struct StreamFault {
    pub fault: Fault,
    pub rejected: u64,
}

/// Returns the target table of a stream.
pub(super) fn target(options: &crate::plan::LoadOptions, stream: &Stream) -> String {
    options.target.clone().unwrap_or_else(|| format!("{}{}", options.table_prefix, stream.base))
}

/// The ends of a window.
type Ends = (Option<CursorValue>, Option<CursorValue>);

/// What is known before the source is opened.
pub(super) struct Before {
    target: String,
    record: Option<LoadRecord>,
    pub(super) approach: Approach,
    safe: Option<CursorValue>,
}

impl Session<'_> {
    /// Loads a stream.
    pub(super) fn load(&mut self, stream: &Stream) -> Result<StreamResult, StreamFault> {
        let path = self.plan.dry_run.is_none().then(|| self.plan.rejects_path.clone());
        let mut rejects = Rejects::new(self.plan.options.bad_rows, path);
        self.source.attend(self.voice.attendant(&stream.name));
        self.load_into(stream, &mut rejects).map_err(|fault| {
            // The next attempt begins the file anew only where no other stream of the source has rows in it. What can't be
            // taken back is told twice, which is better than a second error.
            if fault.error.is_transient && self.plan.source.kind.has_several_streams() {
                let _ = rejects.restart();
            }
            StreamFault { fault, rejected: rejects.rows() }
        })
    }

    fn phase(&self, stream: &Stream, phase: Phase) {
        self.voice.say(&Event::Phase { stream: stream.name.clone(), phase });
    }

    fn load_into(&mut self, stream: &Stream, rejects: &mut Rejects) -> Result<StreamResult, Fault> {
        self.phase(stream, Phase::Opening);
        let before = self.look(stream)?;
        let mut reader = self.open(stream, &before)?;
        for (level, message) in reader.take_log() {
            self.voice.log(level, &stream.name, message);
        }
        if before.approach.mode == Mode::Incremental && reader.is_nothing_new() {
            return self.nothing_new(stream, &before, reader.as_ref());
        }
        refuse_changed_files(&before.approach, &reader.changed_files())?;
        let request = self.request(stream, &before, reader.schema());
        if self.plan.dry_run.is_some() {
            return self.dry_run(stream, &before, reader, &request, rejects);
        }
        let plan = self.plan;
        let (voice, stop, answers) = (self.voice, self.stop, self.answers);
        let destination = self.destination.as_deref_mut().ok_or_else(|| Fault::new("internal", "no destination is open"))?;
        let mut load = destination.begin(&request)?;
        voice.say(&Event::Phase { stream: stream.name.clone(), phase: Phase::Loading });
        let copied = copy(plan, stream, &before, voice, stop, rejects).run(reader, load.schema().clone(), load.as_mut())?;
        refuse_changed_files(&before.approach, &copied.changed_files)?;
        for notice in load.take_notices() {
            voice.log(Level::Info, &stream.name, notice);
        }
        voice.say(&Event::Phase { stream: stream.name.clone(), phase: Phase::Checking });
        load.finish(copied.rows)?;
        rejects.finish(copied.rows_read, before.approach.mode == Mode::Full)?;
        tell(voice, stream, &copied, &before, load.schema_changes(), rejects);
        check(load.as_mut(), plan, &before)?;
        voice.say(&Event::Ready { stream: stream.name.clone() });
        await_publish(answers, stop)?;
        voice.say(&Event::Phase { stream: stream.name.clone(), phase: Phase::Publishing });
        let schema = load.schema().clone();
        let publish = publish_request(plan, &before, &copied, rejects.rows());
        let committed = voice.publishing(|| load.publish(&publish))?;
        let is_cursor_held = is_held(&before, &copied);
        Ok(StreamResult {
            stream: stream.name.clone(),
            target: before.target,
            mode: before.approach.mode,
            counts: committed.counts,
            reject_reasons: rejects.reasons().to_vec(),
            rows_in_target: committed.rows_in_target,
            bytes_read: copied.bytes,
            is_cursor_held,
            cursor: publish.cursor.or(before.approach.cursor_before),
            version: committed.version,
            schema,
            schema_changes: committed.schema_changes,
            statements: Vec::new(),
        })
    }

    /// Looks at the target and settles what the load does.
    fn look(&mut self, stream: &Stream) -> Result<Before, Fault> {
        let options = &self.plan.options;
        let target = target(options, stream);
        if let Some((message, hint)) = target_fault(&target) {
            return Err(Fault::new("invalid", message).hint(hint));
        }
        let owner = self.owner(stream);
        let (record, has_table) = match self.destination.as_deref_mut() {
            Some(destination) => {
                destination.admit(&target, &owner)?;
                (destination.record(&target)?, destination.has_table(&target)?)
            }
            None => (None, false),
        };
        let key = if options.primary_key.is_empty() { self.source.primary_key(stream)? } else { options.primary_key.clone() };
        let cursor_column = cursor_column(options, &self.plan.source.columns)?;
        let window = self.window(stream)?;
        let safe = match &options.timestamp_column {
            Some(column) if options.mode == Mode::Incremental && cursor_column.is_some() => self.source.safe_cursor(stream, column)?,
            _ => None,
        };
        let is_told = safe.is_some() || !self.source.has_late_commits();
        let is_files = self.source.is_files();
        let approach = approach(options, Facts { record: record.as_ref(), has_table, is_files, key, cursor_column, window, is_told })?;
        Ok(Before { target, record, approach, safe })
    }

    /// Returns the ends of the window that is asked for, as values of the cursor column.
    fn window(&mut self, stream: &Stream) -> Result<Option<Ends>, Fault> {
        let options = &self.plan.options;
        let Some(window) = &options.window else { return Ok(None) };
        let refuse = |message: &str, hint: &str| Err(Fault::new("bad_window", format!("{window}: {message}")).hint(hint));
        if options.mode == Mode::Full || options.is_full_refresh {
            return refuse("a full load has no window", "choose an incremental source with --source, without --full-refresh");
        }
        let Some(column) = options.timestamp_column.as_ref().filter(|_| !self.source.is_files()) else {
            return refuse("the source has no timestamp_column by which rows are chosen", "choose another one with --source");
        };
        let Some(column_type) = self.source.cursor_type(stream, column)? else {
            return refuse("this kind of source has no windows", "choose another one with --source");
        };
        if !CursorValue::is_possible(column_type) {
            return Err(no_cursor(column, column_type));
        }
        let bounds = window.bounds(column, column_type);
        bounds.map(Some).map_err(|(message, hint)| Fault::new("bad_window", message).hint(hint))
    }

    fn owner(&self, stream: &Stream) -> Owner {
        let RunRef { workspace_id, job, .. } = &self.plan.run;
        Owner { workspace_id: workspace_id.clone(), job: job.clone(), source: self.plan.source.name.clone(), stream: stream.name.clone() }
    }

    fn open(&mut self, stream: &Stream, before: &Before) -> Result<Box<dyn Reader>, Fault> {
        let is_incremental = before.approach.mode == Mode::Incremental;
        let known_files = match self.destination.as_deref_mut() {
            Some(destination) if is_incremental => destination.files(&before.target)?,
            _ => Vec::new(),
        };
        let started_at = self.plan.run.started_at;
        let approach = &before.approach;
        Ok(self.source.open(&ReadRequest {
            stream,
            options: &self.plan.options,
            lower_bound: approach.lower_bound.as_ref(),
            upper_bound: approach.upper_bound.as_ref(),
            is_exact: approach.is_exact(),
            is_without_nulls: approach.is_backfill,
            moments: Moments { slot: self.plan.slot_at.unwrap_or(started_at), run_started: started_at },
            known_files: &known_files,
            is_incremental,
            expected: before.record.as_ref().map(|record| &record.schema),
            rows_max: self.plan.dry_run.and_then(|dry_run| dry_run.limit),
        })?)
    }

    fn request(&self, stream: &Stream, before: &Before, schema: &Schema) -> LoadRequest {
        LoadRequest {
            run: self.plan.run.clone(),
            owner: self.owner(stream),
            target: before.target.clone(),
            schema: schema.clone(),
            disposition: before.approach.disposition.clone(),
            schema_policy: self.plan.options.schema_change,
            invalid_values: self.plan.options.invalid_values,
        }
    }

    fn nothing_new(&mut self, stream: &Stream, before: &Before, reader: &dyn Reader) -> Result<StreamResult, Fault> {
        self.voice.log(Level::Info, &stream.name, "nothing new to read; the table stays as it is");
        let rows_in_target = match self.destination.as_deref_mut() {
            Some(destination) => destination.rows(&before.target)?,
            None => 0,
        };
        let record = before.record.as_ref();
        Ok(StreamResult {
            stream: stream.name.clone(),
            target: before.target.clone(),
            mode: before.approach.mode,
            counts: Counts::default(),
            reject_reasons: Vec::new(),
            rows_in_target,
            bytes_read: reader.bytes().0,
            cursor: before.approach.cursor_before.clone(),
            is_cursor_held: false,
            version: record.map_or(0, |record| record.version),
            schema: record.map(|record| record.schema.clone()).unwrap_or_default(),
            schema_changes: Vec::new(),
            statements: Vec::new(),
        })
    }

    /// Reads, types and checks the rows' shape; writes nothing anywhere.
    fn dry_run(
        &mut self,
        stream: &Stream,
        before: &Before,
        reader: Box<dyn Reader>,
        request: &LoadRequest,
        rejects: &mut Rejects,
    ) -> Result<StreamResult, Fault> {
        let rehearsal = crate::destination::rehearse(&self.plan.destination, request)?;
        self.phase(stream, Phase::Loading);
        let options = &self.plan.options;
        let mut nowhere = Nowhere::new(rehearsal, &self.plan.destination.kind, options.invalid_values, &options.expect)?;
        let schema = nowhere.rehearsal.schema().clone();
        let copied = copy(self.plan, stream, before, self.voice, self.stop, rejects).run(reader, schema, &mut nowhere)?;
        rejects.finish(copied.rows_read, before.approach.mode == Mode::Full)?;
        self.phase(stream, Phase::Checking);
        tell(self.voice, stream, &copied, before, nowhere.rehearsal.schema_changes(), rejects);
        self.judge(stream, before, &nowhere, &copied)?;
        let rows_in_target = match self.destination.as_deref_mut() {
            Some(destination) => destination.rows(&before.target)?,
            None => 0,
        };
        let is_emptied = before.approach.mode == Mode::Full && copied.rows == 0 && rows_in_target > 0 && self.is_whole(&copied);
        if is_emptied && !self.plan.options.allow_empty {
            return Err(crate::destination::empty_load(&before.target, rows_in_target).into());
        }
        let counts = nowhere.rehearsal.counts(copied.rows)?;
        let request = LoadRequest { schema: copied.schema.clone(), ..request.clone() };
        let statements = self.statements(&request)?;
        Ok(StreamResult {
            stream: stream.name.clone(),
            target: before.target.clone(),
            mode: before.approach.mode,
            counts: Counts { skipped: copied.skipped, rejected: rejects.rows(), ..counts },
            reject_reasons: rejects.reasons().to_vec(),
            rows_in_target,
            bytes_read: copied.bytes,
            cursor: cursor(before, &copied),
            is_cursor_held: is_held(before, &copied),
            version: before.record.as_ref().map_or(0, |record| record.version),
            schema: nowhere.rehearsal.schema().clone(),
            schema_changes: nowhere.rehearsal.schema_changes().to_vec(),
            statements,
        })
    }

    /// Whether the source was read to its end.
    fn is_whole(&self, copied: &Copied) -> bool {
        let limit = self.plan.dry_run.and_then(|dry_run| dry_run.limit);
        limit.is_none_or(|limit| copied.rows_read < limit)
    }

    /// Runs the checks that rows which are nowhere allow.
    fn judge(&self, stream: &Stream, before: &Before, nowhere: &Nowhere<'_>, copied: &Copied) -> Result<(), Fault> {
        let is_whole = self.is_whole(copied);
        let (failures, unmade) = nowhere.judge(before.record.as_ref(), is_whole);
        if !unmade.is_empty() {
            let reason = if is_whole { "" } else { " that reads not every row" };
            self.voice.log(Level::Warn, &stream.name, format!("not checked in a dry run{reason}: {}", unmade.join(", ")));
        }
        passed(&before.target, &failures)
    }

    fn statements(&mut self, request: &LoadRequest) -> Result<Vec<String>, Fault> {
        match self.destination.as_deref_mut() {
            Some(destination) => Ok(destination.statements(request)?),
            None => Ok(crate::destination::statements_for_new(&self.plan.destination, request)?),
        }
    }
}

fn copy<'a>(
    plan: &'a LoadPlan,
    stream: &'a Stream,
    before: &'a Before,
    voice: &'a Voice,
    stop: &'a Stop,
    rejects: &'a mut Rejects,
) -> CopyParts<'a> {
    CopyParts { plan, stream, before, voice, stop, rejects }
}

/// A copy whose tracker is not yet made.
struct CopyParts<'a> {
    plan: &'a LoadPlan,
    stream: &'a Stream,
    before: &'a Before,
    voice: &'a Voice,
    stop: &'a Stop,
    rejects: &'a mut Rejects,
}

impl CopyParts<'_> {
    fn run(self, reader: Box<dyn Reader>, target: Schema, sink: &mut (impl super::copy::Sink + ?Sized)) -> Result<Copied, Fault> {
        let Self { plan, stream, before, voice, stop, rejects } = self;
        let tracker = |schema: &Schema| match &before.approach.cursor_column {
            Some(column) => Tracker::new(column, schema, plan.run.started_at, before.safe.as_ref()).map(Some),
            None => Ok(None),
        };
        let inside = |schema: &Schema| Inside::new(&before.approach, schema);
        let copy = Copy {
            stream: &stream.name,
            voice,
            stop,
            rejects,
            tracker: &tracker,
            inside: &inside,
            null_cursor: before.approach.null_cursor,
            key: before.approach.key(),
            invalid_values: plan.options.invalid_values,
            rows_max: plan.dry_run.and_then(|dry_run| dry_run.limit),
        };
        copy.run(reader, target, sink)
    }
}

/// Without a key a changed file can't replace the rows that it gave before.
fn refuse_changed_files(approach: &Approach, changed: &[String]) -> Result<(), Fault> {
    match (&approach.disposition, changed.first()) {
        (Disposition::Append, Some(first)) => {
            let message = format!("{} changed since it was loaded, and without a key its old rows can't be told from new ones", first);
            Err(Fault::new("changed_file", message).hint("set primary_key, or load everything once with --full-refresh"))
        }
        _ => Ok(()),
    }
}

fn check(load: &mut dyn Load, plan: &LoadPlan, before: &Before) -> Result<(), Fault> {
    if plan.options.expect.is_empty() {
        return Ok(());
    }
    passed(&before.target, &load.check(&plan.options.expect)?)
}

fn passed(target: &str, failures: &[String]) -> Result<(), Fault> {
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("table {target}: {} failed: {}", count(failures.len() as u64, "check"), failures.join("; "));
    Err(Fault::new("check_failed", message).hint("nothing was published; look at the source, or change the checks under `expect`"))
}

fn publish_request(plan: &LoadPlan, before: &Before, copied: &Copied, rejected: u64) -> PublishRequest {
    PublishRequest {
        cursor: cursor(before, copied),
        lower_bound: before.approach.lower_bound.clone(),
        mode: before.approach.mode,
        files: copied.files.clone(),
        replace_files: before.approach.mode == Mode::Full,
        now: clock::now(),
        allow_empty: plan.options.allow_empty,
        skipped: copied.skipped,
        rejected,
    }
}

/// Returns the cursor to publish; `None` leaves it as it is.
fn cursor(before: &Before, copied: &Copied) -> Option<CursorValue> {
    let tracker = copied.tracker.as_ref();
    before.approach.cursor(tracker).or_else(|| {
        let old = before.record.as_ref().filter(|_| before.approach.mode == Mode::Full).and_then(|record| record.cursor.as_ref());
        tracker?.set_back(old)
    })
}

/// Whether the cursor stays for the sake of transactions that are open.
fn is_held(before: &Before, copied: &Copied) -> bool {
    let tracker = copied.tracker.as_ref().filter(|_| !before.approach.is_backfill);
    tracker.is_some_and(|tracker| tracker.is_held(before.approach.cursor_before.as_ref()))
}
