//! Variables: those that files use, here and as cron gives them. Names only: values may be secret.

use std::collections::{BTreeMap, BTreeSet};

use super::cron::CronEnvironment;
use super::scene::{Scene, told};
use super::tell::Tell;
use crate::job::{Environment, Job, Secrets};
use crate::text::count;
use crate::workspace::Workspace;

/// Variables by which drivers, TLS and this program find things: what is set here alone makes a difference under cron.
const NOTED: &[&str] = &[
    "ALL_PROXY",
    "all_proxy",
    "ETLSCHED_OUTPUT",
    "ETLSCHED_TIMEZONE",
    "ETLSCHED_TRUSTED_OWNER",
    "FREETDS",
    "FREETDSCONF",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NLS_LANG",
    "NO_PROXY",
    "no_proxy",
    "ODBCINI",
    "ODBCINSTINI",
    "ODBCSYSINI",
    "ORACLE_HOME",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TDSVER",
    "TMPDIR",
    "TNS_ADMIN",
    "TZDIR",
];

/// Where a variable stands for jobs under cron.
const REMEDY: &str = "put it into .env of the workspace, or under crontab_environment in etlsched.yaml";

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let mut missing_here: BTreeSet<String> = BTreeSet::new();
    for loaded in &scene.jobs {
        for problem in &loaded.job.missing_variables {
            if missing_here.insert(problem.message.clone()) {
                tell.fail("variables", format!("job {}: {}", loaded.job.id, told(problem)), REMEDY);
            }
        }
    }
    if missing_here.is_empty() {
        let names: BTreeSet<&String> = scene.jobs.iter().flat_map(|loaded| &loaded.job.variables).collect();
        tell.ok("variables", format!("{} of the files have values here", count(names.len() as u64, "variable")));
    }
    let cron = CronEnvironment::find(scene);
    under_cron(scene, &cron, &missing_here, tell);
    noted(&cron, tell);
}

/// Reads the workspace as it is under cron, and says what is different.
fn under_cron(scene: &Scene, cron: &CronEnvironment, missing_here: &BTreeSet<String>, tell: &Tell) {
    let cores = scene.there().settings().environment.cores;
    let environment = Environment::new(cron.variables.iter().cloned(), cores);
    let root = &scene.there().root;
    let there = match Workspace::find(&cron.home, Some(root), environment) {
        Ok(there) => there,
        Err(crate::workspace::NoWorkspace::NotFound(_)) => return,
        Err(crate::workspace::NoWorkspace::Invalid(problems)) => {
            let first = problems.iter().find(|problem| super::scene::is_error(problem)).or(problems.first());
            let found = first.map_or_else(|| "the workspace is not valid there".to_owned(), told);
            return lacking(cron, found, tell);
        }
    };
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut differing: BTreeSet<&String> = BTreeSet::new();
    for loaded in &scene.jobs {
        let Ok(job) = there.load(&loaded.job.id, Secrets::Left).map(|loaded| loaded.job) else { continue };
        for problem in job.missing_variables.iter().filter(|problem| !missing_here.contains(&problem.message)) {
            missing.entry(problem.message.clone()).or_default().push(job.id.to_string());
        }
        differing.extend(differing_names(scene, &there, &loaded.job));
    }
    for (message, jobs) in &missing {
        let found = format!("{message} there, and is here; needed by {}", listed(jobs));
        lacking(cron, found, tell);
    }
    if !differing.is_empty() {
        let names: Vec<String> = differing.into_iter().cloned().collect();
        let found = format!("other values there than here: {}", listed(&names));
        tell.warn("values", found, REMEDY);
    }
    if missing.is_empty() {
        let path = cron.get("PATH").unwrap_or_default();
        let found = if missing_here.is_empty() { "no variable is missing there" } else { "no more is missing there than here" };
        tell.ok("under cron", format!("{found}; its PATH is {path}"));
    }
}

/// What is missing under cron keeps jobs from running where cron starts them; elsewhere it is good to know.
fn lacking(cron: &CronEnvironment, found: String, tell: &Tell) {
    if cron.is_used { tell.fail("under cron", found, REMEDY) } else { tell.warn("under cron", found, REMEDY) }
}

/// Returns the variables of a job that have a value in both places, and not the same.
fn differing_names<'a>(scene: &Scene, there: &Workspace, job: &'a Job) -> Vec<&'a String> {
    let (here, there) = (&scene.there().settings().environment, &there.settings().environment);
    let differs = |name: &&String| matches!((here.get(name), there.get(name)), (Some(one), Some(other)) if one != other);
    job.variables.iter().filter(differs).collect()
}

fn listed(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    if names.len() > shown.len() {
        shown.push("others");
    }
    shown.join(", ")
}

fn noted(cron: &CronEnvironment, tell: &Tell) {
    let differs = |name: &&&str| {
        let here = std::env::var(name).ok().filter(|value| !value.is_empty());
        here.is_some() && here.as_deref() != cron.get(name)
    };
    let names: Vec<String> = NOTED.iter().filter(differs).map(|name| (*name).to_owned()).collect();
    if !names.is_empty() {
        let found = format!("set here and not so under cron: {}", names.join(", "));
        tell.warn(
            "settings",
            found,
            "where jobs need them, put them under crontab_environment in etlsched.yaml; etlsched doctor --as-cron shows",
        );
    }
}
