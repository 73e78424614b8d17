//! `etlsched logs`.

use std::collections::BTreeMap;

use clap::Args;

use super::follow::Follower;
use super::{Context, stored, when};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::logs::{self as view, RunView};
use crate::output::table::Rows;
use crate::output::{self, Format, masked, run as full, told};
use crate::process;
use crate::run::RunStatus;
use crate::secret::Masker;
use crate::state::{Found, RunDetail, RunFilter, RunPage, RunRecord, Store};
use crate::text::nearest;
use crate::workspace::Workspace;

/// The most runs of a page.
const PAGE_SIZE_MAX: u64 = 10_000;

/// Show what ran and how it ended
///
/// With --follow it shows the last runs, the oldest first, and then each run as it ends, until Ctrl-C; of one job also the execution log
/// of what runs now, and of one run its execution log until it ends. As JSON that is one object a line.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched logs sales --since 7d --status failed\n  etlsched logs --run last\n  etlsched logs --follow --output json"
)]
pub struct Logs {
    /// Only this job
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// One run in full: its id, the beginning of it, or `last`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["status", "since", "until", "page", "page_size"])]
    pub run: Option<String>,
    /// Only runs that ended so: started, running, success, failed, cancelled or timeout
    #[arg(long)]
    pub status: Option<String>,
    /// Only runs started since then (RFC 3339, a date, or a span such as 2h or 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only runs started before then
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<String>,
    /// Go on with what comes
    #[arg(short, long, conflicts_with = "page")]
    pub follow: bool,
    /// Which page, from 1
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub page: u64,
    /// Runs a page
    #[arg(short = 'n', long, visible_alias = "limit", default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=PAGE_SIZE_MAX))]
    pub page_size: u64,
}

impl Logs {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, run, status, since, until, follow, page, page_size } = self;
        let workspace = context.workspace()?;
        let zone = workspace.timezone;
        let status = status.as_deref().map(parse_status).transpose()?;
        let since = since.map(|since| when::past(&since, "--since", zone, clock::now())).transpose()?;
        let until = until.map(|until| when::past(&until, "--until", zone, clock::now())).transpose()?;
        let mut store = stored::open_existing(&workspace)?;
        if let Some(job) = &job {
            stored::check_known(&workspace, store.as_mut(), job)?;
        }
        if follow {
            let mut follower = Follower::new(context, &workspace, job.as_deref())?;
            return match run {
                Some(run) => follower.one_run(&find(store.as_mut(), job.as_deref(), &run)?.run.id),
                None => follower.runs(&RunFilter { job, status, since, ..RunFilter::default() }, page_size),
            };
        }
        if let Some(run) = run {
            let mut detail = find(store.as_mut(), job.as_deref(), &run)?;
            let masker = stored::masker_of(&workspace, &detail.run.job);
            masked::detail(&mut detail, &masker);
            return show_one(context, &workspace, store.as_mut(), detail);
        }
        let now = stored::moment();
        let dead = store.as_mut().map_or(Ok(Vec::new()), |store| store.dead_run_ids(&now, &process::liveness))?;
        let filter = RunFilter { job, status, dead, since, until };
        let mut found = match &mut store {
            Some(store) => store.runs(&filter, page, page_size)?,
            None => RunPage { runs: Vec::new(), total: 0 },
        };
        hide(&workspace, &mut found.runs);
        let is_dead = |id: &str| filter.dead.iter().any(|dead| dead == id);
        let views: Vec<RunView<'_>> = found.runs.iter().map(|run| RunView { run, is_dead: is_dead(&run.id), now: now.at }).collect();
        let pages = found.total.div_ceil(page_size);
        match context.output {
            Format::Json => output::json::print(&view::json(&views, page, page_size, found.total)),
            Format::Csv => output::print(&view::csv(&views).csv()),
            Format::Table => {
                let slots = store.as_mut().map(|store| store.slot_times(&found.runs)).transpose()?.unwrap_or_default();
                let table = view::table(&views, filter.job.is_some(), &slots, zone).leaving_rest_to("-o csv");
                print_page(context, &table, (page, pages, found.total));
            }
        }
        Ok(exit_code::DONE)
    }
}

