//! Mails and webhooks as servers take them. The mail server is aiosmtpd, and Python's own parser says what is in a mail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers::http::{Response, serve};
use crate::servers::mail::{MailServer, header, mail_server};

const PASSWORD: &str = "p@ss/wörd#100%";

/// A workspace with the job `sales`, its settings for mails, and more keys of the job.
fn workspace(smtp: &str, keys: &str) -> Etl {
    Etl::new()
        .env("SMTP_PASSWORD", PASSWORD)
        .file("etlsched.yaml", format!("timezone: Europe/Paris\nsmtp:\n{smtp}"))
        .file("jobs/sales.yaml", format!("name: Daily sales\n{keys}data_sources:\n  - path: data/orders.csv\n  - path: data/lines.csv\n"))
}

fn smtp(server: &MailServer, scheme: &str, more: &str) -> String {
    format!("  url: {scheme}://localhost:{}\n  from: ETL Böhm <etl@example.com>\n{more}", server.port())
}

fn with_login(server: &MailServer, scheme: &str) -> String {
    let login =
        format!("  username: etl\n  password: \"${{SMTP_PASSWORD}}\"\n  tls: required\n  ca_file: {}\n", server.ca_file().display());
    smtp(server, scheme, &login)
}

const OPS: &str = "notification_emails: [ops@example.com]\n";

#[track_caller]
fn outcomes(ended: &Ended) -> Vec<String> {
    let found = ended.json();
    let field = |outcome: &Value, name: &str| outcome[name].as_str().unwrap_or("-").to_owned();
    let outcomes = found["notifications"].as_array().expect("a list").iter();
    outcomes.map(|outcome| ["recipient", "kind", "status", "error", "hint"].map(|name| field(outcome, name)).join(" | ")).collect()
}

