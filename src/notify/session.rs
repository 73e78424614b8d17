//! One conversation with a mail server: connecting, TLS, login, one mail. The whole of it has one limit, whatever the server does: when it is
//! over, the connection is closed and nothing of the conversation goes on.
//!
//! The part before TLS is read here and not by lettre: what a server sends in clear behind its answer to STARTTLS would else be
//! taken for its first answer under TLS.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::channel::SendError;
use super::smtp::{Security, Server};
use super::wire::Wire;
use crate::secret::Masker;
use crate::text::{printable, shortened};

/// A mail with its envelope.
pub(super) struct Letter<'a> {
    pub from: lettre::Address,
    pub to: lettre::Address,
    pub bytes: &'a [u8],
}

/// How long connecting to one of a server's addresses may take: the next one may answer.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the goodbye may take; the mail is the server's by then.
const QUIT_MAX: Duration = Duration::from_millis(500);
/// The most bytes of one answer before TLS.
const REPLY_BYTES_MAX: usize = 8 * 1024;

/// What is being done, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Greeting,
    Encrypting,
    LoggingIn,
    Sender,
    Recipient,
    Content,
}

/// Holds a conversation; without a letter, up to the login.
///
/// # Errors
/// The server didn't take the letter.
pub(super) fn run(
    server: &Server,
    tls: Option<&Arc<rustls::ClientConfig>>,
    letter: Option<&Letter<'_>>,
    limit: Duration,
) -> Result<(), SendError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| SendError::temporary(format!("a runtime for mails can't be made: {error}")))?;
    let stage = Cell::new(Stage::Connecting);
    let result = runtime.block_on(async { timeout(limit, converse(server, tls, letter, &stage)).await });
    // A name that is still looked up must not hold us.
    runtime.shutdown_background();
    match result {
        Ok(result) => result.map_err(|trouble| trouble.error(server, stage.get())),
        Err(_) => {
            let text = format!("no answer within {} s", limit.as_secs_f64().ceil());
            Err(Trouble { text, hint: None, code: None }.error(server, stage.get()))
        }
    }
}

async fn converse(
    server: &Server,
    tls: Option<&Arc<rustls::ClientConfig>>,
    letter: Option<&Letter<'_>>,
    stage: &Cell<Stage>,
) -> Result<(), Trouble> {
    let hello = ClientId::default();
    let stream = connect(server).await?;
    stage.set(Stage::Greeting);
    let wire = match (server.security, tls) {
        (Security::Tls, Some(tls)) => {
            stage.set(Stage::Encrypting);
            Wire::encrypted(handshake(server, tls, stream).await?, "")
        }
        (Security::StartTls, Some(tls)) => {
            let stream = start_tls(stream, &hello, stage).await?;
            // lettre waits for a greeting, which this server has given already.
            Wire::encrypted(handshake(server, tls, stream).await?, "220 ready\r\n")
        }
        (Security::Clear, _) | (_, None) => Wire::clear(stream),
    };
    stage.set(Stage::Greeting);
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(wire), &hello).await?;
    if let Some((user, password)) = &server.login {
        stage.set(Stage::LoggingIn);
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
    }
    match letter {
        Some(letter) => deliver(&mut connection, letter, stage).await?,
        None => drop(connection.command(Noop).await?),
    }
    let _ = timeout(QUIT_MAX, connection.quit()).await;
    Ok(())
}

async fn deliver(connection: &mut AsyncSmtpConnection, letter: &Letter<'_>, stage: &Cell<Stage>) -> Result<(), Trouble> {
    stage.set(Stage::Sender);
    expect(&connection.command(Mail::new(Some(letter.from.clone()), Vec::new())).await?, Severity::PositiveCompletion)?;
    stage.set(Stage::Recipient);
    expect(&connection.command(Rcpt::new(letter.to.clone(), Vec::new())).await?, Severity::PositiveCompletion)?;
    stage.set(Stage::Content);
    expect(&connection.command(Data).await?, Severity::PositiveIntermediate)?;
    expect(&connection.message(letter.bytes).await?, Severity::PositiveCompletion)
}

