mod parts;

use super::conformance::{connection, schema};
use super::*;
use crate::batch::ColumnType;
use crate::batch::text::cell_text;
use crate::connect::servers::{postgresql, psql};
use crate::plan::{LoadOptions, SourceKind};
use crate::source::conformance::{moments, options};
use crate::source::{self, Read};

struct Case {
    plan: PostgresSourcePlan,
    rules: ColumnRules,
    options: LoadOptions,
    lower: Option<CursorValue>,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    schema: String,
    lines: Vec<String>,
    rejected: Vec<String>,
}

impl Case {
    /// Reads `t` of a schema of its own.
    fn new(setup: &str) -> Self {
        let table = Some(format!("{}.t", schema(setup)));
        let plan =
            PostgresSourcePlan { connection: connection(), table, tables: Vec::new(), custom_sql: None, filter: None, partitions: 1 };
        Self { plan, rules: ColumnRules::default(), options: options(), lower: None }
    }

    fn sql(sql: &str) -> Self {
        let plan = PostgresSourcePlan {
            connection: connection(),
            table: None,
            tables: Vec::new(),
            custom_sql: Some(sql.to_owned()),
            filter: None,
            partitions: 1,
        };
        Self { plan, rules: ColumnRules::default(), options: options(), lower: None }
    }

    fn since(mut self, column: &str, lower: Option<(&str, &str)>) -> Self {
        self.options.timestamp_column = Some(column.to_owned());
        self.lower = lower.map(|(name, text)| CursorValue { column_type: ColumnType::parse(name).unwrap(), text: text.to_owned() });
        self
    }

    fn source(&self) -> Box<dyn Source> {
        let kind = SourceKind::Postgresql(self.plan.clone());
        let hash_key = Some(Secret::new("Jefe"));
        source::open(&SourcePlan { name: "s".to_owned(), connection: None, kind, columns: self.rules.clone(), hash_key }).unwrap()
    }

    fn read(&self) -> Result<Outcome, SourceError> {
        let mut reader = self.source().open(&ReadRequest {
            rows_max: None,
            stream: &stream(),
            options: &self.options,
            lower_bound: self.lower.as_ref(),
            known_files: &[],
            is_incremental: self.lower.is_some(),
            ..ReadRequest::whole(&stream(), &self.options, moments())
        })?;
        let (mut lines, mut rejected) = (Vec::new(), Vec::new());
        loop {
            match reader.read()? {
                Read::Batch(batch) => {
                    let cell = |row, column| cell_text(&batch, column, row).unwrap_or_else(|| "NULL".to_owned());
                    let line = |row| (0..batch.num_columns()).map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
                    lines.extend((0..batch.num_rows()).map(line));
                }
                Read::Rejected(row) => rejected.push(format!("{}: {} [{}]", row.column.unwrap_or_default(), row.reason, row.raw)),
                Read::Restart { reason } => panic!("types are the catalogue's: {reason}"),
                Read::End => break,
            }
        }
        let columns = reader.schema().columns.iter();
        let schema = columns.map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", ");
        Ok(Outcome { schema, lines, rejected })
    }
}

fn stream() -> Stream {
    Stream::only("s")
}

#[track_caller]
fn check(case: &Case, schema: &str, lines: &[&str]) -> Outcome {
    let outcome = case.read().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.schema.as_str(), outcome.lines.clone()), (schema, lines.iter().map(|line| (*line).to_owned()).collect()));
    outcome
}

#[test]
fn a_table_of_every_kind_is_read() {
    let setup = "CREATE TABLE {s}.base (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
         CREATE TABLE {s}.p1 PARTITION OF {s}.base FOR VALUES FROM (0) TO (10);
         CREATE TABLE {s}.p2 PARTITION OF {s}.base FOR VALUES FROM (10) TO (20);
         INSERT INTO {s}.base VALUES (1, 'a'), (11, 'b');
         CREATE VIEW {s}.\"t\" AS SELECT * FROM {s}.base;
         CREATE MATERIALIZED VIEW {s}.\"Mat view\" AS SELECT * FROM {s}.base;";
    let mut case = Case::new(setup);
    check(&case, "id integer, t text", &["1|a", "11|b"]);
    let view = case.plan.table.clone().unwrap();
    for (table, key) in [("base", vec!["id"]), ("Mat view", vec![]), ("\"Mat view\"", vec![])] {
        case.plan.table = Some(view.replace(".t", &format!(".{table}")));
        check(&case, "id integer, t text", &["1|a", "11|b"]);
        assert_eq!(case.source().primary_key(&stream()).unwrap(), key, "{table}");
    }
    case.plan.table = Some(view.replace(".t", ".base"));
    case.plan.filter = Some("t = 'b' -- only these".to_owned());
    check(&case, "id integer, t text", &["11|b"]);
}

