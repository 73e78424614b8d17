//! Tables that people made and that go on living: altered while a load runs, with triggers, foreign keys and rules of
//! their own. What a swap keeps is in `tests/it/postgres_tables.rs`.

use std::sync::Arc;

use arrow_array::{Int32Array, Int64Array, StringArray};

use super::tests::Place;
use crate::batch::ColumnType;
use crate::destination::conformance::{Bench, FULL, batch, load, merge, people, people_rows, publication, request, schema};
use crate::destination::{Destination, DestinationError, Disposition, Fold};
use crate::plan::Publish;
use crate::run::{Counts, CursorValue};

pub(super) const PLAIN: &str = "CREATE TABLE people (id bigint, name text, seen timestamptz);";

/// Loads rows, with something done by others just before the publish.
fn load_meanwhile(
    place: &Place,
    number: u32,
    disposition: Disposition,
    rows: &[(i64, Option<&str>, i64)],
    other: &str,
) -> Result<Counts, DestinationError> {
    let mut postgres = place.session();
    let mut load = postgres.begin(&request(number, "people", &people(), disposition))?;
    let staged = load.write(&people_rows(rows))?.rows;
    load.finish(staged)?;
    place.psql(other);
    load.publish(&publication()).map(|committed| committed.counts)
}

pub(super) fn load_rows(
    place: &Place,
    number: u32,
    disposition: Disposition,
    rows: &[(i64, Option<&str>, i64)],
) -> Result<Counts, DestinationError> {
    load_meanwhile(place, number, disposition, rows, "")
}

pub(super) const THREE: &[(i64, Option<&str>, i64)] = &[(1, Some("a"), 0), (2, Some("b"), 0), (3, None, 0)];

pub(super) fn added(rows: u64, deleted: u64) -> Counts {
    Counts { added: rows, deleted, ..Counts::default() }
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, DestinationError>, code: &str, words: &[&str]) {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code, code, "{error:?}");
    let text = format!("{} {}", error.message, error.hint.clone().unwrap_or_default());
    let own = ["people", "t"].map(|table| format!("_etlsched_{}", crate::destination::staging_names::hash(table)));
    assert!(words.iter().all(|word| text.contains(word)) && !own.iter().any(|own| error.message.contains(own)), "{error:?}");
}

#[test]
fn what_is_changed_while_a_load_runs_is_kept_or_fails_the_attempt() {
    for other in [
        "ALTER TABLE people ALTER COLUMN name SET DEFAULT 'x'",
        "ALTER TABLE people ALTER COLUMN name SET STORAGE EXTERNAL",
        "ALTER TABLE people ALTER COLUMN id SET NOT NULL",
        "ALTER TABLE people ADD COLUMN more text",
        "ALTER TABLE people SET (fillfactor = 50)",
        "CREATE INDEX ON people (name)",
        "DROP INDEX people_id",
        "CREATE VIEW of_people AS SELECT * FROM people",
        "ALTER TABLE people ADD CHECK (id > 0)",
        "DROP TABLE people; CREATE TABLE people (id bigint, name text, seen timestamptz)",
    ] {
        let place = Place::with(&format!("{PLAIN} CREATE INDEX people_id ON people (id)"));
        load_rows(&place, 1, FULL, THREE).unwrap();
        let result = load_meanwhile(&place, 2, FULL, THREE, other);
        assert!(result.as_ref().is_err_and(|error| error.code == "target_changed" && error.is_transient), "{other}: {result:?}");
        load_rows(&place, 3, FULL, THREE).unwrap();
        assert_eq!(place.psql("SELECT count(*) FROM people"), "3", "{other}");
    }
    let place = Place::with(&format!("{PLAIN} CREATE INDEX people_id ON people (id)"));
    let other = "GRANT SELECT ON people TO pg_monitor; COMMENT ON TABLE people IS 'new'; COMMENT ON INDEX people_id IS 'its index'; \
         ALTER TABLE people ALTER COLUMN id SET STATISTICS 7";
    assert_eq!(load_meanwhile(&place, 1, FULL, THREE, other).unwrap(), added(3, 0));
    let has = "SELECT array_to_string(relacl, ',') ~ 'pg_monitor=r/', obj_description('people'::regclass), obj_description('people_id'::regclass), \
         attstattarget FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attname = 'id' WHERE c.oid = 'people'::regclass";
    assert_eq!(place.psql(has), "t|new|its index|7");
}

