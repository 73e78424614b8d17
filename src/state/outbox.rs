//! The outbox: what people are to be told, until it is sent or three days are over. One row a recipient; a row is leased while it is
//! sent, keeps its id for every try, and is tried later each time. Nothing here sends, and no secret comes in.

use std::time::Duration;

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};

use super::connection::{Store, naive};
use super::error::StateError;
use super::leases::{Clocks, LEASE_LOST_AFTER, Lease, Moment, Probe};
use super::queue;
use super::rows;
use super::schema::{outbox, runs};
use super::server;
use super::telling::{PINGS, jobs_named};

/// How long a letter is tried to be sent.
pub const LETTER_LIFE: TimeDelta = TimeDelta::hours(72);

/// No letter is put off for longer.
pub const PAUSE_MAX: TimeDelta = TimeDelta::hours(6);

/// How many letters are looked at at once.
pub(super) const LETTERS_MAX: i64 = 200;

/// What stands in the place of the job of a letter about several; no job has this id.
pub const SEVERAL_JOBS: &str = "*";

/// A letter to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLetter {
    /// By which way it goes.
    pub channel: String,
    /// To whom: an address, or what a secret URL is known by.
    pub recipient: String,
    /// What it is about.
    pub kind: String,
    /// What it says, as JSON, without secrets.
    pub body: String,
    /// Whether it makes those needless that wait for the same recipient about the same job: it says how the job stands.
    pub is_overtaking: bool,
}

/// A letter that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The same for every try.
    pub id: String,
    /// The job that it is about; [`SEVERAL_JOBS`] where there is more than one.
    pub job: String,
    /// By which way it goes.
    pub channel: String,
    /// To whom.
    pub recipient: String,
    /// What it is about.
    pub kind: String,
    /// What it says, as JSON.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it is given up.
    pub expires_at: DateTime<Utc>,
    /// How often it was tried.
    pub attempt: u32,
}

/// What became of a letter, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterRecord {
    /// By which way it goes.
    pub channel: String,
    /// To whom.
    pub recipient: String,
    /// What it is about.
    pub kind: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// How often it was tried.
    pub attempt: u32,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When nothing more was done about it: it was sent, or not.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why it wasn't sent yet, or never.
    pub last_error: Option<String>,
}

/// What waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboxWaiting {
    /// How many letters wait.
    pub count: u64,
    /// When the oldest of them was written.
    pub oldest_at: Option<DateTime<Utc>>,
    /// When the first of them is tried next.
    pub due_at: Option<DateTime<Utc>>,
    /// Why the one that was tried most often wasn't sent.
    pub last_error: Option<String>,
    /// How many were given up in the last seven days, because they could not be sent for three.
    pub given_up: u64,
}

/// The process that sends letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its host.
    pub host: String,
    /// Its id.
    pub pid: u32,
    /// When it began, in the system's words.
    pub process_start: String,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub(super) struct LetterRow {
    id: String,
    job: String,
    channel: String,
    recipient: String,
    kind: String,
    body: String,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
    attempt: i64,
}

impl From<LetterRow> for Letter {
    fn from(row: LetterRow) -> Self {
        let LetterRow { id, job, channel, recipient, kind, body, created_at, expires_at, attempt } = row;
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        let (created_at, expires_at) = (created_at.and_utc(), expires_at.and_utc());
        Self { id, job, channel, recipient, kind, body, created_at, expires_at, attempt }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct RecordRow {
    channel: String,
    recipient: String,
    kind: String,
    created_at: NaiveDateTime,
    attempt: i64,
    sent_at: Option<NaiveDateTime>,
    closed_at: Option<NaiveDateTime>,
    last_error: Option<String>,
}

impl From<RecordRow> for LetterRecord {
    fn from(row: RecordRow) -> Self {
        let RecordRow { channel, recipient, kind, created_at, attempt, sent_at, closed_at, last_error } = row;
        Self {
            channel,
            recipient,
            kind,
            created_at: created_at.and_utc(),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            sent_at: sent_at.map(|at| at.and_utc()),
            closed_at: closed_at.map(|at| at.and_utc()),
            last_error,
        }
    }
}

/// Whether letters were closed before an instant.
pub(super) fn has_old(connection: &mut StoreConnection, before: NaiveDateTime) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(outbox::table.filter(outbox::closed_at.lt(before)))).get_result(connection)
}

