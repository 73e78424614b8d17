//! Rows in memory: Arrow record batches, the column types they may have, and what types widen to. Pure.
//!
//! A source makes batches, a destination takes them; neither knows the other. Everything that both must agree on stands here.

pub mod builders;
pub mod calendar;
pub mod infer;
pub mod parse;
pub mod text;
pub mod types;

use std::sync::atomic::{AtomicU32, Ordering};

pub use arrow_array::RecordBatch;
pub use builders::{BatchBuilder, ColumnBuilder, Misfit};
pub use infer::Inference;
pub use types::{Column, ColumnType, Schema};

/// The most bytes of values that one batch holds (4 MiB): memory is bounded by batches, not by tables.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Never less than this however often batches are made smaller: rows would cost more by their batch than by themselves.
const BATCH_BYTES_MIN: usize = 256 * 1024;

/// How many times batches were made half as large. The process loads one source; nobody else is concerned.
static HALVINGS: AtomicU32 = AtomicU32::new(0);

/// Makes the batches that are built from now on half as large, and gives what is free back to the system.
pub fn shrink() {
    // Beyond the smallest batch more halvings mean nothing.
    let _ = HALVINGS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |halvings| (halvings < 8).then_some(halvings + 1));
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns how many bytes of values a batch may hold now.
fn batch_bytes(bytes_max: usize) -> usize {
    (bytes_max >> HALVINGS.load(Ordering::Relaxed)).max(BATCH_BYTES_MIN.min(bytes_max))
}

/// How many batches may wait between the reader and the writer.
pub const BATCHES_IN_FLIGHT: usize = 4;

#[cfg(test)]
mod tests;
