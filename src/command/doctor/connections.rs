//! Every connection that jobs use, asked once, by workers: a driver may hang or crash.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::permissions;
use super::reach::{self, Asked, Ends, Way};
use super::scene::Scene;
use super::scheduler::store_of;
use super::tell::Tell;
use crate::command::worker;
use crate::engine::{self, ask};
use crate::job::Job;
use crate::plan::WorkerError;
use crate::process::{self, Program};
use crate::text::count;
use crate::workspace::NoJob;

/// How many workers are asked at once.
const AT_ONCE: usize = 4;

/// How long it takes at most to fetch a job's secrets and to start a worker, beside the time that the connection has.
const BESIDE: Duration = Duration::from_secs(20);

/// The owner of bookkeeping that nobody has: asked for in a workspace that has no store yet.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Returns how long it may take at most.
pub fn limit(scene: &Scene) -> Duration {
    let rounds = reach::ends(scene).len() / AT_ONCE + 1;
    (scene.timeout + BESIDE) * u32::try_from(rounds).unwrap_or(u32::MAX) + BESIDE
}

/// What came of asking.
enum Outcome {
    Ok(String),
    Skipped(String),
    Failed(String, String),
}

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let ends = reach::ends(scene);
    if ends.is_empty() {
        return tell.skipped("", "no valid job uses any");
    }
    let workspace_id = store_of(scene).and_then(|mut store| store.workspace_id().ok()).unwrap_or_else(|| NOBODY.to_owned());
    let next = AtomicUsize::new(0);
    let (sender, outcomes) = channel();
    let mut plain = 0;
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(ends.len()) {
            let (sender, next, ends, workspace_id) = (sender.clone(), &next, &ends, &workspace_id);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(end) = ends.get(index) else { return };
                    let _ = sender.send((index, outcome(scene, end, workspace_id)));
                }
            });
        }
        drop(sender);
        // They are told in their order, whichever answers first.
        let mut waiting = std::collections::BTreeMap::new();
        let mut told = 0;
        for (index, outcome) in outcomes {
            waiting.insert(index, outcome);
            while let Some(outcome) = waiting.remove(&told) {
                match (outcome, &ends[told]) {
                    (Outcome::Ok(_), end) if end.is_plain() => plain += 1,
                    (Outcome::Ok(found), end) => tell.ok(&end.subject, found),
                    (Outcome::Skipped(found), end) => tell.skipped(&end.subject, found),
                    (Outcome::Failed(found, remedy), end) => tell.fail(&end.subject, found, remedy),
                }
                told += 1;
            }
        }
    });
    if plain > 0 {
        tell.ok("without a name", format!("{} of files and URLs reached", count(plain, "source")));
    }
}

fn outcome(scene: &Scene, end: &Ends, workspace_id: &str) -> Outcome {
    if scene.is_offline && !end.is_local {
        return Outcome::Skipped("not reached (--offline)".to_owned());
    }
    let workspace = scene.there();
    match &end.asked {
        Asked::Left(why) => Outcome::Skipped(why.clone()),
        Asked::Unset { job, problem } => {
            let found = format!("job {job} can't be resolved here: {problem}");
            Outcome::Failed(found, "set it in .env, or under crontab_environment in etlsched.yaml".to_owned())
        }
        Asked::Job { job, way } => match workspace.job(job) {
            Ok(job) => reached(scene, end, &job, way, workspace_id),
            Err(NoJob::Unknown(_)) => Outcome::Skipped(format!("job {job} has gone meanwhile")),
            Err(NoJob::Invalid(problems)) => {
                let first = problems.iter().find(|problem| super::scene::is_error(problem)).or(problems.first());
                let found = first.map_or_else(|| format!("job {job} can't be resolved"), super::scene::told);
                Outcome::Failed(found, first.and_then(|problem| problem.hint.clone()).unwrap_or_else(|| format!("etlsched validate {job}")))
            }
        },
    }
}

fn reached(scene: &Scene, end: &Ends, job: &Job, way: &Way, workspace_id: &str) -> Outcome {
    let (workspace, timeout) = (scene.there(), scene.timeout);
    let program = match worker::program() {
        Ok(program) => Program { variables_removed: job.variables.clone(), ..program },
        Err(failure) => return Outcome::Failed(failure.message, "start etlsched by its path".to_owned()),
    };
    let began = Instant::now();
    let asked = match way {
        Way::Source(name) => match job.sources.iter().find(|source| source.name == *name) {
            Some(source) => ask(&program, &engine::test_order(job, source), timeout).map(|value| words(&value["message"])),
            None => return Outcome::Skipped(format!("source {name} has gone meanwhile")),
        },
        Way::Destination => destination(scene, &program, workspace_id, job),
    };
    let masker = workspace.masker_for(job);
    match asked {
        Ok(found) => Outcome::Ok(format!("{} ({:.1} s)", masker.mask(&found), began.elapsed().as_secs_f64())),
        Err(WorkerError { message, hint, .. }) => {
            let remedy = hint.unwrap_or_else(|| match way {
                Way::Source(name) => format!("etlsched source test {} {name}", job.id),
                Way::Destination => format!("etlsched state show {}", job.id),
            });
            let who = if end.is_plain() { String::new() } else { format!("asked for job {}: ", job.id) };
            Outcome::Failed(format!("{who}{}", masker.mask(&message)), masker.mask(&remedy))
        }
    }
}

/// Reads the bookkeeping. Whether rows can be written shows of a file; of a server only a load shows it, since asking would be writing.
fn destination(scene: &Scene, program: &Program, workspace_id: &str, job: &Job) -> Result<String, WorkerError> {
    let workspace = scene.there();
    let users = scene.jobs.iter().map(|loaded| &loaded.job).filter(|user| user.destination.name == job.destination.name);
    let others: Vec<String> = users.filter(|user| user.id != job.id).map(|user| user.id.as_str().to_owned()).collect();
    let answer = ask(program, &engine::inspect_order_of(job, workspace_id, others.clone()), scene.timeout)?;
    let records = answer["records"].as_array().map_or(&[][..], Vec::as_slice);
    let tables = count(records.len() as u64, "table");
    let loaded = if others.is_empty() {
        format!("job {} has loaded {tables}", job.id)
    } else {
        let loaders: BTreeSet<&str> = records.iter().filter_map(|record| record["job"].as_str()).collect();
        let have = if loaders.len() == 1 { "has" } else { "have" };
        format!("{} of {} {have} loaded {tables}", loaders.len(), count(1 + others.len() as u64, "job"))
    };
    let Some(file) = job.destination.kind.file() else { return Ok(format!("reached; {loaded}")) };
    let place = match answer["exists"].as_bool() {
        Some(true) => Some(file),
        _ => file.ancestors().skip(1).find(|folder| folder.is_dir()),
    };
    match place {
        Some(place) if !process::is_writable(place) => {
            let message = format!("{} can't be written by {}", place.display(), process::user_name());
            let remedy = if place.starts_with(workspace.private_folder()) {
                permissions::unwritable(place, workspace.state_group.as_deref())
            } else {
                permissions::unwritable_elsewhere(place)
            };
            Err(WorkerError::new("not_writable", message, Some(&remedy)))
        }
        _ if answer["exists"].as_bool() == Some(true) => Ok(format!("{}: writable; {loaded}", file.display())),
        _ => Ok(format!("{}: not made yet; the first load makes it", file.display())),
    }
}

fn words(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or("reached").to_owned()
}
