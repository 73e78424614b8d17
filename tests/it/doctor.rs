//! `doctor`: what it says of a sound installation, and each fault planted. It changes nothing, prints no secret and never hangs.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::etl::{Ended, Etl};
use crate::install::fake::Machine;
use crate::owners::{NOBODY, Shared, is_root};
use crate::servers;

/// A machine with a scheduler and a sound workspace that has run.
fn machine() -> Machine {
    let etl = Etl::new().csv_job("sales", "", "id\n1\n2\n");
    etl.write("jobs/sales.yaml", "schedule_type: daily\ndata_sources:\n  - path: jobs/data/sales.csv\n");
    let machine = Machine::bare(etl);
    machine.etl.run(&["run", "sales"]).exits(0);
    machine
}

/// Runs `doctor -o json` and returns its findings.
#[track_caller]
fn findings(etl: &Etl, arguments: &[&str], code: i32) -> Vec<Value> {
    let json = etl.run(&[&["doctor", "-o", "json"], arguments].concat()).exits(code).json();
    assert_eq!(json["success"], code == 0, "{json:#}");
    json["checks"].as_array().expect("checks").clone()
}

/// Demands a finding whose text and remedy hold these words.
#[track_caller]
fn holds(findings: &[Value], check: &str, status: &str, words: &[&str]) {
    let is_it = |finding: &&Value| {
        let text = format!("{}: {}\n{}", finding["subject"], finding["found"], finding["remedy"]);
        finding["check"] == check && finding["status"] == status && words.iter().all(|word| text.contains(word))
    };
    let told: Vec<String> = findings.iter().map(Value::to_string).collect();
    assert!(findings.iter().any(|finding| is_it(&finding)), "no {check} {status} {words:?} in\n{}", told.join("\n"));
}

/// What differs from machine to machine: the checks of the machine itself, its user and times.
fn steady(text: &str) -> String {
    let is_steady = |line: &&str| {
        let check = line.split_whitespace().nth(1).unwrap_or_default();
        let words = ["remedy:", "kept", "set here and not so", "you are"];
        !["versions", "clock", "disk"].contains(&check) && !words.iter().any(|word| line.contains(word)) && !line.contains(" ok, ")
    };
    let lines = text.lines().filter(is_steady).map(|line| match line.rsplit_once(" (") {
        Some((start, end)) if end.ends_with(" s)") => format!("{start} (# s)\n"),
        _ => format!("{line}\n"),
    });
    let text: String = lines.collect();
    text.replace("__", "").replace("/workspace_", "/workspace")
}

