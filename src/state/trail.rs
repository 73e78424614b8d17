//! Questions to the audit trail.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::error::StateError;
use super::schema::audit;

/// Which lines are asked for; `None` means any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// About this job.
    pub job: Option<String>,
    /// Written at or after this.
    pub since: Option<DateTime<Utc>>,
}

/// A line of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its own id.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub user: String,
    /// From where.
    pub host: String,
    /// What was done, in a word or two.
    pub action: String,
    /// To which job.
    pub job: Option<String>,
    /// The run that it started or stopped.
    pub run_id: Option<String>,
    /// What changed.
    pub details: Option<String>,
}

/// A page of the trail, the newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The lines of the page.
    pub lines: Vec<AuditRecord>,
    /// How many lines the filter lets through.
    pub total: u64,
}

#[derive(Queryable)]
struct AuditRow {
    id: String,
    at: NaiveDateTime,
    username: String,
    host: String,
    action: String,
    job: Option<String>,
    run_id: Option<String>,
    details: Option<String>,
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        let AuditRow { id, at, username, host, action, job, run_id, details } = row;
        Self { id, at: at.and_utc(), user: username, host, action, job, run_id, details }
    }
}

impl Store {
    /// Returns a page of the trail, the newest line first; `page` counts from 1.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn audit(&mut self, filter: &AuditFilter, page: u64, page_size: u64) -> Result<AuditPage, StateError> {
        let AuditFilter { job, since } = filter;
        let limit = i64::try_from(page_size).unwrap_or(i64::MAX);
        let skipped = i64::try_from(page.saturating_sub(1).saturating_mul(page_size)).unwrap_or(i64::MAX);
        self.read(|connection| {
            let columns = (audit::id, audit::at, audit::username, audit::host, audit::action, audit::job, audit::run_id, audit::details);
            let mut counted = audit::table.count().into_boxed();
            let mut lines = audit::table.select(columns).order((audit::at.desc(), audit::id.desc())).into_boxed();
            if let Some(job) = job {
                counted = counted.filter(audit::job.eq(job));
                lines = lines.filter(audit::job.eq(job));
            }
            if let Some(since) = since {
                counted = counted.filter(audit::at.ge(naive(*since)));
                lines = lines.filter(audit::at.ge(naive(*since)));
            }
            let total: i64 = counted.get_result(connection)?;
            let rows: Vec<AuditRow> = lines.limit(limit).offset(skipped).load(connection)?;
            Ok(AuditPage { lines: rows.into_iter().map(AuditRecord::from).collect(), total: total.unsigned_abs() })
        })
    }
}
