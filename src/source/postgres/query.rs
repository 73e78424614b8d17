//! The statements that a read runs. Identifiers are quoted; values travel in settings of the transaction, because COPY takes no parameters.

use postgres::Statement;
use postgres::types::Type;

use crate::batch::ColumnType;
use crate::connect::postgres::{ReadingSession as Session, quoted};
use crate::plan::ColumnRules;
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::tables::{self, Listed};
use crate::run::CursorValue;
use crate::source::cursor_column::{self, CursorColumn, bad_cursor};
use crate::source::placeholders::{self, POSTGRESQL, Placeholder};
use crate::source::{Moments, ReadRequest, SourceError};

use super::types::{Asked, Mapping, ServerType, comparable, own_name};

/// How the bounds travel that are compared outside of the query.
const FROM: &str = "etlsched.from";
const UNTIL: &str = "etlsched.until";

/// How the value of a placeholder travels: a placeholder becomes a call, so that no value is ever part of the text.
fn setting(placeholder: Placeholder) -> &'static str {
    match placeholder {
        Placeholder::LastSync => "etlsched.last_sync",
        Placeholder::LowerBound => "etlsched.lower_bound",
        Placeholder::Slot => "etlsched.slot",
        Placeholder::RunStarted => "etlsched.run_started",
    }
}

/// What is read, as the server describes it.
#[derive(Debug)]
pub(super) struct Described {
    /// The statement without bounds; placeholders as written.
    pub base: String,
    /// The quoted name of a table.
    pub table: Option<String>,
    pub names: Vec<String>,
    pub types: Vec<ServerType>,
}

/// Finds out what is read.
///
/// # Errors
/// No such table, no query, two columns of one name.
pub(super) fn describe(session: &mut Session, source: &str, plan: &PostgresSourcePlan) -> Result<Described, SourceError> {
    let table = plan.table.as_ref().map(|table| find(session, source, table)).transpose()?;
    let base = match (&table, &plan.custom_sql) {
        (Some(table), _) => of_table(table, plan.filter.as_deref(), None),
        (None, sql) => sql.as_deref().unwrap_or_default().trim().trim_end_matches(';').trim_end().to_owned(),
    };
    let statement = probe(session, source, &base)?;
    let columns = statement.columns();
    if columns.is_empty() {
        return Err(SourceError::new("invalid_sql", format!("source {source}: what is read has no columns")));
    }
    let names: Vec<String> = columns.iter().map(|column| column.name().to_owned()).collect();
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
        let error = SourceError::new("invalid_sql", format!("source {source}: two columns are named {twice}"));
        return Err(error.hint("name them apart with AS in custom_sql"));
    }
    let types = columns.iter().map(|column| ServerType { oid: column.type_().oid(), modifier: column.type_modifier() }).collect();
    Ok(Described { base, table, names, types })
}

/// Prepares a query whose placeholders have no values yet. Which type they have is known when the query is: a NULL takes whatever type its
/// place wants, where one can be found.
fn probe(session: &mut Session, source: &str, base: &str) -> Result<Statement, SourceError> {
    let with = |bound: &str| {
        let null = |placeholder: Placeholder| if placeholder.is_bound() { bound } else { "(NULL::timestamptz)" }.to_owned();
        placeholders::replaced(base, &POSTGRESQL, null)
    };
    let (sql, named) = with("NULL");
    let fail = |session: &Session, error: &postgres::Error| SourceError::from(session.failure(&format!("read source {source}"), error));
    if !named.iter().any(|placeholder| placeholder.is_bound()) {
        return session.client.prepare(&sql).map_err(|error| fail(session, &error));
    }
    let mut first = None;
    for bound in ["NULL", "(NULL::timestamptz)", "(NULL::timestamp)", "(NULL::date)", "(NULL::int8)", "(NULL::numeric)"] {
        session.client.batch_execute("SAVEPOINT etlsched_probe").map_err(|error| fail(session, &error))?;
        match session.client.prepare(&with(bound).0) {
            Ok(statement) => return Ok(statement),
            Err(error) => first = first.or(Some(fail(session, &error))),
        }
        session.client.batch_execute("ROLLBACK TO SAVEPOINT etlsched_probe").map_err(|error| fail(session, &error))?;
    }
    Err(first.unwrap_or_else(|| SourceError::new("internal", "no type was tried")))
}

