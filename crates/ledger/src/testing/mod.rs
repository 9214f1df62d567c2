//! Test support: a whole chain in one value, with all keys at hand. Not for production, where nobody holds all keys.
//!
//! Everything is deterministic: keys come from small seeds, blocks are final by real certificates, and the evidence
//! made here passes the same checks as any other.

mod chain;
mod network;
mod vehicle;

pub use chain::{Chain, FinalBlock, with_another_score};
pub use network::{Network, controller, key};
pub use vehicle::Vehicle;
