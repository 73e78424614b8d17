//! `report`: the summary on the terminal and for scripts; the page in a headless browser, with hostile names, without a script, and with
//! 1,000 jobs and 100,000 runs; where a page may be written.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::etl::Etl;

const NOW: &str = "2026-11-24T12:00:00Z";

/// Closes what a browser was given, and starts what must not run, in every place where text stands.
pub const HOSTILE: &str = "</script><img src=x onerror=document.title=1>\"'<!--\u{202e}&amp;";

pub fn job(keys: &str) -> String {
    format!("{keys}data_sources:\n  - path: jobs/data/x.csv\n")
}

/// A workspace with a job that ran once, by the clock of tests.
pub fn workspace() -> Etl {
    let etl = Etl::new()
        .env("ETLSCHED_NOW", NOW)
        .file("etlsched.yaml", "timezone: Europe/Berlin\n")
        .file("jobs/data/x.csv", "a\n1\n")
        .file("jobs/sales.yaml", job("schedule_type: hourly\nminute: 0\n"));
    etl.run(&["run", "sales"]).exits(0);
    etl.state().execute("DELETE FROM run_streams; DELETE FROM run_events; DELETE FROM run_sources; DELETE FROM runs");
    etl
}

/// Plants a run; `error` is bound as SQL text.
pub fn plant(etl: &Etl, id: &str, started: &str, status: &str, error: Option<&str>) {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let message = error.map_or_else(|| "NULL".to_owned(), text);
    etl.state().execute(&format!(
        "INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, total_records_processed,
         error_message, host, pid, process_start, username, version)
         VALUES ('{id}', 'sales', '{status}', 'schedule', '{started}', '{started}', 1.5, 10, {message}, 'h', 1, '1', 'u', '1');
         INSERT INTO run_sources (run_id, source, position, status, error_code, error_message, error_hint)
         VALUES ('{id}', 'x', 0, '{status}', {code}, {message}, {message});
         INSERT INTO run_streams (run_id, source, stream, target, position, status)
         VALUES ('{id}', 'x', 'x', 'x', 0, '{status}');
         UPDATE jobs SET last_run_id = '{id}', last_run_at = '{started}', last_run_status = '{status}';",
        code = error.map_or("NULL", |_| "'refused'"),
    ));
}

pub const RUN: &str = "019ab000-0000-7000-8000-000000000001";
pub const FAILED_RUN: &str = "019ab000-0000-7000-8000-000000000002";

#[test]
fn the_summary_says_what_needs_attention_and_what_to_type() {
    let etl = workspace();
    plant(&etl, RUN, "2026-11-24 10:00:00", "success", None);
    plant(&etl, FAILED_RUN, "2026-11-24 11:00:00", "failed", Some("no answer from db1"));
    etl.write("jobs/broken.yaml", "schedule_type: never\n");
    let shown = etl.run(&["report"]).exits(0).says("").stdout;
    assert!(shown.starts_with("2 of 2 jobs need attention\n\nJobs    0 ok"), "{shown}");
    for text in
        [", 1 failing", "Runs    50 % of 2 runs good", "no answer from db1", "etlsched logs sales --run last", "jobs/broken.yaml has"]
    {
        assert!(shown.contains(text), "no {text:?} in\n{shown}");
    }
    assert!(shown.lines().any(|line| line.trim() == "etlsched logs sales --run last"), "what is typed has a line of its own:\n{shown}");
    let report = etl.run(&["report", "sales", "-o", "json"]).exits(0).json();
    assert_eq!((&report["summary"]["runs_good"], &report["summary"]["success_rate"]), (&1.into(), &50.0.into()), "{report:#}");
    assert_eq!((&report["attention"][0]["job"], &report["attention"][0]["state"]), (&"sales".into(), &"failing".into()), "{report:#}");
    assert_eq!(report["attention"].as_array().map(Vec::len), Some(1), "the broken file is another job's: {report:#}");
    assert_eq!((&report["failures"][0]["code"], &report["failures"][0]["last_run_id"]), (&"refused".into(), &FAILED_RUN.into()));
    assert_eq!(report["jobs"][0]["next_run"], "2026-11-24T13:00:00Z");
    etl.run(&["report", "-o", "csv"]).exits(0).mentions("id,state,last_run,").mentions("\nsales,failing,");
}

#[test]
fn what_is_no_job_no_time_or_no_workspace_is_refused() {
    let etl = workspace();
    etl.run(&["report", "nobody"]).exits(2).prints("").mentions("unknown job nobody");
    etl.run(&["report", "--since", "soon"]).exits(2).mentions("is not a time");
    etl.run(&["report", "--since", "2030-01-01"]).exits(2).mentions("--since lies ahead");
    etl.run(&["report", "--hours-ahead", "0"]).exits(2);
    let empty = Etl::new();
    empty.run(&["report"]).exits(0).mentions("There are no jobs yet");
    assert!(!empty.path(".etlsched").exists(), "a report makes no store");
}