/// Drops the statements that the library keeps to look up types of its own accord, for its connection's life: behind a pooler that is not
/// the server's, and the next transaction of the session is somebody else's, whose statements may have their names. PgBouncer's own names
/// stay. Nothing can be described after this.
///
/// # Errors
/// What the server reports.
pub(super) fn forget(session: &mut Session, source: &str) -> Result<(), SourceError> {
    let sql = "SELECT name FROM pg_prepared_statements WHERE NOT from_sql AND name ~ '^s[0-9]+$' \
         AND ltrim(statement) ~ '^SELECT (t.typname, t.typtype|enumlabel|attname, atttypid)\\M'";
    let fail = |session: &Session, error: &postgres::Error| SourceError::from(session.failure(&format!("read source {source}"), error));
    let rows = session.client.query_typed(sql, &[]).map_err(|error| fail(session, &error))?;
    for row in rows {
        let statement = format!("DEALLOCATE {}", quoted(row.get(0)));
        session.client.batch_execute(&statement).map_err(|error| fail(session, &error))?;
    }
    Ok(())
}

/// Makes the statement that reads a table, or a part of it.
pub(super) fn of_table(table: &str, filter: Option<&str>, part: Option<&str>) -> String {
    let conditions: Vec<String> = filter.into_iter().chain(part).map(|condition| format!("({condition}\n)")).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT * FROM {table}{filter}")
}

/// Returns a table's quoted name as the server knows it.
fn find(session: &mut Session, source: &str, table: &str) -> Result<String, SourceError> {
    let (schema, name) = tables::parts(table);
    let quoted_name = match schema {
        Some(schema) => format!("{}.{}", quoted(&schema), quoted(&name)),
        None => quoted(&name),
    };
    let found = session.client.query_typed("SELECT to_regclass($1) IS NOT NULL", &[(&quoted_name, Type::TEXT)]);
    let found = found.map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    if found.first().is_some_and(|row| row.get(0)) {
        return Ok(quoted_name);
    }
    let unmatched = tables::no_table(table, &listed(session, source)?);
    Err(SourceError::unmatched(source, &unmatched, &session.place))
}

/// Lists the tables, views and foreign tables of the database. The rows of a partition are its parent's too; temporary tables are of the
/// system's schemas.
pub(super) fn listed(session: &mut Session, source: &str) -> Result<Vec<Listed>, SourceError> {
    let sql = "SELECT n.nspname::text, c.relname::text, pg_table_is_visible(c.oid), \
         c.relispartition OR n.nspname = 'information_schema' OR n.nspname LIKE 'pg\\_%' \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')";
    let rows = session.client.query_typed(sql, &[]).map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    let listed = |row: &postgres::Row| Listed { schema: row.get(0), name: row.get(1), is_in_path: row.get(2), is_by_name_only: row.get(3) };
    Ok(rows.iter().map(listed).collect())
}

/// The rows that are asked for, by the cursor column.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The source's name of the cursor column.
    pub column: String,
    /// The type as which the server compares it.
    pub comparable: &'static str,
    /// Whether the column has to be cast for that.
    pub is_cast: bool,
    /// The column's type here.
    pub column_type: ColumnType,
    pub lower: Option<CursorValue>,
    pub upper: Option<CursorValue>,
    /// Whether a query that names placeholders is filtered from outside too.
    pub is_exact: bool,
    pub is_without_nulls: bool,
}

