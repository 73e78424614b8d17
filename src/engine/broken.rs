//! Tells of jobs whose file has errors, or is gone: they start no run that could say so. Whoever meets such a file tells it, and each run's
//! end looks at all files. Each cause is told once, until the file is found good; that is told in `mended`.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::clock;
use crate::job::notifications::Addresses;
use crate::job::{Job, JobId, Notifications, Problem, Repeat, Secrets, Severity};
use crate::notify::message::{NO_FILE, NO_VALUE};
use crate::notify::{Cause, JobFacts, JobTrouble, Kind, Message, Roundup};
use crate::process;
use crate::secret::Masker;
use crate::state::{LookTidings, SEEN, SEVERAL_JOBS, StateError, Store, Told};
use crate::workspace::{BadFile, FILE, JobFile, Workspace};

use super::herald;
use super::mended::Mended;
use super::recipient::{self, Owner, Recipient};

pub(super) const KIND: &str = Kind::Invalid.as_str();

/// How many problems of a file a message holds.
const PROBLEMS_MAX: usize = 50;

/// So long after a file was last found bad any host may find it good: a day, and a little for what starts once a day. Names of hosts change.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(25);

/// How often it is written down that a file is still bad.
const SEEN_EVERY: TimeDelta = TimeDelta::hours(1);

/// What a command came upon when it was to run jobs.
#[derive(Debug, Clone, Default)]
pub struct Encounter {
    /// Jobs that could not be had where a scheduler asked for them, each with the problems of its file.
    pub broken: Vec<(String, Vec<Problem>)>,
    /// Jobs that a scheduler asked for and that have no file.
    pub gone: Vec<String>,
    /// Jobs that could not be had where a person asked for them, who knows it now.
    pub tried: HashSet<String>,
    /// Jobs that were run.
    pub ran: HashSet<String>,
}

/// A job that can't be had.
pub(super) struct Broken {
    job: String,
    causes: Vec<Cause>,
    /// By which it is remembered.
    key: String,
    /// Who can find the file good again: what is remembered beside the key.
    finder: Vec<String>,
    is_met: bool,
    /// Whether the job's own people are told.
    is_by_job: bool,
    repeat: Repeat,
    recipients: Vec<Recipient>,
}

/// What a look at the files found, whatever of it was told before.
pub(super) struct Look<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) broken: Vec<Broken>,
    pub(super) mended: Vec<Mended>,
    /// Whether only etlsched.yaml was looked at, which has errors.
    pub(super) is_of_settings: bool,
    /// The jobs whose files are good.
    pub(super) good: &'a HashMap<&'a str, &'a Job>,
    pub(super) ran: &'a HashSet<String>,
    /// This host and this user.
    pub(super) here: [String; 2],
    pub(super) now: DateTime<Utc>,
}

/// Whether anybody named in the defaults of etlsched.yaml is told of broken files.
pub fn is_anybody_told_of_files(workspace: &Workspace) -> bool {
    is_heard(&workspace.default_notifications(Secrets::Left))
}

fn is_heard(told: &Notifications) -> bool {
    has_people(told) && told.tells(Kind::Invalid)
}

pub(super) fn has_people(told: &Notifications) -> bool {
    !told.emails.is_empty() || !told.webhooks.is_empty()
}

/// Puts letters about jobs that can't be had into the outbox, where they weren't told; returns how many letters that are. Told are the people
/// of the defaults, since the job's own file can't be read; its own where only a run could not be made of it. `strays` are the problems of
/// files whose names are none of jobs.
///
/// # Errors
/// The store can't be read or written.
pub fn tell_broken(
    workspace: &Workspace,
    store: &mut Store,
    (files, strays): (&[JobFile], &[Problem]),
    met: &Encounter,
) -> Result<usize, StateError> {
    let good: HashMap<&str, &Job> = files.iter().filter_map(|(id, file)| Some((id.as_str(), &file.as_ref().ok()?.job))).collect();
    let known = store.told(&[KIND])?;
    let is_quiet = met.broken.is_empty() && met.gone.is_empty() && good.len() == files.len() && strays.is_empty();
    if is_quiet && known.is_empty() {
        return Ok(0);
    }
    let mut look = Look {
        workspace,
        broken: Vec::new(),
        mended: Vec::new(),
        is_of_settings: false,
        good: &good,
        ran: &met.ran,
        here: [process::host_name(), process::user_name()],
        now: clock::now(),
    };
    look.find(store, (files, strays), met)?;
    look.find_known(store, files, strays, met)?;
    look.tell(store)
}

