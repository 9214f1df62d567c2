//! What operators need to know in order to replace a committee that has stalled, and how far seals and decrees are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use voltmesh_consensus::{DecreeProgress, Peer, SealProgress};
use voltmesh_ledger::{PublicKey, State, Timestamp};

use super::{Names, percent};

/// How long no block must have become final before nodes follow a decree, milliseconds; they measure it themselves.
pub const STALLED_MS: u64 = 10_000;

/// How far the seal is that the next epoch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Height of the block that is sealed.
    pub height: u64,
    /// Authorities that have sealed it.
    pub signed: usize,
    /// How many must.
    pub needed: usize,
}

impl From<SealProgress> for Seal {
    fn from(progress: SealProgress) -> Self {
        Self { height: progress.height.get(), signed: progress.signed, needed: progress.needed }
    }
}

/// How far a decree is that names the newest final block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decreed {
    /// Height of that block.
    pub after: u64,
    /// The epoch that the decree begins.
    pub epoch: u64,
    /// Authorities that have promised to follow it, as far as the node knows.
    pub followed: usize,
    /// How many must.
    pub needed: usize,
}

impl Decreed {
    /// Whether enough have promised.
    pub fn is_in_force(&self) -> bool {
        self.followed >= self.needed
    }
}

impl From<DecreeProgress> for Decreed {
    fn from(progress: DecreeProgress) -> Self {
        Self {
            after: progress.after.get(),
            epoch: progress.epoch.get(),
            followed: progress.followed,
            needed: progress.needed,
        }
    }
}

/// What `GET /chain/decree` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Succession {
    /// Digest of the genesis.
    pub chain: String,
    /// Newest final block here: the one to decree after.
    pub height: u64,
    /// Its digest.
    pub block: String,
    /// Milliseconds from its time to now, by this node's clock.
    pub still_ms: u64,
    /// Whether that is long enough for nodes to follow a decree, and no peer says that it is further.
    pub stalled: bool,
    /// Epoch of the next block, which a decree cuts short. A decree begins a later one.
    pub epoch: u64,
    /// Number that the decree must carry.
    pub nonce: u64,
    /// How many operators must sign.
    pub threshold: usize,
    /// How many vote by election; absent where all authorities do, and there is nothing to replace.
    pub committee: Option<u8>,
    /// Promises that bring a decree into force: more than two thirds of the authorities.
    pub needed: usize,
    /// The decree about the newest block that this node knows.
    pub decree: Option<Decreed>,
    /// Of the epoch of the next block; by key.
    pub authorities: Vec<Candidate>,
}

/// An authority that a decree could let vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its key.
    pub key: String,
    /// Its name, if known.
    pub name: Option<String>,
    /// Quality of service; 100 is the best.
    pub score_percent: f64,
    /// Whether it votes in the epoch that would be cut short.
    pub votes: bool,
    /// Whether it is this node, or was heard in the last 5 s.
    pub reachable: bool,
    /// Convicted of voting twice and not pardoned.
    pub convicted: bool,
}

impl Succession {
    /// As `state`, the newest final one, has it at `now`; `me` answers, and `peers` are those it hears.
    pub fn new(
        state: &State,
        me: &PublicKey,
        peers: &[Peer],
        decree: Option<DecreeProgress>,
        names: &Names,
        now: Timestamp,
    ) -> Self {
        let heard: BTreeSet<&PublicKey> = peers.iter().map(|peer| &peer.key).chain([me]).collect();
        let roster = state.stalled();
        let authorities = roster.authorities.keys().map(|key| Candidate {
            key: key.to_string(),
            name: names.of(key),
            score_percent: percent(state.standing(key).map_or(0, |standing| standing.score)),
            votes: roster.voters.contains(key),
            reachable: heard.contains(key),
            convicted: state.convicted().contains_key(key),
        });
        let still_ms = now.as_millis().saturating_sub(state.time().as_millis());
        let ahead =
            peers.iter().any(|peer| roster.authorities.contains(&peer.key) && peer.height > state.height());
        Self {
            chain: state.chain().to_string(),
            height: state.height().get(),
            block: state.block().to_string(),
            still_ms,
            stalled: still_ms >= STALLED_MS && !ahead,
            epoch: state.next_epoch().get(),
            nonce: state.nonce(),
            threshold: state.operators().threshold(),
            committee: state.genesis().committee,
            needed: roster.authorities.quorum(),
            decree: decree.map(Decreed::from),
            authorities: authorities.collect(),
        }
    }

    /// Keys of the best 3 f + 1 that can be reached, as many as were elected or the most there are; by score, then key.
    /// `None` if that is fewer than four. Whoever is convicted is left out.
    pub fn best(&self) -> Option<Vec<&str>> {
        let mut fit: Vec<&Candidate> =
            self.authorities.iter().filter(|one| one.reachable && !one.convicted).collect();
        fit.sort_by(|a, b| b.score_percent.total_cmp(&a.score_percent).then_with(|| a.key.cmp(&b.key)));
        let most = fit.len().min(self.committee.map_or(fit.len(), usize::from));
        let count = (most.checked_sub(1)? / 3) * 3 + 1;
        (count >= 4).then(|| fit.iter().take(count).map(|one| one.key.as_str()).collect())
    }
}
