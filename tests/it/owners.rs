//! Whose jobs, connections and files these are. As root the program is run as the users `nobody` and `daemon` of a real system; else
//! what other users own is put into the store by hand.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers;

pub const NOBODY: User = User { name: "nobody", id: 65_534 };
pub const DAEMON: User = User { name: "daemon", id: 1 };

/// A group that neither of them is in by default: `games` of Debian.
pub const GAMES: u32 = 60;

#[derive(Clone, Copy)]
pub struct User {
    pub name: &'static str,
    pub id: u32,
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the name of whoever runs these tests.
fn us() -> String {
    let output = Command::new("id").arg("-un").output().expect("coreutils are installed");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// A workspace of root's that others may read, and where they may make files, with the program where all may start it.
pub struct Shared {
    pub etl: Etl,
    program: PathBuf,
}

impl Shared {
    pub fn new(etl: Etl) -> Self {
        let folder = |path: &str, mode: u32| {
            std::fs::set_permissions(etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
        };
        folder(".", 0o1777);
        folder("jobs", 0o1777);
        let program = etl.path("etlsched");
        let built = Path::new(env!("CARGO_BIN_EXE_etlsched"));
        std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).expect("the program");
        Self { etl, program }
    }

    /// Runs the program as a user, with a umask that lets everybody do everything.
    pub fn run_as(&self, user: User, group: u32, arguments: &[&str]) -> Ended {
        let plain = self.etl.command(arguments);
        let mut command = Command::new("sh");
        let line = r#"umask 0; exec "$0" "$@""#;
        command.args(["-c", line]).arg(&self.program).args(arguments).current_dir(self.etl.path(".")).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).uid(user.id).gid(group);
        command.stdin(std::process::Stdio::null());
        Ended::new(&self.etl, arguments, command.output().expect("the shell starts"))
    }
}

pub fn job() -> Etl {
    Etl::new().csv_job("sales", "primary_key: [id]\ncolumns: {types: {id: integer}}", "id,item\n1,a\nx,b\n")
}

/// A crontab of the test's own: the file `spool`.
const CRONTAB: &str = r#"#!/bin/sh
case $1 in
-l) [ -s spool ] && cat spool || { echo "no crontab for etl" >&2; exit 1; } ;;
-r) : >spool ;;
-) cat >spool ;;
esac
"#;

/// What its owner, root and admins may do with a job, and nobody else.
const REFUSED: [&[&str]; 12] = [
    &["run", "sales"],
    &["run", "sales", "--retry-failed"],
    &["run", "sales", "--force"],
    &["disable", "sales"],
    &["enable", "sales"],
    &["pause", "sales"],
    &["resume", "sales"],
    &["cancel", "sales"],
    &["delete", "sales", "--yes"],
    &["notify", "test", "sales"],
    &["state", "reset", "sales", "--source", "sales", "--yes"],
    &["create", "gone", "--path", "x.csv"],
];

/// What everybody may do who can read the store.
const ALLOWED: [&[&str]; 7] =
    [&["list"], &["show", "sales"], &["logs"], &["status"], &["audit", "sales"], &["next", "sales"], &["validate"]];

#[test]
pub fn the_job_of_another_user_can_be_looked_at_and_not_touched() {
    let shared = Shared::new(job());
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    let user = if is_root() { NOBODY.name.to_owned() } else { us() };
    run(&["create", "gone", "--path", "x.csv"]).exits(0);
    run(&["delete", "gone", "--yes"]).exits(0);
    run(&["run", "sales"]).exits(0);
    assert_eq!(shared.etl.state().rows("SELECT id, owner FROM jobs ORDER BY id"), [format!("gone|{user}"), format!("sales|{user}")]);
    REFUSED.iter().filter(|call| ["disable", "enable"].contains(&call[0])).for_each(|call| drop(run(call).exits(0)));
    shared.etl.state().execute("UPDATE jobs SET owner = 'ann'");
    let before = shared.etl.state().value("SELECT count(*) FROM audit");
    for arguments in REFUSED {
        // Nothing is told of what runs either, so that the answer is the same whether it runs.
        let ended = run(arguments);
        if arguments[0] == "cancel" {
            assert_eq!(ended.code, Some(1), "no run goes on: {}", ended.stderr);
            continue;
        }
        let job = if ["state", "notify"].contains(&arguments[0]) { arguments[2] } else { arguments[1] };
        let message = format!("error: job {job} belongs to ann, and {user} may not run, change or stop it\n");
        ended.exits(77).mentions(&message).mentions("hint: ask its owner, or be named under admins in etlsched.yaml\n");
    }
    run(&["run", "sales", "-o", "json"]).exits(77).mentions("\"not_permitted\"");
    assert_eq!(shared.etl.state().value("SELECT count(*) FROM audit"), before, "a refusal changes nothing");
    assert!(shared.etl.path("jobs/sales.yaml").is_file());
    // A run goes on, as far as the store knows.
    shared.etl.state().execute("UPDATE runs SET status = 'running', completed_at = NULL, host = 'elsewhere'");
    run(&["cancel", "sales"]).exits(77).mentions("job sales belongs to ann");
    shared.etl.state().execute("UPDATE runs SET status = 'success', completed_at = started_at");
    ALLOWED.iter().for_each(|arguments| drop(run(arguments).exits(0)));
    shared.etl.write("etlsched.yaml", format!("admins: [{user}]\n"));
    run(&["run", "sales"]).exits(0);
    run(&["disable", "sales"]).exits(0);
    if is_root() {
        shared.etl.write("etlsched.yaml", "admins: [bob]\n");
        run(&["enable", "sales"]).exits(77);
        shared.etl.run(&["enable", "sales"]).exits(0);
    }
}

