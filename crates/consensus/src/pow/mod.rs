//! Proof of work, the baseline: whoever finds a block extends the chain, the chain with the most work counts, and six
//! blocks make one final (Nakamoto, "Bitcoin: A Peer-to-Peer Electronic Cash System", 2008; D5.3 5.1.2 and 5.1.4).
//!
//! Blocks, transactions, pool, keys and channels are those of the other agreements; a block carries a [`Seal`] beside
//! it. The files: `puzzle` has seals and what makes them valid, `tree` decides which chain counts, `orphans` and
//! `history` hold what is not in the tree yet or any more, `offers` what this node was asked for, `miner` is chance,
//! `wire` the requests for missing blocks, `run` the network.
//!
//! Where this is kinder to proof of work than a public network: only authorities mine, blocks go straight to everyone
//! (no announcing and asking first), the difficulty never drifts, of two equally heavy chains everyone takes the same
//! (the smaller digest, so ties end as soon as both blocks are everywhere), and in virtual time a found block holds
//! what the pool held at that very moment.
//!
//! **Provided:** most accumulated work wins; forks, reorganisation with states rolled back and transactions given back;
//! finality after [`Settings::confirmations`]; blocks that miss their parent fetched; every final block that is undone
//! counted ([`crate::Detours::conflicting_finals`]) and its replacement announced at the same height.
//!
//! **Not provided:** durable storage (a node that restarts begins at genesis and fetches the chain, as long as others
//! still hold it in memory: 64 MiB of encoded blocks); reorganisation deeper than [`MAX_UNDONE`] final blocks (refused,
//! logged, counted); retargeting (the difficulty is a setting); fees and rewards; relaying of blocks beyond the full
//! mesh; receipts (there is no certificate to show). In virtual time a seal proves nothing but who mined: its signature
//! is checked, its work is taken on trust, so any authority could mine faster than its share. That mode is for
//! measuring, never for production.

mod history;
mod miner;
mod mining;
mod offers;
mod orphans;
mod puzzle;
mod run;
mod sync;
mod tree;
mod wire;

pub use puzzle::{Forged, MAX_SEALED_BYTES, Seal, Sealed, Target, hash_rate};
pub use tree::MAX_UNDONE;

use crate::{
    PublicKey,
    config::Config,
    network::Network,
    pool::SubmitError,
    protocol::{Detours, Final, Replica, Running},
    shared::Shared,
};
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_runtime::{Clock, Handle as Task, Spawner};
use commonware_utils::{channel::mpsc, sync::Mutex};
use miner::Meter;
use offers::Offers;
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use voltmesh_ledger::{State, Transaction};

/// How blocks are found.
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

/// What all miners of a chain must agree on.
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
    /// with [`hash_rate`]. Miners that share cores share their hash rate.
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

/// What the network task tells those who ask.
#[derive(Default)]
struct Figures {
    forks: u64,
    conflicting_finals: u64,
}

/// A miner (or a follower, if it is no authority) as the rest of the process sees it.
struct Miner {
    shared: Arc<Shared>,
    offers: Mutex<Offers>,
    figures: Mutex<Figures>,
    meter: Meter,
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
        self.shared.finalised()
    }

    fn finals(&self) -> mpsc::UnboundedReceiver<Final> {
        self.shared.listen()
    }

    fn detours(&self) -> Detours {
        let figures = self.figures.lock();
        Detours {
            view_changes: 0,
            forks: figures.forks,
            hashes: self.meter.hashes(self.shared.now_ms()),
            conflicting_finals: figures.conflicting_finals,
        }
    }
}

/// Ends the tasks when it is dropped.
struct Alive {
    miner: Arc<Miner>,
    root: Task<()>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.miner.meter.pause(self.miner.shared.now_ms());
        self.miner.shared.stop();
        self.root.abort();
    }
}

/// Starts a node at genesis. It mines in the epochs of which it is an authority, and follows in the others. Of
/// `config`, the storage partition, the pacing of proposals and the leader's timeout do not apply.
///
/// Asynchronous only as the other agreements are: nothing is waited for.
pub async fn start<E, S, R, P, B>(
    context: E,
    config: Config,
    settings: Settings,
    network: Network<S, R, P, B>,
) -> Running
where
    E: Clock + CryptoRng + Spawner,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let (miner, root) = run::spawn(context, config, settings, network);
    Running::new(miner.clone(), Alive { miner, root })
}

#[cfg(test)]
mod tests;