impl Look<'_> {
    /// Notes what is broken: what was met, and what the files say.
    fn find(&mut self, store: &mut Store, (files, strays): (&[JobFile], &[Problem]), met: &Encounter) -> Result<(), StateError> {
        let [host, user] = self.here.clone();
        for (job, problems) in &met.broken {
            // One that was named twice was met twice.
            if self.has(job) {
                continue;
            }
            let is_good = self.good.contains_key(job.as_str());
            let is_withheld = files.iter().any(|(id, file)| id.as_str() == job && file.as_ref().is_err_and(|bad| bad.is_withheld));
            let finder = match (is_good, is_withheld) {
                // Its secrets could not be fetched: only a run finds that they can.
                (true, _) => vec![host.clone(), user.clone(), "run".to_owned()],
                (false, true) => vec![host.clone(), user.clone()],
                (false, false) => vec![host.clone()],
            };
            let mut causes = causes(self.workspace, job, problems);
            if is_good {
                causes.iter_mut().for_each(|cause| NO_VALUE.clone_into(&mut cause.code));
            }
            self.add(job, causes, finder, true);
        }
        for job in &met.gone {
            if !self.has(job) && store.job(job)?.is_some() {
                let stray = strays.iter().find(|stray| renamed(stray).as_deref() == Some(job));
                let causes = stray.map_or_else(|| vec![no_file(job)], |stray| causes(self.workspace, job, std::slice::from_ref(stray)));
                self.add(job, causes, vec![host.clone()], true);
            }
        }
        Ok(())
    }

    /// Notes what the files say of jobs that the store knows: what nothing ever ran or started is still being written.
    fn find_known(&mut self, store: &mut Store, files: &[JobFile], strays: &[Problem], met: &Encounter) -> Result<(), StateError> {
        if strays.is_empty() && files.iter().all(|(_, file)| file.is_ok()) {
            return Ok(());
        }
        let known: HashSet<String> = store.jobs()?.into_iter().map(|record| record.id).collect();
        let host = self.here[0].clone();
        for (id, file) in files {
            let id = id.as_str();
            let is_left_out = met.tried.contains(id) || self.has(id);
            // What this user may not read may be as it should be.
            if let Err(BadFile { problems, is_withheld: false }) = file
                && known.contains(id)
                && !is_left_out
            {
                self.add(id, causes(self.workspace, id, problems), vec![host.clone()], false);
            }
        }
        for stray in strays {
            let Some(id) = renamed(stray).filter(|id| known.contains(id)) else { continue };
            let is_there = files.iter().any(|(there, _)| there.as_str() == id) || self.broken.iter().any(|broken| broken.job == id);
            if !is_there && !met.tried.contains(&id) {
                self.add(&id, causes(self.workspace, &id, std::slice::from_ref(stray)), vec![host.clone()], false);
            }
        }
        Ok(())
    }

    fn has(&self, job: &str) -> bool {
        self.broken.iter().any(|broken| broken.job == job)
    }

    pub(super) fn add(&mut self, job: &str, causes: Vec<Cause>, finder: Vec<String>, is_met: bool) {
        let key = key(&causes);
        let broken =
            Broken { job: job.to_owned(), causes, key, finder, is_met, is_by_job: false, repeat: Repeat::First, recipients: Vec::new() };
        self.broken.push(broken);
    }

    /// Leaves out what nobody is told of, and notes how often the rest is told.
    pub(super) fn heed(&mut self) {
        let good = self.good;
        let defaults = self.workspace.default_notifications(Secrets::Left);
        let told = |job: &str| good.get(job).map_or(&defaults, |job| &job.notifications);
        self.broken.retain(|broken| is_heard(told(&broken.job)));
        for broken in &mut self.broken {
            broken.is_by_job = good.contains_key(broken.job.as_str());
            broken.repeat = told(&broken.job).repeat;
        }
    }

    /// Finds out who is told of each; addresses that are secrets are fetched.
    pub(super) fn address(&mut self, store: &mut Store) -> Result<(), StateError> {
        let good = self.good;
        let workspace_id = store.workspace_id()?;
        let defaults = self.workspace.default_notifications(Secrets::Fetched);
        let mut addresses = Addresses::default();
        for broken in &mut self.broken {
            let own = good.get(broken.job.as_str());
            let mut told = own.map_or_else(|| defaults.clone(), |job| job.notifications.clone());
            let webhooks = own.and_then(|job| self.workspace.webhooks(&job.id, &mut addresses));
            told.webhooks = webhooks.unwrap_or(told.webhooks);
            let owner = if broken.is_by_job { Owner::Job(&broken.job) } else { Owner::Defaults };
            broken.recipients = recipient::recipients(&workspace_id, owner, &told);
        }
        Ok(())
    }

    pub(super) fn tidings(&self, known: &[(String, Told)]) -> LookTidings {
        let news: Vec<&Broken> = self.broken.iter().filter(|broken| self.is_news(broken, known)).collect();
        let remembered = |broken: &&Broken| {
            let told = Told { kind: KIND.to_owned(), cause: broken.key.clone(), sources: broken.finder.clone(), at: self.now };
            (broken.job.clone(), told)
        };
        let letters = recipient::by_recipient(news.iter().map(|broken| (*broken, broken.recipients.clone()))).into_iter().map(
            |(recipient, group)| match group.as_slice() {
                [broken] => (broken.job.clone(), recipient.letter(&self.own(broken))),
                group => (SEVERAL_JOBS.to_owned(), recipient.letter(&self.several(group))),
            },
        );
        LookTidings {
            letters: letters.chain(self.letters_of_mended(known)).collect(),
            told: news.iter().map(remembered).chain(known.iter().filter_map(|(job, told)| self.seen_again(job, told, known))).collect(),
            over: known.iter().filter(|(job, told)| self.is_over(job, told)).cloned().collect(),
        }
    }

    pub(super) fn has_news(&self, known: &[(String, Told)]) -> bool {
        self.broken.iter().any(|broken| self.is_news(broken, known))
    }

    fn is_news(&self, broken: &Broken, known: &[(String, Told)]) -> bool {
        let told = known.iter().find(|(job, told)| *job == broken.job && told.cause == broken.key);
        let day = |at: DateTime<Utc>| at.with_timezone(&self.workspace.timezone).date_naive();
        match (broken.repeat, told) {
            (_, None) => true,
            (Repeat::First, Some(_)) => false,
            (Repeat::Daily, Some((_, told))) => day(told.at) != day(self.now),
            // As a run that fails each time: whoever only looks tells it once.
            (Repeat::All, Some(_)) => broken.is_met,
        }
    }

    /// Whether the file is good again, as far as one can tell here who tells it from bad as the one did who told it.
    pub(super) fn is_over(&self, job: &str, told: &Told) -> bool {
        let [host, user] = &self.here;
        let (finder, seen_at) = seen(told);
        let is_stale = self.now - seen_at >= FORGOTTEN_AFTER;
        let is_ours = match finder {
            [at] => at == host || is_stale,
            // Another user may find it good all the time.
            [at, by] => by == user && (at == host || is_stale),
            _ => self.ran.contains(job),
        };
        // Where jobs were looked at, etlsched.yaml is good.
        let is_good = self.good.contains_key(job) || (job == FILE && !self.is_of_settings);
        !self.has(job) && is_ours && is_good
    }

    /// Returns what is remembered of a file that is as bad as it was, where that is to be written down.
    fn seen_again(&self, job: &str, told: &Told, known: &[(String, Told)]) -> Option<(String, Told)> {
        let broken = self.broken.iter().find(|broken| broken.job == job && broken.key == told.cause)?;
        let (finder, seen_at) = seen(told);
        if self.now - seen_at < SEEN_EVERY || self.is_news(broken, known) {
            return None;
        }
        let mut sources = finder.to_vec();
        sources.push(format!("{SEEN}{}", self.now.to_rfc3339_opts(SecondsFormat::Secs, true)));
        Some((job.to_owned(), Told { sources, ..told.clone() }))
    }

    fn own(&self, broken: &Broken) -> Message {
        let facts = JobFacts { id: broken.job.clone(), name: broken.job.clone(), schedule: String::new(), next_run: None };
        Message { causes: broken.causes.clone(), is_by_job: broken.is_by_job, ..self.blank(Kind::Invalid, facts) }
    }

    fn several(&self, group: &[&Broken]) -> Message {
        let jobs: Vec<JobTrouble> = group.iter().map(|broken| trouble(broken)).collect();
        let facts = JobFacts::of_several(jobs.len());
        let is_lacking = |broken: &&&Broken| broken.causes.iter().all(|cause| cause.code == NO_VALUE);
        let lacking_count = group.iter().filter(is_lacking).count() as u64;
        let is_by_job = group.iter().any(|broken| broken.is_by_job);
        Message { roundup: Some(Roundup { lacking_count, ..Roundup::of(jobs, 0, 0) }), is_by_job, ..self.blank(Kind::Invalid, facts) }
    }

    pub(super) fn blank(&self, kind: Kind, facts: JobFacts) -> Message {
        let workspace = self.workspace.masker.mask(&self.workspace.root.display().to_string());
        herald::blank(kind, facts, (workspace, self.workspace.timezone.name().to_owned()), self.now)
    }
}

