//! Types and names beyond the matrix: what is made by extensions, what is odd, what is large, other encodings. Compared as SQLite's
//! `quote` writes it.

use super::{of_table, own_database, run, schema, sql, workspace};
use crate::etl::Etl;
use crate::servers::{PASSWORD, postgresql, psql};

/// Loads a table of these columns (type, literal, what SQLite holds) and compares each.
#[track_caller]
fn check(setup: &str, columns: &[(&str, &str, &str)]) {
    let definitions: Vec<String> = columns.iter().enumerate().map(|(place, (name, ..))| format!("c{place} {name}")).collect();
    let values: Vec<&str> = columns.iter().map(|(_, value, _)| *value).collect();
    let table = format!("CREATE TABLE {{s}}.t ({}); INSERT INTO {{s}}.t VALUES ({})", definitions.join(", "), values.join(", "));
    let etl = of_table(&schema(&format!("{setup}; {table}")), "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for (place, (name, literal, expected)) in columns.iter().enumerate() {
        assert_eq!(warehouse.value(&format!("SELECT quote(c{place}) FROM t")), *expected, "{name} {literal}");
    }
}

#[test]
fn types_that_users_and_extensions_make_arrive_exactly() {
    let setup = "CREATE EXTENSION IF NOT EXISTS hstore; CREATE TYPE {s}.mood AS ENUM ('sad, very', 'ok');
         CREATE TYPE {s}.pair AS (a int, b text); CREATE TYPE {s}.nested AS (p {s}.pair, ps {s}.pair[], at timestamptz);
         CREATE DOMAIN {s}.codes AS varchar(3)[] CHECK (VALUE <> '{}'); CREATE DOMAIN {s}.short AS numeric(4,1);
         CREATE DOMAIN {s}.shorter AS {s}.short CHECK (VALUE > 0); CREATE TYPE {s}.floats AS RANGE (subtype = float8)";
    check(
        setup,
        &[
            ("hstore", "'a=>1, \"b c\"=>NULL, d=>\"x\\\"y\"'", "'\"a\"=>\"1\", \"d\"=>\"x\\\"y\", \"b c\"=>NULL'"),
            ("{s}.mood[]", "'{\"sad, very\",NULL,ok}'", "'{\"sad, very\",NULL,ok}'"),
            ("{s}.codes", "'{a,\"b,\",NULL}'", "'{a,\"b,\",NULL}'"),
            ("{s}.shorter", "'12.25'", "'12.3'"),
            ("{s}.pair[]", "ARRAY['(1,\"a,b\")'::{s}.pair, NULL]", "'{\"(1,\\\"a,b\\\")\",NULL}'"),
            (
                "{s}.nested",
                "ROW('(1,x)', '{\"(2,y)\"}', '2026-01-01 00:00+00')",
                "'(\"(1,x)\",\"{\"\"(2,y)\"\"}\",\"2026-01-01 00:00:00+00\")'",
            ),
            ("{s}.floats", "'[0.1,1e300)'", "'[0.1,1e+300)'"),
            ("float4[]", "'{0.1,NaN,-Infinity,1e-45}'", "'{0.1,NaN,-Infinity,1e-45}'"),
            ("nummultirange", "'{[1.10,2.0),(5,)}'", "'{[1.10,2.0),(5,)}'"),
            ("tsmultirange", "'{[2026-01-01,2026-02-01)}'", "'{[\"2026-01-01 00:00:00\",\"2026-02-01 00:00:00\")}'"),
            ("int4range", "'empty'", "'empty'"),
            ("daterange", "'(,2026-01-01)'", "'(,2026-01-01)'"),
            ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb]", "'{\"{\\\"a\\\": 1}\"}'"),
            ("bytea[]", "ARRAY['\\x00ff'::bytea]", "'{\"\\\\x00ff\"}'"),
            ("timestamptz[]", "'{2026-01-01 00:00+00,infinity}'", "'{\"2026-01-01 00:00:00+00\",infinity}'"),
            ("text[][]", "'{{a,\"\"},{NULL,\"NULL\"}}'", "'{{a,\"\"},{NULL,\"NULL\"}}'"),
        ],
    );
}

