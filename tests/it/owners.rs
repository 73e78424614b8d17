//! Whose jobs, connections and files these are. As root the program is run as the users `nobody` and `daemon` of a real system; else
//! what other users own is put into the store by hand.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};
use crate::servers;

const NOBODY: User = User { name: "nobody", id: 65_534 };
const DAEMON: User = User { name: "daemon", id: 1 };

/// A group that neither of them is in by default: `games` of Debian.
const GAMES: u32 = 60;

#[derive(Clone, Copy)]
struct User {
    name: &'static str,
    id: u32,
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the name of whoever runs these tests.
fn us() -> String {
    let output = Command::new("id").arg("-un").output().expect("coreutils are installed");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// A workspace of root's that others may read, and where they may make files, with the program where all may start it.
struct Shared {
    etl: Etl,
    program: PathBuf,
}

impl Shared {
    fn new(etl: Etl) -> Self {
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
    fn run_as(&self, user: User, group: u32, arguments: &[&str]) -> Ended {
        let plain = self.etl.command(arguments);
        let mut command = Command::new("sh");
        let line = r#"umask 0; exec "$0" "$@""#;
        command.args(["-c", line]).arg(&self.program).args(arguments).current_dir(self.etl.path(".")).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).uid(user.id).gid(group);
        command.stdin(std::process::Stdio::null());
        Ended::new(&self.etl, arguments, command.output().expect("the shell starts"))
    }
}

fn job() -> Etl {
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
fn the_job_of_another_user_can_be_looked_at_and_not_touched() {
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
    let uses: [&[&str]; 7] = [
        &["schedule", "install", "books", "--dry-run"],
        &["run", "books"],
        &["run", "books", "--dry-run"],
        &["source", "test", "books"],
        &["source", "preview", "books"],
        &["source", "schema", "books"],
        &["validate", "books", "--online"],
    ];
    shared.etl.write("etlsched.yaml", format!("admins: [{user}]\n{}", connection("[ann, bob]")));
    for arguments in uses {
        run(arguments)
            .exits(77)
            .prints("")
            .mentions(&format!("error: job books uses connection books, which is not for {user}\n"))
            .mentions("hint: it is for ann, bob: ask them, or be named under connections.books.users in etlsched.yaml\n");
    }
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

/// Returns every path below `.etlsched` with its mode and group.
fn modes(etl: &Etl) -> Vec<(String, u32, u32)> {
    let root = etl.path(".etlsched");
    let mut found = Vec::new();
    let mut paths = vec![root.clone()];
    while let Some(path) = paths.pop() {
        let metadata = std::fs::symlink_metadata(&path).expect("a file");
        if metadata.is_dir() {
            paths.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
        let name = path.strip_prefix(&root).expect("below").display().to_string();
        found.push((name, metadata.mode() & 0o7777, metadata.gid()));
    }
    found.sort();
    found
}

#[track_caller]
fn check_modes(etl: &Etl, folder: u32, file: u32) {
    let found = modes(etl);
    for wanted in ["state.db", "warehouse.db", "rejects", "crontab.before"] {
        assert!(found.iter().any(|(name, ..)| name.starts_with(wanted)), "no {wanted} among {found:?}");
    }
    for (name, mode, _) in &found {
        let expected = match name {
            name if name.starts_with("crontab.before") => 0o600,
            name if etl.path(".etlsched").join(name).is_dir() => folder,
            _ => file,
        };
        assert_eq!(*mode, expected, ".etlsched/{name}: {mode:o}, not {expected:o}");
    }
}

/// A workspace where everything leaves something in `.etlsched`: a store, a warehouse, rejected rows, schemas, a crontab.
fn full(settings: &str) -> Etl {
    let etl = job().file("etlsched.yaml", settings);
    etl.write("jobs/daily.yaml", "schedule_type: daily\ndata_sources:\n  - path: jobs/data/sales.csv\n    target: daily\n");
    etl.write("bin/crontab", "#!/bin/sh\ncase $1 in -l) echo '0 0 * * * /x' ;; -) cat >/dev/null ;; esac\n");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    etl.env("PATH", &path).env("TZ", "UTC")
}

const FILLING: [&[&str]; 3] = [&["create", "more", "--path", "x.csv"], &["run", "sales"], &["schedule", "install", "daily", "--yes"]];

#[test]
fn everything_in_the_private_folder_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "077"] {
        let etl = full("");
        std::fs::create_dir(etl.path(".etlsched")).expect("a folder that somebody else made");
        std::fs::set_permissions(etl.path(".etlsched"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        for arguments in FILLING {
            let line = format!("umask {umask}; exec \"$0\" \"$@\"");
            let plain = etl.command(&[]);
            let mut command = Command::new("sh");
            command.args(["-c", &line, env!("CARGO_BIN_EXE_etlsched")]).args(arguments).current_dir(etl.path(".")).env_clear();
            command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let ended = Ended::new(&etl, arguments, command.output().expect("the shell starts"));
            // The fake crontab keeps nothing, which is told.
            assert!(ended.code == Some(0) || arguments[0] == "schedule", "{}", ended.stderr);
        }
        check_modes(&etl, 0o700, 0o600);
    }
}

#[test]
fn a_state_group_shares_the_private_folder_also_one_that_was_private_before() {
    let (name, id) = if is_root() {
        ("games".to_owned(), GAMES)
    } else {
        let said = |flag: &str| String::from_utf8(Command::new("id").arg(flag).output().expect("coreutils").stdout).expect("text");
        (said("-gn").trim().to_owned(), said("-g").trim().parse().expect("a number"))
    };
    for was_private in [false, true] {
        let etl = full("");
        if was_private {
            FILLING.iter().for_each(|arguments| drop(etl.run(arguments)));
        }
        etl.write("etlsched.yaml", format!("state_group: {name}\n"));
        etl.run(&["run", "sales"]).exits(0);
        if !was_private {
            FILLING.iter().for_each(|arguments| drop(etl.run(arguments)));
        }
        check_modes(&etl, 0o2770, 0o660);
        let found = modes(&etl);
        assert!(found.iter().all(|(name, _, group)| *group == id || name.starts_with("crontab.before")), "{found:?}");
    }
    let etl = full("state_group: nobody-has-this\n");
    etl.run(&["run", "sales"]).exits(4).mentions("this host has no group nobody-has-this").mentions("groupadd nobody-has-this");
    assert!(!etl.path(".etlsched").exists());
}

#[test]
fn a_store_that_lies_elsewhere_is_shared_where_its_folder_is() {
    if !is_root() {
        return a_state_group_shares_the_private_folder_also_one_that_was_private_before();
    }
    let etl = job().file("etlsched.yaml", "state: sqlite:shared/state.db\nstate_group: games\n");
    std::fs::create_dir(etl.path("shared")).expect("a folder");
    etl.run(&["run", "sales"]).exits(77).mentions("shared is not shared with the group games").mentions("chgrp games ");
    chown(etl.path("shared"), None, Some(GAMES)).expect("a group");
    std::fs::set_permissions(etl.path("shared"), std::fs::Permissions::from_mode(0o2770)).expect("a mode");
    etl.run(&["run", "sales"]).exits(0);
    let metadata = std::fs::metadata(etl.path("shared/state.db")).expect("a store");
    assert_eq!((metadata.mode() & 0o777, metadata.gid()), (0o660, GAMES));
}

/// Two users of one group: each runs their own job, sees the other's, and is refused it; both write one store and one warehouse.
#[test]
fn two_users_of_a_group_share_a_workspace() {
    if !is_root() {
        // Without root nobody can be two users: what one of them meets is tested above.
        return the_job_of_another_user_can_be_looked_at_and_not_touched();
    }
    let etl = Etl::new().csv_job("one", "", "a\n1\n").csv_job("two", "", "a\n1\n").file("etlsched.yaml", "state_group: games\n");
    etl.write(".env", "TOKEN=x\n");
    chown(etl.path(".env"), None, Some(GAMES)).expect("a group");
    std::fs::set_permissions(etl.path(".env"), std::fs::Permissions::from_mode(0o640)).expect("a mode");
    let shared = Shared::new(etl);
    shared.run_as(NOBODY, NOBODY.id, &["run", "one"]).exits(4).mentions(".env: error: can't be read");
    let first = shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
    assert!(!first.stderr.contains("warning: others can read it"), "the group may read .env: {}", first.stderr);
    shared.run_as(DAEMON, GAMES, &["run", "two"]).exits(0);
    shared.run_as(DAEMON, GAMES, &["run", "one"]).exits(77).mentions("job one belongs to nobody, and daemon may not");
    shared.run_as(NOBODY, GAMES, &["cancel", "two"]).exits(1);
    shared.run_as(NOBODY, GAMES, &["pause", "two"]).exits(77);
    for user in [NOBODY, DAEMON] {
        let list = shared.run_as(user, GAMES, &["list", "-o", "json"]).exits(0).json();
        let results: Vec<&Value> = list["jobs"].as_array().expect("jobs").iter().map(|job| &job["last_run"]).collect();
        assert!(results.len() == 2 && results.iter().all(|run| !run.is_null()), "{list:#}");
    }
    for _ in 0..3 {
        shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
        shared.run_as(DAEMON, GAMES, &["run", "two"]).exits(0);
    }
    shared.etl.run(&["run", "one", "two"]).exits(0);
    shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
    for (name, mode, group) in modes(&shared.etl) {
        let expected = if shared.etl.path(".etlsched").join(&name).is_dir() { 0o2770 } else { 0o660 };
        assert_eq!((mode, group), (expected, GAMES), ".etlsched/{name}: {mode:o}");
    }
    let users = shared.etl.state().rows("SELECT DISTINCT job, username FROM audit WHERE action = 'run' ORDER BY 1, 2");
    assert_eq!(users, ["one|nobody", "one|root", "two|daemon", "two|root"]);
}

#[test]
fn files_that_others_can_write_are_refused_and_risky_ones_warn_with_what_to_type() {
    let etl = job().file("etlsched.yaml", "timezone: UTC\n").file(".env", "A=1\n");
    let mode = |path: &str, mode: u32| std::fs::set_permissions(etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
    mode(".env", 0o600);
    let check = |path: &str, bad: u32, code: i32, said: &str, hint: &str| {
        let good = std::fs::metadata(etl.path(path)).expect("a file").mode() & 0o777;
        mode(path, bad);
        etl.run(&["run", "sales"]).exits(code).mentions(&format!("{path}: {said}")).mentions(hint);
        mode(path, good);
        etl.run(&["run", "sales"]).exits(0);
    };
    for path in ["jobs/sales.yaml", "etlsched.yaml", ".env"] {
        check(path, 0o666, 4, "error: everybody can write it", &format!("chmod o-w {path}"));
        check(path, 0o660, 0, "warning: its group can write it", &format!("chmod g-w {path}"));
    }
    check(".env", 0o644, 0, "warning: others can read it", "chmod 600 .env");
    check(".env", 0o640, 0, "warning: others can read it", "chmod 600 .env");
    etl.write("etlsched.yaml", "connections:\n  erp: {type: sqlite, path: x.db}\nhash_key: {file: key}\n");
    etl.write("key", "0123456789abcdef0123456789abcdef\n");
    mode("key", 0o644);
    etl.run(&["run", "sales"]).exits(0).mentions("etlsched.yaml:3:1: warning: others can read key\n").mentions("hint: chmod 600 key\n");
    mode("key", 0o600);
    assert!(!etl.run(&["run", "sales"]).exits(0).stderr.contains("warning"));
    if is_root() {
        for path in ["jobs/sales.yaml", "etlsched.yaml", ".env"] {
            chown(etl.path(path), Some(NOBODY.id), None).expect("an owner");
            etl.run(&["run", "sales"]).exits(4).mentions(&format!("{path}: error: belongs to user 65534"));
            chown(etl.path(path), Some(0), None).expect("an owner");
        }
    }
    etl.run(&["run", "sales"]).exits(0);
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
