//! The type matrix: a column for each value, in one row, and a row of NULLs.

use super::{DESTINATIONS, From, Into, NULL, Pair};

/// What a destination holds then.
enum Held {
    /// All the same.
    All(String),
    /// SQLite, PostgreSQL, MySQL.
    Each([String; 3]),
}

/// A column of the matrix.
pub(super) struct Case {
    /// Its type at the source; for CSV that of `columns.types`, or nothing.
    pub(super) kind: &'static str,
    /// Its type in `columns.types`, for SQLite.
    declared: &'static str,
    /// Its value in the source's SQL, or its field in the file.
    pub(super) literal: String,
    held: Held,
}

pub(super) fn all(kind: &'static str, literal: impl ToString, held: impl ToString) -> Case {
    Case { kind, declared: "", literal: literal.to_string(), held: Held::All(held.to_string()) }
}

/// A number that is its own text.
pub(super) fn same(kind: &'static str, literal: impl ToString) -> Case {
    all(kind, literal.to_string(), literal)
}

pub(super) fn each(kind: &'static str, literal: impl ToString, held: [&str; 3]) -> Case {
    Case { kind, declared: "", literal: literal.to_string(), held: Held::Each(held.map(str::to_owned)) }
}

/// A moment: ISO 8601 in SQLite, the other two in their own ways.
pub(super) fn moment(kind: &'static str, literal: impl ToString, text: &str) -> Case {
    let zone = if text.ends_with('Z') { "+00" } else { "" };
    let plain = text.trim_end_matches('Z').replace('T', " ");
    let (second, fraction) = plain.split_once('.').unwrap_or((&plain, "000000"));
    let short = fraction.trim_end_matches('0');
    let point = if short.is_empty() { "" } else { "." };
    each(kind, literal, [text, &format!("{second}{point}{short}{zone}"), &format!("{second}.{fraction}")])
}

impl Case {
    fn declared_as(mut self, declared: &'static str) -> Self {
        self.declared = declared;
        self
    }

    pub(super) fn expected(&self, into: Into) -> &str {
        match &self.held {
            Held::All(held) => held,
            Held::Each(held) => &held[into as usize],
        }
    }
}

/// The sign of a zero: SQLite and MariaDB store none.
pub(super) const ZERO: [&str; 3] = ["0.0", "-0.0", "0.0"];

/// Loads the cases twice (the second load takes the first one's place) and compares both.
#[track_caller]
fn check(from: From, cases: &[Case]) {
    for (into, is_by_insert) in DESTINATIONS.map(|into| (into, false)).into_iter().chain([(Into::Mysql, true)]) {
        let declared: Vec<String> = cases
            .iter()
            .enumerate()
            .filter_map(|(place, case)| {
                let declared = if from == From::Csv { case.kind } else { case.declared };
                (!declared.is_empty()).then(|| format!("c{place}: \"{declared}\""))
            })
            .collect();
        let keys = if declared.is_empty() { String::new() } else { format!("    columns: {{types: {{{}}}}}\n", declared.join(", ")) };
        let pair = Pair::new(from, into, &keys);
        fill(&pair, cases);
        if is_by_insert {
            pair.by_insert();
        }
        let way = if is_by_insert { ", by INSERT" } else { "" };
        for round in ["loaded", "loaded again"] {
            pair.load();
            let rows = pair.rows("t", "r");
            assert_eq!((rows.len(), rows[0].len()), (2, cases.len() + 1), "{}: {round}", pair.place());
            let mut wrong = Vec::new();
            for (place, case) in cases.iter().enumerate() {
                let (found, expected) = (&rows[0][place + 1], case.expected(into));
                if found != expected {
                    wrong.push(format!("{} {}: {found:?}, not {expected:?}", case.kind, case.literal));
                }
                if rows[1][place + 1] != NULL {
                    wrong.push(format!("{}: {:?}, not NULL", case.kind, rows[1][place + 1]));
                }
            }
            assert!(wrong.is_empty(), "{}{way}, {round}:\n{}", pair.place(), wrong.join("\n"));
        }
    }
}

