//! MySQL and MariaDB, described: the keys that a connection has, for sources and destinations alike.

use super::key::{Default, Key, Kind, Status::Works, key};
use super::url::{Parts, ServerUrl};
use super::{DestinationType, Example, Given, Map, SourceType, Wrong, docs, refuse_where, wrong};
use crate::plan::load::{DestinationKind, SourceKind};
use crate::plan::mysql::{Infile, MYSQL_SSL_MODES, MysqlConnection, MysqlDestinationPlan, MysqlSourcePlan, MysqlTls};
use crate::secret::Masker;

/// How long connecting may take where nothing is said.
const CONNECT_TIMEOUT_SECONDS: i64 = 15;
/// The port where nothing is said.
const PORT: u16 = 3306;

/// The keys of a connection, beside `type`.
pub const CONNECTION_KEYS: &[Key] = &[
    key("host", Kind::Text, Works, Default::None, docs::HOST),
    key("port", Kind::Int(1, 65_535), Works, Default::Int(PORT as i64), "The server's port"),
    key("database", Kind::Text, Works, Default::None, "The database"),
    key("user", Kind::Text, Works, Default::None, "The login's name"),
    key("password", Kind::Secret, Works, Default::None, "The login's password"),
    key("url", Kind::Secret, Works, Default::None, docs::URL),
    key("sslmode", Kind::Word(MYSQL_SSL_MODES), Works, Default::Text("prefer"), docs::SSLMODE),
    key("sslrootcert", Kind::Text, Works, Default::Depends("the system's"), docs::SSLROOTCERT),
    key("sslcert", Kind::Text, Works, Default::None, "The file of the client's certificate"),
    key("sslkey", Kind::Text, Works, Default::None, "The file of the client's key"),
    key("connect_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(CONNECT_TIMEOUT_SECONDS), "How long connecting may take"),
    key(
        "infile",
        Kind::Word(&["auto", "off"]),
        Works,
        Default::Text("auto"),
        "Whether rows go by LOAD DATA LOCAL INFILE where the server allows it",
    ),
    key("schema", Kind::Text, Works, Default::Depends("the database"), docs::SCHEMA),
    key("table_prefix", Kind::Text, Works, Default::None, "Put before the names of tables that have no target of their own"),
];

pub(super) static SOURCE: SourceType = SourceType {
    name: "mysql",
    title: "MySQL, MariaDB",
    nouns: "tables",
    needs_connection: true,
    places: &["table", "tables", "custom_sql"],
    keys: &[
        key("table", Kind::Text, Works, Default::None, "A table or view; schema.table where databases have schemas"),
        key("tables", Kind::Texts, Works, Default::None, "Tables, or globs of tables: each its own stream and target"),
        key("custom_sql", Kind::Text, Works, Default::None, "A query; may name :last_sync, :lower_bound, :slot and :run_started"),
        key("where", Kind::Text, Works, Default::None, "A condition that the rows of each table meet"),
    ],
    connection_keys: CONNECTION_KEYS,
    example: Example {
        connection: Some("shop: {type: mysql, host: db2, database: shop, user: etl, password: \"${SHOP_PASSWORD}\", sslmode: verify-full}"),
        source: "{connection: shop, table: orders, etl_config: {mode: incremental, timestamp_column: updated_at}}",
    },
    has_schemas: true,
    is_files: false,
    config_keys: &[],
    plan: source,
};

fn source(given: &dyn Given) -> Result<SourceKind, Wrong> {
    let text = |key| given.text(Map::Source, key).map(str::to_owned);
    refuse_where(given)?;
    let tables = super::tables(given)?;
    let connection = connection(given)?;
    Ok(SourceKind::Mysql(MysqlSourcePlan {
        connection,
        table: text("table"),
        tables,
        custom_sql: text("custom_sql"),
        filter: text("where"),
    }))
}

/// Returns what is read, as people know it: the server, the database and the table, without the login.
pub(super) fn place(plan: &MysqlSourcePlan, masker: &Masker) -> String {
    let MysqlConnection { host, database, .. } = &plan.connection;
    masker.mask(&format!("{host}/{database}: {}", super::what(plan.table.as_deref(), &plan.tables)))
}

pub(super) static DESTINATION: DestinationType = DestinationType {
    name: "mysql",
    title: "MySQL, MariaDB",
    has_schemas: true,
    connection_keys: CONNECTION_KEYS,
    example: "dwh: {type: mysql, host: db1, database: dwh, user: etl}",
    promise: "a load becomes visible whole, by one RENAME or in one transaction, for every statement that begins after it; a transaction at \
              REPEATABLE READ that began before a table was swapped and first reads it then is refused by the server with error 1412: set \
              publish: replace for such readers",
    plan: destination,
};

fn destination(given: &dyn Given) -> Result<DestinationKind, Wrong> {
    let infile = if given.text(Map::Connection, "infile") == Some("off") { Infile::Off } else { Infile::Auto };
    Ok(DestinationKind::Mysql(MysqlDestinationPlan { connection: connection(given)?, infile }))
}

const URL_HINT: &str =
    "write it as mysql://user:password@host:3306/database?sslmode=verify-full; characters such as @ and / as %40 and %2F";

/// Makes the connection of what the files say.
///
/// # Errors
/// A URL that is none, a URL beside its parts, no host, no user, no database.
pub fn connection(given: &dyn Given) -> Result<MysqlConnection, Wrong> {
    let needed = [
        ("host", "add host: the server, or url"),
        ("user", "add user: the account that logs in"),
        ("database", "add database: the one that tables stand in"),
    ];
    let parts = Parts::of(given, url_parts, URL_HINT, &needed)?;
    let tls = match parts.sslmode.as_deref().map(MysqlTls::parse) {
        None => MysqlTls::default(),
        Some(Some(mode)) => mode,
        Some(None) => return Err(wrong("url", "sslmode of the url is none of libpq's words and none of MySQL's".to_owned(), URL_HINT)),
    };
    let seconds = given.int(Map::Connection, "connect_timeout_seconds").unwrap_or(CONNECT_TIMEOUT_SECONDS);
    let file = |path: Option<String>| path.map(|path| given.file(&path));
    let connection = MysqlConnection {
        host: parts.host.unwrap_or_default(),
        port: parts.port.unwrap_or(PORT),
        database: parts.database.unwrap_or_default(),
        user: parts.user.unwrap_or_default(),
        password: parts.password,
        tls,
        sslrootcert: file(parts.sslrootcert),
        sslcert: file(parts.sslcert),
        sslkey: file(parts.sslkey),
        connect_timeout_seconds: u64::try_from(seconds).unwrap_or(1),
    };
    if connection.sslcert.is_some() != connection.sslkey.is_some() {
        return Err(wrong("sslcert", "sslcert and sslkey go together".to_owned(), "give both, or none"));
    }
    Ok(connection)
}

/// Takes a URL apart (MySQL 8.0, "4.2.5 Connecting to the Server Using URI-Like Strings"). Messages never hold any of it.
fn url_parts(url: &str) -> Result<Parts, String> {
    let ServerUrl { host, port, database, user, password, parameters } = ServerUrl::parse(url, &["mysql", "mariadb"])?;
    let mut parts = Parts { host, port, database, user, password, ..Parts::default() };
    for (key, value) in parameters {
        let value = Some(value).filter(|value| !value.is_empty());
        match key.as_str() {
            "socket" => parts.host = value,
            "sslmode" | "ssl-mode" => parts.sslmode = value,
            "sslrootcert" | "ssl-ca" => parts.sslrootcert = value,
            "sslcert" | "ssl-cert" => parts.sslcert = value,
            "sslkey" | "ssl-key" => parts.sslkey = value,
            _ => return Err("it has a parameter other than socket, sslmode, sslrootcert, sslcert and sslkey".to_owned()),
        }
    }
    for (name, value) in [("host", &parts.host), ("user", &parts.user), ("database", &parts.database)] {
        if value.is_none() {
            return Err(format!("it names no {name}"));
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parts = url_parts("mysql://etl:p%40ss%2F%C3%BC@db1:3307/shop%20x?ssl-mode=VERIFY_CA&ssl-ca=ca.crt").unwrap();
        assert_eq!((parts.host.as_deref(), parts.port, parts.database.as_deref()), (Some("db1"), Some(3307), Some("shop x")));
        assert_eq!((parts.user.as_deref(), parts.password.unwrap().expose()), (Some("etl"), "p@ss/ü"));
        assert_eq!((parts.sslmode.as_deref(), parts.sslrootcert.as_deref()), (Some("VERIFY_CA"), Some("ca.crt")));
        assert_eq!(url_parts("mariadb://etl@/d?socket=%2Frun%2Fdb.sock").unwrap().host.as_deref(), Some("/run/db.sock"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        let told = |url: &str| url_parts(url).unwrap_err();
        assert_eq!(told("postgresql://hunter22@x"), "it does not begin with mysql://");
        assert_eq!(told("mysql://etl:hunter22@x:hunter/d"), "its port is no port");
        assert_eq!(told("mysql://etl:hunter22@/d"), "it names no host");
        assert_eq!(told("mysql://etl:hunter22@x"), "it names no database");
        assert!(told("mysql://etl@x/d?pool=hunter22").contains("a parameter other than socket"));
    }

    #[test]
    fn both_vocabularies_of_tls_are_known() {
        assert!(MYSQL_SSL_MODES.iter().all(|word| MysqlTls::parse(word).is_some()));
        assert_eq!(MysqlTls::parse("VERIFY_IDENTITY"), MysqlTls::parse("verify-full"));
        assert_eq!(MysqlTls::parse("allow"), None);
    }
}
