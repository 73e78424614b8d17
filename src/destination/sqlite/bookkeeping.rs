//! `_etlsched_loads` and `_etlsched_files`: the truth about what is loaded, and the fence between runs.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::failure::{Outcome, failed};
use crate::batch::{ColumnType, Schema};
use crate::destination::failure::fence_lost;
use crate::destination::{LoadRecord, PublishRequest};
use crate::plan::{Mode, Owner, RunRef};
use crate::run::{Counts, CursorValue, FileRecord};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _etlsched_loads (
    target TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    workspace_id TEXT NOT NULL,
    job TEXT NOT NULL,
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    run_id TEXT,
    slot TEXT,
    mode TEXT,
    cursor_type TEXT,
    cursor_value TEXT,
    lower_bound TEXT,
    row_count INTEGER NOT NULL DEFAULT 0,
    counts TEXT,
    rows_in_target INTEGER,
    columns TEXT,
    committed_at TEXT,
    begun_version INTEGER NOT NULL,
    begun_run_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS _etlsched_files (
    target TEXT NOT NULL COLLATE NOCASE,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified_at_micros INTEGER,
    content_hash TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (target, path)
);";

/// Columns that files made before them lack.
const LATER_COLUMNS: [(&str, &str); 2] = [("counts", "TEXT"), ("rows_in_target", "INTEGER")];

/// Raises the fence of a target; makes its row where there is none.
pub(super) const BEGIN: &str = "INSERT INTO _etlsched_loads (target, workspace_id, job, source, stream, begun_version, begun_run_id)
         VALUES (:target, :workspace, :job, :source, :stream, 1, :run)
         ON CONFLICT (target) DO UPDATE SET begun_version = begun_version + 1, begun_run_id = excluded.begun_run_id
         RETURNING begun_version";

/// Writes the published values, where the fence still holds.
pub(super) const PUBLISH: &str = "UPDATE _etlsched_loads SET version = version + 1, run_id = :run, slot = :slot, mode = :mode,
             cursor_type = CASE WHEN :keeps_cursor THEN cursor_type ELSE :cursor_type END,
             cursor_value = CASE WHEN :keeps_cursor THEN cursor_value ELSE :cursor_value END,
             lower_bound = :lower_bound, row_count = :rows, columns = :columns, committed_at = :now
         WHERE target = :target AND begun_version = :begun_version AND begun_run_id = :run
         RETURNING version";

/// Writes what became of the rows.
pub(super) const COUNTS: &str = "UPDATE _etlsched_loads SET counts = ?2, rows_in_target = ?3 WHERE target = ?1";

/// Forgets the files of a target.
pub(super) const FORGET_FILES: &str = "DELETE FROM _etlsched_files WHERE target = ?1";

/// Writes a file that went into a target.
pub(super) const ADD_FILE: &str =
    "INSERT INTO _etlsched_files (target, path, size, modified_at_micros, content_hash, run_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (target, path) DO UPDATE SET size = excluded.size, modified_at_micros = excluded.modified_at_micros,
                 content_hash = excluded.content_hash, run_id = excluded.run_id";

/// What a load holds against other runs: it publishes only while its row still says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub begun_version: i64,
    pub run_id: String,
}

/// Makes the tables where they are absent. Inside a transaction.
pub(super) fn make_tables(connection: &Connection) -> Outcome<()> {
    let make = || -> rusqlite::Result<()> {
        connection.execute_batch(TABLES)?;
        for (column, declared) in LATER_COLUMNS {
            let sql = "SELECT count(*) FROM pragma_table_info('_etlsched_loads') WHERE name = ?1";
            if connection.query_row(sql, [column], |row| Ok(row.get::<_, i64>(0)? == 0))? {
                connection.execute_batch(&format!("ALTER TABLE _etlsched_loads ADD COLUMN {column} {declared}"))?;
            }
        }
        Ok(())
    };
    make().map_err(failed("making the _etlsched_ tables"))
}

/// Inserts or raises the target's row. Inside a transaction.
///
/// # Errors
/// `owner_clash` when someone else's job loads the table.
pub(super) fn begin(connection: &Connection, target: &str, owner: &Owner, run: &RunRef) -> Outcome<Fence> {
    if let Some(record) = record(connection, target)? {
        record.refuse_other_owner(owner)?;
    }
    let parameters = named_params! {
        ":target": target, ":workspace": owner.workspace_id, ":job": owner.job, ":source": owner.source, ":stream": owner.stream,
        ":run": run.run_id,
    };
    let begun_version = connection
        .query_row(BEGIN, parameters, |row| row.get(0))
        .map_err(failed(format_args!("beginning the load of {target} in _etlsched_loads")))?;
    Ok(Fence { begun_version, run_id: run.run_id.clone() })
}

