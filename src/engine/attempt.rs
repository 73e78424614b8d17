//! A source that is tried again: what an attempt leaves to the next, and when that begins. Pure.

use std::time::Duration;

use crate::job::Retry;
use crate::plan::WorkerError;
use crate::run::SourceStatus;

use super::policy::StopReason;
use super::source_run::{SourceReport, stopped};
use super::stream_run::StreamReport;
use super::workers::Ending;

impl StreamReport {
    /// Whether the next attempt leaves it alone: it is published, or trying again would end the same way.
    fn is_over(&self) -> bool {
        self.is_published() || self.error.as_ref().is_some_and(|error| !error.is_transient)
    }
}

impl SourceReport {
    /// Returns the error that may pass, of a source that has ended; `None` where nothing is to be gained by trying again.
    pub(super) fn passing_error(&self) -> Option<&WorkerError> {
        if self.status != SourceStatus::Failed || self.is_left_behind() {
            return None;
        }
        let of_streams = self.streams.iter().filter_map(|stream| stream.error.as_ref());
        // The error that asks for the longest rest is the one that is heeded.
        of_streams.chain(&self.error).filter(|error| error.is_transient).max_by_key(|error| error.retry_after)
    }

    /// Returns the streams that the next attempt leaves alone.
    pub(super) fn streams_over(&self) -> Vec<String> {
        self.streams.iter().filter(|stream| stream.is_over()).map(|stream| stream.name.clone()).collect()
    }

    /// Waits for the next attempt: to the log the source still runs, and shows why the last one failed.
    pub(super) fn pause(&mut self) {
        self.status = SourceStatus::Running;
    }

    /// Begins the next attempt, with a worker that knows nothing of the last.
    pub(super) fn begin_again(&mut self) {
        self.attempt += 1;
        self.error = None;
        self.forget_worker();
    }

    /// Ends the wait for an attempt that will not come.
    pub(super) fn give_up(&mut self, stop: &StopReason) {
        let last = self.error.take().map_or_else(String::new, |error| format!("; attempt {} had failed: {}", self.attempt, error.message));
        let mut error = stopped(stop);
        error.message = format!("{}, while it waited to be tried again{last}", error.message);
        self.status = stop.source_status();
        self.error = Some(error);
    }

    /// Takes the streams that a worker names: those that are over stay as they are, whether they are named again or not.
    pub(super) fn take_streams(&mut self, named: Vec<(String, String)>) {
        let attempt = self.attempt;
        let mut before: Vec<StreamReport> = std::mem::take(&mut self.streams).into_iter().filter(StreamReport::is_over).collect();
        for (name, target) in named {
            let known = before.iter().position(|stream| stream.name == name);
            self.streams.push(known.map_or_else(|| StreamReport::new(name, target, attempt), |place| before.remove(place)));
        }
        self.streams.append(&mut before);
    }

    /// Returns the streams that this attempt, a later one, begins.
    pub(super) fn streams_again(&self) -> impl Iterator<Item = &StreamReport> {
        self.streams.iter().filter(|stream| self.attempt > 1 && stream.attempt == self.attempt)
    }

    /// Adds what a worker used to what those before it did.
    pub(super) fn add_usage(&mut self, ending: &Ending) {
        if let Some(ended) = ending.process {
            self.usage.cpu_seconds += ended.usage.cpu_seconds;
            self.usage.peak_memory_mb = self.usage.peak_memory_mb.max(ended.usage.peak_memory_mb);
        }
    }
}

/// Returns how long to wait after so many attempts: `fraction` (0 to 1, random: "full jitter") of a delay that doubles up to its cap, and
/// never less than the other side asks for.
pub(super) fn delay(retry: Retry, attempts: u32, fraction: f64, asked: Option<Duration>) -> Duration {
    let Retry { max_retries: _, delay_seconds, delay_max_seconds } = retry;
    let doubled = f64::from(delay_seconds) * 2_f64.powi(i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX).min(64));
    let span = Duration::from_secs_f64(doubled.min(f64::from(delay_max_seconds)) * fraction.clamp(0.0, 1.0));
    asked.map_or(span, |asked| asked.max(span))
}

/// Returns a number from 0 to 1 that nobody can foretell. 48 bits of a random UUID are enough to keep hosts apart.
pub(super) fn fraction() -> f64 {
    let random = uuid::Uuid::new_v4();
    let (.., node) = random.as_fields();
    let bits = node.iter().skip(2).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    bits as f64 / (1_u64 << 48) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { max_retries: 9, delay_seconds: 30, delay_max_seconds: 600 };

    #[test]
    fn the_delay_doubles_up_to_its_cap() {
        let seconds: Vec<u64> = (1..=8).map(|attempts| delay(RETRY, attempts, 1.0, None).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 600, 600, 600]);
        assert_eq!(delay(RETRY, u32::MAX, 1.0, None), Duration::from_secs(600));
        assert_eq!(delay(Retry { delay_seconds: 0, ..RETRY }, 3, 1.0, None), Duration::ZERO);
    }

    #[test]
    fn full_jitter_takes_any_part_of_it() {
        assert_eq!(delay(RETRY, 2, 0.0, None), Duration::ZERO);
        assert_eq!(delay(RETRY, 2, 0.5, None), Duration::from_secs(30));
        let fractions: Vec<f64> = (0..200).map(|_| fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)), "{fractions:?}");
        let low = fractions.iter().filter(|fraction| **fraction < 0.5).count();
        assert!((60..140).contains(&low), "{low} of 200 are below a half");
    }

    #[test]
    fn the_other_side_is_left_alone_as_long_as_it_asks_whatever_the_cap() {
        assert_eq!(delay(RETRY, 1, 0.0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(delay(RETRY, 1, 1.0, Some(Duration::from_secs(7))), Duration::from_secs(30));
        assert_eq!(delay(RETRY, 1, 1.0, Some(Duration::from_secs(3600))), Duration::from_secs(3600));
    }
}