#[test]
fn a_mail_arrives_by_starttls_with_a_login_as_a_mail_should_be() {
    let server = mail_server(&json!({"tls": "starttls", "login": ["etl", PASSWORD]}));
    let etl = workspace(&with_login(&server, "smtp"), OPS);
    let expected = "\
Recipient        Kind     Status
ops@example.com  failure  sent
";
    etl.run(&["notify", "test", "sales", "--kind", "failure"]).exits(0).prints(expected);
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!((&mail["from"], &mail["to"]), (&json!("etl@example.com"), &json!(["ops@example.com"])));
    assert_eq!((&mail["type"], &mail["parts"]), (&json!("multipart/alternative"), &json!(["text/html", "text/plain"])));
    assert_eq!((&mail["defects"], &mail["ascii"]), (&json!([]), &json!(true)));
    assert!(mail["longest_line"].as_u64().unwrap() <= 998, "RFC 5322, 2.1.1");
    for (name, expected) in [
        ("From", "ETL Böhm <etl@example.com>"),
        ("To", "ops@example.com"),
        ("Subject", "[etlsched] TEST: Daily sales failed: orders"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Etlsched-Job", "sales"),
        ("X-Etlsched-Kind", "failure"),
        ("MIME-Version", "1.0"),
    ] {
        assert_eq!(header(mail, name), expected);
    }
    let id = header(mail, "Message-ID");
    assert!(
        id.starts_with('<') && id.ends_with("@example.com>") && id.len() == "<0198f6a2-1111-7000-8000-000000000001@example.com>".len(),
        "{id}"
    );
    let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
    assert!(text.starts_with("This is a test: nothing happened.\n\nDaily sales failed\n"), "{text}");
    assert!(html.starts_with("<!doctype html>") && html.contains("<strong>This is a test:</strong>"), "{html}");
    for part in [text, html] {
        assert!(part.contains(&format!("-C {} run sales --retry-failed", etl.path(".").canonicalize().unwrap().display())), "{part}");
        assert!(!part.contains(PASSWORD));
    }
    assert!(!html.contains("src=") && !html.contains("http://") && !html.contains("url("), "nothing is loaded");
}

#[test]
fn every_kind_that_a_job_tells_goes_to_every_recipient_over_tls_from_the_first_byte() {
    let server = mail_server(&json!({"tls": "smtps", "login": ["etl", PASSWORD]}));
    let keys = "notification_emails: [ops@example.com, data@example.com]\nnotify_on: [recovery, missed]\nnotify_on_success: true\n";
    let etl = workspace(&with_login(&server, "smtps"), keys);
    etl.run(&["notify", "test", "sales", "--output", "csv"]).exits(0).prints(
        "\
channel,recipient,kind,status,error,hint
email,ops@example.com,failure,sent,,
email,ops@example.com,success,sent,,
email,ops@example.com,recovery,sent,,
email,ops@example.com,missed,sent,,
email,data@example.com,failure,sent,,
email,data@example.com,success,sent,,
email,data@example.com,recovery,sent,,
email,data@example.com,missed,sent,,
",
    );
    let mails = server.mails();
    assert_eq!(mails.len(), 8);
    assert!(mails.iter().all(|mail| mail["to"].as_array().unwrap().len() == 1 && mail["defects"] == json!([])), "one recipient a mail");
    let ids: std::collections::BTreeSet<&str> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    assert_eq!(ids.len(), 8);
    assert_eq!(etl.state().rows("SELECT action, job FROM audit"), ["notify test|sales"]);
}

#[test]
fn one_address_that_is_refused_does_not_stop_the_others() {
    let server = mail_server(&json!({"refuse": ["gone@example.com"]}));
    let keys = "notification_emails: [gone@example.com, ops@example.com]\nnotify_on: []\n";
    let etl = workspace(&smtp(&server, "smtp", ""), keys);
    let ended = etl.run(&["notify", "test", "sales"]).exits(1);
    let expected = format!(
        "\
Recipient         Kind     Status
gone@example.com  failure  failed
ops@example.com   failure  sent

gone@example.com: localhost:{}: it refuses the recipient: 550 5.1.1 <gone@example.com>: no such user
",
        server.port()
    );
    ended.prints(&expected);
    assert_eq!(server.mails().len(), 1);
}

/// Runs a test mail to a server and returns the only outcome, the port left out.
#[track_caller]
fn outcome(settings: &Value, scheme: &str, more: &str) -> String {
    let server = mail_server(settings);
    let etl = workspace(
        &smtp(
            &server,
            scheme,
            &more.replace("CA", &server.ca_file().display().to_string()).replace("OTHER", &server.other_ca_file().display().to_string()),
        ),
        OPS,
    );
    let begin = Instant::now();
    let ended = etl.run(&["notify", "test", "sales", "--kind", "failure", "-o", "json"]).exits(1);
    assert!(begin.elapsed() < Duration::from_secs(8), "{settings}: {:?}", begin.elapsed());
    assert!(server.mails().is_empty(), "{settings}: no mail went");
    assert!(!ended.stdout.contains(PASSWORD) && !ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    let told = outcomes(&ended);
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].strip_prefix("ops@example.com | failure | ").expect("the recipient and the kind");
    told.replace(&format!("localhost:{}", server.port()), "SERVER")
}

const LOGIN: &str = "  username: etl\n  password: \"${SMTP_PASSWORD}\"\n";
const SECURE: &str = "  tls: required\n  ca_file: CA\n";

#[test]
fn what_a_person_can_mend_is_tried_again_and_what_stays_is_not() {
    let again = "failed, would be tried again | SERVER: ";
    assert_eq!(
        outcome(&json!({"tls": "starttls", "login": ["etl", "other"]}), "smtp", &format!("{LOGIN}{SECURE}")),
        format!(
            "{again}it refuses the login: 535 5.7.8 Authentication credentials invalid | check user and password of smtp in etlsched.yaml"
        )
    );
    assert_eq!(
        outcome(&json!({"login": ["etl", PASSWORD], "needs_login": true}), "smtp", ""),
        format!("{again}it refuses the recipient: 554 5.7.1 Relay access denied | add username and password under smtp in etlsched.yaml")
    );
    assert_eq!(
        outcome(&json!({"refuse_sender": true}), "smtp", ""),
        format!(
            "{again}it refuses the sender: 550 5.7.60 this login may not send as etl@example.com | check from under smtp in etlsched.yaml: \
             this login may not send as it"
        )
    );
    assert_eq!(
        outcome(&json!({"greylist": true}), "smtp", ""),
        format!("{again}it refuses the recipient: 451 4.7.1 greylisted, try again | -")
    );
    assert_eq!(outcome(&json!({"refuse_mail": true}), "smtp", ""), "failed | SERVER: it refuses the mail: 554 5.7.1 looks like spam | -");
    assert_eq!(
        outcome(&json!({}), "smtp", &format!("{LOGIN}  tls: none\n")),
        format!(
            "{again}logging in: No compatible authentication mechanism was found | it takes no login by password here: check the port, or leave \
             the login out"
        )
    );
}

#[test]
fn a_server_that_is_not_proven_gets_neither_login_nor_mail() {
    let again = "failed, would be tried again | SERVER: beginning TLS: ";
    let hint = "give the certificate of its issuer as smtp.ca_file, and the name that it is made for as the host of smtp.url";
    for (tls, scheme) in [("starttls", "smtp"), ("smtps", "smtps")] {
        for trusted in ["", "  ca_file: OTHER\n"] {
            let told = outcome(&json!({"tls": tls}), scheme, &format!("{LOGIN}  tls: required\n{trusted}"));
            assert_eq!(told, format!("{again}invalid peer certificate: UnknownIssuer | {hint}"));
        }
    }
    let told = outcome(&json!({"hostile": "stripped"}), "smtp", &format!("{LOGIN}{SECURE}"));
    let start = "use smtps://, or another port; only where the network is trusted: tls: none";
    assert_eq!(told, format!("{again}it doesn't offer STARTTLS | {start}"));
    let told = outcome(&json!({"hostile": "refused_starttls"}), "smtp", &format!("{LOGIN}{SECURE}"));
    assert_eq!(told, format!("{again}454 4.7.0 TLS not available | -"));
    let told = outcome(&json!({"hostile": "injects"}), "smtp", &format!("{LOGIN}{SECURE}"));
    assert_eq!(told, format!("{again}it goes on in clear text where TLS begins: somebody may be in between | -"));
    // Plain SMTP where TLS is expected.
    let told = outcome(&json!({}), "smtps", LOGIN);
    assert_eq!(
        told,
        format!("{again}received corrupt message of type InvalidContentType | it doesn't speak TLS at once: write smtp:// for STARTTLS")
    );
}

#[test]
fn a_hostile_server_holds_nobody_longer_than_its_time() {
    let again = "failed, would be tried again | SERVER: ";
    for (kind, more, expected) in [
        ("hang", "", "greeting it: no answer within 2 s | -"),
        ("drip", "", "greeting it: no answer within 2 s | -"),
        ("hang", SECURE, "greeting it: no answer within 2 s | -"),
        ("drip", SECURE, "greeting it: no answer within 2 s | -"),
        ("silent_after_mail", "", "sending the mail: no answer within 2 s | -"),
        ("cut_after_greeting", "", "greeting it: the connection was closed | -"),
        ("cut_in_mail", "", "sending the mail: the connection was closed | -"),
        ("out_of_place", "", "sending the mail: an answer out of place: 354 go on | -"),
        ("closing", "", "greeting it: 421 4.3.2 shutting down | -"),
        (
            "garbage",
            SECURE,
            "greeting it: it doesn't answer as a mail server does | check host and port of smtp.url, and that nothing between keeps them apart",
        ),
        ("endless", SECURE, "greeting it: its answer has no end | -"),
        ("echoes", LOGIN, "it refuses the login: 535 5.7.8 no: *** etl *** \\u{1b}[31m | check user and password of smtp in etlsched.yaml"),
    ] {
        let told = outcome(&json!({"hostile": kind}), "smtp", &format!("{more}  timeout_seconds: 2\n"));
        assert_eq!(told, format!("{again}{expected}"), "{kind}");
    }
    for kind in ["garbage", "binary", "endless"] {
        let told = outcome(&json!({"hostile": kind}), "smtp", "  timeout_seconds: 2\n");
        assert!(told.starts_with(&format!("{again}greeting it: ")), "{kind}: {told}");
    }
}

#[test]
fn a_host_that_nobody_listens_on_is_told_with_what_to_check() {
    let etl = workspace("  url: smtp://127.0.0.1:1\n  from: etl@example.com\n", OPS);
    let told = outcomes(&etl.run(&["notify", "test", "sales", "--kind", "failure", "-o", "json"]).exits(1));
    assert!(told[0].contains("127.0.0.1:1: connecting: Connection refused"), "{told:?}");
    assert!(told[0].ends_with("check host and port of smtp.url, and that nothing between keeps them apart"), "{told:?}");
}

#[test]
fn names_of_every_alphabet_arrive_as_they_are() {
    let server = mail_server(&json!({}));
    let name = "Ventes & retours <b>été</b> 数据 🚚 =?utf-8?q?x?= \\\"q\\\"";
    let etl = Etl::new()
        .file("etlsched.yaml", format!("smtp:\n{}", smtp(&server, "smtp", "")))
        .file("jobs/sales.yaml", format!("name: \"{name}\"\n{OPS}data_sources:\n  - {{name: \"x & ü\", path: a.csv}}\n"));
    etl.run(&["notify", "test", "sales", "--kind", "failure"]).exits(0);
    let mails = server.mails();
    let mail = &mails[0];
    let plain = name.replace('\\', "");
    assert_eq!(mail["defects"], json!([]));
    assert_eq!(header(mail, "Subject"), format!("[etlsched] TEST: {plain} failed: x & ü").replace("=?", "= ?"));
    assert!(mail["text"].as_str().unwrap().contains(&plain));
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("Ventes &amp; retours &lt;b&gt;été&lt;/b&gt;") && !html.contains("<b>"), "{html}");
}

