//! Sends what waits in the outbox, of every job, for a limited time. Changes nothing about runs: what can't be sent now is kept for a later
//! run or start of the gate, for three days in all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;
use crate::job::notifications::Addresses;
use crate::notify::healthcheck::{self, Signal};
use crate::notify::{Channel, Delivery, Kind, Message, Notifier, SendError, SmtpSettings};
use crate::process::{self, Stop};
use crate::secret::{MASK, Masker, Secret};
use crate::state::{LETTER_PAUSE_MAX, Letter, Sender, StateError, Store};
use crate::workspace::Workspace;

use super::journal::moment;
use super::place::{Place, Resolved, places, resolve};
use super::recipient::known_as;

/// How long one letter may take: the others must have their turn.
const LETTER_TIMEOUT: Duration = Duration::from_secs(15);

/// With less time than this a letter is not begun.
const LETTER_TIME_MIN: Duration = Duration::from_secs(1);

/// A server that took so long to fail hangs, and is not asked again this time: one that refuses a recipient slowly answers the others.
const SLOW: Duration = Duration::from_secs(10);

/// How often is looked whether the process is to stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// So long a process that was told to stop tells healthchecks how its runs ended: they show the jobs as running until then.
const PARTING: Duration = Duration::from_secs(2);

/// The first pause after a failure that may pass; it doubles.
const PAUSE: TimeDelta = TimeDelta::seconds(30);

/// The longest pause after such a failure.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(1);

/// The pause after a failure that stays, as far as the other side says: whoever mends the address or the account is not to send it anew.
const PAUSE_PERMANENT: TimeDelta = LETTER_PAUSE_MAX;

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The job.
    pub job: String,
    /// By which way.
    pub channel: String,
    /// To whom.
    pub recipient: String,
    /// What it was about.
    pub kind: String,
}

/// So long a letter that isn't taken holds back those behind it. Where a server is away none is taken; one that takes others never takes it.
const HELD_BACK: TimeDelta = TimeDelta::hours(1);

/// What became of the letters that were due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Posted {
    /// What was sent.
    pub sent: Vec<Sent>,
    /// Why letters were not sent, each reason once.
    pub errors: Vec<String>,
    /// How many letters wait now, and are tried again.
    pub waiting: u64,
}

/// Sends the letters that are due, for a limited time.
///
/// # Errors
/// The store can't be read or written; what was sent before is in it.
pub fn send_waiting(workspace: &Workspace, store: &mut Store, time: Duration, stop: &Stop) -> Result<Posted, StateError> {
    let until = Instant::now() + time;
    let mut letters = store.due_letters(clock::now())?;
    if letters.is_empty() {
        return Ok(Posted { waiting: store.outbox_waiting(clock::now())?.count, ..Posted::default() });
    }
    // A mail server that hangs may take all the time that there is.
    letters.sort_by_key(|letter| letter.channel == Channel::Email.as_str());
    let workspace_id = store.workspace_id()?;
    let mut post = Post {
        workspace,
        workspace_id,
        smtp: None,
        notifiers: HashMap::new(),
        stop,
        addresses: Addresses::default(),
        found: HashMap::new(),
        slow: HashSet::new(),
    };
    let mut posted = Posted::default();
    let sender = own_sender();
    let mut passed_over = Vec::new();
    // Those that others wait behind, with when they are tried again, where that is known here; and those others.
    let mut heads: Vec<(Letter, Option<DateTime<Utc>>)> = Vec::new();
    let mut behind: Vec<(String, DateTime<Utc>)> = Vec::new();
    let mut seen = HashSet::new();
    let (mut until, mut is_parting) = (until, false);
    let mut letters = VecDeque::from(letters);
    loop {
        if !is_parting && stop.requested().is_some() {
            is_parting = true;
            until = until.min(Instant::now() + PARTING);
            letters = store.due_pings(clock::now(), &sender)?.into();
        }
        if letters.is_empty() && !is_parting {
            // What came meanwhile may be behind a letter that others found in these hands.
            letters = store.due_letters(clock::now())?.into_iter().filter(|letter| !seen.contains(&letter.id)).collect();
        }
        let Some(letter) = letters.pop_front() else { break };
        seen.insert(letter.id.clone());
        let left = until.saturating_duration_since(Instant::now());
        if left < LETTER_TIME_MIN {
            break;
        }
        if post.slow.contains(&lane(&letter)) {
            passed_over.push(letter.id);
            continue;
        }
        let holds = |head: &Letter| letter.is_beside(head) && clock::now() - head.created_at < HELD_BACK;
        if let Some((_, due_at)) = heads.iter().find(|(head, _)| holds(head)) {
            behind.extend(due_at.map(|due_at| (letter.id, due_at)));
            continue;
        }
        if !store.take_letter(&letter, &sender, &moment(), &process::liveness)? {
            // Whoever sends it now finds what is behind it.
            if store.is_letter_waiting(&letter.id)? {
                heads.push((letter, None));
            }
            continue;
        }
        let began = Instant::now();
        // One that nobody came to try in all the time has its try.
        let is_over = clock::now() >= letter.expires_at && letter.attempt > 0;
        let outcome = if is_over {
            Outcome::Expired
        } else {
            let works_since = if letter.attempt > 0 { store.works_since(&letter)? } else { None };
            post.send(&letter, works_since, left.min(LETTER_TIMEOUT))
        };
        let outcome = match outcome {
            // The address may stand in what is not good of etlsched.yaml.
            Outcome::Dropped(_) if workspace.is_in_part => Outcome::Later("etlsched.yaml has errors".to_owned(), None),
            outcome => outcome,
        };
        if began.elapsed() >= SLOW && matches!(outcome, Outcome::Later(..)) {
            post.slow.insert(lane(&letter));
        }
        let is_before_others = matches!(outcome, Outcome::Later(..));
        let due_at = settle(store, &letter, outcome, &mut posted)?;
        if let Some(due_at) = due_at.filter(|_| is_before_others) {
            heads.push((letter, Some(due_at)));
        }
    }
    for (id, due_at) in behind {
        store.letters_passed_over(&[id], due_at)?;
    }
    if !passed_over.is_empty() {
        // They make way for others, which are not many at a time.
        store.letters_passed_over(&passed_over, clock::now() + PAUSE)?;
    }
    posted.waiting = store.outbox_waiting(clock::now())?.count;
    Ok(posted)
}