/// Demands an answer of a class: lettre takes a 354 for a 250.
fn expect(response: &Response, severity: Severity) -> Result<(), Trouble> {
    if response.code().severity == severity {
        return Ok(());
    }
    let text = format!("an answer out of place: {} {}", response.code(), response.first_line().unwrap_or_default());
    Err(Trouble { text, hint: None, code: None })
}

async fn connect(server: &Server) -> Result<TcpStream, Trouble> {
    let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|error| Trouble { text: format!("its address can't be found: {error}"), hint: Some(HOST_HINT), code: None })?
        .collect();
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer from {} within {} s", address.ip(), CONNECT_MAX.as_secs()),
        }
    }
    Err(Trouble { text: last, hint: Some(HOST_HINT), code: None })
}

const HOST_HINT: &str = "check host and port of smtp.url, and that nothing between keeps them apart";
const TLS_HINT: &str = "give the certificate of its issuer as smtp.ca_file, and the name that it is made for as the host of smtp.url";
const START_HINT: &str = "use smtps://, or another port; only where the network is trusted: tls: none";

async fn handshake(
    server: &Server,
    tls: &Arc<rustls::ClientConfig>,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(server.host.clone());
    let name = name.map_err(|_| Trouble { text: "its name can't stand in a certificate".to_owned(), hint: Some(HOST_HINT), code: None })?;
    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(|error| {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let is_clear = error.to_string().contains("InvalidContentType") || error.to_string().contains("corrupt message");
        let hint = match (is_tls, is_clear) {
            (true, true) => Some("it doesn't speak TLS at once: write smtp:// for STARTTLS"),
            (true, false) => Some(TLS_HINT),
            (false, _) => None,
        };
        Trouble { text: error.to_string(), hint, code: None }
    })
}

/// Brings a server to the point where TLS begins.
async fn start_tls(mut stream: TcpStream, hello: &ClientId, stage: &Cell<Stage>) -> Result<TcpStream, Trouble> {
    let mut read = Vec::new();
    demand(&reply(&mut stream, &mut read).await?, "220")?;
    stream.write_all(format!("EHLO {hello}\r\n").as_bytes()).await?;
    let offers = reply(&mut stream, &mut read).await?;
    demand(&offers, "250")?;
    stage.set(Stage::Encrypting);
    if !offers.iter().skip(1).any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))) {
        return Err(Trouble { text: "it doesn't offer STARTTLS".to_owned(), hint: Some(START_HINT), code: None });
    }
    stream.write_all(b"STARTTLS\r\n").await?;
    demand(&reply(&mut stream, &mut read).await?, "220")?;
    if !read.is_empty() {
        return Err(Trouble {
            text: "it goes on in clear text where TLS begins: somebody may be in between".to_owned(),
            hint: None,
            code: None,
        });
    }
    Ok(stream)
}

/// Reads an answer of one or more lines; what came behind it stays in `read`.
async fn reply(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<Vec<String>, Trouble> {
    let mut lines: Vec<String> = Vec::new();
    let mut bytes = 0;
    loop {
        while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = read.drain(..=end).collect();
            bytes += line.len();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let is_reply = line.len() >= 3 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
            if !is_reply {
                return Err(Trouble { text: "it doesn't answer as a mail server does".to_owned(), hint: Some(HOST_HINT), code: None });
            }
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Ok(lines);
            }
        }
        if bytes + read.len() > REPLY_BYTES_MAX {
            return Err(Trouble { text: "its answer has no end".to_owned(), hint: None, code: None });
        }
        if stream.read_buf(read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

fn demand(lines: &[String], code: &str) -> Result<(), Trouble> {
    let first = lines.first().map_or("", String::as_str);
    if first.starts_with(code) {
        return Ok(());
    }
    Err(Trouble { text: first.to_owned(), hint: None, code: first.get(..3).and_then(|code| code.parse().ok()) })
}

/// Why a conversation ended too early.
struct Trouble {
    text: String,
    hint: Option<&'static str>,
    /// The code of the server's answer, where it is one.
    code: Option<u16>,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self { text: of_network(&error), hint: None, code: None }
    }
}

impl From<SmtpError> for Trouble {
    fn from(error: SmtpError) -> Self {
        let source = std::error::Error::source(&error);
        let cause = match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(inner) => of_network(inner),
            None => source.map_or_else(|| error.to_string(), ToString::to_string),
        };
        let code = error.status().map(u16::from);
        let text = match code {
            Some(code) => format!("{code} {cause}"),
            None if cause == "incomplete response" => CLOSED.to_owned(),
            None if error.is_response() => format!("it doesn't answer as a mail server does ({cause})"),
            None => cause,
        };
        Self { text, hint: None, code }
    }
}

