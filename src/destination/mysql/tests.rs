//! What is MySQL's own: how rows get there, what a table keeps, collations, types, changes of columns. The rest is in the conformance suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{ArrayRef, BinaryArray, Decimal256Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_buffer::i256;

use super::Mysql;
use crate::batch::ColumnType;
use crate::connect::servers::mariadb::{mariadb, mariadb_sql, own_mariadb};
use crate::connect::servers::{PASSWORD, Server};
use crate::destination::conformance::{
    self, Bench, FULL, batch, load, load_with, merge, people, people_rows, publication, request, run, schema,
};
use crate::destination::{Access, Destination, Disposition, Fold, Mended, PublishRequest};
use crate::plan::mysql::{Infile, MysqlConnection, MysqlDestinationPlan, MysqlTls};
use crate::plan::{DestinationKind, DestinationPlan, Expect, MendAction, MendPlan, OnInvalidValue, Publish, SchemaChange, SchemaPolicy};
use crate::run::{Counts, CursorValue};
use crate::secret::Secret;

/// A database of its own in a server.
pub(super) struct Place {
    server: &'static Server,
    pub(super) schema: String,
    infile: Infile,
}

impl Place {
    pub(super) fn new() -> Self {
        Self::on(mariadb(), Infile::Auto)
    }

    pub(super) fn on(server: &'static Server, infile: Infile) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("Place `{}` é", NUMBER.fetch_add(1, Ordering::Relaxed));
        mariadb_sql(server, "etl", &format!("CREATE DATABASE {}", super::types::quoted(&schema)));
        Self { server, schema, infile }
    }

    fn with(sql: &str) -> Self {
        let place = Self::new();
        place.sql(sql);
        place
    }

    /// Runs SQL in the database; fields are parted by tabs.
    #[track_caller]
    pub(super) fn sql(&self, sql: &str) -> String {
        mariadb_sql(self.server, &self.schema, sql)
    }

    pub(super) fn plan(&self) -> MysqlDestinationPlan {
        let connection = MysqlConnection {
            host: "127.0.0.1".to_owned(),
            port: self.server.port,
            database: "etl".to_owned(),
            user: "etl".to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls: MysqlTls::Preferred,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout_seconds: 15,
        };
        MysqlDestinationPlan { connection, infile: self.infile }
    }

    pub(super) fn mysql(&self) -> Mysql {
        Mysql::open("dwh", &self.plan(), Some(&self.schema), Access::Write).unwrap()
    }

    fn destination(&self) -> DestinationPlan {
        DestinationPlan { name: "dwh".to_owned(), kind: DestinationKind::Mysql(self.plan()), schema: Some(self.schema.clone()) }
    }

    pub(super) fn mend(&self, action: MendAction) -> Mended {
        let plan = MendPlan { destination: self.destination(), workspace_id: "w1".to_owned(), job: "job".to_owned(), action };
        self.mysql().mend(&plan).unwrap()
    }

    fn take_over(&self, target: &str) {
        self.mend(MendAction::TakeOver { owners: vec![(target.to_owned(), request(1, target, &people(), FULL).owner)] });
    }

    /// Returns the tables of the database that aren't a load's result.
    pub(super) fn leftovers(&self) -> String {
        self.sql(self.staging())
    }
}

/// The port of the server that all share.
pub(super) fn port() -> u16 {
    mariadb().port
}

impl Bench for Place {
    fn open(&self) -> Box<dyn Destination> {
        Box::new(self.mysql())
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let unescape = |field: &str| {
            let mut text = String::new();
            let mut rest = field.chars();
            while let Some(character) = rest.next() {
                text.push(match character {
                    '\\' => match rest.next() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('0') => '\0',
                        Some(other) => other,
                        None => '\\',
                    },
                    other => other,
                });
            }
            text
        };
        self.sql(sql).lines().map(|line| line.split('\t').map(unescape).collect()).collect()
    }

    fn staging(&self) -> &'static str {
        "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name REGEXP '^_etlsched_[0-9a-f]{8}_'"
    }

    fn every(&self) -> &'static str {
        "SELECT b, s, i, u, f, d, t, coalesce(hex(x), ''), day, clock, \
         concat(date_format(at, '%Y-%m-%dT%H:%i:%s'), if(microsecond(at) = 0, '', date_format(at, '.%f'))), \
         concat(date_format(z, '%Y-%m-%dT%H:%i:%s'), if(microsecond(z) = 0, '', date_format(z, '.%f')), 'Z'), n, id FROM \
         (SELECT b, s, i, u, f, d, t, x, day, if(microsecond(clock) = 0, time_format(clock, '%H:%i:%s'), clock) AS clock, at, z, n, id FROM every) AS e"
    }
}

