use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::batch::text::cell_text;
use crate::plan::{BadRows, Encoding, Expect, LoadOptions, Lookback, Mode, OnBadRow, Publish, SchemaPolicy, SourceKind, SourcePlan};
use crate::source::conformance::moments;
use crate::source::{self, Stream};

/// What a whole read gave.
#[derive(Debug, Default)]
struct Outcome {
    schema: String,
    rows: Vec<Vec<Option<String>>>,
    rejected: Vec<RejectedRow>,
    restarts: Vec<String>,
    files: Vec<FileRecord>,
    log: Vec<String>,
    changed: Vec<String>,
    is_nothing_new: bool,
}

impl Outcome {
    /// Rows as `a|b|NULL`.
    fn lines(&self) -> Vec<String> {
        let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
        self.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }
}

/// A source in a folder of its own.
struct Case {
    folder: TempDir,
    plan: CsvPlan,
    rules: ColumnRules,
    options: LoadOptions,
    hash_key: Option<Secret>,
    known: Option<Vec<FileRecord>>,
    expected: Option<Schema>,
}

impl Case {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("a.csv"), text).unwrap();
        let plan = CsvPlan {
            path: folder.path().join("a.csv").display().to_string(),
            path_secrets: Vec::new(),
            delimiter: None,
            quote: None,
            header: None,
            encoding: Encoding::Auto,
            null_values: None,
            connect_timeout_seconds: 5,
            allow_link_local: false,
        };
        let options = LoadOptions {
            target: None,
            table_prefix: String::new(),
            mode: Mode::Full,
            is_full_refresh: false,
            publish: Publish::Swap,
            primary_key: Vec::new(),
            timestamp_column: None,
            lookback: Lookback::Minutes(None),
            window: None,
            null_cursor: None,
            schema_change: SchemaPolicy::Evolve,
            bad_rows: BadRows { on_bad_row: OnBadRow::Reject, max_bad_rows: None },
            invalid_values: OnInvalidValue::Reject,
            allow_empty: false,
            expect: Expect::default(),
            batch_size: 3,
            sample_rows: 2,
        };
        Self { folder, plan, rules: ColumnRules::default(), options, hash_key: None, known: None, expected: None }
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn glob(mut self, pattern: &str) -> Self {
        self.plan.path = self.folder.path().join(pattern).display().to_string();
        self
    }

    fn declared(mut self, column: &str, column_type: &str) -> Self {
        self.rules.types.push((column.to_owned(), ColumnType::parse(column_type).unwrap()));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn open(&self) -> Result<Box<dyn Reader>, SourceError> {
        let plan = SourcePlan {
            name: "s".to_owned(),
            connection: None,
            kind: SourceKind::Csv(self.plan.clone()),
            columns: self.rules.clone(),
            hash_key: self.hash_key.clone(),
        };
        let stream = Stream::only("s");
        source::open(&plan)?.open(&ReadRequest {
            rows_max: None,
            stream: &stream,
            options: &self.options,
            lower_bound: None,
            known_files: self.known.as_deref().unwrap_or_default(),
            is_incremental: self.known.is_some(),
            expected: self.expected.as_ref(),
            ..ReadRequest::whole(&stream, &self.options, moments())
        })
    }

    fn read(&self) -> Result<Outcome, SourceError> {
        let mut reader = self.open()?;
        let mut outcome = Outcome { is_nothing_new: reader.is_nothing_new(), changed: reader.changed_files(), ..Outcome::default() };
        loop {
            match reader.read()? {
                Read::Batch(batch) => {
                    assert!(batch.num_rows() <= self.options.batch_size);
                    assert_eq!(batch.schema(), reader.schema().arrow());
                    let row = |row| (0..batch.num_columns()).map(|column| cell_text(&batch, column, row)).collect();
                    outcome.rows.extend((0..batch.num_rows()).map(row));
                }
                Read::Rejected(row) => outcome.rejected.push(row),
                Read::Restart { reason } => {
                    outcome.rows.clear();
                    outcome.rejected.clear();
                    outcome.restarts.push(reason);
                }
                Read::End => break,
            }
        }
        assert!(matches!(reader.read()?, Read::End));
        let (bytes, total) = reader.bytes();
        assert_eq!(Some(bytes), total);
        outcome.files = reader.files();
        outcome.log = reader.take_log().into_iter().map(|(_, line)| line).collect();
        let columns = reader.schema().columns.iter();
        outcome.schema = columns.map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", ");
        Ok(outcome)
    }
}

