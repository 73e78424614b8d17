//! One state store in PostgreSQL: several hosts, servers that go away in mid-run, poolers, a store that moves in.
//!
//! A host is a folder of its own and a name of its own (unshare --uts). `ETLSCHED_HOST_SLOTS=200` makes two hosts meet at so many slots.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::etl::{Ended, Etl};
use crate::servers::{self, PASSWORD, Server, own_postgresql, pgbouncer, pooler, postgresql, psql, wait_until};

/// A database for the store of one test.
pub fn database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("shared_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    psql(postgresql(), "postgres", &format!("CREATE DATABASE {name}"));
    name
}

/// A workspace on a store, with a job of every 15 minutes.
pub fn workspace(server: &Server, database: &str) -> Etl {
    let url = format!("postgresql://etl:${{STATE_PASSWORD}}@127.0.0.1:{}/{database}", server.port);
    let encoded: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    Etl::new()
        .env("STATE_PASSWORD", &encoded)
        .file("etlsched.yaml", format!("state: \"{url}\"\n"))
        .file("jobs/sales.yaml", "schedule_type: 15min\ndata_sources:\n  - path: jobs/data/sales.csv\n")
        .file("jobs/data/sales.csv", "id,text\n1,a\n2,b\n")
}

/// As [`workspace`], with a job `held` that reads a table of the common server, which `hold` keeps from it.
fn with_held_job(server: &Server, database: &str) -> Etl {
    let etl = workspace(server, database).env("PG_PASSWORD", PASSWORD);
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    let connection = format!("{{type: postgresql, host: 127.0.0.1, port: {}, database: {database}, user: etl", postgresql().port);
    etl.write("etlsched.yaml", format!("{settings}connections:\n  erp: {connection}, password: \"${{PG_PASSWORD}}\"}}\n"));
    etl.file("jobs/held.yaml", "schedule_type: manual\ndata_sources:\n  - {connection: erp, table: source.held, target: held}\n")
}

/// Keeps the job `held` waiting at its source.
fn hold(database: &str) -> servers::Session {
    psql(
        postgresql(),
        database,
        "CREATE SCHEMA source CREATE TABLE held (id int PRIMARY KEY); INSERT INTO source.held VALUES (1), (2), (3)",
    );
    let mut session = servers::session(postgresql(), database);
    session.say("BEGIN; LOCK TABLE source.held IN ACCESS EXCLUSIVE MODE;");
    session
}

