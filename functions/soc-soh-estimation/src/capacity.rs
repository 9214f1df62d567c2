//! Capacity between two rests: charge that flowed over the difference in state of charge that their voltages show.

use voltmesh_guest::state::{Reader, Writer};

/// Current in C below which a cell rests, and seconds after which its voltage tells.
const REST_C: f64 = 0.02;
const REST_S: f64 = 900.0;

/// Slope in V from which on a voltage tells a state of charge.
const STEEP_V: f64 = 0.3;

/// Difference in state of charge from which on a capacity follows.
const LEAST_SOC: f64 = 0.3;

/// Standard deviation of a voltage at rest in V.
const REST_SD_V: f64 = 0.004;

/// Relative error of counted charge.
const COUNT: f64 = 0.01;

/// A rest: what its voltage says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rest {
    soc: f64,
    sd: f64,
}

/// Charge that flowed since a rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capacity {
    rest_s: f64,
    from: Option<Rest>,
    moved_ah: f64,
    last: Option<(f64, f64)>,
}

impl Capacity {
    /// Begins anew: what flowed is not known.
    pub fn forget(&mut self) {
        (self.rest_s, self.from, self.moved_ah) = (0.0, None, 0.0);
    }

    /// Takes a step of known current; a capacity in Ah with its standard deviation where a rest closes a span.
    pub fn see(&mut self, step_s: f64, current_a: f64, capacity_ah: f64, charge: (f64, f64), curve_sd: f64) {
        self.moved_ah += current_a * step_s / 3_600.0;
        if current_a.abs() > REST_C * capacity_ah {
            self.rest_s = 0.0;
            return;
        }
        self.rest_s += step_s;
        let (soc, slope_v) = charge;
        // At the ends of the curve a voltage beyond it says nothing of how far.
        if self.rest_s < REST_S || slope_v < STEEP_V || !(0.01..=0.99).contains(&soc) {
            return;
        }
        let rest = Rest { soc, sd: (REST_SD_V / slope_v).hypot(curve_sd) };
        let Some(from) = self.from else {
            (self.from, self.moved_ah) = (Some(rest), 0.0);
            return;
        };
        let moved_soc = rest.soc - from.soc;
        if moved_soc.abs() >= LEAST_SOC {
            let measured_ah = self.moved_ah / moved_soc;
            let relative = (rest.sd.hypot(from.sd) / moved_soc).hypot(COUNT);
            // A capacity of less than none is a fault of the current's sensor.
            if measured_ah > 0.0 {
                self.last = Some((measured_ah, measured_ah * relative));
            }
            (self.from, self.moved_ah) = (Some(rest), 0.0);
        } else if rest.sd < from.sd {
            (self.from, self.moved_ah) = (Some(rest), 0.0);
        }
    }

    /// The last one in Ah with its standard deviation.
    pub const fn last(&self) -> Option<(f64, f64)> {
        self.last
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        let from = self.from.unwrap_or(Rest { soc: f64::NAN, sd: f64::NAN });
        let last = self.last.unwrap_or((f64::NAN, f64::NAN));
        for value in [self.rest_s, from.soc, from.sd, self.moved_ah, last.0, last.1] {
            writer.f64(value);
        }
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let rest_s = reader.f64()?;
        let from = Rest { soc: reader.f64()?, sd: reader.f64()? };
        let moved_ah = reader.f64()?;
        let last = (reader.f64()?, reader.f64()?);
        Ok(Self {
            rest_s,
            from: from.soc.is_finite().then_some(from),
            moved_ah,
            last: last.0.is_finite().then_some(last),
        })
    }
}
