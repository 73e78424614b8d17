//! The workspace: the folder of etlsched.yaml, its settings, connections and job files.
//!
//! A job's other files never matter to it: [`Workspace::job`] reads that one file, and etlsched.yaml was read once.

mod apart;
pub mod files;
mod find;
mod people;
mod remembered;
mod threads;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::job::load::{self, Loaded, Secrets};
use crate::job::positions::{Origin, Place};
use crate::job::report::Text;
use crate::job::{Environment, Job, JobId, Matter, Problem, Settings, Severity, defaults, notifications, settings, variables};
use crate::plan::kinds::postgresql;
use crate::plan::postgresql::PostgresConnection;
use crate::secret::Masker;
pub use crate::state::StateLocation;
use crate::text::{nearest, shortened};
use crate::zone::Zone;
pub use apart::Troubled;
pub use remembered::Remembered;
use threads::side_by_side;

/// The name of the file that makes a folder a workspace.
pub const FILE: &str = "etlsched.yaml";

/// The folder that holds etlsched.yaml, or a jobs/ folder without one.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Absolute.
    pub root: PathBuf,
    /// The user's zone: for display, and the default of jobs.
    pub timezone: Zone,
    /// The state store.
    pub state: StateLocation,
    /// Whether several hosts share the store. For entries alone it may be one whose variables have no values here: then `state` is never opened.
    pub is_state_shared: bool,
    /// How long run logs are kept.
    pub retention_days: u32,
    /// Variables set inside the crontab block, in the file's order.
    pub crontab_environment: Vec<(String, String)>,
    /// OS users who may change every job.
    pub admins: Vec<String>,
    /// The group that `.etlsched` is shared with.
    pub state_group: Option<String>,
    /// Hides every secret that this workspace knows; [`Workspace::masker_for`] adds those of a job.
    pub masker: Masker,
    /// What etlsched.yaml and .env say that has no effect, or not the expected one.
    pub warnings: Vec<Problem>,
    /// Whether it is what of an etlsched.yaml with errors is good: who is told of what may be among the rest.
    pub is_in_part: bool,
    /// etlsched.yaml, checked.
    settings: Arc<Settings>,
    /// What must never be printed, whatever the job.
    secrets: Vec<String>,
    /// Reads the files, and says whose may be read.
    files: files::Files,
    /// Where the user stands: paths in messages are relative to it.
    here: PathBuf,
}

/// Why there is no workspace.
#[derive(Debug)]
pub enum NoWorkspace {
    /// No folder from there upwards is one.
    NotFound(PathBuf),
    /// etlsched.yaml or .env has problems.
    Invalid(Vec<Problem>),
}

/// Why there is no job.
#[derive(Debug)]
pub enum NoJob {
    /// No such file; the nearest id, where one is near.
    Unknown(Option<String>),
    /// Its file has problems, warnings among them.
    Invalid(Vec<Problem>),
}

/// Why a job's file is no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// Its problems, warnings among them.
    pub problems: Vec<Problem>,
    /// Whether this user may not read it or must not use it: another user may find it good.
    pub is_withheld: bool,
}

/// A job's file, loaded or not.
pub type JobFile = (JobId, Result<Loaded, BadFile>);

