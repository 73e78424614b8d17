//! What a full load is about to publish by a RENAME, and how it is settled whether it did.
//!
//! RENAME commits by itself, so it can't stand in one transaction with `_etlsched_loads`. The values go into the row first, as `pending`;
//! the staging table's comment names the run; the RENAME is the commit. Whoever reads the row next looks whose table stands there.
//!
//! A RENAME can't come later than that: it needs the staging table, which is dropped first, and both wait for each other's locks. Nor can
//! another run write `pending` meanwhile: that needs the fence, which whoever settles has raised before.

use serde::{Deserialize, Serialize};

use super::bookkeeping::{self, Published};
use super::session::{Outcome, Session, failed};
use super::staging::drop_table;
use super::table::{cell, names_in};
use crate::run::FileRecord;

/// The values of a publish to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub begun_version: i64,
    /// The target as the catalogue spells it.
    pub table: String,
    pub staging: String,
    /// The name that the table before gets; `None` where there was none.
    pub old: Option<String>,
    pub published: Published,
    pub files: Vec<FileRecord>,
    pub replace_files: bool,
}

impl Pending {
    /// Returns the mark in the comment of the table that this load brings.
    pub(super) fn mark(&self) -> String {
        mark(&self.published.run_id, self.begun_version)
    }

    /// Whether the RENAME was done.
    pub(super) fn is_done(&self, session: &mut Session) -> Outcome<bool> {
        let Some(comment) = comment_of(session, &self.table)? else { return Ok(false) };
        if comment.contains(&self.mark()) {
            return Ok(true);
        }
        // Someone may have changed the comment since: the table before stands aside only after the RENAME.
        match &self.old {
            Some(old) => Ok(comment_of(session, old)?.is_some()),
            None => Ok(false),
        }
    }
}

/// Returns the mark of a load.
pub(super) fn mark(run_id: &str, begun_version: i64) -> String {
    format!("[etlsched {run_id} {begun_version}]")
}

/// Returns a comment without a mark of ours.
pub(super) fn unmarked(comment: &str) -> &str {
    match comment.rfind("[etlsched ") {
        Some(start) if comment.ends_with(']') => comment[..start].trim_end(),
        _ => comment,
    }
}

fn comment_of(session: &mut Session, table: &str) -> Outcome<Option<String>> {
    let schema = session.schema.clone();
    let sql = "SELECT table_name, table_comment FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
    let rows = session.rows(sql, &[Some(&schema), Some(table)]).map_err(failed(format_args!("reading the comment of {table}")))?;
    Ok(rows.iter().find(|row| cell(row, 0) == table).or(rows.first()).map(|row| cell(row, 1)))
}

/// Settles what an earlier run left pending for a target. The fence has been raised since, or the run that left it is this one.
pub(super) fn settle(session: &mut Session, target: &str) -> Outcome<()> {
    let Some(pending) = bookkeeping::pending(session, target)? else { return Ok(()) };
    drop_table(session, &pending.staging)?;
    restore(session, &pending)?;
    let is_done = pending.is_done(session)?;
    session.in_transaction(|session| {
        // Who else settles may have been quicker.
        if bookkeeping::locked_pending(session, target)?.as_ref() == Some(&pending) {
            bookkeeping::settle(session, target, &pending, is_done)?;
        }
        Ok(())
    })?;
    match &pending.old {
        Some(old) => drop_table(session, old),
        None => Ok(()),
    }
}

/// Brings the table before back, where a server that crashed in the middle of a RENAME left it aside (before MariaDB 10.6, MySQL 8.0).
fn restore(session: &mut Session, pending: &Pending) -> Outcome<()> {
    let Some(old) = &pending.old else { return Ok(()) };
    let names = names_in(session, "")?;
    if names.contains(&pending.table) || !names.contains(old) {
        return Ok(());
    }
    let sql = format!("RENAME TABLE {} TO {}", session.table(old), session.table(&pending.table));
    session.define(&format!("bringing table {} back", pending.table), &sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_comments() {
        let comment = format!("it's ours {}", mark("0190a000", 7));
        assert_eq!(unmarked(&comment), "it's ours");
        assert_eq!(unmarked(&mark("x", 1)), "");
        assert_eq!(unmarked("see [etlsched] docs"), "see [etlsched] docs");
    }
}
