//! The state store: there, as this version has it, writable, sound, near, with a clock like this host's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;

use super::scene::Scene;
use super::tell::Tell;
use crate::command::stored;
use crate::state::{Examined, ServerFacts, StateError, StateLocation, Store};
use crate::text::count;
use crate::{clock, process};

/// Larger files are not read whole.
const CHECKED_BYTES_MAX: u64 = 2 << 30;

/// A question that takes longer makes every run slower by seconds: it asks some dozens.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(100);

/// NTP keeps clocks within milliseconds: what is seconds off isn't kept.
const CLOCK_WARNED: TimeDelta = TimeDelta::seconds(2);

/// Half of the minute after which a lease counts as lost: hosts that differ by more start slots at times that others don't expect.
const CLOCK_FAILED: TimeDelta = TimeDelta::seconds(30);

/// Returns how long it may take at most.
pub fn limit(scene: &Scene) -> Duration {
    scene.timeout + Duration::from_secs(60)
}

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let location = &scene.there().state;
    if let StateLocation::Sqlite(file) = location {
        tell_network(file, tell);
    } else if scene.is_offline {
        return tell.skipped("", format!("{}: not reached (--offline)", location.place()));
    }
    match Store::examine(location, scene.timeout) {
        Ok(Examined::Absent) => absent(location, scene.there().state_group.as_deref(), tell),
        Ok(Examined::Older(_, lacking)) => {
            let migrations = count(lacking as u64, "migration");
            let found = format!("{}: made by an older etlsched; the next command that writes applies {migrations}", location.place());
            tell.warn("", found, "keep a copy first if the older program is still in use somewhere: it refuses the store afterwards");
        }
        Ok(Examined::Current(mut store)) => {
            tell.ok("", format!("{}: its tables are those of this version", location.place()));
            sound(location, &mut store, tell);
        }
        Err(error) => fail("", &error, tell),
    }
}

fn fail(subject: &str, error: &StateError, tell: &Tell) {
    tell.fail(subject, error.to_string(), error.hint().unwrap_or_else(|| "etlsched status -v".to_owned()));
}

/// SQLite's write-ahead log lives in memory that the processes of one host share (<https://www.sqlite.org/wal.html>, section 1).
fn tell_network(file: &Path, tell: &Tell) {
    let folder = existing(file);
    if let Ok(Some(space)) = process::space(&folder)
        && let Some(network) = space.network
    {
        let found = format!("{} is on {network}: two hosts that write it damage it", folder.display());
        tell.warn("file system", found, "keep it on a disk of this host, or share a server: state: postgresql://...");
    }
}

/// Returns the nearest folder that is there.
fn existing(file: &Path) -> PathBuf {
    file.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

fn absent(location: &StateLocation, group: Option<&str>, tell: &Tell) {
    let place = location.place();
    match location.file().map(existing) {
        Some(folder) if !process::is_writable(&folder) => {
            let found = format!("{place}: not made yet, and this user may not write {}", folder.display());
            tell.fail("", found, super::permissions::unwritable(&folder, group));
        }
        _ => tell.ok("", format!("{place}: not made yet; the first run makes it")),
    }
}

fn sound(location: &StateLocation, store: &mut Store, tell: &Tell) {
    match store.check_writable() {
        Ok(()) => tell.ok("writes", "it takes them"),
        Err(error @ StateError::Busy { .. }) => tell.warn("writes", error.to_string(), error.hint().unwrap_or_default()),
        Err(error) => fail("writes", &error, tell),
    }
    match store.server_facts(clock::now) {
        Ok(Some(facts)) => server(location, &facts, tell),
        Ok(None) => {}
        Err(error) => fail("server", &error, tell),
    }
    if let Ok(Some(mode)) = store.journal_mode()
        && mode != "wal"
    {
        tell.warn("journal", format!("{mode}: readers and writers wait for each other"), "the next command that writes turns it to wal");
    }
    match store.dead_run_ids(&stored::moment(), &process::liveness) {
        Ok(dead) if dead.is_empty() => tell.ok("runs", "none was left open by a process that died"),
        Ok(dead) => {
            let more = if dead.len() > 1 { ", ..." } else { "" };
            let found = format!("{} left open by processes that died ({}{more})", count(dead.len() as u64, "run"), dead[0]);
            tell.warn("runs", found, "nothing to mend by hand: the job's next run closes them; etlsched status shows them");
        }
        Err(error) => fail("runs", &error, tell),
    }
    if let Some(file) = location.file() {
        integrity(file, store, tell);
    }
}

fn integrity(file: &Path, store: &mut Store, tell: &Tell) {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    if bytes > CHECKED_BYTES_MAX {
        let found = format!("not read whole, since it has {} MiB; by hand: sqlite3 {} 'PRAGMA quick_check'", bytes >> 20, file.display());
        return tell.skipped("integrity", found);
    }
    match store.flaws() {
        Ok(flaws) if flaws.is_empty() => tell.ok("integrity", "the file is sound"),
        Ok(flaws) => {
            let remedy = "stop the runs, restore it from a backup, or move it away: a new store begins with an empty log";
            tell.fail("integrity", format!("the file is damaged: {}", flaws.join("; ")), remedy);
        }
        Err(error) => fail("integrity", &error, tell),
    }
}

fn server(location: &StateLocation, facts: &ServerFacts, tell: &Tell) {
    let ServerFacts { version, is_encrypted, clock_ahead, round_trip } = facts;
    let milliseconds = round_trip.as_secs_f64() * 1000.0;
    let found = format!("PostgreSQL {version}; a question and its answer take {milliseconds:.1} ms");
    if *round_trip > ROUND_TRIP_MAX {
        tell.warn("server", found, "let `state:` name a server nearer to this host: every run asks it some dozens of times");
    } else {
        tell.ok("server", found);
    }
    match is_encrypted {
        Some(true) => tell.ok("encryption", "the connection is encrypted"),
        Some(false) if !is_own(location) => {
            let remedy = "add ?sslmode=verify-full to `state:` in etlsched.yaml";
            tell.warn("encryption", "the connection is not encrypted, and goes to another host", remedy);
        }
        Some(false) | None => tell.ok("encryption", "none, and the connection stays on this host"),
    }
    let seconds = clock_ahead.num_milliseconds() as f64 / 1000.0;
    let way = if seconds < 0.0 { "behind" } else { "ahead of" };
    let found = format!("the server's clock is {:.1} s {way} this host's", seconds.abs());
    let remedy = "let NTP set both clocks: timedatectl set-ntp true";
    match clock_ahead.abs() {
        off if off >= CLOCK_FAILED => tell.fail("clock", found, remedy),
        off if off >= CLOCK_WARNED => tell.warn("clock", found, remedy),
        _ => tell.ok("clock", found),
    }
}

fn is_own(location: &StateLocation) -> bool {
    let StateLocation::Postgresql(plan) = location else { return true };
    plan.host.starts_with('/') || plan.host == "localhost" || plan.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
