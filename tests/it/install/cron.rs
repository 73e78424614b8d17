//! Debian's own cron and crontab, in a mount namespace of their own: the machine's crontabs and daemons are never touched.

use std::path::Path;
use std::process::{Command, Stdio};

use super::fake::{job, strangers};
use crate::etl::{Ended, Etl};

/// Fake seconds a second: two hours and a half take three quarters of one.
const SPEED: i64 = 200;

/// Demands the programs that these tests are about.
#[track_caller]
fn demand(programs: &[(&str, &str)]) {
    for (program, package) in programs {
        let is_there = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).exists());
        assert!(is_there, "{program} is missing; install it: apt-get install --no-install-recommends {package}");
    }
    assert!(rustix::process::geteuid().is_root(), "mount namespaces need root: sudo -E tests/run.sh");
}

/// A workspace on a machine whose crontabs are in the folder `spool` of the workspace.
struct Private {
    etl: Etl,
}

impl Private {
    fn new(etl: Etl) -> Self {
        demand(&[("cron", "cron"), ("crontab", "cron"), ("faketime", "faketime"), ("unshare", "util-linux")]);
        std::fs::create_dir_all(etl.path("spool/crontabs")).expect("a folder");
        Self { etl }
    }

    /// Runs a script with the namespace's crontabs in place of the machine's; `$0` is the program under test.
    #[track_caller]
    fn run(&self, script: &str) -> Ended {
        let inside = format!(
            "set -e; mount --bind '{}' /var/spool/cron; mount -t tmpfs none /run; mount -t tmpfs none /etc/cron.d; \
             mount --bind /dev/null /etc/crontab; {script}",
            self.etl.path("spool").display()
        );
        let output = Command::new("timeout")
            .args([
                "--kill-after=5",
                "120",
                "unshare",
                "--mount",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                &inside,
                env!("CARGO_BIN_EXE_etlsched"),
            ])
            .current_dir(self.etl.path("."))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.etl.path("."))
            .env("TZ", "Europe/Berlin")
            .stdin(Stdio::null())
            .output()
            .expect("unshare starts");
        Ended::new(&self.etl, &[script], output)
    }

    #[track_caller]
    fn listed(&self) -> Vec<u8> {
        self.run("crontab -l >listed");
        std::fs::read(self.etl.path("listed")).expect("a listing")
    }
}

#[test]
fn crontabs_of_strangers_come_through_the_real_crontab_program() {
    let machine = Private::new(Etl::new().file("jobs/daily.yaml", job("schedule_type: daily\n")));
    machine.run("\"$0\" schedule install --yes && crontab -l >listed && \"$0\" schedule status && \"$0\" schedule remove --yes").exits(0);
    assert!(String::from_utf8(machine.listed()).expect("UTF-8").is_empty(), "there was no crontab, and there is none");
    for (path, bytes) in strangers() {
        machine.etl.write("spool/crontabs/root", &bytes);
        let before = machine.listed();
        machine
            .run("\"$0\" schedule install --yes && crontab -l >installed && \"$0\" schedule status && \"$0\" schedule remove --yes")
            .exits(0);
        let installed = std::fs::read(machine.etl.path("installed")).expect("a listing");
        assert!(installed.starts_with(&before) && installed.ends_with(b"\n"), "{}: after install", path.display());
        // This program takes no last line without a line end.
        let ended = |bytes: Vec<u8>| if bytes.ends_with(b"\n") { bytes } else { [bytes, b"\n".to_vec()].concat() };
        assert_eq!(machine.listed(), ended(before), "{}: after remove", path.display());
        // It lists a carriage return as two characters, so its file is looked at too: three lines of its own, then the crontab.
        let spool = std::fs::read(machine.etl.path("spool/crontabs/root")).expect("the spool's file");
        let own = spool.split_inclusive(|byte| *byte == b'\n').take(3).map(<[u8]>::len).sum::<usize>();
        if bytes.contains(&b'\r') {
            assert_eq!(spool[own..], ended(bytes), "{}: the file after remove", path.display());
        }
    }
}

/// Stands for the user's shell in a crontab, above our block: notes what cron started and when by its clock, and starts it.
const SHELL: &str = r#"#!/bin/sh
cd WORKSPACE
now=$(( BASE + ($(date +%s%N) - $(cat start)) * SPEED / 1000000000 ))
echo "$now $2" >>fired
case $2 in
stop) kill "$(cat /run/crond.pid)" ;;
*) ETLSCHED_NOW=$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%SZ) exec /bin/sh -c "$2" 2>>errors ;;
esac
"#;

