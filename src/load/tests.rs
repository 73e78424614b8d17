//! Whole loads from a source in memory into a real SQLite file.

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use arrow_array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, TimeZone, Utc};

use super::orders::load_from;
use super::voice::{Stop, Voice};
use crate::batch::{Column, ColumnType, Schema};
use crate::plan::{
    Answer, BadRows, ColumnRules, CsvPlan, DestinationKind, DestinationPlan, DryRun, Encoding, Event, Expect, InspectPlan, Level,
    LoadOptions, LoadPlan, Lookback, Mode, NullCursor, OnBadRow, OnInvalidValue, Order, Publish, RunRef, SchemaPolicy, SourceKind,
    SourcePlan, SqlitePlan, StreamResult, WorkerError,
};
use crate::run::{Counts, CursorValue, FileRecord};
use crate::source::{Read, ReadRequest, Reader, RejectedRow, Source, SourceError, Stream};

/// What the reader of [`Memory`] yields, in order.
#[derive(Clone)]
enum Step {
    Rows(Vec<Row>),
    Rejected(u32),
    /// Begin anew with `name` as text.
    Restart,
    Fail,
    Panic,
}

type Row = (i64, Option<&'static str>, Option<i64>);

#[derive(Default)]
struct Memory {
    steps: Vec<Step>,
    is_files: bool,
    changed_files: Vec<String>,
    is_nothing_new: bool,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

struct MemoryReader {
    steps: std::vec::IntoIter<Step>,
    schema: Schema,
    changed_files: Vec<String>,
    is_nothing_new: bool,
}

fn schema() -> Schema {
    Schema::new(vec![
        Column::new("id", ColumnType::Int64),
        Column::new("name", ColumnType::Text),
        Column::new("at", ColumnType::TimestampUtc),
    ])
}

impl Source for Memory {
    fn test(&mut self) -> Result<String, SourceError> {
        Ok("in memory".to_owned())
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        Ok(vec![Stream::only("people")])
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        self.asked.lock().unwrap().push(request.lower_bound.map(|bound| bound.text.clone()));
        let Self { steps, changed_files, is_nothing_new, .. } = self;
        let (steps, changed_files) = (steps.clone().into_iter(), changed_files.clone());
        Ok(Box::new(MemoryReader { steps, schema: schema(), changed_files, is_nothing_new: *is_nothing_new }))
    }

    fn is_files(&self) -> bool {
        self.is_files
    }
}

impl Reader for MemoryReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        Ok(match self.steps.next() {
            None => Read::End,
            Some(Step::Rows(rows)) => Read::Batch(batch(&rows)),
            Some(Step::Rejected(row)) => {
                Read::Rejected(RejectedRow { position: format!("row {row}"), column: None, reason: "torn".to_owned(), raw: "?".to_owned() })
            }
            Some(Step::Restart) => Read::Restart { reason: "column name, row 3: text".to_owned() },
            Some(Step::Fail) => {
                return Err(SourceError {
                    code: "cut_short",
                    message: "the connection was cut".to_owned(),
                    hint: None,
                    is_transient: true,
                    retry_after: None,
                });
            }
            Some(Step::Panic) => panic!("a reader's fault"),
        })
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (42, None)
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn is_nothing_new(&self) -> bool {
        self.is_nothing_new
    }

    fn changed_files(&self) -> Vec<String> {
        self.changed_files.clone()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        Vec::new()
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let names = StringArray::from_iter(rows.iter().map(|row| row.1));
    let at = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.2)).with_timezone("UTC");
    RecordBatch::try_new(schema().arrow(), vec![Arc::new(ids), Arc::new(names), Arc::new(at)]).unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    run: u32,
    options: LoadOptions,
    dry_run: Option<DryRun>,
    answer: Answer,
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap()
}

/// Microseconds of a minute around noon.
fn minute(minutes: i64) -> Option<i64> {
    Some(noon().timestamp_micros() + minutes * 60_000_000)
}

