//! `_etlsched_loads` and `_etlsched_files`: the truth about what is loaded, and the fence between runs. They stand in the target's database.

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pending::Pending;
use super::records;
use super::session::{Outcome, Session, failed, refusal};
use super::table::cell;
use crate::batch::Schema;
use crate::destination::PublishRequest;
use crate::destination::failure::fence_lost;
use crate::plan::{Mode, Owner, RunRef};
use crate::run::{Counts, CursorValue, FileRecord};

/// `target_key` is the target in lower case; two spellings are one table.
const LOADS: &str = "(
    target_key varchar(255) NOT NULL PRIMARY KEY,
    target varchar(255) NOT NULL,
    workspace_id varchar(64) NOT NULL,
    job varchar(255) NOT NULL,
    source longtext NOT NULL,
    stream longtext NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    run_id varchar(64),
    slot varchar(255),
    mode varchar(20),
    cursor_type varchar(64),
    cursor_value longtext,
    lower_bound longtext,
    row_count bigint NOT NULL DEFAULT 0,
    counts longtext,
    rows_in_target bigint,
    columns longtext,
    committed_at varchar(40),
    begun_version bigint NOT NULL,
    begun_run_id varchar(64) NOT NULL,
    pending longtext
)";

/// Paths may be longer than a key: `path_key` is their SHA-256.
const FILES: &str = "(
    target_key varchar(255) NOT NULL,
    path_key char(64) NOT NULL,
    path longtext NOT NULL,
    size bigint NOT NULL,
    modified_at_micros bigint,
    content_hash varchar(255) NOT NULL,
    run_id varchar(64) NOT NULL,
    PRIMARY KEY (target_key, path_key)
)";

/// What a load holds against other runs: it publishes only while its row still says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub begun_version: i64,
    pub run_id: String,
}

/// The values of a publish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Published {
    pub version: i64,
    pub run_id: String,
    pub slot: Option<String>,
    pub mode: Mode,
    pub cursor: Option<CursorValue>,
    pub lower_bound: Option<String>,
    pub rows: u64,
    pub columns: Schema,
    pub committed_at: String,
    pub counts: Counts,
    pub rows_in_target: u64,
}

impl Published {
    /// Makes them of what is published; the version comes from the row.
    pub(super) fn of(fence: &Fence, run: &RunRef, request: &PublishRequest, rows: u64, schema: &Schema) -> Self {
        Self {
            version: 0,
            run_id: fence.run_id.clone(),
            slot: run.slot.clone(),
            mode: request.mode,
            cursor: request.cursor.clone(),
            lower_bound: request.lower_bound.as_ref().map(|bound| bound.text.clone()),
            rows,
            columns: schema.clone(),
            committed_at: request.now.to_rfc3339_opts(SecondsFormat::Micros, true),
            counts: Counts::default(),
            rows_in_target: 0,
        }
    }
}

/// Returns the key of a target's row.
pub(super) fn key_of(target: &str) -> String {
    target.to_lowercase()
}

/// Raises the fence of a target; makes its row where there is none.
pub(super) fn begin_sql(loads: &str) -> String {
    format!(
        "INSERT INTO {loads} (target_key, target, workspace_id, job, source, stream, begun_version, begun_run_id) \
         VALUES (?, ?, ?, ?, ?, ?, 1, ?) ON DUPLICATE KEY UPDATE begun_version = begun_version + 1, begun_run_id = VALUES(begun_run_id)"
    )
}

/// Writes the published values.
pub(super) fn publish_sql(loads: &str) -> String {
    format!(
        "UPDATE {loads} SET version = ?, run_id = ?, slot = ?, mode = ?, cursor_type = coalesce(?, cursor_type), \
         cursor_value = coalesce(?, cursor_value), lower_bound = ?, row_count = ?, columns = ?, committed_at = ?, counts = ?, \
         rows_in_target = ?, pending = NULL WHERE target_key = ?"
    )
}

/// Writes what a RENAME is going to publish.
pub(super) fn pending_sql(loads: &str) -> String {
    format!("UPDATE {loads} SET pending = ? WHERE target_key = ?")
}

