//! Drivers that answer what the standard doesn't allow, and drivers that wait for ever amid the rows: the run ends, says why, and the old rows stay.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::etl::{Ended, Etl};
use crate::servers::oracle::{ORACLE_PASSWORD, oracle};
use crate::servers::sqlserver::sqlserver;
use crate::servers::{PASSWORD, driver_file, postgresql, psql};

fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

/// A workspace with a connection `c`, whose job `load` reads a table into `t`.
fn workspace(connection: &str, password: &str, table: &str) -> Etl {
    let settings = format!("connections:\n  c: {{{connection}, host: 127.0.0.1, user: etl, password: \"${{C_PASSWORD}}\"}}\n");
    let job = format!("schedule_type: manual\ndata_sources:\n  - connection: c\n    table: {table}\n    target: t\n");
    Etl::new().env("C_PASSWORD", password).file("etlsched.yaml", settings).file("jobs/load.yaml", job)
}

/// What a driver of one column answers: some rows, and then what comes in place of a row.
fn answers(amid: &str) -> String {
    let catalogue = "? ALL_TAB_COLUMNS\nCOLUMN_NAME VARCHAR2(128)|DATA_TYPE VARCHAR2(128)|DATA_PRECISION VARCHAR2(40)|DATA_SCALE VARCHAR2(40)\n\
         ID|NUMBER|10|0\n\n";
    format!("{catalogue}? \"T\" WHERE 1 = 0\nID NUMBER(10)\n\n? FROM \"T\"\nID NUMBER(10)\nx 3 #\n{amid}")
}

#[test]
fn a_return_code_that_may_not_be_is_an_error_and_no_end_of_the_rows() {
    // SQL_STILL_EXECUTING, SQL_NEED_DATA, SQL_INVALID_HANDLE, and codes that nobody has ever defined.
    for (code, word) in [("2", "STILL_EXECUTING"), ("99", "NEED_DATA"), ("-2", "-2"), ("7", "7"), ("-77", "-77")] {
        let driver = oracle(&answers(""));
        let etl = workspace("type: oracle, service: ORCLPDB1", ORACLE_PASSWORD, "t");
        let etl = etl.env("ODBCSYSINI", &driver.folder.display().to_string());
        etl.run(&["run", "load"]).exits(0);
        driver.answers(&answers(&format!("^ {code}\n")));
        let ended = etl.run(&["run", "load"]).exits(1).mentions("the driver answers SQLFetch with what it may not: ");
        assert!(said(&ended).contains(word), "{code}: {}", said(&ended));
        assert!(!said(&ended).contains("panicked"), "{code}: {}", said(&ended));
        assert_eq!(etl.warehouse().rows("SELECT ID FROM t ORDER BY ID"), ["1", "2", "3"], "{code}");
        assert_eq!(etl.warehouse().staging(), Vec::<String>::new(), "{code}");
    }
}

/// Stands before a server, and falls silent once it has said so many bytes over one connection: no byte more, and no end.
struct Silencer {
    port: u16,
    bytes_max: Arc<AtomicUsize>,
    is_silent: Arc<AtomicBool>,
}

impl Silencer {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (bytes_max, is_silent) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
        let made = Self { port, bytes_max: Arc::clone(&bytes_max), is_silent: Arc::clone(&is_silent) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
                std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
                let (bytes_max, is_silent) = (Arc::clone(&bytes_max), Arc::clone(&is_silent));
                std::thread::spawn(move || pass(server, client, &bytes_max, &is_silent));
            }
        });
        made
    }
}

fn pass(mut server: TcpStream, mut client: TcpStream, bytes_max: &AtomicUsize, is_silent: &AtomicBool) {
    let (mut buffer, mut passed) = ([0; 4096], 0);
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        passed += length;
        if passed > bytes_max.load(Ordering::SeqCst) {
            is_silent.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(120));
            return;
        }
        if client.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
}

/// Runs a load that was done before, over a connection that falls silent amid the rows: the limit ends it.
#[track_caller]
fn falls_silent(etl: &Etl, silencer: &Silencer, rows: &str) {
    etl.run(&["run", "load"]).exits(0);
    silencer.bytes_max.store(1_000_000, Ordering::SeqCst);
    let begun = Instant::now();
    let ended = etl.run(&["run", "load", "--timeout-seconds", "6"]).exits(124);
    // The limit, and what a worker has to end by itself.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(silencer.is_silent.load(Ordering::SeqCst), "it was not amid the rows: {}", said(&ended));
    assert!(said(&ended).contains("timeout_minutes"), "{}", said(&ended));
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), rows);
    assert_eq!(etl.state().value("SELECT status FROM runs ORDER BY started_at DESC LIMIT 1"), "timeout");
}

#[test]
fn a_server_behind_psqlodbc_that_falls_silent_amid_the_rows_is_left_at_the_limit() {
    driver_file("psqlodbcw.so", "odbc-postgresql");
    let table =
        "CREATE SCHEMA silent; CREATE TABLE silent.t AS SELECT n AS id, repeat('x', 200) AS pad FROM generate_series(1, 20000) AS n";
    psql(postgresql(), "etl", table);
    let silencer = Silencer::before(postgresql().port);
    let connection = format!("type: odbc, driver: PostgreSQL Unicode, port: {}, database: etl", silencer.port);
    falls_silent(&workspace(&connection, PASSWORD, "silent.t"), &silencer, "20000");
}

#[test]
fn a_server_behind_freetds_that_falls_silent_amid_the_rows_is_left_at_the_limit() {
    let server = sqlserver(
        "CREATE TABLE dbo.t (id INT, pad NVARCHAR(200)); INSERT INTO dbo.t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL \
         SELECT i + 1 FROM c WHERE i < 20000) SELECT i, 'a row whose text is long enough to be many bytes ' || i FROM c",
    );
    let silencer = Silencer::before(server.server.port);
    let connection = format!("type: sqlserver, encrypt: optional, port: {}, database: shop", silencer.port);
    let etl = workspace(&connection, PASSWORD, "dbo.t").env("ODBCSYSINI", &server.drivers().display().to_string());
    falls_silent(&etl, &silencer, "20000");
}
