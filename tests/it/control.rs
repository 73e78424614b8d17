//! What operators do around runs: looking at cursors, resetting, overlapping, stopping, being refused.

use crate::etl::Etl;

/// A workspace whose job reads `orders` of a SQLite file incrementally; the file holds two rows.
fn incremental() -> Etl {
    let etl = Etl::new()
        .file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n")
        .file("jobs/shop.yaml", "data_sources:\n  - {name: orders, connection: shop, table: orders, primary_key: [id], etl_config: {mode: incremental, timestamp_column: id}}\n");
    let shop = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (1, 'a'), (2, 'b');")
        .expect("it can be written");
    etl
}

#[test]
fn show_tells_how_far_each_stream_is_loaded() {
    let etl = incremental();
    let cursors = || etl.run(&["show", "shop", "-o", "json"]).exits(0).json()["job"]["cursors"].clone();
    assert_eq!(cursors(), serde_json::json!([]));
    etl.run(&["run", "shop"]).exits(0);
    let shown = &cursors()[0];
    assert_eq!((shown["source"].as_str(), shown["target"].as_str(), shown["version"].as_i64()), (Some("orders"), Some("orders"), Some(1)));
    assert_eq!((shown["cursor"]["text"].as_str(), shown["rows"].as_u64()), (Some("2"), Some(2)), "{shown:#}");
    etl.run(&["show", "shop"]).exits(0).mentions("Readers    a load becomes visible whole").mentions("orders  orders  2");
}

#[test]
fn show_says_so_where_the_destination_can_t_tell() {
    let etl = incremental();
    etl.run(&["run", "shop"]).exits(0);
    etl.write(".etlsched/warehouse.db", "no database at all, but long enough to be looked at as one: ".repeat(200));
    let job = etl.run(&["show", "shop", "-o", "json"]).exits(0).json()["job"].clone();
    assert_eq!(job["cursors"], serde_json::Value::Null);
    assert!(job["cursors_unknown"].as_str().is_some_and(|why| why.contains("warehouse.db")), "{job:#}");
    etl.run(&["show", "shop"]).exits(0).mentions("Loaded: unknown (");
}

/// Puts the lease of a run on another host into the store, renewed just now.
fn hold_lease(etl: &Etl, job: &str) {
    etl.state().execute(&format!(
        "INSERT INTO leases (job, run_id, host, pid, process_start, boot_id, renewed_boot_micros, renewed_at, progress)
         VALUES ('{job}', (SELECT id FROM runs WHERE job = '{job}' LIMIT 1), 'elsewhere', 7, '1', 'b', 0, strftime('%Y-%m-%d %H:%M:%f', 'now'), '{{}}')"
    ));
}

#[test]
fn a_reset_source_is_read_anew_by_its_next_run() {
    let etl = incremental();
    let added = || etl.run(&["run", "shop", "-o", "json"]).exits(0).json()["runs"][0]["sources"][0]["streams"][0]["mode"].clone();
    assert_eq!(added(), "full");
    assert_eq!(added(), "incremental");
    etl.run(&["state", "reset", "shop", "--source", "orders"]).exits(2).mentions("--yes");
    etl.run(&["state", "reset", "shop", "--source", "order", "--yes"]).exits(2).mentions("did you mean orders?");
    etl.run(&["state", "reset", "shop", "--source", "orders", "--yes"]).exits(0).prints("shop: reset 1 table of source orders: orders\n");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM orders"), "2");
    assert_eq!(etl.run(&["state", "show", "-o", "json"]).exits(0).json()["cursors"][0]["cursor"], serde_json::Value::Null);
    assert_eq!(
        etl.state().value("SELECT action || ' ' || details FROM audit ORDER BY at DESC, id DESC LIMIT 1"),
        "state reset source orders: orders"
    );
    assert_eq!(added(), "full");
}

#[test]
fn a_source_is_not_reset_while_its_job_runs() {
    let etl = incremental();
    etl.run(&["run", "shop"]).exits(0);
    hold_lease(&etl, "shop");
    etl.run(&["state", "reset", "shop", "--source", "orders", "--yes"]).exits(5).mentions("on elsewhere");
    assert_eq!(etl.warehouse().value("SELECT cursor_value FROM _etlsched_loads"), "2");
}

