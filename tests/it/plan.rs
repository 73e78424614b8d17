//! `plan`: the load to come from schedules and past runs, which jobs run at once, and a stagger. The clock is set by `ETLSCHED_NOW`.

use crate::etl::Etl;

const NOW: &str = "2026-11-24T00:10:00Z";

fn job(keys: &str) -> String {
    format!("{keys}data_sources:\n  - path: jobs/data/x.csv\n")
}

#[test]
fn a_plan_foretells_hours_overlaps_and_a_stagger_from_the_run_log() {
    let etl = Etl::new()
        .env("ETLSCHED_NOW", NOW)
        .file("jobs/data/x.csv", "a\n1\n")
        .file("jobs/a.yaml", job("hour: 6\n"))
        .file("jobs/b.yaml", job("hour: 6\nminute: 0\n"))
        .file("jobs/late.yaml", job("hour: 7\nminute: 30\n"))
        .file("jobs/never.yaml", job("schedule_type: manual\n"))
        .file("jobs/off.yaml", job("is_active: false\nhour: 6\n"));
    etl.run(&["run", "a"]).exits(0);
    // It took five minutes.
    etl.state().execute("UPDATE runs SET execution_time_seconds = 300");
    etl.run(&["plan"]).exits(0).says("").prints(
        "\
Load from ####-##-## ##:## to ####-##-## ##:## (UTC), from the schedules of 3 jobs and the median time of past runs

Hour (UTC)        Starts    Busy  Most at once  Load
####-##-## ##:##       2  6m 00s             2  ##############################
####-##-## ##:##       1  1m 00s             1  #####

no run of b, late has succeeded yet: a minute each is reckoned with

Run at once  Times  Together  First (UTC)
a, b             1    1m 00s  ####-##-## ##:##

These minutes leave no shared time instead of 1m 00s:

jobs/b.yaml:2
-minute: 0
+minute: 5
",
    );
    let plan = etl.run(&["plan", "-o", "json"]).exits(0).json();
    let overlap = serde_json::json!([{"jobs": ["a", "b"], "first_at": "2026-11-24T06:00:00Z", "times": 1, "shared_seconds": 60.0}]);
    assert_eq!((plan["hours"][0]["at"].as_str(), &plan["overlaps"]), (Some("2026-11-24T00:00:00Z"), &overlap), "{plan:#}");
    let plan = etl.run(&["plan", "--hours", "2", "-o", "json"]).exits(0).json();
    assert_eq!((plan["hours"].as_array().map(Vec::len), plan["overlaps"].as_array().map(Vec::len)), (Some(3), Some(0)), "{plan:#}");
}

#[test]
fn a_paused_job_is_no_load() {
    let etl = Etl::new().env("ETLSCHED_NOW", NOW).file("jobs/data/x.csv", "a\n1\n").file("jobs/a.yaml", job("hour: 6\n"));
    etl.run(&["pause", "a"]).exits(0);
    etl.run(&["plan"]).exits(0).prints("").says("no active job has a schedule\n");
    etl.run(&["plan", "--hours", "0"]).exits(2);
    etl.run(&["plan", "--hours", "745"]).exits(2);
}
