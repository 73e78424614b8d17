//! A job's standing through random lives in a real store, beside a reference that keeps the whole history and looks back over it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::BootTime;
use crate::process::Liveness;
use crate::run::{RunStatus, Trigger};

/// Something that happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    /// A run ends: how, whether it refreshed a source, and whether a person started it.
    Run(RunStatus, bool, bool),
    /// A run's process dies; the next run finds that it had published everything, or not.
    Dies { is_published: bool, is_by_hand: bool },
    /// A run ends because its lease lapsed; whether it had refreshed a source.
    Lapses(bool),
    /// A run is refused because another goes on.
    Refused,
    /// A slot is skipped: the store hears of no run at all.
    Skipped,
    /// A person's commands.
    Set(JobStatus),
    /// The store is closed and opened again, as by the next process.
    Reopened,
}

fn happenings() -> impl Strategy<Value = Happening> {
    let ended = prop_oneof![
        4 => Just(RunStatus::Failed),
        1 => Just(RunStatus::Success),
        1 => Just(RunStatus::Timeout),
        1 => Just(RunStatus::Cancelled),
    ];
    let run = (ended, prop::bool::weighted(0.2), prop::bool::weighted(0.3))
        .prop_map(|(status, partial, by_hand)| Happening::Run(status, partial || status == RunStatus::Success, by_hand));
    prop_oneof![
        12 => run,
        1 => (any::<bool>(), any::<bool>()).prop_map(|(is_published, is_by_hand)| Happening::Dies { is_published, is_by_hand }),
        1 => any::<bool>().prop_map(Happening::Lapses),
        1 => Just(Happening::Refused),
        1 => Just(Happening::Skipped),
        1 => prop_oneof![Just(JobStatus::Active), Just(JobStatus::Inactive), Just(JobStatus::Paused)].prop_map(Happening::Set),
        1 => Just(Happening::Reopened),
    ]
}

/// What the rules say, by looking back over everything that happened.
#[derive(Debug)]
struct Reference {
    threshold: u64,
    is_partial_counted: bool,
    history: Vec<Happening>,
    status: JobStatus,
    /// How often people were to be told that it was disabled.
    told: usize,
}

impl Reference {
    /// Runs in a row, back from now, that refreshed nothing.
    fn failures(&self) -> u64 {
        let mut failures = 0;
        for happening in self.history.iter().rev() {
            match happening {
                Happening::Run(RunStatus::Success, ..) | Happening::Dies { is_published: true, .. } | Happening::Set(_) => break,
                Happening::Run(RunStatus::Failed | RunStatus::Timeout, true, _) if !self.is_partial_counted => break,
                Happening::Run(RunStatus::Failed | RunStatus::Timeout, ..) => failures += 1,
                Happening::Run(..)
                | Happening::Dies { .. }
                | Happening::Lapses(_)
                | Happening::Refused
                | Happening::Skipped
                | Happening::Reopened => {}
            }
        }
        failures
    }

    fn take(&mut self, happening: Happening) {
        self.history.push(happening);
        let is_success_by_hand =
            matches!(happening, Happening::Run(RunStatus::Success, _, true) | Happening::Dies { is_published: true, is_by_hand: true });
        let is_failure = matches!(happening, Happening::Run(RunStatus::Failed | RunStatus::Timeout, ..));
        match happening {
            Happening::Set(status) => self.status = status,
            _ if self.status == JobStatus::Error && is_success_by_hand => self.status = JobStatus::Active,
            _ if self.status == JobStatus::Active && is_failure && self.failures() >= self.threshold => {
                self.status = JobStatus::Error;
                self.told += 1;
            }
            _ => {}
        }
    }
}

/// The real store, with a clock that goes on by a second with each step.
struct Life {
    folder: TempDir,
    store: Store,
    policy: EndPolicy,
    second: u64,
    told: usize,
}

fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + Duration::from_secs(second)
}