/// Forgets letters that were closed before an instant.
pub(super) fn prune(connection: &mut StoreConnection, before: NaiveDateTime) -> QueryResult<()> {
    diesel::delete(outbox::table.filter(outbox::closed_at.lt(before))).execute(connection).map(drop)
}

/// Who holds a letter, as the store writes it: what tells whether that process lives.
fn mark(sender: &Sender, boot_id: &str, renewed_boot: Duration) -> String {
    let Sender { host, pid, process_start } = sender;
    let micros = u64::try_from(renewed_boot.as_micros()).unwrap_or(u64::MAX);
    json!({"host": host, "pid": pid, "process_start": process_start, "boot_id": boot_id, "boot_micros": micros}).to_string()
}

/// Reads the mark of a letter as a lease, which is judged as that of a run is.
fn lease(id: &str, mark: &str, until: Option<NaiveDateTime>) -> Option<Lease> {
    let mark: Value = serde_json::from_str(mark).ok()?;
    let text = |key: &str| mark.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Lease {
        job: String::new(),
        run_id: id.to_owned(),
        host: text("host")?,
        pid: mark.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok())?,
        process_start: text("process_start")?,
        boot_id: text("boot_id")?,
        renewed_boot: Duration::from_micros(mark.get("boot_micros").and_then(Value::as_u64)?),
        renewed_at: until?.and_utc() - LEASE_LOST_AFTER,
        progress: String::new(),
        cancel_requested: None,
    })
}

