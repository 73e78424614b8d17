//! Who is told, and what each is known by in the outbox, where no secret comes.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::job::Notifications;
use crate::notify::{Channel, Message};
use crate::secret::Secret;
use crate::state::NewLetter;

/// Who is told, and by which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipient {
    channel: Channel,
    /// As the outbox has it.
    name: String,
    /// What is the same where two jobs name the same one.
    key: String,
}

impl Recipient {
    /// Returns a letter with a message.
    pub(super) fn letter(&self, message: &Message) -> NewLetter {
        NewLetter {
            channel: self.channel.as_str().to_owned(),
            recipient: self.name.clone(),
            kind: message.kind.as_str().to_owned(),
            body: serde_json::to_string(message).expect("plain data with string keys"),
            is_overtaking: false,
        }
    }
}

/// Whose list of people it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The one of a job.
    Job(&'a str),
    /// The one of `defaults` in etlsched.yaml.
    Defaults,
}

impl Owner<'_> {
    /// Returns what an address is known by that isn't known now: its place in the list.
    pub(super) fn place(self, index: usize) -> String {
        format!("address {}{}", index + 1, self.place_end())
    }

    /// Whether a recipient is known by its place in this list.
    pub(super) fn has_place(self, recipient: &str) -> bool {
        recipient.starts_with("address ") && recipient.ends_with(self.place_end())
    }

    const fn place_end(self) -> &'static str {
        match self {
            Self::Job(_) => " of the job, not known yet",
            Self::Defaults => " of etlsched.yaml, not known yet",
        }
    }
}

/// Returns the people whom a job, or the defaults in the place of one, tells, each once: healthchecks aside.
pub(super) fn recipients(workspace_id: &str, owner: Owner<'_>, told: &Notifications) -> Vec<Recipient> {
    let Notifications { emails, webhooks, .. } = told;
    let mails = emails.iter().map(|address| Recipient { channel: Channel::Email, name: address.clone(), key: address.to_lowercase() });
    let posts = webhooks.iter().enumerate().map(|(index, url)| {
        let name = known_as(workspace_id, owner, url, index);
        // Of an address of a job that isn't known nobody can say whether another job has it too.
        let key = match owner {
            Owner::Job(job) if url.expose().is_empty() => format!("{name} {job}"),
            _ => name.clone(),
        };
        Recipient { channel: Channel::Webhook, name, key }
    });
    let mut seen = HashSet::new();
    mails.chain(posts).filter(|recipient| seen.insert((recipient.channel, recipient.key.clone()))).collect()
}

/// Puts together what each recipient is told, in the order in which they come.
pub(super) fn by_recipient<T: Copy>(items: impl Iterator<Item = (T, Vec<Recipient>)>) -> Vec<(Recipient, Vec<T>)> {
    let mut groups: Vec<(Recipient, Vec<T>)> = Vec::new();
    let mut places: HashMap<(&'static str, String), usize> = HashMap::new();
    for (item, recipients) in items {
        for recipient in recipients {
            let place = *places.entry((recipient.channel.as_str(), recipient.key.clone())).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((_, group)) => group.push(item),
                None => groups.push((recipient, vec![item])),
            }
        }
    }
    groups
}

/// Returns what a URL is known by in the store: its host, for people, and a mark that tells it from others. One that isn't known now is known
/// by its place.
pub fn known_as(workspace_id: &str, owner: Owner<'_>, url: &Secret, index: usize) -> String {
    let url = url.expose();
    if url.is_empty() {
        return owner.place(index);
    }
    let digest = Sha256::digest(format!("{workspace_id}\n{url}").as_bytes());
    let mark: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{} #{mark}", host_of(url))
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_known_by_its_host_and_a_mark_that_tells_nothing() {
        let of = |workspace: &str, url: &str| known_as(workspace, Owner::Job("a"), &Secret::new(url), 1);
        let known = |url: &str| of("w1", url);
        let name = known("https://user:pass@hooks.example.com:8443/services/T0/B0/token?key=hunter22#x");
        assert!(name.starts_with("hooks.example.com:8443 #") && name.len() == "hooks.example.com:8443 #".len() + 12, "{name}");
        assert_ne!(known("https://h.example.com/a"), known("https://h.example.com/b"));
        assert_ne!(of("w2", "https://h.example.com/a"), known("https://h.example.com/a"));
        assert_eq!(known(""), "address 2 of the job, not known yet");
        assert_eq!(known_as("w1", Owner::Defaults, &Secret::default(), 0), "address 1 of etlsched.yaml, not known yet");
    }

    #[test]
    fn an_address_that_is_listed_twice_is_one_recipient_and_one_that_is_not_known_is_its_owner_s() {
        let told = Notifications {
            emails: vec!["ann@example.com".to_owned(), "Ann@Example.com".to_owned()],
            webhooks: ["https://h.example.com/a", "", "https://h.example.com/a", ""].map(Secret::new).to_vec(),
            ..Notifications::default()
        };
        let names = |owner| recipients("w1", owner, &told).into_iter().map(|recipient| recipient.name).collect::<Vec<_>>();
        let hook = known_as("w1", Owner::Defaults, &Secret::new("https://h.example.com/a"), 0);
        let places = |owner: Owner<'_>| vec!["ann@example.com".to_owned(), hook.clone(), owner.place(1), owner.place(3)];
        assert_eq!(names(Owner::Job("a")), places(Owner::Job("a")));
        let groups = |owners: [Owner<'_>; 2]| by_recipient(owners.map(|owner| ((), recipients("w1", owner, &told))).into_iter()).len();
        assert_eq!(groups([Owner::Job("a"), Owner::Job("b")]), 6, "what isn't known is told by each job");
        assert_eq!(groups([Owner::Defaults, Owner::Defaults]), 4);
        assert_eq!(groups([Owner::Defaults, Owner::Job("a")]), 6);
    }
}
