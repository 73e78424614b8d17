//! What commands say where nothing is done, or what was typed leads nowhere: an answer, and never silence.

use crate::etl::Etl;

fn sales() -> Etl {
    Etl::new().csv_job("sales", "", "id,total\n1,2.50\n2,3.75\n")
}

#[test]
fn json_that_is_asked_for_is_printed_also_where_there_is_nothing_to_say() {
    let etl = sales();
    let nothing = "{\n  \"success\": true,\n  \"runs\": []\n}\n";
    etl.run(&["run", "--due", "-o", "json"]).exits(0).prints(nothing).says("no job is due\n");
    etl.run(&["run", "sales", "--scheduled", "-o", "json"]).exits(0).prints(nothing).says("");
    etl.run(&["run", "sales", "--scheduled"]).exits(0).prints("").says("");
    let written = etl.run(&["report", "--html", "report.html", "-o", "json"]).exits(0).says("").json();
    let bytes = std::fs::metadata(etl.path("report.html")).expect("the page").len();
    assert_eq!(written, serde_json::json!({"success": true, "written": "report.html", "bytes": bytes}));
}

#[test]
fn resolved_settings_are_json_where_it_is_asked_for() {
    let job = "name: Sales\nwebhooks: [\"https://hooks.example.com/hunter2\"]\ndata_sources:\n  - {path: a.csv, primary_key: [id, line]}\n";
    let etl = Etl::new().file("jobs/sales.yaml", job);
    let shown = etl.run(&["show", "sales", "--resolved", "-o", "json"]).exits(0).json();
    assert_eq!((&shown["success"], &shown["job"]), (&true.into(), &"sales".into()));
    let setting = |key: &str| {
        let all = shown["settings"].as_array().expect("a list");
        let found = all.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no {key} in {shown:#}"));
        (found["value"].clone(), found["origin"].as_str().map(str::to_owned))
    };
    let own = |line: u8| Some(format!("jobs/sales.yaml:{line}"));
    assert_eq!(setting("name"), ("Sales".into(), own(1)));
    assert_eq!(setting("webhooks"), (serde_json::json!(["***"]), own(2)));
    assert_eq!(setting("data_sources[0].primary_key"), (serde_json::json!(["id", "line"]), own(4)));
    assert_eq!(setting("max_retries"), (3.into(), Some("built-in".to_owned())));
}

#[test]
fn the_statements_of_a_dry_run_are_shown_to_those_who_ask() {
    let etl = sales();
    let plain = etl.run(&["run", "sales", "--dry-run"]).exits(0);
    assert!(
        !plain.stdout.contains("CREATE TABLE") && plain.stdout.ends_with("statements would be run at the destination: -v shows them\n")
    );
    etl.run(&["run", "sales", "--dry-run", "-v"]).exits(0).mentions("CREATE TABLE");
    let quiet = etl.run(&["run", "sales", "--dry-run", "-q"]).exits(0).stdout;
    assert!(!quiet.contains("statement"), "{quiet}");
}

#[test]
fn help_is_a_command_too_and_global_options_come_last() {
    let etl = Etl::new();
    etl.run(&["help"]).exits(0).prints(&etl.run(&["--help"]).exits(0).stdout);
    let help = etl.run(&["run", "--help"]).exits(0).stdout;
    etl.run(&["help", "run"]).exits(0).prints(&help);
    let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{help}"));
    assert!(at("\nOptions:\n") < at("  --dry-run") && at("  --dry-run") < at("\nGlobal options:\n"), "{help}");
    assert!(at("\nGlobal options:\n") < at("  -C, --project <DIR>"), "{help}");
}

#[test]
fn a_job_file_in_a_folder_of_jobs_is_named_and_not_read() {
    let etl = sales().file("jobs/north/stock.yaml", "data_sources: [{path: a.csv}]\n").file("jobs/data/notes.txt", "x");
    let told = "jobs/north/stock.yaml: warning: is not read: job files stand in jobs/ itself, not in a folder of it\n  hint: move it to jobs/stock.yaml\n";
    etl.run(&["validate"]).exits(0).mentions(told).mentions("1 job is valid");
    etl.run(&["validate", "sales"]).exits(0).says("");
    etl.run(&["doctor", "--offline"]).mentions("jobs/north/stock.yaml: is not read");
}

#[test]
fn a_destination_in_a_folder_that_is_not_there_is_refused() {
    let etl = sales().file("etlsched.yaml", "destination: marts\nconnections:\n  marts: {type: sqlite, path: mrats/x.db}\n");
    let folder = etl.path("mrats");
    let told = "the folder of /workspace____________/mrats/x.db is not there here: run will refuse";
    etl.run(&["validate"]).exits(0).mentions("etlsched.yaml:3:").mentions(told).mentions("hint: make the folder, or correct the path");
    let told = "destination marts: opening /workspace____________/mrats/x.db: its folder is not there";
    etl.run(&["run", "sales"]).exits(1).mentions(told).mentions("hint: make the folder, or correct the path of connection marts");
    assert!(!folder.exists());
    std::fs::create_dir(&folder).expect("a folder");
    etl.run(&["validate"]).exits(0).says("");
    etl.run(&["run", "sales"]).exits(0);
}

#[test]
fn a_job_for_a_file_that_is_not_there_is_written_with_a_note() {
    let etl = sales();
    let note = "note: no file data/nope.csv is here yet: until it is there, runs fail\n";
    etl.run(&["create", "one", "--path", "data/nope.csv"]).exits(0).says(note);
    etl.run(&["create", "two", "--path", "jobs/data/sales.csv"]).exits(0).says("");
    etl.run(&["create", "three", "--path", "data/*.csv", "--source-name", "all"]).exits(0).says("");
}

#[test]
fn a_failed_login_says_at_which_connection() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port();
    let connection = |name: &str| format!("  {name}: {{type: postgresql, host: 127.0.0.1, port: {closed}, database: dwh, user: etl}}\n");
    let etl = sales().file("etlsched.yaml", format!("connections:\n{}{}", connection("erp"), connection("dwh")));
    etl.write("jobs/read.yaml", "max_retries: 0\ndata_sources: [{connection: erp, table: t}]\n");
    etl.write("jobs/write.yaml", "max_retries: 0\ndestination: dwh\ndata_sources: [{path: jobs/data/sales.csv}]\n");
    let place = format!("connect to 127.0.0.1:{closed}/dwh: ");
    etl.run(&["run", "read"]).exits(1).mentions(&format!(": connection erp: {place}")).mentions("check host and port of connection erp,");
    etl.run(&["run", "write"]).exits(1).mentions(&format!(": destination dwh: {place}")).mentions("check host and port of connection dwh,");
    // Without retries too the log says why.
    etl.run(&["logs", "read", "--run", "last"]).exits(0).mentions(&format!("error  t: failed (unreachable): connection erp: {place}"));
}