const CLOSED: &str = "the connection was closed";

/// Whether a server that goes away is seen as an end, a reset or a broken pipe is chance.
fn of_network(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            CLOSED.to_owned()
        }
        _ => error.to_string(),
    }
}

impl Trouble {
    /// Says what it means for the mail. Everything that a person can put right within the days for which mails wait is temporary: a wrong
    /// password, a sender that isn't allowed, a certificate. Only an address or a content that is refused for good is not.
    fn error(self, server: &Server, stage: Stage) -> SendError {
        let place = format!("{}:{}", server.host, server.port);
        let what = match (stage, self.code.is_some()) {
            (Stage::Connecting, _) => "connecting",
            (Stage::Greeting, _) => "greeting it",
            (Stage::Encrypting, _) => "beginning TLS",
            (Stage::LoggingIn, true) => "it refuses the login",
            (Stage::LoggingIn, false) => "logging in",
            (Stage::Sender, true) => "it refuses the sender",
            (Stage::Sender, false) => "naming the sender",
            (Stage::Recipient, true) => "it refuses the recipient",
            (Stage::Recipient, false) => "naming the recipient",
            (Stage::Content, true) => "it refuses the mail",
            (Stage::Content, false) => "sending the mail",
        };
        let asks_for_login = matches!(self.code, Some(530 | 534 | 535 | 538))
            || server.login.is_none() && self.text.to_lowercase().contains("relay") && stage == Stage::Recipient;
        let hint = self.hint.or(match stage {
            Stage::LoggingIn if self.code.is_none() && self.text.contains("mechanism") => {
                Some("it takes no login by password here: check the port, or leave the login out")
            }
            Stage::LoggingIn => Some("check user and password of smtp in etlsched.yaml"),
            _ if asks_for_login => Some("add username and password under smtp in etlsched.yaml"),
            Stage::Sender if self.code.is_some() => Some("check from under smtp in etlsched.yaml: this login may not send as it"),
            _ => None,
        });
        let text = shown(&self.text, server, self.code.is_some() || stage == Stage::LoggingIn);
        let message = format!("{place}: {what}: {text}{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default());
        let is_final = matches!(stage, Stage::Recipient | Stage::Content) && !asks_for_login;
        match self.code {
            Some(500..600) if is_final => SendError::Permanent { message },
            _ => SendError::Temporary { message, retry_after: None },
        }
    }
}

/// Returns what happened as one line. A server may repeat what it was told, also the login, and that in base64.
fn shown(text: &str, server: &Server, is_answer: bool) -> String {
    let secrets = server.login.iter().map(|(_, password)| password.expose().to_owned());
    let words: Vec<&str> = text.split_whitespace().map(|word| if is_answer && is_coded(word) { "***" } else { word }).collect();
    shortened(&printable(&Masker::new(secrets).mask(&words.join(" "))), 300).into_owned()
}

/// Whether a word may be a login in base64.
fn is_coded(word: &str) -> bool {
    let is_base64 = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    let has_case = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) && word.bytes().any(|byte| byte.is_ascii_lowercase());
    word.len() >= 8 && is_base64 && (has_case || word.ends_with('='))
}
