//! What changes between two loads: rows by a key, windows without one, columns.

use super::Kind::{Bigint, Date, Decimal, Float, Int, Moment, Text};
use super::{Columns, From, Into, NULL, Pair, each, lines};

/// Every row is read every time: they are all as new as the newest.
const MERGED: &str = "    primary_key: [id]\n    etl_config: {mode: incremental, timestamp_column: seen, lookback_minutes: 0}\n";

const SEEN: &str = "2026-01-01 00:00:00";

#[test]
fn a_merge_finds_every_difference_and_no_other() {
    let columns: Columns<'_> = &[("id", Int), ("t", Text), ("f", Float), ("d", Decimal), ("day", Date), ("at", Moment), ("seen", Moment)];
    let same = ["a", "0.1", "1.5", "2024-02-29", "2026-01-01 00:00:00.000001", SEEN];
    // Each row changes in one thing alone.
    let changes: [(&str, usize, &str, &str); 17] = [
        ("case", 0, "a", "A"),
        ("a blank behind", 0, "a", "a "),
        ("a blank less", 0, "a  ", "a "),
        ("a blank before", 0, "a", " a"),
        ("an accent", 0, "e", "é"),
        ("an accent made of two signs", 0, "é", "e\u{301}"),
        ("a sign of no width", 0, "a", "a\u{200b}"),
        ("NULL to nothing", 0, NULL, ""),
        ("nothing to NULL", 0, "", NULL),
        ("a blank to nothing", 0, " ", ""),
        ("the last bit of a double", 1, "0.1", "0.10000000000000002"),
        ("NULL to zero", 1, NULL, "0.0"),
        ("the last digit", 2, "99999999999999.99999", "99999999999999.99998"),
        ("a day", 3, "0001-01-01", "0001-01-02"),
        ("a microsecond", 4, "2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"),
        ("a microsecond of the last year", 4, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999998"),
        ("a moment to NULL", 4, "2026-01-01 00:00:00", NULL),
    ];
    each(|from, into| {
        let pair = Pair::of(from, into, columns, MERGED);
        let ids: Vec<String> = (0..=changes.len()).map(|id| id.to_string()).collect();
        let table = |is_after: bool| -> Vec<Vec<&str>> {
            let mut rows: Vec<Vec<&str>> = vec![[&[ids[changes.len()].as_str()], &same[..]].concat()];
            for ((_, column, before, after), id) in changes.iter().zip(&ids) {
                let mut row = [&[id.as_str()], &same[..]].concat();
                row[column + 1] = if is_after { after } else { before };
                rows.push(row);
            }
            rows
        };
        let fill = |rows: Vec<Vec<&str>>| pair.fill(columns, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        fill(table(false));
        assert_eq!(pair.load(), [18, 0, 0, 0, 0], "{}", pair.place());
        let mut after = table(true);
        after.push([&["100"], &same[..]].concat());
        fill(after);
        assert_eq!(pair.load(), [1, 17, 1, 0, 0], "{}: each change by itself", pair.place());
        let rows = pair.rows("t", "id");
        for (place, (what, column, _, expected)) in changes.iter().enumerate() {
            let found = &rows[place][column + 1];
            let expected = if *column == 4 && *expected != NULL { moment(into, expected) } else { (*expected).to_owned() };
            assert_eq!(*found, expected, "{}: {what}", pair.place());
        }
        assert_eq!(rows.len(), 19, "{}", pair.place());
        if from != From::Csv {
            assert_eq!(pair.load(), [0, 0, 19, 0, 0], "{}: the same again", pair.place());
        }
    });
}

fn moment(into: Into, text: &str) -> String {
    match into {
        Into::Sqlite => text.replace(' ', "T"),
        _ => text.to_owned(),
    }
}

#[test]
fn the_sign_of_a_zero_is_a_change_where_it_is_kept() {
    let columns: Columns<'_> = &[("id", Int), ("f", Float), ("seen", Moment)];
    // SQLite and MariaDB have no other zero than 0.0, as sources too.
    for from in [From::Csv, From::Postgresql] {
        for (into, updated) in [(Into::Sqlite, 0), (Into::Postgresql, 2), (Into::Mysql, 0)] {
            let pair = Pair::of(from, into, columns, MERGED);
            pair.fill(columns, &[&["1", "-0.0", SEEN], &["2", "0.0", SEEN], &["3", "0.0", SEEN], &["4", "-0.0", SEEN], &["5", NULL, SEEN]]);
            assert_eq!(pair.load()[0], 5, "{}", pair.place());
            pair.fill(columns, &[&["1", "0.0", SEEN], &["2", "-0.0", SEEN], &["3", "0.0", SEEN], &["4", "-0.0", SEEN], &["5", NULL, SEEN]]);
            // A file that has changed is read again, whatever came of it.
            assert_eq!(pair.load(), [0, updated, 5 - updated, 0, 0], "{}", pair.place());
            let signs: Vec<String> = pair.rows("t", "id").into_iter().map(|row| row[1].clone()).collect();
            let expected = if updated == 2 { ["0.0", "-0.0", "0.0", "-0.0", NULL] } else { ["0.0", "0.0", "0.0", "0.0", NULL] };
            assert_eq!(signs, expected, "{}", pair.place());
        }
    }
}

#[test]
fn keys_of_several_columns_are_told_apart_by_their_bytes() {
    let columns: Columns<'_> = &[("k", Text), ("day", Date), ("d", Decimal), ("n", Bigint), ("v", Text), ("seen", Moment)];
    let keys = "    primary_key: [k, day, d, n]\n    etl_config: {mode: incremental, timestamp_column: seen, lookback_minutes: 0}\n";
    let key = ["a", "2024-02-29", "1.50000", "9007199254740993"];
    let others: [(usize, &str); 11] = [
        (0, "A"),
        (0, "a "),
        (0, "a  "),
        (0, "á"),
        (0, "a\u{301}"),
        (0, "😀"),
        (0, "a\\"),
        (1, "0001-01-01"),
        (2, "1.50001"),
        (2, "-99999999999999.99999"),
        (3, "9007199254740992"),
    ];
    each(|from, into| {
        let pair = Pair::of(from, into, columns, keys);
        let mut rows: Vec<Vec<&str>> = vec![[&key[..], &["x", SEEN]].concat()];
        for (column, value) in others {
            let mut row = [&key[..], &["x", SEEN]].concat();
            row[column] = value;
            rows.push(row);
        }
        let fill = |rows: &[Vec<&str>]| pair.fill(columns, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        fill(&rows);
        assert_eq!(pair.load(), [12, 0, 0, 0, 0], "{}", pair.place());
        // One after the other changes, none of the others.
        for place in [1, 2, 8] {
            rows[place][4] = "y";
            let mut fresh = rows.clone();
            fresh.rotate_left(place);
            fill(&fresh);
            assert_eq!(pair.load(), [0, 1, 11, 0, 0], "{}: row {place}", pair.place());
            rows[place][4] = "z";
            fill(&rows);
            assert_eq!(pair.load(), [0, 1, 11, 0, 0], "{}: row {place} again", pair.place());
        }
        let mut found = lines(&pair.rows("t", "v").iter().map(|row| row[..5].to_vec()).collect::<Vec<_>>());
        let mut expected: Vec<String> = rows.iter().map(|row| row[..5].join("|")).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", pair.place());
    });
}

#[test]
fn a_window_without_a_key_gives_the_same_table_again() {
    let columns: Columns<'_> = &[("id", Int), ("t", Text), ("at", Moment)];
    let keys = "    etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 1}\n";
    each(|from, into| {
        if from == From::Csv {
            return;
        }
        let pair = Pair::alone(from, into, "");
        pair.job(&format!("{}{keys}", pair.declarations(columns)));
        let first: &[&[&str]] = &[
            &["1", "a", "1969-12-31 23:59:59.999999"],
            &["2", "a", "2026-01-01 00:00:00"],
            &["2", "a", "2026-01-01 00:00:00"],
            &["3", "A ", "2026-01-01 00:00:00.000001"],
        ];
        pair.fill(columns, first);
        assert_eq!(pair.load(), [4, 0, 0, 0, 0], "{}", pair.place());
        for _ in 0..2 {
            assert_eq!(pair.load(), [3, 0, 0, 3, 0], "{}: the same window", pair.place());
            assert_eq!(pair.rows("t", "id").len(), 4, "{}", pair.place());
        }
        pair.fill(
            columns,
            &[&["2", "b", "2026-01-01 00:00:00"], &["4", "", "2026-01-01 00:05:00"], &["5", NULL, "2026-01-01 00:04:00.000001"]],
        );
        assert_eq!(pair.load(), [3, 0, 0, 3, 0], "{}: other rows in the window", pair.place());
        let expected = ["1|a", "2|b", "4|", "5|<null>"];
        let rows: Vec<Vec<String>> = pair.rows("t", "id").iter().map(|row| row[..2].to_vec()).collect();
        assert_eq!(lines(&rows), expected, "{}", pair.place());
        let ended = pair.run(&["--since", "2026-01-01T00:00:00", "--until", "2026-01-01T00:05:00", "-o", "json"]).exits(0).json();
        let source = &ended["runs"][0]["sources"][0];
        assert_eq!((&source["records_added"], &source["records_deleted"]), (&2.into(), &2.into()), "{}", pair.place());
        assert_eq!(lines(&pair.rows("t", "id").iter().map(|row| row[..2].to_vec()).collect::<Vec<_>>()), expected, "{}", pair.place());
    });
}

#[test]
fn files_without_a_key_append_once() {
    for into in super::DESTINATIONS {
        let pair = Pair::new(From::Csv, into, "    etl_config: {mode: incremental}\n");
        let job = std::fs::read_to_string(pair.etl.path("jobs/load.yaml")).expect("the job");
        pair.etl.write("jobs/load.yaml", job.replace("data/t.csv", "data/t_*.csv"));
        pair.etl.write("data/t_1.csv", "id,t\n1,a\n1,a\n");
        assert_eq!(pair.load(), [2, 0, 0, 0, 0], "{into:?}");
        assert_eq!(pair.load(), [0, 0, 0, 0, 0], "{into:?}: the same file");
        pair.etl.write("data/t_2.csv", "id,t\n2,\"\"\n");
        assert_eq!(pair.load(), [1, 0, 0, 0, 0], "{into:?}: another one");
        assert_eq!(lines(&pair.rows("t", "id")), ["1|a", "1|a", "2|"], "{into:?}");
        pair.etl.write("data/t_1.csv", "id,t\n1,b\n");
        pair.run(&[]).exits(1).mentions("t_1.csv");
        assert_eq!(lines(&pair.rows("t", "id")), ["1|a", "1|a", "2|"], "{into:?}: nothing is doubled");
    }
}

#[test]
fn a_wider_type_and_a_new_column_keep_every_old_value() {
    each(|from, into| {
        for keys in [MERGED, "", "    etl_config: {mode: incremental, timestamp_column: seen, lookback_minutes: 0}\n"] {
            if from == From::Csv && keys.contains("lookback") && !keys.contains("primary_key") {
                continue;
            }
            let place = format!("{from:?} into {into:?}, {keys}");
            let columns: Columns<'_> = &[("id", Int), ("v", Int), ("day", Date), ("seen", Moment)];
            let pair = Pair::of(from, into, columns, keys);
            pair.fill(columns, &[&["1", "-2147483648", "0001-01-01", SEEN], &["2", NULL, NULL, SEEN]]);
            pair.load();
            let columns: Columns<'_> = &[("id", Int), ("v", Bigint), ("day", Moment), ("seen", Moment), ("new", Text)];
            pair.job(&format!("{}{keys}", pair.declarations(columns)));
            let later = "2026-01-02 00:00:00";
            let fresh: &[&str] = &["3", "9223372036854775807", "9999-12-31 23:59:59.999999", later, "x "];
            let mut rows = vec![fresh];
            let old: [&[&str]; 2] = [&["1", "-2147483648", "0001-01-01 00:00:00", SEEN, NULL], &["2", NULL, NULL, SEEN, NULL]];
            if !keys.contains("primary_key") {
                rows.extend(old);
            }
            pair.fill(columns, &rows);
            pair.load();
            let at = |text: &str| match into {
                Into::Sqlite => text.replace(' ', "T"),
                Into::Postgresql => text.to_owned(),
                Into::Mysql if text.contains('.') => text.to_owned(),
                Into::Mysql => format!("{text}.000000"),
            };
            let of = |row: &Vec<String>| [0, 1, 2, 4].map(|place| row[place].clone()).join("|");
            let expected = [
                format!("1|-2147483648|{}|<null>", at("0001-01-01 00:00:00")),
                "2|<null>|<null>|<null>".to_owned(),
                format!("3|9223372036854775807|{}|x ", at("9999-12-31 23:59:59.999999")),
            ];
            assert_eq!(pair.rows("t", "id").iter().map(of).collect::<Vec<_>>(), expected, "{place}");
            let columns: Columns<'_> = &[("id", Int), ("v", Text), ("day", Text), ("seen", Moment), ("new", Text)];
            pair.job(&format!("{}{keys}", pair.declarations(columns)));
            let last = "2026-01-03 00:00:00";
            let fresh: &[&str] = &["4", "007 ", "some day", last, NULL];
            let mut rows = vec![fresh];
            let old: [&[&str]; 3] = [
                &["1", "-2147483648", "0001-01-01T00:00:00", SEEN, NULL],
                &["2", NULL, NULL, SEEN, NULL],
                &["3", "9223372036854775807", "9999-12-31T23:59:59.999999", later, "x "],
            ];
            if !keys.contains("primary_key") {
                rows.extend(old);
            }
            pair.fill(columns, &rows);
            pair.load();
            let expected = [
                "1|-2147483648|0001-01-01T00:00:00|<null>",
                "2|<null>|<null>|<null>",
                "3|9223372036854775807|9999-12-31T23:59:59.999999|x ",
                "4|007 |some day|<null>",
            ];
            assert_eq!(pair.rows("t", "id").iter().map(of).collect::<Vec<_>>(), expected, "{place}");
        }
    });
}

/// Values of each type, and the texts that they are in a column that was of their type and is text now: the same everywhere, but for
/// singles, which are the texts of doubles in MySQL.
const WIDENED: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("boolean", "false", "false"),
    ("smallint", "-32768", "-32768"),
    ("bigint", "9007199254740993", "9007199254740993"),
    ("real", "0.1", "0.1|0.10000000149011612"),
    ("real", "16777216", "16777216.0"),
    ("real", "'3.4028235e38'", "3.4028235e38|3.4028234663852886e38"),
    ("real", "'1e-45'", "1e-45|1.401298464324817e-45"),
    ("real", "1234567.9", "1234567.9|1234567.875"),
    ("double precision", "0.1", "0.1"),
    ("double precision", "1", "1.0"),
    ("double precision", "'1e15'", "1000000000000000.0"),
    ("double precision", "'1e16'", "1e16"),
    ("double precision", "'123456789012345680000'", "1.2345678901234568e20"),
    ("double precision", "'0.0001'", "0.0001"),
    ("double precision", "'0.00001'", "1e-5"),
    ("double precision", "'-1.5e-7'", "-1.5e-7"),
    ("double precision", "'5e-324'", "5e-324"),
    ("double precision", "'1.7976931348623157e308'", "1.7976931348623157e308"),
    ("double precision", "'12345678901234567000'", "1.2345678901234567e19"),
    ("double precision", "'-1e16'", "-1e16"),
    ("double precision", "'9999999999999998'", "9999999999999998.0"),
    ("double precision", "'1234567890123456.5'", "1234567890123456.5"),
    ("double precision", "'0.00012345678901234567'", "0.00012345678901234567"),
    ("double precision", "'0.000099999999999999'", "9.9999999999999e-5"),
    ("double precision", "'-2.2250738585072014e-308'", "-2.2250738585072014e-308"),
    ("double precision", "0", "0.0"),
    ("numeric(12,2)", "-0.5", "-0.50"),
    ("numeric(76,38)", "1e-38", "0.00000000000000000000000000000000000001"),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("time", "'00:00'", "00:00:00"),
    ("time", "'23:59:59.000001'", "23:59:59.000001"),
    ("timestamp", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
    ("timestamp", "'1969-12-31 00:00:00'", "1969-12-31T00:00:00"),
    ("timestamptz", "'2026-10-25 01:00:00.5+00'", "2026-10-25T01:00:00.500000Z"),
    ("timestamptz", "'0001-01-01 00:00:00+00'", "0001-01-01T00:00:00Z"),
    ("uuid", "'0191F0AA-7f00-7abc-8def-0123456789ab'", "0191f0aa-7f00-7abc-8def-0123456789ab"),
    ("json", "'null'", "null"),
];

#[test]
fn values_of_every_type_become_the_same_texts() {
    let names: Vec<String> = (0..WIDENED.len()).map(|place| format!("c{place}")).collect();
    let typed: Vec<String> = WIDENED.iter().zip(&names).map(|((kind, ..), name)| format!("{name} {kind}")).collect();
    let values: Vec<&str> = WIDENED.iter().map(|(_, value, _)| *value).collect();
    let texts: Vec<String> = names.iter().map(|name| format!("{name} text")).collect();
    for into in super::DESTINATIONS {
        let pair = Pair::new(From::Postgresql, into, MERGED);
        let (typed, values, texts) = (typed.join(", "), values.join(", "), texts.join(", "));
        let typed = format!(
            "CREATE TABLE t (id int, seen timestamp, {typed}); INSERT INTO t VALUES (1, '{SEEN}', {values}); INSERT INTO t VALUES (2, '{SEEN}')"
        );
        pair.source(&typed);
        pair.load();
        pair.source(&format!("DROP TABLE t; CREATE TABLE t (id int, seen timestamp, {texts}); INSERT INTO t VALUES (3, '{SEEN}')"));
        pair.load();
        let rows = pair.rows("t", "id");
        let wrong: Vec<String> = WIDENED
            .iter()
            .zip(&rows[0][2..])
            .map(|((kind, value, expected), found)| {
                let (expected, in_mysql) = expected.split_once('|').unwrap_or((expected, expected));
                ((kind, value, if into == Into::Mysql { in_mysql } else { expected }), found)
            })
            .filter(|((_, _, expected), found)| expected != found)
            .map(|((kind, value, expected), found)| format!("{kind} {value}: {found:?}, not {expected:?}"))
            .collect();
        assert!(wrong.is_empty(), "{}:\n{}", pair.place(), wrong.join("\n"));
        assert!(rows[1..].iter().all(|row| row[2..].iter().all(|value| value == NULL)), "{}: {rows:?}", pair.place());
        // A source that has its types again brings the same texts.
        pair.source(&format!("DROP TABLE t; {typed}"));
        let updated = u64::from(into == Into::Mysql);
        assert_eq!(pair.load(), [0, updated, 2 - updated, 0, 0], "{}", pair.place());
    }
}
