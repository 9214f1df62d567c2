//! Rules of a recording's clock: which stamp is believed, and where a new segment begins.
//!
//! Stamps come in reading order. A *line* is a run of stamps of which none is before the one ahead of it.
//!
//! 1. A date before 1990 or more than one day after now is no date: the row is skipped.
//! 2. A stamp at most [`REORDERED_NS`] before the last one is of a row that was written late: it is kept under the
//!    last one's time, and counted.
//! 3. A stamp further back, or more than [`PAUSE_NS`] and ten steps ahead, waits for the next one. If the next one goes
//!    on from the old line, the waiting stamp was wrong: its row is skipped. If the next one goes on from the waiting
//!    stamp, both are kept: the recording paused or, in a new segment, the clock was set, began anew, or went on after
//!    more than [`MAX_STEP_NS`]. If it does neither, the waiting row is skipped and the next one waits.
//! 4. The first stamp is no line yet: it waits for the second, and both for a third if the second does not follow.
//! 5. A stamp that still waits at the end is skipped, unless it is the first, or the second of two within a day.
//! 6. Dates are kept as stated in each segment. A clock without a date is placed by `start`, the Unix time of its 0; where
//!    it begins anew, its segment is placed [`RESTART_NS`] after the last row. Without `start` it stays relative, or is
//!    refused where a date is needed.
//!
//! Every row that is given is kept or counted as skipped. Within a segment times never decrease.

mod segment;

pub use segment::{Cause, Placed};

use crate::{Error, Skipped, Stamp};
use std::collections::VecDeque;

/// Rows that were written late are at most so much before the last one: 100 ms.
pub const REORDERED_NS: i64 = 100_000_000;
/// A step ahead up to which a line goes on without a question: 24 h.
pub const MAX_STEP_NS: i64 = 86_400 * 1_000_000_000;
/// A step ahead up to which a stamp is believed without asking the next one: 60 s, or ten times the step before.
pub const PAUSE_NS: i64 = 60 * 1_000_000_000;
/// Reason for skipping a row whose stamp no other one confirms.
const OUT_OF_LINE: &str = "its stamp is out of line with those around it";
/// Between the last row of a relative clock and its restart: 1 s.
pub const RESTART_NS: i64 = 1_000_000_000;
/// 1990-01-01, before which no recording of a battery is dated.
const FIRST_DATE_NS: i64 = 631_152_000 * 1_000_000_000;

/// Configuration of a clock, beside the stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockConfig {
    /// Unix time now, in ns: nothing is dated later than a day after it.
    pub now_ns: i64,
    /// Unix time of the recording's time 0, in ns, for a clock without a date. Default: none.
    pub start_ns: Option<i64>,
    /// Whether a clock without a date and without `start_ns` is refused. Default: yes.
    pub needs_date: bool,
}

impl ClockConfig {
    /// Refuses recordings without a date.
    #[must_use]
    pub const fn new(now_ns: i64) -> Self {
        Self { now_ns, start_ns: None, needs_date: true }
    }
}

/// The clock of one recording, of one or several files.
#[derive(Debug)]
pub struct Clock<T> {
    config: ClockConfig,
    /// Stated time of the last row that was kept.
    last: Option<i64>,
    /// Between the last two rows that were kept.
    step: i64,
    /// Final time of the last row that was kept, without `start`.
    last_out: i64,
    /// Rows that wait, at most two.
    waiting: VecDeque<(i64, T, u64)>,
    relative: Option<bool>,
    /// Added to a relative clock's stamps.
    shift: i64,
    segments: Vec<Cause>,
    new_file: bool,
    given: u64,
    kept: u64,
    reordered: u64,
    skipped: Skipped,
}

impl<T> Clock<T> {
    /// A clock before its first row.
    #[must_use]
    pub fn new(config: ClockConfig) -> Self {
        Self {
            config,
            last: None,
            step: 0,
            last_out: 0,
            waiting: VecDeque::new(),
            relative: None,
            shift: 0,
            segments: Vec::new(),
            new_file: false,
            given: 0,
            kept: 0,
            reordered: 0,
            skipped: Skipped::default(),
        }
    }

