//! Finality: the votes of more than two thirds of an epoch's authorities for one block.

use crate::{
    authorities::AuthoritySet,
    batch_rng::seeded,
    block::header::Header,
    codec::decode_bounded,
    error::Error,
    types::{Digest, MAX_AUTHORITIES, PublicKey, Scheme},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, Read, Write};
use commonware_consensus::{Epochable as _, simplex::types};
use commonware_cryptography::{Hasher, Sha256};
use commonware_parallel::Sequential;

/// A finalization of simplex over our blocks.
pub type Finalization = types::Finalization<Scheme, Digest>;

/// Longest certificate: 128 votes of 64 B, a bitmap and a proposal.
pub const MAX_CERTIFICATE_BYTES: usize = MAX_AUTHORITIES * 64 + 256;

/// Votes that make one block final, for anyone who knows the voters of its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(Finalization);

impl Certificate {
    /// Digest of the block that this certificate is for.
    pub fn block(&self) -> Digest {
        self.0.proposal.payload
    }

    /// As consensus uses it.
    pub fn finalization(&self) -> &Finalization {
        &self.0
    }

    /// Reads encoded bytes of at most [`MAX_CERTIFICATE_BYTES`].
    pub fn decode_bounded(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("certificate", bytes, MAX_CERTIFICATE_BYTES, &())
    }

    /// Checks that this certificate is for the block with `header`, whoever voted.
    pub fn is_for(&self, header: &Header) -> Result<(), Error> {
        let fails = |why| Err(Error::NotFinal { height: header.height, why });
        if self.block() != header.digest() {
            return fails("the certificate is for another block");
        }
        if self.0.epoch() != header.epoch {
            return fails("the certificate is of another epoch");
        }
        Ok(())
    }

    /// Checks that this certificate makes the block with `header` final, by the `authorities` of its epoch on `chain`.
    /// Returns who voted.
    pub fn verify(
        &self,
        chain: &Digest,
        authorities: &AuthoritySet,
        header: &Header,
    ) -> Result<Vec<PublicKey>, Error> {
        let fails = |why| Error::NotFinal { height: header.height, why };
        self.is_for(header)?;
        // The batch equation's coefficients come from everything that goes into it, see `draft::batch_rng`.
        let mut hasher = Sha256::default();
        hasher.update(chain.as_ref());
        hasher.update(authorities.digest().as_ref());
        hasher.update(self.encode().as_ref());
        let mut rng = seeded(&hasher.finalize().1);
        if !self.0.verify(&mut rng, &authorities.verifier(chain), &Sequential) {
            return Err(fails("its votes are not those of more than two thirds of the epoch's authorities"));
        }
        let signers = self.0.certificate.signers.iter();
        Ok(signers.filter_map(|signer| authorities.get(signer.into())).cloned().collect())
    }
}

impl From<Finalization> for Certificate {
    fn from(finalization: Finalization) -> Self {
        Self(finalization)
    }
}

impl From<Certificate> for Finalization {
    fn from(certificate: Certificate) -> Self {
        certificate.0
    }
}

impl Write for Certificate {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for Certificate {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for Certificate {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Finalization::read_cfg(buf, &MAX_AUTHORITIES).map(Self)
    }
}
