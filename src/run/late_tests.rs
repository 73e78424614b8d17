use std::time::Duration;

use super::*;
use crate::run::due::SlotRecord;
use crate::schedule::TimeOfDay;
use crate::zone::Zone;

const DAILY: Schedule = Schedule::Daily(TimeOfDay { hour: 2, minute: 0 });
const HOURLY: Schedule = Schedule::Interval { every_minutes: 60, minute: 0 };
const QUARTERLY: Schedule = Schedule::Interval { every_minutes: 15, minute: 0 };
const MONDAYS: fn() -> Schedule = || Schedule::Weekly(vec![0], TimeOfDay { hour: 2, minute: 0 });

/// `24T02:10` is of November 2026, a Tuesday.
fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 8 { format!("2026-11-{text}:00Z") } else { format!("{text}:00Z") };
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

struct Case<'a> {
    schedule: &'a Schedule,
    zone: Zone,
    catch_up: CatchUp,
    window_minutes: Option<u64>,
    on_overlap: OnOverlap,
    deadline: Option<TimeOfDay>,
    facts: Facts,
    successes: Successes,
}

fn case<'a>(schedule: &'a Schedule, since: &str) -> Case<'a> {
    Case {
        schedule,
        zone: Zone::UTC,
        catch_up: CatchUp::Last,
        window_minutes: None,
        on_overlap: OnOverlap::Skip,
        deadline: None,
        facts: Facts { counted_since: at(since), ..Facts::default() },
        successes: Successes::default(),
    }
}

impl Case<'_> {
    fn slot(mut self, due_at: &str, status: SlotStatus) -> Self {
        let due_at = at(due_at);
        let key = format!("record of {}", due_at.format("%dT%H:%M"));
        let claims = u32::from(!matches!(status, SlotStatus::Missed | SlotStatus::Skipped));
        self.facts.records.push(SlotRecord { key, due_at, status, run_id: None, claims, slot_count: 1, updated_at: due_at });
        self
    }

    fn run(mut self, begin: &str, end: &str) -> Self {
        self.facts.runs.push((at(begin), at(end)));
        self
    }

    fn success(mut self, at_wall: &str) -> Self {
        self.successes.last_at = Some(at(at_wall));
        self
    }

    fn deadline(mut self, hour: u8, minute: u8) -> Self {
        self.deadline = Some(TimeOfDay { hour, minute });
        self
    }

    fn rules(&self) -> Rules<'_> {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let lateness = Lateness {
            grace: minutes(10),
            catch_up: self.catch_up,
            catch_up_window: self.window_minutes.map(minutes),
            is_woken_hourly: false,
            deadline: self.deadline,
        };
        Rules { schedule: self.schedule, zone: self.zone, lateness, on_overlap: self.on_overlap }
    }

    /// `DUE reason count`, or nothing.
    #[track_caller]
    fn late(self, now: &str, expected: &str) -> Self {
        let late = self.rules().late_slot(&self.facts, self.successes, at(now));
        let words = late.map(|late| {
            assert_eq!(late.by, at(now) - late.since);
            format!("{} {:?} {}", late.due_at.format("%dT%H:%M"), late.reason, late.slot_count)
        });
        assert_eq!(words.as_deref().unwrap_or_default(), expected, "at {now}");
        self
    }

    /// Since when it is late: `SINCE COUNT`, a `+` behind it where there are more.
    #[track_caller]
    fn since(self, now: &str, expected: &str) -> Self {
        let late = self.rules().late_slot(&self.facts, self.successes, at(now)).unwrap();
        let more = if late.are_there_more { "+" } else { "" };
        assert_eq!(format!("{} {}{more}", late.since.format("%dT%H:%M"), late.fresh_count), expected, "at {now}");
        self
    }

    /// `DEADLINE of SLOT`, or nothing.
    #[track_caller]
    fn passed(self, now: &str, expected: &str) -> Self {
        let passed = self.rules().passed_deadline(&self.facts, self.successes, at(now));
        let words = passed.map(|passed| format!("{} of {}", passed.at.format("%dT%H:%M"), passed.slot_at.format("%dT%H:%M")));
        assert_eq!(words.as_deref().unwrap_or_default(), expected, "at {now}");
        self
    }
}

