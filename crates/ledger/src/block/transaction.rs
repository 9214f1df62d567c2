//! Transactions: what a block may hold.

use crate::{
    block::{
        anchor::Anchor, equivocation::EquivocationProof, event_list::EventList, policy::Policy,
        registry_transaction::RegistryTx, round_trips::RoundTrips,
    },
    types::Digest,
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_cryptography::{Hasher, Sha256};

/// Entry of a block, in one of six kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Batches enter the log.
    Anchor(Anchor),
    /// Vehicles, authorities or operators change.
    Registry(RegistryTx),
    /// An authority reports how far the others are.
    RoundTrips(RoundTrips),
    /// An authority is convicted.
    Evidence(EquivocationProof),
    /// What functions did goes on record.
    Events(EventList),
    /// A controller holds its term, or writes down a decision.
    Policy(Policy),
}

impl Transaction {
    /// Name of the transaction: SHA-256 of its encoding.
    pub fn digest(&self) -> Digest {
        Sha256::hash(&[self.encode().as_ref()])
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
            Self::Events(list) => {
                4u8.write(buf);
                list.write(buf);
            }
            Self::Policy(policy) => {
                5u8.write(buf);
                policy.write(buf);
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
            Self::Events(list) => list.encode_size(),
            Self::Policy(policy) => policy.encode_size(),
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
            3 => EquivocationProof::read(buf).map(Self::Evidence),
            4 => EventList::read(buf).map(Self::Events),
            5 => Policy::read(buf).map(Self::Policy),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}
