//! How letters come into the outbox, and in which order they go out of it: those of one job to one recipient as they were written, so that
//! no alarm comes after its all-clear.

use std::collections::HashSet;

use super::backends::StoreConnection;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::connection::{Store, naive};
use super::error::StateError;
use super::outbox::{LETTER_LIFE, LETTERS_MAX, Letter, LetterRow, NewLetter};
use super::schema::{outbox, runs};
use super::telling::PINGS;

/// What is told of the first good run after failures.
const RECOVERY: &str = "recovery";

/// What says that a job doesn't work.
const ALARMS: [&str; 3] = ["failure", "disabled", "disabled_soon"];

/// What says that it does.
const GOOD_NEWS: [&str; 2] = [RECOVERY, "success"];

/// Puts letters about a job into the outbox.
pub(super) fn put(
    connection: &mut StoreConnection,
    job: &str,
    run_id: Option<&str>,
    letters: &[NewLetter],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    for letter in letters {
        let NewLetter { channel, recipient, kind, body, is_overtaking } = letter;
        if *is_overtaking {
            let of_recipient = outbox::job.eq(job).and(outbox::channel.eq(channel)).and(outbox::recipient.eq(recipient));
            let earlier = outbox::table.filter(of_recipient).filter(outbox::closed_at.is_null()).filter(outbox::leased_by.is_null());
            let needless = (outbox::closed_at.eq(naive(now)), outbox::body.eq(""), outbox::last_error.eq("overtaken by a later one"));
            diesel::update(earlier).set(needless).execute(connection)?;
        }
        if kind == RECOVERY {
            tell_with_recovery(connection, job, (channel, recipient), now)?;
        }
        let row = (
            outbox::id.eq(Uuid::new_v4().to_string()),
            outbox::job.eq(job),
            outbox::run_id.eq(run_id),
            outbox::channel.eq(channel),
            outbox::recipient.eq(recipient),
            outbox::kind.eq(kind),
            outbox::body.eq(body),
            outbox::created_at.eq(naive(now)),
            outbox::due_at.eq(naive(now)),
            outbox::expires_at.eq(naive(now + LETTER_LIFE)),
        );
        diesel::insert_into(outbox::table).values(row).execute(connection)?;
    }
    Ok(())
}

/// Closes what was never tried to be sent about runs whose process was killed: the recovery is written at nearly the same time, by the run
/// that closed them, and says what became of them.
fn tell_with_recovery(
    connection: &mut StoreConnection,
    job: &str,
    (channel, recipient): (&str, &str),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let of_recipient = outbox::job.eq(job).and(outbox::channel.eq(channel)).and(outbox::recipient.eq(recipient));
    let open = outbox::table.filter(of_recipient).filter(outbox::closed_at.is_null()).filter(outbox::leased_by.is_null());
    let untried = open.filter(outbox::attempt.eq(0)).filter(outbox::kind.eq_any(ALARMS)).filter(outbox::run_id.is_not_null());
    let untried: Vec<(String, Option<String>)> = untried.select((outbox::id, outbox::run_id)).load(connection)?;
    if untried.is_empty() {
        return Ok(());
    }
    let told: Vec<&String> = untried.iter().filter_map(|(_, run)| run.as_ref()).collect();
    let killed = runs::table.filter(runs::id.eq_any(told)).filter(runs::is_interrupted.eq(true));
    let killed: Vec<String> = killed.select(runs::id).load(connection)?;
    let needless: Vec<String> =
        untried.into_iter().filter(|(_, run)| run.as_ref().is_some_and(|run| killed.contains(run))).map(|(id, _)| id).collect();
    let changes = (outbox::closed_at.eq(naive(now)), outbox::body.eq(""), outbox::last_error.eq("told with the recovery"));
    diesel::update(outbox::table.filter(outbox::id.eq_any(needless))).set(changes).execute(connection).map(drop)
}

/// Adds to letters that are due those that go before them, whenever they would be due themselves.
pub(super) fn with_earlier(connection: &mut StoreConnection, mut due: Vec<Letter>) -> QueryResult<Vec<Letter>> {
    let ordered: Vec<&Letter> = due.iter().filter(|letter| letter.channel != PINGS).collect();
    if ordered.is_empty() {
        return Ok(due);
    }
    let jobs: HashSet<&str> = ordered.iter().map(|letter| letter.job.as_str()).collect();
    let recipients: HashSet<&str> = ordered.iter().map(|letter| letter.recipient.as_str()).collect();
    let open = outbox::table.filter(outbox::closed_at.is_null()).filter(outbox::channel.ne(PINGS));
    let open = open.filter(outbox::job.eq_any(jobs)).filter(outbox::recipient.eq_any(recipients));
    let oldest = open.order((outbox::created_at, outbox::id)).limit(LETTERS_MAX);
    let rows: Vec<LetterRow> = oldest.select(LetterRow::as_select()).load(connection)?;
    let known: HashSet<&str> = due.iter().map(|letter| letter.id.as_str()).collect();
    let goes_before_one = |letter: &Letter| ordered.iter().any(|later| letter.goes_before(later));
    let earlier: Vec<Letter> =
        rows.into_iter().map(Letter::from).filter(|letter| !known.contains(letter.id.as_str()) && goes_before_one(letter)).collect();
    due.extend(earlier);
    due.sort_by(|a, b| b.channel.cmp(&a.channel).then_with(|| (a.created_at, &a.id).cmp(&(b.created_at, &b.id))));
    Ok(due)
}

impl Letter {
    /// Whether it is about the same job and goes to the same recipient: such letters go one after the other.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.channel != PINGS && self.job == other.job && self.channel == other.channel && self.recipient == other.recipient
    }

    fn goes_before(&self, later: &Self) -> bool {
        self.is_beside(later) && (self.created_at, &self.id) < (later.created_at, &later.id)
    }
}

impl Store {
    /// Whether a letter still waits.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn is_letter_waiting(&mut self, id: &str) -> Result<bool, StateError> {
        let open = outbox::table.find(id).filter(outbox::closed_at.is_null());
        self.read(|connection| diesel::select(diesel::dsl::exists(open)).get_result(connection))
    }

    /// Returns since when the job of an alarm works again, where its recipient was told so before it: it could not be sent in its turn.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn works_since(&mut self, letter: &Letter) -> Result<Option<DateTime<Utc>>, StateError> {
        if !ALARMS.contains(&letter.kind.as_str()) {
            return Ok(None);
        }
        self.read(|connection| {
            let Letter { job, channel, recipient, created_at, .. } = letter;
            let of_recipient = outbox::job.eq(job).and(outbox::channel.eq(channel)).and(outbox::recipient.eq(recipient));
            let later =
                outbox::table.filter(of_recipient).filter(outbox::sent_at.is_not_null()).filter(outbox::created_at.gt(naive(*created_at)));
            let turns = later.filter(outbox::kind.eq_any(ALARMS.into_iter().chain(GOOD_NEWS))).order(outbox::created_at.desc());
            let last: Option<(String, NaiveDateTime)> = turns.select((outbox::kind, outbox::created_at)).first(connection).optional()?;
            Ok(last.filter(|(kind, _)| GOOD_NEWS.contains(&kind.as_str())).map(|(_, at)| at.and_utc()))
        })
    }
}
