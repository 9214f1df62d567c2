//! Rows of `batches` and `copies`, from entries and back.

use super::{
    columns::{Columns, unsigned},
    evidence::{EvidenceBuilder, EvidenceColumns},
    schema::{batches, day, days, finish, from_micros, long, micros, times},
};
use crate::{archivist::Entry, delta::ArchiveError};
use arrow::{
    array::{
        Array, BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder,
        cast::AsArray,
    },
    datatypes::{DataType, Field, Int32Type},
};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::Timestamp;

/// Rows of [`super::schema::BATCHES`] for `entries`, sorted by height first: what batches of one block share is stored once.
pub fn batch_rows(
    entries: &[Entry],
    sequence: u64,
    archived: Timestamp,
) -> Result<RecordBatch, ArchiveError> {
    let mut rows: Vec<&Entry> = entries.iter().collect();
    rows.sort_by_key(|entry| {
        let header = &entry.batch.header;
        (entry.batch.height, header.vehicle.clone(), header.boot, entry.batch.first())
    });
    let n = rows.len();
    let mut vehicle = StringBuilder::new();
    let mut boot = Int64Builder::with_capacity(n);
    let mut first = Int64Builder::with_capacity(n);
    let mut last = Int64Builder::with_capacity(n);
    let mut sequences = Int64Builder::with_capacity(n);
    let mut count = Int64Builder::with_capacity(n);
    let mut batch_id = StringBuilder::new();
    let mut previous = StringBuilder::new();
    let mut attested_by = StringBuilder::new();
    let mut height = Int64Builder::with_capacity(n);
    let mut fog = StringBuilder::new();
    let mut archived_at = times(n);
    let mut kept =
        ListBuilder::new(Int32Builder::new()).with_field(Field::new("element", DataType::Int32, false));
    let mut wire = BinaryBuilder::new();
    let mut opening = BinaryBuilder::new();
    let mut evidence = EvidenceBuilder::default();
    for entry in rows {
        let batch = &entry.batch;
        vehicle.append_value(batch.header.vehicle.as_str());
        boot.append_value(long(batch.header.boot.get()));
        first.append_value(long(batch.first()));
        last.append_value(long(batch.last()));
        sequences.append_value(long(sequence));
        count.append_value(i64::from(batch.header.count));
        batch_id.append_value(&batch.id_text);
        previous.append_option(batch.header.previous.as_ref().map(ToString::to_string));
        attested_by.append_option(batch.attested_by());
        height.append_value(long(batch.height));
        fog.append_value(&batch.fog);
        archived_at.append_value(micros(archived));
        match &entry.kept {
            None => kept.append_null(),
            Some(positions) => kept.append_value(positions.iter().map(|p| Some(*p as i32))),
        }
        wire.append_value(&batch.wire);
        opening.append_value(&batch.opening);
        evidence.append(&batch.evidence);
    }
    let [block, evidence, signer] = evidence.finish();
    finish(
        batches(),
        vec![
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(first.finish()),
            Arc::new(last.finish()),
            Arc::new(sequences.finish()),
            Arc::new(count.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(previous.finish()),
            Arc::new(attested_by.finish()),
            Arc::new(height.finish()),
            Arc::new(fog.finish()),
            Arc::new(archived_at.finish()),
            Arc::new(kept.finish()),
            Arc::new(wire.finish()),
            Arc::new(opening.finish()),
            block,
            evidence,
            signer,
            days(day(archived), n),
        ],
    )
}

/// A row of `batches`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its id.
    pub id: String,
    /// Its least number.
    pub first: u64,
    /// Its greatest number.
    pub last: u64,
    /// Height of its block.
    pub height: u64,
    /// Who forwarded it.
    pub fog: String,
    /// When it was archived.
    pub archived: Timestamp,
    /// Positions of the records that were new; `None` if all were.
    pub kept: Option<Vec<u32>>,
    /// The signed batch.
    pub wire: Bytes,
    /// Salt and key.
    pub opening: Vec<u8>,
    /// The ledger's evidence.
    pub evidence: Bytes,
}

/// Reads rows of `batches`.
pub fn stored_batches(rows: &RecordBatch) -> Result<Vec<StoredBatch>, ArchiveError> {
    let columns = Columns(rows);
    let (ids, fog) = (columns.text("batch_id")?, columns.text("fog")?);
    let (first, last, height) = (columns.long("first")?, columns.long("last")?, columns.long("height")?);
    let archived = columns.long("archived_at")?;
    let kept = columns.list("kept")?;
    let (wire, opening) = (columns.binary("wire")?, columns.binary("opening")?);
    let evidence = EvidenceColumns::of(rows)?;
    let positions = |row: usize| {
        let values = kept.value(row);
        let values = values.as_primitive_opt::<Int32Type>()?;
        values.values().iter().map(|at| u32::try_from(*at).ok()).collect::<Option<Vec<_>>>()
    };
    (0..rows.num_rows())
        .map(|row| {
            let kept = if kept.is_null(row) {
                None
            } else {
                let damaged =
                    || ArchiveError::Damaged { what: "column kept has another type than ours".into() };
                Some(positions(row).ok_or_else(damaged)?)
            };
            Ok(StoredBatch {
                id: ids.value(row).to_owned(),
                first: unsigned(first.value(row)),
                last: unsigned(last.value(row)),
                height: unsigned(height.value(row)),
                fog: fog.value(row).to_owned(),
                archived: from_micros(archived.value(row)),
                kept,
                wire: Bytes::copy_from_slice(wire.value(row)),
                opening: opening.value(row).to_vec(),
                evidence: evidence.whole(row),
            })
        })
        .collect()
}

/// A batch's row as the entry that it was.
pub fn entry_of(batch: &StoredBatch) -> Result<Entry, ArchiveError> {
    crate::archivist::reopen(
        batch.wire.clone(),
        batch.opening.clone(),
        batch.evidence.clone(),
        batch.height,
        batch.fog.clone(),
        batch.kept.clone(),
    )
    .map_err(|error| ArchiveError::Damaged { what: format!("batch {} in table batches: {error}", batch.id) })
}
