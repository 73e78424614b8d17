//! What cron gives to the jobs that it starts, and what its entries say of who made them.

use std::path::{Path, PathBuf};

use super::pam;
use super::scene::Scene;
use super::scheduler::store_of;
use crate::command::schedule::{Choice, Options, Scheduler, Standing, is_in_path};
use crate::process;
use crate::scheduler::install::Target;

/// The environment of a job under cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronEnvironment {
    /// Every variable.
    pub variables: Vec<(String, String)>,
    /// Where jobs begin.
    pub home: PathBuf,
    /// Whether the crontab starts jobs of this workspace.
    pub is_used: bool,
}

impl CronEnvironment {
    /// Finds out what cron gives: what PAM adds where cron asks it (/etc/environment), cron's own four variables (crontab(5)), those that the
    /// user's crontab sets above our block, and `crontab_environment`. The later ones win, as crontab(5) of Debian says it.
    pub fn find(scene: &Scene) -> Self {
        let home = process::home_folder().unwrap_or_else(|| PathBuf::from("/"));
        let own = [
            ("HOME", home.display().to_string()),
            ("LOGNAME", process::user_name()),
            ("SHELL", "/bin/sh".to_owned()),
            ("PATH", "/usr/bin:/bin".to_owned()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let (settings, is_used) = of_crontab(scene);
        let of_workspace = scene.workspace.iter().flat_map(|workspace| workspace.crontab_environment.clone());
        let mut variables = pam::variables(Path::new("/"));
        for (name, value) in own.into_iter().chain(settings).chain(of_workspace) {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value));
        }
        Self { variables, home, is_used }
    }

    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn of_crontab(scene: &Scene) -> (Vec<(String, String)>, bool) {
    let Some(workspace) = scene.workspace.as_ref().filter(|_| is_in_path("crontab")) else { return (Vec::new(), false) };
    let choice = Choice { scheduler: Some(Scheduler::Crontab), system: false };
    let options = Options { choice, host_zone: None, program: None };
    match Standing::find(workspace, &options, store_of(scene).as_mut()) {
        Ok(standing) => {
            let target: &dyn Target = standing.machine.target.as_ref();
            (target.environment(&standing.change.before), !standing.installed.is_empty())
        }
        Err(_) => (Vec::new(), false),
    }
}

/// What entries say of who made them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntriesOf {
    /// The version that made them.
    pub version: Option<String>,
    /// The program that they start.
    pub program: Option<String>,
}

impl EntriesOf {
    /// Reads entries as they stand in a crontab, in unit files or tasks.
    pub fn read(text: &str) -> Self {
        let word = |text: &str| text.split_whitespace().next().map(str::to_owned);
        let made = text.find("ade by etlsched ").and_then(|at| word(&text[at + "ade by etlsched ".len()..]));
        let before = |marker: &str| text.lines().find_map(|line| Some(line.split_once(marker)?.0.to_owned()));
        let program = before(" -C ").and_then(|start| {
            let start = start.trim_end();
            let quoted = start.strip_suffix(['"', '\'']).and_then(|inner| inner.rsplit(['"', '\'']).next());
            let path = quoted.or_else(|| start.rsplit([' ', '\t', '=']).next())?;
            path.starts_with('/').then(|| path.to_owned())
        });
        Self { version: made, program }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, version: Option<&str>, program: Option<&str>) {
        assert_eq!(EntriesOf::read(text), EntriesOf { version: version.map(str::to_owned), program: program.map(str::to_owned) }, "{text}");
    }

    #[test]
    fn entries_say_who_made_them_and_what_they_start() {
        let block =
            "# BEGIN etlsched x\n# Made by etlsched 0.0.9 for /srv/etl\n0 6 * * * /opt/bin/etlsched -C /srv/etl run a --scheduled\n";
        check(block, Some("0.0.9"), Some("/opt/bin/etlsched"));
        check("0 6 * * * '/opt/my bin/etlsched' -C /srv/etl run a", None, Some("/opt/my bin/etlsched"));
        check("# x.service: made by etlsched 1.2 with tzdata\nExecStart=/bin/etlsched -C /w run a\n", Some("1.2"), Some("/bin/etlsched"));
        check("nothing of ours", None, None);
    }
}