const SOUND: &str = "\
ok       workspace    /workspace, without etlsched.yaml
ok       workspace    jobs: 1 file, it is valid
ok       store        /workspace/.etlsched/state.db: its tables are those of this version
ok       store        writes: it takes them
ok       store        runs: none was left open by a process that died
ok       store        integrity: the file is sound
ok       connections  warehouse (destination): /workspace/.etlsched/warehouse.db: writable; job sales has loaded 1 table (# s)
ok       connections  without a name: 1 source of files and URLs reached
skipped  drivers      no valid job needs an ODBC driver
warn     scheduler    no job has an entry on this host, and 1 job should be started
skipped  mail         server: no job sends mails, and etlsched.yaml names no mail server
ok       mail         outbox: nothing waits in it
ok       permissions  files: etlsched.yaml, .env and job files are for their owner to write, and secrets for nobody else to read
ok       permissions  .etlsched: what is in it is for those who run the jobs
ok       environment  variables: 0 variables of the files have values here
ok       environment  under cron: no variable is missing there; its PATH is /usr/bin:/bin
";

#[test]
fn a_sound_workspace_is_told_line_by_line_and_nothing_is_changed() {
    let machine = machine();
    std::fs::remove_file(machine.etl.path("machine/calls")).ok();
    let before = machine.etl.listing();
    let ended = machine.etl.run(&["doctor"]).exits(0);
    assert_eq!(steady(&ended.stdout), SOUND, "{}", ended.stdout);
    for check in ["versions     etlsched: ", "versions     sqlite: 3.", "clock        zone: ", "disk         .etlsched: "] {
        assert!(ended.stdout.contains(check), "{check}\n{}", ended.stdout);
    }
    std::fs::remove_file(machine.etl.path("machine/calls")).ok();
    assert_eq!(machine.etl.listing(), before, "doctor changed something");
    let quiet = machine.etl.run(&["doctor", "--quiet"]).exits(0);
    assert!(quiet.stdout.lines().all(|line| line.starts_with("warn") || line.trim_start().starts_with("remedy: ")), "{}", quiet.stdout);
}

#[test]
fn a_workspace_without_a_store_gets_none() {
    let etl = Etl::new().csv_job("sales", "", "id\n1\n");
    let before = etl.listing();
    let found = findings(&etl, &[], 0);
    holds(&found, "store", "ok", &["not made yet; the first run makes it"]);
    holds(&found, "connections", "ok", &["warehouse (destination)", "not made yet; the first load makes it"]);
    assert_eq!(etl.listing(), before);
}

#[test]
fn json_and_csv_hold_every_finding() {
    let machine = machine();
    let json = machine.etl.run(&["doctor", "-o", "json"]).exits(0).json();
    let checks = json["checks"].as_array().expect("checks");
    let keys: BTreeSet<&str> = checks[0].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["check", "found", "remedy", "status", "subject"]));
    assert_eq!((&json["success"], &json["as_cron"]), (&Value::from(true), &Value::from(false)));
    let counted: i64 = ["ok", "warn", "fail", "skipped"].iter().map(|word| json["counts"][word].as_i64().expect("a number")).sum();
    assert_eq!(counted, checks.len() as i64);
    let csv = machine.etl.run(&["doctor", "-o", "csv"]).exits(0);
    assert!(csv.stdout.starts_with("check,subject,status,found,remedy\nworkspace,,ok,"), "{}", csv.stdout);
    assert!(
        checks
            .iter()
            .filter(|finding| finding["status"] != "ok")
            .all(|finding| finding["status"] != "warn" || finding["remedy"].is_string())
    );
}

#[test]
fn a_job_that_is_not_there_and_a_folder_that_is_no_workspace_are_told() {
    machine().etl.run(&["doctor", "slaes"]).exits(2).mentions("unknown job slaes").mentions("did you mean sales?");
    let etl = Etl::new();
    std::fs::remove_dir(etl.path("jobs")).expect("an empty folder");
    let found = findings(&etl, &[], 10);
    holds(&found, "workspace", "fail", &["no workspace", "etlsched init"]);
    holds(&found, "store", "skipped", &["no valid workspace"]);
    holds(&found, "versions", "ok", &[env!("CARGO_PKG_VERSION")]);
    let found = findings(&Etl::new().file("etlsched.yaml", "timezone: Nowhere\n"), &[], 10);
    holds(&found, "workspace", "fail", &["etlsched.yaml:1", "Nowhere"]);
}

#[test]
fn a_broken_job_file_is_named_and_its_control_characters_do_nothing() {
    let machine = machine();
    machine.etl.write("jobs/broken.yaml", "schedule_type: dialy\ndata_sources:\n  - path: x.csv\n");
    let found = findings(&machine.etl, &[], 10);
    holds(&found, "workspace", "fail", &["1 of 2 files with errors", "jobs/broken.yaml:1", "dialy", "etlsched validate"]);
    machine.etl.write("jobs/broken.yaml", "schedule_type: \"da\\e[2Jly\"\ndata_sources:\n  - path: x.csv\n");
    let ended = machine.etl.run(&["doctor"]).exits(10);
    assert!(!ended.stdout.contains('\u{1b}') && ended.stdout.contains("fail     workspace"), "{}", ended.stdout);
    holds(&findings(&machine.etl, &["sales"], 0), "workspace", "ok", &["1 file"]);
}

