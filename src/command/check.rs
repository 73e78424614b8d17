//! `etlsched check`.

use clap::Args;

use super::{Context, examined};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::check::{self, Checked};
use crate::output::nagios::{self, Answer};
use crate::output::{self, Format};

/// Check whether jobs are late, in error or stuck
///
/// For monitoring systems: the exit code is 0 only if no job is late (its slot was not started within its grace), past its deadline, in
/// error (its schedule does not start it any more), stuck (a run was interrupted and not settled, or goes on past its time limit) or broken
/// (its file has errors); else it is 10. Inactive and paused jobs are left out, and so are jobs that no scheduler has asked for yet.
/// With --nagios it is a plugin: one line, and the exit code is 0 OK, 1 WARNING (one slot is late), 2 CRITICAL (all else) or 3 UNKNOWN
/// (nothing could be checked).
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched check\n  etlsched check sales --nagios\n  etlsched check --output json")]
pub struct Check {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Answer as a plugin of Nagios and Icinga
    #[arg(long)]
    pub nagios: bool,
}

impl Check {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs, nagios } = self;
        let examined = examine(context, &jobs);
        if nagios {
            let Answer { line, exit_code } = match &examined {
                Ok((checked, _)) => nagios::answer(checked),
                Err(failure) => nagios::unknown(&why(failure)),
            };
            output::print(&line);
            return Ok(exit_code);
        }
        let (checked, messages_waiting) = examined?;
        match context.output {
            Format::Json => output::json::print(&check::json(&checked)),
            Format::Csv => output::print(&check::csv(&checked).csv()),
            Format::Table => print(&checked, messages_waiting, context.quiet),
        }
        Ok(if checked.is_well() { exit_code::DONE } else { exit_code::FINDING })
    }
}

/// Returns how jobs stand, and where all are asked for how many messages wait.
fn examine(context: &Context, jobs: &[String]) -> Result<(Checked, u64), Failure> {
    let workspace = context.workspace()?;
    let (checked, store) = examined::jobs(&workspace, jobs, context.slot_clock().now())?;
    let messages_waiting = match store.filter(|_| jobs.is_empty()) {
        Some(mut store) => store.outbox_waiting(clock::now())?.count,
        None => 0,
    };
    Ok((checked, messages_waiting))
}

fn print(checked: &Checked, messages_waiting: u64, is_quiet: bool) {
    if is_quiet {
        if !checked.is_well() {
            output::print(&check::blocks(checked.wrong()));
        }
        return;
    }
    if checked.jobs.is_empty() && checked.broken.is_empty() {
        output::note("no jobs");
        return;
    }
    let said = if checked.findings.is_empty() { String::new() } else { format!("{}\n\n", check::blocks(&checked.findings)) };
    output::print(&format!("{said}{}", output::at_terminal(&check::summary(checked, messages_waiting), 2)));
}

/// Says why nothing could be checked, and where: problems of etlsched.yaml by the first of them.
fn why(failure: &Failure) -> String {
    match failure.problems.first() {
        Some(problem) => format!("{}:{}: {}", problem.file.display(), problem.line, problem.message),
        None => failure.message.clone(),
    }
}
