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
        let out = etl.run(["schedule", "prove", "--host-zone", host, "--years", "1", "-o", "json"]);
        let proved: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
        let proofs = proved["jobs"].as_array().expect("proofs");
        let broken: Vec<_> = proofs.iter().filter(|proof| proof["holds"] != true || proof["lateness_seconds"] != 0).collect();
        assert!(broken.is_empty(), "on a host in {host}: {broken:#?}");
        assert_eq!((proofs.len(), out.code), (24 * 4, 0), "{}", out.stderr);
        assert!(proofs.iter().all(|proof| proof["due"].as_u64().is_some_and(|due| due >= 12)), "a job without slots proves nothing");
    }
}
