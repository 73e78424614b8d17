//! Rows of real servers through their own drivers.

use super::conformance::{connection, through};
use super::*;
use crate::batch::text::cell_text;
use crate::connect::servers::PASSWORD;
use crate::connect::servers::mariadb::mariadb;
use crate::plan::odbc::OdbcConnection;
use crate::plan::{LoadOptions, SourceKind};
use crate::source::conformance::options;
use crate::source::{self, Read};

mod cuts;
mod mariadb;
mod postgresql;
mod sqlite;

struct Case {
    plan: OdbcSourcePlan,
    rules: ColumnRules,
    options: LoadOptions,
    lower: Option<CursorValue>,
    upper: Option<CursorValue>,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    schema: String,
    lines: Vec<String>,
    rejected: Vec<String>,
    log: Vec<String>,
    restarts: usize,
}

impl Case {
    fn new(connection: OdbcConnection, table: Option<&str>, custom_sql: Option<&str>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let plan = OdbcSourcePlan { connection, table: owned(table), tables: Vec::new(), custom_sql: owned(custom_sql), filter: None };
        Self { plan, rules: ColumnRules::default(), options: options(), lower: None, upper: None }
    }

    /// A query of PostgreSQL.
    fn postgresql(sql: &str) -> Self {
        Self::new(connection(), None, Some(sql))
    }

    fn source(&self) -> Box<dyn Source> {
        let kind = SourceKind::Odbc(self.plan.clone());
        source::open(&SourcePlan {
            name: "s".to_owned(),
            connection: None,
            kind,
            columns: self.rules.clone(),
            hash_key: Some(Secret::new("key")),
        })
        .unwrap()
    }

    fn open(&self) -> Result<Box<dyn Reader>, SourceError> {
        let stream = match (&self.plan.table, self.plan.tables.is_empty()) {
            (Some(table), false) => Stream { name: table.clone(), base: table.clone() },
            _ => Stream::only("s"),
        };
        let moments = source::conformance::moments();
        let request = ReadRequest {
            lower_bound: self.lower.as_ref(),
            upper_bound: self.upper.as_ref(),
            ..ReadRequest::whole(&stream, &self.options, moments)
        };
        self.source().open(&request)
    }

    fn read(&self) -> Result<Outcome, SourceError> {
        let mut reader = self.open()?;
        let mut outcome = Outcome { schema: String::new(), lines: Vec::new(), rejected: Vec::new(), log: Vec::new(), restarts: 0 };
        loop {
            match reader.read()? {
                Read::Batch(batch) => {
                    for row in 0..batch.num_rows() {
                        let cell = |column| cell_text(&batch, column, row).unwrap_or_else(|| "NULL".to_owned());
                        outcome.lines.push((0..batch.num_columns()).map(cell).collect::<Vec<_>>().join("|"));
                    }
                }
                Read::Rejected(row) => {
                    outcome.rejected.push(format!("{}: {}: {}: {}", row.position, row.column.unwrap_or_default(), row.reason, row.raw));
                }
                Read::Restart { .. } => {
                    outcome.lines.clear();
                    outcome.rejected.clear();
                    outcome.restarts += 1;
                }
                Read::End => break,
            }
        }
        outcome.schema =
            reader.schema().columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", ");
        outcome.log = reader.take_log().into_iter().map(|(_, line)| line).collect();
        Ok(outcome)
    }
}