/// Lets Debian's cron run from an instant, as fast as it can, until the local time of a crontab's five fields; returns what it started:
/// (seconds since 1970, the command).
fn fired(from: i64, until: &str, jobs: &[(&str, &str)]) -> (Private, Vec<(i64, String)>) {
    let mut etl = Etl::new();
    for (id, keys) in jobs {
        etl = etl.file(&format!("jobs/{id}.yaml"), format!("{}    target: {id}\n", job(keys)));
    }
    let machine = Private::new(etl.file("data/rows.csv", "id\n1\n"));
    let workspace = machine.etl.path("").display().to_string();
    let shell = SHELL.replace("WORKSPACE", &workspace).replace("BASE", &from.to_string()).replace("SPEED", &SPEED.to_string());
    machine.etl.write("shell", shell);
    machine.etl.write("spool/crontabs/root", format!("SHELL={workspace}/shell\nMAILTO=\"\"\n{until} stop\n"));
    let instant = chrono::DateTime::from_timestamp(from, 0).expect("an instant");
    let begin = instant.with_timezone(&berlin()).format("@%F %T");
    let noticed = instant.format("%FT%TZ");
    machine
        .run(&format!(
            "chmod 755 shell; chmod 600 spool/crontabs/root; export NO_FAKE_STAT=1; \
             ETLSCHED_NOW={noticed} \"$0\" schedule install --yes --host-zone Europe/Berlin; \
             date +%s%N >start; exec faketime -f '{begin} x{SPEED}' cron -f"
        ))
        .mentions("installed");
    let text = std::fs::read_to_string(machine.etl.path("fired")).expect("cron started something");
    let line = |line: &str| {
        let (at, command) = line.split_once(' ').expect("an instant and a command");
        (at.parse().expect("seconds"), command.to_owned())
    };
    let fired = text.lines().map(line).collect();
    (machine, fired)
}

fn berlin() -> etlsched::zone::Zone {
    etlsched::zone::Zone::bundled("Europe/Berlin").expect("a zone")
}

/// Demands that cron started each job in the minutes after each of its slots, and that each slot was run once.
#[track_caller]
fn check((machine, fired): &(Private, Vec<(i64, String)>), job: &str, slots: &[&str]) {
    let starts: Vec<i64> = fired.iter().filter(|(_, command)| command.contains(&format!(" run {job} "))).map(|(at, _)| *at).collect();
    for slot in slots {
        let start = at(slot);
        assert!(starts.iter().any(|at| (start..start + 600).contains(at)), "{job}: nothing was started for {slot}: {fired:?}");
    }
    let errors = std::fs::read_to_string(machine.etl.path("errors")).expect("what the runs said");
    assert_eq!(errors, "", "cron would mail this");
    let query = format!(
        "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', due_at) || ' ' || runs.status || ' ' || triggered_by
         FROM runs LEFT JOIN slots ON slots.run_id = runs.id WHERE runs.job = '{job}' ORDER BY 1"
    );
    let expected: Vec<String> = slots.iter().map(|slot| format!("{slot} success schedule")).collect();
    assert_eq!(machine.etl.state().rows(&query), expected, "{job}: {fired:?}");
}

const JOBS: [(&str, &str); 3] = [
    ("gap", "schedule_type: daily\ntimezone: Europe/Berlin\nhour: 2\nminute: 30\n"),
    ("half", "schedule_type: 30min\n"),
    ("tokyo", "schedule_type: daily\ntimezone: Asia/Tokyo\nhour: 10\nminute: 30\n"),
];

#[test]
fn real_cron_starts_every_slot_while_the_clocks_go_forward() {
    // 2026-03-29 02:00 to 03:00 doesn't exist in Berlin: the slot of 02:30 is due at 03:00, which is 01:00 UTC.
    let ended = fired(at("2026-03-28T23:58:50Z"), "35 3 * * *", &JOBS);
    check(&ended, "gap", &["2026-03-29T01:00:00Z"]);
    check(&ended, "half", &["2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    check(&ended, "tokyo", &["2026-03-29T01:30:00Z"]);
}

#[test]
fn real_cron_starts_every_slot_while_the_clocks_go_back() {
    // 2026-10-25 02:00 to 03:00 is twice in Berlin: the slot of 02:30 is due at the first, which is 00:30 UTC.
    let ended = fired(at("2026-10-24T23:58:50Z"), "5 3 * * *", &JOBS);
    check(&ended, "gap", &["2026-10-25T00:30:00Z"]);
    check(
        &ended,
        "half",
        &["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
    );
    check(&ended, "tokyo", &["2026-10-25T01:30:00Z"]);
}

fn at(text: &str) -> i64 {
    text.parse::<chrono::DateTime<chrono::Utc>>().expect("an instant").timestamp()
}
