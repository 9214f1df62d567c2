//! What can be written into the ledger: anchors of authorities and decisions of operators.

use crate::{
    error::Error,
    keys::{Digest, MAX_AUTHORITIES, PrivateKey, PublicKey, Signature, transaction_namespace},
    misbehaviour::Evidence,
    round_trips::RoundTrips,
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Hasher, Sha256, Signer as _, Verifier as _};
use std::collections::BTreeSet;
use voltmesh_telemetry::{BatchId, Digest as Hash};

/// A vehicle in the registry: SHA-256 over its name, its key and a salt ([`commitment`]).
pub type Commitment = Hash;

/// Most batches in one anchor: 512 × 32 B = 16 KiB.
pub const MAX_BATCHES_PER_ANCHOR: usize = 512;

/// Most anchors of one authority in a block: at one each 100 ms, 1.6 s of blocks missed.
pub const MAX_ANCHORS_PER_AUTHORITY: usize = 16;

/// Most batches of one authority in a block: 4 full anchors, 8 M records in batches of 4,096.
pub const MAX_BATCHES_PER_AUTHORITY: usize = 4 * MAX_BATCHES_PER_ANCHOR;

/// Most actions in one registry transaction, which happen together or not at all.
pub const MAX_ACTIONS: usize = 256;

/// Most operators, and so most signatures under a registry transaction.
pub const MAX_OPERATORS: usize = 16;

const ANCHOR: &[u8] = b"-anchor-";
const REGISTRY: &[u8] = b"-registry-";

/// What the registry keeps of a vehicle: SHA-256("voltmesh-vehicle" ‖ salt ‖ length of id as one byte ‖ id ‖ key).
/// A fog node's key that attests for foreign clients is enrolled the same way, under the node's name.
pub fn commitment(id: &str, salt: &[u8; 32], key: &[u8; 32]) -> Commitment {
    let len = [u8::try_from(id.len()).unwrap_or(u8::MAX)];
    Hash::of(&[b"voltmesh-vehicle".as_slice(), salt, &len, id.as_bytes(), key].concat())
}

/// Something that a block may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Batches enter the log.
    Anchor(Anchor),
    /// Vehicles, authorities or operators change.
    Registry(RegistryTx),
    /// An authority reports how far the others are.
    RoundTrips(RoundTrips),
    /// An authority is convicted.
    Evidence(Evidence),
}

impl Transaction {
    /// Name of the transaction: SHA-256 of its encoding.
    pub fn digest(&self) -> Digest {
        Sha256::hash(&[self.encode().as_ref()])
    }
}

/// An authority puts batches, whose signatures and chains it has checked, into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Who anchors.
    pub authority: PublicKey,
    /// Counts the authority's anchors; each number is applied once, gaps are allowed.
    pub sequence: u64,
    /// Records in these batches together, for statistics.
    pub records: u64,
    /// What enters the log, in this order: 1 to [`MAX_BATCHES_PER_ANCHOR`], none twice.
    pub batches: Vec<BatchId>,
    /// The authority's signature over all of the above on one chain.
    pub signature: Signature,
}

impl Anchor {
    /// Signs an anchor.
    pub fn sign(
        chain: &Digest,
        key: &PrivateKey,
        sequence: u64,
        records: u64,
        batches: Vec<BatchId>,
    ) -> Self {
        let authority = key.public_key();
        let message = Self::message(&authority, sequence, records, &batches);
        let signature = key.sign(&Self::namespace(chain), &message);
        Self { authority, sequence, records, batches, signature }
    }

    /// Whether the signature is the authority's, on this chain.
    pub fn verify(&self, chain: &Digest) -> bool {
        self.authority.verify(&Self::namespace(chain), &self.signed(), &self.signature)
    }

    pub(crate) fn namespace(chain: &Digest) -> Vec<u8> {
        transaction_namespace(ANCHOR, chain)
    }

    /// The bytes that the authority signs.
    pub(crate) fn signed(&self) -> Vec<u8> {
        Self::message(&self.authority, self.sequence, self.records, &self.batches)
    }

    fn message(authority: &PublicKey, sequence: u64, records: u64, batches: &[BatchId]) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + 5 + 32 * batches.len());
        authority.write(&mut out);
        sequence.write(&mut out);
        records.write(&mut out);
        write_batches(batches, &mut out);
        out
    }

    /// Checks what holds on any chain.
    pub(crate) fn check_shape(&self) -> Result<(), Error> {
        count("batches in an anchor", self.batches.len(), 1, MAX_BATCHES_PER_ANCHOR)?;
        // Sorting copies of 32 B is faster than a tree of references, and this runs for each anchor of a block.
        let mut sorted: Vec<&BatchId> = self.batches.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Commitment { field: "anchor's list, which names a batch twice," });
        }
        Ok(())
    }
}