impl Bench {
    fn new() -> Self {
        let options = LoadOptions {
            target: None,
            table_prefix: String::new(),
            mode: Mode::Full,
            is_full_refresh: false,
            publish: Publish::Swap,
            primary_key: Vec::new(),
            timestamp_column: None,
            lookback: Lookback::Minutes(Some(10)),
            window: None,
            null_cursor: None,
            schema_change: SchemaPolicy::Evolve,
            bad_rows: BadRows { on_bad_row: OnBadRow::Reject, max_bad_rows: None },
            invalid_values: OnInvalidValue::Reject,
            allow_empty: false,
            expect: Expect::default(),
            batch_size: 1000,
            sample_rows: 1000,
        };
        Self { folder: tempfile::tempdir().unwrap(), run: 0, options, dry_run: None, answer: Answer::Publish }
    }

    fn incremental(key: &[&str]) -> Self {
        let mut bench = Self::new();
        bench.options.mode = Mode::Incremental;
        bench.options.timestamp_column = Some("at".to_owned());
        bench.options.primary_key = key.iter().map(|name| (*name).to_owned()).collect();
        bench
    }

    fn warehouse(&self) -> PathBuf {
        self.folder.path().join("warehouse.db")
    }

    fn plan(&self) -> LoadPlan {
        let csv = CsvPlan {
            path: "/unused".to_owned(),
            path_secrets: Vec::new(),
            delimiter: None,
            quote: None,
            header: None,
            encoding: Encoding::Auto,
            null_values: None,
            connect_timeout_seconds: 1,
            allow_link_local: false,
        };
        LoadPlan {
            run: RunRef {
                workspace_id: "w".to_owned(),
                job: "job".to_owned(),
                run_id: format!("0190a000-0000-7000-8000-{:012}", self.run),
                attempt: 1,
                slot: None,
                started_at: noon(),
            },
            source: SourcePlan {
                name: "people".to_owned(),
                connection: None,
                kind: SourceKind::Csv(csv),
                columns: ColumnRules::default(),
                hash_key: None,
            },
            destination: DestinationPlan {
                name: "warehouse".to_owned(),
                kind: DestinationKind::Sqlite(SqlitePlan { path: self.warehouse() }),
                schema: None,
            },
            options: self.options.clone(),
            rejects_path: self.folder.path().join("rejects/people.csv"),
            published_streams: Vec::new(),
            slot_at: None,
            dry_run: self.dry_run,
        }
    }

