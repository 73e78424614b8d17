//! What commands print: no secrets, errors as one JSON object, every listing as CSV.

use crate::etl::Etl;

/// A job whose every text is made of a variable, with a row that is rejected.
fn made_of_a_secret() -> Etl {
    let job = "name: Sales ${TOKEN}\ndescription: for ${TOKEN}\ntags: [\"${TOKEN}\"]\ntable_prefix: \"${TOKEN}_\"\ndata_sources:\n  \
               - {name: \"${TOKEN}\", path: \"data/${TOKEN}.csv\", primary_key: [id], columns: {types: {id: integer}}}\n  \
               - {path: \"data/of-${TOKEN}.csv\"}\n";
    Etl::new()
        .env("TOKEN", "hunter2-token")
        .file("jobs/sales.yaml", job)
        .file("data/hunter2-token.csv", "id,item\n1,a\nx,b\n")
        .file("data/of-hunter2-token.csv", "id\n7\n")
}

#[test]
fn a_secret_in_the_texts_of_a_job_is_never_printed() {
    let etl = made_of_a_secret();
    let check = |arguments: &[&str], code: i32| {
        for format in ["table", "json", "csv"] {
            let ended = etl.run(&[arguments, &["-o", format]].concat()).exits(code);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!said.contains("hunter2"), "{arguments:?} -o {format}:\n{said}");
        }
    };
    let listings: [&[&str]; 17] = [
        &["check"],
        &["check", "--nagios"],
        &["metrics"],
        &["list"],
        &["list", "--tag", "hunter2-token"],
        &["show", "sales"],
        &["show", "sales", "--resolved"],
        &["validate", "--online"],
        &["logs"],
        &["logs", "--run", "last"],
        &["status"],
        &["stats"],
        &["stats", "sales"],
        &["source", "list"],
        &["source", "test", "sales"],
        &["source", "preview", "sales"],
        &["state", "show"],
    ];
    check(&["run", "sales", "-v"], 0);
    check(&["run", "sales", "--log-format", "json"], 0);
    check(&["run", "sales", "--dry-run"], 0);
    check(&["run", "sales", "--source", "nobody"], 2);
    check(&["source", "test", "sales", "nobody"], 2);
    check(&["state", "reset", "sales", "--source", "nobody", "--yes"], 2);
    check(&["state", "reset", "sales", "--source", "hunter2-token", "--yes"], 0);
    listings.iter().for_each(|arguments| check(arguments, 0));
    std::fs::remove_file(etl.path("data/hunter2-token.csv")).expect("the file goes");
    check(&["run", "sales"], 3);
    check(&["logs", "--run", "last"], 0);
    let good = std::fs::read_to_string(etl.path("jobs/sales.yaml")).expect("the job");
    etl.write("jobs/sales.yaml", format!("{good}nonsense: 1\n"));
    check(&["logs"], 0);
    check(&["logs", "--run", "last"], 0);
    check(&["validate"], 4);
    etl.write("jobs/sales.yaml", good);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM \"hunter2-token_hunter2-token\""), "1");
    etl.run(&["list", "-o", "csv"]).exits(0).mentions("\nsales,Sales ***,");
    etl.run(&["source", "list", "sales"]).exits(0).mentions("data/***.csv");
    let shown = etl.run(&["show", "sales", "-o", "json"]).exits(0).json()["job"].clone();
    assert_eq!((&shown["name"], &shown["description"], &shown["tags"][0]), (&"Sales ***".into(), &"for ***".into(), &"***".into()));
    assert_eq!((&shown["data_sources"][0]["name"], &shown["data_sources"][1]["target"]), (&"***".into(), &"***_of-***".into()));
}

#[test]
fn source_list_shows_urls_without_login_and_query() {
    let sources = "data_sources:\n  - {name: plain, path: \"https://etl:hunter2@example.org/a.csv?token=hunter2\"}\n";
    let etl = Etl::new().file("jobs/web.yaml", sources);
    etl.run(&["source", "list", "-o", "csv"]).exits(0).prints("job,source,type,reads,mode\nweb,plain,csv,https://example.org/a.csv,full\n");
}

