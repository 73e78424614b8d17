//! What is PostgreSQL's own: what a table keeps, locks, types, changes of columns. The rest is in the conformance suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{Float64Array, Int64Array, StringArray};

use super::Postgres;
use crate::batch::ColumnType;
pub(super) use crate::connect::servers;
use crate::destination::conformance::{
    self, Bench, FULL, batch, load, load_with, merge, people, people_rows, publication, request, schema,
};
use crate::destination::{Access, Destination, Disposition, Fold, Mended, PublishRequest};
use crate::plan::postgresql::{PostgresConnection, SslMode};
use crate::plan::{DestinationKind, DestinationPlan, Expect, MendAction, MendPlan, OnInvalidValue, Publish, SchemaChange, SchemaPolicy};
use crate::run::{Counts, CursorValue};
use crate::secret::Secret;

/// A schema of its own in the tests' server.
pub(super) struct Place {
    pub(super) schema: String,
}

impl Place {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("Place \"{}\"", NUMBER.fetch_add(1, Ordering::Relaxed));
        servers::psql(servers::postgresql(), "etl", &format!("CREATE SCHEMA {}", super::types::quoted(&schema)));
        Self { schema }
    }

    pub(super) fn with(sql: &str) -> Self {
        let place = Self::new();
        place.psql(sql);
        place
    }

    /// Runs SQL in the schema; fields are parted by `|`.
    #[track_caller]
    pub(super) fn psql(&self, sql: &str) -> String {
        let path = format!("SET search_path = {}; SET timezone = 'UTC'; ", super::types::quoted(&self.schema));
        servers::psql(servers::postgresql(), "etl", &(path + sql))
    }

    pub(super) fn connection(&self) -> PostgresConnection {
        PostgresConnection {
            host: "127.0.0.1".to_owned(),
            port: servers::postgresql().port,
            database: "etl".to_owned(),
            user: "etl".to_owned(),
            password: Some(Secret::new(servers::PASSWORD)),
            sslmode: SslMode::Prefer,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout_seconds: 15,
        }
    }

    pub(super) fn session(&self) -> Postgres {
        Postgres::open("dwh", &self.connection(), Some(&self.schema), Access::Write).unwrap()
    }
}

impl Bench for Place {
    fn open(&self) -> Box<dyn Destination> {
        Box::new(self.session())
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        // Characters that no value of the suite has part fields and rows.
        let text = self.psql(&format!(
            "SELECT string_agg(line, chr(30)) FROM (SELECT (SELECT string_agg(coalesce(value, 'NULL'), chr(31) ORDER BY place) \
             FROM json_each_text(row_to_json(found)) WITH ORDINALITY AS cells (name, value, place)) AS line FROM ({sql}) AS found) AS lines"
        ));
        if text.is_empty() {
            return Vec::new();
        }
        text.split('\x1e').map(|row| row.split('\x1f').map(str::to_owned).collect()).collect()
    }

    fn staging(&self) -> &'static str {
        "SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r' \
         AND relname ~ '^_etlsched_[0-9a-f]{8}_'"
    }

    fn every(&self) -> &'static str {
        "SELECT b::int, s, i, u, replace(f::text, 'e+', 'e'), d, t, coalesce(upper(encode(x, 'hex')), ''), day, clock, \
         to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS') || CASE to_char(at, 'US') WHEN '000000' THEN '' ELSE to_char(at, '.US') END, \
         to_char(z, 'YYYY-MM-DD\"T\"HH24:MI:SS') || CASE to_char(z, 'US') WHEN '000000' THEN '' ELSE to_char(z, '.US') END || 'Z', \
         n, id FROM every"
    }
}

#[test]
fn the_conformance_suite_holds() {
    conformance::all(Place::new);
}

const PEOPLE: &str = "SELECT id, name FROM people ORDER BY id";

fn one(id: i64, name: &str) -> arrow_array::RecordBatch {
    people_rows(&[(id, Some(name), 0)])
}

const KEPT: &str = "CREATE TABLE people (id bigint, name text, seen timestamptz);
    GRANT SELECT ON people TO pg_monitor WITH GRANT OPTION; GRANT INSERT ON people TO PUBLIC;
    COMMENT ON TABLE people IS 'it''s ours'; COMMENT ON COLUMN people.name IS 'as written';
    ALTER TABLE people ALTER COLUMN name SET STATISTICS 500;";