fn print_page(context: &Context, table: &Rows, (page, pages, total): (u64, u64, u64)) {
    if !table.is_empty() {
        output::print(&table.text());
    }
    if context.quiet {
        return;
    }
    let text = match (total, pages) {
        (0, _) => "no runs".to_owned(),
        (_, 1) if page == 1 => return,
        _ if page > pages => format!("page {page} is beyond the last: {}", pages_of(pages, total)),
        _ => format!("page {page} of {}", pages_of(pages, total)),
    };
    output::note(&text);
}

fn pages_of(pages: u64, total: u64) -> String {
    format!("{} ({})", crate::text::grouped(pages), crate::text::count(total, "run"))
}

fn parse_status(word: &str) -> Result<RunStatus, Failure> {
    RunStatus::parse(word).ok_or_else(|| {
        let words = RunStatus::ALL.map(RunStatus::as_str);
        let failure = Failure::usage(format!("--status {word:?} is no status of a run: {}", words.join(", ")));
        match nearest(word, words) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure,
        }
    })
}

fn find(store: Option<&mut Store>, job: Option<&str>, run: &str) -> Result<RunDetail, Failure> {
    let no_run = || Failure::usage(format!("no run {run:?}")).hint("list the runs with: etlsched logs");
    let Some(store) = store else { return Err(no_run()) };
    let prefix = if run == "last" {
        let filter = RunFilter { job: job.map(str::to_owned), ..RunFilter::default() };
        let newest = store.runs(&filter, 1, 1)?.runs.pop();
        newest.ok_or_else(|| Failure::usage("there is no last run: nothing ran yet"))?.id
    } else {
        run.to_owned()
    };
    match store.run(&prefix)? {
        Found::One(detail) if job.is_some_and(|job| job != detail.run.job) => {
            Err(Failure::usage(format!("run {} is one of job {}", detail.run.id, detail.run.job)))
        }
        Found::One(detail) => Ok(detail),
        Found::None => Err(no_run()),
        Found::Several(ids) => Err(several(run, &ids)),
    }
}

/// Returns the failure for the beginning of several runs' ids.
pub(super) fn several(prefix: &str, ids: &[String]) -> Failure {
    Failure::usage(format!("{prefix:?} is the beginning of several runs: {}", ids.join(", "))).hint("give more of the id")
}

/// Hides the secrets of each run's job, each job's file read once.
fn hide(workspace: &Workspace, runs: &mut [RunRecord]) {
    let mut maskers: BTreeMap<String, Masker> = BTreeMap::new();
    for run in runs {
        let masker = maskers.entry(run.job.clone()).or_insert_with_key(|job| stored::masker_of(workspace, job));
        masked::run(run, masker);
    }
}

fn show_one(context: &Context, workspace: &Workspace, store: Option<&mut Store>, detail: RunDetail) -> Result<u8, Failure> {
    let now = stored::moment();
    let (dead, letters) = match store {
        Some(store) => (store.dead_run_ids(&now, &process::liveness)?, store.letters_of(&detail.run.id)?),
        None => (Vec::new(), Vec::new()),
    };
    let view = RunView { run: &detail.run, is_dead: dead.contains(&detail.run.id), now: now.at };
    match context.output {
        Format::Json => {
            let mut shown = full::json(&detail, &view);
            shown["log"]["told"] = told::json(&letters);
            output::json::print(&shown);
        }
        Format::Csv => output::print(&view::csv(&[view]).csv()),
        Format::Table => {
            output::print(&full::text(&detail, &view, workspace.timezone));
            told::text(&letters, workspace.timezone).iter().for_each(|text| output::print(&output::at_terminal(text, 2)));
        }
    }
    Ok(exit_code::DONE)
}
