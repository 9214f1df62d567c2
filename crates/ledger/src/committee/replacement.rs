//! Decrees: the operators replace a committee that has stalled.
//!
//! When more than f of the k members are gone, no block becomes final, so this decision cannot be a transaction. It is
//! in force once more than two thirds of all authorities follow it. Each of them has promised to sign nothing for a
//! block after the one that the decree names unless it descends from the decree, or from one with a later epoch. Seals
//! and root receipts need more than two thirds too, so what the old committee made final unseen gets neither.

use crate::{
    authorities::{AuthoritySet, read_set},
    error::Error,
    keys::transaction_namespace,
    operators::{MAX_OPERATORS, Operators},
    signatures::Signatures,
    types::{Digest, Epoch, Height, MAX_AUTHORITIES, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt, Write};
use commonware_cryptography::{Hasher, Sha256, Signer as _, Verifier as _};
use commonware_utils::union_unique;

/// Longest decree with its acknowledgements: 128 keys, 16 and 128 signatures with their keys; about 18 KiB.
pub const MAX_REPLACEMENT_BYTES: usize =
    MAX_AUTHORITIES * 32 + (MAX_AUTHORITIES + MAX_OPERATORS) * (32 + Signature::SIZE) + 256;

/// Most epochs that a decree may leave out: one for each decree that led nowhere.
pub const MAX_EPOCHS_SKIPPED: u64 = 1_024;

const DECREE: &[u8] = b"-decree-";
const ACKNOWLEDGEMENT: &[u8] = b"-acknowledgement-";

/// Order of the operators that other authorities vote after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decree {
    /// The chain that this is for ([`crate::Genesis::digest`]).
    pub chain: Digest,
    /// The nonce of the operators' next decision after the block below.
    pub nonce: u64,
    /// The epoch that begins. After the one that has stalled, and after that of any decree before: of two decrees the
    /// one with the later epoch counts.
    pub epoch: Epoch,
    /// Height of the newest final block.
    pub after: Height,
    /// Its digest.
    pub block: Digest,
    /// Vote from the next block on: 3 f + 1 of the authorities of the epoch that has stalled.
    pub voters: AuthoritySet,
    /// Of operators.
    pub signatures: Signatures,
}

impl Decree {
    /// A decree without signatures.
    pub fn new(
        chain: Digest,
        nonce: u64,
        epoch: Epoch,
        after: Height,
        block: Digest,
        voters: AuthoritySet,
    ) -> Self {
        Self { chain, nonce, epoch, after, block, voters, signatures: Signatures::default() }
    }

    /// Adds an operator's signature.
    pub fn sign(mut self, key: &PrivateKey) -> Self {
        let signature = key.sign(&transaction_namespace(DECREE, &self.chain), &self.signed());
        self.signatures.add(key.public_key(), signature);
        self
    }

    /// The bytes of which an operator's key makes an Ed25519 signature where it lives, such as in a token.
    pub fn to_be_signed(&self) -> Vec<u8> {
        union_unique(&transaction_namespace(DECREE, &self.chain), &self.signed())
    }

    /// Adds a signature over [`Self::to_be_signed`] that was made elsewhere.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not verify.
    pub fn with_signature(mut self, by: PublicKey, signature: Signature) -> Result<Self, Error> {
        if !by.verify(&transaction_namespace(DECREE, &self.chain), &self.signed(), &signature) {
            return Err(Error::Signature { what: "replacement order", by });
        }
        self.signatures.add(by, signature);
        Ok(self)
    }

    /// Names what is decreed, whichever operators signed.
    pub fn digest(&self) -> Digest {
        Sha256::hash(&[b"voltmesh-decree-1", &self.signed()])
    }