#[test]
fn a_lost_store_is_made_anew_and_cursors_go_on() {
    let etl = incremental();
    etl.run(&["run", "shop"]).exits(0);
    let id = etl.state().value("SELECT id FROM workspace");
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(etl.path(".etlsched").join(name));
    }
    etl.run(&["run", "shop", "--dry-run"]).exits(0);
    assert!(!etl.path(".etlsched/state.db").exists());
    let stream = etl.run(&["run", "shop", "-o", "json"]).exits(0).json()["runs"][0]["sources"][0]["streams"][0].clone();
    assert_eq!(stream["mode"], "incremental");
    assert_eq!(etl.state().value("SELECT id FROM workspace"), id);
}

#[test]
fn a_deleted_job_leaves_no_status_to_one_made_anew() {
    let etl = Etl::new().csv_job("sales", "", "a\n1\n");
    let create = ["create", "sales", "--path", "jobs/data/sales.csv"];
    etl.run(&["run", "sales"]).exits(0);
    etl.run(&["pause", "sales"]).exits(0);
    hold_lease(&etl, "sales");
    etl.run(&["delete", "sales", "--yes"]).exits(5).mentions("on elsewhere").mentions("etlsched cancel sales");
    assert!(etl.path("jobs/sales.yaml").exists());
    etl.state().execute("DELETE FROM leases");
    etl.run(&["delete", "sales", "--yes"]).exits(0);
    let again = etl.run(&create).exits(0);
    assert!(!again.stderr.contains("paused"), "{}", again.stderr);
    etl.run(&["run", "sales", "--scheduled"]).exits(0);
    // A file that is removed by hand leaves its status, and says so.
    etl.run(&["pause", "sales"]).exits(0);
    std::fs::remove_file(etl.path("jobs/sales.yaml")).expect("the file goes");
    let status = etl.run(&["status"]).exits(0);
    assert!(!status.stdout.contains("sales"), "{}", status.stdout);
    etl.run(&["resume", "sales"]).exits(2).mentions("job sales has no file any more").mentions("etlsched delete sales");
    etl.run(&create).exits(0).mentions("its status stays: paused").mentions("etlsched enable sales");
    std::fs::remove_file(etl.path("jobs/sales.yaml")).expect("the file goes");
    etl.run(&["delete", "sales", "--yes"]).exits(0).mentions("the status of job sales, which has no file");
    let again = etl.run(&create).exits(0);
    assert!(!again.stderr.contains("paused"), "{}", again.stderr);
}

