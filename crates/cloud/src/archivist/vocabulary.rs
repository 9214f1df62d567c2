//! All that can happen to the archivist, and all that it asks of its shell.

use super::{Entry, Marks};
use crate::{
    coverage::Stored,
    verify::{About, Rejection, Verified},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_telemetry::{Boot, Digest, Timestamp, VehicleId};

/// All that can happen.
#[derive(Clone, Debug)]
pub enum Input {
    /// A fog node delivered an envelope.
    Envelope {
        /// The node, by its certificate.
        fog: String,
        /// To acknowledge it.
        token: Token,
        /// The envelope.
        bytes: Bytes,
    },
    /// A fog node sent hand-overs of the authority set.
    Handovers(Bytes),
    /// The commit is durable.
    Committed {
        /// Which one.
        ticket: u64,
    },
    /// The commit did not happen, or another writer came first; this is what the archive holds now.
    Reloaded {
        /// Which commit.
        ticket: u64,
        /// The archive's state.
        marks: Marks,
    },
    /// The table has answered.
    Answered {
        /// Which question.
        question: u64,
        /// The answer.
        answer: Answer,
    },
    /// The time of [`Archivist::deadline`](super::Archivist::deadline) has come.
    Tick,
}

/// All that can be asked of the shell.
#[derive(Clone, Debug)]
pub enum Output {
    /// Append, durably, in one go; then `Committed` or `Reloaded`.
    Commit(Commit),
    /// Ask the table; then `Answered`.
    Ask {
        /// Names it in the answer.
        question: u64,
        /// What to ask.
        about: Question,
    },
    /// PUBACK with success.
    Accept(Token),
    /// PUBACK with a reason code: the delivery will never be archived, and is in quarantine, or beyond its sender's share of
    /// it, as the reason says then.
    Reject(Token, Rejection),
    /// No PUBACK, and disconnect: the same delivery may pass later.
    Defer(Token, &'static str),
    /// Send a vehicle's notice to a fog node.
    Notice {
        /// Where to.
        fog: String,
        /// Whose.
        vehicle: VehicleId,
        /// The signed notice.
        bytes: Bytes,
    },
}

/// A delivery that waits for its PUBACK; the shell's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One atomic addition to the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Names it in the answer.
    pub ticket: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// Batches to append.
    pub entries: Vec<Entry>,
    /// Further copies of archived batches to keep, for the entries of the ledger's log that they prove.
    pub copies: Vec<Arc<Verified>>,
    /// Refused deliveries to keep.
    pub quarantine: Vec<Quarantined>,
    /// The new watermarks of the boots that `entries` touch, and all islands.
    pub marks: Marks,
}

/// Quarantined item, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// When it came.
    pub received: Timestamp,
    /// From whom.
    pub fog: String,
    /// What it claims to be, if it could be read that far.
    pub about: Option<About>,
    /// The check that failed.
    pub rejection: Rejection,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The delivery as it came.
    pub bytes: Bytes,
}

impl Quarantined {
    /// What came just now.
    pub fn new(
        now: Timestamp,
        fog: String,
        about: Option<About>,
        rejection: Rejection,
        bytes: Bytes,
    ) -> Self {
        Self { received: now, fog, about, rejection, digest: Digest::of(&bytes), bytes }
    }
}

/// Question to the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The batches of a boot that hold or touch the numbers `first..=last`.
    Batches {
        /// Whose.
        vehicle: VehicleId,
        /// In which boot.
        boot: Boot,
        /// From this number.
        first: u64,
        /// To this number.
        last: u64,
    },
    /// Which of these numbers of boot 0 are archived.
    Numbers {
        /// Whose.
        vehicle: VehicleId,
        /// Which.
        numbers: BTreeSet<u64>,
    },
}

/// Answer of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Batches`].
    Batches(Vec<Stored>),
    /// To [`Question::Numbers`]: those that are archived, with their content ([`crate::foreign::content_of`]).
    Numbers(BTreeMap<u64, Digest>),
    /// The table could not be read; try again later.
    Failed,
}
