//! `etlsched notify`: what people would be told.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Context, stored, worker};
use crate::clock;
use crate::engine::{self, Owner};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Job, Notifications, Secrets};
use crate::notify::healthcheck::{self, Signal};
use crate::notify::sample::{Setting, sample};
use crate::notify::{self, Channel, Delivery, JobFacts, Kind, Message, Notifier, SendError};
use crate::output::notify::{Outcome, Told};
use crate::output::{self, Format, notify as view};
use crate::process;
use crate::schedule::Schedule;
use crate::secret::Secret;
use crate::workspace::{Workspace, files};

/// How long one message may take to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// How many slots the sample of missed runs shows.
const SLOTS_SHOWN: usize = 3;

/// Send people a sample of what they would be told
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched notify test sales\n  etlsched notify test sales --kind failure --dry-run\n  etlsched notify test sales --html failure.html"
)]
pub struct Notify {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with notifications.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Send a sample of each notification of a job to each of its recipients
    ///
    /// A sample says that it is a test, in its subject too. The one of invalid (a job file with errors) goes to the people under defaults in
    /// etlsched.yaml, as a real one does. Exit 0 if all went, 1 otherwise.
    Test(Test),
}

/// Samples of a job's notifications.
#[derive(Debug, Args)]
pub struct Test {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Only these (default: all that the job tells people of)
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    pub kind: Vec<Kind>,
    /// Print subjects and texts, send nothing
    #[arg(long, visible_alias = "print")]
    pub dry_run: bool,
    /// Write a mail's HTML to this file, send nothing; of several kinds the first
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Ping the job's healthcheck_url too: whoever watches it takes that for a good run
    #[arg(long, conflicts_with_all = ["dry_run", "html"])]
    pub healthcheck: bool,
}

fn kind(word: &str) -> Result<Kind, String> {
    let words = || Kind::ALL.map(Kind::as_str);
    Kind::parse(word).ok_or_else(|| match crate::text::nearest(word, words()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the kinds are {}", words().join(", ")),
    })
}

impl Notify {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Action::Test(test) = self.action;
        test.run(context)
    }
}

impl Test {
    fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, kind, dry_run, html, healthcheck } = self;
        let workspace = context.workspace()?;
        let by = stored::actor();
        let known = stored::job(&workspace, &job)?;
        if let Some(mut store) = stored::open_existing(&workspace)?
            && let Some(record) = store.job(known.id.as_str())?
        {
            stored::check_permitted(&workspace, &record, &by)?;
        }
        let (workspace, job) = worker::job(&workspace, known.id.as_str())?;
        // Of a file with errors the people of the defaults are told: nobody can read the job's own.
        let defaults = workspace.default_notifications(Secrets::Fetched);
        let is_told = |kind: &Kind| match kind {
            Kind::Invalid => defaults.tells(Kind::Invalid) && has_people(&defaults),
            kind => job.notifications.tells(*kind),
        };
        let kinds: Vec<Kind> = if kind.is_empty() { Kind::ALL.into_iter().filter(is_told).collect() } else { kind };
        let now = clock::now();
        let setting = setting(&workspace, &job, context, now);
        let messages: Vec<Message> = kinds.iter().map(|kind| sample(*kind, &setting)).collect();
        if let Some(file) = html {
            return write_html(context, &file, messages.first());
        }
        if dry_run {
            view::print_messages(&messages, context.output);
            return Ok(exit_code::DONE);
        }
        check_recipients(&job, &defaults, &kinds)?;
        let mut store = stored::open(&workspace)?;
        store.note(&by, "notify test", job.id.as_str(), None, now)?;
        let teller = Tester { workspace: &workspace, workspace_id: store.workspace_id()?, is_pinged: healthcheck };
        let (of_files, of_job): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(|message| message.kind == Kind::Invalid);
        let mut outcomes = Vec::new();
        if !of_job.is_empty() {
            outcomes.extend(teller.tell(&job.notifications, Owner::Job(job.id.as_str()), &of_job));
        }
        if !of_files.is_empty() {
            let defaults = Notifications { healthcheck_url: None, ..defaults };
            outcomes.extend(teller.tell(&defaults, Owner::Defaults, &of_files));
        }
        let is_all_sent = outcomes.iter().all(|outcome| matches!(outcome.told, Told::Sent | Told::LeftOut));
        view::print_outcomes(&outcomes, context.output);
        Ok(if is_all_sent { exit_code::DONE } else { exit_code::FAILED })
    }
}

