//! The list of allowed hosts, as given to `--allow-net`, and its two checks: whether a URL may contain this host, and
//! whether a connection to this address is allowed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use super::address::{is_public, plain};

/// The allowed hosts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    host: Host,
    /// Only this port; `None` for any port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// `*`.
    Any,
    /// In lower case, as in a URL.
    Name(String),
    /// `*.example.com`: the part after the star.
    Below(String),
    /// One address, or a network of them, with the number of significant bits.
    Addresses(IpAddr, u8),
}

const FORM: &str =
    "write a host such as api.example.com, *.example.com, localhost:8080 or 10.1.0.0/16, several with commas between";

impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rules =
            text.split(',').map(str::trim).filter(|host| !host.is_empty()).map(rule).collect::<Result<_, _>>()?;
        Ok(Self(rules))
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let wrong = || format!("`{text}` is not a host; {FORM}");
    if text.contains("://") {
        return Err(format!("`{text}` is a URL, not a host; {FORM}"));
    }
    if let Some((address, bits)) = text.split_once('/') {
        let address: IpAddr = address.trim_matches(['[', ']']).parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
        return Ok(Rule { host: Host::Addresses(address, bits), port: None });
    }
    let whole = |address: IpAddr| Host::Addresses(plain(address), if plain(address).is_ipv4() { 32 } else { 128 });
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Rule { host: whole(address), port: None });
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?)),
        None => (text, None),
    };
    if name == "*" {
        return Ok(Rule { host: Host::Any, port });
    }
    let (name, below) = match name.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    // The host in the form that a URL parser produces: lower case, Punycode, and standard notation for addresses.
    let url = Url::parse(&format!("http://{name}/")).map_err(|_| wrong())?;
    let clean =
        url.path() == "/" && url.username().is_empty() && url.port().is_none() && !name.contains(['/', '?', '#']);
    let host = url.host_str().filter(|host| clean && !host.contains('*')).ok_or_else(wrong)?;
    let host = match (host.trim_matches(['[', ']']).parse::<IpAddr>(), below) {
        (Ok(_), true) => return Err(wrong()),
        (Ok(address), false) => whole(address),
        (Err(_), below) => {
            let host = host.strip_suffix('.').unwrap_or(host).to_owned();
            if host.split('.').any(str::is_empty) || Url::parse(&format!("http://{host}/")).is_err() {
                return Err(wrong());
            }
            if below { Host::Below(host) } else { Host::Name(host) }
        }
    };
    Ok(Rule { host, port })
}

impl Hosts {
    /// Returns whether no host is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the list contains this name, without a trailing dot, for this port.
    pub(super) fn name(&self, name: &str, port: u16) -> bool {
        self.0.iter().any(|rule| {
            let host = match &rule.host {
                Host::Any => true,
                Host::Name(known) => known == name,
                Host::Below(parent) => name.strip_suffix(parent.as_str()).is_some_and(|below| below.ends_with('.')),
                Host::Addresses(..) => false,
            };
            host && rule.port.is_none_or(|only| only == port)
        })
    }

    /// Returns whether a URL may contain this address, with this port.
    pub(super) fn literal(&self, address: IpAddr, port: u16) -> bool {
        self.0.iter().any(|rule| {
            let host = match &rule.host {
                Host::Any => is_public(address),
                Host::Addresses(..) => rule.holds(address),
                Host::Name(_) | Host::Below(_) => false,
            };
            host && rule.port.is_none_or(|only| only == port)
        })
    }

    /// Returns whether a connection may be made to this address of an allowed name. Public addresses are allowed.
    /// Loopback addresses are allowed only for `localhost`, if `localhost` is on the list. Any other address must be on
    /// the list itself.
    pub(super) fn found(&self, name: &str, address: IpAddr) -> bool {
        is_public(address)
            || self.0.iter().any(|rule| match &rule.host {
                Host::Name(known) => known == "localhost" && name == "localhost" && plain(address).is_loopback(),
                Host::Addresses(..) => rule.port.is_none() && rule.holds(address),
                Host::Any | Host::Below(_) => false,
            })
    }
}

