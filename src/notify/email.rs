//! Mails, each sent to one recipient over a connection of its own: what one server says of one address is nobody else's matter.

use std::sync::Arc;
use std::time::Duration;

use crate::connect::tls;

use super::address::Address;
use super::channel::{Delivery, Notifier, SendError};
use super::mail;
use super::session::{self, Letter};
use super::smtp::{Security, Server, SmtpSettings};

/// A mail server that is sent by.
pub struct Email {
    server: Server,
    tls: Option<Arc<rustls::ClientConfig>>,
    timeout: Duration,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Email({}:{})", self.server.host, self.server.port)
    }
}

impl Email {
    /// Reads the settings and the certificates.
    ///
    /// # Errors
    /// They are wrong: somebody may put them right, so that the error is a temporary one.
    pub fn new(settings: &SmtpSettings) -> Result<Self, SendError> {
        let server = settings.server().map_err(|wrong| {
            let hint = wrong.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            SendError::temporary(format!("smtp in etlsched.yaml: {}{hint}", wrong.message))
        })?;
        let tls = match server.security {
            Security::Clear => None,
            Security::Tls | Security::StartTls => {
                let config = tls::mail(settings.ca_file.as_deref());
                Some(Arc::new(config.map_err(|why| SendError::temporary(format!("smtp in etlsched.yaml: {why}")))?))
            }
        };
        Ok(Self { server, tls, timeout: settings.timeout })
    }
}

impl Notifier for Email {
    fn send(&self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let to = Address::parse(delivery.recipient).map_err(|why| SendError::permanent(format!("it is no mail address: {why}")))?;
        let bytes = mail::compose(delivery.message, delivery.id, &self.server.from, &to).map_err(SendError::permanent)?;
        let from = mail::address(&self.server.from.address).map_err(SendError::temporary)?;
        let to = mail::address(&to).map_err(SendError::permanent)?;
        let letter = Letter { from, to, bytes: &bytes };
        session::run(&self.server, self.tls.as_ref(), Some(&letter), delivery.timeout.min(self.timeout))
    }
}

/// Connects, encrypts, logs in and says goodbye; returns what was reached, in words.
///
/// # Errors
/// Why mails can't be sent.
pub fn probe(settings: &SmtpSettings, timeout: Duration) -> Result<String, SendError> {
    let email = Email::new(settings)?;
    let server = &email.server;
    session::run(server, email.tls.as_ref(), None, timeout.min(email.timeout))?;
    let security = match server.security {
        Security::Tls => "TLS",
        Security::StartTls => "STARTTLS",
        Security::Clear => "not encrypted",
    };
    let login = server.login.as_ref().map(|(user, _)| format!(", logged in as {user}")).unwrap_or_default();
    Ok(format!("{}:{} ({security}{login})", server.host, server.port))
}
