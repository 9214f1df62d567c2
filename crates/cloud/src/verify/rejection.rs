//! Why a delivery is refused for good: the check that failed, and what was wrong.

use std::fmt;
use voltmesh_telemetry::error_chain;

/// The check that failed, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The envelope cannot be read.
    Envelope,
    /// The batch cannot be read, or is beyond its limits.
    Batch,
    /// The ledger's evidence cannot be read.
    Evidence,
    /// The batch is not in the log.
    Log,
    /// The block is not final.
    Finality,
    /// The key was not enrolled, or not any more.
    Registry,
    /// The signature is not by that key.
    Signature,
    /// The records are not what was signed.
    Content,
    /// The chain to an archived neighbour is broken.
    Chain,
    /// Other content is archived under the same numbers.
    Fork,
    /// The archive's table lacks what its watermark says it holds.
    Table,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 11] = [
        Stage::Envelope,
        Stage::Batch,
        Stage::Evidence,
        Stage::Log,
        Stage::Finality,
        Stage::Registry,
        Stage::Signature,
        Stage::Content,
        Stage::Chain,
        Stage::Fork,
        Stage::Table,
    ];

    /// The stage's name in table, metrics and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Envelope => "envelope",
            Stage::Batch => "batch",
            Stage::Evidence => "evidence",
            Stage::Log => "log",
            Stage::Finality => "finality",
            Stage::Registry => "registry",
            Stage::Signature => "signature",
            Stage::Content => "content",
            Stage::Chain => "chain",
            Stage::Fork => "fork",
            Stage::Table => "table",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Permanent rejection of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which check.
    pub stage: Stage,
    /// What was wrong, in a sentence.
    pub reason: String,
}

impl Rejection {
    pub(crate) fn new(stage: Stage, error: &dyn std::error::Error) -> Self {
        Self { stage, reason: error_chain(error) }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.reason)
    }
}
