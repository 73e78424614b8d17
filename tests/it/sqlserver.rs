//! SQL Server as a source: FreeTDS's driver and a counterpart of the protocol, the whole program, the rows read back by SQLite's own SQL.
//! Not tested against the vendor's server.

use crate::etl::{Ended, Etl};
use crate::servers::PASSWORD;
use crate::servers::sqlserver::{SqlServer, sqlserver};

mod cursors;
mod faults;
mod logins;
mod text;

/// A workspace whose connection `erp` is a server, with more keys, and whose job `load` has one source.
fn workspace(server: &SqlServer, keys: &str, source: &str) -> Etl {
    let connection = format!("type: sqlserver, host: 127.0.0.1, port: {}, database: shop, user: etl", server.server.port);
    let encrypt = if keys.contains("encrypt:") { "" } else { ", encrypt: optional" };
    let settings =
        format!("defaults: {{max_retries: 0}}\nconnections:\n  erp: {{{connection}, password: \"${{ERP_PASSWORD}}\"{encrypt}{keys}}}\n");
    let etl = Etl::new().env("ERP_PASSWORD", PASSWORD).env("ODBCSYSINI", &server.drivers().display().to_string());
    let etl = etl.file("etlsched.yaml", settings);
    etl.file("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n  - connection: erp\n{source}"))
}

/// As [`workspace`], of the table `t`.
fn of_table(server: &SqlServer, keys: &str) -> Etl {
    workspace(server, "", &format!("    table: dbo.t\n    target: t\n{keys}"))
}

fn run(etl: &Etl) -> Ended {
    etl.run(&["run", "load"])
}

#[track_caller]
fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

/// The columns of the matrix: type, literal, and what SQLite holds then, as its own `quote` writes it.
const MATRIX: &[(&str, &str, &str)] = &[
    ("BIT", "1", "1"),
    ("TINYINT", "255", "255"),
    ("SMALLINT", "-32768", "-32768"),
    ("INT", "-2147483648", "-2147483648"),
    ("BIGINT", "-9223372036854775808", "-9223372036854775808"),
    ("BIGINT", "9223372036854775807", "9223372036854775807"),
    ("REAL", "1.5", "1.5"),
    ("FLOAT", "0.1", "0.1"),
    ("FLOAT", "1.7976931348623157e308", "1.7976931348623157e+308"),
    ("DECIMAL(38,0)", "'99999999999999999999999999999999999999'", "'99999999999999999999999999999999999999'"),
    ("DECIMAL(38,38)", "'-0.00000000000000000000000000000000000001'", "'-0.00000000000000000000000000000000000001'"),
    ("DECIMAL(38,10)", "'1234567890123456789012345678.1234567891'", "'1234567890123456789012345678.1234567891'"),
    ("NUMERIC(18,2)", "'-0.01'", "'-0.01'"),
    ("DECIMAL(12,2)", "'1.5'", "'1.50'"),
    ("MONEY", "'922337203685477.5807'", "'922337203685477.5807'"),
    ("MONEY", "'-922337203685477.5808'", "'-922337203685477.5808'"),
    ("MONEY", "'0.0001'", "'0.0001'"),
    ("SMALLMONEY", "'-214748.3648'", "'-214748.3648'"),
    ("DATE", "'0001-01-01'", "'0001-01-01'"),
    ("DATE", "'9999-12-31'", "'9999-12-31'"),
    ("DATETIME", "'2024-02-29 23:59:59.997'", "'2024-02-29T23:59:59.997000'"),
    ("DATETIME", "'1753-01-01 00:00:00.003'", "'1753-01-01T00:00:00.003000'"),
    ("SMALLDATETIME", "'2024-02-29 23:59:00'", "'2024-02-29T23:59:00'"),
    ("DATETIME2(0)", "'2024-02-29 23:59:59'", "'2024-02-29T23:59:59'"),
    ("DATETIME2(1)", "'2024-02-29 23:59:59.9'", "'2024-02-29T23:59:59.900000'"),
    ("DATETIME2(2)", "'2024-02-29 23:59:59.99'", "'2024-02-29T23:59:59.990000'"),
    ("DATETIME2(3)", "'2024-02-29 23:59:59.999'", "'2024-02-29T23:59:59.999000'"),
    ("DATETIME2(4)", "'2024-02-29 23:59:59.9999'", "'2024-02-29T23:59:59.999900'"),
    ("DATETIME2(5)", "'2024-02-29 23:59:59.99999'", "'2024-02-29T23:59:59.999990'"),
    ("DATETIME2(6)", "'9999-12-31 23:59:59.999999'", "'9999-12-31T23:59:59.999999'"),
    ("DATETIME2(7)", "'2024-02-29 23:59:59.1234567'", "'2024-02-29T23:59:59.123456700'"),
    ("DATETIMEOFFSET(7)", "'2024-02-29 23:59:59.1234567 +05:30'", "'2024-02-29T18:29:59.123456700Z'"),
    ("DATETIMEOFFSET(3)", "'2024-01-01 00:00:00.123 -08:00'", "'2024-01-01T08:00:00.123000Z'"),
    ("TIME(7)", "'23:59:59.1234567'", "'23:59:59.123456700'"),
    ("TIME(3)", "'23:59:59.123'", "'23:59:59.123000'"),
    ("TIME(0)", "'00:00:01'", "'00:00:01'"),
    ("UNIQUEIDENTIFIER", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "'6f9619ff-8b86-d011-b42d-00c04fc964ff'"),
    ("CHAR(4)", "'ab'", "'ab  '"),
    ("NCHAR(4)", "N'ü☃'", "'ü☃  '"),
    ("VARCHAR(50)", "'caf€ '", "'caf€ '"),
    ("NVARCHAR(50)", "N'naïve ☃ 𝄞 '' \"'", "'naïve ☃ 𝄞 '' \"'"),
    ("NVARCHAR(50)", "N''", "''"),
    ("VARCHAR(MAX)", "'x'", "'x'"),
    ("NVARCHAR(MAX)", "N'☃'", "'☃'"),
    ("TEXT", "'old €'", "'old €'"),
    ("NTEXT", "N'old ☃'", "'old ☃'"),
    ("XML", "N'<a b=\"é\">☃</a>'", "'<a b=\"é\">☃</a>'"),
    ("BINARY(4)", "0x01020304", "X'01020304'"),
    ("VARBINARY(20)", "0x00ff10", "X'00FF10'"),
    ("VARBINARY(MAX)", "0xdeadbeef", "X'DEADBEEF'"),
    ("IMAGE", "0x0102", "X'0102'"),
    ("ROWVERSION", "0x0000000000000102", "258"),
    ("SQL_VARIANT", "'int|7'", "'7'"),
    ("SQL_VARIANT", "'money|0.0001'", "'0.0001'"),
    ("SQL_VARIANT", "'datetime|2024-02-29 23:59:59.997'", "'2024-02-29 23:59:59.997'"),
    ("SQL_VARIANT", "'float|0.1'", "'0.1'"),
    ("SQL_VARIANT", "'nvarchar(9)|☃'", "'☃'"),
];

