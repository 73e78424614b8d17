//! Who is told of what, and when: whole runs with real mail servers and webhooks. Time passes by making letters due in the store.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers::http::{HttpServer, Response, serve};
use crate::servers::mail::{MailServer, header, mail_server};
use crate::servers::{PASSWORD, free_port, postgresql, psql, wait_until};

/// A port at which nobody listens.
fn nobody() -> u16 {
    free_port()
}

fn settings(port: u16) -> String {
    format!("smtp: {{url: \"smtp://localhost:{port}\", from: etl@example.com}}\n")
}

/// A workspace with the job `sales`, whose file isn't there yet, and `other`, which is good.
fn workspace(mail_port: u16, keys: &str) -> Etl {
    Etl::new()
        .file("etlsched.yaml", settings(mail_port))
        .file("jobs/sales.yaml", format!("{keys}data_sources:\n  - path: jobs/data/sales.csv\n"))
        .csv_job("other", "", "a\n1\n")
}

const ANN: &str = "notification_emails: [ann@example.com]\n";

fn good_server() -> MailServer {
    mail_server(&json!({}))
}

/// What was told so far, oldest first, by the subjects of the mails without what they begin with.
fn subjects(server: &MailServer) -> Vec<String> {
    server.mails().iter().map(|mail| header(mail, "X-Etlsched-Kind").to_owned()).collect()
}

/// Kind, recipient and whether it was sent of every letter, oldest first.
fn letters(etl: &Etl) -> Vec<String> {
    etl.state().rows("SELECT kind, recipient, sent_at IS NOT NULL FROM outbox ORDER BY created_at, channel, recipient")
}

/// What put letters off is over.
fn let_time_pass(etl: &Etl) {
    etl.state().execute("UPDATE outbox SET due_at = '2020-01-01 00:00:00' WHERE closed_at IS NULL");
}

fn at(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("the program starts");
    Ended::new(etl, arguments, output)
}

#[test]
fn a_failure_is_told_once_a_new_cause_again_and_then_the_recovery() {
    let server = good_server();
    let keys = format!("{ANN}failure_threshold: 50\n");
    let etl = workspace(server.port(), &keys);
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server), ["failure"]);
    etl.run(&["run", "sales"]).exits(1);
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server), ["failure"], "it is known");
    etl.write("jobs/data/sales.csv", "a\n1\n");
    let checked = format!("{keys}data_sources:\n  - path: jobs/data/sales.csv\n    expect: {{min_rows: 5}}\n");
    let unchecked = std::fs::read(etl.path("jobs/sales.yaml")).expect("the job");
    etl.write("jobs/sales.yaml", checked);
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server), ["failure", "failure"], "another cause is news");
    etl.write("jobs/sales.yaml", unchecked);
    etl.run(&["run", "sales"]).exits(0);
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(subjects(&server), ["failure", "failure", "recovery"], "and nobody asked for successes");
    std::fs::remove_file(etl.path("jobs/data/sales.csv")).expect("the file");
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server)[3..], ["failure"], "the same cause after a recovery is a new trouble");
    let ids: Vec<String> = server.mails().iter().map(|mail| header(mail, "Message-ID").to_owned()).collect();
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
}

#[test]
fn a_mail_says_what_the_log_says() {
    let server = good_server();
    let etl = workspace(server.port(), &format!("{ANN}schedule_type: daily\nhour: 6\n"));
    etl.run(&["run", "sales"]).exits(1);
    let mail = server.mails().remove(0);
    let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json();
    let text = mail["text"].as_str().expect("text");
    for part in [log["log"]["id"].as_str().expect("an id"), "sales.csv", "exit 1", "Daily at 06:00", "run sales"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_threshold_is_announced_and_told_once() {
    let server = good_server();
    let etl = workspace(server.port(), &format!("{ANN}failure_threshold: 3\n"));
    for _ in 0..3 {
        etl.run(&["run", "sales"]).exits(1);
    }
    assert_eq!(subjects(&server), ["failure", "disabled_soon", "disabled"]);
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server).len(), 3, "it is in error already");
    etl.run(&["enable", "sales"]).exits(0);
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server)[3..], ["failure"], "somebody began anew");
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(subjects(&server)[4..], ["recovery"]);
}

