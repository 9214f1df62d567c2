//! A snapshot with all that makes it believable to someone who has only the genesis, or a trust file.
//!
//! **Provided:** the snapshot's block is final by the voters of its epoch, whom a chain of hand-overs from the genesis
//! names; f + 1 authorities of that epoch, so at least one honest one, signed the SHA-256 of the whole snapshot, also of
//! what no header commits to.
//!
//! **Not provided:** that it is recent. A stale one is caught up from; one whose blocks nobody has any more is not.
//! Protection against more than two thirds of a set that has left long ago: start from a checkpoint that is younger.

use crate::{
    authorities::AuthoritySet,
    block::header::Header,
    codec::decode_bounded,
    error::Error,
    genesis::Genesis,
    keys::transaction_namespace,
    proof::{authority_history::MAX_HANDOVERS, certificate::Certificate, handover::Handover, trust::Trust},
    state::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot},
    types::{Digest, Height, MAX_AUTHORITIES, PrivateKey, PublicKey, Signature},
};
use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt as _, Write,
};
use commonware_cryptography::{Signer as _, Verifier as _};
use std::collections::BTreeSet;

/// Longest checkpoint that is read: a full snapshot and as many hand-overs of 128 authorities as fit 64 MiB.
pub const MAX_CHECKPOINT_BYTES: usize = MAX_SNAPSHOT_BYTES + (64 << 20);

const SNAPSHOT: &[u8] = b"-snapshot-";

/// What a checkpoint's encoding begins with.
const VERSION: u8 = 1;

/// Signature of an authority: "after the block at this height my state has this digest".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Who signed.
    pub authority: PublicKey,
    /// Height of the block.
    pub height: Height,
    /// [`Snapshot::digest_of`] its state.
    pub digest: Digest,
    /// Over height and digest, on one chain.
    pub signature: Signature,
}

impl Attestation {
    /// Signs.
    pub fn sign(chain: &Digest, key: &PrivateKey, height: Height, digest: Digest) -> Self {
        let signature = key.sign(&transaction_namespace(SNAPSHOT, chain), &message(height, &digest));
        Self { authority: key.public_key(), height, digest, signature }
    }

    /// Whether the signature is the authority's. Whether the authority counts is the caller's question.
    pub fn verify(&self, chain: &Digest) -> bool {
        let message = message(self.height, &self.digest);
        self.authority.verify(&transaction_namespace(SNAPSHOT, chain), &message, &self.signature)
    }

    /// Whether it is of one of `authorities`, and for the snapshot with this digest after the block with `header`.
    fn counts(&self, chain: &Digest, authorities: &AuthoritySet, header: &Header, digest: &Digest) -> bool {
        (self.height, self.digest) == (header.height, *digest)
            && authorities.contains(&self.authority)
            && self.verify(chain)
    }
}

fn message(height: Height, digest: &Digest) -> Vec<u8> {
    [height.get().to_be_bytes().as_slice(), digest.as_ref()].concat()
}

/// Whether `trust` believes that the snapshot with this digest is of the block with `header`: the block is final, and
/// f + 1 authorities of its epoch attested the digest. The hand-overs must have been followed before.
pub fn believe(
    trust: &Trust,
    header: &Header,
    certificate: &Certificate,
    digest: &Digest,
    attestations: &[Attestation],
) -> Result<(), Error> {
    let chain = trust.chain();
    if trust.calendar().epoch_of(header.height) != header.epoch {
        return Err(Error::Snapshot { height: header.height, why: "the epoch is not that of the height" });
    }
    let unknown = || Error::UnknownEpoch(header.epoch);
    let voters = trust.voters_for(header.epoch).ok_or_else(unknown)?;
    let authorities = trust.authorities_for(header.epoch).ok_or_else(unknown)?;
    certificate.verify(&chain, voters, header)?;
    let counts = |one: &&Attestation| one.counts(&chain, authorities, header, digest);
    let signers: BTreeSet<_> = attestations.iter().filter(counts).map(|found| &found.authority).collect();
    // As many as for the log's root: where a committee votes, f + 1 may be members of one that went its own way.
    if signers.len() < trust.genesis().root_quorum(authorities) {
        return Err(Error::Snapshot { height: header.height, why: "too few authorities attest it" });
    }
    Ok(())
}

