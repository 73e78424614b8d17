//! Sources that fail: which errors pass and which don't, with real servers and files, and what is tried again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::etl::{Ended, Etl};
use crate::mysql_source;
use crate::postgres_source::{change_settings, own_database, workspace};
use crate::servers::mariadb::{mariadb, mariadb_root, mariadb_sql};
use crate::servers::{own_postgresql, postgresql, psql, session, signal};

const PASSES: bool = true;
const STAYS: bool = false;

/// Demands the code of the only source of job `load`, whether it passes, and that it was tried once where `max_retries` is 0.
#[track_caller]
fn fails(etl: &Etl, code: &str, passes: bool) -> serde_json::Value {
    let ended = etl.run(&["run", "load", "-o", "json"]).exits(1);
    let source = ended.json()["runs"][0]["sources"][0].clone();
    let error = &source["error"];
    assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some(code), Some(passes)), "{source:#}");
    source
}

/// A database with a function for each error that the server raises by itself only in rare moments.
fn raising(number: &str) -> Etl {
    let function =
        format!("CREATE FUNCTION raised() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'told to' USING ERRCODE = '{number}'; END $$");
    let (_, etl) = own_database("CREATE TABLE t (id int)", "");
    let database = database_of(&etl);
    psql(postgresql(), &database, &function);
    etl.write("jobs/load.yaml", "data_sources:\n  - {name: t, connection: erp, custom_sql: SELECT raised() AS id}\n");
    etl
}

fn database_of(etl: &Etl) -> String {
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    settings.split("database: ").nth(1).and_then(|rest| rest.split(',').next()).expect("a database").to_owned()
}

#[test]
fn errors_of_postgresql_pass_or_stay_as_the_table_says() {
    let of_table = |table: &str| workspace(postgresql(), "", &format!("    table: {table}\n"));
    fails(&of_table("public.nowhere"), "not_found", STAYS);
    let refused = of_table("t").env("PG_PASSWORD", "wrong");
    fails(&refused, "login_failed", STAYS);
    let etl = of_table("t");
    change_settings(&etl, "database: etl", "database: nowhere");
    fails(&etl, "not_found", STAYS);
    let etl = of_table("t");
    change_settings(&etl, &format!("port: {}", postgresql().port), &format!("port: {}", nobody()));
    fails(&etl, "unreachable", PASSES);
    let etl = of_table("t");
    etl.write("jobs/load.yaml", "data_sources:\n  - {name: t, connection: erp, custom_sql: SELEKT 1}\n");
    fails(&etl, "invalid_sql", STAYS);
    for (number, code, passes) in [
        ("40001", "conflict", PASSES),
        ("40P01", "conflict", PASSES),
        ("55P03", "locked", PASSES),
        ("53200", "server_short", PASSES),
        ("57P03", "disconnected", PASSES),
        ("57014", "statement_cancelled", STAYS),
        ("42501", "permission_denied", STAYS),
        ("22012", "invalid_data", STAYS),
        ("XX000", "database", STAYS),
    ] {
        fails(&raising(number), code, passes);
    }
}

#[test]
fn a_postgresql_that_has_no_connection_left_or_shuts_down_passes() {
    let server = own_postgresql(&[]);
    psql(&server, "etl", &format!("CREATE ROLE few LOGIN PASSWORD '{}' CONNECTION LIMIT 0", crate::servers::PASSWORD.replace('\'', "''")));
    let etl = workspace(&server, "", "    table: public.t\n");
    change_settings(&etl, "user: etl", "user: few");
    fails(&etl, "unreachable", PASSES);
    // One session keeps a server that was asked to end from ending, and from taking others.
    let etl = workspace(&server, "", "    table: public.t\n");
    let mut last = session(&server, "etl");
    last.say("SELECT 1;");
    signal(&server, "TERM");
    crate::servers::wait_until("the server shuts down", || {
        let log = etl.run(&["run", "load", "-o", "json"]).json();
        log["runs"][0]["sources"][0]["error"]["message"].as_str().is_some_and(|text| text.contains("shutting down"))
    });
    fails(&etl, "disconnected", PASSES);
}

