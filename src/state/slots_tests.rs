//! Slots in the store: random lives of a job against a reference that knows nothing but a map of instants.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use proptest::prelude::*;

use super::bench::{BackEnd, Home};
use super::*;
use crate::clock::BootTime;
use crate::process::Liveness;
use crate::run::due::{CatchUp, Lateness, OnOverlap, Rules, SlotRecord, SlotStatus};
use crate::run::{RunStatus, Trigger};
use crate::schedule::{Schedule, Slot};
use crate::zone::Zone;

const GRACE_MINUTES: i64 = 10;

/// Something that happens to a job.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// Time passes.
    Pass(i64),
    /// The wall clock is set, by minutes.
    Step(i64),
    /// The scheduler starts the gate.
    Fire,
    /// The run ends by itself.
    Finish(bool),
    /// The run's process is killed.
    Kill,
    Pause,
    PauseFor(i64),
    Resume,
    Disable,
    /// The file says `is_active`.
    WriteActive(bool),
    /// The file says another schedule.
    Edit(usize),
}

/// Every so many minutes, from which minute.
const SCHEDULES: [(u8, u8); 4] = [(60, 5), (30, 0), (15, 3), (60, 50)];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0_i64..50).prop_map(Happening::Pass),
        1 => (50_i64..2000).prop_map(Happening::Pass),
        1 => (-180_i64..1500).prop_map(Happening::Step),
        9 => Just(Happening::Fire),
        4 => any::<bool>().prop_map(Happening::Finish),
        2 => Just(Happening::Kill),
        1 => Just(Happening::Pause),
        1 => (1_i64..200).prop_map(Happening::PauseFor),
        2 => Just(Happening::Resume),
        1 => Just(Happening::Disable),
        1 => any::<bool>().prop_map(Happening::WriteActive),
        1 => (0..SCHEDULES.len()).prop_map(Happening::Edit),
    ]
}

fn back_end() -> impl Strategy<Value = BackEnd> {
    prop_oneof![3 => Just(BackEnd::Sqlite), 1 => Just(BackEnd::Postgresql)]
}

/// The job in its store, as the gate sees it.
struct Bench {
    _home: Home,
    back_end: BackEnd,
    store: Store,
    now: DateTime<Utc>,
    elapsed: TimeDelta,
    schedule: usize,
    lateness: Lateness,
    on_overlap: OnOverlap,
    is_active: bool,
    run: Option<OpenRun>,
    runs_begun: u32,
    /// When the gate last noted that a slot is settled, and under which definition.
    note: Option<(DateTime<Utc>, Definition)>,
}

/// A schedule's fingerprint, and the slot that was settled under it last.
type Definition = (String, Option<Slot>);

#[derive(Debug, Clone)]
struct OpenRun {
    id: String,
    begun_at: DateTime<Utc>,
    begun: TimeDelta,
    slot: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    is_killed: bool,
}

