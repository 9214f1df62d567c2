//! History of every EVSE's status on one regular grid of time: the start of all learning and every forecast.
//!
//! A [`Builder`] takes the rows of files of any kind ([`Shape`]) and makes the same kind of history of each. A status is *in force*
//! at a slot if it was observed in that slot or in the one before. Nothing else is filled in but what a file's kind says: where a
//! network was not observed, there is no status, no row to learn from and none to be scored on.

mod builder;
mod csv_rows;
mod grid;
mod json_rows;
mod ocpp;
mod parts;
pub mod report;
mod row;
pub mod shape;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

pub use builder::Builder;
pub use report::{Counted, Oddities, Report, Shape, Skip, SourceReport, Word};

use crate::{Error, Labels, Mapping};

/// Value of a cell of the grid where nothing was observed.
const NONE: u8 = u8::MAX;

/// Statuses of a network's EVSEs on a regular grid.
#[derive(Debug, Clone)]
pub struct History {
    start: i64,
    step_s: i64,
    offset_s: i32,
    evses: Vec<Arc<str>>,
    index: BTreeMap<Arc<str>, u32>,
    labels: Labels,
    grid: Vec<u8>,
    oddities: Oddities,
    report: Report,
}

impl History {
    /// Reads one CSV.
    ///
    /// # Errors
    /// As [`Builder::read_csv`] and [`Builder::build`].
    pub fn from_csv(from: impl Read, mapping: &Mapping) -> Result<Self, Error> {
        let mut builder = Builder::default();
        builder.read_csv(from)?;
        builder.build(mapping)
    }

    /// Reads one file, whatever it is of what [`Builder::read`] reads.
    ///
    /// # Errors
    /// As [`Builder::read`] and [`Builder::build`].
    pub fn read(from: impl Read, mapping: &Mapping) -> Result<Self, Error> {
        let mut builder = Builder::default();
        builder.read(from)?;
        builder.build(mapping)
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.grid.len() / self.evses.len()
    }

    /// The sampling interval in seconds.
    pub fn step_s(&self) -> i64 {
        self.step_s
    }

    /// How far local time is from UTC, in seconds, as the first row's offset says.
    pub fn offset_s(&self) -> i32 {
        self.offset_s
    }

    /// When a slot begins, in seconds since 1970.
    pub fn time(&self, slot: usize) -> i64 {
        self.start + slot as i64 * self.step_s
    }

    /// The slot that a time falls in, if the history covers it.
    pub fn slot(&self, at: i64) -> Option<usize> {
        let slot = usize::try_from((at - self.start).div_euclid(self.step_s)).ok()?;
        (slot < self.slots()).then_some(slot)
    }

    /// How many slots a horizon in minutes is.
    ///
    /// # Errors
    /// A horizon shorter than the sampling interval: it is now.
    pub fn horizon(&self, minutes: u32) -> Result<usize, Error> {
        let slots = i64::from(minutes) * 60 / self.step_s;
        usize::try_from(slots)
            .ok()
            .filter(|slots| *slots > 0)
            .ok_or(Error::Horizon { minutes, step_s: self.step_s })
    }

    /// The EVSEs, in order of first appearance.
    pub fn evses(&self) -> &[Arc<str>] {
        &self.evses
    }

    /// An EVSE's index.
    pub fn evse(&self, id: &str) -> Option<usize> {
        self.index.get(id).map(|index| *index as usize)
    }

    /// The statuses that occur.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What was odd about the rows.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// What was read, and what of it could not be used.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The label observed in this very slot.
    pub fn observed(&self, slot: usize, evse: usize) -> Option<usize> {
        self.grid.get(slot * self.evses.len() + evse).filter(|s| **s != NONE).map(|s| usize::from(*s))
    }

    /// What was observed in this very slot, as a feed would say it: `(EVSE id, status)`.
    pub fn readings(&self, slot: usize) -> Vec<(String, String)> {
        let of = |(evse, id): (usize, &Arc<str>)| {
            Some((id.to_string(), self.labels.names()[self.observed(slot, evse)?].clone()))
        };
        self.evses.iter().enumerate().filter_map(of).collect()
    }

