//! Loads beside users who hold locks: nobody loses a deadlock to a publish, and a publish that loses one begins again.

use std::thread;

use super::tests::{Place, servers};
use crate::destination::conformance::{FULL, load, merge, people, people_rows, request};
use crate::destination::{Committed, Disposition};

/// Begins a load in the back.
fn load_behind(place: &Place, number: u32, disposition: Disposition) -> thread::JoinHandle<Result<Committed, String>> {
    let place = Place { schema: place.schema.clone() };
    thread::spawn(move || load(&place, &request(number, "people", &people(), disposition), &[people_rows(&[(1, Some("new"), 0)])]))
}

/// Opens a session in the place's schema.
fn user(place: &Place) -> servers::Session {
    let mut session = servers::session(servers::postgresql(), "etl");
    session.say(&format!("SET search_path = {};", super::types::quoted(&place.schema)));
    session
}

/// Waits until some session waits for a lock on the table.
fn wait_for_a_waiter(place: &Place, table: &str) {
    let waiters = format!("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    servers::wait_until("somebody waits for the table", || place.psql(&waiters) == "t");
}

const TABLE: &str = "CREATE TABLE people (id bigint PRIMARY KEY, name text, seen timestamptz);";

#[test]
fn a_user_who_reads_and_then_writes_loses_no_deadlock_to_a_publish() {
    for (more, disposition) in [("", FULL), ("CREATE VIEW of_people AS SELECT * FROM people", FULL), ("", merge(None))] {
        for first in ["SELECT FROM people;", "SELECT FROM people FOR UPDATE;", "LOCK TABLE people IN ROW EXCLUSIVE MODE;"] {
            let place = Place::with(&format!("{TABLE} {more}"));
            load(&place, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("old"), 0)])]).unwrap();
            let mut user = user(&place);
            // A reader alone doesn't keep off a publish that stays: it is met in its midst or not at all.
            let is_awaited = first != "SELECT FROM people;" || (more.is_empty() && disposition == FULL);
            user.say(&format!("BEGIN; {first}"));
            let loading = load_behind(&place, 2, disposition.clone());
            if is_awaited {
                wait_for_a_waiter(&place, "people");
            }
            // An error here would end the session, and the test.
            user.say("INSERT INTO people VALUES (7, 'user', now()); UPDATE people SET name = 'also user' WHERE id = 7; COMMIT;");
            loading.join().unwrap().unwrap();
            let rows = place.psql("SELECT string_agg(name, ',' ORDER BY id) FROM people");
            let is_kept = !matches!(disposition, Disposition::Full { .. });
            assert!(rows == if is_kept { "new,also user" } else { "new" } || (!is_awaited && rows == "new,also user"), "{first}: {rows}");
        }
    }
}

#[test]
fn a_publish_that_loses_a_deadlock_begins_again() {
    let place = Place::with(&format!(
        "{TABLE} CREATE TABLE log (name text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
             'BEGIN INSERT INTO log VALUES (NEW.name); RETURN NEW; END';
         CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION note();"
    ));
    load(&place, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("old"), 0)])]).unwrap();
    let mut user = user(&place);
    // The user's own look for deadlocks comes too late to be the one who loses.
    user.say("SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE log IN ACCESS EXCLUSIVE MODE;");
    let loading = load_behind(&place, 2, FULL);
    wait_for_a_waiter(&place, "log");
    user.say("DELETE FROM people WHERE id = 99; COMMIT;");
    let committed = loading.join().unwrap().unwrap();
    assert_eq!((committed.counts.added, committed.counts.deleted, committed.rows_in_target), (1, 1, 1));
    assert_eq!(place.psql("SELECT string_agg(name, ',' ORDER BY name) FROM log"), "new,old");
    let log = std::fs::read_to_string(servers::postgresql().folder.join("log")).unwrap();
    assert!(log.contains("deadlock detected"), "{log}");
}

#[test]
fn a_reader_with_an_older_snapshot_finds_the_new_load_of_a_swapped_table() {
    let place = Place::with("CREATE TABLE seen (rows text); CREATE TABLE other (id bigint)");
    load(&place, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("old"), 0)])]).unwrap();
    let mut user = user(&place);
    user.say("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other;");
    load(&place, &request(2, "people", &people(), FULL), &[people_rows(&[(2, Some("new"), 0), (3, Some("new"), 0)])]).unwrap();
    user.say("INSERT INTO seen SELECT string_agg(id || name, ',' ORDER BY id) FROM people; COMMIT;");
    assert_eq!(place.psql("SELECT rows FROM seen"), "2new,3new");
}
