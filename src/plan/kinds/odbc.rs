//! Databases that an ODBC driver reaches, described; and what the three kinds of them share.

use super::key::{Default, Key, Kind, Status::Works, key};
use super::{Example, Given, Map, SourceType, Wrong, docs, refuse_where, wrong};
use crate::plan::load::SourceKind;
use crate::plan::odbc::{Encrypt, Engine, OdbcConnection, OdbcSourcePlan};
use crate::secret::Masker;

/// How long connecting may take where nothing is said.
pub(super) const CONNECT_TIMEOUT_SECONDS: i64 = 15;

/// The keys of a source, for all three kinds.
pub(super) const SOURCE_KEYS: &[Key] = &[
    key("table", Kind::Text, Works, Default::None, "A table or view; schema.table where databases have schemas"),
    key("tables", Kind::Texts, Works, Default::None, "Tables, or globs of tables: each its own stream and target"),
    key("custom_sql", Kind::Text, Works, Default::None, "A query; may name :last_sync, :lower_bound, :slot and :run_started"),
    key("where", Kind::Text, Works, Default::None, "A condition that the rows of each table meet"),
];

/// The places of a source, for all three kinds.
pub(super) const PLACES: &[&str] = &["table", "tables", "custom_sql"];

pub(super) const DRIVER: Key =
    key("driver", Kind::Text, Works, Default::Depends("found"), "The ODBC driver's name in odbcinst.ini, or its file");
pub(super) const DSN: Key = key("dsn", Kind::Text, Works, Default::None, "A data source of odbc.ini, instead of driver and host");
pub(super) const CONNECTION_STRING: Key =
    key("connection_string", Kind::Secret, Works, Default::None, "The whole ODBC connection string, instead of everything else");
pub(super) const OPTIONS: Key =
    key("options", Kind::TextMap, Works, Default::None, "Keywords of the driver's own that are added to the connection string");
pub(super) const HOST: Key = key("host", Kind::Text, Works, Default::None, docs::HOST);
pub(super) const USER: Key = key("user", Kind::Text, Works, Default::None, "The login's name");
pub(super) const PASSWORD: Key = key("password", Kind::Secret, Works, Default::None, "The login's password");
pub(super) const TIMEOUT: Key =
    key("connect_timeout_seconds", Kind::Int(1, 3600), Works, Default::Int(CONNECT_TIMEOUT_SECONDS), "How long connecting may take");

pub(super) static SOURCE: SourceType = SourceType {
    name: "odbc",
    title: "ODBC",
    nouns: "tables",
    needs_connection: true,
    places: PLACES,
    keys: SOURCE_KEYS,
    connection_keys: &[
        DRIVER,
        DSN,
        CONNECTION_STRING,
        HOST,
        key("port", Kind::Int(1, 65_535), Works, Default::Depends("the driver's"), "The server's port"),
        key("database", Kind::Text, Works, Default::None, "The database"),
        USER,
        PASSWORD,
        OPTIONS,
        TIMEOUT,
    ],
    example: Example {
        connection: Some(
            "old: {type: odbc, driver: PostgreSQL Unicode, host: db3, database: erp, user: etl, options: {UseDeclareFetch: \"1\"}}",
        ),
        source: "{connection: old, table: public.orders, etl_config: {mode: incremental, timestamp_column: updated_at}}",
    },
    has_schemas: true,
    is_files: false,
    config_keys: &[],
    plan: |given| source(given, Engine::Other),
};

/// Makes the plan of a source of one of the three kinds.
pub(super) fn source(given: &dyn Given, engine: Engine) -> Result<SourceKind, Wrong> {
    let text = |key| given.text(Map::Source, key).map(str::to_owned);
    refuse_where(given)?;
    let tables = super::tables(given)?;
    let connection = connection(given, engine)?;
    Ok(SourceKind::Odbc(OdbcSourcePlan { connection, table: text("table"), tables, custom_sql: text("custom_sql"), filter: text("where") }))
}