#[test]
fn a_table_is_not_taken_over_from_the_job_of_another_user() {
    let shared = Shared::new(Etl::new().csv_job("hers", "target: t", "a\n1\n").csv_job("mine", "target: t", "a\n2\n"));
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    run(&["run", "hers"]).exits(0);
    let owner = shared.etl.state().value("SELECT owner FROM jobs WHERE id = 'hers'");
    shared.etl.state().execute("UPDATE jobs SET owner = 'ann' WHERE id = 'hers'");
    let take = ["state", "reset", "mine", "--source", "mine", "--take-over", "--yes"];
    run(&take).exits(77).mentions("job hers belongs to ann");
    shared.etl.state().execute(&format!("UPDATE jobs SET owner = '{owner}' WHERE id = 'hers'"));
    run(&take).exits(0);
    run(&["run", "mine"]).exits(0);
    assert_eq!(shared.etl.warehouse().rows("SELECT a FROM t"), ["2"]);
}

/// Every user's entry at the start of the host runs what is due of their own jobs.
#[test]
fn what_is_due_of_others_is_left_to_them_unless_it_is_named() {
    let shared = Shared::new(job());
    shared.etl.write("jobs/sales.yaml", "schedule_type: 15min\ncatch_up: all\ndata_sources:\n  - path: jobs/data/sales.csv\n");
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    run(&["run", "sales", "--scheduled"]).exits(0);
    let due = "schedule_noticed_at = '2020-01-01 00:00:00', active_since = '2020-01-01 00:00:00'";
    shared.etl.state().execute(&format!("UPDATE jobs SET owner = 'ann', {due}"));
    run(&["run", "sales", "--scheduled"]).exits(77).mentions("job sales belongs to ann");
    run(&["run", "--due"]).exits(0).mentions("no job is due");
    shared.etl.write("etlsched.yaml", format!("admins: [{}]\n", if is_root() { NOBODY.name.to_owned() } else { us() }));
    run(&["run", "--due"]).exits(0);
    assert_ne!(shared.etl.state().value("SELECT count(*) FROM runs"), "0");
}

#[test]
fn schedules_leave_the_jobs_of_others_out_and_refuse_those_that_are_named() {
    let etl = Etl::new();
    etl.write("jobs/mine.yaml", "schedule_type: daily\ndata_sources:\n  - path: a.csv\n");
    etl.write("jobs/hers.yaml", "schedule_type: daily\ndata_sources:\n  - path: a.csv\n");
    etl.write("bin/crontab", CRONTAB);
    etl.write("spool", "");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    let shared = Shared::new(etl.env("PATH", &path).env("TZ", "UTC"));
    std::fs::set_permissions(shared.etl.path("spool"), std::fs::Permissions::from_mode(0o666)).expect("a mode");
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    run(&["disable", "mine", "hers"]).exits(0);
    run(&["enable", "mine", "hers"]).exits(0);
    shared.etl.state().execute("UPDATE jobs SET owner = 'ann' WHERE id = 'hers'");
    run(&["schedule", "install", "hers", "--yes"]).exits(77).mentions("job hers belongs to ann");
    run(&["schedule", "install", "--yes"]).exits(0).mentions("job hers: left out, job hers belongs to ann").mentions("installed 1 job in");
    let spool = std::fs::read_to_string(shared.etl.path("spool")).expect("a crontab");
    assert!(spool.contains(" run mine ") && !spool.contains(" run hers "), "{spool}");
    // An entry of an earlier time is neither removed nor renewed.
    shared.etl.state().execute("UPDATE jobs SET owner = 'ann' WHERE id = 'mine'");
    run(&["schedule", "sync", "--yes"]).exits(0);
    assert_eq!(std::fs::read_to_string(shared.etl.path("spool")).expect("a crontab"), spool);
}

