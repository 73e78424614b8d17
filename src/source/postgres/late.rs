//! How far a cursor may go so that no commit comes later with an earlier value. Asked before the snapshot of the read is taken.
//!
//! An instant (timestamptz) is stamped at the start of its transaction or later: the oldest start of the open ones is the limit, or the
//! server's clock where none is open. Anything else (numbers, dates, timestamps without zone) says nothing of when it was written: the
//! greatest value that is there *before* the open transactions are listed is the limit where none is open; else the cursor stays.

use postgres::Row;

use crate::batch::ColumnType;
use crate::connect::postgres::Session;
use crate::run::CursorValue;
use crate::source::SourceError;

use super::query::{self, Bounds, Described};

/// Sessions that may write rows: our own readers don't, and cleaning or sending the log doesn't.
const WRITER: &str = "application_name IS DISTINCT FROM 'etlsched source' \
     AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'walsender')";

/// What is known of the other transactions of this database, prepared ones too.
///
/// `is_hidden`: the role isn't shown every session (it needs pg_read_all_stats), or the server doesn't track them.
/// `is_quiet`: no transaction that writes is running in any database, whatever the role is shown.
fn listing_sql() -> String {
    LISTING.replace("{WRITER}", WRITER)
}

/// See [`listing_sql`].
const LISTING: &str = "SELECT pg_is_in_recovery(), \
     (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
        AND {WRITER}), \
     (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid AND pid <> pg_backend_pid() AND xact_start IS NULL \
        AND (state IS NULL OR state = 'disabled') AND coalesce(backend_type, 'client backend') = 'client backend') > 0, \
     (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()), \
     (extract(epoch FROM least(clock_timestamp(), (SELECT min(xact_start) FROM pg_stat_activity WHERE datid = d.oid \
        AND pid <> pg_backend_pid() AND {WRITER}))) * 1000000)::bigint, \
     CASE WHEN pg_is_in_recovery() THEN false ELSE txid_snapshot_xmin(txid_current_snapshot()) = txid_snapshot_xmax(txid_current_snapshot()) END \
     FROM pg_database d WHERE d.datname = current_database()";

/// What the listing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listing {
    is_standby: bool,
    open: i64,
    is_hidden: bool,
    prepared: i64,
    /// The oldest start that is shown, or the clock: microseconds since 1970.
    oldest_micros: i64,
    is_quiet: bool,
}

/// How far the cursor may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// `None`: the engine doesn't tell.
    pub value: Option<CursorValue>,
    /// What people must know of it.
    pub note: Option<String>,
}

