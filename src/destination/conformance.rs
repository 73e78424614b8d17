//! What every destination must hold: one suite, written once, run by each kind over its own factory.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int16Array, Int64Array,
    RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use chrono::DateTime;

use super::{Committed, Destination, Disposition, Fold, LoadRequest, PublishRequest};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::{Mode, OnInvalidValue, Owner, Publish, RunRef, SchemaPolicy};
use crate::run::{Counts, CursorValue};

/// A destination under test: how it is opened, and how its tables are read without our code.
pub(super) trait Bench {
    /// Opens the destination, again and again the same one.
    fn open(&self) -> Box<dyn Destination>;
    /// Returns every row of a query as texts (`NULL` for NULL), read by the engine's own means.
    fn rows(&self, sql: &str) -> Vec<Vec<String>>;
    /// Returns the query of the columns of `every`, in whose spelling the suite expects them: booleans as 1 and 0, bytes as hex digits
    /// (none for NULL), times by ISO 8601.
    fn every(&self) -> &'static str {
        "SELECT b, s, i, u, f, d, t, hex(x), day, clock, at, z, n, id FROM every"
    }
    /// Returns the query of the names of all tables that loads have made for themselves, apart from the bookkeeping.
    fn staging(&self) -> &'static str {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '_etlsched_[0-9a-f]*_*_*'"
    }
}

pub(super) fn run(number: u32) -> RunRef {
    RunRef {
        workspace_id: "w1".to_owned(),
        job: "job".to_owned(),
        run_id: format!("0190a000-0000-7000-8000-{number:012}"),
        attempt: 1,
        slot: None,
        started_at: DateTime::UNIX_EPOCH,
    }
}

pub(super) fn request(number: u32, target: &str, schema: &Schema, disposition: Disposition) -> LoadRequest {
    let owner = Owner { workspace_id: "w1".to_owned(), job: "job".to_owned(), source: target.to_owned(), stream: target.to_owned() };
    LoadRequest {
        run: run(number),
        owner,
        target: target.to_owned(),
        schema: schema.clone(),
        disposition,
        schema_policy: SchemaPolicy::Evolve,
        invalid_values: OnInvalidValue::Reject,
    }
}

pub(super) fn publication() -> PublishRequest {
    PublishRequest {
        cursor: None,
        lower_bound: None,
        mode: Mode::Full,
        files: Vec::new(),
        replace_files: true,
        now: DateTime::UNIX_EPOCH,
        allow_empty: false,
        skipped: 0,
        rejected: 0,
    }
}

pub(super) const FULL: Disposition = Disposition::Full { publish: Publish::Swap, fold: None };

pub(super) fn merge(newest_by: Option<&str>) -> Disposition {
    Disposition::Merge(Fold { key: vec!["id".to_owned()], newest_by: newest_by.map(str::to_owned) })
}

pub(super) fn schema(columns: &[(&str, ColumnType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, column_type)| Column::new(*name, *column_type)).collect())
}

pub(super) fn batch(schema: &Schema, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema.arrow(), columns).unwrap()
}

/// Loads batches; returns what was committed, or the error's code.
pub(super) fn load(bench: &dyn Bench, request: &LoadRequest, batches: &[RecordBatch]) -> Result<Committed, String> {
    load_with(bench, request, batches, &publication())
}

pub(super) fn load_with(
    bench: &dyn Bench,
    request: &LoadRequest,
    batches: &[RecordBatch],
    publication: &PublishRequest,
) -> Result<Committed, String> {
    let mut destination = bench.open();
    let mut load = destination.begin(request).map_err(|error| error.code.to_owned())?;
    let mut rows = 0;
    for batch in batches {
        rows += load.write(batch).map_err(|error| error.code.to_owned())?.rows;
    }
    load.finish(rows).map_err(|error| error.code.to_owned())?;
    load.publish(publication).map_err(|error| error.code.to_owned())
}

pub(super) fn people() -> Schema {
    schema(&[("id", ColumnType::Int64), ("name", ColumnType::Text), ("seen", ColumnType::TimestampUtc)])
}

/// Rows of [`people`]: id, name, microseconds.
pub(super) fn people_rows(rows: &[(i64, Option<&str>, i64)]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let names = StringArray::from_iter(rows.iter().map(|row| row.1));
    let seen = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC");
    batch(&people(), vec![Arc::new(ids), Arc::new(names), Arc::new(seen)])
}

#[track_caller]
pub(super) fn check_rows(bench: &dyn Bench, sql: &str, expected: &[&[&str]]) {
    let expected: Vec<Vec<String>> = expected.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
    assert_eq!(bench.rows(sql), expected, "{sql}");
}

