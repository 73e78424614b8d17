use super::conformance::{connection, database, database_on};
use super::*;
use crate::batch::ColumnType;
use crate::batch::text::cell_text;
use crate::connect::servers::Server;
use crate::connect::servers::mariadb::{mariadb, mariadb_root};
use crate::plan::{LoadOptions, OnInvalidValue, SourceKind};
use crate::source::conformance::options;
use crate::source::{self, Moments, Read};

mod cuts;
mod errors;
mod late;
mod windows;

struct Case {
    plan: MysqlSourcePlan,
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
}

impl Case {
    fn on(server: &Server, database: &str, table: Option<&str>, custom_sql: Option<&str>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let plan = MysqlSourcePlan {
            connection: connection(server, database),
            table: owned(table),
            tables: Vec::new(),
            custom_sql: owned(custom_sql),
            filter: None,
        };
        Self { plan, rules: ColumnRules::default(), options: options(), lower: None, upper: None }
    }

    /// Reads `t` of a database of its own.
    fn new(setup: &str) -> Self {
        Self::on(mariadb(), &database(setup), Some("t"), None)
    }

    fn sql(database: &str, sql: &str) -> Self {
        Self::on(mariadb(), database, None, Some(sql))
    }

    fn since(mut self, column: &str, lower: Option<(&str, &str)>) -> Self {
        self.options.timestamp_column = Some(column.to_owned());
        self.lower = lower.map(|(name, text)| CursorValue { column_type: ColumnType::parse(name).unwrap(), text: text.to_owned() });
        self
    }

    fn source(&self) -> Box<dyn Source> {
        let kind = SourceKind::Mysql(self.plan.clone());
        let hash_key = Some(Secret::new("Jefe"));
        source::open(&SourcePlan { name: "s".to_owned(), connection: None, kind, columns: self.rules.clone(), hash_key }).unwrap()
    }

    fn open(&self) -> Result<Box<dyn Reader>, SourceError> {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let stream = Stream::only("s");
        self.source().open(&ReadRequest {
            rows_max: None,
            lower_bound: self.lower.as_ref(),
            upper_bound: self.upper.as_ref(),
            is_without_nulls: self.upper.is_some(),
            is_incremental: self.lower.is_some(),
            ..ReadRequest::whole(&stream, &self.options, Moments { slot: at, run_started: at })
        })
    }

    fn read(&self) -> Result<Outcome, SourceError> {
        let mut reader = self.open()?;
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
        let log = reader.take_log().into_iter().map(|(_, line)| line).collect();
        Ok(Outcome { schema, lines, rejected, log })
    }

    fn refused(&self) -> (&'static str, String) {
        let error = self.read().expect_err("it must be refused");
        (error.code, format!("{} | {}", error.message, error.hint.unwrap_or_default()))
    }
}

fn stream() -> Stream {
    Stream::only("s")
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[track_caller]
fn check(case: &Case, schema: &str, lines: &[&str]) -> Outcome {
    let outcome = case.read().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.schema.as_str(), outcome.lines.clone()), (schema, owned(lines)));
    outcome
}

#[test]
fn a_table_of_every_kind_is_read() {
    let setup = "CREATE TABLE base (id int PRIMARY KEY, t text) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES \
         LESS THAN MAXVALUE); INSERT INTO base VALUES (1, 'a'), (11, 'b'); CREATE VIEW t AS SELECT * FROM base; \
         CREATE TABLE `Odd.``:last_sync ☃` (`a b` int, `.` int, `:x?` int, `ü☃` int, PRIMARY KEY (`.`, `a b`)); \
         INSERT INTO `Odd.``:last_sync ☃` VALUES (1, 2, 3, 4)";
    let mut case = Case::new(setup);
    check(&case, "id integer, t text", &["1|a", "11|b"]);
    assert!(case.source().primary_key(&stream()).unwrap().is_empty());
    let database = case.plan.connection.database.clone();
    for table in ["base".to_owned(), format!("{database}.base"), format!("`{database}`.`base`")] {
        case.plan.table = Some(table);
        check(&case, "id integer, t text", &["1|a", "11|b"]);
        assert_eq!(case.source().primary_key(&stream()).unwrap(), ["id"]);
    }
    case.plan.filter = Some("t = 'b' -- only these".to_owned());
    check(&case, "id integer, t text", &["11|b"]);
    let number = Case { plan: case.plan.clone(), ..Case::new("CREATE TABLE t (id int)").since("id", Some(("integer", "1"))) };
    check(&number, "id integer, t text", &["11|b"]);
    case.plan.filter = None;
    case.plan.table = Some("`Odd.``:last_sync ☃`".to_owned());
    check(&case, "a b integer, . integer, :x? integer, ü☃ integer", &["1|2|3|4"]);
    assert_eq!(case.source().primary_key(&stream()).unwrap(), [".", "a b"]);
    case.rules.exclude = owned(&["."]);
    assert!(case.source().primary_key(&stream()).unwrap().is_empty());
}