impl Workspace {
    fn open(root: PathBuf, here: &Path, environment: Environment, load: find::LoadSettings) -> Result<Self, Vec<Problem>> {
        let shown = |path: &Path| shown(path, here);
        let mut problems = Vec::new();
        let trusted_owner = match environment.of_process(files::TRUSTED_OWNER).filter(|owner| !owner.is_empty()).map(str::parse::<u32>) {
            None => None,
            Some(Ok(owner)) => Some(owner),
            Some(Err(_)) => {
                let text = Text { path: shown(&root.join(FILE)), text: String::new() };
                let message = format!("{}: expected the number of a user", files::TRUSTED_OWNER);
                return Err(vec![text.problem(Severity::Error, whole(Origin::Workspace), message, None)]);
            }
        };
        let files = files::Files { root: root.clone(), trusted_owner };
        let dotenv_path = root.join(".env");
        let environment = match files.read(&dotenv_path, &shown(&dotenv_path), Origin::Workspace, files::Kind::Secret, &mut problems) {
            None => environment,
            Some(text) => match variables::parse_dotenv(&text.text) {
                Ok(variables) => environment.with_dotenv(variables),
                Err(errors) => {
                    for (line, message) in errors {
                        problems.push(dotenv_problem(&text.path, line, message));
                    }
                    environment
                }
            },
        };
        let path = root.join(FILE);
        let text = files
            .read(&path, &shown(&path), Origin::Workspace, files::Kind::Settings, &mut problems)
            .unwrap_or_else(|| Text { path: shown(&path), text: String::new() });
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        let settings = match load(root.clone(), text, environment) {
            Ok((settings, warnings)) => {
                problems.extend(warnings);
                settings
            }
            Err(more) => {
                problems.extend(more);
                return Err(problems);
            }
        };
        crate::process::withhold(settings.variables().iter().cloned());
        let state_group = settings::text(&settings.tree, "state_group").filter(|group| !group.is_empty()).map(str::to_owned);
        problems.extend(readable_secrets(&settings, state_group.as_deref()));
        problems.extend(files.check_readable(&dotenv_path, &shown(&dotenv_path), state_group.as_deref()));
        let (state, is_state_shared) = state(&settings).map_err(|problem| {
            problems.push(*problem);
            std::mem::take(&mut problems)
        })?;
        let secrets = secrets(&settings);
        let own_zone = settings::text(&settings.tree, "timezone").and_then(|name| Zone::parse(name).ok());
        Ok(Self {
            timezone: settings.zone_override.or(own_zone).unwrap_or(Zone::UTC),
            state,
            is_state_shared,
            crontab_environment: settings::text_map(&settings.tree, "crontab_environment"),
            retention_days: settings::int(&settings.tree, "retention_days")
                .and_then(|days| u32::try_from(days).ok())
                .unwrap_or(defaults::RETENTION_DAYS as u32),
            admins: settings::texts(&settings.tree, "admins").unwrap_or_default(),
            state_group,
            masker: Masker::new(secrets.clone()),
            secrets,
            is_in_part: false,
            warnings: problems,
            settings: Arc::new(settings),
            here: here.to_owned(),
            files,
            root,
        })
    }

