//! Checks a whole archive from outside, believing nothing but a trust file.
//!
//! Each batch's signature, chain and ledger evidence are checked again, and each row of `records` against the record
//! that was signed: every column, exactly.

use crate::{
    check::{Stage, opening_from, verify},
    coverage::{Coverage, Stored, Verdict},
    delta::{
        ArchiveError, ArchivedRow, Location, Reader, StoredBatch, archived_rows, open_reader, schema,
        stored_batches,
    },
};
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_ledger::Trust;
use voltmesh_telemetry::{BatchHeader, BatchId, Boot, Digest, Record, SealedBatch, Signer, VehicleId};

/// Problems listed; more are only counted.
pub const MAX_PROBLEMS: usize = 1000;

/// What [`verify_archive`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Rows of `records`.
    pub records: u64,
    /// Rows that are exactly what their batch's signer signed, with evidence that it was anchored.
    pub verified: u64,
    /// Rows beyond the first with the same record id.
    pub duplicates: u64,
    /// Rows that differ from what was signed, or that no verified batch holds.
    pub tampered: u64,
    /// Records of verified batches that have no row.
    pub missing: u64,
    /// Rows of `batches`.
    pub batches: u64,
    /// Bytes of their signed batches, as they travelled.
    pub wire_bytes: u64,
    /// Batches that fail a check.
    pub bad_batches: u64,
    /// Gaps in the numbers of boots: records that the archive never got.
    pub gaps: u64,
    /// Record numbers in those gaps.
    pub gap_records: u64,
    /// Rows of `quarantine`.
    pub quarantined: u64,
    /// Records of each vehicle.
    pub vehicles: BTreeMap<String, u64>,
    /// What was found, at most [`MAX_PROBLEMS`].
    pub problems: Vec<String>,
}

impl ArchiveReport {
    /// Whether every row is what was signed, exactly once. Gaps are no fault of the archive.
    pub fn is_sound(&self) -> bool {
        self.duplicates == 0 && self.tampered == 0 && self.missing == 0 && self.bad_batches == 0
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }
}

type Key = (VehicleId, Boot, u64);

/// What a verified batch says of one record: the digest of the row that it must be.
struct Expected {
    row: Digest,
    seen: bool,
}

/// Checks the archive at `location` against `trust`. Reads everything; holds some 150 bytes per record.
pub async fn verify_archive(location: &Location, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    verify_reader(&open_reader(location).await?, trust).await
}

/// The same through a reader.
pub async fn verify_reader(reader: &Reader, trust: &Trust) -> Result<ArchiveReport, ArchiveError> {
    let mut report = ArchiveReport { quarantined: reader.totals().quarantined, ..ArchiveReport::default() };
    let mut expected: BTreeMap<Key, Expected> = BTreeMap::new();
    let mut chains: BTreeMap<(VehicleId, Boot), Vec<Stored>> = BTreeMap::new();
    for file in reader.batch_files() {
        let Some(rows) = readable(reader.batches_in(&file).await, file.path.as_ref(), &mut report) else {
            report.bad_batches += file.rows.unwrap_or(1);
            report.batches += file.rows.unwrap_or(1);
            continue;
        };
        for rows in rows {
            for batch in stored_batches(&rows)? {
                report.batches += 1;
                report.wire_bytes += batch.wire.len() as u64;
                match check_batch(&batch, trust) {
                    Ok((header, id, records)) => {
                        expect(&batch, &header, id, &records, &mut expected, &mut chains)
                    }
                    Err(problem) => {
                        report.bad_batches += 1;
                        report.problem(format!("batch {}: {problem}", batch.id));
                    }
                }
            }
        }
    }
    check_chains(chains, &mut report);
    for file in reader.record_files() {
        let Some(rows) = readable(reader.records_in(&file).await, file.path.as_ref(), &mut report) else {
            report.tampered += file.rows.unwrap_or(1);
            report.records += file.rows.unwrap_or(1);
            continue;
        };
        for rows in rows {
            for row in archived_rows(&rows)? {
                check_row(&row, &mut expected, &mut report);
            }
        }
    }
    for ((vehicle, boot, number), expected) in &expected {
        if !expected.seen {
            report.missing += 1;
            report.problem(format!("record {vehicle}/{boot}/{number} was archived, but its row is gone"));
        }
    }
    Ok(report)
}

/// A file that cannot be read is a finding, not the end.
fn readable<T>(rows: Result<T, ArchiveError>, path: &str, report: &mut ArchiveReport) -> Option<T> {
    rows.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        report.problem(format!("file {path}: {error}{cause}"));
    })
    .ok()
}

fn check_batch(batch: &StoredBatch, trust: &Trust) -> Result<(BatchHeader, BatchId, Vec<Record>), String> {
    let sealed = SealedBatch::parse(batch.wire.clone()).map_err(|error| error.to_string())?;
    if sealed.id().to_string() != batch.id {
        return Err(format!("its bytes are those of batch {}", sealed.id()));
    }
    let opening = opening_from(&batch.opening).ok_or("its opening is not 64 bytes")?;
    let checked = verify(&sealed, &opening, &batch.evidence, trust);
    let (records, anchored) = checked.map_err(|(refusal, _)| refusal.to_string())?;
    if anchored.height.get() != batch.height {
        return Err(format!(
            "{}: the row says height {}, the evidence {}",
            Stage::Log,
            batch.height,
            anchored.height
        ));
    }
    Ok((sealed.header().clone(), sealed.id(), records))
}

