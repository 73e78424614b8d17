//! What is SQLite's own: the swap, the file, turns, changes of columns. The rest is in the conformance suite.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::Sqlite;
use crate::batch::ColumnType;
use crate::destination::conformance::{
    self, Bench, FULL, batch, load, load_with, merge, people, people_rows, publication, request, schema,
};
use crate::destination::{Access, Destination, Disposition, Mended, PublishRequest, evolution};
use crate::plan::{
    DestinationKind, DestinationPlan, Expect, MendAction, MendPlan, OnInvalidValue, Owner, Publish, SchemaChange, SchemaPolicy, SqlitePlan,
};
use crate::run::{Counts, CursorValue};

struct File {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join(".etlsched/warehouse.db"), _folder: folder }
    }

    fn connection(&self) -> Connection {
        fs::create_dir_all(self.path.parent().unwrap()).unwrap();
        Connection::open(&self.path).unwrap()
    }

    fn with(sql: &str) -> Self {
        let file = Self::new();
        file.connection().execute_batch(sql).unwrap();
        file
    }

    fn sqlite(&self) -> Sqlite {
        Sqlite::open("warehouse", &self.path, Access::Write).unwrap().unwrap()
    }

    fn mending(&self, action: MendAction) -> MendPlan {
        let kind = DestinationKind::Sqlite(SqlitePlan { path: self.path.clone() });
        let destination = DestinationPlan { name: "w".to_owned(), kind, schema: None };
        MendPlan { destination, workspace_id: "w1".to_owned(), job: "job".to_owned(), action }
    }

    fn people(&self, number: u32, rows: &[(i64, Option<&str>, i64)]) -> Result<Counts, String> {
        load(self, &request(number, "people", &people(), FULL), &[people_rows(rows)]).map(|committed| committed.counts)
    }
}

impl Bench for File {
    fn open(&self) -> Box<dyn Destination> {
        Box::new(self.sqlite())
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let cell = |value: Value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => format!("{number:?}"),
            Value::Text(text) => text,
            Value::Blob(bytes) => format!("{bytes:?}"),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|column| Ok(cell(row.get(column)?))).collect()).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

#[test]
fn sqlite_conforms() {
    conformance::all(File::new);
}

#[test]
fn a_file_that_we_make_is_private_and_in_wal_mode_and_leaves_nothing_beside_it() {
    let file = File::new();
    file.people(1, &[(1, Some("a"), 0)]).unwrap();
    assert_eq!(file.rows("PRAGMA journal_mode"), [["wal"]]);
    let names: Vec<_> = fs::read_dir(file.path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["warehouse.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path), mode(file.path.parent().unwrap())), (0o600, 0o700));
    }
}

#[test]
fn a_file_of_others_keeps_its_journal_mode() {
    let file = File::with("CREATE TABLE theirs (a)");
    file.people(1, &[(1, Some("a"), 0)]).unwrap();
    file.people(2, &[(2, Some("b"), 0)]).unwrap();
    assert_eq!(file.rows("PRAGMA journal_mode"), [["delete"]]);
    assert_eq!(file.rows("SELECT id FROM people"), [["2"]]);
}

#[test]
fn reading_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent/warehouse.db");
    let plan = DestinationPlan { name: "w".to_owned(), kind: DestinationKind::Sqlite(SqlitePlan { path: path.clone() }), schema: None };
    assert!(crate::destination::open(&plan, Access::Read).unwrap().is_none());
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn a_swap_keeps_indexes_views_triggers_and_children() {
    let file = File::new();
    file.people(1, &[(1, Some("a"), 0), (2, Some("b"), 0)]).unwrap();
    file.connection()
        .execute_batch(
            "CREATE INDEX people_name ON people (name) WHERE name IS NOT NULL;
             CREATE VIEW named AS SELECT id, name FROM people WHERE name IS NOT NULL;
             CREATE VIEW names AS SELECT name FROM named;
             CREATE TABLE log (what TEXT);
             CREATE TRIGGER named_insert INSTEAD OF INSERT ON named BEGIN INSERT INTO log VALUES ('view ' || new.name); END;
             CREATE TRIGGER people_delete AFTER DELETE ON people BEGIN INSERT INTO log VALUES ('deleted ' || old.id); END;
             CREATE UNIQUE INDEX people_id ON people (id);
             CREATE TABLE child (person INTEGER REFERENCES people (id) ON DELETE CASCADE);
             INSERT INTO child VALUES (1);",
        )
        .unwrap();
    let objects = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '%etlsched%' AND name != 'people' ORDER BY name";
    let before = file.rows(objects);
    let counts = file.people(2, &[(1, Some("z"), 0), (3, None, 0)]).unwrap();
    assert_eq!(counts, Counts { added: 2, deleted: 2, ..Counts::default() });
    assert_eq!(file.rows(objects), before);
    assert_eq!(file.rows("SELECT name FROM names"), [["z"]]);
    assert_eq!(file.rows("SELECT count(*) FROM child"), [["1"]]);
    assert!(file.rows("SELECT * FROM log").is_empty(), "a swap deletes no row");
    file.connection().execute_batch("INSERT INTO named VALUES (9, 'n'); DELETE FROM people WHERE id = 3").unwrap();
    assert_eq!(file.rows("SELECT what FROM log"), [["view n"], ["deleted 3"]]);
    assert_eq!(file.rows("PRAGMA integrity_check"), [["ok"]]);
    // A child that would lose its parent fails the load; one that had none before doesn't.
    assert_eq!(file.people(3, &[(5, None, 0)]), Err("foreign_key".to_owned()));
    assert_eq!(file.rows("SELECT id FROM people"), [["1"]]);
    file.connection().execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO child VALUES (77)").unwrap();
    file.people(4, &[(1, None, 0)]).unwrap();
}

#[test]
fn a_table_with_rules_of_its_own_keeps_them() {
    let file = File::with(
        "CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'x' CHECK (name != ''), seen TEXT,
             size INTEGER AS (length(name)), note TEXT DEFAULT 'kept')",
    );
    let sql = file.rows("SELECT sql FROM sqlite_schema WHERE name = 'people'");
    file.people(1, &[(1, Some("a"), 0), (2, Some("b"), 0)]).unwrap();
    let counts = file.people(2, &[(7, Some("seven"), 0)]).unwrap();
    assert_eq!(counts, Counts { added: 1, deleted: 2, ..Counts::default() });
    assert_eq!(file.rows("SELECT sql FROM sqlite_schema WHERE name = 'people'"), sql);
    assert_eq!(file.rows("SELECT id, size, note FROM people"), [["7", "5", "kept"]]);
    assert_eq!(file.people(3, &[(8, None, 0)]), Err("constraint".to_owned()));
    assert_eq!(file.rows("SELECT id FROM people"), [["7"]]);
}