/// Takes the cursor column and its bounds from what is asked.
///
/// # Errors
/// A column that isn't there, or whose type can't be compared.
pub(super) fn bounds(
    source: &str,
    described: &Described,
    rules: &ColumnRules,
    request: &ReadRequest<'_>,
) -> Result<Option<Bounds>, SourceError> {
    let Some(given) = &request.options.timestamp_column else { return Ok(None) };
    let ReadRequest { lower_bound, upper_bound, is_exact, is_without_nulls, .. } = *request;
    let (lower, upper) = (lower_bound.cloned(), upper_bound.cloned());
    Ok(Some(Bounds { lower, upper, is_exact, is_without_nulls, ..cursor(source, described, rules, given)? }))
}

/// Returns what is known of a cursor column by its name in the job.
///
/// # Errors
/// As for [`bounds`].
pub(super) fn cursor(source: &str, described: &Described, rules: &ColumnRules, given: &str) -> Result<Bounds, SourceError> {
    let CursorColumn { name, place, declared } = cursor_column::find(source, &described.names, rules, given)?;
    let server_type = described.types[place];
    let column_type = declared.unwrap_or(server_type.mapping().column_type);
    let own = own_name(server_type.oid).filter(|_| declared.is_none_or(|declared| server_type.mapping().column_type == declared));
    let Some(comparable) = own.or_else(|| comparable(column_type)) else {
        return Err(bad_cursor(source, given, column_type));
    };
    Ok(Bounds {
        column: name.to_owned(),
        comparable,
        is_cast: own.is_none(),
        column_type,
        lower: None,
        upper: None,
        is_exact: false,
        is_without_nulls: false,
    })
}

impl Bounds {
    fn expression(&self) -> String {
        let column = quoted(&self.column);
        if self.is_cast { format!("CAST({column} AS {})", self.comparable) } else { column }
    }

    fn is_time(&self) -> bool {
        matches!(self.comparable, "date" | "timestamp" | "timestamptz")
    }

    /// Returns the type of what the column is compared with: a published cursor may be of the wider type that the column had.
    fn bound_type(&self) -> &'static str {
        match self.comparable {
            "int2" | "int4" => "int8",
            comparable => comparable,
        }
    }

    /// Returns the value of `:lower_bound`: on the first run 1970, or the least value of the type.
    fn lower_text(&self) -> String {
        match &self.lower {
            Some(lower) => lower.text.clone(),
            None => match self.comparable {
                "int2" => i16::MIN.to_string(),
                "int4" => i32::MIN.to_string(),
                "oid" => "0".to_owned(),
                "int8" => i64::MIN.to_string(),
                "numeric" => format!("-{}", "9".repeat(76)),
                _ => EPOCH.to_owned(),
            },
        }
    }

    /// Returns the value of `:last_sync`: the greatest below the lower bound, in the column's own step.
    fn below(&self, source: &str) -> Result<String, SourceError> {
        let text = self.lower_text();
        let value = match &self.lower {
            Some(lower) => lower.clone(),
            None if self.is_time() => {
                let text = if self.column_type == ColumnType::Date { text[..10].to_owned() } else { text.clone() };
                CursorValue { column_type: self.column_type, text }
            }
            // Nothing lies below the least value.
            None => return Ok(text),
        };
        let below = value.position().and_then(|position| CursorValue::at(value.column_type, position - 1));
        below.map(|below| below.text).ok_or_else(|| {
            let message = format!("source {source}: {} has no step, so that there is no greatest value below its bound", self.column);
            SourceError::new("invalid_sql", message).hint("use >= :lower_bound in custom_sql")
        })
    }
}

/// What `:last_sync` and `:lower_bound` are on the first run.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// A statement and the settings that carry its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub sql: String,
    pub settings: Vec<(&'static str, String)>,
}

/// Makes the statement that reads some columns of the rows within bounds.
///
/// # Errors
/// `:last_sync` where the column's type has no step.
pub(super) fn bounded(
    source: &str,
    base: &str,
    columns: &[(String, Mapping)],
    bounds: Option<&Bounds>,
    moments: Moments,
) -> Result<Query, SourceError> {
    let expressions: Vec<String> = columns.iter().map(|(name, mapping)| expression(name, mapping.asked)).collect();
    rows(source, base, &expressions.join(", "), bounds, Some(moments))
}

