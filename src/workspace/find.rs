//! Finding the workspace: from the folder where the user stands, or the one that is named.

use std::path::{Path, PathBuf};

use super::{FILE, NoWorkspace, Workspace, plain, unset_problem};
use crate::job::report::Text;
use crate::job::{Environment, Problem, Settings};

/// How the text of etlsched.yaml becomes settings.
pub(super) type LoadSettings = fn(PathBuf, Text, Environment) -> Result<(Settings, Vec<Problem>), Vec<Problem>>;

impl Workspace {
    /// Finds and reads the workspace: the folder that `project` names, else the nearest from `here` upwards that has an
    /// etlsched.yaml, else the nearest with a jobs/ folder.
    ///
    /// # Errors
    /// There is none, or its files have problems.
    pub fn find(here: &Path, project: Option<&Path>, environment: Environment) -> Result<Self, NoWorkspace> {
        let mut workspace = Self::find_for_export(here, project, environment)?;
        if let Some(problem) = unset_problem(&workspace.settings) {
            workspace.warnings.push(*problem);
            return Err(NoWorkspace::Invalid(workspace.warnings));
        }
        Ok(workspace)
    }

    /// As [`Workspace::find`], but the variables of a shared store need no values here: entries are made for other hosts.
    ///
    /// # Errors
    /// As for [`Workspace::find`].
    pub fn find_for_export(here: &Path, project: Option<&Path>, environment: Environment) -> Result<Self, NoWorkspace> {
        Self::open(Self::root(here, project)?, here, environment, Settings::load).map_err(NoWorkspace::Invalid)
    }

    /// Returns the folder of the workspace.
    fn root(here: &Path, project: Option<&Path>) -> Result<PathBuf, NoWorkspace> {
        let root = match project {
            Some(project) => Some(here.join(project)).filter(|root| root.join(FILE).is_file() || root.join("jobs").is_dir()),
            None => here
                .ancestors()
                .find(|folder| folder.join(FILE).is_file())
                .or_else(|| here.ancestors().find(|folder| folder.join("jobs").is_dir()))
                .map(Path::to_owned),
        };
        let start = project.map_or_else(|| here.to_owned(), |project| here.join(project));
        let root = root.ok_or(NoWorkspace::NotFound(start))?;
        // The real path: two names of one folder are one workspace.
        Ok(plain(root.canonicalize().unwrap_or(root)))
    }

    /// Returns the workspace of an etlsched.yaml that has errors, as far as it says by what and whom people are told of them. No job is ever
    /// loaded by it. `None` where it doesn't say so much, or has no errors.
    pub fn find_to_tell(here: &Path, project: Option<&Path>, environment: Environment) -> Option<Self> {
        let root = Self::root(here, project).ok()?;
        let workspace = Self { is_in_part: true, ..Self::open(root, here, environment, Settings::good_parts_of).ok()? };
        unset_problem(&workspace.settings).is_none().then_some(workspace)
    }
}
