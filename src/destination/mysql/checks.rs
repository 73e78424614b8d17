//! Checks on staged rows: what the job expects.

use super::session::{Outcome, failed, refusal};
use super::staging::Staging;
use super::types::{literal, quoted};
use crate::batch::ColumnType;
use crate::plan::Expect;
use crate::text::{count, grouped, shortened};

/// How many wrong rows of `expect.sql` are counted.
const WRONG_ROWS_MAX: usize = 1000;

/// Runs what the job expects; returns what failed.
pub(super) fn run(staging: &mut Staging<'_>, expect: &Expect) -> Outcome<Vec<String>> {
    let Expect { min_rows, max_rows, max_row_drop_percent, not_null, unique, sql } = expect;
    let rows = staging.rows;
    let mut failures = Vec::new();
    if let Some(min) = min_rows.filter(|min| rows < *min) {
        failures.push(format!("min_rows: {}, expected at least {}", count(rows, "row"), grouped(min)));
    }
    if let Some(max) = max_rows.filter(|max| rows > *max) {
        failures.push(format!("max_rows: {}, expected at most {}", count(rows, "row"), grouped(max)));
    }
    if let (Some(percent), Some(previous)) = (max_row_drop_percent, &staging.previous)
        && previous.version > 0
        && (rows as f64) < previous.rows as f64 * (1.0 - percent / 100.0)
    {
        failures.push(format!(
            "max_row_drop_percent: {}, {} at the last load, expected at most {percent} % fewer",
            count(rows, "row"),
            grouped(previous.rows)
        ));
    }
    for column in not_null {
        failures.extend(nulls(staging, column)?);
    }
    if !unique.is_empty() {
        failures.extend(duplicates(staging, unique)?);
    }
    if let Some(sql) = sql {
        failures.extend(returned(staging, sql)?);
    }
    Ok(failures)
}

fn nulls(staging: &mut Staging<'_>, column: &str) -> Outcome<Option<String>> {
    let column = known(staging, column)?;
    let sql = format!("SELECT count(*) FROM {} WHERE {} IS NULL", staging.session.table(&staging.table), quoted(&column));
    let rows = number(staging, &sql)?;
    Ok((rows > 0).then(|| format!("not_null: column {column} is NULL in {}", count(rows, "row"))))
}

fn duplicates(staging: &mut Staging<'_>, columns: &[String]) -> Outcome<Option<String>> {
    let columns: Vec<String> = columns.iter().map(|column| known(staging, column)).collect::<Outcome<_>>()?;
    // Long texts are compared by their hashes: a sort looks at their beginnings alone.
    let is_long = |name: &String| staging.layout.batch.columns.iter().any(|column| column.name == *name && is_long(column.column_type));
    let list: Vec<String> =
        columns.iter().map(|name| if is_long(name) { format!("SHA2({}, 256)", quoted(name)) } else { quoted(name) }).collect();
    let list = list.join(", ");
    let staged = staging.session.table(&staging.table);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {staged} GROUP BY {list} HAVING count(*) > 1) AS twice");
    let groups = number(staging, &sql)?;
    Ok((groups > 0).then(|| format!("unique: {} of {} more than once", count(groups, "value"), columns.join(", "))))
}

/// Runs the job's own query in a transaction that can't write.
fn returned(staging: &mut Staging<'_>, sql: &str) -> Outcome<Option<String>> {
    let what = format!("the check `expect.sql` of {}", staging.request.target);
    let staged = staging.session.table(&staging.table);
    let hint = "a check is one SELECT that returns the rows that are wrong; {table} in it stands for the loaded rows";
    let query = sql.replace("{table}", &staged);
    let query = format!("SELECT * FROM ({}) AS wrong LIMIT {WRONG_ROWS_MAX}", query.trim().trim_end_matches(';'));
    let session = &mut *staging.session;
    // A prepared statement is one statement, whatever stands in it.
    let prepare = format!("PREPARE _etlsched_check FROM {}", literal(&query));
    let answer = session.run("START TRANSACTION READ ONLY").and_then(|_| session.run(&prepare));
    let answer = answer.and_then(|_| session.query("EXECUTE _etlsched_check"));
    session.roll_back();
    let rows = answer.map_err(|error| {
        let error = failed(&what)(error);
        // The server may repeat the statement: as it was written, not with our name for the rows.
        refusal("bad_check", error.message.replace(&staged, "{table}"), hint)
    })?;
    let Some(first) = rows.first() else { return Ok(None) };
    let shown = |cell: &Option<String>| cell.as_ref().map_or_else(|| "NULL".to_owned(), |text| shortened(text, 60).into_owned());
    let shown = first.iter().map(shown).collect::<Vec<_>>().join(", ");
    let more = if rows.len() == WRONG_ROWS_MAX { " or more" } else { "" };
    Ok(Some(format!("sql: {}{more} returned, expected none; the first: {shown}", count(rows.len() as u64, "row"))))
}

fn number(staging: &mut Staging<'_>, sql: &str) -> Outcome<u64> {
    staging.session.number(sql).map_err(failed(format_args!("checking the rows for {}", staging.request.target)))
}

/// Returns a column under the target's spelling.
fn known(staging: &Staging<'_>, name: &str) -> Outcome<String> {
    let mut columns = staging.layout.batch.columns.iter();
    match columns.find(|column| column.name.eq_ignore_ascii_case(name)) {
        Some(column) => Ok(column.name.clone()),
        None => {
            let message = format!("the checks of table {} name column {name}, which the source doesn't have", staging.request.target);
            Err(refusal("no_such_column", message, "look at `expect` and columns.rename"))
        }
    }
}

/// Whether a type's values may be longer than what a sort looks at.
fn is_long(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Text | ColumnType::Json | ColumnType::Binary)
}
