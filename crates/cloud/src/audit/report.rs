//! Report of an audit: findings counted by kind and described in words.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Problems listed; more are only counted.
pub const MAX_PROBLEMS: usize = 1000;

/// Doubts listed; more are only counted.
pub const MAX_DOUBTS: usize = 100;

/// Ranges of absent entries that are listed; more are only counted.
pub const MAX_ABSENT: usize = 1000;

/// Findings of an audit. Sums that do not fit stay at `u64::MAX`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Whether nothing at all was found.
    pub sound: bool,
    /// Rows of `records`.
    pub records: u64,
    /// Rows that are exactly what their batch's signer signed, with evidence that it was anchored; a row that stands
    /// twice counts twice.
    pub verified: u64,
    /// Rows that are exactly what their batch's signer signed, of batches whose finality could not be told: see `later`.
    pub unproven: u64,
    /// Batches whose finality could not be told, if there are any: the trust file is older than they are.
    pub later: Option<Later>,
    /// Rows of `records` beyond the first with the same record id.
    pub duplicates: u64,
    /// Rows that differ from what was signed, or that no verified batch holds.
    pub tampered: u64,
    /// Records of verified batches that have no row.
    pub missing: u64,
    /// Rows of `batches`.
    pub batches: u64,
    /// Rows of `batches` beyond the first with the same batch id.
    pub duplicate_batches: u64,
    /// Rows of `copies`.
    pub copies: u64,
    /// Rows of `batches` and `copies` whose evidence is of the form that also names the size of the registry's tree: nothing
    /// commits to that size, and it is not checked. No fault of the archive.
    pub older_forms: u64,
    /// Bytes of the signed batches, as they travelled.
    pub wire_bytes: u64,
    /// Of these, those whose signature and evidence hold, by vehicle.
    pub wire_bytes_of: BTreeMap<String, u64>,
    /// Rows of `batches` that fail a check, or of which a column is not what was signed.
    pub bad_batches: u64,
    /// Gaps in the numbers of boots: records that the archive never got.
    pub gaps: u64,
    /// Record numbers in those gaps.
    pub gap_records: u64,
    /// Rows of `quarantine`.
    pub quarantined: u64,
    /// Rows of `quarantine` that are not what their own bytes say.
    pub bad_quarantined: u64,
    /// Tables and files that cannot be read, lack a column, or whose log says something else of them.
    pub bad_files: u64,
    /// Commits, watermarks and claims that say something is archived which is not here.
    pub unaccounted: u64,
    /// The ledger's log, entry by entry.
    pub log: LogReport,
    /// Batches of recordings that were doubtful and accepted nevertheless, as their vehicle signed; no fault of the archive.
    pub doubtful_batches: u64,
    /// Why, each reason once with a vehicle's name, at most [`MAX_DOUBTS`].
    pub doubts: BTreeSet<String>,
    /// Records of each vehicle.
    pub vehicles: BTreeMap<String, u64>,
    /// What was found, at most [`MAX_PROBLEMS`].
    pub problems: Vec<String>,
}

/// Part of the ledger's log that is archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Entries that an archived, copied or refused batch, or a statement with its evidence, proves.
    pub held: u64,
    /// Other entries that are the archive's own statements, by the leaves that were given.
    pub statements: u64,
    /// Other entries that are one more copy of an archived batch, by the leaves that were given.
    pub copies: u64,
    /// The log's size, as the newest evidence here proves it.
    pub size: u64,
    /// The log's size in the trust file.
    pub trusted_size: Option<u64>,
    /// Leaves that were given and lead to a root that evidence here or the trust file prove.
    pub leaves: Option<u64>,
    /// Other entries that evidence here names whose authorities the trust file does not know.
    pub unproven: u64,
    /// Entries that nothing here explains.
    pub absent: u64,
    /// Which those are, first and last index, at most [`MAX_ABSENT`] ranges.
    pub ranges: Vec<(u64, u64)>,
}

/// Batches of epochs whose authorities the trust file does not know. All of them that does not ask for the authorities was
/// checked. With a newer trust file they are proven, or found forged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Later {
    /// Rows of `batches` and `copies`.
    pub batches: u64,
    /// The first of their epochs.
    pub first_epoch: u64,
    /// The last of their epochs.
    pub last_epoch: u64,
    /// The last epoch whose authorities the trust file knows.
    pub known_until: u64,
}

impl std::fmt::Display for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batches, first_epoch, last_epoch, known_until } = self;
        write!(
            f,
            "{batches} batches are of epochs {first_epoch} to {last_epoch}, and this trust file knows the authorities until \
             epoch {known_until}: refresh it with `voltmesh chain trust`"
        )
    }
}

