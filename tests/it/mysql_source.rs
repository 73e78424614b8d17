//! MariaDB as a source: a real server, the whole program, the rows read back by SQLite's own SQL and by psql.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::etl::{Ended, Etl};
use crate::servers::mariadb::{crash_mariadb, mariadb, mariadb_root, mariadb_sql, own_mariadb};
use crate::servers::{self, PASSWORD, Server, postgresql, psql};

mod late;

static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// Makes a database of its own on a server; the setup runs in it, in UTC.
fn database_on(server: &Server, setup: &str) -> String {
    let database = format!("it_{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    mariadb_root(server, &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
    mariadb_sql(server, &database, setup);
    database
}

pub fn database(setup: &str) -> String {
    database_on(mariadb(), setup)
}

/// A workspace whose connection `shop` is a server's database, with more keys, and whose job `load` has one source.
pub fn workspace(server: &Server, database: &str, keys: &str, source: &str) -> Etl {
    let connection = format!("type: mysql, host: 127.0.0.1, port: {}, database: {database}, user: etl", server.port);
    let settings =
        format!("defaults: {{max_retries: 0}}\nconnections:\n  shop: {{{connection}, password: \"${{MARIA_PASSWORD}}\"{keys}}}\n");
    let etl = Etl::new().env("MARIA_PASSWORD", PASSWORD).file("etlsched.yaml", settings);
    etl.file("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n  - connection: shop\n    target: t\n{source}"))
}

/// As [`workspace`], of the table `t`.
fn of_table(server: &Server, database: &str, keys: &str) -> Etl {
    workspace(server, database, "", &format!("    table: t\n{keys}"))
}

#[track_caller]
fn change_settings(etl: &Etl, from: &str, to: &str) {
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    assert!(settings.contains(from), "{settings}");
    etl.write("etlsched.yaml", settings.replace(from, to));
}

fn run(etl: &Etl) -> Ended {
    etl.run(&["run", "load"])
}

