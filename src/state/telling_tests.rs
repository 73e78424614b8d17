//! A letter that the store refuses, on both back ends: the run is closed all the same.

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::tests::{alive, at, end, gone, job, moment, new_run};
use super::*;
use crate::plan::Level;
use crate::run::RunStatus;

const POLICY: EndPolicy =
    EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 90, slot_now: chrono::DateTime::UNIX_EPOCH };

/// A store with a run of `sales` that holds its lease, and a teller with a letter and something to remember.
fn with_open_run(back_end: BackEnd) -> (Home, Store) {
    let home = Home::new(back_end);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.tell_by(Box::new(|run| {
        let letter = NewLetter {
            channel: "email".to_owned(),
            recipient: "ann@example.org".to_owned(),
            kind: "failure".to_owned(),
            body: "{}".to_owned(),
            is_overtaking: false,
        };
        let told = Told { kind: "failure".to_owned(), cause: "refused".to_owned(), sources: Vec::new(), at: run.now };
        Tidings { letters: vec![letter], told: vec![told], over: Vec::new(), silence: None }
    }));
    assert_eq!(store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap(), Begun::Started);
    (home, store)
}

/// Lets the store refuse whatever is put into a table, in these words.
fn refuse(home: &Home, back_end: BackEnd, table: &str) {
    home.sql(&match back_end {
        BackEnd::Sqlite => {
            format!("CREATE TRIGGER refusing BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no more of these'); END")
        }
        BackEnd::Postgresql => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more of these'; END $$;
             CREATE TRIGGER refusing BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
    });
}

/// The warnings in a run's log.
fn warnings(store: &mut Store, run_id: &str) -> Vec<String> {
    let Found::One(detail) = store.run(run_id).unwrap() else { panic!("{run_id} is in the log") };
    detail.events.into_iter().filter(|event| event.level == Level::Warn).map(|event| event.message).collect()
}

#[track_caller]
fn check_closed(store: &mut Store, closed: Closed) {
    let Closed::Done { consecutive_failures: 1, untold: Some(why), .. } = closed else { panic!("{closed:?}") };
    assert!(why.starts_with("nobody is told how this run ended, because the state store refuses what was to be sent: "), "{why}");
    assert_eq!(warnings(store, "r1"), [why]);
    let record = store.job("sales").unwrap().unwrap();
    assert_eq!((record.consecutive_failures, record.last_run.unwrap().status), (1, RunStatus::Failed));
    assert_eq!((store.lease("sales").unwrap(), store.open_runs().unwrap()), (None, Vec::new()));
    // Nothing is remembered as told: the next failure is told.
    assert_eq!((store.told(&["failure"]).unwrap(), store.letters_of("r1").unwrap()), (Vec::new(), Vec::new()));
}

fn a_letter_that_the_store_refuses_leaves_the_run_closed_and_says_so(back_end: BackEnd) {
    for table in ["outbox", "told"] {
        let (home, mut store) = with_open_run(back_end);
        refuse(&home, back_end, table);
        let closed = store.close_run(&end("r1", RunStatus::Failed), POLICY, at(1)).unwrap();
        check_closed(&mut store, closed.clone());
        assert!(matches!(&closed, Closed::Done { untold: Some(why), .. } if why.ends_with("no more of these")), "{closed:?}");
    }
}

fn a_row_that_is_there_already_is_no_reason_to_try_for_ever(back_end: BackEnd) {
    let (home, mut store) = with_open_run(back_end);
    home.sql("CREATE UNIQUE INDEX one_letter ON outbox (recipient)");
    store.close_run(&end("r1", RunStatus::Failed), POLICY, at(1)).unwrap();
    home.sql("UPDATE outbox SET run_id = NULL; DELETE FROM told; UPDATE jobs SET consecutive_failures = 0");
    home.sql("DELETE FROM run_sources; DELETE FROM runs");
    assert_eq!(store.begin_run(&new_run("r1"), &moment(2), &alive).unwrap(), Begun::Started);
    let closed = store.close_run(&end("r1", RunStatus::Failed), POLICY, at(3)).unwrap();
    check_closed(&mut store, closed);
}

