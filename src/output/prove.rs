//! What a proof of entries found, as `schedule prove` shows it.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::measure::{span, utc};
use super::table::{Align, Rows};
use crate::scheduler::prove::Proof;
use crate::text::{count, grouped, printable};
use crate::zone::Zone;

/// The proofs of some jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Proved {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The zone in which the scheduler reads its lines.
    pub host_zone: Zone,
    /// The rules that all of it is reckoned with.
    pub tzdata: String,
    /// For each job and scheduler: the job's id, the scheduler's name, what was found.
    pub proofs: Vec<(String, &'static str, Proof)>,
}

impl Proved {
    /// Whether every slot is started once and in time.
    pub fn holds(&self) -> bool {
        self.proofs.iter().all(|(_, _, proof)| proof.holds(TimeDelta::zero()))
    }

    /// Whether a job is due, and no scheduler ever starts it: its one fault is that it has no line.
    fn is_never_started(&self, job: &str) -> bool {
        self.proofs.iter().filter(|(of, ..)| of == job).all(|(_, _, proof)| proof.due > 0 && proof.wakeups == 0)
    }
}

/// Returns the proofs for people.
pub fn text(proved: &Proved) -> String {
    let date = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
    let mut rows = Rows::new([
        ("Job", Align::Left),
        ("Scheduler", Align::Left),
        ("Due", Align::Right),
        ("Started", Align::Right),
        ("Missed", Align::Right),
        ("Doubled", Align::Right),
        ("Latest", Align::Right),
        ("Wake-ups", Align::Right),
        ("Per run", Align::Right),
    ])
    .giving_way(&["Per run", "Wake-ups"], "Job");
    let (never, proofs): (Vec<_>, Vec<_>) = proved.proofs.iter().partition(|(job, ..)| proved.is_never_started(job));
    for (job, daemon, proof) in &proofs {
        rows.push(vec![
            job.clone(),
            (*daemon).to_owned(),
            grouped(proof.due),
            grouped(proof.started),
            grouped(proof.missed),
            grouped(proof.doubled),
            if proof.lateness.is_zero() { "0 s".to_owned() } else { span(proof.lateness.num_seconds() as f64) },
            grouped(proof.wakeups),
            format!("{:.1}", proof.wakeups_per_run()),
        ]);
    }
    let mut out = if proofs.is_empty() { String::new() } else { format!("{}\n", rows.leaving_rest_to("-o json").text()) };
    let mut told = "";
    for (job, _, proof) in never {
        if job != told {
            let _ = writeln!(out, "{}: no line starts it, so all of its {} are missed", printable(job), count(proof.due, "slot"));
        }
        told = job;
    }
    for (job, daemon, proof) in &proofs {
        for fault in &proof.faults {
            let _ = writeln!(out, "\n{} under {daemon}: {fault}", printable(job));
        }
    }
    let broken = proved.proofs.iter().filter(|(_, _, proof)| !proof.holds(TimeDelta::zero())).count() as u64;
    let verdict = match broken {
        0 => "every slot is started once and in time".to_owned(),
        _ => format!("not every slot is started once and in time ({broken} of {})", count(proved.proofs.len() as u64, "proof")),
    };
    let _ = writeln!(
        out,
        "\n{verdict}: simulated from {} to {} on a host in {}, by {}",
        date(proved.from),
        date(proved.until),
        proved.host_zone,
        printable(&proved.tzdata)
    );
    out
}

/// Returns the proofs as rows for scripts.
pub fn csv(proved: &Proved) -> Rows {
    let names = ["id", "scheduler", "due", "started", "missed", "doubled", "lateness_seconds", "wakeups"];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    for (job, daemon, proof) in &proved.proofs {
        let Proof { due, started, missed, doubled, lateness, wakeups, faults: _ } = proof;
        let numbers = [due, started, missed, doubled].map(u64::to_string);
        let mut row = vec![job.clone(), (*daemon).to_owned()];
        row.extend(numbers);
        row.extend([lateness.num_seconds().to_string(), wakeups.to_string()]);
        rows.push(row);
    }
    rows
}

/// Returns the proofs for scripts.
pub fn json(proved: &Proved) -> Value {
    let proofs = proved.proofs.iter().map(|(job, daemon, proof)| {
        json!({
            "id": job,
            "scheduler": daemon,
            "holds": proof.holds(TimeDelta::zero()),
            "due": proof.due,
            "started": proof.started,
            "missed": proof.missed,
            "doubled": proof.doubled,
            "lateness_seconds": proof.lateness.num_seconds(),
            "wakeups": proof.wakeups,
            "faults": proof.faults,
        })
    });
    json!({
        "success": proved.holds(),
        "from": utc(proved.from),
        "until": utc(proved.until),
        "host_zone": proved.host_zone.name(),
        "tzdata": proved.tzdata,
        "jobs": proofs.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: Proof) -> Proved {
        let first = Proof { due: 1826, started: 1826, wakeups: 5478, ..Proof::default() };
        Proved {
            from: "2026-11-24T00:00:00Z".parse().unwrap(),
            until: "2031-11-24T00:00:00Z".parse().unwrap(),
            host_zone: Zone::UTC,
            tzdata: "tzdata 2026f of /usr/share/zoneinfo".to_owned(),
            proofs: vec![("flights".to_owned(), "debian", first), ("flights".to_owned(), "busybox", second)],
        }
    }

    #[test]
    fn entries_that_hold_are_said_to_hold() {
        let good = sample(Proof { due: 1826, started: 1826, wakeups: 5478, ..Proof::default() });
        let expected = "\
Job      Scheduler    Due  Started  Missed  Doubled  Latest  Wake-ups  Per run
flights  debian     1,826    1,826       0        0     0 s     5,478      3.0
flights  busybox    1,826    1,826       0        0     0 s     5,478      3.0

every slot is started once and in time: simulated from 2026-11-24 to 2031-11-24 on a host in UTC, by tzdata 2026f of /usr/share/zoneinfo
";
        assert_eq!(text(&good), expected);
        assert_eq!(json(&good)["success"], true);
    }

    #[test]
    fn entries_that_do_not_hold_are_convicted_with_their_faults() {
        let faults = vec!["slot 2027-03-28T02:30 at 2027-03-28T01:00Z is never started".to_owned()];
        let lateness = TimeDelta::minutes(90);
        let bad = sample(Proof { due: 1826, started: 1825, missed: 1, lateness, wakeups: 1825, faults, ..Proof::default() });
        let expected = "\
Job      Scheduler    Due  Started  Missed  Doubled  Latest  Wake-ups  Per run
flights  debian     1,826    1,826       0        0     0 s     5,478      3.0
flights  busybox    1,826    1,825       1        0  1h 30m     1,825      1.0

flights under busybox: slot 2027-03-28T02:30 at 2027-03-28T01:00Z is never started

not every slot is started once and in time (1 of 2 proofs): simulated from 2026-11-24 to 2031-11-24 on a host in UTC, by tzdata 2026f of /usr/share/zoneinfo
";
        assert_eq!(text(&bad), expected);
        assert_eq!((&json(&bad)["success"], &json(&bad)["jobs"][1]["holds"]), (&Value::from(false), &Value::from(false)));
    }
}
