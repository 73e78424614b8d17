//! Who is told of what, and by which mail server: what the files say, checked. Sends nothing.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::notify::{Kind, SmtpSettings, SmtpTls};
use crate::secret::Secret;
use crate::text::is_http;

use super::defaults;
use super::keys;
use super::load::Secrets;
use super::positions::{Node, Origin, Scalar, Value};
use super::report::{Report, Text};
use super::settings::{Settings, boolean, filled, int, text, texts};
use super::spec::{Notifications, Repeat};
use super::variables;

/// The keys of a job that say where people are reached. A run goes on where one of them can't be known.
pub const KEYS: &[&str] = &["notification_emails", "webhooks", "healthcheck_url"];

const SMTP_HINT: &str = "add smtp: {url: smtps://USER:PASSWORD@HOST, from: ADDRESS} to etlsched.yaml";

/// Checks `smtp` as a whole, as far as it is known without fetching secrets.
pub fn check_smtp(tree: &Node, root: &Path, report: &mut Report<'_>) {
    let Some(entry) = tree.entry("smtp").filter(|entry| matches!(entry.node.value, Value::Map(_))) else { return };
    let node = &entry.node;
    for (key, example) in [("url", "smtps://USER:PASSWORD@HOST"), ("from", "etlsched <etl@example.com>")] {
        if node.get(key).is_none_or(Node::is_null) {
            report.error(entry.place, format!("smtp has no {key}"), format!("add {key}: {example}"));
        }
    }
    let Some(url) = node.get("url").filter(|url| is_known(url)) else { return };
    // The sender is looked at where it stands.
    let from = "etl@example.com".to_owned();
    let password = node.get("password").map(|_| Secret::default());
    let settings = SmtpSettings { from, ..settings_of(node, root, Secret::new(scalar_text(url)), password) };
    match settings.server() {
        Err(wrong) => report.error(url.place, format!("smtp.url: {}", wrong.message), wrong.hint.map(str::to_owned)),
        Ok(server) if server.is_login_in_clear() => {
            let message = "smtp: user and password cross the network in clear text";
            report.warning(url.place, message, "write smtps://, or leave tls: none out".to_owned());
        }
        Ok(_) => {}
    }
    if let (Some(file), Some(path)) = (node.get("ca_file"), &settings.ca_file)
        && is_known(file)
        && !path.is_file()
    {
        report.error(
            file.place,
            "smtp.ca_file: there is no such file",
            "give the path of a PEM file, relative to etlsched.yaml".to_owned(),
        );
    }
}

/// Returns the mail server, its secrets fetched; `None` where etlsched.yaml names none.
///
/// # Errors
/// A variable without a value, or a secret that can't be fetched.
pub fn smtp(settings: &Settings) -> Result<Option<SmtpSettings>, String> {
    let Some(node) = settings.tree.get("smtp").filter(|node| node.get("url").is_some()) else { return Ok(None) };
    if let Some(name) = missing(node) {
        return Err(format!("smtp: the variable {name} is not set"));
    }
    let secret = |key: &str| {
        let found = node.get(key).filter(|found| !found.is_null());
        found.map(|found| variables::secret(found, &settings.root).map_err(|why| format!("smtp.{key}: {why}"))).transpose()
    };
    let Some(url) = secret("url")? else { return Ok(None) };
    Ok(Some(settings_of(node, &settings.root, url, secret("password")?)))
}

/// Returns what etlsched.yaml says of the mail server and of `defaults` and nobody may print, as far as it stands there literally.
pub fn literal_secrets(tree: &Node) -> Vec<String> {
    let mut values = Vec::new();
    let nowhere = Node::map(Origin::BuiltIn);
    let smtp = tree.get("smtp").unwrap_or(&nowhere);
    if let Some(url) = smtp.get("url").filter(|url| is_known(url)) {
        let login = settings_of(smtp, Path::new(""), Secret::new(scalar_text(url)), None).login_in_url();
        values.extend(login.into_iter().map(|password| password.expose().to_owned()));
        values.push(scalar_text(url).to_owned());
    }
    let defaults = tree.get("defaults").unwrap_or(&nowhere);
    values.extend(items(defaults, "webhooks").iter().chain(defaults.get("healthcheck_url")).map(|node| scalar_text(node).to_owned()));
    values
}

