//! Tables of odd shapes: names, hundreds of columns, no row, long values.

use super::Kind::{Int, Text};
use super::{Columns, From, Kind, NULL, Pair, each, lines};

#[test]
fn names_arrive_as_they_are() {
    let names = [
        "a\"b",
        "a'b",
        "c.d",
        "sp ace",
        " before",
        "sélect ☃",
        "select",
        "UPPER",
        "%s {0} $1",
        "--",
        "a;b",
        "back`tick",
        "back\\slash",
        "_etlsched",
        "名前",
    ];
    each(|from, into| {
        // The names in a file's header are what stands between the blanks.
        let names = names.into_iter().filter(|name| from != From::Csv || name.trim() == *name);
        let columns: Vec<(&str, Kind)> = std::iter::once(("id", Int)).chain(names.clone().map(|name| (name, Text))).collect();
        let pair = Pair::of(from, into, &columns, "    primary_key: [id, \"sp ace\"]\n");
        let row: Vec<&str> = std::iter::once("1").chain(names).collect();
        pair.fill(&columns, &[&row]);
        for _ in 0..2 {
            pair.load();
            let found: Vec<String> = pair.columns("t").into_iter().map(|(name, _)| name).collect();
            let expected: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(found, expected, "{}", pair.place());
            assert_eq!(pair.rows("t", "id"), std::slice::from_ref(&row), "{}", pair.place());
        }
    });
}

#[test]
fn odd_names_of_tables_are_names() {
    each(|from, into| {
        for name in ["Sp ace's \"odd\" `t` ☃", "UPPER", "select", "a-b;c"] {
            let columns: Columns<'_> = &[("id", Int), ("t", Text)];
            let pair = Pair::new(from, into, "");
            let table = match from {
                // A part in quotes is taken as it is written.
                From::Postgresql => format!("\"{}\"", name.replace('"', "\"\"")),
                _ => name.to_owned(),
            };
            pair.job_of(
                &table,
                name,
                &format!("{}    primary_key: [id]\n    etl_config: {{mode: incremental}}\n", pair.declarations(columns)),
            );
            pair.fill_table(name, columns, &[&["1", "a"]]);
            pair.load();
            pair.fill_table(name, columns, &[&["1", "A"], &["2", ""]]);
            assert_eq!(pair.load()[..2], [1, 1], "{} {name}", pair.place());
            assert_eq!(lines(&pair.rows(name, "id")), ["1|A", "2|"], "{} {name}", pair.place());
        }
    });
}

#[test]
fn three_hundred_columns_arrive() {
    let names: Vec<String> = (0..300).map(|number| format!("column_{number}")).collect();
    let columns: Vec<(&str, Kind)> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), [Int, Text, Kind::Date][place % 3])).collect();
    let row = |number: usize| -> Vec<String> {
        let value = |place: usize| match place % 3 {
            0 => (place * 10 + number).to_string(),
            1 => format!("{place} ☃ "),
            _ => format!("2024-02-{:02}", 1 + place % 29),
        };
        (0..300).map(value).collect()
    };
    let rows = [row(0), row(1)];
    each(|from, into| {
        let pair = Pair::of(from, into, &columns, "");
        let texts: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        pair.fill(&columns, &texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for _ in 0..2 {
            pair.load();
            assert_eq!(pair.rows("t", "column_0"), rows, "{}", pair.place());
        }
    });
}

#[test]
fn an_empty_table_is_made_with_its_columns_and_empties_a_full_one() {
    let columns: Columns<'_> = &[("id", Int), ("t", Text), ("d", Kind::Decimal)];
    each(|from, into| {
        let pair = Pair::of(from, into, columns, "");
        pair.fill(columns, &[]);
        assert_eq!(pair.load(), [0, 0, 0, 0, 0], "{}", pair.place());
        assert_eq!(pair.columns("t").len(), 3, "{}", pair.place());
        assert_eq!(pair.rows("t", "id").len(), 0, "{}", pair.place());
        pair.fill(columns, &[&["1", NULL, "0.10000"]]);
        assert_eq!(pair.load(), [1, 0, 0, 0, 0], "{}", pair.place());
        assert_eq!(lines(&pair.rows("t", "id")), ["1|<null>|0.10000"], "{}", pair.place());
        pair.job(&format!("{}    allow_empty: true\n", pair.declarations(columns)));
        pair.fill(columns, &[]);
        assert_eq!(pair.load(), [0, 0, 0, 1, 0], "{}", pair.place());
        assert_eq!(pair.rows("t", "id").len(), 0, "{}", pair.place());
    });
}

#[test]
fn a_megabyte_of_text_and_of_bytes_arrives_whole() {
    for into in super::DESTINATIONS {
        for from in super::SOURCES {
            let pair = Pair::new(from, into, "");
            let text = "'\\ü☃😀\n\t ".repeat(60_000);
            match from {
                From::Csv => {
                    pair.job("    columns: {types: {b: binary}}\n");
                    pair.source(&format!("id,t,b\n1,\"{text}\",\\x{}\n", "00ff0a5c27".repeat(200_000)));
                }
                From::Sqlite => pair.source(&format!(
                    "CREATE TABLE t (id int, t text, b blob); INSERT INTO t VALUES (1, '{}', X'{}')",
                    text.replace('\'', "''"),
                    "00ff0a5c27".repeat(200_000)
                )),
                From::Postgresql => pair.source(
                    "CREATE TABLE t AS SELECT 1 AS id, repeat(E'''\\\\ü☃😀\\n\\t ', 60000) AS t, decode(repeat('00ff0a5c27', 200000), 'hex') AS b",
                ),
                From::Mysql => pair.source(
                    "CREATE TABLE t (id int, t longtext, b longblob); \
                     INSERT INTO t SELECT 1, repeat('''\\\\ü☃😀\\n\\t ', 60000), unhex(repeat('00ff0a5c27', 200000))",
                ),
            }
            for _ in 0..2 {
                pair.load();
                let rows = pair.rows("t", "id");
                assert_eq!(rows[0][1].len(), text.len(), "{}", pair.place());
                assert!(rows[0][1] == text, "{}: another text", pair.place());
                assert!(rows[0][2] == format!("\\x{}", "00ff0a5c27".repeat(200_000)), "{}: other bytes", pair.place());
            }
        }
    }
}
