//! SQL Server and Azure SQL: names in brackets, the catalogue of `sys`, snapshot isolation where the database allows it.

mod bound;
mod late;
mod types;

use chrono::{DateTime, Utc};

use super::{Bound, Dialect, Limit, Table};
use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter, Session};
use crate::plan::Level;
use crate::plan::tables::Listed;
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::SourceError;
use crate::source::odbc::catalogue;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::query::Cursor;
use crate::source::odbc::types::Mapping;
use crate::source::placeholders;

#[derive(Debug)]
pub(super) struct SqlServer;

/// Long values whole, whatever a driver or a login sets; dates that no language turns round; a lock that is held for longer is an error
/// that says so; in a deadlock ours is the statement that is ended.
const OPENING: &[&str] = &[
    "SET TEXTSIZE 2147483647; SET ROWCOUNT 0; SET NOCOUNT ON",
    "SET DATEFORMAT ymd; SET LOCK_TIMEOUT 60000; SET DEADLOCK_PRIORITY LOW; SET XACT_ABORT ON",
    "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET ANSI_WARNINGS ON; SET ANSI_PADDING ON; SET CONCAT_NULL_YIELDS_NULL ON; SET ARITHABORT ON",
];

const STATE: &str = "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()";

const NO_SNAPSHOT: &str = "the database allows no snapshot isolation: rows that change while they are read may be seen twice or not at all (ALTER \
     DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON)";

const TABLES: &str = "SELECT s.name, o.name, CASE WHEN s.name = SCHEMA_NAME() THEN 1 ELSE 0 END FROM sys.objects AS o \
     JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 ORDER BY s.name, o.name";

const KEY: &str = "SELECT c.name FROM sys.indexes AS i \
     JOIN sys.index_columns AS p ON p.object_id = i.object_id AND p.index_id = i.index_id \
     JOIN sys.columns AS c ON c.object_id = i.object_id AND c.column_id = p.column_id \
     WHERE i.is_primary_key = 1 AND p.key_ordinal > 0 AND i.object_id = OBJECT_ID(?) ORDER BY p.key_ordinal";

impl Dialect for SqlServer {
    fn lexical(&self) -> &placeholders::Dialect {
        &placeholders::SQLSERVER
    }

    fn quoted(&self, name: &str) -> String {
        format!("[{}]", name.replace(']', "]]"))
    }

    fn opening(&self) -> &[&str] {
        OPENING
    }

    fn begin(&self, session: &Session, source: &str) -> Result<Vec<(Level, String)>, SourceError> {
        let rows = catalogue::rows(session, source, |statement| statement.run(STATE))?;
        let is_on = |place: usize| rows.first().and_then(|row| row.get(place)?.as_deref()).is_some_and(|text| text.trim() == "1");
        let (isolation, notes) = match (is_on(0), is_on(1)) {
            (true, _) => ("SNAPSHOT", Vec::new()),
            // Each statement sees one moment, and a read is one statement.
            (false, true) => ("READ COMMITTED", Vec::new()),
            (false, false) => ("READ COMMITTED", vec![(Level::Warn, NO_SNAPSHOT.to_owned())]),
        };
        let said = session.connection.statement().and_then(|mut statement| {
            statement.run(&format!("SET TRANSACTION ISOLATION LEVEL {isolation}"))?;
            // A transaction that began before can't become a snapshot (error 3951); the next one is.
            session.connection.roll_back()
        });
        said.map_err(|error| describe::failed(session, source, &error))?;
        Ok(notes)
    }

    fn tables(&self, session: &Session, source: &str) -> Result<Vec<Listed>, SourceError> {
        let rows = catalogue::rows(session, source, |statement| statement.run(TABLES))?;
        let listed = rows.into_iter().filter_map(|row| {
            let [schema, name, is_own] = <[Option<String>; 3]>::try_from(row).ok()?;
            let is_in_path = is_own.as_deref().map(str::trim) == Some("1");
            Some(Listed { schema: schema?, name: name?, is_in_path, is_by_name_only: false })
        });
        Ok(listed.collect())
    }

    fn primary_key(&self, session: &Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
        // Looked up as the statement that reads the table will look it up: without a schema in the login's own, then in dbo.
        let schema = table.schema.iter().map(|schema| format!("{}.", self.quoted(schema)));
        let given = [Parameter::Text(schema.chain([self.quoted(&table.name)]).collect())];
        let rows = catalogue::rows(session, source, |statement| statement.query(KEY, &given))?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    fn mapping(&self, facts: &ColumnFacts) -> Mapping {
        types::mapping(facts)
    }

    fn bound(&self, value: &CursorValue) -> Option<Bound> {
        bound::bound(value, None, Rounding::Up)
    }

    fn bound_for(&self, value: &CursorValue, facts: &ColumnFacts, rounding: Rounding) -> Option<Bound> {
        bound::bound(value, Some(facts), rounding)
    }

    fn moment(&self, instant: DateTime<Utc>) -> Bound {
        bound::moment(instant)
    }

    fn comparable(&self, quoted: &str, facts: &ColumnFacts, column_type: ColumnType) -> Option<String> {
        use ColumnType::{Date, Decimal, Int16, Int32, Int64, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc, UInt64};
        let own = self.mapping(facts).column_type;
        let is_number = |column_type| matches!(column_type, Int16 | Int32 | Int64 | UInt64 | Decimal { .. });
        let is_time = |column_type| matches!(column_type, Date | Timestamp | TimestampNanos);
        let is_instant = |column_type| matches!(column_type, TimestampUtc | TimestampNanosUtc);
        let is_same =
            [is_number(own) && is_number(column_type), is_time(own) && is_time(column_type), is_instant(own) && is_instant(column_type)];
        if !is_same.contains(&true) {
            return None;
        }
        // A value that is compared with eight bytes would be taken for bytes.
        Some(if types::is_rowversion(facts) { format!("CAST({quoted} AS bigint)") } else { quoted.to_owned() })
    }

    fn limit(&self, session: &Session, source: &str, described: &Described, cursor: &Cursor) -> Result<Limit, SourceError> {
        late::limit(self, session, source, described, cursor)
    }

    fn remark(&self) -> Option<&'static str> {
        Some("tested against a counterpart of SQL Server's protocol, not against the vendor's server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_t_end_its_brackets() {
        assert_eq!(SqlServer.quoted("a]b[c"), "[a]]b[c]");
        let table = SqlServer.table("dbo.\"a.b\"");
        assert_eq!(SqlServer.qualified(&table), "[dbo].[a.b]");
    }
}
