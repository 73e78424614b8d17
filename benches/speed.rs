//! How fast the program is, as ratios and milliseconds measured side by side in one run. Asserts nothing.
//!
//! `cargo bench --bench speed` measures all; `-- lineitem 0.1`, `-- start`, `-- list` one of them. `lineitem SCALE` loads TPC-H's
//! lineitem (6 million rows at 1) against `sqlite3`'s own `.import` of the same file, in pairs; it needs the programs `sqlite3` and
//! `tpchgen-cli` (PyPI: tpchgen-cli, or `cargo install tpchgen-cli`). Files are kept in target/bench.
#![expect(clippy::print_stdout, reason = "a benchmark is there to print")]

mod measure;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use measure::{bench_folder, etlsched, measure, workspace_of};
use rusqlite::Connection;
use tempfile::TempDir;

const PAIRS: usize = 3;
const STARTS: usize = 41;
const JOBS: u32 = 500;
const RUNS: u32 = 100_000;

fn main() {
    // cargo bench adds --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.first().map(String::as_str) {
        None => {
            start();
            list();
            lineitem("0.1");
            lineitem("1");
        }
        Some("start") => start(),
        Some("list") => list(),
        Some("lineitem") => lineitem(words.get(1).map_or("1", String::as_str)),
        Some(other) => panic!("{other} is no benchmark: start, list, lineitem [SCALE]"),
    }
}

/// `--version`, and a job of one row, whole.
fn start() {
    println!("start: median of {STARTS}");
    let workspace = workspace("id,name\n1,one\n");
    report("  etlsched --version", (0..STARTS).map(|_| measure(etlsched(&workspace, &["--version"]), false).wall).collect());
    measure(etlsched(&workspace, &["run", "rows"]), false);
    report("  a job of one row", (0..STARTS).map(|_| measure(etlsched(&workspace, &["run", "rows"]), false).wall).collect());
}

/// `list` over a store of many jobs and runs, each a copy of a real one.
fn list() {
    let workspace = workspace("id,name\n1,one\n");
    measure(etlsched(&workspace, &["run", "rows"]), false);
    let job = std::fs::read_to_string(workspace.path().join("jobs/rows.yaml")).expect("the job");
    for number in 1..JOBS {
        std::fs::write(workspace.path().join(format!("jobs/rows-{number}.yaml")), &job).expect("a job");
    }
    let store = Connection::open(workspace.path().join(".etlsched/state.db")).expect("the state store");
    let numbers = |count: u32| format!("WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})");
    let jobs = copied(&store, "jobs", &[("id", "'rows-' || n"), ("file", "replace(file, 'rows', 'rows-' || n)")]);
    store.execute_batch(&format!("{} INSERT INTO jobs SELECT {jobs} FROM number, jobs", numbers(JOBS - 1))).expect("jobs");
    let run = [
        ("id", "printf('01932f3c-%04x-7abc-8def-%012x', n % 65536, n)".to_owned()),
        ("job", format!("iif(n % {JOBS} = 0, 'rows', 'rows-' || n % {JOBS})")),
        ("started_at", "strftime('%Y-%m-%d %H:%M:%f', started_at, '-' || n || ' minutes') || '000'".to_owned()),
    ];
    let run: Vec<(&str, &str)> = run.iter().map(|(column, value)| (*column, value.as_str())).collect();
    let runs = copied(&store, "runs", &run);
    let seed = format!("{} INSERT INTO runs SELECT {runs} FROM number, (SELECT * FROM runs LIMIT 1)", numbers(RUNS - 1));
    store.execute_batch(&seed).expect("runs");
    drop(store);
    println!("list: {JOBS} jobs, {RUNS} runs, median of {STARTS}");
    report("  etlsched list", (0..STARTS).map(|_| measure(etlsched(&workspace, &["list"]), false).wall).collect());
    report("  etlsched logs", (0..STARTS).map(|_| measure(etlsched(&workspace, &["logs"]), false).wall).collect());
}

/// Returns the columns of a table as a SELECT list, some replaced by an expression.
fn copied(store: &Connection, table: &str, replaced: &[(&str, &str)]) -> String {
    let mut statement = store.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("a query");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("columns");
    let columns = names.map(|name| {
        let name = name.expect("a column");
        replaced.iter().find(|(column, _)| *column == name).map_or(name.clone(), |(_, value)| (*value).to_owned())
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// lineitem into the embedded warehouse, against `.import` of the same file.
fn lineitem(scale: &str) {
    let file = make_lineitem(scale);
    println!("lineitem at scale {scale} ({} MB), {PAIRS} pairs", std::fs::metadata(&file).expect("the file").len() / 1_000_000);
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let folder = tempfile::tempdir_in(bench_folder()).expect("a folder");
        let mut import = Command::new("sqlite3");
        let database = folder.path().join("import.db");
        import.arg(&database).args([".mode csv".to_owned(), format!(".import '{}' lineitem", file.display())]);
        let import = measure(import, true);
        let workspace = workspace_of(&format!("data_sources:\n  - {{name: lineitem, path: '{}'}}\n", file.display()));
        let ours = measure(etlsched(&workspace, &["run", "rows"]), true);
        let rows = |path: PathBuf| -> i64 {
            let connection = Connection::open(path).expect("a database");
            connection.query_row("SELECT count(*) FROM lineitem", [], |row| row.get(0)).expect("a count")
        };
        let loaded = (rows(workspace.path().join(".etlsched/warehouse.db")), rows(database));
        let ratio = ours.wall.as_secs_f64() / import.wall.as_secs_f64();
        println!(
            "  etlsched {:.2} s, {} MB ({} MB anonymous), {} rows; .import {:.2} s, {} MB, {} rows; ratio {ratio:.2}",
            ours.wall.as_secs_f64(),
            ours.resident / 1000,
            ours.anonymous / 1000,
            loaded.0,
            import.wall.as_secs_f64(),
            import.resident / 1000,
            loaded.1,
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio {:.2}", ratios[PAIRS / 2]);
}

fn make_lineitem(scale: &str) -> PathBuf {
    let folder = bench_folder().join(format!("tpch-{scale}"));
    let path = folder.join("lineitem.csv");
    if !path.exists() {
        std::fs::create_dir_all(&folder).expect("a folder");
        let output = format!("--output-dir={}", folder.display());
        let made = Command::new("tpchgen-cli").args(["csv", "-s", scale, "--tables=lineitem", &output]).status();
        assert!(made.is_ok_and(|status| status.success()), "tpchgen-cli is needed: pip install tpchgen-cli");
    }
    path
}

fn workspace(csv: &str) -> TempDir {
    let workspace = workspace_of("data_sources:\n  - path: jobs/rows.csv\n");
    std::fs::write(workspace.path().join("jobs/rows.csv"), csv).expect("a file");
    workspace
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{name}: {:.1} ms (least {:.1})", milliseconds(times[times.len() / 2]), milliseconds(times[0]));
}
