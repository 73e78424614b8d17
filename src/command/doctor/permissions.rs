//! Who may read and write what: files of the workspace, its private folder, and whose the jobs are.

use std::path::Path;

use super::scene::{Scene, told};
use super::scheduler::store_of;
use super::tell::Tell;
use crate::private;
use crate::process;
use crate::state::JobRecord;
use crate::text::count;

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let mut is_good = true;
    for problem in scene.problems(true) {
        is_good = false;
        let remedy = problem.hint.clone().unwrap_or_default();
        if super::scene::is_error(problem) { tell.fail("files", told(problem), remedy) } else { tell.warn("files", told(problem), remedy) }
    }
    if is_good {
        tell.ok("files", "etlsched.yaml, .env and job files are for their owner to write, and secrets for nobody else to read");
    }
    folder(scene, tell);
    owner(scene, tell);
}

/// `.etlsched` and what is in it: for its owner, or for the group of `state_group`.
fn folder(scene: &Scene, tell: &Tell) {
    let workspace = scene.there();
    let folder = workspace.private_folder();
    let Ok(metadata) = std::fs::metadata(&folder) else {
        let root = &workspace.root;
        return match process::is_writable(root) {
            true => tell.ok(".etlsched", "not made yet; the first run makes it"),
            false => tell.fail(
                ".etlsched",
                format!("not made yet, and this user may not write {}", root.display()),
                unwritable(root, workspace.state_group.as_deref()),
            ),
        };
    };
    let shown = workspace.shown(&folder).display().to_string();
    let group = workspace.state_group.as_deref();
    if !process::is_writable(&folder) {
        return tell.fail(".etlsched", format!("{shown} can't be written by {}", process::user_name()), unwritable(&folder, group));
    }
    match (private::readers(&metadata), group) {
        (None, None) => {}
        (Some(private::Readers::Group(id)), Some(name)) if private::is_group(id, name) => {}
        (None, Some(name)) => {
            let found = format!("{shown} is for its owner alone, and state_group says {name}");
            return tell.warn(".etlsched", found, "any command that runs jobs shares it: etlsched run JOB, as its owner");
        }
        (Some(_), _) => {
            let remedy =
                group.map_or_else(|| format!("chmod -R go= {shown}"), |name| format!("chgrp -R {name} {shown} && chmod 2770 {shown}"));
            return tell.warn(".etlsched", format!("others can look into {shown}"), remedy);
        }
    }
    let loose: Vec<String> = loose(&folder, group).iter().map(|path| workspace.shown(path).display().to_string()).collect();
    match loose.first() {
        None => tell.ok(".etlsched", "what is in it is for those who run the jobs"),
        Some(first) => {
            let mode = if group.is_some() { "660" } else { "600" };
            tell.warn(
                ".etlsched",
                format!("others can read {first} (one of {})", loose.len()),
                format!("chmod {mode} {}", loose.join(" ")),
            );
        }
    }
}

/// Returns what helps where the private folder, or one that it shall be made in, can't be written. It is never taken from another user,
/// whose runs would fail then.
pub(super) fn unwritable(folder: &Path, group: Option<&str>) -> String {
    let shown = folder.display();
    let user = process::user_name();
    own_mode(folder).unwrap_or_else(|| match group {
        Some(group) => format!("run as the owner of {shown}, or join the group of state_group: usermod -aG {group} {user}"),
        None => format!("run as the owner of {shown}, or let the owner share it with a group: state_group in etlsched.yaml"),
    })
}

/// As [`unwritable`], for a file of tables, or the folder that it shall be made in, outside of the private folder: `state_group` is not for it.
pub(super) fn unwritable_elsewhere(place: &Path) -> String {
    let shown = place.display();
    let group = if place.is_dir() { "chmod g+rwxs" } else { "chmod g+rw" };
    own_mode(place)
        .unwrap_or_else(|| format!("run as the owner of {shown}, or let the owner share it with a group of yours: {group} {shown}"))
}

/// Returns what gives back to its owner, who is this user, what the mode withholds.
fn own_mode(place: &Path) -> Option<String> {
    let metadata = std::fs::metadata(place).ok().filter(private::is_own)?;
    let rights = if metadata.is_dir() { "u+rwx" } else { "u+rw" };
    Some(format!("chmod {rights} {}", place.display()))
}

/// Returns the files right in the private folder that others can read.
fn loose(folder: &Path, group: Option<&str>) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_loose = |path: &Path| {
        // SQLite's own files beside a database come and go, with the mode of it.
        if path.to_string_lossy().ends_with("-wal") || path.to_string_lossy().ends_with("-shm") {
            return false;
        }
        let readers = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).and_then(|metadata| private::readers(&metadata));
        match (readers, group) {
            (None, _) => false,
            (Some(private::Readers::Group(id)), Some(name)) => !private::is_group(id, name),
            (Some(_), _) => true,
        }
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_loose(path)).collect();
    found.sort();
    found
}

fn owner(scene: &Scene, tell: &Tell) {
    let workspace = scene.there();
    let user = process::user_name();
    if process::is_root() {
        let found = "you are root: jobs run with all rights, and connections of every user are yours";
        tell.ok("user", found);
    } else {
        let admin = if workspace.admins.contains(&user) { ", an admin of this workspace" } else { "" };
        tell.ok("user", format!("you are {user}{admin}"));
    }
    let records: Vec<JobRecord> = store_of(scene).and_then(|mut store| store.jobs().ok()).unwrap_or_default();
    let is_there = |record: &&JobRecord| scene.jobs.iter().any(|loaded| loaded.job.id.as_str() == record.id);
    let (own, others): (Vec<_>, Vec<_>) = records.iter().filter(is_there).partition(|record| record.owner == user);
    if others.is_empty() {
        return;
    }
    let mut owners: Vec<&str> = others.iter().map(|record| record.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let found = format!("{} yours; {} of {}", count(own.len() as u64, "job"), count(others.len() as u64, "job"), owners.join(", "));
    tell.ok("owners", found);
}
