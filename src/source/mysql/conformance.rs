//! Tables of a real MariaDB server, for the suite that every source must pass.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::batch::ColumnType;
use crate::connect::servers::mariadb::{mariadb, mariadb_root};
use crate::connect::servers::{PASSWORD, Server};
use crate::plan::SourceKind;
use crate::plan::mysql::{MysqlConnection, MysqlSourcePlan, MysqlTls};
use crate::secret::Secret;
use crate::source::conformance::Bench;

/// A database of its own for each table.
pub(in crate::source) struct Databases;

/// Tests run side by side in one server.
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// Returns the way to a database of a server.
pub(in crate::source) fn connection(server: &Server, database: &str) -> MysqlConnection {
    MysqlConnection {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        database: database.to_owned(),
        user: "etl".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        tls: MysqlTls::Preferred,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        connect_timeout_seconds: 15,
    }
}

/// Makes a database of the tests' server and returns its name. The setup runs in it, in UTC.
#[track_caller]
pub(in crate::source) fn database(setup: &str) -> String {
    database_on(mariadb(), setup)
}

/// As [`database`], of another server.
#[track_caller]
pub(in crate::source) fn database_on(server: &Server, setup: &str) -> String {
    let database = format!("source_{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let sql =
        format!("SET NAMES utf8mb4; SET time_zone = '+00:00'; CREATE DATABASE {database} CHARACTER SET utf8mb4; USE {database}; {setup}");
    mariadb_root(server, &sql);
    database
}

fn plan(database: &str, table: Option<&str>, custom_sql: Option<&str>) -> SourceKind {
    let connection = connection(mariadb(), database);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    SourceKind::Mysql(MysqlSourcePlan { connection, table: owned(table), tables: Vec::new(), custom_sql: owned(custom_sql), filter: None })
}

fn declared(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::UInt64 => "bigint unsigned".to_owned(),
        ColumnType::Float64 => "double".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        ColumnType::Text => "longtext".to_owned(),
        ColumnType::Binary => "longblob".to_owned(),
        ColumnType::Time => "time(6)".to_owned(),
        ColumnType::Timestamp => "datetime(6)".to_owned(),
        // As destinations keep an instant: TIMESTAMP ends in 2038.
        ColumnType::TimestampUtc => "datetime(6)".to_owned(),
        other => other.to_string(),
    }
}

/// Returns a cell as a literal of its column.
fn literal(column_type: ColumnType, cell: &str) -> String {
    match column_type {
        ColumnType::Boolean => cell.to_owned(),
        ColumnType::Binary => format!("X'{}'", cell.trim_start_matches("\\x")),
        ColumnType::TimestampUtc => format!("'{}'", cell.trim_end_matches('Z')),
        _ => format!("'{}'", cell.replace('\\', "\\\\").replace('\'', "''")),
    }
}

impl Bench for Databases {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let definitions: Vec<String> = columns.iter().map(|(name, column_type)| format!("`{name}` {}", declared(*column_type))).collect();
        let mut setup = format!("CREATE TABLE t ({});", definitions.join(", "));
        for row in rows {
            let cell = |(cell, (_, column_type)): (&Option<&str>, &(&str, ColumnType))| {
                cell.map_or_else(|| "NULL".to_owned(), |cell| literal(*column_type, cell))
            };
            setup += &format!("INSERT INTO t VALUES ({});", row.iter().zip(columns).map(cell).collect::<Vec<_>>().join(", "));
        }
        plan(&database(&setup), Some("t"), None)
    }

    /// A query whose hundredth row is one of two.
    fn broken(&self) -> SourceKind {
        plan("etl", None, Some("SELECT seq AS id, IF(seq = 100, (SELECT 1 UNION SELECT 2), 0) AS x FROM seq_1_to_200"))
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let table = |name: &&str| format!("CREATE TABLE `{name}` AS SELECT '{name}' AS id;");
        let SourceKind::Mysql(plan) = plan(&database(&names.iter().map(table).collect::<String>()), None, None) else { return None };
        Some(SourceKind::Mysql(MysqlSourcePlan { tables: vec!["*".to_owned()], ..plan }))
    }

    fn gone(&self) -> SourceKind {
        plan("etl", Some("no_database.t"), None)
    }
}
