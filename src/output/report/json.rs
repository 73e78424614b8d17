//! The report for scripts: the page's facts, without the single runs (`logs` has them).

use serde_json::{Value, json};

use super::matters::{Matter, matters};
use super::{Frame, words};
use crate::engine::survey::{Cause, JobSurvey, Outcome, Standing, Survey};
use crate::output::measure::utc;
use crate::output::table::{Align, Rows};
use crate::text::percent;

/// Returns that a page was written, as an object.
pub fn written(path: &std::path::Path, bytes: usize) -> Value {
    json!({"success": true, "written": path.display().to_string(), "bytes": bytes})
}

/// Returns the report as an object.
pub fn json(survey: &Survey, frame: &Frame) -> Value {
    let (ended, good) = survey.ended();
    let jobs: serde_json::Map<String, Value> =
        Standing::ALL.iter().map(|standing| (standing.as_str().replace(' ', "_"), json!(survey.count(*standing)))).collect();
    let hours = survey.coming.forecast.hours.iter().map(|hour| {
        json!({"at": utc(hour.at), "starts": hour.starts, "busy_seconds": hour.busy.num_milliseconds() as f64 / 1000.0, "most_at_once": hour.most_at_once})
    });
    json!({
        "success": true,
        "workspace": frame.workspace,
        "host": frame.host,
        "timezone": frame.zone.name(),
        "made_at": utc(frame.made_at),
        "since": utc(survey.since),
        "asked_since": survey.asked_since.map(utc),
        "until": utc(survey.until),
        "summary": {
            "jobs_total": survey.jobs.len(),
            "jobs": jobs,
            "runs_total": words::runs(survey),
            "runs_ended": ended,
            "runs_good": good,
            "success_rate": percent(good, ended),
            "slots_missed": words::missed(survey),
        },
        "attention": matters(survey, frame.zone).iter().map(matter_object).collect::<Vec<_>>(),
        "jobs": survey.jobs.iter().map(job_object).collect::<Vec<_>>(),
        "failures": words::by_times(survey).into_iter().map(cause_object).collect::<Vec<_>>(),
        "failures_other": survey.other_failures,
        "coming": hours.collect::<Vec<_>>(),
    })
}

fn matter_object(matter: &Matter) -> Value {
    json!({
        "job": matter.job,
        "state": matter.word,
        "reason": matter.reason,
        "command": matter.command,
    })
}

fn job_object(job: &JobSurvey) -> Value {
    let outcomes: serde_json::Map<String, Value> =
        Outcome::ALL.iter().map(|outcome| (outcome.as_str().to_owned(), json!(job.lane.count(*outcome)))).collect();
    let streams = job.streams.iter().map(|stream| {
        json!({
            "source": stream.source,
            "stream": stream.stream,
            "target": stream.target,
            "tried_at": utc(stream.tried_at),
            "last_success_at": stream.published_at.map(utc),
        })
    });
    json!({
        "id": job.id,
        "name": job.name,
        "state": job.standing.as_str(),
        "schedule_display": job.schedule,
        "timezone": job.zone.map(|zone| zone.name().to_owned()),
        "last_run": job.last_run_at.map(utc),
        "last_success_at": job.last_success_at.map(utc),
        "overdue_since": job.overdue_since().map(utc),
        "next_run": job.next.first().copied().map(utc),
        "runs": outcomes,
        "success_rate": job.lane.success_rate(),
        "median_seconds": job.lane.median_seconds().map(|seconds| (seconds * 1000.0).round() / 1000.0),
        "records_processed": job.lane.rows_read(),
        "records_rejected": job.lane.rejected,
        "streams": streams.collect::<Vec<_>>(),
    })
}

fn cause_object(cause: &Cause) -> Value {
    json!({
        "code": cause.code,
        "message": cause.message,
        "hint": cause.hint,
        "times": cause.times,
        "jobs": cause.jobs,
        "job_count": cause.job_count,
        "first_at": utc(cause.first_at),
        "last_at": utc(cause.last_at),
        "last_run_id": cause.last_run_id,
    })
}

/// Returns the jobs as rows for scripts.
pub fn csv(survey: &Survey) -> Rows {
    let names = [
        "id",
        "state",
        "last_run",
        "last_success_at",
        "overdue_since",
        "next_run",
        "runs_good",
        "runs_failed",
        "success_rate",
        "median_seconds",
        "records_processed",
    ];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    let time = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(utc).unwrap_or_default();
    for job in &survey.jobs {
        rows.push(vec![
            job.id.clone(),
            job.standing.as_str().to_owned(),
            time(job.last_run_at),
            time(job.last_success_at),
            time(job.overdue_since()),
            time(job.next.first().copied()),
            job.lane.count(Outcome::Success).to_string(),
            job.lane.failures().to_string(),
            job.lane.success_rate().map(|percent| format!("{percent:.1}")).unwrap_or_default(),
            job.lane.median_seconds().map(|seconds| format!("{seconds:.3}")).unwrap_or_default(),
            job.lane.rows_read().to_string(),
        ]);
    }
    rows
}
