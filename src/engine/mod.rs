//! The supervisor: job, lease, run log, limits. Never opens a source or a destination.

mod plan;
mod policy;
mod source_run;
mod wire;
mod workers;

pub use plan::{discover_order, inspect_order, preview_order, rejects_path, test_order};
pub use policy::{StopReason, common_exit_code, outcome};
pub use source_run::{SourceReport, StreamReport};
pub use workers::ask;
