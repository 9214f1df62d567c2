//! The part of a fog node that decides what to take, when to acknowledge it, what to anchor and what to forward.
//!
//! It is pure: no clock, socket, disk or entropy. `run.rs` and the simulation do what its outputs say.
//!
//! **Invariant.** A PUBACK without an error follows the durability of what it acknowledges; what is acknowledged stays
//! in the spool until a notice, signed by the cloud's key, says that it is archived.
//!
//! Provided: permanent rejections are kept in the quarantine before they are answered; transient failures get no
//! PUBACK and DISCONNECT 0x97, which MQTT 3.1.1 clients see as a closed connection; samples that are dated ahead of this
//! node's clock are rejected, so that none of them hides newer ones. Not provided: the check of a vehicle's whole chain (the cloud's), plausibility of values.

mod claim;
mod io;
mod settings;

mod core;
mod state;

mod anchoring;
mod batches;
mod clock;
mod commands;
mod durable;
mod foreign;
mod forwarding;
mod holding;
mod offering;
mod publish;
mod quarantine;
mod restore;
mod sessions;
mod sources;
mod statements;

mod block;
mod copies;
mod counters;
mod cursor;
mod entry;
mod feed;
mod job;
mod payload;
mod refusal;

pub use self::core::Ingest;
pub use block::{Block, SealedBlock};
pub use claim::{Answer, Claim, Rejection};
pub use copies::{MAX_BLOCK, Message};
pub use counters::Counters;
pub use entry::{BatchEntry, CopyEntry, Entry, EvidenceEntry, SamplesEntry};
pub use feed::{Feed, FeedContent};
pub use io::{Input, NotRouted, Output, Topic};
pub use job::{Done, Job};
pub use payload::{envelope, receipts};
pub use refusal::{Delay, Refusal};
pub use restore::Restoring;
pub use settings::{AnchorSettings, ForwardSettings, Settings};
pub use state::statements::{MAX_STATEMENTS_BYTES, newest_statement};
pub use voltmesh_mqtt::SessionId;

#[cfg(test)]
mod tests;
