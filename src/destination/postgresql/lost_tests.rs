//! Connections that are cut at the commit: a relay stands between the load and the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use super::Postgres;
use super::tests::{Place, servers};
use crate::destination::conformance::{Bench, FULL, load, people, people_rows, publication, request};
use crate::destination::{Access, Destination};
use crate::plan::postgresql::{PostgresConnection, SslMode};

/// What the relay does with the next COMMIT.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Never = 0,
    /// The server never gets it.
    Before = 1,
    /// The server does it, and nobody hears of it.
    After = 2,
}

/// Passes bytes on between connections to its port and the server, until it cuts one.
fn relay(server: u16) -> (u16, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cut = Arc::new(AtomicU8::new(Cut::Never as u8));
    let told = Arc::clone(&cut);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            let (back, out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let told = Arc::clone(&told);
            thread::spawn(move || pass(back, out, |_| true));
            thread::spawn(move || forward(client, server, &told));
        }
    });
    (port, cut)
}

/// Copies until `goes_on` refuses a piece or one side ends; then both end.
fn pass(mut from: TcpStream, mut to: TcpStream, mut goes_on: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if !goes_on(&bytes[..length]) || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn forward(client: TcpStream, server: TcpStream, told: &AtomicU8) {
    let (mut other, deaf) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    pass(client, server, |bytes| {
        // The whole statement: READ COMMITTED is none.
        let is_commit = bytes.windows(7).any(|window| window == b"COMMIT\0");
        let cut = if is_commit { told.swap(Cut::Never as u8, Ordering::SeqCst) } else { Cut::Never as u8 };
        if cut == Cut::After as u8 {
            // The client hears nothing more; the server gets its COMMIT, and after it the end of the connection.
            deaf.shutdown(Shutdown::Both).unwrap();
            other.write_all(bytes).unwrap();
        }
        cut == Cut::Never as u8
    });
}

#[track_caller]
fn check(cut: Cut, expected: Result<i64, &str>, rows: &str) {
    let place = Place::new();
    load(&place, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("old"), 0)])]).unwrap();
    let (port, told) = relay(servers::postgresql().port);
    let connection = PostgresConnection { port, sslmode: SslMode::Disable, ..place.connection() };
    let mut postgres = Postgres::open("dwh", &connection, Some(&place.schema), Access::Write).unwrap();
    let mut load = postgres.begin(&request(2, "people", &people(), FULL)).unwrap();
    load.write(&people_rows(&[(2, Some("new"), 0)])).unwrap();
    load.finish(1).unwrap();
    told.store(cut as u8, Ordering::SeqCst);
    let published = load.publish(&publication());
    assert_eq!(published.as_ref().map(|committed| committed.version).map_err(|error| error.code), expected, "{published:?}");
    assert_eq!(place.psql("SELECT id, name FROM people"), rows);
    assert!(
        place
            .rows(
                "SELECT relname FROM pg_class WHERE relname ~ '_000000000002_' AND relkind = 'r' \
        AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
            )
            .is_empty()
    );
}

#[test]
fn a_commit_that_the_server_did_is_a_success_though_its_answer_was_lost() {
    check(Cut::After, Ok(2), "2|new");
}

#[test]
fn a_commit_that_never_reached_the_server_is_a_failure_and_nothing_is_left() {
    check(Cut::Before, Err("disconnected"), "1|old");
}
