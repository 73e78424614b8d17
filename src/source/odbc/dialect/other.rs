//! Any database, as its driver describes it.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};

use super::{Bound, Dialect};
use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Family, Parameter, Session};
use crate::plan::Level;
use crate::run::CursorValue;
use crate::source::SourceError;
use crate::source::odbc::describe;
use crate::source::odbc::types::{self, Mapping, Wire};
use crate::source::odbc::values;
use crate::source::placeholders;

#[derive(Debug)]
pub(super) struct Other {
    quote: String,
    lexical: placeholders::Dialect,
    known: &'static Known,
}

/// What is known of a driver's engine, though it is read as any other.
#[derive(Debug)]
struct Known {
    opening: &'static [&'static str],
    begin: &'static [&'static str],
    /// What becomes of columns whose type has a name at the server, which ODBC's own type doesn't tell.
    types: &'static [(&'static str, Named)],
}

/// What the name of a type tells.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// A moment that is an instant, in the session's zone: UTC.
    Instant,
    /// Text that is JSON.
    Json,
    /// An amount of money with two decimals, of which drivers make doubles.
    Money,
    /// Something that has no type here: its text.
    Other,
}

const NOTHING: Known = Known { opening: &[], begin: &[], types: &[] };

const POSTGRESQL: Known = Known {
    opening: &["SET TIME ZONE 'UTC'", "SET IntervalStyle = 'iso_8601'", "SET DateStyle = 'ISO, YMD'"],
    begin: &["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"],
    types: &[
        ("timestamptz", Named::Instant),
        ("json", Named::Json),
        ("jsonb", Named::Json),
        ("numeric", Named::Other),
        ("interval", Named::Other),
        ("timetz", Named::Other),
        ("money", Named::Money),
    ],
};

const MARIADB: Known = Known {
    opening: &["SET time_zone = '+00:00'"],
    begin: &["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"],
    types: &[("timestamp", Named::Instant), ("json", Named::Json), ("time", Named::Other)],
};

impl Other {
    pub fn new(session: &Session) -> Self {
        let (lexical, known) = match session.facts.family {
            Family::PostgreSql => (placeholders::POSTGRESQL, &POSTGRESQL),
            Family::MariaDb => (placeholders::mysql(""), &MARIADB),
            Family::Microsoft | Family::FreeTds | Family::Oracle | Family::Other => (placeholders::STANDARD, &NOTHING),
        };
        Self { quote: session.facts.quote.clone(), lexical, known }
    }
}

impl Dialect for Other {
    fn lexical(&self) -> &placeholders::Dialect {
        &self.lexical
    }

    fn quoted(&self, name: &str) -> String {
        let quote = &self.quote;
        if quote.is_empty() { name.to_owned() } else { format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2))) }
    }

    fn opening(&self) -> &[&str] {
        self.known.opening
    }

    fn begin(&self, session: &Session, source: &str) -> Result<Vec<(Level, String)>, SourceError> {
        for sql in self.known.begin {
            let said = session.connection.statement().and_then(|mut statement| statement.run(sql));
            said.map_err(|error| describe::failed(session, source, &error))?;
        }
        Ok(Vec::new())
    }

    fn mapping(&self, facts: &ColumnFacts) -> Mapping {
        let own = types::standard(facts);
        let named = self.known.types.iter().find(|(name, _)| facts.type_name.eq_ignore_ascii_case(name)).map(|(_, named)| *named);
        match (named, own.wire) {
            (Some(Named::Instant), Wire::Timestamp) => Mapping { column_type: ColumnType::TimestampUtc, ..own },
            (Some(Named::Money), _) => types::decimal(19, 2).cast(|column| format!("CAST({column} AS numeric(19,2))")),
            (Some(Named::Json), Wire::Text) => Mapping { column_type: ColumnType::Json, ..own },
            // A numeric with digits is one.
            (Some(Named::Other), wire) if !matches!(own.column_type, ColumnType::Decimal { .. }) => {
                let length = if wire == Wire::Text { own.length } else { Some(64) };
                Mapping::sized(ColumnType::Text, if wire == Wire::Text { wire } else { Wire::Ascii }, length).as_text()
            }
            _ => own,
        }
    }

    fn bound(&self, value: &CursorValue) -> Option<Bound> {
        Some(Bound { sql: "?".to_owned(), parameter: values::parameter(value)? })
    }

    fn moment(&self, instant: DateTime<Utc>) -> Bound {
        Bound { sql: "?".to_owned(), parameter: moment(instant) }
    }

    fn comparable(&self, quoted: &str, facts: &ColumnFacts, column_type: ColumnType) -> Option<String> {
        let own = self.mapping(facts);
        let is_number = |column_type| {
            matches!(
                column_type,
                ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::UInt64 | ColumnType::Decimal { .. }
            )
        };
        let is_time = matches!(own.wire, Wire::Date | Wire::Timestamp) && matches!(column_type, ColumnType::Date | ColumnType::Timestamp);
        let is_same = own.column_type == column_type && CursorValue::is_possible(column_type);
        (is_same || is_time || (is_number(own.column_type) && is_number(column_type))).then(|| quoted.to_owned())
    }
}

/// Returns an instant as a moment of UTC, with microseconds.
pub(in crate::source::odbc) fn moment(instant: DateTime<Utc>) -> Parameter {
    let part = |number: u32| i16::try_from(number).unwrap_or_default();
    let parts = [
        i16::try_from(instant.year()).unwrap_or(i16::MAX),
        part(instant.month()),
        part(instant.day()),
        part(instant.hour()),
        part(instant.minute()),
        part(instant.second()),
    ];
    Parameter::Timestamp { parts, nanos: instant.timestamp_subsec_micros() * 1000, decimals: 6 }
}
