//! Whether a run's end is news, and what is remembered of it: by what the job asks to be told, how often, and what was told before. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::{Notifications, Repeat};
use crate::notify::Kind;
use crate::notify::message::log_time;
use crate::run::{RunStatus, SourceStatus};
use crate::state::{ClosedRun, JobStatus, Told};
use crate::text::shortened;
use crate::zone::Zone;

use super::causes::Found;

/// How long a change of columns is remembered: one that a source makes and takes back again and again is told once.
const CHANGES_REMEMBERED: TimeDelta = TimeDelta::days(30);

/// PostgreSQL's indexes take rows of at most 2,704 bytes, and a key holds more than the cause.
const KEY_BYTES_MAX: usize = 400;

/// How much of a longer cause is remembered as it is, beside its digest: at most 4 bytes each.
const KEY_CHARACTERS: usize = 80;

/// What the causes begin with of runs whose process was killed.
const INTERRUPTED: &str = "interrupted";

/// A run's end, and what it is judged by.
pub(super) struct Judged<'a> {
    pub(super) run: &'a ClosedRun,
    pub(super) rules: &'a Notifications,
    /// The job's zone, whose days are those of `daily`.
    pub(super) zone: Zone,
    pub(super) failure_threshold: u32,
    /// The names of the job's sources.
    pub(super) sources: &'a [String],
    pub(super) causes: &'a [Found],
    /// What changed in the targets' columns.
    pub(super) changes: &'a [String],
}

/// What is told, and what is remembered or over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct News {
    pub(super) kinds: Vec<Kind>,
    pub(super) told: Vec<Told>,
    pub(super) over: Vec<(String, String)>,
    /// Why nobody is told that the run failed, where nobody is.
    pub(super) silence: Option<String>,
}

/// Says what of a run's end is told. A run that was cancelled is nobody's news.
pub(super) fn news(judged: &Judged<'_>) -> News {
    let mut news = News::default();
    match judged.run.detail.run.status {
        RunStatus::Success => judged.good(&mut news),
        RunStatus::Failed | RunStatus::Timeout => judged.bad(&mut news),
        RunStatus::Cancelled | RunStatus::Started | RunStatus::Running => return news,
    }
    judged.changed(&mut news);
    judged.rejected(&mut news);
    news
}

