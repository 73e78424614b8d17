//! The supervisor: job, lease, run log, limits. Never opens a source or a destination: workers do.
//!
//! [`run_job`] runs a job; [`ask`] asks a worker for one answer. What never happens: a publish without a lease renewed just before it,
//! a run that is called good though a source or the log failed, a worker that outlives its limit by more than ten seconds.

mod attempt;
mod backfill;
mod begin;
mod broken;
mod causes;
mod failed;
mod farewell;
mod gate;
pub mod health;
mod herald;
mod journal;
mod lease;
mod memory;
mod mended;
mod news;
mod note;
mod observer;
mod overdue;
mod parting;
mod place;
mod plan;
mod policy;
mod post;
mod recipient;
mod refusal;
mod rejected;
mod repair;
mod report;
mod retry;
mod roundup;
mod run;
mod settle;
mod source_run;
mod start_ping;
mod stream_run;
mod supervisor;
pub mod survey;
mod targets;
mod unusable;
mod wire;
mod workers;

pub use backfill::TypedWindow;
pub use broken::{Encounter, is_anybody_told_of_files, tell_broken};
pub use farewell::clear_up;
pub use gate::{is_due, open as open_gate};
pub use note::{forget as forget_note, is_settled as is_settled_by_note};
pub use observer::{Notice, Observer, Unwatched};
pub use overdue::tell_overdue;
pub use plan::{discover_order, inspect_order, inspect_order_of, preview_order, rejects_path, test_order};
pub use policy::{StopReason, common_exit_code, outcome};
pub use post::{Posted, Sent, send_waiting};
pub use recipient::{Owner, known_as};
pub use refusal::{Refusal, check_connections, check_permitted};
pub use report::RunReport;
pub use run::{RunOptions, run_job};
pub use source_run::SourceReport;
pub use stream_run::StreamReport;
pub use targets::{TargetRecord, mend_targets, target_records};
pub use unusable::tell_unusable;
pub use workers::ask;

#[cfg(all(test, unix))]
mod tests;
