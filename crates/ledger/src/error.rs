//! What can be wrong with genesis, transactions, blocks and trust.

use crate::types::{Digest, Epoch, Height, MAX_AUTHORITIES, MIN_AUTHORITIES, PublicKey};
use voltmesh_telemetry::Timestamp;

/// Reason why the ledger refuses something. Refusals of transactions are either for good or for this block only
/// ([`Error::is_transient`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an Ed25519 public key. Check where it was copied from.
    #[error("not an Ed25519 public key: {0}")]
    Key(String),
    /// A set would have too few or too many authorities. Admit or remove others first.
    #[error("{0} authorities, want {MIN_AUTHORITIES} to {MAX_AUTHORITIES}")]
    AuthorityCount(usize),
    /// A key is in a list twice.
    #[error("key {0} is named twice")]
    KeyTwice(PublicKey),
    /// The key is not, or no longer, an authority of the epoch in question.
    #[error("{0} is not an authority there")]
    NotAuthority(PublicKey),
    /// The key was an authority before. Make a new key: a wiped node must not return under its old one.
    #[error("authority key {0} was retired and never returns")]
    Retired(PublicKey),
    /// Too many keys were retired on this chain.
    #[error("{0} authority keys were retired, no more fit")]
    RetiredCount(usize),
    /// Genesis or trust text cannot be read or contradicts itself.
    #[error("{what}: {why}")]
    Text {
        /// Which file or field.
        what: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// Bytes from outside do not decode.
    #[error("malformed {what}")]
    Codec {
        /// What they should have been.
        what: &'static str,
        /// Where it went wrong.
        #[source]
        source: commonware_codec::Error,
    },
    /// Bytes from outside are longer than allowed.
    #[error("{what} has {len} bytes, more than {max}")]
    TooLong {
        /// What they should have been.
        what: &'static str,
        /// How many they are.
        len: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A list has a length outside its bounds.
    #[error("{len} {what}, want {min} to {max}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many.
        len: usize,
        /// At least.
        min: usize,
        /// At most.
        max: usize,
    },
    /// A signature does not verify, by whom it claims to be.
    #[error("{what}: signature of {by} does not verify")]
    Signature {
        /// Of what.
        what: &'static str,
        /// The claimed signer.
        by: PublicKey,
    },
    /// An authority's anchor with this sequence number is applied already, or too old to tell.
    #[error("anchor {sequence} of {authority} was applied already or is older than the last {window}")]
    Replayed {
        /// Whose anchor.
        authority: PublicKey,
        /// Its sequence number.
        sequence: u64,
        /// How many the ledger remembers.
        window: u64,
    },
    /// The authority or controller has used up its part of this block, or the controller of this epoch. Offer it again later.
    #[error("quota of {0} in this block or epoch is used up")]
    Quota(PublicKey),
    /// An authority's event list with this sequence number is applied already, or too old to tell.
    #[error("event list {sequence} of {authority} was applied already or is older than the last {window}")]
    ReplayedEvents {
        /// Whose list.
        authority: PublicKey,
        /// Its sequence number.
        sequence: u64,
        /// How many the ledger remembers.
        window: u64,
    },
    /// The event is on the ledger already, or in the list twice. Leave it out.
    #[error("event {0} of this authority is on the ledger already, or in the list twice")]
    EventTwice(voltmesh_telemetry::Digest),
    /// Not a controller that the operators admitted, or not any more.
    #[error("{0} is not a controller of this chain")]
    NotController(PublicKey),
    /// The key is or was a controller. Make a new key.
    #[error("controller key {0} was admitted before and is not admitted again")]
    ControllerKnown(PublicKey),
    /// The controller does not hold this term, or it is not the next one to take. Ask for the current one and begin anew.
    #[error(
        "controller {by} acts in term {found}, which it does not hold and cannot take; the current term is {current}"
    )]
    Term {
        /// Who acted.
        by: PublicKey,
        /// In which term.
        found: u32,
        /// The current one.
        current: u32,
    },
    /// Another controller holds the term, and its tenure is not past. Take the next term later.
    #[error("{holder} holds term {term} until {} ms", until.as_millis())]
    TermHeld {
        /// Who.
        holder: PublicKey,
        /// Which one.
        term: u32,
        /// Until when, by block time.
        until: Timestamp,
    },
    /// A policy transaction does not count. Sign a new one.
    #[error("policy {number} of {by} in term {term}: {why}")]
    Policy {
        /// Whose.
        by: PublicKey,
        /// In which term.
        term: u32,
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The function was released before. A component is released once, and never again after it was withdrawn.
    #[error("function {0} was released before")]
    Released(voltmesh_telemetry::Digest),
    /// The function was not released, or is withdrawn already.
    #[error("function {0} is not released")]
    NotReleased(voltmesh_telemetry::Digest),
    /// The block is full. Offer it again in the next one.
    #[error("block is full")]
    Full,
    /// The transaction is for another chain.
    #[error("transaction for chain {found}, this is {want}")]
    Chain {
        /// What it names.
        found: Digest,
        /// This one.
        want: Digest,
    },
    /// The transaction's nonce is not the next. Below: it was applied. Above: another must come first.
    #[error("registry nonce {found}, next is {want}")]
    Nonce {
        /// What it has.
        found: u64,
        /// What comes next.
        want: u64,
    },
    /// Too few operators signed.
    #[error("{found} operators signed, {want} must")]
    Threshold {
        /// How many valid ones.
        found: usize,
        /// How many are needed.
        want: usize,
    },
    /// Too few authorities signed. Collect more.
    #[error("{what}: {found} authorities signed, {want} must")]
    Quorum {
        /// What they signed.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are needed: more than two thirds of all.
        want: usize,
    },
    /// The block begins an epoch without what entitles it to, or carries that where it does not belong.
    #[error("block {height}: {why}")]
    EpochOpening {
        /// The block's height.
        height: Height,
        /// What is wrong.
        why: &'static str,
    },
    /// A decree does not fit the block that it names.
    #[error("decree after height {after}: {why}")]
    Decree {
        /// The height that it names.
        after: Height,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not an operator of this chain.
    #[error("{0} is not an operator")]
    NotOperator(PublicKey),
    /// The commitment is in the registry already, perhaps revoked. Make a new key and salt.
    #[error("vehicle commitment {0} is registered already")]
    Enrolled(voltmesh_telemetry::Digest),
    /// The commitment is not in the registry, or is revoked already.
    #[error("vehicle commitment {0} is not enrolled")]
    NotEnrolled(voltmesh_telemetry::Digest),
    /// The block is not the next one after this state.
    #[error("block {found} with parent {parent} does not follow height {height}, {block}")]
    NotNext {
        /// The block's height.
        found: Height,
        /// The block's parent.
        parent: Digest,
        /// The state's height.
        height: Height,
        /// The state's block.
        block: Digest,
    },
    /// The block's time is before its parent's.
    #[error("block time {} ms is before its parent's {} ms", found.as_millis(), parent.as_millis())]
    TimeBackwards {
        /// The block's time.
        found: Timestamp,
        /// Its parent's.
        parent: Timestamp,
    },
    /// The block's time is ahead of the local clock by more than the bound. Wait and look again.
    #[error("block time is {by_ms} ms ahead of the local clock, at most {bound_ms} allowed")]
    TimeAhead {
        /// By how much.
        by_ms: u64,
        /// The bound.
        bound_ms: u64,
    },
    /// An anchor names a batch twice. Name each batch once.
    #[error("the anchor names batch {0} twice")]
    DuplicateBatch(voltmesh_telemetry::BatchId),
    /// The header commits to something that its block does not lead to.
    #[error("header's {field} is not what the block leads to")]
    Commitment {
        /// Which field.
        field: &'static str,
    },
    /// The votes that a block embeds do not count there.
    #[error("votes for block {block} embedded in a later one: {why}")]
    Justification {
        /// The block that they are for.
        block: Digest,
        /// What is wrong with them.
        why: &'static str,
    },
    /// The block's view is not after its parent's.
    #[error("block of view {found} on one of view {parent}")]
    View {
        /// The block's.
        found: u64,
        /// Its parent's in the same epoch, or zero.
        parent: u64,
    },
    /// A report of round trips does not count. Measure anew in the next epoch.
    #[error("round trips reported by {by}: {why}")]
    RoundTrips {
        /// Who reported.
        by: PublicKey,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Evidence that does not hold, or that is too old to be checked.
    #[error("evidence of epoch {epoch}, view {view}: {why}")]
    Evidence {
        /// Epoch of the votes.
        epoch: Epoch,
        /// View of the votes.
        view: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The authority was convicted before. One conviction is enough.
    #[error("authority {0} is convicted already")]
    Convicted(PublicKey),
    /// There is nothing to pardon.
    #[error("authority {0} is not convicted")]
    NotConvicted(PublicKey),
    /// A certificate does not make the block final.
    #[error("block {height} is not final: {why}")]
    NotFinal {
        /// The block's height.
        height: Height,
        /// What is wrong with the certificate.
        why: &'static str,
    },
    /// A hand-over does not fit the chain of authority sets.
    #[error("hand-over at height {height}: {why}")]
    Handover {
        /// Height of its header.
        height: Height,
        /// What does not fit.
        why: &'static str,
    },
    /// A snapshot is damaged, or not of the block that it names. Take another one.
    #[error("snapshot at height {height}: {why}")]
    Snapshot {
        /// Height of its header; 0 if it cannot be read that far.
        height: Height,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing is known of the authorities of that epoch.
    #[error("authorities of epoch {0} are not known")]
    UnknownEpoch(Epoch),
}

impl Error {
    /// Whether the same transaction may be valid in a later block.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Quota(_) | Self::Full | Self::TermHeld { .. } => true,
            Self::Nonce { found, want } => found > want,
            _ => false,
        }
    }
}