    /// Returns the folder of the job files.
    pub fn jobs_folder(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Returns the folder for state, warehouse, rejects and locks.
    pub fn private_folder(&self) -> PathBuf {
        self.root.join(".etlsched")
    }

    /// Returns etlsched.yaml as checked.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns a path as messages show it: relative to where the user stands, if it lies below.
    pub fn shown(&self, path: &Path) -> PathBuf {
        shown(path, &self.here)
    }

    /// Returns the file of a job, whether it exists or not.
    pub fn job_file(&self, id: &JobId) -> PathBuf {
        self.jobs_folder().join(format!("{id}.yaml"))
    }

    /// Loads a job for a run: its secrets are fetched.
    ///
    /// # Errors
    /// No such job, or every problem of its file.
    pub fn job(&self, id: &JobId) -> Result<Job, NoJob> {
        self.load(id, Secrets::Fetched).map(|loaded| loaded.job)
    }

    /// Loads a job with the tree that it was made of.
    ///
    /// # Errors
    /// As for [`Workspace::job`].
    pub fn load(&self, id: &JobId, secrets: Secrets) -> Result<Loaded, NoJob> {
        let path = self.job_file(id);
        // A link that leads nowhere is a job whose file can't be read.
        if path.symlink_metadata().is_err() {
            return Err(NoJob::Unknown(self.nearest(id.as_str())));
        }
        self.load_file(id, &path, secrets).map_err(|bad| NoJob::Invalid(bad.problems))
    }

    /// Checks a text as if it were the file of a job.
    ///
    /// # Errors
    /// Every problem.
    pub fn check(&self, id: &JobId, text: String) -> Result<Loaded, Vec<Problem>> {
        let file = self.job_file(id);
        load::load(id, file.clone(), &Text { path: self.shown(&file), text }, &self.settings, Secrets::Left)
    }

    /// Keeps what job files use in `${}` from programs that are started from now on; etlsched.yaml's is kept from them already.
    pub fn withhold_variables(&self) {
        drop(self.load_all());
    }

    /// Loads every job, by id, and returns the problems of those that can't be, and of files that are none. Fetches no secrets.
    pub fn jobs(&self) -> (Vec<Job>, Vec<Problem>) {
        self.load_parts(|loaded| loaded.job)
    }

    /// As [`Workspace::jobs`], with the trees.
    pub fn load_all(&self) -> (Vec<Loaded>, Vec<Problem>) {
        self.load_parts(|loaded| loaded)
    }

    /// Loads every job and keeps a part of each.
    fn load_parts<T: Send>(&self, kept: impl Fn(Loaded) -> T + Sync) -> (Vec<T>, Vec<Problem>) {
        let (ids, mut problems) = self.job_ids();
        let mut jobs = Vec::with_capacity(ids.len());
        for loaded in side_by_side(&ids, |id| self.load_file(id, &self.job_file(id), Secrets::Left).map(&kept)) {
            match loaded {
                Ok(job) => jobs.push(job),
                Err(bad) => problems.extend(bad.problems),
            }
        }
        (jobs, problems)
    }

    /// Loads every job, each file by itself, by id; returns the problems of files that are none beside them. Fetches no secrets.
    pub fn load_each(&self) -> (Vec<JobFile>, Vec<Problem>) {
        let (ids, problems) = self.job_ids();
        let loaded = side_by_side(&ids, |id| self.load_file(id, &self.job_file(id), Secrets::Left));
        (ids.into_iter().zip(loaded).collect(), problems)
    }

    /// Returns the ids of all job files, sorted, and a problem for each file in jobs/ that is none.
    pub fn job_ids(&self) -> (Vec<JobId>, Vec<Problem>) {
        files::job_ids(&self.jobs_folder(), &self.here)
    }

    /// Returns the id that is most like a text, where one is; a path and `.yaml` around it don't count.
    pub fn nearest(&self, given: &str) -> Option<String> {
        let (ids, _) = self.job_ids();
        let stem = given.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(given);
        let stem = [".yaml", ".yml", ".YAML", ".YML"].iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(stem);
        nearest(shortened(stem, 70).as_ref(), ids.iter().map(JobId::as_str)).map(str::to_owned)
    }

    fn load_file(&self, id: &JobId, path: &Path, secrets: Secrets) -> Result<Loaded, BadFile> {
        let mut problems = Vec::new();
        let text = self.files.read(path, &self.shown(path), Origin::Job, files::Kind::Job, &mut problems);
        let Some(text) = text.filter(|_| problems.iter().all(|problem| problem.severity == Severity::Warning)) else {
            return Err(BadFile { problems, is_withheld: self.files.is_withheld(path) });
        };
        match load::load(id, path.to_owned(), &text, &self.settings, secrets) {
            Ok(mut loaded) => {
                problems.append(&mut loaded.job.warnings);
                loaded.job.warnings = problems;
                Ok(loaded)
            }
            Err(more) => {
                problems.extend(more);
                Err(BadFile { problems, is_withheld: false })
            }
        }
    }
}

fn dotenv_problem(path: &Path, line: usize, message: String) -> Problem {
    let hint = Some("write KEY=VALUE; quotes around values with # or spaces at the ends".to_owned());
    // The line itself is not shown: it may hold a secret.
    let (file, line_text) = (path.to_owned(), "***".to_owned());
    Problem { file, line, column: 0, line_text, severity: Severity::Error, matter: Matter::Definition, message, hint }
}

const STATE_HINT: &str =
    "write state: sqlite:.etlsched/state.db, or state: postgresql://user:password@host:5432/database?sslmode=verify-full";

/// Returns where the store is, and whether several hosts share it.
fn state(settings: &Settings) -> Result<(StateLocation, bool), Box<Problem>> {
    let own = StateLocation::Sqlite(settings.root.join(".etlsched").join("state.db"));
    let Some(node) = settings.tree.get("state") else { return Ok((own, false)) };
    let text = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.trim_start_matches("//").is_empty() => {
            let path = path.strip_prefix("///").map(|path| format!("/{path}")).unwrap_or_else(|| path.trim_start_matches("//").to_owned());
            Ok((StateLocation::Sqlite(settings.root.join(path)), false))
        }
        Some(("postgresql" | "postgres", _)) if unset(settings).is_some() => Ok((own, true)),
        Some(("postgresql" | "postgres", _)) => match postgresql::of_url(text, |file| settings.root.join(file)) {
            Ok(plan) => Ok((StateLocation::Postgresql(Box::new(plan)), true)),
            Err(why) => Err(state_problem(settings, &format!("state: {why}"), postgresql::URL_HINT)),
        },
        _ => match unset_problem(settings) {
            Some(problem) => Err(problem),
            None => Err(state_problem(settings, "state: expected sqlite:PATH or postgresql://...", STATE_HINT)),
        },
    }
}

