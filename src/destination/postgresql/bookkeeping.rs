//! `_etlsched_loads` and `_etlsched_files`: the truth about what is loaded, and the fence between runs. They stand in the target's schema.

use chrono::{DateTime, SecondsFormat, Utc};
use postgres::Row;

use super::session::{Outcome, Session, failed, is_worth_another_try};
use crate::batch::{ColumnType, Schema};
use crate::destination::failure::fence_lost;
use crate::destination::{LoadRecord, PublishRequest};
use crate::plan::{Mode, Owner, RunRef};
use crate::run::{Counts, CursorValue, FileRecord};

/// Two loads that begin at once on a fresh schema must not both make the tables: the second waits, then finds them.
const MAKING: &str = "SELECT pg_advisory_xact_lock(hashtext('_etlsched_loads'))";

const LOADS: &str = "(
    target text PRIMARY KEY,
    workspace_id text NOT NULL,
    job text NOT NULL,
    source text NOT NULL,
    stream text NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    run_id text,
    slot text,
    mode text,
    cursor_type text,
    cursor_value text,
    lower_bound text,
    row_count bigint NOT NULL DEFAULT 0,
    counts text,
    rows_in_target bigint,
    columns text,
    committed_at timestamptz,
    begun_version bigint NOT NULL,
    begun_run_id text NOT NULL
)";

const FILES: &str = "(
    target text NOT NULL,
    path text NOT NULL,
    size bigint NOT NULL,
    modified_at_micros bigint,
    content_hash text NOT NULL,
    run_id text NOT NULL,
    PRIMARY KEY (target, path)
)";

/// How long the rows of a job wait for a load that is publishing: the server needs two seconds to see that a killed worker is gone.
const PATIENCE_MS: u64 = 4_000;

/// What a load holds against other runs: it publishes only while its row still says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub begun_version: i64,
    pub run_id: String,
}

/// Raises the fence of a target; makes its row where there is none.
pub(super) fn begin_sql(loads: &str) -> String {
    format!(
        "INSERT INTO {loads} AS loads (target, workspace_id, job, source, stream, begun_version, begun_run_id) \
         VALUES ($1, $2, $3, $4, $5, 1, $6) \
         ON CONFLICT ((lower(target))) DO UPDATE SET begun_version = loads.begun_version + 1, begun_run_id = excluded.begun_run_id \
         RETURNING begun_version"
    )
}

/// Writes the published values, where the fence still holds.
pub(super) fn publish_sql(loads: &str) -> String {
    format!(
        "UPDATE {loads} SET version = version + 1, run_id = $1, slot = $2, mode = $3, cursor_type = coalesce($4, cursor_type), \
         cursor_value = coalesce($5, cursor_value), lower_bound = $6, row_count = $7::bigint, columns = $8, committed_at = $9::timestamptz \
         WHERE lower(target) = lower($10) AND begun_version = $11::bigint AND begun_run_id = $1 RETURNING version"
    )
}

/// Writes what became of the rows.
pub(super) fn counts_sql(loads: &str) -> String {
    format!("UPDATE {loads} SET counts = $2, rows_in_target = $3::bigint WHERE lower(target) = lower($1)")
}

/// Forgets the files of a target.
pub(super) fn forget_files_sql(files: &str) -> String {
    format!("DELETE FROM {files} WHERE lower(target) = lower($1)")
}

/// Writes a file that went into a target.
pub(super) fn add_file_sql(files: &str) -> String {
    format!(
        "INSERT INTO {files} (target, path, size, modified_at_micros, content_hash, run_id) \
         VALUES ($1, $2, $3::bigint, $4::bigint, $5, $6) \
         ON CONFLICT (target, path) DO UPDATE SET size = excluded.size, modified_at_micros = excluded.modified_at_micros, \
         content_hash = excluded.content_hash, run_id = excluded.run_id"
    )
}

/// Returns the tables as SQL: loads, files.
pub(super) fn tables(session: &Session) -> [String; 2] {
    [session.table("_etlsched_loads"), session.table("_etlsched_files")]
}

