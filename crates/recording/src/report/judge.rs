//! Rules that make a recording doubtful: values that its battery cannot have, and values that contradict one another.

use super::alone::Found;
use super::counts::{Sums, Tally};
use super::{REPORTED, Reporter, rounded};
use crate::unit::MOST_FRACTION;
use crate::{Quantity, Stamp};
use chrono::{Datelike, Timelike};

/// Seconds of a year.
const YEAR_S: f64 = 31_557_600.0;
/// A recording that runs longer without a date has another unit of time.
const MAX_YEARS: f64 = 10.0;
/// A recording that pauses for longer had a clock that was not set.
const MAX_GAP_YEARS: f64 = 3.0;
/// 2005-01-01 as a Unix time, in ns: vehicles had no traction batteries of lithium cells before.
const OLDEST_NS: i64 = 1_104_537_600_000_000_000;
/// A clock that was not set often begins with a year: so many seconds of its first day, and the pause before it is set, in s.
const BEGINS_S: u32 = 60;
const MAX_GAP_OF_YEAR_S: f64 = 30.0 * 86_400.0;
/// Voltages that a cell and a pack exceed at some time, in V.
const LEAST_CELL_V: f64 = 0.1;
const LEAST_PACK_V: f64 = 1.0;
/// Resistance of an insulation that every pack in use exceeds at some time, in Ω: monitors end a drive at 100 Ω for each volt.
const LEAST_INSULATION_OHM: f64 = 10_000.0;
/// Rows after which a voltage that never changes while the current does is doubted.
const CONSTANT_ROWS: u64 = 60;
/// Rows of one time alone from which their times are doubted.
const MIN_ROWS: u64 = 10;
/// Steps of the current from which its sign is told.
const MIN_STEPS: u64 = 5;
/// Words of the doubt about the current's sign, whatever tells it.
const WRONG_SIGN: &str = "a positive current seems to discharge";
/// Most cells in series that a pack has: 1,500 V of LFP cells are 469.
const MAX_CELLS: f64 = 512.0;

/// Whether so few of all values are odd that a sensor's glitches explain them.
fn is_glitch(odd: u64, all: &Tally) -> bool {
    odd * 1000 < all.n
}

impl Reporter {
    /// Judges a quantity alone.
    pub(super) fn judge(
        &self,
        tally: &Tally,
        name: &str,
        quantity: Quantity,
        reasons: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) {
        reasons.extend(self.too_small(tally, name, quantity));
        if tally.beyond == 0 {
            return;
        }
        let (least, most) = tally.limits;
        let unit = quantity.base_unit();
        let stated = match (quantity, self.battery.chemistry) {
            (Quantity::PackVoltage | Quantity::Cells, Some(chemistry)) => format!(" of {chemistry:?}"),
            _ => String::new(),
        };
        let text = format!(
            "{name}: {} of {} values are beyond {least} to {most} {unit}{stated} (least {}, most {}): check the column, \
             its unit (--map {quantity}=NAME*FACTOR), and the stated battery",
            tally.beyond, tally.n, tally.min, tally.max
        );
        if is_glitch(tally.beyond, tally) { warnings.push(text) } else { reasons.push(text) }
    }

    /// Judges values that stand alone, far from those before and after them.
    pub(super) fn judge_alone(&self, reasons: &mut Vec<String>, warnings: &mut Vec<String>) {
        for (tally, (name, factor, unit, quantity)) in self.tallies.iter().zip(REPORTED) {
            let Some(Found { count, example: (value, before) }) = self.alone.found(quantity, tally.n) else {
                continue;
            };
            let text = format!(
                "{name}: {count} of {} values stand alone, far from those before and after them (first {} {unit} beside {} \
                 {unit}): no battery changes so fast; correct them or leave them out",
                tally.n,
                rounded(value * factor),
                rounded(before * factor)
            );
            if is_glitch(count, tally) { warnings.push(text) } else { reasons.push(text) }
        }
    }