fn matrix() -> SqlServer {
    let columns: Vec<String> = MATRIX.iter().enumerate().map(|(place, (name, ..))| format!("c{place} {name}")).collect();
    let values: Vec<&str> = MATRIX.iter().map(|(_, value, _)| *value).collect();
    sqlserver(&format!(
        "CREATE TABLE dbo.t (id INT, {}); INSERT INTO dbo.t VALUES (1, {}); INSERT INTO dbo.t (id) VALUES (2)",
        columns.join(", "),
        values.join(", ")
    ))
}

#[test]
fn every_type_arrives_exactly() {
    let server = matrix();
    let etl = of_table(&server, "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for (place, (name, literal, expected)) in MATRIX.iter().enumerate() {
        let held = warehouse.rows(&format!("SELECT quote(c{place}) FROM t ORDER BY id"));
        assert_eq!(held, [*expected, "NULL"], "{name} {literal}");
    }
}

#[test]
fn everything_is_read_in_one_snapshot_that_is_rolled_back() {
    let server = sqlserver("CREATE TABLE dbo.t (id INT); INSERT INTO dbo.t VALUES (1)");
    run(&of_table(&server, "")).exits(0);
    let log = server.said();
    assert!(log.contains("SET TRANSACTION ISOLATION LEVEL SNAPSHOT") && log.contains("SET TEXTSIZE 2147483647"), "{log}");
    assert!(log.contains("intent=ReadOnly"), "{log}");
    // Commits are requests of type 7.
    assert!(!log.contains("transaction request 7") && log.contains("transaction request 8"), "{log}");
    server.faults(r#"{"snapshot": false}"#);
    let etl = of_table(&server, "");
    run(&etl).exits(0);
    let logs = etl.run(&["logs", "--run", "last", "-v"]);
    let told = said(&logs) + &said(&etl.run(&["run", "load", "-v"]));
    assert!(told.contains("allows no snapshot isolation"), "{told}");
    assert!(server.said().contains("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"));
}

#[test]
fn a_source_is_tested_previewed_described_and_discovered() {
    let server = sqlserver(
        "CREATE TABLE dbo.orders (id INT NOT NULL PRIMARY KEY, total DECIMAL(12,2)); INSERT INTO dbo.orders VALUES (1, '2.50'), (2, NULL);
         CREATE TABLE sales.order_lines (id INT, note NVARCHAR(9)); CREATE TABLE dbo.other (x INT);
         CREATE VIEW dbo.order_view AS SELECT id FROM dbo.orders",
    );
    let etl = workspace(&server, "", "    name: orders\n    table: dbo.orders\n");
    let tested = etl.run(&["source", "test", "load"]).exits(0);
    for text in ["Microsoft SQL Server", "2 columns", "libtdsodbc", "not against the vendor's server"] {
        assert!(tested.stdout.contains(text), "{text}: {}", tested.stdout);
    }
    let preview = etl.run(&["source", "preview", "load", "orders"]).exits(0);
    assert!(preview.stdout.contains("2.50"), "{}", preview.stdout);
    let described = etl.run(&["source", "schema", "load", "orders"]).exits(0);
    assert!(described.stdout.contains("decimal(12,2)") && described.stdout.contains("integer"), "{}", described.stdout);
    etl.run(&["validate", "--online"]).exits(0);
    let several = workspace(&server, "", "    name: erp\n    tables: [\"*.order*\"]\n");
    run(&several).exits(0);
    let warehouse = several.warehouse();
    assert_eq!(warehouse.rows("SELECT id FROM orders"), ["1", "2"]);
    assert_eq!(warehouse.rows("SELECT id FROM order_view"), ["1", "2"]);
    assert_eq!(warehouse.rows("SELECT count(*) FROM order_lines"), ["0"]);
    assert_eq!(warehouse.rows("SELECT count(*) FROM sqlite_master WHERE name = 'other'"), ["0"]);
}

#[test]
fn names_stand_in_brackets() {
    let server = sqlserver("CREATE TABLE dbo.[a ]]b] ([select] INT, [x\"y] INT); INSERT INTO dbo.[a ]]b] VALUES (1, 2)");
    let etl = workspace(&server, "", "    table: dbo.a ]b\n    target: t\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM t"), ["1|2"]);
}
