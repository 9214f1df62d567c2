//! Rules of a recording's clock: which stamp is believed, and where a new segment begins.
//!
//! Stamps come in reading order. A *line* is a run of stamps of which none is before the one ahead of it.
//!
//! 1. A date before 1990 or more than one day after now is no date: the row is skipped.
//! 2. A stamp at most [`REORDERED_NS`] before the last one is of a row that was written late: it is kept under the
//!    last one's time, and counted.
//! 3. A stamp further back, or more than [`MAX_STEP_NS`] ahead, waits for the next one. If the next one goes on from
//!    the old line, the waiting stamp was wrong: its row is skipped. If the next one goes on from the waiting stamp,
//!    both are kept in a new segment: the clock was set or began anew, or the recording paused. If it does neither,
//!    the waiting row is skipped and the next one waits.
//! 4. The first stamp is no line yet: it waits for the second, and both for a third if the second does not follow.
//! 5. A stamp that still waits at the end is skipped, unless it is the first.
//! 6. Dates are kept as stated in each segment. A clock without a date is placed by `start`, the Unix time of its 0; where
//!    it begins anew, its segment is placed [`RESTART_NS`] after the last row. Without `start` it stays relative, or is
//!    refused where a date is needed.
//!
//! Every row that is given is kept or counted as skipped. Within a segment times never decrease.

use crate::{Error, Skipped, Stamp};
use std::collections::VecDeque;

/// Rows that were written late are at most so much before the last one: 100 ms.
pub const REORDERED_NS: i64 = 100_000_000;
/// A step ahead up to which a line goes on without a question: 24 h.
pub const MAX_STEP_NS: i64 = 86_400 * 1_000_000_000;
/// Between the last row of a relative clock and its restart: 1 s.
pub const RESTART_NS: i64 = 1_000_000_000;
/// 1990-01-01, before which no recording of a battery is dated.
const FIRST_DATE_NS: i64 = 631_152_000 * 1_000_000_000;

/// What a clock must know beside the stamps.
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

/// A row with its final time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The row.
    pub item: T,
    /// Its segment, from 0.
    pub segment: u32,
    /// Its time: Unix if the recording states a date or its start is given.
    pub time: Stamp,
}

/// Why a segment began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The recording began.
    Begin,
    /// The clock was set back.
    SetBack,
    /// The clock went on after more than [`MAX_STEP_NS`].
    Gap,
    /// A clock without a date began anew.
    Restart,
}

impl Cause {
    /// A sentence for a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Begin => "the recording begins",
            Self::SetBack => "the clock was set back",
            Self::Gap => "the clock goes on after more than 24 h",
            Self::Restart => "the clock begins anew",
        }
    }
}

/// The clock of one recording, of one or several files.
#[derive(Debug)]
pub struct Clock<T> {
    config: ClockConfig,
    /// Stated time of the last row that was kept.
    last: Option<i64>,
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

    /// A row while a line exists.
    fn follow(&mut self, last: i64, time: i64, item: T, number: u64, out: &mut Vec<Placed<T>>) {
        if let Some((stamp, row, place)) = self.waiting.pop_front() {
            if goes_on(last, time) {
                self.skip("its stamp is out of line with those around it", place);
                self.keep(time, item, out);
            } else if goes_on(stamp, time) || (stamp > last && time > stamp) {
                self.segment(last, stamp);
                self.keep(stamp, row, out);
                if goes_on(stamp, time) {
                    self.keep(time, item, out);
                } else {
                    self.waiting.push_back((time, item, number));
                }
            } else {
                self.skip("its stamp is out of line with those around it", place);
                self.waiting.push_back((time, item, number));
            }
        } else if goes_on(last, time) {
            self.keep(time, item, out);
        } else {
            self.waiting.push_back((time, item, number));
        }
    }