/// The columns of the matrix: type, literal, what SQLite holds then (as its own `quote` writes it), and PostgreSQL: type and text.
const MATRIX: &[(&str, &str, &str, &str)] = &[
    ("boolean", "true", "1", "smallint 1"),
    ("tinyint(1)", "-128", "-128", "smallint -128"),
    ("tinyint unsigned", "255", "255", "smallint 255"),
    ("smallint", "-32768", "-32768", "smallint -32768"),
    ("smallint unsigned", "65535", "65535", "integer 65535"),
    ("mediumint", "-8388608", "-8388608", "integer -8388608"),
    ("mediumint unsigned", "16777215", "16777215", "integer 16777215"),
    ("int", "-2147483648", "-2147483648", "integer -2147483648"),
    ("int(5) unsigned zerofill", "7", "7", "bigint 7"),
    ("int unsigned", "4294967295", "4294967295", "bigint 4294967295"),
    ("bigint", "-9223372036854775808", "-9223372036854775808", "bigint -9223372036854775808"),
    ("bigint unsigned", "18446744073709551615", "'18446744073709551615'", "numeric 18446744073709551615"),
    ("bigint unsigned", "7", "'7'", "numeric 7"),
    ("float", "0.1", "0.10000000149011612", "real 0.1"),
    ("float", "16777216", "16777216.0", "real 1.6777216e+07"),
    ("double", "1.7976931348623157e308", "1.7976931348623157e+308", "double precision 1.7976931348623157e+308"),
    ("double", "0.1", "0.1", "double precision 0.1"),
    ("double(10,2)", "1234567.89", "1234567.89", "double precision 1234567.89"),
    (
        "decimal(65,30)",
        "-99999999999999999999999999999999999.999999999999999999999999999999",
        "'-99999999999999999999999999999999999.999999999999999999999999999999'",
        "numeric -99999999999999999999999999999999999.999999999999999999999999999999",
    ),
    ("decimal(12,2)", "1.5", "'1.50'", "numeric 1.50"),
    ("decimal(5,5) unsigned", "0.00001", "'0.00001'", "numeric 0.00001"),
    ("decimal(6,0) zerofill", "42", "'42'", "numeric 42"),
    ("bit(1)", "b'1'", "1", "boolean true"),
    ("bit(9)", "b'100000001'", "257", "smallint 257"),
    ("bit(64)", "18446744073709551615", "'18446744073709551615'", "numeric 18446744073709551615"),
    ("year", "2155", "2155", "smallint 2155"),
    ("year", "'0000'", "0", "smallint 0"),
    ("date", "'1000-01-01'", "'1000-01-01'", "date 1000-01-01"),
    ("date", "'9999-12-31'", "'9999-12-31'", "date 9999-12-31"),
    ("datetime", "'9999-12-31 23:59:59'", "'9999-12-31T23:59:59'", "timestamp without time zone 9999-12-31 23:59:59"),
    (
        "datetime(6)",
        "'1969-12-31 23:59:59.999999'",
        "'1969-12-31T23:59:59.999999'",
        "timestamp without time zone 1969-12-31 23:59:59.999999",
    ),
    ("datetime(2)", "'2026-01-01 00:00:00.25'", "'2026-01-01T00:00:00.250000'", "timestamp without time zone 2026-01-01 00:00:00.25"),
    ("timestamp NULL", "'2026-10-25 00:30:00'", "'2026-10-25T00:30:00Z'", "timestamp with time zone 2026-10-25 00:30:00+00"),
    (
        "timestamp(6) NULL",
        "'2038-01-19 03:14:07.999999'",
        "'2038-01-19T03:14:07.999999Z'",
        "timestamp with time zone 2038-01-19 03:14:07.999999+00",
    ),
    ("time", "'-838:59:59'", "'-838:59:59'", "text -838:59:59"),
    ("time(3)", "'26:00:00.5'", "'26:00:00.500'", "text 26:00:00.500"),
    ("char(4)", "'a '", "'a'", "text a"),
    ("varchar(5)", "''", "''", "text "),
    ("varchar(40)", "'naïve ☃ 👩‍👩‍👧 '' \"'", "'naïve ☃ 👩‍👩‍👧 '' \"'", "text naïve ☃ 👩‍👩‍👧 ' \""),
    ("varchar(9) CHARACTER SET latin1", "'é€'", "'é€'", "text é€"),
    ("text CHARACTER SET utf8mb3", "'☃ '", "'☃ '", "text ☃ "),
    ("longtext COLLATE utf8mb4_bin", "'A'", "'A'", "text A"),
    ("varchar(9) CHARACTER SET ucs2", "'ü'", "'ü'", "text ü"),
    ("varchar(9) CHARACTER SET utf32", "'😀'", "'😀'", "text 😀"),
    ("binary(3)", "X'00'", "X'000000'", "bytea \\x000000"),
    ("varbinary(3)", "X'00ff'", "X'00FF'", "bytea \\x00ff"),
    ("longblob", "X''", "X''", "bytea \\x"),
    ("enum('sad ☹','ok')", "'sad ☹'", "'sad ☹'", "text sad ☹"),
    ("set('a','b c')", "'b c,a'", "'a,b c'", "text a,b c"),
    ("json", "'{\"b\": 1,  \"a\": [null]}'", "'{\"b\": 1,  \"a\": [null]}'", "jsonb {\"a\": [null], \"b\": 1}"),
    (
        "uuid",
        "'ABABABAB-abab-abab-abab-abababababab'",
        "'abababab-abab-abab-abab-abababababab'",
        "uuid abababab-abab-abab-abab-abababababab",
    ),
    ("inet6", "'2001:db8::1'", "'2001:db8::1'", "text 2001:db8::1"),
    ("inet4", "'10.0.0.1'", "'10.0.0.1'", "text 10.0.0.1"),
    ("point", "ST_GeomFromText('POINT(1 0.1)', 4326)", "'SRID=4326;POINT(1 0.1)'", "text SRID=4326;POINT(1 0.1)"),
    (
        "geometry",
        "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(0 0),POLYGON((0 0,1 0,1 1,0 0)))')",
        "'GEOMETRYCOLLECTION(POINT(0 0),POLYGON((0 0,1 0,1 1,0 0)))'",
        "text GEOMETRYCOLLECTION(POINT(0 0),POLYGON((0 0,1 0,1 1,0 0)))",
    ),
    ("int AS (1 + 1) VIRTUAL", "DEFAULT", "2", "integer 2"),
    ("int", "NULL", "NULL", "integer NULL"),
    ("text", "NULL", "NULL", "text NULL"),
    ("json", "NULL", "NULL", "jsonb NULL"),
    ("timestamp NULL", "NULL", "NULL", "timestamp with time zone NULL"),
];

