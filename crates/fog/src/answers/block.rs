//! One final block, readable.

use std::{collections::BTreeMap, sync::Arc};

use commonware_codec::EncodeSize as _;
use commonware_cryptography::Digestible as _;
use serde::{Deserialize, Serialize};
use voltmesh_ledger as ledger;
use voltmesh_ledger::{
    Action, AuthoritySet, Digest, Epoch, Header, Justification, Lane, PolicyAct, PublicKey, UNREACHABLE,
};

use super::{Names, follow::anchored};

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

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Transaction {
    /// Batches enter the log.
    Anchor {
        /// Who anchors.
        authority: String,
        /// Counts its anchors.
        sequence: u64,
        /// Records in the batches.
        records: u64,
        /// Batches.
        batches: usize,
    },
    /// Operators decide.
    Registry {
        /// Counts their decisions.
        nonce: u64,
        /// What they decide.
        actions: Vec<Change>,
        /// Operators that signed.
        signed_by: Vec<String>,
    },
    /// An authority reports how far the others are.
    RoundTrips {
        /// Who measured.
        authority: String,
        /// In which epoch.
        epoch: u64,
        /// Microseconds to each other authority by key, `null` if it did not answer.
        to_us: BTreeMap<String, Option<u32>>,
    },
    /// An authority is convicted.
    Evidence {
        /// The accused; absent if this node does not know that epoch's voters.
        authority: Option<String>,
        /// What it did.
        offence: String,
        /// Epoch of the votes.
        epoch: u64,
        /// View of the votes.
        view: u64,
    },
    /// What functions of an authority's vehicles did.
    Events {
        /// Whose list.
        authority: String,
        /// `functions` or `audit`.
        lane: String,
        /// Counts its lists of this kind.
        sequence: u64,
        /// Events in it.
        events: usize,
    },
    /// A controller acts.
    Policy {
        /// Who.
        controller: String,
        /// In which term.
        term: u32,
        /// Its number there.
        number: u64,
        /// `take_term`, `renew`, `decide` or `hand_over`.
        act: String,
        /// Commitment to a decision.
        decision: Option<String>,
        /// To whom a term is handed over.
        to: Option<String>,
        /// Until when the term is asked for, milliseconds since 1970.
        until_ms: u64,
    },
}

/// A change that operators decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Change {
    /// A signer's signatures count from now on.
    EnrolVehicle {
        /// The signer.
        commitment: String,
    },
    /// They no longer do.
    RevokeVehicle {
        /// The signer.
        commitment: String,
    },
    /// One commitment for another.
    RotateVehicle {
        /// Counted until now.
        old: String,
        /// Counts from now on.
        new: String,
    },
    /// Serves from the next-but-one epoch.
    AdmitAuthority {
        /// The newcomer.
        key: String,
    },
    /// Serves until the end of the next epoch.
    RemoveAuthority {
        /// Never returns.
        key: String,
    },
    /// A node changes its key.
    RotateAuthority {
        /// Never returns.
        old: String,
        /// Serves from the next-but-one epoch.
        new: String,
    },
    /// A convicted authority may return.
    PardonAuthority {
        /// The convicted.
        key: String,
    },
    /// Other operators from now on.
    SetOperators {
        /// Their keys.
        keys: Vec<String>,
        /// How many must sign.
        threshold: u8,
    },
    /// May command.
    AdmitController {
        /// The controller.
        key: String,
    },
    /// Nothing of it counts any more.
    RemoveController {
        /// Never returns.
        key: String,
    },
    /// A function may run.
    PublishFunction {
        /// SHA-256 of its component.
        component: String,
        /// Whose key signs its package.
        publisher: String,
    },
    /// It must not run any more.
    WithdrawFunction {
        /// SHA-256 of its component.
        component: String,
    },
}

