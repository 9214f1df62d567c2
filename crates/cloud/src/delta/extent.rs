//! Extent of the tables, as the archive's statements say it: rows, and RFC 9162 trees over batches and quarantine.
//!
//! Batches are leaves in the order of their commits, within one of vehicle, boot, first number and id, with those that stood
//! twice and are in `copies` now; quarantined
//! deliveries in the order of `received_at`, which [`Extent::times`] makes strict. The trees' edges travel in the metadata of
//! the commits that extend them. Where they are absent, or do not fit the number of rows (an older archive, another
//! engine's commit), the tables are read.

use super::{
    ArchiveError,
    rows::{Columns, id_of, schema::micros, unsigned},
    table::{DataFile, View, Wanted},
};
use crate::archivist::{Entry, Quarantined};
use serde_json::Value;
use std::sync::Arc;
use voltmesh_control::Tree;
use voltmesh_telemetry::{
    Digest,
    merkle::{Frontier, leaf_hash},
};

/// Our metadata's key for a tree's edge.
const TREE: &str = "tree";
/// Our metadata's key for the time of the last quarantined row.
const LAST: &str = "last";

/// Content of an archive at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Versions of `records`, `batches` and `quarantine`.
    pub versions: [u64; 3],
    /// Rows of `records`.
    pub records: u64,
    /// Rows of `batches`.
    pub batches: Tree,
    /// Rows of `quarantine`.
    pub quarantine: Tree,
}

impl Default for Holding {
    fn default() -> Self {
        let empty = tree(&Frontier::new());
        Self { versions: [0; 3], records: 0, batches: empty, quarantine: empty }
    }
}

/// Edges of the trees over what is archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub batches: Frontier,
    pub quarantine: Frontier,
    /// `received_at` of the last quarantined row, in microseconds.
    pub last: i64,
}

impl Extent {
    /// Reads what the newest commits' metadata say, or else the tables.
    pub async fn restore(
        [batches, quarantine, copies]: [&View; 3],
        [batches_said, quarantine_said]: [&Value; 2],
    ) -> Result<Self, ArchiveError> {
        let moved = moved(copies).await?;
        let held = rows(&batches.files()).map(|rows| rows.saturating_add(moved));
        let batches = match said(batches_said, held) {
            Some(said) => said,
            None => all_batches(batches, copies).await?,
        };
        let last = quarantine_said[LAST].as_i64();
        let (quarantine, last) = match (said(quarantine_said, rows(&quarantine.files())), last) {
            (Some(said), Some(last)) => (said, last),
            _ => all_quarantined(quarantine).await?,
        };
        Ok(Self { batches, quarantine, last })
    }

    /// The tree of batches after a commit of these.
    pub fn with_batches(&self, entries: &[Entry]) -> Frontier {
        let key = |entry: &&Entry| {
            let batch = &entry.batch;
            (batch.header.vehicle.clone(), batch.header.boot, batch.first(), batch.id)
        };
        let mut rows: Vec<&Entry> = entries.iter().collect();
        rows.sort_by_key(key);
        let leaves: Vec<Digest> = rows.iter().map(|entry| leaf_hash(entry.batch.id.as_bytes())).collect();
        let mut tree = self.batches.clone();
        tree.extend(&leaves);
        tree
    }

    /// The times under which these rows are kept, in microseconds: those of their receipt, or later by as little as makes
    /// each one later than all before it.
    pub fn times(&self, rows: &[&Quarantined]) -> Vec<i64> {
        let mut last = self.last;
        rows.iter()
            .map(|row| {
                last = micros(row.received).max(last.saturating_add(1));
                last
            })
            .collect()
    }

    /// The tree of quarantined deliveries after a commit of these.
    pub fn with_quarantined(&self, rows: &[&Quarantined]) -> Frontier {
        let leaves: Vec<Digest> = rows.iter().map(|row| leaf_hash(row.digest.as_bytes())).collect();
        let mut tree = self.quarantine.clone();
        tree.extend(&leaves);
        tree
    }
}

