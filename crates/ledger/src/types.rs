//! Names of the types that other crates define and every module here uses, and how many authorities there may be.

pub use commonware_consensus::simplex::scheme::ed25519::Scheme;
pub use commonware_consensus::types::{Epoch, Height};
pub use commonware_cryptography::ed25519::{PrivateKey, PublicKey, Signature};
pub use commonware_cryptography::sha256::Digest;

/// Fewest authorities that tolerate one fault: 3 f + 1 with f = 1.
pub const MIN_AUTHORITIES: usize = 4;

/// Most authorities. A certificate of 128 is 128 × 64 B of signatures, 8 KiB; D5.3 has 20.
pub const MAX_AUTHORITIES: usize = 128;
