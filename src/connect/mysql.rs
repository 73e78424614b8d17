//! MySQL and MariaDB: connecting by the meaning of `sslmode`, ending a statement from another thread, what errors mean, quoting.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql::consts::CapabilityFlags;
use mysql::prelude::Queryable as _;
use mysql::{ClientIdentity, Conn, DriverError, Error, LocalInfileHandler, OptsBuilder, SslOpts};
use mysql_common::proto::codec::error::PacketCodecError;

use super::ConnectError;
use crate::plan::mysql::{MysqlConnection, MysqlTls};
use crate::text;

/// What every session has: instants in UTC whatever the server's zone, all rows of a result, a server that waits while the other end
/// is slower, and nothing but the run's own limits to end a statement (28 days: the most that a server on Windows takes).
const SESSION: &str = "SET SESSION time_zone = '+00:00', sql_select_limit = 18446744073709551615, net_write_timeout = 2419200, \
     net_read_timeout = 2419200, wait_timeout = 2419200, autocommit = 1";

/// MariaDB has the limit in seconds, MySQL in milliseconds.
const UNLIMITED: &str = "SET SESSION max_statement_time = 0";
const UNLIMITED_MYSQL: &str = "SET SESSION max_execution_time = 0";

/// The library tells no more of a connection that ended than that it did.
const ENDED: &str = "the server, or what stands between, ended the connection: the server's log says why";

/// Silence after which the server is asked whether it lives, and how often: a dead one is noticed after about two minutes.
const KEEPALIVE_IDLE_MS: u32 = 60_000;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 10;
const KEEPALIVE_RETRIES: u32 = 6;

/// A connection, and what ends its statement from another thread.
pub struct Session {
    /// The connection.
    pub conn: Conn,
    /// For another thread.
    pub canceller: Canceller,
    /// The server and database, for messages.
    pub place: String,
    /// Whether the server is MariaDB.
    pub is_mariadb: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.place)
    }
}

/// Ends the statement of a connection from another thread.
#[derive(Debug, Clone)]
pub struct Canceller {
    plan: MysqlConnection,
    connection_id: u32,
}

impl Canceller {
    /// Asks the server to end the statement; whether it does is seen by whoever waits for it.
    pub fn cancel(&self) {
        // A server that can't be reached has nothing left to cancel.
        if let Ok(mut session) = Session::open(&self.plan) {
            let _ = session.conn.query_drop(format!("KILL QUERY {}", self.connection_id));
        }
    }
}

impl Session {
    /// Connects and settles the session.
    ///
    /// # Errors
    /// Whatever keeps the server from being reached or from letting us in within the plan's time.
    pub fn open(plan: &MysqlConnection) -> Result<Self, ConnectError> {
        Self::open_with(plan, None)
    }

    /// As [`Session::open`], for rows that may be larger than what the server takes in one packet: it sends those all the same.
    ///
    /// # Errors
    /// As for [`Session::open`].
    pub fn open_to_read(plan: &MysqlConnection) -> Result<Self, ConnectError> {
        Self::open_for(plan, Purpose { infile: None, packet_bytes_max: Some(PACKET_BYTES_MAX) })
    }

    /// As [`Session::open`], with what answers when the server asks for a local file. Without it no file is ever sent.
    ///
    /// # Errors
    /// As for [`Session::open`].
    pub fn open_with(plan: &MysqlConnection, infile: Option<LocalInfileHandler>) -> Result<Self, ConnectError> {
        Self::open_for(plan, Purpose { infile, packet_bytes_max: None })
    }

    fn open_for(plan: &MysqlConnection, purpose: Purpose) -> Result<Self, ConnectError> {
        // On a thread of its own: the library limits the time of the TCP connection alone, and a server may take that and say nothing.
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let (own, seconds) = (plan.clone(), plan.connect_timeout_seconds.max(1));
        std::thread::spawn(move || {
            // Where nobody waits any more, nobody needs to know.
            let _ = sender.send(open_in_time(&own, &purpose));
        });
        receiver.recv_timeout(Duration::from_secs(seconds)).unwrap_or_else(|_| {
            let message = format!("connect to {}: no answer within {seconds} s", place(plan));
            let hint = "check host and port of the connection; connect_timeout_seconds is how long it may take".to_owned();
            Err(ConnectError { code: "unreachable", message, hint: Some(hint), is_transient: true, retry_after: None })
        })
    }

    /// Makes an error of what the server or the connection reports.
    pub fn failure(&self, verb: &str, error: &Error) -> ConnectError {
        failure(&format!("{verb} on {}", self.place), error)
    }
}