#[test]
fn a_job_made_of_nothing_is_told_what_to_give() {
    let etl = Etl::new().file("etlsched.yaml", "").file("a.json", r#"{"name": "Österreich", "data_sources": [{"path": "a.csv"}]}"#);
    etl.run(&["create", "bad"]).exits(2).mentions("create: no source").mentions("--path");
    let cron = ["create", "bad", "--path", "a.csv", "--schedule", "cron"];
    etl.run(&cron).exits(2).mentions("give --cron \"0 6 * * *\"");
    etl.run(&["create", "--from", "a.json"]).exits(0).mentions("jobs/osterreich.yaml");
}

#[test]
fn a_variable_without_a_value_is_a_warning_and_online_an_error() {
    let etl = Etl::new().file("etlsched.yaml", "").file("jobs/sales.yaml", "data_sources:\n  - path: ${NOWHERE_SET}/sales.csv\n");
    etl.run(&["validate"]).exits(0).mentions("jobs/sales.yaml:2").mentions("the variable NOWHERE_SET is not set here: run will refuse");
    etl.run(&["validate", "--online"]).exits(4).mentions("the variable NOWHERE_SET is not set");
}

#[test]
fn a_variable_by_which_people_are_told_is_a_warning_where_it_is_used() {
    let smtp = "smtp: {url: \"smtps://etl@mail.example\", password: \"${MAIL_PASSWORD}\", from: etl@example.com}\n";
    let etl = Etl::new().file("etlsched.yaml", smtp).csv_job("sales", "", "id\n1\n");
    let quiet = etl.run(&["validate"]).exits(0);
    assert!(!quiet.stderr.contains("MAIL_PASSWORD"), "no job sends mails: {}", quiet.stderr);
    let told = "notification_emails: [ops@example.com]\nwebhooks: \"${HOOK}\"\ndata_sources: [{path: jobs/data/sales.csv}]\n";
    etl.write("jobs/sales.yaml", told);
    etl.write("jobs/more.yaml", "notification_emails: [ops@example.com]\ndata_sources: [{path: jobs/data/sales.csv, target: more}]\n");
    let what_comes = "is not set here: runs go on, and nobody is told this way";
    let warned = etl.run(&["validate"]).exits(0).mentions(&format!("etlsched.yaml:1:51: warning: the variable MAIL_PASSWORD {what_comes}"));
    let warned =
        warned.mentions(&format!("jobs/sales.yaml:2:11: warning: the variable HOOK {what_comes}")).mentions("set HOOK in the environment");
    assert!(warned.stderr.ends_with("2 warnings\n"), "once each: {}", warned.stderr);
    etl.run(&["run", "sales"]).exits(0);
    etl.run(&["validate", "--online"]).exits(4).mentions("error: the variable MAIL_PASSWORD is not set");
}

#[test]
fn a_table_is_taken_over_from_another_job_and_from_another_source() {
    let etl = Etl::new().csv_job("old", "target: t", "a\n1\n2\n").csv_job("new", "target: t", "a\n3\n");
    etl.run(&["run", "old"]).exits(0);
    etl.run(&["run", "new"]).exits(1).mentions("etlsched state reset new --source new --take-over");
    let take = ["state", "reset", "new", "--source", "new", "--take-over", "--yes"];
    etl.run(&take)
        .exits(0)
        .prints("new: took over 1 table of source new: t\n")
        .mentions("warning: the next load replaces all rows of t by those of its source; rows that the source no longer has go");
    etl.run(&take).exits(0).prints("new: nothing to take over\n");
    etl.run(&["run", "new"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT a FROM t"), ["3"]);
    etl.run(&["run", "old"]).exits(1).mentions("--take-over");
    // The source gets another name, its table stays.
    etl.write("jobs/new.yaml", "data_sources:\n  - {name: renamed, path: jobs/data/new.csv, target: t}\n");
    etl.run(&["run", "new"]).exits(1).mentions("state reset new --source renamed --take-over");
    etl.run(&["state", "reset", "new", "--source", "renamed", "--take-over", "--yes"]).exits(0);
    etl.run(&["run", "new"]).exits(0);
}

#[test]
fn a_dry_run_beside_a_store_leaves_every_file_as_it_was_and_publishes_nothing() {
    let etl = Etl::new().csv_job("few", "", "a\n1\n2\n");
    etl.run(&["run", "few"]).exits(0);
    etl.write("jobs/data/few.csv", "a\n3\n");
    let before = etl.listing();
    let ended = etl.run(&["run", "few", "--dry-run"]).exits(0).mentions("event=stream_checked");
    assert!(!ended.stderr.contains("published"), "{}", ended.stderr);
    let after = etl.listing();
    let names = |listing: &[(std::path::PathBuf, Option<Vec<u8>>)]| listing.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    assert!(after == before, "a dry run changed a file");
}

#[test]
fn validate_online_reaches_every_source() {
    let etl = Etl::new().csv_job("good", "", "a\n1\n").file("jobs/gone.yaml", "data_sources:\n  - path: jobs/data/nowhere.csv\n");
    etl.run(&["validate"]).exits(0);
    etl.run(&["validate", "good", "--online"]).exits(0).prints("1 job is valid, 1 source reached\n");
    etl.run(&["validate", "--online"])
        .exits(1)
        .mentions("job gone, source nowhere: ")
        .mentions("2 jobs are valid, 1 source reached, 1 not");
    let json = etl.run(&["validate", "--online", "-o", "json"]).exits(1).json();
    assert_eq!((json["success"].as_bool(), json["sources"].as_array().map(Vec::len)), (Some(false), Some(2)), "{json:#}");
    etl.write("jobs/bad.yaml", "data_sources: 7\n");
    etl.run(&["validate", "--online"]).exits(4).mentions("job gone, source nowhere: ");
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_can_t_be_written_is_an_error_and_a_reader_that_has_gone_is_none() {
    let etl = Etl::new().csv_job("few", "", "a\n1\n");
    let to = |arguments: &[&str], stdout: std::process::Stdio| etl.command(arguments).stdout(stdout).output().expect("the program starts");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let ended = to(&["list"], full().into());
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).starts_with("error: the output could not be written: "), "{ended:?}");
    let gone = || std::io::pipe().expect("a pipe").1;
    let ended = to(&["list"], gone().into());
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
    // A run that fails fails, whoever reads.
    std::fs::remove_file(etl.path("jobs/data/few.csv")).expect("the file goes");
    assert_eq!(to(&["run", "few"], gone().into()).status.code(), Some(1));
    assert_eq!(to(&["run", "few"], full().into()).status.code(), Some(1));
}

/// A workspace whose job reads from a server that sends a header and then nothing more; the receiver hears of each read.
#[cfg(target_os = "linux")]
fn stuck() -> (Etl, std::sync::mpsc::Receiver<()>) {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/x.csv", server.local_addr().expect("an address"));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na,b\n1,2\n");
            open.push(stream);
            let _ = tell.send(());
        }
    });
    (Etl::new().file("jobs/stuck.yaml", format!("data_sources:\n  - {{name: stuck, path: \"{url}\"}}\n")), told)
}