#[test]
fn the_conformance_suite_holds() {
    conformance::all(Place::new);
}

#[test]
fn it_holds_without_local_infile_and_with_a_lax_sql_mode() {
    static SERVER: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
    let settings = ["--local-infile=0", "--sql-mode=", "--character-set-server=latin1", "--explicit-defaults-for-timestamp=0"];
    let server = SERVER.get_or_init(|| own_mariadb(&settings));
    let make = || Place::on(server, Infile::Auto);
    conformance::all(make);
    let place = make();
    let mut mysql = place.mysql();
    let mut load = mysql.begin(&request(1, "people", &people(), FULL)).unwrap();
    assert!(load.take_notices().concat().contains("local_infile = ON"));
    drop(load);
    let off = Place { infile: Infile::Off, ..place };
    assert!(off.mysql().begin(&request(2, "people", &people(), FULL)).unwrap().take_notices().is_empty());
}

#[test]
fn it_holds_where_rows_go_by_insert_because_it_is_said_so() {
    conformance::all(|| Place::on(mariadb(), Infile::Off));
}

const PEOPLE: &str = "SELECT id, name FROM people ORDER BY id";

fn one(id: i64, name: &str) -> RecordBatch {
    people_rows(&[(id, Some(name), 0)])
}

fn texts(name: &str, values: &[&[u8]]) -> (crate::batch::Schema, RecordBatch) {
    let columns = schema(&[(name, ColumnType::Text), ("x", ColumnType::Binary)]);
    let texts: Vec<String> = values.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let rows = batch(&columns, vec![Arc::new(StringArray::from(texts)), Arc::new(BinaryArray::from(values.to_vec()))]);
    (columns, rows)
}

/// Every byte, alone and beside what means something to LOAD DATA.
#[test]
fn every_byte_arrives_as_it_is() {
    for infile in [Infile::Auto, Infile::Off] {
        let place = Place::on(mariadb(), infile);
        let mut values: Vec<Vec<u8>> =
            (0..=255_u8).flat_map(|byte| [vec![byte], vec![b'\\', byte], vec![byte, b'\\'], vec![b'\t', byte, b'\n']]).collect();
        values.push(Vec::new());
        values.push(b"NULL".to_vec());
        values.push(vec![b'x'; 3_000_000]);
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let (columns, rows) = texts("t", &values);
        load(&place, &request(1, "bytes", &columns, FULL), &[rows]).unwrap();
        let expected: Vec<String> = values.iter().map(|bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()).collect();
        let mut found: Vec<String> = place.sql("SELECT hex(x) FROM bytes").lines().map(str::to_owned).collect();
        let mut sorted = expected.clone();
        sorted.sort();
        found.sort();
        assert!(found == sorted, "bytes differ");
        let text = |bytes: &&[u8]| String::from_utf8_lossy(bytes).bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        let mut expected: Vec<String> = values.iter().map(text).collect();
        let mut found: Vec<String> = place.sql("SELECT hex(t) FROM bytes").lines().map(str::to_owned).collect();
        expected.sort();
        found.sort();
        assert!(found == expected, "texts differ");
    }
}

