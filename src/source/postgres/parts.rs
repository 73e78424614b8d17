//! A table in several parts, read side by side: ranges of its key or of its blocks, all in one exported snapshot.
//!
//! Each row is in exactly one part, whatever the bounds are: they rise strictly, the first part has no lower end and takes NULLs along, the
//! last no upper one. Where the bounds lie decides only how equal the parts are.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use postgres::types::{ToSql, Type};

use crate::connect::ConnectError;
use crate::connect::postgres::{AS_THEY_ARE, ReadingSession as Session, local_settings, quoted};
use crate::plan::Level;
use crate::plan::postgresql::{PostgresConnection, PostgresSourcePlan};
use crate::source::SourceError;
use crate::text;

use super::BEGIN;

/// How the ends of a part of the key travel.
const FROM: &str = "etlsched.part_from";
const TO: &str = "etlsched.part_to";

/// What a table is parted by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Split {
    /// A column of its key, and the name of the column's type.
    Key(String, &'static str),
    /// Its blocks.
    Blocks,
}

/// A part of a table: the condition that its rows meet, and the settings that carry the values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub condition: String,
    pub settings: Vec<(&'static str, String)>,
}

/// Parts a table (its quoted name) as the plan says, each part with a session that sees what `leader` sees. Each is a part that the
/// leader's own connection, the first, or another one reads; there are fewer than were asked for where no more connections are to be had.
///
/// # Errors
/// What has no rows of its own: views, foreign tables. A connection that reaches another server than the leader's.
pub(super) fn opened(
    mut leader: Session,
    source: &str,
    plan: &PostgresSourcePlan,
    table: &str,
    log: &mut Vec<(Level, String)>,
) -> Result<Vec<(Session, Range)>, SourceError> {
    let asked = plan.partitions as usize;
    let mut ranges = of_table(&mut leader, source, table, asked)?;
    let others = if ranges.len() > 1 { followers(&mut leader, source, &plan.connection, ranges.len() - 1)? } else { Vec::new() };
    let count = others.len() + 1;
    if count < ranges.len() {
        let message = format!("partitions: {asked}, but only {} to be had now", text::count(count as u64, "connection"));
        log.push((Level::Warn, message));
        ranges = of_table(&mut leader, source, table, count)?;
    }
    if ranges.len() > count {
        return Err(SourceError::new("internal", format!("source {source}: more parts than connections")));
    }
    Ok(std::iter::once(leader).chain(others).zip(ranges).collect())
}

/// Parts a table into `count` parts at most.
///
/// # Errors
/// What has no rows of its own.
pub(super) fn of_table(session: &mut Session, source: &str, table: &str, count: usize) -> Result<Vec<Range>, SourceError> {
    let (split, bounds) = bounds(session, source, table, count)?;
    Ok(ranges(&split, &bounds))
}

/// What is known of a table.
struct Facts {
    relkind: String,
    has_foreign: bool,
    is_heap: bool,
    blocks: i64,
    column: Option<String>,
    oid: Option<u32>,
}

const FACTS: &str = "WITH RECURSIVE tree AS (SELECT $1::regclass::oid AS oid \
         UNION SELECT h.inhrelid FROM pg_inherits h JOIN tree ON h.inhparent = tree.oid) \
     SELECT c.relkind::text, \
     EXISTS (SELECT FROM tree JOIN pg_class t USING (oid) WHERE t.relkind = 'f'), \
     NOT EXISTS (SELECT FROM tree JOIN pg_class t USING (oid) LEFT JOIN pg_am m ON m.oid = t.relam \
        WHERE t.relkind IN ('r', 'm') AND coalesce(m.amname, 'heap') <> 'heap'), \
     (SELECT coalesce(max(pg_relation_size(oid)), 0) / current_setting('block_size')::bigint FROM tree), a.attname::text, a.atttypid \
     FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE c.oid = $1::regclass";

fn facts(session: &mut Session, source: &str, table: &str) -> Result<Facts, SourceError> {
    let rows = session.client.query_typed(FACTS, &[(&table, Type::TEXT)]);
    let rows = rows.map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    let row = rows.first().ok_or_else(|| SourceError::new("not_found", format!("source {source}: table {table} is gone")))?;
    Ok(Facts { relkind: row.get(0), has_foreign: row.get(1), is_heap: row.get(2), blocks: row.get(3), column: row.get(4), oid: row.get(5) })
}

