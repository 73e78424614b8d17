//! The workspace: found, valid, with jobs.

use std::collections::BTreeSet;

use super::scene::{Scene, is_error, told};
use super::tell::Tell;
use crate::job::Problem;
use crate::text::count;
use crate::workspace::FILE;

/// The most problems that are told one by one; `etlsched validate` tells all.
const PROBLEMS_MAX: usize = 5;

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let Some(workspace) = &scene.workspace else { return absent(scene, tell) };
    let with = if workspace.root.join(FILE).is_file() { "with" } else { "without" };
    tell.ok("", format!("{}, {with} {FILE}", workspace.root.display()));
    let errors: Vec<&Problem> = scene.problems(false).filter(|problem| is_error(problem)).collect();
    let files: BTreeSet<_> = errors.iter().map(|problem| &problem.file).collect();
    if let Some(first) = errors.first() {
        let found = format!("{} of {} with errors; the first: {}", files.len(), count(scene.files as u64, "file"), told(first));
        tell.fail("jobs", found, "etlsched validate");
    } else if scene.files == 0 {
        tell.warn("jobs", "there are none", "etlsched create --help, or write one into jobs/");
    } else {
        let all = if scene.files == 1 { "it is valid" } else { "all are valid" };
        tell.ok("jobs", format!("{}, {all}", count(scene.files as u64, "file")));
    }
    let mut warnings = scene.problems(false).filter(|problem| !is_error(problem));
    if let Some(first) = warnings.next() {
        let more = warnings.count() as u64;
        let rest = if more == 0 { String::new() } else { format!(" (and {})", count(more, "warning")) };
        tell.warn("warnings", format!("{}{rest}", told(first)), "etlsched validate");
    }
}

fn absent(scene: &Scene, tell: &Tell) {
    let Some(failure) = &scene.no_workspace else { return };
    let hint = failure.hint.clone().unwrap_or_else(|| "etlsched validate".to_owned());
    if failure.problems.is_empty() {
        return tell.fail("", failure.message.clone(), hint);
    }
    for problem in failure.problems.iter().filter(|problem| is_error(problem)).take(PROBLEMS_MAX) {
        tell.fail("", told(problem), problem.hint.clone().unwrap_or_else(|| hint.clone()));
    }
}
