//! One transaction of a block, readable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use voltmesh_ledger as ledger;
use voltmesh_ledger::{Action, Lane, PolicyAct, PublicKey, UNREACHABLE};

use super::surroundings::Surroundings;

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

impl Transaction {
    pub(super) fn new(transaction: &ledger::Transaction, around: &Surroundings<'_>) -> Self {
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

fn strings(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
