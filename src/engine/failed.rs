//! `run --retry-failed`: what of a job's last run was not refreshed, so that a run by hand takes that alone.

use crate::job::DataSource;
use crate::process;
use crate::run::SourceStatus;
use crate::state::{Found, Store};

use super::begin;
use super::observer::Observer;
use super::refusal::{self, Refusal};
use super::run::Setting;

/// Keeps the sources that the last run of the job did not refresh; returns the streams of them that it published all the same.
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
    let last = store.job(&job)?.and_then(|record| record.last_run);
    let Some(last) = last else { return Err(Refusal::NeverRan { job }) };
    let Found::One(detail) = store.run(&last.id)? else { return Err(Refusal::NeverRan { job }) };
    let is_failed = |name: &str| detail.sources.iter().any(|source| source.source == name && source.status != SourceStatus::Success);
    setting.specs.retain(|source: &&DataSource| is_failed(&source.name));
    if setting.specs.is_empty() {
        return Err(Refusal::NothingFailed { job });
    }
    let published = detail.streams.iter().filter(|stream| stream.status == SourceStatus::Success);
    Ok(published.map(|stream| (stream.source.clone(), stream.stream.clone())).collect())
}
