//! How a check tells what it finds, and how it is heard: also when it says nothing any more.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::output::doctor::{Finding, Verdict};

/// Takes what a check finds.
#[derive(Debug, Clone)]
pub struct Tell {
    check: &'static str,
    sender: Sender<Option<Finding>>,
}

/// Gives it to whoever waits.
#[derive(Debug)]
pub struct Hear(Receiver<Option<Finding>>);

/// What was heard of a check.
#[derive(Debug)]
pub enum Heard {
    /// It found this.
    Found(Finding),
    /// That was all.
    Done,
    /// Its time is over.
    Nothing,
    /// It ended before it was done.
    Gone,
}

impl Tell {
    /// Makes both ends for a check.
    pub fn new(check: &'static str) -> (Self, Hear) {
        let (sender, receiver) = channel();
        (Self { check, sender }, Hear(receiver))
    }

    /// That is as it should be.
    pub fn ok(&self, subject: &str, found: impl Into<String>) {
        self.say(Verdict::Ok, subject, found.into(), None);
    }

    /// That could not be looked at.
    pub fn skipped(&self, subject: &str, found: impl Into<String>) {
        self.say(Verdict::Skipped, subject, found.into(), None);
    }

    /// That should be looked at.
    pub fn warn(&self, subject: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.say(Verdict::Warn, subject, found.into(), Some(remedy.into()));
    }

    /// That keeps jobs from running.
    pub fn fail(&self, subject: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.say(Verdict::Fail, subject, found.into(), Some(remedy.into()));
    }

    /// That was all.
    pub fn done(&self) {
        let _ = self.sender.send(None);
    }

    fn say(&self, status: Verdict, subject: &str, found: String, remedy: Option<String>) {
        // Nobody listens any more to a check that was given up.
        let _ = self.sender.send(Some(Finding { check: self.check.to_owned(), subject: subject.to_owned(), status, found, remedy }));
    }
}

impl Hear {
    /// Waits for the next finding until an instant.
    pub fn next(&self, until: Instant) -> Heard {
        match self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Some(finding)) => Heard::Found(finding),
            Ok(None) => Heard::Done,
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::Gone,
        }
    }
}

/// Returns the finding of a check that was given up.
pub fn hung(check: &str, limit: Duration) -> Finding {
    let found = format!("given up: it hasn't come to its end within {} s", limit.as_secs());
    let remedy = "look for a file system or a program of the system that doesn't answer (ps -eo pid,stat,wchan,args)";
    Finding { check: check.to_owned(), subject: String::new(), status: Verdict::Fail, found, remedy: Some(remedy.to_owned()) }
}

/// Returns the finding of a check that failed itself.
pub fn broken(check: &str) -> Finding {
    let remedy = "this is a fault of etlsched: please report it with what stands on standard error".to_owned();
    Finding {
        check: check.to_owned(),
        subject: String::new(),
        status: Verdict::Fail,
        found: "the check itself failed".to_owned(),
        remedy: Some(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_heard_until_it_is_done_and_silence_and_sudden_ends_are_told_apart() {
        let (tell, hear) = Tell::new("disk");
        tell.warn("a", "little", "free some");
        tell.done();
        let soon = Instant::now() + Duration::from_secs(60);
        assert!(matches!(hear.next(soon), Heard::Found(Finding { status: Verdict::Warn, .. })));
        assert!(matches!(hear.next(soon), Heard::Done));
        assert!(matches!(hear.next(Instant::now()), Heard::Nothing));
        drop(tell);
        assert!(matches!(hear.next(soon), Heard::Gone));
    }
}