/// Returns the server and database as messages name them, without the login.
pub fn place(plan: &MysqlConnection) -> String {
    let MysqlConnection { host, port, database, .. } = plan;
    match host.contains(':') {
        _ if host.starts_with('/') => format!("{host}/{database}"),
        true => format!("[{host}]:{port}/{database}"),
        false => format!("{host}:{port}/{database}"),
    }
}

/// Returns an identifier in quotes, whatever the server's `sql_mode`.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The most that a server can be told to take in one packet, and the longest value (MySQL 8.0, "max_allowed_packet").
const PACKET_BYTES_MAX: usize = 1 << 30;

/// What a session is for.
#[derive(Clone)]
struct Purpose {
    /// What answers when the server asks for a local file.
    infile: Option<LocalInfileHandler>,
    /// The longest packet that is taken; that of the server where it is not said.
    packet_bytes_max: Option<usize>,
}

/// Whether TLS is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Plain,
    Tls,
}

fn open_in_time(plan: &MysqlConnection, purpose: &Purpose) -> Result<Session, ConnectError> {
    let place = place(plan);
    let is_socket = plan.host.starts_with('/');
    let first = if is_socket || plan.tls == MysqlTls::Disabled { Encryption::Plain } else { Encryption::Tls };
    let may_be_plain = plan.tls == MysqlTls::Preferred;
    match connect(plan, purpose, first, &place) {
        Err(failed) if may_be_plain && first == Encryption::Tls && failed.is_of_encryption => {
            connect(plan, purpose, Encryption::Plain, &place).map_err(|failed| failed.error)
        }
        other => other.map_err(|failed| failed.error),
    }
}

struct Failed {
    error: ConnectError,
    /// Whether a connection without TLS may do.
    is_of_encryption: bool,
}

fn connect(plan: &MysqlConnection, purpose: &Purpose, encryption: Encryption, place: &str) -> Result<Session, Failed> {
    let own_fault = |error| Failed { error, is_of_encryption: false };
    let mut options = OptsBuilder::new()
        .user(Some(&plan.user))
        .pass(plan.password.as_ref().map(|password| password.expose()))
        .db_name(Some(&plan.database))
        // A connection to 127.0.0.1 would move to the unix socket otherwise, and drop TLS in silence.
        .prefer_socket(false)
        .tcp_connect_timeout(Some(Duration::from_secs(plan.connect_timeout_seconds.max(1))))
        .tcp_keepalive_time_ms(Some(KEEPALIVE_IDLE_MS))
        .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
        .max_allowed_packet(purpose.packet_bytes_max)
        .local_infile_handler(purpose.infile.clone());
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        options =
            options.tcp_keepalive_probe_interval_secs(Some(KEEPALIVE_INTERVAL_SECONDS)).tcp_keepalive_probe_count(Some(KEEPALIVE_RETRIES));
    }
    options = if plan.host.starts_with('/') {
        options.socket(Some(&plan.host))
    } else {
        options.ip_or_hostname(Some(&plan.host)).tcp_port(plan.port)
    };
    // The library reads the file of roots while it connects.
    let mut roots_file = None;
    if encryption == Encryption::Tls {
        let tls = tls(plan, &mut roots_file).map_err(|message| {
            let hint = Some("check the files of the connection".to_owned());
            own_fault(ConnectError { code: "tls", message, hint, is_transient: false, retry_after: None })
        })?;
        options = options.ssl_opts(tls);
    }
    let failed = |error: &Error| failure(&format!("connect to {place}"), error);
    let mut conn = Conn::new(options).map_err(|error| Failed { error: failed(&error), is_of_encryption: is_of_tls(&error) })?;
    conn.query_drop(SESSION).map_err(|error| own_fault(failed(&error)))?;
    let version: Option<String> = conn.query_first("SELECT version()").map_err(|error| own_fault(failed(&error)))?;
    let is_mariadb = version.is_some_and(|version| version.to_lowercase().contains("mariadb"));
    // Old servers have no such limit, and none to lift.
    let _ = conn.query_drop(if is_mariadb { UNLIMITED } else { UNLIMITED_MYSQL });
    let canceller = Canceller { plan: plan.clone(), connection_id: conn.connection_id() };
    Ok(Session { conn, canceller, place: place.to_owned(), is_mariadb })
}

/// Whether an error is one of TLS alone.
fn is_of_tls(error: &Error) -> bool {
    matches!(error, Error::TlsError(_) | Error::DriverError(DriverError::TlsNotSupported)) || is_rustls(error)
}

