//! How far a cursor may go, by Oracle's views of open transactions (Database Reference 19c, "V$TRANSACTION", "V$SESSION"; those of all instances).
//!
//! V$TRANSACTION has a transaction from its first change on. A statement that has changed nothing yet has its moment already: running ones are asked
//! for too. The views show the wall clock of the server's host, where an hour may come twice: it is taken off.

use super::{Oracle, types};
use crate::connect::odbc::Session;
use crate::source::SourceError;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::dialect::Limit;
use crate::source::odbc::dialect::views::{self, Clock, Views};
use crate::source::odbc::query::Cursor;

const CLOCK: &str = "SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF6') AS CLOCK, \
     TO_CHAR(SYSTIMESTAMP, 'YYYY-MM-DD HH24:MI:SS.FF6') AS WALL, SYS_CONTEXT('USERENV', 'DATABASE_ROLE') AS ROLE FROM DUAL";

const TRANSACTIONS: &str = "SELECT TO_CHAR(MIN(STARTED), 'YYYY-MM-DD HH24:MI:SS') AS STARTED FROM ( \
     SELECT START_DATE AS STARTED FROM GV$TRANSACTION UNION ALL \
     SELECT SQL_EXEC_START FROM GV$SESSION WHERE STATUS = 'ACTIVE' AND TYPE = 'USER' AND COMMAND IN (2, 6, 7, 47, 170, 189) \
     AND NOT (SID = SYS_CONTEXT('USERENV', 'SID') AND INST_ID = SYS_CONTEXT('USERENV', 'INSTANCE')))";

const HIDDEN: &str = "the login may not see the open transactions: rows that are committed late may be missed beyond the lookback (GRANT SELECT ON \
     GV_$TRANSACTION and GV_$SESSION TO the login, or set lookback_minutes)";
const STANDBY: &str = "the database is a standby and does not tell of transactions at its primary: rows that are committed late may be missed \
     beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";

const VIEWS: Views = Views {
    clock: CLOCK,
    transactions: &[TRANSACTIONS],
    // "table or view does not exist", "insufficient privileges".
    denied: &[942, 1031],
    hidden: HIDDEN,
};

/// Finds the limit of a cursor column.
pub(super) fn limit(
    dialect: &Oracle,
    session: &Session,
    source: &str,
    described: &Described,
    cursor: &Cursor,
) -> Result<Limit, SourceError> {
    let clock = VIEWS.clock(session).map_err(|error| describe::failed(session, source, &error))?;
    let Some(Clock { now, more: role }) = clock else { return Ok(views::unknown()) };
    if role.is_some_and(|role| role.trim() != "PRIMARY") {
        return Ok(views::untold(STANDBY));
    }
    let is_instant = types::is_instant(&cursor.facts);
    let greatest =
        if is_instant { None } else { views::greatest(dialect, session, source, described, cursor, &greatest_sql(cursor), now)? };
    VIEWS.limit(session, source, cursor, is_instant, greatest)
}

/// Returns the greatest value of the cursor column as text.
fn greatest_sql(cursor: &Cursor) -> String {
    let greatest = format!("MAX({})", cursor.expression);
    if types::is_number(&cursor.facts) {
        format!("TO_CHAR({greatest}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')")
    } else if types::is_date(&cursor.facts) {
        format!("TO_CHAR({greatest}, 'YYYY-MM-DD HH24:MI:SS')")
    } else {
        format!("TO_CHAR({greatest}, 'YYYY-MM-DD HH24:MI:SS.FF9')")
    }
}
