//! What is said of the mail server, taken apart. Connects to nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

use super::address::Mailbox;

/// The mail server, as etlsched.yaml has it; secrets fetched.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// `smtp://` or `smtps://`, with a login or without.
    pub url: Secret,
    /// The sender: an address, or a name and an address.
    pub from: String,
    /// The login, where the URL has none.
    pub username: Option<String>,
    /// Its password, as it is.
    pub password: Option<Secret>,
    /// Whether the connection must be encrypted; what holds without it depends on the URL.
    pub tls: Option<SmtpTls>,
    /// Certificates that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long sending one mail may take, from the first packet to the last.
    pub timeout: Duration,
}

/// The words of `tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// No mail goes over a connection that isn't encrypted and proven.
    Required,
    /// Nothing is encrypted.
    None,
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From its first byte.
    Tls,
    /// After `STARTTLS`; a server that doesn't offer it gets no mail.
    StartTls,
    /// Never.
    Clear,
}

/// A mail server, ready to be connected to.
#[derive(Debug, Clone)]
pub struct Server {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Who sends.
    pub from: Mailbox,
}

/// What is wrong with the settings: without any part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

fn wrong<T>(message: impl Into<String>, hint: impl Into<Option<&'static str>>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), hint: hint.into() })
}

const URL_HINT: &str = "write smtps://USER:PASSWORD@HOST, or smtp://HOST:587 with username and password beside it";
const PERCENT_HINT: &str = "write a % of the password as %25, or give the password under password, where it stands as it is";

impl SmtpSettings {
    /// Takes the settings apart.
    ///
    /// # Errors
    /// A URL that names no mail server, a login in two places, an address that is none.
    pub fn server(&self) -> Result<Server, Wrong> {
        let url = self.url.expose();
        let (is_tls, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("smtps") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("smtp") => (false, rest),
            _ => return wrong("it begins with neither smtps:// nor smtp://", URL_HINT),
        };
        // The last @: passwords have @, / and # in them, and hosts don't.
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let (host, port) = host_and_port(place)?;
        let security = match (is_tls, self.tls) {
            (true, Some(SmtpTls::None)) => return wrong("smtps:// and tls: none together", "write smtp://, or leave tls out"),
            (true, _) => Security::Tls,
            (false, Some(SmtpTls::Required)) => Security::StartTls,
            (false, Some(SmtpTls::None)) => Security::Clear,
            (false, None) if is_loopback(&host) => Security::Clear,
            (false, None) => Security::StartTls,
        };
        let port = port.unwrap_or(match security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::Clear => 25,
        });
        let from = Mailbox::parse(&self.from).map_err(|why| Wrong { message: format!("from is no mail address: {why}"), hint: None })?;
        Ok(Server { host, port, security, login: self.login(login)?, from })
    }

    /// Returns the password in the URL, as it stands there and as it is: what nobody may print.
    pub fn login_in_url(&self) -> Vec<Secret> {
        let rest = self.url.expose().split_once("://").map_or("", |(_, rest)| rest);
        let Some((_, password)) = rest.rsplit_once('@').and_then(|(login, _)| login.split_once(':')) else { return Vec::new() };
        let mut passwords = vec![Secret::new(password)];
        passwords.extend(decoded(password).ok().filter(|decoded| decoded != password).map(Secret::new));
        passwords
    }

    fn login(&self, of_url: Option<&str>) -> Result<Option<(String, Secret)>, Wrong> {
        let (user, password) = match of_url.map(|login| login.split_once(':').map_or((login, None), |(user, pass)| (user, Some(pass)))) {
            None => (None, None),
            Some((user, password)) => (Some(decoded(user)?), password.map(decoded).transpose()?.map(Secret::new)),
        };
        let user = match (user.filter(|user| !user.is_empty()), &self.username) {
            (Some(_), Some(_)) => return wrong("the url has a user, and username is given too", "keep one of them"),
            (of_url, own) => of_url.or_else(|| own.clone()),
        };
        let password = match (password, &self.password) {
            (Some(_), Some(_)) => return wrong("the url has a password, and password is given too", "keep one of them"),
            (of_url, own) => of_url.or_else(|| own.clone()),
        };
        match (user, password) {
            (None, None) => Ok(None),
            (Some(user), Some(password)) => Ok(Some((user, password))),
            (Some(_), None) => wrong("it has a user and no password", "add password: \"${SMTP_PASSWORD}\" under smtp"),
            (None, Some(_)) => wrong("it has a password and no user", "add username under smtp"),
        }
    }
}