#[test]
fn a_connection_with_users_is_for_them_alone_and_nothing_opens_for_others() {
    let connection = |users: &str| format!("connections:\n  books: {{type: sqlite, path: books.db, users: {users}}}\n");
    let etl = Etl::new().file("bin/crontab", CRONTAB).file("spool", "");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    let etl = etl
        .env("PATH", &path)
        .env("TZ", "UTC")
        .file("jobs/books.yaml", "schedule_type: daily\ndata_sources:\n  - {connection: books, table: t}\n");
    rusqlite::Connection::open(etl.path("books.db"))
        .expect("a file")
        .execute_batch("CREATE TABLE t (id); INSERT INTO t VALUES (1)")
        .expect("a table");
    let shared = Shared::new(etl);
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    let user = if is_root() { NOBODY.name.to_owned() } else { us() };
    let uses: [&[&str]; 6] = [
        &["schedule", "install", "books", "--dry-run"],
        &["run", "books"],
        &["run", "books", "--dry-run"],
        &["source", "test", "books"],
        &["source", "preview", "books"],
        &["source", "schema", "books"],
    ];
    shared.etl.write("etlsched.yaml", format!("admins: [{user}]\n{}", connection("[ann, bob]")));
    for arguments in uses {
        run(arguments)
            .exits(77)
            .prints("")
            .mentions(&format!("error: job books uses connection books, which is not for {user}\n"))
            .mentions("hint: it is for ann, bob: ask them, or be named under connections.books.users in etlsched.yaml\n");
    }
    // Jobs beside it are reached all the same.
    let refused = format!("error: job books uses connection books, which is not for {user}\n");
    run(&["validate", "books", "--online"]).exits(77).mentions(&refused).prints("1 job is valid, 0 sources reached, 1 not\n");
    shared.etl.write("jobs/zebra.yaml", "data_sources:\n  - {name: zebra, path: zebra.csv}\n");
    let both = ["validate", "--online"];
    run(&both).exits(1).mentions(&refused).mentions("job zebra, source zebra: ").prints("2 jobs are valid, 0 sources reached, 2 not\n");
    shared.etl.write("zebra.csv", "id\n1\n");
    run(&both).exits(77).mentions(&refused).prints("2 jobs are valid, 1 source reached, 1 not\n");
    let json = run(&["validate", "--online", "-o", "json"]).exits(77).json();
    let sources = json["sources"].as_array().expect("a list").iter().map(|source| (&source["job"], &source["success"])).collect::<Vec<_>>();
    assert_eq!(sources, [(&"books".into(), &false.into()), (&"zebra".into(), &true.into())], "{json:#}");
    std::fs::remove_file(shared.etl.path("jobs/zebra.yaml")).expect("the job goes");
    assert!(!shared.etl.path(".etlsched/warehouse.db").exists());
    run(&["list"]).exits(0);
    shared.etl.write("etlsched.yaml", connection("[]"));
    run(&["source", "test", "books"]).exits(77).mentions("root alone may use it");
    shared.etl.write("etlsched.yaml", connection(&format!("[ann, {user}]")));
    uses.iter().for_each(|arguments| drop(run(arguments).exits(0)));
    assert_eq!(shared.etl.warehouse().value("SELECT count(*) FROM t"), "1");
    // Its job can still be deleted; the destination isn't asked.
    shared.etl.write("etlsched.yaml", connection("[ann]"));
    shared.etl.state().execute("UPDATE runs SET status = 'failed'");
    if is_root() {
        chown(shared.etl.path("jobs/books.yaml"), Some(NOBODY.id), None).expect("an owner");
    }
    run(&["delete", "books", "--yes"]).exits(0).mentions("stays there: job books uses connection books, which is not for");
}