/// Starts a command, sends it signals once its worker reads, and returns its exit status when every process of it has gone.
#[cfg(target_os = "linux")]
fn signalled(etl: &Etl, told: &std::sync::mpsc::Receiver<()>, arguments: &[&str], signals: &[i32]) -> std::process::ExitStatus {
    // What the tests were started under may ignore them (nohup(1), `&` in a script), and the program would inherit that.
    let plain = etl.command(arguments);
    let mut command = std::process::Command::new("env");
    command.args(["--default-signal=HUP,INT".as_ref(), plain.get_program()]).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(etl.path(""));
    let (nothing, nowhere) = (std::process::Stdio::null(), std::process::Stdio::null());
    let mut child = command.stdout(nothing).stderr(nowhere).spawn().expect("it starts");
    told.recv().expect("the worker reads");
    for signal in signals {
        let sent = std::process::Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }
    let status = child.wait().expect("it ends");
    let workers = || {
        let processes = std::fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok);
        let here = std::fs::canonicalize(etl.path("")).expect("the workspace");
        processes.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == here)).count()
    };
    let began = std::time::Instant::now();
    while workers() > 0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{arguments:?}: its worker outlives it");
        std::thread::yield_now();
    }
    status
}

#[test]
#[cfg(target_os = "linux")]
fn a_closed_terminal_or_ctrl_c_ends_every_process_of_a_command() {
    use std::os::unix::process::ExitStatusExt;
    let (hangup, interrupt) = (1, 2);
    let (etl, told) = stuck();
    let hung_up = signalled(&etl, &told, &["run", "stuck"], &[hangup]);
    let log = etl.run(&["logs", "--run", "last"]);
    assert_eq!(hung_up.code(), Some(143), "{}", log.stdout);
    assert_eq!(etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0]["status"], "cancelled");
    // The second request doesn't wait for the worker; the next run settles what it left.
    assert_eq!(signalled(&etl, &told, &["run", "stuck"], &[hangup, interrupt]).code(), Some(130));
    let page = etl.run(&["logs", "-o", "json"]).exits(0).json();
    assert_eq!((page["logs"][0]["status"].as_str(), page["logs"][0]["completed_at"].as_str()), (Some("failed"), None), "{page:#}");
    let dry = signalled(&etl, &told, &["run", "stuck", "--dry-run"], &[interrupt]);
    assert_eq!(dry.code(), Some(130));
    let preview = signalled(&etl, &told, &["source", "preview", "stuck"], &[interrupt]);
    assert_eq!((preview.code(), preview.signal()), (None, Some(interrupt)));
}

#[test]
#[cfg(target_os = "linux")]
fn a_source_that_hangs_is_ended_at_the_time_limit_and_the_log_says_so() {
    let (etl, _told) = stuck();
    let began = std::time::Instant::now();
    let ended = etl.run(&["run", "stuck", "--timeout-seconds", "1"]).exits(124);
    assert!(began.elapsed() < std::time::Duration::from_secs(12), "it outlived its limit: {:?}", began.elapsed());
    assert!(
        ended.stderr.contains("timeout_minutes") && ended.stdout.contains("stuck: timeout, 0 of 1 source refreshed"),
        "{}",
        ended.stderr
    );
    let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json()["log"].clone();
    assert_eq!(
        (&log["status"], &log["exit_code"], &log["sources"][0]["status"]),
        (&"timeout".into(), &124.into(), &"timeout".into()),
        "{log:#}"
    );
    assert!(log["completed_at"].is_string(), "{log:#}");
    assert_eq!(etl.state().value("SELECT count(*) FROM leases"), "0");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}
