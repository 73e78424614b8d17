//! `run --retry-failed`: what was not refreshed by the last run that was to, so that a run by hand takes that alone.

use std::collections::BTreeMap;

use crate::job::DataSource;
use crate::process;
use crate::run::SourceStatus;
use crate::state::{Found, RunFilter, Store};

use super::begin;
use super::observer::Observer;
use super::refusal::{self, Refusal};
use super::run::Setting;

/// How many of a job's last runs are looked through for the last one of each source.
const RUNS_LOOKED_AT: u64 = 20;

/// Keeps the sources that the last run of each did not refresh; returns the streams of them that it published all the same.
///
/// # Errors
/// The job is another user's or never ran, or nothing is left to do; the store can't be used.
pub(super) fn narrow(
    store: &mut Store,
    setting: &mut Setting<'_>,
    workspace_id: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<(String, String)>, Refusal> {
    let job = setting.job.id.to_string();
    if let Some(known) = store.job(&job)? {
        refusal::check_permitted(setting.workspace, &known, &process::user_name())?;
    }
    // A run whose process was killed is settled first: the destination knows what of it was published.
    begin::close_dead_runs(store, setting, workspace_id, observer)?;
    if store.job(&job)?.and_then(|record| record.last_run).is_none() {
        return Err(Refusal::NeverRan { job });
    }
    let filter = RunFilter { job: Some(job.clone()), ..RunFilter::default() };
    // Of each source the run that was to refresh it last: one of `--source` leaves the others as they were.
    let mut last: BTreeMap<String, SourceStatus> = BTreeMap::new();
    let mut published = Vec::new();
    for run in store.runs(&filter, 1, RUNS_LOOKED_AT)?.runs {
        if setting.specs.iter().all(|source| last.contains_key(&source.name)) {
            break;
        }
        let Found::One(detail) = store.run(&run.id)? else { continue };
        for source in detail.sources.iter().filter(|source| !last.contains_key(&source.source)).collect::<Vec<_>>() {
            last.insert(source.source.clone(), source.status);
            let own = detail.streams.iter().filter(|stream| stream.source == source.source && stream.status == SourceStatus::Success);
            published.extend(own.map(|stream| (stream.source.clone(), stream.stream.clone())));
        }
    }
    // One whose last run is further back, or forgotten, is known by the job's record.
    let failing = store.job(&job)?.map(|record| record.sources_failing).unwrap_or_default();
    let is_failed = |name: &str| last.get(name).map_or_else(|| failing.contains_key(name), |status| *status != SourceStatus::Success);
    setting.specs.retain(|source: &&DataSource| is_failed(&source.name));
    if setting.specs.is_empty() {
        return Err(Refusal::NothingFailed { job });
    }
    Ok(published)
}
