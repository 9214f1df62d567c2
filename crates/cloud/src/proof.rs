//! The proof of one archived record, assembled from its batch's row.

use crate::{
    delta::{ArchiveError, Reader, StoredBatch},
    verify::opening_from,
};
use voltmesh_ledger::{AnchorProof, Digest, Proof, proof::Opening};
use voltmesh_telemetry::{RecordId, SealedBatch};

/// Reason why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The record is not in the archive. Perhaps not yet: look at the gaps.
    #[error("record {0} is not archived")]
    NotArchived(RecordId),
    /// The archive cannot be read, or its row does not make a proof.
    #[error("no proof can be made")]
    Archive(#[from] ArchiveError),
}

/// Makes the proof file (`r.cose`) of a record on the ledger `chain`.
pub async fn prove(reader: &Reader, chain: &Digest, record: &RecordId) -> Result<Vec<u8>, ProveError> {
    let found = reader.batch_with(record).await?;
    let (batch, position) = found.ok_or_else(|| ProveError::NotArchived(record.clone()))?;
    Ok(assemble(&batch, position, chain)?)
}

/// What the vehicle's twin said beside the newest archived batch of `vehicle`, as signed with it; `None` if there is no
/// batch, or it said nothing.
pub async fn report(reader: &Reader, newest: &RecordId) -> Result<Option<serde_json::Value>, ArchiveError> {
    let Some((batch, _)) = reader.batch_with(newest).await? else { return Ok(None) };
    let damaged = |what: String| ArchiveError::Damaged { what: format!("batch {}: {what}", batch.id) };
    let sealed = SealedBatch::parse(batch.wire.clone()).map_err(|error| damaged(error.to_string()))?;
    let Some(report) = sealed.report().map_err(|error| damaged(error.to_string()))? else { return Ok(None) };
    // The vehicle signed it; that it is JSON is the vehicle's word.
    Ok(serde_json::from_slice(&report).ok())
}

fn assemble(batch: &StoredBatch, position: u32, chain: &Digest) -> Result<Vec<u8>, ArchiveError> {
    let damaged = |what: String| ArchiveError::Damaged { what: format!("batch {}: {what}", batch.id) };
    let sealed = SealedBatch::parse(batch.wire.clone()).map_err(|error| damaged(error.to_string()))?;
    let receipt = sealed
        .prove(position)
        .map_err(|error| damaged(error.to_string()))?
        .ok_or_else(|| damaged("it does not hold the record".into()))?;
    let evidence = AnchorProof::from_bytes(&batch.evidence).map_err(|error| damaged(error.to_string()))?;
    let opening =
        opening_from(&batch.opening).ok_or_else(|| damaged("its opening is not 64 bytes".into()))?;
    let opening = Opening { salt: opening.salt, key: opening.key };
    let proof =
        Proof::build(chain, receipt, &evidence, opening).map_err(|error| damaged(error.to_string()))?;
    Ok(proof.encode())
}
