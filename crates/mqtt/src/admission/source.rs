//! Source of connections whose client is not known yet.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Whom a connection counts for before its handshake: an IPv4 address, or the /64 that an IPv6 network hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Source(IpAddr);

impl Source {
    pub(crate) fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(v4) => Source(v4.into()),
            IpAddr::V6(v6) => Source(Ipv6Addr::from(u128::from(v6) >> 64 << 64).into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}
