//! Counts that a report is made of and judged by.

use crate::Reading;

/// Counts of one quantity.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub n: u64,
    /// Of lists; a quantity of one value is unknown in all rows in which it is not known.
    pub unknown: u64,
    pub min: f64,
    pub max: f64,
    /// Values beyond the limits.
    pub beyond: u64,
    pub limits: (f64, f64),
}

impl Tally {
    pub fn take(&mut self, reading: Reading) {
        match reading {
            Ok(value) => self.take_known(value),
            Err(_) => self.unknown += 1,
        }
    }

    /// Takes a known value.
    #[inline]
    pub fn take_known(&mut self, value: f64) {
        self.n += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.beyond += u64::from(value < self.limits.0 || value > self.limits.1);
    }
}

/// Steps of voltage and current from row to row: a voltage that falls where the current rises tells its sign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    last: Option<(f64, f64)>,
    most_a: f64,
    /// Steps of more than a tenth of the most current so far.
    pub large: u64,
    both: f64,
    volts: f64,
    amperes: f64,
    /// Steps of the voltage while a large current stays the same: how many, and how far in all they went as the current's
    /// sign says (up in a charge, down in a discharge) and against it.
    held: Held,
}

/// See [`Steps::held`].
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    steps: u64,
    with: f64,
    against: f64,
    least_a: f64,
}

/// A current stays the same if it changes by less than this part of the most, and is large if it is more than that one.
const SAME: f64 = 0.01;
const LARGE: f64 = 0.3;
/// A step of more than this part of the voltage is no charge or discharge, but a pause or a change of the load.
const MOST_STEP: f64 = 0.02;
/// Steps from which a voltage under one current tells its sign, the part of the voltage that they went, and how many times
/// more against the sign than with it.
const MIN_HELD: u64 = 10;
const MIN_PART: f64 = 0.003;
const MIN_RATIO: f64 = 4.0;

impl Steps {
    pub fn take(&mut self, row: Option<(f64, f64)>) {
        let (Some((last_v, last_a)), Some((volts, amperes))) = (self.last, row) else {
            self.last = row;
            return;
        };
        let (u, i) = (volts - last_v, amperes - last_a);
        self.last = row;
        self.most_a = self.most_a.max(amperes.abs());
        self.large += u64::from(i.abs() > 0.1 * self.most_a);
        // Under a current that is small beside a later one, the voltage only recovers.
        if self.held.least_a < LARGE * self.most_a {
            self.held = Held { least_a: f64::INFINITY, ..Held::default() };
        }
        if amperes.abs() > LARGE * self.most_a
            && i.abs() < SAME * self.most_a
            && u.abs() < MOST_STEP * volts.abs()
        {
            let signed = u * amperes.signum();
            self.held.steps += 1;
            self.held.with += signed.max(0.0);
            self.held.against -= signed.min(0.0);
            self.held.least_a = self.held.least_a.min(amperes.abs());
        }
        self.both += u * i;
        self.volts += u * u;
        self.amperes += i * i;
    }

    /// Whether the voltage falls under a current that charges by its sign, or rises under one that discharges.
    pub fn go_against(&self) -> bool {
        let volts = self.last.map_or(f64::INFINITY, |(volts, _)| volts.abs());
        let Held { steps, with, against, .. } = self.held;
        steps >= MIN_HELD && against > MIN_PART * volts && against > MIN_RATIO * with
    }

    /// Correlation of both, −1 to 1; no number where one of them never changed.
    pub fn correlation(&self) -> f64 {
        self.both / (self.volts * self.amperes).sqrt()
    }
}

/// Sums of cells beside the pack's voltage, in rows where all are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub rows: u64,
    /// Rows whose sum is more than the pack's voltage.
    pub more: u64,
    /// Rows whose sum is less.
    pub less: u64,
    /// Most cells in series that a row of `less` tells: the pack's voltage over the cells' mean.
    pub most_cells: f64,
}

impl Sums {
    pub fn take(&mut self, sum_v: f64, cells: usize, pack_v: f64) {
        let room_v = 0.05 * pack_v.abs();
        self.rows += 1;
        self.more += u64::from(sum_v > pack_v + room_v);
        if sum_v < pack_v - room_v {
            self.less += 1;
            let in_series = if sum_v > 0.0 { pack_v * cells as f64 / sum_v } else { f64::INFINITY };
            self.most_cells = self.most_cells.max(in_series);
        }
    }
}
