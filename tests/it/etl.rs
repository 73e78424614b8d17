//! The builder: a workspace in a temporary folder, the real program in a clean environment, whole output compared.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A workspace with the program beside it. Dropped, its folder goes.
pub struct Etl {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Etl {
    /// Makes an empty workspace: no etlsched.yaml, an empty jobs/ folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("etlsched-").rand_bytes(8).tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("jobs")).expect("the jobs folder");
        Self { folder, environment: Vec::new() }
    }

    /// Makes a workspace that holds a copy of the sample job and its data.
    pub fn sample() -> Self {
        let etl = Self::new();
        let jobs = repository().join("jobs");
        etl.write("jobs/flights.yaml", std::fs::read(jobs.join("flights.yaml")).expect("the sample job"));
        for entry in std::fs::read_dir(jobs.join("data")).expect("the sample data") {
            let entry = entry.expect("an entry");
            etl.write(&format!("jobs/data/{}", entry.file_name().display()), std::fs::read(entry.path()).expect("a sample file"));
        }
        etl
    }

    /// Adds a file.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// Adds a job that loads one CSV file, `jobs/data/<job>.csv`, into the table `<job>`, with more keys for the source.
    pub fn csv_job(self, job: &str, source_keys: &str, csv: impl AsRef<[u8]>) -> Self {
        let keys: String = source_keys.lines().map(|line| format!("    {line}\n")).collect();
        self.file(&format!("jobs/{job}.yaml"), format!("data_sources:\n  - path: jobs/data/{job}.csv\n{keys}"))
            .file(&format!("jobs/data/{job}.csv"), csv)
    }

    /// Sets a variable of the program's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file; the folders on the way are made. Readers see the old file or the new one.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a file in the workspace")).expect("a folder");
        let fresh = path.with_extension("being-written");
        std::fs::write(&fresh, content).expect("a file");
        std::fs::rename(&fresh, &path).expect("a file in its place");
    }

    /// Returns a path in the workspace.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Returns the program with its arguments: in the workspace, in an environment that holds nothing but what is set here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etlsched"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("the program starts");
        Ended::new(self, arguments, output)
    }

    /// Starts a run and waits until rows of it are staged, as it says itself.
    #[track_caller]
    pub fn start(&self, job: &str) -> AtWork {
        self.start_source(job, "")
    }

    /// As [`Etl::start`], for rows of one source.
    #[track_caller]
    pub fn start_source(&self, job: &str, source: &str) -> AtWork {
        self.start_command(self.command(&["run", job, "-v"]), source)
    }

    /// As [`Etl::start_source`], of a command that runs a job and says its progress.
    #[track_caller]
    pub fn start_command(&self, mut command: Command, source: &str) -> AtWork {
        let source = format!("source={source}");
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut run = AtWork { child, stderr, said: String::new() };
        let mut is_loading = false;
        while !is_loading {
            let from = run.said.len();
            let read = run.stderr.read_line(&mut run.said).expect("lines of text");
            assert!(read > 0, "the run ended before it loaded a row:\n{}", run.said);
            let line = &run.said[from..];
            let is_there = |text: &str| line.contains(text);
            is_loading = is_there("event=progress") && is_there(&source) && is_there("phase=loading") && !is_there("rows=0 ");
        }
        run
    }

    /// Opens the embedded warehouse for reading.
    #[track_caller]
    pub fn warehouse(&self) -> Database {
        Database::open(&self.path(".etlsched/warehouse.db"))
    }

    /// Opens the state store for reading.
    #[track_caller]
    pub fn state(&self) -> Database {
        Database::open(&self.path(".etlsched/state.db"))
    }

    /// Returns every path of the workspace with its size and content, sorted: equal before and after means nothing was written.
    pub fn listing(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                    found.push((path, None));
                } else {
                    let content = std::fs::read(&path).expect("a file");
                    found.push((path, Some(content)));
                }
            }
        }
        found.sort();
        found
    }

    /// Puts fixed text of the same width in the place of what differs from run to run: times, run ids and the workspace's path.
    pub fn redact(&self, text: &str) -> String {
        let path = self.folder.path().display().to_string();
        let fixed = format!("{:_<width$}", "/workspace", width = path.len());
        redact_patterns(&text.replace(&path, &fixed))
    }
}

/// What varies, as patterns: `9` is a digit, `f` a hexadecimal digit, the rest is itself. Longer ones first.
const PATTERNS: [&str; 4] = ["ffffffff-ffff-7fff-ffff-ffffffffffff", "9999-99-99T99:99:99Z", "9999-99-99 99:99:99", "9999-99-99 99:99"];