#[test]
#[cfg(unix)]
fn a_page_is_written_for_its_owner_and_never_over_anything_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let etl = workspace();
    let page = etl.path("report.html");
    let write = || etl.run(&["report", "--html", "report.html"]);
    write().exits(0).prints("").mentions("wrote report.html (");
    let mode = || std::fs::metadata(&page).expect("the page").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    write().exits(0);
    assert_eq!(mode(), 0o644, "a page that is shared stays so");
    let refuse = |place: &str, why: &str| drop(etl.run(&["report", "--html", place]).exits(2).prints("").mentions(why));
    refuse("jobs/sales.yaml", "is no page of `etlsched report`");
    refuse("jobs", "is a folder");
    refuse("nowhere/report.html", "there is no folder nowhere");
    std::os::unix::fs::symlink("report.html", etl.path("link.html")).expect("a link");
    refuse("link.html", "is a link");
    assert!(std::fs::read_to_string(etl.path("jobs/sales.yaml")).expect("the job").contains("data_sources"));
    let printed = etl.run(&["report", "--html", "-"]).exits(0).says("");
    assert!(printed.stdout.starts_with("<!doctype html>") && printed.stdout.ends_with("</html>\n"));
    let mut left: Vec<String> = etl.listing().into_iter().map(|(path, _)| path.display().to_string()).collect();
    left.retain(|path| path.contains("/.etlsched-"));
    assert_eq!(left, Vec::<String>::new(), "nothing is left beside a page");
}

#[test]
fn secrets_of_jobs_are_hidden_in_every_form() {
    let etl = workspace().env("MARK", "marked-secret-7431");
    etl.write("jobs/sales.yaml", job("name: ${MARK}\nschedule_type: hourly\n"));
    plant(&etl, FAILED_RUN, "2026-11-24 11:00:00", "failed", Some("login marked-secret-7431 refused"));
    for arguments in [&["report"][..], &["report", "-o", "json"], &["report", "-o", "csv"], &["report", "--html", "-"]] {
        let shown = etl.run(arguments).exits(0);
        assert!(!shown.stdout.contains("marked-secret") && !shown.stderr.contains("marked-secret"), "{arguments:?}");
    }
    etl.run(&["report"]).mentions("login *** refused");
}

/// Runs Debian's browser on a page, without a network.
#[cfg(target_os = "linux")]
fn browse(page: &Path) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|program| program.exists());
    let program: PathBuf = found.unwrap_or_else(|| panic!("chromium is not installed: apt-get install chromium"));
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(dom.contains("</html>"), "the browser gave no page: {}", String::from_utf8_lossy(&output.stderr));
    dom
}

/// Demands that the script drew the page and met no error.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_drawn(dom: &str) {
    let head = &dom[..dom.find("<head").expect("a head")];
    assert!(head.contains("data-drawn=\"yes\"") && !head.contains("data-trouble"), "{head}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_page_with_hostile_names_and_errors_is_drawn_and_nothing_gets_in() {
    let etl = workspace();
    etl.write("jobs/sales.yaml", job(&format!("name: {}\nschedule_type: hourly\n", serde_json::json!(HOSTILE))));
    plant(&etl, RUN, "2026-11-24 10:00:00", "success", None);
    plant(&etl, FAILED_RUN, "2026-11-24 11:00:00", "failed", Some(HOSTILE));
    let quoted = HOSTILE.replace('\'', "''");
    etl.state().execute(&format!("UPDATE run_streams SET stream = '{quoted}', target = '{quoted}'"));
    etl.run(&["report", "--html", "report.html"]).exits(0);
    let dom = browse(&etl.path("report.html"));
    assert_drawn(&dom);
    assert!(!dom.contains("<img"), "an element got in");
    assert!(dom.contains("<title>ETL report 2026-"), "the title is ours");
    assert!(dom.contains("class=\"lane\"") && dom.contains("<path class=\"failed\"") && dom.contains("<path class=\"next\""));
    assert!(dom.contains("2 runs, 1 good, 1 failed"), "lanes say in words what they show");
    // A script in the page that isn't ours is refused, even where it stands in the file itself.
    let page = std::fs::read_to_string(etl.path("report.html")).expect("the page");
    let planted = page.replace("</main>", "<script>document.title='mine'</script><img src=x onerror=\"document.title='mine'\"></main>");
    etl.write("planted.html", planted);
    let dom = browse(&etl.path("planted.html"));
    assert!(!dom.contains("<title>mine"), "the policy refuses it");
    // The judge sees an error of the script.
    etl.write("spoiled.html", page.replace("id=\"jobs-view\"", "id=\"other\""));
    assert!(!browse(&etl.path("spoiled.html")).contains("data-drawn=\"yes\""));
}

