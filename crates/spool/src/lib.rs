//! A crash-safe queue: append, fsync in groups, read, acknowledge out of order, verify.
//!
//! **Invariant.** What [`Spool::sync`] (or [`Writer::durable`]) has confirmed is read back after any crash, in
//! order and unaltered, until it is acknowledged. An acknowledged entry never returns once a
//! [`Spool::checkpoint`] has finished after its acknowledgement; before that it may return after a crash.
//! Entries that were never confirmed may survive a crash or not, but only as a gapless run after the
//! confirmed ones. Positions are never used twice for confirmed or acknowledged entries.
//!
//! **After a failed write or sync** the file is not trusted again: the spool closes it at its last confirmed
//! entry, starts a new one, and writes the unconfirmed entries again from memory. While that fails too (a
//! full disk) nothing is confirmed, the entries stay in memory, and appending ends in [`Error::Busy`].
//!
//! The newest entry stays readable after its acknowledgement, so that a producer finds its place again.
//!
//! **Not here:** encryption, compression, replication, more than one writer per name, and erasure of single
//! entries (space returns file by file from the front).
//!
//! It is a thin wrap of `commonware-storage`'s contiguous variable journal (checksummed pages, tested against
//! torn writes), generic over the runtime: the same code runs on tokio and on the deterministic runtime.
//!
//! ```
//! use bytes::Bytes;
//! use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
//! use voltmesh_spool::{Config, Position, Spool};
//!
//! deterministic::Runner::default().start(|context| async move {
//!     let mut spool = Spool::open(context.child("spool"), Config::new("example")).await?;
//!     let first = spool.append(Bytes::from_static(b"one"))?; // in memory
//!     spool.append(Bytes::from_static(b"two"))?;
//!     assert_eq!(spool.sync().await?, Position(2)); // both are durable, by one fdatasync
//!     spool.ack(first)?;
//!     let rest = spool.read_from(Position(0), 10, usize::MAX).await?;
//!     assert_eq!(rest, vec![(Position(1), Bytes::from_static(b"two"))]);
//!     spool.checkpoint().await?; // `one` never comes back
//!     Ok::<(), voltmesh_spool::Error>(())
//! }).unwrap();
//! ```
#![forbid(unsafe_code)]

mod acks;
mod config;
mod entry;
mod error;
mod spool;
mod state;
mod view;
mod writer;

pub use acks::Acks;
pub use config::{Config, Position};
pub use error::Error;
pub use spool::{Spool, Verified};
pub use writer::{Progress, Writer};

/// What a spool asks of its runtime: storage, clock and metrics.
pub use commonware_storage::Context;

#[cfg(test)]
mod tests;
