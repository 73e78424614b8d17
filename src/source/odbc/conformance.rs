//! Tables of real servers behind their own drivers, for the suite that every source must pass: PostgreSQL's.

use crate::batch::ColumnType;
use crate::connect::servers::{PASSWORD, driver_file, postgresql};
use crate::plan::SourceKind;
use crate::plan::odbc::{Encrypt, Engine, OdbcConnection, OdbcSourcePlan};
use crate::secret::Secret;
use crate::source::conformance::Bench;
use crate::source::postgres::conformance::{BROKEN, filled, tables};

pub(in crate::source) mod oracle;
pub(in crate::source) mod sqlserver;

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

/// Plans a source of a connection: a table, or all that globs name.
fn plan_of(connection: OdbcConnection, table: Option<&str>, tables: &[&str]) -> SourceKind {
    let tables = tables.iter().map(|glob| (*glob).to_owned()).collect();
    SourceKind::Odbc(OdbcSourcePlan { connection, table: table.map(str::to_owned), tables, custom_sql: None, filter: None })
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
        let SourceKind::Odbc(plan) = plan(None, None) else { return None };
        Some(SourceKind::Odbc(OdbcSourcePlan { tables: vec![format!("{schema}.*")], ..plan }))
    }

    fn gone(&self) -> SourceKind {
        plan(Some("no_schema.t".to_owned()), None)
    }
}
