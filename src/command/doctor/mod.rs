//! `etlsched doctor`. Each check is a file here and a line in [`CHECKS`]; it runs on a thread of its own and has a limit of time.

mod as_cron;
mod clock;
mod connections;
mod cron;
mod disk;
mod drivers;
mod environment;
mod mail;
mod pam;
mod permissions;
mod reach;
mod scene;
mod scheduler;
mod store;
mod tell;
mod versions;
mod workspace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::output::doctor::{Finding, Verdict};
use crate::output::{self, Format};
use scene::Scene;
use tell::{Heard, Tell};

/// Check the installation: workspace, state store, connections, scheduler, clock, disks, permissions
///
/// Each line says what was found, and how to mend what isn't as it should be. Nothing is changed, no mail or message is sent, no store is
/// made. The exit code is 10 where anything fails; warnings alone are 0. With --as-cron everything is looked at once more in the environment
/// that cron gives to jobs, and what works only here is named.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched doctor\n  etlsched doctor --offline\n  etlsched doctor --as-cron daily_sales")]
pub struct Doctor {
    /// The jobs whose connections and variables are looked at (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Look at it from the environment that cron gives to jobs
    #[arg(long)]
    pub as_cron: bool,
    /// Reach no server
    #[arg(long)]
    pub offline: bool,
    /// How long one connection may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Print each finding as it comes, for the process that started this one
    #[arg(long, hide = true)]
    pub packed: bool,
}

/// A check.
struct Check {
    /// How lines name it.
    name: &'static str,
    /// Whether it looks at a workspace, which must be there and valid.
    needs_workspace: bool,
    /// How long it may take at most.
    limit: fn(&Scene) -> Duration,
    run: fn(&Scene, &Tell),
}

/// Every check, in the order of their lines. A new one is a file and a line here.
static CHECKS: &[Check] = &[
    Check { name: "workspace", needs_workspace: false, limit: usual, run: workspace::check },
    Check { name: "versions", needs_workspace: false, limit: usual, run: versions::check },
    Check { name: "store", needs_workspace: true, limit: store::limit, run: store::check },
    Check { name: "connections", needs_workspace: true, limit: connections::limit, run: connections::check },
    Check { name: "drivers", needs_workspace: true, limit: usual, run: drivers::check },
    Check { name: "scheduler", needs_workspace: true, limit: scheduler::limit, run: scheduler::check },
    Check { name: "clock", needs_workspace: false, limit: usual, run: clock::check },
    Check { name: "mail", needs_workspace: true, limit: mail::limit, run: mail::check },
    Check { name: "permissions", needs_workspace: true, limit: usual, run: permissions::check },
    Check { name: "disk", needs_workspace: true, limit: usual, run: disk::check },
    Check { name: "environment", needs_workspace: true, limit: usual, run: environment::check },
];

/// Enough for files of a slow disk and short programs of the system, which have 10 s each.
fn usual(scene: &Scene) -> Duration {
    scene.timeout + Duration::from_secs(20)
}

impl Doctor {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// A job named is unknown, or its name can't be one.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        if self.as_cron {
            return as_cron::run(&self, context);
        }
        let Self { jobs, as_cron: _, offline, timeout, packed } = self;
        let scene = Arc::new(Scene::find(context, &jobs, offline, Duration::from_secs(timeout))?);
        let findings = look(&scene, |finding| show(finding, context, packed));
        if !packed {
            finish(&findings, None, context);
        }
        Ok(exit_code_of(&findings))
    }
}

/// Runs every check; hands findings on as they come, in the order of the checks, and returns them all.
fn look(scene: &Arc<Scene>, mut hear: impl FnMut(&Finding)) -> Vec<Finding> {
    let began = Instant::now();
    let begun: Vec<_> = CHECKS
        .iter()
        .map(|check| {
            let (tell, heard) = Tell::new(check.name);
            let own = Arc::clone(scene);
            let is_possible = scene.workspace.is_some() || !check.needs_workspace;
            if is_possible {
                let work = move || {
                    (check.run)(&own, &tell);
                    tell.done();
                };
                // A thread that can't be had leaves a channel that nobody speaks into, which is told below.
                drop(std::thread::Builder::new().name(check.name.to_owned()).spawn(work));
            } else {
                tell.skipped("", "there is no valid workspace");
                tell.done();
            }
            (check, heard)
        })
        .collect();
    let mut findings = Vec::new();
    for (check, heard) in begun {
        let limit = (check.limit)(scene);
        loop {
            let (finding, is_last) = match heard.next(began + limit) {
                Heard::Found(finding) => (scene.masked(finding), false),
                Heard::Done => break,
                Heard::Nothing => (tell::hung(check.name, limit), true),
                Heard::Gone => (tell::broken(check.name), true),
            };
            hear(&finding);
            findings.push(finding);
            if is_last {
                break;
            }
        }
    }
    findings
}

/// Shows a finding as soon as it is there, where that is how the command prints.
fn show(finding: &Finding, context: &Context, is_packed: bool) {
    if is_packed {
        output::print(&output::doctor::packed(finding));
    } else if context.output == Format::Table && (!context.quiet || matches!(finding.status, Verdict::Warn | Verdict::Fail)) {
        output::print(&output::doctor::line(finding));
    }
}

/// Prints what stands at the end: the sum for people, everything for scripts.
fn finish(findings: &[Finding], only_under_cron: Option<&[String]>, context: &Context) {
    match context.output {
        Format::Json => output::json::print(&output::doctor::json(findings, only_under_cron)),
        Format::Csv => output::print(&output::doctor::csv(findings).csv()),
        Format::Table if context.quiet => {}
        Format::Table => output::print(&output::doctor::summary(findings)),
    }
}

fn exit_code_of(findings: &[Finding]) -> u8 {
    let has_failure = findings.iter().any(|finding| finding.status == Verdict::Fail);
    if has_failure { exit_code::FINDING } else { exit_code::DONE }
}
