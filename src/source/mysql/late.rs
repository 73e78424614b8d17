//! How far a cursor may go so that no commit comes later with an earlier value. Asked before the snapshot of the read is taken.
//!
//! **An instant** (TIMESTAMP) is stamped by NOW(), which in MySQL is the start of the *statement*, not of the transaction. A row that is
//! not yet seen was or will be stamped by a statement that (a) begins after the clock is asked here: not before that second; or (b) runs
//! now: not before its start, which the process list tells; or (c) ended, in a transaction that is still open: `innodb_trx` tells when
//! that one first touched InnoDB. In (c) the statement began before that, by as long as it waited for a metadata lock or computed without
//! touching a table, which nothing tells: [`UNSEEN_SECONDS`] are taken off. The clock is asked first, then the process list, then the
//! transactions: whatever leaves one list before it could enter the next has committed, and the snapshot, which is taken later, has it.
//! All times are floored to seconds, because NOW() is, and `trx_started` too.
//!
//! **Anything else** (numbers, dates, DATETIME) says nothing of when it was written: the greatest value that is there *before* the lists
//! are asked is the limit where nobody else writes; else the cursor stays. AUTO_INCREMENT gives numbers to rows inside of a statement:
//! its transaction is in one of the lists, or its number is greater. A DATETIME that is yet to come, by the server's wall clock and in UTC,
//! is nobody's stamp and never the limit.
//!
//! A transaction that only reads (`trx_is_read_only`, our own readers too) writes nothing. Those that come from elsewhere (a replica's
//! master, another node of a cluster, a table of another engine or server) are in no list here: such a server does not tell.
//!
//! `innodb_trx` is a copy that the server makes anew only where nobody has read it for 0.1 s, and `trx_started` is in the zone of the
//! server's system. So a transaction of our own is begun first: the copy that holds it is fresh, and its start shows the zone.

use std::time::Duration;

use mysql::prelude::Queryable as _;
use mysql::{Error, Row};

use super::describe::Described;
use super::query::{self, Bounds, Query};
use crate::batch::ColumnType;
use crate::connect::mysql::Session;
use crate::plan::Level;
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::SourceError;

/// How long before the first touch of its transaction a statement may have begun, in seconds.
const UNSEEN_SECONDS: i64 = 300;

/// How often a stale list is asked again, and after what time: the server keeps it for 0.1 s after its last reader.
const ASKED_MAX: usize = 50;
const STALE: Duration = Duration::from_millis(115);

/// How far from the clock our own start may be.
const OWN_SECONDS_MAX: i64 = 5;

const REPLICA: &str = "the server takes part in replication and does not tell of transactions elsewhere: rows that are committed late may \
     be missed beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";
const HIDDEN: &str = "the server does not show this account every transaction: rows that are committed late may be missed beyond the \
     lookback (GRANT PROCESS ON *.* TO the account, or set lookback_minutes)";
const UNTOLD: &str = "the server's list of transactions could not be relied on: rows that are committed late may be missed beyond the \
     lookback (set lookback_minutes)";
const ELSEWHERE: &str = "the table's engine keeps its transactions in no list of the server, or elsewhere: rows that are committed late may be \
     missed beyond the lookback (lookback_minutes or lookback_value)";
const PREPARED: &str = "a prepared transaction is open, whose start nobody knows: the cursor stays where it is (see XA RECOVER)";
const OPEN: &str = "other transactions are open that may still commit earlier values: the cursor stays where it is";

/// What the lists say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listing {
    /// Not everything, for this reason.
    Partial(&'static str),
    /// Everything.
    Whole {
        has_prepared: bool,
        /// Whether anybody else may be writing.
        is_written: bool,
        /// The earliest value that may still be stamped: seconds since 1970.
        oldest_seconds: i64,
        clock: Clock,
    },
}

/// The server's clock: seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    seconds: i64,
    /// What the wall shows in the zone that sessions have where they say nothing, counted likewise.
    wall_seconds: i64,
}

/// How far the cursor may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// `None`: the engine doesn't tell.
    pub value: Option<CursorValue>,
    /// What people must know of it.
    pub note: Option<(Level, &'static str)>,
}