/// Writes the published values. Inside the transaction of the rows.
///
/// # Errors
/// `fence_lost` when another run has begun since.
pub(super) fn publish(
    connection: &Connection,
    target: &str,
    fence: &Fence,
    run: &RunRef,
    request: &PublishRequest,
    rows: u64,
    schema: &Schema,
) -> Outcome<i64> {
    let columns = serde_json::to_string(schema).expect("names and types are JSON");
    let parameters = named_params! {
        ":run": fence.run_id, ":slot": run.slot, ":mode": request.mode.as_str(), ":keeps_cursor": request.cursor.is_none(),
        ":cursor_type": request.cursor.as_ref().map(|cursor| cursor.column_type.to_string()),
        ":cursor_value": request.cursor.as_ref().map(|cursor| cursor.text.as_str()),
        ":lower_bound": request.lower_bound.as_ref().map(|bound| bound.text.as_str()),
        ":rows": i64::try_from(rows).unwrap_or(i64::MAX), ":columns": columns,
        ":now": request.now.to_rfc3339_opts(SecondsFormat::Micros, true), ":target": target, ":begun_version": fence.begun_version,
    };
    let version = connection
        .query_row(PUBLISH, parameters, |row| row.get(0))
        .optional()
        .map_err(failed(format_args!("publishing {target} in _etlsched_loads")))?;
    version.ok_or_else(|| fence_lost(target))
}

/// Whether no other run has begun a load of the table since.
pub(super) fn is_held(connection: &Connection, target: &str, fence: &Fence) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM _etlsched_loads WHERE target = ?1 AND begun_version = ?2 AND begun_run_id = ?3";
    connection.query_row(sql, (target, fence.begun_version, &fence.run_id), |row| Ok(row.get::<_, i64>(0)? == 1))
}

/// Returns the targets that have a row.
pub(super) fn targets(connection: &Connection) -> Outcome<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        connection.prepare("SELECT target FROM _etlsched_loads")?.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(failed("reading _etlsched_loads"))
}

/// Writes what became of the rows. Inside the transaction of the rows, when they are in their place.
pub(super) fn write_counts(connection: &Connection, target: &str, counts: &Counts, rows_in_target: u64) -> Outcome<()> {
    let counts = serde_json::to_string(counts).expect("numbers are JSON");
    let rows_in_target = i64::try_from(rows_in_target).unwrap_or(i64::MAX);
    connection
        .execute(COUNTS, (target, counts, rows_in_target))
        .map(|_| ())
        .map_err(failed(format_args!("writing the counts of {target} into _etlsched_loads")))
}

/// Forgets how far the source of a table was read, for the owner that it has from now on; a load under way loses its fence.
/// Without a mode the row counts as never published, so that the next load is a first one. Inside a transaction.
pub(super) fn forget(connection: &Connection, target: &str, owner: &Owner) -> Outcome<()> {
    let write = || -> rusqlite::Result<()> {
        let sql = "UPDATE _etlsched_loads SET workspace_id = :workspace, job = :job, source = :source, stream = :stream, mode = NULL,
                 cursor_type = NULL, cursor_value = NULL, lower_bound = NULL, begun_version = begun_version + 1
             WHERE target = :target";
        let parameters = named_params! {
            ":target": target, ":workspace": owner.workspace_id, ":job": owner.job, ":source": owner.source, ":stream": owner.stream,
        };
        connection.execute(sql, parameters)?;
        connection.execute(FORGET_FILES, [target])?;
        Ok(())
    };
    write().map_err(failed(format_args!("resetting {target} in _etlsched_loads")))
}

/// Notes that a table with rows that no load brought is this owner's from now on, rows and all. Inside a transaction.
pub(super) fn make_acquainted(connection: &Connection, target: &str, owner: &Owner, rows: u64) -> Outcome<()> {
    make_tables(connection)?;
    let sql = "INSERT INTO _etlsched_loads (target, workspace_id, job, source, stream, rows_in_target, begun_version, begun_run_id)
         VALUES (:target, :workspace, :job, :source, :stream, :rows, 0, '')
         ON CONFLICT (target) DO UPDATE SET rows_in_target = excluded.rows_in_target";
    let parameters = named_params! {
        ":target": target, ":workspace": owner.workspace_id, ":job": owner.job, ":source": owner.source, ":stream": owner.stream,
        ":rows": i64::try_from(rows).unwrap_or(i64::MAX),
    };
    let written = connection.execute(sql, parameters).map(|_| ());
    written.map_err(failed(format_args!("taking {target} over in _etlsched_loads")))
}

