//! What is measured.

use crate::{
    common::network::MAX_PEERS,
    harness::{Fault, Profile},
};
use std::{fmt, str::FromStr, time::Duration};
use voltmesh_ledger::{MAX_BATCHES_PER_ANCHOR, MAX_BLOCK_BYTES};

/// Records in a batch: as the main job's benchmark of the ledger has them.
pub const RECORDS_PER_BATCH: u64 = 4_096;

/// Most memory that the blocks of a simulated run may take, in bytes: every node's disk is in memory.
/// Half of a machine with 24 GiB; what a node keeps beside its blocks is as much again.
const MAX_ARCHIVE_BYTES: f64 = 6.0 * 1024.0 * 1024.0 * 1024.0;

/// Protocol that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Ours: proof of authority.
    Poa,
    /// Practical Byzantine fault tolerance.
    Pbft,
    /// Proof of work.
    Pow,
}

impl Protocol {
    /// All, in the order of tables.
    pub const ALL: [Self; 3] = [Self::Poa, Self::Pbft, Self::Pow];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poa => "poa",
            Self::Pbft => "pbft",
            Self::Pow => "pow",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|protocol| protocol.name() == text);
        known.ok_or_else(|| format!("`{text}` is no protocol; write poa, pbft or pow"))
    }
}

/// Arrival of transactions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Open loop: so many a second at authorities chosen at random, whether earlier ones are final or not. The times
    /// between them are exponential.
    Poisson(f64),
    /// Open loop, evenly spaced.
    Fixed(f64),
    /// Closed loop: every authority always has so many that are not final. Shows the most that gets through; its
    /// latencies say nothing.
    Saturating(usize),
}

/// One measurement of one agreement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which agreement.
    pub protocol: Protocol,
    /// Nodes: 4 to 100.
    pub authorities: usize,
    /// How many of them vote, the best by quality of service; all if absent.
    pub committee: Option<usize>,
    /// Links between the nodes. On real sockets it is not used.
    pub profile: Profile,
    /// When transactions come.
    pub load: Load,
    /// Batches in each anchor, 1 to 512; each stands for [`RECORDS_PER_BATCH`] records.
    pub batches: usize,
    /// Longest block that is proposed, in bytes; at most 1 MiB.
    pub block_bytes: usize,
    /// Least time between blocks.
    pub block_interval: Duration,
    /// Blocks in an epoch.
    pub epoch_length: u64,
    /// Views in a row that one leader of ours has, 1 to 64.
    pub term_length: u32,
    /// What goes wrong.
    pub fault: Fault,
    /// Time under load before the measurement.
    pub warm_up: Duration,
    /// Time measured.
    pub window: Duration,
    /// Of links, load, choice of the faulty, and in a simulation of everything else.
    pub seed: u64,
    /// Time between the blocks of proof of work, on average.
    pub pow_interval: Duration,
    /// Threads that read the nodes' states as fast as they can; on real sockets only.
    pub readers: usize,
}