    /// Takes the next row and appends to `out` what is certain now: up to three rows.
    ///
    /// # Errors
    /// [`Error::Format`] if the recording states no date and one is needed.
    pub fn push(&mut self, stamp: Stamp, item: T, out: &mut Vec<Placed<T>>) -> Result<(), Error> {
        if let Some((segment, time)) = self.follows(stamp) {
            out.push(Placed { item, segment, time });
            return Ok(());
        }
        self.given += 1;
        let (relative, time) = match stamp {
            Stamp::Unix(time) => (false, time),
            Stamp::Relative(time) => (true, time),
        };
        if relative && self.config.needs_date && self.config.start_ns.is_none() {
            let problem = "the recording states no date: give start_ms";
            return Err(Error::format("clock", problem));
        }
        if *self.relative.get_or_insert(relative) != relative {
            self.skip("the stamp is of another kind of clock", self.given);
            return Ok(());
        }
        let latest = self.config.now_ns.saturating_add(MAX_STEP_NS);
        if !relative && !(FIRST_DATE_NS..=latest).contains(&time) {
            self.skip("the date is before 1990 or after now", self.given);
            return Ok(());
        }
        match self.last {
            Some(last) => self.follow(last, time, item, self.given, out),
            None => self.begin(time, item, out),
        }
        Ok(())
    }

    /// Segment and final time of the next row, if its stamp goes on without a question: then the row is kept, and need
    /// not be given. Almost all are of this kind.
    #[inline]
    pub fn follows(&mut self, stamp: Stamp) -> Option<(u32, Stamp)> {
        let (relative, time) = match stamp {
            Stamp::Unix(time) => (false, time),
            Stamp::Relative(time) => (true, time),
        };
        let step = time.saturating_sub(self.last?);
        let goes_on = (-REORDERED_NS..=self.believed_step()).contains(&step);
        let latest = self.config.now_ns.saturating_add(MAX_STEP_NS);
        let is_date = relative || (FIRST_DATE_NS..=latest).contains(&time);
        if !goes_on || !is_date || self.relative != Some(relative) || !self.waiting.is_empty() {
            return None;
        }
        self.given += 1;
        Some(self.place(time))
    }

    /// A row while a line exists.
    fn follow(&mut self, last: i64, time: i64, item: T, number: u64, out: &mut Vec<Placed<T>>) {
        if let Some((stamp, row, place)) = self.waiting.pop_front() {
            if stamp > last && time >= stamp.saturating_sub(REORDERED_NS) {
                // The line went on from the waiting stamp: a pause, or a gap.
                if stamp.saturating_sub(last) > MAX_STEP_NS {
                    self.segment(last, stamp);
                }
                self.keep(stamp, row, out);
                return self.follow(stamp, time, item, number, out);
            }
            if !goes_on(last, time) && goes_on(stamp, time) {
                self.segment(last, stamp);
                self.keep(stamp, row, out);
                return self.follow(stamp, time, item, number, out);
            }
            self.skip(OUT_OF_LINE, place);
        }
        let step = time.saturating_sub(last);
        if (-REORDERED_NS..=self.believed_step()).contains(&step) {
            self.keep(time, item, out);
        } else {
            self.waiting.push_back((time, item, number));
        }
    }

    /// The longest step ahead that is believed at once.
    fn believed_step(&self) -> i64 {
        self.step.saturating_mul(10).clamp(PAUSE_NS, MAX_STEP_NS)
    }

    /// A row before there is a line.
    fn begin(&mut self, time: i64, item: T, out: &mut Vec<Placed<T>>) {
        self.waiting.push_back((time, item, self.given));
        let step = |a: usize, b: usize| self.waiting[b].0.saturating_sub(self.waiting[a].0);
        let follows = |a: usize, b: usize| (-REORDERED_NS..=PAUSE_NS).contains(&step(a, b));
        let slowly = |a: usize, b: usize| goes_on(self.waiting[a].0, self.waiting[b].0);
        let bad = match self.waiting.len() {
            0 | 1 => return,
            2 if follows(0, 1) => None,
            2 => return,
            // A step within ten of the next one.
            _ if slowly(0, 1) && slowly(1, 2) && step(0, 1) <= step(1, 2).saturating_mul(10) => None,
            _ if follows(1, 2) => Some(0),
            _ if follows(0, 2) => Some(1),
            // Rows that come seldom.
            _ if slowly(0, 1) && slowly(1, 2) => None,
            _ if slowly(1, 2) => Some(0),
            _ if slowly(0, 2) => Some(1),
            _ if slowly(0, 1) => {
                let last = self.waiting[1].0;
                let third = self.waiting.pop_back();
                self.release(out);
                if let Some((time, item, number)) = third {
                    self.follow(last, time, item, number, out);
                }
                return;
            }
            // Rows days apart: each is a line of its own.
            _ if self.waiting[0].0 < self.waiting[1].0 && self.waiting[1].0 < self.waiting[2].0 => {
                let first = self.waiting[0].0;
                let rest = self.waiting.split_off(1);
                self.release(out);
                for (time, item, number) in rest {
                    self.follow(first, time, item, number, out);
                }
                return;
            }
            _ => {
                self.drop_waiting(0);
                return;
            }
        };
        if let Some(bad) = bad {
            self.drop_waiting(bad);
        }
        self.release(out);
    }