#[test]
fn a_slot_is_late_from_the_end_of_its_grace_until_it_is_started() {
    case(&DAILY, "20T00:00")
        .slot("23T02:00", SlotStatus::Done)
        .late("24T01:59", "")
        .late("24T02:10", "")
        .late("24T02:11", "24T02:00 NotStarted 1")
        .late("25T02:05", "24T02:00 NotStarted 1")
        .late("26T09:00", "26T02:00 NotStarted 2")
        .slot("26T02:00", SlotStatus::Running)
        .late("26T09:00", "");
}

#[test]
fn lateness_counts_from_the_first_slot_without_a_run_and_never_falls_while_nothing_runs() {
    case(&HOURLY, "20T00:00")
        .slot("24T05:00", SlotStatus::Done)
        .since("24T06:11", "24T06:00 1")
        .since("24T08:05", "24T06:00 2")
        .since("26T05:30", "24T06:00 48")
        .since("28T09:30", "24T06:00 48+");
    case(&DAILY, "20T00:00").slot("23T02:00", SlotStatus::Done).since("26T09:00", "24T02:00 2+").since("30T09:00", "24T02:00 2+");
    // A slot that was written off counts, and so does one whose run was interrupted.
    case(&HOURLY, "20T00:00").slot("24T05:00", SlotStatus::Missed).since("24T07:30", "24T05:00 3");
    case(&HOURLY, "20T00:00").slot("24T05:00", SlotStatus::Interrupted).since("27T07:30", "24T05:00 48+");
    // Nothing is known yet: from the first slot on that counts.
    case(&HOURLY, "20T00:12").since("20T01:11", "20T01:00 1").since("24T01:11", "20T01:00 48+");
}

#[test]
fn a_success_by_hand_ends_what_was_late_before_it() {
    let outage = || case(&HOURLY, "20T00:00").slot("24T05:00", SlotStatus::Done);
    outage()
        .success("24T07:20")
        .late("24T07:30", "")
        .since("24T08:11", "24T08:00 1")
        .since("24T09:11", "24T08:00 2")
        .late("24T09:11", "24T09:00 NotStarted 4");
    // One of another clock altogether ends nothing.
    outage().success("30T00:00").since("24T08:11", "24T06:00 3");
}

#[test]
fn a_job_that_was_made_a_moment_ago_is_not_late() {
    case(&DAILY, "24T02:11").late("24T02:30", "").late("25T02:10", "").late("25T02:11", "25T02:00 NotStarted 1");
    case(&DAILY, "24T02:10").late("24T02:11", "24T02:00 NotStarted 1");
    case(&HOURLY, "24T09:30").late("24T09:31", "").late("24T10:11", "24T10:00 NotStarted 1");
}

#[test]
fn the_next_slot_in_its_grace_hides_no_earlier_one() {
    case(&HOURLY, "20T00:00").slot("24T05:00", SlotStatus::Done).late("24T08:05", "24T07:00 NotStarted 2");
    // Half the interval is the longest grace.
    case(&QUARTERLY, "20T00:00").slot("24T05:00", SlotStatus::Done).late("24T05:22", "").late("24T05:23", "24T05:15 NotStarted 1");
    case(&MONDAYS(), "01T00:00").slot("09T02:00", SlotStatus::Done).late("23T02:05", "16T02:00 NotStarted 1");
}

#[test]
fn what_became_of_a_slot_says_whether_it_is_late() {
    for (status, expected) in [
        (SlotStatus::Running, ""),
        (SlotStatus::Done, ""),
        (SlotStatus::Failed, ""),
        (SlotStatus::Skipped, ""),
        (SlotStatus::Interrupted, "24T02:00 Interrupted 1"),
        (SlotStatus::Missed, "24T02:00 Missed 1"),
    ] {
        case(&DAILY, "20T00:00").slot("24T02:00", status).late("24T09:00", expected);
    }
}

