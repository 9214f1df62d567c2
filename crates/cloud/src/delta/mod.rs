//! The archive: four Delta tables, written by one process, exactly once.
//!
//! **Exactly once.** Each commit to `batches` carries, as Delta application transactions, the watermark of every boot
//! that it touches and a sequence number, and the ranges beyond the watermarks in its metadata. All are read from the
//! snapshot that the next commit is made on, and a commit is only ever made on the latest version: if anyone else has
//! written, it fails, and the core judges again. `records` follows with the same sequence number; if a crash comes
//! between the two, opening derives the missing rows from the batches' own bytes.
//!
//! **Durable.** On a local folder a commit returns after data files, log entries and their directories are fsynced.
//!
//! **At a flat cost.** What a commit costs does not grow with the number of commits before it: small files are merged by
//! tiers ([`compact`]), and log entries, replaced files and what the library holds of them in memory have an end
//! ([`upkeep`]).
//!
//! Provided: detection of a second writer; repair after a crash at any point; bounded numbers of small files.
//! Not provided: a lease that keeps a second writer from trying; expiry of watermarks (about 60 bytes per boot in each
//! checkpoint); removal of files that a crashed commit left behind (they are in no snapshot, and harmless).

mod causes;
mod cells_column;
mod compact;
mod content;
pub mod durable;
mod encoding;
mod error;
mod evidence;
mod extent;
mod file_writer;
mod files;
mod inspect;
mod merge;
mod object;
mod parquet_file;
mod reader;
mod records;
mod remove;
mod replay;
pub mod schema;
mod sizes;
mod table;
mod upkeep;

pub use content::ArchivedChannel;
pub use error::ArchiveError;
pub use extent::Holding;
pub(crate) use extent::{ordered_batches, ordered_quarantine};
pub use reader::{ArchivedRow, Cursor, Page, Reader, StoredBatch, Totals};
pub use remove::TableChange;
pub use sizes::{ColumnSize, TableSize};

pub(crate) use files::{Columns, DataFile};
pub(crate) use inspect::{Inspected, inspect};
#[cfg(test)]
pub(crate) use reader::archived_rows;
pub(crate) use reader::stored_batches;
pub(crate) use records::record_rows;
pub(crate) use remove::{Removal, Rows};
pub(crate) use replay::Replay;

use crate::{
    archivist::{Commit, Entry, Marks},
    coverage::Range,
};
use arrow::array::RecordBatch;
use deltalake::kernel::Transaction;
use extent::Extent;
use object_store::ObjectStore;
use schema::{batch_rows, long, quarantine_rows};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};
use table::{Definition, Table, View};
use tokio::sync::watch;
use url::Url;
use voltmesh_telemetry::{Boot, Digest, Timestamp, VehicleId};

/// Rows of any table in today's layout, whatever the layout of their file.
pub(crate) fn of_today(rows: RecordBatch) -> Result<RecordBatch, ArchiveError> {
    records::of_today(evidence::in_parts(rows)?)
}

/// Application id of the sequence number; no boot's id can be it, for it has no `/`.
pub(crate) const SEQUENCE: &str = "voltmesh";
/// Threads for blocking work that a runtime needs for an archive: with the allocator's default of one heap a thread each
/// keeps some hundreds of kilobytes for good, and loading a log reads all its entries at once, by one thread each if it
/// may. A load holds one or two while others read for it.
pub const BLOCKING_THREADS: usize = 16;
/// Digests of quarantined deliveries remembered, so that a repeated attempt does not write them twice: 128 KiB.
const RECENT_QUARANTINE: usize = 4096;

/// Settings of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A Delta checkpoint each so many commits (default 100).
    pub checkpoint_every: u64,
    /// A day's small files of like size are merged once there are so many (default 32); 0 never merges.
    pub compact_files: usize,
    /// Files that merging replaced are deleted after so many hours, when no reader uses them any more (default 3).
    pub vacuum_hours: u64,
    /// Log entries older than the latest checkpoint are deleted after so many hours (default 1).
    pub log_hours: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { checkpoint_every: 100, compact_files: 32, vacuum_hours: 3, log_hours: 1 }
    }
}

