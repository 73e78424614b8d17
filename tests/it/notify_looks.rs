//! What the look at all jobs tells: a host that was off, in one message a recipient; files with errors, to the people of the defaults.
//! Slots go by `ETLSCHED_NOW`.

use std::process::Child;

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers::http::{Request, Response, serve};
use crate::servers::mail::{MailServer, header, mail_server};
use crate::servers::{PASSWORD, free_port, postgresql, psql};

const ANN: &str = "notification_emails: [ann@example.com]\n";
const DAILY: &str = "schedule_type: daily\nhour: 6\nminute: 0\n";

fn settings(port: u16) -> String {
    format!("smtp: {{url: \"smtp://localhost:{port}\", from: etl@example.com}}\n")
}

fn job(name: &str, keys: &str) -> String {
    format!("{keys}data_sources:\n  - {{name: {name}, path: jobs/data/rows.csv, target: {name}}}\n")
}

/// A workspace with daily jobs of these names and keys, and the job `other`, which no schedule starts.
fn workspace(settings: &str, jobs: &[(&str, &str)]) -> Etl {
    let mut etl = Etl::new().file("etlsched.yaml", settings).file("jobs/data/rows.csv", "a\n1\n");
    etl = etl.file("jobs/other.yaml", job("other", "schedule_type: manual\n"));
    for (name, keys) in jobs {
        etl = etl.file(&format!("jobs/{name}.yaml"), job(name, &format!("{DAILY}{keys}")));
    }
    etl
}

fn at(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let now = format!("2026-11-{now}:00Z");
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("the program starts");
    Ended::new(etl, arguments, output)
}

/// Runs every job of a list by its first slot.
fn begin(etl: &Etl, jobs: &[&str]) {
    for job in jobs {
        at(etl, "24T06:00", &["run", job, "--scheduled"]).exits(0);
    }
}

/// `RECIPIENT: SUBJECT` of the mails so far, sorted.
fn mails(server: &MailServer) -> Vec<String> {
    let of = |mail: &Value| format!("{}: {}", mail["to"][0].as_str().expect("an address"), header(mail, "Subject"));
    let mut mails: Vec<String> = server.mails().iter().map(of).collect();
    mails.sort();
    mails
}

fn text(mail: &Value) -> String {
    mail["text"].as_str().expect("a text").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn told(etl: &Etl) -> Vec<String> {
    etl.state().rows("SELECT job, kind, count(*) FROM told GROUP BY job, kind ORDER BY job, kind")
}

fn let_time_pass(etl: &Etl) {
    etl.state().execute("UPDATE outbox SET due_at = '2020-01-01 00:00:00' WHERE closed_at IS NULL");
}

#[test]
fn a_host_that_was_off_is_one_mail_for_each_recipient_with_the_jobs_that_name_them() {
    let server = mail_server(&json!({}));
    let jobs = [
        ("a", ANN),
        ("b", "name: Bookings\nnotification_emails: [Ann@example.com]\ndeadline: \"08:00\"\n"),
        ("c", "notification_emails: [ann@example.com, bob@example.com]\n"),
        ("d", "notification_emails: [ann@example.com]\nnotify_on: []\n"),
    ];
    let etl = workspace(&settings(server.port()), &jobs);
    begin(&etl, &["a", "b", "c", "d"]);
    at(&etl, "27T09:00", &["run", "other"]).exits(0);
    let expected = ["ann@example.com: [etlsched] 3 jobs missed runs or their deadlines", "bob@example.com: [etlsched] c missed 2 runs"];
    assert_eq!(mails(&server), expected);
    let all = server.mails();
    let ann = all.iter().find(|mail| mail["to"][0] == "ann@example.com").expect("it went");
    assert_eq!((header(ann, "X-Etlsched-Job"), header(ann, "X-Etlsched-Kind")), ("a, b, c", "missed"));
    assert_eq!(ann["defects"], json!([]));
    let lines = "Jobs ---- - a: 2 runs, Thu 2026-11-26 06:00 UTC to Fri 2026-11-27 06:00 UTC \
                 - Bookings (b): 2 runs, Thu 2026-11-26 06:00 UTC to Fri 2026-11-27 06:00 UTC; deadline Fri 2026-11-27 08:00 UTC \
                 - c: 2 runs, Thu 2026-11-26 06:00 UTC to Fri 2026-11-27 06:00 UTC Commands ";
    assert!(text(ann).contains(lines), "{}", text(ann));
    let bob = all.iter().find(|mail| mail["to"][0] == "bob@example.com").expect("it went");
    assert!(text(bob).contains("Missed ------ Thu 2026-11-26 06:00 UTC Fri") && text(bob).contains("Last runs"), "{}", text(bob));
    assert_eq!(told(&etl), ["a|missed|2", "b|deadline|1", "b|missed|2", "c|missed|2"]);
    // The outage goes on: its next slots are known to be missed too.
    at(&etl, "27T09:30", &["run", "other"]).exits(0);
    at(&etl, "28T06:30", &["run", "other"]).exits(0);
    assert_eq!(server.mails().len(), 2);
    assert_eq!(told(&etl), ["a|missed|3", "b|deadline|1", "b|missed|3", "c|missed|3"]);
    // One job alone has its own message: the deadline of another day.
    at(&etl, "28T08:30", &["run", "other"]).exits(0);
    assert_eq!(mails(&server)[0], "Ann@example.com: [etlsched] Bookings missed its deadline");
    let deadline = text(&server.mails()[2]);
    assert!(deadline.contains("Its data should be fresh by Sat 2026-11-28 08:00 UTC"), "{deadline}");
}

#[test]
fn of_many_missed_slots_the_latest_are_named_and_the_first() {
    let server = mail_server(&json!({}));
    let etl = workspace(&settings(server.port()), &[]);
    etl.write("jobs/a.yaml", job("a", &format!("{ANN}schedule_type: hourly\nminute: 0\n")));
    begin(&etl, &["a"]);
    at(&etl, "26T06:30", &["run", "other"]).exits(0);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] a missed 48 runs"]);
    let words = text(&server.mails()[0]);
    assert!(words.contains("Thu 2026-11-26 06:00 UTC and 28 before them, since Tue 2026-11-24 07:00 UTC"), "{words}");
}

