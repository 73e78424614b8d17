//! Errors in etlsched.yaml itself: no job runs, and what of the file is good says whom to tell and how. Slots go by `ETLSCHED_NOW`.

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers::free_port;
use crate::servers::http::{Response, serve};
use crate::servers::mail::{MailServer, header, mail_server};

const PEOPLE: &str = "defaults: {notification_emails: [ann@example.com]}\n";

/// A workspace with two daily jobs.
fn workspace(settings: &str) -> Etl {
    let job = "schedule_type: daily\nhour: 6\nminute: 0\ndata_sources:\n  - {path: jobs/data/rows.csv, target: NAME}\n";
    let etl = Etl::new().file("etlsched.yaml", settings).file("jobs/data/rows.csv", "a\n1\n");
    etl.file("jobs/sales.yaml", job.replace("NAME", "sales")).file("jobs/stock.yaml", job.replace("NAME", "stock"))
}

fn at(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let now = format!("2026-11-{now}:00Z");
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("the program starts");
    Ended::new(etl, arguments, output)
}

/// The settings of a mail server, and a mistake beside them.
fn settings(server: &MailServer) -> String {
    format!("smtp: {{url: \"smtp://localhost:{}\", from: etl@example.com}}\n{PEOPLE}", server.port())
}

const MISTAKE: &str = "connections:\n  erp: {type: postgresql, hots: db1, password: \"${ERP_PASSWORD}\"}\n";

fn subjects(server: &MailServer) -> Vec<String> {
    server.mails().iter().map(|mail| header(mail, "Subject").to_owned()).collect()
}

