//! `etlsched audit`.

use std::collections::BTreeMap;

use clap::Args;

use super::{Context, stored, when};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::{self, Format, audit as view, masked};
use crate::secret::Masker;
use crate::state::{AuditFilter, AuditPage, AuditRecord};
use crate::text::{count, grouped};
use crate::workspace::Workspace;

/// The most lines of a page.
const PAGE_SIZE_MAX: u64 = 10_000;

/// Show who started or changed jobs, when and from where
///
/// Every start, cancel, change of status, creation, deletion, reset and change of schedules is a line, and so is the first look at a job
/// whose definition was edited. Lines are only ever added.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched audit sales --since 7d\n  etlsched audit -o json")]
pub struct Audit {
    /// Only this job
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// Only what was done since then (RFC 3339, a date, or a span such as 2h or 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Which page, from 1
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub page: u64,
    /// Lines a page
    #[arg(short = 'n', long, visible_alias = "limit", default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=PAGE_SIZE_MAX))]
    pub page_size: u64,
}

impl Audit {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, since, page, page_size } = self;
        let workspace = context.workspace()?;
        let zone = workspace.timezone;
        let since = since.map(|since| when::past(&since, "--since", zone, clock::now())).transpose()?;
        let mut store = stored::open_existing(&workspace)?;
        if let Some(job) = &job {
            stored::check_known(&workspace, store.as_mut(), job)?;
        }
        let is_one_job = job.is_some();
        let filter = AuditFilter { job, since };
        let mut found = match &mut store {
            Some(store) => store.audit(&filter, page, page_size)?,
            None => AuditPage { lines: Vec::new(), total: 0 },
        };
        hide(&workspace, &mut found.lines);
        let AuditPage { lines, total } = found;
        let pages = total.div_ceil(page_size);
        match context.output {
            Format::Json => output::json::print(&view::json(&lines, page, pages, total)),
            Format::Csv => output::print(&view::csv(&lines).csv()),
            Format::Table => {
                if !lines.is_empty() {
                    output::print(&view::table(&lines, is_one_job, zone).leaving_rest_to("-o csv").text());
                }
                if !context.quiet {
                    tell_page(page, pages, total);
                }
            }
        }
        Ok(exit_code::DONE)
    }
}

fn tell_page(page: u64, pages: u64, total: u64) {
    let all = || format!("{} ({})", grouped(pages), count(total, "line"));
    let text = match (total, pages) {
        (0, _) => "nothing was done".to_owned(),
        (_, 1) if page == 1 => return,
        _ if page > pages => format!("page {page} is beyond the last: {}", all()),
        _ => format!("page {page} of {}", all()),
    };
    output::note(&text);
}

/// Hides the secrets of each line's job, each job's file read once.
fn hide(workspace: &Workspace, lines: &mut [AuditRecord]) {
    let mut maskers: BTreeMap<String, Masker> = BTreeMap::new();
    for line in lines {
        let job = line.job.clone().unwrap_or_default();
        let masker = maskers.entry(job).or_insert_with_key(|job| stored::masker_of(workspace, job));
        masked::audit(line, masker);
    }
}
