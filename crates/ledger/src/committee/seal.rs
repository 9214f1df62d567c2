//! Seals: the word of more than two thirds of all authorities that a block is final, where only a committee votes.
//!
//! A committee of k tolerates f of *its* members, fewer than all authorities would. So that it cannot go far alone, the
//! last block of each of its epochs is sealed before the next one begins.

use crate::{
    authorities::AuthoritySet,
    block::header::Header,
    error::Error,
    keys::transaction_namespace,
    signatures::Signatures,
    types::{Digest, Epoch, Height, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};

const SEAL: &[u8] = b"-seal-";

/// Signature of an authority of a block's epoch: "I have executed this block as final".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealSignature {
    /// The block's height, the last of its epoch.
    pub height: Height,
    /// The block's epoch.
    pub epoch: Epoch,
    /// The block's digest.
    pub block: Digest,
    /// Who signed.
    pub authority: PublicKey,
    /// Over all of the above but the signer, on one chain.
    pub signature: Signature,
}

impl SealSignature {
    /// Signs a block that the holder of `key` has executed as final.
    pub fn sign(chain: &Digest, key: &PrivateKey, header: &Header) -> Self {
        let (height, epoch, block) = (header.height, header.epoch, header.digest());
        let signature = key.sign(&transaction_namespace(SEAL, chain), &message(height, epoch, &block));
        Self { height, epoch, block, authority: key.public_key(), signature }
    }

    /// Whether the signature is the authority's, on this chain. Whether the authority counts is the caller's question.
    pub fn verify(&self, chain: &Digest) -> bool {
        let message = message(self.height, self.epoch, &self.block);
        self.authority.verify(&transaction_namespace(SEAL, chain), &message, &self.signature)
    }
}

fn message(height: Height, epoch: Epoch, block: &Digest) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    height.get().write(&mut out);
    epoch.get().write(&mut out);
    block.write(&mut out);
    out
}

/// [`SealSignature`]s of more than two thirds of the authorities of an epoch for its last block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal(Signatures);

impl Seal {
    /// Of signatures for the same block.
    pub fn new(signatures: impl IntoIterator<Item = SealSignature>) -> Self {
        Self(Signatures::new(signatures.into_iter().map(|one| (one.authority, one.signature))))
    }

    /// Who signed, and how.
    pub fn signatures(&self) -> &Signatures {
        &self.0
    }

    /// The signatures again one by one, for the block with `header`.
    pub fn split(&self, header: &Header) -> Vec<SealSignature> {
        let (height, epoch, block) = (header.height, header.epoch, header.digest());
        let one = |(authority, signature): &(PublicKey, Signature)| SealSignature {
            height,
            epoch,
            block,
            authority: authority.clone(),
            signature: signature.clone(),
        };
        self.0.iter().map(one).collect()
    }

    /// Checks that more than two thirds of `authorities`, those of its epoch, sealed the block with `header`.
    pub fn verify(&self, chain: &Digest, authorities: &AuthoritySet, header: &Header) -> Result<(), Error> {
        let message = message(header.height, header.epoch, &header.digest());
        self.0.verify_quorum("seal", &transaction_namespace(SEAL, chain), &message, authorities)
    }
}

impl Write for SealSignature {
    fn write(&self, buf: &mut impl BufMut) {
        self.height.get().write(buf);
        self.epoch.get().write(buf);
        self.block.write(buf);
        self.authority.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for SealSignature {
    const SIZE: usize = 8 + 8 + 32 + 32 + 64;
}

impl Read for SealSignature {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            height: Height::new(u64::read(buf)?),
            epoch: Epoch::new(u64::read(buf)?),
            block: Digest::read(buf)?,
            authority: PublicKey::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}

impl Write for Seal {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for Seal {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for Seal {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Signatures::read(buf).map(Self)
    }
}
