//! Connections that are cut at each statement of a load, and runs that are overtaken there: a relay stands between the load and the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arrow_array::{Int64Array, StringArray};

use super::Mysql;
use super::tests::Place;
use crate::batch::{ColumnType, RecordBatch, Schema};
use crate::connect::servers::mariadb::{crash_mariadb, own_mariadb};
use crate::destination::conformance::{FULL, batch, load, merge, people, people_rows, publication, request, run, schema};
use crate::destination::{Access, Committed, Destination, DestinationError, Disposition, Fold, Load, LoadRequest};
use crate::plan::Publish;
use crate::plan::mysql::{Infile, MysqlConnection, MysqlDestinationPlan, MysqlTls};

/// What happens at a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    /// The server never gets it.
    Before,
    /// The server does it, and nobody hears of it.
    After,
}

/// What becomes of the network behind a cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Network {
    Recovers,
    /// As for a process that was killed: nothing of it reaches the server any more.
    Gone,
}

/// Passes packets on between connections to its port and the server.
struct Relay {
    port: u16,
    /// Statements until the cut; 0 is none.
    left: AtomicU32,
    cut: Mutex<(Cut, Network)>,
    is_cut: AtomicBool,
    is_gone: AtomicBool,
    /// Told when the statement comes, and waited for before it goes on.
    met: Mutex<Option<(Sender<()>, Receiver<()>)>>,
    /// How long it is waited.
    patience: Mutex<Duration>,
}

impl Relay {
    fn before(server: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            left: AtomicU32::new(0),
            cut: Mutex::new((Cut::Before, Network::Recovers)),
            is_cut: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            met: Mutex::new(None),
            patience: Mutex::new(Duration::from_millis(400)),
        });
        let own = Arc::clone(&relay);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if own.is_gone.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (back, out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let own = Arc::clone(&own);
                thread::spawn(move || back_to(back, out));
                thread::spawn(move || own.forward(client, server));
            }
        });
        relay
    }

    /// Cuts at the `number`th statement from now on.
    fn arm(&self, number: u32, cut: Cut, network: Network) {
        *self.cut.lock().unwrap() = (cut, network);
        self.left.store(number, Ordering::SeqCst);
    }

    /// Passes whole packets on; one whose sequence begins with 0 is a statement.
    fn forward(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut header = [0; 4];
        while client.read_exact(&mut header).is_ok() {
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            let mut packet = header.to_vec();
            packet.resize(4 + length, 0);
            if client.read_exact(&mut packet[4..]).is_err() {
                break;
            }
            let is_last = header[3] == 0 && self.left.load(Ordering::SeqCst) > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
            if is_last && let Some((met, go_on)) = self.met.lock().unwrap().take() {
                met.send(()).unwrap();
                // Whoever waits for what we hold goes on when we do.
                let _ = go_on.recv_timeout(*self.patience.lock().unwrap());
            } else if is_last {
                let (cut, network) = *self.cut.lock().unwrap();
                self.is_cut.store(true, Ordering::SeqCst);
                self.is_gone.store(network == Network::Gone, Ordering::SeqCst);
                if cut == Cut::After {
                    client.shutdown(Shutdown::Both).unwrap();
                    server.write_all(&packet).unwrap();
                }
                break;
            }
            if server.write_all(&packet).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}

fn back_to(mut server: TcpStream, mut client: TcpStream) {
    let mut bytes = [0; 65_536];
    while let Ok(length @ 1..) = server.read(&mut bytes) {
        if client.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A load over an older one, and what a reader may see.
struct Case {
    is_first: bool,
    disposition: Disposition,
    schema: Schema,
    rows: fn() -> RecordBatch,
    more: &'static str,
    old: &'static str,
    new: &'static str,
}

const SEEN: &str = "SELECT id, name FROM people ORDER BY id";

fn new_rows() -> RecordBatch {
    people_rows(&[(1, Some("new"), 0), (2, Some("new"), 0)])
}

fn wider() -> Schema {
    schema(&[("id", ColumnType::Int64), ("name", ColumnType::Text), ("seen", ColumnType::Text), ("extra", ColumnType::Int64)])
}

fn wider_rows() -> RecordBatch {
    let text = || Arc::new(StringArray::from(vec!["new", "new"]));
    batch(&wider(), vec![Arc::new(Int64Array::from(vec![1, 2])), text(), text(), Arc::new(Int64Array::from(vec![5, 6]))])
}

fn cases() -> Vec<Case> {
    let case = |disposition, more| Case {
        is_first: false,
        disposition,
        schema: people(),
        rows: new_rows,
        more,
        old: "1\told\n3\told",
        new: "1\tnew\n2\tnew",
    };
    let folded = || Disposition::Full { publish: Publish::Swap, fold: Some(Fold { key: vec!["id".to_owned()], newest_by: None }) };
    let merged = "1\tnew\n2\tnew\n3\told";
    vec![
        case(FULL, ""),
        case(folded(), ""),
        case(Disposition::Full { publish: Publish::Replace, fold: None }, ""),
        case(
            FULL,
            "CREATE TABLE log (name text); CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW INSERT INTO log VALUES (NEW.name)",
        ),
        Case { new: merged, ..case(merge(None), "") },
        Case { new: merged, schema: wider(), rows: wider_rows, ..case(merge(None), "") },
        Case { is_first: true, old: "", ..case(FULL, "") },
        Case { is_first: true, old: "", ..case(merge(None), "") },
    ]
}

impl Case {
    fn prepare(&self) -> Place {
        self.prepare_in(Place::new())
    }

    fn prepare_in(&self, place: Place) -> Place {
        if !self.is_first {
            let old = people_rows(&[(1, Some("old"), 0), (3, Some("old"), 0)]);
            load(&place, &request(1, "people", &people(), FULL), &[old]).unwrap();
            place.sql(self.more);
        }
        place
    }

    fn request(&self, number: u32) -> LoadRequest {
        request(number, "people", &self.schema, self.disposition.clone())
    }

    fn seen(&self, place: &Place) -> String {
        let is_there = place.sql("SHOW TABLES LIKE 'people'");
        if is_there.is_empty() { String::new() } else { place.sql(SEEN) }
    }

    /// Holds that what is there is the old load or the new one, that the bookkeeping says so, and that the next load needs no help.
    fn judge(&self, place: &Place, told: &Result<Committed, DestinationError>, network: Network, at: &str) {
        // A statement whose connection is gone may still be at work; whoever comes next waits for its locks.
        let record = place.mysql().record("people").unwrap();
        let is_published = record.as_ref().is_some_and(|record| record.run_id == Some(run(2).run_id));
        let seen = self.seen(place);
        assert_eq!(seen, if is_published { self.new } else { self.old }, "{at}: {told:?}");
        if told.is_ok() || network == Network::Recovers {
            assert_eq!(told.is_ok(), is_published, "{at}: {told:?}");
        }
        let next = load(place, &request(3, "people", &self.schema, FULL), &[(self.rows)()]).unwrap_or_else(|code| panic!("{at}: {code}"));
        assert_eq!(next.version, 1 + i64::from(!self.is_first) + i64::from(is_published), "{at}");
        assert_eq!((self.seen(place).as_str(), place.leftovers().as_str()), ("1\tnew\n2\tnew", ""), "{at}");
    }
}

fn through(relay: &Relay, place: &Place) -> Mysql {
    let plan = place.plan();
    let connection = MysqlConnection { port: relay.port, tls: MysqlTls::Disabled, ..plan.connection };
    Mysql::open("dwh", &MysqlDestinationPlan { connection, ..plan }, Some(&place.schema), Access::Write).unwrap()
}

fn staged<'a>(mysql: &'a mut Mysql, case: &Case) -> Result<Box<dyn Load + 'a>, DestinationError> {
    let mut load = mysql.begin(&case.request(2))?;
    let rows = load.write(&(case.rows)())?.rows;
    load.finish(rows)?;
    Ok(load)
}

/// Which part of a load is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Begin,
    Publish,
}

