//! Telling people: messages as data, rendered and sent. Never decides whether somebody is told, never opens the state store.
//!
//! Whatever comes out of files, errors and data is text here, never markup: it can't end a header, open a tag or steer a terminal.

mod address;
mod channel;
pub mod email;
pub mod healthcheck;
pub mod message;
mod smtp;
mod webhook;

pub use address::{Address, Mailbox};
pub use channel::{Channel, Delivery, Notifier, SendError, open};
pub use message::{Cause, JobFacts, Kind, Message, RunFacts, SourceFacts, Standing, StripRun};
pub use smtp::{Security, SmtpSettings, SmtpTls};
