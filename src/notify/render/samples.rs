//! Messages for tests, always the same.

use crate::notify::message::{JobFacts, JobTrouble, Kind, Message, Roundup};
use crate::notify::sample::{Setting, sample};

pub(crate) fn setting(at: &str) -> Setting {
    Setting {
        job: JobFacts {
            id: "daily_sales".to_owned(),
            name: "Daily sales".to_owned(),
            schedule: "Daily at 06:10 (Europe/Paris)".to_owned(),
            next_run: Some("2026-11-30T05:10:00Z".parse().unwrap()),
        },
        workspace: "/srv/etl".to_owned(),
        host: "etl1".to_owned(),
        timezone: "Europe/Paris".to_owned(),
        timezone_of_files: "Europe/Paris".to_owned(),
        slots: Vec::new(),
        deadline: None,
        sources: ["orders", "order_lines", "customers"].map(str::to_owned).to_vec(),
        failure_threshold: 5,
        at: at.parse().unwrap(),
    }
}

/// Returns a message of a kind that is no test.
pub(crate) fn of(kind: Kind) -> Message {
    Message { is_test: false, ..sample(kind, &setting("2026-11-29T05:13:05Z")) }
}

pub(crate) fn failure() -> Message {
    of(Kind::Failure)
}

pub(crate) fn success() -> Message {
    of(Kind::Success)
}

/// The recovery from [`failure`], a day later.
pub(crate) fn recovery() -> Message {
    Message { is_test: false, ..sample(Kind::Recovery, &setting("2026-11-30T05:13:05Z")) }
}

/// Returns a message about as many jobs: each missed four runs, and every third its deadline too; the last one that alone.
pub(crate) fn several(number: usize) -> Message {
    let at = |text: &str| text.parse().unwrap();
    let trouble = |place: usize| {
        let is_last = place + 1 == number;
        JobTrouble {
            id: format!("job_{place:03}"),
            name: if place == 0 { "Daily sales".to_owned() } else { format!("job_{place:03}") },
            slot_count: if is_last { 0 } else { 4 },
            slots: (!is_last).then(|| (at("2026-11-26T01:00:00Z"), at("2026-11-29T01:00:00Z"))),
            deadline: (is_last || place % 3 == 2).then(|| at("2026-11-29T05:00:00Z")),
            problem: None,
        }
    };
    let jobs: Vec<JobTrouble> = (0..number).map(trouble).collect();
    let missed = jobs.iter().filter(|job| job.slots.is_some()).count() as u64;
    let deadlines = jobs.iter().filter(|job| job.deadline.is_some()).count() as u64;
    let blank = of(Kind::Missed);
    let (job, strip, slots) = (JobFacts::of_several(number), Vec::new(), Vec::new());
    Message { job, strip, slots, slot_count: 4 * missed, roundup: Some(Roundup::of(jobs, missed, deadlines)), ..blank }
}

/// Returns a message about files with errors.
pub(crate) fn broken(number: usize) -> Message {
    let trouble = |place: usize| JobTrouble {
        id: format!("job_{place:03}"),
        name: format!("job_{place:03}"),
        slot_count: 0,
        slots: None,
        deadline: None,
        problem: Some(format!("jobs/job_{place:03}.yaml, line 4: hour: expected a whole number from 0 to 23 (and 2 more)")),
    };
    let roundup = Roundup::of((0..number).map(trouble).collect(), 0, 0);
    Message { job: JobFacts::of_several(number), causes: Vec::new(), roundup: Some(roundup), ..of(Kind::Invalid) }
}
