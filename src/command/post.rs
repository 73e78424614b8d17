//! What the commands that run jobs share when people are to be told: sending what waits, for a limited time. Never changes what a run ended
//! with. No command itself.

use std::time::{Duration, Instant};

use super::stored;
use crate::engine::{self, Posted};
use crate::output::{self, post as view};
use crate::process::Stop;
use crate::state::Store;
use crate::workspace::Workspace;

/// How long letters are sent after all the runs of a command together; with the 5 s that a healthcheck's first ping may take 30 s (P18).
const TIME: Duration = Duration::from_secs(25);

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// What was sent, and what waits.
    Verbose,
    /// What waits.
    Plain,
    /// Nothing: nobody looks, and nothing else failed.
    Silent,
}

/// Sends letters while there is time.
#[derive(Debug)]
pub(super) struct Post<'a> {
    workspace: &'a Workspace,
    left: Duration,
}

impl<'a> Post<'a> {
    pub(super) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, left: TIME }
    }

    /// Sends what is due after a run.
    pub(super) fn send(&mut self, stop: &Stop, voice: Voice) {
        match stored::open(self.workspace) {
            Ok(mut store) => self.send_from(&mut store, stop, voice),
            Err(failure) => self.tell_trouble(&failure.message, voice),
        }
    }

    /// As [`Post::send`], from a store that is open.
    pub(super) fn send_from(&mut self, store: &mut Store, stop: &Stop, voice: Voice) {
        let began = Instant::now();
        let posted = engine::send_waiting(self.workspace, store, self.left, stop);
        self.left = self.left.saturating_sub(began.elapsed());
        match posted {
            Ok(posted) => tell(&posted, voice),
            Err(error) => self.tell_trouble(&error.to_string(), voice),
        }
    }

    fn tell_trouble(&self, why: &str, voice: Voice) {
        if voice != Voice::Silent {
            output::note(&view::unknown(&self.workspace.masker.mask(why)));
        }
    }
}

fn tell(posted: &Posted, voice: Voice) {
    let sent = if voice == Voice::Verbose { view::sent(posted) } else { Vec::new() };
    let waiting = view::waiting(posted).filter(|_| voice != Voice::Silent);
    for line in sent.iter().chain(&waiting) {
        output::note(line);
    }
}
