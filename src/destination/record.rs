//! What is known of a target, and who may load it.

use chrono::{DateTime, Utc};

use super::DestinationError;
use crate::batch::Schema;
use crate::plan::{Mode, Owner};
use crate::run::{Counts, CursorValue};

/// The `_etlsched_loads` row of a target: the truth about what is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadRecord {
    /// The table.
    pub target: String,
    /// Who may publish into it.
    pub owner: Owner,
    /// Grows by one with each publish; 0 before the first.
    pub version: i64,
    /// The run that published last.
    pub run_id: Option<String>,
    /// Its slot.
    pub slot: Option<String>,
    /// Its mode; `None` before the first publish and after a reset, so that the next load is a first one.
    pub mode: Option<Mode>,
    /// How far the source has been read.
    pub cursor: Option<CursorValue>,
    /// Rows of the last publish.
    pub rows: u64,
    /// What became of the rows of the last publish; `None` before the first.
    pub counts: Option<Counts>,
    /// Rows in the table after the last publish, or when it was taken over before any; `None` before both.
    pub rows_in_target: Option<u64>,
    /// The columns as published.
    pub schema: Schema,
    /// When it was published.
    pub committed_at: Option<DateTime<Utc>>,
}

impl LoadRecord {
    /// Refuses a table that another workspace, job, source or stream loads: neither its rows nor its cursor nor its files are ours.
    ///
    /// # Errors
    /// `owner_clash`, with the command that takes the table over.
    pub fn refuse_other_owner(&self, owner: &Owner) -> Result<(), DestinationError> {
        if self.owner == *owner {
            return Ok(());
        }
        let Owner { workspace_id, job, source, stream } = &self.owner;
        let place = if *workspace_id == owner.workspace_id { "" } else { " of another workspace" };
        Err(DestinationError {
            code: "owner_clash",
            message: format!("table {} is loaded by job {job}, source {source}, stream {stream}{place}", self.target),
            hint: Some(take_over_hint(owner)),
            is_transient: false,
        })
    }

    /// Whether the table's rows are known as ones that a load may replace: loaded before, or taken over.
    pub fn is_acquainted(&self) -> bool {
        self.version > 0 || self.rows_in_target.is_some()
    }
}

fn take_over_hint(owner: &Owner) -> String {
    format!(
        "give this source another target, or take the table over: etlsched state reset {} --source {} --take-over",
        owner.job, owner.source
    )
}

/// Says that a table has rows that no load brought: a first load would replace them.
pub(super) fn foreign_table(target: &str, rows: u64, owner: &Owner) -> DestinationError {
    DestinationError {
        code: "foreign_table",
        message: format!(
            "table {target} has {} that etlsched did not load, and this load would replace them",
            crate::text::count(rows, "row")
        ),
        hint: Some(take_over_hint(owner)),
        is_transient: false,
    }
}

/// Says that a full load of no rows would replace rows.
pub fn empty_load(target: &str, before: u64) -> DestinationError {
    DestinationError {
        code: "empty_load",
        message: format!("table {target}: the source gave no rows, and {before} would be replaced by none"),
        hint: Some("look at the source, or set allow_empty: true".to_owned()),
        is_transient: false,
    }
}