    /// Loads; returns every event.
    fn events(&mut self, source: &mut dyn Source) -> Vec<Event> {
        self.run += 1;
        let (sender, answers) = channel();
        sender.send(self.answer).unwrap();
        let said = Said::default();
        let stop = Stop::default();
        let voice = Voice::new(Box::new(said.clone()), stop.clone());
        let result = load_from(source, &self.plan(), &voice, &answers, &stop);
        assert_eq!(result.is_err(), self.answer == Answer::Stop, "a failed stream doesn't fail the source; a stop does");
        let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn load(&mut self, source: &mut Memory) -> Result<StreamResult, WorkerError> {
        self.load_from(source)
    }

    fn load_from(&mut self, source: &mut dyn Source) -> Result<StreamResult, WorkerError> {
        let mut ends = self.events(source).into_iter().filter_map(|event| match event {
            Event::Published(result) => Some(Ok(result)),
            Event::StreamFailed { error, .. } => Some(Err(error)),
            _ => None,
        });
        ends.next_back().unwrap()
    }

    fn load_steps(&mut self, steps: &[Step]) -> Result<StreamResult, WorkerError> {
        self.load(&mut Memory { steps: steps.to_vec(), ..Memory::default() })
    }

    /// Serves an order that has an answer.
    fn ask(&self, order: &Order) -> serde_json::Value {
        let said = Said::default();
        let line = std::io::Cursor::new(format!("{}\n", serde_json::to_string(order).unwrap()));
        assert_eq!(super::serve(line, Box::new(said.clone()), &Stop::default()), 0);
        let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        events.filter_map(|event| if let Event::Answered { value } = event { Some(value) } else { None }).next().unwrap()
    }

    fn ids(&self) -> Vec<i64> {
        let connection = rusqlite::Connection::open(self.warehouse()).unwrap();
        let mut statement = connection.prepare("SELECT id FROM people ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn rows(rows: &[Row]) -> Step {
    Step::Rows(rows.to_vec())
}

#[test]
fn a_full_load_says_its_phases_and_its_counts() {
    let mut bench = Bench::new();
    let mut source =
        Memory { steps: vec![rows(&[(1, Some("a"), None)]), Step::Rejected(2), rows(&[(3, None, None)])], ..Memory::default() };
    let events = bench.events(&mut source);
    let words: Vec<String> = events
        .iter()
        .map(|event| match event {
            Event::Phase { phase, .. } => phase.as_str().to_owned(),
            Event::Published(result) => format!("{} of {} in {}", result.counts.added, result.counts.processed(), result.target),
            other => serde_json::to_value(other).unwrap()["event"].as_str().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(words, ["streams", "opening", "loading", "checking", "log", "ready", "publishing", "2 of 3 in people"]);
    assert_eq!(bench.ids(), [1, 3]);
}

#[test]
fn whatever_fails_before_the_publish_leaves_the_table_as_it_was() {
    let mut bench = Bench::new();
    bench.load_steps(&[rows(&[(1, None, None)])]).unwrap();
    let error = bench.load_steps(&[rows(&[(2, None, None)]), Step::Fail]).unwrap_err();
    assert_eq!((error.code.as_str(), error.is_transient), ("cut_short", true));
    let error = bench.load_steps(&[rows(&[(2, None, None)]), Step::Panic]).unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("internal", "a fault of etlsched itself while reading: a reader's fault"));
    bench.answer = Answer::Drop;
    assert_eq!(bench.load_steps(&[rows(&[(2, None, None)])]).unwrap_err().code, "not_published");
    bench.answer = Answer::Stop;
    assert_eq!(bench.load_steps(&[rows(&[(2, None, None)])]).unwrap_err().code, "cancelled");
    bench.answer = Answer::Publish;
    bench.options.expect.min_rows = Some(2);
    assert_eq!(bench.load_steps(&[rows(&[(2, None, None)])]).unwrap_err().code, "check_failed");
    assert_eq!(bench.load_steps(&[]).unwrap_err().code, "check_failed");
    bench.options.expect.min_rows = None;
    assert_eq!(bench.load_steps(&[]).unwrap_err().code, "empty_load");
    bench.options.bad_rows.max_bad_rows = Some(0);
    assert_eq!(bench.load_steps(&[rows(&[(2, None, None)]), Step::Rejected(2)]).unwrap_err().code, "too_many_bad_rows");
    assert_eq!(bench.ids(), [1]);
    let connection = rusqlite::Connection::open(bench.warehouse()).unwrap();
    let left: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name GLOB '_etlsched_????????_*'", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_restart_forgets_what_was_read_and_rejected() {
    let mut bench = Bench::new();
    let steps = [rows(&[(1, None, None)]), Step::Rejected(2), Step::Restart, rows(&[(7, None, None)]), Step::Rejected(5)];
    let result = bench.load_steps(&steps).unwrap();
    assert_eq!(result.counts, Counts { added: 1, rejected: 1, ..Counts::default() });
    assert_eq!(bench.ids(), [7]);
    let text = std::fs::read_to_string(bench.plan().rejects_path).unwrap();
    assert_eq!(text, "position,column,reason,raw\nrow 5,,torn,?\n");
}

#[test]
fn the_cursor_is_the_greatest_value_not_later_than_the_clock_and_never_goes_back() {
    let mut bench = Bench::incremental(&["id"]);
    let first =
        bench.load_steps(&[rows(&[(1, None, minute(-5)), (2, None, minute(-30)), (3, None, minute(60)), (4, None, None)])]).unwrap();
    assert_eq!((first.mode, first.counts.added), (Mode::Full, 4));
    assert_eq!(first.cursor, CursorValue::at(ColumnType::TimestampUtc, minute(-5).unwrap().into()));
    let mut source =
        Memory { steps: vec![rows(&[(1, Some("b"), minute(-5)), (2, None, minute(-30)), (9, None, None)])], ..Memory::default() };
    let second = bench.load(&mut source).unwrap();
    assert_eq!(second.counts, Counts { updated: 1, unchanged: 1, skipped: 1, ..Counts::default() });
    assert_eq!((second.mode, second.cursor.clone()), (Mode::Incremental, first.cursor));
    assert_eq!(*source.asked.lock().unwrap(), [Some("2026-03-01T11:45:00Z".to_owned())]);
    // Nothing newer is read: the cursor stays, also for the run after.
    let third = bench.load_steps(&[]).unwrap();
    assert_eq!((third.counts, third.cursor), (Counts::default(), second.cursor));
    bench.options.null_cursor = Some(NullCursor::Fail);
    assert_eq!(bench.load_steps(&[rows(&[(9, None, None)])]).unwrap_err().code, "null_cursor");
    bench.options.is_full_refresh = true;
    bench.options.null_cursor = None;
    assert_eq!(bench.load_steps(&[rows(&[(9, None, minute(-50))])]).unwrap().counts.deleted, 4);
    assert_eq!(bench.ids(), [9]);
}

#[test]
fn without_a_key_the_window_is_replaced() {
    let mut bench = Bench::incremental(&[]);
    bench.load_steps(&[rows(&[(1, None, minute(-60)), (2, None, minute(-9)), (3, None, minute(-1))])]).unwrap();
    for _ in 0..2 {
        bench.load_steps(&[rows(&[(2, None, minute(-9)), (3, None, minute(-1)), (4, None, minute(-1))])]).unwrap();
        assert_eq!(bench.ids(), [1, 2, 3, 4]);
    }
    bench.options.timestamp_column = None;
    assert_eq!(bench.load_steps(&[]).unwrap_err().code, "no_cursor");
}

#[test]
fn files_append_and_a_changed_one_needs_a_key() {
    let mut bench = Bench::incremental(&[]);
    bench.options.timestamp_column = None;
    let mut source = Memory { steps: vec![rows(&[(1, None, None)])], is_files: true, ..Memory::default() };
    bench.load(&mut source).unwrap();
    assert_eq!(bench.load(&mut source).unwrap().counts.added, 1);
    source.changed_files = vec!["/data/a.csv".to_owned()];
    let error = bench.load(&mut source).unwrap_err();
    assert_eq!((error.code.as_str(), error.hint.is_some()), ("changed_file", true));
    source.is_nothing_new = true;
    let nothing = bench.load(&mut source).unwrap();
    assert_eq!((nothing.counts, nothing.rows_in_target, nothing.version), (Counts::default(), 2, 2));
    assert_eq!(bench.ids(), [1, 1]);
}

#[test]
fn inspection_tells_the_counts_of_the_load_that_published() {
    let mut bench = Bench::incremental(&["id"]);
    bench.load_steps(&[rows(&[(1, None, minute(-5)), (2, None, minute(-5))])]).unwrap();
    let steps = [rows(&[(1, None, minute(-5)), (2, Some("b"), minute(-4)), (3, None, minute(-3)), (4, None, None)]), Step::Rejected(5)];
    let result = bench.load_steps(&steps).unwrap();
    let plan = bench.plan();
    let inspect = InspectPlan {
        destination: plan.destination,
        targets: Vec::new(),
        workspace_id: "w".to_owned(),
        job: "job".to_owned(),
        other_jobs: Vec::new(),
    };
    let answer = bench.ask(&Order::Inspect(inspect));
    let counts: Counts = serde_json::from_value(answer["records"][0]["counts"].clone()).unwrap();
    assert_eq!(counts, Counts { added: 1, updated: 1, unchanged: 1, skipped: 1, rejected: 1, ..Counts::default() });
    assert_eq!((counts, &answer["records"][0]["rows_in_target"]), (result.counts, &serde_json::json!(3)));
}

#[test]
fn a_file_whose_column_is_empty_keeps_the_type_of_the_table() {
    let mut bench = Bench::incremental(&[]);
    bench.options.timestamp_column = None;
    let data = bench.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let load = |bench: &mut Bench, name: &str, text: &str| {
        std::fs::write(data.join(name), text).unwrap();
        let mut plan = bench.plan().source;
        let SourceKind::Csv(csv) = &mut plan.kind else { unreachable!("it is a CSV plan") };
        csv.path = data.join("*.csv").display().to_string();
        bench.load_from(crate::source::open(&plan).unwrap().as_mut()).unwrap()
    };
    load(&mut bench, "1.csv", "id,n\n1,5\n");
    bench.dry_run = Some(DryRun { limit: None });
    let tried = load(&mut bench, "2.csv", "id,n\n2,\n3,\n");
    bench.dry_run = None;
    let loaded = load(&mut bench, "2.csv", "id,n\n2,\n3,\n");
    for result in [&tried, &loaded] {
        assert_eq!(result.schema.columns[1].column_type, ColumnType::Int64);
    }
    assert_eq!((loaded.counts.added, loaded.rows_in_target, loaded.schema_changes.len()), (2, 3, 0));
}

#[test]
fn an_attempt_begins_its_reject_file_anew_and_one_that_fails_keeps_it() {
    let mut bench = Bench::new();
    let lines = |bench: &Bench| std::fs::read_to_string(bench.plan().rejects_path).map(|text| text.lines().skip(1).count());
    bench.load_steps(&[Step::Rejected(1), Step::Rejected(2), Step::Fail]).unwrap_err();
    assert_eq!(lines(&bench).unwrap(), 2);
    let result = bench.load_steps(&[Step::Rejected(1), rows(&[(1, None, None)]), Step::Rejected(2), Step::Rejected(4)]).unwrap();
    assert_eq!((result.counts.rejected, lines(&bench).unwrap()), (3, 3));
    bench.load_steps(&[rows(&[(1, None, None)])]).unwrap();
    assert_eq!(lines(&bench).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_dry_run_writes_nothing_anywhere() {
    let mut bench = Bench::new();
    bench.dry_run = Some(DryRun { limit: Some(2) });
    let result = bench.load_steps(&[Step::Rejected(1), rows(&[(1, None, None), (2, None, None)]), Step::Fail]).unwrap();
    assert_eq!((result.counts.added, result.counts.rejected, result.version), (1, 1, 0));
    assert!(result.statements[1].starts_with("CREATE TABLE \"_etlsched_"));
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_malformed_order_ends_the_worker_and_quotes_no_secret() {
    let said = Said::default();
    let code = super::serve(&b"{\"order\":\"load\",\"password\":\"hunter22\"}\n"[..], Box::new(said.clone()), &Stop::default());
    let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert_eq!(code, 0);
    assert!(text.contains("\"code\":\"internal\"") && !text.contains("hunter22"), "{text}");
}

#[test]
fn a_dry_run_checks_what_it_can_and_says_what_it_did_not() {
    let mut bench = Bench::new();
    bench.load_steps(&[rows(&[(1, None, None), (2, None, None), (3, None, None), (4, None, None)])]).unwrap();
    bench.dry_run = Some(DryRun { limit: None });
    bench.options.invalid_values = OnInvalidValue::Null;
    bench.options.expect = Expect {
        min_rows: Some(4),
        max_rows: Some(2),
        max_row_drop_percent: Some(10.0),
        not_null: vec!["ID".to_owned(), "name".to_owned()],
        unique: vec!["id".to_owned()],
        sql: Some("SELECT 1".to_owned()),
    };
    let steps = [rows(&[(1, None, None)]), Step::Restart, rows(&[(1, None, None), (2, Some("a\0b"), None), (3, Some("c"), None)])];
    let mut source = Memory { steps: steps.to_vec(), ..Memory::default() };
    let events = bench.events(&mut source);
    let said = |wanted: &str| events.iter().any(|event| matches!(event, Event::Log { message, .. } if message == wanted));
    assert!(said("not checked in a dry run: unique, sql"), "{events:?}");
    let error = bench.load(&mut source).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "check_failed",
            "table people: 4 checks failed: min_rows: 3 rows, expected at least 4; max_rows: 3 rows, expected at most 2; \
             max_row_drop_percent: 3 rows, 4 at the last load, expected at most 10 % fewer; not_null: column name is NULL in 2 rows"
        )
    );
    // What reads not every row can't tell of too few; a value that can't be held is rejected as in a load.
    bench.dry_run = Some(DryRun { limit: Some(2) });
    bench.options.invalid_values = OnInvalidValue::Reject;
    bench.options.expect.max_rows = None;
    bench.options.expect.not_null.pop();
    let result = bench.load(&mut source).unwrap();
    assert_eq!((result.counts.added, result.counts.rejected), (1, 1));
    bench.options.expect.not_null.push("nope".to_owned());
    assert_eq!(bench.load(&mut source).unwrap_err().code, "no_such_column");
}

#[test]
fn a_row_without_a_key_is_rejected_whatever_the_source() {
    let mut bench = Bench::incremental(&["NAME"]);
    let steps = [rows(&[(1, Some("a"), minute(-5)), (2, None, minute(-5)), (3, Some("c"), minute(-4))])];
    for _ in 0..2 {
        let result = bench.load_steps(&steps).unwrap();
        assert_eq!((result.counts.processed(), result.counts.rejected, bench.ids()), (3, 1, vec![1, 3]));
        let file = std::fs::read_to_string(bench.plan().rejects_path).unwrap();
        assert!(file.contains("row 2 of the rows read,name,"), "{file}");
    }
    bench.options.bad_rows.on_bad_row = OnBadRow::Fail;
    let error = bench.load_steps(&steps).unwrap_err();
    assert_eq!(error.message, "row 2 of the rows read, column name: it has no value, and the column is part of primary_key");
}

#[test]
fn a_dry_run_counts_what_the_load_then_does() {
    let first = [rows(&[(1, Some("a"), minute(-9)), (2, Some("b"), minute(-5)), (3, Some("c"), None)])];
    let next = [
        rows(&[(1, Some("a"), minute(-9)), (2, Some("B"), minute(-4)), (4, Some("d"), minute(-4)), (4, Some("e"), minute(-3))]),
        Step::Rejected(9),
    ];
    let check = |mode: Mode, key: &[&str], expected: Counts| {
        let mut bench = Bench::incremental(key);
        bench.options.mode = mode;
        let is_tried = |bench: &mut Bench, steps: &[Step]| {
            bench.dry_run = Some(DryRun { limit: None });
            let tried = bench.load_steps(steps).unwrap();
            bench.dry_run = None;
            let loaded = bench.load_steps(steps).unwrap();
            assert_eq!((tried.counts, &tried.schema, &tried.schema_changes), (loaded.counts, &loaded.schema, &loaded.schema_changes));
            loaded.counts
        };
        is_tried(&mut bench, &first);
        assert_eq!(is_tried(&mut bench, &next), expected, "{mode:?} {key:?}");
        let files = std::fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.collect();
        files.sort();
        assert_eq!(files, ["rejects", "warehouse.db"]);
    };
    check(Mode::Incremental, &["id"], Counts { added: 1, updated: 1, unchanged: 1, folded: 1, rejected: 1, ..Counts::default() });
    check(Mode::Incremental, &[], Counts { added: 4, deleted: 2, rejected: 1, ..Counts::default() });
    check(Mode::Full, &[], Counts { added: 4, deleted: 3, rejected: 1, ..Counts::default() });
    check(Mode::Full, &["id"], Counts { added: 3, folded: 1, deleted: 3, rejected: 1, ..Counts::default() });
}

#[test]
fn a_dry_run_fails_where_the_load_would_and_names_no_file_that_it_does_not_write() {
    let mut bench = Bench::new();
    bench.load_steps(&[rows(&[(1, None, None)])]).unwrap();
    let real = bench.load_steps(&[]).unwrap_err();
    bench.dry_run = Some(DryRun { limit: None });
    assert_eq!(bench.load_steps(&[]).unwrap_err(), real);
    assert_eq!(real.code, "empty_load");
    bench.dry_run = Some(DryRun { limit: Some(0) });
    bench.load_steps(&[rows(&[(1, None, None)])]).unwrap();
    bench.dry_run = Some(DryRun { limit: None });
    bench.options.allow_empty = true;
    bench.load_steps(&[]).unwrap();
    bench.options.bad_rows.max_bad_rows = Some(0);
    let hint = bench.load_steps(&[rows(&[(1, None, None)]), Step::Rejected(2)]).unwrap_err().hint.unwrap();
    assert_eq!(hint, "correct the source or its columns.types, or raise max_bad_rows");
}
