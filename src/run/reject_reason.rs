//! Why rows were rejected: how many for each reason, in the words of the log.

use serde::{Deserialize, Serialize};

use crate::text::{count, grouped, shortened};

/// So many reasons are told apart; where each row has its own, nobody reads more.
const REASONS_MAX: usize = 20;

/// How long the words of a reason may be: names of columns and values come from outside.
const REASON_CHARACTERS_MAX: usize = 300;

/// How reasons go on behind the value that is at fault, which differs from row to row.
const BEHIND_VALUES: [&str; 3] = [" does not fit ", " is not ", " has a NUL character"];

/// How many reasons a line tells.
const TOLD_MAX: usize = 3;

/// A reason for which rows were rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectReason {
    /// How many rows.
    pub rows: u64,
    /// What is wrong with them, without the value: `column total does not fit decimal(12,2)`.
    pub what: String,
    /// The first of them: its place, column and value.
    pub first: String,
}

/// Rejected rows, counted by why they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    rows: u64,
    first: Option<String>,
    reasons: Vec<RejectReason>,
}

impl Tally {
    /// Counts a row: its place, the column that is at fault, and what is wrong with it.
    pub fn add(&mut self, position: &str, column: Option<&str>, reason: &str) {
        self.rows += 1;
        let described = described(position, column, reason);
        let what = what(column, reason);
        if let Some(known) = self.reasons.iter_mut().find(|known| known.what == what) {
            known.rows += 1;
        } else if self.reasons.len() < REASONS_MAX {
            let first = shortened(&described, REASON_CHARACTERS_MAX).into_owned();
            self.reasons.push(RejectReason { rows: 1, what, first });
        }
        self.first.get_or_insert(described);
    }

    /// Returns how many rows were counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns how many rows were rejected for which reason, in the order in which the reasons came; of more than 20 the first ones.
    pub fn reasons(&self) -> &[RejectReason] {
        &self.reasons
    }

    /// Returns how many rows were rejected, for which reasons where there are several, and why the first was; nothing where none was.
    pub fn in_words(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let tally = tallied(&self.reasons, self.rows).map(|tally| format!(" ({tally})")).unwrap_or_default();
        Some(format!("{} rejected{tally}, the first: {first}", count(self.rows, "row")))
    }
}

/// Returns where a row is and what is wrong with it.
pub fn described(position: &str, column: Option<&str>, reason: &str) -> String {
    match column {
        Some(column) => format!("{position}, column {column}: {reason}"),
        None => format!("{position}: {reason}"),
    }
}

/// Returns what is wrong with a row, in words that rows with the same fault share.
fn what(column: Option<&str>, reason: &str) -> String {
    let behind_value = BEHIND_VALUES.iter().filter_map(|words| reason.rfind(words)).max().map(|at| &reason[at + 1..]);
    let what = match (column, behind_value) {
        (Some(column), Some(fault)) => format!("column {column} {fault}"),
        (Some(column), None) => format!("column {column}: {reason}"),
        (None, _) => reason.to_owned(),
    };
    shortened(&what, REASON_CHARACTERS_MAX).into_owned()
}

/// Returns how many of the rejected rows have which reason; nothing where they share one.
fn tallied(reasons: &[RejectReason], rows: u64) -> Option<String> {
    if reasons.len() < 2 {
        return None;
    }
    let told = &reasons[..reasons.len().min(TOLD_MAX)];
    let mut parts: Vec<String> = told.iter().map(|reason| format!("{}: {}", grouped(reason.rows), reason.what)).collect();
    let rest = rows.saturating_sub(told.iter().map(|reason| reason.rows).sum());
    if rest > 0 {
        parts.push(format!("{} for other reasons", count(rest, "row")));
    }
    Some(parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_reasons_are_counted_and_one_needs_no_count() {
        let reason = |rows, what: &str| RejectReason { rows, what: what.to_owned(), first: String::new() };
        let reasons = [reason(1200, "column a is x"), reason(2, "column b is y"), reason(1, "z"), reason(5, "w")];
        assert_eq!(tallied(&reasons[..1], 1200), None);
        assert_eq!(tallied(&reasons[..2], 1202).as_deref(), Some("1,200: column a is x, 2: column b is y"));
        let all = tallied(&reasons, 1210);
        assert_eq!(all.as_deref(), Some("1,200: column a is x, 2: column b is y, 1: z, 7 rows for other reasons"));
    }
}