fn matrix() -> String {
    let columns: Vec<String> = MATRIX.iter().enumerate().map(|(place, (name, ..))| format!("c{place} {name}")).collect();
    let values: Vec<&str> = MATRIX.iter().map(|(_, value, ..)| *value).collect();
    database(&format!("CREATE TABLE t ({}); INSERT INTO t VALUES ({})", columns.join(", "), values.join(", ")))
}

#[test]
fn every_type_of_a_stock_server_arrives_exactly_in_sqlite() {
    let etl = of_table(mariadb(), &matrix(), "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for (place, (name, _, expected, _)) in MATRIX.iter().enumerate() {
        let found = warehouse.value(&format!("SELECT quote(c{place}) FROM t"));
        // SQLite writes a REAL with as many digits as it needs, or more.
        let is_same_number = found.parse::<f64>().is_ok() && found.parse::<f64>() == expected.parse::<f64>();
        assert!(found == *expected || is_same_number, "{name}: {found} should be {expected}");
    }
}

#[test]
fn every_type_of_a_stock_server_arrives_exactly_in_postgresql() {
    let database = matrix();
    let etl = of_table(mariadb(), &database, "").env("PG_PASSWORD", PASSWORD);
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    let keys = format!("type: postgresql, host: 127.0.0.1, port: {}, database: etl, user: etl, schema: my_{database}", postgresql().port);
    etl.write("etlsched.yaml", format!("destination: dwh\n{settings}  dwh: {{{keys}, password: \"${{PG_PASSWORD}}\"}}\n"));
    psql(postgresql(), "etl", &format!("CREATE SCHEMA my_{database}"));
    run(&etl).exits(0);
    for (place, (name, _, _, expected)) in MATRIX.iter().enumerate() {
        let sql = format!(
            "SET timezone = 'UTC'; SELECT pg_typeof(c{place})::text || ' ' || coalesce(c{place}::text, 'NULL') FROM my_{database}.t"
        );
        assert_eq!(psql(postgresql(), "etl", &sql), *expected, "{name}");
    }
}

#[test]
fn a_lax_server_s_values_are_told_and_not_bent() {
    let server = own_mariadb(&["--sql-mode="]);
    let database = database_on(
        &server,
        "CREATE TABLE t (id int PRIMARY KEY, d date, at timestamp NOT NULL, e enum('a'), n tinyint);
         INSERT INTO t VALUES (1, '2026-01-01', '2026-01-01', 'a', 300), (2, '0000-00-00', 0, 'nothing', -300), (3, '2024-02-00', '2026-01-01', 'a', 1)",
    );
    let etl = of_table(&server, &database, "    etl_config: {invalid_values: \"null\"}\n");
    run(&etl).exits(0);
    let rows = ["1|2026-01-01|2026-01-01T00:00:00Z|a|127", "2|NULL|NULL||-128", "3|NULL|2026-01-01T00:00:00Z|a|1"];
    assert_eq!(etl.warehouse().rows("SELECT * FROM t ORDER BY id"), rows);
    let etl = of_table(&server, &database, "    etl_config: {on_bad_row: reject}\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t"), ["1"]);
    let etl = of_table(&server, &database, "");
    let ended = run(&etl);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.code == Some(1) && said.contains("0000-00-00 does not fit date"), "{said}");
}

#[test]
fn keys_come_from_the_catalogue_and_changed_rows_are_merged() {
    let server = own_mariadb(&[]);
    let database = database_on(
        &server,
        "CREATE TABLE t (b varchar(9), a int, at timestamp DEFAULT now() ON UPDATE now(), x int, PRIMARY KEY (a, b));
         INSERT INTO t (b, a) VALUES ('x', 1), ('x', 2)",
    );
    let etl = of_table(&server, &database, "    etl_config: {mode: incremental, timestamp_column: at}\n");
    run(&etl).exits(0);
    mariadb_sql(&server, &database, "UPDATE t SET x = 7 WHERE a = 2; INSERT INTO t (b, a) VALUES ('y', 2)");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    assert_eq!(result["runs"][0]["records_processed"], 3, "{result}");
    assert_eq!(etl.warehouse().rows("SELECT a, b, x FROM t ORDER BY a, b"), ["1|x|NULL", "2|x|7", "2|y|NULL"]);
}