const PEOPLE: &str = "SELECT id, name FROM people ORDER BY id, name";

/// Runs the whole suite, each part on a destination of its own.
pub(super) fn all<B: Bench>(make: impl Fn() -> B) {
    every_type_arrives_exactly(&make());
    empty_loads(&make());
    nothing_happens_without_a_publish(&make());
    a_lost_fence_changes_nothing(&make());
    merges_are_exact(&make());
    windows_are_replaced(&make());
    owners_are_guarded(&make());
    super::conformance_faults::all(make);
}

fn every_type_arrives_exactly(bench: &dyn Bench) {
    use ColumnType::*;
    let decimal = Decimal { precision: 38, scale: 10 };
    let columns = schema(&[
        ("b", Boolean),
        ("s", Int16),
        ("i", Int64),
        ("u", UInt64),
        ("f", Float64),
        ("d", decimal),
        ("t", Text),
        ("x", Binary),
        ("day", Date),
        ("clock", Time),
        ("at", Timestamp),
        ("z", TimestampUtc),
        ("n", TimestampNanos),
        ("id", Uuid),
    ]);
    let rows = batch(
        &columns,
        vec![
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)])),
            Arc::new(Int64Array::from(vec![Some((1 << 53) + 1), None, Some(i64::MIN)])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)])),
            Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-1.5e300)])),
            Arc::new(Decimal128Array::from(vec![Some(i128::pow(10, 38) - 1), None, Some(-1)]).with_precision_and_scale(38, 10).unwrap()),
            Arc::new(StringArray::from(vec![Some("naïve ☃ 👩‍👩‍👧 \"'\n"), None, Some("")])),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 255][..]), None, Some(&[][..])])),
            Arc::new(Date32Array::from(vec![Some(-1), None, Some(2_932_896)])),
            Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(0)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_357_016_400_000_000), None, Some(500_000)]).with_timezone("UTC")),
            Arc::new(TimestampNanosecondArray::from(vec![Some(1), None, Some(-1)])),
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([0xab; 16]), None, Some([0; 16])].into_iter(), 16).unwrap(),
            ),
        ],
    );
    let committed = load(bench, &request(1, "every", &columns, FULL), &[rows]).unwrap();
    assert_eq!(committed.counts, Counts { added: 3, ..Counts::default() });
    check_rows(
        bench,
        bench.every(),
        &[
            &[
                "1",
                "-32768",
                "9007199254740993",
                "18446744073709551615",
                "0.1",
                "9999999999999999999999999999.9999999999",
                "naïve ☃ 👩‍👩‍👧 \"'\n",
                "00FF",
                "1969-12-31",
                "00:00:00.000001",
                "1969-12-31T23:59:59.999999",
                "2013-01-01T05:00:00Z",
                "1970-01-01T00:00:00.000000001",
                "abababab-abab-abab-abab-abababababab",
            ],
            &["NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"],
            &[
                "0",
                "32767",
                "-9223372036854775808",
                "0",
                "-1.5e300",
                "-0.0000000001",
                "",
                "",
                "9999-12-31",
                "23:59:59.999999",
                "1970-01-01T00:00:00",
                "1970-01-01T00:00:00.500000Z",
                "1969-12-31T23:59:59.999999999",
                "00000000-0000-0000-0000-000000000000",
            ],
        ],
    );
}

fn empty_loads(bench: &dyn Bench) {
    let first = load(bench, &request(1, "people", &people(), FULL), &[]).unwrap();
    assert_eq!((first.rows_in_target, first.version), (0, 1));
    load(bench, &request(2, "people", &people(), FULL), &[people_rows(&[(1, Some("a"), 0)])]).unwrap();
    assert_eq!(load(bench, &request(3, "people", &people(), FULL), &[]), Err("empty_load".to_owned()));
    check_rows(bench, PEOPLE, &[&["1", "a"]]);
    let allowed = PublishRequest { allow_empty: true, ..publication() };
    let emptied = load_with(bench, &request(4, "people", &people(), FULL), &[], &allowed).unwrap();
    assert_eq!((emptied.counts.deleted, emptied.version), (1, 3));
    check_rows(bench, PEOPLE, &[]);
}

fn nothing_happens_without_a_publish(bench: &dyn Bench) {
    load(bench, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("a"), 0)])]).unwrap();
    {
        let mut destination = bench.open();
        let mut dropped = destination.begin(&request(2, "people", &people(), FULL)).unwrap();
        dropped.write(&people_rows(&[(2, Some("b"), 0)])).unwrap();
        dropped.pause().unwrap();
    }
    check_rows(bench, PEOPLE, &[&["1", "a"]]);
    let mut destination = bench.open();
    let record = destination.record("people").unwrap().unwrap();
    assert_eq!((record.version, record.run_id), (1, Some(run(1).run_id)));
    assert_eq!(record.schema, people());
}

