//! The system replaced, a Django and Celery feature: its documents become jobs, scripts that read its JSON read ours, and what
//! README.md gives for each of its endpoints, fields, options and commands works.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::etl::Etl;

/// The body of a POST as its documentation shows it, with every other key that it took.
const BODY: &str = r#"{
    "name": "Daily Sales Data Refresh",
    "description": "Refresh sales data from multiple sources",
    "data_source_ids": ["6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b001", "6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b002"],
    "schedule_type": "daily",
    "timezone": "US/Eastern",
    "hour": 6,
    "minute": 0,
    "day_of_week": null,
    "day_of_month": null,
    "max_retries": 3,
    "retry_delay_minutes": 5,
    "failure_threshold": 5,
    "is_active": true,
    "etl_config": {"mode": "full", "batch_size": 1000, "timeout_minutes": 60, "parallel_processing": true},
    "notify_on_success": false,
    "notify_on_failure": true,
    "notification_emails": ["admin@company.com"]
}"#;

/// A workspace that declares the sources of [`BODY`] by their ids.
fn replaced() -> Etl {
    let sources = "smtp: {url: \"smtp://127.0.0.1:9\", from: etl@company.com}\ndata_sources:\n  6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b001: {name: orders, path: data/orders.csv}\n  \
                   6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b002: {name: regions, path: data/regions.csv}\n";
    Etl::new()
        .file("etlsched.yaml", sources)
        .file("data/orders.csv", "id,total\n1,9.50\n2,3\n")
        .file("data/regions.csv", "id\n7\n")
        .file("body.json", BODY)
}