    /// Doubt about values that are all too small, as those of a unit that is another than the stated one.
    fn too_small(&self, tally: &Tally, name: &str, quantity: Quantity) -> Option<String> {
        let largest = tally.max.max(-tally.min);
        let least = match quantity {
            Quantity::Cells => LEAST_CELL_V,
            Quantity::PackVoltage if self.battery.is_cell => LEAST_CELL_V,
            Quantity::PackVoltage => LEAST_PACK_V,
            // A number of another kind among fractions, as one of all bits, makes them no percent.
            Quantity::Soc
                if !self.soc_is_stated
                    && tally.max > 0.0
                    && self.fractions * 10 >= tally.n * 9
                    && tally.n > 0 =>
            {
                return Some(format!(
                    "{name}: {} of {} values are at most {MOST_FRACTION}: a fraction, or percent of an empty battery? State \
                     --map soc=NAME*100 for a fraction, soc=NAME*1 for percent",
                    self.fractions, tally.n
                ));
            }
            Quantity::Insulation if tally.n > 0 && tally.max > 0.0 && tally.max < LEAST_INSULATION_OHM => {
                return Some(format!(
                    "{name} never exceeds {} Ω: are they kΩ or MΩ? State --map insulation=NAME*1000 for kΩ, *1000000 for MΩ",
                    tally.max
                ));
            }
            _ => return None,
        };
        (tally.n > 0 && largest < least).then(|| {
            format!(
                "{name}: all {} values are below {least} V (most {largest}): check the column and its unit (--map \
                 {quantity}=NAME*FACTOR)",
                tally.n
            )
        })
    }

    /// Judges how long a clock without a date runs: a wrong unit of time shows there.
    pub(super) fn judge_span(&self, reasons: &mut Vec<String>) {
        if let [(_, first, last, rows)] = self.segments.as_slice()
            && first == last
            && *rows >= MIN_ROWS
        {
            reasons.push(format!(
                "all {rows} rows have the same time: map the column that states their times (--map time=NAME)"
            ));
        }
        let relative = |stamp: Stamp| match stamp {
            Stamp::Relative(ns) => Some(ns as f64 / 1e9),
            Stamp::Unix(_) => None,
        };
        let ends = self.segments.first().zip(self.segments.last());
        let Some((first, last)) = ends.and_then(|(a, b)| Some((relative(a.1)?, relative(b.2)?))) else {
            return;
        };
        let years = (last - first) / YEAR_S;
        if years > MAX_YEARS {
            reasons.push(format!(
                "the times span {years:.0} years: check the unit of the time (--map time=NAME*SECONDS)"
            ));
        }
    }

    /// Judges dates: a clock that was not set says those of its maker, and jumps over months and years when it is set.
    pub(super) fn judge_dates(&self, reasons: &mut Vec<String>) {
        let date = |ns: i64| chrono::DateTime::from_timestamp_nanos(ns);
        let dated = |stamp: Stamp| match stamp {
            Stamp::Unix(ns) => Some(ns),
            Stamp::Relative(_) => None,
        };
        let segments: Vec<(i64, i64)> = self
            .segments
            .iter()
            .filter_map(|(_, first, last, _)| Some((dated(*first)?, dated(*last)?)))
            .collect();
        let text = |ns: i64| date(ns).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let begins_a_year = |ns: i64| {
            let at = date(ns);
            at.ordinal() == 1 && at.num_seconds_from_midnight() < BEGINS_S
        };
        if let Some((first, _)) =
            segments.iter().find(|(first, _)| *first < OLDEST_NS && !self.times_are_stated)
        {
            reasons.push(format!(
                "rows are dated from {} on, as by a clock that was not set: correct their times, leave them out, or state time_format if \
                 they are meant",
                text(*first)
            ));
            return;
        }
        let is_apart = |pair: &&[(i64, i64)]| {
            let gap_s = pair[1].0.abs_diff(pair[0].1) as f64 / 1e9;
            gap_s > MAX_GAP_YEARS * YEAR_S || (begins_a_year(pair[0].0) && gap_s > MAX_GAP_OF_YEAR_S)
        };
        if let Some(pair) = segments.windows(2).find(is_apart) {
            reasons.push(format!(
                "the clock goes from {} to {}: one of both seems not to be set; read the rows apart, and correct the times \
                 that are not meant",
                text(pair[0].1),
                text(pair[1].0)
            ));
        }
    }