/// Returns who found a file bad, and when it was last found so; no host has a name that begins as the instant does.
pub(super) fn seen(told: &Told) -> (&[String], DateTime<Utc>) {
    let sources = told.sources.as_slice();
    let last = sources.split_last().and_then(|(last, finder)| Some((finder, last.strip_prefix(SEEN)?)));
    let Some((finder, at)) = last else { return (sources, told.at) };
    (finder, at.parse().unwrap_or(told.at))
}

/// Returns the errors of a file, secrets masked, each with its place.
pub(super) fn causes(workspace: &Workspace, job: &str, problems: &[Problem]) -> Vec<Cause> {
    let masker = JobId::parse(job).map_or_else(|_| workspace.masker.clone(), |id| workspace.masker_of(&id));
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.take(PROBLEMS_MAX).map(|problem| cause(workspace, &masker, problem)).collect()
}

/// Returns the job whose file one may have been before it got a name that is none: `Sales.yaml`, `sales.yml`.
fn renamed(stray: &Problem) -> Option<String> {
    let stem = stray.file.file_stem()?.to_str()?.to_lowercase();
    JobId::parse(&stem).is_ok().then_some(stem)
}

fn cause(workspace: &Workspace, masker: &Masker, problem: &Problem) -> Cause {
    let Problem { file, line, column: _, line_text: _, severity: _, matter: _, message, hint } = problem;
    let file = file.strip_prefix(&workspace.root).unwrap_or(file).display();
    Cause {
        sources: vec![masker.mask(&if *line > 0 { format!("{file}, line {line}") } else { file.to_string() })],
        host: None,
        code: "invalid".to_owned(),
        message: masker.mask(message),
        hint: hint.as_deref().map(|hint| masker.mask(hint)),
        attempts: 1,
    }
}

