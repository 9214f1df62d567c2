//! Batches as the archive stores them.

use crate::{check::About, coverage::Stored};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::{BatchHeader, BatchId, Boot, Record, SealedBatch, Signer, VehicleId};

/// A batch that passed every check, as the archive stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What its signer says.
    pub header: BatchHeader,
    /// Its id.
    pub id: BatchId,
    /// Its id in hex.
    pub id_text: String,
    /// The signed batch.
    pub wire: Bytes,
    /// What opens its signer's commitment in the registry: salt and key.
    pub opening: Vec<u8>,
    /// Proof that the ledger holds it.
    pub evidence: Bytes,
    /// Height of the block that holds it.
    pub height: u64,
    /// Its index in the ledger's log, by its evidence; `None` if it was reopened from the archive.
    pub log_index: Option<u64>,
    /// Who forwarded it.
    pub fog: String,
    /// Its records.
    pub records: Vec<Record>,
}

impl Verified {
    /// Its least record number.
    pub fn first(&self) -> u64 {
        self.records.iter().map(|record| record.number.get()).min().unwrap_or_default()
    }

    /// Its greatest record number.
    pub fn last(&self) -> u64 {
        self.records.iter().map(|record| record.number.get()).max().unwrap_or_default()
    }

    /// Bytes that its records take in memory.
    pub fn decoded_bytes(&self) -> usize {
        voltmesh_telemetry::batch::decoded_bytes(&self.records)
    }

    /// The fog node that vouches for it, if not the vehicle itself.
    pub fn attested_by(&self) -> Option<&str> {
        match &self.header.signer {
            Signer::Vehicle => None,
            Signer::Fog(fog) => Some(fog),
        }
    }

    /// As its neighbours see it.
    pub(super) fn stored(&self) -> Stored {
        Stored {
            first: self.header.first.get(),
            next: self.header.next().get(),
            id: self.id,
            previous: self.header.previous,
        }
    }

    pub(super) fn key(&self) -> (VehicleId, Boot) {
        (self.header.vehicle.clone(), self.header.boot)
    }

    pub(super) fn about(&self) -> About {
        About::of(&self.header, self.id)
    }
}

/// A batch to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The batch.
    pub batch: Arc<Verified>,
    /// Positions of its records that are new; `None` if all are.
    pub kept: Option<Vec<u32>>,
}

impl Entry {
    /// The records to archive.
    pub fn kept_records(&self) -> impl Iterator<Item = &Record> {
        let records = &self.batch.records;
        let all = self.kept.is_none().then_some(records.iter());
        let some = self.kept.iter().flatten().filter_map(|position| records.get(*position as usize));
        all.into_iter().flatten().chain(some)
    }
}

/// Rebuilds an entry from an archived batch's bytes: for repairs and for proofs. The records are checked against the
/// signed root; the signature was checked before it was archived.
pub fn reopen(
    wire: Bytes,
    opening: Vec<u8>,
    evidence: Bytes,
    height: u64,
    fog: String,
    kept: Option<Vec<u32>>,
) -> Result<Entry, voltmesh_telemetry::Error> {
    let sealed = SealedBatch::parse(wire.clone())?;
    let records = sealed.open()?;
    let (header, id) = (sealed.header().clone(), sealed.id());
    let batch = Verified {
        header,
        id,
        id_text: id.to_string(),
        wire,
        opening,
        evidence,
        height,
        log_index: None,
        fog,
        records,
    };
    Ok(Entry { batch: Arc::new(batch), kept })
}
