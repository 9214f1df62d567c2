//! What every EVSE's status was, on one regular grid of time: what all learning and every forecast starts from.
//!
//! A status is *in force* at a slot if it was observed in that slot or in the one before. Nothing else is filled in: where
//! a network was not observed, there is no status, no row to learn from and none to be scored on.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::cut;
use crate::table::column;
use crate::{Error, Labels, Mapping};

/// What a cell of the grid holds where nothing was observed.
const NONE: u8 = u8::MAX;

/// Most cells of a grid: 1000 EVSEs every five minutes for nine years, one byte each.
const MAX_CELLS: u64 = 1 << 30;

/// Most rows before they are put on the grid, 16 bytes each.
const MAX_ROWS: usize = 200_000_000;

/// Sampling intervals that we believe, in seconds: from one to a day.
const INTERVALS_S: std::ops::RangeInclusive<i64> = 1..=86_400;

/// What was odd about the rows of a history; none of it stops anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Rows read.
    pub rows: u64,
    /// Rows for an EVSE and a slot that had one already: the later row counts.
    pub duplicates: u64,
    /// Rows older than the row before them. The grid does not depend on the order of rows with different times.
    pub reversed: u64,
    /// Rows between two points of the grid; they count for the point before.
    pub off_grid: u64,
    /// Slots, from first to last, at which no EVSE was observed.
    pub empty_slots: u64,
}

/// Collects rows until the sampling interval can be told. One builder may read several files.
#[derive(Debug, Default)]
pub struct Builder {
    rows: Vec<Row>,
    evses: BTreeMap<Arc<str>, u32>,
    ids: Vec<Arc<str>>,
    names: Vec<String>,
    offset_s: Option<i32>,
    oddities: Oddities,
    /// The time of the row before.
    previous: i64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    at: i64,
    evse: u32,
    label: u8,
}

impl Builder {
    /// Reads `timestamp,evse_id,status` in any order of columns; others are ignored. Times are RFC 3339, with any offset.
    ///
    /// # Errors
    /// No CSV, a column that is missing, a time that is none, or more statuses than [`Labels::MAX`].
    pub fn read_csv(&mut self, from: impl Read) -> Result<(), Error> {
        const WHAT: &str = "the history";
        let csv_error = |source| Error::Csv { what: WHAT, source };
        let mut reader = csv::ReaderBuilder::new().from_reader(from);
        let header = reader.headers().map_err(csv_error)?.clone();
        let [at, id, status] = ["timestamp", "evse_id", "status"].map(|name| column(&header, WHAT, name));
        let (at, id, status) = (at?, id?, status?);
        let mut row = csv::StringRecord::new();
        let (mut text, mut when) = (String::new(), (0, 0));
        while reader.read_record(&mut row).map_err(csv_error)? {
            let line = row.position().map_or(0, csv::Position::line);
            let bad = |problem, value: &str| Error::Row { what: WHAT, line, problem, value: cut(value) };
            let field = |column: usize| row.get(column).unwrap_or_default().trim();
            // A snapshot of a network repeats its time in every row.
            if field(at) != text {
                when = parse_time(field(at)).ok_or_else(|| bad("no RFC 3339 time", field(at)))?;
                field(at).clone_into(&mut text);
            }
            if field(id).is_empty() {
                return Err(bad("no EVSE id", ""));
            }
            if field(status).is_empty() {
                return Err(bad("no status", field(id)));
            }
            self.offset_s.get_or_insert(when.1);
            self.push(when.0, field(id), field(status))?;
        }
        Ok(())
    }

    /// The newest time so far, in seconds since 1970.
    pub fn last(&self) -> Option<i64> {
        self.rows.iter().map(|row| row.at).max()
    }

    /// Adds one observation, `at` in seconds since 1970-01-01T00:00Z.
    ///
    /// # Errors
    /// More rows or statuses than we take.
    pub fn push(&mut self, at: i64, evse: &str, status: &str) -> Result<(), Error> {
        if self.rows.len() >= MAX_ROWS {
            let found = self.rows.len() as u64 + 1;
            return Err(Error::TooMuch { what: "rows of history", found, limit: MAX_ROWS as u64 });
        }
        let label = match self.names.iter().position(|name| name == status) {
            Some(label) => label,
            None if self.names.len() < Labels::MAX => {
                self.names.push(status.to_owned());
                self.names.len() - 1
            }
            None => {
                let (found, limit) = (Labels::MAX as u64 + 1, Labels::MAX as u64);
                return Err(Error::TooMuch { what: "different statuses in the history", found, limit });
            }
        };
        let evse = match self.evses.get(evse) {
            Some(index) => *index,
            None => {
                let (id, index): (Arc<str>, u32) = (evse.into(), self.ids.len() as u32);
                self.ids.push(id.clone());
                self.evses.insert(id, index);
                index
            }
        };
        self.oddities.rows += 1;
        self.oddities.reversed += u64::from(self.oddities.rows > 1 && at < self.previous);
        self.previous = at;
        self.rows.push(Row { at, evse, label: label as u8 });
        Ok(())
    }