#[test]
fn the_ends_of_types_arrive_exactly() {
    check(
        "SELECT 1",
        &[
            ("interval", "'178000000 years'", "'178000000 years'"),
            ("interval", "'-178000000 years -11 mons -30 days -23:59:59.999999'", "'-178000000 years -11 mons -30 days -23:59:59.999999'"),
            ("interval", "'1 mon -1 day +0.000001 s'", "'1 mon -1 days +00:00:00.000001'"),
            ("interval", "'2562047788:00:54.775807'", "'2562047788:00:54.775807'"),
            ("interval(0)", "'1.5 s'", "'00:00:02'"),
            ("timetz", "'00:00:00+15:59:59'", "'00:00:00+15:59:59'"),
            ("timetz", "'24:00:00-12'", "'24:00:00-12'"),
            ("time(0)", "'12:34:56.7'", "'12:34:57'"),
            ("timestamp(3)", "'2026-01-01 00:00:00.1235'", "'2026-01-01T00:00:00.124000'"),
            ("bit varying", "repeat('10', 100)::varbit", &format!("'{}'", "10".repeat(100))),
            ("bit(8)[]", "ARRAY[B'00000001']", "'{00000001}'"),
            ("float8", "5e-324", "4.9406564584124654e-324"),
            ("numeric", "'1e-16383'", &format!("'0.{}1'", "0".repeat(16382))),
            ("numeric", "'-9e131071'", &format!("'-9{}'", "0".repeat(131_071))),
            ("numeric(1000,-5)", "'123456789'", "'123500000'"),
            ("numeric", "'-Infinity'", "'-Infinity'"),
            ("oidvector", "'1 4294967295'", "'1 4294967295'"),
            ("regtype", "'int4'", "'integer'"),
            ("regrole", "'etl'", "'etl'"),
            ("\"char\"", "''", "''"),
            ("name", "repeat('ü', 31)", &format!("'{}'", "ü".repeat(31))),
            ("bpchar", "'a '", "'a '"),
            ("char(3)[]", "'{a}'", "'{\"a  \"}'"),
            ("money", "'92233720368547758.07'", "'92233720368547758.07'"),
            ("tid", "'(4294967295,65535)'", "'(4294967295,65535)'"),
            ("txid_snapshot", "'10:20:10,14,15'", "'10:20:10,14,15'"),
            ("circle", "'<(1,2),3>'", "'<(1,2),3>'"),
            ("line", "'{1,-1,0}'", "'{1,-1,0}'"),
            ("xml", "'<?xml version=\"1.0\"?><a>é</a>'", "'<?xml version=\"1.0\"?><a>é</a>'"),
        ],
    );
}

#[test]
fn odd_columns_and_names_arrive_under_their_names() {
    let long = "ö".repeat(31) + "x";
    let names = ["a\"b", "c.d", "sp ace", "sélect ☃", "select", &long, "tab\there", "%s {0} $1", "--", "a;b"];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = names.iter().map(|name| format!("{} int", quoted(name))).collect();
    let setup =
        format!("CREATE TABLE {{s}}.\"T. \"\"x\" ({}); INSERT INTO {{s}}.\"T. \"\"x\" VALUES (0,1,2,3,4,5,6,7,8,9)", columns.join(", "));
    let schema = schema(&setup);
    let etl = workspace(postgresql(), "", &format!("    table: '{schema}.\"T. \"\"x\"'\n    name: odd\n"));
    run(&etl).exits(0);
    for (place, name) in names.iter().enumerate() {
        assert_eq!(etl.warehouse().value(&format!("SELECT {} FROM t", quoted(name))), place.to_string(), "{name}");
    }
    let etl = of_table(&schema, "");
    sql(
        &schema,
        "CREATE TABLE {s}.t (a int GENERATED ALWAYS AS IDENTITY, gone text, b int GENERATED BY DEFAULT AS IDENTITY (START 7),
             c int GENERATED ALWAYS AS (1 + 1) STORED, d text DEFAULT 'd'); INSERT INTO {s}.t (gone) VALUES ('x'); ALTER TABLE {s}.t DROP gone;
         ALTER TABLE {s}.t ADD e text DEFAULT 'fast'",
    );
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM t"), ["1|7|2|d|fast"]);
}

