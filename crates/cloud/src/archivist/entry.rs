//! A batch to append, with those of its records that are new.

use crate::verify::Verified;
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::{Record, SealedBatch};

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
