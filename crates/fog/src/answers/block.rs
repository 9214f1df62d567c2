//! One final block, readable.

use std::collections::BTreeMap;

use commonware_codec::EncodeSize as _;
use commonware_cryptography::Digestible as _;
use serde::{Deserialize, Serialize};
use voltmesh_ledger as ledger;
use voltmesh_ledger::{Header, Justification, PublicKey};

use super::{surroundings::Surroundings, transaction::Transaction};

/// What `/chain/block/{height}/explained` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Block {
    /// Blocks before it.
    pub height: u64,
    /// Its digest.
    pub digest: String,
    /// Digest of the block before.
    pub parent: String,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The view of the epoch in which it was proposed.
    pub view: u64,
    /// Views between its parent and it that brought no block.
    pub skipped_views: u64,
    /// Key of its leader; absent of block 0, and if this node no longer knows who led then.
    pub leader: Option<String>,
    /// The leader's name, if known.
    pub leader_name: Option<String>,
    /// Votes for an ancestor that it embeds.
    pub certificate: Option<Embedded>,
    /// Its length.
    pub bytes: usize,
    /// Of which its header.
    pub header_bytes: usize,
    /// Of which embedded votes.
    pub certificate_bytes: usize,
    /// Of which transactions.
    pub transaction_bytes: usize,
    /// Batches that it anchors.
    pub batches: u64,
    /// Records in them, as their anchors say.
    pub records: u64,
    /// Batches in the log after it.
    pub log_size: u64,
    /// RFC 9162 root over them.
    pub log_root: String,
    /// RFC 9162 root over the registry's entries after it.
    pub registry_root: String,
    /// Digest of who is to serve in the next-but-one epoch.
    pub authorities: String,
    /// Digest of all that decides who leads.
    pub election: String,
    /// In the order in which they were applied.
    pub transactions: Vec<Transaction>,
    /// Names of the keys above, as far as this node's configuration knows them.
    pub names: BTreeMap<String, String>,
}

/// Votes that a block embeds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Embedded {
    /// `notarization` or `finalization`.
    pub kind: String,
    /// Digest of the block that they are for.
    pub block: String,
    /// Its height, if it is among the last ancestors.
    pub height: Option<u64>,
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// Votes that are needed; absent if this node does not know that epoch's voters.
    pub quorum: Option<usize>,
    /// Keys of those who voted.
    pub voted: Vec<String>,
    /// Keys of the voters whose votes are not in it: late, or not needed any more.
    pub absent: Vec<String>,
}

impl Block {
    /// Explains `block`.
    pub fn new(block: &ledger::Block, around: &Surroundings<'_>) -> Self {
        let header = block.header();
        let (batches, records) = anchored(block);
        let (bytes, header_bytes) = (block.encode_size(), header.encode_size());
        let certificate_bytes = block.justification().map_or(0, |votes| votes.encode_size());
        Self {
            height: header.height.get(),
            digest: block.digest().to_string(),
            parent: header.parent.to_string(),
            time_ms: header.time.as_millis(),
            epoch: header.epoch.get(),
            view: header.view,
            skipped_views: skipped_views(header, around.ancestors.first().map(|(_, parent)| parent)),
            leader: around.leader.as_ref().map(ToString::to_string),
            leader_name: around.leader.as_ref().and_then(|leader| around.names.of(leader)),
            certificate: block.justification().map(|votes| Embedded::new(votes, around)),
            bytes,
            header_bytes,
            certificate_bytes,
            transaction_bytes: bytes.saturating_sub(header_bytes + certificate_bytes),
            batches,
            records,
            log_size: header.log_size,
            log_root: header.log_root.to_string(),
            registry_root: header.registry_root.to_string(),
            authorities: header.authorities.to_string(),
            election: header.election.to_string(),
            transactions: block.transactions().iter().map(|tx| Transaction::new(tx, around)).collect(),
            names: around.names.all(),
        }
    }
}

impl Embedded {
    fn new(votes: &Justification, around: &Surroundings<'_>) -> Self {
        let kind = match votes {
            Justification::Notarization(_) => "notarization",
            Justification::Finalization(_) => "finalization",
        };
        let ancestor = around.ancestors.iter().find(|(digest, _)| *digest == votes.block());
        let voters = (around.voters)(votes.epoch());
        let (mut voted, mut absent) = (Vec::new(), Vec::new());
        if let Some(voters) = &voters {
            let signers: Vec<&PublicKey> = votes.signers(voters).collect();
            for key in voters.keys() {
                if signers.contains(&key) { &mut voted } else { &mut absent }.push(key.to_string());
            }
        }
        Self {
            kind: kind.to_owned(),
            block: votes.block().to_string(),
            height: ancestor.map(|(_, header)| header.height.get()),
            epoch: votes.epoch().get(),
            view: votes.view(),
            quorum: voters.map(|voters| voters.quorum()),
            voted,
            absent,
        }
    }
}

/// Views between a block and its parent that brought none. Views count from 1 in each epoch.
pub(super) fn skipped_views(header: &Header, parent: Option<&Header>) -> u64 {
    let before = parent.filter(|parent| parent.epoch == header.epoch).map_or(0, |parent| parent.view);
    header.view.saturating_sub(before + 1)
}

/// Batches and records that a block anchors.
pub(super) fn anchored(block: &ledger::Block) -> (u64, u64) {
    block.transactions().iter().fold((0, 0), |(batches, records), transaction| match transaction {
        ledger::Transaction::Anchor(anchor) => {
            (batches + anchor.batches.len() as u64, records.saturating_add(anchor.records))
        }
        _ => (batches, records),
    })
}
