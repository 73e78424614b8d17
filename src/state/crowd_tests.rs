//! Many that write to one server at once: they go one after another instead of undoing each other.
//!
//! `ETLSCHED_CROWD=100` makes so many close together; `--nocapture` prints how long the last one took and how often they were undone.
#![expect(clippy::print_stderr, reason = "figures for whoever measures")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::BigInt;

use super::backends::StoreConnection;
use super::bench::plan;
use super::connection::Work;
use super::server::Purpose;
use super::tests::{alive, at, end, job, moment, new_run};
use super::*;
use crate::connect::servers::{self, PASSWORD, Server, own_postgresql, psql};
use crate::run::RunStatus;
use crate::run::due::{CatchUp, Lateness, OnOverlap, Rules};
use crate::schedule::Schedule;
use crate::zone::Zone;

/// The longest that a store is waited for: builds without optimizations on a busy machine are slow.
const PATIENCE: Duration = Duration::from_secs(15);

const POLICY: EndPolicy =
    EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 90, slot_now: chrono::DateTime::UNIX_EPOCH };

fn crowd() -> usize {
    std::env::var("ETLSCHED_CROWD").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

/// A server that a crowd can reach, with jobs registered.
fn server(jobs: usize) -> (Server, StateLocation) {
    let server = own_postgresql(&["max_connections=300", "track_counts=on"]);
    let location = StateLocation::Postgresql(Box::new(plan(&server, "etl")));
    let mut store = Store::open(&location).unwrap();
    (0..jobs).for_each(|number| drop(store.register_job(&job(&format!("job{number}")), at(0)).unwrap()));
    (server, location)
}

fn run_of(number: usize) -> NewRun {
    NewRun { run_id: format!("run{number}"), job: format!("job{number}"), ..new_run("") }
}

/// Lets a crowd do something at one instant, each with a store of its own; returns how long the last one took.
fn together<T: Send>(location: &StateLocation, count: usize, work: impl Fn(usize, &mut Store) -> T + Sync) -> (Vec<T>, Duration) {
    let (barrier, work) = (Barrier::new(count + 1), &work);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut store = Store::open(location).unwrap();
                    store.set_patience(PATIENCE).unwrap();
                    barrier.wait();
                    work(number, &mut store)
                })
            })
            .collect();
        barrier.wait();
        let began = Instant::now();
        let results = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        (results, began.elapsed())
    })
}

/// How many transactions were undone in a database: what sessions that are over have counted.
fn undone(server: &Server) -> usize {
    servers::wait_until("sessions end", || {
        psql(server, "etl", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'etlsched'") == "0"
    });
    psql(server, "postgres", "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'etl'").parse().unwrap()
}

#[test]
fn runs_that_end_at_one_instant_are_all_closed_and_hardly_undo_each_other() {
    let count = crowd();
    let (server, location) = server(count);
    let mut store = Store::open(&location).unwrap();
    (0..count).for_each(|number| assert_eq!(store.begin_run(&run_of(number), &moment(0), &alive).unwrap(), Begun::Started));
    drop(store);
    let before = undone(&server);
    let (closed, took) = together(&location, count, |number, store| {
        let letter = NewLetter {
            channel: "email".to_owned(),
            recipient: "ann@example.org".to_owned(),
            kind: "failure".to_owned(),
            body: "{}".to_owned(),
            is_overtaking: true,
        };
        let told = |run: &ClosedRun| Told { kind: "failure".to_owned(), cause: "refused".to_owned(), sources: Vec::new(), at: run.now };
        store.tell_by(Box::new(move |run| Tidings {
            letters: vec![letter.clone()],
            told: vec![told(run)],
            over: Vec::new(),
            silence: None,
        }));
        store.close_run(&end(&format!("run{number}"), RunStatus::Failed), POLICY, at(1))
    });
    let undone = undone(&server) - before;
    let failed = closed.iter().filter(|closed| closed.is_err()).count();
    eprintln!("closes: {count} at once, the last after {} ms, {undone} undone, {failed} gave up", took.as_millis());
    assert!(failed == 0, "{:?}", closed.iter().find(|closed| closed.is_err()));
    assert!(undone <= count / 4, "{undone} undone of {count}");
    assert_eq!(Store::open(&location).unwrap().outbox_waiting(at(2)).unwrap().count, count as u64);
}

#[test]
fn slots_that_fall_due_at_one_instant_are_all_claimed_and_hardly_undo_each_other() {
    let count = crowd();
    let (server, location) = server(count);
    let noticed = at(2600).naive_utc();
    psql(&server, "etl", &format!("UPDATE jobs SET schedule_noticed_at = '{noticed}', active_since = '{noticed}'"));
    let before = undone(&server);
    let schedule = Schedule::Interval { every_minutes: 15, minute: 0 };
    let lateness = Lateness {
        grace: Duration::from_secs(600),
        catch_up: CatchUp::Last,
        catch_up_window: None,
        is_woken_hourly: false,
        deadline: None,
    };
    let rules = Rules { schedule: &schedule, zone: Zone::UTC, lateness, on_overlap: OnOverlap::Skip };
    let order = SlotOrder { rules, now: at(3600) };
    let (claims, took) = together(&location, count, |number, store| store.begin_slot(&run_of(number), &order, &moment(3600), &alive));
    let undone = undone(&server) - before;
    let failed = claims.iter().filter(|claim| claim.is_err()).count();
    eprintln!("claims: {count} at once, the last after {} ms, {undone} undone, {failed} gave up", took.as_millis());
    assert!(claims.iter().all(|claim| matches!(claim, Ok(Claim::Started(_)))), "{claims:?}");
    assert!(undone <= count / 4, "{undone} undone of {count}");
}

fn collision() -> DieselError {
    DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, Box::new("another one came first".to_owned()))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn ask(connection: &mut StoreConnection, sql: &str) -> QueryResult<i64> {
    let StoreConnection::Server(server) = connection else { panic!("a store on a server") };
    Ok(diesel::sql_query(sql).get_result::<Count>(server)?.count)
}

/// Whether this session has its turn.
const TURN: &str = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'workspace'::regclass \
                    AND mode = 'ShareRowExclusiveLock' AND granted";

#[test]
fn whoever_was_undone_waits_for_its_turn_and_sees_what_the_one_before_it_wrote() {
    let (server, location) = server(1);
    let mut store = Store::open(&location).unwrap();
    let mut other = servers::session(&server, "etl");
    other.say("BEGIN; LOCK TABLE workspace IN SHARE ROW EXCLUSIVE MODE; UPDATE jobs SET success_count = 7;");
    let has_begun = AtomicBool::new(false);
    let has_begun = &has_begun;
    let tries = std::thread::scope(|scope| {
        let undone = scope.spawn(move || {
            let mut tries = Vec::new();
            let work: Work<'_, ()> = &mut |connection| {
                tries.push((ask(connection, TURN)?, ask(connection, "SELECT success_count AS count FROM jobs")?));
                if has_begun.swap(true, Ordering::SeqCst) { Ok(()) } else { Err(collision()) }
            };
            store.transact(Purpose::Write, work).unwrap();
            tries
        });
        servers::wait_until("it queues", || {
            psql(&server, "etl", "SELECT count(*) FROM pg_locks WHERE relation = 'workspace'::regclass AND NOT granted") == "1"
        });
        other.say("COMMIT;");
        undone.join().unwrap()
    });
    assert_eq!(tries, [(0, 0), (1, 7)]);
}

