//! MariaDB through its own driver.

use super::*;
use crate::source::mysql::conformance::database;

fn connection_to(database: &str) -> OdbcConnection {
    OdbcConnection {
        host: Some("127.0.0.1".to_owned()),
        port: Some(mariadb().port),
        database: Some(database.to_owned()),
        user: Some("etl".to_owned()),
        password: Some(Secret::new(PASSWORD)),
        ..through("MariaDB Unicode", "libmaodbc.so", "odbc-mariadb")
    }
}

#[test]
fn what_a_table_holds_is_what_the_client_prints() {
    let database = database(
        "CREATE TABLE t (ti tinyint, tu tinyint unsigned, s smallint, su smallint unsigned, i int, iu int unsigned, l bigint, lu bigint unsigned, \
         f float, d double, n decimal(38,10), v varchar(20), c char(4), tx text, lt longtext, vb varbinary(10), bl longblob, day date, \
         clock time(6), dt datetime(6), ts timestamp(6) NULL, y year, b bit(1), e enum('x','ÿ'), PRIMARY KEY (i, l)); \
         INSERT INTO t VALUES (-128, 255, -32768, 65535, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 1.5, 0.1, \
         -9999999999999999999999999999.9999999999, '😀☃é', 'ab', 'naïve 😀', 'long 😀', X'00ff', X'0a00', '2024-02-29', '23:59:59.999999', \
         '9999-12-31 23:59:59.999999', '2024-02-29 23:59:59.999999', 2024, b'1', 'ÿ'); INSERT INTO t (i, l) VALUES (1, 1)",
    );
    let outcome = Case::new(connection_to(&database), Some("t"), None).read().unwrap();
    assert_eq!(
        outcome.schema,
        "ti smallint, tu smallint, s smallint, su integer, i integer, iu bigint, l bigint, lu unsigned, f real, d double, n decimal(38,10), \
         v text, c text, tx text, lt text, vb binary, bl binary, day date, clock text, dt timestamp, ts timestamp_utc, y integer, b boolean, e text"
    );
    assert_eq!(
        outcome.lines,
        [
            "-128|255|-32768|65535|-2147483648|4294967295|-9223372036854775808|18446744073709551615|1.5|0.1|\
             -9999999999999999999999999999.9999999999|😀☃é|ab|naïve 😀|long 😀|\\x00ff|\\x0a00|2024-02-29|23:59:59.999999|\
             9999-12-31T23:59:59.999999|2024-02-29T23:59:59.999999Z|2024|true|ÿ",
            "NULL|NULL|NULL|NULL|1|NULL|1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[test]
fn text_of_every_width_is_whole_at_every_edge() {
    for sign in ["a", "é", "☃", "😀"] {
        let setup = format!(
            "CREATE TABLE t (n int, v varchar(40), x longtext); INSERT INTO t SELECT seq, repeat('{sign}', seq), repeat('{sign}', seq * 409) FROM seq_1_to_40"
        );
        let case = Case::new(connection_to(&database(&setup)), Some("t"), None);
        let outcome = case.read().unwrap();
        let expected: Vec<String> = (1..=40).map(|n: usize| format!("{n}|{}|{}", sign.repeat(n), sign.repeat(n * 409))).collect();
        assert!(outcome.lines == expected, "{sign}");
    }
}

#[test]
fn keys_tables_and_windows_are_found() {
    let name = database(
        "CREATE TABLE orders (id int, at timestamp(6) NULL, PRIMARY KEY (id)); INSERT INTO orders VALUES \
        (1, '2026-01-01 00:00:00.000001'), (2, '2026-01-01 00:00:00.000002'), (3, NULL); CREATE TABLE other (id int)",
    );
    let mut case = Case::new(connection_to(&name), None, None);
    case.plan.tables = vec!["or*".to_owned()];
    let mut source = case.source();
    let streams = source.discover().unwrap();
    assert_eq!(streams.iter().map(|stream| stream.base.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert_eq!(source.primary_key(&streams[0]).unwrap(), ["id"]);
    let mut case = Case::new(connection_to(&name), Some("orders"), None);
    case.options.timestamp_column = Some("at".to_owned());
    case.lower = Some(CursorValue { column_type: ColumnType::TimestampUtc, text: "2026-01-01T00:00:00.000002Z".to_owned() });
    assert_eq!(case.read().unwrap().lines, ["2|2026-01-01T00:00:00.000002Z", "3|NULL"]);
}
