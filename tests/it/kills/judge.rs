//! Kills a loader at random moments and judges what is left: each table is the old or the new load, whole; the log is right;
//! the next run succeeds by itself and leaves nothing behind.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Random;

/// How long a process may take to end after what it stands on was killed.
const END_MAX: Duration = Duration::from_secs(60);

/// A row of the source, and of every table that is loaded from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The key.
    pub id: u32,
    /// Grows with every change: what an incremental load goes by.
    pub stamp: u32,
    /// The rest.
    pub value: u32,
}

/// Tables by name, their rows sorted, none left out: a doubled row is there twice.
pub type Tables = BTreeMap<String, Vec<Row>>;

/// What is judged.
pub trait Loader {
    /// How many rows its source begins with.
    fn first_rows(&self) -> u32;
    /// Puts rows where the loader reads them.
    fn deliver(&self, rows: &[Row]);
    /// Returns the command that loads them into every table.
    fn command(&self) -> Command;
    /// Reads the tables.
    fn tables(&self) -> Tables;
    /// Returns what dead runs left behind: staging, locks, files.
    fn leftovers(&self) -> Vec<String>;
    /// Returns the status of every run, the last one last, as the command that shows the log prints it.
    fn log(&self) -> Vec<String>;
}

/// What a loader did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A table was neither the old load nor the new one.
    Torn,
    /// After a run that said it succeeded, a table was not what the source holds.
    Wrong,
    /// The log shows a run that nobody runs as open, or a success that was none.
    FalseLog,
    /// A run after a kill failed.
    NextRunFailed,
    /// A finished run left behind what a dead one had made.
    Leftovers,
    /// A process lived on.
    Hung,
}

/// A fault with what was seen.
#[derive(Debug)]
pub struct Conviction {
    /// The kind.
    pub fault: Fault,
    detail: String,
    /// Rows that are not there, and rows that are there and should not be: more of one than there are, or others.
    pub rows: (usize, usize),
}

impl fmt::Display for Conviction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.fault, self.detail)
    }
}

fn convict<T>(fault: Fault, detail: impl Into<String>) -> Result<T, Conviction> {
    Err(Conviction { fault, detail: detail.into(), rows: (0, 0) })
}

/// Where the kills fell, to see that the moments were spread.
#[derive(Debug, Default)]
pub struct Tally {
    /// Kills in all.
    pub kills: u64,
    /// The run had ended before.
    pub too_late: u64,
    /// The process that was started was killed, with workers under it.
    pub supervisors: u64,
    /// It was killed with no worker under it: before the first, between two or after the last.
    pub alone: u64,
    /// A worker was killed, not the process that was started.
    pub workers: u64,
    /// All of them were killed at one moment, as a power cut does.
    pub all: u64,
    /// Every table was the old load afterwards.
    pub before_publish: u64,
    /// Every table was the new load afterwards.
    pub after_publish: u64,
    /// Rows compared, after kills and after runs that succeeded.
    pub rows_compared: u64,
    /// Runs after kills that succeeded by themselves.
    pub recoveries: u64,
}

/// Kills a loader `kills` times; returns where the kills fell, or the first fault.
pub fn judge(loader: &dyn Loader, kills: u64, seed: u64) -> Result<Tally, Conviction> {
    let mut tally = Tally::default();
    judge_into(&mut tally, loader, kills, seed).map(|()| tally)
}