#[test]
fn texts_that_differ_in_a_byte_stay_apart() {
    let place = Place::new();
    let columns = schema(&[("k", ColumnType::Text), ("n", ColumnType::Int64)]);
    let keyed = || Disposition::Merge(Fold { key: vec!["k".to_owned()], newest_by: None });
    let rows = |keys: &[&str], start: i64| {
        let numbers = Int64Array::from_iter_values((0..keys.len() as i64).map(|number| start + number));
        batch(&columns, vec![Arc::new(StringArray::from(keys.to_vec())), Arc::new(numbers)])
    };
    let keys = ["a", "A", "a ", "á", "", " ", "a\t", "ß", "ss"];
    let first = load(&place, &request(1, "keys", &columns, keyed()), &[rows(&keys, 0)]).unwrap();
    assert_eq!(first.counts, Counts { added: 9, ..Counts::default() });
    let again = load(&place, &request(2, "keys", &columns, keyed()), &[rows(&keys, 0)]).unwrap();
    assert_eq!(again.counts, Counts { unchanged: 9, ..Counts::default() });
    let changed = load(&place, &request(3, "keys", &columns, keyed()), &[rows(&["A", "b"], 100)]).unwrap();
    assert_eq!((changed.counts.updated, changed.counts.added), (1, 1));
    assert_eq!(place.sql("SELECT k, n FROM `keys` WHERE k IN ('a', 'A', 'a ') ORDER BY n"), "a\t0\na \t2\nA\t100");
    // A change in case or in trailing blanks alone is a change.
    let named = schema(&[("n", ColumnType::Int64), ("t", ColumnType::Text)]);
    let by_number = || Disposition::Merge(Fold { key: vec!["n".to_owned()], newest_by: None });
    let named_rows = |text: &str| batch(&named, vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec![text]))]);
    for (number, text, updated) in [(1, "x", 0), (2, "x ", 1), (3, "X ", 1), (4, "X ", 0)] {
        let done = load(&place, &request(number, "named", &named, by_number()), &[named_rows(text)]).unwrap();
        assert_eq!(done.counts.updated, updated, "{text:?}");
    }
    // 768 characters of four bytes fit a key; one more is rejected, and nothing is cut.
    let long = ["😀".repeat(768), "😀".repeat(769), "😀".repeat(767) + "x"];
    let mut mysql = place.mysql();
    let mut load = mysql.begin(&request(5, "keys", &columns, keyed())).unwrap();
    let written = load.write(&rows(&long.each_ref().map(String::as_str), 0)).unwrap();
    assert_eq!((written.rows, written.invalid.len(), written.invalid[0].row), (2, 1, 1));
    load.finish(2).unwrap();
    assert_eq!(load.publish(&publication()).unwrap().counts.added, 2);
}

/// A table of a user with a collation of its own: what is equal by its rules is not by ours.
#[test]
fn a_key_of_another_collation_is_found_by_its_bytes() {
    for collation in ["utf8mb4_general_ci", "latin1_swedish_ci"] {
        let charset = collation.split('_').next().unwrap();
        let place = Place::with(&format!(
            "CREATE TABLE k (k varchar(20) CHARACTER SET {charset} COLLATE {collation} NOT NULL, n bigint, PRIMARY KEY (k)); INSERT INTO k VALUES ('a', 1), ('b', 2)"
        ));
        place.take_over("k");
        let columns = schema(&[("k", ColumnType::Text), ("n", ColumnType::Int64)]);
        let keyed = || Disposition::Merge(Fold { key: vec!["k".to_owned()], newest_by: None });
        let rows = |key: &str, n| batch(&columns, vec![Arc::new(StringArray::from(vec![key])), Arc::new(Int64Array::from(vec![n]))]);
        let done = load(&place, &request(1, "k", &columns, keyed()), &[rows("b", 3)]).unwrap();
        assert_eq!(done.counts, Counts { updated: 1, ..Counts::default() });
        // The table itself can't hold both.
        assert_eq!(load(&place, &request(2, "k", &columns, keyed()), &[rows("A", 4)]), Err("constraint".to_owned()));
        assert_eq!(place.sql("SELECT k, n FROM k ORDER BY n"), "a\t1\nb\t3");
    }
}

#[test]
fn a_swap_keeps_what_the_table_has() {
    let place = Place::with(
        "CREATE TABLE people (id bigint NOT NULL DEFAULT 7 COMMENT 'the id', name varchar(40) COLLATE utf8mb4_german2_ci, seen datetime(6), \
         twice bigint AS (id * 2), KEY by_name (name), CHECK (id > 0)) COMMENT 'it''s \\\\ ours' ROW_FORMAT=COMPRESSED; \
         CREATE VIEW names AS SELECT name, twice FROM people",
    );
    let shown = |place: &Place| place.sql("SHOW CREATE TABLE people");
    let before = shown(&place);
    for number in 1..=3 {
        let committed = load(&place, &request(number, "people", &people(), FULL), &[one(number.into(), "a")]).unwrap();
        assert_eq!(committed.counts, Counts { added: 1, deleted: u64::from(number > 1), ..Counts::default() });
        let mark = format!(" [etlsched {} {number}]", run(number).run_id);
        assert_eq!(shown(&place).replace(&mark, ""), before);
    }
    assert_eq!(place.sql("SELECT * FROM names"), "a\t6");
    assert_eq!(place.leftovers(), "");
    // A row that breaks a rule of the table leaves all as it was.
    assert_eq!(load(&place, &request(4, "people", &people(), FULL), &[one(-1, "b")]), Err("constraint".to_owned()));
    assert_eq!(place.sql(PEOPLE), "3\ta");
    assert_eq!(place.leftovers(), "");
}