#[test]
fn views_and_reserved_names_are_no_targets() {
    let file = File::with("CREATE VIEW people AS SELECT 1; CREATE VIRTUAL TABLE words USING fts5(word)");
    assert_eq!(file.people(1, &[]), Err("target_not_a_table".to_owned()));
    for (target, code) in [("words", "target_not_a_table"), ("sqlite_x", "bad_target"), ("_ETLSCHED_loads", "bad_target")] {
        assert_eq!(load(&file, &request(1, target, &people(), FULL), &[]), Err(code.to_owned()));
    }
}

#[test]
fn hostile_names_are_only_names() {
    let file = File::new();
    let columns = schema(&[("a\"; DROP TABLE x; --", ColumnType::Int64), ("select", ColumnType::Text), ("rowid", ColumnType::Int64)]);
    let rows = batch(
        &columns,
        vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["x", "y"])), Arc::new(Int64Array::from(vec![50, 50]))],
    );
    let key = Disposition::Merge(conformance_fold("a\"; DROP TABLE x; --"));
    for (number, disposition) in [(1, FULL), (2, key.clone()), (3, key)] {
        load(&file, &request(number, "t'\"]; DROP", &columns, disposition), std::slice::from_ref(&rows)).unwrap();
    }
    assert_eq!(file.rows("SELECT * FROM \"t'\"\"]; DROP\""), [["1", "x", "50"], ["2", "y", "50"]]);
}

fn conformance_fold(key: &str) -> crate::destination::Fold {
    crate::destination::Fold { key: vec![key.to_owned()], newest_by: None }
}

#[test]
fn columns_are_added_widened_and_kept() {
    let file = File::new();
    let old = schema(&[("id", ColumnType::Int64), ("n", ColumnType::Int64), ("day", ColumnType::Date), ("gone", ColumnType::Text)]);
    let rows = batch(
        &old,
        vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(Int64Array::from(vec![i64::MAX, 7])),
            Arc::new(arrow_array::Date32Array::from(vec![0, 1])),
            Arc::new(StringArray::from(vec!["g", "h"])),
        ],
    );
    load(&file, &request(1, "t", &old, FULL), &[rows]).unwrap();
    file.connection().execute_batch("CREATE INDEX t_n ON t (n)").unwrap();
    let new = schema(&[("ID", ColumnType::Int64), ("n", ColumnType::Text), ("day", ColumnType::Timestamp), ("extra", ColumnType::Float64)]);
    let rows = batch(
        &new,
        vec![
            Arc::new(Int64Array::from(vec![2, 3])),
            Arc::new(StringArray::from(vec!["seven", "007"])),
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2])),
            Arc::new(Float64Array::from(vec![0.5, 1.0])),
        ],
    );
    let committed = load(&file, &request(2, "t", &new, merge(None)), &[rows]).unwrap();
    assert_eq!(committed.counts, Counts { added: 1, updated: 1, ..Counts::default() });
    assert_eq!(
        committed.schema_changes,
        [
            SchemaChange::Widened { column: "n".to_owned(), from: ColumnType::Int64, to: ColumnType::Text },
            SchemaChange::Widened { column: "day".to_owned(), from: ColumnType::Date, to: ColumnType::Timestamp },
            SchemaChange::Added { column: "extra".to_owned(), to: ColumnType::Float64 },
            SchemaChange::Gone { column: "gone".to_owned() },
        ]
    );
    assert_eq!(
        file.rows("SELECT id, n, typeof(n), day, gone, extra FROM t ORDER BY id"),
        [
            ["1", "9223372036854775807", "text", "1970-01-01T00:00:00", "g", "NULL"],
            ["2", "seven", "text", "1970-01-01T00:00:00.000001", "h", "0.5"],
            ["3", "007", "text", "1970-01-01T00:00:00.000002", "NULL", "1.0"],
        ]
    );
    assert_eq!(file.rows("SELECT count(*) FROM sqlite_schema WHERE name = 't_n'"), [["1"]]);
}

