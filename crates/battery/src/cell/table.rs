//! A cell's curves, resampled so that a look-up is an addition and two multiplications.

use super::params::{CellParams, Impedance, ModelError, OCV_TEMP_C};
use crate::{Error, units::arrhenius};

/// Intervals of SoC.
const STEPS: usize = 200;

/// Range beyond the first and last temperature in which Arrhenius' law is trusted, in K.
const EXTRAPOLATED_K: f64 = 15.0;

/// Furthest that SoC may leave 0..1 and still get a voltage, by the slope at the end.
const BEYOND: f64 = 0.2;

/// A quantity at equal steps of SoC from 0 to 1.
type Curve = Box<[f64; STEPS + 1]>;

/// Linear between `nodes`, constant beyond them.
fn resampled(nodes: &[f64], values: &[f64]) -> Curve {
    let mut curve = Box::new([0.0; STEPS + 1]);
    for (step, out) in curve.iter_mut().enumerate() {
        let soc = step as f64 / STEPS as f64;
        let above = nodes.partition_point(|node| *node < soc);
        *out = match (above.checked_sub(1).map(|below| (nodes[below], values[below])), nodes.get(above)) {
            (Some((x0, y0)), Some(x1)) => y0 + (values[above] - y0) * (soc - x0) / (x1 - x0),
            (Some((_, last)), None) => last,
            (None, _) => values[0],
        };
    }
    curve
}

/// The two nodes that a value lies between and their shares; the last ones beyond the ends.
fn between(nodes: &[f64], value: f64) -> [(usize, f64); 2] {
    let last = nodes.len() - 1;
    let above = nodes.partition_point(|node| *node < value).min(last);
    let below = above.saturating_sub(1);
    if below == above {
        return [(below, 0.0), (above, 1.0)];
    }
    let share = ((value - nodes[below]) / (nodes[above] - nodes[below])).clamp(0.0, 1.0);
    [(below, 1.0 - share), (above, share)]
}

/// A place on the curves.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    fraction: f64,
}

impl Place {
    fn of(soc: f64) -> Self {
        let scaled = soc.clamp(0.0, 1.0) * STEPS as f64;
        let index = (scaled as usize).min(STEPS - 1);
        Self { index, fraction: scaled - index as f64 }
    }

    fn on(self, curve: &Curve) -> f64 {
        let low = curve[self.index];
        low + (curve[self.index + 1] - low) * self.fraction
    }
}

struct Curves {
    temp_c: f64,
    /// Relative speed of an activated process, see [`arrhenius`].
    slowness: f64,
    slowness_ln: f64,
    tau_ln: [f64; 2],
    exchange_ln: f64,
    depletion_per_a: f64,
    ocv_shift: Curve,
    r0: Curve,
    r1: Curve,
    r2: Curve,
    transfer: Curve,
}

/// A kind of cell, ready to compute with: some 30 KB.
pub struct Cell {
    params: CellParams,
    ocv: Curve,
    entropic_v_per_k: Curve,
    layers: Vec<Curves>,
}

impl Cell {
    /// Checks the parameters and tabulates them.
    ///
    /// # Errors
    ///
    /// [`Error::Parameters`].
    pub fn new(params: CellParams) -> Result<Self, Error> {
        params.check()?;
        let Impedance { soc, layers, activation_j_per_mol } = &params.impedance;
        let layers = layers
            .iter()
            .map(|layer| (layer, arrhenius(*activation_j_per_mol, layer.temp_c, OCV_TEMP_C)))
            .map(|(layer, slowness)| Curves {
                temp_c: layer.temp_c,
                slowness,
                slowness_ln: slowness.ln(),
                tau_ln: [layer.tau1_s.ln(), layer.tau2_s.ln()],
                exchange_ln: layer.exchange_current_a.ln(),
                depletion_per_a: layer.depletion_per_a,
                ocv_shift: resampled(soc, &layer.ocv_shift_v),
                r0: resampled(soc, &layer.r0_ohm),
                r1: resampled(soc, &layer.r1_ohm),
                r2: resampled(soc, &layer.r2_ohm),
                transfer: resampled(soc, &layer.transfer_v),
            })
            .collect();
        let mut entropic_v_per_k = resampled(&params.ocv.entropic_soc, &params.ocv.entropic_mv_per_k);
        entropic_v_per_k.iter_mut().for_each(|value| *value /= 1_000.0);
        Ok(Self { ocv: resampled(&params.ocv.soc, &params.ocv.voltage_v), entropic_v_per_k, layers, params })
    }

