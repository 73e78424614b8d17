//! PostgreSQL, described: the keys that a connection has, for sources and destinations alike.

use std::path::PathBuf;

use super::key::{Default, Key, Kind, Status::Works, key};
use super::url::{Parts, ServerUrl};
use super::{DestinationType, Example, Given, Map, SourceType, Wrong, docs, refuse_where, wrong};
use crate::plan::load::{DestinationKind, SourceKind};
use crate::plan::postgresql::{PostgresConnection, PostgresSourcePlan, SSL_MODES, SslMode};
use crate::secret::Masker;

/// How long connecting may take where nothing is said.
const CONNECT_TIMEOUT_SECONDS: i64 = 15;
/// The port where nothing is said.
const PORT: i64 = 5432;

pub(super) static SOURCE: SourceType = SourceType {
    name: "postgresql",
    title: "PostgreSQL",
    nouns: "tables",
    needs_connection: true,
    places: &["table", "tables", "custom_sql"],
    keys: &[
        key("table", Kind::Text, Works, Default::None, "A table or view; schema.table where databases have schemas"),
        key("tables", Kind::Texts, Works, Default::None, "Tables, or globs of tables: each its own stream and target"),
        key("custom_sql", Kind::Text, Works, Default::None, "A query; may name :last_sync, :lower_bound, :slot and :run_started"),
        key("where", Kind::Text, Works, Default::None, "A condition that the rows of each table meet"),
        key("partitions", Kind::Int(1, 64), Works, Default::Int(1), "How many parts of a table are read side by side, in one snapshot"),
    ],
    connection_keys: CONNECTION_KEYS,
    example: Example {
        connection: Some(
            "erp: {type: postgresql, host: db1, database: erp, user: etl, password: \"${ERP_PASSWORD}\", sslmode: verify-full}",
        ),
        source: "{connection: erp, table: public.orders, etl_config: {mode: incremental, timestamp_column: updated_at}}",
    },
    has_schemas: true,
    is_files: false,
    config_keys: &[],
    plan: source,
};

