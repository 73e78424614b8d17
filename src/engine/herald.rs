//! Makes letters: the message of a run's end with its facts, secrets masked, and one letter for each recipient of the job. Whether there
//! is anything to tell is decided in `news`; nothing is sent here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::clock::SlotClock;
use crate::job::Job;
use crate::notify::message::log_time;
use crate::notify::{Cause, Channel, JobFacts, Kind, Message, RunFacts, SourceFacts, Standing, StripRun};
use crate::plan::{Level, Mode, SchemaChange};
use crate::process;
use crate::run::{RejectReason, RunStatus, SourceStatus};
use crate::secret::Masker;
use crate::state::{ClosedRun, EventRecord, JobStatus, NewLetter, RunDetail, RunRecord, SourceRecord, StreamRecord, Teller, Tidings};
use crate::workspace::Workspace;
use crate::zone::Zone;

use super::causes::{self, Found};
use super::news::{self, Judged, News};
use super::recipient::{Owner, Recipient, known_as, recipients};

/// Tells of one job.
#[derive(Debug, Clone)]
pub(super) struct Herald {
    job: Job,
    masker: Masker,
    workspace: String,
    workspace_id: String,
    clock: SlotClock,
    reasons: Reasons,
}

/// Why rows of each source were rejected: set before the run is closed, as long as the process that read them tells it itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(Arc<Mutex<HashMap<String, Vec<RejectReason>>>>);

impl Reasons {
    pub(super) fn set(&self, of: HashMap<String, Vec<RejectReason>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = of;
    }

    fn of(&self, source: &str) -> Vec<RejectReason> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned().unwrap_or_default()
    }
}

/// Returns a message of this host that says nothing yet; `place` is the workspace's folder and the name of a zone.
pub(super) fn blank(kind: Kind, job: JobFacts, place: (String, String), at: DateTime<Utc>) -> Message {
    let (workspace, timezone) = place;
    Message {
        kind,
        is_test: false,
        is_by_job: false,
        job,
        roundup: None,
        workspace,
        host: process::host_name(),
        at,
        timezone,
        run: None,
        causes: Vec::new(),
        sources: Vec::new(),
        source_count: None,
        last_error: None,
        works_since: None,
        slots: Vec::new(),
        slot_count: 0,
        slots_since: None,
        deadline: None,
        schema_changes: Vec::new(),
        standing: None,
        strip: Vec::new(),
        log_tail: Vec::new(),
    }
}

impl Herald {
    pub(super) fn new(workspace: &Workspace, workspace_id: &str, job: &Job, clock: SlotClock) -> Self {
        Self {
            job: job.clone(),
            masker: workspace.masker_for(job),
            workspace: workspace.root.display().to_string(),
            workspace_id: workspace_id.to_owned(),
            clock,
            reasons: Reasons::default(),
        }
    }

    /// Returns what closes of runs ask.
    pub(super) fn teller(mut self, reasons: &Reasons) -> Teller {
        self.reasons = reasons.clone();
        Box::new(move |run| self.tidings(run))
    }

    fn tidings(&self, run: &ClosedRun) -> Tidings {
        let causes = causes::found(&self.job, &run.detail, &self.masker);
        let changes: Vec<String> = run.detail.streams.iter().flat_map(changes_of).map(|change| self.masker.mask(&change)).collect();
        let sources: Vec<String> = self.job.sources.iter().map(|source| source.name.clone()).collect();
        let judged = Judged {
            run,
            rules: &self.job.notifications,
            zone: self.job.timezone,
            failure_threshold: self.job.failure_threshold,
            sources: &sources,
            causes: &causes,
            changes: &changes,
        };
        let News { kinds, told, over, silence } = news::news(&judged);
        let mut letters: Vec<NewLetter> = Vec::new();
        for kind in kinds {
            letters.extend(self.letters(&self.message(kind, run, &causes, changes.clone())));
        }
        letters.extend(self.ping(run, &causes));
        let silence = silence.filter(|_| !self.recipients().is_empty());
        Tidings { letters, told, over, silence }
    }

    /// Returns a letter with a message for each recipient of the job.
    fn letters(&self, message: &Message) -> Vec<NewLetter> {
        self.recipients().iter().map(|recipient| recipient.letter(message)).collect()
    }

