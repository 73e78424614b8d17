//! What the commands that run jobs share when people are to be told: sending what waits, for a limited time. Never changes what a run ended
//! with. No command itself.

use std::time::{Duration, Instant};

use super::stored;
use crate::clock::SlotClock;
use crate::engine::{self, Encounter, Posted};
use crate::error::Failure;
use crate::job::Job;
use crate::output::{self, post as view};
use crate::process::Stop;
use crate::state::Store;
use crate::workspace::Workspace;

/// How long letters are sent after all the runs of a command together; with the 5 s that a healthcheck's first ping may take 30 s (P18).
const TIME: Duration = Duration::from_secs(23);

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Talk {
    /// What was sent, and what waits.
    Verbose,
    /// What waits.
    Plain,
    /// What waits, once, as part of a scheduler's mail: at the end.
    Mail,
    /// Nothing: nobody looks, and nothing else failed.
    Silent,
}

/// Sends letters while there is time.
#[derive(Debug)]
pub(super) struct Post<'a> {
    workspace: &'a Workspace,
    left: Duration,
    /// What a mail says at its end.
    last_words: Option<String>,
}

impl<'a> Post<'a> {
    pub(super) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, left: TIME, last_words: None }
    }

    /// Sends what is due after a run. A run that never had a store has nothing to tell.
    pub(super) fn send(&mut self, stop: &Stop, talk: Talk) {
        match stored::open_existing(self.workspace) {
            Ok(Some(mut store)) => self.send_from(&mut store, stop, talk),
            Ok(None) => {}
            Err(failure) => self.tell_trouble(&failure.message, talk),
        }
    }

    /// Tells of jobs that are late, past their deadline or can't be had, and sends that.
    pub(super) fn look_at_jobs(&mut self, clock: SlotClock, met: &Encounter, stop: &Stop, talk: Talk) {
        let mut store = match self.store_to_look(met) {
            Ok(Some(store)) => store,
            Ok(None) => return,
            Err(failure) => return self.tell_trouble(&failure.message, talk),
        };
        let (files, strays) = self.workspace.load_each();
        let broken = engine::tell_broken(self.workspace, &mut store, (&files, &strays), met);
        let jobs: Vec<Job> = files.into_iter().filter_map(|(_, file)| Some(file.ok()?.job)).collect();
        let overdue = engine::tell_overdue(self.workspace, &mut store, &jobs, clock);
        match broken.and_then(|broken| Ok(broken + overdue?)) {
            Ok(0) => {}
            Ok(_) => self.send_from(&mut store, stop, talk),
            Err(error) => self.tell_trouble(&error.to_string(), talk),
        }
    }

    /// Opens the store; one is made where a file is to be told of that never had a run.
    fn store_to_look(&self, met: &Encounter) -> Result<Option<Store>, Failure> {
        match stored::open_existing(self.workspace)? {
            None if !met.broken.is_empty() && engine::is_anybody_told_of_files(self.workspace) => stored::open(self.workspace).map(Some),
            found => Ok(found),
        }
    }

    /// As [`Post::send`], from a store that is open.
    pub(super) fn send_from(&mut self, store: &mut Store, stop: &Stop, talk: Talk) {
        let began = Instant::now();
        let posted = engine::send_waiting(self.workspace, store, self.left, stop);
        self.left = self.left.saturating_sub(began.elapsed());
        match posted {
            Ok(posted) => self.tell(&posted, talk),
            Err(error) => self.tell_trouble(&error.to_string(), talk),
        }
    }

    /// Says what a mail has at its end.
    pub(super) fn end(&mut self) {
        if let Some(words) = self.last_words.take() {
            output::note(&view::in_mail(&words));
        }
    }

    fn tell_trouble(&mut self, why: &str, talk: Talk) {
        self.warn(view::unknown(&self.workspace.masker.mask(why)), talk);
    }

    fn tell(&mut self, posted: &Posted, talk: Talk) {
        if talk == Talk::Verbose {
            view::sent(posted).iter().for_each(|line| output::note(line));
        }
        if let Some(waiting) = view::waiting(posted) {
            self.warn(waiting, talk);
        }
    }

    fn warn(&mut self, warning: String, talk: Talk) {
        match talk {
            Talk::Silent => {}
            // The last one has the latest numbers.
            Talk::Mail => self.last_words = Some(warning),
            Talk::Verbose | Talk::Plain => output::note(&warning),
        }
    }
}
