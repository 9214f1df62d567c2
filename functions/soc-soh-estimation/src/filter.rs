//! Extended Kalman filter of a cell with one resistance and one slow part: states are charge, slow overvoltage and
//! resistance (Plett, J. Power Sources 134:252-292, 2004, parts 1 to 3; the model is his "one-state" one with its resistance
//! as a state).

use voltmesh_guest::curve::Curve;
use voltmesh_guest::state::{Reader, Writer};

use crate::Settings;

/// Number of states.
const N: usize = 3;

/// Seconds for which the model's error lasts: samples within it tell little more than one.
const ERROR_S: f64 = 120.0;

/// Relative error of the current, and its offset relative to one hour's capacity.
const CURRENT: f64 = 0.01;
const OFFSET_C: f64 = 0.001;

/// Relative change of the resistance in one hour, one standard deviation.
const RESISTANCE_HOUR: f64 = 0.05;

/// Standard deviations of an innovation beyond which a voltage is a fault and not a hint.
const GATE: f64 = 6.0;

/// What the filter knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    state: [f64; N],
    covariance: [[f64; N]; N],
}

impl Filter {
    /// Begins with what a voltage says of the charge.
    pub fn begin(settings: &Settings, curve: &Curve, volts: f64, current_a: f64, colder: f64) -> Self {
        let r0 = settings.r0_ohm();
        let soc = curve.inverse(volts - current_a * r0 * colder);
        let mut covariance = [[0.0; N]; N];
        covariance[0][0] = 0.15 * 0.15;
        covariance[1][1] = 0.02 * 0.02;
        covariance[2][2] = (0.4 * r0) * (0.4 * r0);
        Self { state: [soc, 0.0, r0], covariance }
    }

    /// Lets time pass under a current.
    pub fn step(&mut self, settings: &Settings, current_a: f64, colder: f64, step_s: f64) {
        let hours = step_s / 3_600.0;
        let moved = current_a * hours / settings.capacity_ah;
        let decay = (-step_s / settings.time_constant_s).exp();
        let slow = settings.r1_ohm() * colder * current_a * (1.0 - decay);
        self.state[0] = (self.state[0] + moved).clamp(-0.02, 1.02);
        self.state[1] = self.state[1] * decay + slow;
        for other in 0..N {
            self.covariance[1][other] *= decay;
            self.covariance[other][1] *= decay;
        }
        self.covariance[0][0] += (CURRENT * moved).powi(2) + (OFFSET_C * hours).powi(2);
        self.covariance[1][1] += (0.3 * slow).powi(2) + 1e-9 * step_s;
        self.covariance[2][2] += (RESISTANCE_HOUR * settings.r0_ohm()).powi(2) * hours;
    }

    /// Takes a measured voltage under a current; whether it was believed.
    pub fn see(
        &mut self,
        settings: &Settings,
        curve: &Curve,
        volts: f64,
        current_a: f64,
        colder: f64,
        step_s: f64,
    ) -> bool {
        let soc = self.state[0].clamp(0.0, 1.0);
        let row = [curve.slope(soc), 1.0, colder * current_a];
        let expected =
            curve.at(soc) + (self.state[0] - soc) * row[0] + self.state[1] + self.state[2] * row[2];
        // Half as sure where the current is large: curve and resistance are of a mean cell.
        let sd_v = settings.voltage_sd_v * (1.0 + 0.5 * (current_a / settings.capacity_ah).abs());
        let noise = sd_v * sd_v * (ERROR_S / step_s.clamp(0.01, ERROR_S)).max(1.0);
        let mut column = [0.0; N];
        for (value, row_of) in column.iter_mut().zip(&self.covariance) {
            *value = row_of.iter().zip(&row).map(|(p, h)| p * h).sum();
        }
        let own: f64 = row.iter().zip(&column).map(|(h, value)| h * value).sum();
        let innovation = volts - expected;
        if innovation * innovation > GATE * GATE * (own + sd_v * sd_v) {
            return false;
        }
        let all = own + noise;
        for (state, value) in self.state.iter_mut().zip(&column) {
            *state += value / all * innovation;
        }
        for i in 0..N {
            for j in 0..N {
                self.covariance[i][j] -= column[i] * column[j] / all;
            }
        }
        // Rounding must not make it negative or one-sided.
        for i in 0..N {
            self.covariance[i][i] = self.covariance[i][i].max(1e-14);
            for j in 0..i {
                let mean = 0.5 * (self.covariance[i][j] + self.covariance[j][i]);
                (self.covariance[i][j], self.covariance[j][i]) = (mean, mean);
            }
        }
        self.state[0] = self.state[0].clamp(-0.02, 1.02);
        self.state[2] = self.state[2].clamp(0.2 * settings.r0_ohm(), 10.0 * settings.r0_ohm());
        true
    }

    /// State of charge with its standard deviation, without the curve's own.
    pub fn soc(&self) -> (f64, f64) {
        (self.state[0].clamp(0.0, 1.0), self.covariance[0][0].sqrt())
    }

    /// Resistance at 25 °C in Ω with its standard deviation.
    pub fn resistance_ohm(&self) -> (f64, f64) {
        (self.state[2], self.covariance[2][2].sqrt())
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        self.state.iter().chain(self.covariance.iter().flatten()).for_each(|value| writer.f64(*value));
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut filter = Self { state: [0.0; N], covariance: [[0.0; N]; N] };
        for value in filter.state.iter_mut().chain(filter.covariance.iter_mut().flatten()) {
            *value = reader.f64()?;
            if !value.is_finite() {
                return Err("state: the filter holds no numbers".to_owned());
            }
        }
        Ok(filter)
    }
}
