use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::batch::text::cell_text;
use crate::plan::{LoadOptions, SourceKind};
use crate::run::CursorValue;
use crate::source::conformance::{moments, options};
use crate::source::{self, Read, RejectedRow};

struct Case {
    _folder: TempDir,
    path: PathBuf,
    table: Option<String>,
    sql: Option<String>,
    rules: ColumnRules,
    options: LoadOptions,
    lower: Option<CursorValue>,
    upper: Option<CursorValue>,
}

#[derive(Debug)]
struct Outcome {
    schema: String,
    lines: Vec<String>,
    rejected: Vec<RejectedRow>,
    restarts: Vec<String>,
}

impl Case {
    fn new(setup: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch(setup).unwrap();
        let (rules, options) = (ColumnRules::default(), options());
        Self { _folder: folder, path, table: Some("t".to_owned()), sql: None, rules, options, lower: None, upper: None }
    }

    fn sql(mut self, sql: &str) -> Self {
        (self.table, self.sql) = (None, Some(sql.to_owned()));
        self
    }

    fn since(mut self, column: &str, lower: Option<(&str, &str)>) -> Self {
        self.options.timestamp_column = Some(column.to_owned());
        self.lower = lower.map(|(name, text)| CursorValue { column_type: ColumnType::parse(name).unwrap(), text: text.to_owned() });
        self
    }

    /// Reads a window, without NULLs.
    fn until(mut self, name: &str, text: &str) -> Self {
        self.upper = Some(CursorValue { column_type: ColumnType::parse(name).unwrap(), text: text.to_owned() });
        self
    }

    fn source(&self) -> Box<dyn Source> {
        let (path, table, custom_sql) = (self.path.clone(), self.table.clone(), self.sql.clone());
        let sqlite = SqliteSourcePlan { path, table, tables: Vec::new(), custom_sql, filter: None };
        let plan = SourcePlan {
            name: "s".to_owned(),
            connection: None,
            kind: SourceKind::Sqlite(sqlite),
            columns: self.rules.clone(),
            hash_key: None,
        };
        source::open(&plan).unwrap()
    }

    fn read(&self) -> Result<Outcome, SourceError> {
        let stream = Stream::only("s");
        let mut reader = self.source().open(&ReadRequest {
            rows_max: None,
            stream: &stream,
            options: &self.options,
            lower_bound: self.lower.as_ref(),
            upper_bound: self.upper.as_ref(),
            is_exact: self.upper.is_some(),
            is_without_nulls: self.upper.is_some(),
            known_files: &[],
            is_incremental: self.lower.is_some(),
            ..ReadRequest::whole(&stream, &self.options, moments())
        })?;
        let (mut lines, mut rejected, mut restarts) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match reader.read()? {
                Read::Batch(batch) => {
                    assert_eq!(batch.schema(), reader.schema().arrow());
                    let cell = |row, column| cell_text(&batch, column, row).unwrap_or_else(|| "NULL".to_owned());
                    let line = |row| (0..batch.num_columns()).map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
                    lines.extend((0..batch.num_rows()).map(line));
                }
                Read::Rejected(row) => rejected.push(row),
                Read::Restart { reason } => {
                    lines.clear();
                    rejected.clear();
                    restarts.push(reason);
                }
                Read::End => break,
            }
        }
        assert!(matches!(reader.read()?, Read::End));
        let columns = reader.schema().columns.iter();
        let schema = columns.map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", ");
        Ok(Outcome { schema, lines, rejected, restarts })
    }
}

#[track_caller]
fn check(case: &Case, schema: &str, lines: &[&str]) -> Outcome {
    let outcome = case.read().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.schema.as_str(), outcome.lines.clone()), (schema, lines.iter().map(|line| (*line).to_owned()).collect()));
    outcome
}

#[test]
fn every_kind_of_value_arrives_as_it_is_stored() {
    let case = Case::new(
        "CREATE TABLE t (i INTEGER, r REAL, x TEXT, b BLOB, o BOOLEAN, \"odd \"\"name\" TEXT);
         INSERT INTO t VALUES (9223372036854775807, 0.1, 'naïve ☃', x'00ff', 1, ''), (-9223372036854775808, 1e300, '1.10', x'', 0, '007'),
         (9007199254740993, NULL, NULL, NULL, NULL, NULL);",
    );
    check(
        &case,
        "i bigint, r double, x text, b binary, o boolean, odd \"name text",
        &[
            "9223372036854775807|0.1|naïve ☃|\\x00ff|true|",
            "-9223372036854775808|1e300|1.10|\\x|false|007",
            "9007199254740993|NULL|NULL|NULL|NULL|NULL",
        ],
    );
    check(&Case::new("CREATE TABLE t (i INTEGER, d DATETIME)"), "i bigint, d text", &[]);
}

#[test]
fn a_value_that_does_not_fit_widens_its_column_and_loses_no_row() {
    let case = Case::new("CREATE TABLE t (i INTEGER, n NUMERIC); INSERT INTO t VALUES (1, 1), (2, 2), (3, 2.5), ('x', 4), (5, 5)");
    let outcome = check(&case, "i text, n double", &["1|1.0", "2|2.0", "3|2.5", "x|4.0", "5|5.0"]);
    assert_eq!(outcome.restarts, ["t, row 3, column n: 2.5 is not a bigint"]);
}

