//! systemd timers: files of ours in a folder of strangers, and a `systemctl` that notes what it is told.

use std::collections::BTreeMap;

use super::fake::{Machine, job};

const SYSTEMCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")/..
case "$MODE:$*" in
unreachable:*) echo "Failed to connect to bus: No medium found" >&2; exit 1 ;;
masked:*restart*) echo "Failed to restart timer: Unit is masked." >&2; exit 1 ;;
stopped:*is-active*) for timer in "$@"; do case $timer in etlsched-*) echo inactive ;; esac; done; exit 3 ;;
*is-active*) for timer in "$@"; do case $timer in etlsched-*) echo active ;; esac; done; exit 0 ;;
esac
echo "systemctl $*" >>"$here/calls"
"#;

const LOGINCTL: &str = "#!/bin/sh\necho Linger=no\n";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.program("systemctl", SYSTEMCTL);
    machine.program("loginctl", LOGINCTL);
    machine.etl.write(".config/systemd/user/backup.timer", "[Timer]\nOnCalendar=daily\n");
    machine.etl.write(".config/systemd/user/etlsched-like.service", "# made by hand\n");
    machine
}

/// Returns the unit files by name, the digest of the folder redacted.
fn units(machine: &Machine) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(machine.etl.path(".config/systemd/user")).expect("a folder");
    let files = entries.map(|entry| entry.expect("a file").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (redact(&name), redact(&machine.redact(&std::fs::read_to_string(&path).expect("a unit"))))
        })
        .collect()
}

/// Puts `DIGEST` in the place of the eight digits behind `etlsched-`.
fn redact(text: &str) -> String {
    let mut parts = text.split("etlsched-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let is_digest = part.len() > 8 && part.as_bytes()[..8].iter().all(u8::is_ascii_hexdigit);
        text + "etlsched-" + if is_digest { "DIGEST" } else { "" } + if is_digest { &part[8..] } else { part }
    })
}

fn calls(machine: &Machine) -> Vec<String> {
    let path = machine.etl.path("machine/calls");
    let calls = redact(&std::fs::read_to_string(&path).unwrap_or_default());
    std::fs::remove_file(&path).ok();
    calls.lines().map(str::to_owned).collect()
}

const ARGUMENTS: [&str; 3] = ["--yes", "--scheduler", "systemd"];

fn with(action: &str) -> Vec<&str> {
    [&[action], &ARGUMENTS[..]].concat()
}

#[test]
fn timers_come_and_go_and_other_units_stay() {
    let machine = machine();
    let strangers = units(&machine);
    let ended = machine.schedule(&with("install")).exits(0);
    ended.mentions("hint: let them go on: loginctl enable-linger ");
    let installed = units(&machine);
    let names: Vec<&str> = installed.keys().map(String::as_str).filter(|name| name.contains("DIGEST")).collect();
    assert_eq!(
        names,
        [
            "etlsched-DIGEST-daily.service",
            "etlsched-DIGEST-daily.timer",
            "etlsched-DIGEST-quarter.service",
            "etlsched-DIGEST-quarter.timer"
        ]
    );
    let timer = &installed["etlsched-DIGEST-daily.timer"];
    assert!(timer.contains("OnCalendar=*-*-* 10,11:00:00 UTC\nAccuracySec=1s\nPersistent=true\n"), "{timer}");
    assert_eq!(
        calls(&machine),
        [
            "systemctl --user --no-ask-password show --property=Version",
            "systemctl --user --no-ask-password daemon-reload",
            "systemctl --user --no-ask-password enable etlsched-DIGEST-daily.timer",
            "systemctl --user --no-ask-password restart etlsched-DIGEST-daily.timer",
            "systemctl --user --no-ask-password enable etlsched-DIGEST-quarter.timer",
            "systemctl --user --no-ask-password restart etlsched-DIGEST-quarter.timer",
        ]
    );
    machine.schedule(&with("install")).exits(0).mentions("2 jobs already in the systemd of ");
    machine.schedule(&["status", "--scheduler", "systemd"]).exits(0);
    assert_eq!(calls(&machine), Vec::<String>::new());

    std::fs::remove_file(machine.etl.path("jobs/daily.yaml")).expect("a file");
    machine.schedule(&["status", "--scheduler", "systemd"]).exits(10).mentions("job daily: it has an entry and is not scheduled any more");
    machine.schedule(&with("sync")).exits(0).mentions("removed 1\n");
    assert_eq!(
        calls(&machine),
        [
            "systemctl --user --no-ask-password show --property=Version",
            "systemctl --user --no-ask-password disable --now etlsched-DIGEST-daily.timer",
            "systemctl --user --no-ask-password daemon-reload",
        ]
    );
    machine.schedule(&with("remove")).exits(0).mentions("removed 1 job from the systemd of ");
    assert_eq!(units(&machine), strangers);
}