#[test]
fn a_success_since_the_slot_is_as_good_as_its_own() {
    let late = "24T02:00 NotStarted 1";
    let job = || case(&DAILY, "20T00:00").slot("23T02:00", SlotStatus::Done);
    job().success("24T01:59").late("24T09:00", late);
    job().success("24T08:00").late("24T09:00", "").late("25T02:11", "25T02:00 NotStarted 2");
    // A host whose clock is ahead a little, and a success of another time altogether.
    job().success("24T09:04").late("24T09:00", "");
    job().success("29T00:00").late("24T09:00", late);
    case(&DAILY, "20T00:00").slot("24T02:00", SlotStatus::Missed).success("24T08:00").late("24T09:00", "");
}

#[test]
fn a_slot_that_fell_into_another_run_is_not_late_unless_it_waited_for_it() {
    let job = || case(&HOURLY, "20T00:00").slot("24T01:00", SlotStatus::Done);
    job().run("24T01:30", "24T02:40").late("24T02:45", "").late("24T03:11", "24T03:00 NotStarted 2");
    let waiting = |end: &str| Case { on_overlap: OnOverlap::Wait, ..job() }.run("24T01:30", end);
    waiting("24T02:45").late("24T02:45", "");
    waiting("24T02:40").late("24T02:45", "24T02:00 NotStarted 1");
}

#[test]
fn a_slot_that_the_gate_has_given_up_is_missed() {
    let job = || case(&DAILY, "20T00:00").slot("23T02:00", SlotStatus::Done);
    Case { catch_up: CatchUp::None, ..job() }.late("24T02:11", "24T02:00 Missed 1");
    Case { window_minutes: Some(60), ..job() }.late("24T03:00", "24T02:00 NotStarted 1").late("24T03:01", "24T02:00 Missed 1");
    // All are caught up, the last one tells how fresh the data is.
    let all = || Case { catch_up: CatchUp::All, ..case(&HOURLY, "20T00:00") };
    all().slot("24T05:00", SlotStatus::Done).late("24T08:11", "24T08:00 NotStarted 3");
    all().slot("24T08:00", SlotStatus::Done).late("24T08:11", "");
}

#[test]
fn clocks_that_change_make_nothing_late() {
    let paris = |schedule| Case { zone: Zone::bundled("Europe/Paris").unwrap(), ..case(schedule, "2026-03-01T00:00") };
    let half_past_two = Schedule::Daily(TimeOfDay { hour: 2, minute: 30 });
    // 29 March: 02:30 is skipped; due at 03:00, which is 01:00 UTC. 25 October: 02:30 is twice; due at 00:30 UTC.
    let gap = paris(&half_past_two).slot("2026-03-28T01:30", SlotStatus::Done);
    gap.late("2026-03-29T01:10", "").late("2026-03-29T01:11", "29T01:00 NotStarted 1");
    let twice = paris(&half_past_two).slot("2026-10-24T00:30", SlotStatus::Done);
    twice
        .late("2026-10-25T00:40", "")
        .late("2026-10-25T00:41", "25T00:30 NotStarted 1")
        .slot("2026-10-25T00:30", SlotStatus::Done)
        .late("2026-10-25T01:45", "")
        .late("2026-10-26T01:40", "")
        .late("2026-10-26T01:41", "26T01:30 NotStarted 1");
}

#[test]
fn a_schedule_without_slots_is_never_late() {
    case(&Schedule::Manual, "20T00:00").late("24T09:00", "").deadline(7, 30).passed("24T09:00", "");
}

#[test]
fn a_long_silence_is_counted_over_two_days() {
    case(&QUARTERLY, "01T00:00").late("24T09:00", "24T08:45 NotStarted 192");
}

#[test]
fn a_deadline_passes_without_a_success_since_the_slot_before_it() {
    let job = || case(&DAILY, "20T00:00").deadline(7, 30);
    let with_slot = |slot: &str| {
        let mut job = job();
        job.successes.last_slot_at = Some(at(slot));
        job
    };
    with_slot("24T02:00").passed("24T09:00", "").passed("25T07:29", "").passed("25T07:30", "25T07:30 of 25T02:00");
    with_slot("23T02:00").success("24T06:00").passed("24T09:00", "");
    // Late, and fresh since.
    with_slot("23T02:00").success("24T08:59").passed("24T09:00", "");
    with_slot("23T02:00").success("29T00:00").passed("24T09:00", "24T07:30 of 24T02:00");
    job().passed("24T09:00", "24T07:30 of 24T02:00");
}

