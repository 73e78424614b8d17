//! PostgreSQL through psqlODBC.

use super::*;

#[test]
fn what_a_query_yields_is_what_psql_prints() {
    let sql = "SELECT 1::smallint AS s, 2::int AS i, 3::bigint AS l, true AS b, 1.5::real AS f, 0.1::double precision AS d, \
        12.50::numeric(10,2) AS n, '1.12345678901234567890'::numeric AS u, 'naïve ☃ 😀'::text AS t, 'abc'::varchar(5) AS v, 'ab'::char(4) AS c, \
        '\\x00ff0a'::bytea AS x, '2024-02-29'::date AS day, '23:59:59.999999'::time AS clock, '2024-02-29 23:59:59.999999'::timestamp AS at, \
        '2024-02-29 23:59:59.999999+02'::timestamptz AS z, '00112233-4455-6677-8899-aabbccddeeff'::uuid AS id, '{\"a\": 1}'::jsonb AS j, \
        '1 day 02:00:00'::interval AS span, '10.0.0.1'::inet AS ip, ARRAY[1,2] AS list, NULL::int AS nothing, '1234567890123.45'::money AS m";
    let outcome = Case::postgresql(sql).read().unwrap();
    assert_eq!(
        outcome.schema,
        "s smallint, i integer, l bigint, b boolean, f real, d double, n decimal(10,2), u text, t text, v text, c text, x binary, day date, \
         clock time, at timestamp, z timestamp_utc, id uuid, j text, span text, ip text, list text, nothing integer, m decimal(19,2)"
    );
    assert_eq!(
        outcome.lines,
        [
            "1|2|3|true|1.5|0.1|12.50|1.12345678901234567890|naïve ☃ 😀|abc|ab  |\\x00ff0a|2024-02-29|23:59:59.999999|2024-02-29T23:59:59.999999|\
          2024-02-29T21:59:59.999999Z|00112233-4455-6677-8899-aabbccddeeff|{\"a\": 1}|P1DT2H|10.0.0.1|{1,2}|NULL|1234567890123.45"
        ]
    );
    assert_eq!(outcome.log, ["read as text: u"]);
}

/// Makes a table in a schema of its own and returns its name.
fn table(setup: &str) -> String {
    format!("{}.t", source::postgres::conformance::schema(setup))
}

#[test]
fn text_of_every_width_is_whole_at_every_edge_of_a_place_and_of_a_piece() {
    for sign in ["a", "é", "☃", "😀"] {
        // Places hold 255 characters at first, pieces 32,767 units of two bytes.
        for (from, to) in [(1, 40), (250, 260), (505, 515), (16_380, 16_386), (32_764, 32_770)] {
            let case = Case::postgresql(&format!("SELECT n, repeat('{sign}', n) AS t FROM generate_series({from}, {to}) AS n"));
            let outcome = case.read().unwrap();
            let expected: Vec<String> = (from..=to).map(|n: usize| format!("{n}|{}", sign.repeat(n))).collect();
            assert!(outcome.lines == expected, "{from} to {to} times {sign}: {} lines", outcome.lines.len());
        }
    }
    let case = Case::postgresql(
        "SELECT n, repeat('😀', n)::varchar(20) AS t, decode(repeat('00ff', n), 'hex') AS b FROM generate_series(1, 300) AS n",
    );
    let expected: Vec<String> = (1..=300).map(|n: usize| format!("{n}|{}|\\x{}", "😀".repeat(n.min(20)), "00ff".repeat(n))).collect();
    assert!(case.read().unwrap().lines == expected);
}

#[test]
fn a_long_value_late_in_a_result_makes_the_read_begin_again_and_nothing_is_cut() {
    let sql = "SELECT n, CASE WHEN n = 900 THEN repeat('é', 100000) WHEN n % 7 = 0 THEN NULL ELSE 'x' || n END AS t, n AS m \
         FROM generate_series(1, 1000) AS n";
    let outcome = Case::postgresql(sql).read().unwrap();
    assert_eq!(outcome.restarts, 1);
    assert_eq!(outcome.lines.len(), 1000);
    assert!(outcome.lines[899] == format!("900|{}|900", "é".repeat(100_000)));
    assert_eq!((outcome.lines[6].as_str(), outcome.lines[998].as_str()), ("7|NULL|7", "999|x999|999"));
}

