//! How far a cursor may go so that no commit comes later with an earlier value. Asked before the snapshot of the read is taken.
//!
//! An instant (timestamptz) is stamped at the start of its transaction or later: the oldest start of the open ones is the limit, or the
//! server's clock where none is open. Anything else (numbers, dates, timestamps without zone) says nothing of when it was written: the
//! greatest value that is there *before* the open transactions are listed is the limit where none is open; else the cursor stays.

use postgres::Row;

use crate::batch::ColumnType;
use crate::connect::postgres::{ReadingSession as Session, local_settings};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::SourceError;

use super::query::{self, Bounds, Described};

/// Sessions that may write rows: our own readers don't, and cleaning or sending the log doesn't.
const WRITER: &str = "datid = d.oid AND pid <> pg_backend_pid() AND application_name IS DISTINCT FROM 'etlsched source' \
     AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'walsender')";

/// When a session's transaction began. A statement that is taken has its time before its transaction is shown, and `now()` is that time.
const START: &str = "least(xact_start, CASE WHEN state IN ('active', 'fastpath function call') THEN query_start END)";

/// What is known of the other transactions of this database, prepared ones too.
///
/// `is_hidden`: the role isn't shown every session (it needs pg_read_all_stats), or the server doesn't track them.
/// `is_quiet`: no transaction that writes is running in any database, whatever the role is shown.
fn listing_sql() -> String {
    LISTING.replace("{WRITER}", WRITER).replace("{START}", START)
}

/// See [`listing_sql`].
const LISTING: &str = "SELECT pg_is_in_recovery(), \
     (SELECT count(*) FROM pg_stat_activity WHERE {WRITER} AND {START} IS NOT NULL), \
     (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid AND pid <> pg_backend_pid() AND xact_start IS NULL \
        AND (state IS NULL OR state = 'disabled') AND coalesce(backend_type, 'client backend') = 'client backend') > 0, \
     (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()), \
     (extract(epoch FROM (SELECT min({START}) FROM pg_stat_activity WHERE {WRITER})) * 1000000)::bigint, \
     CASE WHEN pg_is_in_recovery() THEN false ELSE txid_snapshot_xmin(txid_current_snapshot()) = txid_snapshot_xmax(txid_current_snapshot()) END, \
     EXISTS (SELECT FROM pg_subscription WHERE subdbid = d.oid AND subenabled) \
     FROM pg_database d WHERE d.datname = current_database()";

/// The server's clock, and what it shows in the zone that sessions have where they say nothing: microseconds since 1970.
const CLOCK: &str = "SELECT EXISTS (SELECT FROM pg_foreign_server), (extract(epoch FROM c.at) * 1000000)::bigint, (extract(epoch FROM c.at AT TIME ZONE \
     (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')) * 1000000)::bigint FROM (SELECT clock_timestamp() AS at) AS c";

/// The clock of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// The instant: microseconds since 1970.
    micros: i64,
    /// What the wall shows, counted likewise.
    wall_micros: i64,
}

/// What the listing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listing {
    is_standby: bool,
    open: i64,
    is_hidden: bool,
    prepared: i64,
    /// The oldest start that is shown.
    oldest_micros: Option<i64>,
    is_quiet: bool,
    is_subscriber: bool,
}

/// How far the cursor may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// `None`: the engine doesn't tell.
    pub value: Option<CursorValue>,
    /// What people must know of it.
    pub note: Option<(Level, &'static str)>,
}

/// What a transaction begins with in which each statement sees what is committed by then.
const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL application_name = 'etlsched source'";

/// Finds the limit of a cursor column.
///
/// # Errors
/// No such table or column; what the server reports.
pub(super) fn limit(
    session: &mut Session,
    source: &str,
    plan: &PostgresSourcePlan,
    rules: &ColumnRules,
    column: &str,
) -> Result<Limit, SourceError> {
    let fail = |session: &Session, error: &postgres::Error| SourceError::from(session.failure(&format!("read source {source}"), error));
    session.client.batch_execute(&format!("{BEGIN}; {}", local_settings())).map_err(|error| fail(session, &error))?;
    // The clock is read well before the listing: a statement that is taken now has time to be shown there.
    let clock = session.client.query_typed(CLOCK, &[]).map_err(|error| fail(session, &error))?;
    let has_foreign_servers = clock.first().is_some_and(|row| row.get(0));
    let clock = clock.first().map(|row| Clock { micros: row.get(1), wall_micros: row.get(2) });
    let described = query::describe(session, source, plan)?;
    query::forget(session, source)?;
    let cursor = query::cursor(source, &described, rules, column)?;
    if has_foreign_servers && is_foreign(session, source, &described, &cursor)? {
        session.client.batch_execute("COMMIT").map_err(|error| fail(session, &error))?;
        return Ok(Limit { value: None, note: Some((Level::Warn, FOREIGN)) });
    }
    let is_instant = cursor.column_type == ColumnType::TimestampUtc && cursor.comparable == "timestamptz";
    let greatest = if is_instant { None } else { greatest(session, source, &described, &cursor)? };
    let row = session.client.query_typed(&listing_sql(), &[]).map_err(|error| fail(session, &error))?;
    session.client.batch_execute("COMMIT").map_err(|error| fail(session, &error))?;
    let listing = row.first().map(listing).zip(clock);
    let (listing, clock) = listing.ok_or_else(|| SourceError::new("internal", "the listing of transactions is empty"))?;
    Ok(if is_instant { instant(listing, clock) } else { number(listing, clock, cursor.column_type, greatest) })
}

