//! PostgreSQL: connecting by libpq's rules, cancelling from another thread, quoting.

mod cancel;
mod dial;
mod failure;
pub mod reading;
pub mod timed;

use std::time::Duration;

use postgres::error::SqlState;
use postgres::{CancelToken, Client, NoTls};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode as Encryption;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::ConnectError;
use super::tls::{self, Check};
use crate::plan::postgresql::{PostgresConnection, SslMode};
pub use failure::failure;
use failure::is_tls;

/// What every transaction has: texts of values don't depend on the server's settings, nothing but the run's own limits ends a statement,
/// and where the server can tell (PostgreSQL 14 and later, on some systems), a statement whose client is gone ends; it may run for hours
/// otherwise.
const SETTINGS: &str = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL standard_conforming_strings = on; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SELECT CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL AND version() ~* 'linux|darwin|apple|bsd' \
     THEN set_config('client_connection_check_interval', '10s', true) END";

/// Silence after which the server is asked whether it lives, and how often: a dead one is noticed after about two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 6;

/// A connection, and what ends its statement from another thread.
pub struct Session<C = Client> {
    /// The connection.
    pub client: C,
    /// For another thread.
    pub canceller: Canceller,
    /// The server and database, for messages.
    pub place: String,
}

/// A source's session.
pub type ReadingSession = Session<reading::Client>;

/// A way of using a connection.
pub trait Connection: Sized + Send + 'static {
    /// Connects; returns what ends a statement beside it.
    ///
    /// # Errors
    /// What the server or the connection reports.
    fn connect(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Self, Token), postgres::Error>;
}

impl Connection for Client {
    fn connect(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Self, Token), postgres::Error> {
        let mut config = postgres::Config::from(config.clone());
        // Notices go nowhere: a server's chatter is no event of a run.
        config.notice_callback(|_| {});
        let client = match tls {
            Some(tls) => config.connect(tls),
            None => config.connect(NoTls),
        }?;
        let token = Token::Library(client.cancel_token());
        Ok((client, token))
    }
}

impl<C> std::fmt::Debug for Session<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.place)
    }
}

/// What the server knows a connection by.
#[derive(Clone)]
pub enum Token {
    /// Of the library's own client.
    Library(CancelToken),
    /// Of a source's connection.
    Reading(tokio_postgres::CancelToken),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

/// Ends the statement of a connection from another thread.
#[derive(Clone)]
pub struct Canceller {
    token: Token,
    tls: Option<MakeRustlsConnect>,
    host: String,
    port: u16,
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Canceller")
    }
}

impl Canceller {
    /// Asks the server to end the statement; whether it does is seen by whoever waits for it.
    pub fn cancel(&self) {
        // A server that can't be reached has nothing left to cancel.
        let Self { token, tls, host, port } = self;
        let _ = match (token, tls) {
            (Token::Reading(token), tls) => return cancel::send(token, tls.clone(), host, *port),
            (Token::Library(token), Some(tls)) => token.cancel_query(tls.clone()),
            (Token::Library(token), None) => token.cancel_query(NoTls),
        };
    }
}

impl<C: Connection> Session<C> {
    /// Connects.
    ///
    /// # Errors
    /// Whatever keeps the server from being reached or from letting us in within the plan's time.
    pub fn open(plan: &PostgresConnection) -> Result<Self, ConnectError> {
        // On a thread of its own: the library limits the time of the TCP connection alone, and a server may take that and say nothing.
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let (own, seconds) = (plan.clone(), plan.connect_timeout_seconds.max(1));
        std::thread::spawn(move || {
            // Where nobody waits any more, nobody needs to know.
            let _ = sender.send(Self::open_in_time(&own));
        });
        receiver.recv_timeout(Duration::from_secs(seconds)).unwrap_or_else(|_| {
            let message = format!("connect to {}: no answer within {seconds} s", place(plan));
            let hint = "check host and port of the connection; connect_timeout_seconds is how long it may take".to_owned();
            Err(ConnectError { code: "unreachable", message, hint: Some(hint), is_transient: true, retry_after: None })
        })
    }

    fn open_in_time(plan: &PostgresConnection) -> Result<Self, ConnectError> {
        let place = place(plan);
        let attempts = attempts(plan);
        let mut last = None;
        for (number, (encryption, check)) in attempts.iter().enumerate() {
            match connect(plan, *encryption, *check, &place) {
                Ok(session) => return Ok(session),
                Err(failed) => {
                    let is_last = number + 1 == attempts.len();
                    if is_last || !failed.is_of_encryption {
                        // Where both ways fail, the first says more, unless it was about encryption alone.
                        return Err(last.filter(|_| failed.is_of_encryption).unwrap_or(failed.error));
                    }
                    last = Some(failed.error);
                }
            }
        }
        Err(last.expect("there is an attempt at least"))
    }
}

impl<C> Session<C> {
    /// Makes an error of what the server or the connection reports.
    pub fn failure(&self, verb: &str, error: &postgres::Error) -> ConnectError {
        failure(&format!("{verb} on {}", self.place), error)
    }
}

/// Returns the server and database as messages name them, without the login.
pub fn place(plan: &PostgresConnection) -> String {
    let host = if plan.host.contains(':') { format!("[{}]", plan.host) } else { plan.host.clone() };
    format!("{host}:{}/{}", plan.port, plan.database)
}

/// Returns the statements that settle a transaction. Nothing is ever set for a session: behind a pooler that parts sessions by
/// transactions, the next transaction of the session is somebody else's.
pub fn local_settings() -> &'static str {
    SETTINGS
}

