//! Coming load from schedules and expected durations: how much runs when, which jobs run at once, and a stagger that parts them. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use super::Schedule;
use crate::zone::Zone;

/// A job with the time that a run of it is expected to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its id.
    pub job: String,
    /// When it is due.
    pub schedule: Schedule,
    /// The zone of its schedule.
    pub zone: Zone,
    /// How long a run takes; at least a second is reckoned with.
    pub duration: TimeDelta,
}

/// What comes in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Every hour of the span, in order.
    pub hours: Vec<Hour>,
    /// Which jobs run at once, those that do so longest first.
    pub overlaps: Vec<Overlap>,
    /// Jobs that are due again before a run of them ends, in the order given.
    pub overruns: Vec<String>,
    /// The time in which a run shares the machine with others, each of the others counted.
    pub shared: TimeDelta,
}

/// An hour's load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hour {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// How many runs start in it.
    pub starts: u64,
    /// The time that runs take in it, added up.
    pub busy: TimeDelta,
    /// The most runs at one instant of it.
    pub most_at_once: u64,
}

/// Jobs that run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Their ids, in the alphabet's order.
    pub jobs: Vec<String>,
    /// When they first do.
    pub first_at: DateTime<Utc>,
    /// How often.
    pub times: u64,
    /// The time in which two of them or more run, added up.
    pub shared: TimeDelta,
}

/// A change of a job's `minute` that takes its runs out of the others' way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The job's place in the list given.
    pub index: usize,
    /// Its `minute` now.
    pub from: u8,
    /// The one proposed.
    pub to: u8,
}

/// A run that is to come.
struct ComingRun {
    job: usize,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// Foretells the span from `from` (counted in) to `until` (not), hour by hour.
pub fn forecast(jobs: &[Expected], from: DateTime<Utc>, until: DateTime<Utc>) -> Forecast {
    let mut result = Forecast::default();
    let mut runs = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let slots = job.schedule.between(job.zone, from, until);
        let duration = job.duration.max(TimeDelta::milliseconds(1));
        let mut is_overrun = false;
        for (at, slot) in slots.iter().enumerate() {
            let next = slots.get(at + 1).map_or(DateTime::<Utc>::MAX_UTC, |next| next.at);
            is_overrun |= slot.at + duration > next;
            runs.push(ComingRun { job: index, start: slot.at, end: (slot.at + duration).min(next) });
        }
        if is_overrun {
            result.overruns.push(job.job.clone());
        }
    }
    runs.sort_by_key(|run| (run.start, run.job));
    result.hours = hours(&runs, from, until);
    (result.overlaps, result.shared) = overlaps(jobs, &runs);
    result
}