/// What a table has beside its rows.
const HAS: &str = "SELECT (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(relacl) AS acl), obj_description(c.oid), col_description(c.oid, 2), (SELECT attstattarget FROM pg_attribute \
     WHERE attrelid = c.oid AND attname = 'name') FROM pg_class c WHERE c.oid = 'people'::regclass";

#[test]
fn a_swapped_table_keeps_its_grants_comments_and_statistics_targets() {
    let place = Place::with(KEPT);
    let (before, oid) = (place.psql(HAS), place.psql("SELECT 'people'::regclass::oid"));
    assert!(before.contains("pg_monitor=r*/etl") && before.contains("it's ours|as written|500"), "{before}");
    for number in 1..=2 {
        let committed = load(&place, &request(number, "people", &people(), FULL), &[one(number.into(), "a")]).unwrap();
        assert_eq!(committed.counts, Counts { added: 1, deleted: u64::from(number - 1), ..Counts::default() });
        assert_eq!(place.psql(HAS), before);
    }
    assert_ne!(place.psql("SELECT 'people'::regclass::oid"), oid, "it was swapped");
    assert_eq!(place.psql(PEOPLE), "2|a");
}

#[test]
fn a_table_with_more_to_it_stays_itself() {
    let place = Place::with(&format!(
        "{KEPT} CREATE TABLE log (name text); CREATE INDEX by_name ON people (name); CREATE VIEW names AS SELECT name FROM people;
         CREATE SEQUENCE numbers; ALTER TABLE people ADD COLUMN number bigint NOT NULL DEFAULT nextval('numbers');
         ALTER SEQUENCE numbers OWNED BY people.number; ALTER TABLE people ADD CHECK (id > 0);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
             'BEGIN INSERT INTO log VALUES (NEW.name); RETURN NEW; END';
         CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION note();
         ALTER TABLE people ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of_it ON people USING (true);
         ALTER TABLE people REPLICA IDENTITY FULL;"
    ));
    let has = "SELECT 'people'::regclass::oid, relrowsecurity, relreplident, pg_get_indexdef('by_name'::regclass) FROM pg_class \
         WHERE oid = 'people'::regclass";
    let before = (place.psql(HAS), place.psql(has));
    for number in 1..=2 {
        let committed = load(&place, &request(number, "people", &people(), FULL), &[one(number.into(), "a")]).unwrap();
        assert_eq!((committed.counts.deleted, committed.rows_in_target), (u64::from(number - 1), 1));
    }
    assert_eq!((place.psql(HAS), place.psql(has)), before);
    assert_eq!(place.psql("SELECT id, name, number FROM people"), "2|a|2");
    assert_eq!(place.psql("SELECT * FROM names"), "a");
    assert_eq!(place.psql("SELECT count(*) FROM log"), "2");
    // A row that breaks a rule of the table leaves all as it was.
    let broken = load(&place, &request(3, "people", &people(), FULL), &[one(-1, "b")]);
    assert_eq!(broken, Err("constraint".to_owned()));
    assert_eq!(place.psql(PEOPLE), "2|a");
}

#[test]
fn replaced_tables_are_never_dropped() {
    let place = Place::with(KEPT);
    let oid = place.psql("SELECT 'people'::regclass::oid");
    let replace = || Disposition::Full { publish: Publish::Replace, fold: None };
    load(&place, &request(1, "people", &people(), replace()), &[one(1, "a")]).unwrap();
    assert_eq!(place.psql("SELECT 'people'::regclass::oid"), oid);
    assert_eq!(place.psql(PEOPLE), "1|a");
}