#[test]
fn a_unit_that_was_edited_by_hand_is_drift_and_is_started_anew() {
    let machine = machine();
    machine.schedule(&with("install")).exits(0);
    let folder = machine.etl.path(".config/systemd/user");
    let timer = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.to_string_lossy().ends_with("-daily.timer"))
        .expect("the timer");
    let text = std::fs::read_to_string(&timer).expect("a timer");
    std::fs::write(&timer, text.replace("10,11:00", "09:30")).expect("a timer");
    calls(&machine);
    let ended = machine.schedule(&["status", "--scheduler", "systemd"]).exits(10);
    ended.mentions("-OnCalendar=*-*-* 09:30:00 UTC\n+OnCalendar=*-*-* 10,11:00:00 UTC\n");
    machine.schedule(&with("sync")).exits(0);
    assert_eq!(std::fs::read_to_string(&timer).expect("a timer"), text);
    assert_eq!(
        calls(&machine)[2..],
        [
            "systemctl --user --no-ask-password enable etlsched-DIGEST-daily.timer",
            "systemctl --user --no-ask-password restart etlsched-DIGEST-daily.timer",
        ]
    );
}

#[test]
fn a_timer_that_somebody_stopped_is_drift() {
    let machine = machine();
    machine.schedule(&with("install")).exits(0);
    let machine = Machine { etl: machine.etl.env("MODE", "stopped") };
    let ended = machine.schedule(&["status", "--scheduler", "systemd"]).exits(10);
    ended.mentions("-# inactive: systemd starts nothing by this timer\n");
    calls(&machine);
    machine.schedule(&with("sync")).exits(1).mentions("look which program changes them");
    let timer = "systemctl --user --no-ask-password restart etlsched-DIGEST-quarter.timer".to_owned();
    assert!(calls(&machine).contains(&timer));
    machine.schedule(&with("remove")).exits(0);
    assert!(units(&machine).keys().all(|name| !name.contains("DIGEST")));
}

#[test]
fn where_systemd_can_t_be_reached_nothing_is_written() {
    let machine = Machine { etl: machine().etl.env("MODE", "unreachable") };
    let before = units(&machine);
    machine
        .schedule(&with("install"))
        .exits(1)
        .mentions("can't be reached: systemctl failed with exit code 1: Failed to connect to bus: No medium found; nothing was written\n")
        .mentions("hint: log in as this user itself (not by su or sudo), add --system as root, or add --scheduler crontab\n");
    assert_eq!(units(&machine), before);
    let machine = Machine { etl: self::machine().etl.env("MODE", "masked") };
    machine.schedule(&with("install")).exits(1).mentions("failed with exit code 1: Failed to restart timer: Unit is masked.\n");
    machine.schedule(&["install", "--yes", "--system"]).exits(2).mentions("hint: add --scheduler systemd\n");
}

#[test]
fn a_unit_of_our_name_that_is_not_ours_is_not_written_over() {
    let machine = machine();
    machine.schedule(&with("install")).exits(0);
    let before: Vec<_> =
        std::fs::read_dir(machine.etl.path(".config/systemd/user")).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    let service = before.iter().find(|path| path.to_string_lossy().ends_with("-daily.service")).expect("the service");
    std::fs::write(service, "[Service]\nExecStart=/by/hand\n").expect("a unit");
    machine.schedule(&with("install")).exits(1).mentions("-daily.service is there and is not of this workspace; nothing was written\n");
    assert_eq!(std::fs::read_to_string(service).expect("a unit"), "[Service]\nExecStart=/by/hand\n");
}

#[test]
fn a_job_that_waits_is_refused_where_systemd_can_t_start_it_twice() {
    let machine = machine();
    machine.etl.write("jobs/waits.yaml", job("schedule_type: hourly\non_overlap: wait\n"));
    let before = units(&machine);
    machine.schedule(&with("install")).exits(4).mentions("job waits: ");
    assert_eq!(units(&machine), before);
}
