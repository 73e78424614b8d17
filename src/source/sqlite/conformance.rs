//! Tables of SQLite files, for the suite that every source must pass.

use std::cell::Cell;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::batch::ColumnType;
use crate::plan::{SourceKind, SqliteSourcePlan};
use crate::source::conformance::Bench;

/// A folder with a file for each table.
pub(in crate::source) struct Folder {
    folder: TempDir,
    files: Cell<usize>,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), files: Cell::new(0) }
    }

    fn plan(&self, setup: Option<&str>, table: Option<&str>, custom_sql: Option<&str>) -> SourceKind {
        self.files.set(self.files.get() + 1);
        let path = self.folder.path().join(format!("{}.db", self.files.get()));
        if let Some(setup) = setup {
            Connection::open(&path).unwrap().execute_batch(setup).unwrap();
        }
        let text = |text: Option<&str>| text.map(str::to_owned);
        SourceKind::Sqlite(SqliteSourcePlan { path, table: text(table), tables: Vec::new(), custom_sql: text(custom_sql), filter: None })
    }
}

/// The declared type of a column, and a value as a literal of it: as the engine keeps values of a type, texts where it has none.
fn literal(column_type: ColumnType, text: &str) -> String {
    match column_type {
        ColumnType::Boolean | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Float64 => text.to_owned(),
        ColumnType::Binary => format!("x'{}'", text.trim_start_matches("\\x")),
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

fn declared(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => "INTEGER",
        ColumnType::Float64 => "REAL",
        ColumnType::Binary => "BLOB",
        _ => "TEXT",
    }
}

impl Bench for Folder {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let definitions: Vec<String> = columns.iter().map(|(name, column_type)| format!("\"{name}\" {}", declared(*column_type))).collect();
        let mut setup = format!("CREATE TABLE t ({});", definitions.join(", "));
        for row in rows {
            let cell = |(cell, (_, column_type)): (&Option<&str>, &(&str, ColumnType))| {
                cell.map_or_else(|| "NULL".to_owned(), |cell| literal(*column_type, cell))
            };
            setup += &format!("INSERT INTO t VALUES ({});", row.iter().zip(columns).map(cell).collect::<Vec<_>>().join(", "));
        }
        self.plan(Some(&setup), Some("t"), None)
    }

    /// A query whose hundredth row is an overflow.
    fn broken(&self) -> SourceKind {
        let setup = "CREATE TABLE t (id INTEGER);
            WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 200) INSERT INTO t SELECT id FROM n;";
        let query = "SELECT CASE WHEN id < 100 THEN id ELSE abs(-9223372036854775807 - 1) END AS id FROM t";
        self.plan(Some(setup), None, Some(query))
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let setup: String =
            names.iter().map(|name| format!("CREATE TABLE \"{name}\" (id TEXT); INSERT INTO \"{name}\" VALUES ('{name}');")).collect();
        let SourceKind::Sqlite(plan) = self.plan(Some(&setup), None, None) else { return None };
        Some(SourceKind::Sqlite(SqliteSourcePlan { tables: vec!["*".to_owned()], ..plan }))
    }

    fn gone(&self) -> SourceKind {
        self.plan(None, Some("t"), None)
    }
}