/// A workspace whose job reads a PostgreSQL server on this port.
fn reading(port: u16) -> Etl {
    let connection = format!("type: postgresql, host: 127.0.0.1, port: {port}, database: etl, user: etl, password: \"${{PG_PASSWORD}}\"");
    Etl::new()
        .env("PG_PASSWORD", "hunter-of-22")
        .file("etlsched.yaml", format!("connections:\n  erp: {{{connection}}}\n"))
        .file("jobs/a.yaml", "schedule_type: manual\ndata_sources:\n  - {connection: erp, table: t}\n")
        .file("jobs/b.yaml", "schedule_type: manual\ndata_sources:\n  - {connection: erp, table: t, name: other, target: other}\n")
}

#[test]
fn a_server_that_refuses_and_one_that_never_answers_fail_within_the_limit_and_one_connection_is_one_line() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let etl = reading(silent.local_addr().expect("an address").port());
    let began = std::time::Instant::now();
    let found = findings(&etl, &["--timeout", "2"], 10);
    assert!(began.elapsed() < std::time::Duration::from_secs(90), "it waited {:?}", began.elapsed());
    holds(&found, "connections", "fail", &["\"erp\"", "no answer within 2 s", "etlsched source test a"]);
    let lines = found.iter().filter(|finding| finding["check"] == "connections" && finding["subject"] == "erp").count();
    assert_eq!(lines, 1, "two jobs use it");
    let found = findings(&etl, &["--offline"], 0);
    holds(&found, "connections", "skipped", &["\"erp\"", "--offline"]);
    let port = silent.local_addr().expect("an address").port();
    drop(silent);
    let ended = reading(port).run(&["doctor"]).exits(10).mentions("fail     connections  erp: ").mentions("refused");
    assert!(!ended.stdout.contains("hunter"), "{}", ended.stdout);
}

#[test]
fn a_driver_that_is_missing_is_named_with_how_to_install_one() {
    let etl = Etl::new()
        .file("etlsched.yaml", "connections:\n  old: {type: odbc, driver: No Such Driver, host: 127.0.0.1}\n")
        .file("jobs/a.yaml", "schedule_type: manual\ndata_sources:\n  - {connection: old, table: t}\n");
    let found = findings(&etl, &[], 10);
    holds(&found, "drivers", "fail", &["no ODBC driver is called No Such Driver", "apt-cache search odbc"]);
    holds(&found, "connections", "fail", &["\"old\"", "No Such Driver"]);
}

#[test]
fn what_is_set_here_alone_is_missing_under_cron_and_what_works_only_here_is_named() {
    let job = "schedule_type: daily\ndata_sources:\n  - name: s\n    path: \"${DATA_FOLDER}/a.csv\"\n    target: t\n";
    let etl = Etl::new().file("jobs/a.yaml", job).file("in/a.csv", "id\n1\n");
    let folder = etl.path("in").display().to_string();
    let machine = Machine::bare(etl.env("DATA_FOLDER", &folder).env("ODBCSYSINI", "/nowhere"));
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "environment", "warn", &["under cron", "DATA_FOLDER", "needed by a", "crontab_environment"]);
    holds(&found, "environment", "warn", &["ODBCSYSINI"]);
    // Once the crontab starts the job, it will fail by it.
    machine.schedule(&["install", "--yes"]).exits(0);
    let found = machine.etl.run(&["doctor", "-o", "json"]).json();
    holds(found["checks"].as_array().expect("checks"), "environment", "fail", &["under cron", "DATA_FOLDER"]);

    let ended = machine.etl.run(&["doctor", "--as-cron"]).exits(10);
    ended.mentions("fail     environment  variables: job a: ").mentions("only under cron: environment variables: job a: ");
    let json = machine.etl.run(&["doctor", "--as-cron", "-o", "json"]).exits(10).json();
    assert_eq!(json["as_cron"], true);
    let only: Vec<&str> = json["only_under_cron"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert!(only.iter().any(|line| line.starts_with("connections a, source s: job a can't be resolved here")), "{only:#?}");

    // A value in .env holds in both places.
    machine.etl.write(".env", format!("DATA_FOLDER={folder}\n"));
    std::fs::set_permissions(machine.etl.path(".env"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let json = machine.etl.run(&["doctor", "--as-cron", "-o", "json"]).json();
    let only: Vec<&str> = json["only_under_cron"].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert!(only.iter().all(|line| !line.contains("DATA_FOLDER") && !line.starts_with("connections")), "{only:#?}");
    holds(json["checks"].as_array().expect("checks"), "connections", "ok", &["1 source of files and URLs reached"]);
}

#[test]
fn variables_of_the_crontab_are_those_of_its_jobs() {
    let job = "schedule_type: daily\ndata_sources:\n  - name: s\n    path: \"${DATA_FOLDER}/a.csv\"\n    target: t\n";
    let etl = Etl::new().file("jobs/a.yaml", job).file("in/a.csv", "id\n1\n");
    let folder = etl.path("in").display().to_string();
    let machine = Machine::bare(etl.env("DATA_FOLDER", &folder)).with_crontab(format!("DATA_FOLDER={folder}\n0 0 * * * /x\n"));
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "environment", "ok", &["under cron", "no variable is missing there"]);
    machine.etl.write("machine/spool", "0 0 * * * /x\n");
    machine.etl.write("etlsched.yaml", format!("crontab_environment: {{DATA_FOLDER: \"{folder}\", PATH: /opt/bin:/bin}}\n"));
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "environment", "ok", &["under cron", "no variable is missing there; its PATH is /opt/bin:/bin"]);
}