#[test]
fn nobody_is_told_of_dry_runs_nor_where_that_is_asked_for() {
    let server = good_server();
    let etl = workspace(server.port(), ANN);
    etl.run(&["run", "sales", "--no-notify"]).exits(1);
    etl.run(&["run", "sales", "--dry-run"]).exits(1);
    assert_eq!((letters(&etl), subjects(&server)), (vec![], vec![]));
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(subjects(&server), ["failure"], "what nobody was told is news");
}

#[test]
fn a_failing_address_does_not_stop_the_others_nor_change_the_run() {
    let server = mail_server(&json!({"refuse": ["bob@example.com"]}));
    let etl = workspace(server.port(), "notification_emails: [ann@example.com, bob@example.com, cleo@example.com]\n");
    let ended = etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    assert!(ended.stderr.contains("no such user"), "{}", ended.stderr);
    assert_eq!(letters(&etl), ["failure|ann@example.com|1", "failure|bob@example.com|0", "failure|cleo@example.com|1"]);
    let mut recipients: Vec<String> = server.mails().iter().map(|mail| mail["to"].to_string()).collect();
    recipients.sort();
    assert_eq!(recipients, ["[\"ann@example.com\"]", "[\"cleo@example.com\"]"]);
}

#[test]
fn what_a_mail_server_that_was_away_did_not_take_is_sent_once_when_it_is_back() {
    let etl = workspace(nobody(), ANN);
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    let id = etl.state().value("SELECT id FROM outbox");
    let_time_pass(&etl);
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    assert_eq!(etl.state().value("SELECT attempt FROM outbox"), "2");
    // Nobody asks the server again before the pause is over.
    let ended = etl.run(&["run", "other"]).exits(0);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    let server = good_server();
    etl.write("etlsched.yaml", settings(server.port()));
    let_time_pass(&etl);
    etl.run(&["run", "other"]).exits(0);
    etl.run(&["run", "other"]).exits(0);
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(header(&mails[0], "Message-ID"), format!("<{id}@example.com>"));
    assert_eq!(letters(&etl), ["failure|ann@example.com|1"]);
}

#[test]
fn the_gate_sends_what_waits_and_is_silent() {
    let etl = workspace(nobody(), &format!("{ANN}schedule_type: daily\nhour: 6\n"));
    let mail = at(&etl, "2026-11-24T06:00:01Z", &["run", "sales", "--scheduled"]).exits(1).prints("").stderr;
    assert_eq!(mail.matches("warning: 1 notification waits: ").count(), 1, "{mail}");
    assert!(mail.starts_with("error: ") && mail.lines().all(|line| line.chars().count() <= 80), "{mail}");
    at(&etl, "2026-11-24T06:00:30Z", &["check"]).exits(0).mentions("\n2 jobs: 1 well, 1 failing; 1 message waits\n");
    let server = good_server();
    etl.write("etlsched.yaml", settings(server.port()));
    at(&etl, "2026-11-24T06:01:00Z", &["run", "sales", "--scheduled"]).exits(0).prints("").says("");
    assert_eq!(subjects(&server), Vec::<String>::new(), "it is put off");
    let_time_pass(&etl);
    at(&etl, "2026-11-24T06:02:00Z", &["run", "sales", "--scheduled"]).exits(0).prints("").says("");
    assert_eq!(subjects(&server), ["failure"]);
}

#[test]
fn a_letter_is_given_up_after_three_days() {
    let etl = workspace(nobody(), ANN);
    etl.run(&["run", "sales"]).exits(1);
    etl.state().execute("UPDATE outbox SET expires_at = '2020-01-01 00:00:00'");
    let_time_pass(&etl);
    etl.run(&["run", "other"]).exits(0).mentions("to ann@example.com: given up after 72 hours and 1 attempt");
    assert_eq!(etl.state().rows("SELECT closed_at IS NOT NULL, sent_at, body FROM outbox"), ["1|NULL|"]);
    let ended = etl.run(&["run", "other"]).exits(0);
    assert!(!ended.stderr.contains("given up"), "{}", ended.stderr);
}