/// Location of the archive: a folder, or a bucket.
#[derive(Clone, Debug)]
pub struct Location {
    /// The store from its root.
    pub store: Arc<dyn ObjectStore>,
    /// The folder below which the tables are.
    pub url: Url,
}

impl Location {
    /// A local folder, created if it is not there; what is written to it is fsynced.
    pub fn folder(path: &Path) -> Result<Self, ArchiveError> {
        durable::create_folder(path).map_err(ArchiveError::store)?;
        let path = path.canonicalize().map_err(ArchiveError::store)?;
        Self::existing_folder(&path)
    }

    /// A local folder that must be there.
    pub fn existing_folder(path: &Path) -> Result<Self, ArchiveError> {
        let path = path.canonicalize().map_err(ArchiveError::store)?;
        let url = Url::from_directory_path(&path)
            .map_err(|()| ArchiveError::Location { what: path.display().to_string() })?;
        Ok(Self { store: Arc::new(durable::DurableFolder::new()), url })
    }

    /// As [`Self::parse`], for reading: a folder must be there.
    pub fn existing(text: &str, options: &BTreeMap<String, String>) -> Result<Self, ArchiveError> {
        if text.contains("://") { Self::parse(text, options) } else { Self::existing_folder(Path::new(text)) }
    }

    /// From a folder's path or, with the feature `s3`, an `s3://bucket/prefix` URL and the store's options
    /// (`aws_region`, `aws_endpoint`, `aws_access_key_id` …; what is missing comes from the environment).
    pub fn parse(text: &str, options: &BTreeMap<String, String>) -> Result<Self, ArchiveError> {
        if text.starts_with("s3://") {
            return s3(text, options);
        }
        if text.contains("://") {
            return Err(ArchiveError::Location { what: text.to_owned() });
        }
        Self::folder(Path::new(text))
    }
}

#[cfg(feature = "s3")]
fn s3(text: &str, options: &BTreeMap<String, String>) -> Result<Location, ArchiveError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    let url = Url::parse(text).map_err(ArchiveError::store)?;
    let mut builder = AmazonS3Builder::from_env().with_url(text);
    for (key, value) in options {
        let key: AmazonS3ConfigKey = key.parse().map_err(ArchiveError::store)?;
        builder = builder.with_config(key, value);
    }
    // Conditional puts ("create if absent") are what makes a commit atomic; object_store uses them by default.
    let store = builder.build().map_err(ArchiveError::store)?;
    Ok(Location { store: Arc::new(store), url })
}

#[cfg(not(feature = "s3"))]
fn s3(text: &str, _: &BTreeMap<String, String>) -> Result<Location, ArchiveError> {
    Err(ArchiveError::NoS3 { what: text.to_owned() })
}

/// The archive with its one writer.
pub struct Archive {
    records: Table,
    batches: Table,
    quarantine: Table,
    copies: Table,
    settings: Settings,
    sequence: u64,
    /// Our metadata of the latest commit to `batches`, which compaction repeats.
    metadata: Value,
    /// The same of `quarantine`.
    quarantine_metadata: Value,
    /// Trees over what is archived.
    extent: Extent,
    holdings: watch::Sender<Holding>,
    quarantined: BTreeSet<Digest>,
    /// Time of the latest commit.
    now: Timestamp,
}

impl Archive {
    /// Opens or creates the archive, and repairs what a crash has left between its tables.
    pub async fn open(location: &Location, settings: Settings) -> Result<(Self, Marks), ArchiveError> {
        let [records, batches, quarantine, copies] = definitions(settings);
        let (store, url) = (&location.store, &location.url);
        let missing = || ArchiveError::Damaged { what: "a table that was created is not there".into() };
        let mut archive = Self {
            records: Table::open(store, url, &records, true).await?.ok_or_else(missing)?,
            batches: Table::open(store, url, &batches, true).await?.ok_or_else(missing)?,
            quarantine: Table::open(store, url, &quarantine, true).await?.ok_or_else(missing)?,
            copies: Table::open(store, url, &copies, true).await?.ok_or_else(missing)?,
            settings,
            sequence: 0,
            metadata: Value::Null,
            quarantine_metadata: Value::Null,
            extent: Extent::default(),
            holdings: watch::Sender::default(),
            quarantined: BTreeSet::new(),
            now: Timestamp::from_millis(0),
        };
        let marks = archive.settle().await?;
        Ok((archive, marks))
    }