impl Plan {
    /// The defaults of the command line, for one agreement.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            authorities: 20,
            committee: None,
            profile: Profile::wan(),
            load: Load::Poisson(100.0),
            batches: 13,
            block_bytes: MAX_BLOCK_BYTES,
            block_interval: Duration::ZERO,
            epoch_length: 100,
            term_length: 1,
            fault: Fault::None,
            warm_up: Duration::from_secs(10),
            window: Duration::from_secs(30),
            seed: 0,
            pow_interval: Duration::from_secs(1),
            readers: 0,
        }
    }

    /// Nodes that run: all authorities, but of PBFT only those that vote, for it knows no followers.
    pub fn replicas(&self) -> usize {
        if self.protocol == Protocol::Pbft {
            self.committee.unwrap_or(self.authorities)
        } else {
            self.authorities
        }
    }

    /// Records in one transaction.
    pub fn records(&self) -> u64 {
        self.batches as u64 * RECORDS_PER_BATCH
    }

    /// Time under load before the measurement: with proof of work until blocks of that load are final.
    pub(crate) fn warm_up(&self) -> Duration {
        if self.protocol == Protocol::Pow { self.warm_up.max(10 * self.pow_interval) } else { self.warm_up }
    }

    /// Longest wait, after the measurement, for what is not final: four times what proof of work needs on average.
    pub(crate) fn patience(&self) -> Duration {
        if self.protocol == Protocol::Pow { self.window.max(28 * self.pow_interval) } else { self.window }
    }

    /// Whether this can be measured; what is wrong, for people, if not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let n = self.replicas();
        let voters = self.committee.unwrap_or(n);
        if !(4..=100.min(MAX_PEERS)).contains(&n) {
            return Err(format!("{n} authorities, want 4 to 100"));
        }
        if !(4..=n).contains(&voters) {
            return Err(format!("a committee of {voters}, want 4 to {n}"));
        }
        if !(1..=MAX_BATCHES_PER_ANCHOR).contains(&self.batches) {
            return Err(format!("{} batches in an anchor, want 1 to {MAX_BATCHES_PER_ANCHOR}", self.batches));
        }
        if !(1_024..=MAX_BLOCK_BYTES).contains(&self.block_bytes) {
            return Err(format!("blocks of {} bytes, want 1024 to {MAX_BLOCK_BYTES}", self.block_bytes));
        }
        if self.window < Duration::from_secs(1) {
            return Err("less than a second is not worth measuring".to_owned());
        }
        match self.load {
            Load::Poisson(tps) | Load::Fixed(tps) if !(tps > 0.0 && tps <= 100_000.0) => {
                return Err(format!("{tps} transactions a second, want more than 0 and at most 100000"));
            }
            Load::Saturating(0) => return Err("a load of nothing".to_owned()),
            _ => {}
        }
        let honest = n - self.fault.faulty().min(n);
        if honest <= 2 * n / 3 {
            return Err(format!(
                "{} of {n} nodes at fault stop any agreement; at most {}",
                n - honest,
                (n - 1) / 3
            ));
        }
        Ok(())
    }

    /// Whether every node's blocks fit into memory.
    pub(crate) fn check_memory(&self) -> Result<(), String> {
        let seconds = (self.warm_up() + self.window + self.patience()).as_secs_f64();
        let bytes_per_s = match self.load {
            // What is refused does not reach a disk, so this is the most.
            Load::Poisson(tps) | Load::Fixed(tps) => tps * (150.0 + 32.0 * self.batches as f64),
            // Full blocks, two in a link delay: faster than any agreement here.
            Load::Saturating(_) => {
                let link_s = self.profile.links(self.authorities, self.seed).mean_ms() / 1e3;
                self.block_bytes as f64 / (link_s / 2.0).max(self.block_interval.as_secs_f64()) / 2.0
            }
        };
        let bytes = bytes_per_s * seconds * self.authorities as f64;
        if bytes > MAX_ARCHIVE_BYTES {
            return Err(format!(
                "{:.0} GiB of simulated disks, want at most {:.0}: lower the load, the time or the authorities",
                bytes / MAX_ARCHIVE_BYTES * 6.0,
                6.0
            ));
        }
        Ok(())
    }
}

/// Reason why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan asks for what cannot be. Change it as the text says.
    #[error("{0}")]
    Plan(String),
    /// This agreement is not there, or cannot do that. Leave it out.
    #[error("{protocol} has no {what}")]
    Missing {
        /// Which agreement.
        protocol: Protocol,
        /// What it lacks.
        what: &'static str,
    },
    /// A node does not start.
    #[error("node {node} of {protocol} does not start")]
    Start {
        /// Which agreement.
        protocol: Protocol,
        /// Which node.
        node: usize,
        /// Why.
        #[source]
        source: crate::StartError,
    },
    /// The nodes started, but nothing became final at one of them. On real sockets the machine may be too slow for so
    /// many.
    #[error("{protocol}: nothing is final at node {node} after {seconds} s")]
    Still {
        /// Which agreement.
        protocol: Protocol,
        /// Which node.
        node: usize,
        /// How long was waited.
        seconds: u64,
    },
    /// The simulated network ended.
    #[error("the simulated network ended")]
    Network(#[source] commonware_p2p::simulated::Error),
}
