//! Blocks: a header that commits to everything, and the transactions.

pub(crate) mod act;
pub(crate) mod anchor;
pub(crate) mod equivocation;
pub(crate) mod event_list;
pub(crate) mod header;
pub(crate) mod justification;
pub(crate) mod policy;
pub(crate) mod registry_transaction;
pub(crate) mod round_trips;
pub(crate) mod transaction;

use crate::{
    block::{act::Act, header::Header, justification::Justification, transaction::Transaction},
    codec::decode_bounded,
    committee::epoch_opening::EpochOpening,
    error::Error,
    types::{Digest, Height},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt, Write};
use commonware_consensus::{BoundedBlock, Heightable};
use commonware_cryptography::{Digestible, Hasher, Sha256};
use std::sync::Arc;
use voltmesh_telemetry::BatchId;

/// Longest block in bytes. Messages between authorities must carry this and a frame around it.
pub const MAX_BLOCK_BYTES: usize = 1024 * 1024;

/// Most transactions in a block.
pub const MAX_TRANSACTIONS: usize = 1024;

/// A block. Cloning shares the transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    mandate: Option<Arc<EpochOpening>>,
    justification: Option<Arc<Justification>>,
    transactions: Arc<Vec<Transaction>>,
}

impl Block {
    /// A block of these transactions with votes for an ancestor; sets the header's body digest.
    pub fn new(header: Header, justification: Option<Justification>, transactions: Vec<Transaction>) -> Self {
        Self::opening(header, None, justification, transactions)
    }

    /// [`Self::new`] with what entitles it to begin an epoch.
    pub fn opening(
        mut header: Header,
        mandate: Option<EpochOpening>,
        justification: Option<Justification>,
        transactions: Vec<Transaction>,
    ) -> Self {
        header.body = Self::body_digest(mandate.as_ref(), justification.as_ref(), &transactions);
        Self {
            header,
            mandate: mandate.map(Arc::new),
            justification: justification.map(Arc::new),
            transactions: Arc::new(transactions),
        }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What entitles it to begin an epoch; only in the first block of one, and only where a committee votes.
    pub fn mandate(&self) -> Option<&EpochOpening> {
        self.mandate.as_deref()
    }

    /// Votes for an ancestor, if its proposer knew any that were not embedded before.
    pub fn justification(&self) -> Option<&Justification> {
        self.justification.as_deref()
    }

    /// What happens in it, in order.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// Batches that it appends to the log, in the log's order.
    pub fn anchored(&self) -> impl Iterator<Item = &BatchId> {
        self.transactions.iter().flat_map(|transaction| match transaction {
            Transaction::Anchor(anchor) => anchor.batches.as_slice(),
            _ => &[],
        })
    }

    /// What it enters into the log of acts, in that log's order.
    pub fn acts(&self) -> impl Iterator<Item = Act> {
        self.transactions.iter().filter_map(|transaction| match transaction {
            Transaction::Events(list) => Some(Act::of_events(list)),
            Transaction::Policy(policy) => Act::of_policy(policy),
            _ => None,
        })
    }

    /// Decodes a block of at most [`MAX_BLOCK_BYTES`].
    pub fn decode_bounded(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("block", bytes, MAX_BLOCK_BYTES, &())
    }

    pub(crate) fn body_digest(
        mandate: Option<&EpochOpening>,
        justification: Option<&Justification>,
        transactions: &[Transaction],
    ) -> Digest {
        let mut out =
            Vec::with_capacity(2_048 + transactions.iter().map(EncodeSize::encode_size).sum::<usize>());
        out.extend_from_slice(b"voltmesh-body-2");
        write_embedded(mandate, justification, &mut out);
        transactions.write(&mut out);
        Sha256::hash(&[&out])
    }
}

/// Bit of the byte before the embedded parts that says that votes follow.
const HAS_VOTES: u8 = 1;
/// Bit that says that a mandate follows, before the votes.
const HAS_MANDATE: u8 = 2;

fn write_embedded(
    mandate: Option<&EpochOpening>,
    justification: Option<&Justification>,
    buf: &mut impl BufMut,
) {
    let (votes, opens) = (justification.map_or(0, |_| HAS_VOTES), mandate.map_or(0, |_| HAS_MANDATE));
    (votes | opens).write(buf);
    if let Some(mandate) = mandate {
        mandate.write(buf);
    }
    if let Some(votes) = justification {
        votes.write(buf);
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        write_embedded(self.mandate(), self.justification(), buf);
        self.transactions.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        Header::SIZE
            + 1
            + self.mandate().map_or(0, EncodeSize::encode_size)
            + self.justification().map_or(0, EncodeSize::encode_size)
            + self.transactions.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let header = Header::read(buf)?;
        if buf.remaining() > MAX_BLOCK_BYTES {
            return Err(CodecError::InvalidLength(buf.remaining()));
        }
        let embedded = u8::read(buf)?;
        if embedded & !(HAS_VOTES | HAS_MANDATE) != 0 {
            return Err(CodecError::Invalid("voltmesh_ledger::Block", "unknown embedded parts"));
        }
        let mandate = if embedded & HAS_MANDATE != 0 { Some(EpochOpening::read(buf)?) } else { None };
        let justification = if embedded & HAS_VOTES != 0 { Some(Justification::read(buf)?) } else { None };
        let transactions: Vec<Transaction> = Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_TRANSACTIONS), ()))?;
        let block = Self::opening(header.clone(), mandate, justification, transactions);
        // The digest is the header's: it names these transactions only if the header does.
        if block.header.body != header.body {
            return Err(CodecError::Invalid("voltmesh_ledger::Block", "the header names other transactions"));
        }
        if block.encode_size() > MAX_BLOCK_BYTES {
            return Err(CodecError::InvalidLength(block.encode_size()));
        }
        Ok(block)
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        self.header.digest()
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.header.height
    }
}

impl commonware_consensus::Block for Block {
    fn parent(&self) -> Digest {
        self.header.parent
    }
}

impl BoundedBlock for Block {
    fn max_encode_size(_: &()) -> usize {
        MAX_BLOCK_BYTES
    }
}
