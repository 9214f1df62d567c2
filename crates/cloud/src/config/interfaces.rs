//! Settings of what the cloud listens on: MQTT for fog nodes, HTTP for people and programs.

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use voltmesh_http::{NameError, Names};
use voltmesh_mqtt::Bounds;

/// MQTT server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Where it listens (default `127.0.0.1:8884`; port 0 takes a free one).
    pub listen: SocketAddr,
    /// Fog nodes at once, 1 to 4096 (default 256).
    pub max_sessions: usize,
    /// Sessions of one fog node at once, 1 to 4096 (default 4); the next is refused with 0x97.
    pub sessions_per_identity: usize,
    /// Connections of one source address (IPv4, or IPv6 /64) at once, 1 to 1000000 (default: two
    /// thirds of `max_sessions` + 13824).
    pub connections_per_source: Option<usize>,
    /// TLS handshakes that one source address may begin, per second, 1 to 1000000 (default 2000: half a core).
    pub handshakes_per_source_s: u32,
    /// Envelopes without PUBACK per fog node, 1 to 65535 (default 256: a commit interval at 256 batches/s).
    pub receive_maximum: u16,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: loopback(8884),
            max_sessions: 256,
            sessions_per_identity: 4,
            connections_per_source: None,
            handshakes_per_source_s: 2_000,
            receive_maximum: 256,
        }
    }
}

impl Mqtt {
    /// File descriptors that are never given to connections of fog nodes: a merge's 32 files and those of 16 queries with
    /// 32 each, 256 connections of the HTTP interface, and 224 for logs, look-ups and the runtime.
    pub const RESERVED_DESCRIPTORS: usize = 1_024;

    /// Bounds of the MQTT server. What is not configured is in proportion to `max_sessions`.
    pub fn bounds(&self) -> Bounds {
        let bounds = Bounds::of_sessions(self.max_sessions);
        Bounds {
            sessions_per_identity: self.sessions_per_identity,
            connections_per_source: self.connections_per_source.unwrap_or(bounds.connections_per_source),
            handshakes_per_source_s: self.handshakes_per_source_s,
            ..bounds
        }
    }
}

/// HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where it listens (default `127.0.0.1:8094`; port 0 takes a free one). Beyond loopback `token_file` or `tls` must
    /// be set.
    pub listen: SocketAddr,
    /// A file with a token of at least 16 characters that requests must carry as `Authorization: Bearer …`
    /// (default none).
    pub token_file: Option<PathBuf>,
    /// Serve TLS 1.3 and ask for a certificate of the CA with role operator, cloud or controller (default false).
    pub tls: bool,
    /// Further names of this interface, `host` or `host:port`, such as a proxy's (default none). It answers requests for loopback names, for
    /// the address that is listened on, for names in its certificate, and for these.
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example` (default none but its own).
    pub origins: Vec<String>,
    /// Connections at once, 1 to 4096 (default 256).
    pub max_connections: usize,
    /// Of these, from one address, or with `tls` of one identity, 1 to 4096 (default 64). Behind a proxy, all come from its address.
    pub max_connections_per_source: usize,
}

impl Http {
    /// What it is called, and by whom it may be asked.
    pub fn names(&self) -> Result<Names, ConfigError> {
        let wrong = |error: NameError| ConfigError::Value { key: error.key(), problem: error.to_string() };
        Names::parse(&self.hosts, &self.origins).map_err(wrong)
    }
}

impl Default for Http {
    fn default() -> Self {
        let bounds = voltmesh_http::Settings::default();
        Self {
            listen: loopback(8094),
            token_file: None,
            tls: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            max_connections: bounds.connections,
            max_connections_per_source: bounds.connections_per_source,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