fn settings_of(node: &Node, root: &Path, url: Secret, password: Option<Secret>) -> SmtpSettings {
    let seconds = int(node, "timeout_seconds").and_then(|seconds| u64::try_from(seconds).ok());
    SmtpSettings {
        url,
        from: text(node, "from").unwrap_or_default().to_owned(),
        username: text(node, "username").map(str::to_owned),
        password,
        tls: match text(node, "tls") {
            Some("required") => Some(SmtpTls::Required),
            Some("none") => Some(SmtpTls::None),
            _ => None,
        },
        ca_file: text(node, "ca_file").map(|file| root.join(file)),
        timeout: Duration::from_secs(seconds.unwrap_or(defaults::SMTP_TIMEOUT_SECONDS as u64)),
    }
}

/// Returns who is told of what, and reports what stands in the way.
pub fn of_job(tree: &Node, settings: &Settings, secrets: Secrets, report: &mut Report<'_>) -> Notifications {
    let mut unresolved = Vec::new();
    let mut emails: Vec<String> = Vec::new();
    for node in items(tree, "notification_emails") {
        match missing(node) {
            Some(name) => unresolved.push(format!("notification_emails: the variable {name} is not set")),
            None if emails.iter().any(|known| known.eq_ignore_ascii_case(scalar_text(node))) => {}
            None => emails.push(scalar_text(node).to_owned()),
        }
    }
    if let Some(first) = items(tree, "notification_emails").first()
        && settings.tree.get("smtp").is_none_or(Node::is_null)
    {
        report.warning(first.place, "notification_emails: there is no mail server to send by", SMTP_HINT.to_owned());
    }
    let mut url = |key: &str, node: &Node, report: &mut Report<'_>| match fetched(node, settings, secrets) {
        Ok(url) if url.expose().is_empty() || is_http(url.expose()) => url,
        Ok(_) => {
            report.error(node.place, format!("{key}: expected an http or https URL"), None);
            Secret::default()
        }
        Err(why) => {
            let message = format!("{key}: {why}");
            if secrets == Secrets::Fetched {
                report.warning(node.place, message.clone(), "until then nobody is told there".to_owned());
            }
            unresolved.push(message);
            Secret::default()
        }
    };
    let webhooks = items(tree, "webhooks").iter().map(|node| url("webhooks", node, report)).collect();
    let healthcheck_url = tree.get("healthcheck_url").filter(|node| !node.is_null()).map(|node| url("healthcheck_url", node, report));
    Notifications {
        emails,
        webhooks,
        healthcheck_url,
        on_failure: boolean(tree, "notify_on_failure").unwrap_or(defaults::NOTIFY_ON_FAILURE),
        on_success: boolean(tree, "notify_on_success").unwrap_or(defaults::NOTIFY_ON_SUCCESS),
        on: texts(tree, "notify_on").unwrap_or_default().iter().filter_map(|word| Kind::parse(word)).collect(),
        repeat: match text(tree, "notify_repeat") {
            Some("all") => Repeat::All,
            Some("daily") => Repeat::Daily,
            _ => Repeat::First,
        },
        unresolved,
    }
}

/// Returns who is told of what by `defaults` alone, which were checked when etlsched.yaml was read.
pub fn of_defaults(settings: &Settings, secrets: Secrets) -> Notifications {
    let nothing = Text::default();
    let mut report = Report::new(&nothing, &settings.text);
    let base = settings.tree.get("defaults").cloned().unwrap_or_else(|| Node::map(Origin::Workspace));
    of_job(&filled(base, &keys::JOB, |key| key.starts_with("notify_")), settings, secrets, &mut report)
}

