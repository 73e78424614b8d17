//! Values that their column's type can't hold and that became NULL (`invalid_values: null`), counted by the threads that read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::Level;
use crate::text;

/// The count, which a reader shares with its threads.
#[derive(Debug, Clone, Default)]
pub(super) struct Nulled(Arc<AtomicU64>);

impl Nulled {
    /// Counts a value.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins anew, as the reader does.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Returns what there is to say at the end.
    pub(super) fn line(&self) -> Option<(Level, String)> {
        let values = self.0.load(Ordering::Relaxed);
        let line =
            |values| format!("{} that no type of their columns holds became NULL (invalid_values: null)", text::count(values, "value"));
        (values > 0).then(|| (Level::Warn, line(values)))
    }
}
