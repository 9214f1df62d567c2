//! Which unknown explains which part of each measured voltage.

use super::{
    LoggedRun, Role, RunError,
    laws::Laws,
    points::{Point, median, points, slow_curve, voltage_at},
    report,
    request::Request,
    residual::Left,
    solve::Normal,
    thermal::CORE_J_PER_K_AH,
};
use crate::{
    Error,
    cell::{Impedance, Layer, OCV_TEMP_C, Ocv},
};
use nalgebra::DVector;
use std::cell::Cell as Counter;

/// Nodes of the impedance: closer where it rises.
const SOC: [f64; 17] =
    [0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.25, 0.32, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 1.0];

/// Nodes of the entropic coefficient.
const ENTROPIC_SOC: [f64; 7] = [0.0, 0.1, 0.25, 0.4, 0.6, 0.8, 1.0];

/// Intervals of the voltage at rest.
const OCV_STEPS: usize = 40;

/// Quantities tabulated over SoC × temperature: R0, R1, R2, charge transfer.
const QUANTITIES: usize = 4;

/// Voltage that a residual of 1 stands for, in V.
pub(super) const TYPICAL_V: f64 = 0.010;

/// Residual from which on a sample counts less, in V.
const FAR_V: f64 = 0.025;

/// Layers are at least so far apart, in K.
const APART_K: f64 = 5.0;

/// Weights that hold each table to a smooth one: V that a bend of 1 Ω (or 1 V) between three nodes is worth, as if measured
/// once a second for a quarter of an hour.
const SMOOTH: [f64; QUANTITIES] = [5.0, 5.0, 5.0, 15.0];

/// Weights that hold each table to zero: 1 Ω, or 50 mV, is a surprise.
const NOTHING: [f64; QUANTITIES] = [1.0, 1.0, 1.0, 20.0];

/// The same from layer to layer.
const LAYERS_ALIKE: f64 = 4.0;

/// Standard deviation of what entropy leaves of the OCV at a temperature, and of its bend between three nodes, in V.
const SHIFT_V: f64 = 0.015;
const SHIFT_BEND_V: f64 = 0.008;

/// Standard deviation of how much more the voltage at rest bends between three nodes than a slow discharge does, in V.
const OCV_BEND_V: f64 = 0.004;

/// Standard deviation of dU/dT about 0, in mV/K.
const ENTROPIC_MV_PER_K: f64 = 0.3;

struct Prepared<'a> {
    run: &'a LoggedRun,
    points: Vec<Point>,
    /// Of each row.
    weight: f64,
    /// Median temperature in °C.
    temp_c: f64,
}

/// A sample with what led to it.
struct Row<'a> {
    point: &'a Point,
    branch_a: [f64; 2],
    temp_c: f64,
}

/// All measurements, ready to be turned into equations.
pub(super) struct Design<'a> {
    runs: Vec<Prepared<'a>>,
    layers_c: Vec<f64>,
    /// Voltage of the slow discharge at each node of the voltage at rest.
    slow_v: Vec<f64>,
    capacity_ah: f64,
    core_j_per_k: f64,
    evaluations: Counter<usize>,
}

/// Between which nodes a value lies.
fn between(nodes: &[f64], value: f64) -> [(usize, f64); 2] {
    let above = nodes.partition_point(|node| *node <= value).clamp(1, nodes.len() - 1);
    let share = ((value - nodes[above - 1]) / (nodes[above] - nodes[above - 1])).clamp(0.0, 1.0);
    [(above - 1, 1.0 - share), (above, share)]
}

