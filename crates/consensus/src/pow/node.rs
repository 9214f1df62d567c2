//! A miner as the rest of the process sees it.

use super::{miner::Meter, offers::Offers};
use crate::common::{
    core::ReplicaCore,
    mempool::SubmitError,
    replica::{Final, ProtocolStats, Replica},
};
use commonware_runtime::Handle as Task;
use commonware_utils::{channel::mpsc, sync::Mutex};
use std::sync::Arc;
use voltmesh_ledger::{State, Transaction};

/// Counters of the network task.
#[derive(Default)]
pub(super) struct Figures {
    pub forks: u64,
    pub conflicting_finals: u64,
}

/// A miner (or a follower, if it is no authority) as the rest of the process sees it.
pub(super) struct Miner {
    pub shared: Arc<ReplicaCore>,
    pub offers: Mutex<Offers>,
    pub figures: Mutex<Figures>,
    pub meter: Meter,
}

impl Replica for Miner {
    fn submit(&self, transaction: Transaction) -> Result<(), SubmitError> {
        let mut offers = self.offers.lock();
        offers.room()?;
        self.shared.submit(transaction.clone())?;
        offers.add(transaction);
        Ok(())
    }

    fn state(&self) -> Arc<State> {
        self.shared.finalized()
    }

    fn finals(&self) -> mpsc::UnboundedReceiver<Final> {
        self.shared.listen()
    }

    fn detours(&self) -> ProtocolStats {
        let figures = self.figures.lock();
        ProtocolStats {
            view_changes: 0,
            forks: figures.forks,
            hashes: self.meter.hashes(self.shared.now_ms()),
            conflicting_finals: figures.conflicting_finals,
        }
    }
}

/// Guard that ends the tasks when it is dropped.
pub(super) struct Alive {
    pub miner: Arc<Miner>,
    pub root: Task<()>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.miner.meter.pause(self.miner.shared.now_ms());
        self.miner.shared.stop();
        self.root.abort();
    }
}
