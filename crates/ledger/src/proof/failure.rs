//! Why a proof does not hold, and which part of it.

use crate::types::Epoch;

/// Part of a proof that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The bytes have not the form of a proof.
    Format,
    /// The record is not what the batch holds.
    Record,
    /// The event or decision is not what was committed to.
    Event,
    /// The batch is not what the key in question signed.
    Batch,
    /// The batch is not in the log.
    Log,
    /// The block is not final under the authorities that the trust file leads to.
    Finality,
    /// The trust file is older than the block, and does not know the authorities that its votes ask for: whether the block
    /// is final cannot be told. All else holds. Refresh the trust file and check again.
    Authorities,
    /// The key was not enrolled, or not any more.
    Registry,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Format => "format",
            Self::Record => "record",
            Self::Event => "event",
            Self::Batch => "batch",
            Self::Log => "log",
            Self::Finality => "finality",
            Self::Authorities => "authorities",
            Self::Registry => "registry",
        })
    }
}

/// Failure of a proof: the part that does not hold, and why.
#[derive(Debug, thiserror::Error)]
#[error("{stage}: {why}")]
pub struct ProofError {
    /// Which part failed.
    pub stage: Stage,
    /// In what way.
    pub why: String,
    /// What lies below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProofError {
    pub(crate) fn new(stage: Stage, why: impl Into<String>) -> Self {
        Self { stage, why: why.into(), source: None }
    }

    /// Of a block of a later epoch than a trust file knows the authorities of, which is `known_until`, whose votes those that
    /// it does know did not give.
    pub(crate) fn later(known_until: Epoch, epoch: Epoch) -> Self {
        let why = format!(
            "the block is of epoch {epoch}, and this trust file knows the authorities until epoch {known_until}: refresh it \
             with `voltmesh chain trust`"
        );
        Self::new(Stage::Authorities, why)
    }

    pub(crate) fn from(stage: Stage, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { stage, why: "does not hold".into(), source: Some(Box::new(source)) }
    }
}
