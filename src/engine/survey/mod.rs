//! What all jobs did over a span of time, how they stand, and what comes: the facts of `report`. Reads the store, set by set; writes
//! nothing. Every text in it is masked.

mod causes;
mod coming;
mod lanes;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

pub use causes::Cause;
pub use coming::Coming;
pub use lanes::{Lane, Outcome};

use super::health::{self, Health};
use crate::job::{Job, JobId};
use crate::process;
use crate::schedule::Schedule;
use crate::secret::Masker;
use crate::state::{JobRecord, JobStatus, Moment, SlotMark, Span, StateError, Store, StreamMark};
use crate::workspace::Workspace;
use crate::zone::Zone;

/// Slots without a run beyond are left out, the oldest first.
const SLOTS_MAX: usize = 20_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// From when on.
    pub since: DateTime<Utc>,
    /// The present instant by the clock of slots.
    pub now: DateTime<Utc>,
    /// The present instant by the clocks of leases.
    pub moment: Moment,
    /// Until when slots to come are looked at.
    pub until: DateTime<Utc>,
    /// Of these jobs; empty means all.
    pub only: &'a [String],
    /// So many runs at most: what began before them is left out.
    pub runs_max: usize,
}

/// A file in jobs/ that is no job as it stands, for itself or with a setting of etlsched.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenFile {
    /// The job; the stem of a file that is none.
    pub job: String,
    /// As the user would type it; the place in etlsched.yaml where a setting is wrong.
    pub file: String,
    /// Whether it is a setting.
    pub is_setting: bool,
    /// Its errors.
    pub errors: u64,
}

/// The facts of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The present instant.
    pub now: DateTime<Utc>,
    /// From when on runs and slots are in it.
    pub since: DateTime<Utc>,
    /// That was asked for, where the log holds more runs since then than are taken up.
    pub asked_since: Option<DateTime<Utc>>,
    /// Until when slots to come are in it.
    pub until: DateTime<Utc>,
    /// The jobs, by id.
    pub jobs: Vec<JobSurvey>,
    /// Files in jobs/ that are no jobs as they stand.
    pub broken: Vec<BrokenFile>,
    /// Why sources and runs failed, what happened most first.
    pub causes: Vec<Cause>,
    /// Failures of causes that are not listed one by one.
    pub other_failures: u64,
    /// The load to come.
    pub coming: Coming,
}

/// A job over the span.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSurvey {
    /// Its id.
    pub id: String,
    /// For display.
    pub name: String,
    /// Its schedule in words; empty where its file is gone or broken.
    pub schedule: String,
    /// The zone of its schedule.
    pub zone: Option<Zone>,
    /// How it stands.
    pub standing: Standing,
    /// When the last run began, whether in the span or before it.
    pub last_run_at: Option<DateTime<Utc>>,
    /// When a run last succeeded, likewise.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Whether it is late, stuck or past its deadline; `None` where its file is gone or broken, or nothing ran in this workspace.
    pub health: Option<Health>,
    /// The first instants at which it is due, up to [`Survey::until`].
    pub next: Vec<DateTime<Utc>>,
    /// Its runs.
    pub lane: Lane,
    /// Its slots without a run, oldest first.
    pub slots: Vec<SlotMark>,
    /// Its streams.
    pub streams: Vec<StreamMark>,
}

/// How a job stands, what is worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Too many runs failed: its schedule no longer starts it.
    InError,
    /// A run doesn't end.
    Stuck,
    /// A slot is late, or its deadline passed.
    Late,
    /// Its last run failed.
    Failing,
    /// Its file has errors.
    Broken,
    /// A run goes on.
    Running,
    /// It was paused.
    Paused,
    /// It was disabled.
    Inactive,
    /// Its last run was good.
    Ok,
    /// It never ran.
    New,
    /// It ran, and has no file any more.
    Gone,
}

impl Standing {
    /// Every standing, what is worst first.
    pub const ALL: [Self; 11] = [
        Self::InError,
        Self::Stuck,
        Self::Late,
        Self::Failing,
        Self::Broken,
        Self::Running,
        Self::Paused,
        Self::Inactive,
        Self::Ok,
        Self::New,
        Self::Gone,
    ];

    /// Returns the words for it, also those of JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InError => "in error",
            Self::Stuck => "stuck",
            Self::Late => "late",
            Self::Failing => "failing",
            Self::Broken => "broken file",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Inactive => "inactive",
            Self::Ok => "ok",
            Self::New => "never ran",
            Self::Gone => "no file",
        }
    }
}

