//! Estimation of a cell's state from what its sensors say.
//!
//! The first voltage, of a cell that is taken to have rested, says where the charge is, as far as the curve lets it; a claim
//! is a prior that this voltage can overrule ([`prior`]). Where a claim stands, two filters run for it: the current sensor is
//! right too; it has an offset. What the voltage says by itself is followed beside them, by several filters where it is too
//! wide for one. Each is as probable as it foresaw the voltages (multiple-model estimation: Bar-Shalom, Li, Kirubarajan 2001,
//! 11.6.2); what is said is their mixture. Version of the method: [`VERSION`].

mod evaluate;
mod filter;
mod noise;
pub mod power;
mod prior;
mod slow;

pub use evaluate::{Evaluation, FileScore, Options, Trace, evaluate};
pub use noise::Noise;
pub use slow::Ageing;

use crate::{Cell, Health, Sample, cell::CellAtTemperature, units::HOUR_S};
use filter::Filter;
use prior::{First, Part};
use slow::{Seen, Slow};
use std::sync::Arc;

/// Name and version of the method, which goes wherever an estimate goes.
pub const VERSION: &str = "srckf-mm/3";

/// Time in s after which a hypothesis can be dropped.
const UNDECIDED_S: f64 = 1_800.0;

/// Probability below which it is.
const HOPELESS: f64 = 1e-4;

/// Longest time in s between samples over which the last current is taken to have flowed on; after a longer one nothing is
/// known of relaxation.
pub const GAP_S: f64 = 600.0;

/// Samples that tell as much about a hypothesis as one: the errors of the model stay alike for minutes.
const ALIKE: f64 = 200.0;

/// Standard deviations within which the means of two parts are alike.
const ALIKE_SD: f64 = 0.7;

/// Share of the time for which the model's errors stay alike, after which a voltage tells parts apart once more: a part that
/// is wrong meets one step of the curve after the other.
const LOOK: f64 = 0.1;

/// Logarithm of the odds of a right sensor against one with an offset, where the claimed charge is right.
const SENSOR_TRUST: f64 = 1.0;

/// Offset of a current sensor in A for each Ah of the cell, one standard deviation: 0.05 A for 2.9 Ah.
const OFFSET_PER_AH: f64 = 0.017;

/// Estimate of a cell's state, with standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// State of charge, 0..1.
    pub soc: f64,
    /// Its standard deviation.
    pub soc_sd: f64,
    /// Offset of the current sensor in A: measured less true.
    pub offset_a: f64,
    /// Its standard deviation.
    pub offset_sd_a: f64,
    /// Voltage that was expected before it was measured, in V.
    pub expected_v: f64,
}

/// The state of hysteresis, −1 to 1, by the course of the current: the same for all hypotheses.
#[derive(Debug, Clone, Copy)]
struct Memory {
    mean: f64,
    sd: f64,
}

impl Memory {
    /// Nobody knows which way the cell came.
    const UNKNOWN: Self = Self { mean: 0.0, sd: 1.0 };

    /// Plett's one-state law, exact for a constant current: what was before fades with the charge that moves.
    fn pass(&mut self, cell: &Cell, capacity_ah: f64, current_a: f64, dt_s: f64) {
        if current_a == 0.0 {
            return;
        }
        let moved = current_a * dt_s / HOUR_S / capacity_ah;
        let kept = (-(cell.params().hysteresis.rate * moved).abs()).exp();
        self.mean = current_a.signum() + (self.mean - current_a.signum()) * kept;
        self.sd *= kept;
    }
}

#[derive(Debug, Clone)]
struct Hypothesis {
    filter: Filter,
    log_weight: f64,
    /// Whether it is a part of what the voltage said: such ones are merged where they have become alike.
    part: bool,
}