/// rustls tells of a failed handshake by the error of a read or a write.
fn is_rustls(error: &Error) -> bool {
    io_error(error).and_then(std::io::Error::get_ref).is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

/// Returns the error of a read or a write, where it is one.
fn io_error(error: &Error) -> Option<&std::io::Error> {
    match error {
        Error::IoError(error) | Error::CodecError(PacketCodecError::Io(error)) => Some(error),
        _ => None,
    }
}

fn tls(plan: &MysqlConnection, roots_file: &mut Option<tempfile::NamedTempFile>) -> Result<SslOpts, String> {
    let is_checked = match plan.tls {
        MysqlTls::Disabled | MysqlTls::Preferred => false,
        MysqlTls::Required => plan.sslrootcert.is_some(),
        MysqlTls::VerifyCa | MysqlTls::VerifyIdentity => true,
    };
    let mut options = SslOpts::default()
        .with_danger_accept_invalid_certs(!is_checked)
        .with_danger_skip_domain_validation(plan.tls != MysqlTls::VerifyIdentity);
    if is_checked {
        let roots = match &plan.sslrootcert {
            Some(path) => {
                readable("sslrootcert", path)?;
                path.clone()
            }
            None => system_roots(roots_file)?,
        };
        options = options.with_root_cert_path(Some(roots));
    }
    if let Some((certificate, key)) = plan.sslcert.as_ref().zip(plan.sslkey.as_ref()) {
        readable("sslcert", certificate)?;
        readable("sslkey", key)?;
        options = options.with_client_identity(Some(ClientIdentity::new(certificate.clone(), key.clone())));
    }
    Ok(options)
}

fn readable(name: &str, path: &Path) -> Result<(), String> {
    std::fs::File::open(path).map(|_| ()).map_err(|error| format!("read {name} {}: {error}", path.display()))
}

/// Writes the system's trusted certificates into a file: the library takes them from nowhere else.
fn system_roots(file: &mut Option<tempfile::NamedTempFile>) -> Result<PathBuf, String> {
    use std::io::Write as _;
    let mut text = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        text += "-----BEGIN CERTIFICATE-----\n";
        text += &base64(&certificate);
        text += "-----END CERTIFICATE-----\n";
    }
    let fail = |error: std::io::Error| format!("write the system's certificates into a temporary file: {error}");
    let mut written = tempfile::NamedTempFile::new().map_err(fail)?;
    written.write_all(text.as_bytes()).map_err(fail)?;
    let path = written.path().to_owned();
    *file = Some(written);
    Ok(path)
}

/// Returns bytes in base 64 (RFC 4648), in lines of 64 characters as PEM has them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + bytes.len() / 48 + 8);
    for line in bytes.chunks(48) {
        for group in line.chunks(3) {
            let value = (0..3).fold(0_usize, |value, place| value << 8 | usize::from(group.get(place).copied().unwrap_or(0)));
            for place in 0..4 {
                let digit = char::from(DIGITS[value >> (18 - 6 * place) & 63]);
                text.push(if place <= group.len() { digit } else { '=' });
            }
        }
        text.push('\n');
    }
    text
}

/// Makes an error of what the server or the connection reports. `what` was attempted, and on what.
pub fn failure(what: &str, error: &Error) -> ConnectError {
    let made = |code, text: &str, hint: Option<&str>, is_transient| ConnectError {
        code,
        message: format!("{what}: {}", text::printable(text)),
        hint: hint.map(str::to_owned),
        is_transient,
        retry_after: None,
    };
    match error {
        Error::MySqlError(error) => server_failure(what, error.code, &error.message),
        Error::DriverError(DriverError::TlsNotSupported) => made(
            "tls",
            "TLS: the server does not have it",
            Some("set sslmode: prefer or disable, or switch TLS on at the server (ssl_cert, ssl_key)"),
            false,
        ),
        Error::DriverError(DriverError::CouldNotConnect(Some((_, text, kind)))) => {
            let is_lookup = text.contains("lookup");
            let hint = match kind {
                _ if is_lookup => "check host: the name is not known",
                ErrorKind::PermissionDenied => "the socket's folder may not be entered by this user",
                _ => "check host and port of the connection, and whether the server runs",
            };
            made("unreachable", text, Some(hint), true)
        }
        Error::DriverError(DriverError::ConnectTimeout | DriverError::Timeout) => {
            made("unreachable", "no answer in time", Some("check host and port of the connection"), true)
        }
        Error::DriverError(
            DriverError::UnknownAuthPlugin(_) | DriverError::OldMysqlPasswordDisabled | DriverError::CleartextPluginDisabled,
        ) => made("login_failed", &error.to_string(), Some("give the account mysql_native_password or caching_sha2_password"), false),
        _ if is_of_tls(error) => tls_failure(what, error),
        Error::IoError(error) | Error::CodecError(PacketCodecError::Io(error)) => {
            made("disconnected", &error.to_string(), Some(ENDED), true)
        }
        Error::CodecError(PacketCodecError::PacketTooLarge) => {
            let hint = "raise max_allowed_packet at the server, or leave out columns: a row has at most 1 GiB";
            made("invalid_data", &error.to_string(), Some(hint), false)
        }
        Error::CodecError(_) | Error::DriverError(DriverError::PacketOutOfSync | DriverError::UnexpectedPacket) => {
            made("disconnected", &error.to_string(), Some(ENDED), true)
        }
        _ => made("database", &error.to_string(), None, false),
    }
}

