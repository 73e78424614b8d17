//! How far a cursor may go, by SQL Server's views of open transactions ("sys.dm_tran_active_transactions" and its like, SQL Server 2022).
//!
//! The views show their times by the wall clock of the server, without its zone. Where the clocks are set back an hour is there twice: the later
//! one is what is worked out here, so that an hour is taken off. A transaction that has not touched the database yet will stamp its rows later,
//! unless it has read the clock already: it counts. Those that only read, the server's own and those of other databases don't.
//! A ROWVERSION has a function of its own: MIN_ACTIVE_ROWVERSION() is the least that an open transaction has used.

use super::{SqlServer, types};
use crate::batch::ColumnType;
use crate::connect::odbc::{OdbcError, Session};
use crate::run::CursorValue;
use crate::source::SourceError;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::dialect::views::{self, Clock, Views};
use crate::source::odbc::dialect::{Dialect as _, Limit};
use crate::source::odbc::query::Cursor;

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

const HIDDEN: &str = "the server does not show this login its open transactions: rows that are committed late may be missed beyond the lookback \
     (GRANT VIEW SERVER STATE TO the login; VIEW SERVER PERFORMANCE STATE from 2022, VIEW DATABASE STATE on Azure; or set lookback_minutes)";
const READ_ONLY: &str = "the database is a copy that is only read, and does not tell of transactions elsewhere: rows that are committed late may \
     be missed beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";

const VIEWS: Views = Views {
    clock: CLOCK,
    transactions: &[TRANSACTIONS, REQUESTS],
    // "VIEW SERVER STATE permission was denied", "The user does not have permission to perform this action", "permission denied in database",
    // and SELECT on the view itself.
    denied: &[300, 297, 262, 229],
    hidden: HIDDEN,
};

/// Finds the limit of a cursor column.
pub(super) fn limit(
    dialect: &SqlServer,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
) -> Result<Limit, SourceError> {
    let failed = |error: OdbcError| -> SourceError { describe::failed(session, source, &error) };
    let Some(Clock { now, more: updates }) = VIEWS.clock(session).map_err(failed)? else { return Ok(views::unknown()) };
    if updates.as_deref() == Some("READ_ONLY") {
        return Ok(views::untold(READ_ONLY));
    }
    if types::is_rowversion(&cursor.facts) && cursor.column_type == ColumnType::Int64 {
        let least = views::asked(session, ROWVERSION).map_err(failed)?.into_iter().next().flatten();
        let least: Option<i128> = least.and_then(|text| text.trim().parse().ok());
        let value = least.and_then(|least| CursorValue::at(ColumnType::Int64, least - 1));
        return Ok(Limit { value, note: None });
    }
    let is_instant = types::is_offset(&cursor.facts);
    let greatest =
        if is_instant { None } else { views::greatest(dialect, session, source, described, cursor, &greatest_sql(cursor), now)? };
    VIEWS.limit(session, source, cursor, is_instant, greatest)
}

/// Returns the greatest value of the cursor column as text.
fn greatest_sql(cursor: &Cursor) -> String {
    let quoted = SqlServer.quoted(&cursor.column);
    let loaded = types::mapping(&cursor.facts).cast.map_or_else(|| cursor.expression.clone(), |cast| cast(&quoted));
    format!("CONVERT(varchar(60), MAX({loaded}), 121)")
}
