//! Who was convicted, of what, and the signed votes that show it.

use std::collections::BTreeMap;

use commonware_codec::Encode as _;
use serde::{Deserialize, Serialize};
use voltmesh_ledger::{AuthoritySet, Block, Digest, Epoch, PublicKey, Quarantine, State, Transaction};

use super::{Names, Quarantined, authorities::quarantine};

/// What `/chain/evidence` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Convictions {
    /// Newest final block.
    pub height: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Convicted and not pardoned, the first convicted first.
    pub convictions: Vec<Conviction>,
    /// Conflicting votes that this node has seen itself since it started, by key. They count once they are in a block.
    pub seen_here: BTreeMap<String, u64>,
}

/// A conviction that stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conviction {
    /// Key of the convicted.
    pub authority: String,
    /// Its name, if known.
    pub name: Option<String>,
    /// Of what.
    pub offence: String,
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// Height of the block that holds the evidence.
    pub height: u64,
    /// Where it is because of it.
    pub state: Quarantined,
}

impl Convictions {
    /// As `state` has it; `seen` are conflicting votes that this node saw.
    pub fn new(state: &State, seen: &BTreeMap<PublicKey, u64>, names: &Names) -> Self {
        let mut all: Vec<(&PublicKey, &Quarantine)> = state.convicted().iter().collect();
        all.sort_by_key(|(key, quarantine)| (quarantine.since, (*key).clone()));
        let convictions = all.into_iter().filter_map(|(key, of)| {
            Some(Conviction {
                authority: key.to_string(),
                name: names.of(key),
                offence: of.offence.to_string(),
                epoch: of.epoch.get(),
                view: of.view,
                height: of.since.get(),
                state: quarantine(state, key)?,
            })
        });
        Self {
            height: state.height().get(),
            epoch: state.epoch().get(),
            convictions: convictions.collect(),
            seen_here: seen.iter().map(|(key, count)| (key.to_string(), *count)).collect(),
        }
    }
}

/// What `/chain/evidence/{height}` answers: all that is needed to check the evidence of one block with any implementation
/// of Ed25519.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evidence {
    /// The block that holds it.
    pub height: u64,
    /// Digest of the genesis; part of what is signed.
    pub chain: String,
    /// In the block's order.
    pub accusations: Vec<Accusation>,
}

/// Two votes of one authority that exclude each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accusation {
    /// Key of the accused; absent if this node does not know the voters of that epoch.
    pub authority: Option<String>,
    /// Its name, if known.
    pub name: Option<String>,
    /// What was done.
    pub offence: String,
    /// Epoch of the votes.
    pub epoch: u64,
    /// View of the votes.
    pub view: u64,
    /// The two votes.
    pub votes: Vec<Vote>,
    /// The evidence as the block encodes it.
    pub evidence_hex: String,
}

/// A signed vote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Vote {
    /// `notarize`, `nullify` or `finalize`.
    pub kind: String,
    /// Digest of the block voted for; absent of a vote to skip the view.
    pub block: Option<String>,
    /// The bytes that the accused signed.
    pub signed_hex: String,
    /// RFC 8032 signature over them.
    pub signature_hex: String,
}

impl Evidence {
    /// The evidence in `block`; `None` if there is none. `voters` says who voted in an epoch.
    pub fn in_block(
        block: &Block,
        chain: &Digest,
        voters: impl Fn(Epoch) -> Option<std::sync::Arc<AuthoritySet>>,
        names: &Names,
    ) -> Option<Self> {
        let accusations: Vec<Accusation> = block
            .transactions()
            .iter()
            .filter_map(|transaction| match transaction {
                Transaction::Evidence(evidence) => Some(evidence),
                _ => None,
            })
            .map(|evidence| {
                let set = voters(evidence.epoch());
                let accused = set.as_ref().and_then(|set| evidence.accused(set));
                let votes = evidence.votes(chain).into_iter().map(|vote| Vote {
                    kind: vote.kind.to_owned(),
                    block: vote.block.map(|block| block.to_string()),
                    signed_hex: hex::encode(&vote.signed),
                    signature_hex: hex::encode(vote.signature.encode()),
                });
                Accusation {
                    authority: accused.map(ToString::to_string),
                    name: accused.and_then(|accused| names.of(accused)),
                    offence: evidence.offence().to_string(),
                    epoch: evidence.epoch().get(),
                    view: evidence.view(),
                    votes: votes.collect(),
                    evidence_hex: hex::encode(evidence.encode()),
                }
            })
            .collect();
        let height = block.header().height.get();
        (!accusations.is_empty()).then(|| Self { height, chain: chain.to_string(), accusations })
    }
}
