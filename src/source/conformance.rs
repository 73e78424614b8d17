//! What every source must hold: one suite, written once, run by each kind of [`kinds::SOURCES`] over tables that its bench makes.

use chrono::{TimeZone as _, Utc};

use super::{Moments, Read, ReadRequest, Reader, Source, SourceError, Stream, csv, sqlite};
use crate::batch::ColumnType;
use crate::batch::text::cell_text;
use crate::plan::{ColumnRules, LoadOptions, SourceKind, SourcePlan, kinds};

/// A kind of source under test: makes tables that it can be asked for.
pub(super) trait Bench {
    /// Makes a table of these columns and rows (`None` is NULL), in a place of its own.
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind;
    /// Makes a source of one column `id` that yields some rows and then can't go on.
    fn broken(&self) -> SourceKind;
    /// Makes tables of these names in a place of their own, each with a column `id` and the one row of its name, and asks for all of them
    /// by a glob; `None` of a kind whose sources have one stream.
    fn several(&self, _names: &[&str]) -> Option<SourceKind> {
        None
    }
    /// Names a source that isn't there.
    fn gone(&self) -> SourceKind;
    /// Returns what an undeclared column becomes that holds every whole number of 64 bits.
    fn whole_number(&self) -> &'static str {
        "bigint"
    }
}

/// Returns the bench of a kind.
fn bench(kind: &str) -> Box<dyn Bench> {
    match kind {
        #[cfg(unix)]
        "api" => Box::new(super::api::conformance::Servers::new()),
        "csv" => Box::new(csv::conformance::Folder::new()),
        #[cfg(unix)]
        "mysql" => Box::new(super::mysql::conformance::Databases),
        #[cfg(unix)]
        "odbc" => Box::new(super::odbc::conformance::Schemas),
        #[cfg(unix)]
        "oracle" => Box::new(super::odbc::conformance::oracle::Counterparts),
        #[cfg(unix)]
        "postgresql" => Box::new(super::postgres::conformance::Schemas),
        "sqlite" => Box::new(sqlite::conformance::Folder::new()),
        #[cfg(unix)]
        "sqlserver" => Box::new(super::odbc::conformance::sqlserver::Counterparts),
        other => panic!("a source of kind {other} has no bench: add it here"),
    }
}

fn every_kind(check: impl Fn(&dyn Bench)) {
    for kind in kinds::SOURCES {
        check(bench(kind.name).as_ref());
    }
}

const BATCH_SIZE: usize = 3;

/// Loads with every default; a batch has three rows, the sample two.
pub(in crate::source) fn options() -> LoadOptions {
    let json = r#"{"target": null, "table_prefix": "", "mode": "full", "is_full_refresh": false, "publish": "swap", "primary_key": [],
        "timestamp_column": null, "lookback": {"minutes": null}, "window": null, "null_cursor": null, "schema_change": "evolve",
        "bad_rows": {"on_bad_row": "reject", "max_bad_rows": null}, "invalid_values": "reject", "allow_empty": false,
        "expect": {"min_rows": null, "max_rows": null, "max_row_drop_percent": null, "not_null": [], "unique": [], "sql": null},
        "batch_size": 3, "sample_rows": 2}"#;
    serde_json::from_str(json).unwrap()
}

fn source(kind: SourceKind, types: &[(&str, ColumnType)]) -> Box<dyn Source> {
    let types = types.iter().map(|(name, column_type)| ((*name).to_owned(), *column_type)).collect();
    let columns = ColumnRules { types, ..ColumnRules::default() };
    super::open(&SourcePlan { name: "s".to_owned(), connection: None, kind, columns, hash_key: None }).unwrap()
}

fn open(source: &mut dyn Source) -> Result<Box<dyn Reader>, SourceError> {
    let streams = source.discover()?;
    assert_eq!(streams.len(), 1, "a table is one stream");
    open_stream(source, &streams[0])
}

fn open_stream(source: &mut dyn Source, stream: &Stream) -> Result<Box<dyn Reader>, SourceError> {
    let options = options();
    source.open(&ReadRequest::whole(stream, &options, moments()))
}