#[test]
fn a_process_that_is_killed_while_it_sends_loses_nothing() {
    let hanging = mail_server(&json!({"hostile": "silent_after_mail"}));
    let etl = workspace(hanging.port(), ANN);
    let mut child = etl.command(&["run", "sales"]).spawn().expect("the program starts");
    let state = etl.path(".etlsched/state.db");
    wait_until("it sends", || {
        state.exists()
            && etl.state().rows("SELECT name FROM sqlite_schema WHERE name = 'told'").len() == 1
            && etl.state().rows("SELECT 1 FROM outbox WHERE leased_by IS NOT NULL").len() == 1
    });
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let id = etl.state().value("SELECT id FROM outbox");
    let server = good_server();
    etl.write("etlsched.yaml", settings(server.port()));
    etl.run(&["run", "other"]).exits(0);
    let mails = server.mails();
    assert_eq!((mails.len(), header(&mails[0], "Message-ID").to_owned()), (1, format!("<{id}@example.com>")));
    assert_eq!(letters(&etl), ["failure|ann@example.com|1"]);
}

/// Starts a good job in several processes at once, each of which finds the same letters.
fn start_all(etl: &Etl, jobs: &[String]) {
    let start = |job: &String| etl.command(&["run", job]).spawn().expect("the program starts");
    let children: Vec<Child> = jobs.iter().map(start).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn several_processes_at_once_send_no_letter_twice() {
    let addresses: Vec<String> = (0..6).map(|number| format!("p{number}@example.com")).collect();
    let mut etl = workspace(nobody(), &format!("notification_emails: [{}]\n", addresses.join(", ")));
    let jobs: Vec<String> = (0..5).map(|number| format!("job{number}")).collect();
    for job in &jobs {
        etl = etl.csv_job(job, "", "a\n1\n");
    }
    etl.run(&["run", "sales"]).exits(1);
    let server = good_server();
    etl.write("etlsched.yaml", settings(server.port()));
    let_time_pass(&etl);
    start_all(&etl, &jobs);
    let mut recipients: Vec<String> = server.mails().iter().map(|mail| mail["to"][0].as_str().expect("an address").to_owned()).collect();
    recipients.sort();
    assert_eq!(recipients, addresses);
}

#[test]
fn a_letter_that_waits_for_a_file_names_the_one_with_the_mistake() {
    let etl = workspace(nobody(), &format!("webhooks: [\"http://127.0.0.1:{}/hook\"]\n", nobody()));
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    let due = || etl.state().execute("UPDATE outbox SET due_at = '2020-01-01'");
    due();
    etl.write("etlsched.yaml", settings(nobody()) + "destination: nowhere\n");
    let said = "waits: etlsched.yaml has problems, so that job sales can't be read: etlsched validate\n";
    etl.run(&["run", "sales"]).exits(4).mentions(said);
    due();
    etl.write("etlsched.yaml", settings(nobody()));
    etl.write("jobs/sales.yaml", "schedule_type: never\n");
    etl.run(&["run", "sales"]).exits(4).mentions("waits: the file of job sales has problems: etlsched validate sales\n");
}

#[test]
fn a_store_that_hosts_share_sends_no_letter_twice() {
    let database = "notify_runs";
    psql(postgresql(), "postgres", &format!("CREATE DATABASE {database}"));
    let encoded: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let state = format!("state: \"postgresql://etl:${{STATE_PASSWORD}}@127.0.0.1:{}/{database}\"\n", postgresql().port);
    let jobs: Vec<String> = (0..4).map(|number| format!("job{number}")).collect();
    let mut etl = workspace(nobody(), ANN).env("STATE_PASSWORD", &encoded);
    etl.write("etlsched.yaml", state.clone() + &settings(nobody()));
    for job in &jobs {
        etl = etl.csv_job(job, "", "a\n1\n");
    }
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    etl.run(&["run", "sales"]).exits(1);
    let server = good_server();
    etl.write("etlsched.yaml", state + &settings(server.port()));
    psql(postgresql(), database, "UPDATE outbox SET due_at = '2020-01-01'");
    start_all(&etl, &jobs);
    assert_eq!(subjects(&server), ["failure"]);
    assert_eq!(psql(postgresql(), database, "SELECT kind, sent_at IS NOT NULL FROM outbox"), "failure|t");
}

#[test]
fn a_mail_server_that_hangs_costs_at_most_half_a_minute_and_the_code_stays() {
    let hanging = mail_server(&json!({"hostile": "hang"}));
    let hooks = serve(|_| Response::new(200, "ok"));
    let keys =
        format!("notification_emails: [ann@example.com, bob@example.com, cleo@example.com]\nwebhooks: [\"{}\"]\n", hooks.url("/hook"));
    let etl = workspace(hanging.port(), &keys);
    let began = Instant::now();
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 3 notifications wait: ");
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    assert_eq!(hooks.seen().len(), 1, "the webhook doesn't wait for the mails");
    assert_eq!(etl.state().rows("SELECT status, exit_code FROM runs"), ["failed|1"]);
}

#[test]
fn a_healthcheck_hears_of_start_and_end_in_this_order() {
    let server = serve(|_| Response::new(200, "OK"));
    let etl = workspace(nobody(), &format!("healthcheck_url: \"{}\"\n", server.url("/ping/uuid")));
    etl.run(&["run", "sales"]).exits(1);
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    let seen = server.seen();
    let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/ping/uuid/start", "/ping/uuid/fail", "/ping/uuid/start", "/ping/uuid"]);
    assert!(seen[1].body.contains("sales.csv"), "{}", seen[1].body);
    etl.run(&["run", "sales", "--no-notify"]).exits(0);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn an_older_ping_that_waits_is_not_sent_after_a_newer_one() {
    let server = serve(|request| Response::new(if request.number < 2 { 500 } else { 200 }, ""));
    let etl = workspace(nobody(), &format!("healthcheck_url: \"{}\"\n", server.url("/ping")));
    etl.run(&["run", "sales"]).exits(1);
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    let_time_pass(&etl);
    etl.run(&["run", "other"]).exits(0);
    let targets: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/ping/start", "/ping/fail", "/ping/start", "/ping"]);
    let fates = etl.state().rows("SELECT kind, sent_at IS NOT NULL, last_error FROM outbox ORDER BY created_at");
    assert_eq!(fates, ["failure|0|overtaken by a later one", "success|1|NULL"]);
}

/// A job with a healthcheck that reads from a server that never ends its answer; the receiver hears of each read.
fn stuck(healthcheck: &str) -> (Etl, std::sync::mpsc::Receiver<()>) {
    use std::io::{Read as _, Write as _};
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
    let job = format!("{ANN}healthcheck_url: \"{healthcheck}\"\ndata_sources:\n  - {{name: stuck, path: \"{url}\"}}\n");
    (Etl::new().file("etlsched.yaml", settings(nobody())).file("jobs/stuck.yaml", job), told)
}

#[test]
fn a_healthcheck_hears_at_once_that_a_run_was_cancelled_and_people_hear_nothing() {
    for (is_signal, by) in [(true, "cancelled: by SIGTERM\n"), (false, "cancelled: by etlsched cancel\n")] {
        let server = serve(|_| Response::new(200, "OK"));
        let (etl, told) = stuck(&server.url("/ping/uuid"));
        let child = etl.command(&["run", "stuck"]).spawn().expect("the program starts");
        told.recv().expect("the source is read");
        if is_signal {
            let status = std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill starts");
            assert!(status.success());
        } else {
            etl.run(&["cancel", "stuck"]).exits(0);
        }
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
        let seen = server.seen();
        let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
        assert_eq!(targets, ["/ping/uuid/start", "/ping/uuid/fail"]);
        assert!(seen[1].body.starts_with(by), "{}", seen[1].body);
        assert_eq!(etl.state().rows("SELECT channel, sent_at IS NOT NULL FROM outbox"), ["healthcheck|1"]);
    }
}

#[test]
fn a_healthcheck_that_hangs_holds_a_process_that_is_to_stop_for_two_seconds_at_most() {
    let server = serve(|request| {
        // The start is taken, the end is not.
        std::thread::sleep(Duration::from_secs(if request.number == 0 { 0 } else { 30 }));
        Response::new(200, "OK")
    });
    let (etl, told) = stuck(&server.url("/ping"));
    let child = etl.command(&["run", "stuck"]).spawn().expect("the program starts");
    told.recv().expect("the source is read");
    let began = Instant::now();
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill starts").success());
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(143));
    assert!(began.elapsed() < Duration::from_secs(14), "8 s for the worker, 3 s for the ping: {:?}", began.elapsed());
    assert_eq!(etl.state().rows("SELECT kind, sent_at IS NOT NULL FROM outbox"), ["failure|0"], "it waits for a later run");
}

#[test]
fn older_pings_of_other_jobs_do_not_keep_one_of_a_cancelled_run_from_being_sent() {
    let slow = serve(|request| {
        std::thread::sleep(Duration::from_secs(if request.number < 2 { 0 } else { 30 }));
        Response::new(if request.number < 2 { 503 } else { 200 }, "")
    });
    let server = serve(|_| Response::new(200, "OK"));
    let (etl, told) = stuck(&server.url("/ping"));
    let failing = format!("healthcheck_url: \"{}\"\ndata_sources:\n  - path: jobs/data/none.csv\n", slow.url("/ping"));
    etl.write("jobs/failing.yaml", failing);
    etl.run(&["run", "failing"]).exits(1);
    let_time_pass(&etl);
    let child = etl.command(&["run", "stuck"]).spawn().expect("the program starts");
    told.recv().expect("the source is read");
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill starts").success());
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(143));
    let targets: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/ping/start", "/ping/fail"]);
    let waits = "SELECT job FROM outbox WHERE closed_at IS NULL";
    assert_eq!(etl.state().rows(waits), ["failing"]);
}