/// Writes which files are in. Inside the transaction of the rows.
pub(super) fn write_files(connection: &Connection, target: &str, run_id: &str, request: &PublishRequest) -> Outcome<()> {
    let write = || -> rusqlite::Result<()> {
        if request.replace_files {
            connection.execute(FORGET_FILES, [target])?;
        }
        let mut statement = connection.prepare(ADD_FILE)?;
        for FileRecord { path, size, modified_at_micros, content_hash } in &request.files {
            let size = i64::try_from(*size).unwrap_or(i64::MAX);
            statement.execute((target, path, size, modified_at_micros, content_hash, run_id))?;
        }
        Ok(())
    };
    write().map_err(failed(format_args!("writing the files of {target} into _etlsched_files")))
}

/// Returns the row of a target.
pub(super) fn record(connection: &Connection, target: &str) -> Outcome<Option<LoadRecord>> {
    Ok(select(connection, "target = ?1", &[target])?.into_iter().next())
}

/// Returns the rows of a job.
pub(super) fn records(connection: &Connection, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
    select(connection, "workspace_id = ?1 AND job = ?2 ORDER BY target", &[workspace_id, job])
}

/// Returns the files of a target.
pub(super) fn files(connection: &Connection, target: &str) -> Outcome<Vec<FileRecord>> {
    if !has_tables(connection)? {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<FileRecord>> {
        let sql = "SELECT path, size, modified_at_micros, content_hash FROM _etlsched_files WHERE target = ?1 ORDER BY path";
        let mut statement = connection.prepare(sql)?;
        let files = statement.query_map([target], |row| {
            Ok(FileRecord {
                path: row.get(0)?,
                size: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                modified_at_micros: row.get(2)?,
                content_hash: row.get(3)?,
            })
        })?;
        files.collect()
    };
    read().map_err(failed(format_args!("reading the files of {target} from _etlsched_files")))
}

fn has_tables(connection: &Connection) -> Outcome<bool> {
    connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_etlsched_loads', '_etlsched_files')",
            [],
            |row| Ok(row.get::<_, i64>(0)? == 2),
        )
        .map_err(failed("looking for the _etlsched_ tables"))
}

fn select(connection: &Connection, condition: &str, parameters: &[&str]) -> Outcome<Vec<LoadRecord>> {
    if !has_tables(connection)? {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<LoadRecord>> {
        let mut statement = connection.prepare(&format!("SELECT * FROM _etlsched_loads WHERE {condition}"))?;
        statement.query_map(rusqlite::params_from_iter(parameters), from_row)?.collect()
    };
    read().map_err(failed("reading _etlsched_loads"))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<LoadRecord> {
    let text = |name: &str| row.get::<_, Option<String>>(name);
    let cursor = match (text("cursor_type")?, text("cursor_value")?) {
        (Some(column_type), Some(value)) => {
            ColumnType::parse(&column_type).ok().map(|column_type| CursorValue { column_type, text: value })
        }
        _ => None,
    };
    let mode = text("mode")?.and_then(|mode| [Mode::Full, Mode::Incremental].into_iter().find(|known| known.as_str() == mode));
    let committed_at = text("committed_at")?.and_then(|at| DateTime::parse_from_rfc3339(&at).ok());
    // A file that an earlier version made has no such columns before the next load.
    let has = |name: &str| row.as_ref().column_index(name).is_ok();
    let counts = if has("counts") { text("counts")? } else { None };
    let rows_in_target = if has("rows_in_target") { row.get::<_, Option<i64>>("rows_in_target")? } else { None };
    Ok(LoadRecord {
        target: row.get("target")?,
        owner: Owner {
            workspace_id: row.get("workspace_id")?,
            job: row.get("job")?,
            source: row.get("source")?,
            stream: row.get("stream")?,
        },
        version: row.get("version")?,
        run_id: text("run_id")?,
        slot: text("slot")?,
        mode,
        cursor,
        rows: u64::try_from(row.get::<_, i64>("row_count")?).unwrap_or(0),
        counts: counts.and_then(|counts| serde_json::from_str(&counts).ok()),
        rows_in_target: rows_in_target.and_then(|rows| u64::try_from(rows).ok()),
        schema: text("columns")?.and_then(|columns| serde_json::from_str(&columns).ok()).unwrap_or_default(),
        committed_at: committed_at.map(|at| at.with_timezone(&Utc)),
    })
}
