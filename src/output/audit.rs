//! The audit trail, as `audit` shows it.

use serde_json::{Value, json};

use super::measure::{abbreviation, local, utc};
use super::table::{Align, Rows};
use crate::state::AuditRecord;
use crate::zone::Zone;

/// Returns lines as a table, times in the user's zone; the job's column is left out where all lines are of one job.
pub fn table(lines: &[AuditRecord], is_one_job: bool, zone: Zone) -> Rows {
    let at = format!("At ({})", abbreviation(lines.iter().map(|line| line.at), zone));
    let job = (!is_one_job).then_some(("Job", Align::Left));
    let mut rows = Rows::new(
        [(at.as_str(), Align::Left), ("User", Align::Left), ("Host", Align::Left), ("Action", Align::Left)]
            .into_iter()
            .chain(job)
            .chain([("Details", Align::Left)]),
    )
    .giving_way(&["Host"], "Details");
    for line in lines {
        let mut cells = vec![local(line.at, zone), line.user.clone(), line.host.clone(), line.action.clone()];
        cells.extend((!is_one_job).then(|| shown(line.job.as_deref())));
        cells.push(shown(line.details.as_deref()));
        rows.push(cells);
    }
    rows
}

fn shown(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// Returns lines as rows for scripts.
pub fn csv(lines: &[AuditRecord]) -> Rows {
    let names = ["id", "at", "user", "host", "action", "job", "run_id", "details"];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    for AuditRecord { id, at, user, host, action, job, run_id, details } in lines {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells = [id.clone(), utc(*at), user.clone(), host.clone(), action.clone(), optional(job), optional(run_id), optional(details)];
        rows.push(cells.to_vec());
    }
    rows
}

/// Returns a page of lines for scripts.
pub fn json(lines: &[AuditRecord], page: u64, pages: u64, total: u64) -> Value {
    let object = |line: &AuditRecord| {
        let AuditRecord { id, at, user, host, action, job, run_id, details } = line;
        json!({"id": id, "at": utc(*at), "user": user, "host": host, "action": action, "job": job, "run_id": run_id, "details": details})
    };
    let audit: Vec<Value> = lines.iter().map(object).collect();
    json!({
        "success": true,
        "audit": audit,
        "pagination": {"current_page": page, "total_pages": pages, "total_lines": total},
    })
}
