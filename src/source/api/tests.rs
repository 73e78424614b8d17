//! Literal answers, and what becomes of them.

use chrono::{TimeZone as _, Utc};

use super::conformance::plan;
use super::*;
use crate::batch::text::cell_text;
use crate::batch::{Column, Schema};
use crate::connect::servers::http::{HttpServer, Request, Response, serve};
use crate::plan::api::{ApiBody, ApiFormat, ApiMethod, ForEach, Pagination};
use crate::plan::{LoadOptions, SourceKind};
use crate::run::CursorValue;
use crate::source::{Read, RejectedRow, open};

mod requests;

fn options() -> LoadOptions {
    LoadOptions { batch_size: 1000, sample_rows: 100, ..crate::source::conformance::options() }
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
struct Told {
    schema: String,
    /// Rows, `|` between values, `-` for NULL.
    rows: Vec<String>,
    rejected: Vec<RejectedRow>,
    log: Vec<String>,
}

/// An API under test.
struct Api {
    server: HttpServer,
    plan: ApiSourcePlan,
    rules: ColumnRules,
    options: LoadOptions,
    lower_bound: Option<CursorValue>,
    expected: Option<Schema>,
    rows_max: Option<u64>,
}

impl Api {
    fn new(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let server = serve(answer);
        let plan = plan(server.url("/v1"));
        Self { server, plan, rules: ColumnRules::default(), options: options(), lower_bound: None, expected: None, rows_max: None }
    }

    /// One page of JSON.
    fn json(body: &str) -> Self {
        let body = body.to_owned();
        Self::new(move |_| Response::json(body.clone()))
    }

    /// Pages by number, the first is 1; behind the last one there is nothing in them.
    fn pages(bodies: &[&str]) -> Self {
        let bodies: Vec<String> = bodies.iter().map(|body| (*body).to_owned()).collect();
        let mut api = Self::new(move |request| {
            let number: usize = request.parameter("page").unwrap().parse().unwrap();
            Response::json(bodies.get(number - 1).cloned().unwrap_or_else(|| "[]".to_owned()))
        });
        let param = "page".to_owned();
        api.plan.pagination = Pagination::Page { param, start: 1, size_param: None, size: None, total_pages: None, has_more: None };
        api
    }

    fn source(&self) -> Box<dyn Source> {
        let kind = SourceKind::Api(Box::new(self.plan.clone()));
        open(&SourcePlan { name: "s".to_owned(), connection: None, kind, columns: self.rules.clone(), hash_key: Some(Secret::new("Jefe")) })
            .unwrap()
    }

    fn read(&self) -> Result<Told, SourceError> {
        let at = |hour| Utc.with_ymd_and_hms(2026, 1, 2, hour, 0, 0).unwrap();
        let stream = Stream::only("s");
        let whole = ReadRequest::whole(&stream, &self.options, Moments { slot: at(3), run_started: at(4) });
        let request =
            ReadRequest { lower_bound: self.lower_bound.as_ref(), expected: self.expected.as_ref(), rows_max: self.rows_max, ..whole };
        let mut reader = self.source().open(&request)?;
        let mut told = Told::default();
        loop {
            match reader.read()? {
                Read::Batch(batch) => {
                    let text = |row, column| cell_text(&batch, column, row).unwrap_or_else(|| "-".to_owned());
                    let row = |row| (0..batch.num_columns()).map(|column| text(row, column)).collect::<Vec<_>>().join("|");
                    told.rows.extend((0..batch.num_rows()).map(row));
                }
                Read::Rejected(row) => told.rejected.push(row),
                Read::Restart { .. } => panic!("it never begins again"),
                Read::End => break,
            }
        }
        let columns = reader.schema().columns.iter();
        told.schema = columns.map(|column| format!("{} {}", column.name, column.column_type)).collect::<Vec<_>>().join(", ");
        told.log = reader.take_log().into_iter().map(|(_, line)| line).collect();
        Ok(told)
    }

    #[track_caller]
    fn check(&self, schema: &str, rows: &[&str]) {
        let told = self.read().unwrap();
        assert_eq!(told.rejected, []);
        assert_eq!((told.schema.as_str(), told.rows), (schema, rows.iter().map(|row| (*row).to_owned()).collect()));
    }

    #[track_caller]
    fn fails(&self, code: &str, expected: &str) -> SourceError {
        let error = self.read().unwrap_err();
        assert!(error.code == code && error.message.contains(expected), "{error:?}");
        error
    }

    #[track_caller]
    fn rejects(&self, rows: &[&str], expected: &[(&str, Option<&str>, &str, &str)]) {
        let told = self.read().unwrap();
        assert_eq!(told.rows, rows);
        let rejected: Vec<(&str, Option<&str>, &str, &str)> =
            told.rejected.iter().map(|row| (row.position.as_str(), row.column.as_deref(), row.reason.as_str(), row.raw.as_str())).collect();
        assert_eq!(rejected, expected);
    }
}

#[test]
fn numbers_keep_every_digit() {
    let api = Api::json(
        r#"[{"i":9007199254740993,"big":18446744073709551616,"d":0.1,"m":1.10,"e":1e3,"w":123456789012345678.123456789},
            {"i":-9223372036854775808,"big":1,"d":2.5,"m":1,"e":-2E-3,"w":0}]"#,
    );
    api.check(
        "i bigint, big text, d double, m double, e double, w text",
        &["9007199254740993|18446744073709551616|0.1|1.1|1000.0|123456789012345678.123456789", "-9223372036854775808|1|2.5|1.0|-0.002|0"],
    );
    let mut declared = Api::json(r#"[{"m":12345678901234567890.0001},{"m":"7.5"},{"m":3}]"#);
    declared.rules.types = vec![("m".to_owned(), ColumnType::Decimal { precision: 38, scale: 4 })];
    declared.check("m decimal(38,4)", &["12345678901234567890.0001", "7.5000", "3.0000"]);
}

#[test]
fn a_text_is_a_time_by_its_form_and_never_a_number() {
    let api = Api::json(
        r#"[{"zip":"01234","n":"7","b":"true","day":"2026-01-31","at":"2026-01-31T06:07:08Z","local":"2026-01-31 06:07","clock":"06:07:08","e":""},
            {"zip":"99","n":"8","b":"false","day":"2026-02-01","at":"2026-01-31T06:07:08.5+02:00","local":"2026-01-31T00:00:00","clock":"23:59:59","e":null}]"#,
    );
    api.check(
        "zip text, n text, b text, day date, at timestamp_utc, local timestamp, clock time, e text",
        &[
            "01234|7|true|2026-01-31|2026-01-31T06:07:08Z|2026-01-31T06:07:00|06:07:08|",
            "99|8|false|2026-02-01|2026-01-31T04:07:08.500000Z|2026-01-31T00:00:00|23:59:59|-",
        ],
    );
}

