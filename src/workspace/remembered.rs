//! Jobs as they were read before: for who looks again and again, so that a file is read again only when it has changed.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use super::Workspace;
use super::apart::{Troubled, apart};
use super::threads::side_by_side;
use crate::job::{Job, JobId, Problem, Secrets, Settings};

/// The jobs of a workspace as they were read last.
#[derive(Debug, Default)]
pub struct Remembered {
    /// What they were read with.
    settings: Option<Arc<Settings>>,
    jobs: BTreeMap<JobId, Known>,
}

/// What is known of a file.
#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    /// Whether it was read twice with this stamp: what is written in the tick of the clock in which it was first read changes no stamp.
    is_settled: bool,
    read: Result<Job, Vec<Problem>>,
}

/// What a file that is written, replaced or given other rights doesn't keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    times: [i64; 4],
    inode: u64,
}

impl Workspace {
    /// As [`Workspace::jobs_apart`], by what is remembered of files that are as they were.
    pub fn jobs_again(&self, remembered: &mut Remembered) -> (Vec<Job>, Vec<Troubled>) {
        let is_same = |known: &Arc<Settings>| known.text.text == self.settings.text.text && known.environment == self.settings.environment;
        if !remembered.settings.as_ref().is_some_and(is_same) {
            *remembered = Remembered { settings: Some(Arc::clone(&self.settings)), jobs: BTreeMap::new() };
        }
        let (ids, strangers) = self.job_ids();
        remembered.jobs.retain(|id, _| ids.binary_search(id).is_ok());
        let known = &remembered.jobs;
        let read = side_by_side(&ids, |id| self.read_anew(id, known.get(id)));
        for (id, read) in ids.iter().zip(read) {
            if let Some(read) = read {
                remembered.jobs.insert(id.clone(), read);
            }
        }
        apart(remembered.jobs.iter().map(|(id, known)| (id.clone(), known.read.clone())), strangers)
    }

    /// Reads a file, unless it is as it is known.
    fn read_anew(&self, id: &JobId, known: Option<&Known>) -> Option<Known> {
        let path = self.job_file(id);
        // Before the file is read: what is written meanwhile is seen the next time.
        let stamp = Stamp::of(&path);
        let before = known.filter(|known| known.stamp.is_some() && known.stamp == stamp);
        if before.is_some_and(|known| known.is_settled) {
            return None;
        }
        let read = self.load_file(id, &path, Secrets::Left).map(|loaded| loaded.job).map_err(|bad| bad.problems);
        Some(Known { stamp, is_settled: before.is_some(), read })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::read(&metadata))
    }

    #[cfg(unix)]
    fn read(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        Self { bytes: metadata.len(), times, inode: metadata.ino() }
    }

    #[cfg(windows)]
    fn read(metadata: &Metadata) -> Self {
        use std::os::windows::fs::MetadataExt;
        let times = [metadata.last_write_time(), metadata.creation_time(), u64::from(metadata.file_attributes()), 0].map(u64::cast_signed);
        Self { bytes: metadata.len(), times, inode: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Environment;

    fn write(root: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(root.join("jobs")).unwrap();
        std::fs::write(root.join(name), text).unwrap();
    }

    fn names(root: &Path, remembered: &mut Remembered) -> Vec<String> {
        let workspace = Workspace::find(root, None, Environment::new([], 1)).unwrap();
        let (jobs, troubled) = workspace.jobs_again(remembered);
        jobs.into_iter().map(|job| job.name).chain(troubled.into_iter().map(|troubled| troubled.job)).collect()
    }

    /// What stands for a file that is not read again.
    fn forge(remembered: &mut Remembered, name: &str) {
        for known in remembered.jobs.values_mut() {
            name.clone_into(&mut known.read.as_mut().unwrap().name);
        }
    }

    const JOB: &str = "name: one\ndata_sources: [{path: a.csv}]\n";

    #[test]
    fn a_file_is_read_again_when_it_changed_and_once_more_after_the_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut remembered = Remembered::default();
        write(root, "jobs/a.yaml", JOB);
        assert_eq!(names(root, &mut remembered), ["one"]);
        forge(&mut remembered, "forged");
        assert_eq!(names(root, &mut remembered), ["one"], "it may have been written just after it was read");
        forge(&mut remembered, "forged");
        assert_eq!(names(root, &mut remembered), ["forged"], "nothing is read a third time");
        write(root, "jobs/a.yaml", &JOB.replace("one", "two"));
        assert_eq!(names(root, &mut remembered), ["two"]);
        write(root, "jobs/b.yaml", "name: [\n");
        assert_eq!(names(root, &mut remembered), ["two", "b"]);
        std::fs::remove_file(root.join("jobs/b.yaml")).unwrap();
        std::fs::remove_file(root.join("jobs/a.yaml")).unwrap();
        assert_eq!(names(root, &mut remembered), Vec::<String>::new());
    }

    #[test]
    fn other_settings_make_every_job_new() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut remembered = Remembered::default();
        write(root, "jobs/a.yaml", "name: ${NAME:-none}\ndata_sources: [{path: a.csv}]\n");
        names(root, &mut remembered);
        names(root, &mut remembered);
        forge(&mut remembered, "forged");
        assert_eq!(names(root, &mut remembered), ["forged"]);
        write(root, ".env", "NAME=some\n");
        assert_eq!(names(root, &mut remembered), ["some"]);
        forge(&mut remembered, "forged");
        write(root, "etlsched.yaml", "timezone: Europe/Paris\n");
        assert_eq!(names(root, &mut remembered), ["some"]);
    }
}
