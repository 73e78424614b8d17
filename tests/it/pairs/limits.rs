//! What a destination can't hold is rejected with its place and the reason, or goes by the rule that the job names; it is never bent.

use super::{From, NULL, Pair};

const REJECTING: &str = "    etl_config: {on_bad_row: reject, max_bad_rows: 100}\n";
const FAILING: &str = "    etl_config: {on_bad_row: fail}\n";
const NULLING: &str = "    etl_config: {invalid_values: \"null\"}\n";

/// A value that one or more destinations can't hold.
struct Odd {
    /// The column's type at the source.
    kind: &'static str,
    /// The column's type in the job, where the source doesn't tell.
    declared: &'static str,
    literal: &'static str,
    /// What SQLite, PostgreSQL and MySQL hold then; `Err` is a part of the reason why they don't.
    held: [Result<&'static str, &'static str>; 3],
}

fn odd(kind: &'static str, literal: &'static str, held: [Result<&'static str, &'static str>; 3]) -> Odd {
    Odd { kind, declared: "", literal, held }
}

fn declared(kind: &'static str, declared: &'static str, literal: &'static str, held: [Result<&'static str, &'static str>; 3]) -> Odd {
    Odd { kind, declared, literal, held }
}

/// Loads each value between two rows that are right, by each rule.
#[track_caller]
fn check(from: From, odds: &[Odd]) {
    for into in super::DESTINATIONS {
        for odd in odds {
            let what = format!("{from:?} into {into:?}: {} {}", odd.kind, odd.literal);
            let types =
                if odd.declared.is_empty() { String::new() } else { format!("    columns: {{types: {{v: \"{}\"}}}}\n", odd.declared) };
            let pair = Pair::new(from, into, &format!("{types}{REJECTING}"));
            match from {
                From::Csv => pair.source(&format!("id,v\n1,\n2,{}\n3,\n", odd.literal)),
                _ => pair.source(&format!(
                    "CREATE TABLE t (id int, v {}); INSERT INTO t VALUES (1, NULL); INSERT INTO t VALUES (2, {}); INSERT INTO t VALUES (3, NULL);",
                    odd.kind, odd.literal
                )),
            }
            let counts = pair.load();
            let rows = pair.rows("t", "id");
            let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
            match odd.held[into as usize] {
                Ok(held) => {
                    assert_eq!((counts, &*ids), ([3, 0, 0, 0, 0], &["1", "2", "3"][..]), "{what}");
                    assert_eq!(rows[1][1], held, "{what}");
                }
                Err(reason) => {
                    assert_eq!((counts, &*ids), ([2, 0, 0, 0, 1], &["1", "3"][..]), "{what}");
                    let rejects = rejects(&pair);
                    assert!(rejects.contains(reason), "{what}: no {reason:?} in {rejects}");
                    pair.job(&format!("{types}{FAILING}"));
                    pair.run(&[]).exits(1).mentions("column v").mentions(if from == From::Csv { "line 3" } else { "row 2" });
                    assert_eq!(pair.rows("t", "id").len(), 2, "{what}: the old rows stay");
                    pair.job(&format!("{types}{NULLING}"));
                    assert_eq!(pair.load(), [3, 0, 0, 2, 0], "{what}");
                    assert_eq!(pair.rows("t", "id")[1], ["2", NULL], "{what}");
                    let told = if from == From::Csv { "loaded as NULL" } else { "became NULL (invalid_values: null)" };
                    pair.etl.run(&["logs", "--run", "last"]).exits(0).mentions(told);
                }
            }
        }
    }
}

/// Returns the rejected rows of a pair's runs.
pub(super) fn rejects(pair: &Pair) -> String {
    let listing = pair.etl.listing();
    let is_rejects = |path: &std::path::Path| path.to_string_lossy().contains("/rejects/");
    let files = listing.iter().filter(|(path, _)| is_rejects(path)).filter_map(|(_, content)| content.as_ref());
    files.map(|content| String::from_utf8_lossy(content).into_owned()).collect()
}

const YEAR: &str = "year";