#[test]
fn a_table_that_a_rename_would_harm_stays_itself() {
    for more in [
        "CREATE TABLE log (name text); CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW INSERT INTO log VALUES (NEW.name)",
        "CREATE TABLE child (id bigint, FOREIGN KEY (id) REFERENCES people (id))",
        "CREATE TABLE parent (id bigint PRIMARY KEY); INSERT INTO parent VALUES (1), (2), (3); ALTER TABLE people ADD FOREIGN KEY (id) REFERENCES parent (id)",
        "ALTER TABLE people PARTITION BY HASH (id) PARTITIONS 3",
        "ALTER TABLE people ADD SYSTEM VERSIONING",
        "ALTER TABLE people ADD COLUMN number bigint AUTO_INCREMENT UNIQUE",
    ] {
        let place = Place::with(&format!("CREATE TABLE people (id bigint PRIMARY KEY, name longtext, seen datetime(6)); {more}"));
        let before = place.sql("SHOW CREATE TABLE people");
        for number in 1..=3 {
            let committed = load(&place, &request(number, "people", &people(), FULL), &[one(number.into(), "a")]).unwrap();
            assert_eq!((committed.counts.deleted, committed.rows_in_target), (u64::from(number > 1), 1), "{more}");
        }
        let counter = |text: String| text.replace(" AUTO_INCREMENT=4", "");
        assert_eq!(counter(place.sql("SHOW CREATE TABLE people")), counter(before));
        assert_eq!(place.sql(PEOPLE), "3\ta");
        if more.contains("TRIGGER") {
            assert_eq!(place.sql("SELECT count(*) FROM log"), "3");
        }
        if more.contains("SYSTEM VERSIONING") {
            assert_eq!(place.sql("SELECT count(*) FROM people FOR SYSTEM_TIME ALL"), "3");
        }
        assert_eq!(place.leftovers(), "");
    }
}

/// Without the privilege the catalogue shows no triggers.
#[test]
fn a_trigger_that_the_account_cannot_see_is_kept() {
    let place = Place::with(
        "CREATE TABLE people (id bigint, name longtext, seen datetime(6)); CREATE TABLE log (name text); \
         CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW INSERT INTO log VALUES (NEW.name)",
    );
    let schema = super::types::quoted(&place.schema);
    place.sql(&format!(
        "CREATE USER blind@'%' IDENTIFIED BY 'blind'; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON {schema}.* TO blind@'%'"
    ));
    let mut plan = place.plan();
    plan.connection.user = "blind".to_owned();
    plan.connection.password = Some(Secret::new("blind"));
    plan.connection.database = place.schema.clone();
    for number in 1..=2 {
        let mut mysql = Mysql::open("dwh", &plan, None, Access::Write).unwrap();
        let mut load = mysql.begin(&request(number, "people", &people(), FULL)).unwrap();
        load.write(&one(number.into(), "a")).unwrap();
        load.publish(&publication()).unwrap();
    }
    assert_eq!((place.sql(PEOPLE), place.sql("SELECT count(*) FROM log")), ("2\ta".to_owned(), "2".to_owned()));
    assert_eq!(place.sql("SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = database()"), "1");
}

#[test]
fn rows_of_other_tables_never_go_with_those_that_are_replaced() {
    let place = Place::with(
        "CREATE TABLE people (id bigint PRIMARY KEY, name longtext, seen datetime(6)); \
         CREATE TABLE child (id bigint, FOREIGN KEY (id) REFERENCES people (id) ON DELETE CASCADE)",
    );
    assert_eq!(load(&place, &request(1, "people", &people(), FULL), &[one(1, "a")]), Err("cascade".to_owned()));
    let merged = load(&place, &request(2, "people", &people(), merge(None)), &[one(1, "a")]).unwrap();
    assert_eq!(merged.counts.added, 1);
}

