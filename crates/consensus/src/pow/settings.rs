//! Settings that all miners of a chain must agree on.

use super::puzzle::Target;
use std::time::Duration;

/// Way of finding blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// By hashing: SHA-256 of the nonce and of the block's and miner's name must not exceed the [`Target`].
    Puzzle,
    /// By chance, for virtual time: a miner's time to its next block is exponential, with the mean that hashing at
    /// [`Settings::hash_rate`] would have. Hashes are counted as if they had been made.
    Virtual {
        /// What chance begins with, at each miner together with its key. `None`: the runtime's own randomness.
        seed: Option<u64>,
    },
}

/// Settings of a chain by proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Mean time between two blocks of the whole network, if all authorities of the genesis mine. Default 1 s.
    ///
    /// D5.3 names no interval. Its 14.35 s of latency with six blocks on top of a transaction's own come to seven
    /// intervals (the wait for the first block is one, since chance has no memory), so to [`Self::D5_3_INTERVAL`]; the
    /// default is kinder to proof of work.
    pub interval: Duration,
    /// Blocks that stand on a block when it becomes final. Default 6 (D5.3 5.1.4: "at least the subsequent six mined
    /// blocks").
    pub confirmations: u64,
    /// How blocks are found. Default: by chance from the runtime's randomness.
    pub work: Work,
    /// Hashes per second of one miner. The difficulty is calibrated with it, once and for all:
    /// `interval × hash_rate × authorities` hashes per block. Default 10,000,000, a core with SHA instructions; measure
    /// with [`super::hash_rate`]. Miners that share cores share their hash rate.
    pub hash_rate: u64,
}

impl Settings {
    /// The interval that D5.3's latency implies: 14.35 s / 7.
    pub const D5_3_INTERVAL: Duration = Duration::from_millis(2_050);

    /// What a seal's hash must not exceed when there are so many miners.
    pub fn target(&self, miners: usize) -> Target {
        let hashes = self.interval.as_nanos().saturating_mul(u128::from(self.hash_rate)) / 1_000_000_000;
        Target::of_hashes(u64::try_from(hashes.saturating_mul(miners as u128)).unwrap_or(u64::MAX))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            confirmations: 6,
            work: Work::Virtual { seed: None },
            hash_rate: 10_000_000,
        }
    }
}