/// Returns when a job's data should have been fresh, where they aren't.
fn overdue_since(health: &Health) -> Option<DateTime<Utc>> {
    let late = health.late.as_ref().map(|late| late.due_at);
    let deadline = health.deadline.as_ref().map(|deadline| deadline.at);
    late.into_iter().chain(deadline).min()
}

impl JobSurvey {
    /// Returns when its data should have been fresh, where they aren't: the slot that is late, or the deadline that passed.
    pub fn overdue_since(&self) -> Option<DateTime<Utc>> {
        self.health.as_ref().and_then(overdue_since)
    }
}

impl Survey {
    /// Returns how many jobs stand so.
    pub fn count(&self, standing: Standing) -> usize {
        self.jobs.iter().filter(|job| job.standing == standing).count()
    }

    /// Returns how many runs ended, and how many of them were good.
    pub fn ended(&self) -> (u64, u64) {
        let lanes = || self.jobs.iter().map(|job| &job.lane);
        let good = lanes().map(|lane| lane.count(Outcome::Success)).sum::<u64>();
        let bad = lanes().map(|lane| lane.failures()).sum::<u64>();
        (good + bad, good)
    }
}

/// Gathers the facts.
///
/// # Errors
/// The store can't be read.
pub fn survey(
    workspace: &Workspace,
    jobs: &[Job],
    broken: &[BrokenFile],
    mut store: Option<&mut Store>,
    scope: &Scope<'_>,
) -> Result<Survey, StateError> {
    let maskers = Maskers::new(workspace, jobs);
    let mut known = Known::default();
    if let Some(store) = store.as_deref_mut() {
        known = Known::read(store, jobs, scope)?;
    }
    let mut gathered = match store {
        Some(store) => lanes::gather(store, &maskers, scope, &known.dead)?,
        None => lanes::Gathered::empty(scope),
    };
    let mut surveyed: Vec<JobSurvey> = jobs.iter().map(|job| job_survey(job, &known, &maskers, scope, &mut gathered)).collect();
    surveyed.extend(strangers(jobs, broken, &known, scope, &mut gathered));
    surveyed.sort_by(|left, right| left.id.cmp(&right.id));
    attach(&mut surveyed, &mut known, &maskers);
    let coming = coming::coming(jobs, &surveyed, scope);
    let (causes, other_failures) = gathered.causes.finish();
    let asked_since = (gathered.since > scope.since).then_some(scope.since);
    Ok(Survey {
        now: scope.now,
        since: gathered.since,
        asked_since,
        until: scope.until,
        jobs: surveyed,
        broken: broken.iter().map(|file| BrokenFile { file: workspace.masker.mask(&file.file), ..file.clone() }).collect(),
        causes,
        other_failures,
        coming,
    })
}

/// What the store knows of the jobs beside their runs.
#[derive(Debug, Default)]
struct Known {
    records: BTreeMap<String, JobRecord>,
    health: BTreeMap<String, Health>,
    /// Open runs whose process is gone.
    dead: BTreeSet<String>,
    slots: Vec<SlotMark>,
    streams: Vec<StreamMark>,
}

impl Known {
    fn read(store: &mut Store, jobs: &[Job], scope: &Scope<'_>) -> Result<Self, StateError> {
        let span = Span { since: scope.since, jobs: scope.only.to_vec() };
        let is_asked = |id: &str| scope.only.is_empty() || scope.only.iter().any(|only| only == id);
        let records = store.jobs()?.into_iter().filter(|record| is_asked(&record.id)).map(|record| (record.id.clone(), record)).collect();
        let health = health::examine(store, jobs, scope.now)?;
        Ok(Self {
            records,
            health: health.into_iter().map(|health| (health.job.clone(), health)).collect(),
            dead: store.dead_run_ids(&scope.moment, &process::liveness)?.into_iter().collect(),
            slots: store.slot_marks(&span, SLOTS_MAX)?,
            streams: store.stream_marks(&span)?,
        })
    }
}

/// What hides the secrets of each job.
struct Maskers<'a> {
    workspace: &'a Workspace,
    known: BTreeMap<&'a str, Masker>,
    /// Of jobs whose file is gone or broken, made when first asked for.
    others: RefCell<BTreeMap<String, Masker>>,
}

impl<'a> Maskers<'a> {
    fn new(workspace: &'a Workspace, jobs: &'a [Job]) -> Self {
        let known = jobs.iter().map(|job| (job.id.as_str(), workspace.masker_for(job))).collect();
        Self { workspace, known, others: RefCell::new(BTreeMap::new()) }
    }