#[test]
fn many_rows_come_in_their_order_and_none_comes_twice() {
    let mut case = Case::postgresql("SELECT n, 'row ' || n AS t, NULLIF(n % 3, 0) AS m FROM generate_series(1, 200000) AS n ORDER BY n");
    case.options.batch_size = 65_536;
    let outcome = case.read().unwrap();
    let expected = (1..=200_000).map(|n| format!("{n}|row {n}|{}", if n % 3 == 0 { "NULL".to_owned() } else { (n % 3).to_string() }));
    assert!(outcome.lines.into_iter().eq(expected));
}

#[test]
fn a_window_is_closed_below_open_above_and_exact_to_the_microsecond() {
    let table = table(
        "CREATE TABLE {s}.t (id int PRIMARY KEY, at timestamp, z timestamptz, day date, n numeric(20,3)); \
         INSERT INTO {s}.t SELECT n, '2026-01-01 00:00:00'::timestamp + n * interval '1 microsecond', \
         '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 microsecond', '2026-01-01'::date + n, n + 0.125 FROM generate_series(1, 5) AS n; \
         INSERT INTO {s}.t VALUES (9, NULL, NULL, NULL, NULL)",
    );
    let check = |column: &str, column_type: &str, lower: &str, upper: &str, expected: &[&str]| {
        let value = |text: &str| Some(CursorValue { column_type: ColumnType::parse(column_type).unwrap(), text: text.to_owned() });
        let mut case = Case::new(connection(), Some(&table), None);
        case.rules.select = vec!["id".to_owned(), column.to_owned()];
        case.rules.select.dedup();
        case.options.timestamp_column = Some(column.to_owned());
        (case.lower, case.upper) = (value(lower), value(upper));
        let lines = case.read().unwrap().lines;
        let ids: Vec<&str> = lines.iter().map(|line| line.split('|').next().unwrap()).collect();
        assert_eq!(ids, expected, "{column}");
    };
    check("id", "integer", "2", "4", &["2", "3"]);
    check("at", "timestamp", "2026-01-01T00:00:00.000002", "2026-01-01T00:00:00.000004", &["2", "3", "9"]);
    check("z", "timestamp_utc", "2026-01-01T00:00:00.000002Z", "2026-01-01T00:00:00.000004Z", &["2", "3", "9"]);
    check("day", "date", "2026-01-03", "2026-01-05", &["2", "3", "9"]);
    check("n", "decimal(20,3)", "2.125", "4.125", &["2", "3", "9"]);
}

#[test]
fn placeholders_are_bound_in_a_query() {
    let table = table(
        "CREATE TABLE {s}.t AS SELECT n AS id, '2026-01-01'::timestamp + n * interval '1 hour' AS at FROM generate_series(1, 3) AS n",
    );
    let case = |sql: &str, column: &str, lower: Option<(&str, &str)>| {
        let mut case = Case::postgresql(&sql.replace("{t}", &table));
        case.options.timestamp_column = Some(column.to_owned());
        case.lower = lower.map(|(kind, text)| CursorValue { column_type: ColumnType::parse(kind).unwrap(), text: text.to_owned() });
        case.read().unwrap().lines
    };
    let at = Some(("timestamp", "2026-01-01T02:00:00"));
    assert_eq!(
        case("SELECT id, at FROM {t} WHERE at > :last_sync ORDER BY 1;", "at", at),
        ["2|2026-01-01T02:00:00", "3|2026-01-01T03:00:00"]
    );
    assert_eq!(case("SELECT id FROM {t} WHERE id >= :lower_bound -- ':last_sync'", "id", Some(("integer", "3"))), ["3"]);
    assert_eq!(case("SELECT id FROM {t} WHERE id > :last_sync AND at < :slot AND at < :run_started ORDER BY 1", "id", None).len(), 3);
    assert_eq!(case("SELECT id FROM {t} ORDER BY 1", "id", Some(("integer", "2"))), ["2", "3"]);
}

