//! Mail servers: aiosmtpd of Debian's package, which takes mails as servers do, and hostile ones.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Server, folder, make_certificates, wait_until_it_answers, watched};

/// A mail server of a test's own.
#[derive(Debug)]
pub struct MailServer {
    server: Server,
}

/// Starts a server; what its settings may be stands in `tests/counterparts/mail.py`. It speaks TLS as `localhost`.
#[track_caller]
pub fn mail_server(settings: &Value) -> MailServer {
    // Debian's Python, since the package is Debian's.
    let python = "/usr/bin/python3";
    let is_installed =
        Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(is_installed, "aiosmtpd is not installed: apt-get install python3-aiosmtpd");
    let folder = folder("etlsched-mail-");
    std::fs::create_dir(folder.join("data")).expect("a folder for the key");
    make_certificates(&folder);
    let mut process = Command::new(python);
    process.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts/mail.py")).arg(&folder).arg(settings.to_string());
    process.stdin(Stdio::null());
    watched(process, "KILL", &folder);
    let mut server = Server { port: 0, folder };
    let port = server.folder.join("port");
    wait_until_it_answers(&server, || port.exists());
    server.port = std::fs::read_to_string(&port).expect("the port").parse().expect("a number");
    MailServer { server }
}

impl MailServer {
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The certificate of its CA.
    pub fn ca_file(&self) -> PathBuf {
        self.server.folder.join("ca.crt")
    }

    /// The certificate of a CA that has nothing to do with it.
    pub fn other_ca_file(&self) -> PathBuf {
        self.server.folder.join("other.crt")
    }

    /// Returns the mails that it took so far, as Python's parser reads them, in their order.
    pub fn mails(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.server.folder.join("mails")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).expect("a mail")).expect("JSON")).collect()
    }
}

/// Returns the only value of a header, `""` where it has none; the name as it is written.
#[track_caller]
pub fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().expect("headers");
    let values: Vec<&str> = headers.iter().filter(|header| header[0] == name).filter_map(|header| header[1].as_str()).collect();
    assert!(values.len() <= 1, "{name} stands twice: {values:?}");
    values.first().copied().unwrap_or_default()
}
