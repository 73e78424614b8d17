//! SQLite files, described: as sources and as destinations.

use std::path::{Path, PathBuf};

use super::key::{Default, Key, Kind, Status::Works, key};
use super::{DestinationType, Example, Given, Map, SourceType, Wrong, below, refuse_where, wrong};
use crate::plan::load::{DestinationKind, SourceKind, SqlitePlan, SqliteSourcePlan};
use crate::secret::Masker;

pub(super) static SOURCE: SourceType = SourceType {
    name: "sqlite",
    title: "SQLite",
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
        connection: Some("shop: {type: sqlite, path: shop.db}"),
        source: "{connection: shop, table: orders, etl_config: {mode: incremental, timestamp_column: updated_at}}",
    },
    has_schemas: false,
    is_files: false,
    config_keys: &[],
    plan: source,
};

pub(super) static DESTINATION: DestinationType = DestinationType {
    name: "sqlite",
    title: "SQLite",
    has_schemas: false,
    connection_keys: CONNECTION_KEYS,
    example: "marts: {type: sqlite, path: marts.db}",
    promise: "a load becomes visible whole, in one transaction, for every reader; a reader keeps its snapshot while a load is published (WAL)",
    plan: destination,
};

const CONNECTION_KEYS: &[Key] = &[
    key("path", Kind::Text, Works, Default::None, "The file of a sqlite connection"),
    key("table_prefix", Kind::Text, Works, Default::None, "Put before the names of tables that have no target of their own"),
];

fn source(given: &dyn Given) -> Result<SourceKind, Wrong> {
    let text = |key| given.text(Map::Source, key).map(str::to_owned);
    refuse_where(given)?;
    let tables = super::tables(given)?;
    let path = file(given)?;
    Ok(SourceKind::Sqlite(SqliteSourcePlan { path, table: text("table"), tables, custom_sql: text("custom_sql"), filter: text("where") }))
}

fn destination(given: &dyn Given) -> Result<DestinationKind, Wrong> {
    Ok(DestinationKind::Sqlite(SqlitePlan { path: file(given)? }))
}

fn file(given: &dyn Given) -> Result<PathBuf, Wrong> {
    match given.text(Map::Connection, "path") {
        Some(path) => Ok(given.file(path)),
        None => Err(wrong("path", "no path".to_owned(), "add path: the SQLite file")),
    }
}

pub(super) fn place(plan: &SqliteSourcePlan, root: &Path, masker: &Masker) -> String {
    let path = masker.mask(&plan.path.display().to_string());
    let what = super::what(plan.table.as_deref(), &plan.tables);
    masker.mask(&format!("{}: {what}", below(Path::new(&path), root)))
}
