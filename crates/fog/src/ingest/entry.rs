//! What the fog's spool holds, byte for byte. Little-endian integers; the first byte is the kind.
//!
//! The spool checks its entries' integrity; this module checks their shape, since the code that reads an entry may be
//! older or newer than the one that wrote it.

use bytes::{BufMut, Bytes, BytesMut};
use voltmesh_control::Opening;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Record, SealedBatch, Timestamp, VehicleId};

use super::copies::MAX_BLOCK;

const BATCH: u8 = 1;
const SAMPLES: u8 = 2;
const COPY: u8 = 3;
const EVIDENCE: u8 = 4;
const SEALED_COPY: u8 = 5;

/// Sources of one attested batch: a group commit is at least a millisecond long, an attested batch covers at most
/// 60 s, but 4,096 records come from at most 4,096 of them.
const MAX_SOURCES: usize = 4_096;

/// One entry of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A signed batch, of a vehicle or attested by this node.
    Batch(BatchEntry),
    /// Records of foreign clients that this node acknowledges and attests.
    Samples(SamplesEntry),
    /// Records of foreign clients that another node acknowledges; this one holds the second copy. Of earlier versions.
    Copy(CopyEntry),
    /// Batches of foreign clients that another node attests; this one holds the second copy, a [`SealedBlock`].
    SealedCopy(CopyEntry),
    /// What proves that a batch is anchored.
    Evidence(EvidenceEntry),
}

/// A signed batch as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// When this node received or sealed it.
    pub received: Timestamp,
    /// This node's height then: the batch's anchor lies above.
    pub height: u64,
    /// Salt and key of the vehicle's opening; zeros if this node attests.
    pub opening: [u8; 64],
    /// Entries whose records the batch holds, and how many of each; only if this node attests.
    pub sources: Vec<(Position, u32)>,
    /// The batch.
    pub wire: Bytes,
}

/// Records of foreign clients, as [`Block`] writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplesEntry {
    /// When this node received them.
    pub received: Timestamp,
    /// The records.
    pub block: Bytes,
}

/// A second copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyEntry {
    /// When this node received it.
    pub received: Timestamp,
    /// The authority that acknowledges the records.
    pub origin: [u8; 32],
    /// The records.
    pub block: Bytes,
}

/// What proves that a batch is anchored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// The batch.
    pub batch: BatchId,
    /// The height of the block.
    pub height: u64,
    /// `AnchorProof`, encoded.
    pub evidence: Bytes,
}

impl Entry {
    /// The bytes for the spool.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size());
        match self {
            Self::Batch(batch) => {
                out.put_u8(BATCH);
                out.put_u64_le(batch.received.as_millis());
                out.put_u64_le(batch.height);
                out.put_slice(&batch.opening);
                out.put_u16_le(batch.sources.len() as u16);
                for (position, count) in &batch.sources {
                    out.put_u64_le(position.0);
                    out.put_u32_le(*count);
                }
                out.put_slice(&batch.wire);
            }
            Self::Samples(samples) => {
                out.put_u8(SAMPLES);
                out.put_u64_le(samples.received.as_millis());
                out.put_slice(&samples.block);
            }
            Self::Copy(copy) | Self::SealedCopy(copy) => {
                out.put_u8(if matches!(self, Self::Copy(_)) { COPY } else { SEALED_COPY });
                out.put_u64_le(copy.received.as_millis());
                out.put_slice(&copy.origin);
                out.put_slice(&copy.block);
            }
            Self::Evidence(evidence) => {
                out.put_u8(EVIDENCE);
                out.put_slice(evidence.batch.as_bytes());
                out.put_u64_le(evidence.height);
                out.put_slice(&evidence.evidence);
            }
        }
        out.freeze()
    }

    fn size(&self) -> usize {
        match self {
            Self::Batch(batch) => 83 + 12 * batch.sources.len() + batch.wire.len(),
            Self::Samples(samples) => 9 + samples.block.len(),
            Self::Copy(copy) | Self::SealedCopy(copy) => 41 + copy.block.len(),
            Self::Evidence(evidence) => 41 + evidence.evidence.len(),
        }
    }

    /// Reads an entry; `None` if it is none of ours.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut rest = Cursor(bytes.clone());
        Some(match rest.u8()? {
            BATCH => {
                let received = Timestamp::from_millis(rest.u64()?);
                let height = rest.u64()?;
                let opening = rest.array()?;
                let count = usize::from(u16::from_le_bytes(rest.array()?));
                if count > MAX_SOURCES {
                    return None;
                }
                let mut sources = Vec::with_capacity(count);
                for _ in 0..count {
                    sources.push((Position(rest.u64()?), u32::from_le_bytes(rest.array()?)));
                }
                Self::Batch(BatchEntry { received, height, opening, sources, wire: rest.0 })
            }
            SAMPLES => {
                Self::Samples(SamplesEntry { received: Timestamp::from_millis(rest.u64()?), block: rest.0 })
            }
            kind @ (COPY | SEALED_COPY) => {
                let received = Timestamp::from_millis(rest.u64()?);
                let copy = CopyEntry { received, origin: rest.array()?, block: rest.0 };
                if kind == COPY { Self::Copy(copy) } else { Self::SealedCopy(copy) }
            }
            EVIDENCE => Self::Evidence(EvidenceEntry {
                batch: BatchId::from(rest.array::<32>()?),
                height: rest.u64()?,
                evidence: rest.0,
            }),
            _ => return None,
        })
    }
}

