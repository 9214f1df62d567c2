//! Coefficients for checking many signatures in one equation.

use crate::types::Digest;
use rand::{SeedableRng as _, rngs::StdRng};

/// A generator that is the same everywhere: its seed is a digest of everything that is checked, so that nobody can choose
/// signatures after knowing the coefficients.
pub(crate) fn seeded(digest: &Digest) -> StdRng {
    let mut seed = [0; 32];
    seed.copy_from_slice(digest.as_ref());
    StdRng::from_seed(seed)
}
