//! The sample job from end to end: rows, types, counts, logs; what comes later; what goes wrong. What is expected is computed here,
//! from the files, by other means than the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::etl::{Ended, Etl, repository};

const TABLES: [(&str, &str, u64); 5] = [
    ("airlines", "airlines.csv", 16),
    ("airports", "airports.csv", 1_458),
    ("planes", "planes.csv", 3_322),
    ("weather", "weather.csv.gz", 26_115),
    ("flights", "flights-2013-01.csv.gz", 27_004),
];

/// Reads a sample file: no field of it is quoted, so commas and line ends are all there is.
fn read(file: &str) -> String {
    let bytes = std::fs::read(repository().join("jobs/data").join(file)).expect("a sample file");
    let mut text = String::new();
    if file.ends_with(".gz") {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("a gzip file");
    } else {
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Returns the sources of the first run of a result, by name.
fn sources(ended: &Ended) -> BTreeMap<String, Value> {
    let result = ended.json();
    let sources = result["runs"][0]["sources"].as_array().unwrap_or_else(|| panic!("no sources in {result:#}"));
    sources.iter().map(|source| (source["name"].as_str().expect("a name").to_owned(), source.clone())).collect()
}

#[track_caller]
fn counts(source: &Value, expected: [(&str, u64); 5]) {
    for (name, count) in expected {
        assert_eq!(source[format!("records_{name}")].as_u64(), Some(count), "records_{name} of {source:#}");
    }
}

#[test]
fn the_sample_fills_five_tables_with_exactly_what_the_files_hold() {
    let etl = Etl::sample();
    let ended = etl.run(&["run", "flights", "--output", "json"]).exits(0);
    let result = ended.json();
    assert_eq!(result["success"], true, "{result:#}");
    assert_eq!(result["runs"][0]["status"], "success");
    assert_eq!(result["runs"][0]["exit_code"], 0);
    let sources = sources(&ended);
    let warehouse = etl.warehouse();
    for (table, file, rows) in TABLES {
        counts(&sources[table], [("processed", rows), ("added", rows), ("updated", 0), ("deleted", 0), ("rejected", 0)]);
        let text = read(file);
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().expect("a header").split(',').collect();
        let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let found = warehouse.rows(&format!("SELECT {} FROM {table} ORDER BY rowid", quoted.join(", ")));
        let expected: Vec<String> = lines.map(|line| line.split(',').map(in_sqlite).collect::<Vec<_>>().join("|")).collect();
        assert_eq!(found.len(), expected.len(), "{table}");
        if let Some((found, expected)) = found.iter().zip(&expected).find(|(found, expected)| found != expected) {
            panic!("{table}: {found} is not {expected}");
        }
    }
    assert!(!etl.path(".etlsched/rejects").exists(), "nothing is rejected, so there is no reject file");
}

/// Returns a field of the sample as SQLite gives it back: numbers by value, `NA` as NULL.
fn in_sqlite(field: &str) -> String {
    match field {
        "NA" | "" => "NULL".to_owned(),
        // Of whole numbers in a column of doubles nothing but the value is left; the same for the expected side.
        _ => match field.parse::<f64>() {
            Ok(number) if field.contains(['.', 'e']) => number.to_string(),
            _ => field.to_owned(),
        },
    }
}

#[test]
fn the_samples_types_are_right() {
    let etl = Etl::sample();
    etl.run(&["run", "flights"]).exits(0);
    let warehouse = etl.warehouse();
    let check = |table: &str, column: &str, declared: &str, stored: &str| {
        let sql = format!("SELECT type FROM pragma_table_info('{table}') WHERE name = '{column}'");
        assert_eq!(warehouse.value(&sql), declared, "{table}.{column} as declared");
        let sql = format!("SELECT group_concat(kind) FROM (SELECT DISTINCT typeof({column}) AS kind FROM {table} ORDER BY 1)");
        assert_eq!(warehouse.value(&sql), stored, "{table}.{column} as stored");
    };
    check("flights", "dep_time", "INTEGER", "integer,null");
    check("flights", "distance", "INTEGER", "integer");
    check("flights", "tailnum", "TEXT", "null,text");
    check("flights", "time_hour", "TEXT", "text");
    check("airports", "faa", "TEXT", "text");
    check("airports", "lat", "REAL", "real");
    check("airports", "tzone", "TEXT", "null,text");
    check("weather", "temp", "REAL", "null,real");
    assert_eq!(warehouse.value("SELECT count(*) FROM flights WHERE dep_time IS NULL"), "521");
    assert_eq!(warehouse.value("SELECT name FROM airports WHERE faa = '369'"), "Atmautluak Airport");
    assert_eq!(warehouse.value("SELECT min(time_hour) || ' ' || max(time_hour) FROM flights"), "2013-01-01T10:00:00Z 2013-02-01T04:00:00Z");
    let schema = warehouse.value("SELECT columns FROM _etlsched_loads WHERE target = 'flights'");
    assert!(schema.contains(r#"{"name":"time_hour","type":"timestamp_utc"}"#), "time_hour is a UTC timestamp: {schema}");
}

#[test]
fn the_log_tells_what_the_run_did() {
    let etl = Etl::sample();
    etl.run(&["run", "flights"]).exits(0);
    let printed = etl.run(&["logs", "flights", "--output", "json"]).exits(0).json();
    assert_eq!(printed["success"], true);
    assert_eq!(printed["pagination"]["total_logs"], 1);
    let run = &printed["logs"][0];
    assert_eq!(run["status"], "success");
    assert_eq!(run["triggered_by"], "manual");
    assert_eq!(run["total_records_processed"], 57_915);
    let names = |key: &str| -> BTreeSet<String> {
        run[key].as_array().expect(key).iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("data_sources_processed"), TABLES.map(|(table, ..)| table.to_owned()).into());
    assert_eq!(names("data_sources_failed"), BTreeSet::new());
    let one = etl.run(&["logs", "--run", run["id"].as_str().expect("an id")]).exits(0);
    for (table, ..) in TABLES {
        assert!(one.stdout.contains(table), "the log of the run says nothing of {table}:\n{}", one.stdout);
    }
}

#[test]
fn the_same_run_again_replaces_every_row_by_itself() {
    let etl = Etl::sample();
    etl.run(&["run", "flights"]).exits(0);
    let before = etl.warehouse().rows("SELECT * FROM planes ORDER BY rowid");
    let sources = sources(&etl.run(&["run", "flights", "--output", "json"]).exits(0));
    counts(&sources["planes"], [("processed", 3_322), ("added", 3_322), ("updated", 0), ("deleted", 3_322), ("rejected", 0)]);
    assert_eq!(etl.warehouse().rows("SELECT * FROM planes ORDER BY rowid"), before);
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_year_in_the_place_of_a_month_is_loaded_whole() {
    let etl = Etl::sample();
    etl.run(&["run", "flights"]).exits(0);
    let month = read("flights-2013-01.csv.gz");
    let (header, rows) = month.split_once('\n').expect("a header");
    let year: String = ["01", "03", "05", "07"].map(|month| rows.replace("2013-01-", &format!("2013-{month}-"))).concat();
    etl.write("jobs/data/flights-2013-01.csv.gz", gzip(&format!("{header}\n{year}")));
    let sources = sources(&etl.run(&["run", "flights", "--output", "json"]).exits(0));
    counts(&sources["flights"], [("processed", 108_016), ("added", 108_016), ("updated", 0), ("deleted", 27_004), ("rejected", 0)]);
    assert_eq!(etl.warehouse().value("SELECT count(*) || ' ' || count(dep_time) FROM flights"), "108016 105932");
}

const INCREMENTAL: &str = r#"
etl_config: {mode: incremental, null_values: ["NA", ""]}
data_sources:
  - name: flights
    path: jobs/data/flights-*.csv.gz
    primary_key: [time_hour, carrier, flight]
"#;

#[test]
fn a_month_delivered_again_updates_what_changed_and_adds_what_is_new() {
    let etl = Etl::sample().file("jobs/flights.yaml", INCREMENTAL);
    let run = || sources(&etl.run(&["run", "flights", "--output", "json"]).exits(0))["flights"].clone();
    counts(&run(), [("processed", 27_004), ("added", 27_004), ("updated", 0), ("deleted", 0), ("rejected", 0)]);

    // The second month: January's flights two months later.
    let month = read("flights-2013-01.csv.gz");
    let march: Vec<String> = month.lines().skip(1).map(|line| line.replace("2013-01-", "2013-03-")).collect();
    let header = month.lines().next().expect("a header");
    // What stands at the end of January in UTC is the first of February there, in both months: those keys exist already.
    let known: BTreeSet<&str> = month.lines().skip(1).collect();
    let old = march.iter().filter(|line| known.contains(line.as_str())).count() as u64;
    etl.write("jobs/data/flights-2013-03.csv.gz", gzip(&format!("{header}\n{}\n", march.join("\n"))));
    let all = 27_004;
    let source = run();
    counts(&source, [("processed", all), ("added", all - old), ("updated", 0), ("deleted", 0), ("rejected", 0)]);
    assert_eq!(source["records_unchanged"], old, "{source:#}");

    // It comes again: every hundredth flight has another distance, 50 are new, 3 are there twice.
    let changed = |line: &String| {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        let distance: u32 = fields[15].parse().expect("a distance");
        fields[15] = (distance + 10_000).to_string();
        fields.join(",")
    };
    let mut again: Vec<String> = Vec::new();
    let mut updated = 0;
    for (index, line) in march.iter().enumerate() {
        let is_changed = index % 100 == 0;
        updated += u64::from(is_changed);
        again.push(if is_changed { changed(line) } else { line.clone() });
    }
    for number in 0..50 {
        again.push(format!("2013,3,31,NA,515,NA,NA,819,NA,UA,{},NA,EWR,IAH,NA,1400,5,15,2013-03-31T10:00:00Z", 90_000 + number));
    }
    for index in [1, 2, 3] {
        again.push(again[index].clone());
    }
    etl.write("jobs/data/flights-2013-03.csv.gz", gzip(&format!("{header}\n{}\n", again.join("\n"))));
    let source = run();
    counts(&source, [("processed", all + 53), ("added", 50), ("updated", updated), ("deleted", 0), ("rejected", 0)]);
    assert_eq!(source["records_unchanged"], all - updated, "{source:#}");
    assert_eq!(source["records_folded"], 3, "{source:#}");
    let rows = etl.warehouse().value("SELECT count(*) FROM flights");
    assert_eq!(rows, (all + all - old + 50).to_string());
    let far = etl.warehouse().value("SELECT count(*) FROM flights WHERE distance > 10000");
    assert_eq!(far, updated.to_string());

    // Nothing new: nothing is read.
    counts(&run(), [("processed", 0), ("added", 0), ("updated", 0), ("deleted", 0), ("rejected", 0)]);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM flights"), rows);
}

#[test]
fn a_dry_run_writes_nothing_anywhere() {
    let etl = Etl::sample();
    let before = etl.listing();
    etl.run(&["run", "flights", "--dry-run"]).exits(0).mentions("27004");
    etl.run(&["run", "flights", "--dry-run", "--limit", "10"]).exits(0);
    assert!(etl.listing() == before, "a dry run in a fresh workspace made or changed a file");
    etl.run(&["run", "flights"]).exits(0);
    let version = || etl.warehouse().rows("SELECT target, version, run_id FROM _etlsched_loads ORDER BY target");
    let before = version();
    etl.run(&["run", "flights", "--dry-run"]).exits(0);
    assert_eq!(version(), before);
    assert_eq!(etl.run(&["logs", "-o", "json"]).exits(0).json()["pagination"]["total_logs"], 1);
}

#[test]
fn a_limit_without_a_dry_run_is_wrong_usage() {
    Etl::sample().run(&["run", "flights", "--limit", "10"]).exits(2).mentions("--dry-run");
}

#[test]
fn one_source_that_fails_leaves_the_others_alone() {
    let etl = Etl::sample();
    std::fs::remove_file(etl.path("jobs/data/planes.csv")).expect("the file goes");
    let ended = etl.run(&["run", "flights", "--output", "json"]).exits(3);
    let sources = sources(&ended);
    assert_eq!(sources["planes"]["status"], "failed");
    assert_eq!(sources["weather"]["status"], "success");
    assert_eq!(ended.json()["runs"][0]["status"], "failed");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM flights"), "27004");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'planes'"), "0");
    let log = &etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0];
    assert_eq!(log["status"], "failed");
    assert_eq!(log["data_sources_failed"], serde_json::json!(["planes"]));
}

#[test]
fn only_the_named_source_is_run() {
    let etl = Etl::sample();
    etl.run(&["run", "flights", "--source", "airlines"]).exits(0);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%\\_%' ESCAPE '\\'";
    assert_eq!(etl.warehouse().rows(sql), ["airlines"]);
    etl.run(&["run", "flights", "--source", "airline"]).exits(2).mentions("airlines");
}

#[test]
fn a_failed_check_publishes_nothing() {
    let etl = Etl::new().csv_job("airlines", "expect: {min_rows: 2, unique: [carrier]}", read("airlines.csv"));
    etl.run(&["run", "airlines"]).exits(0);
    etl.write("jobs/data/airlines.csv", "carrier,name\nAA,once\nAA,twice\n");
    etl.run(&["run", "airlines"]).exits(1).mentions("carrier");
    etl.write("jobs/data/airlines.csv", "carrier,name\nAA,once\n");
    etl.run(&["run", "airlines"]).exits(1).mentions("min_rows");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM airlines"), "16");
}

#[test]
fn no_rows_replace_rows_only_where_the_job_allows_it() {
    let etl = Etl::new().csv_job("airlines", "", read("airlines.csv"));
    etl.run(&["run", "airlines"]).exits(0);
    let etl = etl.csv_job("airlines", "", "carrier,name\n");
    etl.run(&["run", "airlines"]).exits(1).mentions("allow_empty");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM airlines"), "16");
    let etl = etl.csv_job("airlines", "allow_empty: true", "carrier,name\n");
    etl.run(&["run", "airlines"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM airlines"), "0");
}

#[test]
fn what_users_put_on_a_table_stays_through_a_full_load() {
    let etl = Etl::new().csv_job("airlines", "", read("airlines.csv"));
    etl.run(&["run", "airlines"]).exits(0);
    etl.warehouse().execute(
        "CREATE INDEX by_name ON airlines (name);
         CREATE VIEW short AS SELECT carrier FROM airlines;
         CREATE VIEW shorter AS SELECT substr(carrier, 1, 1) AS letter FROM short;
         CREATE TABLE seen (carrier TEXT);
         CREATE TRIGGER see AFTER INSERT ON airlines BEGIN INSERT INTO seen VALUES (new.carrier); END;",
    );
    let things = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name IN ('by_name', 'short', 'shorter', 'see') ORDER BY name";
    let before = etl.warehouse().rows(things);
    assert_eq!(before.len(), 4);
    etl.run(&["run", "airlines"]).exits(0);
    assert_eq!(etl.warehouse().rows(things), before);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM shorter"), "16");
}

#[test]
fn exit_codes_say_what_happened() {
    let etl = Etl::sample()
        .file("jobs/broken.yaml", "data_sources:\n  - paht: jobs/data/airlines.csv\n")
        .file("jobs/sleeping.yaml", "is_active: false\ndata_sources:\n  - path: jobs/data/airlines.csv\n")
        .file("jobs/absent.yaml", "max_retries: 0\ndata_sources:\n  - path: jobs/data/nowhere.csv\n");
    etl.run(&["--version"]).exits(0).prints(concat!("etlsched ", env!("CARGO_PKG_VERSION"), "\n")).says("");
    etl.run(&["run", "flihgts"]).exits(2).mentions("flights");
    etl.run(&["run"]).exits(2);
    etl.run(&["frobnicate"]).exits(2);
    etl.run(&["run", "broken"]).exits(4).mentions("jobs/broken.yaml:2:5").mentions("path");
    etl.run(&["validate"]).exits(4).mentions("jobs/broken.yaml:2:5");
    etl.run(&["validate", "flights"]).exits(0);
    etl.run(&["run", "sleeping"]).exits(6).mentions("is_active");
    etl.run(&["run", "sleeping", "--force"]).exits(0);
    etl.run(&["run", "absent"]).exits(1).mentions("nowhere.csv");
    etl.run(&["run", "absent", "flights"]).exits(3);
}

#[test]
fn errors_in_json_mode_are_one_object_on_stdout() {
    let etl = Etl::sample().file("jobs/broken.yaml", "data_sources:\n  - paht: jobs/data/airlines.csv\n");
    for (arguments, code, word) in
        [(vec!["run", "nobody", "-o", "json"], 2, "unknown_job"), (vec!["run", "broken", "-o", "json"], 4, "invalid")]
    {
        let ended = etl.run(&arguments).exits(code);
        let object = ended.json();
        assert_eq!(object["success"], false, "{object:#}");
        let error = object.get("error").or_else(|| object["runs"][0].get("error")).unwrap_or_else(|| panic!("no error in {object:#}"));
        assert!(error["message"].is_string() && error["code"].is_string(), "{object:#}");
        assert!(object.to_string().contains(word), "{object:#}");
    }
}

#[cfg(unix)]
mod interrupted {
    use rustix::process::{Pid, Signal, kill_process};

    use super::{Etl, read};
    use crate::etl::AtWork;

    /// A job that goes on for some seconds, and a run of it whose worker is at work.
    fn at_work() -> (Etl, AtWork) {
        let month = read("flights-2013-01.csv.gz");
        let (header, rows) = month.split_once('\n').expect("a header");
        let etl = Etl::new().csv_job("long", "null_values: [\"NA\"]", format!("{header}\n{}", rows.repeat(10)));
        let run = etl.start("long");
        (etl, run)
    }

    fn signal(run: &AtWork, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(run.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("the run is at work");
    }

    #[track_caller]
    fn ends_as_cancelled(etl: &Etl, run: AtWork, code: i32) {
        let (ended, said) = run.end();
        assert_eq!(ended, Some(code), "{said}");
        let log = etl.run(&["logs", "long", "-o", "json"]).exits(0).json();
        assert_eq!(log["logs"][0]["status"], "cancelled", "{log:#}");
        assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'long'"), "0");
        assert_eq!(etl.state().value("SELECT count(*) FROM leases"), "0");
    }

    #[test]
    fn ctrl_c_cancels_cleanly() {
        let (etl, run) = at_work();
        signal(&run, Signal::INT);
        ends_as_cancelled(&etl, run, 130);
    }

    #[test]
    fn the_sources_of_a_run_whose_process_is_gone_are_shown_as_interrupted_and_nothing_is_written() {
        let (etl, run) = at_work();
        signal(&run, Signal::KILL);
        assert_eq!(run.end().0, None);
        etl.run(&["logs", "--run", "last"]).exits(0).mentions("Status     interrupted\n").mentions("\nlong    interrupted");
        let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json()["log"].clone();
        assert_eq!((&log["status"], &log["sources"][0]["status"]), (&"failed".into(), &"failed".into()), "{log:#}");
        assert_eq!(etl.state().value("SELECT status FROM run_sources"), "running");
    }

    #[test]
    fn a_terminate_signal_cancels_cleanly() {
        let (etl, run) = at_work();
        signal(&run, Signal::TERM);
        ends_as_cancelled(&etl, run, 143);
    }

    #[test]
    fn cancel_reaches_a_run_of_another_process() {
        let (etl, run) = at_work();
        etl.run(&["cancel", "long"]).exits(0);
        ends_as_cancelled(&etl, run, 143);
    }

    #[test]
    fn a_held_lease_fails_a_manual_run_with_exit_5() {
        let (etl, run) = at_work();
        etl.run(&["run", "long"]).exits(5);
        signal(&run, Signal::TERM);
        ends_as_cancelled(&etl, run, 143);
    }
}