#[test]
fn columns_are_chosen_renamed_typed_and_hashed() {
    let mut case = Case::new(
        "CREATE TABLE {s}.t (id int, net inet, n numeric, b bytea, secret text);
         INSERT INTO {s}.t VALUES (7, '10.0.0.1', 1.50, 'what do ya want for nothing?', 'what do ya want for nothing?')",
    );
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    case.rules.select = owned(&["secret", "b", "n", "net", "id"]);
    case.rules.hash = owned(&["secret", "b"]);
    case.rules.rename = vec![("net".to_owned(), "address".to_owned())];
    case.rules.types = vec![("n".to_owned(), ColumnType::Decimal { precision: 9, scale: 3 }), ("id".to_owned(), ColumnType::Text)];
    // RFC 4231, test case 2
    let hash = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    check(&case, "secret text, b text, n decimal(9,3), address text, id text", &[&format!("{hash}|{hash}|1.500|10.0.0.1|7")]);
}

#[test]
fn what_no_type_holds_goes_by_the_rule() {
    let mut case = Case::new(
        "CREATE TABLE {s}.t (id int, d date, at timestamptz, n numeric(5,2));
         INSERT INTO {s}.t VALUES (1, 'infinity', NULL, NULL), (2, '2026-01-01', '-infinity', 1), (3, NULL, NULL, 'NaN'),
           (4, '0044-03-15 BC', '2026-01-01', 1.5)",
    );
    let kept = "4|-0043-03-15|2026-01-01T00:00:00Z|1.50";
    // In New York, the server's zone, that is another instant: the session's zone is UTC, the literal was read in the server's.
    let kept = kept.replace("00:00:00Z", "05:00:00Z");
    let outcome = check(&case, "id integer, d date, at timestamp_utc, n decimal(5,2)", &[&kept]);
    let expected = [
        "d: infinity does not fit date [1,infinity,,]",
        "at: -infinity does not fit timestamp_utc [2,2026-01-01,-infinity,1.00]",
        "n: NaN does not fit decimal(5,2) [3,,,NaN]",
    ];
    assert_eq!(outcome.rejected, expected);
    case.options.invalid_values = crate::plan::OnInvalidValue::Null;
    let lines = ["1|NULL|NULL|NULL", "2|2026-01-01|NULL|1.00", "3|NULL|NULL|NULL", &kept];
    check(&case, "id integer, d date, at timestamp_utc, n decimal(5,2)", &lines);
    case.options.invalid_values = crate::plan::OnInvalidValue::Fail;
    let error = case.read().unwrap_err();
    assert!(error.message.ends_with(".t, row 1, column d: infinity does not fit date"), "{error}");
    case.rules.types = vec![("d".to_owned(), ColumnType::Text)];
    assert!(case.read().unwrap_err().message.contains("row 2, column at"), "a declared text holds infinity");
}

