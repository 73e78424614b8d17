//! Makes letters of what a look at the jobs found: one for each recipient, however many jobs name it. What a recipient hears of one job
//! alone is the job's own letter, with its last runs. Sends nothing.

use std::collections::{HashMap, HashSet};

use crate::clock::SlotClock;
use crate::job::Job;
use crate::job::notifications::Addresses;
use crate::notify::{JobFacts, JobTrouble, Kind, Message, Roundup, Standing, StripRun};
use crate::state::{JobStatus, NewLetter, RunFilter, SEVERAL_JOBS, StateError, Store};
use crate::workspace::Workspace;
use crate::zone::Zone;

use super::herald::{self, Herald};
use super::overdue::Overdue;
use super::recipient::{self, Recipient};

/// How many of the job's last runs a message shows.
const RUNS_TOLD: u64 = 14;

/// Who tells of each job, ready before the transaction in which it is decided what of it is told.
pub(super) struct Round {
    voices: HashMap<String, Voice>,
    /// The folder, secrets masked.
    workspace: String,
    /// In which times of jobs of different zones are shown.
    zone: Zone,
    clock: SlotClock,
}

struct Voice {
    herald: Herald,
    strip: Vec<StripRun>,
}

impl Round {
    /// Fetches the addresses that are secrets, and the last runs of jobs that somebody hears of alone.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn prepare(workspace: &Workspace, store: &mut Store, news: &[&Overdue<'_>], clock: SlotClock) -> Result<Self, StateError> {
        let workspace_id = store.workspace_id()?;
        let mut addresses = Addresses::default();
        let mut voices: HashMap<String, Voice> = HashMap::new();
        for overdue in news {
            voices.entry(overdue.job.id.to_string()).or_insert_with(|| {
                let reachable = reachable(workspace, overdue.job, &mut addresses);
                let herald = Herald::new(workspace, &workspace_id, reachable.as_ref().unwrap_or(overdue.job), clock);
                Voice { herald, strip: Vec::new() }
            });
        }
        let root = workspace.masker.mask(&workspace.root.display().to_string());
        let mut round = Self { voices, workspace: root, zone: workspace.timezone, clock };
        for job in round.alone(news) {
            let filter = RunFilter { job: Some(job.clone()), ..RunFilter::default() };
            let runs = store.runs(&filter, 1, RUNS_TOLD)?.runs;
            if let Some(voice) = round.voices.get_mut(&job) {
                voice.strip = runs.iter().rev().filter(|run| !run.status.is_open()).map(herald::strip_run).collect();
            }
        }
        Ok(round)
    }

    /// Returns the jobs of which somebody hears alone.
    fn alone(&self, news: &[&Overdue<'_>]) -> HashSet<String> {
        let groups = self.groups(news).into_iter();
        groups.filter(|(_, group)| is_of_one_job(group)).map(|(_, group)| group[0].job.id.to_string()).collect()
    }

    /// Returns a letter for each recipient, with the job that it is about.
    pub(super) fn letters(&self, news: &[&Overdue<'_>]) -> Vec<(String, NewLetter)> {
        let mut letters = Vec::new();
        for (recipient, group) in self.groups(news) {
            if is_of_one_job(&group) {
                let own = group.iter().filter_map(|overdue| Some((overdue.job.id.to_string(), recipient.letter(&self.own(overdue)?))));
                letters.extend(own);
            } else {
                letters.push((SEVERAL_JOBS.to_owned(), recipient.letter(&self.several(&group))));
            }
        }
        letters
    }

    fn groups<'a, 'b>(&self, news: &[&'a Overdue<'b>]) -> Vec<(Recipient, Vec<&'a Overdue<'b>>)> {
        let recipients = |overdue: &Overdue<'_>| self.voices.get(overdue.job.id.as_str()).map(|voice| voice.herald.recipients());
        recipient::by_recipient(news.iter().map(|overdue| (*overdue, recipients(overdue).unwrap_or_default())))
    }

    /// Returns the message about one job.
    fn own(&self, overdue: &Overdue<'_>) -> Option<Message> {
        let Overdue { job, health, kind, causes, slots, slot_count, .. } = overdue;
        let Voice { herald, strip } = self.voices.get(job.id.as_str())?;
        Some(Message {
            slots: slots.clone(),
            slot_count: *slot_count,
            slots_since: causes.first().copied().filter(|first| *kind == Kind::Missed && !slots.contains(first)),
            deadline: causes.last().copied().filter(|_| *kind == Kind::Deadline),
            strip: strip.clone(),
            standing: Some(Standing { consecutive_failures: health.consecutive_failures, failure_threshold: job.failure_threshold }),
            ..herald.about_job(*kind, health.status == JobStatus::Active)
        })
    }

    /// Returns the message about several jobs: what is known of one is one line.
    fn several(&self, group: &[&Overdue<'_>]) -> Message {
        let mut jobs: Vec<JobTrouble> = Vec::new();
        for overdue in group {
            if jobs.last().is_none_or(|last| last.id != overdue.job.id.as_str()) {
                jobs.push(self.trouble(overdue.job));
            }
            let last = jobs.last_mut().expect("pushed above");
            match overdue.kind {
                Kind::Deadline => last.deadline = overdue.causes.last().copied(),
                _ => {
                    last.slot_count = overdue.slot_count;
                    last.slots = overdue.causes.first().copied().zip(overdue.causes.last().copied());
                }
            }
        }
        let zones: HashSet<&str> = group.iter().map(|overdue| overdue.job.timezone.name()).collect();
        let zone = if zones.len() == 1 { group[0].job.timezone } else { self.zone };
        let missed_count = jobs.iter().filter(|job| job.slots.is_some()).count() as u64;
        let kind = if missed_count > 0 { Kind::Missed } else { Kind::Deadline };
        let slot_count = jobs.iter().map(|job| job.slot_count).sum();
        let deadline_count = jobs.iter().filter(|job| job.deadline.is_some()).count() as u64;
        let facts = JobFacts::of_several(jobs.len());
        let roundup = Roundup::of(jobs, missed_count, deadline_count);
        let place = (self.workspace.clone(), zone.name().to_owned());
        Message { roundup: Some(roundup), slot_count, ..herald::blank(kind, facts, place, self.clock.now()) }
    }

    fn trouble(&self, job: &Job) -> JobTrouble {
        let name = self.voices.get(job.id.as_str()).map(|voice| voice.herald.job_name()).unwrap_or_default();
        JobTrouble { id: job.id.to_string(), name, slot_count: 0, slots: None, deadline: None, problem: None }
    }
}

fn is_of_one_job(group: &[&Overdue<'_>]) -> bool {
    group.iter().all(|overdue| overdue.job.id == group[0].job.id)
}

/// Returns a job with the addresses of its people that are secrets; nothing where none is, or they can't be fetched.
fn reachable(workspace: &Workspace, job: &Job, addresses: &mut Addresses) -> Option<Job> {
    if job.notifications.webhooks.iter().all(|url| !url.expose().is_empty()) {
        return None;
    }
    let webhooks = workspace.webhooks(&job.id, addresses)?;
    let mut job = job.clone();
    job.notifications.webhooks = webhooks;
    Some(job)
}