/// Estimates one cell.
#[derive(Clone)]
pub struct Estimator {
    cell: Arc<Cell>,
    health: Health,
    hypotheses: Vec<Hypothesis>,
    claimed_soc: Option<f64>,
    hysteresis: Memory,
    slow: Option<Slow>,
    learns: bool,
    adapts: bool,
    last: Option<Sample>,
    latest: Option<Estimate>,
    since_s: f64,
}

impl Estimator {
    /// Of a cell whose SoC someone claims to know, or nobody.
    #[must_use]
    pub fn new(cell: Arc<Cell>, health: Health, claimed_soc: Option<f64>) -> Self {
        let hypotheses = Vec::new();
        Self {
            cell,
            health,
            hypotheses,
            claimed_soc,
            hysteresis: Memory::UNKNOWN,
            slow: None,
            learns: true,
            adapts: false,
            last: None,
            latest: None,
            since_s: 0.0,
        }
    }

    /// Lets the fast filter use the capacity and resistance that the slow one finds.
    #[must_use]
    pub fn adapting(mut self) -> Self {
        self.adapts = true;
        self
    }

    /// Runs no slow filter: for one cell of many, whose ageing is known by its difference from the mean.
    #[must_use]
    pub fn charge_only(mut self) -> Self {
        self.learns = false;
        self
    }

    /// What the slow filter knows of capacity and resistance; `None` until the first voltage.
    #[must_use]
    pub fn ageing(&self) -> Option<Ageing> {
        self.slow.as_ref().map(Slow::ageing)
    }

    /// Capacity in Ah that charge is counted by.
    #[must_use]
    pub fn capacity_ah(&self) -> f64 {
        self.health.capacity_ah
    }

    /// Currents of the two RC pairs by the more probable hypothesis, in A; nothing before the first voltage.
    #[must_use]
    pub fn branch_a(&self) -> [f64; 2] {
        self.likeliest().map_or([0.0; 2], |hypothesis| hypothesis.filter.branch_a())
    }

    fn likeliest(&self) -> Option<&Hypothesis> {
        self.hypotheses.iter().max_by(|a, b| a.log_weight.total_cmp(&b.log_weight))
    }

    /// The cell.
    #[must_use]
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Takes a sample. `None` while nothing can be said: until the first voltage. A sample without voltage or temperature
    /// only counts charge; one without current, or not later than the one before, changes nothing.
    pub fn update(&mut self, sample: &Sample) -> Option<Estimate> {
        self.latest = self.advance(sample);
        self.latest
    }

    /// What the last sample led to.
    #[must_use]
    pub fn latest(&self) -> Option<Estimate> {
        self.latest
    }

