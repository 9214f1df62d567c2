//! Signed, chained batches of one vehicle's records.
//!
//! Provided: origin and integrity of every record; order within a boot by the link to the predecessor; the content is
//! authenticated before it is decompressed; every size limited before and after. Any flipped bit of the wire is found.
//! Not provided: confidentiality (the transport's task), and whether the vehicle's key is enrolled (the ledger's).

mod chain;
mod columns;
mod header;
mod limits;
mod receipt;
mod seal;

pub use chain::{ChainHead, Link};
pub use header::{BatchHeader, Signer};
pub use limits::{MAX_COLUMN_BYTES, MAX_RECORDS, MAX_REPORT_BYTES, MAX_VALUES, MAX_WIRE_BYTES};
pub use receipt::{ReceivedRecord, RecordReceipt};
pub use seal::{Place, Secret, seal, seal_with};

use crate::{
    BatchId, Digest, Error, Record,
    cbor::{Reader, Writer},
    cose::{Receipt, Sign1, key_id},
    merkle,
};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use std::{ops::Range, sync::Arc};

/// Bytes that records take in memory: what a queue of opened batches must count, since the wire says nothing about it.
pub fn decoded_bytes(records: &[Record]) -> usize {
    let values: usize = records.iter().map(|record| record.sample.values()).sum();
    // A batch's records share their channels' definitions; records that were read one by one do not.
    let mut last = None;
    let channels = records.iter().flat_map(|record| &record.sample.channels);
    let channels = channels.map(|value| {
        let shared = last.replace(&value.channel).is_some_and(|last| Arc::ptr_eq(last, &value.channel));
        size_of_val(value) + if shared { 0 } else { value.channel.memory() }
    });
    size_of_val(records) + 2 * values + channels.sum::<usize>()
}

/// A signed batch and the bytes it travels in. Parsing checks its form, [`SealedBatch::verify`] its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBatch {
    header: BatchHeader,
    id: BatchId,
    statement: Sign1,
    salt: [u8; 32],
    columns: Range<usize>,
    report: Option<Range<usize>>,
    wire: Bytes,
}

impl SealedBatch {
    /// Reads the header only; cheap, whatever the bytes are.
    pub fn parse(wire: Bytes) -> Result<Self, Error> {
        Error::limit("batch", wire.len(), MAX_WIRE_BYTES)?;
        let mut reader = Reader::new("batch", &wire);
        let parts = reader.array()?;
        if !(3..=4).contains(&parts) {
            return Err(reader.malformed("it has not three or four parts"));
        }
        let statement = reader.bytes()?;
        let id = BatchId::new(Digest::of(statement));
        let statement = Sign1::decode(statement)?;
        let salt = reader.fixed()?;
        let columns = reader.bytes()?.len();
        let columns = reader.position() - columns..reader.position();
        let report = if parts == 4 {
            let report = reader.bytes()?.len();
            Some(reader.position() - report..reader.position())
        } else {
            None
        };
        reader.finish()?;
        let header = BatchHeader::from_statement(&statement)?;
        if header.report.is_some() != report.is_some() {
            return Err(Error::Inconsistent {
                what: "batch",
                why: "its header and its parts disagree on a report",
            });
        }
        Ok(Self { header, id, statement, salt, columns, report, wire })
    }

    fn assemble(
        header: BatchHeader,
        statement: Sign1,
        salt: [u8; 32],
        columns: &[u8],
        report: Option<&[u8]>,
    ) -> Self {
        let signed = statement.encode();
        let id = BatchId::new(Digest::of(&signed));
        let mut writer =
            Writer::with_capacity(signed.len() + columns.len() + report.map_or(0, <[u8]>::len) + 72);
        writer.array(if report.is_some() { 4 } else { 3 }).bytes(&signed).bytes(&salt).bytes(columns);
        // A writer is finished once: where the columns end is counted back from what follows them.
        let after = report.map_or(0, |report| {
            let mut tail = Writer::with_capacity(report.len() + 8);
            tail.bytes(report);
            let tail = tail.finish();
            writer.raw(&tail);
            tail.len()
        });
        let wire = Bytes::from(writer.finish());
        let end = wire.len() - after;
        let report = report.map(|report| wire.len() - report.len()..wire.len());
        Self { header, id, statement, salt, columns: end - columns.len()..end, report, wire }
    }

