//! Proof of authority, the product's protocol: simplex with elected leaders.
//!
//! `assembly` puts the parts of a [`node`] together. [`engine`] agrees on blocks, [`executor`] applies those that are final, [`gossip`]
//! collects signatures, [`replacement`] follows the operators' decrees, [`storage`] is the disk, [`sync`] writes, serves and
//! fetches snapshots.

mod assembly;
pub(crate) mod control;
pub(crate) mod engine;
pub(crate) mod executor;
pub(crate) mod gossip;
pub(crate) mod handle;
pub(crate) mod node;
pub(crate) mod replacement;
pub(crate) mod retention;
pub(crate) mod retention_guard;
pub(crate) mod shared;
pub(crate) mod status;
pub(crate) mod storage;
pub(crate) mod subscription;
pub(crate) mod sync;