    /// What it was made of.
    #[must_use]
    pub fn params(&self) -> &CellParams {
        &self.params
    }

    /// The cell at a temperature. Far outside the layers it is that of the last one that is still trusted.
    #[must_use]
    pub fn at(&self, temp_c: f64) -> CellAtTemperature<'_> {
        let first = self.layers[0].temp_c - EXTRAPOLATED_K;
        let last = self.layers[self.layers.len() - 1].temp_c + EXTRAPOLATED_K;
        let known_c = temp_c.clamp(first, last);
        let above = self.layers.partition_point(|layer| layer.temp_c < known_c);
        let upper = above.clamp(1.min(self.layers.len() - 1), self.layers.len() - 1);
        let lower = upper.saturating_sub(1);
        let (low, high) = (&self.layers[lower], &self.layers[upper]);
        let slowness = arrhenius(self.params.impedance.activation_j_per_mol, known_c, OCV_TEMP_C);
        let weight =
            if lower == upper { 1.0 } else { (low.slowness - slowness) / (low.slowness - high.slowness) };
        // Time constants and exchange currents are exponential in the same variable's logarithm.
        let weight_ln = if lower == upper {
            1.0
        } else {
            (low.slowness_ln - slowness.ln()) / (low.slowness_ln - high.slowness_ln)
        };
        let blend = |low: f64, high: f64| (low + (high - low) * weight_ln).exp();
        CellAtTemperature {
            cell: self,
            low,
            high,
            weight,
            temp_c,
            tau_s: [blend(low.tau_ln[0], high.tau_ln[0]), blend(low.tau_ln[1], high.tau_ln[1])],
            exchange_a: blend(low.exchange_ln, high.exchange_ln),
            depletion_per_a: (low.depletion_per_a + (high.depletion_per_a - low.depletion_per_a) * weight)
                .max(0.0),
        }
    }

    /// Voltage at rest in V, see [`CellAtTemperature::ocv_v`].
    #[must_use]
    pub fn ocv_v(&self, soc: f64, temp_c: f64) -> f64 {
        self.at(temp_c).ocv_v(soc)
    }

    /// dOCV/dSoC at 25 °C in V, over half a hundredth.
    #[must_use]
    pub fn slope_v(&self, soc: f64) -> f64 {
        let index = Place::of(soc).index;
        (self.ocv[index + 1] - self.ocv[index]) * STEPS as f64
    }

    /// dU/dT in V/K.
    #[must_use]
    pub fn entropic_v_per_k(&self, soc: f64) -> f64 {
        Place::of(soc).on(&self.entropic_v_per_k)
    }

    /// What the model leaves unexplained there, as a standard deviation in V.
    #[must_use]
    pub fn model_error_v(&self, soc: f64, temp_c: f64) -> f64 {
        let ModelError { temp_c: temps, soc: nodes, voltage_v, .. } = &self.params.model_error;
        let [(cold, colder), (warm, warmer)] = between(temps, temp_c);
        let [(low, lower), (high, higher)] = between(nodes, soc);
        let row = |row: &Vec<f64>| row[low] * lower + row[high] * higher;
        row(&voltage_v[cold]) * colder + row(&voltage_v[warm]) * warmer
    }

    /// SoC at which a rested cell has this voltage, within 0..1.
    #[must_use]
    pub fn soc_at_rest(&self, voltage_v: f64, temp_c: f64) -> f64 {
        let cell_at = self.at(temp_c);
        let (mut low, mut high) = (0.0, 1.0);
        // 2^-30 of the range.
        for _ in 0..30 {
            let middle = f64::midpoint(low, high);
            if cell_at.ocv_v(middle) < voltage_v { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }
}

/// A cell at one temperature.
#[derive(Clone, Copy)]
pub struct CellAtTemperature<'a> {
    cell: &'a Cell,
    low: &'a Curves,
    high: &'a Curves,
    weight: f64,
    temp_c: f64,
    /// Time constants of the RC pairs in s.
    pub tau_s: [f64; 2],
    /// Current in A from which on charge transfer is no longer ohmic.
    pub exchange_a: f64,
    /// See [`super::Layer::depletion_per_a`].
    pub depletion_per_a: f64,
}