    /// Appends a commit, durably, in full or not at all (as far as `batches` goes; `records` follows or is repaired).
    ///
    /// After an error, what is archived is unknown: [`Archive::reload`] before anything else.
    pub async fn commit(&mut self, commit: &Commit) -> Result<(), ArchiveError> {
        self.now = commit.time;
        self.keep_refused(commit).await?;
        self.keep_copies(commit).await?;
        if !commit.entries.is_empty() {
            self.append(commit).await?;
        }
        self.publish();
        Ok(())
    }

    async fn append(&mut self, commit: &Commit) -> Result<(), ArchiveError> {
        let sequence = self.sequence + 1;
        let mut metadata = metadata_of(sequence, &commit.marks);
        let tree = self.extent.with_batches(&commit.entries);
        extent::say_batches(&mut metadata, &tree);
        let mut transactions: Vec<_> = commit
            .marks
            .watermarks
            .iter()
            .map(|((vehicle, boot), mark)| Transaction::new(format!("{vehicle}/{boot}"), long(*mark)))
            .collect();
        transactions.push(Transaction::new(SEQUENCE, long(sequence)));
        let rows = batch_rows(&commit.entries, sequence, commit.time)?;
        self.batches.append_rows(&rows, transactions, metadata.clone()).await?;
        (self.metadata, self.extent.batches) = (metadata, tree);
        self.append_records(&commit.entries, commit.time, sequence).await?;
        self.sequence = sequence;
        Ok(())
    }

    async fn append_records(
        &mut self,
        entries: &[Entry],
        archived: Timestamp,
        sequence: u64,
    ) -> Result<(), ArchiveError> {
        let mut files = self.records.committed();
        records::record_pieces(entries, archived, |rows| files.write(&rows))?;
        // The watermarks stand in one log: that of batches.
        let transactions = vec![Transaction::new(SEQUENCE, long(sequence))];
        self.records.append(files, transactions, json!({ "sequence": sequence })).await?;
        Ok(())
    }

    /// Keeps further copies of archived batches, before what they are copies of: a crash between the two leaves the delivery
    /// unanswered, and it comes again. They are of no commit: `sequence` is 0.
    async fn keep_copies(&mut self, commit: &Commit) -> Result<(), ArchiveError> {
        if commit.copies.is_empty() {
            return Ok(());
        }
        let copies: Vec<_> =
            commit.copies.iter().map(|batch| Entry { batch: batch.clone(), kept: None }).collect();
        let rows = batch_rows(&copies, 0, commit.time)?;
        self.copies.append_rows(&rows, Vec::new(), json!({ "places": commit.marks.places })).await?;
        Ok(())
    }

