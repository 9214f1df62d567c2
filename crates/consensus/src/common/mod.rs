//! What the three protocols have in common: blocks, transactions, keys, channels.

pub(crate) mod block_store;
pub(crate) mod chain;
pub(crate) mod config;
pub(crate) mod core;
pub(crate) mod error;
pub(crate) mod mempool;
pub mod network;
pub(crate) mod peer_set;
pub(crate) mod replica;
pub(crate) mod transactions;
pub(crate) mod watch;