fn start() -> DateTime<Utc> {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

impl Bench {
    fn new(back_end: BackEnd, catch_up: CatchUp, window_minutes: Option<u64>, on_overlap: OnOverlap) -> Self {
        let home = Home::new(back_end);
        let mut store = home.open();
        if back_end == BackEnd::Sqlite {
            store.connection.batch_execute("PRAGMA synchronous = OFF").unwrap();
        }
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let lateness = Lateness {
            grace: minutes(GRACE_MINUTES.unsigned_abs()),
            catch_up,
            catch_up_window: window_minutes.map(minutes),
            is_woken_hourly: false,
            deadline: None,
        };
        let (run, elapsed) = (None, TimeDelta::zero());
        Self {
            _home: home,
            back_end,
            store,
            now: start(),
            elapsed,
            schedule: 0,
            lateness,
            on_overlap,
            is_active: true,
            run,
            runs_begun: 0,
            note: None,
        }
    }

    fn job(&self) -> NewJob {
        NewJob {
            id: "sales".to_owned(),
            file: "jobs/sales.yaml".to_owned(),
            fingerprint: format!("f{}{}", self.schedule, self.is_active),
            schedule_fingerprint: format!("s{}", self.schedule),
            owner: "etl".to_owned(),
            host: "here".to_owned(),
        }
    }

    fn attention(&self) -> Attention {
        if self.is_active { Attention::Active } else { Attention::Inactive }
    }

    fn moment(&self) -> Moment {
        let elapsed = (self.elapsed + TimeDelta::days(1)).to_std().unwrap();
        Moment { at: self.now, boot: BootTime { boot_id: "b1".to_owned(), elapsed } }
    }

    fn pass(&mut self, minutes: i64) {
        self.now += TimeDelta::minutes(minutes);
        self.elapsed += TimeDelta::minutes(minutes);
        self.renew();
    }

    /// A living run renews its lease, however long it takes: also in the hours that have just passed at once.
    fn renew(&mut self) {
        let now = self.moment();
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_killed) {
            if self.back_end == BackEnd::Sqlite {
                let just_now = format!("UPDATE leases SET renewed_boot_micros = {}", now.boot.elapsed.as_micros());
                self.store.connection.batch_execute(&just_now).unwrap();
            }
            assert!(matches!(self.store.renew_lease(&run.id, "{}", &now).unwrap(), Renewal::Held { .. }));
            run.seen_at = now.at;
        }
    }

    /// What `run JOB --scheduled` does; returns the slot that it started.
    fn fire(&mut self) -> Option<(DateTime<Utc>, Trigger)> {
        let record = self.store.notice_job(&self.job(), self.attention(), self.now).unwrap();
        if !record.is_gate_open(self.attention(), self.now) {
            return None;
        }
        let now = self.moment();
        let is_killed = self.run.as_ref().is_some_and(|run| run.is_killed);
        let probe = move |_: &str, _: u32, _: &str| if is_killed { Liveness::Gone } else { Liveness::Alive };
        for dead in self.store.dead_runs("sales", &now, &probe).unwrap() {
            let end = DeadEnd::Interrupted { message: "interrupted".to_owned() };
            assert!(self.store.close_dead_run(&dead, &end, &now, &probe).unwrap());
            self.run = None;
        }
        let (every_minutes, minute) = SCHEDULES[self.schedule];
        let schedule = Schedule::Interval { every_minutes, minute };
        let rules = Rules { schedule: &schedule, zone: Zone::UTC, lateness: self.lateness, on_overlap: self.on_overlap };
        let order = SlotOrder { rules, now: self.now };
        let id = format!("r{}", self.runs_begun);
        let has_due = self.store.has_due_slot("sales", &order).unwrap();
        let glance = Glance { job: &self.job(), attention: self.attention(), order };
        let look = self.store.look(&glance);
        let note = (self.job().fingerprint, rules.latest(self.now));
        let is_noted = self.is_active && self.note.as_ref().is_some_and(|(at, known)| *at <= self.now && *known == note);
        let claim = self.store.begin_slot(&new_run(&id), &order, &now, &probe).unwrap();
        let is_idle = matches!(&claim, Claim::NotDue);
        assert!(has_due || is_idle, "the look and the claim differ: {claim:?}");
        // A look is sure of what it says; only what an open run may do is not clear to it.
        assert!(is_idle || look == Look::Unclear, "{look:?}, and yet {claim:?}");
        assert!(has_due || look != Look::Unclear || self.run.is_some(), "nothing was to be done: {claim:?}");
        assert!(is_idle || !is_noted, "a note says that all is settled, and yet {claim:?}");
        if let Look::Idle { settled: Some(slot) } = look {
            self.note = Some((self.now, (note.0, Some(slot))));
        }
        let Claim::Started(claimed) = claim else { return None };
        self.runs_begun += 1;
        let record = self.slots().into_iter().find(|record| record.key == claimed.key).unwrap();
        assert_eq!((record.status, record.run_id), (SlotStatus::Running, Some(id.clone())));
        self.run = Some(OpenRun { id, begun_at: self.now, begun: self.elapsed, slot: record.due_at, seen_at: self.now, is_killed: false });
        Some((record.due_at, claimed.trigger))
    }

    fn finish(&mut self, is_good: bool) -> Option<OpenRun> {
        let run = self.run.take_if(|run| !run.is_killed)?;
        let end = RunEnd {
            run_id: run.id.clone(),
            status: if is_good { RunStatus::Success } else { RunStatus::Failed },
            exit_code: 0,
            duration_seconds: (self.elapsed - run.begun).as_seconds_f64(),
            is_interrupted: false,
            summary: RunSummary::default(),
            left_out: Vec::new(),
            sources: vec![],
            streams: vec![],
            events: vec![],
        };
        let policy = EndPolicy { failure_threshold: 0, is_partial_counted: false, retention_days: 90, slot_now: self.now };
        assert!(matches!(self.store.close_run(&end, policy, self.now).unwrap(), Closed::Done { .. }));
        Some(run)
    }

    fn set_status(&mut self, status: NewStatus) {
        let by = Actor { user: "etl".to_owned(), host: "db1".to_owned() };
        self.store.set_status(&[self.job()], status, &by, self.now, self.now).unwrap();
    }

    fn slots(&mut self) -> Vec<SlotRecord> {
        self.store.slots("sales", 10_000).unwrap()
    }
}

fn new_run(run_id: &str) -> NewRun {
    NewRun {
        run_id: run_id.to_owned(),
        job: "sales".to_owned(),
        trigger: Trigger::Manual,
        slot: None,
        host: "db1".to_owned(),
        pid: 42,
        process_start: "7".to_owned(),
        user: "etl".to_owned(),
        version: "0.1.0".to_owned(),
        sources: vec!["orders".to_owned()],
    }
}

