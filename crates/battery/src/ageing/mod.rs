//! Loss of a cell's capacity and growth of its resistance, by the calendar and by cycling.
//!
//! Losses are kept as what they are powers of (time, throughput), so that changing conditions add up and a result does not
//! depend on the step (Naumann et al., J. Power Sources 451:227666, 2020, section 4.1: virtual time and throughput).

mod conditions;
mod laws;
mod rainflow;
mod tracker;

pub use conditions::{Rest, Use};
pub use rainflow::{Cycle, Rainflow, Turn};
pub use tracker::Tracker;

use crate::Chemistry;
use laws::{CYCLE_POWER, Law, further};
use serde::{Deserialize, Serialize};

/// Version of the laws, which goes wherever a forecast goes.
pub const VERSION: &str = "ageing/1";

/// Ageing so far. Fractions of the capacity and of the resistance when new.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Capacity lost by the calendar.
    pub calendar: f64,
    /// Capacity lost by cycling.
    pub cycle: f64,
    /// Resistance gained.
    pub resistance: f64,
    /// Share of the loss that was computed outside the laws' validity: what to doubt.
    pub outside: f64,
}

impl Loss {
    /// Capacity left.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        (1.0 - self.calendar - self.cycle).max(0.0)
    }
}

/// A cell that ages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ageing {
    chemistry: Chemistry,
    loss: Loss,
    outside: f64,
}

impl Ageing {
    /// A new cell.
    #[must_use]
    pub fn new(chemistry: Chemistry) -> Self {
        Self { chemistry, loss: Loss::default(), outside: 0.0 }
    }

    /// A cell that has lost that much already.
    #[must_use]
    pub fn with(chemistry: Chemistry, loss: Loss) -> Self {
        Self { chemistry, loss, outside: loss.outside * (loss.calendar + loss.cycle) }
    }

    /// What is lost.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let lost = self.loss.calendar + self.loss.cycle;
        Loss { outside: if lost > 0.0 { self.outside / lost } else { 0.0 }, ..self.loss }
    }

    /// Goes on for some days at rest. Days that are not a positive number change nothing.
    pub fn rest(&mut self, rest: &Rest, days: f64) {
        if !(days > 0.0 && days.is_finite()) {
            return;
        }
        let law = Law::of(self.chemistry);
        let (rate, valid) = law.calendar(rest);
        let before = self.loss.calendar;
        self.loss.calendar = further(before, rate, days, law.calendar_power());
        self.loss.resistance += law.calendar_resistance(rest, self.loss.resistance, days);
        self.doubt(valid, self.loss.calendar - before);
    }

    /// Takes a cycle into account. One that is not made of positive numbers changes nothing.
    pub fn cycle(&mut self, cycle: &Use) {
        let sensible = cycle.full_cycles > 0.0 && cycle.full_cycles.is_finite() && cycle.depth > 0.0;
        if !sensible {
            return;
        }
        let law = Law::of(self.chemistry);
        let (rate, valid) = law.cycle(cycle);
        let before = self.loss.cycle;
        self.loss.cycle = further(before, rate, cycle.full_cycles, CYCLE_POWER);
        self.loss.resistance += law.cycle_resistance(cycle);
        self.doubt(valid, self.loss.cycle - before);
    }

    fn doubt(&mut self, valid: bool, lost: f64) {
        if !valid {
            self.outside += lost;
        }
    }
}

#[cfg(test)]
mod tests;
