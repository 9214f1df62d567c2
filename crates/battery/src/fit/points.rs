//! From a log to the samples that equations are made of.

use super::{LoggedRun, Request, Role};
use crate::cell::OCV_TEMP_C;

/// Longest step in a log that is not a gap, in s.
const GAP_S: f64 = 30.0;

/// Least time between two samples that are used, in s.
const SPACING_S: f64 = 0.9;

/// A sample as the equations need it.
pub(super) struct Point {
    pub dt_s: f64,
    pub gap: bool,
    pub used: bool,
    pub soc: f64,
    pub temp_c: f64,
    pub current_a: f64,
    pub voltage_v: f64,
    /// Lost in the core in W, by the voltage of the slow discharge.
    pub heat_w: f64,
    /// Below 1 where the model is known not to explain the sample: it must not spoil the rest.
    pub trust: f64,
}

/// The middle one; room temperature of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(OCV_TEMP_C)
}

/// The slow discharge by state of charge, rising.
pub(super) fn slow_curve(request: &Request) -> Vec<(f64, f64)> {
    let slow = request.runs.iter().filter(|run| run.role == Role::Slow);
    let mut curve: Vec<(f64, f64)> = slow
        .flat_map(|run| run.soc(request.capacity_ah).into_iter().zip(&run.samples))
        .map(|(soc, sample)| (soc, sample.voltage_v))
        .collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    curve
}

/// Voltage on a curve that [`slow_curve`] made: of the sample above, of the last one beyond the end.
pub(super) fn voltage_at(curve: &[(f64, f64)], soc: f64) -> f64 {
    let above = curve.partition_point(|(node, _)| *node < soc).min(curve.len().saturating_sub(1));
    curve.get(above).map_or(f64::NAN, |(_, voltage_v)| *voltage_v)
}

/// Each of a run's samples, with the charge that a slow discharge's voltage says is lost as heat.
pub(super) fn points(run: &LoggedRun, capacity_ah: f64, rest: &[(f64, f64)]) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::with_capacity(run.samples.len());
    let (mut last_s, mut used_s, mut used_a) = (f64::NAN, f64::NEG_INFINITY, 0.0);
    for (sample, soc) in run.samples.iter().zip(run.soc(capacity_ah)) {
        let dt_s = if out.is_empty() { 0.0 } else { sample.time_s - last_s };
        if !out.is_empty() && dt_s <= 0.0 {
            continue;
        }
        last_s = sample.time_s;
        let temp_c =
            sample.cell_temp_c.or(sample.ambient_c).filter(|temp| temp.is_finite()).unwrap_or(OCV_TEMP_C);
        let gap = dt_s > GAP_S && run.role != Role::Slow;
        let rest_v = voltage_at(rest, soc);
        // A pulse's first tenths of a second, and then a sample a second.
        let turned = (sample.current_a - used_a).abs() > 0.2;
        let used = (sample.time_s - used_s >= SPACING_S || turned) && soc > -0.005 && !gap;
        if used {
            (used_s, used_a) = (sample.time_s, sample.current_a);
        }
        out.push(Point {
            dt_s,
            gap,
            used,
            soc,
            temp_c,
            current_a: sample.current_a,
            voltage_v: sample.voltage_v,
            heat_w: (sample.current_a * (sample.voltage_v - rest_v)).clamp(0.0, 100.0),
            trust: 1.0,
        });
    }
    out
}