/// Every way in which a statement is cut.
const CUTS: [(Cut, Network); 4] =
    [(Cut::After, Network::Recovers), (Cut::Before, Network::Gone), (Cut::After, Network::Gone), (Cut::Before, Network::Recovers)];

/// The cases that are cut in each run of the tests: a swap, a replace, a merge that changes columns, a first load.
const ALWAYS: [usize; 4] = [0, 2, 5, 6];

/// Cuts each statement of some cases in one way; with `ETLSCHED_CUTS=4` of all cases in all of them.
fn cut_everywhere(part: Part, cases: impl Iterator<Item = Case>) {
    let rounds = std::env::var("ETLSCHED_CUTS").map_or(1, |rounds| rounds.parse().unwrap());
    for (number, case) in cases.enumerate().filter(|(number, _)| rounds > 1 || ALWAYS.contains(number)) {
        for round in 0..rounds {
            // Until a load comes through without meeting the cut.
            for statement in 1.. {
                let (cut, network) = CUTS[(statement + number + round) % CUTS.len()];
                if !is_cut(part, &case, statement as u32, cut, network, &format!("case {number}")) {
                    assert!(statement > 5, "case {number}: the cut was never met");
                    break;
                }
            }
        }
    }
}

fn is_cut(part: Part, case: &Case, statement: u32, cut: Cut, network: Network, at: &str) -> bool {
    let at = format!("{at}, {part:?}, statement {statement}, {cut:?}, {network:?}");
    let place = case.prepare();
    let relay = Relay::before(super::tests::port());
    let mut mysql = through(&relay, &place);
    relay.arm(if part == Part::Begin { statement } else { 0 }, cut, network);
    let told = staged(&mut mysql, case).and_then(|load| {
        relay.arm(if part == Part::Publish { statement } else { 0 }, cut, network);
        load.publish(&publication())
    });
    relay.arm(0, cut, network);
    drop(mysql);
    case.judge(&place, &told, network, &at);
    place.sql(&format!("DROP DATABASE {}", super::types::quoted(&place.schema)));
    relay.is_cut.load(Ordering::SeqCst)
}