/// Keys that a whole connection string says already.
const IN_STRING: [&str; 11] =
    ["driver", "dsn", "host", "port", "database", "service", "user", "password", "encrypt", "trust_server_certificate", "options"];

/// Keys that a data source says already.
const IN_DSN: [&str; 3] = ["driver", "host", "port"];

/// Makes the connection of what the files say.
fn connection(given: &dyn Given, engine: Engine) -> Result<OdbcConnection, Wrong> {
    let text = |key| given.text(Map::Connection, key).map(str::to_owned);
    let has = |key: &&'static str| given.has(Map::Connection, key);
    let connection_string = given.secret(Map::Connection, "connection_string")?;
    let dsn = text("dsn");
    if connection_string.is_some() {
        if let Some(key) = IN_STRING.into_iter().find(|key| has(key)) {
            return Err(wrong(key, format!("{key} beside connection_string"), "keep one of them"));
        }
    } else if dsn.is_some() {
        if let Some(key) = IN_DSN.into_iter().find(|key| has(key)) {
            return Err(wrong(key, format!("{key} beside dsn"), "keep one of them"));
        }
    } else {
        let needed: &[(&'static str, &'static str)] = match engine {
            Engine::SqlServer => &[("host", "add host: the server, or dsn, or connection_string")],
            Engine::Oracle => &[
                ("host", "add host: the server, or dsn, or connection_string"),
                ("service", "add service: the name of the database's service"),
            ],
            Engine::Other => &[("driver", "add driver: its name in odbcinst.ini, or dsn, or connection_string")],
        };
        if let Some((key, hint)) = needed.iter().find(|(key, _)| !has(key)) {
            return Err(wrong(key, format!("no {key}"), hint));
        }
    }
    let options = given.text_map(Map::Connection, "options").unwrap_or_default();
    if let Some((name, _)) = options.iter().find(|(name, _)| !is_keyword(name)) {
        return Err(wrong(
            "options",
            format!("{name:?} can't be a keyword of a connection string"),
            "a keyword is letters, digits, blanks, - and _",
        ));
    }
    if let Some((name, _)) = options.iter().find(|(name, _)| is_password(name)) {
        return Err(wrong("options", format!("{name} is a secret"), "say password instead"));
    }
    let seconds = given.int(Map::Connection, "connect_timeout_seconds").unwrap_or(CONNECT_TIMEOUT_SECONDS);
    Ok(OdbcConnection {
        engine,
        driver: text("driver"),
        dsn,
        connection_string,
        host: text("host"),
        port: given.int(Map::Connection, "port").and_then(|port| u16::try_from(port).ok()),
        database: text("database").or_else(|| text("service")),
        user: text("user"),
        password: given.secret(Map::Connection, "password")?,
        encrypt: text("encrypt").and_then(|word| Encrypt::parse(&word)).unwrap_or_default(),
        is_certificate_trusted: given.boolean(Map::Connection, "trust_server_certificate").unwrap_or(false),
        options,
        connect_timeout_seconds: u64::try_from(seconds).unwrap_or(1),
    })
}

/// Whether a text can be a keyword of a connection string, and nothing else.
fn is_keyword(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || [' ', '_', '-'].contains(&sign);
    !text.trim().is_empty() && text.trim() == text && text.chars().all(is_sign)
}

fn is_password(keyword: &str) -> bool {
    ["pwd", "password"].contains(&keyword.to_ascii_lowercase().as_str())
}

/// Returns what is read, as people know it: the server or data source, the database and the table, without the login.
pub(super) fn place(plan: &OdbcSourcePlan, masker: &Masker) -> String {
    let what = super::what(plan.table.as_deref(), &plan.tables);
    masker.mask(&format!("{}: {what}", plan.connection.place()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_holds_nothing_that_ends_it() {
        for word in ["UseDeclareFetch", "Trusted_Connection", "Application Name"] {
            assert!(is_keyword(word), "{word}");
        }
        for word in ["", " ", "a=b", "a;b", "{a", "a}", "a\n", " a", "ä"] {
            assert!(!is_keyword(word), "{word}");
        }
    }
}