/// A command on a host of another name.
fn on_host(etl: &Etl, host: &str, arguments: &[&str]) -> Command {
    let inner = etl.command(arguments);
    let mut command = Command::new("unshare");
    let own_names = if rustix::process::geteuid().is_root() { &["--uts"][..] } else { &["--map-current-user", "--uts"][..] };
    command.args(own_names).args(["sh", "-c", "hostname \"$0\" && exec \"$@\"", host]).arg(inner.get_program()).args(arguments);
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(etl.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait_until_it_runs(server: &Server, database: &str) {
    let running = "SELECT count(*) FROM run_sources WHERE status = 'running'";
    let is_there = "SELECT count(*) FROM pg_tables WHERE tablename = 'run_sources'";
    wait_until("the source is at work", || psql(server, database, is_there) == "1" && psql(server, database, running) == "1");
}

fn ended(etl: &Etl, child: Child) -> Ended {
    Ended::new(etl, &["run"], child.wait_with_output().expect("it ends"))
}

#[test]
fn two_hosts_with_the_same_entries_run_each_slot_once() {
    let database = database();
    let hosts = [workspace(postgresql(), &database), workspace(postgresql(), &database)];
    let slots: u32 = std::env::var("ETLSCHED_HOST_SLOTS").ok().and_then(|slots| slots.parse().ok()).unwrap_or(10);
    for slot in 0..=slots {
        let now = format!("2026-11-{:02}T{:02}:{:02}:01Z", 1 + slot / 96, slot / 4 % 24, slot % 4 * 15);
        let start = |(etl, name): (&Etl, &str)| {
            on_host(etl, name, &["run", "sales", "--scheduled"]).env("ETLSCHED_NOW", &now).spawn().expect("unshare starts")
        };
        let children: Vec<Child> = hosts.iter().zip(["host-a", "host-b"]).map(start).collect();
        for (etl, child) in hosts.iter().zip(children) {
            ended(etl, child).exits(0).prints("").says("");
        }
    }
    let counted =
        psql(postgresql(), &database, "SELECT count(*), count(DISTINCT slot), count(DISTINCT host) FROM runs WHERE status = 'success'");
    let hosts_at_work = counted.rsplit('|').next().expect("a count");
    assert_eq!(counted, format!("{0}|{0}|{hosts_at_work}", slots + 1));
    crate::etl::report(&format!("two hosts, {} slots: {counted} (runs|slots|hosts)", slots + 1));
    let log = hosts[0].run(&["logs", "-o", "json"]).exits(0).json();
    assert_eq!(log["pagination"]["total_logs"], slots + 1, "the log is common");
}

#[test]
fn a_run_is_cancelled_from_another_host_and_seen_from_there() {
    let database = database();
    let held = hold(&database);
    let [here, there] = [with_held_job(postgresql(), &database), with_held_job(postgresql(), &database)];
    let child = on_host(&here, "host-a", &["run", "held"]).spawn().expect("unshare starts");
    wait_until_it_runs(postgresql(), &database);
    let shown = there.run(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(shown["running"][0]["host"], "host-a", "{shown:#}");
    there.run(&["run", "held"]).exits(5).mentions("on host-a");
    there.run(&["cancel", "held"]).exits(0).mentions("is cancelled");
    ended(&here, child).exits(143);
    assert_eq!(there.run(&["logs", "held", "-o", "json"]).exits(0).json()["logs"][0]["status"], "cancelled");
    drop(held);
}

#[test]
fn a_store_that_restarts_in_mid_run_is_waited_for() {
    let server = own_postgresql(&[]);
    let database = database();
    let mut held = hold(&database);
    let etl = with_held_job(&server, "etl");
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", settings.replace("database: etl,", &format!("database: {database},")));
    let child = etl.command(&["run", "held"]).spawn().expect("the program starts");
    wait_until_it_runs(&server, "etl");
    servers::restart_at_once(&server);
    held.say("COMMIT;");
    ended(&etl, child).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM held"), "3");
    assert_eq!(psql(&server, "etl", "SELECT status, (SELECT count(*) FROM leases) FROM runs"), "success|0");
}

#[test]
fn a_store_that_is_gone_in_mid_run_publishes_nothing_and_the_next_run_settles_it() {
    let server = own_postgresql(&[]);
    let database = database();
    let mut held = hold(&database);
    let etl = with_held_job(&server, "etl");
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", settings.replace("database: etl,", &format!("database: {database},")));
    let child = etl.command(&["run", "held"]).spawn().expect("the program starts");
    wait_until_it_runs(&server, "etl");
    servers::stop_at_once(&server);
    held.say("COMMIT;");
    ended(&etl, child).exits(1).mentions("state store postgresql://127.0.0.1:");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_master WHERE name = 'held'"), "0");
    etl.run(&["run", "held"]).exits(1).mentions("check host and port");
    servers::start_again(&server);
    etl.run(&["run", "held"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM held"), "3");
    let log = psql(&server, "etl", "SELECT status, is_interrupted FROM runs ORDER BY started_at");
    assert_eq!(log, "failed|t\nsuccess|f");
}

#[test]
fn a_pooler_of_transactions_is_refused_before_anything_is_read_and_one_of_sessions_works() {
    let database = database();
    let shared = pgbouncer(postgresql(), 5);
    let etl = workspace(&shared, &database);
    etl.run(&["run", "sales"]).exits(1).mentions("pool_mode = transaction").mentions("hint: let `state:`");
    assert!(!etl.path(".etlsched/warehouse.db").exists(), "nothing was opened");
    let kept = pooler(postgresql(), "pool_mode = session\n");
    workspace(&kept.server, &database).run(&["run", "sales"]).exits(0);
}

#[test]
fn a_store_that_can_not_be_used_is_one_error_without_its_password() {
    let database = database();
    let etl = workspace(postgresql(), &database);
    let nobody = Server { port: 1, folder: "/".into() };
    for arguments in [&["run", "sales"][..], &["run", "sales", "--scheduled"], &["list"], &["logs"], &["status"]] {
        let told = workspace(&nobody, &database).run(arguments).exits(1);
        assert_eq!(told.stderr.matches("error: ").count(), 1, "{}", told.stderr);
        assert!(told.stderr.contains("state store postgresql://127.0.0.1:1/") && !told.stderr.contains("secret"), "{}", told.stderr);
    }
    etl.run(&["run", "sales"]).exits(0);
    psql(postgresql(), &database, "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    etl.run(&["run", "sales"]).exits(1).mentions("made by a newer etlsched");
    let shown = workspace(postgresql(), &database);
    psql(postgresql(), &database, "DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'");
    let shown =
        shown.run(&["state", "show"]).exits(0).mentions(&format!("State store: postgresql://127.0.0.1:{}/{database}", postgresql().port));
    assert!(!shown.stdout.contains("secret"), "{}", shown.stdout);
}

#[test]
fn a_store_moves_from_a_file_to_a_server_and_goes_on_where_it_was() {
    let database = database();
    let etl = workspace(postgresql(), &database);
    let shared = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", "");
    let at = |now: &str| {
        let output = etl.command(&["run", "sales", "--scheduled"]).env("ETLSCHED_NOW", now).output().expect("the program starts");
        Ended::new(&etl, &["run"], output).exits(0)
    };
    for minute in ["00", "15", "30"] {
        at(&format!("2026-11-24T01:{minute}:01Z"));
    }
    etl.run(&["state", "migrate"]).exits(2).mentions("write state: postgresql://");
    etl.write("etlsched.yaml", &shared);
    let id = etl.state().value("SELECT id FROM workspace");
    let doubles = etl.state().rows("SELECT printf('%!.17g', execution_time_seconds) FROM runs ORDER BY id");
    let before = etl.state().rows("SELECT slot, due_at, status, run_id FROM slots ORDER BY slot");
    etl.state().execute("UPDATE leases SET job = job");
    etl.run(&["state", "migrate", "--from", "absent.db"]).exits(2).mentions("--from PATH");
    etl.run(&["state", "migrate"]).exits(0).mentions("copied 1 job and 3 runs from ");
    assert_eq!(psql(postgresql(), &database, "SELECT id FROM workspace"), id);
    let after = psql(postgresql(), &database, "SELECT slot, due_at, status, run_id FROM slots ORDER BY slot");
    assert_eq!(after, before.join("\n"));
    let copied = psql(postgresql(), &database, "SELECT execution_time_seconds FROM runs ORDER BY id");
    let values = |texts: &[&str]| texts.iter().map(|text| text.parse::<f64>().expect("a number").to_bits()).collect::<Vec<_>>();
    assert_eq!(values(&copied.lines().collect::<Vec<_>>()), values(&doubles.iter().map(String::as_str).collect::<Vec<_>>()), "every digit");
    etl.run(&["state", "migrate"]).exits(1).mentions("it is not empty");
    // A slot that was run is not run again, and the next one is; the table knows its workspace.
    at("2026-11-24T01:30:05Z");
    at("2026-11-24T01:45:05Z");
    assert_eq!(psql(postgresql(), &database, "SELECT count(*), count(DISTINCT slot) FROM runs"), "4|4");
}

#[test]
fn a_store_in_which_a_run_goes_on_is_not_copied() {
    let database = database();
    let mut held = hold(&database);
    let etl = with_held_job(postgresql(), &database);
    let shared = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", shared.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
    let child = etl.command(&["run", "held"]).spawn().expect("the program starts");
    let file = etl.path(".etlsched/state.db");
    wait_until("the run has its lease", || {
        file.exists()
            && rusqlite::Connection::open(&file).is_ok_and(|store| store.query_row("SELECT job FROM leases", [], |_| Ok(())).is_ok())
    });
    etl.write("etlsched.yaml", &shared);
    etl.run(&["state", "migrate"]).exits(1).mentions("of held goes on").mentions("etlsched cancel held");
    held.say("COMMIT;");
    ended(&etl, child).exits(0);
    etl.run(&["state", "migrate"]).exits(0);
}

/// Two users of one group: each has a job of his own in one workspace with one warehouse.
#[test]
fn a_group_shares_a_store_that_is_a_file() {
    use std::os::unix::fs::PermissionsExt;
    const GROUP: &str = "65534";
    let etl = Etl::new()
        .csv_job("first", "", "id\n1\n")
        .csv_job("second", "", "id\n1\n2\n")
        .file("etlsched.yaml", if rustix::process::geteuid().is_root() { "state_group: \"65534\"\n".to_owned() } else { own_group() });
    std::fs::set_permissions(etl.path(""), std::fs::Permissions::from_mode(0o755)).expect("a folder");
    etl.run(&["run", "first"]).exits(0);
    let mode = |name: &str| std::fs::metadata(etl.path(name)).expect("a file").permissions().mode() & 0o7777;
    assert_eq!([mode(".etlsched"), mode(".etlsched/state.db"), mode(".etlsched/warehouse.db")], [0o2770, 0o660, 0o660]);
    let mut other = if rustix::process::geteuid().is_root() {
        let inner = etl.command(&["run", "second"]);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65533", "--clear-groups", "--regid", GROUP]).arg(inner.get_program()).args(["run", "second"]);
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(etl.path(""));
        command
    } else {
        etl.command(&["run", "second"])
    };
    let output = other.stdin(Stdio::null()).output().expect("setpriv starts");
    Ended::new(&etl, &["run", "second"], output).exits(0);
    assert_eq!(etl.warehouse().value("SELECT (SELECT count(*) FROM first) || ' ' || (SELECT count(*) FROM second)"), "1 2");
    etl.run(&["run", "first"]).exits(0);
}

fn own_group() -> String {
    format!("state_group: \"{}\"\n", rustix::process::getegid().as_raw())
}
