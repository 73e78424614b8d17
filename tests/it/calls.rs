//! A kill, an error or a power cut at single calls of the operating system: `tests/counterparts/faulty.c` stands between the program and
//! its files. Whatever call it is, a table is the old load or the new one, exit code and log say which, and the next run is good by itself.
//!
//! A run of the tests takes some calls, spread over a run; `ETLSCHED_CALLS=1 cargo test --test it calls` takes every one, `=10` every tenth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::etl::{Ended, Etl, report};
use crate::servers::{program, run};

/// The calls that can fail, and how; `short` does half of its work and says so.
const ERRORS: [(&str, &[&str]); 12] = [
    ("fsync", &["EIO", "ENOSPC"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("lock", &["EIO"]),
    ("mkdir", &["EIO", "ENOSPC"]),
    ("mmap", &["EIO"]),
    ("open", &["EIO", "ENOSPC", "EINTR"]),
    ("pread", &["EIO", "EINTR", "short"]),
    ("pwrite", &["EIO", "ENOSPC", "EINTR", "short"]),
    ("read", &["EIO", "EINTR", "short"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("write", &["EIO", "ENOSPC", "EINTR", "short"]),
];

/// Whose calls are meant.
const ROLES: [&str; 2] = ["supervisor", "worker"];

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The process is killed.
    Kill,
    /// It is killed, and the disk holds what was synced.
    PowerCut,
    /// The same with a disk that syncs nothing: the judge must notice.
    Liar,
    /// The call fails.
    Error(&'static str),
}

/// The tables by name, each row as text.
type Tables = BTreeMap<&'static str, Vec<String>>;

/// What was found after a run that met a fault.
#[derive(Debug, Clone)]
struct Outcome {
    exit: Option<i32>,
    said: String,
    tables: Tables,
    /// The statuses of the log's runs, the last one first.
    log: Vec<String>,
    /// The next run, without a fault.
    next_exit: Option<i32>,
    next_tables: Tables,
    next_log: Vec<String>,
    leftovers: Vec<String>,
}

/// Returns what is wrong with an outcome; the tables hold `old` or `new`.
fn judged(outcome: &Outcome, old: &Tables, new: &Tables) -> Option<String> {
    let Outcome { exit, said, tables, log, next_exit, next_tables, next_log, leftovers } = outcome;
    let torn = tables.iter().find(|(name, rows)| *rows != &old[*name] && *rows != &new[*name]);
    if let Some((name, rows)) = torn {
        return Some(format!("{name} is neither old nor new: {} rows", rows.len()));
    }
    let is_new = tables == new;
    let last = log.first().map_or("", String::as_str);
    if *exit == Some(0) && !(is_new && last == "success" && log.len() == 2) {
        return Some(format!("exit 0, and new is {is_new}, the log {log:?}"));
    }
    if last == "success" && log.len() == 2 && !is_new {
        return Some("the log says success of a load that isn't there".to_owned());
    }
    // A signal's end has no code, and nothing else to agree with.
    if exit.is_some_and(|code| code != 0) && last == "success" && log.len() == 2 {
        return Some(format!("exit {exit:?}, the log {log:?}: {said}"));
    }
    if exit.is_some_and(|code| code != 0) && !said.contains("error") {
        return Some(format!("exit {exit:?} without an error: {said}"));
    }
    if said.contains("panicked") {
        return Some(said.clone());
    }
    if *next_exit != Some(0) || next_tables != new || next_log.first().map(String::as_str) != Some("success") {
        return Some(format!("the next run ends with {next_exit:?}, its tables are right: {}, {next_log:?}", next_tables == new));
    }
    if next_log.iter().any(|status| status == "running" || status == "started") {
        return Some(format!("a run is open: {next_log:?}"));
    }
    (!leftovers.is_empty()).then(|| format!("left behind: {leftovers:?}"))
}

/// A workspace whose job was run once and whose files have changed since; faults meet copies of it.
struct Stage {
    etl: Etl,
    faulty: PathBuf,
    copy: tempfile::TempDir,
    old: Tables,
    new: Tables,
}

const JOB: &str = "
max_retries: 1
etl_config: {timeout_minutes: 1}
retry_delay_seconds: 0
data_sources:
  - name: whole
    path: data/whole.csv
  - name: merged
    path: data/merged.csv
    primary_key: [id]
    etl_config: {mode: incremental}
";

fn rows(count: u32, word: &str) -> String {
    let lines: String = (0..count).map(|id| format!("{id},{word} {id}\n")).collect();
    format!("id,text\n{lines}")
}

impl Stage {
    fn new() -> Self {
        let etl = Etl::new().file("jobs/load.yaml", JOB);
        etl.write("data/whole.csv", rows(1_500, "old"));
        etl.write("data/merged.csv", rows(1_000, "old"));
        etl.run(&["run", "load"]).exits(0);
        etl.write("data/whole.csv", rows(2_000, "new"));
        etl.write("data/merged.csv", rows(1_200, "new"));
        let copy = tempfile::Builder::new().prefix("etlsched-calls-").tempdir().expect("a folder");
        let faulty = copy.path().join("faulty.so");
        let mut build = Command::new(program("gcc", "gcc"));
        build.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]).arg(&faulty);
        run(build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts/faulty.c")).arg("-ldl"));
        let old = tables(&etl.path(""));
        let mut stage = Self { etl, faulty, copy, old, new: Tables::new() };
        let place = stage.fresh();
        stage.program(&place, &["run", "load"]).exits(0);
        stage.new = tables(&place);
        assert_eq!(stage.new.values().map(Vec::len).collect::<Vec<_>>(), [1_200, 2_000]);
        assert_ne!(stage.old, stage.new);
        stage
    }

    /// Returns the folder of a fresh copy.
    fn fresh(&self) -> PathBuf {
        let place = self.copy.path().join("workspace");
        let _ = fs::remove_dir_all(&place);
        run(Command::new("cp").arg("-a").arg(self.etl.path("")).arg(&place));
        place
    }

    fn command(&self, place: &Path, arguments: &[&str]) -> Command {
        let mut command = self.etl.command(arguments);
        command.current_dir(place);
        command
    }

    fn program(&self, place: &Path, arguments: &[&str]) -> Ended {
        Ended::new(&self.etl, arguments, self.command(place, arguments).output().expect("the program starts"))
    }

    /// Returns how many calls of a kind a process of that role makes.
    fn count(&self, role: &str, calls: &str, fault: Fault) -> u64 {
        let place = self.fresh();
        let counts = self.copy.path().join("counts");
        let mut command = self.command(&place, &["run", "load"]);
        command.env("LD_PRELOAD", &self.faulty).env("FAULTY_ROLE", role).env("FAULTY_CALLS", calls).env("FAULTY_COUNT", &counts);
        command.env("FAULTY_HOW", fault.how());
        assert_eq!(command.output().expect("the program starts").status.code(), Some(0));
        let text = fs::read_to_string(&counts).expect("the counts of processes that ended");
        fs::remove_file(counts).expect("the counts");
        text.lines().map(|line| line.parse().expect("a number")).max().expect("a process of that role")
    }

    /// Runs the job with a fault at a call; `None` where no call met it.
    fn meet(&self, role: &str, calls: &str, at: u64, fault: Fault) -> Option<Outcome> {
        let place = self.fresh();
        let (disk, mark) = (self.copy.path().join("disk"), self.copy.path().join("mark"));
        let mut command = self.command(&place, &["run", "load"]);
        command.env("LD_PRELOAD", &self.faulty).env("FAULTY_ROLE", role).env("FAULTY_CALLS", calls);
        command.env("FAULTY_AT", at.to_string()).env("FAULTY_HOW", fault.how()).env("FAULTY_MARK", &mark);
        let is_cut = matches!(fault, Fault::PowerCut | Fault::Liar);
        if is_cut {
            let _ = fs::remove_dir_all(&disk);
            fs::create_dir(&disk).expect("a folder");
            for file in files(&place.join(".etlsched")) {
                fs::copy(&file, disk.join(on_disk(&place, &file))).expect("what was there is on the disk");
            }
            command.env("FAULTY_DISK", &disk).env("FAULTY_ROOT", format!("{}/", place.display()));
        }
        if fault == Fault::Liar {
            command.env("FAULTY_LIES", "1");
        }
        let output = command.output().expect("the program starts");
        if !mark.exists() && fault != Fault::Liar {
            return None;
        }
        let _ = fs::remove_file(mark);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        await_end_of_workers(&place);
        if is_cut {
            power_cut(&place, &disk);
        }
        let found = tables(&place);
        let log = self.log(&place);
        let next = self.program(&place, &["run", "load"]);
        Some(Outcome {
            exit: output.status.code(),
            said,
            tables: found,
            log,
            next_exit: next.code,
            next_tables: tables(&place),
            next_log: self.log(&place),
            leftovers: leftovers(&place),
        })
    }

    fn log(&self, place: &Path) -> Vec<String> {
        let log: Value = self.program(place, &["logs", "load", "-o", "json"]).exits(0).json();
        log["logs"].as_array().expect("runs").iter().map(|run| run["status"].as_str().expect("a status").to_owned()).collect()
    }

    /// Demands that the program survives a fault at each of some calls; returns how many met it.
    #[track_caller]
    fn survives(&self, role: &str, calls: &str, fault: Fault, points: &[u64]) -> u64 {
        let mut met = 0;
        for at in points {
            let Some(outcome) = self.meet(role, calls, *at, fault) else { continue };
            met += 1;
            if let Some(wrong) = judged(&outcome, &self.old, &self.new) {
                panic!("{fault:?} at call {at} ({calls}) of the {role}: {wrong}\n{}", outcome.said);
            }
        }
        met
    }
}

impl Fault {
    fn how(self) -> &'static str {
        match self {
            Self::Kill | Self::PowerCut | Self::Liar => "kill",
            Self::Error(how) => how,
        }
    }
}

/// Returns the numbers of the calls to meet: so many of them, spread, or as many as `ETLSCHED_CALLS` says.
fn points(count: u64, usual: u64) -> Vec<u64> {
    match std::env::var("ETLSCHED_CALLS") {
        Ok(text) => {
            let step = text.parse().unwrap_or_else(|_| panic!("ETLSCHED_CALLS={text} is not a number"));
            (1..=count).step_by(step).collect()
        }
        Err(_) => (0..usual.min(count)).map(|point| (2 * point + 1) * count / (2 * usual) + 1).filter(|at| *at <= count).collect(),
    }
}

/// A power cut ends all; here a worker ends a moment after its supervisor.
fn await_end_of_workers(place: &Path) {
    let is_here = |process: &fs::DirEntry| fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == place);
    let began = Instant::now();
    while fs::read_dir("/proc").expect("/proc").flatten().any(|process| is_here(&process)) {
        assert!(began.elapsed() < Duration::from_secs(20), "a worker lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn on_disk(place: &Path, file: &Path) -> String {
    file.strip_prefix(place).expect("a file of the workspace").display().to_string().replace('/', "#")
}

/// Puts files back to what was synced; one that never was is empty.
fn power_cut(place: &Path, disk: &Path) {
    for file in files(&place.join(".etlsched")) {
        let kept = disk.join(on_disk(place, &file));
        if file.to_string_lossy().ends_with("-shm") {
            fs::remove_file(&file).expect("a file");
        } else if kept.exists() {
            fs::write(&file, fs::read(&kept).expect("what is on the disk")).expect("a file");
        } else {
            fs::write(&file, "").expect("a file");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

fn tables(place: &Path) -> Tables {
    let warehouse = crate::etl::Database::open(&place.join(".etlsched/warehouse.db"));
    assert_eq!(warehouse.value("PRAGMA integrity_check"), "ok");
    ["merged", "whole"].map(|table| (table, warehouse.rows(&format!("SELECT id, text FROM {table} ORDER BY id, text")))).into()
}

fn leftovers(place: &Path) -> Vec<String> {
    let mut found = crate::etl::Database::open(&place.join(".etlsched/warehouse.db")).staging();
    let known = |name: &str| ["state.db", "warehouse.db", "workspace-id"].iter().any(|known| name.starts_with(known));
    let name = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    found.extend(files(&place.join(".etlsched")).iter().map(name).filter(|name| !known(name)));
    found
}

#[test]
fn a_kill_at_any_call_is_survived() {
    let stage = Stage::new();
    for role in ROLES {
        let count = stage.count(role, "all", Fault::Kill);
        let met = stage.survives(role, "all", Fault::Kill, &points(count, 10));
        report(&format!("calls: kills of the {role} at {met} of {count} calls: 0 violations"));
        assert!(met > 5, "{met} kills met a call");
    }
}

#[test]
fn a_power_cut_at_any_call_is_survived() {
    let stage = Stage::new();
    for role in ROLES {
        let count = stage.count(role, "all", Fault::PowerCut);
        let met = stage.survives(role, "all", Fault::PowerCut, &points(count, 10));
        report(&format!("calls: power cuts at {met} of {count} calls of the {role}: 0 violations"));
        assert!(met > 5, "{met} cuts met a call");
    }
}

#[test]
fn a_call_that_fails_is_never_a_success() {
    let stage = Stage::new();
    for role in ROLES {
        let mut met = 0;
        // A lock that can't be released is waited for as long as any other: on the state store that takes the test too long.
        for (call, errors) in ERRORS.into_iter().filter(|(call, _)| role == "worker" || *call != "lock") {
            for how in errors {
                let fault = Fault::Error(how);
                let count = stage.count(role, call, fault);
                met += stage.survives(role, call, fault, &points(count, 1));
            }
        }
        report(&format!("calls: {met} calls of the {role} failed: 0 violations"));
        assert!(met > 12, "{met} calls failed");
    }
}

#[test]
fn a_disk_that_does_not_keep_what_was_synced_is_convicted() {
    let stage = Stage::new();
    let outcome = stage.meet("worker", "none", 0, Fault::Liar).expect("it isn't asked whether a call met it");
    let wrong = judged(&outcome, &stage.old, &stage.new).expect("a success that is lost");
    assert!(wrong.contains("exit 0"), "{wrong}");
}

#[test]
fn the_judge_convicts_what_must_not_be() {
    let table = |word: &str| Tables::from([("merged", vec![word.to_owned()]), ("whole", vec![word.to_owned()])]);
    let (old, new) = (table("old"), table("new"));
    let log = |statuses: &[&str]| statuses.iter().map(|status| (*status).to_owned()).collect::<Vec<_>>();
    let good = Outcome {
        exit: Some(0),
        said: String::new(),
        tables: new.clone(),
        log: log(&["success", "success"]),
        next_exit: Some(0),
        next_tables: new.clone(),
        next_log: log(&["success", "success", "success"]),
        leftovers: Vec::new(),
    };
    let clean =
        Outcome { exit: Some(1), said: "error: full".to_owned(), tables: old.clone(), log: log(&["failed", "success"]), ..good.clone() };
    for sound in [&good, &clean] {
        assert_eq!(judged(sound, &old, &new), None);
    }
    let bad = [
        ("success of an old table", Outcome { tables: old.clone(), ..good.clone() }),
        ("a torn table", Outcome { tables: table("torn"), ..clean.clone() }),
        ("success on failure", Outcome { log: log(&["failed", "success"]), ..good.clone() }),
        ("a run that isn't in the log", Outcome { log: log(&["success"]), ..good.clone() }),
        ("a failure that is a success in the log", Outcome { tables: new.clone(), log: log(&["success", "success"]), ..clean.clone() }),
        ("the same after a kill", Outcome { exit: None, log: log(&["success", "success"]), ..clean.clone() }),
        ("a failure without a word", Outcome { said: String::new(), ..clean.clone() }),
        ("a panic", Outcome { said: "error: thread panicked".to_owned(), ..clean.clone() }),
        ("a next run that fails", Outcome { next_exit: Some(1), ..clean.clone() }),
        ("a next run that loads nothing", Outcome { next_tables: old.clone(), ..clean.clone() }),
        ("an open run", Outcome { next_log: log(&["success", "running", "success"]), ..clean.clone() }),
        ("staging", Outcome { leftovers: log(&["_etlsched_s_1"]), ..clean }),
    ];
    for (what, outcome) in bad {
        assert!(judged(&outcome, &old, &new).is_some(), "{what} was acquitted");
    }
}
