//! Belief in a cell's charge at the first voltage: the claim, as far as that voltage leaves it standing, and what the voltage
//! says by itself.
//!
//! A claim is a prior, not knowledge: as probable as not to be right. What it is worth after the first voltage is Bayes' rule
//! over all charges. On a steep curve a voltage that agrees is strong evidence, and one that does not refutes the claim; on a
//! flat curve either is weak, and both stay: the interval is wide there and says so.

use super::Noise;
use crate::{Cell, cell::CellAtTemperature};

/// Probability that a claim is right, before a voltage is seen: nobody knows; half.
const CLAIM_PROBABILITY: f64 = 0.5;

/// The same by parameters that nobody fitted to the cell: their voltages hardly tell a wrong claim from a right one, so that
/// a wrong one stays for long. With [`UNFITTED_CLAIM_SD`], 93 % of drives from any claim stay within two deviations.
const UNFITTED_CLAIM_PROBABILITY: f64 = 0.3;

/// Standard deviation of a claim that is right.
pub(super) const CLAIM_SD: f64 = 0.003;

/// The same where the parameters are not fitted: their charge and that of the claim are not counted by the same curve.
const UNFITTED_CLAIM_SD: f64 = 0.02;

/// Standard deviations from where a steep curve puts the charge by which a claim may be off.
const REFUTED: f64 = 4.0;

/// Error of a voltage at rest in any case, in V: it has not rested long enough, and sensors round.
const RESTED_SD_V: f64 = 0.004;

/// Error that relaxation after a load within the last hour adds, in V.
const UNRESTED_V: f64 = 0.02;

/// Intervals of charge that the voltage is compared at.
const STEPS: usize = 200;

/// Widest part of the charge that one filter stands for. A filter's distribution is normal; what a flat curve leaves is not.
const PART: f64 = 0.08;

/// Standard deviations below which one filter is enough: by the slope where the voltage fits best, and over all charges.
const NARROW: f64 = 0.06;
const WIDE: f64 = 0.1;

/// Weight below which a part is not followed.
const LEAST: f64 = 1e-3;

/// A charge that is believed, with its standard deviation and probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub soc: f64,
    pub soc_sd: f64,
    pub weight: f64,
}

/// Belief: the claim, where one is left, and parts of what the voltage says. Weights add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Belief {
    pub claim: Option<Part>,
    pub parts: Vec<Part>,
}

/// First sample of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub voltage_v: f64,
    /// 0 where it is no more than an offset.
    pub current_a: f64,
    pub temp_c: f64,
    /// What hysteresis may add, in V.
    pub hysteresis_v: f64,
}

/// Weighs a claim against the first voltage.
pub(super) fn weigh(
    cell: &Cell,
    cell_at: &CellAtTemperature<'_>,
    first: &First,
    claimed: Option<f64>,
) -> Belief {
    let sd_v = |soc: f64, unrested_v: f64| {
        let noise = Noise::at(cell, first.temp_c, soc, [0.0; 2], first.current_a);
        noise.error_sd_v.hypot(first.hysteresis_v).hypot(unrested_v) + RESTED_SD_V
    };
    let log_likelihood = |soc: f64, unrested_v: f64| {
        let sd_v = sd_v(soc, unrested_v);
        let away = (first.voltage_v - cell_at.ocv_v(soc) - cell_at.instant_v(soc, first.current_a)) / sd_v;
        -0.5 * away * away - sd_v.ln()
    };
    let soc_of = |step: usize| step as f64 / STEPS as f64;
    let shares_of = |unrested_v: f64| {
        let logs: Vec<f64> = (0..=STEPS).map(|step| log_likelihood(soc_of(step), unrested_v)).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (logs.iter().map(|log| (log - most).exp()).collect::<Vec<f64>>(), most)
    };
    let (unrested, _) = shares_of(UNRESTED_V);
    let (_, sd) = moments((0..=STEPS).map(|step| (soc_of(step), unrested[step])));
    let best = soc_from_voltage(cell, cell_at, first);
    let local_sd = sd_v(best, 0.0) / cell.slope_v(best).max(0.1);
    let narrow = local_sd <= NARROW && sd <= WIDE;
    // Where a few millivolts decide over tens of percent, a cell must not be taken to have rested.
    let unrested_v = if narrow { 0.0 } else { UNRESTED_V };
    let (shares, most) = shares_of(unrested_v);
    let total: f64 = shares.iter().sum();
    let by_voltage = total / shares.len() as f64;
    let claim = claimed
        .filter(|soc| !narrow || (soc - best).abs() <= REFUTED * local_sd)
        .map(|soc| (soc, (log_likelihood(soc.clamp(0.0, 1.0), unrested_v) - most).exp()));
    let is_fitted = cell.params().model_error.soc_shift == 0.0;
    let (probability, claim_sd) = if is_fitted {
        (CLAIM_PROBABILITY, CLAIM_SD)
    } else {
        (UNFITTED_CLAIM_PROBABILITY, UNFITTED_CLAIM_SD)
    };
    let claim_mass = probability * claim.map_or(0.0, |(_, likelihood)| likelihood);
    let mass = claim_mass + (1.0 - probability) * by_voltage;
    let claim_weight = claim_mass / mass;
    let parts =
        if narrow { vec![Part { soc: best, soc_sd: local_sd, weight: 1.0 }] } else { split(&shares, total) };
    let scale = 1.0 - claim_weight;
    let parts = parts.into_iter().map(|part| Part { weight: part.weight * scale, ..part });
    let mut parts: Vec<Part> = parts.filter(|part| part.weight >= LEAST).collect();
    let claim = claim
        .map(|(soc, _)| Part { soc, soc_sd: claim_sd, weight: claim_weight })
        .filter(|claim| claim.weight >= LEAST || parts.is_empty());
    let sum: f64 = parts.iter().chain(&claim).map(|part| part.weight).sum();
    parts.iter_mut().for_each(|part| part.weight /= sum);
    Belief { claim: claim.map(|claim| Part { weight: claim.weight / sum, ..claim }), parts }
}