#[test]
fn a_window_is_loaded_again_by_its_ends() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at datetime(6)); INSERT INTO t SELECT seq, '2026-01-01' + INTERVAL seq DAY FROM seq_1_to_9",
    );
    let etl = of_table(mariadb(), &database, "    etl_config: {mode: incremental, timestamp_column: at}\n");
    run(&etl).exits(0);
    mariadb_sql(mariadb(), &database, "UPDATE t SET id = id + 100");
    etl.run(&["run", "load", "--since", "2026-01-03", "--until", "2026-01-05"]).exits(0);
    let rows = etl.warehouse().rows("SELECT id FROM t WHERE id > 100 ORDER BY id");
    assert_eq!(rows, ["102", "103"]);
}

#[test]
fn several_tables_are_loaded_each_into_its_own() {
    let database = database(
        "CREATE TABLE ord_a (id int PRIMARY KEY); CREATE TABLE ord_b (x varchar(9)); CREATE TABLE other (y int);
         INSERT INTO ord_a VALUES (1), (2); INSERT INTO ord_b VALUES ('b')",
    );
    let etl = workspace(mariadb(), &database, "", "    name: shop\n    tables: [\"ord_*\"]\n");
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", job.replace("    target: t\n", ""));
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM ord_a"), ["1", "2"]);
    assert_eq!(etl.warehouse().rows("SELECT x FROM ord_b"), ["b"]);
}

#[test]
fn a_source_is_tested_previewed_and_described() {
    let database = database("CREATE TABLE t (id int, total decimal(12,2)); INSERT INTO t VALUES (1, 2.5), (2, NULL)");
    let etl = of_table(mariadb(), &database, "    name: orders\n");
    let tested = etl.run(&["source", "test", "load"]).exits(0);
    assert!(tested.stdout.contains("MariaDB 10.11") && tested.stdout.contains("2 columns"), "{}", tested.stdout);
    let preview = etl.run(&["source", "preview", "load", "orders"]).exits(0);
    assert!(preview.stdout.contains("2.50"), "{}", preview.stdout);
    let described = etl.run(&["source", "schema", "load", "orders"]).exits(0);
    assert!(described.stdout.contains("decimal(12,2)") && described.stdout.contains("integer"), "{}", described.stdout);
    etl.run(&["validate", "--online"]).exits(0);
}

/// A view of far more rows than fit into what waits between server and worker.
const ENDLESS: &str = "CREATE VIEW t AS SELECT seq AS id, repeat('x', 1000) AS pad FROM seq_1_to_50000000";

#[test]
fn a_server_that_dies_amid_the_rows_leaves_the_old_table() {
    let server = own_mariadb(&[]);
    let database = database_on(&server, "CREATE TABLE t AS SELECT 1 AS id");
    let etl = of_table(&server, &database, "");
    run(&etl).exits(0);
    mariadb_sql(&server, &database, &format!("DROP TABLE t; {ENDLESS}"));
    let at_work = etl.start("load");
    crash_mariadb(&server, &[]);
    let (code, said) = at_work.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("read source t on 127.0.0.1:"), "{said}");
    assert_eq!(etl.warehouse().rows("SELECT * FROM t"), ["1"]);
    mariadb_sql(&server, &database, "DROP VIEW t; CREATE TABLE t AS SELECT 2 AS id");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t"), ["2"]);
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_stopped_run_ends_the_statement_at_the_server() {
    let database = database(ENDLESS);
    let etl = of_table(mariadb(), &database, "");
    let at_work = etl.start("load");
    let kill = Command::new("kill").args(["-TERM", &at_work.id().to_string()]).status().expect("kill starts");
    assert!(kill.success());
    assert_eq!(at_work.end().0, Some(143));
    let running =
        format!("SELECT count(*) FROM information_schema.processlist WHERE user = 'etl' AND db = '{database}' AND command <> 'Sleep'");
    servers::wait_until("the server's statement ends", || mariadb_root(mariadb(), &running) == "0");
}

