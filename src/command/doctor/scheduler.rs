//! What starts the jobs: which scheduler holds entries, whether they are right, whether it runs.

use std::time::Duration;

use super::cron::EntriesOf;
use super::scene::Scene;
use super::tell::Tell;
use crate::command::schedule::{Choice, Options, Scheduler, Standing, is_in_path};
use crate::job::Job;
use crate::schedule::Schedule;
use crate::scheduler::install::Daemon;
use crate::state::{Examined, Store};
use crate::text::{count, shortened};
use crate::{process, scheduler};

/// Programs of schedulers have 10 s each, and half a dozen are asked.
/// Returns how long it may take at most.
pub fn limit(scene: &Scene) -> Duration {
    scene.timeout + Duration::from_secs(120)
}

/// Returns the schedulers that this machine may have.
fn candidates() -> Vec<Choice> {
    if cfg!(windows) {
        return vec![Choice { scheduler: Some(Scheduler::Windows), system: false }];
    }
    let mut found = Vec::new();
    if is_in_path("crontab") {
        found.push(Choice { scheduler: Some(Scheduler::Crontab), system: false });
    }
    if is_in_path("systemctl") {
        found.extend([false, true].map(|system| Choice { scheduler: Some(Scheduler::Systemd), system }));
    }
    found
}

/// Returns a store to read, as it is; none where there is none, or where it isn't this version's.
pub fn store_of(scene: &Scene) -> Option<Store> {
    let workspace = scene.there();
    if workspace.is_state_shared && scene.is_offline {
        return None;
    }
    match Store::examine(&workspace.state, scene.timeout) {
        Ok(Examined::Current(store)) => Some(store),
        _ => None,
    }
}

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let mut store = store_of(scene);
    let candidates = candidates();
    if candidates.is_empty() {
        let remedy = "install cron (Debian: apt-get install cron), or let another host start the jobs: etlsched schedule export --help";
        return tell.warn("", "this machine has none: neither crontab nor systemctl is in PATH", remedy);
    }
    let (mut used, mut failures) = (Vec::new(), Vec::new());
    for choice in candidates {
        let options = Options { choice: choice.clone(), host_zone: None, program: None };
        match Standing::find(scene.there(), &options, store.as_mut()) {
            Ok(standing) if !standing.installed.is_empty() => used.push(standing),
            Ok(_) => {}
            Err(failure) => failures.push((choice, failure)),
        }
    }
    // A crontab that can't be read may hold entries; a systemd that isn't in use may well be unable to say some schedule.
    for (choice, failure) in failures {
        let name = choice.scheduler.map_or("", Scheduler::name);
        let remedy = failure.hint.unwrap_or_else(|| "etlsched schedule status".to_owned());
        match choice.scheduler {
            Some(Scheduler::Crontab) if used.is_empty() => tell.fail(name, failure.message, remedy),
            Some(Scheduler::Crontab) => tell.warn(name, failure.message, remedy),
            _ if used.is_empty() && !is_in_path("crontab") => tell.warn(name, failure.message, remedy),
            _ => {}
        }
    }
    if used.is_empty() {
        nothing(scene, tell);
    }
    if let [one, other, ..] = used.as_slice() {
        let found = format!(
            "entries are in {} and in {}: each slot runs once all the same",
            one.machine.target.place(),
            other.machine.target.place()
        );
        tell.warn("twice", found, format!("etlsched schedule remove --scheduler {}", other.machine.target.name()));
    }
    used.iter().for_each(|standing| installed(standing, tell));
    if used.iter().any(|standing| standing.machine.target.name() == Scheduler::Crontab.name()) {
        mail(scene, tell);
    }
}

fn nothing(scene: &Scene, tell: &Tell) {
    let due = scene.jobs.iter().filter(|loaded| loaded.job.is_active && loaded.job.schedule != Schedule::Manual).count() as u64;
    if due == 0 {
        return tell.ok("", "no job of this workspace is due by itself, and none has an entry");
    }
    let found = format!("no job has an entry on this host, and {} should be started", count(due, "job"));
    tell.warn("", found, "etlsched schedule install; or let another host start them: etlsched schedule export --help");
}