#[track_caller]
fn check(case: &Case, schema: &str, lines: &[&str]) -> Outcome {
    let outcome = case.read().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((outcome.schema.as_str(), outcome.lines()), (schema, lines.iter().map(|line| (*line).to_owned()).collect()));
    outcome
}

#[track_caller]
fn refuses(case: &Case, expected: &str) -> SourceError {
    let error = case.read().unwrap_err();
    let folder = format!("{}{}", case.folder.path().display(), std::path::MAIN_SEPARATOR);
    assert_eq!(error.to_string().replace(&folder, ""), expected);
    error
}

#[test]
fn types_are_the_narrowest_that_hold_each_value() {
    let text = "i,f,d,t,u,b,s,n\n-5,1.50,2013-01-01,2013-01-01 05:06:07.25,2013-01-01T05:00:00Z,true,007,\n,,,,,,,\n";
    check(
        &Case::new(text),
        "i bigint, f double, d date, t timestamp, u timestamp_utc, b boolean, s text, n text",
        &["-5|1.5|2013-01-01|2013-01-01T05:06:07.250000|2013-01-01T05:00:00Z|true|007|NULL", "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL"],
    );
}

#[test]
fn values_that_a_type_would_bend_make_the_column_text() {
    let text =
        "a,b,c,d,e\n9223372036854775807,0.1,2013-02-30,-0,9007199254740993\n9223372036854775808,0.10000000000000000001,2013-02-28,5,0.5\n";
    check(
        &Case::new(text),
        "a text, b text, c text, d double, e text",
        &["9223372036854775807|0.1|2013-02-30|-0.0|9007199254740993", "9223372036854775808|0.10000000000000000001|2013-02-28|5.0|0.5"],
    );
}

#[test]
fn a_later_misfit_begins_again_with_a_wider_type_and_loses_no_row() {
    let text = "a,b\n1,2013-01-01\n2,2013-01-02\n3,2013-01-03\n4,2013-01-04 10:00:00\n5.5,2013-01-05\n";
    let outcome = check(
        &Case::new(text),
        "a double, b timestamp",
        &[
            "1.0|2013-01-01T00:00:00",
            "2.0|2013-01-02T00:00:00",
            "3.0|2013-01-03T00:00:00",
            "4.0|2013-01-04T10:00:00",
            "5.5|2013-01-05T00:00:00",
        ],
    );
    assert_eq!(outcome.restarts, ["a.csv, row 4 (line 5), column b: \"2013-01-04 10:00:00\" is not a date; the column is timestamp now"]);
}

#[test]
fn nulls_are_unquoted_texts_only() {
    check(&Case::new("a,b\n,\"\"\nx,y\n"), "a text, b text", &["NULL|", "x|y"]);
    let case = Case::new("a,b\nNA,\"NA\"\n5,\n").with(|case| case.plan.null_values = Some(vec!["NA".to_owned()]));
    check(&case, "a bigint, b text", &["NULL|NA", "5|"]);
}

#[test]
fn the_usual_words_are_null_in_columns_of_numbers_and_times_only() {
    // A word stays a word among texts, when it is quoted, where nothing else is known of the column, and where null_values is declared.
    let text = "n,t,q,only,late\nNA,NA,1,NULL,1\n5,x,\"NA\",NULL,\\N\n,NULL,3,NULL,2\n";
    let rows = ["NULL|NA|1|NULL|1", "5|x|NA|NULL|NULL", "NULL|NULL|3|NULL|2"];
    check(&Case::new(text), "n bigint, t text, q text, only text, late bigint", &rows);
    let case = Case::new("n\nNA\n5\n").with(|case| case.plan.null_values = Some(vec!["-".to_owned()]));
    check(&case, "n text", &["NA", "5"]);
    // Behind the sample a text makes the column text, and the word is itself again.
    let case = Case::new("n,m\n1,1\nNA,1\nx,1\n").with(|case| case.options.sample_rows = 2);
    check(&case, "n text, m bigint", &["1|1", "NA|1", "x|1"]);
}

