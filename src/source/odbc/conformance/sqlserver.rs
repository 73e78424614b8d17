//! Tables of the counterpart of SQL Server's protocol (`tests/counterparts/tds`) behind FreeTDS's driver.

use super::{plan_of, through};
use crate::batch::ColumnType;
use crate::connect::servers::sqlserver::{SqlServer, sqlserver};
use crate::connect::servers::{PASSWORD, driver_file};
use crate::plan::SourceKind;
use crate::plan::odbc::{Encrypt, Engine, OdbcConnection};
use crate::secret::Secret;
use crate::source::conformance::Bench;

/// A server of its own for each table.
pub(in crate::source) struct Counterparts;

fn connection(server: &SqlServer) -> OdbcConnection {
    let file = driver_file("libtdsodbc.so", "tdsodbc").display().to_string();
    OdbcConnection {
        engine: Engine::SqlServer,
        host: Some("127.0.0.1".to_owned()),
        port: Some(server.server.port),
        database: Some("shop".to_owned()),
        user: Some("etl".to_owned()),
        password: Some(Secret::new(PASSWORD)),
        encrypt: Encrypt::Optional,
        ..through(&file, "libtdsodbc.so", "tdsodbc")
    }
}

fn declared(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "BIT".to_owned(),
        ColumnType::Int32 => "INT".to_owned(),
        ColumnType::UInt64 => "DECIMAL(20,0)".to_owned(),
        ColumnType::Float64 => "FLOAT".to_owned(),
        ColumnType::Text => "NVARCHAR(100)".to_owned(),
        ColumnType::Binary => "VARBINARY(100)".to_owned(),
        ColumnType::Time => "TIME(6)".to_owned(),
        ColumnType::Timestamp => "DATETIME2(6)".to_owned(),
        ColumnType::TimestampUtc => "DATETIMEOFFSET(6)".to_owned(),
        ColumnType::Uuid => "UNIQUEIDENTIFIER".to_owned(),
        other => other.to_string().to_uppercase(),
    }
}

fn literal(column_type: ColumnType, cell: &str) -> String {
    match column_type {
        ColumnType::Boolean => u8::from(cell == "true").to_string(),
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Float64 => cell.to_owned(),
        ColumnType::Binary => cell.replace('\\', "0"),
        ColumnType::Timestamp => format!("'{}'", cell.replace('T', " ")),
        ColumnType::TimestampUtc => format!("'{}'", cell.replace('T', " ").replace('Z', " +00:00")),
        ColumnType::Uuid => format!("'{}'", cell.to_uppercase()),
        ColumnType::Text => format!("N'{}'", cell.replace('\'', "''")),
        _ => format!("'{cell}'"),
    }
}

impl Bench for Counterparts {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let definitions: Vec<String> = columns.iter().map(|(name, column_type)| format!("[{name}] {}", declared(*column_type))).collect();
        let mut setup = format!("CREATE TABLE dbo.t ({});", definitions.join(", "));
        for row in rows {
            let cells = row.iter().zip(columns);
            let cells = cells.map(|(cell, (_, column_type))| cell.map_or_else(|| "NULL".to_owned(), |cell| literal(*column_type, cell)));
            setup += &format!("INSERT INTO dbo.t VALUES ({});", cells.collect::<Vec<_>>().join(", "));
        }
        plan_of(connection(&sqlserver(&setup)), Some("dbo.t"), &[])
    }

    fn broken(&self) -> SourceKind {
        let rows = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200) SELECT i FROM c";
        let server = sqlserver(&format!("CREATE TABLE dbo.t (id INT); INSERT INTO dbo.t {rows}"));
        server.faults(r#"{"error_after_rows": [100, 8134, 16, "Divide by zero error encountered."]}"#);
        plan_of(connection(&server), Some("dbo.t"), &[])
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let table = |name: &&str| format!("CREATE TABLE dbo.[{name}] (id NVARCHAR(10)); INSERT INTO dbo.[{name}] VALUES (N'{name}');");
        Some(plan_of(connection(&sqlserver(&names.iter().map(table).collect::<String>())), None, &["dbo.*"]))
    }

    fn gone(&self) -> SourceKind {
        plan_of(connection(&sqlserver("CREATE TABLE dbo.t (id INT)")), Some("dbo.gone"), &[])
    }
}
