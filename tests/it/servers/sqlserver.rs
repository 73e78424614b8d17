//! The counterpart of SQL Server's protocol, `tests/counterparts/tds`, which FreeTDS's driver reads. It is not SQL Server.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{PASSWORD, Server, driver_file, folder, free_port, make_certificates, own, program, run, wait_until_it_answers, watched};

/// A running counterpart, with the login `etl` ([`PASSWORD`]) and the database `shop`.
#[derive(Debug)]
pub struct SqlServer {
    pub server: Server,
}

/// Starts a counterpart for one test; the setup is T-SQL that makes and fills its tables. With `is_encrypted` it has a certificate.
#[track_caller]
pub fn sqlserver(setup: &str) -> SqlServer {
    start(setup, &[])
}

/// As [`sqlserver`], with TLS.
#[track_caller]
pub fn encrypted_sqlserver(setup: &str) -> SqlServer {
    let folder = folder("etlsched-tls-");
    std::fs::create_dir(folder.join("data")).expect("a folder for the certificate");
    own(&folder);
    make_certificates(&folder);
    let path = |name: &str| folder.join("data").join(name).display().to_string();
    start(setup, &["--tls", &path("server.crt"), &path("server.key")])
}

#[track_caller]
fn start(setup: &str, more: &[&str]) -> SqlServer {
    let folder = folder("etlsched-tds-");
    let path = |name: &str| folder.join(name);
    std::fs::write(path("password"), PASSWORD).expect("the password's file");
    let drivers = format!("[FreeTDS]\nDriver={}\n", driver_file("libtdsodbc.so", "tdsodbc").display());
    std::fs::write(path("odbcinst.ini"), drivers).expect("the drivers' file");
    let made = SqlServer { server: Server { port: free_port(), folder: folder.clone() } };
    made.sql(setup);
    launch(&made, more);
    made
}

/// Starts a server whose folder is there anew, on another port: with another password, say.
#[track_caller]
pub fn restarted(server: SqlServer) -> SqlServer {
    server.kill();
    let again = SqlServer { server: Server { port: free_port(), folder: server.server.folder } };
    launch(&again, &[]);
    again
}

fn launch(server: &SqlServer, more: &[&str]) {
    let path = |name: &str| server.server.folder.join(name);
    let mut process = python();
    process.args(["serve", "--port", &server.server.port.to_string(), "--db"]).arg(path("shop.db"));
    process.arg("--password-file").arg(path("password")).arg("--faults").arg(path("faults.json"));
    process.arg("--log").arg(path("said")).args(more);
    watched(process, "KILL", &server.server.folder);
    wait_until_it_answers(&server.server, || std::net::TcpStream::connect(("127.0.0.1", server.server.port)).is_ok());
}

fn python() -> Command {
    let mut command = Command::new(program("python3", "python3"));
    command.args(["-m", "tds"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

impl SqlServer {
    /// Runs T-SQL beside the server.
    #[track_caller]
    pub fn sql(&self, statements: &str) {
        use std::io::Write as _;
        let mut command = python();
        command.arg("sql").arg(self.server.folder.join("shop.db")).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        child.stdin.take().expect("it is piped").write_all(statements.as_bytes()).expect("it listens");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}\n{statements}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sets what goes wrong from the next statement on (`tests/counterparts/tds/__main__.py` has the words); `{}`: nothing.
    pub fn faults(&self, json: &str) {
        let fresh = self.server.folder.join("faults.fresh");
        std::fs::write(&fresh, json).expect("the faults' file");
        std::fs::rename(fresh, self.server.folder.join("faults.json")).expect("the faults' file in its place");
    }

    /// Returns what was said to the server: logins, statements with their values, calls.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.server.folder.join("said")).expect("what was said")
    }

    /// Ends the server without any care.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.server.folder.join("shop.db.pid")).expect("the server's pid");
        run(Command::new("kill").args(["-KILL", pid.trim()]));
    }

    /// Returns the folder whose odbcinst.ini names FreeTDS's driver: for `ODBCSYSINI`.
    pub fn drivers(&self) -> PathBuf {
        self.server.folder.clone()
    }
}