    fn advance(&mut self, sample: &Sample) -> Option<Estimate> {
        if !sample.time_s.is_finite() || !sample.current_a.is_finite() {
            return self.estimate(f64::NAN);
        }
        let temp_c = sample
            .cell_temp_c
            .or(sample.ambient_c)
            .or(self.last.and_then(|last| last.cell_temp_c))
            .unwrap_or(25.0);
        let mut sample = *sample;
        sample.cell_temp_c = Some(temp_c);
        let voltage = Some(sample.voltage_v).filter(|voltage| (0.5..6.0).contains(voltage));
        let cell = self.cell.clone();
        let cell_at = cell.at(temp_c);
        let doubt = self.hysteresis.sd;
        let noise_of = |filter: &Filter| {
            Noise::at(&cell, temp_c, filter.soc(), filter.branch_a(), sample.current_a)
                .with_hysteresis(&cell, doubt)
        };
        let gap_s = self.last.map_or(0.0, |last| sample.time_s - last.time_s);
        if gap_s > GAP_S && voltage.is_some() {
            // What flowed meanwhile is unknown: begin anew with a voltage, as if rested.
            self.hypotheses.clear();
            self.claimed_soc = None;
            self.hysteresis = Memory::UNKNOWN;
            self.since_s = 0.0;
            if let Some(slow) = &mut self.slow {
                slow.lost();
            }
        }
        if self.hypotheses.is_empty() {
            let voltage_v = voltage?;
            let idle = sample.current_a.abs() <= 3.0 * OFFSET_PER_AH * self.health.capacity_ah;
            let current_a = if idle { 0.0 } else { sample.current_a };
            let first =
                First { voltage_v, current_a, temp_c, hysteresis_v: self.cell.params().hysteresis.max_v };
            self.start(&cell_at, &first);
        } else if let Some(last) = self.last {
            let dt_s = sample.time_s - last.time_s;
            if dt_s <= 0.0 {
                return self.estimate(f64::NAN);
            }
            self.since_s += dt_s;
            self.hysteresis.pass(&cell, self.health.capacity_ah, sample.current_a, dt_s);
            for hypothesis in &mut self.hypotheses {
                let noise = noise_of(&hypothesis.filter);
                hypothesis.filter.predict(&cell_at, self.health.capacity_ah, sample.current_a, dt_s, &noise);
            }
        }
        let dt_s = if gap_s > GAP_S { 0.0 } else { gap_s };
        let mut expected_v = f64::NAN;
        if voltage.is_none()
            && let Some(slow) = &mut self.slow
        {
            slow.blind(sample.current_a, dt_s);
        }
        // What hysteresis adds is known by the current's course: filters see the voltage without it.
        let hysteresis_v = self.hysteresis.mean * cell.params().hysteresis.max_v;
        if let Some(voltage_v) = voltage {
            expected_v = 0.0;
            let weights = self.weights();
            let parts = self.hypotheses.iter().filter(|hypothesis| hypothesis.part).count();
            for (hypothesis, weight) in self.hypotheses.iter_mut().zip(weights) {
                let noise = noise_of(&hypothesis.filter);
                let resistance = self.health.resistance_factor;
                let innovation = hypothesis.filter.correct(
                    &cell_at,
                    resistance,
                    sample.current_a,
                    voltage_v - hysteresis_v,
                    &noise,
                );
                hypothesis.log_weight += if parts > 1 {
                    innovation.look(&noise) * (dt_s / (LOOK * noise.error_s)).min(1.0)
                } else {
                    innovation.log_likelihood() / ALIKE
                };
                expected_v += weight * (voltage_v - innovation.voltage_v);
            }
            self.settle();
            if self.learns {
                let without = Sample { voltage_v: voltage_v - hysteresis_v, ..sample };
                self.learn(&cell_at, &without, temp_c, dt_s);
            }
        }
        self.last = Some(sample);
        self.estimate(expected_v)
    }

    /// Shows the sample to the slow filter, and takes over what that has found.
    fn learn(&mut self, cell_at: &CellAtTemperature<'_>, sample: &Sample, temp_c: f64, dt_s: f64) {
        let Some(best) = self.likeliest() else { return };
        let seen = Seen {
            cell_at,
            soc: best.filter.soc(),
            branch_a: best.filter.branch_a(),
            current_a: sample.current_a,
            voltage_v: sample.voltage_v,
            temp_c,
            dt_s,
        };
        let (soc, soc_sd, offset_sd_a) = (seen.soc, best.filter.soc_sd(), best.filter.offset_sd_a());
        let health = self.health;
        let slow = self.slow.get_or_insert_with(|| Slow::new(&health, soc, soc_sd, offset_sd_a));
        slow.see(&self.cell, &seen);
        if self.adapts {
            let ageing = slow.ageing();
            self.health.capacity_ah = ageing.capacity_ah;
            self.health.resistance_factor = ageing.resistance_factor;
        }
    }

