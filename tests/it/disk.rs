//! One warehouse file, many writers; a file that can't grow, or can't be written: a failure is clean, and the next run succeeds.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use crate::etl::{Ended, Etl};

fn numbers(rows: u32) -> String {
    let lines: String = (1..=rows).map(|number| format!("{number},a text of some length that fills the file {number}\n")).collect();
    format!("id,text\n{lines}")
}

/// Runs a job under a limit on the size of files, in 512-byte blocks; writing beyond it is an error, not a signal.
fn run_limited(etl: &Etl, job: &str, blocks: u32) -> Ended {
    let mut limited = Command::new("sh");
    let inner = etl.command(&["run", job]);
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]).arg(inner.get_program()).args(["run", job]);
    limited.current_dir(etl.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", etl.path(""));
    let output = limited.stdin(Stdio::null()).output().expect("sh starts");
    Ended::new(etl, &["run", job], output)
}

#[test]
fn runs_of_several_jobs_load_into_one_file_at_once() {
    let jobs = ["one", "two", "three", "four"];
    let etl = jobs.iter().fold(Etl::new(), |etl, job| etl.csv_job(job, "", numbers(30_000)));
    let runs: Vec<_> = jobs.iter().map(|job| etl.command(&["run", job]).spawn().expect("the program starts")).collect();
    for (job, run) in jobs.iter().zip(runs) {
        Ended::new(&etl, &["run", job], run.wait_with_output().expect("it ends")).exits(0);
        assert_eq!(etl.warehouse().value(&format!("SELECT count(DISTINCT id) || ' ' || count(*) FROM {job}")), "30000 30000");
    }
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    assert_eq!(etl.warehouse().value("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_full_disk_fails_the_run_and_changes_nothing_and_the_next_run_succeeds() {
    let etl = Etl::new().csv_job("rows", "", numbers(3));
    etl.run(&["run", "rows"]).exits(0);
    etl.write("jobs/data/rows.csv", numbers(60_000));
    run_limited(&etl, "rows", 2_000).exits(1).mentions("disk");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "3");
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "60000");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    assert_eq!(etl.warehouse().value("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_warehouse_that_may_only_be_read_fails_the_run_with_one_clear_error() {
    let etl = Etl::new().csv_job("rows", "", numbers(3));
    etl.run(&["run", "rows"]).exits(0);
    // A file whose write version (byte 18 of its header) is newer than SQLite knows is read-only for everyone, root too.
    let file = std::fs::File::options().write(true).open(etl.path(".etlsched/warehouse.db")).expect("the warehouse");
    file.write_all_at(&[3], 18).expect("the header");
    etl.write("jobs/data/rows.csv", numbers(5));
    etl.run(&["run", "rows"]).exits(1).mentions("readonly");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "3");
    file.write_all_at(&[2], 18).expect("the header");
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "5");
}
