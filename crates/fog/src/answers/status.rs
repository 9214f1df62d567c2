//! How far the ledger is, in one object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use voltmesh_consensus::{Handle, Latency};
use voltmesh_ledger::{PublicKey, State};

use super::{Decreed, Names, Seal, leader, running_epoch};

/// What `/chain/status` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Digest of the genesis.
    pub chain: String,
    /// Newest final block here.
    pub height: u64,
    /// The first of the final blocks that are here without a gap up to the newest.
    pub oldest: u64,
    /// Blocks executed when this node started, after the snapshot that it began from.
    pub replayed: u64,
    /// The last epoch in which this node only follows, since it may have voted there and not know for what; absent once
    /// that has passed, and if it never was so.
    pub abstains_until: Option<u64>,
    /// Height that f + 1 authorities say they have.
    pub target: u64,
    /// Epoch of the newest final block.
    pub epoch: u64,
    /// The view in which it was proposed.
    pub view: u64,
    /// Its leader's key.
    pub leader: Option<String>,
    /// Its digest.
    pub block: String,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Blocks in an epoch.
    pub epoch_length: u64,
    /// Views in a row that one leader has.
    pub term_length: u32,
    /// How many of the authorities vote; absent if all do.
    pub committee: Option<u8>,
    /// Views since this node started that ended without a block.
    pub nullified_views: u64,
    /// Milliseconds from submission at this node to finality: the median of the last 1,024 transactions.
    pub finality_p50_ms: u64,
    /// 99 of 100 of them were faster.
    pub finality_p99_ms: u64,
    /// Batches in the log.
    pub log_size: u64,
    /// Records in those batches, as their anchors say.
    pub records: u64,
    /// Vehicles and other signers in the registry, the revoked included.
    pub registry_entries: usize,
    /// Number that the next decision of the operators must carry.
    pub nonce: u64,
    /// Operators' keys.
    pub operators: Vec<String>,
    /// How many of them must sign.
    pub threshold: usize,
    /// This node's key.
    pub authority: String,
    /// Whether it is an authority in the epoch of the next block.
    pub is_authority: bool,
    /// Whether it votes in that epoch: it is one of the voters, and does not abstain.
    pub votes: bool,
    /// The epoch from which on it is an authority, where it is admitted and none yet: an admission or rotation counts from the
    /// next-but-one epoch on.
    #[serde(default)]
    pub serves_from: Option<u64>,
    /// Keys of the authorities in the epoch of the newest block.
    pub authorities: Vec<String>,
    /// Authorities convicted and not pardoned.
    pub convicted: Vec<String>,
    /// Nodes heard in the last 5 s, and their heights.
    pub peers: BTreeMap<String, u64>,
    /// Names of nodes, as far as this one's configuration knows them.
    pub names: BTreeMap<String, String>,
    /// Transactions that wait for a block.
    pub pending: u64,
    /// The seal that the next epoch waits for; absent while an epoch runs, and where all authorities vote.
    pub seal: Option<Seal>,
    /// The operators' decree that waits to be in force, or for its first block.
    pub decree: Option<Decreed>,
    /// The epoch that a decree in force begins and before which this node holds blocks that count for nothing: it has stopped.
    pub replaced_by: Option<u64>,
}

impl Status {
    /// As the node has it now.
    pub fn new(ledger: &Handle, names: &Names) -> Self {
        let state = ledger.state();
        let (header, operators) = (state.header(), state.operators());
        let running = state.roster_for(running_epoch(&state));
        let abstains = ledger.abstains_until().filter(|until| running_epoch(&state) <= *until);
        let serving = state.roster_for(state.epoch());
        let keys =
            |keys: &mut dyn Iterator<Item = &PublicKey>| keys.map(ToString::to_string).collect::<Vec<_>>();
        let Latency { p50_ms, p99_ms, .. } = ledger.finality();
        Self {
            chain: state.chain().to_string(),
            height: state.height().get(),
            oldest: ledger.oldest().get(),
            replayed: ledger.replayed(),
            abstains_until: abstains.map(|epoch| epoch.get()),
            target: ledger.target().get(),
            epoch: state.epoch().get(),
            view: header.view,
            leader: serving.and_then(|roster| leader(roster, header.view)).map(ToString::to_string),
            block: state.block().to_string(),
            time_ms: state.time().as_millis(),
            epoch_length: state.genesis().epoch_length,
            term_length: state.genesis().term_length,
            committee: state.genesis().committee,
            nullified_views: ledger.nullified(),
            finality_p50_ms: p50_ms,
            finality_p99_ms: p99_ms,
            log_size: state.log_size(),
            records: state.records(),
            registry_entries: state.registry().entries().len(),
            nonce: state.nonce(),
            operators: keys(&mut operators.keys().iter()),
            threshold: operators.threshold(),
            authority: ledger.public_key().to_string(),
            is_authority: ledger.is_authority(),
            votes: abstains.is_none()
                && running.is_some_and(|roster| roster.voters.contains(ledger.public_key())),
            serves_from: serves_from(&state, ledger.public_key()),
            authorities: serving.map(|roster| keys(&mut roster.authorities.keys())).unwrap_or_default(),
            convicted: keys(&mut state.convicted().keys()),
            peers: ledger.peers().iter().map(|peer| (peer.key.to_string(), peer.height.get())).collect(),
            names: names.all(),
            pending: ledger.pending() as u64,
            seal: ledger.sealing().map(Seal::from),
            decree: ledger.decreed().map(Decreed::from),
            replaced_by: ledger.replaced().map(|decree| decree.epoch.get()),
        }
    }
}

/// The first epoch in which a key serves that does not serve in the one of the next block; none if it is not planned.
fn serves_from(state: &State, key: &PublicKey) -> Option<u64> {
    let running = running_epoch(state);
    let serves = |epoch| state.authorities_for(epoch).is_some_and(|set| set.contains(key));
    if serves(running) {
        return None;
    }
    if serves(running.next()) {
        return Some(running.next().get());
    }
    state.planned_authorities().contains(key).then(|| state.epoch().next().next().get())
}
