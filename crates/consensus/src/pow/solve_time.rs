//! When this node finds its next block.

use super::miner::{Chance, Found, Job};
use crate::common::watch;
use commonware_utils::channel::mpsc;
use std::time::SystemTime;
use voltmesh_ledger::{Block, State};

/// Source of the moments at which this node finds blocks.
pub(super) enum Luck {
    /// A task searches for a nonce.
    Search {
        jobs: watch::Sender<Job>,
        /// What it searches for.
        built: Option<(Block, State)>,
        /// Since when.
        since: SystemTime,
        /// Whether there are transactions that came later.
        stale: bool,
    },
    /// The clock tells.
    Chance {
        chance: Chance,
        /// When this node finds its next block, while it mines.
        next: Option<SystemTime>,
        /// Nobody sends solutions; the channel stays open.
        _solutions: mpsc::UnboundedSender<Found>,
    },
}