fn a_lost_fence_changes_nothing(bench: &dyn Bench) {
    let mut first = bench.open();
    let mut second = bench.open();
    let mut slow = first.begin(&request(1, "people", &people(), FULL)).unwrap();
    assert_eq!(slow.write(&people_rows(&[(1, Some("slow"), 0)])).unwrap().rows, 1);
    slow.finish(1).unwrap();
    let mut quick = second.begin(&request(2, "people", &people(), FULL)).unwrap();
    quick.write(&people_rows(&[(2, Some("quick"), 0)])).unwrap();
    quick.finish(1).unwrap();
    assert_eq!(slow.publish(&publication()).unwrap_err().code, "fence_lost");
    quick.publish(&publication()).unwrap();
    check_rows(bench, PEOPLE, &[&["2", "quick"]]);
}

fn merges_are_exact(bench: &dyn Bench) {
    let start = [(1, Some("a"), 1), (2, None, 2), (3, Some("c"), 3)];
    load(bench, &request(1, "people", &people(), FULL), &[people_rows(&start)]).unwrap();
    let again = load(bench, &request(2, "people", &people(), merge(Some("seen"))), &[people_rows(&start)]).unwrap();
    assert_eq!(again.counts, Counts { unchanged: 3, ..Counts::default() });
    // Of key 4 the row with the greatest `seen` wins although it comes first; half a second is later than none.
    let changed =
        [(4, Some("new"), 500_000), (2, Some("b"), 9), (3, None, 9), (4, Some("old"), 0), (1, Some("a"), 1), (4, Some("older"), -1)];
    let merged = load(bench, &request(3, "people", &people(), merge(Some("seen"))), &[people_rows(&changed)]).unwrap();
    assert_eq!(merged.counts, Counts { added: 1, updated: 2, unchanged: 1, folded: 2, ..Counts::default() });
    assert_eq!(merged.rows_in_target, 4);
    check_rows(bench, PEOPLE, &[&["1", "a"], &["2", "b"], &["3", "NULL"], &["4", "new"]]);
    // Without a column to go by, the later row wins.
    let twice = [(5, Some("first"), 9), (5, Some("last"), 0)];
    let merged = load(bench, &request(4, "people", &people(), merge(None)), &[people_rows(&twice)]).unwrap();
    assert_eq!((merged.counts.added, merged.counts.folded), (1, 1));
    check_rows(bench, "SELECT name FROM people WHERE id = 5", &[&["last"]]);
    let folded = Disposition::Full { publish: Publish::Swap, fold: Some(Fold { key: vec!["id".to_owned()], newest_by: None }) };
    let full = load(bench, &request(5, "people", &people(), folded), &[people_rows(&twice)]).unwrap();
    assert_eq!(full.counts, Counts { added: 1, folded: 1, deleted: 5, ..Counts::default() });
    check_rows(bench, PEOPLE, &[&["5", "last"]]);
}

fn windows_are_replaced(bench: &dyn Bench) {
    let at = |position| CursorValue::at(ColumnType::TimestampUtc, position);
    let window = || Disposition::Window { column: "seen".to_owned(), from: at(0), until: None };
    load(
        bench,
        &request(1, "people", &people(), FULL),
        &[people_rows(&[(1, Some("old"), -1), (2, Some("edge"), 0), (3, Some("half"), 500_000)])],
    )
    .unwrap();
    for number in [2, 3] {
        let rows = people_rows(&[(2, Some("edge"), 0), (3, Some("half, corrected"), 500_000), (4, Some("new"), 1_000_000)]);
        let replaced = load(bench, &request(number, "people", &people(), window()), &[rows]).unwrap();
        assert_eq!((replaced.counts.added, replaced.counts.deleted), (3, u64::from(number)));
        check_rows(bench, PEOPLE, &[&["1", "old"], &["2", "edge"], &["3", "half, corrected"], &["4", "new"]]);
    }
}

fn owners_are_guarded(bench: &dyn Bench) {
    load(bench, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("a"), 0)])]).unwrap();
    let mut other = request(2, "PEOPLE", &people(), FULL);
    other.owner.job = "another".to_owned();
    let mut destination = bench.open();
    let error = destination.begin(&other).unwrap_err();
    assert_eq!(error.code, "owner_clash");
    assert!(error.hint.unwrap().contains("state reset another --source PEOPLE --take-over"));
    check_rows(bench, PEOPLE, &[&["1", "a"]]);
}
