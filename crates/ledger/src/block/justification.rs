//! What a block embeds of its ancestry: votes for a block before it, which say who took part.
//!
//! A certificate holds the first n − f votes that its maker saw, so two honest nodes may hold different ones for the
//! same block. Nothing is derived from a certificate that no block embeds.

use crate::{
    authorities::AuthoritySet,
    batch_rng::seeded,
    types::{Digest, MAX_AUTHORITIES, PublicKey, Scheme},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_consensus::{
    simplex::types::{self, Proposal},
    types::Epoch,
};
use commonware_cryptography::{Hasher, Sha256};
use commonware_parallel::Sequential;

/// A notarization of simplex over our blocks.
pub type Notarization = types::Notarization<Scheme, Digest>;

/// Votes of more than two thirds of an epoch's voters for an ancestor of the block that embeds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Justification {
    /// It may be built on.
    Notarization(Notarization),
    /// It is final.
    Finalization(types::Finalization<Scheme, Digest>),
}

impl Justification {
    fn proposal(&self) -> &Proposal<Digest> {
        match self {
            Self::Notarization(certificate) => &certificate.proposal,
            Self::Finalization(certificate) => &certificate.proposal,
        }
    }

    /// The block that the votes are for.
    pub fn block(&self) -> Digest {
        self.proposal().payload
    }

    /// The epoch of the votes.
    pub fn epoch(&self) -> Epoch {
        self.proposal().round.epoch()
    }

    /// The view of the votes.
    pub fn view(&self) -> u64 {
        self.proposal().round.view().get()
    }

    /// Who of `voters`, the set of the votes' epoch, voted.
    pub fn signers<'a>(&'a self, voters: &'a AuthoritySet) -> impl Iterator<Item = &'a PublicKey> {
        let signers = match self {
            Self::Notarization(certificate) => &certificate.certificate.signers,
            Self::Finalization(certificate) => &certificate.certificate.signers,
        };
        signers.iter().filter_map(|signer| voters.get(signer.into()))
    }

    /// Whether the votes are those of more than two thirds of `voters`, on `chain`.
    pub fn verify(&self, chain: &Digest, voters: &AuthoritySet) -> bool {
        // The batch equation's coefficients come from everything that goes into it, see `draft::batch_rng`.
        let mut hasher = Sha256::default();
        hasher.update(b"voltmesh-justification");
        hasher.update(chain.as_ref());
        hasher.update(voters.digest().as_ref());
        hasher.update(self.encode().as_ref());
        let mut rng = seeded(&hasher.finalize().1);
        let scheme = voters.verifier(chain);
        match self {
            Self::Notarization(certificate) => certificate.verify(&mut rng, &scheme, &Sequential),
            Self::Finalization(certificate) => certificate.verify(&mut rng, &scheme, &Sequential),
        }
    }
}

impl Write for Justification {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Notarization(certificate) => {
                0u8.write(buf);
                certificate.write(buf);
            }
            Self::Finalization(certificate) => {
                1u8.write(buf);
                certificate.write(buf);
            }
        }
    }
}

impl EncodeSize for Justification {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Notarization(certificate) => certificate.encode_size(),
            Self::Finalization(certificate) => certificate.encode_size(),
        }
    }
}

impl Read for Justification {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            0 => Notarization::read_cfg(buf, &MAX_AUTHORITIES).map(Self::Notarization),
            1 => types::Finalization::read_cfg(buf, &MAX_AUTHORITIES).map(Self::Finalization),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}
