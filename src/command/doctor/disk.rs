//! Room on the disks that jobs write: the private folder, the store, warehouses in files, temporary files.

use std::path::{Path, PathBuf};

use super::scene::Scene;
use super::tell::Tell;
use crate::process::{Space, space};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A load stages its rows beside the table: with less, the next one of any size fails.
const FAILED_BELOW: u64 = 100 * MIB;

/// With less it is time to look.
const WARNED_BELOW: u64 = GIB;

/// A share of a large disk is much room: of the 5 % nothing is said beyond this.
const SHARE_WARNED_BELOW: u64 = 10 * GIB;

/// A write-ahead log is emptied when nobody reads: a large one is held open by somebody.
const LOG_WARNED_ABOVE: u64 = 256 * MIB;

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let mut told: Vec<(u64, String)> = Vec::new();
    for (subject, folder) in places(scene) {
        match space(&folder) {
            Err(error) => tell.fail(&subject, format!("{}: {error}", folder.display()), format!("mkdir -p {}", folder.display())),
            Ok(None) => tell.skipped(&subject, "this system doesn't tell how much room there is"),
            Ok(Some(space)) => match told.iter().find(|(device, _)| *device == space.device) {
                Some((_, known)) => tell.ok(&subject, format!("{}: on the same disk as {known}", folder.display())),
                None => {
                    told.push((space.device, subject.clone()));
                    room(&subject, &folder, &space, tell);
                }
            },
        }
    }
    logs(scene, tell);
    temporary(tell);
}

/// Returns the folders that jobs write, each that is there or the nearest above it.
fn places(scene: &Scene) -> Vec<(String, PathBuf)> {
    let workspace = scene.there();
    let mut places = vec![(".etlsched".to_owned(), nearest(&workspace.private_folder()))];
    if let Some(folder) = workspace.state.file().and_then(Path::parent) {
        places.push(("state store".to_owned(), nearest(folder)));
    }
    for loaded in &scene.jobs {
        let destination = &loaded.job.destination;
        if let Some(folder) = destination.kind.file().and_then(Path::parent) {
            places.push((destination.name.clone(), nearest(folder)));
        }
    }
    places.push(("temporary files".to_owned(), std::env::temp_dir()));
    let mut known = std::collections::BTreeSet::new();
    places.retain(|(subject, folder)| known.insert(folder.clone()) || subject == "temporary files");
    places
}

fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder).to_owned()
}

fn room(subject: &str, folder: &Path, space: &Space, tell: &Tell) {
    let place = folder.display();
    let free = space.bytes_free;
    let share = 100.0 * free as f64 / space.bytes.max(1) as f64;
    let found = format!("{place}: {} free, {share:.0} %", size(free));
    let remedy =
        "free some: etlsched keeps run logs for retention_days, and rejected rows under .etlsched/rejects as long; or move the data";
    if space.is_read_only {
        return tell.fail(subject, format!("{place}: mounted read-only"), format!("mount -o remount,rw {place}, after a look at dmesg"));
    }
    if free < FAILED_BELOW {
        return tell.fail(subject, found, remedy);
    }
    if space.files > 0 && space.files_free * 100 < space.files {
        let found = format!("{found}; {} of {} files may still be made", space.files_free, space.files);
        return tell.warn(subject, found, "remove files that nobody needs: df -i shows the file systems");
    }
    if free < WARNED_BELOW || (share < 5.0 && free < SHARE_WARNED_BELOW) {
        return tell.warn(subject, found, remedy);
    }
    tell.ok(subject, found);
}

fn size(bytes: u64) -> String {
    if bytes >= GIB { format!("{:.1} GiB", bytes as f64 / GIB as f64) } else { format!("{} MiB", bytes / MIB) }
}

/// Write-ahead logs of the store and of warehouses.
fn logs(scene: &Scene, tell: &Tell) {
    let warehouses = scene.jobs.iter().filter_map(|loaded| loaded.job.destination.kind.file());
    let files: std::collections::BTreeSet<&Path> = scene.there().state.file().into_iter().chain(warehouses).collect();
    for file in files {
        let log = PathBuf::from(format!("{}-wal", file.display()));
        let bytes = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        if bytes > LOG_WARNED_ABOVE {
            let found =
                format!("{} has {}: some process has kept {} open for reading for long", log.display(), size(bytes), file.display());
            tell.warn("log", found, format!("find it and end it: fuser -v {}", file.display()));
        }
    }
}

/// Sources of the web and of ODBC keep rows in files without a name.
fn temporary(tell: &Tell) {
    let folder = std::env::temp_dir();
    if let Err(error) = tempfile::tempfile_in(&folder) {
        let found = format!("no file can be made in {}: {error}", folder.display());
        tell.fail("temporary files", found, "chmod 1777 it, or let TMPDIR name another folder");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tell::{Heard, Tell};
    use super::*;
    use crate::output::doctor::Verdict;

    #[track_caller]
    fn check(free: u64, of: u64, files_free: u64, expected: Verdict) {
        let space = Space { device: 1, bytes: of, bytes_free: free, files: 1000, files_free, is_read_only: false, network: None };
        let (tell, hear) = Tell::new("disk");
        room("x", Path::new("/x"), &space, &tell);
        let Heard::Found(finding) = hear.next(std::time::Instant::now() + std::time::Duration::from_secs(60)) else { panic!("nothing") };
        assert_eq!(finding.status, expected, "{}", finding.found);
    }

    #[test]
    fn little_room_is_told_before_there_is_none() {
        check(50 * GIB, 1000 * GIB, 500, Verdict::Ok);
        check(9 * GIB, 1000 * GIB, 500, Verdict::Warn);
        check(9 * GIB, 20 * GIB, 500, Verdict::Ok);
        check(GIB - 1, 2 * GIB, 500, Verdict::Warn);
        check(FAILED_BELOW - 1, 200 * MIB, 500, Verdict::Fail);
        check(50 * GIB, 100 * GIB, 9, Verdict::Warn);
    }
}