/// Makes the tables where they are absent. Inside a transaction.
pub(super) fn make_tables(session: &mut Session) -> Outcome<()> {
    if has_tables(session)? {
        return Ok(());
    }
    let [loads, files] = tables(session);
    let sql = format!(
        "{MAKING}; CREATE TABLE IF NOT EXISTS {loads} {LOADS}; CREATE TABLE IF NOT EXISTS {files} {FILES}; \
         CREATE UNIQUE INDEX IF NOT EXISTS _etlsched_loads_target ON {loads} (lower(target))"
    );
    session.client.batch_execute(&sql).map_err(failed("making the _etlsched_ tables"))
}

/// Inserts or raises the target's row. Inside a transaction.
///
/// # Errors
/// `owner_clash` when someone else's job loads the table.
pub(super) fn begin(session: &mut Session, target: &str, owner: &Owner, run: &RunRef) -> Outcome<Fence> {
    let [loads, _] = tables(session);
    let Owner { workspace_id, job, source, stream } = owner;
    let parameters = [target, workspace_id, job, source, stream, run.run_id.as_str()].map(Some);
    let rows =
        session.rows(&begin_sql(&loads), &parameters).map_err(failed(format_args!("beginning the load of {target} in _etlsched_loads")))?;
    // Behind the lock of the row: nobody else can have taken it meanwhile.
    if let Some(record) = record(session, target)? {
        record.refuse_other_owner(owner)?;
    }
    Ok(Fence { begun_version: rows.first().map_or(0, |row| row.get(0)), run_id: run.run_id.clone() })
}

/// Writes the published values. Inside the transaction of the rows.
///
/// # Errors
/// `fence_lost` when another run has begun since.
pub(super) fn publish(
    session: &mut Session,
    target: &str,
    fence: &Fence,
    run: &RunRef,
    request: &PublishRequest,
    rows: u64,
    schema: &Schema,
) -> Outcome<i64> {
    let columns = serde_json::to_string(schema).expect("names and types are JSON");
    let cursor_type = request.cursor.as_ref().map(|cursor| cursor.column_type.to_string());
    let now = request.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    let (rows, begun_version) = (rows.to_string(), fence.begun_version.to_string());
    let parameters = [
        Some(fence.run_id.as_str()),
        run.slot.as_deref(),
        Some(request.mode.as_str()),
        cursor_type.as_deref(),
        request.cursor.as_ref().map(|cursor| cursor.text.as_str()),
        request.lower_bound.as_ref().map(|bound| bound.text.as_str()),
        Some(rows.as_str()),
        Some(columns.as_str()),
        Some(now.as_str()),
        Some(target),
        Some(begun_version.as_str()),
    ];
    let [loads, _] = tables(session);
    let published =
        session.rows(&publish_sql(&loads), &parameters).map_err(failed(format_args!("publishing {target} in _etlsched_loads")))?;
    published.first().map(|row| row.get(0)).ok_or_else(|| fence_lost(target))
}

