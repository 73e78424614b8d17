//! `schedule export`: what is printed, written and refused; systemd reads its files without a word.

use std::process::Command;

use etlsched::zone::database::Database;

use crate::etl::Etl;

const HOST: [&str; 4] = ["--program", "/usr/bin/etlsched", "--workspace", "/srv/etl"];

fn job(keys: &str) -> String {
    format!("{keys}\ndata_sources:\n  - path: data.csv\n")
}

/// A workspace with jobs of every kind that is due by itself, one that isn't, and one that is switched off.
fn workspace() -> Etl {
    Etl::new()
        .file("jobs/flights.yaml", job("timezone: Europe/Berlin\nhour: 2\nminute: 30"))
        .file("jobs/prices.yaml", job("schedule_type: 15min\nminute: 7"))
        .file("jobs/sales_eu.yaml", job("schedule_type: weekly\nday_of_week: [mon, thu]\nhour: 1\ntimezone: Europe/Paris"))
        .file("jobs/by-hand.yaml", job("schedule_type: manual"))
        .file("jobs/off.yaml", job("is_active: false"))
}

fn export<'a>(format: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["schedule", "export", "--format", format][..], more].concat()
}

const LEFT_OUT: &str = "job by-hand: left out, it runs by hand only\njob off: left out, its file says is_active: false\n";

#[test]
fn a_crontab_is_printed_for_another_host() {
    let etl = workspace();
    let block = format!(
        "# BEGIN etlsched ########-####-7###-####-############-af60192b
# Made by etlsched {} for /srv/etl
# Times of Europe/Berlin, by {}
# flights: Daily at 02:30, Europe/Berlin
30 2 * * * /usr/bin/etlsched -C /srv/etl run flights --scheduled
0 3 * * * /usr/bin/etlsched -C /srv/etl run flights --scheduled
# prices: Every 15 minutes from minute 7, UTC
7,22,37,52 * * * * /usr/bin/etlsched -C /srv/etl run prices --scheduled
# sales_eu: Weekly on Monday and Thursday at 01:00, Europe/Paris
0 1 * * 1,4 /usr/bin/etlsched -C /srv/etl run sales_eu --scheduled
# What became due while the host was down
@reboot /usr/bin/etlsched -C /srv/etl run --due --scheduled
# END etlsched ########-####-7###-####-############-af60192b
",
        env!("CARGO_PKG_VERSION"),
        Database::bundled()
    );
    let arguments = [&export("crontab", &["--host-zone", "Europe/Berlin"])[..], &HOST].concat();
    // An empty folder of rules: those that the program brings, whatever this machine has.
    let etl = etl.env("TZDIR", "/nonexistent");
    let first = etl.run(&arguments).exits(0).prints(&block).says(LEFT_OUT);
    let again = etl.run(&arguments).exits(0);
    assert_eq!(first.stdout, again.stdout);
    let id = etl.state().value("SELECT id FROM workspace");
    let json = etl.run(&[&arguments[..], &["--output", "json"]].concat()).exits(0).json();
    assert!(json["files"][0]["text"].as_str().is_some_and(|text| text.starts_with(&format!("# BEGIN etlsched {id}-af60192b\n"))), "{json}");
}

#[test]
fn without_more_it_is_for_this_machine() {
    let etl = workspace();
    let ended = etl.env("TZ", "Asia/Tokyo").run(&export("crontab", &["prices"])).exits(0);
    let program = env!("CARGO_BIN_EXE_etlsched");
    assert!(ended.stdout.contains("# Times of Asia/Tokyo, by tzdata "), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("\n7,22,37,52 * * * * {program} -C /workspace")), "{}", ended.stdout);
    assert!(!ended.stdout.contains("flights") && ended.stdout.contains(" run prices --scheduled\n"), "{}", ended.stdout);
}

#[test]
fn a_bad_file_stops_all_and_nothing_is_printed() {
    let etl = workspace().file("jobs/bad.yaml", job("hour: 24"));
    let ended = etl.run(&export("crontab", &[])).exits(4).prints("");
    assert!(ended.stderr.starts_with("jobs/bad.yaml:1:7: error: hour"), "{}", ended.stderr);
    etl.run(&export("crontab", &["prices"])).exits(0);
    etl.run(&export("crontab", &["prices", "bad"])).exits(4).prints("");
    etl.run(&export("crontab", &["price"])).exits(2).prints("").says("error: unknown job price\nhint: did you mean prices?\n");
}

