//! How a command ends.

/// How a command ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// The command worked, and what it checked is wrong.
    Wrong,
    /// Recordings could not be read.
    Unread,
    /// There was nothing that could be looked at: no result, which is neither good nor bad.
    NotLooked,
}