/// A webhook that takes nothing.
fn refusing() -> HttpServer {
    serve(|_| Response::new(503, "go away"))
}

#[test]
fn no_secret_is_in_the_outbox_and_a_webhook_is_found_again_by_its_mark() {
    const TOKEN: &str = "T0K3N-of-the-hook";
    let (server, taking) = (refusing(), serve(|_| Response::new(200, "ok")));
    let port = server.port;
    let etl = workspace(nobody(), "webhooks: [\"http://127.0.0.1:${HOOK_PORT}/hook/${HOOK_TOKEN}\"]\nhealthcheck_url: {file: hc.txt}\n")
        .file(".env", format!("HOOK_TOKEN={TOKEN}\nHOOK_PORT={port}\n"))
        .file("hc.txt", format!("http://127.0.0.1:{port}/ping/{TOKEN}-two\n"));
    let ended = etl.run(&["run", "sales"]).exits(1).mentions("notifications wait: ");
    let look = |said: &str| assert!(!said.contains(TOKEN), "{said}");
    look(&ended.stderr);
    for (path, content) in etl.listing() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = path.starts_with(etl.path(".etlsched"));
        let found = content.unwrap_or_default().windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes());
        assert!(!(is_ours && found), "{name}");
    }
    let recipients = etl.state().rows("SELECT recipient FROM outbox");
    assert!(recipients.iter().all(|recipient| recipient.starts_with("127.0.0.1:") && recipient.contains(" #")), "{recipients:?}");
    assert!(server.seen().iter().any(|request| request.target == format!("/hook/{TOKEN}")), "it was tried");
    // Another address than that which was to be told is told nothing.
    etl.write(".env", format!("HOOK_TOKEN={TOKEN}\nHOOK_PORT={}\n", taking.port));
    let_time_pass(&etl);
    etl.run(&["run", "other"]).exits(0);
    assert_eq!(taking.seen().len(), 0);
    let dropped = "SELECT last_error FROM outbox WHERE channel = 'webhook'";
    assert_eq!(etl.state().value(dropped), "no longer configured: the job's file has another address");
}

