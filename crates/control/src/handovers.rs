//! Changes of the authority set, passed on to those who check proofs.

use crate::Error;
use bytes::Bytes;
use voltmesh_telemetry::cbor::{Reader, Writer};

/// Most bytes of a hand-overs message: 1 MiB.
pub const MAX_HANDOVERS_BYTES: usize = 1 << 20;
/// Most hand-overs in one message.
const MAX_HANDOVERS: usize = 256;
/// Version of this message.
const VERSION: u64 = 1;

/// Fog → vehicle and fog → cloud: the ledger's hand-overs, each encoded by it, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handovers {
    /// Each encoded by the ledger; at most 256.
    pub items: Vec<Bytes>,
}

impl Handovers {
    /// CBOR `[version, [hand-over…]]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2).uint(VERSION).array(self.items.len());
        for item in &self.items {
            writer.bytes(item);
        }
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        Error::limit("hand-overs", bytes.len(), MAX_HANDOVERS_BYTES)?;
        let mut reader = Reader::new("hand-overs", bytes);
        reader.array_of(2)?;
        if reader.uint()? != VERSION {
            return Err(reader.malformed("unknown version").into());
        }
        let len = reader.array()?;
        Error::limit("hand-overs", len, MAX_HANDOVERS)?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            items.push(bytes.slice_ref(reader.bytes()?));
        }
        reader.finish()?;
        Ok(Self { items })
    }
}
