//! Values that stand alone: far from the one before, while the one after is where that was. A battery's voltage, charge and
//! temperature do not go and come back so from row to row; a bit that is lost on the way does.

use crate::{Quantity, Row, Stamp};
use std::collections::BTreeMap;

/// More such values than this part of all are what a recording is like, as one of steps' ends, and no glitches.
const MOST_PART: u64 = 10;
/// Away by more than this part of the value before is far, and back within that part of it is near.
const FAR_PART: f64 = 0.4;
const NEAR_PART: f64 = 0.1;
/// Least change of a voltage in V that is far.
const FAR_V: f64 = 1.0;
/// Change in K that is far, beside so many K a second; back within so many K is near.
const FAR_K: f64 = 10.0;
const FAR_K_PER_S: f64 = 2.0;
const NEAR_K: f64 = 5.0;
/// The same of a state of charge in %: a minute of 6 C is 10 %.
const FAR_PERCENT: f64 = 10.0;
const FAR_PERCENT_PER_S: f64 = 0.2;
const NEAR_PERCENT: f64 = 2.0;

/// Changes that are far and near, for a time between two values.
#[derive(Clone, Copy)]
enum Rule {
    Voltage,
    Changing { far: f64, per_s: f64, near: f64 },
}

impl Rule {
    const fn of(quantity: Quantity) -> Option<Self> {
        match quantity {
            Quantity::PackVoltage | Quantity::Cells => Some(Self::Voltage),
            Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => {
                Some(Self::Changing { far: FAR_K, per_s: FAR_K_PER_S, near: NEAR_K })
            }
            Quantity::Soc => {
                Some(Self::Changing { far: FAR_PERCENT, per_s: FAR_PERCENT_PER_S, near: NEAR_PERCENT })
            }
            _ => None,
        }
    }

    fn is_far(self, before: f64, value: f64, seconds: f64) -> bool {
        let change = (value - before).abs();
        match self {
            Self::Voltage => change > FAR_V.max(FAR_PART * before.abs()),
            Self::Changing { far, per_s, .. } => change > far + per_s * seconds,
        }
    }

    fn is_near(self, before: f64, value: f64) -> bool {
        let change = (value - before).abs();
        match self {
            Self::Voltage => change <= NEAR_PART * before.abs(),
            Self::Changing { near, .. } => change <= near,
        }
    }
}

/// Values of one column or signal.
#[derive(Clone, Copy, Debug)]
struct Series {
    last: f64,
    last_ns: i64,
    /// The value before the last one, where that is far from it.
    before: Option<f64>,
    /// Whether the value before the last one was the first.
    from_first: bool,
    values: u64,
}

/// Values that stand alone in a quantity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub count: u64,
    /// The first one, and the value before it.
    pub example: (f64, f64),
}

/// Looks for values that stand alone.
#[derive(Debug, Default)]
pub(super) struct Alone {
    series: BTreeMap<Quantity, Vec<Option<Series>>>,
    found: BTreeMap<Quantity, Found>,
    segment: u32,
}

impl Alone {
    /// Takes a row with the segment and the time that the clock gave it.
    pub fn row(&mut self, segment: u32, time: Stamp, row: &Row) {
        if segment != self.segment {
            self.segment = segment;
            self.series.clear();
        }
        let (Stamp::Unix(ns) | Stamp::Relative(ns)) = time;
        for quantity in [Quantity::PackVoltage, Quantity::Soc, Quantity::Ambient, Quantity::Coolant] {
            if let Some(Ok(value)) = row.single(quantity) {
                self.take(quantity, 0, ns, value);
            }
        }
        for (quantity, readings) in
            [(Quantity::Cells, &row.cells), (Quantity::Temperatures, &row.temperatures)]
        {
            for (place, reading) in readings.iter().enumerate() {
                if let Ok(value) = reading {
                    self.take(quantity, place, ns, *value);
                }
            }
        }
    }

    fn take(&mut self, quantity: Quantity, place: usize, ns: i64, value: f64) {
        let Some(rule) = Rule::of(quantity) else { return };
        let series = self.series.entry(quantity).or_default();
        if series.len() <= place {
            series.resize(place + 1, None);
        }
        let Some(series) = &mut series[place] else {
            series[place] =
                Some(Series { last: value, last_ns: ns, before: None, from_first: false, values: 1 });
            return;
        };
        let mut alone = None;
        if let Some(before) = series.before.take() {
            if rule.is_near(before, value) {
                alone = Some((series.last, before));
            } else if series.from_first
                && is_spike(rule, series.last, before)
                && rule.is_near(series.last, value)
            {
                alone = Some((before, value));
            }
        }
        let seconds = ns.abs_diff(series.last_ns) as f64 / 1e9;
        // What a value that stands alone is followed by is far from it, and begins nothing.
        if alone.is_none() && rule.is_far(series.last, value, seconds) {
            series.before = Some(series.last);
            series.from_first = series.values == 1;
        }
        (series.last, series.last_ns) = (value, ns);
        series.values += 1;
        if let Some(example) = alone {
            let found = self.found.entry(quantity).or_default();
            if found.count == 0 {
                found.example = example;
            }
            found.count += 1;
        }
    }