impl Server {
    /// Whether a password would cross a network that others can read.
    pub fn is_login_in_clear(&self) -> bool {
        self.login.is_some() && self.security == Security::Clear && !is_loopback(&self.host)
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), Wrong> {
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or(port))),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |character: char| character.is_ascii_alphanumeric() || ".-_:".contains(character);
    if host.is_empty() {
        return wrong("it has no host", URL_HINT);
    }
    if !host.chars().all(is_host) {
        return wrong("its host is no host name", URL_HINT);
    }
    match port.map(|port| port.parse::<u16>().ok().filter(|port| *port != 0)) {
        None => Ok((host.to_owned(), None)),
        Some(Some(port)) => Ok((host.to_owned(), Some(port))),
        Some(None) => wrong("its port is no port", URL_HINT),
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns a text with its `%XX` replaced.
fn decoded(text: &str) -> Result<String, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'%', None) => return wrong("a % in it is not followed by two hex digits", PERCENT_HINT),
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(['\0', '\r', '\n']) => Ok(text),
        Ok(_) => wrong("its login has a line end in it", PERCENT_HINT),
        Err(_) => wrong("its login is not UTF-8", PERCENT_HINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> SmtpSettings {
        SmtpSettings {
            url: Secret::new(url),
            from: "etl <etl@example.com>".to_owned(),
            username: None,
            password: None,
            tls: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
        }
    }

    fn place(settings: &SmtpSettings) -> (String, u16, Security) {
        let server = settings.server().unwrap();
        (server.host, server.port, server.security)
    }

    #[track_caller]
    fn refuses(settings: &SmtpSettings, expected: &str) {
        assert_eq!(settings.server().unwrap_err().message, expected);
    }

    #[test]
    fn a_scheme_says_how_and_where_to_connect() {
        let host = || "mail.example.com".to_owned();
        assert_eq!(place(&settings("smtps://mail.example.com")), (host(), 465, Security::Tls));
        assert_eq!(place(&settings("smtp://mail.example.com")), (host(), 587, Security::StartTls));
        assert_eq!(place(&settings("SMTP://mail.example.com:25/")), (host(), 25, Security::StartTls));
        assert_eq!(place(&settings("smtp://localhost")), ("localhost".to_owned(), 25, Security::Clear));
        assert_eq!(place(&settings("smtp://[::1]:2525")), ("::1".to_owned(), 2525, Security::Clear));
        let clear = SmtpSettings { tls: Some(SmtpTls::None), ..settings("smtp://mail.example.com") };
        assert_eq!(place(&clear), (host(), 25, Security::Clear));
        let strict = SmtpSettings { tls: Some(SmtpTls::Required), ..settings("smtp://127.0.0.1") };
        assert_eq!(place(&strict), ("127.0.0.1".to_owned(), 587, Security::StartTls));
    }

    #[test]
    fn a_login_stands_in_the_url_or_beside_it() {
        let login = |settings: &SmtpSettings| settings.server().unwrap().login.map(|(user, word)| (user, word.expose().to_owned()));
        let pair = |user: &str, word: &str| Some((user.to_owned(), word.to_owned()));
        assert_eq!(login(&settings("smtps://mail.example.com")), None);
        assert_eq!(login(&settings("smtps://etl:a%40b%25@mail.example.com")), pair("etl", "a@b%"));
        assert_eq!(login(&settings("smtps://etl@example.com:p/w#d?@mail.example.com")), pair("etl@example.com", "p/w#d?"));
        let beside = SmtpSettings { username: Some("etl".into()), password: Some(Secret::new("100%")), ..settings("smtps://h") };
        assert_eq!(login(&beside), pair("etl", "100%"));
        let mixed = SmtpSettings { password: Some(Secret::new("100%")), ..settings("smtps://etl@h") };
        assert_eq!(login(&mixed), pair("etl", "100%"));
    }

    #[test]
    fn what_names_no_mail_server_is_refused_without_being_shown() {
        refuses(&settings("https://etl:hunter22@h"), "it begins with neither smtps:// nor smtp://");
        refuses(&settings("mail.example.com:25"), "it begins with neither smtps:// nor smtp://");
        refuses(&settings("smtps://"), "it has no host");
        refuses(&settings("smtps://etl:hunter22@"), "it has no host");
        refuses(&settings("smtps://mail.example.com:smtp"), "its port is no port");
        refuses(&settings("smtps://mail.example.com/inbox"), "its host is no host name");
        refuses(&settings("smtps://etl:100%@h"), "a % in it is not followed by two hex digits");
        refuses(&settings("smtps://etl:a%0d%0aRSET@h"), "its login has a line end in it");
        refuses(&settings("smtps://etl@h"), "it has a user and no password");
        refuses(&SmtpSettings { tls: Some(SmtpTls::None), ..settings("smtps://h") }, "smtps:// and tls: none together");
        refuses(&SmtpSettings { password: Some(Secret::new("x")), ..settings("smtps://h") }, "it has a password and no user");
        refuses(&SmtpSettings { username: Some("b".into()), ..settings("smtps://a:c@h") }, "the url has a user, and username is given too");
        refuses(&SmtpSettings { from: "etl".to_owned(), ..settings("smtps://h") }, "from is no mail address: it has no @");
    }

    #[test]
    fn a_password_in_clear_is_noticed_unless_it_stays_on_this_machine() {
        let clear = |url| SmtpSettings { tls: Some(SmtpTls::None), ..settings(url) }.server().unwrap().is_login_in_clear();
        assert_eq!([clear("smtp://a:b@h"), clear("smtp://h"), clear("smtp://a:b@127.0.0.1")], [true, false, false]);
    }
}
