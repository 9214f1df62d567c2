//! Whether a limit was needed, by what a recording shows around it.
//!
//! A recording obeys nothing: what would have happened without the limit is on record.

use voltmesh_battery::pack::PackSample;
use voltmesh_control::Action;

/// Seconds before and after a command in which the recording must show what the command guards against: as long as functions keep a
/// limit whose cause is gone, and three samples by which they know it.
const AROUND_S: f64 = 63.0;

/// Volts from a bound within which a cell counts as having reached it: about what cells of a pack and their sensors differ by.
const NEAR_V: f64 = 0.05;

/// Volts above a cell's lowest that a discharge limit keeps: the default of `floor_v` of the function `discharge-control`.
const FLOOR_V: f64 = 0.15;

/// °C from which on a battery is charged and driven with less (JEITA's upper range begins at 45 °C).
const HOT_C: f64 = 45.0;

/// °C up to which lithium is plated by ordinary currents (JEITA's lowest range ends at 0 °C; a sensor is right within one).
const COLD_C: f64 = 1.0;

/// Whether the recording of a pack of `series` groups, with cells used within `window_v`, reaches what the action guards against within a
/// minute of `at_s`, a time of the recording in s.
pub fn needed(
    samples: &[PackSample],
    series: usize,
    window_v: (f64, f64),
    at_s: f64,
    action: &Action,
) -> bool {
    let first = samples.partition_point(|sample| sample.time_s < at_s - AROUND_S);
    let mut around = samples[first..].iter().take_while(|sample| sample.time_s <= at_s + AROUND_S);
    around.any(|sample| {
        let mean_v = [sample.voltage_v / series as f64];
        let cells_v = if sample.cells_v.is_empty() { &mean_v[..] } else { &sample.cells_v };
        let empty = cells_v.iter().any(|volts| *volts <= window_v.0 + FLOOR_V + NEAR_V);
        let full = cells_v.iter().any(|volts| *volts >= window_v.1 - NEAR_V);
        let hot = sample.temps_c.iter().any(|temp_c| *temp_c >= HOT_C);
        let cold = sample.temps_c.iter().any(|temp_c| *temp_c <= COLD_C);
        match action {
            Action::DischargeLimit(_) => empty,
            Action::ChargeLimit(_) | Action::StopCharging => sample.current_a > 0.0 && (full || hot || cold),
            Action::Derate(_) => hot,
            Action::TargetTemperature(_) | Action::Balance(_) | Action::SamplingRate(_) => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten minutes of one cell: at 3.6 V, and for the seconds from 300 on at that voltage, temperature and current.
    fn recording(voltage_v: f64, temp_c: f64, current_a: f64) -> Vec<PackSample> {
        (0..600)
            .map(|s| {
                let odd = (300..310).contains(&s);
                PackSample {
                    time_s: f64::from(s),
                    voltage_v: if odd { voltage_v } else { 3.6 },
                    current_a: if odd { current_a } else { -1.0 },
                    temps_c: vec![if odd { temp_c } else { 25.0 }],
                    ..PackSample::default()
                }
            })
            .collect()
    }

    #[test]
    fn a_limit_is_needed_within_a_minute_of_what_it_guards_against() {
        let window_v = (2.5, 4.2);
        let cases = [
            (Action::DischargeLimit(1_000), recording(2.69, 25.0, -5.0), true),
            (Action::DischargeLimit(1_000), recording(2.71, 25.0, -5.0), false),
            (Action::ChargeLimit(1_000), recording(4.18, 25.0, 2.0), true),
            (Action::ChargeLimit(1_000), recording(4.18, 25.0, -2.0), false),
            (Action::StopCharging, recording(3.9, -5.0, 2.0), true),
            (Action::StopCharging, recording(3.9, 10.0, 2.0), false),
            (Action::Derate(500_000), recording(3.6, 50.0, -5.0), true),
            (Action::Derate(500_000), recording(3.6, 30.0, -5.0), false),
        ];
        for (action, samples, right) in cases {
            for (at_s, near) in [(100.0, false), (245.0, true), (305.0, true), (365.0, true), (400.0, false)]
            {
                let is = needed(&samples, 1, window_v, at_s, &action);
                assert_eq!(is, right && near, "{action:?} at {at_s} s");
            }
        }
    }
}