/// As [`bounded`], for any list of expressions; without moments they are the present.
///
/// # Errors
/// As for [`bounded`].
pub(super) fn rows(
    source: &str,
    base: &str,
    expressions: &str,
    bounds: Option<&Bounds>,
    moments: Option<Moments>,
) -> Result<Query, SourceError> {
    let type_name = bounds.map_or("timestamptz", |bounds| bounds.comparable);
    let call = |setting: &str, type_name: &str| format!("(current_setting('{setting}')::{type_name})");
    let (inner, named) = placeholders::replaced(base, &POSTGRESQL, |placeholder| match (placeholder.is_bound(), moments) {
        (true, _) => call(setting(placeholder), type_name),
        (false, Some(_)) => call(setting(placeholder), "timestamptz"),
        (false, None) => "(clock_timestamp())".to_owned(),
    });
    let mut settings: Vec<(&'static str, String)> = Vec::new();
    for placeholder in Placeholder::ALL.into_iter().filter(|placeholder| named.contains(placeholder)) {
        let value = match (placeholder, bounds) {
            (Placeholder::Slot | Placeholder::RunStarted, _) => {
                let Some(moments) = moments else { continue };
                instant(if placeholder == Placeholder::Slot { moments.slot } else { moments.run_started })
            }
            (Placeholder::LastSync | Placeholder::LowerBound, None) => EPOCH.to_owned(),
            (Placeholder::LastSync, Some(bounds)) => bounds.below(source)?,
            (Placeholder::LowerBound, Some(bounds)) => bounds.lower_text(),
        };
        settings.push((setting(placeholder), value));
    }
    let mut conditions = Vec::new();
    if let Some(bounds) = bounds {
        let column = bounds.expression();
        // NULLs are counted by whoever reads, unless they are in no case asked for.
        let nulls = |condition: String| if bounds.is_without_nulls { condition } else { format!("({condition} OR {column} IS NULL)") };
        let is_filtered = bounds.is_exact || !named.iter().any(|placeholder| placeholder.is_bound());
        if let Some(lower) = bounds.lower.as_ref().filter(|_| is_filtered) {
            conditions.push(nulls(format!("{column} >= {}", call(FROM, bounds.bound_type()))));
            settings.push((FROM, lower.text.clone()));
        }
        if let Some(upper) = bounds.upper.as_ref() {
            conditions.push(nulls(format!("{column} < {}", call(UNTIL, bounds.bound_type()))));
            settings.push((UNTIL, upper.text.clone()));
        }
    }
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    Ok(Query { sql: format!("SELECT {expressions} FROM (\n{inner}\n) AS etlsched{filter}"), settings })
}

fn instant(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn expression(name: &str, asked: Asked) -> String {
    let name = quoted(name);
    match asked {
        Asked::Plain => name,
        Asked::Cast => format!("{name}::text"),
        // An address is never an empty text, so that NULL comes back.
        Asked::Output => format!("nullif(concat({name}), '')"),
        Asked::Numeric => format!("{name}::numeric"),
    }
}

/// Gives a query's settings their values, for the transaction alone.
///
/// # Errors
/// What the server reports.
pub(super) fn settle(session: &mut Session, source: &str, query: &Query) -> Result<(), SourceError> {
    for (name, value) in &query.settings {
        let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 2] = [(name, Type::TEXT), (value, Type::TEXT)];
        let set = session.client.query_typed("SELECT set_config($1, $2, true)", &parameters);
        set.map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    }
    Ok(())
}

/// Returns the columns of a table's primary key, in its order; none where rows of other tables are read with it.
///
/// # Errors
/// No such table.
pub(super) fn primary_key(session: &mut Session, source: &str, table: &str) -> Result<Vec<String>, SourceError> {
    let table = find(session, source, table)?;
    let sql = "SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         JOIN pg_class c ON c.oid = i.indrelid \
         WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts \
         AND NOT (c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)) ORDER BY k.place";
    let rows = session.client.query_typed(sql, &[(&table, Type::TEXT)]);
    let rows = rows.map_err(|error| session.failure(&format!("read source {source}"), &error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
