//! Block 0, and who serves in the first two epochs.

use crate::{
    block::{Block, header::Header},
    election::Election,
    genesis::Genesis,
    roster::Roster,
    state::registry::Registry,
    types::{Epoch, Height},
};
use std::sync::Arc;
use voltmesh_telemetry::merkle::Frontier;

impl Genesis {
    /// Block 0: empty, its parent is the chain's identity.
    pub fn block(&self) -> Block {
        Block::new(
            Header {
                height: Height::zero(),
                parent: self.digest(),
                time: self.time,
                epoch: Epoch::zero(),
                view: 0,
                body: Block::body_digest(None, None, &[]),
                log_size: 0,
                log_root: Frontier::new().root(),
                registry_root: Registry::default().root(),
                authorities: self.roster().digest(),
                election: Election::new(&self.authorities).digest(),
            },
            None,
            Vec::new(),
        )
    }

    /// Who serves in epochs 0 and 1. A committee is the first by key: nothing is known of anyone yet.
    pub fn roster(&self) -> Roster {
        let authorities = Arc::new(self.authorities.clone());
        let election = Election::new(&authorities);
        election.plan(&authorities, Epoch::zero(), &authorities, self)
    }
}
