//! Jobs apart from files that are none as they stand, by job: a setting of etlsched.yaml may break many.

use super::threads::side_by_side;
use super::{Workspace, files};
use crate::job::load::Secrets;
use crate::job::{Job, JobId, Problem};

/// A file that is no job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubled {
    /// The job; the stem of a file that is none.
    pub job: String,
    /// Its problems, warnings among them; some may stand in etlsched.yaml.
    pub problems: Vec<Problem>,
}

impl Workspace {
    /// As [`Workspace::jobs`], with the problems by job: a setting may break many.
    pub fn jobs_apart(&self) -> (Vec<Job>, Vec<Troubled>) {
        let (ids, strangers) = self.job_ids();
        let loaded = side_by_side(&ids, |id| self.load_file(id, &self.job_file(id), Secrets::Left).map(|loaded| loaded.job));
        apart(ids.into_iter().zip(loaded.into_iter().map(|loaded| loaded.map_err(|bad| bad.problems))), strangers)
    }

    /// Returns a warning for each file in a folder of jobs/ that looks like a job's.
    pub fn misplaced(&self) -> Vec<Problem> {
        files::misplaced(&self.jobs_folder(), &self.here)
    }
}

/// Parts jobs from those whose files are not good; files that are no jobs come last.
pub(super) fn apart(
    read: impl IntoIterator<Item = (JobId, Result<Job, Vec<Problem>>)>,
    strangers: Vec<Problem>,
) -> (Vec<Job>, Vec<Troubled>) {
    let (mut jobs, mut troubled) = (Vec::new(), Vec::new());
    for (id, read) in read {
        match read {
            Ok(job) => jobs.push(job),
            Err(problems) => troubled.push(Troubled { job: id.as_str().to_owned(), problems }),
        }
    }
    troubled.extend(strangers.into_iter().map(|problem| {
        let job = problem.file.file_stem().unwrap_or(problem.file.as_os_str()).to_string_lossy().into_owned();
        Troubled { job, problems: vec![problem] }
    }));
    (jobs, troubled)
}