impl Life {
    fn new(threshold: u32, is_partial_counted: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&StateLocation::Sqlite(folder.path().join("state.db"))).unwrap();
        let policy = EndPolicy { failure_threshold: threshold, is_partial_counted, retention_days: 90, slot_now: at(0) };
        let mut life = Self { folder, store, policy, second: 0, told: 0 };
        life.store.register_job(&job(), at(0)).unwrap();
        life
    }

    fn now(&self) -> Moment {
        Moment { at: at(self.second), boot: BootTime { boot_id: "b".to_owned(), elapsed: Duration::from_secs(self.second) } }
    }

    fn standing(&mut self) -> (JobStatus, u64) {
        let record = self.store.job("sales").unwrap().unwrap();
        (record.status, record.consecutive_failures)
    }

    fn new_run(&self, is_by_hand: bool) -> NewRun {
        NewRun {
            run_id: format!("run-{:06}", self.second),
            job: "sales".to_owned(),
            trigger: if is_by_hand { Trigger::Manual } else { Trigger::Schedule },
            slot: None,
            host: "h".to_owned(),
            pid: 1,
            process_start: "1".to_owned(),
            user: "u".to_owned(),
            version: "1".to_owned(),
            sources: vec!["a".to_owned(), "b".to_owned()],
        }
    }

    fn begin(&mut self, is_by_hand: bool) -> NewRun {
        let run = self.new_run(is_by_hand);
        let now = self.now();
        assert_eq!(self.store.begin_run(&run, &now, &|_, _, _| Liveness::Alive).unwrap(), Begun::Started);
        run
    }

    fn run(&mut self, status: RunStatus, has_refreshed: bool, is_by_hand: bool, is_interrupted: bool) {
        let run = self.begin(is_by_hand);
        let sources_processed = if has_refreshed { vec!["a".to_owned()] } else { Vec::new() };
        let end = RunEnd {
            run_id: run.run_id,
            status,
            exit_code: 0,
            duration_seconds: 0.1,
            is_interrupted,
            summary: RunSummary { sources_processed, ..RunSummary::default() },
            left_out: Vec::new(),
            sources: Vec::new(),
            streams: Vec::new(),
            events: Vec::new(),
        };
        let Closed::Done { status_before, status_after, .. } = self.store.close_run(&end, self.policy, at(self.second)).unwrap() else {
            panic!("the lease is held")
        };
        self.told += usize::from(status_before != JobStatus::Error && status_after == JobStatus::Error);
    }

    fn take(&mut self, happening: Happening) {
        self.second += 1;
        let now = at(self.second);
        self.policy.slot_now = now;
        match happening {
            Happening::Run(status, has_refreshed, is_by_hand) => self.run(status, has_refreshed, is_by_hand, false),
            Happening::Lapses(has_refreshed) => self.run(RunStatus::Failed, has_refreshed, true, true),
            Happening::Dies { is_published, is_by_hand } => {
                self.begin(is_by_hand);
                let (moment, gone) = (self.now(), |_: &str, _: u32, _: &str| Liveness::Gone);
                let dead = self.store.dead_runs("sales", &moment, &gone).unwrap();
                let end = if is_published { DeadEnd::Success } else { DeadEnd::Interrupted { message: "interrupted".to_owned() } };
                assert_eq!(dead.len(), 1);
                assert!(self.store.close_dead_run(&dead[0], &end, &moment, &gone).unwrap());
            }
            Happening::Refused => {
                let (run, now) = (self.new_run(false), self.now());
                self.store.write_refused_run(&run, 5, "another run goes on", &now).unwrap();
            }
            Happening::Skipped => {}
            Happening::Set(status) => {
                let status = match status {
                    JobStatus::Inactive => NewStatus::Inactive,
                    JobStatus::Paused => NewStatus::Paused(None),
                    JobStatus::Active | JobStatus::Error => NewStatus::Active,
                };
                let by = Actor { user: "ann".to_owned(), host: "h".to_owned() };
                self.store.set_status(&[job()], status, &by, now, now).unwrap();
            }
            Happening::Reopened => self.store = Store::open(&StateLocation::Sqlite(self.folder.path().join("state.db"))).unwrap(),
        }
    }
}

fn job() -> NewJob {
    NewJob {
        id: "sales".to_owned(),
        file: "jobs/sales.yaml".to_owned(),
        fingerprint: "f".to_owned(),
        schedule_fingerprint: "s".to_owned(),
        owner: "etl".to_owned(),
        host: "here".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_job_is_disabled_after_its_threshold_and_told_once_whatever_its_life(
        lives in prop::collection::vec(happenings(), 1..60),
        threshold in 1_u32..6,
        is_partial_counted in any::<bool>(),
    ) {
        let mut life = Life::new(threshold, is_partial_counted);
        let mut reference =
            Reference { threshold: threshold.into(), is_partial_counted, history: Vec::new(), status: JobStatus::Active, told: 0 };
        for happening in lives {
            // The gate starts active jobs alone; a person may start any (with --force).
            let is_scheduled = matches!(happening, Happening::Run(_, _, false) | Happening::Dies { is_by_hand: false, .. });
            if is_scheduled && reference.status != JobStatus::Active {
                continue;
            }
            // To set what is set is no new start.
            if happening == Happening::Set(reference.status) {
                life.take(happening);
            } else {
                life.take(happening);
                reference.take(happening);
            }
            prop_assert_eq!(life.standing(), (reference.status, reference.failures()), "after {:?}", reference.history);
            prop_assert_eq!(life.told, reference.told, "after {:?}", reference.history);
        }
    }
}
