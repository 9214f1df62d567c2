//! A batch with its evidence on the way to the cloud.

use crate::{Error, Opening};
use bytes::Bytes;
use voltmesh_telemetry::{
    Timestamp,
    batch::MAX_WIRE_BYTES,
    cbor::{Reader, Writer},
    is_name,
};

/// Most bytes of an envelope: a batch of 1 MiB, evidence of 1 MiB, and 1 KiB around them.
pub const MAX_ENVELOPE_BYTES: usize = MAX_WIRE_BYTES + MAX_EVIDENCE_BYTES + 1024;
/// Most bytes of anchor evidence: 1 MiB.
const MAX_EVIDENCE_BYTES: usize = 1 << 20;
/// Version of this message.
const VERSION: u64 = 1;

/// Fog → cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Id of the fog node that received the batch.
    pub fog: String,
    /// The batch's wire bytes.
    pub batch: Bytes,
    /// Links the batch's signer to its registry entry.
    pub opening: Opening,
    /// The ledger's anchor evidence, encoded.
    pub evidence: Bytes,
    /// When the fog node received the batch, by its clock.
    pub received: Timestamp,
}

impl Envelope {
    /// CBOR `[version, fog, batch, [salt, key], evidence, received ms]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.batch.len() + self.evidence.len() + 256);
        writer.array(6).uint(VERSION).text(&self.fog).bytes(&self.batch);
        self.opening.write(&mut writer);
        writer.bytes(&self.evidence).uint(self.received.as_millis());
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else; batch and evidence are for the receiver to check.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        Error::limit("envelope", bytes.len(), MAX_ENVELOPE_BYTES)?;
        let mut reader = Reader::new("envelope", bytes);
        reader.array_of(6)?;
        if reader.uint()? != VERSION {
            return Err(reader.malformed("unknown version").into());
        }
        let fog = reader.text()?;
        if !is_name(fog) {
            return Err(reader.malformed("fog node has no valid name").into());
        }
        let batch = bytes.slice_ref(reader.bytes()?);
        Error::limit("envelope's batch", batch.len(), MAX_WIRE_BYTES)?;
        let opening = Opening::read(&mut reader)?;
        let evidence = bytes.slice_ref(reader.bytes()?);
        Error::limit("envelope's evidence", evidence.len(), MAX_EVIDENCE_BYTES)?;
        let received = Timestamp::from_millis(reader.uint()?);
        reader.finish()?;
        Ok(Self { fog: fog.to_owned(), batch, opening, evidence, received })
    }
}