    /// The label in force: observed in this slot or in the one before. Nothing is in force after the last slot.
    pub fn in_force(&self, slot: usize, evse: usize) -> Option<usize> {
        if slot >= self.slots() {
            return None;
        }
        self.observed(slot, evse).or_else(|| self.observed(slot.checked_sub(1)?, evse))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2018-10-25T00:00:00Z.
    const START: i64 = 1_540_425_600;

    fn read(text: &str) -> Result<History, Error> {
        History::from_csv(format!("timestamp,evse_id,status\n{text}").as_bytes(), &Mapping::new())
    }

    #[test]
    fn a_status_is_in_force_for_one_more_slot_and_no_longer() {
        let history =
            read("2018-11-01T10:00:00Z,a,Occ\n2018-11-01T10:05:00Z,b,Occ\n2018-11-01T10:10:00Z,b,Part\n")
                .unwrap();
        let a = history.evse("a").unwrap();
        let in_force: Vec<_> = (0..3).map(|slot| history.in_force(slot, a)).collect();
        assert_eq!((history.step_s(), in_force), (300, vec![Some(0), Some(0), None]));
    }

    #[test]
    fn the_hour_that_a_change_of_clocks_repeats_stays_two_hours() {
        let rows = ["01:00:00+01:00", "01:30:00+01:00", "01:00:00+00:00", "01:30:00+00:00"];
        let rows: String = rows.iter().map(|t| format!("2018-10-28T{t},a,Occ\n")).collect();
        let history = read(&rows).unwrap();
        assert_eq!((history.slots(), history.step_s(), history.oddities().duplicates), (4, 1800, 0));
    }

    #[test]
    fn what_cannot_be_read_says_where_and_why() {
        let check = |rows: &str, words: &str| {
            let error = read(rows).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("2018-11-01T10:00:00,a,Occ\n", "line 2: 2018-11-01T10:00:00");
        check("2018-11-01T10:00:00Z,a,\n", "1 rows skipped: no status");
        check("2018-11-01T10:00:00Z,,Occ\n", "no EVSE id");
        check("2018-11-01T10:00:00Z,a,Occ\n", "at least two times are needed");
        check("", "at least two times are needed");
        check("2018-11-01T10:00:00Z,a,Occ\n2019-11-01T10:00:00Z,a,Occ\n", "one status every 31536000 s");
        let many: String =
            (0..=builder::MAX_WORDS).map(|i| format!("2018-11-01T10:00:00Z,a,s{i}\n")).collect();
        check(&many, "different statuses");
        let error = History::from_csv(&b"when,evse_id,status\n"[..], &Mapping::new()).unwrap_err();
        assert!(error.to_string().contains("no column `timestamp`"), "{error}");
    }

    #[test]
    fn a_gap_of_weeks_is_a_gap() {
        let rows = ["01T10:00", "01T10:05", "01T10:10", "22T10:10", "22T10:15"];
        let rows: String = rows.iter().map(|t| format!("2018-11-{t}:00Z,a,Occ\n")).collect();
        let history = read(&rows).unwrap();
        assert_eq!(history.slots() as u64 - history.oddities().empty_slots, 5);
        assert_eq!(history.in_force(1000, 0), None);
    }

    proptest! {
        /// The order of rows with different times does not matter.
        #[test]
        fn rows_may_come_in_any_order(order in Just((0..40u32).collect::<Vec<_>>()).prop_shuffle()) {
            let build = |order: &[u32]| {
                let mut builder = Builder::default();
                builder.push(START, "a", "x").unwrap();
                for i in order {
                    builder.push(START + i64::from(*i) * 600, "a", ["x", "y"][*i as usize % 3 / 2]).unwrap();
                }
                builder.build(&Mapping::new()).unwrap()
            };
            let (sorted, shuffled) = (build(&(0..40).collect::<Vec<_>>()), build(&order));
            let labels = |h: &History| (0..40).map(|s| h.observed(s, 0).map(|l| h.labels().names()[l].clone())).collect::<Vec<_>>();
            prop_assert_eq!(labels(&sorted), labels(&shuffled));
        }
    }
}
