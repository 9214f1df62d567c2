//! The archive's commits as `batches` tells of them: numbered without a gap, each at one time, in order of time.

use super::{
    ranges::{absent, count, ranges_text},
    report::{ArchiveReport, Kind},
};
use crate::delta::{Replay, SEQUENCE, from_micros, schema::day_text};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_telemetry::Timestamp;

/// Lag of the cloud's clock behind that of the ledger's blocks, or step back between commits, at most: one hour, more than
/// any clock that is looked after. Times within it are believed as they stand: nobody signed them.
pub(super) const CLOCK_MICROS: i64 = 3_600_000_000;
/// Ranges of absent commits that are named.
const NAMED: usize = 20;

/// Commits by sequence number.
#[derive(Default)]
pub(super) struct Commits {
    /// When each was made, in microseconds.
    times: BTreeMap<u64, i64>,
    /// Those of which only a copy is left: of a batch that stood twice.
    copies: BTreeSet<u64>,
}

/// A row's notes as what a row is made from: its commit and time.
pub(super) fn time_of(sequence: i64, micros: i64) -> (u64, Timestamp) {
    (u64::try_from(sequence).unwrap_or(0), from_micros(micros))
}

impl Commits {
    /// Notes the commit of a batch that was anchored in a block of the time `block`; what is wrong with that, if
    /// anything.
    pub fn note(&mut self, sequence: i64, micros: i64, day: &str, block: Timestamp) -> Option<String> {
        let Some(number) = u64::try_from(sequence).ok().filter(|number| *number > 0) else {
            return Some(format!("column sequence says {sequence}, and commits begin at 1"));
        };
        let time = *self.times.entry(number).or_insert(micros);
        if time != micros {
            return Some(format!(
                "columns sequence, archived_at: commit {number} has another time elsewhere"
            ));
        }
        if day_text(micros) != day {
            return Some(format!("column archived_at: its day is not {day}, where the row lies"));
        }
        let block = i64::try_from(block.as_millis()).unwrap_or(i64::MAX).saturating_mul(1000);
        if micros.saturating_add(CLOCK_MICROS) < block {
            return Some("column archived_at: more than an hour before the batch was anchored".to_owned());
        }
        None
    }

    /// Notes the commit of a row in `copies`.
    pub fn copy(&mut self, sequence: i64) {
        self.copies.extend(u64::try_from(sequence).ok());
    }

    /// Names absent commits and times that go back.
    pub fn settle(&self, replay: Option<&Replay>, report: &mut ArchiveReport) {
        let newest = self.times.keys().next_back().copied().unwrap_or(0);
        let said = replay.map(|replay| replay.transactions.get(SEQUENCE).copied().unwrap_or(0));
        let said = said.map(|said| u64::try_from(said).unwrap_or(0));
        if let Some(said) = said.filter(|said| *said < newest) {
            let text = format!("batches has commit {newest}, but its own log counts {said}");
            report.problem(Kind::Unaccounted, text);
        }
        let known: BTreeSet<u64> = self.times.keys().chain(&self.copies).copied().collect();
        let absent = absent(known.into_iter(), 1, said.unwrap_or(newest).max(newest).saturating_add(1));
        if !absent.is_empty() {
            let text = format!("commits {} have no batch in batches", ranges_text(&absent, NAMED));
            report.problems_of(Kind::Unaccounted, count(&absent), text);
        }
        let mut latest: Option<(u64, i64)> = None;
        for (number, time) in &self.times {
            if let Some((before, _)) =
                latest.filter(|(_, latest)| time.saturating_add(CLOCK_MICROS) < *latest)
            {
                let text = format!("commit {number} is more than an hour earlier than commit {before}");
                report.problem(Kind::Unaccounted, text);
            }
            if latest.is_none_or(|(_, latest)| latest < *time) {
                latest = Some((*number, *time));
            }
        }
    }
}