#[test]
fn rows_that_break_a_rule_of_the_table_are_told_by_the_names_that_people_know() {
    let place = Place::with(&format!(
        "{PLAIN} CREATE UNIQUE INDEX \"one name\" ON people (name); ALTER TABLE people ADD CONSTRAINT \"positive id\" CHECK (id > 0)"
    ));
    load_rows(&place, 1, FULL, THREE).unwrap();
    let twice = &[(1, Some("a"), 0), (2, Some("a"), 0)];
    refused(load_rows(&place, 2, FULL, twice), "constraint", &["\"one name\"", "(name)=(a)", "people"]);
    refused(load_rows(&place, 3, FULL, &[(-7, None, 0)]), "constraint", &["\"people\"", "\"positive id\"", "(-7, null,"]);
    let replace = || Disposition::Full { publish: Publish::Replace, fold: None };
    refused(load_rows(&place, 4, replace(), twice), "constraint", &["\"one name\"", "(name)=(a)"]);
    refused(load_rows(&place, 5, merge(None), &[(9, Some("a"), 0)]), "constraint", &["\"one name\"", "(name)=(a)"]);
    assert_eq!(place.psql("SELECT count(*) FROM people"), "3");
}

#[test]
fn what_triggers_keep_out_fails_the_load_and_what_they_change_is_counted() {
    let function = |body: &str| {
        format!("CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS 'BEGIN {body} END';")
    };
    let on = |event: &str| format!("CREATE TRIGGER meddles BEFORE {event} ON people FOR EACH ROW EXECUTE FUNCTION meddle();");
    let without_two = |row: &str, result: &str| function(&format!("IF {row}.id = 2 THEN RETURN NULL; END IF; RETURN {result};"));
    let window = || Disposition::Window { column: "seen".to_owned(), from: CursorValue::at(ColumnType::TimestampUtc, 0), until: None };
    let changed = &[(1, Some("A"), 0), (2, Some("B"), 0), (3, None, 0)][..];
    for (event, body, disposition) in [
        ("INSERT", without_two("NEW", "NEW"), FULL),
        ("INSERT", without_two("NEW", "NEW"), window()),
        ("DELETE", without_two("OLD", "OLD"), FULL),
        ("DELETE", without_two("OLD", "OLD"), window()),
        ("UPDATE", without_two("NEW", "NEW"), merge(None)),
    ] {
        let place = Place::with(PLAIN);
        load_rows(&place, 1, FULL, THREE).unwrap();
        place.psql(&format!("{body} {}", on(event)));
        refused(load_rows(&place, 2, disposition.clone(), changed), "rows_lost", &["people", "triggers"]);
        assert_eq!(place.psql("SELECT string_agg(name, '' ORDER BY id) FROM people"), "ab", "{event}, {disposition:?}");
    }
    let place = Place::with(&format!("{PLAIN} {} {}", function("NEW.name := upper(NEW.name); RETURN NEW;"), on("INSERT OR UPDATE")));
    assert_eq!(load_rows(&place, 1, FULL, THREE).unwrap(), added(3, 0));
    let again = load_rows(&place, 2, merge(None), THREE).unwrap();
    assert_eq!(again, Counts { updated: 2, unchanged: 1, ..Counts::default() });
    assert_eq!(place.psql("SELECT string_agg(name, '' ORDER BY id) FROM people"), "AB");
    // A rule that turns an insert into nothing is no success either.
    place.psql("CREATE RULE nothing AS ON INSERT TO people WHERE NEW.id = 9 DO INSTEAD NOTHING");
    refused(load_rows(&place, 3, merge(None), &[(9, None, 0)]), "rows_lost", &["rules"]);
}