#[test]
fn a_narrower_type_is_cast_up_and_a_clash_names_the_way_out() {
    let file = File::new();
    let wide = schema(&[("v", ColumnType::Text)]);
    load(&file, &request(1, "t", &wide, FULL), &[batch(&wide, vec![Arc::new(StringArray::from(vec!["x"]))])]).unwrap();
    let narrow = schema(&[("v", ColumnType::Int64)]);
    let mut destination = file.open();
    let begun = destination.begin(&request(2, "t", &narrow, Disposition::Append)).unwrap();
    assert_eq!(begun.schema(), &wide);
    assert!(begun.schema_changes().is_empty());
    drop(begun);
    let check = |before: ColumnType, after: ColumnType, policy: SchemaPolicy, expected: &str| {
        let file = File::new();
        load(&file, &request(1, "t", &schema(&[("v", before)]), FULL), &[]).unwrap();
        let mut changed = request(2, "t", &schema(&[("v", after)]), Disposition::Append);
        changed.schema_policy = policy;
        let mut destination = file.open();
        let error = destination.begin(&changed).unwrap_err();
        assert_eq!(format!("{}: {}; {}", error.code, error.message, error.hint.unwrap_or_default()), expected);
    };
    check(
        ColumnType::Int64,
        ColumnType::Date,
        SchemaPolicy::Evolve,
        "schema_clash: column v of table t is bigint; the source now has date, which doesn't fit; declare v: text under columns.types, \
         which turns the column into text, give the source another target, or drop the table to have it made anew",
    );
    check(
        ColumnType::Int64,
        ColumnType::Text,
        SchemaPolicy::Freeze,
        "schema_frozen: schema_change is freeze and the columns for table t changed: v is text, was bigint; set schema_change: evolve, \
         or list the columns under columns.select and columns.types",
    );
    let twins = schema(&[("v", ColumnType::Text), ("V", ColumnType::Text)]);
    assert_eq!(load(&file, &request(3, "u", &twins, FULL), &[]), Err("schema_clash".to_owned()));
}

#[test]
fn values_that_sqlite_would_bend_are_left_out_or_null() {
    let columns = schema(&[("id", ColumnType::Int64), ("f", ColumnType::Float64), ("t", ColumnType::Text), ("day", ColumnType::Date)]);
    let rows = || -> RecordBatch {
        batch(
            &columns,
            vec![
                Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])),
                Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), None, Some(-0.0), Some(1.0)])),
                Arc::new(StringArray::from(vec!["a", "b", "nul\0", "d", "e"])),
                Arc::new(arrow_array::Date32Array::from(vec![0, 0, 0, 0, 2_932_897])),
            ],
        )
    };
    let check = |on_invalid, expected: &[[&str; 4]]| {
        let file = File::new();
        let mut load_request = request(1, "t", &columns, FULL);
        load_request.invalid_values = on_invalid;
        let mut destination = file.open();
        let mut load = destination.begin(&load_request).unwrap();
        let written = load.write(&rows()).unwrap();
        let places: Vec<_> = written.invalid.iter().map(|value| (value.row, value.column)).collect();
        assert_eq!((written.rows, places), (expected.len() as u64, vec![(0, 1), (2, 2), (4, 3)]));
        load.finish(written.rows).unwrap();
        load.publish(&publication()).unwrap();
        assert_eq!(file.rows("SELECT id, f, t, day FROM t"), expected);
    };
    check(OnInvalidValue::Reject, &[["2", "inf", "b", "1970-01-01"], ["4", "0.0", "d", "1970-01-01"]]);
    check(
        OnInvalidValue::Null,
        &[
            ["1", "NULL", "a", "1970-01-01"],
            ["2", "inf", "b", "1970-01-01"],
            ["3", "NULL", "NULL", "1970-01-01"],
            ["4", "0.0", "d", "1970-01-01"],
            ["5", "1.0", "e", "NULL"],
        ],
    );
}

