//! A database that an ODBC driver reaches, as plans name it: how it is reached, and what of it is read.

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, exposed_option};

/// Whose words a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Microsoft SQL Server and Azure SQL.
    SqlServer,
    /// Oracle Database.
    Oracle,
    /// Whatever the driver says of it.
    Other,
}

impl Engine {
    /// Returns its name in messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::SqlServer => "SQL Server",
            Self::Oracle => "Oracle",
            Self::Other => "ODBC",
        }
    }
}

/// How a database is reached through ODBC: by fields, of which a connection string is made, by the name of a data source, or by a whole
/// connection string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OdbcConnection {
    /// Whose words it speaks.
    pub engine: Engine,
    /// The driver's name as `odbcinst.ini` has it, or the path of its file; found where not given.
    pub driver: Option<String>,
    /// A data source of `odbc.ini`.
    pub dsn: Option<String>,
    /// The whole connection string.
    #[serde(serialize_with = "exposed_option::serialize")]
    pub connection_string: Option<Secret>,
    /// The server.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The database; Oracle's service.
    pub database: Option<String>,
    /// The account that logs in.
    pub user: Option<String>,
    /// Its password.
    #[serde(serialize_with = "exposed_option::serialize")]
    pub password: Option<Secret>,
    /// How the connection is encrypted (SQL Server).
    pub encrypt: Encrypt,
    /// Whether the server's certificate is taken unchecked (SQL Server).
    pub is_certificate_trusted: bool,
    /// Keywords of the driver's own, added to the connection string.
    pub options: Vec<(String, String)>,
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
}

/// How a connection to SQL Server is encrypted ("DSN and connection string keywords" of Microsoft's ODBC driver 18, `Encrypt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encrypt {
    /// Where the server asks for it.
    Optional,
    /// Always.
    #[default]
    Mandatory,
    /// Always, before anything else is said (TDS 8.0).
    Strict,
}

/// The words of `encrypt`.
pub const ENCRYPT_WORDS: &[&str] = &["optional", "mandatory", "strict"];

impl Encrypt {
    /// Returns what a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "optional" => Self::Optional,
            "mandatory" => Self::Mandatory,
            "strict" => Self::Strict,
            _ => return None,
        })
    }
}

/// A table, view or query that an ODBC driver reaches. Exactly one of `table`, `tables` and `custom_sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OdbcSourcePlan {
    /// Where it is.
    pub connection: OdbcConnection,
    /// A table or view: `table` or `schema.table`.
    pub table: Option<String>,
    /// Names and globs of tables ([`super::tables`]), each a stream of its own; empty where there is one.
    pub tables: Vec<String>,
    /// A query; may name `:last_sync`, `:lower_bound`, `:slot` and `:run_started`.
    pub custom_sql: Option<String>,
    /// A condition that the rows of each table must meet.
    pub filter: Option<String>,
}

impl OdbcConnection {
    /// Returns the server or data source and the database, as messages name them: without the login, and nothing of a connection string.
    pub fn place(&self) -> String {
        let whole = |port: u16| {
            let host = self.host.as_deref().unwrap_or_default();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            format!("{host}:{port}")
        };
        let default_port = match self.engine {
            Engine::SqlServer => Some(1433),
            Engine::Oracle => Some(1521),
            Engine::Other => None,
        };
        let server = match (&self.connection_string, &self.dsn, &self.host) {
            (Some(_), ..) => return format!("the {} connection string", self.engine.title()),
            (None, Some(dsn), _) => dsn.clone(),
            (None, None, Some(host)) => self.port.or(default_port).map_or_else(|| host.clone(), whole),
            (None, None, None) => self.driver.clone().unwrap_or_default(),
        };
        match &self.database {
            Some(database) => format!("{server}/{database}"),
            None => server,
        }
    }
}
