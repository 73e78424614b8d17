//! From a job to what its workers are told. Pure.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::job::{DataSource, Job};
use crate::plan::{DryRun, InspectPlan, LoadPlan, MendAction, MendPlan, Order, PreviewPlan, RunRef, SourceOrder, SourcePlan, Window};
use crate::secret::Masker;

/// What every plan of a run shares.
#[derive(Debug)]
pub(super) struct RunFrame<'a> {
    pub(super) job: &'a Job,
    pub(super) workspace_id: &'a str,
    pub(super) run_id: &'a str,
    pub(super) started_at: DateTime<Utc>,
    /// The key of the slot that the run claimed.
    pub(super) slot: Option<&'a str>,
    /// When that is due.
    pub(super) slot_at: Option<DateTime<Utc>>,
    /// Exactly these rows are loaded.
    pub(super) window: Option<&'a Window>,
    /// Source and stream of what earlier runs of the slot have published.
    pub(super) published: &'a [(String, String)],
    /// `.etlsched` of the workspace.
    pub(super) private_folder: &'a Path,
    pub(super) masker: &'a Masker,
    pub(super) is_full_refresh: bool,
    pub(super) dry_run: Option<DryRun>,
}

/// Returns the order to load one source; `over` are streams that earlier attempts of the run have settled.
pub(super) fn load_order(frame: &RunFrame<'_>, source: &DataSource, attempt: u32, over: Vec<String>) -> Order {
    let RunFrame {
        job,
        workspace_id,
        run_id,
        started_at,
        slot,
        slot_at,
        window,
        published: _,
        private_folder,
        masker,
        is_full_refresh,
        dry_run,
    } = frame;
    let mut options = source.options.clone();
    options.is_full_refresh |= is_full_refresh;
    options.window = window.cloned();
    let mut published_streams = published_streams(frame, &source.name);
    published_streams.extend(over);
    published_streams.sort();
    published_streams.dedup();
    Order::Load(LoadPlan {
        run: RunRef {
            workspace_id: (*workspace_id).to_owned(),
            job: job.id.as_str().to_owned(),
            run_id: (*run_id).to_owned(),
            attempt,
            slot: slot.map(str::to_owned),
            started_at: *started_at,
        },
        source: source_plan(job, source),
        destination: job.destination.clone(),
        options,
        rejects_path: rejects_path(private_folder, run_id, &source.name, masker),
        published_streams,
        slot_at: *slot_at,
        dry_run: *dry_run,
    })
}

/// Returns the streams of a source that earlier runs of the slot have published.
pub(super) fn published_streams(frame: &RunFrame<'_>, source: &str) -> Vec<String> {
    frame.published.iter().filter(|(of, _)| of == source).map(|(_, stream)| stream.clone()).collect()
}

/// Returns the order to read the bookkeeping of a job's targets (all of them where `targets` is empty).
pub fn inspect_order(job: &Job, workspace_id: &str, targets: Vec<String>) -> Order {
    Order::Inspect(InspectPlan {
        destination: job.destination.clone(),
        targets,
        workspace_id: workspace_id.to_owned(),
        job: job.id.as_str().to_owned(),
        other_jobs: Vec::new(),
    })
}

/// Returns the order to say which tables a job and others that share its destination have loaded.
pub fn inspect_order_of(job: &Job, workspace_id: &str, other_jobs: Vec<String>) -> Order {
    Order::Inspect(InspectPlan {
        destination: job.destination.clone(),
        targets: Vec::new(),
        workspace_id: workspace_id.to_owned(),
        job: job.id.as_str().to_owned(),
        other_jobs,
    })
}

/// Returns the order to put a job's destination in order.
pub(super) fn mend_order(job: &Job, workspace_id: &str, action: MendAction) -> Order {
    Order::Mend(MendPlan {
        destination: job.destination.clone(),
        workspace_id: workspace_id.to_owned(),
        job: job.id.as_str().to_owned(),
        action,
    })
}

/// Returns the order to reach a source.
pub fn test_order(job: &Job, source: &DataSource) -> Order {
    Order::Test(source_order(job, source))
}