#[test]
fn notify_repeat_holds_for_each_job_of_a_message() {
    let server = mail_server(&json!({}));
    let jobs = [("a", ANN), ("b", "notification_emails: [ann@example.com]\nnotify_repeat: all\n"), ("c", ANN)];
    let etl = workspace(&settings(server.port()), &jobs);
    begin(&etl, &["a", "b", "c"]);
    at(&etl, "25T06:30", &["run", "other"]).exits(0);
    at(&etl, "26T06:30", &["run", "other"]).exits(0);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 3 jobs missed 3 runs", "ann@example.com: [etlsched] b missed 1 run"]);
}

/// Starts jobs that no schedule starts at once, each of which looks at all jobs at its end.
fn look_at_once(etl: &Etl, now: &str, lookers: &[String]) {
    let start = |job: &String| etl.command(&["run", job]).env("ETLSCHED_NOW", now).spawn().expect("the program starts");
    let children: Vec<Child> = lookers.iter().map(start).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Lets five processes see at the same time that three jobs missed their slots.
fn many_look(settings: &str, environment: &[(&str, &str)]) -> Etl {
    let mut etl = workspace(settings, &[("a", ANN), ("b", ANN), ("c", ANN)]);
    for (name, value) in environment {
        etl = etl.env(name, value);
    }
    let lookers: Vec<String> = (0..5).map(|number| format!("looker{number}")).collect();
    for looker in &lookers {
        etl.write(&format!("jobs/{looker}.yaml"), job(looker, "schedule_type: manual\n"));
    }
    begin(&etl, &["a", "b", "c"]);
    look_at_once(&etl, "2026-11-26T07:00:00Z", &lookers);
    etl
}

#[test]
fn several_processes_that_look_at_the_same_time_tell_once() {
    let server = mail_server(&json!({}));
    let etl = many_look(&settings(server.port()), &[]);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 3 jobs missed 6 runs"]);
    assert_eq!(etl.state().rows("SELECT job, kind FROM outbox"), ["*|missed"]);
}

#[test]
fn several_hosts_that_look_at_the_same_time_tell_once() {
    let server = mail_server(&json!({}));
    let database = "notify_looks";
    psql(postgresql(), "postgres", &format!("CREATE DATABASE {database}"));
    let encoded: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let state = format!("state: \"postgresql://etl:${{STATE_PASSWORD}}@127.0.0.1:{}/{database}\"\n", postgresql().port);
    many_look(&(state + &settings(server.port())), &[("STATE_PASSWORD", &encoded)]);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 3 jobs missed 6 runs"]);
    assert_eq!(psql(postgresql(), database, "SELECT count(*) FROM told"), "6");
}

#[test]
fn an_address_that_a_command_gives_is_fetched_once_for_all_jobs_and_stays_a_secret() {
    const TOKEN: &str = "T0K3N-of-the-hook";
    let hook = serve(|_| Response::new(200, "ok"));
    let command = "defaults:\n  webhooks: [{command: [sh, -c, 'echo x >> fetched; cat hook.txt']}]\n";
    let etl = workspace(command, &[("a", ""), ("b", ""), ("c", "")]).file("hook.txt", hook.url(&format!("/hook/{TOKEN}")));
    begin(&etl, &["a", "b", "c"]);
    std::fs::write(etl.path("fetched"), "").expect("a file");
    at(&etl, "26T07:00", &["run", "other"]).exits(0);
    let seen = hook.seen();
    let [post] = seen.as_slice() else { panic!("{} posts", seen.len()) };
    let body: Value = serde_json::from_str(&post.body).expect("JSON");
    assert_eq!((&body["event"]["roundup"]["job_count"], &body["event"]["slot_count"]), (&json!(3), &json!(6)));
    assert!(body["text"].as_str().is_some_and(|text| text.starts_with("! 3 jobs missed 6 runs\n")), "{body}");
    // By the run of `other`, by the look, and by whoever sends.
    assert_eq!(std::fs::read_to_string(etl.path("fetched")).expect("the file").lines().count(), 3);
    for (path, content) in etl.listing().into_iter().filter(|(path, _)| path.starts_with(etl.path(".etlsched"))) {
        let found = content.unwrap_or_default().windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_message_about_several_jobs_outlives_one_that_is_deleted() {
    let hook = serve(|request: &Request| Response::new(if request.number == 0 { 503 } else { 200 }, ""));
    let keys = format!("webhooks: [\"{}\"]\n", hook.url("/hook"));
    let etl = workspace("", &[("a", &keys), ("b", &keys)]);
    begin(&etl, &["a", "b"]);
    at(&etl, "26T07:00", &["run", "other"]).exits(0);
    assert_eq!(hook.seen().len(), 1);
    etl.run(&["delete", "a", "--yes"]).exits(0);
    let_time_pass(&etl);
    etl.run(&["run", "other", "-v"]).exits(0).mentions("of several jobs: missed");
    assert_eq!(hook.seen().len(), 2);
    assert_eq!(etl.state().rows("SELECT kind, sent_at IS NOT NULL FROM outbox"), ["missed|1"]);
}

#[test]
fn what_nobody_got_about_several_jobs_is_told_again() {
    let etl = workspace(&settings(free_port()), &[("a", ANN), ("b", ANN)]);
    begin(&etl, &["a", "b"]);
    at(&etl, "26T07:00", &["run", "other"]).exits(0);
    assert_eq!(told(&etl), ["a|missed|2", "b|missed|2"]);
    etl.state().execute("UPDATE outbox SET expires_at = '2020-01-01 00:00:00'");
    let_time_pass(&etl);
    let server = mail_server(&json!({}));
    etl.write("etlsched.yaml", settings(server.port()));
    at(&etl, "26T07:01", &["run", "other"]).exits(0).mentions("given up after 72 hours");
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 2 jobs missed 4 runs"]);
}

const TO_ANN: &str = "defaults: {notification_emails: [ann@example.com]}\n";

fn kinds(server: &MailServer) -> Vec<String> {
    server.mails().iter().map(|mail| format!("{} {}", header(mail, "X-Etlsched-Kind"), header(mail, "X-Etlsched-Job"))).collect()
}

#[test]
fn a_file_with_errors_is_told_once_for_each_cause_until_it_is_good_again() {
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
    begin(&etl, &["sales"]);
    let break_it = |keys: &str| etl.write("jobs/sales.yaml", job("sales", &format!("{DAILY}{keys}")));
    break_it("grace_minutes: soon\n");
    at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(4).mentions("sales.yaml:4");
    assert_eq!(kinds(&server), ["invalid sales"]);
    let mail = server.mails().remove(0);
    assert_eq!((header(&mail, "Subject"), &mail["to"]), ("[etlsched] sales can't run: its file has errors", &json!(["ann@example.com"])));
    let words = text(&mail);
    assert!(words.contains("jobs/sales.yaml, line 4: grace_minutes: ") && words.contains(" validate sales "), "{words}");
    // Neither its next firing, nor another line above, nor another job's look tells it again.
    at(&etl, "26T06:00", &["run", "sales", "--scheduled"]).exits(4);
    break_it("tags: [x]\ngrace_minutes: soon\n");
    at(&etl, "27T06:00", &["run", "sales", "--scheduled"]).exits(4);
    at(&etl, "27T07:00", &["run", "other"]).exits(0);
    assert_eq!(server.mails().len(), 1);
    // Another error is another cause, whoever sees it first.
    break_it("grace_minutes: 5\ntimezone: Mars\n");
    at(&etl, "27T08:00", &["run", "other"]).exits(0);
    assert_eq!(kinds(&server), ["invalid sales", "invalid sales"]);
    break_it("");
    at(&etl, "27T08:01", &["run", "other"]).exits(0);
    assert_eq!(etl.state().rows("SELECT * FROM told WHERE kind = 'invalid'"), Vec::<String>::new());
    let good = server.mails().into_iter().find(|mail| header(mail, "X-Etlsched-Kind") == "recovery").expect("it is good again");
    assert_eq!(header(&good, "Subject"), "[etlsched] sales can run again: its file is good");
    assert!(text(&good).contains("Its file has no errors any more. Commands"), "{}", text(&good));
    assert!(text(&good).contains("Who is told of what stands under defaults in etlsched.yaml"), "{}", text(&good));
    at(&etl, "27T08:02", &["run", "other"]).exits(0);
    assert_eq!(mails_of_kind(&server, "recovery"), 1);
    break_it("grace_minutes: soon\n");
    at(&etl, "28T06:00", &["run", "sales", "--scheduled", "--no-notify"]).exits(4);
    assert_eq!(server.mails().len(), 3 + mails_of_kind(&server, "missed"));
    at(&etl, "28T06:01", &["run", "sales", "--scheduled"]).exits(4);
    assert_eq!(mails_of_kind(&server, "invalid"), 3);
}

fn mails_of_kind(server: &MailServer, kind: &str) -> usize {
    server.mails().iter().filter(|mail| header(mail, "X-Etlsched-Kind") == kind).count()
}

#[test]
fn nobody_is_told_of_files_where_the_defaults_name_nobody_or_want_nothing() {
    let server = mail_server(&json!({}));
    for defaults in ["", "defaults: {notification_emails: [ann@example.com], notify_on: [recovery]}\n"] {
        let etl = workspace(&(settings(server.port()) + defaults), &[("sales", &format!("{ANN}grace_minutes: soon\n"))]);
        at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(4);
        assert!(!etl.path(".etlsched/state.db").exists());
        at(&etl, "25T07:00", &["run", "other"]).exits(0);
        assert_eq!(etl.state().rows("SELECT * FROM told"), Vec::<String>::new());
    }
    assert_eq!(server.mails().len(), 0);
}

#[test]
fn a_setting_that_breaks_many_files_is_one_message_and_goes_to_the_webhooks_of_the_defaults_too() {
    let (server, hook) = (mail_server(&json!({})), serve(|_| Response::new(200, "ok")));
    let defaults = "defaults:\n  notification_emails: [ann@example.com]\n  webhooks: [{file: hook.txt}]\n  notify_repeat: all\n";
    let connection = "connections:\n  erp: {type: sqlite, path: x.db}\n";
    let head = settings(server.port()) + defaults;
    let etl = workspace(&(head.clone() + connection), &[]).file("hook.txt", hook.url("/hook"));
    for name in ["a", "b", "c"] {
        etl.write(&format!("jobs/{name}.yaml"), "data_sources:\n  - {name: t, connection: erp, table: t}\n");
    }
    etl.run(&["run", "a", "b", "c", "--no-notify"]).exits(1);
    at(&etl, "25T06:00", &["run", "other"]).exits(0);
    etl.write("etlsched.yaml", &head);
    at(&etl, "25T06:01", &["run", "other"]).exits(0);
    // `all` is for those who come upon it, not for looks.
    at(&etl, "25T06:02", &["run", "other"]).exits(0);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 3 jobs can't run: their files have errors"]);
    assert!(text(&server.mails()[0]).contains("- b: jobs/b.yaml, line 2: "), "{}", text(&server.mails()[0]));
    let seen = hook.seen();
    assert_eq!(seen.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), ["/hook"]);
    at(&etl, "25T06:03", &["run", "b", "--scheduled"]).exits(4);
    at(&etl, "25T06:04", &["run", "b", "--scheduled"]).exits(4);
    assert_eq!((mails_of_kind(&server, "invalid"), hook.seen().len()), (3, 3), "`all` tells each firing that comes upon it");
    etl.write("etlsched.yaml", head + connection);
    at(&etl, "25T06:05", &["run", "other"]).exits(0);
    at(&etl, "25T06:06", &["run", "other"]).exits(0);
    assert_eq!(mails(&server)[0], "ann@example.com: [etlsched] 3 jobs can run again: their files are good");
    assert_eq!((mails_of_kind(&server, "recovery"), hook.seen().len()), (1, 4));
}

#[test]
fn a_letter_about_a_file_goes_to_no_webhook_that_the_defaults_have_no_longer() {
    let (gone, hook) = (serve(|_| Response::new(503, "no")), serve(|_| Response::new(200, "ok")));
    let head = |server: &crate::servers::http::HttpServer| format!("defaults: {{webhooks: [\"{}\"]}}\n", server.url("/hook"));
    let etl = workspace(&head(&gone), &[("sales", "")]);
    begin(&etl, &["sales"]);
    etl.write("jobs/sales.yaml", job("sales", "grace_minutes: soon\n"));
    at(&etl, "24T07:00", &["run", "other"]).exits(0);
    etl.write("etlsched.yaml", head(&hook));
    let_time_pass(&etl);
    at(&etl, "24T07:01", &["run", "other"]).exits(0);
    let closed = "SELECT kind, closed_at IS NOT NULL, last_error FROM outbox";
    assert_eq!(etl.state().rows(closed), ["invalid|1|no longer configured: etlsched.yaml has another address"]);
    assert_eq!(hook.seen().len(), 0);
}

#[test]
fn a_job_whose_file_is_gone_while_its_entry_starts_it_is_told_once() {
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
    begin(&etl, &["sales"]);
    let file = std::fs::read(etl.path("jobs/sales.yaml")).expect("the file");
    std::fs::remove_file(etl.path("jobs/sales.yaml")).expect("the file goes");
    etl.run(&["run", "sales"]).exits(2);
    etl.run(&["run", "sale", "--scheduled"]).exits(2);
    assert_eq!(server.mails().len(), 0, "a name that somebody typed, or that never was a job's");
    for _ in 0..2 {
        at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(2).mentions("unknown job sales");
        at(&etl, "25T06:01", &["run", "other"]).exits(0);
    }
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] sales can't run: its file is gone"]);
    assert!(text(&server.mails()[0]).contains(" delete sales "), "{}", text(&server.mails()[0]));
    etl.write("jobs/sales.yaml", file);
    at(&etl, "25T06:02", &["run", "sales", "--scheduled"]).exits(0);
    assert_eq!(etl.state().rows("SELECT * FROM told WHERE kind = 'invalid'"), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_file_that_can_not_be_read_is_told_by_the_look_like_others() {
    use std::os::unix::fs::{chown, symlink};
    type Spoil = fn(&Etl, &std::path::Path);
    let ways: [(Spoil, &str); 6] = [
        (|etl, _| etl.write("jobs/sales.yaml", b"name: caf\xe9\n"), "jobs/sales.yaml, line 1: "),
        (|etl, _| etl.write("jobs/sales.yaml", "name: a\u{1}b\n"), "jobs/sales.yaml, line 1: "),
        (|_, path| symlink("nowhere.yaml", path).expect("a link"), "can't be read: No such file"),
        (|_, path| std::fs::create_dir(path).expect("a folder"), "jobs/sales.yaml: is not a file"),
        (|_, path| std::fs::write(path.with_file_name("Sales.yaml"), "a").expect("a file"), "jobs/Sales.yaml: "),
        (|_, path| std::fs::write(path.with_file_name("sales.yml"), "a").expect("a file"), "rename it to sales.yaml"),
    ];
    for (spoil, expected) in ways {
        let server = mail_server(&json!({}));
        let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
        begin(&etl, &["sales"]);
        std::fs::remove_file(etl.path("jobs/sales.yaml")).expect("the file goes");
        spoil(&etl, &etl.path("jobs/sales.yaml"));
        at(&etl, "24T07:00", &["run", "other"]).exits(0);
        at(&etl, "24T07:01", &["run", "other"]).exits(0);
        at(&etl, "24T07:02", &["run", "sales", "--scheduled"]);
        assert_eq!(kinds(&server), ["invalid sales"], "{expected}");
        assert!(text(&server.mails()[0]).contains(expected), "{}", text(&server.mails()[0]));
    }
    // What another user may find good is nobody's news.
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
    begin(&etl, &["sales"]);
    chown(etl.path("jobs/sales.yaml"), Some(54_321), None).expect("the tests run as root");
    at(&etl, "24T07:00", &["run", "other"]).exits(0);
    assert_eq!(server.mails().len(), 0);
}

#[test]
fn a_file_that_somebody_is_writing_is_nobody_s_news() {
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
    begin(&etl, &["sales"]);
    etl.write("jobs/new.yaml", job("new", "grace_minutes: soon\n"));
    for arguments in [["run", "new"], ["run", "other"]] {
        etl.run(&arguments);
    }
    assert_eq!(server.mails().len(), 0, "the store doesn't know it");
    etl.write("jobs/sales.yaml", job("sales", &format!("{DAILY}grace_minutes: soon\n")));
    etl.run(&["run", "sales"]).exits(4);
    assert_eq!(server.mails().len(), 0, "whoever tries it by hand sees what is wrong");
    at(&etl, "24T07:00", &["run", "other"]).exits(0);
    assert_eq!(kinds(&server), ["invalid sales"]);
    at(&etl, "24T07:01", &["run", "new", "--scheduled"]).exits(4);
    assert_eq!(kinds(&server), ["invalid sales", "invalid new"], "its own firing tells");
}

#[test]
fn a_secret_that_can_not_be_fetched_is_told_to_the_job_s_own_people_until_it_runs_again() {
    let server = mail_server(&json!({}));
    let head = settings(server.port()) + "hash_key: {file: key.txt}\n";
    let etl = workspace(&head, &[]);
    etl.write(
        "jobs/sales.yaml",
        format!("{DAILY}{ANN}data_sources:\n  - path: jobs/data/rows.csv\n    target: sales\n    columns: {{hash: [a]}}\n"),
    );
    etl.run(&["run", "other"]).exits(0);
    for now in ["24T06:00", "24T06:01"] {
        at(&etl, now, &["run", "sales", "--scheduled"]).exits(4).mentions("key.txt");
        at(&etl, now, &["run", "other"]).exits(0);
    }
    assert_eq!(kinds(&server), ["invalid sales"], "others find its file good, and that is no recovery");
    etl.write("key.txt", "k3y-of-this-test");
    at(&etl, "24T06:02", &["run", "sales", "--scheduled"]).exits(0);
    assert_eq!(etl.state().rows("SELECT * FROM told WHERE kind = 'invalid'"), Vec::<String>::new());
    assert_eq!(mails(&server)[0], "ann@example.com: [etlsched] sales can run again: it has what was missing");
    assert_eq!(kinds(&server), ["invalid sales", "recovery sales"]);
}

#[test]
fn a_webhook_of_the_job_s_own_that_is_not_known_yet_is_not_told_to_the_one_of_the_defaults() {
    let (own, of_all) = (serve(|_| Response::new(200, "ok")), serve(|_| Response::new(200, "ok")));
    let head = format!("hash_key: {{file: key.txt}}\ndefaults: {{webhooks: [\"{}\"]}}\n", of_all.url("/all"));
    let etl = workspace(&head, &[]);
    let keys = "webhooks: [{file: hook.txt}]\n";
    etl.write(
        "jobs/sales.yaml",
        format!("{DAILY}{keys}data_sources:\n  - path: jobs/data/rows.csv\n    target: sales\n    columns: {{hash: [a]}}\n"),
    );
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(4).mentions("key.txt");
    let waits = "SELECT recipient, sent_at IS NOT NULL FROM outbox";
    assert_eq!(etl.state().rows(waits), ["address 1 of the job, not known yet|0"]);
    etl.write("hook.txt", own.url("/own"));
    let_time_pass(&etl);
    at(&etl, "24T06:01", &["run", "other"]).exits(0);
    assert_eq!((of_all.seen().len(), own.seen().len()), (0, 1));
    let body: Value = serde_json::from_str(&own.seen()[0].body).expect("JSON");
    assert_eq!((&body["event"]["kind"], &body["event"]["is_by_job"]), (&json!("invalid"), &json!(true)), "{body}");
}

#[test]
fn many_broken_files_are_one_letter_to_a_webhook_of_the_defaults_that_is_not_known_yet() {
    let hook = serve(|_| Response::new(200, "ok"));
    let etl = workspace("defaults: {webhooks: [{file: hook.txt}]}\n", &[]);
    for name in ["a", "b", "c"] {
        etl.write(&format!("jobs/{name}.yaml"), job(name, DAILY));
    }
    begin(&etl, &["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        etl.write(&format!("jobs/{name}.yaml"), job(name, "grace_minutes: soon\n"));
    }
    at(&etl, "25T06:00", &["run", "other"]).exits(0);
    let waits = "SELECT job, recipient, sent_at IS NOT NULL FROM outbox";
    assert_eq!(etl.state().rows(waits), ["*|address 1 of etlsched.yaml, not known yet|0"]);
    etl.write("hook.txt", hook.url("/hook"));
    let_time_pass(&etl);
    at(&etl, "25T06:01", &["run", "other"]).exits(0);
    assert_eq!(hook.seen().len(), 1);
}

#[test]
fn a_job_that_is_named_twice_is_told_once_and_hinders_nothing() {
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("bad", "grace_minutes: soon\n"), ("worse", "timezone: Mars\n")]);
    let ended = etl.run(&["run", "bad", "bad", "worse", "--scheduled"]).exits(4);
    assert!(!ended.stderr.contains("UNIQUE"), "{}", ended.stderr);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] 2 jobs can't run: their files have errors"]);
}

#[test]
fn addresses_of_many_jobs_are_looked_for_once_each_and_without_their_other_secrets() {
    let (old, hook) = (serve(|_| Response::new(503, "no")), serve(|_| Response::new(200, "ok")));
    let keys = "webhooks: [{command: [sh, -c, \"echo x >> asked; cat hook.txt\"]}]\n";
    let slow = "hash_key: {command: [sh, -c, \"echo x >> keys; sleep 2; echo k3y\"]}\n";
    let jobs: Vec<String> = (0..12).map(|number| format!("j{number}")).collect();
    let etl = workspace(slow, &jobs.iter().map(|job| (job.as_str(), keys)).collect::<Vec<_>>()).file("hook.txt", old.url("/hook"));
    begin(&etl, &jobs.iter().map(String::as_str).collect::<Vec<_>>());
    for job in &jobs {
        let source = "data_sources:\n  - {path: jobs/data/rows.csv, target: t, columns: {hash: [a]}}\n";
        etl.write(&format!("jobs/{job}.yaml"), format!("{DAILY}{keys}{source}"));
    }
    at(&etl, "26T07:00", &["run", "other"]).exits(0);
    assert_eq!(etl.state().rows("SELECT job, kind FROM outbox WHERE closed_at IS NULL"), ["*|missed"]);
    // Another address than that which was to be told: each job is asked whether it has it.
    etl.write("hook.txt", hook.url("/hook"));
    let_time_pass(&etl);
    for file in ["asked", "keys"] {
        etl.write(file, "");
    }
    at(&etl, "26T07:01", &["run", "other"]).exits(0);
    let lines = |file: &str| std::fs::read_to_string(etl.path(file)).expect("the file").lines().count();
    assert_eq!(lines("keys"), 0, "no other secret is fetched");
    assert_eq!(lines("asked"), 1, "one command is started once for all jobs");
    assert_eq!(hook.seen().len(), 0);
    let dropped = "SELECT last_error FROM outbox WHERE kind = 'missed'";
    assert!(etl.state().value(dropped).starts_with("no longer configured"), "{}", etl.state().value(dropped));
}

#[test]
fn a_file_that_a_host_that_is_gone_found_bad_is_found_good_by_any_after_a_day() {
    let server = mail_server(&json!({}));
    let etl = workspace(&(settings(server.port()) + TO_ANN), &[("sales", "")]);
    begin(&etl, &["sales"]);
    etl.write("jobs/sales.yaml", job("sales", &format!("{DAILY}grace_minutes: soon\n")));
    let hosts = || etl.state().rows("SELECT sources FROM told WHERE kind = 'invalid'");
    let is_seen = |hours: u32, more: &str| {
        let ago = format!("datetime('now', '-{hours} hours')");
        etl.state().execute(&format!("UPDATE told SET sources = '[\"pod-1\"{more}]', told_at = {ago} WHERE kind = 'invalid'"));
    };
    let look = || at(&etl, "25T07:00", &["run", "other"]).exits(0);
    look();
    assert_eq!(kinds(&server), ["invalid sales"]);
    // Another host finds it bad as well: that is seen, and told nobody.
    is_seen(30, "");
    look();
    assert!(hosts().len() == 1 && hosts()[0].starts_with("[\"pod-1\",\"@20"), "{:?}", hosts());
    etl.write("jobs/sales.yaml", job("sales", DAILY));
    look();
    assert_eq!(hosts().len(), 1, "it was found bad just now: that host may see another file");
    is_seen(24, "");
    look();
    assert_eq!(hosts().len(), 1);
    is_seen(30, ",\"somebody\"");
    look();
    assert_eq!(hosts().len(), 1, "what one user may not read, another may");
    is_seen(30, ",\"somebody\",\"run\"");
    look();
    assert_eq!(hosts().len(), 1, "only a run finds that a secret can be fetched");
    is_seen(26, "");
    look();
    assert_eq!(hosts(), Vec::<String>::new());
    etl.write("jobs/sales.yaml", job("sales", &format!("{DAILY}grace_minutes: soon\n")));
    look();
    assert_eq!(mails_of_kind(&server, "invalid"), 2, "and it is told again");
}

#[test]
fn what_one_of_several_never_got_is_not_told_to_the_others_again() {
    let hook = serve(|_| Response::new(200, "ok"));
    let to_both = format!("{ANN}webhooks: [\"{}\"]\n", hook.url("/hook"));
    let etl = workspace(&settings(free_port()), &[("a", &to_both), ("b", &to_both), ("c", ANN)]);
    begin(&etl, &["a", "b", "c"]);
    at(&etl, "26T07:00", &["run", "other"]).exits(0);
    assert_eq!(told(&etl), ["a|missed|2", "b|missed|2", "c|missed|2"]);
    etl.state().execute("UPDATE outbox SET expires_at = '2020-01-01 00:00:00' WHERE closed_at IS NULL");
    let_time_pass(&etl);
    at(&etl, "26T07:01", &["run", "other"]).exits(0).mentions("given up after 72 hours");
    assert_eq!(hook.seen().len(), 1, "the webhook heard of a and b");
    let waits = "SELECT job, channel FROM outbox WHERE closed_at IS NULL";
    assert_eq!(etl.state().rows(waits), ["c|email"], "of c nobody has heard");
}

#[test]
fn a_variable_without_a_value_is_told_as_what_it_is() {
    let server = mail_server(&json!({}));
    let etl = workspace(&settings(server.port()), &[]);
    let source = "data_sources:\n  - {name: sales, path: \"jobs/data/${UNSET_ROWS}.csv\"}\n";
    etl.write("jobs/sales.yaml", format!("{DAILY}{ANN}{source}"));
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(4);
    assert_eq!(mails(&server), ["ann@example.com: [etlsched] sales can't run: the variable UNSET_ROWS is not set"]);
    let words = text(&server.mails()[0]);
    assert!(words.contains("What to do: set UNSET_ROWS in the environment or in .env"), "{words}");
}

#[test]
fn rejected_rows_are_told_with_their_reasons_and_no_secret() {
    let server = mail_server(&json!({}));
    let etl = Etl::new().env("PREFIX", "s3cr3t-prefix").file("etlsched.yaml", settings(server.port()));
    let source = "data_sources:\n  - {name: orders, path: \"jobs/data/${PREFIX}.csv\", columns: {types: {a: integer, d: date}}}\n";
    etl.write("jobs/orders.yaml", format!("{ANN}timezone: Asia/Tokyo\n{source}"));
    etl.write("jobs/data/s3cr3t-prefix.csv", "a,d\n1,2026-01-01\nx,2026-01-01\ny,2026-01-01\n2,never\n3,2026-01-02\n");
    let ended = etl.run(&["run", "orders", "-v"]).exits(0);
    ended.mentions_words("3 rows rejected (2: column a does not fit integer, 1: column d does not fit date), the first: ");
    assert_eq!(kinds(&server), ["rejected_rows orders"]);
    let words = text(&server.mails()[0]);
    assert!(words.contains("Reasons ------- orders: 2 rows: column a does not fit integer (the first: "), "{words}");
    assert!(words.contains("orders: 1 row: column d does not fit date (the first: ") && words.contains("never"), "{words}");
    assert!(!words.contains("s3cr3t"), "{words}");
    let (_, tail) = words.split_once("The end of the log ------------------ ").expect("the log");
    assert_eq!(tail.split(' ').nth(2), Some("JST"), "{words}");
    let is_utc = |word: &str| word == "UTC" || word.len() > 8 && word.contains(':') && word.ends_with('Z');
    assert!(!words.split(' ').any(is_utc), "one zone, that of the job: {words}");
}