fn no_file(job: &str) -> Cause {
    Cause {
        sources: vec![format!("jobs/{job}.yaml")],
        host: None,
        code: NO_FILE.to_owned(),
        message: "the file is gone, and an entry of a scheduler still starts the job".to_owned(),
        hint: Some(format!("bring the file back, or take what is left of the job away: etlsched delete {job}")),
        attempts: 1,
    }
}

/// Returns what a file's errors are remembered by: what is wrong, not where, since lines move.
fn key(causes: &[Cause]) -> String {
    if causes.iter().any(|cause| cause.code == NO_FILE) {
        return NO_FILE.to_owned();
    }
    let mut messages: Vec<String> = causes.iter().map(|cause| without_lines(&cause.message)).collect();
    messages.sort_unstable();
    messages.dedup();
    blake3::hash(messages.join("\n").as_bytes()).to_hex()[..32].to_owned()
}

/// Returns a message without the numbers of lines that it names: `orders stands twice: first in line 3`.
fn without_lines(message: &str) -> String {
    let mut parts = message.split("line ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("line ");
        text.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    text
}

/// Returns a job as one line of several.
fn trouble(broken: &Broken) -> JobTrouble {
    let first = broken.causes.first();
    let problem = first.map(|cause| format!("{}: {}", cause.sources.join(", "), cause.message));
    let more = broken.causes.len().saturating_sub(1);
    let problem = problem.map(|problem| if more > 0 { format!("{problem} (and {more} more)") } else { problem });
    JobTrouble { id: broken.job.clone(), name: broken.job.clone(), slot_count: 0, slots: None, deadline: None, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: usize, message: &str) -> Cause {
        let place = vec![format!("jobs/a.yaml, line {line}")];
        Cause { sources: place, host: None, code: "invalid".to_owned(), message: message.to_owned(), hint: None, attempts: 1 }
    }

    #[test]
    fn the_same_errors_at_other_lines_are_the_same_cause() {
        let first = key(&[wrong(3, "hour: expected a number"), wrong(9, "no source")]);
        assert_eq!(first, key(&[wrong(1, "no source"), wrong(4, "hour: expected a number"), wrong(5, "no source")]));
        assert_ne!(first, key(&[wrong(3, "hour: expected a number")]));
        assert_eq!(key(&[no_file("a")]), NO_FILE);
        let twice = |line: usize| key(&[wrong(9, &format!("orders stands twice: first in line {line}"))]);
        assert_eq!(twice(3), twice(12));
        let three = "two sources are called line 3: the first is in line 4 of 5";
        assert_eq!(without_lines(three), "two sources are called line : the first is in line  of 5");
    }
}
