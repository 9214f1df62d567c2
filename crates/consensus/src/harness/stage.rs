//! What is measured: running nodes, what is around them, and their counters at one moment.

use super::{
    Plan, Sent, Traffic, cpu::CpuClock, reads::Readers, simulated_network::Wires, traffic::CHANNELS,
};
use crate::common::replica::{ProtocolStats, Running};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::sync::Arc;
use voltmesh_ledger::testing;

/// Function that is told how much of a measurement is done, from 0 to 1.
pub type Progress = Arc<dyn Fn(f64) + Send + Sync>;

/// Running nodes, and what is around them.
pub(super) struct Stage {
    pub chain: testing::Network,
    /// By node; `None` where something else runs under the node's key.
    pub nodes: Vec<Option<Running>>,
    pub traffic: Arc<Traffic>,
    pub clock: CpuClock,
    /// Hashes a second that a core stands for where puzzles are simulated; `None` where they are real, so that the
    /// processor's clock has them already.
    pub simulated_hash_rate: Option<u64>,
    /// `None` on real sockets.
    pub wires: Option<Wires>,
}

/// The nodes at fault: the same for every agreement under one seed.
pub(super) fn faulty(plan: &Plan) -> Vec<usize> {
    let mut order: Vec<usize> = (0..plan.replicas()).collect();
    order.shuffle(&mut StdRng::seed_from_u64(plan.seed ^ 0x6661_756c_7400_0000));
    order.truncate(plan.fault.faulty());
    order
}

/// Counters at one moment.
pub(super) struct Snapshot {
    pub sent: [Sent; CHANNELS.len()],
    pub cpu_s: f64,
    pub detours: Vec<ProtocolStats>,
    /// The greatest of all nodes.
    pub epoch: u64,
    pub reads: u64,
}

impl Stage {
    pub fn snapshot(&self, readers: Option<&Readers>) -> Snapshot {
        let detours = |node: &Option<Running>| {
            node.as_ref().map_or_else(ProtocolStats::default, |running| running.replica.detours())
        };
        let running = self.nodes.iter().flatten();
        Snapshot {
            sent: self.traffic.snapshot(),
            cpu_s: self.clock.seconds(),
            detours: self.nodes.iter().map(detours).collect(),
            epoch: running.map(|running| running.replica.state().epoch().get()).max().unwrap_or(0),
            reads: readers.map_or(0, Readers::count),
        }
    }
}
