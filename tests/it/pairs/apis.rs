//! JSON of an API with every destination: what the answer says is what the destination's own client reads.

use super::limits::rejects;
use super::matrix::{Case, MOMENTS, TEXTS, ZERO, all, each, moment, same};
use super::{DESTINATIONS, From, Into, NULL, Pair};
use crate::servers::http::{HttpServer, Response, serve};

/// A pair whose source is a server with one answer.
struct Answered {
    pair: Pair,
    _server: HttpServer,
}

impl Answered {
    fn new(into: Into, answer: &str, keys: &str) -> Self {
        let answer = answer.to_owned();
        let server = serve(move |_| Response::json(answer.clone()));
        let pair = Pair::new(From::Csv, into, "");
        let settings = std::fs::read_to_string(pair.etl.path("etlsched.yaml")).expect("the settings");
        let api = format!("type: api, base_url: \"{}\"", server.url("/"));
        pair.etl.write("etlsched.yaml", settings.replace("type: sqlite, path: unused.db", &api));
        let answered = Self { pair, _server: server };
        answered.job(keys);
        answered
    }

    fn job(&self, keys: &str) {
        let source = "data_sources:\n  - {name: s, target: t, connection: src, endpoint: /t";
        self.pair.etl.write("jobs/load.yaml", format!("schedule_type: manual\n{source}{keys}}}\n"));
    }
}

