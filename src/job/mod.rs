//! Job files: YAML to [`Job`], with every problem of every file at once.

pub mod problem;
pub mod spec;

pub use problem::{Problem, Severity};
pub use spec::{DataSource, Job, JobId, Limits, Notifications, OnOverlap, Retry};
