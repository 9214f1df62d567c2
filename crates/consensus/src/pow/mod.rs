//! Proof of work, the baseline: whoever finds a block extends the chain, the chain with the most work counts, and six
//! blocks make one final (Nakamoto, "Bitcoin: A Peer-to-Peer Electronic Cash System", 2008; D5.3 5.1.2 and 5.1.4).
//!
//! Blocks, transactions, pool, keys and channels are those of the other agreements; a block carries a [`Seal`] beside
//! it. The files: `puzzle` has seals and what makes them valid, `tree` decides which chain counts, `orphans` and
//! `history` hold what is not in the tree yet or any more, `offers` what this node was asked for, `miner` is chance,
//! `wire` the requests for missing blocks, `run` the network.
//!
//! Where this is kinder to proof of work than a public network: only authorities mine, blocks go straight to everyone
//! (no announcing and asking first), the difficulty never drifts, of two equally heavy chains everyone takes the same
//! (the smaller digest, so ties end as soon as both blocks are everywhere), and in virtual time a found block holds
//! what the pool held at that very moment.
//!
//! **Provided:** most accumulated work wins; forks, reorganisation with states rolled back and transactions given back;
//! finality after [`Settings::confirmations`]; blocks that miss their parent fetched; every final block that is undone
//! counted ([`crate::ProtocolStats::conflicting_finals`]) and its replacement announced at the same height.
//!
//! **Not provided:** durable storage (a node that restarts begins at genesis and fetches the chain, as long as others
//! still hold it in memory: 64 MiB of encoded blocks); reorganisation deeper than [`MAX_UNDONE`] final blocks (refused,
//! logged, counted); retargeting (the difficulty is a setting); fees and rewards; relaying of blocks beyond the full
//! mesh; receipts (there is no certificate to show). In virtual time a seal proves nothing but who mined: its signature
//! is checked, its work is taken on trust, so any authority could mine faster than its share. That mode is for
//! measuring, never for production.

mod history;
mod miner;
mod mining;
mod node;
mod offers;
mod orphans;
mod puzzle;
mod request;
mod run;
mod settings;
mod solve_time;
mod sync;
mod tree;
mod wire;

pub use puzzle::{Forged, MAX_SEALED_BYTES, Seal, Sealed, Target, hash_rate};
pub use run::start;
pub use settings::{Settings, Work};
pub use tree::MAX_UNDONE;

#[cfg(test)]
mod tests;