#[test]
fn users_are_kept_for_connections_of_every_kind() {
    let kinds = [
        ("api", "base_url: \"http://127.0.0.1:9\"", "endpoint: /x"),
        ("odbc", "driver: SQLite3", "table: t"),
        ("sqlserver", "host: 127.0.0.1, port: 9, database: d, user: u", "table: t"),
        ("oracle", "host: 127.0.0.1, port: 9, service: s, user: u", "table: t"),
        ("postgresql", "host: 127.0.0.1, port: 9, database: d, user: u", "table: t"),
        ("mysql", "host: 127.0.0.1, port: 9, database: d, user: u", "table: t"),
    ];
    for (kind, fields, source) in kinds {
        let etl = Etl::new()
            .file("etlsched.yaml", format!("connections:\n  books: {{type: {kind}, {fields}, users: [ann]}}\n"))
            .file("jobs/books.yaml", format!("schedule_type: manual\ndata_sources:\n  - {{connection: books, {source}, target: t}}\n"));
        etl.run(&["validate", "books"]).exits(0);
        let shared = Shared::new(etl);
        let ended = if is_root() { shared.run_as(NOBODY, NOBODY.id, &["run", "books"]) } else { shared.etl.run(&["run", "books"]) };
        ended.exits(77).mentions("job books uses connection books, which is not for ");
    }
}

#[test]
fn no_name_leaves_the_folders() {
    let etl = job();
    let before = etl.listing();
    for name in ["../x", "..", "/etc/passwd", "a/b", ".hidden", "x y", "-x", "A", &"x".repeat(64)] {
        for call in [
            vec!["create", "--path", "x.csv", "--", name],
            vec!["run", "--", name],
            vec!["delete", "--yes", "--", name],
            vec!["disable", "--", name],
        ] {
            let ended = etl.run(&call);
            assert!(ended.code == Some(2), "{call:?}: {:?}\n{}", ended.code, ended.stderr);
        }
        assert!(matches!(etl.run(&["logs", "--run", name]).code, Some(2)), "{name}");
    }
    assert!(etl.listing() == before, "something was written");
    // Names of sources are free; their reject files stay in their run's folder.
    for (number, name) in
        ["../../../../escaped", "/etc/escaped", "..", ". .", "nul", "...escaped", "-escaped", "$(escaped)"].into_iter().enumerate()
    {
        let keys = format!("name: {}\ntarget: t{number}\ncolumns: {{types: {{id: integer}}}}", json!(name));
        let etl = Etl::new().csv_job("rows", &keys, "id\n1\nx\n");
        // Some are refused before anything is done; the others stay in.
        if etl.run(&["run", "rows"]).code == Some(4) {
            assert!(!etl.path(".etlsched/rejects").exists(), "{name}");
            continue;
        }
        let outside: Vec<_> = etl.listing().into_iter().filter(|(path, _)| path.to_string_lossy().contains("escaped")).collect();
        let rejects = etl.path(".etlsched/rejects");
        assert!(outside.iter().all(|(path, _)| path.starts_with(&rejects)), "{name}: {outside:?}");
        let run = std::fs::read_dir(&rejects).expect("rejects").next().expect("a run").expect("an entry").path();
        let files: Vec<_> = std::fs::read_dir(&run).expect("a run").map(|entry| entry.expect("an entry").path()).collect();
        assert!(files.len() == 1 && files[0].is_file() && files[0].extension().is_some_and(|end| end == "csv"), "{name}: {files:?}");
    }
}