    /// Those of a quantity of so many values; `None` where it has none, or so many that they are its nature.
    pub fn found(&self, quantity: Quantity, values: u64) -> Option<Found> {
        let mut found = self.found.get(&quantity).copied().unwrap_or_default();
        // A last value has none behind it that tells: one far above all before it is no pack's.
        let ends = self.series.get(&quantity).into_iter().flatten().flatten();
        for end in ends {
            if let (Some(before), Some(rule)) = (end.before, Rule::of(quantity))
                && end.values > 2
                && is_spike(rule, before, end.last)
            {
                if found.count == 0 {
                    found.example = (end.last, before);
                }
                found.count += 1;
            }
        }
        (found.count > 0 && found.count <= (values / MOST_PART).max(1)).then_some(found)
    }
}

/// Whether a voltage at an end is far above the others: one far below is that of a contactor that is open.
fn is_spike(rule: Rule, others: f64, value: f64) -> bool {
    matches!(rule, Rule::Voltage) && value > others && rule.is_far(others, value, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quantity: Quantity, values: &[f64], seconds: i64, expected: Option<(u64, (f64, f64))>) {
        let mut alone = Alone::default();
        for (place, value) in values.iter().enumerate() {
            let mut row = Row::unknown(Stamp::Relative(place as i64 * seconds * 1_000_000_000), 1, 1);
            match quantity {
                Quantity::PackVoltage => row.pack_voltage = Ok(*value),
                Quantity::Soc => row.soc = Ok(*value),
                Quantity::Cells => row.cells[0] = Ok(*value),
                _ => row.temperatures[0] = Ok(*value),
            }
            alone.row(0, row.time, &row);
        }
        let found = alone.found(quantity, values.len() as u64);
        assert_eq!(found.map(|found| (found.count, found.example)), expected, "{values:?}");
    }

    #[test]
    fn values_that_go_and_come_back_at_once_stand_alone() {
        use Quantity::{Cells, PackVoltage, Soc, Temperatures};
        check(PackVoltage, &[355.0, 355.1, 710.0, 355.2, 355.2], 1, Some((1, (710.0, 355.1))));
        check(PackVoltage, &[355.0, 355.1, 177.0, 355.2, 355.2], 60, Some((1, (177.0, 355.1))));
        check(PackVoltage, &[710.0, 355.1, 355.2, 355.2], 1, Some((1, (710.0, 355.2))));
        check(PackVoltage, &[355.0, 355.1, 355.2, 710.0], 1, Some((1, (710.0, 355.2))));
        check(Cells, &[3.7, 3.71, 7.4, 3.7, 3.7], 1, Some((1, (7.4, 3.71))));
        check(Soc, &[43.0, 43.0, 100.0, 43.0], 1, Some((1, (100.0, 43.0))));
        check(Temperatures, &[25.0, 25.0, 90.0, 25.0], 1, Some((1, (90.0, 25.0))));
        check(Temperatures, &[25.0, 25.0, 0.0, 24.5], 1, Some((1, (0.0, 25.0))));
    }

    #[test]
    fn what_a_battery_does_stands_not_alone() {
        use Quantity::{Cells, PackVoltage, Soc, Temperatures};
        for contactor in
            [&[355.0, 355.0, 0.0, 0.0][..], &[0.0, 0.0, 120.0, 355.0, 355.0], &[12.0, 355.0, 355.0, 3.0]]
        {
            check(PackVoltage, contactor, 1, None);
        }
        check(PackVoltage, &[410.0, 300.0, 405.0, 398.0], 1, None);
        check(Cells, &[3.7, 2.6, 3.65, 3.7], 1, None);
        // Ends of steps: a charge, a discharge.
        check(Cells, &[4.2, 2.5, 4.2, 2.5, 4.2, 2.5, 4.2, 2.5, 4.2, 2.5], 3600, None);
        check(Soc, &[43.0, 60.0, 60.0, 43.0], 1, None);
        check(Soc, &[43.0, 80.0, 43.0], 1800, None);
        check(Temperatures, &[25.0, 60.0, 25.0], 30, None);
    }
}