/// Operators decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryTx {
    /// The chain that this is for ([`crate::Genesis::digest`]).
    pub chain: Digest,
    /// Must be the state's next nonce, so that nothing is applied twice or out of order.
    pub nonce: u64,
    /// What shall happen: 1 to [`MAX_ACTIONS`], together or not at all.
    pub actions: Vec<Action>,
    /// Signatures of different operators, in the order of their keys.
    pub signatures: Vec<(PublicKey, Signature)>,
}

impl RegistryTx {
    /// A transaction without signatures.
    pub fn new(chain: Digest, nonce: u64, actions: Vec<Action>) -> Self {
        Self { chain, nonce, actions, signatures: Vec::new() }
    }

    /// Adds an operator's signature; a second one by the same key replaces the first.
    pub fn sign(mut self, key: &PrivateKey) -> Self {
        let by = key.public_key();
        let signature = key.sign(&Self::namespace(&self.chain), &self.signed());
        self.signatures.retain(|(other, _)| *other != by);
        let at = self.signatures.partition_point(|(other, _)| *other < by);
        self.signatures.insert(at, (by, signature));
        self
    }

    fn namespace(chain: &Digest) -> Vec<u8> {
        transaction_namespace(REGISTRY, chain)
    }

    /// The bytes that operators sign.
    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.actions.encode_size());
        self.chain.write(&mut out);
        self.nonce.write(&mut out);
        self.actions.write(&mut out);
        out
    }

    /// Checks that enough of `operators` signed, and nobody else.
    pub fn verify(&self, operators: &BTreeSet<PublicKey>, threshold: usize) -> Result<(), Error> {
        count("actions", self.actions.len(), 1, MAX_ACTIONS)?;
        count("operator signatures", self.signatures.len(), 0, MAX_OPERATORS)?;
        let (namespace, message) = (Self::namespace(&self.chain), self.signed());
        let mut seen: Option<&PublicKey> = None;
        for (by, signature) in &self.signatures {
            if seen.is_some_and(|last| last >= by) {
                return Err(Error::KeyTwice(by.clone()));
            }
            seen = Some(by);
            if !operators.contains(by) {
                return Err(Error::NotOperator(by.clone()));
            }
            if !by.verify(&namespace, &message, signature) {
                return Err(Error::Signature { what: "registry transaction", by: by.clone() });
            }
        }
        if self.signatures.len() < threshold {
            return Err(Error::Threshold { found: self.signatures.len(), want: threshold });
        }
        Ok(())
    }
}

/// One change of vehicles, authorities or operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// From this block on the vehicle's signatures count.
    EnrolVehicle {
        /// The vehicle.
        commitment: Commitment,
    },
    /// From this block on they no longer do; for good.
    RevokeVehicle {
        /// The vehicle.
        commitment: Commitment,
    },
    /// Revokes one commitment and enrols another.
    RotateVehicle {
        /// Counts until this block.
        old: Commitment,
        /// Counts from this block on.
        new: Commitment,
    },
    /// Serves from the next-but-one epoch.
    AdmitAuthority {
        /// A key that was never an authority.
        key: PublicKey,
    },
    /// Serves until the end of the next epoch.
    RemoveAuthority {
        /// Never returns.
        key: PublicKey,
    },
    /// A node changes its key, for example because its disk was lost.
    RotateAuthority {
        /// Serves until the end of the next epoch; never returns.
        old: PublicKey,
        /// Serves from the next-but-one epoch.
        new: PublicKey,
    },
    /// A convicted authority may return: it serves from the next-but-one epoch, without a score and on probation.
    PardonAuthority {
        /// Convicted by evidence.
        key: PublicKey,
    },
    /// Replaces the operators at once.
    SetOperators {
        /// In order, none twice, 1 to [`MAX_OPERATORS`].
        keys: Vec<PublicKey>,
        /// How many of them must sign, 1 to all.
        threshold: u8,
    },
}

pub(crate) fn count(what: &'static str, len: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&len) { Ok(()) } else { Err(Error::Count { what, len, min, max }) }
}

pub(crate) fn write_hash(hash: &Hash, buf: &mut impl BufMut) {
    buf.put_slice(hash.as_bytes());
}

pub(crate) fn read_hash(buf: &mut impl Buf) -> Result<Hash, CodecError> {
    <[u8; 32]>::read(buf).map(Hash::new)
}

fn write_batches(batches: &[BatchId], buf: &mut impl BufMut) {
    batches.len().write(buf);
    for batch in batches {
        buf.put_slice(batch.as_bytes());
    }
}