#[test]
fn rows_that_others_refer_to_are_replaced_where_they_come_again() {
    let child = |action: &str| {
        format!(
            "CREATE TABLE people (id bigint PRIMARY KEY, name text, seen timestamptz);
             CREATE TABLE visits (person bigint CONSTRAINT of_person REFERENCES people {action})"
        )
    };
    let window = || Disposition::Window { column: "seen".to_owned(), from: CursorValue::at(ColumnType::TimestampUtc, 0), until: None };
    let place = Place::with(&child(""));
    load_rows(&place, 1, FULL, THREE).unwrap();
    place.psql("INSERT INTO visits VALUES (1), (2), (NULL)");
    assert_eq!(load_rows(&place, 2, FULL, THREE).unwrap(), added(3, 3));
    assert_eq!(load_rows(&place, 3, window(), THREE).unwrap(), added(3, 3));
    refused(load_rows(&place, 4, FULL, &[(1, Some("a"), 0)]), "constraint", &["of_person", "(id)=(2)", "visits"]);
    assert_eq!(place.psql("SELECT (SELECT count(*) FROM people), count(*) FROM visits"), "3|3");
    for action in ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT"] {
        let place = Place::with(&child(action));
        load_rows(&place, 1, FULL, THREE).unwrap();
        assert_eq!(load_rows(&place, 2, FULL, THREE).unwrap(), added(3, 3), "nobody refers to a row");
        place.psql("INSERT INTO visits VALUES (1), (2), (NULL)");
        for (number, disposition) in [(3, FULL), (4, window())] {
            refused(load_rows(&place, number, disposition, THREE), "dependents", &["of_person", "visits", "primary_key"]);
        }
        assert_eq!(load_rows(&place, 5, merge(None), THREE).unwrap(), Counts { unchanged: 3, ..Counts::default() });
        assert_eq!(place.psql("SELECT string_agg(person::text, ',') FROM visits"), "1,2");
    }
}