fn installed(standing: &Standing, tell: &Tell) {
    let target = &standing.machine.target;
    let name = target.name();
    let jobs = count(standing.installed.len() as u64, "job");
    let reasons = standing.reasons().unwrap_or_default();
    if standing.is_right() {
        tell.ok(name, format!("{} holds {jobs}, as it should", target.place()));
    } else {
        let mut found = format!("{} holds {jobs}, not as it should", target.place());
        for reason in reasons {
            found.push_str(&format!("; {reason}"));
        }
        if !standing.wanted.kept.is_empty() {
            found.push_str(&format!("; {} with errors in the file keep their entries", count(standing.wanted.kept.len() as u64, "job")));
        }
        tell.warn(name, found, "etlsched schedule status shows the difference; etlsched schedule sync makes it right");
    }
    made_by(standing, tell);
    match target.daemon() {
        Daemon::Runs(daemon) => tell.ok("daemon", format!("{daemon} runs")),
        Daemon::Absent(what, hint) => tell.fail("daemon", what, hint),
        Daemon::Unknown(why) => tell.skipped("daemon", format!("whether it runs is not known: {why}")),
    }
    for (warning, hint) in target.warnings() {
        tell.warn("entries", warning, hint);
    }
}

/// Tells of entries that another version made, or that start another program.
fn made_by(standing: &Standing, tell: &Tell) {
    let Ok(shown) = standing.machine.target.shown(&standing.change.before) else { return };
    let text: String = shown.iter().map(|shown| scheduler::Rendered { name: String::new(), bytes: shown.bytes.clone() }.text()).collect();
    let EntriesOf { version, program } = EntriesOf::read(&text);
    let own = env!("CARGO_PKG_VERSION");
    if let Some(version) = version.filter(|version| version != own) {
        let found = format!("made by etlsched {}, and this is {own}", shortened(&version, 40));
        tell.warn("version", found, "etlsched schedule sync");
    }
    let Some(program) = program.filter(|program| *program != standing.machine.host.program) else { return };
    let is_there = std::path::Path::new(&program).is_file();
    let (own, program) = (&standing.machine.host.program, shortened(&program, 200));
    if is_there {
        tell.warn(
            "program",
            format!("the entries start {program}, and this is {own}"),
            "etlsched schedule sync, by the program that is to be started",
        );
    } else {
        tell.fail("program", format!("the entries start {program}, which isn't there"), "etlsched schedule sync");
    }
}

/// cron mails what jobs print, by this machine's sendmail.
fn mail(scene: &Scene, tell: &Tell) {
    let folders = ["/usr/sbin", "/usr/lib", "/usr/bin"];
    let found = folders.iter().map(|folder| std::path::Path::new(folder).join("sendmail")).find(|path| path.is_file());
    match found {
        Some(path) => {
            tell.ok("mail", format!("cron mails what a failed run prints, by {}, to {} or MAILTO", path.display(), process::user_name()))
        }
        None => unmailed(scene, tell),
    }
}

/// Of jobs that tell nobody themselves nobody hears.
fn unmailed(scene: &Scene, tell: &Tell) {
    let is_silent = |job: &&Job| job.is_active && job.schedule != Schedule::Manual && !job.notifications.has_audience();
    let silent: Vec<&Job> = scene.jobs.iter().map(|loaded| &loaded.job).filter(is_silent).collect();
    let Some(first) = silent.first() else {
        return tell.ok("mail", "cron can mail nothing, since there is no sendmail; the jobs tell people themselves");
    };
    let whose = match silent.len() {
        1 => format!("job {}", first.id),
        jobs => format!("{}, {} the first", count(jobs as u64, "job"), first.id),
    };
    let found = format!("cron can mail nothing, since there is no sendmail: nobody is told of failed runs of {whose}");
    tell.warn(
        "mail",
        found,
        "add notification_emails or webhooks to them, or under defaults in etlsched.yaml; etlsched logs has failed runs",
    );
}