impl Write for Transaction {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Anchor(anchor) => {
                0u8.write(buf);
                anchor.write(buf);
            }
            Self::Registry(tx) => {
                1u8.write(buf);
                tx.write(buf);
            }
            Self::RoundTrips(report) => {
                2u8.write(buf);
                report.write(buf);
            }
            Self::Evidence(evidence) => {
                3u8.write(buf);
                evidence.write(buf);
            }
        }
    }
}

impl EncodeSize for Transaction {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Anchor(anchor) => anchor.encode_size(),
            Self::Registry(tx) => tx.encode_size(),
            Self::RoundTrips(report) => report.encode_size(),
            Self::Evidence(evidence) => evidence.encode_size(),
        }
    }
}

impl Read for Transaction {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            0 => Anchor::read(buf).map(Self::Anchor),
            1 => RegistryTx::read(buf).map(Self::Registry),
            2 => RoundTrips::read(buf).map(Self::RoundTrips),
            3 => Evidence::read(buf).map(Self::Evidence),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}

impl Write for Anchor {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.sequence.write(buf);
        self.records.write(buf);
        write_batches(&self.batches, buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for Anchor {
    fn encode_size(&self) -> usize {
        32 + 8 + 8 + self.batches.len().encode_size() + 32 * self.batches.len() + 64
    }
}

impl Read for Anchor {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let authority = PublicKey::read(buf)?;
        let sequence = u64::read(buf)?;
        let records = u64::read(buf)?;
        let len = usize::read_cfg(buf, &RangeCfg::from(1..=MAX_BATCHES_PER_ANCHOR))?;
        let mut batches = Vec::with_capacity(len);
        for _ in 0..len {
            batches.push(BatchId::new(read_hash(buf)?));
        }
        let signature = Signature::read(buf)?;
        Ok(Self { authority, sequence, records, batches, signature })
    }
}

impl Write for RegistryTx {
    fn write(&self, buf: &mut impl BufMut) {
        self.chain.write(buf);
        self.nonce.write(buf);
        self.actions.write(buf);
        self.signatures.write(buf);
    }
}

impl EncodeSize for RegistryTx {
    fn encode_size(&self) -> usize {
        32 + 8 + self.actions.encode_size() + self.signatures.encode_size()
    }
}

impl Read for RegistryTx {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            chain: Digest::read(buf)?,
            nonce: u64::read(buf)?,
            actions: Vec::read_cfg(buf, &(RangeCfg::from(1..=MAX_ACTIONS), ()))?,
            signatures: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_OPERATORS), ((), ())))?,
        })
    }
}

impl Write for Action {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::EnrolVehicle { commitment } => {
                0u8.write(buf);
                write_hash(commitment, buf);
            }
            Self::RevokeVehicle { commitment } => {
                1u8.write(buf);
                write_hash(commitment, buf);
            }
            Self::RotateVehicle { old, new } => {
                2u8.write(buf);
                write_hash(old, buf);
                write_hash(new, buf);
            }
            Self::AdmitAuthority { key } => {
                3u8.write(buf);
                key.write(buf);
            }
            Self::RemoveAuthority { key } => {
                4u8.write(buf);
                key.write(buf);
            }
            Self::RotateAuthority { old, new } => {
                5u8.write(buf);
                old.write(buf);
                new.write(buf);
            }
            Self::PardonAuthority { key } => {
                7u8.write(buf);
                key.write(buf);
            }
            Self::SetOperators { keys, threshold } => {
                6u8.write(buf);
                keys.write(buf);
                threshold.write(buf);
            }
        }
    }
}

impl EncodeSize for Action {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::EnrolVehicle { .. }
            | Self::RevokeVehicle { .. }
            | Self::AdmitAuthority { .. }
            | Self::RemoveAuthority { .. }
            | Self::PardonAuthority { .. } => 32,
            Self::RotateVehicle { .. } | Self::RotateAuthority { .. } => 64,
            Self::SetOperators { keys, .. } => keys.encode_size() + 1,
        }
    }
}

impl Read for Action {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::EnrolVehicle { commitment: read_hash(buf)? },
            1 => Self::RevokeVehicle { commitment: read_hash(buf)? },
            2 => Self::RotateVehicle { old: read_hash(buf)?, new: read_hash(buf)? },
            3 => Self::AdmitAuthority { key: PublicKey::read(buf)? },
            4 => Self::RemoveAuthority { key: PublicKey::read(buf)? },
            5 => Self::RotateAuthority { old: PublicKey::read(buf)?, new: PublicKey::read(buf)? },
            6 => Self::SetOperators {
                keys: Vec::read_cfg(buf, &(RangeCfg::from(1..=MAX_OPERATORS), ()))?,
                threshold: u8::read(buf)?,
            },
            7 => Self::PardonAuthority { key: PublicKey::read(buf)? },
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}

// A registry transaction is small enough that its largest form fits beside a full block of anchors.
const _: () = assert!(MAX_OPERATORS < MAX_AUTHORITIES);