#[test]
fn columns_are_chosen_renamed_typed_and_hashed() {
    let mut case = Case::new(
        "SET sql_mode = ''; CREATE TABLE t (id int, n decimal(5,2), b varbinary(40), secret text, hidden int INVISIBLE DEFAULT 7,
           twice int AS (id * 2) VIRTUAL, day tinyint(1), at datetime, span time, d date, x double);
         INSERT INTO t (id, n, b, secret, day, at, span, d, x) VALUES (7, 1.5, 'what do ya want for nothing?',
           'what do ya want for nothing?', 1, '2026-01-02 03:04:05', '23:00:00', '0000-00-00', 1.5)",
    );
    let outcome = case.read().unwrap();
    assert!(!outcome.schema.contains("hidden") && outcome.rejected.len() == 1, "{outcome:?}");
    case.rules.select = owned(&["secret", "b", "n", "hidden", "id", "twice", "day", "at", "span", "d", "x"]);
    case.rules.hash = owned(&["secret", "b", "x"]);
    case.rules.rename = vec![("n".to_owned(), "number".to_owned())];
    let typed = |name: &str, column_type| (name.to_owned(), column_type);
    case.rules.types = vec![
        typed("n", ColumnType::Decimal { precision: 9, scale: 3 }),
        typed("id", ColumnType::Text),
        typed("day", ColumnType::Boolean),
        typed("at", ColumnType::TimestampUtc),
        typed("span", ColumnType::Time),
        typed("d", ColumnType::Text),
    ];
    // RFC 4231, test case 2
    let hash = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    // printf 1.5 | openssl dgst -sha256 -hmac Jefe
    let of_double = "487d8d7e90beafd875fe4d53be84177434e3d41f8cdfd3b4f1feeb10d07d1525";
    check(
        &case,
        "secret text, b text, number decimal(9,3), hidden integer, id text, twice integer, day boolean, at timestamp_utc, span time, d text, x text",
        &[&format!("{hash}|{hash}|1.500|7|7|14|true|2026-01-02T03:04:05Z|23:00:00|0000-00-00|{of_double}")],
    );
}

#[test]
fn what_no_type_holds_goes_by_the_rule() {
    let mut case = Case::new(
        "SET sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE t (id int, d date, at datetime(3), ts timestamp NOT NULL, t varchar(9), b tinyint(1));
         INSERT INTO t VALUES (1, '0000-00-00', '2026-01-01', '2026-01-01 00:00:00', 'a', 0),
           (2, '2026-01-01', '2024-02-31 01:02:03.5', '2026-01-01 00:00:00', 'a', 0), (3, '2026-01-01', '2026-01-01', 0, 'a', 1),
           (4, '2026-01-01', '2026-01-01', '2026-01-01 00:00:00', 'a\\0b', 1), (5, '2024-00-10', NULL, '2026-01-01 00:00:00', NULL, NULL),
           (6, '2026-01-01', NULL, '2026-01-01 00:00:00', '', -128)",
    );
    case.rules.types = vec![("b".to_owned(), ColumnType::Boolean)];
    let schema = "id integer, d date, at timestamp, ts timestamp_utc, t text, b boolean";
    let rejected = check(&case, schema, &[]).rejected;
    let zero = "2026-01-01T00:00:00Z";
    let expected = [
        format!("d: 0000-00-00 does not fit date [1,0000-00-00,2026-01-01T00:00:00,{zero},a,0]"),
        format!("at: 2024-02-31 01:02:03.500000 does not fit timestamp [2,2026-01-01,2024-02-31 01:02:03.500000,{zero},a,0]"),
        "ts: 0000-00-00 00:00:00 does not fit timestamp_utc [3,2026-01-01,2026-01-01T00:00:00,0000-00-00 00:00:00,a,1]".to_owned(),
        format!("t: a\\u{{0}}b does not fit text [4,2026-01-01,2026-01-01T00:00:00,{zero},a\0b,1]"),
        format!("d: 2024-00-10 does not fit date [5,2024-00-10,,{zero},,]"),
        format!("b: -128 does not fit boolean [6,2026-01-01,,{zero},,-128]"),
    ];
    assert_eq!(rejected, expected);
    case.options.invalid_values = OnInvalidValue::Null;
    let lines = [
        &format!("1|NULL|2026-01-01T00:00:00|{zero}|a|false"),
        &format!("2|2026-01-01|NULL|{zero}|a|false"),
        "3|2026-01-01|2026-01-01T00:00:00|NULL|a|true",
        &format!("4|2026-01-01|2026-01-01T00:00:00|{zero}|NULL|true"),
        &format!("5|NULL|NULL|{zero}|NULL|NULL"),
        &format!("6|2026-01-01|NULL|{zero}||NULL"),
    ];
    check(&case, schema, &lines);
    case.options.invalid_values = OnInvalidValue::Fail;
    let (code, text) = case.refused();
    assert_eq!(code, "invalid_data");
    assert!(text.contains("t, row 1, column d: 0000-00-00 does not fit date") && text.contains("declare d: text"), "{text}");
}