/// Kinds of findings that have their own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table or file.
    Table,
    /// A row of `batches`, or two that contradict each other.
    Batch,
    /// A row of `batches` that stands twice.
    DoubledBatch,
    /// A row of `records`.
    Tampered,
    /// A row of `records` that stands twice.
    Doubled,
    /// A record without a row.
    Missing,
    /// A row of `quarantine`.
    Quarantined,
    /// Something archived by the archive's own account.
    Unaccounted,
}

impl ArchiveReport {
    /// Whether every row is what was signed, exactly once, and nothing is known to have been there that is not. Gaps in
    /// the numbers of a boot are no fault of the archive.
    pub fn is_sound(&self) -> bool {
        !self.is_wrong() && self.later.is_none()
    }

    /// Whether anything was found. What an old trust file leaves open is no finding: then it is neither sound nor wrong.
    pub fn is_wrong(&self) -> bool {
        let rows = [self.duplicates, self.tampered, self.missing, self.bad_batches, self.duplicate_batches];
        let others = [self.bad_quarantined, self.bad_files, self.unaccounted, self.log.absent];
        rows.iter().chain(&others).any(|count| *count != 0)
    }

    /// Counts a batch of an epoch whose authorities the trust file does not know.
    pub(super) fn batch_of_later(&mut self, epoch: u64) {
        let first = Later { first_epoch: epoch, ..Later::default() };
        let later = self.later.get_or_insert(first);
        later.batches = later.batches.saturating_add(1);
        later.first_epoch = later.first_epoch.min(epoch);
        later.last_epoch = later.last_epoch.max(epoch);
    }

    /// Counts a finding and keeps its text.
    pub(super) fn problem(&mut self, kind: Kind, text: String) {
        self.problems_of(kind, 1, text);
    }

    /// Counts so many findings of a kind that one text tells of.
    pub(super) fn problems_of(&mut self, kind: Kind, count: u64, text: String) {
        let counter = match kind {
            Kind::Table => &mut self.bad_files,
            Kind::Batch => &mut self.bad_batches,
            Kind::DoubledBatch => &mut self.duplicate_batches,
            Kind::Tampered => &mut self.tampered,
            Kind::Doubled => &mut self.duplicates,
            Kind::Missing => &mut self.missing,
            Kind::Quarantined => &mut self.bad_quarantined,
            Kind::Unaccounted => &mut self.unaccounted,
        };
        *counter = counter.saturating_add(count);
        self.note(text);
    }

    /// Counts a batch of a recording whose doubts were accepted.
    pub(super) fn doubtful(&mut self, vehicle: &str, doubts: &[String]) {
        self.doubtful_batches = self.doubtful_batches.saturating_add(1);
        for doubt in doubts {
            let text = format!("{vehicle}: {doubt}");
            if self.doubts.len() < MAX_DOUBTS || self.doubts.contains(&text) {
                self.doubts.insert(text);
            }
        }
    }

    /// Keeps a text whose count is kept elsewhere.
    pub(super) fn note(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }

    /// Rows of a file of `batches` that cannot be read.
    pub(super) fn unread_batches(&mut self, rows: u64) {
        self.batches = self.batches.saturating_add(rows);
        self.bad_batches = self.bad_batches.saturating_add(rows);
    }

    /// Rows of a file of `records` that cannot be read.
    pub(super) fn unread_records(&mut self, rows: u64) {
        self.records = self.records.saturating_add(rows);
        self.tampered = self.tampered.saturating_add(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts and docs/faults.md go by these names.
    #[test]
    fn counters_keep_their_names() {
        let report = serde_json::to_value(ArchiveReport::default()).unwrap();
        for name in
            ["sound", "records", "verified", "duplicates", "tampered", "missing", "batches", "vehicles"]
                .into_iter()
                .chain([
                    "duplicate_batches",
                    "bad_batches",
                    "bad_quarantined",
                    "bad_files",
                    "unaccounted",
                    "log",
                ])
                .chain([
                    "gaps",
                    "gap_records",
                    "quarantined",
                    "copies",
                    "problems",
                    "unproven",
                    "later",
                    "doubtful_batches",
                    "doubts",
                    "older_forms",
                ])
        {
            assert!(report.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_kind_of_finding_makes_an_archive_unsound() {
        for kind in [
            Kind::Table,
            Kind::Batch,
            Kind::DoubledBatch,
            Kind::Tampered,
            Kind::Doubled,
            Kind::Missing,
            Kind::Quarantined,
            Kind::Unaccounted,
        ] {
            let mut report = ArchiveReport::default();
            assert!(report.is_sound());
            report.problems_of(kind, u64::MAX, String::new());
            report.problem(kind, String::new());
            assert!(!report.is_sound(), "{kind:?}");
        }
    }
}