    /// The history: the interval is the most frequent gap between two times at which anything was observed.
    ///
    /// # Errors
    /// Fewer than two times, an interval that is no sampling interval, or a grid larger than we hold.
    pub fn build(self, mapping: &Mapping) -> Result<History, Error> {
        let too_short = |found: String| Error::TooShort { found, needed: "at least two times are needed" };
        let mut times: Vec<i64> = self.rows.iter().map(|row| row.at).collect();
        times.sort_unstable();
        times.dedup();
        let [first, .., last] = times[..] else { return Err(too_short(format!("{} times", times.len()))) };
        let step_s = interval(&times);
        if !INTERVALS_S.contains(&step_s) {
            return Err(too_short(format!("one status every {step_s} s")));
        }
        // The grid's origin has the phase that most times have.
        let start = first - (first - phase(&times, step_s)).rem_euclid(step_s);
        let slots = ((last - start) / step_s + 1) as u64;
        let cells = slots.saturating_mul(self.ids.len() as u64);
        if cells > MAX_CELLS {
            return Err(Error::TooMuch { what: "EVSEs × slots of history", found: cells, limit: MAX_CELLS });
        }
        let width = self.ids.len();
        let mut oddities = self.oddities;
        let mut grid = vec![NONE; cells as usize];
        let mut written = vec![i64::MIN; if oddities.reversed > 0 { cells as usize } else { 0 }];
        for row in &self.rows {
            let slot = ((row.at - start) / step_s) as usize;
            oddities.off_grid += u64::from((row.at - start) % step_s != 0);
            let cell = slot * width + row.evse as usize;
            oddities.duplicates += u64::from(grid[cell] != NONE);
            if let Some(at) = written.get_mut(cell) {
                if *at > row.at {
                    continue;
                }
                *at = row.at;
            }
            grid[cell] = row.label;
        }
        oddities.empty_slots =
            grid.chunks(width).filter(|slot| slot.iter().all(|s| *s == NONE)).count() as u64;
        let labels = Labels::new(self.names, mapping);
        let (offset_s, evses) = (self.offset_s.unwrap_or(0), self.ids);
        Ok(History { start, step_s, offset_s, evses, index: self.evses, labels, grid, oddities })
    }
}

/// The most frequent gap; of several, the smallest.
fn interval(times: &[i64]) -> i64 {
    let mut gaps = BTreeMap::<i64, usize>::new();
    for pair in times.windows(2) {
        *gaps.entry(pair[1] - pair[0]).or_default() += 1;
    }
    gaps.iter().rev().max_by_key(|(_, count)| **count).map_or(0, |(gap, _)| *gap)
}

/// The most frequent remainder of a time by the interval.
fn phase(times: &[i64], step_s: i64) -> i64 {
    let mut phases = BTreeMap::<i64, usize>::new();
    for time in times {
        *phases.entry(time.rem_euclid(step_s)).or_default() += 1;
    }
    phases.iter().rev().max_by_key(|(_, count)| **count).map_or(0, |(phase, _)| *phase)
}

/// Seconds since 1970 and the offset from UTC in seconds, of an RFC 3339 time.
pub fn parse_time(text: &str) -> Option<(i64, i32)> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some((time.unix_timestamp(), time.offset().whole_seconds()))
}

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
        check("2018-11-01T10:00:00,a,Occ\n", "line 2: no RFC 3339 time");
        check("2018-11-01T10:00:00Z,a,\n", "line 2: no status");
        check("2018-11-01T10:00:00Z,,Occ\n", "no EVSE id");
        check("2018-11-01T10:00:00Z,a,Occ\n", "at least two times are needed");
        check("", "at least two times are needed");
        check("2018-11-01T10:00:00Z,a,Occ\n2019-11-01T10:00:00Z,a,Occ\n", "one status every 31536000 s");
        let many: String = (0..=Labels::MAX).map(|i| format!("2018-11-01T10:00:00Z,a,s{i}\n")).collect();
        check(&many, "different statuses");
        let error = History::from_csv(&b"time,evse_id,status\n"[..], &Mapping::new()).unwrap_err();
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
                builder.push(0, "a", "x").unwrap();
                for i in order {
                    builder.push(i64::from(*i) * 600, "a", ["x", "y"][*i as usize % 3 / 2]).unwrap();
                }
                builder.build(&Mapping::new()).unwrap()
            };
            let (sorted, shuffled) = (build(&(0..40).collect::<Vec<_>>()), build(&order));
            let labels = |h: &History| (0..40).map(|s| h.observed(s, 0).map(|l| h.labels().names()[l].clone())).collect::<Vec<_>>();
            prop_assert_eq!(labels(&sorted), labels(&shuffled));
        }
    }
}
