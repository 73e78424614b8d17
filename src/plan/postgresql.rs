//! A PostgreSQL server as plans name it: how it is reached, and what of it is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, exposed_option};

/// How a PostgreSQL server is reached: for sources and destinations alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresConnection {
    /// A name, an address, or the absolute path of a folder with a unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "exposed_option::serialize")]
    pub password: Option<Secret>,
    /// How TLS is used.
    pub sslmode: SslMode,
    /// The file of certificates that are trusted; those of the system where there is none.
    pub sslrootcert: Option<PathBuf>,
    /// The file of the client's certificate.
    pub sslcert: Option<PathBuf>,
    /// The file of its key.
    pub sslkey: Option<PathBuf>,
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
}

/// How TLS is used, in libpq's words (PostgreSQL 15, "34.19. SSL Support", table 34.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only where the server refuses a connection without.
    Allow,
    /// Where the server has it; nobody's identity is checked.
    #[default]
    Prefer,
    /// Always; the certificate is checked only where `sslrootcert` is given.
    Require,
    /// Always, with a certificate that leads to a trusted one.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must be that of the host.
    VerifyFull,
}

/// The words of `sslmode`.
pub const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl SslMode {
    /// Returns the mode of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// PostgreSQL tables, views or a query as a source. Exactly one of `table`, `tables` and `custom_sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSourcePlan {
    /// Where it is.
    pub connection: PostgresConnection,
    /// A table or view: `table` or `schema.table`.
    pub table: Option<String>,
    /// Names and globs of tables ([`super::tables`]), each a stream of its own; empty where there is one.
    pub tables: Vec<String>,
    /// A query; may name `:last_sync` and `:lower_bound`.
    pub custom_sql: Option<String>,
    /// A condition that the rows of each table must meet.
    pub filter: Option<String>,
}