#[test]
fn keys_without_a_value_and_keys_that_are_there_twice_refuse_a_merge() {
    let file = File::new();
    let columns = schema(&[("id", ColumnType::Int64)]);
    let rows = |ids: Vec<Option<i64>>| batch(&columns, vec![Arc::new(Int64Array::from(ids))]);
    load(&file, &request(1, "t", &columns, FULL), &[rows(vec![Some(1), Some(1)])]).unwrap();
    assert_eq!(load(&file, &request(2, "t", &columns, merge(None)), &[rows(vec![None])]), Err("null_key".to_owned()));
    assert_eq!(load(&file, &request(3, "t", &columns, merge(None)), &[rows(vec![Some(2)])]), Err("duplicate_key".to_owned()));
    assert_eq!(file.rows("SELECT id FROM t"), [["1"], ["1"]]);
    assert_eq!(file.rows("SELECT count(*) FROM sqlite_schema WHERE name GLOB '_etlsched_????????_*'"), [["0"]]);
}

#[test]
fn a_merge_looks_keys_up_by_index() {
    let file = File::new();
    load(&file, &request(1, "people", &people(), FULL), &[people_rows(&[(1, None, 0)])]).unwrap();
    load(&file, &request(2, "people", &people(), merge(None)), &[people_rows(&[(1, None, 0)])]).unwrap();
    file.connection().execute_batch("CREATE TABLE staged AS SELECT * FROM people").unwrap();
    let layout =
        evolution::layout::<super::evolve::Live<'_>>(&request(3, "people", &people(), merge(None)), None, None, &people()).unwrap();
    for sql in super::merge::statements("\"people\"", "\"staged\"", &layout, &["id".to_owned()]) {
        let plan = file.rows(&format!("EXPLAIN QUERY PLAN {sql}")).concat().join(" ");
        assert!(plan.contains("SCAN staged") && plan.contains("SEARCH people USING"), "{sql}: {plan}");
    }
}

#[test]
fn a_restart_begins_anew_with_other_columns() {
    let file = File::new();
    let mut destination = file.open();
    let narrow = schema(&[("v", ColumnType::Int64)]);
    let wide = schema(&[("v", ColumnType::Text)]);
    let mut load = destination.begin(&request(1, "t", &narrow, FULL)).unwrap();
    load.write(&batch(&narrow, vec![Arc::new(Int64Array::from(vec![1, 2, 3]))])).unwrap();
    load.restart(&wide).unwrap();
    load.write(&batch(&wide, vec![Arc::new(StringArray::from(vec!["1", "x"]))])).unwrap();
    load.finish(2).unwrap();
    load.publish(&publication()).unwrap();
    assert_eq!(file.rows("SELECT v, typeof(v) FROM t"), [["1", "text"], ["x", "text"]]);
}

#[test]
fn rows_that_are_not_all_staged_are_noticed() {
    let file = File::new();
    let mut destination = file.open();
    let mut load = destination.begin(&request(1, "people", &people(), FULL)).unwrap();
    load.write(&people_rows(&[(1, None, 0)])).unwrap();
    assert_eq!(load.finish(2).unwrap_err().code, "rows_lost");
}

#[test]
fn expectations_are_checked_on_the_staged_rows() {
    let file = File::new();
    file.people(1, &[(1, None, 0), (2, None, 0), (3, None, 0), (4, None, 0)]).unwrap();
    let mut destination = file.open();
    let mut load = destination.begin(&request(2, "people", &people(), FULL)).unwrap();
    load.write(&people_rows(&[(1, None, 0), (1, Some("a"), 0)])).unwrap();
    load.finish(2).unwrap();
    let expect = Expect {
        min_rows: Some(3),
        max_rows: Some(1),
        max_row_drop_percent: Some(49.0),
        not_null: vec!["ID".to_owned(), "name".to_owned()],
        unique: vec!["id".to_owned()],
        sql: Some("SELECT id, name FROM {table} WHERE name IS NULL".to_owned()),
    };
    assert_eq!(
        load.check(&expect).unwrap(),
        [
            "min_rows: 2 rows, expected at least 3",
            "max_rows: 2 rows, expected at most 1",
            "max_row_drop_percent: 2 rows, 4 at the last load, expected at most 49 % fewer",
            "not_null: column name is NULL in 1 row",
            "unique: 1 value of id more than once",
            "sql: 1 row returned, expected none; the first: 1, NULL",
        ]
    );
    let fine = Expect { min_rows: Some(2), max_row_drop_percent: Some(50.0), not_null: vec!["id".to_owned()], ..Expect::default() };
    assert!(load.check(&fine).unwrap().is_empty());
    let unknown = Expect { not_null: vec!["nope".to_owned()], ..Expect::default() };
    assert_eq!(load.check(&unknown).unwrap_err().code, "no_such_column");
    let writing = Expect { sql: Some("DELETE FROM {table}".to_owned()), ..Expect::default() };
    assert_eq!(load.check(&writing).unwrap_err().code, "bad_check");
}