fn own_sender() -> Sender {
    let process::Identity { pid, start } = process::own();
    Sender { host: process::host_name(), pid, process_start: start }
}

/// What letters have in common that one server takes.
fn lane(letter: &Letter) -> String {
    if letter.channel == Channel::Email.as_str() {
        return letter.channel.clone();
    }
    letter.recipient.split(' ').next().unwrap_or_default().to_owned()
}

/// What became of a letter.
enum Outcome {
    Sent,
    /// It is put off, for the reason, at least so long.
    Later(String, Option<Duration>),
    /// This version can't make anything of it, for the reason; those behind it don't wait for another one.
    Unknown(&'static str),
    /// It is refused for good, as far as the other side says.
    Refused(String),
    /// Nobody wants it any more.
    Dropped(&'static str),
    /// It was tried for as long as letters are.
    Expired,
}

/// Writes down what became of a letter; returns when it is tried again.
fn settle(store: &mut Store, letter: &Letter, outcome: Outcome, posted: &mut Posted) -> Result<Option<DateTime<Utc>>, StateError> {
    let now = clock::now();
    let (reason, due_at) = match outcome {
        Outcome::Sent => {
            store.letter_sent(&letter.id, now)?;
            let Letter { job, channel, recipient, kind, .. } = letter.clone();
            posted.sent.push(Sent { job, channel, recipient, kind });
            return Ok(None);
        }
        Outcome::Dropped(reason) => return store.letter_dropped(&letter.id, reason, now).map(|()| None),
        Outcome::Expired => {
            let hours = crate::state::LETTER_LIFE.num_hours();
            let reason = format!("given up after {hours} hours and {}", crate::text::count(u64::from(letter.attempt), "attempt"));
            store.letter_dropped(&letter.id, &reason, now)?;
            // Who never heard of it is told when it happens again.
            if letter.channel != Channel::Healthcheck.as_str() {
                store.forget_told_of(letter)?;
            }
            (format!("to {}: {reason}", letter.recipient), None)
        }
        Outcome::Unknown(reason) => (reason.to_owned(), Some(now + pause(letter.attempt, None))),
        Outcome::Later(reason, retry_after) => (reason, Some(now + pause(letter.attempt, retry_after))),
        Outcome::Refused(reason) => (reason, Some(now + PAUSE_PERMANENT)),
    };
    if let Some(due_at) = due_at {
        store.letter_put_off(letter, &reason, due_at)?;
    }
    if !posted.errors.contains(&reason) {
        posted.errors.push(reason);
    }
    Ok(due_at)
}

/// Returns how long a letter is put off that was tried so often before.
fn pause(attempt: u32, retry_after: Option<Duration>) -> TimeDelta {
    let doubled = PAUSE.checked_mul(1 << attempt.min(10)).unwrap_or(PAUSE_MAX).min(PAUSE_MAX);
    let asked = retry_after.map_or(TimeDelta::zero(), |asked| TimeDelta::from_std(asked).unwrap_or(PAUSE_PERMANENT));
    doubled.max(asked.min(PAUSE_PERMANENT))
}

/// A delivery that a thread of its own makes.
struct Parcel {
    id: String,
    recipient: Secret,
    message: Message,
    timeout: Duration,
}

impl Parcel {
    fn of(delivery: &Delivery<'_>) -> Self {
        let Delivery { id, recipient, message, timeout } = delivery;
        Self { id: (*id).to_owned(), recipient: Secret::new(*recipient), message: (*message).clone(), timeout: *timeout }
    }

    fn delivery(&self) -> Delivery<'_> {
        Delivery { id: &self.id, recipient: self.recipient.expose(), message: &self.message, timeout: self.timeout }
    }
}

/// Sends on a thread of its own, and goes at once where the process is to stop meanwhile: the letter is then sent by another, under the same
/// id.
fn unless_stopped(stop: &Stop, timeout: Duration, send: impl FnOnce() -> Result<(), SendError> + Send + 'static) -> Result<(), SendError> {
    let was_stopped = stop.requested().is_some();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(send()));
    // Each way of sending keeps to its time by itself; a second more is for the thread's begin.
    let until = Instant::now() + timeout + Duration::from_secs(1);
    loop {
        match receiver.recv_timeout(STOP_POLL) {
            Ok(result) => return result,
            Err(mpsc::RecvTimeoutError::Timeout) if stop.requested().is_some() == was_stopped && Instant::now() < until => {}
            Err(_) if stop.requested().is_some() && !was_stopped => return Err(SendError::temporary("the process was stopped")),
            Err(_) => return Err(SendError::temporary("no answer in the time that there was")),
        }
    }
}

