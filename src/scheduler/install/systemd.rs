//! systemd's units, a service and a timer a job: files in one folder, and `systemctl` for the rest. Files that are not ours are left alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Daemon, NotInstalled, Rendered, Shown, Target, call, words};
use crate::scheduler::Scope;

/// The units of a user, or of the host.
#[derive(Debug, Clone)]
pub struct Systemd {
    /// Whose systemd takes them.
    pub scope: Scope,
    /// Where unit files are.
    pub folder: PathBuf,
    /// The user who runs this.
    pub user: String,
    /// The digest of the workspace's folder, as the names of its files have it.
    pub digest: String,
}

impl Target for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn place(&self) -> String {
        match self.scope {
            Scope::User => format!("the systemd of {}", self.user),
            Scope::System => "the systemd of this host".to_owned(),
        }
    }

    fn read(&self) -> Result<Vec<Rendered>, NotInstalled> {
        let failed = |path: &Path, error: std::io::Error| {
            NotInstalled::new("unreadable", format!("reading {}: {error}", path.display()), "see that this user may read there")
        };
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder, error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed(&self.folder, error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.job_of(&name).is_none() || !entry.path().is_file() {
                continue;
            }
            let bytes = std::fs::read(entry.path()).map_err(|error| failed(&entry.path(), error))?;
            if is_ours(&name, &bytes) {
                files.push(Rendered { name, bytes });
            }
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        self.mark_inactive(&mut files)?;
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
        let shown = |file: &Rendered| Shown { name: file.name.clone(), line: 1, bytes: file.bytes.clone() };
        Ok(there.iter().map(shown).collect())
    }

    fn apply(&self, before: &[Rendered], after: &[Rendered]) -> Result<Vec<String>, NotInstalled> {
        if self.read()? != before {
            let message = format!("unit files in {} were changed by another program; nothing was written", self.folder.display());
            return Err(NotInstalled::new("changed", message, "try again"));
        }
        self.check_reachable()?;
        let changed: Vec<&Rendered> = after.iter().filter(|file| !before.contains(file)).collect();
        self.check_free(&changed)?;
        let gone: Vec<&Rendered> = before.iter().filter(|file| after.iter().all(|other| other.name != file.name)).collect();
        for timer in gone.iter().filter(|file| file.name.ends_with(".timer")) {
            self.systemctl(&["disable", "--now", &timer.name])?;
        }
        for file in &gone {
            std::fs::remove_file(self.folder.join(&file.name)).map_err(|error| self.io("removing", &file.name, &error))?;
        }
        for file in &changed {
            self.write(file).map_err(|error| self.io("writing", &file.name, &error))?;
        }
        self.systemctl(&["daemon-reload"])?;
        for timer in changed.iter().filter(|file| file.name.ends_with(".timer")) {
            self.systemctl(&["enable", &timer.name])?;
            // Not `enable --now`: a timer that runs already would go on with its old times.
            self.systemctl(&["restart", &timer.name])?;
        }
        if self.read()? != after {
            let message = format!("the unit files in {} are not what was written there", self.folder.display());
            return Err(NotInstalled::new("not_as_given", message, "look which program changes them: etlsched schedule status"));
        }
        Ok(Vec::new())
    }

    fn warnings(&self) -> Vec<(String, String)> {
        if self.scope == Scope::System {
            return Vec::new();
        }
        let linger = call("loginctl", &["show-user", &self.user, "--property=Linger"], b"");
        match linger {
            Ok(said) if said.exit.is_done() && said.stdout.trim_ascii_end() == b"Linger=no" => {
                let warning = format!("timers of {} stop when {} logs out", self.user, self.user);
                vec![(warning, format!("let them go on: loginctl enable-linger {}", self.user))]
            }
            _ => Vec::new(),
        }
    }

    fn daemon(&self) -> Daemon {
        match self.called(&["is-system-running"]) {
            // A word (systemctl(1)); its exit code says whether all is well.
            Ok(said) => match str::from_utf8(&said.stdout).unwrap_or_default().trim() {
                "" | "offline" | "unknown" => {
                    let what = format!("{} doesn't run, or can't be reached: {}", self.place(), words(&said));
                    Daemon::Absent(what, "log in as this user itself (not by su or sudo), or schedule by crontab".to_owned())
                }
                word => Daemon::Runs(format!("systemd ({})", crate::text::printable(word))),
            },
            Err(error) => Daemon::Unknown(error.message),
        }
    }

    /// Units say what they set, and begin with what the manager has, which isn't known here.
    fn environment(&self, _there: &[Rendered]) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Systemd {
    /// Returns the job of a unit of this workspace.
    fn job_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(&format!("etlsched-{}-", self.digest))?;
        rest.strip_suffix(".service").or_else(|| rest.strip_suffix(".timer"))
    }

    /// A timer that doesn't run starts nothing, so it is not as it should be. Where systemd can't be asked, nothing is known.
    fn mark_inactive(&self, files: &mut [Rendered]) -> Result<(), NotInstalled> {
        let mut timers: Vec<&mut Rendered> = files.iter_mut().filter(|file| file.name.ends_with(".timer")).collect();
        if timers.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = timers.iter().map(|timer| timer.name.clone()).collect();
        let arguments: Vec<&str> = ["is-active"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let said = self.called(&arguments)?;
        // A word a timer (systemctl(1)); its exit code says whether any is active.
        let states: Vec<&str> = str::from_utf8(&said.stdout).unwrap_or_default().lines().map(str::trim).collect();
        if states.len() == timers.len() {
            for (timer, state) in timers.iter_mut().zip(states).filter(|(_, state)| !matches!(*state, "active" | "activating")) {
                timer.bytes.extend_from_slice(format!("# {state}: systemd starts nothing by this timer\n").as_bytes());
            }
        }
        Ok(())
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<(), NotInstalled> {
        let called = self.called(arguments)?;
        if called.exit.is_done() {
            return Ok(());
        }
        let message = format!("changing {}: systemctl {} failed with {}", self.place(), arguments.join(" "), words(&called));
        Err(NotInstalled::new("refused", message, "see what systemd says: journalctl -e, then try again"))
    }

    fn called(&self, arguments: &[&str]) -> Result<crate::process::Captured, NotInstalled> {
        let scope: &[&str] = if self.scope == Scope::User { &["--user", "--no-ask-password"] } else { &["--no-ask-password"] };
        call("systemctl", &[scope, arguments].concat(), b"")
    }

    /// In containers and after `su` there is a systemctl, and no systemd behind it: to be known before anything is written.
    fn check_reachable(&self) -> Result<(), NotInstalled> {
        let called = self.called(&["show", "--property=Version"])?;
        if called.exit.is_done() {
            return Ok(());
        }
        let message = format!("{} can't be reached: systemctl failed with {}; nothing was written", self.place(), words(&called));
        let hint = match self.scope {
            Scope::User => "log in as this user itself (not by su or sudo), add --system as root, or add --scheduler crontab",
            Scope::System => "where no systemd runs (as in most containers): add --scheduler crontab",
        };
        Err(NotInstalled::new("no_scheduler", message, hint))
    }

    /// A file of the same name that isn't ours is never written over.
    fn check_free(&self, files: &[&Rendered]) -> Result<(), NotInstalled> {
        for file in files {
            let path = self.folder.join(&file.name);
            let is_strange = match std::fs::read(&path) {
                Ok(bytes) => !is_ours(&file.name, &bytes),
                Err(error) => error.kind() != std::io::ErrorKind::NotFound,
            };
            if is_strange {
                let message = format!("{} is there and is not of this workspace; nothing was written", path.display());
                return Err(NotInstalled::new("not_ours", message, "move it away, or rename the job"));
            }
        }
        Ok(())
    }

    fn write(&self, file: &Rendered) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut fresh = tempfile::Builder::new().prefix(".etlsched-").tempfile_in(&self.folder)?;
        std::io::Write::write_all(&mut fresh, &file.bytes)?;
        #[cfg(unix)]
        fresh.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        fresh.as_file().sync_all()?;
        fresh.persist(self.folder.join(&file.name)).map_err(|error| error.error)?;
        Ok(())
    }

    fn io(&self, what: &str, name: &str, error: &std::io::Error) -> NotInstalled {
        let message = format!("{what} {}: {error}", self.folder.join(name).display());
        let hint = if self.scope == Scope::System { "run it as root" } else { "see that this user may write there" };
        NotInstalled::new("io", message, hint)
    }
}

/// Whether a file begins as ours do: with its own name and who made it.
fn is_ours(name: &str, bytes: &[u8]) -> bool {
    bytes.starts_with(format!("# {name}: made by etlsched ").as_bytes())
}