/// A column of one value.
fn cases() -> Vec<Case> {
    let big = "123456789012345678901234567890";
    let fraction = format!("0.{big}");
    let utc = |text: &str| moment("utc", format!("\"{text}\""), text);
    let list = format!(r#"[1,"a",null,1.10,{big},{{"b":"\u00fc\ud83d\ude00"}}]"#);
    let mut cases = vec![
        same("integer", i64::MIN),
        same("integer", i64::MAX),
        same("integer", "9007199254740993"),
        same("beyond 64 bits", big),
        same("beyond 64 bits", format!("-{big}")),
        all("decimal", "0.1", "0.1"),
        all("decimal", "-1.7976931348623157e308", "-1.7976931348623157e308"),
        all("decimal", "5e-324", "5e-324"),
        all("no double", fraction.as_str(), fraction.as_str()),
        all("no double", "1e400", "1e400"),
        each("decimal", "-0.0", ZERO),
        each("boolean", "true", ["1", "true", "1"]),
        each("boolean", "false", ["0", "false", "0"]),
        each("list", &list, [&list, &format!(r#"[1, "a", null, 1.10, {big}, {{"b": "ü😀"}}]"#), &list]),
        all("list", "[]", "[]"),
        all("escapes", r#""\u00fc\ud83d\ude00\/\"\\\t""#, "ü😀/\"\\\t"),
        moment("utc", "\"2026-10-25T02:30:00+02:00\"", "2026-10-25T00:30:00Z"),
        utc("1969-12-31T23:59:59.999999Z"),
        utc("2026-10-25T01:30:00.500000Z"),
        all("date", "\"2024-02-29\"", "2024-02-29"),
    ];
    cases.extend(TEXTS.iter().map(|text| all("text", serde_json::Value::from(*text), text)));
    cases.extend(MOMENTS.iter().map(|text| moment("timestamp", format!("\"{text}\""), text)));
    cases
}

#[test]
fn every_value_of_an_api_arrives() {
    let cases = cases();
    let members = |value: &dyn Fn(&Case) -> String| {
        cases.iter().enumerate().map(|(place, case)| format!(",\"c{place}\":{}", value(case))).collect::<String>()
    };
    let (values, nulls) = (members(&|case| case.literal.clone()), members(&|_| "null".to_owned()));
    // A record with values, one with nulls, one without members.
    let answer = format!(r#"[{{"r":1{values}}},{{"r":2{nulls}}},{{"r":3}}]"#);
    for into in DESTINATIONS {
        let Answered { pair, _server } = &Answered::new(into, &answer, "");
        for round in ["loaded", "loaded again"] {
            assert_eq!(pair.load()[0], 3);
            let rows = pair.rows("t", "r");
            assert_eq!((rows.len(), rows[0].len()), (3, cases.len() + 1), "{into:?}: {round}");
            let mut wrong = Vec::new();
            for (place, case) in cases.iter().enumerate() {
                let (found, expected) = (&rows[0][place + 1], case.expected(into));
                if found != expected {
                    wrong.push(format!("{} {}: {found:?}, not {expected:?}", case.kind, case.literal));
                }
                if [&rows[1][place + 1], &rows[2][place + 1]] != [NULL, NULL] {
                    wrong.push(format!("{} {}: no NULL", case.kind, case.literal));
                }
            }
            assert!(wrong.is_empty(), "{into:?}, {round}:\n{}", wrong.join("\n"));
        }
    }
}

#[test]
fn objects_become_columns_and_what_lies_deeper_stays_json() {
    let answer =
        r#"[{"r":1,"o":{"x":"a","y":{"z":[{},{"n":1.10}]},"e":{}}},{"r":2,"o":null},{"r":3,"o":{"x":null,"y":null,"e":null}},{"r":4}]"#;
    for into in DESTINATIONS {
        let Answered { pair, _server } = &Answered::new(into, answer, "");
        pair.load();
        let names: Vec<String> = pair.columns("t").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["r", "o__x", "o__y", "o__e"], "{into:?}");
        let json = if into == Into::Postgresql { r#"{"z": [{}, {"n": 1.10}]}"# } else { r#"{"z":[{},{"n":1.10}]}"# };
        let rows = pair.rows("t", "r");
        assert_eq!(rows[0], ["1", "a", json, "{}"], "{into:?}");
        for (row, number) in rows[1..].iter().zip(["2", "3", "4"]) {
            assert_eq!(row, &[number, NULL, NULL, NULL], "{into:?}");
        }
    }
}

#[test]
fn an_escaped_nul_in_json_goes_by_the_rule_of_invalid_values() {
    // In the second one an escaped backslash stands before `u0000`, which is a text like any other.
    let answer = r#"[{"id":1,"v":["\\u0000"]},{"id":2,"v":["a\u0000"]},{"id":3,"v":[{"k\u0000":1}]},{"id":4,"v":null}]"#;
    for into in DESTINATIONS {
        let answered = Answered::new(into, answer, ", etl_config: {on_bad_row: reject, max_bad_rows: 100}");
        let Answered { pair, _server } = &answered;
        let counts = pair.load();
        let values = || pair.rows("t", "id").into_iter().map(|row| row.join(" ")).collect::<Vec<_>>();
        if into != Into::Postgresql {
            assert_eq!(counts, [4, 0, 0, 0, 0], "{into:?}");
            assert_eq!(values(), [r#"1 ["\\u0000"]"#, r#"2 ["a\u0000"]"#, r#"3 [{"k\u0000":1}]"#, "4 <null>"], "{into:?}");
            continue;
        }
        assert_eq!(counts, [2, 0, 0, 0, 2]);
        assert_eq!(values(), [r#"1 ["\\u0000"]"#, "4 <null>"]);
        let told = rejects(pair);
        assert!(told.contains("the text is no JSON that jsonb holds") && told.contains("a\\u0000"), "{told}");
        answered.job(", etl_config: {on_bad_row: fail}");
        pair.run(&[]).exits(1).mentions("column v").mentions("row 2").mentions("the text is no JSON that jsonb holds");
        assert_eq!(values().len(), 2, "the old rows stay");
        answered.job(", etl_config: {invalid_values: \"null\"}");
        pair.load();
        assert_eq!(values(), [r#"1 ["\\u0000"]"#, "2 <null>", "3 <null>", "4 <null>"]);
    }
}