    async fn keep_refused(&mut self, commit: &Commit) -> Result<(), ArchiveError> {
        let new: Vec<_> =
            commit.quarantine.iter().filter(|row| !self.quarantined.contains(&row.digest)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let (times, tree) = (self.extent.times(&new), self.extent.with_quarantined(&new));
        let last = times.last().copied().unwrap_or(self.extent.last);
        let metadata = extent::quarantine_metadata(&tree, last);
        self.quarantine.append_rows(&quarantine_rows(&new, &times)?, Vec::new(), metadata.clone()).await?;
        (self.quarantine_metadata, self.extent.quarantine, self.extent.last) = (metadata, tree, last);
        for row in new {
            if self.quarantined.len() >= RECENT_QUARANTINE {
                self.quarantined.pop_first();
            }
            self.quarantined.insert(row.digest);
        }
        Ok(())
    }

    /// Loads what is committed now, by whomever, and repairs it: after an error.
    pub async fn reload(&mut self) -> Result<Marks, ArchiveError> {
        self.records.reload().await?;
        self.batches.reload().await?;
        self.quarantine.reload().await?;
        self.copies.reload().await?;
        self.settle().await
    }

    /// Reads the watermarks of the loaded snapshots and brings `records` up to `batches`.
    async fn settle(&mut self) -> Result<Marks, ArchiveError> {
        let Replay { transactions, metadata, checkpoint } = self.batches.replay().await?;
        self.batches.upkeep.checkpointed(checkpoint);
        let Replay { transactions: records, checkpoint, .. } = self.records.replay().await?;
        self.records.upkeep.checkpointed(checkpoint);
        let sequence_of = |transactions: &BTreeMap<String, i64>| {
            transactions.get(SEQUENCE).and_then(|value| u64::try_from(*value).ok()).unwrap_or(0)
        };
        let (want, have) = (sequence_of(&transactions), sequence_of(&records));
        if have > want {
            return Err(ArchiveError::Damaged {
                what: format!("records are at commit {have}, but batches at {want}: batches was rolled back"),
            });
        }
        self.metadata = metadata.unwrap_or(Value::Null);
        self.quarantine_metadata = self.quarantine.replay().await?.metadata.unwrap_or(Value::Null);
        for sequence in have + 1..=want {
            self.repair(sequence).await?;
        }
        self.sequence = want;
        // Merging before this process's first commit happens at the latest commit's time, not in 1970, when what it
        // replaces would be old enough to be deleted at once.
        let files = self.batches.view().files();
        let newest = files.iter().filter_map(|file| file.spans.get("archived_at")).map(|span| span.max).max();
        self.now = self.now.max(newest.map_or(self.now, from_micros));
        let mut marks = Marks::default();
        for (id, mark) in &transactions {
            if let Some((vehicle, boot)) = boot_of(id) {
                marks.watermarks.insert((vehicle, boot), u64::try_from(*mark).unwrap_or(0));
            }
        }
        marks.islands = islands_of(&self.metadata)?;
        // What says nothing of them is of an older archive: a repeat's evidence may be kept once more, then.
        let Replay { metadata: copies, checkpoint, .. } = self.copies.replay().await?;
        self.copies.upkeep.checkpointed(checkpoint);
        let copies = copies.unwrap_or(Value::Null);
        for metadata in [&self.metadata, &copies] {
            let places: Vec<(u64, u64)> = Vec::deserialize(&metadata["places"]).unwrap_or_default();
            marks.places.extend(places);
        }
        self.extent = self.restore([&self.metadata, &self.quarantine_metadata]).await?;
        self.publish();
        Ok(marks)
    }

    async fn restore(&self, metadata: [&Value; 2]) -> Result<Extent, ArchiveError> {
        Extent::restore([&self.batches.view(), &self.quarantine.view(), &self.copies.view()], metadata).await
    }

    /// What the archive holds, as it changes: for its statements. Not between the tables of one commit.
    pub fn holdings(&self) -> watch::Receiver<Holding> {
        self.holdings.subscribe()
    }

    fn publish(&self) {
        self.holdings.send_replace(self.holding(&self.extent));
    }

    fn holding(&self, extent: &Extent) -> Holding {
        Holding {
            versions: self.versions(),
            records: extent::rows(&self.records.view().files()).unwrap_or_default(),
            batches: extent::tree(&extent.batches),
            quarantine: extent::tree(&extent.quarantine),
        }
    }

    /// What the archive holds by the rows of its tables alone.
    #[cfg(test)]
    pub(crate) async fn counted(&self) -> Result<Holding, ArchiveError> {
        Ok(self.holding(&self.restore([&Value::Null; 2]).await?))
    }

    async fn repair(&mut self, sequence: u64) -> Result<(), ArchiveError> {
        tracing::warn!(
            sequence,
            "a crash came between two tables: deriving the missing records from their batches"
        );
        let (entries, archived) = self.reader().entries_of(sequence).await?;
        self.append_records(&entries, archived, sequence).await
    }

    /// A handle for reading that follows the commits.
    pub fn reader(&self) -> Reader {
        Reader::new(self.records.view(), self.batches.view(), self.quarantine.view(), self.copies.view())
    }

    /// Does what keeps the cost of a commit flat, as far as it is due by the latest commit's time: merges small files, writes
    /// checkpoints, and deletes expired log entries and replaced files. True if it merged any. None of it is part of a
    /// commit, whose batches are acknowledged before.
    pub async fn compact(&mut self) -> Result<bool, ArchiveError> {
        let (files, now) = (self.settings.compact_files, self.now);
        let metadata = self.metadata.clone();
        let refused = self.quarantine_metadata.clone();
        let mut done = false;
        for (table, keys, metadata) in [
            (&mut self.records, &["vehicle", "boot", "number"][..], Value::Null),
            (&mut self.batches, &["height", "vehicle", "boot", "first"][..], metadata),
            (&mut self.quarantine, &["received_at"][..], refused),
            (&mut self.copies, &["height", "vehicle", "boot", "first"][..], Value::Null),
        ] {
            done |= compact::compact(table, files, keys, metadata, now).await?;
        }
        self.write_checkpoints().await?;
        for table in self.tables() {
            table.expire(now).await?;
        }
        if done {
            self.publish();
        }
        Ok(done)
    }

    /// Writes a checkpoint of each table whose last one is long enough ago.
    pub(crate) async fn write_checkpoints(&mut self) -> Result<(), ArchiveError> {
        for table in self.tables() {
            table.checkpoint_if_due().await?;
        }
        Ok(())
    }

    fn tables(&mut self) -> [&mut Table; 4] {
        [&mut self.records, &mut self.batches, &mut self.quarantine, &mut self.copies]
    }

    /// Versions of `records`, `batches` and `quarantine`.
    pub fn versions(&self) -> [u64; 3] {
        [self.records.version(), self.batches.version(), self.quarantine.version()]
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

fn definitions(settings: Settings) -> [Definition; 4] {
    [
        Definition {
            name: schema::RECORDS,
            schema: schema::records(),
            indexed: "vehicle,boot,number,time,height",
            comment: "One row per battery record; batch_id leads to its proof in batches.",
            settings,
        },
        Definition {
            name: schema::BATCHES,
            schema: schema::batches(),
            indexed: "vehicle,boot,first,last,sequence,height,archived_at",
            comment: "One row per archived batch, with the bytes that prove its records.",
            settings,
        },
        Definition {
            name: schema::QUARANTINE,
            schema: schema::quarantine(),
            indexed: "received_at,vehicle,stage",
            comment: "Deliveries that failed a check, with the reason.",
            settings,
        },
        Definition {
            name: schema::COPIES,
            schema: schema::batches(),
            indexed: "vehicle,boot,first,last,sequence,height,archived_at",
            comment: "Batches anchored again, or without a new record: what explains their entries of the log.",
            settings,
        },
    ]
}

/// The boot whose watermark an application id names.
pub(crate) fn boot_of(id: &str) -> Option<(VehicleId, Boot)> {
    let (vehicle, boot) = id.split_once('/')?;
    Some((vehicle.parse().ok()?, Boot::new(boot.parse().ok()?)))
}

fn metadata_of(sequence: u64, marks: &Marks) -> Value {
    let islands: serde_json::Map<String, Value> = marks
        .islands
        .iter()
        .filter(|(_, ranges)| !ranges.is_empty())
        .map(|((vehicle, boot), ranges)| {
            let ranges = ranges.iter().map(|r| json!([r.first, r.next, r.sure])).collect();
            (format!("{vehicle}/{boot}"), Value::Array(ranges))
        })
        .collect();
    json!({ "sequence": sequence, "islands": islands, "places": marks.places })
}

fn islands_of(metadata: &Value) -> Result<BTreeMap<(VehicleId, Boot), Vec<Range>>, ArchiveError> {
    let damaged = || ArchiveError::Damaged { what: "the commit metadata of batches is not ours".into() };
    let mut islands = BTreeMap::new();
    for (id, ranges) in metadata["islands"].as_object().into_iter().flatten() {
        let key = boot_of(id).ok_or_else(damaged)?;
        let ranges: Vec<(u64, u64, bool)> = serde_json::from_value(ranges.clone()).map_err(|_| damaged())?;
        let ranges = ranges.into_iter().map(|(first, next, sure)| Range { first, next, sure }).collect();
        islands.insert(key, ranges);
    }
    Ok(islands)
}

/// The time of a commit's rows, from microseconds.
pub(crate) fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(micros / 1000).unwrap_or(0))
}

/// A batch's row as the entry that it was.
pub(crate) fn entry_of(batch: &StoredBatch) -> Result<Entry, ArchiveError> {
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
