//! Current limits of a chemistry's safe operating area, against temperature, state of charge and health.

use crate::Chemistry;
use serde::Serialize;

/// Currents that a cell may take and give, both positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurrentLimits {
    /// Charge in C.
    pub charge_c: f64,
    /// Discharge in C.
    pub discharge_c: f64,
}

/// Charge in C against temperature in °C. Nothing below 0 °C: lithium plates on graphite there (Petzl, Danzer, J. Power
/// Sources 254:80, 2014). Between, and above 45 °C, as makers of automotive cells publish them, on the safe side.
const CHARGE_LAYERED: [(f64, f64); 8] =
    [(0.0, 0.0), (5.0, 0.15), (10.0, 0.4), (15.0, 0.8), (25.0, 1.5), (45.0, 1.5), (52.0, 0.3), (58.0, 0.0)];
const CHARGE_PHOSPHATE: [(f64, f64); 8] =
    [(0.0, 0.0), (5.0, 0.1), (10.0, 0.3), (15.0, 0.6), (25.0, 1.5), (45.0, 1.5), (55.0, 0.3), (60.0, 0.0)];

/// Discharge in C against temperature in °C.
const DISCHARGE: [(f64, f64); 6] =
    [(-30.0, 0.1), (-20.0, 0.7), (0.0, 2.5), (10.0, 4.0), (50.0, 4.0), (60.0, 0.0)];

/// Share of the charge limit against state of charge: the last fifth needs time.
const CHARGE_SOC: [(f64, f64); 4] = [(0.0, 0.5), (0.1, 1.0), (0.6, 1.0), (1.0, 0.08)];

/// Share of the discharge limit against state of charge.
const DISCHARGE_SOC: [(f64, f64); 4] = [(0.0, 0.0), (0.03, 0.15), (0.12, 1.0), (1.0, 1.0)];

/// Linear between points, constant beyond them.
fn along(points: &[(f64, f64)], at: f64) -> f64 {
    let above = points.partition_point(|point| point.0 < at);
    match (above.checked_sub(1).map(|below| points[below]), points.get(above)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (Some((_, last)), None) => last,
        (None, _) => points[0].1,
    }
}

fn charge_curve(chemistry: Chemistry) -> &'static [(f64, f64)] {
    match chemistry {
        Chemistry::Nca | Chemistry::Nmc => &CHARGE_LAYERED,
        Chemistry::Lfp => &CHARGE_PHOSPHATE,
    }
}

/// Limits at a temperature (the coldest cell's for charge, the hottest's above 40 °C) and charge. `resistance_factor` is
/// that relative to new: a cell that heats twice as much may take and give a square root of two less.
#[must_use]
pub fn current_limits(chemistry: Chemistry, soc: f64, temp_c: f64, resistance_factor: f64) -> CurrentLimits {
    // What is not known is not allowed.
    if !(soc.is_finite() && temp_c.is_finite()) {
        return CurrentLimits { charge_c: 0.0, discharge_c: 0.0 };
    }
    let aged = (1.0 / resistance_factor.clamp(1.0, 4.0)).sqrt();
    let charge_c = along(charge_curve(chemistry), temp_c) * along(&CHARGE_SOC, soc) * aged;
    let discharge_c = along(&DISCHARGE, temp_c) * along(&DISCHARGE_SOC, soc) * aged;
    // A full cell takes nothing more.
    CurrentLimits { charge_c: if soc >= 1.0 { 0.0 } else { charge_c }, discharge_c }
}

/// Temperature in °C from which on a cell takes that current, if there is one.
#[must_use]
pub fn warm_enough_c(chemistry: Chemistry, charge_c: f64) -> Option<f64> {
    let mut curve = charge_curve(chemistry).windows(2);
    curve.find_map(|pair| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        (y0 < charge_c && charge_c <= y1).then(|| x0 + (x1 - x0) * (charge_c - y0) / (y1 - y0))
    })
}
