//! What became of slots, as `state show` shows it.

use serde_json::{Value, json};

use super::logs::short_id;
use super::measure::{abbreviation, local, utc};
use super::table::{Align, Rows};
use crate::run::due::SlotRecord;
use crate::zone::Zone;

/// Returns a slot of a job as an object.
pub fn object(job: &str, record: &SlotRecord) -> Value {
    let SlotRecord { key, due_at, status, run_id, claims, slot_count, updated_at } = record;
    json!({
        "job": job,
        "slot": key,
        "due_at": utc(*due_at),
        "status": status.as_str(),
        "run_id": run_id,
        "claims": claims,
        "slot_count": slot_count,
        "updated_at": utc(*updated_at),
    })
}

/// Returns slots of jobs as rows for people.
pub fn table(records: &[(String, SlotRecord)], zone: Zone) -> Rows {
    let due = format!("Due ({})", abbreviation(records.iter().map(|(_, record)| record.due_at), zone));
    let columns = ["Job", "Slot", due.as_str(), "Status", "Run"].map(|name| (name, Align::Left));
    let mut rows = Rows::new(columns.into_iter().chain([("Claims", Align::Right)])).giving_way(&["Claims", due.as_str()], "Slot");
    for (job, record) in records {
        let more = if record.slot_count > 1 { format!(" and {} before", record.slot_count - 1) } else { String::new() };
        rows.push(vec![
            job.clone(),
            format!("{}{more}", record.key),
            local(record.due_at, zone),
            record.status.as_str().to_owned(),
            record.run_id.as_deref().map_or("-", short_id).to_owned(),
            record.claims.to_string(),
        ]);
    }
    rows
}