#[test]
fn what_a_crontab_can_t_say_is_refused_with_a_remedy() {
    let etl = workspace().env("TZ", "UTC");
    for path in ["/srv/my etl", "/srv/100%", "/srv/a\\b"] {
        let sign = path.chars().find(|sign| " %\\".contains(*sign)).expect("a sign");
        let expected = format!(
            "error: the workspace's path {path:?} has {sign:?}, which cron or its shell reads as something else\n\
             hint: move the workspace to a folder of letters, digits and ./_-+,@:=\n"
        )
        .replace('\\', "\\");
        etl.run(&export("crontab", &["--workspace", path, "--program", "/usr/bin/etlsched"])).exits(4).prints("").says(&expected);
    }
    let expected = "error: --workspace \"etl\" is not an absolute path\nhint: schedulers start jobs in a folder of their own\n";
    etl.run(&export("crontab", &["--workspace", "etl"])).exits(2).says(expected);
    let etl = etl.file("etlsched.yaml", "crontab_environment: {MAILTO: ops@example.org, CRON_TZ: UTC}\n");
    let expected =
        "error: crontab_environment: CRON_TZ would move every line of the block\nhint: leave it out: each job has its own timezone\n";
    etl.run(&export("crontab", &HOST)).exits(4).prints("").says(expected);
}

#[test]
fn an_unknown_zone_of_the_host_is_refused() {
    let etl = workspace();
    let expected = "error: --host-zone \"Berlin\" is no time zone of the IANA database\nhint: did you mean Europe/Berlin?\n";
    etl.run(&export("crontab", &["--host-zone", "Berlin"])).exits(2).prints("").says(expected);
    let expected = "error: TZ=\"CET-1CEST,M3.5.0,M10.5.0/3\" names no time zone of the IANA database\nhint: name the host's: --host-zone Europe/Berlin\n";
    etl.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3").run(&export("launchd", &[])).exits(2).prints("").says(expected);
}

#[test]
fn several_files_of_which_none_joins_the_next_need_a_folder() {
    let etl = workspace();
    let place = ["--program", r"C:\etlsched.exe", "--workspace", r"C:\etl"];
    let expected = "error: 3 files for windows can't be printed one behind the other\nhint: name a folder with --out, or one job\n";
    etl.run(&[&export("windows", &[])[..], &place].concat()).exits(2).prints("").says(&format!("{LEFT_OUT}{expected}"));
    etl.run(&[&export("windows", &["--out", "tasks"])[..], &place].concat()).exits(0).prints("wrote 3 files into tasks\n");
    let output = etl.command(&[&export("windows", &["flights"])[..], &place].concat()).output().expect("the program starts");
    let written = std::fs::read_dir(etl.path("tasks")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let flights = written.into_iter().find(|path| path.to_string_lossy().ends_with("-flights.xml")).expect("the task of flights");
    assert_eq!(output.stdout, std::fs::read(flights).expect("a file"), "printed and written alike");
}

#[cfg(unix)]
#[test]
fn files_are_written_whole_and_readable_by_all() {
    use std::os::unix::fs::PermissionsExt as _;

    let etl = workspace().file("units/etlsched-af60192b-flights.timer", "an old one");
    let arguments = [&export("systemd", &["--out", "units"])[..], &HOST].concat();
    let mut command = Command::new("sh");
    let line = format!("umask 077; exec {} {}", env!("CARGO_BIN_EXE_etlsched"), arguments.join(" "));
    let output = command.args(["-c", &line]).current_dir(etl.path("")).env_clear().output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "wrote 6 files into units\n");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(etl.path("units")).expect("a folder") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("a file").permissions().mode() & 0o777, 0o644, "{entry:?}");
        names.push(entry.file_name().into_string().expect("a name"));
    }
    names.sort();
    let expected: Vec<String> = ["flights", "prices", "sales_eu"]
        .iter()
        .flat_map(|job| ["service", "timer"].map(|ending| format!("etlsched-af60192b-{job}.{ending}")))
        .collect();
    assert_eq!(names, expected);
    let timer = std::fs::read_to_string(etl.path("units/etlsched-af60192b-flights.timer")).expect("a file");
    assert!(timer.contains("OnCalendar=*-*-* 00,01:30:00 UTC\nOnCalendar=*-*-* 01:00:00 UTC\n"), "{timer}");
}

#[test]
fn kubernetes_wants_a_store_that_hosts_share_and_shows_nothing_of_it() {
    let etl = workspace();
    let expected = "error: the state store is a file, and Kubernetes starts runs on several hosts\nhint: write state: postgresql://... into etlsched.yaml\n";
    etl.run(&[&export("kubernetes", &[])[..], &HOST].concat()).exits(4).prints("").says(expected);
    let etl = etl.file("etlsched.yaml", "state: \"postgresql://etl:${PASSWORD}@127.0.0.1:1/etl\"\n").env("PASSWORD", "hush-hush");
    let ended = etl.run(&[&export("kubernetes", &[])[..], &HOST].concat()).exits(0).says(LEFT_OUT);
    assert_eq!(ended.stdout.matches("\nkind: CronJob\n").count(), 5, "{}", ended.stdout);
    assert!(!ended.stdout.contains("hush-hush") && !ended.stdout.contains("postgresql"), "{}", ended.stdout);
    for refused in [&["run", "prices"][..], &["list"], &export("crontab", &[])] {
        etl.run(refused).exits(1).mentions("state store postgresql://127.0.0.1:1/etl: ");
    }
    assert!(!etl.path(".etlsched").exists(), "no store was made");
}