/// Puts the edge of a tree into a commit's metadata.
pub(super) fn say_batches(metadata: &mut Value, tree: &Frontier) {
    metadata[TREE] = hex::encode(tree.encode()).into();
}

/// Metadata of a commit to `quarantine`.
pub(super) fn quarantine_metadata(tree: &Frontier, last: i64) -> Value {
    serde_json::json!({ TREE: hex::encode(tree.encode()), LAST: last })
}

/// Size and root.
pub(super) fn tree(of: &Frontier) -> Tree {
    Tree { size: of.size(), root: of.root() }
}

/// Rows in a snapshot's files, if the log says.
pub(super) fn rows(files: &[Arc<DataFile>]) -> Option<u64> {
    files.iter().map(|file| file.rows).sum()
}

/// What metadata say, if that is of so many rows.
fn said(metadata: &Value, rows: Option<u64>) -> Option<Frontier> {
    let bytes = hex::decode(metadata[TREE].as_str()?).ok()?;
    Frontier::decode(&bytes).ok().filter(|tree| Some(tree.size()) == rows)
}

/// Rows that stood twice in `batches` and are in `copies` now: they have a commit, the others there have none.
fn of_commits() -> Wanted {
    Wanted::default().between("sequence", 1, i64::MAX)
}

async fn moved(copies: &View) -> Result<u64, ArchiveError> {
    let rows = copies.scan(&["sequence"], &of_commits()).await?;
    Ok(rows.iter().map(|rows| rows.num_rows() as u64).sum())
}

async fn all_batches(batches: &View, copies: &View) -> Result<Frontier, ArchiveError> {
    let mut tree = Frontier::new();
    tree.extend(&ordered_batches(batches, copies).await?);
    Ok(tree)
}

async fn all_quarantined(view: &View) -> Result<(Frontier, i64), ArchiveError> {
    let all = quarantined(view).await?;
    let mut tree = Frontier::new();
    tree.extend(&all.iter().map(|(_, leaf)| *leaf).collect::<Vec<_>>());
    Ok((tree, all.last().map_or(0, |(at, _)| *at)))
}

/// Leaves of all rows of `batches`, and of those that stood twice there, in their order.
pub(crate) async fn ordered_batches(batches: &View, copies: &View) -> Result<Vec<Digest>, ArchiveError> {
    let columns = ["sequence", "vehicle", "boot", "first", "batch_id"];
    let mut all = Vec::new();
    let rows = batches.scan(&columns, &Wanted::default()).await?;
    for rows in rows.into_iter().chain(copies.scan(&columns, &of_commits()).await?) {
        let columns = Columns(&rows);
        let (sequence, vehicle) = (columns.long("sequence")?, columns.text("vehicle")?);
        let (boot, first, id) = (columns.long("boot")?, columns.long("first")?, columns.text("batch_id")?);
        for row in 0..rows.num_rows() {
            let id = id_of(id.value(row))?;
            let place = (sequence.value(row), vehicle.value(row).to_owned());
            all.push((place, unsigned(boot.value(row)), unsigned(first.value(row)), id));
        }
    }
    all.sort_unstable();
    Ok(all.iter().map(|(.., id)| leaf_hash(id.as_bytes())).collect())
}

/// Leaves of all rows of `quarantine`, in their order.
pub(crate) async fn ordered_quarantine(view: &View) -> Result<Vec<Digest>, ArchiveError> {
    Ok(quarantined(view).await?.into_iter().map(|(_, leaf)| leaf).collect())
}

async fn quarantined(view: &View) -> Result<Vec<(i64, Digest)>, ArchiveError> {
    let mut all = Vec::new();
    for rows in view.scan(&["received_at", "digest"], &Wanted::default()).await? {
        let columns = Columns(&rows);
        let (received, digest) = (columns.long("received_at")?, columns.text("digest")?);
        for row in 0..rows.num_rows() {
            all.push((received.value(row), id_of(digest.value(row))?));
        }
    }
    all.sort_unstable();
    Ok(all.into_iter().map(|(at, digest)| (at, leaf_hash(digest.as_bytes()))).collect())
}