    /// Judges the current's sign: a battery's voltage rises with the current that charges it.
    pub fn judge_sign(&self, sources: &[(Quantity, String)], reasons: &mut Vec<String>) {
        if !reasons.iter().any(|reason| reason.contains(WRONG_SIGN)) {
            reasons.extend(self.doubt_of_sign(sources));
        }
    }

    /// The doubt about the current's sign, by the rows so far.
    fn doubt_of_sign(&self, sources: &[(Quantity, String)]) -> Option<String> {
        let falls = self.steps.large >= MIN_STEPS && self.steps.correlation() < -0.5;
        let drifts = !self.sign_is_stated && self.steps.go_against();
        if !(falls || drifts) {
            return None;
        }
        // A signal is named with its unit behind it.
        let source = sources.iter().find(|(quantity, _)| *quantity == Quantity::PackCurrent);
        let name = source.map_or("NAME", |(_, source)| source.split(" [").next().unwrap_or(source));
        let why = if falls {
            "the voltage falls where the current rises"
        } else {
            "under a current that stays the same the voltage falls in a charge, or rises in a discharge"
        };
        Some(format!("{why}: {WRONG_SIGN}; state --map 'pack_current={name}*-1'"))
    }

    /// Judges the cells' sum by the pack's voltage. A sum that is less can be that of a part of the cells, as far as a pack
    /// has so many; one that is more cannot be.
    fn judge_sums(&self, reasons: &mut Vec<String>, warnings: &mut Vec<String>) {
        let Sums { rows, more, less, most_cells } = self.sums;
        if more * 1000 > rows {
            reasons.push(format!(
                "the cells' sum is more than the pack's voltage by over 5 % in {more} of {rows} rows: check the units and \
                 the mapping (--map cells=NAME*)"
            ));
        }
        if less * 1000 > rows {
            let text = format!(
                "the cells' sum is less than the pack's voltage by over 5 % in {less} of {rows} rows: by their mean, the \
                 pack has {most_cells:.0} in series; check that all cells are mapped (--map cells=NAME*), and the units"
            );
            let all_are_mapped = self.battery.cells_in_series.is_some_and(|stated| {
                self.first.as_ref().is_some_and(|first| first.cells.len() == stated as usize)
            });
            let impossible = all_are_mapped || most_cells > MAX_CELLS;
            if impossible { reasons.push(text) } else { warnings.push(text) }
        }
    }

    /// Judges quantities by one another.
    pub(super) fn judge_together(&self, reasons: &mut Vec<String>, warnings: &mut Vec<String>) {
        self.judge_sums(reasons, warnings);
        let (voltage, current) = (&self.tallies[0], &self.tallies[1]);
        for (tally, name) in [(voltage, "pack_voltage_v"), (current, "pack_current_a")] {
            let is_summed = name == "pack_voltage_v" && self.tallies[3].n > 0;
            let unknown = self.samples - tally.n;
            if tally.n > 0 && unknown > tally.n && !is_summed {
                reasons.push(format!(
                    "{name} is unknown in {} of {} rows: check the column or signal, its range and the DBC file",
                    unknown,
                    self.samples
                ));
            }
        }
        let constant = |tally: &Tally| tally.n >= CONSTANT_ROWS && tally.min == tally.max;
        if constant(voltage) && current.max - current.min > 1.0 {
            reasons.push(format!(
                "the voltage is {} in all rows while the current changes: the sensor is stuck or clipped, or the column \
                 is another's (--map pack_voltage=NAME)",
                voltage.min
            ));
        }
        if let (Some(stated), Some(first)) = (self.battery.cells_in_series, &self.first)
            && first.cells.len() > 1
            && first.cells.len() != stated as usize
        {
            reasons.push(format!(
                "{} cells are read, and {stated} in series are stated: map all cells (--map cells=NAME*)",
                first.cells.len()
            ));
        }
    }
}
