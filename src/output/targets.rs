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
    rows.giving_way_whole(spare(records.iter()))
}

/// Which columns a narrow terminal leaves out: targets too, where each has the name of its stream.
fn spare<'a>(mut records: impl Iterator<Item = &'a TargetRecord>) -> &'static [&'static str] {
    if records.all(|record| record.target == record.stream) { &["Version", "Target"] } else { &["Version"] }
}

/// Returns the targets of several jobs as rows for people.
pub fn table_of_jobs(records: &[(String, TargetRecord)], zone: Zone) -> Rows {
    let at = format!("At ({})", abbreviation(records.iter().filter_map(|(_, record)| record.committed_at), zone));
    let mut rows = Rows::new([("Job", Align::Left)].into_iter().chain(columns(&at)));
    for (job, record) in records {
        rows.push(std::iter::once(job.clone()).chain(cells(record, zone)).collect());
    }
    rows.giving_way_whole(spare(records.iter().map(|(_, record)| record)))
}

/// The columns of [`cells`], the last with its time zone.
fn columns(at: &str) -> [(&str, Align); 6] {
    let (left, right) = (Align::Left, Align::Right);
    [("Source", left), ("Target", left), ("Cursor", left), ("Version", right), ("Loaded", right), (at, left)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ColumnType;
    use crate::run::CursorValue;

    #[test]
    fn a_narrow_terminal_cuts_no_value_in_two() {
        let cursor = CursorValue { column_type: ColumnType::Text, text: "2026-11-23T22:55:00.123456789".to_owned() };
        let record = TargetRecord {
            source: "orders_of_the_shops".to_owned(),
            stream: "orders_of_the_shops".to_owned(),
            target: "orders_of_the_shops".to_owned(),
            cursor: Some(cursor),
            version: 1,
            rows: 2,
            committed_at: Some("2026-11-24T02:00:00Z".parse().expect("an instant")),
        };
        let rows = table_of_jobs(&[("sales".to_owned(), record)], Zone::UTC);
        let block = "\
Job       sales
Source    orders_of_the_shops
Target    orders_of_the_shops
Cursor    2026-11-23T22:55:00.123456789
Version   1
Loaded    2
At (UTC)  2026-11-24 02:00:00";
        assert_eq!(rows.text_within(Some(80)), block);
        assert_eq!(rows.text_within(Some(200)).lines().count(), 2);
    }
}