/// Asks whether the fence still holds, and keeps others from raising it until the end of the transaction.
pub(super) fn fence_sql(loads: &str) -> String {
    format!("SELECT version FROM {loads} WHERE target_key = ? AND begun_version = ? AND begun_run_id = ? FOR UPDATE")
}

/// Forgets the files of a target.
pub(super) fn forget_files_sql(files: &str) -> String {
    format!("DELETE FROM {files} WHERE target_key = ?")
}

/// Writes a file that went into a target.
pub(super) fn add_file_sql(files: &str) -> String {
    format!(
        "REPLACE INTO {files} (target_key, path_key, path, size, modified_at_micros, content_hash, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
}

/// Returns the tables as SQL: loads, files.
pub(super) fn tables(session: &Session) -> [String; 2] {
    [session.table("_etlsched_loads"), session.table("_etlsched_files")]
}

/// Makes the tables where they are absent.
pub(super) fn make_tables(session: &mut Session) -> Outcome<()> {
    if has_tables(session)? {
        return Ok(());
    }
    let collation = session.dialect.collation();
    for (table, columns) in tables(session).into_iter().zip([LOADS, FILES]) {
        let options = format!("ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = {collation}");
        session.define("making the _etlsched_ tables", &format!("CREATE TABLE IF NOT EXISTS {table} {columns} {options}"))?;
    }
    Ok(())
}

/// Inserts or raises the target's row, committed at once.
///
/// # Errors
/// `owner_clash` when someone else's job loads the table.
pub(super) fn begin(session: &mut Session, target: &str, owner: &Owner, run: &RunRef) -> Outcome<Fence> {
    let [loads, _] = tables(session);
    let Owner { workspace_id, job, source, stream } = owner;
    let key = key_of(target);
    let parameters = [key.as_str(), target, workspace_id, job, source, stream, run.run_id.as_str()].map(Some);
    session.in_transaction(|session| {
        let what = format!("beginning the load of {target} in _etlsched_loads");
        session.execute(&begin_sql(&loads), &parameters).map_err(failed(&what))?;
        // Behind the lock of the row: nobody else can take it before the commit.
        let sql = format!("SELECT {}, begun_version FROM {loads} WHERE target_key = ? FOR UPDATE", records::COLUMNS);
        let rows = session.rows(&sql, &[Some(&key)]).map_err(failed(&what))?;
        let Some(row) = rows.first() else { return Err(fence_lost(target)) };
        records::from_row(row).refuse_other_owner(owner)?;
        let begun_version = cell(row, 17).parse().unwrap_or(0);
        Ok(Fence { begun_version, run_id: run.run_id.clone() })
    })
}

/// Returns the version before, behind the row's lock. Inside the transaction of the publish.
///
/// # Errors
/// `fence_lost` when another run has begun since.
pub(super) fn held(session: &mut Session, target: &str, fence: &Fence) -> Outcome<i64> {
    let [loads, _] = tables(session);
    let parameters = [Some(key_of(target)), Some(fence.begun_version.to_string()), Some(fence.run_id.clone())];
    let parameters = parameters.each_ref().map(Option::as_deref);
    let rows = session.rows(&fence_sql(&loads), &parameters).map_err(failed(format_args!("asking for the fence of {target}")))?;
    rows.first().map(|row| cell(row, 0).parse().unwrap_or(0)).ok_or_else(|| fence_lost(target))
}

/// Whether no other run has begun a load of the table since.
pub(super) fn is_held(session: &mut Session, target: &str, fence: &Fence) -> Outcome<bool> {
    let [loads, _] = tables(session);
    let sql = format!("SELECT begun_version, begun_run_id FROM {loads} WHERE target_key = ?");
    let rows = session.rows(&sql, &[Some(&key_of(target))]).map_err(failed(format_args!("asking for the fence of {target}")))?;
    Ok(rows.first().is_some_and(|row| cell(row, 0) == fence.begun_version.to_string() && cell(row, 1) == fence.run_id))
}

/// Writes the published values and the files. Inside a transaction that holds the row.
pub(super) fn publish(
    session: &mut Session,
    target: &str,
    published: &Published,
    files: &[FileRecord],
    replace_files: bool,
) -> Outcome<()> {
    let what = format!("publishing {target} in _etlsched_loads");
    let [loads, _] = tables(session);
    let cursor = published.cursor.as_ref();
    let parameters = [
        Some(published.version.to_string()),
        Some(published.run_id.clone()),
        published.slot.clone(),
        Some(published.mode.as_str().to_owned()),
        cursor.map(|cursor| cursor.column_type.to_string()),
        cursor.map(|cursor| cursor.text.clone()),
        published.lower_bound.clone(),
        Some(published.rows.to_string()),
        Some(serde_json::to_string(&published.columns).expect("names and types are JSON")),
        Some(published.committed_at.clone()),
        Some(serde_json::to_string(&published.counts).expect("numbers are JSON")),
        Some(published.rows_in_target.to_string()),
        Some(key_of(target)),
    ];
    let parameters = parameters.each_ref().map(Option::as_deref);
    let changed = session.execute(&publish_sql(&loads), &parameters).map_err(failed(&what))?;
    if changed != 1 {
        return Err(fence_lost(target));
    }
    write_files(session, target, &published.run_id, files, replace_files)
}

fn write_files(session: &mut Session, target: &str, run_id: &str, files: &[FileRecord], replace_files: bool) -> Outcome<()> {
    let [_, table] = tables(session);
    let (key, what) = (key_of(target), format!("writing the files of {target} into _etlsched_files"));
    if replace_files {
        session.execute(&forget_files_sql(&table), &[Some(&key)]).map_err(failed(&what))?;
    }
    for FileRecord { path, size, modified_at_micros, content_hash } in files {
        let size = i64::try_from(*size).unwrap_or(i64::MAX).to_string();
        let modified = modified_at_micros.map(|micros| micros.to_string());
        let path_key: String = Sha256::digest(path.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let parameters =
            [Some(key.as_str()), Some(&path_key), Some(path), Some(&size), modified.as_deref(), Some(content_hash), Some(run_id)];
        session.execute(&add_file_sql(&table), &parameters).map_err(failed(&what))?;
    }
    Ok(())
}

/// Writes what a RENAME is going to publish. Inside a transaction that holds the row.
pub(super) fn write_pending(session: &mut Session, target: &str, pending: &Pending) -> Outcome<()> {
    let [loads, _] = tables(session);
    let text = serde_json::to_string(pending).expect("names, numbers and texts are JSON");
    let written = session.execute(&pending_sql(&loads), &[Some(&text), Some(&key_of(target))]);
    written.map(|_| ()).map_err(failed(format_args!("writing what is pending for {target} into _etlsched_loads")))
}

/// Turns what is pending into what is published, or forgets it. Inside a transaction that holds the row.
pub(super) fn settle(session: &mut Session, target: &str, pending: &Pending, is_done: bool) -> Outcome<()> {
    if is_done {
        return publish(session, target, &pending.published, &pending.files, pending.replace_files);
    }
    let [loads, _] = tables(session);
    let sql = format!("UPDATE {loads} SET pending = NULL WHERE target_key = ?");
    let written = session.execute(&sql, &[Some(&key_of(target))]);
    written.map(|_| ()).map_err(failed(format_args!("settling what is pending for {target} in _etlsched_loads")))
}

/// Returns what is pending for a target.
pub(super) fn pending(session: &mut Session, target: &str) -> Outcome<Option<Pending>> {
    read_pending(session, target, "")
}

/// As [`pending`], behind the row's lock. Inside a transaction.
pub(super) fn locked_pending(session: &mut Session, target: &str) -> Outcome<Option<Pending>> {
    read_pending(session, target, " FOR UPDATE")
}

fn read_pending(session: &mut Session, target: &str, lock: &str) -> Outcome<Option<Pending>> {
    let [loads, _] = tables(session);
    let sql = format!("SELECT pending FROM {loads} WHERE target_key = ?{lock}");
    let what = format!("reading what is pending for {target}");
    let rows = session.rows(&sql, &[Some(&key_of(target))]).map_err(failed(&what))?;
    let Some(text) = rows.into_iter().next().and_then(|mut row| row.pop().flatten()) else { return Ok(None) };
    let read = serde_json::from_str(&text)
        .map_err(|error| refusal("bookkeeping", format!("{what}: {error}"), "a newer etlsched wrote it: use that one"));
    read.map(Some)
}

/// Returns the version that a run has published, after every transaction on the row has come to its end: the fate of a commit whose
/// answer was lost.
pub(super) fn published_by(session: &mut Session, target: &str, fence: &Fence) -> Outcome<Option<i64>> {
    let [loads, _] = tables(session);
    let sql = format!("SELECT version FROM {loads} WHERE target_key = ? AND run_id = ? FOR UPDATE");
    session.in_transaction(|session| {
        let rows = session.rows(&sql, &[Some(&key_of(target)), Some(&fence.run_id)]);
        let rows = rows.map_err(failed(format_args!("asking what became of the load of {target}")))?;
        Ok(rows.first().and_then(|row| cell(row, 0).parse().ok()))
    })
}

/// Returns the targets that have a row.
pub(super) fn targets(session: &mut Session) -> Outcome<Vec<String>> {
    let [loads, _] = tables(session);
    let rows = session.query(&format!("SELECT target FROM {loads}")).map_err(failed("reading _etlsched_loads"))?;
    Ok(rows.iter().map(|row| cell(row, 0)).collect())
}

/// Forgets how far the source of a table was read, for the owner that it has from now on; a load under way loses its fence.
/// Without a mode the row counts as never published, so that the next load is a first one. Inside a transaction.
pub(super) fn forget(session: &mut Session, target: &str, owner: &Owner) -> Outcome<()> {
    let [loads, files] = tables(session);
    let sql = format!(
        "UPDATE {loads} SET workspace_id = ?, job = ?, source = ?, stream = ?, mode = NULL, cursor_type = NULL, cursor_value = NULL, \
         lower_bound = NULL, pending = NULL, begun_version = begun_version + 1 WHERE target_key = ?"
    );
    let Owner { workspace_id, job, source, stream } = owner;
    let key = key_of(target);
    let written = session
        .execute(&sql, &[workspace_id, job, source, stream, &key].map(|text| Some(text.as_str())))
        .and_then(|_| session.execute(&forget_files_sql(&files), &[Some(&key)]));
    written.map(|_| ()).map_err(failed(format_args!("resetting {target} in _etlsched_loads")))
}

/// Notes that a table with rows that no load brought is this owner's from now on, rows and all. Inside a transaction.
pub(super) fn make_acquainted(session: &mut Session, target: &str, owner: &Owner, rows: u64) -> Outcome<()> {
    let [loads, _] = tables(session);
    let sql = format!(
        "INSERT INTO {loads} (target_key, target, workspace_id, job, source, stream, rows_in_target, begun_version, begun_run_id) \
         VALUES (?, ?, ?, ?, ?, ?, ?, 0, '') ON DUPLICATE KEY UPDATE rows_in_target = VALUES(rows_in_target)"
    );
    let Owner { workspace_id, job, source, stream } = owner;
    let written = session.execute(&sql, &[&key_of(target), target, workspace_id, job, source, stream, &rows.to_string()].map(Some));
    written.map(|_| ()).map_err(failed(format_args!("taking {target} over in _etlsched_loads")))
}

/// Whether the tables are there.
pub(super) fn has_tables(session: &mut Session) -> Outcome<bool> {
    let schema = session.schema.clone();
    let sql =
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name IN ('_etlsched_loads', '_etlsched_files')";
    let rows = session.rows(sql, &[Some(&schema)]).map_err(failed("looking for the _etlsched_ tables"))?;
    Ok(rows.first().is_some_and(|row| cell(row, 0) == "2"))
}
