//! Voltage at rest along the charge, its hysteresis, the capacity, and whether a file contradicts itself in them.

use super::{electrode::Electrode, fields::Section};
use crate::{Chemistry, Error, cell::OCV_TEMP_C, units::ZERO_CELSIUS_K};

/// Intervals of SoC: as fine as a cell resamples its curve to, so that nothing is cut off at the steep ends.
pub(super) const STEPS: usize = 200;

/// Distance, in V, by which a curve may leave the file's own cut-offs: its tables and stoichiometries are rounded.
const CUT_OFF_V: f64 = 0.01;

/// Fall of a curve from node to node, in V, that is taken where it should rise: rounding in tables.
const ROUNDED_V: f64 = 1e-3;

/// Rise that a flat piece gets from node to node, in V: curves have to rise strictly. 200 of them are 2 mV.
const LEAST_RISE_V: f64 = 1e-5;

/// Relative difference of the electrodes' capacities up to which they agree.
const SAME: f64 = 0.02;

/// Relative difference from the nominal capacity from which on it is remarked on.
const REMARKED: f64 = 0.01;

/// Ratio of two capacities of one cell above which one of them has another unit.
const MOST_RATIO: f64 = 8.0;

/// Distance of a full cell's voltage below its upper cut-off that is remarked on, in V.
const FAR_V: f64 = 0.1;

/// Voltages at half charge that are those of a chemistry over graphite, in V.
const LFP_HALF_V: (f64, f64) = (3.15, 3.45);
const OXIDE_HALF_V: (f64, f64) = (3.45, 4.0);

/// Least voltage of a full oxide cell over graphite, in V.
const OXIDE_FULL_V: f64 = 3.85;

/// The curve.
#[derive(Debug, Clone)]
pub(super) struct OpenCircuit {
    pub soc: Vec<f64>,
    /// Mean of both directions, at 25 °C.
    pub voltage_v: Vec<f64>,
    /// Half of what the directions differ by at each node, in V.
    pub half_gap_v: Vec<f64>,
    pub chemistry: Chemistry,
    pub remarks: Vec<String>,
}

impl OpenCircuit {
    /// Hysteresis as one number for all charges: the mean of what the directions are apart from their middle, in V.
    pub fn hysteresis_v(&self) -> f64 {
        (self.half_gap_v.iter().sum::<f64>() / self.half_gap_v.len() as f64).min(0.5)
    }