#[test]
fn mend_drops_the_staging_of_dead_runs_only() {
    let file = File::new();
    let mut first = file.sqlite();
    let mut second = file.sqlite();
    std::mem::forget(first.begin(&request(1, "people", &people(), FULL)).unwrap());
    std::mem::forget(second.begin(&request(2, "other", &people(), FULL)).unwrap());
    let plan = file.mending(MendAction::DropStaging { dead_runs: vec![conformance::run(1).run_id] });
    let mended = file.open().mend(&plan).unwrap();
    assert_eq!(mended.dropped, [super::staging::name("people", &conformance::run(1), 0)]);
    assert!(mended.changed.is_empty());
    assert_eq!(file.rows("SELECT count(*) FROM sqlite_schema WHERE name GLOB '_etlsched_????????_*'"), [["1"]]);
    assert!(file.open().mend(&plan).unwrap().dropped.is_empty());
}

#[test]
fn a_reset_forgets_cursor_and_files_of_its_own_job_and_keeps_the_rows() {
    let file = File::new();
    let cursor = CursorValue { column_type: ColumnType::Int64, text: "7".to_owned() };
    let record = crate::run::FileRecord { path: "/a.csv".to_owned(), size: 1, modified_at_micros: Some(2), content_hash: "h".to_owned() };
    let publish = PublishRequest { cursor: Some(cursor), files: vec![record], ..publication() };
    load_with(&file, &request(1, "people", &people(), FULL), &[people_rows(&[(1, None, 0)])], &publish).unwrap();
    let mut destination = file.sqlite();
    let load = destination.begin(&request(2, "people", &people(), FULL)).unwrap();
    let mut of_another = file.mending(MendAction::Reset { targets: vec!["people".to_owned()] });
    of_another.job = "another".to_owned();
    assert_eq!(file.open().mend(&of_another).unwrap(), Mended::default());
    assert_eq!(file.open().files("people").unwrap().len(), 1);
    let plan = file.mending(MendAction::Reset { targets: vec!["PEOPLE".to_owned(), "absent".to_owned()] });
    assert_eq!(file.open().mend(&plan).unwrap(), Mended { dropped: Vec::new(), changed: vec!["people".to_owned()] });
    let record = file.open().record("people").unwrap().unwrap();
    assert_eq!((record.cursor, record.mode, record.version, record.owner.job.as_str()), (None, None, 1, "job"));
    assert!(file.open().files("people").unwrap().is_empty());
    assert_eq!(file.rows("SELECT id FROM people"), [["1"]]);
    assert_eq!(load.publish(&publication()).unwrap_err().code, "fence_lost", "it read from the old cursor on");
}

#[test]
fn a_table_is_taken_over_with_a_fresh_start_and_the_former_owner_loses_its_load() {
    let file = File::new();
    let cursor = CursorValue { column_type: ColumnType::Int64, text: "7".to_owned() };
    let publish = PublishRequest { cursor: Some(cursor), ..publication() };
    load_with(&file, &request(1, "people", &people(), FULL), &[people_rows(&[(1, None, 0)])], &publish).unwrap();
    let mut former = file.sqlite();
    let under_way = former.begin(&request(2, "people", &people(), FULL)).unwrap();
    let mut next = request(3, "people", &people(), FULL);
    next.owner.source = "renamed".to_owned();
    assert_eq!(load(&file, &next, &[]).map(|_| ()), Err("owner_clash".to_owned()));
    let foreign = Owner { job: "another".to_owned(), ..next.owner.clone() };
    let refused = file.mending(MendAction::TakeOver { owners: vec![("people".to_owned(), foreign)] });
    assert_eq!(file.open().mend(&refused).unwrap_err().code, "owner_clash");
    let owners = vec![("people".to_owned(), next.owner.clone()), ("absent".to_owned(), next.owner.clone())];
    let plan = file.mending(MendAction::TakeOver { owners });
    assert_eq!(file.open().mend(&plan).unwrap().changed, ["people"]);
    assert_eq!(file.open().mend(&plan).unwrap(), Mended::default(), "it is this owner's already");
    let record = file.open().record("people").unwrap().unwrap();
    assert_eq!((record.owner, record.cursor, record.mode), (next.owner.clone(), None, None));
    assert_eq!(under_way.publish(&publication()).unwrap_err().code, "fence_lost");
    load(&file, &next, &[people_rows(&[(9, None, 0)])]).unwrap();
    assert_eq!(file.rows("SELECT id FROM people"), [["9"]]);
}