/// Returns the order to list a source's streams with their columns.
pub fn discover_order(job: &Job, source: &DataSource) -> Order {
    let SourceOrder { mut source, options } = source_order(job, source);
    source.kind.in_one_part();
    Order::Discover(SourceOrder { source, options })
}

/// Returns the order to read the first rows of a source.
pub fn preview_order(job: &Job, source: &DataSource, rows: usize) -> Order {
    let SourceOrder { mut source, options } = source_order(job, source);
    source.kind.in_one_part();
    Order::Preview(PreviewPlan { source, options, rows })
}

fn source_order(job: &Job, source: &DataSource) -> SourceOrder {
    SourceOrder { source: source_plan(job, source), options: source.options.clone() }
}

fn source_plan(job: &Job, source: &DataSource) -> SourcePlan {
    let DataSource { name, connection, kind, columns, options: _ } = source.clone();
    SourcePlan { name, connection, kind, columns, hash_key: job.hash_key.clone() }
}

/// Returns the reject file of a source in a run: `.etlsched/rejects/<run>/<source>.csv`, secrets hidden.
pub fn rejects_path(private_folder: &Path, run_id: &str, source: &str, masker: &Masker) -> PathBuf {
    private_folder.join("rejects").join(run_id).join(format!("{}.csv", file_name(source, &masker.mask(source))))
}

/// Returns a name that is one plain file name on every system: other characters than letters, digits, `_`, `-` and `.` become `_`.
/// What was changed gets a mark of its own, so that two names never share a file.
fn file_name(name: &str, shown: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    let plain: String = shown.chars().take(80).map(|character| if is_plain(character) { character } else { '_' }).collect();
    // Windows keeps no two files whose names differ in case only, and opens devices for some names.
    let is_same =
        plain == name && !plain.is_empty() && !plain.starts_with('.') && !plain.chars().any(|character| character.is_ascii_uppercase());
    let devices = ["con", "prn", "aux", "nul"];
    let stem = plain.split('.').next().unwrap_or_default();
    let is_device = devices.contains(&stem) || ((stem.starts_with("com") || stem.starts_with("lpt")) && stem.len() == 4);
    if is_same && !is_device {
        return plain;
    }
    let mark = blake3::hash(name.as_bytes()).to_hex();
    let guard = if is_device { "_" } else { "" };
    format!("{guard}{}-{}", plain.trim_start_matches('.'), &mark[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_source_name_stays_out_of_its_file_and_two_of_them_apart() {
        let masker = Masker::new(["hunter22".to_owned(), "hunter33".to_owned()]);
        let name = |source: &str| rejects_path(Path::new("/w"), "r1", source, &masker).file_name().unwrap().to_string_lossy().into_owned();
        let (one, other) = (name("of-hunter22"), name("of-hunter33"));
        assert!(one.starts_with("of-___-") && other.starts_with("of-___-") && one != other, "{one} {other}");
    }

    #[test]
    fn a_source_name_never_leaves_the_rejects_folder() {
        let folder = Path::new("/w/.etlsched");
        assert_eq!(rejects_path(folder, "r1", "orders", &Masker::default()), Path::new("/w/.etlsched/rejects/r1/orders.csv"));
        for name in ["../../etc/passwd", "..", "a/b", "a\\b", "nul", "com1.x", "é\u{0}\n", "", ".", "C:x", &"x".repeat(500)] {
            let path = rejects_path(folder, "r1", name, &Masker::default());
            assert_eq!(path.parent(), Some(Path::new("/w/.etlsched/rejects/r1")), "{name:?}");
            let file = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            assert!(file.len() < 120 && file.chars().all(|character| character.is_ascii_graphic()), "{file}");
            assert!(!file.starts_with('.') && !file.starts_with("nul.") && !file.starts_with("com1."), "{file}");
        }
    }

    #[test]
    fn names_that_differ_have_files_that_differ() {
        let files: std::collections::BTreeSet<String> =
            ["a b", "a_b", "a/b", "A_b", "a-b"].iter().map(|name| file_name(name, name).to_lowercase()).collect();
        assert_eq!(files.len(), 5, "{files:?}");
    }
}