#[test]
fn errors_of_mariadb_pass_or_stay_as_the_table_says() {
    let database = mysql_source::database("CREATE TABLE t (id int)");
    let of_table = |table: &str| mysql_source::workspace(mariadb(), &database, "", &format!("    table: {table}\n"));
    fails(&of_table("nowhere"), "not_found", STAYS);
    fails(&of_table("t").env("MARIA_PASSWORD", "wrong"), "login_failed", STAYS);
    let etl = of_table("t");
    change_settings(&etl, &format!("port: {}", mariadb().port), &format!("port: {}", nobody()));
    fails(&etl, "unreachable", PASSES);
    mariadb_root(mariadb(), "CREATE USER few IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1; GRANT ALL ON *.* TO few");
    let few = of_table("t").env("MARIA_PASSWORD", "few");
    change_settings(&few, "user: etl", "user: few");
    let mut held = std::process::Command::new("mariadb");
    held.args(["--no-defaults", "-h", "127.0.0.1", "-u", "few", "-pfew", "-N", "--unbuffered", &format!("-P{}", mariadb().port)]);
    let mut held = held.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("the client starts");
    let mut stdin = held.stdin.take().expect("it is piped");
    stdin.write_all(b"SELECT 1;\n").expect("the client listens");
    let mut line = String::new();
    BufReader::new(held.stdout.take().expect("it is piped")).read_line(&mut line).expect("it answers");
    fails(&few, "unreachable", PASSES);
    drop(stdin);
    held.wait().expect("it ends");
    let raised = |state: &str, number: u16| {
        let function = format!(
            "DELIMITER //\nCREATE FUNCTION raised() RETURNS int BEGIN SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'told to'; RETURN 1; END//"
        );
        let database = mysql_source::database("CREATE TABLE t (id int)");
        mariadb_sql(mariadb(), &database, &function);
        let etl = mysql_source::workspace(mariadb(), &database, "", "    table: t\n");
        etl.write("jobs/load.yaml", "data_sources:\n  - {name: t, connection: shop, custom_sql: SELECT raised() AS id}\n");
        etl
    };
    for (state, number, code, passes) in [
        ("40001", 1213, "conflict", PASSES),
        ("HY000", 1205, "locked", PASSES),
        ("HY000", 1021, "server_short", PASSES),
        ("08S01", 1053, "disconnected", PASSES),
        ("70100", 1317, "statement_cancelled", STAYS),
        ("42000", 1142, "permission_denied", STAYS),
        ("22012", 1365, "database", STAYS),
    ] {
        fails(&raised(state, number), code, passes);
    }
}

#[test]
fn errors_of_files_and_of_http_pass_or_stay_as_the_table_says() {
    let csv = |path: &str| Etl::new().file("jobs/load.yaml", format!("max_retries: 0\ndata_sources:\n  - {{name: t, path: \"{path}\"}}\n"));
    fails(&csv("nowhere.csv"), "not_found", STAYS);
    let damaged = csv("t.csv.gz").file("t.csv.gz", b"\x1f\x8b\x08no gzip");
    fails(&damaged, "invalid_data", STAYS);
    for (status, code, passes) in [
        ("503 Service Unavailable", "http_status", PASSES),
        ("429 Too Many Requests", "http_status", PASSES),
        ("408 Request Timeout", "http_status", PASSES),
        ("500 Internal Server Error", "http_status", PASSES),
        ("403 Forbidden", "http_status", STAYS),
        ("404 Not Found", "not_found", STAYS),
    ] {
        let (port, _) = answering(vec![format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]);
        fails(&csv(&format!("http://127.0.0.1:{port}/t.csv")), code, passes);
    }
    fails(&csv(&format!("http://127.0.0.1:{}/t.csv", nobody())), "unreachable", PASSES);
    let (port, _) = answering(vec!["HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nid\n1\n".to_owned()]);
    fails(&csv(&format!("http://127.0.0.1:{port}/t.csv")), "cut_short", PASSES);
}

#[test]
fn a_sqlite_file_that_others_hold_passes() {
    let keys = "connections:\n  shop: {type: sqlite, path: shop.db}\n";
    let job = "max_retries: 0\ndata_sources:\n  - {name: t, connection: shop, table: t}\n";
    let etl = Etl::new().file("etlsched.yaml", keys).file("jobs/load.yaml", job);
    let shop = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    shop.execute_batch("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1); BEGIN EXCLUSIVE").expect("it is held");
    fails(&etl, "locked", PASSES);
    shop.execute_batch("COMMIT").expect("it is let go");
    etl.run(&["run", "load"]).exits(0);
    etl.write("jobs/load.yaml", job.replace("table: t", "table: nowhere"));
    fails(&etl, "not_found", STAYS);
}

/// Returns a port that nobody listens on.
fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port()
}

/// Serves one answer to each connection, the last one from then on; counts the requests.
fn answering(answers: Vec<String>) -> (u16, Arc<AtomicUsize>) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = server.local_addr().expect("its address").port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            answer(stream, &answers[number.min(answers.len() - 1)]);
        }
    });
    (port, requests)
}

fn answer(mut stream: TcpStream, text: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length > 0) {
        head.push(byte[0]);
    }
    // Whoever hangs up early has what it wanted.
    let _ = stream.write_all(text.as_bytes());
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn good(csv: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{csv}", csv.len())
}