#[test]
fn rows_that_no_load_brought_are_refused_until_the_table_is_taken_over() {
    let place =
        Place::with("CREATE TABLE \"People\" (id bigint, name text, seen timestamptz); INSERT INTO \"People\" VALUES (7, 'own', now())");
    let own = request(1, "People", &people(), FULL);
    assert_eq!(load(&place, &own, &[one(1, "a")]), Err("foreign_table".to_owned()));
    assert_eq!(place.psql("SELECT id, name FROM \"People\""), "7|own");
    let owners = vec![("people".to_owned(), own.owner.clone())];
    let plan = MendPlan {
        destination: plan(&place),
        workspace_id: "w1".to_owned(),
        job: "job".to_owned(),
        action: MendAction::TakeOver { owners },
    };
    let mended = place.session().mend(&plan).unwrap();
    assert_eq!(mended, Mended { dropped: Vec::new(), changed: vec!["People".to_owned()] });
    let committed = load(&place, &own, &[one(1, "a")]).unwrap();
    assert_eq!(committed.counts, Counts { added: 1, deleted: 1, ..Counts::default() });
    let reset = MendPlan { action: MendAction::Reset { targets: vec!["PEOPLE".to_owned()] }, ..plan };
    assert_eq!(place.session().mend(&reset).unwrap().changed, ["People"]);
    assert_eq!(place.session().record("people").unwrap().unwrap().mode, None);
}

fn plan(place: &Place) -> DestinationPlan {
    let kind = DestinationKind::Postgresql(place.connection());
    DestinationPlan { name: "dwh".to_owned(), kind, schema: Some(place.schema.clone()) }
}

#[test]
fn staging_of_dead_runs_goes_and_that_of_others_stays() {
    let place = Place::new();
    let mut first = place.session();
    let mut second = place.session();
    let mut loads = [
        first.begin(&request(1, "people", &people(), FULL)).unwrap(),
        second.begin(&request(2, "orders", &people(), merge(None))).unwrap(),
    ];
    loads.iter_mut().for_each(|load| load.finish(0).unwrap());
    std::mem::forget(loads);
    let staging = "SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r' \
         AND relname ~ '^_etlsched_[0-9a-f]{8}_' ORDER BY 1";
    assert_eq!(place.psql(staging).lines().count(), 2);
    let action = MendAction::DropStaging { dead_runs: vec![conformance::run(1).run_id] };
    let plan = MendPlan { destination: plan(&place), workspace_id: "w1".to_owned(), job: "job".to_owned(), action };
    assert_eq!(place.session().mend(&plan).unwrap().dropped.len(), 1);
    assert!(place.psql(staging).contains("_000000000002_1"), "{}", place.psql(staging));
    // The next load of the target drops what it finds.
    load(&place, &request(3, "orders", &people(), FULL), &[]).unwrap();
    assert_eq!(place.psql(staging), "");
}

#[test]
fn names_are_kept_to_the_byte_or_refused() {
    let long = "é".repeat(31) + "x";
    for name in ["a \"b\"; DROP TABLE x; --", "Übersicht ☃", "select", "%s'\\", long.as_str()] {
        let place = Place::new();
        let columns = schema(&[(name, ColumnType::Int64)]);
        let rows = || batch(&columns, vec![Arc::new(Int64Array::from(vec![1]))]);
        let keyed = || Disposition::Merge(Fold { key: vec![name.to_owned()], newest_by: None });
        load(&place, &request(1, name, &columns, FULL), &[rows()]).unwrap();
        let merged = load(&place, &request(2, name, &columns, keyed()), &[rows()]).unwrap();
        assert_eq!(merged.counts.unchanged, 1, "{name}");
        let found = place.psql(
            "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = 1 \
             WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_etlsched%'",
        );
        assert_eq!(found, format!("{name}|{name}"));
    }
    let place = Place::new();
    let too_long = "x".repeat(64);
    assert_eq!(load(&place, &request(1, &too_long, &people(), FULL), &[]), Err("bad_target".to_owned()));
    assert_eq!(load(&place, &request(1, "t", &schema(&[(&too_long, ColumnType::Text)]), FULL), &[]), Err("bad_name".to_owned()));
    assert_eq!(load(&place, &request(1, "_etlsched_loads", &people(), FULL), &[]), Err("bad_target".to_owned()));
    let twins = schema(&[("a", ColumnType::Text), ("A", ColumnType::Text)]);
    assert_eq!(load(&place, &request(1, "t", &twins, FULL), &[]), Err("schema_clash".to_owned()));
    let error = Postgres::open("dwh", &place.connection(), Some("nowhere"), Access::Write).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), ("no_such_schema", Some("make it: CREATE SCHEMA \"nowhere\"")));
}