impl From<&Action> for Change {
    fn from(action: &Action) -> Self {
        match action {
            Action::EnrolVehicle { commitment } => Self::EnrolVehicle { commitment: commitment.to_string() },
            Action::RevokeVehicle { commitment } => {
                Self::RevokeVehicle { commitment: commitment.to_string() }
            }
            Action::RotateVehicle { old, new } => {
                Self::RotateVehicle { old: old.to_string(), new: new.to_string() }
            }
            Action::AdmitAuthority { key } => Self::AdmitAuthority { key: key.to_string() },
            Action::RemoveAuthority { key } => Self::RemoveAuthority { key: key.to_string() },
            Action::RotateAuthority { old, new } => {
                Self::RotateAuthority { old: old.to_string(), new: new.to_string() }
            }
            Action::PardonAuthority { key } => Self::PardonAuthority { key: key.to_string() },
            Action::SetOperators { keys, threshold } => {
                Self::SetOperators { keys: strings(keys), threshold: *threshold }
            }
            Action::AdmitController { key } => Self::AdmitController { key: key.to_string() },
            Action::RemoveController { key } => Self::RemoveController { key: key.to_string() },
            Action::PublishFunction { component, publisher } => {
                Self::PublishFunction { component: component.to_string(), publisher: publisher.to_string() }
            }
            Action::WithdrawFunction { component } => {
                Self::WithdrawFunction { component: component.to_string() }
            }
        }
    }
}

/// What a block does not say itself and its explanation needs.
pub struct Surroundings<'a> {
    /// The last blocks before it with their digests, the parent first.
    pub ancestors: Vec<(Digest, Header)>,
    /// Who led to it.
    pub leader: Option<PublicKey>,
    /// The authorities of an epoch.
    pub authorities: &'a dyn Fn(Epoch) -> Option<Arc<AuthoritySet>>,
    /// Those that vote in it.
    pub voters: &'a dyn Fn(Epoch) -> Option<Arc<AuthoritySet>>,
    /// Names of nodes.
    pub names: &'a Names,
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

impl Transaction {
    fn new(transaction: &ledger::Transaction, around: &Surroundings<'_>) -> Self {
        match transaction {
            ledger::Transaction::Anchor(anchor) => Self::Anchor {
                authority: anchor.authority.to_string(),
                sequence: anchor.sequence,
                records: anchor.records,
                batches: anchor.batches.len(),
            },
            ledger::Transaction::Registry(registry) => Self::Registry {
                nonce: registry.nonce,
                actions: registry.actions.iter().map(Change::from).collect(),
                signed_by: registry.signatures.iter().map(|(by, _)| by.to_string()).collect(),
            },
            ledger::Transaction::RoundTrips(report) => {
                let authorities = (around.authorities)(report.epoch);
                let keys = authorities.iter().flat_map(|set| set.keys());
                Self::RoundTrips {
                    authority: report.authority.to_string(),
                    epoch: report.epoch.get(),
                    to_us: keys
                        .zip(&report.micros)
                        .filter(|(key, _)| **key != report.authority)
                        .map(|(key, us)| (key.to_string(), Some(*us).filter(|us| *us != UNREACHABLE)))
                        .collect(),
                }
            }
            ledger::Transaction::Evidence(evidence) => {
                let voters = (around.voters)(evidence.epoch());
                Self::Evidence {
                    authority: voters.and_then(|set| evidence.accused(&set).map(ToString::to_string)),
                    offence: evidence.offence().to_string(),
                    epoch: evidence.epoch().get(),
                    view: evidence.view(),
                }
            }
            ledger::Transaction::Events(list) => Self::Events {
                authority: list.authority.to_string(),
                lane: match list.lane {
                    Lane::Functions => "functions".to_owned(),
                    Lane::Audit => "audit".to_owned(),
                },
                sequence: list.sequence,
                events: list.events.len(),
            },
            ledger::Transaction::Policy(policy) => {
                let (act, decision, to) = match &policy.act {
                    PolicyAct::TakeTerm => ("take_term", None, None),
                    PolicyAct::Renew => ("renew", None, None),
                    PolicyAct::Decide { decision } => ("decide", Some(decision.to_string()), None),
                    PolicyAct::HandOver { to } => ("hand_over", None, Some(to.to_string())),
                };
                Self::Policy {
                    controller: policy.controller.to_string(),
                    term: policy.term,
                    number: policy.number,
                    act: act.to_owned(),
                    decision,
                    to,
                    until_ms: policy.until.as_millis(),
                }
            }
        }
    }
}

/// Views between a block and its parent that brought none. Views count from 1 in each epoch.
pub(super) fn skipped_views(header: &Header, parent: Option<&Header>) -> u64 {
    let before = parent.filter(|parent| parent.epoch == header.epoch).map_or(0, |parent| parent.view);
    header.view.saturating_sub(before + 1)
}

fn strings(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