/// SoC at which a cell that has rested until now would show this voltage under this current.
fn soc_from_voltage(cell: &Cell, cell_at: &CellAtTemperature<'_>, first: &First) -> f64 {
    let mut soc = cell.soc_at_rest(first.voltage_v, first.temp_c);
    for _ in 0..8 {
        soc = cell.soc_at_rest(first.voltage_v - cell_at.instant_v(soc, first.current_a), first.temp_c);
    }
    soc
}

/// Equal pieces of the charge, each as wide as a part may be.
fn split(shares: &[f64], total: f64) -> Vec<Part> {
    let width = (PART * STEPS as f64) as usize;
    let pieces = shares.chunks(width).enumerate().map(|(piece, shares)| {
        let soc_of = |at: usize| (piece * width + at) as f64 / STEPS as f64;
        let (soc, sd) = moments(shares.iter().enumerate().map(|(at, share)| (soc_of(at), *share)));
        // Neighbours overlap a little, so that nothing between them is lost.
        Part { soc, soc_sd: sd.max(PART / 12f64.sqrt()), weight: shares.iter().sum::<f64>() / total }
    });
    pieces.filter(|part| part.weight >= LEAST).collect()
}

fn moments(weighted: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let total: f64 = weighted.clone().map(|(_, weight)| weight).sum::<f64>().max(1e-300);
    let mean = weighted.clone().map(|(value, weight)| value * weight).sum::<f64>() / total;
    let variance = weighted.map(|(value, weight)| weight * (value - mean).powi(2)).sum::<f64>() / total;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CellParams, Chemistry};

    fn belief(chemistry: Chemistry, truth: f64, claimed: Option<f64>) -> Belief {
        let cell = Cell::new(CellParams::generic(chemistry, 2.9)).expect("a preset");
        let cell_at = cell.at(25.0);
        let first = First {
            voltage_v: cell_at.ocv_v(truth),
            current_a: 0.0,
            temp_c: 25.0,
            hysteresis_v: cell.params().hysteresis.max_v,
        };
        weigh(&cell, &cell_at, &first, claimed)
    }

    fn claim_weight(chemistry: Chemistry, truth: f64, claimed: f64) -> f64 {
        belief(chemistry, truth, Some(claimed)).claim.map_or(0.0, |claim| claim.weight)
    }

    #[test]
    fn a_steep_curve_decides_and_a_flat_one_does_not() {
        for truth in [0.1, 0.3, 0.6, 0.9] {
            assert!(claim_weight(Chemistry::Nca, truth, truth) > 0.85, "{truth}");
            assert!(claim_weight(Chemistry::Nca, truth, truth - 0.08) < 0.01, "{truth}");
            assert!(
                claim_weight(Chemistry::Lfp, truth, 1.0) < 0.05,
                "a full LFP cell has another voltage than at {truth}"
            );
        }
        for claimed in [0.4, 0.5, 0.6] {
            let weight = claim_weight(Chemistry::Lfp, 0.5, claimed);
            assert!((0.05..0.9).contains(&weight), "mid range tells little: {weight} for {claimed}");
        }
    }

    #[test]
    fn weights_add_up_and_the_truth_is_within() {
        for chemistry in [Chemistry::Nca, Chemistry::Nmc, Chemistry::Lfp] {
            for truth in (0..=20).map(|step| f64::from(step) / 20.0) {
                for claimed in [None, Some(0.0), Some(0.37), Some(1.0)] {
                    let belief = belief(chemistry, truth, claimed);
                    let all = || belief.parts.iter().chain(&belief.claim);
                    let sum: f64 = all().map(|part| part.weight).sum();
                    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
                    let mean: f64 = all().map(|part| part.weight * part.soc).sum();
                    let variance: f64 = all()
                        .map(|part| part.weight * (part.soc_sd.powi(2) + (part.soc - mean).powi(2)))
                        .sum();
                    let away = (mean - truth).abs();
                    assert!(
                        away <= 2.0 * variance.sqrt() + 0.005,
                        "{chemistry:?} {truth} {claimed:?}: {mean} ± {variance}"
                    );
                }
            }
        }
    }
}
