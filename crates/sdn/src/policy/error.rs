//! What can be wrong with a policy file, with its line, and how large it may be.

/// Most bytes of a policy file: 256 KiB, several times what [`MAX_ENTRIES`] need.
pub const MAX_POLICY_BYTES: usize = 256 << 10;

/// Most functions of a policy: each vehicle may have all of them, 100,000 vehicles 6.4 million.
pub const MAX_FUNCTIONS: usize = 64;

/// Most entries of a policy: each is looked at for each vehicle whose conditions change, some 20 µs for all.
pub const MAX_ENTRIES: usize = 256;

/// Error of a policy file, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than a policy may be.
    #[error("the policy is {0} bytes; at most {MAX_POLICY_BYTES} are read")]
    TooLarge(usize),
    /// It is not the TOML that a policy is.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A function or entry contradicts itself or another one, or says nothing.
    #[error("line {line}: `{name}`: {reason}")]
    Part {
        /// Line, from 1.
        line: usize,
        /// Name of the function or entry.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}
