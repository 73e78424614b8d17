//! Real servers for the tests, once per run of the tests: started on free ports in temporary folders, stopped when the tests end.
//!
//! A server that is not installed fails the test that needs it, with the command that installs it.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

#[path = "servers/cutter.rs"]
pub mod cutter;
/// A part of it is for unit tests.
#[allow(dead_code)]
#[path = "servers/http.rs"]
pub mod http;
#[path = "servers/mail.rs"]
pub mod mail;
#[path = "servers/mariadb.rs"]
pub mod mariadb;
#[path = "servers/oracle.rs"]
pub mod oracle;
#[allow(dead_code)]
#[path = "servers/small_disk.rs"]
pub mod small_disk;
#[path = "servers/sqlserver.rs"]
pub mod sqlserver;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// 127.0.0.1 only.
    pub port: u16,
    /// Its folder: data, socket, log.
    pub folder: PathBuf,
}

/// How long a server may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The watchers' standard inputs: they close when this process ends, however it ends, and each watcher then stops its server.
static WATCHERS: Mutex<Vec<std::process::ChildStdin>> = Mutex::new(Vec::new());

/// PostgreSQL of Debian's package: superuser `etl`, database `etl`, passwords asked for over TCP (scram), UTF-8.
pub fn postgresql() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start_postgresql(&[]))
}

/// A server as [`postgresql`] for one test, with more settings. With `ssl=on` its folder has the certificate of its CA, `ca.crt`, of
/// another one, `other.crt`, and its own is that of `localhost` alone.
pub fn own_postgresql(settings: &[&str]) -> Server {
    start_postgresql(settings)
}

/// PgBouncer of Debian's package, in front of a server.
#[derive(Debug)]
pub struct Pooler {
    /// Where it listens; the server's databases and password are its own.
    pub server: Server,
}

/// Starts a pooler in front of a server, with more lines of its settings.
pub fn pooler(server: &Server, settings: &str) -> Pooler {
    let folder = folder("etlsched-pooler-");
    let port = free_port();
    let users = folder.join("users.txt");
    std::fs::write(&users, format!("\"etl\" \"{}\"\n", PASSWORD.replace('"', "\"\""))).expect("the users' file");
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=scram-sha-256\n\
         auth_file={}\nignore_startup_parameters=extra_float_digits\n{settings}",
        server.port,
        users.display()
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, text).expect("the pooler's settings");
    own(&folder);
    own(&users);
    own(&file);
    let mut process = as_server(Command::new(program("pgbouncer", "pgbouncer")));
    process.arg(&file);
    watched(process, "TERM", &folder);
    let pooler = Pooler { server: Server { port, folder } };
    wait_until_it_answers(&pooler.server, || {
        let mut ready = Command::new(postgresql_program("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|status| status.success())
    });
    pooler
}

/// Finds a program, also where only root's PATH has it.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// Returns the file of an ODBC driver, in whichever folder the distribution keeps it.
#[track_caller]
pub fn driver_file(name: &str, package: &str) -> PathBuf {
    let triplet = format!("/usr/lib/{}-linux-gnu/odbc", std::env::consts::ARCH);
    let folders = [triplet.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("these tests need the ODBC driver {name}: apt-get install {package}"))
}

/// Ends a server without any care, as a crash does, and starts it again.
pub fn restart_at_once(server: &Server) {
    stop_at_once(server);
    start_again(server);
}

/// Ends a server without any care, as a crash does.
pub fn stop_at_once(server: &Server) {
    let pid_file = server.folder.join("data/postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).expect("the server's pid");
    let pid = text.lines().next().expect("a line with the pid").to_owned();
    run(Command::new("kill").args(["-QUIT", &pid]));
    wait_until("the server ends", || !Path::new("/proc").join(&pid).exists());
}

/// Starts a server again that was ended.
pub fn start_again(server: &Server) {
    launch_postgresql(server, &[]);
}

/// A session that stays open between statements.
pub struct Session {
    psql: std::process::Child,
    answers: std::io::BufReader<std::process::ChildStdout>,
}

/// Opens a session.
pub fn session(server: &Server, database: &str) -> Session {
    let mut command = Command::new(postgresql_program("psql"));
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "etl", "-d", database, "-p"]);
    command.arg(server.port.to_string()).env("PGPASSWORD", PASSWORD).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut psql = command.spawn().expect("psql starts");
    let answers = std::io::BufReader::new(psql.stdout.take().expect("it is piped"));
    Session { psql, answers }
}