#[test]
fn a_turn_that_does_not_come_is_not_waited_for_for_ever() {
    let (server, location) = server(1);
    let mut store = Store::open(&location).unwrap();
    store.set_patience(Duration::from_secs(2)).unwrap();
    let mut stopped = servers::session(&server, "etl");
    stopped.say("BEGIN; LOCK TABLE workspace IN SHARE ROW EXCLUSIVE MODE;");
    let mut turns = Vec::new();
    let work: Work<'_, ()> = &mut |connection| {
        turns.push(ask(connection, TURN)?);
        if turns.len() == 1 { Err(collision()) } else { Ok(()) }
    };
    store.transact(Purpose::Write, work).unwrap();
    assert_eq!(turns, [0, 0], "the second try went on without");
}

#[test]
fn a_process_that_is_silent_in_its_turn_loses_its_session_and_begins_anew() {
    let (server, location) = server(1);
    let mut store = Store::open(&location).unwrap();
    let tries = AtomicUsize::new(0);
    let work: Work<'_, i64> = &mut |connection| {
        let turn = ask(connection, TURN)?;
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Err(collision()),
            1 => {
                let limit = "SELECT setting::bigint AS count FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
                assert_eq!((turn, ask(connection, limit)?), (1, 3000));
                // As one that is stopped.
                let pid = ask(connection, "SELECT pg_backend_pid()::bigint AS count")?;
                servers::wait_until("the server ends it", || {
                    psql(&server, "etl", &format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")) == "0"
                });
                ask(connection, TURN)
            }
            _ => Ok(turn),
        }
    };
    assert_eq!(store.transact(Purpose::Write, work).unwrap(), 0, "a lost session is no reason to queue");
    assert_eq!(tries.into_inner(), 3);
}

#[test]
fn a_role_that_may_not_lock_goes_on_without_a_turn() {
    let (server, mut location) = server(1);
    let password = PASSWORD.replace('\'', "''");
    let rights =
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest; REVOKE ALL ON workspace FROM guest; GRANT SELECT ON workspace TO guest";
    psql(&server, "etl", &format!("CREATE ROLE guest LOGIN PASSWORD '{password}'; {rights}"));
    if let StateLocation::Postgresql(plan) = &mut location {
        plan.user = "guest".to_owned();
    }
    let mut store = Store::open(&location).unwrap();
    let mut turns = Vec::new();
    let work: Work<'_, ()> = &mut |connection| {
        turns.push(ask(connection, TURN)?);
        if turns.len() == 1 { Err(collision()) } else { Ok(()) }
    };
    store.transact(Purpose::Write, work).unwrap();
    assert_eq!(turns, [0, 0]);
}