#[test]
fn a_source_that_recovers_is_loaded_and_the_log_tells_of_each_attempt() {
    let (port, requests) = answering(vec![BUSY.to_owned(), BUSY.to_owned(), good("id\n1\n2\n")]);
    let job = format!("retry_delay_seconds: 0\ndata_sources:\n  - {{name: t, path: \"http://127.0.0.1:{port}/t.csv\"}}\n");
    let etl = Etl::new().file("jobs/load.yaml", job);
    let ended = etl.run(&["run", "load", "-o", "json"]).exits(0);
    assert_eq!(ended.stderr.matches("event=retry").count(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("attempt=1 attempts_max=4 delay_ms=0 code=http_status"), "{}", ended.stderr);
    let run = &ended.json()["runs"][0];
    assert_eq!((run["retry_count"].as_u64(), run["sources"][0]["attempt"].as_u64()), (Some(2), Some(3)), "{run:#}");
    assert_eq!((etl.warehouse().value("SELECT count(*) FROM t"), requests.load(Ordering::SeqCst)), ("2".to_owned(), 3));
    let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json()["log"].clone();
    assert_eq!((log["retry_count"].as_u64(), log["sources"][0]["attempt"].as_u64()), (Some(2), Some(3)), "{log:#}");
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("attempt 2 of 4 failed (http_status): ").mentions("2 retries");
}

#[test]
fn a_database_that_takes_connections_again_is_loaded_by_the_next_attempt() {
    let server = own_postgresql(&[]);
    psql(&server, "etl", &format!("CREATE ROLE few LOGIN PASSWORD '{}' CONNECTION LIMIT 0", crate::servers::PASSWORD.replace('\'', "''")));
    psql(&server, "etl", "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2); GRANT SELECT ON t TO few");
    let etl = workspace(&server, "", "    table: public.t\n");
    change_settings(&etl, "user: etl", "user: few");
    change_settings(&etl, "max_retries: 0", "max_retries: 100, retry_delay_seconds: 1, retry_delay_max_seconds: 1");
    let mut run = etl.command(&["run", "load", "-o", "json"]).spawn().expect("it starts");
    let mut said = BufReader::new(run.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("event=retry") {
        line.clear();
        assert!(said.read_line(&mut line).expect("lines of text") > 0, "it ended");
    }
    psql(&server, "etl", "ALTER ROLE few CONNECTION LIMIT -1");
    let ended = Ended::new(&etl, &["run", "load"], run.wait_with_output().expect("it ends")).exits(0);
    assert!(ended.json()["runs"][0]["retry_count"].as_u64() >= Some(1), "{}", ended.stdout);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "2");
}

#[test]
fn retry_failed_takes_what_the_last_run_did_not_refresh() {
    let job = "data_sources:\n  - path: a.csv\n  - path: b.csv\n  - path: c.csv\n";
    let etl = Etl::new().file("jobs/load.yaml", job).file("a.csv", "id\n1\n").file("c.csv", "id\n3\n");
    let again = ["run", "load", "--retry-failed", "-o", "json"];
    etl.run(&again).exits(1).mentions("job load has not run yet");
    etl.run(&["run", "load"]).exits(3);
    let names = |ended: &Ended| -> Vec<String> {
        let sources = ended.json()["runs"][0]["sources"].clone();
        sources.as_array().into_iter().flatten().map(|source| source["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&etl.run(&again).exits(1)), ["b"]);
    // A run of another source leaves it as it was.
    etl.run(&["run", "load", "--source", "c"]).exits(0);
    assert_eq!(names(&etl.run(&again).exits(1)), ["b"]);
    etl.write("b.csv", "id\n2\n");
    etl.write("a.csv", "id\n100\n");
    assert_eq!(names(&etl.run(&again).exits(0)), ["b"]);
    assert_eq!(etl.warehouse().value("SELECT group_concat(id) FROM (SELECT id FROM a UNION ALL SELECT id FROM b)"), "1,2");
    let runs = etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"].as_array().map(Vec::len);
    etl.run(&again).exits(0).mentions("the last run of job load refreshed every source");
    assert_eq!(etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"].as_array().map(Vec::len), runs, "nothing was begun");
    etl.run(&["run", "load", "--retry-failed", "--full-refresh"]).exits(2);
}

#[test]
fn retry_failed_leaves_out_the_tables_that_were_published() {
    let setup = "CREATE TABLE one (id INTEGER PRIMARY KEY, v); CREATE TABLE two (id INTEGER PRIMARY KEY, v); \
                 INSERT INTO one VALUES (1, 'a'); INSERT INTO two VALUES (1, 'a');";
    let job = "data_sources:\n  - {name: both, connection: shop, tables: [one, two], expect: {not_null: [v]}}\n";
    let etl = Etl::new().file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n").file("jobs/load.yaml", job);
    let shop = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    shop.execute_batch(setup).expect("it can be written");
    shop.execute_batch("UPDATE two SET v = NULL").expect("it can be written");
    etl.run(&["run", "load"]).exits(3).mentions("stream two");
    shop.execute_batch("UPDATE two SET v = 'b'; UPDATE one SET v = 'changed'").expect("it can be written");
    let run = etl.run(&["run", "load", "--retry-failed", "-o", "json"]).exits(0).json()["runs"][0].clone();
    let streams = run["sources"][0]["streams"].as_array().cloned().unwrap_or_default();
    let told: Vec<_> = streams.iter().map(|stream| (stream["name"].as_str(), stream["status"].as_str())).collect();
    assert_eq!(told, [(Some("one"), Some("skipped")), (Some("two"), Some("success"))], "{run:#}");
    assert_eq!(etl.warehouse().value("SELECT (SELECT v FROM one) || ' ' || (SELECT v FROM two)"), "a b");
}