#[test]
fn what_pam_gives_to_cron_holds_there_and_the_crontab_wins_over_it() {
    let job = "schedule_type: daily\ndata_sources:\n  - name: s\n    path: \"${DATA_FOLDER}/a.csv\"\n    target: t\n";
    let etl = Etl::new().file("jobs/a.yaml", job).file("in/a.csv", "id\n1\n");
    let folder = etl.path("in").display().to_string();
    let machine = Machine::bare(etl.env("DATA_FOLDER", &folder)).with_crontab("0 0 * * * /x\n");
    machine.etl.write("etc/pam.d/cron", "@include common-auth\nsession required pam_env.so\n");
    let look = |environment: &str| {
        machine.etl.write("etc/environment", environment);
        let inner = machine.etl.command(&["doctor", "--as-cron", "-o", "json"]);
        let script = "mount --bind etc/pam.d /etc/pam.d && mount --bind etc/environment /etc/environment && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(machine.etl.path(""));
        let output = command.stdin(Stdio::null()).output().expect("unshare is installed: apt-get install util-linux");
        Ended::new(&machine.etl, &["doctor", "--as-cron"], output).json()["checks"].as_array().expect("checks").clone()
    };
    let absent = look("# nothing\n");
    holds(&absent, "environment", "fail", &["variables", "DATA_FOLDER is not set"]);
    let given = look(&format!("export DATA_FOLDER=\"{folder}\"\nPATH=/of/pam\nHOME=/of/pam\n"));
    holds(&given, "environment", "ok", &["1 variable of the files have values here"]);
    holds(&given, "environment", "ok", &["its PATH is /usr/bin:/bin"]);
    machine.etl.write("machine/spool", "DATA_FOLDER=/nowhere\n0 0 * * * /x\n");
    let overridden = look(&format!("DATA_FOLDER={folder}\n"));
    holds(&overridden, "connections", "fail", &["open ***/a.csv: no such file"]);
    holds(&overridden, "environment", "warn", &["other values there than here: DATA_FOLDER"]);
}

#[test]
fn modes_that_let_others_in_are_told_with_the_command_that_mends_them() {
    let machine = machine();
    let mode = |path: &str, mode: u32| {
        std::fs::set_permissions(machine.etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    machine.etl.write(".env", "A=some-value\n");
    mode(".env", 0o644);
    mode("jobs/sales.yaml", 0o664);
    mode(".etlsched/state.db", 0o644);
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "permissions", "warn", &[".env", "others can read it", "chmod 600 .env"]);
    holds(&found, "permissions", "warn", &["jobs/sales.yaml", "its group can write it", "chmod g-w jobs/sales.yaml"]);
    holds(&found, "permissions", "warn", &["others can read .etlsched/state.db", "chmod 600 .etlsched/state.db"]);
    mode(".etlsched", 0o755);
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "permissions", "warn", &["others can look into .etlsched", "chmod -R go= .etlsched"]);
    mode("jobs/sales.yaml", 0o666);
    let found = findings(&machine.etl, &[], 10);
    holds(&found, "permissions", "fail", &["everybody can write it", "chmod o-w jobs/sales.yaml"]);
}

