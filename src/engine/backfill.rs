//! Whether a job's sources can load one window, before anything is begun. Pure.

use crate::job::{DataSource, Job};
use crate::plan::{Mode, Window};

use super::refusal::Refusal;

/// A window as it was typed; one end at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedWindow {
    /// `--since`
    pub since: Option<String>,
    /// `--until`
    pub until: Option<String>,
}

/// Reads a window for the sources that are to run.
///
/// # Errors
/// A value that is none, ends in the wrong order, a source that has no window.
pub(super) fn window(job: &Job, sources: &[&DataSource], typed: &TypedWindow) -> Result<Window, Refusal> {
    let refusal = |message: String, hint: String| Refusal::Window { job: job.id.to_string(), message, hint };
    let window = Window::parse(typed.since.as_deref(), typed.until.as_deref(), job.timezone);
    let window = window.map_err(|(message, hint)| refusal(message, hint))?;
    for source in sources {
        let reason = if source.kind.is_files() {
            "reads files, whole as they are: --since and --until choose rows by the cursor column of a database"
        } else if source.options.mode == Mode::Full {
            "is loaded in full each time: --since and --until choose rows of an incremental source"
        } else if source.options.timestamp_column.is_none() {
            "has no timestamp_column, by which --since and --until choose rows"
        } else {
            continue;
        };
        let hint = format!("name the sources that are meant: etlsched run {} --source NAME {window}", job.id);
        return Err(refusal(format!("source {} {reason}", source.name), hint));
    }
    Ok(window)
}