#[test]
fn a_table_without_transactions_is_refused() {
    for engine in ["MyISAM", "Aria"] {
        let place = Place::with(&format!("CREATE TABLE people (id bigint, name longtext, seen datetime(6)) ENGINE={engine}"));
        let error = place.mysql().begin(&request(1, "people", &people(), FULL)).unwrap_err();
        assert_eq!((error.code, error.hint.as_deref()), ("not_transactional", Some("change it: ALTER TABLE `people` ENGINE = InnoDB")));
        assert_eq!(place.sql("SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"), "1");
    }
    let place = Place::with("CREATE VIEW people AS SELECT 1 AS id");
    assert_eq!(place.mysql().begin(&request(1, "people", &people(), FULL)).unwrap_err().code, "target_not_a_table");
}

#[test]
fn replaced_tables_are_never_renamed() {
    let place = Place::new();
    let replace = || Disposition::Full { publish: Publish::Replace, fold: None };
    for number in 1..=2 {
        load(&place, &request(number, "people", &people(), replace()), &[one(number.into(), "a")]).unwrap();
    }
    let comment =
        place.sql("SELECT table_comment FROM information_schema.tables WHERE table_schema = database() AND table_name = 'people'");
    assert!(comment.contains(&run(1).run_id), "{comment}");
    assert_eq!(place.sql(PEOPLE), "2\ta");
}

#[test]
fn rows_that_no_load_brought_are_refused_until_the_table_is_taken_over() {
    let place =
        Place::with("CREATE TABLE `People` (id bigint, name longtext, seen datetime(6)); INSERT INTO `People` VALUES (7, 'own', now())");
    let own = request(1, "People", &people(), FULL);
    assert_eq!(load(&place, &own, &[one(1, "a")]), Err("foreign_table".to_owned()));
    assert_eq!(place.sql("SELECT id, name FROM `People`"), "7\town");
    let owners = vec![("people".to_owned(), own.owner.clone())];
    let mended = place.mend(MendAction::TakeOver { owners });
    assert_eq!(mended, Mended { dropped: Vec::new(), changed: vec!["People".to_owned()] });
    let committed = load(&place, &own, &[one(1, "a")]).unwrap();
    assert_eq!(committed.counts, Counts { added: 1, deleted: 1, ..Counts::default() });
    assert_eq!(place.mend(MendAction::Reset { targets: vec!["PEOPLE".to_owned()] }).changed, ["People"]);
    assert_eq!(place.mysql().record("people").unwrap().unwrap().mode, None);
}

#[test]
fn staging_of_dead_runs_goes_and_that_of_others_stays() {
    let place = Place::new();
    let mut first = place.mysql();
    let mut second = place.mysql();
    std::mem::forget(first.begin(&request(1, "people", &people(), FULL)).unwrap());
    std::mem::forget(second.begin(&request(2, "orders", &people(), merge(None))).unwrap());
    assert_eq!(place.leftovers().lines().count(), 2);
    assert_eq!(place.mend(MendAction::DropStaging { dead_runs: vec![run(1).run_id] }).dropped.len(), 1);
    assert!(place.leftovers().contains("_000000000002_1"), "{}", place.leftovers());
    // The next load of the target drops what it finds.
    load(&place, &request(3, "orders", &people(), FULL), &[]).unwrap();
    assert_eq!(place.leftovers(), "");
}

#[test]
fn names_are_kept_or_refused() {
    let long = "é".repeat(63) + "x";
    for name in ["a `b`; DROP TABLE x; --", "Übersicht ☃", "select", "%s'\\", "a?b:c", long.as_str()] {
        let place = Place::new();
        let columns = schema(&[(name, ColumnType::Int64)]);
        let rows = || batch(&columns, vec![Arc::new(Int64Array::from(vec![1]))]);
        let keyed = || Disposition::Merge(Fold { key: vec![name.to_owned()], newest_by: None });
        load(&place, &request(1, name, &columns, FULL), &[rows()]).unwrap();
        let merged = load(&place, &request(2, name, &columns, keyed()), &[rows()]).unwrap();
        assert_eq!(merged.counts.unchanged, 1, "{name}");
        let found = place.rows(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = database() AND table_name NOT LIKE '\\_etlsched%'",
        );
        assert_eq!(found, [[name, name]]);
    }
    let place = Place::new();
    for bad in ["x".repeat(65), "_etlsched_loads".to_owned(), "x ".to_owned(), "☺😀".to_owned()] {
        assert_eq!(load(&place, &request(1, &bad, &people(), FULL), &[]), Err("bad_target".to_owned()), "{bad}");
        let columns = schema(&[(&bad, ColumnType::Text)]);
        if !bad.starts_with('_') {
            assert_eq!(load(&place, &request(1, "t", &columns, FULL), &[]), Err("bad_name".to_owned()), "{bad}");
        }
    }
    let twins = schema(&[("a", ColumnType::Text), ("A", ColumnType::Text)]);
    assert_eq!(load(&place, &request(1, "t", &twins, FULL), &[]), Err("schema_clash".to_owned()));
    let error = Mysql::open("dwh", &place.plan(), Some("nowhere"), Access::Write).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), ("no_such_schema", Some("make it: CREATE DATABASE `nowhere`")));
}

