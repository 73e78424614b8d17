//! A note beside the workspace of the slot of a job that was settled last: by it the gate needs no connection to a store on a server until the
//! next slot. It can only ever say that nothing is to be done; whatever it doesn't know is asked of the store.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobId};
use crate::private;
use crate::process;
use crate::schedule::Slot;
use crate::state::StateLocation;
use crate::workspace::Workspace;

/// The folder of notes, below the private one.
const FOLDER: &str = "gate";

/// So long a note is believed: runs by hand on other hosts may have died or left letters since.
const BELIEVED: TimeDelta = TimeDelta::hours(1);

/// No note is longer.
const BYTES_MAX: u64 = 16 * 1024;

/// What a note says. Everything but the slot and the moment must be as it is now for the note to be believed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// Server, database and login, without the password.
    store: String,
    /// The job's file, which moves when the workspace does.
    file: String,
    fingerprint: String,
    schedule_fingerprint: String,
    /// The slot that was settled: done, failed, skipped or missed for good.
    slot: String,
    due_at: DateTime<Utc>,
    /// When that was seen, by the clock that slots go by.
    noted_at: DateTime<Utc>,
}

/// Whether a note says that nothing is to be done for a job: its latest slot is the one that was settled. A slot that was settled stays so,
/// whatever other hosts do; enabling, pausing or disabling the job makes none due that lies before.
pub fn is_settled(workspace: &Workspace, job: &Job, now: DateTime<Utc>) -> bool {
    let (Some(latest), Some(note)) = (job.schedule.latest(job.timezone, now), read(workspace, &job.id)) else { return false };
    // A clock that went back may stand before slots that are not settled.
    let noted_at = note.noted_at;
    job.is_active
        && noted_at <= now
        && now - noted_at < BELIEVED
        && new(workspace, job, &latest, noted_at).is_some_and(|present| present == note)
}

/// Notes that a slot is settled, where the store is on a server. Without a note the store is asked the next time: whatever goes wrong here
/// costs no more than that.
pub(super) fn write(workspace: &Workspace, job: &Job, slot: &Slot, now: DateTime<Utc>) {
    let Some(note) = new(workspace, job, slot, now) else { return };
    let (Ok(text), path) = (serde_json::to_string(&note), path(workspace, &job.id)) else { return };
    let Some(folder) = path.parent() else { return };
    // Two processes write at once: each into a file of its own, and either note is right.
    let fresh = folder.join(format!("{}.{}.new", job.id, process::own().pid));
    let written = private::make_folder(folder)
        .and_then(|()| private::open(OpenOptions::new().write(true).create(true).truncate(true), &fresh))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
}

/// Takes the note of a job away.
pub fn forget(workspace: &Workspace, job: &JobId) {
    // There may be none.
    let _ = fs::remove_file(path(workspace, job));
}

fn new(workspace: &Workspace, job: &Job, slot: &Slot, noted_at: DateTime<Utc>) -> Option<Note> {
    let StateLocation::Postgresql(plan) = &workspace.state else { return None };
    // Entries wake the gate at a deadline too, when it may have passed.
    if job.lateness.deadline.is_some() {
        return None;
    }
    Some(Note {
        store: format!("{} as {}", workspace.state.place(), plan.user),
        file: job.file.display().to_string(),
        fingerprint: job.fingerprint.clone(),
        schedule_fingerprint: job.schedule_fingerprint.clone(),
        slot: slot.key(),
        due_at: slot.at,
        noted_at,
    })
}

fn read(workspace: &Workspace, job: &JobId) -> Option<Note> {
    let mut text = String::new();
    fs::File::open(path(workspace, job)).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn path(workspace: &Workspace, job: &JobId) -> PathBuf {
    workspace.private_folder().join(FOLDER).join(format!("{job}.json"))
}
