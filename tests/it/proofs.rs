//! Entries as they are emitted, proved by simulation: `schedule prove` over hosts and jobs in many zones, and over planted bad crontabs.

use crate::etl::Etl;

/// Zones whose clocks change in every way: by an hour, half an hour, two hours, at midnight, in the other half of the year, never.
const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "UTC",
];

const KINDS: [&str; 8] = [
    "schedule_type: 15min\nminute: 7",
    "schedule_type: 30min",
    "schedule_type: hourly\nminute: 45",
    "schedule_type: daily\nhour: 2\nminute: 30",
    "schedule_type: daily\nhour: 0\nminute: 5",
    "schedule_type: weekly\nday_of_week: [mon, sun]\nhour: 1\nminute: 59",
    "schedule_type: monthly\nday_of_month: [1, last]\nhour: 23\nminute: 30",
    "schedule: \"*/20 1-3 * * *\"",
];

fn workspace() -> Etl {
    let mut etl = Etl::new();
    for (index, zone) in ZONES.iter().enumerate() {
        // Every zone has three kinds, every kind three zones.
        for step in [0, 3, 5] {
            let kind = (index + step) % KINDS.len();
            let text = format!("timezone: {zone}\n{}\ndata_sources:\n  - path: x.csv\n    target: t{index}_{kind}\n", KINDS[kind]);
            etl = etl.file(&format!("jobs/j{index}-{kind}.yaml"), &text);
        }
    }
    etl
}

#[test]
fn every_slot_is_started_once_under_every_scheduler_wherever_host_and_job_are() {
    let etl = workspace();
    for host in ZONES {
        let proved = etl.run(&["schedule", "prove", "--host-zone", host, "--years", "1", "-o", "json"]).exits(0).json();
        let proofs = proved["jobs"].as_array().expect("proofs");
        let broken: Vec<_> = proofs.iter().filter(|proof| proof["holds"] != true || proof["lateness_seconds"] != 0).collect();
        assert!(broken.is_empty(), "on a host in {host}: {broken:#?}");
        assert_eq!(proofs.len(), 24 * 4);
        assert!(proofs.iter().all(|proof| proof["due"].as_u64().is_some_and(|due| due >= 12)), "a job without slots proves nothing");
    }
}

/// A crontab of one line for a daily job at 02:30 in Berlin is convicted with the fault; each scheduler is asked alone.
#[track_caller]
fn convicts(daemon: &str, host: &str, crontab: &str, fault: &str) {
    let run = "/bin/etlsched -C /srv/etl run sales";
    let etl = Etl::new()
        .csv_job("sales", "", "a\n1\n")
        .file("jobs/sales.yaml", "timezone: Europe/Berlin\nhour: 2\nminute: 30\ndata_sources:\n  - path: jobs/data/sales.csv\n")
        .file("crontab", crontab.replace("RUN", run));
    let arguments = [
        "schedule",
        "prove",
        "--program",
        "/bin/etlsched",
        "--workspace",
        "/srv/etl",
        "--daemon",
        daemon,
        "--host-zone",
        host,
        "--years",
        "2",
        "--crontab",
        "crontab",
    ];
    etl.run(&arguments).exits(10).mentions(fault).mentions("not every slot is started once and in time (1 of 1 proof)");
}

#[test]
fn planted_bad_crontabs_are_convicted() {
    convicts("cronie", "UTC", "CRON_TZ=Europe/Berlin\n30 2 * * * RUN --scheduled\n", "is never started");
    convicts("debian", "UTC", "CRON_TZ=Europe/Berlin\n30 2 * * * RUN --scheduled\n", "starts 3600 s late");
    convicts("busybox", "Europe/Berlin", "30 2 * * * RUN --scheduled\n", "is never started");
    convicts("debian", "America/New_York", "30 19,20,21 * * * RUN --scheduled\n", "s late");
    convicts("cronie", "Europe/Berlin", "30 2 * * 1-6 RUN --scheduled\n0 3 * * 1-6 RUN --scheduled\n", "is never started");
    convicts("debian", "Europe/Berlin", "30 2 * * * RUN\n0 3 * * * RUN --scheduled\n0 4 * * * RUN\n", "again");
}

#[test]
fn a_crontab_that_can_not_be_read_proves_nothing() {
    let etl = Etl::new().csv_job("sales", "", "a\n1\n").file("crontab", "5/15 * * * * /bin/etlsched run sales --scheduled\n");
    etl.run(&["schedule", "prove", "--program", "/bin/etlsched", "--crontab", "crontab"]).exits(4).says(
        "error: job sales, line 1: minute: \"5/15\" has a step behind a single value\n\
         hint: a line that its scheduler can't read starts nothing; see: etlsched schedule export\n",
    );
    etl.write("crontab", "");
    let empty = etl.run(&["schedule", "prove", "--crontab", "crontab"]).exits(10);
    assert_eq!(empty.stdout.lines().filter(|line| !line.is_empty()).count(), 2, "{}", empty.stdout);
    empty.mentions("sales: no line starts it, so all of its ").mentions("not every slot is started once and in time");
    etl.write(
        "crontab",
        "# cd /x && /bin/etlsched run sales\n0 10 * * * cd /x && /bin/etlsched run sales --scheduled\n0 10 * * * /bin/etlsched -C /x run sales --scheduled\n\
         0 11 * * * /bin/etlsched run other --scheduled\n0 12 * * * /bin/etlsched run sales --scheduled; mail\n0 13 * * * /bin/etlsched run sales --scheduled",
    );
    etl.run(&["schedule", "prove", "sales", "--program", "/bin/etlsched", "--crontab", "crontab"]).exits(10).says(
        "line 2 is not read: its command begins with cd, and would have to be the program by its whole path\n\
         line 3 is not read: -C /x is another workspace\n\
         line 5 is not read: what --scheduled; does in it is not known\n\
         line 6 is not read: it has no line end, and daemons leave such a last line out\n\
         hint: a line that is read calls: /bin/etlsched -C /workspace____________ run sales --scheduled\n",
    );
    etl.run(&["schedule", "prove", "--crontab", "absent"]).exits(1).mentions("reading absent: ");
    etl.run(&["schedule", "prove", "--host-zone", "Europe/Berlinn"]).exits(2).mentions("did you mean Europe/Berlin?");
}

#[test]
fn a_job_that_systemd_can_not_be_told_of_is_proved_under_the_others() {
    let etl = Etl::new().file("jobs/sales.yaml", "on_overlap: wait\ndata_sources:\n  - path: x.csv\n");
    let proved = etl.run(&["schedule", "prove", "--host-zone", "UTC", "--years", "1", "-o", "json"]).exits(0);
    assert_eq!(proved.json()["jobs"].as_array().map(Vec::len), Some(3));
    proved.mentions("note: systemd is left out: job sales: ");
    etl.run(&["schedule", "prove", "--host-zone", "UTC", "--daemon", "systemd"]).exits(4).mentions("job sales: ");
}
