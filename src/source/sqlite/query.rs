//! The statement that a read runs, with what is bound to it. Identifiers are quoted, values bound.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::batch::{ColumnType, parse};
use crate::plan::SqliteSourcePlan;
use crate::plan::tables::Listed;
use crate::run::CursorValue;
use crate::source::Moments;

/// The placeholders of `custom_sql`.
const LAST_SYNC: &str = ":last_sync";
const LOWER_BOUND: &str = ":lower_bound";
const SLOT: &str = ":slot";
const RUN_STARTED: &str = ":run_started";

/// A column of a table as the catalogue has it.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub name: String,
    pub declared: String,
    /// Its place in the primary key, from 1; 0 is none.
    pub key_place: i64,
}

/// Returns an identifier in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the columns of a table or view, generated ones too; none where there is no such table.
pub(super) fn table_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<TableColumn>> {
    // 1 is a hidden column of a virtual table.
    let mut statement = connection.prepare("SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let rows = statement.query_map([table], |row| Ok(TableColumn { name: row.get(0)?, declared: row.get(1)?, key_place: row.get(2)? }))?;
    rows.collect()
}

/// Lists the tables and views of the file. The tables in which a virtual one keeps its rows are found by name only.
pub(super) fn listed(connection: &Connection) -> rusqlite::Result<Vec<Listed>> {
    let sql = "SELECT name, type = 'shadow' OR name LIKE 'sqlite\\_%' ESCAPE '\\' FROM pragma_table_list WHERE schema = 'main'";
    let mut statement = connection.prepare(sql)?;
    let listed = statement
        .query_map([], |row| Ok(Listed { schema: String::new(), name: row.get(0)?, is_in_path: true, is_by_name_only: row.get(1)? }))?;
    listed.collect()
}

/// A statement and its values by name.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub sql: String,
    pub values: Vec<(&'static str, Value)>,
}

/// The rows that are asked for, by the cursor column.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The source's name of the cursor column.
    pub column: String,
    /// Whether the column holds numbers as SQLite stores them, which then compares them right; else texts are read as something.
    pub is_plain_number: bool,
    pub lower: Option<CursorValue>,
    pub upper: Option<CursorValue>,
    /// Whether a query that names placeholders is filtered from outside too.
    pub is_exact: bool,
    pub is_without_nulls: bool,
}

/// Makes the statement without bounds: what `*` is.
pub(super) fn base(plan: &SqliteSourcePlan) -> String {
    match (&plan.table, &plan.custom_sql) {
        (Some(table), _) => {
            let filter = plan.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE ({filter}\n)"));
            format!("SELECT * FROM {}{filter}", quoted(table))
        }
        (None, sql) => sql.as_deref().unwrap_or_default().trim().trim_end_matches(';').trim_end().to_owned(),
    }
}

/// Makes the statement that reads the rows within bounds.
///
/// A moment kept as text may be written in several ways; so a text bound of a temporal type is its day, and one more for offsets, and the
/// reader compares exactly. Numbers kept as text are compared by whoever reads.
///
/// # Errors
/// A text where `:last_sync` is named and the column's type has no step.
pub(super) fn bounded(connection: &Connection, base: String, bounds: Option<&Bounds>, moments: Moments) -> Result<Query, String> {
    let mut values = placeholders(connection, &base, bounds, moments)?;
    let is_bound = values.iter().any(|(name, _)| [LAST_SYNC, LOWER_BOUND].contains(name));
    let Some(bounds) = bounds else { return Ok(Query { sql: base, values }) };
    let column = quoted(&bounds.column);
    let nulls = if bounds.is_without_nulls { String::new() } else { format!(" OR {column} IS NULL") };
    let mut conditions = Vec::new();
    if let Some((bound, rest)) =
        bounds.lower.as_ref().filter(|_| bounds.is_exact || !is_bound).and_then(|lower| bounds.sql_value(lower, -1))
    {
        // What is no text sorts before every text: whether it is a moment is not for here to say.
        let rest = if rest { format!(" OR {column} < ''") } else { String::new() };
        conditions.push(format!("({column} >= :etlsched_from{rest}{nulls})"));
        values.push((":etlsched_from", bound));
    }
    if let Some((bound, _)) = bounds.upper.as_ref().and_then(|upper| bounds.sql_value(upper, 2)) {
        conditions.push(format!("({column} < :etlsched_until{nulls})"));
        values.push((":etlsched_until", bound));
    }
    if bounds.is_without_nulls {
        conditions.push(format!("{column} IS NOT NULL"));
    }
    let sql = if conditions.is_empty() { base } else { format!("SELECT * FROM (\n{base}\n) WHERE {}", conditions.join(" AND ")) };
    Ok(Query { sql, values })
}

impl Bounds {
    /// Returns a bound as the column's values are compared with it, and whether it is the text of a day, so many days away.
    fn sql_value(&self, bound: &CursorValue, days: i32) -> Option<(Value, bool)> {
        if is_temporal(bound.column_type) {
            return Some((Value::Text(day_beside(&bound.text, days)), true));
        }
        self.is_plain_number.then(|| (value(bound), false))
    }
}

