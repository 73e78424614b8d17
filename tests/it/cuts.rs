//! Connections that are cut at random bytes, on their way to and from PostgreSQL: each run says truthfully how it ended, the target is the
//! old load or the new one, and the next run is right. `ETLSCHED_CUTS=200` makes that many cuts of each kind.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::etl::Etl;
use crate::postgres_source::{change_settings, own_database, workspace};
use crate::servers::{Server, postgresql, psql};

/// Which bytes are counted until the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the server.
    Up,
    /// From the server.
    Down,
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Cut {
    way: Way,
    /// Bytes of that way, of all connections together, after which everything is cut; `u64::MAX` is never.
    after: AtomicU64,
    /// How many commits of that way, or answers to them, pass until everything is cut in the middle of one; 0 is any number.
    commits: AtomicU64,
    commits_passed: AtomicU64,
    passed: AtomicU64,
    /// Grows with each cut: connections of an older generation are dead.
    generation: AtomicU64,
    /// Whether the cut resets connections, or closes them in good order.
    is_reset: bool,
}

/// Passes bytes on to a server until they are cut. Whoever connects afterwards gets through.
struct Proxy {
    server: Server,
    cut: Arc<Cut>,
}

impl Proxy {
    fn new(way: Way, is_reset: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let cut = Arc::new(Cut {
            way,
            after: AtomicU64::new(u64::MAX),
            commits: AtomicU64::new(0),
            commits_passed: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            is_reset,
        });
        let own = cut.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let generation = own.generation.load(Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", postgresql().port)) else { continue };
                for way in [Way::Up, Way::Down] {
                    let ends = [client.try_clone(), server.try_clone()].map(|end| end.expect("a handle"));
                    let cut = own.clone();
                    let [client, server] = ends;
                    thread::spawn(move || match way {
                        Way::Up => pass(way, client, server, &cut, generation),
                        Way::Down => pass(way, server, client, &cut, generation),
                    });
                }
            }
        });
        let folder = postgresql().folder.clone();
        Self { server: Server { port, folder }, cut }
    }

    /// Cuts after so many bytes from now on.
    fn cut_after(&self, bytes: u64) {
        self.cut.passed.store(0, Ordering::SeqCst);
        self.cut.generation.store(0, Ordering::SeqCst);
        self.cut.commits.store(0, Ordering::SeqCst);
        self.cut.commits_passed.store(0, Ordering::SeqCst);
        self.cut.after.store(bytes, Ordering::SeqCst);
    }

    /// Cuts in the middle of a commit, or of the answer to one; the first is 1.
    fn cut_at_commit(&self, number: u64) {
        self.cut_after(u64::MAX);
        self.cut.commits.store(number, Ordering::SeqCst);
    }

    /// Cuts no more; returns whether there was a cut, and how many bytes had passed.
    fn mend(&self) -> (bool, u64) {
        self.cut.after.store(u64::MAX, Ordering::SeqCst);
        (self.cut.generation.load(Ordering::SeqCst) > 0, self.cut.passed.load(Ordering::SeqCst))
    }
}

