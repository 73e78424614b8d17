//! One line for Nagios, Icinga and what else runs its plugins: `SERVICE STATE - text | performance data`, by the Monitoring Plugins
//! Development Guidelines (<https://www.monitoring-plugins.org/doc/guidelines.html>). Whatever jobs are called, it stays one line with one bar.

use super::check::{self, Checked};
use super::findings::{Finding, Kind, Severity};
use crate::text::count;

/// How many jobs are named of each kind.
const NAMED_MAX: usize = 5;

/// Checked and fine.
const OK: u8 = 0;
/// One slot of a job was not started.
const WARNING: u8 = 1;
/// A job doesn't run, or its data is too old.
const CRITICAL: u8 = 2;
/// Nothing could be checked.
const UNKNOWN: u8 = 3;

/// A line and the exit code of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Without a line end.
    pub line: String,
    /// 0 to 3.
    pub exit_code: u8,
}

/// Returns the answer to what was found; where there is no job at all, nothing was checked.
pub fn answer(checked: &Checked) -> Answer {
    if checked.jobs.is_empty() && checked.broken.is_empty() {
        return unknown("there are no jobs");
    }
    let gravest = checked.wrong().map(|finding| finding.severity).min();
    let (word, exit_code) = match gravest {
        Some(Severity::Critical) => ("CRITICAL", CRITICAL),
        Some(Severity::Warning) => ("WARNING", WARNING),
        Some(Severity::Note) | None => ("OK", OK),
    };
    Answer { line: format!("ETLSCHED {word} - {} | {}", plain(&text(checked)), performance(checked)), exit_code }
}

/// Returns what is wrong, and which jobs fail: that alone changes no exit code, and no job that fails is said to be well.
fn text(checked: &Checked) -> String {
    let looked_at = checked.looked_at();
    let failing = of_kind(checked, Kind::Failing).count();
    let mut parts: Vec<String> = check::tallies(checked)
        .into_iter()
        .chain([(Kind::Failing, failing)])
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{} ({})", check::said(kind, number), names(checked, kind)))
        .collect();
    if checked.wrong().next().is_some() {
        return format!("of {}: {}", count(looked_at as u64, "job"), parts.join(", "));
    }
    if failing == 0 {
        return format!("{} {} well", count(looked_at as u64, "job"), if looked_at == 1 { "is" } else { "are" });
    }
    parts.insert(0, format!("{} on time", count(looked_at as u64, "job")));
    parts.join(", ")
}

/// Returns the answer where nothing could be checked.
pub fn unknown(why: &str) -> Answer {
    Answer { line: format!("ETLSCHED UNKNOWN - {}", plain(why)), exit_code: UNKNOWN }
}

fn of_kind(checked: &Checked, kind: Kind) -> impl Iterator<Item = &Finding> {
    checked.findings.iter().filter(move |finding| finding.kind == kind)
}

fn names(checked: &Checked, kind: Kind) -> String {
    let of_kind: Vec<&Finding> = of_kind(checked, kind).collect();
    let mut names: Vec<&str> = of_kind.iter().take(NAMED_MAX).map(|finding| finding.job.as_str()).collect();
    let rest = format!("and {} more", of_kind.len().saturating_sub(NAMED_MAX));
    if of_kind.len() > NAMED_MAX {
        names.push(&rest);
    }
    names.join(", ")
}

/// `label=value[unit];warning;critical;minimum`: a threshold of 0 is "more than none".
fn performance(checked: &Checked) -> String {
    let longest = checked.jobs.iter().filter_map(|job| job.late.as_ref()).map(|late| late.by.num_seconds()).max().unwrap_or(0);
    let mut data = vec![format!("jobs={};;;0", checked.looked_at())];
    for (kind, number) in check::tallies(checked) {
        let thresholds = if matches!(kind, Kind::Late | Kind::Source) { "0;" } else { ";0" };
        data.push(format!("{}={number};{thresholds};0", kind.as_str()));
    }
    data.push(format!("failing={};;;0", of_kind(checked, Kind::Failing).count()));
    data.push(format!("lateness={longest}s;;;0"));
    data.join(" ")
}

/// A bar would begin the performance data, a line end the long output, and some web interfaces show markup.
fn plain(text: &str) -> String {
    let harmless = |character: char| match character {
        '|' | '<' | '>' | '&' | '`' => '_',
        character if crate::text::is_steering(character) => ' ',
        character => character,
    };
    let text: String = text.chars().map(harmless).collect();
    crate::text::shortened(&text, 900).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::findings::Broken;
    use crate::zone::Zone;

    fn broken(names: &[&str]) -> Checked {
        let broken =
            names.iter().map(|name| Broken { job: (*name).to_owned(), errors: 1, place: format!("jobs/{name}.yaml:1"), is_setting: false });
        Checked::new(Vec::new(), broken.collect(), Zone::UTC)
    }

    #[test]
    fn names_of_files_can_t_add_a_line_or_performance_data() {
        let answer = answer(&broken(&["a|b=1", "c\nd", "<script>"]));
        let line = "ETLSCHED CRITICAL - of 3 jobs: 3 with errors in the file (_script_, a_b=1, c d) | \
                    jobs=3;;;0 broken=3;;0;0 error=0;;0;0 stuck=0;;0;0 deadline=0;;0;0 late=0;0;;0 source=0;0;;0 failing=0;;;0 lateness=0s;;;0";
        assert_eq!((answer.line.as_str(), answer.exit_code), (line, 2));
    }

    #[test]
    fn many_jobs_are_counted_and_some_are_named() {
        let answer = answer(&broken(&["a", "b", "c", "d", "e", "f", "g"]));
        assert!(answer.line.contains("7 with errors in the file (a, b, c, d, e, and 2 more) | jobs=7"), "{}", answer.line);
    }

    #[test]
    fn nothing_to_look_at_is_not_ok() {
        assert_eq!(answer(&broken(&[])), Answer { line: "ETLSCHED UNKNOWN - there are no jobs".to_owned(), exit_code: 3 });
        assert_eq!(unknown("a\nb | c").line, "ETLSCHED UNKNOWN - a b _ c");
    }
}
