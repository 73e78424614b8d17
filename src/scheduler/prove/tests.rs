//! Good entries hold under every daemon; planted bad ones are convicted.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Claim, Daemon, Proof, Script, prove};
use crate::schedule::{Schedule, TimeOfDay};
use crate::zone::Zone;

const RUN: &str = "/usr/bin/etlsched -C /srv/etl run sales --scheduled";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn daily(hour: u8, minute: u8) -> Schedule {
    Schedule::Daily(TimeOfDay { hour, minute })
}

/// The proof for a year with both changes; each line of `text` that begins with five fields gets the command.
fn proof(host: &str, zone: &str, schedule: &Schedule, daemon: Daemon, text: &str) -> Proof {
    let script = Script::of_crontab(text, "sales").unwrap();
    let claim = Claim {
        job: "sales",
        schedule,
        zone: Zone::parse(zone).unwrap(),
        host_zone: Zone::parse(host).unwrap(),
        daemon,
        from: at("2026-01-01T00:00:00Z"),
        until: at("2027-01-01T00:00:00Z"),
    };
    prove(&script, &claim)
}

const CRONS: [Daemon; 3] = [Daemon::Debian, Daemon::Cronie, Daemon::Busybox];

#[track_caller]
fn holds(host: &str, zone: &str, schedule: &Schedule, fields: &[&str]) {
    let text: String = fields.iter().map(|fields| format!("{fields} {RUN}\n")).collect();
    for daemon in CRONS {
        let proof = proof(host, zone, schedule, daemon, &text);
        assert!(proof.holds(TimeDelta::zero()), "{host} {zone} {daemon:?}: {proof:?}");
    }
}

#[track_caller]
fn convicts(host: &str, zone: &str, schedule: &Schedule, daemon: Daemon, text: &str, expected: (u64, u64, i64), fault: &str) {
    let proof = proof(host, zone, schedule, daemon, text);
    assert_eq!((proof.missed, proof.doubled, proof.lateness.num_seconds()), expected, "{proof:?}");
    assert!(!proof.holds(TimeDelta::zero()), "{proof:?}");
    assert_eq!(proof.faults.first().map(String::as_str), Some(fault), "{proof:?}");
}

#[test]
fn natural_lines_with_a_line_at_the_gaps_end_hold() {
    holds("Europe/Berlin", "Europe/Berlin", &daily(2, 30), &["30 2 * * *", "0 3 * * *"]);
    holds("UTC", "Europe/Berlin", &daily(2, 30), &["30 0,1 * * *", "0 1 * * *"]);
    holds("UTC", "America/Santiago", &daily(0, 0), &["0 3,4 * * *"]);
}

#[test]
fn minutes_with_every_hour_hold_wherever_both_zones_change() {
    holds("America/New_York", "Europe/Berlin", &daily(2, 30), &["0,30 * * * *"]);
    holds("Africa/Cairo", "America/Havana", &daily(0, 30), &["0,30 * * * *"]);
    holds("Europe/Berlin", "Asia/Tokyo", &daily(10, 30), &["30 * * * *"]);
    holds("Europe/London", "Asia/Kathmandu", &Schedule::Interval { every_minutes: 30, minute: 0 }, &["15,45 * * * *"]);
    holds("UTC", "Australia/Lord_Howe", &Schedule::Interval { every_minutes: 60, minute: 15 }, &["15,45 * * * *"]);
}

#[test]
fn wakeups_are_counted() {
    let proof = proof("Europe/Berlin", "Asia/Tokyo", &daily(10, 30), Daemon::Debian, &format!("30 * * * * {RUN}\n"));
    assert_eq!((proof.due, proof.started, proof.wakeups), (365, 365, 8760));
    assert!((proof.wakeups_per_run() - 24.0).abs() < 0.1);
}

