//! `doctor --as-cron`: this program once more, in the environment that cron gives to jobs, and what is different from here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cron::CronEnvironment;
use super::scene::Scene;
use super::{Doctor, exit_code_of, finish, look, show};
use crate::command::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::output::doctor::{Finding, Verdict, unpacked};
use crate::output::{self, Format};
use crate::process::{Bare, Exit, run_bare};
use crate::text::{count, printable};

/// Longer than any check may be silent, beside its connections.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Looks from both environments; returns the exit code.
///
/// # Errors
/// A job named is unknown, or this program does not run in that environment.
pub fn run(doctor: &Doctor, context: &Context) -> Result<u8, Failure> {
    if cfg!(not(unix)) {
        return Err(Failure::usage("--as-cron is for systems with cron").hint("leave it out"));
    }
    let timeout = Duration::from_secs(doctor.timeout);
    let scene = Arc::new(Scene::find(context, &doctor.jobs, doctor.offline, timeout)?);
    let cron = CronEnvironment::find(&scene);
    if context.output == Format::Table && !context.quiet {
        output::note_fitted(&heading(&cron));
    }
    let program = std::env::current_exe().map_err(|error| Failure::internal(format!("the path of this program can't be read: {error}")))?;
    let bare =
        Bare { program, arguments: arguments(doctor, context, &scene), environment: cron.variables.clone(), folder: folder(&cron.home) };
    // Both are looked at side by side: what is slow here is slow there.
    let (there, here) = std::thread::scope(|scope| {
        let own = Arc::clone(&scene);
        let here = scope.spawn(move || look(&own, |_| {}));
        let there = child(&bare, timeout, &scene, context);
        (there, here.join().unwrap_or_default())
    });
    let findings = there?;
    let differences = differences(&here, &findings);
    if context.output == Format::Table {
        for line in &differences {
            output::print(&output::at_terminal(&format!("only under cron: {}", printable(line)), 2));
        }
    }
    finish(&findings, Some(&differences), context);
    Ok(exit_code_of(&findings))
}

/// cron goes to the home folder, and to / where there is none.
fn folder(home: &Path) -> std::path::PathBuf {
    if home.is_dir() { home.to_owned() } else { "/".into() }
}

fn heading(cron: &CronEnvironment) -> String {
    let names: Vec<&str> = cron.variables.iter().map(|(name, _)| name.as_str()).collect();
    printable(&format!("as cron starts jobs: in {}, with {} alone", cron.home.display(), names.join(", "))).into_owned()
}

fn arguments(doctor: &Doctor, context: &Context, scene: &Scene) -> Vec<String> {
    let Doctor { jobs, as_cron: _, offline, timeout, packed: _ } = doctor;
    let root = scene.workspace.as_ref().map(|workspace| workspace.root.clone()).or_else(|| context.project.clone());
    let mut arguments = Vec::new();
    if let Some(root) = root.or_else(|| std::env::current_dir().ok()) {
        arguments.extend(["-C".to_owned(), std::path::absolute(&root).unwrap_or(root).display().to_string()]);
    }
    arguments.extend(["doctor", "--packed", "--timeout"].map(str::to_owned));
    arguments.push(timeout.to_string());
    arguments.extend(offline.then(|| "--offline".to_owned()));
    arguments.push("--".to_owned());
    arguments.extend(jobs.iter().cloned());
    arguments
}

/// Lets the child look, and shows what it finds as it comes.
fn child(bare: &Bare, timeout: Duration, scene: &Scene, context: &Context) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let ended = run_bare(bare, SILENCE_MAX + timeout, |line| {
        if let Some(finding) = unpacked(line) {
            let finding = scene.masked(finding);
            show(&finding, context, false);
            findings.push(finding);
        }
    });
    let failed = |why: String| {
        let failure = Failure::new(exit_code::FAILED, "as_cron", format!("looking under cron's environment: {why}"));
        failure.hint("try it by hand: env -i HOME=\"$HOME\" LOGNAME=\"$LOGNAME\" PATH=/usr/bin:/bin etlsched doctor")
    };
    match ended {
        Ok(Exit::Code(0 | 10)) => Ok(findings),
        Ok(exit) => Err(failed(format!("this program ended with {exit} there"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Returns what stands worse there than here, a line each.
fn differences(here: &[Finding], there: &[Finding]) -> Vec<String> {
    let worst = |of: &Finding| {
        here.iter().filter(|finding| finding.check == of.check && finding.subject == of.subject).map(|finding| finding.status).max()
    };
    let is_worse = |finding: &&Finding| finding.status >= Verdict::Warn && worst(finding).is_none_or(|here| here < finding.status);
    let line = |finding: &Finding| {
        let subject = if finding.subject.is_empty() { String::new() } else { format!(" {}", finding.subject) };
        format!("{}{subject}: {}", finding.check, finding.found)
    };
    let mut lines: Vec<String> = there.iter().filter(is_worse).map(line).collect();
    let most = 50;
    if lines.len() > most {
        let rest = count((lines.len() - most) as u64, "difference");
        lines.truncate(most);
        lines.push(format!("and {rest}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(subject: &str, status: Verdict) -> Finding {
        Finding { check: "connections".to_owned(), subject: subject.to_owned(), status, found: "found".to_owned(), remedy: None }
    }

    #[test]
    fn what_stands_worse_there_than_here_is_named() {
        let here = [finding("a", Verdict::Ok), finding("b", Verdict::Fail), finding("c", Verdict::Warn)];
        let there = [
            finding("a", Verdict::Fail),
            finding("b", Verdict::Fail),
            finding("c", Verdict::Ok),
            finding("d", Verdict::Warn),
            finding("e", Verdict::Skipped),
        ];
        assert_eq!(differences(&here, &there), ["connections a: found", "connections d: found"]);
    }
}