impl<'a> Design<'a> {
    pub fn new(request: &'a Request) -> Result<Self, Error> {
        let rest = slow_curve(request);
        let mut runs = Vec::new();
        for run in &request.runs {
            let points = points(run, request.capacity_ah, &rest);
            let temp_c = median(points.iter().map(|point| point.temp_c).collect());
            let cold = ((OCV_TEMP_C - temp_c) / 45.0).clamp(0.0, 1.0);
            // What cannot be explained is three times as much at −20 °C; a slow discharge has few rows for all it says.
            let weight = match run.role {
                Role::Slow => 1.0,
                Role::Pulses => 0.8 / (1.0 + 2.0 * cold),
                Role::Drive => 1.0 / (1.0 + 2.0 * cold),
            };
            runs.push(Prepared { run, points, weight, temp_c });
        }
        let mut layers_c: Vec<f64> = runs
            .iter()
            .filter(|run| run.run.role == Role::Drive)
            .map(|run| run.points.first().map_or(run.temp_c, |point| point.temp_c))
            .collect();
        layers_c.sort_by(f64::total_cmp);
        layers_c.dedup_by(|next, previous| *next - *previous < APART_K);
        if layers_c.is_empty() || layers_c.len() > 16 {
            return Err(Error::data(
                "drive cycles",
                format!("{} different temperatures, want 1 to 16", layers_c.len()),
            ));
        }
        layers_c.iter_mut().for_each(|temp_c| *temp_c = temp_c.round());
        Ok(Self {
            runs,
            layers_c,
            slow_v: (0..=OCV_STEPS).map(|node| voltage_at(&rest, node as f64 / OCV_STEPS as f64)).collect(),
            capacity_ah: request.capacity_ah,
            core_j_per_k: CORE_J_PER_K_AH * request.capacity_ah,
            evaluations: Counter::new(0),
        })
    }

    /// How often the equations have been set up.
    pub fn evaluations(&self) -> usize {
        self.evaluations.get()
    }

    /// Numbers of the drive cycles.
    pub fn drives(&self) -> Vec<usize> {
        (0..self.runs.len()).filter(|index| self.runs[*index].run.role == Role::Drive).collect()
    }

    /// Unknowns that may be negative: voltage at rest, entropic coefficient, and shift by temperature.
    fn unbounded(&self) -> usize {
        self.shift(self.layers_c.len(), 0)
    }

    fn shift(&self, layer: usize, node: usize) -> usize {
        OCV_STEPS + 1 + ENTROPIC_SOC.len() + layer * SOC.len() + node
    }

    fn unknowns(&self) -> usize {
        self.unbounded() + QUANTITIES * self.layers_c.len() * SOC.len()
    }

    fn place(&self, quantity: usize, layer: usize, node: usize) -> usize {
        self.unbounded() + (quantity * self.layers_c.len() + layer) * SOC.len() + node
    }

    /// Layers that a temperature lies between. Linear in the slowness, as [`crate::Cell::at`] has it, and so extrapolated.
    fn layers(&self, laws: &Laws, temp_c: f64) -> [(usize, f64); 2] {
        if self.layers_c.len() == 1 {
            return [(0, 1.0), (0, 0.0)];
        }
        let upper = self.layers_c.partition_point(|layer| *layer < temp_c).clamp(1, self.layers_c.len() - 1);
        let (low, high) = (laws.slowness(self.layers_c[upper - 1]), laws.slowness(self.layers_c[upper]));
        let share = (low - laws.slowness(temp_c)) / (low - high);
        [(upper - 1, 1.0 - share), (upper, share)]
    }

