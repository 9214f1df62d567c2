//! From the rows of files to one grid of time.

use std::ops::RangeInclusive;

use super::builder::{AVAILABLE, CHARGING, Row, Session, count};
use super::parts::{Part, part};
use super::report::{Report, Shape, Skip, Word};
use super::shape;
use super::{Builder, History, NONE};
use crate::{Error, Labels, Mapping, Meaning};

/// Most cells of a grid: 1000 EVSEs every five minutes for nine years, one byte each.
const MAX_CELLS: u64 = 1 << 30;

/// Sampling intervals that we believe, in seconds: from one to a day.
const INTERVALS_S: RangeInclusive<i64> = 1..=86_400;

/// Grids for events, in seconds: the finer, unless it had more cells than [`FINE_CELLS`].
const EVENT_STEPS_S: [i64; 2] = [300, 900];

/// Most cells of the finer grid for events: what a tracker goes through in some seconds.
const FINE_CELLS: i64 = 40_000_000;

/// Fewer rows of an EVSE than this do not show an interval of its own.
const FEW: usize = 8;

impl Builder {
    /// The history: each file is made the same kind of it, on one grid whose interval is the most frequent time between two rows
    /// of an EVSE, or five minutes where all rows are events.
    ///
    /// # Errors
    /// Fewer than two times, an interval that is no sampling interval, or a grid larger than we hold.
    pub fn build(self, mapping: &Mapping) -> Result<History, Error> {
        self.inspect(mapping).1
    }

    /// As [`Builder::build`], and what was read also where that makes no history.
    pub fn inspect(mut self, mapping: &Mapping) -> (Report, Result<History, Error>) {
        let parts = match self.parts() {
            Ok(parts) => parts,
            Err(error) => return (Report::default(), Err(error)),
        };
        let (words, labels, of_word) = self.labels(&parts, mapping);
        let report = Report { sources: self.sources.clone(), words };
        let history = self.grid(&parts, labels, &of_word, report.clone());
        let report = history.as_ref().map_or(report, |history| history.report.clone());
        (report, history)
    }

    /// The rows by file, those that are believed.
    fn parts(&mut self) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let (charging, available) = (self.word(CHARGING)?, self.word(AVAILABLE)?);
        let mut by_source: Vec<Vec<Row>> = self.sources.iter().map(|_| Vec::new()).collect();
        for row in std::mem::take(&mut self.rows) {
            by_source[usize::from(row.source)].push(row);
        }
        let mut sessions: Vec<Vec<Session>> = self.sources.iter().map(|_| Vec::new()).collect();
        for session in std::mem::take(&mut self.sessions) {
            sessions[usize::from(session.source)].push(session);
        }
        for ((rows, sessions), source) in by_source.into_iter().zip(sessions).zip(&mut self.sources) {
            let part = part(rows, sessions, (charging, available), source);
            self.oddities.duplicates += source.repeated + source.contradicting;
            parts.extend(part);
        }
        Ok(parts)
    }

    fn grid(
        self,
        parts: &[Part],
        labels: Labels,
        of_word: &[u8],
        mut report: Report,
    ) -> Result<History, Error> {
        let rows = || parts.iter().flat_map(|part| &part.rows);
        let mut times: Vec<i64> = rows().map(|row| row.at).collect();
        times.sort_unstable();
        times.dedup();
        let [first, .., last] = times[..] else {
            let mut found = format!("{} times", times.len());
            for line in report.lines() {
                found += &format!("; {line}");
            }
            return Err(Error::TooShort { found, needed: "at least two times are needed" });
        };
        let polled: Vec<&Part> = parts.iter().filter(|part| part.told.shape == Shape::Snapshots).collect();
        let step_s = step(parts, &times, self.ids.len());
        if !INTERVALS_S.contains(&step_s) {
            let found = format!("one status every {step_s} s");
            return Err(Error::TooShort { found, needed: "at least two times are needed" });
        }
        let start = if polled.is_empty() {
            // Events are seen at the first point of the grid after them.
            first + (-first).rem_euclid(step_s)
        } else {
            let times: Vec<i64> = polled.iter().flat_map(|part| part.rows.iter().map(|row| row.at)).collect();
            let phase = shape::phase(&times, step_s, polled.iter().all(|part| part.told.exact));
            first - (first - phase).rem_euclid(step_s)
        };
        let slots = ((last - start).max(0) / step_s + 1) as u64;
        let width = self.ids.len();
        let cells = slots.saturating_mul(width as u64);
        if cells > MAX_CELLS && parts.iter().all(|part| part.told.interval_s == 0) {
            let found = format!("one row of each of {width} EVSEs");
            return Err(Error::TooShort { found, needed: "at least two times of an EVSE are needed" });
        }
        if cells > MAX_CELLS {
            return Err(Error::TooMuch { what: "EVSEs × slots of history", found: cells, limit: MAX_CELLS });
        }
        let mut grid = Grid { cells: vec![NONE; cells as usize], width, start, step_s, slots: slots as i64 };
        let mut oddities = self.oddities;
        for part in parts {
            let label = |row: &Row| of_word[usize::from(row.word)];
            let mut own = 0;
            for run in part.rows.chunk_by(|a, b| a.evse == b.evse) {
                if part.told.shape == Shape::Snapshots {
                    oddities.duplicates += grid.observe(run, label);
                    if part.told.exact {
                        let off = |row: &&Row| (row.at - start) % step_s != 0;
                        oddities.off_grid += run.iter().filter(off).count() as u64;
                    }
                    own += u64::from(grid.own_interval(run, part.last, label));
                } else {
                    grid.hold(run, part.told.hold_s, part.last, label);
                }
            }
            let source = part.rows.first().and_then(|row| report.sources.get_mut(usize::from(row.source)));
            if let Some(source) = source {
                source.own_intervals = own;
            }
        }
        oddities.empty_slots =
            grid.cells.chunks(width).filter(|slot| slot.iter().all(|s| *s == NONE)).count() as u64;
        let index = self.ids.iter().cloned().zip(0..).collect();
        Ok(History {
            start,
            step_s,
            offset_s: self.offset_s.unwrap_or(0),
            evses: self.ids,
            index,
            labels,
            grid: grid.cells,
            oddities,
            report,
        })
    }

    /// Words by frequency, labels in order of first appearance, and the label of each word. Beyond [`Labels::MAX`], words that are
    /// understood go first and then those with most rows; rows of the others tell nothing.
    fn labels(&mut self, parts: &[Part], mapping: &Mapping) -> (Vec<Word>, Labels, Vec<u8>) {
        let mut rows = vec![0u64; self.words.len()];
        for row in parts.iter().flat_map(|part| &part.rows) {
            rows[usize::from(row.word)] += 1;
        }
        let meaning = |word: &str| Meaning::of_name(word, mapping);
        let mut order: Vec<usize> = (0..self.words.len()).filter(|word| rows[*word] > 0).collect();
        order.sort_by_key(|word| (meaning(&self.words[*word]).is_none(), std::cmp::Reverse(rows[*word])));
        let left_out = order.split_off(order.len().min(Labels::MAX));
        order.sort_unstable();
        let mut of_word = vec![NONE; self.words.len()];
        for (label, word) in order.iter().enumerate() {
            of_word[*word] = label as u8;
        }
        if let Some(source) = self.sources.last_mut() {
            for word in left_out {
                for _ in 0..rows[word] {
                    count(&mut source.skipped, Skip::TooManyWords, || self.words[word].clone());
                }
                rows[word] = 0;
            }
        }
        let mut words: Vec<Word> = (0..self.words.len())
            .filter(|word| rows[*word] > 0)
            .map(|word| Word {
                word: self.words[word].clone(),
                meaning: meaning(&self.words[word]),
                rows: rows[word],
            })
            .collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.rows));
        let labels = Labels::new(order.iter().map(|word| self.words[*word].clone()), mapping);
        (words, labels, of_word)
    }
}