/// Finds the limit of a cursor column.
pub(super) fn limit(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<Limit, SourceError> {
    if described.has_unlisted_writers(session, source)? {
        return Ok(Limit { value: None, note: Some((Level::Warn, ELSEWHERE)) });
    }
    let greatest = if cursor.is_instant { None } else { greatest(session, source, described, cursor)? };
    let listing = listing(session).map_err(|error| super::describe::failed(session, source, &error))?;
    Ok(limited(listing, cursor.is_instant, cursor.column_type, greatest))
}

fn limited(listing: Listing, is_instant: bool, column_type: ColumnType, greatest: Option<CursorValue>) -> Limit {
    let (has_prepared, is_written, oldest_seconds, clock) = match listing {
        Listing::Partial(note) => return Limit { value: None, note: Some((Level::Warn, note)) },
        Listing::Whole { has_prepared, is_written, oldest_seconds, clock } => (has_prepared, is_written, oldest_seconds, clock),
    };
    let stays = |level, note| Limit { value: CursorValue::least(column_type), note: Some((level, note)) };
    if has_prepared {
        return stays(Level::Warn, PREPARED);
    }
    if is_instant {
        return Limit { value: CursorValue::at(column_type, i128::from(oldest_seconds) * 1_000_000), note: None };
    }
    if is_written {
        return stays(Level::Info, OPEN);
    }
    // Of an empty table nothing may be taken that comes between here and the snapshot.
    let Some(greatest) = greatest else { return Limit { value: CursorValue::least(column_type), note: None } };
    let now = CursorValue::at(ColumnType::Timestamp, i128::from(clock.seconds.max(clock.wall_seconds)) * 1_000_000);
    let now = now.and_then(|now| now.position_in(column_type, Rounding::Down)).and_then(|now| CursorValue::at(column_type, now));
    let value = now.filter(|now| now.position() < greatest.position()).unwrap_or(greatest);
    Limit { value: Some(value), note: None }
}

/// Returns the greatest value of the cursor column that can be seen now.
fn greatest(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<Option<CursorValue>, SourceError> {
    let expression = format!("CAST(MAX({}) AS CHAR)", cursor.expression());
    let Query { sql, parameters } = query::rows(source, described, &expression, Some(cursor), None)?;
    let statement = super::describe::prepare(session, &sql, parameters.len()).map_err(|refused| refused.told(session, source))?;
    let rows: Vec<Option<String>> =
        session.conn.exec(statement, parameters).map_err(|error| super::describe::failed(session, source, &error))?;
    Ok(rows.into_iter().flatten().next().and_then(|text| value_of(cursor.column_type, &text)))
}

/// Makes a cursor's value of the server's text, as the rows' own values are written.
fn value_of(column_type: ColumnType, text: &str) -> Option<CursorValue> {
    let value = CursorValue { column_type, text: text.replace(' ', "T") };
    value.position().and_then(|position| CursorValue::at(column_type, position))
}

/// A transaction of the list; starts are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    thread: u64,
    is_read_only: bool,
    /// Where the list is in the session's zone, UTC.
    start_in_utc: i64,
    /// Where it is in the zone of the server's system; the earlier one of two hours that have one name.
    start_in_system: Option<i64>,
}

const OWN: [&str; 2] = ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"];

/// A zone that the server has by name alone, without its tables, is not known: that of its system stands for it.
const CLOCK: &str = "SELECT UNIX_TIMESTAMP(), UNIX_TIMESTAMP(COALESCE(CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@GLOBAL.time_zone), \
     CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')))";

const RUNNING: &str = "SELECT ID, USER = 'system user' AND COMMAND <> 'Daemon', UNIX_TIMESTAMP() - TIME - 1 \
     FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND (USER = 'system user' AND COMMAND <> 'Daemon' \
     OR COMMAND <> 'Sleep' AND (INFO IS NOT NULL OR COMMAND NOT IN ('Daemon', 'Connect', 'Binlog Dump', 'Binlog Dump GTID')))";

/// Two hours of a night in autumn have one name: where the hour (or, on Lord Howe, the half hour) before has it too, that one is meant.
const TRANSACTIONS: &str = "SELECT trx_mysql_thread_id, trx_is_read_only, UNIX_TIMESTAMP(trx_started), UNIX_TIMESTAMP(CASE \
     WHEN CONVERT_TZ(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 60 MINUTE, '+00:00', 'SYSTEM') = trx_started \
     THEN CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 60 MINUTE \
     WHEN CONVERT_TZ(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 30 MINUTE, '+00:00', 'SYSTEM') = trx_started \
     THEN CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 30 MINUTE \
     ELSE CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') END), CONNECTION_ID() FROM information_schema.INNODB_TRX";

/// "You need the PROCESS privilege", in general and for a column.
const DENIED: [u16; 2] = [1227, 1142];

fn listing(session: &mut Session) -> Result<Listing, Error> {
    if is_replicated(session) {
        return Ok(Listing::Partial(REPLICA));
    }
    for statement in OWN {
        session.conn.query_drop(statement)?;
    }
    let clock: Option<(i64, i64)> = session.conn.query_first(CLOCK)?;
    let clock = clock.map(|(seconds, wall_seconds)| Clock { seconds, wall_seconds }).unwrap_or(Clock { seconds: 0, wall_seconds: 0 });
    let running: Vec<(u64, bool, i64)> = session.conn.query(RUNNING)?;
    let transactions = match transactions(session) {
        Err(Error::MySqlError(error)) if DENIED.contains(&error.code) => return Ok(Listing::Partial(HIDDEN)),
        other => other?,
    };
    // Those who may not ask see by the list that a transaction has no session any more.
    let has_prepared = session.conn.query::<Row, _>("XA RECOVER").is_ok_and(|rows| !rows.is_empty());
    session.conn.query_drop("COMMIT")?;
    let Some((own, transactions)) = transactions else { return Ok(Listing::Partial(UNTOLD)) };
    if running.iter().any(|(_, is_replication, _)| *is_replication) {
        return Ok(Listing::Partial(REPLICA));
    }
    Ok(weighed(clock, own, &transactions, &running, has_prepared))
}

/// Puts the lists together.
fn weighed(clock: Clock, own: Open, others: &[Open], running: &[(u64, bool, i64)], has_prepared: bool) -> Listing {
    let is_now = |start: i64| (start - clock.seconds).abs() <= OWN_SECONDS_MAX;
    let start: fn(&Open) -> Option<i64> = match own {
        Open { start_in_system: Some(start), .. } if is_now(start) => |open| open.start_in_system,
        // The hour that comes twice: ours is the later one.
        Open { start_in_system: Some(start), .. } if is_now(start + 3600) || is_now(start + 1800) => |open| open.start_in_system,
        Open { start_in_utc, .. } if is_now(start_in_utc) => |open| Some(open.start_in_utc),
        _ => return Listing::Partial(UNTOLD),
    };
    let writers: Vec<&Open> = others.iter().filter(|open| !open.is_read_only).collect();
    let is_reader = |thread: u64| others.iter().any(|open| open.thread == thread && open.is_read_only);
    let writing: Vec<i64> = running.iter().filter(|(thread, ..)| !is_reader(*thread)).map(|(.., start)| *start).collect();
    let Some(starts) = writers.iter().map(|open| start(open)).collect::<Option<Vec<i64>>>() else { return Listing::Partial(UNTOLD) };
    let begun = starts.into_iter().map(|start| start - UNSEEN_SECONDS);
    Listing::Whole {
        has_prepared: has_prepared || writers.iter().any(|open| open.thread == 0),
        is_written: !writers.is_empty() || !writing.is_empty(),
        oldest_seconds: begun.chain(writing).fold(clock.seconds, i64::min),
        clock,
    }
}

/// Returns our own transaction and the others; `None` where no list was fresh and whole.
fn transactions(session: &mut Session) -> Result<Option<(Open, Vec<Open>)>, Error> {
    for asked in 0..ASKED_MAX {
        if asked > 0 {
            std::thread::sleep(STALE);
        }
        let rows: Vec<(u64, bool, i64, Option<i64>, u64)> = session.conn.query(TRANSACTIONS)?;
        // A list that is too long for the server is cut, with a warning.
        let warnings: Option<u64> = session.conn.query_first("SELECT @@warning_count")?;
        if warnings != Some(0) {
            return Ok(None);
        }
        let connection = rows.first().map(|row| row.4);
        let all = rows.into_iter().map(|(thread, is_read_only, start_in_utc, start_in_system, _)| Open {
            thread,
            is_read_only,
            start_in_utc,
            start_in_system,
        });
        let (own, others): (Vec<Open>, Vec<Open>) = all.partition(|open| Some(open.thread) == connection);
        if let [own] = own[..] {
            return Ok(Some((own, others)));
        }
    }
    Ok(None)
}

/// Whether rows come from elsewhere, as far as the account is told; the process list tells the rest.
fn is_replicated(session: &mut Session) -> bool {
    let is_node = session.conn.query_first::<bool, _>("SELECT @@GLOBAL.wsrep_on").is_ok_and(|on| on == Some(true));
    let status = if session.is_mariadb { "SHOW ALL SLAVES STATUS" } else { "SHOW REPLICA STATUS" };
    is_node || session.conn.query::<Row, _>(status).is_ok_and(|rows| !rows.is_empty())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const CLOCK: i64 = 1_357_016_400;
    /// 2013-01-01 in New York.
    const NOW: Clock = Clock { seconds: CLOCK, wall_seconds: CLOCK - 5 * 3600 };

    fn open(thread: u64, start: i64) -> Open {
        Open { thread, is_read_only: false, start_in_utc: start + 7200, start_in_system: Some(start) }
    }

    fn whole(oldest_seconds: i64, is_written: bool) -> Listing {
        Listing::Whole { has_prepared: false, is_written, oldest_seconds, clock: NOW }
    }

    #[test]
    fn the_oldest_start_of_whoever_may_write_is_the_limit() {
        let own = Open { is_read_only: true, ..open(7, CLOCK) };
        assert_eq!(weighed(NOW, own, &[], &[], false), whole(CLOCK, false));
        assert_eq!(weighed(NOW, own, &[open(8, CLOCK - 50)], &[], false), whole(CLOCK - 50 - UNSEEN_SECONDS, true));
        let reader = Open { is_read_only: true, ..open(9, CLOCK - 5000) };
        assert_eq!(weighed(NOW, own, &[reader], &[(9, false, CLOCK - 4000)], false), whole(CLOCK, false));
        assert_eq!(weighed(NOW, own, &[], &[(9, false, CLOCK - 4000)], false), whole(CLOCK - 4000, true));
        let prepared = weighed(NOW, own, &[open(0, CLOCK)], &[], false);
        assert!(matches!(prepared, Listing::Whole { has_prepared: true, .. }));
    }

    #[test]
    fn our_own_start_shows_the_zone_of_the_list() {
        let in_utc = |thread, start| Open { start_in_utc: start, start_in_system: Some(start - 7200), ..open(thread, start) };
        assert_eq!(weighed(NOW, in_utc(7, CLOCK), &[in_utc(8, CLOCK - 9)], &[], false), whole(CLOCK - 9 - UNSEEN_SECONDS, true));
        let nowhere = Open { start_in_utc: CLOCK - 999, start_in_system: None, ..open(7, CLOCK) };
        assert_eq!(weighed(NOW, nowhere, &[], &[], false), Listing::Partial(UNTOLD));
        // 2026-10-25 in Berlin, in the second hour from 2 to 3.
        let second = open(7, CLOCK - 3600);
        assert_eq!(weighed(NOW, second, &[open(8, CLOCK - 3700)], &[], false), whole(CLOCK - 3700 - UNSEEN_SECONDS, true));
    }

    #[test]
    fn a_number_moves_only_where_nobody_writes() {
        let greatest = || CursorValue::at(ColumnType::Int64, 7);
        let of = |listing| limited(listing, false, ColumnType::Int64, greatest()).value.map(|value| value.text);
        assert_eq!(of(whole(CLOCK, false)).as_deref(), Some("7"));
        assert_eq!(of(whole(CLOCK, true)), Some(i64::MIN.to_string()));
        assert_eq!(
            of(Listing::Whole { has_prepared: true, is_written: false, oldest_seconds: CLOCK, clock: NOW }),
            Some(i64::MIN.to_string())
        );
        assert_eq!(of(Listing::Partial(HIDDEN)), None);
        let empty = limited(whole(CLOCK, false), false, ColumnType::UInt64, None);
        assert_eq!(empty.value.map(|value| value.text).as_deref(), Some("0"));
    }

    #[test]
    fn a_time_on_the_wall_that_is_yet_to_come_never_is_the_cursor() {
        let of = |column_type, text: &str| {
            let greatest = CursorValue { column_type, text: text.to_owned() };
            limited(whole(CLOCK, false), false, column_type, Some(greatest)).value.map(|value| value.text)
        };
        assert_eq!(of(ColumnType::Timestamp, "2999-01-01T00:00:00").as_deref(), Some("2013-01-01T05:00:00"));
        assert_eq!(of(ColumnType::Timestamp, "2013-01-01T04:59:59.999999").as_deref(), Some("2013-01-01T04:59:59.999999"));
        assert_eq!(of(ColumnType::Date, "2013-01-02").as_deref(), Some("2013-01-01"));
        assert_eq!(of(ColumnType::Int64, "9999999999999").as_deref(), Some("9999999999999"));
    }

    #[test]
    fn the_servers_texts_become_values_as_rows_have_them() {
        let value = |column_type, text: &str| value_of(column_type, text).map(|value| value.text);
        assert_eq!(value(ColumnType::Timestamp, "2026-01-02 03:04:05.000000").as_deref(), Some("2026-01-02T03:04:05"));
        assert_eq!(value(ColumnType::Timestamp, "2026-01-02 03:04:05.5").as_deref(), Some("2026-01-02T03:04:05.500000"));
        assert_eq!(value(ColumnType::UInt64, "18446744073709551615").as_deref(), Some("18446744073709551615"));
        assert_eq!(value(ColumnType::Date, "0000-00-00"), None);
        assert_eq!(value(ColumnType::TimestampUtc, "2026-01-02 03:04:05").as_deref(), Some("2026-01-02T03:04:05Z"));
    }
}
