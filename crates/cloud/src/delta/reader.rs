//! Questions that the archive answers, each opening as few files as their statistics allow.

use super::{
    ArchiveError, Settings,
    definitions::{Definition, definitions},
    inspect::Inspected,
    location::Location,
    rows::{
        ArchivedRow, Columns, Cursor, StoredBatch, archived_rows, entry_of, id_of,
        schema::{long, micros},
        stored_batches, unsigned,
    },
    table::{DataFile, Table, View, Wanted},
};
use crate::{archivist::Entry, coverage::Stored};
use arrow::array::Array as _;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_telemetry::{Boot, Digest, RecordId, Timestamp, VehicleId};

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

/// A part of a range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// In order of time.
    pub records: Vec<ArchivedRow>,
    /// Where the next page continues; `None` at the end.
    #[serde(skip)]
    pub next: Option<Cursor>,
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
        let mut tables = definitions(Settings::default()).into_iter().zip(views);
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

/// Opens an archive for reading only, as it is now; nothing is repaired.
pub async fn open_reader(location: &Location) -> Result<Reader, ArchiveError> {
    let [records, batches, quarantine, copies] = definitions(Settings::default());
    let open = async |definition: Definition| {
        let table = Table::open(&location.store, &location.url, &definition, false).await?;
        let missing = || ArchiveError::Missing { what: format!("{}{}", location.url, definition.name) };
        Ok::<_, ArchiveError>(table.ok_or_else(missing)?.view())
    };
    // An archive of before there were copies has no such table.
    let copies = match open(copies).await {
        Err(ArchiveError::Missing { .. }) => View::empty(location.store.clone()),
        copies => copies?,
    };
    Ok(Reader::new(open(records).await?, open(batches).await?, open(quarantine).await?, copies))
}

fn overlapping(vehicle: &VehicleId, boot: Boot, first: u64, last: u64) -> Wanted {
    Wanted::of(vehicle.as_str())
        .between("boot", long(boot.get()), long(boot.get()))
        .between("first", 0, i64::try_from(last).unwrap_or(i64::MAX))
        .between("last", i64::try_from(first).unwrap_or(i64::MAX), i64::MAX)
}