/// Walks through every command that changes or starts a job.
#[test]
fn whatever_changes_or_starts_a_job_is_in_the_audit_trail() {
    let etl = Etl::new().file("data/a.csv", "id\n1\n");
    etl.write("bin/crontab", CRONTAB);
    etl.write("spool", "");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    let etl = etl.env("PATH", &path).env("TZ", "UTC");
    let last = || etl.run(&["audit", "-o", "json", "--page-size", "1"]).exits(0).json()["audit"][0].clone();
    let check = |arguments: &[&str], action: &str, details: &str| {
        etl.run(arguments).exits(0);
        let line = last();
        assert_eq!(
            (&line["action"], &line["job"], &line["user"]),
            (&json!(action), &json!("sales"), &json!(us())),
            "{arguments:?}: {line}"
        );
        assert!(line["details"].as_str().unwrap_or_default().contains(details), "{arguments:?}: {line}");
        assert!(line["host"].as_str().is_some_and(|host| !host.is_empty()) && line["at"].is_string(), "{line}");
        assert_eq!(line["run_id"].is_string(), action == "run", "{line}");
    };
    check(&["create", "sales", "--path", "data/a.csv", "--schedule-type", "daily"], "create", "jobs/sales.yaml");
    check(&["run", "sales"], "run", "manual");
    check(&["disable", "sales"], "disable", "active -> inactive");
    check(&["enable", "sales"], "enable", "inactive -> active");
    check(&["pause", "sales", "--until", "1h"], "pause", "active -> paused until ");
    check(&["resume", "sales"], "resume", "paused -> active");
    check(&["schedule", "install", "--yes"], "schedule install", "crontab of ");
    check(&["schedule", "remove", "--yes"], "schedule remove", "crontab of ");
    check(&["schedule", "sync", "--yes"], "schedule sync", "crontab of ");
    check(&["state", "reset", "sales", "--source", "a", "--yes"], "state reset", "source a: a");
    let text = std::fs::read_to_string(etl.path("jobs/sales.yaml")).expect("a job");
    etl.write("jobs/sales.yaml", format!("{text}description: more\n"));
    etl.run(&["run", "sales"]).exits(0);
    let lines = etl.run(&["audit", "sales", "-o", "json"]).exits(0).json();
    let edit =
        lines["audit"].as_array().expect("lines").iter().find(|line| line["action"] == "edit").expect("the edit was noticed").clone();
    assert!(edit["details"].as_str().is_some_and(|details| details.starts_with("noticed: definition ")), "{edit}");
    let edits = || etl.state().value("SELECT count(*) FROM audit WHERE action = 'edit'");
    etl.run(&["run", "sales"]).exits(0);
    assert_eq!(edits(), "1", "noticed once");
    check(&["delete", "sales", "--yes"], "delete", "jobs/sales.yaml");
    etl.run(&["audit", "sales"]).exits(0).mentions("delete");
    etl.run(&["audit", "nobody"]).exits(2).mentions("unknown job nobody");
    let server = servers::postgresql();
    servers::psql(server, "postgres", "CREATE DATABASE moved");
    let password: String = servers::PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    etl.write("etlsched.yaml", format!("state: \"postgresql://etl:{password}@127.0.0.1:{}/moved\"\n", server.port));
    etl.run(&["state", "migrate"]).exits(0);
    let line = last();
    assert_eq!((&line["action"], &line["job"], &line["user"]), (&json!("state migrate"), &Value::Null, &json!(us())), "{line}");
    assert!(line["details"].as_str().is_some_and(|details| details.contains("state.db -> postgresql://")), "{line}");
    etl.run(&["audit", "sales"]).exits(0).mentions("delete");
}

#[test]
fn a_run_that_is_cancelled_has_its_line() {
    let rows: String = (0..2_000_000).map(|number| format!("{number},some text in a row\n")).collect();
    let etl = Etl::new().csv_job("long", "", format!("id,text\n{rows}"));
    let run = etl.start("long");
    etl.run(&["cancel", "long"]).exits(0);
    assert_eq!(run.end().0, Some(143));
    let lines = etl.run(&["audit", "long", "-o", "json"]).exits(0).json();
    let of = |action: &str| lines["audit"].as_array().expect("lines").iter().find(|line| line["action"] == action).expect("a line").clone();
    assert_eq!(of("cancel")["run_id"], of("run")["run_id"]);
}

#[test]
fn the_audit_trail_has_pages_a_beginning_in_time_and_three_shapes() {
    let etl = job();
    etl.run(&["audit"]).exits(0).prints("").says("nothing was done\n");
    for _ in 0..3 {
        etl.run(&["disable", "sales"]).exits(0);
        etl.run(&["enable", "sales"]).exits(0);
    }
    let page = etl.run(&["audit", "-o", "json", "--page", "2", "--page-size", "4"]).exits(0).json();
    assert_eq!(page["pagination"], json!({"current_page": 2, "total_pages": 2, "total_lines": 6}));
    let actions: Vec<&Value> = page["audit"].as_array().expect("lines").iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["enable", "disable"]);
    etl.run(&["audit", "--page", "2", "--page-size", "4"]).exits(0).mentions("page 2 of 2 (6 lines)");
    etl.run(&["audit", "--page", "9"]).exits(0).prints("").says("page 9 is beyond the last: 1 (6 lines)\n");
    let csv = etl.run(&["audit", "-o", "csv"]).exits(0);
    assert!(csv.stdout.starts_with("id,at,user,host,action,job,run_id,details\n") && csv.stdout.lines().count() == 7, "{}", csv.stdout);
    etl.state().execute("UPDATE audit SET at = '2020-01-01 00:00:00' WHERE action = 'disable'");
    let since = etl.run(&["audit", "--since", "1h", "-o", "json"]).exits(0).json();
    assert_eq!(since["pagination"]["total_lines"], 3);
    etl.run(&["audit", "--since", "soon"]).exits(2);
}
