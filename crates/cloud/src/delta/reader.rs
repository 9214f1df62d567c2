//! Questions that the archive answers, each opening as few files as their statistics allow.

use super::{
    ArchiveError, ArchivedChannel, Inspected, entry_of,
    evidence::EvidenceColumns,
    files::{Columns, DataFile, Wanted},
    from_micros, of_today,
    records::channels,
    schema::{CAUSES, long, micros},
    table::View,
};
use crate::{archivist::Entry, coverage::Stored};
use arrow::{
    array::{Array, Float64Array, RecordBatch, StringArray, cast::AsArray},
    datatypes::{Float64Type, Int32Type},
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_telemetry::{BatchId, Boot, Digest, RecordId, Timestamp, VehicleId};

/// Rows of the three tables in the latest snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Archived records.
    pub records: u64,
    /// Archived batches.
    pub batches: u64,
    /// Refused deliveries.
    pub quarantined: u64,
}

/// A row of `records`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArchivedRow {
    /// Whose.
    pub vehicle: String,
    /// In which boot.
    pub boot: u64,
    /// Which one.
    pub number: u64,
    /// When the source took it, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// At the pack's terminals; `None`, here and below, if it is unknown.
    pub pack_voltage_v: Option<f64>,
    /// Positive charges.
    pub pack_current_a: Option<f64>,
    /// Reported state of charge.
    pub soc_percent: Option<f64>,
    /// Each cell.
    pub cells_mv: Vec<Option<i32>>,
    /// Each sensor.
    pub temperatures_c: Vec<Option<f64>>,
    /// Main contactor.
    pub contactor: String,
    /// Charger.
    pub charger: String,
    /// Insulation resistance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insulation_ohm: Option<i64>,
    /// Of the air around the vehicle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambient_c: Option<f64>,
    /// Of the battery's coolant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coolant_c: Option<f64>,
    /// Of the vehicle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_kmh: Option<f64>,
    /// Extra channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ArchivedChannel>,
    /// Why values are unknown: `COLUMN=CAUSE`, `COLUMN[N]=CAUSE` and so on, with a space between; what is unknown without
    /// a cause was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<String>,
    /// The fog node that vouches for it, if not the vehicle itself.
    pub attested_by: Option<String>,
    /// The batch that holds it.
    pub batch_id: String,
    /// Height of the block that holds the batch.
    pub height: u64,
}

impl ArchivedRow {
    /// Its place in a vehicle's history.
    pub fn cursor(&self) -> Cursor {
        Cursor { time_ms: self.time_ms, boot: self.boot, number: self.number }
    }
}

/// A place in a vehicle's history, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The record's time.
    pub time_ms: u64,
    /// Its boot.
    pub boot: u64,
    /// Its number.
    pub number: u64,
}

/// A part of a range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// In order of time.
    pub records: Vec<ArchivedRow>,
    /// Where the next page continues; `None` at the end.
    #[serde(skip)]
    pub next: Option<Cursor>,
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

/// Reads what is archived, following the writer's commits.
#[derive(Clone)]
pub struct Reader {
    pub(super) records: View,
    pub(super) batches: View,
    pub(super) quarantine: View,
    pub(super) copies: View,
}

impl Reader {
    pub(super) fn new(records: View, batches: View, quarantine: View, copies: View) -> Self {
        Self { records, batches, quarantine, copies }
    }

    /// Rows in the latest snapshots, from their files' statistics.
    pub fn totals(&self) -> Totals {
        let rows = |view: &View| view.files().iter().filter_map(|file| file.rows).sum();
        Totals {
            records: rows(&self.records),
            batches: rows(&self.batches),
            quarantined: rows(&self.quarantine),
        }
    }

    /// Batches of a boot that hold one of the numbers `first..=last`.
    pub async fn batches_near(
        &self,
        vehicle: &VehicleId,
        boot: Boot,
        first: u64,
        last: u64,
    ) -> Result<Vec<Stored>, ArchiveError> {
        let wanted = overlapping(vehicle, boot, first, last);
        let columns = ["first", "last", "batch_id", "previous"];
        let mut found = Vec::new();
        for batch in self.batches.scan(&columns, &wanted).await? {
            let columns = Columns(&batch);
            let (first, last) = (columns.long("first")?, columns.long("last")?);
            let (ids, previous) = (columns.text("batch_id")?, columns.text("previous")?);
            for row in 0..batch.num_rows() {
                let previous = previous.is_valid(row).then(|| id_of(previous.value(row))).transpose()?;
                found.push(Stored {
                    first: unsigned(first.value(row)),
                    next: unsigned(last.value(row)).saturating_add(1),
                    id: id_of(ids.value(row))?,
                    previous,
                });
            }
        }
        Ok(found)
    }