fn text(mail: &Value) -> String {
    mail["text"].as_str().expect("a text").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_mistake_in_the_settings_is_told_once_for_all_jobs_and_that_it_is_gone_too() {
    let server = mail_server(&json!({}));
    let good = settings(&server);
    let etl = workspace(&good);
    for job in ["sales", "stock"] {
        at(&etl, "24T06:00", &["run", job, "--scheduled"]).exits(0);
    }
    etl.write("etlsched.yaml", format!("{good}{MISTAKE}"));
    for job in ["sales", "stock"] {
        at(&etl, "25T06:00", &["run", job, "--scheduled"]).exits(4).mentions("did you mean host?");
    }
    at(&etl, "25T07:00", &["run", "--due"]).exits(4);
    assert_eq!(subjects(&server), ["[etlsched] No job can run: etlsched.yaml has errors"]);
    let mail = server.mails().remove(0);
    let words = text(&mail);
    for part in ["etlsched.yaml, line 4: unknown key hots in a connection", "did you mean host?", " validate ", "File etlsched.yaml"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // Another mistake is another cause.
    etl.write("etlsched.yaml", format!("{good}retention_days: soon\n"));
    at(&etl, "26T06:00", &["run", "sales", "--scheduled"]).exits(4);
    assert_eq!(subjects(&server).len(), 2);
    etl.write("etlsched.yaml", good);
    at(&etl, "27T06:00", &["run", "sales", "--scheduled"]).exits(0);
    let last = server.mails().into_iter().find(|mail| header(mail, "X-Etlsched-Kind") == "recovery").expect("it is good again");
    assert_eq!(header(&last, "Subject"), "[etlsched] Jobs can run again: etlsched.yaml is good");
    assert!(text(&last).contains("It has no errors any more."), "{}", text(&last));
    assert_eq!(etl.state().rows("SELECT * FROM told WHERE kind = 'invalid'"), Vec::<String>::new());
}

#[test]
fn whoever_starts_a_run_by_hand_sees_the_mistake_and_nobody_is_told() {
    let server = mail_server(&json!({}));
    let etl = workspace(&settings(&server));
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(0);
    etl.write("etlsched.yaml", format!("{}{MISTAKE}", settings(&server)));
    at(&etl, "25T06:00", &["run", "sales"]).exits(4);
    at(&etl, "25T06:00", &["run", "sales", "--scheduled", "--no-notify"]).exits(4);
    assert_eq!(subjects(&server), Vec::<String>::new());
}

#[test]
fn a_mistake_in_the_mail_settings_leaves_the_webhooks() {
    let hook = serve(|_| Response::json("{}"));
    let good = format!("defaults:\n  webhooks: [\"{}\"]\n", hook.url("/hook"));
    let etl = workspace(&good);
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(0);
    etl.write("etlsched.yaml", format!("smtp: {{urll: x}}\n{good}"));
    at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(4);
    let seen = hook.seen();
    assert_eq!(seen.len(), 1);
    let body: Value = serde_json::from_str(&seen[0].body).expect("JSON");
    assert!(body["text"].as_str().expect("a text").contains("No job can run: etlsched.yaml has errors"), "{body}");
}

#[test]
fn what_can_t_be_parsed_or_may_lead_to_another_store_tells_nobody() {
    let server = mail_server(&json!({}));
    let good = settings(&server);
    let etl = workspace(&good);
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(0);
    for mistake in ["connections: [\n", "state: nowhere\n"] {
        etl.write("etlsched.yaml", format!("{good}{mistake}"));
        at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(4);
    }
    assert_eq!(subjects(&server), Vec::<String>::new());
}

#[test]
fn letters_that_wait_outlive_a_mistake_among_those_who_are_told() {
    let good = format!("defaults:\n  webhooks: [\"http://127.0.0.1:{}/hook\"]\n", free_port());
    let etl = workspace(&good);
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(0);
    std::fs::remove_file(etl.path("jobs/data/rows.csv")).expect("the file goes");
    at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(1);
    etl.state().execute("UPDATE outbox SET due_at = created_at");
    let open = || etl.state().rows("SELECT kind FROM outbox WHERE closed_at IS NULL");
    assert_eq!(open(), ["failure"]);
    etl.write("etlsched.yaml", format!("{good}  notify_repeat: often\n"));
    at(&etl, "26T06:00", &["run", "sales", "--scheduled"]).exits(4);
    assert_eq!(open(), ["failure"]);
    etl.state().execute("UPDATE outbox SET due_at = created_at");
    let hook = serve(|_| Response::json("{}"));
    etl.write("etlsched.yaml", format!("defaults:\n  webhooks: [\"{}\"]\n", hook.url("/hook")));
    at(&etl, "26T06:01", &["run", "stock", "--scheduled"]).exits(1);
    let dropped = "SELECT last_error FROM outbox WHERE kind = 'failure' AND job = 'sales'";
    assert_eq!(etl.state().value(dropped), "no longer configured: the job's file has another address", "it is known again who is told");
}

#[test]
fn no_value_of_the_settings_is_told_with_a_mistake() {
    let hook = serve(|_| Response::json("{}"));
    let good = format!("defaults:\n  webhooks: [\"{}\"]\n", hook.url("/hook"));
    let etl = workspace(&good);
    at(&etl, "24T06:00", &["run", "sales", "--scheduled"]).exits(0);
    let mistakes = [
        "smtp: \"smtps://u:hunter22pw@h:465\"\n",
        "connections: {shop: \"postgresql://u:hunter22pw@h/db\"}\n",
        "connections:\n  shop: {type: postgresql, host: h, database: d, password: hunter22pw, port: hunter22pw}\n",
    ];
    for (number, mistake) in mistakes.iter().enumerate() {
        etl.write("etlsched.yaml", format!("{good}{mistake}"));
        at(&etl, "25T06:00", &["run", "sales", "--scheduled"]).exits(4);
        let seen = hook.seen();
        assert_eq!(seen.len(), number + 1, "{mistake}");
        assert!(!seen[number].body.contains("hunter22pw"), "{mistake}: {}", seen[number].body);
    }
    assert_eq!(etl.state().value("SELECT count(*) FROM outbox WHERE body LIKE '%hunter22pw%'"), "0");
}