#[test]
fn what_no_type_holds_is_rejected_with_its_place() {
    let case = Case::new(
        "CREATE TABLE t (x TEXT, n INTEGER); INSERT INTO t VALUES ('a', 1), (x'00', 2), ('b' || char(0) || 'c', 3), (CAST(x'ff' AS TEXT), 4), ('z', 5)",
    );
    let outcome = check(&case, "x text, n bigint", &["a|1", "z|5"]);
    let told: Vec<String> = outcome.rejected.iter().map(|row| format!("{}: {}", row.position, row.reason)).collect();
    assert_eq!(
        told,
        [
            "t, row 2: a blob of 1 byte does not fit text",
            "t, row 3: \"b\\u{0}c\" does not fit text",
            "t, row 4: \"\u{fffd}\" does not fit text"
        ]
    );
}

#[test]
fn a_lower_bound_is_closed_and_lets_nulls_through() {
    let rows = "CREATE TABLE t (id INTEGER, at TEXT);
        INSERT INTO t VALUES (1, '2013-01-01 05:00:00'), (2, '2013-01-01T06:00:00Z'), (3, '2013-01-01 06:30:00'), (4, NULL)";
    check(
        &Case::new(rows).since("id", Some(("bigint", "2"))),
        "id bigint, at text",
        &["2|2013-01-01T06:00:00Z", "3|2013-01-01 06:30:00", "4|NULL"],
    );
    // However the moments are written, they are compared as moments.
    let declared = |lower| {
        let mut case = Case::new(&rows.replace("06:00:00Z", "06:00:00")).since("at", lower);
        case.rules.types = vec![("at".to_owned(), ColumnType::Timestamp)];
        case
    };
    let lines = ["2|2013-01-01T06:00:00", "3|2013-01-01T06:30:00", "4|NULL"];
    check(&declared(Some(("timestamp", "2013-01-01T06:00:00"))), "id bigint, at timestamp", &lines);
    let window = declared(Some(("timestamp", "2013-01-01T05:00:00"))).until("timestamp", "2013-01-01T06:00:00");
    check(&window, "id bigint, at timestamp", &["1|2013-01-01T05:00:00"]);
    let numbers = Case::new(rows).since("id", Some(("bigint", "2"))).until("bigint", "3");
    check(&numbers, "id bigint, at text", &["2|2013-01-01T06:00:00Z"]);
}

#[test]
fn a_query_is_wrapped_or_takes_its_bounds_by_name() {
    let rows = "CREATE TABLE t (id INTEGER, at TEXT); INSERT INTO t VALUES (1, '2013-01-01 05:00:00'), (2, '2013-01-01 06:00:00'), (3, '2013-01-02 00:00:00')";
    let case = |sql: &str, column, lower| Case::new(rows).sql(sql).since(column, lower);
    let id = Some(("bigint", "2"));
    check(&case("SELECT id FROM t -- all\n;", "id", id), "id bigint", &["2", "3"]);
    check(&case("SELECT id FROM t WHERE id > :last_sync", "id", id), "id bigint", &["2", "3"]);
    check(&case("SELECT id FROM t WHERE id >= :lower_bound", "id", None), "id bigint", &["1", "2", "3"]);
    let at = Some(("timestamp", "2013-01-01T06:00:00"));
    check(
        &case("SELECT * FROM t WHERE at > :last_sync", "at", at),
        "id bigint, at text",
        &["2|2013-01-01 06:00:00", "3|2013-01-02 00:00:00"],
    );
    check(&case("SELECT id, at FROM t WHERE at > :last_sync LIMIT 1", "at", None), "id bigint, at text", &["1|2013-01-01 05:00:00"]);
    // The moments of the run, as ISO 8601, and no bound: it is filtered from outside.
    let sql = "SELECT id, :slot AS slot, :run_started AS started FROM t";
    let lines = ["2|2026-01-01T06:00:00Z|2026-01-01T07:00:00Z", "3|2026-01-01T06:00:00Z|2026-01-01T07:00:00Z"];
    check(&case(sql, "id", id), "id bigint, slot text, started text", &lines);
    let refused = case("DELETE FROM t", "id", None).read().unwrap_err();
    assert_eq!(refused.code, "invalid_sql", "{refused}");
}

#[test]
fn keys_come_from_the_catalogue() {
    let case = Case::new("CREATE TABLE t (b TEXT, a INTEGER, c TEXT, PRIMARY KEY (a, b))");
    assert_eq!(case.source().primary_key(&Stream::only("s")).unwrap(), ["a", "b"]);
}

#[test]
fn a_snapshot_sees_no_row_that_comes_later() {
    let case = Case::new(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13)",
    );
    let stream = Stream::only("s");
    let request = ReadRequest::whole(&stream, &case.options, moments());
    let mut reader = case.source().open(&request).unwrap();
    Connection::open(&case.path).unwrap().execute_batch("DELETE FROM t WHERE i > 1; INSERT INTO t VALUES (99)").unwrap();
    let mut rows = 0;
    while let Read::Batch(batch) = reader.read().unwrap() {
        rows += batch.num_rows();
    }
    assert_eq!(rows, 13);
}

#[test]
fn what_is_no_database_or_no_table_is_told() {
    let case = Case::new("CREATE TABLE t (i INTEGER)");
    let told = |case: &Case| case.read().unwrap_err().to_string().replace(&case.path.display().to_string(), "a.db");
    let mut missing = Case::new("");
    missing.table = Some("none".to_owned());
    assert_eq!(told(&missing), "source s: there is no table none in a.db");
    std::fs::write(&case.path, "this is not a database, though it is long enough to be one".repeat(20)).unwrap();
    assert_eq!(told(&case), "open a.db: file is not a database");
    std::fs::remove_file(&case.path).unwrap();
    assert_eq!(told(&case), "open a.db: no such file");
}
