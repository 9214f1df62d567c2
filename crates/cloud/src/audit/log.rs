//! The ledger's log, entry by entry: each one is archived, refused for good, a statement of the archive, or named as
//! missing.
//!
//! The log's size is the largest that evidence here, the trust file, or leaves that lead to one of their roots prove. Leaves
//! (`voltmesh chain leaves`) tell entries of which no evidence is here, too: one more copy of an archived batch, or a
//! statement whose place nobody has told yet.

use super::{
    ranges::{absent, count, ranges_text},
    report::{ArchiveReport, Kind, LogReport, MAX_ABSENT},
};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_ledger::{Leaves, Trust};
use voltmesh_telemetry::{
    BatchId, Digest,
    merkle::{Frontier, leaf_hash},
};

/// Ranges that a sentence names.
const NAMED: usize = 20;

/// A leaf's place in the log of some final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its index.
    pub index: u64,
    /// The log's size in that block.
    pub size: u64,
    /// The log's root there.
    pub root: Digest,
}

/// The places in the log that were proven.
#[derive(Default)]
pub(super) struct LogIndex {
    held: BTreeMap<u64, Digest>,
    /// Roots of the log by its size, each in a final block.
    roots: BTreeMap<u64, Digest>,
    /// Entries as evidence says whose authorities the trust file does not know.
    said: BTreeMap<u64, Digest>,
}

/// Facts that can explain an entry of which no evidence is here.
pub(super) struct Known<'a> {
    /// Leaves of the archived batches.
    pub batches: BTreeSet<Digest>,
    /// Leaves of the archive's statements.
    pub statements: BTreeSet<Digest>,
    /// The log, leaf by leaf.
    pub leaves: Option<&'a Leaves>,
}

/// What to do next where entries are absent and the log's leaves were not given.
fn hint(known: &Known<'_>) -> &'static str {
    match known.leaves {
        Some(_) => "",
        None => {
            "; --leaves tells whether they are further copies of what is here, as crashes of fog nodes leave them"
        }
    }
}

impl LogIndex {
    /// Notes that a batch, or a statement's digest, is in the log at this place.
    pub fn hold(&mut self, place: Place, id: &BatchId, report: &mut ArchiveReport) {
        let leaf = leaf_hash(id.as_bytes());
        let other = *self.held.entry(place.index).or_insert(leaf) != leaf;
        if other || *self.roots.entry(place.size).or_insert(place.root) != place.root {
            let at = place.index;
            let text = format!(
                "log entry {at}: batch {id} and another one, both in final blocks: keep this evidence"
            );
            report.problem(Kind::Batch, text);
        }
    }

    /// Notes what evidence says whose authorities the trust file does not know: the entry is not called missing for it.
    pub fn say(&mut self, index: u64, id: &BatchId) {
        self.said.entry(index).or_insert_with(|| leaf_hash(id.as_bytes()));
    }

    /// Names the entries that are not here.
    pub fn settle(mut self, trust: &Trust, known: &Known<'_>, report: &mut ArchiveReport) -> LogReport {
        let proven = self.roots.keys().next_back().copied().unwrap_or(0);
        let mut log = LogReport { size: proven, ..LogReport::default() };
        let mut until = proven;
        if let Some(head) = trust.log() {
            log.trusted_size = Some(head.size);
            self.roots.entry(head.size).or_insert(head.root);
            until = until.max(head.size);
        }
        log.held = self.held.len() as u64;
        if let Some(leaves) = known.leaves {
            self.by_leaves(leaves, known, &mut log, report);
        }
        for (index, leaf) in std::mem::take(&mut self.said) {
            log.unproven += u64::from(!self.held.contains_key(&index));
            self.held.entry(index).or_insert(leaf);
        }
        let absent = absent(self.held.keys().copied(), 0, until);
        log.ranges = absent.iter().copied().take(MAX_ABSENT).collect();
        log.absent = count(&absent);
        let (here, beyond): (Vec<_>, Vec<_>) = absent.into_iter().partition(|(first, _)| *first < proven);
        if !here.is_empty() {
            let (entries, hint) = (ranges_text(&here, NAMED), hint(known));
            report.note(format!(
                "log entries {entries}: anchored by the ledger's account, and not archived here{hint}"
            ));
        }
        if let Some(head) = trust.log().filter(|_| !beyond.is_empty()) {
            let (entries, height, hint) = (ranges_text(&beyond, NAMED), head.height, hint(known));
            report.note(format!(
                "log entries {entries}: anchored as of block {height}, and not archived here{hint}"
            ));
        }
        log
    }

    /// Explains entries by their leaves, as far as these lead to a known root.
    fn by_leaves(
        &mut self,
        leaves: &Leaves,
        known: &Known<'_>,
        log: &mut LogReport,
        report: &mut ArchiveReport,
    ) {
        if leaves.first != 0 {
            let text = format!("the leaves begin at {}, and only from 0 on lead to a root", leaves.first);
            return report.problem(Kind::Unaccounted, text);
        }
        let (mut tree, mut told) = (Frontier::new(), 0);
        for (size, root) in &self.roots {
            let (Ok(from), Ok(to)) = (usize::try_from(tree.size()), usize::try_from(*size)) else { break };
            let Some(next) = leaves.hashes.get(from..to) else { break };
            tree.extend(next);
            if tree.root() != *root {
                let text = format!(
                    "the first {size} leaves are not those of the ledger's log: their root is another"
                );
                report.problem(Kind::Unaccounted, text);
                break;
            }
            told = *size;
        }
        log.leaves = Some(told);
        for (index, said) in self.said.range(..told) {
            let leaf = usize::try_from(*index).ok().and_then(|index| leaves.hashes.get(index));
            if leaf != Some(said) {
                let text = format!("log entry {index}: the leaves name another one than the evidence here");
                report.problem(Kind::Batch, text);
            }
        }
        for (index, leaf) in (0..told).zip(&leaves.hashes) {
            if self.held.contains_key(&index) {
                continue;
            }
            let counter = match leaf {
                leaf if known.batches.contains(leaf) => &mut log.copies,
                leaf if known.statements.contains(leaf) => &mut log.statements,
                _ => continue,
            };
            *counter += 1;
            self.held.insert(index, *leaf);
        }
    }
}