fn a_dead_and_a_refused_run_are_closed_too_where_nobody_can_be_told(back_end: BackEnd) {
    let (home, mut store) = with_open_run(back_end);
    refuse(&home, back_end, "outbox");
    store.write_refused_run(&new_run("r2"), 5, "held", &moment(1)).unwrap();
    assert_eq!(warnings(&mut store, "r2").len(), 1);
    let dead = store.dead_runs("sales", &moment(2), &gone).unwrap().remove(0);
    assert!(store.close_dead_run(&dead, &DeadEnd::Interrupted { message: "interrupted".to_owned() }, &moment(2), &gone).unwrap());
    assert_eq!(warnings(&mut store, "r1").len(), 1);
    assert_eq!(store.open_runs().unwrap(), []);
}

/// The disk is no fault of the letter's: with room again, the run is closed and told.
fn a_full_disk_undoes_the_close_with_what_was_to_be_told(back_end: BackEnd) {
    let (home, mut store) = with_open_run(back_end);
    refuse(&home, back_end, "outbox");
    home.sql(match back_end {
        BackEnd::Sqlite => {
            "DROP TRIGGER refusing;
             CREATE TRIGGER refusing BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        }
        BackEnd::Postgresql => {
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room' USING ERRCODE = '53100'; END $$"
        }
    });
    let error = store.close_run(&end("r1", RunStatus::Failed), POLICY, at(1)).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error}");
    assert_eq!((store.open_runs().unwrap().len(), warnings(&mut store, "r1").len()), (1, 0));
    home.sql(if back_end == BackEnd::Sqlite { "DROP TRIGGER refusing" } else { "DROP TRIGGER refusing ON outbox" });
    let closed = store.close_run(&end("r1", RunStatus::Failed), POLICY, at(2)).unwrap();
    assert!(matches!(closed, Closed::Done { untold: None, .. }), "{closed:?}");
    assert_eq!((store.letters_of("r1").unwrap().len(), store.told(&["failure"]).unwrap().len()), (1, 1));
}

fn a_file_that_is_still_found_bad_is_not_forgotten_with_time(back_end: BackEnd) {
    let (_home, mut store) = with_open_run(back_end);
    let day = 86_400;
    let told = |cause: &str, sources: &[String]| {
        let told = Told { kind: "invalid".to_owned(), cause: cause.to_owned(), sources: sources.to_vec(), at: at(0) };
        ("sales".to_owned(), told)
    };
    let seen = |days: u64| format!("{SEEN}{}", at(days * day).to_rfc3339());
    let all = [
        told("seen lately", &["h1".to_owned(), seen(99)]),
        told("seen long ago", &["h1".to_owned(), seen(9)]),
        told("never seen again", &["h1".to_owned()]),
    ];
    store.tell_by_look(&["invalid"], at(0), &|_| LookTidings { told: all.to_vec(), ..LookTidings::default() }).unwrap();
    store.close_run(&end("r1", RunStatus::Success), POLICY, at(100 * day)).unwrap();
    assert_eq!(store.told(&["invalid"]).unwrap(), all[..1]);
}

on_both_back_ends!(
    a_file_that_is_still_found_bad_is_not_forgotten_with_time,
    a_full_disk_undoes_the_close_with_what_was_to_be_told,
    a_letter_that_the_store_refuses_leaves_the_run_closed_and_says_so,
    a_row_that_is_there_already_is_no_reason_to_try_for_ever,
    a_dead_and_a_refused_run_are_closed_too_where_nobody_can_be_told,
);

/// PostgreSQL's indexes take rows of at most 2,704 bytes.
#[test]
fn a_cause_that_is_too_long_for_an_index_leaves_the_run_closed() {
    let (_home, mut store) = with_open_run(BackEnd::Postgresql);
    store.tell_by(Box::new(|run| {
        let cause: String = (0..2_000).map(|number: u32| blake3::hash(&number.to_le_bytes()).to_hex()[..8].to_owned()).collect();
        let told = Told { kind: "failure".to_owned(), cause, sources: Vec::new(), at: run.now };
        Tidings { letters: Vec::new(), told: vec![told], over: Vec::new(), silence: None }
    }));
    let closed = store.close_run(&end("r1", RunStatus::Failed), POLICY, at(1)).unwrap();
    assert!(matches!(&closed, Closed::Done { untold: Some(why), .. } if why.contains("index row")), "{closed:?}");
    check_closed(&mut store, closed);
}
