//! Oracle Database: plain names are capitals, a transaction that only reads is a snapshot, the catalogue is that of `ALL_` views.

mod bound;
mod late;
mod types;

use chrono::{DateTime, Utc};

use super::{Bound, Dialect, Limit, Table};
use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Parameter, Session};
use crate::plan::Level;
use crate::plan::tables::{self, Listed};
use crate::run::CursorValue;
use crate::run::cursor::Rounding;
use crate::source::SourceError;
use crate::source::odbc::catalogue;
use crate::source::odbc::describe::{self, Described};
use crate::source::odbc::query::Cursor;
use crate::source::odbc::types::Mapping;
use crate::source::placeholders;

#[derive(Debug)]
pub(super) struct Oracle;

/// Texts of numbers and times that no login's settings turn round. The territory comes first: it sets the others.
const OPENING: &[&str] = &[
    "ALTER SESSION SET NLS_TERRITORY = 'AMERICA' NLS_LANGUAGE = 'AMERICAN'",
    "ALTER SESSION SET NLS_NUMERIC_CHARACTERS = '.,' NLS_CALENDAR = 'GREGORIAN' NLS_COMP = 'BINARY' NLS_SORT = 'BINARY'",
    "ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS' NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9' \
     NLS_TIMESTAMP_TZ_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM' TIME_ZONE = '+00:00'",
];

const BEGIN: &str = "SET TRANSACTION READ ONLY";

const TABLES: &str = "SELECT OWNER, TABLE_NAME, CASE WHEN OWNER = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') THEN '1' ELSE '0' END AS IS_OWN FROM ( \
     SELECT OWNER, TABLE_NAME FROM ALL_TABLES WHERE NESTED = 'NO' AND IOT_NAME IS NULL AND TABLE_NAME NOT LIKE 'BIN$%' \
     UNION ALL SELECT OWNER, VIEW_NAME FROM ALL_VIEWS) ORDER BY OWNER, TABLE_NAME";

const KEY: &str = "SELECT C.COLUMN_NAME FROM ALL_CONSTRAINTS K JOIN ALL_CONS_COLUMNS C ON C.OWNER = K.OWNER AND C.CONSTRAINT_NAME = K.CONSTRAINT_NAME \
     AND C.TABLE_NAME = K.TABLE_NAME WHERE K.CONSTRAINT_TYPE = 'P' AND K.TABLE_NAME = ? \
     AND K.OWNER = COALESCE(?, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) ORDER BY C.POSITION";

const COLUMNS: &str = "SELECT COLUMN_NAME, DATA_TYPE, TO_CHAR(DATA_PRECISION) AS DATA_PRECISION, TO_CHAR(DATA_SCALE) AS DATA_SCALE \
     FROM ALL_TAB_COLUMNS WHERE TABLE_NAME = ? AND OWNER = COALESCE(?, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA'))";

/// Accounts of the database itself (Database Security Guide 19c, "Predefined Administrative Accounts" and those of options): only their names
/// find their tables.
const OWN_ACCOUNTS: &[&str] = &[
    "SYS",
    "SYSTEM",
    "OUTLN",
    "DBSNMP",
    "XDB",
    "MDSYS",
    "CTXSYS",
    "ORDSYS",
    "ORDDATA",
    "OLAPSYS",
    "WMSYS",
    "LBACSYS",
    "DVSYS",
    "GSMADMIN_INTERNAL",
    "APPQOSSYS",
    "AUDSYS",
    "OJVMSYS",
    "DBSFWUSER",
    "EXFSYS",
    "SYSMAN",
    "FLOWS_FILES",
];

impl Oracle {
    /// Asks the catalogue for the types of a table's columns: names in capitals, precision, scale.
    fn columns(session: &Session, source: &str, table: &Table) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        catalogue::rows(session, source, |statement| statement.query(COLUMNS, &named(table)))
    }
}

/// Returns a table's name and its schema, or NULL, as values.
fn named(table: &Table) -> [Parameter; 2] {
    [Parameter::Text(table.name.clone()), table.schema.clone().map_or(Parameter::Null, Parameter::Text)]
}

/// Whether a name stands without quotes (SQL Language Reference, "Database Object Naming Rules").
fn is_plain(name: &str) -> bool {
    name.starts_with(char::is_alphabetic) && name.chars().all(|sign| sign.is_alphanumeric() || ['_', '$', '#'].contains(&sign))
}

/// Puts what the catalogue says of a column into what the driver says.
fn refined(facts: &mut ColumnFacts, declared: &str, precision: Option<&str>, scale: Option<&str>) {
    declared.clone_into(&mut facts.type_name);
    let is_timed = declared.starts_with("TIMESTAMP");
    if declared == "NUMBER" || declared == "FLOAT" {
        facts.size = precision.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        // NUMBER(*, 2) has 38 digits.
        let scale: Option<i16> = scale.and_then(|text| text.trim().parse().ok());
        if facts.size == 0 && scale.is_some_and(|scale| scale != 0) {
            facts.size = 38;
        }
        facts.digits = scale.unwrap_or_default();
        facts.sql_type = crate::source::odbc::types::code::DECIMAL;
    } else if is_timed {
        facts.digits = scale.and_then(|text| text.trim().parse().ok()).unwrap_or(facts.digits);
    }
}