/// As [`judge`]; the tally holds what was done before a fault too.
pub fn judge_into(tally: &mut Tally, loader: &dyn Loader, kills: u64, seed: u64) -> Result<(), Conviction> {
    let mut random = Random::new(seed);
    let mut rows = first_delivery(loader.first_rows(), &mut random);
    loader.deliver(&rows);
    finish(loader, &rows)?;
    let mut usual = Duration::ZERO;
    while tally.kills < kills {
        let old = rows.clone();
        rows = next_delivery(&old, &mut random);
        loader.deliver(&rows);
        if usual.is_zero() {
            // The first run may differ from all others: measure one that has a table to replace.
            let begun = Instant::now();
            finish(loader, &rows)?;
            usual = begun.elapsed();
            continue;
        }
        let known_successes = successes(&loader.log());
        let mut published = Vec::new();
        for _ in 0..=random.below(3) {
            let delay = usual.mul_f64(random.below(1100) as f64 / 1000.0);
            strike(loader, delay, &mut random, tally)?;
            let tables = loader.tables();
            published = examine_tables(&tables, &old, &rows, &published)?;
            examine_log(&loader.log(), known_successes, published.len() == tables.len())?;
            tally.rows_compared += tables.values().map(|rows| rows.len() as u64).sum::<u64>();
            tally.before_publish += u64::from(published.is_empty());
            tally.after_publish += u64::from(published.len() == tables.len());
        }
        let begun = Instant::now();
        tally.rows_compared += finish(loader, &rows)?;
        let took = begun.elapsed();
        tally.recoveries += 1;
        // The machine may be busy now and free later: go by the fastest, or most kills come too late.
        usual = usual.min(took);
    }
    Ok(())
}