fn fill(pair: &Pair, cases: &[Case]) {
    let mut literals: Vec<String> = cases.iter().map(|case| case.literal.clone()).collect();
    if pair.from == From::Sqlite {
        // sqlite3 takes the end of a line in its input for its own.
        literals.iter_mut().for_each(|literal| *literal = literal.replace('\r', "' || char(13) || '"));
    }
    let names: Vec<String> = (0..cases.len()).map(|place| format!("c{place}")).collect();
    if pair.from == From::Csv {
        let nothing = ",".repeat(cases.len());
        return pair.source(&format!("r,{}\n1,{}\n2{nothing}\n", names.join(","), literals.join(",")));
    }
    let columns: Vec<String> = cases.iter().zip(&names).map(|(case, name)| format!("{name} {}", case.kind)).collect();
    let (columns, literals) = (columns.join(", "), literals.join(", "));
    if pair.from == From::Postgresql {
        pair.source("CREATE TYPE mood AS ENUM ('sad ☹', 'ok')");
    }
    pair.source(&format!("CREATE TABLE t (r int, {columns}); INSERT INTO t VALUES (1, {literals}); INSERT INTO t (r) VALUES (2);"));
}

/// Texts that somebody bends: blanks, cases, signs of several bytes, what is a quote or an escape somewhere.
pub(super) const TEXTS: [&str; 22] = [
    "",
    "a",
    "a ",
    "A",
    " a",
    " ",
    "😀👩‍👩‍👧",
    "e\u{301}é",
    "\u{feff}bom",
    "\u{10ffff}\u{7f}\u{1}",
    "'",
    "''\"\"`",
    "\\",
    "\\n\\\\.\\N",
    "\t",
    "a\nb\r\nc\rd",
    "\r",
    "NULL",
    "007",
    "1.10",
    "true",
    "%s {0} $1 :a ? -- /* */ ;",
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn every_byte() -> String {
    (0..=255_u8).map(|byte| format!("{byte:02x}")).collect()
}

fn nines(whole: usize, decimals: usize) -> String {
    format!("{}.{}", "9".repeat(whole), "9".repeat(decimals))
}

pub(super) const MOMENTS: [&str; 6] = [
    "0001-01-01T00:00:00",
    "1969-12-31T23:59:59.999999",
    "1970-01-01T00:00:00.000001",
    "2026-10-25T00:30:00",
    "2026-10-25T01:30:00.500000",
    "9999-12-31T23:59:59.999999",
];

const DATES: [&str; 5] = ["0001-01-01", "0999-02-28", "1969-12-31", "2024-02-29", "9999-12-31"];

const UUID: &str = "0191f0aa-7f00-7abc-8def-0123456789ab";

#[test]
fn every_value_of_postgresql_arrives() {
    let mut cases = vec![
        each("boolean", "true", ["1", "true", "1"]),
        each("boolean", "false", ["0", "false", "0"]),
        same("smallint", i16::MIN),
        same("smallint", i16::MAX),
        same("int", i32::MIN),
        same("int", i32::MAX),
        same("bigint", i64::MIN),
        same("bigint", i64::MAX),
        same("bigint", "9007199254740993"),
        all("real", "0.1", "0.10000000149011612"),
        all("real", "'3.4028235e38'", "3.4028234663852886e38"),
        all("real", "'1e-45'", "1.401298464324817e-45"),
        all("real", "16777216", "16777216.0"),
        each("real", "'-0'", ZERO),
        all("double precision", "0.1", "0.1"),
        all("double precision", "'-1.7976931348623157e308'", "-1.7976931348623157e308"),
        all("double precision", "'5e-324'", "5e-324"),
        all("double precision", "'2.2250738585072014e-308'", "2.2250738585072014e-308"),
        all("double precision", "123456789.12345679", "123456789.12345679"),
        each("double precision", "'-0'", ZERO),
        same("numeric(38,10)", nines(28, 10)),
        same("numeric(38,10)", format!("-{}", nines(28, 10))),
        same("numeric(38,10)", "0.0000000001"),
        same("numeric(65,30)", nines(35, 30)),
        same("numeric(65,30)", format!("-{}", nines(35, 30))),
        same("numeric(76,38)", nines(38, 38)),
        same("numeric(76,38)", format!("-{}", nines(38, 38))),
        same("numeric(38,38)", format!("0.{}1", "0".repeat(37))),
        same("numeric(20,0)", u64::MAX),
        all("numeric(12,2)", "1.5", "1.50"),
        all("numeric(12,2)", "-0.001", "0.00"),
        same("numeric", "1.10"),
        same("numeric", format!("{}.{}1", "9".repeat(100), "0".repeat(60))),
        all("char(4)", "'a'", "a   "),
        all("bytea", "'\\x'", "\\x"),
        all("bytea", "'\\x0000'", "\\x0000"),
        all("bytea", format!("'\\x{}'", every_byte()), format!("\\x{}", every_byte())),
        same_time("time", "'23:59:59.999999'", "23:59:59.999999"),
        same_time("time", "'00:00'", "00:00:00"),
        all("uuid", quoted(&UUID.to_uppercase()), UUID),
        each(
            "json",
            r#"'{"b": "\u00fc\ud83d\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5, "\\"]}'"#,
            [
                r#"{"b": "\u00fc\ud83d\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5, "\\"]}"#,
                r#"{"a": [123456789012345678901234567890.10, 0.0, 100000, "\\"], "b": "ü😀"}"#,
                r#"{"b": "\u00fc\ud83d\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5, "\\"]}"#,
            ],
        ),
        all("jsonb", r#"'{"b": "\u00fc", "a": null}'"#, r#"{"a": null, "b": "ü"}"#),
        all("jsonb", "'null'", "null"),
        all("mood", "'sad ☹'", "sad ☹"),
        all("int[]", "'{1,NULL}'", "{1,NULL}"),
        all("interval", "'1 mon -1 day +0.000001 s'", "1 mon -1 days +00:00:00.000001"),
        all("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
        all("money", "'-12.34'", "-12.34"),
    ];
    cases.extend(TEXTS.iter().map(|text| all("text", quoted(text), text)));
    cases.extend(DATES.iter().map(|date| all("date", quoted(date), date)));
    cases.extend(MOMENTS.iter().map(|text| moment("timestamp", quoted(text), text)));
    cases.extend(MOMENTS.iter().map(|text| moment("timestamptz", quoted(&format!("{text}Z")), &format!("{text}Z"))));
    cases.push(moment("timestamptz", "'2026-10-25 02:30:00 Europe/Paris'", "2026-10-25T01:30:00Z"));
    cases.push(moment("timestamptz", "'2026-03-29 01:59:59.999999+01'", "2026-03-29T00:59:59.999999Z"));
    check(From::Postgresql, &cases);
}

fn same_time(kind: &'static str, literal: impl ToString, text: &str) -> Case {
    let mysql = if text.contains('.') { text.to_owned() } else { format!("{text}.000000") };
    each(kind, literal, [text, text, &mysql])
}

#[test]
fn every_value_of_mysql_arrives() {
    // The client takes the end of a line in its input for its own.
    let escaped = |text: &str| quoted(&text.replace('\\', "\\\\").replace('\r', "\\r"));
    let mut cases = vec![
        all("boolean", "true", "1"),
        same("tinyint", -128),
        same("tinyint unsigned", 255),
        same("smallint", i16::MIN),
        same("smallint unsigned", u16::MAX),
        same("mediumint", -8_388_608),
        same("mediumint unsigned", 16_777_215),
        same("int", i32::MIN),
        same("int unsigned", u32::MAX),
        same("bigint", i64::MIN),
        same("bigint", i64::MAX),
        same("bigint", "9007199254740993"),
        same("bigint unsigned", u64::MAX),
        same("bigint unsigned", 0),
        all("float", "0.1", "0.10000000149011612"),
        all("float", "3.40282e38", "3.402820018375656e38"),
        all("float", "1.17549435e-38", "1.1754943508222875e-38"),
        all("float", "16777216", "16777216.0"),
        all("double", "0.1", "0.1"),
        all("double", "-1.7976931348623157e308", "-1.7976931348623157e308"),
        all("double", "2.2250738585072014e-308", "2.2250738585072014e-308"),
        all("double", "5e-324", "5e-324"),
        all("double", "123456789.12345679", "123456789.12345679"),
        // MariaDB itself keeps no sign of a zero, nor does a number without decimals have one.
        all("double", "'-0.0'", "0.0"),
        same("decimal(38,10)", nines(28, 10)),
        same("decimal(38,10)", format!("-{}", nines(28, 10))),
        same("decimal(65,30)", nines(35, 30)),
        same("decimal(65,30)", format!("-{}", nines(35, 30))),
        same("decimal(65,0)", "9".repeat(65)),
        all("decimal(12,2)", "1.5", "1.50"),
        each("bit(1)", "b'1'", ["1", "true", "1"]),
        same("bit(64)", u64::MAX),
        same("year", 2155),
        moment("timestamp(6) NULL", "'1970-01-01 00:00:01'", "1970-01-01T00:00:01Z"),
        moment("timestamp(6) NULL", "'2038-01-19 03:14:07.999999'", "2038-01-19T03:14:07.999999Z"),
        moment("timestamp(6) NULL", "'2026-10-25 00:30:00'", "2026-10-25T00:30:00Z"),
        moment("timestamp(6) NULL", "'2026-10-25 01:30:00'", "2026-10-25T01:30:00Z"),
        moment("timestamp(6) NULL", "'2026-11-01 06:30:00'", "2026-11-01T06:30:00Z"),
        all("time(6)", "'-838:59:59.999999'", "-838:59:59.999999"),
        all("time(6)", "'23:59:59.999999'", "23:59:59.999999"),
        all("char(4)", "'a '", "a"),
        all("varchar(9) CHARACTER SET latin1", "'é€'", "é€"),
        all("binary(3)", "X'00'", "\\x000000"),
        all("varbinary(9)", "X''", "\\x"),
        all("blob", format!("X'{}'", every_byte()), format!("\\x{}", every_byte())),
        all("enum('sad ☹','ok')", "'sad ☹'", "sad ☹"),
        all("set('a','b c')", "'b c,a'", "a,b c"),
        each(
            "json",
            r#"'{"b": "\\u00fc\\ud83d\\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5]}'"#,
            [
                r#"{"b": "\u00fc\ud83d\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5]}"#,
                r#"{"a": [123456789012345678901234567890.10, 0.0, 100000], "b": "ü😀"}"#,
                r#"{"b": "\u00fc\ud83d\ude00",  "a": [123456789012345678901234567890.10, -0.0, 1e5]}"#,
            ],
        ),
        all("uuid", quoted(&UUID.to_uppercase()), UUID),
    ];
    cases.extend(TEXTS.iter().map(|text| all("text", escaped(text), text)));
    cases.extend(DATES.iter().map(|date| all("date", quoted(date), date)));
    cases.extend(MOMENTS.iter().map(|text| moment("datetime(6)", quoted(text), text)));
    check(From::Mysql, &cases);
}

#[test]
fn every_value_of_sqlite_arrives() {
    let mut cases = vec![
        each("BOOLEAN", "1", ["1", "true", "1"]),
        each("BOOLEAN", "0", ["0", "false", "0"]),
        same("INTEGER", i64::MIN),
        same("INTEGER", i64::MAX),
        same("INTEGER", "9007199254740993"),
        same("INTEGER", i16::MIN).declared_as("smallint"),
        same("INTEGER", i32::MAX).declared_as("integer"),
        same("TEXT", quoted(&u64::MAX.to_string())).declared_as("unsigned"),
        all("REAL", "0.1", "0.1"),
        all("REAL", "-1.7976931348623157e308", "-1.7976931348623157e308"),
        all("REAL", "5e-324", "5e-324"),
        all("REAL", "0.1", "0.10000000149011612").declared_as("real"),
        all("REAL", "123456789.12345679", "123456789.12345679"),
        all("REAL", "-0.0", "0.0"),
        same("TEXT", quoted(&nines(28, 10))).declared_as("decimal(38,10)"),
        same("TEXT", quoted(&format!("-{}", nines(35, 30)))).declared_as("decimal(65,30)"),
        same("TEXT", quoted(&nines(38, 38))).declared_as("decimal(76,38)"),
        all("INTEGER", "12", "12.00").declared_as("decimal(12,2)"),
        all("BLOB", "X''", "\\x"),
        all("BLOB", format!("X'{}'", every_byte()), format!("\\x{}", every_byte())),
        same_time("TEXT", "'23:59:59.999999'", "23:59:59.999999").declared_as("time"),
        all("TEXT", quoted(&UUID.to_uppercase()), UUID).declared_as("uuid"),
        each(
            "TEXT",
            r#"'{"b": "\u00fc",  "a": 1234567890123456789012345678901234567890}'"#,
            [
                r#"{"b": "\u00fc",  "a": 1234567890123456789012345678901234567890}"#,
                r#"{"a": 1234567890123456789012345678901234567890, "b": "ü"}"#,
                r#"{"b": "\u00fc",  "a": 1234567890123456789012345678901234567890}"#,
            ],
        )
        .declared_as("json"),
    ];
    for case in &mut cases {
        // A quoted number is its own text without the quotes.
        if let Held::All(held) = &mut case.held {
            *held = held.trim_matches('\'').to_owned();
        }
    }
    cases.extend(TEXTS.iter().map(|text| all("TEXT", quoted(text), text)));
    cases.extend(DATES.iter().map(|date| all("TEXT", quoted(date), date).declared_as("date")));
    cases.extend(MOMENTS.iter().map(|text| moment("TEXT", quoted(text), text).declared_as("timestamp")));
    cases.extend(MOMENTS.iter().map(|text| moment("TEXT", quoted(&format!("{text}Z")), &format!("{text}Z")).declared_as("timestamptz")));
    cases.push(moment("TEXT", "'2026-10-25 02:30:00+01:00'", "2026-10-25T01:30:00Z").declared_as("timestamptz"));
    check(From::Sqlite, &cases);
}

#[test]
fn every_value_of_a_file_arrives() {
    let field = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut cases = vec![
        each("", "true", ["1", "true", "1"]),
        each("boolean", "false", ["0", "false", "0"]),
        same("", i64::MIN),
        same("", i64::MAX),
        same("", "9007199254740993"),
        same("", "007"),
        same("smallint", i16::MIN),
        same("integer", i32::MAX),
        same("unsigned", u64::MAX),
        all("", "0.1", "0.1"),
        all("", "-1.7976931348623157e308", "-1.7976931348623157e308"),
        all("", "5e-324", "5e-324"),
        each("", "-0.0", ZERO),
        all("real", "0.1", "0.10000000149011612"),
        same("decimal(38,10)", nines(28, 10)),
        same("decimal(65,30)", format!("-{}", nines(35, 30))),
        same("decimal(76,38)", nines(38, 38)),
        all("decimal(12,2)", "1.5", "1.50"),
        all("binary", format!("\\x{}", every_byte()), format!("\\x{}", every_byte())),
        same_time("time", "23:59:59.999999", "23:59:59.999999"),
        all("uuid", UUID.to_uppercase(), UUID),
        each(
            "json",
            field(r#"{"b": "\u00fc",  "a": 12345678901234567890.10}"#),
            [
                r#"{"b": "\u00fc",  "a": 12345678901234567890.10}"#,
                r#"{"a": 12345678901234567890.10, "b": "ü"}"#,
                r#"{"b": "\u00fc",  "a": 12345678901234567890.10}"#,
            ],
        ),
    ];
    cases.extend(TEXTS.iter().map(|text| all("text", field(text), text)));
    cases.extend(DATES.iter().map(|date| all("", date, date)));
    cases.extend(MOMENTS.iter().map(|text| moment("", text, text)));
    cases.extend(MOMENTS.iter().map(|text| moment("", format!("{text}Z"), &format!("{text}Z"))));
    cases.push(moment("", "2026-10-25 02:30:00+01:00", "2026-10-25T01:30:00Z"));
    check(From::Csv, &cases);
}