/// What became of an instant, in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Over,
    Interrupted(u32),
    WrittenOff(DateTime<Utc>),
}

/// The reference: instants of a clock without zones, and what became of them.
#[derive(Debug, Default)]
struct Model {
    fates: BTreeMap<DateTime<Utc>, Fate>,
    spans: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    starts: BTreeMap<DateTime<Utc>, u32>,
    noticed: Option<(usize, DateTime<Utc>)>,
    active_since: Option<DateTime<Utc>>,
    /// Paused (maybe until) or disabled.
    is_off: bool,
    paused_until: Option<DateTime<Utc>>,
    running: Option<(DateTime<Utc>, u32)>,
}

impl Model {
    fn notice(&mut self, schedule: usize, is_active: bool, now: DateTime<Utc>) {
        self.noticed = match self.noticed {
            Some((known, at)) if known == schedule && at <= now => Some((known, at)),
            _ => Some((schedule, now)),
        };
        self.active_since = self.active_since.filter(|since| *since <= now && is_active).or(is_active.then_some(now));
    }

    fn is_on(&self, now: DateTime<Utc>) -> bool {
        !self.is_off || self.paused_until.is_some_and(|until| until <= now)
    }

    /// Returns the slot that a firing has to start, by arithmetic on minutes.
    fn expected(&self, bench: &Bench, is_free: bool) -> Option<(DateTime<Utc>, Trigger)> {
        let now = bench.now;
        let (every, offset) = SCHEDULES[bench.schedule];
        let every = i64::from(every) * 60;
        let latest = (now.timestamp() - i64::from(offset) * 60).div_euclid(every) * every + i64::from(offset) * 60;
        let slot = DateTime::from_timestamp(latest, 0).unwrap();
        let grace = TimeDelta::seconds((GRACE_MINUTES * 60).min(every / 2));
        let since = self.noticed.unwrap().1.max(self.active_since?);
        let since = if self.is_off { since.max(self.paused_until?) } else { since };
        let is_newer_settled =
            self.fates.iter().any(|(at, fate)| *at > slot && *at <= now && !matches!(fate, Fate::WrittenOff(by) if *by > now));
        if !is_free || slot + grace < since || is_newer_settled {
            return None;
        }
        let is_on_time = now - slot <= grace;
        let window = bench.lateness.catch_up_window.map(|window| TimeDelta::from_std(window).unwrap());
        let is_young = is_on_time || window.is_none_or(|window| now - slot <= window);
        let is_started = match self.fates.get(&slot) {
            Some(Fate::Over) => false,
            Some(Fate::Interrupted(starts)) => *starts < 3 && is_young,
            Some(Fate::WrittenOff(by)) if *by <= now => false,
            _ => {
                let is_inside = self.spans.iter().any(|(begin, end)| *begin <= slot && slot < *end);
                is_on_time || (bench.lateness.catch_up != CatchUp::None && is_young && (!is_inside || bench.on_overlap == OnOverlap::Wait))
            }
        };
        is_started.then_some((slot, if is_on_time { Trigger::Schedule } else { Trigger::CatchUp }))
    }

    /// Takes over what the store wrote off, after looking that it might.
    fn check_records(&mut self, bench: &mut Bench) {
        let now = bench.now;
        for record in bench.slots() {
            match record.status {
                SlotStatus::Missed | SlotStatus::Skipped => {
                    let fate = self.fates.get(&record.due_at);
                    assert!(!matches!(fate, Some(Fate::Over)), "{record:?} was run, and is written off");
                    self.fates.entry(record.due_at).or_insert(Fate::WrittenOff(record.updated_at));
                    if let Some(Fate::WrittenOff(by)) = self.fates.get_mut(&record.due_at) {
                        *by = record.updated_at;
                    }
                }
                SlotStatus::Running | SlotStatus::Done | SlotStatus::Failed | SlotStatus::Interrupted => {
                    assert!(self.starts.contains_key(&record.due_at), "{record:?} was never started (now {now})");
                }
            }
        }
    }
}

