//! Writers at work while a source is loaded again and again: not a row lost, not one twice.
//!
//! Several sessions insert, update and commit late (long transactions, rollbacks, savepoints, prepared transactions) with a fixed seed.
//! When they have ended one more run must make the target equal to the source. `ETLSCHED_CONCURRENT=200` makes that many runs of each.
//! The judge convicts loaders with a planted fault, which live here alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use crate::etl::Etl;
use crate::postgres_source::own_database;
use crate::servers::{self, PASSWORD, postgresql, psql};

fn connect(database: &str) -> Client {
    let mut config = Config::new();
    config.host("127.0.0.1").port(postgresql().port).user("etl").password(PASSWORD).dbname(database);
    config.connect(NoTls).expect("the server takes a connection")
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// What writers do to a table.
#[derive(Clone, Copy)]
struct Habit {
    insert: &'static str,
    /// `None` where rows are never changed.
    update: Option<&'static str>,
}

/// One writer: transactions of every kind until it is told to end.
fn write(database: &str, habit: Habit, seed: u64, is_over: &AtomicBool, committed: &AtomicU64) {
    let mut client = connect(database);
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let statement = |dice: &mut Dice| match habit.update {
            Some(update) if dice.below(3) == 0 => update.replace("{n}", &dice.below(400).to_string()),
            _ => habit.insert.to_owned(),
        };
        let pause = |dice: &mut Dice, most: u64| thread::sleep(Duration::from_millis(dice.below(most)));
        if dice.below(4) == 0 {
            // Alone, committed by itself.
            client.batch_execute(&statement(&mut dice)).expect("a statement alone");
        } else {
            client.batch_execute("BEGIN").expect("begins");
            // The transaction has its time now, and its rows come later.
            if dice.below(3) == 0 {
                client.batch_execute("SELECT now()").expect("a first statement");
                pause(&mut dice, 120);
            }
            for _ in 0..=dice.below(3) {
                if dice.below(3) == 0 {
                    client.batch_execute("SAVEPOINT s").expect("a savepoint");
                    client.batch_execute(&statement(&mut dice)).expect("inside of a savepoint");
                    let end = if dice.below(2) == 0 { "ROLLBACK TO SAVEPOINT s" } else { "RELEASE SAVEPOINT s" };
                    client.batch_execute(end).expect("the savepoint's end");
                } else {
                    client.batch_execute(&statement(&mut dice)).expect("inside of a transaction");
                }
                let most = if dice.below(8) == 0 { 400 } else { 25 };
                pause(&mut dice, most);
            }
            match dice.below(8) {
                0 => client.batch_execute("ROLLBACK").expect("rolled back"),
                1 => {
                    let name = format!("{database}_{seed}_{number}");
                    client.batch_execute(&format!("PREPARE TRANSACTION '{name}'")).expect("prepared");
                    pause(&mut dice, 150);
                    let end = if dice.below(3) == 0 { "ROLLBACK" } else { "COMMIT" };
                    client.batch_execute(&format!("{end} PREPARED '{name}'")).expect("its end");
                }
                _ => client.batch_execute("COMMIT").expect("committed"),
            }
        }
        committed.fetch_add(1, Ordering::Relaxed);
        // Now and then nobody has a transaction open, so that cursors move.
        pause(&mut dice, 180);
    }
}

/// Loads again and again while writers are at work, and once more when they have ended. Returns how many transactions there were.
fn among_writers(database: &str, habit: Habit, runs: u32, mut load: impl FnMut()) -> u64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let committed = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (1..=4)
        .map(|seed| {
            let (database, is_over, committed) = (database.to_owned(), is_over.clone(), committed.clone());
            thread::spawn(move || write(&database, habit, seed, &is_over, &committed))
        })
        .collect();
    for _ in 0..runs {
        load();
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer ends well");
    }
    load();
    committed.load(Ordering::Relaxed)
}