#[test]
fn columns_are_added_and_widened_and_old_rows_are_converted() {
    use ColumnType::{Boolean, Date, Decimal, Float64, Int32, Int64, Text, Time, Timestamp, TimestampNanos};
    let decimal = Decimal { precision: 30, scale: 4 };
    let place = Place::with(
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 5 COMMENT 'it''s', day date, at datetime(6), f double, x bigint, b tinyint(1), c time(6), d decimal(5,2), gone longtext); \
         INSERT INTO t VALUES (1, 7, '2013-01-02', '2013-01-02 03:04:05.5', 1, 9007199254740992, 1, '01:02:03', 1.25, 'here')",
    );
    place.take_over("t");
    let wide = schema(&[
        ("id", Int32),
        ("n", Int64),
        ("day", Timestamp),
        ("at", TimestampNanos),
        ("f", Text),
        ("x", Float64),
        ("b", Text),
        ("c", Text),
        ("d", decimal),
        ("new", Text),
    ]);
    let narrow = schema(&[("id", Int32), ("b", Boolean), ("c", Time), ("day", Date)]);
    load(&place, &request(1, "t", &narrow, merge(None)), &[]).unwrap();
    let mut frozen = request(2, "t", &wide, merge(None));
    frozen.schema_policy = SchemaPolicy::Freeze;
    assert_eq!(load(&place, &frozen, &[]), Err("schema_frozen".to_owned()));
    // What a kill in the middle of a rewrite leaves is no column of the table.
    place.sql("ALTER TABLE t ADD COLUMN _etlsched_new longtext");
    let committed = load(&place, &request(3, "t", &wide, merge(None)), &[]).unwrap();
    let changed = |column: &str, from, to| SchemaChange::Widened { column: column.to_owned(), from, to };
    assert_eq!(
        committed.schema_changes,
        [
            changed("n", Int32, Int64),
            changed("day", Date, Timestamp),
            changed("at", Timestamp, TimestampNanos),
            changed("f", Float64, Text),
            changed("x", Int64, Float64),
            changed("b", Boolean, Text),
            changed("c", Time, Text),
            changed("d", Decimal { precision: 5, scale: 2 }, decimal),
            SchemaChange::Added { column: "new".to_owned(), to: Text },
        ]
    );
    assert_eq!(
        place.sql("SELECT id, n, day, at, f, x, b, c, d, gone, new IS NULL FROM t"),
        "1\t7\t2013-01-02 00:00:00.000000\t2013-01-02T03:04:05.500000000\t1.0\t9.007199254740992e15\ttrue\t01:02:03\t1.2500\there\t1"
    );
    let shown = place.sql("SHOW CREATE TABLE t");
    assert!(
        shown.contains("`n` bigint(20) NOT NULL DEFAULT 5 COMMENT 'it\\'\\'s'")
            || shown.contains("`n` bigint(20) NOT NULL DEFAULT 5 COMMENT 'it''s'"),
        "{shown}"
    );
    assert!(!shown.contains("_etlsched_new"), "{shown}");
}

