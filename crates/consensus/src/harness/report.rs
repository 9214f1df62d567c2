//! What came of a measurement.

use crate::harness::{AGREEMENT, CHANNELS, EnergyModel, Protocol, Sent};
use std::time::Duration;

/// Percentiles of durations: half, 95 and 99 of 100 were not longer, the longest, and the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Duration,
    /// 95 of 100.
    pub p95: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// The mean.
    pub mean: Duration,
    /// How many there were.
    pub count: u64,
}

impl Percentiles {
    /// By nearest rank.
    pub(crate) fn of(durations: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = durations.collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let rank = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        let sum: Duration = sorted.iter().sum();
        Self {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: sorted.last().copied().unwrap_or_default(),
            mean: sum / count.max(1) as u32,
            count: count as u64,
        }
    }
}

/// Time that the nodes needed to go on after a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Until something became final at the first node; `None` if it never did.
    pub first: Option<Duration>,
    /// Until something had become final at every node.
    pub all: Option<Duration>,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds since the measurement began.
    pub at_s: f64,
    /// Transactions that became final since then.
    pub transactions: u64,
    /// Median latency of those that became final since the moment before, in ms; `None` if there were none.
    pub latency_ms: Option<f64>,
    /// Processor seconds since the measurement began, puzzles included.
    pub cpu_s: f64,
    /// Bytes sent since then.
    pub bytes: u64,
}

/// One measurement: what happened in the window, at all nodes together if not said otherwise.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which agreement.
    pub protocol: Protocol,
    /// Nodes.
    pub authorities: usize,
    /// How many of them vote.
    pub committee: usize,
    /// Epoch of the newest final block when the measurement began: what is elected is so from the third one, 2, on.
    pub epoch: u64,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// From submission to finality at the node where a transaction was submitted, for those submitted in the window.
    pub latency: Percentiles,
    /// From a block's time, which its proposer gave it, to finality at a node: of the blocks of the window at all nodes
    /// that are not at fault.
    pub finality: Percentiles,
    /// Mean one-way latency of a link in ms; `None` on real sockets.
    pub mean_link_ms: Option<f64>,
    /// Blocks that became final at some node.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Records that these stand for.
    pub records: u64,
    /// Transactions offered in the window.
    pub submitted: u64,
    /// Of these: refused by a full pool.
    pub refused: u64,
    /// Of these: not final when the measurement ended, as long after the window as the window was.
    pub unfinished: u64,
    /// What was sent on each of [`CHANNELS`].
    pub sent: [Sent; CHANNELS.len()],
    /// Processor seconds measured. In a simulation those of simulator, nodes and load together.
    pub measured_cpu_s: f64,
    /// Processor seconds that simulated puzzles stand for: a core at every node, all the time.
    pub puzzle_cpu_s: f64,
    /// SHA-256 compressions spent on puzzles, simulated or not.
    pub hashes: u64,
    /// Leaders' turns that ended without a block, at the node that saw most.
    pub view_changes: u64,
    /// Blocks beside another one at the same height, at the node that saw most.
    pub forks: u64,
    /// Heights, from the start, at which two nodes held different final blocks.
    pub conflicting_finals: u64,
    /// Readings answered a second; `None` if nobody read.
    pub reads_per_s: Option<f64>,
    /// After a partition.
    pub recovery: Option<Recovery>,
    /// The run in steps.
    pub timeline: Vec<Moment>,
}

impl Measured {
    /// The median of `what` in mean link delays; `None` on real sockets, or if there is none.
    pub fn link_delays_p50(&self, what: &Percentiles) -> Option<f64> {
        self.mean_link_ms.filter(|_| what.count > 0).map(|link| what.p50.as_secs_f64() * 1e3 / link)
    }

    /// Processor seconds, those that simulated puzzles stand for included.
    pub fn cpu_s(&self) -> f64 {
        self.measured_cpu_s + self.puzzle_cpu_s
    }

    /// What the agreement itself sent: without the spreading of transactions and of log roots' signatures.
    pub fn agreement(&self) -> Sent {
        self.sent[..AGREEMENT].iter().copied().sum()
    }

    /// All that was sent.
    pub fn all_sent(&self) -> Sent {
        self.sent.iter().copied().sum()
    }

    /// Modelled energy of all nodes in the window, in J.
    pub fn energy_j(&self, model: &EnergyModel) -> f64 {
        model.joules(self.cpu_s(), self.all_sent().bytes)
    }

    /// `what` for each block; not a number if there was none.
    pub fn per_block(&self, what: f64) -> f64 {
        per(what, self.blocks)
    }

    /// `what` for each transaction; not a number if there was none.
    pub fn per_transaction(&self, what: f64) -> f64 {
        per(what, self.transactions)
    }

    /// `what` for each record; not a number if there was none.
    pub fn per_record(&self, what: f64) -> f64 {
        per(what, self.records)
    }
}

fn per(what: f64, count: u64) -> f64 {
    if count == 0 { f64::NAN } else { what / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let all = Percentiles::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!(all.p50, Duration::from_millis(100));
        assert_eq!(all.p95, Duration::from_millis(190));
        assert_eq!(all.p99, Duration::from_millis(198));
        assert_eq!((all.max, all.count), (Duration::from_millis(200), 200));
        assert_eq!(all.mean, Duration::from_micros(100_500));
        assert_eq!(Percentiles::of(std::iter::empty()), Percentiles::default());
        assert_eq!(Percentiles::of([Duration::from_secs(1)].into_iter()).p99, Duration::from_secs(1));
    }
}
