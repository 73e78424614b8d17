//! Commits that come after a read, by real sessions beside it.

use super::*;
use crate::connect::servers::mariadb::own_mariadb;

/// Another session, for as long as it is held.
fn other(server: &Server, database: &str) -> Session {
    Session::open(&connection(server, database)).unwrap()
}

#[track_caller]
fn say(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        session.conn.query_drop(statement).unwrap();
    }
}

fn seconds(server: &Server) -> i64 {
    mariadb_root(server, "SELECT UNIX_TIMESTAMP()").parse().unwrap()
}

/// Returns how far the cursor may go: seconds since 1970.
#[track_caller]
fn limit(case: &Case, column: &str) -> i64 {
    let value = case.source().safe_cursor(&stream(), column).unwrap().expect("the server tells");
    i64::try_from(value.position().unwrap() / 1_000_000).unwrap()
}

#[track_caller]
fn number(case: &Case, column: &str) -> String {
    case.source().safe_cursor(&stream(), column).unwrap().expect("the server tells").text
}

const TABLE: &str =
    "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, dt datetime NULL, x int);
    INSERT INTO t (at, dt) VALUES ('2026-01-01', '2026-01-02 03:04:05')";

#[test]
fn the_cursor_goes_no_further_than_what_may_still_commit() {
    let server = own_mariadb(&[]);
    let database = database_on(&server, TABLE);
    let case = Case::on(&server, &database, Some("t"), None);
    let least = i32::MIN.to_string();
    let before = seconds(&server);
    assert!(limit(&case, "at") >= before);
    assert_eq!((number(&case, "id").as_str(), number(&case, "dt").as_str()), ("1", "2026-01-02T03:04:05"));
    // Idle sessions and those that only read hold nothing.
    let mut idle = other(&server, &database);
    let mut reader = other(&server, &database);
    say(&mut reader, &["START TRANSACTION READ ONLY", "SELECT * FROM t"]);
    say(&mut idle, &["BEGIN"]);
    assert!(limit(&case, "at") >= before);
    assert_eq!(number(&case, "id"), "1");
    // An open transaction that wrote holds everything, however long ago.
    say(&mut idle, &["INSERT INTO t (x) VALUES (1)"]);
    let held = limit(&case, "at");
    let begun = seconds(&server);
    assert!((begun - 310..begun - 299).contains(&held), "{held}, begun at {begun}");
    assert_eq!(number(&case, "id"), least);
    assert!(number(&case, "dt").starts_with("0001-01-01"));
    say(&mut idle, &["COMMIT"]);
    assert!(limit(&case, "at") >= begun);
    assert_eq!(number(&case, "id"), "2");
    // So does one that only read, since it may go on and write.
    say(&mut idle, &["BEGIN", "SELECT * FROM t"]);
    assert_eq!(number(&case, "id"), least);
    say(&mut idle, &["ROLLBACK"]);
    // A prepared transaction, too, when its session is long gone.
    say(&mut idle, &["XA START 'x'", "INSERT INTO t (x) VALUES (1)", "XA END 'x'", "XA PREPARE 'x'"]);
    drop(idle);
    assert_eq!(number(&case, "id"), least);
    assert!(limit(&case, "at") < 0);
    mariadb_root(&server, "XA ROLLBACK 'x'");
    assert!(limit(&case, "at") >= begun);
}

#[test]
fn a_statement_that_waits_before_it_touches_a_table_counts_from_its_start() {
    let server = own_mariadb(&[]);
    let database = database_on(&server, TABLE);
    let case = Case::on(&server, &database, Some("t"), None);
    let mut holder = other(&server, &database);
    say(&mut holder, &["CREATE TABLE locked (id int)", "LOCK TABLES locked WRITE"]);
    let mut waiter = other(&server, &database);
    let started = seconds(&server);
    let waiting = std::thread::spawn(move || {
        waiter.conn.query_drop("INSERT INTO t (x) SELECT id FROM locked UNION SELECT 2").unwrap();
    });
    let seen = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%' AND time >= 3";
    crate::connect::servers::wait_until("it waits for the lock", || mariadb_root(&server, seen) == "1");
    let held = limit(&case, "at");
    assert!(held <= started + 1 && held >= started - 2, "{held}, started at {started}");
    assert_eq!(number(&case, "id"), i32::MIN.to_string());
    say(&mut holder, &["UNLOCK TABLES"]);
    waiting.join().unwrap();
    assert!(limit(&case, "at") >= started + 3);
}

#[test]
fn the_lists_are_fresh_though_others_ask_for_them_all_the_time() {
    let server = own_mariadb(&[]);
    let database = database_on(&server, TABLE);
    let case = Case::on(&server, &database, Some("t"), None);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut monitor = other(&server, &database);
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                say(&mut monitor, &["SELECT count(*) FROM information_schema.innodb_trx"]);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let mut writer = other(&server, &database);
        for round in 0..5 {
            say(&mut writer, &["BEGIN", "INSERT INTO t (x) VALUES (1)"]);
            let seen = case.source().safe_cursor(&stream(), "id").unwrap();
            // A list that can't be relied on is told as that, never as one without transactions.
            assert!(seen.as_ref().is_none_or(|value| value.text == i32::MIN.to_string()), "round {round}: {seen:?}");
            say(&mut writer, &["COMMIT"]);
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn a_server_of_a_cluster_or_a_replica_does_not_tell() {
    let server = own_mariadb(&["--server-id=2"]);
    let database = database_on(&server, TABLE);
    let case = Case::on(&server, &database, Some("t"), None);
    // A transaction of the server's own, which has just begun, may be in the list for a moment.
    assert!((0..1_000).any(|_| number(&case, "id") == "1"));
    mariadb_root(&server, &format!("INSTALL SONAME 'ha_blackhole'; CREATE TABLE {database}.b (id int) ENGINE=BLACKHOLE"));
    let of_other_engine = Case::on(&server, &database, Some("b"), None);
    assert_eq!(of_other_engine.source().safe_cursor(&stream(), "id").unwrap(), None, "its transactions are in no list");
    mariadb_root(&server, "CHANGE MASTER TO master_host = '127.0.0.1', master_port = 1, master_user = 'x', master_password = 'y'");
    let mut source = case.source();
    assert_eq!(source.safe_cursor(&stream(), "at").unwrap(), None);
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut reader = source.open(&ReadRequest::whole(&stream(), &case.options, Moments { slot: at, run_started: at })).unwrap();
    let log = reader.take_log();
    assert!(matches!(&log[..], [(Level::Warn, note)] if note.contains("replication")), "{log:?}");
}

#[test]
fn the_zone_of_the_servers_system_does_not_matter() {
    // Fifteen hours between the two.
    for zone in ["TZ=America/Los_Angeles", "TZ=Asia/Kolkata"] {
        let server = own_mariadb(&[zone]);
        let database = database_on(&server, TABLE);
        let case = Case::on(&server, &database, Some("t"), None);
        let before = seconds(&server);
        assert!(limit(&case, "at") >= before);
        let mut writer = other(&server, &database);
        say(&mut writer, &["BEGIN", "INSERT INTO t (x) VALUES (1)"]);
        let begun = seconds(&server);
        let held = limit(&case, "at");
        assert!((begun - 310..begun - 299).contains(&held), "{zone}: {held}, begun at {begun}");
    }
}
