//! Who is told by this workspace, how they are reached, and what nobody is told.

use super::{Workspace, files, secrets};
use crate::job::notifications::{self, Addresses};
use crate::job::positions::Origin;
use crate::job::{Job, JobId, Notifications, Secrets, variables};
use crate::notify::SmtpSettings;
use crate::secret::{Masker, Secret};

impl Workspace {
    /// Returns the mail server, its secrets fetched now; `None` where etlsched.yaml names none.
    ///
    /// # Errors
    /// A variable without a value, or a secret that can't be fetched: a lower-case fragment.
    pub fn smtp(&self) -> Result<Option<SmtpSettings>, String> {
        notifications::smtp(&self.settings)
    }

    /// Returns who is told of what where a job's own file can't say so: what `defaults` in etlsched.yaml say.
    pub fn default_notifications(&self, secrets: Secrets) -> Notifications {
        notifications::of_defaults(&self.settings, secrets)
    }

    /// Fetches the webhooks of a job, and nothing else of it; `None` where its file can't be used.
    pub fn webhooks(&self, id: &JobId, addresses: &mut Addresses) -> Option<Vec<Secret>> {
        let loaded = self.load(id, Secrets::Left).ok()?;
        Some(addresses.webhooks(&loaded.tree, &self.settings))
    }

    /// Returns a masker that knows a job's secrets too.
    pub fn masker_for(&self, job: &Job) -> Masker {
        let mut values = secrets(&self.settings, &self.settings.variables());
        values.extend(secrets(&self.settings, &job.variables));
        values.extend(job.hash_key.as_ref().map(|key| key.expose().to_owned()));
        values.extend(urls(&job.notifications));
        Masker::new(values)
    }

    /// As [`Workspace::masker_for`], for a job whose file may have problems: its text alone is looked at, as far as there is one.
    pub fn masker_of(&self, id: &JobId) -> Masker {
        let mut values = secrets(&self.settings, &self.settings.variables());
        let path = self.job_file(id);
        if let Some(text) = self.files.read(&path, &self.shown(&path), Origin::Job, files::Kind::Job, &mut Vec::new()) {
            values.extend(variables::values_in(&text.text, &self.settings.environment).into_iter().map(str::to_owned));
        }
        Masker::new(values)
    }

    /// As [`Workspace::masker_for`], for addresses that were fetched.
    pub fn masker_with(&self, notifications: &Notifications) -> Masker {
        let mut values = secrets(&self.settings, &self.settings.variables());
        values.extend(urls(notifications));
        Masker::new(values)
    }
}

/// Returns the addresses that nobody may print.
fn urls(notifications: &Notifications) -> impl Iterator<Item = String> + '_ {
    notifications.webhooks.iter().chain(&notifications.healthcheck_url).map(|url| url.expose().to_owned())
}
