//! Holder of a place or turn: an identity, or who has shown none by its address.

use std::net::{IpAddr, Ipv6Addr};

use voltmesh_identity::Identity;

/// Holder of a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Source(IpAddr),
    Identity(Identity),
}

/// Whom an address counts for: whoever has one IPv6 address has the /64 around it.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        for (address, counts_for) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ] {
            assert_eq!(source(address.parse().unwrap()), counts_for.parse::<IpAddr>().unwrap());
        }
    }
}
