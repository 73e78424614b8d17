//! Tables of real servers behind their own drivers, for the suite that every source must pass: PostgreSQL's.

use crate::batch::ColumnType;
use crate::connect::servers::{PASSWORD, driver_file, postgresql};
use crate::plan::SourceKind;
use crate::plan::odbc::{Encrypt, Engine, OdbcConnection, OdbcSourcePlan};
use crate::secret::Secret;
use crate::source::conformance::Bench;
use crate::source::postgres::conformance::schema;

/// A schema of its own for each table.
pub(in crate::source) struct Schemas;

/// Returns a connection that says nothing but the driver; which must be there.
pub(in crate::source) fn through(driver: &str, file: &str, package: &str) -> OdbcConnection {
    driver_file(file, package);
    OdbcConnection {
        engine: Engine::Other,
        driver: Some(driver.to_owned()),
        dsn: None,
        connection_string: None,
        host: None,
        port: None,
        database: None,
        user: None,
        password: None,
        encrypt: Encrypt::default(),
        is_certificate_trusted: false,
        options: Vec::new(),
        connect_timeout_seconds: 15,
    }
}

/// Returns the way to the tests' PostgreSQL server.
pub(in crate::source) fn connection() -> OdbcConnection {
    OdbcConnection {
        host: Some("127.0.0.1".to_owned()),
        port: Some(postgresql().port),
        database: Some("etl".to_owned()),
        user: Some("etl".to_owned()),
        password: Some(Secret::new(PASSWORD)),
        ..through("PostgreSQL Unicode", "psqlodbcw.so", "odbc-postgresql")
    }
}

fn plan(table: Option<String>, custom_sql: Option<&str>) -> SourceKind {
    let custom_sql = custom_sql.map(str::to_owned);
    SourceKind::Odbc(OdbcSourcePlan { connection: connection(), table, tables: Vec::new(), custom_sql, filter: None })
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

impl Bench for Schemas {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let definitions: Vec<String> = columns.iter().map(|(name, column_type)| format!("\"{name}\" {}", declared(*column_type))).collect();
        let mut setup = format!("CREATE TABLE {{s}}.t ({});", definitions.join(", "));
        for row in rows {
            let cell = |cell: &Option<&str>| cell.map_or_else(|| "NULL".to_owned(), |cell| format!("'{}'", cell.replace('\'', "''")));
            setup += &format!("INSERT INTO {{s}}.t VALUES ({});", row.iter().map(cell).collect::<Vec<_>>().join(", "));
        }
        plan(Some(format!("{}.t", schema(&setup))), None)
    }

    /// A query whose hundredth row is a division by zero.
    fn broken(&self) -> SourceKind {
        plan(None, Some("SELECT id / (id - 100) AS id FROM generate_series(1, 200) AS id"))
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let table = |name: &&str| format!("CREATE TABLE {{s}}.\"{name}\" AS SELECT '{name}'::text AS id;");
        let schema = schema(&names.iter().map(table).collect::<String>());
        let SourceKind::Odbc(plan) = plan(None, None) else { return None };
        Some(SourceKind::Odbc(OdbcSourcePlan { tables: vec![format!("{schema}.*")], ..plan }))
    }

    fn gone(&self) -> SourceKind {
        plan(Some("no_schema.t".to_owned()), None)
    }
}