impl Cut {
    /// Cuts everything that is connected.
    fn now(&self) {
        self.after.store(u64::MAX, Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns where a commit stands, or the answer to one: both are this word (PostgreSQL 15, "55.7. Message Formats").
fn commits_in(bytes: &[u8]) -> Vec<usize> {
    let word = b"COMMIT\0";
    (0..bytes.len().saturating_sub(word.len() - 1)).filter(|at| bytes[*at..].starts_with(word)).collect()
}

/// Passes bytes from one end to the other. A cut in the middle of a piece lets its first bytes through.
fn pass(way: Way, mut from: TcpStream, mut to: TcpStream, cut: &Cut, generation: u64) {
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
    let mut bytes = [0; 8192];
    while cut.generation.load(Ordering::SeqCst) == generation {
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        let mut allowed = read;
        if way == cut.way {
            let before = cut.passed.fetch_add(read as u64, Ordering::SeqCst);
            let left = cut.after.load(Ordering::SeqCst).saturating_sub(before);
            if left < read as u64 {
                allowed = usize::try_from(left).expect("less than a piece");
                cut.now();
            }
            for at in commits_in(&bytes[..read]) {
                if cut.commits_passed.fetch_add(1, Ordering::SeqCst) + 1 == cut.commits.load(Ordering::SeqCst) {
                    // In the middle of the word.
                    allowed = allowed.min(at + 3);
                    cut.now();
                }
            }
        }
        if to.write_all(&bytes[..allowed]).is_err() || allowed < read {
            break;
        }
    }
    if cut.generation.load(Ordering::SeqCst) != generation && cut.is_reset {
        for end in [&from, &to] {
            // Closing with nothing to wait for sends a reset (SO_LINGER of 0).
            rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO)).ok();
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Numbers that look random and are the same each time (splitmix64).
fn random(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn cuts() -> u64 {
    std::env::var("ETLSCHED_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// The rows of version `n` of the source.
fn fill(database: &str, version: u64) {
    psql(
        postgresql(),
        database,
        &format!(
            "UPDATE t SET word = 'v{version}', at = timestamptz '2026-01-02 00:00Z' + interval '{version} s' + id * interval '1 us' WHERE id % 3 = {}",
            version % 3
        ),
    );
}

/// A table as one line: how many rows, and what is in them.
const SUM: &str = "SELECT count(*) || ' ' || md5(string_agg(id || ' ' || word || ' ' || pad, ',' ORDER BY id)) FROM ";

/// The ids and what `pad` holds make a load of some 500 kB.
const SETUP: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, word text, pad text);
    INSERT INTO t SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 ms', 'v0', repeat(md5(g::text), 8) FROM generate_series(1, 2000) AS g;";

/// Whether a run said that it went well.
fn is_success(etl: &Etl) -> bool {
    let ended = etl.run(&["run", "load"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{:?}: {}{}", ended.code, ended.stdout, ended.stderr);
    ended.code == Some(0)
}

/// Measures a whole run, then cuts runs at random bytes of it and judges each.
#[track_caller]
fn judge(proxy: &Proxy, etl: &Etl, database: &str, target: impl Fn() -> String, kind: &str) {
    let source = || psql(postgresql(), database, &format!("{SUM} t"));
    assert!(is_success(etl));
    let (mut failed, mut done) = (0, 0);
    let mut whole = 0;
    for number in 0..cuts() {
        let old = target();
        fill(database, number + 1);
        if number == 0 {
            proxy.cut_after(u64::MAX);
            assert!(is_success(etl));
            whole = proxy.mend().1;
            assert_eq!(target(), source(), "{kind}: uncut");
            assert!(whole > 500, "{whole} bytes");
            continue;
        }
        let new = source();
        // A third near the end: that is where commits are.
        let at = random(number);
        let at = if number % 3 == 0 { whole - whole.min(at % 1500) } else { at % whole };
        proxy.cut_after(at);
        let is_good = is_success(etl);
        let (is_cut, _) = proxy.mend();
        let found = target();
        let told = format!("{kind}, cut {number} after {at} of {whole} bytes (cut: {is_cut}, success: {is_good})");
        assert!(found == old || found == new, "{told}: neither old nor new");
        assert_eq!(found == new, is_good, "{told}: the run doesn't say what the table holds");
        assert!(is_good || is_cut, "{told}: it failed by itself");
        if is_good {
            done += 1
        } else {
            failed += 1
        }
        assert!(is_success(etl), "{told}: the next run");
        assert_eq!(target(), new, "{told}: the next run is right");
    }
    let counts = format!("{} cuts of a run of {whole} bytes: {failed} runs failed, {done} were done all the same", cuts() - 1);
    crate::etl::report(&format!("{kind}: {counts}"));
    assert!(failed > 2, "{kind}: hardly a run was cut");
}

const MODES: [(&str, &str); 2] = [
    ("full", "    etl_config: {batch_size: 200}\n"),
    ("merge", "    etl_config: {mode: incremental, timestamp_column: at, batch_size: 200}\n"),
];

#[test]
fn a_source_that_is_cut_at_any_byte_leaves_the_old_table_or_the_new_one() {
    for (mode, keys) in MODES {
        for (way, is_reset) in [(Way::Down, true), (Way::Up, false)] {
            let (database, _) = own_database(SETUP, "");
            let proxy = Proxy::new(way, is_reset);
            let etl = workspace(&proxy.server, "", &format!("    table: t\n{keys}"));
            change_settings(&etl, "database: etl", &format!("database: {database}"));
            let copy = || {
                let rows = etl.warehouse().rows("SELECT id || ' ' || word || ' ' || pad FROM t ORDER BY id");
                format!("{} {}", rows.len(), psql_md5(&rows.join(",")))
            };
            judge(&proxy, &etl, &database, copy, &format!("source, {mode}, {way:?}"));
            assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
        }
    }
}

/// The server's own md5, so that both sides are summed alike.
fn psql_md5(text: &str) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("md5sum: apt-get install coreutils");
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout)[..32].to_owned()
}

/// A workspace that loads `t` of a database into its schema `dwh`, through a proxy.
fn into_proxy(proxy: &Proxy, database: &str, keys: &str) -> Etl {
    psql(postgresql(), database, "CREATE SCHEMA dwh");
    let etl = workspace(postgresql(), "", &format!("    table: public.t\n{keys}"));
    change_settings(&etl, "database: etl", &format!("database: {database}"));
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    let through = settings.lines().find(|line| line.contains("erp:")).expect("the connection").replace("erp:", "dwh:");
    let port = format!("port: {}", postgresql().port);
    let through = through.replace(&port, &format!("schema: dwh, port: {}", proxy.server.port));
    etl.write("etlsched.yaml", format!("destination: dwh\n{settings}{through}\n"));
    etl
}

#[test]
fn a_destination_that_is_cut_at_any_byte_holds_the_old_table_or_the_new_one() {
    for (mode, keys) in MODES {
        for (way, is_reset) in [(Way::Up, true), (Way::Down, false)] {
            let (database, _) = own_database(SETUP, "");
            let proxy = Proxy::new(way, is_reset);
            let etl = into_proxy(&proxy, &database, keys);
            let target = || psql(postgresql(), &database, &format!("{SUM} dwh.t"));
            judge(&proxy, &etl, &database, target, &format!("destination, {mode}, {way:?}"));
            let left = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'dwh' AND relkind = 'r' AND relname <> 't'";
            assert_eq!(psql(postgresql(), &database, left), "2", "the two tables of bookkeeping alone");
        }
    }
}

#[test]
fn a_run_whose_commit_or_its_answer_is_cut_says_what_the_table_holds() {
    for (mode, keys) in MODES {
        for way in [Way::Up, Way::Down] {
            let (database, _) = own_database(SETUP, "");
            let proxy = Proxy::new(way, true);
            let etl = into_proxy(&proxy, &database, keys);
            let target = || psql(postgresql(), &database, &format!("{SUM} dwh.t"));
            assert!(is_success(&etl));
            fill(&database, 1);
            proxy.cut_after(u64::MAX);
            assert!(is_success(&etl));
            let commits = proxy.cut.commits_passed.load(Ordering::SeqCst);
            let mut done = 0;
            for number in 1..=commits {
                let old = target();
                fill(&database, number + 1);
                let new = psql(postgresql(), &database, &format!("{SUM} t"));
                proxy.cut_at_commit(number);
                let is_good = is_success(&etl);
                let (is_cut, _) = proxy.mend();
                let found = target();
                let told = format!("{mode}, {way:?}, commit {number} of {commits} (cut: {is_cut}, success: {is_good})");
                assert!(is_cut, "{told}");
                assert!(found == old || found == new, "{told}: neither old nor new");
                assert_eq!(found == new, is_good, "{told}: the run doesn't say what the table holds");
                done += u64::from(is_good);
                assert!(is_success(&etl), "{told}: the next run");
                assert_eq!(target(), new, "{told}: the next run is right");
            }
            crate::etl::report(&format!("{mode}, {way:?}: {commits} commits were cut, {done} runs were done all the same"));
            // The answer to the publish was lost, and the bookkeeping tells that it stands.
            assert_eq!(done > 0, way == Way::Down, "{mode}, {way:?}: {done} of {commits}");
        }
    }
}