/// Every variable of ours that the program asks for, and the sections that readers look for, are in the main page.
#[test]
fn the_main_page_of_the_manual_names_every_variable_of_ours() {
    let page = Etl::new().run(&["man"]).exits(0).stdout;
    for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"GLOBAL OPTIONS\"", "SUBCOMMANDS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(&format!("\n.SH {heading}\n")), "no {heading} in\n{page}");
    }
    let mut names = std::collections::BTreeSet::new();
    let mut files = Vec::new();
    crate::layers::collect(&crate::etl::repository().join("src"), &mut files);
    files.iter().for_each(|(_, text)| {
        let found = text.split("ETLSCHED_").skip(1).map(|rest| rest.split(|each: char| !each.is_ascii_uppercase() && each != '_').next());
        names.extend(found.flatten().map(|name| format!("ETLSCHED_{name}")));
    });
    // What makes tests longer.
    let of_tests = ["ETLSCHED_CROWD", "ETLSCHED_CUTS"];
    let missing: Vec<&String> =
        names.iter().filter(|name| !of_tests.contains(&name.as_str()) && !page.contains(&format!("\\fB{name}\\fR"))).collect();
    assert!(names.len() > 8 && missing.is_empty(), "{missing:?} of {names:?}");
}

#[test]
fn a_table_that_two_jobs_load_is_told_before_they_run() {
    let source = |keys: &str| format!("data_sources:\n  - {{name: orders, path: jobs/data/sales.csv{keys}}}\n");
    let etl = sales().file("jobs/first.yaml", source("")).file("jobs/second.yaml", source(", target: Orders"));
    etl.run(&["validate"]).exits(0).says(
        "jobs/second.yaml:2:47: warning: the table Orders is loaded by job first too, and belongs to whichever loads it first: the other is refused\n\
         \x20 hint: give one of them another target, or a table_prefix\n1 warning\n",
    );
    etl.run(&["run", "first"]).exits(0);
    etl.run(&["run", "second"]).exits(1).mentions("is loaded by job first");
    etl.write("jobs/second.yaml", format!("table_prefix: own_\n{}", source("")));
    etl.run(&["validate"]).exits(0).says("");
}