    /// Those of these numbers of boot 0 that are archived, with the content of their rows.
    pub async fn foreign_numbers(
        &self,
        vehicle: &VehicleId,
        numbers: &BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, Digest>, ArchiveError> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(BTreeMap::new()) };
        // A foreign number begins with its time, which narrows the files much better than the number does.
        let time = |number: u64| micros(Timestamp::from_millis(number >> 21));
        let wanted = Wanted::of(vehicle.as_str())
            .between("boot", 0, 0)
            .between("number", long(*first), long(*last))
            .between("time", time(*first), time(*last));
        let mut found = BTreeMap::new();
        for batch in self.records.scan(&[], &wanted).await? {
            let rows = archived_rows(&batch)?;
            let asked = rows.iter().filter(|row| numbers.contains(&row.number));
            found.extend(asked.map(|row| (row.number, row.content())));
        }
        Ok(found)
    }

    /// The batch that a record was archived from, and its position there.
    pub async fn batch_with(&self, record: &RecordId) -> Result<Option<(StoredBatch, u32)>, ArchiveError> {
        let number = record.number.get();
        if number > i64::MAX as u64 || record.boot.get() > i64::MAX as u64 {
            return Ok(None);
        }
        let wanted = overlapping(&record.vehicle, record.boot, number, number);
        for rows in self.batches.scan(&[], &wanted).await? {
            for batch in stored_batches(&rows)? {
                let entry = entry_of(&batch)?;
                let position = entry.batch.records.iter().position(|r| r.number == record.number);
                let Some(position) = position.and_then(|at| u32::try_from(at).ok()) else { continue };
                if batch.kept.as_ref().is_none_or(|kept| kept.contains(&position)) {
                    return Ok(Some((batch, position)));
                }
            }
        }
        Ok(None)
    }

    /// The entries of one commit, and its time.
    pub(crate) async fn entries_of(&self, sequence: u64) -> Result<(Vec<Entry>, Timestamp), ArchiveError> {
        let wanted = Wanted::default().between("sequence", long(sequence), long(sequence));
        let mut entries = Vec::new();
        let mut archived = Timestamp::from_millis(0);
        for rows in self.batches.scan(&[], &wanted).await? {
            for batch in stored_batches(&rows)? {
                archived = batch.archived;
                entries.push(entry_of(&batch)?);
            }
        }
        if entries.is_empty() {
            return Err(ArchiveError::Damaged {
                what: format!("table batches has no rows of commit {sequence}"),
            });
        }
        Ok((entries, archived))
    }

    /// A vehicle's records with `from_ms <= time < to_ms`, in order of time, at most `limit`, after `after`.
    pub async fn records(
        &self,
        vehicle: &VehicleId,
        from_ms: u64,
        to_ms: u64,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, ArchiveError> {
        let from_ms = after.map_or(from_ms, |cursor| from_ms.max(cursor.time_ms));
        if from_ms >= to_ms || limit == 0 {
            return Ok(Page { records: Vec::new(), next: None });
        }
        let bound = |ms| micros(Timestamp::from_millis(ms));
        let wanted =
            Wanted::of(vehicle.as_str()).between("time", bound(from_ms), bound(to_ms).saturating_sub(1));
        let mut files: Vec<Arc<DataFile>> =
            self.records.files().iter().filter(|file| file.can_hold(&wanted)).cloned().collect();
        let begins = |file: &DataFile| file.spans.get("time").map_or(i64::MIN, |span| span.min);
        files.sort_by_key(|file| begins(file));
        // One more than asked for tells whether there is a next page.
        let mut rows: BTreeMap<Cursor, ArchivedRow> = BTreeMap::new();
        for file in files {
            let full = rows.len() > limit;
            if full && rows.last_key_value().is_some_and(|(last, _)| bound(last.time_ms) < begins(&file)) {
                break;
            }
            for batch in self.records.scan_file(&file, &[], &wanted).await? {
                for row in archived_rows(&batch)? {
                    if after.is_none_or(|after| row.cursor() > after) {
                        rows.insert(row.cursor(), row);
                    }
                    if rows.len() > limit + 1 {
                        rows.pop_last();
                    }
                }
            }
        }
        let more = rows.len() > limit;
        let records: Vec<_> = rows.into_values().take(limit).collect();
        let next = if more { records.last().map(ArchivedRow::cursor) } else { None };
        Ok(Page { records, next })
    }

    /// The latest record of every vehicle, if the archive has at most `max_rows` rows; else nothing, since a part of
    /// it could name the wrong ones.
    pub async fn all_latest(&self, max_rows: u64) -> Result<BTreeMap<String, ArchivedRow>, ArchiveError> {
        let mut latest: BTreeMap<String, ArchivedRow> = BTreeMap::new();
        if self.totals().records > max_rows {
            return Ok(latest);
        }
        for file in self.records.files().iter() {
            for batch in self.records.scan_file(file, &[], &Wanted::default()).await? {
                for row in archived_rows(&batch)? {
                    let known = latest.get(&row.vehicle);
                    if known.is_none_or(|known| (known.boot, known.number) < (row.boot, row.number)) {
                        latest.insert(row.vehicle.clone(), row);
                    }
                }
            }
        }
        Ok(latest)
    }

    /// The latest record of one vehicle, by time, from the newest files that can hold it.
    pub async fn latest_of(&self, vehicle: &VehicleId) -> Result<Option<ArchivedRow>, ArchiveError> {
        let wanted = Wanted::of(vehicle.as_str());
        let files = self.records.files();
        let mut files: Vec<_> = files.iter().filter(|file| file.can_hold(&wanted)).collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.spans.get("time").map_or(i64::MAX, |span| span.max)));
        let mut latest: Option<ArchivedRow> = None;
        for file in files {
            let ends = file.spans.get("time").map_or(i64::MAX, |span| span.max);
            if latest.as_ref().is_some_and(|row| micros(Timestamp::from_millis(row.time_ms)) > ends) {
                break;
            }
            for batch in self.records.scan_file(file, &[], &wanted).await? {
                for row in archived_rows(&batch)? {
                    if latest.as_ref().is_none_or(|known| known.cursor() < row.cursor()) {
                        latest = Some(row);
                    }
                }
            }
        }
        Ok(latest)
    }

    /// The tables as a check sees them.
    pub(crate) fn inspected(&self) -> [Inspected; 4] {
        let views = [&self.records, &self.batches, &self.quarantine, &self.copies].map(|view| view.clone());
        let mut tables = super::definitions(super::Settings::default()).into_iter().zip(views);
        std::array::from_fn(|_| match tables.next() {
            Some((definition, view)) => Inspected::new(&definition, view),
            None => unreachable!("there is a definition for each table"),
        })
    }

    /// All files of `records`.
    #[cfg(test)]
    pub(crate) fn record_files(&self) -> Vec<Arc<DataFile>> {
        self.records.files().as_ref().clone()
    }
}

