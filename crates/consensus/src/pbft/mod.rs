//! PBFT after Castro and Liskov, the baseline that proof of authority is measured against.
//!
//! The same blocks, keys, channels, pool and transactions as [`crate::Node`]; another agreement. A sequence number is a
//! block's height, so requests are chained: block n + 1 names block n as its parent, and up to
//! [`Settings::pipeline`] blocks are under way at once. Sources: M. Castro, B. Liskov, "Practical Byzantine Fault
//! Tolerance", OSDI 1999 ("OSDI" below), and "Practical Byzantine Fault Tolerance and Proactive Recovery", ACM TOCS 20(4),
//! 2002 ("TOCS").
//!
//! **Provided:** pre-prepare, prepare and commit with Ed25519 signatures; quorums of n − f of n authorities
//! (2f + 1 of 3f + 1, OSDI 4.2); watermarks and checkpoints with n − f signatures (OSDI 4.3); view changes with prepared
//! certificates and a new view that everybody computes again (OSDI 4.4); timeouts that double (OSDI 4.5.2); repetition of
//! what was lost, upon status messages (TOCS); blocks with commit certificates for those that have missed some.
//!
//! Where it departs from the papers, and why:
//! - Signatures, not MACs, since everything else here is signed too. Votes are checked when there are enough for a quorum,
//!   in one equation, and those beyond a quorum are never checked.
//! - Commits are sent in order: for block n + 1 only after that for block n. A header names its parent, so a committed
//!   block commits all blocks before it, and a new view needs no null requests: what follows a gap was never committed.
//! - A header commits to the whole state, so the commit certificate of the newest executed block serves in a view change as
//!   the proof of the newest stable checkpoint does in OSDI 4.4, and proves more. It saves up to 2 × 64 prepared
//!   certificates per view change. Checkpoints still move the watermarks.
//! - A certificate proves the claim of everyone who makes it, so a new view carries each once, and the view changes
//!   themselves without.
//! - All replicas see all requests by gossip and the primary owes a block each idle interval, so the timer always runs.
//!
//! **Not provided:** a journal of votes. What is committed is on disk before it counts as final, as in proof of authority,
//! but is not read again, and a replica that crashed does not return; proof of authority pays for fsync before its votes
//! and this does not, which favours the baseline. Proactive recovery, read-only and tentative
//! execution (OSDI 5.1). Changes of the authorities: those of the genesis serve for ever. Transfer of whole states: who
//! has missed more blocks than peers remember (4,096, or 64 MiB of them) stays behind.

mod archive;
mod catch_up;
mod certificate;
mod checkpoint;
mod history;
mod log;
mod message;
mod normal;
mod replica;
mod run;
mod view_change;
mod vocabulary;

pub use run::start;

use std::time::Duration;

/// Most blocks under way at once that [`Settings::pipeline`] may ask for.
pub const MAX_PIPELINE: u64 = 16;

/// Settings of PBFT besides [`crate::Config`]. All replicas of a chain need the same pipeline and checkpoint
/// interval. Of [`crate::Config`], `leader_timeout` and `partition` mean nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Blocks that the primary has under way at once, 1 to [`MAX_PIPELINE`]. Default 4.
    pub pipeline: u64,
    /// Blocks between checkpoints, at least [`Self::pipeline`]. The watermarks are twice as far apart. Default 64.
    pub checkpoint: u64,
    /// Longest time between two blocks before a replica asks for the next view; it doubles with each view that fails. Must be
    /// more than the idle interval and three message delays. Default 2.3 s: what simplex gives a view.
    pub view_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pipeline: 4, checkpoint: 64, view_timeout: Duration::from_millis(2_300) }
    }
}

#[cfg(test)]
mod core_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;
