//! What is said of letters that were sent, or wait.

use super::wrap::{COLUMNS, wrapped};
use crate::engine::Posted;
use crate::state::SEVERAL_JOBS;
use crate::text::{count, printable, shortened};

/// Returns a line for each letter that was sent.
pub fn sent(posted: &Posted) -> Vec<String> {
    let job = |sent: &crate::engine::Sent| if sent.job == SEVERAL_JOBS { "several jobs".to_owned() } else { sent.job.clone() };
    let line =
        |sent: &crate::engine::Sent| format!("told {} ({}) of {}: {}", printable(&sent.recipient), sent.channel, job(sent), sent.kind);
    posted.sent.iter().map(line).collect()
}

/// Returns what waits and why; nothing where nothing failed this time.
pub fn waiting(posted: &Posted) -> Option<String> {
    let first = posted.errors.first()?;
    let others = posted.errors.len() - 1;
    let more = if others > 0 { format!(" (and {})", count(others as u64, "other reason")) } else { String::new() };
    let verb = if posted.waiting == 1 { "waits" } else { "wait" };
    Some(format!("warning: {} {verb}: {}{more}", count(posted.waiting, "notification"), shortened(&printable(first), 500)))
}

/// Returns what is said where the outbox can't be looked into.
pub fn unknown(why: &str) -> String {
    format!("warning: notifications could not be sent: {}", printable(why))
}

/// Returns a line in those of a mail: 80 columns at most.
pub fn in_mail(line: &str) -> String {
    wrapped(line, (0, 2), COLUMNS, 600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_it_in_80_columns() {
        let text = in_mail(&unknown(&"the store can't be opened ".repeat(8)));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }

    #[test]
    fn what_waits_is_told_with_the_first_reason_and_without_escapes() {
        let posted = |errors: &[&str], waiting| Posted {
            errors: errors.iter().map(|error| (*error).to_owned()).collect(),
            waiting,
            ..Posted::default()
        };
        assert_eq!(waiting(&posted(&[], 3)), None);
        assert_eq!(waiting(&posted(&["no answer"], 1)).as_deref(), Some("warning: 1 notification waits: no answer"));
        let two = waiting(&posted(&["a\u{1b}[2J", "b", "c"], 3));
        assert_eq!(two.as_deref(), Some("warning: 3 notifications wait: a\\u{1b}[2J (and 2 other reasons)"));
    }
}