    /// What the signer's own computation says beside the records, checked against the header; the signature is not.
    pub fn report(&self) -> Result<Option<Vec<u8>>, Error> {
        self.check_content()?;
        self.report.clone().map(|report| columns::decompress_report(&self.wire[report])).transpose()
    }

    /// What is signed.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// SHA-256 of the signed statement.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// The bytes that travel.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The signed statement: COSE_Sign1 over the Merkle root.
    pub fn statement(&self) -> &Sign1 {
        &self.statement
    }

    /// Checks that `key` signed the header and that the content is what was signed; decodes nothing.
    pub fn verify_signature(&self, key: &VerifyingKey) -> Result<(), Error> {
        let expected = key_id(key);
        if self.header.key_id != expected {
            return Err(Error::Key { what: "batch", named: self.header.key_id, expected });
        }
        self.statement.verify(key)?;
        self.check_content()
    }

    /// Signature, content, the report's form, and every record against the signed root.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Vec<Record>, Error> {
        self.verify_signature(key)?;
        // A report that cannot be read is refused at the first door and not by its readers.
        if let Some(report) = self.report.clone() {
            columns::decompress_report(&self.wire[report])?;
        }
        self.decode()
    }

    /// The records, checked against the root in the header; the signature is not checked.
    pub fn open(&self) -> Result<Vec<Record>, Error> {
        self.check_content()?;
        self.decode()
    }

    /// The proof of the record at `index` in the batch; `None` if it has no such record.
    pub fn prove(&self, index: u32) -> Result<Option<RecordReceipt>, Error> {
        let mut records = self.open()?;
        let leaves = leaves(&self.salt, &records);
        let Some(proof) = merkle::prove(&leaves, index as usize) else { return Ok(None) };
        let salt = merkle::salt(&self.salt, index);
        let record = records.swap_remove(index as usize);
        Ok(Some(RecordReceipt { receipt: Receipt::new(&self.statement, proof), salt, record }))
    }

    fn compressed(&self) -> &[u8] {
        &self.wire[self.columns.clone()]
    }

    fn check_content(&self) -> Result<(), Error> {
        let computed = content_digest(&self.salt, self.compressed());
        if computed != self.header.content {
            return Err(Error::Root { signed: self.header.content, computed });
        }
        let report = self.report.clone().map(|report| content_digest(&self.salt, &self.wire[report]));
        match (self.header.report, report) {
            (Some(signed), Some(computed)) if signed != computed => Err(Error::Root { signed, computed }),
            (Some(_), Some(_)) | (None, None) => Ok(()),
            // `parse` refuses it, `seal` does not make it.
            _ => Err(Error::Inconsistent {
                what: "batch",
                why: "its header and its parts disagree on a report",
            }),
        }
    }

    fn decode(&self) -> Result<Vec<Record>, Error> {
        let header = &self.header;
        let records = columns::decompress(self.compressed(), header)?;
        let mut leaves = leaves(&self.salt, &records);
        let computed = merkle::root_in_place(&mut leaves);
        if computed != header.root {
            return Err(Error::Root { signed: header.root, computed });
        }
        header.check_records(&records)?;
        Ok(records)
    }
}

/// Leaf hashes of records in batch order.
fn leaves(salt: &[u8; 32], records: &[Record]) -> Vec<Digest> {
    let mut leaves = merkle::Leaves::new(salt, records.len());
    let mut bytes = Vec::with_capacity(512);
    for record in records {
        bytes.clear();
        record.canonical(&mut bytes);
        leaves.push(&bytes);
    }
    leaves.finish()
}

/// Binds the compressed bytes to the statement, salted so that the statement reveals nothing about them.
fn content_digest(salt: &[u8; 32], columns: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::new(sha2::Sha256::new().chain_update(salt).chain_update(columns).finalize().into())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::any_sample;
