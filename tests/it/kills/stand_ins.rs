//! Loaders with a planted fault, and an honest one. Each is this test binary, started again with [`FOLDER`] and [`PLANTED`] set to
//! run [`an_honest_loader_is_acquitted`], which then loads and judges nothing; it pauses between its steps, so that kills fall
//! between them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::judge::{Fault, Loader, Row, Tables, judge};

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    /// Nothing: staging, one transaction, a closed window.
    Nothing,
    /// The cursor is committed before the rows.
    CursorFirst,
    /// The window is `> cursor`.
    OpenWindow,
    /// The table is emptied, then filled, each committed by itself.
    TruncateThenInsert,
    /// Rows are added without a key, the cursor committed after them.
    CursorLater,
    /// Staging of dead runs stays.
    LitteredStaging,
    /// Dead runs stay `running` in the log.
    OpenLog,
    /// The log says `success` before the rows are committed.
    EarlySuccess,
    /// The lock of a dead run keeps the next one out.
    StaleLock,
}

const ALL: [Planted; 9] = [
    Planted::Nothing,
    Planted::CursorFirst,
    Planted::OpenWindow,
    Planted::TruncateThenInsert,
    Planted::CursorLater,
    Planted::LitteredStaging,
    Planted::OpenLog,
    Planted::EarlySuccess,
    Planted::StaleLock,
];

/// So many kills at most until a fault has shown itself; most take fewer than ten.
const KILLS_MAX: u64 = 300;

const FOLDER: &str = "ETLSCHED_STAND_IN_FOLDER";
const PLANTED: &str = "ETLSCHED_STAND_IN_PLANTED";

#[track_caller]
fn convicts(planted: Planted, expected: &[Fault]) {
    let stand_in = StandIn::new(planted);
    match judge(&stand_in, KILLS_MAX, super::setting("ETLSCHED_KILLS_SEED", 1)) {
        Err(conviction) => assert!(expected.contains(&conviction.fault), "{planted:?} is convicted of {conviction}, not of {expected:?}"),
        Ok(tally) => panic!("{planted:?} is acquitted: {tally:?}"),
    }
}

#[test]
fn an_honest_loader_is_acquitted() {
    if let (Ok(folder), Ok(planted)) = (std::env::var(FOLDER), std::env::var(PLANTED)) {
        let planted = ALL.into_iter().find(|one| format!("{one:?}") == planted).expect("a planted fault");
        return load(Path::new(&folder), planted).expect("the load");
    }
    let stand_in = StandIn::new(Planted::Nothing);
    let tally = judge(&stand_in, 40, super::setting("ETLSCHED_KILLS_SEED", 1)).unwrap_or_else(|conviction| panic!("{conviction}"));
    assert!(tally.before_publish > 0 && tally.after_publish > 0, "the kills fell on one side only: {tally:?}");
}

#[test]
fn a_cursor_committed_before_the_rows_is_convicted() {
    convicts(Planted::CursorFirst, &[Fault::Wrong, Fault::Torn]);
}

#[test]
fn a_window_that_is_open_below_is_convicted() {
    convicts(Planted::OpenWindow, &[Fault::Wrong]);
}

#[test]
fn a_table_emptied_and_then_filled_is_convicted() {
    convicts(Planted::TruncateThenInsert, &[Fault::Torn]);
}

#[test]
fn a_cursor_committed_after_the_rows_is_convicted() {
    convicts(Planted::CursorLater, &[Fault::Wrong, Fault::Torn]);
}

#[test]
fn staging_left_behind_is_convicted() {
    convicts(Planted::LitteredStaging, &[Fault::Leftovers]);
}

#[test]
fn a_log_that_shows_dead_runs_as_running_is_convicted() {
    convicts(Planted::OpenLog, &[Fault::FalseLog]);
}

#[test]
fn a_success_written_before_the_commit_is_convicted() {
    convicts(Planted::EarlySuccess, &[Fault::FalseLog]);
}

#[test]
fn a_lock_that_outlives_its_run_is_convicted() {
    convicts(Planted::StaleLock, &[Fault::NextRunFailed]);
}

struct StandIn {
    folder: TempDir,
    planted: Planted,
}

impl StandIn {
    fn new(planted: Planted) -> Self {
        let folder = tempfile::Builder::new().prefix("etlsched-stand-in-").tempdir().expect("a temporary folder");
        let connection = open(folder.path()).expect("the stand-in's database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE source (id INTEGER, stamp INTEGER, value INTEGER);
                 CREATE TABLE target (id INTEGER, stamp INTEGER, value INTEGER);
                 CREATE TABLE cursor (stamp INTEGER);
                 CREATE TABLE runs (id INTEGER PRIMARY KEY, status TEXT);",
            )
            .expect("the stand-in's tables");
        Self { folder, planted }
    }

    fn names(&self, sql: &str) -> Vec<String> {
        let connection = open(self.folder.path()).expect("the stand-in's database");
        let mut statement = connection.prepare(sql).expect("a query");
        let names = statement.query_map([], |row| row.get(0)).expect("rows");
        names.collect::<Result<_, _>>().expect("names")
    }
}

impl Loader for StandIn {
    fn first_rows(&self) -> u32 {
        100
    }

