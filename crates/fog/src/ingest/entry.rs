//! What the fog's spool holds, byte for byte. Little-endian integers; the first byte is the kind.
//!
//! The spool checks its entries' integrity; this module checks their shape, since the code that reads an entry may be
//! older or newer than the one that wrote it.

use bytes::{BufMut, Bytes, BytesMut};
use voltmesh_control::Opening;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Timestamp};

use super::cursor::Cursor;

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
    /// Batches of foreign clients that another node attests; this one holds the second copy, a [`SealedBlock`](super::SealedBlock).
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

/// Records of foreign clients, as [`Block`](super::Block) writes them.
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

impl BatchEntry {
    /// Salt and key as the entry has them.
    pub fn opening_bytes(opening: &Opening) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&opening.salt);
        bytes[32..].copy_from_slice(&opening.key);
        bytes
    }

    /// The vehicle's opening.
    pub fn opening(&self) -> Opening {
        let (mut salt, mut key) = ([0; 32], [0; 32]);
        salt.copy_from_slice(&self.opening[..32]);
        key.copy_from_slice(&self.opening[32..]);
        Opening { salt, key }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        }
    }

    #[test]
    fn the_format_is_pinned() {
        let evidence =
            EvidenceEntry { batch: BatchId::from([0xaa; 32]), height: 2, evidence: Bytes::from_static(b"e") };
        let mut golden = vec![4];
        golden.extend([0xaa; 32]);
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, b'e']);
        assert_eq!(Entry::Evidence(evidence).encode(), golden);
    }
}
