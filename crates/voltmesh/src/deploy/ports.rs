//! Ports for processes that must know each other's addresses before they run.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};

/// Where Linux says which ports it gives to outgoing connections, and what it says by default.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const EPHEMERAL_FROM: u16 = 32_768;

/// Ports that are looked through, just below the ephemeral ones.
const SPAN: u16 = 16_384;

/// `count` loopback ports that nobody listened on a moment ago, and that no outgoing connection is given: any of this
/// machine's connections could otherwise sit on a port while its process starts, or is down between kill and restart.
/// All are held until all are chosen, so that none comes twice; another listener could still take one, and the process
/// says so.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let range = reserved(std::fs::read_to_string(EPHEMERAL).ok().as_deref());
    let (first, span) = (range.start, range.len() as u16);
    // Deployments that start together begin at different places.
    let offset = rand::random_range(0..span);
    let held: Vec<TcpListener> = (0..span)
        .map(|step| first + (offset + step) % span)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    ensure!(held.len() == count, "only {} of {count} ports are free on loopback in {range:?}", held.len());
    held.iter().map(|listener| Ok(listener.local_addr().context("a port has no address")?.port())).collect()
}

/// The ports below the ephemeral range that the system states, or above it if it leaves no room below.
fn reserved(stated: Option<&str>) -> Range<u16> {
    let mut bounds = stated.into_iter().flat_map(str::split_whitespace).map_while(|text| text.parse().ok());
    let low = bounds.next().unwrap_or(EPHEMERAL_FROM);
    let high: u16 = bounds.next().unwrap_or(u16::MAX);
    if low > 2 * 1024 { low.saturating_sub(SPAN).max(1024)..low } else { high.min(u16::MAX - 1024)..u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_never_those_of_outgoing_connections() {
        let range = reserved(std::fs::read_to_string(EPHEMERAL).ok().as_deref());
        let mut ports = free_ports(100).expect("ports");
        assert!(ports.iter().all(|port| range.contains(port)), "{ports:?} outside {range:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100, "none comes twice");
    }

    #[test]
    fn the_range_leaves_out_what_the_system_gives_away() {
        assert_eq!(reserved(None), 16_384..32_768);
        assert_eq!(reserved(Some("32768\t60999\n")), 16_384..32_768);
        assert_eq!(reserved(Some("10000 65535")), 1_024..10_000);
        assert_eq!(reserved(Some("1024 60999")), 60_999..65_535);
        assert_eq!(reserved(Some("nonsense")), 16_384..32_768);
    }
}