#[test]
fn a_swapped_table_evolves_with_all_that_it_has() {
    use ColumnType::{Int32, Int64, Text};
    let place = Place::with(
        "CREATE TABLE t (id integer GENERATED BY DEFAULT AS IDENTITY CONSTRAINT t_key PRIMARY KEY, n integer CHECK (n > 0), twice bigint GENERATED ALWAYS AS (id * 2) STORED,
         kept text DEFAULT 'k'); CREATE INDEX t_n ON t (n DESC)",
    );
    let narrow = schema(&[("id", Int32), ("n", Int32)]);
    let rows = batch(&narrow, vec![Arc::new(Int32Array::from(vec![1, 2])), Arc::new(Int32Array::from(vec![5, 6]))]);
    let oid = place.psql("SELECT 't'::regclass::oid");
    load(&place, &request(1, "t", &narrow, FULL), &[rows]).unwrap();
    let wide = schema(&[("id", Int32), ("n", Int64), ("new", Text)]);
    let rows = batch(
        &wide,
        vec![
            Arc::new(Int32Array::from(vec![1, 2])),
            Arc::new(Int64Array::from(vec![5, 1 << 40])),
            Arc::new(StringArray::from(vec![Some("x"), None])),
        ],
    );
    let former = place.psql("SELECT 't'::regclass::oid");
    assert_ne!(former, oid);
    load(&place, &request(2, "t", &wide, FULL), &[rows]).unwrap();
    assert_ne!(place.psql("SELECT 't'::regclass::oid"), former, "it was swapped");
    assert_eq!(place.psql("SELECT * FROM t ORDER BY id"), "1|5|2|k|x\n2|1099511627776|4|k|");
    let has = "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = 't'::regclass";
    assert_eq!(place.psql(has), "t_key PRIMARY KEY (id), t_n_check CHECK ((n > 0))");
    assert_eq!(place.psql("SELECT pg_get_indexdef('t_n'::regclass) ~ 'n DESC', pg_get_serial_sequence('t', 'id') ~ 't_id_seq'"), "t|t");
    // What a generated column rests on can't widen.
    let wider = schema(&[("id", Int64), ("n", Int64)]);
    let row = batch(&wider, vec![Arc::new(Int64Array::from(vec![1])), Arc::new(Int64Array::from(vec![1]))]);
    assert_eq!(load(&place, &request(3, "t", &wider, FULL), &[row]), Err("schema_clash".to_owned()));
    assert_eq!(place.psql("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_json_column_of_people_takes_json() {
    let place = Place::with("CREATE TABLE t (id bigint, j json, n numeric, v varchar(3), z timestamp(6) with time zone)");
    let columns = schema(&[("id", ColumnType::Int64), ("j", ColumnType::Json), ("n", ColumnType::Int64), ("v", ColumnType::Text)]);
    let rows = batch(
        &columns,
        vec![
            Arc::new(Int64Array::from(vec![1])),
            Arc::new(StringArray::from(vec![r#"{"a": [1, null]}"#])),
            Arc::new(Int64Array::from(vec![i64::MAX])),
            Arc::new(StringArray::from(vec!["a  "])),
        ],
    );
    for number in 1..=2 {
        load(&place, &request(number, "t", &columns, FULL), std::slice::from_ref(&rows)).unwrap();
        assert_eq!(place.psql("SELECT id, j, n, '<' || v || '>' FROM t"), "1|{\"a\": [1, null]}|9223372036854775807|<a  >");
    }
}

#[test]
fn a_type_that_would_bend_values_is_refused_by_name() {
    let place = Place::with("CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 3)");
    for declared in ["char(3)", "mood", "short", "text[]", "inet", "interval", "bit(3)", "money", "xml", "name", "varchar(3)[]", "\"char\""]
    {
        place.psql(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (v {declared})"));
        refused(begin(&place, "v", ColumnType::Text), "schema_clash", &["column v of table t"]);
    }
    for declared in ["timestamp(0)", "timestamp(5)"] {
        place.psql(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (v {declared})"));
        refused(begin(&place, "v", ColumnType::Timestamp), "schema_clash", &["column v of table t"]);
    }
    place.psql("DROP TABLE t; CREATE TABLE t (v timestamptz(3), w time(0))");
    refused(begin(&place, "v", ColumnType::TimestampUtc), "schema_clash", &["timestamp(3) with time zone"]);
    refused(begin(&place, "w", ColumnType::Time), "schema_clash", &["time(0) without time zone"]);
}

fn begin(place: &Place, column: &str, column_type: ColumnType) -> Result<(), DestinationError> {
    let mut postgres = place.session();
    postgres.begin(&request(1, "t", &schema(&[(column, column_type)]), FULL)).map(|_| ())
}

#[test]
fn a_parent_of_other_tables_is_refused_and_a_partitioned_one_is_loaded() {
    let place = Place::with(&format!("{PLAIN} CREATE TABLE students () INHERITS (people); INSERT INTO students VALUES (7, 'own')"));
    refused(load_rows(&place, 1, FULL, THREE), "target_not_a_table", &["inherit from people"]);
    let place = Place::with(
        "CREATE TABLE people (id bigint, name text, seen timestamptz) PARTITION BY LIST (id); CREATE TABLE one PARTITION OF people FOR VALUES IN (1, 2)",
    );
    refused(load_rows(&place, 1, FULL, THREE), "constraint", &["no partition", "(id) = (3)"]);
    place.psql("CREATE TABLE rest PARTITION OF people DEFAULT");
    assert_eq!(load_rows(&place, 2, FULL, THREE).unwrap(), added(3, 0));
    assert_eq!(load_rows(&place, 3, FULL, THREE).unwrap(), added(3, 3));
    assert_eq!(load_rows(&place, 4, merge(None), THREE).unwrap(), Counts { unchanged: 3, ..Counts::default() });
    assert_eq!(place.psql("SELECT (SELECT count(*) FROM one), count(*) FROM rest"), "2|1");
}

#[test]
fn a_key_that_holds_no_longer_keeps_no_full_load_off() {
    let place = Place::new();
    let twice = || people_rows(&[(1, Some("a"), 0), (1, Some("b"), 0)]);
    load(&place, &request(1, "people", &people(), merge(None)), &[twice()]).unwrap();
    assert_eq!(place.psql("SELECT count(*) FROM pg_indexes WHERE tablename = 'people' AND schemaname = current_schema()"), "1");
    assert_eq!(load(&place, &request(2, "people", &people(), FULL), &[twice()]).unwrap().rows_in_target, 2);
    // Nothing is merged into rows of one key.
    assert_eq!(
        load(&place, &request(3, "people", &people(), merge(None)), &[people_rows(&[(2, Some("c"), 0)])]),
        Err("duplicate_key".to_owned())
    );
}

#[test]
fn what_a_crash_may_empty_is_what_does_not_become_the_target() {
    let place = Place::with("CREATE TABLE viewed (id bigint, name text, seen timestamptz); CREATE VIEW of_it AS SELECT id FROM viewed");
    let kinds = format!(
        "SELECT relpersistence FROM ({}) AS own JOIN pg_class USING (relname) WHERE relnamespace = \
         quote_ident(current_schema())::regnamespace",
        place.staging()
    );
    for (target, disposition, kind) in
        [("people", FULL, "p"), ("people", merge(None), "u"), ("viewed", FULL, "u"), ("people", Disposition::Append, "u")]
    {
        let mut postgres = place.session();
        let mut load = postgres.begin(&request(1, target, &people(), disposition)).unwrap();
        load.finish(0).unwrap();
        assert_eq!(place.psql(&kinds), kind, "{target}");
        drop(load);
    }
}

#[test]
fn a_key_to_which_different_texts_are_equal_is_refused() {
    let place = Place::with(
        "CREATE COLLATION blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE t (code text COLLATE blurred, value text COLLATE blurred)",
    );
    let columns = schema(&[("code", ColumnType::Text), ("value", ColumnType::Text)]);
    let texts = |texts: [&'static str; 2]| Arc::new(StringArray::from(texts.to_vec()));
    let rows = |values| batch(&columns, vec![texts(["a", "A"]), texts(values)]);
    load(&place, &request(1, "t", &columns, FULL), &[rows(["x", "y"])]).unwrap();
    let by_code = || Disposition::Merge(Fold { key: vec!["Code".to_owned()], newest_by: None });
    assert_eq!(load(&place, &request(2, "t", &columns, by_code()), &[rows(["x", "y"])]), Err("schema_clash".to_owned()));
    // Values are compared by their bytes.
    place.psql("ALTER TABLE t ALTER COLUMN code TYPE text COLLATE \"C\"");
    let merged = load(&place, &request(3, "t", &columns, by_code()), &[rows(["X", "y"])]).unwrap();
    assert_eq!((merged.counts.updated, merged.counts.unchanged), (1, 1));
    assert_eq!(place.psql("SELECT string_agg(code || value, ',' ORDER BY code) FROM t"), "Ay,aX");
}

#[test]
fn a_table_that_every_publication_covers_stays() {
    let place = Place::with(&format!("{PLAIN} CREATE TABLE apart (id bigint, name text, seen timestamptz)"));
    let oid = |table: &str| place.psql(&format!("SELECT '{table}'::regclass::oid"));
    let before = (oid("people"), oid("apart"));
    let name = super::types::quoted(&place.schema);
    place.psql(&format!(
        "CREATE PUBLICATION \"of {0}\" FOR TABLES IN SCHEMA {name}; ALTER TABLE people REPLICA IDENTITY FULL",
        place.schema.replace('"', "")
    ));
    load_rows(&place, 1, FULL, THREE).unwrap();
    assert_eq!(oid("people"), before.0);
    // The server itself refuses deletions of which it couldn't tell others, and says what to do.
    let error = load(&place, &request(2, "apart", &people(), FULL), &[people_rows(THREE)]);
    assert_eq!(error, Err("database".to_owned()));
    assert_eq!(oid("apart"), before.1);
}

#[test]
fn a_full_load_by_a_key_is_swapped_too_and_keeps_the_index_of_the_key() {
    let folded = || Disposition::Full { publish: Publish::Swap, fold: Some(Fold { key: vec!["id".to_owned()], newest_by: None }) };
    let twice = &[(1, Some("a"), 0), (1, Some("b"), 0), (2, None, 0)][..];
    let place = Place::with(&format!("{PLAIN} CREATE INDEX of_name ON people (name)"));
    let state = || {
        place.psql("SELECT 'people'::regclass::oid, (SELECT string_agg(indexrelid::regclass::text, ',' ORDER BY indexrelid::regclass::text) FROM pg_index \
             WHERE indrelid = 'people'::regclass), (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'people'::regclass \
             AND attnum > 0 AND NOT attisdropped)")
    };
    load_rows(&place, 1, merge(None), twice).unwrap();
    let mut before = state();
    for number in 2..=3 {
        assert_eq!(load_rows(&place, number, folded(), twice).unwrap(), Counts { added: 2, folded: 1, deleted: 2, ..Counts::default() });
        let after = state();
        let without_oid = |state: &str| state.split_once('|').map(|(_, rest)| rest.to_owned());
        assert_eq!(without_oid(&after), without_oid(&before));
        assert_ne!(after, before, "it was swapped");
        before = after;
    }
    assert!(before.contains("_etlsched_key_") && before.ends_with("id,name,seen"), "{before}");
    assert_eq!(place.psql("SELECT string_agg(coalesce(name, '-'), ',' ORDER BY id) FROM people"), "b,-");
    let fresh = Place::new();
    load_rows(&fresh, 1, folded(), twice).unwrap();
    assert_eq!(fresh.psql("SELECT id, name FROM people ORDER BY id"), "1|b\n2|");
}

#[test]
fn a_restart_makes_the_successor_anew() {
    use ColumnType::{Int64, Text};
    let place = Place::with("CREATE TABLE t (id bigint PRIMARY KEY, v bigint, number serial); CREATE INDEX t_v ON t (v)");
    let (narrow, wide) = (schema(&[("id", Int64), ("v", Int64)]), schema(&[("id", Int64), ("v", Text)]));
    let id = || Arc::new(Int64Array::from(vec![1]));
    let mut postgres = place.session();
    let mut load = postgres.begin(&request(1, "t", &narrow, FULL)).unwrap();
    load.write(&batch(&narrow, vec![id(), Arc::new(Int64Array::from(vec![7]))])).unwrap();
    load.restart(&wide).unwrap();
    load.write(&batch(&wide, vec![id(), Arc::new(StringArray::from(vec!["x7"]))])).unwrap();
    load.finish(1).unwrap();
    load.publish(&publication()).unwrap();
    // What was given up may have drawn a number, or may not.
    assert_eq!(place.psql("SELECT id, v, number IN (1, 2), pg_get_indexdef('t_v'::regclass) ~ 'btree .v.$' FROM t"), "1|x7|t|t");
    assert_eq!(place.psql("SELECT pg_get_serial_sequence('t', 'number') ~ 't_number_seq'"), "t");
}
