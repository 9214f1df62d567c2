//! What is signed about a block, by whom, and how many signatures are enough.

use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error, FixedSize, RangeCfg, Read, ReadExt as _, Write};
use commonware_consensus::types::View;
use commonware_cryptography::{
    BatchEntry, BatchVerifier as _, Hasher as _, Sha256, Signer as _, Verifier as _,
};
use commonware_parallel::Sequential;
use rand::{SeedableRng as _, rngs::StdRng};
use voltmesh_ledger::{
    AuthoritySet, Digest, Genesis, Height, MAX_AUTHORITIES, NAMESPACE, PrivateKey, PublicKey, Signature,
};

/// An authority, by its place among those of the genesis (by key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat(pub u8);

/// Statement of a signature about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The primary assigns the block its height in the view.
    PrePrepare,
    /// A backup has accepted that.
    Prepare,
    /// A replica knows that n − f have.
    Commit,
    /// A replica has executed the block; in no view, so in view 0.
    Checkpoint,
}

/// Content of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ballot {
    pub phase: Phase,
    pub view: View,
    pub height: Height,
    pub digest: Digest,
}

impl Ballot {
    pub fn new(phase: Phase, view: View, height: Height, digest: Digest) -> Self {
        Self { phase, view, height, digest }
    }

    pub fn checkpoint(height: Height, digest: Digest) -> Self {
        Self::new(Phase::Checkpoint, View::zero(), height, digest)
    }

    /// The same block in the same view in another phase.
    pub fn as_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// The bytes under the signature.
    pub fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::SIZE);
        self.write(&mut out);
        out
    }
}

/// A signature and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub seat: Seat,
    pub signature: Signature,
}

/// Signatures of n − f authorities under one ballot. Of a prepared block, the primary's is its pre-prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub ballot: Ballot,
    pub signatures: Vec<Signed>,
}

/// The authorities, who of them is primary when, and their signatures on this chain.
pub(super) struct Voters {
    set: AuthoritySet,
    namespace: Vec<u8>,
}

impl Voters {
    pub fn new(genesis: &Genesis) -> Self {
        let namespace = [NAMESPACE, b"-pbft-", genesis.digest().as_ref()].concat();
        Self { set: genesis.authorities.clone(), namespace }
    }

    pub fn seat(&self, key: &PublicKey) -> Option<Seat> {
        let index = self.set.keys().position(|other| other == key)?;
        u8::try_from(index).ok().map(Seat)
    }

    pub fn key(&self, seat: Seat) -> Option<&PublicKey> {
        self.set.get(seat.0.into())
    }

    pub fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        // At most 128 authorities.
        (0..self.set.len() as u8).map(Seat)
    }

    /// n − f: any two such groups have an honest authority in common.
    pub fn quorum(&self) -> usize {
        self.set.quorum()
    }

    /// f + 1: such a group has an honest authority.
    pub fn honest(&self) -> usize {
        self.set.honest()
    }

    /// OSDI 4: p = v mod n.
    pub fn primary(&self, view: View) -> Seat {
        Seat((view.get() % self.set.len() as u64) as u8)
    }

    pub fn sign(&self, key: &PrivateKey, message: &[u8]) -> Signature {
        key.sign(&self.namespace, message)
    }

    pub fn verify(&self, seat: Seat, message: &[u8], signature: &Signature) -> bool {
        self.key(seat).is_some_and(|key| key.verify(&self.namespace, message, signature))
    }

    /// Checks many signatures in one equation.
    pub fn verify_all(&self, entries: &[(Seat, Vec<u8>, &Signature)]) -> bool {
        if entries.iter().any(|(seat, _, _)| self.key(*seat).is_none()) {
            return false;
        }
        // Coefficients from everything that goes into the equation: nobody can choose signatures after knowing them.
        let mut hasher = Sha256::default();
        for (seat, message, signature) in entries {
            hasher.update(&[seat.0]);
            hasher.update(message);
            hasher.update(signature.as_ref());
        }
        let mut seed = [0; 32];
        seed.copy_from_slice(hasher.finalize().1.as_ref());
        let entries: Vec<_> = entries
            .iter()
            .filter_map(|(seat, message, signature)| Some((self.key(*seat)?, message, *signature)))
            .collect();
        PublicKey::verify_batch(
            &mut StdRng::from_seed(seed),
            &entries,
            |_, (public_key, message, signature)| BatchEntry {
                namespace: &self.namespace,
                message,
                public_key,
                signature,
            },
            &Sequential,
        )
    }

    /// The ballot that `seat` signs so that `ballot` is certified.
    pub fn part(&self, ballot: &Ballot, seat: Seat) -> Ballot {
        let leads = ballot.phase == Phase::Prepare && seat == self.primary(ballot.view);
        if leads { ballot.as_phase(Phase::PrePrepare) } else { *ballot }
    }

    /// Whether the certificate has signatures of n − f different authorities, a prepared one's primary among them.
    pub fn certifies(&self, certificate: &Certificate) -> bool {
        let Certificate { ballot, signatures } = certificate;
        let ascending = signatures.windows(2).all(|pair| pair[0].seat < pair[1].seat);
        let led = ballot.phase != Phase::Prepare
            || signatures.iter().any(|signed| signed.seat == self.primary(ballot.view));
        if !ascending || !led || signatures.len() < self.quorum() || ballot.phase == Phase::PrePrepare {
            return false;
        }
        let entries: Vec<_> = signatures
            .iter()
            .map(|signed| (signed.seat, self.part(ballot, signed.seat).signed(), &signed.signature))
            .collect();
        self.verify_all(&entries)
    }
}

impl Write for Seat {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl FixedSize for Seat {
    const SIZE: usize = 1;
}

impl Read for Seat {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let seat = u8::read(buf)?;
        if usize::from(seat) >= MAX_AUTHORITIES { Err(Error::InvalidEnum(seat)) } else { Ok(Self(seat)) }
    }
}

impl Write for Ballot {
    fn write(&self, buf: &mut impl BufMut) {
        match self.phase {
            Phase::PrePrepare => 0u8,
            Phase::Prepare => 1,
            Phase::Commit => 2,
            Phase::Checkpoint => 3,
        }
        .write(buf);
        self.view.get().write(buf);
        self.height.get().write(buf);
        self.digest.write(buf);
    }
}

impl FixedSize for Ballot {
    const SIZE: usize = 1 + 8 + 8 + 32;
}

impl Read for Ballot {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let phase = match u8::read(buf)? {
            0 => Phase::PrePrepare,
            1 => Phase::Prepare,
            2 => Phase::Commit,
            3 => Phase::Checkpoint,
            other => return Err(Error::InvalidEnum(other)),
        };
        let (view, height) = (View::new(u64::read(buf)?), Height::new(u64::read(buf)?));
        Ok(Self::new(phase, view, height, Digest::read(buf)?))
    }
}

impl Write for Signed {
    fn write(&self, buf: &mut impl BufMut) {
        self.seat.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for Signed {
    const SIZE: usize = Seat::SIZE + Signature::SIZE;
}

impl Read for Signed {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self { seat: Seat::read(buf)?, signature: Signature::read(buf)? })
    }
}

impl Write for Certificate {
    fn write(&self, buf: &mut impl BufMut) {
        self.ballot.write(buf);
        self.signatures.write(buf);
    }
}

impl EncodeSize for Certificate {
    fn encode_size(&self) -> usize {
        Ballot::SIZE + self.signatures.encode_size()
    }
}

impl Read for Certificate {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let ballot = Ballot::read(buf)?;
        Ok(Self { ballot, signatures: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))? })
    }
}
