//! What `doctor` found, line by line for people, whole for scripts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::{Align, Rows, terminal_width};
use super::wrap::wrapped_whole;
use crate::text::{count, printable};

/// How a matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be looked at, or there is nothing to look at.
    Skipped,
    /// Jobs run all the same; somebody should look.
    Warn,
    /// Jobs fail by it, or don't start.
    Fail,
}

impl Verdict {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check found it.
    pub check: String,
    /// What was looked at; empty where the check looks at one thing only.
    pub subject: String,
    /// How it stands.
    pub status: Verdict,
    /// What was found: a lower-case fragment.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// The width of the longest name of a check.
const CHECK_WIDTH: usize = 11;

/// Where texts begin: behind verdict and check.
const INDENT: usize = 7 + 2 + CHECK_WIDTH + 2;

/// Returns a finding as people read it: one line, and one for the remedy; at a terminal in as many as it has room for.
pub fn line(finding: &Finding) -> String {
    line_within(finding, terminal_width())
}

fn line_within(finding: &Finding, width: Option<u16>) -> String {
    let Finding { check, subject, status, found, remedy } = finding;
    let subject = if subject.is_empty() { String::new() } else { format!("{}: ", printable(subject)) };
    let fit = |text: String, hang: usize| match width.map(usize::from) {
        None => text,
        Some(width) => wrapped_whole(&text, (INDENT, INDENT + hang), width.max(INDENT + WORDS_MIN))[INDENT..].to_owned(),
    };
    let word = format!("{:<7}", status.as_str());
    let mut text = format!("{}  {check:<CHECK_WIDTH$}  {}", toned(*status, &word), fit(format!("{subject}{}", printable(found)), 2));
    if let Some(remedy) = remedy {
        text.push_str(&format!("\n{:INDENT$}{}", "", fit(format!("remedy: {}", printable(remedy)), 8)));
    }
    text
}

/// So much room stays for words, however narrow the terminal.
const WORDS_MIN: usize = 24;

/// The colours that tables give to such words.
fn toned(status: Verdict, word: &str) -> String {
    let color = match status {
        _ if !super::is_colored() => return word.to_owned(),
        Verdict::Ok => 32,
        Verdict::Skipped => 36,
        Verdict::Warn => 33,
        Verdict::Fail => 31,
    };
    format!("\u{1b}[{color}m{word}\u{1b}[0m")
}

/// Returns how many there are of each sort, in words.
pub fn summary(findings: &[Finding]) -> String {
    let of = |status: Verdict| findings.iter().filter(|finding| finding.status == status).count() as u64;
    let mut parts = vec![format!("{} ok", of(Verdict::Ok))];
    for (status, noun) in [(Verdict::Warn, "warning"), (Verdict::Fail, "failure")] {
        if of(status) > 0 {
            parts.push(count(of(status), noun));
        }
    }
    if of(Verdict::Skipped) > 0 {
        parts.push(format!("{} skipped", of(Verdict::Skipped)));
    }
    parts.join(", ")
}

/// Returns the findings for scripts, with those that stand worse under cron than here.
pub fn json(findings: &[Finding], only_under_cron: Option<&[String]>) -> Value {
    let success = findings.iter().all(|finding| finding.status != Verdict::Fail);
    let of = |status: Verdict| findings.iter().filter(|finding| finding.status == status).count();
    let counts = json!({
        "ok": of(Verdict::Ok), "warn": of(Verdict::Warn), "fail": of(Verdict::Fail), "skipped": of(Verdict::Skipped),
    });
    let mut object = json!({"success": success, "as_cron": only_under_cron.is_some(), "counts": counts, "checks": findings});
    if let Some(lines) = only_under_cron {
        object["only_under_cron"] = json!(lines);
    }
    object
}

/// Returns the findings as rows for scripts.
pub fn csv(findings: &[Finding]) -> Rows {
    let mut rows = Rows::new(["check", "subject", "status", "found", "remedy"].map(|name| (name, Align::Left)));
    for Finding { check, subject, status, found, remedy } in findings {
        let status = status.as_str().to_owned();
        rows.push(vec![check.clone(), subject.clone(), status, found.clone(), remedy.clone().unwrap_or_default()]);
    }
    rows
}

/// Returns a finding as one line for the process that started this one.
pub fn packed(finding: &Finding) -> String {
    serde_json::to_string(finding).expect("a finding is texts")
}

/// Reads what [`packed`] wrote.
pub fn unpacked(line: &str) -> Option<Finding> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: Verdict, remedy: Option<&str>) -> Finding {
        Finding {
            check: "disk".to_owned(),
            subject: "a\u{1b}[2J".to_owned(),
            status,
            found: "90 MiB free\nof all".to_owned(),
            remedy: remedy.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_says_what_was_found_and_the_next_one_what_to_do_and_data_steers_no_terminal() {
        let expected = "fail     disk         a\\u{1b}[2J: 90 MiB free\\nof all\n                      remedy: free some";
        assert_eq!(line_within(&finding(Verdict::Fail, Some("free some")), None), expected);
        let plain = Finding { subject: String::new(), ..finding(Verdict::Ok, None) };
        assert_eq!(line_within(&plain, None), "ok       disk         90 MiB free\\nof all");
    }

    #[test]
    fn words_stand_in_lines_of_the_terminal() {
        let told = Finding {
            found: "90 MiB free of all that there is, and long words".to_owned(),
            ..finding(Verdict::Fail, Some("free some of it, or mount another disk"))
        };
        let expected = "\
fail     disk         a\\u{1b}[2J: 90 MiB free of
                        all that there is, and
                        long words
                      remedy: free some of it, or
                              mount another disk";
        assert_eq!(line_within(&told, Some(50)), expected);
    }

    #[test]
    fn the_end_counts_what_there_is() {
        let all = [Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Fail, Verdict::Skipped].map(|status| finding(status, None));
        assert_eq!(summary(&all), "1 ok, 2 warnings, 1 failure, 1 skipped");
        assert_eq!(summary(&all[..1]), "1 ok");
    }

    #[test]
    fn what_one_process_packs_another_one_reads() {
        let told = finding(Verdict::Skipped, Some("x"));
        assert_eq!(unpacked(&packed(&told)), Some(told));
        assert_eq!(unpacked("panicked at"), None);
    }
}
