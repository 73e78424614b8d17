//! Files of log lines: many writers, parted by size, what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::plan::Level;

fn options(path: PathBuf, max_bytes: u64, keep: u32) -> LogFileOptions {
    LogFileOptions { path, format: LogFormat::Text, max_bytes, keep }
}

fn add(log: &LogFile, number: u64) {
    let at = chrono::DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant");
    let entry = Entry { level: Level::Info, event: "test", fields: vec![("number", json!(number))] };
    log.add(&Stamp { at, job: None, run: None }, &entry);
}

fn lines(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn writers_at_once_lose_and_tear_no_line_while_the_file_is_parted_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    let threads: Vec<_> = (0..8)
        .map(|writer| {
            // One of its own each, as processes have; flock(2) parts open files, not processes.
            let log = LogFile::open(options(path.clone(), 4096, 1000)).unwrap();
            std::thread::spawn(move || (0..100).for_each(|number| add(&log, writer * 100 + number)))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let found = lines(folder.path());
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (800, 800));
    let head = "at=2026-11-18T11:06:40.000Z level=info event=test number=";
    assert!(found.iter().all(|line| line.strip_prefix(head).is_some_and(|number| number.parse::<u64>().is_ok())));
    let sizes: Vec<u64> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() > 10 && sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
}

#[test]
fn so_many_earlier_files_are_kept_and_the_latest_is_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    let log = LogFile::open(options(path.clone(), 1, 2)).unwrap();
    (0..5).for_each(|number| add(&log, number));
    let number = |suffix: &str| {
        let text = fs::read_to_string(format!("{}{suffix}", path.display())).unwrap();
        text.trim_end().rsplit('=').next().unwrap().to_owned()
    };
    assert_eq!([number(""), number(".1"), number(".2")], ["4", "3", "2"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_torn_line_is_ended_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    fs::write(&path, "a line that was to").unwrap();
    add(&LogFile::open(options(path.clone(), 4096, 2)).unwrap(), 7);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn a_lock_that_is_never_given_back_keeps_nobody_from_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    let log = LogFile::open(options(path.clone(), 1, 2)).unwrap();
    let holder = OpenOptions::new().append(true).open(&path).unwrap();
    holder.lock().unwrap();
    (0..20).for_each(|number| add(&log, number));
    assert_eq!(lines(folder.path()).len(), if cfg!(unix) { 20 } else { 0 });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nobody parts a file that others write");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_alone_and_one_that_is_there_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let log = LogFile::open(options(path.clone(), 1, 2)).unwrap();
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (0..2).for_each(|number| add(&log, number));
    assert_eq!([mode(&path), mode(&folder.path().join("etl.log.1"))], [0o640, 0o640]);
}

#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_refused_with_a_remedy_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, why: &str, hint: &str| {
        let path = folder.path().join(name);
        let failure = LogFile::open(options(path.clone(), 1, 1)).expect_err(why);
        assert_eq!(failure.message, format!("--log-file {}: {why}", path.display()));
        assert!(failure.hint.as_deref().is_some_and(|found| found.starts_with(hint)), "{:?}", failure.hint);
        assert_eq!(failure.exit_code, exit_code::INVALID);
    };
    fs::create_dir(folder.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    check("folder", "it is a folder", "name a plain file");
    check("link", "it is a symbolic link, which could lead log lines anywhere", "name a plain file");
    check("pipe", "it is no plain file", "name a plain file");
    check("absent/etl.log", "its folder doesn't exist", "mkdir -p ");
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn a_link_that_takes_the_files_place_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.log");
    let log = Arc::new(LogFile::open(options(path.clone(), 4096, 1)).unwrap());
    fs::remove_file(&path).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("victim"), &path).unwrap();
    #[cfg(unix)]
    add(&log, 1);
    assert!(!folder.path().join("victim").exists());
    drop(log);
}