impl Rule {
    fn holds(&self, address: IpAddr) -> bool {
        let Host::Addresses(network, bits) = self.host else { return false };
        match (network, plain(address)) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u32::from(network) ^ u32::from(address)).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address)).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hosts({self})")
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match &rule.host {
                Host::Any => write!(f, "{comma}*")?,
                Host::Name(name) => write!(f, "{comma}{name}")?,
                Host::Below(name) => write!(f, "{comma}*.{name}")?,
                Host::Addresses(address, bits) if rule.port.is_some() && address.is_ipv6() => {
                    write!(f, "{comma}[{address}]")?
                }
                Host::Addresses(address, 32) if address.is_ipv4() => write!(f, "{comma}{address}")?,
                Host::Addresses(address, 128) => write!(f, "{comma}{address}")?,
                Host::Addresses(address, bits) => write!(f, "{comma}{address}/{bits}")?,
            }
            if let Some(port) = rule.port {
                write!(f, ":{port}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(text: &str) -> Hosts {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_compared_as_urls_have_them() {
        let list = hosts("API.example.com:443, *.Example.org,bücher.example,");
        assert_eq!(list.to_string(), "api.example.com:443,*.example.org,xn--bcher-kva.example");
        assert!(list.name("api.example.com", 443) && !list.name("api.example.com", 80));
        assert!(list.name("a.b.example.org", 1) && !list.name("example.org", 80) && !list.name("badexample.org", 80));
        assert!(list.name("xn--bcher-kva.example", 80));
    }

    #[test]
    fn addresses_are_allowed_by_number_only() {
        let list = hosts("127.0.0.1:8080,10.1.0.0/16,[::1]:9,fd00::/8,0x7f.2");
        assert_eq!(list.to_string(), "127.0.0.1:8080,10.1.0.0/16,[::1]:9,fd00::/8,127.0.0.2");
        assert!(list.literal(ip("127.0.0.1"), 8080) && !list.literal(ip("127.0.0.1"), 80));
        assert!(list.literal(ip("::ffff:127.0.0.1"), 8080));
        assert!(list.literal(ip("10.1.255.1"), 1) && !list.literal(ip("10.2.0.1"), 1));
        assert!(list.literal(ip("fd12::1"), 1) && !list.literal(ip("8.8.8.8"), 80));
        assert!(list.found("internal.example", ip("10.1.0.7")) && !list.found("internal.example", ip("127.0.0.1")));
    }

    proptest! {
        /// An accepted list means the same after it is written and read again.
        #[test]
        fn a_list_survives_being_written(text in "[a-z0-9.*:/\\[\\],%@xé -]{0,30}|\\PC{0,20}|[0-9a-f:.]{3,20}(/[0-9]{1,3})?(:[0-9]{1,5})?") {
            if let Ok(list) = text.parse::<Hosts>() {
                prop_assert_eq!(list.to_string().parse::<Hosts>(), Ok(list));
            }
        }
    }

    #[test]
    fn a_star_is_everybody_in_public() {
        let list = hosts("*");
        assert!(list.name("anything.example", 80) && list.literal(ip("8.8.8.8"), 80));
        assert!(!list.literal(ip("127.0.0.1"), 80) && !list.found("localhost", ip("127.0.0.1")));
    }

    #[test]
    fn localhost_is_this_machine_and_nothing_else_is() {
        let list = hosts("localhost,rebind.example");
        assert!(list.found("localhost", ip("127.0.0.1")) && list.found("localhost", ip("::1")));
        assert!(!list.found("localhost", ip("10.0.0.1")) && !list.found("rebind.example", ip("127.0.0.1")));
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_to_write() {
        for text in [
            "https://api.example.com",
            "a/b",
            "a:b",
            "a:0",
            "user@host",
            "10.0.0.0/33",
            "*.*",
            "*.10.0.0.1",
            "a b",
            "fe80::1%eth0",
        ] {
            let error = text.parse::<Hosts>().unwrap_err();
            assert!(error.contains("api.example.com"), "{text}: {error}");
        }
    }
}
