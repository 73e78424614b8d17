//! `stats`: what runs amount to, by job and by source.

use serde_json::json;

use crate::etl::Etl;

/// A job whose second source fails, run twice, and one that is well.
fn ran() -> Etl {
    let sources = "data_sources:\n  - path: jobs/data/orders.csv\n  - path: jobs/data/gone.csv\n";
    let etl = Etl::new().csv_job("well", "", "a\n1\n2\n").file("jobs/half.yaml", sources).file("jobs/data/orders.csv", "a\n1\n");
    etl.run(&["run", "half"]).exits(3);
    etl.run(&["run", "half"]).exits(3);
    etl.run(&["run", "well"]).exits(0);
    etl
}

#[test]
fn jobs_that_fail_come_first_and_scripts_get_every_figure() {
    let etl = ran();
    let object = etl.run(&["stats", "-o", "json"]).exits(0).json();
    let jobs = object["jobs"].as_array().expect("jobs");
    let figures = |index: usize| {
        let job = &jobs[index];
        json!([
            job["id"],
            job["runs"],
            job["success"],
            job["failed"],
            job["partly_failed"],
            job["success_rate"],
            job["total_records_processed"]
        ])
    };
    assert_eq!((figures(0), figures(1)), (json!(["half", 2, 0, 2, 2, 0.0, 2]), json!(["well", 1, 1, 0, 0, 100.0, 2])), "{object:#}");
    assert!(jobs[1]["duration"]["p50"].as_f64().is_some_and(|seconds| seconds > 0.0), "{object:#}");
    assert_eq!(jobs[1]["durations"].as_array().map(Vec::len), Some(1));
    assert_eq!((&jobs[1]["before"], &object["success"]), (&json!(null), &json!(true)));
    let table = etl.run(&["stats"]).exits(0);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("Job") && lines[1].starts_with("half") && lines[2].starts_with("well"), "{}", table.stdout);
    table.mentions("Runs begun since ");
    let csv = etl.run(&["stats", "-o", "csv"]).exits(0);
    assert!(
        csv.stdout.starts_with("job,runs,success,failed,partly_failed,") && csv.stdout.contains("\nhalf,2,0,2,2,0,0,0,0,0,"),
        "{}",
        csv.stdout
    );
}

#[test]
fn one_job_is_shown_with_its_sources_and_the_codes_of_their_errors() {
    let etl = ran();
    let job = etl.run(&["stats", "half", "-o", "json"]).exits(0).json()["jobs"][0].clone();
    let sources = job["sources"].as_array().expect("sources");
    assert_eq!((&sources[0]["name"], &sources[0]["failed"], &sources[0]["attempted"]), (&json!("gone"), &json!(2), &json!(2)), "{job:#}");
    assert_eq!((&sources[0]["errors"][0]["code"], &sources[0]["errors"][0]["runs"]), (&json!("not_found"), &json!(2)), "{job:#}");
    assert_eq!((&sources[1]["name"], &sources[1]["success_rate"]), (&json!("orders"), &json!(100.0)), "{job:#}");
    let run = sources[1]["slowest_run"].as_str().expect("a run");
    etl.run(&["logs", "--run", run]).exits(0).mentions("orders");
    let text = etl.run(&["stats", "half"]).exits(0);
    text.mentions("Runs        2: 2 failed (2 in part)").mentions("not_found").mentions("Success     0.0 % of 2 runs");
}

#[test]
fn a_job_whose_file_is_gone_is_marked_and_comes_last() {
    let etl = ran();
    std::fs::remove_file(etl.path("jobs/half.yaml")).expect("a file");
    let table = etl.run(&["stats"]).exits(0);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[1].starts_with("well  ") && lines[2].starts_with("half (no file)  "), "{}", table.stdout);
    etl.run(&["stats", "half"]).exits(0).mentions("half (no file)\n");
}

#[test]
fn what_can_t_be_summed_up_is_said_in_words() {
    let etl = Etl::new().csv_job("well", "", "a\n1\n");
    etl.run(&["stats"]).exits(0).prints("").says("no runs\n");
    assert_eq!(etl.run(&["stats", "-o", "json"]).exits(0).json()["jobs"], json!([]));
    etl.run(&["stats", "well"]).exits(0).mentions("Runs        none");
    etl.run(&["stats", "wel"]).exits(2).mentions("did you mean well?");
    etl.run(&["stats", "--since", "yesterday"]).exits(2).mentions("--since \"yesterday\" is not a time");
    etl.run(&["stats", "--since", "2099-01-01"]).exits(2).mentions("this time is to come");
}