#[test]
fn columns_are_added_and_widened_and_old_rows_are_converted() {
    use ColumnType::{Date, Float64, Int32, Int64, Text, Timestamp, TimestampNanos};
    let place = Place::with(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, day date, at timestamp, f double precision, x bigint, gone text);
         CREATE VIEW of_id AS SELECT id FROM t;",
    );
    let first = schema(&[("id", Int32), ("n", Int32), ("day", Date), ("at", Timestamp), ("f", Float64), ("x", Int64)]);
    place.psql("INSERT INTO t VALUES (1, 7, '2013-01-02', '2013-01-02 03:04:05.5', 1, 9007199254740992, 'here')");
    let take = MendAction::TakeOver { owners: vec![("t".to_owned(), request(1, "t", &first, FULL).owner)] };
    let plan = MendPlan { destination: plan(&place), workspace_id: "w1".to_owned(), job: "job".to_owned(), action: take };
    place.session().mend(&plan).unwrap();
    let wide =
        schema(&[("id", Int32), ("n", Int64), ("day", Timestamp), ("at", TimestampNanos), ("f", Text), ("x", Float64), ("new", Text)]);
    let mut frozen = request(2, "t", &wide, merge(None));
    frozen.schema_policy = SchemaPolicy::Freeze;
    assert_eq!(load(&place, &frozen, &[]), Err("schema_frozen".to_owned()));
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
            SchemaChange::Added { column: "new".to_owned(), to: Text },
        ]
    );
    assert_eq!(
        place.psql("SELECT id, n, pg_typeof(n), day, at, f, x, pg_typeof(x), gone, new IS NULL FROM t"),
        "1|7|bigint|2013-01-02 00:00:00|2013-01-02T03:04:05.500000000|1.0|9.007199254740992e+15|double precision|here|t"
    );
    // What a view shows can't be widened: the load says so, and nothing happened.
    let wider = schema(&[("id", Int64), ("n", Int64)]);
    assert_eq!(load(&place, &request(4, "t", &wider, merge(None)), &[]), Err("schema_clash".to_owned()));
    assert_eq!(place.psql("SELECT pg_typeof(id) FROM t"), "integer");
}

#[test]
fn a_type_that_is_not_ours_keeps_what_it_holds_or_refuses_it() {
    let place = Place::with("CREATE TABLE t (id integer PRIMARY KEY, name varchar(3), amount numeric, state char(2))");
    let columns = |name| schema(&[("id", ColumnType::Int32), (name, ColumnType::Text)]);
    let row = |name, text: &str| {
        let ids = arrow_array::Int32Array::from(vec![1]);
        batch(&columns(name), vec![Arc::new(ids), Arc::new(StringArray::from(vec![text]))])
    };
    let committed = load(&place, &request(1, "t", &columns("name"), merge(None)), &[row("name", "abc")]).unwrap();
    assert_eq!((committed.counts.added, committed.schema_changes), (1, vec![]));
    // The server would cut blanks at the end without a word.
    for (number, long) in [(2, "abcd"), (3, "abc "), (4, "äöüß")] {
        for disposition in [merge(None), FULL] {
            let mut postgres = place.session();
            let mut load = postgres.begin(&request(number, "t", &columns("name"), disposition)).unwrap();
            let written = load.write(&row("name", long)).unwrap();
            assert_eq!((written.rows, written.invalid.len()), (0, 1), "{long:?}");
            assert_eq!(written.invalid[0].reason, "the text is longer than the target's column");
        }
    }
    assert_eq!(load(&place, &request(3, "t", &columns("state"), merge(None)), &[row("state", "x")]), Err("schema_clash".to_owned()));
    assert_eq!(place.psql("SELECT id, name, pg_typeof(name) FROM t"), "1|abc|character varying");
}