/// Gives the transaction the bytes of a database that has no encoding as they are: else the server refuses the first that is no UTF-8, and
/// nobody knows where it stands.
pub const AS_THEY_ARE: &str =
    "SELECT set_config('client_encoding', 'SQL_ASCII', true) WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// Returns an identifier in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the ways in which connecting is tried, in libpq's order.
fn attempts(plan: &PostgresConnection) -> Vec<(Encryption, Check)> {
    let checked = if plan.sslrootcert.is_some() { Check::Chain } else { Check::Nothing };
    match plan.sslmode {
        // A unix socket is never encrypted.
        _ if plan.host.starts_with('/') => vec![(Encryption::Disable, Check::Nothing)],
        SslMode::Disable => vec![(Encryption::Disable, Check::Nothing)],
        SslMode::Allow => vec![(Encryption::Disable, Check::Nothing), (Encryption::Require, Check::Nothing)],
        SslMode::Prefer => vec![(Encryption::Prefer, Check::Nothing), (Encryption::Disable, Check::Nothing)],
        // "If a root CA file exists, the behavior of sslmode=require will be the same as that of verify-ca" (libpq).
        SslMode::Require => vec![(Encryption::Require, checked)],
        SslMode::VerifyCa => vec![(Encryption::Require, Check::Chain)],
        SslMode::VerifyFull => vec![(Encryption::Require, Check::ChainAndName)],
    }
}

struct Failed {
    error: ConnectError,
    /// Whether another way of encryption may do.
    is_of_encryption: bool,
}

fn connect<C: Connection>(plan: &PostgresConnection, encryption: Encryption, check: Check, place: &str) -> Result<Session<C>, Failed> {
    let mut config = Config::new();
    config
        .host(&plan.host)
        .port(plan.port)
        .dbname(&plan.database)
        .user(&plan.user)
        .application_name("etlsched")
        .connect_timeout(Duration::from_secs(plan.connect_timeout_seconds.max(1)))
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .ssl_mode(encryption);
    if let Some(password) = &plan.password {
        config.password(password.expose());
    }
    let client_files = plan.sslcert.as_deref().zip(plan.sslkey.as_deref());
    let tls = if encryption == Encryption::Disable {
        None
    } else {
        let config = tls::config(check, tls::Files { roots: plan.sslrootcert.as_deref(), client: client_files });
        let config = config.map_err(|message| Failed {
            error: ConnectError {
                code: "tls",
                message,
                hint: Some("check the files of the connection".to_owned()),
                is_transient: false,
                retry_after: None,
            },
            is_of_encryption: false,
        })?;
        Some(MakeRustlsConnect::new(config))
    };
    let (client, token) = C::connect(&config, tls.clone()).map_err(|error| Failed {
        is_of_encryption: is_tls(&error) || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION),
        error: failure(&format!("connect to {place}"), &error),
    })?;
    let canceller = Canceller { token, tls, host: plan.host.clone(), port: plan.port };
    Ok(Session { client, canceller, place: place.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sslmode: SslMode) -> PostgresConnection {
        PostgresConnection {
            host: "127.0.0.1".to_owned(),
            port: 1,
            database: "d".to_owned(),
            user: "u".to_owned(),
            password: None,
            sslmode,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout_seconds: 5,
        }
    }

    #[test]
    fn each_word_of_sslmode_means_what_libpq_means() {
        let check = |mode, expected: &[(Encryption, Check)]| assert_eq!(attempts(&plan(mode)), expected, "{mode:?}");
        check(SslMode::Disable, &[(Encryption::Disable, Check::Nothing)]);
        check(SslMode::Allow, &[(Encryption::Disable, Check::Nothing), (Encryption::Require, Check::Nothing)]);
        check(SslMode::Prefer, &[(Encryption::Prefer, Check::Nothing), (Encryption::Disable, Check::Nothing)]);
        check(SslMode::Require, &[(Encryption::Require, Check::Nothing)]);
        check(SslMode::VerifyCa, &[(Encryption::Require, Check::Chain)]);
        check(SslMode::VerifyFull, &[(Encryption::Require, Check::ChainAndName)]);
        let with_root = PostgresConnection { sslrootcert: Some("ca.crt".into()), ..plan(SslMode::Require) };
        assert_eq!(attempts(&with_root), [(Encryption::Require, Check::Chain)]);
    }

    #[test]
    fn a_port_that_nobody_listens_on_is_told_with_a_hint() {
        // Port 1 (tcpmux) needs root and is never in use here.
        let error = Session::<Client>::open(&plan(SslMode::Prefer)).unwrap_err();
        assert_eq!((error.code, error.is_transient), ("unreachable", true), "{error}");
        assert!(error.message.starts_with("connect to 127.0.0.1:1/d: "), "{error}");
        assert!(error.hint.unwrap().contains("host and port"));
    }

    #[test]
    fn a_server_that_says_nothing_is_left_in_time() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let error = Session::<Client>::open(&PostgresConnection { port, connect_timeout_seconds: 1, ..plan(SslMode::Prefer) }).unwrap_err();
        assert_eq!(error.message, format!("connect to 127.0.0.1:{port}/d: no answer within 1 s"));
        assert_eq!((error.code, error.is_transient), ("unreachable", true));
    }

    #[test]
    fn a_root_certificate_that_is_not_there_is_named() {
        let plan = PostgresConnection { sslrootcert: Some("/nowhere/ca.crt".into()), ..plan(SslMode::VerifyFull) };
        let error = Session::<Client>::open(&plan).unwrap_err();
        assert_eq!(error.code, "tls");
        assert!(error.message.contains("/nowhere/ca.crt"), "{error}");
    }

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quoted("a\"b; DROP"), "\"a\"\"b; DROP\"");
    }
}