fn bounds(session: &mut Session, source: &str, table: &str, count: usize) -> Result<(Split, Vec<String>), SourceError> {
    let Facts { relkind, has_foreign, is_heap, blocks, column, oid } = facts(session, source, table)?;
    let refused = |what: &str| {
        let message = format!("source {source}: partitions: {count} needs a table with rows of its own, and {table} {what}");
        Err(SourceError::new("invalid", message).hint("remove partitions, or make it a source of its own"))
    };
    match relkind.as_str() {
        "v" => return refused("is a view"),
        "f" => return refused("is a foreign table, whose server takes a snapshot for each connection"),
        _ if has_foreign => return refused("has foreign tables among its parts, whose servers take a snapshot for each connection"),
        _ => {}
    }
    if let Some((column, type_name)) = column.zip(oid.and_then(key_type)) {
        let bounds = key_bounds(session, source, table, &column, type_name, count)?;
        if let Some(bounds) = bounds {
            return Ok((Split::Key(column, type_name), bounds));
        }
    }
    if !is_heap {
        return refused("has neither a key of integers, dates or timestamps nor blocks as PostgreSQL's own tables have");
    }
    let count = i64::try_from(count).unwrap_or(1);
    let mut bounds: Vec<i64> = (1..count).map(|number| blocks * number / count).filter(|block| *block > 0).collect();
    bounds.dedup();
    Ok((Split::Blocks, bounds.iter().map(i64::to_string).collect()))
}

/// Returns the name of a type whose ranges are read by an index.
fn key_type(oid: u32) -> Option<&'static str> {
    Some(match oid {
        20 => "int8",
        21 => "int2",
        23 => "int4",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        _ => return None,
    })
}

/// Returns where a key is cut into equal shares: by the server's own statistics, else between the least and the greatest integer; `None`
/// where neither is known. The bounds rise strictly, as the server orders them.
fn key_bounds(
    session: &mut Session,
    source: &str,
    table: &str,
    column: &str,
    type_name: &str,
    count: usize,
) -> Result<Option<Vec<String>>, SourceError> {
    let histogram = format!(
        "SELECT b::text FROM (SELECT DISTINCT unnest((SELECT s.histogram_bounds::text::{type_name}[] FROM pg_stats s, pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass AND s.schemaname = n.nspname AND s.tablename = c.relname \
         AND s.attname = $2 ORDER BY s.inherited DESC LIMIT 1)) AS b) AS bounds ORDER BY bounds.b"
    );
    let fail = |session: &Session, error: &postgres::Error| SourceError::from(session.failure(&format!("read source {source}"), error));
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&table, Type::TEXT), (&column, Type::TEXT)];
    let rows = session.client.query_typed(&histogram, &parameters).map_err(|error| fail(session, &error))?;
    if rows.len() > 1 {
        let shares = rows.len() - 1;
        let mut places: Vec<usize> = (1..count).map(|number| shares * number / count).filter(|place| *place > 0).collect();
        places.dedup();
        return Ok(Some(places.into_iter().map(|place| rows[place].get(0)).collect()));
    }
    if !type_name.starts_with("int") {
        return Ok(None);
    }
    // numeric holds every difference of two integers.
    let column = quoted(column);
    let equal = format!(
        "SELECT b::text FROM (SELECT DISTINCT (least + floor((greatest - least) * number / $1))::{type_name} AS b FROM \
         (SELECT min({column})::numeric AS least, max({column})::numeric AS greatest FROM {table}) AS ends, \
         generate_series(1, $1 - 1) AS number WHERE least IS NOT NULL) AS bounds ORDER BY bounds.b"
    );
    let count = i32::try_from(count).unwrap_or(1);
    let rows = session.client.query_typed(&equal, &[(&count, Type::INT4)]).map_err(|error| fail(session, &error))?;
    Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
}

/// Returns the parts between bounds that rise strictly.
fn ranges(split: &Split, bounds: &[String]) -> Vec<Range> {
    let value = |setting: &str, bound: &str| match split {
        Split::Key(_, type_name) => format!("(current_setting('{setting}')::{type_name})"),
        Split::Blocks => format!("'({bound},0)'::tid"),
    };
    let (column, is_null) = match split {
        Split::Key(column, _) => (quoted(column), format!(" OR {} IS NULL", quoted(column))),
        Split::Blocks => ("ctid".to_owned(), String::new()),
    };
    let part = |number: usize| {
        let (from, to) = (number.checked_sub(1).map(|number| &bounds[number]), bounds.get(number));
        let mut settings = Vec::new();
        for (setting, bound) in [(FROM, from), (TO, to)] {
            settings.extend(bound.filter(|_| matches!(split, Split::Key(..))).map(|bound| (setting, bound.clone())));
        }
        let lower = from.map(|from| format!("{column} >= {}", value(FROM, from)));
        let upper = to.map(|to| format!("{column} < {}", value(TO, to)));
        let condition = match (lower, upper) {
            (None, None) => "true".to_owned(),
            (None, Some(upper)) => format!("{upper}{is_null}"),
            (Some(lower), None) => lower,
            (Some(lower), Some(upper)) => format!("{lower} AND {upper}"),
        };
        Range { condition, settings }
    };
    (0..=bounds.len()).map(part).collect()
}

