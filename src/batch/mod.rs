//! Rows in memory: Arrow record batches, the column types they may have, and what types widen to. Pure.
//!
//! A source makes batches, a destination takes them; neither knows the other. Everything that both must agree on stands here.

pub mod builders;
pub mod calendar;
pub mod infer;
pub mod parse;
pub mod text;
pub mod types;

pub use arrow_array::RecordBatch;
pub use builders::{BatchBuilder, ColumnBuilder, Misfit};
pub use infer::Inference;
pub use types::{Column, ColumnType, Schema};

/// The most bytes of values that one batch holds (4 MiB): memory is bounded by batches, not by tables.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many batches may wait between the reader and the writer.
pub const BATCHES_IN_FLIGHT: usize = 4;

#[cfg(test)]
mod tests;