fn tls_failure(what: &str, error: &Error) -> ConnectError {
    let text = match io_error(error) {
        Some(error) => error.to_string(),
        None => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    };
    let text = text::printable(&text).into_owned();
    let hint = if text.contains("UnknownIssuer") {
        "set sslrootcert: the file of the CA that signed the server's certificate"
    } else if text.contains("not valid for") || text.contains("NotValidForName") {
        "set host: a name that the certificate has as subjectAltName, or sslmode: verify-ca"
    } else {
        "check sslmode and sslrootcert of the connection"
    };
    ConnectError {
        code: "tls",
        message: format!("{what}: TLS: {text}"),
        hint: Some(hint.to_owned()),
        is_transient: false,
        retry_after: None,
    }
}

/// Makes an error of what the server says (MySQL 8.0 and MariaDB 10.11, "Server Error Codes").
fn server_failure(what: &str, number: u16, text: &str) -> ConnectError {
    let (code, hint, is_transient) = match number {
        1045 | 1698 => (
            "login_failed",
            Some("check user, password and sslmode of the connection, and that the account is allowed from this host"),
            false,
        ),
        1044 => ("permission_denied", Some("grant the account what it needs on the database"), false),
        1130 => ("login_failed", Some("the server takes no connections from this host: check the accounts' hosts"), false),
        1820 | 1862 => ("login_failed", Some("the password has expired: set a new one"), false),
        3159 | 1251 => ("tls", Some("the server asks for TLS: set sslmode: require"), false),
        1049 => ("not_found", Some("check database of the connection"), false),
        1146 | 1109 => ("not_found", None, false),
        1054 => ("unknown_column", Some("check the names of columns in custom_sql, or in where"), false),
        1142 | 1143 | 1227 | 1370 | 1356 => ("permission_denied", Some("grant the account what it needs: SELECT on what it reads"), false),
        1290 | 1792 | 1836 => ("permission_denied", Some("the server or the transaction is read-only"), false),
        1040 | 1203 | 1226 => ("unreachable", Some("the server takes no more connections now"), true),
        1129 => ("unreachable", Some("the server blocks this host after many errors: FLUSH HOSTS"), true),
        1053 | 1077 | 1079 | 1158..=1161 | 1927 | 2006 | 2013 => ("disconnected", None, true),
        1205 => ("locked", Some("another session holds a lock on it"), true),
        1213 | 1020 => ("conflict", None, true),
        1412 | 1615 => ("conflict", Some("the table was changed just now: run it again"), true),
        // Not "cancelled", which is what a run is that was told to stop.
        1317 => ("statement_cancelled", Some("an administrator ended the statement"), false),
        1969 | 3024 => ("statement_cancelled", Some("a limit of the server ended the statement"), false),
        1021 | 1030 | 1114 => ("server_short", Some("make room on the server's disk"), true),
        1064 | 1149 => ("invalid_sql", Some("check custom_sql, or where"), false),
        1048 | 1062 | 1136 | 1216 | 1217 | 1264 | 1265 | 1292 | 1366 | 1406 | 1451 | 1452 | 3819 | 4025 => ("invalid_data", None, false),
        _ => ("database", None, false),
    };
    let message = format!("{what}: {} ({number})", text::printable(text));
    ConnectError { code, message, hint: hint.map(str::to_owned), is_transient, retry_after: None }
}

#[cfg(test)]
#[path = "mysql_tests.rs"]
mod tests;