    /// Calls `each` with every used point's number, weight, entries and voltage, of one run.
    fn rows(&self, laws: &Laws, run: &Prepared<'_>, mut each: impl FnMut(f64, &[(usize, f64)], &Row<'_>)) {
        let mut branch_a = [0.0; 2];
        let mut core_k = 0.0;
        let mut entries = Vec::with_capacity(32);
        for point in &run.points {
            let slow = run.run.role == Role::Slow;
            let lag_s = laws.inner_k_per_w * self.core_j_per_k;
            let warmer_k = laws.inner_k_per_w * point.heat_w;
            core_k =
                if point.gap { 0.0 } else { warmer_k + (core_k - warmer_k) * (-point.dt_s / lag_s).exp() };
            let temp_c = point.temp_c + core_k;
            for (pair, branch) in branch_a.iter_mut().enumerate() {
                // A slow discharge is steady; a gap ends with a rest.
                *branch = if slow {
                    point.current_a
                } else if point.gap {
                    0.0
                } else {
                    let kept = (-point.dt_s / laws.tau_s(pair, temp_c)).exp();
                    point.current_a + (*branch - point.current_a) * kept
                };
            }
            if !point.used {
                continue;
            }
            entries.clear();
            // At the surface; beyond the ends with the slope there, as [`crate::Cell::ocv_v`] goes on.
            let surface = point.soc + laws.depletion_per_a(temp_c) * branch_a[1];
            let soc = surface.clamp(-0.2, 1.2) * OCV_STEPS as f64;
            let index = (soc.max(0.0) as usize).min(OCV_STEPS - 1);
            entries.push((index, 1.0 - (soc - index as f64)));
            entries.push((index + 1, soc - index as f64));
            let warmer = (temp_c - OCV_TEMP_C) / 1_000.0;
            entries.extend(
                between(&ENTROPIC_SOC, point.soc).map(|(node, share)| (OCV_STEPS + 1 + node, share * warmer)),
            );
            let transfer = (point.current_a / laws.exchange_a(temp_c)).asinh();
            let causes = [point.current_a, branch_a[0], branch_a[1], transfer];
            for (layer, by_layer) in self.layers(laws, temp_c) {
                let within = by_layer.clamp(0.0, 1.0);
                for (node, by_soc) in between(&SOC, surface.clamp(0.0, 1.0)) {
                    entries.push((self.shift(layer, node), within * by_soc));
                }
                for (node, by_soc) in between(&SOC, point.soc) {
                    for (quantity, cause) in causes.into_iter().enumerate() {
                        entries.push((self.place(quantity, layer, node), by_layer * by_soc * cause));
                    }
                }
            }
            each(run.weight * point.trust / TYPICAL_V, &entries, &Row { point, branch_a, temp_c });
        }
    }

    /// What is believed before anything is measured: smooth tables, alike in neighbouring layers, and little entropy.
    fn prior(&self) -> Normal {
        let mut normal = Normal::new(self.unknowns());
        for node in 0..ENTROPIC_SOC.len() {
            // As sure as if a thousand samples had said so.
            normal.add(&[(OCV_STEPS + 1 + node, 30.0 / ENTROPIC_MV_PER_K)], 0.0);
        }
        // The voltage at rest bends as that of the slow discharge does.
        let bend = 30.0 / OCV_BEND_V;
        for (node, of) in self.slow_v.windows(3).enumerate() {
            let right = bend * (of[0] - 2.0 * of[1] + of[2]);
            normal.add(&[(node, bend), (node + 1, -2.0 * bend), (node + 2, bend)], right);
        }
        for layer in 0..self.layers_c.len() {
            for node in 0..SOC.len() {
                normal.add(&[(self.shift(layer, node), 30.0 / SHIFT_V)], 0.0);
            }
            let bend = 30.0 / SHIFT_BEND_V;
            for node in 1..SOC.len() - 1 {
                let at = |node| self.shift(layer, node);
                normal.add(&[(at(node - 1), bend), (at(node), -2.0 * bend), (at(node + 1), bend)], 0.0);
            }
        }
        for (quantity, smooth) in SMOOTH.into_iter().enumerate() {
            let weight = smooth * 30.0;
            for layer in 0..self.layers_c.len() {
                let at = |node| self.place(quantity, layer, node);
                for node in 1..SOC.len() - 1 {
                    normal.add(
                        &[(at(node - 1), weight), (at(node), -2.0 * weight), (at(node + 1), weight)],
                        0.0,
                    );
                }
                for node in 0..SOC.len() {
                    // Without data nothing is resisted.
                    normal.add(&[(at(node), NOTHING[quantity])], 0.0);
                    if layer > 0 {
                        let before = self.place(quantity, layer - 1, node);
                        normal.add(&[(before, LAYERS_ALIKE), (at(node), -LAYERS_ALIKE)], 0.0);
                    }
                }
            }
        }
        normal
    }

    /// The tables, from all runs but one.
    pub fn solve(&self, laws: &Laws, without: Option<usize>) -> Result<DVector<f64>, Error> {
        let mut normal = self.prior();
        for (_, run) in self.runs.iter().enumerate().filter(|(index, _)| Some(*index) != without) {
            self.rows(laws, run, |weight, entries, row| {
                let weighted: Vec<(usize, f64)> =
                    entries.iter().map(|(place, value)| (*place, value * weight)).collect();
                normal.add(&weighted, row.point.voltage_v * weight);
            });
        }
        let failed = || Error::Fit { what: "the equations have no solution".into() };
        normal.solve(self.unbounded()).ok_or_else(failed)
    }

    /// What the best tables for these laws leave, weighted.
    pub fn projected(&self, laws: &Laws) -> Option<DVector<f64>> {
        self.evaluations.set(self.evaluations.get() + 1);
        let solution = self.solve(laws, None).ok()?;
        let mut left = Vec::new();
        for run in &self.runs {
            self.rows(laws, run, |weight, entries, row| {
                left.push((dot(entries, &solution) - row.point.voltage_v) * weight);
            });
        }
        Some(DVector::from_vec(left))
    }

    /// Trusts samples less that these laws leave further off than [`FAR_V`] (Huber's weights).
    pub fn doubt(&mut self, laws: &Laws) -> Result<(), Error> {
        let solution = self.solve(laws, None)?;
        let mut trust = Vec::new();
        for run in &self.runs {
            let mut of_run = Vec::new();
            self.rows(laws, run, |_, entries, row| {
                let left = (dot(entries, &solution) - row.point.voltage_v).abs();
                of_run.push((FAR_V / left).min(1.0).sqrt());
            });
            trust.push(of_run);
        }
        for (run, trust) in self.runs.iter_mut().zip(trust) {
            let used = run.points.iter_mut().filter(|point| point.used);
            used.zip(trust).for_each(|(point, trust)| point.trust = trust);
        }
        Ok(())
    }

    /// How well each run is explained.
    pub fn errors(&self, laws: &Laws, solution: &DVector<f64>) -> Vec<RunError> {
        (0..self.runs.len()).map(|index| self.error_of(&self.left(laws, solution, index))).collect()
    }

    /// What a solution leaves of one run, with where.
    pub fn left(&self, laws: &Laws, solution: &DVector<f64>, index: usize) -> Left {
        let mut rows = Vec::new();
        let rate = |amps: f64| amps / self.capacity_ah;
        self.rows(laws, &self.runs[index], |_, entries, row| {
            let Row { point, branch_a, temp_c } = row;
            let place = [point.soc, *temp_c, rate(branch_a[0]), rate(branch_a[1]), rate(point.current_a)];
            rows.push((place, point.voltage_v - dot(entries, solution)));
        });
        Left { index, rows }
    }

    /// The error of a run of which that is left.
    pub fn error_of(&self, left: &Left) -> RunError {
        let run = &self.runs[left.index];
        let by_soc: Vec<(f64, f64)> = left.rows.iter().map(|(place, left)| (place[0], *left)).collect();
        report::run_error(run.run, run.temp_c, &by_soc)
    }

    pub fn ocv(&self, solution: &DVector<f64>) -> Ocv {
        let mut voltage_v: Vec<f64> = solution.iter().take(OCV_STEPS + 1).copied().collect();
        // Noise must not make it fall: a tenth of a millivolt a node at least.
        for node in 1..voltage_v.len() {
            voltage_v[node] = voltage_v[node].max(voltage_v[node - 1] + 1e-4);
        }
        Ocv {
            soc: (0..=OCV_STEPS).map(|node| node as f64 / OCV_STEPS as f64).collect(),
            voltage_v,
            entropic_soc: ENTROPIC_SOC.to_vec(),
            entropic_mv_per_k: solution
                .iter()
                .skip(OCV_STEPS + 1)
                .take(ENTROPIC_SOC.len())
                .copied()
                .collect(),
        }
    }

    pub fn impedance(&self, laws: &Laws, solution: &DVector<f64>) -> Impedance {
        let layers = self.layers_c.iter().enumerate().map(|(layer, temp_c)| {
            let table = |quantity, most: f64| {
                (0..SOC.len())
                    .map(|node| solution[self.place(quantity, layer, node)].clamp(0.0, most))
                    .collect()
            };
            Layer {
                temp_c: *temp_c,
                tau1_s: laws.tau_s(0, *temp_c),
                tau2_s: laws.tau_s(1, *temp_c),
                exchange_current_a: laws.exchange_a(*temp_c),
                depletion_per_a: laws.depletion_per_a(*temp_c),
                ocv_shift_v: (0..SOC.len())
                    .map(|node| solution[self.shift(layer, node)].clamp(-0.2, 0.2))
                    .collect(),
                r0_ohm: table(0, 100.0),
                r1_ohm: table(1, 100.0),
                r2_ohm: table(2, 100.0),
                transfer_v: table(3, 1.0),
            }
        });
        Impedance {
            soc: SOC.to_vec(),
            layers: layers.collect(),
            activation_j_per_mol: laws.activation_j_per_mol,
        }
    }
}

fn dot(entries: &[(usize, f64)], solution: &DVector<f64>) -> f64 {
    entries.iter().map(|(place, value)| value * solution[*place]).sum()
}