#[test]
fn sixteen_hundred_columns_and_a_text_of_a_megabyte_are_read() {
    let columns: Vec<String> = (0..1600).map(|number| format!("c{number} int2 DEFAULT {number}")).collect();
    let schema = schema(&format!("CREATE TABLE {{s}}.t ({}); INSERT INTO {{s}}.t DEFAULT VALUES", columns.join(", ")));
    let etl = of_table(&schema, "");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT c0, c799, c1599 FROM t"), ["0|799|1599"]);
    sql(
        &schema,
        "DROP TABLE {s}.t; CREATE TABLE {s}.t AS SELECT 1 AS id, repeat('ü', 500000) || 'end' AS big, '' AS empty, NULL::text AS none",
    );
    let etl = of_table(&schema, "");
    run(&etl).exits(0);
    let big = "SELECT length(big), substr(big, 500001), empty = '', none IS NULL FROM t";
    assert_eq!(etl.warehouse().rows(big), ["500003|end|1|1"]);
}

#[test]
fn a_row_that_the_server_can_not_send_is_refused_with_the_reason() {
    let etl =
        workspace(postgresql(), "", "    custom_sql: SELECT repeat('x', 600000000) AS a, repeat('y', 600000000) AS b\n    name: big\n");
    run(&etl).exits(1).mentions("out of memory").mentions("a row is larger than the server can send");
}