    /// Returns the people whom the job tells.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        recipients(&self.workspace_id, Owner::Job(self.job.id.as_str()), &self.job.notifications)
    }

    /// Returns the job's name, secrets masked.
    pub(super) fn job_name(&self) -> String {
        self.masker.mask(&self.job.name)
    }

    /// Returns what the healthcheck is told: how the job stands, whoever else is told. A cancelled run is a failure to it: it was told of the
    /// start, shows the job as running until it hears of the end, and nothing but a success or a failure is one (`/log` is not).
    fn ping(&self, run: &ClosedRun, causes: &[Found]) -> Option<NewLetter> {
        let url = self.job.notifications.healthcheck_url.as_ref()?;
        let kind = match run.detail.run.status {
            RunStatus::Success => Kind::Success,
            RunStatus::Failed | RunStatus::Timeout | RunStatus::Cancelled => Kind::Failure,
            RunStatus::Started | RunStatus::Running => return None,
        };
        let mut message = Message { strip: Vec::new(), ..self.message(kind, run, causes, Vec::new()) };
        message.causes.extend(cancelled(run));
        Some(NewLetter {
            channel: Channel::Healthcheck.as_str().to_owned(),
            recipient: known_as(&self.workspace_id, Owner::Job(self.job.id.as_str()), url, 0),
            kind: kind.as_str().to_owned(),
            body: serde_json::to_string(&message).expect("plain data with string keys"),
            is_overtaking: true,
        })
    }

    fn message(&self, kind: Kind, run: &ClosedRun, causes: &[Found], schema_changes: Vec<String>) -> Message {
        let detail = &run.detail;
        let is_started = run.status_after == JobStatus::Active;
        let mut message = Message {
            run: Some(run_facts(run)),
            causes: causes.iter().map(|found| found.cause.clone()).collect(),
            sources: detail.sources.iter().map(|source| source_facts(source, &detail.streams, self.reasons.of(&source.source))).collect(),
            source_count: Some(self.job.sources.len() as u64)
                .filter(|count| *count > detail.sources.len() as u64 && !detail.sources.is_empty()),
            last_error: last_error(kind, run),
            schema_changes,
            standing: Some(Standing { consecutive_failures: run.consecutive_failures, failure_threshold: self.job.failure_threshold }),
            strip: run.last_runs.iter().rev().map(strip_run).collect(),
            log_tail: detail.events.iter().map(|event| line(event, self.job.timezone)).collect(),
            ..self.about_job(kind, is_started)
        };
        message.at = run.now;
        self.mask(&mut message);
        message
    }

    /// Returns a message about the job, and about no run.
    pub(super) fn about_job(&self, kind: Kind, is_started: bool) -> Message {
        let now = self.clock.now();
        let job = &self.job;
        let next = if is_started && job.is_active { job.schedule.next(job.timezone, now, 1) } else { Vec::new() };
        let schedule = self.job.schedule.describe();
        let facts = JobFacts {
            id: job.id.to_string(),
            name: job.name.clone(),
            schedule: if schedule == "Manual" { schedule } else { format!("{schedule} ({})", job.timezone.name()) },
            next_run: next.first().map(|slot| slot.at),
        };
        let mut message = blank(kind, facts, (self.workspace.clone(), job.timezone.name().to_owned()), now);
        self.mask(&mut message);
        message
    }

    /// Hides secrets in every text that comes out of files, errors and data.
    fn mask(&self, message: &mut Message) {
        let hide = |text: &mut String| *text = self.masker.mask(text);
        let Message { job, workspace, run, causes, sources, last_error, schema_changes, log_tail, .. } = message;
        hide(&mut job.name);
        hide(workspace);
        run.iter_mut().filter_map(|run| run.error.as_mut()).chain(last_error).for_each(hide);
        for cause in causes {
            cause.sources.iter_mut().chain(&mut cause.host).chain(&mut cause.hint).for_each(hide);
            hide(&mut cause.message);
        }
        for source in sources {
            hide(&mut source.name);
            source.tables_refreshed.iter_mut().for_each(hide);
            source.rejects_path.iter_mut().for_each(hide);
            source.reject_reasons.iter_mut().flat_map(|reason| [&mut reason.what, &mut reason.first]).for_each(hide);
        }
        schema_changes.iter_mut().chain(log_tail).for_each(hide);
    }
}

fn run_facts(ended: &ClosedRun) -> RunFacts {
    let run = &ended.detail.run;
    let completed_at = run.completed_at.unwrap_or(ended.now);
    RunFacts {
        id: run.id.clone(),
        status: run.status,
        trigger: run.trigger,
        slot_at: ended.slot_at,
        started_at: run.started_at,
        completed_at,
        duration_seconds: run.duration_seconds.unwrap_or_else(|| (completed_at - run.started_at).as_seconds_f64()),
        exit_code: run.exit_code.unwrap_or(crate::exit_code::FAILED),
        error: whole_error(&ended.detail),
    }
}

/// Returns why a run failed as a whole, where no error of a source says the same.
fn whole_error(detail: &RunDetail) -> Option<String> {
    let summary = &detail.run.summary;
    let message = summary.error_message.as_ref()?;
    let is_of_source = summary.error_details.as_ref().is_some_and(|details| details.starts_with(message.as_str()));
    (!is_of_source).then(|| message.clone())
}

