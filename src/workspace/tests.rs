use std::fs;

use super::*;
use crate::plan::{DestinationKind, Mode, SourceKind};

/// A workspace in a temporary folder.
mod api;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("jobs")).unwrap();
        for (name, text) in files {
            write(&folder.path().join(name), text);
        }
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn find(&self, variables: &[(&str, &str)]) -> Result<Workspace, NoWorkspace> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Workspace::find(&self.path(), None, Environment::new(variables, 8))
    }

    fn workspace(&self) -> Workspace {
        self.find(&[]).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    set_mode(path, 0o644);
}

fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    #[cfg(not(unix))]
    let _ = (path, mode);
}

fn id(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

fn problems_of(workspace: &Workspace, job: &str) -> Vec<Problem> {
    match workspace.load(&id(job), Secrets::Left) {
        Err(NoJob::Invalid(problems)) => problems,
        Ok(loaded) => loaded.job.warnings,
        Err(NoJob::Unknown(_)) => panic!("no such job"),
    }
}

#[track_caller]
fn refuses(settings: &str, job: &str, expected: &[&str]) {
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let problems = problems_of(&folder.workspace(), "x");
    let told: Vec<String> = problems.iter().map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message)).collect();
    assert_eq!(told, expected, "{job}");
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_line_and_a_hint() {
    let job = "name: 2024\nshedule_type: daily\ntimezone: Europe/Pariss\nhour: 24\nis_active: yes\ntimeout_minutes: 5\nnotification_emails: [a@example.com]\n\
               data_sources:\n  - path: data/*.csv\n  - path: a.csv\n    columns: {types: {a: integre}, hash: [a]}\n    tables: [x]\n  - connection: erp\n    table: t\n";
    let folder = Folder::new(&[("jobs/x.yaml", job)]);
    let expected = "\
jobs/x.yaml:1:7: error: name: expected text, not 2024
  | name: 2024
  |       ^
  hint: put it in quotes
jobs/x.yaml:2:1: error: unknown key shedule_type in a job
  | shedule_type: daily
  | ^
  hint: did you mean schedule_type?
jobs/x.yaml:3:11: error: timezone: \"Europe/Pariss\" is not a time zone
  | timezone: Europe/Pariss
  |           ^
  hint: did you mean Europe/Paris?
jobs/x.yaml:4:7: error: hour: 24 is not between 0 and 23
  | hour: 24
  |       ^
jobs/x.yaml:5:12: error: is_active: expected true or false, not \"yes\"
  | is_active: yes
  |            ^
  hint: write true
jobs/x.yaml:6:1: error: unknown key timeout_minutes in a job
  | timeout_minutes: 5
  | ^
  hint: it belongs under etl_config
jobs/x.yaml:7:23: warning: notification_emails: there is no mail server to send by
  | notification_emails: [a@example.com]
  |                       ^
  hint: add smtp: {url: smtps://USER:PASSWORD@HOST, from: ADDRESS} to etlsched.yaml
jobs/x.yaml:9:5: error: a source with a pattern of files needs a name
  |   - path: data/*.csv
  |     ^
  hint: add name
jobs/x.yaml:11:26: error: types.a: \"integre\" is not a column type; the types are boolean, smallint, integer, bigint, unsigned, real, double, text, binary, date, time, time_ns, timestamp, timestamp_ns, timestamp_utc, timestamp_ns_utc, json, uuid, decimal(p,s)
  |     columns: {types: {a: integre}, hash: [a]}
  |                          ^
  hint: did you mean integer?
jobs/x.yaml:12:5: error: path and tables together
  |     tables: [x]
  |     ^
  hint: keep one of them, or make two sources
jobs/x.yaml:13:17: error: unknown connection erp
  |   - connection: erp
  |                 ^
  hint: etlsched.yaml declares no connections: add it under connections
10 errors, 1 warning";
    assert_eq!(crate::output::errors::problems(&problems_of(&folder.workspace(), "x")), expected);
}

#[test]
fn settings_of_the_job_win_over_the_defaults_and_those_over_the_built_in_ones() {
    let settings = "timezone: Europe/Paris\ndefaults:\n  failure_threshold: 3\n  hour: 4\n  etl_config: {batch_size: 100, mode: incremental, timeout_minutes: 7}\n";
    let job = "minute: 5\netl_config: {batch_size: 200}\ndata_sources:\n  - path: a.csv\n  - {path: b.csv, etl_config: {mode: full, batch_size: 300}}\n";
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let job = folder.workspace().job(&id("x")).unwrap();
    assert_eq!((job.failure_threshold, job.limits.timeout_minutes, job.limits.max_parallel_sources), (3, 7, 4));
    assert_eq!((job.schedule.describe().as_str(), job.timezone.name()), ("Daily at 04:05", "Europe/Paris"));
    let options: Vec<_> =
        job.sources.iter().map(|source| (source.options.mode, source.options.batch_size, source.options.sample_rows)).collect();
    assert_eq!(options, [(Mode::Incremental, 200, 10_000), (Mode::Full, 300, 10_000)]);
    let elsewhere = folder.find(&[("ETLSCHED_TIMEZONE", "Asia/Tokyo")]).unwrap();
    assert_eq!((elsewhere.timezone.name(), elsewhere.job(&id("x")).unwrap().timezone.name()), ("Asia/Tokyo", "Asia/Tokyo"));
}

#[test]
fn the_resolved_job_names_the_origin_of_each_value_and_shows_no_secret() {
    let settings = "hash_key: \"${KEY}\"\ndefaults: {failure_threshold: 3}\nconnections:\n  shop: {type: sqlite, path: \"${SHOP}\"}\n";
    let job = "healthcheck_url: https://hc.example/secret\ndata_sources:\n  - connection: shop\n    table: orders\n    where: \"token = '${TOKEN}'\"\n    columns: {hash: [email]}\n";
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let workspace = folder.find(&[("KEY", "hunter22"), ("SHOP", "shop.db"), ("TOKEN", "t0ps3cret")]).unwrap();
    let loaded = workspace.load(&id("x"), Secrets::Fetched).unwrap();
    let lines = crate::job::resolved::lines(&loaded, workspace.settings(), &workspace.shown(&loaded.job.file));
    let text = crate::output::resolved::text(&lines, None);
    let flat: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "name: x # built-in",
        "failure_threshold: 3 # etlsched.yaml:2",
        "healthcheck_url: \"***\" # jobs/x.yaml:1",
        "where: \"token = '${TOKEN}'\" # jobs/x.yaml:5; environment",
        "- name: orders # jobs/x.yaml:4",
        "mode: full # built-in",
        "timeout_minutes: 60 # built-in",
    ] {
        assert!(flat.iter().any(|there| there == line), "{line}\n{text}");
    }
    for secret in ["hunter22", "t0ps3cret", "hc.example"] {
        assert!(!text.contains(secret), "{text}");
    }
    let (node, faults) = crate::job::positions::parse(Origin::Job, &text);
    assert!(faults.is_empty() && node.is_some(), "{faults:?}\n{text}");
    let masker = workspace.masker_for(&loaded.job);
    assert_eq!(masker.mask("a hunter22 b t0ps3cret"), "a *** b ***");
    assert_eq!(loaded.job.variables, ["KEY", "SHOP", "TOKEN"]);
    assert_eq!(loaded.job.hash_key.as_ref().map(|key| key.expose()), Some("hunter22"));
    match &loaded.job.sources[0].kind {
        SourceKind::Sqlite(plan) => {
            assert_eq!((plan.path.clone(), plan.filter.as_deref()), (workspace.root.join("shop.db"), Some("token = 't0ps3cret'")))
        }
        SourceKind::Api(_) | SourceKind::Csv(_) | SourceKind::Mysql(_) | SourceKind::Odbc(_) | SourceKind::Postgresql(_) => {
            panic!("a sqlite source")
        }
    }
}

#[test]
fn a_missing_variable_is_told_with_its_place_only_where_a_run_needs_it() {
    let settings = "connections:\n  erp: {type: postgresql, password: \"${UNUSED}\"}\n";
    let job = "webhooks: [\"${HOOK}\"]\ndata_sources:\n  - {name: a, path: \"${DATA}/a.csv\"}\n";
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let loaded = folder.workspace().load(&id("x"), Secrets::Left).unwrap();
    let told = |problems: &[Problem]| {
        problems.iter().map(|problem| format!("{}:{}: {}", problem.file.display(), problem.line, problem.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(&loaded.job.missing_variables), ["jobs/x.yaml:3: the variable DATA is not set"]);
    let all = [
        "jobs/x.yaml:3: the variable DATA is not set",
        "jobs/x.yaml:1: the variable HOOK is not set",
        "etlsched.yaml:2: the variable UNUSED is not set",
    ];
    assert_eq!(told(&loaded.missing_variables), all);
}

#[test]
fn no_default_is_offered_for_a_variable_that_holds_a_secret() {
    let settings = "connections:\n  shop: {type: api, base_url: \"https://${HOST}\", auth: {bearer: \"${TOKEN}\"}}\nsmtp: {url: \"smtp://localhost\", from: a@b.example, username: a, password: \"${MAIL}\"}\n";
    let job = "description: \"${WHAT}\"\nwebhooks:\n  - \"${HOOK}\"\ndata_sources:\n  - {name: a, connection: shop, endpoint: /x}\n";
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let loaded = folder.workspace().load(&id("x"), Secrets::Left).unwrap();
    let mut hints: Vec<String> = loaded.missing_variables.iter().filter_map(|problem| problem.hint.clone()).collect();
    hints.sort();
    let fetched = |name: &str| {
        format!("set {name} in the environment or in .env, or write {{file: PATH}} or {{command: [PROGRAM, ARGUMENT]}} in its place")
    };
    let expected = [
        fetched("HOOK"),
        "set HOST in the environment or in .env, or write ${HOST:-default}".to_owned(),
        fetched("MAIL"),
        fetched("TOKEN"),
        "set WHAT in the environment or in .env, or write ${WHAT:-default}".to_owned(),
    ];
    assert_eq!(hints, expected);
}

#[test]
fn problems_never_show_what_a_variable_holds() {
    let job = "destination: \"${SECRET}\"\nhour: \"${SECRET}\"\ndata_sources: [{path: a.csv, name: \"a/${SECRET}\"}]\n";
    let folder = Folder::new(&[("jobs/x.yaml", job)]);
    let workspace = folder.find(&[("SECRET", "hunter22")]).unwrap();
    let text = crate::output::errors::problems(&problems_of(&workspace, "x"));
    assert!(text.ends_with("3 errors") && !text.contains("hunter22"), "{text}");
}

#[test]
fn dotenv_gives_variables_and_its_values_are_masked() {
    let folder = Folder::new(&[
        (".env", "DATA=/from/dotenv\nOTHER='hunter22'\n"),
        ("jobs/x.yaml", "data_sources: [{name: a, path: \"${DATA}/a.csv\"}]\n"),
    ]);
    set_mode(&folder.path().join(".env"), 0o600);
    let workspace = folder.workspace();
    assert_eq!(workspace.masker.mask("hunter22"), "***");
    assert!(workspace.warnings.is_empty(), "{:?}", workspace.warnings);
    let job = workspace.job(&id("x")).unwrap();
    assert!(matches!(&job.sources[0].kind, SourceKind::Csv(plan) if plan.path == "/from/dotenv/a.csv"));
}

#[cfg(unix)]
#[test]
fn files_that_everybody_can_write_are_refused_and_those_of_a_group_bring_a_warning() {
    let folder = Folder::new(&[(FILE, ""), ("jobs/x.yaml", "data_sources: [{path: a.csv}]\n"), (".env", "A=hunter22\n")]);
    let told = |problems: &[Problem]| {
        problems.iter().map(|problem| format!("{}: {:?} {}", problem.file.display(), problem.severity, problem.message)).collect::<Vec<_>>()
    };
    let workspace = folder.workspace();
    assert_eq!(told(&workspace.warnings), [".env: Warning others can read it"]);
    set_mode(&folder.path().join("jobs/x.yaml"), 0o664);
    assert_eq!(told(&problems_of(&workspace, "x")), ["jobs/x.yaml: Warning its group can write it"]);
    set_mode(&folder.path().join("jobs/x.yaml"), 0o646);
    assert_eq!(told(&problems_of(&workspace, "x")), ["jobs/x.yaml: Error everybody can write it"]);
    assert!(matches!(workspace.job(&id("x")), Err(NoJob::Invalid(_))));
    set_mode(&folder.path().join(FILE), 0o666);
    assert!(matches!(folder.find(&[]), Err(NoWorkspace::Invalid(_))));
}

#[test]
fn one_bad_file_never_stops_another_job() {
    let good = "data_sources: [{path: a.csv}]\n";
    let folder = Folder::new(&[
        ("jobs/good.yaml", good),
        ("jobs/bad.yaml", "[["),
        ("jobs/Odd.yaml", good),
        ("jobs/late.yml", good),
        ("jobs/README.md", "x"),
    ]);
    let workspace = folder.workspace();
    assert!(workspace.job(&id("good")).is_ok());
    let (jobs, problems) = workspace.jobs();
    assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["good"]);
    let files: Vec<_> = problems.iter().map(|problem| problem.file.display().to_string()).collect();
    assert_eq!(files, ["jobs/Odd.yaml", "jobs/late.yml", "jobs/bad.yaml"]);
    assert!(matches!(workspace.job(&id("goood")), Err(NoJob::Unknown(Some(near))) if near == "good"));
}

#[test]
fn a_workspace_is_found_upwards_and_its_absence_is_told() {
    let folder = Folder::new(&[("jobs/x.yaml", "data_sources: [{path: a.csv}]\n")]);
    fs::create_dir_all(folder.path().join("data/deep")).unwrap();
    let found = Workspace::find(&folder.path().join("data/deep"), None, Environment::default()).unwrap();
    assert_eq!(
        (found.root.clone(), found.state.clone()),
        (folder.path(), StateLocation::Sqlite(folder.path().join(".etlsched").join("state.db")))
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Workspace::find(&folder.path(), Some(empty.path()), Environment::default()), Err(NoWorkspace::NotFound(_))));
}

#[test]
fn impossible_combinations_are_refused_where_they_stand() {
    let sqlite = "connections: {shop: {type: sqlite, path: shop.db}, erp: {type: adbc, driver: db}}\n";
    refuses(
        sqlite,
        "data_sources: [{connection: shop, table: t, etl_config: {mode: incremental}}]\n",
        &["1:64: source t: incremental without a cursor column or a key"],
    );
    refuses(
        sqlite,
        "data_sources: [{connection: erp, table: t}]\n",
        &["1:29: connection erp is of type adbc, which is not in this version"],
    );
    refuses(sqlite, "schema: raw\ndata_sources: [{path: a.csv}]\n", &["1:1: schema: the destination is SQLite, which has no schemas"]);
    refuses(sqlite, "data_sources: [{connection: shop, custom_sql: SELECT 1}]\n", &["1:35: a source with custom_sql needs a name"]);
    refuses(sqlite, "data_sources: [{connection: shop, table: t, header: true}]\n", &["1:45: header is what only files have"]);
    refuses(
        "",
        "data_sources: [{path: a.csv}, {path: b.csv, target: A}]\n",
        &["1:53: two sources have the target A: the first is in line 1"],
    );
    refuses("", "data_sources: [{path: a.csv, target: _ETLSCHED_x}]\n", &["1:38: _ETLSCHED_x can't be a target"]);
    refuses("", "data_sources: [{path: a.csv, name: ../x}]\n", &["1:36: \"../x\" can't be the name of a source"]);
    refuses("", "data_sources: []\n", &["1:15: data_sources is empty"]);
    refuses("", "name: x\n", &["1:1: data_sources is missing"]);
    refuses("", "schedule_type: 15min\nminute: 15\ndata_sources: [{path: a.csv}]\n", &["2:9: minute: 15 is not within 15 minutes"]);
    refuses("", "schedule_type: hourly\nhour: 5\ndata_sources: [{path: a.csv}]\n", &["2:1: hour has no effect with schedule_type hourly"]);
    refuses("", "schedule_type: cron\ndata_sources: [{path: a.csv}]\n", &["1:16: schedule_type cron without a schedule"]);
    refuses(
        "",
        "schedule: 5/15 * * * *\ndata_sources: [{path: a.csv}]\n",
        &["1:11: schedule: minute: \"5/15\" has a step behind a single value"],
    );
    refuses(
        "",
        "etl_config: {custom_sql: SELECT 1}\ndata_sources: [{path: a.csv}, {path: b.csv}]\n",
        &["1:14: etl_config.custom_sql needs a job of one source; this one has 2"],
    );
}

#[test]
fn shared_sources_come_from_etlsched_yaml() {
    let settings = "connections: {shop: {type: sqlite, path: shop.db}}\ntable_prefix: raw_\ndata_sources:\n  regions: {connection: shop, table: r}\n  0190163d-8694-739b-aea5-966c26f8ad91: {connection: shop, table: orders, primary_key: id}\n";
    let settings = settings.replace("table_prefix: raw_\n", "defaults: {table_prefix: raw_}\n");
    let job = "data_sources: [{source: regions, etl_config: {batch_size: 5}}, {source: 0190163d-8694-739b-aea5-966c26f8ad91, target: o}]\n";
    let folder = Folder::new(&[(FILE, &settings), ("jobs/x.yaml", job), ("jobs/y.yaml", "data_sources: [{source: region}]\n")]);
    let workspace = folder.workspace();
    let job = workspace.job(&id("x")).unwrap();
    let sources: Vec<_> = job
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source.options.target.as_deref(), source.options.primary_key.clone()))
        .collect();
    assert_eq!(sources, [("regions", Some("raw_regions"), vec![]), ("orders", Some("o"), vec!["id".to_owned()])]);
    assert_eq!(problems_of(&workspace, "y")[0].hint.as_deref(), Some("did you mean regions?"));
    let DestinationKind::Sqlite(plan) = &job.destination.kind else { panic!("{:?}", job.destination.kind) };
    assert_eq!(plan.path, folder.path().join(".etlsched/warehouse.db"));
}

#[test]
fn fingerprints_change_with_meaning_and_not_with_spelling() {
    let fingerprints = |job: &str| {
        let folder = Folder::new(&[("jobs/x.yaml", job)]);
        let job = folder.workspace().job(&id("x")).unwrap();
        (job.fingerprint, job.schedule_fingerprint)
    };
    let plain = fingerprints("schedule_type: weekly\nday_of_week: [mon, fri]\ndata_sources: [{path: a.csv}]\n");
    let spelt = fingerprints("# comment\ndata_sources:\n  - {path: a.csv}\nday_of_week: [4, Monday]\nschedule_type: weekly\nhour: 2\n");
    let later = fingerprints("schedule_type: weekly\nday_of_week: [mon, fri]\nhour: 3\ndata_sources: [{path: a.csv}]\n");
    assert_eq!(plain.1, spelt.1);
    assert_ne!(plain.1, later.1);
    assert_ne!(plain.0, later.0);
    assert_eq!(plain.0.len(), 64);
}

/// Walks the tables: a key that works is accepted, one that doesn't exist yet is named.
#[test]
fn every_key_does_what_its_table_says() {
    use crate::job::keys::{self, Kind, Status};
    let levels = [("", &keys::JOB), ("etl_config: ", &keys::ETL_CONFIG), ("source: ", &keys::SOURCE)];
    for (start, level) in levels {
        for key in level.keys().iter().filter(|key| !matches!(key.name, "data_sources" | "etl_config")) {
            let value = match key.kind {
                Kind::Int(min, _) => (min + 1).to_string(),
                Kind::Bool => "true".to_owned(),
                Kind::Word(words) => words[0].to_owned(),
                Kind::Words(words) => format!("[{}]", words[0]),
                Kind::Zone => "UTC".to_owned(),
                Kind::Clock => "\"07:30\"".to_owned(),
                Kind::Cron => "\"0 6 * * *\"".to_owned(),
                Kind::Weekdays => "tue".to_owned(),
                Kind::MonthDays => "3".to_owned(),
                Kind::Emails => "[a@example.com]".to_owned(),
                Kind::Urls => "[\"https://example.com\"]".to_owned(),
                Kind::Secret => "\"https://example.com\"".to_owned(),
                Kind::Character => "\";\"".to_owned(),
                Kind::Map(_) | Kind::Params | Kind::TextMap | Kind::Any => "{}".to_owned(),
                _ => "abc".to_owned(),
            };
            let job = match start {
                "" => format!("{}: {value}\ndata_sources: [{{path: a.csv, name: b}}]\n", key.name),
                "source: " => format!("data_sources:\n  - {}: {value}\n", key.name),
                start => format!("{start}{{{}: {value}}}\ndata_sources: [{{path: a.csv}}]\n", key.name),
            };
            let folder = Folder::new(&[("jobs/x.yaml", &job)]);
            let problems = problems_of(&folder.workspace(), "x");
            let count = |text: String| problems.iter().filter(|problem| problem.message.starts_with(&text)).count();
            let expected = match key.status {
                Status::Works | Status::Schedule => 0,
                Status::NotYet => 1,
            };
            assert_eq!(count(format!("{} is not in this version", key.name)), expected, "{}: {problems:?}", key.name);
            assert_eq!(count("unknown key".to_owned()), 0, "{}", key.name);
            assert!(
                !problems.iter().any(|problem| problem.message.contains("expected") && problem.message.starts_with(key.name)),
                "{}: {problems:?}",
                key.name
            );
        }
    }
}

#[test]
fn sources_by_the_thousand_cost_no_more_than_their_first_problems() {
    let declared: String = (0..2000).map(|number| format!("  reg{number}: {{path: x}}\n")).collect();
    let job = format!("data_sources:\n{}", "- source: rag\n".repeat(900));
    let folder = Folder::new(&[(FILE, &format!("data_sources:\n{declared}")), ("jobs/x.yaml", &job)]);
    let problems = problems_of(&folder.workspace(), "x");
    assert_eq!(problems.len(), 101);
    assert!(problems.iter().any(|problem| problem.message == "more than 100 problems: the rest are not listed"));
}

#[test]
fn a_path_around_a_name_does_not_hide_what_was_meant() {
    let folder = Folder::new(&[(FILE, ""), ("jobs/rows.yaml", ""), ("jobs/daily_sales.yaml", "")]);
    let workspace = folder.workspace();
    for given in ["jobs/rows", "rows.yaml", "./jobs/rows.yaml", "jobs\\rows.yml", "row", "other/rows/"] {
        assert_eq!(workspace.nearest(given).as_deref(), Some("rows"), "{given}");
    }
    assert_eq!(workspace.nearest("jobs/customers.yaml"), None);
}

#[test]
fn a_type_that_braces_cut_is_told_with_its_remedy() {
    let job = "data_sources: [{path: a.csv, columns: {types: {a: decimal(12,2), b: decimal(0)}}}]\n";
    let folder = Folder::new(&[(FILE, ""), ("jobs/x.yaml", job)]);
    let problems = problems_of(&folder.workspace(), "x");
    let hints: Vec<Option<&str>> = problems.iter().map(|problem| problem.hint.as_deref()).collect();
    assert_eq!(hints, [Some("quote it: \"decimal(12,2)\""), None], "{problems:#?}");
}

#[test]
fn a_job_has_at_most_a_thousand_sources() {
    let job = format!("data_sources:\n{}", "- path: a.csv\n".repeat(1001));
    refuses("", &job, &["1002:3: more than 1000 sources in one job"]);
}

#[test]
fn variables_without_values_are_listed_up_to_a_limit() {
    let tags: String = (0..300).map(|number| format!("- ${{V{number}}}\n")).collect();
    let folder = Folder::new(&[(FILE, ""), ("jobs/x.yaml", &format!("tags:\n{tags}data_sources: [{{path: a.csv}}]\n"))]);
    assert_eq!(folder.workspace().load(&id("x"), Secrets::Left).unwrap().job.missing_variables.len(), 100);
}

#[test]
fn the_owner_to_trust_comes_from_the_process_alone() {
    let folder = Folder::new(&[(FILE, ""), (".env", "ETLSCHED_TRUSTED_OWNER=nobody\n")]);
    set_mode(&folder.path().join(".env"), 0o600);
    assert!(folder.find(&[]).is_ok(), ".env says nothing about owners");
    assert!(matches!(folder.find(&[("ETLSCHED_TRUSTED_OWNER", "nobody")]), Err(NoWorkspace::Invalid(problems)) if problems.len() == 1));
    assert!(folder.find(&[("ETLSCHED_TRUSTED_OWNER", "1001")]).is_ok());
}
