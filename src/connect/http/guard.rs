//! Which addresses may be fetched from, and where a URL may lead on to. Asked before each request and again when a name is resolved, so
//! that what was checked is what is connected to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How many redirects are followed.
pub const REDIRECTS_MAX: usize = 10;

/// Names of metadata services (Google, Amazon, Tencent): a proxy would resolve them where we can't look.
const METADATA_NAMES: [&str; 6] =
    ["metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"];

/// Looks names up.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Refuses link-local addresses and those of metadata services.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    allow_link_local: bool,
    look_up: LookUp,
}

impl Guard {
    /// Makes a guard that asks the system for names.
    pub fn new(allow_link_local: bool) -> Self {
        Self { allow_link_local, look_up: |name| Ok((name, 0).to_socket_addrs()?.collect()) }
    }

    /// As [`Guard::new`], with another way to look names up.
    #[cfg(test)]
    pub fn with_names(look_up: LookUp) -> Self {
        Self { allow_link_local: false, look_up }
    }

    /// Demands a URL that may be asked for by what it says: its scheme, its literal address, its name.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check(self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme {} is neither http nor https", url.scheme()));
        }
        let host = url.host_str().ok_or("the URL has no host")?;
        if self.allow_link_local {
            return Ok(());
        }
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if is_forbidden(address) => Err(forbidden(&address.to_string())),
            Ok(_) => Ok(()),
            Err(_) if METADATA_NAMES.contains(&host.trim_end_matches('.')) => Err(forbidden(host)),
            Err(_) => Ok(()),
        }
    }

    /// As [`Guard::check`], and looks the name up: a proxy resolves names itself, and this guard would not be asked then. A name that
    /// can't be looked up here passes: without a proxy it can't be reached either.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check_name(self, url: &Url) -> Result<(), String> {
        self.check(url)?;
        let host = url.host_str().unwrap_or_default();
        if self.allow_link_local || host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let found = (self.look_up)(host).unwrap_or_default();
        match found.iter().find(|address| is_forbidden(address.ip())) {
            Some(address) => Err(forbidden(&format!("{host} is {}, which", address.ip()))),
            None => Ok(()),
        }
    }

    /// Demands that a redirect may be followed.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check_redirect(self, from: &Url, to: &Url) -> Result<(), String> {
        self.check_name(to).map_err(|reason| format!("a redirect is not followed: {reason}"))?;
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err("a redirect leads from https to http".to_owned());
        }
        Ok(())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let addresses = (guard.look_up)(name.as_str())?;
            if let Some(address) = addresses.iter().find(|address| !guard.allow_link_local && is_forbidden(address.ip())) {
                return Err(forbidden(&address.ip().to_string()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an error of the guard is among these texts.
pub fn is_refusal(text: &str) -> bool {
    text.contains("allow_link_local")
}

fn forbidden(what: &str) -> String {
    format!("{what} is a link-local or cloud metadata address; allow_link_local: true allows it")
}

/// Link-local addresses, and those where clouds hand out credentials (AWS, Alibaba, Azure, Oracle, Google), in every spelling of IPv6.
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let services = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
            v4.is_link_local() || services.contains(&v4.octets())
        }
        IpAddr::V6(v6) => {
            let services = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
            v6.is_unicast_link_local() || services.contains(&v6) || embedded(v6).is_some_and(|v4| is_forbidden(IpAddr::V4(v4)))
        }
    }
}

/// Returns the IPv4 address inside an IPv6 one: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0x64, 0xff9b, ..] => Some(of(parts[6], parts[7])),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => address.to_ipv4(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), String> {
        Guard::new(false).check(&Url::parse(url).unwrap())
    }

    #[test]
    fn every_spelling_of_a_metadata_address_is_refused() {
        for host in [
            "169.254.169.254",
            "0xA9FEA9FE",
            "2852039166",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[::ffff:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "metadata.google.internal",
            "METADATA.google.internal.",
        ] {
            let refused = check(&format!("http://{host}/latest")).unwrap_err();
            assert!(is_refusal(&refused), "{host}: {refused}");
            Guard::new(true).check(&Url::parse(&format!("http://{host}/")).unwrap()).unwrap();
        }
    }

    #[test]
    fn addresses_of_machines_pass_and_other_schemes_do_not() {
        for host in ["127.0.0.1", "10.0.0.8", "192.168.1.1", "[::1]", "[fd00::1]", "100.100.100.201", "api.example.com"] {
            assert_eq!(check(&format!("https://{host}/")), Ok(()), "{host}");
        }
        assert_eq!(check("file:///etc/passwd"), Err("the scheme file is neither http nor https".to_owned()));
        assert_eq!(check("ftp://host/"), Err("the scheme ftp is neither http nor https".to_owned()));
    }

    #[test]
    fn a_name_that_leads_to_a_metadata_address_is_refused_however_it_is_resolved() {
        let guard = Guard::with_names(|name| {
            let addresses =
                if name == "rebound.test" { vec![([10, 0, 0, 1], 0), ([169, 254, 169, 254], 0)] } else { vec![([10, 0, 0, 1], 0)] };
            Ok(addresses.into_iter().map(SocketAddr::from).collect())
        });
        let refused = guard.check_name(&Url::parse("http://rebound.test/").unwrap()).unwrap_err();
        let expected = "rebound.test is 169.254.169.254, which is a link-local or cloud metadata address; allow_link_local: true allows it";
        assert_eq!(refused, expected);
        assert_eq!(guard.check_name(&Url::parse("http://good.test/").unwrap()), Ok(()));
        let client = reqwest::blocking::Client::builder()
            .dns_resolver(std::sync::Arc::new(guard))
            .no_proxy()
            .tls_backend_preconfigured(crate::connect::tls::web(None).unwrap());
        let error = client.build().unwrap().get("http://rebound.test:1/").send().unwrap_err();
        assert!(is_refusal(&format!("{error:?}")), "{error:?}");
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let url = |text: &str| Url::parse(text).unwrap();
        let guard = Guard::new(false);
        assert_eq!(guard.check_redirect(&url("http://127.0.0.1/"), &url("https://127.0.0.2/")), Ok(()));
        let refused = guard.check_redirect(&url("https://127.0.0.1/"), &url("http://127.0.0.1/"));
        assert_eq!(refused, Err("a redirect leads from https to http".to_owned()));
        let refused = guard.check_redirect(&url("http://127.0.0.1/"), &url("file:///etc/passwd"));
        assert_eq!(refused, Err("a redirect is not followed: the scheme file is neither http nor https".to_owned()));
    }
}