    fn deliver(&self, rows: &[Row]) {
        let mut connection = open(self.folder.path()).expect("the stand-in's database");
        let transaction = connection.transaction().expect("a transaction");
        transaction.execute("DELETE FROM source", []).expect("the source emptied");
        for Row { id, stamp, value } in rows {
            transaction.execute("INSERT INTO source VALUES (?1, ?2, ?3)", params![id, stamp, value]).expect("a row");
        }
        transaction.commit().expect("the delivery");
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "kills::stand_ins::an_honest_loader_is_acquitted", "--nocapture"]);
        command.env(FOLDER, self.folder.path()).env(PLANTED, format!("{:?}", self.planted));
        command
    }

    fn tables(&self) -> Tables {
        let connection = open(self.folder.path()).expect("the stand-in's database");
        let mut statement = connection.prepare("SELECT id, stamp, value FROM target ORDER BY id, stamp, value").expect("a query");
        let rows = statement.query_map([], |row| Ok(Row { id: row.get(0)?, stamp: row.get(1)?, value: row.get(2)? })).expect("rows");
        Tables::from([("target".to_owned(), rows.collect::<Result<_, _>>().expect("rows"))])
    }

    fn leftovers(&self) -> Vec<String> {
        self.names("SELECT name FROM sqlite_schema WHERE name LIKE 'staging%'")
    }

    fn log(&self) -> Vec<String> {
        // Whoever shows the log sees that the process of an open run is gone; the planted one doesn't look.
        let is_blind = self.planted == Planted::OpenLog;
        let statuses = self.names("SELECT status FROM runs ORDER BY id");
        statuses.into_iter().map(|status| if is_blind || status != "running" { status } else { "failed".to_owned() }).collect()
    }
}

fn open(folder: &Path) -> rusqlite::Result<Connection> {
    let path: PathBuf = folder.join("stand-in.db");
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // A killed process loses nothing that it has written; only a power cut would.
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    Ok(connection)
}

fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// Loads the source's window into the target: honestly, but for what is planted.
fn load(folder: &Path, planted: Planted) -> rusqlite::Result<()> {
    let mut connection = open(folder)?;
    let lock = folder.join("lock");
    if planted == Planted::StaleLock {
        assert!(!lock.exists(), "another run holds the lock");
        std::fs::write(&lock, "").expect("a lock");
    }
    if planted != Planted::OpenLog {
        connection.execute("UPDATE runs SET status = 'failed' WHERE status = 'running'", [])?;
    }
    if planted != Planted::LitteredStaging {
        drop_staging(&connection)?;
    }
    connection.execute("INSERT INTO runs (status) VALUES ('running')", [])?;
    let run = connection.last_insert_rowid();
    pause();
    if planted == Planted::TruncateThenInsert {
        connection.execute("DELETE FROM target", [])?;
        pause();
        connection.execute("INSERT INTO target SELECT * FROM source WHERE id % 2 = 0", [])?;
        pause();
        connection.execute("INSERT INTO target SELECT * FROM source WHERE id % 2 = 1", [])?;
    } else {
        load_window(&mut connection, run, planted)?;
    }
    pause();
    connection.execute("UPDATE runs SET status = 'success' WHERE id = ?1", [run])?;
    if planted == Planted::StaleLock {
        std::fs::remove_file(&lock).expect("the lock goes");
    }
    Ok(())
}

fn load_window(connection: &mut Connection, run: i64, planted: Planted) -> rusqlite::Result<()> {
    let cursor: i64 = connection.query_row("SELECT coalesce(max(stamp), -1) FROM cursor", [], |row| row.get(0))?;
    let staging = format!("staging_{run}");
    let comparison = if matches!(planted, Planted::OpenWindow | Planted::CursorLater) { ">" } else { ">=" };
    connection.execute_batch(&format!("CREATE TABLE {staging} (id INTEGER, stamp INTEGER, value INTEGER)"))?;
    for part in 0..4 {
        pause();
        connection.execute(
            &format!("INSERT INTO {staging} SELECT * FROM source WHERE stamp {comparison} ?1 AND id % 4 = ?2"),
            params![cursor, part],
        )?;
    }
    pause();
    let move_cursor =
        format!("DELETE FROM cursor; INSERT INTO cursor SELECT max(stamp) FROM (SELECT stamp FROM {staging} UNION SELECT {cursor})");
    if planted == Planted::EarlySuccess {
        connection.execute("UPDATE runs SET status = 'success' WHERE id = ?1", [run])?;
        pause();
    }
    if planted == Planted::CursorFirst {
        connection.execute_batch(&format!("BEGIN; {move_cursor}; COMMIT"))?;
        pause();
    }
    let transaction = connection.transaction()?;
    if planted != Planted::CursorLater {
        transaction.execute(&format!("DELETE FROM target WHERE id IN (SELECT id FROM {staging})"), [])?;
    }
    pause();
    transaction.execute(&format!("INSERT INTO target SELECT * FROM {staging}"), [])?;
    if !matches!(planted, Planted::CursorFirst | Planted::CursorLater) {
        transaction.execute_batch(&move_cursor)?;
    }
    pause();
    transaction.commit()?;
    pause();
    if planted == Planted::CursorLater {
        connection.execute_batch(&format!("BEGIN; {move_cursor}; COMMIT"))?;
    }
    connection.execute_batch(&format!("DROP TABLE {staging}"))
}

fn drop_staging(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'staging%'")?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP TABLE {name}")))
}
