//! When a request is made, and made again: the pace that a connection sets, what servers ask for, and how long waits grow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::Headers;
use crate::plan::api::RateLimit;

/// How often a sleeping client looks whether it must stop.
const LOOK: Duration = Duration::from_millis(50);

/// The limits of requests and answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// How often a request is made in all.
    pub tries: u32,
    /// The longest first wait; it doubles from try to try.
    pub backoff: Duration,
    /// The longest wait that isn't asked for.
    pub backoff_max: Duration,
    /// The longest wait that a server may ask for; a longer one is the run's matter.
    pub retry_after_max: Duration,
    /// The longest wait of all tries together.
    pub waits_max: Duration,
    /// How much of an answer is kept in memory until it is whole; the rest of a longer one is kept in a file.
    pub held_bytes_max: usize,
    /// Whether an answer is whole before it is handed over, so that one that is cut is asked for again.
    pub is_whole: bool,
    /// The most bytes of an answer, decompressed.
    pub body_bytes_max: u64,
    /// From this size on the ratio is looked at.
    pub ratio_bytes_min: u64,
    /// How often an answer may be larger than it was sent: JSON of zeros reaches 100, a bomb 1,000.
    pub ratio_max: u64,
    /// How long waiting for an answer's bytes may take in all ...
    pub answer_time: Duration,
    /// ... and longer, where it comes at least so fast.
    pub bytes_per_second_min: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tries: 5,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(300),
            waits_max: Duration::from_secs(600),
            held_bytes_max: 1 << 20,
            is_whole: true,
            body_bytes_max: 1 << 30,
            ratio_bytes_min: 64 << 20,
            ratio_max: 500,
            answer_time: Duration::from_secs(600),
            bytes_per_second_min: 16 << 10,
        }
    }
}

/// What sleeps.
type Sleep = Box<dyn FnMut(Duration, &AtomicBool) + Send>;

/// Clocks, chance and sleep, so that tests needn't wait.
pub(super) struct Timing {
    /// Sleeps, until the flag is raised.
    pub sleep: Sleep,
    /// Returns a time that never goes back.
    pub elapsed: Box<dyn Fn() -> Instant + Send>,
    /// Returns the wall clock.
    pub now: Box<dyn Fn() -> DateTime<Utc> + Send>,
    /// Returns a number from 0 to 1 by chance.
    pub chance: Box<dyn FnMut() -> f64 + Send>,
}

impl Default for Timing {
    fn default() -> Self {
        let chance = || f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        Self { sleep: Box::new(sleep), elapsed: Box::new(Instant::now), now: Box::new(crate::clock::now), chance: Box::new(chance) }
    }
}

fn sleep(wait: Duration, stop: &AtomicBool) {
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

impl Policy {
    /// Returns how long to wait before a try: by chance up to a limit that doubles, but no shorter than the server asks.
    pub fn wait(&self, tries: u32, asked: Option<Duration>, chance: f64) -> Duration {
        let limit = self.backoff.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(self.backoff_max);
        asked.unwrap_or_default().max(limit.mul_f64(chance.clamp(0.0, 1.0)))
    }
}

/// Returns how long a server asks to wait: by `Retry-After`, or until its own limit is over where it says that nothing remains.
pub fn asked(headers: &Headers, now: DateTime<Utc>) -> Option<Duration> {
    // By the server's own clock, which needn't be ours.
    let now = headers.get("date").and_then(date).unwrap_or(now);
    let until = |instant: DateTime<Utc>| (instant - now).to_std().unwrap_or_default();
    if let Some(value) = headers.get("retry-after") {
        return value.parse().ok().map(Duration::from_secs).or_else(|| date(value).map(until));
    }
    if !is_exhausted(headers) {
        return None;
    }
    let reset = ["x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"].iter().find_map(|name| headers.get(name))?;
    let number: f64 = reset.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    // A count of seconds, or an instant in seconds or milliseconds since 1970: servers differ, but no limit lasts thirty years.
    match number {
        seconds if seconds < 1e9 => Some(Duration::from_secs_f64(seconds)),
        seconds if seconds < 1e11 => DateTime::from_timestamp(seconds as i64 + 1, 0).map(until),
        milliseconds => DateTime::from_timestamp_millis(milliseconds as i64 + 1).map(until),
    }
}

/// Whether a server says that it answers no more for now.
pub(super) fn is_exhausted(headers: &Headers) -> bool {
    let names = ["x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining"];
    names.iter().find_map(|name| headers.get(name)) == Some("0")
}

/// Reads a date of HTTP in its three forms (RFC 9110, 5.6.7).
fn date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|date| date.and_utc())
}

