//! Paths and words as the schedulers' files take them: which are refused, and how XML shows the rest.

use super::{Entry, Host, Unsupported};

/// Returns what is wrong with the host's paths where its system has to be a Unix.
pub(super) fn unix_problems(host: &Host) -> Vec<Unsupported> {
    problems(host, |path| path.starts_with('/'), "/usr/local/bin/etlsched", "/srv/etl")
}

/// Returns what is wrong with the host's paths where its system has to be Windows.
pub(super) fn windows_problems(host: &Host) -> Vec<Unsupported> {
    let is_windows =
        |path: &str| path.starts_with(r"\\") || matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    problems(host, is_windows, r"C:\etlsched\etlsched.exe", r"C:\etl")
}

fn problems(host: &Host, is_absolute: impl Fn(&str) -> bool, program: &str, workspace: &str) -> Vec<Unsupported> {
    let paths = [("program", "--program", &host.program, program), ("workspace", "--workspace", &host.workspace, workspace)];
    let problem = |message: String, hint: String| Unsupported { job: None, message, hint };
    paths
        .into_iter()
        .filter_map(|(what, option, path, example)| match path.chars().find(|sign| is_unwritable(*sign)) {
            Some(sign) => {
                Some(problem(format!("the {what}'s path {path:?} has {sign:?}"), format!("name one without it: {option} {example}")))
            }
            None if !is_absolute(path) => Some(problem(
                format!("the {what}'s path {path:?} is none of that scheduler's system"),
                format!("name it as the host has it: {option} {example}"),
            )),
            None => None,
        })
        .collect()
}

/// Control characters end a line or are no XML; bidirectional overrides show a reader something else.
fn is_unwritable(sign: char) -> bool {
    sign.is_control() || matches!(sign, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// Returns a text as it stands in XML, between tags.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns an entry's schedule in words, with its zone.
pub(super) fn words(entry: &Entry) -> String {
    let woken = if entry.is_woken_hourly { ", woken hourly" } else { "" };
    format!("{}, {}{woken}", entry.schedule.describe(), entry.zone)
}

/// Returns why a scheduler that never starts a job beside itself can't take one that has to see the overlap.
pub(super) fn overlap_problem(scheduler: &str, entry: &Entry) -> Option<Unsupported> {
    (entry.on_overlap != "skip").then(|| Unsupported {
        job: Some(entry.job.clone()),
        message: format!("on_overlap: {} has no effect, since {scheduler} doesn't start a job that runs", entry.on_overlap),
        hint: "set on_overlap: skip, or use a crontab".to_owned(),
    })
}

/// Returns why a job without a line can't be an entry.
pub(super) fn never_due(entry: &Entry) -> Unsupported {
    Unsupported {
        job: Some(entry.job.clone()),
        message: format!("it is not due within the next five years: {}", words(entry)),
        hint: "set schedule_type: manual until then".to_owned(),
    }
}