/// Returns the version that a run has published, after every transaction on the row has come to its end: the fate of a commit whose
/// answer was lost.
pub(super) fn published_by(session: &mut Session, target: &str, fence: &Fence) -> Outcome<Option<i64>> {
    let [loads, _] = tables(session);
    let sql = format!("SELECT version FROM {loads} WHERE lower(target) = lower($1) AND run_id = $2 FOR UPDATE");
    let mut read = || session.rows(&sql, &[Some(target), Some(&fence.run_id)]);
    let rows = read().map_err(failed(format_args!("asking what became of the load of {target}")))?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Returns the row of a target when every transaction on it has come to its end: a worker that was killed may have left a commit that is
/// under way, which the server does all the same.
///
/// # Errors
/// `locked` where that takes minutes.
pub(super) fn settled(session: &mut Session, target: &str) -> Outcome<Option<LoadRecord>> {
    let mut tries = 0;
    while let Err(error) = await_writers(session, "lower(target) = lower($1)", &[Some(target)], 0) {
        tries += 1;
        if !is_worth_another_try(&error, tries) {
            return Err(error);
        }
    }
    record(session, target)
}

/// Returns the rows of a job; those that a load is publishing right now are waited for, but not for long.
pub(super) fn settled_records(session: &mut Session, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
    let waited = await_writers(session, "workspace_id = $1 AND job = $2", &[Some(workspace_id), Some(job)], PATIENCE_MS);
    match waited {
        Err(error) if !matches!(error.code, "statement_cancelled" | "locked") => Err(error),
        _ => records(session, workspace_id, job),
    }
}

/// Waits until nobody else is changing the rows; a time of 0 sets no limit but that of every lock. Leaves nothing behind, not even a lock.
/// Where the role may not lock rows, or the server takes no changes, nothing is waited for.
fn await_writers(session: &mut Session, condition: &str, parameters: &[Option<&str>], limit_ms: u64) -> Outcome<()> {
    if !has_tables(session)? {
        return Ok(());
    }
    let [loads, _] = tables(session);
    let waited = session.begin().and_then(|()| {
        let sql = format!("SELECT 1 FROM {loads} WHERE {condition} FOR SHARE");
        let limited = session.run(&format!("SET LOCAL statement_timeout = {limit_ms}"));
        limited.and_then(|_| session.rows(&sql, parameters)).map_err(failed("waiting for the end of a load"))
    });
    session.roll_back();
    match waited {
        Err(error) if matches!(error.code, "not_permitted" | "read_only") => Ok(()),
        waited => waited.map(|_| ()),
    }
}

/// Whether no other run has begun a load of the table since.
pub(super) fn is_held(session: &mut Session, target: &str, fence: &Fence) -> Result<bool, postgres::Error> {
    let [loads, _] = tables(session);
    let sql = format!("SELECT 1 FROM {loads} WHERE lower(target) = lower($1) AND begun_version = $2::bigint AND begun_run_id = $3");
    let rows = session.rows(&sql, &[Some(target), Some(&fence.begun_version.to_string()), Some(&fence.run_id)])?;
    Ok(!rows.is_empty())
}

/// Returns the targets that have a row.
pub(super) fn targets(session: &mut Session) -> Outcome<Vec<String>> {
    let [loads, _] = tables(session);
    let rows = session.rows(&format!("SELECT target FROM {loads}"), &[]).map_err(failed("reading _etlsched_loads"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes what became of the rows. Inside the transaction of the rows, when they are in their place.
pub(super) fn write_counts(session: &mut Session, target: &str, counts: &Counts, rows_in_target: u64) -> Outcome<()> {
    let counts = serde_json::to_string(counts).expect("numbers are JSON");
    let [loads, _] = tables(session);
    session
        .execute(&counts_sql(&loads), &[Some(target), Some(&counts), Some(&rows_in_target.to_string())])
        .map(|_| ())
        .map_err(failed(format_args!("writing the counts of {target} into _etlsched_loads")))
}

/// Forgets how far the source of a table was read, for the owner that it has from now on; a load under way loses its fence.
/// Without a mode the row counts as never published, so that the next load is a first one. Inside a transaction.
pub(super) fn forget(session: &mut Session, target: &str, owner: &Owner) -> Outcome<()> {
    let [loads, files] = tables(session);
    let sql = format!(
        "UPDATE {loads} SET workspace_id = $2, job = $3, source = $4, stream = $5, mode = NULL, cursor_type = NULL, cursor_value = NULL, \
         lower_bound = NULL, begun_version = begun_version + 1 WHERE target = $1"
    );
    let Owner { workspace_id, job, source, stream } = owner;
    let written = session
        .execute(&sql, &[target, workspace_id, job, source, stream].map(Some))
        .and_then(|_| session.execute(&forget_files_sql(&files), &[Some(target)]));
    written.map(|_| ()).map_err(failed(format_args!("resetting {target} in _etlsched_loads")))
}

/// Notes that a table with rows that no load brought is this owner's from now on, rows and all. Inside a transaction.
pub(super) fn make_acquainted(session: &mut Session, target: &str, owner: &Owner, rows: u64) -> Outcome<()> {
    make_tables(session)?;
    let [loads, _] = tables(session);
    let sql = format!(
        "INSERT INTO {loads} (target, workspace_id, job, source, stream, rows_in_target, begun_version, begun_run_id) \
         VALUES ($1, $2, $3, $4, $5, $6::bigint, 0, '') ON CONFLICT ((lower(target))) DO UPDATE SET rows_in_target = excluded.rows_in_target"
    );
    let Owner { workspace_id, job, source, stream } = owner;
    let written = session.execute(&sql, &[target, workspace_id, job, source, stream, &rows.to_string()].map(Some));
    written.map(|_| ()).map_err(failed(format_args!("taking {target} over in _etlsched_loads")))
}

/// Writes which files are in. Inside the transaction of the rows.
pub(super) fn write_files(session: &mut Session, target: &str, run_id: &str, request: &PublishRequest) -> Outcome<()> {
    let [_, files] = tables(session);
    let mut write = || -> Result<(), postgres::Error> {
        if request.replace_files {
            session.execute(&forget_files_sql(&files), &[Some(target)])?;
        }
        for FileRecord { path, size, modified_at_micros, content_hash } in &request.files {
            let size = i64::try_from(*size).unwrap_or(i64::MAX).to_string();
            let modified = modified_at_micros.map(|micros| micros.to_string());
            let parameters = [Some(target), Some(path.as_str()), Some(&size), modified.as_deref(), Some(content_hash), Some(run_id)];
            session.execute(&add_file_sql(&files), &parameters)?;
        }
        Ok(())
    };
    write().map_err(failed(format_args!("writing the files of {target} into _etlsched_files")))
}

/// Returns the row of a target.
pub(super) fn record(session: &mut Session, target: &str) -> Outcome<Option<LoadRecord>> {
    Ok(select(session, "lower(target) = lower($1)", &[Some(target)])?.into_iter().next())
}

/// Returns the rows of a job.
pub(super) fn records(session: &mut Session, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
    select(session, "workspace_id = $1 AND job = $2 ORDER BY target", &[Some(workspace_id), Some(job)])
}

/// Returns the files of a target.
pub(super) fn files(session: &mut Session, target: &str) -> Outcome<Vec<FileRecord>> {
    if !has_tables(session)? {
        return Ok(Vec::new());
    }
    let [_, files] = tables(session);
    let sql = format!(
        "SELECT path, size, modified_at_micros, content_hash FROM {files} WHERE lower(target) = lower($1) ORDER BY path COLLATE \"C\""
    );
    let rows = session.rows(&sql, &[Some(target)]).map_err(failed(format_args!("reading the files of {target} from _etlsched_files")))?;
    let file = |row: &Row| FileRecord {
        path: row.get(0),
        size: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        modified_at_micros: row.get(2),
        content_hash: row.get(3),
    };
    Ok(rows.iter().map(file).collect())
}

/// Whether the tables are there.
pub(super) fn has_tables(session: &mut Session) -> Outcome<bool> {
    let schema = session.schema.clone();
    let sql = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname IN ('_etlsched_loads', '_etlsched_files')";
    let rows = session.rows(sql, &[Some(&schema)]).map_err(failed("looking for the _etlsched_ tables"))?;
    Ok(rows.first().is_some_and(|row| row.get::<_, i64>(0) == 2))
}

fn select(session: &mut Session, condition: &str, parameters: &[Option<&str>]) -> Outcome<Vec<LoadRecord>> {
    if !has_tables(session)? {
        return Ok(Vec::new());
    }
    let [loads, _] = tables(session);
    let rows = session.rows(&format!("SELECT * FROM {loads} WHERE {condition}"), parameters).map_err(failed("reading _etlsched_loads"))?;
    Ok(rows.iter().map(from_row).collect())
}

fn from_row(row: &Row) -> LoadRecord {
    let text = |name: &str| row.get::<_, Option<String>>(name);
    let cursor = match (text("cursor_type"), text("cursor_value")) {
        (Some(column_type), Some(value)) => {
            ColumnType::parse(&column_type).ok().map(|column_type| CursorValue { column_type, text: value })
        }
        _ => None,
    };
    let mode = text("mode").and_then(|mode| [Mode::Full, Mode::Incremental].into_iter().find(|known| known.as_str() == mode));
    LoadRecord {
        target: row.get("target"),
        owner: Owner { workspace_id: row.get("workspace_id"), job: row.get("job"), source: row.get("source"), stream: row.get("stream") },
        version: row.get("version"),
        run_id: text("run_id"),
        slot: text("slot"),
        mode,
        cursor,
        rows: u64::try_from(row.get::<_, i64>("row_count")).unwrap_or(0),
        counts: text("counts").and_then(|counts| serde_json::from_str(&counts).ok()),
        rows_in_target: row.get::<_, Option<i64>>("rows_in_target").and_then(|rows| u64::try_from(rows).ok()),
        schema: text("columns").and_then(|columns| serde_json::from_str(&columns).ok()).unwrap_or_default(),
        committed_at: row.get::<_, Option<DateTime<Utc>>>("committed_at"),
    }
}