/// Keeps to so many requests in so many seconds, in every span of that length: requests count from when they were answered, which is
/// when the server has counted them.
#[derive(Debug)]
pub(super) struct Pace {
    limit: RateLimit,
    answered: VecDeque<Instant>,
}

impl Pace {
    /// Begins with nothing asked.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, answered: VecDeque::new() }
    }

    /// Returns how long to wait before the next request.
    pub fn wait(&self, now: Instant) -> Duration {
        let span = Duration::from_secs(self.limit.seconds.max(1).into());
        if self.answered.len() < self.limit.requests.max(1) as usize {
            return Duration::ZERO;
        }
        self.answered.front().map_or(Duration::ZERO, |oldest| (*oldest + span).saturating_duration_since(now))
    }

    /// Notes that a request was answered.
    pub fn note(&mut self, now: Instant) {
        if self.answered.len() >= self.limit.requests.max(1) as usize {
            self.answered.pop_front();
        }
        self.answered.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-10-21T07:28:00Z";

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Option<u64>) {
        let headers = Headers::new(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        assert_eq!(asked(&headers, NOW.parse().unwrap()), expected.map(Duration::from_secs), "{headers:?}");
    }

    #[test]
    fn servers_say_how_long_to_wait_in_many_ways() {
        check(&[("Retry-After", "120")], Some(120));
        check(&[("Retry-After", "Wed, 21 Oct 2026 07:29:00 GMT")], Some(60));
        check(&[("Retry-After", "Wednesday, 21-Oct-26 07:29:00 GMT")], Some(60));
        check(&[("Retry-After", "Wed Oct 21 07:29:00 2026")], Some(60));
        // A server whose clock is an hour behind.
        check(&[("Retry-After", "Wed, 21 Oct 2026 06:29:00 GMT"), ("Date", "Wed, 21 Oct 2026 06:28:00 GMT")], Some(60));
        check(&[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(0));
        check(&[("Retry-After", "soon")], None);
        check(&[("Retry-After", "-1")], None);
        check(&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1792567740")], Some(61));
        check(&[("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")], Some(30));
        check(&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1792567739999")], Some(60));
        check(&[("X-RateLimit-Remaining", "3"), ("X-RateLimit-Reset", "1792567740")], None);
        check(&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "NaN")], None);
    }

    #[test]
    fn waits_grow_with_chance_and_are_never_shorter_than_asked() {
        let policy = Policy::default();
        let seconds = |tries, asked: Option<u64>, chance| policy.wait(tries, asked.map(Duration::from_secs), chance).as_secs();
        assert_eq!([1, 2, 3, 4, 9].map(|tries| seconds(tries, None, 1.0)), [1, 2, 4, 8, 30]);
        assert_eq!(seconds(4, None, 0.0), 0);
        assert_eq!(seconds(1, Some(7), 1.0), 7);
    }

    #[test]
    fn no_span_sees_more_requests_than_the_limit() {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(RateLimit { requests: 3, seconds: 10 });
        let mut sent = Vec::new();
        for _ in 0..10 {
            now += pace.wait(now);
            sent.push((now - start).as_millis());
            now += Duration::from_millis(100);
            pace.note(now);
        }
        for window in sent.windows(4) {
            assert!(window[3] - window[0] >= 10_000, "{sent:?}");
        }
        assert_eq!(sent[..4], [0, 100, 200, 10_100]);
    }
}
