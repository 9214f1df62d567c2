//! The ledger's log, entry by entry: each one is archived, refused for good, or named as missing.

use super::{
    commits::{absent, count},
    report::{ArchiveReport, Kind, ranges_text},
};
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_telemetry::{BatchId, Digest, merkle::leaf_hash};

/// Ranges of absent entries that are listed; more are only counted.
pub const MAX_ABSENT: usize = 1000;
/// Ranges that a sentence names.
const NAMED: usize = 20;

/// What is archived of the ledger's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Entries that an archived or refused batch proves.
    pub held: u64,
    /// The log's size, as the newest evidence here proves it.
    pub size: u64,
    /// Entries below these sizes that nothing here explains.
    pub absent: u64,
    /// Which those are, first and last index, at most [`MAX_ABSENT`] ranges.
    pub ranges: Vec<(u64, u64)>,
}

/// The places in the log that were proven.
#[derive(Default)]
pub(super) struct LogIndex {
    held: BTreeMap<u64, Digest>,
    size: u64,
}

impl LogIndex {
    /// Notes that a batch is at `index` of a log of `size` entries.
    pub fn hold(&mut self, (index, size): (u64, u64), id: &BatchId, report: &mut ArchiveReport) {
        self.size = self.size.max(size);
        let leaf = leaf_hash(id.as_bytes());
        if *self.held.entry(index).or_insert(leaf) != leaf {
            let text =
                format!("entry {index} of the ledger's log is batch {id} and another one: the ledger forked");
            report.problem(Kind::Batch, text);
        }
    }

    /// Notes that the log is known to have so many entries.
    pub fn reach(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    /// Names the entries that are not here.
    pub fn settle(&self, report: &mut ArchiveReport) -> LogReport {
        let absent = absent(self.held.keys().copied(), 0, self.size);
        if !absent.is_empty() {
            let entries = ranges_text(&absent, NAMED);
            report.note(format!(
                "log entries {entries}: anchored by the ledger's account, and not archived here"
            ));
        }
        LogReport {
            held: self.held.len() as u64,
            size: self.size,
            absent: count(&absent),
            ranges: absent.into_iter().take(MAX_ABSENT).collect(),
        }
    }
}