#[test]
fn the_body_of_its_post_is_a_job_under_the_same_names() {
    let etl = replaced();
    etl.run(&["create", "--from", "body.json"])
        .exits(0)
        .mentions("wrote jobs/daily_sales_data_refresh.yaml: Daily at 06:00 (US/Eastern)\n");
    let written = std::fs::read_to_string(etl.path("jobs/daily_sales_data_refresh.yaml")).expect("the job");
    let mut written: Value = serde_yaml::from_str(&written).expect("YAML");
    let mut body: Value = serde_json::from_str(BODY).expect("JSON");
    let body = body.as_object_mut().expect("a map");
    body.retain(|_, value| !value.is_null());
    let ids = body.remove("data_source_ids").expect("ids");
    let sources: Vec<Value> = ids.as_array().expect("a list").iter().map(|id| json!({"source": id})).collect();
    assert_eq!(written["data_sources"].take(), Value::Array(sources));
    written.as_object_mut().expect("a map").remove("data_sources");
    assert_eq!(&written, &Value::Object(body.clone()), "each key carries over as it is");
    etl.run(&["run", "daily_sales_data_refresh", "--no-notify"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id, total FROM orders ORDER BY id"), ["1|9.5", "2|3"]);
}

#[test]
fn the_answer_of_its_get_is_a_job_too_and_so_is_an_entry_of_a_dump() {
    let etl = replaced();
    let answer = json!({"success": true, "job": {
        "id": "0e3c", "name": "Leads", "description": "", "schedule_type": "15min", "schedule_display": "Every 15 minutes", "timezone": "UTC",
        "hour": 2, "minute": 40, "day_of_week": 0, "day_of_month": 1, "is_active": true, "status": "error", "last_run": null, "next_run": null,
        "last_run_status": "failed", "consecutive_failures": 7, "max_retries": 3, "retry_delay_minutes": 5, "failure_threshold": 5,
        "etl_config": {}, "notify_on_success": false, "notify_on_failure": true, "notification_emails": [], "created_at": "2025-01-16T06:00:00Z",
        "updated_at": "2025-01-16T06:00:00Z",
        "data_sources": [{"id": "6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b002", "name": "regions", "source_type": "csv", "status": "active", "last_synced": null}],
        "statistics": {"total_runs": 9, "successful_runs": 2, "failed_runs": 7, "success_rate": 22.2}, "schedule_status": {}, "recent_runs": []
    }});
    etl.write("answer.json", answer.to_string());
    etl.run(&["create", "--from", "answer.json"]).exits(0).mentions("wrote jobs/leads.yaml: Every 15 minutes (UTC)\n");
    let entry = json!({"model": "datasets.scheduledetljob", "pk": "0e3c", "fields": {
        "name": "Weekly", "schedule_type": "weekly", "timezone": "Europe/Paris", "hour": 6, "minute": 0, "day_of_week": 0, "day_of_month": null,
        "celery_task_name": "etl_job_0e3c", "celery_schedule_id": "4", "created_by": 1, "updated_by": null,
        "data_sources": ["6f1c1c0e-58a1-4c33-9b5e-0d3ad5f4b001"]
    }});
    etl.write("entry.json", entry.to_string());
    etl.run(&["create", "--from", "entry.json"]).exits(0).mentions("wrote jobs/weekly.yaml: Weekly on Monday at 06:00 (Europe/Paris)\n");
    etl.run(&["validate"]).exits(0);
    etl.write("bad.json", "{\"name\": \"No sources\", \"data_source_ids\": [\"unknown\"], \"schedule_type\": \"daily\"}");
    etl.run(&["create", "--from", "bad.json"]).exits(4).mentions("unknown");
}

#[test]
fn each_of_its_time_zones_is_one_here() {
    let zones = "UTC US/Eastern US/Central US/Mountain US/Pacific Europe/London Europe/Paris Europe/Berlin Europe/Amsterdam Asia/Tokyo Asia/Shanghai \
                 Asia/Kolkata Asia/Dubai Australia/Sydney Australia/Melbourne America/New_York America/Los_Angeles America/Chicago America/Denver \
                 America/Toronto America/Sao_Paulo";
    let etl = Etl::new();
    for (index, zone) in zones.split_whitespace().enumerate() {
        etl.write(&format!("jobs/zone{index}.yaml"), format!("timezone: {zone}\ndata_sources: [{{path: a.csv}}]\n"));
    }
    etl.run(&["validate"]).exits(0).prints("21 jobs are valid\n");
}

/// The type of a value, in a word.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

#[track_caller]
fn has(value: &Value, keys: &[(&str, &[&str])]) {
    for (key, kinds) in keys {
        let found = value.get(*key).map_or("absent", kind);
        assert!(kinds.contains(&found), "{key} is {found}, not {}: {value:#}", kinds.join(" or "));
    }
}

const TEXT: &[&str] = &["text"];
const NUMBER: &[&str] = &["number"];
const BOOLEAN: &[&str] = &["boolean"];
const LIST: &[&str] = &["list"];
const TEXT_OR_NULL: &[&str] = &["text", "null"];
const NUMBER_OR_NULL: &[&str] = &["number", "null"];

#[track_caller]
fn is_listed(job: &Value) {
    has(
        job,
        &[("id", TEXT), ("name", TEXT), ("description", TEXT), ("schedule_type", TEXT), ("schedule_display", TEXT), ("timezone", TEXT)],
    );
    has(
        job,
        &[
            ("is_active", BOOLEAN),
            ("status", TEXT),
            ("last_run", TEXT_OR_NULL),
            ("next_run", TEXT_OR_NULL),
            ("last_run_status", TEXT_OR_NULL),
        ],
    );
    has(job, &[("consecutive_failures", NUMBER), ("success_rate", NUMBER), ("data_sources_count", NUMBER)]);
}

#[track_caller]
fn is_log(log: &Value) {
    has(log, &[("id", TEXT), ("status", TEXT), ("started_at", TEXT), ("completed_at", TEXT_OR_NULL), ("duration", TEXT)]);
    has(log, &[("execution_time_seconds", NUMBER_OR_NULL), ("total_records_processed", NUMBER), ("total_records_added", NUMBER)]);
    has(log, &[("total_records_updated", NUMBER), ("total_records_deleted", NUMBER), ("retry_count", NUMBER), ("triggered_by", TEXT)]);
    has(log, &[("data_sources_processed", LIST), ("data_sources_failed", LIST), ("data_sources_skipped", LIST)]);
    has(
        log,
        &[("error_message", TEXT_OR_NULL), ("peak_memory_usage_mb", NUMBER_OR_NULL), ("cpu_time_seconds", NUMBER_OR_NULL), ("host", TEXT)],
    );
}

#[test]
fn list_has_the_shape_that_its_scripts_read() {
    let etl = replaced();
    assert_eq!(etl.run(&["list", "-o", "json"]).exits(0).json(), json!({"success": true, "jobs": [], "total_count": 0}));
    etl.run(&["create", "sales", "--from", "body.json"]).exits(0);
    let first = etl.run(&["list", "-o", "json"]).exits(0).json();
    is_listed(&first["jobs"][0]);
    let job = json!({
        "id": "sales", "name": "Daily Sales Data Refresh", "description": "Refresh sales data from multiple sources", "schedule_type": "daily",
        "schedule_display": "Daily at 06:00", "timezone": "US/Eastern", "is_active": true, "status": "active", "last_run": null,
        "last_run_status": null, "next_run": first["jobs"][0]["next_run"], "consecutive_failures": 0, "success_rate": 0.0, "data_sources_count": 2
    });
    assert_eq!(first, json!({"success": true, "jobs": [job], "total_count": 1}));
    etl.run(&["run", "sales", "--no-notify"]).exits(0);
    std::fs::remove_file(etl.path("data/orders.csv")).expect("it is there");
    etl.run(&["run", "sales", "--no-notify"]).exits(3);
    let second = etl.run(&["list", "-o", "json"]).exits(0).json()["jobs"][0].clone();
    is_listed(&second);
    assert_eq!((&second["success_rate"], &second["last_run_status"]), (&json!(50.0), &json!("failed")), "{second:#}");
    let active = |command: &str| {
        etl.run(&[command, "sales"]).exits(0);
        let job = etl.run(&["list", "-o", "json"]).exits(0).json()["jobs"][0].clone();
        (job["is_active"].clone(), job["status"].clone())
    };
    assert_eq!(active("pause"), (json!(true), json!("paused")), "its flag was that nobody disabled the job");
    assert_eq!(active("disable"), (json!(false), json!("inactive")));
    assert_eq!(active("enable"), (json!(true), json!("active")));
}

#[test]
fn logs_have_the_shape_that_its_scripts_read_and_so_has_show() {
    let etl = replaced();
    etl.run(&["create", "sales", "--from", "body.json"]).exits(0);
    for _ in 0..3 {
        etl.run(&["run", "sales", "--no-notify"]).exits(0);
    }
    std::fs::remove_file(etl.path("data/orders.csv")).expect("it is there");
    etl.run(&["run", "sales", "--no-notify"]).exits(3);
    let page = etl.run(&["logs", "sales", "--page", "2", "--page-size", "3", "-o", "json"]).exits(0).json();
    assert_eq!(page["success"], true);
    let pagination = json!({"current_page": 2, "page_size": 3, "total_pages": 2, "total_logs": 4, "has_next": false, "has_previous": true});
    assert_eq!(page["pagination"], pagination);
    let log = &page["logs"][0];
    is_log(log);
    let seconds = log["execution_time_seconds"].as_f64().expect("a number");
    assert_eq!(log["duration"], format!("{}s", seconds as u64), "a run of less than a minute");
    assert_eq!((&log["status"], &log["triggered_by"], &log["total_records_processed"]), (&json!("success"), &json!("manual"), &json!(3)));
    assert_eq!((&log["data_sources_processed"], &log["data_sources_failed"]), (&json!(["orders", "regions"]), &json!([])));
    let failed = etl.run(&["logs", "sales", "--status", "failed", "-o", "json"]).exits(0).json();
    assert_eq!(failed["pagination"]["total_logs"], 1);
    is_log(&failed["logs"][0]);
    assert_eq!(
        (&failed["logs"][0]["data_sources_processed"], &failed["logs"][0]["data_sources_failed"]),
        (&json!(["regions"]), &json!(["orders"]))
    );
    let shown = etl.run(&["show", "sales", "-o", "json"]).exits(0).json();
    assert_eq!(shown["success"], true);
    let job = &shown["job"];
    is_listed(job);
    has(job, &[("max_retries", NUMBER), ("failure_threshold", NUMBER), ("retry_delay_seconds", NUMBER), ("notify_on_success", BOOLEAN)]);
    has(
        job,
        &[
            ("notify_on_failure", BOOLEAN),
            ("notification_emails", LIST),
            ("created_at", TEXT),
            ("data_sources", LIST),
            ("recent_runs", LIST),
        ],
    );
    has(&job["data_sources"][0], &[("name", TEXT), ("source_type", TEXT)]);
    assert_eq!(job["statistics"], json!({"total_runs": 4, "successful_runs": 3, "failed_runs": 1, "success_rate": 75.0}));
    assert_eq!(job["retry_delay_seconds"], 300);
    job["recent_runs"].as_array().expect("a list").iter().for_each(is_log);
}

#[test]
fn errors_are_one_object_that_says_success_false() {
    let etl = replaced();
    let check = |arguments: &[&str], code: i32, word: &str| {
        let error = etl.run(&[arguments, &["-o", "json"]].concat()).exits(code).json();
        assert_eq!((&error["success"], &error["error"]["code"]), (&json!(false), &json!(word)), "{arguments:?}: {error:#}");
        has(&error["error"], &[("code", TEXT), ("message", TEXT), ("hint", TEXT_OR_NULL), ("location", TEXT_OR_NULL)]);
    };
    check(&["show", "nobody"], 2, "unknown_job");
    check(&["logs", "nobody"], 2, "unknown_job");
    check(&["create", "--from", "missing.json"], 2, "usage");
    etl.write("broken.json", "{\"name\": ");
    check(&["create", "--from", "broken.json"], 4, "invalid");
    etl.run(&["create", "sales", "--from", "body.json"]).exits(0);
    etl.run(&["disable", "sales"]).exits(0);
    check(&["run", "sales"], 6, "not_active");
}

/// Commands whose finding, exit code 10, is an answer as good as 0.
const FINDERS: [&str; 3] = ["etlsched check", "etlsched doctor", "etlsched schedule status"];

/// Every command in the tables of README.md's section on the system replaced, in its order.
fn commands() -> Vec<(usize, String)> {
    let readme = std::fs::read_to_string(crate::etl::repository().join("README.md")).expect("README.md");
    let from = readme.find("\n### From Django and Celery").expect("README.md has the section");
    let begin = readme[..from].lines().count();
    let section = &readme[from + 1..];
    let section = &section[..section[4..].find("\n### ").map_or(section.len(), |at| at + 4)];
    let rows = section.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    rows.flat_map(|(index, row)| {
        let ours = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let spans = ours.split('`').skip(1).step_by(2).filter(|span| span.starts_with("etlsched ") && !span.contains(" JOB"));
        spans.map(move |span| (begin + index + 1, span.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
#[cfg(unix)]
fn what_the_readme_gives_for_each_part_of_the_system_replaced_works() {
    let commands = commands();
    assert!(commands.len() > 25, "the tables give {} commands", commands.len());
    let etl = replaced();
    let crontab = "#!/bin/sh\ncase $1 in -l) cat \"$HOME/crontab\" 2>/dev/null || { echo no crontab for etl >&2; exit 1; } ;; *) cat > \"$HOME/crontab\" ;; esac\n";
    etl.write("bin/crontab", crontab);
    make_executable(&etl.path("bin/crontab"));
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let etl = etl.env("PATH", &path);
    let mut codes: BTreeMap<String, i32> = BTreeMap::new();
    for (line, command) in commands {
        // Each row stands for itself: what one before it did to the job is undone.
        let is_creating = command.starts_with("etlsched create");
        let _ = std::fs::remove_file(etl.path("jobs/sales.yaml"));
        if !is_creating {
            etl.run(&["create", "sales", "--from", "body.json"]).exits(0);
            etl.run(&["enable", "sales"]).exits(0);
            etl.run(&["run", "sales", "--no-notify"]).exits(0);
        }
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let ended = etl.run(&words);
        let is_finding = ended.code == Some(10) && FINDERS.iter().any(|finder| command.starts_with(finder));
        assert!(ended.code == Some(0) || is_finding, "README.md:{line}: {command}: {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
        codes.insert(command, ended.code.unwrap_or_default());
    }
}

#[cfg(unix)]
fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}