    fn mask(&self, job: &str, text: &str) -> String {
        if let Some(masker) = self.known.get(job) {
            return masker.mask(text);
        }
        let made = || JobId::parse(job).map_or_else(|_| self.workspace.masker.clone(), |id| self.workspace.masker_of(&id));
        self.others.borrow_mut().entry(job.to_owned()).or_insert_with(made).mask(text)
    }
}

fn job_survey(job: &Job, known: &Known, maskers: &Maskers<'_>, scope: &Scope<'_>, gathered: &mut lanes::Gathered) -> JobSurvey {
    let id = job.id.as_str();
    let record = known.records.get(id);
    let lane = gathered.lanes.remove(id).unwrap_or_default();
    let health = known.health.get(id);
    let status = match record {
        _ if !job.is_active => JobStatus::Inactive,
        Some(record) => record.status_at(scope.now),
        None => JobStatus::Active,
    };
    JobSurvey {
        id: id.to_owned(),
        name: maskers.mask(id, &job.name),
        schedule: job.schedule.describe(),
        zone: (job.schedule != Schedule::Manual).then_some(job.timezone),
        standing: standing(status, record, health, known),
        last_run_at: record.and_then(|record| record.last_run.as_ref()).map(|run| run.at),
        last_success_at: record.and_then(|record| record.last_success_at),
        health: health.cloned(),
        next: coming::next(job, status, record, scope),
        lane,
        slots: Vec::new(),
        streams: Vec::new(),
    }
}

fn standing(status: JobStatus, record: Option<&JobRecord>, health: Option<&Health>, known: &Known) -> Standing {
    let last = record.and_then(|record| record.last_run.as_ref());
    let is_dead = last.is_some_and(|run| known.dead.contains(&run.id));
    match status {
        JobStatus::Error => Standing::InError,
        JobStatus::Inactive => Standing::Inactive,
        _ if health.is_some_and(|health| health.stuck.is_some()) => Standing::Stuck,
        JobStatus::Active | JobStatus::Paused if last.is_some_and(|run| run.status.is_open()) && !is_dead => Standing::Running,
        JobStatus::Paused => Standing::Paused,
        JobStatus::Active if health.is_some_and(|health| overdue_since(health).is_some()) => Standing::Late,
        JobStatus::Active => match last {
            None => Standing::New,
            Some(run) if is_dead || lanes::is_failure(run.status) => Standing::Failing,
            Some(_) if health.is_some_and(|health| !health.sources_failing.is_empty()) => Standing::Failing,
            Some(_) => Standing::Ok,
        },
    }
}

/// Returns the jobs that the log knows and that have no file, or none that is right.
fn strangers(jobs: &[Job], broken: &[BrokenFile], known: &Known, scope: &Scope<'_>, gathered: &mut lanes::Gathered) -> Vec<JobSurvey> {
    let have_files: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let is_broken = |id: &str| broken.iter().any(|broken| broken.job == id);
    let ids: BTreeSet<String> = gathered.lanes.keys().chain(known.records.keys()).cloned().collect();
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| !have_files.contains(id.as_str())) {
        let lane = gathered.lanes.remove(&id).unwrap_or_default();
        let is_broken = is_broken(&id);
        // A job that was deleted long ago and is not asked for is nobody's concern.
        if lane.is_empty() && !is_broken && !scope.only.contains(&id) {
            continue;
        }
        let record = known.records.get(&id);
        found.push(JobSurvey {
            name: id.clone(),
            schedule: String::new(),
            zone: None,
            standing: if is_broken { Standing::Broken } else { Standing::Gone },
            last_run_at: record.and_then(|record| record.last_run.as_ref()).map(|run| run.at),
            last_success_at: record.and_then(|record| record.last_success_at),
            health: None,
            next: Vec::new(),
            lane,
            slots: Vec::new(),
            streams: Vec::new(),
            id,
        });
    }
    found
}

/// Gives each job its slots and streams.
fn attach(jobs: &mut [JobSurvey], known: &mut Known, maskers: &Maskers<'_>) {
    let places: BTreeMap<String, usize> = jobs.iter().enumerate().map(|(place, job)| (job.id.clone(), place)).collect();
    for slot in std::mem::take(&mut known.slots).into_iter().rev() {
        if let Some(place) = places.get(&slot.job) {
            jobs[*place].slots.push(slot);
        }
    }
    for mut stream in std::mem::take(&mut known.streams) {
        if let Some(place) = places.get(&stream.job) {
            for name in [&mut stream.source, &mut stream.stream, &mut stream.target] {
                *name = maskers.mask(&stream.job, name);
            }
            jobs[*place].streams.push(stream);
        }
    }
}
