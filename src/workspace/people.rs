//! Who is told by this workspace, how they are reached, and what nobody is told.

use super::{NoJob, Workspace, files};
use crate::job::notifications::{self, Addresses, Reached};
use crate::job::positions::Origin;
use crate::job::{Job, JobId, Notifications, Secrets, variables};
use crate::notify::{Channel, SmtpSettings};
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

    /// Fetches where a job's people are reached by a channel that has URLs, and nothing else of it; returns a masker too that knows it.
    ///
    /// # Errors
    /// The job's file can't be used.
    pub fn reach(&self, id: &JobId, channel: Channel, addresses: &mut Addresses) -> Result<(Reached, Masker), NoJob> {
        let mut loaded = self.load(id, Secrets::Left)?;
        let key = if channel == Channel::Healthcheck { "healthcheck_url" } else { "webhooks" };
        let reached = addresses.reach(key, &loaded.tree, &self.settings);
        loaded.job.notifications.webhooks.extend(reached.urls.iter().cloned());
        Ok((reached, self.masker_for(&loaded.job)))
    }

    /// Fetches the webhooks of `defaults`.
    pub fn reach_defaults(&self, addresses: &mut Addresses) -> Reached {
        self.settings.tree.get("defaults").map_or_else(Reached::default, |tree| addresses.reach("webhooks", tree, &self.settings))
    }

    /// Returns a masker that knows a job's secrets too.
    pub fn masker_for(&self, job: &Job) -> Masker {
        let mut values = self.secrets.clone();
        let own = job.variables.iter().filter(|name| !self.settings.variables().contains(name));
        values.extend(own.filter_map(|name| self.settings.environment.get(name)).map(str::to_owned));
        values.extend(job.hash_key.as_ref().map(|key| key.expose().to_owned()));
        values.extend(urls(&job.notifications));
        Masker::new(values)
    }

    /// As [`Workspace::masker_for`], for a job whose file may have problems: its text alone is looked at, as far as there is one.
    pub fn masker_of(&self, id: &JobId) -> Masker {
        let mut values = self.secrets.clone();
        let path = self.job_file(id);
        if let Some(text) = self.files.read(&path, &self.shown(&path), Origin::Job, files::Kind::Job, &mut Vec::new()) {
            values.extend(variables::values_in(&text.text, &self.settings.environment).into_iter().map(str::to_owned));
        }
        Masker::new(values)
    }

    /// As [`Workspace::masker_for`], for addresses that were fetched.
    pub fn masker_with(&self, addresses: &[Secret]) -> Masker {
        let mut values = self.secrets.clone();
        values.extend(addresses.iter().map(|url| url.expose().to_owned()));
        Masker::new(values)
    }
}

/// Returns the addresses that nobody may print.
fn urls(notifications: &Notifications) -> impl Iterator<Item = String> + '_ {
    notifications.webhooks.iter().chain(&notifications.healthcheck_url).map(|url| url.expose().to_owned())
}
