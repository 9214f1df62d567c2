//! Blocks: a header that commits to everything, and the transactions.

use crate::{
    error::Error,
    justification::Justification,
    keys::{Digest, Epoch, Height},
    mandate::Mandate,
    transaction::{Transaction, read_hash, write_hash},
};
use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, Decode, Encode, EncodeSize, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt, Write,
};
use commonware_consensus::{BoundedBlock, Heightable};
use commonware_cryptography::{Digestible, Hasher, Sha256};
use std::sync::Arc;
use voltmesh_telemetry::{BatchId, Digest as Hash, Timestamp};

/// Longest block in bytes. Messages between authorities must carry this and a frame around it.
pub const MAX_BLOCK_BYTES: usize = 1024 * 1024;

/// Most transactions in a block.
pub const MAX_TRANSACTIONS: usize = 1024;

/// Version of the header's format.
const VERSION: u8 = 2;

/// What a certificate makes final: where the block stands and what everything came to after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Blocks before this one.
    pub height: Height,
    /// Digest of the block before; of block 0, the chain's identity.
    pub parent: Digest,
    /// Not before the parent's.
    pub time: Timestamp,
    /// Height divided by the epoch length, unless a decree has cut an epoch short ([`crate::Calendar`]).
    pub epoch: Epoch,
    /// The view of the epoch in which it was proposed, from 1 on; after the parent's. Views between were skipped.
    pub view: u64,
    /// Digest of the embedded mandate and votes and of the transactions.
    pub body: Digest,
    /// Batches in the log after this block.
    pub log_size: u64,
    /// RFC 9162 root over them.
    pub log_root: Hash,
    /// RFC 9162 root over the registry's entries after this block.
    pub registry_root: Hash,
    /// Digest of the authorities and voters that are to serve in the next-but-one epoch ([`crate::Roster::digest`]);
    /// settled with the epoch's last block.
    pub authorities: Digest,
    /// Digest of all that decides who leads: scores, counts, convictions.
    pub election: Digest,
}

impl Header {
    /// The block's digest.
    pub fn digest(&self) -> Digest {
        Sha256::hash(&[self.encode().as_ref()])
    }

    /// Checks the time against the local clock: ahead of it by at most `bound_ms`. A block behind the clock is fine,
    /// since a node may look at it late.
    pub fn check_clock(&self, now: Timestamp, bound_ms: u64) -> Result<(), Error> {
        let by_ms = self.time.as_millis().saturating_sub(now.as_millis());
        if by_ms > bound_ms { Err(Error::TimeAhead { by_ms, bound_ms }) } else { Ok(()) }
    }
}

/// A block. Cloning shares the transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    mandate: Option<Arc<Mandate>>,
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
        mandate: Option<Mandate>,
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
    pub fn mandate(&self) -> Option<&Mandate> {
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

    /// Decodes a block of at most [`MAX_BLOCK_BYTES`].
    pub fn decode_bounded(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("block", bytes, MAX_BLOCK_BYTES, &())
    }

    pub(crate) fn body_digest(
        mandate: Option<&Mandate>,
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

fn write_embedded(mandate: Option<&Mandate>, justification: Option<&Justification>, buf: &mut impl BufMut) {
    let (votes, opens) = (justification.map_or(0, |_| HAS_VOTES), mandate.map_or(0, |_| HAS_MANDATE));
    (votes | opens).write(buf);
    if let Some(mandate) = mandate {
        mandate.write(buf);
    }
    if let Some(votes) = justification {
        votes.write(buf);
    }
}

/// Decodes exactly `bytes`, which may be at most `max` long.
pub(crate) fn decode_bounded<T: Read>(
    what: &'static str,
    bytes: &[u8],
    max: usize,
    cfg: &T::Cfg,
) -> Result<T, Error> {
    if bytes.len() > max {
        return Err(Error::TooLong { what, len: bytes.len(), max });
    }
    Decode::decode_cfg(Copying(bytes), cfg).map_err(|source| Error::Codec { what, source })
}

impl Write for Header {
    fn write(&self, buf: &mut impl BufMut) {
        VERSION.write(buf);
        self.height.get().write(buf);
        self.parent.write(buf);
        self.time.as_millis().write(buf);
        self.epoch.get().write(buf);
        self.view.write(buf);
        self.body.write(buf);
        self.log_size.write(buf);
        write_hash(&self.log_root, buf);
        write_hash(&self.registry_root, buf);
        self.authorities.write(buf);
        self.election.write(buf);
    }
}

impl FixedSize for Header {
    const SIZE: usize = 1 + 8 + 32 + 8 + 8 + 8 + 32 + 8 + 32 + 32 + 32 + 32;
}

impl Read for Header {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Self::read_version(u8::read(buf)?, buf)
    }
}

impl Header {
    /// Reads what follows the version.
    pub(crate) fn read_version(version: u8, buf: &mut impl Buf) -> Result<Self, CodecError> {
        if version != VERSION {
            return Err(CodecError::Invalid("voltmesh_ledger::Header", "another version"));
        }
        Ok(Self {
            height: Height::new(u64::read(buf)?),
            parent: Digest::read(buf)?,
            time: Timestamp::from_millis(u64::read(buf)?),
            epoch: Epoch::new(u64::read(buf)?),
            view: u64::read(buf)?,
            body: Digest::read(buf)?,
            log_size: u64::read(buf)?,
            log_root: read_hash(buf)?,
            registry_root: read_hash(buf)?,
            authorities: Digest::read(buf)?,
            election: Digest::read(buf)?,
        })
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
        let mandate = if embedded & HAS_MANDATE != 0 { Some(Mandate::read(buf)?) } else { None };
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