#[test]
fn a_type_that_is_not_ours_keeps_what_it_holds_or_refuses_it() {
    let place = Place::with("CREATE TABLE t (id int PRIMARY KEY, name varchar(3), small tinyint, state char(2), bits varbinary(2))");
    let columns = |name, column_type| schema(&[("id", ColumnType::Int32), (name, column_type)]);
    let ids = || Arc::new(arrow_array::Int32Array::from(vec![1])) as ArrayRef;
    let row = |name, text: &str| batch(&columns(name, ColumnType::Text), vec![ids(), Arc::new(StringArray::from(vec![text]))]);
    let text =
        |number, name, value| load(&place, &request(number, "t", &columns(name, ColumnType::Text), merge(None)), &[row(name, value)]);
    assert_eq!(text(1, "name", "abc").unwrap().counts.added, 1);
    // A blank too many would be cut in silence: the row is rejected like every other that is too long.
    for long in ["abcd", "abc "] {
        let mut mysql = place.mysql();
        let mut load = mysql.begin(&request(2, "t", &columns("name", ColumnType::Text), merge(None))).unwrap();
        assert_eq!(load.write(&row("name", long)).unwrap().invalid.len(), 1, "{long:?}");
    }
    assert_eq!(text(3, "state", "x"), Err("schema_clash".to_owned()));
    assert_eq!(text(4, "small", "x"), Err("schema_clash".to_owned()));
    assert_eq!(place.sql("SELECT id, name FROM t"), "1\tabc");
}

#[test]
fn numbers_arrive_to_the_last_bit() {
    for infile in [Infile::Auto, Infile::Off] {
        let place = Place::on(mariadb(), infile);
        let wide = ColumnType::Decimal { precision: 65, scale: 30 };
        let longer = ColumnType::Decimal { precision: 76, scale: 40 };
        let columns =
            schema(&[("id", ColumnType::Int64), ("f", ColumnType::Float64), ("r", ColumnType::Float32), ("d", wide), ("l", longer)]);
        let doubles = [0.1, 0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0 / 3.0, 9_007_199_254_740_993.0, 1e22, -2.5e-7];
        let floats = [0.1_f32, 0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 1.0 / 3.0, 16_777_216.0, 1e22, -2.5e-7];
        let greatest = i256::from_string(&"9".repeat(65)).unwrap();
        let longest = i256::from_string(&"9".repeat(76)).unwrap();
        let count = doubles.len();
        let rows = batch(
            &columns,
            vec![
                Arc::new(Int64Array::from_iter_values(0..count as i64)),
                Arc::new(Float64Array::from(doubles.to_vec())),
                Arc::new(Float32Array::from(floats.to_vec())),
                Arc::new(Decimal256Array::from(vec![greatest; count]).with_precision_and_scale(65, 30).unwrap()),
                Arc::new(Decimal256Array::from(vec![longest; count]).with_precision_and_scale(76, 40).unwrap()),
            ],
        );
        load(&place, &request(1, "numbers", &columns, FULL), &[rows]).unwrap();
        let mut mysql = place.mysql();
        let told = mysql.begin(&request(2, "numbers", &columns, FULL)).unwrap().take_notices();
        assert_eq!(told, ["column l is decimal(76,40), which MySQL has no type for (65 digits, 30 behind the point): it is kept as text"]);
        let found = place.rows("SELECT f, CAST(r AS DOUBLE), d, l FROM numbers ORDER BY id");
        for (row, (double, float)) in found.iter().zip(doubles.into_iter().zip(floats)) {
            assert_eq!(row[0].parse::<f64>().unwrap().to_bits(), double.to_bits(), "{double}");
            assert_eq!((row[1].parse::<f64>().unwrap() as f32).to_bits(), float.to_bits(), "{float}");
            assert_eq!(row[2], format!("{}.{}", "9".repeat(35), "9".repeat(30)));
            assert_eq!(row[3], format!("{}.{}", "9".repeat(36), "9".repeat(40)));
        }
    }
}

#[test]
fn a_dry_run_counts_what_the_load_then_does_and_writes_nothing() {
    let place = Place::new();
    let start = || people_rows(&[(1, Some("a"), 1), (2, Some("b"), 2), (3, None, 3)]);
    for target in ["people", "unkeyed"] {
        load(&place, &request(1, target, &people(), FULL), &[start()]).unwrap();
    }
    let state = || place.sql("SHOW TABLES; SELECT target, begun_version, version FROM _etlsched_loads ORDER BY 1");
    let before = state();
    let seen = || CursorValue::at(ColumnType::TimestampUtc, 2);
    let window = Disposition::Window { column: "seen".to_owned(), from: seen(), until: None };
    let rows = people_rows(&[(2, Some("b"), 2), (3, Some("c"), 3), (4, Some("d"), 4), (4, Some("e"), 4)]);
    for (number, disposition) in [(2, merge(Some("seen"))), (3, window), (4, FULL), (5, Disposition::Append)] {
        // A merge leaves a unique index, which the equal keys of the others would break.
        let request = request(number, if number == 2 { "people" } else { "unkeyed" }, &people(), disposition);
        let mut trial = crate::destination::rehearse(&place.destination(), &request).unwrap();
        trial.take(&rows, &[]).unwrap();
        let foretold = trial.counts(4).unwrap();
        assert!(!place.mysql().statements(&request).unwrap().is_empty());
        drop(trial);
        if number == 2 {
            assert_eq!(state(), before);
            assert_eq!(foretold, Counts { added: 1, updated: 1, unchanged: 1, folded: 1, ..Counts::default() });
        }
        assert_eq!(load(&place, &request, std::slice::from_ref(&rows)).unwrap().counts, foretold, "{number}");
    }
}

