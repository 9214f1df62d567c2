//! A twin's state as signals of COVESA VSS v6, branch Vehicle.Powertrain.TractionBattery.

use crate::{passport::Passport, twin::State};
use std::collections::BTreeMap;

/// Root of the branch.
const ROOT: &str = "Vehicle.Powertrain.TractionBattery";

/// Signals by full path, in the units of the specification: percent, amperes, kWh, hours. What VSS has no signal for
/// stands below the private branch `Voltmesh`.
#[must_use]
pub fn signals(state: &State, passport: &Passport) -> BTreeMap<String, f64> {
    let rounded = |value: f64, step: f64| (value / step).round() * step;
    let hundredths = |value: f64| rounded(value, 0.01);
    [
        ("StateOfCharge.Current", hundredths(100.0 * state.soc.value)),
        ("StateOfCharge.Displayed", rounded(100.0 * state.soc.value, 1.0)),
        ("StateOfHealth", hundredths(100.0 * state.soh_capacity.value)),
        ("Charging.MaximumChargingCurrent.DC", hundredths(state.limits.charge_a)),
        ("AccumulatedConsumedThroughput", hundredths(passport.capacity_throughput_ah)),
        ("Voltmesh.StateOfCharge.Deviation", hundredths(100.0 * state.soc.sd)),
        ("Voltmesh.StateOfEnergy", hundredths(100.0 * state.soe.value)),
        ("Voltmesh.ResistanceIncrease", hundredths(100.0 * (state.soh_resistance.value - 1.0))),
        ("Voltmesh.Limit.DischargeCurrent", hundredths(state.limits.discharge_a)),
        ("Voltmesh.Power.Discharge10s", rounded(state.power.discharge_w[1].value, 1.0)),
        ("Voltmesh.Power.Charge10s", rounded(state.power.charge_w[1].value, 1.0)),
        ("Voltmesh.FullCycles", hundredths(passport.number_of_full_cycles)),
    ]
    .into_iter()
    .map(|(path, value)| (format!("{ROOT}.{path}"), value))
    .collect()
}