#[test]
#[cfg(target_os = "linux")]
fn a_browser_without_scripts_shows_tables() {
    let etl = workspace();
    plant(&etl, RUN, "2026-11-24 10:00:00", "success", None);
    plant(&etl, FAILED_RUN, "2026-11-24 11:00:00", "failed", Some("no answer from db1"));
    etl.run(&["report", "--html", "report.html"]).exits(0);
    let page = std::fs::read_to_string(etl.path("report.html")).expect("the page");
    // In a frame that runs no scripts the page is as a browser without them shows it; what is around it tells its text.
    let quoted = serde_json::json!(page).to_string().replace('<', "\\u003c");
    let outer = format!(
        "<!doctype html><body><script>
        const frame = document.createElement('iframe');
        frame.setAttribute('sandbox', 'allow-same-origin');
        frame.onload = () => {{
            const page = frame.contentDocument;
            document.body.textContent = `drawn: ${{page.documentElement.dataset.drawn}}, bars: ${{page.querySelectorAll('.bars rect').length}}\\n${{page.body.innerText}}`;
        }};
        frame.srcdoc = {quoted};
        document.body.append(frame);
        </script></body></html>"
    );
    etl.write("outer.html", outer);
    let text = browse(&etl.path("outer.html"));
    assert!(text.contains("drawn: undefined, bars: 24"), "{text}");
    assert!(text.contains("sales\tfailing\tHourly at minute 0\t2026-11-24 12:00\t"), "times are those of Berlin: {text}");
    assert!(text.contains("no answer from db1") && text.contains("sales\tx\tfailing\t2026-11-24 11:00"), "{text}");
}

/// Plants 1,000 jobs with 100 runs each, one in fifty of them failed, and slots that were missed.
fn plant_many(etl: &Etl) {
    for job_number in 0..1_000 {
        etl.write(&format!("jobs/job-{job_number:04}.yaml"), job(&format!("schedule_type: 15min\nminute: {}\n", job_number % 15)));
    }
    etl.state().execute(
        "BEGIN;
         WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
         INSERT INTO jobs (id, file, fingerprint, schedule_fingerprint, owner, first_seen_at, schedule_noticed_at, status, status_changed_at,
             last_run_id, last_run_at, last_run_status, last_success_at)
         SELECT printf('job-%04d', n), '', 'f', 's', 'u', '2026-11-01 00:00:00', '2026-11-01 00:00:00', 'active', '2026-11-01 00:00:00',
             printf('%04d-0099', n), '2026-11-24 11:00:00', 'success', '2026-11-24 11:00:00' FROM numbers;
         WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
         INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, total_records_processed,
             error_message, host, pid, process_start, username, version)
         SELECT printf('%04d-%04d', n / 100, n % 100), printf('job-%04d', n / 100), CASE WHEN n % 50 = 7 THEN 'failed' ELSE 'success' END, 'schedule',
             datetime('2026-11-18 00:00:00', (n % 100 * 5700 + n % 97) || ' seconds'), datetime('2026-11-18 00:00:00', (n % 100 * 5700 + 60) || ' seconds'),
             10 + n * 7919 % 3000 / 10.0, n * 7919 % 900000, NULL, 'h', 1, '1', 'u', '1' FROM numbers;
         INSERT INTO run_sources (run_id, source, position, status, error_code, error_message)
         SELECT id, 'x', 0, status, CASE WHEN status = 'failed' THEN 'refused' END, CASE WHEN status = 'failed' THEN 'no answer from db' || (rowid % 7) END FROM runs;
         INSERT INTO run_streams (run_id, source, stream, target, position, status) SELECT run_id, source, 'x', 'target_of_x', 0, status FROM run_sources;
         INSERT INTO slots (job, slot, due_at, status, updated_at)
         SELECT id, 's', '2026-11-20 10:00:00', 'missed', '2026-11-20 11:00:00' FROM jobs WHERE id LIKE 'job-00%';
         COMMIT;",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_jobs_and_a_hundred_thousand_runs_are_a_page_below_3_mb() {
    let etl = workspace();
    plant_many(&etl);
    let began = Instant::now();
    etl.run(&["report", "--html", "report.html", "--since", "8d"]).exits(0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "a debug build on a busy machine took {took:?}");
    let size = std::fs::metadata(etl.path("report.html")).expect("the page").len();
    assert!(size < 3_000_000, "{size} bytes");
    let dom = browse(&etl.path("report.html"));
    assert_drawn(&dom);
    assert!(dom.contains("1 to 25 of 1,001 jobs"), "a page of jobs is drawn");
    // What stands in <noscript> is one text here.
    let drawn: String = dom.split("<noscript>").map(|part| part.rsplit("</noscript>").next().unwrap_or(part)).collect();
    let elements = drawn.matches("</").count();
    assert!(elements < 6_000, "{elements} elements: only what is looked at is drawn");
    let report = etl.run(&["report", "-o", "json", "--since", "8d"]).exits(0).json();
    assert_eq!((&report["summary"]["runs_total"], &report["asked_since"]), (&100_000.into(), &serde_json::Value::Null));
    assert_eq!(report["summary"]["runs_good"], 98_000);
    // One more run than a page takes: the oldest is left out, and the span says so.
    plant(&etl, RUN, "2026-11-24 10:00:00", "success", None);
    let cut = etl.run(&["report", "-o", "json", "--since", "8d"]).exits(0).json();
    assert_eq!((&cut["summary"]["runs_total"], cut["asked_since"].is_string()), (&100_000.into(), true));
    etl.run(&["report", "--since", "8d"]).exits(0).mentions("(the newest 100,000 runs since ");
}
