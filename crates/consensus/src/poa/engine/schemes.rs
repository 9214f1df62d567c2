//! Signature schemes by epoch, shared with marshal; where this node must not vote.

use commonware_consensus::types::Epoch;
use commonware_cryptography::certificate::{Provider, Scoped};
use commonware_utils::sync::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_ledger::{Digest, PrivateKey, Roster, Scheme};

/// Epochs whose schemes are kept: this one, the next, and those before that late certificates may come from.
const KEPT_SCHEMES: usize = 8;

/// Scheme and roster of an epoch, fixed before it begins.
#[derive(Clone)]
pub(crate) struct Fixed {
    pub scheme: Arc<Scheme>,
    pub roster: Arc<Roster>,
}

/// Schemes by epoch, shared with marshal.
#[derive(Clone)]
pub(crate) struct Schemes {
    chain: Digest,
    key: PrivateKey,
    by_epoch: Arc<Mutex<BTreeMap<u64, Fixed>>>,
    /// The last epoch in which this node must not vote.
    abstains: Arc<Mutex<Option<u64>>>,
    /// An epoch whose scheme stays: that of the block that marshal begins with.
    pinned: Arc<Mutex<Option<u64>>>,
}

impl Schemes {
    pub fn new(chain: Digest, key: PrivateKey) -> Self {
        Self { chain, key, by_epoch: Arc::default(), abstains: Arc::default(), pinned: Arc::default() }
    }

    /// From now on this node only follows in `epoch` and those before: it may have voted there and not know for what.
    pub fn abstain(&self, epoch: u64) {
        let mut abstains = self.abstains.lock();
        *abstains = (*abstains).max(Some(epoch));
        for (_, fixed) in self.by_epoch.lock().range_mut(..=epoch) {
            fixed.scheme = Arc::new(fixed.roster.voters.verifier(&self.chain));
        }
    }

    /// The last epoch in which this node must not vote.
    pub fn abstains_until(&self) -> Option<u64> {
        *self.abstains.lock()
    }

    /// Keeps the scheme of `epoch` however many follow.
    pub fn pin(&self, epoch: u64) {
        *self.pinned.lock() = Some(epoch);
    }

    /// Makes the epoch's certificates verifiable, and votable if this node is one of the voters.
    pub fn insert(&self, epoch: u64, roster: &Arc<Roster>) {
        // Held to the end, so that nothing abstains meanwhile.
        let abstains = self.abstains.lock();
        let mut by_epoch = self.by_epoch.lock();
        // Others were to vote in an epoch that a decree begins.
        if by_epoch.get(&epoch).is_some_and(|fixed| fixed.roster != *roster) {
            by_epoch.remove(&epoch);
        }
        by_epoch.entry(epoch).or_insert_with(|| {
            let voters = &roster.voters;
            let votes = abstains.is_none_or(|last| epoch > last);
            let signer = votes.then(|| voters.signer(&self.chain, self.key.clone())).flatten();
            let scheme = Arc::new(signer.unwrap_or_else(|| voters.verifier(&self.chain)));
            Fixed { scheme, roster: roster.clone() }
        });
        let pinned = *self.pinned.lock();
        while by_epoch.len() > KEPT_SCHEMES {
            let Some(first) = by_epoch.keys().copied().find(|epoch| Some(*epoch) != pinned) else { break };
            by_epoch.remove(&first);
        }
    }

    pub fn get(&self, epoch: u64) -> Option<Fixed> {
        self.by_epoch.lock().get(&epoch).cloned()
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        self.get(epoch.get()).map(|fixed| Scoped::scheme(fixed.scheme))
    }
}

/// Where the votes of an epoch are kept.
pub(crate) fn votes_partition(prefix: &str, epoch: u64) -> String {
    format!("{prefix}-simplex-{epoch}")
}