#[test]
fn types_that_change_between_pages_widen_and_nothing_is_lost() {
    let api = Api::pages(&[
        r#"[{"a":1,"b":true,"c":"2026-01-31","d":1,"e":null,"f":9007199254740993}]"#,
        r#"[{"a":1.5,"b":"yes","c":"2026-01-31T01:02:03","d":"x","e":7,"f":0.5}]"#,
        r#"[{"a":2,"b":null,"d":[1, 2],"g":false}]"#,
    ]);
    api.check(
        "a double, b text, c timestamp, d text, e bigint, f text, g boolean",
        &["1.0|true|2026-01-31T00:00:00|1|-|9007199254740993|-", "1.5|yes|2026-01-31T01:02:03|x|7|0.5|-", "2.0|-|-|[1, 2]|-|-|false"],
    );
}

#[test]
fn objects_become_columns_to_a_depth_and_lists_stay_json() {
    let body = r#"[{"id":1,"user":{"name":"a","geo":{"x":1.50}},"tags":["a",{"b":1}],"none":[]},{"id":2,"user":null,"tags":null}]"#;
    Api::json(body)
        .check("id bigint, user__name text, user__geo json, tags json, none json", &[r#"1|a|{"x":1.50}|["a",{"b":1}]|[]"#, "2|-|-|-|-"]);
    let mut flat = Api::json(body);
    flat.plan.flatten_depth = 0;
    flat.check("id bigint, user json, tags json, none json", &[r#"1|{"name":"a","geo":{"x":1.50}}|["a",{"b":1}]|[]"#, "2|-|-|-"]);
    flat.plan.flatten_depth = 2;
    flat.check("id bigint, user__name text, user__geo__x double, tags json, none json", &[r#"1|a|1.5|["a",{"b":1}]|[]"#, "2|-|-|-|-"]);
}

#[test]
fn null_absent_and_empty_objects_are_null_and_make_no_column_of_their_own() {
    Api::json(r#"[{"a":null,"o":{}},{"o":{"x":1}},{"o":null},{}]"#).check("a text, o__x bigint", &["-|-", "-|1", "-|-", "-|-"]);
    Api::json(r#"[{"id":1,"o":{}},{"id":2,"o":null}]"#).check("id bigint, o json", &["1|{}", "2|-"]);
    Api::json(r#"[{"o":{"x":1}},{"o":"text"},{"o":[1]}]"#).check("o__x bigint, o text", &["1|-", "-|text", "-|[1]"]);
}

#[test]
fn a_column_is_one_in_any_case_and_two_values_for_it_are_rejected() {
    Api::json(r#"[{"ID":1},{"id":2},{"a__b":1},{"a":{"b":2}}]"#).check("ID bigint, a__b bigint", &["1|-", "2|-", "-|1", "-|2"]);
    let twice = "it has two values for this column";
    let api = Api::json(r#"[{"id":1,"ID":2},{"a__b":1,"a":{"b":1}},{"id":3},{"id":4,"id":4}]"#);
    api.rejects(
        &["3|-"],
        &[
            ("page 1, record 1", Some("id"), twice, r#"{"id":1,"ID":2}"#),
            ("page 1, record 2", Some("a__b"), twice, r#"{"a__b":1,"a":{"b":1}}"#),
            ("page 1, record 4", Some("id"), twice, r#"{"id":4,"id":4}"#),
        ],
    );
}

#[test]
fn values_that_do_not_fit_a_declared_type_are_rejected_with_page_and_record() {
    let mut api = Api::pages(&[r#"[{"id":1},{"id":"2"}]"#, r#"[{"id":3},{"id":"x","o":{"a":[1]}},{"id":5.5}]"#]);
    api.rules.types = vec![("id".to_owned(), ColumnType::Int32)];
    api.rejects(
        &["1|-", "2|-", "3|-"],
        &[
            ("page 2, record 2", Some("id"), "\"x\" does not fit integer", r#"{"id":"x","o":{"a":[1]}}"#),
            ("page 2, record 3", Some("id"), "\"5.5\" does not fit integer", r#"{"id":5.5}"#),
        ],
    );
    api.options.invalid_values = crate::plan::OnInvalidValue::Null;
    assert_eq!(api.read().unwrap().rows.len(), 5);
    api.options.invalid_values = crate::plan::OnInvalidValue::Fail;
    api.fails("invalid_data", "page 2, record 2, column id: \"x\" does not fit integer");
}

#[test]
fn texts_that_are_none_are_rejected() {
    let api = Api::json(r#"[{"t":"a\u0000b"},{"t":"\ud83d"},{"t":"\ud83d\ude00 \"q\"\n"}]"#);
    api.rejects(
        &["😀 \"q\"\n"],
        &[
            ("page 1, record 1", Some("t"), "its value has a NUL character", r#"{"t":"a\u0000b"}"#),
            ("page 1, record 2", Some("t"), "there is half a character (a surrogate alone)", r#"{"t":"\ud83d"}"#),
        ],
    );
}

#[test]
fn records_that_are_no_objects_become_the_column_value() {
    Api::json(r#"["a",1,null,[2]]"#).check("value text", &["a", "1", "-", "[2]"]);
    Api::json("[1,2]").check("value bigint", &["1", "2"]);
    let mut one = Api::json(r#"{"id":7,"list":[1]}"#);
    one.plan.records = Some(String::new());
    one.check("id bigint, list json", &["7|[1]"]);
}

#[test]
fn ndjson_is_read_by_lines_and_a_wrong_line_is_rejected() {
    let mut api = Api::new(|_| Response::new(200, "{\"id\":1}\r\n\n{\"id\":2,}\n{\"id\":\"3\"}\n"));
    api.plan.format = ApiFormat::Ndjson;
    api.rejects(&["1", "3"], &[("page 1, record 2", None, "it is no JSON: byte 9: expected a string", "{\"id\":2,}")]);
    let mut cut = Api::new(|_| Response::new(200, "{\"id\":1}\n{\"id\":"));
    cut.plan.format = ApiFormat::Ndjson;
    assert!(cut.fails("cut_short", "in the midst").is_transient);
}

#[test]
fn csv_is_read_by_the_rules_of_files() {
    let mut api = Api::new(|_| Response::new(200, "id;name;\"at\"\n1;\"a;b\";2026-01-31\n2;;2026-02-01\n3;x\n007;\"\";\n"));
    api.plan.format = ApiFormat::Csv;
    api.rejects(&["1|a;b|2026-01-31", "2|-|2026-02-01", "007||-"], &[("page 1, record 3", None, "2 fields where 3 are expected", "3;x")]);
    assert_eq!(api.read().unwrap().schema, "id text, name text, at date");
}

#[test]
fn answers_that_are_not_what_was_asked_for_are_told() {
    let html = Api::new(|_| Response::new(200, format!("<html><body>Please log in{}</body></html>", "x".repeat(900))));
    let error = html.fails("not_json", "the answer is not JSON: byte 1: expected a value; it begins: <html><body>Please log in");
    assert!(error.message.len() < 700 && !error.is_transient, "{error:?}");
    let mut csv = Api::new(|_| Response::new(200, "<!doctype html><p>no"));
    csv.plan.format = ApiFormat::Csv;
    csv.fails("not_json", "the answer is not CSV; it begins: <!doctype html><p>no");
    assert!(Api::json(r#"[{"id":1},{"id":2"#).fails("cut_short", "ends in the midst").is_transient);
    Api::json("").fails("not_json", "the answer is empty");
    Api::json(r#"{"error":"no rights"}"#).fails("unknown_records", r#"the answer tells of errors; it begins: {"error":"no rights"}"#);
    let part = Api::new(|_| Response::new(206, r#"[{"id":1}]"#));
    part.fails("invalid_answer", "the server answered 206 Partial Content: there is more");
    Api::json(r#"[{"id":1} {"id":2}]"#).fails("not_json", "byte 11: expected a comma or ]");
    Api::json(r#"[{"id":01}]"#).fails("not_json", "page 1, record 1: not JSON: byte 8 of the record");
    Api::json(&format!("[{}1{}]", "[".repeat(200), "]".repeat(200))).fails("invalid_data", "more than 128 deep");
    let nothing = Api::new(|_| Response::new(204, ""));
    nothing.fails("invalid_data", "no record, and nothing tells its columns");
}

#[test]
fn what_was_published_before_tells_columns_that_no_record_shows() {
    let mut api = Api::json("[]");
    let expected = [("ID", ColumnType::Int64), ("o__x", ColumnType::Date), ("j", ColumnType::Json)];
    api.expected = Some(Schema::new(expected.map(|(name, column_type)| Column::new(name, column_type)).to_vec()));
    api.rules.rename = vec![("id".to_owned(), "ID".to_owned())];
    api.check("ID bigint, o__x date, j json", &[]);
    let mut later = Api::json(r#"[{"id":1,"o":null,"j":null}]"#);
    (later.expected, later.rules) = (api.expected.clone(), api.rules.clone());
    later.check("ID bigint, j json, o__x date", &["1|-|-"]);
}

#[test]
fn columns_are_chosen_renamed_hashed_and_left_out() {
    let mut api = Api::json(r#"[{"id":1,"o":{"x":"s","y":2},"p":1}]"#);
    api.rules.select = ["o__x", "id"].map(str::to_owned).to_vec();
    api.rules.rename = vec![("o__x".to_owned(), "x".to_owned())];
    api.check("x text, id bigint", &["s|1"]);
    let mut api = Api::json(r#"[{"id":1,"id ":3,"mail":"what do ya want for nothing?"}]"#);
    api.rules.hash = vec!["mail".to_owned()];
    api.rules.exclude = vec!["id".to_owned()];
    api.check("mail text", &["5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"]);
}

#[test]
fn keys_that_are_values_are_refused_with_the_remedy() {
    let members: Vec<String> = (0..10_001).map(|number| format!("\"k{number}\":1")).collect();
    let error = Api::json(&format!("[{{{}}}]", members.join(","))).fails("invalid_data", "more than 10,000 different keys");
    assert!(error.hint.unwrap().contains("flatten_depth: 0"));
}