/// The keys of a connection, beside `type`.
pub const CONNECTION_KEYS: &[Key] = &[
    key("host", Kind::Text, Works, Default::None, docs::HOST),
    key("port", Kind::Int(1, 65_535), Works, Default::Int(PORT), "The server's port"),
    key("database", Kind::Text, Works, Default::Depends("the user"), "The database"),
    key("user", Kind::Text, Works, Default::None, "The login's name"),
    key("password", Kind::Secret, Works, Default::None, "The login's password"),
    key("url", Kind::Secret, Works, Default::None, docs::URL),
    key("sslmode", Kind::Word(SSL_MODES), Works, Default::Text("prefer"), docs::SSLMODE),
    key("sslrootcert", Kind::Text, Works, Default::Depends("the system's"), docs::SSLROOTCERT),
    key("sslcert", Kind::Text, Works, Default::None, "The file of the client's certificate"),
    key("sslkey", Kind::Text, Works, Default::None, "The file of the client's key"),
    key("connect_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(CONNECT_TIMEOUT_SECONDS), "How long connecting may take"),
    key("schema", Kind::Text, Works, Default::Depends("the login's first"), docs::SCHEMA),
    key("table_prefix", Kind::Text, Works, Default::None, "Put before the names of tables that have no target of their own"),
];

pub(super) static DESTINATION: DestinationType = DestinationType {
    name: "postgresql",
    title: "PostgreSQL",
    has_schemas: true,
    connection_keys: CONNECTION_KEYS,
    example: "dwh: {type: postgresql, host: db1, database: dwh, user: etl, schema: raw}",
    promise: "a load becomes visible whole, in one transaction, for every reader at READ COMMITTED; a transaction that began before a \
              table was swapped and first reads it then finds the new load, or nothing where rows were folded by a primary_key: set \
              publish: replace for readers at REPEATABLE READ",
    plan: destination,
};

fn destination(given: &dyn Given) -> Result<DestinationKind, Wrong> {
    connection(given).map(DestinationKind::Postgresql)
}

fn source(given: &dyn Given) -> Result<SourceKind, Wrong> {
    let text = |key| given.text(Map::Source, key).map(str::to_owned);
    refuse_where(given)?;
    let partitions = given.int(Map::Source, "partitions").and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    if text("custom_sql").is_some() && partitions > 1 {
        return Err(wrong("partitions", "partitions is what only tables have".to_owned(), "remove it, or say table"));
    }
    let tables = super::tables(given)?;
    let connection = connection(given)?;
    Ok(SourceKind::Postgresql(PostgresSourcePlan {
        connection,
        table: text("table"),
        tables,
        custom_sql: text("custom_sql"),
        filter: text("where"),
        partitions,
    }))
}

/// Returns what is read, as people know it: the server, the database and the table, without the login.
pub(super) fn place(plan: &PostgresSourcePlan, masker: &Masker) -> String {
    let PostgresConnection { host, database, .. } = &plan.connection;
    masker.mask(&format!("{host}/{database}: {}", super::what(plan.table.as_deref(), &plan.tables)))
}

/// Makes the connection of what the files say.
///
/// # Errors
/// A URL that is none, a URL beside its parts, no host, no user.
pub fn connection(given: &dyn Given) -> Result<PostgresConnection, Wrong> {
    let needed = [("host", "add host: the server, or url"), ("user", "add user: the role that logs in")];
    let parts = Parts::of(given, url_parts, URL_HINT, &needed)?;
    let seconds = given.int(Map::Connection, "connect_timeout_seconds").unwrap_or(CONNECT_TIMEOUT_SECONDS);
    let connection = made(parts, u64::try_from(seconds).unwrap_or(1), |path| given.file(path));
    let connection = connection.map_err(|message| wrong("url", message, URL_HINT))?;
    if connection.sslcert.is_some() != connection.sslkey.is_some() {
        return Err(wrong("sslcert", UNPAIRED.to_owned(), "give both, or none"));
    }
    Ok(connection)
}

/// Makes the connection of a URL alone, as the state store has it; `file` makes paths absolute.
///
/// # Errors
/// What is wrong with it, without any of it.
pub fn of_url(url: &str, file: impl Fn(&str) -> PathBuf) -> Result<PostgresConnection, String> {
    let connection = made(url_parts(url)?, CONNECT_TIMEOUT_SECONDS.unsigned_abs(), file)?;
    if connection.sslcert.is_some() == connection.sslkey.is_some() { Ok(connection) } else { Err(UNPAIRED.to_owned()) }
}

const UNPAIRED: &str = "sslcert and sslkey go together";

fn made(parts: Parts, connect_timeout_seconds: u64, file: impl Fn(&str) -> PathBuf) -> Result<PostgresConnection, String> {
    let sslmode = match parts.sslmode.as_deref().map(SslMode::parse) {
        None => SslMode::default(),
        Some(Some(mode)) => mode,
        Some(None) => return Err("sslmode of the url is none of libpq's words".to_owned()),
    };
    let file = |path: Option<String>| path.map(|path| file(&path));
    Ok(PostgresConnection {
        host: parts.host.unwrap_or_default(),
        port: parts.port.unwrap_or(5432),
        database: parts.database.or_else(|| parts.user.clone()).unwrap_or_default(),
        user: parts.user.unwrap_or_default(),
        password: parts.password,
        sslmode,
        sslrootcert: file(parts.sslrootcert),
        sslcert: file(parts.sslcert),
        sslkey: file(parts.sslkey),
        connect_timeout_seconds,
    })
}

/// How a URL is written.
pub const URL_HINT: &str =
    "write it as postgresql://user:password@host:5432/database?sslmode=verify-full; characters such as @ and / as %40 and %2F";

/// Takes a URL apart (PostgreSQL 15, "34.1.1.2. Connection URIs"). Messages never hold any of it.
fn url_parts(url: &str) -> Result<Parts, String> {
    let ServerUrl { host, port, database, user, password, parameters } = ServerUrl::parse(url, &["postgresql", "postgres"])?;
    let mut parts = Parts { host, port, database, user, password, ..Parts::default() };
    for (key, value) in parameters {
        let value = Some(value).filter(|value| !value.is_empty());
        match key.as_str() {
            "host" => parts.host = value,
            "sslmode" => parts.sslmode = value,
            "sslrootcert" => parts.sslrootcert = value,
            "sslcert" => parts.sslcert = value,
            "sslkey" => parts.sslkey = value,
            _ => return Err("it has a parameter other than host, sslmode, sslrootcert, sslcert and sslkey".to_owned()),
        }
    }
    if parts.host.is_none() {
        return Err("it names no host".to_owned());
    }
    if parts.user.is_none() {
        return Err("it names no user".to_owned());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parts = url_parts("postgresql://etl:p%40ss%2F%C3%BC@db1:5433/erp%20x?sslmode=verify-full&sslrootcert=ca.crt").unwrap();
        assert_eq!((parts.host.as_deref(), parts.port, parts.database.as_deref()), (Some("db1"), Some(5433), Some("erp x")));
        assert_eq!((parts.user.as_deref(), parts.password.unwrap().expose()), (Some("etl"), "p@ss/ü"));
        assert_eq!((parts.sslmode.as_deref(), parts.sslrootcert.as_deref()), (Some("verify-full"), Some("ca.crt")));
        let parts = url_parts("postgres://etl@[::1]/").unwrap();
        assert_eq!((parts.host.as_deref(), parts.port, parts.database), (Some("::1"), None, None));
        assert_eq!(url_parts("postgresql://etl@/d?host=%2Frun%2Fpg").unwrap().host.as_deref(), Some("/run/pg"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        let told = |url: &str| url_parts(url).unwrap_err();
        assert_eq!(told("mysql://hunter22@x"), "it does not begin with postgresql://");
        assert_eq!(told("postgresql://etl:hunter22@x:hunter/d"), "its port is no port");
        assert_eq!(told("postgresql://etl:hunter%2@x/d"), "a % in it is not followed by two hex digits");
        assert_eq!(told("postgresql://etl:hunter22@/d"), "it names no host");
        assert_eq!(told("postgresql://x/d"), "it names no user");
        assert!(told("postgresql://etl@x/d?options=-c").contains("a parameter other than host"));
    }
}