fn listing(row: &Row) -> Listing {
    Listing {
        is_standby: row.get(0),
        open: row.get(1),
        is_hidden: row.get(2),
        prepared: row.get(3),
        oldest_micros: row.get(4),
        is_quiet: row.get(5),
        is_subscriber: row.get(6),
    }
}

const STANDBY: &str = "the server is a standby, which does not tell which transactions are open: rows that are committed late may be missed \
     beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";
const SUBSCRIBER: &str = "the database takes part in logical replication as a subscriber: its rows are committed later than they are stamped, and \
     may be missed beyond the lookback (lookback_minutes or lookback_value; or read from the publisher)";
const FOREIGN: &str = "rows come from another server by a foreign table, which does not tell which transactions are open there: rows that are \
     committed late may be missed beyond the lookback (lookback_minutes or lookback_value; or read from that server)";
const HIDDEN: &str = "the server does not show this role every open transaction: rows that are committed late may be missed beyond the \
     lookback (GRANT pg_read_all_stats TO the role, or set lookback_minutes)";
const PREPARED: &str = "a prepared transaction is open, whose start nobody knows: the cursor stays where it is (see pg_prepared_xacts)";
const OPEN: &str = "other transactions are open that may still commit earlier values: the cursor stays where it is";

/// What makes that nothing is told, whatever the column's type.
fn untold(listing: Listing) -> Option<Limit> {
    let reason = if listing.is_standby { STANDBY } else { SUBSCRIBER };
    let note = Some((Level::Warn, reason));
    (listing.is_standby || listing.is_subscriber).then_some(Limit { value: None, note })
}

