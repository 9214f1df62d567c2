//! Resistance of the lowest cell, from how its voltage moves with the current.

use voltmesh_guest::state::{Reader, Writer};

/// Time in s in which a sample's weight falls to 1/e.
const MEMORY_S: f64 = 60.0;

/// Weight of samples from which on a resistance is told.
const LEAST_WEIGHT: f64 = 10.0;

/// Standard deviation of the current, in C, from which on a resistance is told.
const LEAST_SPREAD_C: f64 = 0.1;

/// Share of the resistance that is assumed that one that is measured is at least: a sensor that stands still shows none.
pub(crate) const LEAST_OF_ASSUMED: f64 = 0.1;

/// Voltages in V that belong to a cell.
const CELL_V: std::ops::RangeInclusive<f64> = 1.0..=5.0;

/// Weighted regression of a voltage on the current that is drawn, which forgets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Resistance {
    weight: f64,
    mean_v: f64,
    mean_a: f64,
    /// Weighted sums of squares and products about the means.
    current_2: f64,
    product: f64,
}

impl Resistance {
    /// Takes a sample: the cell's voltage in V, the pack's current in A (charging positive), s since the one before.
    pub fn see(&mut self, cell_v: f64, current_a: f64, step_s: f64) {
        if !CELL_V.contains(&cell_v) || !current_a.is_finite() {
            return;
        }
        let keep = (-step_s / MEMORY_S).exp();
        self.weight = self.weight * keep + 1.0;
        let (off_v, off_a) = (cell_v - self.mean_v, current_a - self.mean_a);
        self.mean_v += off_v / self.weight;
        self.mean_a += off_a / self.weight;
        // West, Comm. ACM 22(9):532-535, 1979, with weights that fall.
        self.current_2 = self.current_2 * keep + off_a * (current_a - self.mean_a);
        self.product = self.product * keep + off_a * (cell_v - self.mean_v);
    }

    /// Resistance in Ω of a group of that capacity in Ah; none where the current hardly changed.
    pub fn ohm(&self, capacity_ah: f64) -> Option<f64> {
        let spread_a = (self.current_2 / self.weight).sqrt();
        let known = self.weight >= LEAST_WEIGHT && spread_a >= LEAST_SPREAD_C * capacity_ah;
        // Drawing more (a more negative current) lowers the voltage: the slope is the resistance.
        known.then(|| (self.product / self.current_2).max(0.0))
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        [self.weight, self.mean_v, self.mean_a, self.current_2, self.product]
            .into_iter()
            .for_each(|value| writer.f64(value));
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut next = || reader.f64().map(|value| if value.is_finite() { value } else { 0.0 });
        let (weight, mean_v, mean_a) = (next()?.max(0.0), next()?, next()?);
        Ok(Self { weight, mean_v, mean_a, current_2: next()?.max(0.0), product: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: impl IntoIterator<Item = (f64, f64)>) -> Resistance {
        let mut seen = Resistance::default();
        samples.into_iter().for_each(|(volts, amps)| seen.see(volts, amps, 1.0));
        seen
    }

    #[test]
    fn a_cell_of_a_known_resistance_has_it_while_its_voltage_falls() {
        let drive = (0..300).map(|s| {
            let current_a = if s % 10 < 5 { -150.0 } else { 20.0 };
            (3.6 - 0.0002 * f64::from(s) + 0.002 * current_a, current_a)
        });
        let ohm = after(drive).ohm(60.0).expect("current changes");
        assert!((ohm - 0.002).abs() < 1e-4, "{ohm}");
    }

    #[test]
    fn a_steady_current_tells_none_and_a_sensor_that_stands_still_none_below_zero() {
        assert_eq!(after((0..300).map(|_| (3.6, -30.0))).ohm(60.0), None);
        assert_eq!(after((0..300).map(|s| (3.6, f64::from(s % 100)))).ohm(60.0), Some(0.0));
        assert_eq!(
            after((0..300).map(|s| (3.6 - 0.001 * f64::from(s % 100), f64::from(s % 100)))).ohm(60.0),
            Some(0.0)
        );
    }
}