/// Snapshot with everything that makes it believable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Changes of the authorities since genesis, in order.
    pub handovers: Vec<Handover>,
    /// Makes the snapshot's block final.
    pub certificate: Certificate,
    /// Of f + 1 authorities.
    pub attestations: Vec<Attestation>,
    /// [`Snapshot::to_bytes`].
    pub snapshot: Bytes,
}

impl Checkpoint {
    /// Follows the hand-overs and checks everything. On success `trust` knows the authorities of the snapshot's epoch.
    pub fn verify(&self, trust: &mut Trust) -> Result<Snapshot, Error> {
        for handover in &self.handovers {
            trust.extend(handover)?;
        }
        let snapshot = Snapshot::from_bytes(trust.genesis(), &self.snapshot)?;
        let digest = Snapshot::digest_of(&self.snapshot);
        let header = snapshot.state.header();
        let fails = |why| Error::Snapshot { height: header.height, why };
        let digest = digest.ok_or(fails("ends early"))?;
        believe(trust, header, &self.certificate, &digest, &self.attestations)?;
        self.check_attestations(trust, header, &digest)?;
        // What the hand-overs say and what the snapshot says must be the same.
        for epoch in [header.epoch, header.epoch.next()] {
            let roster = snapshot.state.roster_for(epoch).ok_or(Error::UnknownEpoch(epoch))?;
            if trust.authorities_for(epoch) != Some(&roster.authorities)
                || trust.voters_for(epoch) != Some(&roster.voters)
            {
                return Err(fails("its authorities are not those that the hand-overs name"));
            }
        }
        Ok(snapshot)
    }

    /// Also those beyond the quorum must hold, each once: nothing in a file may be altered unseen.
    fn check_attestations(&self, trust: &Trust, header: &Header, digest: &Digest) -> Result<(), Error> {
        let authorities = trust.authorities_for(header.epoch).ok_or(Error::UnknownEpoch(header.epoch))?;
        let signers: BTreeSet<_> = self.attestations.iter().map(|one| &one.authority).collect();
        let holds = |one: &Attestation| one.counts(&trust.chain(), authorities, header, digest);
        if signers.len() == self.attestations.len() && self.attestations.iter().all(holds) {
            return Ok(());
        }
        Err(Error::Snapshot { height: header.height, why: "an attestation does not hold, or is there twice" })
    }

    /// [`Self::verify`] from the genesis alone.
    pub fn verify_from(&self, genesis: Genesis) -> Result<(Trust, Snapshot), Error> {
        let mut trust = Trust::from_genesis(genesis);
        let snapshot = self.verify(&mut trust)?;
        Ok((trust, snapshot))
    }

    /// Reads encoded bytes of at most [`MAX_CHECKPOINT_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("checkpoint", bytes, MAX_CHECKPOINT_BYTES, &())
    }

    /// Encodes.
    pub fn to_bytes(&self) -> Bytes {
        self.encode()
    }
}

impl Write for Attestation {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.height.get().write(buf);
        self.digest.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for Attestation {
    const SIZE: usize = 32 + 8 + 32 + 64;
}

impl Read for Attestation {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            authority: PublicKey::read(buf)?,
            height: Height::new(u64::read(buf)?),
            digest: Digest::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}

impl Write for Checkpoint {
    fn write(&self, buf: &mut impl BufMut) {
        VERSION.write(buf);
        self.handovers.write(buf);
        self.certificate.write(buf);
        self.attestations.write(buf);
        self.snapshot.write(buf);
    }
}

impl EncodeSize for Checkpoint {
    fn encode_size(&self) -> usize {
        1 + self.handovers.encode_size()
            + self.certificate.encode_size()
            + self.attestations.encode_size()
            + self.snapshot.encode_size()
    }
}

impl Read for Checkpoint {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        if u8::read(buf)? != VERSION {
            return Err(CodecError::Invalid("voltmesh_ledger::Checkpoint", "another version"));
        }
        Ok(Self {
            handovers: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_HANDOVERS), ()))?,
            certificate: Certificate::read(buf)?,
            attestations: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?,
            snapshot: Bytes::read_cfg(buf, &RangeCfg::from(0..=MAX_SNAPSHOT_BYTES))?,
        })
    }
}
