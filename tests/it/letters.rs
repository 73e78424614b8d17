//! Letters of one job to one recipient, in their order, and what those say that are about runs of some sources or runs that were killed.

use serde_json::json;

use crate::etl::Etl;
use crate::servers::free_port;
use crate::servers::http::{Response, serve};
use crate::servers::mail::{MailServer, header, mail_server};

const ANN: &str = "notification_emails: [ann@example.com]\n";

fn settings(port: u16) -> String {
    format!("smtp: {{url: \"smtp://localhost:{port}\", from: etl@example.com}}\n")
}

fn kinds(server: &MailServer) -> Vec<String> {
    server.mails().iter().map(|mail| header(mail, "X-Etlsched-Kind").to_owned()).collect()
}

/// The words of the last mail.
fn last_words(server: &MailServer) -> String {
    let mails = server.mails();
    let text = mails.last().expect("a mail")["text"].as_str().expect("text").to_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn after_an_outage_of_the_mail_server_the_alarm_comes_before_the_all_clear() {
    let etl = Etl::new()
        .file("etlsched.yaml", settings(free_port()))
        .file("jobs/sales.yaml", format!("{ANN}data_sources:\n  - path: jobs/data/sales.csv\n"));
    etl.run(&["run", "sales"]).exits(1).mentions("warning: 1 notification waits: ");
    etl.run(&["status"]).exits(0).mentions("tried again at").mentions("by any run from then on");
    let server = mail_server(&json!({}));
    etl.write("etlsched.yaml", settings(server.port()));
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(kinds(&server), ["failure", "recovery"]);
    let words = last_words(&server);
    assert!(words.contains("Before that, the run of ") && words.contains("sales.csv"), "{words}");
}

#[test]
fn a_later_letter_waits_with_the_one_before_it_and_those_of_others_do_not() {
    let etl = Etl::new()
        .file("etlsched.yaml", settings(free_port()))
        .file("jobs/sales.yaml", format!("{ANN}data_sources:\n  - path: jobs/data/sales.csv\n"))
        .file("jobs/other.yaml", format!("{ANN}data_sources:\n  - path: jobs/data/other.csv\n"));
    etl.run(&["run", "sales"]).exits(1);
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    let rows = || etl.state().rows("SELECT kind, attempt FROM outbox WHERE job = 'sales' ORDER BY created_at");
    assert_eq!(rows(), ["failure|2", "recovery|0"]);
    assert_eq!(etl.state().value("SELECT COUNT(DISTINCT due_at) FROM outbox WHERE job = 'sales'"), "1");
    etl.run(&["run", "other"]).exits(1);
    assert_eq!(etl.state().value("SELECT attempt FROM outbox WHERE job = 'other'"), "1");
    assert_eq!(rows(), ["failure|2", "recovery|0"], "nobody asked for these before their time");
}

#[test]
fn a_letter_that_is_never_taken_holds_the_others_back_for_an_hour() {
    let hook = serve(|request| if request.body.contains("\"failure\"") { Response::new(500, "") } else { Response::json("{}") });
    let etl = Etl::new()
        .file("jobs/sales.yaml", format!("webhooks: [\"{}\"]\ndata_sources:\n  - path: jobs/data/sales.csv\n", hook.url("/hook")));
    etl.run(&["run", "sales"]).exits(1);
    etl.write("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    let sent = || etl.state().rows("SELECT kind FROM outbox WHERE sent_at IS NOT NULL");
    assert_eq!(sent(), Vec::<String>::new());
    etl.state().execute(
        "UPDATE outbox SET due_at = created_at; UPDATE outbox SET created_at = datetime(created_at, '-2 hours') WHERE kind = 'failure'",
    );
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(sent(), ["recovery"]);
    assert_eq!(etl.state().value("SELECT count(*) FROM outbox WHERE kind = 'failure' AND closed_at IS NULL"), "1");
}

#[test]
fn a_run_of_some_sources_tells_of_these_and_a_recovery_only_when_no_source_fails() {
    let server = mail_server(&json!({}));
    let sources = "  - {name: good, path: jobs/data/good.csv}\n  - {name: gone, path: jobs/data/gone.csv}\n  - {name: lost, path: jobs/data/lost.csv}\n";
    let etl = Etl::new()
        .file("etlsched.yaml", settings(server.port()))
        .file("jobs/sales.yaml", format!("{ANN}data_sources:\n{sources}"))
        .file("jobs/data/good.csv", "a\n1\n");
    etl.run(&["run", "sales"]).exits(3);
    etl.run(&["enable", "sales"]).exits(0);
    etl.run(&["run", "sales"]).exits(3);
    let first = kinds(&server).len();
    etl.write("jobs/data/gone.csv", "a\n1\n2\n");
    etl.run(&["run", "sales", "--source", "gone"]).exits(0);
    assert_eq!(kinds(&server).len(), first, "lost fails");
    etl.write("jobs/data/lost.csv", "a\n1\n");
    etl.run(&["run", "sales", "--retry-failed"]).exits(0);
    assert_eq!(kinds(&server)[first..], ["recovery"]);
    let words = last_words(&server);
    assert!(words.contains("lost, 1 of its 3 sources, was refreshed: 1 row in "), "{words}");
    assert!(words.contains("None of its sources fails any more."), "{words}");
    std::fs::remove_file(etl.path("jobs/data/gone.csv")).expect("the file");
    etl.run(&["run", "sales", "--source", "gone"]).exits(1);
    let words = last_words(&server);
    assert!(words.contains("gone, 1 of its 3 sources, was not refreshed: its tables hold what its last good run left."), "{words}");
}

#[test]
fn a_run_that_was_killed_is_told_with_the_good_one_that_closed_it() {
    let server = mail_server(&json!({}));
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/x.csv", web.local_addr().expect("an address"));
    let etl = Etl::new()
        .file("etlsched.yaml", settings(server.port()))
        .file("jobs/big.yaml", format!("{ANN}data_sources:\n  - {{name: big, path: \"{url}\"}}\n"));
    let mut child = etl.command(&["run", "big"]).spawn().expect("the program starts");
    let (connection, _) = web.accept().expect("the source is read");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    drop((connection, web));
    etl.write("jobs/big.yaml", format!("{ANN}data_sources:\n  - {{name: big, path: jobs/data/big.csv}}\n"));
    etl.write("jobs/data/big.csv", "a\n1\n");
    etl.run(&["run", "big"]).exits(0);
    assert_eq!(kinds(&server), ["recovery"]);
    let words = last_words(&server);
    assert!(words.contains("Before that, the run of ") && words.contains(": interrupted: its process ended at "), "{words}");
    let rows = etl.state().rows("SELECT kind, sent_at IS NOT NULL, last_error FROM outbox ORDER BY created_at");
    assert_eq!(rows, ["failure|0|told with the recovery", "recovery|1|NULL"]);
}

#[test]
fn a_partly_failed_run_with_rejected_rows_is_one_mail() {
    let server = mail_server(&json!({}));
    let good = "  - {name: good, path: jobs/data/good.csv, columns: {types: {a: integer}}}\n";
    let etl = Etl::new()
        .file("etlsched.yaml", settings(server.port()))
        .file("jobs/sales.yaml", format!("{ANN}data_sources:\n{good}  - {{name: gone, path: jobs/data/gone.csv}}\n"))
        .file("jobs/data/good.csv", "a\n1\nx\n");
    etl.run(&["run", "sales"]).exits(3);
    assert_eq!(kinds(&server), ["failure"]);
    let words = last_words(&server);
    assert!(
        words.contains("1 row of good could not be loaded and was kept aside. ") && words.contains("Reasons ------- good: 1 row: "),
        "{words}"
    );
}

#[test]
fn samples_take_the_times_of_the_job_and_its_files_those_of_the_workspace() {
    let keys = "notification_emails: [ann@example.com]\nname: Sales of the day\ntimezone: America/New_York\nschedule_type: daily\nhour: 6\ndeadline: \"07:30\"\n";
    let etl = Etl::new().file("etlsched.yaml", format!("{}timezone: Europe/Berlin\n", settings(free_port()))).file(
        "jobs/sales.yaml",
        format!(
            "{keys}data_sources:
  - path: jobs/data/sales.csv
"
        ),
    );
    let sample = |kind: &str| {
        let mut command = etl.command(&["notify", "test", "sales", "--dry-run", "--kind", kind]);
        let output = command.env("ETLSCHED_NOW", "2026-11-29T20:49:00Z").output().expect("the program starts");
        let shown = String::from_utf8(output.stdout).expect("text");
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let missed = sample("missed");
    let slots = "Missed ------ Fri 2026-11-27 06:00 EST Sat 2026-11-28 06:00 EST Sun 2026-11-29 06:00 EST";
    assert!(missed.contains(slots) && missed.contains("Next run Mon 2026-11-30 06:00 EST"), "{missed}");
    let deadline = sample("deadline");
    assert!(deadline.contains("Due --- Sun 2026-11-29 06:00 EST"), "{deadline}");
    assert!(deadline.contains("Deadline Sun 2026-11-29 07:30 EST"), "{deadline}");
    let invalid = sample("invalid");
    assert!(invalid.contains("sales can't run: its file has errors") && !invalid.contains("Sales of the day"), "{invalid}");
    assert!(!invalid.contains("Schedule ") && !invalid.contains("Next run") && invalid.contains(" CET."), "{invalid}");
}
