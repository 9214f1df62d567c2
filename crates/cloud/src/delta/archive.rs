//! The writer of the archive: commits to its tables, and repairs what a crash has left between them.

use super::{
    ArchiveError, Holding, Location, Reader, Settings,
    commit_metadata::{SEQUENCE, boot_of, islands_of, metadata_of},
    definitions::definitions,
    extent::{self, Extent},
    rows::{batch_rows, from_micros, quarantine_rows, record_pieces, schema::long},
    table::{Replay, Table, compact::compact},
};
use crate::archivist::{Commit, Entry, Marks};
use deltalake::kernel::Transaction;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use voltmesh_telemetry::{Digest, Timestamp};

/// Digests of quarantined deliveries remembered, so that a repeated attempt does not write them twice: 128 KiB.
const RECENT_QUARANTINE: usize = 4096;

/// The archive with its one writer.
pub struct Archive {
    pub(super) records: Table,
    pub(super) batches: Table,
    quarantine: Table,
    pub(super) copies: Table,
    settings: Settings,
    pub(super) sequence: u64,
    /// Our metadata of the latest commit to `batches`, which compaction repeats.
    pub(super) metadata: Value,
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
        record_pieces(entries, archived, |rows| files.write(&rows))?;
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
        let Replay { transactions, metadata, checkpoint, .. } = self.batches.replay().await?;
        self.batches.checkpointed(checkpoint);
        let Replay { transactions: records, checkpoint, .. } = self.records.replay().await?;
        self.records.checkpointed(checkpoint);
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
        self.copies.checkpointed(checkpoint);
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
            done |= compact(table, files, keys, metadata, now).await?;
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
