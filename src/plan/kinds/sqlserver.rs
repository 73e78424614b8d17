//! SQL Server, described.

use super::key::{Default, Kind, Status::Works, key};
use super::odbc::{CONNECTION_STRING, DRIVER, DSN, HOST, OPTIONS, PASSWORD, PLACES, SOURCE_KEYS, TIMEOUT, USER, source};
use super::{Example, SourceType};
use crate::plan::odbc::{ENCRYPT_WORDS, Engine};

pub(super) static SOURCE: SourceType = SourceType {
    name: "sqlserver",
    title: "SQL Server",
    nouns: "tables",
    needs_connection: true,
    places: PLACES,
    keys: SOURCE_KEYS,
    connection_keys: &[
        HOST,
        key("port", Kind::Int(1, 65_535), Works, Default::Int(1433), "The server's port"),
        key("database", Kind::Text, Works, Default::Depends("the login's"), "The database"),
        USER,
        PASSWORD,
        DRIVER,
        key("encrypt", Kind::Word(ENCRYPT_WORDS), Works, Default::Text("mandatory"), "How the connection is encrypted"),
        key("trust_server_certificate", Kind::Bool, Works, Default::Bool(false), "Whether the server's certificate is taken unchecked"),
        DSN,
        CONNECTION_STRING,
        OPTIONS,
        TIMEOUT,
    ],
    example: Example {
        connection: Some("erp: {type: sqlserver, host: sql1, database: erp, user: etl, password: \"${ERP_PASSWORD}\"}"),
        source: "{connection: erp, table: dbo.orders, etl_config: {mode: incremental, timestamp_column: updated_at}}",
    },
    has_schemas: true,
    is_files: false,
    config_keys: &[],
    plan: |given| source(given, Engine::SqlServer),
};