/// Some run.
pub(super) fn moments() -> Moments {
    let at = |hour| Utc.with_ymd_and_hms(2026, 1, 1, hour, 0, 0).unwrap();
    Moments { slot: at(6), run_started: at(7) }
}

/// Rows as texts; `None` is NULL.
type Rows = Vec<Vec<Option<String>>>;

/// Reads to the end: the schema, and the rows.
fn read(source: &mut dyn Source) -> Result<(String, Rows), SourceError> {
    let reader = open(source)?;
    read_out(reader)
}

fn read_out(mut reader: Box<dyn Reader>) -> Result<(String, Rows), SourceError> {
    let mut rows = Vec::new();
    loop {
        match reader.read()? {
            Read::Batch(batch) => {
                assert!((1..=BATCH_SIZE).contains(&batch.num_rows()), "{} rows in a batch", batch.num_rows());
                assert_eq!(batch.schema(), reader.schema().arrow());
                rows.extend(
                    (0..batch.num_rows())
                        .map(|row| (0..batch.num_columns()).map(|column| cell_text(&batch, column, row)).collect::<Vec<_>>()),
                );
            }
            Read::Rejected(row) => panic!("rejected: {row:?}"),
            Read::Restart { .. } => rows.clear(),
            Read::End => break,
        }
    }
    assert!(matches!(reader.read()?, Read::End), "the end stays the end");
    let columns = reader.schema().columns.iter();
    Ok((columns.map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", "), rows))
}

/// Every type with its least, its greatest and a telling value, in the form that comes back.
fn every_type() -> Vec<(&'static str, ColumnType, [&'static str; 3])> {
    use ColumnType::*;
    let decimal = Decimal { precision: 38, scale: 10 };
    vec![
        ("b", Boolean, ["false", "true", "true"]),
        ("s", Int16, ["-32768", "32767", "7"]),
        ("i", Int32, ["-2147483648", "2147483647", "7"]),
        ("l", Int64, ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
        ("u", UInt64, ["0", "18446744073709551615", "9223372036854775808"]),
        ("f", Float64, ["-1.7976931348623157e308", "1.7976931348623157e308", "0.1"]),
        ("d", decimal, ["-9999999999999999999999999999.9999999999", "9999999999999999999999999999.9999999999", "0.0000000001"]),
        ("t", Text, [" ", "naïve ☃ 👩‍👩‍👧 \"'\n,;", "007"]),
        ("x", Binary, ["\\x00", "\\xff00", "\\x0a"]),
        ("day", Date, ["0001-01-01", "9999-12-31", "1969-12-31"]),
        ("clock", Time, ["00:00:00", "23:59:59.999999", "00:00:00.000001"]),
        ("at", Timestamp, ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999"]),
        ("z", TimestampUtc, ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"]),
        (
            "id",
            Uuid,
            ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "abababab-abab-abab-abab-abababababab"],
        ),
    ]
}

#[test]
fn declared_types_hold_their_widest_values_and_nulls_in_every_kind_of_source() {
    every_kind(|bench| {
        let every = every_type();
        let columns: Vec<_> = every.iter().map(|(name, column_type, _)| (*name, *column_type)).collect();
        let mut rows: Vec<Vec<Option<&str>>> = (0..3).map(|row| every.iter().map(|(_, _, values)| Some(values[row])).collect()).collect();
        rows.insert(1, vec![None; every.len()]);
        let (schema, found) = read(source(bench.table(&columns, &rows), &columns).as_mut()).unwrap();
        let expected = columns.iter().map(|(name, column_type)| format!("{name} {column_type}")).collect::<Vec<_>>().join(", ");
        assert_eq!(schema, expected);
        let rows: Rows = rows.iter().map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect()).collect();
        assert_eq!(found, rows);
    });
}

#[test]
fn undeclared_numbers_and_texts_arrive_exactly_from_every_kind_of_source() {
    every_kind(|bench| {
        let columns = [("n", ColumnType::Int64), ("r", ColumnType::Float64), ("t", ColumnType::Text)];
        let rows = vec![
            vec![Some("9007199254740993"), Some("0.1"), Some("x")],
            vec![None, None, None],
            vec![Some("-9223372036854775808"), Some("-1.5e300"), Some("naïve ☃")],
            vec![Some("9223372036854775807"), Some("2.5"), Some("a\nb")],
        ];
        let (schema, found) = read(source(bench.table(&columns, &rows), &[]).as_mut()).unwrap();
        assert_eq!(schema, format!("n {}, r double, t text", bench.whole_number()));
        let rows: Rows = rows.iter().map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect()).collect();
        assert_eq!(found, rows);
    });
}