/// Nothing may become the cursor.
fn stays(column_type: ColumnType, note: (Level, &'static str)) -> Limit {
    Limit { value: CursorValue::least(column_type), note: Some(note) }
}

fn instant(listing: Listing, clock: Clock) -> Limit {
    if let Some(untold) = untold(listing) {
        return untold;
    }
    if listing.prepared > 0 {
        return stays(ColumnType::TimestampUtc, (Level::Warn, PREPARED));
    }
    if listing.is_hidden {
        return Limit { value: None, note: Some((Level::Warn, HIDDEN)) };
    }
    let micros = listing.oldest_micros.map_or(clock.micros, |oldest| oldest.min(clock.micros));
    Limit { value: CursorValue::at(ColumnType::TimestampUtc, i128::from(micros)), note: None }
}

fn number(listing: Listing, clock: Clock, column_type: ColumnType, greatest: Option<CursorValue>) -> Limit {
    if let Some(untold) = untold(listing) {
        return untold;
    }
    let is_safe = listing.prepared == 0 && listing.open == 0 && (!listing.is_hidden || listing.is_quiet);
    if !is_safe {
        return stays(column_type, if listing.prepared > 0 { (Level::Warn, PREPARED) } else { (Level::Info, OPEN) });
    }
    // Of an empty table nothing may be taken that comes between here and the snapshot.
    let Some(greatest) = greatest else { return Limit { value: CursorValue::least(column_type), note: None } };
    // A time that is yet to come is nobody's stamp.
    let wall = CursorValue::at(ColumnType::Timestamp, i128::from(clock.wall_micros));
    let wall = wall.and_then(|wall| wall.position_in(column_type, Rounding::Down)).and_then(|wall| CursorValue::at(column_type, wall));
    let value = match wall {
        Some(wall) if wall.position() < greatest.position() => wall,
        _ => greatest,
    };
    Limit { value: Some(value), note: None }
}

/// Whether the query reads another server, by what the planner makes of it.
fn is_foreign(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<bool, SourceError> {
    let query = query::rows(source, &described.base, "*", Some(cursor), None)?;
    query::settle(session, source, &query)?;
    let rows = session.client.query_typed(&format!("EXPLAIN (COSTS off) {}", query.sql), &[]);
    let rows = rows.map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    Ok(rows
        .iter()
        .any(|row| row.get::<_, String>(0).contains("Foreign Scan on ") || row.get::<_, String>(0).trim_end().ends_with("Foreign Scan")))
}

/// Returns the greatest value of the cursor column that can be seen now.
fn greatest(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<Option<CursorValue>, SourceError> {
    let column = crate::connect::postgres::quoted(&cursor.column);
    let expression = format!("max(CAST({column} AS {}))", cursor.comparable);
    // Values that are beyond every type here are no cursor.
    let finite = match cursor.comparable {
        "date" | "timestamp" | "timestamptz" => format!(" FILTER (WHERE isfinite(CAST({column} AS {})))", cursor.comparable),
        "numeric" => format!(" FILTER (WHERE CAST({column} AS numeric) <> 'NaN')"),
        _ => String::new(),
    };
    let text = match cursor.comparable {
        "date" | "timestamp" => format!("to_char({expression}{finite}, '{}')", if cursor.comparable == "date" { DAY } else { MOMENT }),
        "timestamptz" => format!("to_char({expression}{finite}, '{MOMENT}\"Z\"')"),
        _ => format!("({expression}{finite})::text"),
    };
    let query = query::rows(source, &described.base, &text, Some(cursor), None)?;
    query::settle(session, source, &query)?;
    let rows = session.client.query_typed(&query.sql, &[]).map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    let text: Option<String> = rows.first().and_then(|row| row.get(0));
    let Some(text) = text else { return Ok(None) };
    let value = CursorValue { column_type: cursor.column_type, text: text.trim_end_matches(".000000").to_owned() };
    // As the rows' own values are written.
    let position = value.position_in(cursor.column_type, Rounding::Up);
    Ok(position.and_then(|position| CursorValue::at(cursor.column_type, position)))
}

/// `to_char` patterns of ISO 8601.
const DAY: &str = "YYYY-MM-DD";
const MOMENT: &str = "YYYY-MM-DD\"T\"HH24:MI:SS.US";

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Listing =
        Listing { is_standby: false, open: 0, is_hidden: false, prepared: 0, oldest_micros: None, is_quiet: true, is_subscriber: false };

    /// 2013-01-01 in New York.
    const CLOCK: Clock = Clock { micros: 1_357_016_400_000_000, wall_micros: 1_356_998_400_000_000 };

    fn value(limit: &Limit) -> Option<&str> {
        limit.value.as_ref().map(|value| value.text.as_str())
    }

    fn note(limit: &Limit) -> &str {
        limit.note.map_or("", |(_, note)| note)
    }

    #[test]
    fn an_instant_goes_no_further_than_the_oldest_start() {
        let of = |listing| instant(listing, CLOCK);
        assert_eq!(of(QUIET), Limit { value: CursorValue::at(ColumnType::TimestampUtc, 1_357_016_400_000_000), note: None });
        let older = of(Listing { open: 1, oldest_micros: Some(1_357_016_399_000_000), ..QUIET });
        assert_eq!(value(&older), Some("2013-01-01T04:59:59Z"));
        // The clock was read before the listing.
        let younger = of(Listing { open: 1, oldest_micros: Some(1_357_016_401_000_000), ..QUIET });
        assert_eq!(value(&younger), Some("2013-01-01T05:00:00Z"));
        let hidden = of(Listing { is_hidden: true, ..QUIET });
        assert!(hidden.value.is_none() && note(&hidden).contains("pg_read_all_stats"));
        let standby = of(Listing { is_standby: true, ..QUIET });
        assert!(standby.value.is_none() && note(&standby).contains("standby"));
        let subscriber = of(Listing { is_subscriber: true, ..QUIET });
        assert!(subscriber.value.is_none() && note(&subscriber).contains("subscriber"));
        assert_eq!(value(&of(Listing { prepared: 1, ..QUIET })), Some("0001-01-01T00:00:00Z"));
    }

    #[test]
    fn a_number_moves_only_where_nobody_writes() {
        let greatest = || CursorValue::at(ColumnType::Int64, 7);
        let of = |listing| value(&number(listing, CLOCK, ColumnType::Int64, greatest())).map(str::to_owned);
        let least = i64::MIN.to_string();
        assert_eq!(of(QUIET).as_deref(), Some("7"));
        assert_eq!(of(Listing { open: 1, ..QUIET }), Some(least.clone()));
        // Whoever is shown everything need not care for other databases.
        assert_eq!(of(Listing { is_quiet: false, ..QUIET }).as_deref(), Some("7"));
        assert_eq!(of(Listing { is_hidden: true, ..QUIET }).as_deref(), Some("7"));
        assert_eq!(of(Listing { is_hidden: true, is_quiet: false, ..QUIET }), Some(least.clone()));
        assert_eq!(of(Listing { prepared: 1, ..QUIET }), Some(least.clone()));
        assert_eq!(of(Listing { is_standby: true, ..QUIET }), None);
        assert_eq!(value(&number(QUIET, CLOCK, ColumnType::Int64, None)), Some(least.as_str()));
    }

    #[test]
    fn a_time_on_the_wall_that_is_yet_to_come_never_is_the_cursor() {
        let of = |column_type, text: &str| {
            let greatest = CursorValue { column_type, text: text.to_owned() };
            value(&number(QUIET, CLOCK, column_type, Some(greatest))).map(str::to_owned)
        };
        assert_eq!(of(ColumnType::Timestamp, "2999-01-01T00:00:00").as_deref(), Some("2013-01-01T00:00:00"));
        assert_eq!(of(ColumnType::Timestamp, "2012-12-31T23:59:59.999999").as_deref(), Some("2012-12-31T23:59:59.999999"));
        assert_eq!(of(ColumnType::Date, "2013-01-01").as_deref(), Some("2013-01-01"));
        assert_eq!(of(ColumnType::Date, "2013-01-02").as_deref(), Some("2013-01-01"));
    }
}
