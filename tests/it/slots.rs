//! Due instants against answers that were worked out without this program: tests/data/expected-slots.jsonl.gz (37 zones, 14 schedules, 2024 to
//! 2030, checked against brute force per minute).

use std::io::{BufRead as _, BufReader};

use chrono::{DateTime, Utc};
use etlsched::schedule::{MonthDay, Schedule, ShortMonth, TimeOfDay};
use etlsched::zone::Zone;
use sha2::{Digest as _, Sha256};

use crate::etl::{Etl, repository};

#[test]
fn the_instants_of_seven_years_are_those_of_an_independent_oracle() {
    let lines = expected("expected-slots.jsonl.gz");
    let header = &lines[0];
    let at = |key: &str| DateTime::from_timestamp(header[key].as_i64().expect("seconds"), 0).expect("an instant");
    let (from, to) = (at("from"), at("to"));
    let (first, second) = lines[1..].split_at(lines.len() / 2);
    // Two threads: 14 schedules in 37 zones are some 30 million instants.
    let problems: Vec<String> = std::thread::scope(|scope| {
        let check = |part: &[serde_json::Value]| part.iter().filter_map(|line| difference(line, from, to)).collect::<Vec<_>>();
        let other = scope.spawn(move || check(second));
        let mut problems = check(first);
        problems.extend(other.join().expect("the other half"));
        problems
    });
    assert_eq!(lines.len(), 1 + 14 * 37, "the file was cut");
    assert_eq!(problems, Vec::<String>::new());
}

