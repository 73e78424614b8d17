//! The Windows Task Scheduler, through `schtasks` alone: one task a job, in a folder of the workspace's id.
//!
//! Windows lists a task in its own words, never in those that it was given. So both are kept beside each other in a folder of ours: what was
//! given, and what was listed right after. A task that is listed otherwise later was changed by somebody else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Daemon, NotInstalled, Rendered, Shown, Target, call, words};
use crate::private;

/// The Task Scheduler of this host.
#[derive(Debug, Clone)]
pub struct Tasks {
    /// `schtasks`, or another program in its place.
    pub program: String,
    /// The digest of the workspace's folder, as the names of its files and the folder of its tasks have it.
    pub digest: String,
    /// Where what was given and listed is kept.
    pub folder: PathBuf,
}

impl Target for Tasks {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn place(&self) -> String {
        format!("the Task Scheduler, folder \\etlsched-{}", self.digest)
    }

    fn read(&self) -> Result<Vec<Rendered>, NotInstalled> {
        let mut files = Vec::new();
        for job in self.given()? {
            let name = self.file(&job);
            let Some(listed) = self.listed(&job)? else { continue };
            let then = std::fs::read(self.folder.join(format!("{job}.listed"))).unwrap_or_default();
            let given = std::fs::read(self.folder.join(&name)).map_err(|error| self.io("reading", &name, &error))?;
            files.push(Rendered { name, bytes: if listed == then { given } else { listed } });
        }
        Ok(files)
    }

    fn jobs(&self, there: &[Rendered]) -> Result<BTreeSet<String>, NotInstalled> {
        Ok(there.iter().filter_map(|file| self.job_of(&file.name)).map(str::to_owned).collect())
    }

    fn merged(&self, there: &[Rendered], rendered: &[Rendered], kept: &BTreeSet<String>) -> Result<Vec<Rendered>, NotInstalled> {
        let is_kept = |file: &&Rendered| {
            self.job_of(&file.name).is_some_and(|job| kept.contains(job)) && !rendered.iter().any(|fresh| fresh.name == file.name)
        };
        let mut files: Vec<Rendered> = there.iter().filter(is_kept).chain(rendered).cloned().collect();
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    }

    fn shown(&self, there: &[Rendered]) -> Result<Vec<Shown>, NotInstalled> {
        Ok(there
            .iter()
            .map(|file| Shown { name: file.name.clone(), line: 1, bytes: file.text().replace("\r\n", "\n").into_bytes() })
            .collect())
    }

    fn apply(&self, before: &[Rendered], after: &[Rendered]) -> Result<Vec<String>, NotInstalled> {
        if self.read()? != before {
            let message = format!("tasks in {} were changed by another program; nothing was written", self.place());
            return Err(NotInstalled::new("changed", message, "try again"));
        }
        private::make_folder(&self.folder).map_err(|error| self.io("making", "", &error))?;
        for file in before.iter().filter(|file| after.iter().all(|other| other.name != file.name)) {
            let Some(job) = self.job_of(&file.name) else { continue };
            self.schtasks(&["/Delete", "/TN", &self.task(job), "/F"])?;
            for name in [file.name.clone(), format!("{job}.listed")] {
                remove(&self.folder.join(&name)).map_err(|error| self.io("removing", &name, &error))?;
            }
        }
        let mut notes = Vec::new();
        for file in after.iter().filter(|file| !before.contains(file)) {
            let Some(job) = self.job_of(&file.name) else { continue };
            // Not under its own name before Windows has it: what is there under it counts as given.
            let pending = self.folder.join("pending.xml");
            std::fs::write(&pending, &file.bytes).map_err(|error| self.io("writing", "pending.xml", &error))?;
            self.schtasks(&["/Create", "/XML", &pending.display().to_string(), "/TN", &self.task(job), "/F"])?;
            std::fs::rename(&pending, self.folder.join(&file.name)).map_err(|error| self.io("writing", &file.name, &error))?;
            let Some(listed) = self.listed(job)? else {
                let message = format!("schtasks took the task of job {job} and doesn't list it");
                return Err(NotInstalled::new("not_as_given", message, format!("look at it: schtasks /Query /TN {}", self.task(job))));
            };
            let name = format!("{job}.listed");
            std::fs::write(self.folder.join(&name), &listed).map_err(|error| self.io("writing", &name, &error))?;
            if listed.is_empty() && notes.is_empty() {
                notes.push("this schtasks lists nothing, so the tasks were not read back".to_owned());
            }
        }
        Ok(notes)
    }

    fn warnings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn daemon(&self) -> Daemon {
        match call("sc", &["query", "Schedule"], b"") {
            Ok(said) if said.exit.is_done() => match String::from_utf8_lossy(&said.stdout).contains("RUNNING") {
                true => Daemon::Runs("Task Scheduler".to_owned()),
                false => {
                    Daemon::Absent("the Task Scheduler doesn't run".to_owned(), "start it as administrator: sc start Schedule".to_owned())
                }
            },
            Ok(said) => Daemon::Unknown(words(&said)),
            Err(error) => Daemon::Unknown(error.message),
        }
    }

    fn environment(&self, _there: &[Rendered]) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Tasks {
    fn task(&self, job: &str) -> String {
        format!("\\etlsched-{}\\{job}", self.digest)
    }

    fn file(&self, job: &str) -> String {
        format!("etlsched-{}-{job}.xml", self.digest)
    }

    fn job_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&format!("etlsched-{}-", self.digest))?.strip_suffix(".xml")
    }

    /// Returns the jobs whose tasks were given.
    fn given(&self) -> Result<Vec<String>, NotInstalled> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.io("reading", "", &error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut jobs: Vec<String> = names.filter_map(|name| self.job_of(&name).map(str::to_owned)).collect();
        jobs.sort();
        Ok(jobs)
    }

    /// Returns a task as Windows lists it; `None` where there is none.
    fn listed(&self, job: &str) -> Result<Option<Vec<u8>>, NotInstalled> {
        let listed = call(&self.program, &["/Query", "/TN", &self.task(job), "/XML"], b"")?;
        // Its words are in the user's language, and every failure has the code 1: no such task, nearly always.
        Ok(listed.exit.is_done().then_some(listed.stdout))
    }

    fn schtasks(&self, arguments: &[&str]) -> Result<(), NotInstalled> {
        let called = call(&self.program, arguments, b"")?;
        if called.exit.is_done() {
            return Ok(());
        }
        let message = format!("changing {}: schtasks {} failed with {}", self.place(), arguments.join(" "), words(&called));
        Err(NotInstalled::new("refused", message, "run it as a user who may make tasks (an administrator)"))
    }

    fn io(&self, what: &str, name: &str, error: &std::io::Error) -> NotInstalled {
        let message = format!("{what} {}: {error}", self.folder.join(name).display());
        NotInstalled::new("io", message, "see that this user may write there")
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "tasks_tests.rs"]
mod tests;
