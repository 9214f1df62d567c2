//! Evidence: signed votes that no honest authority casts together. Whoever sees them may write them down.
//!
//! **Provided:** two signatures of the accused over votes that exclude each other, checkable by anyone who knows the
//! voters of their epoch.
//!
//! **Not provided:** evidence of being slow, silent or unfair, for there is none that the slow could not be framed with;
//! those cost score. Evidence of votes older than the epoch before the last block's: their voters are forgotten.

use crate::keys::{AuthoritySet, Digest, PublicKey, Scheme};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::types::{Attributable as _, ConflictingFinalize, ConflictingNotarize, NullifyFinalize},
    types::Epoch,
};
use commonware_parallel::Sequential;

/// Two votes of one authority in one view that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It voted for two blocks.
    ConflictingNotarize(Box<ConflictingNotarize<Scheme, Digest>>),
    /// It voted to make two blocks final.
    ConflictingFinalize(Box<ConflictingFinalize<Scheme, Digest>>),
    /// It voted to skip the view and to make its block final.
    NullifyFinalize(Box<NullifyFinalize<Scheme, Digest>>),
}

impl Evidence {
    /// Epoch of the votes.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::ConflictingNotarize(votes) => votes.epoch(),
            Self::ConflictingFinalize(votes) => votes.epoch(),
            Self::NullifyFinalize(votes) => votes.epoch(),
        }
    }

    /// View of the votes.
    pub fn view(&self) -> u64 {
        match self {
            Self::ConflictingNotarize(votes) => votes.view().get(),
            Self::ConflictingFinalize(votes) => votes.view().get(),
            Self::NullifyFinalize(votes) => votes.view().get(),
        }
    }

    /// What was done, for people.
    pub fn offence(&self) -> Offence {
        match self {
            Self::ConflictingNotarize(_) => Offence::ConflictingNotarize,
            Self::ConflictingFinalize(_) => Offence::ConflictingFinalize,
            Self::NullifyFinalize(_) => Offence::NullifyFinalize,
        }
    }

    /// Who of `voters`, the set of [`Self::epoch`], it accuses.
    pub fn accused<'a>(&self, voters: &'a AuthoritySet) -> Option<&'a PublicKey> {
        let signer = match self {
            Self::ConflictingNotarize(votes) => votes.signer(),
            Self::ConflictingFinalize(votes) => votes.signer(),
            Self::NullifyFinalize(votes) => votes.signer(),
        };
        voters.get(signer.into())
    }

    /// Whether both votes are the accused's, on `chain`, as one of `voters`.
    pub fn verify(&self, chain: &Digest, voters: &AuthoritySet) -> bool {
        let scheme = voters.verifier(chain);
        // Two signatures, each checked by itself: no coefficients are drawn.
        let mut rng = crate::draft::seeded(chain);
        match self {
            Self::ConflictingNotarize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
            Self::ConflictingFinalize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
            Self::NullifyFinalize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
        }
    }
}

/// What an authority was convicted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// Voted for two blocks in one view.
    ConflictingNotarize,
    /// Voted to make two blocks of one view final.
    ConflictingFinalize,
    /// Voted to skip a view and to make its block final.
    NullifyFinalize,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ConflictingNotarize => "two blocks notarised in one view",
            Self::ConflictingFinalize => "two blocks finalised in one view",
            Self::NullifyFinalize => "a view nullified and finalised",
        })
    }
}

impl Write for Evidence {
    fn write(&self, buf: &mut impl BufMut) {
        (self.offence() as u8).write(buf);
        match self {
            Self::ConflictingNotarize(votes) => votes.write(buf),
            Self::ConflictingFinalize(votes) => votes.write(buf),
            Self::NullifyFinalize(votes) => votes.write(buf),
        }
    }
}

impl EncodeSize for Evidence {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::ConflictingNotarize(votes) => votes.encode_size(),
            Self::ConflictingFinalize(votes) => votes.encode_size(),
            Self::NullifyFinalize(votes) => votes.encode_size(),
        }
    }
}

impl Read for Evidence {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::ConflictingNotarize(Box::new(ConflictingNotarize::read(buf)?)),
            1 => Self::ConflictingFinalize(Box::new(ConflictingFinalize::read(buf)?)),
            2 => Self::NullifyFinalize(Box::new(NullifyFinalize::read(buf)?)),
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}
