//! Reaching database servers, for sources and destinations alike: connections, TLS, errors, identifiers. Moves no rows, knows no tables.

use std::time::Duration;

pub mod http;
pub mod mysql;
pub mod odbc;
pub mod postgres;
pub mod tls;

/// Real servers, as the tests of the whole program start them.
#[cfg(test)]
#[cfg(unix)]
#[allow(dead_code)]
#[path = "../../tests/it/servers.rs"]
pub(crate) mod servers;

/// Why a server could not be reached, or did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// A stable word for scripts, as in [`crate::plan::WorkerError::code`].
    pub code: &'static str,
    /// What was attempted, on what, what happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether trying again may help.
    pub is_transient: bool,
    /// How long to wait before trying again, where the other side said so.
    pub retry_after: Option<Duration>,
}
