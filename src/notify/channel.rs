//! What all ways of telling have in common.

use std::fmt;
use std::time::Duration;

use super::email::Email;
use super::message::Message;
use super::smtp::SmtpSettings;
use super::webhook::Webhook;

/// A way to tell people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A mail to an address.
    Email,
    /// A POST to a URL.
    Webhook,
    /// A ping of a URL that waits for it.
    Healthcheck,
}

impl Channel {
    /// Returns its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
            Self::Healthcheck => "healthcheck",
        }
    }

    /// Returns the channel of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Email, Self::Webhook, Self::Healthcheck].into_iter().find(|channel| channel.as_str() == word)
    }
}

/// A message on its way to one recipient.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The UUID of the outbox's row: the same for each try.
    pub id: &'a str,
    /// An address, or a URL with its secrets.
    pub recipient: &'a str,
    /// What is told.
    pub message: &'a Message,
    /// How long it may take in all.
    pub timeout: Duration,
}

/// URLs are secrets.
impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Delivery({})", self.id)
    }
}

/// Why a message didn't go. The texts have no secrets: of a URL they name the host alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// It may go later.
    Temporary {
        /// What happened, with what to do about it.
        message: String,
        /// When the other side wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It will never go.
    Permanent {
        /// What happened, with what to do about it.
        message: String,
    },
}

impl SendError {
    /// Makes an error that may pass.
    pub fn temporary(message: impl Into<String>) -> Self {
        Self::Temporary { message: message.into(), retry_after: None }
    }

    /// Makes an error that stays.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent { message: message.into() }
    }

    /// Returns what happened.
    pub fn message(&self) -> &str {
        match self {
            Self::Temporary { message, .. } | Self::Permanent { message } => message,
        }
    }

    /// Whether it may go later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary { .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for SendError {}

/// Tells one recipient at a time.
pub trait Notifier: Send + Sync {
    /// Sends a message, or says why it didn't go. Takes at most the delivery's time.
    ///
    /// # Errors
    /// It didn't go.
    fn send(&self, delivery: &Delivery<'_>) -> Result<(), SendError>;
}

/// Makes what sends by a channel. Connects to nothing yet.
///
/// # Errors
/// There is no mail server, or its settings are wrong; healthchecks are pinged, not told.
pub fn open(channel: Channel, smtp: Option<&SmtpSettings>) -> Result<Box<dyn Notifier>, SendError> {
    match channel {
        Channel::Email => {
            let settings = smtp.ok_or_else(|| SendError::temporary("there is no mail server; add smtp to etlsched.yaml"))?;
            Ok(Box::new(Email::new(settings)?))
        }
        Channel::Webhook => Ok(Box::new(Webhook)),
        Channel::Healthcheck => Err(SendError::permanent("a healthcheck is pinged by healthcheck::ping")),
    }
}