/// Lives a job's life in the store and in the reference; every firing must start the same slot in both.
fn live(back_end: BackEnd, catch_up: CatchUp, window_minutes: Option<u64>, on_overlap: OnOverlap, life: &[Happening]) {
    let mut bench = Bench::new(back_end, catch_up, window_minutes, on_overlap);
    let mut model = Model::default();
    for happening in life {
        match *happening {
            Happening::Pass(minutes) => bench.pass(minutes),
            Happening::Step(minutes) => bench.now += TimeDelta::minutes(minutes),
            Happening::Fire => fire(&mut bench, &mut model),
            Happening::Finish(is_good) => {
                if let Some(run) = bench.finish(is_good) {
                    model.spans.push((run.begun_at, run.begun_at + (bench.elapsed - run.begun)));
                    model.fates.insert(run.slot, Fate::Over);
                    model.running = None;
                }
            }
            Happening::Kill => {
                if let Some(run) = &mut bench.run {
                    run.is_killed = true;
                }
            }
            Happening::Pause => change(&mut bench, &mut model, NewStatus::Paused(None)),
            Happening::PauseFor(minutes) => {
                let until = bench.now + TimeDelta::minutes(minutes);
                change(&mut bench, &mut model, NewStatus::Paused(Some(until)));
            }
            Happening::Disable => change(&mut bench, &mut model, NewStatus::Inactive),
            Happening::Resume if bench.is_active => change(&mut bench, &mut model, NewStatus::Active),
            Happening::Resume => {}
            Happening::WriteActive(is_active) => bench.is_active = is_active,
            Happening::Edit(schedule) => bench.schedule = schedule,
        }
    }
    assert!(model.starts.values().all(|starts| *starts <= 3));
}

fn change(bench: &mut Bench, model: &mut Model, status: NewStatus) {
    if model.noticed.is_none() {
        return;
    }
    if status == NewStatus::Active {
        model.notice(bench.schedule, true, bench.now);
        if model.is_off {
            let over = model.paused_until.filter(|until| *until <= bench.now);
            model.active_since = Some(over.unwrap_or(bench.now));
        }
    }
    (model.is_off, model.paused_until) = match status {
        NewStatus::Active => (false, None),
        NewStatus::Inactive => (true, None),
        NewStatus::Paused(until) => (true, until),
    };
    bench.set_status(status);
}

fn fire(bench: &mut Bench, model: &mut Model) {
    model.notice(bench.schedule, bench.is_active, bench.now);
    if !bench.is_active || !model.is_on(bench.now) {
        assert_eq!(bench.fire(), None, "it isn't active");
        return;
    }
    if let Some(run) = bench.run.as_ref().filter(|run| run.is_killed) {
        model.spans.push((run.begun_at, run.seen_at.min(run.begun_at + TimeDelta::days(7))));
        let (slot, starts) = model.running.take().unwrap();
        model.fates.insert(slot, Fate::Interrupted(starts));
    }
    let is_free = bench.run.as_ref().is_none_or(|run| run.is_killed);
    let expected = model.expected(bench, is_free);
    let started = bench.fire();
    assert_eq!(started, expected, "at {} with {model:#?}", bench.now);
    if let Some((slot, _)) = started {
        let starts = model.starts.entry(slot).or_default();
        *starts += 1;
        model.running = Some((slot, *starts));
        model.fates.insert(slot, Fate::Over);
    }
    model.check_records(bench);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn each_slot_is_started_once_and_none_is_lost_while_the_job_is_active_and_fired(
        catch_up in prop_oneof![3 => Just(CatchUp::Last), 1 => Just(CatchUp::None)],
        window_minutes in prop_oneof![3 => Just(None), 1 => Just(Some(25_u64))],
        on_overlap in prop_oneof![2 => Just(OnOverlap::Skip), 1 => Just(OnOverlap::Wait)],
        life in proptest::collection::vec(happening(), 1..60),
        back_end in back_end(),
    ) {
        live(back_end, catch_up, window_minutes, on_overlap, &life);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Some runs are killed; the firing that finds them goes on where they were.
    #[test]
    fn catch_up_all_runs_every_slot_of_a_day_once_and_in_order(
        silences in proptest::collection::vec((0_i64..3000, any::<bool>()), 1..6),
        back_end in back_end(),
    ) {
        let mut bench = Bench::new(back_end, CatchUp::All, None, OnOverlap::Skip);
        bench.fire();
        bench.finish(true);
        let mut started: Vec<DateTime<Utc>> = Vec::new();
        let mut required: Vec<DateTime<Utc>> = Vec::new();
        for (minutes, is_killed) in silences {
            bench.pass(minutes);
            let mut is_killed = is_killed;
            while let Some((slot, _)) = bench.fire() {
                match bench.run.as_mut().filter(|_| std::mem::take(&mut is_killed)) {
                    Some(run) => run.is_killed = true,
                    None => {
                        prop_assert!(bench.finish(true).is_some());
                        started.push(slot);
                    }
                }
            }
            let (now, first) = (bench.now, start() + TimeDelta::minutes(5));
            let slots = (0..).map(|hour| first + TimeDelta::hours(hour)).take_while(|slot| *slot <= now);
            required.extend(slots.filter(|slot| now - *slot <= TimeDelta::days(1)));
        }
        prop_assert!(started.is_sorted_by(|one, next| one < next), "{started:?}");
        required.sort();
        required.dedup();
        let lost: Vec<_> = required.iter().filter(|slot| !started.contains(slot)).collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }
}
