//! Ports for processes that must know each other's addresses before they run.

use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

/// Where Linux says which ports it gives to outgoing connections, and what it says by default.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const EPHEMERAL_FROM: u16 = 32_768;

/// Ports that are looked through, just below the ephemeral ones.
const SPAN: u16 = 16_384;

/// Loopback port that is kept for a process of one deployment, also while that process is down between kill and restart.
///
/// It is bound by a socket that never listens: the process may listen beside it, as every listener sets `SO_REUSEADDR`
/// (socket(7)), while another deployment on this machine finds it taken. Outgoing connections are given other ports.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _held: TcpSocket,
}

impl ReservedPort {
    /// Takes a port that nobody has; it is free again when this is dropped.
    pub fn reserve() -> Result<Self> {
        let range = outside_ephemeral(std::fs::read_to_string(EPHEMERAL).ok().as_deref());
        let (first, span) = (range.start, range.len() as u16);
        // Deployments that start together begin at different places.
        let offset = rand::random_range(0..span);
        (0..span)
            .map(|step| super::local(first + (offset + step) % span))
            .find_map(|address| Some(Self { _held: hold(address).ok()?, address }))
            .with_context(|| format!("no port is free on loopback in {range:?}"))
    }

    /// Where the process may listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds a port that no other socket has, then allows listeners beside it.
fn hold(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(address)?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// The ports below the ephemeral range that the system states, or above it if it leaves no room below.
fn outside_ephemeral(stated: Option<&str>) -> Range<u16> {
    let mut bounds = stated.into_iter().flat_map(str::split_whitespace).map_while(|text| text.parse().ok());
    let low = bounds.next().unwrap_or(EPHEMERAL_FROM);
    let high: u16 = bounds.next().unwrap_or(u16::MAX);
    if low > 2 * 1024 { low.saturating_sub(SPAN).max(1024)..low } else { high.min(u16::MAX - 1024)..u16::MAX }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_are_never_those_of_outgoing_connections() {
        let range = outside_ephemeral(std::fs::read_to_string(EPHEMERAL).ok().as_deref());
        let ports: Vec<_> = (0..100).map(|_| ReservedPort::reserve().expect("a port")).collect();
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.address().port()).collect();
        assert!(numbers.iter().all(|port| range.contains(port)), "{numbers:?} outside {range:?}");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 100, "none comes twice");
    }

    #[test]
    fn a_port_stays_reserved_while_its_process_is_down() {
        let port = ReservedPort::reserve().expect("a port");
        let address = port.address();
        for _ in 0..2 {
            hold(address).expect_err("another deployment finds it taken before its process listens");
            let process = TcpListener::bind(address).expect("its process listens");
            hold(address).expect_err("and while it does");
            std::net::TcpStream::connect(address).expect("a connection goes to the listener");
            drop(process);
        }
        drop(port);
    }

    #[test]
    fn the_range_leaves_out_what_the_system_gives_away() {
        assert_eq!(outside_ephemeral(None), 16_384..32_768);
        assert_eq!(outside_ephemeral(Some("32768\t60999\n")), 16_384..32_768);
        assert_eq!(outside_ephemeral(Some("10000 65535")), 1_024..10_000);
        assert_eq!(outside_ephemeral(Some("1024 60999")), 60_999..65_535);
        assert_eq!(outside_ephemeral(Some("nonsense")), 16_384..32_768);
    }
}
