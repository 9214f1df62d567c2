//! The check from the outside: the recordings are read again, and the archive is read with nothing but a trust file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_cloud::{ArchivedRow, Claims, Location, open_reader, verify_claims};
use voltmesh_ledger::Trust;
use voltmesh_telemetry::{Boot, RecordId, RecordNumber, Sample, Timestamp, VehicleId};

use super::closed_loop::LoopLine;
use super::report::{Report, TwinLine};
use crate::deploy::{Recording, edge_name};
use crate::parallel::on_every_core;

/// Rows read from the archive at a time.
const PAGE: usize = 10_000;

/// What one vehicle should have archived, in order.
pub type Samples = Vec<Sample>;

/// Reads every recording from its beginning, as the vehicles do.
pub fn expected(recordings: &[Recording]) -> Result<Vec<Samples>> {
    let read = |recording: &Recording| {
        let mut source = recording.open()?;
        let mut samples = Vec::new();
        while let Some(sampled) = source.next()? {
            samples.push(sampled.sample);
        }
        Ok(samples)
    };
    on_every_core(recordings, read).into_iter().collect()
}

/// Compares the archive with the recordings and with the ledger's log, and checks every record's evidence.
pub async fn archive(
    archive: &Path,
    trust: &Trust,
    claims: &Claims,
    expected: &[Samples],
    driven: &mut LoopLine,
    report: &mut Report,
) -> Result<()> {
    let location = Location::existing_folder(archive)?;
    let found = verify_claims(&location, trust, claims).await.context("the archive cannot be read")?;
    report.sampled = expected.iter().map(|samples| samples.len() as u64).sum();
    // The vehicle that obeys counts by itself; a row of it that does not verify is missing among the others.
    let rows = rows_of(&location, &driven.vehicle.parse()?).await?;
    driven.archived = rows.len() as u64;
    driven.signed = signed(&rows);
    if driven.signed != driven.archived {
        report.problems.push(format!(
            "{} of {} records of {} are archived",
            driven.archived, driven.signed, driven.vehicle
        ));
    }
    report.archived = found.records.saturating_sub(driven.archived);
    report.verified = found.verified.saturating_sub(driven.archived);
    report.anchored = report.verified;
    report.quarantined = found.quarantined;
    report.stands_twice = found.duplicates;
    let own = found.wire_bytes_of.get(&driven.vehicle).copied().unwrap_or_default();
    report.bytes_per_record = found.wire_bytes.saturating_sub(own) as f64 / report.archived.max(1) as f64;
    report.problems.extend(found.problems.iter().take(10).cloned());
    let (mut beyond, mut twice) = (0, doubled_ids(&rows));
    for (n, samples) in expected.iter().enumerate() {
        let vehicle: VehicleId = edge_name(n + 1).parse()?;
        report.twins.push(twin(&location, &vehicle).await?);
        let rows = rows_of(&location, &vehicle).await?;
        let (missing, extra) = difference(samples, &rows);
        report.lost += missing;
        // A row under a second record id is a double too, though no id stands twice.
        beyond += extra;
        twice += doubled_ids(&rows);
    }
    report.stands_twice = report.stands_twice.max(twice);
    report.duplicates = beyond.max(report.stands_twice);
    Ok(())
}

/// What the vehicle's twin said beside its newest archived batch.
async fn twin(location: &Location, vehicle: &VehicleId) -> Result<TwinLine> {
    let reader = open_reader(location).await?;
    let mut line = TwinLine { vehicle: vehicle.to_string(), ..TwinLine::default() };
    let Some(newest) = reader.latest_of(vehicle).await? else { return Ok(line) };
    let record = RecordId {
        vehicle: vehicle.clone(),
        boot: Boot::new(newest.boot),
        number: RecordNumber::new(newest.number),
    };
    if let Some(said) = voltmesh_cloud::twin_report(&reader, &record).await? {
        let number = |pointer: &str| said.pointer(pointer).and_then(serde_json::Value::as_f64);
        line.reported = true;
        line.soc_pct = number("/state/soc/value").map(|soc| 100.0 * soc);
        line.soc_sd_pct = number("/state/soc/sd").map(|sd| 100.0 * sd);
        line.charge_limit_a = number("/state/limits/charge_a");
        line.discharge_limit_a = number("/state/limits/discharge_a");
        line.events = said["events"].as_array().map_or(0, Vec::len) as u64;
        line.refused = said["refused"] == serde_json::Value::Bool(true);
    }
    Ok(line)
}

/// A vehicle's rows, read as any user of the archive would.
async fn rows_of(location: &Location, vehicle: &VehicleId) -> Result<Vec<ArchivedRow>> {
    let reader = open_reader(location).await?;
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = reader.records(vehicle, 0, Timestamp::MAX.as_millis(), after, PAGE).await?;
        rows.extend(page.records);
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// Records that a vehicle has signed by what is archived: each boot's numbers begin at 0 and have no gap.
fn signed(rows: &[ArchivedRow]) -> u64 {
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for row in rows {
        let end = ends.entry(row.boot).or_default();
        *end = row.number.saturating_add(1).max(*end);
    }
    ends.values().sum()
}

/// How many of a vehicle's rows are beyond the first of their record id.
fn doubled_ids(rows: &[ArchivedRow]) -> u64 {
    let ids: BTreeSet<(u64, u64)> = rows.iter().map(|row| (row.boot, row.number)).collect();
    (rows.len() - ids.len()) as u64
}

/// How many of `samples` have no row and how many rows are beyond them, as multisets: a vehicle that was killed goes on
/// in a new boot, so that only the order within a boot is given.
fn difference(samples: &[Sample], rows: &[ArchivedRow]) -> (u64, u64) {
    let mut balance: BTreeMap<Content, i64> = BTreeMap::new();
    samples.iter().for_each(|sample| *balance.entry(Content::of_sample(sample)).or_default() += 1);
    rows.iter().for_each(|row| *balance.entry(Content::of_row(row)).or_default() -= 1);
    let missing: i64 = balance.values().filter(|count| **count > 0).sum();
    let extra: i64 = -balance.values().filter(|count| **count < 0).sum::<i64>();
    (missing as u64, extra as u64)
}

/// What was measured, in the integers that were signed: time, mV, mA, mV of cells, 0.01 °C of sensors; `None` where it is
/// unknown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Content(u64, Option<i64>, Option<i64>, Vec<Option<i64>>, Vec<Option<i64>>);

impl Content {
    fn of_sample(sample: &Sample) -> Self {
        Content(
            sample.time.as_millis(),
            sample.pack_voltage.reading().ok().map(i64::from),
            sample.pack_current.reading().ok().map(i64::from),
            sample.cells.iter().map(|cell| cell.reading().ok().map(i64::from)).collect(),
            sample.temperatures.iter().map(|one| one.reading().ok().map(i64::from)).collect(),
        )
    }

    fn of_row(row: &ArchivedRow) -> Self {
        let scaled = |value: Option<f64>, factor: f64| value.map(|value| (value * factor).round() as i64);
        Content(
            row.time_ms,
            scaled(row.pack_voltage_v, 1000.0),
            scaled(row.pack_current_a, 1000.0),
            row.cells_mv.iter().map(|cell| cell.map(i64::from)).collect(),
            row.temperatures_c.iter().map(|one| scaled(*one, 100.0)).collect(),
        )
    }
}