#[test]
fn rows_of_the_wrong_shape_are_rejected_with_place_and_reason() {
    let outcome = check(&Case::new(b"a,b\n1,x\n2\n3,y,z\n4,\"q\"r\n5,\xff\n6,n\0l\n7,z\n8,\"open"), "a bigint, b text", &["1|x", "7|z"]);
    let told: Vec<String> =
        outcome.rejected.iter().map(|row| format!("{} {:?} {} {}", row.position, row.column, row.reason, row.raw.escape_debug())).collect();
    assert_eq!(
        told,
        [
            "a.csv, row 2 (line 3) None 1 field where 2 are expected 2",
            "a.csv, row 3 (line 4) None 3 fields where 2 are expected 3,y,z",
            "a.csv, row 4 (line 5) None there is text between a closing quote and the next delimiter 4,\\\"q\\\"r",
            "a.csv, row 5 (line 6) None there are bytes that are not valid in the file's encoding 5,\\\\xff",
            "a.csv, row 6 (line 7) Some(\"b\") \"n\\u{0}l\" has a NUL character 6,n\\0l",
            "a.csv, row 8 (line 9) None a quote opens and never closes 8,\\\"open",
        ]
    );
}

#[test]
fn a_quote_that_swallows_rows_is_an_error_not_one_bad_row() {
    let expected = "a.csv, row 2 (line 3): a quote opens in this row and never closes; the rows behind it can't be told apart";
    assert!(!refuses(&Case::new("a,b\n1,x\n2,\"y\n3,z\n4,w\n"), expected).is_transient);
}

#[test]
fn declared_types_reject_what_does_not_fit() {
    let text = "a,b\n1,1.10\nx,2.5\n3,2.555\n+04,-1e1\n";
    let case = || Case::new(text).declared("a", "integer").declared("b", "decimal(5,2)");
    let outcome = check(&case(), "a integer, b decimal(5,2)", &["1|1.10", "4|-10.00"]);
    let told: Vec<String> =
        outcome.rejected.iter().map(|row| format!("{}: {}", row.column.clone().unwrap_or_default(), row.reason)).collect();
    assert_eq!(told, ["a: \"x\" does not fit integer", "b: \"2.555\" does not fit decimal(5,2)"]);
    let outcome = check(
        &case().with(|case| case.options.invalid_values = OnInvalidValue::Null),
        "a integer, b decimal(5,2)",
        &["1|1.10", "NULL|2.50", "3|NULL", "4|-10.00"],
    );
    assert!(outcome.log.contains(&"s: column a: 1 value that its type can't hold loaded as NULL".to_owned()), "{:?}", outcome.log);
    refuses(
        &case().with(|case| case.options.invalid_values = OnInvalidValue::Fail),
        "a.csv, row 2 (line 3), column a: \"x\" does not fit integer",
    );
}

#[test]
fn files_of_a_glob_are_one_stream_by_the_names_of_their_columns() {
    let case = Case::new("id,name\n1,x\n").file("b.csv", "name,id,extra\ny,2,5\n").file("c.csv", "").glob("*.csv");
    let outcome = check(&case, "id bigint, name text, extra bigint", &["1|x|NULL", "2|y|5"]);
    assert!(outcome.log.contains(&"c.csv is empty".to_owned()), "{:?}", outcome.log);
    assert_eq!(outcome.files.len(), 3);
    refuses(
        &Case::new("id,name\n1,x\n").file("b.csv", "one,two\n1,2\n").glob("*.csv"),
        "b.csv has no column of a.csv: its columns are one, two",
    );
    refuses(&Case::new("").glob("*.txt"), "no file matches *.txt");
}

#[test]
fn files_that_hold_nothing_are_told_apart() {
    check(&Case::new("id,name\n"), "id text, name text", &[]);
    refuses(&Case::new(""), "a.csv is empty: there is no column to load");
    refuses(&Case::new("x").glob("none.csv"), "open none.csv: no such file");
    let folder = Case::new("x").with(|case| case.plan.path = case.folder.path().display().to_string());
    assert_eq!(folder.read().unwrap_err().code, "invalid_path");
}