/// Finds the limit of a cursor column.
pub(super) fn limit(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<Limit, SourceError> {
    let is_instant = cursor.column_type == ColumnType::TimestampUtc && cursor.comparable == "timestamptz";
    let greatest = if is_instant { None } else { greatest(session, source, described, cursor)? };
    let row = session.client.query_typed(&listing_sql(), &[]).map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    let listing = row.first().map(listing).ok_or_else(|| SourceError::new("internal", "the listing of transactions is empty"))?;
    Ok(if is_instant { instant(listing) } else { number(listing, cursor.column_type, greatest) })
}

fn listing(row: &Row) -> Listing {
    Listing {
        is_standby: row.get(0),
        open: row.get(1),
        is_hidden: row.get(2),
        prepared: row.get(3),
        oldest_micros: row.get(4),
        is_quiet: row.get(5),
    }
}

const STANDBY: &str = "the server is a standby, which does not tell which transactions are open: rows that are committed late may be missed \
     beyond the lookback (lookback_minutes or lookback_value; or read from the primary)";
const HIDDEN: &str = "the server does not show this role every open transaction: rows that are committed late may be missed beyond the \
     lookback (GRANT pg_read_all_stats TO the role, or set lookback_minutes)";
const PREPARED: &str = "a prepared transaction is open, whose start nobody knows: the cursor stays where it is (see pg_prepared_xacts)";
const OPEN: &str = "other transactions are open that may still commit earlier values: the cursor stays where it is";

fn instant(listing: Listing) -> Limit {
    let note = |note: &str| Some(note.to_owned());
    if listing.is_standby {
        return Limit { value: None, note: note(STANDBY) };
    }
    if listing.prepared > 0 {
        return Limit { value: CursorValue::least(ColumnType::TimestampUtc), note: note(PREPARED) };
    }
    if listing.is_hidden {
        return Limit { value: None, note: note(HIDDEN) };
    }
    Limit { value: CursorValue::at(ColumnType::TimestampUtc, i128::from(listing.oldest_micros)), note: None }
}

fn number(listing: Listing, column_type: ColumnType, greatest: Option<CursorValue>) -> Limit {
    if listing.is_standby {
        return Limit { value: None, note: Some(STANDBY.to_owned()) };
    }
    let is_safe = listing.prepared == 0 && listing.open == 0 && (!listing.is_hidden || listing.is_quiet);
    if !is_safe {
        let note = if listing.prepared > 0 { PREPARED } else { OPEN };
        return Limit { value: CursorValue::least(column_type), note: Some(note.to_owned()) };
    }
    // Of an empty table nothing may be taken that comes between here and the snapshot.
    Limit { value: greatest.or_else(|| CursorValue::least(column_type)), note: None }
}

/// Returns the greatest value of the cursor column that can be seen now.
fn greatest(session: &mut Session, source: &str, described: &Described, cursor: &Bounds) -> Result<Option<CursorValue>, SourceError> {
    let column = crate::connect::postgres::quoted(&cursor.column);
    let expression = format!("max(CAST({column} AS {}))", cursor.comparable);
    // Values that are beyond every type here are no cursor.
    let finite = match cursor.comparable {
        "date" | "timestamp" | "timestamptz" => format!(" FILTER (WHERE isfinite(CAST({column} AS {})))", cursor.comparable),
        _ => String::new(),
    };
    let text = match cursor.comparable {
        "date" | "timestamp" => format!("to_char({expression}{finite}, '{}')", if cursor.comparable == "date" { DAY } else { MOMENT }),
        "timestamptz" => format!("to_char({expression}{finite}, '{MOMENT}\"Z\"')"),
        _ => format!("({expression})::text"),
    };
    let query = query::rows(source, &described.base, &text, Some(cursor), None)?;
    let fail = |session: &Session, error: &postgres::Error| SourceError::from(session.failure(&format!("read source {source}"), error));
    session.client.batch_execute("BEGIN TRANSACTION READ ONLY").map_err(|error| fail(session, &error))?;
    query::settle(session, source, &query)?;
    let rows = session.client.query_typed(&query.sql, &[]).map_err(|error| fail(session, &error))?;
    session.client.batch_execute("COMMIT").map_err(|error| fail(session, &error))?;
    let text: Option<String> = rows.first().and_then(|row| row.get(0));
    let Some(text) = text else { return Ok(None) };
    let value = CursorValue { column_type: cursor.column_type, text: text.trim_end_matches(".000000").to_owned() };
    // As the rows' own values are written.
    Ok(value.position().and_then(|position| CursorValue::at(cursor.column_type, position)))
}

/// `to_char` patterns of ISO 8601.
const DAY: &str = "YYYY-MM-DD";
const MOMENT: &str = "YYYY-MM-DD\"T\"HH24:MI:SS.US";

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Listing =
        Listing { is_standby: false, open: 0, is_hidden: false, prepared: 0, oldest_micros: 1_357_016_400_000_000, is_quiet: true };

    fn value(limit: &Limit) -> Option<&str> {
        limit.value.as_ref().map(|value| value.text.as_str())
    }

    #[test]
    fn an_instant_goes_no_further_than_the_oldest_start() {
        assert_eq!(instant(QUIET), Limit { value: CursorValue::at(ColumnType::TimestampUtc, 1_357_016_400_000_000), note: None });
        let hidden = instant(Listing { is_hidden: true, ..QUIET });
        assert!(hidden.value.is_none() && hidden.note.unwrap().contains("pg_read_all_stats"));
        let standby = instant(Listing { is_standby: true, ..QUIET });
        assert!(standby.value.is_none() && standby.note.unwrap().contains("standby"));
        assert_eq!(value(&instant(Listing { prepared: 1, ..QUIET })), Some("0001-01-01T00:00:00Z"));
    }

    #[test]
    fn a_number_moves_only_where_nobody_writes() {
        let greatest = || CursorValue::at(ColumnType::Int64, 7);
        let of = |listing| value(&number(listing, ColumnType::Int64, greatest())).map(str::to_owned);
        let least = i64::MIN.to_string();
        assert_eq!(of(QUIET).as_deref(), Some("7"));
        assert_eq!(of(Listing { open: 1, ..QUIET }), Some(least.clone()));
        // Whoever is shown everything need not care for other databases.
        assert_eq!(of(Listing { is_quiet: false, ..QUIET }).as_deref(), Some("7"));
        assert_eq!(of(Listing { is_hidden: true, ..QUIET }).as_deref(), Some("7"));
        assert_eq!(of(Listing { is_hidden: true, is_quiet: false, ..QUIET }), Some(least.clone()));
        assert_eq!(of(Listing { prepared: 1, ..QUIET }), Some(least.clone()));
        assert_eq!(of(Listing { is_standby: true, ..QUIET }), None);
        assert_eq!(value(&number(QUIET, ColumnType::Int64, None)), Some(least.as_str()));
    }
}