#[test]
fn a_lower_bound_holds_for_every_sortable_type() {
    let rows = "CREATE TABLE {s}.t (i2 int2, i4 int4, i8 int8, n numeric(38,4), d date, ts timestamp, tz timestamptz, x text);
         INSERT INTO {s}.t SELECT i, i, i, i, date '2026-01-01' + i, timestamp '2026-01-01' + i * interval '1 us',
           timestamptz '2026-01-01 00:00Z' + i * interval '1 us', to_char(i, 'FM0000') || '-01-01' FROM generate_series(1, 3) AS i;
         INSERT INTO {s}.t (x) VALUES (NULL)";
    let setup = schema(rows);
    let column = |name: &str, type_name: &str, lower: &str, expected: &[&str]| {
        let mut case = Case::sql(&format!("SELECT {name} FROM {setup}.t ORDER BY i8")).since(name, Some((type_name, lower)));
        if name == "x" {
            case.rules.types = vec![("x".to_owned(), ColumnType::Date)];
        }
        assert_eq!(case.read().unwrap().lines, expected, "{name}");
    };
    column("i2", "smallint", "2", &["2", "3", "NULL"]);
    column("i4", "integer", "2", &["2", "3", "NULL"]);
    column("i8", "bigint", "3", &["3", "NULL"]);
    column("n", "decimal(38,4)", "2.0001", &["3.0000", "NULL"]);
    column("d", "date", "2026-01-03", &["2026-01-03", "2026-01-04", "NULL"]);
    column("ts", "timestamp", "2026-01-01T00:00:00.000002", &["2026-01-01T00:00:00.000002", "2026-01-01T00:00:00.000003", "NULL"]);
    column("tz", "timestamp_utc", "2026-01-01T00:00:00.000003Z", &["2026-01-01T00:00:00.000003Z", "NULL"]);
    column("x", "date", "0002-01-01", &["0002-01-01", "0003-01-01", "NULL"]);
}

#[test]
fn placeholders_are_bound_in_a_query() {
    let setup = schema(
        "CREATE TABLE {s}.t (id int, at timestamptz); INSERT INTO {s}.t SELECT i, '2026-01-01 00:00Z'::timestamptz + i * interval '1 h' FROM generate_series(1, 3) AS i",
    );
    let case = |sql: &str, column: &str, lower| Case::sql(&sql.replace("{s}", &setup)).since(column, lower);
    let at = Some(("timestamp_utc", "2026-01-01T02:00:00Z"));
    check(
        &case("SELECT id, at FROM {s}.t WHERE at > :last_sync ORDER BY id;", "at", at),
        "id integer, at timestamp_utc",
        &["2|2026-01-01T02:00:00Z", "3|2026-01-01T03:00:00Z"],
    );
    check(
        &case("SELECT id FROM {s}.t WHERE id >= :lower_bound ORDER BY id -- ':last_sync'", "id", Some(("integer", "3"))),
        "id integer",
        &["3"],
    );
    check(&case("SELECT id FROM {s}.t WHERE id > :last_sync ORDER BY id", "id", None), "id integer", &["1", "2", "3"]);
    let refused = |sql: &str| Case::sql(&sql.replace("{s}", &setup)).read().unwrap_err();
    assert_eq!(refused("DELETE FROM {s}.t RETURNING id").code, "invalid_sql");
    assert_eq!(refused("SELECT 1; DROP TABLE {s}.t").code, "invalid_sql");
    assert_eq!(refused("SELECT 1) TO STDOUT; --").code, "invalid_sql");
    assert_eq!(psql(postgresql(), "etl", &format!("SELECT count(*) FROM {setup}.t")), "3");
    assert!(refused("SELECT 1 AS a, 2 AS \"A\"").message.contains("two columns are named A"));
}

#[test]
fn a_table_that_is_not_there_is_told_with_the_nearest() {
    let mut case = Case::new("CREATE TABLE {s}.orders_of_this_test (id int)");
    let schema = case.plan.table.clone().unwrap().replace(".t", "");
    case.plan.table = Some(format!("{schema}.Orders_of_this_test"));
    let error = case.read().unwrap_err();
    assert_eq!(error.code, "not_found");
    assert!(error.message.starts_with(&format!("source s: there is no table {schema}.Orders_of_this_test in 127.0.0.1:")), "{error}");
    assert_eq!(error.hint, Some(format!("did you mean {schema}.orders_of_this_test?")));
    case.plan.table = Some(format!("{schema}.orders_of_this_test"));
    case.options.timestamp_column = Some("idd".to_owned());
    assert_eq!(case.read().unwrap_err().hint.as_deref(), Some("did you mean id?"));
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let mut case = Case::sql("SELECT 1 AS one");
    case.plan.connection.password = Some(Secret::new("hunter22"));
    let error = case.read().unwrap_err();
    assert_eq!(error.code, "login_failed");
    assert!(error.message.contains("password authentication failed for user \"etl\"") && !format!("{error:?}").contains("hunter22"));
    case.plan.connection.password = None;
    assert_eq!(case.read().unwrap_err().code, "login_failed");
}
