//! A MySQL or MariaDB server as plans name it: how it is reached, and what of it is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, exposed_option};

/// How a MySQL or MariaDB server is reached: for sources and destinations alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MysqlConnection {
    /// A name, an address, or the absolute path of a unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database that names without one mean; the schema of tables that are loaded.
    pub database: String,
    /// The account that logs in.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "exposed_option::serialize")]
    pub password: Option<Secret>,
    /// How TLS is used.
    pub tls: MysqlTls,
    /// The file of certificates that are trusted; those of the system where there is none.
    pub sslrootcert: Option<PathBuf>,
    /// The file of the client's certificate.
    pub sslcert: Option<PathBuf>,
    /// The file of its key.
    pub sslkey: Option<PathBuf>,
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
}

/// How TLS is used, in the meaning of MySQL's `--ssl-mode` (MySQL 8.0, "6.3.1 Configuring MySQL to Use Encrypted Connections").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MysqlTls {
    /// Never.
    Disabled,
    /// Where the server has it; nobody's identity is checked.
    #[default]
    Preferred,
    /// Always; nobody's identity is checked, unless `sslrootcert` is given: then as `VerifyCa`, as libpq has it.
    Required,
    /// Always, with a certificate that leads to a trusted one.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must be that of the host.
    VerifyIdentity,
}

/// The words of `sslmode`: libpq's, and MySQL's own in either case.
pub const MYSQL_SSL_MODES: &[&str] =
    &["disable", "prefer", "require", "verify-ca", "verify-full", "DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];

impl MysqlTls {
    /// Returns the mode of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Self::Disabled,
            "prefer" | "preferred" => Self::Preferred,
            "require" | "required" => Self::Required,
            "verify-ca" => Self::VerifyCa,
            "verify-full" | "verify-identity" => Self::VerifyIdentity,
            _ => return None,
        })
    }
}

/// A MySQL or MariaDB table, view or query as a source. Exactly one of `table`, `tables` and `custom_sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MysqlSourcePlan {
    /// Where it is.
    pub connection: MysqlConnection,
    /// A table or view: `table` or `database.table`.
    pub table: Option<String>,
    /// Names and globs of tables: each is a stream.
    pub tables: Vec<String>,
    /// A query; may name `:last_sync` and `:lower_bound`.
    pub custom_sql: Option<String>,
    /// A condition that the rows of `table` must meet.
    pub filter: Option<String>,
}

/// A MySQL or MariaDB database as a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MysqlDestinationPlan {
    /// Where it is.
    pub connection: MysqlConnection,
    /// How rows get there.
    pub infile: Infile,
}

/// Whether rows may go by `LOAD DATA LOCAL INFILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Infile {
    /// Where the server allows it, else by INSERT.
    #[default]
    Auto,
    /// By INSERT.
    Off,
}
