//! Records and batches of foreign clients one after the other: blocks, as spool entries and second copies hold them.

use bytes::Bytes;
use voltmesh_control::Opening;
use voltmesh_telemetry::{Record, SealedBatch, VehicleId};

use super::{copies::MAX_BLOCK, cursor::Cursor};

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voltmesh_telemetry::{Milliamps, Millivolts, RecordNumber, Sample, Timestamp};

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
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