/// Returns a variable of `state:` that has no value.
fn unset(settings: &Settings) -> Option<&str> {
    let template = settings.tree.get("state")?.as_scalar()?.template.as_ref()?;
    template.missing.first().map(String::as_str)
}

fn unset_problem(settings: &Settings) -> Option<Box<Problem>> {
    let name = unset(settings)?;
    Some(state_problem(settings, &format!("state: the variable {name} is not set"), "set it in the environment, or in .env"))
}

fn state_problem(settings: &Settings, message: &str, hint: &str) -> Box<Problem> {
    let place = settings.tree.get("state").map_or(whole(Origin::Workspace), |node| node.place);
    Box::new(settings.text.problem(Severity::Error, place, message.to_owned(), Some(hint.to_owned())))
}

/// Tells of the files of secrets (`{file: PATH}`) that others can read.
fn readable_secrets(settings: &Settings, state_group: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    settings.tree.walk(&mut |node| {
        for entry in node.entries() {
            let Some(file) = entry.node.get("file").and_then(|file| file.as_scalar()) else { continue };
            if let Some(chmod) = files::too_readable(&settings.root.join(&file.text), state_group) {
                let shown = shortened(file.shown(), 200);
                let hint = format!("chmod {chmod} {shown}");
                problems.push(settings.text.problem(Severity::Warning, entry.place, format!("others can read {shown}"), Some(hint)));
            }
        }
    });
    problems
}

/// Returns what must never be printed: what `.env` holds, and the values of the variables used in etlsched.yaml.
fn secrets(settings: &Settings) -> Vec<String> {
    let mut values: Vec<String> = settings.environment.dotenv_values().map(str::to_owned).collect();
    values.extend(settings.variables().iter().filter_map(|name| settings.environment.get(name)).map(str::to_owned));
    let mut literal = |node: &crate::job::positions::Node| {
        for entry in
            node.entries().iter().filter(|entry| matches!(entry.key.as_str(), "password" | "hash_key" | "bearer" | "token" | "secret"))
        {
            values.extend(entry.node.as_scalar().map(|scalar| scalar.text.clone()));
        }
    };
    settings.tree.walk(&mut literal);
    values.extend(notifications::literal_secrets(&settings.tree));
    let state = settings.tree.get("state").and_then(|node| node.as_scalar()).map(|scalar| scalar.text.as_str());
    if let Some(Ok(PostgresConnection { password: Some(password), .. })) =
        state.map(|url| postgresql::of_url(url, |path| PathBuf::from(path)))
    {
        values.push(password.expose().to_owned());
    }
    values
}

/// Returns a place that is a file as a whole.
fn whole(origin: Origin) -> Place {
    Place { origin, line: 0, column: 0 }
}

fn shown(path: &Path, here: &Path) -> PathBuf {
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// Cuts the `\\?\` that Windows puts before real paths: other programs don't take them.
fn plain(path: PathBuf) -> PathBuf {
    if !cfg!(windows) {
        return path;
    }
    match path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(rest) if !rest.starts_with("UNC\\") => PathBuf::from(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests;
