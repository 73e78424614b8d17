//! Rows on their way into a staging table: by LOAD DATA LOCAL INFILE where the server allows it, else by INSERT of many rows.
//!
//! LOAD DATA LOCAL bends values in silence, in strict mode too (300 becomes 127, 'abc' 0, duplicates are dropped): so it goes into tables
//! of our own alone, and is refused unless the server took every row without a warning.

use mysql::{Error, Params, Value};

use super::copying::{Rows, lines, values};
use super::session::{Outcome, Session, Way, failed, number, refusal};
use super::types::{Dialect, listed, quoted};
use crate::batch::{ColumnType, Schema};

/// The most parameters of a prepared statement.
const PARAMETERS_MAX: usize = 65_535;

/// The most rows of an INSERT: enough to make its own cost small.
const INSERT_ROWS_MAX: usize = 500;

/// About how many bytes of values go with one INSERT.
const INSERT_BYTES: usize = 1 << 20;

/// A table that takes rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Into<'a> {
    /// As SQL.
    pub table: &'a str,
    pub schema: &'a Schema,
    /// The column that numbers the rows.
    pub number: Option<&'a str>,
    /// What is attempted, for errors.
    pub what: &'a str,
}

/// Sends rows; returns how many there were, all of which the table has now.
pub(super) fn send(session: &mut Session, into: Into<'_>, rows: &Rows<'_>) -> Outcome<u64> {
    if session.way == Way::Infile {
        let (bytes, count) = lines(rows);
        if count == 0 {
            return Ok(0);
        }
        let sql = infile_sql(session.dialect, into);
        match session.load(&sql, bytes) {
            Ok(taken) => {
                session.refuse_warnings(into.what)?;
                return if taken == count { Ok(count) } else { Err(lost(into.what, count, taken)) };
            }
            // Between us and the server something doesn't allow it.
            Err(error) if is_disallowed(&error) => session.way = Way::Insert,
            Err(error) => return Err(failed(into.what)(error)),
        }
    }
    insert(session, into, rows)
}

fn is_disallowed(error: &Error) -> bool {
    matches!(number(error), Some(1148 | 3948 | 4166))
}

/// Returns the statement that asks for the rows. Bytes go as they are: texts are UTF-8 already.
pub(super) fn infile_sql(dialect: Dialect, into: Into<'_>) -> String {
    let mut fields = Vec::new();
    let mut set = Vec::new();
    for (place, column) in into.schema.columns.iter().enumerate() {
        let name = quoted(&column.name);
        if dialect == Dialect::Mysql && column.column_type == ColumnType::Json {
            fields.push(format!("@field{place}"));
            set.push(format!("{name} = CONVERT(@field{place} USING utf8mb4)"));
        } else {
            fields.push(name);
        }
    }
    fields.extend(into.number.map(quoted));
    let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
    format!(
        "LOAD DATA LOCAL INFILE 'etlsched' INTO TABLE {} CHARACTER SET binary FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' \
         LINES TERMINATED BY '\\n' ({}){set}",
        into.table,
        fields.join(", ")
    )
}

/// Returns the statement that takes so many rows.
pub(super) fn insert_sql(into: Into<'_>, rows: usize) -> String {
    let names = into.schema.columns.iter().map(|column| column.name.as_str()).chain(into.number);
    let columns = into.schema.columns.len() + usize::from(into.number.is_some());
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("INSERT INTO {} ({}) VALUES {}", into.table, listed("", names), vec![row.as_str(); rows].join(", "))
}

/// Inserts the rows of a batch in one transaction.
fn insert(session: &mut Session, into: Into<'_>, rows: &Rows<'_>) -> Outcome<u64> {
    let columns = into.schema.columns.len() + usize::from(into.number.is_some());
    let rows_max = (PARAMETERS_MAX / columns).clamp(1, INSERT_ROWS_MAX);
    let bytes_max = INSERT_BYTES.min(session.packet_bytes_max / 2);
    let packet_bytes_max = session.packet_bytes_max;
    // A batch is bounded, and so are its values.
    let mut chunks: Vec<(usize, usize, Vec<Value>)> = Vec::new();
    let mut widest = 0;
    let count = values(rows, |row| {
        let bytes: usize = row.iter().flatten().map(|value| value.len() + 9).sum();
        widest = widest.max(bytes);
        let is_full = chunks.last().is_none_or(|(rows, filled, _)| *rows == rows_max || *filled + bytes > bytes_max);
        if is_full {
            chunks.push((0, 0, Vec::new()));
        }
        if let Some((rows, filled, values)) = chunks.last_mut() {
            *rows += 1;
            *filled += bytes;
            values.extend(row.into_iter().map(|value| value.map_or(Value::NULL, Value::Bytes)));
        }
    });
    if widest + 1024 > packet_bytes_max {
        let message = format!("{}: a row of {widest} bytes, and the server takes {packet_bytes_max} at once", into.what);
        return Err(refusal("row_too_long", message, "raise max_allowed_packet at the server, or allow local_infile"));
    }
    session.begin()?;
    for (rows, _, values) in chunks {
        let sent = session.execute_values(&insert_sql(into, rows), Params::Positional(values)).map_err(failed(into.what));
        let sent = sent.and_then(|taken| session.refuse_warnings(into.what).map(|()| taken));
        let sent = sent.and_then(|taken| if taken == rows as u64 { Ok(()) } else { Err(lost(into.what, rows as u64, taken)) });
        if let Err(error) = sent {
            session.roll_back();
            return Err(error);
        }
    }
    session.commit().map_err(failed(into.what))?;
    Ok(count)
}

fn lost(what: &str, sent: u64, taken: u64) -> crate::destination::DestinationError {
    refusal("rows_lost", format!("{what}: {sent} rows were sent and {taken} taken"), "run the job again")
}