#[test]
fn a_load_that_is_cut_at_any_statement_of_its_publish_is_done_or_not_done() {
    cut_everywhere(Part::Publish, cases().into_iter());
}

#[test]
fn a_load_that_is_cut_at_any_statement_before_its_publish_leaves_nothing() {
    // The disposition plays its part in the publish alone.
    cut_everywhere(Part::Begin, cases().into_iter().take(1));
}

/// Between any two statements of a publish another run begins, loads and publishes: it is the later one, and decides.
#[test]
fn a_run_that_is_overtaken_anywhere_in_its_publish_never_undoes_the_later_one() {
    thread::scope(|scope| {
        for (number, case) in cases().into_iter().enumerate() {
            scope.spawn(move || {
                for statement in 1.. {
                    let at = format!("case {number}, statement {statement}");
                    let place = case.prepare();
                    let relay = Relay::before(super::tests::port());
                    let mut mysql = through(&relay, &place);
                    let staged = staged(&mut mysql, &case).unwrap();
                    let (met, is_met) = channel();
                    let (go_on, may_go_on) = channel();
                    *relay.met.lock().unwrap() = Some((met, may_go_on));
                    relay.arm(statement, Cut::Before, Network::Recovers);
                    let (told, later) = thread::scope(|scope| {
                        let place = &place;
                        let other = scope.spawn(move || {
                            is_met.recv().ok()?;
                            let rows = people_rows(&[(7, Some("later"), 0)]);
                            let later = load(place, &request(3, "people", &people(), FULL), &[rows]);
                            let _ = go_on.send(());
                            Some(later)
                        });
                        let told = staged.publish(&publication());
                        // Where the statement never came, nobody waits for it.
                        relay.met.lock().unwrap().take();
                        (told, other.join().unwrap())
                    });
                    drop(mysql);
                    let Some(later) = later else {
                        assert!(told.is_ok() && statement > 5, "{at}: {told:?}");
                        break;
                    };
                    if case.schema == people() {
                        let is_both = told.is_ok();
                        // A column or an index that the first run made under the eyes of the later one is seen by its next attempt.
                        let later = match later {
                            Err(code) if code == "target_changed" => {
                                let rows = people_rows(&[(7, Some("later"), 0)]);
                                load(&place, &request(3, "people", &people(), FULL), &[rows])
                            }
                            later => later,
                        };
                        let later = later.unwrap_or_else(|code| panic!("{at}: {code}; {told:?}"));
                        assert_eq!(later.version, 1 + i64::from(!case.is_first) + i64::from(is_both), "{at}: {told:?}");
                        assert_eq!(place.sql(SEEN), "7\tlater", "{at}: {told:?}");
                        assert_eq!(place.mysql().record("people").unwrap().unwrap().run_id, Some(run(3).run_id), "{at}");
                    }
                    if let Err(error) = &told {
                        assert!(matches!(error.code, "fence_lost" | "target_changed" | "locked" | "conflict"), "{at}: {error:?}");
                    }
                    place.mend(crate::plan::MendAction::DropStaging { dead_runs: vec![run(2).run_id, run(3).run_id] });
                    assert_eq!(place.leftovers(), "", "{at}");
                    place.sql(&format!("DROP DATABASE {}", super::types::quoted(&place.schema)));
                }
            });
        }
    });
}

/// The server is killed before some statements of a publish, and starts again with what its log holds.
#[test]
fn a_server_that_is_killed_in_mid_publish_has_the_old_load_or_the_new_one() {
    static SERVER: std::sync::OnceLock<crate::connect::servers::Server> = std::sync::OnceLock::new();
    let server = SERVER.get_or_init(|| own_mariadb(&[]));
    for case in cases().into_iter().enumerate().filter(|(number, _)| [0, 5].contains(number)).map(|(_, case)| case) {
        for statement in (2..).step_by(3) {
            let at = format!("statement {statement}, {:?}", case.disposition);
            let place = case.prepare_in(Place::on(server, Infile::Auto));
            let relay = Relay::before(server.port);
            let mut mysql = through(&relay, &place);
            let staged = staged(&mut mysql, &case).unwrap();
            let (met, is_met) = channel();
            let (go_on, may_go_on) = channel();
            *relay.met.lock().unwrap() = Some((met, may_go_on));
            *relay.patience.lock().unwrap() = Duration::from_secs(120);
            relay.arm(statement, Cut::Before, Network::Recovers);
            let (told, is_killed) = thread::scope(|scope| {
                let killer = scope.spawn(move || {
                    let is_met = is_met.recv().is_ok();
                    if is_met {
                        crash_mariadb(server, &[]);
                    }
                    let _ = go_on.send(());
                    is_met
                });
                let told = staged.publish(&publication());
                relay.met.lock().unwrap().take();
                (told, killer.join().unwrap())
            });
            drop(mysql);
            case.judge(&place, &told, Network::Recovers, &at);
            if !is_killed {
                break;
            }
        }
    }
}