    fn start(&mut self, cell_at: &CellAtTemperature<'_>, first: &First) {
        let cell = self.cell.clone();
        let belief = prior::weigh(&cell, cell_at, first, self.claimed_soc);
        let wide_a = OFFSET_PER_AH * self.health.capacity_ah;
        let doubt = self.hysteresis.sd;
        let mut add = |of: &Part, offset_sd_a: f64, log_weight: f64, part: bool| {
            let noise = Noise::at(&cell, first.temp_c, of.soc, [0.0; 2], first.current_a)
                .with_hysteresis(&cell, doubt);
            let filter = Filter::rested(of.soc, of.soc_sd, offset_sd_a, noise.error_sd_v);
            self.hypotheses.push(Hypothesis { filter, log_weight, part });
        };
        if let Some(claim) = &belief.claim {
            // Both together are as probable as the claim.
            let log_weight = claim.weight.ln() - (1.0 + SENSOR_TRUST.exp()).ln();
            add(claim, wide_a / 50.0, log_weight + SENSOR_TRUST, false);
            add(claim, wide_a, log_weight, false);
        }
        for part in &belief.parts {
            add(part, wide_a, part.weight.ln(), true);
        }
    }

    fn weights(&self) -> Vec<f64> {
        let total: f64 = self.hypotheses.iter().map(|hypothesis| hypothesis.log_weight.exp()).sum();
        self.hypotheses.iter().map(|hypothesis| hypothesis.log_weight.exp() / total).collect()
    }

    /// Keeps weights in range, and drops what has no hope.
    fn settle(&mut self) {
        let best =
            self.hypotheses.iter().map(|hypothesis| hypothesis.log_weight).fold(f64::NEG_INFINITY, f64::max);
        for hypothesis in &mut self.hypotheses {
            // Nothing is ever certain: what comes later can still turn it.
            hypothesis.log_weight = (hypothesis.log_weight - best).max(-30.0);
        }
        if self.since_s > UNDECIDED_S && self.hypotheses.len() > 1 {
            let weights = self.weights();
            let mut weights = weights.iter();
            self.hypotheses.retain(|_| weights.next().is_some_and(|weight| *weight >= HOPELESS));
        }
        self.merge();
    }

    /// Makes one filter of two neighbouring parts that have become alike.
    fn merge(&mut self) {
        let alike = |pair: &[Hypothesis]| {
            let (a, b) = (&pair[0], &pair[1]);
            let apart = (a.filter.soc() - b.filter.soc()).abs();
            a.part && b.part && apart < ALIKE_SD * a.filter.soc_sd().min(b.filter.soc_sd())
        };
        if let Some(at) = self.hypotheses.windows(2).position(alike) {
            let second = self.hypotheses.remove(at + 1);
            let first = &mut self.hypotheses[at];
            let (one, other) = (first.log_weight.exp(), second.log_weight.exp());
            first.filter = first.filter.merged(one / (one + other), &second.filter);
            first.log_weight = (one + other).ln();
        }
    }

    fn estimate(&self, expected_v: f64) -> Option<Estimate> {
        if self.hypotheses.is_empty() {
            return None;
        }
        let weights = self.weights();
        let mix = |value: fn(&Filter) -> f64, sd: fn(&Filter) -> f64| {
            let all = || self.hypotheses.iter().map(|hypothesis| &hypothesis.filter).zip(&weights);
            let mean: f64 = all().map(|(filter, weight)| weight * value(filter)).sum();
            let variance: f64 = all()
                .map(|(filter, weight)| weight * (sd(filter).powi(2) + (value(filter) - mean).powi(2)))
                .sum();
            (mean, variance.sqrt())
        };
        let (soc, soc_sd) = mix(Filter::soc, Filter::soc_sd);
        // No voltage tells where along the charge the curve of this very cell lies.
        let soc_sd = soc_sd.hypot(self.cell.params().model_error.soc_shift);
        let (offset_a, offset_sd_a) = mix(Filter::offset_a, Filter::offset_sd_a);
        Some(Estimate { soc, soc_sd, offset_a, offset_sd_a, expected_v })
    }
}

#[cfg(test)]
mod tests;
