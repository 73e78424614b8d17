//! Any database, as its driver describes it.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};

use super::{Bound, Dialect};
use crate::batch::ColumnType;
use crate::connect::odbc::{ColumnFacts, Family, Parameter, Session};
use crate::run::CursorValue;
use crate::source::odbc::types::{self, Mapping, Wire};
use crate::source::odbc::values;
use crate::source::placeholders;

#[derive(Debug)]
pub(super) struct Other {
    quote: String,
    lexical: placeholders::Dialect,
}

impl Other {
    pub fn new(session: &Session) -> Self {
        let lexical = match session.facts.family {
            Family::PostgreSql => placeholders::POSTGRESQL,
            Family::MariaDb => placeholders::mysql(""),
            _ => placeholders::STANDARD,
        };
        Self { quote: session.facts.quote.clone(), lexical }
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

    fn mapping(&self, facts: &ColumnFacts) -> Mapping {
        types::standard(facts)
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
