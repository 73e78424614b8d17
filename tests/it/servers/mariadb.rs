//! MariaDB of Debian's package, as the tests start it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{PASSWORD, Server, as_server, folder, free_port, make_certificates, own, run, wait_until, wait_until_it_answers, watched};

/// A server with the account `etl` (all rights, [`PASSWORD`]) and the databases `etl` and `warehouse`, in a zone that is not UTC, with
/// MariaDB's own (strict) `sql_mode`.
pub fn mariadb() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| own_mariadb(&[]))
}

/// A server as [`mariadb`] for one test, with more settings (`--name=value`; `TZ=zone` is that of its system). With `--ssl` its folder has the certificate of its CA,
/// `ca.crt`, of another one, `other.crt`, and its own is that of `localhost` alone.
pub fn own_mariadb(settings: &[&str]) -> Server {
    let folder = folder("etlsched-maria-");
    own(&folder);
    let data = folder.join("data");
    // A server that starts removes what others have in a shared one.
    let temporary = folder.join("tmp");
    std::fs::create_dir(&temporary).expect("a folder for the server's own files");
    own(&temporary);
    let mut install = as_server(Command::new(program("mariadb-install-db")));
    install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]);
    run(install.args([format!("--datadir={}", data.display()), format!("--tmpdir={}", temporary.display())]));
    if settings.contains(&"--ssl") {
        make_certificates(&folder);
    }
    let server = Server { port: free_port(), folder };
    launch_mariadb(&server, settings);
    let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
    mariadb_root(
        &server,
        &format!(
            "CREATE USER etl@'%' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO etl@'%' WITH GRANT OPTION; \
             CREATE DATABASE etl; CREATE DATABASE warehouse"
        ),
    );
    server
}

/// Starts a server whose folder is there.
pub fn launch_mariadb(server: &Server, settings: &[&str]) {
    let Server { port, folder } = server;
    let mut process = as_server(Command::new(program("mariadbd")));
    let path = |name: &str| folder.join(name).display().to_string();
    // Nothing here has to outlive a power cut.
    process.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2"]);
    process.args([
        "--default-time-zone=-05:00",
        "--max-allowed-packet=64M",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-method=nosync",
    ]);
    process.args([format!("--datadir={}", path("data")), format!("--socket={}", path("socket")), format!("--port={port}")]);
    process.args([format!("--pid-file={}", path("pid")), format!("--tmpdir={}", path("tmp"))]);
    for setting in settings {
        if *setting == "--ssl" {
            process.arg(format!("--ssl-cert={}", path("data/server.crt"))).arg(format!("--ssl-key={}", path("data/server.key")));
            process.arg(format!("--ssl-ca={}", path("ca.crt")));
        } else if let Some(zone) = setting.strip_prefix("TZ=") {
            process.env("TZ", zone);
        } else {
            process.arg(setting);
        }
    }
    watched(process, "TERM", folder);
    wait_until_it_answers(server, || {
        let mut ping = Command::new(program("mariadb-admin"));
        ping.args(["--no-defaults", "-u", "root", "-S", &path("socket"), "ping"]);
        ping.output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("alive"))
    });
}

/// Ends a server without any care, as a crash does, and starts it again.
pub fn crash_mariadb(server: &Server, settings: &[&str]) {
    let pid = std::fs::read_to_string(server.folder.join("pid")).expect("the server's pid").trim().to_owned();
    run(Command::new("kill").args(["-KILL", &pid]));
    wait_until("the server ends", || !Path::new("/proc").join(&pid).exists());
    launch_mariadb(server, settings);
}

/// Runs SQL by the `mariadb` client as root over the socket and returns its output: one row a line, fields parted by tabs, `\t`, `\n`
/// and `\\` escaped, NULL as `NULL`.
#[track_caller]
pub fn mariadb_root(server: &Server, sql: &str) -> String {
    client(server, &["-u", "root"], sql)
}

/// As [`mariadb_root`], in a database, with the session's zone in UTC.
#[track_caller]
pub fn mariadb_sql(server: &Server, database: &str, sql: &str) -> String {
    client(server, &["-u", "root", "-D", database, "--init-command=SET time_zone = '+00:00'"], sql)
}

#[track_caller]
fn client(server: &Server, arguments: &[&str], sql: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new(program("mariadb"));
    command.args(["--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4", "-S"]);
    command.arg(server.folder.join("socket")).args(arguments);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the client starts");
    child.stdin.take().expect("it is piped").write_all(sql.as_bytes()).expect("the client listens");
    let output = child.wait_with_output().expect("the client ends");
    assert!(output.status.success(), "mariadb: {}\n{sql}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the client's output is UTF-8").trim_end_matches('\n').to_owned()
}

/// Debian keeps the server out of a user's PATH.
fn program(name: &str) -> PathBuf {
    let package = if matches!(name, "mariadb" | "mariadb-admin") { "mariadb-client" } else { "mariadb-server" };
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].iter().map(|folder| Path::new(folder).join(name));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

#[test]
fn mariadb_answers_with_a_password() {
    let server = mariadb();
    let mut command = Command::new(program("mariadb"));
    command.args(["--no-defaults", "-h", "127.0.0.1", "-u", "etl", "-D", "etl", "-N", "-e", "SELECT 1, @@time_zone"]);
    let output = command.arg(format!("-P{}", server.port)).arg(format!("-p{PASSWORD}")).output().expect("the client starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\t-05:00\n", "{}", String::from_utf8_lossy(&output.stderr));
}
