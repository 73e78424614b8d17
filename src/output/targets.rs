//! How far the streams of jobs are loaded, as the destination says it.

use serde_json::{Value, json};

use super::measure::{abbreviation, local, utc};
use super::table::{Align, Rows};
use crate::engine::TargetRecord;
use crate::text::grouped;
use crate::zone::Zone;

/// Returns a target as an object.
pub fn object(record: &TargetRecord) -> Value {
    let TargetRecord { source, stream, target, cursor, version, rows, committed_at } = record;
    json!({
        "source": source,
        "stream": stream,
        "target": target,
        "cursor": cursor,
        "version": version,
        "rows": rows,
        "committed_at": committed_at.map(utc),
    })
}

/// Returns the targets of a job as rows for people.
pub fn table(records: &[TargetRecord], zone: Zone) -> Rows {
    let at = format!("At ({})", abbreviation(records.iter().filter_map(|record| record.committed_at), zone));
    let mut rows = Rows::new(columns(&at));
    for record in records {
        rows.push(cells(record, zone));
    }
    rows.giving_way(&["Version"], "Cursor")
}

/// Returns the targets of several jobs as rows for people.
pub fn table_of_jobs(records: &[(String, TargetRecord)], zone: Zone) -> Rows {
    let at = format!("At ({})", abbreviation(records.iter().filter_map(|(_, record)| record.committed_at), zone));
    let mut rows = Rows::new([("Job", Align::Left)].into_iter().chain(columns(&at)));
    for (job, record) in records {
        rows.push(std::iter::once(job.clone()).chain(cells(record, zone)).collect());
    }
    rows.giving_way(&["Version"], "Cursor")
}

/// The columns of [`cells`], the last with its time zone.
fn columns(at: &str) -> [(&str, Align); 6] {
    let (left, right) = (Align::Left, Align::Right);
    [("Source", left), ("Target", left), ("Cursor", left), ("Version", right), ("Rows", right), (at, left)]
}

/// Returns a target as cells for people.
fn cells(record: &TargetRecord, zone: Zone) -> Vec<String> {
    let TargetRecord { source, stream, target, cursor, version, rows, committed_at } = record;
    vec![
        if stream == source { source.clone() } else { format!("{source}: {stream}") },
        target.clone(),
        cursor.as_ref().map_or_else(|| "-".to_owned(), |cursor| cursor.text.clone()),
        version.to_string(),
        grouped(*rows),
        committed_at.map_or_else(|| "never".to_owned(), |at| local(at, zone)),
    ]
}
