//! Tables of the counterpart of Oracle's driver (`tests/counterparts/oracle.c`), which answers what it is told.

use super::{plan_of, through};
use crate::batch::ColumnType;
use crate::connect::servers::oracle::{ORACLE_PASSWORD, oracle};
use crate::plan::SourceKind;
use crate::plan::odbc::{Engine, OdbcConnection};
use crate::secret::Secret;
use crate::source::conformance::Bench;

/// A driver of its own for each table.
pub(in crate::source) struct Counterparts;

fn connection(answers: &str) -> OdbcConnection {
    let file = oracle(answers).folder.join("libsqora.so").display().to_string();
    OdbcConnection {
        engine: Engine::Oracle,
        driver: Some(file),
        host: Some("127.0.0.1".to_owned()),
        database: Some("ORCLPDB1".to_owned()),
        user: Some("etl".to_owned()),
        password: Some(Secret::new(ORACLE_PASSWORD)),
        ..through("", "psqlodbcw.so", "odbc-postgresql")
    }
}

/// Returns what a column is in the catalogue (type, precision, scale), for the driver, and once it is selected.
fn declared(column_type: ColumnType) -> (&'static str, &'static str, &'static str) {
    match column_type {
        ColumnType::Boolean => ("NUMBER|1|0", "NUMBER(1)", "NUMBER(1)"),
        ColumnType::Int16 => ("NUMBER|5|0", "NUMBER(5)", "NUMBER(5)"),
        ColumnType::Int32 => ("NUMBER|10|0", "NUMBER(10)", "NUMBER(10)"),
        ColumnType::Int64 => ("NUMBER|19|0", "NUMBER(19)", "NUMBER(19)"),
        ColumnType::UInt64 => ("NUMBER|20|0", "NUMBER(20)", "NUMBER(20)"),
        ColumnType::Float64 => ("BINARY_DOUBLE||", "BINARY_DOUBLE", "BINARY_DOUBLE"),
        ColumnType::Decimal { .. } => ("NUMBER|38|10", "NUMBER(38,10)", "NUMBER(38,10)"),
        ColumnType::Text => ("NVARCHAR2||", "NVARCHAR2(100)", "NVARCHAR2(100)"),
        ColumnType::Binary => ("RAW||", "RAW(100)", "RAW(100)"),
        ColumnType::Date => ("DATE||", "DATE", "DATE"),
        ColumnType::Timestamp => ("TIMESTAMP(6)||6", "TIMESTAMP(6)", "TIMESTAMP(6)"),
        ColumnType::TimestampUtc => ("TIMESTAMP(6) WITH TIME ZONE||6", "TIMESTAMP(6) WITH TIME ZONE", "VARCHAR2(40)"),
        // It has neither times nor UUIDs.
        _ => ("VARCHAR2||", "VARCHAR2(40)", "VARCHAR2(40)"),
    }
}

/// Writes a value as the counterpart's answers have it.
fn written(column_type: ColumnType, cell: &str) -> String {
    match column_type {
        ColumnType::Boolean => u8::from(cell == "true").to_string(),
        ColumnType::Binary => cell.trim_start_matches("\\x").to_owned(),
        ColumnType::Date => format!("{cell} 00:00:00"),
        ColumnType::Timestamp => cell.replace('T', " "),
        ColumnType::Text => cell.replace('\n', "\\n"),
        _ => cell.to_owned(),
    }
}

/// What the catalogue answers of a table's columns.
fn catalogue(columns: &[String]) -> String {
    let head = "COLUMN_NAME VARCHAR2(128)|DATA_TYPE VARCHAR2(128)|DATA_PRECISION VARCHAR2(40)|DATA_SCALE VARCHAR2(40)";
    format!("? ALL_TAB_COLUMNS\n{head}\n{}\n\n", columns.join("\n"))
}

const MISSING: &str = "42S02 942 ORA-00942: table or view does not exist";

impl Bench for Counterparts {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let of = |part: fn((&'static str, &'static str, &'static str)) -> &'static str, between: &str| {
            columns.iter().map(|(name, column_type)| format!("{name}{between}{}", part(declared(*column_type)))).collect::<Vec<_>>()
        };
        let (driver, read) = (of(|(_, driver, _)| driver, " ").join("|"), of(|(_, _, read)| read, " ").join("|"));
        let line = |row: &Vec<Option<&str>>| {
            let cells = row.iter().zip(columns).map(|(cell, (_, column_type))| cell.map(|cell| written(*column_type, cell)));
            cells.map(Option::unwrap_or_default).collect::<Vec<_>>().join("|")
        };
        let rows: Vec<String> = rows.iter().map(line).collect();
        let answers = format!(
            "{}? \"T\" WHERE 1 = 0\n{driver}\n\n? FROM \"T\"\n{read}\n{}\n",
            catalogue(&of(|(catalogue, ..)| catalogue, "|")),
            rows.join("\n")
        );
        plan_of(connection(&answers), Some("t"), &[])
    }

    fn broken(&self) -> SourceKind {
        let (catalogue, head) = (catalogue(&["ID|NUMBER|10|0".to_owned()]), "ID NUMBER(10)");
        let rows = "x 100 #\n! HY000 1476 ORA-01476: divisor is equal to zero";
        plan_of(connection(&format!("{catalogue}? \"T\" WHERE 1 = 0\n{head}\n\n? FROM \"T\"\n{head}\n{rows}\n")), Some("t"), &[])
    }

    fn several(&self, names: &[&str]) -> Option<SourceKind> {
        let mut answers =
            format!("! \"gone\"\n{MISSING}\n\n? ALL_TABLES\nOWNER VARCHAR2(128)|TABLE_NAME VARCHAR2(128)|IS_OWN VARCHAR2(1)\n");
        answers += &names.iter().map(|name| format!("ETL|{name}|1\n")).collect::<String>();
        answers += &format!("\n{}", catalogue(&["id|VARCHAR2||".to_owned()]));
        for name in names {
            let head = "id VARCHAR2(10)";
            answers += &format!("? \"{name}\" WHERE 1 = 0\n{head}\n\n? \"{name}\"\n{head}\n{name}\n\n");
        }
        Some(plan_of(connection(&answers), None, &["*.*"]))
    }

    fn gone(&self) -> SourceKind {
        plan_of(connection(&format!("! \"GONE\"\n{MISSING}\n\n{}", catalogue(&[]))), Some("gone"), &[])
    }

    /// No NUMBER has just the range of 64 bits.
    fn whole_number(&self) -> &'static str {
        "decimal(19,0)"
    }
}