#[test]
fn cron_tz_is_convicted_where_it_is_ignored_and_where_it_skips_gaps() {
    let text = format!("CRON_TZ=Europe/Berlin\n30 2 * * * {RUN}\n");
    // Debian: 02:30 UTC is an hour or two behind the slot.
    let late = "slot 2026-01-01T02:30 starts 3600 s late";
    convicts("UTC", "Europe/Berlin", &daily(2, 30), Daemon::Debian, &text, (0, 0, 7200), late);
    // cronie: no 02:30 on 2026-03-29; the next firing is a day later and starts its own slot.
    let missed = "slot 2026-03-29T02:30 at 2026-03-29T01:00Z is never started";
    convicts("UTC", "Europe/Berlin", &daily(2, 30), Daemon::Cronie, &text, (1, 0, 0), missed);
}

#[test]
fn a_missing_gap_line_is_convicted_on_busybox() {
    let text = format!("30 2 * * * {RUN}\n");
    let missed = "slot 2026-03-29T02:30 at 2026-03-29T01:00Z is never started";
    convicts("Europe/Berlin", "Europe/Berlin", &daily(2, 30), Daemon::Busybox, &text, (1, 0, 0), missed);
}

#[test]
fn a_fixed_hour_is_convicted_on_a_host_whose_clocks_change() {
    // 10:30 in Tokyo is 02:30 or 03:30 in Berlin; Debian holds the fixed line back in the repeated hour.
    let text = format!("30 2,3 * * * {RUN}\n");
    let late = "slot 2026-10-25T10:30 starts 3600 s late";
    convicts("Europe/Berlin", "Asia/Tokyo", &daily(10, 30), Daemon::Debian, &text, (0, 0, 3600), late);
}

#[test]
fn a_wrong_weekday_is_convicted() {
    let weekly = Schedule::Weekly(vec![0], TimeOfDay { hour: 6, minute: 0 });
    let text = format!("0 6 * * 2 {RUN}\n");
    convicts("UTC", "UTC", &weekly, Daemon::Debian, &text, (0, 0, 86_400), "slot 2026-01-05T06:00 starts 86400 s late");
}

#[test]
fn a_line_past_the_gate_is_convicted() {
    let text = "0 6 * * * /usr/bin/etlsched -C /srv/etl run sales\n0 7 * * * /usr/bin/etlsched -C /srv/etl run sales --scheduled\n";
    convicts("UTC", "UTC", &daily(7, 0), Daemon::Debian, text, (0, 365, 0), "2026-01-01T06:00Z starts a run before any slot is due");
}

#[test]
fn strangers_lines_and_other_jobs_are_not_looked_at() {
    let text = format!(
        "# BEGIN x\nMAILTO=a@b.c\n5 * * * * /bin/true\n@reboot {RUN}\n0 7 * * * /usr/bin/etlsched run other --scheduled\n\t0 7 * * *\t{RUN}\n0 7 * * * {RUN}"
    );
    let script = Script::of_crontab(&text, "sales").unwrap();
    assert_eq!(script.lines.len(), 1, "{script:?}");
    let error = Script::of_crontab(&format!("\n5/15 * * * * {RUN}\n"), "sales").unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (2, "minute: \"5/15\" has a step behind a single value"));
}

