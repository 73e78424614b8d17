//! Renders property lists for launchd (macOS): one for each job. Never runs launchctl.
//!
//! launchd goes by the host's clock, and what it does when clocks change is documented nowhere: jobs are started at their minutes in every hour.

use std::fmt::Write as _;

use super::entries::{self, numbers};
use super::paths::{never_due, overlap_problem, unix_problems, words, xml};
use super::{Entry, Exporter, Host, Nature, Rendered, Unsupported};

/// launchd.plist(5).
#[derive(Debug)]
pub struct Launchd;

impl Exporter for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn summary(&self) -> &'static str {
        "a property list for each job, for ~/Library/LaunchAgents"
    }

    fn nature(&self) -> Nature {
        Nature { is_local: true, ..Nature::default() }
    }

    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>> {
        let mut problems = unix_problems(host);
        problems.extend(entries.iter().filter_map(|entry| overlap_problem("launchd", entry)));
        let woken: Vec<Entry> = entries.iter().map(|entry| Entry { is_woken_hourly: true, ..entry.clone() }).collect();
        let mut files = Vec::new();
        for (entry, lines) in entries.iter().zip(entries::lines_of_all(&woken, host.zone, host.from)) {
            let minutes = lines.iter().fold(0, |bits, line| bits | line.minutes);
            if minutes == 0 {
                problems.push(never_due(entry));
            }
            let label = format!("etlsched.{}.{}", host.digest(), entry.job);
            files.push(Rendered { bytes: plist(&label, entry, host, minutes).into_bytes(), name: format!("{label}.plist") });
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}

fn plist(label: &str, entry: &Entry, host: &Host, minutes: u64) -> String {
    let mut starts = String::new();
    for minute in numbers(minutes) {
        let _ = write!(
            starts,
            "        <dict>
            <key>Minute</key>
            <integer>{minute}</integer>
        </dict>
"
        );
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {words}; made by etlsched {version} for {zone} with {tzdata} -->
<plist version="1.0">
<dict>
    <key>Label</key>
    <string>{label}</string>
    <key>ProgramArguments</key>
    <array>
        <string>{program}</string>
        <string>-C</string>
        <string>{workspace}</string>
        <string>run</string>
        <string>{job}</string>
        <string>--scheduled</string>
    </array>
    <key>RunAtLoad</key>
    <true/>
    <key>StartCalendarInterval</key>
    <array>
{starts}    </array>
</dict>
</plist>
"#,
        words = in_comment(&format!("{}: {}", entry.job, words(entry))),
        version = env!("CARGO_PKG_VERSION"),
        zone = host.zone,
        tzdata = in_comment(&host.tzdata),
        job = entry.job,
        program = xml(&host.program),
        workspace = xml(&host.workspace),
    )
}

/// A comment must not hold two dashes in a row (XML 1.0, 2.5).
fn in_comment(text: &str) -> String {
    xml(text).replace("--", "- - ")
}
