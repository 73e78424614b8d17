//! The bookkeeping rows as others see them: what a RENAME has published counts, settled or not.

use chrono::{DateTime, Utc};

use super::bookkeeping::{Published, has_tables, key_of, pending, tables};
use super::session::{Outcome, Row, Session, failed};
use super::table::cell;
use crate::batch::ColumnType;
use crate::destination::LoadRecord;
use crate::plan::{Mode, Owner};
use crate::run::{CursorValue, FileRecord};

/// What [`from_row`] reads.
pub(super) const COLUMNS: &str = "target, workspace_id, job, source, stream, version, run_id, slot, mode, cursor_type, cursor_value, row_count, \
     counts, rows_in_target, columns, committed_at, pending";

/// Returns the row of a target.
pub(super) fn record(session: &mut Session, target: &str) -> Outcome<Option<LoadRecord>> {
    Ok(select(session, "target_key = ?", &[Some(&key_of(target))])?.into_iter().next())
}

/// Returns the rows of a job.
pub(super) fn records(session: &mut Session, workspace_id: &str, job: &str) -> Outcome<Vec<LoadRecord>> {
    select(session, "workspace_id = ? AND job = ? ORDER BY target", &[Some(workspace_id), Some(job)])
}

/// Returns the files of a target.
pub(super) fn files(session: &mut Session, target: &str) -> Outcome<Vec<FileRecord>> {
    if !has_tables(session)? {
        return Ok(Vec::new());
    }
    let what = format!("reading the files of {target} from _etlsched_files");
    let [_, files] = tables(session);
    let sql = format!("SELECT path, size, modified_at_micros, content_hash FROM {files} WHERE target_key = ?");
    let rows = session.rows(&sql, &[Some(&key_of(target))]).map_err(failed(&what))?;
    let file = |row: &Row| FileRecord {
        path: cell(row, 0),
        size: cell(row, 1).parse().unwrap_or(0),
        modified_at_micros: cell(row, 2).parse().ok(),
        content_hash: cell(row, 3),
    };
    let mut files: Vec<FileRecord> = rows.iter().map(file).collect();
    if let Some(pending) = pending(session, target)?
        && pending.is_done(session)?
    {
        files.retain(|file| !pending.replace_files && !pending.files.iter().any(|newer| newer.path == file.path));
        files.extend(pending.files);
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn select(session: &mut Session, condition: &str, parameters: &[Option<&str>]) -> Outcome<Vec<LoadRecord>> {
    if !has_tables(session)? {
        return Ok(Vec::new());
    }
    let [loads, _] = tables(session);
    let sql = format!("SELECT {COLUMNS} FROM {loads} WHERE {condition}");
    let rows = session.rows(&sql, parameters).map_err(failed("reading _etlsched_loads"))?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut record = from_row(row);
        if row.get(16).is_some_and(Option::is_some) {
            overlay(session, &mut record)?;
        }
        records.push(record);
    }
    Ok(records)
}

/// Shows what is pending and done as the published values that it is going to be.
fn overlay(session: &mut Session, record: &mut LoadRecord) -> Outcome<()> {
    let Some(pending) = pending(session, &record.target)? else { return Ok(()) };
    if !pending.is_done(session)? {
        return Ok(());
    }
    let Published { version, run_id, slot, mode, cursor, lower_bound: _, rows, columns, committed_at, counts, rows_in_target } =
        pending.published;
    record.version = version;
    record.run_id = Some(run_id);
    record.slot = slot;
    record.mode = Some(mode);
    record.cursor = cursor.or_else(|| record.cursor.take());
    record.rows = rows;
    record.schema = columns;
    record.committed_at = instant(&committed_at);
    record.counts = Some(counts);
    record.rows_in_target = Some(rows_in_target);
    Ok(())
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// Reads a row of [`COLUMNS`].
pub(super) fn from_row(row: &Row) -> LoadRecord {
    let text = |place: usize| row.get(place).cloned().flatten();
    let cursor = match (text(9), text(10)) {
        (Some(column_type), Some(value)) => {
            ColumnType::parse(&column_type).ok().map(|column_type| CursorValue { column_type, text: value })
        }
        _ => None,
    };
    let mode = text(8).and_then(|mode| [Mode::Full, Mode::Incremental].into_iter().find(|known| known.as_str() == mode));
    LoadRecord {
        target: cell(row, 0),
        owner: Owner { workspace_id: cell(row, 1), job: cell(row, 2), source: cell(row, 3), stream: cell(row, 4) },
        version: cell(row, 5).parse().unwrap_or(0),
        run_id: text(6),
        slot: text(7),
        mode,
        cursor,
        rows: cell(row, 11).parse().unwrap_or(0),
        counts: text(12).and_then(|counts| serde_json::from_str(&counts).ok()),
        rows_in_target: cell(row, 13).parse().ok(),
        schema: text(14).and_then(|columns| serde_json::from_str(&columns).ok()).unwrap_or_default(),
        committed_at: text(15).as_deref().and_then(instant),
    }
}
