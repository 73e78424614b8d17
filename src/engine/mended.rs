//! Tells that jobs can run again whose files were told to have errors, or that lacked a value: once, to those who are told of such files.

use std::collections::HashSet;

use crate::job::notifications::Addresses;
use crate::job::{Notifications, Secrets};
use crate::notify::{JobFacts, JobTrouble, Kind, Message, Roundup};
use crate::state::{NewLetter, SEVERAL_JOBS, StateError, Store, Told};

use super::broken::{self, Look};
use super::recipient::{self, Owner, Recipient};

/// A job that can run again.
pub(super) struct Mended {
    job: String,
    /// Whether its own people were told, of a value that its runs lacked: its file was good.
    is_by_job: bool,
    recipients: Vec<Recipient>,
}

impl Look<'_> {
    /// Notes which jobs are as they should be again of which something else was told, where anybody wants to know.
    pub(super) fn find_mended(&mut self, known: &[(String, Told)]) {
        let defaults = self.workspace.default_notifications(Secrets::Left);
        let mut jobs: HashSet<&str> = HashSet::new();
        let names = known.iter().map(|(job, _)| job.as_str()).filter(|job| jobs.insert(job) && self.is_mended(job, known));
        let mended = names.map(|job| Mended { job: job.to_owned(), is_by_job: lacked_value(job, known), recipients: Vec::new() });
        let is_wanted = |mended: &Mended| {
            let told = self.told_of(mended, &defaults);
            broken::has_people(told) && told.tells(Kind::Recovery)
        };
        let mended: Vec<Mended> = mended.filter(is_wanted).collect();
        self.mended = mended;
    }

    /// Finds out who is told of each; addresses that are secrets are fetched.
    pub(super) fn address_mended(&mut self, store: &mut Store) -> Result<(), StateError> {
        if self.mended.is_empty() {
            return Ok(());
        }
        let workspace_id = store.workspace_id()?;
        let defaults = self.workspace.default_notifications(Secrets::Fetched);
        let mut addresses = Addresses::default();
        for mut mended in std::mem::take(&mut self.mended) {
            let mut told = self.told_of(&mended, &defaults).clone();
            let own = self.good.get(mended.job.as_str()).filter(|_| mended.is_by_job);
            told.webhooks = own.and_then(|job| self.workspace.webhooks(&job.id, &mut addresses)).unwrap_or(told.webhooks);
            let owner = if mended.is_by_job { Owner::Job(&mended.job) } else { Owner::Defaults };
            mended.recipients = recipient::recipients(&workspace_id, owner, &told);
            self.mended.push(mended);
        }
        Ok(())
    }

    /// Returns a letter for each recipient, by what is remembered as told in this moment.
    pub(super) fn letters_of_mended(&self, known: &[(String, Told)]) -> Vec<(String, NewLetter)> {
        let mended = self.mended.iter().filter(|mended| self.is_mended(&mended.job, known));
        let groups = recipient::by_recipient(mended.map(|mended| (mended, mended.recipients.clone()))).into_iter();
        groups
            .map(|(recipient, group)| match group.as_slice() {
                [mended] => (mended.job.clone(), recipient.letter(&self.own_of_mended(mended))),
                group => (SEVERAL_JOBS.to_owned(), recipient.letter(&self.several_mended(group))),
            })
            .collect()
    }

    /// Whether all that was told of a job is over.
    fn is_mended(&self, job: &str, known: &[(String, Told)]) -> bool {
        let mut own = known.iter().filter(|(of, _)| of == job).peekable();
        own.peek().is_some() && own.all(|(_, told)| self.is_over(job, told))
    }

    fn told_of<'b>(&'b self, mended: &Mended, defaults: &'b Notifications) -> &'b Notifications {
        let own = self.good.get(mended.job.as_str()).filter(|_| mended.is_by_job);
        own.map_or(defaults, |job| &job.notifications)
    }

    fn name(&self, mended: &Mended) -> String {
        let job = self.good.get(mended.job.as_str());
        job.map_or_else(|| mended.job.clone(), |job| self.workspace.masker_for(job).mask(&job.name))
    }

    fn own_of_mended(&self, mended: &Mended) -> Message {
        let facts = JobFacts { id: mended.job.clone(), name: self.name(mended), schedule: String::new(), next_run: None };
        Message { is_by_job: mended.is_by_job, ..self.blank(Kind::Recovery, facts) }
    }

    fn several_mended(&self, group: &[&Mended]) -> Message {
        let trouble = |mended: &&Mended| {
            let (id, name) = (mended.job.clone(), self.name(mended));
            JobTrouble { id, name, slot_count: 0, slots: None, deadline: None, problem: None }
        };
        let jobs: Vec<JobTrouble> = group.iter().map(trouble).collect();
        let facts = JobFacts::of_several(jobs.len());
        let lacking_count = group.iter().filter(|mended| mended.is_by_job).count() as u64;
        let roundup = Roundup { lacking_count, ..Roundup::of(jobs, 0, 0) };
        Message { roundup: Some(roundup), is_by_job: lacking_count > 0, ..self.blank(Kind::Recovery, facts) }
    }
}

/// Whether what was told of a job was that its runs lack a value: only a run finds that they have it.
fn lacked_value(job: &str, known: &[(String, Told)]) -> bool {
    known.iter().any(|(of, told)| of == job && broken::seen(told).0.len() > 2)
}