/// What of the samples is true.
fn setting(workspace: &Workspace, job: &Job, context: &Context, at: DateTime<Utc>) -> Setting {
    let mask = |text: &str| workspace.masker.mask(text);
    let now = context.slot_clock().now();
    let latest = |before: DateTime<Utc>| job.schedule.latest(job.timezone, before).map(|slot| slot.at);
    let newest_first: Vec<DateTime<Utc>> =
        std::iter::successors(latest(now), |slot| latest(*slot - TimeDelta::seconds(1))).take(SLOTS_SHOWN).collect();
    let daily = job.lateness.deadline.map(Schedule::Daily);
    let deadline_of = |slot: &DateTime<Utc>| Some((*slot, daily.as_ref()?.next(job.timezone, *slot, 1).first()?.at));
    let schedule = job.schedule.describe();
    Setting {
        job: JobFacts {
            id: job.id.as_str().to_owned(),
            name: mask(&job.name),
            schedule: if job.schedule == Schedule::Manual { schedule } else { format!("{schedule} ({})", job.timezone.name()) },
            next_run: job.schedule.next(job.timezone, now, 1).first().map(|slot| slot.at),
        },
        workspace: workspace.root.display().to_string(),
        host: process::host_name(),
        timezone: job.timezone.name().to_owned(),
        timezone_of_files: workspace.timezone.name().to_owned(),
        deadline: newest_first.iter().filter_map(deadline_of).find(|(_, at)| *at <= now),
        slots: newest_first.into_iter().rev().collect(),
        sources: job.sources.iter().map(|source| mask(&source.name)).collect(),
        failure_threshold: job.failure_threshold,
        at,
    }
}

/// Demands that there is somebody to tell and something to tell of.
fn check_recipients(job: &Job, defaults: &Notifications, kinds: &[Kind]) -> Result<(), Failure> {
    if kinds.contains(&Kind::Invalid) && !has_people(defaults) && defaults.unresolved.is_empty() {
        let message = "nobody is told of files with errors (invalid): etlsched.yaml names nobody under defaults";
        let hint = "add notification_emails or webhooks to defaults in etlsched.yaml";
        return Err(Failure::new(exit_code::FAILED, "no_recipients", message).hint(hint));
    }
    if kinds == [Kind::Invalid] {
        return Ok(());
    }
    let told = &job.notifications;
    if told.emails.is_empty() && told.webhooks.is_empty() && told.healthcheck_url.is_none() && told.unresolved.is_empty() {
        let message = format!("job {}: nobody is told of anything", job.id);
        let hint = "add notification_emails or webhooks to the job, or to defaults in etlsched.yaml";
        return Err(Failure::new(exit_code::FAILED, "no_recipients", message).hint(hint));
    }
    if kinds.is_empty() {
        let message = format!("job {}: people are told of nothing", job.id);
        return Err(Failure::new(exit_code::FAILED, "no_recipients", message).hint("remove notify_on_failure: false and notify_on: []"));
    }
    Ok(())
}

fn has_people(told: &Notifications) -> bool {
    !told.emails.is_empty() || told.webhooks.iter().any(|url| !url.expose().is_empty())
}

/// Sends samples.
struct Tester<'a> {
    workspace: &'a Workspace,
    workspace_id: String,
    /// Whether healthchecks are pinged.
    is_pinged: bool,
}