/// Whether a type is a date or a timestamp.
pub(super) fn is_temporal(column_type: ColumnType) -> bool {
    use ColumnType::{Date, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    matches!(column_type, Date | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc)
}

/// Returns the placeholders that a query names, with their values.
fn placeholders(
    connection: &Connection,
    base: &str,
    bounds: Option<&Bounds>,
    moments: Moments,
) -> Result<Vec<(&'static str, Value)>, String> {
    let named = named(connection, base).map_err(|error| error.to_string())?;
    let instant = |at: chrono::DateTime<chrono::Utc>| Value::Text(at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    let mut lower = None;
    let mut values = Vec::new();
    for name in &named {
        let value = match *name {
            SLOT => instant(moments.slot),
            RUN_STARTED => instant(moments.run_started),
            _ => {
                let lower = lower.get_or_insert_with(|| lower_value(connection, base, bounds, &named));
                if *name == LAST_SYNC { below(lower, bounds)? } else { lower.clone() }
            }
        };
        values.push((*name, value));
    }
    Ok(values)
}

/// Makes the statement that reads every row, whatever it names.
pub(super) fn unbounded(connection: &Connection, base: String) -> rusqlite::Result<Query> {
    // Integers are less than texts, and this one is less than every other number.
    let values = named(connection, &base)?.into_iter().map(|name| (name, Value::Integer(i64::MIN))).collect();
    Ok(Query { sql: base, values })
}

fn named(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<&'static str>> {
    let statement = connection.prepare(sql)?;
    let mut named = Vec::new();
    for name in [LAST_SYNC, LOWER_BOUND, SLOT, RUN_STARTED] {
        if statement.parameter_index(name)?.is_some() {
            named.push(name);
        }
    }
    Ok(named)
}

/// Returns what `:lower_bound` is: the bound as the column writes its values, or the least value of the column's kind.
fn lower_value(connection: &Connection, base: &str, bounds: Option<&Bounds>, named: &[&str]) -> Value {
    let least = Value::Integer(i64::MIN);
    let sample = bounds.and_then(|bounds| {
        let column = quoted(&bounds.column);
        let sql = format!("SELECT {column} FROM (\n{base}\n) WHERE {column} IS NOT NULL LIMIT 1");
        let mut statement = connection.prepare(&sql).ok()?;
        for name in named {
            let index = statement.parameter_index(name).ok()??;
            statement.raw_bind_parameter(index, &least).ok()?;
        }
        let mut rows = statement.raw_query();
        rows.next().ok()??.get::<_, Value>(0).ok()
    });
    let epoch = "1970-01-01T00:00:00Z".to_owned();
    let lower = bounds.and_then(|bounds| bounds.lower.clone());
    match (lower, sample) {
        (None, Some(Value::Integer(_) | Value::Real(_))) => least,
        (None, sample) => Value::Text(styled(&epoch, sample.as_ref())),
        (Some(lower), sample) if is_temporal(lower.column_type) => Value::Text(styled(&lower.text, sample.as_ref())),
        (Some(lower), _) => value(&lower),
    }
}

/// Writes a moment as the column writes its own: with its separator, with or without Z.
fn styled(text: &str, sample: Option<&Value>) -> String {
    let Some(Value::Text(sample)) = sample else { return text.to_owned() };
    let mut styled = text.to_owned();
    if sample.as_bytes().get(10) == Some(&b' ') {
        styled = styled.replacen('T', " ", 1);
    }
    if !sample.ends_with('Z') {
        styled = styled.trim_end_matches('Z').to_owned();
    }
    styled
}

/// Returns the greatest value below a bound in the column's own step.
fn below(lower: &Value, bounds: Option<&Bounds>) -> Result<Value, String> {
    match lower {
        Value::Integer(number) => Ok(Value::Integer(number.saturating_sub(1))),
        Value::Text(text) => {
            if let Some(days) = parse::date(text.as_bytes()) {
                return Ok(Value::Text(written(|out| crate::batch::text::write_date(out, days - 1))));
            }
            let micros = parse::timestamp(text.as_bytes()).and_then(parse::Moment::micros);
            let micros = micros.ok_or_else(|| {
                let column = bounds.map_or("the cursor column", |bounds| &bounds.column);
                format!("{column} has no step, so that there is no greatest value below its bound; use >= :lower_bound in custom_sql")
            })?;
            let before = written(|out| crate::batch::text::write_timestamp_micros(out, micros - 1, true));
            Ok(Value::Text(styled(&before, Some(lower))))
        }
        _ => Err("a number with decimals has no step; use >= :lower_bound in custom_sql".to_owned()),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the day that is so many days after a moment's.
fn day_beside(text: &str, days: i32) -> String {
    match text.get(..10).and_then(|day| parse::date(day.as_bytes())) {
        Some(day) => written(|out| crate::batch::text::write_date(out, day + days)),
        None => String::new(),
    }
}

fn value(cursor: &CursorValue) -> Value {
    use ColumnType::{Float32, Float64, Int16, Int32, Int64, UInt64};
    match cursor.column_type {
        Int16 | Int32 | Int64 | UInt64 => cursor.text.parse().map_or_else(|_| Value::Text(cursor.text.clone()), Value::Integer),
        Float32 | Float64 => cursor.text.parse().map_or_else(|_| Value::Text(cursor.text.clone()), Value::Real),
        _ => Value::Text(cursor.text.clone()),
    }
}
