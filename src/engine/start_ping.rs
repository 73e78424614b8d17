//! Tells a job's healthcheck that a run has begun: beside the run, which neither waits for it nor fails with it.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::notify::healthcheck::{self, Signal};
use crate::secret::Secret;

/// How long the ping may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A ping on its way.
#[derive(Debug)]
pub(super) struct StartPing {
    done: Receiver<()>,
    until: Instant,
}

impl StartPing {
    /// Pings; nothing where the job has no URL for it, or the system starts no more threads.
    pub(super) fn begin(url: Option<&Secret>) -> Option<Self> {
        let url = url.filter(|url| !url.expose().is_empty())?.clone();
        let (sender, done) = mpsc::channel();
        let ping = thread::Builder::new().name("start ping".to_owned()).spawn(move || {
            // Nobody is told where it fails: the end of the run pings again, and that one is kept until it goes.
            let _ = healthcheck::ping(url.expose(), Signal::Start, "", TIMEOUT);
            let _ = sender.send(());
        });
        ping.ok().map(|_| Self { done, until: Instant::now() + TIMEOUT })
    }

    /// Waits until it is over, since the ping of the run's end must not come before it.
    pub(super) fn wait(self) {
        let _ = self.done.recv_timeout(self.until.saturating_duration_since(Instant::now()));
    }
}