impl Tester<'_> {
    /// Sends every message to every recipient. A recipient that can't be reached is tried once.
    fn tell(&self, told: &Notifications, owner: Owner<'_>, messages: &[&Message]) -> Vec<Outcome> {
        let workspace = self.workspace;
        let mut outcomes = Vec::new();
        if !told.emails.is_empty() {
            let mailer = match workspace.smtp() {
                Ok(smtp) => notify::open(Channel::Email, smtp.as_ref()),
                Err(why) => Err(SendError::temporary(why)),
            };
            for address in &told.emails {
                outcomes.extend(self.tell_one(Channel::Email, (address, address), mailer.as_deref(), messages));
            }
        }
        let webhooks = notify::open(Channel::Webhook, None);
        // Named as in the log, which holds no URL.
        let name = |url: &Secret, place: usize| engine::known_as(&self.workspace_id, owner, url, place);
        for (place, url) in told.webhooks.iter().enumerate().filter(|(_, url)| !url.expose().is_empty()) {
            outcomes.extend(self.tell_one(Channel::Webhook, (url.expose(), &name(url, place)), webhooks.as_deref(), messages));
        }
        if let Some(url) = told.healthcheck_url.as_ref().filter(|url| !url.expose().is_empty()) {
            let ping = || healthcheck::ping(url.expose(), Signal::Success, "a test by etlsched notify test", SEND_TIMEOUT);
            let told = match self.is_pinged.then(ping) {
                None => Told::LeftOut,
                Some(Ok(())) => Told::Sent,
                Some(Err(error)) => failed(workspace, error),
            };
            outcomes.push(Outcome { channel: Channel::Healthcheck, recipient: name(url, 0), kind: None, told });
        }
        outcomes.extend(told.unresolved.iter().map(|why| {
            let (key, why) = why.split_once(": ").unwrap_or(("", why));
            Outcome { channel: Channel::Webhook, recipient: key.to_owned(), kind: None, told: failed(workspace, SendError::temporary(why)) }
        }));
        outcomes
    }

    fn tell_one(
        &self,
        channel: Channel,
        (recipient, shown): (&str, &str),
        notifier: Result<&dyn Notifier, &SendError>,
        messages: &[&Message],
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(messages.len());
        let mut last: Option<SendError> = None;
        for message in messages {
            let id = Uuid::now_v7().to_string();
            let delivery = Delivery { id: &id, recipient, message, timeout: SEND_TIMEOUT };
            let result = match (&last, notifier) {
                (Some(error), _) => Err(error.clone()),
                (None, Ok(notifier)) => notifier.send(&delivery),
                (None, Err(error)) => Err(error.clone()),
            };
            let told = match result {
                Ok(()) => Told::Sent,
                Err(error) => {
                    last = Some(error.clone());
                    failed(self.workspace, error)
                }
            };
            outcomes.push(Outcome { channel, recipient: self.workspace.masker.mask(shown), kind: Some(message.kind), told });
        }
        outcomes
    }
}

fn failed(workspace: &Workspace, error: SendError) -> Told {
    let is_temporary = error.is_temporary();
    let text = workspace.masker.mask(error.message());
    let (message, hint) = text.split_once("; ").map_or((text.as_str(), None), |(message, hint)| (message, Some(hint.to_owned())));
    Told::Failed { message: message.to_owned(), hint, is_temporary }
}

fn write_html(context: &Context, file: &std::path::Path, message: Option<&Message>) -> Result<u8, Failure> {
    let Some(message) = message else {
        return Err(Failure::usage("there is nothing to write: the job tells people of nothing").hint("name a kind: --kind failure"));
    };
    files::replace(file, notify::render(message).html.as_bytes(), 0o644).map_err(|error| {
        Failure::new(exit_code::FAILED, "io", format!("writing {}: {error}", file.display()))
            .hint("name a file in a folder that you may write")
    })?;
    if context.output == Format::Table && !context.quiet {
        output::note(&format!("wrote the mail of {} to {}", message.kind.as_str(), file.display()));
    }
    Ok(exit_code::DONE)
}
