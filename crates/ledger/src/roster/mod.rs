//! Rosters: the authorities, voters and leaders of one epoch, and which epoch has which.

pub(crate) mod calendar;
pub(crate) mod leaders;
pub(crate) mod schedule;

use crate::{
    authorities::{AuthoritySet, read_set, some_set, write_set},
    error::Error,
    roster::leaders::Leaders,
    types::{Digest, PublicKey},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, Read, Write};
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

// The turns are written as they are: they follow from scores that may have changed since.
impl Write for Roster {
    fn write(&self, buf: &mut impl BufMut) {
        write_set(&self.authorities, buf);
        let committee: &[PublicKey] = self.committee().map_or(&[], |set| set.as_set().as_ref());
        committee.write(buf);
        self.leaders.write(buf);
    }
}

impl Read for Roster {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let invalid = |why| CodecError::Invalid("voltmesh_ledger::Roster", why);
        let authorities = Arc::new(some_set(buf)?);
        let voters = match read_set(buf)? {
            Some(committee) if committee == *authorities => return Err(invalid("a committee of all")),
            Some(committee) => Arc::new(committee),
            None => authorities.clone(),
        };
        Self::check(&authorities, &voters).map_err(|_| invalid("a voter is no authority"))?;
        let leaders = Leaders::read_cfg(buf, &voters.len())?;
        Ok(Self { authorities, voters, leaders })
    }
}