#[test]
fn wrong_usage_in_json_mode_is_one_object_on_stdout() {
    let etl = Etl::new();
    let check = |arguments: &[&str], message: &str, hint: &str| {
        let ended = etl.run(arguments).exits(2).says("");
        let error = serde_json::json!({"code": "usage", "message": message, "hint": hint, "location": null});
        assert_eq!(ended.json(), serde_json::json!({"success": false, "error": error}), "{arguments:?}");
    };
    check(&["lst", "-o", "json"], "unrecognized subcommand 'lst'", "a similar subcommand exists: 'list'");
    check(
        &["show", "--output=json"],
        "the following required arguments were not provided: <JOB>",
        "usage: etlsched show --output <FORMAT> <JOB>",
    );
    check(&["run", "--output=json"], "run: no job is named", "there are none yet: etlsched create --help");
    check(&["-ojson"], "a subcommand is missing", "see: etlsched --help");
    check(
        &["logs", "--page", "0", "-o", "json"],
        "invalid value '0' for '--page <N>': 0 is not in 1..18446744073709551615",
        "see: etlsched --help",
    );
    let told = Etl::new().env("ETLSCHED_OUTPUT", "json").run(&["list", "--nonsense"]).exits(2).says("").json();
    assert_eq!(told["error"]["message"], "unexpected argument '--nonsense' found");
    etl.run(&["list", "--nonsense"]).exits(2).prints("").mentions("error: unexpected argument '--nonsense' found");
    etl.run(&["--version", "-o", "json"]).exits(0).mentions("etlsched ");
}

#[test]
fn a_listing_without_a_single_good_job_ends_with_exit_4_and_says_why() {
    let etl = Etl::new().file("jobs/broken.yaml", "data_sources: 7\n");
    etl.run(&["list"]).exits(4).prints("").mentions("jobs/broken.yaml:1:15");
    let object = etl.run(&["list", "-o", "json"]).exits(4).json();
    assert_eq!((&object["success"], &object["error"]["code"]), (&false.into(), &"invalid".into()), "{object:#}");
    let etl = etl.csv_job("good", "", "a\n1\n");
    etl.run(&["list", "-o", "csv"]).exits(0).mentions("\ngood,good,").mentions("jobs/broken.yaml: left out");
    Etl::new().run(&["list"]).exits(0).says("no jobs\n");
}

#[test]
fn a_job_that_is_created_is_in_the_audit_trail_and_one_that_is_refused_is_not() {
    let etl = Etl::new();
    let create = ["create", "sales", "--path", "data/sales.csv", "--schedule-type", "weekly", "--day-of-week", "mon"];
    etl.run(&create).exits(0).prints("wrote jobs/sales.yaml: Weekly on Monday at 02:00 (UTC)\n");
    let audited = || etl.state().rows("SELECT action, job, details FROM audit ORDER BY at, id");
    assert_eq!(audited(), ["create|sales|jobs/sales.yaml"]);
    etl.run(&create).exits(2).mentions("exists already");
    etl.run(&["create", "other", "--path", "x.csv", "--schedule", "daily", "--hour", "24"]).exits(4);
    assert_eq!(audited().len(), 1);
}

#[test]
fn names_that_steer_terminals_or_the_reading_order_are_refused_without_being_printed() {
    for (key, code) in [("target", "\\u202e"), ("target", "\\u200f"), ("target", "\\e[2J"), ("name", "\\u2066"), ("name", "\\a")] {
        let etl = Etl::new().csv_job("rows", &format!("{key}: \"x{code}y\""), "a\n1\n");
        let ended = etl.run(&["validate"]).exits(4).mentions("can't be");
        let is_steering = |character: char| character != '\n' && etlsched::text::is_steering(character);
        assert!(!ended.stderr.chars().any(is_steering), "{key} {code}: {:?}", ended.stderr);
    }
}

/// Every listing that product texts promise as CSV: a header and rows of as many fields.
#[test]
fn every_listing_is_csv_with_as_many_fields_in_a_row_as_in_its_header() {
    let etl = Etl::new().csv_job("rows", "", "id,item\n1,\"a,b\"\n2,\"c\nd\"\n");
    let listings: [&[&str]; 14] = [
        &["run", "rows"],
        &["list"],
        &["show", "rows"],
        &["logs"],
        &["logs", "--run", "last"],
        &["stats"],
        &["stats", "rows"],
        &["source", "list"],
        &["source", "test", "rows"],
        &["source", "schema", "rows"],
        &["source", "preview", "rows"],
        &["state", "show"],
        &["pause", "rows"],
        &["run", "rows", "--dry-run", "--force"],
    ];
    for arguments in listings {
        let ended = etl.run(&[arguments, &["-o", "csv"]].concat()).exits(0);
        let mut reader = csv::Reader::from_reader(ended.stdout.as_bytes());
        let header = reader.headers().expect("a header").clone();
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert!(!header.is_empty() && !rows.is_empty(), "{arguments:?}: {}", ended.stdout);
    }
    etl.run(&["status", "-o", "csv"]).exits(0).prints("job,run,running,source,phase,rows,rows/s,read,left,sources\n");
}
