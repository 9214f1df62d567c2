//! Ports for processes that must know each other's addresses before they run.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// `count` loopback ports that nobody listened on a moment ago. All are held until all are chosen, so that none comes
/// twice; between here and the process's own bind another program could still take one, and the process says so.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()
        .context("cannot find free ports on loopback")?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