#[test]
fn an_empty_table_has_columns_and_no_rows_in_every_kind_of_source() {
    every_kind(|bench| {
        let columns = [("id", ColumnType::Int64), ("t", ColumnType::Text)];
        let (schema, rows) = read(source(bench.table(&columns, &[]), &columns).as_mut()).unwrap();
        assert_eq!((schema.as_str(), rows.len()), ("id bigint, t text", 0));
    });
}

#[test]
fn an_error_amid_the_rows_is_an_error_and_never_the_end_in_every_kind_of_source() {
    every_kind(|bench| {
        let error = read(source(bench.broken(), &[]).as_mut()).expect_err("it can't be read whole");
        assert!(!error.code.is_empty() && !error.message.is_empty(), "{error:?}");
    });
}

#[test]
fn a_reader_that_is_left_early_leaves_the_source_as_it_was_in_every_kind_of_source() {
    every_kind(|bench| {
        let columns = [("id", ColumnType::Int64)];
        let texts: Vec<String> = (1..=10).map(|number| number.to_string()).collect();
        let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|text| vec![Some(text.as_str())]).collect();
        let kind = bench.table(&columns, &rows);
        let mut left = source(kind.clone(), &columns);
        let mut reader = open(left.as_mut()).unwrap();
        let Read::Batch(first) = reader.read().unwrap() else { panic!("rows come first") };
        assert_eq!(cell_text(&first, 0, 0).as_deref(), Some("1"));
        drop(reader);
        assert_eq!(read(left.as_mut()).unwrap().1.len(), 10);
    });
}

#[test]
fn a_source_is_reached_or_told_to_be_gone_in_every_kind() {
    every_kind(|bench| {
        let columns = [("id", ColumnType::Int64)];
        let mut there = source(bench.table(&columns, &[vec![Some("1")]]), &columns);
        assert!(!there.test().unwrap().is_empty());
        let mut gone = source(bench.gone(), &[]);
        assert_eq!(gone.test().unwrap_err().code, "not_found");
        assert_eq!(open(gone.as_mut()).unwrap_err().code, "not_found");
    });
}

#[test]
fn several_tables_are_streams_of_their_own_in_every_kind_that_has_them() {
    for kind in kinds::SOURCES {
        let bench = bench(kind.name);
        let made = bench.several(&["b", "c", "A"]);
        assert_eq!(made.is_some(), kind.places.contains(&"tables"), "{}", kind.name);
        let Some(made) = made else { continue };
        assert!(made.has_several_streams(), "{}", kind.name);
        let mut source = source(made, &[]);
        let streams = source.discover().unwrap();
        assert_eq!(streams.iter().map(|stream| stream.base.as_str()).collect::<Vec<_>>(), ["A", "b", "c"], "{}", kind.name);
        // In any order, as a retry may leave some out.
        for stream in streams.iter().rev() {
            let (_, rows) = read_out(open_stream(source.as_mut(), stream).unwrap()).unwrap();
            assert_eq!(rows, [[Some(stream.base.clone())]], "{}", kind.name);
        }
        let gone = Stream { name: streams[0].name.replace('A', "gone"), base: "gone".to_owned() };
        assert_eq!(open_stream(source.as_mut(), &gone).unwrap_err().code, "not_found", "{}", kind.name);
        assert!(source.test().unwrap().contains('3'), "{}", kind.name);
    }
}