#[test]
fn timers_hold_in_utc_and_are_convicted_in_a_zone() {
    let service = format!("[Service]\nType=oneshot\nExecStart={RUN}\n");
    let check = |calendars: &[&str], schedule: &Schedule| {
        let timer: String = calendars.iter().map(|calendar| format!("OnCalendar={calendar}\n")).collect();
        let script = Script::of_timer(&format!("[Timer]\n{timer}"), &service, "sales").unwrap();
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        prove(&script, &Claim { job: "sales", schedule, zone, host_zone: zone, daemon: Daemon::Systemd, from, until })
    };
    let good = check(&["*-*-* 00,01:30:00 UTC", "*-*-* 01:00:00 UTC"], &daily(2, 30));
    assert!(good.holds(TimeDelta::zero()), "{good:?}");
    let quarters = Schedule::Interval { every_minutes: 15, minute: 0 };
    assert!(check(&["*-*-* *:00/15:00 UTC"], &quarters).holds(TimeDelta::zero()));
    // In the zone: the gap's slot is skipped, and the second pass of the repeated hour too.
    assert_eq!(check(&["*-*-* 02:30:00 Europe/Berlin"], &daily(2, 30)).missed, 1);
    assert_eq!(check(&["*-*-* *:00/15:00 Europe/Berlin"], &quarters).missed, 4);
    let weekly = Schedule::Weekly(vec![0], TimeOfDay { hour: 12, minute: 0 });
    assert!(check(&["Mon *-*-* 10,11:00:00 UTC"], &weekly).holds(TimeDelta::zero()));
    assert!(check(&["Mon..Tue *-*-* 10,11:00:00 UTC"], &weekly).holds(TimeDelta::zero()));
    let wrong = Script::of_timer("OnCalendar=weekly\n", &service, "sales").unwrap_err();
    assert_eq!(wrong.message, "\"weekly\" is no calendar event that can be proved");
}

#[test]
fn lines_that_never_run_the_job_are_not_counted() {
    let called = super::Called { job: "sales", workspace: Some("/srv/etl"), is_program: &|path| path == "/usr/bin/etlsched" };
    let count = |command: &str| Script::of_crontab(&format!("0 7 * * * {command}\n"), called).unwrap().lines.len();
    for command in [
        RUN,
        "/usr/bin/etlsched run sales --scheduled -C /srv/etl",
        "/usr/bin/etlsched -C /srv/etl run other sales --scheduled >> /var/log/etl 2>&1",
    ] {
        assert_eq!(count(command), 1, "{command}");
    }
    for command in [
        "/nope/etlsched -C /srv/etl run sales --scheduled",
        "/usr/bin/etlsched -C /srv/other run sales --scheduled",
        "echo /usr/bin/etlsched -C /srv/etl run sales --scheduled",
        "false && /usr/bin/etlsched -C /srv/etl run sales --scheduled",
        "/bin/echo % /usr/bin/etlsched -C /srv/etl run sales --scheduled",
        "root /usr/bin/etlsched -C /srv/etl run sales --scheduled",
        "/usr/bin/etlsched -C /srv/etl run sales --scheduled --dry-run",
        "/usr/bin/etlsched -C /srv/etl run sales --scheduled\r",
        "/usr/bin/etlsched -C /srv/etl list sales",
    ] {
        assert_eq!(count(command), 0, "{command}");
    }
    // Behind the percent sign is input: the gate isn't asked.
    let script = Script::of_crontab("0 7 * * * /usr/bin/etlsched -C /srv/etl run sales % --scheduled\n", called).unwrap();
    assert_eq!(script.lines.iter().map(|line| line.is_gated).collect::<Vec<_>>(), [false]);
}

#[test]
fn busybox_counts_days_from_zero_and_takes_a_range_for_a_restriction() {
    let odd = Schedule::Cron("0 0 */2 * *".to_owned());
    assert!(proof("UTC", "UTC", &odd, Daemon::Debian, &format!("0 0 */2 * * {RUN}\n")).holds(TimeDelta::zero()));
    assert!(!proof("UTC", "UTC", &odd, Daemon::Busybox, &format!("0 0 */2 * * {RUN}\n")).holds(TimeDelta::zero()));
    let weekly = Schedule::Weekly(vec![0], TimeOfDay { hour: 6, minute: 0 });
    let wakeups = |daemon| proof("UTC", "UTC", &weekly, daemon, &format!("0 6 1-31 * 1 {RUN}\n")).wakeups;
    assert_eq!((wakeups(Daemon::Busybox), wakeups(Daemon::Debian)), (365, 365));
    let wakeups = |daemon| proof("UTC", "UTC", &weekly, daemon, &format!("0 6 * * 1 {RUN}\n")).wakeups;
    assert_eq!((wakeups(Daemon::Busybox), wakeups(Daemon::Debian)), (52, 52));
}