#[test]
fn a_deadline_counts_once_its_slot_does() {
    case(&DAILY, "24T02:11").deadline(7, 30).passed("24T09:00", "").passed("25T07:30", "25T07:30 of 25T02:00");
    case(&DAILY, "24T02:10").deadline(7, 30).passed("24T09:00", "24T07:30 of 24T02:00");
}

#[test]
fn the_first_deadline_after_a_slot_is_its_deadline() {
    // Monday is the 23rd; its slot is still the last one on Thursday.
    case(&MONDAYS(), "01T00:00").deadline(7, 30).passed("26T09:00", "23T07:30 of 23T02:00");
    // At 23:00 for 01:00 the next morning.
    let late_slot = Schedule::Daily(TimeOfDay { hour: 23, minute: 0 });
    case(&late_slot, "01T00:00").deadline(1, 0).passed("24T00:59", "23T01:00 of 22T23:00").passed("24T01:00", "24T01:00 of 23T23:00");
    // A slot at the deadline itself can't be done by then.
    let same = Schedule::Daily(TimeOfDay { hour: 7, minute: 30 });
    case(&same, "01T00:00").deadline(7, 30).passed("24T09:00", "24T07:30 of 23T07:30");
}

#[test]
fn a_deadline_is_of_the_job_s_zone_whatever_its_clocks_do() {
    let zone = Zone::bundled("Europe/Paris").unwrap();
    let job = || Case { zone, ..case(&HOURLY, "2026-01-01T00:00") };
    job().deadline(2, 30).passed("2026-03-29T00:59", "28T01:30 of 28T01:00").passed("2026-03-29T01:00", "29T01:00 of 29T00:00");
    job().deadline(2, 30).passed("2026-10-25T00:29", "24T00:30 of 24T00:00").passed("2026-10-25T00:30", "25T00:30 of 25T00:00");
}

#[test]
fn a_slot_and_a_deadline_that_the_clocks_skip_are_as_far_apart_as_on_other_days() {
    let zone = Zone::bundled("Europe/Paris").unwrap();
    let quarter_past = TimeOfDay { hour: 2, minute: 15 };
    let (daily, sundays) = (Schedule::Daily(quarter_past), Schedule::Weekly(vec![6], quarter_past));
    let job = |hour: u8, minute: u8| {
        let mut job = Case { zone, ..case(&daily, "2026-01-01T00:00") }.deadline(hour, minute);
        job.successes.last_slot_at = Some(at("2026-03-28T01:15"));
        job
    };
    // 2026-03-29 02:15 and 02:45 are both 03:00.
    job(2, 45).passed("2026-03-29T01:29", "").passed("2026-03-29T01:30", "29T01:30 of 29T01:00");
    job(2, 45).passed("2026-03-30T00:44", "29T01:30 of 29T01:00").passed("2026-03-30T00:45", "30T00:45 of 30T00:15");
    job(2, 45).success("2026-03-29T01:20").passed("2026-03-29T09:00", "");
    job(3, 0).passed("2026-03-29T01:44", "").passed("2026-03-29T01:45", "29T01:45 of 29T01:00");
    job(3, 10).passed("2026-03-29T01:09", "").passed("2026-03-29T01:10", "29T01:10 of 29T01:00");
    // It is the same deadline on the days after.
    let weekly = || Case { zone, ..case(&sundays, "2026-01-01T00:00") }.deadline(2, 45);
    weekly().passed("2026-03-29T01:30", "29T01:30 of 29T01:00").passed("2026-03-31T12:00", "29T01:30 of 29T01:00");
    // A slot behind the deadline has the next day's.
    job(2, 10).passed("2026-03-29T09:00", "").passed("2026-03-30T00:10", "30T00:10 of 29T01:00");
}
