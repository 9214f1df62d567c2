//! What the loopback interface answers about the ledger, as data: for `voltmesh chain` and for anyone's programs.
//!
//! Everything is computed from final blocks and states; nothing here asks a network, a disk or a clock. Keys and digests
//! are lower-case hex; a `name` is `null` where this node's configuration names nobody with that key.

mod authorities;
mod block;
mod control;
mod evidence;
mod follow;
mod status;
mod succession;
mod surroundings;
mod transaction;

pub use authorities::{Authorities, Authority, Quarantined, Role, Score, Scores, Seat};
pub use block::{Block, Embedded};
pub use control::{Control, Controller, Release};
pub use evidence::{Accusation, Conviction, Convictions, Evidence, Vote};
pub use follow::FinalBlock;
pub use status::Status;
pub use succession::{Candidate, Decreed, STALLED_MS, Seal, Succession};
pub use surroundings::Surroundings;
pub use transaction::{Change, Transaction};

use std::collections::BTreeMap;

use voltmesh_ledger::{Epoch, PublicKey, Roster, State};

/// Names of nodes by key, as this node's configuration and certificate say.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<PublicKey, String>);

impl Names {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = (PublicKey, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The name of the node with this key.
    pub fn of(&self, key: &PublicKey) -> Option<String> {
        self.0.get(key).cloned()
    }

    /// All of them, keys in hex.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(key, name)| (key.to_string(), name.clone())).collect()
    }
}

/// Who leads in a view, as the epoch's roster says.
pub fn leader(roster: &Roster, view: u64) -> Option<&PublicKey> {
    // Block 0 was made, not proposed.
    if view == 0 { None } else { roster.voters.get(roster.leaders.leader(view)) }
}

/// The epoch of the next block: the one that is under way.
pub fn running_epoch(state: &State) -> Epoch {
    state.next_epoch()
}

/// Share of turns as leader in an epoch, in parts per million.
pub fn share_ppm(roster: &Roster, key: &PublicKey) -> u32 {
    roster.voters.as_set().position(key).map_or(0, |at| roster.leaders.share_ppm(at))
}

/// Parts per million in percent.
fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}

/// Microseconds in milliseconds.
fn millis(us: u32) -> f64 {
    f64::from(us) / 1_000.0
}

#[cfg(test)]
mod tests;
