//! Telling people: messages as data, rendered and sent. Never decides whether somebody is told, never opens the state store.

pub mod message;

pub use message::{Cause, JobFacts, Kind, Message, RunFacts, SourceFacts, Standing, StripRun};
