//! Policy transactions: the controller holds its term, and writes down what it decided.

use crate::{
    block::event_list::SaltedDigest,
    codec::{read_hash, write_hash},
    keys::transaction_namespace,
    types::{Digest, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};
use voltmesh_telemetry::Timestamp;

/// Longest time by which a policy transaction may expire after the block that holds it, in milliseconds: 10 minutes.
pub const MAX_POLICY_LIFE_MS: u64 = 600_000;

/// Longest time for which one policy transaction extends the holder's tenure after its block, in milliseconds: a minute, so
/// that a dead controller keeps a standby out for no longer.
pub const MAX_TENURE_MS: u64 = 60_000;

/// Most policy transactions of one controller in a block.
pub const MAX_POLICIES_PER_BLOCK: usize = 16;

/// Most decisions in an epoch of blocks: in one of 1,000 blocks of 100 ms, ten a second.
pub const MAX_DECISIONS_PER_EPOCH: u32 = 1_024;

const POLICY: &[u8] = b"-policy-";

/// Transaction of a controller that the operators admitted. Signed by it, numbered within its term, expiring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who acts.
    pub controller: PublicKey,
    /// The term that it holds, or takes.
    pub term: u32,
    /// Goes up within the term; each number is applied at most once, gaps are allowed.
    pub number: u64,
    /// A block of a later time does not take it. At most [`MAX_POLICY_LIFE_MS`] after the block's time.
    pub expires: Timestamp,
    /// Until when the holder asks nobody to take the next term, by block time; at most [`MAX_TENURE_MS`] after it. An earlier
    /// one than was promised before changes nothing.
    pub until: Timestamp,
    /// What happens.
    pub act: PolicyAct,
    /// The controller's signature over all of the above on one chain.
    pub signature: Signature,
}

/// Effect of a policy transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyAct {
    /// Takes the term after the current one: the holder's tenure is past, nobody holds it, or the holder itself begins anew.
    TakeTerm,
    /// Extends the tenure and does nothing else.
    Renew,
    /// Writes down a decision of consequence.
    Decide {
        /// The commitment to it.
        decision: SaltedDigest,
    },
    /// Gives the next term to another controller, at once.
    HandOver {
        /// Holds the term after this one.
        to: PublicKey,
    },
}

impl Policy {
    /// Signs a policy transaction.
    pub fn sign(
        chain: &Digest,
        key: &PrivateKey,
        (term, number): (u32, u64),
        expires: Timestamp,
        until: Timestamp,
        act: PolicyAct,
    ) -> Self {
        let controller = key.public_key();
        let message = message(&controller, term, number, expires, until, &act);
        let signature = key.sign(&transaction_namespace(POLICY, chain), &message);
        Self { controller, term, number, expires, until, act, signature }
    }

    /// Whether the signature is the controller's, on this chain.
    pub fn verify(&self, chain: &Digest) -> bool {
        let Self { controller, term, number, expires, until, act, signature } = self;
        let message = message(controller, *term, *number, *expires, *until, act);
        controller.verify(&transaction_namespace(POLICY, chain), &message, signature)
    }
}

fn message(
    controller: &PublicKey,
    term: u32,
    number: u64,
    expires: Timestamp,
    until: Timestamp,
    act: &PolicyAct,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 64);
    controller.write(&mut out);
    term.write(&mut out);
    number.write(&mut out);
    expires.as_millis().write(&mut out);
    until.as_millis().write(&mut out);
    act.write(&mut out);
    out
}

impl Write for Policy {
    fn write(&self, buf: &mut impl BufMut) {
        self.controller.write(buf);
        self.term.write(buf);
        self.number.write(buf);
        self.expires.as_millis().write(buf);
        self.until.as_millis().write(buf);
        self.act.write(buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for Policy {
    fn encode_size(&self) -> usize {
        32 + 4 + 8 + 8 + 8 + self.act.encode_size() + 64
    }
}

impl Read for Policy {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            controller: PublicKey::read(buf)?,
            term: u32::read(buf)?,
            number: u64::read(buf)?,
            expires: Timestamp::from_millis(u64::read(buf)?),
            until: Timestamp::from_millis(u64::read(buf)?),
            act: PolicyAct::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}

impl Write for PolicyAct {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::TakeTerm => 0u8.write(buf),
            Self::Renew => 1u8.write(buf),
            Self::Decide { decision } => {
                2u8.write(buf);
                write_hash(decision, buf);
            }
            Self::HandOver { to } => {
                3u8.write(buf);
                to.write(buf);
            }
        }
    }
}

impl EncodeSize for PolicyAct {
    fn encode_size(&self) -> usize {
        match self {
            Self::TakeTerm | Self::Renew => 1,
            Self::Decide { .. } | Self::HandOver { .. } => 33,
        }
    }
}

impl Read for PolicyAct {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::TakeTerm,
            1 => Self::Renew,
            2 => Self::Decide { decision: read_hash(buf)? },
            3 => Self::HandOver { to: PublicKey::read(buf)? },
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}
