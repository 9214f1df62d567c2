//! The fastest charge that limits allow.
//!
//! With limits that depend on the state alone the fastest way to a charge is to go along them: as much current at each
//! moment as temperature, voltage and power leave. A bound on ageing then lowers all of it by one factor, the largest that
//! meets the bound.

use super::current_limits;
use crate::{
    Cell, CellState, Health,
    ageing::{Ageing, Use},
    units::HOUR_S,
};
use serde::Serialize;

/// Step of the plan in s.
const STEP_S: f64 = 30.0;

/// Longest plan in h.
const MOST_H: f64 = 72.0;

/// Request for a charge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeRequest {
    /// State of charge at the start and at the end.
    pub soc: (f64, f64),
    /// Temperature at the start, in °C.
    pub temp_c: f64,
    /// Of the surroundings, in °C.
    pub ambient_c: f64,
    /// Most power into one cell, in W.
    pub power_w: f64,
    /// Hottest that the core may get, in °C.
    pub hottest_c: f64,
    /// Most capacity that this charge may cost, as a fraction; infinite for no bound.
    pub loss: f64,
}

/// A moment of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChargeStep {
    /// Seconds since the start.
    pub time_s: f64,
    /// Current into one cell in A.
    pub current_a: f64,
    /// Its voltage in V.
    pub voltage_v: f64,
    /// State of charge.
    pub soc: f64,
    /// Core temperature in °C.
    pub temp_c: f64,
}

/// The whole plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChargePlan {
    /// Each half minute.
    pub steps: Vec<ChargeStep>,
    /// Until the target, in s; `None` if it is not reached in three days (too cold to charge).
    pub seconds: Option<f64>,
    /// Capacity that it costs, as a fraction, by the cycle law.
    pub loss: f64,
    /// Energy into the cell in Wh.
    pub energy_wh: f64,
    /// Hottest core temperature in °C.
    pub hottest_c: f64,
}

/// Plans a charge.
#[must_use]
pub fn plan(cell: &Cell, health: &Health, request: &ChargeRequest) -> ChargePlan {
    let fastest = follow(cell, health, request, 1.0);
    if fastest.loss <= request.loss {
        return fastest;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..12 {
        let middle = f64::midpoint(low, high);
        if follow(cell, health, request, middle).loss <= request.loss { low = middle } else { high = middle }
    }
    // Some loss cannot be avoided by any current: then as slowly as a sixteenth.
    follow(cell, health, request, low.max(1.0 / 16.0))
}

fn follow(cell: &Cell, health: &Health, request: &ChargeRequest, share: f64) -> ChargePlan {
    let chemistry = cell.params().chemistry;
    let highest_v = chemistry.voltage_window_v().1;
    let mut state = CellState::rested(request.soc.0, request.temp_c);
    let mut plan =
        ChargePlan { steps: Vec::new(), seconds: None, loss: 0.0, energy_wh: 0.0, hottest_c: request.temp_c };
    let (mut time_s, mut moved_ah, mut temp_sum) = (0.0, 0.0, 0.0);
    let mut last_a = 0.0;
    while time_s < MOST_H * HOUR_S {
        if state.soc >= request.soc.1 {
            plan.seconds = Some(time_s);
            break;
        }
        let limits = current_limits(chemistry, state.soc, state.core_temp_c, health.resistance_factor);
        let mut current_a = share * limits.charge_c * health.capacity_ah;
        // Towards the hottest the current fades out over three kelvins.
        current_a *= ((request.hottest_c - state.core_temp_c) / 3.0).clamp(0.0, 1.0);
        let voltage = |current_a: f64| cell.voltage_v(health, &state, current_a);
        current_a = current_a.min(request.power_w / voltage(last_a).max(0.5));
        if voltage(current_a) > highest_v {
            let (mut low, mut high) = (0.0, current_a);
            for _ in 0..20 {
                let middle = f64::midpoint(low, high);
                if voltage(middle) > highest_v { high = middle } else { low = middle }
            }
            current_a = low;
        }
        // Not beyond the target.
        current_a =
            current_a.min((request.soc.1 - state.soc) * health.capacity_ah * HOUR_S / STEP_S * 1.0001);
        let voltage_v = voltage(current_a);
        plan.steps.push(ChargeStep {
            time_s,
            current_a,
            voltage_v,
            soc: state.soc,
            temp_c: state.core_temp_c,
        });
        cell.step(health, &mut state, current_a, request.ambient_c, STEP_S);
        plan.energy_wh += current_a * voltage_v * STEP_S / HOUR_S;
        plan.hottest_c = plan.hottest_c.max(state.core_temp_c);
        moved_ah += current_a * STEP_S / HOUR_S;
        temp_sum += state.core_temp_c * current_a * STEP_S / HOUR_S;
        last_a = current_a;
        time_s += STEP_S;
    }
    if moved_ah > 0.0 {
        let depth = moved_ah / health.capacity_ah;
        let soc = request.soc.0 + depth / 2.0;
        let mut ageing = Ageing::new(chemistry);
        let temp_c = temp_sum / moved_ah;
        ageing.cycle(&Use {
            depth,
            full_cycles: depth / 2.0,
            soc,
            voltage_v: cell.ocv_v(soc, temp_c),
            temp_c,
            c_rate: moved_ah / (time_s / HOUR_S) / health.capacity_ah,
        });
        plan.loss = ageing.loss().cycle;
    }
    plan
}