impl CellAtTemperature<'_> {
    /// Voltage at rest in V; outside 0..1 it goes on with the slope at the end, for a fifth.
    #[must_use]
    pub fn ocv_v(&self, soc: f64) -> f64 {
        let place = Place::of(soc);
        let beyond = (soc - soc.clamp(0.0, 1.0)).clamp(-BEYOND, BEYOND);
        let (low, high) = (place.on(&self.low.ocv_shift), place.on(&self.high.ocv_shift));
        place.on(&self.cell.ocv)
            + beyond * self.cell.slope_v(soc)
            + place.on(&self.cell.entropic_v_per_k) * (self.temp_c - OCV_TEMP_C)
            + low
            + (high - low) * self.weight.clamp(0.0, 1.0)
    }

    fn blend(&self, place: Place, curve: impl Fn(&Curves) -> &Curve) -> f64 {
        let (low, high) = (place.on(curve(self.low)), place.on(curve(self.high)));
        // Extrapolated, an activated part may take away more than there is.
        (low + (high - low) * self.weight).max(0.0)
    }

    /// What the current alone costs at once, in V, with its sign: ohmic drop and charge transfer.
    #[must_use]
    pub fn instant_v(&self, soc: f64, current_a: f64) -> f64 {
        let place = Place::of(soc);
        let transfer = self.blend(place, |curves| &curves.transfer);
        self.blend(place, |curves| &curves.r0) * current_a + transfer * (current_a / self.exchange_a).asinh()
    }

    /// What was learnt beyond the circuit, in V.
    fn learnt_v(&self, soc: f64, branch_a: [f64; 2], current_a: f64) -> f64 {
        let params = &self.cell.params;
        params.residual.as_ref().map_or(0.0, |residual| {
            let rate = |amps: f64| amps / params.capacity_ah;
            residual.volts([soc, self.temp_c, rate(branch_a[0]), rate(branch_a[1]), rate(current_a)])
        })
    }

    /// What all currents have in common at that charge.
    #[must_use]
    pub fn local(&self, soc: f64) -> Local<'_> {
        let place = Place::of(soc);
        Local {
            cell_at: self,
            soc,
            ocv_v: self.ocv_v(soc),
            r0_ohm: self.blend(place, |curves| &curves.r0),
            r1_ohm: self.blend(place, |curves| &curves.r1),
            r2_ohm: self.blend(place, |curves| &curves.r2),
            transfer_v: self.blend(place, |curves| &curves.transfer),
        }
    }

    /// All overpotential in V: ohmic drop and charge transfer, the pairs, whose currents are `branch_a`, the surface's
    /// depletion, and what was learnt.
    #[must_use]
    pub fn overpotential_v(&self, soc: f64, branch_a: [f64; 2], current_a: f64) -> f64 {
        self.local(soc).overpotential_v(branch_a, current_a)
    }
}

/// A cell at one temperature and charge.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    cell_at: &'a CellAtTemperature<'a>,
    soc: f64,
    /// Voltage at rest in V.
    pub ocv_v: f64,
    r0_ohm: f64,
    r1_ohm: f64,
    r2_ohm: f64,
    transfer_v: f64,
}

impl Local<'_> {
    /// See [`CellAtTemperature::overpotential_v`].
    #[must_use]
    pub fn overpotential_v(&self, branch_a: [f64; 2], current_a: f64) -> f64 {
        let CellAtTemperature { depletion_per_a, exchange_a, .. } = *self.cell_at;
        let depletion_v = self.cell_at.ocv_v(self.soc + depletion_per_a * branch_a[1]) - self.ocv_v;
        let instant_v = self.r0_ohm * current_a + self.transfer_v * (current_a / exchange_a).asinh();
        let pairs_v = self.r1_ohm * branch_a[0] + self.r2_ohm * branch_a[1];
        depletion_v + instant_v + pairs_v + self.cell_at.learnt_v(self.soc, branch_a, current_a)
    }
}
