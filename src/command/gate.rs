//! What schedulers call: whether a job has a slot to start, and what is told where it has none.

use super::post::{Post, Talk};
use super::stored;
use crate::clock::{self, SlotClock};
use crate::engine;
use crate::error::Failure;
use crate::exit_code;
use crate::job::{CatchUp, Job};
use crate::process::Stop;
use crate::state::Store;
use crate::text::count;
use crate::workspace::Workspace;

/// What schedulers call: lets a job through only where one of its slots is due.
pub(super) struct Gate<'a> {
    workspace: &'a Workspace,
    clock: SlotClock,
    /// Nobody named the jobs: those of others are left to them.
    is_every_job: bool,
    is_told: bool,
    store: Option<Store>,
    may_letters_wait: bool,
}

impl<'a> Gate<'a> {
    /// Opens nothing yet: most starts end before a store is needed.
    pub(super) fn new(workspace: &'a Workspace, clock: SlotClock, is_every_job: bool, is_told: bool) -> Self {
        Self { workspace, clock, is_every_job, is_told, store: None, may_letters_wait: false }
    }

    /// Whether a job has a slot to start; after its first run only `catch_up: all` has more. Reads etlsched.yaml and the job's own file.
    pub(super) fn is_open(&mut self, name: &str, is_first: bool) -> Result<bool, Failure> {
        let job = stored::job(self.workspace, name)?;
        if !is_first && job.lateness.catch_up != CatchUp::All {
            return Ok(false);
        }
        let now = self.clock.now();
        if engine::is_settled_by_note(self.workspace, &job, now) {
            return Ok(false);
        }
        let store = match &mut self.store {
            Some(store) => store,
            none => {
                stored::settle_modes(self.workspace)?;
                none.insert(engine::open_gate(self.workspace, &job, now)?)
            }
        };
        if self.is_every_job {
            let record = store.job(job.id.as_str())?;
            if stored::check_startable(self.workspace, &job, record.as_ref(), &stored::actor()).is_err() {
                return Ok(false);
            }
        }
        if engine::is_due(store, self.workspace, &job, now)? {
            return Ok(true);
        }
        // A note is written where the store said that nothing waits to be told either.
        self.may_letters_wait |= !engine::is_settled_by_note(self.workspace, &job, now);
        // Entries wake the gate at a deadline too.
        if job.lateness.deadline.is_some() {
            self.tell_overdue(job);
        }
        Ok(false)
    }

    /// Tells of the slots of a job that were due and too late to be started: no run says so.
    pub(super) fn look_after(&mut self, name: &str) {
        if let Ok(job) = stored::job(self.workspace, name) {
            self.may_letters_wait = true;
            self.tell_overdue(job);
        }
    }

    fn tell_overdue(&mut self, job: Job) {
        if let Some(store) = self.store.as_mut().filter(|_| self.is_told) {
            // Where the store can't be written, the next start says so.
            let _ = engine::tell_overdue(self.workspace, store, &[job], self.clock);
        }
    }

    /// Sends what waits where nothing was to be started. Most starts end here: whether there is anything is one question to the store.
    pub(super) fn send_waiting(&mut self, post: Option<Post<'_>>, stop: &Stop, talk: Talk) {
        if let (Some(mut post), Some(store), true) = (post, &mut self.store, self.may_letters_wait)
            && store.has_due_letters(clock::now()).unwrap_or(false)
        {
            post.send_from(store, stop, talk);
        }
    }
}

/// So many jobs are named whose files are gone.
const GONE_NAMED: usize = 5;

/// Checks, where no job has a file, that none ever had a scheduler: a folder that was moved away would keep every job from running in silence.
///
/// # Errors
/// The store counts slots of jobs (exit 4), or can't be read.
pub(super) fn check_folder(workspace: &Workspace, clock: SlotClock) -> Result<(), Failure> {
    let Some(mut store) = stored::open_existing(workspace)? else { return Ok(()) };
    let now = clock.now();
    let known = store.standings(now, now)?;
    let ids: Vec<&str> = known.iter().filter(|job| job.counted_since.is_some()).map(|job| job.record.id.as_str()).collect();
    let Some(first) = ids.first() else { return Ok(()) };
    let folder = workspace.jobs_folder();
    let shown = workspace.shown(&folder);
    let what = if folder.is_dir() { format!("no job file is in {}", shown.display()) } else { format!("{} is gone", shown.display()) };
    let more = if ids.len() > GONE_NAMED { ", ..." } else { "" };
    let names = format!("{}{more}", ids[..ids.len().min(GONE_NAMED)].join(", "));
    let message = format!("{what}, and the state store knows {} ({names}): nothing runs", count(ids.len() as u64, "active job"));
    let hint = format!("bring the files back; a job that is over is taken away with: etlsched delete {first}");
    Err(Failure::new(exit_code::INVALID, "no_job_files", message).hint(hint))
}
