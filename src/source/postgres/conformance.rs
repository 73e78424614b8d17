//! Tables of a real PostgreSQL server, for the suite that every source must pass.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::batch::ColumnType;
use crate::connect::servers::{self, PASSWORD, postgresql, psql};
use crate::plan::SourceKind;
use crate::plan::postgresql::{PostgresConnection, PostgresSourcePlan, SslMode};
use crate::secret::Secret;
use crate::source::conformance::Bench;

/// A schema of its own for each table.
pub(in crate::source) struct Schemas;

/// Tests run side by side in one database.
static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

/// Returns the way to the tests' server.
pub(in crate::source) fn connection() -> PostgresConnection {
    let server: &servers::Server = postgresql();
    PostgresConnection {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        database: "etl".to_owned(),
        user: "etl".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        sslmode: SslMode::Prefer,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        connect_timeout_seconds: 15,
    }
}

/// Makes a schema and returns its name; `{s}` in the setup stands for it.
pub(in crate::source) fn schema(setup: &str) -> String {
    let schema = format!("source_{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
    psql(postgresql(), "etl", &format!("CREATE SCHEMA {schema}; {}", setup.replace("{s}", &schema)));
    schema
}

fn plan(table: Option<String>, custom_sql: Option<&str>) -> SourceKind {
    SourceKind::Postgresql(PostgresSourcePlan {
        connection: connection(),
        table,
        tables: Vec::new(),
        custom_sql: custom_sql.map(str::to_owned),
        filter: None,
        partitions: 1,
    })
}

fn declared(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::UInt64 => "numeric(20)".to_owned(),
        ColumnType::Float64 => "double precision".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ColumnType::Binary => "bytea".to_owned(),
        ColumnType::TimestampUtc => "timestamptz".to_owned(),
        other => other.to_string(),
    }
}

/// A query whose hundredth row is a division by zero.
pub(in crate::source) const BROKEN: &str = "SELECT id / (id - 100) AS id FROM generate_series(1, 200) AS id";

/// Makes a table with rows and returns its name.
pub(in crate::source) fn filled(columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> String {
    let definitions: Vec<String> = columns.iter().map(|(name, column_type)| format!("\"{name}\" {}", declared(*column_type))).collect();
    let mut setup = format!("CREATE TABLE {{s}}.t ({});", definitions.join(", "));
    for row in rows {
        let cell = |cell: &Option<&str>| cell.map_or_else(|| "NULL".to_owned(), |cell| format!("'{}'", cell.replace('\'', "''")));
        setup += &format!("INSERT INTO {{s}}.t VALUES ({});", row.iter().map(cell).collect::<Vec<_>>().join(", "));
    }
    format!("{}.t", schema(&setup))
}

/// Makes tables of these names, each with its name as its only row, and returns their schema.
pub(in crate::source) fn tables(names: &[&str]) -> String {
    let table = |name: &&str| format!("CREATE TABLE {{s}}.\"{name}\" AS SELECT '{name}'::text AS id;");
    schema(&names.iter().map(table).collect::<String>())
}

impl Bench for Schemas {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        plan(Some(filled(columns, rows)), None)
    }

    fn broken(&self) -> SourceKind {
        plan(None, Some(BROKEN))
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let schema = tables(names);
        let SourceKind::Postgresql(plan) = plan(None, None) else { return None };
        Some(SourceKind::Postgresql(PostgresSourcePlan { tables: vec![format!("{schema}.*")], ..plan }))
    }

    fn gone(&self) -> SourceKind {
        plan(Some("no_schema.t".to_owned()), None)
    }
}
