//! Asks a server's clock and its views of open transactions, by which [`late`] decides how far a cursor may go.
//!
//! The views show their times by the wall clock of the server, where an hour may come twice: it is taken off.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::late::{self, Listing};
use super::{Dialect, Limit};
use crate::connect::odbc::{OdbcError, Session};
use crate::plan::Level;
use crate::run::CursorValue;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::query::{self, Bounds, Cursor, Query};
use crate::source::{Moments, SourceError};

/// How much an hour that comes twice takes.
const HOUR: i64 = 3_600_000_000;

const UNTOLD: &str =
    "the server's clock could not be read: rows that are committed late may be missed beyond the lookback (set lookback_minutes)";

/// The views of an engine, and what it says where they can't be seen.
#[derive(Debug)]
pub(super) struct Views {
    /// Returns the clock in UTC, the wall's, and what more the dialect wants to know, in one row.
    pub clock: &'static str,
    /// Each returns the earliest start of another transaction that may write, by the wall.
    pub transactions: &'static [&'static str],
    /// The server's numbers of errors that deny them.
    pub denied: &'static [i32],
    /// What people are told then.
    pub hidden: &'static str,
}

/// What the clock was asked for.
pub(super) struct Clock {
    /// The clock in UTC, in microseconds since 1970.
    pub now: i64,
    /// What more the dialect wants to know.
    pub more: Option<String>,
}

impl Views {
    /// Asks the clock; `None` where it can't be read.
    pub(super) fn clock(&self, session: &Session) -> Result<Option<Clock>, OdbcError> {
        let row = asked(session, self.clock)?;
        let now = row.first().and_then(|text| text.as_deref()).and_then(micros);
        Ok(now.map(|now| Clock { now, more: row.into_iter().nth(2).flatten() }))
    }

    /// Returns the limit of a cursor column; `greatest` is what was there before, of anything but an instant.
    pub(super) fn limit(
        &self,
        session: &Session,
        source: &str,
        cursor: &Cursor,
        is_instant: bool,
        greatest: Option<CursorValue>,
    ) -> Result<Limit, SourceError> {
        match self.listing(session) {
            Err(error) if error.records.iter().any(|record| self.denied.contains(&record.native)) => Ok(untold(self.hidden)),
            Err(error) => Err(describe::failed(session, source, &error)),
            Ok(None) => Ok(unknown()),
            Ok(Some(listing)) if is_instant => Ok(late::of_instant(listing, cursor.column_type)),
            Ok(Some(listing)) => Ok(late::of_value(listing, cursor.column_type, greatest)),
        }
    }

    /// Asks the clock first, then the lists: whatever leaves them meanwhile has committed, and the snapshot, which is taken later, has it.
    fn listing(&self, session: &Session) -> Result<Option<Listing>, OdbcError> {
        let clocks = asked(session, self.clock)?;
        let at = |place: usize| clocks.get(place).and_then(|text| text.as_deref()).and_then(micros);
        let (Some(clock), Some(wall)) = (at(0), at(1)) else { return Ok(None) };
        let mut oldest: Option<i64> = None;
        for sql in self.transactions {
            let start = asked(session, sql)?.into_iter().next().flatten();
            let start = start.as_deref().and_then(micros).map(|start| (start - (wall - clock)).min(clock) - HOUR);
            oldest = [oldest, start].into_iter().flatten().min();
        }
        Ok(Some(Listing { oldest, clock, wall }))
    }
}

/// Says why nobody knows how far a cursor may go.
pub(super) fn untold(note: &str) -> Limit {
    Limit { value: None, note: Some((Level::Warn, note.to_owned())) }
}

/// Says that the clock can't be read.
pub(super) fn unknown() -> Limit {
    untold(UNTOLD)
}

/// Returns the only row of a query.
pub(super) fn asked(session: &Session, sql: &str) -> Result<Vec<Option<String>>, OdbcError> {
    let mut statement = session.connection.statement()?;
    statement.run(sql)?;
    Ok(statement.rows()?.into_iter().next().unwrap_or_default())
}

/// Reads a moment as the server writes it, in microseconds since 1970.
fn micros(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(at.and_utc().timestamp_micros())
}

/// Returns the greatest value of the cursor column that can be seen now; `expression` gives it as text.
pub(super) fn greatest(
    dialect: &dyn Dialect,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
    expression: &str,
    now: i64,
) -> Result<Option<CursorValue>, SourceError> {
    let now: DateTime<Utc> = DateTime::from_timestamp_micros(now).unwrap_or_default();
    let moments = Moments { slot: now, run_started: now };
    let Query { sql, parameters } = query::rows(source, dialect, described, expression, Some(&Bounds::open(cursor)), moments)?;
    let rows = || {
        let mut statement = session.connection.statement()?;
        statement.query(&sql, &parameters)?;
        statement.rows()
    };
    let rows = rows().map_err(|error| describe::failed(session, source, &error))?;
    let text = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    Ok(text.and_then(|text| late::value_of(cursor.column_type, &text)))
}