/// Starts a load and kills it, or one of its workers, or all of them, after a delay.
fn strike(loader: &dyn Loader, delay: Duration, random: &mut Random, tally: &mut Tally) -> Result<(), Conviction> {
    let mut command = loader.command();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the loader starts");
    std::thread::sleep(delay);
    tally.kills += 1;
    let own = i32::try_from(child.id()).expect("a process id");
    let workers = Process::children(own);
    if child.try_wait().expect("the loader can be waited for").is_some() {
        tally.too_late += 1;
    } else if workers.is_empty() {
        tally.alone += 1;
        send(own, Signal::KILL);
    } else {
        let index = usize::try_from(random.below(workers.len() as u64)).expect("an index");
        match random.below(5) {
            0 | 1 => {
                tally.workers += 1;
                send(workers[index].id, Signal::KILL);
            }
            2 | 3 => {
                tally.supervisors += 1;
                send(own, Signal::KILL);
            }
            _ => {
                tally.all += 1;
                // Stopped first, none of them sees another one die.
                for signal in [Signal::STOP, Signal::KILL] {
                    send(own, signal);
                    workers.iter().for_each(|worker| send(worker.id, signal));
                }
            }
        }
    }
    wait(&mut child)?;
    let begun = Instant::now();
    while let Some(worker) = workers.iter().find(|worker| worker.is_alive()) {
        if begun.elapsed() > END_MAX {
            return convict(Fault::Hung, format!("worker {} lives {END_MAX:?} after its supervisor", worker.id));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Sends a signal; the process may have ended since, then nothing happens.
fn send(id: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(id) {
        let _ = kill_process(pid, signal);
    }
}

fn wait(child: &mut Child) -> Result<(), Conviction> {
    let begun = Instant::now();
    while child.try_wait().expect("the loader can be waited for").is_none() {
        if begun.elapsed() > END_MAX {
            let _ = child.kill();
            let _ = child.wait();
            return convict(Fault::Hung, format!("process {} lives {END_MAX:?} after the kill", child.id()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Looks at the tables after a kill; returns those that hold the new load. None of them may become old again.
fn examine_tables(tables: &Tables, old: &[Row], new: &[Row], published: &[String]) -> Result<Vec<String>, Conviction> {
    for (name, rows) in tables {
        if rows != new && (rows != old || published.contains(name)) {
            let differences = [difference("old", old, rows), difference("new", new, rows)].join("; ");
            let detail = format!("table {name} after a kill, {differences}");
            return Err(Conviction { fault: Fault::Torn, detail, rows: unequal(old, rows).min(unequal(new, rows)) });
        }
    }
    Ok(tables.iter().filter(|(_, rows)| *rows == new).map(|(name, _)| name.clone()).collect())
}

/// Looks at the log after a kill: nothing is open, and a run is a success only if everything is published.
fn examine_log(log: &[String], known_successes: usize, is_all_published: bool) -> Result<(), Conviction> {
    if let Some(open) = log.iter().find(|status| is_open(status)) {
        return convict(Fault::FalseLog, format!("no run is at work, and the log shows one as {open}: {log:?}"));
    }
    if successes(log) > known_successes && !is_all_published {
        return convict(Fault::FalseLog, format!("the log shows a new success, and not every table is published: {log:?}"));
    }
    Ok(())
}

/// Runs the loader to its end and demands that all is well; returns how many rows it looked at.
fn finish(loader: &dyn Loader, rows: &[Row]) -> Result<u64, Conviction> {
    let Output { status, stdout, stderr } = loader.command().stdin(Stdio::null()).output().expect("the loader starts");
    if !status.success() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        return convict(Fault::NextRunFailed, format!("{status}\n{}{}", text(&stdout), text(&stderr)));
    }
    let tables = loader.tables();
    if tables.is_empty() {
        return convict(Fault::Wrong, "a run succeeded, and there is no table");
    }
    for (name, found) in &tables {
        if found != rows {
            let detail = format!("table {name} after a run that succeeded: {}", difference("source", rows, found));
            return Err(Conviction { fault: Fault::Wrong, detail, rows: unequal(rows, found) });
        }
    }
    let leftovers = loader.leftovers();
    if !leftovers.is_empty() {
        return convict(Fault::Leftovers, format!("{leftovers:?}"));
    }
    let log = loader.log();
    if log.last().is_none_or(|status| status != "success") || log.iter().any(|status| is_open(status)) {
        return convict(Fault::FalseLog, format!("a run succeeded, and the log says {log:?}"));
    }
    Ok((rows.len() * tables.len()) as u64)
}

fn successes(log: &[String]) -> usize {
    log.iter().filter(|status| *status == "success").count()
}

fn is_open(status: &str) -> bool {
    matches!(status, "started" | "running")
}

/// Counts the rows of one list that the other doesn't hold as often, both ways.
fn unequal(expected: &[Row], found: &[Row]) -> (usize, usize) {
    let mut surplus: BTreeMap<&Row, i64> = BTreeMap::new();
    expected.iter().for_each(|row| *surplus.entry(row).or_default() -= 1);
    found.iter().for_each(|row| *surplus.entry(row).or_default() += 1);
    let sum = |wanted: fn(i64) -> i64| surplus.values().map(|surplus| usize::try_from(wanted(*surplus)).expect("no less than none")).sum();
    (sum(|surplus| (-surplus).max(0)), sum(|surplus| surplus.max(0)))
}

fn difference(name: &str, expected: &[Row], found: &[Row]) -> String {
    let (missing, strange) = unequal(expected, found);
    format!("against the {name} rows: {} of {}, {missing} missing, {strange} others", found.len(), expected.len())
}

fn first_delivery(count: u32, random: &mut Random) -> Vec<Row> {
    (0..count).map(|id| Row { id, stamp: id / 10, value: random.value() }).collect()
}

/// Returns what the source holds next: rows changed and added at the greatest stamp so far, as a commit that was late makes them,
/// and rows changed and added behind it. None go.
fn next_delivery(rows: &[Row], random: &mut Random) -> Vec<Row> {
    let mut next = rows.to_vec();
    let greatest = rows.iter().map(|row| row.stamp).max().unwrap_or_default();
    for stamp in [greatest, greatest + 1 + random.value() % 3] {
        for _ in 0..=random.below(5) {
            let index = usize::try_from(random.below(rows.len() as u64)).expect("an index");
            next[index].stamp = stamp;
            next[index].value = random.value();
        }
        for _ in 0..=random.below(10) {
            next.push(Row { id: u32::try_from(next.len()).expect("few rows"), stamp, value: random.value() });
        }
    }
    next
}

/// A process by id and start time, so that a reused id isn't taken for it.
struct Process {
    id: i32,
    started: String,
}

impl Process {
    fn read(id: i32) -> Option<(i32, bool, String)> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything (proc_pid_stat(5)): count fields from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((fields.get(1)?.parse().ok()?, matches!(*fields.first()?, "Z" | "X"), (*fields.get(19)?).to_owned()))
    }

    fn children(parent: i32) -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").expect("/proc");
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        ids.filter_map(|id| {
            let (its_parent, is_dead, started) = Self::read(id)?;
            (its_parent == parent && !is_dead).then_some(Self { id, started })
        })
        .collect()
    }

    fn is_alive(&self) -> bool {
        Self::read(self.id).is_some_and(|(_, is_dead, started)| !is_dead && started == self.started)
    }
}
