//! What a replica's core is told, and what it asks.

use super::{
    certificate::{Certificate, Seat},
    message::Message,
};
use crate::common::chain::Executed;
use commonware_consensus::types::View;
use voltmesh_ledger::{Checked, Digest};

/// Event that a core is told of.
pub(super) enum Input {
    /// The time of [`super::replica::Core::deadline`] has come.
    Tick,
    /// Signatures of a block that were checked before, when its transactions came to the pool.
    Checked(Digest, Checked),
    /// A replica says something; the channel vouches for who it is.
    Message(Seat, Message),
    /// This replica, the primary, built a block on [`super::replica::Core::parent`].
    Propose(Executed),
}

/// Recipient of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// All others.
    All,
    One(Seat),
}

/// Action that a core asks for.
pub(super) enum Output {
    Send(To, Message),
    /// The next block is final.
    Final(Executed, Certificate),
    /// Another view begins here.
    Entered(View),
}
