//! A store on a server: poolers, standbys, a server that is away, and what messages say of it.

use std::time::{Duration, Instant};

use super::bench::{BackEnd, Home, plan};
use super::tests::{alive, at, job, moment, new_run};
use super::*;
use crate::connect::servers::{self, own_postgresql, pgbouncer, pooler, postgresql, psql};
use crate::process::Liveness;
use crate::secret::Secret;

fn at_server(server: &servers::Server, database: &str) -> StateLocation {
    StateLocation::Postgresql(Box::new(plan(server, database)))
}

/// A database of its own on the common server.
fn own_database(name: &str) {
    psql(postgresql(), "postgres", &format!("CREATE DATABASE {name}"));
}

#[test]
fn a_pooler_that_parts_sessions_by_transactions_is_refused_and_one_that_keeps_them_is_not() {
    own_database("pooled_store");
    let shared = pgbouncer(postgresql(), 5);
    for _ in 0..3 {
        let error = Store::open(&at_server(&shared, "pooled_store")).unwrap_err();
        assert!(matches!(error, StateError::Pooled { .. }), "{error}");
        assert!(error.to_string().contains("pool_mode = transaction") && error.hint().unwrap().contains("pool_mode = session"));
    }
    let kept = pooler(postgresql(), "pool_mode = session\n");
    let mut store = Store::open(&at_server(&kept.server, "pooled_store")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    assert!(Store::open(&at_server(&kept.server, "pooled_store")).unwrap().lease("sales").unwrap().is_some());
}

/// The pooler is busy when it is first met, so that it isn't known for what it is; each transaction looks again.
#[test]
fn a_session_that_is_another_one_in_mid_life_is_noticed() {
    own_database("lost_session");
    let mut store = Store::open(&at_server(postgresql(), "lost_session")).unwrap();
    if let backends::StoreConnection::Server(server) = &mut store.connection {
        server.name = "somebody else's".to_owned();
    }
    let error = store.register_job(&job("sales"), at(0)).unwrap_err();
    assert!(matches!(error, StateError::Pooled { .. }), "{error}");
}

/// A dump holds every table for as long as it takes; the index can wait, runs can't.
#[test]
fn an_index_that_can_not_be_made_beside_a_dump_is_made_by_a_later_command() {
    use diesel::connection::SimpleConnection as _;

    own_database("dumped_store");
    let location = at_server(postgresql(), "dumped_store");
    let mut store = Store::open(&location).unwrap();
    let down = include_str!("../../migrations/2026-11-29-000003_cover_the_sums_of_runs/down.sql");
    store.connection.batch_execute(&format!("{down}; DELETE FROM __diesel_schema_migrations WHERE version = '20261129000003'")).unwrap();
    store.connection.batch_execute("BEGIN; LOCK TABLE runs IN ACCESS SHARE MODE").unwrap();
    let mut other = Store::open(&location).unwrap();
    assert_eq!(migrations::lacking(&mut other).unwrap(), Some(1));
    other.register_job(&job("sales"), at(0)).unwrap();
    other.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    store.connection.batch_execute("ROLLBACK").unwrap();
    let mut later = Store::open(&location).unwrap();
    assert_eq!(migrations::lacking(&mut later).unwrap(), Some(0));
}

#[test]
fn a_database_of_another_encoding_answers_stats() {
    psql(postgresql(), "postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let mut store = Store::open(&at_server(postgresql(), "latin")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    let filter = StatsFilter { job: None, since: at(0), until: at(60) };
    assert_eq!(store.run_tallies(&filter).unwrap().len(), 1);
    store.run_timings(&filter).unwrap();
}

#[test]
fn a_standby_can_be_read_and_says_that_it_takes_no_writes() {
    let server = own_postgresql(&[]);
    let mut store = Store::open(&at_server(&server, "etl")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    let standby = servers::standby(&server);
    let mut copy = Store::open_existing(&at_server(&standby, "etl")).unwrap().unwrap();
    servers::wait_until("the standby has the job", || copy.job("sales").unwrap().is_some());
    let error = copy.register_job(&job("leads"), at(0)).unwrap_err();
    assert!(error.to_string().ends_with("it is read-only here"), "{error}");
    assert!(error.hint().unwrap().contains("takes writes"));
}

#[test]
fn a_server_that_is_not_there_or_does_not_let_us_in_is_told_without_the_password() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let absent = plan(&servers::Server { port: nobody, folder: "/".into() }, "etl");
    let error = Store::open(&StateLocation::Postgresql(Box::new(absent))).unwrap_err();
    assert!(error.to_string().starts_with(&format!("state store postgresql://127.0.0.1:{nobody}/etl: connect to ")), "{error}");
    assert!(error.hint().is_some());
    let mut wrong = plan(postgresql(), "etl");
    wrong.password = Some(Secret::new("hunter22".to_owned()));
    let error = Store::open(&StateLocation::Postgresql(Box::new(wrong))).unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter22"), "{error:?}");
}

#[test]
fn a_server_that_comes_back_in_time_is_not_noticed() {
    let server = own_postgresql(&[]);
    let mut store = Store::open(&at_server(&server, "etl")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    assert_eq!(store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap(), Begun::Started);
    servers::restart_at_once(&server);
    assert!(matches!(store.renew_lease("r1", "{}", &moment(2)).unwrap(), Renewal::Held { .. }));
    store.update_source("r1", &SourceRecord::waiting("orders")).unwrap();
}

fn is_held(renewal: Renewal) -> bool {
    matches!(renewal, Renewal::Held { .. })
}

#[test]
fn a_server_that_does_not_answer_is_left_after_the_patience_given() {
    let server = own_postgresql(&[]);
    let mut store = Store::open(&at_server(&server, "etl")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    // The session's own process: the server's first one answers nobody new while it is stopped.
    let pid = psql(&server, "etl", "SELECT pid FROM pg_stat_activity WHERE application_name = 'etlsched'");
    let stopped = |signal: &str| std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    stopped("-STOP");
    servers::signal(&server, "STOP");
    store.set_patience(Duration::from_secs(2)).unwrap();
    let began = Instant::now();
    let error = store.renew_lease("r1", "{}", &moment(2)).unwrap_err();
    let took = began.elapsed();
    servers::signal(&server, "CONT");
    stopped("-CONT");
    assert!(took < Duration::from_secs(6), "{took:?}: {error}");
    assert!(error.to_string().contains("no answer within"), "{error}");
    servers::wait_until("the store is there again", || store.renew_lease("r1", "{}", &moment(4)).is_ok_and(is_held));
}

#[test]
fn a_holder_of_another_host_is_dead_when_its_lease_lapses_and_never_by_a_process_of_this_one() {
    let home = Home::new(BackEnd::Postgresql);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    let gone = |_: &str, _: u32, _: &str| Liveness::Gone;
    let mut other = moment(1);
    other.boot.boot_id = "another machine with the same name".to_owned();
    assert!(store.living_lease("sales", &other, &gone).unwrap().is_some());
    assert!(store.living_lease("sales", &moment(1), &gone).unwrap().is_none(), "of this boot its process is known");
    // Hosts' own clocks say nothing.
    let mut late = other.clone();
    late.at += chrono::TimeDelta::days(1);
    late.boot.elapsed += Duration::from_secs(86_400);
    assert!(store.living_lease("sales", &late, &alive).unwrap().is_some());
    home.sql("UPDATE leases SET renewed_boot_micros = renewed_boot_micros - 61000000");
    assert!(store.living_lease("sales", &other, &alive).unwrap().is_none());
}

#[test]
fn many_hosts_that_begin_at_once_take_one_lease() {
    let home = Home::new(BackEnd::Postgresql);
    home.open().register_job(&job("sales"), at(0)).unwrap();
    let home = &home;
    let begun: Vec<Begun> = std::thread::scope(|scope| {
        let begin = |number: u32| scope.spawn(move || home.open().begin_run(&new_run(&format!("r{number}")), &moment(0), &alive).unwrap());
        let threads: Vec<_> = (0..12).map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::Started).count(), 1, "{begun:?}");
    assert!(begun.iter().all(|begun| matches!(begun, Begun::Started | Begun::Held(_))), "{begun:?}");
}

#[test]
fn a_commit_whose_answer_was_lost_is_found() {
    let home = Home::new(BackEnd::Postgresql);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    let run = new_run("r1");
    for _ in 0..2 {
        assert_eq!(store.begin_run(&run, &moment(0), &alive).unwrap(), Begun::Started);
    }
    let end = tests::end("r1", crate::run::RunStatus::Success);
    let policy = EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 90, slot_now: at(1) };
    for _ in 0..2 {
        assert!(matches!(store.close_run(&end, policy, at(1)).unwrap(), Closed::Done { .. }));
    }
    assert_eq!(store.job("sales").unwrap().unwrap().success_count, 1);
}

#[test]
fn texts_are_ordered_by_their_bytes_whatever_the_database_speaks() {
    psql(postgresql(), "postgres", "CREATE DATABASE german TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C.UTF-8'");
    let mut store = Store::open(&at_server(postgresql(), "german")).unwrap();
    for id in ["b", "a-b", "ab", "a_b", "a1"] {
        store.register_job(&job(id), at(0)).unwrap();
    }
    let ids: Vec<String> = store.jobs().unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(ids, ["a-b", "a1", "a_b", "ab", "b"]);
}

#[test]
fn a_nul_in_a_text_is_written_as_its_sign() {
    let home = Home::new(BackEnd::Postgresql);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    let event = EventRecord { at: at(1), level: crate::plan::Level::Info, source: None, stream: None, message: "a\0b".to_owned() };
    store.add_events("r1", &[event]).unwrap();
    let Found::One(detail) = store.run("r1").unwrap() else { panic!("r1 is in the log") };
    assert_eq!(detail.events[0].message, "a\u{2400}b");
}

#[test]
fn tls_means_what_its_word_says_for_the_store_too() {
    let server = own_postgresql(&["ssl=on"]);
    let mut plan = plan(&server, "etl");
    (plan.host, plan.sslmode) = ("localhost".to_owned(), crate::plan::postgresql::SslMode::VerifyFull);
    plan.sslrootcert = Some(server.folder.join("ca.crt"));
    let _store = Store::open(&StateLocation::Postgresql(Box::new(plan.clone()))).unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'etlsched'";
    assert_eq!(psql(&server, "etl", sql), "t");
    plan.sslrootcert = Some(server.folder.join("other.crt"));
    let error = Store::open(&StateLocation::Postgresql(Box::new(plan))).unwrap_err();
    assert!(error.to_string().contains("TLS") && error.hint().unwrap().contains("sslrootcert"), "{error}");
}

/// A table that is added is named in `ORDER_BY_BYTES` too.
#[test]
fn every_text_of_the_store_is_ordered_by_its_bytes() {
    own_database("collated");
    drop(Store::open(&at_server(postgresql(), "collated")).unwrap());
    let others = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' \
                  AND collation_name IS DISTINCT FROM 'C'";
    assert_eq!(psql(postgresql(), "collated", others), "");
}