#[test]
fn checks_look_at_the_staged_rows() {
    let place = Place::new();
    let mut mysql = place.mysql();
    let mut load = mysql.begin(&request(1, "people", &people(), FULL)).unwrap();
    let alike = "x".repeat(5_000);
    load.write(&people_rows(&[(1, None, 0), (1, Some("a"), 0), (2, Some(&(alike.clone() + "1")), 0), (3, Some(&(alike + "2")), 0)]))
        .unwrap();
    load.finish(4).unwrap();
    let expect = Expect {
        min_rows: Some(5),
        not_null: vec!["NAME".to_owned()],
        unique: vec!["id".to_owned()],
        sql: Some("SELECT id, name FROM {table} WHERE name = 'a';".to_owned()),
        ..Expect::default()
    };
    assert_eq!(
        load.check(&expect).unwrap(),
        [
            "min_rows: 4 rows, expected at least 5",
            "not_null: column name is NULL in 1 row",
            "unique: 1 value of id more than once",
            "sql: 1 row returned, expected none; the first: 1, a",
        ]
    );
    // Texts that differ behind what a sort looks at differ all the same.
    let unique = Expect { unique: vec!["name".to_owned()], ..Expect::default() };
    assert_eq!(load.check(&unique).unwrap(), Vec::<String>::new());
    let with = |sql: &str| Expect { sql: Some(sql.to_owned()), ..Expect::default() };
    for sql in ["DELETE FROM {table}", "SELECT nothing FROM {table}", "SELECT 1) AS w; DROP TABLE {table}; SELECT * FROM (SELECT 1"] {
        assert_eq!(load.check(&with(sql)).unwrap_err().code, "bad_check", "{sql}");
    }
    load.publish(&publication()).unwrap();
    assert_eq!(place.sql("SELECT count(*) FROM people"), "4");
}

#[test]
fn values_that_cannot_be_held_are_left_out_or_null() {
    let place = Place::new();
    let columns = schema(&[("t", ColumnType::Text), ("f", ColumnType::Float64)]);
    let rows = batch(
        &columns,
        vec![
            Arc::new(StringArray::from(vec!["a\0b", "fine", "too"])),
            Arc::new(Float64Array::from(vec![1.0, f64::NAN, f64::NEG_INFINITY])),
        ],
    );
    for (number, policy, staged) in [(1, OnInvalidValue::Reject, 1), (2, OnInvalidValue::Null, 3)] {
        let mut request = request(number, "t", &columns, FULL);
        request.invalid_values = policy;
        let mut mysql = place.mysql();
        let mut load = mysql.begin(&request).unwrap();
        let written = load.write(&rows).unwrap();
        assert_eq!((written.rows, written.invalid.len()), (staged, 2));
        load.finish(staged).unwrap();
        load.publish(&publication()).unwrap();
    }
    assert_eq!(place.sql("SELECT t, f FROM t ORDER BY t"), "a\\0b\t1\nfine\tNULL\ntoo\tNULL");
}

#[test]
fn the_cursor_moves_with_the_rows_and_stays_without_one() {
    let place = Place::new();
    let cursor = CursorValue::at(ColumnType::TimestampUtc, 5);
    let moved = PublishRequest { cursor: cursor.clone(), ..publication() };
    load_with(&place, &request(1, "people", &people(), FULL), &[one(1, "a")], &moved).unwrap();
    load(&place, &request(2, "people", &people(), Disposition::Append), &[one(2, "b")]).unwrap();
    let record = place.mysql().record("people").unwrap().unwrap();
    assert_eq!((record.cursor, record.version, record.rows_in_target), (cursor, 2, Some(2)));
}
