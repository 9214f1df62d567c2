//! Agree on the next block: proof of authority, by simplex, with leaders elected by quality of service.
//!
//! A [`Node`] takes part in (or follows) one chain: it gathers transactions, proposes and checks blocks, keeps what is
//! final on disk, fetches what it has missed, and collects the signatures that make each log root a receipt. A
//! [`Handle`] is the rest of the process's way to it.
//!
//! Invariants: every node's final blocks are the same at every height; a node never votes for a block that the ledger
//! refuses; [`Finalized`] blocks come in order, with a certificate and f + 1 root signatures; who votes in an epoch is
//! what the ledger fixed two epochs before. Where a committee votes, its epochs begin only after more than two thirds of
//! all authorities have sealed the block before, and as many sign each root.
//!
//! To run for years a node writes a snapshot of its state every so many blocks, starts from the newest one, prunes what is
//! older than wanted and held by nobody, and joins from a peer's snapshot where first blocks are gone. Damage on disk stops
//! it; it is repaired only when somebody asks for it.
//!
//! [`pbft`] and [`pow`] are baselines with the same blocks, keys, pool and channels; [`harness`] measures all three.
//!
//! Deliberately lacks: what a transaction means, scores and schedules (`ledger`); protection of a node whose disk was
//! lost: it must come back under a rotated key.
//!
//! ```
//! use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
//! use voltmesh_consensus::{Config, Node, testing::Cluster};
//! use voltmesh_ledger::Height;
//!
//! deterministic::Runner::seeded(7).start(|context| async move {
//!     let mut cluster = Cluster::new(&context, 4, 100).await;      // four authorities, epochs of 100 blocks
//!     for index in 0..4 {
//!         cluster.start(index).await;
//!     }
//!     assert!(cluster.handle(0).reached(Height::new(3)).await);
//! });
//! ```
#![forbid(unsafe_code)]

mod common;
pub mod harness;
pub mod pbft;
mod poa;
pub mod pow;
#[cfg(feature = "testing")]
pub mod testing;

pub use common::{
    config::Config,
    error::StartError,
    mempool::{MAX_ANCHORS, MAX_EVENT_LISTS, MAX_POLICIES, MAX_REGISTRY, SubmitError},
    network::{self, AddressBook, Channels, Network},
    replica::{Final, ProtocolStats, Replica, Running},
};
pub use harness::sockets;
pub use poa::{
    handle::Handle,
    node::Node,
    retention_guard::RetentionGuard,
    status::{DecreeError, DecreeProgress, Latency, Peer, SealProgress},
    subscription::{Finalized, Subscription},
};
pub use voltmesh_ledger::PublicKey;

#[cfg(test)]
mod tests;
