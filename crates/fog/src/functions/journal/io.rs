//! All that can happen to the journal, and all that it can ask.

use bytes::Bytes;
use voltmesh_control::{Command, FunctionEvent};
use voltmesh_function::Snapshot;

/// A command on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    /// What to sign.
    pub command: Command,
    /// The signed lease.
    pub lease: Vec<u8>,
    /// Function that asks.
    pub function: String,
    /// When the record arrived that it follows, by the shell's own clock.
    pub arrived_us: Option<u64>,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// An event is to be kept; sequences ascend by one.
    Keep {
        /// Its sequence.
        sequence: u64,
        /// What was said.
        event: Box<FunctionEvent>,
    },
    /// A snapshot takes the place of the one before it.
    Persist(Box<Snapshot>),
    /// A command is to leave.
    Command {
        /// Sequence of the event that must be durable before it.
        after: Option<u64>,
        /// What is to leave.
        leaving: Box<Leaving>,
    },
    /// Entries below this position are durable.
    Durable(u64),
    /// Those who must know all events know those below this position.
    Told(u64),
    /// Events below this position are on the ledger.
    Listed(u64),
}

/// What is asked. To be done in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Append to the log; the entry gets the next position.
    Append(Bytes),
    /// Events up to this sequence are durable.
    Kept(u64),
    /// Sign and send.
    Send(Box<Leaving>),
    /// A command is past its time or was crowded out, and is given up.
    GivenUp(Box<Leaving>),
    /// Entries from the first to before the second position are not needed any more.
    Release(u64, u64),
}
