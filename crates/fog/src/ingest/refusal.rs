//! Why a publish is not taken: for good (PUBACK with a reason code and a reason string, kept in quarantine) or for now (no
//! PUBACK).

use bytes::Bytes;
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber};

/// A permanent rejection. MQTT 5 counts its PUBACK as delivered, so what was sent goes to the quarantine.
/// `Display` says what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The topic is not one of the peer's own.
    #[error("topic {topic:?} is not one of {peer}: publish under v1/<the id in the certificate>/")]
    ForeignTopic {
        /// The topic, shortened.
        topic: String,
        /// The peer, `role:id`.
        peer: String,
    },
    /// Larger than the format allows.
    #[error("{what} of {size} bytes, at most {limit}: send smaller ones")]
    Oversized {
        /// Hello, batch or sample.
        what: &'static str,
        /// Bytes that came.
        size: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The bytes are not what the topic carries.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// Hello, batch or sample.
        what: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// A sample is dated further ahead of this node's clock than clocks may differ. Taken, it would be the client's newest
    /// until that time has come.
    #[error(
        "the sample is dated {ahead_s} s ahead of this node's clock ({now_ms} ms since 1970): set the sender's clock, or check that its time is UTC"
    )]
    Ahead {
        /// How far, in seconds.
        ahead_s: u64,
        /// This node's clock, milliseconds since the Unix epoch.
        now_ms: u64,
    },
    /// The number of a foreign record, made of its time and 21 bits of its content, is another sample's.
    #[error(
        "record number {number} (time {time_ms} ms and a tag of the content) is taken by another sample of {client}: give samples that differ different times"
    )]
    NumberTaken {
        /// Whose.
        client: String,
        /// The number.
        number: RecordNumber,
        /// The sample's time, milliseconds since the Unix epoch.
        time_ms: u64,
    },
    /// The batch speaks of another vehicle than the certificate, or claims a boot of foreign records.
    #[error("the batch is of {batch}, the certificate of {peer}: a vehicle sends its own batches only")]
    WrongVehicle {
        /// Vehicle and boot in the batch.
        batch: String,
        /// The peer.
        peer: String,
    },
    /// Signed by another key than the one whose opening was presented.
    #[error("the batch is signed by key {found}, the hello presented {expected}: sign with the enrolled key")]
    WrongKey {
        /// The presented key's id.
        expected: Digest,
        /// The batch's key id.
        found: Digest,
    },
    /// The vehicle's key is revoked.
    #[error("the vehicle's key was revoked at height {height}: enrol a new key and sign again")]
    Revoked {
        /// Height of the revocation.
        height: u64,
    },
    /// The signature, the columns or the root are wrong.
    #[error("the batch does not verify: {why}; it was altered or signed with another key")]
    Unverified {
        /// What failed.
        why: String,
    },
    /// The boot's first batch is known, and another one.
    #[error(
        "boot {boot} was used before: its first batch is {known}, this is {found}; raise the vehicle's boot counter"
    )]
    BootReused {
        /// The boot.
        boot: Boot,
        /// The first batch this node knows.
        known: BatchId,
        /// The one that came.
        found: BatchId,
    },
    /// Records that another batch of this vehicle already holds.
    #[error("fork of boot {boot} at record {first}: {known} holds these records, this is {found}")]
    Fork {
        /// The boot.
        boot: Boot,
        /// The batch's first record.
        first: RecordNumber,
        /// The batch this node knows.
        known: BatchId,
        /// The one that came.
        found: BatchId,
    },
    /// The batch names another predecessor than the one that precedes it.
    #[error(
        "broken chain in boot {boot} at record {first}: the predecessor is {known}, the batch names {named}"
    )]
    BrokenChain {
        /// The boot.
        boot: Boot,
        /// The later batch's first record.
        first: RecordNumber,
        /// The batch this node knows there.
        known: BatchId,
        /// The predecessor that the batch names; zeros for none.
        named: Digest,
    },
    /// The only node that saw the record is gone or disowns it, and signed nothing.
    #[error(
        "authority {origin} acknowledged the sample, signed nothing and is gone or disowns it: it is kept here and not attested; ask the client"
    )]
    Unattested {
        /// The authority.
        origin: String,
    },
    /// The cloud rejected it for good.
    #[error("the cloud rejected the batch with reason 0x{code:02x}: its quarantine says why")]
    Cloud {
        /// The MQTT reason code.
        code: u8,
    },
}

impl Refusal {
    /// All counters of rejections, in the order of `Refusal`.
    pub const COUNTERS: [&'static str; 14] = [
        "rejected_topic",
        "rejected_oversized",
        "rejected_malformed",
        "rejected_vehicle",
        "rejected_key",
        "rejected_revoked",
        "rejected_signature",
        "rejected_boot_reused",
        "rejected_fork",
        "rejected_chain",
        "rejected_by_cloud",
        "rejected_number_taken",
        "rejected_unattested",
        "rejected_ahead",
    ];

