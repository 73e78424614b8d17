//! Why rows were rejected, read from the file in which they were kept, where the process that rejected them can't say it any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::plan::Level;
use crate::run::reject_reason::Tally;
use crate::run::{RejectReason, SourceStatus};
use crate::secret::Masker;
use crate::state::{DeadRun, EventRecord};

use super::herald::Reasons;
use super::plan;
use super::source_run::SourceReport;

/// Where reject files are, and who is told of them.
pub(super) struct Kept<'a> {
    pub(super) private_folder: PathBuf,
    /// What names of files are masked by.
    pub(super) masker: &'a Masker,
    /// What the log is masked by.
    pub(super) job_masker: Masker,
    pub(super) reasons: &'a Reasons,
}

impl Kept<'_> {
    /// Notes where the rejected rows of a dead run are and why they were rejected, as far as its sources were loaded: for whoever is told,
    /// and for its log, where that doesn't say so.
    pub(super) fn recall(&self, dead: &mut DeadRun) {
        let mut found = HashMap::new();
        let run = &mut dead.detail;
        let loaded = run.sources.iter_mut().filter(|source| source.status == SourceStatus::Success && source.counts.rejected > 0);
        for source in loaded {
            let path = plan::rejects_path(&self.private_folder, &run.run.id, &source.source, self.masker);
            let Some(tally) = read(&path, source.counts.rejected) else { continue };
            source.rejects_path = Some(path.display().to_string());
            found.insert(source.source.clone(), tally.reasons().to_vec());
            let message = self.job_masker.mask(&tally.in_words().unwrap_or_default());
            let is_said = run.events.iter().any(|event| event.source.as_ref() == Some(&source.source) && event.message == message);
            if !is_said {
                let of = Some(source.source.clone());
                dead.findings.push(EventRecord { at: clock::now(), level: Level::Warn, source: of, stream: None, message });
            }
        }
        self.reasons.set(found);
    }

    /// Forgets what was noted of dead runs.
    pub(super) fn forget(&self) {
        self.reasons.set(HashMap::new());
    }
}

/// Returns why rows of each source were rejected, for whoever is told of the run's end.
pub(super) fn reasons_of(sources: &[SourceReport], files: &[PathBuf]) -> HashMap<String, Vec<RejectReason>> {
    let of = |(source, file): (&SourceReport, &PathBuf)| {
        let results = source.streams.iter().filter_map(|stream| stream.result.as_ref());
        let reasons: Vec<RejectReason> = results.flat_map(|result| result.reject_reasons.iter().cloned()).collect();
        let rejected = source.counts().rejected;
        // A worker that ended after its publish has said nothing.
        let is_told = rejected == 0 || !reasons.is_empty();
        let reasons = if is_told { reasons } else { read(file, rejected).map(|tally| tally.reasons().to_vec()).unwrap_or_default() };
        (source.name.clone(), reasons)
    };
    sources.iter().zip(files).map(of).collect()
}

/// Reads a reject file; nothing where it isn't here, or holds other rows than these: another stream's that failed, or not all.
fn read(path: &Path, rows: u64) -> Option<Tally> {
    let mut tally = Tally::default();
    for record in csv::Reader::from_path(path).ok()?.records() {
        let record = record.ok()?;
        let [position, column, reason] = [0, 1, 2].map(|place| record.get(place).unwrap_or_default());
        tally.add(position, (!column.is_empty()).then_some(column), reason);
    }
    (tally.rows() == rows).then_some(tally)
}
