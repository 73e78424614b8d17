//! Due instants against answers that were worked out without this program: tests/data/expected-slots.jsonl.gz (37 zones, 14 schedules, 2024 to
//! 2030, checked against brute force per minute).

use std::io::{BufRead as _, BufReader};

use chrono::{DateTime, Utc};
use etlsched::schedule::{MonthDay, Schedule, ShortMonth, TimeOfDay};
use etlsched::zone::Zone;
use sha2::{Digest as _, Sha256};

use crate::etl::repository;

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
