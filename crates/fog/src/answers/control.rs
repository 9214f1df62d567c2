//! Who commands, and which functions may run.

use serde::{Deserialize, Serialize};
use voltmesh_ledger::{Height, State};

/// What `/chain/control` answers: controllers, their term, functions, as of the newest final block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The block.
    pub height: u64,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Terms so far; 0 before the first.
    pub term: u32,
    /// Key of the controller that holds it.
    pub holder: Option<String>,
    /// A block of a later time may begin another term; milliseconds since 1970.
    pub until_ms: u64,
    /// The holder's next number, at least.
    pub next_number: u64,
    /// Entries of the log of acts: lists of events, decisions, beginnings of terms.
    pub acts: u64,
    /// Controllers that were ever admitted.
    pub controllers: Vec<Controller>,
    /// Functions that were ever released.
    pub functions: Vec<Release>,
}

/// A controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Its key.
    pub key: String,
    /// Height of the block that admitted it.
    pub admitted_at: u64,
    /// Height of the block that removed it.
    pub removed_at: Option<u64>,
}

/// A function's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// SHA-256 of its component.
    pub component: String,
    /// Whose key signs its package.
    pub publisher: String,
    /// Height of the block that released it.
    pub released_at: u64,
    /// Height of the block that withdrew it.
    pub withdrawn_at: Option<u64>,
}

impl Control {
    /// What a state says.
    pub fn new(state: &State) -> Self {
        let term = state.term();
        Self {
            height: state.height().get(),
            time_ms: state.time().as_millis(),
            term: term.term,
            holder: term.holder.as_ref().map(ToString::to_string),
            until_ms: term.until.as_millis(),
            next_number: term.next,
            acts: state.acts_size(),
            controllers: state
                .controllers()
                .map(|controller| Controller {
                    key: controller.key.to_string(),
                    admitted_at: controller.admitted_at.get(),
                    removed_at: controller.removed_at.map(Height::get),
                })
                .collect(),
            functions: state
                .releases()
                .map(|release| Release {
                    component: release.component.to_string(),
                    publisher: release.publisher.to_string(),
                    released_at: release.released_at.get(),
                    withdrawn_at: release.withdrawn_at.map(Height::get),
                })
                .collect(),
        }
    }
}