#[test]
fn types_are_the_same_from_a_table_a_view_and_a_query() {
    let database = database(
        "CREATE TABLE t (id int unsigned PRIMARY KEY, u uuid, j json, i inet6, e enum('a','b'), d decimal(7,2), ts timestamp(3) NULL, vb varbinary(3));
         INSERT INTO t VALUES (1, 'ABABABAB-abab-abab-abab-abababababab', '{\"a\": 1}', '::1', 'b', 1.50, '2026-01-01 00:00:00.5', X'00ff');
         CREATE VIEW v AS SELECT * FROM t",
    );
    let schema = "id bigint, u uuid, j json, i text, e text, d decimal(7,2), ts timestamp_utc, vb binary";
    let line = "1|abababab-abab-abab-abab-abababababab|{\"a\": 1}|::1|b|1.50|2026-01-01T00:00:00.500000Z|\\x00ff";
    check(&Case::on(mariadb(), &database, Some("t"), None), schema, &[line]);
    check(&Case::sql(&database, "SELECT * FROM t; "), schema, &[line]);
    check(&Case::sql(&database, "SELECT t.* FROM v JOIN t USING (id) -- ;"), schema, &[line]);
    // A view has no checks, and what the server keeps in between is only text there.
    let other = schema.replace("j json", "j text");
    check(&Case::on(mariadb(), &database, Some("v"), None), &other, &[line]);
    let other = other.replace("u uuid", "u text");
    let grouped = Case::sql(&database, "SELECT id, max(u) AS u, max(j) AS j, i, e, d, ts, vb FROM t GROUP BY id, i, e, d, ts, vb");
    check(&grouped, &other, &[line]);
}

#[test]
fn text_of_every_character_set_arrives() {
    let sets = ["utf8mb4", "utf8mb3", "latin1", "ucs2", "utf16", "utf32", "cp1251", "sjis"];
    let columns: Vec<String> = sets.iter().map(|set| format!("{set} varchar(20) CHARACTER SET {set}")).collect();
    let setup = format!(
        "CREATE TABLE t ({}, bin varchar(20) COLLATE utf8mb4_bin, c char(5) CHARACTER SET latin1, emoji text CHARACTER SET utf8mb4, big longtext);
         INSERT INTO t VALUES ('ü☃😀', 'ü☃', 'ü€', 'ü☃', 'ü☃😀', 'ü😀', 'Жук', 'カナ', 'Bin ', 'a  ', '👩‍👩‍👧', repeat('ü', 8388608))",
        columns.join(", ")
    );
    let case = Case::new(&setup);
    let outcome = case.read().unwrap();
    let (line, big) = outcome.lines[0].rsplit_once('|').unwrap();
    assert_eq!(line, "ü☃😀|ü☃|ü€|ü☃|ü☃😀|ü😀|Жук|カナ|Bin |a|👩‍👩‍👧");
    assert!(big.len() == 16 << 20 && big.chars().all(|sign| sign == 'ü'), "{} bytes", big.len());
}