#[test]
fn a_webhook_is_told_by_post_and_a_healthcheck_only_on_demand() {
    let server = serve(|request| match request.path() {
        "/hooks/gone" => Response::new(404, "no_service"),
        _ => Response::new(200, "ok"),
    });
    let keys = format!(
        "notify_on: []\nwebhooks: [\"{}\", \"${{HOOK}}\", \"{}\", \"${{UNSET}}\"]\nhealthcheck_url: {}\n",
        server.url("/hooks/s3cret-one"),
        server.url("/hooks/gone"),
        server.url("/ping/s3cret-two")
    );
    let etl = workspace("  url: smtp://127.0.0.1:1\n  from: etl@example.com\n", &keys).env("HOOK", &server.url("/hooks/s3cret-three"));
    let ended = etl.run(&["notify", "test", "sales"]).exits(1);
    let host = format!("127.0.0.1:{}", server.url("/").rsplit(':').next().unwrap().trim_end_matches('/'));
    let marked = etl.run(&["notify", "test", "sales", "-o", "json"]).exits(1).json();
    let mark = |place: usize| marked["notifications"][place]["recipient"].as_str().expect("a name").to_owned();
    let [one, two, three, ping] = [0, 1, 2, 3].map(mark);
    assert!([&one, &two, &three, &ping].iter().all(|name| name.starts_with(&format!("{host} #"))), "{marked}");
    let expected = format!(
        "\
Recipient            Kind     Status
{one} (webhook)      failure  sent
{two} (webhook)      failure  sent
{three} (webhook)    failure  failed
{ping} (healthcheck) -        skipped
webhooks             -        failed, would be tried again

{three} (webhook): {host}: HTTP 404: no_service
{ping} (healthcheck): only pinged with --healthcheck
webhooks: the variable UNSET is not set
"
    );
    // Ports have four or five digits.
    let squeezed = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(squeezed(&ended.stdout), squeezed(&expected));
    let seen = server.seen();
    assert_eq!(
        seen.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(),
        ["/hooks/s3cret-one", "/hooks/s3cret-three", "/hooks/gone"].repeat(2)
    );
    etl.run(&["run", "sales"]).exits(1);
    let told = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json();
    let known: Vec<&str> =
        told["log"]["told"].as_array().expect("a list").iter().filter_map(|letter| letter["recipient"].as_str()).collect();
    assert!([&one, &two, &three, &ping].iter().all(|name| known.contains(&name.as_str())), "{told}");
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert!(body["text"].as_str().unwrap().starts_with("✕ TEST: Daily sales failed\n"), "{body}");
    assert_eq!((&body["event"]["kind"], &body["event"]["is_test"]), (&json!("failure"), &json!(true)));
    etl.run(&["notify", "test", "sales", "--healthcheck"]).exits(1);
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str(), last.body.as_str()),
        ("POST", "/ping/s3cret-two", "a test by etlsched notify test")
    );
    assert!(!ended.stdout.contains("s3cret") && !ended.stderr.contains("s3cret"));
}

