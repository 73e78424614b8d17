//! What became of the rows of a load.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Rows by what became of them. Every row taken from the source is in exactly one of the first five;
/// `deleted` counts rows of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// New in the target.
    pub added: u64,
    /// In the target before, changed by this load.
    pub updated: u64,
    /// In the target before, equal in every column.
    pub unchanged: u64,
    /// Had the same key as a later row of this load.
    pub folded: u64,
    /// Left out by a rule of the job (`null_cursor: skip`).
    pub skipped: u64,
    /// Could not be loaded; kept with the reason in the reject file.
    pub rejected: u64,
    /// Rows of the target that were replaced or removed.
    pub deleted: u64,
}

impl Counts {
    /// Returns the number of rows taken from the source.
    pub fn processed(&self) -> u64 {
        self.added + self.updated + self.unchanged + self.folded + self.skipped + self.rejected
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self { added, updated, unchanged, folded, skipped, rejected, deleted } = other;
        self.added += added;
        self.updated += updated;
        self.unchanged += unchanged;
        self.folded += folded;
        self.skipped += skipped;
        self.rejected += rejected;
        self.deleted += deleted;
    }
}
