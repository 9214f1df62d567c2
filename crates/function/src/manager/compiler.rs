//! Checking and compiling releases beside the manager: it takes up to seconds, in which no function is to wait.

use crate::{Component, Host, Package};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use std::{collections::BTreeSet, sync::Arc};
use voltmesh_telemetry::{Digest, error_chain};

/// Compiler of one node's releases. Clones share the node's engine.
#[derive(Clone)]
pub struct Compiler {
    host: Arc<Host>,
    publishers: Vec<VerifyingKey>,
}

/// Release that was checked and compiled, or was refused.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// SHA-256 of the component, as far as the package can be taken apart.
    pub(super) digest: Option<Digest>,
    /// The component, or why it is refused.
    pub(super) result: Result<Arc<Component>, String>,
}

impl Compiled {
    /// Whether it was refused.
    pub fn is_refused(&self) -> bool {
        self.result.is_err()
    }
}

impl Compiler {
    pub(super) fn new(host: Arc<Host>, publishers: Vec<VerifyingKey>) -> Self {
        Self { host, publishers }
    }

    /// Checks who signed a release, and compiles it. What is withdrawn is the manager's to refuse.
    pub fn compile(&self, package: &Bytes) -> Compiled {
        let opened = Package::open(package, &self.publishers, &BTreeSet::new());
        let result = opened.and_then(|package| self.host.compile(&package));
        Compiled {
            digest: Package::digest_of(package),
            result: result.map_err(|refusal| error_chain(&refusal)),
        }
    }
}
