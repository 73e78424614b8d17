//! The gate: a scheduler starts it at, or soon after, every slot of a job; it runs the slot that is due, once, or does nothing.

use chrono::{DateTime, Utc};

use crate::job::Job;
use crate::process::{self, Stop};
use crate::run::due::Rules;
use crate::schedule::Slot;
use crate::state::{Attention, Claim, Claimed, Glance, Look, SlotOrder, StateError, Store};
use crate::workspace::Workspace;

use super::begin::{self, Begun};
use super::journal::moment;
use super::note;
use super::observer::{Notice, Observer};
use super::refusal::{self, Refusal};
use super::run::Setting;

/// Opens the store for the gate's look at a job at an instant: it is answered already if it asks for the same one.
///
/// # Errors
/// As for [`Store::open`].
pub fn open(workspace: &Workspace, job: &Job, now: DateTime<Utc>) -> Result<Store, StateError> {
    let (new_job, order) = (begin::new_job(job, &process::user_name()), SlotOrder { rules: rules(job), now });
    Store::open_for_look(&workspace.state, &workspace.private_folder(), &Glance { job: &new_job, attention: attention(job), order })
}

/// Whether the gate has anything to do for a job: a slot is due or to be written off, or a dead run may have left one. Most calls end here,
/// and those after it with the note that is left ([`note::is_settled`]).
///
/// # Errors
/// The store can't be read or written.
pub fn is_due(store: &mut Store, workspace: &Workspace, job: &Job, now: DateTime<Utc>) -> Result<bool, StateError> {
    let attention = attention(job);
    let new_job = begin::new_job(job, &process::user_name());
    if let Look::Idle { settled } = store.look(&Glance { job: &new_job, attention, order: SlotOrder { rules: rules(job), now } }) {
        if let Some(slot) = settled {
            note::write(workspace, job, &slot, now);
        }
        return Ok(false);
    }
    let record = store.notice_job(&new_job, attention, now)?;
    if !record.is_gate_open(attention, now) {
        return Ok(false);
    }
    if record.last_run.is_some_and(|run| run.status.is_open()) && !store.dead_runs(&record.id, &moment(), &process::liveness)?.is_empty() {
        return Ok(true);
    }
    store.has_due_slot(&record.id, &SlotOrder { rules: rules(job), now })
}

/// Finds the slot that is due and claims it with lease and run row; waits where the job says so.
///
/// # Errors
/// Why nothing is started.
pub(super) fn begin(
    store: &mut Store,
    setting: &Setting<'_>,
    workspace_id: &str,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<Begun, Refusal> {
    let Setting { workspace, job, options, .. } = setting;
    let user = process::user_name();
    let attention = attention(job);
    let mut dead = Vec::new();
    let mut waiting: Option<(Slot, Option<DateTime<Utc>>)> = None;
    loop {
        let slot_now = options.clock.now();
        let known = store.notice_job(&begin::new_job(job, &user), attention, slot_now)?;
        if !known.is_gate_open(attention, slot_now) {
            return Err(Refusal::NotDue);
        }
        refusal::check_permitted(workspace, &known, &user)?;
        dead.extend(begin::close_dead_runs(store, setting, workspace_id, observer)?);
        if let Some((slot, Some(next))) = &waiting
            && *next <= slot_now
        {
            // From here on the next slot's own start waits.
            store.skip_slot(job.id.as_str(), slot, slot_now)?;
            return Err(Refusal::NotDue);
        }
        let now = moment();
        let run = begin::new_run(setting, begin::new_run_id(now.at));
        let order = SlotOrder { rules: rules(job), now: slot_now };
        let (lease, slot) = match store.begin_slot(&run, &order, &now, &process::liveness)? {
            Claim::Started(claimed) => {
                dead.extend(begin::earlier_failures(store, job, &known)?);
                let Claimed { key, at, trigger, published } = *claimed;
                return Ok(Begun { run_id: run.run_id, started_at: now.at, trigger, slot: Some(key), slot_at: Some(at), published, dead });
            }
            Claim::NotDue | Claim::Skipped(_) => return Err(Refusal::NotDue),
            Claim::Unrepaired => continue,
            Claim::Refused(lease) => {
                return Err(Refusal::Held { job: job.id.to_string(), run_id: lease.run_id.clone(), held_by: lease.to_string() });
            }
            Claim::Held(lease, slot) => (lease, slot),
        };
        if waiting.is_none() {
            observer.notice(&Notice::Waiting { held_by: &lease.to_string() });
            let next = job.schedule.next(job.timezone, slot.at, 1).first().map(|slot| slot.at);
            waiting = Some((slot, next));
        }
        begin::wait(setting, stop)?;
    }
}

fn attention(job: &Job) -> Attention {
    if job.is_active { Attention::Active } else { Attention::Inactive }
}

/// Returns what a job's file says about its slots.
pub(super) fn rules(job: &Job) -> Rules<'_> {
    Rules { schedule: &job.schedule, zone: job.timezone, lateness: job.lateness, on_overlap: job.on_overlap }
}
