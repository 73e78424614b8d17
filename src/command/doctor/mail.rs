//! Telling people: the mail server lets us in, hosts of webhooks and health checks have addresses. No message is sent.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::time::Duration;

use super::scene::Scene;
use super::scheduler::store_of;
use super::tell::Tell;
use crate::command::hooks;
use crate::job::{JobId, Secrets};
use crate::notify::{SendError, email};
use crate::plan::kinds::without_login;
use crate::secret::Secret;
use crate::state::OutboxWaiting;
use crate::text::count;

/// How long a name may be looked up: the system's resolver has limits of its own, of which this is longer than the usual one.
const LOOKUP: Duration = Duration::from_secs(30);

/// Returns how long it may take at most.
pub fn limit(scene: &Scene) -> Duration {
    scene.timeout * 2 + LOOKUP + Duration::from_secs(20)
}

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    server(scene, tell);
    hosts(scene, tell);
    waiting(scene, tell);
}

/// What is in the outbox and could not be sent yet.
fn waiting(scene: &Scene, tell: &Tell) {
    let Some(mut store) = store_of(scene) else { return };
    let remedy = "see why above; runs try again by themselves for 72 hours";
    match store.outbox_waiting(scene.now) {
        Ok(OutboxWaiting { count: 0, given_up: 0, .. }) => tell.ok("outbox", "nothing waits in it"),
        Ok(OutboxWaiting { count: waiting, oldest_at, due_at, last_error, given_up }) => {
            let mut found = format!("{} waiting", count(waiting, "message"));
            if let Some(at) = oldest_at {
                found.push_str(&format!(", the oldest since {}", at.format("%Y-%m-%dT%H:%M:%SZ")));
            }
            if let Some(at) = due_at.filter(|at| *at > scene.now) {
                found.push_str(&format!(", tried again from {}", at.format("%Y-%m-%dT%H:%M:%SZ")));
            }
            if given_up > 0 {
                found.push_str(&format!("; {given_up} given up in the last seven days"));
            }
            match last_error {
                Some(error) => tell.warn("outbox", format!("{found}; the last try: {error}"), remedy),
                None if given_up > 0 => tell.warn("outbox", found, remedy),
                None if due_at.is_some_and(|at| at > scene.now) => tell.ok("outbox", found),
                None => tell.ok("outbox", format!("{found}; the next run sends them")),
            }
        }
        Err(error) => tell.fail("outbox", error.to_string(), error.hint().unwrap_or_default()),
    }
}

fn server(scene: &Scene, tell: &Tell) {
    let wanted = scene.jobs.iter().filter(|loaded| !loaded.job.notifications.emails.is_empty()).count() as u64;
    let remedy = "add smtp: {url: smtps://USER:PASSWORD@HOST, from: ADDRESS} to etlsched.yaml";
    if scene.there().settings().tree.get("smtp").is_none_or(|node| node.is_null()) {
        return match wanted {
            0 => tell.skipped("server", "no job sends mails, and etlsched.yaml names no mail server"),
            _ => tell.fail("server", format!("{} to send mails, and etlsched.yaml names no mail server", count(wanted, "job")), remedy),
        };
    }
    if scene.is_offline {
        return tell.skipped("server", "not reached (--offline)");
    }
    let remedy = "see smtp in etlsched.yaml; to send a mail: etlsched notify test JOB";
    match scene.there().smtp() {
        Ok(None) => {}
        Err(why) => tell.fail("server", why, remedy),
        Ok(Some(settings)) => match email::probe(&settings, scene.timeout) {
            Ok(found) => tell.ok("server", format!("{found}; no mail was sent")),
            Err(SendError::Temporary { message, .. } | SendError::Permanent { message }) => tell.fail("server", message, remedy),
        },
    }
}

/// Looks the hosts of webhooks and health checks up. Asking them would post a message.
fn hosts(scene: &Scene, tell: &Tell) {
    let has_urls = |loaded: &&crate::job::Loaded| {
        let notifications = &loaded.job.notifications;
        !notifications.webhooks.is_empty() || notifications.healthcheck_url.is_some()
    };
    let jobs: Vec<&JobId> = scene.jobs.iter().filter(has_urls).map(|loaded| &loaded.job.id).collect();
    if jobs.is_empty() {
        return;
    }
    if scene.is_offline {
        return tell.skipped("hooks", "not looked up (--offline)");
    }
    let mut found: BTreeMap<String, (JobId, Secret)> = BTreeMap::new();
    for id in jobs {
        // URLs are secrets that a job fetches.
        let Ok(loaded) = scene.there().load(id, Secrets::Fetched) else { continue };
        let notifications = &loaded.job.notifications;
        for why in &notifications.unresolved {
            tell.warn("hooks", format!("job {id}: {why}"), "set it in .env, or under crontab_environment in etlsched.yaml");
        }
        let urls = notifications.webhooks.iter().chain(&notifications.healthcheck_url);
        for (authority, url) in urls.filter_map(|url| Some((authority(url)?, url))) {
            found.entry(authority).or_insert_with(|| (id.clone(), url.clone()));
        }
    }
    for (authority, (id, url)) in found {
        if let Some(why) = hooks::refusal(&url) {
            let found = format!("{why}: nothing is sent there, and job {id} tells of its runs there");
            tell.fail(&authority, found, "name another address under webhooks or healthcheck_url");
            continue;
        }
        match authority.to_socket_addrs().map(|mut addresses| addresses.next()) {
            Ok(Some(_)) => tell.ok(&authority, "its name has an address; nothing was sent to it"),
            Ok(None) => tell.fail(
                &authority,
                format!("its name has no address; job {id} tells of its runs there"),
                "see webhooks and healthcheck_url",
            ),
            Err(error) => {
                let found = format!("its name can't be looked up: {error}; job {id} tells of its runs there");
                tell.fail(&authority, found, "see that this host resolves names: getent hosts NAME");
            }
        }
    }
}

/// Returns host and port of a URL: its path is the secret.
fn authority(url: &Secret) -> Option<String> {
    let url = without_login(url.expose());
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    Some(if has_port { authority.to_owned() } else { format!("{authority}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_host_and_port_are_shown() {
        let of = |url: &str| authority(&Secret::new(url));
        assert_eq!(of("https://hooks.example.com/services/SECRET").as_deref(), Some("hooks.example.com:443"));
        assert_eq!(of("http://user:pass@h:8080/x?y").as_deref(), Some("h:8080"));
        assert_eq!(of("http://[::1]/x").as_deref(), Some("[::1]:80"));
        assert_eq!(of(""), None);
    }
}