#[test]
fn a_webhook_that_was_away_is_told_later() {
    let server = serve(|request| Response::new(if request.number == 0 { 503 } else { 200 }, ""));
    let etl = workspace(nobody(), &format!("webhooks: [\"{}\"]\n", server.url("/hook")));
    etl.run(&["run", "sales"]).exits(1);
    let_time_pass(&etl);
    etl.run(&["run", "other"]).exits(0);
    assert_eq!(server.seen().len(), 2);
    assert_eq!(etl.state().value("SELECT sent_at IS NOT NULL FROM outbox"), "1");
}

const DAILY: &str = "schedule_type: daily\nhour: 6\nminute: 0\n";

#[test]
fn a_slot_that_nobody_started_is_told_once_by_another_job_s_run() {
    let server = good_server();
    let etl = workspace(server.port(), &format!("{ANN}{DAILY}"));
    etl.write("jobs/data/sales.csv", "a\n1\n");
    at(&etl, "2026-11-24T06:00:01Z", &["run", "sales", "--scheduled"]).exits(0);
    at(&etl, "2026-11-25T06:05:00Z", &["run", "other"]).exits(0);
    assert_eq!(subjects(&server), Vec::<String>::new(), "it is within its grace");
    at(&etl, "2026-11-25T06:30:00Z", &["run", "other"]).exits(0);
    at(&etl, "2026-11-25T06:40:00Z", &["run", "other"]).exits(0);
    assert_eq!(subjects(&server), ["missed"]);
    let text = server.mails()[0]["text"].as_str().expect("text").to_owned();
    assert!(text.contains("2026-11-25 06:00"), "{text}");
    // The gate writes off the slots of two days and runs the last: of them only the one is news that nobody was told.
    at(&etl, "2026-11-27T06:00:01Z", &["run", "sales", "--scheduled"]).exits(0);
    assert_eq!(subjects(&server), ["missed", "missed"]);
    let text = server.mails()[1]["text"].as_str().expect("text").to_owned();
    assert!(text.contains("2026-11-26 06:00") && !text.contains("2026-11-25 06:00"), "{text}");
}