fn difference(line: &serde_json::Value, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<String> {
    let (zone, text) = (line["zone"].as_str().expect("a zone"), line["schedule"].as_str().expect("a schedule"));
    let slots = schedule(text).between(Zone::bundled(zone).expect("a known zone"), from, to);
    let mut hash = Sha256::new();
    for slot in &slots {
        hash.update(format!("{}\n", slot.at.timestamp()));
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let is_equal = line["count"] == slots.len() && line["sha256"] == hash.as_str();
    (!is_equal).then(|| format!("{zone} {text}: {} slots of {}", slots.len(), line["count"]))
}

fn schedule(text: &str) -> Schedule {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |index: usize| parts[index].parse::<u8>().expect("a number");
    let time = |index: usize| TimeOfDay { hour: number(index), minute: number(index + 1) };
    match parts[0] {
        "15min" => Schedule::Interval { every_minutes: 15, minute: 0 },
        "30min" => Schedule::Interval { every_minutes: 30, minute: 0 },
        "hourly" => Schedule::Interval { every_minutes: 60, minute: number(1) },
        "daily" => Schedule::Daily(time(1)),
        "weekly" => Schedule::Weekly(vec![number(1)], time(2)),
        "monthly" => Schedule::Monthly(vec![MonthDay::Day(number(1))], ShortMonth::Clip, time(2)),
        other => panic!("a kind that the oracle doesn't have: {other}"),
    }
}

fn expected(name: &str) -> Vec<serde_json::Value> {
    let file = std::fs::File::open(repository().join("tests/data").join(name)).expect("the oracle's answers");
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect()
}

#[test]
fn every_zone_of_both_databases_agrees_with_brute_force_per_minute() {
    let bundled = expected("all-zones-2025b.jsonl.gz");
    let newer = expected("all-zones-2026f.jsonl.gz");
    let (of_bundled, of_newer) = std::thread::scope(|scope| {
        let other = scope.spawn(|| differences(&newer, newer_zone));
        (
            differences(&bundled, |name| Zone::bundled(name).unwrap_or_else(|| panic!("{name} is unknown"))),
            other.join().expect("the other half"),
        )
    });
    assert_eq!((of_bundled, of_newer), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn the_systems_newer_rules_are_used_and_named() {
    // 2026f has no winter time in Vancouver from 2026 on.
    let job = "timezone: America/Vancouver\nhour: 6\ndata_sources:\n  - path: x.csv\n";
    let next = |folder: &str| {
        let etl = Etl::new().env("TZDIR", folder).file("jobs/v.yaml", job);
        let next = etl.run(&["next", "v", "-n", "1", "--from", "2026-12-01", "-o", "json"]).exits(0).json();
        (next["jobs"][0]["slots"][0]["at"].clone(), next["tzdata"]["version"].clone())
    };
    let newer = repository().join("tests/data/zoneinfo-2026f");
    assert_eq!(next(&newer.display().to_string()), ("2026-12-01T13:00:00Z".into(), "2026f".into()));
    // A folder without a version is not trusted to be newer.
    assert_eq!(next("/nonexistent"), ("2026-12-01T14:00:00Z".into(), "2025b".into()));
}

/// The zone by the newer rules: the few files that differ stand in tests/data/zoneinfo-2026f.
fn newer_zone(name: &str) -> Zone {
    match std::fs::read(repository().join("tests/data/zoneinfo-2026f").join(name)) {
        Ok(bytes) => Zone::compiled(name, &bytes).expect("a compiled zone"),
        Err(_) => Zone::bundled(name).unwrap_or_else(|| panic!("{name} is unknown")),
    }
}

fn differences(lines: &[serde_json::Value], zone: impl Fn(&str) -> Zone) -> Vec<String> {
    let header = &lines[0];
    let at = |value: &serde_json::Value| DateTime::from_timestamp(value.as_i64().expect("seconds"), 0).expect("an instant");
    let (from, to) = (at(&header["from"]), at(&header["to"]));
    let margin = header["margin"].as_i64().expect("seconds");
    let texts: Vec<&str> = header["schedules"].as_array().expect("a list").iter().filter_map(|text| text.as_str()).collect();
    let zones: usize = lines[1..].iter().map(|line| line["zones"].as_array().expect("names").len()).sum();
    assert!(zones > 590 && texts.len() == 16, "the file was cut: {zones} zones");
    let mut found = Vec::new();
    for line in &lines[1..] {
        let names: Vec<&str> = line["zones"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
        let changes: Vec<i64> = line["changes"].as_array().expect("changes").iter().filter_map(|change| change.as_i64()).collect();
        for (text, answer) in texts.iter().zip(line["answers"].as_array().expect("answers")) {
            let expected = answer[0].as_u64().expect("a number");
            // The answers to the interval kinds are of the time around changes only; the other test counts the rest.
            let spans = if expected > 20_000 { around(&changes, margin, header) } else { vec![(from, to)] };
            let schedule = odd_schedule(text);
            let slots: Vec<_> = spans.iter().flat_map(|(from, to)| schedule.between(zone(names[0]), *from, *to)).collect();
            let mut hash = Sha256::new();
            for slot in &slots {
                hash.update(format!("{}\n", slot.at.timestamp()));
            }
            let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            if answer[1] != hash.as_str() || expected <= 20_000 && expected != slots.len() as u64 {
                found.push(format!("{} {text}: {} slots of {expected}", names[0], slots.len()));
            }
        }
    }
    found
}

/// The time within `margin` seconds of a change, both ends counted in, as spans that don't touch.
fn around(changes: &[i64], margin: i64, header: &serde_json::Value) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let limit = |key: &str| header[key].as_i64().expect("seconds");
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for change in changes {
        let (from, to) = ((change - margin).max(limit("from")), (change + margin + 1).min(limit("to")));
        match spans.last_mut() {
            Some((_, end)) if *end >= from => *end = to,
            _ => spans.push((from, to)),
        }
    }
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).expect("an instant");
    spans.into_iter().map(|(from, to)| (at(from), at(to))).collect()
}

fn odd_schedule(text: &str) -> Schedule {
    if let Some(line) = text.strip_prefix("cron:") {
        return Schedule::Cron(line.to_owned());
    }
    let (kind, rest) = text.split_once(':').expect("kind:rest");
    match kind {
        "15min" => Schedule::Interval { every_minutes: 15, minute: rest.parse().expect("a minute") },
        "30min" => Schedule::Interval { every_minutes: 30, minute: rest.parse().expect("a minute") },
        "monthly" if rest.starts_with("last:") => {
            let (hour, minute) = rest[5..].split_once(':').expect("HH:MM");
            let time = TimeOfDay { hour: hour.parse().expect("an hour"), minute: minute.parse().expect("a minute") };
            Schedule::Monthly(vec![MonthDay::Last], ShortMonth::Clip, time)
        }
        _ => schedule(text),
    }
}
