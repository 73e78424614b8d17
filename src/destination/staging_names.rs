//! Names of staging tables, by which a load finds those of its target, and mending those of dead runs. Targets are given as the engine folds
//! names that are one to it: in lower case.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::plan::RunRef;

/// Returns the name of a staging table: `_etlsched_<8 of sha256(target)>_<last 12 of the run id>_<attempt>`, `_r<n>` after a restart.
pub(super) fn name(folded: &str, run: &RunRef, restarts: u32) -> String {
    let again = if restarts == 0 { String::new() } else { format!("_r{restarts}") };
    format!("_etlsched_{}_{}_{}{again}", hash(folded), run_mark(&run.run_id), run.attempt)
}

/// Returns the first eight hex digits of the SHA-256 of a target's name.
pub(super) fn hash(folded: &str) -> String {
    Sha256::digest(folded.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run_mark(run_id: &str) -> String {
    let plain: Vec<char> = run_id.chars().filter(char::is_ascii_alphanumeric).collect();
    plain[plain.len().saturating_sub(12)..].iter().collect()
}

/// Returns those of the staging tables that dead runs left.
pub(super) fn of_dead_runs(names: Vec<String>, dead_runs: &[String]) -> Vec<String> {
    let marks: BTreeSet<String> = dead_runs.iter().map(|run_id| run_mark(run_id)).collect();
    let is_dead = |name: &String| name.split('_').nth(3).is_some_and(|mark| marks.contains(mark));
    names.into_iter().filter(is_dead).collect()
}

/// Returns with what the names of a target's staging tables begin; `None` where another target's begin so too: these tables can't be told
/// apart, and the other target's load may be under way.
pub(super) fn prefix(folded: &str, mut others: impl Iterator<Item = String>) -> Option<String> {
    let hash_here = hash(folded);
    let has_twin = others.any(|other| other != folded && hash(&other) == hash_here);
    (!has_twin).then(|| format!("_etlsched_{hash_here}_"))
}

/// Returns the name of the column that numbers staged rows: the first that isn't taken.
pub(super) fn numbering(is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = "_etlsched_row".to_owned();
    let mut number = 0;
    while is_taken(&name) {
        number += 1;
        name = format!("_etlsched_row{number}");
    }
    name
}