#[test]
fn a_warehouse_that_can_t_be_written_is_shared_or_given_back_its_mode_and_never_taken() {
    if !is_root() {
        return; // other users can't be had
    }
    let settings = "connections: {lake: {type: sqlite, path: data/lake.db}}\ndestination: lake\n";
    let shared = Shared::new(Etl::new().csv_job("sales", "", "id\n1\n").file("etlsched.yaml", settings).file("data/keep", ""));
    shared.etl.run(&["run", "sales"]).exits(0);
    let mode = |path: &str, mode: u32| {
        std::fs::set_permissions(shared.etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode("data", 0o777);
    mode("data/lake.db", 0o644);
    let look = || shared.run_as(NOBODY, NOBODY.id, &["doctor", "-o", "json"]).json()["checks"].as_array().expect("checks").clone();
    let found = look();
    holds(&found, "connections", "fail", &["/data/lake.db can't be written by nobody", "share it with a group of yours: chmod g+rw "]);
    assert!(found.iter().all(|finding| !finding["remedy"].to_string().contains("chown")), "{found:#?}");
    let lake = shared.etl.path("data/lake.db");
    std::os::unix::fs::chown(&lake, Some(NOBODY.id), None).expect("root may");
    mode("data/lake.db", 0o444);
    holds(&look(), "connections", "fail", &["can't be written by nobody", &format!("chmod u+rw {}", lake.display())]);
}

#[test]
fn a_store_of_a_newer_program_one_that_is_damaged_and_one_that_is_none_are_told_apart() {
    let machine = machine();
    let state = machine.etl.state();
    let damage = |name: &str| std::fs::copy(machine.etl.path(".etlsched/state.db"), machine.etl.path(name)).expect("a copy");
    state.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    damage("kept.db");
    state.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    holds(&findings(&machine.etl, &[], 10), "store", "fail", &["made by a newer etlsched", "99990101000000", "use a newer etlsched"]);
    state.execute("DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'");
    let last = state.value("SELECT max(version) FROM __diesel_schema_migrations");
    state.execute(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{last}'; PRAGMA wal_checkpoint(TRUNCATE)"));
    drop(state);
    let before = machine.etl.listing();
    let found = findings(&machine.etl, &[], 0);
    holds(&found, "store", "warn", &["made by an older etlsched", "applies 1 migration"]);
    let stores = |listing: &[(std::path::PathBuf, Option<Vec<u8>>)]| {
        listing.iter().filter(|(path, _)| path.to_string_lossy().contains("state.db")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(stores(&machine.etl.listing()), stores(&before), "no migration was applied");
    // The tables' own pages are overwritten behind the first.
    let mut bytes = std::fs::read(machine.etl.path("kept.db")).expect("a store");
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    for byte in bytes.iter_mut().skip(page).skip(page / 2).step_by(3) {
        *byte ^= 0x5a;
    }
    std::fs::write(machine.etl.path(".etlsched/state.db"), &bytes).expect("a damaged store");
    holds(&findings(&machine.etl, &[], 10), "store", "fail", &["damaged", "restore it from a backup"]);
    std::fs::write(machine.etl.path(".etlsched/state.db"), vec![b'x'; 8192]).expect("a file");
    holds(&findings(&machine.etl, &[], 10), "store", "fail", &["not a SQLite database", "move the file away"]);
}

#[test]
fn a_run_that_was_left_open_is_told_as_one_that_mends_itself() {
    let machine = machine();
    let state = machine.etl.state();
    state.execute("UPDATE runs SET status = 'running', completed_at = NULL");
    drop(state);
    holds(&findings(&machine.etl, &[], 0), "store", "warn", &["1 run left open", "the job's next run closes them"]);
}

#[test]
fn a_disk_without_room_fails_and_one_that_is_read_only_too() {
    let etl = Etl::new().csv_job("sales", "", "id\n1\n");
    std::fs::create_dir(etl.path(".etlsched")).expect("a folder");
    let look = |options: &str| {
        let inner = etl.command(&["doctor", "-o", "json"]);
        let script = format!("mount -t tmpfs -o {options} none .etlsched && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(etl.path(""));
        let output = command.stdin(Stdio::null()).output().expect("unshare is installed: apt-get install util-linux");
        let json = Ended::new(&etl, &["doctor"], output).exits(10).json();
        json["checks"].as_array().expect("checks").clone()
    };
    holds(&look("size=4m,mode=0700"), "disk", "fail", &["/.etlsched: 4 MiB free", "free some"]);
    holds(&look("size=400m,ro,mode=0700"), "disk", "fail", &["mounted read-only"]);
}

#[test]
fn entries_that_another_version_or_program_made_or_that_are_out_of_step_are_told() {
    let machine = machine();
    machine.schedule(&["install", "--yes"]).exits(0);
    let doctor = |machine: &Machine| {
        let json = machine.etl.run(&["doctor", "-o", "json"]).json();
        json["checks"].as_array().expect("checks").clone()
    };
    holds(&doctor(&machine), "scheduler", "ok", &["holds 1 job, as it should"]);
    let installed = String::from_utf8(machine.crontab().expect("a crontab")).expect("text");
    let version = format!("Made by etlsched {}", env!("CARGO_PKG_VERSION"));
    machine.etl.write("machine/spool", installed.replace(&version, "Made by etlsched 0.0.1"));
    let found = doctor(&machine);
    holds(&found, "scheduler", "warn", &["made by etlsched 0.0.1, and this is", "etlsched schedule sync"]);
    holds(&found, "scheduler", "warn", &["not as it should", "etlsched schedule status"]);
    machine.etl.write("machine/spool", installed.replace(env!("CARGO_BIN_EXE_etlsched"), "/nowhere/etlsched"));
    holds(&doctor(&machine), "scheduler", "fail", &["/nowhere/etlsched, which isn't there"]);
    machine.etl.write("jobs/more.yaml", "schedule_type: hourly\ndata_sources:\n  - path: jobs/data/sales.csv\n");
    machine.etl.write("machine/spool", &installed);
    holds(&doctor(&machine), "scheduler", "warn", &["holds 1 job, not as it should", "etlsched schedule sync"]);
    let denied = Machine { etl: machine.etl }.failing("denied");
    holds(&doctor(&denied), "scheduler", "fail", &["not allowed to use this program", "/etc/cron.allow"]);
}

#[test]
fn connections_of_other_users_are_not_asked_and_are_no_failure() {
    if rustix::process::geteuid().is_root() {
        // For root every connection is its own, and it says so.
        let etl = reading(1);
        let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings").replace("type:", "users: [ann], type:");
        etl.write("etlsched.yaml", settings);
        let found = findings(&etl, &[], 10);
        holds(&found, "connections", "fail", &["\"erp\"", "refused"]);
        holds(&found, "permissions", "ok", &["you are root", "connections of every user are yours"]);
        // As somebody else it is left alone. The program and the workspace must be theirs to read.
        for (path, mode) in [(".", 0o755), ("jobs", 0o755)] {
            std::fs::set_permissions(etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let built = std::path::Path::new(env!("CARGO_BIN_EXE_etlsched"));
        let program = etl.path("etlsched");
        std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).expect("the program");
        let inner = etl.command(&["doctor", "-o", "json"]);
        let mut command = Command::new(&program);
        command.args(["doctor", "-o", "json"]).env_clear().current_dir(etl.path(""));
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        let json = Ended::new(&etl, &["doctor"], output).json();
        let found = json["checks"].as_array().expect("checks").clone();
        holds(&found, "connections", "skipped", &["\"erp\"", "it is for ann (users:), not for nobody"]);
        assert!(
            found.iter().all(|finding| finding["check"] != "connections" || finding["subject"] != "erp" || finding["status"] != "fail")
        );
    } else {
        let etl = reading(1);
        let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings").replace("type:", "users: [ann], type:");
        etl.write("etlsched.yaml", settings);
        holds(&findings(&etl, &[], 0), "connections", "skipped", &["\"erp\"", "it is for ann (users:)"]);
    }
}

#[test]
fn a_store_on_a_server_tells_its_version_its_clock_and_a_pooler_in_front_of_it() {
    let server = servers::postgresql();
    servers::psql(server, "postgres", "DROP DATABASE IF EXISTS doctor");
    servers::psql(server, "postgres", "CREATE DATABASE doctor");
    let encoded: String = servers::PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let settings = |port: u16| format!("state: \"postgresql://etl:${{STATE_PASSWORD}}@127.0.0.1:{port}/doctor\"\n");
    let etl = Etl::new().env("STATE_PASSWORD", &encoded).csv_job("sales", "", "id\n1\n").file("etlsched.yaml", settings(server.port));
    holds(&findings(&etl, &[], 0), "store", "ok", &["not made yet"]);
    assert_eq!(servers::psql(server, "doctor", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0", "no store was made");
    etl.run(&["run", "sales"]).exits(0);
    let found = findings(&etl, &[], 0);
    holds(&found, "store", "ok", &["its tables are those of this version"]);
    holds(&found, "store", "ok", &["\"server\"", "PostgreSQL "]);
    holds(&found, "store", "ok", &["\"encryption\"", "stays on this host"]);
    holds(&found, "store", "ok", &["\"clock\"", "this host's"]);
    holds(&found, "store", "ok", &["\"writes\""]);
    holds(&findings(&etl, &["--offline"], 0), "store", "skipped", &["--offline"]);
    let pooler = servers::pgbouncer(server, 2);
    etl.write("etlsched.yaml", settings(pooler.port));
    holds(&findings(&etl, &[], 10), "store", "fail", &["pool_mode = transaction", "pool_mode = session"]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    etl.write("etlsched.yaml", settings(silent.local_addr().expect("an address").port()));
    holds(&findings(&etl, &["--timeout", "1"], 10), "store", "fail", &["state store postgresql://"]);
}

/// The lines that don't differ from machine to machine are those that `doctor` prints of a sound workspace.
#[test]
fn the_readme_shows_what_doctor_prints() {
    let readme = std::fs::read_to_string(crate::etl::repository().join("README.md")).expect("README.md");
    let section = readme.split_once("# The doctor\n").expect("a section").1;
    let block = section.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```")).expect("a block").0;
    let shown = steady(&block.replace("/srv/etl", "/workspace"));
    assert!(shown.lines().count() >= 6, "{shown}");
    for line in shown.lines() {
        assert!(SOUND.lines().any(|known| known == line), "README.md shows what doctor doesn't print: {line}");
    }
}

#[test]
fn a_mail_server_is_logged_in_to_and_a_wrong_password_is_told_without_it_and_no_mail_is_sent() {
    let server = servers::mail::mail_server(&serde_json::json!({"tls": "smtps", "login": ["etl", "right-password"]}));
    let settings = |password: &str| {
        format!(
            "smtp: {{url: \"smtps://localhost:{}\", from: etl@example.com, username: etl, password: \"{password}\", ca_file: \"{}\"}}\n",
            server.port(),
            server.ca_file().display()
        )
    };
    let etl = Etl::new().csv_job("sales", "", "id\n1\n").file("etlsched.yaml", settings("right-password"));
    let close = |etl: &Etl| {
        std::fs::set_permissions(etl.path("etlsched.yaml"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    };
    close(&etl);
    holds(&findings(&etl, &[], 0), "mail", "ok", &["logged in as etl", "no mail was sent"]);
    etl.write("etlsched.yaml", settings("wrong-password"));
    close(&etl);
    let ended = etl.run(&["doctor"]).exits(10).mentions("fail     mail         server: ").mentions("smtp in etlsched.yaml");
    assert!(!ended.stdout.contains("wrong-password"), "{}", ended.stdout);
    assert!(server.mails().is_empty());
    holds(&findings(&etl, &["--offline"], 0), "mail", "skipped", &["--offline"]);
    etl.write("jobs/sales.yaml", "notification_emails: [a@example.com]\ndata_sources:\n  - path: jobs/data/sales.csv\n");
    etl.write("etlsched.yaml", "");
    holds(&findings(&etl, &[], 10), "mail", "fail", &["names no mail server", "add smtp:"]);
}

#[test]
fn what_one_source_lacks_is_not_said_of_another_and_every_job_of_a_warehouse_counts() {
    let source = |name: &str| format!("  - {{name: {name}, path: jobs/data/{name}.csv}}\n");
    let etl = Etl::new().file("jobs/data/b.csv", "id\n1\n").file("jobs/data/c.csv", "id\n1\n");
    etl.write("jobs/a_refused.yaml", format!("data_sources:\n  - {{name: x, path: \"${{NOWHERE}}/x.csv\"}}\n{}", source("b")));
    etl.write("jobs/b.yaml", format!("data_sources:\n{}{}", source("b"), source("c")));
    etl.write("jobs/c.yaml", format!("data_sources:\n{}", source("c").replace("path", "target: own, path")));
    etl.run(&["run", "b"]).exits(0);
    etl.run(&["run", "c"]).exits(0);
    let found = findings(&etl, &["--offline"], 10);
    holds(&found, "connections", "fail", &["a_refused, source x", "NOWHERE"]);
    holds(&found, "connections", "skipped", &["a_refused, source b", "lacks something else", "NOWHERE"]);
    holds(&found, "connections", "ok", &["warehouse (destination)", "2 of 3 jobs have loaded 3 tables"]);
    holds(&found, "environment", "ok", &["under cron", "no more is missing there than here"]);
    let is_denied = |finding: &Value| finding["found"].as_str().is_some_and(|found| found.contains("no variable is missing"));
    assert!(!found.iter().any(is_denied), "{found:#?}");
}

#[test]
fn a_webhook_to_which_nothing_is_ever_sent_is_told_with_the_reason() {
    let etl = Etl::new().csv_job("sales", "", "id\n1\n");
    let job = "webhooks: [\"http://169.254.169.254/x\"]\ndata_sources:\n  - path: jobs/data/sales.csv\n";
    etl.write("jobs/sales.yaml", job);
    let why = "169.254.169.254 is a link-local or cloud metadata address";
    holds(&findings(&etl, &[], 10), "mail", "fail", &[why, "nothing is sent there", "name another address"]);
    etl.run(&["validate", "--online"]).exits(4).mentions(&format!("error: webhooks: {why}, to which nothing is sent"));
    etl.run(&["validate"]).exits(0);
}

#[test]
fn where_cron_can_t_mail_jobs_that_tell_nobody_are_named() {
    let machine = machine();
    machine.schedule(&["install", "--yes"]).exits(0);
    let look = || machine.etl.run(&["doctor", "--offline", "-o", "json"]).json()["checks"].as_array().expect("checks").clone();
    if ["/usr/sbin", "/usr/lib", "/usr/bin"].iter().any(|folder| std::path::Path::new(folder).join("sendmail").exists()) {
        return holds(&look(), "scheduler", "ok", &["cron mails what a failed run prints"]);
    }
    let words = ["cron can mail nothing", "failed runs of job sales", "add notification_emails or webhooks"];
    holds(&look(), "scheduler", "warn", &words);
    let job = "schedule_type: daily\nwebhooks: [\"http://127.0.0.1:9/x\"]\ndata_sources:\n  - path: jobs/data/sales.csv\n";
    machine.etl.write("jobs/sales.yaml", job);
    holds(&look(), "scheduler", "ok", &["cron can mail nothing", "tell people themselves"]);
}