#[test]
fn a_dry_run_shows_mails_and_connects_to_nothing() {
    let etl = workspace("  url: smtp://127.0.0.1:1\n  from: etl@example.com\n", OPS);
    let shown = etl.run(&["notify", "test", "sales", "--dry-run", "--kind", "missed,failure"]).exits(0);
    let subjects: Vec<&str> = shown.stdout.lines().filter(|line| line.starts_with("Subject: ")).collect();
    assert_eq!(subjects, ["Subject: [etlsched] TEST: Daily sales missed 3 runs", "Subject: [etlsched] TEST: Daily sales failed: orders"]);
    let all = etl.run(&["notify", "test", "sales", "--print", "-o", "json"]).exits(0).json();
    let kinds: Vec<&str> = all["messages"].as_array().unwrap().iter().filter_map(|message| message["kind"].as_str()).collect();
    assert_eq!(
        kinds,
        ["failure", "recovery", "disabled", "disabled_soon", "missed", "deadline", "schema_change", "rejected_rows"],
        "nobody is told of files with errors: the defaults name nobody"
    );
    etl.run(&["notify", "test", "sales", "--html", "mail.html"]).exits(0).says("wrote the mail of failure to mail.html\n");
    let html = std::fs::read_to_string(etl.path("mail.html")).unwrap();
    assert!(html.contains("Daily sales failed"), "{html}");
    assert!(!etl.path(".etlsched/state.db").exists(), "nothing is on record");
    etl.run(&["notify", "test", "sales", "--kind", "failur"]).exits(2).mentions("did you mean failure?");
}

