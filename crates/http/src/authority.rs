//! The host that a request names: a name or an address with a port, written one way.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest name: RFC 1035 2.3.4.
const MAX_NAME: usize = 253;

/// A host as a URL or a `Host` field names it, in one form for each host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Lower case, without a dot at its end.
    Name(String),
    /// IPv4 within IPv6 is IPv4.
    Address(IpAddr),
}

/// `host` or `host:port`, without anything else that RFC 3986 allows there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Authority {
    /// Who.
    pub host: Host,
    /// The port, if it is said.
    pub port: Option<u16>,
}

impl FromStr for Authority {
    type Err = ();

    /// Strict: what a browser or `curl` sends. User information, zones, empty ports and percent signs are refused, so that no two
    /// readers can see two hosts in one text.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, after) = rest.split_once(']').ok_or(())?;
                let address: Ipv6Addr = inside.parse().map_err(drop)?;
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':').ok_or(())?),
                };
                (Host::address(address.into()), port)
            }
            None => {
                let (host, port) =
                    text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                (host.parse()?, port)
            }
        };
        let port = port.map(read_port).transpose()?;
        Ok(Self { host, port })
    }
}

/// Digits only: `u16` would also take a sign.
fn read_port(text: &str) -> Result<u16, ()> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(()),
    }
}

impl Host {
    /// An address in its one form.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl FromStr for Host {
    type Err = ();

    /// An IPv4 address or a name; no brackets.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(known)
        };
        if name.len() > MAX_NAME || !name.split('.').all(label) {
            return Err(());
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_one_form() {
        for (text, form) in [
            ("localhost", "localhost"),
            ("LocalHost.:9100", "localhost:9100"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:9100", "[::1]:9100"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
            ("fog_1.example-2.net:65535", "fog_1.example-2.net:65535"),
        ] {
            assert_eq!(text.parse::<Authority>().map(|read| read.to_string()), Ok(form.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "localhost:",
            "localhost:0",
            "localhost:+80",
            "localhost:65536",
            "localhost:000080",
            "localhost:80:80",
            "localhost..",
            ".localhost",
            "a..b",
            "user@localhost",
            "localhost@evil.example",
            "localhost:80@evil.example",
            "evil.example/localhost",
            "evil.example#localhost",
            "evil.example?localhost",
            "evil.example\\localhost",
            "local host",
            " localhost",
            "localhost ",
            "localhost,evil.example",
            "::1",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "[::1%lo]",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "%6cocalhost",
            "http://localhost",
            "localhost\0",
            "löcalhost",
        ] {
            assert_eq!(text.parse::<Authority>(), Err(()), "{text:?}");
        }
        assert_eq!("a".repeat(64).parse::<Authority>(), Err(()));
    }

    #[test]
    fn a_number_that_is_no_dotted_quad_is_a_name_and_never_an_address() {
        for text in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.1"] {
            let read: Authority = text.parse().unwrap();
            assert!(matches!(read.host, Host::Name(_)), "{text}");
        }
    }
}