impl Judged<'_> {
    fn good(&self, news: &mut News) {
        let failures: Vec<&Told> = self.told(Kind::Failure).collect();
        let is_over = self.run.sources_failing.is_empty() && failures.iter().all(|told| self.is_mended(told));
        if is_over {
            let soon = self.told(Kind::DisabledSoon);
            news.over.extend(failures.iter().copied().chain(soon).map(|told| (told.kind.clone(), told.cause.clone())));
        }
        if is_over && !failures.is_empty() && self.rules.tells(Kind::Recovery) {
            news.kinds.push(Kind::Recovery);
        } else if self.rules.tells(Kind::Success) {
            news.kinds.push(Kind::Success);
        }
    }

    /// Whether what was told of sources is over, as no source fails after the run: `--source` may have left them out, but then runs before it
    /// refreshed them. That isn't known of a run that was killed, nor of what failed before somebody enabled the job: this run must refresh it.
    fn is_mended(&self, told: &Told) -> bool {
        let sources = &told.sources;
        let is_counted = !told.cause.starts_with(INTERRUPTED) && self.is_of_now(told);
        let processed = &self.run.detail.run.summary.sources_processed;
        let is_whole = self.run.detail.sources.iter().all(|source| self.sources.contains(&source.source))
            && self.sources.iter().all(|name| self.run.detail.sources.iter().any(|source| source.source == *name));
        let mut own = sources.iter().filter(|name| self.sources.contains(name));
        is_whole || !sources.is_empty() && (is_counted || own.all(|name| processed.contains(name)))
    }

    fn bad(&self, news: &mut News) {
        let is_disabled = self.run.status_before != JobStatus::Error && self.run.status_after == JobStatus::Error;
        let is_soon = !is_disabled && self.is_disabled_soon();
        let keys = || self.causes.iter().flat_map(|found| &found.keys);
        let is_due = self.is_due(Kind::Failure, keys().map(|(key, _)| key.as_str()));
        let kind = if is_disabled && self.rules.tells(Kind::Disabled) {
            Kind::Disabled
        } else if is_soon && self.rules.tells(Kind::DisabledSoon) {
            Kind::DisabledSoon
        } else if self.rules.tells(Kind::Failure) && is_due {
            Kind::Failure
        } else {
            news.silence = self.silence(keys().map(|(key, _)| key.as_str()));
            return;
        };
        news.kinds.push(kind);
        news.told.extend(keys().map(|(cause, sources)| self.remembered(Kind::Failure, cause, sources.clone())));
        if kind == Kind::DisabledSoon {
            news.told.push(self.remembered(kind, "", Vec::new()));
        }
    }

    /// Says why nobody is told of these causes.
    fn silence<'a>(&self, causes: impl Iterator<Item = &'a str>) -> Option<String> {
        if !self.rules.tells(Kind::Failure) {
            return Some("nobody was told of the failure: notify_on_failure is false".to_owned());
        }
        let known = causes.filter_map(|cause| self.told(Kind::Failure).find(|told| told.cause == key(cause)));
        let last = known.map(|told| told.at).max()?;
        let repeat = if self.rules.repeat == Repeat::Daily { "daily" } else { "first" };
        Some(format!("nobody was told of the failure again: the same was told at {} (notify_repeat: {repeat})", log_time(last, self.zone)))
    }

    /// Whether one more failure puts the job into `error`, and nobody was told so since its count began.
    fn is_disabled_soon(&self) -> bool {
        let failures = self.run.consecutive_failures;
        let is_near = failures > 0 && failures + 1 == u64::from(self.failure_threshold);
        is_near && self.run.status_after == JobStatus::Active && !self.told(Kind::DisabledSoon).any(|told| self.is_of_now(told))
    }

    fn changed(&self, news: &mut News) {
        if self.changes.is_empty() || !self.rules.tells(Kind::SchemaChange) {
            return;
        }
        let is_known = |change: &String| {
            let cause = key(change);
            let known = self.told(Kind::SchemaChange).find(|told| told.cause == cause);
            self.rules.repeat != Repeat::All && known.is_some_and(|told| self.run.now - told.at < CHANGES_REMEMBERED)
        };
        if self.changes.iter().all(is_known) {
            return;
        }
        news.kinds.push(Kind::SchemaChange);
        news.told.extend(self.changes.iter().map(|change| self.remembered(Kind::SchemaChange, change, Vec::new())));
    }

    /// A source without a rejected row ends what was told of it.
    fn rejected(&self, news: &mut News) {
        let published = || self.run.detail.sources.iter().filter(|source| source.status == SourceStatus::Success);
        let clean = published().filter(|source| source.counts.rejected == 0);
        let is_told = |name: &str| self.told(Kind::RejectedRows).any(|told| told.cause == key(name));
        let over = clean.filter(|source| is_told(&source.source));
        news.over.extend(over.map(|source| (Kind::RejectedRows.as_str().to_owned(), key(&source.source))));
        let names: Vec<&str> = published().filter(|source| source.counts.rejected > 0).map(|source| source.source.as_str()).collect();
        let is_due = !names.is_empty() && self.rules.tells(Kind::RejectedRows) && self.is_due(Kind::RejectedRows, names.iter().copied());
        if is_due {
            // The message of the failure says it too.
            if !news.kinds.iter().any(|kind| matches!(kind, Kind::Failure | Kind::Disabled | Kind::DisabledSoon)) {
                news.kinds.push(Kind::RejectedRows);
            }
            news.told.extend(names.iter().map(|name| self.remembered(Kind::RejectedRows, name, vec![(*name).to_owned()])));
        }
    }

    /// Whether any of these causes is to be told now.
    fn is_due<'a>(&self, kind: Kind, mut causes: impl Iterator<Item = &'a str>) -> bool {
        causes.any(|cause| {
            let known = self.told(kind).find(|told| told.cause == key(cause) && self.is_of_now(told));
            match (self.rules.repeat, known) {
                (Repeat::All, _) | (_, None) => true,
                (Repeat::First, Some(_)) => false,
                (Repeat::Daily, Some(told)) => self.day(told.at) != self.day(self.run.now),
            }
        })
    }

    /// Whether something was told since the job's status was changed: whoever enabled it has begun anew.
    fn is_of_now(&self, told: &Told) -> bool {
        told.at >= self.run.status_changed_at || self.run.status_before != self.run.status_after
    }

    /// The days since 1970 by the job's zone.
    fn day(&self, instant: DateTime<Utc>) -> i64 {
        let seconds = instant.timestamp();
        (seconds + i64::from(self.zone.offset_at(seconds))).div_euclid(86_400)
    }

    fn told(&self, kind: Kind) -> impl Iterator<Item = &Told> {
        self.run.told.iter().filter(move |told| told.kind == kind.as_str())
    }

    fn remembered(&self, kind: Kind, cause: &str, sources: Vec<String>) -> Told {
        Told { kind: kind.as_str().to_owned(), cause: key(cause), sources, at: self.run.now }
    }
}

/// Returns what a cause is remembered by: a long one by its beginning and a digest, since it stands in an index.
fn key(cause: &str) -> String {
    if cause.len() <= KEY_BYTES_MAX {
        return cause.to_owned();
    }
    format!("{} #{}", shortened(cause, KEY_CHARACTERS), &blake3::hash(cause.as_bytes()).to_hex()[..32])
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