#[test]
fn a_dry_run_counts_what_the_load_then_does_and_writes_nothing() {
    let place = Place::new();
    let start = || people_rows(&[(1, Some("a"), 1), (2, Some("b"), 2), (3, None, 3)]);
    for target in ["people", "unkeyed"] {
        load(&place, &request(1, target, &people(), FULL), &[start()]).unwrap();
    }
    let tables =
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace";
    let before = (place.psql(tables), place.psql("SELECT target, begun_version, version FROM _etlsched_loads ORDER BY 1"));
    let seen = || CursorValue::at(ColumnType::TimestampUtc, 2);
    let window = Disposition::Window { column: "seen".to_owned(), from: seen(), until: None };
    let rows = people_rows(&[(2, Some("b"), 2), (3, Some("c"), 3), (4, Some("d"), 4), (4, Some("e"), 4)]);
    for (number, disposition) in [(2, merge(Some("seen"))), (3, window), (4, FULL), (5, Disposition::Append)] {
        // A merge leaves a unique index, which the equal keys of the others would break.
        let request = request(number, if number == 2 { "people" } else { "unkeyed" }, &people(), disposition);
        let mut trial = crate::destination::rehearse(&plan(&place), &request).unwrap();
        trial.take(&rows, &[]).unwrap();
        let foretold = trial.counts(4).unwrap();
        assert!(!place.session().statements(&request).unwrap().is_empty());
        drop(trial);
        if number == 2 {
            assert_eq!((place.psql(tables), place.psql("SELECT target, begun_version, version FROM _etlsched_loads ORDER BY 1")), before);
            assert_eq!(foretold, Counts { added: 1, updated: 1, unchanged: 1, folded: 1, ..Counts::default() });
        }
        assert_eq!(load(&place, &request, std::slice::from_ref(&rows)).unwrap().counts, foretold, "{number}");
    }
}

#[test]
fn checks_look_at_the_staged_rows() {
    let place = Place::new();
    let mut postgres = place.session();
    let mut load = postgres.begin(&request(1, "people", &people(), FULL)).unwrap();
    load.write(&people_rows(&[(1, None, 0), (1, Some("a"), 0)])).unwrap();
    load.finish(2).unwrap();
    let expect = Expect {
        min_rows: Some(3),
        not_null: vec!["NAME".to_owned()],
        unique: vec!["id".to_owned()],
        sql: Some("SELECT id, name FROM {table} WHERE name IS NOT NULL;".to_owned()),
        ..Expect::default()
    };
    assert_eq!(
        load.check(&expect).unwrap(),
        [
            "min_rows: 2 rows, expected at least 3",
            "not_null: column name is NULL in 1 row",
            "unique: 1 value of id more than once",
            "sql: 1 row returned, expected none; the first: 1, a",
        ]
    );
    let with = |sql: &str| Expect { sql: Some(sql.to_owned()), ..Expect::default() };
    for sql in
        ["DELETE FROM {table} RETURNING id", "SELECT nothing FROM {table}", "SELECT 1) AS w; DROP TABLE {table}; SELECT * FROM (SELECT 1"]
    {
        assert_eq!(load.check(&with(sql)).unwrap_err().code, "bad_check", "{sql}");
    }
    load.publish(&publication()).unwrap();
    assert_eq!(place.psql("SELECT count(*) FROM people"), "2");
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
    for (number, policy, staged) in [(1, OnInvalidValue::Reject, 2), (2, OnInvalidValue::Null, 3)] {
        let mut request = request(number, "t", &columns, FULL);
        request.invalid_values = policy;
        let mut postgres = place.session();
        let mut load = postgres.begin(&request).unwrap();
        let written = load.write(&rows).unwrap();
        assert_eq!((written.rows, written.invalid.len()), (staged, 1));
        load.finish(staged).unwrap();
        load.publish(&publication()).unwrap();
    }
    assert_eq!(place.psql("SELECT t, f FROM t ORDER BY f"), "too|-Infinity\n|1\nfine|NaN");
}

#[test]
fn the_cursor_moves_with_the_rows_and_stays_without_one() {
    let place = Place::new();
    let cursor = CursorValue::at(ColumnType::TimestampUtc, 5);
    let moved = PublishRequest { cursor: cursor.clone(), ..publication() };
    load_with(&place, &request(1, "people", &people(), FULL), &[one(1, "a")], &moved).unwrap();
    load(&place, &request(2, "people", &people(), Disposition::Append), &[one(2, "b")]).unwrap();
    let record = place.session().record("people").unwrap().unwrap();
    assert_eq!((record.cursor, record.version, record.rows_in_target), (cursor, 2, Some(2)));
}
