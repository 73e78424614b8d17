//! How far a cursor may go, by Oracle's views of open transactions (Database Reference 19c, "V$TRANSACTION", "V$SESSION"; those of all instances).
//!
//! V$TRANSACTION has a transaction from its first change on. A statement that has changed nothing yet has its moment already: running ones are asked
//! for too. The views show the wall clock of the server's host, where an hour may come twice: it is taken off.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::{Oracle, types};
use crate::connect::odbc::{OdbcError, Session};
use crate::plan::Level;
use crate::run::CursorValue;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::dialect::Limit;
use crate::source::odbc::dialect::late::{self, Listing};
use crate::source::odbc::query::{self, Bounds, Cursor, Query};
use crate::source::{Moments, SourceError};

const CLOCK: &str = "SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF6') AS CLOCK, \
     TO_CHAR(SYSTIMESTAMP, 'YYYY-MM-DD HH24:MI:SS.FF6') AS WALL, SYS_CONTEXT('USERENV', 'DATABASE_ROLE') AS ROLE FROM DUAL";

const TRANSACTIONS: &str = "SELECT TO_CHAR(MIN(STARTED), 'YYYY-MM-DD HH24:MI:SS') AS STARTED FROM ( \
     SELECT START_DATE AS STARTED FROM GV$TRANSACTION UNION ALL \
     SELECT SQL_EXEC_START FROM GV$SESSION WHERE STATUS = 'ACTIVE' AND TYPE = 'USER' AND COMMAND IN (2, 6, 7, 47, 170, 189) \
     AND NOT (SID = SYS_CONTEXT('USERENV', 'SID') AND INST_ID = SYS_CONTEXT('USERENV', 'INSTANCE')))";

/// "table or view does not exist", "insufficient privileges".
const DENIED: [i32; 2] = [942, 1031];

const HIDDEN: &str = "the login may not see the open transactions: rows that are committed late may be missed beyond the lookback (GRANT SELECT ON \
     GV_$TRANSACTION and GV_$SESSION TO the login, or set lookback_minutes)";
const STANDBY: &str = "the database is a standby and does not tell of transactions at its primary: rows that are committed late may be missed \
     beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";
const UNTOLD: &str =
    "the server's clock could not be read: rows that are committed late may be missed beyond the lookback (set lookback_minutes)";

const HOUR: i64 = 3_600_000_000;

/// Finds the limit of a cursor column.
pub(super) fn limit(
    dialect: &Oracle,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
) -> Result<Limit, SourceError> {
    let failed = |error: OdbcError| -> SourceError { describe::failed(session, source, &error) };
    let clocks = asked(session, CLOCK).map_err(failed)?;
    let text = |place: usize| clocks.get(place).and_then(|text| text.as_deref());
    let Some(now) = text(0).and_then(micros) else { return Ok(untold(UNTOLD)) };
    if text(2).is_some_and(|role| role.trim() != "PRIMARY") {
        return Ok(untold(STANDBY));
    }
    let is_instant = types::is_instant(&cursor.facts);
    let greatest = if is_instant { None } else { greatest(dialect, session, source, described, cursor, now)? };
    match listing(session) {
        Err(error) if error.records.iter().any(|record| DENIED.contains(&record.native)) => Ok(untold(HIDDEN)),
        Err(error) => Err(failed(error)),
        Ok(None) => Ok(untold(UNTOLD)),
        Ok(Some(listing)) if is_instant => Ok(late::of_instant(listing, cursor.column_type)),
        Ok(Some(listing)) => Ok(late::of_value(listing, cursor.column_type, greatest)),
    }
}

fn untold(note: &str) -> Limit {
    Limit { value: None, note: Some((Level::Warn, note.to_owned())) }
}

/// Returns the only row of a query.
fn asked(session: &Session, sql: &str) -> Result<Vec<Option<String>>, OdbcError> {
    let mut statement = session.connection.statement()?;
    statement.run(sql)?;
    Ok(statement.rows()?.into_iter().next().unwrap_or_default())
}

/// Asks the clock first, then the list.
fn listing(session: &Session) -> Result<Option<Listing>, OdbcError> {
    let clocks = asked(session, CLOCK)?;
    let at = |place: usize| clocks.get(place).and_then(|text| text.as_deref()).and_then(micros);
    let (Some(clock), Some(wall)) = (at(0), at(1)) else { return Ok(None) };
    let start = asked(session, TRANSACTIONS)?.into_iter().next().flatten();
    let oldest = start.as_deref().and_then(micros).map(|start| (start - (wall - clock)).min(clock) - HOUR);
    Ok(Some(Listing { oldest, clock, wall }))
}

/// Reads a moment as the server writes it, in microseconds since 1970.
fn micros(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(at.and_utc().timestamp_micros())
}

/// Returns the greatest value of the cursor column that can be seen now.
fn greatest(
    dialect: &Oracle,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
    now: i64,
) -> Result<Option<CursorValue>, SourceError> {
    let now: DateTime<Utc> = DateTime::from_timestamp_micros(now).unwrap_or_default();
    let greatest = format!("MAX({})", cursor.expression);
    let expression = if types::is_number(&cursor.facts) {
        format!("TO_CHAR({greatest}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')")
    } else if types::is_date(&cursor.facts) {
        format!("TO_CHAR({greatest}, 'YYYY-MM-DD HH24:MI:SS')")
    } else {
        format!("TO_CHAR({greatest}, 'YYYY-MM-DD HH24:MI:SS.FF9')")
    };
    let moments = Moments { slot: now, run_started: now };
    let Query { sql, parameters } = query::rows(source, dialect, described, &expression, Some(&Bounds::open(cursor)), moments)?;
    let rows = || {
        let mut statement = session.connection.statement()?;
        statement.query(&sql, &parameters)?;
        statement.rows()
    };
    let rows = rows().map_err(|error| -> SourceError { describe::failed(session, source, &error) })?;
    let text = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    Ok(text.and_then(|text| late::value_of(cursor.column_type, &text)))
}