    fn drop_waiting(&mut self, index: usize) {
        if let Some((_, _, place)) = self.waiting.remove(index) {
            self.skip(OUT_OF_LINE, place);
        }
    }

    /// Keeps all that waits, as one line.
    fn release(&mut self, out: &mut Vec<Placed<T>>) {
        if let Some((first, ..)) = self.waiting.front() {
            if self.new_file && self.kept > 0 {
                self.segments.push(Cause::Restart);
                self.shift = self.last_out.saturating_add(RESTART_NS).saturating_sub(*first);
            } else {
                self.segments.push(Cause::Begin);
            }
            self.new_file = false;
        }
        while let Some((time, item, _)) = self.waiting.pop_front() {
            self.keep(time, item, out);
        }
    }

    fn segment(&mut self, last: i64, first: i64) {
        let relative = self.relative == Some(true);
        self.segments.push(if first > last {
            Cause::Gap
        } else if relative {
            Cause::Restart
        } else {
            Cause::SetBack
        });
        if relative && first <= last {
            self.shift = self.last_out.saturating_add(RESTART_NS).saturating_sub(first);
        }
        self.last = None;
    }

    fn keep(&mut self, time: i64, item: T, out: &mut Vec<Placed<T>>) {
        let (segment, time) = self.place(time);
        out.push(Placed { item, segment, time });
    }

    /// Counts a row as kept: its segment and its final time.
    fn place(&mut self, time: i64) -> (u32, Stamp) {
        let late = self.last.is_some_and(|last| time < last);
        self.reordered += u64::from(late);
        let time = self.last.map_or(time, |last| last.max(time));
        self.step = self.last.map_or(self.step, |last| time.saturating_sub(last));
        self.last = Some(time);
        self.last_out = time.saturating_add(self.shift);
        self.kept += 1;
        let time = match (self.relative == Some(true), self.config.start_ns) {
            (true, None) => Stamp::Relative(self.last_out),
            (true, Some(start)) => Stamp::Unix(start.saturating_add(self.last_out)),
            (false, _) => Stamp::Unix(self.last_out),
        };
        (self.segments.len().saturating_sub(1) as u32, time)
    }

    fn skip(&mut self, reason: &str, number: u64) {
        self.skipped.count(reason, || format!("row {number}"));
    }

    /// Ends the recording: decides about the rows that wait.
    pub fn flush(&mut self, out: &mut Vec<Placed<T>>) {
        if self.last.is_none() {
            // A recording of one row, or of two of which the second may not follow.
            while self.waiting.len() > 1 && !goes_on(self.waiting[0].0, self.waiting[1].0) {
                self.drop_waiting(1);
            }
            self.release(out);
        }
        while !self.waiting.is_empty() {
            self.drop_waiting(0);
        }
    }

    /// Ends a file after which another one of the same recording comes. A relative clock begins anew there.
    pub fn next_file(&mut self, out: &mut Vec<Placed<T>>) {
        self.flush(out);
        if self.relative == Some(true) {
            self.last = None;
            self.new_file = true;
        }
    }

    /// Whether the recording states no date.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.relative == Some(true)
    }

    /// Why each segment began.
    #[must_use]
    pub fn segments(&self) -> &[Cause] {
        &self.segments
    }

    /// Rows that were given, and those that were kept.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64) {
        (self.given, self.kept)
    }

    /// Rows that were kept under the time of the row before them.
    #[must_use]
    pub const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Rows that were skipped for their stamp.
    #[must_use]
    pub const fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What was decided, as sentences for a person.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        for cause in [Cause::SetBack, Cause::Gap, Cause::Restart] {
            let count = self.segments.iter().filter(|other| **other == cause).count();
            if count > 0 {
                said.push(format!("{} {count}×: a new segment each", cause.text()));
            }
        }
        if self.reordered > 0 {
            said.push(format!("{} rows were written late: kept under the time before them", self.reordered));
        }
        if self.relative == Some(true) && self.config.start_ns.is_none() {
            said.push("the times are relative: no date is stated".into());
        }
        said
    }
}

/// Whether a line goes on from `last` to `next`.
fn goes_on(last: i64, next: i64) -> bool {
    let step = next.saturating_sub(last);
    (-REORDERED_NS..=MAX_STEP_NS).contains(&step)
}

/// The files of a recording by their first stamps; in the given order where a file states no date.
#[must_use]
pub fn order<F>(mut files: Vec<(F, Stamp)>) -> Vec<F> {
    if files.iter().all(|(_, first)| matches!(first, Stamp::Unix(_))) {
        files.sort_by_key(|(_, first)| *first);
    }
    files.into_iter().map(|(file, _)| file).collect()
}

#[cfg(test)]
mod tests;
