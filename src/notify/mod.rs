//! Telling people: messages as data, rendered and sent. Never decides whether somebody is told, never opens the state store.
//!
//! Whatever comes out of files, errors and data is text here, never markup: it can't end a header, open a tag or steer a terminal.

mod address;
mod channel;
pub mod email;
pub mod healthcheck;
mod mail;
pub mod message;
mod post;
mod render;
pub mod sample;
mod session;
mod smtp;
mod webhook;
mod wire;

pub use address::{Address, Mailbox};
pub use channel::{Channel, Delivery, Notifier, SendError, open};
pub use message::{Cause, JobFacts, JobTrouble, Kind, Message, Roundup, RunFacts, SourceFacts, Standing, StripRun};
pub use render::{Rendered, render};
pub use smtp::{Security, SmtpSettings, SmtpTls};

/// Returns the host of a URL and its port, which is all that people are shown of a secret one.
pub fn host_of(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| "no web address".to_owned(), |url| post::host(&url))
}
