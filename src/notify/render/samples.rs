//! Messages for tests, always the same.

use crate::notify::message::{JobFacts, Kind, Message};
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
