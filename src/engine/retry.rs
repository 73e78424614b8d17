//! Tries sources again: when, and what may begin at all. The rules are in `attempt.rs`.

use std::time::Instant;

use crate::plan::{Level, WorkerError};
use crate::run::SourceStatus;

use super::attempt;
use super::observer::Notice;
use super::policy::StopReason;
use super::supervisor::{Stage, Supervisor};

impl Supervisor<'_> {
    /// Lets a source that has just failed wait for its next attempt; returns false where there is none.
    pub(super) fn pause(&mut self, index: usize) -> bool {
        let retry = self.frame.job.retry;
        let source = &self.sources[index];
        let attempts_max = retry.max_retries.saturating_add(1);
        let Some(error) = source.passing_error().filter(|_| self.stop.is_none() && self.frame.dry_run.is_none()).cloned() else {
            return false;
        };
        let name = source.name.clone();
        if source.attempt >= attempts_max {
            return false;
        }
        let delay = attempt::delay(retry, source.attempt, attempt::fraction(), error.retry_after);
        let begins_at = Instant::now() + delay;
        if let (Some(deadline), Some(asked)) = (self.deadline, error.retry_after)
            && begins_at >= deadline
        {
            let seconds = asked.as_secs();
            let text = format!("not tried again: the other side asks for {seconds} s, which is beyond the run's time limit");
            self.tell(Level::Warn, Some(&name), &text);
            return false;
        }
        let text = format!(
            "attempt {} of {attempts_max} failed ({}): {}; the next one begins in {:.1} s",
            source.attempt,
            error.code,
            error.message,
            delay.as_secs_f64()
        );
        self.journal.log(Level::Warn, Some(&name), None, &text);
        self.observer.notice(&Notice::SourcePaused { source, error: &error, delay, attempts_max });
        self.sources[index].pause();
        self.posts[index].stage = Stage::Paused(begins_at);
        self.journal.source_changed(index, &self.sources[index]);
        true
    }

    /// Leaves the reason of a source that has failed in the log: each of its streams that failed has one, or it has one itself.
    pub(super) fn log_reasons(&mut self, index: usize) {
        let source = &self.sources[index];
        if source.status != SourceStatus::Failed {
            return;
        }
        let attempts_max = self.frame.job.retry.max_retries.saturating_add(1);
        let what = match source.attempt {
            last if last == attempts_max && last > 1 => format!("attempt {last} of {attempts_max} failed, the last"),
            _ => "failed".to_owned(),
        };
        let said = |error: &WorkerError| format!("{what} ({}): {}", error.code, error.message);
        let of_streams = source.streams.iter().filter(|stream| stream.status == SourceStatus::Failed);
        let mut reasons: Vec<(Option<&str>, String)> =
            of_streams.filter_map(|stream| Some((Some(stream.name.as_str()), said(stream.error.as_ref()?)))).collect();
        if reasons.is_empty() {
            reasons.extend(source.error.as_ref().map(|error| (None, said(error))));
        }
        for (stream, text) in reasons {
            self.journal.log(Level::Error, Some(&source.name), stream, &text);
        }
    }

    /// Returns when the next attempt of any source is due.
    pub(super) fn next_attempt_at(&self) -> Option<Instant> {
        self.posts
            .iter()
            .filter_map(|post| match post.stage {
                Stage::Paused(until) => Some(until),
                Stage::Queued | Stage::AtWork | Stage::Over => None,
            })
            .min()
    }

    /// Lets sources whose wait is over queue for a worker.
    pub(super) fn queue_due_attempts(&mut self, now: Instant) {
        for (index, post) in self.posts.iter_mut().enumerate() {
            if matches!(post.stage, Stage::Paused(until) if until <= now) {
                post.stage = Stage::Queued;
                self.waiting.push_back(index);
            }
        }
    }

    /// Whether a further attempt may begin: only under a lease that was renewed here and now.
    pub(super) fn may_begin_again(&mut self, index: usize) -> bool {
        let reason = match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Some(StopReason::Timeout(self.times.timeout)),
            _ => self.journal.renew().err(),
        };
        if let Some(reason) = reason {
            self.waiting.push_front(index);
            self.stop(reason);
            self.begin_nothing_more();
            return false;
        }
        self.sources[index].begin_again();
        let text = format!("attempt {} begins", self.sources[index].attempt);
        self.journal.log(Level::Info, Some(&self.sources[index].name), None, &text);
        true
    }

    /// Ends what has no worker, once the run is to stop: what was never begun is skipped, a wait is given up.
    pub(super) fn begin_nothing_more(&mut self) {
        let Some(stop) = self.stop.clone() else { return };
        self.waiting.clear();
        for index in 0..self.posts.len() {
            let post = &self.posts[index];
            match (post.stage, post.started) {
                (Stage::Queued, None) => self.sources[index].skip(),
                (Stage::Queued | Stage::Paused(_), _) => self.sources[index].give_up(&stop),
                (Stage::AtWork | Stage::Over, _) => continue,
            }
            self.sources[index].duration_seconds = self.posts[index].started.map_or(0.0, |started| started.elapsed().as_secs_f64());
            self.end(index);
        }
    }
}
