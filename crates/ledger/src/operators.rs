//! Operators: who decides on vehicles, authorities and each other.

use crate::{codec::count, error::Error, types::PublicKey};
use std::collections::BTreeSet;

/// Most operators, and so most signatures under a registry transaction.
pub const MAX_OPERATORS: usize = 16;

/// Keys of those who may enrol, revoke, admit and remove: `threshold` of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
}

impl Operators {
    /// `threshold` of `keys`: 1 to [`MAX_OPERATORS`] keys, none twice.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: u8) -> Result<Self, Error> {
        let mut unique = BTreeSet::new();
        for key in keys {
            if let Some(twice) = unique.replace(key) {
                return Err(Error::KeyTwice(twice));
            }
        }
        count("operators", unique.len(), 1, MAX_OPERATORS)?;
        count("signatures of operators", threshold.into(), 1, unique.len())?;
        Ok(Self { keys: unique, threshold: threshold.into() })
    }

    /// Keys in order.
    pub fn keys(&self) -> &BTreeSet<PublicKey> {
        &self.keys
    }

    /// How many must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}
