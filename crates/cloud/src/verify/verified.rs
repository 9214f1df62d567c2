//! A batch that passed every check, and what a batch claims to be before that.

use crate::coverage::Stored;
use bytes::Bytes;
use voltmesh_telemetry::{BatchHeader, BatchId, Boot, Record, Signer, VehicleId};

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
    pub(crate) fn stored(&self) -> Stored {
        Stored {
            first: self.header.first.get(),
            next: self.header.next().get(),
            id: self.id,
            previous: self.header.previous,
        }
    }

    pub(crate) fn key(&self) -> (VehicleId, Boot) {
        (self.header.vehicle.clone(), self.header.boot)
    }

    pub(crate) fn about(&self) -> About {
        About::of(&self.header, self.id)
    }
}

/// Claimed identity of a refused batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whose.
    pub vehicle: VehicleId,
    /// In which boot.
    pub boot: Boot,
    /// Its first number.
    pub first: u64,
    /// Its number of records.
    pub count: u32,
    /// Its id.
    pub id: BatchId,
}

impl About {
    pub(crate) fn of(header: &BatchHeader, id: BatchId) -> Self {
        let BatchHeader { vehicle, boot, first, count, .. } = header;
        Self { vehicle: vehicle.clone(), boot: *boot, first: first.get(), count: *count, id }
    }
}
