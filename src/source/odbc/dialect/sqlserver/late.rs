//! How far a cursor may go, by SQL Server's views of open transactions ("sys.dm_tran_active_transactions" and its like, SQL Server 2022).
//!
//! The views show their times by the wall clock of the server, without its zone. Where the clocks are set back an hour is there twice: the later
//! one is what is worked out here, so that an hour is taken off. A transaction that has not touched the database yet will stamp its rows later,
//! unless it has read the clock already: it counts. Those that only read, the server's own and those of other databases don't.
//! A ROWVERSION has a function of its own: MIN_ACTIVE_ROWVERSION() is the least that an open transaction has used.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::{SqlServer, types};
use crate::batch::ColumnType;
use crate::connect::odbc::{OdbcError, Session};
use crate::plan::Level;
use crate::run::CursorValue;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::dialect::Limit;
use crate::source::odbc::dialect::late::{self, Listing};
use crate::source::odbc::query::{self, Bounds, Cursor, Query};
use crate::source::{Moments, SourceError};

const ROWVERSION: &str = "SELECT CAST(MIN_ACTIVE_ROWVERSION() AS bigint)";

const CLOCK: &str = "SELECT CONVERT(varchar(27), SYSUTCDATETIME(), 121), CONVERT(varchar(27), SYSDATETIME(), 121), \
     CONVERT(varchar(20), DATABASEPROPERTYEX(DB_NAME(), 'Updateability'))";

const TRANSACTIONS: &str = "SELECT CONVERT(varchar(27), MIN(t.transaction_begin_time), 121) FROM sys.dm_tran_active_transactions AS t \
     LEFT JOIN sys.dm_tran_session_transactions AS s ON s.transaction_id = t.transaction_id \
     WHERE t.transaction_type IN (1, 4) AND COALESCE(s.session_id, -1) <> @@SPID AND (COALESCE(s.is_user_transaction, 1) = 1 OR EXISTS \
     (SELECT 1 FROM sys.dm_tran_database_transactions AS w WHERE w.transaction_id = t.transaction_id AND w.database_id = DB_ID() \
     AND w.database_transaction_begin_time IS NOT NULL)) AND (EXISTS (SELECT 1 FROM sys.dm_tran_database_transactions AS d \
     WHERE d.transaction_id = t.transaction_id AND d.database_id = DB_ID()) OR NOT EXISTS \
     (SELECT 1 FROM sys.dm_tran_database_transactions AS d WHERE d.transaction_id = t.transaction_id AND d.database_id > 4))";

/// Statements that run by themselves and have written nothing yet are in no list of transactions that write.
const REQUESTS: &str = "SELECT CONVERT(varchar(27), MIN(r.start_time), 121) FROM sys.dm_exec_requests AS r WHERE r.session_id > 50 \
     AND r.session_id <> @@SPID AND r.database_id = DB_ID() AND r.command NOT IN ('SELECT', 'WAITFOR', 'RECEIVE')";

/// "VIEW SERVER STATE permission was denied", "The user does not have permission to perform this action", "permission denied in database", and
/// SELECT on the view itself.
const DENIED: [i32; 4] = [300, 297, 262, 229];

const HIDDEN: &str = "the server does not show this login its open transactions: rows that are committed late may be missed beyond the lookback \
     (GRANT VIEW SERVER STATE TO the login; VIEW SERVER PERFORMANCE STATE from 2022, VIEW DATABASE STATE on Azure; or set lookback_minutes)";
const READ_ONLY: &str = "the database is a copy that is only read, and does not tell of transactions elsewhere: rows that are committed late may \
     be missed beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";
const UNTOLD: &str =
    "the server's clock could not be read: rows that are committed late may be missed beyond the lookback (set lookback_minutes)";

/// How much an hour that comes twice takes.
const HOUR: i64 = 3_600_000_000;

/// Finds the limit of a cursor column.
pub(super) fn limit(
    dialect: &SqlServer,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
) -> Result<Limit, SourceError> {
    let failed = |error: OdbcError| -> SourceError { describe::failed(session, source, &error) };
    let clocks = asked(session, CLOCK).map_err(failed)?;
    let text = |place: usize| clocks.get(place).and_then(|text| text.as_deref());
    let (Some(now), is_copy) = (text(0).and_then(micros), text(2) == Some("READ_ONLY")) else { return Ok(untold(UNTOLD)) };
    if is_copy {
        return Ok(untold(READ_ONLY));
    }
    if types::is_rowversion(&cursor.facts) && cursor.column_type == ColumnType::Int64 {
        let least = asked(session, ROWVERSION).map_err(failed)?.into_iter().next().flatten();
        let least: Option<i128> = least.and_then(|text| text.trim().parse().ok());
        let value = least.and_then(|least| CursorValue::at(ColumnType::Int64, least - 1));
        return Ok(Limit { value, note: None });
    }
    let is_instant = types::is_offset(&cursor.facts);
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

/// Asks the clock first, then the lists: whatever leaves them meanwhile has committed, and the snapshot, which is taken later, has it.
fn listing(session: &Session) -> Result<Option<Listing>, OdbcError> {
    let clocks = asked(session, CLOCK)?;
    let at = |place: usize| clocks.get(place).and_then(|text| text.as_deref()).and_then(micros);
    let (Some(clock), Some(wall)) = (at(0), at(1)) else { return Ok(None) };
    let mut oldest: Option<i64> = None;
    for sql in [TRANSACTIONS, REQUESTS] {
        let start = asked(session, sql)?.into_iter().next().flatten();
        let start = start.as_deref().and_then(micros).map(|start| (start - (wall - clock)).min(clock) - HOUR);
        oldest = [oldest, start].into_iter().flatten().min();
    }
    Ok(Some(Listing { oldest, clock, wall }))
}

/// Reads a moment as the server writes it, in microseconds since 1970.
fn micros(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(at.and_utc().timestamp_micros())
}

/// Returns the greatest value of the cursor column that can be seen now.
fn greatest(
    dialect: &SqlServer,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
    now: i64,
) -> Result<Option<CursorValue>, SourceError> {
    let now: DateTime<Utc> = DateTime::from_timestamp_micros(now).unwrap_or_default();
    let loaded = types::mapping(&cursor.facts).cast.map_or_else(|| cursor.expression.clone(), |cast| cast(&dialect_quoted(cursor)));
    let expression = format!("CONVERT(varchar(60), MAX({loaded}), 121)");
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

fn dialect_quoted(cursor: &Cursor) -> String {
    use crate::source::odbc::dialect::Dialect as _;
    SqlServer.quoted(&cursor.column)
}