    /// Of two electrodes whose potentials are of `reference_k`; `stated` is the chemistry that someone states.
    pub fn of(
        negative: &Electrode,
        positive: &Electrode,
        cell: &Section<'_>,
        reference_k: f64,
        stated: Option<Chemistry>,
    ) -> Result<Self, Error> {
        let soc: Vec<f64> = (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect();
        let warmer_k = OCV_TEMP_C + ZERO_CELSIUS_K - reference_k;
        let mut charged_v = Vec::with_capacity(soc.len());
        let mut discharged_v = Vec::with_capacity(soc.len());
        for place in &soc {
            let (low, high) = (negative.at_rest(*place), positive.at_rest(*place));
            let warm_v = warmer_k * (high.entropic_v_per_k - low.entropic_v_per_k);
            let branches =
                [high.charged_v - low.charged_v + warm_v, high.discharged_v - low.discharged_v + warm_v];
            if branches.iter().any(|volts| !volts.is_finite()) {
                return Err(Error::parameters(format!(
                    "the electrodes' potentials have no value at a charge of {place}: their tables or expressions do not \
                     cover the stoichiometries; extend them"
                )));
            }
            charged_v.push(branches[0]);
            discharged_v.push(branches[1]);
        }
        let mut remarks = Vec::new();
        let exchanged = exchanged(&charged_v, &discharged_v)?;
        if exchanged {
            remarks.push(
                "potentials of lithiation and delithiation are exchanged in the file (lithiation is the lower one, or the \
                 cell would give energy for nothing): they are taken the other way round"
                    .into(),
            );
            std::mem::swap(&mut charged_v, &mut discharged_v);
        }
        let half_gap_v: Vec<f64> = charged_v
            .iter()
            .zip(&discharged_v)
            .map(|(up, down)| f64::midpoint(*up, -*down).max(0.0))
            .collect();
        let mean: Vec<f64> =
            charged_v.iter().zip(&discharged_v).map(|(up, down)| f64::midpoint(*up, *down)).collect();
        let voltage_v = rising(&soc, &mean)?;
        let chemistry = chemistry(&voltage_v, stated, &mut remarks)?;
        cut_offs(cell, &discharged_v, &charged_v, &mut remarks)?;
        Ok(Self { soc, voltage_v, half_gap_v, chemistry, remarks })
    }
}

/// Whether the branches stand under each other's name: the voltage after charging is the higher one, everywhere.
fn exchanged(charged_v: &[f64], discharged_v: &[f64]) -> Result<bool, Error> {
    let gaps = || charged_v.iter().zip(discharged_v).map(|(up, down)| up - down);
    let above = gaps().any(|gap| gap > ROUNDED_V);
    let below = gaps().any(|gap| gap < -ROUNDED_V);
    if above && below {
        return Err(Error::parameters(
            "potentials of lithiation and delithiation cross: at some charges one is the higher, at others the other; a \
             potential of lithiation is the lower one everywhere",
        ));
    }
    Ok(below)
}

/// Refuses a curve that falls; gives its flat pieces a rise that does not show.
fn rising(soc: &[f64], mean: &[f64]) -> Result<Vec<f64>, Error> {
    let mut voltage_v: Vec<f64> = Vec::with_capacity(mean.len());
    for (place, volts) in soc.iter().zip(mean) {
        let least = voltage_v.last().map_or(*volts, |last| last + LEAST_RISE_V);
        if *volts < least - LEAST_RISE_V - ROUNDED_V {
            return Err(Error::parameters(format!(
                "the voltage at rest falls from {:.4} to {volts:.4} V at a charge of {place}: it has to rise with charge; \
                 correct the potentials or the stoichiometries",
                least - LEAST_RISE_V
            )));
        }
        voltage_v.push(volts.max(least));
    }
    Ok(voltage_v)
}

fn chemistry(
    voltage_v: &[f64],
    stated: Option<Chemistry>,
    remarks: &mut Vec<String>,
) -> Result<Chemistry, Error> {
    let (half_v, full_v) = (voltage_v[STEPS / 2], voltage_v[STEPS]);
    let within = |volts: f64, range: (f64, f64)| (range.0..range.1).contains(&volts);
    let oxide = within(half_v, OXIDE_HALF_V) && full_v > OXIDE_FULL_V;
    let phosphate = within(half_v, LFP_HALF_V) && full_v < OXIDE_FULL_V;
    let shown = format!("{half_v:.2} V when half full and {full_v:.2} V when full");
    match stated {
        Some(chemistry)
            if (chemistry == Chemistry::Lfp && phosphate) || (chemistry != Chemistry::Lfp && oxide) =>
        {
            Ok(chemistry)
        }
        Some(chemistry) => Err(Error::parameters(format!(
            "{shown} is not that of {chemistry:?} over graphite, for which --chemistry asks: limits and ageing would be \
             those of another cell"
        ))),
        None if phosphate => {
            remarks.push(format!("taken for Lfp by its {shown}; --chemistry states another"));
            Ok(Chemistry::Lfp)
        }
        None if oxide => {
            remarks.push(format!("taken for Nmc by its {shown}; Nca looks alike: --chemistry states it"));
            Ok(Chemistry::Nmc)
        }
        None => Err(Error::parameters(format!(
            "{shown} is that of no chemistry that is recognised: state it with --chemistry (nca, nmc or lfp, all over \
             graphite; a titanate electrode is not modelled)"
        ))),
    }
}

fn cut_offs(
    cell: &Section<'_>,
    discharged_v: &[f64],
    charged_v: &[f64],
    remarks: &mut Vec<String>,
) -> Result<(), Error> {
    let cut_off = |key: &str| cell.maybe(key, (0.1, 10.0));
    let (lower, upper) = (cut_off("Lower voltage cut-off [V]")?, cut_off("Upper voltage cut-off [V]")?);
    let last = charged_v.len() - 1;
    // With hysteresis a file does not say which direction its stoichiometries are of: one of them has to keep the limit.
    let (empty_v, full_v) = (charged_v[0], discharged_v[last]);
    if lower.is_none() || upper.is_none() {
        remarks.push(
            "the file has not both cut-off voltages: empty and full are not checked against them".into(),
        );
    }
    let wrong = |what: &str, volts: f64, limit: f64| {
        Err(Error::parameters(format!(
            "the cell at rest has {volts:.3} V when {what}, beyond its own cut-off of {limit} V: correct the potentials, \
             the stoichiometries or the cut-off"
        )))
    };
    if let Some(limit) = upper.filter(|limit| charged_v[last] < limit - FAR_V) {
        remarks.push(format!(
            "the cell at rest has {:.3} V when full, and its upper cut-off is {limit} V: potentials or stoichiometries may \
             be wrong, or the cut-off is one under load",
            charged_v[last]
        ));
    }
    match (lower, upper) {
        (Some(limit), _) if empty_v < limit - CUT_OFF_V => wrong("empty", empty_v, limit),
        (_, Some(limit)) if full_v > limit + CUT_OFF_V => wrong("full", full_v, limit),
        (_, Some(limit)) if discharged_v[0] > limit => wrong("empty", discharged_v[0], limit),
        (Some(limit), _) if charged_v[last] < limit => wrong("full", charged_v[last], limit),
        _ => Ok(()),
    }
}

/// Charge in Ah between the stoichiometries of empty and full, which is what state of charge counts here. The nominal
/// capacity is another thing (a rated one, often at 1C): it is taken only where the electrodes contradict each other.
///
/// # Errors
///
/// [`Error::Parameters`] for capacities of which one is more than eight times another: a length, an area or a concentration is then
/// in another unit, and so is all that is made of it.
pub(super) fn capacity(
    negative: &Electrode,
    positive: &Electrode,
    nominal_ah: f64,
    remarks: &mut Vec<String>,
) -> Result<f64, Error> {
    let (low, high) = (negative.capacity_ah, positive.capacity_ah);
    let all = [low, high, nominal_ah];
    let (least, most) =
        all.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), ah| (least.min(*ah), most.max(*ah)));
    if most > MOST_RATIO * least {
        return Err(Error::parameters(format!(
            "the capacity is {low:.3} Ah by the negative and {high:.3} Ah by the positive electrode, and {nominal_ah} Ah by the \
             nominal one: check the units of areas, thicknesses and concentrations, the number of electrode pairs, and the \
             stoichiometries"
        )));
    }
    if (low - high).abs() > SAME * low.max(high) {
        remarks.push(format!(
            "the stoichiometries make {low:.3} Ah of the negative and {high:.3} Ah of the positive electrode, which \
             contradict each other: the nominal {nominal_ah} Ah is taken; check area, concentrations and stoichiometries"
        ));
        return Ok(nominal_ah);
    }
    let found_ah = f64::midpoint(low, high);
    if (found_ah - nominal_ah).abs() > REMARKED * nominal_ah {
        remarks.push(format!(
            "capacity {found_ah:.3} Ah by both electrodes' stoichiometries, which the state of charge counts by; the \
             nominal {nominal_ah} Ah is not taken"
        ));
    }
    Ok(found_ah)
}