impl Session {
    /// Runs statements and waits for their end.
    #[track_caller]
    pub fn say(&mut self, sql: &str) {
        use std::io::{BufRead as _, Write as _};
        let stdin = self.psql.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{sql}\n\\echo it is said").expect("psql listens");
        let mut line = String::new();
        while line.trim() != "it is said" {
            line.clear();
            assert!(self.answers.read_line(&mut line).expect("lines of text") > 0, "psql ended: {sql}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().ok();
    }
}

/// Waits for something that happens by itself, at most [`START_TIMEOUT`].
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < START_TIMEOUT, "{what}: not within {} s", START_TIMEOUT.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The password of every role that the fixtures make.
pub const PASSWORD: &str = "pg-secret 'quoted\" \\ ü";

/// Runs SQL by psql and returns its unaligned output, one row a line, fields parted by `|`.
#[track_caller]
pub fn psql(server: &Server, database: &str, sql: &str) -> String {
    let output = Command::new(postgresql_program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "etl", "-d", database, "-p"])
        .args([server.port.to_string().as_str(), "-c", sql])
        .env("PGPASSWORD", PASSWORD)
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .expect("psql starts");
    assert!(output.status.success(), "psql: {}\n{sql}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("psql's output is UTF-8").trim_end_matches('\n').to_owned()
}

/// Returns what pg_dump writes with these arguments, without the words that each dump makes up against its own text.
#[track_caller]
pub fn pg_dump(server: &Server, database: &str, arguments: &[&str]) -> String {
    let output = Command::new(postgresql_program("pg_dump"))
        .args(["-h", "127.0.0.1", "-U", "etl", "-d", database, "-p", &server.port.to_string()])
        .args(arguments)
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pg_dump starts");
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("its output is UTF-8");
    text.lines()
        .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Makes a tablespace in a folder of the server.
pub fn tablespace(server: &Server, name: &str) {
    let place = server.folder.join(name);
    std::fs::create_dir(&place).expect("its folder");
    own(&place);
    psql(server, "etl", &format!("CREATE TABLESPACE {name} LOCATION '{}'", place.display()));
}

/// Limits the size of the files of a server's sessions from now on, in bytes: to it, a disk that is full.
pub fn limit_files(server: &Server, bytes: &str) {
    let text = std::fs::read_to_string(server.folder.join("data/postmaster.pid")).expect("the server's pid");
    let pid = text.lines().next().expect("a line with the pid").to_owned();
    run(as_server(Command::new("prlimit")).args(["--pid", &pid, &format!("--fsize={bytes}:")]));
}

/// Sends the server's first process a signal.
pub fn signal(server: &Server, signal: &str) {
    let text = std::fs::read_to_string(server.folder.join("data/postmaster.pid")).expect("the server's pid");
    run(Command::new("kill").args([format!("-{signal}").as_str(), text.lines().next().expect("a line with the pid")]));
}

/// Starts a standby of a server.
pub fn standby(server: &Server) -> Server {
    let copy = Server { port: free_port(), folder: folder("etlsched-pg-") };
    own(&copy.folder);
    let mut base = as_server(Command::new(postgresql_program("pg_basebackup")));
    base.args(["-h", "127.0.0.1", "-U", "etl", "-R", "-c", "fast", "-p", &server.port.to_string()]).env("PGPASSWORD", PASSWORD);
    run(base.arg("-D").arg(copy.folder.join("data")));
    launch_postgresql(&copy, &["hot_standby=on"]);
    copy
}

fn start_postgresql(settings: &[&str]) -> Server {
    let server = initialized(settings);
    launch_postgresql(&server, settings);
    psql(&server, "postgres", "CREATE DATABASE etl");
    server
}

/// Makes a server's folder and data.
fn initialized(settings: &[&str]) -> Server {
    let folder = folder("etlsched-pg-");
    let data = folder.join("data");
    let password_file = folder.join("password");
    std::fs::write(&password_file, PASSWORD).expect("the password's file");
    own(&folder);
    own(&password_file);
    let mut initdb = as_server(Command::new(postgresql_program("initdb")));
    initdb.args(["-A", "scram-sha-256", "-U", "etl", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--pwfile"]);
    run(initdb.arg(&password_file).arg("-D").arg(&data));
    if settings.contains(&"ssl=on") {
        make_certificates(&folder);
    }
    Server { port: free_port(), folder }
}

fn launch_postgresql(server: &Server, settings: &[&str]) {
    launch(as_server(Command::new(postgresql_program("postgres"))), server, settings);
}

/// Starts a server by a command that takes postgres' arguments.
fn launch(mut process: Command, server: &Server, settings: &[&str]) {
    let Server { port, folder } = server;
    // Nothing here has to outlive a power cut.
    for setting in
        ["listen_addresses=127.0.0.1", "fsync=off", "timezone=America/New_York", "max_prepared_transactions=10", "wal_level=logical"]
    {
        process.args(["-c", setting]);
    }
    for setting in settings {
        process.args(["-c", setting]);
    }
    process.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
    process.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    watched(process, "INT", folder);
    wait_until_it_answers(server, || {
        let mut ready = Command::new(postgresql_program("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &server.port.to_string()]).status().is_ok_and(|status| status.success())
    });
}

/// Starts PgBouncer in transaction mode before a server: `pool_size` connections to it for each database, whoever comes in.
pub fn pgbouncer(server: &Server, pool_size: u32) -> Server {
    let pooler = Server { port: free_port(), folder: folder("etlsched-pgbouncer-") };
    own(&pooler.folder);
    let file = pooler.folder.join("pgbouncer.ini");
    let password = PASSWORD.replace('\'', "''");
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=etl password='{password}'\n\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n\
         listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\ndefault_pool_size = {pool_size}\nquery_wait_timeout = 5\n",
        server.port, pooler.port
    );
    std::fs::write(&file, text).expect("its settings");
    own(&file);
    let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
    let program = found.unwrap_or_else(|| panic!("pgbouncer is not installed: apt-get install pgbouncer"));
    let mut process = as_server(Command::new(program));
    process.arg(&file);
    watched(process, "INT", &pooler.folder);
    wait_until_it_answers(&pooler, || std::net::TcpStream::connect(("127.0.0.1", pooler.port)).is_ok());
    pooler
}

/// Makes a CA, another one, and the server's certificate for `localhost`.
fn make_certificates(folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = |arguments: &[&str]| run(Command::new("openssl").args(arguments));
    for name in ["ca", "other"] {
        let (key_file, certificate, subject) = (path(&format!("{name}.key")), path(&format!("{name}.crt")), format!("/CN=etlsched {name}"));
        openssl(&[&["req", "-x509", "-days", "2", "-keyout", &key_file, "-out", &certificate, "-subj", &subject][..], &key].concat());
    }
    let (data, request, names) = (folder.join("data"), path("server.csr"), path("names"));
    let in_data = |name: &str| data.join(name).display().to_string();
    std::fs::write(&names, "subjectAltName=DNS:localhost\n").expect("the names' file");
    openssl(&[&["req", "-keyout", &in_data("server.key"), "-out", &request, "-subj", "/CN=localhost"][..], &key].concat());
    let (ca, ca_key, certificate) = (path("ca.crt"), path("ca.key"), in_data("server.crt"));
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        &names,
        "-out",
        &certificate,
    ]);
    for name in ["server.key", "server.crt"] {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o600)).expect("its mode");
        own(&data.join(name));
    }
}

/// Debian keeps the server's programs out of PATH.
fn postgresql_program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort();
    let found = versions.into_iter().rev().map(|version| version.join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install postgresql"))
}

fn folder(prefix: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder").keep();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// Servers refuse to run as root: root's tests run them as `nobody`.
fn as_server(mut command: Command) -> Command {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

const NOBODY: u32 = 65_534;

fn own(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("a file of the server");
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Starts a server beside a watcher that stops it and removes its folder when this process is gone.
fn watched(mut server: Command, signal: &str, folder: &Path) {
    let log = std::fs::File::create(folder.join("log")).expect("the server's log");
    server.stdout(log.try_clone().expect("a handle")).stderr(log);
    // Ctrl-C at a terminal reaches the tests alone.
    server.process_group(0);
    let child = server.spawn().unwrap_or_else(|error| panic!("{server:?}: {error}"));
    let script = "read -r line; kill -s \"$1\" \"$2\"; i=0; while kill -0 \"$2\" 2>/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; rm -rf \"$3\"";
    let mut watcher = Command::new("/bin/sh");
    watcher.args(["-c", script, "watcher", signal, &child.id().to_string()]).arg(folder);
    watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut watcher = watcher.spawn().expect("a watcher");
    WATCHERS.lock().expect("one at a time").extend(watcher.stdin.take());
    // Threads reap both, so that the watcher sees the server gone.
    for mut process in [child, watcher] {
        std::thread::spawn(move || process.wait().ok());
    }
}

fn wait_until_it_answers(server: &Server, mut answers: impl FnMut() -> bool) {
    let start = Instant::now();
    while !answers() {
        let mut log = String::new();
        if start.elapsed() > START_TIMEOUT {
            std::fs::File::open(server.folder.join("log")).and_then(|mut file| file.read_to_string(&mut log)).ok();
            panic!("the server on port {} doesn't answer:\n{log}", server.port);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn postgresql_answers_with_a_password() {
    assert_eq!(psql(postgresql(), "etl", "SELECT current_user, 1"), "etl|1");
}