struct Post<'a> {
    workspace: &'a Workspace,
    workspace_id: String,
    smtp: Option<Result<Option<SmtpSettings>, String>>,
    notifiers: HashMap<Channel, Result<Arc<dyn Notifier>, SendError>>,
    stop: &'a Stop,
    addresses: Addresses,
    /// What each file names; `Err(None)`: it is gone.
    found: HashMap<(Channel, Place), Result<Resolved, Option<String>>>,
    slow: HashSet<String>,
}

impl Post<'_> {
    fn send(&mut self, letter: &Letter, works_since: Option<DateTime<Utc>>, timeout: Duration) -> Outcome {
        let Some(channel) = Channel::parse(&letter.channel) else {
            return Outcome::Unknown("this version doesn't know its channel");
        };
        let Ok(message) = serde_json::from_str::<Message>(&letter.body) else {
            return Outcome::Unknown("this version can't read what it says");
        };
        let message = Message { works_since, ..message };
        if channel == Channel::Email {
            let delivery = Delivery { id: &letter.id, recipient: &letter.recipient, message: &message, timeout };
            return self.deliver(channel, &delivery, &Masker::default());
        }
        let until = Instant::now() + timeout;
        let (url, masker) = match self.url(channel, letter, &message, until) {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        // What gave the address may have taken most of it.
        let timeout = until.saturating_duration_since(Instant::now()).max(LETTER_TIME_MIN);
        let delivery = Delivery { id: &letter.id, recipient: url.expose(), message: &message, timeout };
        if channel == Channel::Webhook {
            return self.deliver(channel, &delivery, &masker);
        }
        let signal = if message.kind == Kind::Success { Signal::Success } else { Signal::Fail };
        let words = words_of(&message);
        let pinged = unless_stopped(self.stop, timeout, move || healthcheck::ping(url.expose(), signal, &words, timeout));
        self.outcome(pinged, &masker)
    }

    fn deliver(&mut self, channel: Channel, delivery: &Delivery<'_>, masker: &Masker) -> Outcome {
        if channel == Channel::Email && self.smtp.is_none() {
            self.smtp = Some(self.workspace.smtp());
        }
        let smtp = match &self.smtp {
            Some(Err(why)) if channel == Channel::Email => return Outcome::Later(self.workspace.masker.mask(why), None),
            Some(Ok(Some(settings))) => Some(settings),
            _ => None,
        };
        let notifier = self.notifiers.entry(channel).or_insert_with(|| crate::notify::open(channel, smtp).map(Arc::from));
        let result = match notifier {
            Ok(notifier) => {
                let (notifier, letter) = (Arc::clone(notifier), Parcel::of(delivery));
                unless_stopped(self.stop, delivery.timeout, move || notifier.send(&letter.delivery()))
            }
            Err(error) => Err(error.clone()),
        };
        self.outcome(result, masker)
    }

    fn outcome(&self, result: Result<(), SendError>, masker: &Masker) -> Outcome {
        let hidden = |text: &str| {
            let text = self.workspace.masker.mask(&masker.mask(text));
            let smtp = self.smtp.as_ref().and_then(|smtp| smtp.as_ref().ok()?.as_ref());
            let secrets = smtp.into_iter().flat_map(|smtp| smtp.password.iter().chain([&smtp.url])).map(Secret::expose);
            secrets.filter(|secret| secret.len() >= 4).fold(text, |text, secret| text.replace(secret, MASK))
        };
        match result {
            Ok(()) => Outcome::Sent,
            Err(SendError::Temporary { message, retry_after }) => Outcome::Later(hidden(&message), retry_after),
            Err(SendError::Permanent { message }) => Outcome::Refused(hidden(&message)),
        }
    }

    /// Returns the URL that a letter goes to, as a file says it now that names it. Each place may start a command: while there is time.
    fn url(&mut self, channel: Channel, letter: &Letter, message: &Message, until: Instant) -> Result<(Secret, Masker), Outcome> {
        let was_stopped = self.stop.requested().is_some();
        let mut why = Outcome::Dropped("no longer configured: none of the jobs has this address");
        for place in places(letter, message) {
            if self.stop.requested().is_some() != was_stopped {
                return Err(Outcome::Later("the process was stopped".to_owned(), None));
            }
            if until.saturating_duration_since(Instant::now()) < LETTER_TIME_MIN {
                return Err(Outcome::Later("its address was not found in the time that there was".to_owned(), None));
            }
            match self.url_at(channel, letter, &place) {
                Ok(found) => return Ok(found),
                Err(outcome) if matches!(why, Outcome::Dropped(_)) => why = outcome,
                Err(_) => {}
            }
        }
        Err(why)
    }

    fn url_at(&mut self, channel: Channel, letter: &Letter, place: &Place) -> Result<(Secret, Masker), Outcome> {
        let (workspace, addresses) = (self.workspace, &mut self.addresses);
        let found = self.found.entry((channel, place.clone())).or_insert_with(|| resolve(workspace, channel, place, addresses));
        let Resolved { reached, masker } = match found {
            Ok(resolved) => resolved,
            // A checkout may have it away for a moment; `delete` closes the letters of a job.
            Err(None) => return Err(Outcome::Later(format!("{} has no file", place.words()), None)),
            Err(Some(why)) => return Err(Outcome::Later(why.clone(), None)),
        };
        let (urls, owner) = (&reached.urls, place.owner());
        let is_it = |(index, url): &(usize, &Secret)| {
            letter.recipient == known_as(&self.workspace_id, owner, url, *index) || letter.recipient == owner.place(*index)
        };
        match urls.iter().enumerate().find(is_it) {
            Some((_, url)) if !url.expose().is_empty() => Ok((url.clone(), masker.clone())),
            None if urls.iter().all(|url| !url.expose().is_empty()) => Err(Outcome::Dropped(match place {
                Place::Defaults => "no longer configured: etlsched.yaml has another address",
                Place::Job(_) => "no longer configured: the job's file has another address",
            })),
            _ => {
                let why = reached.unresolved.first().map_or("its address can't be known here", String::as_str);
                Err(Outcome::Later(masker.mask(&format!("{}: {why}", place.words())), None))
            }
        }
    }
}

/// What a healthcheck is told beside the signal: the end of the log.
fn words_of(message: &Message) -> String {
    let causes = message.causes.iter().map(|cause| format!("{}: {}", cause.code, cause.message));
    let lines: Vec<String> = causes.chain(message.log_tail.iter().cloned()).collect();
    crate::text::printable_lines(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_put_off_longer_each_time_and_never_beyond_an_hour_unless_asked() {
        let minutes = |attempt: u32, asked: Option<u64>| pause(attempt, asked.map(Duration::from_secs)).as_seconds_f64() / 60.0;
        let pauses: Vec<f64> = [0, 1, 2, 6, 7, 400].iter().map(|attempt| minutes(*attempt, None)).collect();
        assert_eq!(pauses, [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]);
        assert_eq!((minutes(0, Some(600)), minutes(3, Some(1)), minutes(0, Some(u64::MAX))), (10.0, 4.0, 360.0));
    }
}
