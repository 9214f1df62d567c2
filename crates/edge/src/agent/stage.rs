//! How far a batch has come, and how far it must have come to be forgotten.

/// How far a batch has come, as far as evidence shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Durable in the spool.
    Spooled,
    /// A fog node holds it.
    Received,
    /// The ledger holds its id.
    Anchored,
    /// The archive holds it.
    Archived,
}

/// How long the vehicle keeps a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepUntil {
    /// Until the cloud's signed notice has been checked: survives the loss of fog nodes with their disks.
    #[default]
    Archived,
    /// Until the ledger's receipt has been checked.
    Anchored,
    /// Until a fog node has acknowledged it.
    Received,
}

impl KeepUntil {
    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Archived => Stage::Archived,
            Self::Anchored => Stage::Anchored,
            Self::Received => Stage::Received,
        }
    }
}