/// Returns why the last run before a recovery failed.
fn last_error(kind: Kind, run: &ClosedRun) -> Option<String> {
    let before = run.last_runs.iter().find(|before| before.id != run.detail.run.id).filter(|_| kind == Kind::Recovery)?;
    before.summary.error_message.clone().filter(|_| matches!(before.status, RunStatus::Failed | RunStatus::Timeout))
}

/// Returns why a run was cancelled, where it was.
fn cancelled(ended: &ClosedRun) -> Option<Cause> {
    let run = &ended.detail.run;
    let message = run.summary.error_message.as_deref().unwrap_or("cancelled by somebody");
    (run.status == RunStatus::Cancelled).then(|| Cause {
        sources: Vec::new(),
        host: None,
        code: "cancelled".to_owned(),
        message: message.strip_prefix("cancelled ").unwrap_or(message).to_owned(),
        hint: None,
        attempts: 1,
    })
}

fn source_facts(source: &SourceRecord, streams: &[StreamRecord], reject_reasons: Vec<RejectReason>) -> SourceFacts {
    let own = || streams.iter().filter(|stream| stream.source == source.source);
    let tables: Vec<&StreamRecord> = own().filter(|stream| stream.status == SourceStatus::Success).collect();
    let is_whole = source.status == SourceStatus::Success;
    let is_full = |stream: &&StreamRecord| stream.mode.as_deref() == Some(Mode::Full.as_str());
    SourceFacts {
        name: source.source.clone(),
        status: source.status,
        records_processed: source.counts.processed(),
        records_added: source.counts.added,
        records_updated: source.counts.updated,
        records_deleted: source.counts.deleted,
        records_rejected: source.counts.rejected,
        records_left_out: source.counts.folded + source.counts.skipped,
        is_replaced: source.counts.deleted > 0 && tables.iter().all(is_full),
        table_count: tables.len() as u64,
        tables_in_all: own().count() as u64,
        tables_refreshed: tables.iter().filter(|_| !is_whole).map(|stream| stream.target.clone()).collect(),
        rejects_path: source.rejects_path.clone(),
        reject_reasons,
        duration_seconds: source.duration_seconds.unwrap_or_default(),
        attempt: source.attempt,
    }
}

pub(super) fn strip_run(run: &RunRecord) -> StripRun {
    StripRun {
        status: run.status,
        started_at: run.started_at,
        duration_seconds: run.duration_seconds,
        records_processed: run.summary.totals.processed,
    }
}

fn line(event: &EventRecord, zone: Zone) -> String {
    let EventRecord { at, level, source, stream, message } = event;
    let level = match level {
        Level::Info => "info ",
        Level::Warn => "warn ",
        Level::Error => "error",
    };
    let place = match (source, stream) {
        (Some(source), Some(stream)) if source != stream => format!("{source}, {stream}: "),
        (Some(source), _) => format!("{source}: "),
        (None, _) => String::new(),
    };
    format!("{} {level} {place}{message}", log_time(*at, zone))
}

/// Returns what a stream's publish changed in its target's columns, in words.
fn changes_of(stream: &StreamRecord) -> Vec<String> {
    let changes: Vec<SchemaChange> = serde_json::from_str(&stream.schema_changes).unwrap_or_default();
    let told = |change: &SchemaChange| match change {
        SchemaChange::Added { column, to } => format!("{}: column {column} was added ({to})", stream.target),
        SchemaChange::Widened { column, from, to } => format!("{}: column {column} was widened from {from} to {to}", stream.target),
        SchemaChange::Settled { column, to, .. } => format!("{}: column {column} has its first values: {to}", stream.target),
        SchemaChange::Gone { column } => format!("{}: column {column} is gone from the source; it stays, NULL in new rows", stream.target),
    };
    changes.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_source_that_failed_the_tables_are_known_that_were_published_all_the_same() {
        let stream = |name: &str, status| StreamRecord { status, ..StreamRecord::waiting("shop", name, format!("shop_{name}")) };
        let streams = [
            stream("a", SourceStatus::Success),
            stream("b", SourceStatus::Failed),
            stream("c", SourceStatus::Success),
            StreamRecord { status: SourceStatus::Success, ..StreamRecord::waiting("crm", "a", "crm_a") },
        ];
        let tables = |status| {
            let facts = source_facts(&SourceRecord { status, ..SourceRecord::waiting("shop") }, &streams, Vec::new());
            (facts.table_count, facts.tables_in_all, facts.tables_refreshed)
        };
        assert_eq!(tables(SourceStatus::Failed), (2, 3, vec!["shop_a".to_owned(), "shop_c".to_owned()]));
        assert_eq!(tables(SourceStatus::Success), (2, 3, Vec::new()));
    }
}