impl Store {
    /// Whether a letter is to be sent now: one question to an index, since every start by a scheduler asks it. A letter that a clock that was
    /// ahead wrote doesn't wait for that time.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn has_due_letters(&mut self, now: DateTime<Utc>) -> Result<bool, StateError> {
        let due = outbox::table.filter(outbox::closed_at.is_null()).filter(is_due(now));
        self.read(|connection| diesel::select(diesel::dsl::exists(due)).get_result(connection))
    }

    /// Returns letters that are to be sent now, those of each channel by their age: at most 200, and what goes before them.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn due_letters(&mut self, now: DateTime<Utc>) -> Result<Vec<Letter>, StateError> {
        self.read(|connection| {
            let due = outbox::table.filter(outbox::closed_at.is_null()).filter(is_due(now));
            // Webhooks and pings before mails, which may be many to one server that hangs.
            let first = due.order((outbox::channel.desc(), outbox::created_at, outbox::id)).limit(LETTERS_MAX);
            let rows = first.select(LetterRow::as_select()).load(connection)?;
            queue::with_earlier(connection, rows.into_iter().map(Letter::from).collect())
        })
    }

    /// Returns pings that are to be sent now, of the newest 200: those of the runs of a process, then those of others by their age.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn due_pings(&mut self, now: DateTime<Utc>, sender: &Sender) -> Result<Vec<Letter>, StateError> {
        self.read(|connection| {
            let due = outbox::table.filter(outbox::closed_at.is_null()).filter(is_due(now)).filter(outbox::channel.eq(PINGS));
            let newest = due.order((outbox::created_at.desc(), outbox::id.desc())).limit(LETTERS_MAX);
            let rows: Vec<(Option<String>, LetterRow)> = newest.select((outbox::run_id, LetterRow::as_select())).load(connection)?;
            let Sender { host, pid, process_start } = sender;
            let of_process = runs::host.eq(host).and(runs::pid.eq(i64::from(*pid))).and(runs::process_start.eq(process_start));
            let told: Vec<&String> = rows.iter().filter_map(|(run, _)| run.as_ref()).collect();
            let own: Vec<String> = runs::table.filter(runs::id.eq_any(told)).filter(of_process).select(runs::id).load(connection)?;
            let is_own = |(run, _): &(Option<String>, LetterRow)| run.as_ref().is_some_and(|run| own.contains(run));
            let (first, rest): (Vec<_>, Vec<_>) = rows.into_iter().rev().partition(is_own);
            Ok(first.into_iter().chain(rest).map(|(_, row)| Letter::from(row)).collect())
        })
    }

    /// Takes a letter for a process that sends it, for at most a minute, and counts the try; false where it is closed, was put off meanwhile,
    /// or another living process has it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn take_letter(&mut self, letter: &Letter, sender: &Sender, now: &Moment, probe: Probe<'_>) -> Result<bool, StateError> {
        self.write(|connection| {
            type Columns = (Option<String>, Option<NaiveDateTime>, i64);
            let open = outbox::table.find(&letter.id).filter(outbox::closed_at.is_null());
            let columns = (outbox::leased_by, outbox::leased_until, outbox::attempt);
            let Some((held_by, until, attempt)) = open.select(columns).first::<Columns>(connection).optional()? else { return Ok(false) };
            let clocks = Clocks::read(connection, now)?;
            let reading = server::clock(connection)?.unwrap_or(now.boot.elapsed);
            let own = mark(sender, &now.boot.boot_id, reading);
            if held_by.as_deref() == Some(own.as_str()) {
                // It was committed, and the answer lost.
                return Ok(true);
            }
            let holder = held_by.as_deref().and_then(|mark| lease(&letter.id, mark, until));
            let is_held = holder.is_some_and(|holder| !holder.is_dead(&clocks, probe));
            let is_put_off = held_by.is_none() && attempt != i64::from(letter.attempt);
            if is_held || is_put_off {
                return Ok(false);
            }
            let changes =
                (outbox::leased_by.eq(own), outbox::leased_until.eq(naive(now.at + LEASE_LOST_AFTER)), outbox::attempt.eq(attempt + 1));
            diesel::update(outbox::table.find(&letter.id)).set(changes).execute(connection)?;
            Ok(true)
        })
    }

    /// Closes a letter that was sent. What it said is forgotten, but for the ids of several jobs: who heard of each is asked later.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn letter_sent(&mut self, id: &str, now: DateTime<Utc>) -> Result<(), StateError> {
        self.close_letter(id, None, now)
    }

    /// Closes a letter that is not sent, and says why.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn letter_dropped(&mut self, id: &str, reason: &str, now: DateTime<Utc>) -> Result<(), StateError> {
        self.close_letter(id, Some(reason), now)
    }

    fn close_letter(&mut self, id: &str, reason: Option<&str>, now: DateTime<Utc>) -> Result<(), StateError> {
        let at = naive(now);
        self.write(|connection| {
            let open = outbox::table.find(id).filter(outbox::closed_at.is_null());
            let body = open.filter(outbox::job.eq(SEVERAL_JOBS)).select(outbox::body).first::<String>(connection).optional()?;
            let changes = (
                outbox::closed_at.eq(at),
                outbox::sent_at.eq(reason.is_none().then_some(at)),
                outbox::last_error.eq(reason),
                outbox::leased_by.eq(None::<String>),
                outbox::leased_until.eq(None::<NaiveDateTime>),
                outbox::body.eq(body.filter(|_| reason.is_none()).map(|body| rows::list(&jobs_named(&body))).unwrap_or_default()),
            );
            diesel::update(open).set(changes).execute(connection).map(drop)
        })
    }

    /// Puts a letter off that was taken and could not be sent; nothing where another process took it meanwhile.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn letter_put_off(&mut self, letter: &Letter, reason: &str, due_at: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|connection| {
            let own = outbox::attempt.eq(i64::from(letter.attempt) + 1);
            let open = outbox::table.find(&letter.id).filter(outbox::closed_at.is_null()).filter(own);
            let changes = (
                outbox::due_at.eq(naive(due_at)),
                outbox::last_error.eq(reason),
                outbox::leased_by.eq(None::<String>),
                outbox::leased_until.eq(None::<NaiveDateTime>),
            );
            diesel::update(open).set(changes).execute(connection).map(drop)
        })
    }

    /// Puts letters off that nobody has tried now, because their server hangs.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn letters_passed_over(&mut self, ids: &[String], due_at: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|connection| {
            let open = outbox::table.filter(outbox::id.eq_any(ids)).filter(outbox::closed_at.is_null()).filter(outbox::leased_by.is_null());
            diesel::update(open).set(outbox::due_at.eq(naive(due_at))).execute(connection).map(drop)
        })
    }

    /// Closes the letters of a job that is deleted.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn drop_letters_of(&mut self, job: &str, now: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|connection| {
            let open = outbox::table.filter(outbox::job.eq(job)).filter(outbox::closed_at.is_null()).filter(outbox::leased_by.is_null());
            let changes = (outbox::closed_at.eq(naive(now)), outbox::last_error.eq("the job was deleted"), outbox::body.eq(""));
            diesel::update(open).set(changes).execute(connection).map(drop)
        })
    }

    /// Returns what waits, for `status` and `doctor`.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn outbox_waiting(&mut self, now: DateTime<Utc>) -> Result<OutboxWaiting, StateError> {
        self.read(|connection| {
            let open = outbox::table.filter(outbox::closed_at.is_null());
            type Columns = (i64, Option<NaiveDateTime>, Option<NaiveDateTime>);
            let columns = (diesel::dsl::count_star(), diesel::dsl::min(outbox::created_at), diesel::dsl::min(outbox::due_at));
            let (count, oldest, due): Columns = open.select(columns).first(connection)?;
            let is_any_due: bool = diesel::select(diesel::dsl::exists(open.filter(is_due(now)))).get_result(connection)?;
            let tried = open.filter(outbox::last_error.is_not_null()).order((outbox::attempt.desc(), outbox::id));
            let last_error: Option<Option<String>> = tried.select(outbox::last_error).first(connection).optional()?;
            let lately = outbox::table.filter(outbox::closed_at.ge(naive(now - TimeDelta::days(7))));
            let given_up = lately.filter(outbox::sent_at.is_null()).filter(outbox::closed_at.ge(outbox::expires_at.nullable()));
            let given_up: i64 = given_up.count().get_result(connection)?;
            Ok(OutboxWaiting {
                count: count.unsigned_abs(),
                oldest_at: oldest.map(|at| at.and_utc()),
                due_at: due.map(|at| if is_any_due { at.and_utc().min(now) } else { at.and_utc() }),
                last_error: last_error.flatten(),
                given_up: given_up.unsigned_abs(),
            })
        })
    }

    /// Returns who was told of a run, or is to be, in the order in which it was written.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn letters_of(&mut self, run_id: &str) -> Result<Vec<LetterRecord>, StateError> {
        self.read(|connection| {
            let own = outbox::table.filter(outbox::run_id.eq(run_id));
            let ordered = own.order((outbox::created_at, outbox::channel, outbox::recipient, outbox::kind));
            let rows = ordered.select(RecordRow::as_select()).load(connection)?;
            Ok(rows.into_iter().map(LetterRecord::from).collect())
        })
    }
}

type IsFuture<Column> = diesel::dsl::Gt<Column, NaiveDateTime>;
type Due = diesel::dsl::Or<
    diesel::dsl::Or<diesel::dsl::LtEq<outbox::due_at, NaiveDateTime>, IsFuture<outbox::created_at>>,
    IsFuture<outbox::due_at>,
>;

/// What a clock that was ahead wrote doesn't wait for that time.
fn is_due(now: DateTime<Utc>) -> Due {
    outbox::due_at.le(naive(now)).or(outbox::created_at.gt(naive(now))).or(outbox::due_at.gt(naive(now + PAUSE_MAX)))
}