    /// The counter of this kind.
    pub fn counter(&self) -> &'static str {
        Self::COUNTERS[match self {
            Self::ForeignTopic { .. } => 0,
            Self::Oversized { .. } => 1,
            Self::Malformed { .. } => 2,
            Self::WrongVehicle { .. } => 3,
            Self::WrongKey { .. } => 4,
            Self::Revoked { .. } => 5,
            Self::Unverified { .. } => 6,
            Self::BootReused { .. } => 7,
            Self::Fork { .. } => 8,
            Self::BrokenChain { .. } => 9,
            Self::Cloud { .. } => 10,
            Self::NumberTaken { .. } => 11,
            Self::Unattested { .. } => 12,
            Self::Ahead { .. } => 13,
        }]
    }

    /// The MQTT 5 reason code of the PUBACK (3.4.2.1).
    pub fn reason(&self) -> u8 {
        match self {
            Self::ForeignTopic { .. } => 0x90, // topic name invalid
            Self::Oversized { .. } | Self::Malformed { .. } | Self::Ahead { .. } => 0x99, // payload format invalid
            Self::WrongVehicle { .. } | Self::WrongKey { .. } => 0x87,                    // not authorized
            Self::Revoked { .. } | Self::Unverified { .. } => 0x87,                       // not authorized
            Self::BootReused { .. } | Self::Fork { .. } | Self::BrokenChain { .. } => 0x83, // implementation specific
            Self::Cloud { .. } | Self::NumberTaken { .. } | Self::Unattested { .. } => 0x83,
        }
    }
}

/// A transient failure: no PUBACK, DISCONNECT 0x97, the sender keeps its data and tries again or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Delay {
    /// No hello came before what a vehicle publishes.
    #[error("no hello came before the batch or sample: publish v1/<id>/hello first")]
    NoHello,
    /// The commitment is not in the registry that this node knows.
    #[error(
        "commitment {commitment} is not enrolled at height {height}: enrol the vehicle, or wait for the ledger"
    )]
    NotEnrolled {
        /// What the opening commits to.
        commitment: Digest,
        /// This node's height.
        height: u64,
    },
    /// This node has not caught up with the ledger.
    #[error("the ledger is catching up at height {height}: try again or another fog node")]
    LedgerBehind {
        /// This node's height.
        height: u64,
    },
    /// This node's key is not an authority's now, so nothing that it takes could be anchored.
    #[error(
        "this node is not an authority at height {height}: use another fog node until the ledger admits its key"
    )]
    NotAuthority {
        /// This node's height.
        height: u64,
    },
    /// The spool's bound or the reserve for the ledger is reached.
    #[error("the disk is full to its mark ({free} bytes free): try again later or another fog node")]
    DiskFull {
        /// Bytes that are free for ingest.
        free: u64,
    },
    /// Writing failed.
    #[error("the spool cannot be written: {why}")]
    SpoolFailing {
        /// The cause.
        why: String,
    },
    /// Too much is under way.
    #[error("{what}: slow down or try another fog node")]
    Busy {
        /// Which bound was reached.
        what: &'static str,
    },
    /// The sender has used its share of the quarantine.
    #[error(
        "{share} bytes of what you sent were rejected within a day, which is your share of the quarantine; the last: {refusal}"
    )]
    QuarantineUsed {
        /// Bytes a day.
        share: u64,
        /// Why it would be rejected.
        refusal: String,
    },
    /// No second fog node took a copy in time.
    #[error("no second fog node holds the record within {waited_ms} ms: try again")]
    NoSecondCopy {
        /// How long this node tried.
        waited_ms: u64,
    },
}

impl Delay {
    /// All counters of transient failures, in the order of `Delay`.
    pub const COUNTERS: [&'static str; 9] = [
        "delayed_no_hello",
        "delayed_not_enrolled",
        "delayed_ledger_behind",
        "delayed_not_authority",
        "delayed_disk_full",
        "delayed_spool_failing",
        "delayed_busy",
        "delayed_no_second_copy",
        "delayed_quarantine_used",
    ];

    /// The counter of this kind.
    pub fn counter(&self) -> &'static str {
        Self::COUNTERS[match self {
            Self::NoHello => 0,
            Self::NotEnrolled { .. } => 1,
            Self::LedgerBehind { .. } => 2,
            Self::NotAuthority { .. } => 3,
            Self::DiskFull { .. } => 4,
            Self::SpoolFailing { .. } => 5,
            Self::Busy { .. } => 6,
            Self::NoSecondCopy { .. } => 7,
            Self::QuarantineUsed { .. } => 8,
        }]
    }
}

/// A publish that is not taken.
pub enum Reject {
    /// For good.
    For(Refusal),
    /// For now.
    Now(Delay),
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        Self::For(refusal)
    }
}

impl From<Delay> for Reject {
    fn from(delay: Delay) -> Self {
        Self::Now(delay)
    }
}

pub(super) fn malformed(what: &'static str, error: impl std::fmt::Display) -> Reject {
    Reject::For(Refusal::Malformed { what, why: error.to_string() })
}

pub(super) fn oversized(what: &'static str, payload: &Bytes, limit: usize) -> Result<(), Reject> {
    if payload.len() > limit {
        return Err(Reject::For(Refusal::Oversized { what, size: payload.len(), limit }));
    }
    Ok(())
}