#[test]
fn the_test_of_files_with_errors_goes_to_the_people_of_the_defaults_and_says_so() {
    let server = mail_server(&json!({}));
    let defaults = "defaults: {notification_emails: [data@example.com]}\n";
    let etl = workspace(&(smtp(&server, "smtp", "") + defaults), OPS);
    let ended = etl.run(&["notify", "test", "sales", "--kind", "invalid,missed"]).exits(0);
    ended.prints(
        "\
Recipient         Kind     Status
ops@example.com   missed   sent
data@example.com  invalid  sent

invalid: told to the people under defaults in etlsched.yaml, since nobody can read the job's own
",
    );
    let etl = workspace(&smtp(&server, "smtp", ""), OPS);
    let nobody = "error: nobody is told of files with errors (invalid): etlsched.yaml names nobody under defaults\n\
                  hint: add notification_emails or webhooks to defaults in etlsched.yaml\n";
    etl.run(&["notify", "test", "sales", "--kind", "invalid"]).exits(1).says(nobody);
    assert_eq!(server.mails().len(), 2);
}

#[test]
fn a_job_that_tells_nobody_says_how_it_would() {
    let etl = Etl::new().csv_job("sales", "", "a\n1\n");
    let ended = etl.run(&["notify", "test", "sales"]).exits(1);
    ended.mentions("job sales: nobody is told of anything").mentions("hint: add notification_emails or webhooks to the job");
}

#[test]
fn settings_that_can_not_work_are_refused_with_their_remedy_and_no_secret() {
    let check = |smtp: &str, expected: &str, hint: &str| {
        let ended = workspace(smtp, OPS).run(&["validate"]);
        assert!(!ended.stderr.contains("hunter22") && !ended.stdout.contains("hunter22"), "{}{}", ended.stdout, ended.stderr);
        ended.exits(4).mentions(expected).mentions(hint);
    };
    check(
        "  url: https://etl:hunter22@mail.example.com\n  from: etl@example.com\n",
        "smtp.url: it begins with neither smtps:// nor smtp://",
        "write smtps://",
    );
    check("  url: smtps://etl:hunter22%@mail.example.com\n  from: etl@example.com\n", "a % in it is not followed by two hex digits", "%25");
    check("  url: smtps://mail.example.com\n", "smtp has no from", "add from:");
    check("  from: etl@example.com\n", "smtp has no url", "add url:");
    check("  url: smtps://h.example\n  from: \"a\\r\\nBcc: b@example.com\"\n", "from: expected a mail address", "write name@example.com");
    for from in ["nonsense", "\"\"", "3", "[a]"] {
        let ended = workspace(&format!("  url: smtps://h.example\n  from: {from}\n"), OPS).run(&["validate"]).exits(4);
        assert!(ended.stderr.ends_with("\n1 error\n") && !ended.stderr.contains("smtp.url"), "{from}: {}", ended.stderr);
    }
    check("  url: smtps://h.example\n  from: a@example.com\n  ca_file: none.pem\n", "smtp.ca_file: there is no such file", "PEM");
    check("  url: smtps://h.example\n  from: a@example.com\n  tls: none\n", "smtps:// and tls: none together", "write smtp://");
    let etl = workspace("  url: smtp://etl:hunter22@mail.example.com\n  tls: none\n  from: etl@example.com\n", OPS);
    etl.run(&["validate"]).exits(0).mentions("warning: smtp: user and password cross the network in clear text");
}