/// The start that a deadline causes is the one that writes the slot off.
#[test]
fn a_deadline_is_told_by_the_gate_that_finds_its_slot_too_late_to_be_started() {
    let server = good_server();
    let etl = workspace(server.port(), &format!("{ANN}{DAILY}deadline: \"08:00\"\ncatch_up: none\n"));
    etl.write("jobs/data/sales.csv", "a\n1\n");
    at(&etl, "2026-11-24T06:00:01Z", &["run", "sales", "--scheduled"]).exits(0);
    at(&etl, "2026-11-25T08:01:00Z", &["run", "sales", "--scheduled"]).exits(0).says("");
    let mut told = subjects(&server);
    told.sort();
    assert_eq!(told, ["deadline", "missed"]);
}

#[test]
fn a_deadline_that_passed_is_told_once_by_the_gate_that_is_woken_for_it() {
    let server = good_server();
    let etl = workspace(server.port(), &format!("{ANN}{DAILY}deadline: \"08:00\"\nnotify_on_failure: false\n"));
    etl.write("jobs/data/sales.csv", "a\n1\n");
    at(&etl, "2026-11-24T06:00:01Z", &["run", "sales", "--scheduled"]).exits(0);
    at(&etl, "2026-11-24T08:01:00Z", &["run", "sales", "--scheduled"]).exits(0).says("");
    std::fs::remove_file(etl.path("jobs/data/sales.csv")).expect("the file");
    at(&etl, "2026-11-25T06:00:01Z", &["run", "sales", "--scheduled"]).exits(1);
    at(&etl, "2026-11-25T07:59:00Z", &["run", "other"]).exits(0);
    assert_eq!(subjects(&server), Vec::<String>::new());
    at(&etl, "2026-11-25T08:01:00Z", &["run", "sales", "--scheduled"]).exits(0).says("");
    at(&etl, "2026-11-25T08:02:00Z", &["run", "other"]).exits(0);
    assert_eq!(subjects(&server), ["deadline"]);
    let crontab = etl.run(&["schedule", "export", "--format", "crontab", "--host-zone", "UTC"]).exits(0);
    assert!(crontab.stdout.contains("\n1 8 * * * "), "{}", crontab.stdout);
}

#[test]
fn a_run_that_was_killed_is_told_by_the_run_that_settles_it() {
    let server = good_server();
    let etl = workspace(server.port(), ANN);
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales", "--no-notify"]).exits(0);
    etl.state().execute(
        "UPDATE runs SET status = 'running', completed_at = NULL, exit_code = NULL;
         UPDATE run_sources SET status = 'running'; UPDATE run_streams SET status = 'running', load_version = NULL;
         UPDATE jobs SET last_run_status = 'running'",
    );
    etl.warehouse().execute("UPDATE _etlsched_loads SET run_id = 'another'");
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(subjects(&server), ["recovery"], "they would come in the same second");
    let text = server.mails()[0]["text"].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, ended_at) = text.split_once("nterrupted: its process ended at or after ").expect("why");
    assert_eq!(ended_at.split(' ').nth(2).map(|zone| zone.trim_end_matches('.')), Some("UTC"), "{text}");
}

