//! The state store: jobs, slots, leases, the run log, the audit trail and the outbox. The only user of diesel.
//!
//! Times, host and user come in as arguments; nothing here prints, reads a clock, or knows a source or destination.
//!
//! The way of a run: [`Store::register_job`], [`Store::dead_runs`] and [`Store::close_dead_run`] for each, [`Store::begin_run`]
//! or [`Store::begin_slot`],
//! [`Store::mark_running`], then [`Store::renew_lease`] every few seconds beside [`Store::streams_begun`],
//! [`Store::update_source`], [`Store::update_stream`] and [`Store::add_events`], and at the end [`Store::close_run`].
//! Whatever closes a run asks the teller ([`Store::tell_by`]) what follows, in the same transaction.

mod audit;
mod backends;
mod begin;
mod connection;
mod end;
mod error;
mod examine;
mod failing;
mod file;
mod follow;
mod history;
mod jobs;
mod keepsake;
mod leases;
mod location;
mod look;
mod migrate;
mod migrations;
mod noticed;
mod outbox;
mod postgresql;
mod progress;
mod queue;
mod records;
mod repair;
mod retention;
mod rows;
mod runs;
mod schema;
mod server;
mod slots;
mod stale;
mod standings;
mod stats;
mod telling;
mod trail;

pub use audit::Actor;
pub use begin::{Begun, NewRun};
pub use connection::Store;
pub use end::{Closed, EndPolicy, RunEnd};
pub use error::StateError;
pub use examine::{Examined, ServerFacts, sqlite_version};
pub use failing::FailingSources;
pub use history::{FailureMark, RunMark, SlotMark, Span, StreamMark};
pub use jobs::{JobRecord, JobStatus, LastRun, NewJob, NewStatus};
pub use leases::{LEASE_LOST_AFTER, LEASE_RENEWAL, Lease, Moment, Probe, Renewal};
pub use location::{Place, StateLocation};
pub use look::{Glance, Look};
pub use migrate::Copied;
pub use noticed::Attention;
pub use outbox::{LETTER_LIFE, Letter, LetterRecord, NewLetter, OutboxWaiting, PAUSE_MAX as LETTER_PAUSE_MAX, SEVERAL_JOBS, Sender};
pub use records::{EventRecord, RecordTotals, RecordedError, RunDetail, RunRecord, RunSummary, SourceRecord, StreamRecord};
pub use repair::{DeadEnd, DeadRun};
pub use runs::{Found, RunFilter, RunPage, SlotTimes};
pub use slots::{Claim, Claimed, Published, SlotOrder};
pub use stale::SEEN;
pub use standings::{JobStanding, LastEnd};
pub use stats::{ErrorTally, RunTally, SourceTally, StatsFilter, Timing};
pub use telling::{ClosedRun, Decide, LookTidings, Teller, Tidings, Told};
pub use trail::{AuditFilter, AuditPage, AuditRecord};

#[cfg(test)]
#[cfg(unix)]
mod bench;
#[cfg(test)]
#[cfg(unix)]
mod crowd_tests;
#[cfg(test)]
#[cfg(unix)]
mod file_tests;
#[cfg(test)]
#[cfg(unix)]
mod history_tests;
#[cfg(test)]
#[cfg(unix)]
mod outbox_tests;
#[cfg(test)]
#[cfg(unix)]
mod part_tests;
#[cfg(test)]
#[cfg(unix)]
mod server_tests;
#[cfg(test)]
#[cfg(unix)]
mod slots_tests;
#[cfg(test)]
#[cfg(unix)]
mod standing_tests;
#[cfg(test)]
#[cfg(unix)]
mod standings_tests;
#[cfg(test)]
#[cfg(unix)]
mod stats_tests;
#[cfg(test)]
#[cfg(unix)]
mod telling_tests;
#[cfg(test)]
#[cfg(unix)]
mod tests;
