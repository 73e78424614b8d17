//! Job files: YAML to [`Job`], with every problem of every file at once.

mod columns;
mod connections;
pub mod defaults;
mod fields;
pub mod json_schema;
pub mod keys;
pub mod load;
mod misnamed;
mod missing;
mod naming;
pub mod notifications;
mod options;
pub mod positions;
pub mod problem;
pub mod replaced;
pub mod report;
pub mod resolved;
mod said;
pub mod settings;
mod sources;
pub mod spec;
mod syntax;
mod timing;
mod tree;
mod values;
pub mod variables;
pub mod write;

pub use load::{Loaded, Secrets};
pub use problem::{Matter, Problem, Severity};
pub use settings::Settings;
pub use spec::{CatchUp, DataSource, Job, JobId, Lateness, Limits, Notifications, OnOverlap, Repeat, Reserved, Retry};
pub use variables::Environment;