/// Opens sessions that see what `leader` sees, `count` of them at most; fewer where the server or a pooler before it has no more to give.
/// The leader's transaction must be open until all have begun, which they have on return.
///
/// # Errors
/// A connection that reaches another server than the leader's.
fn followers(leader: &mut Session, source: &str, plan: &PostgresConnection, count: usize) -> Result<Vec<Session>, SourceError> {
    let exported = leader.client.query_typed("SELECT pg_export_snapshot()", &[]);
    let exported = exported.map_err(|error| leader.failure(&format!("read source {source}"), &error))?;
    let snapshot: String = exported.first().map(|row| row.get(0)).unwrap_or_default();
    if snapshot.is_empty() || !snapshot.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(SourceError::new("internal", format!("source {source}: the server's snapshot has no name that can be used")));
    }
    let (begin, settings) = BEGIN.split_once(';').unwrap_or((BEGIN, ""));
    let statements = format!("{begin}; SET TRANSACTION SNAPSHOT '{snapshot}'; {settings}; {}; {AS_THEY_ARE}", local_settings());
    let (sender, receiver) = sync_channel(count);
    for _ in 0..count {
        let (sender, plan, statements) = (sender.clone(), plan.clone(), statements.clone());
        // A pooler lets a transaction wait for as long as it likes: whoever begins too late is left behind.
        std::thread::spawn(move || {
            let begun = Session::open(&plan).and_then(|mut session| match session.client.batch_execute(&statements) {
                Ok(()) => Ok(session),
                Err(error) => Err(session.failure("read", &error)),
            });
            // Where nobody waits any more, nobody needs to know.
            let _ = sender.send(begun);
        });
    }
    drop(sender);
    let (start, limit) = (Instant::now(), Duration::from_secs(plan.connect_timeout_seconds.max(1)));
    let mut sessions = Vec::new();
    while let Ok(begun) = receiver.recv_timeout(limit.saturating_sub(start.elapsed())) {
        match begun {
            Ok(session) => sessions.push(session),
            // The server or the pooler has no more connections to give: what is there is enough.
            Err(ConnectError { code: "unreachable" | "disconnected", .. }) => {}
            Err(error) => {
                let error = SourceError::from(error);
                let hint = "all connections of a source must reach one server; where they don't, set partitions: 1";
                return Err(SourceError { hint: error.hint.or_else(|| Some(hint.to_owned())), ..error });
            }
        }
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(bounds: &[&str]) -> Vec<String> {
        bounds.iter().map(|bound| (*bound).to_owned()).collect()
    }

    #[test]
    fn parts_leave_no_gap_and_no_end() {
        let split = Split::Key("i\"d".to_owned(), "int8");
        let parts = ranges(&split, &owned(&["5", "9"]));
        let conditions: Vec<&str> = parts.iter().map(|part| part.condition.as_str()).collect();
        let (from, to) = ("(current_setting('etlsched.part_from')::int8)", "(current_setting('etlsched.part_to')::int8)");
        let expected = [
            format!("\"i\"\"d\" < {to} OR \"i\"\"d\" IS NULL"),
            format!("\"i\"\"d\" >= {from} AND \"i\"\"d\" < {to}"),
            format!("\"i\"\"d\" >= {from}"),
        ];
        assert_eq!(conditions, expected);
        assert_eq!(parts[0].settings, [(TO, "5".to_owned())]);
        assert_eq!(parts[1].settings, [(FROM, "5".to_owned()), (TO, "9".to_owned())]);
        assert_eq!(parts[2].settings, [(FROM, "9".to_owned())]);
    }

    #[test]
    fn blocks_are_parted_alike() {
        let conditions = |bounds: &[&str]| {
            let parts = ranges(&Split::Blocks, &owned(bounds));
            assert!(parts.iter().all(|part| part.settings.is_empty()));
            parts.into_iter().map(|part| part.condition).collect::<Vec<_>>()
        };
        assert_eq!(conditions(&["7"]), ["ctid < '(7,0)'::tid", "ctid >= '(7,0)'::tid"]);
        assert_eq!(conditions(&[]), ["true"]);
    }
}