    /// Height of the first block of the epoch that begins.
    pub fn first(&self) -> Height {
        self.after.next()
    }

    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(112 + 32 * self.voters.len());
        self.write_decreed(&mut out);
        out
    }

    fn write_decreed(&self, buf: &mut impl BufMut) {
        self.chain.write(buf);
        self.nonce.write(buf);
        self.epoch.get().write(buf);
        self.after.get().write(buf);
        self.block.write(buf);
        self.voters.as_set().as_ref().write(buf);
    }

    /// Checks that all signatures are of the keys that they name, whoever these are.
    pub(crate) fn verify_signatures(&self) -> Result<(), Error> {
        self.verify_by(|_| Ok(()))
    }

    fn verify_by(&self, counts: impl Fn(&PublicKey) -> Result<(), Error>) -> Result<(), Error> {
        let namespace = transaction_namespace(DECREE, &self.chain);
        self.signatures.verify("decree", &namespace, &self.signed(), counts)
    }

    /// Checks that enough of `operators` signed, and nobody else.
    pub fn verify(&self, operators: &Operators) -> Result<(), Error> {
        self.verify_by(|by| {
            if operators.keys().contains(by) { Ok(()) } else { Err(Error::NotOperator(by.clone())) }
        })?;
        let (found, want) = (self.signatures.len(), operators.threshold());
        if found < want { Err(Error::Threshold { found, want }) } else { Ok(()) }
    }

    /// The promise of the authority that holds `key`, whose newest final block is the one named.
    pub fn acknowledge(&self, key: &PrivateKey) -> (PublicKey, Signature) {
        let namespace = transaction_namespace(ACKNOWLEDGEMENT, &self.chain);
        (key.public_key(), key.sign(&namespace, self.digest().as_ref()))
    }

    /// Whether this is `by`'s promise.
    pub fn acknowledged(&self, by: &PublicKey, signature: &Signature) -> bool {
        let namespace = transaction_namespace(ACKNOWLEDGEMENT, &self.chain);
        by.verify(&namespace, self.digest().as_ref(), signature)
    }
}

/// Order with the signatures of those who follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What the operators decided.
    pub decree: Decree,
    /// Of authorities of the epoch that has stalled; in force with more than two thirds of them.
    pub acknowledgements: Signatures,
}

impl Replacement {
    /// A decree that nobody follows yet.
    pub fn new(decree: Decree) -> Self {
        Self { decree, acknowledgements: Signatures::default() }
    }

    /// Checks that more than two thirds of `authorities`, those of the epoch that has stalled, follow the decree.
    pub fn verify(&self, authorities: &AuthoritySet) -> Result<(), Error> {
        let namespace = transaction_namespace(ACKNOWLEDGEMENT, &self.decree.chain);
        let digest = self.decree.digest();
        self.acknowledgements.verify_quorum("decree", &namespace, digest.as_ref(), authorities)
    }
}

impl Write for Decree {
    fn write(&self, buf: &mut impl BufMut) {
        self.write_decreed(buf);
        self.signatures.write(buf);
    }
}

impl EncodeSize for Decree {
    fn encode_size(&self) -> usize {
        32 + 8 + 8 + 8 + 32 + self.voters.as_set().as_ref().encode_size() + self.signatures.encode_size()
    }
}

impl Read for Decree {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let none = CodecError::Invalid("voltmesh_ledger::Decree", "no voters");
        Ok(Self {
            chain: Digest::read(buf)?,
            nonce: u64::read(buf)?,
            epoch: Epoch::new(u64::read(buf)?),
            after: Height::new(u64::read(buf)?),
            block: Digest::read(buf)?,
            voters: read_set(buf)?.ok_or(none)?,
            signatures: Signatures::read(buf)?,
        })
    }
}

impl Write for Replacement {
    fn write(&self, buf: &mut impl BufMut) {
        self.decree.write(buf);
        self.acknowledgements.write(buf);
    }
}

impl EncodeSize for Replacement {
    fn encode_size(&self) -> usize {
        self.decree.encode_size() + self.acknowledgements.encode_size()
    }
}

impl Read for Replacement {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { decree: Decree::read(buf)?, acknowledgements: Signatures::read(buf)? })
    }
}
