//! Oracle, described.

use super::key::{Default, Kind, Status::Works, key};
use super::odbc::{CONNECTION_STRING, DRIVER, DSN, HOST, OPTIONS, PASSWORD, PLACES, SOURCE_KEYS, TIMEOUT, USER, source};
use super::{Example, SourceType};
use crate::plan::odbc::Engine;

pub(super) static SOURCE: SourceType = SourceType {
    name: "oracle",
    title: "Oracle",
    nouns: "tables",
    needs_connection: true,
    places: PLACES,
    keys: SOURCE_KEYS,
    connection_keys: &[
        HOST,
        key("port", Kind::Int(1, 65_535), Works, Default::Int(1521), "The server's port"),
        key("service", Kind::Text, Works, Default::None, "The name of the database's service"),
        USER,
        PASSWORD,
        DRIVER,
        DSN,
        CONNECTION_STRING,
        OPTIONS,
        TIMEOUT,
    ],
    example: Example {
        connection: Some("erp: {type: oracle, host: ora1, service: ORCLPDB1, user: etl, password: \"${ERP_PASSWORD}\"}"),
        source: "{connection: erp, table: SALES.ORDERS, etl_config: {mode: incremental, timestamp_column: UPDATED_AT}}",
    },
    has_schemas: true,
    is_files: false,
    config_keys: &[],
    plan: |given| source(given, Engine::Oracle),
};