#[test]
fn only_new_and_changed_files_are_read_incrementally() {
    let case = Case::new("id\n1\n").file("b.csv", "id\n2\n").glob("*.csv");
    let known = case.read().unwrap().files;
    assert_eq!(known[0].content_hash, blake3::hash(b"id\n1\n").to_hex().to_string());
    let case = case.with(|case| case.known = Some(known));
    let outcome = check(&case, "id bigint", &[]);
    assert!(outcome.is_nothing_new && outcome.files.is_empty());
    let case = case.file("c.csv", "id\n3\n").file("b.csv", "id\n22\n");
    let outcome = check(&case, "id bigint", &["22", "3"]);
    assert_eq!(outcome.changed, [case.folder.path().join("b.csv").display().to_string()]);
    assert_eq!(outcome.files.len(), 2);
}

#[test]
fn a_file_that_changes_while_being_read_is_a_transient_error() {
    let change = |path: &Path| fs::write(path, "id\n1\n2\n3\n4\n").unwrap();
    let case = Case::new("id\n1\n2\n3\n");
    let mut reader = case.open().unwrap();
    change(Path::new(&case.plan.path));
    let error = reader.read().unwrap_err();
    assert_eq!((error.code, error.is_transient), ("file_changed", true));
    let case = Case::new("id\n1\n2\n3\n");
    let mut reader = case.open().unwrap();
    assert!(matches!(reader.read().unwrap(), Read::Batch(_)));
    change(Path::new(&case.plan.path));
    assert_eq!(reader.read().unwrap_err().code, "file_changed");
}

#[test]
fn columns_are_chosen_renamed_and_hashed() {
    let case = Case::new("id,email,x\n1,a@b.c,5\n2,,6\n").with(|case| {
        case.rules.select = vec!["email".to_owned(), "id".to_owned()];
        case.rules.rename = vec![("id".to_owned(), "key".to_owned())];
        case.rules.hash = vec!["email".to_owned()];
        case.hash_key = Some(Secret::new("k"));
    });
    let outcome = case.read().unwrap();
    assert_eq!(outcome.schema, "email text, key bigint");
    assert_eq!((outcome.rows[0][0].as_ref().unwrap().len(), outcome.rows[1][0].clone()), (64, None));
}

#[test]
fn the_read_does_not_depend_on_batch_size() {
    let text: String = (0..1000).map(|number| format!("{number},\"text {number}\"\n")).collect();
    let rows = |size| Case::new(format!("a,b\n{text}")).with(|case| case.options.batch_size = size).read().unwrap().rows;
    assert_eq!(rows(1), rows(100_000));
}

#[test]
fn a_column_without_values_keeps_the_type_it_was_published_with() {
    let published = |types: &[(&str, ColumnType)]| Some(Schema::new(types.iter().map(|(name, of)| Column::new(*name, *of)).collect()));
    let case = Case::new("a,b,c,d\n1,,,\n2,,,\n").with(|case| {
        case.rules.rename.push(("b".to_owned(), "bee".to_owned()));
        case.expected = published(&[
            ("a", ColumnType::Float64),
            ("BEE", ColumnType::Int64),
            ("c", ColumnType::Int16),
            ("d", ColumnType::Decimal { precision: 9, scale: 2 }),
        ]);
    });
    assert_eq!(case.read().unwrap().schema, "a bigint, bee bigint, c bigint, d text");
    // A value behind the sample widens the column as ever; one that fits is loaded.
    let late = |value: &str| {
        let case = Case::new(format!("a,b\n1,\n2,\n3,\n4,{value}\n")).with(|case| case.expected = published(&[("b", ColumnType::Int64)]));
        let outcome = case.read().unwrap();
        (outcome.schema.clone(), outcome.restarts.len(), outcome.lines().concat())
    };
    assert_eq!(late("7"), ("a bigint, b bigint".to_owned(), 0, "1|NULL2|NULL3|NULL4|7".to_owned()));
    assert_eq!(late("007"), ("a bigint, b text".to_owned(), 1, "1|NULL2|NULL3|NULL4|007".to_owned()));
    // The look at the whole file for another column forgets nothing.
    let case = Case::new("a,b\n1,\n2,\nx,\n").with(|case| case.expected = published(&[("b", ColumnType::Int64)]));
    assert_eq!(case.read().unwrap().schema, "a text, b bigint");
}