fn expect(
    batch: &StoredBatch,
    header: &BatchHeader,
    id: BatchId,
    records: &[Record],
    expected: &mut BTreeMap<Key, Expected>,
    chains: &mut BTreeMap<(VehicleId, Boot), Vec<Stored>>,
) {
    if !header.boot.is_foreign() {
        let (first, next, previous) = (header.first.get(), header.next().get(), header.previous);
        chains.entry((header.vehicle.clone(), header.boot)).or_default().push(Stored {
            first,
            next,
            id,
            previous,
        });
    }
    for (record, position) in records.iter().zip(0u32..) {
        if batch.kept.as_ref().is_some_and(|kept| !kept.contains(&position)) {
            continue;
        }
        let key = (header.vehicle.clone(), header.boot, record.number.get());
        let row = print_of(&row_of(header, &batch.id, batch.height, record));
        expected.insert(key, Expected { row, seen: false });
    }
}

fn check_chains(chains: BTreeMap<(VehicleId, Boot), Vec<Stored>>, report: &mut ArchiveReport) {
    for ((vehicle, boot), mut batches) in chains {
        batches.sort_by_key(|batch| batch.first);
        let mut coverage = Coverage::default();
        for batch in batches {
            match coverage.judge(&batch, Some(&[])) {
                Verdict::Fresh | Verdict::Unknown | Verdict::Contradiction(_) => {}
                verdict => {
                    report.bad_batches += 1;
                    report.problem(format!(
                        "{vehicle}/{boot}: batch {} at {}: {verdict:?}",
                        batch.id, batch.first
                    ));
                }
            }
            coverage.insert(batch);
        }
        for (first, next) in coverage.gaps() {
            report.gaps += 1;
            report.gap_records += next - first;
        }
    }
}

fn check_row(row: &ArchivedRow, expected: &mut BTreeMap<Key, Expected>, report: &mut ArchiveReport) {
    report.records += 1;
    *report.vehicles.entry(row.vehicle.clone()).or_default() += 1;
    let key = row.vehicle.parse().ok().map(|vehicle: VehicleId| (vehicle, Boot::new(row.boot), row.number));
    let id = format!("{}/{}/{}", row.vehicle, row.boot, row.number);
    let Some(expected) = key.and_then(|key| expected.get_mut(&key)) else {
        report.tampered += 1;
        return report.problem(format!("record {id}: no verified batch holds it"));
    };
    if expected.seen {
        report.duplicates += 1;
        return report.problem(format!("record {id} is there more than once"));
    }
    expected.seen = true;
    if expected.row == print_of(row) {
        report.verified += 1;
    } else {
        report.tampered += 1;
        report.problem(format!("record {id}: the row is not what was signed"));
    }
}

/// The row that a record must be.
fn row_of(header: &BatchHeader, batch_id: &str, height: u64, record: &Record) -> ArchivedRow {
    let sample = &record.sample;
    ArchivedRow {
        vehicle: header.vehicle.to_string(),
        boot: header.boot.get(),
        number: record.number.get(),
        time_ms: sample.time.as_millis(),
        pack_voltage_v: sample.pack_voltage.to_base(),
        pack_current_a: sample.pack_current.to_base(),
        soc_percent: schema::soc_percent(sample.soc),
        cells_mv: sample.cells.iter().map(|cell| cell.get().into()).collect(),
        temperatures_c: sample.temperatures.iter().map(|t| t.to_base()).collect(),
        contactor: schema::contactor_text(sample.contactor).to_owned(),
        charger: schema::charger_text(sample.charger).to_owned(),
        attested_by: match &header.signer {
            Signer::Vehicle => None,
            Signer::Fog(fog) => Some(fog.clone()),
        },
        batch_id: batch_id.to_owned(),
        height,
    }
}

/// Digest of every column, bit for bit.
fn print_of(row: &ArchivedRow) -> Digest {
    let mut bytes = Vec::with_capacity(1024);
    let mut text = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    for value in [&row.vehicle, &row.contactor, &row.charger, &row.batch_id] {
        text(value);
    }
    text(row.attested_by.as_deref().unwrap_or(""));
    for value in [row.boot, row.number, row.time_ms, row.height] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let soc = row.soc_percent.map_or(u64::MAX, f64::to_bits);
    for value in [row.pack_voltage_v.to_bits(), row.pack_current_a.to_bits(), soc] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(&(row.cells_mv.len() as u64).to_le_bytes());
    bytes.extend(row.cells_mv.iter().flat_map(|cell| cell.to_le_bytes()));
    bytes.extend(row.temperatures_c.iter().flat_map(|t| t.to_bits().to_le_bytes()));
    Digest::of(&bytes)
}
