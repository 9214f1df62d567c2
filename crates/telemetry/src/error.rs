//! Errors of what a vehicle says.

use crate::{Boot, Digest, RecordNumber};

/// Reason why bytes, text or values from outside are refused. All of it is permanent: the same input fails again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than this format allows; the sender must split or shrink it.
    #[error("{what} of {size} is over the limit of {limit}")]
    Oversized {
        /// Which part.
        what: &'static str,
        /// Its size (bytes or items).
        size: usize,
        /// The largest size allowed.
        limit: usize,
    },
    /// Not an encoding of this format, or not the one canonical encoding.
    #[error("{what} is malformed at byte {at}: {why}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// Offset within it.
        at: usize,
        /// What was wrong there.
        why: &'static str,
    },
    /// A well-formed structure whose fields contradict each other.
    #[error("{what}: {why}")]
    Inconsistent {
        /// Which structure.
        what: &'static str,
        /// The contradiction.
        why: &'static str,
    },
    /// The signature is not by this key over these bytes.
    #[error("{what}: signature does not verify under key {key_id}")]
    Signature {
        /// Which structure.
        what: &'static str,
        /// SHA-256 of the public key that was tried.
        key_id: Digest,
    },
    /// The statement names another key than the one it is checked with.
    #[error("{what} is signed by key {named}, not by {expected}")]
    Key {
        /// Which structure.
        what: &'static str,
        /// Key id inside the statement.
        named: Digest,
        /// SHA-256 of the public key that was tried.
        expected: Digest,
    },
    /// The records are not those that were signed.
    #[error("records hash to {computed}, but {signed} is signed")]
    Root {
        /// What the statement says.
        signed: Digest,
        /// What the content gives.
        computed: Digest,
    },
    /// A native batch must hold contiguous numbers from its first.
    #[error("record {found} of boot {boot} where {expected} belongs")]
    Number {
        /// The batch's boot.
        boot: Boot,
        /// The number that continues the batch.
        expected: RecordNumber,
        /// The number found.
        found: RecordNumber,
    },
    /// Text that is no name of its kind.
    #[error("{text:?} is no {kind}")]
    Name {
        /// What was expected.
        kind: &'static str,
        /// What was given, shortened.
        text: String,
    },
    /// A field of a JSON sample is missing or has no usable value.
    #[error("{field}: {why}")]
    Field {
        /// Full VSS path or JSON key.
        field: String,
        /// What is wrong and what is wanted.
        why: String,
    },
}

impl Error {
    pub(crate) fn name(kind: &'static str, text: &str) -> Self {
        Error::Name { kind, text: text.chars().take(80).collect() }
    }

    pub(crate) fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), Self> {
        if size > limit { Err(Error::Oversized { what, size, limit }) } else { Ok(()) }
    }
}