fn redact_patterns(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut redacted = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        if let Some(pattern) = PATTERNS.iter().find(|pattern| matches(pattern, &characters[at..])) {
            redacted.extend(pattern.chars().map(|sign| if matches!(sign, '9' | 'f') { '#' } else { sign }));
            at += pattern.len();
        } else {
            redacted.push(characters[at]);
            at += 1;
        }
    }
    redacted
}

fn matches(pattern: &str, text: &[char]) -> bool {
    text.len() >= pattern.len()
        && pattern.chars().zip(text).all(|(sign, character)| match sign {
            '9' => character.is_ascii_digit(),
            'f' => character.is_ascii_hexdigit(),
            _ => sign == *character,
        })
}

/// Tells whoever asked for more rounds than usual what came of them.
pub fn report(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A run of the program that loads rows.
pub struct AtWork {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl AtWork {
    /// Returns the id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; returns its exit code, `None` where a signal ended it, and what it said on standard error.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.said).expect("text");
        (self.child.wait().expect("it ends").code(), self.said)
    }
}

/// A run of the program that came to its end.
pub struct Ended {
    call: String,
    raw: String,
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output, redacted.
    pub stdout: String,
    /// Standard error, redacted.
    pub stderr: String,
}

impl Ended {
    /// Takes the output of a process apart.
    pub fn new(etl: &Etl, arguments: &[&str], output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let (raw, stderr) = (text(output.stdout), text(output.stderr));
        let call = format!("etlsched {}", arguments.join(" "));
        Self { call, code: output.status.code(), stdout: etl.redact(&raw), stderr: etl.redact(&stderr), raw }
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\nstdout:\n{}\nstderr:\n{}", self.call, self.stdout, self.stderr);
        self
    }

    /// Demands the whole of standard output.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Self {
        assert_eq!(self.stdout, expected, "{}: stdout", self.call);
        self
    }

    /// Demands the whole of standard error.
    #[track_caller]
    pub fn says(self, expected: &str) -> Self {
        assert_eq!(self.stderr, expected, "{}: stderr", self.call);
        self
    }

    /// Demands a text in standard output or standard error.
    #[track_caller]
    pub fn mentions(self, text: &str) -> Self {
        let is_there = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(is_there, "{}: no {text:?} in\nstdout:\n{}\nstderr:\n{}", self.call, self.stdout, self.stderr);
        self
    }

    /// As [`Ended::mentions`], however the text is parted into lines.
    #[track_caller]
    pub fn mentions_words(self, text: &str) -> Self {
        let said = format!("{}\n{}", self.stdout, self.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(text), "{}: no {text:?} in\nstdout:\n{}\nstderr:\n{}", self.call, self.stdout, self.stderr);
        self
    }

    /// Reads standard output as JSON, as it was printed: not redacted.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.raw)
            .unwrap_or_else(|error| panic!("{}: {error}\nstdout:\n{}\nstderr:\n{}", self.call, self.stdout, self.stderr))
    }
}

/// A SQLite file, read apart from the program under test.
pub struct Database {
    connection: Connection,
}

impl Database {
    /// Opens a file that must exist.
    #[track_caller]
    pub fn open(path: &Path) -> Self {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout can be set");
        Self { connection }
    }

    /// Returns the rows of a query as text: NULL as `NULL`, columns joined by `|`.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("the query runs");
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{sql}: {error}")) {
            let fields: Vec<String> = (0..columns).map(|index| field(row.get_ref(index).expect("a column"))).collect();
            found.push(fields.join("|"));
        }
        found
    }

    /// Returns the one value of a query as text.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: one row");
        rows.into_iter().next().expect("one row")
    }

    /// Runs statements: to put things into a file, or to spoil it.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Returns the names of tables that a dead run left behind: everything of ours that isn't bookkeeping.
    #[track_caller]
    pub fn staging(&self) -> Vec<String> {
        self.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '\\_etlsched\\_%' ESCAPE '\\'
             AND name NOT IN ('_etlsched_loads', '_etlsched_files') ORDER BY name",
        )
    }
}

fn field(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[test]
fn redaction_keeps_the_width() {
    let text = "run 01932f3c-5a1e-7abc-8def-0123456789ab began 2026-11-23T22:53:00Z (2026-11-23 23:53:00 CET), 27004 rows";
    let redacted = redact_patterns(text);
    assert_eq!(redacted, "run ########-####-7###-####-############ began ####-##-##T##:##:##Z (####-##-## ##:##:## CET), 27004 rows");
    assert_eq!(redacted.len(), text.len());
}
