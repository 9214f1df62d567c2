//! Where a node listens, and who may use its loopback interface.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;
use voltmesh_http::Names;

use crate::Error;

/// Addresses to listen on.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// MQTT 5 over mutual TLS, for vehicles and clients. Default 0.0.0.0:8883.
    pub mqtt: SocketAddr,
    /// Authorities of the ledger. Default 0.0.0.0:7000.
    pub p2p: SocketAddr,
    /// `/metrics`, `/status`, `/tx`, `/chain/…`, `/stations/…`; loopback only. Default 127.0.0.1:9100.
    pub http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            mqtt: ([0, 0, 0, 0], 8883).into(),
            p2p: ([0, 0, 0, 0], 7000).into(),
            http: ([127, 0, 0, 1], 9100).into(),
        }
    }
}

/// Who may use the loopback interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Further names of it, `host` or `host:port`. Default: none but loopback names and the address that is listened on.
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example`. Default: none but its own.
    pub origins: Vec<String>,
    /// A file with a token of at least 16 characters that requests which change something must carry as `Authorization: Bearer …`.
    /// Default: none; registry transactions and decrees carry their own signatures.
    pub token_file: Option<PathBuf>,
}

impl Http {
    /// What it is called, and by whom it may be asked.
    pub(crate) fn names(&self) -> Result<Names, Error> {
        Names::parse(&self.hosts, &self.origins).map_err(|error| Error::Config { what: error.to_string() })
    }
}
