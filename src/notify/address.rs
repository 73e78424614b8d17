//! Mail addresses. What passes here can neither end a header nor become a second address.

use std::fmt;

use reqwest::Url;

use crate::text::is_steering;

/// A mail address as RFC 5321 allows it unquoted, with a dot in its domain or `localhost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    local: String,
    /// As written; it may have letters of every alphabet.
    domain: String,
    /// The domain as servers are told it.
    ascii_domain: String,
}

impl Address {
    /// Checks an address.
    ///
    /// # Errors
    /// The rule that it breaks, in words.
    pub fn parse(address: &str) -> Result<Self, &'static str> {
        let is_atom = |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character);
        let (local, domain) = address.split_once('@').ok_or("it has no @")?;
        if domain.contains('@') {
            return Err("it has two @");
        }
        if local.is_empty() || local.len() > 64 || !local.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom)) {
            return Err("before the @ there may be ASCII letters, digits, single dots and a few signs, at most 64 in all");
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|character| character.is_alphanumeric() || character == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if domain.len() > 253 || !domain.split('.').all(is_label) {
            return Err("behind the @ there is no host name");
        }
        if !domain.contains('.') && domain != "localhost" {
            return Err("the host name behind the @ has no dot");
        }
        let url = Url::parse(&format!("http://{domain}/")).map_err(|_| "behind the @ there is no host name")?;
        let ascii_domain = url.host_str().ok_or("behind the @ there is no host name")?.to_owned();
        Ok(Self { local: local.to_owned(), domain: domain.to_owned(), ascii_domain })
    }

    /// Returns the address as mail servers are told it: in ASCII.
    pub fn ascii(&self) -> String {
        format!("{}@{}", self.local, self.ascii_domain)
    }

    /// Returns the part before the @.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// Returns the part behind the @, in ASCII.
    pub fn ascii_domain(&self) -> &str {
        &self.ascii_domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.local, self.domain)
    }
}

/// An address with the name of whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, without the quotes around it.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Reads `address`, `Name <address>` or `"Name" <address>`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let Some((name, rest)) = text.rsplit_once('<') else { return Ok(Self { name: None, address: Address::parse(text)? }) };
        let address = rest.strip_suffix('>').ok_or("a < is not closed")?;
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).trim();
        if name.chars().any(is_steering) {
            return Err("its name has control characters");
        }
        if name.contains(['<', '>', '"']) {
            return Err("its name has brackets or quotes in it");
        }
        Ok(Self { name: Some(name.to_owned()).filter(|name| !name.is_empty()), address: Address::parse(address.trim())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_people_and_machines_pass() {
        for address in ["a@example.com", "first.last+tag@mail.example.co.uk", "root@localhost", "o'neil@example.com", "info@müller.example"]
        {
            assert_eq!(Address::parse(address).map(|address| address.to_string()), Ok(address.to_owned()));
        }
        assert_eq!(Address::parse("info@müller.example").unwrap().ascii(), "info@xn--mller-kva.example");
    }

    #[test]
    fn what_could_end_a_header_or_name_a_second_address_is_refused() {
        for address in [
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com, b@example.com",
            "a b@example.com",
            "a@b@example.com",
            "<a@example.com>",
            "a@example.com>",
            "\"a b\"@example.com",
            "a@",
            "@example.com",
            "a..b@example.com",
            "a@example",
            "a@-example.com",
            "a@[127.0.0.1]",
            "a\u{202e}@example.com",
            "a\0@example.com",
            "",
        ] {
            assert!(Address::parse(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        let parts = |text: &str| Mailbox::parse(text).map(|mailbox| (mailbox.name, mailbox.address.to_string()));
        let address = || "etl@example.com".to_owned();
        assert_eq!(parts("etl@example.com"), Ok((None, address())));
        assert_eq!(parts("ETL, Böhm & Co <etl@example.com>"), Ok((Some("ETL, Böhm & Co".to_owned()), address())));
        assert_eq!(parts("\"ETL (night)\" <etl@example.com>"), Ok((Some("ETL (night)".to_owned()), address())));
        for text in ["a\r\nBcc: x <etl@example.com>", "a <b> <etl@example.com>", "a <etl@example.com", "a <etl@example.com> b", "a"] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}