fn overlapping(vehicle: &VehicleId, boot: Boot, first: u64, last: u64) -> Wanted {
    Wanted::of(vehicle.as_str())
        .between("boot", long(boot.get()), long(boot.get()))
        .between("first", 0, i64::try_from(last).unwrap_or(i64::MAX))
        .between("last", i64::try_from(first).unwrap_or(i64::MAX), i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn id_of(text: &str) -> Result<BatchId, ArchiveError> {
    text.parse().map_err(|_| ArchiveError::Damaged { what: format!("{text:?} is no batch id") })
}

/// Reads rows of `batches`.
pub(crate) fn stored_batches(rows: &RecordBatch) -> Result<Vec<StoredBatch>, ArchiveError> {
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

/// Reads rows of `records`.
pub(crate) fn archived_rows(rows: &RecordBatch) -> Result<Vec<ArchivedRow>, ArchiveError> {
    let rows = &of_today(rows.clone())?;
    let columns = Columns(rows);
    let (vehicle, batch_id) = (columns.text("vehicle")?, columns.text("batch_id")?);
    let (boot, number, height) = (columns.long("boot")?, columns.long("number")?, columns.long("height")?);
    let time = columns.long("time")?;
    let (voltage, current) = (columns.double("pack_voltage_v")?, columns.double("pack_current_a")?);
    let soc = columns.double("soc_percent")?;
    let (cells, temperatures) = (columns.list("cells_mv")?, columns.list("temperatures_c")?);
    let (contactor, charger) = (columns.text("contactor")?, columns.text("charger")?);
    let insulation = columns.long("insulation_ohm")?;
    let (ambient, coolant) = (columns.double("ambient_c")?, columns.double("coolant_c")?);
    let (speed, causes) = (columns.double("speed_kmh")?, columns.text(CAUSES)?);
    let attested = columns.text("attested_by")?;
    let wrong =
        |name: &str| ArchiveError::Damaged { what: format!("column {name} has another type than ours") };
    let mut channels = channels(columns.list("channels")?).ok_or_else(|| wrong("channels"))?;
    let double = |column: &Float64Array, row| column.is_valid(row).then(|| column.value(row));
    let text = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
    (0..rows.num_rows())
        .map(|row| {
            let cells = cells.value(row);
            let cells = cells.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong("cells_mv"))?;
            let temperatures = temperatures.value(row);
            let temperatures =
                temperatures.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong("temperatures_c"))?;
            Ok(ArchivedRow {
                vehicle: vehicle.value(row).to_owned(),
                boot: unsigned(boot.value(row)),
                number: unsigned(number.value(row)),
                time_ms: from_micros(time.value(row)).as_millis(),
                pack_voltage_v: double(voltage, row),
                pack_current_a: double(current, row),
                soc_percent: double(soc, row),
                cells_mv: cells.iter().collect(),
                temperatures_c: temperatures.iter().collect(),
                contactor: contactor.value(row).to_owned(),
                charger: charger.value(row).to_owned(),
                insulation_ohm: insulation.is_valid(row).then(|| insulation.value(row)),
                ambient_c: double(ambient, row),
                coolant_c: double(coolant, row),
                speed_kmh: double(speed, row),
                channels: std::mem::take(&mut channels[row]),
                causes: text(causes, row),
                attested_by: text(attested, row),
                batch_id: batch_id.value(row).to_owned(),
                height: unsigned(height.value(row)),
            })
        })
        .collect()
}