/// Records of foreign clients, one after the other: `client's length u8, client, length u16, canonical record`.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    records: u32,
}

/// Records of a block, and those that could not be read.
pub type BlockContent = (Vec<(VehicleId, Record)>, Vec<Unreadable>);

impl Block {
    /// Appends a record.
    pub fn push(&mut self, client: &VehicleId, record: &Record) {
        let name = client.as_str().as_bytes();
        self.bytes.push(name.len() as u8); // a VehicleId has at most 64 bytes
        self.bytes.extend_from_slice(name);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        record.canonical(&mut self.bytes);
        let length = (self.bytes.len() - at - 2) as u16; // a record has at most 3,149 bytes
        self.bytes[at..at + 2].copy_from_slice(&length.to_le_bytes());
        self.records += 1;
    }

    /// Number of records.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes; the block is empty afterwards.
    pub fn take(&mut self) -> Bytes {
        self.records = 0;
        Bytes::from(std::mem::take(&mut self.bytes))
    }

    /// Reads a block; `None` if its shape is not as `push` writes it. A record whose values this version does not take
    /// (a time after the last, written by an earlier one) is told apart and costs only itself.
    pub fn read(bytes: &Bytes) -> Option<BlockContent> {
        let mut rest = Cursor(bytes.clone());
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        while !rest.0.is_empty() {
            let length = usize::from(rest.u8()?);
            let client = std::str::from_utf8(&rest.take(length)?).ok()?.parse().ok()?;
            let length = usize::from(u16::from_le_bytes(rest.array()?));
            let record = rest.take(length)?;
            match Record::from_canonical(&record) {
                Ok(record) => records.push((client, record)),
                Err(error @ voltmesh_telemetry::Error::Inconsistent { .. }) => {
                    unreadable.push(Unreadable { client, record, why: error.to_string() });
                }
                Err(_) => return None,
            }
        }
        Some((records, unreadable))
    }
}

/// A record that has the right shape and values that are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose.
    pub client: VehicleId,
    /// Its canonical bytes.
    pub record: Bytes,
    /// What is wrong.
    pub why: String,
}

/// Batches of foreign clients that one fog node attests: `its opening (salt, key), then of each batch length u32, wire`.
#[derive(Debug, Default)]
pub struct SealedBlock {
    bytes: Vec<u8>,
}

impl SealedBlock {
    /// Whether another batch fits; into an empty block any of at most `MAX_SEALED` bytes does.
    pub fn fits(&self, batch: &SealedBatch) -> bool {
        self.bytes.is_empty() || self.bytes.len() + 4 + batch.wire().len() <= MAX_BLOCK
    }

    /// Appends a batch; `opening` is its signer's.
    pub fn push(&mut self, opening: &Opening, batch: &SealedBatch) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&opening.salt);
            self.bytes.extend_from_slice(&opening.key);
        }
        self.bytes.extend_from_slice(&(batch.wire().len() as u32).to_le_bytes()); // at most 1 MiB
        self.bytes.extend_from_slice(batch.wire());
    }

    /// The bytes.
    pub fn take(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Reads a block; `None` if any part of it is not as `push` writes it. Signatures are not checked.
    pub fn read(bytes: &Bytes) -> Option<(Opening, Vec<SealedBatch>)> {
        let mut rest = Cursor(bytes.clone());
        let opening = Opening { salt: rest.array()?, key: rest.array()? };
        let mut batches = Vec::new();
        while !rest.0.is_empty() {
            let length = u32::from_le_bytes(rest.array()?) as usize;
            batches.push(SealedBatch::parse(rest.take(length)?).ok()?);
        }
        Some((opening, batches))
    }
}