/// The interval of the grid.
fn step(parts: &[Part], times: &[i64], evses: usize) -> i64 {
    let of = |wanted: Shape| {
        parts.iter().filter(move |part| part.told.shape == wanted).map(|part| part.told.interval_s)
    };
    let events = || {
        let span = times.last().unwrap_or(&0) - times.first().unwrap_or(&0);
        let [fine, coarse] = EVENT_STEPS_S;
        if (span / fine).saturating_mul(evses as i64) <= FINE_CELLS { fine } else { coarse }
    };
    if let Some(interval_s) = of(Shape::Snapshots).filter(|interval_s| *interval_s > 0).min() {
        return interval_s;
    }
    // No EVSE has two rows: the network's times tell.
    if of(Shape::Snapshots).next().is_some() {
        let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        return shape::mode(&gaps).0;
    }
    of(Shape::Polls).map(shape::usual_within).min().map_or_else(events, |polled| polled.max(60).min(events()))
}

/// Cells by slot and EVSE.
struct Grid {
    cells: Vec<u8>,
    width: usize,
    start: i64,
    step_s: i64,
    slots: i64,
}

impl Grid {
    fn cell(&mut self, slot: i64, evse: u32) -> Option<&mut u8> {
        let slot = usize::try_from(slot).ok()?;
        self.cells.get_mut(slot.checked_mul(self.width)? + evse as usize)
    }

    /// Writes the rows of an EVSE, each into the slot that it falls in. Returns how many found a row there.
    fn observe(&mut self, run: &[Row], label: impl Fn(&Row) -> u8) -> u64 {
        let mut taken = 0;
        for row in run {
            let slot = (row.at - self.start).div_euclid(self.step_s);
            if let Some(cell) = self.cell(slot, row.evse) {
                taken += u64::from(*cell != NONE);
                *cell = label(row);
            }
        }
        taken
    }

    /// Where an EVSE reports at longer intervals than the grid's, its status counts for its own. Returns whether it does.
    fn own_interval(&mut self, run: &[Row], last: i64, label: impl Fn(&Row) -> u8) -> bool {
        let mut gaps: Vec<i64> = run.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        gaps.sort_unstable();
        let (own_s, kept) = shape::mode(&gaps);
        if gaps.len() < FEW
            || kept * 2 < gaps.len()
            || own_s < 2 * self.step_s
            || !INTERVALS_S.contains(&own_s)
        {
            return false;
        }
        self.hold(run, own_s - self.step_s, last, label);
        true
    }

    /// Fills what follows each row of an EVSE with its status until the next, for so long at most; what is there stays.
    fn hold(&mut self, run: &[Row], hold_s: i64, last: i64, label: impl Fn(&Row) -> u8) {
        for (n, row) in run.iter().enumerate() {
            let next = run.get(n + 1).map_or(last + 1, |next| next.at);
            // From the first point of the grid that is not before the row, to the last before the next.
            let from = (row.at - self.start + self.step_s - 1).div_euclid(self.step_s).max(0);
            let until = next.min(row.at.saturating_add(hold_s) + 1).min(last + 1) - self.start;
            let until = ((until + self.step_s - 1).div_euclid(self.step_s)).min(self.slots);
            for slot in from..until {
                if let Some(cell) = self.cell(slot, row.evse)
                    && *cell == NONE
                {
                    *cell = label(row);
                }
            }
        }
    }
}
