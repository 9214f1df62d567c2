//! One record with what proves that it is in a signed batch.

use crate::{
    BatchHeader, BatchId, Digest, Error, Record, RecordId,
    cbor::{Reader, Writer},
    cose::{Receipt, key_id},
    merkle::LeafHasher,
};
use ed25519_dalek::VerifyingKey;

/// Most bytes of an encoded record receipt: a record, a path and a header, with room.
const MAX_BYTES: usize = 16 << 10;

/// A record, its salt, and the RFC 9942 receipt by whoever signed its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordReceipt {
    /// The batch's signature, detached, and the record's inclusion proof.
    pub receipt: Receipt,
    /// Makes the leaf unguessable.
    pub salt: [u8; 16],
    /// What is proven.
    pub record: Record,
}

/// Content of a valid [`RecordReceipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// Which record.
    pub id: RecordId,
    /// The batch that holds it.
    pub batch: BatchId,
    /// What was signed about that batch.
    pub header: BatchHeader,
}

impl RecordReceipt {
    /// The record's leaf hash: SHA-256(0x00 ‖ salt ‖ canonical record).
    pub fn leaf(&self) -> Digest {
        LeafHasher::default().hash(&self.salt, &self.record.to_canonical())
    }

    /// Recomputes root and batch id and checks everything except the signature.
    pub fn read(&self) -> Result<ReceivedRecord, Error> {
        let inconsistent = |why| Error::Inconsistent { what: "record receipt", why };
        let proof = &self.receipt.proof;
        let root = proof.root(&self.leaf()).ok_or(inconsistent("the inclusion path does not fit"))?;
        let statement = self.receipt.signed_root(&root);
        let header = BatchHeader::from_statement(&statement)?;
        if proof.size != u64::from(header.count) {
            return Err(inconsistent("the tree has another size than the batch"));
        }
        let number = self.record.number;
        let fits = if header.boot.is_foreign() {
            self.record == Record::foreign(self.record.sample.clone())
        } else {
            header.first.checked_add(proof.index) == Some(number)
        };
        if !fits {
            return Err(inconsistent("the record's number is not that of its place"));
        }
        let id = RecordId { vehicle: header.vehicle.clone(), boot: header.boot, number };
        Ok(ReceivedRecord { id, batch: BatchId::new(Digest::of(&statement.encode())), header })
    }

    /// Checks that `key` signed a batch with this record at this place.
    pub fn verify(&self, key: &VerifyingKey) -> Result<ReceivedRecord, Error> {
        let read = self.read()?;
        let expected = key_id(key);
        if read.header.key_id != expected {
            return Err(Error::Key { what: "record receipt", named: read.header.key_id, expected });
        }
        self.receipt.signed_root(&read.header.root).verify(key)?;
        Ok(read)
    }

    /// CBOR `[receipt bstr, salt bstr, record bstr]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(2048);
        writer.array(3).bytes(&self.receipt.encode()).bytes(&self.salt).bytes(&self.record.to_canonical());
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Error::limit("record receipt", bytes.len(), MAX_BYTES)?;
        let mut reader = Reader::new("record receipt", bytes);
        reader.array_of(3)?;
        let receipt = Receipt::decode(reader.bytes()?)?;
        let salt = reader.fixed()?;
        let record = Record::from_canonical(reader.bytes()?)?;
        reader.finish()?;
        Ok(Self { receipt, salt, record })
    }
}