    /// A row before there is a line.
    fn begin(&mut self, time: i64, item: T, out: &mut Vec<Placed<T>>) {
        self.waiting.push_back((time, item, self.given));
        let follows = |a: usize, b: usize| goes_on(self.waiting[a].0, self.waiting[b].0);
        let bad = match self.waiting.len() {
            0 | 1 => return,
            2 if follows(0, 1) => None,
            2 => return,
            _ if follows(1, 2) => Some(0),
            _ if follows(0, 2) => Some(1),
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
            self.skip("its stamp is out of line with those around it", place);
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
        let late = self.last.is_some_and(|last| time < last);
        self.reordered += u64::from(late);
        let time = self.last.map_or(time, |last| last.max(time));
        self.last = Some(time);
        self.last_out = time.saturating_add(self.shift);
        self.kept += 1;
        let time = match (self.relative == Some(true), self.config.start_ns) {
            (true, None) => Stamp::Relative(self.last_out),
            (true, Some(start)) => Stamp::Unix(start.saturating_add(self.last_out)),
            (false, _) => Stamp::Unix(self.last_out),
        };
        let segment = self.segments.len().saturating_sub(1) as u32;
        out.push(Placed { item, segment, time });
    }

    fn skip(&mut self, reason: &str, number: u64) {
        self.skipped.count(reason, || format!("row {number}"));
    }

    /// Ends the recording: decides about the rows that wait.
    pub fn flush(&mut self, out: &mut Vec<Placed<T>>) {
        if self.last.is_none() {
            // A recording of one row, or of two of which the second does not follow.
            while self.waiting.len() > 1 {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 1_000_000_000;
    const NOW: i64 = 1_790_000_000 * S;

    fn run(stamps: &[Stamp], config: ClockConfig) -> (Vec<Placed<usize>>, Clock<usize>) {
        let (mut clock, mut out) = (Clock::new(config), Vec::new());
        for (index, stamp) in stamps.iter().enumerate() {
            clock.push(*stamp, index, &mut out).expect("a date is there");
        }
        clock.flush(&mut out);
        (out, clock)
    }

    fn unix(seconds: impl IntoIterator<Item = i64>) -> Vec<Stamp> {
        seconds.into_iter().map(|s| Stamp::Unix(s * S)).collect()
    }

    /// Rows kept, segments, rows skipped.
    #[track_caller]
    fn check(stamps: &[Stamp], expected: (usize, usize, u64)) {
        let config = ClockConfig { needs_date: false, ..ClockConfig::new(NOW) };
        let (out, clock) = run(stamps, config);
        assert_eq!((out.len(), clock.segments().len(), clock.skipped().total()), expected);
    }

    #[test]
    fn rules() {
        let t = 1_700_000_000;
        check(&[], (0, 0, 0));
        check(&unix([t]), (1, 1, 0));
        check(&unix(t..t + 10), (10, 1, 0));
        // The clock is set back: 10 rows before, 50 after.
        check(&unix((t + 3600..t + 3610).chain(t + 10..t + 60)), (60, 2, 0));
        // One wrong stamp: ahead, back, first, last.
        check(&unix([t, t + 1, t + 900_000, t + 3, t + 4]), (4, 1, 1));
        check(&unix([t, t + 1, t - 900_000, t + 3, t + 4]), (4, 1, 1));
        check(&unix([t + 900_000, t + 1, t + 2, t + 3]), (3, 1, 1));
        check(&unix([t, t + 900_000, t + 2, t + 3]), (3, 1, 1));
        check(&unix([t, t + 1, t + 2, t + 900_000]), (3, 1, 1));
        // Implausible dates: 1970, and beyond tomorrow.
        check(&unix([5, t, t + 1, 4_000_000_000]), (2, 1, 2));
        // A pause of three days.
        check(&unix([t, t + 1, t + 300_000, t + 300_001]), (4, 2, 0));
        // One row in two days.
        check(&unix((0..5).map(|n| t + n * 172_800)), (4, 4, 1));
        // Restart of a relative clock.
        let relative: Vec<_> = (0..30).chain(0..30).map(|s| Stamp::Relative(s * S)).collect();
        check(&relative, (60, 2, 0));
        check(&[-3, -2, -1, 0, 1].map(|s| Stamp::Relative(s * S)), (5, 1, 0));
    }

    #[test]
    fn a_relative_clock_is_placed_or_refused() {
        let stamps: Vec<_> = (0..3).chain(0..2).map(|s| Stamp::Relative(s * S)).collect();
        let mut clock = Clock::new(ClockConfig::new(NOW));
        let error = clock.push(stamps[0], 0, &mut Vec::new()).expect_err("no date").to_string();
        assert!(error.contains("give start_ms"), "{error}");
        let config = ClockConfig { start_ns: Some(1_700_000_000 * S), ..ClockConfig::new(NOW) };
        let (out, _) = run(&stamps, config);
        let times: Vec<_> = out.iter().map(|row| row.time).collect();
        assert_eq!(times, unix([0, 1, 2, 3, 4].map(|s| 1_700_000_000 + s)));
    }

    #[test]
    fn files_are_ordered_by_their_first_stamps() {
        let [a, b] = [Stamp::Unix(2), Stamp::Unix(1)];
        assert_eq!(order(vec![("a", a), ("b", b)]), ["b", "a"]);
        assert_eq!(order(vec![("a", a), ("b", Stamp::Relative(1))]), ["a", "b"]);
        let (mut clock, mut out) =
            (Clock::new(ClockConfig { needs_date: false, ..ClockConfig::new(NOW) }), Vec::new());
        for _ in 0..2 {
            for second in 0..3 {
                clock.push(Stamp::Relative(second * S), second, &mut out).expect("taken");
            }
            clock.next_file(&mut out);
        }
        assert_eq!((out.len(), clock.segments().len()), (6, 2));
        assert_eq!(out[3].time, Stamp::Relative(3 * S));
    }

    proptest! {
        #[test]
        fn every_row_is_accounted_for(
            stamps in proptest::collection::vec(
                prop_oneof![Just(0i64), -5i64..5, -100_000i64..100_000, any::<i32>().prop_map(i64::from)], 0..60,
            ),
            relative in any::<bool>(),
        ) {
            let mut now = 1_700_000_000;
            let stamps: Vec<_> = stamps
                .into_iter()
                .map(|step| {
                    now += step;
                    if relative { Stamp::Relative(now.saturating_mul(S)) } else { Stamp::Unix(now.saturating_mul(S)) }
                })
                .collect();
            let config = ClockConfig { needs_date: false, ..ClockConfig::new(NOW) };
            let (out, clock) = run(&stamps, config);
            prop_assert_eq!(stamps.len() as u64, out.len() as u64 + clock.skipped().total());
            prop_assert_eq!(clock.counts(), (stamps.len() as u64, out.len() as u64));
            for pair in out.windows(2) {
                prop_assert!(pair[0].item < pair[1].item);
                prop_assert!(pair[0].segment < pair[1].segment || pair[0].time <= pair[1].time);
            }
        }

        #[test]
        fn one_corrupt_stamp_loses_one_row(
            rows in 4usize..50, step in 1i64..3600, at in any::<proptest::sample::Index>(), wrong in any::<i64>(),
        ) {
            let mut stamps: Vec<_> =
                (0..rows as i64).map(|n| Stamp::Unix((1_700_000_000 + n * step) * S)).collect();
            let at = at.index(rows);
            let near = matches!(stamps[at], Stamp::Unix(t) if (t - wrong / 10).abs() < 90_000 * S * rows as i64);
            stamps[at] = Stamp::Unix(wrong / 10);
            prop_assume!(!near);
            let (out, clock) = run(&stamps, ClockConfig::new(NOW));
            prop_assert_eq!(out.len(), rows - 1);
            prop_assert_eq!(clock.segments().len(), 1);
        }
    }
}