#[test]
fn loads_side_by_side_take_turns() {
    let file = Arc::new(File::new());
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let file = Arc::clone(&file);
            std::thread::spawn(move || {
                let rows: Vec<(i64, Option<&str>, i64)> = (0..20_000).map(|id| (id, Some("x"), id)).collect();
                let batches = vec![people_rows(&rows); 12];
                let target = format!("t{number}");
                load(file.as_ref(), &request(number, &target, &people(), FULL), &batches).unwrap().rows_in_target
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 240_000);
    }
    assert_eq!(file.rows("PRAGMA integrity_check"), [["ok"]]);
}

#[test]
fn replace_keeps_the_table_and_appends_add_to_it() {
    let file = File::new();
    file.people(1, &[(1, None, 0)]).unwrap();
    let root = file.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'people'");
    let replace = Disposition::Full { publish: Publish::Replace, fold: None };
    let replaced = load(&file, &request(2, "people", &people(), replace), &[people_rows(&[(2, None, 0)])]).unwrap();
    assert_eq!(replaced.counts, Counts { added: 1, deleted: 1, ..Counts::default() });
    assert_eq!(file.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'people'"), root);
    let record = crate::run::FileRecord { path: "/a.csv".to_owned(), size: 1, modified_at_micros: Some(2), content_hash: "h".to_owned() };
    let with_file = PublishRequest { files: vec![record.clone()], ..publication() };
    load_with(&file, &request(3, "people", &people(), Disposition::Append), &[people_rows(&[(2, None, 0)])], &with_file).unwrap();
    assert_eq!(file.rows("SELECT id FROM people"), [["2"], ["2"]]);
    assert_eq!(file.open().files("people").unwrap(), [record]);
    assert!(file.open().statements(&request(4, "people", &people(), FULL)).unwrap().iter().any(|sql| sql.starts_with("DROP TABLE")));
}

#[test]
fn decimals_and_instants_sort_as_their_values() {
    let file = File::new();
    let sqlite = file.sqlite();
    let sorted = |values: &str, order: &str| -> Vec<String> {
        let sql = format!("SELECT column1 FROM (VALUES {values}) ORDER BY column1 COLLATE {order}");
        sqlite.connection.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(sorted("('10.0'), ('-2.0'), ('9.5'), ('-10.0'), ('0.0')", "_etlsched_decimal"), ["-10.0", "-2.0", "0.0", "9.5", "10.0"]);
    let instants = sorted("('2013-01-01T00:00:00.500000Z'), ('2013-01-01T00:00:00Z')", "_etlsched_instant");
    assert_eq!(instants, ["2013-01-01T00:00:00Z", "2013-01-01T00:00:00.500000Z"]);
}

#[test]
fn a_directory_or_a_text_file_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| Sqlite::open("w", path, Access::Write).map(|_| ()).unwrap_err().code;
    assert_eq!(open(folder.path()), "cannot_open");
    let text = folder.path().join("text.db");
    fs::write(&text, "this is not a database, it is a text of more than a hundred bytes. ".repeat(4)).unwrap();
    assert_eq!(open(&text), "not_a_database");
    assert_eq!(fs::read_to_string(&text).unwrap().len(), 268);
}

#[test]
fn the_bookkeeping_row_holds_what_became_of_every_row() {
    let file = File::new();
    load(&file, &request(1, "people", &people(), FULL), &[people_rows(&[(1, None, 0), (2, None, 0), (8, None, 0)])]).unwrap();
    let rows = people_rows(&[(1, None, 0), (2, Some("b"), 0), (3, None, 0), (3, None, 0)]);
    let publish = PublishRequest { skipped: 5, rejected: 6, ..publication() };
    let committed = load_with(&file, &request(2, "people", &people(), merge(None)), &[rows], &publish).unwrap();
    let expected = Counts { added: 1, updated: 1, unchanged: 1, folded: 1, skipped: 5, rejected: 6, deleted: 0 };
    assert_eq!((committed.counts, committed.rows_in_target), (expected, 4));
    let record = file.open().record("people").unwrap().unwrap();
    assert_eq!((record.counts, record.rows_in_target, record.rows), (Some(expected), Some(4), 3));
}

#[test]
fn a_bookkeeping_table_without_counts_is_read_and_gets_them_with_the_next_load() {
    let file = File::new();
    file.people(1, &[(1, None, 0)]).unwrap();
    file.connection()
        .execute_batch("ALTER TABLE _etlsched_loads DROP COLUMN counts; ALTER TABLE _etlsched_loads DROP COLUMN rows_in_target")
        .unwrap();
    let record = file.open().record("people").unwrap().unwrap();
    assert_eq!((record.version, record.counts, record.rows_in_target), (1, None, None));
    file.people(2, &[(1, None, 0), (2, None, 0)]).unwrap();
    let record = file.open().record("people").unwrap().unwrap();
    assert_eq!((record.counts.unwrap().added, record.rows_in_target), (2, Some(2)));
}

#[test]
fn a_load_leaves_no_staging_of_any_older_run_and_touches_no_other_table() {
    let file = File::new();
    file.people(1, &[(1, None, 0)]).unwrap();
    load(&file, &request(2, "people", &people(), merge(None)), &[people_rows(&[(1, None, 0)])]).unwrap();
    let hash = crate::destination::staging_names::hash("people");
    let of_other = super::staging::name("other", &conformance::run(9), 0);
    file.connection()
        .execute_batch(&format!(
            "CREATE TABLE _etlsched_{hash}_ffffffffffff_3_r2 AS SELECT * FROM people;
             CREATE TABLE _etlsched_{hash}_eeeeeeeeeeee_1_w AS SELECT * FROM people;
             CREATE TABLE {of_other} (a);"
        ))
        .unwrap();
    let ours = "SELECT type, name FROM sqlite_schema WHERE name GLOB '_etlsched_*' ORDER BY name";
    let key = format!("_etlsched_key_{hash}");
    load(&file, &request(3, "people", &people(), merge(None)), &[people_rows(&[(2, None, 0)])]).unwrap();
    let mut expected = vec![["table", "_etlsched_files"], ["index", key.as_str()], ["table", "_etlsched_loads"], ["table", &of_other]];
    expected.sort_by_key(|row| row[1]);
    assert_eq!(file.rows(ours), expected);
}

#[test]
fn a_load_whose_staging_a_later_run_dropped_says_that_it_lost() {
    let file = File::new();
    file.people(1, &[(7, None, 0)]).unwrap();
    type Step = fn(&mut Box<dyn crate::destination::Load + '_>) -> &'static str;
    let steps: [Step; 3] = [
        |load| load.write(&people_rows(&[(1, None, 0)])).unwrap_err().code,
        |load| load.finish(0).unwrap_err().code,
        |load| load.check(&Expect { not_null: vec!["id".to_owned()], ..Expect::default() }).unwrap_err().code,
    ];
    for (number, step) in (2..).step_by(2).zip(steps) {
        let (mut first, mut second) = (file.sqlite(), file.sqlite());
        let mut earlier = first.begin(&request(number, "people", &people(), merge(None))).unwrap();
        let later = second.begin(&request(number + 1, "people", &people(), merge(None))).unwrap();
        assert_eq!(step(&mut earlier), "fence_lost");
        assert_eq!(earlier.publish(&publication()).unwrap_err().code, "fence_lost");
        later.publish(&publication()).unwrap();
    }
    assert_eq!(file.rows("SELECT id FROM people"), [["7"]]);
}

#[test]
fn rows_that_no_load_brought_are_never_replaced_before_the_table_was_taken_over() {
    let file =
        File::with("CREATE TABLE People (id INTEGER PRIMARY KEY, name TEXT, seen TEXT); INSERT INTO people VALUES (7, 'mine', NULL)");
    let new = [people_rows(&[(1, Some("a"), 0)])];
    for disposition in [FULL, merge(None), Disposition::Append] {
        assert_eq!(load(&file, &request(1, "people", &people(), disposition), &new).map(|_| ()), Err("foreign_table".to_owned()));
    }
    let first = request(1, "people", &people(), FULL);
    assert_eq!(file.sqlite().statements(&first).unwrap_err().code, "foreign_table");
    let error = file.open().admit("people", &first.owner).unwrap_err();
    assert_eq!(error.message, "table People has 1 row that etlsched did not load, and this load would replace them");
    assert!(error.hint.unwrap().ends_with("etlsched state reset job --source people --take-over"));
    assert_eq!(file.rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_etlsched%' ESCAPE '\\'"), [["0"]], "nothing is touched");
    let plan = file.mending(MendAction::TakeOver { owners: vec![("people".to_owned(), first.owner.clone())] });
    assert_eq!(file.open().mend(&plan).unwrap().changed, ["People"]);
    assert_eq!(file.open().mend(&plan).unwrap(), Mended::default(), "once is enough");
    assert_eq!(file.rows("SELECT id FROM people"), [["7"]], "taking it over changes no row");
    drop(file.open().begin(&first).unwrap());
    let counts = load(&file, &request(2, "people", &people(), FULL), &new).unwrap().counts;
    assert_eq!(counts, Counts { added: 1, deleted: 1, ..Counts::default() });
}

#[test]
fn rows_that_appear_during_a_first_load_end_it_and_an_empty_table_of_others_is_filled() {
    let file = File::with("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, seen TEXT)");
    let mut destination = file.sqlite();
    let mut first = destination.begin(&request(1, "people", &people(), FULL)).unwrap();
    let rows = first.write(&people_rows(&[(1, Some("a"), 0)])).unwrap().rows;
    first.finish(rows).unwrap();
    file.connection().execute_batch("INSERT INTO people VALUES (7, 'mine', NULL)").unwrap();
    assert_eq!(first.publish(&publication()).unwrap_err().code, "foreign_table");
    assert_eq!(file.people(2, &[(1, None, 0)]), Err("foreign_table".to_owned()));
    file.connection().execute_batch("DELETE FROM people").unwrap();
    assert_eq!(file.people(3, &[(1, None, 0)]).unwrap().added, 1);
}

#[test]
fn a_value_that_appears_while_its_column_is_about_to_change_ends_the_load() {
    let check = |first: Vec<Option<i64>>, value: &str| {
        let file = File::new();
        let old = schema(&[("n", if first.is_empty() { ColumnType::Text } else { ColumnType::Int64 })]);
        let rows = if first.is_empty() { Vec::new() } else { vec![batch(&old, vec![Arc::new(Int64Array::from(first))])] };
        load(&file, &request(1, "t", &old, FULL), &rows).unwrap();
        let mut destination = file.sqlite();
        let mut next = destination.begin(&request(2, "t", &schema(&[("n", ColumnType::Float64)]), Disposition::Append)).unwrap();
        assert_eq!(next.schema_changes().len(), 1);
        next.finish(0).unwrap();
        file.connection().execute_batch(&format!("INSERT INTO t VALUES ({value})")).unwrap();
        let error = next.publish(&publication()).unwrap_err();
        assert_eq!((error.code, error.is_transient), ("target_changed", true));
    };
    check(Vec::new(), "'x'");
    check(vec![Some(1)], "9007199254740993");
}

#[test]
fn the_statements_of_a_dry_run_are_those_of_the_load() {
    let file = File::new();
    file.people(1, &[(1, Some("a"), 0)]).unwrap();
    file.connection().execute_batch("CREATE INDEX by_name ON people (name); CREATE VIEW v AS SELECT id FROM people").unwrap();
    let wide = schema(&[("id", ColumnType::Float64), ("name", ColumnType::Text), ("more", ColumnType::Date)]);
    let hash = crate::destination::staging_names::hash("people");
    let staged = super::staging::name("people", &conformance::run(2), 0);
    let check = |disposition: Disposition, expected: &[&str]| {
        let list = file.sqlite().statements(&request(2, "people", &wide, disposition)).unwrap();
        assert!(list.iter().all(|sql| !sql.contains("...") && !sql.contains('\n')), "{list:#?}");
        assert!(list[0].starts_with("INSERT INTO _etlsched_loads (target,"), "{list:#?}");
        let from = list.iter().position(|sql| sql.starts_with("UPDATE _etlsched_loads SET version = version + 1, run_id = :run")).unwrap();
        assert_eq!(list[from - 1], "BEGIN IMMEDIATE");
        let list: Vec<String> =
            list[from + 1..].iter().map(|sql| sql.replace(&staged, "_etlsched_STAGED").replace(&hash, "HASH")).collect();
        assert_eq!(list[list.len() - 2..], ["UPDATE _etlsched_loads SET counts = ?2, rows_in_target = ?3 WHERE target = ?1", "COMMIT"]);
        let own: Vec<&String> = list[..list.len() - 2].iter().filter(|sql| !sql.contains("_etlsched_files")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    };
    check(
        FULL,
        &["DROP TABLE \"people\"", "ALTER TABLE \"_etlsched_STAGED\" RENAME TO \"people\"", "CREATE INDEX by_name ON people (name)"],
    );
    check(
        merge(None),
        &[
            "CREATE TABLE \"_etlsched_STAGED_w\" (\"id\" REAL, \"name\" TEXT, \"seen\" TEXT)",
            "INSERT INTO \"_etlsched_STAGED_w\" (\"id\", \"name\", \"seen\") SELECT CAST(\"id\" AS REAL), \"name\", \"seen\" FROM \"people\"",
            "DROP TABLE \"people\"",
            "ALTER TABLE \"_etlsched_STAGED_w\" RENAME TO \"people\"",
            "CREATE INDEX by_name ON people (name)",
            "ALTER TABLE \"people\" ADD COLUMN \"more\" TEXT",
            "CREATE UNIQUE INDEX \"_etlsched_key_HASH\" ON \"people\" (\"id\")",
            "UPDATE \"people\" SET \"name\" = staged.\"name\", \"more\" = staged.\"more\" FROM \"_etlsched_STAGED\" AS staged WHERE \"people\".\"id\" = staged.\"id\" AND (\"people\".\"name\" IS NOT staged.\"name\" OR \"people\".\"more\" IS NOT staged.\"more\")",
            "INSERT INTO \"people\" (\"id\", \"name\", \"more\") SELECT staged.\"id\", staged.\"name\", staged.\"more\" FROM \"_etlsched_STAGED\" AS staged WHERE NOT EXISTS (SELECT 1 FROM \"people\" WHERE \"people\".\"id\" = staged.\"id\")",
            "DROP TABLE IF EXISTS \"_etlsched_STAGED\"",
        ],
    );
}