#[test]
fn without_jobs_that_are_due_nothing_is_printed() {
    let etl = Etl::new().file("jobs/by-hand.yaml", job("schedule_type: manual"));
    let expected = "job by-hand: left out, it runs by hand only\nno jobs are due by themselves\n";
    etl.run(&export("systemd", &[])).exits(0).prints("").says(expected);
}

#[test]
fn systemd_waits_for_no_overlap_and_says_so() {
    let etl = workspace().file("jobs/slow.yaml", job("on_overlap: wait"));
    let expected = "error: job slow: on_overlap: wait has no effect, since systemd doesn't start a job that runs\nhint: set on_overlap: skip, or use a crontab\n";
    etl.run(&export("systemd", &[])).exits(4).prints("").says(expected);
}

/// Schedules of every kind in zones that test the rules: whatever systemd has to say about any file or time is an error.
#[cfg(target_os = "linux")]
#[test]
fn systemd_accepts_every_file_and_time_without_a_word() {
    let schedules = [
        "hour: 2\nminute: 30",
        "schedule_type: 15min\nminute: 7",
        "schedule_type: 30min",
        "schedule_type: hourly\nminute: 15",
        "schedule_type: weekly\nday_of_week: [mon, sun]\nhour: 0\nminute: 15",
        "schedule_type: monthly\nday_of_month: [1, 31, last]\nhour: 8",
        "schedule: \"30 2 13 * fri\"",
        "schedule: \"*/7 1-23/3 1-9 */5 *\"",
        "schedule: \"0 5 29 2 *\"",
        "catch_up_wakeups: hourly",
    ];
    let zones = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"];
    let etl = Etl::new();
    for (index, schedule) in schedules.iter().enumerate() {
        for zone in zones {
            let name = zone.to_lowercase().replace('/', "-");
            etl.write(&format!("jobs/job-{index}-{name}.yaml"), job(&format!("{schedule}\ntimezone: {zone}")));
        }
    }
    // A folder that has to be quoted, and a program that exists.
    let place = ["--user", "root", "--workspace", "/srv/my $etl 100%"];
    let arguments = export("systemd", &["--out", "units", "--scope", "user"]);
    etl.run(&[&arguments[..], &place].concat()).exits(0).prints("wrote 80 files into units\n");
    let arguments = export("systemd", &["--out", "system", "--scope", "system", "job-0-utc", "job-4-europe-berlin"]);
    etl.run(&[&arguments[..], &place].concat()).exits(0).prints("wrote 4 files into system\n");
    let units = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(etl.path(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path().display().to_string()).collect()
    };
    for (scope, folder) in [("--user", "units"), ("--system", "system")] {
        let (is_good, said) = analyze(&etl, [scope.to_owned(), "verify".to_owned()].into_iter().chain(units(folder)));
        assert!(is_good && said.is_empty(), "systemd-analyze {scope} verify: {said}");
    }
    let texts: Vec<String> = units("units").iter().map(|unit| std::fs::read_to_string(unit).expect("a unit")).collect();
    let events = texts.iter().flat_map(|text| text.lines().filter_map(|line| line.strip_prefix("OnCalendar=")));
    let mut events: Vec<String> = events.map(str::to_owned).collect();
    assert!(events.len() >= 40, "a time for each job: {events:?}");
    events.sort();
    events.dedup();
    let (is_good, said) = analyze(&etl, ["calendar".to_owned()].into_iter().chain(events));
    assert!(is_good && said.is_empty(), "systemd-analyze calendar: {said}");
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_convicts_a_unit_with_a_planted_fault() {
    let etl = workspace();
    etl.run(&export("systemd", &["--out", "units", "flights"])).exits(0);
    let timer = std::fs::read_dir(etl.path("units")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let timer = timer.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "timer")).expect("a timer");
    let text = std::fs::read_to_string(&timer).expect("a file");
    std::fs::write(&timer, text.replace("00,01:30", "00,25:30")).expect("a file");
    let (_, said) = analyze(&etl, ["--user".to_owned(), "verify".to_owned(), timer.display().to_string()].into_iter());
    assert!(said.contains("25:30"), "{said}");
}

/// Whether systemd-analyze is content, and what it said on standard error.
#[cfg(target_os = "linux")]
fn analyze(etl: &Etl, arguments: impl Iterator<Item = String>) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    // Without a session there is no folder for the user's manager.
    command.env("XDG_RUNTIME_DIR", etl.path("")).args(arguments);
    let output = command.output().expect("systemd-analyze; install it: apt-get install systemd");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