#[test]
fn what_postgresql_has_alone_is_rejected_where_it_has_no_place() {
    check(
        From::Postgresql,
        &[
            odd("float8", "'infinity'", [Ok("inf"), Ok("inf"), Err("infinity")]),
            odd("float8", "'-infinity'", [Ok("-inf"), Ok("-inf"), Err("infinity")]),
            odd("float8", "'NaN'", [Err("NaN"), Ok("NaN"), Err("NaN")]),
            odd("float4", "'NaN'", [Err("NaN"), Ok("NaN"), Err("NaN")]),
            odd("float4", "'infinity'", [Ok("inf"), Ok("inf"), Err("infinity")]),
            odd("numeric(5,2)", "'NaN'", [Err("NaN"); 3]),
            odd("date", "'infinity'", [Err("infinity"); 3]),
            odd("timestamp", "'-infinity'", [Err("infinity"); 3]),
            odd("timestamptz", "'infinity'", [Err("infinity"); 3]),
            odd("date", "'0044-03-15 BC'", [Err(YEAR), Ok("0044-03-15 BC"), Err(YEAR)]),
            odd("date", "'0001-12-31 BC'", [Ok("0000-12-31"), Ok("0001-12-31 BC"), Err(YEAR)]),
            odd("date", "'10000-01-01'", [Err(YEAR), Ok("10000-01-01"), Err(YEAR)]),
            odd("timestamp", "'4713-11-24 00:00:00 BC'", [Err(YEAR), Ok("4713-11-24 00:00:00 BC"), Err(YEAR)]),
            odd("timestamp", "'294246-12-31 23:59:59.999999'", [Err(YEAR), Ok("294246-12-31 23:59:59.999999"), Err(YEAR)]),
            odd("timestamp", "'294276-12-31 23:59:59.999999'", [Err("294276-12-31"); 3]),
            odd("timestamptz", "'9999-12-31 23:59:59.999999-01'", [Err(YEAR), Ok("10000-01-01 00:59:59.999999+00"), Err(YEAR)]),
            odd("timestamptz", "'0001-01-01 00:00:00+01'", [Ok("0000-12-31T23:00:00Z"), Ok("0001-12-31 23:00:00+00 BC"), Err(YEAR)]),
            odd("time", "'24:00:00'", [Err("24:00"); 3]),
        ],
    );
}

#[test]
fn what_mysql_has_alone_is_rejected_where_it_has_no_place() {
    check(
        From::Mysql,
        &[
            odd("text", "'a\\0b'", [Err("does not fit text"); 3]),
            odd("json", "'{\"a\": \"\\\\u0000\"}'", [Ok("{\"a\": \"\\u0000\"}"), Err("jsonb"), Ok("{\"a\": \"\\u0000\"}")]),
            declared("varchar(99)", "time", "'24:00:00'", [Err("24:00"); 3]),
            declared("time", "time", "'-00:00:01'", [Err("-00:00:01"); 3]),
            declared("varchar(9)", "integer", "'12x'", [Err("12x"); 3]),
        ],
    );
}

#[test]
fn what_sqlite_holds_in_a_column_is_rejected_where_it_does_not_fit() {
    check(
        From::Sqlite,
        &[
            odd("REAL", "9e999", [Ok("inf"), Ok("inf"), Err("infinity")]),
            odd("REAL", "-9e999", [Ok("-inf"), Ok("-inf"), Err("infinity")]),
            odd("TEXT", "'a' || char(0) || 'b'", [Err("does not fit text"); 3]),
            declared("TEXT", "date", "'10000-01-01'", [Err("10000-01-01"); 3]),
            declared("TEXT", "date", "'2023-02-29'", [Err("2023-02-29"); 3]),
            declared("TEXT", "date", "'0000-12-31'", [Err("0000-12-31"); 3]),
            declared("INTEGER", "smallint", "32768", [Err("32768"); 3]),
            declared("TEXT", "decimal(5,2)", "'1000.00'", [Err("1000.00"); 3]),
            declared("TEXT", "decimal(5,2)", "'1.005'", [Err("1.005"); 3]),
            declared("TEXT", "json", "'{'", [Err("{"); 3]),
        ],
    );
}

#[test]
fn what_a_file_says_is_rejected_where_it_does_not_fit() {
    check(
        From::Csv,
        &[
            declared("", "text", "a\0b", [Err("NUL character"); 3]),
            declared("", "double", "inf", [Err("inf"); 3]),
            declared("", "unsigned", "18446744073709551616", [Err("18446744073709551616"); 3]),
            declared("", "bigint", "9223372036854775808", [Err("9223372036854775808"); 3]),
            declared("", "date", "0000-12-31", [Err("0000-12-31"); 3]),
            declared("", "timestamp", "9999-12-31T24:00:00", [Err("24:00"); 3]),
            declared("", "json", "{", [Err("{"); 3]),
        ],
    );
}