fn hours(runs: &[ComingRun], from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Hour> {
    let first = from.duration_trunc(TimeDelta::hours(1)).unwrap_or(from);
    let hour_of = |at: DateTime<Utc>| usize::try_from((at - first).num_hours()).unwrap_or(0);
    let begin = |index: usize| first + TimeDelta::hours(i64::try_from(index).unwrap_or(i64::MAX));
    let mut found: Vec<Hour> =
        (0..).map(begin).take_while(|at| *at < until).map(|at| Hour { at, starts: 0, busy: TimeDelta::zero(), most_at_once: 0 }).collect();
    // The most at once is reached where a run begins, or goes on from the hour before.
    let mut ends = BinaryHeap::new();
    for run in runs {
        while ends.peek().is_some_and(|Reverse(end)| *end <= run.start) {
            ends.pop();
        }
        ends.push(Reverse(run.end));
        let (start, end) = (hour_of(run.start), hour_of(run.end - TimeDelta::nanoseconds(1)));
        found[start].starts += 1;
        found[start].most_at_once = found[start].most_at_once.max(ends.len() as u64);
        for hour in found.iter_mut().take(end + 1).skip(start) {
            hour.busy += run.end.min(hour.at + TimeDelta::hours(1)) - run.start.max(hour.at);
        }
    }
    let mut going_on = vec![0; found.len()];
    for run in runs {
        let (start, end) = (hour_of(run.start), hour_of(run.end - TimeDelta::nanoseconds(1)));
        going_on.iter_mut().take(end + 1).skip(start + 1).for_each(|count| *count += 1);
    }
    for (hour, count) in found.iter_mut().zip(going_on) {
        hour.most_at_once = hour.most_at_once.max(count);
    }
    found
}

/// Spans in which two runs or more go on without a pause are one overlap of all the jobs in them.
fn overlaps(jobs: &[Expected], runs: &[ComingRun]) -> (Vec<Overlap>, TimeDelta) {
    let mut events: Vec<(DateTime<Utc>, bool, usize)> = Vec::with_capacity(runs.len() * 2);
    for run in runs {
        events.push((run.start, true, run.job));
        events.push((run.end, false, run.job));
    }
    // Ends come before starts: a run that begins as another ends doesn't share anything with it.
    events.sort_unstable();
    let mut found: BTreeMap<Vec<String>, Overlap> = BTreeMap::new();
    let mut running: Vec<usize> = Vec::new();
    let mut cluster: Option<(DateTime<Utc>, Vec<usize>)> = None;
    let (mut shared, mut since) = (TimeDelta::zero(), DateTime::<Utc>::MIN_UTC);
    for (at, is_start, job) in events {
        if running.len() > 1 {
            shared += (at - since) * i32::try_from(running.len() - 1).unwrap_or(i32::MAX);
        }
        since = at;
        if is_start {
            running.push(job);
        } else if let Some(place) = running.iter().position(|other| *other == job) {
            running.swap_remove(place);
        }
        match (&mut cluster, running.len()) {
            (None, 2..) => cluster = Some((at, running.clone())),
            (Some((_, members)), 2..) if is_start => members.push(job),
            (Some(_), 0 | 1) => {
                if let Some((first, members)) = cluster.take() {
                    note(&mut found, jobs, members, first, at);
                }
            }
            (None, 0 | 1) | (Some(_), _) => {}
        }
    }
    let mut found: Vec<Overlap> = found.into_values().collect();
    found.sort_by(|left, right| right.shared.cmp(&left.shared).then(left.first_at.cmp(&right.first_at)).then(left.jobs.cmp(&right.jobs)));
    (found, shared)
}

fn note(found: &mut BTreeMap<Vec<String>, Overlap>, jobs: &[Expected], members: Vec<usize>, first: DateTime<Utc>, end: DateTime<Utc>) {
    let mut names: Vec<String> = members.into_iter().map(|index| jobs[index].job.clone()).collect();
    names.sort();
    names.dedup();
    let overlap =
        found.entry(names.clone()).or_insert_with(|| Overlap { jobs: names, first_at: first, times: 0, shared: TimeDelta::zero() });
    overlap.times += 1;
    overlap.shared += end - first;
}

/// Proposes other `minute`s for the jobs that have one, so that runs share less time; none where that can't be had. Jobs that take longest stay
/// where they are, and a job moves as little as it has to.
pub fn stagger(jobs: &[Expected], from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Move> {
    let minutes = usize::try_from((until - from).num_minutes()).unwrap_or(0) + 1;
    let mut busy = vec![0_u32; minutes];
    let spans: Vec<Vec<(i64, i64)>> = jobs.iter().map(|job| spans(job, from, until)).collect();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let length = |index: usize| spans[index].iter().map(|(start, end)| end - start).sum::<i64>();
    // Jobs that can't be moved come first, then the heaviest.
    order.sort_by_key(|index| (jobs[*index].schedule.minute().is_some(), -length(*index), *index));
    let mut moves = Vec::new();
    for index in order {
        let shift = match jobs[index].schedule.minute() {
            None => 0,
            Some((minute, period)) => {
                let to = best_minute(&busy, &spans[index], minute, period);
                if to != minute {
                    moves.push(Move { index, from: minute, to });
                }
                i64::from(to) - i64::from(minute)
            }
        };
        for cell in cells(&spans[index], shift, busy.len()) {
            busy[cell] += 1;
        }
    }
    let moved = with_moves(jobs, &moves);
    let is_better = forecast(&moved, from, until).shared < forecast(jobs, from, until).shared;
    moves.sort_by_key(|change| change.index);
    if is_better { moves } else { Vec::new() }
}

/// Returns the jobs as they would be.
pub fn with_moves(jobs: &[Expected], moves: &[Move]) -> Vec<Expected> {
    let mut jobs = jobs.to_vec();
    for change in moves {
        jobs[change.index].schedule = jobs[change.index].schedule.at_minute(change.to);
    }
    jobs
}

/// The minutes of the span in which a job runs, as (first, behind the last).
fn spans(job: &Expected, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<(i64, i64)> {
    let length = (job.duration.num_seconds().max(1) + 59) / 60;
    let starts = job.schedule.between(job.zone, from, until);
    starts.iter().map(|slot| (slot.at - from).num_minutes()).map(|start| (start, start + length)).collect()
}

fn cells(spans: &[(i64, i64)], shift: i64, count: usize) -> impl Iterator<Item = usize> {
    let cells = spans.iter().flat_map(move |(start, end)| start + shift..end + shift);
    cells.filter_map(|cell| usize::try_from(cell).ok()).filter(move |cell| *cell < count)
}

/// The minute with the least time shared; of several the one nearest to the present one, later before earlier.
fn best_minute(busy: &[u32], spans: &[(i64, i64)], minute: u8, period: u8) -> u8 {
    let cost = |to: u8| -> u64 { cells(spans, i64::from(to) - i64::from(minute), busy.len()).map(|cell| u64::from(busy[cell])).sum() };
    let distance = |to: u8| (to.abs_diff(minute), to < minute);
    (0..period).min_by_key(|to| (cost(*to), distance(*to))).unwrap_or(minute)
}

impl Schedule {
    /// Returns the `minute` of a kind that has one, and how many there are to choose from.
    pub fn minute(&self) -> Option<(u8, u8)> {
        match self {
            Self::Interval { every_minutes, minute } => Some((*minute, *every_minutes)),
            Self::Daily(time) | Self::Weekly(_, time) | Self::Monthly(_, _, time) => Some((time.minute, 60)),
            Self::Cron(_) | Self::Manual => None,
        }
    }

    /// Returns the schedule with another `minute`, where its kind has one.
    #[must_use]
    pub fn at_minute(&self, to: u8) -> Self {
        let mut moved = self.clone();
        match &mut moved {
            Self::Interval { minute, .. } => *minute = to,
            Self::Daily(time) | Self::Weekly(_, time) | Self::Monthly(_, _, time) => time.minute = to,
            Self::Cron(_) | Self::Manual => {}
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::super::TimeOfDay;
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn job(name: &str, schedule: Schedule, minutes: i64) -> Expected {
        Expected { job: name.to_owned(), schedule, zone: Zone::UTC, duration: TimeDelta::minutes(minutes) }
    }

    fn daily(hour: u8, minute: u8) -> Schedule {
        Schedule::Daily(TimeOfDay { hour, minute })
    }

    const FROM: &str = "2026-11-24T00:00:00Z";
    const UNTIL: &str = "2026-11-25T00:00:00Z";

    #[test]
    fn an_hour_has_starts_busy_time_and_the_most_at_once() {
        let jobs = [job("a", daily(6, 0), 90), job("b", daily(6, 30), 10), job("c", daily(6, 40), 5)];
        let found = forecast(&jobs, at(FROM), at(UNTIL));
        assert_eq!(found.hours.len(), 24);
        let six = Hour { at: at("2026-11-24T06:00:00Z"), starts: 3, busy: TimeDelta::minutes(75), most_at_once: 2 };
        let seven = Hour { at: at("2026-11-24T07:00:00Z"), starts: 0, busy: TimeDelta::minutes(30), most_at_once: 1 };
        assert_eq!((&found.hours[6], &found.hours[7]), (&six, &seven));
        assert_eq!(found.shared, TimeDelta::minutes(15));
    }

    #[test]
    fn jobs_that_run_at_once_are_named_with_how_often_and_how_long() {
        let hourly = Schedule::Interval { every_minutes: 60, minute: 0 };
        let jobs = [job("b", hourly.clone(), 10), job("a", hourly, 5), job("c", daily(6, 5), 1), job("d", daily(7, 10), 60)];
        let found = forecast(&jobs, at(FROM), at("2026-11-24T09:00:00Z"));
        let names = |overlap: &Overlap| (overlap.jobs.join(" "), overlap.times, overlap.shared.num_minutes());
        let overlaps: Vec<_> = found.overlaps.iter().map(names).collect();
        // At 06:05 a ends as c begins: they share nothing, b shares with both. At 08:00 d still runs.
        assert_eq!(overlaps, [("a b".to_owned(), 8, 40), ("a b d".to_owned(), 1, 10), ("b c".to_owned(), 1, 1)]);
        assert_eq!(found.overlaps[1].first_at, at("2026-11-24T08:00:00Z"));
    }

    #[test]
    fn a_job_that_is_due_before_its_run_ends_is_named() {
        let found = forecast(&[job("slow", Schedule::Interval { every_minutes: 15, minute: 0 }, 20)], at(FROM), at(UNTIL));
        assert_eq!((found.overruns, found.overlaps.len()), (vec!["slow".to_owned()], 0));
    }

    #[test]
    fn a_stagger_moves_the_lighter_jobs_as_little_as_it_takes() {
        let jobs = [job("light", daily(6, 0), 5), job("heavy", daily(6, 0), 20), job("free", daily(9, 0), 5)];
        assert_eq!(stagger(&jobs, at(FROM), at(UNTIL)), [Move { index: 0, from: 0, to: 20 }]);
        let moved = with_moves(&jobs, &stagger(&jobs, at(FROM), at(UNTIL)));
        assert_eq!(forecast(&moved, at(FROM), at(UNTIL)).shared, TimeDelta::zero());
    }

    #[test]
    fn what_can_not_be_bettered_is_left_alone() {
        let cron = Schedule::Cron("0 6 * * *".to_owned());
        assert_eq!(stagger(&[job("a", cron.clone(), 5), job("b", cron, 5)], at(FROM), at(UNTIL)), []);
        assert_eq!(stagger(&[job("a", daily(6, 0), 5), job("b", daily(7, 0), 5)], at(FROM), at(UNTIL)), []);
        assert_eq!(stagger(&[], at(FROM), at(UNTIL)), []);
    }

    #[test]
    fn intervals_are_moved_within_their_interval() {
        let quarter = Schedule::Interval { every_minutes: 15, minute: 0 };
        let found = stagger(&[job("a", quarter.clone(), 4), job("b", quarter.clone(), 4), job("c", quarter, 4)], at(FROM), at(UNTIL));
        assert_eq!(found, [Move { index: 1, from: 0, to: 4 }, Move { index: 2, from: 0, to: 8 }]);
    }
}