#[test]
fn why_rows_were_rejected_is_told_where_another_process_closes_the_run() {
    let server = good_server();
    let source = "data_sources:\n  - {path: jobs/data/sales.csv, columns: {types: {a: integer}}}\n";
    let etl = workspace(server.port(), "").file("jobs/sales.yaml", format!("{ANN}{source}"));
    etl.write("jobs/data/sales.csv", "a\n1\nx\n");
    etl.run(&["run", "sales", "--no-notify"]).exits(0);
    etl.state().execute(
        "UPDATE runs SET status = 'running', completed_at = NULL, exit_code = NULL; DELETE FROM run_events;
         UPDATE run_sources SET status = 'running', rejects_path = NULL, records_rejected = 0;
         UPDATE run_streams SET status = 'running', load_version = NULL, records_rejected = 0;
         UPDATE jobs SET last_run_status = 'running'",
    );
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(subjects(&server), ["rejected_rows"]);
    let words = server.mails()[0]["text"].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Reasons ------- sales: 1 row: column a does not fit integer (the first: "), "{words}");
    let log = etl.state().rows("SELECT message FROM run_events WHERE message LIKE '%rejected%'");
    assert!(log.len() == 1 && log[0].starts_with("1 row rejected, the first: sales.csv, "), "{log:?}");
    assert_eq!(etl.state().rows("SELECT count(*) FROM run_sources WHERE rejects_path LIKE '%sales.csv'"), ["1"]);
}

#[test]
fn sources_that_are_down_on_one_host_are_one_cause() {
    let server = good_server();
    let port = nobody();
    let connection = format!("connections:\n  erp: {{type: postgresql, host: 127.0.0.1, port: {port}, database: d, user: u}}\n");
    let job = format!(
        "{ANN}max_retries: 0\ndata_sources:\n  - {{name: orders, connection: erp, table: a.orders}}\n  - {{name: lines, connection: erp, table: a.lines}}\n"
    );
    let etl = workspace(server.port(), "").file("etlsched.yaml", settings(server.port()) + &connection).file("jobs/two.yaml", job);
    etl.run(&["run", "two"]).exits(1);
    let body = server.mails().remove(0);
    let text = body["text"].as_str().expect("text");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    let known = etl.state().rows("SELECT cause, sources FROM told");
    assert_eq!(known, [format!("unreachable at 127.0.0.1:{port}|[\"orders\",\"lines\"]")]);
    etl.run(&["run", "two"]).exits(1);
    assert_eq!(subjects(&server), ["failure"]);
}

#[test]
fn who_was_told_of_a_run_stands_in_its_log() {
    let server = mail_server(&json!({"refuse": ["bob@example.com"]}));
    let etl = workspace(server.port(), "notification_emails: [ann@example.com, bob@example.com]\n");
    etl.run(&["run", "sales"]).exits(1);
    let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json();
    let told = log["log"]["told"].as_array().expect("a list").clone();
    let of = |letter: &Value| (letter["recipient"].clone(), letter["kind"].clone(), letter["sent_at"].is_string());
    let found: Vec<_> = told.iter().map(of).collect();
    assert_eq!(found, [(json!("ann@example.com"), json!("failure"), true), (json!("bob@example.com"), json!("failure"), false)]);
    assert!(told[1]["error"].as_str().is_some_and(|error| error.contains("no such user")), "{told:?}");
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("ann@example.com").mentions("no such user");
    etl.run(&["run", "sales"]).exits(1);
    etl.run(&["logs", "--run", "last"])
        .exits(0)
        .mentions("nobody was told of the failure again: the same was told at ")
        .mentions("(notify_repeat: first)");
    etl.run(&["run", "sales", "--no-notify"]).exits(1);
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("nobody was told: the run was started with --no-notify");
}