impl Dialect for Oracle {
    fn lexical(&self) -> &placeholders::Dialect {
        &placeholders::ORACLE
    }

    fn quoted(&self, name: &str) -> String {
        // No name holds a double quote.
        format!("\"{}\"", name.replace('"', ""))
    }

    fn table(&self, given: &str) -> Table {
        let (schema, name) = tables::parts(given);
        let folded = |name: String| {
            let is_quoted = given.contains(&format!("\"{name}\""));
            if !is_quoted && is_plain(&name) { name.to_uppercase() } else { name }
        };
        Table { schema: schema.map(folded), name: folded(name) }
    }

    fn opening(&self) -> &[&str] {
        OPENING
    }

    fn begin(&self, session: &Session, source: &str) -> Result<Vec<(Level, String)>, SourceError> {
        // It has to be a transaction's first statement.
        let said = session.connection.roll_back().and_then(|()| session.connection.statement()?.run(BEGIN));
        said.map_err(|error| describe::failed(session, source, &error))?;
        Ok(Vec::new())
    }

    fn refine(&self, session: &Session, source: &str, table: Option<&Table>, facts: &mut [ColumnFacts]) -> Result<(), SourceError> {
        let Some(table) = table else { return Ok(()) };
        for row in Self::columns(session, source, table)? {
            let [Some(name), Some(declared), precision, scale] = row.as_slice() else { continue };
            if let Some(facts) = facts.iter_mut().find(|facts| facts.name == *name) {
                refined(facts, declared.trim(), precision.as_deref(), scale.as_deref());
            }
        }
        Ok(())
    }

    fn tables(&self, session: &Session, source: &str) -> Result<Vec<Listed>, SourceError> {
        let rows = catalogue::rows(session, source, |statement| statement.run(TABLES))?;
        let listed = rows.into_iter().filter_map(|row| {
            let [schema, name, is_own] = <[Option<String>; 3]>::try_from(row).ok()?;
            let schema = schema?;
            let is_in_path = is_own.as_deref().map(str::trim) == Some("1");
            let is_by_name_only = OWN_ACCOUNTS.contains(&schema.as_str());
            Some(Listed { schema, name: name?, is_in_path, is_by_name_only })
        });
        Ok(listed.collect())
    }

    fn primary_key(&self, session: &Session, source: &str, table: &Table) -> Result<Vec<String>, SourceError> {
        let rows = catalogue::rows(session, source, |statement| statement.query(KEY, &named(table)))?;
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
        let is_number = types::is_number(facts) && matches!(column_type, Int16 | Int32 | Int64 | UInt64 | Decimal { .. });
        let is_time = |column_type| matches!(column_type, Date | Timestamp | TimestampNanos);
        let is_instant = |column_type| matches!(column_type, TimestampUtc | TimestampNanosUtc);
        let is_same = (is_time(own) && is_time(column_type)) || (is_instant(own) && is_instant(column_type));
        (is_number || is_same).then(|| quoted.to_owned())
    }

    fn limit(&self, session: &Session, source: &str, described: &Described, cursor: &Cursor) -> Result<Limit, SourceError> {
        late::limit(self, session, source, described, cursor)
    }

    fn remark(&self) -> Option<&'static str> {
        Some("tested against a counterpart that does what Oracle documents of its driver, not against the vendor's server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        assert_eq!(Oracle.qualified(&Oracle.table(given)), expected, "{given}");
    }

    #[test]
    fn plain_names_are_capitals_and_quoted_ones_stay() {
        check("orders", "\"ORDERS\"");
        check("Sales.orders", "\"SALES\".\"ORDERS\"");
        check("sales.\"Orders\"", "\"SALES\".\"Orders\"");
        check("\"a.b\".c", "\"a.b\".\"C\"");
    }

    #[test]
    fn the_catalogue_tells_what_the_driver_doesn_t() {
        let facts =
            ColumnFacts { name: "N".to_owned(), sql_type: 6, size: 53, digits: 0, is_unsigned: false, type_name: "FLOAT".to_owned() };
        let check = |declared: &str, precision: Option<&str>, scale: Option<&str>, expected: (usize, i16)| {
            let mut facts = facts.clone();
            refined(&mut facts, declared, precision, scale);
            assert_eq!((facts.type_name.as_str(), facts.size, facts.digits), (declared, expected.0, expected.1));
        };
        check("NUMBER", None, None, (0, 0));
        check("NUMBER", Some("12"), Some("2"), (12, 2));
        check("NUMBER", None, Some("2"), (38, 2));
        check("NUMBER", None, Some("0"), (0, 0));
        check("TIMESTAMP(9)", None, Some("9"), (53, 9));
    }
}