fn runs() -> u32 {
    std::env::var("ETLSCHED_CONCURRENT").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

/// Source and target as lists of rows, in one order.
struct Verdict {
    lost: Vec<String>,
    more: Vec<String>,
}

fn judge(source: &[String], target: &[String]) -> Verdict {
    let count = |rows: &[String], row: &String| rows.iter().filter(|other| *other == row).count();
    let beyond = |rows: &[String], others: &[String]| -> Vec<String> {
        let others: std::collections::HashMap<&String, usize> = others.iter().fold(Default::default(), |mut counts, row| {
            *counts.entry(row).or_default() += 1;
            counts
        });
        rows.iter().filter(|row| others.get(row).copied().unwrap_or(0) < count(rows, row)).cloned().collect()
    };
    Verdict { lost: beyond(source, target), more: beyond(target, source) }
}

impl Verdict {
    fn is_good(&self) -> bool {
        self.lost.is_empty() && self.more.is_empty()
    }
}

/// The rows of the source, as the warehouse writes them.
fn source_rows(database: &str, at: &str) -> Vec<String> {
    let text = psql(postgresql(), database, &format!("SET timezone = 'UTC'; SELECT id, {at}, word FROM t ORDER BY id, at, word"));
    text.lines().map(str::to_owned).collect()
}

fn target_rows(etl: &Etl, at: &str) -> Vec<String> {
    etl.warehouse().rows(&format!("SELECT id, {at}, word FROM t ORDER BY id, at, word"))
}

#[track_caller]
fn loses_nothing(setup: &str, keys: &str, habit: Habit, [at_source, at_target]: [&str; 2]) {
    let (database, etl) = own_database(setup, keys);
    let mut moved = std::collections::HashSet::new();
    let transactions = among_writers(&database, habit, runs(), || {
        etl.run(&["run", "load"]).exits(0);
        let state = etl.run(&["state", "show", "load", "-o", "json"]).exits(0).json();
        moved.insert(state["cursors"][0]["cursor"]["text"].as_str().unwrap_or("-").to_owned());
    });
    let (source, target) = (source_rows(&database, at_source), target_rows(&etl, at_target));
    let verdict = judge(&source, &target);
    crate::etl::report(&format!("{} runs, {transactions} transactions, {} rows, {} cursors", runs() + 1, source.len(), moved.len()));
    assert!(verdict.is_good(), "lost: {:?}\nmore: {:?}", verdict.lost, verdict.more);
    assert!(source.len() > 50 && moved.len() > 1, "{} rows, {moved:?}", source.len());
}

const WORD: &str = "md5(random()::text)";

#[test]
fn an_instant_with_a_key_is_merged_among_writers() {
    let setup = "CREATE TABLE t (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), word text); INSERT INTO t (word) SELECT 'first' FROM generate_series(1, 300)";
    let habit = Habit {
        insert: "INSERT INTO t (word) VALUES (md5(random()::text))",
        update: Some(
            "UPDATE t SET at = now(), word = md5(random()::text) WHERE id = (SELECT id FROM t WHERE id >= {n} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)",
        ),
    };
    assert!(habit.insert.contains(WORD));
    let at = "to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')";
    let text = "rtrim(at, 'Z') || CASE WHEN at LIKE '%.%' THEN '' ELSE '.000000' END";
    loses_nothing(setup, "    etl_config: {mode: incremental, timestamp_column: at}\n", habit, [at, text]);
}

#[test]
fn a_number_without_a_key_is_replaced_by_windows_among_writers() {
    let setup =
        "CREATE TABLE t (id bigserial, at int DEFAULT 0, word text); INSERT INTO t (word) SELECT 'first' FROM generate_series(1, 100)";
    let habit = Habit { insert: "INSERT INTO t (word) VALUES (md5(random()::text))", update: None };
    loses_nothing(setup, "    etl_config: {mode: incremental, timestamp_column: id}\n", habit, ["at", "at"]);
}

#[test]
fn a_timestamp_without_zone_is_merged_among_writers() {
    let setup = "CREATE TABLE t (id bigserial PRIMARY KEY, at timestamp NOT NULL DEFAULT now(), word text); INSERT INTO t (word) SELECT 'first' FROM generate_series(1, 300)";
    let habit = Habit {
        insert: "INSERT INTO t (word) VALUES (md5(random()::text))",
        update: Some(
            "UPDATE t SET at = now(), word = md5(random()::text) WHERE id = (SELECT id FROM t WHERE id >= {n} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)",
        ),
    };
    let at = "to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')";
    let text = "at || CASE WHEN at LIKE '%.%' THEN '' ELSE '.000000' END";
    loses_nothing(setup, "    etl_config: {mode: incremental, timestamp_column: at}\n", habit, [at, text]);
}

/// Loaders as people write them, each with a fault.
#[derive(Clone, Copy, Debug)]
enum Naive {
    /// Takes the greatest value read as its cursor, whoever has a transaction open.
    IgnoresOpenTransactions,
    /// Reads what is greater than its cursor, and appends it.
    ReadsTheCursorsRowsAgain,
}

/// Loads by a naive loader into a second table of the database.
fn load_naively(client: &mut Client, naive: Naive, cursor: &mut i64) {
    let sign = match naive {
        Naive::IgnoresOpenTransactions => ">",
        Naive::ReadsTheCursorsRowsAgain => ">=",
    };
    let sql = format!("INSERT INTO copy SELECT id, at, word FROM t WHERE id {sign} $1 RETURNING id");
    let read: Vec<i64> = client.query(&sql, &[cursor]).expect("a naive load").iter().map(|row| row.get(0)).collect();
    *cursor = read.into_iter().max().unwrap_or(*cursor);
}

#[test]
fn the_judge_convicts_loaders_with_a_planted_fault() {
    for naive in [Naive::IgnoresOpenTransactions, Naive::ReadsTheCursorsRowsAgain] {
        let setup = "CREATE TABLE t (id bigserial, at int DEFAULT 0, word text); CREATE TABLE copy (id bigint, at int, word text)";
        let (database, _) = own_database(setup, "");
        let habit = Habit { insert: "INSERT INTO t (word) VALUES (md5(random()::text))", update: None };
        let mut client = connect(&database);
        let mut cursor = 0;
        among_writers(&database, habit, 60, || {
            load_naively(&mut client, naive, &mut cursor);
            thread::sleep(Duration::from_millis(50));
        });
        let copy = psql(postgresql(), &database, "SELECT id, at, word FROM copy ORDER BY id, at, word");
        let copy: Vec<String> = copy.lines().map(str::to_owned).collect();
        let verdict = judge(&source_rows(&database, "at"), &copy);
        let is_convicted = match naive {
            Naive::IgnoresOpenTransactions => !verdict.lost.is_empty(),
            Naive::ReadsTheCursorsRowsAgain => !verdict.more.is_empty(),
        };
        assert!(is_convicted, "{naive:?}: {} lost, {} more", verdict.lost.len(), verdict.more.len());
    }
}

#[test]
fn a_cursor_that_others_hold_for_ten_runs_is_told() {
    let setup = "CREATE TABLE t (id bigserial, word text); INSERT INTO t (word) VALUES ('a')";
    let (database, etl) = own_database(setup, "    etl_config: {mode: incremental, timestamp_column: id}\n");
    etl.run(&["run", "load"]).exits(0);
    // Somebody forgot to commit.
    let mut forgotten = servers::session(postgresql(), &database);
    forgotten.say("BEGIN; INSERT INTO t (word) VALUES ('late');");
    for run in 1..=11 {
        psql(postgresql(), &database, "INSERT INTO t (word) VALUES ('b')");
        let told = etl.run(&["run", "load", "-v"]).exits(0);
        assert_eq!(told.stderr.contains("the cursor has stayed at 1 for 10 runs"), run >= 10, "run {run}: {}", told.stderr);
    }
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "12", "the rows are loaded all the same");
    forgotten.say("COMMIT;");
    drop(forgotten);
    let told = etl.run(&["run", "load", "-v"]).exits(0);
    assert!(!told.stderr.contains("has stayed"), "{}", told.stderr);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "13");
}
