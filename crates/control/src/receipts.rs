//! Evidence that batches are anchored, on its way back to the vehicle.

use crate::Error;
use bytes::Bytes;
use voltmesh_telemetry::{
    BatchId, Digest,
    cbor::{Reader, Writer},
};

/// Most bytes of a receipts message: 1 MiB, as for a batch.
pub const MAX_RECEIPTS_BYTES: usize = 1 << 20;
/// Most batches in one message.
pub const MAX_RECEIPTS: usize = 256;
/// Version of this message.
const VERSION: u64 = 1;

/// A batch and the evidence that the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReceipt {
    /// Which batch.
    pub batch: BatchId,
    /// The ledger's anchor evidence, encoded; not empty.
    pub evidence: Bytes,
}

/// Fog → vehicle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// 1 to [`MAX_RECEIPTS`].
    pub items: Vec<BatchReceipt>,
}

impl Receipts {
    /// CBOR `[version, [[batch, evidence]…]]`.
    pub fn encode(&self) -> Vec<u8> {
        let size = self.items.iter().map(|item| item.evidence.len() + 48).sum::<usize>();
        let mut writer = Writer::with_capacity(size + 16);
        writer.array(2).uint(VERSION).array(self.items.len());
        for item in &self.items {
            writer.array(2).bytes(item.batch.as_bytes()).bytes(&item.evidence);
        }
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        Error::limit("receipts", bytes.len(), MAX_RECEIPTS_BYTES)?;
        let mut reader = Reader::new("receipts", bytes);
        reader.array_of(2)?;
        if reader.uint()? != VERSION {
            return Err(reader.malformed("unknown version").into());
        }
        let len = reader.array()?;
        Error::limit("receipts", len, MAX_RECEIPTS)?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            reader.array_of(2)?;
            let batch = BatchId::from(Digest::to_bytes(reader.digest()?));
            let evidence = bytes.slice_ref(reader.bytes()?);
            if evidence.is_empty() {
                return Err(reader.malformed("no evidence").into());
            }
            items.push(BatchReceipt { batch, evidence });
        }
        reader.finish()?;
        if items.is_empty() {
            return Err(Error::inconsistent("receipts", "there are none"));
        }
        Ok(Self { items })
    }
}
