//! Why rows were rejected: how many for each reason, in the words of the log.

use serde::{Deserialize, Serialize};

use crate::text::{count, grouped};

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

/// Returns how many of the rejected rows have which reason; nothing where they share one.
pub fn tallied(reasons: &[RejectReason], rows: u64) -> Option<String> {
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
