//! Where the address of a letter stands: the outbox holds no secret, so that a file says it when the letter is sent.

use crate::job::notifications::{Addresses, Reached};
use crate::job::{JobId, Problem, Severity};
use crate::notify::{Channel, Kind, Message};
use crate::secret::Masker;
use crate::state::{Letter, SEVERAL_JOBS};
use crate::workspace::{FILE, NoJob, Workspace};

use super::recipient::Owner;

/// A file that may name the address of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// `defaults` in etlsched.yaml.
    Defaults,
    /// The file of a job.
    Job(String),
}

impl Place {
    pub(super) fn owner(&self) -> Owner<'_> {
        match self {
            Self::Defaults => Owner::Defaults,
            Self::Job(job) => Owner::Job(job),
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Defaults => "etlsched.yaml".to_owned(),
            Self::Job(job) => format!("job {job}"),
        }
    }
}

/// Returns the files that may name the address of a letter. An address that wasn't known when the letter was written is known by its place
/// in one file.
pub(super) fn places(letter: &Letter, message: &Message) -> Vec<Place> {
    let own = (letter.job != SEVERAL_JOBS).then(|| Place::Job(letter.job.clone()));
    if Owner::Defaults.has_place(&letter.recipient) {
        return vec![Place::Defaults];
    }
    if Owner::Job(&letter.job).has_place(&letter.recipient) {
        return own.into_iter().collect();
    }
    // A job's file that has errors names nobody: where it is asked all the same, a letter waits for it that the defaults don't want any more.
    let is_of_file = message.kind == Kind::Invalid || (message.kind == Kind::Recovery && message.run.is_none());
    if is_of_file && !message.is_by_job {
        return vec![Place::Defaults];
    }
    let listed = message.roundup.iter().flat_map(|roundup| roundup.jobs.iter().map(|job| Place::Job(job.id.clone())));
    // Some of several may be told by the defaults.
    let defaults = (is_of_file && message.roundup.is_some()).then_some(Place::Defaults);
    defaults.into_iter().chain(own).chain(listed).collect()
}

/// Fetches what a letter needs, and no other secret of the job.
pub(super) fn resolve(
    workspace: &Workspace,
    channel: Channel,
    place: &Place,
    addresses: &mut Addresses,
) -> Result<Resolved, Option<String>> {
    let Place::Job(job) = place else {
        let reached = workspace.reach_defaults(addresses);
        return Ok(Resolved { masker: workspace.masker_with(&reached.urls), reached });
    };
    let id = JobId::parse(job).map_err(|_| None)?;
    match workspace.reach(&id, channel, addresses) {
        Ok((reached, masker)) => Ok(Resolved { reached, masker }),
        Err(NoJob::Unknown(_)) => Err(None),
        Err(NoJob::Invalid(problems)) => Err(Some(unread(workspace, &id, &problems))),
    }
}

/// Says which file keeps a job from being read.
fn unread(workspace: &Workspace, id: &JobId, problems: &[Problem]) -> String {
    let settings = workspace.shown(&workspace.root.join(FILE));
    let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match errors.next() {
        Some(first) if first.file == settings => format!("{FILE} has problems, so that job {id} can't be read: etlsched validate"),
        _ => format!("the file of job {id} has problems: etlsched validate {id}"),
    }
}

/// Addresses that a file names now.
pub(super) struct Resolved {
    pub(super) reached: Reached,
    pub(super) masker: Masker,
}
