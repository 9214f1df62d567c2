//! The ledger's evidence in three columns, so that what repeats is stored once a file and not once a batch
//! ([ADR 18](../../../../../docs/adr/0018-evidence-in-three-columns.md)).
//!
//! `block` holds what batches of one block share, `signer` what batches of one vehicle share, `evidence` the rest. Where
//! `block` and `signer` are null, `evidence` holds all: rows of before these columns, and evidence that has no parts.

use super::{
    columns::Columns,
    schema::{BLOCK, EVIDENCE, SIGNER},
};
use crate::delta::ArchiveError;
use arrow::{
    array::{Array, ArrayRef, BinaryArray, BinaryBuilder, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_ledger::EvidenceParts;

/// Builds the three columns.
#[derive(Default)]
pub(super) struct EvidenceBuilder {
    block: BinaryBuilder,
    evidence: BinaryBuilder,
    signer: BinaryBuilder,
}

impl EvidenceBuilder {
    /// Appends the evidence of one batch.
    pub fn append(&mut self, evidence: &[u8]) {
        match EvidenceParts::of(evidence) {
            Ok(parts) => self.append_parts(Some(&parts.block), &parts.place, Some(&parts.signer)),
            Err(_) => self.append_parts(None, evidence, None),
        }
    }

    fn append_parts(&mut self, block: Option<&[u8]>, evidence: &[u8], signer: Option<&[u8]>) {
        self.block.append_option(block);
        self.evidence.append_value(evidence);
        self.signer.append_option(signer);
    }

    /// `block`, `evidence`, `signer`.
    pub fn finish(mut self) -> [ArrayRef; 3] {
        [Arc::new(self.block.finish()), Arc::new(self.evidence.finish()), Arc::new(self.signer.finish())]
    }
}

/// Reads the three columns, of which a file of before may have one.
pub(super) struct EvidenceColumns<'a> {
    block: Option<&'a BinaryArray>,
    evidence: &'a BinaryArray,
    signer: Option<&'a BinaryArray>,
}

impl<'a> EvidenceColumns<'a> {
    /// Of these rows.
    pub fn of(rows: &'a RecordBatch) -> Result<Self, ArchiveError> {
        let columns = Columns(rows);
        let optional = |name| rows.column_by_name(name).is_some().then(|| columns.binary(name)).transpose();
        Ok(Self { block: optional(BLOCK)?, evidence: columns.binary(EVIDENCE)?, signer: optional(SIGNER)? })
    }

    fn parts(&self, row: usize) -> (Option<&'a [u8]>, &'a [u8], Option<&'a [u8]>) {
        let part = |column: Option<&'a BinaryArray>| column.filter(|c| c.is_valid(row)).map(|c| c.value(row));
        (part(self.block), self.evidence.value(row), part(self.signer))
    }

    /// A row's evidence as the fog node gave it.
    pub fn whole(&self, row: usize) -> Bytes {
        let (block, evidence, signer) = self.parts(row);
        EvidenceParts::join(block.unwrap_or_default(), evidence, signer.unwrap_or_default())
    }
}

/// The same rows with evidence in its parts as far as it has any: how [`super::batch_rows`] makes them today. Rows
/// of another table, and columns of other types, are left as they are.
pub(crate) fn in_parts(rows: RecordBatch) -> Result<RecordBatch, ArchiveError> {
    if rows.column_by_name(EVIDENCE).is_none_or(|column| column.null_count() > 0) {
        return Ok(rows);
    }
    let Ok(columns) = EvidenceColumns::of(&rows) else { return Ok(rows) };
    let old = |row| matches!(columns.parts(row), (None, _, None));
    if columns.block.is_some() && columns.signer.is_some() && !(0..rows.num_rows()).any(old) {
        return Ok(rows);
    }
    let mut builder = EvidenceBuilder::default();
    for row in 0..rows.num_rows() {
        let (block, evidence, signer) = columns.parts(row);
        match (block, signer) {
            (None, None) => builder.append(evidence),
            _ => builder.append_parts(block, evidence, signer),
        }
    }
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    let mut arrays = rows.columns().to_vec();
    for (name, array) in [BLOCK, EVIDENCE, SIGNER].into_iter().zip(builder.finish()) {
        match rows.schema().index_of(name) {
            Ok(at) => arrays[at] = array,
            Err(_) => {
                fields.push(Arc::new(Field::new(name, DataType::Binary, true)));
                arrays.push(array);
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(ArchiveError::store)
}