/// Fetches addresses that are secrets, each once however many jobs name it: that starts commands.
#[derive(Debug, Default)]
pub struct Addresses {
    fetched: HashMap<String, Result<Secret, String>>,
}

/// Where people are reached now.
#[derive(Debug, Default)]
pub struct Reached {
    /// In the file's order; an empty one where it can't be known.
    pub urls: Vec<Secret>,
    /// Why some can't be known.
    pub unresolved: Vec<String>,
}

impl Addresses {
    /// Returns the webhooks of a job's tree; an empty one where it can't be fetched.
    pub fn webhooks(&mut self, tree: &Node, settings: &Settings) -> Vec<Secret> {
        self.reach("webhooks", tree, settings).urls
    }

    /// Returns the URLs that stand in a tree under a key.
    pub fn reach(&mut self, key: &str, tree: &Node, settings: &Settings) -> Reached {
        let mut reached = Reached::default();
        for node in items(tree, key) {
            match self.url(node, settings) {
                Ok(url) => reached.urls.push(url),
                Err(why) => {
                    reached.urls.push(Secret::default());
                    reached.unresolved.push(format!("{key}: {why}"));
                }
            }
        }
        reached
    }

    fn url(&mut self, node: &Node, settings: &Settings) -> Result<Secret, String> {
        let fetch = || match fetched(node, settings, Secrets::Fetched)? {
            url if is_http(url.expose()) => Ok(url),
            _ => Err("expected an http or https URL".to_owned()),
        };
        self.fetched.entry(spelled(node)).or_insert_with(fetch).clone()
    }
}

/// Returns a value as its file has it, in one text.
fn spelled(node: &Node) -> String {
    let mut words = Vec::new();
    node.walk(&mut |node| {
        words.extend(node.entries().iter().map(|entry| entry.key.clone()));
        words.extend(node.as_scalar().map(|scalar| scalar.text.clone()));
    });
    words.join("\0")
}

/// Returns the values by which people are reached: who they are, and the mail server where mails are sent.
pub fn needed<'a>(tree: &'a Node, settings: &'a Settings) -> Vec<&'a Node> {
    let smtp = settings.tree.get("smtp").filter(|_| !items(tree, "notification_emails").is_empty());
    KEYS.iter().filter_map(|key| tree.get(key)).chain(smtp).collect()
}

/// Returns a URL; an empty one where nothing is fetched.
fn fetched(node: &Node, settings: &Settings, secrets: Secrets) -> Result<Secret, String> {
    if let Some(name) = missing(node) {
        return Err(format!("the variable {name} is not set"));
    }
    if node.as_scalar().is_none() && secrets == Secrets::Left {
        return Ok(Secret::default());
    }
    variables::secret(node, &settings.root)
}

/// Returns the items of a list; one value stands for a list of one.
fn items<'a>(tree: &'a Node, key: &str) -> &'a [Node] {
    match tree.get(key) {
        None => &[],
        Some(node) if node.is_null() => &[],
        Some(Node { value: Value::List(items), .. }) => items,
        Some(node) => std::slice::from_ref(node),
    }
}

/// Whether a value is a text whose variables have values.
fn is_known(node: &Node) -> bool {
    node.as_scalar().is_some_and(|scalar| !scalar.is_missing())
}

fn scalar_text(node: &Node) -> &str {
    node.as_scalar().map_or("", |scalar: &Scalar| scalar.text.as_str())
}

/// Returns a variable in a value that isn't set.
fn missing(node: &Node) -> Option<String> {
    let mut name = None;
    node.walk(&mut |node| {
        let template = node.as_scalar().and_then(|scalar| scalar.template.as_ref());
        name = name.take().or_else(|| template.and_then(|template| template.missing.first().cloned()));
    });
    name
}