#[test]
fn tls_sockets_and_urls_lead_to_the_same_rows() {
    let server = own_mariadb(&["--ssl"]);
    let database = database_on(&server, "CREATE TABLE t AS SELECT 7 AS id");
    let cipher = "    custom_sql: \"SELECT variable_value <> '' AS is_on FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'\"\n    name: s\n";
    let (ca, other) = (server.folder.join("ca.crt"), server.folder.join("other.crt"));
    let check = |keys: &str, expected: Result<&str, &str>| {
        let ended_by = workspace(&server, &database, keys, cipher);
        if keys.contains("VERIFY_IDENTITY") {
            change_settings(&ended_by, "127.0.0.1", "localhost");
        }
        let ended = run(&ended_by);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        match expected {
            Ok(value) => {
                assert_eq!(ended.code, Some(0), "{keys}: {said}");
                assert_eq!(ended_by.warehouse().value("SELECT is_on FROM t"), value, "{keys}");
            }
            Err(text) => assert!(ended.code == Some(1) && said.contains(text), "{keys}: {said}"),
        }
    };
    check(", sslmode: disable", Ok("0"));
    check("", Ok("1"));
    check(&format!(", sslmode: verify-ca, sslrootcert: {}", ca.display()), Ok("1"));
    check(&format!(", sslmode: VERIFY_IDENTITY, sslrootcert: {}", ca.display()), Ok("1"));
    check(&format!(", sslmode: verify-ca, sslrootcert: {}", other.display()), Err("set sslrootcert"));
    let socket = of_table(&server, &database, "");
    change_settings(&socket, "host: 127.0.0.1", &format!("host: {}", server.folder.join("socket").display()));
    run(&socket).exits(0);
    assert_eq!(socket.warehouse().value("SELECT id FROM t"), "7");
    let encoded: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let by_url = of_table(&server, &database, "").env("SHOP_URL", &format!("mysql://etl:{encoded}@127.0.0.1:{}/{database}", server.port));
    by_url.write("etlsched.yaml", "connections:\n  shop: {type: mysql, url: \"${SHOP_URL}\"}\n");
    run(&by_url).exits(0);
    assert_eq!(by_url.warehouse().value("SELECT id FROM t"), "7");
}

#[test]
fn errors_name_what_is_wrong_and_never_the_password() {
    let database = database("CREATE TABLE t (id int)");
    let check = |keys: &str, source: &str, expected: &[&str]| {
        let etl = workspace(mariadb(), &database, "", source);
        let (from, to) = keys.split_once(" -> ").unwrap_or(("shop", "shop"));
        change_settings(&etl, from, to);
        let ended = run(&etl);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(1), "{said}");
        let logs = etl.run(&["logs", "--run", "last"]).stdout;
        assert!(!format!("{said}{logs}").contains("hunter22") && !said.contains("pg-secret"), "{said}{logs}");
        for text in expected {
            assert!(said.contains(text), "{keys} {source}: {text:?} should be in:\n{said}");
        }
    };
    let table = "    table: t\n";
    check("\"${MARIA_PASSWORD}\" -> hunter22", table, &["Access denied", "check user, password"]);
    check(&format!("database: {database} -> database: nowhere"), table, &["Unknown database 'nowhere'", "check database"]);
    check(&format!("port: {} -> port: 1", mariadb().port), table, &["refused", "check host and port"]);
    check("", "    table: tt\n", &["there is no table tt", &format!("did you mean {database}.t?")]);
    check("", "    custom_sql: SELECT idd FROM t\n    name: s\n", &["Unknown column 'idd'"]);
    check("", "    custom_sql: SELEC\n    name: s\n", &["You have an error in your SQL syntax"]);
}

#[test]
fn memory_is_bounded_by_batches() {
    let database = database("CREATE VIEW t AS SELECT seq AS id, repeat('x', 1000) AS pad FROM seq_1_to_200000");
    let etl = of_table(mariadb(), &database, "");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "200000");
    let text = result.to_string();
    let peak = result["runs"][0]["sources"][0]["peak_memory_usage_mb"].as_f64().unwrap_or_else(|| panic!("no peak memory in {text}"));
    // 200 MB of rows.
    assert!(peak < 100.0, "{peak} MiB");
}

#[test]
fn parts_of_one_snapshot_are_refused() {
    // Sessions of MySQL can't share one without a lock on every table.
    let etl = workspace(mariadb(), "etl", "", "    table: a\n    partitions: 4\n");
    etl.run(&["validate"]).exits(4).mentions("partitions is ");
}