#[test]
fn tables_keys_and_a_line_for_people_come_from_the_catalogue() {
    let schema = source::postgres::conformance::schema(
        "CREATE TABLE {s}.orders (b int, a int, t text, PRIMARY KEY (a, b)); CREATE VIEW {s}.recent AS SELECT 1 AS one; CREATE TABLE {s}.\"Odd.name\" (id int)",
    );
    let mut case = Case::new(connection(), None, None);
    case.plan.tables = vec![format!("{schema}.*")];
    let mut source = case.source();
    let streams = source.discover().unwrap();
    let bases: Vec<&str> = streams.iter().map(|stream| stream.base.as_str()).collect();
    assert_eq!(bases, ["Odd.name", "orders", "recent"]);
    assert_eq!(source.primary_key(&streams[1]).unwrap(), ["a", "b"]);
    assert!(source.primary_key(&streams[2]).unwrap().is_empty());
    let line = source.test().unwrap();
    assert!(line.starts_with("PostgreSQL 1") && line.contains("through psqlodbcw.so") && line.ends_with("3 tables, 5 columns"), "{line}");
}

fn refused(case: &Case) -> SourceError {
    case.open().map(|_| ()).unwrap_err()
}

#[test]
fn what_keeps_it_from_being_read_is_told_with_what_to_do() {
    let table = table("CREATE TABLE {s}.t (id int); CREATE TABLE {s}.orders (id int)");
    let schema = table.trim_end_matches(".t").to_owned();
    let error = refused(&Case::new(connection(), Some(&format!("{schema}.ordrs")), None));
    assert_eq!((error.code, error.hint), ("not_found", Some(format!("did you mean {schema}.orders?"))));
    let error = refused(&Case::postgresql("SELEC 1"));
    assert_eq!(error.code, "invalid_sql", "{error:?}");
    let error = refused(&Case::postgresql(&format!("SELECT nothing FROM {table}")));
    assert_eq!(error.code, "unknown_column", "{error:?}");
    for sql in [
        format!("DELETE FROM {table} RETURNING 1"),
        format!("SELECT 1; DROP TABLE {table}"),
        String::new(),
        "SELECT 1 AS a, 2 AS \"A\"".to_owned(),
    ] {
        assert_eq!(refused(&Case::postgresql(&sql)).code, "invalid_sql", "{sql}");
    }
    let mut case = Case::new(connection(), Some(&table), None);
    case.plan.connection.password = Some(Secret::new("hunter22;DRIVER={x}"));
    let error = refused(&case);
    assert_eq!(error.code, "login_failed", "{error:?}");
    assert!(!error.message.contains("hunter22"), "{error:?}");
}

#[test]
fn writing_is_refused_or_undone() {
    let table = table(
        "CREATE TABLE {s}.t (id int); CREATE FUNCTION {s}.write() RETURNS int LANGUAGE sql AS 'INSERT INTO {s}.t VALUES (1) RETURNING id'",
    );
    let schema = table.trim_end_matches(".t");
    let error = Case::postgresql(&format!("SELECT {schema}.write() AS id")).read().unwrap_err();
    assert!(error.message.contains("read-only"), "{error:?}");
    let count = crate::connect::servers::psql(crate::connect::servers::postgresql(), "etl", &format!("SELECT count(*) FROM {table}"));
    assert_eq!(count.trim(), "0");
}

#[test]
fn no_server_no_answer_and_no_driver_are_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    let mut case = Case::postgresql("SELECT 1 AS one");
    (case.plan.connection.port, case.plan.connection.connect_timeout_seconds) = (Some(port), 1);
    let error = refused(&case);
    assert_eq!((error.code, error.is_transient), ("unreachable", true), "nobody answers: {error:?}");
    drop(closed);
    let error = refused(&case);
    assert_eq!((error.code, error.is_transient), ("unreachable", true), "nobody listens: {error:?}");
    case.plan.connection.driver = Some("No Such Driver".to_owned());
    let error = refused(&case);
    assert_eq!(error.code, "no_driver");
    assert!(
        error.message.contains("no ODBC driver is called No Such Driver; there are ") && error.message.contains("PostgreSQL Unicode"),
        "{error:?}"
    );
    assert!(error.hint.unwrap().contains("apt-cache search odbc"));
    case.plan.connection.driver = Some("/nowhere/libx.so".to_owned());
    assert_eq!(refused(&case).code, "no_driver");
}
