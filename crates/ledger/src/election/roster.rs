//! Who may do what in one epoch.

use crate::{
    election::leaders::Leaders,
    error::Error,
    keys::{AuthoritySet, Digest},
};
use commonware_cryptography::{Hasher, Sha256};
use std::sync::Arc;

/// The authorities of an epoch, those of them that vote, and those that lead. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// May anchor, and sign log roots.
    pub authorities: Arc<AuthoritySet>,
    /// Make blocks final. All authorities, unless the chain elects a committee.
    pub voters: Arc<AuthoritySet>,
    /// Of the voters, who leads when.
    pub leaders: Leaders,
}

impl Roster {
    /// What headers name the two sets by.
    pub fn digest(&self) -> Digest {
        Self::digest_of(&self.authorities, Some(&*self.voters))
    }

    /// [`Self::digest`] of these sets; `None` if all authorities vote.
    pub fn digest_of(authorities: &AuthoritySet, voters: Option<&AuthoritySet>) -> Digest {
        match voters.filter(|voters| *voters != authorities) {
            None => authorities.digest(),
            Some(voters) => {
                let mut hasher = Sha256::default();
                hasher.update(b"voltmesh-roster-1");
                hasher.update(authorities.digest().as_ref());
                hasher.update(voters.digest().as_ref());
                hasher.finalize().1
            }
        }
    }

    /// Whether only some of the authorities vote.
    pub fn has_committee(&self) -> bool {
        self.voters != self.authorities
    }

    /// The voters if they are a committee.
    pub fn committee(&self) -> Option<&Arc<AuthoritySet>> {
        self.has_committee().then_some(&self.voters)
    }

    /// Checks that a hand-over's sets fit together.
    pub(crate) fn check(authorities: &AuthoritySet, voters: &AuthoritySet) -> Result<(), Error> {
        match voters.keys().find(|key| !authorities.contains(key)) {
            Some(stranger) => Err(Error::NotAuthority(stranger.clone())),
            None => Ok(()),
        }
    }
}
