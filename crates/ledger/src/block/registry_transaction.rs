//! Registry transactions: decisions of the operators.

use crate::{
    codec::{count, read_hash, write_hash},
    commitment::Commitment,
    error::Error,
    keys::transaction_namespace,
    operators::MAX_OPERATORS,
    types::{Digest, MAX_AUTHORITIES, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};
use commonware_utils::union_unique;
use std::collections::BTreeSet;
use voltmesh_telemetry::Digest as Hash;

/// Most actions in one registry transaction, which happen together or not at all.
pub const MAX_ACTIONS: usize = 256;

const REGISTRY: &[u8] = b"-registry-";

/// Transaction by which operators change vehicles, authorities, controllers, functions or operators.
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
        let signature = key.sign(&Self::namespace(&self.chain), &self.signed());
        self.insert(key.public_key(), signature);
        self
    }

    /// The bytes of which an operator's key makes an Ed25519 signature where it lives, such as in a token.
    pub fn to_be_signed(&self) -> Vec<u8> {
        union_unique(&Self::namespace(&self.chain), &self.signed())
    }

    /// Adds a signature over [`Self::to_be_signed`] that was made elsewhere.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not verify.
    pub fn with_signature(mut self, by: PublicKey, signature: Signature) -> Result<Self, Error> {
        if !by.verify(&Self::namespace(&self.chain), &self.signed(), &signature) {
            return Err(Error::Signature { what: "registry transaction", by });
        }
        self.insert(by, signature);
        Ok(self)
    }

    fn insert(&mut self, by: PublicKey, signature: Signature) {
        self.signatures.retain(|(other, _)| *other != by);
        let at = self.signatures.partition_point(|(other, _)| *other < by);
        self.signatures.insert(at, (by, signature));
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

/// One change of vehicles, authorities, controllers, functions or operators.
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
    /// May take a term from this block on.
    AdmitController {
        /// A key that was never a controller.
        key: PublicKey,
    },
    /// From this block on nothing of it counts; if it holds the term, nobody does.
    RemoveController {
        /// Never returns.
        key: PublicKey,
    },
    /// From this block on fog nodes may run the function.
    PublishFunction {
        /// SHA-256 of the component; one that was never released.
        component: Hash,
        /// Signs the function's package.
        publisher: PublicKey,
    },
    /// From this block on they must not; for good.
    WithdrawFunction {
        /// SHA-256 of the component.
        component: Hash,
    },
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
            Self::AdmitController { key } => {
                8u8.write(buf);
                key.write(buf);
            }
            Self::RemoveController { key } => {
                9u8.write(buf);
                key.write(buf);
            }
            Self::PublishFunction { component, publisher } => {
                10u8.write(buf);
                write_hash(component, buf);
                publisher.write(buf);
            }
            Self::WithdrawFunction { component } => {
                11u8.write(buf);
                write_hash(component, buf);
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
            | Self::PardonAuthority { .. }
            | Self::AdmitController { .. }
            | Self::RemoveController { .. }
            | Self::WithdrawFunction { .. } => 32,
            Self::RotateVehicle { .. } | Self::RotateAuthority { .. } | Self::PublishFunction { .. } => 64,
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
            8 => Self::AdmitController { key: PublicKey::read(buf)? },
            9 => Self::RemoveController { key: PublicKey::read(buf)? },
            10 => Self::PublishFunction { component: read_hash(buf)?, publisher: PublicKey::read(buf)? },
            11 => Self::WithdrawFunction { component: read_hash(buf)? },
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}

// A registry transaction is small enough that its largest form fits beside a full block of anchors.
const _: () = assert!(MAX_OPERATORS < MAX_AUTHORITIES);