#[test]
fn a_row_that_is_larger_than_the_servers_packets_is_read() {
    let server = crate::connect::servers::mariadb::own_mariadb(&["--max-allowed-packet=2M"]);
    let database =
        database_on(&server, "CREATE TABLE t (a longtext, b longtext); INSERT INTO t VALUES (repeat('a', 1500000), repeat('b', 1500000))");
    let outcome = Case::on(&server, &database, Some("t"), None).read().unwrap();
    assert_eq!(outcome.lines[0].len(), 3_000_001);
}

#[test]
fn the_servers_mode_neither_pads_nor_turns_texts() {
    let server = crate::connect::servers::mariadb::own_mariadb(&[]);
    let database = database_on(&server, "CREATE TABLE t (id int, c char(5)); INSERT INTO t VALUES (1, 'a'), (2, 'b\\\\')");
    mariadb_root(&server, "SET GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,ANSI_QUOTES'");
    check(&Case::on(&server, &database, Some("t"), None), "id integer, c text", &["1|a", "2|b\\"]);
    let query = "SELECT \"id\", '\\' AS x FROM \"t\" WHERE c = 'b\\' AND \"id\" > :lower_bound";
    check(&Case::on(&server, &database, None, Some(query)).since("id", Some(("integer", "1"))), "id integer, x text", &["2|\\"]);
}

#[test]
fn tables_of_no_snapshot_are_told() {
    let case = Case::new("CREATE TABLE t (id int) ENGINE=MyISAM; INSERT INTO t VALUES (1)");
    let outcome = check(&case, "id integer", &["1"]);
    assert!(outcome.log.iter().any(|line| line.contains("MyISAM tables are in no snapshot")), "{outcome:?}");
    let query = Case::sql(&case.plan.connection.database, "SELECT * FROM t AS x");
    assert!(check(&query, "id integer", &["1"]).log.iter().any(|line| line.contains("MyISAM")), "a query's tables too");
    let case = Case::new("CREATE TABLE t (id int, span time) ENGINE=InnoDB; INSERT INTO t VALUES (1, '-30:00:01')");
    assert_eq!(check(&case, "id integer, span text", &["1|-30:00:01"]).log, ["read as text: span"]);
}

#[test]
fn a_snapshot_sees_no_row_that_comes_later() {
    let case = Case::new("CREATE TABLE t (id int, n int); INSERT INTO t SELECT seq, 0 FROM seq_1_to_100");
    let mut reader = case.open().unwrap();
    let Read::Batch(first) = reader.read().unwrap() else { panic!("rows come first") };
    let database = &case.plan.connection.database;
    mariadb_root(
        mariadb(),
        &format!("DELETE FROM {database}.t WHERE id > 50; UPDATE {database}.t SET n = 1; INSERT INTO {database}.t VALUES (999, 1)"),
    );
    let mut rows = first.num_rows();
    while let Read::Batch(batch) = reader.read().unwrap() {
        assert!((0..batch.num_rows()).all(|row| cell_text(&batch, 1, row).as_deref() == Some("0")));
        rows += batch.num_rows();
    }
    assert_eq!(rows, 100);
}

#[test]
fn several_tables_are_streams_of_their_own() {
    let database = database(
        "CREATE TABLE `a.b` (id int PRIMARY KEY); CREATE TABLE ord_1 (id int); CREATE TABLE ord_2 (x int); CREATE VIEW ord_v AS SELECT 1 AS one;
         CREATE TABLE _etlsched_loads (id int); CREATE SEQUENCE ord_s; INSERT INTO `a.b` VALUES (7)",
    );
    let mut case = Case::sql(&database, "");
    (case.plan.custom_sql, case.plan.tables) = (None, owned(&["ord_*", &format!("{database}.\"a.b\"")]));
    let mut source = case.source();
    let streams = source.discover().unwrap();
    let names: Vec<&str> = streams.iter().map(|stream| stream.base.as_str()).collect();
    assert_eq!(names, ["ord_1", "ord_2", "ord_v", "a.b"]);
    assert!(source.test().unwrap().contains("4 tables, 4 columns"));
    assert_eq!(source.primary_key(&streams[3]).unwrap(), ["id"]);
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut reader = source.open(&ReadRequest::whole(&streams[3], &case.options, Moments { slot: at, run_started: at })).unwrap();
    let Read::Batch(batch) = reader.read().unwrap() else { panic!("rows come first") };
    assert_eq!(cell_text(&batch, 0, 0).as_deref(), Some("7"));
    case.plan.tables = owned(&["mysql.us*"]);
    assert_eq!(case.source().discover().unwrap_err().code, "not_found");
}
