//! `etlsched report`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::Args;

use super::{Context, job_id, stored, when};
use crate::clock;
use crate::engine::survey::{self, BrokenFile, Scope, Survey};
use crate::error::Failure;
use crate::exit_code;
use crate::job::Severity;
use crate::output::report::{self as view, Frame};
use crate::output::{self, Format, measure};
use crate::process;
use crate::workspace::{FILE, Troubled, Workspace, files};

/// So many runs are on a page at most: it stays below 3 MB.
const RUNS_MAX: usize = 100_000;

/// What to do where a page can't be written.
const UNWRITTEN: &str = "name a file in a folder that you may write, or write to standard output with --html -";

/// The mode of a page that is new: it names jobs, tables and errors.
const PAGE_MODE: u32 = 0o600;

/// Report how all jobs stand, what ran and failed, and what comes
///
/// Without --html: a summary on the terminal. With it: one page for a browser, with a timeline, charts, failures by cause, how fresh the
/// data is, and the load to come. The page needs no network and no server. It is written whole or not at all, readable by you alone; a page
/// that is there is replaced and keeps its mode.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched report\n  etlsched report --html report.html --since 30d\n  etlsched report sales --html - > sales.html"
)]
pub struct Report {
    /// Only these jobs
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Write a page to this file; - is standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Runs and slots since then (RFC 3339, a date, or a span such as 2h or 7d)
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: String,
    /// How many hours to look ahead, at most 744
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=744))]
    pub hours_ahead: u16,
}

impl Report {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs: names, html, since, hours_ahead } = self;
        let workspace = context.workspace()?;
        let place = html.as_deref().filter(|path| path.as_os_str() != "-");
        let mode = place.map(check_place).transpose()?;
        let now = context.slot_clock().now();
        let since = when::past(&since, "--since", workspace.timezone, now)?;
        if since >= now {
            return Err(Failure::usage("--since lies ahead").hint("name a time that is over, or a span such as 7d"));
        }
        let survey = gather(&workspace, &names, now, since, now + TimeDelta::hours(hours_ahead.into()))?;
        let frame = Frame {
            workspace: workspace.masker.mask(&workspace.root.display().to_string()),
            host: process::host_name(),
            zone: workspace.timezone,
            made_at: clock::now(),
            hours_ahead,
        };
        match (place, mode, html.is_some(), context.output) {
            (Some(path), Some(mode), ..) => {
                let page = view::html(&survey, &frame);
                let shown = path.display();
                files::replace(path, page.as_bytes(), mode)
                    .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("writing {shown}: {error}")).hint(UNWRITTEN))?;
                if context.output == Format::Json {
                    output::json::print(&view::written(path, page.len()));
                } else if !context.quiet {
                    let size = measure::bytes(page.len() as u64);
                    output::note(&format!("wrote {} ({size})", crate::text::printable(&shown.to_string())));
                }
            }
            (_, _, true, _) => output::print(&view::html(&survey, &frame)),
            (_, _, _, Format::Json) => output::json::print(&view::json(&survey, &frame)),
            (_, _, _, Format::Csv) => output::print(&view::csv(&survey).csv()),
            (_, _, _, Format::Table) => output::print(&view::text(&survey, &frame)),
        }
        Ok(exit_code::DONE)
    }
}

fn gather(
    workspace: &Workspace,
    names: &[String],
    now: chrono::DateTime<chrono::Utc>,
    since: chrono::DateTime<chrono::Utc>,
    until: chrono::DateTime<chrono::Utc>,
) -> Result<Survey, Failure> {
    let mut store = stored::open_existing(workspace)?;
    let mut only = Vec::new();
    for name in names {
        let id = job_id(workspace, name)?;
        stored::check_known(workspace, store.as_mut(), id.as_str())?;
        only.push(id.as_str().to_owned());
    }
    let (mut jobs, troubled) = workspace.jobs_apart();
    let mut broken = broken(workspace, &troubled);
    if !only.is_empty() {
        jobs.retain(|job| only.iter().any(|id| id == job.id.as_str()));
        broken.retain(|broken| only.contains(&broken.job));
    }
    let scope = Scope { since, now, moment: stored::moment(), until, only: &only, runs_max: RUNS_MAX };
    Ok(survey::survey(workspace, &jobs, &broken, store.as_mut(), &scope)?)
}

fn broken(workspace: &Workspace, troubled: &[Troubled]) -> Vec<BrokenFile> {
    let of_one = |Troubled { job, problems }: &Troubled| {
        let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let first = errors.next()?;
        let is_setting = first.file == workspace.shown(&workspace.root.join(FILE));
        let file = if is_setting { format!("{}:{}", first.file.display(), first.line) } else { first.file.display().to_string() };
        Some(BrokenFile { job: job.clone(), file, is_setting, errors: 1 + errors.count() as u64 })
    };
    troubled.iter().filter_map(of_one).collect()
}

/// Looks at where a page is to be written, before anything is read; returns the mode that it gets. Only pages of ours are replaced: a
/// mistyped name must not cost a job file.
fn check_place(path: &Path) -> Result<u32, Failure> {
    let refused = |why: String, hint: &str| Err(Failure::usage(format!("--html {}: {why}", path.display())).hint(hint));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refused(format!("there is no folder {}", folder.display()), "make the folder first, or name another file");
    }
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(PAGE_MODE),
        Err(error) => return refused(error.to_string(), "name another file"),
    };
    if metadata.is_dir() {
        return refused("is a folder".to_owned(), "name a file in it");
    }
    if metadata.is_symlink() {
        return refused("is a link, and would be replaced rather than followed".to_owned(), "name the file that it leads to");
    }
    if !metadata.is_file() {
        return refused("is no file".to_owned(), "write to standard output with --html -");
    }
    let mut start = vec![0; view::MARK.len()];
    let is_page = match fs::File::open(path) {
        Ok(mut file) => metadata.len() == 0 || (file.read_exact(&mut start).is_ok() && start == view::MARK.as_bytes()),
        Err(error) => return refused(error.to_string(), "name another file"),
    };
    if !is_page {
        return refused("is there, and is no page of `etlsched report`".to_owned(), "remove it, or name another file");
    }
    Ok(mode_of(&metadata))
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o666
}

#[cfg(not(unix))]
fn mode_of(_: &fs::Metadata) -> u32 {
    PAGE_MODE
}