/// Reads from the front of some bytes.
pub(super) struct Cursor(pub Bytes);

impl Cursor {
    pub(super) fn take(&mut self, count: usize) -> Option<Bytes> {
        (self.0.len() >= count).then(|| self.0.split_to(count))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.as_ref().try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voltmesh_telemetry::{Milliamps, Millivolts, RecordNumber, Sample};

    fn entries() -> impl Strategy<Value = Entry> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
        let time = || (0..1u64 << 40).prop_map(Timestamp::from_millis);
        let sources = proptest::collection::vec((any::<u64>().prop_map(Position), any::<u32>()), 0..5);
        prop_oneof![
            (time(), any::<u64>(), any::<[u8; 32]>(), sources, bytes()).prop_map(
                |(received, height, half, sources, wire)| {
                    let mut opening = [0; 64];
                    opening[..32].copy_from_slice(&half);
                    Entry::Batch(BatchEntry { received, height, opening, sources, wire })
                }
            ),
            (time(), bytes()).prop_map(|(received, block)| Entry::Samples(SamplesEntry { received, block })),
            (time(), any::<[u8; 32]>(), bytes(), any::<bool>()).prop_map(
                |(received, origin, block, sealed)| {
                    let copy = CopyEntry { received, origin, block };
                    if sealed { Entry::SealedCopy(copy) } else { Entry::Copy(copy) }
                }
            ),
            (any::<[u8; 32]>(), any::<u64>(), bytes()).prop_map(|(batch, height, evidence)| {
                Entry::Evidence(EvidenceEntry { batch: BatchId::from(batch), height, evidence })
            }),
        ]
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(entry in entries()) {
            prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = Entry::decode(&bytes);
            let _ = Block::read(&bytes);
            let _ = SealedBlock::read(&bytes);
        }
    }

    #[test]
    fn a_block_gives_back_its_records() {
        let record = Record::foreign(Sample { time: Timestamp::from_millis(7), ..Sample::default() });
        let client: VehicleId = "paho-1".parse().unwrap();
        let mut block = Block::default();
        block.push(&client, &record);
        block.push(&client, &record);
        assert_eq!(block.records(), 2);
        let bytes = block.take();
        assert_eq!(Block::read(&bytes.slice(..bytes.len() - 1)), None);
        let two = [(client.clone(), record.clone()), (client.clone(), record.clone())];
        assert_eq!(Block::read(&bytes), Some((two.to_vec(), Vec::new())));
        // A time after the last costs the record that has it.
        let late = Sample { time: Timestamp::MAX.plus_millis(1), ..Sample::default() };
        block.push(&client, &Record::foreign(late));
        block.push(&client, &record);
        let (records, unreadable) = Block::read(&block.take()).unwrap();
        assert_eq!((records, unreadable.len()), (vec![(client, record)], 1));
        assert!(unreadable[0].why.contains("2109"), "{}", unreadable[0].why);
    }

    #[test]
    fn the_format_is_pinned() {
        let evidence =
            EvidenceEntry { batch: BatchId::from([0xaa; 32]), height: 2, evidence: Bytes::from_static(b"e") };
        let mut golden = vec![4];
        golden.extend([0xaa; 32]);
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, b'e']);
        assert_eq!(Entry::Evidence(evidence).encode(), golden);
        // Records of both formats: all values known, and none.
        let known =
            Sample { pack_voltage: Millivolts::new(0), pack_current: Milliamps::new(0), ..Sample::default() };
        for (sample, length, format) in [(known, 33, 1), (Sample::default(), 35, 2)] {
            let mut block = Block::default();
            block.push(&"c".parse().unwrap(), &Record { number: RecordNumber::new(3), sample });
            let bytes = block.take();
            assert_eq!(bytes[..5], [1, b'c', length, 0, format]);
            assert_eq!(bytes.len(), 2 + 2 + usize::from(length));
        }
    }
}
