//! From samples of use to ageing: rests by the day, cycles as rainflow closes them.

use super::{Ageing, Cycle, Loss, Rainflow, Rest, Turn, Use};
use crate::{Cell, Chemistry, units::HOUR_S};
use serde::{Deserialize, Serialize};

/// Current per Ah, in A, above which it counts as use.
const ACTIVE_PER_AH: f64 = 0.01;

/// Follows a cell's use. Can be written down and gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    ageing: Ageing,
    capacity_ah: f64,
    rainflow: Rainflow,
    sums: Turn,
    full_cycles: f64,
}

impl Tracker {
    /// Of a new cell.
    #[must_use]
    pub fn new(chemistry: Chemistry, capacity_ah: f64) -> Self {
        Self {
            ageing: Ageing::new(chemistry),
            capacity_ah,
            rainflow: Rainflow::default(),
            sums: Turn::default(),
            full_cycles: 0.0,
        }
    }

    /// Takes `dt_s` of use. What is not a number changes nothing.
    pub fn push(&mut self, cell: &Cell, soc: f64, temp_c: f64, current_a: f64, dt_s: f64) {
        if !(soc.is_finite() && temp_c.is_finite() && current_a.is_finite() && dt_s > 0.0) {
            return;
        }
        let hours = dt_s / HOUR_S;
        let rest = Rest { temp_c, soc, voltage_v: cell.ocv_v(soc, temp_c) };
        self.ageing.rest(&rest, hours / 24.0);
        let moved_ah = current_a.abs() * hours;
        self.sums.moved_ah += moved_ah;
        self.sums.temp_c_ah += temp_c * moved_ah;
        if current_a.abs() > ACTIVE_PER_AH * self.capacity_ah {
            self.sums.active_h += hours;
        }
        self.full_cycles += moved_ah / 2.0 / self.capacity_ah;
        let (ageing, capacity_ah) = (&mut self.ageing, self.capacity_ah);
        self.rainflow
            .push(Turn { soc, ..self.sums }, |cycle| ageing.cycle(&use_of(cell, capacity_ah, &cycle)));
    }

    /// Closes what is open: at the end of a forecast, not of a drive.
    pub fn finish(&mut self, cell: &Cell) {
        let (ageing, capacity_ah) = (&mut self.ageing, self.capacity_ah);
        self.rainflow.finish(|cycle| ageing.cycle(&use_of(cell, capacity_ah, &cycle)));
    }

    /// What is lost.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.ageing.loss()
    }

    /// Equivalent full cycles so far.
    #[must_use]
    pub fn full_cycles(&self) -> f64 {
        self.full_cycles
    }

    /// Charge moved so far, both directions, in Ah.
    #[must_use]
    pub fn moved_ah(&self) -> f64 {
        self.sums.moved_ah
    }
}

fn use_of(cell: &Cell, capacity_ah: f64, cycle: &Cycle) -> Use {
    let [from, to] = cycle.turns;
    let depth = (to.soc - from.soc).abs();
    let moved_ah = (to.moved_ah - from.moved_ah).abs();
    let temp_c =
        if moved_ah > 0.0 { (to.temp_c_ah - from.temp_c_ah) / (to.moved_ah - from.moved_ah) } else { 25.0 };
    let hours = (to.active_h - from.active_h).abs();
    let soc = f64::midpoint(from.soc, to.soc);
    Use {
        depth,
        full_cycles: depth * cycle.count,
        soc,
        voltage_v: cell.ocv_v(soc, temp_c),
        temp_c,
        c_rate: if hours > 0.0 { moved_ah / hours / capacity_ah } else { 0.0 },
    }
}