#[test]
fn foreign_tables_are_read_as_others_are() {
    let schema = schema(
        "CREATE TABLE {s}.base (id int PRIMARY KEY, at timestamptz, total numeric(12,2)); INSERT INTO {s}.base VALUES (1, '2026-01-01 00:00+00', 2.50), (2, NULL, NULL)",
    );
    let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
    let setup = format!(
        "CREATE EXTENSION IF NOT EXISTS postgres_fdw;
         CREATE SERVER {{s}} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{}', dbname 'etl');
         CREATE USER MAPPING FOR etl SERVER {{s}} OPTIONS (user 'etl', password E'{password}');
         CREATE FOREIGN TABLE {{s}}.t (id int, at timestamptz, total numeric(12,2)) SERVER {{s}} OPTIONS (schema_name '{{s}}', table_name 'base')",
        postgresql().port
    );
    sql(&schema, &setup);
    let etl = of_table(&schema, "    primary_key: [id]\n    etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM t ORDER BY id"), ["1|2026-01-01T00:00:00Z|2.50", "2|NULL|NULL"]);
    let all = workspace(postgresql(), "", "");
    all.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources: [{{name: s, connection: erp, tables: [\"{schema}.*\"]}}]\n"));
    run(&all).exits(0);
    assert_eq!(all.warehouse().rows("SELECT count(*), (SELECT count(*) FROM base) FROM t"), ["2|2"]);
}

#[test]
fn values_beyond_every_type_go_by_the_rule_each_by_name() {
    let schema = schema(
        "CREATE TABLE {s}.t (id int, d date, ts timestamp, tz timestamptz, n numeric(5,2), f float8, tm time);
         INSERT INTO {s}.t (id) VALUES (0); INSERT INTO {s}.t (id, d) VALUES (1, 'infinity'), (2, '-infinity');
         INSERT INTO {s}.t (id, ts) VALUES (3, 'infinity'); INSERT INTO {s}.t (id, tz) VALUES (4, '-infinity');
         INSERT INTO {s}.t (id, n) VALUES (5, 'NaN'); INSERT INTO {s}.t (id, f) VALUES (6, 'NaN'), (7, 'Infinity');
         INSERT INTO {s}.t (id, tm) VALUES (8, '24:00'); INSERT INTO {s}.t (id, d) VALUES (9, '4713-01-01 BC'), (10, '5874897-12-31')",
    );
    let ids = |etl: &Etl| etl.warehouse().rows("SELECT id FROM t ORDER BY id").join(" ");
    let rejecting = of_table(&schema, "    etl_config: {on_bad_row: reject}\n");
    let ended = rejecting.run(&["run", "load", "-o", "json"]).exits(0).json();
    let rejected = &ended["runs"][0]["sources"][0]["records_rejected"];
    let kept = ids(&rejecting);
    assert_eq!((kept.split(' ').count() as u64, kept.split(' ').next()), (11 - rejected.as_u64().unwrap_or(0), Some("0")), "{ended:#}");
    for id in ["1", "2", "3", "4", "5", "6", "8"] {
        assert!(kept.split(' ').all(|kept| kept != id), "row {id} can't be held: {kept}");
    }
    let failing = run(&of_table(&schema, "")).exits(1);
    failing.mentions("row 2").mentions("column d").mentions("infinity does not fit date");
    let nulling = of_table(&schema, "    etl_config: {invalid_values: null}\n");
    run(&nulling).exits(0);
    assert_eq!(ids(&nulling), "0 1 2 3 4 5 6 7 8 9 10");
    assert_eq!(
        nulling.warehouse().value("SELECT group_concat(id || ' ' || f) FROM t WHERE id < 9 AND coalesce(d, ts, tz, n, f, tm) IS NOT NULL"),
        "7 Inf"
    );
    let as_text = of_table(&schema, "    columns: {types: {d: text, ts: text, tz: text, n: text, f: text, tm: text}}\n");
    run(&as_text).exits(0);
    let texts = as_text.warehouse().rows("SELECT coalesce(d, ts, tz, n, f, tm) FROM t ORDER BY id");
    let expected =
        ["NULL", "infinity", "-infinity", "infinity", "-infinity", "NaN", "NaN", "Infinity", "24:00:00", "4713-01-01 BC", "5874897-12-31"];
    assert_eq!(texts, expected);
}

/// Makes a database in another encoding with a table `t`, filled with bytes that psql doesn't look at.
fn encoded(encoding: &str, setup: &str, keys: &str) -> Etl {
    let (database, etl) = own_database("SELECT 1", keys);
    psql(postgresql(), "postgres", &format!("DROP DATABASE {database}"));
    psql(
        postgresql(),
        "postgres",
        &format!("CREATE DATABASE {database} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"),
    );
    psql(postgresql(), &database, setup);
    etl
}

#[test]
fn other_encodings_of_a_database_arrive_as_the_same_text() {
    let latin =
        encoded("LATIN1", "CREATE TABLE t AS SELECT 'näïve ÿ'::text AS t, ARRAY['é'] AS a; CREATE TABLE \"ü\" AS SELECT 1 AS \"ö\"", "");
    run(&latin).exits(0);
    assert_eq!(latin.warehouse().rows("SELECT t, a FROM t"), ["näïve ÿ|{é}"]);
    latin.write("jobs/load.yaml", "schedule_type: manual\ndata_sources: [{name: s, connection: erp, tables: [\"*\"]}]\n");
    latin.run(&["state", "reset", "load", "--source", "s", "--take-over", "-y"]).exits(0);
    run(&latin).exits(0);
    assert_eq!(latin.warehouse().rows("SELECT \"ö\" FROM \"ü\""), ["1"]);
}

#[test]
fn bytes_that_are_no_text_are_told_with_row_and_column() {
    let setup = "CREATE TABLE t (id int, note text, tags text[]); INSERT INTO t VALUES (1, 'ü', '{a}'), (2, E'caf\\xe9', '{b}'), (3, 'c', ARRAY[E'\\xff'])";
    let etl = encoded("SQL_ASCII", setup, "");
    run(&etl).exits(1).mentions("t, row 2, column note: ").mentions("is not valid UTF-8").mentions("convert_from");
    let etl = encoded("SQL_ASCII", setup, "    etl_config: {on_bad_row: reject}\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id, note, tags FROM t"), ["1|ü|{a}"]);
    let etl = encoded("UTF8", "CREATE TABLE t AS SELECT 1 AS id, '\\377'::\"char\" AS c", "");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT c FROM t"), "\\377");
}
